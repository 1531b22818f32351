//! From readings of the store to rollups and month sums of one series.
//!
//! A change of a reading reaches from the usable reading before it to the next one after it; exactly the quarter-hours in
//! that span are rolled up again, from the readings that touch them, and the local months that they lie in are added again
//! from quarter-hours. The same functions over the whole of a series are the full recompute.

use std::collections::{BTreeMap, BTreeSet};

use model::period::MonthNo;
use model::window::QUARTER_MS;
use model::{Kind, Pilot, Reading, Series, SeriesId, UnixMillis};
use store::{Outage, Store, StoreError, Which};

use crate::rollup::months::{Adder, MonthSums, local_months};
use crate::rollup::{BlobError, MonthBlob, Rolled, Roller, Spec, quarter_of, utc_month_of};
use crate::tariff::Calendar;

/// The span first read at once. It doubles while few readings come and halves when many do.
const STEP_MS: i64 = 7 * 86_400_000;
/// Above this many readings (some 50 bytes each) the next step is shorter: a series at 1 Hz is read a day at a time.
const STEP_READINGS_MAX: usize = 200_000;
/// Below this many the next step is longer, so that sparse history is few reads.
const STEP_READINGS_MIN: usize = 50_000;

/// A registered series of the store, with everything that its rollups depend on.
pub(crate) struct Source<'a> {
    pub(crate) id: SeriesId,
    pub(crate) pilot: &'a Pilot,
    pub(crate) calendar: &'a Calendar,
    pub(crate) series: &'a Series,
    pub(crate) spec: Spec,
}

/// What rolling up changed.
pub(crate) struct Derived {
    pub(crate) blobs: BTreeMap<MonthNo, MonthBlob>,
    pub(crate) sums: MonthSums,
    /// Local months whose sums were added again.
    pub(crate) months: BTreeSet<MonthNo>,
}

/// Quarter-hours `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// A blob that does not read, as the store's error of its place.
pub(crate) fn broken(place: String, error: &dyn std::error::Error) -> StoreError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    StoreError::Format { place, text }
}

fn rollup_place(id: SeriesId, month: MonthNo) -> String {
    format!("rollup/{}/{}", id.0, month.0)
}

impl<'a> Source<'a> {
    /// A series with the outages of its pilot; `outages` may hold those of others' assets.
    pub(crate) fn new(
        id: SeriesId,
        (pilot, calendar): (&'a Pilot, &'a Calendar),
        series: &'a Series,
        outages: &[Outage],
    ) -> Source<'a> {
        let meets = outages.iter().filter(|outage| outage.meets(&series.asset));
        let spec = Spec::of(series).losing(meets.map(|outage| (outage.from.0, outage.to.0)).collect());
        Source { id, pilot, calendar, series, spec }
    }
}

/// Every outage of a pilot.
pub(crate) fn outages_of(store: &Store, pilot: &Pilot) -> Result<Vec<Outage>, StoreError> {
    store.outages(&pilot.id, UnixMillis(i64::MIN), UnixMillis(i64::MAX))
}

impl Source<'_> {
    /// The quarter-hours that touched spans reach, merged where they meet.
    pub(crate) fn reach(&self, store: &Store, spans: &[(UnixMillis, UnixMillis)]) -> Result<Vec<Range>, StoreError> {
        let mut ranges = Vec::new();
        for &(from, to) in spans {
            ranges.push(self.reach_of(store, from, to)?);
        }
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.from <= last.to => last.to = last.to.max(range.to),
                Some(_) | None => merged.push(range),
            }
        }
        Ok(merged)
    }

    fn reach_of(&self, store: &Store, from: UnixMillis, to: UnixMillis) -> Result<Range, StoreError> {
        let before = store.last_before(self.id, from, self.neighbours())?.map(|reading| reading.at.0);
        let after = store.first_after(self.id, to, self.neighbours())?.map(|reading| reading.at.0);
        // A swap beyond the first or last reading still counts against it.
        let swaps = || self.spec.swaps.iter().map(|swap| swap.at);
        let first = before.or_else(|| swaps().min()).map_or(from.0, |at| at.min(from.0));
        let last = after.or_else(|| swaps().max()).map_or(to.0, |at| at.max(to.0));
        Ok(Range { from: quarter_of(first - 1), to: quarter_of(last - 1) + 1 })
    }

    /// A bad reading ends a delta's span; every other kind passes it over.
    fn neighbours(&self) -> Which {
        if self.spec.kind == Kind::Delta { Which::Any } else { Which::Usable }
    }

    /// The whole of the series.
    pub(crate) fn whole(&self, store: &Store) -> Result<Option<Range>, StoreError> {
        let Some((first, last)) = store.span(self.id)? else { return Ok(None) };
        self.reach_of(store, first, last).map(Some)
    }

    /// Rolls up ranges again, over what is stored, and adds the local months that they meet.
    pub(crate) fn derive(&self, store: &Store, ranges: &[Range], stored: MonthSums) -> Result<Derived, StoreError> {
        let mut blobs = BTreeMap::new();
        let mut months = BTreeSet::new();
        for &range in ranges {
            self.load(store, range, &mut blobs)?;
            let rolled = self.roll(store, range)?;
            for month in utc_months(range) {
                blobs.entry(month).or_insert_with(|| MonthBlob::empty(month)).replace(&rolled);
            }
            months.extend(local_months(self.calendar, range.from, range.to));
        }
        let changed: BTreeSet<MonthNo> = ranges.iter().flat_map(|&range| utc_months(range)).collect();
        for month in &months {
            let window = month.window(&self.calendar.zone);
            let around = Range { from: quarter_of(window.start.0), to: quarter_of(window.end.0 - 1) + 1 };
            self.load(store, around, &mut blobs)?;
        }
        let sums = self.add(months.iter().copied(), &blobs, stored);
        blobs.retain(|month, _| changed.contains(month));
        Ok(Derived { blobs, sums, months })
    }

    /// Rolls up the whole series from its readings, looking at nothing stored.
    pub(crate) fn scratch(&self, store: &Store) -> Result<Derived, StoreError> {
        let (mut blobs, mut months) = (BTreeMap::new(), BTreeSet::new());
        if let Some(range) = self.whole(store)? {
            let rolled = self.roll(store, range)?;
            for month in utc_months(range) {
                let mut blob = MonthBlob::empty(month);
                blob.replace(&rolled);
                blobs.insert(month, blob);
            }
            months.extend(local_months(self.calendar, range.from, range.to));
        }
        let sums = self.add(months.iter().copied(), &blobs, MonthSums::default());
        Ok(Derived { blobs, sums, months })
    }

    fn add(
        &self,
        months: impl Iterator<Item = MonthNo>,
        blobs: &BTreeMap<MonthNo, MonthBlob>,
        mut sums: MonthSums,
    ) -> MonthSums {
        let adder = Adder::new(self.pilot, self.calendar, self.series, &self.spec);
        sums.replace(months.map(|month| adder.add(month, blobs)).collect());
        sums
    }

    /// Loads the stored months of a range that are not loaded yet.
    fn load(&self, store: &Store, range: Range, into: &mut BTreeMap<MonthNo, MonthBlob>) -> Result<(), StoreError> {
        let (first, last) = (utc_month_of(range.from), utc_month_of(range.to - 1));
        if (first.0..=last.0).all(|month| into.contains_key(&MonthNo(month))) {
            return Ok(());
        }
        for (month, bytes) in store.rollups(self.id, first.0, last.0)? {
            let month = MonthNo(month);
            if let std::collections::btree_map::Entry::Vacant(vacant) = into.entry(month) {
                vacant.insert(decode(self.id, month, &bytes)?);
            }
        }
        Ok(())
    }

    /// Rolls up a range from the readings that touch it.
    fn roll(&self, store: &Store, range: Range) -> Result<Rolled, StoreError> {
        let n = usize::try_from(range.to - range.from).unwrap_or(0);
        let mut roller = Roller::new(&self.spec, range.from, n);
        let (start, end) = (range.from * QUARTER_MS, range.to * QUARTER_MS);
        if let Some(before) = store.last_before(self.id, UnixMillis(start), self.neighbours())? {
            roller.push(&before);
        }
        let mut beyond = false;
        each_reading(store, self.id, (start, end + 1), |reading| {
            beyond |= reading.at.0 >= end && reading.is_usable();
            roller.push(reading);
        })?;
        if !beyond && let Some(after) = store.first_after(self.id, UnixMillis(end), self.neighbours())? {
            roller.push(&after);
        }
        Ok(roller.finish())
    }
}

/// Reads `[from, to)` of a series in steps of bounded size, in time order.
pub(crate) fn each_reading(
    store: &Store,
    series: SeriesId,
    (from, to): (i64, i64),
    mut each: impl FnMut(&Reading),
) -> Result<(), StoreError> {
    let (mut at, mut step_ms) = (from, STEP_MS);
    while at < to {
        let end = at.saturating_add(step_ms).min(to);
        let readings = store.readings(series, UnixMillis(at), UnixMillis(end))?;
        readings.iter().for_each(&mut each);
        match readings.len() {
            n if n > STEP_READINGS_MAX => step_ms = (step_ms / 2).max(QUARTER_MS),
            n if n < STEP_READINGS_MIN => step_ms = step_ms.saturating_mul(4),
            _ => {}
        }
        at = end;
    }
    Ok(())
}

/// Decodes a stored rollup blob.
pub(crate) fn decode(id: SeriesId, month: MonthNo, bytes: &[u8]) -> Result<MonthBlob, StoreError> {
    MonthBlob::decode(month, bytes).map_err(|error: BlobError| broken(rollup_place(id, month), &error))
}

/// Encodes a rollup blob.
pub(crate) fn encode(id: SeriesId, blob: &MonthBlob) -> Result<Vec<u8>, StoreError> {
    blob.encode().map_err(|error| broken(rollup_place(id, blob.month), &error))
}

/// The stored month sums of a series.
pub(crate) fn stored_sums(store: &Store, id: SeriesId) -> Result<MonthSums, StoreError> {
    match store.month_sums(id)? {
        None => Ok(MonthSums::default()),
        Some(bytes) => MonthSums::decode(&bytes).map_err(|error| broken(format!("month_sums/{}", id.0), &error)),
    }
}

/// The UTC months of a range.
pub(crate) fn utc_months(range: Range) -> impl Iterator<Item = MonthNo> {
    (utc_month_of(range.from).0..=utc_month_of(range.to - 1).0).map(MonthNo)
}
