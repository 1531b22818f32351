//! The tariff calendar of a pilot: which band a quarter-hour lies in and what a unit costs there.
//!
//! Rows with the same `from` are one tariff (by month and kind of day); a tariff holds from its day until the next one's.
//! Beside the band in force, every quarter-hour has the band that the tariff in force at the end of the baseline gives that
//! time of day: bands that the baseline did not have are priced by it (CONTRACT section 11).

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use model::period::midnight;
use model::registry::{BandSpan, Pilot, Tariff, TariffDays};
use model::window::QUARTER_MS;
use model::{Indicator, UnixMillis, Window};

/// Quarter-hours of a day without a clock change.
pub const QUARTERS_PER_DAY: usize = 96;
/// The band of a quarter-hour for which no tariff says one.
pub const NO_BAND: u16 = u16::MAX;

/// The bands of every quarter-hour of a pilot's calendar.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub zone: TimeZone,
    /// Every band that any tariff or series names, sorted; a band is its index here.
    pub bands: Vec<Arc<str>>,
    restdays: BTreeSet<Date>,
    tariffs: Vec<DatedTariff>,
    /// The tariff in force on the last day of the baseline of operating cost.
    base: Option<usize>,
    /// First day of that baseline.
    baseline_from: Date,
    baseline_to: Date,
}

#[derive(Debug, Clone)]
struct DatedTariff {
    from: Date,
    rows: Vec<Row>,
}

/// One `[[tariff]]`: band by quarter of the day, price by band.
#[derive(Debug, Clone)]
struct Row {
    months: Vec<i8>,
    days: TariffDays,
    bands: [u16; QUARTERS_PER_DAY],
    /// CNY per kWh, by index of the band.
    prices: Vec<Option<f64>>,
}

/// One local day as the calendar sees it.
#[derive(Debug, Clone)]
pub struct Day<'a> {
    pub date: Date,
    /// `[midnight, next midnight)`.
    pub window: Window,
    row: Option<&'a Row>,
    base: Option<&'a Row>,
    zone: &'a TimeZone,
}

impl Calendar {
    /// From the registry.
    pub fn of(pilot: &Pilot) -> Calendar {
        let bands = bands_of(pilot);
        let mut rows: Vec<&Tariff> = pilot.tariffs.iter().collect();
        rows.sort_by_key(|tariff| tariff.from);
        let mut tariffs: Vec<DatedTariff> = Vec::new();
        for tariff in rows {
            let row = Row::of(tariff, &bands);
            match tariffs.last_mut() {
                Some(last) if last.from == tariff.from => last.rows.push(row),
                Some(_) | None => tariffs.push(DatedTariff { from: tariff.from, rows: vec![row] }),
            }
        }
        let baseline = pilot.terms(&Indicator::OperatingCost).baseline;
        let base = in_force(&tariffs, baseline.to);
        Calendar {
            zone: pilot.zone.clone(),
            bands,
            restdays: pilot.restdays.iter().copied().collect(),
            tariffs,
            base,
            baseline_from: baseline.from,
            baseline_to: baseline.to,
        }
    }

    /// Whether the pilot has any tariff.
    pub fn has_tariff(&self) -> bool {
        !self.tariffs.is_empty()
    }

    /// The index of a band.
    pub fn band(&self, name: &str) -> u16 {
        index_of(&self.bands, name)
    }

    /// Whether any tariff in force during the baseline has this band.
    pub fn baseline_has(&self, band: u16) -> bool {
        let first = in_force(&self.tariffs, self.baseline_from).unwrap_or(0);
        let during = self.tariffs.iter().skip(first).take_while(|tariff| tariff.from <= self.baseline_to);
        let has = |row: &Row| row.price(band).is_some();
        during.flat_map(|tariff| &tariff.rows).any(has)
    }

    /// The price of a band in the tariff in force at the end of the baseline.
    pub fn price_at_baseline_end(&self, band: u16) -> Option<f64> {
        self.tariffs.get(self.base?)?.rows.iter().find_map(|row| row.price(band))
    }

    /// A local day.
    pub fn day(&self, date: Date) -> Day<'_> {
        let tomorrow = date.tomorrow().unwrap_or(date);
        let window = Window { start: midnight(date, &self.zone), end: midnight(tomorrow, &self.zone) };
        let row = in_force(&self.tariffs, date).and_then(|tariff| self.row(tariff, date));
        let base = self.base.and_then(|tariff| self.row(tariff, date));
        Day { date, window, row, base, zone: &self.zone }
    }

    /// The row of a tariff for a day, by its month and kind; the first that fits.
    fn row(&self, tariff: usize, date: Date) -> Option<&Row> {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let rest = weekend || self.restdays.contains(&date);
        self.tariffs[tariff].rows.iter().find(|row| row.fits(date, rest))
    }
}

impl Row {
    fn of(tariff: &Tariff, bands: &[Arc<str>]) -> Row {
        let mut slots = [index_of(bands, &tariff.rest); QUARTERS_PER_DAY];
        for span in &tariff.hours {
            let band = index_of(bands, &span.band);
            slots_of(span).for_each(|slot| slots[slot] = band);
        }
        let prices = bands.iter().map(|band| tariff.bands.get(band).copied()).collect();
        Row { months: tariff.months.clone(), days: tariff.days, bands: slots, prices }
    }

    fn fits(&self, date: Date, rest: bool) -> bool {
        let kind = match self.days {
            TariffDays::Every => true,
            TariffDays::Workday => !rest,
            TariffDays::Restday => rest,
        };
        kind && (self.months.is_empty() || self.months.contains(&date.month()))
    }

    fn price(&self, band: u16) -> Option<f64> {
        self.prices.get(usize::from(band)).copied().flatten()
    }
}

impl Day<'_> {
    /// Numbers of its quarter-hours.
    pub fn quarters(&self) -> std::ops::Range<i64> {
        self.window.start.0.div_euclid(QUARTER_MS)..self.window.end.0.div_euclid(QUARTER_MS)
    }

    /// The band in force in a quarter-hour, and the baseline's band at that time of day.
    pub fn bands_at(&self, quarter: i64) -> (u16, u16) {
        let slot = self.slot(quarter);
        let of = |row: Option<&Row>| row.map_or(NO_BAND, |row| row.bands[slot]);
        (of(self.row), of(self.base))
    }

    /// What a unit costs in a band today.
    pub fn price(&self, band: u16) -> Option<f64> {
        self.row?.price(band)
    }

    /// Index of the quarter of the day, by local clock; days of a clock change ask the zone.
    fn slot(&self, quarter: i64) -> usize {
        let since = quarter - self.window.start.0.div_euclid(QUARTER_MS);
        if self.window.length_ms() == 86_400_000 {
            return usize::try_from(since).unwrap_or(0).min(QUARTERS_PER_DAY - 1);
        }
        let local = self.zone.to_datetime(UnixMillis(quarter * QUARTER_MS).timestamp()).time();
        slot_of(local).min(QUARTERS_PER_DAY - 1)
    }
}

fn in_force(tariffs: &[DatedTariff], date: Date) -> Option<usize> {
    tariffs.partition_point(|tariff| tariff.from <= date).checked_sub(1)
}

fn bands_of(pilot: &Pilot) -> Vec<Arc<str>> {
    let mut bands: BTreeSet<Arc<str>> = pilot.series.iter().filter_map(|series| series.band.clone()).collect();
    for tariff in &pilot.tariffs {
        bands.extend(tariff.bands.keys().cloned());
        bands.insert(tariff.rest.clone());
        bands.extend(tariff.hours.iter().map(|span| span.band.clone()));
    }
    bands.into_iter().collect()
}

fn index_of(bands: &[Arc<str>], name: &str) -> u16 {
    let found = bands.iter().position(|band| &**band == name);
    found.and_then(|index| u16::try_from(index).ok()).unwrap_or(NO_BAND)
}

fn slot_of(time: Time) -> usize {
    let minutes = i32::from(time.hour()) * 60 + i32::from(time.minute());
    usize::try_from(minutes / 15).unwrap_or(0)
}

/// Slots of a span of the day; `to` at or before `from` passes midnight.
fn slots_of(span: &BandSpan) -> impl Iterator<Item = usize> + use<> {
    let (from, to) = (slot_of(span.from), slot_of(span.to));
    let to = if to <= from { to + QUARTERS_PER_DAY } else { to };
    (from..to).map(|slot| slot % QUARTERS_PER_DAY)
}

/// A dated value in force on a day: the last that began by then, else the first.
pub fn dated<T>(rows: &[T], from: impl Fn(&T) -> Date, date: Date) -> Option<&T> {
    let begun = rows.iter().filter(|row| from(row) <= date).max_by_key(|row| from(row));
    begun.or_else(|| rows.iter().min_by_key(|row| from(row)))
}
