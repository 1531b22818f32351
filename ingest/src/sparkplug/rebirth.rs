//! When an edge node is asked for its births: reasons, back-off per node, one rate over all nodes.
//!
//! Invariants:
//! - one node is asked at most once in 5 s, and ever more seldom while it does not answer or its answers do not help;
//! - over all nodes no more than the rate of the settings leaves, however many wait;
//! - no randomness: where a node waits within the jitter follows from its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::UnixMillis;
use prost::Message as _;

use super::host::Entry;
use super::payload::{Metric, Payload, Wire};
use super::value::BOOLEAN;

/// Least time between two requests to one node: the customary value.
const APART_MS: i64 = 5_000;
/// Most time between two requests to a node that never answers: many simple clients never do.
const APART_MS_MAX: i64 = 3_600_000;
/// How far the name of a node may move its request: after a restart all nodes ask for one in the same second.
const JITTER_MS: u64 = 1_000;
/// A reason that comes back within this time of an answer shows that answers do not help.
const CALM_MS: i64 = 600_000;
/// Most requests that wait: four per node. Beyond it a request is dropped; the node's next message asks again.
const QUEUE_MAX: usize = 4 * super::host::NODES_MAX;

/// Why an edge node is asked for its births.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RebirthReason {
    /// A message of a node or device came before an NBIRTH.
    BeforeBirth,
    /// No birth defined an alias.
    UnknownAlias,
    /// A metric came by name without a datatype, and no birth lists it.
    Undescribed,
    /// The same alias stands twice in the births.
    AliasTwice,
    /// A payload could not be read.
    BadPayload,
    /// A missing `seq` did not come in time.
    ReorderTimeout,
    /// A death names another connection: the node is asked whether it lives.
    DeathMismatch,
    /// Messages go on after a death.
    DataAfterDeath,
}

impl RebirthReason {
    /// The word used on every surface, and in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            RebirthReason::BeforeBirth => "before_birth",
            RebirthReason::UnknownAlias => "unknown_alias",
            RebirthReason::Undescribed => "undescribed",
            RebirthReason::AliasTwice => "alias_twice",
            RebirthReason::BadPayload => "bad_payload",
            RebirthReason::ReorderTimeout => "reorder_timeout",
            RebirthReason::DeathMismatch => "death_mismatch",
            RebirthReason::DataAfterDeath => "data_after_death",
        }
    }

    /// Whether new births may leave it as it is: then asking again and again would never end.
    fn may_persist(self) -> bool {
        match self {
            RebirthReason::UnknownAlias
            | RebirthReason::Undescribed
            | RebirthReason::AliasTwice
            | RebirthReason::BadPayload
            | RebirthReason::DataAfterDeath => true,
            RebirthReason::BeforeBirth | RebirthReason::ReorderTimeout | RebirthReason::DeathMismatch => false,
        }
    }
}

/// What one node was asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    wanted: Option<RebirthReason>,
    /// When the queue will come to this node.
    queued_for: Option<UnixMillis>,
    last: Option<(UnixMillis, RebirthReason)>,
    /// Requests in a row without an answer that helped.
    in_vain: u32,
    open: bool,
    pub(super) n_asked: u64,
    pub(super) n_answered: u64,
}

impl Asking {
    /// Wants a rebirth; the time for the queue, unless it knows already.
    pub(super) fn want(&mut self, reason: RebirthReason, now: UnixMillis, jitter: i64) -> Option<UnixMillis> {
        self.wanted.get_or_insert(reason);
        let mut due = now;
        if let Some((at, last)) = self.last {
            let helped = !reason.may_persist() || reason != last || now >= at.plus(CALM_MS);
            if !self.open && helped {
                self.in_vain = 0;
            }
            due = due.max(at.plus(apart(self.in_vain)));
        }
        due = due.plus(jitter);
        if self.queued_for.is_some_and(|queued| queued <= due) {
            return None;
        }
        self.queued_for = Some(due);
        Some(due)
    }

    /// The queue came to this node: the reason, if it is still to be asked.
    pub(super) fn ask(&mut self, due: UnixMillis, now: UnixMillis) -> Option<RebirthReason> {
        if self.queued_for != Some(due) {
            return None;
        }
        self.queued_for = None;
        let reason = self.wanted.take()?;
        self.last = Some((now, reason));
        self.in_vain = self.in_vain.saturating_add(1);
        self.open = true;
        self.n_asked += 1;
        Some(reason)
    }

    /// An NBIRTH came.
    pub(super) fn answered(&mut self) {
        self.wanted = None;
        if std::mem::take(&mut self.open) {
            self.n_answered += 1;
        }
    }

    /// Nothing is wanted any longer, and what was in vain says nothing about the next connection.
    pub(super) fn forget(&mut self) {
        self.wanted = None;
        self.in_vain = 0;
        self.open = false;
    }
}

fn apart(in_vain: u32) -> i64 {
    let doublings = in_vain.saturating_sub(1).min(16);
    (APART_MS << doublings).min(APART_MS_MAX)
}

/// Where the node of this key waits within the jitter.
pub(super) fn jitter(key: &str) -> i64 {
    i64::try_from(xxhash_rust::xxh3::xxh3_64(key.as_bytes()) % JITTER_MS).unwrap_or(0)
}

/// Who is to be asked, in order, and how much the rate leaves.
#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<(UnixMillis, u64), Arc<Entry>>,
    serial: u64,
    /// Requests that may leave now, in thousandths.
    tokens: i64,
    filled_at: Option<UnixMillis>,
}

impl Queue {
    pub(super) fn push(&mut self, due: UnixMillis, entry: Arc<Entry>) {
        if self.waiting.len() < QUEUE_MAX {
            self.serial += 1;
            self.waiting.insert((due, self.serial), entry);
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Fills the bucket: it holds a tenth of a second's worth, at least one request.
    pub(super) fn fill(&mut self, now: UnixMillis, per_s: u32) {
        let per_s = i64::from(per_s);
        let full = (per_s * 100).max(1_000);
        let passed =
            self.filled_at.map_or(full, |at| now.0.saturating_sub(at.0).clamp(0, 60_000).saturating_mul(per_s));
        self.tokens = self.tokens.saturating_add(passed).min(full);
        self.filled_at = Some(now);
    }

    /// The next node whose turn it is and that the rate allows; `spend` if it is asked.
    pub(super) fn next(&mut self, now: UnixMillis) -> Option<(UnixMillis, Arc<Entry>)> {
        if self.tokens < 1_000 {
            return None;
        }
        let entry = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((due, _), entry) = entry.remove_entry();
        Some((due, entry))
    }

    /// A request leaves.
    pub(super) fn spend(&mut self) {
        self.tokens -= 1_000;
    }
}

/// The payload of a request: the datatype is named, because some clients read a metric without one as null and do nothing.
pub(super) fn request(now: UnixMillis) -> Vec<u8> {
    let timestamp = u64::try_from(now.0).ok();
    let metric = Metric {
        name: Some(b"Node Control/Rebirth".to_vec()),
        timestamp,
        datatype: Some(BOOLEAN),
        wire: Some(Wire::Bool(true)),
        ..Metric::default()
    };
    Payload { timestamp, metrics: vec![metric], ..Payload::default() }.encode_to_vec()
}
