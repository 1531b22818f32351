//! What one connection brought, on its way to the committer and back: normalized, handed in, acknowledged in order.
//!
//! Invariants:
//! - a message leaves the ledger only by the committer's word;
//! - acknowledgements leave in the order of receipt, on the connection that brought the messages: the ledger goes with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::UnixMillis;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Shared;
use super::client::{Client, Delivered};
use crate::commit::{self, Delivery, Item, Mailbox, Prepared, Push, Work};
use crate::index::Index;
use crate::normalize::normalize;
use crate::{Identity, Observation};

/// Bytes that wait for room in the committer's queue before no more is taken from the poller.
const PENDING_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Messages taken at once: an entry of the committer's queue.
pub(super) const BATCH: usize = 256;

/// Numbers our connections apart from those of the listener, which counts from 1.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1 << 63);

/// A message that is not acknowledged.
struct Waiting {
    packet_id: u16,
    qos: u8,
    since: Instant,
    wants: Wants,
}

/// What a message waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Commit,
    /// Only those before it: it is none of ours.
    ItsTurn,
}

/// See the module's comment.
pub(super) struct Intake {
    pub(super) mailbox: Arc<Mailbox>,
    client: commit::Client,
    waiting: VecDeque<Waiting>,
    items: Vec<Item>,
    bytes: usize,
    received_at: UnixMillis,
    observation: Observation,
}

impl Intake {
    /// For a new connection. `session` tells one session at the broker from the next, so that a packet id of a forgotten
    /// session stands for nothing.
    pub(super) fn new(shared: &Shared, client_id: &str, session: u64) -> Intake {
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let door = xxh3_64_with_seed(shared.door.as_bytes(), session);
        let key = xxh3_64_with_seed(client_id.as_bytes(), door);
        let observation = Observation {
            door: Arc::clone(&shared.door),
            client: "".into(),
            topic: String::new(),
            payload: Bytes::new(),
            received_at: UnixMillis(0),
            qos: 0,
            dup: false,
            retained: false,
        };
        Intake {
            mailbox: Arc::new(Mailbox::new(connection)),
            client: commit::Client { id: client_id.into(), connection, key },
            waiting: VecDeque::new(),
            items: Vec::new(),
            bytes: 0,
            received_at: UnixMillis(0),
            observation,
        }
    }

    /// Whether more may be taken from the poller.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < PENDING_BYTES_MAX && self.items.len() < BATCH
    }

    /// Whether something waits for room in the committer's queue.
    pub(super) fn has_pending(&self) -> bool {
        !self.items.is_empty()
    }

    /// Normalizes a message and notes that it wants an acknowledgement.
    pub(super) fn take(&mut self, delivered: Delivered, index: &Index) {
        let Delivered { topic, payload, packet_id, qos, dup, retained } = delivered;
        if self.items.is_empty() {
            self.received_at = model::clock::now();
        }
        let bytes = topic.len() + payload.len();
        let received_at = self.received_at;
        self.observation = Observation { topic, payload, received_at, qos, dup, retained, ..self.observation.clone() };
        // The broker holds what is exactly-once: for the committer it is a message that may come again.
        let delivery = if qos == 0 { Delivery::AtMostOnce } else { Delivery::AtLeastOnce { packet_id, dup } };
        let identity = Identity::Anonymous;
        let outcome = normalize(&self.observation, &identity, index);
        index.foreign().sources.heard(&self.observation, &identity, &outcome);
        self.items.push(Item::Publish(Box::new(Prepared::new(&self.observation, &identity, delivery, outcome))));
        self.observation.payload = Bytes::new();
        self.bytes += bytes;
        if qos > 0 {
            self.waiting.push_back(Waiting { packet_id, qos, since: Instant::now(), wants: Wants::Commit });
        }
    }

    /// Hands what was taken to the committer, if it has room; false if it has stopped.
    pub(super) fn hand_in(&mut self, shared: &Shared) -> bool {
        if self.items.is_empty() {
            return true;
        }
        let (items, bytes) = (std::mem::take(&mut self.items), std::mem::take(&mut self.bytes));
        let (client, mailbox) = (self.client.clone(), Arc::clone(&self.mailbox));
        let work = Work::Messages { client, mailbox, items, bytes, received_at: self.received_at };
        match shared.committer.push(work) {
            Ok(()) => true,
            Err(Push::Closed) => false,
            Err(Push::Full(work)) => {
                if let Work::Messages { items, bytes, .. } = work {
                    (self.items, self.bytes) = (items, bytes);
                }
                true
            }
        }
    }

    /// Hands in what a connection brought before it ended, however full the committer is: what came at most once does not
    /// come again.
    pub(super) async fn hand_in_rest(&mut self, shared: &Shared) {
        while self.hand_in(shared) && self.has_pending() {
            tokio::select! {
                () = shared.committer.room() => {}
                () = shared.stopping() => return,
            }
        }
    }

    /// Acknowledges what the committer released.
    pub(super) fn acknowledge(&mut self, client: &Client) {
        for ack in self.mailbox.take().acks {
            // At QoS 0 a refused message has an answer that nobody is told.
            let is_next = self.waiting.front().is_some_and(|waiting| waiting.packet_id == ack.packet_id);
            if let Some(waiting) = self.waiting.pop_front_if(|_| is_next) {
                client.acknowledge(waiting.packet_id, waiting.qos);
                self.take_turns(client);
            }
        }
    }

    fn take_turns(&mut self, client: &Client) {
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.wants == Wants::ItsTurn) {
            client.acknowledge(waiting.packet_id, waiting.qos);
        }
    }

    /// An acknowledgement for a message that is none of ours, in its place in the order.
    pub(super) fn ignore(&mut self, delivered: &Delivered, client: &Client) {
        if delivered.qos > 0 {
            let Delivered { packet_id, qos, .. } = *delivered;
            self.waiting.push_back(Waiting { packet_id, qos, since: Instant::now(), wants: Wants::ItsTurn });
            self.take_turns(client);
        }
    }

    /// Messages that are not acknowledged.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the oldest of them has waited longer than this.
    pub(super) fn is_overdue(&self, limit: Duration) -> bool {
        self.waiting.front().is_some_and(|oldest| oldest.since.elapsed() > limit)
    }
}

/// A number for a new session at the broker.
pub(super) fn session_number(client_id: &str, now: UnixMillis) -> u64 {
    xxh3_64_with_seed(&now.0.to_le_bytes(), xxh3_64(client_id.as_bytes()))
}
