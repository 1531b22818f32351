//! Overall equipment effectiveness of ISO 22400-2, over one or many runs (METHOD 5).
//!
//! Times and quantities are summed first and divided then. Over several runs quality is weighted by ideal time, so that
//! availability · performance · quality stays Σ(PRI · GQ) / ΣPBT exactly; the quality by count is another figure.
//!
//! Invariants:
//! - a denominator of zero is "not defined", never 0 or 100 %;
//! - performance is over the time produced, not over the planned one: downtime counts once.

use crate::sum::sum;

/// One equipment and shift; times in one unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// PBT: planned busy time.
    pub planned: f64,
    /// APT: actual production time.
    pub produced: f64,
    /// PRI: planned run time of one item.
    pub ideal_cycle: f64,
    /// PQ: items made.
    pub total: f64,
    /// GQ: good ones among them.
    pub good: f64,
}

/// The indicators; each none where its denominator is zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effectiveness {
    /// ΣAPT / ΣPBT.
    pub availability: Option<f64>,
    /// Σ(PRI · PQ) / ΣAPT.
    pub performance: Option<f64>,
    /// Σ(PRI · GQ) / Σ(PRI · PQ).
    pub quality: Option<f64>,
    /// ΣGQ / ΣPQ, published apart.
    pub quality_by_count: Option<f64>,
}

impl Effectiveness {
    /// Over runs.
    pub fn of(runs: &[Run]) -> Effectiveness {
        let over = |part: fn(&Run) -> f64| sum(runs.iter().map(part));
        let planned = over(|run| run.planned);
        let produced = over(|run| run.produced);
        let ideal = over(|run| run.ideal_cycle * run.total);
        Effectiveness {
            availability: quotient(produced, planned),
            performance: quotient(ideal, produced),
            quality: quotient(over(|run| run.ideal_cycle * run.good), ideal),
            quality_by_count: quotient(over(|run| run.good), over(|run| run.total)),
        }
    }

    /// A · E · QR.
    pub fn oee(&self) -> Option<f64> {
        Some(self.availability? * self.performance? * self.quality?)
    }
}

fn quotient(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}
