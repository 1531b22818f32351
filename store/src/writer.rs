//! The store's one writing connection, shared in the order of asking.
//!
//! A plain mutex would let the settler, which writes slice after slice, starve the aggregator: here whoever asked first
//! writes first. A transaction is at most some 50 ms of work, so that nobody waits long.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use rusqlite::{Connection, Transaction, TransactionBehavior};

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
        Ok(Writer { wal, queue: Mutex::default(), turn: Condvar::new(), conn })
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
            checkpoint(&conn, Checkpoint::Passive)?;
        }
        Ok(done)
    }

    /// Copies the whole write-ahead log back and cuts it off, as a clean stop does.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let _turn = self.wait();
        checkpoint(&locked(&self.conn), Checkpoint::Truncate)
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

/// Copies the write-ahead log back.
pub(crate) fn checkpoint(conn: &Connection, how: Checkpoint) -> Result<(), StoreError> {
    let statement = match how {
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    // The answer says how much was copied; a reader in the way is no failure, the next checkpoint goes on.
    conn.query_row(statement, [], |_| Ok(())).map_err(writing("a checkpoint"))
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
