//! What was billed beside the price of a kWh: demand, power factor, differential and punitive prices, other surcharges.
//!
//! Penalties are for the inefficiency that the constant-price figure measures already, so that they stand in nominal cost only,
//! each kind for itself.
//!
//! Invariants:
//! - a charge holds from its day on until the next of its kind; before the first there is none;
//! - what goes with electricity that is not in scope is not told, rather than zero; nor is a workshop's part of the plant's bill.

use std::collections::BTreeSet;

use model::registry::{Charge, ChargePer};

use crate::indicator::cost::{Cost, bought_over};
use crate::indicator::data::{Part, PilotData};
use crate::indicator::ratio::Months;
use crate::sum::sum;

const ELECTRICITY: &str = "energy.electricity";

/// What was billed under one kind of charge in the months that count; none where electricity is not in scope and the charge
/// goes with it.
pub(super) struct Charged<'a> {
    pub(super) kind: &'a str,
    pub(super) baseline: Option<f64>,
    pub(super) reporting: Option<f64>,
}

/// Demand, power factor and surcharges over the counted months, each kind for itself.
pub(super) fn charges<'a>((data, part): (&PilotData<'a>, Part<'_>), cost: &Cost, months: &Months) -> Vec<Charged<'a>> {
    let kinds: BTreeSet<&str> = data.pilot.charges.iter().map(|charge| charge.kind.as_str()).collect();
    let over = |kind: &str, months: &[usize]| -> Option<f64> {
        let of_month = |&month: &usize| {
            let first = data.axis.month(month).first_day();
            let begun = data.pilot.charges.iter().filter(|charge| charge.kind == kind && charge.from <= first);
            begun.max_by_key(|charge| charge.from).map_or(Some(0.0), |charge| charge_of(charge, (cost, part), month))
        };
        let all: Option<Vec<f64>> = months.iter().map(of_month).collect();
        all.map(sum)
    };
    let of = |kind| Charged { kind, baseline: over(kind, &months.baseline), reporting: over(kind, &months.reporting) };
    kinds.into_iter().map(of).collect()
}

/// A charge's yuan of one month.
fn charge_of(charge: &Charge, (cost, part): (&Cost, Part<'_>), month: usize) -> Option<f64> {
    let electricity = || {
        let item = cost.items.iter().position(|item| item == ELECTRICITY)?;
        let bands = cost.bought[item].values().map(|by_month| bought_over(by_month, &[month]));
        let (kwh, bill): (Vec<f64>, Vec<f64>) = bands.unzip();
        Some((sum(kwh), sum(bill)))
    };
    match charge.per {
        // What the whole plant is billed is no workshop's.
        ChargePer::Month => (part == Part::Whole).then_some(charge.value),
        ChargePer::Kwh => electricity().map(|(kwh, _)| charge.value * kwh),
        ChargePer::Bill => electricity().map(|(_, bill)| charge.value * bill),
    }
}
