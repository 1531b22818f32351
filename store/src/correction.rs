//! Corrections: what a person said of a reading, with author and reason, laid over what gateways sent.
//!
//! ```text
//! correction(number, pilot, series, at, id, blob)      number from 1, without holes; id '' = none
//! ```
//!
//! Chunks hold what was sent and nothing else. A correction is a row of its own, never changed and never deleted: of several of
//! one identity the latest number stands, the others are its history. [`lay_over`] puts what stands into a list of readings,
//! and is the one place that does; everything that reads readings goes through it, but what has to compare with what was sent.
//!
//! Invariants:
//! - what is read depends on the readings sent and on the numbered corrections, never on which of them came first;
//! - a correction and its touched span are written in one transaction;
//! - a series without corrections costs one look into an index.

use std::sync::Arc;

use model::{Flags, PilotId, Reading, SeriesId, UnixMillis};
use rusqlite::{Connection, Params, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::api::{Change, Corrected, Correction, Made, NewCorrection, Touched};
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::schema::{CORRECTIONS_SINCE, version_of};
use crate::seal::{seal_value, unseal_value};
use crate::{order, read};

const CORRECTIONS: &str = "corrections";

const COLUMNS: &str = "number, series, at, id, blob, (SELECT min(later.number) FROM correction AS later WHERE later.series = \
                       correction.series AND later.at = correction.at AND later.id = correction.id AND later.number > \
                       correction.number)";

/// What a row's blob holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    change: Change,
    author: Arc<str>,
    reason: Arc<str>,
    made_at: UnixMillis,
    was: Option<Reading>,
}

fn place(series: SeriesId, at: i64, id: &str, number: i64) -> String {
    format!("correction/{}/{at}/{id}/{number}", series.0)
}

/// Whether the file has corrections at all: a reader may look at one that no owner of this version has opened yet.
fn knows(conn: &Connection) -> Result<bool, StoreError> {
    version_of(conn).map(|version| version >= CORRECTIONS_SINCE)
}

/// A row of [`COLUMNS`].
fn read_row(row: &Row<'_>) -> Result<Correction, StoreError> {
    let failed = reading(CORRECTIONS);
    let (number, series): (i64, u32) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
    let (at, id): (i64, String) = (row.get(2).map_err(&failed)?, row.get(3).map_err(&failed)?);
    let (blob, superseded_by): (Vec<u8>, _) = (row.get(4).map_err(&failed)?, row.get(5).map_err(&failed)?);
    let series = SeriesId(series);
    let kept: Kept = unseal_value(&place(series, at, &id, number), &blob)?;
    let Kept { change, author, reason, made_at, was } = kept;
    let id = (!id.is_empty()).then(|| Arc::from(id));
    Ok(Correction { number, series, at: UnixMillis(at), id, change, author, reason, made_at, was, superseded_by })
}

fn select(conn: &Connection, rest: &str, values: impl Params) -> Result<Vec<Correction>, StoreError> {
    let failed = reading(CORRECTIONS);
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM correction {rest}")).map_err(&failed)?;
    let mut rows = statement.query(values).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        found.push(read_row(row)?);
    }
    Ok(found)
}

/// The corrections that stand in `[from, to)` of a series, in order of identity.
fn standing_in(conn: &Connection, series: SeriesId, from: i64, to: i64) -> Result<Vec<Correction>, StoreError> {
    if !any(conn, series)? {
        return Ok(Vec::new());
    }
    let rest = "WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, id, number";
    let mut found = select(conn, rest, params![series.0, from, to])?;
    found.retain(|correction| correction.superseded_by.is_none());
    Ok(found)
}

/// Whether a series was ever corrected.
pub(crate) fn any(conn: &Connection, series: SeriesId) -> Result<bool, StoreError> {
    if !knows(conn)? {
        return Ok(false);
    }
    conn.prepare_cached("SELECT 1 FROM correction WHERE series = ?1 LIMIT 1")
        .and_then(|mut statement| statement.exists([series.0]))
        .map_err(reading(CORRECTIONS))
}

/// The readings of `[from, to)` that stand, made from those that were sent; both in order of identity.
pub(crate) fn lay_over(
    conn: &Connection,
    series: SeriesId,
    (from, to): (i64, i64),
    sent: Vec<Reading>,
) -> Result<Vec<Reading>, StoreError> {
    let corrections = standing_in(conn, series, from, to)?;
    Ok(if corrections.is_empty() { sent } else { laid_over(sent, &corrections) })
}

fn laid_over(sent: Vec<Reading>, corrections: &[Correction]) -> Vec<Reading> {
    let mut stands = Vec::with_capacity(sent.len() + corrections.len());
    let mut rest = corrections.iter().peekable();
    for reading in sent {
        while let Some(before) = rest.next_if(|correction| correction.cmp_identity(&reading).is_lt()) {
            stands.extend(before.of(None));
        }
        match rest.next_if(|correction| correction.cmp_identity(&reading).is_eq()) {
            Some(correction) => stands.extend(correction.of(Some(reading))),
            None => stands.push(reading),
        }
    }
    stands.extend(rest.filter_map(|correction| correction.of(None)));
    stands
}

impl Correction {
    fn cmp_identity(&self, reading: &Reading) -> std::cmp::Ordering {
        self.at.cmp(&reading.at).then_with(|| self.id.cmp(&reading.id))
    }

    /// What stands at its identity, where `sent` was sent.
    fn of(&self, sent: Option<Reading>) -> Option<Reading> {
        match self.change {
            Change::Set { value, quality } => {
                Some(Reading { at: self.at, value, quality, flags: Flags::CORRECTED, id: self.id.clone() })
            }
            Change::Void => None,
            Change::Withdraw => sent,
        }
    }

    fn says(&self, new: &NewCorrection) -> bool {
        self.change == new.change && *self.author == *new.author && *self.reason == *new.reason
    }
}

/// First and last instant that a correction of a series names.
pub(crate) fn span(conn: &Connection, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
    if !knows(conn)? {
        return Ok(None);
    }
    let ends: (Option<i64>, Option<i64>) = conn
        .prepare_cached("SELECT min(at), max(at) FROM correction WHERE series = ?1")
        .and_then(|mut statement| statement.query_row([series.0], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(reading(CORRECTIONS))?;
    Ok(ends.0.zip(ends.1).map(|(from, to)| (UnixMillis(from), UnixMillis(to))))
}

/// Writes a correction, unless the one that stands says the same.
pub(crate) fn write(tx: &Transaction<'_>, new: &NewCorrection) -> Result<Made, StoreError> {
    let (series, at, id) = (new.entry.id, new.at.0, new.id.as_deref().unwrap_or_default());
    let rest = "WHERE series = ?1 AND at = ?2 AND id = ?3 ORDER BY number DESC LIMIT 1";
    let latest = select(tx, rest, params![series.0, at, id])?.pop();
    if let Some(latest) = latest.filter(|latest| latest.says(new)) {
        return Ok(Made::Already(latest));
    }
    let stood = read::readings_in(tx, series, at, at.saturating_add(1))?;
    let number = next_number(tx)?;
    let correction = Correction {
        number,
        series,
        at: new.at,
        id: new.id.clone(),
        change: new.change.clone(),
        author: Arc::clone(&new.author),
        reason: Arc::clone(&new.reason),
        made_at: new.made_at,
        was: stood.into_iter().find(|reading| reading.id == new.id),
        superseded_by: None,
    };
    // A series of which nothing was ever sent is known from here on.
    read::write_entry(tx, &new.entry)?;
    insert(tx, new.entry.key.pilot.as_str(), &correction)?;
    match correction.change {
        Change::Set { .. } => order::raise_cutoff(tx, &new.entry.key.pilot, new.at)?,
        Change::Void | Change::Withdraw => {}
    }
    tx.prepare_cached("INSERT INTO touched(series, first_at, last_at, why) VALUES (?1, ?2, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![series.0, at, Touched::CORRECTION]))
        .map_err(writing("touched spans"))?;
    Ok(Made::New(correction))
}

fn next_number(tx: &Transaction<'_>) -> Result<i64, StoreError> {
    tx.prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM correction")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(reading(CORRECTIONS))
}

fn insert(tx: &Transaction<'_>, pilot: &str, correction: &Correction) -> Result<(), StoreError> {
    let Correction { number, series, at, change, author, reason, made_at, was, .. } = correction.clone();
    let id = correction.id.as_deref().unwrap_or_default();
    let blob = seal_value(&place(series, at.0, id, number), &Kept { change, author, reason, made_at, was })?;
    tx.prepare_cached("INSERT INTO correction(number, pilot, series, at, id, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut statement| statement.execute(params![number, pilot, series.0, at.0, id, blob]))
        .map_err(writing(CORRECTIONS))?;
    Ok(())
}

impl Store {
    /// Corrections with a number above `after`, ascending, at most `limit`; of one pilot or of all.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn corrections(
        &self,
        after: i64,
        pilot: Option<&PilotId>,
        limit: usize,
    ) -> Result<Vec<Correction>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rest = "WHERE number > ?1 AND (?2 IS NULL OR pilot = ?2) ORDER BY number LIMIT ?3";
        let values = params![after, pilot.map(PilotId::as_str), limit];
        self.read(|conn| if knows(conn)? { select(conn, rest, values) } else { Ok(Vec::new()) })
    }

    /// How many corrections a pilot has, and the latest `limit` of them, latest first.
    ///
    /// # Errors
    /// As [`Store::corrections`].
    pub fn latest_corrections(&self, pilot: &PilotId, limit: u32) -> Result<(u32, Vec<Correction>), StoreError> {
        self.read(|conn| {
            if !knows(conn)? {
                return Ok((0, Vec::new()));
            }
            let n = conn
                .prepare_cached("SELECT count(*) FROM correction WHERE pilot = ?1")
                .and_then(|mut statement| statement.query_row([pilot.as_str()], |row| row.get(0)))
                .map_err(reading(CORRECTIONS))?;
            let rest = "WHERE pilot = ?1 ORDER BY number DESC LIMIT ?2";
            Ok((n, select(conn, rest, params![pilot.as_str(), limit])?))
        })
    }

    /// What stands in `[from, to)`, and beside it what each correction that stands there was laid over. One snapshot.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn readings_with_corrections(
        &self,
        series: SeriesId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<(Vec<Reading>, Vec<Corrected>), StoreError> {
        self.read(|conn| {
            let sent = read::sent_in(conn, series, from.0, to.0)?;
            let mut corrections = standing_in(conn, series, from.0, to.0)?;
            let stands = laid_over(sent.clone(), &corrections);
            corrections.retain(|correction| correction.change != Change::Withdraw);
            let with_sent = |correction: Correction| {
                let found = sent.binary_search_by(|one| correction.cmp_identity(one).reverse()).ok();
                Corrected { sent: found.map(|place| sent[place].clone()), correction }
            };
            Ok((stands, corrections.into_iter().map(with_sent).collect()))
        })
    }

    /// The latest correction of each identity in `[from, to)`, withdrawals among them, in order of identity.
    ///
    /// # Errors
    /// As [`Store::corrections`].
    pub fn latest_corrections_in(
        &self,
        series: SeriesId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Correction>, StoreError> {
        self.read(|conn| standing_in(conn, series, from.0, to.0))
    }

    /// The latest correction of an identity: the one that stands, unless it is a withdrawal.
    ///
    /// # Errors
    /// As [`Store::corrections`].
    pub fn latest_correction(
        &self,
        series: SeriesId,
        at: UnixMillis,
        id: Option<&str>,
    ) -> Result<Option<Correction>, StoreError> {
        let found = self.read(|conn| standing_in(conn, series, at.0, at.0.saturating_add(1)))?;
        Ok(found.into_iter().find(|correction| correction.id.as_deref() == id))
    }

    /// First and last instant at which anything was sent or corrected, whatever stands there now.
    ///
    /// # Errors
    /// On reading.
    pub fn span_of_all(&self, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        self.read(|conn| {
            let spans = [read::span_sent(conn, series)?, span(conn, series)?];
            Ok(spans.into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))))
        })
    }
}

#[cfg(test)]
mod tests;
