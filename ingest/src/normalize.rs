//! From an observation to readings, order events and refusals. Stateless: a message means the same whatever came before.
use model::reason::Refusal;
use model::{OrderEvent, PilotId, Reading, SeriesId};
use store::SequenceSeen;

use crate::index::Index;
use crate::{Identity, Observation};

/// What became of one message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// At least one reading or event was accepted; what was refused inside is in `refusals`.
    Accepted(Accepted),
    /// Nothing of it was accepted.
    Rejected(Rejected),
}

/// An accepted message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accepted {
    pub readings: Vec<(SeriesId, Reading)>,
    pub orders: Vec<(PilotId, OrderEvent)>,
    pub refusals: Vec<Refusal>,
    pub sequence: Option<SequenceSeen>,
    /// Whether every reading and event has a time of its own or of its message, so that the hash may mark duplicates.
    pub is_timed: bool,
}

/// A rejected message; the first refusal is the reason it is counted under.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    pub pilot: Option<PilotId>,
    pub refusals: Vec<Refusal>,
    pub sequence: Option<SequenceSeen>,
}

/// Decodes and normalizes one message.
pub fn normalize(observation: &Observation, identity: &Identity, index: &Index) -> Outcome {
    let _ = (observation, identity, index);
    unimplemented!()
}
