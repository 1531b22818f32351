//! The aggregator's tables: rollups, month sums, figures, marks; and the transaction that writes them.
//!
//! Blobs are sealed here, so that whoever reads one gets it as it was written or an error.

use model::{SeriesId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Params, Transaction, params};

use crate::api::{Import, Login, Made, NewCorrection, Token};
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::seal::{seal, unseal};

fn rollup_place(series: SeriesId, month: i32) -> String {
    format!("rollup/{}/{month}", series.0)
}

fn month_sums_place(series: SeriesId) -> String {
    format!("month_sums/{}", series.0)
}

fn figure_place(scope: &str, indicator: &str) -> String {
    format!("figure/{scope}/{indicator}")
}

fn meta_place(key: &str) -> String {
    format!("meta/{key}")
}

pub(crate) fn one_blob(
    conn: &Connection,
    what: &'static str,
    place: &str,
    query: &str,
    key: impl Params,
) -> Result<Option<Vec<u8>>, StoreError> {
    let blob: Option<Vec<u8>> = conn
        .prepare_cached(query)
        .and_then(|mut statement| statement.query_row(key, |row| row.get(0)).optional())
        .map_err(reading(what))?;
    blob.map(|blob| unseal(place, &blob).map(<[u8]>::to_vec)).transpose()
}

impl Store {
    /// Rollup blobs of a series for UTC months in `[from, to]` (months as `year*12 + month − 1`).
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn rollups(&self, series: SeriesId, from: i32, to: i32) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let failed = reading("rollups");
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT month, blob FROM rollup WHERE series = ?1 AND month BETWEEN ?2 AND ?3 ORDER BY month",
                )
                .map_err(&failed)?;
            let mut rows = statement.query(params![series.0, from, to]).map_err(&failed)?;
            let mut rollups = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let (month, blob): (i32, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
                rollups.push((month, unseal(&rollup_place(series, month), &blob)?.to_vec()));
            }
            Ok(rollups)
        })
    }

    /// The month-sums blob of a series.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn month_sums(&self, series: SeriesId) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT blob FROM month_sums WHERE series = ?1";
        self.read(|conn| one_blob(conn, "month sums", &month_sums_place(series), query, [series.0]))
    }

    /// The figures blob of a scope and indicator.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn figures(&self, scope: &str, indicator: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT blob FROM figure WHERE scope = ?1 AND indicator = ?2";
        self.read(|conn| one_blob(conn, "figures", &figure_place(scope, indicator), query, [scope, indicator]))
    }

    /// A small named value (accepted registry texts, marks of the aggregator).
    ///
    /// # Errors
    /// On reading.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|conn| one_blob(conn, "meta", &meta_place(key), "SELECT blob FROM meta WHERE key = ?1", [key]))
    }

    /// One write transaction; committed if `work` succeeds. `work` must not write the store another way: it would wait
    /// for itself.
    ///
    /// # Errors
    /// What `work` returned, or the commit's own.
    pub fn write<T>(&self, work: impl FnOnce(&WriteTx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.writer()?.write(|tx| work(&WriteTx { tx }))
    }
}

/// A write transaction on `store.sqlite` (at most 50 ms of work). Dropped without commit on error.
pub struct WriteTx<'a> {
    tx: &'a Transaction<'a>,
}

impl WriteTx<'_> {
    /// What was written so far, for those who have to look before they write.
    pub(crate) fn conn(&self) -> &Connection {
        self.tx
    }

    pub(crate) fn run(&self, what: &'static str, statement: &str, values: impl Params) -> Result<usize, StoreError> {
        self.tx.prepare_cached(statement).and_then(|mut statement| statement.execute(values)).map_err(writing(what))
    }

    /// Replaces the rollups of a series and UTC month.
    ///
    /// # Errors
    /// On writing, as all below.
    pub fn put_rollup(&self, series: SeriesId, month: i32, blob: &[u8]) -> Result<(), StoreError> {
        let blob = seal(&rollup_place(series, month), blob);
        let statement = "INSERT INTO rollup(series, month, blob) VALUES (?1, ?2, ?3)
                         ON CONFLICT(series, month) DO UPDATE SET blob = excluded.blob";
        self.run("a rollup", statement, params![series.0, month, blob]).map(drop)
    }

    /// Replaces the month sums of a series.
    ///
    /// # Errors
    /// On writing.
    pub fn put_month_sums(&self, series: SeriesId, blob: &[u8]) -> Result<(), StoreError> {
        let blob = seal(&month_sums_place(series), blob);
        let statement = "INSERT OR REPLACE INTO month_sums(series, blob) VALUES (?1, ?2)";
        self.run("month sums", statement, params![series.0, blob]).map(drop)
    }

    /// Replaces the figures of a scope and indicator.
    ///
    /// # Errors
    /// On writing.
    pub fn put_figures(&self, scope: &str, indicator: &str, blob: &[u8]) -> Result<(), StoreError> {
        let blob = seal(&figure_place(scope, indicator), blob);
        let statement = "INSERT INTO figure(scope, indicator, blob) VALUES (?1, ?2, ?3)
                         ON CONFLICT(scope, indicator) DO UPDATE SET blob = excluded.blob";
        self.run("figures", statement, params![scope, indicator, blob]).map(drop)
    }

    /// Marks a span of a series as touched by something else than readings, and why ([`crate::Touched::why`], not 0).
    ///
    /// # Errors
    /// On writing.
    pub fn touch(&self, series: SeriesId, from: UnixMillis, to: UnixMillis, why: u8) -> Result<(), StoreError> {
        let statement = "INSERT INTO touched(series, first_at, last_at, why) VALUES (?1, ?2, ?3, ?4)";
        self.run("touched spans", statement, params![series.0, from.0, to.0, why]).map(drop)
    }

    /// Notes a correction and touches what it changes; the same as the one that stands has no effect.
    ///
    /// # Errors
    /// On reading what stands, or on writing.
    pub fn correct(&self, new: &NewCorrection) -> Result<Made, StoreError> {
        crate::correction::write(self.tx, new)
    }

    /// Deletes touched spans that are rolled up.
    ///
    /// # Errors
    /// On writing.
    pub fn untouch(&self, rows: &[i64]) -> Result<(), StoreError> {
        rows.iter().try_for_each(|row| self.run("touched spans", "DELETE FROM touched WHERE id = ?1", [row]).map(drop))
    }

    /// Deletes touched orders that are figured.
    ///
    /// # Errors
    /// On writing.
    pub fn untouch_orders(&self, rows: &[i64]) -> Result<(), StoreError> {
        let statement = "DELETE FROM touched_order WHERE id = ?1";
        rows.iter().try_for_each(|row| self.run("touched orders", statement, [row]).map(drop))
    }

    /// Replaces a small named value.
    ///
    /// # Errors
    /// On writing.
    pub fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let blob = seal(&meta_place(key), value);
        self.run("meta", "INSERT OR REPLACE INTO meta(key, blob) VALUES (?1, ?2)", params![key, blob]).map(drop)
    }

    /// Adds an import, or replaces the one of this number; its number.
    ///
    /// # Errors
    /// On writing.
    pub fn put_import(&self, number: Option<i64>, import: &Import) -> Result<i64, StoreError> {
        crate::import::put(self.tx, number, import)
    }

    /// Adds or replaces a login.
    ///
    /// # Errors
    /// On writing.
    pub fn put_login(&self, login: &Login) -> Result<(), StoreError> {
        let blob = crate::access::seal_login(login)?;
        let statement = "INSERT OR REPLACE INTO login(name, blob) VALUES (?1, ?2)";
        self.run("a login", statement, params![login.name, blob]).map(drop)
    }

    /// Removes a login; false if there is none of this name.
    ///
    /// # Errors
    /// On writing.
    pub fn remove_login(&self, name: &str) -> Result<bool, StoreError> {
        self.run("a login", "DELETE FROM login WHERE name = ?1", [name]).map(|n| n > 0)
    }

    /// Adds or replaces a token.
    ///
    /// # Errors
    /// On writing.
    pub fn put_token(&self, token: &Token) -> Result<(), StoreError> {
        let blob = crate::access::seal_token(token)?;
        let statement = "INSERT OR REPLACE INTO token(name, blob) VALUES (?1, ?2)";
        self.run("a token", statement, params![token.name, blob]).map(drop)
    }

    /// Removes a token; false if there is none of this name.
    ///
    /// # Errors
    /// On writing.
    pub fn remove_token(&self, name: &str) -> Result<bool, StoreError> {
        self.run("a token", "DELETE FROM token WHERE name = ?1", [name]).map(|n| n > 0)
    }

    /// Deletes every rollup, month sum and figure (`recompute`).
    ///
    /// # Errors
    /// On writing.
    pub fn clear_derived(&self) -> Result<(), StoreError> {
        for statement in ["DELETE FROM rollup", "DELETE FROM month_sums", "DELETE FROM figure"] {
            self.run("rollups and figures away", statement, [])?;
        }
        Ok(())
    }
}
