//! `[[price]]`, `[[index]]`, `[[charge]]` and `[[factor]]`: numbers per canonical unit of a carrier.

use std::sync::Arc;

use super::parse::{name_of, noted};
use super::raw::{RawCharge, RawFactor, RawIndex, RawPrice};
use super::{Charge, ChargePer, FactorOverride, Price, PriceIndex};
use crate::Quantity;
use crate::document::{Document, Item};
use crate::quantity::PerUnit;

const CHARGES: [&str; 5] = ["demand", "power_factor", "differential", "punitive", "surcharge"];

pub(super) fn price(doc: &mut Document<'_>, item: &Item<RawPrice>) -> Option<Price> {
    let raw = &item.value;
    let carrier = carrier(doc, item, &raw.carrier);
    let fine = raw.value.is_finite() && raw.value >= 0.0;
    if !fine {
        doc.mistake(item.line_of("value"), format!("price {} of `{}` must be 0 or more", raw.value, raw.carrier));
    }
    let per = PerUnit::parse(&raw.carrier, raw.unit.as_deref(), &["CNY", "元"]);
    let per = noted(doc, item.line_of("unit"), per);
    let (carrier, per) = (carrier?, per?);
    fine.then(|| Price { carrier, from: raw.from.0, value: per.canonical(raw.value) })
}

pub(super) fn factor(doc: &mut Document<'_>, item: &Item<RawFactor>) -> Option<FactorOverride> {
    let raw = &item.value;
    let carrier = carrier(doc, item, &raw.carrier);
    let fine = raw.value.is_finite() && raw.value > 0.0;
    if !fine {
        doc.mistake(item.line_of("value"), format!("factor {} of `{}` must be above 0", raw.value, raw.carrier));
    }
    let per = noted(doc, item.line_of("unit"), PerUnit::parse(&raw.carrier, raw.unit.as_deref(), &["kgce"]));
    let (carrier, per) = (carrier?, per?);
    fine.then(|| FactorOverride {
        carrier,
        value: per.canonical(raw.value),
        source: raw.source.clone(),
        line: item.line,
    })
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
    let per = match raw.unit.as_deref() {
        None | Some("CNY/month" | "元/月") => Some(ChargePer::Month),
        Some("CNY/kWh" | "元/kWh") => Some(ChargePer::Kwh),
        Some("1") => Some(ChargePer::Bill),
        Some(other) => {
            let text = format!("charge unit `{other}` is none of CNY/month, CNY/kWh, 1 (a share of the bill)");
            doc.mistake(item.line_of("unit"), text);
            None
        }
    };
    let per = per.filter(|_| known && raw.value.is_finite())?;
    Some(Charge { kind: raw.kind.clone(), from: raw.from.0, value: raw.value, per })
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
