//! Non-routine adjustments: what a person stated that the baseline process would have used more, by month.
//!
//! An amount is spread evenly over its days; each month of the axis has its part, which enters the adjusted baseline of a
//! period where the month counts in it. The amounts are taken as exact: they add nothing to a variance.

use model::registry::adjustment::{Adjusted, Adjustment};

use super::data::{Part, PilotData};
use crate::sum::sum;

/// One adjustment in the unit of a figure.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// In the pilot's adjustments.
    pub index: usize,
    /// By month of the axis, those that it touches.
    by_month: Vec<(usize, f64)>,
}

impl ByHand {
    /// Over some months; none if it touches none of them.
    pub fn over(&self, months: &[usize]) -> Option<f64> {
        let inside: Vec<f64> =
            self.by_month.iter().filter(|(month, _)| months.contains(month)).map(|(_, amount)| *amount).collect();
        (!inside.is_empty()).then(|| sum(inside.iter().copied()))
    }
}

/// The adjustments that enter a part of the pilot, of what `scale` knows: what one unit of it is in the figure's unit.
pub fn stated(data: &PilotData<'_>, part: Part<'_>, scale: &dyn Fn(&Adjusted) -> Option<f64>) -> Vec<ByHand> {
    let enters = |adjustment: &Adjustment| match part {
        Part::Whole => true,
        Part::Workshop(workshop) => adjustment.workshop.as_ref() == Some(workshop),
    };
    let of = |(index, adjustment): (usize, &Adjustment)| {
        let scale = scale(&adjustment.of).filter(|_| enters(adjustment))?;
        let month = |month: usize| {
            let (first, next) = (data.axis.month(month).first_day(), data.axis.month(month + 1).first_day());
            Some((month, adjustment.within(first, next)? * scale))
        };
        Some(ByHand { index, by_month: (0..data.axis.n).filter_map(month).collect() })
    };
    data.pilot.adjustments.iter().enumerate().filter_map(of).collect()
}

/// All of them over some months; none if no month is touched.
pub fn over(all: &[ByHand], months: &[usize]) -> Option<f64> {
    let inside: Vec<f64> = all.iter().filter_map(|one| one.over(months)).collect();
    (!inside.is_empty()).then(|| sum(inside.iter().copied()))
}
