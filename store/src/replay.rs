//! The unsettled tail: what a start takes from the journal on top of the store.
//!
//! Readers take the journal's snapshot first, then the store's: a row that is settled and deleted in between is then in
//! the store's snapshot, never in neither.
//!
//! Invariant: a row whose checksum is wrong is passed over and told; the rows around it count.

use std::collections::BTreeMap;

use model::UnixMillis;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::api::{CommitNo, Counters, HeldChange, SequenceRanges, Session, SessionChange};
use crate::counts::CountersV1;
use crate::error::{StoreError, reading, writing};
use crate::finish::HASHES_MAX;
use crate::open::Store;
use crate::row::{Parts, Row};
use crate::schema::{journal_reader, sql};
use crate::seal::{seal_value, unseal_value};
use crate::{finish, read, sequence};

/// Where settling stands, as the last transaction of a round left it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) settled: CommitNo,
    /// What the next journal row's chain must be.
    pub(crate) chain: u64,
    pub(crate) settled_at: Option<UnixMillis>,
    pub(crate) counters: Counters,
}

/// Where [`State`] lies.
pub(crate) const STATE_PLACE: &str = "state/settled.2";
/// Where version 1 kept it.
pub(crate) const STATE_PLACE_V1: &str = "state/settled";

/// [`State`] of version 1.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(crate) struct StateV1 {
    pub(crate) settled: CommitNo,
    pub(crate) chain: u64,
    pub(crate) settled_at: Option<UnixMillis>,
    pub(crate) counters: CountersV1,
}

impl State {
    pub(crate) fn read(conn: &Connection) -> Result<State, StoreError> {
        let blob = |key: &str| -> Result<Option<Vec<u8>>, StoreError> {
            conn.prepare_cached("SELECT blob FROM state WHERE key = ?1")
                .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
                .map_err(reading("where settling stands"))
        };
        if let Some(blob) = blob("settled.2")? {
            return unseal_value(STATE_PLACE, &blob);
        }
        let Some(blob) = blob("settled")? else { return Ok(State::default()) };
        let StateV1 { settled, chain, settled_at, counters } = unseal_value(STATE_PLACE_V1, &blob)?;
        Ok(State { settled, chain, settled_at, counters: counters.into() })
    }

    /// Writes it, in the transaction that moves `settled`; that of version 1 goes.
    pub(crate) fn write(&self, tx: &rusqlite::Transaction<'_>) -> Result<(), StoreError> {
        let blob = seal_value(STATE_PLACE, self)?;
        tx.execute("INSERT OR REPLACE INTO state(key, blob) VALUES ('settled.2', ?1)", [blob])
            .and_then(|_| tx.execute("DELETE FROM state WHERE key = 'settled'", []))
            .map(drop)
            .map_err(writing("where settling stands"))
    }
}

/// A journal row as it lies on disk.
pub(crate) struct Found<'a> {
    pub(crate) commit: CommitNo,
    pub(crate) at: UnixMillis,
    pub(crate) blob: &'a [u8],
}

impl<'a> Found<'a> {
    pub(crate) fn open(&self) -> Result<Row<'a>, StoreError> {
        Row::open(self.commit, self.at, self.blob)
    }
}

/// The journal as of one moment.
pub(crate) struct Tail<'c> {
    tx: rusqlite::Transaction<'c>,
}

const TAIL: &str = "the journal";

impl<'c> Tail<'c> {
    /// Takes the snapshot; it lasts as long as the value.
    pub(crate) fn snapshot(conn: &'c Connection) -> Result<Tail<'c>, StoreError> {
        let tx = conn.unchecked_transaction().map_err(reading(TAIL))?;
        // A transaction has its snapshot from its first read on.
        tx.query_row("SELECT max(commit_no) FROM journal", [], |_| Ok(())).map_err(reading(TAIL))?;
        Ok(Tail { tx })
    }

    /// Every row after `after`, in order; stops at the first error of `each`.
    pub(crate) fn each(
        &self,
        after: CommitNo,
        mut each: impl FnMut(&Found<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        each_row(&self.tx, after, |found| each(found).map(|()| true))
    }

    /// Number, time and length of every row.
    pub(crate) fn each_length(&self, mut each: impl FnMut(CommitNo, UnixMillis, u64)) -> Result<(), StoreError> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT commit_no, at, length(blob) FROM journal ORDER BY commit_no")
            .map_err(reading(TAIL))?;
        let mut rows = statement.query([]).map_err(reading(TAIL))?;
        while let Some(row) = rows.next().map_err(reading(TAIL))? {
            let number = |idx| row.get::<_, i64>(idx).map_err(reading(TAIL));
            each(CommitNo(number(0)?.cast_unsigned()), UnixMillis(number(1)?), number(2)?.cast_unsigned());
        }
        Ok(())
    }
}

/// Rows after `after`, in order, until `each` answers false.
pub(crate) fn each_row(
    conn: &Connection,
    after: CommitNo,
    mut each: impl FnMut(&Found<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn
        .prepare_cached("SELECT commit_no, at, blob FROM journal WHERE commit_no > ?1 ORDER BY commit_no")
        .map_err(reading(TAIL))?;
    let mut rows = statement.query([sql(after.0)]).map_err(reading(TAIL))?;
    while let Some(row) = rows.next().map_err(reading(TAIL))? {
        let commit = CommitNo(row.get::<_, i64>(0).map_err(reading(TAIL))?.cast_unsigned());
        let at = UnixMillis(row.get(1).map_err(reading(TAIL))?);
        let blob = row.get_ref(2).map_err(reading(TAIL))?;
        // What is no blob is a damaged one: it has no right checksum.
        let blob = blob.as_bytes().unwrap_or_default();
        if !each(&Found { commit, at, blob })? {
            break;
        }
    }
    Ok(())
}

impl Store {
    /// A table of the store with the journal's tail applied to it.
    pub(crate) fn replayed<T>(
        &self,
        from_store: impl FnOnce(&Connection) -> Result<T, StoreError>,
        mut apply: impl FnMut(&mut T, &Row<'_>, Parts),
    ) -> Result<T, StoreError> {
        let journal = journal_reader(&self.dir)?;
        let tail = Tail::snapshot(&journal)?;
        let (state, mut value) = self.read(|conn| Ok((State::read(conn)?, from_store(conn)?)))?;
        tail.each(state.settled, |found| {
            // A damaged row was told at the start and is set aside when it is settled.
            if let Ok((row, parts)) = found.open().and_then(|row| row.parts().map(|parts| (row, parts))) {
                apply(&mut value, &row, parts);
            }
            Ok(())
        })?;
        Ok(value)
    }

    /// Hashes of the last 2^20 committed messages, oldest first, for the duplicate window.
    ///
    /// # Errors
    /// On reading.
    pub fn recent_hashes(&self) -> Result<Vec<u128>, StoreError> {
        let mut hashes = self.replayed(finish::read_hashes, |hashes, row, _| hashes.extend(row.hashes()))?;
        hashes.drain(..hashes.len().saturating_sub(HASHES_MAX));
        Ok(hashes)
    }

    /// Sessions as committed.
    ///
    /// # Errors
    /// On reading.
    pub fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        let sessions = self.replayed(read::sessions, |sessions: &mut BTreeMap<String, Session>, _, parts| {
            for change in parts.sessions {
                match change {
                    SessionChange::Put(session) => drop(sessions.insert(session.client_id.clone(), session)),
                    SessionChange::Remove { client_id } => drop(sessions.remove(&client_id)),
                }
            }
        })?;
        Ok(sessions.into_values().collect())
    }

    /// QoS 2 ids as committed: (client, packet id, hash).
    ///
    /// # Errors
    /// On reading.
    pub fn held(&self) -> Result<Vec<(String, u16, u128)>, StoreError> {
        let held = self.replayed(read::held, |held: &mut BTreeMap<(String, u16), u128>, _, parts| {
            for change in parts.held {
                match change {
                    HeldChange::Hold { client_id, packet_id, hash } => drop(held.insert((client_id, packet_id), hash)),
                    HeldChange::Release { client_id, packet_id } => drop(held.remove(&(client_id, packet_id))),
                    HeldChange::ReleaseAll { client_id } => held.retain(|(client, _), _| *client != client_id),
                }
            }
        })?;
        Ok(held.into_iter().map(|((client_id, packet_id), hash)| (client_id, packet_id, hash)).collect())
    }

    /// Committed seq ranges of every gateway boot.
    ///
    /// # Errors
    /// On reading.
    pub fn sequences(&self) -> Result<Vec<SequenceRanges>, StoreError> {
        let sequences = self.replayed(sequence::read_all, |sequences, _, parts| {
            for group in parts.sequences {
                let key = (group.pilot, group.gateway, group.boot);
                let ranges: &mut Vec<(u64, u64)> = sequences.entry(key).or_default();
                group.seqs.into_iter().for_each(|seq| sequence::add(ranges, seq));
            }
        })?;
        let whole = |((pilot, gateway, boot), ranges)| SequenceRanges { pilot, gateway, boot, ranges };
        Ok(sequences.into_iter().map(whole).collect())
    }
}
