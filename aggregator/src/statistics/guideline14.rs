//! The fractional savings uncertainty of ASHRAE Guideline 14: a reference figure, published beside the exact interval.
//!
//! Auditors ask for it. It does not see extrapolation and is too small for daily data, so it never sets a standing. The
//! form agrees with CalTRACK 4.3.2.4; the factors by months are those of Sun and Baltazar (2013).
//!
//! Invariants:
//! - n' is neither rounded nor capped, and t has n' − p degrees of freedom, which need not be whole;
//! - without a saving, or with fewer than p effective points, there is no figure.

use crate::statistics::distribution::Confidence;
use crate::statistics::least_squares::{Statistics, effective};

/// The factor of the guideline itself.
pub const K: f64 = 1.26;

/// What the reporting period is made of, for the factor of Sun and Baltazar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    Daily,
    Billing,
}

/// Sun and Baltazar's factor in place of 1.26, for so many months of the *reporting* period.
pub fn sun_baltazar(granularity: Granularity, months: f64) -> f64 {
    let (square, linear, constant) = match granularity {
        Granularity::Daily => (-0.00024, 0.03535, 1.00286),
        Granularity::Billing => (-0.00022, 0.03306, 0.94054),
    };
    square * months * months + linear * months + constant
}

/// What the uncertainty is computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// 1.26, or [`sun_baltazar`].
    pub k: f64,
    /// CV' = √(SSE/(n' − p)) over the mean.
    pub cv: f64,
    /// Baseline rows.
    pub n: f64,
    /// Lag-1 correlation of the residuals; 0 leaves autocorrelation out.
    pub rho: f64,
    /// Parameters with the intercept.
    pub p: f64,
    /// Reporting rows.
    pub m: f64,
    /// F, the saving over the adjusted baseline.
    pub fraction: f64,
}

/// The fractional savings uncertainty with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uncertainty {
    pub n_effective: f64,
    pub t: f64,
    /// The half-width of the saving's interval over the saving.
    pub fsu: f64,
}

impl Input {
    /// For a fitted baseline: CV' from its residuals, with the correlation given.
    pub fn of(statistics: &Statistics, rho: f64, k: f64, m: f64, fraction: f64) -> Option<Input> {
        let (n, p) = (statistics.n as f64, statistics.p as f64);
        let left = effective(n, rho) - p;
        // CV(RMSE) has n − p under its root, CV' has n' − p.
        let cv = statistics.cv_rmse? * ((n - p) / left).sqrt();
        (left > 0.0).then_some(Input { k, cv, n, rho, p, m, fraction })
    }
}

/// k · t · CV' · √((n/n')(1 + 2/n')/m) / F.
pub fn fractional_savings_uncertainty(confidence: Confidence, input: Input) -> Option<Uncertainty> {
    let Input { k, cv, n, rho, p, m, fraction } = input;
    let n_effective = effective(n, rho);
    let defined = n_effective - p > 0.0 && n_effective.is_finite() && m > 0.0 && fraction > 0.0 && cv.is_finite();
    if !defined {
        return None;
    }
    let t = confidence.t(n_effective - p);
    let fsu = k * t * cv * (n / n_effective * (1.0 + 2.0 / n_effective) / m).sqrt() / fraction;
    Some(Uncertainty { n_effective, t, fsu })
}

/// √(Σ dU²) / ΣU over the savings U of a portfolio and their absolute uncertainties dU; `None` without a saving in all.
pub fn portfolio(savings: &[(f64, f64)]) -> Option<f64> {
    let total = crate::sum::sum(savings.iter().map(|(saving, _)| *saving));
    let uncertainty = crate::sum::sum(savings.iter().map(|(_, uncertainty)| uncertainty * uncertainty)).sqrt();
    (total > 0.0 && uncertainty.is_finite()).then(|| uncertainty / total)
}
