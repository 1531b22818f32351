//! Defective rate, standardised by product mix: defective pieces against inspected ones at the baseline's rates.
//!
//! Y = Σ_k x_r,k; A = Σ_k n_r,k · x_b,k / n_b,k over products inspected in both periods (METHOD 6.1); inspected = good +
//! defective. The share of the reporting output that has a baseline is the coverage.
//!
//! The interval is that of the standardised ratio with the baseline's own uncertainty in it, of one product the score
//! interval. Months are the lots of METHOD 6.4: where they differ by more than chance, the interval widens.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Effects, Method, Period, Variance};

use super::data::PilotData;
use super::effects::{Factors, effects};
use super::output::{Inspection, Pieces, over};
use super::{Certainty, Outcome, finding, one_period_only};
use crate::statistics::dispersion::dispersion;
use crate::statistics::standardised::{Mix, Standardised, Stratum};
use crate::statistics::{Confidence, Counted, Measure};
use crate::sum::sum;

/// The outcome of a period against the whole baseline period.
pub fn outcome(data: &PilotData<'_>, pieces: &Pieces, period: Period) -> Outcome {
    if pieces.inspection == Inspection::NotCounted {
        let text = "no defective pieces were ever counted at final inspection";
        return Outcome::insufficient(finding("no_defective", text));
    }
    let (reporting, baseline) = (data.months_of(period), data.baseline_months());
    if data.n_months_of(period) == 0 {
        return Outcome::insufficient(finding("open_period", "no month of the period is closed yet"));
    }
    let (strata, lots) = strata_of(pieces, &reporting, baseline);
    let (mut only_r, mut only_b) = (Vec::new(), Vec::new());
    for (product, stratum) in products(pieces).into_iter().zip(&strata) {
        match (stratum.reporting.size > 0.0, stratum.baseline.size > 0.0) {
            (true, false) => only_r.push(product),
            (false, true) => only_b.push(product),
            (true, true) | (false, false) => {}
        }
    }
    let mut outcome = of_strata(&strata, &lots, data.confidence());
    outcome.effects = split(&strata, reporting.len() as f64 / baseline.len() as f64);
    outcome.findings.extend(one_period_only(&only_r, &only_b));
    lower_by_time(data, pieces, &reporting, &mut outcome);
    outcome
}

fn of_strata(strata: &[Stratum], lots: &[Vec<Counted>], confidence: Confidence) -> Outcome {
    if !strata.iter().any(|stratum| stratum.reporting.size > 0.0) {
        return Outcome::insufficient(finding("no_output", "no inspected pieces in the period"));
    }
    let lots: Vec<&[Counted]> = lots.iter().map(Vec::as_slice).collect();
    let lots = dispersion(Measure::Proportion, &lots);
    let Ok(found) = Standardised::of(Measure::Proportion, strata, Mix::Reporting, lots.phi) else {
        let text = "no product of the period was inspected in the baseline";
        return Outcome { coverage: Some(0.0), ..Outcome::insufficient(finding("no_baseline", text)) };
    };
    let mut outcome = Outcome { coverage: Some(found.coverage), ..Outcome::default() };
    let in_both = strata.iter().filter(|stratum| stratum.reporting.size > 0.0 && stratum.baseline.size > 0.0);
    let inspected = sum(in_both.map(|stratum| stratum.reporting.size));
    outcome.actual = Some(found.observed);
    outcome.adjusted = Some(found.expected);
    outcome.output = Some(inspected);
    outcome.method = Some(Method::StandardisedRates);
    if found.expected <= 0.0 {
        outcome.findings.push(finding("no_baseline_defects", without_baseline_defects(&found, confidence)));
        return outcome;
    }
    if !lots.is_known() {
        let text = "too few months to tell whether defects come in lots: the interval takes them for independent";
        outcome.findings.push(finding("dispersion_unknown", text));
    }
    let squared = inspected * inspected;
    let (actual, adjusted_baseline) = (found.reporting.variance * squared, found.baseline.variance * squared);
    let variance = Variance { actual, adjusted_baseline, df: None };
    outcome.certainty = Some(Certainty { ratio: found.interval(confidence), variance });
    outcome
}

/// Why there are more or fewer defective pieces, over products inspected in both periods.
fn split(strata: &[Stratum], scale: f64) -> Option<Effects> {
    let both = || strata.iter().filter(|stratum| stratum.reporting.size > 0.0 && stratum.baseline.size > 0.0);
    let inspected = |of: fn(&Stratum) -> Counted| sum(both().map(|stratum| of(stratum).size));
    let (before, after) = (inspected(|stratum| stratum.baseline) * scale, inspected(|stratum| stratum.reporting));
    let row = |stratum: &Stratum| {
        let (from, to) = (stratum.baseline, stratum.reporting);
        (Factors::of(before, from.size * scale, from.count * scale), Factors::of(after, to.size, to.count))
    };
    effects(&both().map(row).collect::<Vec<_>>())
}

fn without_baseline_defects(found: &Standardised, confidence: Confidence) -> String {
    match found.observed > 0.0 {
        true => format!(
            "the baseline has no defective pieces: the ratio is infinite, and at least {:.2} with the confidence of the interval",
            found.interval(confidence).lower
        ),
        false => "neither period has a defective piece: the ratio is undefined".to_owned(),
    }
}

/// Where the good pieces' series say how much of the time they speak for, that share lowers the coverage.
fn lower_by_time(data: &PilotData<'_>, pieces: &Pieces, months: &[usize], outcome: &mut Outcome) {
    let Some(coverage) = outcome.coverage.as_mut() else { return };
    let shares = months.iter().map(|&month| data.month_coverage(&pieces.good_series, month));
    if !months.is_empty() {
        *coverage = coverage.min(sum(shares) / months.len() as f64);
    }
}

/// Each of [`products`] in both periods, and the months of those inspected in both, as lots.
pub fn strata_of(pieces: &Pieces, reporting: &[usize], baseline: &[usize]) -> (Vec<Stratum>, Vec<Vec<Counted>>) {
    let (mut strata, mut lots) = (Vec::new(), Vec::new());
    for product in products(pieces) {
        let (r, b) = (lots_of(pieces, &product, reporting), lots_of(pieces, &product, baseline));
        let stratum = Stratum { reporting: total(&r), baseline: total(&b) };
        strata.push(stratum);
        if stratum.reporting.size > 0.0 && stratum.baseline.size > 0.0 {
            lots.extend([r, b]);
        }
    }
    (strata, lots)
}

/// Every product that was ever inspected, in order.
pub fn products(pieces: &Pieces) -> BTreeSet<Arc<str>> {
    pieces.good.keys().chain(pieces.defective.keys()).cloned().collect()
}

/// Defective and inspected pieces of a product, month by month.
pub fn lots_of(pieces: &Pieces, product: &Arc<str>, months: &[usize]) -> Vec<Counted> {
    let of = |month: &usize| {
        let count = pieces.defective.get(product).map_or(0.0, |by_month| over(by_month, &[*month]));
        Counted { count, size: pieces.good_of(product, &[*month]) + count }
    };
    months.iter().map(of).collect()
}

fn total(lots: &[Counted]) -> Counted {
    Counted { count: sum(lots.iter().map(|lot| lot.count)), size: sum(lots.iter().map(|lot| lot.size)) }
}
