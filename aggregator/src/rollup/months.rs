//! Month sums: the quarter-hours of a series added up to the calendar months of the pilot's zone.
//!
//! Sums are kept by pair of (band in force, band of the baseline's tariff at that time of day), each with what it cost, so
//! that figures are made from month sums alone. What a part's `cost` means depends on the quantity: energy at the price of
//! its day; a cost category deflated by the index of its day.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use model::period::MonthNo;
use model::registry::{Pilot, Price, PriceIndex, Series};
use model::window::QUARTER_MS;
use model::{Kind, Quantity};
use serde::{Deserialize, Serialize};

use super::spec::Covers;
use super::{Cursor, Decrease, MonthBlob, Quarter, Spec, mark};
use crate::sum::Sum;
use crate::tariff::{Calendar, Day, NO_BAND, dated};

/// One band pair of a month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Index of the band in force in [`Calendar::bands`].
    pub band: u16,
    /// Index of the baseline's band at that time of day.
    pub base: u16,
    pub value: f64,
    pub cost: f64,
}

/// Quarter-hours in a row that are covered alike, for the union over the products of one registered series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverRun {
    /// Number of the first quarter-hour.
    pub first: i64,
    pub n: u16,
    pub covered_ms: u32,
}

/// One local month of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthSum {
    pub month: MonthNo,
    pub value: f64,
    /// Outside `[[stop]]`s.
    pub covered_ms: i64,
    pub n: u64,
    pub marks: u8,
    pub parts: Vec<Part>,
    pub cover: Vec<CoverRun>,
    /// The first decrease without an event, and how many quarter-hours hold one.
    pub decrease: Option<Decrease>,
    pub n_decreases: u32,
}

/// Every month of a series that holds something, in time order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MonthSums {
    pub months: Vec<MonthSum>,
}

impl MonthSums {
    /// As bytes; the same sums give the same bytes.
    ///
    /// # Errors
    /// Never for sums that fit in memory.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// From bytes.
    ///
    /// # Errors
    /// If they are none of [`MonthSums::encode`].
    pub fn decode(bytes: &[u8]) -> Result<MonthSums, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    /// Puts newly added months in place of the same ones; empty ones vanish.
    pub fn replace(&mut self, added: Vec<MonthSum>) {
        let mut months: BTreeMap<MonthNo, MonthSum> = self.months.drain(..).map(|sum| (sum.month, sum)).collect();
        for sum in added {
            if sum.is_empty() {
                months.remove(&sum.month)
            } else {
                months.insert(sum.month, sum)
            };
        }
        self.months = months.into_values().collect();
    }

    /// A month, if it holds something.
    pub fn of(&self, month: MonthNo) -> Option<&MonthSum> {
        let found = self.months.binary_search_by_key(&month, |sum| sum.month).ok()?;
        self.months.get(found)
    }
}

impl MonthSum {
    /// Nothing was read, added or covered in it.
    pub fn is_empty(&self) -> bool {
        self.n == 0 && self.covered_ms == 0 && self.marks == 0
    }
}

/// What month sums need to know of a series beside its quarter-hours.
pub struct Adder<'a> {
    calendar: &'a Calendar,
    pricing: Pricing<'a>,
    stops: Vec<Range<Date>>,
    spec: &'a Spec,
    cover_runs: CoverRuns,
    /// A level stands for the time that it covers, so that a stop leaves its mean alone; amounts count always.
    is_level: bool,
}

/// What a part's `cost` is.
enum Pricing<'a> {
    /// Nothing has a price.
    None,
    /// Electricity by the tariff's band.
    Tariff,
    /// Electricity metered by tariff register: one band, whatever the hour.
    Register(u16),
    /// A carrier by its dated price.
    Price(Vec<&'a Price>),
    /// A cost category deflated by its index.
    Index(Vec<&'a PriceIndex>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CoverRuns {
    Keep,
    Drop,
}

impl<'a> Adder<'a> {
    /// For one registered series of a pilot.
    pub fn new(pilot: &'a Pilot, calendar: &'a Calendar, series: &'a Series, spec: &'a Spec) -> Adder<'a> {
        // A series that takes its product from each reading is several in the store, which cover together.
        let shared = series.product.is_none() && spec.covers == Covers::Time;
        Adder {
            calendar,
            pricing: pricing_of(pilot, calendar, series),
            stops: stops_of(pilot),
            spec,
            cover_runs: if shared { CoverRuns::Keep } else { CoverRuns::Drop },
            is_level: spec.kind == Kind::Gauge && spec.amount(0.0).is_none(),
        }
    }

    /// Adds up one local month from the UTC months that it meets (others are not looked at).
    pub fn add(&self, month: MonthNo, blobs: &BTreeMap<MonthNo, MonthBlob>) -> MonthSum {
        let (mut total, mut cursor) = (Totals::default(), Cursor::new(blobs));
        let days = month.first_day()..MonthNo(month.0 + 1).first_day();
        for date in days_of(days) {
            let day = self.calendar.day(date);
            let stopped = is_stopped(&self.stops, date);
            self.add_day(&mut total, &day, &mut cursor, stopped);
        }
        total.finish(month)
    }

    fn add_day(&self, total: &mut Totals, day: &Day<'_>, cursor: &mut Cursor<'_>, stopped: bool) {
        for number in day.quarters() {
            let Some((blob, place)) = cursor.at(number) else { continue };
            let Some(quarter) = blob.quarters.get(place).filter(|quarter| !quarter.is_empty()) else { continue };
            if stopped && self.is_level {
                continue;
            }
            total.count(quarter, stopped);
            if self.cover_runs == CoverRuns::Keep && !stopped {
                total.cover(number, quarter.covered_ms);
            }
            if quarter.has_value() {
                self.price(total, day, number, quarter.value);
            }
            if quarter.marks & mark::DECREASE != 0
                && let Some(decrease) = u16::try_from(place).ok().and_then(|place| blob.decreases.get(&place))
            {
                total.decreased(decrease);
            }
        }
    }

    fn price(&self, total: &mut Totals, day: &Day<'_>, number: i64, value: f64) {
        let amount = self.spec.amount(value).unwrap_or(value);
        match &self.pricing {
            Pricing::None => {}
            Pricing::Tariff => {
                let (band, base) = day.bands_at(number);
                total.part(band, base, amount, amount * day.price(band).unwrap_or(0.0));
            }
            Pricing::Register(band) => {
                let (_, base) = day.bands_at(number);
                total.part(*band, base, amount, amount * day.price(*band).unwrap_or(0.0));
            }
            Pricing::Price(prices) => {
                let price = dated(prices, |price| price.from, day.date).map_or(0.0, |price| price.value);
                total.part(NO_BAND, NO_BAND, amount, amount * price);
            }
            Pricing::Index(indexes) => {
                let index = dated(indexes, |index| index.from, day.date).map_or(1.0, |index| index.value);
                total.part(NO_BAND, NO_BAND, amount, amount / index);
            }
        }
    }
}

fn pricing_of<'a>(pilot: &'a Pilot, calendar: &Calendar, series: &Series) -> Pricing<'a> {
    if series.kind == Kind::Duration {
        return Pricing::None;
    }
    match &series.quantity {
        Quantity::Energy(carrier) if &**carrier == "electricity" && calendar.has_tariff() => {
            series.band.as_ref().map_or(Pricing::Tariff, |band| Pricing::Register(calendar.band(band)))
        }
        Quantity::Energy(carrier) => {
            let prices: Vec<&Price> = pilot.prices.iter().filter(|price| price.carrier == *carrier).collect();
            if prices.is_empty() { Pricing::None } else { Pricing::Price(prices) }
        }
        Quantity::Cost(category) => {
            Pricing::Index(pilot.indexes.iter().filter(|index| index.category == *category).collect())
        }
        Quantity::Output(_)
        | Quantity::TimeCycle
        | Quantity::Emission(_)
        | Quantity::Variable(_)
        | Quantity::ValueAdded
        | Quantity::Power(_) => Pricing::None,
    }
}

/// The pilot's stops as half-open ranges of days.
pub fn stops_of(pilot: &Pilot) -> Vec<Range<Date>> {
    pilot.stops.iter().map(|stop| stop.from..stop.to.tomorrow().unwrap_or(stop.to)).collect()
}

/// Whether a day lies in a stop.
pub fn is_stopped(stops: &[Range<Date>], date: Date) -> bool {
    stops.iter().any(|stop| stop.contains(&date))
}

/// The days of a range, in order.
pub fn days_of(range: Range<Date>) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(range.start), |date| date.tomorrow().ok()).take_while(move |date| *date < range.end)
}

/// The local months that quarter-hours `from..to` lie in.
pub fn local_months(calendar: &Calendar, from: i64, to: i64) -> impl Iterator<Item = MonthNo> + use<> {
    let month_of = |quarter: i64| MonthNo::containing(model::UnixMillis(quarter * QUARTER_MS), &calendar.zone).0;
    (month_of(from)..=month_of((to - 1).max(from))).map(MonthNo)
}

#[derive(Default)]
struct Totals {
    value: Sum,
    covered_ms: i64,
    n: u64,
    marks: u8,
    parts: BTreeMap<(u16, u16), (Sum, Sum)>,
    cover: Vec<CoverRun>,
    decrease: Option<Decrease>,
    n_decreases: u32,
}

impl Totals {
    fn count(&mut self, quarter: &Quarter, stopped: bool) {
        self.value.add(quarter.value);
        self.covered_ms += if stopped { 0 } else { i64::from(quarter.covered_ms) };
        self.n += u64::from(quarter.n);
        self.marks |= quarter.marks;
    }

    fn part(&mut self, band: u16, base: u16, value: f64, cost: f64) {
        let (values, costs) = self.parts.entry((band, base)).or_default();
        values.add(value);
        costs.add(cost);
    }

    fn cover(&mut self, number: i64, covered_ms: u32) {
        if covered_ms == 0 {
            return;
        }
        match self.cover.last_mut() {
            Some(run) if run.covered_ms == covered_ms && run.first + i64::from(run.n) == number => run.n += 1,
            Some(_) | None => self.cover.push(CoverRun { first: number, n: 1, covered_ms }),
        }
    }

    fn decreased(&mut self, decrease: &Decrease) {
        self.decrease.get_or_insert(*decrease);
        self.n_decreases += 1;
    }

    fn finish(self, month: MonthNo) -> MonthSum {
        let part = |((band, base), (value, cost)): ((u16, u16), (Sum, Sum))| Part {
            band,
            base,
            value: value.total(),
            cost: cost.total(),
        };
        MonthSum {
            month,
            value: self.value.total(),
            covered_ms: self.covered_ms,
            n: self.n,
            marks: self.marks,
            parts: self.parts.into_iter().map(part).collect(),
            cover: self.cover,
            decrease: self.decrease,
            n_decreases: self.n_decreases,
        }
    }
}

/// Milliseconds covered by any of several series of one month: per quarter-hour the greatest of them.
pub fn union_covered_ms(covers: &[&[CoverRun]]) -> i64 {
    let mut quarters: BTreeMap<i64, u32> = BTreeMap::new();
    for run in covers.iter().copied().flatten() {
        for number in run.first..run.first + i64::from(run.n) {
            let covered_ms = quarters.entry(number).or_default();
            *covered_ms = run.covered_ms.max(*covered_ms);
        }
    }
    quarters.values().map(|&covered_ms| i64::from(covered_ms)).sum()
}

/// The bands of a calendar by name, for rows that name them.
pub fn band_name(calendar: &Calendar, band: u16) -> Option<Arc<str>> {
    calendar.bands.get(usize::from(band)).cloned()
}
