//! Amounts against standardised output: the rule that energy, cost and pollutants share.
//!
//! Let M = the closed months of the period with coverage ≥ 0.9 whose calendar month has coverage ≥ 0.9 in the baseline too.
//! Y = amounts over M; A = (E_b / Q_b) · Q_r over M and the baseline months that M uses. Series that carry a product enter
//! product by product instead: Σ_k E_b,k / n_b,k · n_r,k over products made in both periods.
//!
//! The interval is that of a ratio estimator on months (METHOD 8): how far each month's amount is from what its own output
//! would have taken, with the period's ratio and with the baseline's. It needs two months on each side.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Effects, Finding, Method, Period, Variance};

use super::by_hand::{self, ByHand};
use super::data::PilotData;
use super::effects::{Factors, effects};
use super::output::{Pieces, over, weight};
use super::{Certainty, Outcome, finding, listed, t_quantile};
use crate::rollup::mark;
use crate::standing::Cap;
use crate::statistics::Confidence;
use crate::statistics::adjusted::Comparison;
use crate::sum::{Sum, sum};

/// Amounts (kgce, CNY, kg) by month of the axis.
#[derive(Debug, Clone, Default)]
pub struct Amounts {
    /// Of series without a product; empty if there are none.
    pub general: Vec<Sum>,
    pub by_product: BTreeMap<Arc<str>, Vec<Sum>>,
    /// Registered series that enter, for coverage.
    pub series: Vec<usize>,
    /// Adjustments, in the same unit.
    pub by_hand: Vec<ByHand>,
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

impl Months {
    /// What turns the baseline's months into as many as the period has.
    pub fn baseline_scale(&self) -> f64 {
        self.reporting.len() as f64 / self.baseline.len() as f64
    }
}

/// Applies the months rule.
pub fn months_rule(data: &PilotData<'_>, entering: &[usize], period: Period) -> Months {
    let covered = |index: &usize| data.is_covered(entering, *index);
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
    over_months(data, &entering, period, |months, outcome| fill(data, pieces, amounts, months, outcome))
}

/// The months that count in a period, handed to `fill` if there are any, with what their coverage and readings say.
pub fn over_months(
    data: &PilotData<'_>,
    entering: &[usize],
    period: Period,
    fill: impl FnOnce(&Months, &mut Outcome),
) -> Outcome {
    let months = months_rule(data, entering, period);
    if months.n_period == 0 {
        return Outcome::insufficient(finding("open_period", "no month of the period is closed yet"));
    }
    let coverage = months.reporting.len() as f64 / months.n_period as f64;
    let mut outcome = Outcome { coverage: Some(coverage), ..Outcome::default() };
    if months.reporting.len() < months.n_period {
        outcome.findings.push(coverage_finding(data, entering, &months, period));
    }
    if !months.reporting.is_empty() {
        fill(&months, &mut outcome);
        outcome.findings.extend(reading_findings(data, entering, &months));
    }
    outcome
}

/// Compares the months that count.
pub fn fill(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, months: &Months, outcome: &mut Outcome) {
    let parts = match parts(data, pieces, amounts, months) {
        Ok(parts) => parts,
        Err(why) => return outcome.findings.push(why),
    };
    if !amounts.general.is_empty() {
        outcome.findings.extend(weights_finding(data, pieces, amounts, months));
        if outcome.findings.iter().any(|finding| finding.rule == WEIGHTS_ASSUMED) {
            outcome.cap = Cap::OnTrack;
        }
    }
    let actual = sum(parts.iter().map(|part| part.actual));
    let adjusted = adjusted(&parts, &amounts.by_hand, months);
    if adjusted <= 0.0 {
        return outcome
            .findings
            .push(finding("no_baseline", "the baseline's counted months hold no amount to compare with"));
    }
    outcome.by_hand = by_hand::over(&amounts.by_hand, &months.reporting);
    outcome.actual = Some(actual);
    outcome.adjusted = Some(adjusted);
    outcome.output = Some(pieces.weighted(data.pilot, &months.reporting)).filter(|output| *output > 0.0);
    outcome.method = Some(Method::Ratio);
    outcome.effects = split(data, pieces, amounts, months);
    outcome.certainty = certainty(&parts, months, (actual, adjusted), &amounts.by_hand, data.confidence());
    if outcome.certainty.is_none() {
        outcome
            .findings
            .push(finding("no_interval", "an interval needs amounts of at least two months here and in the baseline"));
    }
}

/// Why the amount changed.
pub fn split(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, months: &Months) -> Option<Effects> {
    let side = |amounts: &[Sum], output: f64, months: &[usize], scale: f64| {
        Factors::of(pieces.total(months) * scale, output * scale, over(amounts, months) * scale)
    };
    let (reporting, baseline) = (&months.reporting, &months.baseline);
    let row = |by_month: &[Sum], output: &dyn Fn(&[usize]) -> f64| {
        (
            side(by_month, output(baseline), baseline, months.baseline_scale()),
            side(by_month, output(reporting), reporting, 1.0),
        )
    };
    let general =
        (!amounts.general.is_empty()).then(|| row(&amounts.general, &|months| pieces.weighted(data.pilot, months)));
    let by_product = amounts
        .by_product
        .iter()
        .filter(|(product, _)| pieces.good_of(product, reporting) > 0.0 && pieces.good_of(product, baseline) > 0.0);
    let by_product = by_product.map(|(product, by_month)| row(by_month, &|months| pieces.good_of(product, months)));
    effects(&general.into_iter().chain(by_product).collect::<Vec<_>>())
}

/// What goes with standardised output, and what goes with the pieces of single products.
///
/// # Errors
/// The finding that says which side has no output.
pub fn parts(
    data: &PilotData<'_>,
    pieces: &Pieces,
    amounts: &Amounts,
    months: &Months,
) -> Result<Vec<Proportional>, Finding> {
    let mut parts = Vec::new();
    if !amounts.general.is_empty() {
        let weighted = |months: &[usize]| pieces.weighted(data.pilot, months);
        let (q_r, q_b) = (weighted(&months.reporting), weighted(&months.baseline));
        if q_b <= 0.0 || q_r <= 0.0 {
            let when = if q_b <= 0.0 { "baseline" } else { "period" };
            return Err(finding("no_output", format!("no good pieces in the counted months of the {when}")));
        }
        parts.push(Proportional::of(None, &amounts.general, months, &|month| weighted(&[month]), (q_r, q_b)));
    }
    for (product, by_month) in &amounts.by_product {
        let (n_r, n_b) = (pieces.good_of(product, &months.reporting), pieces.good_of(product, &months.baseline));
        let part =
            Proportional::of(Some(product), by_month, months, &|month| pieces.good_of(product, &[month]), (n_r, n_b));
        if n_r > 0.0 && n_b > 0.0 && part.baseline > 0.0 {
            parts.push(part);
        }
    }
    Ok(parts)
}

/// What the baseline says for the period: its amounts at the period's output, and what a person stated beside them.
pub fn adjusted(parts: &[Proportional], by_hand: &[ByHand], months: &Months) -> f64 {
    let routine = sum(parts.iter().map(Proportional::adjusted));
    by_hand::over(by_hand, &months.reporting).map_or(routine, |stated| routine + stated)
}

/// The same as one side of a sum, such as a carrier beside others that are modelled.
///
/// # Errors
/// The finding that says why there is no ratio, or why it has no variance.
pub fn compared(
    data: &PilotData<'_>,
    pieces: &Pieces,
    amounts: &Amounts,
    months: &Months,
) -> Result<Comparison, Finding> {
    let parts = parts(data, pieces, amounts, months)?;
    let actual = sum(parts.iter().map(|part| part.actual));
    let adjusted_baseline = sum(parts.iter().map(Proportional::adjusted));
    let scattered = certainty(&parts, months, (actual, adjusted_baseline), &[], data.confidence());
    let scattered = scattered.map(|certainty| certainty.variance);
    let unknown = Variance { actual: f64::INFINITY, adjusted_baseline: f64::INFINITY, df: None };
    let variance = scattered.unwrap_or(unknown);
    Ok(Comparison {
        actual,
        adjusted_baseline,
        variance_model: variance.adjusted_baseline,
        variance_noise: variance.actual,
        df: variance.df.unwrap_or(f64::INFINITY),
    })
}

/// Amounts that the baseline takes for proportional to one output.
pub struct Proportional {
    /// None for what goes with standardised output.
    pub product: Option<Arc<str>>,
    pub actual: f64,
    /// Of the baseline's own months.
    pub baseline: f64,
    /// Output of the period over output of the baseline.
    scale: f64,
    /// Amount and output by month.
    reporting: Vec<(f64, f64)>,
    base: Vec<(f64, f64)>,
    /// Output of the baseline.
    pub output: f64,
}

impl Proportional {
    fn of(
        product: Option<&Arc<str>>,
        amounts: &[Sum],
        months: &Months,
        output: &dyn Fn(usize) -> f64,
        (q_r, q_b): (f64, f64),
    ) -> Proportional {
        let of = |months: &[usize]| months.iter().map(|&month| (over(amounts, &[month]), output(month))).collect();
        Proportional {
            product: product.cloned(),
            actual: over(amounts, &months.reporting),
            baseline: over(amounts, &months.baseline),
            // The quotient of the outputs first: the same output gives the baseline's amount to the bit.
            scale: q_r / q_b,
            reporting: of(&months.reporting),
            base: of(&months.baseline),
            output: q_b,
        }
    }

    /// The baseline's amount at the period's output.
    pub fn adjusted(&self) -> f64 {
        self.baseline * self.scale
    }

    /// Output of the period.
    pub fn output_now(&self) -> f64 {
        self.output * self.scale
    }

    /// What the baseline took for this much output.
    fn expected(&self, output: f64) -> f64 {
        self.baseline * (output / self.output)
    }
}

/// Var Y = n/(n−1) Σ (Y_i − R A_i)² and Var A likewise over the baseline's months, at the scale of the period.
fn certainty(
    parts: &[Proportional],
    months: &Months,
    (actual, adjusted): (f64, f64),
    by_hand: &[ByHand],
    confidence: Confidence,
) -> Option<Certainty> {
    let (n_r, n_b) = (months.reporting.len(), months.baseline.len());
    if n_r < 2 || n_b < 2 {
        return None;
    }
    let ratio = actual / adjusted;
    let reporting = (0..n_r).map(|month| {
        let stated = by_hand::over(by_hand, &[months.reporting[month]]).unwrap_or(0.0);
        let off = parts.iter().map(|part| part.reporting[month].0 - ratio * part.expected(part.reporting[month].1));
        sum(off) - ratio * stated
    });
    let base = (0..n_b).map(|month| {
        sum(parts.iter().map(|part| part.scale * (part.base[month].0 - part.expected(part.base[month].1))))
    });
    let df = n_r.min(n_b) - 1;
    let variance = Variance { actual: scatter(reporting), adjusted_baseline: scatter(base), df: Some(df as f64) };
    Certainty::of_log(actual, adjusted, variance, t_quantile(confidence, df))
}

/// n/(n−1) Σ e².
fn scatter(off: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = off.len() as f64;
    n / (n - 1.0) * sum(off.map(|off| off * off))
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
    let asked = data.terms.month_coverage_min;
    let lowest = |index: usize| {
        let of = |&series: &usize| data.declared[series].coverage(index).map(|coverage| (coverage, series));
        let lowest = entering.iter().filter_map(of).min_by(|a, b| a.0.total_cmp(&b.0));
        lowest.filter(|(coverage, _)| *coverage < asked)
    };
    let worst = data.months_of(period).into_iter().find_map(lowest);
    let in_baseline = || data.baseline_months().iter().copied().find_map(lowest);
    let why = match worst.or_else(in_baseline) {
        Some((_, series)) => {
            let series = data.declared[series].series;
            format!("; `{}` of `{}` has months below {asked}", series.name, series.asset)
        }
        None => String::new(),
    };
    let text = format!(
        "{} of {} months have coverage of at least {asked} here and in the baseline{why}",
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
