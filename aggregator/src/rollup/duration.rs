//! Durations: one value per piece or batch, in the window of the last millisecond before its stamp; no coverage.

use super::roller::{Point, Roller};

impl Roller<'_> {
    pub(super) fn duration(&mut self, point: Point) {
        let value = self.spec.scale(point.value.as_f64());
        self.whole(value, point.at, point.marks);
        self.sketch(value * self.spec.multiplier_at(point.at - 1), point.at);
    }
}
