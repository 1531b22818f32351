//! A reading: one value of one series at one instant, with its quality; and the rule that settles two of them.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{PilotId, UnixMillis, Value};

/// What a series is: where, what, and of which product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    pub pilot: PilotId,
    pub asset: Arc<str>,
    pub name: Arc<str>,
    pub product: Option<Arc<str>>,
}

/// The store's number of a series (dense, from 0, never reused).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesId(pub u32);

/// How far a reading is to be trusted, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Has no value, is stored, never used, and covers nothing.
    Bad,
    /// Is used and flagged.
    Uncertain,
    /// As good as the gateway says.
    #[default]
    Good,
}

impl Quality {
    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Quality::Bad => "bad",
            Quality::Uncertain => "uncertain",
            Quality::Good => "good",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Quality> {
        match word {
            "good" => Some(Quality::Good),
            "uncertain" => Some(Quality::Uncertain),
            "bad" => Some(Quality::Bad),
            _ => None,
        }
    }
}

/// Remarks that travel with a reading, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Flags(pub u8);

impl Flags {
    /// The message had no time: this is the time of receipt.
    pub const RECEIVED_TIME: Flags = Flags(1);
    /// Came by QoS 0: outside every no-loss claim.
    pub const QOS0: Flags = Flags(2);
    /// Came out of a file, not over MQTT: the store's list of imports says which.
    pub const IMPORTED: Flags = Flags(4);
    /// A correction stands here: laid over when it is read, never stored with a reading.
    pub const CORRECTED: Flags = Flags(8);

    /// Both sets of remarks.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all remarks of `other` are here.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words, in a fixed order.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (Flags::RECEIVED_TIME, "received_time"),
            (Flags::QOS0, "qos0"),
            (Flags::IMPORTED, "imported"),
            (Flags::CORRECTED, "corrected"),
        ];
        all.into_iter().filter(|(flag, _)| self.has(*flag)).map(|(_, word)| word).collect()
    }
}

/// One value of one series. `value` is in the series' declared unit, multiplier not applied; `None` only if `Bad`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub at: UnixMillis,
    pub value: Option<Value>,
    pub quality: Quality,
    pub flags: Flags,
    pub id: Option<Arc<str>>,
}

impl Reading {
    /// Good or uncertain, and with a value.
    pub fn is_usable(&self) -> bool {
        self.quality != Quality::Bad && self.value.is_some()
    }

    /// Order of identity within a series: by instant, then id (none first).
    pub fn cmp_identity(&self, other: &Reading) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.id.cmp(&other.id))
    }

    /// Which of two readings of one identity stands: the greater by (quality, value); equal ones by flags, fewer first.
    ///
    /// No arrival order decides, so that any permutation of the same observations stores the same reading.
    pub fn cmp_standing(&self, other: &Reading) -> Ordering {
        let by_value = match (self.value, other.value) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        self.quality.cmp(&other.quality).then(by_value).then_with(|| other.flags.cmp(&self.flags))
    }

    /// Same instant, id, value and quality: the same reading again, without effect.
    pub fn is_same(&self, other: &Reading) -> bool {
        self.cmp_identity(other).is_eq() && self.quality == other.quality && self.value == other.value
    }
}
