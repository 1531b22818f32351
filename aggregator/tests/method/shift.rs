//! METHOD 7.2 to 7.4 and 7.7: Hodges–Lehmann and geometric-mean ratios.

use aggregator::statistics::shift::{
    EXACT_MAX, GeometricRatio, Null, Pairs, Variance, fieller, hodges_lehmann, hodges_lehmann_interval, p_below,
    se_of_interval, sorted_logs, weighted,
};
use aggregator::statistics::{Confidence, Interval, LogRatio, Undefined};
use proptest::prelude::*;

use crate::vector::{near, near_interval, number, numbers, vector};

#[test]
fn every_value_of_the_completed_orders() {
    let vector = vector("cycle_time");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let p_relative = number(&vector["tolerance"]["p_relative"]);
    let hours = |name: &str| numbers(&vector["inputs"][name]);
    let (r_hours, b_hours) = (hours("reporting_completed"), hours("baseline_completed"));
    let (r, b) = (sorted_logs(r_hours.clone()), sorted_logs(b_hours.clone()));

    let mean = |hours: &[f64]| hours.iter().sum::<f64>() / hours.len() as f64;
    near(mean(&b_hours), number(&expected["means"]["baseline"]), relative);
    near(mean(&r_hours), number(&expected["means"]["reporting"]), relative);
    near(mean(&r_hours) / mean(&b_hours), number(&expected["means"]["ratio"]), relative);

    let shift = &expected["hodges_lehmann_ratio"];
    near(hodges_lehmann(&r, &b), number(&shift["estimate"]), relative);
    near_interval(hodges_lehmann_interval(&r, &b, Confidence::NINETY_FIVE), &shift["ci_95"], relative);
    near_interval(hodges_lehmann_interval(&r, &b, Confidence::NINETY), &shift["ci_90"], relative);
    let null = Null::of(&r, &b);
    assert_eq!(null.rank(Confidence::NINETY_FIVE) as f64, number(&shift["k_95"]));
    assert_eq!(null.rank(Confidence::NINETY) as f64, number(&shift["k_90"]));
    assert_eq!((r.len() * b.len()) as f64, number(&shift["pairs"]));
    assert_eq!(Pairs::of(&r, &b, 1.0).w(), number(&shift["W"]));
    near(2.0 * p_below(&r, &b, 1.0), number(&shift["p_two_sided"]), p_relative);
    near(p_below(&r, &b, 0.8), number(&shift["p_ratio_below_0.8"]), p_relative);

    let geometric = &expected["geometric_mean_ratio"];
    let log_mean = |logs: &[f64]| libm::exp(logs.iter().sum::<f64>() / logs.len() as f64);
    near(log_mean(&b), number(&geometric["baseline_gm"]), relative);
    near(log_mean(&r), number(&geometric["reporting_gm"]), relative);
    let welch = GeometricRatio::of(&r, &b, Variance::Each).unwrap();
    near(welch.ratio(), number(&geometric["estimate"]), relative);
    near(welch.df, number(&geometric["welch_df"]), relative);
    near_interval(welch.interval(Confidence::NINETY_FIVE), &geometric["welch_ci_95"], relative);
    near_interval(welch.interval(Confidence::NINETY), &geometric["welch_ci_90"], relative);
    let pooled = GeometricRatio::of(&r, &b, Variance::Shared).unwrap();
    near_interval(pooled.interval(Confidence::NINETY_FIVE), &geometric["pooled_ci_95"], relative);
    assert_eq!(pooled.df, 36.0);
}

/// METHOD 7.1: on the same orders Fieller's interval for the ratio of means holds 1 and Hodges–Lehmann's does not.
#[test]
fn methods_disagree_about_significance_on_the_same_orders() {
    let vector = vector("cycle_time");
    let (r, b) = (numbers(&vector["inputs"]["reporting_completed"]), numbers(&vector["inputs"]["baseline_completed"]));
    let means = fieller(&r, &b, Confidence::NINETY_FIVE).unwrap();
    assert!(means.contains(1.0) && means.contains(0.7927040929029), "{means:?}");
    let logs = (sorted_logs(r.clone()), sorted_logs(b.clone()));
    assert!(!hodges_lehmann_interval(&logs.0, &logs.1, Confidence::NINETY_FIVE).contains(1.0));
    assert_eq!(fieller(&r, &[-1.0, 2.0], Confidence::NINETY), Err(Undefined::Unbounded));
    assert_eq!(fieller(&r, &[1.0], Confidence::NINETY), Err(Undefined::TooFew));
    assert_eq!(fieller(&[2.0, 2.0], &[4.0, 4.0], Confidence::NINETY), Ok(Interval { lower: 0.5, upper: 0.5 }));
}

#[test]
fn a_limit_of_nothing_is_never_proven() {
    let logs = sorted_logs([1.0, 2.0, 3.0]);
    assert_eq!([p_below(&logs, &logs, 0.0), LogRatio { log: -1.0, se: 0.1 }.p_below(-0.2)], [1.0; 2]);
}

#[test]
fn large_samples_use_the_normal_count_with_ties() {
    // Against the formula: n = 60, m = 80, three values each met 20 times in the reporting sample.
    let r = sorted_logs((0..60).map(|i| f64::from(10 + i % 3)));
    let b = sorted_logs((0..80).map(|i| 11.0 + f64::from(i) / 8.0));
    let null = Null::of(&r, &b);
    let ties = 3.0 * (20f64.powi(3) - 20.0) / (140.0 * 139.0);
    let variance = 60.0 * 80.0 / 12.0 * (141.0 - ties);
    assert_eq!(null, Null::Normal { variance, n_pairs: 4800 });
    let rank = (2400.0 - Confidence::NINETY.z() * variance.sqrt()).floor();
    assert_eq!(null.rank(Confidence::NINETY) as f64, rank);

    // The exact distribution and the normal one meet at the border.
    let sample = |n: usize, seed: f64| sorted_logs((0..n).map(|i| 30.0 + 10.0 * libm::sin(seed * i as f64)));
    let exact = Null::of(&sample(EXACT_MAX, 1.7), &sample(EXACT_MAX, 2.3));
    let normal = Null::Normal { variance: 2500.0 * 101.0 / 12.0, n_pairs: 2500 };
    assert!(exact.rank(Confidence::NINETY).abs_diff(normal.rank(Confidence::NINETY)) <= 2);
    let pairs = Pairs { above: 1000, tied: 0 };
    assert!((exact.cdf(pairs) - normal.cdf(pairs)).abs() < 0.002);
}

/// METHOD 12.8.
#[test]
fn one_order_a_side_and_equal_orders_are_no_error() {
    let (r, b) = (sorted_logs([20.0]), sorted_logs([40.0]));
    let interval = hodges_lehmann_interval(&r, &b, Confidence::NINETY);
    near(interval.lower, 0.5, 1e-14);
    near(interval.upper, 0.5, 1e-14);
    assert_eq!(p_below(&r, &b, 0.8), 0.5);
    assert_eq!(GeometricRatio::of(&r, &b, Variance::Each).map(|_| ()), Err(Undefined::TooFew));
    let alike = sorted_logs([7.0; 6]);
    let same = GeometricRatio::of(&alike, &alike, Variance::Each).unwrap();
    assert_eq!(same.interval(Confidence::NINETY), Interval { lower: 1.0, upper: 1.0 });
    assert_eq!([same.p_below(0.9), same.p_below(1.0), same.p_below(1.1)], [1.0, 0.5, 0.0]);
    assert_eq!(hodges_lehmann_interval(&alike, &alike, Confidence::NINETY), Interval { lower: 1.0, upper: 1.0 });
}

#[test]
fn products_join_by_their_weights() {
    let part = |log, se| LogRatio { log, se };
    let joined = weighted(&[(part(-0.2, 0.1), 3.0), (part(0.2, 0.2), 1.0)]).unwrap();
    near(joined.log, -0.1, 1e-14);
    near(joined.se, (0.75f64 * 0.75 * 0.01 + 0.25 * 0.25 * 0.04).sqrt(), 1e-14);
    assert_eq!(weighted(&[]), None);
    let ratio = part(-0.2, 0.1);
    near(se_of_interval(ratio.interval(Confidence::NINETY), Confidence::NINETY).unwrap(), 0.1, 1e-12);
    assert_eq!(se_of_interval(Interval::UNBOUNDED, Confidence::NINETY), None);
}

proptest! {
    /// METHOD 12.4, 12.3 and 12.1.
    #[test]
    fn swapping_inverts_and_a_scale_changes_nothing(r in sample(), b in sample()) {
        let (r, b) = (sorted_logs(r), sorted_logs(b));
        let there = hodges_lehmann_interval(&r, &b, Confidence::NINETY);
        let back = hodges_lehmann_interval(&b, &r, Confidence::NINETY);
        let one = |a: f64, b: f64| (a * b - 1.0).abs() < 1e-12;
        prop_assert!(one(there.lower, back.upper) && one(there.upper, back.lower));
        prop_assert!(one(hodges_lehmann(&r, &b), hodges_lehmann(&b, &r)));
        let (welch, turned) = (
            GeometricRatio::of(&r, &b, Variance::Each).unwrap().interval(Confidence::NINETY),
            GeometricRatio::of(&b, &r, Variance::Each).unwrap().interval(Confidence::NINETY),
        );
        prop_assert!(one(welch.lower, turned.upper) && one(welch.upper, turned.lower));
        let ratio = hodges_lehmann(&r, &b);
        prop_assert!(there.lower <= ratio && ratio <= there.upper);
        prop_assert!(hodges_lehmann_interval(&r, &r, Confidence::NINETY).contains(1.0));
        prop_assert_eq!(hodges_lehmann(&r, &r), 1.0);
    }

    /// METHOD 12.5.
    #[test]
    fn test_and_interval_agree(r in sample(), b in sample(), limit in 0.5f64..2.0) {
        let (r, b) = (sorted_logs(r), sorted_logs(b));
        let interval = hodges_lehmann_interval(&r, &b, Confidence::NINETY);
        let p = p_below(&r, &b, limit);
        prop_assert_eq!(p < 0.05, interval.upper < limit, "p {} {:?}", p, interval);
        let welch = GeometricRatio::of(&r, &b, Variance::Each).unwrap();
        prop_assert_eq!(welch.p_below(limit) < 0.05, welch.interval(Confidence::NINETY).upper < limit);
    }
}

/// Of five and more, as cohorts are; some beyond the exact distribution.
fn sample() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![proptest::collection::vec(10f64..60.0, 5..30), proptest::collection::vec(10f64..60.0, 48..70)]
}
