//! Outages: spans of a source of which messages are lost for good, each once.
//!
//! Invariants:
//! - the touched spans of the series that an outage meets are written in the transaction that writes it, within the
//!   readings that the series has: later readings touch what lies beyond;
//! - a pilot has at most [`OUTAGES_MAX`]: beyond it a new one is joined with the latest of its asset, so that too much
//!   counts as uncovered rather than too little.

use model::{PilotId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::api::{CatalogueEntry, Outage, Registration};
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::read;
use crate::seal::{seal_value, unseal_value};

/// Outages of one pilot: a loss every hour for a year. Each is looked at whenever a series below it is rolled up.
const OUTAGES_MAX: i64 = 10_000;

const OUTAGES: &str = "outages";

fn place(pilot: &PilotId, asset: &str, from: i64, to: i64) -> String {
    format!("outage/{pilot}/{asset}/{from}/{to}")
}

/// Writes the outages that are not known yet, and touches the series that they meet.
pub(crate) fn write(
    tx: &Transaction<'_>,
    outages: &[Outage],
    catalogue: &dyn Fn(&PilotId) -> Vec<CatalogueEntry>,
) -> Result<(), StoreError> {
    for outage in outages.iter().filter(|outage| outage.from < outage.to) {
        let outage = if n_of(tx, &outage.pilot)? < OUTAGES_MAX { outage.clone() } else { joined(tx, outage)? };
        if put(tx, &outage)? {
            touch(tx, &outage, catalogue(&outage.pilot))?;
        }
    }
    Ok(())
}

fn n_of(tx: &Transaction<'_>, pilot: &PilotId) -> Result<i64, StoreError> {
    tx.prepare_cached("SELECT count(*) FROM outage WHERE pilot = ?1")
        .and_then(|mut statement| statement.query_row([pilot.as_str()], |row| row.get(0)))
        .map_err(reading(OUTAGES))
}

/// The outage and the latest stored one of its asset, as one; the stored one goes.
fn joined(tx: &Transaction<'_>, outage: &Outage) -> Result<Outage, StoreError> {
    let (pilot, asset) = (outage.pilot.as_str(), outage.asset.as_str());
    let latest: Option<(i64, i64)> = tx
        .prepare_cached(
            "SELECT first_at, last_at FROM outage WHERE pilot = ?1 AND asset = ?2 ORDER BY first_at DESC LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row([pilot, asset], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(reading(OUTAGES))?;
    let Some((from, to)) = latest else { return Ok(outage.clone()) };
    tx.prepare_cached("DELETE FROM outage WHERE pilot = ?1 AND asset = ?2 AND first_at = ?3 AND last_at = ?4")
        .and_then(|mut statement| statement.execute(params![pilot, asset, from, to]))
        .map_err(writing(OUTAGES))?;
    let (from, to) = (outage.from.min(UnixMillis(from)), outage.to.max(UnixMillis(to)));
    Ok(Outage { from, to, ..outage.clone() })
}

/// False if it is there already.
fn put(tx: &Transaction<'_>, outage: &Outage) -> Result<bool, StoreError> {
    let (from, to) = (outage.from.0, outage.to.0);
    let blob = seal_value(&place(&outage.pilot, &outage.asset, from, to), &outage.n_lost)?;
    tx.prepare_cached("INSERT OR IGNORE INTO outage(pilot, asset, first_at, last_at, blob) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![outage.pilot.as_str(), outage.asset, from, to, blob]))
        .map(|n| n > 0)
        .map_err(writing(OUTAGES))
}

fn touch(tx: &Transaction<'_>, outage: &Outage, entries: Vec<CatalogueEntry>) -> Result<(), StoreError> {
    let meets =
        |entry: &CatalogueEntry| entry.registration == Registration::Registered && outage.meets(&entry.key.asset);
    for entry in entries.into_iter().filter(meets) {
        let Some((first, last)) = read::span(tx, entry.id)? else { continue };
        let (from, to) = (first.max(outage.from), last.min(outage.to));
        if from <= to {
            tx.prepare_cached("INSERT INTO touched(series, first_at, last_at) VALUES (?1, ?2, ?3)")
                .and_then(|mut statement| statement.execute(params![entry.id.0, from.0, to.0]))
                .map_err(writing("touched spans"))?;
        }
    }
    Ok(())
}

fn read_row(pilot: &PilotId, row: &Row<'_>) -> Result<Outage, StoreError> {
    let failed = reading(OUTAGES);
    let asset: String = row.get(0).map_err(&failed)?;
    let (from, to): (i64, i64) = (row.get(1).map_err(&failed)?, row.get(2).map_err(&failed)?);
    let blob: Vec<u8> = row.get(3).map_err(&failed)?;
    let n_lost = unseal_value(&place(pilot, &asset, from, to), &blob)?;
    Ok(Outage { pilot: pilot.clone(), asset, from: UnixMillis(from), to: UnixMillis(to), n_lost })
}

fn read_all(conn: &Connection, pilot: &PilotId, from: i64, to: i64) -> Result<Vec<Outage>, StoreError> {
    let failed = reading(OUTAGES);
    let query = "SELECT asset, first_at, last_at, blob FROM outage
                 WHERE pilot = ?1 AND last_at > ?2 AND first_at < ?3 ORDER BY first_at, last_at, asset";
    let mut statement = conn.prepare_cached(query).map_err(&failed)?;
    let mut rows = statement.query(params![pilot.as_str(), from, to]).map_err(&failed)?;
    let mut outages = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        outages.push(read_row(pilot, row)?);
    }
    Ok(outages)
}

impl Store {
    /// Settled outages of a pilot that meet `[from, to)`, in order of time.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn outages(&self, pilot: &PilotId, from: UnixMillis, to: UnixMillis) -> Result<Vec<Outage>, StoreError> {
        self.read(|conn| if conn_is_old(conn)? { Ok(Vec::new()) } else { read_all(conn, pilot, from.0, to.0) })
    }
}

/// Whether the file is of version 1, opened for reading only: it knows no outages.
fn conn_is_old(conn: &Connection) -> Result<bool, StoreError> {
    crate::schema::version_of(conn).map(|version| version < 2)
}
