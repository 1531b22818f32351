//! The indicators: what was used in a period, and what the baseline says for it.
//!
//! Each file gives one [`Outcome`] per period from [`data::PilotData`], which holds month sums and orders of one pilot under the terms of the
//! indicator's plan.
//! Nothing here reads a store or a clock. Energy, cost and pollutants share `ratio.rs`: the months rule and the
//! standardised output; defects and cycles compare whole periods product by product.

pub mod baseline;
pub mod by_hand;
pub mod cost;
pub mod cycle;
pub mod data;
pub mod defects;
pub mod effects;
pub mod energy;
pub mod fingerprint;
pub mod output;
pub mod plan;
pub mod pollutant;
pub mod ratio;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use model::{Effects, Finding, Fingerprint, Method, Variance};

use self::plan::Asked;
use crate::standing::Cap;
use crate::statistics::{Confidence, Interval, LogRatio};

/// What an indicator came to in a period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    pub actual: Option<f64>,
    pub adjusted: Option<f64>,
    pub output: Option<f64>,
    pub coverage: Option<f64>,
    /// None where too little is known for an interval: the figure stands at best on track.
    pub certainty: Option<Certainty>,
    pub cap: Cap,
    /// The model behind the numbers did not pass: they are shown and set no standing.
    pub invalid: bool,
    pub findings: Vec<Finding>,
    pub method: Option<Method>,
    pub baseline: Option<Fingerprint>,
    pub effects: Option<Effects>,
    /// `operating_cost` only.
    pub cost_scope: Option<Vec<String>>,
    /// What of `adjusted` a person stated; none without an adjustment in the counted months.
    pub by_hand: Option<f64>,
    pub asked: Asked,
}

/// How sure an outcome is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certainty {
    /// Of actual over adjusted baseline.
    pub ratio: Interval,
    pub variance: Variance,
}

impl Certainty {
    /// Of a ratio whose logarithm is nearly normal or t-distributed: the variances of both sides, independent, and the
    /// quantile that goes with them. None without a positive ratio.
    pub fn of_log(actual: f64, adjusted: f64, variance: Variance, quantile: f64) -> Option<Certainty> {
        if actual <= 0.0 || adjusted <= 0.0 {
            return None;
        }
        let squared = variance.actual / (actual * actual) + variance.adjusted_baseline / (adjusted * adjusted);
        let log = LogRatio { log: libm::log(actual / adjusted), se: squared.sqrt() };
        Some(Certainty { ratio: log.within(quantile), variance })
    }
}

impl Outcome {
    /// Nothing can be said, for one reason.
    pub fn insufficient(why: Finding) -> Outcome {
        Outcome { findings: vec![why], ..Outcome::default() }
    }

    /// Actual over adjusted baseline, if the data suffice.
    pub fn ratio(&self) -> Option<f64> {
        let covered = self.coverage.is_none_or(|coverage| coverage >= self.asked.coverage_min);
        match (self.actual, self.adjusted) {
            (Some(actual), Some(adjusted)) if covered && !self.invalid && adjusted > 0.0 => Some(actual / adjusted),
            (Some(_) | None, Some(_) | None) => None,
        }
    }
}

/// The t quantile for whole degrees of freedom; those of the usual confidence are remembered.
pub fn t_quantile(confidence: Confidence, df: usize) -> f64 {
    /// Twenty years of months: beyond it the quantile is computed each time.
    const KNOWN: usize = 240;
    static QUANTILES: OnceLock<Vec<f64>> = OnceLock::new();
    let known = QUANTILES.get_or_init(|| (1..=KNOWN).map(|df| Confidence::NINETY.t(df as f64)).collect());
    let remembered = df.checked_sub(1).filter(|_| confidence == Confidence::NINETY).and_then(|index| known.get(index));
    remembered.copied().unwrap_or_else(|| confidence.t(df as f64))
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
