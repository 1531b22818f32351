//! Identities of a reduction: pooling, the signs of the national standards, utilisation (METHOD 1.2, 1.3, 2).
//!
//! Invariants:
//! - a positive reduction is good everywhere but in the forms of GB/T, which flip it;
//! - quantities add, ratios do not: a group's ratio is ΣY / ΣA, never a mean of percentages;
//! - consumption and utilisation are not the same rate; one turns into the other explicitly.

use crate::sum::sum;

/// Actual Y and adjusted baseline A of one pilot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    pub actual: f64,
    pub adjusted: f64,
}

impl Compared {
    /// ΣY and ΣA of a group.
    pub fn pooled(parts: &[Compared]) -> Compared {
        Compared {
            actual: sum(parts.iter().map(|part| part.actual)),
            adjusted: sum(parts.iter().map(|part| part.adjusted)),
        }
    }

    /// R = Y/A. None without a baseline.
    pub fn ratio(self) -> Option<f64> {
        (self.adjusted > 0.0).then(|| self.actual / self.adjusted)
    }

    /// 1 − Y/A. None without a baseline.
    pub fn reduction(self) -> Option<f64> {
        self.ratio().map(|ratio| 1.0 - ratio)
    }

    /// Es of GB/T 28750: negative is good.
    pub fn saving_gbt_28750(self) -> f64 {
        self.actual - self.adjusted
    }

    /// ξ of GB/T 13234 (2009), in per cent: negative is good. None without a baseline.
    pub fn saving_rate_gbt_13234(self) -> Option<f64> {
        (self.adjusted > 0.0).then(|| self.saving_gbt_28750() / self.adjusted * 100.0)
    }
}

/// The gain in output per energy that a reduction of energy per output is. None for all or more than all of it.
pub fn utilisation_gain(reduction: f64) -> Option<f64> {
    (reduction < 1.0).then(|| reduction / (1.0 - reduction))
}

/// The reduction of energy per output that a gain in output per energy is. None for a loss of all of it.
pub fn reduction_of_gain(gain: f64) -> Option<f64> {
    (gain > -1.0).then(|| gain / (1.0 + gain))
}
