//! Sparkplug B 3.0 as a Host Application: payload decoder, one state machine per edge node, rebirth requests, STATE.
//!
//! Everything here is pure: time is an argument, and what is to be sent is returned or queued, never written to a socket.

use std::sync::Arc;

use bumpalo::Bump;
use model::{PilotId, UnixMillis};

use crate::decode::{Message, Undecodable};

/// What an operator may choose; `[sparkplug]` of the config file.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The Sparkplug host id, unique in the installation.
    pub host_id: String,
    /// How long a missing `seq` is waited for before a rebirth is asked for, in ms; 0 = not at all.
    pub reorder_timeout_ms: i64,
    /// Rebirth requests per second over all edge nodes.
    pub rebirths_per_s: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { host_id: "pilotline".to_owned(), reorder_timeout_ms: 4_000, rebirths_per_s: 50 }
    }
}

/// Every edge node that was heard, by door, pilot, group and edge node.
pub struct Host {
    #[allow(dead_code, reason = "outline")]
    settings: Settings,
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

impl Host {
    /// Nothing heard yet.
    pub fn new(settings: Settings) -> Host {
        Host { settings }
    }

    /// A live message: moves the edge node's state machine and gives its values.
    pub fn receive<'a>(&self, _received: Received<'a>, _arena: &'a Bump) -> Result<Message<'a>, Undecodable> {
        Err(Undecodable { reason: model::Reason::BadTopic, detail: String::new(), sequence: None })
    }

    /// A kept message once more: moves nothing. Aliases are those of the births in force, if the message is not older than
    /// its node's NBIRTH.
    pub fn again<'a>(&self, _received: Received<'a>, _arena: &'a Bump) -> Result<Message<'a>, Undecodable> {
        Err(Undecodable { reason: model::Reason::BadTopic, detail: String::new(), sequence: None })
    }

    /// What is due by `now`: called every 100 ms.
    pub fn due(&self, _now: UnixMillis) -> Due {
        Due::default()
    }

    /// The link to a broker is lost: everything known through it becomes stale.
    pub fn link_lost(&self, _door: &str, _now: UnixMillis) {}

    /// The topic of our own STATE: of the Will, the birth and the death alike.
    pub fn state_topic(&self) -> String {
        format!("spBv1.0/STATE/{}", self.settings.host_id)
    }

    /// The payload of the STATE birth. `at` is that of the Will of the same connection.
    pub fn birth_payload(&self, at: UnixMillis) -> Vec<u8> {
        format!("{{\"online\":true,\"timestamp\":{}}}", at.0).into_bytes()
    }

    /// The payload of the Will (`at`: now, at every CONNECT) and of the death at a stop (`at`: the time of the stop).
    pub fn death_payload(&self, at: UnixMillis) -> Vec<u8> {
        format!("{{\"online\":false,\"timestamp\":{}}}", at.0).into_bytes()
    }
}
