//! Sparkplug B 3.0 as a Host Application: payload decoder, one state machine per edge node, rebirth requests, STATE.
//!
//! Everything here is pure: time is an argument, and what is to be sent is returned or queued, never written to a socket.

mod adjust;
mod births;
mod host;
mod node;
mod payload;
mod readings;
mod rebirth;
mod sequence;
mod status;
#[cfg(test)]
pub(crate) mod tests;
mod topic;
mod value;

use std::sync::Arc;

use model::{PilotId, UnixMillis};

use crate::mapping::Mappings;

pub use self::host::Host;
pub use self::rebirth::RebirthReason;
pub use self::status::{Clock, Deviation, DeviceState, DeviceStatus, NodeState, NodeStatus};

/// What an operator may choose; `[sparkplug]` of the config file.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The Sparkplug host id, unique in the installation.
    pub host_id: String,
    /// How long a missing `seq` is waited for before it is lost and a rebirth is asked for, in ms; 0 where nothing overtakes.
    pub reorder_timeout_ms: i64,
    /// Rebirth requests per second over all edge nodes.
    pub rebirths_per_s: u32,
    /// How long a node may be silent after a death that names another connection, in ms.
    pub probe_timeout_ms: i64,
    /// Reasons for which no rebirth is asked for.
    pub no_rebirth_for: Vec<RebirthReason>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            host_id: "pilotline".to_owned(),
            reorder_timeout_ms: 4_000,
            rebirths_per_s: 50,
            probe_timeout_ms: 10_000,
            no_rebirth_for: Vec::new(),
        }
    }
}

/// A message below `spBv1.0/`.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    pub door: &'a Arc<str>,
    pub pilot: &'a PilotId,
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub received_at: UnixMillis,
    pub retained: bool,
    /// `[[sparkplug]]` of the mapping files.
    pub mappings: &'a Mappings,
}

/// What we say to one edge node, or to all about ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub door: Arc<str>,
    /// Whose edge node it is: on the listener only connections of this pilot may hear it. None for STATE.
    pub pilot: Option<PilotId>,
    pub topic: String,
    pub payload: Vec<u8>,
}

/// A span of an edge node of which messages were lost: no coverage for the series below `asset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub pilot: PilotId,
    /// `group/edge`; the series of its devices are `group/edge/device`.
    pub asset: String,
    /// Of the last message before and the first after, edge clock.
    pub from: UnixMillis,
    pub to: UnixMillis,
    pub n_lost: u32,
}

/// What became due: rebirth requests within the rate, spans that are lost for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    pub commands: Vec<Command>,
    pub losses: Vec<Loss>,
}

/// `group/edge` of the edge node whose topic this is, its devices' included; none of any other topic.
pub(crate) fn node_of(topic: &str) -> Option<String> {
    match topic::parse(topic) {
        Ok(topic::Topic::Edge(from)) => Some(format!("{}/{}", from.group, from.edge)),
        Ok(topic::Topic::State | topic::Topic::Command) | Err(_) => None, // Nothing that a birth could mend.
    }
}

/// A time of the wire. One beyond the range is held at its end, where it is refused like any other that lies too far ahead.
fn time(timestamp: Option<u64>) -> Option<UnixMillis> {
    timestamp.map(|ms| UnixMillis(i64::try_from(ms).unwrap_or(i64::MAX)))
}
