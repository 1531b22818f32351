//! The words of the store that the other crates use: commits and what is in them, rejections, sessions, orders, logins.
//!
//! Plain data, no I/O. What acts on it is on `Store`, `Journal` and `WriteTx`.

use std::sync::Arc;

use model::reason::{N_REASONS, Reason, Refusal};
use model::{GatewayId, OrderEvent, PilotId, Quality, Reading, SeriesId, SeriesKey, UnixMillis, Value};
use serde::{Deserialize, Serialize};

/// Number of a commit, from 1, without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct CommitNo(pub u64);

/// How a process opens the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Takes the lock; may write.
    Owner,
    /// Beside a running owner; reads only.
    Reader,
}

/// Whether the registry knows a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Registration {
    Registered,
    /// Kept as sent: in this unit (as text), in no rollup.
    Unregistered {
        unit: Option<Arc<str>>,
    },
}

/// A series the store has a number for. `(key, registration)` is unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    pub id: SeriesId,
    pub key: SeriesKey,
    pub registration: Registration,
}

/// Counts of all time, in messages unless said otherwise. In a [`Batch`] they are what this commit adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub received: u64,
    pub committed: u64,
    pub duplicate: u64,
    /// By [`Reason::index`].
    #[serde(with = "crate::counts")]
    pub rejected: [u64; N_REASONS],
    /// In readings and order events, inside committed messages, by [`Reason::index`].
    #[serde(with = "crate::counts")]
    pub refused: [u64; N_REASONS],
    /// Readings and order events accepted (unregistered ones included).
    pub readings: u64,
    pub orders: u64,
    /// Same (gateway, boot, seq) with other bytes.
    pub sequence_reused: u64,
    /// QoS 0 messages among `received`.
    pub qos0: u64,
}

/// A message refused for its content (or its topic), with its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectedMessage {
    pub at: UnixMillis,
    pub topic: String,
    pub pilot: Option<PilotId>,
    pub login: Option<String>,
    /// The payload, or its first 4 KiB if `not_authorized`.
    pub bytes: Vec<u8>,
    /// Whole size of the payload.
    pub size: u64,
    /// Hash of topic and payload.
    pub hash: u128,
    /// Whether the message as a whole was rejected, or committed with refused parts.
    pub whole: WholeOrParts,
    pub refusals: Vec<Refusal>,
    /// Topic-level facts that replay needs: retained messages and QoS.
    pub retained: bool,
}

/// Whether a message was rejected whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WholeOrParts {
    Whole,
    Parts,
}

/// A rejection as the store lists it.
#[allow(
    clippy::struct_excessive_bools,
    reason = "two facts of one row that do not exclude each other, as the API prints them"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectionRow {
    pub id: i64,
    pub message: RejectedMessage,
    /// How often the very same rejection came.
    pub times: u64,
    pub last_at: UnixMillis,
    /// False once the bound was reached: hash, size, reason and count remain.
    pub has_bytes: bool,
    pub replayed: bool,
}

/// A persistent MQTT session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub client_id: String,
    pub login: Option<String>,
    /// Seconds after the disconnect; `u32::MAX` = never expires.
    pub expiry_s: u32,
    pub subscriptions: Vec<(String, u8)>,
    pub last_seen: UnixMillis,
}

/// A change of the session table, part of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionChange {
    Put(Session),
    Remove { client_id: String },
}

/// A QoS 2 packet id between PUBREC and PUBREL, part of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldChange {
    Hold {
        client_id: String,
        packet_id: u16,
        hash: u128,
    },
    Release {
        client_id: String,
        packet_id: u16,
    },
    /// The session is gone: all its held ids are.
    ReleaseAll {
        client_id: String,
    },
}

/// A `(boot, seq)` of a gateway that a commit holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceSeen {
    pub pilot: PilotId,
    pub gateway: GatewayId,
    pub boot: u64,
    pub seq: u64,
}

/// What is known of one boot of a gateway: the seq ranges that are committed, merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceRanges {
    pub pilot: PilotId,
    pub gateway: GatewayId,
    pub boot: u64,
    /// Disjoint, ascending, both ends included; bounded: the oldest ranges are merged beyond 1,000.
    pub ranges: Vec<(u64, u64)>,
}

/// Everything of one commit. It becomes one checksummed journal row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub readings: Vec<(SeriesId, Reading)>,
    pub orders: Vec<(PilotId, OrderEvent)>,
    pub rejections: Vec<RejectedMessage>,
    pub counters: Counters,
    /// Hashes of the committed messages that may count as duplicates later.
    pub hashes: Vec<u128>,
    pub sessions: Vec<SessionChange>,
    pub held: Vec<HeldChange>,
    pub sequences: Vec<SequenceSeen>,
    /// Kept rejections whose bytes this commit took again, wholly or in part; their readings are among `readings`.
    pub replayed: Vec<Replayed>,
    /// Spans of edge nodes of which messages are lost for good.
    pub outages: Vec<Outage>,
    /// Messages that teach a dictionary: read again at the next start.
    pub learned: Vec<LearnedMessage>,
}

/// A span `(from, to)` of a source of which messages were lost: its series cover no time there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Outage {
    pub pilot: PilotId,
    /// The source's asset; those below it (`asset/…`) are meant as well.
    pub asset: String,
    pub from: UnixMillis,
    pub to: UnixMillis,
    pub n_lost: u32,
}

impl Outage {
    /// Whether it is one of this asset's series.
    pub fn meets(&self, asset: &str) -> bool {
        asset.strip_prefix(self.asset.as_str()).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// A message whose bytes teach a dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedMessage {
    pub pilot: PilotId,
    pub topic: String,
    pub payload: Vec<u8>,
    pub at: UnixMillis,
}

/// A kept rejection that was replayed. In the same commit as its readings, so that nothing counts twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// [`RejectionRow::id`].
    pub rejection: i64,
    /// Refusals that no longer hold. Of a message rejected whole: all of it moves, `rejected` − times, `committed` + times.
    /// Of refused parts: `refused` is lowered by these, the message counts stay.
    pub mended: Vec<Refusal>,
    /// Refusals that remain; empty marks the row as replayed.
    pub remaining: Vec<Refusal>,
}

/// A conflict: two different values of one identity; `stands` is what counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConflictRow {
    pub series: SeriesId,
    pub stands: Reading,
    pub lost: Reading,
}

/// What a correction says of a reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// It is this, in the series' declared unit, multiplier not applied; no value only with quality bad. Where nothing was
    /// sent it adds a reading.
    Set { value: Option<Value>, quality: Quality },
    /// It counts as if it had never been sent: no value, no neighbour, no end of a span.
    Void,
    /// No correction stands any more: what was sent does.
    Withdraw,
}

/// A correction to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCorrection {
    /// A registered series.
    pub entry: CatalogueEntry,
    pub at: UnixMillis,
    pub id: Option<Arc<str>>,
    pub change: Change,
    pub author: Arc<str>,
    pub reason: Arc<str>,
    pub made_at: UnixMillis,
}

/// A correction as the store keeps it, for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// From 1, without holes, in the order in which corrections were made.
    pub number: i64,
    pub series: SeriesId,
    pub at: UnixMillis,
    pub id: Option<Arc<str>>,
    pub change: Change,
    pub author: Arc<str>,
    pub reason: Arc<str>,
    pub made_at: UnixMillis,
    /// What stood when it was made: what was sent until then, or an earlier correction.
    pub was: Option<Reading>,
    /// The next correction of the same reading; without one this stands.
    pub superseded_by: Option<i64>,
}

/// What became of a [`NewCorrection`].
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    New(Correction),
    /// The correction that stands says the same, by the same author and for the same reason.
    Already(Correction),
}

impl Made {
    /// The correction that stands now.
    pub fn correction(&self) -> &Correction {
        match self {
            Made::New(correction) | Made::Already(correction) => correction,
        }
    }
}

/// A correction that stands, and what was sent at its identity up to now.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    pub correction: Correction,
    pub sent: Option<Reading>,
}

/// The standing events of one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub order: Arc<str>,
    /// `-` if no event names one.
    pub product: Arc<str>,
    pub released: Option<UnixMillis>,
    pub started: Option<UnixMillis>,
    pub completed: Option<UnixMillis>,
    pub cancelled: Option<UnixMillis>,
    pub quantity: Option<f64>,
    pub good: Option<f64>,
    pub defective: Option<f64>,
}

/// A span of a series that settling changed: first to last new or changed instant, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub row: i64,
    pub series: SeriesId,
    pub from: UnixMillis,
    pub to: UnixMillis,
    /// What touched it: 0 = readings or outages that came in; else what the aggregator wrote down.
    pub why: u8,
}

impl Touched {
    /// `why` of a correction: the aggregator's reason of that name.
    pub const CORRECTION: u8 = 0x82;
}

/// One entry of a scope's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// 1, 2, … without holes within a scope.
    pub entry: u32,
    pub cut_at: UnixMillis,
    pub bytes: Vec<u8>,
}

/// A login of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub name: String,
    pub pilot: PilotId,
    pub gateway: Option<GatewayId>,
    pub secret: Secret,
}

/// How a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secret {
    /// SHA-256 of a generated secret of at least 128 bits.
    Sha256([u8; 32]),
    /// argon2id, in PHC form, of a password chosen by a person.
    Argon2(String),
    /// No secret: a client certificate with this subject.
    Certificate(String),
}

/// A token of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub name: String,
    /// `operator`, `programme`, `region:R`, `sector:S`, `pilot:ID`.
    pub scope: String,
    pub sha256: [u8; 32],
    pub created: UnixMillis,
    pub expires: Option<UnixMillis>,
}

/// A file whose rows were brought in: the evidence behind readings that never came over MQTT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Import {
    pub pilot: PilotId,
    /// When it began.
    pub at: UnixMillis,
    /// The file's name, without its folders.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    pub author: String,
    /// Where the numbers come from: the ERP, the meter book, the bills of a supplier.
    pub source: String,
    /// Where the evidence lies that the file was made from.
    pub evidence: Option<String>,
    /// False while it runs, and for ever if it was broken off: what it committed stands.
    pub is_complete: bool,
    pub counts: ImportCounts,
    /// First and last instant of what was accepted.
    pub span: Option<(UnixMillis, UnixMillis)>,
    /// `asset/name` or `asset/name@product` of each series that it brought readings of, and `orders`.
    pub series: Vec<String>,
}

/// What became of the rows of an import, in readings and order events unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCounts {
    /// Rows of the file that held any.
    pub rows: u64,
    /// Not there before.
    pub new: u64,
    /// There already with the same value.
    pub standing: u64,
    /// There already with another value: the greater stands.
    pub conflicting: u64,
    pub refused: u64,
    /// Messages that they were committed in, or that were duplicates, or rejected whole.
    pub committed: u64,
    pub duplicate: u64,
    pub rejected: u64,
}

/// One thing that `check --data` found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub place: String,
    pub text: String,
}

/// Which readings count in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Any,
    Usable,
}

/// The reasons' names with their counts, for status and metrics.
pub fn by_reason(counts: &[u64; N_REASONS]) -> impl Iterator<Item = (Reason, u64)> + '_ {
    Reason::ALL.into_iter().map(|reason| (reason, counts[reason.index()]))
}

impl Counters {
    /// Adds what another commit counted.
    pub fn add(&mut self, other: &Counters) {
        self.received += other.received;
        self.committed += other.committed;
        self.duplicate += other.duplicate;
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            *mine += theirs;
        }
        self.readings += other.readings;
        self.orders += other.orders;
        self.sequence_reused += other.sequence_reused;
        self.qos0 += other.qos0;
    }
}
