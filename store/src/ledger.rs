//! The ledger's tables: what was published, chained and never changed; where each figure stands in it; what waits to be published.
//!
//! ```text
//! ledger       (scope, entry)      entry 1, 2, … of a scope; rows are added and never changed: triggers refuse it
//! ledger_head  (scope, indicator)  the last version of every figure: what the entries say, kept beside them to be found
//! unpublished  (scope, indicator)  which figures changed since they were published, when, and why
//! ```
//!
//! What the bytes mean is the aggregator's; here they are sealed, so that whoever reads them gets what was written or an error.

use model::UnixMillis;
use rusqlite::{OptionalExtension, Row, params};

use crate::api::LedgerEntry;
use crate::derived::{WriteTx, one_blob};
use crate::error::{StoreError, reading};
use crate::open::Store;
use crate::schema::version_of;
use crate::seal::{seal, unseal};

const LEDGER: &str = "the ledger";

fn entry_place(scope: &str, entry: u32) -> String {
    format!("ledger/{scope}/{entry}")
}

fn head_place(scope: &str, indicator: &str) -> String {
    format!("ledger_head/{scope}/{indicator}")
}

fn unpublished_place(scope: &str, indicator: &str) -> String {
    format!("unpublished/{scope}/{indicator}")
}

impl Store {
    /// Whether the file has a ledger: a reader may find one that no owner has brought up to this version yet.
    ///
    /// # Errors
    /// On reading.
    pub fn has_ledger(&self) -> Result<bool, StoreError> {
        self.read(|conn| Ok(version_of(conn)? >= 4))
    }

    /// Every scope with an entry, in order.
    ///
    /// # Errors
    /// On reading.
    pub fn ledger_scopes(&self) -> Result<Vec<String>, StoreError> {
        self.texts("SELECT DISTINCT scope FROM ledger ORDER BY scope")
    }

    /// The entries of a scope by number, with the time of their cut.
    ///
    /// # Errors
    /// On reading.
    pub fn ledger_numbers(&self, scope: &str) -> Result<Vec<(u32, UnixMillis)>, StoreError> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, UnixMillis(row.get(1)?)));
        self.read(|conn| {
            conn.prepare_cached("SELECT entry, cut_at FROM ledger WHERE scope = ?1 ORDER BY entry")
                .and_then(|mut statement| statement.query_map([scope], pair)?.collect())
                .map_err(reading(LEDGER))
        })
    }

    /// One entry of a scope.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn ledger_entry(&self, scope: &str, entry: u32) -> Result<Option<LedgerEntry>, StoreError> {
        let query = "SELECT cut_at, blob FROM ledger WHERE scope = ?1 AND entry = ?2";
        let found: Option<(i64, Vec<u8>)> = self.read(|conn| {
            conn.prepare_cached(query)
                .and_then(|mut statement| {
                    statement.query_row(params![scope, entry], |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .map_err(reading(LEDGER))
        })?;
        let Some((cut_at, blob)) = found else { return Ok(None) };
        let bytes = unseal(&entry_place(scope, entry), &blob)?.to_vec();
        Ok(Some(LedgerEntry { entry, cut_at: UnixMillis(cut_at), bytes }))
    }

    /// The indicators of a scope that have a version.
    ///
    /// # Errors
    /// On reading.
    pub fn ledger_indicators(&self, scope: &str) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT indicator FROM ledger_head WHERE scope = ?1 ORDER BY indicator")
                .and_then(|mut statement| statement.query_map([scope], |row| row.get(0))?.collect())
                .map_err(reading(LEDGER))
        })
    }

    /// The last versions of a scope and indicator.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn ledger_head(&self, scope: &str, indicator: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT blob FROM ledger_head WHERE scope = ?1 AND indicator = ?2";
        self.read(|conn| one_blob(conn, LEDGER, &head_place(scope, indicator), query, [scope, indicator]))
    }

    /// Every scope with something that is not published yet, in order.
    ///
    /// # Errors
    /// On reading.
    pub fn unpublished_scopes(&self) -> Result<Vec<String>, StoreError> {
        self.texts("SELECT DISTINCT scope FROM unpublished ORDER BY scope")
    }

    /// The indicators of a scope with something that is not published yet.
    ///
    /// # Errors
    /// On reading.
    pub fn unpublished_indicators(&self, scope: &str) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT indicator FROM unpublished WHERE scope = ?1 ORDER BY indicator")
                .and_then(|mut statement| statement.query_map([scope], |row| row.get(0))?.collect())
                .map_err(reading("what is not published"))
        })
    }

    /// What of a scope and indicator is not published yet.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn unpublished(&self, scope: &str, indicator: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT blob FROM unpublished WHERE scope = ?1 AND indicator = ?2";
        let place = unpublished_place(scope, indicator);
        self.read(|conn| one_blob(conn, "what is not published", &place, query, [scope, indicator]))
    }

    fn texts(&self, query: &str) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(query)
                .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
                .map_err(reading(LEDGER))
        })
    }
}

impl WriteTx<'_> {
    /// Adds an entry to a scope's ledger.
    ///
    /// # Errors
    /// On writing, or if the scope has an entry of this number.
    pub fn add_ledger_entry(&self, scope: &str, entry: &LedgerEntry) -> Result<(), StoreError> {
        let blob = seal(&entry_place(scope, entry.entry), &entry.bytes);
        let statement = "INSERT INTO ledger(scope, entry, cut_at, blob) VALUES (?1, ?2, ?3, ?4)";
        self.run(LEDGER, statement, params![scope, entry.entry, entry.cut_at.0, blob]).map(drop)
    }

    /// Replaces the last versions of a scope and indicator.
    ///
    /// # Errors
    /// On writing.
    pub fn put_ledger_head(&self, scope: &str, indicator: &str, blob: &[u8]) -> Result<(), StoreError> {
        let blob = seal(&head_place(scope, indicator), blob);
        let statement = "INSERT INTO ledger_head(scope, indicator, blob) VALUES (?1, ?2, ?3)
                         ON CONFLICT(scope, indicator) DO UPDATE SET blob = excluded.blob";
        self.run(LEDGER, statement, params![scope, indicator, blob]).map(drop)
    }

    /// Replaces what of a scope and indicator is not published yet; none if everything is.
    ///
    /// # Errors
    /// On writing.
    pub fn put_unpublished(&self, scope: &str, indicator: &str, blob: Option<&[u8]>) -> Result<(), StoreError> {
        let what = "what is not published";
        let Some(blob) = blob else {
            let statement = "DELETE FROM unpublished WHERE scope = ?1 AND indicator = ?2";
            return self.run(what, statement, [scope, indicator]).map(drop);
        };
        let blob = seal(&unpublished_place(scope, indicator), blob);
        let statement = "INSERT INTO unpublished(scope, indicator, blob) VALUES (?1, ?2, ?3)
                         ON CONFLICT(scope, indicator) DO UPDATE SET blob = excluded.blob";
        self.run(what, statement, params![scope, indicator, blob]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::Access;
    use crate::schema::STORE_FILE;
    use crate::tests::TempDir;

    fn entry(entry: u32, bytes: &[u8]) -> LedgerEntry {
        LedgerEntry { entry, cut_at: UnixMillis(i64::from(entry) * 1_000), bytes: bytes.to_vec() }
    }

    #[test]
    fn entries_are_added_and_never_changed() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        store.write(|tx| tx.add_ledger_entry("programme", &entry(1, b"one"))).unwrap();
        assert!(store.write(|tx| tx.add_ledger_entry("programme", &entry(1, b"other"))).is_err());
        store.write(|tx| tx.add_ledger_entry("programme", &entry(2, b"two"))).unwrap();
        assert_eq!(store.ledger_scopes().unwrap(), ["programme"]);
        assert_eq!(store.ledger_numbers("programme").unwrap(), [(1, UnixMillis(1_000)), (2, UnixMillis(2_000))]);
        assert_eq!(store.ledger_entry("programme", 1).unwrap(), Some(entry(1, b"one")));
        assert_eq!(store.ledger_entry("programme", 3).unwrap(), None);
        let conn = Connection::open(dir.path().join(STORE_FILE)).unwrap();
        for statement in ["UPDATE ledger SET cut_at = 0", "DELETE FROM ledger WHERE entry = 2"] {
            let refused = conn.execute(statement, []).unwrap_err().to_string();
            assert!(refused.contains("the ledger is append-only"), "{refused}");
        }
    }

    #[test]
    fn a_flipped_byte_of_an_entry_is_found_and_named() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        let put = |tx: &WriteTx<'_>| {
            tx.add_ledger_entry("pilot:p", &entry(1, b"one"))?;
            tx.put_ledger_head("pilot:p", "defect_rate", b"head")?;
            tx.put_unpublished("pilot:p", "defect_rate", Some(b"due"))
        };
        store.write(put).unwrap();
        assert_eq!(Store::check(dir.path()).unwrap(), []);
        let conn = Connection::open(dir.path().join(STORE_FILE)).unwrap();
        conn.execute_batch("DROP TRIGGER ledger_stays").unwrap();
        for table in ["ledger", "ledger_head", "unpublished"] {
            conn.execute(&format!("UPDATE {table} SET blob = CAST(blob || 'x' AS BLOB)"), []).unwrap();
        }
        let places: Vec<String> = Store::check(dir.path()).unwrap().into_iter().map(|found| found.place).collect();
        let of = |place: &str| format!("store.sqlite: {place}");
        let wanted = ["ledger/pilot:p/1", "ledger_head/pilot:p/defect_rate", "unpublished/pilot:p/defect_rate"];
        assert_eq!(places, wanted.map(of));
        let error = store.ledger_entry("pilot:p", 1).unwrap_err().to_string();
        assert!(error.contains("ledger/pilot:p/1"), "{error}");
    }

    #[test]
    fn a_cut_that_fails_leaves_nothing() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        store.write(|tx| tx.put_unpublished("programme", "defect_rate", Some(b"due"))).unwrap();
        let killed = store.write(|tx| {
            tx.add_ledger_entry("programme", &entry(1, b"one"))?;
            tx.put_unpublished("programme", "defect_rate", None)?;
            Err::<(), _>(StoreError::Poisoned)
        });
        assert!(killed.is_err());
        assert_eq!(store.ledger_scopes().unwrap(), Vec::<String>::new());
        assert_eq!(store.unpublished_scopes().unwrap(), ["programme"]);
    }

    #[test]
    fn what_is_published_waits_no_more() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        store.write(|tx| tx.put_unpublished("programme", "defect_rate", Some(b"a"))).unwrap();
        store.write(|tx| tx.put_unpublished("programme", "defect_rate", Some(b"b"))).unwrap();
        assert_eq!(store.unpublished_scopes().unwrap(), ["programme"]);
        assert_eq!(store.unpublished_indicators("programme").unwrap(), ["defect_rate"]);
        assert_eq!(store.unpublished("programme", "defect_rate").unwrap().as_deref(), Some(&b"b"[..]));
        store.write(|tx| tx.put_unpublished("programme", "defect_rate", None)).unwrap();
        assert_eq!(store.unpublished_scopes().unwrap(), Vec::<String>::new());
    }
}
