//! What the committer tells a connection: one delivery per commit, acknowledgements in receive order.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

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

/// What lies in a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) acks: Vec<Ack>,
    /// Messages that wait for their commit no longer.
    pub(crate) n_done: usize,
    /// Another connection has taken the session.
    pub(crate) is_taken_over: bool,
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
