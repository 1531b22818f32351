//! METHOD 6.3: the ratio of two Poisson rates.

use aggregator::statistics::rate::Method;
use aggregator::statistics::{Confidence, Counted, Interval, ratio};
use proptest::prelude::*;

use crate::vector::{counted, list, near, near_interval, number, vector};

#[test]
fn every_value_of_the_vector() {
    let vector = vector("poisson_ratio");
    let relative = number(&vector["tolerance"]["relative"]);
    let cases = list(&vector["inputs"]["cases"]);
    assert_eq!(cases.len(), 3);
    for (case, expected) in cases.iter().zip(list(&vector["expected"]["cases"])) {
        let (r, b) = (counted(case, "y1", "t1"), counted(case, "y2", "t2"));
        near(ratio(r, b).unwrap(), number(&expected["rate_ratio"]), relative);
        let methods =
            [(Method::Exact, "exact_conditional"), (Method::MidP, "mid_p"), (Method::Score { phi: 1.0 }, "score")];
        for (method, name) in methods {
            let interval = method.interval(r, b, Confidence::NINETY_FIVE).unwrap();
            near_interval(interval, &expected[format!("{name}_95")], relative);
            near(method.p_below(r, b, 0.8).unwrap(), number(&expected["p_ratio_below_0.8"][name]), relative);
        }
    }
}

/// METHOD 13: zero-width intervals, start values, ignored exposures and NaN of known tools.
#[test]
fn zero_counts_have_an_interval_and_exposures_count() {
    for method in [Method::Exact, Method::MidP, Method::Score { phi: 1.0 }, Method::Score { phi: 2.5 }] {
        let interval = |r, b| method.interval(r, b, Confidence::NINETY_FIVE).unwrap();
        let no_defect = interval(of(0.0, 1000.0), of(9.0, 900.0));
        assert!(no_defect.lower == 0.0 && no_defect.upper > 0.3 && no_defect.upper.is_finite());
        let no_baseline = interval(of(9.0, 900.0), of(0.0, 1000.0));
        assert!(no_baseline.lower > 0.0 && no_baseline.lower.is_finite() && no_baseline.upper == f64::INFINITY);
        assert_eq!(interval(of(0.0, 1000.0), of(0.0, 900.0)), Interval::UNBOUNDED);
        assert_eq!(method.p_below(of(0.0, 1000.0), of(0.0, 900.0), 0.8), None);
        assert_eq!(method.interval(of(0.0, 0.0), of(1.0, 900.0), Confidence::NINETY), None);
        let doubled = interval(of(41.0, 56020.0), of(15.0, 19017.0));
        near(doubled.lower * 2.0, interval(of(41.0, 28010.0), of(15.0, 19017.0)).lower, 1e-12);
    }
}

#[test]
fn over_dispersion_calls_for_the_score_and_widens_it() {
    assert_eq!(Method::under(1.0), Method::MidP);
    assert_eq!(Method::under(1.5), Method::Score { phi: 1.5 });
    let (r, b) = (of(184.0, 9200.0), of(260.0, 10000.0));
    let of_phi = |phi| Method::Score { phi }.interval(r, b, Confidence::NINETY).unwrap();
    assert!(of_phi(2.0).lower < of_phi(1.0).lower && of_phi(2.0).upper > of_phi(1.0).upper);
}

proptest! {
    /// METHOD 12.4 and 12.5.
    #[test]
    fn swapping_inverts_and_the_test_agrees(r in side(), b in side(), limit in 0.2f64..3.0, phi in 1f64..4.0) {
        for method in [Method::Exact, Method::MidP, Method::Score { phi }] {
            let there = method.interval(r, b, Confidence::NINETY).unwrap();
            let back = method.interval(b, r, Confidence::NINETY).unwrap();
            prop_assert!(inverse(there.lower, back.upper) && inverse(there.upper, back.lower), "{there:?} {back:?}");
            if let Some(p) = method.p_below(r, b, limit) {
                prop_assert_eq!(p < 0.05, there.upper < limit, "{:?}: p {} {:?}", method, p, there);
            }
            prop_assert!(method.interval(r, r, Confidence::NINETY).unwrap().contains(1.0));
        }
    }

    /// METHOD 12.1, and mid-P within exact.
    #[test]
    fn a_scale_of_exposure_changes_nothing_and_mid_p_lies_within(r in side(), b in side()) {
        let times = |side: Counted| of(side.count, side.size * 10.0);
        let mid_p = Method::MidP.interval(r, b, Confidence::NINETY).unwrap();
        let scaled = Method::MidP.interval(times(r), times(b), Confidence::NINETY).unwrap();
        prop_assert!(same(mid_p.lower, scaled.lower) && same(mid_p.upper, scaled.upper));
        let exact = Method::Exact.interval(r, b, Confidence::NINETY).unwrap();
        prop_assert!(exact.lower <= mid_p.lower && mid_p.upper <= exact.upper);
    }
}

fn of(count: f64, size: f64) -> Counted {
    Counted { count, size }
}

fn side() -> impl Strategy<Value = Counted> {
    (prop_oneof![0u32..30, 0u32..3000], 1f64..1e5).prop_map(|(y, t)| of(f64::from(y), t))
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a / b - 1.0).abs() < 1e-12
}

fn inverse(a: f64, b: f64) -> bool {
    (a == 0.0 && b == f64::INFINITY) || (a == f64::INFINITY && b == 0.0) || (a * b - 1.0).abs() < 1e-10
}
