//! The store itself: opening the data directory, and the parts that need nothing but memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use model::{PilotId, SeriesId, SeriesKey, UnixMillis};
use rusqlite::Connection;

use crate::api::{Access, CatalogueEntry, CommitNo, Counters, Registration};
use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::progress::{Ask, Progress, Settler, TailRow, locked};
use crate::rejection::{self, REJECTION_BYTES_MAX};
use crate::replay::Tail;
use crate::schema::{JOURNAL_FILE, STORE_FILE, journal_reader, journal_writer, store_reader};
use crate::settle::Workbench;
use crate::writer::Writer;
use crate::{read, replay, wal};

/// Connections that read at one time; a further reader waits for one. Two cores serve no more queries than this.
const READERS: usize = 4;

/// The store: shared by all threads of the owner. Cheap to clone behind `Arc`.
///
/// Opened as [`Access::Reader`] beside a running owner, readings, rollups and figures are as current as the files, while
/// catalogue, counters and commit numbers are those of the moment of opening.
pub struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) catalogue: RwLock<Catalogue>,
    pub(crate) progress: Progress,
    readers: Readers,
    /// None for [`Access::Reader`].
    writer: Option<Writer>,
    pub(crate) workbench: Mutex<Option<Workbench>>,
    /// The journal's connection for commits, until the committer takes it.
    pub(crate) committing: Mutex<Option<Connection>>,
    pub(crate) is_journal_taken: AtomicBool,
    pub(crate) is_poisoned: AtomicBool,
    pub(crate) rejection_bytes: AtomicU64,
    /// Last, so that the directory is free only once every file is closed.
    _lock: Option<Lock>,
}

/// A new directory is durable once its parent was synced: a power cut must not take the first commits with it.
fn create_dir(dir: &Path) -> std::io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    match dir.canonicalize()?.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// SQLite drops what stands behind a damaged frame of a log without a word: it is told, and the log kept.
fn tell_lost_logs(dir: &Path) {
    for name in [JOURNAL_FILE, STORE_FILE] {
        let wal = dir.join(format!("{name}-wal"));
        match wal::lost(&wal) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let kept = wal::aside(&wal);
                let copied = std::fs::copy(&wal, &kept).map(drop);
                tracing::error!(%text, kept = %kept.display(), ?copied, "write-ahead log is damaged");
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, wal = %wal.display(), "log does not read");
            }
        }
    }
}

/// A few connections to `store.sqlite`, opened when first needed.
#[derive(Default)]
struct Readers {
    idle: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    n_open: usize,
}

/// A connection that goes back to the others when dropped.
struct Borrowed<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut idle = locked(&self.readers.idle);
        match self.conn.take() {
            Some(conn) => idle.connections.push(conn),
            None => idle.n_open -= 1,
        }
        drop(idle);
        self.readers.returned.notify_one();
    }
}

impl Readers {
    fn borrow(&self) -> Borrowed<'_> {
        let mut idle = locked(&self.idle);
        loop {
            if let Some(conn) = idle.connections.pop() {
                return Borrowed { readers: self, conn: Some(conn) };
            }
            if idle.n_open < READERS {
                idle.n_open += 1;
                return Borrowed { readers: self, conn: None };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Store {
    /// Opens or creates the data directory; as owner takes the lock, reads back `synchronous`, loads catalogue and tail.
    ///
    /// # Errors
    /// Names the directory and the owner if it is locked, the file and the step otherwise.
    pub fn open(dir: &Path, access: Access) -> Result<Arc<Store>, StoreError> {
        let (lock, writer, committing) = match access {
            Access::Owner => {
                create_dir(dir).map_err(|source| StoreError::CreateDir { dir: dir.to_owned(), source })?;
                let lock = Lock::take(dir)?;
                tell_lost_logs(dir);
                let committing = journal_writer(dir)?;
                (Some(lock), Some(Writer::open(dir)?), Some(committing))
            }
            Access::Reader => (None, None, None),
        };
        let store = Store {
            dir: dir.to_owned(),
            catalogue: RwLock::default(),
            progress: Progress::default(),
            readers: Readers::default(),
            writer,
            workbench: Mutex::new(None),
            committing: Mutex::new(committing),
            is_journal_taken: AtomicBool::new(false),
            is_poisoned: AtomicBool::new(false),
            rejection_bytes: AtomicU64::new(0),
            _lock: lock,
        };
        store.load()?;
        Ok(Arc::new(store))
    }

    /// Whether a store was ever opened in this directory.
    pub fn exists(dir: &Path) -> bool {
        [JOURNAL_FILE, STORE_FILE].iter().all(|name| dir.join(name).is_file())
    }

    /// Catalogue, counters and commit numbers from both files. A damaged row is told and passed over: the others count.
    fn load(&self) -> Result<(), StoreError> {
        let journal = journal_reader(&self.dir)?;
        let tail = Tail::snapshot(&journal)?;
        let mut catalogue = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let (state, kept) = self.read(|conn| {
            read::each_entry(conn, |entry| catalogue.load(entry))?;
            catalogue.reserve(read::next_series(conn)?);
            Ok((replay::State::read(conn)?, rejection::kept_bytes(conn)?))
        })?;
        self.rejection_bytes.store(kept, Ordering::Relaxed);
        if let Some(writer) = &self.writer {
            writer.note_settled(state.settled);
        }
        let mut shared = self.progress.lock();
        shared.start_at(state.settled.0, state.settled_at, state.counters.clone());
        let since = Instant::now();
        tail.each_length(|commit, at, n_bytes| {
            if commit.0 <= state.settled.0 {
                let row = TailRow { commit: commit.0, n_readings: 0, n_bytes, since };
                shared.committed(row, at, &Counters::default());
            }
        })?;
        tail.each(state.settled, |found| {
            let mut row = TailRow { commit: found.commit.0, n_readings: 0, n_bytes: found.blob.len() as u64, since };
            let mut counters = Counters::default();
            match found.open().and_then(|row| Ok((row.n_readings(), row.parts()?))) {
                Ok((n_readings, parts)) => {
                    catalogue.reserve(parts.next_series);
                    parts.entries.into_iter().for_each(|entry| catalogue.load(entry));
                    row.n_readings = n_readings;
                    counters = parts.counters;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "journal row is damaged and set aside");
                }
            }
            shared.committed(row, found.at, &counters);
            Ok(())
        })
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `work` on a connection that reads `store.sqlite`, inside one snapshot.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut borrowed = self.readers.borrow();
        let conn = match borrowed.conn.take() {
            Some(conn) => conn,
            None => store_reader(&self.dir)?,
        };
        let conn = borrowed.conn.insert(conn);
        let tx = conn.unchecked_transaction().map_err(crate::error::reading("the store"))?;
        // The transaction only reads: dropping it ends the snapshot.
        work(&tx)
    }

    /// The writing side.
    pub(crate) fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// The path of the write-ahead log of the journal.
    pub(crate) fn journal_wal(&self) -> PathBuf {
        self.dir.join(format!("{JOURNAL_FILE}-wal"))
    }

    /// Copies both write-ahead logs back and cuts them off, as a clean stop does.
    ///
    /// # Errors
    /// On writing, or if the store was opened for reading.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.writer()?.checkpoint()?;
        let journal = crate::schema::checkpointer(&self.dir.join(JOURNAL_FILE))?;
        crate::writer::checkpoint(&journal, crate::writer::Checkpoint::Truncate).map(drop)
    }

    /// The sizes of both files and their write-ahead logs, in bytes.
    pub fn disk_bytes(&self) -> u64 {
        let names = [JOURNAL_FILE, STORE_FILE].map(|name| [name.to_owned(), format!("{name}-wal")]);
        names.iter().flatten().map(|name| crate::writer::wal_bytes(&self.dir.join(name))).sum()
    }

    // ---- catalogue: any thread

    /// The number of a series, given one if it is new. New numbers travel in the next commit.
    ///
    /// A store opened for reading gives numbers that nobody else knows: use [`Store::lookup`] there.
    pub fn intern(&self, key: &SeriesKey, registration: &Registration) -> SeriesId {
        if let Some(id) = self.lookup(key, registration) {
            return id;
        }
        self.catalogue.write().unwrap_or_else(PoisonError::into_inner).intern(key, registration)
    }

    /// The number of a series if it has one.
    pub fn lookup(&self, key: &SeriesKey, registration: &Registration) -> Option<SeriesId> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).lookup(key, registration)
    }

    /// Every series of a pilot, by number.
    pub fn catalogue_of(&self, pilot: &PilotId) -> Vec<CatalogueEntry> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).of_pilot(pilot)
    }

    /// One series.
    pub fn entry(&self, id: SeriesId) -> Option<CatalogueEntry> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).entry(id).cloned()
    }

    /// How many unregistered series a pilot has.
    pub fn n_unregistered(&self, pilot: &PilotId) -> usize {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).n_unregistered(pilot)
    }

    // ---- progress

    /// The last commit.
    pub fn last_commit(&self) -> CommitNo {
        CommitNo(self.progress.lock().last)
    }

    /// Counters of all time, settled and not.
    ///
    /// What a replayed rejection moves (`rejected` to `committed`) shows once its commit is settled.
    pub fn counters(&self) -> Counters {
        self.progress.lock().counters()
    }

    /// The last commit that is settled.
    pub fn settled_through(&self) -> CommitNo {
        CommitNo(self.progress.lock().settled)
    }

    /// Asks for settling now and waits until `commit` is settled; false on time-out.
    ///
    /// Where no thread settles (tools, tests) it is done on this one.
    pub fn wait_settled(&self, commit: CommitNo, timeout: Duration) -> bool {
        if self.progress.lock().is_settling == Settler::None && self.writer.is_some() {
            return match self.settle_now() {
                Ok(settled) => settled >= commit,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "settling failed");
                    false
                }
            };
        }
        commit.0 == 0 || self.progress.wait_beyond(commit.0 - 1, timeout, Ask::Now) >= commit.0
    }

    /// Waits until something is settled beyond `seen`, or the time is out; returns what is settled.
    pub fn wait_for_more(&self, seen: CommitNo, timeout: Duration) -> CommitNo {
        CommitNo(self.progress.wait_beyond(seen.0, timeout, Ask::Wait))
    }

    /// When the oldest commit after `after` was committed; none if there is none.
    ///
    /// Of commits that were settled before this process started only the last one's time is known: it stands for them.
    pub fn oldest_commit_after(&self, after: CommitNo) -> Option<UnixMillis> {
        self.progress.lock().oldest_after(after)
    }

    /// Bytes of rejected messages kept, and the bound.
    pub fn rejection_bytes(&self) -> (u64, u64) {
        (self.rejection_bytes.load(Ordering::Relaxed), REJECTION_BYTES_MAX)
    }
}
