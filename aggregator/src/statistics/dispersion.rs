//! Over-dispersion φ of counts by lot (METHOD 6.4).
//!
//! Defects come in lots: within a stratum and period the lots differ by more than chance. φ = max(1, X²/df) with Pearson's
//! X² over the lots; log variances are multiplied by it, score intervals widen by √φ.
//!
//! Invariants:
//! - φ is at least 1: lots more alike than chance narrow nothing;
//! - fewer than [`DF_MIN`] degrees of freedom carry no φ: it is 1, and said so;
//! - a group without an event, or with nothing but events, says nothing about dispersion and counts no degree of freedom.

use super::{Counted, Measure};
use crate::sum::{Sum, sum};

/// Fewer degrees of freedom than this carry no φ.
pub const DF_MIN: usize = 5;

/// What the lots say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dispersion {
    /// What variances are multiplied with.
    pub phi: f64,
    /// Pearson's X².
    pub chi_square: f64,
    /// Lots less the rates estimated from them.
    pub df: usize,
}

impl Dispersion {
    /// Whether there were lots enough; else φ is 1 for want of data.
    pub fn is_known(&self) -> bool {
        self.df >= DF_MIN
    }
}

/// φ over groups of lots; each group is one stratum in one period. Lots without a size are left out.
pub fn dispersion(measure: Measure, groups: &[&[Counted]]) -> Dispersion {
    let mut chi_square = Sum::default();
    let mut df = 0;
    for lots in groups {
        let lots: Vec<Counted> = lots.iter().copied().filter(|lot| lot.has_data()).collect();
        let size = sum(lots.iter().map(|lot| lot.size));
        let rate = sum(lots.iter().map(|lot| lot.count)) / size;
        if lots.is_empty() || measure.variance(rate, 1.0) <= 0.0 {
            continue;
        }
        for lot in &lots {
            let off = lot.count - lot.size * rate;
            chi_square.add(off * off / (lot.size * lot.size * measure.variance(rate, lot.size)));
        }
        df += lots.len() - 1;
    }
    let chi_square = chi_square.total();
    let phi = if df >= DF_MIN { (chi_square / df as f64).max(1.0) } else { 1.0 };
    Dispersion { phi, chi_square, df }
}
