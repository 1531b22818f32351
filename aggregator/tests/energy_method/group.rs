//! The roll-up of pilots: sums, never means of percentages.

use aggregator::statistics::Confidence;
use aggregator::statistics::adjusted::{Comparison, RatioInterval};
use aggregator::statistics::guideline14::portfolio;
use aggregator::statistics::pooled::{Covariance, Member, PooledError, pool};
use aggregator::statistics::validity::Verdict;

use crate::vector::{close, list, load, number};

fn member(name: &str, actual: f64, adjusted_baseline: f64, sd: (f64, f64), df: f64) -> Member {
    let comparison =
        Comparison { actual, adjusted_baseline, variance_model: sd.0 * sd.0, variance_noise: sd.1 * sd.1, df };
    Member { name: name.to_owned(), comparison: Some(comparison), verdict: Verdict::Valid, output: 1.0 }
}

#[test]
fn two_pilots_add_up() {
    let vector = load("rollup");
    let tolerance = number(&vector, "/tolerance/relative");
    let pilots = list(&vector, "/inputs/pilots");
    let of = |pilot, name: &str| number(pilot, &format!("/{name}"));
    let members: Vec<Member> = pilots
        .iter()
        .map(|pilot| {
            member("pilot", of(pilot, "e1"), of(pilot, "e0") / of(pilot, "q0") * of(pilot, "q1"), (0.0, 0.0), 9.0)
        })
        .collect();
    let pooled = pool(&members, &[]).unwrap();
    let expected = |what: &str| number(&vector, &format!("/expected/{what}"));
    let comparison = pooled.comparison;
    close("Y", comparison.actual, expected("actual"), tolerance);
    close("A", comparison.adjusted_baseline, expected("adjusted_baseline"), tolerance);
    close("R", comparison.ratio().unwrap(), expected("R"), tolerance);
    close("reduction", comparison.saving_fraction().unwrap(), expected("reduction"), tolerance);
    close("mean", pooled.mean_of_percentages.unwrap(), expected("wrong/mean_of_percentages"), tolerance);

    let total = |name: &str| -> f64 { pilots.iter().map(|pilot| of(pilot, name)).sum() };
    let crude = total("e1") / total("e0") - 1.0;
    let intensity = 1.0 - total("e1") / total("q1") / (total("e0") / total("q0"));
    close("crude", crude, expected("wrong/crude_total_change"), tolerance);
    close("intensity", intensity, expected("wrong/pooled_intensity_reduction"), tolerance);
    for wrong in [expected("wrong/mean_of_percentages"), crude, intensity] {
        assert!((comparison.saving_fraction().unwrap() - wrong).abs() > 0.04);
    }
}

#[test]
fn variances_add_and_freedom_is_that_of_welch_and_satterthwaite() {
    let members = [member("a", 90.0, 100.0, (3.0, 4.0), 10.0), member("b", 40.0, 50.0, (0.0, 5.0), 10.0)];
    let pooled = pool(&members, &[]).unwrap();
    assert_eq!((pooled.comparison.variance_model, pooled.comparison.variance_noise), (9.0, 41.0));
    close("df", pooled.comparison.df, 50.0 * 50.0 / (2.0 * 625.0 / 10.0), 1e-14);
    let common = pool(&members, &[Covariance { first: 0, second: 1, value: 2.0 }]).unwrap();
    assert_eq!(common.comparison.variance_model, 13.0);
    let (lowest, highest) = pooled.leave_one_out.unwrap();
    assert_eq!((lowest.name.as_str(), lowest.ratio), ("a", 0.8));
    assert_eq!((highest.name.as_str(), highest.ratio), ("b", 0.9));
    assert_eq!(pool(&members[..1], &[]).unwrap().leave_one_out, None);
    close("portfolio", portfolio(&[(10.0, 3.0), (10.0, 4.0)]).unwrap(), 0.25, 1e-15);
    assert_eq!(portfolio(&[(10.0, 3.0), (-10.0, 4.0)]), None);
}

#[test]
fn a_pilot_without_a_valid_figure_is_counted_and_not_added() {
    let mut members = vec![member("a", 90.0, 100.0, (3.0, 4.0), 10.0), member("b", 4.0, 50.0, (0.0, 5.0), 10.0)];
    members[1].verdict = Verdict::Invalid;
    members.push(Member { comparison: None, output: 2.0, ..members[0].clone() });
    members.push(Member { verdict: Verdict::ValidWithFlags, ..members[0].clone() });
    let pooled = pool(&members, &[Covariance { first: 0, second: 1, value: 2.0 }]).unwrap();
    assert_eq!((pooled.n_included, pooled.n_members), (2, 4));
    assert_eq!(pooled.comparison.actual, 180.0);
    assert_eq!(pooled.comparison.variance_model, 18.0);
    assert_eq!(pooled.output_share, Some(0.4));
    assert_eq!(pool(&members[1..3], &[]).unwrap_err(), PooledError::NoValidMember { members: 2 });
}

#[test]
fn a_group_without_variance_has_an_interval_of_one_point() {
    let pooled = pool(&[member("a", 90.0, 100.0, (0.0, 0.0), 10.0)], &[]).unwrap();
    assert_eq!(pooled.comparison.df, f64::INFINITY);
    let RatioInterval::Bounded(interval) = pooled.comparison.ratio_interval(Confidence::NINETY) else {
        panic!("bounded");
    };
    assert_eq!((interval.lower, interval.upper), (0.9, 0.9));
}

#[test]
fn what_does_not_add_up_is_named() {
    let members = [member("a", 90.0, 100.0, (3.0, 4.0), 10.0), member("b", f64::NAN, 50.0, (0.0, 5.0), 10.0)];
    let refusal = |members: &[Member], covariance: (usize, usize, f64)| {
        let covariance = Covariance { first: covariance.0, second: covariance.1, value: covariance.2 };
        pool(members, &[covariance]).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refusal(&members, (0, 1, 0.0)), @"`b` has an actual use of `NaN`; numbers are finite, variances and outputs not below zero");
    insta::assert_snapshot!(refusal(&members[..1], (0, 0, 0.0)), @"a covariance names members 0 and 0 of 1; it names two different ones");
    let twins = [members[0].clone(), members[0].clone()];
    insta::assert_snapshot!(refusal(&twins, (0, 1, -10.0)), @"the covariances -20 outweigh the variances of the members; no common error is larger than its members'");
    insta::assert_snapshot!(pool(&[], &[]).unwrap_err(), @"none of 0 members has a valid figure; a group needs one");
}
