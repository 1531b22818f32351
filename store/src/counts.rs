//! Counts by reason on disk: a list with its length, so that a longer list of reasons reads what a shorter one wrote.
//!
//! Rows and state of version 1 have the fixed list of [`N_REASONS_V1`] instead; [`CountersV1`] reads them.

use model::reason::N_REASONS;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::api::Counters;

/// How many reasons there were when counts had no length.
pub(crate) const N_REASONS_V1: usize = 20;

/// Writes the counts with their number.
pub(crate) fn serialize<S: Serializer>(counts: &[u64; N_REASONS], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(counts)
}

/// Reads counts of no more reasons than there are now; those that came later are 0.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; N_REASONS], D::Error> {
    let counts = Vec::<u64>::deserialize(deserializer)?;
    if counts.len() > N_REASONS {
        return Err(D::Error::custom("it counts by reasons that only a newer program knows"));
    }
    Ok(padded(&counts))
}

fn padded(counts: &[u64]) -> [u64; N_REASONS] {
    std::array::from_fn(|reason| counts.get(reason).copied().unwrap_or(0))
}

/// [`Counters`] of version 1.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct CountersV1 {
    pub(crate) received: u64,
    pub(crate) committed: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: [u64; N_REASONS_V1],
    pub(crate) refused: [u64; N_REASONS_V1],
    pub(crate) readings: u64,
    pub(crate) orders: u64,
    pub(crate) sequence_reused: u64,
    pub(crate) qos0: u64,
}

impl From<CountersV1> for Counters {
    fn from(old: CountersV1) -> Counters {
        Counters {
            received: old.received,
            committed: old.committed,
            duplicate: old.duplicate,
            rejected: padded(&old.rejected),
            refused: padded(&old.refused),
            readings: old.readings,
            orders: old.orders,
            sequence_reused: old.sequence_reused,
            qos0: old.qos0,
        }
    }
}
