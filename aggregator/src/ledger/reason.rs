//! Why a published figure is published again: a closed list, of which each version has a set.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One reason of a restatement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Readings, order events or reports of lost messages came in, or orders were followed for longer.
    LateData,
    /// A reading was corrected by a person.
    Correction,
    /// Conversion factors changed.
    FactorChange,
    /// The baseline period changed.
    BaselineChange,
    /// Anything else in the registry changed, or a pilot joined, left or moved between groups.
    RegistryChange,
    /// The arithmetic changed, or the programme's targets.
    MethodChange,
}

impl Reason {
    /// Every reason, in the order of lists.
    pub const ALL: [Reason; 6] = [
        Reason::LateData,
        Reason::Correction,
        Reason::FactorChange,
        Reason::BaselineChange,
        Reason::RegistryChange,
        Reason::MethodChange,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of reasons; on every surface a list of their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasons(u8);

/// In [`store::Touched::why`]: a span was touched for these reasons, of which there may be none.
const TOLD: u8 = 1 << 7;

impl Reasons {
    /// The set without any.
    pub const NONE: Reasons = Reasons(0);

    /// Adds one.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Reasons {
        Reasons(self.0 | reason.bit())
    }

    /// All of both.
    #[must_use]
    pub const fn and(self, other: Reasons) -> Reasons {
        Reasons(self.0 | other.0)
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its reasons, in order.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.0 & reason.bit() != 0)
    }

    /// As a touched span carries it.
    pub(crate) const fn as_why(self) -> u8 {
        self.0 | TOLD
    }

    /// What a touched span says of why figures that depend on it change: readings that came in are late, as far as figures
    /// were published before.
    /// A correction of a reading touches its span with `Reason::Correction` told.
    pub(crate) const fn of_touched(why: u8) -> Reasons {
        if why & TOLD == 0 { Reasons::NONE.with(Reason::LateData) } else { Reasons(why & !TOLD) }
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Reasons {
        Reasons::NONE.with(reason)
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Reasons {
        reasons.into_iter().fold(Reasons::NONE, Reasons::with)
    }
}

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.iter().collect::<Vec<Reason>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reasons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reasons, D::Error> {
        Vec::<Reason>::deserialize(deserializer).map(Reasons::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_its_reasons_in_order_and_reads_back() {
        let reasons = Reasons::from(Reason::MethodChange).with(Reason::LateData);
        let text = serde_json::to_string(&reasons).unwrap();
        assert_eq!(text, r#"["late_data","method_change"]"#);
        assert_eq!(serde_json::from_str::<Reasons>(&text).unwrap(), reasons);
        assert_eq!(serde_json::from_str::<Reasons>("[]").unwrap(), Reasons::NONE);
        assert!(serde_json::from_str::<Reasons>(r#"["whim"]"#).is_err());
    }

    #[test]
    fn a_touched_span_tells_what_was_told_or_late_data() {
        assert_eq!(Reasons::of_touched(0), Reasons::from(Reason::LateData));
        assert_eq!(Reasons::of_touched(store::Touched::CORRECTION), Reasons::from(Reason::Correction));
        for reasons in [Reasons::NONE, Reasons::from_iter(Reason::ALL)] {
            assert_ne!(reasons.as_why(), 0);
            assert_eq!(Reasons::of_touched(reasons.as_why()), reasons);
        }
    }
}
