//! Why an observation, a reading or an order event was refused: a closed list, each counted from zero.

use serde::{Deserialize, Serialize};

/// The reason label of `pilotline_ingest_rejected_total` and `pilotline_ingest_refused_readings_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    BadTopic,
    NotAuthorized,
    UnknownPilot,
    TooLarge,
    TooManyValues,
    TooManySeries,
    BadUtf8,
    BadJson,
    DuplicateKey,
    UnknownField,
    BadField,
    Empty,
    UnknownSeries,
    UnknownProduct,
    WrongUnit,
    NotFinite,
    Implausible,
    NoTime,
    TimeOutOfWindow,
    Expired,
    /// Bytes that are no protobuf, gzip, zlib, CSV or line protocol, where a mapping or Sparkplug wants that.
    BadPayload,
    /// No mapping rule takes the message.
    NoRule,
    /// A Sparkplug alias that no birth defined.
    UnknownAlias,
    /// A Sparkplug datatype that is no number.
    UnsupportedType,
    /// An id that no metadata message of its dictionary has named yet.
    UnknownId,
    /// A message that asks to change stored values: an operator does that, with author and reason.
    CorrectionByMessage,
}

/// How many reasons there are; the length of every array of counts by reason.
pub const N_REASONS: usize = 26;

impl Reason {
    /// Every reason, in the order of the list.
    pub const ALL: [Reason; N_REASONS] = [
        Reason::BadTopic,
        Reason::NotAuthorized,
        Reason::UnknownPilot,
        Reason::TooLarge,
        Reason::TooManyValues,
        Reason::TooManySeries,
        Reason::BadUtf8,
        Reason::BadJson,
        Reason::DuplicateKey,
        Reason::UnknownField,
        Reason::BadField,
        Reason::Empty,
        Reason::UnknownSeries,
        Reason::UnknownProduct,
        Reason::WrongUnit,
        Reason::NotFinite,
        Reason::Implausible,
        Reason::NoTime,
        Reason::TimeOutOfWindow,
        Reason::Expired,
        Reason::BadPayload,
        Reason::NoRule,
        Reason::UnknownAlias,
        Reason::UnsupportedType,
        Reason::UnknownId,
        Reason::CorrectionByMessage,
    ];

    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::BadTopic => "bad_topic",
            Reason::NotAuthorized => "not_authorized",
            Reason::UnknownPilot => "unknown_pilot",
            Reason::TooLarge => "too_large",
            Reason::TooManyValues => "too_many_values",
            Reason::TooManySeries => "too_many_series",
            Reason::BadUtf8 => "bad_utf8",
            Reason::BadJson => "bad_json",
            Reason::DuplicateKey => "duplicate_key",
            Reason::UnknownField => "unknown_field",
            Reason::BadField => "bad_field",
            Reason::Empty => "empty",
            Reason::UnknownSeries => "unknown_series",
            Reason::UnknownProduct => "unknown_product",
            Reason::WrongUnit => "wrong_unit",
            Reason::NotFinite => "not_finite",
            Reason::Implausible => "implausible",
            Reason::NoTime => "no_time",
            Reason::TimeOutOfWindow => "time_out_of_window",
            Reason::Expired => "expired",
            Reason::BadPayload => "bad_payload",
            Reason::NoRule => "no_rule",
            Reason::UnknownAlias => "unknown_alias",
            Reason::UnsupportedType => "unsupported_type",
            Reason::UnknownId => "unknown_id",
            Reason::CorrectionByMessage => "correction_by_message",
        }
    }

    /// Its place in [`Reason::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether a later registry or mapping can make the bytes acceptable: content rejections are kept and replayable.
    pub fn is_content(self) -> bool {
        !matches!(self, Reason::NotAuthorized)
    }
}

/// Which part of a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedPart {
    /// The whole message.
    Message,
    /// `readings[index]`.
    Reading(u32),
    /// `orders[index]`.
    Order(u32),
}

/// One refusal: the reason, the part, and a sentence for the person who has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub reason: Reason,
    pub part: RefusedPart,
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_enum() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{}", reason.as_str());
        }
    }
}
