//! `[[adjustment]]`: what the baseline process would have used more (or less) because of a changed static factor.
//!
//! A new hall to heat, a process that was bought in: what is neither output nor weather is stated by a person, never
//! inferred. The amount is that of all days from `from` to `to`, spread evenly over them, and enters the adjusted baseline
//! of the periods that hold these days.
//!
//! Invariants:
//! - each has an amount that is not 0, an end, a reason, an author and its evidence;
//! - each lies after the baseline period of its indicator: the baseline itself is never adjusted.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::parse::{days, workshop_id};
use super::raw::RawAdjustment;
use super::terms::StatedTerms;
use super::{DayRange, Series, Workshop};
use crate::document::{Document, Item, Items};
use crate::quantity::carrier_unit;
use crate::{Indicator, Quantity, Slug, Unit};

/// One adjustment.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjustment {
    pub of: Adjusted,
    /// It enters this workshop's figures and the pilot's; without one the pilot's alone.
    pub workshop: Option<Slug>,
    /// Both days included, in the pilot's zone.
    pub days: DayRange,
    /// Of all days together, in [`Adjusted::unit`]; above 0 where the baseline process would have used more.
    pub amount: f64,
    pub reason: String,
    pub author: String,
    pub evidence: String,
}

/// What is adjusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adjusted {
    /// Energy intensity, on both bases of electricity: the amount of a carrier.
    Energy(Arc<str>),
    /// In yuan at the baseline's prices.
    OperatingCost,
    Pollutant(Arc<str>),
}

impl Adjusted {
    /// The unit of the amount.
    pub fn unit(&self) -> &'static str {
        match self {
            Adjusted::Energy(carrier) => carrier_unit(carrier),
            Adjusted::OperatingCost => "CNY",
            Adjusted::Pollutant(_) => "kg",
        }
    }

    /// The indicator that it is stated for.
    fn indicator(&self) -> Indicator {
        match self {
            Adjusted::Energy(_) => Indicator::EnergyIntensity,
            Adjusted::OperatingCost => Indicator::OperatingCost,
            Adjusted::Pollutant(pollutant) => Indicator::PollutantIntensity(pollutant.clone()),
        }
    }
}

impl fmt::Display for Adjusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Adjusted::Energy(carrier) => write!(f, "energy.{carrier}"),
            Adjusted::OperatingCost => f.write_str("operating_cost"),
            Adjusted::Pollutant(pollutant) => write!(f, "emission.{pollutant}"),
        }
    }
}

/// All that tells it from another one.
impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adjustment { of, workshop, days, amount, reason, author: _, evidence: _ } = self;
        write!(f, "{of} by {amount} from {} to {}", days.from, days.to)?;
        if let Some(workshop) = workshop {
            write!(f, " in {workshop}")?;
        }
        write!(f, ": {reason}")
    }
}

impl Adjustment {
    /// The part of the amount that falls on the days from `first` to before `next`; none where no day does.
    pub fn within(&self, first: Date, next: Date) -> Option<f64> {
        let end = self.days.to.tomorrow().unwrap_or(self.days.to);
        let n_inside = n_days(self.days.from.max(first), end.min(next))?;
        let n_all = n_days(self.days.from, end)?;
        // The share first, so that all days together give the amount to the bit.
        Some(self.amount * (f64::from(n_inside) / f64::from(n_all)))
    }
}

/// Days from one to before another.
fn n_days(from: Date, to: Date) -> Option<i32> {
    from.until(to).ok().map(|span| span.get_days()).filter(|n_days| *n_days > 0)
}

/// What an adjustment may name, and what it has to lie after.
pub(super) struct Around<'a> {
    pub(super) series: &'a Items<Series>,
    pub(super) workshops: &'a Items<Workshop>,
    pub(super) terms: &'a StatedTerms,
    pub(super) baseline: Option<DayRange>,
}

pub(super) fn adjustment(
    doc: &mut Document<'_>,
    item: &Item<RawAdjustment>,
    around: &Around<'_>,
) -> Option<Adjustment> {
    let raw = &item.value;
    let of = adjusted(doc, item, around);
    let days = days(doc, item.line_of("to"), "adjustment", (raw.from, raw.to));
    let workshop = raw.workshop.as_ref().map(|id| workshop(doc, item, id, around));
    for (key, text) in [("reason", &raw.reason), ("author", &raw.author), ("evidence", &raw.evidence)] {
        if text.trim().is_empty() {
            doc.mistake(
                item.line_of(key),
                format!("`{key}` is empty; an adjustment is a statement that has to be defended"),
            );
        }
    }
    let (of, days, workshop) = (of?, days?, workshop.map_or(Some(None), |workshop| workshop.map(Some))?);
    after_the_baseline(doc, item, (&of, days), around);
    let amount = amount(doc, item, &of)?;
    let (reason, author, evidence) = (raw.reason.clone(), raw.author.clone(), raw.evidence.clone());
    Some(Adjustment { of, workshop, days, amount, reason, author, evidence })
}

fn adjusted(doc: &mut Document<'_>, item: &Item<RawAdjustment>, around: &Around<'_>) -> Option<Adjusted> {
    let raw = &item.value;
    let of = match (Indicator::parse(&raw.indicator), &raw.carrier) {
        (Some(Indicator::EnergyIntensity), Some(carrier)) => Adjusted::Energy(carrier.as_str().into()),
        (Some(Indicator::EnergyIntensity), None) => {
            let text = "an adjustment of `energy_intensity` needs `carrier`, such as `electricity`: its amount is of one carrier";
            doc.mistake(item.line_of("indicator"), text);
            return None;
        }
        (Some(Indicator::OperatingCost), None) => Adjusted::OperatingCost,
        (Some(Indicator::PollutantIntensity(pollutant)), None) => Adjusted::Pollutant(pollutant),
        (Some(Indicator::OperatingCost | Indicator::PollutantIntensity(_)), Some(_)) => {
            doc.mistake(item.line_of("carrier"), "`carrier` is for `energy_intensity` only");
            return None;
        }
        (
            None
            | Some(
                Indicator::ProductionCycle
                | Indicator::DefectRate
                | Indicator::EnergyIntensityEquivalent
                | Indicator::CycleTime,
            ),
            _,
        ) => {
            let text = format!(
                "`{}` takes no adjustment; it is for energy_intensity, operating_cost and pollutant_intensity.POLLUTANT",
                raw.indicator
            );
            doc.mistake(item.line_of("indicator"), text);
            return None;
        }
    };
    let declared = |quantity: &Quantity| match (&of, quantity) {
        (Adjusted::Energy(carrier), Quantity::Energy(declared)) => declared == carrier,
        (Adjusted::Pollutant(pollutant), Quantity::Emission(declared)) => declared == pollutant,
        (Adjusted::OperatingCost, Quantity::Energy(_) | Quantity::Cost(_)) => true,
        _ => false,
    };
    let known = around.series.items.iter().any(|item| declared(&item.value.quantity));
    if !known && around.series.whole {
        let key = if raw.carrier.is_some() { "carrier" } else { "indicator" };
        doc.mistake(
            item.line_of(key),
            format!("no series of this file is measured for `{of}`; there is nothing to adjust"),
        );
    }
    Some(of)
}

fn workshop(doc: &mut Document<'_>, item: &Item<RawAdjustment>, id: &str, around: &Around<'_>) -> Option<Slug> {
    let id = workshop_id(doc, item, id)?;
    if around.workshops.whole && !around.workshops.items.iter().any(|item| item.value.id == id) {
        doc.mistake(item.line_of("workshop"), format!("workshop `{id}` is no `[[workshop]]` of this file"));
    }
    Some(id)
}

fn after_the_baseline(
    doc: &mut Document<'_>,
    item: &Item<RawAdjustment>,
    (of, days): (&Adjusted, DayRange),
    around: &Around<'_>,
) {
    let Some(of_pilot) = around.baseline else { return };
    let baseline = around.terms.baseline(&of.indicator(), of_pilot);
    if days.from <= baseline.to {
        let text = format!(
            "the adjustment begins on {}, in or before the baseline period, which ends on {}: the baseline is never adjusted",
            days.from, baseline.to
        );
        doc.mistake(item.line_of("from"), text);
    }
}

/// The amount in the unit of what is adjusted.
fn amount(doc: &mut Document<'_>, item: &Item<RawAdjustment>, of: &Adjusted) -> Option<f64> {
    let raw = &item.value;
    let canonical = Unit::parse(of.unit())?;
    let unit = raw.unit.as_deref().map_or(Some(canonical), Unit::parse);
    let Some(amount) = unit.and_then(|unit| unit.convert(raw.amount, &canonical)) else {
        let unit = raw.unit.as_deref().unwrap_or_default();
        doc.mistake(
            item.line_of("unit"),
            format!("unit `{unit}` does not fit `{of}`, which is counted in {}", of.unit()),
        );
        return None;
    };
    if !amount.is_finite() || amount == 0.0 {
        let text = format!(
            "`amount` is {}; it is a number other than 0, above 0 where the baseline process would have used more",
            raw.amount
        );
        doc.mistake(item.line_of("amount"), text);
        return None;
    }
    Some(amount)
}
