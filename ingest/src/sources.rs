//! Who sends, as heard since the start of the process: what the page "gateways" answers "why does nothing arrive?" from.
//!
//! A source is what a person would go and look at: a gateway of Pilotline v1, an edge node of Sparkplug, else a topic. The
//! doors hand in each message with what became of it; nothing here changes what becomes of one.
//!
//! Invariants:
//! - every message that a door counts is counted at exactly one source;
//! - memory is bounded: beyond [`SOURCES_MAX`] sources, or [`SOURCES_PER_PILOT_MAX`] of one pilot, new ones share one row.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::reason::N_REASONS;
use model::{PilotId, Reason, UnixMillis};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::normalize::{Outcome, SPARKPLUG_PREFIX, TOPIC_PREFIX};
use crate::{Identity, Observation};

/// Most sources that are told apart: some 10 MB.
pub const SOURCES_MAX: usize = 20_000;
/// Most sources of one pilot that are told apart, so that one sender of made-up topics does not hide its neighbours.
pub const SOURCES_PER_PILOT_MAX: usize = 2_000;
/// Most refused connections that are kept apart; the one refused longest ago goes first.
const REFUSED_CONNECTIONS_MAX: usize = 200;
/// How much of a topic is shown.
const TOPIC_CHARS_MAX: usize = 256;
/// The rate looks back over about this long.
const RATE_OVER_MS: f64 = 300_000.0;
const MS_PER_MINUTE: f64 = 60_000.0;

/// What a source is called, by its dialect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// The gateway of a Pilotline v1 topic.
    Gateway(String),
    /// An edge node of Sparkplug B.
    EdgeNode { group: String, edge: String },
    /// Anything else, by its topic.
    Topic(String),
    /// All that came once the bounds were reached.
    Others,
}

impl Sender {
    fn of(topic: &str) -> Sender {
        let own = topic.strip_prefix(TOPIC_PREFIX).and_then(|rest| rest.split_once('/'));
        if let Some((_, gateway)) = own.filter(|(_, gateway)| !gateway.contains('/')) {
            return Sender::Gateway(shortened(gateway));
        }
        match edge_node(topic) {
            Some((group, edge)) => Sender::EdgeNode { group: shortened(group), edge: shortened(edge) },
            None => Sender::Topic(shortened(topic)),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(TOPIC_CHARS_MAX).collect()
}

/// Group and edge node of `spBv1.0/<group>/<type>/<edge node>[/<device>]`; STATE has neither.
fn edge_node(topic: &str) -> Option<(&str, &str)> {
    let mut levels = topic.strip_prefix(SPARKPLUG_PREFIX)?.split('/');
    let (group, kind, edge) = (levels.next()?, levels.next()?, levels.next()?);
    (group != "STATE" && kind != "STATE").then_some((group, edge))
}

/// What a source last had refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRefusal {
    pub at: UnixMillis,
    pub topic: String,
    pub reason: Reason,
    pub detail: String,
}

/// What became of a source's last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastMessage {
    Taken,
    /// Parts of it were refused, or are of a series that nobody registered.
    Partly,
    Refused,
}

/// One source, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// `listener`, or the name of a broker.
    pub door: Arc<str>,
    pub pilot: Option<PilotId>,
    pub sender: Sender,
    /// The MQTT client id that sent last; empty behind a broker.
    pub client: Arc<str>,
    pub login: Option<String>,
    /// Whether that client is connected now; none behind a broker, which does not say.
    pub is_connected: Option<bool>,
    pub first_at: UnixMillis,
    pub last_at: UnixMillis,
    pub n_messages: u64,
    /// Messages refused whole.
    pub n_rejected: u64,
    pub n_readings: u64,
    pub n_orders: u64,
    pub n_ignored: u64,
    /// Messages a minute, over about the last five.
    pub per_minute: f64,
    /// Refused messages and parts of messages, by reason: those that occurred.
    pub refusals: Vec<(Reason, u64)>,
    pub last_refusal: Option<LastRefusal>,
    pub last: LastMessage,
    /// What a liveness message said last, and when.
    pub alive: Option<(bool, UnixMillis)>,
}

/// Connections of one client that were turned away for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedConnection {
    pub client: String,
    pub login: Option<String>,
    /// What would let it in.
    pub why: &'static str,
    pub times: u64,
    pub last_at: UnixMillis,
}

/// A client that is connected to the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    pub client: Arc<str>,
    pub login: Option<String>,
    /// The pilot that its login speaks for.
    pub pilot: Option<PilotId>,
    pub since: UnixMillis,
    pub has_sent: bool,
}

struct Source {
    status: SourceStatus,
    counts: Option<Box<[u64; N_REASONS]>>,
    rate: Rate,
}

/// Messages a minute with exponentially fading memory.
#[derive(Debug, Clone, Copy)]
struct Rate {
    since: UnixMillis,
    at: UnixMillis,
    /// Messages, each faded by its age.
    weight: f64,
}

impl Rate {
    fn count(&mut self, now: UnixMillis) {
        self.weight = self.faded(now) + 1.0;
        self.at = self.at.max(now);
    }

    fn faded(&self, now: UnixMillis) -> f64 {
        let age = now.0.saturating_sub(self.at.0);
        if age <= 0 { self.weight } else { self.weight * (-(age as f64) / RATE_OVER_MS).exp() }
    }

    /// In the first minutes the memory is shorter than [`RATE_OVER_MS`], and counted as such; never shorter than one.
    fn per_minute(&self, now: UnixMillis) -> f64 {
        let age = (now.0.saturating_sub(self.since.0) as f64).max(MS_PER_MINUTE);
        let span = RATE_OVER_MS * (1.0 - (-age / RATE_OVER_MS).exp());
        self.faded(now) / span * MS_PER_MINUTE
    }
}

/// Everything that was heard.
pub struct Sources {
    since: UnixMillis,
    heard: Mutex<Heard>,
    connected: Mutex<BTreeMap<u64, Connected>>,
    refused: Mutex<Vec<RefusedConnection>>,
}

#[derive(Default)]
struct Heard {
    sources: HashMap<u64, Source>,
    n_by_pilot: HashMap<Option<PilotId>, usize>,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources {
            since: model::clock::now(),
            heard: Mutex::default(),
            connected: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it are counts; one that was cut short costs one message of one row.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sources {
    /// Since when it counts.
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// Counts a message with what became of it, before duplicates are judged.
    pub(crate) fn heard(&self, observation: &Observation, identity: &Identity, outcome: &Outcome) {
        let pilot = match outcome {
            Outcome::Accepted(accepted) => accepted.pilot.as_ref(),
            Outcome::Rejected(rejected) => rejected.pilot.as_ref(),
        };
        let key = key(&observation.door, pilot, &observation.topic);
        let mut heard = lock(&self.heard);
        let source = heard.source(key, observation, pilot);
        source.take(observation, identity, outcome);
    }

    /// Every source whose pilot is wanted, in the order of pilot, door and name.
    pub fn list(&self, now: UnixMillis, wants: impl Fn(Option<&PilotId>) -> bool) -> Vec<SourceStatus> {
        let connected: HashSet<Arc<str>> =
            lock(&self.connected).values().map(|client| Arc::clone(&client.client)).collect();
        let is_connected = |client: &Arc<str>| (!client.is_empty()).then(|| connected.contains(client));
        let heard = lock(&self.heard);
        let wanted = heard.sources.values().filter(|source| wants(source.status.pilot.as_ref()));
        let mut list: Vec<SourceStatus> = wanted.map(|source| source.status(now)).collect();
        drop(heard);
        for status in &mut list {
            status.is_connected = is_connected(&status.client);
        }
        list.sort_by(|a, b| (&a.pilot, &a.door, &a.sender).cmp(&(&b.pilot, &b.door, &b.sender)));
        list
    }

    /// A client was let in.
    pub(crate) fn connected(&self, connection: u64, client: Connected) {
        lock(&self.connected).insert(connection, client);
    }

    /// It sent its first message.
    pub(crate) fn has_sent(&self, connection: u64) {
        if let Some(client) = lock(&self.connected).get_mut(&connection) {
            client.has_sent = true;
        }
    }

    /// Its connection ended.
    pub(crate) fn disconnected(&self, connection: u64) {
        lock(&self.connected).remove(&connection);
    }

    /// Who is connected to the listener, in the order of connecting.
    pub fn connections(&self) -> Vec<Connected> {
        lock(&self.connected).values().cloned().collect()
    }

    /// A client was turned away; `why` says what would let it in.
    pub(crate) fn turned_away(&self, client: &str, login: Option<&str>, why: &'static str, at: UnixMillis) {
        let (client, login) = (shortened(client), login.map(shortened));
        let mut refused = lock(&self.refused);
        let known = refused.iter().position(|old| old.client == client && old.login == login && old.why == why);
        let times = known.map_or(0, |place| refused.remove(place).times);
        if refused.len() >= REFUSED_CONNECTIONS_MAX {
            refused.remove(0);
        }
        refused.push(RefusedConnection { client, login, why, times: times + 1, last_at: at });
    }

    /// Connections that were turned away, the latest first.
    pub fn refused_connections(&self) -> Vec<RefusedConnection> {
        lock(&self.refused).iter().rev().cloned().collect()
    }
}

/// Where a message counts: all types and devices of an edge node are one source.
fn key(door: &str, pilot: Option<&PilotId>, topic: &str) -> u64 {
    let place = xxh3_64_with_seed(pilot.map_or("", PilotId::as_str).as_bytes(), xxh3_64(door.as_bytes()));
    match edge_node(topic) {
        Some((group, edge)) => xxh3_64_with_seed(edge.as_bytes(), xxh3_64_with_seed(group.as_bytes(), place)),
        None => xxh3_64_with_seed(topic.as_bytes(), place),
    }
}

impl Heard {
    fn source(&mut self, key: u64, observation: &Observation, pilot: Option<&PilotId>) -> &mut Source {
        let key = if self.sources.contains_key(&key) { key } else { self.add(key, observation, pilot) };
        // Safe because both ways end with the key in the map.
        self.sources.get_mut(&key).expect("a source of this key")
    }

    /// Adds a source; beyond the bounds, the one that stands for the others of its door and pilot.
    fn add(&mut self, key: u64, observation: &Observation, pilot: Option<&PilotId>) -> u64 {
        let of_pilot = self.n_by_pilot.entry(pilot.cloned()).or_default();
        let has_room = *of_pilot < SOURCES_PER_PILOT_MAX && self.sources.len() < SOURCES_MAX;
        let (key, sender) = match has_room {
            true => (key, Sender::of(&observation.topic)),
            // No topic holds a NUL, so that this key is nobody else's.
            false => (self::key(&observation.door, pilot, "\0"), Sender::Others),
        };
        *of_pilot += usize::from(has_room);
        self.sources.entry(key).or_insert_with(|| Source::new(observation, pilot.cloned(), sender));
        key
    }
}

impl Source {
    fn new(observation: &Observation, pilot: Option<PilotId>, sender: Sender) -> Source {
        let at = observation.received_at;
        let status = SourceStatus {
            door: Arc::clone(&observation.door),
            pilot,
            sender,
            client: Arc::clone(&observation.client),
            login: None,
            is_connected: None,
            first_at: at,
            last_at: at,
            n_messages: 0,
            n_rejected: 0,
            n_readings: 0,
            n_orders: 0,
            n_ignored: 0,
            per_minute: 0.0,
            refusals: Vec::new(),
            last_refusal: None,
            last: LastMessage::Taken,
            alive: None,
        };
        Source { status, counts: None, rate: Rate { since: at, at, weight: 0.0 } }
    }

    fn take(&mut self, observation: &Observation, identity: &Identity, outcome: &Outcome) {
        let (status, at) = (&mut self.status, observation.received_at);
        status.n_messages += 1;
        status.last_at = status.last_at.max(at);
        self.rate.count(at);
        if !Arc::ptr_eq(&status.client, &observation.client) {
            status.client = Arc::clone(&observation.client);
        }
        if status.login.as_deref() != identity.login() {
            status.login = identity.login().map(str::to_owned);
        }
        let refusals = match outcome {
            Outcome::Accepted(accepted) => {
                status.n_readings += accepted.readings.len() as u64;
                status.n_orders += accepted.orders.len() as u64;
                status.n_ignored += u64::from(accepted.ignored);
                status.last = if accepted.refusals.is_empty() { LastMessage::Taken } else { LastMessage::Partly };
                status.alive = accepted.alive.map(|alive| (alive, at)).or(status.alive);
                &accepted.refusals
            }
            Outcome::Rejected(rejected) => {
                status.n_rejected += 1;
                status.last = LastMessage::Refused;
                &rejected.refusals
            }
        };
        let Some(last) = refusals.last() else { return };
        let counts = self.counts.get_or_insert_default();
        refusals.iter().for_each(|refusal| counts[refusal.reason.index()] += 1);
        let (topic, detail) = (shortened(&observation.topic), last.detail.clone());
        self.status.last_refusal = Some(LastRefusal { at, topic, reason: last.reason, detail });
    }

    fn status(&self, now: UnixMillis) -> SourceStatus {
        let counts = self.counts.iter().flat_map(|counts| Reason::ALL.into_iter().zip(**counts));
        SourceStatus {
            refusals: counts.filter(|(_, n)| *n > 0).collect(),
            per_minute: self.rate.per_minute(now),
            ..self.status.clone()
        }
    }
}

#[cfg(test)]
mod tests;
