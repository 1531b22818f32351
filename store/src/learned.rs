//! Messages that taught a dictionary: one per (pilot, topic), the latest, read again at the next start.
//!
//! Invariant: at most [`LEARNED_MAX`] topics of at most [`PAYLOAD_MAX`] bytes; beyond it the one learned longest ago goes,
//! and what it taught has to be sent again after the next start.

use std::collections::BTreeMap;

use model::PilotId;
use rusqlite::{Connection, Transaction, params};

use crate::api::LearnedMessage;
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::seal::{seal_value, unseal_value};

/// Topics kept: a plant has one metadata topic per gateway, so that this is a thousand gateways; 1 GiB at the very most.
const LEARNED_MAX: i64 = 1_000;
/// The payload limit of the doors; a longer one cannot have been accepted.
const PAYLOAD_MAX: usize = 1 << 20;

const LEARNED: &str = "learned messages";

/// By pilot and topic.
pub(crate) type Learned = BTreeMap<(PilotId, String), LearnedMessage>;

fn place(pilot: &PilotId, topic: &str) -> String {
    format!("learned/{pilot}/{topic}")
}

/// Takes a message if it is not older than the one known of its topic.
pub(crate) fn take(learned: &mut Learned, message: LearnedMessage) {
    let key = (message.pilot.clone(), message.topic.clone());
    if message.payload.len() <= PAYLOAD_MAX && learned.get(&key).is_none_or(|known| known.at <= message.at) {
        learned.insert(key, message);
    }
}

/// Writes what a round learned.
pub(crate) fn write(tx: &Transaction<'_>, learned: &Learned) -> Result<(), StoreError> {
    if learned.is_empty() {
        return Ok(());
    }
    for ((pilot, topic), message) in learned {
        let blob = seal_value(&place(pilot, topic), message)?;
        tx.prepare_cached(
            "INSERT INTO learned(pilot, topic, at, blob) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(pilot, topic) DO UPDATE SET at = excluded.at, blob = excluded.blob WHERE at <= excluded.at",
        )
        .and_then(|mut statement| statement.execute(params![pilot.as_str(), topic, message.at.0, blob]))
        .map_err(writing(LEARNED))?;
    }
    tx.execute(
        "DELETE FROM learned WHERE (pilot, topic) NOT IN
           (SELECT pilot, topic FROM learned ORDER BY at DESC, pilot, topic LIMIT ?1)",
        [LEARNED_MAX],
    )
    .map_err(writing(LEARNED))?;
    Ok(())
}

fn read_all(conn: &Connection) -> Result<Learned, StoreError> {
    if crate::schema::version_of(conn)? < 2 {
        return Ok(Learned::new());
    }
    let failed = reading(LEARNED);
    let mut statement = conn.prepare_cached("SELECT pilot, topic, blob FROM learned").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut learned = Learned::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (pilot, topic): (String, String) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        let blob: Vec<u8> = row.get(2).map_err(&failed)?;
        match unseal_value(&format!("learned/{pilot}/{topic}"), &blob) {
            Ok(message) => take(&mut learned, message),
            // What one message taught is sent again by its gateway; the others are not held up.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "a learned message is damaged"),
        }
    }
    Ok(learned)
}

impl Store {
    /// The latest message of every topic that teaches a dictionary, as committed.
    ///
    /// # Errors
    /// On reading.
    pub fn learned(&self) -> Result<Vec<LearnedMessage>, StoreError> {
        let learned = self.replayed(read_all, |learned: &mut Learned, _, parts| {
            parts.learned.into_iter().for_each(|message| take(learned, message));
        })?;
        Ok(learned.into_values().collect())
    }
}
