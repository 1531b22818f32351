//! Metrics and error bands as OpenEEmeter 3.2.0 computes them, to compare with its published results; no figure of ours.
//!
//! c counts variables without the intercept, residuals are predicted minus observed, R² is a squared correlation, and the
//! fractional savings uncertainty is multiplied by the baseline's total, which is wrong where the periods differ in length.

use aggregator::statistics::distribution::student_quantile;
use aggregator::statistics::guideline14::{Granularity, sun_baltazar};
use serde_json::Value;

use crate::vector::{close, number};

pub(crate) struct Metrics {
    n: f64,
    c: f64,
    mean: f64,
    variance: f64,
    r_squared: f64,
    rmse: f64,
    rmse_adjusted: f64,
    mape: f64,
    nmae: f64,
    nmbe: f64,
    rho: f64,
    n_effective: f64,
    df: f64,
    t: f64,
}

impl Metrics {
    pub(crate) fn of(observed: &[f64], predicted: &[f64], n_variables: usize) -> Metrics {
        let (n, c) = (observed.len() as f64, n_variables as f64);
        let residuals: Vec<f64> =
            predicted.iter().zip(observed).map(|(predicted, observed)| predicted - observed).collect();
        let sse: f64 = residuals.iter().map(|e| e * e).sum();
        let total: f64 = observed.iter().sum();
        let rho = correlation(&residuals[..residuals.len() - 1], &residuals[1..]);
        let n_effective = n * (1.0 - rho) / (1.0 + rho);
        let df = (n_effective - c).round();
        Metrics {
            n,
            c,
            mean: mean(observed),
            variance: variance(observed),
            r_squared: correlation(observed, predicted).powi(2),
            rmse: (sse / n).sqrt(),
            rmse_adjusted: (sse / (n - c)).sqrt(),
            mape: residuals.iter().zip(observed).map(|(e, observed)| (e / observed).abs()).sum::<f64>() / n,
            nmae: residuals.iter().map(|e| e.abs()).sum::<f64>() / total,
            nmbe: residuals.iter().sum::<f64>() / total,
            rho,
            n_effective,
            df,
            t: student_quantile(0.95, df),
        }
    }

    /// Against the metrics listed: all of those that are there.
    #[track_caller]
    pub(crate) fn check(&self, expected: &Value, tolerance: f64, nmbe_tolerance: f64) {
        let c = self.c;
        let inflation = ((self.n - c) / (self.n_effective - c)).sqrt() * (1.0 + 2.0 / self.n_effective).sqrt();
        for (name, value) in expected.as_object().unwrap() {
            let computed = match name.as_str() {
                "observed_length" => self.n,
                "observed_mean" => self.mean,
                "observed_variance" => self.variance,
                "r_squared" => self.r_squared,
                "r_squared_adj" => 1.0 - (1.0 - self.r_squared) * (self.n - 1.0) / (self.n - c - 1.0),
                "rmse" => self.rmse,
                "rmse_adj" => self.rmse_adjusted,
                "cvrmse" => self.rmse / self.mean,
                "cvrmse_adj" => self.rmse_adjusted / self.mean,
                "mape" => self.mape,
                "nmae" => self.nmae,
                "nmbe" => {
                    assert!((self.nmbe - value.as_f64().unwrap()).abs() <= nmbe_tolerance);
                    continue;
                }
                "autocorr_resid" => self.rho,
                "n_prime" => self.n_effective,
                "degrees_of_freedom" => self.df,
                "t_stat" => self.t,
                "fsu_base_term" => self.t * self.rmse_adjusted / self.mean * inflation,
                other => panic!("no metric {other}"),
            };
            close(name, computed, value.as_f64().unwrap(), tolerance);
        }
    }
}

pub(crate) struct Baseline {
    pub(crate) totals: Vec<f64>,
    pub(crate) metrics: Metrics,
}

pub(crate) struct Reporting {
    /// The observed use of each period.
    pub(crate) totals: Vec<f64>,
    pub(crate) m: f64,
    pub(crate) daily: bool,
}

pub(crate) struct ErrorBands {
    model: f64,
    noise: f64,
    fsu: f64,
}

impl ErrorBands {
    pub(crate) fn of(baseline: &Baseline, reporting: &Reporting) -> ErrorBands {
        let Metrics { n, c, mean: of_baseline, n_effective, rmse_adjusted, .. } = baseline.metrics;
        let (m, t) = (reporting.m, student_quantile(0.95, n - c));
        let spread = (of_baseline - mean(&reporting.totals)).powi(2) / variance(&baseline.totals);
        let factor = match reporting.daily {
            true => sun_baltazar(Granularity::Daily, m / 30.0),
            false => sun_baltazar(Granularity::Billing, m),
        };
        let inflation = (n / n_effective * (1.0 + 2.0 / n_effective) / m).sqrt();
        ErrorBands {
            model: t * rmse_adjusted * m / n.sqrt() * (1.0 + spread).sqrt(),
            noise: t * rmse_adjusted * (m * n / n_effective).sqrt(),
            fsu: baseline.totals.iter().sum::<f64>() * t * factor * rmse_adjusted / of_baseline * inflation,
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, expected: &Value, tolerance: f64) {
        close("model", self.model, number(expected, "/ols_model"), tolerance);
        close("noise", self.noise, number(expected, "/ols_noise"), tolerance);
        close("total", self.model.hypot(self.noise), number(expected, "/ols_total"), tolerance);
        close("fsu", self.fsu, number(expected, "/fsu"), tolerance);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With divisor n.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products: f64 = a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum();
    products / (variance(a) * variance(b)).sqrt() / a.len() as f64
}
