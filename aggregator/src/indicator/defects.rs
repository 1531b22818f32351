//! Defective rate, standardised by product mix: defective pieces against inspected ones at the baseline's rates.
//!
//! Y = Σ_k x_r,k; A = Σ_k n_r,k · x_b,k / n_b,k over products inspected in both periods (METHOD 6.1); inspected = good +
//! defective. The share of the reporting output that has a baseline is the coverage.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Period;

use super::data::PilotData;
use super::output::{Inspection, Pieces, over};
use super::{Outcome, finding, one_period_only};
use crate::sum::Sum;

/// Defective and inspected pieces of one product over some months.
struct Inspected {
    defective: f64,
    inspected: f64,
}

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
    let (mut actual, mut adjusted) = (Sum::default(), Sum::default());
    let (mut covered, mut all) = (Sum::default(), Sum::default());
    let (mut only_r, mut only_b) = (Vec::new(), Vec::new());
    for product in products(pieces) {
        let (r, b) = (inspected(pieces, &product, &reporting), inspected(pieces, &product, baseline));
        all.add(r.inspected);
        match (r.inspected > 0.0, b.inspected > 0.0) {
            (true, true) => {
                actual.add(r.defective);
                // The quotient of the pieces first: the same pieces give the baseline's defects to the bit.
                adjusted.add(b.defective * (r.inspected / b.inspected));
                covered.add(r.inspected);
            }
            (true, false) => only_r.push(product),
            (false, true) => only_b.push(product),
            (false, false) => {}
        }
    }
    let mut outcome = finish(actual.total(), adjusted.total(), covered.total(), all.total());
    outcome.findings.extend(one_period_only(&only_r, &only_b));
    lower_by_time(data, pieces, &reporting, &mut outcome);
    outcome
}

fn finish(actual: f64, adjusted: f64, covered: f64, all: f64) -> Outcome {
    if all <= 0.0 {
        return Outcome::insufficient(finding("no_output", "no inspected pieces in the period"));
    }
    let mut outcome = Outcome { coverage: Some(covered / all), ..Outcome::default() };
    if covered <= 0.0 {
        outcome.findings.push(finding("no_baseline", "no product of the period was inspected in the baseline"));
    } else if adjusted <= 0.0 {
        outcome
            .findings
            .push(finding("no_baseline_defects", "the baseline has no defective pieces: the ratio is undefined"));
    } else {
        outcome.actual = Some(actual);
        outcome.adjusted = Some(adjusted);
        outcome.output = Some(covered);
    }
    outcome
}

/// Where the good pieces' series say how much of the time they speak for, that share lowers the coverage.
fn lower_by_time(data: &PilotData<'_>, pieces: &Pieces, months: &[usize], outcome: &mut Outcome) {
    let Some(coverage) = outcome.coverage.as_mut() else { return };
    let shares = months.iter().map(|&month| data.month_coverage(&pieces.good_series, month));
    if !months.is_empty() {
        *coverage = coverage.min(crate::sum::sum(shares) / months.len() as f64);
    }
}

fn products(pieces: &Pieces) -> BTreeSet<Arc<str>> {
    pieces.good.keys().chain(pieces.defective.keys()).cloned().collect()
}

fn inspected(pieces: &Pieces, product: &Arc<str>, months: &[usize]) -> Inspected {
    let defective = pieces.defective.get(product).map_or(0.0, |by_month| over(by_month, months));
    Inspected { defective, inspected: pieces.good_of(product, months) + defective }
}
