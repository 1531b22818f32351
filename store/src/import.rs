//! Imports: which files were brought in, by whom, from where; a record of each, for whoever asks what a figure rests on.
//!
//! Invariant: a record is written before the first reading of its file is committed and completed after the last, so that
//! an import that was broken off is seen as such.

use model::PilotId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::api::Import;
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::seal::{seal_value, unseal_value};

const IMPORTS: &str = "imports";

fn place(number: i64) -> String {
    format!("import/{number}")
}

/// Whether the file has the table: one that only readers have opened since an earlier version has not.
fn has_table(conn: &Connection) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'import'")
        .and_then(|mut statement| statement.query_row([], |_| Ok(())).optional())
        .map(|found| found.is_some())
        .map_err(reading(IMPORTS))
}

/// Adds a record, or replaces the one of this number; its number.
pub(crate) fn put(tx: &Transaction<'_>, number: Option<i64>, import: &Import) -> Result<i64, StoreError> {
    let number = match number {
        Some(number) => number,
        // The place that seals the blob holds the number, which is known only once the row is there.
        None => tx
            .prepare_cached("INSERT INTO import(pilot, blob) VALUES (?1, x'')")
            .and_then(|mut statement| statement.insert([import.pilot.as_str()]))
            .map_err(writing(IMPORTS))?,
    };
    let blob = seal_value(&place(number), import)?;
    tx.prepare_cached("UPDATE import SET blob = ?2 WHERE id = ?1")
        .and_then(|mut statement| statement.execute(params![number, blob]))
        .map_err(writing(IMPORTS))?;
    Ok(number)
}

fn read_all(conn: &Connection, pilot: Option<&PilotId>) -> Result<Vec<(i64, Import)>, StoreError> {
    if !has_table(conn)? {
        return Ok(Vec::new());
    }
    let failed = reading(IMPORTS);
    let query = "SELECT id, blob FROM import WHERE ?1 IS NULL OR pilot = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(query).map_err(&failed)?;
    let mut rows = statement.query([pilot.map(PilotId::as_str)]).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (number, blob): (i64, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        found.push((number, unseal_value(&place(number), &blob)?));
    }
    Ok(found)
}

impl Store {
    /// Imports with their numbers, in the order in which they began, of one pilot or of all.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn imports(&self, pilot: Option<&PilotId>) -> Result<Vec<(i64, Import)>, StoreError> {
        self.read(|conn| read_all(conn, pilot))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use model::UnixMillis;

    use super::*;
    use crate::api::{Access, ImportCounts};
    use crate::tests::TempDir;

    pub(crate) fn import(pilot: &str) -> Import {
        Import {
            pilot: PilotId::parse(pilot).unwrap(),
            at: UnixMillis(1),
            file: "2015.xlsx".to_owned(),
            sha256: "ab".repeat(32),
            size: 7,
            author: "Wang".to_owned(),
            source: "electricity bills".to_owned(),
            evidence: None,
            is_complete: false,
            counts: ImportCounts::default(),
            span: None,
            series: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_added_then_completed_under_its_number() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        let first = store.write(|tx| tx.put_import(None, &import("a"))).unwrap();
        let second = store.write(|tx| tx.put_import(None, &import("b"))).unwrap();
        let done = Import { is_complete: true, ..import("a") };
        assert_eq!(store.write(|tx| tx.put_import(Some(first), &done)).unwrap(), first);
        assert_eq!(store.imports(None).unwrap(), [(first, done.clone()), (second, import("b"))]);
        assert_eq!(store.imports(Some(&done.pilot)).unwrap(), [(first, done)]);
        assert_eq!(Store::check(dir.path()).unwrap(), []);
    }
}
