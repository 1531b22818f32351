//! Amounts against standardised output: the rule that energy, cost and pollutants share.
//!
//! Let M = the closed months of the period with coverage ≥ 0.9 whose calendar month has coverage ≥ 0.9 in the baseline too.
//! Y = amounts over M; A = (E_b / Q_b) · Q_r over M and the baseline months that M uses. Series that carry a product enter
//! product by product instead: Σ_k E_b,k / n_b,k · n_r,k over products made in both periods.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Finding, Period};

use super::data::{MONTH_COVERAGE_MIN, PilotData};
use super::output::{Pieces, over, weight};
use super::{Outcome, finding, listed};
use crate::rollup::mark;
use crate::standing::Cap;
use crate::sum::Sum;

/// Amounts (kgce, CNY, kg) by month of the axis.
#[derive(Debug, Clone, Default)]
pub struct Amounts {
    /// Of series without a product; empty if there are none.
    pub general: Vec<Sum>,
    pub by_product: BTreeMap<Arc<str>, Vec<Sum>>,
    /// Registered series that enter, for coverage.
    pub series: Vec<usize>,
}

impl Amounts {
    /// Adds an amount of a month; months off the axis are still open.
    pub fn add(&mut self, data: &PilotData<'_>, product: Option<&Arc<str>>, index: Option<usize>, amount: f64) {
        let Some(index) = index else { return };
        let zeros = || vec![Sum::default(); data.axis.n];
        match product {
            Some(product) => self.by_product.entry(product.clone()).or_insert_with(zeros)[index].add(amount),
            None => {
                if self.general.is_empty() {
                    self.general = zeros();
                }
                self.general[index].add(amount);
            }
        }
    }
}

/// The months that a figure is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Months {
    pub reporting: Vec<usize>,
    pub baseline: Vec<usize>,
    /// Months of the period that could count.
    pub n_period: usize,
}

/// Applies the months rule.
pub fn months_rule(data: &PilotData<'_>, entering: &[usize], period: Period) -> Months {
    let covered = |index: &usize| data.month_coverage(entering, *index) >= MONTH_COVERAGE_MIN;
    let baseline: Vec<usize> = data.baseline_months().iter().copied().filter(covered).collect();
    let calendar_month = |index: usize| data.axis.month(index).month();
    let in_baseline = |index: &usize| baseline.iter().any(|&base| calendar_month(base) == calendar_month(*index));
    let reporting: Vec<usize> = data.months_of(period).into_iter().filter(covered).filter(in_baseline).collect();
    let used = |index: &usize| reporting.iter().any(|&month| calendar_month(month) == calendar_month(*index));
    let baseline = baseline.iter().copied().filter(used).collect();
    Months { reporting, baseline, n_period: data.n_months_of(period) }
}

/// The outcome of a period.
pub fn ratio(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, period: Period) -> Outcome {
    let entering = [amounts.series.as_slice(), pieces.good_series.as_slice()].concat();
    let months = months_rule(data, &entering, period);
    if months.n_period == 0 {
        return Outcome::insufficient(finding("open_period", "no month of the period is closed yet"));
    }
    let coverage = months.reporting.len() as f64 / months.n_period as f64;
    let mut outcome = Outcome { coverage: Some(coverage), ..Outcome::default() };
    if months.reporting.len() < months.n_period {
        outcome.findings.push(coverage_finding(data, &entering, &months, period));
    }
    if !months.reporting.is_empty() {
        fill(data, pieces, amounts, &months, &mut outcome);
        outcome.findings.extend(reading_findings(data, &entering, &months));
    }
    outcome
}

fn fill(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, months: &Months, outcome: &mut Outcome) {
    let (q_r, q_b) = (pieces.weighted(data.pilot, &months.reporting), pieces.weighted(data.pilot, &months.baseline));
    let (mut actual, mut adjusted) = (Sum::default(), Sum::default());
    if !amounts.general.is_empty() {
        if q_b <= 0.0 || q_r <= 0.0 {
            let when = if q_b <= 0.0 { "baseline" } else { "period" };
            return outcome
                .findings
                .push(finding("no_output", format!("no good pieces in the counted months of the {when}")));
        }
        actual.add(over(&amounts.general, &months.reporting));
        // The quotient of the outputs first: the same output gives the baseline's amount to the bit.
        adjusted.add(over(&amounts.general, &months.baseline) * (q_r / q_b));
        outcome.findings.extend(weights_finding(data, pieces, amounts, months));
        if outcome.findings.iter().any(|finding| finding.rule == WEIGHTS_ASSUMED) {
            outcome.cap = Cap::OnTrack;
        }
    }
    for (product, by_month) in &amounts.by_product {
        let (n_r, n_b) = (pieces.good_of(product, &months.reporting), pieces.good_of(product, &months.baseline));
        let (used_r, used_b) = (over(by_month, &months.reporting), over(by_month, &months.baseline));
        if n_r > 0.0 && n_b > 0.0 && used_b > 0.0 {
            actual.add(used_r);
            adjusted.add(used_b * (n_r / n_b));
        }
    }
    if adjusted.total() <= 0.0 {
        return outcome
            .findings
            .push(finding("no_baseline", "the baseline's counted months hold no amount to compare with"));
    }
    outcome.actual = Some(actual.total());
    outcome.adjusted = Some(adjusted.total());
    outcome.output = Some(q_r).filter(|output| *output > 0.0);
}

const WEIGHTS_ASSUMED: &str = "product_weights_assumed";

/// Several products through Q without weights, or one made in one period only without a weight of its own.
fn weights_finding(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, months: &Months) -> Option<Finding> {
    let (made_r, made_b) = (pieces.made(&months.reporting), pieces.made(&months.baseline));
    let made: Vec<Arc<str>> = made_r.union(&made_b).cloned().collect();
    let has_weight = |product: &Arc<str>| weight(data.pilot, product).is_some();
    if made.len() > 1 && amounts.by_product.is_empty() && !made.iter().any(has_weight) {
        let text = format!("{} products without `weight` ({}): each piece counts 1", made.len(), listed(&made));
        return Some(finding(WEIGHTS_ASSUMED, text));
    }
    let apart: Vec<Arc<str>> = made_r.symmetric_difference(&made_b).filter(|p| !has_weight(p)).cloned().collect();
    let text = || format!("made in one period only and without `weight`: {}; each piece counts 1", listed(&apart));
    (!apart.is_empty()).then(|| finding(WEIGHTS_ASSUMED, text()))
}

fn coverage_finding(data: &PilotData<'_>, entering: &[usize], months: &Months, period: Period) -> Finding {
    let lowest = |index: usize| {
        let of = |&series: &usize| data.declared[series].coverage(index).map(|coverage| (coverage, series));
        let lowest = entering.iter().filter_map(of).min_by(|a, b| a.0.total_cmp(&b.0));
        lowest.filter(|(coverage, _)| *coverage < MONTH_COVERAGE_MIN)
    };
    let worst = data.months_of(period).into_iter().find_map(lowest);
    let in_baseline = || data.baseline_months().iter().copied().find_map(lowest);
    let why = match worst.or_else(in_baseline) {
        Some((_, series)) => {
            let series = data.declared[series].series;
            format!("; `{}` of `{}` has months below 0.9", series.name, series.asset)
        }
        None => String::new(),
    };
    let text = format!(
        "{} of {} months have coverage of at least 0.9 here and in the baseline{why}",
        months.reporting.len(),
        months.n_period
    );
    finding("coverage", text)
}

/// What the readings of the counted months carry: decreases without an event, uncertain readings.
fn reading_findings(data: &PilotData<'_>, entering: &[usize], months: &Months) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut uncertain = false;
    for &series in entering {
        let declared = &data.declared[series];
        let counted = |index: &usize| months.reporting.contains(index) || months.baseline.contains(index);
        let noted = || declared.noted.iter().filter(|noted| counted(&noted.index));
        uncertain |= noted().any(|noted| noted.marks & mark::UNCERTAIN != 0);
        let decrease = noted().find_map(|noted| noted.decrease);
        findings.extend(decrease.map(|decrease| decrease_finding(declared.series, &decrease)));
    }
    if uncertain {
        findings.push(finding("uncertain_readings", "readings of uncertain quality are among the counted ones"));
    }
    findings
}

/// Names the event that would explain a decrease.
pub fn decrease_finding(series: &model::Series, decrease: &crate::rollup::Decrease) -> Finding {
    let text = format!(
        "`{}` of `{}` falls from {} to {} between {} and {}, which counts nothing; add [[event]] kind = \"meter_swap\" with at, \
         final and initial, or kind = \"rollover\"",
        series.name, series.asset, decrease.from, decrease.to, decrease.from_at, decrease.at
    );
    finding("decrease_without_event", text)
}
