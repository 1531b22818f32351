//! What a pilot's figures were computed with, part by part, so that a part that changes can be named.
//!
//! Names, addresses of messages, comments and explanations of the registry file are in no part: no figure depends on them.

use model::Pilot;
use model::registry::dependence;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Aggregator;
use crate::follow::METHOD;
use crate::ledger::{Reason, Reasons};

/// Hashes of everything but the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeWith {
    method: u32,
    programme: [u8; 16],
    factors: [u8; 16],
    baseline: [u8; 16],
    registry: [u8; 16],
}

impl MadeWith {
    pub(crate) fn of(aggregator: &Aggregator, pilot: &Pilot) -> MadeWith {
        let of_registry = dependence(pilot);
        MadeWith {
            method: METHOD,
            programme: hash(&[format!("{:?}", aggregator.programme.targets).as_bytes()]),
            factors: hash(&[aggregator.factors.edition.as_bytes(), of_registry.factors.as_bytes()]),
            baseline: hash(&[of_registry.baseline.as_bytes()]),
            registry: hash(&[of_registry.rest.as_bytes()]),
        }
    }

    /// Why figures made with `self` may differ from figures made with `before`. What another program says of a registry file
    /// cannot be compared: its figures differ by method, and no edit is named that nobody made.
    pub(crate) fn reasons_since(&self, before: &MadeWith) -> Reasons {
        if self.method != before.method {
            return Reason::MethodChange.into();
        }
        let parts = [
            (self.factors != before.factors, Reason::FactorChange),
            (self.baseline != before.baseline, Reason::BaselineChange),
            (self.registry != before.registry, Reason::RegistryChange),
            (self.programme != before.programme, Reason::MethodChange),
        ];
        parts.into_iter().filter(|(differs, _)| *differs).map(|(_, reason)| reason).collect()
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize();
    std::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_changes_is_a_reason_of_its_own() {
        let zero = [0; 16];
        let before = MadeWith { method: 1, programme: zero, factors: zero, baseline: zero, registry: zero };
        let one = [1; 16];
        for (after, reasons) in [
            (before.clone(), &[][..]),
            (MadeWith { factors: one, ..before.clone() }, &[Reason::FactorChange]),
            (MadeWith { baseline: one, ..before.clone() }, &[Reason::BaselineChange]),
            (MadeWith { registry: one, ..before.clone() }, &[Reason::RegistryChange]),
            (MadeWith { method: 2, ..before.clone() }, &[Reason::MethodChange]),
            (MadeWith { method: 2, baseline: one, registry: one, ..before.clone() }, &[Reason::MethodChange]),
            (MadeWith { programme: one, ..before.clone() }, &[Reason::MethodChange]),
            (
                MadeWith { factors: one, registry: one, ..before.clone() },
                &[Reason::FactorChange, Reason::RegistryChange],
            ),
        ] {
            assert_eq!(after.reasons_since(&before), reasons.iter().copied().collect(), "{after:?}");
        }
    }
}
