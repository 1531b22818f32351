//! Laws that hold for any data: scale, permutation, agreement of test and interval, residuals, additivity, collinearity.

use aggregator::statistics::Confidence;
use aggregator::statistics::Interval;
use aggregator::statistics::adjusted::{Comparison, RatioInterval, Rows, adjust};
use aggregator::statistics::least_squares::{Fit, FitError, Intercept, Variable, Weighting, fit};
use aggregator::statistics::pooled::{Member, pool};
use aggregator::statistics::validity::Verdict;
use proptest::prelude::*;

/// A baseline of output and degree days, and a reporting period.
#[derive(Debug, Clone)]
struct Site {
    output: Vec<f64>,
    degree_days: Vec<f64>,
    used: Vec<f64>,
    n_baseline: usize,
}

prop_compose! {
    fn site()(n_baseline in 8usize..40, n_reporting in 1usize..20)(
        output in prop::collection::vec(500.0..1500.0, n_baseline + n_reporting),
        degree_days in prop::collection::vec(0.0..200.0, n_baseline + n_reporting),
        noise in prop::collection::vec(-1.0..1.0, n_baseline + n_reporting),
        base in 1e3..1e5,
        per_unit in 10.0..200.0,
        per_degree_day in 0.0..300.0,
        loudness in 1e1..2e4,
        n_baseline in Just(n_baseline),
    ) -> Site {
        let used = |row: usize| {
            base + per_unit * output[row] + per_degree_day * degree_days[row] + loudness * noise[row]
        };
        let used = (0..output.len()).map(used).collect();
        Site { output, degree_days, used, n_baseline }
    }
}

impl Site {
    fn variables(&self, from: usize, to: usize) -> Vec<Variable> {
        vec![Variable::new("output", &self.output[from..to]), Variable::new("degree days", &self.degree_days[from..to])]
    }

    fn baseline(&self) -> Fit {
        let variables = self.variables(0, self.n_baseline);
        fit(&self.used[..self.n_baseline], &variables, Intercept::Fitted, Weighting::Equal).unwrap()
    }

    fn comparison(&self) -> Comparison {
        let reporting = self.variables(self.n_baseline, self.used.len());
        let adjusted = adjust(&self.baseline(), &reporting, Rows::Alike(reporting[0].values.len())).unwrap();
        adjusted.compare(self.used[self.n_baseline..].iter().sum()).unwrap()
    }
}

fn bounds(comparison: &Comparison) -> Option<Interval> {
    match comparison.ratio_interval(Confidence::NINETY) {
        RatioInterval::Bounded(interval) => Some(interval),
        RatioInterval::Undetermined => None,
    }
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

/// Any number at all, or one of any size that a model takes.
fn of_any_size() -> impl Strategy<Value = f64> {
    let sized = (-100.0..100.0, any::<bool>());
    let sized =
        sized.prop_map(|(exponent, negative): (f64, bool)| 10f64.powf(exponent) * if negative { -1.0 } else { 1.0 });
    prop_oneof![1 => any::<f64>(), 1 => Just(0.0), 8 => sized]
}

proptest! {
    #[test]
    fn law_1_a_unit_ten_times_smaller_changes_no_ratio(site in site()) {
        let ten = Site { used: site.used.iter().map(|used| used * 10.0).collect(), ..site.clone() };
        let (one, ten) = (site.comparison(), ten.comparison());
        prop_assert!(near(one.ratio().unwrap(), ten.ratio().unwrap(), 1e-10));
        let (one, ten) = (bounds(&one).unwrap(), bounds(&ten).unwrap());
        prop_assert!(near(one.lower, ten.lower, 1e-9) && near(one.upper, ten.upper, 1e-9), "{one:?} {ten:?}");
    }

    #[test]
    fn law_1_the_unit_of_a_variable_changes_no_ratio(site in site()) {
        let tonnes = Site { output: site.output.iter().map(|output| output / 1000.0).collect(), ..site.clone() };
        let (kilograms, tonnes) = (bounds(&site.comparison()).unwrap(), bounds(&tonnes.comparison()).unwrap());
        prop_assert!(near(kilograms.lower, tonnes.lower, 1e-9) && near(kilograms.upper, tonnes.upper, 1e-9));
    }

    #[test]
    fn law_2_pilots_add_up(sites in prop::collection::vec(site(), 1..6)) {
        let members: Vec<Member> = sites.iter().map(|site| Member {
            name: "pilot".to_owned(),
            comparison: Some(site.comparison()),
            verdict: Verdict::Valid,
            output: site.output.iter().sum(),
        }).collect();
        let comparisons: Vec<Comparison> = members.iter().filter_map(|member| member.comparison).collect();
        let pooled = pool(&members, &[]).unwrap();
        let total = |part: fn(&Comparison) -> f64| comparisons.iter().map(part).sum::<f64>();
        prop_assert!(near(pooled.comparison.actual, total(|c| c.actual), 1e-12));
        prop_assert!(near(pooled.comparison.adjusted_baseline, total(|c| c.adjusted_baseline), 1e-12));
        let df: Vec<f64> = comparisons.iter().map(|c| c.df).collect();
        prop_assert!(pooled.comparison.df >= df.iter().copied().fold(f64::INFINITY, f64::min) - 1e-9);
        prop_assert!(pooled.comparison.df <= df.iter().sum::<f64>() + 1e-9);
    }

    #[test]
    fn law_3_the_baseline_against_itself_is_one(site in site()) {
        let variables = site.variables(0, site.n_baseline);
        let adjusted = adjust(&site.baseline(), &variables, Rows::Alike(site.n_baseline)).unwrap();
        let comparison = adjusted.compare(site.used[..site.n_baseline].iter().sum()).unwrap();
        prop_assert!(near(comparison.ratio().unwrap(), 1.0, 1e-11));
        let interval = bounds(&comparison).unwrap();
        prop_assert!(interval.lower <= 1.0 && interval.upper >= 1.0, "{interval:?}");
        prop_assert!(!comparison.significant());
    }

    #[test]
    fn law_5_test_and_interval_agree(site in site(), d in -0.5..0.9, cut in 0.3..1.2) {
        let comparison = site.comparison();
        let comparison = Comparison { actual: comparison.actual * cut, ..comparison };
        let interval = bounds(&comparison).unwrap();
        prop_assert!(interval.lower <= interval.upper);
        prop_assert_eq!(comparison.test_reduction(d).p < 0.05, interval.upper < 1.0 - d);
        prop_assert_eq!(comparison.significant(), comparison.saving_interval(Confidence::NINETY).lower > 0.0);
        // At the bound itself the test is just at its level.
        prop_assert!(near(comparison.test_reduction(1.0 - interval.upper).p, 0.05, 1e-6));
        prop_assert!(near(comparison.test_reduction(1.0 - interval.lower).p, 0.95, 1e-6));
    }

    #[test]
    fn law_6_residuals_of_a_fit_add_to_nothing(site in site()) {
        let fit = site.baseline();
        let scale = site.used.iter().copied().fold(0.0, f64::max);
        prop_assert!(fit.residuals().iter().sum::<f64>().abs() < 1e-10 * scale);
        prop_assert!(fit.statistics().nmbe.unwrap().abs() < 1e-12);
        // Leverages add to the number of parameters.
        prop_assert!(near(fit.leverages().iter().sum(), 3.0, 1e-10));
    }

    #[test]
    fn law_7_the_order_of_columns_and_rows_changes_nothing(site in site(), by in 1usize..8) {
        let fit_of = |observed: &[f64], variables: &[Variable]| {
            fit(observed, variables, Intercept::Fitted, Weighting::Equal).unwrap()
        };
        let variables = site.variables(0, site.n_baseline);
        let plain = fit_of(&site.used[..site.n_baseline], &variables);
        let swapped = fit_of(&site.used[..site.n_baseline], &[variables[1].clone(), variables[0].clone()]);
        let turned = |values: &[f64]| { let mut values = values.to_vec(); values.rotate_left(by); values };
        let rows: Vec<Variable> = variables.iter().map(|v| Variable::new(v.name.clone(), turned(&v.values))).collect();
        let turned = fit_of(&turned(&site.used[..site.n_baseline]), &rows);
        for coefficient in plain.coefficients() {
            for other in [&swapped, &turned] {
                let same = other.coefficients().iter().find(|c| c.name == coefficient.name).unwrap();
                prop_assert!((coefficient.value - same.value).abs() <= 1e-10 * coefficient.value.abs().max(coefficient.standard_error));
                prop_assert!(near(coefficient.standard_error, same.standard_error, 1e-10));
            }
        }
        prop_assert!(near(plain.statistics().residual_sd, swapped.statistics().residual_sd, 1e-10));
        prop_assert!(near(plain.statistics().r_squared.unwrap(), turned.statistics().r_squared.unwrap(), 1e-10));
    }

    #[test]
    fn law_17_collinear_columns_are_an_error_that_names_them(site in site(), a in 1i8..9, b in 0i8..9, constant in 1.0..1e4) {
        let mut variables = site.variables(0, site.n_baseline);
        let made = |row: usize| f64::from(a) * site.output[row] + f64::from(b) * site.degree_days[row];
        variables.push(Variable::new("made", (0..site.n_baseline).map(made).collect::<Vec<f64>>()));
        let refused = fit(&site.used[..site.n_baseline], &variables, Intercept::Fitted, Weighting::Equal).unwrap_err();
        let mut expected = vec!["output", "degree days", "made"];
        expected.retain(|name| b != 0 || *name != "degree days");
        prop_assert_eq!(refused, FitError::Collinear { names: expected.iter().map(|name| (*name).to_owned()).collect() });

        variables[2] = Variable::new("constant", vec![constant; site.n_baseline]);
        let refused = fit(&site.used[..site.n_baseline], &variables, Intercept::Fitted, Weighting::Equal).unwrap_err();
        prop_assert_eq!(refused, FitError::Collinear { names: vec!["intercept".to_owned(), "constant".to_owned()] });
    }

    /// Whatever the numbers: no panic and no NaN.
    #[test]
    fn any_numbers_give_an_error_or_numbers(
        used in prop::collection::vec(of_any_size(), 3..12),
        output in prop::collection::vec(of_any_size(), 12),
        actual in any::<f64>(),
        d in -1.0..1.0,
    ) {
        let variable = Variable::new("output", &output[..used.len()]);
        let Ok(fit) = fit(&used, std::slice::from_ref(&variable), Intercept::Fitted, Weighting::Equal) else { return Ok(()) };
        for coefficient in fit.coefficients() {
            prop_assert!(!coefficient.value.is_nan() && !coefficient.standard_error.is_nan());
            prop_assert!(!coefficient.p.is_some_and(f64::is_nan), "{coefficient:?}");
        }
        let statistics = fit.statistics();
        let optional = [statistics.r_squared, statistics.r_squared_adjusted, statistics.cv_rmse, statistics.nmbe,
            statistics.rho, statistics.n_effective, statistics.durbin_watson, statistics.f.map(|f| f.p)];
        prop_assert!(!optional.into_iter().flatten().any(f64::is_nan), "{statistics:?}");
        let Ok(adjusted) = adjust(&fit, &[variable], Rows::Alike(used.len())) else { return Ok(()) };
        let Ok(comparison) = adjusted.compare(actual) else { return Ok(()) };
        let interval = comparison.saving_interval(Confidence::NINETY);
        let ratio = bounds(&comparison).unwrap_or(Interval { lower: 0.0, upper: 0.0 });
        let test = comparison.test_reduction(d);
        let all = [interval.lower, interval.upper, ratio.lower, ratio.upper, test.t, test.p];
        prop_assert!(!all.into_iter().any(f64::is_nan), "{comparison:?} {all:?}");
    }
}
