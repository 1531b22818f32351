//! Correlated residuals, intervals without a bound, reporting rows that do not fit their model.

use aggregator::statistics::Confidence;
use aggregator::statistics::adjusted::{AdjustedBaseline, Autocorrelation, Comparison, RatioInterval, Rows, adjust};
use aggregator::statistics::guideline14::{Input, K};
use aggregator::statistics::least_squares::{Fit, Intercept, Variable, Weighting, fit};
use aggregator::statistics::validity::{Chosen, Criterion, Effect, Verdict, judge};

use crate::vector::close;

/// Uses about a line, whose deviations stay on a side for eight rows each.
fn waves(n: usize) -> (Vec<f64>, Variable) {
    let output: Vec<f64> = (0..n).map(|row| 100.0 + (row * 37 % 101) as f64).collect();
    let wave = |row: usize| if (row / 8).is_multiple_of(2) { 10.0 } else { -10.0 };
    let used = output.iter().enumerate().map(|(row, x)| 500.0 + 3.0 * x + wave(row) + (row * 13 % 7) as f64).collect();
    (used, Variable::new("output", output))
}

fn wavy(n: usize) -> (Fit, AdjustedBaseline, Variable) {
    let (used, output) = waves(n);
    let fit = fit(&used, std::slice::from_ref(&output), Intercept::Fitted, Weighting::Equal).unwrap();
    let adjusted = adjust(&fit, std::slice::from_ref(&output), Rows::Alike(n)).unwrap();
    (fit, adjusted, output)
}

/// u'Cu of Newey and West, written out with its matrices.
fn newey_west(fit: &Fit, x: &[[f64; 2]], u: [f64; 2]) -> f64 {
    let (n, e) = (x.len(), fit.residuals());
    let bandwidth = 4.0 * (n as f64 / 100.0).powf(2.0 / 9.0);
    let lags = (0..n).take_while(|lag| *lag as f64 <= bandwidth).count() - 1;
    let mut middle = [[0.0; 2]; 2];
    for lag in 0..=lags {
        let weight = 1.0 - lag as f64 / (lags + 1) as f64;
        for t in lag..n {
            for (a, row) in middle.iter_mut().enumerate() {
                for (b, cell) in row.iter_mut().enumerate() {
                    let product = e[t] * e[t - lag] * weight;
                    *cell += product * x[t][a] * x[t - lag][b];
                    if lag > 0 {
                        *cell += product * x[t - lag][a] * x[t][b];
                    }
                }
            }
        }
    }
    let inverse = fit.inverse();
    let v = [0, 1].map(|a| inverse[a][0] * u[0] + inverse[a][1] * u[1]);
    let form: f64 = (0..2).map(|a| (0..2).map(|b| v[a] * middle[a][b] * v[b]).sum::<f64>()).sum();
    form * n as f64 / (n as f64 - 2.0)
}

#[test]
fn correlated_residuals_widen_by_the_rule() {
    for n in [24, 120] {
        let (fit, adjusted, output) = wavy(n);
        let statistics = fit.statistics();
        let rho = statistics.rho.unwrap();
        assert!(rho > 2.0 / (n as f64).sqrt(), "{rho}");
        let s_squared = statistics.sse / fit.df();
        close("noise", adjusted.variance_noise, s_squared * n as f64 * (1.0 + rho) / (1.0 - rho), 1e-12);
        let n_effective = n as f64 * (1.0 - rho) / (1.0 + rho);
        close("df", adjusted.df, (n_effective - 2.0).max(1.0), 1e-12);
        let u = [n as f64, output.values.iter().sum()];
        let x: Vec<[f64; 2]> = output.values.iter().map(|x| [1.0, *x]).collect();
        let (plain, robust) = (s_squared * fit.quadratic_form(&u), newey_west(&fit, &x, u));
        // Twenty-four rows are too few for the matrix of Newey and West.
        let newey_west = n >= 60;
        close("model", adjusted.variance_model, if newey_west { robust } else { plain }, 1e-10);
        assert!(robust > plain, "{robust} {plain}");
        assert_eq!(adjusted.autocorrelation, Autocorrelation::Corrected { rho, n_effective, newey_west });
    }
}

#[test]
fn residuals_that_alternate_narrow_nothing() {
    let output = Variable::new("output", (0..80).map(|row| f64::from(row * 37 % 101)).collect::<Vec<f64>>());
    let swing = |(row, x): (usize, &f64)| 100.0 + 2.0 * x + if row.is_multiple_of(2) { 5.0 } else { -5.0 };
    let used: Vec<f64> = output.values.iter().enumerate().map(swing).collect();
    let fit = fit(&used, std::slice::from_ref(&output), Intercept::Fitted, Weighting::Equal).unwrap();
    let adjusted = adjust(&fit, &[output], Rows::Alike(80)).unwrap();
    assert!(fit.statistics().rho.unwrap() < -0.9);
    assert_eq!((adjusted.autocorrelation, adjusted.df), (Autocorrelation::NotCorrected, 78.0));
}

#[test]
fn the_figure_of_guideline_14_needs_more_effective_points_than_parameters() {
    let (fit, _, _) = wavy(24);
    assert!(Input::of(fit.statistics(), 0.0, K, 24.0, 0.1).is_some());
    assert!(Input::of(fit.statistics(), 0.9, K, 24.0, 0.1).is_none());
}

#[test]
fn a_baseline_that_may_be_zero_bounds_no_ratio() {
    let comparison = |adjusted_baseline: f64| Comparison {
        actual: 50.0,
        adjusted_baseline,
        variance_model: 2500.0,
        variance_noise: 100.0,
        df: 9.0,
    };
    for baseline in [90.0, 0.0, -500.0] {
        let comparison = comparison(baseline);
        assert_eq!(comparison.ratio_interval(Confidence::NINETY), RatioInterval::Undetermined);
        assert!(!comparison.significant() && !comparison.proves_reduction(0.0));
    }
    assert_eq!((comparison(0.0).ratio(), comparison(0.0).saving_fraction()), (None, None));
    assert!(matches!(comparison(95.0).ratio_interval(Confidence::NINETY), RatioInterval::Bounded(_)));
}

/// Residuals with a correlation of one leave the noise unbounded: infinite ends, a test that proves nothing.
#[test]
fn an_infinite_noise_has_an_infinite_interval() {
    let comparison = Comparison {
        actual: 50.0,
        adjusted_baseline: 100.0,
        variance_model: 1.0,
        variance_noise: f64::INFINITY,
        df: 1.0,
    };
    let saving = comparison.saving_interval(Confidence::NINETY);
    assert_eq!((saving.lower, saving.upper), (f64::NEG_INFINITY, f64::INFINITY));
    let RatioInterval::Bounded(ratio) = comparison.ratio_interval(Confidence::NINETY) else { panic!("a ratio") };
    assert_eq!((ratio.lower, ratio.upper), (f64::NEG_INFINITY, f64::INFINITY));
    assert_eq!(comparison.test_reduction(0.1).p, 0.5);
}

/// Use per day, weighted by days: A is the sum over all days, and the noise counts days.
#[test]
fn a_model_of_use_per_day_counts_days() {
    let days = [31.0, 28.0, 31.0, 30.0, 31.0, 30.0];
    let cold = Variable::new("hdd", [20.0, 18.0, 12.0, 7.0, 2.0, 0.0]);
    let per_day = [104.0, 95.0, 69.0, 46.0, 21.0, 9.0];
    let fit = fit(&per_day, std::slice::from_ref(&cold), Intercept::Fitted, Weighting::PerRow(&days)).unwrap();
    let adjusted = adjust(&fit, std::slice::from_ref(&cold), Rows::OfDays(&days)).unwrap();
    let total: f64 = per_day.iter().zip(days).map(|(use_per_day, days)| use_per_day * days).sum();
    close("A", adjusted.value, total, 1e-13);
    close("noise", adjusted.variance_noise, fit.statistics().sse / 4.0 * 181.0, 1e-12);
    // In sample, with the intercept: u'(X'WX)⁻¹u is the sum of the weights.
    close("model", adjusted.variance_model, fit.statistics().sse / 4.0 * 181.0, 1e-12);
    close("leverage", adjusted.guard.leverage_max_reporting, adjusted.guard.leverage_max_baseline, 1e-12);
}

#[test]
fn a_variable_outside_its_baseline_values_flags_its_row() {
    let temperature = Variable::new("temperature", [-20.0, -10.0, 0.0, 10.0, 20.0, 30.0]);
    let used = [90.0, 80.0, 71.0, 60.0, 50.0, 41.0];
    let fit = fit(&used, &[temperature], Intercept::Fitted, Weighting::Equal).unwrap();
    let reporting = Variable::new("temperature", [-22.0, -22.1, 33.0, 33.1]);
    let guard = adjust(&fit, &[reporting], Rows::Alike(4)).unwrap().guard;
    let outside: Vec<usize> = guard.rows.iter().map(|row| row.outside.len()).collect();
    assert_eq!(outside, [0, 1, 0, 1]);
    assert!(guard.rows.iter().all(|row| row.unusual));
    assert!(guard.mostly_flagged());
}

#[test]
fn a_model_that_explains_nothing_is_invalid_by_plan_and_shown_by_grid() {
    let used = [10.0, 12.0, 9.0, 11.0, 13.0, 8.0, 10.0, 12.0];
    let output = Variable::new("output", [5.0, 6.0, 7.0, 8.0, 8.0, 7.0, 6.0, 5.0]);
    let fit = fit(&used, std::slice::from_ref(&output), Intercept::Fitted, Weighting::Equal).unwrap();
    let adjusted = adjust(&fit, std::slice::from_ref(&output), Rows::Alike(8)).unwrap();
    let comparison = adjusted.compare(80.0).unwrap();
    let judged =
        |chosen: Chosen<'_>| judge(&fit, chosen, std::slice::from_ref(&output), &adjusted, Some((&comparison, 8.0)));
    let plan = judged(Chosen::ByPlan(&[]));
    let failed = plan.findings.iter().filter(|finding| !finding.passed && finding.effect == Effect::Invalidates);
    let failed: Vec<Criterion> = failed.map(|finding| finding.criterion).collect();
    assert_eq!(failed, [Criterion::OverallF, Criterion::EveryVariable, Criterion::OneVariable, Criterion::RSquared]);
    assert_eq!(plan.findings[1].variables, ["output"]);
    assert_eq!(plan.verdict, Verdict::Invalid);
    let grid = judged(Chosen::ByGrid);
    assert_eq!(grid.findings.len(), plan.findings.len());
    assert_eq!(grid.verdict, Verdict::ValidWithFlags, "a saving of 5 in 80 is less certain than half of itself");
}

#[test]
fn reporting_rows_that_do_not_fit_say_how() {
    let (fit, adjusted, output) = wavy(24);
    let refusal = |variable: Variable, rows: Rows<'_>| adjust(&fit, &[variable], rows).unwrap_err().to_string();
    let of = |values: &[f64]| Variable::new("output", values);
    insta::assert_snapshot!(refusal(of(&[]), Rows::Alike(0)), @"the reporting period has no rows; it needs at least one");
    insta::assert_snapshot!(refusal(Variable::new("pieces", output.values.clone()), Rows::Alike(24)), @"the reporting period gives `pieces`; the model has `output`, in this order");
    insta::assert_snapshot!(refusal(of(&[1.0]), Rows::Alike(2)), @"`output` has 1 values for 2 reporting rows; every variable has one for each row");
    insta::assert_snapshot!(refusal(of(&[f64::NAN]), Rows::Alike(1)), @"`output` is `NaN` in reporting row 0; an adjusted baseline takes finite numbers");
    insta::assert_snapshot!(refusal(of(&[1.0]), Rows::OfDays(&[30.0])), @"the model is not of use per day; its reporting rows carry no days");
    insta::assert_snapshot!(refusal(of(&[f64::MAX]), Rows::Alike(1)), @"the adjusted baseline leaves the range of double precision; give the variables in larger or smaller units");
    insta::assert_snapshot!(adjusted.compare(f64::INFINITY).unwrap_err(), @"the actual use is `inf`; a comparison takes a finite number");
}
