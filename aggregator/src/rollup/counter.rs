//! Counters: the increment between neighbours is spread linearly over the time between them.
//!
//! Further apart than `max_gap` it is spread the same way, so that energy is conserved, but that time is uncovered and
//! marked as estimated. A meter swap works as if its last value had been read at its instant and its first right after.

use model::registry::OnDecrease;
use model::{UnixMillis, Value};

use super::roller::{Point, Roller};
use super::spec::Swap;
use super::{Decrease, mark};

/// Where the register stood last, and which swaps are behind us.
#[derive(Debug, Clone, Default)]
pub(super) struct Register {
    last: Option<Point>,
    n_swaps: usize,
}

impl Roller<'_> {
    pub(super) fn counter(&mut self, point: Point) {
        while let Some(&swap) = self.spec.swaps.get(self.register.n_swaps) {
            if !is_before(&swap, &point) {
                break;
            }
            self.swap(&swap);
        }
        self.stand(point);
    }

    /// Applies the swaps after the last reading.
    pub(super) fn close_register(&mut self) {
        while let Some(&swap) = self.spec.swaps.get(self.register.n_swaps) {
            self.swap(&swap);
        }
    }

    fn swap(&mut self, swap: &Swap) {
        self.register.n_swaps += 1;
        self.stand(Point { at: swap.at, value: swap.last, marks: 0 });
        self.register.last = Some(Point { at: swap.at, value: swap.first, marks: 0 });
    }

    fn stand(&mut self, to: Point) {
        if let Some(from) = self.register.last.replace(to) {
            self.pair(&from, &to);
        }
    }

    fn pair(&mut self, from: &Point, to: &Point) {
        let Some(increment) = self.increment(from, to) else {
            let (from_at, at) = (UnixMillis(from.at), UnixMillis(to.at));
            return self.decreased(Decrease { from_at, from: from.value.as_f64(), at, to: to.value.as_f64() });
        };
        let amount = self.spec.scale(increment);
        let marks = from.marks | to.marks;
        if to.at - from.at <= self.spec.max_gap_ms {
            self.spread(amount, from.at, to.at, marks);
            self.cover(from.at, to.at);
        } else {
            self.spread(amount, from.at, to.at, marks | mark::ESTIMATED);
        }
    }

    /// What the register grew by between neighbours, in the declared unit; none for a decrease that nothing explains.
    fn increment(&self, from: &Point, to: &Point) -> Option<f64> {
        let rollovers = &self.spec.rollovers;
        let past = |at: i64| rollovers.partition_point(|&rollover| rollover <= at);
        let n_rollovers = past(to.at) - past(from.at);
        let grown = difference(from.value, to.value);
        match (self.spec.rollover, n_rollovers) {
            (Some(modulus), 1..) => Some(n_rollovers as f64 * modulus + grown).filter(|grown| *grown >= 0.0),
            (None, _) | (Some(_), 0) if grown >= 0.0 => Some(grown),
            (Some(modulus), 0) if (0.0..modulus / 2.0).contains(&(modulus + grown)) => Some(modulus + grown),
            (None, _) | (Some(_), 0) => match self.spec.on_decrease {
                OnDecrease::Reset => Some(to.value.as_f64()).filter(|grown| *grown >= 0.0),
                OnDecrease::Nothing => None,
            },
        }
    }
}

/// Whether a swap comes before a reading. At the same instant the reading is the old meter's (stamps close intervals),
/// unless it shows the new meter's first value.
fn is_before(swap: &Swap, point: &Point) -> bool {
    let shows_new = point.value == swap.first && point.value != swap.last;
    swap.at < point.at || (swap.at == point.at && shows_new)
}

/// `to − from`, exact for integers of any size.
fn difference(from: Value, to: Value) -> f64 {
    let whole = |value| match value {
        Value::Int(int) => Some(i128::from(int)),
        Value::UInt(int) => Some(i128::from(int)),
        Value::Float(_) => None,
    };
    match (whole(from), whole(to)) {
        (Some(from), Some(to)) => (to - from) as f64,
        (Some(_) | None, Some(_) | None) => to.as_f64() - from.as_f64(),
    }
}
