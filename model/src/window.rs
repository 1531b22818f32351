//! Windows: half-open `[start, end)` spans of UTC time. The base window of every rollup is the quarter of an hour.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// The width of the base window in milliseconds.
pub const QUARTER_MS: i64 = 15 * 60 * 1000;

/// A half-open span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    pub start: UnixMillis,
    pub end: UnixMillis,
}

impl Window {
    /// The aligned window of `width_ms` that holds `at`.
    pub fn containing(at: UnixMillis, width_ms: i64) -> Window {
        let start = at.0 - at.0.rem_euclid(width_ms);
        Window { start: UnixMillis(start), end: UnixMillis(start + width_ms) }
    }

    /// The quarter of an hour that a stamp `at` closes: stamps are interval ends, so it holds the last millisecond before.
    pub fn quarter_closed_by(at: UnixMillis) -> Window {
        Window::containing(UnixMillis(at.0 - 1), QUARTER_MS)
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: UnixMillis) -> bool {
        self.start <= at && at < self.end
    }

    /// Its length in milliseconds.
    pub fn length_ms(&self) -> i64 {
        self.end.0 - self.start.0
    }

    /// How many milliseconds it shares with `[start, end)`.
    pub fn overlap_ms(&self, start: UnixMillis, end: UnixMillis) -> i64 {
        (self.end.0.min(end.0) - self.start.0.max(start.0)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_tile(at in -1i64<<40..1i64<<40, width_ms in 1i64..86_400_000) {
            let window = Window::containing(UnixMillis(at), width_ms);
            prop_assert!(window.contains(UnixMillis(at)));
            prop_assert_eq!(Window::containing(window.end, width_ms).start, window.end);
        }
    }
}
