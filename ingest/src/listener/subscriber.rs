//! What one connection has subscribed to: which filters are granted, what each SUBSCRIBE is answered once its commit is done.
//!
//! Invariants:
//! - an answer leaves after the commit that holds the change, in the order of the requests;
//! - the hub forgets the connection when this is dropped, however the connection ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::PilotId;

use super::wire::{Dialect, Retained, Suback, Wanted};
use crate::Identity;
use crate::commit::{Item, Mailbox, Packet, Subscriptions};
use crate::hub::{self, Hub, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTIONS_MAX};

/// QoS at which everything is sent: a request that is late is worth nothing, and STATE is sent again to who comes again.
const GRANTED_QOS: u8 = 0;

/// See the module's comment.
pub(super) struct Subscriber {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    pilot: Option<PilotId>,
    /// Also what is not yet committed.
    filters: Vec<Arc<str>>,
    unanswered: VecDeque<Unanswered>,
}

/// A request whose commit is awaited.
enum Unanswered {
    Subscribe { packet_id: u16, answers: Vec<Suback>, granted: Vec<(Arc<str>, Retained)> },
    Unsubscribe { packet_id: u16, existed: Vec<bool>, gone: Vec<Arc<str>> },
}

impl Subscriber {
    /// Of a connection whose session had these. What is kept for them is said as if it had waited: a client that goes on with
    /// its session does not subscribe again, and STATE has another time since.
    pub(super) fn new(hub: Arc<Hub>, mailbox: Arc<Mailbox>, identity: &Identity, resumed: Subscriptions) -> Subscriber {
        let pilot = match identity {
            Identity::Anonymous => None,
            Identity::Login { pilot, .. } => Some(pilot.clone()),
        };
        let filters: Vec<Arc<str>> = resumed.into_iter().map(|(filter, _)| filter).collect();
        let kept = filters.iter().flat_map(|filter| hub.subscribe(&mailbox, pilot.as_ref(), filter));
        let states: BTreeMap<String, Arc<Packet>> = kept.map(|packet| (packet.topic.clone(), packet)).collect();
        for state in states.into_values() {
            mailbox.send(&Arc::new(Packet { is_retained: false, ..(*state).clone() }));
        }
        Subscriber { hub, mailbox, pilot, filters, unanswered: VecDeque::new() }
    }

    /// Takes a SUBSCRIBE; what is to be committed of it.
    pub(super) fn subscribe(&mut self, packet_id: u16, wanted: Vec<Wanted>) -> Item {
        let (mut answers, mut granted) = (Vec::with_capacity(wanted.len()), Vec::new());
        for Wanted { filter, retained } in wanted {
            let is_new = !self.filters.contains(&filter);
            let answer = match (hub::is_served(&filter), is_new) {
                (false, _) => Suback::Refused,
                (true, true) if !self.has_room(&filter) => Suback::Quota,
                (true, _) => Suback::Granted,
            };
            answers.push(answer);
            if answer != Suback::Granted {
                continue;
            }
            if is_new {
                self.filters.push(Arc::clone(&filter));
            }
            let retained = if is_new || retained == Retained::Always { retained } else { Retained::Never };
            granted.push((filter, retained));
        }
        let changes = granted.iter().map(|(filter, _)| (Arc::clone(filter), Some(GRANTED_QOS))).collect();
        self.unanswered.push_back(Unanswered::Subscribe { packet_id, answers, granted });
        Item::Subscribe { packet_id, changes }
    }

    fn has_room(&self, filter: &str) -> bool {
        let bytes: usize = self.filters.iter().map(|kept| kept.len()).sum();
        self.filters.len() < SUBSCRIPTIONS_MAX && bytes + filter.len() <= SUBSCRIPTION_BYTES_MAX
    }

    /// Takes an UNSUBSCRIBE; what is to be committed of it.
    pub(super) fn unsubscribe(&mut self, packet_id: u16, filters: Vec<Arc<str>>) -> Item {
        let (mut existed, mut gone) = (Vec::with_capacity(filters.len()), Vec::new());
        for filter in filters {
            let place = self.filters.iter().position(|kept| *kept == filter);
            existed.push(place.is_some());
            gone.extend(place.map(|place| self.filters.remove(place)));
        }
        let changes = gone.iter().map(|filter| (Arc::clone(filter), None)).collect();
        self.unanswered.push_back(Unanswered::Unsubscribe { packet_id, existed, gone });
        Item::Subscribe { packet_id, changes }
    }

    /// The oldest request is committed: answers it, and says what is kept for new subscriptions.
    pub(super) fn committed(&mut self, dialect: &Dialect, out: &mut Vec<u8>) {
        match self.unanswered.pop_front() {
            Some(Unanswered::Subscribe { packet_id, answers, granted }) => {
                dialect.suback(packet_id, &answers, out);
                for (filter, retained) in granted {
                    let kept = self.hub.subscribe(&self.mailbox, self.pilot.as_ref(), &filter);
                    for packet in kept.iter().filter(|_| retained != Retained::Never) {
                        dialect.publish(packet, out);
                    }
                }
            }
            Some(Unanswered::Unsubscribe { packet_id, existed, gone }) => {
                for filter in gone {
                    self.hub.unsubscribe(self.mailbox.connection, &filter);
                }
                dialect.unsuback(packet_id, &existed, out);
            }
            None => {}
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.gone(self.mailbox.connection);
    }
}
