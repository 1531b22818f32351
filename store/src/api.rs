//! What the other crates see of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::reason::{Reason, Refusal};
use model::{GatewayId, OrderEvent, PilotId, Reading, SeriesId, SeriesKey, UnixMillis};
use serde::{Deserialize, Serialize};

/// Number of a commit, from 1, without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct CommitNo(pub u64);

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("data directory `{dir}` is in use by {owner}; stop it, or use another --data")]
    Locked { dir: PathBuf, owner: String },
    // … one variant per step; the store's author adds them.
}

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
    Unregistered { unit: Option<Arc<str>> },
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
    pub rejected: [u64; 20],
    /// In readings and order events, inside committed messages, by [`Reason::index`].
    pub refused: [u64; 20],
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
    Hold { client_id: String, packet_id: u16, hash: u128 },
    Release { client_id: String, packet_id: u16 },
    /// The session is gone: all its held ids are.
    ReleaseAll { client_id: String },
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

/// One thing that `check --data` found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub place: String,
    pub text: String,
}

/// The store: shared by all threads of the owner. Cheap to clone behind `Arc`.
pub struct Store {
    _dir: PathBuf,
}

/// The journal's only writer, owned by the committer thread.
pub struct Journal {
    _store: Arc<Store>,
}

/// A write transaction on `store.sqlite` (at most 50 ms of work). Dropped without commit on error.
pub struct WriteTx<'a> {
    _store: &'a Store,
}

impl Store {
    /// Opens or creates the data directory; as owner takes the lock, reads back `synchronous`, loads catalogue and tail.
    ///
    /// # Errors
    /// Names the directory and the owner if it is locked, the file and the step otherwise.
    pub fn open(dir: &Path, access: Access) -> Result<Arc<Store>, StoreError> {
        let _ = access;
        Ok(Arc::new(Store { _dir: dir.to_owned() }))
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        unimplemented!()
    }

    // ---- catalogue: any thread

    /// The number of a series, given one if it is new. New numbers travel in the next commit.
    pub fn intern(&self, key: &SeriesKey, registration: &Registration) -> SeriesId {
        let _ = (key, registration);
        unimplemented!()
    }

    /// The number of a series if it has one.
    pub fn lookup(&self, key: &SeriesKey, registration: &Registration) -> Option<SeriesId> {
        let _ = (key, registration);
        unimplemented!()
    }

    /// Every series of a pilot, by number.
    pub fn catalogue_of(&self, pilot: &PilotId) -> Vec<CatalogueEntry> {
        let _ = pilot;
        unimplemented!()
    }

    /// One series.
    pub fn entry(&self, id: SeriesId) -> Option<CatalogueEntry> {
        let _ = id;
        unimplemented!()
    }

    /// How many unregistered series a pilot has.
    pub fn n_unregistered(&self, pilot: &PilotId) -> usize {
        let _ = pilot;
        unimplemented!()
    }

    // ---- commit

    /// The journal's writer; may be taken once.
    ///
    /// # Errors
    /// If it was taken, or the file cannot be opened for writing.
    pub fn journal(self: &Arc<Store>) -> Result<Journal, StoreError> {
        unimplemented!()
    }

    /// The last commit.
    pub fn last_commit(&self) -> CommitNo {
        unimplemented!()
    }

    /// Counters of all time, settled and not.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }

    /// Hashes of the last 2^20 committed messages, oldest first, for the duplicate window.
    ///
    /// # Errors
    /// On reading.
    pub fn recent_hashes(&self) -> Result<Vec<u128>, StoreError> {
        unimplemented!()
    }

    /// Sessions as committed.
    ///
    /// # Errors
    /// On reading.
    pub fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        unimplemented!()
    }

    /// QoS 2 ids as committed: (client, packet id, hash).
    ///
    /// # Errors
    /// On reading.
    pub fn held(&self) -> Result<Vec<(String, u16, u128)>, StoreError> {
        unimplemented!()
    }

    /// Committed seq ranges of every gateway boot.
    ///
    /// # Errors
    /// On reading.
    pub fn sequences(&self) -> Result<Vec<SequenceRanges>, StoreError> {
        unimplemented!()
    }

    // ---- settle

    /// Starts the settling thread; it stops when the returned guard is dropped.
    pub fn start_settling(self: &Arc<Store>) -> SettleGuard {
        unimplemented!()
    }

    /// Settles everything committed so far, on this thread (for tests, tools and shutdown).
    ///
    /// # Errors
    /// On reading the journal or writing the store.
    pub fn settle_now(&self) -> Result<CommitNo, StoreError> {
        unimplemented!()
    }

    /// The last commit that is settled.
    pub fn settled_through(&self) -> CommitNo {
        unimplemented!()
    }

    /// Asks for settling now and waits until `commit` is settled; false on time-out.
    pub fn wait_settled(&self, commit: CommitNo, timeout: Duration) -> bool {
        let _ = (commit, timeout);
        unimplemented!()
    }

    /// Waits until something is settled beyond `seen`, or the time is out; returns what is settled.
    pub fn wait_for_more(&self, seen: CommitNo, timeout: Duration) -> CommitNo {
        let _ = (seen, timeout);
        unimplemented!()
    }

    /// When the oldest commit after `after` was committed; none if there is none.
    pub fn oldest_commit_after(&self, after: CommitNo) -> Option<UnixMillis> {
        let _ = after;
        unimplemented!()
    }

    // ---- settled data

    /// Readings of `[from, to)` in order of (at, id).
    ///
    /// # Errors
    /// On reading, or if a chunk's checksum is wrong.
    pub fn readings(&self, series: SeriesId, from: UnixMillis, to: UnixMillis) -> Result<Vec<Reading>, StoreError> {
        let _ = (series, from, to);
        unimplemented!()
    }

    /// The last reading strictly before `at` that is usable (`usable`) or of any quality.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn last_before(&self, series: SeriesId, at: UnixMillis, which: Which) -> Result<Option<Reading>, StoreError> {
        let _ = (series, at, which);
        unimplemented!()
    }

    /// The first reading strictly after `at`.
    ///
    /// # Errors
    /// As [`Store::readings`].
    pub fn first_after(&self, series: SeriesId, at: UnixMillis, which: Which) -> Result<Option<Reading>, StoreError> {
        let _ = (series, at, which);
        unimplemented!()
    }

    /// First and last instant of a series.
    ///
    /// # Errors
    /// On reading.
    pub fn span(&self, series: SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        let _ = series;
        unimplemented!()
    }

    /// Conflicts of a series (all if none is named), newest last.
    ///
    /// # Errors
    /// On reading.
    pub fn conflicts(&self, series: Option<SeriesId>) -> Result<Vec<ConflictRow>, StoreError> {
        let _ = series;
        unimplemented!()
    }

    /// Orders of a pilot, by order id.
    ///
    /// # Errors
    /// On reading.
    pub fn orders(&self, pilot: &PilotId) -> Result<Vec<Order>, StoreError> {
        let _ = pilot;
        unimplemented!()
    }

    /// The latest `at` of any accepted reading or order event of a pilot: the data cut-off.
    ///
    /// # Errors
    /// On reading.
    pub fn data_cutoff(&self, pilot: &PilotId) -> Result<Option<UnixMillis>, StoreError> {
        let _ = pilot;
        unimplemented!()
    }

    /// Rejections with `last_at ≥ since`, ascending by id, from after `after_id`, at most `limit`.
    ///
    /// # Errors
    /// On reading.
    pub fn rejections(&self, since: UnixMillis, after_id: i64, limit: usize) -> Result<Vec<RejectionRow>, StoreError> {
        let _ = (since, after_id, limit);
        unimplemented!()
    }

    // ---- the aggregator's tables

    /// Spans touched by settling and not yet rolled up, oldest first.
    ///
    /// # Errors
    /// On reading.
    pub fn touched(&self, limit: usize) -> Result<Vec<Touched>, StoreError> {
        let _ = limit;
        unimplemented!()
    }

    /// Pilots whose orders settling changed, with the row to delete once they are figured.
    ///
    /// # Errors
    /// On reading.
    pub fn touched_orders(&self) -> Result<Vec<(i64, PilotId)>, StoreError> {
        unimplemented!()
    }

    /// Rollup blobs of a series for UTC months in `[from, to]` (months as `year*12 + month − 1`).
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn rollups(&self, series: SeriesId, from: i32, to: i32) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let _ = (series, from, to);
        unimplemented!()
    }

    /// The month-sums blob of a series.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn month_sums(&self, series: SeriesId) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = series;
        unimplemented!()
    }

    /// The figures blob of a scope and indicator.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn figures(&self, scope: &str, indicator: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = (scope, indicator);
        unimplemented!()
    }

    /// A small named value (accepted registry texts, marks of the aggregator).
    ///
    /// # Errors
    /// On reading.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = key;
        unimplemented!()
    }

    /// One write transaction; committed if `work` succeeds.
    ///
    /// # Errors
    /// What `work` returned, or the commit's own.
    pub fn write<T>(&self, work: impl FnOnce(&WriteTx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(&WriteTx { _store: self })
    }

    // ---- access

    /// All logins.
    ///
    /// # Errors
    /// On reading.
    pub fn logins(&self) -> Result<Vec<Login>, StoreError> {
        unimplemented!()
    }

    /// All tokens.
    ///
    /// # Errors
    /// On reading.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        unimplemented!()
    }

    // ---- operations

    /// Reads every blob of both files and checks its checksum; works beside a running owner.
    ///
    /// # Errors
    /// Only if a file cannot be opened at all; damage is returned, not raised.
    pub fn check(dir: &Path) -> Result<Vec<Damage>, StoreError> {
        let _ = dir;
        unimplemented!()
    }

    /// Bytes of rejected messages kept, and the bound.
    pub fn rejection_bytes(&self) -> (u64, u64) {
        unimplemented!()
    }
}

/// Which readings count in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Any,
    Usable,
}

/// Stops the settling thread when dropped (after a last round).
pub struct SettleGuard {
    _private: (),
}

impl Journal {
    /// Writes the batch as one row and fsyncs it. After an error the journal takes nothing more.
    ///
    /// # Errors
    /// On writing; `is_disk_full` tells a full disk (may be tried again) from a poisoned journal.
    pub fn commit(&mut self, at: UnixMillis, batch: &Batch) -> Result<CommitNo, StoreError> {
        let _ = (at, batch);
        unimplemented!()
    }

    /// Deletes a bounded number of settled rows; call it between two commits and when idle.
    ///
    /// # Errors
    /// On writing.
    pub fn trim(&mut self) -> Result<(), StoreError> {
        unimplemented!()
    }
}

impl StoreError {
    /// Whether the disk is full: stop reading, keep answering, try again.
    pub fn is_disk_full(&self) -> bool {
        false
    }
}

impl WriteTx<'_> {
    pub fn put_rollup(&self, series: SeriesId, month: i32, blob: &[u8]) -> Result<(), StoreError> {
        let _ = (series, month, blob);
        unimplemented!()
    }
    pub fn put_month_sums(&self, series: SeriesId, blob: &[u8]) -> Result<(), StoreError> {
        let _ = (series, blob);
        unimplemented!()
    }
    pub fn put_figures(&self, scope: &str, indicator: &str, blob: &[u8]) -> Result<(), StoreError> {
        let _ = (scope, indicator, blob);
        unimplemented!()
    }
    /// Marks a span of a series as touched (a registry change).
    pub fn touch(&self, series: SeriesId, from: UnixMillis, to: UnixMillis) -> Result<(), StoreError> {
        let _ = (series, from, to);
        unimplemented!()
    }
    pub fn untouch(&self, rows: &[i64]) -> Result<(), StoreError> {
        let _ = rows;
        unimplemented!()
    }
    pub fn untouch_orders(&self, rows: &[i64]) -> Result<(), StoreError> {
        let _ = rows;
        unimplemented!()
    }
    pub fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let _ = (key, value);
        unimplemented!()
    }
    pub fn put_login(&self, login: &Login) -> Result<(), StoreError> {
        let _ = login;
        unimplemented!()
    }
    pub fn remove_login(&self, name: &str) -> Result<bool, StoreError> {
        let _ = name;
        unimplemented!()
    }
    pub fn put_token(&self, token: &Token) -> Result<(), StoreError> {
        let _ = token;
        unimplemented!()
    }
    pub fn remove_token(&self, name: &str) -> Result<bool, StoreError> {
        let _ = name;
        unimplemented!()
    }
    /// Deletes every rollup, month sum and figure (`recompute`).
    pub fn clear_derived(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}

/// The reasons' names with their counts, for status and metrics.
pub fn by_reason(counts: &[u64; 20]) -> impl Iterator<Item = (Reason, u64)> + '_ {
    Reason::ALL.into_iter().map(|reason| (reason, counts[reason.index()]))
}
