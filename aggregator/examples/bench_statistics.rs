//! Measures the statistics of an energy baseline on one core: the degree-day grid on a year of days, and a regression of a
//! year of months with its adjusted baseline and the interval of its ratio.
//!
//! `cargo run --release -p pilotline-aggregator --example bench_statistics`: prints what was done and the best and the middle
//! time of many. The year is made of whole numbers, so that each run measures the same work.

use std::hint::black_box;
use std::time::Instant;

use aggregator::statistics::Confidence;
use aggregator::statistics::adjusted::{RatioInterval, Rows, adjust};
use aggregator::statistics::degree_days::{Cooling, Day, Grid, Periods, Temperature, search};
use aggregator::statistics::least_squares::{Fit, FitError, Intercept, Variable, Weighting, fit};

/// What the grid may take, in milliseconds.
const GRID_LIMIT_MS: f64 = 10.0;

fn main() {
    let days = year();
    // Safe because the year is made of finite numbers.
    let periods = Periods::daily(&days).expect("periods of a year of days");
    let (best, middle) = timed_ms(50, || search(black_box(&periods), Cooling::Allowed).ok());
    let grid: Option<Grid> = search(&periods, Cooling::Allowed).ok();
    let (n_models, n_qualified) = grid.map_or((0, 0), |grid| (grid.candidates.len(), grid.n_qualified()));
    println!(
        "grid: {n_models} models on {} days, {n_qualified} qualified: best {best:.2} ms, middle {middle:.2} ms (limit {GRID_LIMIT_MS} ms)",
        periods.n_rows()
    );

    let (best, middle) = timed_ms(2_000, || months(12).map(|fit| interval(&fit, 12)).ok());
    println!(
        "fit of 12 months, 2 variables, adjusted baseline, interval: best {:.1} µs, middle {:.1} µs",
        best * 1e3,
        middle * 1e3
    );
    let (best, middle) = timed_ms(200, || months(365).map(|fit| interval(&fit, 365)).ok());
    println!("the same with 365 rows: best {:.0} µs, middle {:.0} µs", best * 1e3, middle * 1e3);
}

/// A year from −20 °C to 30 °C at a site that heats and cools, with a week's rhythm.
fn year() -> Vec<Day> {
    let day = |day: i32| {
        let from_midsummer = (day - 182).abs();
        let celsius = 30.0 - f64::from(from_midsummer) * 50.0 / 182.0 + f64::from(day * 37 % 11) - 5.0;
        let heating = (12.0 - celsius).max(0.0);
        let cooling = (celsius - 20.0).max(0.0);
        let usage = 500.0 + 14.0 * heating + 22.0 * cooling + f64::from(day * 53 % 61);
        Day { usage: Some(usage), temperature: Some(Temperature::Celsius(celsius)) }
    };
    (0..365).map(day).collect()
}

fn variables(rows: i32) -> Vec<Variable> {
    let output: Vec<f64> = (0..rows).map(|row| 900.0 + f64::from(row * 29 % 97)).collect();
    let degree_days: Vec<f64> = (0..rows).map(|row| f64::from(row * 17 % 83)).collect();
    vec![Variable::new("output", output), Variable::new("degree days", degree_days)]
}

fn months(rows: i32) -> Result<Fit, FitError> {
    let variables = variables(rows);
    let of = |row: usize| 47_000.0 + 126.0 * variables[0].values[row] + 154.0 * variables[1].values[row];
    let used: Vec<f64> = (0..variables[0].values.len()).map(|row| of(row) + (row * 41 % 59) as f64 * 20.0).collect();
    fit(black_box(&used), &variables, Intercept::Fitted, Weighting::Equal)
}

fn interval(fit: &Fit, rows: i32) -> Option<RatioInterval> {
    let reporting = variables(rows);
    let adjusted = adjust(fit, &reporting, Rows::Alike(reporting[0].values.len())).ok()?;
    let comparison = adjusted.compare(adjusted.value * 0.9).ok()?;
    Some(comparison.ratio_interval(Confidence::NINETY))
}

/// The best and the middle of so many runs, in milliseconds.
fn timed_ms<T>(n_runs: usize, work: impl Fn() -> T) -> (f64, f64) {
    let mut times: Vec<f64> = (0..n_runs)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[n_runs / 2])
}
