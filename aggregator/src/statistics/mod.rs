//! The pure statistics behind a figure: distributions, intervals and tests.
//!
//! Functions of numbers alone: no clock, no store, no type of the programme. Section numbers are those of the method
//! reference. Every interval comes with the test that it inverts, so that a standing, its significance and its interval
//! cannot disagree.
//!
//! Invariants:
//! - `ln`, `exp` and their like come from `libm`, never from the C library: the same input gives the same bits anywhere;
//! - an unbounded limit is `f64::INFINITY`, an undefined result is a named one or `None`: nothing returns NaN;
//! - sums are compensated; nothing depends on a hash map's order.

pub mod adjusted;
pub mod cohort;
pub mod degree_days;
pub mod dispersion;
pub mod distribution;
pub mod equipment;
pub mod guideline14;
pub mod least_squares;
pub mod lmdi;
pub mod pace;
pub mod pooled;
pub mod price;
pub mod proportion;
pub mod rate;
pub mod reduction;
pub mod shift;
pub mod standardised;
pub mod sufficiency;
pub mod survival;
pub mod validity;

pub use distribution::Confidence;

/// A confidence interval, closed. `upper` may be infinite; `lower` is finite except where the whole interval is not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub lower: f64,
    pub upper: f64,
}

impl Interval {
    /// What is known of a ratio without any event: nothing.
    pub const UNBOUNDED: Interval = Interval { lower: 0.0, upper: f64::INFINITY };

    /// Whether `value` lies within, limits included.
    pub fn contains(&self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}

/// Events counted in something of a size: x defective of n inspected, or y defects in an exposure t.
///
/// Effective counts need not be whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    pub count: f64,
    pub size: f64,
}

impl Counted {
    /// Events per unit of size; none without a size.
    pub fn rate(self) -> Option<f64> {
        self.has_data().then(|| self.count / self.size)
    }

    pub(crate) fn has_data(self) -> bool {
        self.size > 0.0
    }
}

/// What counts are: pieces out of those inspected, or events in an exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// x of n: binomial, variance p q / n.
    Proportion,
    /// y in t: Poisson, variance λ / t.
    Rate,
}

impl Measure {
    /// The variance of a rate that would be seen in `size`, without over-dispersion.
    pub fn variance(self, rate: f64, size: f64) -> f64 {
        match self {
            Measure::Proportion => rate * (1.0 - rate) / size,
            Measure::Rate => rate / size,
        }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    #[error("no stratum has data in both periods")]
    NoData,
    #[error("no event on a side that needs one")]
    NoEvents,
    #[error("too few values on one side")]
    TooFew,
    #[error("the set of ratios is unbounded")]
    Unbounded,
}

/// The ratio of two rates, reporting over baseline; infinite over an empty baseline. None where it is undefined: without a
/// size on either side, or without an event on both.
pub fn ratio(reporting: Counted, baseline: Counted) -> Option<f64> {
    let (above, below) = (reporting.rate()?, baseline.rate()?);
    match (above > 0.0, below > 0.0) {
        (false, false) => None,
        (true, false) => Some(f64::INFINITY),
        (true | false, true) => Some(above / below),
    }
}

/// A ratio whose logarithm is nearly normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// ln of the ratio.
    pub log: f64,
    /// The standard error of that.
    pub se: f64,
}

impl LogRatio {
    /// The ratio itself.
    pub fn ratio(&self) -> f64 {
        libm::exp(self.log)
    }

    /// ratio · exp(± z se).
    pub fn interval(&self, confidence: Confidence) -> Interval {
        self.within(confidence.z())
    }

    /// ratio · exp(± t se), with degrees of freedom.
    pub fn interval_t(&self, confidence: Confidence, df: f64) -> Interval {
        self.within(confidence.t(df))
    }

    /// The p-value of "ratio < `limit`": small proves it.
    pub fn p_below(&self, limit: f64) -> f64 {
        self.p_below_t(limit, f64::INFINITY)
    }

    /// The same with degrees of freedom.
    pub fn p_below_t(&self, limit: f64, df: f64) -> f64 {
        if limit <= 0.0 {
            return 1.0;
        }
        distribution::student_cdf(standardised(self.log - libm::log(limit), self.se), df)
    }

    /// ratio · exp(± quantile · se).
    pub fn within(&self, quantile: f64) -> Interval {
        let reach = quantile * self.se;
        Interval { lower: libm::exp(self.log - reach), upper: libm::exp(self.log + reach) }
    }
}

/// A distance in standard errors: zero is zero even where nothing varies, any other distance is then infinite.
fn standardised(distance: f64, se: f64) -> f64 {
    if distance == 0.0 { 0.0 } else { distance / se }
}
