//! Deltas: an amount of its own for the span since the instant before, which it covers.
//!
//! All readings of one instant share its span. Pieces are never split: the whole value belongs to the window of the last
//! millisecond before the stamp.

use super::roller::{Point, Roller};
use super::spec::Split;

/// The last instant at which the series had any reading, and what it stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct LastInstant {
    at: Option<i64>,
    span_start: i64,
    covered: bool,
}

impl Roller<'_> {
    pub(super) fn delta(&mut self, at: i64, point: Option<Point>) {
        if self.last_instant.at != Some(at) {
            let near = self.last_instant.at.filter(|before| at - before <= self.spec.max_gap_ms);
            self.last_instant = LastInstant { at: Some(at), span_start: near.unwrap_or(at), covered: false };
        }
        let Some(point) = point else { return };
        let from = self.last_instant.span_start;
        let amount = self.spec.scale(point.value.as_f64());
        match self.spec.split {
            Split::Evenly => self.spread(amount, from, at, point.marks),
            Split::Whole => self.whole(amount, at, point.marks),
        }
        if !std::mem::replace(&mut self.last_instant.covered, true) {
            self.cover(from, at);
        }
    }
}
