//! The degree-day grid on the two sample meters of OpenEEmeter 3.2.0 (Apache-2.0, Copyright 2014-2023 OpenEEmeter
//! contributors; simulated; reformatted): an electricity meter read daily and a gas meter read monthly.

use aggregator::statistics::degree_days::{
    BalancePoint, BillingPeriod, Candidate, Cooling, Day, DegreeDayError, Estimate, Grid, NotAttempted, Periods,
    Status, Temperature, Terms, search,
};
use serde_json::Value;

use crate::reference_tool::{Baseline, ErrorBands, Metrics, Reporting};
use crate::vector::{all_close, close, list, load, number, numbers};

const ELECTRICITY: &str = "eemeter_il-electricity-cdd-hdd-daily";
const GAS: &str = "eemeter_il-gas-hdd-only-billing_monthly";

fn daily(vector: &Value, period: &str) -> Periods {
    let usage = numbers(vector, &format!("/inputs/{period}/usage_per_day"));
    let temperatures = numbers(vector, &format!("/inputs/{period}/temperature_mean_F"));
    let days = usage.into_iter().zip(temperatures).map(|(usage, temperature)| Day {
        usage: Some(usage),
        temperature: Some(Temperature::Fahrenheit(temperature)),
    });
    Periods::daily(&days.collect::<Vec<Day>>()).unwrap()
}

fn billing(vector: &Value, period: &str) -> Periods {
    let of = |name: &str| numbers(vector, &format!("/inputs/{period}/{name}"));
    assert_eq!(of("days"), of("n_days_kept"));
    let heating = BalancePoint::all().map(|at| of(&format!("hdd/{}", at.fahrenheit()))).collect();
    Periods::of_degree_days(of("usage_per_day"), of("days"), heating, Vec::new()).unwrap()
}

fn kind(terms: Terms) -> &'static str {
    match terms {
        Terms::InterceptOnly => "intercept_only",
        Terms::Heating(_) => "hdd_only",
        Terms::Cooling(_) => "cdd_only",
        Terms::Both { .. } => "cdd_hdd",
    }
}

fn estimate(candidate: &Candidate) -> Option<Estimate> {
    match candidate.status {
        Status::Qualified(estimate) | Status::Disqualified(estimate) => Some(estimate),
        Status::NotAttempted(_) => None,
    }
}

fn status(candidate: &Candidate) -> &'static str {
    match candidate.status {
        Status::Qualified(_) => "QUALIFIED",
        Status::Disqualified(_) => "DISQUALIFIED",
        Status::NotAttempted(_) => "NOT ATTEMPTED",
    }
}

/// A candidate against its entry in the vector.
#[track_caller]
fn same(vector: &Value, candidate: &Candidate, expected: &Value) {
    let what = format!("{:?}", candidate.terms);
    let optional = |name: &str| expected.get(name).and_then(Value::as_f64);
    let (heating, cooling) = candidate.terms.balance_points();
    assert_eq!(
        (kind(candidate.terms), status(candidate)),
        (expected["type"].as_str().unwrap(), expected["status"].as_str().unwrap())
    );
    assert_eq!(heating.map(|at| f64::from(at.fahrenheit())), optional("hdd_bp"), "{what}");
    assert_eq!(cooling.map(|at| f64::from(at.fahrenheit())), optional("cdd_bp"), "{what}");
    let tolerance = number(vector, "/tolerance/coefficients_relative");
    let estimate = estimate(candidate).unwrap();
    close(
        &what,
        estimate.r_squared_adjusted,
        optional("r_squared_adj").unwrap(),
        number(vector, "/tolerance/r_squared_adj_relative"),
    );
    close(&what, estimate.intercept, optional("intercept").unwrap(), tolerance);
    assert_eq!(estimate.heating.is_some(), optional("beta_hdd").is_some(), "{what}");
    assert_eq!(estimate.cooling.is_some(), optional("beta_cdd").is_some(), "{what}");
    for (beta, name) in [(estimate.heating, "beta_hdd"), (estimate.cooling, "beta_cdd")] {
        if let Some(beta) = beta {
            close(&what, beta, optional(name).unwrap(), tolerance);
        }
    }
}

/// The winner, the counts of every kind and status, and the reporting period under the winner.
fn check_winner(vector: &Value, grid: &Grid, reporting: &Periods) {
    let expected = |what: &str| number(vector, &format!("/expected/{what}"));
    assert_eq!(grid.candidates.len() as f64, expected("n_candidates"));
    assert_eq!(grid.n_qualified() as f64, expected("n_qualified"));
    let mut counted = 0;
    for (of_kind, by_status) in vector["expected"]["candidate_counts"].as_object().unwrap() {
        for (of_status, count) in by_status.as_object().unwrap() {
            let found = grid.candidates.iter().filter(|c| kind(c.terms) == of_kind && status(c) == of_status).count();
            assert_eq!(found as f64, count.as_f64().unwrap(), "{of_kind} {of_status}");
            counted += found;
        }
    }
    assert_eq!(counted, grid.candidates.len());

    let best = grid.best.as_ref().unwrap();
    assert_eq!(kind(best.terms), vector["expected"]["model_type"].as_str().unwrap());
    let winner = Candidate { terms: best.terms, status: Status::Qualified(best.estimate) };
    let mut entry = vector["expected"].clone();
    entry["type"] = entry["model_type"].clone();
    entry["status"] = "QUALIFIED".into();
    same(vector, &winner, &entry);
    let fitted: Vec<f64> = best.fit.coefficients().iter().map(|coefficient| coefficient.value).collect();
    let estimate = best.estimate;
    let estimated: Vec<f64> =
        [Some(estimate.intercept), estimate.heating, estimate.cooling].into_iter().flatten().collect();
    all_close("fit", &fitted, &estimated, 1e-13);

    let tolerance = number(vector, "/tolerance/totals_relative");
    let adjusted = best.adjust(reporting).unwrap();
    let comparison = adjusted.compare(reporting.actual()).unwrap();
    assert_eq!(reporting.n_rows() as f64, expected("n_reporting"));
    all_close("counterfactual", &adjusted.rows, &numbers(vector, "/expected/counterfactual"), tolerance);
    close("counterfactual", comparison.adjusted_baseline, expected("counterfactual_total"), tolerance);
    close("reporting", comparison.actual, expected("reporting_total"), tolerance);
    close("saving", comparison.saving(), expected("saving"), tolerance);
}

#[test]
fn a_daily_electricity_meter() {
    let vector = load(ELECTRICITY);
    assert!(vector["inputs"]["fit_cdd"].as_bool().unwrap() && vector["inputs"]["weights"].is_null());
    assert_eq!(numbers(&vector, "/inputs/balance_points_F"), [30.0, 90.0, 1.0]);
    let grid = search(&daily(&vector, "baseline"), Cooling::Allowed).unwrap();
    check_winner(&vector, &grid, &daily(&vector, "reporting"));
    let mut qualified: Vec<&Candidate> = grid.candidates.iter().filter(|c| status(c) == "QUALIFIED").collect();
    let rank = |candidate: &Candidate| estimate(candidate).unwrap().r_squared_adjusted;
    qualified.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    for (candidate, expected) in qualified.iter().zip(list(&vector, "/expected/best_10_qualified")) {
        same(&vector, candidate, expected);
    }
}

#[test]
fn a_monthly_gas_meter() {
    let vector = load(GAS);
    assert!(!vector["inputs"]["fit_cdd"].as_bool().unwrap());
    let periods = billing(&vector, "baseline");
    let grid = search(&periods, Cooling::Excluded).unwrap();
    check_winner(&vector, &grid, &billing(&vector, "reporting"));
    let expected = list(&vector, "/expected/candidates");
    assert_eq!(grid.candidates.len(), expected.len());
    for (candidate, expected) in grid.candidates.iter().zip(expected) {
        same(&vector, candidate, expected);
    }
    assert_eq!(search(&periods, Cooling::Allowed).unwrap_err(), DegreeDayError::NoCooling);
}

/// The conventions of the reference tool, which are not Pilotline's, on Pilotline's winner.
fn check_reference_tool(vector: &Value, grid: &Grid, reporting: &Periods) {
    let (baseline_days, m) = match vector["inputs"]["baseline"].get("days") {
        Some(days) => (numbers(days, ""), number(vector, "/expected/m_used_in_error_bands")),
        None => (vec![1.0; list(vector, "/inputs/baseline/usage_per_day").len()], reporting.n_rows() as f64),
    };
    let best = grid.best.as_ref().unwrap();
    let usage = numbers(vector, "/inputs/baseline/usage_per_day");
    let fitted: Vec<f64> = usage.iter().zip(best.fit.residuals()).map(|(usage, residual)| usage - residual).collect();
    let totals =
        |daily: &[f64]| -> Vec<f64> { daily.iter().zip(&baseline_days).map(|(usage, days)| usage * days).collect() };
    let n_variables = best.fit.spreads().len();
    let tolerance = number(vector, "/tolerance/metrics_relative");
    let nmbe_tolerance = number(vector, "/tolerance/nmbe_absolute");
    let on_totals = Metrics::of(&totals(&usage), &totals(&fitted), n_variables);
    on_totals.check(&vector["expected"]["metrics_on_period_totals"], tolerance, nmbe_tolerance);
    let on_averages = Metrics::of(&usage, &fitted, n_variables);
    on_averages.check(&vector["expected"]["metrics_on_daily_averages"], tolerance, nmbe_tolerance);

    let of_reporting =
        Reporting { totals: reporting_totals(vector), m, daily: vector["inputs"]["baseline"].get("days").is_none() };
    let bands = ErrorBands::of(&Baseline { totals: totals(&usage), metrics: on_totals }, &of_reporting);
    bands.check(&vector["expected"]["error_bands_90"], tolerance);
}

/// The observed use of each reporting period.
fn reporting_totals(vector: &Value) -> Vec<f64> {
    let usage = numbers(vector, "/inputs/reporting/usage_per_day");
    match vector["inputs"]["reporting"].get("days") {
        Some(days) => usage.iter().zip(numbers(days, "")).map(|(usage, days)| usage * days).collect(),
        None => usage,
    }
}

#[test]
fn the_reference_tools_metrics_and_bands() {
    let electricity = load(ELECTRICITY);
    let grid = search(&daily(&electricity, "baseline"), Cooling::Allowed).unwrap();
    check_reference_tool(&electricity, &grid, &daily(&electricity, "reporting"));
    let gas = load(GAS);
    let grid = search(&billing(&gas, "baseline"), Cooling::Excluded).unwrap();
    check_reference_tool(&gas, &grid, &billing(&gas, "reporting"));
}

/// CalTRACK 3.4.3.2 counts degree days of the period, and days that have any.
#[test]
fn caltrack_few_degree_days_are_not_attempted() {
    let warm = |n_cold: usize, by: f64| {
        let days: Vec<Day> = (0..365)
            .map(|day| {
                let temperature = if day < n_cold { 60.0 - by } else { 60.0 + (day % 7) as f64 };
                Day { usage: Some(20.0 + (day % 5) as f64), temperature: Some(Temperature::Fahrenheit(temperature)) }
            })
            .collect();
        let grid = search(&Periods::daily(&days).unwrap(), Cooling::Excluded).unwrap();
        let at_60 = grid.candidates.iter().find(|c| c.terms == Terms::Heating(BalancePoint::new(60).unwrap()));
        matches!(at_60.unwrap().status, Status::NotAttempted(NotAttempted::FewDegreeDays))
    };
    assert!(!warm(10, 2.0));
    assert!(warm(9, 3.0), "nine days");
    assert!(warm(10, 1.99), "19.9 degree days");
}

#[test]
fn celsius_and_fahrenheit_give_the_same_grid_and_gaps_are_left_out() {
    let vector = load(ELECTRICITY);
    let usage = numbers(&vector, "/inputs/baseline/usage_per_day");
    let temperatures = numbers(&vector, "/inputs/baseline/temperature_mean_F");
    let mut days: Vec<Day> = usage
        .iter()
        .zip(&temperatures)
        .map(|(usage, fahrenheit)| Day {
            usage: Some(*usage),
            temperature: Some(Temperature::Celsius((fahrenheit - 32.0) / 1.8)),
        })
        .collect();
    days.insert(7, Day { usage: None, ..days[0] });
    days.insert(9, Day { temperature: None, ..days[0] });
    let celsius = search(&Periods::daily(&days).unwrap(), Cooling::Allowed).unwrap().best.unwrap();
    let fahrenheit = search(&daily(&vector, "baseline"), Cooling::Allowed).unwrap().best.unwrap();
    assert_eq!(celsius.terms, fahrenheit.terms);
    close("R²adj", celsius.estimate.r_squared_adjusted, fahrenheit.estimate.r_squared_adjusted, 1e-12);
    let celsius: Vec<f64> = BalancePoint::all().map(BalancePoint::celsius).collect();
    assert_eq!((celsius[2], celsius[20]), (0.0, 10.0));
}

/// Above all temperatures one balance point fits like the next; the first of them is named.
#[test]
fn of_equal_models_the_first_wins() {
    let days: Vec<Day> = (0..60)
        .map(|day| {
            let fahrenheit = 40.0 + f64::from(day % 20);
            let usage = Some(200.0 - 2.0 * fahrenheit + f64::from(day % 3));
            Day { usage, temperature: Some(Temperature::Fahrenheit(fahrenheit)) }
        })
        .collect();
    let grid = search(&Periods::daily(&days).unwrap(), Cooling::Excluded).unwrap();
    assert_eq!(grid.best.unwrap().terms, Terms::Heating(BalancePoint::new(59).unwrap()));
}

#[test]
fn a_site_whose_use_does_not_vary_has_its_mean_for_a_model() {
    let day = |day: i32| Day { usage: Some(0.1), temperature: Some(Temperature::Celsius(f64::from(day % 30))) };
    let days: Vec<Day> = (0..365).map(day).collect();
    let grid = search(&Periods::daily(&days).unwrap(), Cooling::Allowed).unwrap();
    let best = grid.best.unwrap();
    assert_eq!(best.terms, Terms::InterceptOnly);
    close("mean", best.estimate.intercept, 0.1, 1e-15);
    let flat = grid.candidates.iter().filter(|c| c.status == Status::NotAttempted(NotAttempted::FlatUse));
    assert!(flat.count() > 1_000);
    let exporting = |day: i32| Day { usage: Some(-5.0), ..self::day(day) };
    let exporting: Vec<Day> = (0..365).map(exporting).collect();
    assert_eq!(search(&Periods::daily(&exporting).unwrap(), Cooling::Allowed).unwrap().best, None);
}

fn day(day: i32) -> Day {
    Day { usage: Some(5.0), temperature: Some(Temperature::Celsius(f64::from(day % 30))) }
}

#[test]
fn a_billing_period_has_the_average_of_its_days() {
    let period = |usage: f64, fahrenheit: &[f64]| BillingPeriod {
        usage_per_day: Some(usage),
        temperatures: fahrenheit.iter().map(|f| Some(Temperature::Fahrenheit(*f))).collect(),
    };
    let mut periods = vec![
        period(12.0, &[30.0; 30]),
        period(9.0, &[40.0; 28]),
        period(5.0, &[[50.0; 15], [70.0; 15]].concat()),
        period(3.1, &[65.0; 31]),
        period(2.9, &[72.0; 30]),
    ];
    let full = search(&Periods::billing(&periods).unwrap(), Cooling::Excluded).unwrap().best.unwrap();
    periods[0].temperatures.push(None);
    periods.push(BillingPeriod { usage_per_day: None, ..periods[0].clone() });
    periods.push(BillingPeriod { temperatures: vec![None; 30], ..periods[0].clone() });
    let kept = Periods::billing(&periods).unwrap();
    assert_eq!(kept.n_rows(), 5);
    assert_eq!(kept.actual(), 12.0 * 31.0 + 9.0 * 28.0 + 5.0 * 30.0 + 3.1 * 31.0 + 2.9 * 30.0);
    assert_eq!(search(&kept, Cooling::Excluded).unwrap().best.unwrap(), full);
}

#[test]
fn what_a_grid_cannot_use_is_named() {
    let of = |days: &[Day]| match Periods::daily(days).and_then(|periods| search(&periods, Cooling::Allowed)) {
        Err(error) => error.to_string(),
        Ok(grid) => panic!("{:?}", grid.best),
    };
    let hot = |usage: f64, celsius: f64| Day { usage: Some(usage), temperature: Some(Temperature::Celsius(celsius)) };
    insta::assert_snapshot!(of(&[day(1), day(2), day(3)]), @"3 periods have a reading and a temperature; the grid needs at least 4");
    insta::assert_snapshot!(of(&[day(1), hot(f64::NAN, 2.0)]), @"the use of period 1 is `NaN`; it is a number within ±1e100, degree days are not negative");
    insta::assert_snapshot!(of(&[hot(1.0, f64::INFINITY)]), @"the temperature of period 0 is `inf`; it is a number within ±1e100, degree days are not negative");
    let ready = |days: f64, heating: Vec<Vec<f64>>| {
        Periods::of_degree_days(vec![1.0], vec![days], heating, Vec::new()).unwrap_err()
    };
    insta::assert_snapshot!(ready(0.0, vec![vec![1.0]; 61]), @"period 0 has `0` days; a period has more than none");
    insta::assert_snapshot!(ready(30.0, vec![vec![1.0]; 60]), @"60 columns of heating degree days for 61 balance points, each with a value for each of 1 periods");
    insta::assert_snapshot!(ready(30.0, vec![vec![-1.0]; 61]), @"the degree days of period 0 is `-1`; it is a number within ±1e100, degree days are not negative");
}
