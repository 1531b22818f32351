//! Gauges: a level holds until the next reading, at most `max_gap` (a step, not a trapezoid).
//!
//! The last level contributes nothing until a later reading exists, so that no figure depends on a clock.

use super::roller::{Point, Roller};

impl Roller<'_> {
    pub(super) fn gauge(&mut self, point: Point) {
        let Some(held) = self.level.replace(point) else { return };
        let until = point.at.min(held.at.saturating_add(self.spec.max_gap_ms));
        self.integrate(self.spec.scale(held.value.as_f64()), held.at, until, held.marks);
        self.cover(held.at, until);
    }
}
