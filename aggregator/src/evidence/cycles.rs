//! Evidence of production cycles and cycle times: each product's values in both cohorts, and what other measures say.

use model::{Method, Period, UnixMillis, Window};

use super::{Beside, Cell, Steps, Table};
use crate::indicator::cycle::{Cohort, Samples, cycle, production_cycle, samples};
use crate::indicator::data::PilotData;
use crate::statistics::Confidence;
use crate::statistics::cohort::hours_between;
use crate::statistics::shift::{GeometricRatio, Variance, median_difference};
use crate::statistics::survival::{Lifetime, Survival};
use crate::sum::Sum;

const COLUMNS: [&str; 8] =
    ["product", "side", "values", "open", "median", "median_low", "median_high", "geometric_mean"];

/// Orders by start.
pub(super) fn of_orders(data: &PilotData<'_>, period: Period) -> Vec<Table> {
    let Some(window) = data.closed_window(period) else { return Vec::new() };
    let baseline_window = data.baseline_window();
    let mut table = Table::new("cohorts", &COLUMNS);
    let mut complete = [Samples::new(), Samples::new()];
    for (n, (side, window)) in [("baseline", baseline_window), ("reporting", window)].into_iter().enumerate() {
        for (product, runs) in data.orders.cohort(window) {
            let seen = |end: Option<UnixMillis>| end.filter(|end| *end <= data.cut_off);
            let lives: Vec<Lifetime> = runs
                .iter()
                .map(|run| match seen(run.end) {
                    Some(end) => Lifetime::Completed(hours_between(run.start.0, end.0)),
                    None => Lifetime::Open(hours_between(run.start.0, data.cut_off.0)),
                })
                .collect();
            let survival = Survival::of(&lives);
            let interval = survival.median_interval(data.confidence());
            let completed: Vec<f64> =
                lives.iter().filter(|life| matches!(life, Lifetime::Completed(_))).map(|life| life.hours()).collect();
            let n_open = (lives.len() - completed.len()) as u64;
            table.row([
                (&**product).into(),
                side.into(),
                (lives.len() as u64).into(),
                n_open.into(),
                survival.median().into(),
                interval.lower.into(),
                interval.upper.into(),
                geometric_mean(completed.iter().map(|hours| libm::log(*hours))).into(),
            ]);
            if n_open == 0 {
                complete[n].insert(product.clone(), crate::indicator::cycle::Sample::of(completed.into_iter()));
            }
        }
    }
    let (baseline, reporting) = (Cohort::of(&data.orders, baseline_window), Cohort::of(&data.orders, window));
    let outcome = production_cycle(&baseline, &reporting, data.cut_off, data.confidence());
    let mut steps = Steps::new();
    if outcome.method == Some(Method::HodgesLehmann) {
        shift_steps(&complete, &mut steps);
    }
    steps.close(outcome.actual, outcome.adjusted, "h");
    vec![steps.0, table, beside(&complete, data.confidence()), cohort_windows(baseline_window, window, data.cut_off)]
}

/// Cycle times by stamp.
pub(super) fn of_cycles(data: &PilotData<'_>, period: Period) -> Vec<Table> {
    let Some(window) = data.closed_window(period) else { return Vec::new() };
    let sides = [samples(&data.cycles, data.baseline_window()), samples(&data.cycles, window)];
    let mut table = Table::new("cohorts", &COLUMNS);
    for (side, samples) in ["baseline", "reporting"].into_iter().zip(&sides) {
        for (product, sample) in samples {
            table.row([
                (&**product).into(),
                side.into(),
                (sample.n() as u64).into(),
                0u64.into(),
                sample.median().into(),
                Cell::Nothing,
                Cell::Nothing,
                geometric_mean(sample.logs().iter().copied()).into(),
            ]);
        }
    }
    let [baseline, reporting] = &sides;
    let outcome = cycle(baseline, reporting, "piece", data.confidence());
    let mut steps = Steps::new();
    shift_steps(&sides, &mut steps);
    steps.close(outcome.actual, outcome.adjusted, "h");
    vec![
        steps.0,
        table,
        beside(&sides, data.confidence()),
        cohort_windows(data.baseline_window(), window, data.cut_off),
    ]
}

/// What the baseline expects of each product made in both cohorts, and how much shorter its values have become.
fn shift_steps([baseline, reporting]: &[Samples; 2], steps: &mut Steps) {
    let (mut expected_all, mut logs) = (Sum::default(), Sum::default());
    for (product, sample) in reporting {
        let Some(base) = baseline.get(product) else { continue };
        let expected = sample.n() as f64 * base.median();
        let log = median_difference(sample.logs(), base.logs());
        steps.add("expected", product, expected, "h", "n × the baseline's median");
        steps.add("ratio", product, libm::exp(log), "", "r: median of all pairs, this period over baseline");
        expected_all.add(expected);
        logs.add(expected * log);
    }
    let together = libm::exp(logs.total() / expected_all.total());
    steps.add("ratio", "all products", together, "", "R: exp(Σ expected × ln r / Σ expected); Y = R × A");
}

fn geometric_mean(logs: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = logs.collect();
    (!logs.is_empty()).then(|| libm::exp(crate::sum::sum(logs.iter().copied()) / logs.len() as f64))
}

/// The geometric-mean ratio of each product that both cohorts completed.
fn beside([baseline, reporting]: &[Samples; 2], confidence: Confidence) -> Table {
    let mut beside = Beside::new();
    for (product, sample) in reporting {
        let Some(base) = baseline.get(product) else { continue };
        if let Ok(ratio) = GeometricRatio::of(sample.logs(), base.logs(), Variance::Each) {
            let interval = ratio.interval(confidence);
            let (low, high) = (Some(interval.lower), Some(interval.upper));
            beside.interval("geometric_mean_ratio", product, Some(ratio.ratio()), low, high);
        }
    }
    beside.0
}

fn cohort_windows(baseline: Window, reporting: Window, cut_off: UnixMillis) -> Table {
    let mut table = Table::new("windows", &["side", "from", "to"]);
    table.row(["baseline".into(), Cell::At(baseline.start), Cell::At(baseline.end)]);
    table.row(["reporting".into(), Cell::At(reporting.start), Cell::At(reporting.end)]);
    table.row(["data_end".into(), Cell::Nothing, Cell::At(cut_off)]);
    table
}
