//! A rate standardised over strata, reporting against baseline (METHOD 6.1, 6.5).
//!
//! A shift of the product mix moves the crude rate though no product changed; the standardised ratio weighs every stratum
//! alike on both sides. By default with the reporting mix: then it is observed over expected, and the expected number's own
//! uncertainty belongs into the interval. One stratum is a plain ratio and gets the score interval (proportions) or mid-P
//! (rates); so do several where the logarithm is undefined, on effective counts.
//!
//! Sources: S. Greenland and J. M. Robins, Biometrics 41 (1985), for the variance of Mantel–Haenszel; M. P. Fay and
//! E. J. Feuer, Statistics in Medicine 16 (1997), for the interval of one standardised rate.
//!
//! Invariants:
//! - a stratum without data in one period is on neither side, and lowers the coverage;
//! - the order of strata does not matter beyond rounding;
//! - interval and test of one [`Standardised`] agree.

use super::distribution::gamma_quantile;
use super::proportion::Score;
use super::rate::Method;
use super::{Confidence, Counted, Interval, LogRatio, Measure, Undefined};
use crate::sum::sum;

/// One product (or finer) in both periods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    pub reporting: Counted,
    pub baseline: Counted,
}

/// The mix at which rates are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mix<'a> {
    /// The sizes of the reporting period: the default.
    Reporting,
    /// Those of the baseline.
    Baseline,
    /// Both together.
    Pooled,
    /// Given, one weight a stratum, not negative; only their proportions matter.
    Given(&'a [f64]),
}

/// Rates of both periods at one mix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standardised {
    /// P_r and its variance, φ included.
    pub reporting: Estimate,
    /// P_b and its variance, φ included.
    pub baseline: Estimate,
    /// O: events of the reporting period in the strata that count.
    pub observed: f64,
    /// E: events that the baseline's rates would have given there.
    pub expected: f64,
    /// The share of the reporting size whose strata have a baseline.
    pub coverage: f64,
    measure: Measure,
    phi: f64,
    basis: Basis,
}

/// A rate and its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub rate: f64,
    pub variance: f64,
}

/// What interval and test rest on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Basis {
    /// ln of the ratio is nearly normal.
    Log,
    /// One ratio of counts, real or effective.
    Counts { reporting: Counted, baseline: Counted },
}

impl Standardised {
    /// Over `strata` at a mix; log variances are multiplied by `phi`.
    ///
    /// # Errors
    /// `NoData` if no stratum has a size on both sides (and a weight).
    pub fn of(measure: Measure, strata: &[Stratum], mix: Mix<'_>, phi: f64) -> Result<Standardised, Undefined> {
        let weighted: Vec<(Stratum, f64)> =
            strata.iter().enumerate().map(|(n, stratum)| (*stratum, mix.weight(n, stratum))).collect();
        let in_both = |(stratum, weight): &(Stratum, f64)| {
            stratum.reporting.has_data() && stratum.baseline.has_data() && *weight > 0.0
        };
        let weighted: Vec<(Stratum, f64)> = weighted.into_iter().filter(in_both).collect();
        if weighted.is_empty() {
            return Err(Undefined::NoData);
        }
        let covered = sum(weighted.iter().map(|(stratum, _)| stratum.reporting.size));
        let all = sum(strata.iter().map(|stratum| stratum.reporting.size.max(0.0)));
        let side = |of: fn(&Stratum) -> Counted| estimate(measure, &weighted, of, phi);
        let (reporting, baseline) = (side(|stratum| stratum.reporting), side(|stratum| stratum.baseline));
        let expected = weighted.iter().map(|(Stratum { reporting, baseline }, _)| {
            // The quotient of the sizes first: the same sizes give the baseline's count to the bit.
            baseline.count * (reporting.size / baseline.size)
        });
        Ok(Standardised {
            reporting,
            baseline,
            observed: sum(weighted.iter().map(|(stratum, _)| stratum.reporting.count)),
            expected: sum(expected),
            coverage: covered / all,
            measure,
            phi,
            basis: basis(measure, &weighted, reporting, baseline, phi),
        })
    }

    /// P_r / P_b: infinite over an empty baseline, none where both are zero.
    pub fn ratio(&self) -> Option<f64> {
        let one = |rate: f64| Counted { count: rate, size: 1.0 };
        super::ratio(one(self.reporting.rate), one(self.baseline.rate))
    }

    /// The standard error of the ratio's logarithm; none with a zero on either side.
    pub fn se_log(&self) -> Option<f64> {
        let part = |side: Estimate| side.variance / (side.rate * side.rate);
        let positive = self.reporting.rate > 0.0 && self.baseline.rate > 0.0;
        positive.then(|| (part(self.reporting) + part(self.baseline)).sqrt())
    }

    /// The interval of the ratio; [0, ∞] where it is undefined.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        let interval = match self.basis {
            Basis::Log => self.log_ratio().map(|ratio| ratio.interval(confidence)),
            Basis::Counts { reporting, baseline } => match self.measure {
                Measure::Proportion => Score::MiettinenNurminen.interval(reporting, baseline, confidence, self.phi),
                Measure::Rate => Method::under(self.phi).interval(reporting, baseline, confidence),
            },
        };
        interval.unwrap_or(Interval::UNBOUNDED)
    }

    /// The p-value of "ratio < `limit`"; small proves it. None where the ratio is undefined.
    pub fn p_below(&self, limit: f64) -> Option<f64> {
        match self.basis {
            Basis::Log => self.log_ratio().map(|ratio| ratio.p_below(limit)),
            Basis::Counts { reporting, baseline } => match self.measure {
                Measure::Proportion => Score::MiettinenNurminen.p_below(reporting, baseline, limit, self.phi),
                Measure::Rate => Method::under(self.phi).p_below(reporting, baseline, limit),
            },
        }
    }

    fn log_ratio(&self) -> Option<LogRatio> {
        Some(LogRatio { log: libm::log(self.ratio()?), se: self.se_log()? })
    }
}

/// The Mantel–Haenszel ratio over strata: the check of the standardised one where strata are sparse.
///
/// # Errors
/// `NoData` if no stratum has a size on both sides, `NoEvents` if a side has no event in those.
pub fn mantel_haenszel(measure: Measure, strata: &[Stratum]) -> Result<LogRatio, Undefined> {
    let strata = in_both(strata)?;
    let size = |stratum: &Stratum| stratum.reporting.size + stratum.baseline.size;
    let above = sum(strata.iter().map(|s| s.reporting.count * s.baseline.size / size(s)));
    let below = sum(strata.iter().map(|s| s.baseline.count * s.reporting.size / size(s)));
    if above <= 0.0 || below <= 0.0 {
        return Err(Undefined::NoEvents);
    }
    let variance = sum(strata.iter().map(|s| {
        let (r, b, n) = (s.reporting, s.baseline, size(s));
        let both = r.size * b.size * (r.count + b.count);
        let less = match measure {
            Measure::Proportion => r.count * b.count * n,
            Measure::Rate => 0.0,
        };
        (both - less) / (n * n)
    }));
    Ok(LogRatio { log: libm::log(above / below), se: (variance / above / below).sqrt() })
}

/// The Mantel–Haenszel odds ratio of proportions over strata, shown for comparison; infinite over an empty baseline.
///
/// # Errors
/// `NoData` if no stratum has a size on both sides, `NoEvents` if it is 0/0.
pub fn mantel_haenszel_odds(strata: &[Stratum]) -> Result<f64, Undefined> {
    let strata = in_both(strata)?;
    let cross = |one: fn(&Stratum) -> Counted, other: fn(&Stratum) -> Counted| {
        sum(strata.iter().map(|s| {
            let (one, other) = (one(s), other(s));
            one.count * (other.size - other.count) / (one.size + other.size)
        }))
    };
    let above = cross(|s| s.reporting, |s| s.baseline);
    let below = cross(|s| s.baseline, |s| s.reporting);
    if above <= 0.0 && below <= 0.0 { Err(Undefined::NoEvents) } else { Ok(above / below) }
}

/// One rate standardised to `standard` sizes, and its gamma interval (Fay–Feuer); counts are Poisson.
///
/// # Errors
/// `NoData` if no stratum has a size and a standard.
pub fn fay_feuer(strata: &[(Counted, f64)], confidence: Confidence) -> Result<(f64, Interval), Undefined> {
    let strata: Vec<(Counted, f64)> =
        strata.iter().copied().filter(|(counted, standard)| counted.has_data() && *standard > 0.0).collect();
    if strata.is_empty() {
        return Err(Undefined::NoData);
    }
    let total = sum(strata.iter().map(|(_, standard)| *standard));
    let weight = |(counted, standard): &(Counted, f64)| standard / total / counted.size;
    let rate = sum(strata.iter().map(|stratum| weight(stratum) * stratum.0.count));
    let variance = sum(strata.iter().map(|stratum| weight(stratum) * weight(stratum) * stratum.0.count));
    let heaviest = strata.iter().map(weight).fold(0.0, f64::max);
    let tail = confidence.tail();
    let quantile = |p: f64, mean: f64, variance: f64| gamma_quantile(p, mean * mean / variance) * (variance / mean);
    let lower = if rate > 0.0 { quantile(tail, rate, variance) } else { 0.0 };
    let upper = quantile(1.0 - tail, rate + heaviest, variance + heaviest * heaviest);
    Ok((rate, Interval { lower, upper }))
}

impl Mix<'_> {
    fn weight(self, stratum_idx: usize, stratum: &Stratum) -> f64 {
        match self {
            Mix::Reporting => stratum.reporting.size,
            Mix::Baseline => stratum.baseline.size,
            Mix::Pooled => stratum.reporting.size + stratum.baseline.size,
            Mix::Given(weights) => weights.get(stratum_idx).copied().unwrap_or(0.0),
        }
    }
}

fn in_both(strata: &[Stratum]) -> Result<Vec<Stratum>, Undefined> {
    let both = |stratum: &Stratum| stratum.reporting.has_data() && stratum.baseline.has_data();
    let strata: Vec<Stratum> = strata.iter().copied().filter(both).collect();
    if strata.is_empty() { Err(Undefined::NoData) } else { Ok(strata) }
}

/// sum w_k p_k and φ sum w_k² var_k, the weights adding up to 1.
fn estimate(measure: Measure, weighted: &[(Stratum, f64)], side: fn(&Stratum) -> Counted, phi: f64) -> Estimate {
    let total = sum(weighted.iter().map(|(_, weight)| *weight));
    let parts = weighted.iter().map(|(stratum, weight)| (side(stratum), weight / total));
    let rate = sum(parts.clone().map(|(counted, weight)| weight * (counted.count / counted.size)));
    let variance =
        parts.map(|(counted, weight)| weight * weight * measure.variance(counted.count / counted.size, counted.size));
    Estimate { rate, variance: phi * sum(variance) }
}

fn basis(measure: Measure, weighted: &[(Stratum, f64)], reporting: Estimate, baseline: Estimate, phi: f64) -> Basis {
    if let [(only, _)] = weighted {
        return Basis::Counts { reporting: only.reporting, baseline: only.baseline };
    }
    let nothing_varies = reporting.variance + baseline.variance <= 0.0;
    if reporting.rate > 0.0 && baseline.rate > 0.0 && !nothing_varies {
        return Basis::Log;
    }
    let sizes = |side: fn(&Stratum) -> f64| sum(weighted.iter().map(|(stratum, _)| side(stratum)));
    Basis::Counts {
        reporting: effective(measure, reporting, sizes(|stratum| stratum.reporting.size), phi),
        baseline: effective(measure, baseline, sizes(|stratum| stratum.baseline.size), phi),
    }
}

/// The counts of one plain rate with the same rate and variance; without a variance the real size stands.
fn effective(measure: Measure, estimate: Estimate, size: f64, phi: f64) -> Counted {
    if estimate.variance <= 0.0 {
        return Counted { count: estimate.rate * size, size };
    }
    // φ widens the score itself: it must not shrink the counts as well.
    let size = measure.variance(estimate.rate, 1.0) / (estimate.variance / phi);
    Counted { count: estimate.rate * size, size }
}
