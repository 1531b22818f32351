//! Turns the time-sorted readings of one series into quarter-hours.
//!
//! [`Roller`] takes readings one after the other and adds what each pair of neighbours contributes to a dense range of
//! quarter-hours; what lies outside the range is left out. One file per kind says what a pair contributes: `counter.rs`,
//! `delta.rs`, `gauge.rs`, `duration.rs`.
//!
//! Invariants:
//! - what a pair contributes to a quarter depends on that pair alone, never on the range: so rolling up a part again
//!   gives the bits of rolling up the whole;
//! - the amounts of a pair add up to its increment (1e-9 relative); covered spans of a series never overlap.

use std::collections::BTreeMap;

use model::window::QUARTER_MS;
use model::{Flags, Kind, Quality, Reading, Value};

use super::counter::Register;
use super::delta::LastInstant;
use super::{Decrease, Quarter, Sketch, Spec, mark};
use crate::rollup::spec::Covers;
use crate::sum::Sum;

/// The number of the quarter-hour that holds an instant.
pub fn quarter_of(at: i64) -> i64 {
    at.div_euclid(QUARTER_MS)
}

/// A usable reading as the kinds see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) value: Value,
    pub(super) marks: u8,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    sum: Sum,
    covered_ms: u32,
    n: u32,
    marks: u8,
}

/// Rolls up one series over a dense range of quarter-hours.
pub struct Roller<'a> {
    pub(super) spec: &'a Spec,
    first: i64,
    cells: Vec<Cell>,
    sketches: BTreeMap<i64, Sketch>,
    decreases: BTreeMap<i64, Decrease>,
    pub(super) register: Register,
    pub(super) last_instant: LastInstant,
    pub(super) level: Option<Point>,
}

/// The quarter-hours of a range, with what only some kinds have beside them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rolled {
    /// Number of the first quarter.
    pub first: i64,
    pub quarters: Vec<Quarter>,
    pub sketches: BTreeMap<i64, Sketch>,
    /// The first decrease without an event in a quarter.
    pub decreases: BTreeMap<i64, Decrease>,
}

impl<'a> Roller<'a> {
    /// Over the quarters `first..first + n`.
    pub fn new(spec: &'a Spec, first: i64, n: usize) -> Roller<'a> {
        Roller {
            spec,
            first,
            cells: vec![Cell::default(); n],
            sketches: BTreeMap::new(),
            decreases: BTreeMap::new(),
            register: Register::default(),
            last_instant: LastInstant::default(),
            level: None,
        }
    }

    /// Takes the next reading in order of (at, id). The first ones may lie before the range, as neighbours.
    pub fn push(&mut self, reading: &Reading) {
        let point = match (reading.is_usable(), reading.value) {
            (true, Some(value)) => Some(Point { at: reading.at.0, value, marks: marks_of(reading) }),
            (true | false, Some(_) | None) => None,
        };
        if let Some(point) = &point {
            self.count(point);
        }
        match (self.spec.kind, point) {
            (Kind::Delta, point) => self.delta(reading.at.0, point),
            (Kind::Counter, Some(point)) => self.counter(point),
            (Kind::Gauge, Some(point)) => self.gauge(point),
            (Kind::Duration, Some(point)) => self.duration(point),
            (Kind::Counter | Kind::Gauge | Kind::Duration, None) => {}
        }
    }

    /// The quarters, once the last reading and its next neighbour were pushed.
    pub fn finish(mut self) -> Rolled {
        self.close_register();
        let quarter = |cell: &Cell| Quarter {
            value: cell.sum.total(),
            covered_ms: cell.covered_ms,
            n: cell.n,
            marks: cell.marks,
        };
        Rolled {
            first: self.first,
            quarters: self.cells.iter().map(quarter).collect(),
            sketches: self.sketches,
            decreases: self.decreases,
        }
    }

    fn cell(&mut self, quarter: i64) -> Option<&mut Cell> {
        self.cells.get_mut(usize::try_from(quarter - self.first).ok()?)
    }

    fn count(&mut self, point: &Point) {
        if let Some(cell) = self.cell(quarter_of(point.at - 1)) {
            cell.n = cell.n.saturating_add(1);
            cell.marks |= point.marks;
        }
    }

    /// Adds an amount (multiplier not applied) whole to the window of the last millisecond before `at`.
    pub(super) fn whole(&mut self, amount: f64, at: i64, marks: u8) {
        let part = amount * self.spec.multiplier_at(at - 1);
        if let Some(cell) = self.cell(quarter_of(at - 1)) {
            cell.sum.add(part);
            cell.marks |= marks | mark::CONTRIBUTED;
        }
    }

    /// Adds an amount (multiplier not applied) evenly over `(from, to]`, split where the multiplier changes.
    pub(super) fn spread(&mut self, amount: f64, from: i64, to: i64, marks: u8) {
        if from >= to {
            return self.whole(amount, to, marks);
        }
        let length = (to - from) as f64;
        self.segments(from, to, |cell, multiplier, overlap_ms| {
            cell.sum.add(amount * multiplier * (overlap_ms as f64 / length));
            cell.marks |= marks | mark::CONTRIBUTED;
        });
    }

    /// Adds a level (multiplier not applied) times milliseconds over `(from, to]`.
    pub(super) fn integrate(&mut self, level: f64, from: i64, to: i64, marks: u8) {
        self.segments(from, to, |cell, multiplier, overlap_ms| {
            cell.sum.add(level * multiplier * overlap_ms as f64);
            cell.marks |= marks | mark::CONTRIBUTED;
        });
    }

    /// Marks `(from, to]` as covered, if the series covers time at all; where messages of its source were lost it does not.
    pub(super) fn cover(&mut self, from: i64, to: i64) {
        if self.spec.covers != Covers::Time {
            return;
        }
        let spec = self.spec;
        let mut start = from;
        let first = spec.lost.partition_point(|&(_, end)| end <= from);
        for &(lost_from, lost_to) in spec.lost[first..].iter().take_while(|&&(lost_from, _)| lost_from < to) {
            self.cover_whole(start, lost_from);
            start = lost_to;
        }
        self.cover_whole(start, to);
    }

    fn cover_whole(&mut self, from: i64, to: i64) {
        self.segments(from, to, |cell, _, overlap_ms| {
            // Safe because an overlap with one quarter is at most 900,000 ms.
            cell.covered_ms += u32::try_from(overlap_ms).expect("at most a quarter of an hour");
        });
    }

    /// Calls `each` with every cell that `[from, to)` meets, the multiplier there, and the milliseconds shared.
    fn segments(&mut self, from: i64, to: i64, mut each: impl FnMut(&mut Cell, f64, i64)) {
        let mut start = from;
        while start < to {
            let end = self.spec.next_change(start).map_or(to, |change| change.min(to));
            let multiplier = self.spec.multiplier_at(start);
            self.cells_between(start, end, |cell, overlap_ms| each(cell, multiplier, overlap_ms));
            start = end;
        }
    }

    fn cells_between(&mut self, from: i64, to: i64, mut each: impl FnMut(&mut Cell, i64)) {
        let past_range = self.first + i64::try_from(self.cells.len()).unwrap_or(i64::MAX);
        let quarters = quarter_of(from).max(self.first)..(quarter_of(to - 1) + 1).min(past_range);
        for quarter in quarters {
            let (start, end) = (quarter * QUARTER_MS, (quarter + 1) * QUARTER_MS);
            if let Some(cell) = self.cell(quarter) {
                each(cell, end.min(to) - start.max(from));
            }
        }
    }

    /// Remembers a decrease that no event explains; the first of a quarter is kept.
    pub(super) fn decreased(&mut self, decrease: Decrease) {
        let quarter = quarter_of(decrease.at.0 - 1);
        if let Some(cell) = self.cell(quarter) {
            cell.marks |= mark::DECREASE;
            self.decreases.entry(quarter).or_insert(decrease);
        }
    }

    /// Counts a value in the sketch of its window.
    pub(super) fn sketch(&mut self, value: f64, at: i64) {
        let quarter = quarter_of(at - 1);
        if self.cell(quarter).is_some() {
            self.sketches.entry(quarter).or_default().add(value);
        }
    }
}

fn marks_of(reading: &Reading) -> u8 {
    let mut marks = 0;
    if reading.quality == Quality::Uncertain {
        marks |= mark::UNCERTAIN;
    }
    if reading.flags.has(Flags::RECEIVED_TIME) {
        marks |= mark::RECEIVED_TIME;
    }
    if reading.flags.has(Flags::QOS0) {
        marks |= mark::QOS0;
    }
    if reading.flags.has(Flags::CORRECTED) {
        marks |= mark::CORRECTED;
    }
    marks
}
