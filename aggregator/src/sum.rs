//! Adds floats with Neumaier's compensation.
//!
//! Every sum of the aggregator goes through [`Sum`], in time order, so that the same parts give the same bits and
//! millions of small parts lose nothing that one could see.

/// A running compensated sum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Adds one part.
    pub fn add(&mut self, part: f64) {
        let sum = self.sum + part;
        if self.sum.abs() >= part.abs() {
            self.lost += (self.sum - sum) + part;
        } else {
            self.lost += (part - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// What the parts add up to.
    pub fn total(self) -> f64 {
        self.sum + self.lost
    }
}

/// The compensated sum of `parts` in their order.
pub fn sum(parts: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    for part in parts {
        sum.add(part);
    }
    sum.total()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_are_not_lost_beside_large_ones() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 10)), 1.0);
        assert_eq!(sum([]), 0.0);
    }
}
