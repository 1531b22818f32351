//! The corrections that touched a figure's inputs.
//!
//! Invariants:
//! - a correction is listed where its reading, or a neighbour that it shares time with, lies in a span that counts;
//! - those that another one replaced are listed too: they are what the figure once was made with.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Kind, Pilot, Quantity, SeriesKey, UnixMillis, Value, Window};
use store::{Change, Correction};

use super::{Cell, Table};

const COLUMNS: [&str; 12] = [
    "number",
    "made_at",
    "author",
    "reason",
    "action",
    "asset",
    "name",
    "product",
    "at",
    "was",
    "now",
    "superseded_by",
];

/// The spans of time of each series that entered a figure.
pub(crate) struct Entered<'a> {
    pilot: &'a Pilot,
    spans: BTreeMap<SeriesKey, Vec<Window>>,
    /// Spans whose every cycle time entered.
    cycles: Vec<Window>,
}

impl<'a> Entered<'a> {
    /// From the tables behind a figure.
    pub(crate) fn of(pilot: &'a Pilot, tables: &[Table], takes_cycles: bool) -> Entered<'a> {
        let mut entered = Entered { pilot, spans: BTreeMap::new(), cycles: Vec::new() };
        for (table, row) in tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row))) {
            let (Some(Cell::At(start)), Some(Cell::At(end))) = (table.cell(row, "from"), table.cell(row, "to")) else {
                continue;
            };
            let window = Window { start: *start, end: *end };
            let text = |column: &str| match table.cell(row, column) {
                Some(Cell::Text(text)) => Some(Arc::from(text.as_str())),
                Some(_) | None => None,
            };
            if let (Some(asset), Some(name)) = (text("asset"), text("name")) {
                let key = SeriesKey { pilot: pilot.id.clone(), asset, name, product: text("product") };
                entered.spans.entry(key).or_default().push(window);
            } else if takes_cycles {
                entered.cycles.push(window);
            }
        }
        entered
    }

    /// Whether a correction touched what entered.
    fn has(&self, key: &SeriesKey, at: UnixMillis) -> bool {
        let Some(series) = self.pilot.resolve(&key.asset, &key.name, key.product.as_deref()) else { return false };
        // A cycle belongs to one instant; anything else shares the time to its neighbours.
        let reach = if series.kind == Kind::Duration { 0 } else { series.max_gap_ms.unwrap_or(0) };
        let touches = |span: &Window| span.start.plus(-reach) < at && at <= span.end.plus(reach);
        let by_series = self.spans.get(key).is_some_and(|spans| spans.iter().any(touches));
        by_series || (series.quantity == Quantity::TimeCycle && self.cycles.iter().any(touches))
    }
}

/// Those of `corrections` that touched what entered, in order of number.
pub(crate) fn table(entered: &Entered<'_>, corrections: &[(Correction, SeriesKey)]) -> Table {
    let mut table = Table::new("corrections", &COLUMNS);
    for (correction, key) in corrections.iter().filter(|(correction, key)| entered.has(key, correction.at)) {
        let optional = |text: &Option<Arc<str>>| text.as_deref().map_or(Cell::Nothing, Cell::from);
        let (action, now) = match &correction.change {
            Change::Set { value, .. } => ("set", value.as_ref()),
            Change::Void => ("void", None),
            Change::Withdraw => ("withdraw", None),
        };
        let was = correction.was.as_ref().and_then(|reading| reading.value.as_ref());
        table.row([
            count(correction.number),
            Cell::At(correction.made_at),
            (&*correction.author).into(),
            (&*correction.reason).into(),
            action.into(),
            (&*key.asset).into(),
            (&*key.name).into(),
            optional(&key.product),
            Cell::At(correction.at),
            value(was),
            value(now),
            correction.superseded_by.map_or(Cell::Nothing, count),
        ]);
    }
    table
}

fn count(number: i64) -> Cell {
    u64::try_from(number).map_or(Cell::Nothing, Cell::Count)
}

fn value(value: Option<&Value>) -> Cell {
    value.map_or(Cell::Nothing, |value| Cell::Number(value.as_f64()))
}

#[cfg(test)]
mod tests {
    use model::{PilotId, SeriesId};

    use super::*;
    use crate::fixture::registered;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(crate::fixture::at(text))
    }

    const SERIES: &str = r#"
[[series]]
asset = "press"
name = "kwh"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
max_gap = "1h"
[[series]]
asset = "press"
name = "gas"
quantity = "energy.natural_gas"
kind = "counter"
unit = "m3"
[[series]]
asset = "press"
name = "cycle"
quantity = "time.cycle"
kind = "duration"
unit = "s"
[[factor]]
carrier = "natural_gas"
value = 1.2143
source = "certificate"
"#;

    fn correction(number: i64, name: &str, instant: &str) -> (Correction, SeriesKey) {
        let key = SeriesKey {
            pilot: PilotId::parse("p-1").unwrap(),
            asset: "press".into(),
            name: name.into(),
            product: None,
        };
        let (author, reason) = ("Li".into(), "misread".into());
        let correction = Correction {
            number,
            series: SeriesId(0),
            at: at(instant),
            id: None,
            change: Change::Void,
            author,
            reason,
            made_at: at("2021-01-01T00:00:00Z"),
            was: None,
            superseded_by: (number == 1).then_some(2),
        };
        (correction, key)
    }

    #[test]
    fn what_lies_in_a_span_that_counts_or_beside_it_is_listed() {
        let pilot = registered("UTC", SERIES);
        let mut inputs = Table::new("inputs", &["asset", "name", "product", "from", "to"]);
        let (from, to) = (Cell::At(at("2020-02-01T00:00:00Z")), Cell::At(at("2020-03-01T00:00:00Z")));
        inputs.row(["press".into(), "kwh".into(), Cell::Nothing, from.clone(), to.clone()]);
        let mut windows = Table::new("windows", &["side", "from", "to"]);
        windows.row(["reporting".into(), from, to]);
        let made = [
            correction(1, "kwh", "2020-02-10T00:00:00Z"),
            correction(2, "kwh", "2020-02-10T00:00:00Z"),
            correction(3, "gas", "2020-02-10T00:00:00Z"),
            correction(4, "kwh", "2020-03-01T00:30:00Z"),
            correction(5, "kwh", "2020-03-01T02:00:00Z"),
            correction(6, "kwh", "2020-01-31T22:00:00Z"),
            correction(7, "cycle", "2020-03-01T00:00:00Z"),
            correction(8, "cycle", "2020-03-01T00:00:00.001Z"),
            correction(9, "kwh", "2020-01-31T23:30:00Z"),
        ];
        let listed = |takes_cycles| {
            let entered = Entered::of(&pilot, &[inputs.clone(), windows.clone()], takes_cycles);
            table(&entered, &made).rows.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>()
        };
        assert_eq!(listed(false), [1, 2, 4, 9].map(Cell::Count));
        assert_eq!(listed(true), [1, 2, 4, 7, 9].map(Cell::Count));
    }
}
