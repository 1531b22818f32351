//! Production cycle and cycle time: the Hodges–Lehmann ratio on logarithms, by product, weighted by expected hours.
//!
//! Per product the estimate is the median of all differences ln r − ln b (METHOD 7.2); products combine with the weights
//! n_r · median_b (7.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Finding, Window};

use super::{Outcome, finding};
use crate::orders::Cohorts;
use crate::statistics::shift::{median_difference, median_of_sorted};
use crate::sum::Sum;

/// Fewer orders or pieces than this in a cohort carry no figure (all products together).
pub const COHORT_MIN: usize = 5;

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

    fn n(&self) -> usize {
        self.logs.len()
    }
}

/// The outcome of a reporting cohort against the baseline's; `what` names one value in findings (`order`, `piece`).
pub fn cycle(baseline: &Samples, reporting: &Samples, what: &str) -> Outcome {
    let n_of = |samples: &Samples| samples.values().map(Sample::n).sum::<usize>();
    let (n_baseline, n_reporting) = (n_of(baseline), n_of(reporting));
    if n_baseline < COHORT_MIN || n_reporting < COHORT_MIN {
        let text = format!(
            "{n_reporting} completed {what}s in the period and {n_baseline} in the baseline; at least {COHORT_MIN} of each are needed"
        );
        return Outcome::insufficient(finding("few_orders", text));
    }
    let (mut adjusted, mut weighted_log, mut n_covered) = (Sum::default(), Sum::default(), 0);
    for (product, sample) in reporting {
        let Some(base) = baseline.get(product) else { continue };
        let expected = sample.n() as f64 * base.median;
        adjusted.add(expected);
        weighted_log.add(expected * median_difference(&sample.logs, &base.logs));
        n_covered += sample.n();
    }
    let coverage = n_covered as f64 / n_reporting as f64;
    let adjusted = adjusted.total();
    let mut outcome = Outcome { coverage: Some(coverage), ..Outcome::default() };
    outcome.findings.extend(products_apart(baseline, reporting));
    if adjusted > 0.0 {
        let ratio = libm::exp(weighted_log.total() / adjusted);
        outcome.actual = Some(ratio * adjusted);
        outcome.adjusted = Some(adjusted);
        outcome.output = Some(n_covered as f64);
    }
    outcome
}

fn products_apart(baseline: &Samples, reporting: &Samples) -> Option<Finding> {
    let missing = |a: &Samples, b: &Samples| -> Vec<Arc<str>> {
        a.keys().filter(|product| !b.contains_key(*product)).cloned().collect()
    };
    super::one_period_only(&missing(reporting, baseline), &missing(baseline, reporting))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The method's vector, in hours.
    const BASELINE: [f64; 20] = [
        41.2, 38.5, 55.0, 47.3, 62.8, 39.9, 44.1, 51.6, 70.2, 43.7, 36.4, 58.9, 49.5, 45.8, 66.1, 40.3, 53.2, 48.7,
        120.5, 42.6,
    ];
    const REPORTING: [f64; 18] =
        [33.1, 29.8, 44.6, 37.9, 51.2, 30.7, 35.5, 41.3, 56.4, 34.0, 28.9, 47.7, 39.2, 36.6, 30.2, 43.0, 38.1, 95.4];

    fn samples(products: &[(&str, &[f64])]) -> Samples {
        products.iter().map(|&(product, values)| (product.into(), Sample::of(values.iter().copied()))).collect()
    }

    fn ratio(outcome: &Outcome) -> f64 {
        outcome.actual.unwrap() / outcome.adjusted.unwrap()
    }

    #[test]
    fn the_hodges_lehmann_ratio_is_that_of_the_vector() {
        let outcome = cycle(&samples(&[("A", &BASELINE)]), &samples(&[("A", &REPORTING)]), "order");
        assert!((ratio(&outcome) / 0.783377536574625 - 1.0).abs() < 1e-9);
        assert_eq!(outcome.adjusted, Some(18.0 * 48.0));
        assert_eq!(outcome.output, Some(18.0));
    }

    #[test]
    fn the_same_orders_give_a_ratio_of_one() {
        let both = samples(&[("A", &BASELINE), ("B", &REPORTING)]);
        assert_eq!(ratio(&cycle(&both, &both, "order")), 1.0);
    }

    #[test]
    fn a_product_of_one_period_is_left_out_and_lowers_coverage() {
        let outcome = cycle(&samples(&[("A", &BASELINE)]), &samples(&[("A", &BASELINE), ("B", &REPORTING)]), "order");
        assert_eq!(ratio(&outcome), 1.0);
        assert_eq!(outcome.coverage, Some(20.0 / 38.0));
        assert_eq!(outcome.findings[0].rule, "product_in_one_period");
    }

    #[test]
    fn four_orders_carry_no_figure() {
        let outcome =
            cycle(&samples(&[("A", &BASELINE)]), &samples(&[("A", &REPORTING[..2]), ("B", &REPORTING[..2])]), "order");
        assert_eq!((outcome.actual, outcome.findings[0].rule.as_str()), (None, "few_orders"));
    }

    proptest! {
        #[test]
        fn swapping_the_periods_inverts_the_ratio(a in proptest::collection::vec(0.1f64..500.0, 5..40),
                                                  b in proptest::collection::vec(0.1f64..500.0, 5..40)) {
            let (a, b) = (samples(&[("A", &a)]), samples(&[("A", &b)]));
            let (there, back) = (ratio(&cycle(&a, &b, "order")), ratio(&cycle(&b, &a, "order")));
            prop_assert!((there * back - 1.0).abs() < 1e-9);
        }
    }
}
