//! Corrections as every surface shows them: what was corrected, from what to what, by whom and why.
//!
//! Making one is not done here: [`Correct`] is how the site asks the process, which checks it as the command line does.

use std::sync::Arc;

use model::{PilotId, Quality, Reading, Registry, UnixMillis, Value};
use serde::Serialize;
use store::{Change, Correction, Made, Store};

use super::api::unit_of;

/// Checks rows of named fields and makes all of the corrections, or none.
pub type Correct = dyn Fn(&[serde_json::Value]) -> Result<Vec<Made>, NotCorrected> + Send + Sync;

/// Why nothing was corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCorrected {
    /// Every mistake of the request.
    Mistakes(Vec<Mistake>),
    /// For the log.
    Failed(String),
}

/// What is wrong with one correction of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Its place in the request, from 0.
    pub index: usize,
    pub field: String,
    pub detail: String,
}

/// One correction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub number: i64,
    pub made_at: UnixMillis,
    pub author: Arc<str>,
    pub reason: Arc<str>,
    pub pilot: PilotId,
    pub asset: Arc<str>,
    pub name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<Arc<str>>,
    pub at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// `set`, `void` or `withdraw`.
    pub action: &'static str,
    /// What the reading is since; none of a void or withdrawn one.
    pub now: Option<Side>,
    /// What stood until then; none where nothing did.
    pub was: Option<Side>,
    /// The declared unit of the series, of both values.
    pub unit: Arc<str>,
    /// The next correction of the same reading; null if this one stands.
    pub superseded_by: Option<i64>,
}

/// A value with its quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    pub value: Option<Value>,
    pub quality: Quality,
}

impl Side {
    /// Of a reading.
    pub fn of(reading: &Reading) -> Side {
        Side { value: reading.value, quality: reading.quality }
    }

    /// What a correction sets.
    pub fn set_by(change: &Change) -> Option<Side> {
        match change {
            Change::Set { value, quality } => Some(Side { value: *value, quality: *quality }),
            Change::Void | Change::Withdraw => None,
        }
    }
}

/// The word for what a correction does.
pub fn action(change: &Change) -> &'static str {
    match change {
        Change::Set { .. } => "set",
        Change::Void => "void",
        Change::Withdraw => "withdraw",
    }
}

impl Row {
    /// Names what a correction is of; none if the store does not know its series.
    pub fn of(correction: Correction, store: &Store, registry: &Registry) -> Option<Row> {
        let entry = store.entry(correction.series)?;
        let unit = registry.pilots.get(&entry.key.pilot).map_or_else(|| "".into(), |pilot| unit_of(pilot, &entry));
        let key = entry.key;
        Some(Row {
            number: correction.number,
            made_at: correction.made_at,
            author: correction.author,
            reason: correction.reason,
            pilot: key.pilot,
            asset: key.asset,
            name: key.name,
            product: key.product,
            at: correction.at,
            id: correction.id,
            action: action(&correction.change),
            now: Side::set_by(&correction.change),
            was: correction.was.as_ref().map(Side::of),
            unit,
            superseded_by: correction.superseded_by,
        })
    }
}
