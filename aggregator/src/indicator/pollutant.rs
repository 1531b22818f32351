//! Pollutant intensity: kilograms of one pollutant against the baseline's per unit of standardised output.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::registry::adjustment::Adjusted;
use model::{Pilot, Quantity};

use super::by_hand;
use super::data::{Part, PilotData};
use super::ratio::Amounts;

/// The pollutants that a pilot registers, by name.
pub fn pollutants(pilot: &Pilot) -> BTreeSet<Arc<str>> {
    let name = |quantity: &Quantity| {
        if let Quantity::Emission(name) = quantity { Some(name.clone()) } else { None }
    };
    pilot.series.iter().filter_map(|series| name(&series.quantity)).collect()
}

/// Emissions of one pollutant in kg by month.
pub fn amounts(data: &PilotData<'_>, part: Part<'_>, pollutant: &Arc<str>) -> Amounts {
    let series = data.entering(part, |series| series.quantity == Quantity::Emission(pollutant.clone()));
    let of_it = |adjusted: &Adjusted| (*adjusted == Adjusted::Pollutant(pollutant.clone())).then_some(1.0);
    let by_hand = by_hand::stated(data, part, &of_it);
    let mut amounts = Amounts { series: series.clone(), by_hand, ..Amounts::default() };
    for index in series {
        let declared = &data.declared[index];
        for (product, sum) in declared.months() {
            let amount = declared.spec.amount(sum.value).unwrap_or(0.0);
            amounts.add(data, product, data.axis.index(sum.month), amount);
        }
    }
    amounts
}
