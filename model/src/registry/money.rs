//! `[[price]]`, `[[index]]`, `[[charge]]` and `[[factor]]`: numbers per canonical unit of a carrier.

use std::sync::Arc;

use super::parse::{name_of, noted};
use super::raw::{RawCharge, RawFactor, RawIndex, RawPrice};
use super::{Charge, FactorOverride, Price, PriceIndex};
use crate::document::{Document, Item};
use crate::quantity::carrier_unit;
use crate::{Quantity, Unit};

const CHARGES: [&str; 3] = ["demand", "power_factor", "surcharge"];

pub(super) fn price(doc: &mut Document<'_>, item: &Item<RawPrice>) -> Option<Price> {
    let raw = &item.value;
    let carrier = carrier(doc, item, &raw.carrier);
    let fine = raw.value.is_finite() && raw.value >= 0.0;
    if !fine {
        doc.mistake(item.line_of("value"), format!("price {} of `{}` must be 0 or more", raw.value, raw.carrier));
    }
    let per = per_canonical(&raw.carrier, raw.unit.as_deref(), &["CNY", "元"]);
    let per = noted(doc, item.line_of("unit"), per);
    let (carrier, per) = (carrier?, per?);
    fine.then(|| Price { carrier, from: raw.from.0, value: per.of(raw.value) })
}

pub(super) fn factor(doc: &mut Document<'_>, item: &Item<RawFactor>) -> Option<FactorOverride> {
    let raw = &item.value;
    let carrier = carrier(doc, item, &raw.carrier);
    let fine = raw.value.is_finite() && raw.value > 0.0;
    if !fine {
        doc.mistake(item.line_of("value"), format!("factor {} of `{}` must be above 0", raw.value, raw.carrier));
    }
    let per = noted(doc, item.line_of("unit"), per_canonical(&raw.carrier, raw.unit.as_deref(), &["kgce"]));
    let (carrier, per) = (carrier?, per?);
    fine.then(|| FactorOverride { carrier, value: per.of(raw.value), source: raw.source.clone() })
}

pub(super) fn index(doc: &mut Document<'_>, item: &Item<RawIndex>) -> Option<PriceIndex> {
    let raw = &item.value;
    let category = name_of(doc, item, "category", &raw.category);
    if !(raw.value.is_finite() && raw.value > 0.0) {
        doc.mistake(item.line_of("value"), format!("index {} of `{}` must be above 0", raw.value, raw.category));
        return None;
    }
    Some(PriceIndex { category: category?, from: raw.from.0, value: raw.value })
}

pub(super) fn charge(doc: &mut Document<'_>, item: &Item<RawCharge>) -> Option<Charge> {
    let raw = &item.value;
    let known = CHARGES.contains(&raw.kind.as_str());
    if !known {
        doc.mistake(item.line_of("kind"), format!("charge `{}` is none of {}", raw.kind, CHARGES.join(", ")));
    }
    if !raw.value.is_finite() {
        doc.mistake(item.line_of("value"), format!("charge `{}` needs a number, not {}", raw.kind, raw.value));
    }
    (known && raw.value.is_finite()).then(|| Charge { kind: raw.kind.clone(), from: raw.from.0, value: raw.value })
}

fn carrier<T>(doc: &mut Document<'_>, item: &Item<T>, carrier: &str) -> Option<Arc<str>> {
    let known = Quantity::parse(&format!("energy.{carrier}")).is_some();
    if !known {
        let text =
            format!("carrier `{carrier}` is no single word such as `natural_gas`; series name it `energy.<carrier>`");
        doc.mistake(item.line_of("carrier"), text);
    }
    known.then(|| Arc::from(carrier))
}

/// How many of a declared unit make one canonical unit, as a ratio: 3000 CNY/t are 3 CNY/kg.
#[derive(Debug, Clone, Copy)]
struct Per {
    declared: Unit,
    canonical: Unit,
}

impl Per {
    fn of(self, value: f64) -> f64 {
        // Dividing by a whole number keeps 3000 CNY/t exactly 3 CNY/kg; multiplying by 0.001 would not.
        match (self.declared.convert(1.0, &self.canonical), self.canonical.convert(1.0, &self.declared)) {
            (Some(many), Some(_)) if many >= 1.0 => value / many,
            (Some(_), Some(few)) => value * few,
            (Some(_) | None, Some(_) | None) => value,
        }
    }
}

/// Reads `CNY/t`, `kgce/m3` or just `m3`; none = the carrier's canonical unit.
fn per_canonical(carrier: &str, unit: Option<&str>, of: &[&str]) -> Result<Per, String> {
    let symbol = carrier_unit(carrier);
    // Safe because a test parses the unit of every carrier.
    let canonical = Unit::parse(symbol).expect("the unit of a carrier is in the table");
    let Some(text) = unit else { return Ok(Per { declared: canonical, canonical }) };
    let below = of.iter().find_map(|above| text.strip_prefix(above)?.strip_prefix('/')).unwrap_or(text);
    let declared = Unit::parse(below).filter(|declared| declared.dimension() == canonical.dimension());
    let fits = || {
        format!("unit `{text}` does not fit `{carrier}`, which is counted in {symbol}: such as `{}/{symbol}`", of[0])
    };
    declared.map(|declared| Per { declared, canonical }).ok_or_else(fits)
}
