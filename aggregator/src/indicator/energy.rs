//! Energy intensity: standard coal (kgce) of the period against the baseline's per unit of standardised output.
//!
//! One set of factors for both periods. The calorific basis sets the figure; the equivalent one is shown beside it.

use model::{Finding, Period, Quantity};
use seeds::factors::Basis;

use super::data::{Part, PilotData};
use super::output::Pieces;
use super::ratio::{Amounts, ratio};
use super::{Outcome, finding};

/// Energy of a part of the pilot in kgce by month.
///
/// # Errors
/// The finding that says why there is none: no energy series, or a carrier without a factor.
pub fn amounts(data: &PilotData<'_>, part: Part<'_>, basis: Basis) -> Result<Amounts, Finding> {
    let series = data.entering(part, |series| matches!(series.quantity, Quantity::Energy(_)));
    if series.is_empty() {
        return Err(finding("no_series", "no `energy.*` series is registered here"));
    }
    let mut amounts = Amounts { series: series.clone(), ..Amounts::default() };
    for index in series {
        let declared = &data.declared[index];
        let Quantity::Energy(carrier) = &declared.series.quantity else { continue };
        let factor = data.factors.at(data.pilot, carrier, basis).ok_or_else(|| no_factor(carrier))?;
        for (product, sum) in declared.months() {
            let amount = declared.spec.amount(sum.value).unwrap_or(0.0);
            amounts.add(data, product, data.axis.index(sum.month), amount * factor);
        }
    }
    Ok(amounts)
}

fn no_factor(carrier: &str) -> Finding {
    let text = format!("no kgce factor for `{carrier}`; state one with [[factor]] carrier = \"{carrier}\"");
    finding("no_factor", text)
}

/// The outcome of a period.
pub fn outcome(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, period: Period) -> Outcome {
    let mut outcome = ratio(data, pieces, amounts, period);
    if outcome.actual.is_some() {
        let text = "a ratio to output takes the base load for zero until a model of it exists";
        outcome.findings.push(finding("base_load", text));
    }
    outcome
}
