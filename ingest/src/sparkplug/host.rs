//! All edge nodes that were heard, and what is due to them.
//!
//! Locks: the map is read by every message and written by the first of a node; each node has its own; the agenda (who is asked
//! when, what was lost) is taken after a node was let go, never while one is held.
//!
//! Invariants:
//! - nodes, waiting requests and spans that nobody fetched are bounded;
//! - a node beyond the bound is heard without memory: its values that name and type themselves are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bumpalo::Bump;
use model::{PilotId, Reason, UnixMillis};

use super::adjust::adjust;
use super::node::{Effects, Heard, Node};
use super::payload::{self, Opened};
use super::readings::{aside, joined};
use super::rebirth::{self, Queue};
use super::sequence::Lost;
use super::status::{Clock, NodeStatus};
use super::topic::{self, From, Topic};
use super::{Command, Due, Loss, Received, Settings};
use crate::decode::{Message, Undecodable};

/// Most edge nodes: a large programme has some thousand. The next one is heard without memory: no aliases, no gaps.
pub(super) const NODES_MAX: usize = 20_000;
/// Most spans that wait for `due`: a second's worth of every node. Beyond it the oldest are dropped; the node's count keeps them.
const LOSSES_MAX: usize = 20_000;
/// Most points in time at which nodes are looked at: four a node. Beyond it a gap is closed by the node's next message only.
const WAKES_MAX: usize = 4 * NODES_MAX;

/// One edge node, by whom and where it was heard.
pub(super) struct Entry {
    door: Arc<str>,
    pilot: PilotId,
    group: Box<str>,
    edge: Box<str>,
    jitter: i64,
    node: Mutex<Node>,
}

/// Every edge node that was heard, by door, pilot, group and edge node.
pub struct Host {
    settings: Settings,
    /// By group, edge node, pilot and door, in this order: a kept message does not say which door it came by.
    entries: RwLock<BTreeMap<Box<str>, Arc<Entry>>>,
    agenda: Mutex<Agenda>,
    /// Nodes whose births define what messages before them may have needed.
    births: Mutex<BTreeSet<(PilotId, String)>>,
    generation: AtomicU64,
}

#[derive(Default)]
struct Agenda {
    queue: Queue,
    wakes: BTreeMap<(UnixMillis, u64), Arc<Entry>>,
    serial: u64,
    losses: Vec<Loss>,
}

impl Entry {
    fn new(received: &Received<'_>, from: &From<'_>, key: &str) -> Entry {
        Entry {
            door: Arc::clone(received.door),
            pilot: received.pilot.clone(),
            group: from.group.into(),
            edge: from.edge.into(),
            jitter: rebirth::jitter(key),
            node: Mutex::new(Node::new()),
        }
    }

    fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asset(&self) -> String {
        format!("{}/{}", self.group, self.edge)
    }

    fn command(&self, now: UnixMillis) -> Command {
        Command {
            door: Arc::clone(&self.door),
            pilot: Some(self.pilot.clone()),
            topic: format!("spBv1.0/{}/NCMD/{}", self.group, self.edge),
            payload: rebirth::request(now),
        }
    }

    fn loss(&self, lost: Lost) -> Loss {
        let Lost { from, to, n_lost } = lost;
        Loss { pilot: self.pilot.clone(), asset: self.asset(), from, to, n_lost }
    }

    fn status(&self) -> NodeStatus {
        let node = self.node();
        NodeStatus {
            door: Arc::clone(&self.door),
            pilot: self.pilot.clone(),
            group: self.group.clone(),
            edge: self.edge.clone(),
            state: node.state,
            since: node.since,
            clock: Clock::Ours,
            bd_seq: node.bd_seq(),
            devices: node.devices(),
            n_metrics: node.n_metrics(),
            n_messages: node.n_messages,
            n_gaps: node.n_gaps,
            n_lost: node.n_lost,
            deviations: node.deviations.list(),
            n_rebirths_asked: node.asking.n_asked,
            n_rebirths_answered: node.asking.n_answered,
            last_at: node.last_at,
        }
    }
}

impl Host {
    /// Nothing heard yet.
    pub fn new(settings: Settings) -> Host {
        Host {
            settings,
            entries: RwLock::default(),
            agenda: Mutex::default(),
            births: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// A live message: moves the edge node's state machine and gives its values.
    ///
    /// # Errors
    /// `bad_topic`, `bad_payload`, `too_large` (compressed) or `too_many_values`, for the message as a whole.
    pub fn receive<'a>(&self, received: Received<'a>, arena: &'a Bump) -> Result<Message<'a>, Undecodable> {
        let from = match topic::parse(received.topic).map_err(bad_topic)? {
            Topic::Edge(from) => from,
            Topic::State => return Ok(aside("STATE", None, None, 0)),
            Topic::Command => return Ok(aside("NCMD", None, None, 0)),
        };
        let key = key(&received, &from, arena);
        let entry = self.entry(&received, &from, key);
        let opened = opened(&received, &from);
        let Received { received_at, retained, .. } = received;
        let (result, effects) = match &opened {
            Ok(opened) => {
                let heard = self.heard(from, opened, received_at, entry.jitter);
                let mut node = entry.node();
                let (message, effects) = match retained {
                    true => (node.hear_retained(heard, arena), Effects::default()),
                    false => node.hear(heard, arena),
                };
                (Ok(message), effects)
            }
            Err(undecodable) => {
                let effects = match undecodable.reason == Reason::BadPayload && !retained {
                    true => entry.node().malformed(received_at, entry.jitter, &self.settings),
                    false => Effects::default(),
                };
                (Err(undecodable.clone()), effects)
            }
        };
        self.note(&entry, effects);
        result
    }

    /// A kept message once more: moves nothing. Aliases are those of the births in force, if the message is not older than
    /// they are.
    ///
    /// # Errors
    /// As [`Host::receive`].
    pub fn again<'a>(&self, received: Received<'a>, arena: &'a Bump) -> Result<Message<'a>, Undecodable> {
        let from = match topic::parse(received.topic).map_err(bad_topic)? {
            Topic::Edge(from) => from,
            Topic::State => return Ok(aside("STATE", None, None, 0)),
            Topic::Command => return Ok(aside("NCMD", None, None, 0)),
        };
        let opened = opened(&received, &from)?;
        let of_node = joined(&[from.group, "/", from.edge, "/", received.pilot.as_str(), "/"], arena);
        let heard = self.heard(from, &opened, received.received_at, 0);
        // A node that moved to another door has births at both: those of the latest run that the message can be of count.
        let known = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let behind = entries.range::<str, _>((Bound::Included(of_node), Bound::Unbounded));
            let of_doors = behind.take_while(|(key, _)| key.starts_with(of_node)).map(|(_, entry)| entry);
            of_doors.max_by_key(|entry| entry.node().births_since(&heard)).map(Arc::clone)
        };
        Ok(match known {
            Some(entry) => entry.node().again(heard, arena),
            None => Node::new().again(heard, arena),
        })
    }

    fn heard<'h>(&'h self, from: From<'h>, opened: &'h Opened, received_at: UnixMillis, jitter: i64) -> Heard<'h> {
        Heard { from, opened, received_at, settings: &self.settings, jitter }
    }

    /// The node of this key; one without memory if there are too many.
    fn entry(&self, received: &Received<'_>, from: &From<'_>, key: &str) -> Arc<Entry> {
        if let Some(entry) = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Arc::clone(entry);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(key) {
            return Arc::clone(entry);
        }
        let entry = Arc::new(Entry::new(received, from, key));
        if entries.len() < NODES_MAX {
            entries.insert(key.into(), Arc::clone(&entry));
        }
        entry
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts on the agenda what follows from a message or from time.
    fn note(&self, entry: &Arc<Entry>, effects: Effects) {
        let Effects { lost, ask_at, wake_at, defines } = effects;
        if defines {
            let mut births = self.births.lock().unwrap_or_else(PoisonError::into_inner);
            // Nodes beyond the bound have no births to read by; made-up ones must not gather here.
            if births.len() < NODES_MAX {
                births.insert((entry.pilot.clone(), entry.asset()));
            }
            self.generation.fetch_add(1, Ordering::Release);
        }
        if lost.is_empty() && ask_at.is_none() && wake_at.is_none() {
            return;
        }
        let mut agenda = self.agenda();
        let room = LOSSES_MAX.saturating_sub(agenda.losses.len());
        agenda.losses.extend(lost.into_iter().take(room).map(|lost| entry.loss(lost)));
        if let Some(due) = ask_at {
            agenda.queue.push(due, Arc::clone(entry));
        }
        if let Some(due) = wake_at.filter(|_| agenda.wakes.len() < WAKES_MAX) {
            agenda.serial += 1;
            let serial = agenda.serial;
            agenda.wakes.insert((due, serial), Arc::clone(entry));
        }
    }

    /// What is due by `now`: called every 100 ms.
    pub fn due(&self, now: UnixMillis) -> Due {
        self.wake(now);
        let commands = self.ask(now);
        let losses = std::mem::take(&mut self.agenda().losses);
        Due { commands, losses }
    }

    /// Looks at every node whose time has come.
    fn wake(&self, now: UnixMillis) {
        loop {
            let first = {
                let mut agenda = self.agenda();
                let first = agenda.wakes.first_entry().filter(|first| first.key().0 <= now);
                first.map(std::collections::btree_map::OccupiedEntry::remove_entry)
            };
            let Some(((woken, _), entry)) = first else { return };
            let effects = entry.node().wake(woken, (now, entry.jitter, &self.settings));
            self.note(&entry, effects);
        }
    }

    /// The requests that may leave now.
    fn ask(&self, now: UnixMillis) -> Vec<Command> {
        let mut commands = Vec::new();
        self.agenda().queue.fill(now, self.settings.rebirths_per_s);
        loop {
            let Some((due, entry)) = self.agenda().queue.next(now) else { return commands };
            let asked = entry.node().asking.ask(due, now);
            if asked.is_some() {
                self.agenda().queue.spend();
                commands.push(entry.command(now));
            }
        }
    }

    /// How much waits for its time.
    #[cfg(test)]
    pub(super) fn n_due(&self) -> usize {
        let agenda = self.agenda();
        agenda.queue.len() + agenda.wakes.len() + agenda.losses.len()
    }

    /// The link to a broker is lost: everything known through it becomes stale.
    pub fn link_lost(&self, door: &str, now: UnixMillis) {
        for entry in self.all().iter().filter(|entry| &*entry.door == door) {
            entry.node().link_lost(now);
        }
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Every edge node, sorted by door, pilot, group and edge node.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let mut all = self.all();
        all.sort_by(|a, b| (&a.door, &a.pilot, &a.group, &a.edge).cmp(&(&b.door, &b.pilot, &b.group, &b.edge)));
        all.iter().map(|entry| entry.status()).collect()
    }

    /// Rises with every birth that may heal what was refused for want of it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The edge nodes (pilot, `group/edge`) whose births defined something since the last call, sorted: what was refused as
    /// `unknown_alias` may be readable now.
    pub fn birthed(&self) -> Vec<(PilotId, String)> {
        let births = std::mem::take(&mut *self.births.lock().unwrap_or_else(PoisonError::into_inner));
        births.into_iter().collect()
    }

    /// The topic of our own STATE: of the Will, the birth and the death alike.
    pub fn state_topic(&self) -> String {
        format!("spBv1.0/STATE/{}", self.settings.host_id)
    }

    /// The payload of the STATE birth. `at` is that of the Will of the same connection.
    pub fn birth_payload(&self, at: UnixMillis) -> Vec<u8> {
        format!("{{\"online\":true,\"timestamp\":{}}}", at.0).into_bytes()
    }

    /// The payload of the Will (`at`: now, at every CONNECT) and of the death at a stop (`at`: the time of the stop).
    pub fn death_payload(&self, at: UnixMillis) -> Vec<u8> {
        format!("{{\"online\":false,\"timestamp\":{}}}", at.0).into_bytes()
    }
}

/// The ids of a topic hold no `/`, a pilot's neither, so that no two nodes share a key.
fn key<'a>(received: &Received<'_>, from: &From<'_>, arena: &'a Bump) -> &'a str {
    joined(&[from.group, "/", from.edge, "/", received.pilot.as_str(), "/", received.door], arena)
}

/// The payload, taken apart and adjusted.
fn opened(received: &Received<'_>, from: &From<'_>) -> Result<Opened, Undecodable> {
    let mut opened = payload::open(received.payload)?;
    adjust(&mut opened.payload, from, received.mappings);
    Ok(opened)
}

fn bad_topic(detail: String) -> Undecodable {
    Undecodable { reason: Reason::BadTopic, detail, sequence: None }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("settings", &self.settings).finish_non_exhaustive()
    }
}
