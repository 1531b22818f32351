//! The ledger: what was published, when, and why it was published again.
//!
//! A figure is (scope, indicator, period). Its versions are 1, 2, …; each is cut once and stays as it is for ever. The cuts of a
//! scope are entries in one chain ([`entry`]): an entry holds the figures that differ from their last version, and the hash
//! of the entry before. What stands outside a version (the stored figure, recomputed as data come in) is the *head*: while it
//! says what the last version says it is that version, else it is provisional.
//!
//! Invariants:
//! - an entry is added in the transaction that notes its versions as the last ones: there is no half of a cut;
//! - only what differs is cut, to the bit of its content ([`content`]): cutting twice cuts once;
//! - no clock is read here: what is due depends on the time given and on the store.

mod check;
mod content;
mod cut;
mod entry;
mod read;
mod reason;
mod rows;

use model::{Figure, Indicator, Period, Scope, Standing, State, UnixMillis};
use serde::{Deserialize, Serialize};

pub use entry::Cause;
pub use read::{Then, VersionQuery};
pub use reason::{Reason, Reasons};
pub(crate) use rows::Touch;

/// When a figure is published without anybody asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long after a period's end its first version is cut.
    pub grace_ms: i64,
    /// How long a figure has to stay as it is before it is cut.
    pub quiet_ms: i64,
}

impl Default for Rules {
    /// 30 days and an hour.
    fn default() -> Rules {
        Rules { grace_ms: 30 * 86_400_000, quiet_ms: 3_600_000 }
    }
}

/// What publishing did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Entries added, at most one a scope.
    pub n_entries: usize,
    /// Figures published for the first time.
    pub n_first: usize,
    /// Figures published again.
    pub n_restated: usize,
    /// The first thousand of those published again.
    pub restated: Vec<Version>,
}

/// One version of a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub scope: Scope,
    pub indicator: Indicator,
    pub period: Period,
    pub version: u32,
    pub cut_at: UnixMillis,
    /// The entry of the scope's ledger that holds it.
    pub entry: u32,
    pub cause: Cause,
    /// Why it was published again; none for a first version.
    pub reasons: Reasons,
    #[serde(flatten)]
    pub values: Values,
    /// The version before, and what it said.
    pub before: Option<Before>,
    /// This version less the one before; none for a first version, or where a side is missing.
    pub difference: Option<Difference>,
}

/// What a version says, in short.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Values {
    pub state: State,
    pub standing: Option<Standing>,
    pub reduction: Option<f64>,
    pub actual: Option<f64>,
    pub adjusted_baseline: Option<f64>,
}

/// The version before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Before {
    pub version: u32,
    #[serde(flatten)]
    pub values: Values,
}

/// How far two versions are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub reduction: Option<f64>,
    pub actual: Option<f64>,
    pub adjusted_baseline: Option<f64>,
}

impl Values {
    fn of(figure: &Figure) -> Values {
        Values {
            state: figure.state,
            standing: figure.standing,
            reduction: figure.reduction,
            actual: figure.actual,
            adjusted_baseline: figure.adjusted_baseline,
        }
    }

    /// The reduction, where it may be shown as one.
    pub fn reduction_shown(&self) -> Option<f64> {
        self.reduction.filter(|_| self.state != State::Insufficient)
    }

    fn less(&self, before: &Values) -> Difference {
        let less = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Difference {
            reduction: less(self.reduction, before.reduction),
            actual: less(self.actual, before.actual),
            adjusted_baseline: less(self.adjusted_baseline, before.adjusted_baseline),
        }
    }
}

impl Version {
    fn of(
        figure: &Figure,
        version: u32,
        (entry, cut_at, cause): (u32, UnixMillis, Cause),
        reasons: Reasons,
    ) -> Version {
        Version {
            scope: figure.scope.clone(),
            indicator: figure.indicator.clone(),
            period: figure.period,
            version,
            cut_at,
            entry,
            cause,
            reasons,
            values: Values::of(figure),
            before: None,
            difference: None,
        }
    }

    fn set_before(&mut self, before: Option<&(u32, Values)>) {
        self.before = before.map(|&(version, values)| Before { version, values });
        self.difference = self.before.map(|before| self.values.less(&before.values));
    }
}

#[cfg(test)]
mod tests;
