//! A publishing client for `simulate`, `demo` and tests of the doors: QoS 1 over MQTT 3.1.1 or 5, nothing lost on the way.
//!
//! `rumqttc` drops what it has queued when a server comes back without its session, so every connection here is a fresh
//! client, and what a PUBACK has not confirmed is kept in an outbox of our own and sent again, in its old order. The server
//! settles what then comes twice.
//!
//! Invariants:
//! - a message leaves the outbox only by its PUBACK;
//! - what is unacknowledged is bounded in number and in bytes, so that a stalled server stalls the source;
//! - `poll` of `rumqttc` is never cancelled: a publish that it is writing would be lost without a trace.

mod connection;
mod outbox;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::connection::{Answer, Client, Events, Signal};
use self::outbox::Outbox;

/// Largest packet that is sent: the listener announces 2 MiB and refuses more.
const PACKET_BYTES_MAX: usize = 2 << 20;
/// Bytes that may wait for their PUBACK: 64 messages of 1 MiB; beyond it the source waits.
const UNACKNOWLEDGED_BYTES_MAX: usize = 64 << 20;
/// Messages made ahead of the connection: enough to keep it busy, at most 64 MiB.
const AHEAD: usize = 64;
/// First pause before a new connection, doubled up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two tries: a server that comes back is found within this.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Which MQTT is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttVersion {
    V311,
    V5,
}

/// Where and how to publish.
#[derive(Debug, Clone)]
pub struct PublisherConfig {
    pub host: String,
    pub port: u16,
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    pub version: MqttVersion,
    /// Most messages that wait for their PUBACK; an MQTT 5 server may lower it.
    pub in_flight_max: u16,
    /// Without a single PUBACK or connection for so long, publishing fails.
    pub give_up_after: Duration,
}

impl PublisherConfig {
    /// MQTT 3.1.1 without a login, 200 messages in flight, giving up after 30 s of silence.
    pub fn new(host: &str, port: u16, client_id: &str) -> PublisherConfig {
        PublisherConfig {
            host: host.to_owned(),
            port,
            client_id: client_id.to_owned(),
            login: None,
            version: MqttVersion::V311,
            in_flight_max: 200,
            give_up_after: Duration::from_secs(30),
        }
    }
}

/// A message to publish.
pub type Message = (String, Bytes);

/// What was published. Each message counts once, however often it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Messages with a PUBACK.
    pub acknowledged: u64,
    /// Of these, answered with an MQTT 5 reason code of failure.
    pub refused: u64,
    /// Payload bytes of the acknowledged ones.
    pub bytes: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

/// Why publishing ended early.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("`{address}` refuses the login of `{client_id}`: {reason}")]
    Refused { address: String, client_id: String, reason: String },
    #[error(
        "no answer from `{address}` for {seconds} s, {unacknowledged} messages unacknowledged; the last error was: {last}"
    )]
    Silent { address: String, seconds: u64, unacknowledged: usize, last: String },
}

/// Publishes all messages of an iterator, which runs on a thread of its own, and returns once all are acknowledged.
/// `progress` is called at every PUBACK.
///
/// # Errors
/// If the server refuses the login, or is silent for longer than the configuration allows.
pub async fn publish(
    config: &PublisherConfig,
    messages: impl Iterator<Item = Message> + Send + 'static,
    progress: impl FnMut(&Published),
) -> Result<Published, PublishError> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let making = tokio::task::spawn_blocking(move || {
        for message in messages {
            if sender.blocking_send(message).is_err() {
                return; // Publishing gave up; its own error says why.
            }
        }
    });
    let published = publish_from(config, receiver, progress).await;
    // A panic of the iterator is a bug of its author and must not pass for the end of the messages.
    if let Err(failed) = making.await
        && failed.is_panic()
    {
        std::panic::resume_unwind(failed.into_panic());
    }
    published
}

/// Publishes what comes through a channel, until it is closed and all is acknowledged.
///
/// # Errors
/// As [`publish`].
pub async fn publish_from(
    config: &PublisherConfig,
    source: mpsc::Receiver<Message>,
    mut progress: impl FnMut(&Published),
) -> Result<Published, PublishError> {
    let mut publishing = Publishing {
        config,
        source,
        is_open: true,
        outbox: Outbox::new(usize::from(config.in_flight_max), UNACKNOWLEDGED_BYTES_MAX),
        published: Published::default(),
        heard_at: Instant::now(),
    };
    let mut backoff = BACKOFF_MIN;
    loop {
        let heard_before = publishing.heard_at;
        let (client, events) = connection::open(config, PACKET_BYTES_MAX);
        let lost = match publishing.drive(client, events, &mut progress).await {
            End::Done => return Ok(publishing.published),
            End::Refused(reason) => return Err(publishing.refused(reason)),
            End::Lost(lost) => lost,
        };
        publishing.outbox.disconnected();
        publishing.published.reconnects += 1;
        if publishing.heard_at.elapsed() > config.give_up_after {
            return Err(publishing.silent(lost));
        }
        if publishing.heard_at > heard_before {
            backoff = BACKOFF_MIN;
        }
        tracing::debug!(error = lost, backoff_ms = backoff.as_millis(), "connection lost, publishing again");
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// How a connection ended.
enum End {
    Done,
    Lost(String),
    /// The server does not let us in; trying again would not help.
    Refused(String),
}

struct Publishing<'c> {
    config: &'c PublisherConfig,
    source: mpsc::Receiver<Message>,
    is_open: bool,
    outbox: Outbox,
    published: Published,
    /// When the server last answered, or the first message was sent after all had been acknowledged.
    heard_at: Instant,
}

impl Publishing<'_> {
    /// Publishes over one connection until all is done or it ends.
    async fn drive(&mut self, client: Client, mut events: Events, progress: &mut impl FnMut(&Published)) -> End {
        let mut is_connected = false;
        loop {
            if is_connected {
                while let Some((topic, payload)) = self.outbox.take_again() {
                    client.publish(topic, payload).await;
                }
            }
            if self.is_done() {
                client.disconnect().await;
                // Written to the socket by the next polls; an error only says that the server was faster.
                while !matches!(events.poll().await, Signal::Closed | Signal::Lost(_) | Signal::Refused(_)) {}
                return End::Done;
            }
            let signal = if is_connected { self.next(&client, &mut events).await } else { events.poll().await };
            match signal {
                Signal::Connected => is_connected = true,
                Signal::Sent(packet_id) => self.outbox.sent(packet_id),
                Signal::Acknowledged(packet_id, answer) => self.acknowledged(packet_id, answer, progress),
                Signal::Other | Signal::Closed => continue,
                Signal::Refused(reason) => return End::Refused(reason),
                Signal::Lost(reason) => return End::Lost(reason),
            }
            self.heard_at = Instant::now();
        }
    }

    fn is_done(&self) -> bool {
        !self.is_open && self.outbox.is_empty()
    }

    /// The next signal; meanwhile the source fills the window.
    async fn next(&mut self, client: &Client, events: &mut Events) -> Signal {
        let mut poll = std::pin::pin!(events.poll());
        loop {
            let has_room = self.is_open && self.outbox.has_room();
            let silence = self.heard_at + self.config.give_up_after;
            tokio::select! {
                biased;
                message = self.source.recv(), if has_room => {
                    self.hand(message, client).await;
                    if self.is_done() {
                        return Signal::Other; // Nothing is being written, so this poll may be dropped.
                    }
                }
                signal = &mut poll => return signal,
                () = tokio::time::sleep_until(silence), if !self.outbox.is_empty() => {
                    return Signal::Lost("no acknowledgement".to_owned());
                }
            }
        }
    }

    async fn hand(&mut self, message: Option<Message>, client: &Client) {
        let Some((topic, payload)) = message else {
            self.is_open = false;
            return;
        };
        if self.outbox.is_empty() {
            self.heard_at = Instant::now();
        }
        self.outbox.hand((topic.clone(), payload.clone()));
        client.publish(topic, payload).await;
    }

    fn acknowledged(&mut self, packet_id: u16, answer: Answer, progress: &mut impl FnMut(&Published)) {
        let Some((_, payload)) = self.outbox.acknowledged(packet_id) else { return };
        self.published.acknowledged += 1;
        self.published.refused += u64::from(answer == Answer::Failure);
        self.published.bytes += payload.len() as u64;
        progress(&self.published);
    }

    fn address(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    fn refused(&self, reason: String) -> PublishError {
        PublishError::Refused { address: self.address(), client_id: self.config.client_id.clone(), reason }
    }

    fn silent(&self, last: String) -> PublishError {
        let (seconds, unacknowledged) = (self.config.give_up_after.as_secs(), self.outbox.len());
        PublishError::Silent { address: self.address(), seconds, unacknowledged, last }
    }
}

#[cfg(test)]
mod tests;
