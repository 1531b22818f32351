//! Unit cost at constant prices, price indices, and the interval of a unit cost over months (METHOD 8).
//!
//! The efficiency figure values the reporting quantities at the baseline's prices: a change of prices, also of the hours'
//! prices, is no achievement. Nominal cost and the price effect stand beside it.
//!
//! Invariants:
//! - an item has both prices: one without a baseline price is priced by the plan or left out on both sides by the caller;
//! - a zero denominator is "not defined".

use super::LogRatio;
use crate::sum::sum;

/// An item (a band, a fuel) in both periods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    pub quantity_baseline: f64,
    pub price_baseline: f64,
    pub quantity_reporting: f64,
    pub price_reporting: f64,
}

/// The four sums of quantities times prices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub q0p0: f64,
    pub q0p1: f64,
    pub q1p0: f64,
    pub q1p1: f64,
}

impl Cost {
    /// Over items.
    pub fn of(items: &[Item]) -> Cost {
        let over = |part: fn(&Item) -> f64| sum(items.iter().map(part));
        Cost {
            q0p0: over(|item| item.quantity_baseline * item.price_baseline),
            q0p1: over(|item| item.quantity_baseline * item.price_reporting),
            q1p0: over(|item| item.quantity_reporting * item.price_baseline),
            q1p1: over(|item| item.quantity_reporting * item.price_reporting),
        }
    }

    /// Σ q0 p1 / Σ q0 p0.
    pub fn laspeyres(&self) -> Option<f64> {
        quotient(self.q0p1, self.q0p0)
    }

    /// Σ q1 p1 / Σ q1 p0: the price effect.
    pub fn paasche(&self) -> Option<f64> {
        quotient(self.q1p1, self.q1p0)
    }

    /// The geometric mean of both.
    pub fn fisher(&self) -> Option<f64> {
        Some((self.laspeyres()? * self.paasche()?).sqrt())
    }

    /// Unit cost over unit cost as billed; `output` = output of the reporting period over that of the baseline.
    pub fn nominal(&self, output: f64) -> Option<f64> {
        quotient(self.q1p1, self.q0p0 * output)
    }

    /// The same at the baseline's prices: what sets the standing.
    pub fn at_baseline_prices(&self, output: f64) -> Option<f64> {
        quotient(self.q1p0, self.q0p0 * output)
    }

    /// The same at the reporting period's prices.
    pub fn at_reporting_prices(&self, output: f64) -> Option<f64> {
        quotient(self.q1p1, self.q0p1 * output)
    }

    /// The geometric mean of the last two.
    pub fn fisher_quantity(&self, output: f64) -> Option<f64> {
        Some((self.at_baseline_prices(output)? * self.at_reporting_prices(output)?).sqrt())
    }
}

/// Cost and standardised output of one month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Month {
    pub cost: f64,
    pub output: f64,
}

/// Unit cost over months, with the variance of the ratio estimator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitCost {
    pub cost: f64,
    pub variance: f64,
    pub n_months: usize,
}

impl UnitCost {
    /// c = ΣC/ΣQ, Var c = n/(n − 1) · Σ(C_i − c Q_i)² / (ΣQ)². None below two months or without cost and output.
    pub fn of(months: &[Month]) -> Option<UnitCost> {
        let output = sum(months.iter().map(|month| month.output));
        let cost = quotient(sum(months.iter().map(|month| month.cost)), output)?;
        if months.len() < 2 || cost <= 0.0 {
            return None;
        }
        let squares = sum(months.iter().map(|month| {
            let off = month.cost - cost * month.output;
            off * off
        }));
        let n = months.len() as f64;
        Some(UnitCost { cost, variance: n / (n - 1.0) * squares / (output * output), n_months: months.len() })
    }

    /// The ratio to a baseline's, and the degrees of freedom of its t: those of the side with fewer months.
    pub fn ratio(&self, baseline: &UnitCost) -> (LogRatio, f64) {
        let part = |side: &UnitCost| side.variance / (side.cost * side.cost);
        let se = (part(self) + part(baseline)).sqrt();
        let df = (self.n_months.min(baseline.n_months) - 1) as f64;
        (LogRatio { log: libm::log(self.cost / baseline.cost), se }, df)
    }
}

fn quotient(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}
