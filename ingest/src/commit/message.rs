//! A message that the door has normalized and the committer has not yet judged.
//!
//! The door does the heavy work (decode, normalize, hash) on its own task; what is left here is what the committer needs
//! to count the message, and the bytes only where something of it was refused.

use model::reason::{Reason, Refusal};
use model::{OrderEvent, PilotId, Reading, SeriesId};
use store::{LearnedMessage, RejectedMessage, SequenceSeen, WholeOrParts};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::normalize::Outcome;
use crate::{Identity, Observation};

/// How much of a payload that its sender was not allowed to send is kept: enough to recognise it, too little to fill the
/// disk with.
pub(crate) const NOT_AUTHORIZED_BYTES_MAX: usize = 4 * 1024;

/// Hash of topic and payload: the identity of a message for duplicates and rejections.
pub fn message_hash(topic: &str, payload: &[u8]) -> u128 {
    xxh3_128_with_seed(payload, xxh3_64(topic.as_bytes()))
}

/// How a message was delivered, and under which packet id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "the words of MQTT")]
pub(crate) enum Delivery {
    AtMostOnce,
    AtLeastOnce { packet_id: u16, dup: bool },
    ExactlyOnce { packet_id: u16, dup: bool },
}

/// What the message came to before duplicates are judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Accepted { readings: Vec<(SeriesId, Reading)>, orders: Vec<(PilotId, OrderEvent)>, is_timed: bool },
    Rejected,
}

/// A message, ready to be judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    pub(crate) delivery: Delivery,
    pub(crate) hash: u128,
    pub(crate) fate: Fate,
    pub(crate) sequence: Option<SequenceSeen>,
    /// The bytes and refusals, if anything was refused.
    pub(crate) kept: Option<Box<RejectedMessage>>,
    /// The message itself, if it teaches a dictionary.
    pub(crate) learned: Option<Box<LearnedMessage>>,
}

impl Prepared {
    /// Takes what normalizing said; copies the bytes only if something was refused.
    pub(crate) fn new(
        observation: &Observation,
        identity: &Identity,
        delivery: Delivery,
        outcome: Outcome,
    ) -> Prepared {
        let hash = message_hash(&observation.topic, &observation.payload);
        let keep = |pilot, refusals, whole| Box::new(kept(observation, identity, hash, (pilot, refusals, whole)));
        match outcome {
            Outcome::Accepted(accepted) => {
                let pilot = accepted.pilot;
                let learned =
                    pilot.clone().filter(|_| accepted.teaches).map(|pilot| Box::new(learned(observation, pilot)));
                let refusals = accepted.refusals;
                let kept = (!refusals.is_empty()).then(|| keep(pilot, refusals, WholeOrParts::Parts));
                let (readings, orders, is_timed) = (accepted.readings, accepted.orders, accepted.is_timed);
                let fate = Fate::Accepted { readings, orders, is_timed };
                Prepared { delivery, hash, fate, sequence: accepted.sequence, kept, learned }
            }
            Outcome::Rejected(rejected) => {
                let kept = Some(keep(rejected.pilot, rejected.refusals, WholeOrParts::Whole));
                Prepared { delivery, hash, fate: Fate::Rejected, sequence: rejected.sequence, kept, learned: None }
            }
        }
    }

    /// About how much memory it takes.
    pub(crate) fn n_bytes(&self) -> usize {
        let n_parts = match &self.fate {
            Fate::Accepted { readings, orders, .. } => readings.len() + orders.len(),
            Fate::Rejected => 0,
        };
        self.kept.as_ref().map_or(0, |kept| kept.bytes.len()) + (n_parts + 1) * size_of::<(SeriesId, Reading)>()
    }

    /// What was refused.
    pub(crate) fn refusals(&self) -> &[Refusal] {
        self.kept.as_ref().map_or(&[], |kept| &kept.refusals)
    }

    /// The reason that a rejected message counts under.
    pub(crate) fn reason(&self) -> Reason {
        self.refusals().first().map_or(Reason::Empty, |refusal| refusal.reason)
    }
}

fn learned(observation: &Observation, pilot: PilotId) -> LearnedMessage {
    let Observation { topic, payload, received_at, .. } = observation;
    LearnedMessage { pilot, topic: topic.clone(), payload: payload.to_vec(), at: *received_at }
}

fn kept(
    observation: &Observation,
    identity: &Identity,
    hash: u128,
    (pilot, refusals, whole): (Option<PilotId>, Vec<Refusal>, WholeOrParts),
) -> RejectedMessage {
    let is_content = refusals.first().is_none_or(|refusal| refusal.reason.is_content());
    let payload = &observation.payload;
    let n_kept = if is_content { payload.len() } else { payload.len().min(NOT_AUTHORIZED_BYTES_MAX) };
    RejectedMessage {
        at: observation.received_at,
        topic: observation.topic.clone(),
        pilot,
        login: identity.login().map(str::to_owned),
        bytes: payload[..n_kept].to_vec(),
        size: payload.len() as u64,
        hash,
        whole,
        refusals,
        retained: observation.retained,
    }
}
