//! What a plan fixes of every indicator alike: its baseline period, the confidence of its interval, the coverage it needs.
//!
//! `[plan.<indicator>]` may state each of them; what it leaves out are the defaults below, and the pilot's baseline period.
//!
//! Invariant: a plan asks for more coverage than the defaults, never for less.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;

use super::parse::days;
use super::raw::{RawPlan, RawSpan};
use super::{DayRange, Pilot};
use crate::Indicator;
use crate::document::{Document, Item};

/// Two-sided confidence of an interval: its upper end is the one-sided bound of 95 % that proves a target.
pub const CONFIDENCE: f64 = 0.9;
/// Coverage that a figure needs.
pub const COVERAGE_MIN: f64 = 0.8;
/// Coverage that a month needs to count in a figure of amounts, in the reporting period and in the baseline.
pub const MONTH_COVERAGE_MIN: f64 = 0.9;

/// What a plan may ask for: below 0.8 an interval proves nothing, above 0.99 no year of months does.
const CONFIDENCES: RangeInclusive<f64> = 0.8..=0.99;

/// What is fixed of one indicator before the reporting period has data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    pub baseline: DayRange,
    /// Two-sided, of the interval; the standing follows that interval.
    pub confidence: f64,
    pub coverage_min: f64,
    /// Of indicators that are amounts of months.
    pub month_coverage_min: f64,
}

impl Pilot {
    /// The terms of an indicator.
    pub fn terms(&self, indicator: &Indicator) -> Terms {
        self.plans.terms.of(table(indicator)).or(self.baseline)
    }

    /// The first day of the earliest baseline period.
    pub fn baselines_begin(&self) -> Date {
        let own = self.plans.terms.0.values().filter_map(|stated| stated.baseline);
        own.map(|baseline| baseline.from).fold(self.baseline.from, Date::min)
    }
}

/// The table of an indicator below `[plan]`.
fn table(indicator: &Indicator) -> &'static str {
    match indicator {
        Indicator::EnergyIntensity | Indicator::EnergyIntensityEquivalent => "energy_intensity",
        Indicator::OperatingCost => "operating_cost",
        Indicator::ProductionCycle => "production_cycle",
        Indicator::CycleTime => "cycle_time",
        Indicator::DefectRate => "defect_rate",
        Indicator::PollutantIntensity(_) => "pollutant_intensity",
    }
}

/// What the tables of a file say, by table.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct StatedTerms(BTreeMap<&'static str, Stated>);

/// What one table says; a baseline period only where it is another than the pilot's.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stated {
    baseline: Option<DayRange>,
    confidence: f64,
    coverage_min: f64,
    month_coverage_min: f64,
}

impl Default for Stated {
    fn default() -> Stated {
        Stated {
            baseline: None,
            confidence: CONFIDENCE,
            coverage_min: COVERAGE_MIN,
            month_coverage_min: MONTH_COVERAGE_MIN,
        }
    }
}

impl Stated {
    fn or(self, baseline: DayRange) -> Terms {
        let Stated { baseline: own, confidence, coverage_min, month_coverage_min } = self;
        Terms { baseline: own.unwrap_or(baseline), confidence, coverage_min, month_coverage_min }
    }
}

impl StatedTerms {
    fn of(&self, table: &str) -> Stated {
        self.0.get(table).copied().unwrap_or_default()
    }

    /// The baseline period of an indicator in a file whose pilot has this one.
    pub(super) fn baseline(&self, indicator: &Indicator, of_pilot: DayRange) -> DayRange {
        self.of(table(indicator)).baseline.unwrap_or(of_pilot)
    }
}

/// The keys that all tables share; some have no months.
struct Shared<'a> {
    baseline: Option<&'a RawSpan>,
    confidence: Option<f64>,
    coverage_min: Option<f64>,
    month_coverage_min: Option<f64>,
}

/// Reads them from every table of `[plan]`.
pub(super) fn stated(doc: &mut Document<'_>, item: &Item<RawPlan>, of_pilot: Option<DayRange>) -> StatedTerms {
    let mut stated = BTreeMap::new();
    for (table, shared) in tables(&item.value) {
        let of_table = of_table(doc, (item, table), &shared, of_pilot);
        if of_table != Stated::default() {
            stated.insert(table, of_table);
        }
    }
    StatedTerms(stated)
}

fn tables(plan: &RawPlan) -> Vec<(&'static str, Shared<'_>)> {
    let (energy, cost, pollutants) = (&plan.energy_intensity, &plan.operating_cost, &plan.pollutant_intensity);
    let energy = energy.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, raw.month_coverage_min));
    let cost = cost.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, raw.month_coverage_min));
    let pollutants =
        pollutants.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, raw.month_coverage_min));
    let defects = plan.defect_rate.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, None));
    let orders = plan.production_cycle.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, None));
    let cycles = plan.cycle_time.as_ref().map(|raw| (&raw.baseline, raw.confidence, raw.coverage_min, None));
    let tables = [
        ("energy_intensity", energy),
        ("operating_cost", cost),
        ("pollutant_intensity", pollutants),
        ("defect_rate", defects),
        ("production_cycle", orders),
        ("cycle_time", cycles),
    ];
    let shared = |(table, keys): (&'static str, Option<_>)| {
        let (baseline, confidence, coverage_min, month_coverage_min): (&Option<RawSpan>, _, _, _) = keys?;
        Some((table, Shared { baseline: baseline.as_ref(), confidence, coverage_min, month_coverage_min }))
    };
    tables.into_iter().filter_map(shared).collect()
}

fn of_table(
    doc: &mut Document<'_>,
    (item, table): (&Item<RawPlan>, &str),
    shared: &Shared<'_>,
    of_pilot: Option<DayRange>,
) -> Stated {
    let line_of = |key: &str| item.line_of(&format!("{table}.{key}"));
    let defaults = Stated::default();
    let own = shared.baseline.and_then(|raw| span(doc, line_of("baseline"), raw));
    let confidence = shared.confidence.unwrap_or(defaults.confidence);
    if !CONFIDENCES.contains(&confidence) {
        let text = format!("`confidence` is {confidence}; a plan may ask for 0.8 to 0.99, two-sided");
        doc.mistake(line_of("confidence"), text);
    }
    let mut at_least = |key: &str, stated: Option<f64>, default: f64| {
        let asked = stated.unwrap_or(default);
        if !(default..=1.0).contains(&asked) {
            let text = format!("`{key}` is {asked}; a plan may ask for more than {default}, up to 1, never for less");
            doc.mistake(line_of(key), text);
        }
        asked
    };
    Stated {
        baseline: own.filter(|own| Some(*own) != of_pilot),
        confidence,
        coverage_min: at_least("coverage_min", shared.coverage_min, defaults.coverage_min),
        month_coverage_min: at_least("month_coverage_min", shared.month_coverage_min, defaults.month_coverage_min),
    }
}

fn span(doc: &mut Document<'_>, line: usize, raw: &RawSpan) -> Option<DayRange> {
    match (raw.from, raw.to) {
        (Some(from), Some(to)) => days(doc, line, "baseline", (from, to)),
        (Some(_) | None, Some(_) | None) => {
            doc.mistake(line, "`baseline` needs its first and its last day, `{ from = 2015-01-01, to = 2015-12-31 }`");
            None
        }
    }
}
