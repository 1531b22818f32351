//! Everything of one pilot that its figures are made from: month sums by registered series, orders, cycle times.
//!
//! [`Measured`] is the same for every indicator; [`PilotData`] is what one indicator sees of it, under the terms of its plan.
//! Months are an axis of closed calendar months, from the first with data (or the baseline's first) to the last before the
//! month in which `now` lies; an open month never enters a figure.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use jiff::civil::Date;
use model::period::{MonthNo, midnight};
use model::registry::terms::Terms;
use model::registry::{DayRange, Series};
use model::{Indicator, Period, Pilot, Slug, UnixMillis, Window};
use seeds::factors::Factors;

use crate::orders::{Cohorts, Orders};
use crate::rollup::months::{CoverRun, MonthSum, MonthSums, days_of, is_stopped, stops_of, union_covered_ms};
use crate::rollup::spec::Covers;
use crate::rollup::{Decrease, Spec, mark};
use crate::statistics::Confidence;
use crate::tariff::Calendar;

/// One series of the store under its registered one.
#[derive(Debug, Clone)]
pub struct Stored {
    pub product: Option<Arc<str>>,
    pub sums: Arc<MonthSums>,
}

/// One registered series with everything stored under it.
#[derive(Debug)]
pub struct Declared<'a> {
    pub series: &'a Series,
    pub spec: Spec,
    pub stored: Vec<Stored>,
    /// By month of the axis; none where the series says nothing about time.
    coverage: Vec<Option<f64>>,
    /// Months of the axis whose readings carry a remark for findings, in time order.
    pub noted: Vec<Noted>,
}

/// A month with uncertain readings or a decrease without an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noted {
    pub index: usize,
    pub marks: u8,
    pub decrease: Option<Decrease>,
}

/// The closed months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub first: MonthNo,
    pub n: usize,
}

impl Axis {
    /// The index of a month, if it is on the axis.
    pub fn index(self, month: MonthNo) -> Option<usize> {
        usize::try_from(month.0 - self.first.0).ok().filter(|&index| index < self.n)
    }

    /// The month of an index.
    pub fn month(self, index: usize) -> MonthNo {
        MonthNo(self.first.0 + i32::try_from(index).unwrap_or(i32::MAX))
    }

    /// The first month that is not closed.
    pub fn open(self) -> MonthNo {
        self.month(self.n)
    }
}

/// Which part of a pilot a figure speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Whole,
    Workshop(&'a Slug),
}

/// One pilot's data.
#[derive(Debug)]
pub struct Measured<'a> {
    pub pilot: &'a Pilot,
    pub calendar: &'a Calendar,
    pub factors: &'a Factors,
    pub axis: Axis,
    pub declared: Vec<Declared<'a>>,
    pub orders: Arc<Orders>,
    /// Cycle times in hours, by the last millisecond before their stamp.
    pub cycles: Cohorts,
    /// The latest instant of anything accepted: how long orders have been followed.
    pub cut_off: UnixMillis,
    /// Daily means in °C of the outdoor temperatures that plans name, by index of the registered series.
    pub temperatures: BTreeMap<usize, BTreeMap<Date, f64>>,
    /// Milliseconds of each month outside stops.
    open_ms: Vec<i64>,
}

/// One pilot's data as an indicator sees them: with the baseline period, and what else its plan asks for.
#[derive(Debug)]
pub struct PilotData<'a> {
    measured: &'a Measured<'a>,
    pub terms: Terms,
    baseline: Vec<usize>,
}

impl<'a> Deref for PilotData<'a> {
    type Target = Measured<'a>;

    fn deref(&self) -> &Measured<'a> {
        self.measured
    }
}

impl<'a> PilotData<'a> {
    /// Two-sided, of the intervals.
    pub fn confidence(&self) -> Confidence {
        // The registry takes nothing outside (0, 1).
        Confidence::new(self.terms.confidence).unwrap_or(Confidence::NINETY)
    }

    /// Whether the series that enter cover enough of a month for it to count.
    pub fn is_covered(&self, entering: &[usize], index: usize) -> bool {
        self.month_coverage(entering, index) >= self.terms.month_coverage_min
    }

    /// Closed calendar months wholly inside the baseline period, not wholly stopped.
    pub fn baseline_months(&self) -> &[usize] {
        &self.baseline
    }

    /// The same, stopped or not.
    pub fn whole_baseline_months(&self) -> Vec<usize> {
        let DayRange { from, to } = self.terms.baseline;
        let first = MonthNo::of(from).0 + i32::from(from.day() > 1);
        let end = MonthNo::of(to.tomorrow().unwrap_or(to)).0;
        (first..end).filter_map(|month| self.axis.index(MonthNo(month))).collect()
    }

    /// The baseline period in time.
    pub fn baseline_window(&self) -> Window {
        let range = self.terms.baseline;
        let end = range.to.tomorrow().unwrap_or(range.to);
        Window { start: midnight(range.from, &self.calendar.zone), end: midnight(end, &self.calendar.zone) }
    }
}

impl<'a> Measured<'a> {
    /// From the month sums of each registered series, in the registry's order; `open` is the month in which now lies.
    pub fn new(
        (pilot, calendar, factors): (&'a Pilot, &'a Calendar, &'a Factors),
        stored: Vec<Vec<Stored>>,
        (orders, cycles, cut_off): (Arc<Orders>, Cohorts, UnixMillis),
        open: MonthNo,
    ) -> Measured<'a> {
        let axis = axis_of(pilot, &stored, open);
        let stops = stops_of(pilot);
        let open_ms = (0..axis.n).map(|index| expected_ms(calendar, &stops, axis.month(index), None)).collect();
        let (declared, temperatures) = (Vec::new(), BTreeMap::new());
        let mut data =
            Measured { pilot, calendar, factors, axis, declared, orders, cycles, cut_off, temperatures, open_ms };
        for (series, stored) in pilot.series.iter().zip(stored) {
            let mut declared =
                Declared { series, spec: Spec::of(series), stored, coverage: Vec::new(), noted: Vec::new() };
            declared.noted = declared.noted_on(axis);
            declared.coverage = (0..axis.n).map(|index| data.coverage_of(&declared, index, &stops)).collect();
            data.declared.push(declared);
        }
        data
    }

    /// What an indicator with these terms sees.
    pub fn under(&self, terms: Terms) -> PilotData<'_> {
        let mut data = PilotData { measured: self, terms, baseline: Vec::new() };
        data.baseline = data.whole_baseline_months();
        data.baseline.retain(|&index| !self.is_stopped(index));
        data
    }

    fn coverage_of(&self, declared: &Declared<'_>, index: usize, stops: &[std::ops::Range<Date>]) -> Option<f64> {
        if declared.spec.covers == Covers::Nothing {
            return None;
        }
        let month = self.axis.month(index);
        let ends = declared.series.until.filter(|until| MonthNo::of(*until) <= month);
        let expected = match ends {
            Some(_) => expected_ms(self.calendar, stops, month, ends),
            None => self.open_ms[index],
        };
        (expected > 0).then(|| (declared.covered_ms(month) as f64 / expected as f64).min(1.0))
    }

    /// Whether anything is in that an indicator could be made from. Without it there is no figure to store.
    pub fn has_any(&self, indicator: &Indicator) -> bool {
        let sums = || self.declared.iter().flat_map(Declared::months).next().is_some();
        match indicator {
            Indicator::ProductionCycle => !self.orders.is_empty(),
            Indicator::CycleTime => !self.cycles.is_empty(),
            Indicator::OperatingCost
            | Indicator::DefectRate
            | Indicator::EnergyIntensity
            | Indicator::EnergyIntensityEquivalent
            | Indicator::PollutantIntensity(_) => sums() || !self.orders.pieces.is_empty(),
        }
    }

    /// Whether a month is wholly inside stops: it counts on neither side.
    pub fn is_stopped(&self, index: usize) -> bool {
        open_ms_of(&self.open_ms, index) == 0
    }

    /// The lowest coverage in a month of the series that enter; 1 if none of them says anything about time.
    pub fn month_coverage(&self, entering: &[usize], index: usize) -> f64 {
        let covers = entering.iter().filter_map(|&series| self.declared[series].coverage[index]);
        covers.fold(1.0, f64::min)
    }

    /// Indexes of the registered series that count for a part of the pilot and that `wanted` takes.
    pub fn entering(&self, part: Part<'_>, wanted: impl Fn(&Series) -> bool) -> Vec<usize> {
        let counts = |series: &Series| match part {
            Part::Whole => series.part_of.is_none(),
            Part::Workshop(workshop) => self.counts_for(series, workshop),
        };
        let fits = |&index: &usize| wanted(self.declared[index].series) && counts(self.declared[index].series);
        (0..self.declared.len()).filter(fits).collect()
    }

    /// A sub-meter counts for its workshop, unless the meter it is part of counts there already.
    fn counts_for(&self, series: &Series, workshop: &Slug) -> bool {
        let here = |series: &Series| series.workshop.as_ref() == Some(workshop);
        let parent = series
            .part_of
            .as_ref()
            .and_then(|name| self.pilot.series.iter().find(|other| format!("{}/{}", other.asset, other.name) == *name));
        here(series) && !parent.is_some_and(here)
    }

    /// Closed months of a period that are not wholly stopped.
    pub fn months_of(&self, period: Period) -> Vec<usize> {
        period.months().filter_map(|month| self.axis.index(month)).filter(|&index| !self.is_stopped(index)).collect()
    }

    /// How many months of a period count: closed (also before the first with data), and not wholly stopped.
    pub fn n_months_of(&self, period: Period) -> usize {
        let counts = |month: &MonthNo| match self.axis.index(*month) {
            Some(index) => !self.is_stopped(index),
            None => *month < self.axis.first,
        };
        period.months().filter(counts).count()
    }

    /// The closed part of a period in time; none if no month of it is closed.
    pub fn closed_window(&self, period: Period) -> Option<Window> {
        let window = period.window(&self.calendar.zone);
        let closed = self.axis.open().window(&self.calendar.zone).start;
        let end = window.end.min(closed);
        (end > window.start).then_some(Window { start: window.start, end })
    }
}

impl Declared<'_> {
    /// The months of everything stored under this series, with the product.
    pub fn months(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &MonthSum)> {
        self.stored.iter().flat_map(|stored| stored.sums.months.iter().map(|sum| (stored.product.as_ref(), sum)))
    }

    fn noted_on(&self, axis: Axis) -> Vec<Noted> {
        let noted = |sum: &MonthSum| {
            let index = axis.index(sum.month).filter(|_| sum.marks & (mark::UNCERTAIN | mark::DECREASE) != 0)?;
            Some(Noted { index, marks: sum.marks, decrease: sum.decrease })
        };
        let mut noted: Vec<Noted> = self.months().filter_map(|(_, sum)| noted(sum)).collect();
        noted.sort_by_key(|noted| noted.index);
        noted
    }

    /// Covered milliseconds of a month: the union over the products, which cover together.
    fn covered_ms(&self, month: MonthNo) -> i64 {
        let sums: Vec<&MonthSum> = self.stored.iter().filter_map(|stored| stored.sums.of(month)).collect();
        match sums[..] {
            [] => 0,
            [sum] => sum.covered_ms,
            _ => union_covered_ms(&sums.iter().map(|sum| sum.cover.as_slice()).collect::<Vec<&[CoverRun]>>()),
        }
    }

    /// Coverage of a month of the axis.
    pub fn coverage(&self, index: usize) -> Option<f64> {
        self.coverage[index]
    }
}

fn open_ms_of(open_ms: &[i64], index: usize) -> i64 {
    open_ms.get(index).copied().unwrap_or(0)
}

/// Orders alone do not begin the axis: what was before both the baseline and the first reading has no figure.
fn axis_of(pilot: &Pilot, stored: &[Vec<Stored>], open: MonthNo) -> Axis {
    let first_data = stored.iter().flatten().filter_map(|stored| stored.sums.months.first().map(|sum| sum.month));
    let first = first_data.chain([MonthNo::of(pilot.baselines_begin())]).min().unwrap_or(open).min(open);
    Axis { first, n: usize::try_from(open.0 - first.0).unwrap_or(0) }
}

/// Milliseconds of a month outside stops, up to and with the day `until`.
fn expected_ms(calendar: &Calendar, stops: &[std::ops::Range<Date>], month: MonthNo, until: Option<Date>) -> i64 {
    let days = month.first_day()..MonthNo(month.0 + 1).first_day();
    if until.is_none() && !stops.iter().any(|stop| stop.start < days.end && days.start < stop.end) {
        return month.window(&calendar.zone).length_ms();
    }
    let counts = |date: &Date| !is_stopped(stops, *date) && until.is_none_or(|until| *date <= until);
    days_of(days).filter(counts).map(|date| calendar.day(date).window.length_ms()).sum()
}

/// The month in which `now` lies: the first that is not closed.
pub fn open_month(pilot: &Pilot, now: UnixMillis) -> MonthNo {
    MonthNo::containing(now, &pilot.zone)
}
