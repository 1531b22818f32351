//! The one place that touches disk: the embedded store, two SQLite files in one data directory.
//!
//! `journal.sqlite` is the acknowledgement path: one checksummed row per commit. `store.sqlite` is everything else:
//! chunks, orders, rejections, counters, rollups, figures. Settling moves whole journal rows from the first to the second.
//!
//! Invariants:
//! - [`Journal::commit`] returns only after the row was fsynced; a failed fsync poisons the journal for good;
//! - settling is idempotent by (series, at, id): a killed round is run again and changes nothing twice;
//! - readers see settled data only; a request that must see its own write asks for settling first ([`Store::wait_settled`]).

mod api;

pub use api::*;
