//! One message as it came: topic, bytes, time of receipt, and who sent it.

use std::sync::Arc;

use bytes::Bytes;
use model::{GatewayId, PilotId, UnixMillis};

/// Who a connection speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// No login: only on a loopback listener. May speak for any pilot.
    Anonymous,
    /// A login or a client certificate, bound to a pilot and optionally to one gateway of it.
    Login { name: String, pilot: PilotId, gateway: Option<GatewayId> },
}

impl Identity {
    /// The login's name, for rejections and logs.
    pub fn login(&self) -> Option<&str> {
        match self {
            Identity::Anonymous => None,
            Identity::Login { name, .. } => Some(name),
        }
    }

    /// Whether it may speak for this gateway of this pilot.
    pub fn speaks_for(&self, pilot: &str, gateway: &str) -> bool {
        match self {
            Identity::Anonymous => true,
            Identity::Login { pilot: own, gateway: bound, .. } => {
                own.as_str() == pilot && bound.as_ref().is_none_or(|bound| bound.as_str() == gateway)
            }
        }
    }
}

/// One message as it came.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "the two flags of a PUBLISH packet, as they came")]
pub struct Observation {
    /// `listener`, or the name of the broker that delivered it.
    pub door: Arc<str>,
    /// The MQTT client id of who published it; empty if a broker delivered it.
    pub client: Arc<str>,
    pub topic: String,
    pub payload: Bytes,
    pub received_at: UnixMillis,
    pub qos: u8,
    pub dup: bool,
    /// Delivered by a broker as retained: it never takes the time of receipt.
    pub retained: bool,
}

/// The name of our own MQTT server among the doors.
pub const LISTENER: &str = "listener";
