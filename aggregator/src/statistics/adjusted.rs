//! The adjusted baseline: what a model of the baseline period says for the conditions of the reporting period, and how
//! sure the comparison with the actual use is.
//!
//! Y is the actual use, A the adjusted baseline, R = Y/A, and the saving S = A − Y. The variance of A − Y is exact for a
//! linear model: what the coefficients do not know, s² u'(X'WX)⁻¹u with u the sum of the reporting rows, and the noise of
//! the reporting period itself, s² N. The interval of R is the inversion of the test "the reduction is at least d"
//! (Fieller 1954), so that a standing, its significance and its interval never disagree.
//!
//! Correlated residuals widen the interval and never narrow it: the noise grows by (1 + ρ)/(1 − ρ), the degrees of
//! freedom shrink to n' − p, and from sixty rows on the coefficients' part is at least that of Newey and West (1987).
//!
//! Invariants:
//! - a reporting row has the variables of the model, by name and in its order;
//! - an interval that the data do not bound is `Undetermined` or infinite, never NaN;
//! - the reporting period is only predicted: nothing of it enters the fit.

use crate::statistics::Interval;
use crate::statistics::distribution::{Confidence, student_cdf};
use crate::statistics::least_squares::{Fit, Spread, Variable, effective};
use crate::sum::sum;

/// Newey and West's matrix is used from so many rows on: with a year of months it can halve the errors instead of widening
/// them.
const NEWEY_WEST_ROWS_MIN: usize = 60;

/// How far beyond the baseline values, as a share of the bound, a variable may lie before its row is flagged.
const EXTRAPOLATION_SHARE: f64 = 0.1;

/// Why there is no adjusted baseline.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdjustedError {
    #[error("the reporting period has no rows; it needs at least one")]
    NoRows,
    #[error("the reporting period gives `{}`; the model has `{}`, in this order", found.join("`, `"), expected.join("`, `"))]
    Variables { found: Vec<String>, expected: Vec<String> },
    #[error("`{name}` has {found} values for {rows} reporting rows; every variable has one for each row")]
    Length { name: String, found: usize, rows: usize },
    #[error("`{name}` is `{value}` in reporting row {row}; an adjusted baseline takes finite numbers")]
    NotFinite { name: String, row: usize, value: f64 },
    #[error("reporting row {row} has `{value}` days; a row has more than none")]
    Days { row: usize, value: f64 },
    #[error("{0}")]
    Rows(RowsMismatch),
    #[error("the actual use is `{value}`; a comparison takes a finite number")]
    Actual { value: f64 },
    #[error(
        "the adjusted baseline leaves the range of double precision; give the variables in larger or smaller units"
    )]
    Range,
}

/// Rows of the reporting period and of the model differ in what a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowsMismatch {
    #[error("the model is of use per day; its reporting rows carry days")]
    DaysMissing,
    #[error("the model is not of use per day; its reporting rows carry no days")]
    DaysUnexpected,
}

/// What the reporting rows stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rows<'a> {
    /// So many rows, each like one of the baseline.
    Alike(usize),
    /// Rows of use per day that last these days; the days of the baseline rows are their weights.
    OfDays(&'a [f64]),
}

/// The baseline model at the conditions of the reporting period.
#[derive(Debug, Clone, PartialEq)]
pub struct AdjustedBaseline {
    /// A.
    pub value: f64,
    /// The model's value of each reporting row; they add up to A.
    pub rows: Vec<f64>,
    pub variance_model: f64,
    pub variance_noise: f64,
    pub df: f64,
    pub autocorrelation: Autocorrelation,
    pub guard: ExtrapolationGuard,
}

/// What was done about correlated residuals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Autocorrelation {
    /// ρ ≤ 2/√n, or not defined.
    NotCorrected,
    Corrected {
        rho: f64,
        /// n'.
        n_effective: f64,
        /// The standard errors of Newey and West were the larger ones.
        newey_west: bool,
    },
}

/// Which reporting rows lie beyond what the baseline has seen. Flags do not invalidate: the exact variance widens already.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtrapolationGuard {
    pub rows: Vec<Extrapolation>,
    pub leverage_max_baseline: f64,
    pub leverage_max_reporting: f64,
}

/// One reporting row against the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Extrapolation {
    pub leverage: f64,
    /// An unusual combination: the leverage is above the largest one of the baseline.
    pub unusual: bool,
    /// Variables outside [0.9·min, 1.1·max] of their baseline values.
    pub outside: Vec<String>,
}

impl Extrapolation {
    /// Whether anything about the row is beyond the baseline.
    pub fn flagged(&self) -> bool {
        self.unusual || !self.outside.is_empty()
    }
}

impl ExtrapolationGuard {
    /// Rows that are flagged.
    pub fn n_flagged(&self) -> usize {
        self.rows.iter().filter(|row| row.flagged()).count()
    }

    /// More than half of the rows: time for a new baseline.
    pub fn mostly_flagged(&self) -> bool {
        2 * self.n_flagged() > self.rows.len()
    }
}

/// The baseline adjusted to the reporting rows.
///
/// # Errors
/// If the rows are not those of the model or not numbers; the error names what is wrong.
pub fn adjust(fit: &Fit, reporting: &[Variable], rows: Rows<'_>) -> Result<AdjustedBaseline, AdjustedError> {
    let n_rows = check(fit, reporting, rows)?;
    let days_of = |row: usize| match rows {
        Rows::Alike(_) => 1.0,
        Rows::OfDays(days) => days[row],
    };
    let values = |row: usize| -> Vec<f64> { reporting.iter().map(|variable| variable.values[row]).collect() };
    let design: Vec<Vec<f64>> = (0..n_rows).map(|row| fit.design_row(&values(row))).collect();
    let u: Vec<f64> = (0..fit.coefficients().len())
        .map(|column| sum(design.iter().enumerate().map(|(row, x)| days_of(row) * x[column])))
        .collect();
    let rows: Vec<f64> = design.iter().enumerate().map(|(row, x)| days_of(row) * fit.predict(x)).collect();

    let s_squared = fit.statistics().sse / fit.df();
    let noise = s_squared * sum((0..n_rows).map(days_of));
    let (autocorrelation, variance_model, variance_noise, df) =
        corrected(fit, &u, s_squared * fit.quadratic_form(&u), noise);
    let adjusted = AdjustedBaseline {
        value: sum(rows.iter().copied()),
        variance_model,
        variance_noise,
        df,
        autocorrelation,
        guard: guard(fit, reporting, &design, days_of),
        rows,
    };
    // An infinite noise is a residual correlation of one; anything else that is not finite has overflowed.
    let finite = adjusted.value.is_finite() && variance_model.is_finite() && noise.is_finite();
    if finite { Ok(adjusted) } else { Err(AdjustedError::Range) }
}

impl AdjustedBaseline {
    /// Against the actual use of the reporting period.
    ///
    /// # Errors
    /// If the actual use is not a finite number.
    pub fn compare(&self, actual: f64) -> Result<Comparison, AdjustedError> {
        if !actual.is_finite() {
            return Err(AdjustedError::Actual { value: actual });
        }
        Ok(Comparison {
            actual,
            adjusted_baseline: self.value,
            variance_model: self.variance_model,
            variance_noise: self.variance_noise,
            df: self.df,
        })
    }
}

/// Actual use against an adjusted baseline, of one pilot or of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Y.
    pub actual: f64,
    /// A.
    pub adjusted_baseline: f64,
    /// The variance of A.
    pub variance_model: f64,
    /// The variance of Y about what the model would say with known coefficients, the meter's included.
    pub variance_noise: f64,
    /// May be non-integer, and infinite in a group.
    pub df: f64,
}

/// The interval of R.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RatioInterval {
    Bounded(Interval),
    /// The adjusted baseline is not distinguishable from zero: no bound can be given.
    Undetermined,
}

/// The test "the reduction is at least d".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReductionTest {
    /// Negative where the reduction is larger than d.
    pub t: f64,
    /// Small proves the target.
    pub p: f64,
}

/// What a meter's error is known by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MeterError {
    /// The relative limit of its class: uniform, so its standard error is the limit over √3.
    ClassLimit(f64),
    /// The relative expanded uncertainty of a certificate: twice the standard error.
    ExpandedUncertainty(f64),
}

impl Comparison {
    /// S = A − Y.
    pub fn saving(&self) -> f64 {
        self.adjusted_baseline - self.actual
    }

    /// R = Y/A; `None` beside a baseline that is not above zero.
    pub fn ratio(&self) -> Option<f64> {
        (self.adjusted_baseline > 0.0).then(|| self.actual / self.adjusted_baseline)
    }

    /// F = S/A.
    pub fn saving_fraction(&self) -> Option<f64> {
        (self.adjusted_baseline > 0.0).then(|| self.saving() / self.adjusted_baseline)
    }

    /// Standard deviation of A − Y.
    pub fn saving_sd(&self) -> f64 {
        (self.variance_model + self.variance_noise).sqrt()
    }

    /// S ± t·sd(A − Y).
    pub fn saving_interval(&self, confidence: Confidence) -> Interval {
        let half = widened(confidence.t(self.df), self.saving_sd());
        Interval { lower: self.saving() - half, upper: self.saving() + half }
    }

    /// Half the interval of S over S; `None` without a saving.
    pub fn relative_uncertainty(&self, confidence: Confidence) -> Option<f64> {
        let saving = self.saving();
        (saving > 0.0).then(|| widened(confidence.t(self.df), self.saving_sd()) / saving)
    }

    /// The R that the test does not refuse: the roots of (A² − t²V_model) R² − 2AY R + (Y² − t²V_noise) = 0.
    pub fn ratio_interval(&self, confidence: Confidence) -> RatioInterval {
        let t = confidence.t(self.df);
        let (y, a) = (self.actual, self.adjusted_baseline);
        let leading = a * a - t * t * self.variance_model;
        if a <= 0.0 || leading.is_nan() || leading <= 0.0 {
            return RatioInterval::Undetermined;
        }
        // The discriminant as a sum of positive terms: written out it would be a small difference of large numbers.
        let half = t * (self.variance_model * y * y + self.variance_noise * leading).sqrt();
        if !half.is_finite() {
            return RatioInterval::Bounded(Interval { lower: f64::NEG_INFINITY, upper: f64::INFINITY });
        }
        RatioInterval::Bounded(Interval { lower: (a * y - half) / leading, upper: (a * y + half) / leading })
    }

    /// T = (Y − (1 − d) A)/sd, and P(T_df ≤ T).
    pub fn test_reduction(&self, d: f64) -> ReductionTest {
        let left = 1.0 - d;
        let difference = self.actual - left * self.adjusted_baseline;
        let sd = (left * left * self.variance_model + self.variance_noise).sqrt();
        if difference == 0.0 || sd == f64::INFINITY {
            return ReductionTest { t: 0.0, p: 0.5 };
        }
        let t = difference / sd;
        let p = match t.is_infinite() {
            true if t < 0.0 => 0.0,
            true => 1.0,
            false => student_cdf(t, self.df),
        };
        ReductionTest { t, p }
    }

    /// The saving is significant: R_U < 1 at 90 %.
    pub fn significant(&self) -> bool {
        self.upper_bound().is_some_and(|high| high < 1.0)
    }

    /// A reduction of at least d is proven: R_U ≤ 1 − d at 90 %, which is the one-sided test at 95 %.
    pub fn proves_reduction(&self, d: f64) -> bool {
        self.upper_bound().is_some_and(|high| high <= 1.0 - d)
    }

    /// IPMVP's rule of thumb, shown beside the interval: the saving exceeds twice the standard error of the baseline value.
    pub fn exceeds_twice_standard_error(&self) -> bool {
        self.saving() > 2.0 * self.saving_sd()
    }

    /// With the error of the meter that gave the actual use.
    pub fn with_meter_error(self, error: MeterError) -> Comparison {
        let standard = match error {
            MeterError::ClassLimit(limit) => limit * self.actual / 3f64.sqrt(),
            MeterError::ExpandedUncertainty(expanded) => expanded * self.actual / 2.0,
        };
        Comparison { variance_noise: self.variance_noise + standard * standard, ..self }
    }

    fn upper_bound(&self) -> Option<f64> {
        match self.ratio_interval(Confidence::NINETY) {
            RatioInterval::Bounded(interval) => Some(interval.upper),
            RatioInterval::Undetermined => None,
        }
    }
}

fn widened(t: f64, sd: f64) -> f64 {
    // With no variance at all, t does not matter even where it is infinite.
    if sd == 0.0 { 0.0 } else { t * sd }
}

/// Checks the reporting rows against the model and counts them.
fn check(fit: &Fit, reporting: &[Variable], rows: Rows<'_>) -> Result<usize, AdjustedError> {
    let expected: Vec<&str> = fit.variables().collect();
    let found: Vec<&str> = reporting.iter().map(|variable| variable.name.as_str()).collect();
    if found != expected {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        return Err(AdjustedError::Variables { found: owned(found), expected: owned(expected) });
    }
    let n_rows = match (rows, fit.weighted()) {
        (Rows::OfDays(days), true) => days.len(),
        (Rows::Alike(n_rows), false) => n_rows,
        (Rows::Alike(_), true) => return Err(AdjustedError::Rows(RowsMismatch::DaysMissing)),
        (Rows::OfDays(_), false) => return Err(AdjustedError::Rows(RowsMismatch::DaysUnexpected)),
    };
    if n_rows == 0 {
        return Err(AdjustedError::NoRows);
    }
    for Variable { name, values } in reporting {
        if values.len() != n_rows {
            return Err(AdjustedError::Length { name: name.clone(), found: values.len(), rows: n_rows });
        }
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(AdjustedError::NotFinite { name: name.clone(), row, value: values[row] });
        }
    }
    if let Rows::OfDays(days) = rows
        && let Some(row) = days.iter().position(|days| !(days.is_finite() && *days > 0.0))
    {
        return Err(AdjustedError::Days { row, value: days[row] });
    }
    Ok(n_rows)
}

/// Variances and degrees of freedom after the correction for correlated residuals, which is on iff ρ > 2/√n.
fn corrected(fit: &Fit, u: &[f64], model: f64, noise: f64) -> (Autocorrelation, f64, f64, f64) {
    let statistics = fit.statistics();
    let n = statistics.n as f64;
    let Some(rho) = statistics.rho.filter(|rho| *rho > 2.0 / n.sqrt()) else {
        return (Autocorrelation::NotCorrected, model, noise, fit.df());
    };
    let n_effective = effective(n, rho);
    let robust = if statistics.n >= NEWEY_WEST_ROWS_MIN { newey_west(fit, u) } else { 0.0 };
    let noise = if noise == 0.0 { 0.0 } else { noise * (1.0 + rho) / (1.0 - rho) };
    let df = (n_effective - statistics.p as f64).max(1.0);
    let autocorrelation = Autocorrelation::Corrected { rho, n_effective, newey_west: robust > model };
    (autocorrelation, model.max(robust), noise, df)
}

/// u'Cu with the matrix C of Newey and West and Bartlett's weights. It is written in the scores g_t = e_t x_t'(X'X)⁻¹u,
/// of which u'(X'X)⁻¹ G_l (X'X)⁻¹u is the autocovariance at lag l.
fn newey_west(fit: &Fit, u: &[f64]) -> f64 {
    let scores = fit.scores(u);
    let n = scores.len();
    let bandwidth = 4.0 * libm::pow(n as f64 / 100.0, 2.0 / 9.0);
    let lags = (1..n).take_while(|lag| *lag as f64 <= bandwidth);
    let covariance = |lag: usize| sum(scores[lag..].iter().zip(&scores).map(|(later, earlier)| later * earlier));
    let last = bandwidth.floor();
    let correlated = lags.map(|lag| 2.0 * (1.0 - lag as f64 / (last + 1.0)) * covariance(lag));
    let total = sum(std::iter::once(covariance(0)).chain(correlated));
    n as f64 / fit.df() * total
}

fn guard(fit: &Fit, reporting: &[Variable], design: &[Vec<f64>], days_of: impl Fn(usize) -> f64) -> ExtrapolationGuard {
    let leverage_max_baseline = fit.statistics().leverage_max;
    let row = |(row, x): (usize, &Vec<f64>)| {
        let leverage = fit.quadratic_form(x) * days_of(row);
        let outside =
            reporting.iter().zip(fit.spreads()).filter(|(variable, spread)| beyond(variable.values[row], spread));
        Extrapolation {
            leverage,
            unusual: leverage > leverage_max_baseline,
            outside: outside.map(|(variable, _)| variable.name.clone()).collect(),
        }
    };
    let rows: Vec<Extrapolation> = design.iter().enumerate().map(row).collect();
    let leverage_max_reporting = rows.iter().map(|row| row.leverage).fold(0.0, f64::max);
    ExtrapolationGuard { rows, leverage_max_baseline, leverage_max_reporting }
}

/// Beyond a tenth of the bound's magnitude outside of the baseline values.
fn beyond(value: f64, spread: &Spread) -> bool {
    let low = spread.min - EXTRAPOLATION_SHARE * spread.min.abs();
    let high = spread.max + EXTRAPOLATION_SHARE * spread.max.abs();
    value < low || value > high
}
