//! METHOD 6.2 and 6.5: the ratio of two proportions.

use aggregator::statistics::distribution::binomial_pmf;
use aggregator::statistics::proportion::{Score, clopper_pearson, katz, newcombe, walter, wilson};
use aggregator::statistics::{Confidence, Counted, Interval, ratio};
use proptest::prelude::*;

use crate::vector::{counted, list, near, near_interval, near_interval_or_none, number, vector};

const NINETY_FIVE: Confidence = Confidence::NINETY_FIVE;

#[test]
fn every_value_of_the_vector() {
    let vector = vector("proportion_ratio");
    let relative = number(&vector["tolerance"]["relative"]);
    let cases = list(&vector["inputs"]["cases"]);
    assert_eq!(cases.len(), 5);
    for (case, expected) in cases.iter().zip(list(&vector["expected"]["cases"])) {
        let (r, b) = (counted(case, "x1", "n1"), counted(case, "x2", "n2"));
        match ratio(r, b) {
            None => assert!(expected["ratio"].is_null()),
            Some(ratio) => near(ratio, number(&expected["ratio"]), relative),
        }
        for (score, key) in [(Score::MiettinenNurminen, "miettinen_nurminen_95"), (Score::Koopman, "koopman_95")] {
            near_interval_or_none(score.interval(r, b, NINETY_FIVE, 1.0), &expected[key], relative);
        }
        near_interval_or_none(katz(r, b, NINETY_FIVE), &expected["katz_95"], relative);
        near_interval(walter(r, b, NINETY_FIVE), &expected["walter_95"], relative);
        near_interval_or_none(newcombe(r, b, NINETY_FIVE), &expected["newcombe_difference_95"], relative);
        for (side, name) in [(r, "reporting"), (b, "baseline")] {
            let exact = &expected[format!("clopper_pearson_{name}_95")];
            near_interval_or_none(clopper_pearson(side, NINETY_FIVE), exact, relative);
            near_interval_or_none(wilson(side, NINETY_FIVE), &expected[format!("wilson_{name}_95")], relative);
        }
        let test = &expected["score_test_ratio_below_0.8"];
        match Score::MiettinenNurminen.p_below(r, b, 0.8, 1.0) {
            None => assert!(test.is_null()),
            Some(p) => {
                near(p, number(&test["p"]), relative);
                let z = Score::MiettinenNurminen.z(r, b, 0.8);
                assert!((z - number(&test["z"])).abs() <= number(&vector["tolerance"]["score_test_z_absolute"]));
            }
        }
    }
}

/// METHOD 12.9.
#[test]
fn an_estimate_exactly_at_the_target_proves_nothing() {
    let (r, b) = (of(240.0, 12000.0), of(300.0, 12000.0));
    let p = Score::MiettinenNurminen.p_below(r, b, 0.8, 1.0).unwrap();
    assert!((p - 0.5).abs() < 1e-12, "{p}");
    let interval = Score::MiettinenNurminen.interval(r, b, Confidence::NINETY, 1.0).unwrap();
    assert!(interval.lower < 0.8 && interval.upper > 0.8);
}

/// METHOD 13: what a well-known tool gets wrong.
#[test]
fn twenty_of_twenty_against_eighteen_is_not_significant_and_two_zeros_are_no_error() {
    let all = Score::MiettinenNurminen.interval(of(20.0, 20.0), of(18.0, 20.0), NINETY_FIVE, 1.0).unwrap();
    assert!((all.lower - 1.0526).abs() > 0.1 && all.contains(1.0));
    let none = Score::MiettinenNurminen.interval(of(0.0, 100.0), of(0.0, 120.0), NINETY_FIVE, 1.0).unwrap();
    assert_eq!(none, Interval::UNBOUNDED);
    // Walter's lower bound above zero without a single event is why it is not published.
    assert!(walter(of(0.0, 500.0), of(12.0, 480.0), NINETY_FIVE).lower > 0.0);
    assert_eq!(
        Score::MiettinenNurminen.interval(of(0.0, 500.0), of(12.0, 480.0), NINETY_FIVE, 1.0).unwrap().lower,
        0.0
    );
}

/// METHOD 6.5 and 12.8.
#[test]
fn degenerate_counts_have_their_bounds() {
    let score = Score::MiettinenNurminen;
    let interval = |r, b| score.interval(r, b, NINETY_FIVE, 1.0);
    assert_eq!(ratio(of(3.0, 100.0), of(0.0, 120.0)), Some(f64::INFINITY));
    let no_baseline = interval(of(3.0, 100.0), of(0.0, 120.0)).unwrap();
    assert!(no_baseline.lower > 0.0 && no_baseline.lower.is_finite() && no_baseline.upper == f64::INFINITY);
    let all = interval(of(40.0, 40.0), of(50.0, 50.0)).unwrap();
    assert!(all.lower < 1.0 && all.upper > 1.0 && all.lower > 0.8 && all.upper < 1.25, "{all:?}");
    assert_eq!(interval(of(0.0, 0.0), of(1.0, 10.0)), None);
    assert_eq!(interval(of(1.0, 10.0), of(0.0, 0.0)), None);
    assert_eq!(ratio(of(0.0, 0.0), of(1.0, 10.0)), None);
    assert_eq!(score.p_below(of(0.0, 10.0), of(0.0, 10.0), 0.8, 1.0), None);
}

/// METHOD 6.2: exact coverage by enumeration, nominal 95 %, of a true ratio of 0.8. Katz covers nothing where undefined.
#[test]
fn the_score_interval_covers_what_it_says() {
    check(200, 0.02, [0.9551, 0.9914, 0.9356]);
    check(500, 0.01, [0.9531, 0.9844, 0.9609]);
    check(1000, 0.02, [0.9498, 0.9567, 0.9548]);
    check(5000, 0.01, [0.9511, 0.9532, 0.9520]);

    #[track_caller]
    fn check(n: u32, p2: f64, coverage: [f64; 3]) {
        const RATIO: f64 = 0.8;
        let size = f64::from(n);
        let mean = size * p2;
        let far = 9.0 * mean.sqrt();
        let counts = || (0..=n).map(f64::from).filter(|x| (x - mean).abs() <= far);
        let z = NINETY_FIVE.z();
        let mut covered = [0.0; 3];
        for x1 in counts() {
            for x2 in counts() {
                let (r, b) = (of(x1, size), of(x2, size));
                let weight = binomial_pmf(x1, size, p2 * RATIO) * binomial_pmf(x2, size, p2);
                let holds = [
                    Score::MiettinenNurminen.z(r, b, RATIO).abs() <= z,
                    walter(r, b, NINETY_FIVE).contains(RATIO),
                    katz(r, b, NINETY_FIVE).is_some_and(|interval| interval.contains(RATIO)),
                ];
                for (sum, holds) in covered.iter_mut().zip(holds) {
                    *sum += if holds { weight } else { 0.0 };
                }
            }
        }
        for (found, expected) in covered.into_iter().zip(coverage) {
            assert!((found - expected).abs() < 6e-5, "{n} {p2}: {covered:?}, expected {coverage:?}");
        }
    }
}

proptest! {
    /// METHOD 12.4.
    #[test]
    fn swapping_the_periods_inverts_the_interval(r in side(), b in side(), phi in 1f64..4.0) {
        for score in [Score::MiettinenNurminen, Score::Koopman] {
            let there = score.interval(r, b, Confidence::NINETY, phi).unwrap();
            let back = score.interval(b, r, Confidence::NINETY, phi).unwrap();
            prop_assert!(inverse(there.lower, back.upper) && inverse(there.upper, back.lower), "{there:?} {back:?}");
        }
    }

    /// METHOD 12.5.
    #[test]
    fn test_and_interval_agree(r in side(), b in side(), limit in 0.2f64..3.0, phi in 1f64..4.0) {
        let score = Score::MiettinenNurminen;
        let interval = score.interval(r, b, Confidence::NINETY, phi).unwrap();
        if let Some(p) = score.p_below(r, b, limit, phi) {
            prop_assert_eq!(p < 0.05, interval.upper < limit, "p {} {:?}", p, interval);
        }
    }

    /// METHOD 12.3.
    #[test]
    fn the_same_data_give_a_ratio_of_one(side in side()) {
        let interval = Score::MiettinenNurminen.interval(side, side, Confidence::NINETY, 1.0).unwrap();
        prop_assert!(interval.contains(1.0));
        prop_assert!(side.count == 0.0 || ratio(side, side) == Some(1.0));
    }

    #[test]
    fn an_interval_holds_its_estimate_and_widens_with_dispersion(r in side(), b in side()) {
        let score = Score::MiettinenNurminen;
        let narrow = score.interval(r, b, Confidence::NINETY, 1.0).unwrap();
        let wide = score.interval(r, b, Confidence::NINETY, 2.0).unwrap();
        prop_assert!(wide.lower <= narrow.lower && narrow.upper <= wide.upper);
        if let Some(ratio) = ratio(r, b) {
            prop_assert!(narrow.lower <= ratio && ratio <= narrow.upper);
        }
    }
}

fn of(count: f64, size: f64) -> Counted {
    Counted { count, size }
}

fn side() -> impl Strategy<Value = Counted> {
    (1u32..5000)
        .prop_flat_map(|n| (prop_oneof![0..=n.min(40), 0..=n], Just(n)))
        .prop_map(|(x, n)| of(f64::from(x), f64::from(n)))
}

fn inverse(a: f64, b: f64) -> bool {
    (a == 0.0 && b == f64::INFINITY) || (a == f64::INFINITY && b == 0.0) || (a * b - 1.0).abs() < 1e-9
}
