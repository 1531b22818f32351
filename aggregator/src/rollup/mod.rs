//! Rollups: the readings of a series in quarter-hours, and the month sums made from them.
//!
//! [`Roller`] makes quarter-hours from readings, [`MonthBlob`] keeps those of one UTC month, [`months`] adds them up to the
//! calendar months of the pilot's zone, by tariff band too. Hours, days and years are made from quarter-hours when asked.
//!
//! Invariants:
//! - a sum is always re-added from its parts in time order, never patched by a difference;
//! - a quarter-hour without data is absent, not zero.

mod blob;
mod counter;
mod delta;
mod duration;
mod gauge;
pub mod months;
mod roller;
mod sketch;
pub mod spec;
#[cfg(test)]
mod tests;

use model::UnixMillis;
use serde::{Deserialize, Serialize};

pub use blob::{BlobError, Cursor, MonthBlob, first_quarter, quarters_in, utc_month_of};
pub use roller::{Rolled, Roller, quarter_of};
pub use sketch::Sketch;
pub use spec::Spec;

/// Remarks on a quarter-hour, as bits.
pub mod mark {
    /// Something was added here, if only zero.
    pub const CONTRIBUTED: u8 = 1;
    /// Spread over a gap longer than `max_gap`.
    pub const ESTIMATED: u8 = 2;
    pub const UNCERTAIN: u8 = 4;
    pub const RECEIVED_TIME: u8 = 8;
    pub const QOS0: u8 = 16;
    /// A counter fell without an event.
    pub const DECREASE: u8 = 32;
    /// A reading that a correction set.
    pub const CORRECTED: u8 = 64;

    /// The words of the remarks that surfaces show, in a fixed order.
    pub fn words(marks: u8) -> Vec<&'static str> {
        let all = [
            (ESTIMATED, "estimated"),
            (UNCERTAIN, "uncertain"),
            (RECEIVED_TIME, "received_time"),
            (QOS0, "qos0"),
            (DECREASE, "decrease"),
            (CORRECTED, "corrected"),
        ];
        all.into_iter().filter(|(bit, _)| marks & bit != 0).map(|(_, word)| word).collect()
    }
}

/// One quarter of an hour of one series.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quarter {
    /// Counter, delta: the amount. Gauge: the level times milliseconds. Duration: the sum.
    pub value: f64,
    pub covered_ms: u32,
    /// Usable readings stamped in it.
    pub n: u32,
    /// Bits of [`mark`].
    pub marks: u8,
}

impl Quarter {
    /// Nothing was read, added or covered here.
    pub fn is_empty(&self) -> bool {
        self.n == 0 && self.covered_ms == 0 && self.marks == 0
    }

    /// Something was added here.
    pub fn has_value(&self) -> bool {
        self.marks & mark::CONTRIBUTED != 0
    }
}

/// A counter fell and no event, rollover or `on_decrease` says why: the pair contributes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decrease {
    pub from_at: UnixMillis,
    pub from: f64,
    pub at: UnixMillis,
    pub to: f64,
}
