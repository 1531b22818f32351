//! The store's one writing connection, shared in the order of asking.
//!
//! A plain mutex would let the settler, which writes slice after slice, starve the aggregator: here whoever asked first
//! writes first. A transaction is at most some 50 ms of work, so that nobody waits long.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::api::CommitNo;
use crate::error::{StoreError, writing};
use crate::progress::locked;
use crate::schema::{STORE_FILE, store_writer};

/// The write-ahead log is copied back once it is this long: about a second of settling, and half a second of copying.
const WAL_BYTES_MAX: u64 = 32 << 20;

/// The queue in front of the connection.
pub(crate) struct Writer {
    wal: PathBuf,
    queue: Mutex<Queue>,
    turn: Condvar,
    conn: Mutex<Connection>,
    /// The last commit whose settling is in the file or its log.
    settled: AtomicU64,
    /// The last commit whose settling is in the file itself.
    copied: AtomicU64,
}

#[derive(Default)]
struct Queue {
    next: u64,
    serving: u64,
}

/// Calls the next in the queue, also if the work panicked.
struct Turn<'a>(&'a Writer);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(&self.0.queue).serving += 1;
        self.0.turn.notify_all();
    }
}

impl Writer {
    pub(crate) fn open(dir: &Path) -> Result<Writer, StoreError> {
        let conn = Mutex::new(store_writer(dir)?);
        let wal = dir.join(format!("{STORE_FILE}-wal"));
        let (settled, copied) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Writer { wal, queue: Mutex::default(), turn: Condvar::new(), conn, settled, copied })
    }

    /// One transaction, committed if `work` succeeds.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = self.wait();
        let mut conn = locked(&self.conn);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(writing("the store"))?;
        let done = work(&tx)?;
        tx.commit().map_err(writing("the store"))?;
        if wal_bytes(&self.wal) > WAL_BYTES_MAX {
            self.copy(&conn, Checkpoint::Passive)?;
        }
        Ok(done)
    }

    /// Everything through `commit` is settled.
    pub(crate) fn note_settled(&self, commit: CommitNo) {
        self.settled.store(commit.0, Ordering::Release);
    }

    /// The last commit whose journal row is needed no more. One bit flipped in a write-ahead log takes all behind it away,
    /// so a row stays until what was settled of it has left the log.
    pub(crate) fn copied_through(&self) -> CommitNo {
        CommitNo(self.copied.load(Ordering::Acquire))
    }

    fn copy(&self, conn: &Connection, how: Checkpoint) -> Result<(), StoreError> {
        let settled = self.settled.load(Ordering::Acquire);
        if checkpoint(conn, how)? == Copied::All {
            self.copied.fetch_max(settled, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Copies the whole write-ahead log back and cuts it off, as a clean stop does.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let _turn = self.wait();
        self.copy(&locked(&self.conn), Checkpoint::Truncate)
    }

    fn wait(&self) -> Turn<'_> {
        let mut queue = locked(&self.queue);
        let ticket = queue.next;
        queue.next += 1;
        while queue.serving != ticket {
            queue = self.turn.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        Turn(self)
    }
}

/// How long a write-ahead log is.
pub(crate) fn wal_bytes(path: &Path) -> u64 {
    // No file yet is no log.
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// How far a checkpoint goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checkpoint {
    /// Copies what no reader needs, waits for nobody.
    Passive,
    /// Copies all, and lets the log begin again: writers wait for the rest of the copying.
    Restart,
    /// As `Restart`, and cuts the file.
    Truncate,
}

/// Whether a checkpoint copied the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    All,
    /// A reader was in the way; the next checkpoint goes on.
    Some,
}

/// Copies the write-ahead log back.
pub(crate) fn checkpoint(conn: &Connection, how: Checkpoint) -> Result<Copied, StoreError> {
    let statement = match how {
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let answer: (i64, i64, i64) = conn
        .query_row(statement, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(writing("a checkpoint"))?;
    let (busy, in_log, copied) = answer;
    Ok(if busy == 0 && in_log == copied { Copied::All } else { Copied::Some })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;

    #[test]
    fn a_failed_transaction_leaves_nothing_and_the_next_one_gets_its_turn() {
        let dir = TempDir::new();
        let writer = Writer::open(dir.path()).unwrap();
        let put = |tx: &Transaction<'_>, key: &str| {
            tx.execute("INSERT INTO meta(key, blob) VALUES (?1, x'')", [key]).map_err(writing("meta"))
        };
        let failed: Result<(), StoreError> = writer.write(|tx| {
            put(tx, "a")?;
            Err(StoreError::Poisoned)
        });
        assert!(failed.is_err());
        let n: i64 = writer
            .write(|tx| {
                put(tx, "b")?;
                tx.query_row("SELECT count(*) FROM meta WHERE key IN ('a', 'b')", [], |row| row.get(0))
                    .map_err(writing("meta"))
            })
            .unwrap();
        assert_eq!(n, 1);
    }
}
