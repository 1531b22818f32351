//! The one place that touches disk: the embedded store, two SQLite files in one data directory.
//!
//! `journal.sqlite` is the acknowledgement path: one checksummed row per commit. `store.sqlite` is everything else:
//! chunks, orders, rejections, counters, rollups, figures. Settling moves whole journal rows from the first to the second.
//!
//! Invariants:
//! - [`Journal::commit`] returns only after the row was fsynced; a failed fsync poisons the journal for good;
//! - settling is idempotent by (series, at, id): a killed round is run again and changes nothing twice;
//! - readers see settled data only; a request that must see its own write asks for settling first
//!   ([`Store::wait_settled`]);
//! - every blob of both files carries its own checksum, bound to its key, and is verified whenever it is read.

mod access;
mod api;
mod catalogue;
mod check;
mod chunk;
mod correction;
mod counts;
mod derived;
mod error;
mod finish;
mod import;
mod journal;
mod learned;
mod ledger;
mod lock;
mod merge;
mod open;
mod order;
mod outage;
mod outbox;
mod progress;
mod read;
mod rejection;
mod replay;
mod row;
mod schema;
mod seal;
mod sequence;
mod settle;
mod wal;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use api::*;
pub use derived::WriteTx;
pub use error::StoreError;
pub use journal::Journal;
pub use open::Store;
pub use order::OrderConflict;
pub use outbox::{Fill, OutboxFigures, OutboxSize, OutboxSpan, Quarantined, Waits};
pub use rejection::REJECTION_BYTES_MAX;
pub use settle::SettleGuard;
