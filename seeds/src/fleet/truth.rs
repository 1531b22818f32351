//! What the simulator put in: the reductions that follow from a story, by the formulas of the contract, without scatter.
//!
//! Each figure is the contract's own formula (section 8) on the expected amounts of [`super::physics`]: the same months,
//! the same weights, the same baseline prices. So a figure made from the messages differs from it by scatter and rounding
//! only ([`TOLERANCE`]), never by definition.
//!
//! Invariants:
//! - months without readings are left out on both sides, as the contract asks; where too few are left the truth is that
//!   of the whole year, and says that no figure can be expected;
//! - nothing here looks at a message.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use model::Indicator;

use super::physics::{
    Amounts, CYCLE_SPREAD, DAY_MS, PRODUCTS, QUARTERS, date_of, day_index, day_start, expected, shapes_of,
};
use super::story::{FleetStory, Measure, PilotStory, TariffStory};
use super::{TrueReduction, Truth, sentences};

/// How far a figure may be from the truth by scatter and rounding: half a percentage point.
pub const TOLERANCE: f64 = 0.005;
/// Calorific value of electricity, kgce per kWh: what the indicator is defined with.
const ELECTRICITY: f64 = 0.1229;
/// The first year of the history, and the last stage of the programme.
const YEARS: std::ops::RangeInclusive<i16> = 2015..=2025;
/// A month counts from this coverage on, a figure from this share of its months on (CONTRACT section 8).
const MONTH_COVERED: f64 = 0.9;
const MONTHS_COVERED: f64 = 0.8;

/// The truth about one pilot, and which figures its readings cannot carry.
pub(crate) fn of(fleet: &FleetStory, story: &PilotStory) -> (Truth, Vec<(Indicator, i32)>) {
    let days = Days::of(fleet, story);
    let (mut reductions, mut insufficient) = (Vec::new(), Vec::new());
    for year in YEARS {
        let reporting = days.months(year..=year);
        let year = i32::from(year);
        let mut push = |indicator: Indicator, (reduction, sufficient): (f64, bool)| {
            if !sufficient {
                insufficient.push((indicator.clone(), year));
            }
            // Adding 0 turns −0 into 0.
            reductions.push(TrueReduction { indicator, year, reduction: reduction + 0.0 });
        };
        push(Indicator::OperatingCost, days.intensity(&reporting, |sums| sums.cost));
        push(Indicator::ProductionCycle, days.lead(year, Timed::Orders));
        push(Indicator::DefectRate, days.defects(&reporting));
        push(Indicator::EnergyIntensity, days.intensity(&reporting, |sums| sums.kgce));
        if story.works.timed > 0.0 {
            push(Indicator::CycleTime, days.lead(year, Timed::Pieces));
        }
    }
    (Truth { story: sentences::of(story), reductions }, insufficient)
}

/// What is timed: orders from start to completion, or single pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timed {
    Orders,
    Pieces,
}

/// Expected sums of a month.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    kgce: f64,
    cost: f64,
    output: f64,
    made: [f64; PRODUCTS],
    defective: [f64; PRODUCTS],
    covered: bool,
}

impl Sums {
    fn plus(mut self, other: &Sums) -> Sums {
        self.kgce += other.kgce;
        self.cost += other.cost;
        self.output += other.output;
        for k in 0..PRODUCTS {
            self.made[k] += other.made[k];
            self.defective[k] += other.defective[k];
        }
        self
    }
}

/// Expected days of a pilot, and the months they add up to.
struct Days<'a> {
    story: &'a PilotStory,
    days: Vec<Amounts>,
    /// By year and month.
    by_month: BTreeMap<(i16, i8), Sums>,
}

impl<'a> Days<'a> {
    fn of(fleet: &FleetStory, story: &'a PilotStory) -> Days<'a> {
        let end = day_index(date(YEARS.end() + 1, 1, 1));
        Days::new(fleet, story, (0..end).map(|index| expected(story, index)).collect())
    }

    fn new(fleet: &FleetStory, story: &'a PilotStory, days: Vec<Amounts>) -> Days<'a> {
        let prices = Prices::of(fleet, story);
        let mut by_month: BTreeMap<(i16, i8), Sums> = BTreeMap::new();
        for (index, day) in (0i64..).zip(&days) {
            let date = date_of(index);
            let month = by_month.entry((date.year(), date.month())).or_default();
            *month = month.plus(&sums_of(story, day, prices.of_day(date, day)));
        }
        for (&(year, month), sums) in &mut by_month {
            sums.covered = coverage(story, date(year, month, 1)) >= MONTH_COVERED;
        }
        Days { story, days, by_month }
    }

    fn months(&self, years: std::ops::RangeInclusive<i16>) -> Vec<(i8, Sums)> {
        self.by_month
            .range((*years.start(), 1)..=(*years.end(), 12))
            .map(|(&(_, month), sums)| (month, *sums))
            .collect()
    }

    fn baseline(&self) -> Vec<(i8, Sums)> {
        let year = |year: i32| i16::try_from(year).unwrap_or(*YEARS.start());
        self.months(year(self.story.baseline[0])..=year(self.story.baseline[1]))
    }

    /// 1 − Y / ((E_b / Q_b) · Q_r) over the months that both periods cover.
    fn intensity(&self, reporting: &[(i8, Sums)], of: impl Fn(&Sums) -> f64) -> (f64, bool) {
        let baseline = self.baseline();
        let covered = |months: &[(i8, Sums)], month| months.iter().any(|(of, sums)| *of == month && sums.covered);
        let both: Vec<i8> = (1..=12).filter(|&month| covered(reporting, month) && covered(&baseline, month)).collect();
        let sufficient = both.len() as f64 / reporting.len() as f64 >= MONTHS_COVERED;
        let sum = |months: &[(i8, Sums)]| {
            let counts = |(month, sums): &&(i8, Sums)| !sufficient || (both.contains(month) && sums.covered);
            months.iter().filter(counts).fold(Sums::default(), |sum, (_, sums)| sum.plus(sums))
        };
        let (reported, base) = (sum(reporting), sum(&baseline));
        (1.0 - of(&reported) / (of(&base) / base.output * reported.output), sufficient)
    }

    /// 1 − Σ defective / Σ inspected · baseline rate, over the products that the baseline knows.
    fn defects(&self, reporting: &[(i8, Sums)]) -> (f64, bool) {
        let sum = |months: &[(i8, Sums)]| months.iter().fold(Sums::default(), |sum, (_, sums)| sum.plus(sums));
        let (reported, base) = (sum(reporting), sum(&self.baseline()));
        let known: Vec<usize> = (0..PRODUCTS).filter(|&k| base.made[k] > 0.0).collect();
        let actual: f64 = known.iter().map(|&k| reported.defective[k]).sum();
        let adjusted: f64 = known.iter().map(|&k| reported.made[k] * base.defective[k] / base.made[k]).sum();
        let share = known.iter().map(|&k| reported.made[k]).sum::<f64>() / reported.made.iter().sum::<f64>();
        (1.0 - actual / adjusted, share >= MONTHS_COVERED)
    }

    /// 1 − exp Σ w_k ln HL_k: the Hodges–Lehmann ratio of the two mixtures of days, per product.
    fn lead(&self, year: i32, timed: Timed) -> (f64, bool) {
        let (mut logs, mut weights, mut unknown, mut all) = (0.0, 0.0, 0.0, 0.0);
        for (k, product) in self.story.product.iter().enumerate() {
            let reported = self.groups(year, year, k, timed);
            let base = self.groups(self.story.baseline[0], self.story.baseline[1], k, timed);
            let n: f64 = reported.iter().map(|(_, weight)| weight).sum();
            all += n;
            if base.is_empty() || reported.is_empty() {
                unknown += n;
                continue;
            }
            let (median, spread) = match timed {
                Timed::Orders => (product.lead, self.story.works.lead_spread),
                Timed::Pieces => (product.cycle, CYCLE_SPREAD),
            };
            logs += n * median * median_difference(&reported, &base, spread);
            weights += n * median;
        }
        (1.0 - libm::exp(logs / weights), unknown <= (1.0 - MONTHS_COVERED) * all)
    }

    fn of_years(&self, from: i32, to: i32) -> impl Iterator<Item = (i64, &Amounts)> {
        let (first, end) = (january(from), january(to + 1).min(self.days.len()));
        (first as i64..).zip(&self.days[first.min(end)..end])
    }

    /// The days of the years as (ln of the factor on the median, orders), days with the same factor together.
    fn groups(&self, from: i32, to: i32, k: usize, timed: Timed) -> Vec<(f64, f64)> {
        let what = if timed == Timed::Orders { Measure::Lead } else { Measure::Cycle };
        let mut groups: Vec<(f64, f64)> = Vec::new();
        for (index, day) in self.of_years(from, to).filter(|(_, day)| day.orders[k] > 0.0) {
            let log = libm::log(self.story.left(what, date_of(index)));
            match groups.last_mut() {
                Some((last, weight)) if *last == log => *weight += day.orders[k],
                Some(_) | None => groups.push((log, day.orders[k])),
            }
        }
        groups
    }
}

/// The place of the first day of a year.
fn january(year: i32) -> usize {
    let year = i16::try_from(year).unwrap_or(*YEARS.end());
    usize::try_from(day_index(date(year, 1, 1))).unwrap_or(0)
}

/// The median of ln r − ln b, both normal around their group's centre: bisection on its distribution.
fn median_difference(reported: &[(f64, f64)], base: &[(f64, f64)], spread: f64) -> f64 {
    let scale = 2.0 * spread;
    let total: f64 = reported.iter().map(|(_, n)| n).sum::<f64>() * base.iter().map(|(_, m)| m).sum::<f64>();
    let below = |x: f64| {
        let pairs = reported.iter().flat_map(|(r, n)| base.iter().map(move |(b, m)| (r - b, n * m)));
        pairs.map(|(centre, weight)| weight * (1.0 + libm::erf((x - centre) / scale)) / 2.0).sum::<f64>() / total
    };
    let (mut low, mut high) = (-3.0, 3.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if below(middle) < 0.5 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

fn sums_of(story: &PilotStory, day: &Amounts, electricity: f64) -> Sums {
    let gas = story.gas.as_ref().map_or(0.0, |gas| gas.factor);
    let good = |k: usize| day.made[k] - day.defective[k];
    Sums {
        kgce: day.kwh() * ELECTRICITY + day.m3 * gas,
        cost: electricity + day.labour + day.material + day.maintenance,
        output: story.product.iter().enumerate().map(|(k, product)| product.weight * good(k)).sum(),
        made: day.made,
        defective: day.defective,
        covered: false,
    }
}

/// The share of a month that meter readings cover: outages and the time before the first reading are missing.
fn coverage(story: &PilotStory, month: Date) -> f64 {
    let (start, end) = (day_start(month), day_start(month.last_of_month()) + DAY_MS);
    let missing = super::physics::silences(story).into_iter();
    let missing: i64 = missing.map(|(from, to)| (to.min(end) - from.max(start)).max(0)).sum();
    1.0 - missing as f64 / (end - start) as f64
}

/// Baseline prices of energy.
struct Prices<'a> {
    tariffs: &'a [TariffStory],
    base: &'a TariffStory,
    shapes: [[f64; QUARTERS]; 3],
    /// Mean price of each part of a day's electricity, by tariff.
    by_tariff: Vec<[f64; 3]>,
    gas: f64,
}

impl<'a> Prices<'a> {
    fn of(fleet: &'a FleetStory, story: &PilotStory) -> Prices<'a> {
        let tariffs = &fleet.tariffs[&story.tariffs];
        let shapes = shapes_of(story);
        // Only one tariff and one gas price are in force during any baseline of the fleet: a test says so.
        let base = &tariffs[0];
        let mut prices = Prices { tariffs, base, shapes, by_tariff: Vec::new(), gas: fleet.gas_price[0].value };
        prices.by_tariff = tariffs.iter().map(|tariff| prices.means(tariff)).collect();
        prices
    }

    /// Each quarter-hour at the baseline price of its band; a band that the baseline does not have at the price of the
    /// band that the baseline's tariff gives that time of day.
    fn means(&self, tariff: &TariffStory) -> [f64; 3] {
        let price = |quarter: usize| {
            let bands = &self.base.bands;
            bands.get(tariff.band_of(quarter)).or_else(|| bands.get(self.base.band_of(quarter))).copied().unwrap_or(0.0)
        };
        self.shapes.map(|shape| shape.iter().enumerate().map(|(quarter, share)| share * price(quarter)).sum())
    }

    /// CNY of a day's energy at baseline prices.
    fn of_day(&self, date: Date, day: &Amounts) -> f64 {
        let place = self.tariffs.iter().rposition(|tariff| tariff.from <= date).unwrap_or(0);
        let [base, lines, night] = self.by_tariff[place];
        day.base * base + day.day * lines + day.night * night + day.m3 * self.gas
    }
}

#[cfg(test)]
mod tests;
