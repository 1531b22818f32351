//! What a pilot used since its first reading, by carrier, in joules: month sums added up, the open month included.
//!
//! Only the meters that count for the whole pilot enter, as in its figures. Electricity and heat are energy already; a fuel
//! is taken at the calorific value of the factors in force, and a carrier without one is left out rather than guessed.
//!
//! Invariants:
//! - at most [`CARRIERS_MAX`] series a pilot, and their sum is everything that could be converted;
//! - a carrier of which nothing was read has no series.

use std::collections::BTreeMap;

use model::{Kind, Pilot, Quantity, Unit};
use seeds::factors::Basis;
use store::StoreError;

use super::{Name, Page};
use crate::Aggregator;
use crate::figured::stored_sums_of;
use crate::rollup::{Spec, mark};
use crate::sum::Sum;

/// Carriers with a series of their own; what is beyond them in the order of their ids is added up as [`OTHERS`]. A plant
/// has three or four.
pub(super) const CARRIERS_MAX: usize = 10;
const OTHERS: &str = "others";
/// One kgce, 7000 kcal of 4.1868 kJ.
const JOULES_PER_KGCE: f64 = 29_307_600.0;

pub(super) fn add(page: &mut Page, aggregator: &Aggregator, pilot: &Pilot) -> Result<(), StoreError> {
    let mut by_carrier: BTreeMap<&str, Sum> = BTreeMap::new();
    for (series, stored) in pilot.series.iter().zip(stored_sums_of(aggregator, pilot)?.by_series) {
        let Quantity::Energy(carrier) = &series.quantity else { continue };
        let Some(joules_per_unit) = joules_per_unit(aggregator, pilot, carrier) else { continue };
        if series.part_of.is_some() || series.kind == Kind::Duration {
            continue;
        }
        let spec = Spec::of(series);
        for sum in stored.iter().flat_map(|stored| &stored.sums.months) {
            if let Some(amount) = spec.amount(sum.value).filter(|_| sum.marks & mark::CONTRIBUTED != 0) {
                by_carrier.entry(carrier).or_default().add(amount * joules_per_unit);
            }
        }
    }
    let mut others = Sum::default();
    let n_own = if by_carrier.len() > CARRIERS_MAX { CARRIERS_MAX - 1 } else { CARRIERS_MAX };
    for (index, (carrier, joules)) in by_carrier.iter().enumerate() {
        match index < n_own {
            true => page.add(Name::Energy, &[("pilot", pilot.id.as_str()), ("carrier", carrier)], joules.total()),
            false => others.add(joules.total()),
        }
    }
    if by_carrier.len() > n_own {
        page.add(Name::Energy, &[("pilot", pilot.id.as_str()), ("carrier", OTHERS)], others.total());
    }
    Ok(())
}

/// Joules in one canonical unit of a carrier; none for a fuel without a factor.
fn joules_per_unit(aggregator: &Aggregator, pilot: &Pilot, carrier: &str) -> Option<f64> {
    let energy = Quantity::Energy(carrier.into()).canonical_unit().zip(Unit::parse("J"));
    energy
        .and_then(|(unit, joule)| unit.convert(1.0, &joule))
        .or_else(|| Some(aggregator.factors.at(pilot, carrier, Basis::Calorific)? * JOULES_PER_KGCE))
}
