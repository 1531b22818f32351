//! The acknowledgement path: one row, one fsync, one commit.
//!
//! A write that fails for any reason but a full disk poisons the journal: what an fsync left behind is unknown, and trying
//! it again would lie (the kernel forgets the pages it could not write). The process stops and starts again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use model::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

use crate::api::{Batch, CatalogueEntry, CommitNo};
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::progress::{TailRow, locked};
use crate::replay::State;
use crate::row::{self, Heading};
use crate::schema::{journal_writer, sql};

/// Rows deleted in one go: a few milliseconds, so that the next commit does not wait for more.
const TRIM_ROWS: usize = 64;
/// Bytes deleted in one go, for the same reason where rows are large.
const TRIM_BYTES: u64 = 8 << 20;

/// The journal's only writer, owned by the committer thread.
pub struct Journal {
    store: Arc<Store>,
    conn: Connection,
    chain: u64,
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.store.is_journal_taken.store(false, Ordering::Release);
    }
}

impl Store {
    /// The journal's writer; may be taken once, and again after it was dropped.
    ///
    /// # Errors
    /// If it was taken, or the file cannot be opened for writing.
    pub fn journal(self: &Arc<Store>) -> Result<Journal, StoreError> {
        self.writer()?;
        if self.is_journal_taken.swap(true, Ordering::AcqRel) {
            return Err(StoreError::JournalTaken);
        }
        let opened = self.opened();
        if opened.is_err() {
            self.is_journal_taken.store(false, Ordering::Release);
        }
        let (conn, chain) = opened?;
        Ok(Journal { store: Arc::clone(self), conn, chain })
    }

    /// The connection, and what the next row links to.
    fn opened(&self) -> Result<(Connection, u64), StoreError> {
        let waiting = locked(&self.committing).take();
        let conn = waiting.map_or_else(|| journal_writer(&self.dir), Ok)?;
        let last: Option<(i64, Vec<u8>)> = conn
            .query_row("SELECT commit_no, blob FROM journal ORDER BY commit_no DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(reading("the last row of the journal"))?;
        let state = self.read(State::read)?;
        let chain = match last.filter(|(commit, _)| *commit > sql(state.settled.0)) {
            Some((_, blob)) => row::chain_of(&blob),
            None => state.chain,
        };
        Ok((conn, chain))
    }
}

impl Journal {
    /// Writes the batch as one row and fsyncs it. After an error the journal takes nothing more.
    ///
    /// # Errors
    /// On writing; `is_disk_full` tells a full disk (may be tried again) from a poisoned journal.
    pub fn commit(&mut self, at: UnixMillis, batch: &Batch) -> Result<CommitNo, StoreError> {
        if self.store.is_poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Poisoned);
        }
        self.store.progress.throttle();
        let (entries, next_series) = {
            let mut catalogue = self.store.catalogue.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            (catalogue.take_pending(), catalogue.next())
        };
        let commit = CommitNo(self.store.last_commit().0 + 1);
        let heading = Heading { commit, at, chain: self.chain, next_series, entries: &entries };
        let written = row::encode(&heading, batch).and_then(|blob| self.insert(commit, at, blob));
        match written {
            Ok(blob) => {
                self.chain = row::chain_of(&blob);
                let n_readings = batch.readings.len() as u64;
                let row = TailRow { commit: commit.0, n_readings, n_bytes: blob.len() as u64, since: Instant::now() };
                self.store.progress.committed(row, at, &batch.counters);
                Ok(commit)
            }
            Err(error) => Err(self.failed(error, entries)),
        }
    }

    /// One statement is one transaction: it is on disk when this returns.
    fn insert(&self, commit: CommitNo, at: UnixMillis, blob: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let failed = |source| StoreError::Commit { commit: commit.0, source };
        let mut statement =
            self.conn.prepare_cached("INSERT INTO journal(commit_no, at, blob) VALUES (?1, ?2, ?3)").map_err(failed)?;
        statement.execute(params![sql(commit.0), at.0, blob]).map_err(failed)?;
        Ok(blob)
    }

    /// Keeps the entries for the next commit if there may be one, and poisons the journal if there may not.
    fn failed(&mut self, error: StoreError, entries: Vec<CatalogueEntry>) -> StoreError {
        self.store.catalogue.write().unwrap_or_else(std::sync::PoisonError::into_inner).put_back(entries);
        let is_harmless = matches!(error, StoreError::Encode { .. }) || error.is_disk_full();
        if !is_harmless {
            self.store.is_poisoned.store(true, Ordering::Release);
            tracing::error!(error = &error as &dyn std::error::Error, "journal is poisoned and takes nothing more");
        }
        error
    }

    /// Deletes a bounded number of settled rows; call it between two commits and when idle.
    ///
    /// # Errors
    /// On writing.
    pub fn trim(&mut self) -> Result<(), StoreError> {
        let Some(through) = self.trimmable()? else {
            return Ok(());
        };
        self.conn
            .prepare_cached("DELETE FROM journal WHERE commit_no <= ?1")
            .and_then(|mut statement| statement.execute([sql(through)]))
            .map_err(writing("settled rows of the journal away"))?;
        self.store.progress.lock().rows.retain(|row| row.commit > through);
        Ok(())
    }

    /// The last of the rows to delete now.
    fn trimmable(&self) -> Result<Option<u64>, StoreError> {
        let copied = self.store.writer()?.copied_through().0;
        let shared = self.store.progress.lock();
        let settled = shared.rows.iter().take_while(|row| row.commit <= shared.settled.min(copied)).take(TRIM_ROWS);
        let mut n_bytes = 0;
        let fits = settled.take_while(|row| {
            let is_first = n_bytes == 0;
            n_bytes += row.n_bytes;
            is_first || n_bytes <= TRIM_BYTES
        });
        Ok(fits.last().map(|row| row.commit))
    }
}
