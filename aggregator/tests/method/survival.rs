//! METHOD 7.5 to 7.7: open orders, the cohort rule.

use aggregator::statistics::cohort::{Comparison, NoFigure, Order, compare};
use aggregator::statistics::shift::{hodges_lehmann_interval, sorted_logs};
use aggregator::statistics::survival::{Lifetime, Survival, restricted_mean_ratio};
use aggregator::statistics::{Confidence, Interval};
use proptest::prelude::*;

use crate::vector::{near, near_interval, number, numbers, vector};

const HOUR: i64 = 3_600_000;

fn lifetimes(completed: Vec<f64>, open: Vec<f64>) -> Vec<Lifetime> {
    completed.into_iter().map(Lifetime::Completed).chain(open.into_iter().map(Lifetime::Open)).collect()
}

fn cohorts() -> (Vec<Lifetime>, Vec<Lifetime>) {
    let vector = vector("cycle_time");
    let hours = |name: &str| numbers(&vector["inputs"][name]);
    let reporting = lifetimes(hours("reporting_completed"), hours("reporting_open_elapsed"));
    (reporting, lifetimes(hours("baseline_completed"), vec![]))
}

#[test]
fn every_value_with_open_orders() {
    let vector = vector("cycle_time");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let (reporting, baseline) = cohorts();
    let (r, b) = (Survival::of(&reporting), Survival::of(&baseline));
    let open = &expected["kaplan_meier_with_open_orders"];
    near(b.median(), number(&open["baseline_median"]), relative);
    near_interval(b.median_interval(Confidence::NINETY_FIVE), &open["baseline_median_ci_95"], relative);
    near(r.median(), number(&open["reporting_median"]), relative);
    near_interval(r.median_interval(Confidence::NINETY_FIVE), &open["reporting_median_ci_95"], relative);
    assert_eq!(reporting.len() as f64, number(&open["reporting_n"]));
    assert_eq!(r.steps().iter().map(|step| step.completed).sum::<f64>(), number(&open["reporting_events"]));

    // Without open orders the medians are the plain ones; dropping the five gives 38 instead of 39.2.
    let completed = Survival::of(&reporting[..18]);
    near(b.median(), number(&expected["medians"]["baseline"]), relative);
    near(completed.median(), number(&expected["medians"]["reporting"]), relative);
    near(completed.median() / b.median(), number(&expected["medians"]["ratio"]), relative);
}

#[test]
fn restricted_means_are_those_of_exact_fractions() {
    let (reporting, baseline) = cohorts();
    let (r, b) = (Survival::of(&reporting), Survival::of(&baseline));
    // Horizon, mean and variance of reporting and baseline, ratio and se of its logarithm: by fractions, over definitions.
    let rows = [
        (30.0, 29.94090909090909, 0.0024239293764087154, 30.0, 0.0, 0.998030303030303, 0.0016443527858099457),
        (60.0, 42.90909090909091, 5.50661238915507, 48.835, 3.09186375, 0.8786544672691903, 0.06547706675625428),
        (90.0, 48.68449197860963, 21.632184878646527, 51.29, 8.154245, 0.9492004675104236, 0.11057351673226595),
    ];
    for (horizon, r_mean, r_variance, b_mean, b_variance, ratio, se) in rows {
        let (found_r, found_b) = (r.restricted_mean(horizon).unwrap(), b.restricted_mean(horizon).unwrap());
        near(found_r.hours, r_mean, 1e-13);
        near(found_r.variance, r_variance, 1e-12);
        near(found_b.hours, b_mean, 1e-13);
        near(found_b.variance, b_variance, 1e-12);
        let found = restricted_mean_ratio(&r, &b, horizon).unwrap();
        near(found.ratio(), ratio, 1e-12);
        near(found.se, se, 1e-12);
    }
    // Greenwood's sum before the last step, and the steps beside the open orders.
    let steps = r.steps();
    assert_eq!((steps[0].hours, steps[0].at_risk, steps[0].completed), (28.9, 22.0, 1.0));
    near(steps[16].survival, 0.1925133689839572, 1e-13);
    near(steps[16].greenwood, 0.2012774806892454, 1e-13);
    assert_eq!((steps[17].survival, steps[17].greenwood), (0.0, f64::INFINITY));
    assert_eq!(r.bands(Confidence::NINETY)[17], None);
}

/// METHOD 12.8.
#[test]
fn all_open_one_order_and_none_are_no_error() {
    let open = Survival::of(&lifetimes(vec![], vec![10.0, 20.0, 30.0]));
    assert_eq!(open.median(), f64::INFINITY);
    assert_eq!(open.median_interval(Confidence::NINETY), Interval { lower: f64::INFINITY, upper: f64::INFINITY });
    assert_eq!(open.falls_to(0.1), f64::INFINITY);
    let mean = open.restricted_mean(30.0).unwrap();
    assert_eq!((mean.hours, mean.variance), (30.0, 0.0));
    assert_eq!(open.restricted_mean(31.0), None);
    assert_eq!(open.restricted_mean(0.0), None);

    let one = Survival::of(&lifetimes(vec![12.0], vec![]));
    assert_eq!((one.median(), one.falls_to(0.1), one.at(11.0), one.at(12.0)), (12.0, 12.0, 1.0, 0.0));
    assert_eq!(one.median_interval(Confidence::NINETY), Interval { lower: 12.0, upper: f64::INFINITY });
    assert_eq!(one.restricted_mean(50.0).unwrap().hours, 12.0);

    let none = Survival::of(&[]);
    assert_eq!((none.median(), none.at(5.0), none.restricted_mean(1.0)), (f64::INFINITY, 1.0, None));
    assert_eq!(restricted_mean_ratio(&one, &none, 5.0), None);
}

#[test]
fn a_share_reached_exactly_is_reached_in_spite_of_rounding() {
    let ten = Survival::of(&lifetimes((1..=10).map(f64::from).collect(), vec![]));
    assert_eq!((ten.median(), ten.falls_to(0.1), ten.falls_to(0.5)), (5.5, 9.0, 5.0));
    // At one half to the end of what is seen: nothing says where the median lies.
    assert_eq!(Survival::of(&lifetimes(vec![1.0, 2.0], vec![3.0, 3.0])).median(), f64::INFINITY);
    // An order lost from sight at the time of an event was still at risk at it.
    let tied = Survival::of(&lifetimes(vec![2.0, 4.0], vec![2.0]));
    near(tied.at(2.0), 2.0 / 3.0, 1e-14);
}

fn order(start: i64, lead: i64) -> Order {
    Order { start: start * HOUR, end: Some((start + lead) * HOUR) }
}

/// METHOD 7.6, cases 3 to 5.
#[test]
fn the_follow_up_decides_the_case() {
    let baseline: Vec<Order> = (0..20).map(|n| order(n * 10, 40 + n)).collect();
    let reporting: Vec<Order> = (0..10).map(|n| order(1000 + n * 10, 30 + n)).collect();
    let at = |cut_off: i64, plan| compare(&reporting, &baseline, cut_off * HOUR, plan);

    // Followed long enough for all: Hodges–Lehmann on whole lead times, in the order given.
    let Comparison::Complete { horizon, reporting: r, baseline: b } = at(1200, None) else { panic!("complete") };
    assert_eq!((horizon, r[0], r[9], b[19]), (110.0, 30.0, 39.0, 59.0));

    // The baseline's P90 is 57 hours: followed for 58, its longest order is open in spite of its end.
    let Comparison::Censored { horizon, reporting: r, baseline: b } = at(1148, None) else { panic!("censored") };
    assert_eq!((horizon, b[19], b[18]), (58.0, Lifetime::Open(58.0), Lifetime::Completed(58.0)));
    assert_eq!(r[9], Lifetime::Completed(39.0));

    // Not long enough: each order at its own follow-up, to the last time that five of each are at risk.
    let Comparison::Provisional { horizon, reporting: r, baseline: b } = at(1146, Some(1000.0)) else { panic!() };
    assert_eq!((r.len(), b[19], horizon), (10, Lifetime::Completed(59.0), 35.0));
    let Comparison::Provisional { horizon, reporting: r, .. } = at(1110, Some(32.0)) else { panic!() };
    assert_eq!((r[7], r[8], horizon), (Lifetime::Completed(37.0), Lifetime::Open(30.0), 32.0));

    // Only four orders have been followed for the baseline's median of 49.5 hours, then five.
    assert_eq!(at(1089, None), Comparison::NoFigure(NoFigure::TooRecent));
    assert!(matches!(at(1090, None), Comparison::Provisional { .. }));
    assert_eq!(compare(&reporting[..4], &baseline, 1200 * HOUR, None), Comparison::NoFigure(NoFigure::FewOrders));
    // Without a single completed order there is no median to compare with.
    let open: Vec<Order> = baseline.iter().map(|order| Order { end: None, ..*order }).collect();
    assert_eq!(compare(&reporting, &open, 1200 * HOUR, None), Comparison::NoFigure(NoFigure::TooRecent));
}

/// METHOD 12.16: cut an unchanged log anywhere, and the last month shows no improvement.
#[test]
fn a_truncated_log_of_an_unchanged_process_shows_no_improvement() {
    // Six orders a day for 420 days, leads of 40 to 400 hours from a fixed sequence.
    let mut state = 1u64;
    let mut lead = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(40 + (state >> 40) % 361).unwrap() * HOUR
    };
    let log: Vec<Order> =
        (0..2520).map(|n| n * 4 * HOUR).map(|start| Order { start, end: Some(start + lead()) }).collect();
    let within = |from: i64, to: i64| -> Vec<Order> {
        log.iter().copied().filter(|order| (from * 24 * HOUR..to * 24 * HOUR).contains(&order.start)).collect()
    };
    let (baseline, reporting) = (within(0, 360), within(390, 420));
    let (mut naive_shows, mut figures, mut provisional) = (0, 0, 0);
    for hours in (0..1260).step_by(6) {
        let cut_off = (390 * 24 + hours) * HOUR;
        let started: Vec<Order> = reporting.iter().copied().filter(|order| order.start < cut_off).collect();
        let interval = match compare(&started, &baseline, cut_off, None) {
            Comparison::Complete { reporting, baseline, .. } => {
                Some(hodges_lehmann_interval(&sorted_logs(reporting), &sorted_logs(baseline), Confidence::NINETY))
            }
            Comparison::Censored { horizon, reporting, baseline } => {
                let (r, b) = (Survival::of(&reporting), Survival::of(&baseline));
                restricted_mean_ratio(&r, &b, horizon).map(|ratio| ratio.interval(Confidence::NINETY))
            }
            Comparison::Provisional { .. } => {
                provisional += 1;
                None
            }
            Comparison::NoFigure(_) => None,
        };
        // One sequence in ten would be beside a 90 % interval by chance; this one is not.
        if let Some(interval) = interval {
            figures += 1;
            assert!(interval.contains(1.0), "{hours} h: {interval:?}");
        }
        // What a dashboard does: the orders that are there.
        let finished =
            started.iter().filter_map(|order| order.end.filter(|&end| end <= cut_off).map(|e| e - order.start));
        let finished = sorted_logs(finished.map(|lead| lead as f64));
        let all = sorted_logs(baseline.iter().filter_map(|order| order.end.map(|end| (end - order.start) as f64)));
        if finished.len() >= 5 && hodges_lehmann_interval(&finished, &all, Confidence::NINETY).upper < 1.0 {
            naive_shows += 1;
        }
    }
    assert!(naive_shows > 20 && figures > 10 && provisional > 0, "{naive_shows} {figures} {provisional}");
}

proptest! {
    /// METHOD 12.4 and 12.7: order does not matter, and swapping inverts.
    #[test]
    fn the_curve_falls_and_a_ratio_inverts(r in cohort(), b in cohort(), share in 0.1f64..1.0) {
        let (of_r, of_b) = (Survival::of(&r), Survival::of(&b));
        let mut turned = r.clone();
        turned.reverse();
        prop_assert_eq!(&Survival::of(&turned), &of_r);
        prop_assert!(of_r.steps().windows(2).all(|pair| pair[1].survival < pair[0].survival));
        let limits = of_r.median_interval(Confidence::NINETY);
        prop_assert!(limits.lower <= of_r.median() && of_r.median() <= limits.upper);
        let last = |lifetimes: &[Lifetime]| lifetimes.iter().map(|one| one.hours()).fold(0.0, f64::max);
        let horizon = share * last(&r).min(last(&b));
        let there = restricted_mean_ratio(&of_r, &of_b, horizon).unwrap();
        let back = restricted_mean_ratio(&of_b, &of_r, horizon).unwrap();
        prop_assert!((there.log + back.log).abs() < 1e-12 && (there.se - back.se).abs() < 1e-12);
        prop_assert!(there.interval(Confidence::NINETY).contains(there.ratio()));
        // Nobody is lost from sight: the restricted mean is the plain mean of what is cut at the horizon.
        let whole = lifetimes(r.iter().map(|one| one.hours()).collect(), vec![]);
        let mean = whole.iter().map(|one| one.hours().min(horizon)).sum::<f64>() / whole.len() as f64;
        prop_assert!((Survival::of(&whole).restricted_mean(horizon).unwrap().hours / mean - 1.0).abs() < 1e-12);
    }
}

fn cohort() -> impl Strategy<Value = Vec<Lifetime>> {
    proptest::collection::vec((1f64..100.0, 0u8..4), 1..40).prop_map(|rows| {
        rows.into_iter()
            .map(|(hours, kind)| if kind == 0 { Lifetime::Open(hours) } else { Lifetime::Completed(hours) })
            .collect()
    })
}
