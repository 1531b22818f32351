//! Opens the two files: pragmas, tables, versions.
//!
//! Invariants:
//! - `synchronous = FULL` and WAL are set on every connection that writes, and read back: without them an
//!   acknowledged commit can vanish with the power;
//! - no connection checkpoints by itself: that is done by hand, outside acknowledging commits;
//! - a file of a newer version is refused, never half understood.
//!
//! Chunks lie in an ordinary table with an index, not in a `WITHOUT ROWID` one: there a blob over 2 KB would spill to an
//! overflow page of its own, and an 8 KiB page for a 3 KB chunk would triple the bytes of a reading.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::error::{StoreError, reading, writing};
use crate::rejection;
use crate::seal::seal;

/// The acknowledgement path.
pub(crate) const JOURNAL_FILE: &str = "journal.sqlite";
/// Everything else.
pub(crate) const STORE_FILE: &str = "store.sqlite";

/// 2: rows of version 2.
const JOURNAL_VERSION: i64 = 2;
/// 2: outages, learned messages, counts with their number. 3: what kept messages wait for. 4: the ledger. 5: imports.
/// 6: corrections. 7: the outbox of a projection.
const STORE_VERSION: i64 = 7;
/// The version that brought corrections: a file that is only read may be older.
pub(crate) const CORRECTIONS_SINCE: i64 = 6;

/// How long a writer waits for another: far above the 50 ms of a transaction; beyond it something is stuck.
const BUSY: Duration = Duration::from_secs(10);
/// A write-ahead log is cut back to this after it was copied, so that one burst does not keep the disk for ever.
const WAL_KEPT_BYTES: u64 = 64 << 20;
/// Prepared statements kept per connection: all that the store has.
const STATEMENTS: usize = 96;

const JOURNAL_DDL: &str = "
CREATE TABLE journal(commit_no INTEGER PRIMARY KEY, at INTEGER NOT NULL, blob BLOB NOT NULL);
";

const STORE_DDL: &str = "
CREATE TABLE state(key TEXT PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE series(id INTEGER PRIMARY KEY, blob BLOB NOT NULL);
CREATE TABLE chunk(id INTEGER PRIMARY KEY, series INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  n INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX chunk_key ON chunk(series, first_at);
CREATE TABLE part(series INTEGER NOT NULL, part INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  n INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY(series, part)) WITHOUT ROWID;
CREATE TABLE conflict(series INTEGER NOT NULL, at INTEGER NOT NULL, id TEXT NOT NULL, lost BLOB NOT NULL,
  blob BLOB NOT NULL, PRIMARY KEY(series, at, id, lost)) WITHOUT ROWID;
CREATE TABLE cutoff(pilot TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE order_event(pilot TEXT NOT NULL, order_id TEXT NOT NULL, event INTEGER NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY(pilot, order_id, event)) WITHOUT ROWID;
CREATE TABLE order_conflict(pilot TEXT NOT NULL, order_id TEXT NOT NULL, product TEXT NOT NULL,
  PRIMARY KEY(pilot, order_id, product)) WITHOUT ROWID;
CREATE TABLE touched(id INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL);
CREATE TABLE touched_order(id INTEGER PRIMARY KEY AUTOINCREMENT, pilot TEXT NOT NULL);
CREATE TABLE rejection(id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL, reason INTEGER NOT NULL,
  whole INTEGER NOT NULL, last_at INTEGER NOT NULL, times INTEGER NOT NULL, replayed INTEGER NOT NULL,
  kept INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX rejection_key ON rejection(hash, reason, whole);
CREATE TABLE rejection_bytes(pilot TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hashes(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE session(client_id TEXT PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE held(client_id TEXT NOT NULL, packet_id INTEGER NOT NULL, blob BLOB NOT NULL,
  PRIMARY KEY(client_id, packet_id)) WITHOUT ROWID;
CREATE TABLE sequence(pilot TEXT NOT NULL, gateway TEXT NOT NULL, boot INTEGER NOT NULL, last_commit INTEGER NOT NULL,
  blob BLOB NOT NULL, PRIMARY KEY(pilot, gateway, boot)) WITHOUT ROWID;
CREATE TABLE rollup(id INTEGER PRIMARY KEY, series INTEGER NOT NULL, month INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX rollup_key ON rollup(series, month);
CREATE TABLE month_sums(series INTEGER PRIMARY KEY, blob BLOB NOT NULL);
CREATE TABLE figure(id INTEGER PRIMARY KEY, scope TEXT NOT NULL, indicator TEXT NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX figure_key ON figure(scope, indicator);
CREATE TABLE meta(key TEXT PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE login(name TEXT PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE token(name TEXT PRIMARY KEY, blob BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE damaged(commit_no INTEGER PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL, blob BLOB NOT NULL);
";

/// What version 2 adds.
const STORE_DDL_2: &str = "
CREATE TABLE outage(pilot TEXT NOT NULL, asset TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  blob BLOB NOT NULL, PRIMARY KEY(pilot, asset, first_at, last_at)) WITHOUT ROWID;
CREATE TABLE learned(id INTEGER PRIMARY KEY, pilot TEXT NOT NULL, topic TEXT NOT NULL, at INTEGER NOT NULL,
  blob BLOB NOT NULL);
CREATE UNIQUE INDEX learned_key ON learned(pilot, topic);
";

/// What version 3 adds.
const STORE_DDL_3: &str = "
CREATE TABLE waiting(reason INTEGER NOT NULL, pilot TEXT NOT NULL, rejection INTEGER NOT NULL, topic TEXT NOT NULL,
  PRIMARY KEY(reason, pilot, rejection)) WITHOUT ROWID;
";

/// What version 4 adds.
const STORE_DDL_4: &str = "
CREATE TABLE ledger(id INTEGER PRIMARY KEY, scope TEXT NOT NULL, entry INTEGER NOT NULL, cut_at INTEGER NOT NULL,
  blob BLOB NOT NULL);
CREATE UNIQUE INDEX ledger_key ON ledger(scope, entry);
CREATE TRIGGER ledger_stays BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_keeps BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE ledger_head(id INTEGER PRIMARY KEY, scope TEXT NOT NULL, indicator TEXT NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX ledger_head_key ON ledger_head(scope, indicator);
CREATE TABLE unpublished(id INTEGER PRIMARY KEY, scope TEXT NOT NULL, indicator TEXT NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX unpublished_key ON unpublished(scope, indicator);
ALTER TABLE touched ADD COLUMN why INTEGER NOT NULL DEFAULT 0;
";

/// What version 5 adds.
const STORE_DDL_5: &str = "
CREATE TABLE import(id INTEGER PRIMARY KEY AUTOINCREMENT, pilot TEXT NOT NULL, blob BLOB NOT NULL);
CREATE INDEX import_pilot ON import(pilot);
";

/// What version 6 adds.
const STORE_DDL_6: &str = "
CREATE TABLE correction(number INTEGER PRIMARY KEY, pilot TEXT NOT NULL, series INTEGER NOT NULL, at INTEGER NOT NULL,
  id TEXT NOT NULL, blob BLOB NOT NULL);
CREATE INDEX correction_key ON correction(series, at, id);
CREATE INDEX correction_pilot ON correction(pilot);
";

/// What version 7 adds.
const STORE_DDL_7: &str = "
CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, what INTEGER NOT NULL, series INTEGER NOT NULL,
  stretch INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, afresh INTEGER NOT NULL,
  revision INTEGER NOT NULL, noted_at INTEGER NOT NULL);
CREATE UNIQUE INDEX outbox_key ON outbox(what, series, stretch);
CREATE INDEX outbox_order ON outbox(stretch, id);
CREATE TABLE outbox_figure(scope TEXT NOT NULL, indicator TEXT NOT NULL, afresh INTEGER NOT NULL,
  revision INTEGER NOT NULL, noted_at INTEGER NOT NULL, PRIMARY KEY(scope, indicator)) WITHOUT ROWID;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX quarantine_key ON quarantine(hash);
";

/// Brings a file from the version before to this one: tables, then rows that SQL alone cannot make.
struct Step {
    ddl: &'static str,
    fill: fn(&Transaction<'_>) -> Result<(), StoreError>,
}

const fn step(ddl: &'static str) -> Step {
    Step { ddl, fill: |_| Ok(()) }
}

/// The journal's own connection for commits; creates the file.
pub(crate) fn journal_writer(dir: &Path) -> Result<Connection, StoreError> {
    writer(&dir.join(JOURNAL_FILE), &[step(JOURNAL_DDL), step("")])
}

/// The store's connection for writing; creates the file.
pub(crate) fn store_writer(dir: &Path) -> Result<Connection, StoreError> {
    let third = Step { ddl: STORE_DDL_3, fill: rejection::note_waiting };
    let later = [STORE_DDL_4, STORE_DDL_5, STORE_DDL_6, STORE_DDL_7].map(step);
    let steps: Vec<Step> = [step(STORE_DDL), step(STORE_DDL_2), third].into_iter().chain(later).collect();
    let conn = writer(&dir.join(STORE_FILE), &steps)?;
    let blob = seal("meta/store.schema", &STORE_VERSION.to_le_bytes());
    conn.execute("INSERT OR REPLACE INTO meta(key, blob) VALUES ('store.schema', ?1)", [blob])
        .map_err(writing("the schema's version"))?;
    Ok(conn)
}

/// A connection to the journal that reads.
pub(crate) fn journal_reader(dir: &Path) -> Result<Connection, StoreError> {
    reader(&dir.join(JOURNAL_FILE), JOURNAL_VERSION)
}

/// A connection to the store that reads.
pub(crate) fn store_reader(dir: &Path) -> Result<Connection, StoreError> {
    reader(&dir.join(STORE_FILE), STORE_VERSION)
}

/// A connection that copies a write-ahead log back into its file.
pub(crate) fn checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let conn = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).map_err(failed)?;
    settle_pragmas(path, &conn)?;
    Ok(conn)
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// `steps[n]` brings a file from version n to n + 1.
fn writer(path: &Path, steps: &[Step]) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = Connection::open_with_flags(path, flags(access)).map_err(failed)?;
    settle_pragmas(path, &conn)?;
    let version = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found = check_version(path, &conn, version)?;
    if found < version {
        let tx = conn.transaction().map_err(failed)?;
        let done = usize::try_from(found).unwrap_or(0);
        for step in &steps[done..] {
            tx.execute_batch(step.ddl).map_err(failed)?;
            (step.fill)(&tx)?;
        }
        tx.pragma_update(None, "user_version", version).map_err(failed)?;
        tx.commit().map_err(failed)?;
    }
    Ok(conn)
}

/// Sets what makes a commit durable, and reads it back.
fn settle_pragmas(path: &Path, conn: &Connection) -> Result<(), StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    conn.busy_timeout(BUSY).map_err(failed)?;
    keep_statements(conn).map_err(failed)?;
    conn.pragma_update(None, "page_size", 8192).map_err(failed)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Pragma { path: path.to_owned(), pragma: "journal_mode", found: mode, wanted: "wal" });
    }
    conn.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(failed)?;
    if synchronous != 2 {
        let found = synchronous.to_string();
        return Err(StoreError::Pragma { path: path.to_owned(), pragma: "synchronous", found, wanted: "2 (FULL)" });
    }
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES.cast_signed()).map_err(failed)?;
    conn.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    // In KiB: enough for the index pages of one settling slice.
    conn.pragma_update(None, "cache_size", -16_384).map_err(failed)?;
    Ok(())
}

/// Statements are prepared once: without the stability guarantee SQLite plans one anew whenever its parameters change,
/// which took a quarter of settling.
fn keep_statements(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn reader(path: &Path, version: i64) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let conn = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY)).map_err(failed)?;
    conn.busy_timeout(BUSY).map_err(failed)?;
    keep_statements(&conn).map_err(failed)?;
    conn.pragma_update(None, "cache_size", -4_096).map_err(failed)?;
    if check_version(path, &conn, version)? == 0 {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    Ok(conn)
}

fn check_version(path: &Path, conn: &Connection, known: i64) -> Result<i64, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// The version of an open file.
pub(crate) fn version_of(conn: &Connection) -> Result<i64, StoreError> {
    conn.prepare_cached("PRAGMA user_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(reading("the schema's version"))
}

/// A count or number that SQLite keeps as a signed integer.
pub(crate) fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;

    #[test]
    fn a_newer_file_is_refused_with_both_versions() {
        let dir = TempDir::new();
        let conn = store_writer(dir.path()).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        drop(conn);
        let error = store_writer(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("has schema version 99, this program knows up to 7; use the newer program"), "{error}");
    }

    #[test]
    fn every_writing_connection_is_durable() {
        let dir = TempDir::new();
        for conn in [journal_writer(dir.path()).unwrap(), store_writer(dir.path()).unwrap()] {
            let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            let page_size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
            assert_eq!((synchronous, page_size), (2, 8192));
        }
    }
}
