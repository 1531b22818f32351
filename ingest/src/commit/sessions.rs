//! MQTT sessions: which client has one, whose it is, who is connected, and which QoS 2 ids it holds.
//!
//! The committer owns them, because every change of one that must outlast a crash is part of a commit, and because the
//! order of work in its queue settles what a takeover means.
//!
//! Invariants:
//! - a session belongs to the login that made it; another login is refused, not handed the session;
//! - a session whose expiry is 0 ends with its connection and is never stored;
//! - an id is held from the commit of its message to the commit of its release.

use std::collections::HashMap;
use std::sync::Arc;

use model::UnixMillis;
use store::{Batch, HeldChange, Session, SessionChange};

use super::mailbox::Mailbox;

/// Sessions kept, connected or not: twice the 10,000 gateways of the design. A new one then takes the place of the one
/// that has been gone longest; if all are connected it is refused.
pub(crate) const SESSIONS_MAX: usize = 20_000;

/// Never expires, in seconds, as MQTT 5 writes it.
pub(crate) const EXPIRY_NEVER: u32 = u32::MAX;

/// What a connection asks for when it opens.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) client_id: Arc<str>,
    pub(crate) login: Option<String>,
    pub(crate) start: Start,
    pub(crate) expiry_s: u32,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// Whether an old session is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Clean,
    Resume,
}

/// Filters that a session has subscribed to, each with the QoS that was granted.
pub(crate) type Subscriptions = Vec<(Arc<str>, u8)>;

/// What a connection that opens is told, after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A new session.
    New,
    /// The old session goes on, with its subscriptions.
    Resumed(Subscriptions),
    /// The session belongs to another login.
    NotYours,
    /// There are as many sessions as there may be, all connected.
    Full,
}

/// A session as the committer knows it.
pub(crate) struct SessionState {
    login: Option<String>,
    expiry_s: u32,
    is_stored: bool,
    /// Packet ids between PUBREC and PUBREL, each with the hash of its message.
    held: HashMap<u16, u128>,
    subscriptions: Subscriptions,
    live: Option<Arc<Mailbox>>,
    /// When its last connection ended.
    gone_at: UnixMillis,
}

impl SessionState {
    fn is_expired(&self, now: UnixMillis) -> bool {
        let ends = self.gone_at.plus(i64::from(self.expiry_s).saturating_mul(1000));
        self.live.is_none() && self.expiry_s != EXPIRY_NEVER && ends <= now
    }

    /// Adds and takes back subscriptions. When the session was last heard is written with them, and says nothing new.
    pub(crate) fn subscribe(&mut self, client_id: &str, changes: Vec<(Arc<str>, Option<u8>)>, batch: &mut Batch) {
        let before = self.subscriptions.clone();
        for (filter, qos) in changes {
            self.subscriptions.retain(|(kept, _)| *kept != filter);
            self.subscriptions.extend(qos.map(|qos| (filter, qos)));
        }
        if self.is_stored && self.subscriptions != before {
            batch.sessions.push(self.put(client_id, self.gone_at));
        }
    }

    fn put(&self, client_id: &str, now: UnixMillis) -> SessionChange {
        let (client_id, login, expiry_s) = (client_id.to_owned(), self.login.clone(), self.expiry_s);
        let subscriptions = self.subscriptions.iter().map(|(filter, qos)| (filter.to_string(), *qos)).collect();
        SessionChange::Put(Session { client_id, login, expiry_s, subscriptions, last_seen: now })
    }

    /// The hash under which an id is held.
    pub(crate) fn held(&self, packet_id: u16) -> Option<u128> {
        self.held.get(&packet_id).copied()
    }

    /// Holds an id, in the same commit as its message.
    pub(crate) fn hold(&mut self, client_id: &str, packet_id: u16, hash: u128, batch: &mut Batch) {
        self.held.insert(packet_id, hash);
        if self.is_stored {
            batch.held.push(HeldChange::Hold { client_id: client_id.to_owned(), packet_id, hash });
        }
    }

    /// Lets go of an id; false if it was not held.
    pub(crate) fn release(&mut self, client_id: &str, packet_id: u16, batch: &mut Batch) -> bool {
        let was_held = self.held.remove(&packet_id).is_some();
        if was_held && self.is_stored {
            batch.held.push(HeldChange::Release { client_id: client_id.to_owned(), packet_id });
        }
        was_held
    }
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    by_client: HashMap<Arc<str>, SessionState>,
}

impl Sessions {
    /// As the store had them. Their time to expire begins anew, since the end of this process was their disconnect.
    pub(crate) fn restore(stored: Vec<Session>, held: Vec<(String, u16, u128)>, now: UnixMillis) -> Sessions {
        let mut sessions = Sessions::default();
        for Session { client_id, login, expiry_s, subscriptions, .. } in stored {
            let subscriptions = subscriptions.into_iter().map(|(filter, qos)| (filter.into(), qos)).collect();
            let (is_stored, held, live, gone_at) = (true, HashMap::new(), None, now);
            let state = SessionState { login, expiry_s, is_stored, held, subscriptions, live, gone_at };
            sessions.by_client.insert(client_id.into(), state);
        }
        for (client_id, packet_id, hash) in held {
            if let Some(session) = sessions.by_client.get_mut(client_id.as_str()) {
                session.held.insert(packet_id, hash);
            }
        }
        sessions
    }

    /// The session of a client if this very connection has it.
    pub(crate) fn live(&mut self, client_id: &str, connection: u64) -> Option<&mut SessionState> {
        self.by_client.get_mut(client_id).filter(|session| is_live(session, connection))
    }

    /// Opens, resumes or replaces a session.
    pub(crate) fn open(&mut self, open: Open, now: UnixMillis, batch: &mut Batch) -> Opened {
        if self.by_client.get(&open.client_id).is_some_and(|session| session.is_expired(now)) {
            self.remove(&open.client_id, batch);
        }
        if let Some(session) = self.by_client.get_mut(&open.client_id) {
            if session.login != open.login {
                return Opened::NotYours;
            }
            if let Some(old) = session.live.take() {
                old.take_over();
            }
            // A session without expiry ended with the connection that was just taken over.
            if open.start == Start::Clean || !session.is_stored {
                self.remove(&open.client_id, batch);
            }
        }
        if let Some(session) = self.by_client.get_mut(&open.client_id) {
            resume(session, &open, now, batch);
            return Opened::Resumed(session.subscriptions.clone());
        }
        if self.by_client.len() >= SESSIONS_MAX && !self.evict(batch) {
            return Opened::Full;
        }
        self.create(open, now, batch);
        Opened::New
    }

    fn create(&mut self, open: Open, now: UnixMillis, batch: &mut Batch) {
        let Open { client_id, login, expiry_s, mailbox, .. } = open;
        let (is_stored, live) = (expiry_s > 0, Some(mailbox));
        let (held, subscriptions) = (HashMap::new(), Vec::new());
        let state = SessionState { login, expiry_s, is_stored, held, subscriptions, live, gone_at: now };
        if is_stored {
            batch.sessions.push(state.put(&client_id, now));
        }
        self.by_client.insert(client_id, state);
    }

    /// A connection has ended; an expiry in its DISCONNECT replaces the one of its CONNECT.
    pub(crate) fn close(
        &mut self,
        client_id: &str,
        connection: u64,
        expiry_s: Option<u32>,
        now: UnixMillis,
        batch: &mut Batch,
    ) {
        let Some(session) = self.live(client_id, connection) else { return };
        session.live = None;
        session.gone_at = now;
        // An expiry cannot be raised from 0: what the session held until now was never stored.
        let expiry_s = expiry_s.filter(|_| session.is_stored).unwrap_or(session.expiry_s);
        if expiry_s == 0 {
            self.remove(client_id, batch);
        } else if expiry_s != session.expiry_s {
            session.expiry_s = expiry_s;
            batch.sessions.push(session.put(client_id, now));
        }
    }

    /// Removes what has expired.
    pub(crate) fn expire(&mut self, now: UnixMillis, batch: &mut Batch) {
        let mut expired: Vec<Arc<str>> =
            self.by_client.iter().filter(|(_, s)| s.is_expired(now)).map(|(id, _)| Arc::clone(id)).collect();
        expired.sort_unstable();
        for client_id in expired {
            self.remove(&client_id, batch);
        }
    }

    fn evict(&mut self, batch: &mut Batch) -> bool {
        let gone = self.by_client.iter().filter(|(_, session)| session.live.is_none());
        let longest = gone.min_by_key(|(id, session)| (session.gone_at, Arc::clone(id))).map(|(id, _)| Arc::clone(id));
        longest.is_some_and(|client_id| {
            self.remove(&client_id, batch);
            true
        })
    }

    fn remove(&mut self, client_id: &str, batch: &mut Batch) {
        let Some(session) = self.by_client.remove(client_id) else { return };
        if session.is_stored {
            batch.held.push(HeldChange::ReleaseAll { client_id: client_id.to_owned() });
            batch.sessions.push(SessionChange::Remove { client_id: client_id.to_owned() });
        }
    }
}

fn is_live(session: &SessionState, connection: u64) -> bool {
    session.live.as_ref().is_some_and(|live| live.connection == connection)
}

fn resume(session: &mut SessionState, open: &Open, now: UnixMillis, batch: &mut Batch) {
    session.live = Some(Arc::clone(&open.mailbox));
    if session.expiry_s == open.expiry_s {
        return;
    }
    session.expiry_s = open.expiry_s;
    session.is_stored = open.expiry_s > 0;
    if session.is_stored {
        batch.sessions.push(session.put(&open.client_id, now));
    } else {
        let client_id = open.client_id.to_string();
        batch.held.push(HeldChange::ReleaseAll { client_id: client_id.clone() });
        batch.sessions.push(SessionChange::Remove { client_id });
    }
}
