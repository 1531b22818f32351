//! What the committer tells a connection: one delivery per commit, acknowledgements in receive order.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Packets of ours that may wait for one connection: more than its edge node is asked in a minute. Beyond it the client does
/// not read, and what else is said to it is dropped.
pub(crate) const PACKETS_MAX: usize = 32;

/// Which answer a message gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is sent: QoS 0.
    Nothing,
    Puback,
    Pubrec,
    Pubcomp,
    /// A PUBREL for an id that is not held.
    PubcompNotFound,
    /// The oldest SUBSCRIBE or UNSUBSCRIBE of the connection that has no answer yet.
    Subscribed,
}

/// What became of a message, as far as its sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// On disk: committed, or a duplicate of something that is.
    Taken,
    /// On disk as a rejection that can be replayed, wholly or in part.
    Refused(Box<str>),
    /// On disk as a rejection; the sender may not use this topic.
    NotAuthorized(Box<str>),
}

/// One acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) packet_id: u16,
    pub(crate) step: Step,
    pub(crate) verdict: Verdict,
}

/// A PUBLISH of ours, at QoS 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// Sent because of a new subscription, not because it is new.
    pub(crate) is_retained: bool,
}

/// What lies in a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) acks: Vec<Ack>,
    /// Messages that wait for their commit no longer.
    pub(crate) n_done: usize,
    /// Another connection has taken the session.
    pub(crate) is_taken_over: bool,
    /// What the hub has for it.
    pub(crate) packets: Vec<Arc<Packet>>,
}

/// Where the committer leaves word for one connection.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Number of the connection, unique in this process.
    pub(crate) connection: u64,
    mail: Mutex<Mail>,
    bell: Notify,
}

impl Mailbox {
    pub(crate) fn new(connection: u64) -> Mailbox {
        Mailbox { connection, mail: Mutex::default(), bell: Notify::new() }
    }

    /// Leaves acknowledgements and rings.
    pub(crate) fn deliver(&self, acks: Vec<Ack>, n_done: usize) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        mail.n_done += n_done;
        if mail.acks.is_empty() {
            mail.acks = acks;
        } else {
            mail.acks.extend(acks);
        }
        drop(mail);
        self.bell.notify_one();
    }

    /// Leaves a packet and rings; false if there is no room.
    pub(crate) fn send(&self, packet: &Arc<Packet>) -> bool {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = mail.packets.len() < PACKETS_MAX;
        if has_room {
            mail.packets.push(Arc::clone(packet));
        }
        drop(mail);
        self.bell.notify_one();
        has_room
    }

    /// Says that another connection has taken the session, and rings.
    pub(crate) fn take_over(&self) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).is_taken_over = true;
        self.bell.notify_one();
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> Mail {
        std::mem::take(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the bell.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}
