//! The indicators: what was used in a period, and what the baseline says for it.
//!
//! Each file gives one [`Outcome`] per period from [`data::PilotData`], which holds month sums and orders of one pilot.
//! Nothing here reads a store or a clock. Energy, cost and pollutants share `ratio.rs`: the months rule and the
//! standardised output; defects and cycles compare whole periods product by product.

pub mod cost;
pub mod cycle;
pub mod data;
pub mod defects;
pub mod energy;
pub mod output;
pub mod pollutant;
pub mod ratio;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::Finding;

use crate::standing::Cap;

/// Coverage below this, of a figure or of the output that it speaks for, is insufficient.
pub const COVERAGE_MIN: f64 = 0.8;

/// What an indicator came to in a period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    pub actual: Option<f64>,
    pub adjusted: Option<f64>,
    pub output: Option<f64>,
    pub coverage: Option<f64>,
    pub cap: Cap,
    pub findings: Vec<Finding>,
    /// `operating_cost` only.
    pub cost_scope: Option<Vec<String>>,
}

impl Outcome {
    /// Nothing can be said, for one reason.
    pub fn insufficient(why: Finding) -> Outcome {
        Outcome { findings: vec![why], ..Outcome::default() }
    }

    /// Actual over adjusted baseline, if the data suffice.
    pub fn ratio(&self) -> Option<f64> {
        let covered = self.coverage.is_none_or(|coverage| coverage >= COVERAGE_MIN);
        match (self.actual, self.adjusted) {
            (Some(actual), Some(adjusted)) if covered && adjusted > 0.0 => Some(actual / adjusted),
            (Some(_) | None, Some(_) | None) => None,
        }
    }
}

/// A finding of a rule.
pub fn finding(rule: &str, text: impl Into<String>) -> Finding {
    Finding { rule: rule.to_owned(), text: text.into() }
}

/// The finding about products that only one of the periods made.
fn one_period_only(reporting: &[Arc<str>], baseline: &[Arc<str>]) -> Option<Finding> {
    if reporting.is_empty() && baseline.is_empty() {
        return None;
    }
    let text = format!(
        "left out on both sides: products made in the period only ({}), in the baseline only ({})",
        listed(reporting),
        listed(baseline)
    );
    Some(finding("product_in_one_period", text))
}

/// Names in a sentence; the first few stand for many.
pub fn listed(names: &[Arc<str>]) -> String {
    const SHOWN_MAX: usize = 5;
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN_MAX => format!("{} and {} more", names[..SHOWN_MAX].join(", "), n - SHOWN_MAX),
        _ => names.join(", "),
    }
}
