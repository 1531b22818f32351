//! The regression vector: production and cooling degree days of a year of months, fitted, adjusted, compared, tested; and
//! the reference figure of ASHRAE Guideline 14.

use aggregator::statistics::Confidence;
use aggregator::statistics::adjusted::{
    AdjustedBaseline, Autocorrelation, Comparison, MeterError, RatioInterval, Rows, adjust,
};
use aggregator::statistics::guideline14::{Granularity, Input, K, fractional_savings_uncertainty, sun_baltazar};
use aggregator::statistics::least_squares::{Fit, Intercept, Variable, Weighting, fit};
use aggregator::statistics::validity::{Chosen, Criterion, Sign, Verdict, judge};
use serde_json::Value;

use crate::vector::{all_close, close, list, load, number, numbers};

/// The variables of one period of the vector.
fn variables(vector: &Value, period: &str) -> Vec<Variable> {
    ["prod", "cdd"].map(|name| Variable::new(name, numbers(vector, &format!("/inputs/{period}/{name}")))).to_vec()
}

fn baseline(vector: &Value) -> Fit {
    let observed = numbers(vector, "/inputs/baseline/kwh");
    fit(&observed, &variables(vector, "baseline"), Intercept::Fitted, Weighting::Equal).unwrap()
}

fn adjusted(vector: &Value) -> (AdjustedBaseline, Comparison) {
    let adjusted = adjust(&baseline(vector), &variables(vector, "reporting"), Rows::Alike(12)).unwrap();
    let comparison = adjusted.compare(numbers(vector, "/inputs/reporting/kwh").iter().sum()).unwrap();
    (adjusted, comparison)
}

fn confidence(level: &str) -> Confidence {
    Confidence::new(level.parse().unwrap()).unwrap()
}

#[test]
fn the_fit_and_its_statistics() {
    let vector = load("energy_regression");
    let expected = |what: &str| number(&vector, &format!("/expected/{what}"));
    let tolerance = number(&vector, "/tolerance/relative");
    let p_tolerance = number(&vector, "/tolerance/p_values_relative");
    let fit = baseline(&vector);
    let statistics = fit.statistics();
    let of = |part: fn(&aggregator::statistics::least_squares::Coefficient) -> f64| -> Vec<f64> {
        fit.coefficients().iter().map(part).collect()
    };
    assert_eq!((statistics.n as f64, statistics.p as f64), (expected("n"), expected("p")));
    all_close("b", &of(|c| c.value), &numbers(&vector, "/expected/coefficients"), tolerance);
    all_close("SE", &of(|c| c.standard_error), &numbers(&vector, "/expected/standard_errors"), tolerance);
    all_close("t", &of(|c| c.t.unwrap()), &numbers(&vector, "/expected/t"), tolerance);
    all_close("p", &of(|c| c.p.unwrap()), &numbers(&vector, "/expected/p_values"), p_tolerance);
    close("R²", statistics.r_squared.unwrap(), expected("r_squared"), tolerance);
    close("R²adj", statistics.r_squared_adjusted.unwrap(), expected("r_squared_adj"), tolerance);
    close("F", statistics.f.unwrap().f, expected("F"), tolerance);
    close("p of F", statistics.f.unwrap().p, expected("F_p_value"), p_tolerance);
    close("s", statistics.residual_sd, expected("s"), tolerance);
    close("CV(RMSE)", statistics.cv_rmse.unwrap(), expected("cv_rmse"), tolerance);
    close("NMBE", statistics.nmbe.unwrap(), expected("nmbe"), number(&vector, "/tolerance/nmbe_absolute"));
    close("ρ", statistics.rho.unwrap(), expected("rho_lag1_pearson"), number(&vector, "/tolerance/rho_relative"));
    close("n'", statistics.n_effective.unwrap(), expected("n_prime"), tolerance);
    close("DW", statistics.durbin_watson.unwrap(), expected("durbin_watson"), tolerance);
}

#[test]
fn the_adjusted_baseline_and_its_intervals() {
    let vector = load("energy_regression");
    let expected = |what: &str| number(&vector, &format!("/expected/{what}"));
    let tolerance = number(&vector, "/tolerance/relative");
    let (adjusted, comparison) = adjusted(&vector);
    assert_eq!(adjusted.rows.len() as f64, expected("m"));
    assert_eq!(adjusted.autocorrelation, Autocorrelation::NotCorrected);
    close("A", comparison.adjusted_baseline, expected("A_adjusted_baseline"), tolerance);
    close("Y", comparison.actual, expected("Y_actual"), tolerance);
    close("S", comparison.saving(), expected("S_avoided"), tolerance);
    close("S after GB/T 28750", -comparison.saving(), expected("gbt_28750_Es"), tolerance);
    close("F", comparison.saving_fraction().unwrap(), expected("F_saving_fraction"), tolerance);
    close("R", comparison.ratio().unwrap(), expected("R_ratio"), tolerance);
    close("sd", comparison.saving_sd(), expected("sd_A_minus_Y"), tolerance);
    close("model part", comparison.variance_model.sqrt(), expected("sd_model_part"), tolerance);
    for (level, interval) in vector["expected"]["S_interval"].as_object().unwrap() {
        let computed = comparison.saving_interval(confidence(level));
        all_close(level, &[computed.lower, computed.upper], &numbers(interval, ""), tolerance);
    }
    for (level, uncertainty) in vector["expected"]["relative_uncertainty_exact"].as_object().unwrap() {
        let computed = comparison.relative_uncertainty(confidence(level)).unwrap();
        close(level, computed, uncertainty.as_f64().unwrap(), tolerance);
    }
    let RatioInterval::Bounded(interval) = comparison.ratio_interval(Confidence::NINETY) else {
        panic!("the interval of R is bounded");
    };
    all_close("R", &[interval.lower, interval.upper], &numbers(&vector, "/expected/R_interval_0.9"), tolerance);
    for test in list(&vector, "/expected/test_reduction_at_least") {
        let d = number(test, "/d");
        let computed = comparison.test_reduction(d);
        close("T", computed.t, number(test, "/t"), tolerance);
        close("p", computed.p, number(test, "/p"), number(&vector, "/tolerance/p_values_relative"));
        assert_eq!(comparison.proves_reduction(d), test["met"].as_bool().unwrap(), "d = {d}");
    }
    assert!(comparison.significant() && comparison.exceeds_twice_standard_error());
}

#[test]
fn the_extrapolation_guard_flags_five_months_by_their_leverage() {
    let vector = load("energy_regression");
    let tolerance = number(&vector, "/tolerance/relative");
    let guard = adjusted(&vector).0.guard;
    close("baseline", guard.leverage_max_baseline, number(&vector, "/expected/leverage/baseline_max"), tolerance);
    close("reporting", guard.leverage_max_reporting, number(&vector, "/expected/leverage/reporting_max"), tolerance);
    assert_eq!(guard.n_flagged() as f64, number(&vector, "/expected/leverage/reporting_points_flagged"));
    assert!(guard.rows.iter().all(|row| row.outside.is_empty()), "{guard:?}");
    assert!(!guard.mostly_flagged());
}

#[test]
fn guideline_14_beside_the_exact_figure() {
    let vector = load("energy_regression");
    let (fit, (_, comparison)) = (baseline(&vector), adjusted(&vector));
    assert_eq!(number(&vector, "/inputs/G14_factor"), K);
    let statistics = fit.statistics();
    let check = |rho: f64, name: &str| {
        for (level, expected) in vector["expected"][name].as_object().unwrap() {
            let input = Input::of(statistics, rho, K, 12.0, comparison.saving_fraction().unwrap()).unwrap();
            let computed = fractional_savings_uncertainty(confidence(level), input).unwrap();
            close(level, computed.fsu, expected.as_f64().unwrap(), number(&vector, "/tolerance/relative"));
        }
    };
    check(0.0, "FSU_G14_no_autocorrelation");
    check(statistics.rho.unwrap(), "FSU_G14_autocorrelation");
}

#[test]
fn the_unadjusted_figures_say_something_else() {
    let vector = load("energy_regression");
    let total =
        |period: &str, column: &str| -> f64 { numbers(&vector, &format!("/inputs/{period}/{column}")).iter().sum() };
    let expected = |what: &str| number(&vector, &format!("/expected/naive_for_contrast/{what}"));
    let change = |after: f64, before: f64| (after / before - 1.0) * 100.0;
    let kwh = change(total("reporting", "kwh"), total("baseline", "kwh"));
    let intensity = |period: &str| total(period, "kwh") / total(period, "prod");
    close("kWh", kwh, expected("total_kwh_change_pct"), 1e-9);
    close("per unit", change(intensity("reporting"), intensity("baseline")), expected("kwh_per_unit_change_pct"), 1e-9);
    assert!((adjusted(&vector).1.saving_fraction().unwrap() * -100.0 - kwh).abs() > 3.0);
}

#[test]
fn fractional_savings_uncertainty_of_two_cases() {
    let vector = load("fsu");
    let tolerance = number(&vector, "/tolerance/relative");
    for (case, expected) in list(&vector, "/inputs/cases").iter().zip(list(&vector, "/expected/cases")) {
        let of = |name: &str| number(case, &format!("/{name}"));
        let input = Input {
            k: number(&vector, "/inputs/k"),
            cv: of("cv"),
            n: of("n"),
            rho: of("rho"),
            p: of("p"),
            m: of("m"),
            fraction: of("F"),
        };
        let computed = fractional_savings_uncertainty(Confidence::new(of("confidence")).unwrap(), input).unwrap();
        close("n'", computed.n_effective, number(expected, "/n_prime"), tolerance);
        close("t", computed.t, number(expected, "/t"), tolerance);
        close("FSU", computed.fsu, number(expected, "/fsu"), tolerance);
        assert_eq!(fractional_savings_uncertainty(Confidence::NINETY, Input { fraction: 0.0, ..input }), None);
        assert_eq!(fractional_savings_uncertainty(Confidence::NINETY, Input { rho: 1.0, ..input }), None);
    }
    for (granularity, name) in [(Granularity::Daily, "daily"), (Granularity::Billing, "billing")] {
        let months = numbers(&vector, "/inputs/sun_baltazar_months");
        let computed: Vec<f64> = months.iter().map(|months| sun_baltazar(granularity, *months)).collect();
        all_close(name, &computed, &numbers(&vector, &format!("/expected/sun_baltazar/{name}")), tolerance);
    }
}

#[test]
fn every_criterion_of_validity_is_in_the_list_and_the_vector_passes_them() {
    let vector = load("energy_regression");
    let (fit, (adjusted, comparison)) = (baseline(&vector), adjusted(&vector));
    let judged = |chosen: Chosen<'_>| {
        judge(&fit, chosen, &variables(&vector, "reporting"), &adjusted, Some((&comparison, 12.0)))
    };
    let plan = judged(Chosen::ByPlan(&[Sign::Positive, Sign::NotStated]));
    assert_eq!(plan.verdict, Verdict::Valid, "{plan:?}");
    let criteria: Vec<Criterion> = plan.findings.iter().map(|finding| finding.criterion).collect();
    assert_eq!(
        criteria,
        [
            Criterion::OverallF,
            Criterion::EveryVariable,
            Criterion::OneVariable,
            Criterion::RSquared,
            Criterion::Signs,
            Criterion::ReportingMeans,
            Criterion::CvRmseUsable,
            Criterion::Bias,
            Criterion::CvRmseAccurate,
            Criterion::Uncertainty,
            Criterion::Extrapolation,
        ]
    );
    let wrong = judged(Chosen::ByPlan(&[Sign::Positive, Sign::Negative]));
    assert_eq!(wrong.verdict, Verdict::Invalid);
    let failed: Vec<_> = wrong.findings.into_iter().filter(|finding| !finding.passed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].criterion, &failed[0].variables[..]), (Criterion::Signs, &["cdd".to_owned()][..]));
}

#[test]
fn far_from_the_baseline_a_model_is_flagged_and_then_invalid() {
    let vector = load("energy_regression");
    let fit = baseline(&vector);
    let verdict = |by: f64| {
        let mut reporting = variables(&vector, "reporting");
        reporting[0].values.iter_mut().for_each(|output| *output *= by);
        let adjusted = adjust(&fit, &reporting, Rows::Alike(12)).unwrap();
        judge(&fit, Chosen::ByPlan(&[]), &reporting, &adjusted, None).verdict
    };
    assert_eq!(verdict(1.0), Verdict::Valid);
    assert_eq!(verdict(1.15), Verdict::ValidWithFlags);
    assert_eq!(verdict(1.5), Verdict::Invalid);
}

/// 0.5 % of a class is a standard error of 0.5 %/√3; a certificate's 0.5 % is one of 0.25 %.
#[test]
fn a_meter_adds_its_error_to_the_noise() {
    let comparison = adjusted(&load("energy_regression")).1;
    let check = |error: MeterError, relative: f64| {
        let wider = comparison.with_meter_error(error);
        let added = (wider.variance_noise - comparison.variance_noise).sqrt();
        close("meter", added, relative * comparison.actual, 1e-9);
        assert_eq!(wider.variance_model, comparison.variance_model);
    };
    check(MeterError::ClassLimit(0.005), 0.005 / 3f64.sqrt());
    check(MeterError::ExpandedUncertainty(0.005), 0.0025);
}
