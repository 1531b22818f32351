//! Settling: moves whole journal rows into chunks, orders, rejections and counters, in rounds.
//!
//! A round reads a range of whole rows, groups the readings by series, and writes slices of series, each a transaction of
//! its own. Its last transaction writes what is counted, and `settled`. A round that was killed runs again: a slice that
//! is in already finds its readings stored and changes nothing.
//!
//! New readings of a series wait in small parts until there are [`MERGE_POINTS`] of them, then they go into its chunks; late
//! ones rewrite only the chunks they overlap.
//!
//! Invariants:
//! - the state after a round depends on the readings alone, not on slices, kills or the order of arrival;
//! - a `touched` span is written in the transaction of the change, and only for a change;
//! - plans are made outside the transaction, so that a transaction is short; only the settler writes chunks, and only one
//!   settles at a time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::{OrderEvent, PilotId, Reading, SeriesId, UnixMillis};
use rusqlite::{Connection, Transaction, params};

use crate::api::{CatalogueEntry, CommitNo};
use crate::chunk;
use crate::error::{StoreError, reading, writing};
use crate::finish::{self, DamagedRow, Ending};
use crate::merge::{MERGE_POINTS, against, cut, place, resolve, union};
use crate::open::Store;
use crate::order;
use crate::progress::{Due, Settler, TAIL_READINGS_MAX};
use crate::read::{self, StoredPart};
use crate::rejection;
use crate::replay::{Found, each_row};
use crate::row::{self, Points};
use crate::schema::{JOURNAL_FILE, checkpointer, journal_reader, sql, store_reader};
use crate::seal::seal;
use crate::sequence;
use crate::writer::{Checkpoint, checkpoint, wal_bytes};

/// A round stops at the row that reaches this: see [`TAIL_READINGS_MAX`].
const ROUND_READINGS: usize = usize_of(TAIL_READINGS_MAX);
/// Room beyond that for the row that reaches it: a commit of a hundred full messages.
const ROUND_ROOM: usize = 200_000;
/// A round stops at this many bytes of rows, so that large rejections do not fill the memory.
const ROUND_BYTES: usize = 96 << 20;
/// A round stops at this many rejections: its last transaction holds them all, at some 20 µs each.
const ROUND_ENDINGS: usize = 2_000;
/// Series in one transaction: some 20 ms.
const SLICE_SERIES: usize = 500;
/// Bytes of chunks in one transaction: some 20 ms of writing.
const SLICE_BYTES: usize = 2 << 20;
/// Order events in one transaction.
const SLICE_ORDERS: usize = 1_000;
/// Small parts of a series; one more and they become one.
const PARTS_MAX: usize = 8;
/// The journal's log is copied back beyond the first, and made to begin again beyond the second: commits then wait for
/// the few pages that came in meanwhile.
const JOURNAL_WAL_COPY: u64 = 8 << 20;
const JOURNAL_WAL_RESTART: u64 = 64 << 20;
/// After a failed round (a full disk): long enough not to fill the log, short enough to recover by itself.
const RETRY: Duration = Duration::from_secs(1);

const fn usize_of(n: u64) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "a constant of two million")]
    let n = n as usize;
    n
}

/// The settler's connections.
pub(crate) struct Workbench {
    journal: Connection,
    store: Connection,
    checkpointer: Connection,
    /// Transactions until a test's fault strikes.
    #[cfg(test)]
    pub(crate) until_fault: Option<u32>,
}

impl Workbench {
    pub(crate) fn open(store: &Store) -> Result<Workbench, StoreError> {
        Ok(Workbench {
            journal: journal_reader(&store.dir)?,
            store: store_reader(&store.dir)?,
            checkpointer: checkpointer(&store.dir.join(JOURNAL_FILE))?,
            #[cfg(test)]
            until_fault: None,
        })
    }

    /// One write transaction; between two of them the journal's log is kept short.
    fn write<T>(
        &mut self,
        store: &Store,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        if let Some(left) = &mut self.until_fault {
            *left = left.checked_sub(1).ok_or(StoreError::Poisoned)?;
        }
        let done = store.writer()?.write(work)?;
        self.copy_journal(store)?;
        Ok(done)
    }

    fn copy_journal(&self, store: &Store) -> Result<(), StoreError> {
        let wal = store.journal_wal();
        if wal_bytes(&wal) > JOURNAL_WAL_COPY {
            checkpoint(&self.checkpointer, Checkpoint::Passive)?;
        }
        if wal_bytes(&wal) > JOURNAL_WAL_RESTART {
            checkpoint(&self.checkpointer, Checkpoint::Restart)?;
        }
        Ok(())
    }
}

/// A range of whole journal rows in memory.
#[derive(Default)]
struct Round {
    points: Points,
    orders: Vec<(PilotId, OrderEvent)>,
    entries: Vec<CatalogueEntry>,
    sequences: BTreeMap<sequence::Key, Vec<u64>>,
    ending: Ending,
    n_bytes: usize,
    n_endings: usize,
}

impl Round {
    /// Reads rows after `after` up to `last` until the round is full.
    fn read(journal: &Connection, after: CommitNo, last: CommitNo, expected: u64) -> Result<Round, StoreError> {
        let n_expected = usize::try_from(expected).unwrap_or(ROUND_READINGS).min(ROUND_READINGS + ROUND_ROOM);
        let mut round = Round { points: Points::with_room(n_expected), ..Round::default() };
        round.ending.through = after;
        each_row(journal, after, |found| {
            // A row may be visible a moment before its committer counted it: it belongs to the next round.
            if found.commit > last {
                return Ok(false);
            }
            round.take(found);
            Ok(round.points.len() < ROUND_READINGS && round.n_bytes < ROUND_BYTES && round.n_endings < ROUND_ENDINGS)
        })?;
        Ok(round)
    }

    fn take(&mut self, found: &Found<'_>) {
        self.n_bytes += found.blob.len();
        self.ending.through = found.commit;
        self.ending.at = Some(found.at);
        self.ending.chain = row::chain_of(found.blob);
        if let Err(error) = self.open(found) {
            tracing::error!(error = &error as &dyn std::error::Error, "journal row is damaged and set aside");
            let (commit, at, reason) = (found.commit, found.at, error.to_string());
            self.ending.damaged.push(DamagedRow { commit, at, reason, blob: found.blob.to_vec() });
        }
    }

    fn open(&mut self, found: &Found<'_>) -> Result<(), StoreError> {
        let row = found.open()?;
        let mut parts = row.parts()?;
        row.readings_into(&mut self.points)?;
        self.ending.hashes.extend(row.hashes());
        self.ending.counters.add(&parts.counters);
        self.orders.append(&mut parts.orders);
        self.entries.append(&mut parts.entries);
        self.n_endings += parts.rejections.len() + parts.replayed.len();
        for group in parts.sequences.drain(..) {
            self.sequences.entry((group.pilot, group.gateway, group.boot)).or_default().extend(group.seqs);
        }
        self.ending.take(parts);
        Ok(())
    }

    /// Indexes of the readings, ordered by series and within one as they came.
    fn by_series(&self) -> Vec<u32> {
        let n_series = (0..self.points.len()).map(|idx| self.points.series(idx) as usize + 1).max().unwrap_or(0);
        let mut starts = vec![0u32; n_series + 1];
        (0..self.points.len()).for_each(|idx| starts[self.points.series(idx) as usize + 1] += 1);
        (1..starts.len()).for_each(|idx| starts[idx] += starts[idx - 1]);
        let mut order = vec![0u32; self.points.len()];
        for idx in 0..self.points.len() {
            let start = &mut starts[self.points.series(idx) as usize];
            // Safe because a round holds a few million readings.
            order[*start as usize] = u32::try_from(idx).expect("fewer than 2^32 readings in a round");
            *start += 1;
        }
        order
    }
}

/// A chunk ready to be written.
struct NewChunk {
    first_at: i64,
    last_at: i64,
    n: usize,
    blob: Vec<u8>,
}

impl NewChunk {
    fn of(place: &str, readings: &[Reading]) -> Result<NewChunk, StoreError> {
        // Safe because a chunk and a part hold at least one reading.
        let (first, last) = readings.first().zip(readings.last()).expect("a chunk has readings");
        let blob = seal(place, &chunk::encode(readings)?);
        Ok(NewChunk { first_at: first.at.0, last_at: last.at.0, n: readings.len(), blob })
    }
}

/// What settling does to one series.
struct Plan {
    series: SeriesId,
    latest: i64,
    touched: Option<(i64, i64)>,
    losers: Vec<Reading>,
    /// Stored parts that go: they are in what is written.
    parts_go: Vec<i64>,
    part: Option<(i64, NewChunk)>,
    chunks_go: Vec<i64>,
    chunks: Vec<NewChunk>,
}

impl Plan {
    fn n_bytes(&self) -> usize {
        self.part.iter().map(|(_, part)| part.blob.len()).sum::<usize>()
            + self.chunks.iter().map(|chunk| chunk.blob.len()).sum::<usize>()
    }

    /// Compares the new readings with what is stored, and says what to write.
    fn make(conn: &Connection, series: SeriesId, fresh: impl Fn() -> Vec<Reading>) -> Result<Plan, StoreError> {
        match Plan::merged(conn, series, fresh()) {
            Ok(plan) => Ok(plan),
            Err(error @ (StoreError::Checksum { .. } | StoreError::Format { .. })) => {
                tracing::error!(error = &error as &dyn std::error::Error, series = series.0, "chunk is damaged");
                Plan::beside_damage(conn, series, fresh())
            }
            Err(error) => Err(error),
        }
    }

    fn merged(conn: &Connection, series: SeriesId, mut fresh: Vec<Reading>) -> Result<Plan, StoreError> {
        let mut plan = Plan::empty(series);
        resolve(&mut fresh, &mut plan.losers);
        let Some((first, last)) = ends(&fresh) else {
            return Ok(plan);
        };
        plan.latest = last;
        let parts = read::parts(conn, series)?;
        for part in parts.iter().filter(|part| part.first_at <= last && part.last_at >= first) {
            against(&mut fresh, &part.readings(series)?, &mut plan.losers);
        }
        let mut decoded = BTreeMap::new();
        for extent in read::extents(conn, series, first, last)? {
            if fresh.iter().any(|reading| (extent.first_at..=extent.last_at).contains(&reading.at.0)) {
                let stored = read::chunk(conn, series, &extent)?;
                against(&mut fresh, &stored, &mut plan.losers);
                decoded.insert(extent.row, stored);
            }
        }
        plan.touched = ends(&fresh);
        if fresh.is_empty() {
            return Ok(plan);
        }
        let n_waiting: usize = parts.iter().map(|part| part.n).sum();
        if n_waiting + fresh.len() >= MERGE_POINTS {
            let all = with_parts(series, &parts, fresh)?;
            plan.parts_go = parts.iter().map(|part| part.part).collect();
            plan.add_chunks(conn, all, decoded)?;
        } else {
            let next = parts.last().map_or(1, |part| part.part + 1);
            plan.add_part(&parts, next, fresh)?;
        }
        Ok(plan)
    }

    /// A stored chunk or part does not read: the new readings wait beside it in a part, whatever they are, and what reads
    /// of the series stays readable.
    fn beside_damage(conn: &Connection, series: SeriesId, mut fresh: Vec<Reading>) -> Result<Plan, StoreError> {
        let mut plan = Plan::empty(series);
        resolve(&mut fresh, &mut plan.losers);
        plan.touched = ends(&fresh);
        if let Some((_, last)) = plan.touched {
            plan.latest = last;
            let mut parts = read::parts(conn, series)?;
            let next = parts.last().map_or(1, |part| part.part + 1);
            parts.retain(|part| part.readings(series).is_ok());
            plan.add_part(&parts, next, fresh)?;
        }
        Ok(plan)
    }

    fn empty(series: SeriesId) -> Plan {
        let (losers, parts_go, chunks_go, chunks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Plan { series, latest: i64::MIN, touched: None, losers, parts_go, part: None, chunks_go, chunks }
    }

    /// The new readings as part number `next`; with too many parts there, all become one.
    fn add_part(&mut self, parts: &[StoredPart], next: i64, fresh: Vec<Reading>) -> Result<(), StoreError> {
        let mut readings = fresh;
        if parts.len() >= PARTS_MAX {
            self.parts_go = parts.iter().map(|part| part.part).collect();
            readings = with_parts(self.series, parts, readings)?;
        }
        self.part = Some((next, NewChunk::of(&read::part_place(self.series, next), &readings)?));
        Ok(())
    }

    fn add_chunks(
        &mut self,
        conn: &Connection,
        all: Vec<Reading>,
        mut decoded: BTreeMap<i64, Vec<Reading>>,
    ) -> Result<(), StoreError> {
        let Some((first, last)) = ends(&all) else {
            return Ok(());
        };
        let extents = read::extents(conn, self.series, first, last)?;
        for placed in place(&all, &extents) {
            let run = all[placed.from..placed.to].to_vec();
            let readings = match placed.into {
                None => run,
                Some(extent) => {
                    self.chunks_go.push(extent.row);
                    let stored = match decoded.remove(&extent.row) {
                        Some(stored) => stored,
                        None => read::chunk(conn, self.series, &extent)?,
                    };
                    union(stored, run)
                }
            };
            for piece in cut(&readings) {
                let place = read::chunk_place(self.series, piece[0].at.0);
                self.chunks.push(NewChunk::of(&place, piece)?);
            }
        }
        Ok(())
    }

    fn write(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let failed = writing("a chunk");
        let series = self.series.0;
        for part in &self.parts_go {
            tx.prepare_cached("DELETE FROM part WHERE series = ?1 AND part = ?2")
                .and_then(|mut statement| statement.execute(params![series, part]))
                .map_err(&failed)?;
        }
        for row in &self.chunks_go {
            tx.prepare_cached("DELETE FROM chunk WHERE id = ?1")
                .and_then(|mut statement| statement.execute([row]))
                .map_err(&failed)?;
        }
        for chunk in &self.chunks {
            let values = params![series, chunk.first_at, chunk.last_at, sql(chunk.n as u64), chunk.blob];
            tx.prepare_cached("INSERT INTO chunk(series, first_at, last_at, n, blob) VALUES (?1, ?2, ?3, ?4, ?5)")
                .and_then(|mut statement| statement.execute(values))
                .map_err(&failed)?;
        }
        if let Some((number, part)) = &self.part {
            let values = params![series, number, part.first_at, part.last_at, sql(part.n as u64), part.blob];
            tx.prepare_cached(
                "INSERT INTO part(series, part, first_at, last_at, n, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut statement| statement.execute(values))
            .map_err(&failed)?;
        }
        if let Some((from, to)) = self.touched {
            tx.prepare_cached("INSERT INTO touched(series, first_at, last_at) VALUES (?1, ?2, ?3)")
                .and_then(|mut statement| statement.execute(params![series, from, to]))
                .map_err(writing("touched spans"))?;
        }
        self.losers.iter().try_for_each(|loser| read::write_conflict(tx, self.series, loser))
    }
}

fn ends(readings: &[Reading]) -> Option<(i64, i64)> {
    Some((readings.first()?.at.0, readings.last()?.at.0))
}

/// The stored parts and the new readings as one sorted list.
fn with_parts(series: SeriesId, parts: &[StoredPart], fresh: Vec<Reading>) -> Result<Vec<Reading>, StoreError> {
    let mut all = fresh;
    for part in parts {
        all.extend(part.readings(series)?);
    }
    // What lost against a stored part was noted when it came.
    resolve(&mut all, &mut Vec::new());
    Ok(all)
}

/// Plans that are written together.
#[derive(Default)]
struct Slice {
    plans: Vec<Plan>,
    n_bytes: usize,
}

impl Slice {
    fn push(&mut self, plan: Plan) {
        self.n_bytes += plan.n_bytes();
        self.plans.push(plan);
    }

    fn is_full(&self) -> bool {
        self.plans.len() >= SLICE_SERIES || self.n_bytes >= SLICE_BYTES
    }

    fn write(&self, store: &Store, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let mut latest: BTreeMap<PilotId, i64> = BTreeMap::new();
        {
            let catalogue = store.catalogue.read().unwrap_or_else(PoisonError::into_inner);
            for plan in &self.plans {
                if let Some(entry) = catalogue.entry(plan.series) {
                    let at = latest.entry(entry.key.pilot.clone()).or_insert(plan.latest);
                    *at = plan.latest.max(*at);
                }
            }
        }
        self.plans.iter().try_for_each(|plan| plan.write(tx))?;
        latest.iter().try_for_each(|(pilot, at)| order::raise_cutoff(tx, pilot, UnixMillis(*at)))
    }
}

impl Store {
    /// Settles everything committed so far, on this thread (for tests, tools and shutdown).
    ///
    /// # Errors
    /// On reading the journal or writing the store.
    pub fn settle_now(&self) -> Result<CommitNo, StoreError> {
        self.writer()?;
        let mut bench = crate::progress::locked(&self.workbench);
        let bench = match &mut *bench {
            Some(bench) => bench,
            empty => empty.insert(Workbench::open(self)?),
        };
        let target = self.last_commit();
        while self.settled_through() < target {
            self.round(bench)?;
        }
        Ok(self.settled_through())
    }

    fn round(&self, bench: &mut Workbench) -> Result<(), StoreError> {
        let (settled, last, n_waiting) = self.progress.lock().waiting();
        let mut round = Round::read(&bench.journal, CommitNo(settled), CommitNo(last), n_waiting)?;
        if round.ending.through == self.settled_through() {
            // Commits that were counted but whose rows are gone: they can only have been lost on disk.
            let text = format!("no row after commit {} up to {}", round.ending.through.0, self.last_commit().0);
            return Err(StoreError::Format { place: JOURNAL_FILE.to_owned(), text });
        }
        let entries = std::mem::take(&mut round.entries);
        if !entries.is_empty() {
            bench.write(self, |tx| entries.iter().try_for_each(|entry| read::write_entry(tx, entry)))?;
        }
        self.settle_readings(bench, &round)?;
        for orders in round.orders.chunks(SLICE_ORDERS) {
            bench.write(self, |tx| order::write(tx, orders))?;
        }
        let sequences: Vec<_> = round.sequences.iter().collect();
        for groups in sequences.chunks(SLICE_SERIES) {
            bench.write(self, |tx| sequence::write(tx, round.ending.through, groups))?;
        }
        let ending = &round.ending;
        let catalogue = |pilot: &PilotId| self.catalogue_of(pilot);
        let (counters, kept) =
            bench.write(self, |tx| Ok((finish::write(tx, ending, &catalogue)?, rejection::kept_bytes(tx)?)))?;
        self.writer()?.note_settled(ending.through);
        self.rejection_bytes.store(kept, Ordering::Relaxed);
        self.progress.settled(ending.through.0, &ending.counters, counters);
        tracing::debug!(n_readings = round.points.len(), through = ending.through.0, "round settled");
        Ok(())
    }

    fn settle_readings(&self, bench: &mut Workbench, round: &Round) -> Result<(), StoreError> {
        let order = round.by_series();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut slice = Slice::default();
            let tx = bench.store.unchecked_transaction().map_err(reading("the store"))?;
            while let Some(&first) = rest.first().filter(|_| !slice.is_full()) {
                let series = round.points.series(first as usize);
                let n = rest.partition_point(|&idx| round.points.series(idx as usize) == series);
                let (of_series, later) = rest.split_at(n);
                rest = later;
                let fresh = || of_series.iter().map(|&idx| round.points.reading(idx as usize)).collect();
                slice.push(Plan::make(&tx, SeriesId(series), fresh)?);
            }
            drop(tx);
            bench.write(self, |tx| slice.write(self, tx))?;
        }
        Ok(())
    }

    /// Starts the settling thread; it stops when the returned guard is dropped.
    ///
    /// # Panics
    /// If the system has no thread left.
    pub fn start_settling(self: &Arc<Store>) -> SettleGuard {
        self.progress.lock().is_settling = Settler::Running;
        let store = Arc::clone(self);
        let thread = std::thread::Builder::new().name("settle".to_owned()).spawn(move || store.settle_until_stopped());
        // Safe because a system without a thread left at the start cannot serve at all.
        SettleGuard { store: Arc::clone(self), thread: Some(thread.expect("a thread for settling")) }
    }

    fn settle_until_stopped(&self) {
        while self.progress.next_work() == Due::Now {
            if let Err(error) = self.settle_now() {
                tracing::error!(error = &error as &dyn std::error::Error, "settling failed and is tried again");
                let shared = self.progress.lock();
                let waited = self
                    .progress
                    .work
                    .wait_timeout_while(shared, RETRY, |shared| shared.is_settling != Settler::Stopping);
                drop(waited);
            }
        }
        if let Err(error) = self.settle_now().and_then(|_| self.checkpoint()) {
            tracing::error!(error = &error as &dyn std::error::Error, "last settling failed; the next start goes on");
        }
    }
}

/// Stops the settling thread when dropped (after a last round).
pub struct SettleGuard {
    store: Arc<Store>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for SettleGuard {
    fn drop(&mut self) {
        self.store.progress.lock().is_settling = Settler::Stopping;
        self.store.progress.work.notify_all();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("settling thread panicked; what it had not settled is in the journal");
        }
        self.store.progress.lock().is_settling = Settler::None;
    }
}
