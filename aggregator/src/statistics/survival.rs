//! Survival of orders: how many are still open after a time, with open orders censored (METHOD 7.5).
//!
//! Kaplan and Meier (1958) with Greenwood's variance and log limits, as R's `survfit`; the restricted mean to a horizon is
//! the area under the curve. An order that is still open has taken at least as long as it has been seen: leaving it out
//! would make every recent month look fast.
//!
//! Invariants:
//! - orders that end at a time are at risk at it; those censored there too (events come first);
//! - a band is undefined where the curve is zero; a median that is not reached is infinite;
//! - nothing is said beyond the last time seen, unless the curve has come down to zero.

use super::{Confidence, Interval, LogRatio};
use crate::sum::{Sum, sum};

/// Products of fractions that should be ½ or 0.1 are so within this.
const ROUNDING: f64 = 1e-10;

/// How long an order took, or has taken so far; hours, not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lifetime {
    Completed(f64),
    /// Still open when last seen.
    Open(f64),
}

impl Lifetime {
    /// The hours, whether completed or not.
    pub fn hours(self) -> f64 {
        match self {
            Lifetime::Completed(hours) | Lifetime::Open(hours) => hours,
        }
    }

    /// As seen `horizon` hours after the start.
    pub fn until(self, horizon: f64) -> Lifetime {
        if self.hours() > horizon { Lifetime::Open(horizon) } else { self }
    }
}

/// The curve after one time at which orders were completed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub hours: f64,
    /// Orders neither completed nor lost from sight before.
    pub at_risk: f64,
    /// Completed at this time.
    pub completed: f64,
    /// S just after it.
    pub survival: f64,
    /// Greenwood's sum d/(n (n − d)) up to it; infinite where S is 0.
    pub greenwood: f64,
}

/// The Kaplan–Meier curve of a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Survival {
    steps: Vec<Step>,
    last_seen: f64,
}

/// The mean time up to a horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestrictedMean {
    pub hours: f64,
    pub variance: f64,
}

impl Survival {
    /// Of a cohort; of none the curve stays at 1.
    pub fn of(lifetimes: &[Lifetime]) -> Survival {
        let mut sorted = lifetimes.to_vec();
        sorted.sort_by(|a, b| a.hours().total_cmp(&b.hours()));
        let mut steps = Vec::new();
        let mut at_risk = sorted.len();
        let (mut survival, mut greenwood) = (1.0, Sum::default());
        for group in sorted.chunk_by(|a, b| a.hours() == b.hours()) {
            let completed = group.iter().filter(|lifetime| matches!(lifetime, Lifetime::Completed(_))).count();
            if completed > 0 {
                let (n, d) = (at_risk as f64, completed as f64);
                survival *= (n - d) / n;
                greenwood.add(d / (n * (n - d)));
                let greenwood = if completed < at_risk { greenwood.total() } else { f64::INFINITY };
                steps.push(Step { hours: group[0].hours(), at_risk: n, completed: d, survival, greenwood });
            }
            at_risk -= group.len();
        }
        Survival { steps, last_seen: sorted.last().map_or(0.0, |lifetime| lifetime.hours()) }
    }

    /// The curve, a step for each time at which orders were completed.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// S(t), also of a time beyond the last one seen.
    pub fn at(&self, hours: f64) -> f64 {
        let n = self.steps.partition_point(|step| step.hours <= hours);
        n.checked_sub(1).map_or(1.0, |last| self.steps[last].survival)
    }

    /// The log interval S · exp(± z √g) after each step, capped at 1; none where S is 0.
    pub fn bands(&self, confidence: Confidence) -> Vec<Option<Interval>> {
        let z = confidence.z();
        let band = |step: &Step| {
            let reach = z * step.greenwood.sqrt();
            reach.is_finite().then(|| Interval {
                lower: step.survival * libm::exp(-reach),
                upper: (step.survival * libm::exp(reach)).min(1.0),
            })
        };
        self.steps.iter().map(band).collect()
    }

    /// The median: the first time with S < ½, or the middle of a stretch at exactly ½. Infinite if it is not reached.
    pub fn median(&self) -> f64 {
        self.median_of(self.steps.iter().map(|step| Some(step.survival)))
    }

    /// The limits of the median: the same rule on the lower and on the upper band.
    pub fn median_interval(&self, confidence: Confidence) -> Interval {
        let bands = self.bands(confidence);
        let lower = self.median_of(bands.iter().map(|band| band.map(|band| band.lower)));
        // A lower band that ends undefined, because the curve fell to zero, has its limit there at the latest.
        let lower = lower.min(self.median());
        Interval { lower, upper: self.median_of(bands.iter().map(|band| band.map(|band| band.upper))) }
    }

    /// The first time with S at or below `share`. Infinite if it is not reached.
    pub fn falls_to(&self, share: f64) -> f64 {
        let first = self.steps.iter().find(|step| step.survival <= share + ROUNDING);
        first.map_or(f64::INFINITY, |step| step.hours)
    }

    /// The mean time up to `horizon`, and its variance. None beyond what was seen.
    pub fn restricted_mean(&self, horizon: f64) -> Option<RestrictedMean> {
        let is_down = self.steps.last().is_some_and(|step| step.survival <= 0.0);
        if horizon <= 0.0 || (horizon > self.last_seen && !is_down) {
            return None;
        }
        let within = &self.steps[..self.steps.partition_point(|step| step.hours <= horizon)];
        let (mut area, mut variance) = (Sum::default(), Sum::default());
        let mut until = horizon;
        // From the horizon back, so that the area beyond each step is at hand.
        for step in within.iter().rev() {
            area.add(step.survival * (until - step.hours));
            until = step.hours;
            if step.completed < step.at_risk {
                let beyond = area.total();
                variance.add(beyond * beyond * step.completed / (step.at_risk * (step.at_risk - step.completed)));
            }
        }
        area.add(until);
        Some(RestrictedMean { hours: area.total(), variance: variance.total() })
    }

    fn median_of(&self, curve: impl Iterator<Item = Option<f64>>) -> f64 {
        let mut half_since = None;
        for (step, share) in self.steps.iter().zip(curve) {
            let Some(share) = share else { continue };
            match half_since {
                Some(since) => return f64::midpoint(since, step.hours),
                None if share < 0.5 - ROUNDING => return step.hours,
                None if share <= 0.5 + ROUNDING => half_since = Some(step.hours),
                None => {}
            }
        }
        f64::INFINITY
    }
}

/// The ratio of two restricted means to one horizon, reporting over baseline. None beyond what was seen in either.
pub fn restricted_mean_ratio(reporting: &Survival, baseline: &Survival, horizon: f64) -> Option<LogRatio> {
    let (r, b) = (reporting.restricted_mean(horizon)?, baseline.restricted_mean(horizon)?);
    if r.hours <= 0.0 || b.hours <= 0.0 {
        return None;
    }
    let part = |mean: RestrictedMean| mean.variance / (mean.hours * mean.hours);
    Some(LogRatio { log: libm::log(r.hours / b.hours), se: sum([part(r), part(b)]).sqrt() })
}
