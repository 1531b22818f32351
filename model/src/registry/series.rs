//! `[[series]]` and `[[event]]`: what a series is, and the dated facts about it.

use super::parse::{name_of, noted, workshop_id};
use super::raw::{RawEvent, RawEventKind, RawSeries};
use super::{OnDecrease, Series, SeriesEvent, SeriesEventKind};
use crate::document::{Document, Item, Items};
use crate::quantity::QUANTITIES;
use crate::{Dimension, Kind, Quantity, Unit};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

pub(super) fn series(doc: &mut Document<'_>, item: &Item<RawSeries>) -> Option<Series> {
    let raw = &item.value;
    let asset = name_of(doc, item, "asset", &raw.asset);
    let name = name_of(doc, item, "name", &raw.name);
    let product = raw.product.as_deref().map(|product| name_of(doc, item, "product", product));
    let band = raw.band.as_deref().map(|band| name_of(doc, item, "band", band));
    let workshop = raw.workshop.as_deref().map(|workshop| workshop_id(doc, item, workshop));
    let quantity =
        Quantity::parse(&raw.quantity).ok_or_else(|| format!("quantity `{}` is none of {QUANTITIES}", raw.quantity));
    let quantity = noted(doc, item.line_of("quantity"), quantity);
    let numbers = numbers(doc, item);
    let declared_gap = raw.max_gap.as_deref().map(|text| noted(doc, item.line_of("max_gap"), duration_ms(text)));
    let quantity = quantity?;
    let unit = noted(doc, item.line_of("unit"), unit(raw, &quantity));
    check_kind(doc, item, &quantity);
    let declared_gap = flip(declared_gap)?;
    Some(Series {
        asset: asset?,
        name: name?,
        product: flip(product)?,
        max_gap_ms: declared_gap.or_else(|| default_gap_ms(&quantity, raw.kind)),
        quantity,
        kind: raw.kind,
        unit: unit?,
        multiplier: numbers?.multiplier,
        rollover: numbers?.rollover,
        declares_max_gap: declared_gap.is_some(),
        plausible: numbers?.plausible,
        stage: raw.stage.clone(),
        band: flip(band)?,
        part_of: raw.part_of.clone(),
        workshop: flip(workshop)?,
        on_decrease: OnDecrease::from(raw.on_decrease),
        until: raw.until.map(|day| day.0),
        events: Vec::new(),
        line: item.line,
    })
}

/// A key that was declared and is wrong spoils the series; one that was not declared does not.
fn flip<T>(declared: Option<Option<T>>) -> Option<Option<T>> {
    match declared {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

#[derive(Clone, Copy)]
struct Numbers {
    multiplier: f64,
    rollover: Option<f64>,
    plausible: Option<[f64; 2]>,
}

fn numbers(doc: &mut Document<'_>, item: &Item<RawSeries>) -> Option<Numbers> {
    let raw = &item.value;
    let multiplier = raw.multiplier.unwrap_or(1.0);
    let fine = multiplier.is_finite() && multiplier != 0.0;
    if !fine {
        doc.mistake(item.line_of("multiplier"), format!("multiplier {multiplier} must be a number other than 0"));
    }
    let rolls = raw.rollover.is_none_or(|rollover| rollover.is_finite() && rollover > 0.0);
    if let Some(rollover) = raw.rollover.filter(|_| !rolls) {
        let text = format!("rollover {rollover} must be above 0: the first value that the register cannot show");
        doc.mistake(item.line_of("rollover"), text);
    }
    let plausible = match raw.plausible.as_deref() {
        None => Some(None),
        Some(&[lower, upper]) if lower <= upper => Some(Some([lower, upper])),
        Some(_) => {
            doc.mistake(
                item.line_of("plausible"),
                "`plausible` needs two numbers `[lowest, highest]`, the lower one first",
            );
            None
        }
    };
    let plausible = plausible?;
    (fine && rolls).then_some(Numbers { multiplier, rollover: raw.rollover, plausible })
}

/// The declared unit if it fits, else the canonical one.
fn unit(raw: &RawSeries, quantity: &Quantity) -> Result<Unit, String> {
    let canonical = quantity.canonical_unit();
    let Some(text) = raw.unit.as_deref() else {
        return canonical.ok_or_else(|| {
            format!("`{quantity}` has no unit of its own: say `unit`, for a plain number `unit = \"1\"`")
        });
    };
    let Some(canonical) = canonical else {
        let long = || format!("unit `{text}` is longer than 15 bytes");
        return Unit::parse_or_own(text).filter(|_| !text.chars().any(char::is_control)).ok_or_else(long);
    };
    let Some(unit) = Unit::parse(text) else {
        return Err(format!(
            "unit `{text}` is not known; `{quantity}` is counted in {canonical} and what converts to it"
        ));
    };
    if quantity.takes(unit.dimension(), raw.kind) {
        return Ok(unit);
    }
    let power = unit.dimension() == Dimension::Power && matches!(quantity, Quantity::Energy(_));
    let hint = if power { "; power is integrated only with kind `gauge`" } else { "" };
    Err(format!(
        "unit `{text}` is a unit of {}; `{quantity}` is counted in {canonical}{hint}",
        unit.dimension().as_str()
    ))
}

fn check_kind(doc: &mut Document<'_>, item: &Item<RawSeries>, quantity: &Quantity) {
    let raw = &item.value;
    if raw.kind == Kind::Duration && *quantity != Quantity::TimeCycle {
        let text = format!("kind `duration` is for quantity `time.cycle` only, not for `{quantity}`");
        doc.mistake(item.line_of("kind"), text);
    }
    let kind = raw.kind.as_str();
    if raw.kind != Kind::Counter && raw.rollover.is_some() {
        doc.mistake(item.line_of("rollover"), format!("`rollover` is for kind `counter` only, not for `{kind}`"));
    }
    if raw.kind != Kind::Counter && raw.on_decrease.is_some() {
        doc.mistake(item.line_of("on_decrease"), format!("`on_decrease` is for kind `counter` only, not for `{kind}`"));
    }
    let electricity = matches!(quantity, Quantity::Energy(carrier) if &**carrier == "electricity");
    if raw.band.is_some() && !electricity {
        let text = format!("`band` is for quantity `energy.electricity` only, not for `{quantity}`");
        doc.mistake(item.line_of("band"), text);
    }
}

/// Counters and deltas a day, gauges an hour, cost postings 32 days; pieces and durations cover no time by themselves.
fn default_gap_ms(quantity: &Quantity, kind: Kind) -> Option<i64> {
    match (quantity, kind) {
        (Quantity::Output(_), _) | (_, Kind::Duration) => None,
        (Quantity::Cost(_), Kind::Delta) => Some(32 * DAY_MS),
        (_, Kind::Counter | Kind::Delta) => Some(DAY_MS),
        (_, Kind::Gauge) => Some(HOUR_MS),
    }
}

/// Reads `2h`, `15m`, `1h30m`, `32d`, `90s` or `500ms`.
fn duration_ms(text: &str) -> Result<i64, String> {
    let bad = || format!("duration `{text}` is none such as `90s`, `15m`, `2h` or `32d`, above 0");
    let mut total = 0i64;
    let mut rest = text;
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(n_digits);
        let n_letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(n_letters);
        let size = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            _ => return Err(bad()),
        };
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(size)).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = tail;
    }
    if total > 0 { Ok(total) } else { Err(bad()) }
}

/// Gives every event to the series it names, by time.
pub(super) fn attach_events(doc: &mut Document<'_>, series: &mut Items<Series>, events: Items<RawEvent>) {
    for event in events.items {
        let Some(index) = series_of(doc, series, &event) else { continue };
        let one = &mut series.items[index].value;
        if let Some(what) = what_happened(doc, &event, one) {
            let at = event.value.at.0;
            let twin = one
                .events
                .iter()
                .any(|other| other.at == at && std::mem::discriminant(&other.what) == std::mem::discriminant(&what));
            if twin {
                let text = format!("`{}/{}` has two events of this kind at {at}; keep one", one.asset, one.name);
                doc.mistake(event.line_of("at"), text);
            } else {
                one.events.push(SeriesEvent { at, what });
            }
        }
    }
    for item in &mut series.items {
        item.value.events.sort_by_key(|event| event.at);
    }
}

fn series_of(doc: &mut Document<'_>, series: &Items<Series>, event: &Item<RawEvent>) -> Option<usize> {
    let raw = &event.value;
    let named = series.items.iter().enumerate().filter(|(_, item)| {
        let series = &item.value;
        let product = raw.product.is_none() || series.product.as_deref() == raw.product.as_deref();
        *series.asset == *raw.asset && *series.name == *raw.name && product
    });
    let found: Vec<usize> = named.map(|(index, _)| index).collect();
    let of_product = raw.product.as_ref().map(|product| format!(" with product `{product}`")).unwrap_or_default();
    match found.as_slice() {
        [one] => Some(*one),
        [] if series.whole => {
            let text =
                format!("event of `{}/{}`{of_product}, which is no `[[series]]` of this file", raw.asset, raw.name);
            doc.mistake(event.line, text);
            None
        }
        // A series that could not be read has its own mistake; this one may well be right.
        [] => None,
        _ => {
            let text = format!("event of `{}/{}`, of which there are several; say `product`", raw.asset, raw.name);
            doc.mistake(event.line, text);
            None
        }
    }
}

fn what_happened(doc: &mut Document<'_>, event: &Item<RawEvent>, series: &Series) -> Option<SeriesEventKind> {
    let raw = &event.value;
    let mut complain = |key: &str, text: &str| {
        doc.mistake(event.line_of(key), text);
        None
    };
    let given: Vec<&str> = [("final", raw.last), ("initial", raw.initial), ("value", raw.value)]
        .into_iter()
        .filter_map(|(key, value)| value.map(|_| key))
        .collect();
    let finite = [raw.last, raw.initial, raw.value].into_iter().flatten().all(f64::is_finite);
    if !finite {
        return complain("kind", "the numbers of an event must be finite");
    }
    let counter = series.kind == Kind::Counter;
    match (raw.kind, raw.last, raw.initial, raw.value) {
        (RawEventKind::MeterSwap, Some(last), Some(first), None) if counter => {
            Some(SeriesEventKind::MeterSwap { last, first })
        }
        (RawEventKind::Rollover, None, None, None) if series.rollover.is_some() => Some(SeriesEventKind::Rollover),
        (RawEventKind::Multiplier, None, None, Some(value)) if value != 0.0 => Some(SeriesEventKind::Multiplier(value)),
        (RawEventKind::MeterSwap, ..) if !counter => {
            complain("kind", "a `meter_swap` is for series of kind `counter` only")
        }
        (RawEventKind::MeterSwap, ..) => {
            let text =
                format!("a `meter_swap` needs `final` and `initial` and nothing else; it has {}", listed(&given));
            complain("kind", &text)
        }
        (RawEventKind::Rollover, None, None, None) => complain(
            "kind",
            "a `rollover` event needs `rollover = …` on its series: the value at which the register begins again",
        ),
        (RawEventKind::Rollover, ..) => {
            complain("kind", &format!("a `rollover` event needs `at` and nothing else; it has {}", listed(&given)))
        }
        (RawEventKind::Multiplier, ..) => {
            let text =
                format!("a `multiplier` event needs `value`, not 0, and nothing else; it has {}", listed(&given));
            complain("kind", &text)
        }
    }
}

fn listed(given: &[&str]) -> String {
    if given.is_empty() { "none of them".to_owned() } else { given.join(", ") }
}
