//! The broker client: takes messages from a broker that a plant already runs, and acknowledges each after its commit.
//!
//! A broker is a buffer that may forget. Readings come over a session that the broker keeps while we are away; Sparkplug asks
//! for the opposite, a clean session whose Will says that we are gone. So a broker that carries both gets two connections,
//! under two client ids.
//!
//! Invariants:
//! - an acknowledgement leaves after the commit, in the order of receipt, on the connection that brought the message;
//! - what waits is bounded: what finds no room stays unacknowledged at the broker;
//! - a message larger than our limit is received, counted `too_large` and acknowledged, so that it blocks nothing.

mod backoff;
mod client;
mod data;
mod filters;
mod host;
mod intake;
mod relay;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::client::Place;
use self::intake::Intake;
use self::relay::Relay;
pub use self::relay::RelayError;
pub use self::status::{Status, Trouble};
use crate::commit::{CommitterHandle, DoorState};
use crate::index::CurrentIndex;
use crate::publisher::MqttVersion;

/// The largest packet that MQTT knows: no message can be larger, so none can block the queue behind it.
pub const PACKET_BYTES_MAX: u32 = 268_435_460;

/// How long the broker is asked to keep our session and what it holds for us: a week of outage.
pub const SESSION_EXPIRY_S: u32 = 7 * 24 * 3600;

/// Messages that may be unacknowledged: what one group commit takes with ease.
pub const RECEIVE_MAXIMUM: u16 = 1_000;

/// How much part `part` of several processes wants a pilot; the one that wants it most takes it.
pub fn rendezvous(pilot: &model::PilotId, part: u32) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(pilot.as_str().as_bytes(), u64::from(part))
}

/// Whether we are a Sparkplug host application at this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparkplug {
    /// If a pilot of ours has topics below `spBv1.0/`.
    IfBound,
    On,
    Off,
}

/// Files for TLS, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signed the broker's certificate.
    pub ca: PathBuf,
    /// Our own certificate and its key, where the broker wants one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A broker and how to speak to it.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The door's name in readings, pages and logs.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub protocol: MqttVersion,
    /// Stable over restarts: the broker keeps our session under it.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    pub session_expiry_s: u32,
    pub receive_maximum: u16,
    pub packet_bytes_max: u32,
    /// Group of a shared subscription.
    pub share: Option<String>,
    pub sparkplug: Sparkplug,
    pub host_id: String,
    pub tls: Option<TlsFiles>,
    pub pace: Pace,
}

/// Times of the client; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First pause before a new connection; doubled with each that fails. A broker sees at most one attempt a second.
    pub backoff_min: Duration,
    /// Longest pause: a broker that comes back is found within this and half of it.
    pub backoff_max: Duration,
    /// A message unacknowledged for so long, though the committer takes messages, is asked for again by a new connection:
    /// while connected no broker sends it twice, and each lost acknowledgement would take a place for good.
    pub watchdog: Duration,
    /// How often the watchdog and the subscriptions are looked at.
    pub tick: Duration,
    /// How long a stop waits for what is under way.
    pub stop_within: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            watchdog: Duration::from_secs(60),
            tick: Duration::from_secs(1),
            stop_within: Duration::from_secs(5),
        }
    }
}

impl BrokerConfig {
    /// MQTT 5 without login and TLS, under a client id made from the name.
    pub fn new(name: &str, host: &str, port: u16) -> BrokerConfig {
        BrokerConfig {
            name: name.to_owned(),
            host: host.to_owned(),
            port,
            protocol: MqttVersion::V5,
            client_id: format!("pilotline-{name}"),
            login: None,
            session_expiry_s: SESSION_EXPIRY_S,
            receive_maximum: RECEIVE_MAXIMUM,
            packet_bytes_max: PACKET_BYTES_MAX,
            share: None,
            sparkplug: Sparkplug::IfBound,
            host_id: "pilotline".to_owned(),
            tls: None,
            pace: Pace::default(),
        }
    }

    /// Where it is, as people write it.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// How a connection ended.
enum End {
    Lost(String),
    Stopped,
}

/// What the connections to one broker share.
struct Shared {
    config: BrokerConfig,
    door: Arc<str>,
    place: Place,
    index: Arc<CurrentIndex>,
    committer: CommitterHandle,
    status: Arc<Status>,
    stop: watch::Receiver<bool>,
    relay: Option<Relay>,
}

impl Shared {
    /// Returns once the door has to close.
    async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // A sender that is gone has stopped as well.
        let _ = stop.wait_for(|is_stopping| *is_stopping).await;
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// What ended a connection: with TLS the relay knows more than the client, which sees a closed socket.
    fn why_lost(&self, reason: &str) -> String {
        self.relay.as_ref().and_then(Relay::trouble).unwrap_or_else(|| reason.to_owned())
    }

    /// Whether a message waits too long for its acknowledgement although the committer takes messages; counted if it does.
    fn is_overdue(&self, intake: &Intake) -> bool {
        let is_open = self.committer.state() == DoorState::Open;
        let is_overdue = is_open && intake.is_overdue(self.config.pace.watchdog);
        if is_overdue {
            self.status.count_watchdog();
        }
        is_overdue
    }
}

/// A running client.
pub struct Broker {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts the client of one broker. A broker that is away is waited for.
///
/// # Errors
/// If the files for TLS are of no use, or the relay's socket cannot be made.
pub async fn start(
    config: BrokerConfig,
    index: Arc<CurrentIndex>,
    committer: CommitterHandle,
) -> Result<Broker, RelayError> {
    let relay = match &config.tls {
        None => None,
        Some(files) => Some(Relay::start(&config, files).await?),
    };
    let place = relay.as_ref().map_or_else(|| Place::Tcp(config.host.clone(), config.port), Relay::place);
    let (stop, stopped) = watch::channel(false);
    let is_host = host::is_wanted(&config, &index);
    let connections: &[&str] = if is_host { &[data::DATA, host::HOST] } else { &[data::DATA] };
    let (door, status) = (config.name.as_str().into(), Arc::new(Status::new(connections, model::clock::now())));
    let shared = Arc::new(Shared { config, door, place, index, committer, status, stop: stopped, relay });
    let mut tasks = vec![tokio::spawn(data::serve(Arc::clone(&shared)))];
    if shared.config.sparkplug != Sparkplug::Off {
        tasks.push(tokio::spawn(host::serve(Arc::clone(&shared))));
    }
    Ok(Broker { shared, stop, tasks })
}

impl Broker {
    /// The door's name.
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// Where the broker is.
    pub fn address(&self) -> String {
        self.shared.config.address()
    }

    /// Whether it is connected, and what was counted.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.shared.status)
    }

    /// Acknowledges what was committed and says goodbye. Stop the committer after it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let within = 2 * self.shared.config.pace.stop_within;
            if tokio::time::timeout(within, task).await.is_err() {
                tracing::warn!(broker = %self.shared.config.name, "stopped without saying goodbye to the broker");
            }
        }
    }
}
