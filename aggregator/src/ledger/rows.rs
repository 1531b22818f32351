//! What the store keeps beside the entries, by scope and indicator: the last version of each figure, and what changed since.
//!
//! Invariants:
//! - the last versions say what the entries say, and are written in the transaction that adds an entry;
//! - a figure whose content is not that of its last version is among the unpublished: what touches a figure notes it in the
//!   transaction that writes it.

use std::collections::BTreeMap;

use model::{Figure, Indicator, Period, Scope, UnixMillis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::StoreError;

use super::Reasons;
use super::content::ContentHash;
use crate::Aggregator;
use crate::derive::broken;

/// The last version of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u32,
    /// The entry that holds it.
    pub(crate) entry: u32,
    pub(crate) cut_at: UnixMillis,
    pub(crate) content: ContentHash,
}

/// The last versions of a scope and indicator.
pub(crate) type Heads = BTreeMap<Period, Head>;

/// That a figure changed since it was published, or never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Touch {
    /// When it changed last.
    pub(crate) at: UnixMillis,
    /// Every reason for which it changed since it was published.
    pub(crate) reasons: Reasons,
}

/// What of a scope and indicator is not published.
pub(crate) type Unpublished = BTreeMap<Period, Touch>;

/// The format of both, in front of their bytes.
const FORMAT: u8 = 1;

pub(crate) fn encode<T: Serialize>(rows: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(rows, vec![FORMAT]).map_err(|error| broken("ledger rows".to_owned(), &error))
}

fn decode<T: DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, rows)) => postcard::from_bytes(rows).map_err(|error| broken(place.to_owned(), &error)),
        Some(_) | None => {
            Err(StoreError::Format { place: place.to_owned(), text: "it is of another format".to_owned() })
        }
    }
}

impl Aggregator {
    /// The last versions of a scope and indicator; empty if nothing of it was published.
    pub(crate) fn heads(&self, scope: &str, indicator: &str) -> Result<Heads, StoreError> {
        let place = || format!("ledger_head/{scope}/{indicator}");
        let bytes = self.store.ledger_head(scope, indicator)?;
        bytes.map_or(Ok(Heads::new()), |bytes| decode(&place(), &bytes))
    }

    /// What of a scope and indicator is not published.
    pub(crate) fn unpublished(&self, scope: &str, indicator: &str) -> Result<Unpublished, StoreError> {
        let place = || format!("unpublished/{scope}/{indicator}");
        let bytes = self.store.unpublished(scope, indicator)?;
        bytes.map_or(Ok(Unpublished::new()), |bytes| decode(&place(), &bytes))
    }

    /// The unpublished of a scope and indicator, with the periods whose figures differ between `old` and `new`, as stored bytes.
    pub(crate) fn touched_by(
        &self,
        (scope, indicator): (&Scope, &Indicator),
        (old, new): (&[Figure], &[Figure]),
        touch: Touch,
    ) -> Result<Vec<u8>, StoreError> {
        let mut unpublished = self.unpublished(&scope.to_string(), &indicator.to_string())?;
        for period in differing(old, new)? {
            let known = unpublished.entry(period).or_insert(touch);
            *known = Touch { at: touch.at, reasons: known.reasons.and(touch.reasons) };
        }
        encode(&unpublished)
    }
}

/// The periods whose figures differ to the bit, or are there on one side only.
fn differing(old: &[Figure], new: &[Figure]) -> Result<Vec<Period>, StoreError> {
    let by_period = |figures: &[Figure]| -> Result<BTreeMap<Period, Vec<u8>>, StoreError> {
        let bytes = |figure| postcard::to_stdvec(figure).map_err(|error| broken("figures".to_owned(), &error));
        figures.iter().map(|figure| Ok((figure.period, bytes(figure)?))).collect()
    };
    let (old, new) = (by_period(old)?, by_period(new)?);
    let periods: std::collections::BTreeSet<Period> = old.keys().chain(new.keys()).copied().collect();
    Ok(periods.into_iter().filter(|period| old.get(period) != new.get(period)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::content::tests::figure;
    use super::*;

    #[test]
    fn figures_differ_by_bits_and_by_being_there() {
        let old = [figure("2016", 0.0), figure("2017", 0.2), figure("2018", 0.3)];
        let new = [figure("2016", -0.0), figure("2017", 0.2), figure("2019", 0.3)];
        let differing: Vec<String> = differing(&old, &new).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(differing, ["2016", "2018", "2019"]);
    }
}
