//! A quantile sketch (DDSketch): counts in logarithmic bins, so that a quantile is right to 1 % of its value.
//!
//! Counts are integers and bins are sorted, so that merging is exact and any order of merging gives the same sketch.

use serde::{Deserialize, Serialize};

/// Relative accuracy of a quantile.
const ALPHA: f64 = 0.01;
/// Width of a bin: (1 + α) / (1 − α).
const GAMMA: f64 = (1.0 + ALPHA) / (1.0 - ALPHA);

/// Counts of positive values by bin; what is not positive is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sketch {
    not_positive: u64,
    bins: Vec<(i32, u64)>,
}

impl Sketch {
    /// Counts one value.
    pub fn add(&mut self, value: f64) {
        if value > 0.0 {
            self.add_bin(bin_of(value), 1);
        } else {
            self.not_positive += 1;
        }
    }

    fn add_bin(&mut self, bin: i32, count: u64) {
        match self.bins.binary_search_by_key(&bin, |&(bin, _)| bin) {
            Ok(found) => self.bins[found].1 += count,
            Err(place) => self.bins.insert(place, (bin, count)),
        }
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Sketch) {
        self.not_positive += other.not_positive;
        for &(bin, count) in &other.bins {
            self.add_bin(bin, count);
        }
    }

    /// How many values it counts.
    pub fn n(&self) -> u64 {
        self.not_positive + self.bins.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// The value at `quantile` (0 to 1), to 1 %; none if it is empty.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let n = self.n();
        if n == 0 {
            return None;
        }
        let rank = quantile * (n - 1) as f64;
        let mut seen = self.not_positive;
        if (seen as f64) > rank {
            return Some(0.0);
        }
        for &(bin, count) in &self.bins {
            seen += count;
            if (seen as f64) > rank {
                return Some(middle_of(bin));
            }
        }
        self.bins.last().map(|&(bin, _)| middle_of(bin))
    }
}

fn bin_of(value: f64) -> i32 {
    let bin = (libm::log(value) / libm::log(GAMMA)).ceil();
    // Safe because the logarithm of a finite double lies within ±745, so the bin lies within ±40,000.
    #[allow(clippy::cast_possible_truncation, reason = "within ±40,000")]
    let bin = bin as i32;
    bin
}

fn middle_of(bin: i32) -> f64 {
    2.0 * libm::exp(f64::from(bin) * libm::log(GAMMA)) / (GAMMA + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_right_to_one_per_cent(values in proptest::collection::vec(1e-3f64..1e6, 1..200)) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|&value| sketch.add(value));
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let (last, median) = (sorted[sorted.len() - 1], sorted[(sorted.len() - 1) / 2]);
            prop_assert!((sketch.quantile(1.0).unwrap() / last - 1.0).abs() < 0.0101);
            prop_assert!((sketch.quantile(0.5).unwrap() / median - 1.0).abs() < 0.0101);
        }

        #[test]
        fn merging_is_counting_together(a in proptest::collection::vec(0f64..1e3, 0..50),
                                        b in proptest::collection::vec(0f64..1e3, 0..50)) {
            let of = |values: &[f64]| {
                let mut sketch = Sketch::default();
                values.iter().for_each(|&value| sketch.add(value));
                sketch
            };
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            let together: Vec<f64> = a.into_iter().chain(b).collect();
            prop_assert_eq!(&ab, &of(&together));
            prop_assert_eq!(ab, ba);
        }
    }
}
