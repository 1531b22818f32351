//! Refused messages, kept with their bytes until they are replayed, within a bound.
//!
//! Invariants:
//! - the same refusal of the same bytes is one row, whose `times` grows;
//! - bytes of all pilots stay under [`REJECTION_BYTES_MAX`], those of one pilot under an eighth of it; beyond it hash,
//!   size, reason and count remain, and beyond [`BARE_ROWS_MAX`] of those the counters alone;
//! - a row is replayed once: its numbers move from `rejected` to `committed` in the transaction that marks it;
//! - `waiting` names exactly the rows with bytes that have a refusal of [`PASSING`], so that nobody reads bytes to find them.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use model::{PilotId, Reason, UnixMillis};

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

/// Reasons that pass when a gateway says more, without anybody changing a file.
const PASSING: [Reason; 2] = [Reason::UnknownAlias, Reason::UnknownId];

fn place(id: i64) -> String {
    format!("rejection/{id}")
}

fn weight(message: &RejectedMessage) -> i64 {
    let details: usize = message.refusals.iter().map(|refusal| refusal.detail.len() + 8).sum();
    i64::try_from(ROW_BYTES + message.bytes.len() + message.topic.len() + details).unwrap_or(i64::MAX)
}

fn reason_of(message: &RejectedMessage) -> i64 {
    message.refusals.first().map_or(-1, |refusal| number(refusal.reason))
}

fn number(reason: Reason) -> i64 {
    i64::try_from(reason.index()).unwrap_or(-1)
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
        let id = put(tx, message, weight)?;
        wait(tx, id, message)?;
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

/// Notes for what a kept message waits.
fn wait(tx: &Transaction<'_>, id: i64, message: &RejectedMessage) -> Result<(), StoreError> {
    let has = |reason: &Reason| message.refusals.iter().any(|refusal| refusal.reason == *reason);
    for reason in PASSING.into_iter().filter(has) {
        tx.prepare_cached("INSERT OR REPLACE INTO waiting(reason, pilot, rejection, topic) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| statement.execute(params![number(reason), pilot_key(message), id, message.topic]))
            .map_err(writing("what a message waits for"))?;
    }
    Ok(())
}

/// A message of this pilot waits for nothing more.
fn wait_no_more(tx: &Transaction<'_>, id: i64, pilot: &str) -> Result<(), StoreError> {
    for reason in PASSING {
        tx.prepare_cached("DELETE FROM waiting WHERE reason = ?1 AND pilot = ?2 AND rejection = ?3")
            .and_then(|mut statement| statement.execute(params![number(reason), pilot, id]))
            .map_err(writing("what a message waits for"))?;
    }
    Ok(())
}

/// Notes for what the messages of an older file wait; one that does not read stays for `check` to tell.
pub(crate) fn note_waiting(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let failed = reading("rejections");
    let mut statement =
        tx.prepare("SELECT id, blob FROM rejection WHERE replayed = 0 AND kept > 0").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let (id, blob): (i64, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        if let Ok(message) = unseal_value::<RejectedMessage>(&place(id), &blob) {
            wait(tx, id, &message)?;
        }
    }
    Ok(())
}

fn put(tx: &Transaction<'_>, message: &RejectedMessage, kept: i64) -> Result<i64, StoreError> {
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
    set_message(tx, id, message)?;
    Ok(id)
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
    let (is_done, weight_before) = (replayed.remaining.is_empty(), kept.kept);
    wait_no_more(tx, replayed.rejection, pilot_key(&kept.message))?;
    if is_done {
        kept.message.bytes.clear();
        kept.kept = 0;
    } else {
        kept.message.whole = WholeOrParts::Parts;
        kept.message.refusals.clone_from(&replayed.remaining);
        wait(tx, replayed.rejection, &kept.message)?;
        join_twin(tx, replayed.rejection, &kept.message, counters)?;
    }
    add_sum(tx, ALL, kept.kept - weight_before)?;
    add_sum(tx, pilot_key(&kept.message), kept.kept - weight_before)?;
    set_message(tx, replayed.rejection, &kept.message)?;
    let values = params![replayed.rejection, is_done, kept.kept, reason_of(&kept.message), whole(&kept.message)];
    tx.prepare_cached("UPDATE rejection SET replayed = ?2, kept = ?3, reason = ?4, whole = ?5 WHERE id = ?1")
        .and_then(|mut statement| statement.execute(values))
        .map_err(writing("a rejection"))?;
    Ok(())
}

/// The same bytes may have come again and been kept as what `message` becomes only now: one row goes on for both. How often
/// the other came is added, and what was counted for its refusals becomes what is counted for these.
fn join_twin(
    tx: &Transaction<'_>,
    id: i64,
    message: &RejectedMessage,
    counters: &mut Counters,
) -> Result<(), StoreError> {
    let twin: Option<i64> = tx
        .prepare_cached("SELECT id FROM rejection WHERE hash = ?1 AND reason = ?2 AND whole = ?3 AND id <> ?4")
        .and_then(|mut statement| {
            let key = params![message.hash.to_le_bytes(), reason_of(message), whole(message), id];
            statement.query_row(key, |row| row.get(0)).optional()
        })
        .map_err(reading("a rejection"))?;
    let Some(twin) = twin else { return Ok(()) };
    if let Some(Kept { message: other, times, kept, is_replayed }) = find(tx, twin)? {
        if !is_replayed {
            for refusal in &other.refusals {
                let refused = &mut counters.refused[refusal.reason.index()];
                *refused = refused.saturating_sub(times);
            }
            message.refusals.iter().for_each(|refusal| counters.refused[refusal.reason.index()] += times);
            tx.execute(
                "UPDATE rejection SET times = times + ?2,
                     last_at = max(last_at, (SELECT last_at FROM rejection WHERE id = ?3)) WHERE id = ?1",
                params![id, times.cast_signed(), twin],
            )
            .map_err(writing("a rejection"))?;
            if kept == 0 {
                add_sum(tx, BARE, -1)?;
            }
        }
        wait_no_more(tx, twin, pilot_key(&other))?;
        add_sum(tx, ALL, -kept)?;
        add_sum(tx, pilot_key(&other), -kept)?;
    }
    tx.execute("DELETE FROM rejection WHERE id = ?1", [twin]).map(drop).map_err(writing("a rejection"))
}

/// A row of `id, times, last_at, replayed, kept, blob`.
fn listed(row: &rusqlite::Row<'_>) -> Result<RejectionRow, StoreError> {
    let failed = reading("rejections");
    let number = |idx| row.get::<_, i64>(idx).map_err(&failed);
    let id = number(0)?;
    let blob: Vec<u8> = row.get(5).map_err(&failed)?;
    Ok(RejectionRow {
        id,
        message: unseal_value(&place(id), &blob)?,
        times: number(1)?.cast_unsigned(),
        last_at: UnixMillis(number(2)?),
        has_bytes: number(4)? > 0,
        replayed: number(3)? != 0,
    })
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
                found.push(listed(row)?);
            }
            Ok(found)
        })
    }

    /// One rejection; none if it is gone.
    ///
    /// # Errors
    /// On reading, or if its checksum is wrong.
    pub fn rejection(&self, id: i64) -> Result<Option<RejectionRow>, StoreError> {
        let failed = reading("rejections");
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached("SELECT id, times, last_at, replayed, kept, blob FROM rejection WHERE id = ?1")
                .map_err(&failed)?;
            let mut rows = statement.query([id]).map_err(&failed)?;
            rows.next().map_err(&failed)?.map(listed).transpose()
        })
    }

    /// Kept rejections of a pilot that may be readable once its gateways have said more, by id and topic: those with a
    /// refusal of this reason (`unknown_id` or `unknown_alias`; of another there are none), ascending by id from after
    /// `after_id`, at most `limit`. Reads no message.
    ///
    /// # Errors
    /// On reading.
    pub fn waiting(
        &self,
        reason: Reason,
        pilot: &PilotId,
        after_id: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rejection, topic FROM waiting WHERE reason = ?1 AND pilot = ?2 AND rejection > ?3
                 ORDER BY rejection LIMIT ?4",
            )
            .and_then(|mut statement| {
                let found = params![number(reason), pilot.as_str(), after_id, limit];
                statement.query_map(found, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(reading("what messages wait for"))
        })
    }
}

#[cfg(test)]
mod tests {
    use model::reason::{Refusal, RefusedPart};

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

    /// What waits for dictionaries of pilot p-1: ids of rows.
    fn waiting(conn: &Connection, reason: Reason) -> Vec<i64> {
        let mut statement = conn
            .prepare("SELECT rejection FROM waiting WHERE reason = ?1 AND pilot = 'p-1' ORDER BY rejection")
            .unwrap();
        statement.query_map([number(reason)], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn refused(hash: u128, reasons: &[Reason]) -> RejectedMessage {
        let refusals = reasons.iter().map(|reason| refusal(*reason)).collect();
        RejectedMessage { refusals, ..message(hash, "p-1", 500) }
    }

    #[test]
    fn a_message_waits_for_what_may_pass_as_long_as_it_is_refused_for_it() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        for (hash, reasons) in [
            (1, &[Reason::UnknownSeries, Reason::UnknownId][..]),
            (2, &[Reason::BadJson]),
            (3, &[Reason::UnknownId, Reason::UnknownAlias]),
        ] {
            keep(&tx, &refused(hash, reasons), 1 << 20).unwrap();
        }
        // Without bytes there is nothing to read again.
        keep(&tx, &refused(4, &[Reason::UnknownId]), 1).unwrap();
        assert_eq!((waiting(&tx, Reason::UnknownId), waiting(&tx, Reason::UnknownAlias)), (vec![1, 3], vec![3]));
        let remains = |rejection, remaining| Replayed { rejection, mended: Vec::new(), remaining };
        let mut counters = Counters::default();
        replay(&tx, &remains(1, vec![refusal(Reason::UnknownSeries)]), &mut counters).unwrap();
        replay(&tx, &remains(3, vec![refusal(Reason::UnknownAlias)]), &mut counters).unwrap();
        assert_eq!((waiting(&tx, Reason::UnknownId), waiting(&tx, Reason::UnknownAlias)), (vec![], vec![3]));
        replay(&tx, &remains(3, Vec::new()), &mut counters).unwrap();
        assert_eq!(waiting(&tx, Reason::UnknownAlias), Vec::<i64>::new());
    }

    #[test]
    fn a_file_of_version_2_learns_for_what_its_messages_wait() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        for (hash, reason) in [(1, Reason::UnknownId), (2, Reason::BadJson), (3, Reason::UnknownId)] {
            keep(&tx, &refused(hash, &[reason]), 1 << 20).unwrap();
        }
        tx.execute("UPDATE rejection SET blob = x'00' WHERE id = 1", []).unwrap();
        tx.execute_batch("DROP TABLE waiting").unwrap();
        tx.execute_batch(crate::tests::WITHOUT_VERSION_4).unwrap();
        tx.commit().unwrap();
        conn.pragma_update(None, "user_version", 2).unwrap();
        drop(conn);
        let conn = store_writer(dir.path()).unwrap();
        assert_eq!(waiting(&conn, Reason::UnknownId), [3], "the first one's bytes are damaged");
    }

    #[test]
    fn a_replayed_row_takes_up_the_row_that_it_comes_to_equal() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        let first = refused(7, &[Reason::UnknownId]);
        keep(&tx, &first, 1 << 20).unwrap();
        let again = RejectedMessage { whole: WholeOrParts::Parts, ..first };
        keep(&tx, &again, 1 << 20).unwrap();
        keep(&tx, &again, 1 << 20).unwrap();
        let mut counters = Counters::default();
        counters.rejected[Reason::UnknownId.index()] = 1;
        // Two of the other row, and one that the replay counts for this one.
        counters.refused[Reason::UnknownId.index()] = 3;
        let replayed = Replayed { rejection: 1, mended: Vec::new(), remaining: vec![refusal(Reason::UnknownId)] };
        replay(&tx, &replayed, &mut counters).unwrap();
        assert_eq!(rows(&tx).iter().map(|row| row.0).collect::<Vec<_>>(), [3]);
        assert_eq!((waiting(&tx, Reason::UnknownId), counters.refused[Reason::UnknownId.index()]), (vec![1], 3));
        let done = Replayed { rejection: 1, mended: vec![refusal(Reason::UnknownId)], remaining: Vec::new() };
        replay(&tx, &done, &mut counters).unwrap();
        assert_eq!((kept_bytes(&tx).unwrap(), counters.refused[Reason::UnknownId.index()]), (0, 0));
    }

    #[test]
    fn a_row_without_bytes_that_is_taken_up_makes_room_for_another_and_leaves_its_time() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let tx = conn.transaction().unwrap();
        let first = refused(7, &[Reason::UnknownId]);
        keep(&tx, &first, 1 << 20).unwrap();
        let again = RejectedMessage { whole: WholeOrParts::Parts, at: UnixMillis(2_000), ..first };
        keep(&tx, &again, 1).unwrap();
        assert_eq!(sum_of(&tx, BARE).unwrap(), 1);
        let replayed = Replayed { rejection: 1, mended: Vec::new(), remaining: vec![refusal(Reason::UnknownId)] };
        replay(&tx, &replayed, &mut Counters::default()).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let left = tx.query_row("SELECT times, last_at FROM rejection", [], row).unwrap();
        assert_eq!((sum_of(&tx, BARE).unwrap(), left), (0, (2, 2_000)));
    }
}
