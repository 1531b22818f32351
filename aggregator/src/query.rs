//! Answers `/api/v1/rollups`: quarter-hours of a series added up to the windows asked for.
//!
//! Windows are UTC quarters and hours, and the calendar days, months and years of the pilot's zone. Rows run from the window
//! that holds the last millisecond before the first reading to the one before the last, gaps included.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use model::period::{MonthNo, midnight};
use model::window::QUARTER_MS;
use model::{Kind, PilotId, SeriesId, UnixMillis, Window};
use store::{Registration, StoreError};

use crate::derive::{Source, decode};
use crate::rollup::months::{is_stopped, stops_of};
use crate::rollup::spec::{Covers, MS_PER_HOUR};
use crate::rollup::{Cursor, MonthBlob, Quarter, Sketch, Spec, mark, utc_month_of};
use crate::sum::Sum;
use crate::tariff::{Calendar, Day};
use crate::{Aggregator, RollupQuery, RollupRow, Width};

/// One row being added up.
#[derive(Debug, Default)]
struct Cell {
    value: Sum,
    /// Milliseconds with data, also inside stops.
    held_ms: i64,
    /// Outside stops: covered, and all there are.
    covered_ms: i64,
    expected_ms: i64,
    n: u64,
    marks: u8,
    sketch: Sketch,
}

/// What a window's rows are made with.
struct Rows<'a> {
    source: &'a Source<'a>,
    product: Option<Arc<str>>,
    stops: Vec<std::ops::Range<Date>>,
    split: Split,
}

/// Whether windows are split by tariff band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Whole,
    ByBand,
}

impl Aggregator {
    pub(crate) fn rows(&self, query: &RollupQuery) -> Result<Vec<RollupRow>, StoreError> {
        let registry = self.registry.get();
        let Some(pilot) = registry.pilots.get(&query.pilot) else { return Ok(Vec::new()) };
        let calendar = Calendar::of(pilot);
        let split = if query.by_band { Split::ByBand } else { Split::Whole };
        let mut rows = Vec::new();
        for (id, product) in self.asked(&query.pilot, query) {
            let Some(series) = pilot.resolve(&query.asset, &query.name, product.as_deref()) else { continue };
            let source = Source { id, pilot, calendar: &calendar, series, spec: Spec::of(series) };
            let of = Rows { source: &source, product, stops: stops_of(pilot), split };
            self.series_rows(&of, query, &mut rows)?;
        }
        rows.sort_by(|a, b| (a.start, &a.product, &a.band).cmp(&(b.start, &b.product, &b.band)));
        Ok(rows)
    }

    /// The hours of one stored series that begin in `[from, to)`; none if the registry does not declare it.
    pub(crate) fn hours_of(
        &self,
        id: SeriesId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<RollupRow>, StoreError> {
        let registry = self.registry.get();
        let Some(entry) = self.store.entry(id) else { return Ok(Vec::new()) };
        let Some(pilot) = registry.pilots.get(&entry.key.pilot) else { return Ok(Vec::new()) };
        let (asset, name) = (&entry.key.asset, &entry.key.name);
        let Some(series) = pilot.resolve(asset, name, entry.key.product.as_deref()) else { return Ok(Vec::new()) };
        let calendar = Calendar::of(pilot);
        let source = Source { id, pilot, calendar: &calendar, series, spec: Spec::of(series) };
        let product = entry.key.product.clone();
        let of = Rows { source: &source, product, stops: stops_of(pilot), split: Split::Whole };
        let query = RollupQuery {
            pilot: pilot.id.clone(),
            asset: asset.to_string(),
            name: name.to_string(),
            product: None,
            from,
            to,
            width: Width::Hour,
            by_band: false,
        };
        let mut rows = Vec::new();
        self.series_rows(&of, &query, &mut rows)?;
        Ok(rows)
    }

    /// The stored series that a query names: those of one product, or all.
    fn asked(&self, pilot: &PilotId, query: &RollupQuery) -> Vec<(SeriesId, Option<Arc<str>>)> {
        let entries = self.store.catalogue_of(pilot).into_iter().filter(|entry| {
            let named = *entry.key.asset == *query.asset && *entry.key.name == *query.name;
            let product = query.product.is_none() || entry.key.product.as_deref() == query.product.as_deref();
            named && product && entry.registration == Registration::Registered
        });
        entries.map(|entry| (entry.id, entry.key.product)).collect()
    }

    fn series_rows(&self, of: &Rows<'_>, query: &RollupQuery, rows: &mut Vec<RollupRow>) -> Result<(), StoreError> {
        let Some((first, last)) = self.store.span(of.source.id)? else { return Ok(()) };
        let mut window = window_at(query.width, first.plus(-1).max(query.from), of.source.calendar);
        if window.start < query.from {
            window = window_at(query.width, window.end, of.source.calendar);
        }
        let (mut months, mut day) = (BTreeMap::new(), None);
        while window.start < query.to && window.start < last {
            self.load_month(of.source.id, window, &mut months)?;
            of.add_window(window, &months, &mut day, rows);
            window = window_at(query.width, window.end, of.source.calendar);
        }
        Ok(())
    }

    /// Keeps exactly the months that a window meets.
    fn load_month(
        &self,
        id: SeriesId,
        window: Window,
        months: &mut BTreeMap<MonthNo, MonthBlob>,
    ) -> Result<(), StoreError> {
        let (first, last) = (utc_month_of(quarter(window.start)), utc_month_of(quarter(window.end) - 1));
        months.retain(|month, _| (first..=last).contains(month));
        if (first.0..=last.0).any(|month| !months.contains_key(&MonthNo(month))) {
            let stored = self.store.rollups(id, first.0, last.0)?;
            for (month, bytes) in stored {
                months.insert(MonthNo(month), decode(id, MonthNo(month), &bytes)?);
            }
            for month in (first.0..=last.0).map(MonthNo) {
                months.entry(month).or_insert_with(|| MonthBlob::empty(month));
            }
        }
        Ok(())
    }
}

fn quarter(at: UnixMillis) -> i64 {
    at.0.div_euclid(QUARTER_MS)
}

/// The window of a width that holds an instant.
fn window_at(width: Width, at: UnixMillis, calendar: &Calendar) -> Window {
    let zone = &calendar.zone;
    match width {
        Width::Quarter => Window::containing(at, QUARTER_MS),
        Width::Hour => Window::containing(at, 4 * QUARTER_MS),
        Width::Day => calendar.day(zone.to_datetime(at.timestamp()).date()).window,
        Width::Month => MonthNo::containing(at, zone).window(zone),
        Width::Year => {
            let january = MonthNo(MonthNo::containing(at, zone).year() * 12);
            let next = MonthNo(january.0 + 12);
            Window { start: midnight(january.first_day(), zone), end: midnight(next.first_day(), zone) }
        }
    }
}

impl<'a> Rows<'a> {
    /// Adds the rows of one window; `day` is kept from window to window.
    fn add_window(
        &self,
        window: Window,
        months: &BTreeMap<MonthNo, MonthBlob>,
        day: &mut Option<(Day<'a>, Stopped)>,
        rows: &mut Vec<RollupRow>,
    ) {
        let mut cells: BTreeMap<Option<u16>, Cell> = BTreeMap::new();
        let mut cursor = Cursor::new(months);
        for number in quarter(window.start)..quarter(window.end) {
            let at = UnixMillis(number * QUARTER_MS);
            if !day.as_ref().is_some_and(|(day, _)| day.window.contains(at)) {
                *day = Some(self.day(at));
            }
            let (Some((day, stopped)), Some((blob, place))) = (day.as_ref(), cursor.at(number)) else { continue };
            let key = (self.split == Split::ByBand).then(|| self.band(day, number));
            let sketch = u16::try_from(place).ok().and_then(|place| blob.sketches.get(&place));
            if let Some(quarter) = blob.quarters.get(place) {
                cells.entry(key).or_default().add(quarter, sketch, *stopped);
            }
        }
        for (key, cell) in cells {
            let band = key.and_then(|band| self.source.calendar.bands.get(usize::from(band)).cloned());
            // A band without anything in the window has no row; without bands every window has one.
            if key.is_none() || !cell.is_empty() {
                rows.push(self.row(window, &cell, band));
            }
        }
    }

    fn day(&self, at: UnixMillis) -> (Day<'a>, Stopped) {
        let calendar = self.source.calendar;
        let date = calendar.zone.to_datetime(at.timestamp()).date();
        let stopped = if is_stopped(&self.stops, date) { Stopped::Yes } else { Stopped::No };
        (calendar.day(date), stopped)
    }

    fn band(&self, day: &Day<'_>, number: i64) -> u16 {
        match &self.source.series.band {
            Some(band) => self.source.calendar.band(band),
            None => day.bands_at(number).0,
        }
    }

    fn row(&self, window: Window, cell: &Cell, band: Option<Arc<str>>) -> RollupRow {
        let spec = &self.source.spec;
        let coverage = match spec.covers {
            Covers::Nothing => None,
            Covers::Time if cell.expected_ms == 0 => None,
            Covers::Time => Some((cell.covered_ms as f64 / cell.expected_ms as f64).min(1.0)),
        };
        let total = Some(cell.value.total()).filter(|_| cell.marks & mark::CONTRIBUTED != 0);
        let mut row = RollupRow {
            start: window.start,
            end: window.end,
            value: total,
            unit: spec.unit.symbol().to_owned(),
            coverage,
            n: cell.n,
            flags: mark::words(cell.marks),
            product: self.product.clone(),
            band,
            integral: None,
            integral_unit: None,
            sum: None,
            p50: None,
            p90: None,
        };
        match spec.kind {
            Kind::Counter | Kind::Delta => {}
            Kind::Gauge => {
                row.value = total.filter(|_| cell.held_ms > 0).map(|total| total / cell.held_ms as f64);
                row.integral = total.map(|total| total / MS_PER_HOUR);
                row.integral_unit = total.map(|_| spec.integral_unit());
            }
            Kind::Duration => {
                row.sum = total;
                row.value = total.map(|total| total / cell.n as f64);
                (row.p50, row.p90) = (cell.sketch.quantile(0.5), cell.sketch.quantile(0.9));
            }
        }
        row
    }
}

/// Whether a day lies in a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Yes,
    No,
}

impl Cell {
    fn add(&mut self, quarter: &Quarter, sketch: Option<&Sketch>, stopped: Stopped) {
        self.value.add(quarter.value);
        self.held_ms += i64::from(quarter.covered_ms);
        if stopped == Stopped::No {
            self.covered_ms += i64::from(quarter.covered_ms);
            self.expected_ms += QUARTER_MS;
        }
        self.n += u64::from(quarter.n);
        self.marks |= quarter.marks;
        if let Some(sketch) = sketch {
            self.sketch.merge(sketch);
        }
    }

    fn is_empty(&self) -> bool {
        self.n == 0 && self.held_ms == 0 && self.marks == 0
    }
}
