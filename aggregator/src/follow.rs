//! Keeps rollups and figures current: touched spans are rolled up, what depends on them is figured, the marks are deleted.
//!
//! One round at a time, on whatever thread asks. Marks are deleted only after everything made from them is written, so that a
//! killed round is simply run again. A series whose blobs do not read keeps its marks and holds up no other.
//!
//! A closed month never depends on an open one: data of the open month changes sums and rollups, and no figure but those
//! production cycles whose orders are still followed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::period::MonthNo;
use model::registry::PiecesFrom;
use model::window::QUARTER_MS;
use model::{Indicator, Pilot, PilotId, Quantity, Registry, Scope, Series, SeriesId, UnixMillis, Window};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{CommitNo, Outage, Registration, StoreError, Touched};

use crate::Aggregator;
use crate::derive::{Derived, Range, Source, broken, encode, outages_of, stored_sums};
use crate::figured::{AsOf, Inputs, figure_pilot, stored_sums_of};
use crate::indicator::data::open_month;
use crate::ledger::{Reason, Reasons, Touch};
use crate::made_with::MadeWith;
use crate::orders::Orders;
use crate::projection;
use crate::tariff::Calendar;

/// Marks taken at once: enough to merge the spans of a settled slice, few enough that a round stays in memory.
const TOUCHED_MAX: usize = 20_000;
/// Rollup blobs written in one transaction: some 10 kB each, so that it stays well under 50 ms.
const BLOBS_PER_TX: usize = 48;
/// How long the follower waits for more before it looks at the calendar (a month may have closed) and the stop flag.
const WAIT: Duration = Duration::from_millis(200);
/// Raise when the arithmetic changes: everything is computed again at the next start.
pub(crate) const METHOD: u32 = 4;

/// What the threads of one process share about the aggregator.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
    /// Held through a round: there is one at a time.
    round: Mutex<Marks>,
    pub(crate) cache: Mutex<crate::figured::Cache>,
    pub(crate) orders: Mutex<BTreeMap<PilotId, Arc<Orders>>>,
}

#[derive(Debug, Default)]
struct Progress {
    figured: CommitNo,
    n_followers: usize,
}

/// What each pilot's figures were last computed with.
#[derive(Debug, Default)]
struct Marks {
    pilots: BTreeMap<PilotId, Mark>,
    /// The registry that `renew` looked at last, until when it holds, and what it wants.
    renewed: Option<(Arc<Registry>, UnixMillis, BTreeMap<PilotId, Mark>)>,
    /// The registry whose groups are figured.
    members: Option<Arc<Registry>>,
    /// The end of each pilot's data when its figures were looked at last.
    cut_offs: BTreeMap<PilotId, UnixMillis>,
}

/// Kept in the store per pilot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Anything else and everything is computed again.
    made_with: MadeWith,
    /// The first month that was not closed, and the first month of any data.
    pub(crate) open: MonthNo,
    first: Option<MonthNo>,
}

/// What one round works with.
struct Round<'a> {
    registry: &'a Registry,
    /// Of the pilots at hand.
    calendars: BTreeMap<&'a PilotId, Calendar>,
    wanted: BTreeMap<PilotId, Mark>,
    /// The latest instant of each pilot's data.
    cut_offs: BTreeMap<PilotId, UnixMillis>,
    /// Marks whose series do not read: they stay.
    failed: BTreeSet<i64>,
    now: UnixMillis,
    /// Why the figures of a pilot change that depend on an input, until they are written.
    reasons: BTreeMap<PilotId, Vec<(Inputs, Reasons)>>,
}

impl Round<'_> {
    fn note_reasons(&mut self, pilot: &PilotId, inputs: Inputs, reasons: Reasons) {
        self.reasons.entry(pilot.clone()).or_default().push((inputs, reasons));
    }
}

/// Pilots and indicators whose figures changed in a round, and why.
pub(crate) type Changed = BTreeMap<(PilotId, Indicator), Reasons>;

/// What has to be figured, by pilot.
type Dirty = BTreeMap<PilotId, Inputs>;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves caches and marks as they were before its round: both are whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The mark's place among the store's small values.
pub(crate) fn mark_key(pilot: &PilotId) -> String {
    format!("aggregator/pilot/{pilot}")
}

impl Mark {
    /// Whether figures made with `self` are those that `wanted` asks for.
    fn serves(&self, wanted: &Mark) -> bool {
        self.made_with == wanted.made_with && self.open == wanted.open
    }

    /// The same of figures that are there no more: nothing is served, and what they were made with is still known.
    pub(crate) fn of_nothing(self) -> Mark {
        Mark { open: MonthNo(i32::MIN), first: None, ..self }
    }
}

impl Aggregator {
    /// One round over everything that is settled, as of `now`.
    pub(crate) fn round(&self, now: UnixMillis) -> Result<CommitNo, StoreError> {
        let mut marks = lock(&self.shared.round);
        let through = self.store.settled_through();
        let registry = self.registry.get();
        let wanted = self.renew(&registry, &mut marks, now)?;
        let (calendars, cut_offs) = (BTreeMap::new(), BTreeMap::new());
        let (failed, reasons) = (BTreeSet::new(), BTreeMap::new());
        let mut round = Round { registry: &registry, calendars, wanted, cut_offs, failed, now, reasons };
        let mut changed = Changed::new();
        while self.part_of_round(&mut round, &mut marks, &mut changed)? == More::Yes {}
        self.figure_groups(&registry, &changed, now)?;
        self.figure_membership(&registry, &mut marks, now)?;
        if !changed.is_empty() {
            self.store.write(|tx| tx.put_meta(GROUPS_DUE_KEY, &[]))?;
        }
        self.advance(through);
        Ok(through)
    }

    /// Takes one bounded lot of marks through to figures.
    fn part_of_round(
        &self,
        round: &mut Round<'_>,
        marks: &mut Marks,
        changed: &mut Changed,
    ) -> Result<More, StoreError> {
        let mut touched = self.store.touched(TOUCHED_MAX + round.failed.len())?;
        touched.retain(|touched| !round.failed.contains(&touched.row));
        let orders = self.store.touched_orders()?;
        let mut dirty = Dirty::new();
        let done = self.roll_up(&touched, round, &mut dirty)?;
        for (_, pilot) in &orders {
            lock(&self.shared.orders).remove(pilot);
            dirty.entry(pilot.clone()).or_default().0 |= Inputs::ORDERS;
            let counts_pieces =
                round.registry.pilots.get(pilot).is_some_and(|pilot| pilot.pieces == PiecesFrom::Orders);
            let pieces = if counts_pieces { Inputs::SUMS } else { 0 };
            round.note_reasons(pilot, Inputs(Inputs::ORDERS | pieces), Reason::LateData.into());
        }
        // Read before anything is figured with it: what comes in meanwhile moves it once more.
        let cut_offs = self.store.data_cutoffs()?;
        for (pilot, at) in &cut_offs {
            if marks.cut_offs.get(pilot) != Some(at) && self.goes_with_cut_off(pilot)? {
                dirty.entry(pilot.clone()).or_default().0 |= Inputs::CUT_OFF;
                round.note_reasons(pilot, Inputs(Inputs::ORDERS), Reason::LateData.into());
            }
        }
        round.cut_offs = cut_offs;
        for (pilot, wanted) in &round.wanted {
            if !marks.pilots.get(pilot).is_some_and(|mark| mark.serves(wanted)) {
                dirty.insert(pilot.clone(), Inputs::ALL);
            }
        }
        self.figure(&dirty, round, marks, changed)?;
        marks.cut_offs = std::mem::take(&mut round.cut_offs);
        self.delete_marks(&done, &orders)?;
        Ok(if touched.is_empty() && orders.is_empty() { More::No } else { More::Yes })
    }

    /// What each pilot's figures are to be computed with now; a pilot with other inputs is touched as a whole.
    fn renew(
        &self,
        registry: &Arc<Registry>,
        marks: &mut Marks,
        now: UnixMillis,
    ) -> Result<BTreeMap<PilotId, Mark>, StoreError> {
        // Nothing to look at while the registry is the same and no month has closed since.
        if let Some((known, until, wanted)) = &marks.renewed
            && Arc::ptr_eq(known, registry)
            && now < *until
        {
            return Ok(wanted.clone());
        }
        let mut wanted = BTreeMap::new();
        let mut until = UnixMillis(i64::MAX);
        marks.pilots.retain(|pilot, _| registry.pilots.contains_key(pilot));
        for (id, pilot) in &registry.pilots {
            if !marks.pilots.contains_key(id)
                && let Some(mark) = self.stored_mark(id)?
            {
                marks.pilots.insert(id.clone(), mark);
            }
            let (made_with, open) = (MadeWith::of(self, pilot), open_month(pilot, now));
            match marks.pilots.get(id) {
                None => self.touch_all(id, Reasons::NONE)?,
                Some(mark) if mark.made_with != made_with || mark.open == MonthNo(i32::MIN) => {
                    self.touch_all(id, made_with.reasons_since(&mark.made_with))?;
                }
                Some(_) => {}
            }
            until = until.min(open.window(&pilot.zone).end);
            wanted.insert(id.clone(), Mark { made_with, open, first: None });
        }
        marks.renewed = Some((Arc::clone(registry), until, wanted.clone()));
        Ok(wanted)
    }

    /// The mark that is stored of a pilot; one that does not read is as good as none.
    pub(crate) fn stored_mark(&self, pilot: &PilotId) -> Result<Option<Mark>, StoreError> {
        Ok(self.store.meta(&mark_key(pilot))?.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// Marks every registered series of a pilot as touched, from its first to its last reading, for these reasons.
    fn touch_all(&self, pilot: &PilotId, reasons: Reasons) -> Result<(), StoreError> {
        let mut spans = Vec::new();
        for entry in self.store.catalogue_of(pilot) {
            if entry.registration == Registration::Registered
                && let Some((from, to)) = self.store.span(entry.id)?
            {
                spans.push((entry.id, from, to));
            }
        }
        if spans.is_empty() {
            return Ok(());
        }
        self.store.write(|tx| spans.iter().try_for_each(|&(id, from, to)| tx.touch(id, from, to, reasons.as_why())))
    }

    /// Rolls up touched spans series by series; returns the rows that are done.
    fn roll_up(&self, touched: &[Touched], round: &mut Round<'_>, dirty: &mut Dirty) -> Result<Vec<i64>, StoreError> {
        let mut by_series: BTreeMap<SeriesId, Vec<&Touched>> = BTreeMap::new();
        for touched in touched {
            by_series.entry(touched.series).or_default().push(touched);
        }
        // Read after the marks: an outage that comes in meanwhile touches its series once more.
        let mut outages: BTreeMap<&PilotId, Vec<Outage>> = BTreeMap::new();
        let mut done = Vec::new();
        for (id, touched) in by_series {
            let rows = touched.iter().map(|touched| touched.row);
            let Some((pilot, series)) = self.registered_series(round.registry, id) else {
                done.extend(rows);
                continue;
            };
            let calendar = round.calendars.entry(&pilot.id).or_insert_with(|| Calendar::of(pilot));
            let outages = match outages.entry(&pilot.id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => vacant.insert(outages_of(&self.store, pilot)?),
            };
            let source = Source::new(id, (pilot, calendar), series, outages);
            match self.roll_up_series(&source, &touched, round.now) {
                Ok(derived) => {
                    let open = round.wanted.get(&pilot.id).map(|wanted| wanted.open);
                    let inputs = note(dirty, &source, &derived, open);
                    if inputs != Inputs::default() {
                        let why = touched.iter().map(|touched| Reasons::of_touched(touched.why));
                        round.note_reasons(&pilot.id, inputs, why.fold(Reasons::NONE, Reasons::and));
                    }
                    done.extend(rows);
                }
                Err(error @ (StoreError::Checksum { .. } | StoreError::Format { .. })) => {
                    tracing::error!(series = id.0, error = %error, "series not rolled up");
                    round.failed.extend(rows);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The series of a number, if it is registered now.
    fn registered_series<'a>(&self, registry: &'a Registry, id: SeriesId) -> Option<(&'a Pilot, &'a Series)> {
        let entry = self.store.entry(id).filter(|entry| entry.registration == Registration::Registered)?;
        let pilot = registry.pilots.get(&entry.key.pilot)?;
        let series = pilot.resolve(&entry.key.asset, &entry.key.name, entry.key.product.as_deref())?;
        Some((pilot, series))
    }

    /// The quarter-hours that a change at one instant of a series reaches; none if the registry does not declare it.
    ///
    /// # Errors
    /// On reading the store.
    pub fn reach(&self, id: SeriesId, at: UnixMillis) -> Result<Option<Window>, StoreError> {
        let registry = self.registry.get();
        let Some((pilot, series)) = self.registered_series(&registry, id) else { return Ok(None) };
        let calendar = Calendar::of(pilot);
        let ranges = Source::new(id, (pilot, &calendar), series, &[]).reach(&self.store, &[(at, at)])?;
        let window = |range: &Range| Window {
            start: UnixMillis(range.from * QUARTER_MS),
            end: UnixMillis(range.to * QUARTER_MS),
        };
        Ok(ranges.first().map(window))
    }

    /// Also notes what is to be projected of it: before the marks are deleted, so that nothing is left out.
    fn roll_up_series(
        &self,
        source: &Source<'_>,
        touched: &[&Touched],
        now: UnixMillis,
    ) -> Result<Derived, StoreError> {
        let spans: Vec<(UnixMillis, UnixMillis)> = touched.iter().map(|touched| (touched.from, touched.to)).collect();
        let ranges = source.reach(&self.store, &spans)?;
        let derived = source.derive(&self.store, &ranges, stored_sums(&self.store, source.id)?)?;
        let mut encoded = Vec::new();
        for (month, blob) in &derived.blobs {
            encoded.push((month.0, encode(source.id, blob)?));
        }
        for blobs in encoded.chunks(BLOBS_PER_TX) {
            self.store.write(|tx| blobs.iter().try_for_each(|(month, blob)| tx.put_rollup(source.id, *month, blob)))?;
        }
        let place = || format!("month_sums/{}", source.id.0);
        let sums = derived.sums.encode().map_err(|error| broken(place(), &error))?;
        self.store.write(|tx| {
            tx.put_month_sums(source.id, &sums)?;
            projection::note_series(tx, source.id, touched, &ranges, now)
        })?;
        Ok(derived)
    }

    /// Figures what is dirty; notes the pilots and indicators whose figures changed.
    fn figure(
        &self,
        dirty: &Dirty,
        round: &mut Round<'_>,
        marks: &mut Marks,
        changed: &mut Changed,
    ) -> Result<(), StoreError> {
        for (id, &inputs) in dirty {
            let (Some(pilot), Some(wanted)) = (round.registry.pilots.get(id), round.wanted.get(id)) else { continue };
            // Only open months changed: earlier ones than the first known would be closed and have set a bit.
            let known = marks.pilots.get(id).is_some_and(|mark| mark.serves(wanted) && mark.first.is_some());
            if known && inputs == Inputs::default() {
                continue;
            }
            let sums = stored_sums_of(self, pilot)?;
            let mark = Mark { first: sums.first(), ..wanted.clone() };
            let whole = marks.pilots.get(id) != Some(&mark);
            let inputs = if whole { Inputs::ALL } else { inputs };
            let calendar = round.calendars.entry(&pilot.id).or_insert_with(|| Calendar::of(pilot));
            let cut_off = round.cut_offs.get(id).copied().unwrap_or(UnixMillis(0));
            let as_of = AsOf { open: mark.open, cut_off };
            let figures = figure_pilot(self, (pilot, calendar), &sums, as_of, inputs)?;
            let bytes = postcard::to_stdvec(&mark).map_err(|error| broken(mark_key(id), &error))?;
            let key = mark_key(id);
            let before = marks.pilots.get(id).map(|before| mark.made_with.reasons_since(&before.made_with));
            let noted = round.reasons.remove(id).unwrap_or_default();
            let at = round.now;
            let reasons_of = |indicator: &Indicator| {
                let of_inputs = noted.iter().filter(|(inputs, _)| inputs.touch(indicator)).map(|(_, reasons)| *reasons);
                of_inputs.fold(before.unwrap_or_default(), Reasons::and)
            };
            let touch = |_: &Scope, indicator: &Indicator| Touch { at, reasons: reasons_of(indicator) };
            let differed = self.put_figures(figures, &touch, whole.then_some((&key, &bytes)))?;
            for (_, indicator) in differed.into_iter().filter(|(scope, _)| matches!(scope, Scope::Pilot(_))) {
                let reasons = reasons_of(&indicator);
                let known = changed.entry((id.clone(), indicator)).or_default();
                *known = known.and(reasons);
            }
            if whole {
                marks.pilots.insert(id.clone(), mark);
            }
        }
        Ok(())
    }

    /// Figures every group again if a pilot came, went or moved since the groups were figured last, or if a process ended
    /// after it had figured pilots and before their groups.
    fn figure_membership(&self, registry: &Registry, marks: &mut Marks, now: UnixMillis) -> Result<(), StoreError> {
        if marks.members.as_ref().is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), registry)) {
            return Ok(());
        }
        let is_first_look = marks.members.is_none();
        if is_first_look && self.store.meta(GROUPS_DUE_KEY)?.is_some_and(|due| !due.is_empty()) {
            self.figure_all_groups(registry, now, None)?;
            self.store.write(|tx| tx.put_meta(GROUPS_DUE_KEY, &[]))?;
        }
        let members = membership(registry);
        if self.store.meta(MEMBERS_KEY)?.as_deref() != Some(members.as_slice()) {
            self.figure_all_groups(registry, now, Some(Reason::RegistryChange.into()))?;
            self.store.write(|tx| tx.put_meta(MEMBERS_KEY, &members))?;
        }
        marks.members = Some(self.registry.get()).filter(|known| std::ptr::eq(Arc::as_ptr(known), registry));
        Ok(())
    }

    fn delete_marks(&self, rows: &[i64], orders: &[(i64, PilotId)]) -> Result<(), StoreError> {
        let order_rows: Vec<i64> = orders.iter().map(|(row, _)| *row).collect();
        for rows in rows.chunks(1_000) {
            self.store.write(|tx| tx.untouch(rows))?;
        }
        for rows in order_rows.chunks(1_000) {
            self.store.write(|tx| tx.untouch_orders(rows))?;
        }
        Ok(())
    }

    fn advance(&self, through: CommitNo) {
        let mut progress = lock(&self.shared.progress);
        progress.figured = progress.figured.max(through);
        drop(progress);
        self.shared.moved.notify_all();
    }

    /// The last commit that rollups and figures hold.
    pub(crate) fn figured(&self) -> CommitNo {
        lock(&self.shared.progress).figured
    }

    /// Runs `work` while no round runs. With [`Forget::Marks`] the next round reads the stored marks again.
    pub(crate) fn between_rounds<T>(
        &self,
        forget: Forget,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut marks = lock(&self.shared.round);
        if forget == Forget::Marks {
            *marks = Marks::default();
        }
        work()
    }

    /// Waits until `commit` is figured; rounds are run here if no follower runs them.
    pub(crate) fn wait(&self, commit: CommitNo, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        if !self.store.wait_settled(commit, timeout) {
            return false;
        }
        if lock(&self.shared.progress).n_followers == 0 {
            return self.catch_up().is_ok_and(|figured| figured >= commit);
        }
        let mut progress = lock(&self.shared.progress);
        while progress.figured < commit {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.moved.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Notes what changed of a pilot, and gives it: months that are still open change no figure.
fn note(dirty: &mut Dirty, source: &Source<'_>, derived: &Derived, open: Option<MonthNo>) -> Inputs {
    let entry = dirty.entry(source.pilot.id.clone()).or_default();
    if !derived.months.iter().any(|&month| open.is_none_or(|open| month < open)) {
        return Inputs::default();
    }
    let cycles = source.series.quantity == Quantity::TimeCycle;
    let changed = if cycles { Inputs::CYCLES } else { Inputs::SUMS };
    entry.0 |= changed;
    Inputs(changed)
}

/// Whether the marks held in memory still hold after what was done between two rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forget {
    Marks,
    Nothing,
}

/// Whether there may be more marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// Where the store keeps who belonged to which group when the groups were figured.
pub(crate) const MEMBERS_KEY: &str = "aggregator/members";

/// Set with the figures of pilots until those of their groups are written.
pub(crate) const GROUPS_DUE_KEY: &str = "aggregator/groups_due";

/// Who belongs to which group.
fn membership(registry: &Registry) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for (id, pilot) in &registry.pilots {
        hasher.update(format!("{id} {} {} {}\n", pilot.region, pilot.sector, pilot.class));
    }
    hasher.finalize().to_vec()
}

/// The follower's thread; stopped and joined when dropped.
pub(crate) struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    aggregator: Arc<Aggregator>,
}

impl Follower {
    pub(crate) fn start(aggregator: &Arc<Aggregator>) -> std::io::Result<Follower> {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, following) = (Arc::clone(&stop), Arc::clone(aggregator));
        let run = move || {
            while !flag.load(Ordering::Relaxed) {
                if let Err(error) = following.catch_up() {
                    tracing::error!(error = %error, "figures not brought up to date");
                    std::thread::sleep(WAIT);
                }
                following.store.wait_for_more(following.figured(), WAIT);
            }
        };
        lock(&aggregator.shared.progress).n_followers += 1;
        let thread = std::thread::Builder::new().name("aggregator".to_owned()).spawn(run)?;
        Ok(Follower { stop, thread: Some(thread), aggregator: Arc::clone(aggregator) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the aggregator's thread panicked");
        }
        lock(&self.aggregator.shared.progress).n_followers -= 1;
    }
}
