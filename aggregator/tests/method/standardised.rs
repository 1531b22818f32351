//! METHOD 6.1, 6.4 and 6.5: standardisation by product mix, over-dispersion, degenerate strata.

use aggregator::statistics::dispersion::dispersion;
use aggregator::statistics::distribution::gamma_quantile;
use aggregator::statistics::proportion::Score;
use aggregator::statistics::rate::Method;
use aggregator::statistics::standardised::{
    Mix, Standardised, Stratum, fay_feuer, mantel_haenszel, mantel_haenszel_odds,
};
use aggregator::statistics::{Confidence, Counted, Interval, Measure, Undefined};
use proptest::prelude::*;
use serde_json::Value;

use crate::vector::{list, near, near_interval, number, numbers, vector};

const NINETY_FIVE: Confidence = Confidence::NINETY_FIVE;

fn strata(inputs: &Value) -> Vec<Stratum> {
    let side = |value: &Value| of(number(&value[0]), number(&value[1]));
    let sides = list(&inputs["reporting"]).iter().zip(list(&inputs["baseline"]));
    sides.map(|(reporting, baseline)| Stratum { reporting: side(reporting), baseline: side(baseline) }).collect()
}

#[test]
fn every_standardised_value_of_the_vector() {
    let vector = vector("mix_standardisation");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let strata = strata(&vector["inputs"]);
    let mixes = [
        (Mix::Reporting, "reporting_mix_default"),
        (Mix::Baseline, "baseline_mix"),
        (Mix::Pooled, "pooled_mix"),
        (Mix::Given(&[8.0, 2.0]), "baseline_mix"),
    ];
    for (mix, name) in mixes {
        let (found, expected) = (Standardised::of(Measure::Proportion, &strata, mix, 1.0).unwrap(), &expected[name]);
        near(found.reporting.rate, number(&expected["reporting"]), relative);
        near(found.baseline.rate, number(&expected["baseline"]), relative);
        near(found.ratio().unwrap(), number(&expected["ratio"]), relative);
        near(found.se_log().unwrap(), number(&expected["se_log"]), relative);
        near_interval(found.interval(NINETY_FIVE), &expected["ci"], relative);
        assert_eq!(found.coverage, 1.0);
    }
    let found = Standardised::of(Measure::Proportion, &strata, Mix::Reporting, 1.0).unwrap();
    near(found.observed, number(&expected["reporting_mix_default"]["observed"]), relative);
    near(found.expected, number(&expected["reporting_mix_default"]["expected"]), relative);
    near(found.observed / found.expected, found.ratio().unwrap(), 1e-14);

    // Negative test: observed as Poisson over an expected number taken as fixed. Too narrow, and not what is published.
    let bound = |p: f64, shape: f64| gamma_quantile(p, shape) / found.expected;
    let fixed = Interval { lower: bound(0.025, found.observed), upper: bound(0.975, found.observed + 1.0) };
    near_interval(fixed, &expected["wrong_expected_treated_as_fixed"]["ci"], relative);
    let published = found.interval(NINETY_FIVE);
    assert!(published.lower < fixed.lower && published.upper > fixed.upper);
}

#[test]
fn the_crude_mantel_haenszel_and_fay_feuer_values_of_the_vector() {
    let vector = vector("mix_standardisation");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let strata = strata(&vector["inputs"]);
    let total = |side: fn(&Stratum) -> Counted| {
        of(strata.iter().map(|s| side(s).count).sum(), strata.iter().map(|s| side(s).size).sum())
    };
    let (r, b) = (total(|s| s.reporting), total(|s| s.baseline));
    near(r.rate().unwrap(), number(&expected["crude"]["reporting"]), relative);
    near(b.rate().unwrap(), number(&expected["crude"]["baseline"]), relative);
    near(aggregator::statistics::ratio(r, b).unwrap(), number(&expected["crude"]["ratio"]), relative);

    let found = mantel_haenszel(Measure::Proportion, &strata).unwrap();
    let expected_mh = &expected["mantel_haenszel"];
    near(found.ratio(), number(&expected_mh["rate_ratio"]), relative);
    near(found.se, number(&expected_mh["se_log_greenland_robins"]), relative);
    near_interval(found.interval(NINETY_FIVE), &expected_mh["ci"], relative);
    near(mantel_haenszel_odds(&strata).unwrap(), number(&expected_mh["odds_ratio"]), relative);

    let inputs = &vector["inputs"]["fay_feuer"];
    let counted: Vec<Counted> = numbers(&inputs["counts"])
        .into_iter()
        .zip(numbers(&inputs["exposure"]))
        .map(|(count, size)| of(count, size))
        .collect();
    let crude = of(counted.iter().map(|c| c.count).sum(), counted.iter().map(|c| c.size).sum());
    near(crude.rate().unwrap(), number(&expected["fay_feuer"]["crude"]), relative);
    let strata: Vec<(Counted, f64)> = counted.into_iter().zip(numbers(&inputs["standard"])).collect();
    let (rate, interval) = fay_feuer(&strata, NINETY_FIVE).unwrap();
    near(rate, number(&expected["fay_feuer"]["adjusted"]), relative);
    near_interval(interval, &expected["fay_feuer"]["ci"], relative);
}

#[test]
fn one_stratum_gets_the_interval_of_a_plain_ratio() {
    let only = Stratum { reporting: of(36.0, 1200.0), baseline: of(60.0, 1500.0) };
    let alone = Stratum { reporting: of(4.0, 100.0), baseline: of(0.0, 0.0) };
    let found = Standardised::of(Measure::Proportion, &[only, alone], Mix::Reporting, 1.0).unwrap();
    let score = Score::MiettinenNurminen;
    assert_eq!(Some(found.interval(NINETY_FIVE)), score.interval(only.reporting, only.baseline, NINETY_FIVE, 1.0));
    assert_eq!(found.p_below(0.8), score.p_below(only.reporting, only.baseline, 0.8, 1.0));
    assert_eq!((found.observed, found.coverage), (36.0, 1200.0 / 1300.0));
    let rate = Standardised::of(Measure::Rate, &[only], Mix::Reporting, 1.0).unwrap();
    assert_eq!(Some(rate.interval(NINETY_FIVE)), Method::MidP.interval(only.reporting, only.baseline, NINETY_FIVE));
    let wide = Standardised::of(Measure::Rate, &[only], Mix::Reporting, 2.0).unwrap();
    assert_eq!(
        Some(wide.interval(NINETY_FIVE)),
        Method::Score { phi: 2.0 }.interval(only.reporting, only.baseline, NINETY_FIVE)
    );
}

/// METHOD 6.5 and 12.8.
#[test]
fn several_strata_without_events_fall_back_on_effective_counts() {
    let row = |x1, n1, x2, n2| Stratum { reporting: of(x1, n1), baseline: of(x2, n2) };
    let of_strata = |strata: &[Stratum]| Standardised::of(Measure::Proportion, strata, Mix::Reporting, 1.0).unwrap();
    let none = of_strata(&[row(0.0, 500.0, 12.0, 480.0), row(0.0, 300.0, 3.0, 600.0)]);
    assert_eq!((none.ratio(), none.se_log()), (Some(0.0), None));
    let interval = none.interval(NINETY_FIVE);
    // P_b = (500 · 12/480 + 300 · 3/600) / 800; the same by hand on its effective counts.
    let p: f64 = 14.0 / 800.0;
    let variance = (0.625f64.powi(2) * 0.025 * 0.975 / 480.0) + (0.375f64.powi(2) * 0.005 * 0.995 / 600.0);
    let n = p * (1.0 - p) / variance;
    let by_hand = Score::MiettinenNurminen.interval(of(0.0, 800.0), of(p * n, n), NINETY_FIVE, 1.0).unwrap();
    assert_eq!(interval.lower, 0.0);
    near(interval.upper, by_hand.upper, 1e-10);
    assert!(none.p_below(0.8).unwrap() < 0.05);

    let no_baseline = of_strata(&[row(5.0, 500.0, 0.0, 480.0), row(2.0, 300.0, 0.0, 600.0)]);
    assert_eq!(no_baseline.ratio(), Some(f64::INFINITY));
    let interval = no_baseline.interval(NINETY_FIVE);
    assert!(interval.lower > 0.0 && interval.lower.is_finite() && interval.upper == f64::INFINITY);

    let neither = of_strata(&[row(0.0, 500.0, 0.0, 480.0), row(0.0, 300.0, 0.0, 600.0)]);
    assert_eq!((neither.ratio(), neither.p_below(0.8)), (None, None));
    assert_eq!(neither.interval(NINETY_FIVE), Interval::UNBOUNDED);

    let all = of_strata(&[row(50.0, 50.0, 48.0, 48.0), row(30.0, 30.0, 60.0, 60.0)]);
    let interval = all.interval(NINETY_FIVE);
    assert!(interval.lower < 1.0 && interval.upper > 1.0);

    let apart = [row(1.0, 10.0, 0.0, 0.0), row(0.0, 0.0, 1.0, 10.0)];
    assert_eq!(Standardised::of(Measure::Proportion, &apart, Mix::Reporting, 1.0).map(|_| ()), Err(Undefined::NoData));
    assert_eq!(mantel_haenszel(Measure::Proportion, &apart).map(|_| ()), Err(Undefined::NoData));
    assert_eq!(fay_feuer(&[(of(0.0, 10.0), 1.0)], NINETY_FIVE).unwrap().1.lower, 0.0);
}

/// METHOD 6.4.
#[test]
fn dispersion_is_chi_square_over_its_degrees_of_freedom() {
    let lots = |counts: &[f64]| -> Vec<Counted> { counts.iter().map(|&count| of(count, 100.0)).collect() };
    let (a, b, calm) = (lots(&[2.0, 8.0, 5.0, 5.0]), lots(&[1.0, 9.0, 10.0, 0.0]), lots(&[0.0, 0.0]));
    // Both groups: p = 0.05; squares of the distances 18 and 82, over 100 · 0.05 · 0.95.
    let found = dispersion(Measure::Proportion, &[&a, &b, &calm]);
    assert_eq!(found.df, 6);
    near(found.chi_square, 100.0 / 4.75, 1e-14);
    near(found.phi, 100.0 / 4.75 / 6.0, 1e-14);
    assert!(found.is_known());
    near(dispersion(Measure::Rate, &[&a, &b]).phi, 100.0 / 5.0 / 6.0, 1e-14);
    let few = dispersion(Measure::Rate, &[&b, &calm]);
    assert_eq!((few.phi, few.is_known()), (1.0, false));
    assert_eq!(dispersion(Measure::Rate, &[&lots(&[5.0; 8])]).phi, 1.0);
    assert_eq!(dispersion(Measure::Rate, &[]).phi, 1.0);

    let strata = [
        Stratum { reporting: of(24.0, 3000.0), baseline: of(80.0, 8000.0) },
        Stratum { reporting: of(280.0, 7000.0), baseline: of(100.0, 2000.0) },
    ];
    let of_phi = |phi| Standardised::of(Measure::Proportion, &strata, Mix::Reporting, phi).unwrap();
    near(of_phi(4.0).se_log().unwrap(), 2.0 * of_phi(1.0).se_log().unwrap(), 1e-14);
}

proptest! {
    /// METHOD 12.18.
    #[test]
    fn a_shift_of_the_mix_alone_moves_the_crude_ratio_only(share in 0.05f64..0.45) {
        let n = 10000.0;
        let row = |rate: f64, reporting: f64, baseline: f64| Stratum {
            reporting: of(rate * reporting, reporting), baseline: of(rate * baseline, baseline),
        };
        let strata = [row(0.01, share * n, (1.0 - share) * n), row(0.05, (1.0 - share) * n, share * n)];
        for mix in [Mix::Reporting, Mix::Baseline, Mix::Pooled] {
            let found = Standardised::of(Measure::Proportion, &strata, mix, 1.0).unwrap();
            prop_assert!((found.ratio().unwrap() - 1.0).abs() < 1e-12);
            prop_assert!(found.interval(Confidence::NINETY).contains(1.0));
        }
        let crude = |side: fn(&Stratum) -> Counted| strata.iter().map(|s| side(s).count).sum::<f64>() / n;
        prop_assert!(crude(|s| s.reporting) / crude(|s| s.baseline) > 1.05);
    }

    /// METHOD 12.5 and 12.7, over strata of any kind.
    #[test]
    fn test_and_interval_agree_and_the_order_of_strata_does_not_matter(
        rows in proptest::collection::vec((0u32..40, 40u32..900, 0u32..40, 40u32..900), 1..5),
        limit in 0.2f64..3.0, phi in 1f64..3.0, rates: bool,
    ) {
        let measure = if rates { Measure::Rate } else { Measure::Proportion };
        let row = |&(x1, n1, x2, n2): &(u32, u32, u32, u32)| Stratum {
            reporting: of(f64::from(x1), f64::from(n1)), baseline: of(f64::from(x2), f64::from(n2)),
        };
        let mut strata: Vec<Stratum> = rows.iter().map(row).collect();
        let found = Standardised::of(measure, &strata, Mix::Reporting, phi).unwrap();
        let interval = found.interval(Confidence::NINETY);
        if let Some(p) = found.p_below(limit) {
            prop_assert_eq!(p < 0.05, interval.upper < limit, "p {} {:?}", p, interval);
        }
        strata.reverse();
        let turned = Standardised::of(measure, &strata, Mix::Reporting, phi).unwrap().interval(Confidence::NINETY);
        let same = |a: f64, b: f64| a == b || (a / b - 1.0).abs() < 1e-10;
        prop_assert!(same(interval.lower, turned.lower) && same(interval.upper, turned.upper));
    }
}

fn of(count: f64, size: f64) -> Counted {
    Counted { count, size }
}
