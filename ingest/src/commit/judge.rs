//! Judges messages, in the order of the queue: duplicate, committed or rejected; and assembles the batch of a commit.
//!
//! Pure: no clock, no I/O. What it remembers is changed when a batch is assembled, not when it is committed; that is sound
//! because a batch that cannot be committed is either tried again as it is or ends the process.
//!
//! Invariants:
//! - of each batch, received = committed + duplicate + rejected;
//! - a message is a duplicate only of one that is committed or earlier in the same batch, so that no redelivery can be
//!   acknowledged before its original;
//! - everything remembered is bounded, and forgetting costs a statistic, never a reading.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use model::Reason;
use model::reason::RefusedPart;
use serde::{Deserialize, Serialize};
use store::{Batch, SequenceSeen};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::mailbox::{Ack, Step, Verdict};
use super::message::{Delivery, Fate, Prepared};
use super::sessions::{SessionState, Sessions};
use super::{Client, Item};

/// Committed messages remembered by hash: the number of CONTRACT section 3. An older redelivery is processed again, and
/// settles to no effect.
pub(crate) const WINDOW_MESSAGES: usize = 1 << 20;

/// Sequence numbers and timeless messages remembered, per generation. Two generations of these cost about 10 MiB; what is
/// older is not recognised, and only a count is the less for it.
const GENERATION_ENTRIES: usize = 1 << 16;

/// Longest reason sent to a client: a line of a log, not a report.
const REASON_BYTES_MAX: usize = 200;

/// Hashes of the last committed messages.
struct Window {
    order: VecDeque<u128>,
    known: HashSet<u128>,
}

impl Window {
    fn restore(hashes: Vec<u128>) -> Window {
        let mut window = Window { order: VecDeque::new(), known: HashSet::new() };
        for hash in hashes {
            window.insert(hash);
        }
        window
    }

    /// False if it is there already.
    fn insert(&mut self, hash: u128) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > WINDOW_MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// A map that forgets its older half instead of growing.
struct Generations<K, V> {
    new: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Copy> Generations<K, V> {
    fn new() -> Generations<K, V> {
        Generations { new: HashMap::new(), old: HashMap::new() }
    }

    fn get(&self, key: &K) -> Option<V> {
        self.new.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn insert(&mut self, key: K, value: V) {
        if self.new.len() >= GENERATION_ENTRIES {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(key, value);
    }

    fn remove(&mut self, key: &K) {
        if !self.new.is_empty() || !self.old.is_empty() {
            self.new.remove(key);
            self.old.remove(key);
        }
    }
}

/// What was seen of messages, whatever connection they came by.
struct Seen {
    window: Window,
    /// Hash of the last message committed under (client, packet id), if it was timeless.
    timeless: Generations<(u64, u16), u128>,
    /// Hash of the message that brought (pilot, gateway, boot, seq).
    sequences: Generations<u64, u128>,
}

/// What a message counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Became {
    Committed,
    Duplicate,
    Rejected,
}

/// See the module's comment.
pub(crate) struct Judge {
    pub(crate) sessions: Sessions,
    seen: Seen,
}

impl Judge {
    /// With what the store remembers.
    pub(crate) fn new(sessions: Sessions, hashes: Vec<u128>) -> Judge {
        let window = Window::restore(hashes);
        Judge { sessions, seen: Seen { window, timeless: Generations::new(), sequences: Generations::new() } }
    }

    /// Judges what one connection sent; returns its acknowledgements in the order of receipt.
    pub(crate) fn messages(&mut self, client: &Client, items: Vec<Item>, batch: &mut Batch) -> Vec<Ack> {
        let mut session = self.sessions.live(&client.id, client.connection);
        let mut acks = Vec::with_capacity(items.len());
        for item in items {
            let ack = match item {
                Item::Publish(message) => self.seen.publish(client, session.as_deref_mut(), *message, batch),
                Item::Release { packet_id } => release(client, session.as_deref_mut(), packet_id, batch),
                Item::Subscribe { packet_id, changes } => {
                    // Without its session the client is about to be closed: it hears nothing more.
                    session.as_deref_mut().map(|session| {
                        session.subscribe(&client.id, changes, batch);
                        Ack { packet_id, step: Step::Subscribed, verdict: Verdict::Taken }
                    })
                }
            };
            acks.extend(ack);
        }
        acks
    }

    /// Judges a message that came by no connection.
    pub(crate) fn single(&mut self, message: Prepared, batch: &mut Batch) -> Became {
        let nobody = Client { id: Arc::default(), connection: 0, key: 0 };
        let (n_duplicates, is_rejected) = (batch.counters.duplicate, matches!(message.fate, Fate::Rejected));
        self.seen.judge(&nobody, message, batch);
        match (is_rejected, batch.counters.duplicate > n_duplicates) {
            (true, _) => Became::Rejected,
            (false, true) => Became::Duplicate,
            (false, false) => Became::Committed,
        }
    }

    /// Remembers the hashes of a batch that was not judged here.
    pub(crate) fn remember(&mut self, hashes: &[u128]) {
        for &hash in hashes {
            self.seen.window.insert(hash);
        }
    }
}

impl Seen {
    fn publish(
        &mut self,
        client: &Client,
        session: Option<&mut SessionState>,
        message: Prepared,
        batch: &mut Batch,
    ) -> Option<Ack> {
        let (hash, reason) = (message.hash, message.reason());
        let Delivery::ExactlyOnce { packet_id, dup } = message.delivery else {
            return ack(message.delivery, self.judge(client, message, batch));
        };
        // Without its session (taken over, or gone) a hold would be nobody's: the client sends the message again.
        let session = session?;
        let is_redelivery = dup && session.held(packet_id) == Some(hash);
        if is_redelivery {
            batch.counters.received += 1;
            batch.counters.duplicate += 1;
            return ack(message.delivery, Verdict::Taken);
        }
        let may_hold = !(matches!(message.fate, Fate::Rejected) && reason == Reason::NotAuthorized);
        let verdict = self.judge(client, message, batch);
        if may_hold {
            session.hold(&client.id, packet_id, hash, batch);
        }
        ack(Delivery::ExactlyOnce { packet_id, dup }, verdict)
    }

    /// Counts one message and takes what is to be stored of it.
    fn judge(&mut self, client: &Client, message: Prepared, batch: &mut Batch) -> Verdict {
        batch.counters.received += 1;
        batch.counters.qos0 += u64::from(message.delivery == Delivery::AtMostOnce);
        if self.is_duplicate(client, &message, batch) {
            batch.counters.duplicate += 1;
            return Verdict::Taken;
        }
        if let Some(sequence) = &message.sequence {
            self.sequence(sequence, message.hash, batch);
        }
        let verdict = verdict(&message);
        match &message.fate {
            Fate::Accepted { .. } => accept(message, batch),
            Fate::Rejected => {
                batch.counters.rejected[message.reason().index()] += 1;
                batch.rejections.extend(message.kept.map(|kept| *kept));
            }
        }
        verdict
    }

    fn is_duplicate(&mut self, client: &Client, message: &Prepared, batch: &mut Batch) -> bool {
        let Fate::Accepted { is_timed, .. } = message.fate else { return false };
        let (packet_id, dup) = match message.delivery {
            Delivery::AtMostOnce => (None, false),
            Delivery::AtLeastOnce { packet_id, dup } | Delivery::ExactlyOnce { packet_id, dup } => {
                (Some(packet_id), dup)
            }
        };
        let under = packet_id.map(|packet_id| (client.key, packet_id));
        if is_timed {
            if let Some(under) = under {
                self.timeless.remove(&under);
            }
            let is_new = self.window.insert(message.hash);
            if is_new {
                batch.hashes.push(message.hash);
            }
            return !is_new;
        }
        let Some(under) = under else { return false };
        let is_again = dup && self.timeless.get(&under) == Some(message.hash);
        self.timeless.insert(under, message.hash);
        is_again
    }

    fn sequence(&mut self, sequence: &SequenceSeen, hash: u128, batch: &mut Batch) {
        let key = sequence_key(sequence);
        match self.sequences.get(&key) {
            Some(known) if known != hash => batch.counters.sequence_reused += 1,
            Some(_) => {}
            None => batch.sequences.push(sequence.clone()),
        }
        self.sequences.insert(key, hash);
    }
}

fn accept(message: Prepared, batch: &mut Batch) {
    let Fate::Accepted { readings, orders, .. } = message.fate else { return };
    batch.counters.committed += 1;
    batch.counters.readings += readings.len() as u64;
    batch.counters.orders += orders.len() as u64;
    batch.readings.extend(readings);
    batch.orders.extend(orders);
    batch.learned.extend(message.learned.map(|learned| *learned));
    if let Some(kept) = message.kept {
        for refusal in &kept.refusals {
            batch.counters.refused[refusal.reason.index()] += 1;
        }
        batch.rejections.push(*kept);
    }
}

fn release(client: &Client, session: Option<&mut SessionState>, packet_id: u16, batch: &mut Batch) -> Option<Ack> {
    let was_held = session?.release(&client.id, packet_id, batch);
    let step = if was_held { Step::Pubcomp } else { Step::PubcompNotFound };
    Some(Ack { packet_id, step, verdict: Verdict::Taken })
}

fn ack(delivery: Delivery, verdict: Verdict) -> Option<Ack> {
    match delivery {
        Delivery::AtMostOnce if matches!(verdict, Verdict::NotAuthorized(_)) => {
            Some(Ack { packet_id: 0, step: Step::Nothing, verdict })
        }
        Delivery::AtMostOnce => None,
        Delivery::AtLeastOnce { packet_id, .. } => Some(Ack { packet_id, step: Step::Puback, verdict }),
        Delivery::ExactlyOnce { packet_id, .. } => Some(Ack { packet_id, step: Step::Pubrec, verdict }),
    }
}

fn verdict(message: &Prepared) -> Verdict {
    let Some(refusal) = message.refusals().first() else { return Verdict::Taken };
    let part = match refusal.part {
        RefusedPart::Message => String::new(),
        RefusedPart::Reading(index) => format!(" in readings[{index}]"),
        RefusedPart::Order(index) => format!(" in orders[{index}]"),
    };
    let text = sentence(&format!("{}{part}: {}", refusal.reason.as_str(), refusal.detail));
    match (&message.fate, refusal.reason) {
        (Fate::Rejected, Reason::NotAuthorized) => Verdict::NotAuthorized(text),
        _ => Verdict::Refused(text),
    }
}

/// A text fit for a reason string: short, and without control characters.
fn sentence(text: &str) -> Box<str> {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>().into()
}

fn sequence_key(sequence: &SequenceSeen) -> u64 {
    let pilot = xxh3_64_with_seed(sequence.pilot.as_str().as_bytes(), sequence.boot);
    let gateway = xxh3_64_with_seed(sequence.gateway.as_str().as_bytes(), pilot);
    xxh3_64_with_seed(&sequence.seq.to_le_bytes(), gateway)
}
