//! The last transaction of a round: what is counted rather than merged, and how far settling has come.
//!
//! Invariant: nothing here is idempotent by itself; it runs in the one transaction that moves `settled`, so that it
//! happens once or not at all.

use std::collections::{BTreeMap, BTreeSet};

use model::{PilotId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::api::{CatalogueEntry, CommitNo, Counters, HeldChange, Outage, Session, SessionChange};
use crate::error::{StoreError, reading, writing};
use crate::learned::{self, Learned};
use crate::outage;
use crate::rejection::{self, REJECTION_BYTES_MAX};
use crate::replay::State;
use crate::row::Parts;
use crate::schema::sql;
use crate::seal::{seal, seal_value, unseal};

/// CONTRACT section 3: duplicates are recognised among the last 2^20 messages.
pub(crate) const HASHES_MAX: usize = 1 << 20;
/// Hashes are kept in blobs of at least this many, so that they are a few hundred rows.
const HASHES_A_ROW: i64 = 4_096;

/// A journal row that could not be read.
pub(crate) struct DamagedRow {
    pub(crate) commit: CommitNo,
    pub(crate) at: UnixMillis,
    pub(crate) reason: String,
    pub(crate) blob: Vec<u8>,
}

/// What a round brings besides readings and orders.
#[derive(Default)]
pub(crate) struct Ending {
    pub(crate) through: CommitNo,
    pub(crate) at: Option<UnixMillis>,
    pub(crate) chain: u64,
    pub(crate) counters: Counters,
    pub(crate) hashes: Vec<u128>,
    /// What a round makes of each session: none if it is removed.
    pub(crate) sessions: BTreeMap<String, Option<Session>>,
    pub(crate) held: HeldChanges,
    /// In order of commit, those with rejections or replays, and only these in them.
    pub(crate) parts: Vec<Parts>,
    pub(crate) damaged: Vec<DamagedRow>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) learned: Learned,
}

/// What a round makes of the held packet ids: a QoS 2 message that came and went leaves nothing.
#[derive(Default)]
pub(crate) struct HeldChanges {
    /// Clients whose ids before the round are all released.
    released: BTreeSet<String>,
    /// The hash held at the end, or none.
    changed: BTreeMap<(String, u16), Option<u128>>,
}

impl HeldChanges {
    fn take(&mut self, change: HeldChange) {
        match change {
            HeldChange::Hold { client_id, packet_id, hash } => {
                self.changed.insert((client_id, packet_id), Some(hash));
            }
            HeldChange::Release { client_id, packet_id } => {
                self.changed.insert((client_id, packet_id), None);
            }
            HeldChange::ReleaseAll { client_id } => {
                self.changed.retain(|(client, _), _| *client != client_id);
                self.released.insert(client_id);
            }
        }
    }
}

impl Ending {
    /// Takes up the sessions, held ids, rejections and replays of one commit.
    pub(crate) fn take(&mut self, mut parts: Parts) {
        for change in parts.sessions.drain(..) {
            match change {
                SessionChange::Put(session) => self.sessions.insert(session.client_id.clone(), Some(session)),
                SessionChange::Remove { client_id } => self.sessions.insert(client_id, None),
            };
        }
        parts.held.drain(..).for_each(|change| self.held.take(change));
        self.outages.append(&mut parts.outages);
        parts.learned.drain(..).for_each(|message| learned::take(&mut self.learned, message));
        if !parts.rejections.is_empty() || !parts.replayed.is_empty() {
            self.parts.push(parts);
        }
    }
}

/// Writes it all and answers the counters of all time.
pub(crate) fn write(
    tx: &Transaction<'_>,
    ending: &Ending,
    catalogue: &dyn Fn(&PilotId) -> Vec<CatalogueEntry>,
) -> Result<Counters, StoreError> {
    let mut counters = State::read(tx)?.counters;
    counters.add(&ending.counters);
    let bytes_max = i64::try_from(REJECTION_BYTES_MAX).unwrap_or(i64::MAX);
    for parts in &ending.parts {
        for message in &parts.rejections {
            rejection::keep(tx, message, bytes_max)?;
        }
        for replayed in &parts.replayed {
            rejection::replay(tx, replayed, &mut counters)?;
        }
    }
    ending.sessions.iter().try_for_each(|(client_id, session)| write_session(tx, client_id, session.as_ref()))?;
    write_held(tx, &ending.held)?;
    write_hashes(tx, &ending.hashes)?;
    outage::write(tx, &ending.outages, catalogue)?;
    learned::write(tx, &ending.learned)?;
    ending.damaged.iter().try_for_each(|damaged| set_aside(tx, damaged))?;
    let state =
        State { settled: ending.through, chain: ending.chain, settled_at: ending.at, counters: counters.clone() };
    state.write(tx)?;
    Ok(counters)
}

/// The place of a session's blob.
pub(crate) fn session_place(client_id: &str) -> String {
    format!("session/{client_id}")
}

fn write_session(tx: &Transaction<'_>, client_id: &str, session: Option<&Session>) -> Result<(), StoreError> {
    match session {
        Some(session) => {
            let blob = seal_value(&session_place(client_id), session)?;
            tx.prepare_cached("INSERT OR REPLACE INTO session(client_id, blob) VALUES (?1, ?2)")
                .and_then(|mut statement| statement.execute(params![client_id, blob]))
        }
        None => tx
            .prepare_cached("DELETE FROM session WHERE client_id = ?1")
            .and_then(|mut statement| statement.execute([client_id])),
    }
    .map(drop)
    .map_err(writing("a session"))
}

/// The place of a held packet id's blob.
pub(crate) fn held_place(client_id: &str, packet_id: u16) -> String {
    format!("held/{client_id}/{packet_id}")
}

fn write_held(tx: &Transaction<'_>, held: &HeldChanges) -> Result<(), StoreError> {
    let failed = writing("a held packet id");
    for client_id in &held.released {
        tx.prepare_cached("DELETE FROM held WHERE client_id = ?1")
            .and_then(|mut statement| statement.execute([client_id]))
            .map_err(&failed)?;
    }
    for ((client_id, packet_id), hash) in &held.changed {
        match hash {
            Some(hash) => {
                let blob = seal(&held_place(client_id, *packet_id), &hash.to_le_bytes());
                tx.prepare_cached("INSERT OR REPLACE INTO held(client_id, packet_id, blob) VALUES (?1, ?2, ?3)")
                    .and_then(|mut statement| statement.execute(params![client_id, packet_id, blob]))
            }
            None => tx
                .prepare_cached("DELETE FROM held WHERE client_id = ?1 AND packet_id = ?2")
                .and_then(|mut statement| statement.execute(params![client_id, packet_id])),
        }
        .map_err(&failed)?;
    }
    Ok(())
}

fn hashes_place(id: i64) -> String {
    format!("hashes/{id}")
}

fn hashes_in(id: i64, blob: &[u8]) -> Result<impl Iterator<Item = u128>, StoreError> {
    let bytes = unseal(&hashes_place(id), blob)?;
    Ok(bytes.as_chunks::<16>().0.iter().map(|bytes| u128::from_le_bytes(*bytes)))
}

/// The hashes of the store, oldest first.
pub(crate) fn read_hashes(conn: &Connection) -> Result<Vec<u128>, StoreError> {
    let failed = reading("the hashes of messages");
    let mut statement = conn.prepare_cached("SELECT id, blob FROM hashes ORDER BY id").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut hashes = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (id, blob): (i64, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        match hashes_in(id, &blob) {
            Ok(found) => hashes.extend(found),
            // Duplicates are a statistic: without these hashes a few are counted as committed, nothing is stored twice.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "hashes of messages are damaged");
            }
        }
    }
    Ok(hashes)
}

/// Appends the round's hashes, and forgets blobs that lie wholly before the last [`HASHES_MAX`].
fn write_hashes(tx: &Transaction<'_>, hashes: &[u128]) -> Result<(), StoreError> {
    if hashes.is_empty() {
        return Ok(());
    }
    let failed = writing("the hashes of messages");
    let hashes = &hashes[hashes.len().saturating_sub(HASHES_MAX)..];
    let last: Option<(i64, i64, Vec<u8>)> = tx
        .prepare_cached("SELECT id, n, blob FROM hashes ORDER BY id DESC LIMIT 1")
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
        .map_err(reading("the hashes of messages"))?;
    let next = last.as_ref().map_or(1, |(id, ..)| id + 1);
    let open = last.filter(|(_, n, _)| *n < HASHES_A_ROW);
    let (id, mut bytes) = match &open {
        Some((id, _, blob)) => (*id, unseal(&hashes_place(*id), blob).map(<[u8]>::to_vec).unwrap_or_default()),
        None => (next, Vec::with_capacity(hashes.len() * 16)),
    };
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
    let n = i64::try_from(bytes.len() / 16).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT OR REPLACE INTO hashes(id, n, blob) VALUES (?1, ?2, ?3)",
        params![id, n, seal(&hashes_place(id), &bytes)],
    )
    .map_err(&failed)?;
    tx.execute(
        "DELETE FROM hashes WHERE id IN (SELECT id FROM
           (SELECT id, n, sum(n) OVER (ORDER BY id DESC) AS total FROM hashes) WHERE total - n >= ?1)",
        [sql(HASHES_MAX as u64)],
    )
    .map_err(&failed)?;
    Ok(())
}

fn set_aside(tx: &Transaction<'_>, damaged: &DamagedRow) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO damaged(commit_no, at, reason, blob) VALUES (?1, ?2, ?3, ?4)",
        params![sql(damaged.commit.0), damaged.at.0, damaged.reason, damaged.blob],
    )
    .map_err(writing("a damaged journal row"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_went_within_a_round_leaves_nothing() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let client_id = || "c".to_owned();
        let mut rounds = [HeldChanges::default(), HeldChanges::default(), HeldChanges::default()];
        rounds[0].take(HeldChange::Hold { client_id: client_id(), packet_id: 1, hash: 1 });
        rounds[0].take(HeldChange::Hold { client_id: client_id(), packet_id: 2, hash: 2 });
        rounds[0].take(HeldChange::Release { client_id: client_id(), packet_id: 2 });
        rounds[1].take(HeldChange::Hold { client_id: client_id(), packet_id: 3, hash: 3 });
        rounds[1].take(HeldChange::ReleaseAll { client_id: client_id() });
        rounds[1].take(HeldChange::Hold { client_id: client_id(), packet_id: 4, hash: 4 });
        rounds[2].take(HeldChange::Release { client_id: client_id(), packet_id: 4 });
        let held = rounds.map(|changes| {
            let tx = conn.transaction().unwrap();
            write_held(&tx, &changes).unwrap();
            tx.commit().unwrap();
            crate::read::held(&conn).unwrap().into_keys().map(|(_, packet_id)| packet_id).collect::<Vec<_>>()
        });
        assert_eq!(held, [vec![1], vec![4], vec![]]);
    }
    use crate::schema::store_writer;
    use crate::tests::TempDir;

    #[test]
    fn the_last_hashes_stay_in_order_and_old_blobs_go() {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        let mut sent = 0u128;
        for n in [10, 5_000, 1 << 19, 1 << 19, 3] {
            let hashes: Vec<u128> = (sent..sent + n).collect();
            sent += n;
            let tx = conn.transaction().unwrap();
            write_hashes(&tx, &hashes).unwrap();
            tx.commit().unwrap();
        }
        let hashes = read_hashes(&conn).unwrap();
        assert!(hashes.is_sorted() && hashes.last() == Some(&(sent - 1)));
        assert!(hashes.len() >= HASHES_MAX && hashes.len() < HASHES_MAX + 5_020, "{}", hashes.len());
    }
}
