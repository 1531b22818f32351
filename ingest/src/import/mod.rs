//! Brings in what was never published over MQTT: bills, meter books, order lists, out of CSV and XLSX files.
//!
//! A `TableFile` finds out what a file is (`text`, `workbook`, `header`, or a `Layout` that a person wrote) and turns its rows
//! into messages of Pilotline v1, as if a gateway of the name [`GATEWAY`] had sent them. From there they go the way of every
//! publish: `normalize`, the committer, the journal. `foresee` says beforehand what each row will become.
//!
//! Invariants:
//! - received = committed + duplicate + rejected holds for these messages as for any other, and what is refused keeps its
//!   bytes;
//! - the same file gives the same messages, so that importing it again changes nothing;
//! - no clock: the time of receipt is an argument.

mod cell;
mod error;
mod foresee;
mod header;
mod layout;
mod message;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod workbook;

use std::sync::Arc;

use bytes::Bytes;
use model::UnixMillis;

pub use self::error::ImportError;
pub use self::foresee::{Counts, Foreseen, OrderTally, Problem, Tally, foresee, surroundings};
pub use self::header::SeriesName;
pub use self::layout::{ColumnSeries, Decimal, Field, Kind, Layout};
pub use self::message::{Message, OPENINGS_AT_ONCE, Opening, Origin, opened};
pub use self::reader::{Notes, Surroundings, TableFile};
pub use self::text::Flow;
pub use self::time::Dates;
use crate::commit::{CommitError, CommitterHandle, Delivery, Prepared};
use crate::index::Index;
use crate::normalize::{TOPIC_PREFIX, normalize};
use crate::observation::LISTENER;
use crate::{Identity, Observation};

pub use crate::commit::Became;

/// The gateway that files come under: `pilotline/v1/<pilot>/import`. Readings of this gateway are flagged `imported`.
pub const GATEWAY: &str = "import";

/// A message of rows as if it had been published.
fn observed(pilot: &str, payload: Vec<u8>, now: UnixMillis) -> Observation {
    Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: format!("{TOPIC_PREFIX}{pilot}/{GATEWAY}"),
        payload: Bytes::from(payload),
        received_at: now,
        qos: 1,
        dup: false,
        retained: false,
    }
}

/// Commits a message of rows of this pilot, received now; returns once it is on disk.
///
/// # Errors
/// If the committer has stopped.
pub fn commit(
    pilot: &str,
    payload: Vec<u8>,
    now: UnixMillis,
    (index, committer): (&Index, &CommitterHandle),
) -> Result<Became, CommitError> {
    let observation = observed(pilot, payload, now);
    let outcome = normalize(&observation, &Identity::Anonymous, index);
    let delivery = Delivery::AtLeastOnce { packet_id: 0, dup: false };
    committer.submit_message(Prepared::new(&observation, &Identity::Anonymous, delivery, outcome))
}
