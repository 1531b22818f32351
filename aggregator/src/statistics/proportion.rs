//! Proportions and their ratio: the score interval of Miettinen and Nurminen, and what is shown beside it (METHOD 6.2).
//!
//! Reporting x1/n1 against baseline x2/n2. The interval holds the ratios that the score test does not reject, so it is
//! defined with zero counts, with all defective, and never contradicts the test. Katz and Walter are for comparison only.
//!
//! Sources: O. Miettinen and M. Nurminen, Statistics in Medicine 4 (1985); P. A. R. Koopman, Biometrics 40 (1984);
//! C. J. Clopper and E. S. Pearson (1934); E. B. Wilson (1927); R. G. Newcombe, Statistics in Medicine 17 (1998).
//!
//! Invariants:
//! - swapping the two sides inverts the interval;
//! - x1 = 0 gives the lower bound 0, x2 = 0 the upper bound ∞, both [0, ∞] (METHOD 6.5);
//! - over-dispersion φ ≥ 1 widens by √φ, the test likewise (6.4).

use super::distribution::{beta_quantile, normal_cdf};
use super::{Confidence, Counted, Interval, standardised};

/// Which variance the score has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// With the factor N/(N − 1): the published one.
    MiettinenNurminen,
    /// Without.
    Koopman,
}

/// ln of a trial ratio stays within: beyond it squares would overflow, and no pieces of this world give such a ratio.
const LOG_MAX: f64 = 300.0;
/// How near bisection brings ln of a bound.
const LOG_STEP: f64 = 1e-14;

impl Score {
    /// z of the trial ratio `r`: decreasing in it, 0 where the observed ratio is exactly `r`.
    pub fn z(self, reporting: Counted, baseline: Counted, r: f64) -> f64 {
        let Counted { count: x1, size: n1 } = reporting;
        let Counted { count: x2, size: n2 } = baseline;
        let n = n1 + n2;
        // The pair (p1, p2) with p1 = r p2 under which the counts are most likely: the smaller root, in its stable form.
        let (a, b, c) = (n * r, -(n1 * r + x1 + n2 + x2 * r), x1 + x2);
        let discriminant = (b * b - 4.0 * a * c).max(0.0);
        let p2 = (2.0 * c / (-b + discriminant.sqrt())).min(1.0);
        let p1 = (r * p2).min(1.0);
        let variance = p1 * (1.0 - p1) / n1 + r * r * p2 * (1.0 - p2) / n2;
        let factor = match self {
            // Effective counts may add up to less than one piece.
            Score::MiettinenNurminen => n / (n - 1.0).max(f64::MIN_POSITIVE),
            Score::Koopman => 1.0,
        };
        standardised(x1 / n1 - r * (x2 / n2), (variance * factor).sqrt())
    }

    /// The p-value of "ratio < `limit`"; small proves it. None where the ratio is undefined.
    pub fn p_below(self, reporting: Counted, baseline: Counted, limit: f64, phi: f64) -> Option<f64> {
        super::ratio(reporting, baseline)?;
        if limit <= 0.0 {
            return Some(1.0);
        }
        Some(normal_cdf(self.z(reporting, baseline, limit) / phi.sqrt()))
    }

    /// The ratios that the test does not reject. None without data on either side.
    pub fn interval(self, reporting: Counted, baseline: Counted, confidence: Confidence, phi: f64) -> Option<Interval> {
        if !reporting.has_data() || !baseline.has_data() {
            return None;
        }
        let z = confidence.z() * phi.sqrt();
        let start = match super::ratio(reporting, baseline) {
            Some(ratio) if ratio > 0.0 && ratio.is_finite() => libm::log(ratio),
            Some(_) | None => 0.0,
        };
        let bound = |z: f64| self.ratio_at(reporting, baseline, z, start);
        Some(Interval {
            lower: if reporting.count > 0.0 { bound(z) } else { 0.0 },
            upper: if baseline.count > 0.0 { bound(-z) } else { f64::INFINITY },
        })
    }

    /// The trial ratio whose z is `z`, sought from ln r = `start`.
    fn ratio_at(self, reporting: Counted, baseline: Counted, z: f64, start: f64) -> f64 {
        let too_low = |log: f64| self.z(reporting, baseline, libm::exp(log)) > z;
        let (mut low, mut high) = (start, start);
        let mut step = 0.25;
        if too_low(start) {
            while too_low(high) {
                if high >= LOG_MAX {
                    return f64::INFINITY;
                }
                (low, high) = (high, (high + step).min(LOG_MAX));
                step *= 2.0;
            }
        } else {
            while !too_low(low) {
                if low <= -LOG_MAX {
                    return 0.0;
                }
                (low, high) = ((low - step).max(-LOG_MAX), low);
                step *= 2.0;
            }
        }
        (low, high) = narrowed((low, high), |log| self.z(reporting, baseline, libm::exp(log)) - z);
        while high - low > LOG_STEP {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if too_low(middle) { low = middle } else { high = middle }
        }
        libm::exp(f64::midpoint(low, high))
    }
}

/// A bracket of the zero of a falling function, within `(low, high)`, by false position (Illinois); halving can go on from it.
///
/// A score is nearly a straight line in ln r, so that a few steps do what halving does in some forty.
fn narrowed((mut low, mut high): (f64, f64), f: impl Fn(f64) -> f64) -> (f64, f64) {
    const STEPS_MAX: usize = 12;
    let (mut at_low, mut at_high) = (f(low), f(high));
    let mut kept = 0;
    for _ in 0..STEPS_MAX {
        let zero = low + (high - low) * (at_low / (at_low - at_high));
        if !(zero > low && zero < high) {
            break;
        }
        // Around where the line meets zero, as near as bisection is to come.
        let (before, after) = (zero - LOG_STEP / 2.0, zero + LOG_STEP / 2.0);
        let value = f(zero);
        if value > 0.0 {
            if after < high && f(after) <= 0.0 {
                return (zero, after);
            }
            (low, at_low) = (zero, value);
            at_high = if kept == 1 { at_high / 2.0 } else { at_high };
            kept = 1;
        } else {
            if before > low && f(before) > 0.0 {
                return (before, zero);
            }
            (high, at_high) = (zero, value);
            at_low = if kept == 2 { at_low / 2.0 } else { at_low };
            kept = 2;
        }
    }
    (low, high)
}

/// The exact interval of one proportion (Clopper–Pearson). None without data.
pub fn clopper_pearson(of: Counted, confidence: Confidence) -> Option<Interval> {
    let Counted { count: x, size: n } = of;
    let tail = confidence.tail();
    of.has_data().then(|| Interval {
        lower: if x > 0.0 { beta_quantile(tail, x, n - x + 1.0) } else { 0.0 },
        // By symmetry from the other end: 1 − α/2 itself is not a tidy number.
        upper: if x < n { 1.0 - beta_quantile(tail, n - x, x + 1.0) } else { 1.0 },
    })
}

/// Wilson's score interval of one proportion, for charts. None without data.
pub fn wilson(of: Counted, confidence: Confidence) -> Option<Interval> {
    let Counted { count: x, size: n } = of;
    let p = of.rate()?;
    let z = confidence.z();
    let centre = p + z * z / (2.0 * n);
    let reach = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    Some(Interval {
        lower: if x > 0.0 { (centre - reach) / scale } else { 0.0 },
        upper: if x < n { ((centre + reach) / scale).min(1.0) } else { 1.0 },
    })
}

/// Newcombe's interval of the difference reporting − baseline, out of two Wilson intervals. None without data.
pub fn newcombe(reporting: Counted, baseline: Counted, confidence: Confidence) -> Option<Interval> {
    let (p1, p2) = (reporting.rate()?, baseline.rate()?);
    let (of1, of2) = (wilson(reporting, confidence)?, wilson(baseline, confidence)?);
    Some(Interval {
        lower: p1 - p2 - libm::hypot(p1 - of1.lower, of2.upper - p2),
        upper: p1 - p2 + libm::hypot(of1.upper - p1, p2 - of2.lower),
    })
}

/// Katz's log interval of the ratio, for comparison only. None with a zero count, where it is not defined.
pub fn katz(reporting: Counted, baseline: Counted, confidence: Confidence) -> Option<Interval> {
    let defined = [reporting, baseline].iter().all(|side| side.has_data() && side.count > 0.0);
    defined.then(|| log_interval(reporting, baseline, confidence))
}

/// Walter's interval of the ratio, for comparison only: Katz's with ½ added to every count and size.
///
/// Its lower bound is above zero even where the reporting period has no event: it is no substitute for the score.
pub fn walter(reporting: Counted, baseline: Counted, confidence: Confidence) -> Interval {
    let more = |side: Counted| Counted { count: side.count + 0.5, size: side.size + 0.5 };
    log_interval(more(reporting), more(baseline), confidence)
}

fn log_interval(reporting: Counted, baseline: Counted, confidence: Confidence) -> Interval {
    let part = |side: Counted| 1.0 / side.count - 1.0 / side.size;
    let log = libm::log(reporting.count / reporting.size / (baseline.count / baseline.size));
    super::LogRatio { log, se: (part(reporting) + part(baseline)).sqrt() }.interval(confidence)
}
