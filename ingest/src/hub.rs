//! What we publish ourselves: rebirth requests to edge nodes and our STATE, handed to whichever door reaches the receiver.
//!
//! On the listener a subscription of a client leads here; on a broker door the broker client drains its own queue.
//!
//! Invariants:
//! - only topics that this process publishes can be subscribed to;
//! - a request for one pilot's edge node is heard by connections of that pilot alone, and by those without login;
//! - what waits for a receiver is bounded: a rebirth request that finds no room is dropped, and asked for again later.

mod drive;
mod filter;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::PilotId;
use tokio::sync::mpsc;

pub use self::drive::{Driver, drive};
pub(crate) use self::filter::{is_ours, is_served, matches};
use crate::commit::{Mailbox, Packet};
use crate::observation::LISTENER;
use crate::sparkplug::Command;

/// Subscriptions of one connection: an edge node with a filter of its own for each of some hundred devices.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 256;

/// Bytes of the filters of one connection, for a filter may be 64 KiB long: 10,000 clients cost at most 160 MB.
pub(crate) const SUBSCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// Commands that wait for a broker client: ten seconds of the default rate, and more than any broker takes to come back
/// before they are stale. What finds no room is dropped, and asked for again later.
const BROKER_COMMANDS_MAX: usize = 500;

/// See the module's comment.
#[derive(Default)]
pub struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    receivers: BTreeMap<u64, Receiver>,
    /// Connections by the four first levels of a filter that has no wildcard there: a request to one of 10,000 edge nodes
    /// looks at one or two connections.
    by_node: HashMap<Arc<str>, BTreeSet<u64>>,
    /// Connections with a filter that is wider, or shorter.
    wide: BTreeSet<u64>,
    /// Our STATE, by topic.
    states: BTreeMap<String, Arc<Packet>>,
    brokers: BTreeMap<String, mpsc::Sender<Command>>,
}

/// A connection that has subscribed to something.
struct Receiver {
    mailbox: Arc<Mailbox>,
    pilot: Option<PilotId>,
    filters: Vec<Arc<str>>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes a connection that speaks for `pilot`, or for any; gives the retained messages that the filter takes.
    /// Everything goes out at QoS 0, whatever was asked for: a request that is late is worth nothing.
    pub(crate) fn subscribe(
        &self,
        mailbox: &Arc<Mailbox>,
        pilot: Option<&PilotId>,
        filter: &Arc<str>,
    ) -> Vec<Arc<Packet>> {
        let mut inner = self.lock();
        let connection = mailbox.connection;
        let receiver = inner.receivers.entry(connection).or_insert_with(|| Receiver {
            mailbox: Arc::clone(mailbox),
            pilot: pilot.cloned(),
            filters: Vec::new(),
        });
        if !receiver.filters.contains(filter) {
            receiver.filters.push(Arc::clone(filter));
        }
        match filter::node_of(filter) {
            Some(node) => inner.by_node.entry(node.into()).or_default().insert(connection),
            None => inner.wide.insert(connection),
        };
        inner.states.iter().filter(|(topic, _)| matches(filter, topic)).map(|(_, packet)| Arc::clone(packet)).collect()
    }

    /// Takes a subscription back.
    pub(crate) fn unsubscribe(&self, connection: u64, filter: &str) {
        let mut inner = self.lock();
        let Some(mut receiver) = inner.take_out(connection) else { return };
        receiver.filters.retain(|kept| **kept != *filter);
        inner.put_back(connection, receiver);
    }

    /// A connection has ended.
    pub(crate) fn gone(&self, connection: u64) {
        self.lock().take_out(connection);
    }

    /// Sends a command through its door; gives how many receivers it reached. Without any it is dropped.
    pub fn send(&self, command: &Command) -> usize {
        let inner = self.lock();
        if *command.door != *LISTENER {
            let queue = inner.brokers.get(&*command.door);
            return usize::from(queue.is_some_and(|queue| queue.try_send(command.clone()).is_ok()));
        }
        let (topic, payload) = (command.topic.clone(), command.payload.clone());
        inner.deliver(&Arc::new(Packet { topic, payload, is_retained: false }), command.pilot.as_ref())
    }

    /// Keeps our STATE for those who subscribe later, and tells those who have.
    pub fn set_state(&self, topic: &str, payload: Vec<u8>) {
        let mut inner = self.lock();
        let live = Packet { topic: topic.to_owned(), payload, is_retained: false };
        let kept = Packet { is_retained: true, ..live.clone() };
        inner.states.insert(topic.to_owned(), Arc::new(kept));
        inner.deliver(&Arc::new(live), None);
    }

    /// The commands for edge nodes behind this broker. A later call takes the place of an earlier one.
    pub fn broker_queue(&self, door: &str) -> mpsc::Receiver<Command> {
        let (sender, receiver) = mpsc::channel(BROKER_COMMANDS_MAX);
        self.lock().brokers.insert(door.to_owned(), sender);
        receiver
    }
}

impl Inner {
    /// Hands a packet to every connection that has asked for its topic and may hear what is said to `pilot`.
    fn deliver(&self, packet: &Arc<Packet>, pilot: Option<&PilotId>) -> usize {
        let node = filter::node_of(&packet.topic).and_then(|node| self.by_node.get(node));
        let reached = node.into_iter().flatten().chain(&self.wide).copied().collect::<BTreeSet<u64>>();
        let receivers = reached.iter().filter_map(|connection| self.receivers.get(connection));
        let hearing = receivers.filter(|receiver| receiver.hears(&packet.topic, pilot));
        hearing.filter(|receiver| receiver.mailbox.send(packet)).count()
    }

    fn take_out(&mut self, connection: u64) -> Option<Receiver> {
        let receiver = self.receivers.remove(&connection)?;
        self.wide.remove(&connection);
        for node in receiver.filters.iter().filter_map(|filter| filter::node_of(filter)) {
            if let Some(connections) = self.by_node.get_mut(node) {
                connections.remove(&connection);
                if connections.is_empty() {
                    self.by_node.remove(node);
                }
            }
        }
        Some(receiver)
    }

    fn put_back(&mut self, connection: u64, receiver: Receiver) {
        if receiver.filters.is_empty() {
            return;
        }
        for filter in &receiver.filters {
            match filter::node_of(filter) {
                Some(node) => self.by_node.entry(node.into()).or_default().insert(connection),
                None => self.wide.insert(connection),
            };
        }
        self.receivers.insert(connection, receiver);
    }
}

impl Receiver {
    fn hears(&self, topic: &str, pilot: Option<&PilotId>) -> bool {
        let may_hear = match (&self.pilot, pilot) {
            (None, _) | (_, None) => true,
            (Some(own), Some(pilot)) => own == pilot,
        };
        may_hear && self.filters.iter().any(|filter| matches(filter, topic))
    }
}
