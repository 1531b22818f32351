//! Measures the statistics of an energy baseline on one core: the degree-day grid on a year of days, and a regression of a
//! year of months with its adjusted baseline and the interval of its ratio.
//!
//! `cargo run --release -p pilotline-aggregator --example bench_statistics`: prints what was done and the best and the middle
//! time of many. The year is made of whole numbers, so that each run measures the same work. Then a table: how often intervals
//! hold the truth, in draws of a known process with a fixed seed.

use std::hint::black_box;
use std::time::Instant;

use aggregator::statistics::adjusted::{RatioInterval, Rows, adjust};
use aggregator::statistics::degree_days::{Cooling, Day, Grid, Periods, Temperature, search};
use aggregator::statistics::distribution::normal_quantile;
use aggregator::statistics::least_squares::{Fit, FitError, Intercept, Variable, Weighting, fit};
use aggregator::statistics::price::{Month, UnitCost};
use aggregator::statistics::proportion::Score;
use aggregator::statistics::rate::Method;
use aggregator::statistics::shift::{hodges_lehmann_interval, sorted_logs};
use aggregator::statistics::{Confidence, Counted, Interval};

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
    coverage();
}

/// Draws of a row of the table.
const DRAWS: usize = 20_000;
/// With 20,000 draws a share of 0.9 is known to ±0.004 (two standard errors).
const NOMINAL: [Confidence; 2] = [Confidence::NINETY, Confidence::NINETY_FIVE];

/// How often intervals hold the truth.
fn coverage() {
    println!("\nshare of {DRAWS} intervals that hold the true ratio            nominal 0.90   0.95");
    let mut random = Random(20_261_124);
    for (n, rate, ratio) in [(200.0, 0.02, 0.8), (500.0, 0.01, 0.8), (1_000.0, 0.02, 0.7), (20_000.0, 0.01, 0.8)] {
        let (r, b) = (Binomial::new(n, rate * ratio), Binomial::new(n, rate));
        row(&format!("proportions, {n} each, baseline {rate}, ratio {ratio}: score"), ratio, |confidence| {
            let (reporting, baseline) = (r.draw(&mut random, n), b.draw(&mut random, n));
            Score::MiettinenNurminen.interval(reporting, baseline, confidence, 1.0)
        });
    }
    for (expected, ratio) in [(5.0, 0.8), (20.0, 0.8), (200.0, 0.7)] {
        let (r, b) = (Binomial::rare(expected * ratio), Binomial::rare(expected));
        row(&format!("rates, {expected} events in the baseline, ratio {ratio}: mid-P"), ratio, |confidence| {
            let (reporting, baseline) = (r.draw(&mut random, 1_000.0), b.draw(&mut random, 1_000.0));
            Method::MidP.interval(reporting, baseline, confidence)
        });
    }
    for (n, m) in [(5, 12), (18, 20), (60, 120)] {
        row(&format!("lead times, log-normal, {n} against {m}, ratio 0.8: Hodges–Lehmann"), 0.8, |confidence| {
            let mut draw =
                |n: usize, shift: f64| sorted_logs((0..n).map(|_| (shift.ln() + 0.4 * random.normal()).exp()));
            let (reporting, baseline) = (draw(n, 0.8 * 40.0), draw(m, 40.0));
            Some(hodges_lehmann_interval(&reporting, &baseline, confidence))
        });
    }
    for (n, m) in [(3, 12), (12, 12), (12, 36)] {
        row(&format!("months of cost, {n} against {m}, ratio 0.8: ratio estimator"), 0.8, |confidence| {
            let mut draw = |n: usize, ratio: f64| {
                let month = |_| {
                    let output = 900.0 + 200.0 * random.uniform();
                    Month { cost: 50.0 * ratio * output * (1.0 + 0.03 * random.normal()), output }
                };
                UnitCost::of(&(0..n).map(month).collect::<Vec<Month>>())
            };
            let (reporting, baseline) = (draw(n, 0.8)?, draw(m, 1.0)?);
            let (ratio, df) = reporting.ratio(&baseline);
            Some(ratio.interval_t(confidence, df))
        });
    }
}

fn row(what: &str, truth: f64, mut interval: impl FnMut(Confidence) -> Option<Interval>) {
    let shares = NOMINAL.map(|confidence| {
        let held = (0..DRAWS).filter(|_| interval(confidence).is_some_and(|interval| interval.contains(truth)));
        held.count() as f64 / DRAWS as f64
    });
    println!("{what:<72} {:.4} {:.4}", shares[0], shares[1]);
}

/// splitmix64: a fixed seed gives the same table everywhere.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        normal_quantile(self.uniform().max(1e-300))
    }
}

/// A count by inversion of its distribution.
struct Binomial {
    cumulated: Vec<f64>,
}

impl Binomial {
    fn new(n: f64, p: f64) -> Binomial {
        let (mut mass, mut total, mut cumulated) = ((n * (-p).ln_1p()).exp(), 0.0, Vec::new());
        let mut count = 0.0;
        while count <= n && (count < n * p || mass > 1e-18) {
            total += mass;
            cumulated.push(total);
            mass *= (n - count) / (count + 1.0) * p / (1.0 - p);
            count += 1.0;
        }
        Binomial { cumulated }
    }

    /// Poisson, as a binomial of very many trials.
    fn rare(expected: f64) -> Binomial {
        Binomial::new(1e12, expected / 1e12)
    }

    fn draw(&self, random: &mut Random, size: f64) -> Counted {
        let uniform = random.uniform();
        Counted { count: self.cumulated.partition_point(|total| *total < uniform) as f64, size }
    }
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
