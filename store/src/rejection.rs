//! Refused messages, kept with their bytes until they are replayed, within a bound.
//!
//! Invariants:
//! - the same refusal of the same bytes is one row, whose `times` grows;
//! - bytes of all pilots stay under [`REJECTION_BYTES_MAX`], those of one pilot under an eighth of it; beyond it hash,
//!   size, reason and count remain, and beyond [`BARE_ROWS_MAX`] of those the counters alone;
//! - a row is replayed once: its numbers move from `rejected` to `committed` in the transaction that marks it.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use model::UnixMillis;

use crate::api::{Counters, RejectedMessage, RejectionRow, Replayed, WholeOrParts};
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::seal::{seal_value, unseal_value};

/// CONTRACT section 3: `rejections.max_bytes`.
pub const REJECTION_BYTES_MAX: u64 = 1 << 30;
/// One pilot's share, so that a broken gateway does not take the room of all.
const PILOT_SHARE: i64 = 8;
/// Rows without bytes: some 150 MB. A flood of ever different messages ends here; the counters go on.
const BARE_ROWS_MAX: i64 = 1_000_000;
/// What a row takes on disk besides the message's own texts.
const ROW_BYTES: usize = 160;
/// The key under which bare rows are counted; no pilot has an empty id.
const BARE: &str = "#bare";
/// The key of the sum over all pilots.
const ALL: &str = "#all";

fn place(id: i64) -> String {
    format!("rejection/{id}")
}

fn weight(message: &RejectedMessage) -> i64 {
    let details: usize = message.refusals.iter().map(|refusal| refusal.detail.len() + 8).sum();
    i64::try_from(ROW_BYTES + message.bytes.len() + message.topic.len() + details).unwrap_or(i64::MAX)
}

fn reason_of(message: &RejectedMessage) -> i64 {
    message.refusals.first().map_or(-1, |refusal| i64::try_from(refusal.reason.index()).unwrap_or(-1))
}

fn whole(message: &RejectedMessage) -> i64 {
    match message.whole {
        WholeOrParts::Whole => 1,
        WholeOrParts::Parts => 0,
    }
}

fn sum_of(conn: &Connection, key: &str) -> Result<i64, StoreError> {
    conn.prepare_cached("SELECT bytes FROM rejection_bytes WHERE pilot = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
        .map(Option::unwrap_or_default)
        .map_err(reading("the bytes of rejections"))
}

fn add_sum(tx: &Transaction<'_>, key: &str, bytes: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO rejection_bytes(pilot, bytes) VALUES (?1, ?2)
         ON CONFLICT(pilot) DO UPDATE SET bytes = max(0, bytes + excluded.bytes)",
    )
    .and_then(|mut statement| statement.execute(params![key, bytes]))
    .map_err(writing("the bytes of rejections"))?;
    Ok(())
}

/// Bytes that rejections take, of all pilots.
pub(crate) fn kept_bytes(conn: &Connection) -> Result<u64, StoreError> {
    Ok(u64::try_from(sum_of(conn, ALL)?).unwrap_or(0))
}

fn pilot_key(message: &RejectedMessage) -> &str {
    message.pilot.as_ref().map_or("", |pilot| pilot.as_str())
}

/// Keeps a refused message, or counts it on its row.
pub(crate) fn keep(tx: &Transaction<'_>, message: &RejectedMessage, bytes_max: i64) -> Result<(), StoreError> {
    let key = params![message.hash.to_le_bytes(), reason_of(message), whole(message)];
    let found: Option<(i64, i64)> = tx
        .prepare_cached("SELECT id, replayed FROM rejection WHERE hash = ?1 AND reason = ?2 AND whole = ?3")
        .and_then(|mut statement| statement.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(reading("a rejection"))?;
    match found {
        Some((id, 0)) => tx
            .prepare_cached("UPDATE rejection SET times = times + 1, last_at = max(last_at, ?2) WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![id, message.at.0]))
            .map_err(writing("a rejection"))
            .map(drop),
        // It was replayed and is refused again: a new one.
        Some((id, _)) => {
            tx.execute("DELETE FROM rejection WHERE id = ?1", [id]).map_err(writing("a rejection"))?;
            insert(tx, message, bytes_max)
        }
        None => insert(tx, message, bytes_max),
    }
}

fn insert(tx: &Transaction<'_>, message: &RejectedMessage, bytes_max: i64) -> Result<(), StoreError> {
    let weight = weight(message);
    let pilot = pilot_key(message);
    let fits = sum_of(tx, ALL)?.saturating_add(weight) <= bytes_max
        && sum_of(tx, pilot)?.saturating_add(weight) <= bytes_max / PILOT_SHARE;
    if fits {
        put(tx, message, weight)?;
        add_sum(tx, ALL, weight)?;
        return add_sum(tx, pilot, weight);
    }
    if sum_of(tx, BARE)? >= BARE_ROWS_MAX {
        return Ok(());
    }
    let mut bare = message.clone();
    bare.bytes.clear();
    bare.refusals.truncate(1);
    bare.refusals.iter_mut().for_each(|refusal| refusal.detail.clear());
    put(tx, &bare, 0)?;
    add_sum(tx, BARE, 1)
}

fn put(tx: &Transaction<'_>, message: &RejectedMessage, kept: i64) -> Result<(), StoreError> {
    let failed = writing("a rejection");
    tx.prepare_cached(
        "INSERT INTO rejection(hash, reason, whole, last_at, times, replayed, kept, blob)
         VALUES (?1, ?2, ?3, ?4, 1, 0, ?5, x'')",
    )
    .and_then(|mut statement| {
        let hash = message.hash.to_le_bytes();
        statement.execute(params![hash, reason_of(message), whole(message), message.at.0, kept])
    })
    .map_err(&failed)?;
    let id = tx.last_insert_rowid();
    set_message(tx, id, message)
}

fn set_message(tx: &Transaction<'_>, id: i64, message: &RejectedMessage) -> Result<(), StoreError> {
    let blob = seal_value(&place(id), message)?;
    tx.prepare_cached("UPDATE rejection SET blob = ?2 WHERE id = ?1")
        .and_then(|mut statement| statement.execute(params![id, blob]))
        .map_err(writing("a rejection"))?;
    Ok(())
}

struct Kept {
    message: RejectedMessage,
    times: u64,
    kept: i64,
    is_replayed: bool,
}

fn find(tx: &Transaction<'_>, id: i64) -> Result<Option<Kept>, StoreError> {
    let row: Option<(Vec<u8>, i64, i64, bool)> = tx
        .prepare_cached("SELECT blob, times, kept, replayed FROM rejection WHERE id = ?1")
        .and_then(|mut statement| {
            statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()
        })
        .map_err(reading("a rejection"))?;
    let Some((blob, times, kept, is_replayed)) = row else {
        return Ok(None);
    };
    let message = unseal_value(&place(id), &blob)?;
    Ok(Some(Kept { message, times: times.cast_unsigned(), kept, is_replayed }))
}

/// Moves a replayed rejection's numbers and marks its row.
pub(crate) fn replay(tx: &Transaction<'_>, replayed: &Replayed, counters: &mut Counters) -> Result<(), StoreError> {
    let Some(mut kept) = find(tx, replayed.rejection)?.filter(|kept| !kept.is_replayed) else {
        return Ok(());
    };
    match kept.message.whole {
        WholeOrParts::Whole => {
            if let Some(refusal) = kept.message.refusals.first() {
                let rejected = &mut counters.rejected[refusal.reason.index()];
                let moved = kept.times.min(*rejected);
                *rejected -= moved;
                counters.committed += moved;
            }
        }
        WholeOrParts::Parts => {
            for refusal in &replayed.mended {
                let refused = &mut counters.refused[refusal.reason.index()];
                *refused = refused.saturating_sub(kept.times);
            }
        }
    }
    let is_done = replayed.remaining.is_empty();
    let weight_before = kept.kept;
    if is_done {
        kept.message.bytes.clear();
        kept.kept = 0;
    } else {
        kept.message.whole = WholeOrParts::Parts;
        kept.message.refusals.clone_from(&replayed.remaining);
    }
    add_sum(tx, ALL, kept.kept - weight_before)?;
    add_sum(tx, pilot_key(&kept.message), kept.kept - weight_before)?;
    set_message(tx, replayed.rejection, &kept.message)?;
    let values = params![replayed.rejection, is_done, kept.kept, reason_of(&kept.message), whole(&kept.message)];
    tx.prepare_cached(
        "UPDATE OR REPLACE rejection SET replayed = ?2, kept = ?3, reason = ?4, whole = ?5 WHERE id = ?1",
    )
    .and_then(|mut statement| statement.execute(values))
    .map_err(writing("a rejection"))?;
    Ok(())
}

impl Store {
    /// Rejections with `last_at ≥ since`, ascending by id, from after `after_id`, at most `limit`.
    ///
    /// # Errors
    /// On reading.
    pub fn rejections(&self, since: UnixMillis, after_id: i64, limit: usize) -> Result<Vec<RejectionRow>, StoreError> {
        let failed = reading("rejections");
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT id, times, last_at, replayed, kept, blob FROM rejection
                     WHERE id > ?1 AND last_at >= ?2 ORDER BY id LIMIT ?3",
                )
                .map_err(&failed)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![after_id, since.0, limit]).map_err(&failed)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let number = |idx| row.get::<_, i64>(idx).map_err(&failed);
                let id = number(0)?;
                let blob: Vec<u8> = row.get(5).map_err(&failed)?;
                found.push(RejectionRow {
                    id,
                    message: unseal_value(&place(id), &blob)?,
                    times: number(1)?.cast_unsigned(),
                    last_at: UnixMillis(number(2)?),
                    has_bytes: number(4)? > 0,
                    replayed: number(3)? != 0,
                });
            }
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use model::PilotId;
    use model::reason::{Reason, Refusal, RefusedPart};

    use super::*;
    use crate::schema::store_writer;
    use crate::tests::TempDir;

    fn message(hash: u128, pilot: &str, n_bytes: usize) -> RejectedMessage {
        RejectedMessage {
            at: UnixMillis(1_000),
            topic: "pilotline/v1/p-1/gw".to_owned(),
            pilot: PilotId::parse(pilot).ok(),
            login: None,
            bytes: vec![b'{'; n_bytes],
            size: n_bytes as u64,
            hash,
            whole: WholeOrParts::Whole,
            refusals: vec![refusal(Reason::BadJson)],
            retained: false,
        }
    }

    fn refusal(reason: Reason) -> Refusal {
        Refusal { reason, part: RefusedPart::Message, detail: "it ends inside an object".to_owned() }
    }

    fn rows(conn: &Connection) -> Vec<(i64, i64)> {
        let mut statement = conn.prepare("SELECT times, kept FROM rejection ORDER BY id").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_same_rejection_again_counts_on_its_row() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        for hash in [1, 1, 2, 1] {
            keep(&tx, &message(hash, "p-1", 10), 1 << 20).unwrap();
        }
        tx.commit().unwrap();
        assert_eq!(rows(&conn).iter().map(|row| row.0).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_pilot_over_its_eighth_keeps_no_more_bytes_and_the_others_do() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        for hash in 0..4 {
            keep(&tx, &message(hash, "p-1", 500), 8 * 1_500).unwrap();
        }
        keep(&tx, &message(9, "p-2", 500), 8 * 1_500).unwrap();
        tx.commit().unwrap();
        let has_bytes: Vec<bool> = rows(&conn).into_iter().map(|(_, kept)| kept > 0).collect();
        assert_eq!(has_bytes, [true, true, false, false, true]);
        assert_eq!(sum_of(&conn, BARE).unwrap(), 2);
    }

    #[test]
    fn a_replay_moves_every_time_of_its_row_once() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        keep(&tx, &message(1, "p-1", 10), 1 << 20).unwrap();
        keep(&tx, &message(1, "p-1", 10), 1 << 20).unwrap();
        let mut counters = Counters { received: 3, committed: 1, ..Counters::default() };
        counters.rejected[Reason::BadJson.index()] = 2;
        let replayed = Replayed { rejection: 1, mended: vec![refusal(Reason::BadJson)], remaining: Vec::new() };
        replay(&tx, &replayed, &mut counters).unwrap();
        replay(&tx, &replayed, &mut counters).unwrap();
        assert_eq!((counters.received, counters.committed, counters.rejected.iter().sum::<u64>()), (3, 3, 0));
        assert_eq!(kept_bytes(&tx).unwrap(), 0);
        keep(&tx, &message(1, "p-1", 10), 1 << 20).unwrap();
        tx.commit().unwrap();
        assert_eq!(rows(&conn).iter().map(|row| row.0).collect::<Vec<_>>(), [1], "refused again, it is a new one");
    }
}
