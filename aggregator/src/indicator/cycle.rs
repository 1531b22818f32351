//! Production cycle and cycle time: how long orders (or pieces) take against the baseline's, by product.
//!
//! Where every order of both cohorts is completed, a product's estimate is the Hodges–Lehmann ratio on logarithms (METHOD
//! 7.2). Where orders are open at the common horizon, it is the ratio of restricted means (7.5): what is still open is
//! censored, never dropped, so that the end of a log does not look like an improvement. Products combine on logarithms with
//! the weights n_r · median_b, the hours that the baseline expects of the period's orders (7.4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Finding, Method, UnixMillis, Variance, Window};

use super::{Certainty, Outcome, finding, listed};
use crate::orders::{Cohorts, Orders};
use crate::standing::Cap;
use crate::statistics::cohort::{self, Comparison, NoFigure, OPEN_SHARE_LATE, ORDERS_MIN, compare_with, hours_between};
use crate::statistics::shift::{
    EXACT_MAX, Null, interval_at, median_difference, median_of_sorted, se_of_interval, weighted,
};
use crate::statistics::survival::{Lifetime, Survival, restricted_mean_ratio};
use crate::statistics::{Confidence, Interval, LogRatio};
use crate::sum::{Sum, sum};

/// The rules of findings that go with the data's cut-off: such a figure is made again when the data go on.
pub const MOVING: [&str; 4] = ["open_orders", "provisional_cohort", "too_recent", "all_orders_open"];

/// The values of one product in one cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    logs: Vec<f64>,
    median: f64,
}

/// The values of a cohort by product.
pub type Samples = BTreeMap<Arc<str>, Sample>;

/// The samples of a window.
pub fn samples(cohorts: &Cohorts, window: Window) -> Samples {
    cohorts.within(window).map(|(product, values)| (product.clone(), Sample::of(values.iter().map(|v| v.1)))).collect()
}

impl Sample {
    /// Of at least one positive value.
    pub fn of(values: impl Iterator<Item = f64>) -> Sample {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let logs = values.iter().map(|&value| libm::log(value)).collect();
        Sample { logs, median: median_of_sorted(&values) }
    }

    /// How many values.
    pub fn n(&self) -> usize {
        self.logs.len()
    }

    /// Sorted logarithms of the values in hours.
    pub fn logs(&self) -> &[f64] {
        &self.logs
    }

    /// In hours.
    pub fn median(&self) -> f64 {
        self.median
    }
}

/// The orders of one cohort, product after product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cohort {
    orders: Vec<cohort::Order>,
    /// Where each product's orders lie.
    products: BTreeMap<Arc<str>, Range<usize>>,
    /// Of a cohort of which every order is completed.
    samples: Option<Samples>,
}

impl Cohort {
    /// The orders that were started in a window.
    pub fn of(orders: &Orders, window: Window) -> Cohort {
        let mut cohort = Cohort::default();
        for (product, runs) in orders.cohort(window) {
            let from = cohort.orders.len();
            let of = |run: &crate::orders::Run| cohort::Order { start: run.start.0, end: run.end.map(|end| end.0) };
            cohort.orders.extend(runs.iter().map(of));
            cohort.products.insert(product.clone(), from..cohort.orders.len());
        }
        let hours = |order: &cohort::Order| order.end.map(|end| hours_between(order.start, end));
        let leads: Option<Vec<f64>> = cohort.orders.iter().map(hours).collect();
        cohort.samples = leads.map(|leads| cohort.by_product(&leads));
        cohort
    }

    /// The survival of its orders as known at the data's cut-off.
    pub fn curve(&self, cut_off: UnixMillis) -> Survival {
        cohort::curve(&self.orders, cut_off.0)
    }

    fn by_product(&self, leads: &[f64]) -> Samples {
        let sample = |range: &Range<usize>| Sample::of(leads[range.clone()].iter().copied());
        self.products.iter().map(|(product, range)| (product.clone(), sample(range))).collect()
    }

    /// The samples of a cohort that turned out complete; one without an open order was sorted when it was read.
    fn samples_of(&self, leads: &[f64]) -> Cow<'_, Samples> {
        self.samples.as_ref().map_or_else(|| Cow::Owned(self.by_product(leads)), Cow::Borrowed)
    }
}

/// What tells a log that has ended from one that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The latest event of any order.
    last_event: UnixMillis,
    /// The time in which nine tenths of the baseline's orders are completed, in hours.
    late: f64,
}

impl Log {
    /// Of a baseline's orders and the log's last event.
    pub fn of(baseline: &Cohort, last_event: UnixMillis) -> Log {
        let life = |order: &cohort::Order| match order.end {
            Some(end) => Lifetime::Completed(hours_between(order.start, end)),
            None => Lifetime::Open(f64::MAX),
        };
        let lives: Vec<Lifetime> = baseline.orders.iter().map(life).collect();
        Log { last_event, late: Survival::of(&lives).falls_to(OPEN_SHARE_LATE) }
    }

    /// Other data go on where orders have fallen silent: then nobody says that an order is still open, or was completed.
    pub fn caution(&self, reporting: &Cohort, outcome: &mut Outcome) {
        let Some(last_start) = reporting.orders.iter().map(|order| order.start).max() else { return };
        let followed = hours_between(last_start, self.last_event.0);
        let is_said =
            outcome.findings.iter().any(|finding| ["provisional_cohort", "too_recent"].contains(&&*finding.rule));
        if followed < self.late && outcome.actual.is_some() && !is_said {
            outcome.cap = Cap::OnTrack;
            let text = format!(
                "no order event since {}, {} h after the last start: orders that took longer may be missing or completed",
                self.last_event,
                shown(followed)
            );
            outcome.findings.push(finding("orders_silent", text));
        }
    }
}

/// The production cycle of a cohort of orders against the baseline's, as known at the data's cut-off.
pub fn production_cycle(baseline: &Cohort, reporting: &Cohort, cut_off: UnixMillis, confidence: Confidence) -> Outcome {
    production_cycle_with((baseline, &baseline.curve(cut_off)), reporting, cut_off, confidence)
}

/// [`production_cycle`] with the survival curve of the baseline at hand: many periods are held against one.
pub fn production_cycle_with(
    (baseline, curve): (&Cohort, &Survival),
    reporting: &Cohort,
    cut_off: UnixMillis,
    confidence: Confidence,
) -> Outcome {
    match compare_with(&reporting.orders, (&baseline.orders, curve), cut_off.0, None) {
        Comparison::NoFigure(NoFigure::FewOrders) => {
            few(reporting.orders.len(), baseline.orders.len(), "started order")
        }
        Comparison::NoFigure(NoFigure::TooRecent) => {
            let text =
                "its orders started so shortly before the end of the data that only the quick ones are completed";
            Outcome::insufficient(finding("too_recent", text))
        }
        Comparison::Complete { reporting: leads, baseline: base, .. } => {
            shift(&baseline.samples_of(&base), &reporting.samples_of(&leads), confidence)
        }
        Comparison::Censored { horizon, reporting: lives, baseline: base } => {
            let (n_open, n_open_base) = (n_open(&lives), n_open(&base));
            if n_open == lives.len() || n_open_base == base.len() {
                return all_open(n_open, lives.len(), horizon);
            }
            let mut outcome = restricted((reporting, &lives), (baseline, &base), horizon, confidence);
            let text = format!(
                "{n_open} orders of the period and {n_open_base} of the baseline are open {} h after their start: censored there",
                shown(horizon)
            );
            outcome.findings.push(finding("open_orders", text));
            outcome.method = Some(Method::RestrictedMeans);
            outcome
        }
        Comparison::Provisional { horizon, reporting: lives, baseline: base } => {
            let n_open = n_open(&lives);
            if n_open == lives.len() {
                return all_open(n_open, lives.len(), horizon);
            }
            let mut outcome = restricted((reporting, &lives), (baseline, &base), horizon, confidence);
            outcome.cap = Cap::OnTrack;
            let text = format!(
                "the last orders have not been followed as long as nine tenths of the baseline's took: compared over the first {} h, \
                 {n_open} of {} orders still open",
                shown(horizon),
                lives.len()
            );
            outcome.findings.push(finding("provisional_cohort", text));
            outcome.method = Some(Method::RestrictedMeans);
            outcome
        }
    }
}

fn n_open(lives: &[Lifetime]) -> usize {
    lives.iter().filter(|life| matches!(life, Lifetime::Open(_))).count()
}

/// Orders of which none is completed say how long they have taken at least, and no more.
fn all_open(n_open: usize, n: usize, horizon: f64) -> Outcome {
    let text =
        format!("{n_open} of the period's {n} orders are open over the {} h that can be compared", shown(horizon));
    Outcome::insufficient(finding("all_orders_open", text))
}

/// Whole hours; minutes matter only below ten.
fn shown(hours: f64) -> String {
    if hours < 10.0 { format!("{hours:.1}") } else { format!("{hours:.0}") }
}

/// The outcome of a reporting cohort of completed values against the baseline's; `what` names one value (`piece`).
pub fn cycle(baseline: &Samples, reporting: &Samples, what: &str, confidence: Confidence) -> Outcome {
    let n_of = |samples: &Samples| samples.values().map(Sample::n).sum::<usize>();
    let (n_baseline, n_reporting) = (n_of(baseline), n_of(reporting));
    if n_baseline < ORDERS_MIN || n_reporting < ORDERS_MIN {
        return few(n_reporting, n_baseline, what);
    }
    shift(baseline, reporting, confidence)
}

fn few(n_reporting: usize, n_baseline: usize, what: &str) -> Outcome {
    let text = format!(
        "{n_reporting} {what}s in the period and {n_baseline} in the baseline; at least {ORDERS_MIN} of each are needed"
    );
    Outcome::insufficient(finding("few_orders", text))
}

/// One product of both cohorts.
struct Part {
    ratio: LogRatio,
    /// Of a product alone.
    interval: Interval,
    n: usize,
    /// The hours that the baseline expects of the period's orders.
    expected: f64,
}

/// By Hodges–Lehmann.
fn shift(baseline: &Samples, reporting: &Samples, confidence: Confidence) -> Outcome {
    let both = || reporting.iter().filter_map(|(product, sample)| Some((sample, baseline.get(product)?)));
    let spread = pooled_variance(both().flat_map(|(sample, base)| [sample, base]));
    let part = |(sample, base): (&Sample, &Sample)| {
        let log = median_difference(&sample.logs, &base.logs);
        let interval = hodges_lehmann_interval(sample, base, confidence);
        let enough = sample.n() >= ORDERS_MIN && base.n() >= ORDERS_MIN;
        let of_few = || spread.map(|spread| (spread * (1.0 / sample.n() as f64 + 1.0 / base.n() as f64)).sqrt());
        let se = if enough { se_of_interval(interval, confidence) } else { of_few() };
        let ratio = LogRatio { log, se: se.unwrap_or(f64::INFINITY) };
        Part { ratio, interval, n: sample.n(), expected: sample.n() as f64 * base.median }
    };
    let n = |samples: &Samples| samples.values().map(Sample::n).sum();
    let parts: Vec<Part> = both().map(part).collect();
    let outcome = combine(&parts, n(reporting), apart(baseline.keys(), reporting.keys()), confidence);
    Outcome { method: Some(Method::HodgesLehmann), ..outcome }
}

/// By restricted means to one horizon.
fn restricted(
    (reporting, lives): (&Cohort, &[Lifetime]),
    (baseline, base_lives): (&Cohort, &[Lifetime]),
    horizon: f64,
    confidence: Confidence,
) -> Outcome {
    let (mut parts, mut thin) = (Vec::new(), Vec::new());
    for (product, range) in &reporting.products {
        let Some(base_range) = baseline.products.get(product) else { continue };
        let (r, b) = (Survival::of(&lives[range.clone()]), Survival::of(&base_lives[base_range.clone()]));
        let enough = range.len() >= ORDERS_MIN && base_range.len() >= ORDERS_MIN;
        let Some(ratio) = restricted_mean_ratio(&r, &b, horizon).filter(|_| enough) else {
            thin.push(product.clone());
            continue;
        };
        // A median that is not reached yet is at least the mean so far.
        let median = Some(b.median()).filter(|median| median.is_finite());
        let median = median.or_else(|| b.restricted_mean(horizon).map(|mean| mean.hours)).unwrap_or(horizon);
        let interval = ratio.interval(confidence);
        parts.push(Part { ratio, interval, n: range.len(), expected: range.len() as f64 * median });
    }
    let mut findings = apart(baseline.products.keys(), reporting.products.keys());
    if !thin.is_empty() {
        let text = format!("too few orders up to the horizon: {} left out on both sides", listed(&thin));
        findings.push(finding("few_orders_of_product", text));
    }
    combine(&parts, lives.len(), findings, confidence)
}

/// Products combined; `n_all` are the orders of the period.
fn combine(parts: &[Part], n_all: usize, findings: Vec<Finding>, confidence: Confidence) -> Outcome {
    let n_covered: usize = parts.iter().map(|part| part.n).sum();
    let mut outcome = Outcome { coverage: Some(n_covered as f64 / n_all as f64), findings, ..Outcome::default() };
    let adjusted = sum(parts.iter().map(|part| part.expected));
    let ratios: Vec<(LogRatio, f64)> = parts.iter().map(|part| (part.ratio, part.expected)).collect();
    let Some(together) = weighted(&ratios) else { return outcome };
    let actual = together.ratio() * adjusted;
    outcome.actual = Some(actual);
    outcome.adjusted = Some(adjusted);
    outcome.output = Some(n_covered as f64);
    let ratio = match parts {
        [only] => only.interval,
        _ => together.interval(confidence),
    };
    if together.se.is_finite() && ratio.upper.is_finite() {
        let variance =
            Variance { actual: (actual * together.se) * (actual * together.se), adjusted_baseline: 0.0, df: None };
        outcome.certainty = Some(Certainty { ratio, variance });
    }
    outcome
}

/// The products that only one of the periods has.
fn apart<'p>(
    baseline: impl Iterator<Item = &'p Arc<str>> + Clone,
    reporting: impl Iterator<Item = &'p Arc<str>> + Clone,
) -> Vec<Finding> {
    let only_in_baseline: Vec<Arc<str>> =
        baseline.clone().filter(|p| !reporting.clone().any(|q| q == *p)).cloned().collect();
    let only_in_period: Vec<Arc<str>> = reporting.filter(|p| !baseline.clone().any(|q| q == *p)).cloned().collect();
    super::one_period_only(&only_in_period, &only_in_baseline).into_iter().collect()
}

/// The variance of logarithms within products; none of single values.
fn pooled_variance<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    let (mut squares, mut df) = (Sum::default(), 0);
    for sample in samples {
        let mean = sum(sample.logs.iter().copied()) / sample.n() as f64;
        sample.logs.iter().for_each(|log| squares.add((log - mean) * (log - mean)));
        df += sample.n() - 1;
    }
    (df > 0).then(|| squares.total() / df as f64)
}

/// The exact distribution depends on the two sizes alone, and takes long: its rank at the usual confidence is remembered.
fn hodges_lehmann_interval(sample: &Sample, base: &Sample, confidence: Confidence) -> Interval {
    const SIZES: usize = (EXACT_MAX + 1) * (EXACT_MAX + 1);
    static RANKS: [AtomicUsize; SIZES] = [const { AtomicUsize::new(0) }; SIZES];
    let (n, m) = (sample.n(), base.n());
    let rank = || Null::of(&sample.logs, &base.logs).rank(confidence);
    let is_remembered = confidence == Confidence::NINETY && n <= EXACT_MAX && m <= EXACT_MAX;
    let known = RANKS.get(n * (EXACT_MAX + 1) + m).filter(|_| is_remembered);
    let rank = match known {
        None => rank(),
        Some(known) => match known.load(Ordering::Relaxed) {
            0 => {
                let rank = rank();
                known.store(rank, Ordering::Relaxed);
                rank
            }
            rank => rank,
        },
    };
    interval_at(rank, &sample.logs, &base.logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Samples {
        [(Arc::from("A"), Sample::of(values.iter().copied()))].into()
    }

    fn vector() -> (Vec<f64>, Vec<f64>) {
        let baseline = [
            41.2, 38.5, 55.0, 47.3, 62.8, 39.9, 44.1, 51.6, 70.2, 43.7, 36.4, 58.9, 49.5, 45.8, 66.1, 40.3, 53.2, 48.7,
            120.5, 42.6,
        ];
        let reporting = [
            33.1, 29.8, 44.6, 37.9, 51.2, 30.7, 35.5, 41.3, 56.4, 34.0, 28.9, 47.7, 39.2, 36.6, 30.2, 43.0, 38.1, 95.4,
        ];
        (baseline.to_vec(), reporting.to_vec())
    }

    #[test]
    fn the_methods_vector_comes_out_with_its_interval() {
        let (baseline, reporting) = vector();
        let outcome = cycle(&of(&baseline), &of(&reporting), "order", Confidence::NINETY);
        assert!((outcome.ratio().unwrap() - 0.783377536574625).abs() < 1e-14);
        let interval = outcome.certainty.unwrap().ratio;
        assert!(
            (interval.lower - 0.699530516431925).abs() < 1e-14 && (interval.upper - 0.889671361502347).abs() < 1e-14
        );
        assert!((outcome.adjusted.unwrap() - 18.0 * 48.0).abs() < 1e-9);
        assert_eq!(outcome.coverage, Some(1.0));
        let doubled = outcome.actual.unwrap() / outcome.adjusted.unwrap();
        assert!((doubled - 0.783377536574625).abs() < 1e-14);
    }

    #[test]
    fn few_values_carry_no_figure() {
        let (baseline, reporting) = vector();
        let few = cycle(&of(&baseline), &of(&reporting[..4]), "order", Confidence::NINETY);
        assert_eq!((few.ratio(), few.findings[0].rule.as_str()), (None, "few_orders"));
    }

    #[test]
    fn products_combine_by_the_hours_the_baseline_expects() {
        let two = |a: &[f64], b: &[f64]| -> Samples {
            [("A", a), ("B", b)].map(|(p, v)| (Arc::from(p), Sample::of(v.iter().copied()))).into()
        };
        let baseline = two(&[10.0; 6], &[100.0; 6]);
        let outcome = cycle(&baseline, &two(&[5.0; 6], &[100.0; 6]), "order", Confidence::NINETY);
        let expected = libm::exp(60.0 * libm::log(0.5) / 660.0);
        assert!((outcome.ratio().unwrap() - expected).abs() < 1e-14);
        // The mix alone moves nothing.
        let shifted = cycle(&baseline, &two(&[10.0; 1], &[100.0; 9]), "order", Confidence::NINETY);
        assert!((shifted.ratio().unwrap() - 1.0).abs() < 1e-15);
    }

    const HOUR: i64 = 3_600_000;

    /// Orders of one product, `(start, lead)` in hours, as the log shows them at its end.
    fn log(orders: impl Iterator<Item = (i64, i64)>, cut_off: i64) -> Cohort {
        let mut cohort = Cohort::default();
        cohort.orders.extend(orders.map(|(start, lead)| cohort::Order {
            start: start * HOUR,
            end: Some((start + lead) * HOUR).filter(|end| *end <= cut_off * HOUR),
        }));
        cohort.products.insert("A".into(), 0..cohort.orders.len());
        cohort
    }

    /// Leads of one unchanging process: 20 to 219 hours, in no order.
    fn lead(n: i64) -> i64 {
        20 + n * 7_919 % 200
    }

    #[test]
    fn the_end_of_a_log_of_an_unchanged_process_shows_no_improvement() {
        let baseline = log((0..300).map(|n| (n * 2, lead(n))), 100_000);
        let mut seen = std::collections::BTreeSet::new();
        for months_left in 0..40 {
            let cut_off = 2_000 + months_left * 20;
            let started = (0..200).map(|n| (1_400 + n * 3, lead(n + 77))).filter(|(start, _)| *start <= cut_off);
            let outcome =
                production_cycle(&baseline, &log(started, cut_off), UnixMillis(cut_off * HOUR), Confidence::NINETY);
            let rule = outcome.findings.first().map_or("complete", |finding| finding.rule.as_str()).to_owned();
            if let Some(certainty) = outcome.certainty {
                assert!(certainty.ratio.contains(1.0), "{cut_off}: {rule} {:?}", certainty.ratio);
            } else {
                assert_eq!(rule, "too_recent", "{cut_off}");
            }
            seen.insert(rule);
        }
        assert!(seen.contains("complete") && seen.contains("provisional_cohort"), "{seen:?}");
    }

    #[test]
    fn a_meter_does_not_vouch_for_a_log_that_has_ended() {
        let baseline = log((0..300).map(|n| (n * 2, lead(n))), 100_000);
        // Only what was completed by hour 1,700 is in the log, and the meters go on to hour 5,000.
        let completed = (0..100).map(|n| (1_400 + n * 3, lead(n + 77))).filter(|(start, lead)| start + lead <= 1_700);
        let truncated = log(completed, 5_000);
        let look = |last_event: i64| {
            let mut outcome = production_cycle(&baseline, &truncated, UnixMillis(5_000 * HOUR), Confidence::NINETY);
            Log::of(&baseline, UnixMillis(last_event * HOUR)).caution(&truncated, &mut outcome);
            (outcome.cap, outcome.findings.iter().map(|finding| finding.rule.clone()).collect::<Vec<String>>())
        };
        assert_eq!(look(1_700), (Cap::OnTrack, vec!["orders_silent".to_owned()]));
        assert_eq!(look(4_900), (Cap::None, vec![]), "the log went on long enough to know");
    }

    #[test]
    fn a_month_that_only_just_began_has_no_figure_and_open_orders_are_censored() {
        let baseline = log((0..300).map(|n| (n * 2, lead(n))), 100_000);
        let young = log((0..50).map(|n| (1_000 + n, lead(n))), 1_060);
        let outcome = production_cycle(&baseline, &young, UnixMillis(1_060 * HOUR), Confidence::NINETY);
        assert_eq!((outcome.ratio(), outcome.findings[0].rule.as_str()), (None, "too_recent"));
        // Of orders of which none is completed nothing is said but that.
        let none = log((0..50).map(|n| (1_000 + n, 9_000)), 5_000);
        let outcome = production_cycle(&baseline, &none, UnixMillis(5_000 * HOUR), Confidence::NINETY);
        assert_eq!((outcome.ratio(), outcome.findings[0].rule.as_str()), (None, "all_orders_open"));
        // One order that never ends stays in: what is open at the horizon has taken the horizon at least.
        let mut stuck = log((0..50).map(|n| (1_000 + n, lead(n))), 5_000);
        stuck.orders[7].end = None;
        stuck.samples = None;
        let outcome = production_cycle(&baseline, &stuck, UnixMillis(5_000 * HOUR), Confidence::NINETY);
        let rules: Vec<&str> = outcome.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules, ["open_orders"]);
        let whole = log((0..50).map(|n| (1_000 + n, lead(n))), 5_000);
        let without = production_cycle(&baseline, &whole, UnixMillis(5_000 * HOUR), Confidence::NINETY);
        assert!(outcome.ratio().unwrap() > without.ratio().unwrap());
    }
}
