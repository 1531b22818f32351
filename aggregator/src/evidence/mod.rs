//! Why a figure is what it is: its inputs month by month, its plan and baseline, and the arithmetic step by step.
//!
//! Evidence is made on demand from the month sums and orders that the figure was made from, by the same functions, and
//! says whether the figure comes out again. Every input row names a series and a span of time, whose readings
//! `/api/v1/readings` lists.
//!
//! Invariants:
//! - nothing here enters a figure: what stands beside one is computed here alone;
//! - a table is data: rows of named cells, numbers with every digit.

mod amounts;
mod charges;
pub(crate) mod corrections;
mod cycles;
mod defects;

use model::registry::adjustment::Adjusted;
use model::{Figure, Indicator, Period, Programme, UnixMillis};
use seeds::factors::Basis;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::indicator::data::{Measured, Part, PilotData};
use crate::indicator::output::{Pieces, weight};
use crate::indicator::plan::terms_of;
use crate::indicator::ratio::{Months, months_rule};
use crate::indicator::{by_hand, cost, energy, pollutant};

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Nothing,
    Text(String),
    Number(f64),
    Count(u64),
    At(UnixMillis),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Cell {
        if number.is_finite() { Cell::Number(number) } else { Cell::Nothing }
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Cell {
        number.map_or(Cell::Nothing, Cell::from)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Cell {
        Cell::Count(count)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Nothing => serializer.serialize_none(),
            Cell::Text(text) => text.serialize(serializer),
            Cell::Number(number) => number.serialize(serializer),
            Cell::Count(count) => count.serialize(serializer),
            Cell::At(at) => at.serialize(serializer),
        }
    }
}

/// Rows of cells under the same columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub id: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    fn new(id: &'static str, columns: &'static [&'static str]) -> Table {
        Table { id, columns, rows: Vec::new() }
    }

    fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a row of table {}", self.id);
        self.rows.push(cells.into());
    }

    /// The cell of a row under a column.
    fn cell<'t>(&self, row: &'t [Cell], column: &str) -> Option<&'t Cell> {
        row.get(self.columns.iter().position(|name| *name == column)?)
    }
}

/// A row as an object.
struct Row<'a>(&'a Table, &'a [Cell]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for (column, cell) in self.0.columns.iter().zip(self.1) {
            map.serialize_entry(column, cell)?;
        }
        map.end()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in &self.rows {
            rows.serialize_element(&Row(self, row))?;
        }
        rows.end()
    }
}

/// Everything behind one figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub figure: Figure,
    /// Whether the inputs below give the figure's numbers again, bit for bit; none where it has no numbers.
    pub comes_out_again: Option<bool>,
    pub tables: Vec<Table>,
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("figure", &self.figure)?;
        map.serialize_entry("comes_out_again", &self.comes_out_again)?;
        for table in &self.tables {
            map.serialize_entry(table.id, table)?;
        }
        map.end()
    }
}

/// The arithmetic, a line a step.
pub(crate) struct Steps(Table);

impl Steps {
    fn new() -> Steps {
        Steps(Table::new("steps", &["step", "of", "value", "unit", "formula"]))
    }

    fn add(&mut self, step: &'static str, of: &str, value: impl Into<Cell>, unit: &str, formula: &'static str) {
        self.0.row([step.into(), of.into(), value.into(), unit.into(), formula.into()]);
    }

    /// The last lines of every figure.
    fn close(&mut self, actual: Option<f64>, adjusted: Option<f64>, unit: &str) {
        self.add("actual", "", actual, unit, "Y");
        self.add("adjusted_baseline", "", adjusted, unit, "A");
        let reduction = actual.zip(adjusted).filter(|(_, adjusted)| *adjusted > 0.0).map(|(y, a)| 1.0 - y / a);
        self.add("reduction", "", reduction, "", "1 − Y / A");
    }
}

/// What a reviewer sees beside the figure; none of it sets a standing.
pub(crate) struct Beside(Table);

impl Beside {
    fn new() -> Beside {
        Beside(Table::new("beside", &["what", "of", "value", "low", "high", "unit"]))
    }

    fn add(&mut self, what: &'static str, of: &str, value: impl Into<Cell>, unit: &str) {
        self.0.row([what.into(), of.into(), value.into(), Cell::Nothing, Cell::Nothing, unit.into()]);
    }

    fn interval(&mut self, what: &'static str, of: &str, value: Option<f64>, low: Option<f64>, high: Option<f64>) {
        self.0.row([what.into(), of.into(), value.into(), low.into(), high.into(), "".into()]);
    }
}

/// The tables behind a pilot's or a workshop's figure.
pub(crate) fn of(
    data: &Measured<'_>,
    programme: &Programme,
    part: Part<'_>,
    indicator: &Indicator,
    period: Period,
) -> Vec<Table> {
    let data = &data.under(data.pilot.terms(indicator));
    let pieces = Pieces::of(data, part);
    let mut tables = match indicator {
        Indicator::EnergyIntensity => of_energy(data, part, &pieces, Basis::Calorific, period),
        Indicator::EnergyIntensityEquivalent => of_energy(data, part, &pieces, Basis::Equivalent, period),
        Indicator::OperatingCost => match cost::cost(data, part) {
            Ok(cost) => amounts::of_cost((data, part), &pieces, &cost, period),
            Err(_) => Vec::new(),
        },
        Indicator::PollutantIntensity(name) => {
            let amounts = pollutant::amounts(data, part, name);
            amounts::of_ratio(data, &pieces, &amounts, "kg", period)
        }
        Indicator::DefectRate => defects::tables(data, &pieces, period),
        Indicator::ProductionCycle if part == Part::Whole => cycles::of_orders(data, period),
        Indicator::CycleTime if part == Part::Whole => cycles::of_cycles(data, period),
        // Orders and cycle times are the pilot's: a workshop has no such figure, and nothing behind it.
        Indicator::ProductionCycle | Indicator::CycleTime => Vec::new(),
    };
    tables.push(by_hand_table(data, part, indicator));
    tables.push(plan(data, programme, indicator));
    tables.push(stops(data));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn of_energy(data: &PilotData<'_>, part: Part<'_>, pieces: &Pieces, basis: Basis, period: Period) -> Vec<Table> {
    match energy::Energy::of(data, pieces, part, basis) {
        Ok(energy) => amounts::of_energy(data, pieces, &energy, period),
        Err(_) => Vec::new(),
    }
}

/// `2020-03`.
fn month_label(data: &PilotData<'_>, month: usize) -> String {
    Period::containing(data.axis.month(month), model::PeriodKind::Month).to_string()
}

/// Which months count, and why others do not.
fn months_table(data: &PilotData<'_>, entering: &[usize], months: &Months, period: Period) -> Table {
    let mut table = Table::new("months", &["month", "side", "coverage", "counts"]);
    let mut row = |month: usize, side: &'static str, counted: &[usize]| {
        let counts = match (data.is_stopped(month), counted.contains(&month)) {
            (true, _) => "stopped",
            (false, true) => "yes",
            (false, false) => "no",
        };
        let coverage = data.month_coverage(entering, month);
        table.row([month_label(data, month).into(), side.into(), coverage.into(), counts.into()]);
    };
    data.whole_baseline_months().into_iter().for_each(|month| row(month, "baseline", &months.baseline));
    let of_period = period.months().filter_map(|month| data.axis.index(month));
    of_period.for_each(|month| row(month, "reporting", &months.reporting));
    table
}

/// What each series held in each month that counts.
fn inputs_table(data: &PilotData<'_>, series: &[usize], months: &Months) -> Table {
    const COLUMNS: [&str; 12] = [
        "asset", "name", "product", "quantity", "side", "month", "value", "unit", "readings", "coverage", "from", "to",
    ];
    let mut table = Table::new("inputs", &COLUMNS);
    for &index in series {
        let declared = &data.declared[index];
        for stored in &declared.stored {
            for (side, of_side) in [("baseline", &months.baseline), ("reporting", &months.reporting)] {
                for &month in of_side {
                    let Some(sum) = stored.sums.of(data.axis.month(month)) else { continue };
                    let window = data.axis.month(month).window(&data.calendar.zone);
                    let (value, unit) = match declared.spec.amount(sum.value) {
                        Some(amount) => {
                            (amount, declared.series.quantity.canonical_unit().unwrap_or(declared.spec.unit))
                        }
                        None => (sum.value / sum.covered_ms as f64, declared.spec.unit),
                    };
                    table.row([
                        (&*declared.series.asset).into(),
                        (&*declared.series.name).into(),
                        stored.product.as_deref().map_or(Cell::Nothing, Cell::from),
                        declared.series.quantity.to_string().into(),
                        side.into(),
                        month_label(data, month).into(),
                        value.into(),
                        unit.symbol().into(),
                        sum.n.into(),
                        declared.coverage(month).into(),
                        Cell::At(window.start),
                        Cell::At(window.end),
                    ]);
                }
            }
        }
    }
    table
}

/// Good pieces by product, and what each weighs.
fn output_table(data: &PilotData<'_>, pieces: &Pieces, months: &Months) -> Table {
    let mut table = Table::new("output", &["product", "weight", "weight_is", "baseline", "reporting"]);
    for product in pieces.good.keys() {
        let weight = weight(data.pilot, product);
        table.row([
            (&**product).into(),
            weight.unwrap_or(1.0).into(),
            if weight.is_some() { "declared" } else { "assumed" }.into(),
            pieces.good_of(product, &months.baseline).into(),
            pieces.good_of(product, &months.reporting).into(),
        ]);
    }
    table
}

/// What was fixed beforehand; the figure's `plan` is the hash of these lines.
fn plan(data: &PilotData<'_>, programme: &Programme, indicator: &Indicator) -> Table {
    let mut table = Table::new("plan", &["what", "of", "is"]);
    for term in terms_of((data.pilot, data.factors), programme, indicator) {
        table.row([term.what.into(), term.of.into(), term.is.into()]);
    }
    table
}

/// What a person stated for this indicator, in its own unit and as it was stated.
fn by_hand_table(data: &PilotData<'_>, part: Part<'_>, indicator: &Indicator) -> Table {
    const COLUMNS: [&str; 9] = ["adjusts", "from", "to", "amount", "unit", "workshop", "reason", "author", "evidence"];
    let mut table = Table::new("adjustments", &COLUMNS);
    let enters = |adjusted: &Adjusted| match (indicator, adjusted) {
        (Indicator::EnergyIntensity | Indicator::EnergyIntensityEquivalent, Adjusted::Energy(_))
        | (Indicator::OperatingCost, Adjusted::OperatingCost) => Some(1.0),
        (Indicator::PollutantIntensity(one), Adjusted::Pollutant(other)) if one == other => Some(1.0),
        _ => None,
    };
    for stated in by_hand::stated(data, part, &enters) {
        let Some(adjustment) = data.pilot.adjustments.get(stated.index) else { continue };
        table.row([
            adjustment.of.to_string().into(),
            adjustment.days.from.to_string().into(),
            adjustment.days.to.to_string().into(),
            adjustment.amount.into(),
            adjustment.of.unit().into(),
            adjustment.workshop.as_ref().map_or(Cell::Nothing, |workshop| workshop.as_str().into()),
            adjustment.reason.as_str().into(),
            adjustment.author.as_str().into(),
            adjustment.evidence.as_str().into(),
        ]);
    }
    table
}

fn stops(data: &PilotData<'_>) -> Table {
    let mut table = Table::new("stops", &["from", "to", "reason"]);
    for stop in &data.pilot.stops {
        table.row([stop.from.to_string().into(), stop.to.to_string().into(), stop.reason.as_str().into()]);
    }
    table
}

/// The months that an indicator of amounts counts, with the series that decide.
fn counted(data: &PilotData<'_>, series: &[usize], pieces: &Pieces, period: Period) -> (Vec<usize>, Months) {
    let entering = [series, pieces.good_series.as_slice()].concat();
    let months = months_rule(data, &entering, period);
    (entering, months)
}

/// The pilots behind a group's figure.
pub(crate) fn of_group(figure: &Figure, members: &[Figure]) -> Vec<Table> {
    let mut table =
        Table::new("pilots", &["pilot", "enters", "actual", "adjusted_baseline", "reduction", "share", "findings"]);
    for member in members {
        let enters = member.state != model::State::Insufficient;
        let share = member.adjusted_baseline.zip(figure.adjusted_baseline).map(|(one, all)| one / all);
        let findings: Vec<&str> = member.findings.iter().map(|finding| finding.rule.as_str()).collect();
        table.row([
            member.scope.to_string().into(),
            if enters { "yes" } else { "no" }.into(),
            member.actual.into(),
            member.adjusted_baseline.into(),
            member.reduction.into(),
            share.filter(|_| enters).into(),
            findings.join(", ").into(),
        ]);
    }
    let mut steps = Steps::new();
    let included = || members.iter().filter(|member| member.state != model::State::Insufficient);
    let of = |part: fn(&Figure) -> Option<f64>| crate::sum::sum(included().filter_map(part));
    let any = included().next().is_some();
    let (actual, adjusted) = (of(|member| member.actual), of(|member| member.adjusted_baseline));
    steps.close(Some(actual).filter(|_| any), Some(adjusted).filter(|_| any), &figure.unit);
    vec![steps.0, table]
}

/// Whether the last steps are the figure's numbers.
pub(crate) fn comes_out_again(figure: &Figure, tables: &[Table]) -> Option<bool> {
    let steps = tables.iter().find(|table| table.id == "steps")?;
    let value = |step: &str| {
        let row = steps.rows.iter().rev().find(|row| row[0] == Cell::from(step) && row[1] == Cell::from(""))?;
        if let Cell::Number(number) = row[2] { Some(number) } else { None }
    };
    figure.actual.zip(figure.adjusted_baseline)?;
    let bits = |number: Option<f64>| number.map(f64::to_bits);
    let same = bits(value("actual")) == bits(figure.actual)
        && bits(value("adjusted_baseline")) == bits(figure.adjusted_baseline);
    Some(same)
}
