//! The linear sets of the NIST Statistical Reference Datasets: as many certified digits as the method promises.

use aggregator::statistics::least_squares::{Intercept, Variable, Weighting, fit};
use serde_json::Value;

use crate::vector::{self, close, list, load, number, numbers};

/// Digits that agree, at most 15.
fn digits(computed: f64, certified: f64) -> f64 {
    let scale = if certified == 0.0 { 1.0 } else { certified.abs() };
    let error = (computed - certified).abs() / scale;
    if error == 0.0 { 15.0 } else { (-error.log10()).min(15.0) }
}

#[track_caller]
fn agree(what: &str, computed: f64, certified: f64, required: f64) {
    let digits = digits(computed, certified);
    assert!(digits >= required, "{what}: {computed:?}, not {certified:?}: {digits:.2} digits of {required}");
}

/// The observed values and the variables; the polynomial set has its powers written out.
fn data(vector: &Value, powers: usize) -> (Vec<f64>, Vec<Variable>) {
    let rows: Vec<Vec<f64>> = list(vector, "/inputs/data").iter().map(|row| vector::numbers(row, "")).collect();
    let observed = rows.iter().map(|row| row[0]).collect();
    let column = |index: usize| rows.iter().map(|row| row[index]).collect::<Vec<f64>>();
    let mut variables: Vec<Variable> =
        (1..rows[0].len()).map(|index| Variable::new(format!("x{index}"), column(index))).collect();
    for power in 2..=powers {
        let power = i32::try_from(power).unwrap();
        let raised: Vec<f64> = column(1).iter().map(|x| x.powi(power)).collect();
        variables.push(Variable::new(format!("x1^{power}"), raised));
    }
    (observed, variables)
}

#[track_caller]
fn check(name: &str, powers: usize) {
    let vector = load(name);
    let (observed, variables) = data(&vector, powers);
    let intercept =
        if vector["inputs"]["intercept"].as_bool().unwrap() { Intercept::Fitted } else { Intercept::Absent };
    let fit = fit(&observed, &variables, intercept, Weighting::Equal).unwrap();
    let statistics = fit.statistics();
    let digits = |what: &str| number(&vector, &format!("/tolerance/min_correct_digits/{what}"));

    assert_eq!(statistics.n as f64, number(&vector, "/expected/n"));
    assert_eq!(statistics.p as f64, number(&vector, "/expected/p"));
    let coefficients = numbers(&vector, "/expected/coefficients");
    let standard_errors = numbers(&vector, "/expected/standard_errors");
    assert_eq!(fit.coefficients().len(), coefficients.len());
    for (j, coefficient) in fit.coefficients().iter().enumerate() {
        let what = format!("{name}, {}", coefficient.name);
        agree(&what, coefficient.value, coefficients[j], digits("coefficients"));
        agree(
            &format!("{what}, standard error"),
            coefficient.standard_error,
            standard_errors[j],
            digits("standard_errors"),
        );
    }
    agree(name, statistics.residual_sd, number(&vector, "/expected/residual_sd"), digits("residual_sd"));
    agree(name, statistics.r_squared.unwrap(), number(&vector, "/expected/r_squared"), digits("r_squared"));
    let anova = |what: &str| number(&vector, &format!("/expected/anova/{what}"));
    let f = statistics.f.unwrap();
    assert_eq!((f.df_model, f.df_residual), (anova("regression/df"), anova("residual/df")));
    close("residual ss", statistics.sse, anova("residual/ss"), 1e-12);
    close("residual ms", statistics.residual_sd.powi(2), anova("residual/ms"), 1e-12);
    close("regression ss", statistics.sst - statistics.sse, anova("regression/ss"), 1e-12);
    close("regression ms", (statistics.sst - statistics.sse) / f.df_model, anova("regression/ms"), 1e-12);
    close("F", f.f, anova("regression/F"), 1e-11);
}

#[test]
fn a_straight_line() {
    check("nist_norris", 1);
}

#[test]
fn a_parabola_over_large_numbers() {
    check("nist_pontius", 2);
}

#[test]
fn a_line_through_the_origin() {
    check("nist_noint1", 1);
}

#[test]
fn six_nearly_collinear_variables() {
    check("nist_longley", 1);
}
