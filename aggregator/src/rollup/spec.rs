//! How the readings of one registered series turn into amounts: scale, gaps, dated multipliers, meter swaps, rollovers.
//!
//! A [`Spec`] is made from the registry once and then only read.

use model::registry::{OnDecrease, Series, SeriesEventKind};
use model::{Dimension, Kind, Quantity, Unit, Value};

/// Whether a series says anything about the time between its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    Time,
    /// Pieces without `max_gap`, and durations: their coverage is null.
    Nothing,
}

/// How the amount of one reading goes to windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Evenly,
    /// Pieces: whole, to the window of the last millisecond before the stamp.
    Whole,
}

/// A meter swap: `last` was read at `at`, `first` right after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Swap {
    pub at: i64,
    pub last: Value,
    pub first: Value,
}

/// What a registered series contributes and how.
#[derive(Debug, Clone)]
pub struct Spec {
    pub kind: Kind,
    pub covers: Covers,
    pub split: Split,
    pub max_gap_ms: i64,
    pub rollover: Option<f64>,
    pub on_decrease: OnDecrease,
    pub swaps: Vec<Swap>,
    pub rollovers: Vec<i64>,
    /// Spans in which messages of the source were lost: sorted, disjoint, never covered.
    pub lost: Vec<(i64, i64)>,
    /// The unit of rollup values.
    pub unit: Unit,
    declared: Unit,
    multiplier: f64,
    /// `(from, multiplier)`, by time.
    multipliers: Vec<(i64, f64)>,
    /// What one unit·hour of an integrated gauge is in the canonical unit of its quantity.
    per_unit_hour: Option<f64>,
}

impl Spec {
    /// From the registry's words.
    pub fn of(series: &Series) -> Spec {
        let pieces = matches!(series.quantity, Quantity::Output(_));
        let no_cover = series.kind == Kind::Duration || (pieces && !series.declares_max_gap);
        let mut spec = Spec {
            kind: series.kind,
            covers: if no_cover { Covers::Nothing } else { Covers::Time },
            split: if pieces { Split::Whole } else { Split::Evenly },
            max_gap_ms: series.max_gap_ms.unwrap_or(i64::MAX),
            rollover: series.rollover,
            on_decrease: series.on_decrease,
            swaps: Vec::new(),
            rollovers: Vec::new(),
            lost: Vec::new(),
            unit: rollup_unit(series),
            declared: series.unit,
            multiplier: series.multiplier,
            multipliers: Vec::new(),
            per_unit_hour: per_unit_hour(series),
        };
        for event in &series.events {
            let at = event.at.0;
            match event.what {
                SeriesEventKind::Rollover => spec.rollovers.push(at),
                SeriesEventKind::Multiplier(multiplier) => spec.multipliers.push((at, multiplier)),
                SeriesEventKind::MeterSwap { last, first } => {
                    let exact = |value| Value::from_f64(value).unwrap_or(Value::Float(value));
                    spec.swaps.push(Swap { at, last: exact(last), first: exact(first) });
                }
            }
        }
        spec.swaps.sort_by_key(|swap| swap.at);
        spec.rollovers.sort_unstable();
        spec.multipliers.sort_by_key(|&(at, _)| at);
        spec
    }

    /// The same, of a source that lost messages in these spans.
    pub fn losing(mut self, mut spans: Vec<(i64, i64)>) -> Spec {
        spans.sort_unstable();
        for (from, to) in spans.into_iter().filter(|(from, to)| from < to) {
            match self.lost.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => self.lost.push((from, to)),
            }
        }
        self
    }

    /// A number of the declared unit in the unit of rollups, multiplier not applied.
    pub fn scale(&self, value: f64) -> f64 {
        // The registry refuses a unit of another dimension, so the number as it is never stands for a failed conversion.
        self.declared.convert(value, &self.unit).unwrap_or(value)
    }

    /// The multiplier in force at an instant.
    pub fn multiplier_at(&self, at: i64) -> f64 {
        let n_before = self.multipliers.partition_point(|&(from, _)| from <= at);
        if n_before == 0 { self.multiplier } else { self.multipliers[n_before - 1].1 }
    }

    /// The first change of the multiplier after an instant.
    pub fn next_change(&self, at: i64) -> Option<i64> {
        self.multipliers.get(self.multipliers.partition_point(|&(from, _)| from <= at)).map(|&(from, _)| from)
    }

    /// The amount in the canonical unit of the quantity that a sum of rollup values stands for; none where a level
    /// counts for nothing (`power.*`, other gauges).
    pub fn amount(&self, value: f64) -> Option<f64> {
        match (self.kind, self.per_unit_hour) {
            (Kind::Counter | Kind::Delta | Kind::Duration, _) => Some(value),
            (Kind::Gauge, Some(per)) => Some(value / MS_PER_HOUR * per),
            (Kind::Gauge, None) => None,
        }
    }

    /// The unit of a gauge's integral over hours.
    pub fn integral_unit(&self) -> String {
        match self.unit.symbol() {
            "kW" => "kWh".to_owned(),
            symbol => format!("{symbol}·h"),
        }
    }
}

/// Milliseconds of an hour: gauges are integrated over milliseconds.
pub const MS_PER_HOUR: f64 = 3_600_000.0;

fn is_integrated(series: &Series) -> bool {
    let energy = matches!(series.quantity, Quantity::Energy(_));
    series.kind == Kind::Gauge && energy && series.unit.dimension() == Dimension::Power
}

fn rollup_unit(series: &Series) -> Unit {
    if is_integrated(series) {
        return Unit::parse("kW").unwrap_or(series.unit);
    }
    series.quantity.canonical_unit().unwrap_or(series.unit)
}

fn per_unit_hour(series: &Series) -> Option<f64> {
    if !is_integrated(series) {
        return None;
    }
    Unit::parse("kWh")?.convert(1.0, &series.quantity.canonical_unit()?)
}
