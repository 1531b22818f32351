//! The ratio of two Poisson rates: exact conditional, mid-P and score (METHOD 6.3).
//!
//! y1 defects in exposure t1 (reporting), y2 in t2 (baseline). Given y1 + y2 = n, y1 is binomial with probability
//! p = t1 r / (t1 r + t2), so that a bound of p is one of the ratio r. Mid-P counts half of the observed outcome and sets
//! the standing; the exact form is published beside it; with over-dispersion φ > 1 only the score can be widened (6.4).
//!
//! Invariants:
//! - swapping the two sides inverts the interval, and the test agrees with it;
//! - y1 = 0 gives the lower bound 0, y2 = 0 the upper bound ∞ (6.5).

use super::distribution::{LOG_MAX, Tails, beta_odds_quantile, beta_parts, log_tail, normal_cdf, odds_parts, solve};
use super::{Confidence, Counted, Interval, standardised};

/// How interval and test are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Given the sum of both counts; never too narrow.
    Exact,
    /// The same with half the weight of the observed outcome.
    MidP,
    /// The normal score with variance times `phi`.
    Score { phi: f64 },
}

impl Method {
    /// The one that sets the standing under an over-dispersion `phi`.
    pub fn under(phi: f64) -> Method {
        if phi > 1.0 { Method::Score { phi } } else { Method::MidP }
    }

    /// The ratios that the test does not reject. None without exposure on either side.
    pub fn interval(self, reporting: Counted, baseline: Counted, confidence: Confidence) -> Option<Interval> {
        if !reporting.has_data() || !baseline.has_data() {
            return None;
        }
        let (y1, y2) = (reporting.count, baseline.count);
        let exposures = baseline.size / reporting.size;
        let tail = confidence.tail();
        let of_g = match self {
            Method::Exact => Interval {
                lower: if y1 > 0.0 { beta_odds_quantile(tail, y1, y2 + 1.0) } else { 0.0 },
                upper: if y2 > 0.0 { 1.0 / beta_odds_quantile(tail, y2, y1 + 1.0) } else { f64::INFINITY },
            },
            Method::MidP => Interval { lower: mid_p_odds(tail, y1, y2), upper: 1.0 / mid_p_odds(tail, y2, y1) },
            Method::Score { phi } => score_bounds(y1, y2, confidence.z() * phi.sqrt()),
        };
        Some(Interval { lower: of_g.lower * exposures, upper: of_g.upper * exposures })
    }

    /// The p-value of "ratio < `limit`"; small proves it. None where the ratio is undefined.
    pub fn p_below(self, reporting: Counted, baseline: Counted, limit: f64) -> Option<f64> {
        super::ratio(reporting, baseline)?;
        if limit <= 0.0 {
            return Some(1.0);
        }
        let (y1, y2) = (reporting.count, baseline.count);
        let g = limit * (reporting.size / baseline.size);
        Some(match self {
            // P(X ≤ y1).
            Method::Exact => outcome_tails(g, y1 + 1.0, y2).0.upper,
            Method::MidP => mid_p_tails(g, y1, y2).0.upper,
            Method::Score { phi } => normal_cdf(standardised(y1 - y2 * g, ((y1 + y2) * g).sqrt()) / phi.sqrt()),
        })
    }
}

/// g = r t1/t2 with (y1 − y2 g)² = z² (y1 + y2) g.
fn score_bounds(y1: f64, y2: f64, z: f64) -> Interval {
    let n = y1 + y2;
    if n <= 0.0 {
        return Interval::UNBOUNDED;
    }
    let spread = z * z * n;
    let half = y1 * y2 + spread / 2.0;
    // half² − y1² y2², without the cancellation.
    let root = (spread * (y1 * y2 + spread / 4.0)).sqrt();
    Interval { lower: y1 * y1 / (half + root), upper: if y2 > 0.0 { (half + root) / (y2 * y2) } else { f64::INFINITY } }
}

/// The odds g at which P(X > y1) + ½ P(X = y1) is `tail`, X binomial of y1 + y2 trials; 0 if they need none.
fn mid_p_odds(tail: f64, y1: f64, y2: f64) -> f64 {
    if y1 <= 0.0 {
        return 0.0;
    }
    let start = libm::log(beta_odds_quantile(tail, y1, y2 + 0.5));
    let log = solve(start, (-LOG_MAX, LOG_MAX), |log| {
        let (tails, density) = mid_p_tails(libm::exp(log), y1, y2);
        log_tail(tails, density, tail)
    });
    libm::exp(log)
}

/// P(X > y1) + ½ P(X = y1) at odds `g` as the lower tail, its complement, and the slope over ln g.
fn mid_p_tails(g: f64, y1: f64, y2: f64) -> (Tails, f64) {
    let (at_least, slope_at_least) = outcome_tails(g, y1, y2 + 1.0);
    let (more, slope_more) = outcome_tails(g, y1 + 1.0, y2);
    let tails =
        Tails { lower: f64::midpoint(at_least.lower, more.lower), upper: f64::midpoint(at_least.upper, more.upper) };
    (tails, f64::midpoint(slope_at_least, slope_more))
}

/// P(X ≥ a) of a + b − 1 trials at odds `g` as the lower tail. At least none is sure, more than all is impossible.
fn outcome_tails(g: f64, a: f64, b: f64) -> (Tails, f64) {
    if a <= 0.0 {
        return (Tails { lower: 1.0, upper: 0.0 }, 0.0);
    }
    if b <= 0.0 {
        return (Tails { lower: 0.0, upper: 1.0 }, 0.0);
    }
    let (x, y) = odds_parts(g);
    beta_parts(x, y, a, b)
}
