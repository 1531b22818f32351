//! Reading settled data: chunks and parts of a series as one sorted list, and the small tables beside them.
//!
//! Invariants:
//! - one call sees one snapshot;
//! - of one identity the standing reading is returned, whether its versions lie in a chunk or in parts, and whatever was
//!   corrected;
//! - a blob whose checksum is wrong is an error of its own series, and of nothing else.

use std::collections::BTreeMap;

use model::{Quality, Reading, SeriesId, UnixMillis, Value};
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, params};

use crate::api::{CatalogueEntry, ConflictRow, Session, Touched, Which};
use crate::chunk as codec;
use crate::correction;
use crate::error::{StoreError, reading, writing};
use crate::finish::{held_place, session_place};
use crate::merge::{Extent, union};
use crate::open::Store;
use crate::seal::{seal_value, unseal, unseal_value};

/// The place of a chunk's blob.
pub(crate) fn chunk_place(series: SeriesId, first_at: i64) -> String {
    format!("chunk/{}/{first_at}", series.0)
}

/// The place of a part's blob.
pub(crate) fn part_place(series: SeriesId, part: i64) -> String {
    format!("part/{}/{part}", series.0)
}

fn series_place(id: SeriesId) -> String {
    format!("series/{}", id.0)
}

/// A small part of a series, not yet decoded.
pub(crate) struct StoredPart {
    pub(crate) part: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) n: usize,
    blob: Vec<u8>,
}

impl StoredPart {
    pub(crate) fn readings(&self, series: SeriesId) -> Result<Vec<Reading>, StoreError> {
        let place = part_place(series, self.part);
        codec::decode(&place, unseal(&place, &self.blob)?)
    }
}

const CHUNKS: &str = "chunks";

/// The parts of a series, oldest first.
pub(crate) fn parts(conn: &Connection, series: SeriesId) -> Result<Vec<StoredPart>, StoreError> {
    let part = |row: &Row<'_>| {
        Ok(StoredPart {
            part: row.get(0)?,
            first_at: row.get(1)?,
            last_at: row.get(2)?,
            n: row.get::<_, u32>(3)? as usize,
            blob: row.get(4)?,
        })
    };
    conn.prepare_cached("SELECT part, first_at, last_at, n, blob FROM part WHERE series = ?1 ORDER BY part")
        .and_then(|mut statement| statement.query_map([series.0], part)?.collect())
        .map_err(reading(CHUNKS))
}

fn extent(row: &Row<'_>) -> rusqlite::Result<Extent> {
    Ok(Extent { row: row.get(0)?, first_at: row.get(1)?, last_at: row.get(2)?, n: row.get::<_, u32>(3)? as usize })
}

fn one_extent(conn: &Connection, query: &str, values: impl Params) -> Result<Option<Extent>, StoreError> {
    conn.prepare_cached(query)
        .and_then(|mut statement| statement.query_row(values, extent).optional())
        .map_err(reading(CHUNKS))
}

/// The last chunk that begins at or before `at`.
fn extent_before(conn: &Connection, series: SeriesId, at: i64) -> Result<Option<Extent>, StoreError> {
    let query = "SELECT id, first_at, last_at, n FROM chunk WHERE series = ?1 AND first_at <= ?2
                 ORDER BY first_at DESC LIMIT 1";
    one_extent(conn, query, params![series.0, at])
}

/// The first chunk that begins after `at`.
fn extent_after(conn: &Connection, series: SeriesId, at: i64) -> Result<Option<Extent>, StoreError> {
    let query = "SELECT id, first_at, last_at, n FROM chunk WHERE series = ?1 AND first_at > ?2
                 ORDER BY first_at LIMIT 1";
    one_extent(conn, query, params![series.0, at])
}

/// The chunks from the last that begins at or before `first` to the last that begins at or before `last`, ascending; if
/// there is none, the first one after both.
pub(crate) fn extents(conn: &Connection, series: SeriesId, first: i64, last: i64) -> Result<Vec<Extent>, StoreError> {
    let mut extents: Vec<Extent> = extent_before(conn, series, first)?.into_iter().collect();
    if first < last {
        let between: Vec<Extent> = conn
            .prepare_cached(
                "SELECT id, first_at, last_at, n FROM chunk WHERE series = ?1 AND first_at > ?2 AND first_at <= ?3
                 ORDER BY first_at",
            )
            .and_then(|mut statement| statement.query_map(params![series.0, first, last], extent)?.collect())
            .map_err(reading(CHUNKS))?;
        extents.extend(between);
    }
    if extents.is_empty() {
        extents.extend(extent_after(conn, series, last)?);
    }
    Ok(extents)
}

/// The readings of a chunk.
pub(crate) fn chunk(conn: &Connection, series: SeriesId, extent: &Extent) -> Result<Vec<Reading>, StoreError> {
    let place = chunk_place(series, extent.first_at);
    let mut statement = conn.prepare_cached("SELECT blob FROM chunk WHERE id = ?1").map_err(reading(CHUNKS))?;
    let mut rows = statement.query([extent.row]).map_err(reading(CHUNKS))?;
    let row = rows.next().map_err(reading(CHUNKS))?;
    let row = row.ok_or_else(|| StoreError::Format { place: place.clone(), text: "it is gone".to_owned() })?;
    let blob = row.get_ref(0).map_err(reading(CHUNKS))?;
    let blob = blob.as_blob().map_err(|error| reading(CHUNKS)(error.into()))?;
    codec::decode(&place, unseal(&place, blob)?)
}

fn in_range(readings: &mut Vec<Reading>, from: i64, to: i64) {
    readings.retain(|reading| (from..to).contains(&reading.at.0));
}

/// The readings of parts in `[from, to)`, sorted, one per identity.
fn from_parts(series: SeriesId, parts: &[StoredPart], from: i64, to: i64) -> Result<Vec<Reading>, StoreError> {
    let mut all = Vec::new();
    for part in parts.iter().filter(|part| part.first_at < to && part.last_at >= from) {
        all.extend(part.readings(series)?);
    }
    in_range(&mut all, from, to);
    crate::merge::resolve(&mut all, &mut Vec::new());
    Ok(all)
}

/// What stands in `[from, to)`.
pub(crate) fn readings_in(conn: &Connection, series: SeriesId, from: i64, to: i64) -> Result<Vec<Reading>, StoreError> {
    correction::lay_over(conn, series, (from, to), sent_in(conn, series, from, to)?)
}

/// What was sent in `[from, to)`.
pub(crate) fn sent_in(conn: &Connection, series: SeriesId, from: i64, to: i64) -> Result<Vec<Reading>, StoreError> {
    if from >= to {
        return Ok(Vec::new());
    }
    let mut stored = Vec::new();
    for extent in extents(conn, series, from, to - 1)? {
        if extent.first_at < to && extent.last_at >= from {
            stored.append(&mut chunk(conn, series, &extent)?);
        }
    }
    in_range(&mut stored, from, to);
    let waiting = from_parts(series, &parts(conn, series)?, from, to)?;
    Ok(union(stored, waiting))
}

fn counts(reading: &Reading, which: Which) -> bool {
    match which {
        Which::Any => true,
        Which::Usable => reading.is_usable(),
    }
}

fn last_before(conn: &Connection, series: SeriesId, at: i64, which: Which) -> Result<Option<Reading>, StoreError> {
    let parts = parts(conn, series)?;
    let mut to = at;
    loop {
        let extent = to.checked_sub(1).map_or(Ok(None), |last| extent_before(conn, series, last))?;
        let mut stored = extent.as_ref().map_or(Ok(Vec::new()), |extent| chunk(conn, series, extent))?;
        let from = extent.map_or(i64::MIN, |extent| extent.first_at);
        in_range(&mut stored, from, to);
        let sent = union(stored, from_parts(series, &parts, from, to)?);
        let found = correction::lay_over(conn, series, (from, to), sent)?;
        if let Some(reading) = found.into_iter().rev().find(|reading| counts(reading, which)) {
            return Ok(Some(reading));
        }
        if extent.is_none() {
            return Ok(None);
        }
        to = from;
    }
}

fn first_after(conn: &Connection, series: SeriesId, at: i64, which: Which) -> Result<Option<Reading>, StoreError> {
    let parts = parts(conn, series)?;
    let mut from = at.saturating_add(1);
    let mut extent = extent_before(conn, series, from)?.filter(|extent| extent.last_at >= from);
    loop {
        if extent.is_none() {
            extent = extent_after(conn, series, from.saturating_sub(1))?;
        }
        let next = extent.as_ref().map_or(Ok(None), |extent| extent_after(conn, series, extent.first_at))?;
        let to = next.map_or(i64::MAX, |next| next.first_at);
        let mut stored = extent.as_ref().map_or(Ok(Vec::new()), |extent| chunk(conn, series, extent))?;
        in_range(&mut stored, from, to);
        let sent = union(stored, from_parts(series, &parts, from, to)?);
        let found = correction::lay_over(conn, series, (from, to), sent)?;
        if let Some(reading) = found.into_iter().find(|reading| counts(reading, which)) {
            return Ok(Some(reading));
        }
        let Some(next) = next else {
            return Ok(None);
        };
        (from, extent) = (next.first_at, Some(next));
    }
}

/// First and last instant at which something stands.
pub(crate) fn span(conn: &Connection, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
    if !correction::any(conn, series)? {
        return span_sent(conn, series);
    }
    let first = first_after(conn, series, i64::MIN, Which::Any)?;
    let last = last_before(conn, series, i64::MAX, Which::Any)?;
    Ok(first.zip(last).map(|(first, last)| (first.at, last.at)))
}

/// First and last instant at which something was sent.
pub(crate) fn span_sent(conn: &Connection, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
    let first = extent_after(conn, series, i64::MIN)?;
    let last = extent_before(conn, series, i64::MAX)?;
    let waiting: (Option<i64>, Option<i64>) = conn
        .prepare_cached("SELECT min(first_at), max(last_at) FROM part WHERE series = ?1")
        .and_then(|mut statement| statement.query_row([series.0], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(reading(CHUNKS))?;
    let from = first.map(|extent| extent.first_at).into_iter().chain(waiting.0).min();
    let to = last.map(|extent| extent.last_at).into_iter().chain(waiting.1).max();
    Ok(from.zip(to).map(|(from, to)| (UnixMillis(from), UnixMillis(to))))
}

/// The key of a loser within its identity: quality, kind and number.
fn loser_key(loser: &Reading) -> Vec<u8> {
    let (kind, bits) = match loser.value {
        None => (0, 0),
        Some(Value::Int(int)) => (1, int.cast_unsigned()),
        Some(Value::UInt(int)) => (2, int),
        Some(Value::Float(float)) => (3, float.to_bits()),
    };
    let quality = match loser.quality {
        Quality::Bad => 0,
        Quality::Uncertain => 1,
        Quality::Good => 2,
    };
    let mut key = vec![quality, kind];
    key.extend_from_slice(&bits.to_be_bytes());
    key
}

fn conflict_place(series: SeriesId, at: i64, id: &str, lost: &[u8]) -> String {
    let hex: String = lost.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("conflict/{}/{at}/{id}/{hex}", series.0)
}

/// Notes a reading that lost; again, it has no effect (of two that differ in remarks the one with fewer is kept).
pub(crate) fn write_conflict(tx: &Transaction<'_>, series: SeriesId, loser: &Reading) -> Result<(), StoreError> {
    let id = loser.id.as_deref().unwrap_or_default();
    let lost = loser_key(loser);
    let place = conflict_place(series, loser.at.0, id, &lost);
    let key = params![series.0, loser.at.0, id, lost];
    let found: Option<Vec<u8>> = tx
        .prepare_cached("SELECT blob FROM conflict WHERE series = ?1 AND at = ?2 AND id = ?3 AND lost = ?4")
        .and_then(|mut statement| statement.query_row(key, |row| row.get(0)).optional())
        .map_err(reading("a conflict"))?;
    let known: Option<Reading> = found.map(|blob| unseal_value(&place, &blob)).transpose()?;
    if known.is_some_and(|known| known.flags <= loser.flags) {
        return Ok(());
    }
    let blob = seal_value(&place, loser)?;
    tx.prepare_cached("INSERT OR REPLACE INTO conflict(series, at, id, lost, blob) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![series.0, loser.at.0, id, lost, blob]))
        .map_err(writing("a conflict"))?;
    Ok(())
}

fn conflicts(conn: &Connection, series: Option<SeriesId>) -> Result<Vec<ConflictRow>, StoreError> {
    let failed = reading("conflicts");
    let mut statement = conn
        .prepare_cached(
            "SELECT series, at, id, lost, blob FROM conflict WHERE ?1 IS NULL OR series = ?1 ORDER BY at, series, id, lost",
        )
        .map_err(&failed)?;
    let mut rows = statement.query([series.map(|series| series.0)]).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (series, at): (u32, i64) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        let (id, lost): (String, Vec<u8>) = (row.get(2).map_err(&failed)?, row.get(3).map_err(&failed)?);
        let blob: Vec<u8> = row.get(4).map_err(&failed)?;
        let series = SeriesId(series);
        let place = conflict_place(series, at, &id, &lost);
        let lost: Reading = unseal_value(&place, &blob)?;
        let stands = sent_in(conn, series, at, at.saturating_add(1))?.into_iter().find(|stands| stands.id == lost.id);
        let stands = stands.ok_or(StoreError::Format { place, text: "nothing stands against it".to_owned() })?;
        found.push(ConflictRow { series, stands, lost });
    }
    Ok(found)
}

/// Every entry of the catalogue.
pub(crate) fn each_entry(conn: &Connection, mut each: impl FnMut(CatalogueEntry)) -> Result<(), StoreError> {
    let failed = reading("the catalogue");
    let mut statement = conn.prepare("SELECT id, blob FROM series ORDER BY id").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let (id, blob): (u32, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        match unseal_value(&series_place(SeriesId(id)), &blob) {
            Ok(entry) => each(entry),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "series is damaged and passed over")
            }
        }
    }
    Ok(())
}

/// The first number that no stored series has or ever had.
pub(crate) fn next_series(conn: &Connection) -> Result<u32, StoreError> {
    let query = "SELECT max(coalesce((SELECT max(id) FROM series), -1), coalesce((SELECT max(series) FROM chunk), -1),
                 coalesce((SELECT max(series) FROM part), -1)) + 1";
    conn.query_row(query, [], |row| row.get(0)).map_err(reading("the catalogue"))
}

/// Writes an entry of the catalogue; one that is there stays.
pub(crate) fn write_entry(tx: &Transaction<'_>, entry: &CatalogueEntry) -> Result<(), StoreError> {
    let blob = seal_value(&series_place(entry.id), entry)?;
    tx.prepare_cached("INSERT OR IGNORE INTO series(id, blob) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute(params![entry.id.0, blob]))
        .map_err(writing("the catalogue"))?;
    Ok(())
}

/// The sessions of the store.
pub(crate) fn sessions(conn: &Connection) -> Result<BTreeMap<String, Session>, StoreError> {
    let failed = reading("sessions");
    let mut statement = conn.prepare_cached("SELECT client_id, blob FROM session").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut sessions = BTreeMap::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (client_id, blob): (String, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        let session = unseal_value(&session_place(&client_id), &blob)?;
        sessions.insert(client_id, session);
    }
    Ok(sessions)
}

/// The held packet ids of the store.
pub(crate) fn held(conn: &Connection) -> Result<BTreeMap<(String, u16), u128>, StoreError> {
    let failed = reading("held packet ids");
    let mut statement = conn.prepare_cached("SELECT client_id, packet_id, blob FROM held").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut held = BTreeMap::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (client_id, packet_id): (String, u16) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        let blob: Vec<u8> = row.get(2).map_err(&failed)?;
        let place = held_place(&client_id, packet_id);
        let hash = unseal(&place, &blob)?.first_chunk::<16>().copied();
        let hash = hash.ok_or(StoreError::Format { place, text: "it is no hash".to_owned() })?;
        held.insert((client_id, packet_id), u128::from_le_bytes(hash));
    }
    Ok(held)
}

impl Store {
    /// Readings of `[from, to)` in order of (at, id), as they stand: corrections are laid over what was sent.
    ///
    /// # Errors
    /// On reading, or if a chunk's checksum is wrong.
    pub fn readings(&self, series: SeriesId, from: UnixMillis, to: UnixMillis) -> Result<Vec<Reading>, StoreError> {
        self.read(|conn| readings_in(conn, series, from.0, to.0))
    }

    /// Readings of `[from, to)` as they were sent, whatever was corrected since.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn sent_readings(
        &self,
        series: SeriesId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Reading>, StoreError> {
        self.read(|conn| sent_in(conn, series, from.0, to.0))
    }

    /// The last reading strictly before `at` that is usable (`usable`) or of any quality.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn last_before(&self, series: SeriesId, at: UnixMillis, which: Which) -> Result<Option<Reading>, StoreError> {
        self.read(|conn| last_before(conn, series, at.0, which))
    }

    /// The first reading strictly after `at`.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn first_after(&self, series: SeriesId, at: UnixMillis, which: Which) -> Result<Option<Reading>, StoreError> {
        self.read(|conn| first_after(conn, series, at.0, which))
    }

    /// First and last instant of a series, as it stands.
    ///
    /// # Errors
    /// On reading.
    pub fn span(&self, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        self.read(|conn| span(conn, series))
    }

    /// Conflicts of a series (all if none is named), in order of their instants; between what was sent.
    ///
    /// # Errors
    /// On reading.
    pub fn conflicts(&self, series: Option<SeriesId>) -> Result<Vec<ConflictRow>, StoreError> {
        self.read(|conn| conflicts(conn, series))
    }

    /// Spans touched by settling and not yet rolled up, oldest first.
    ///
    /// # Errors
    /// On reading.
    pub fn touched(&self, limit: usize) -> Result<Vec<Touched>, StoreError> {
        let touched = |row: &Row<'_>| {
            let (from, to) = (UnixMillis(row.get(2)?), UnixMillis(row.get(3)?));
            Ok(Touched { row: row.get(0)?, series: SeriesId(row.get(1)?), from, to, why: row.get(4)? })
        };
        self.read(|conn| {
            conn.prepare_cached("SELECT id, series, first_at, last_at, why FROM touched ORDER BY id LIMIT ?1")
                .and_then(|mut statement| {
                    statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], touched)?.collect()
                })
                .map_err(reading("touched spans"))
        })
    }
}
