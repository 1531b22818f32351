//! The committer: one thread that takes all that is ready, judges duplicates, writes one journal row, fsyncs, and then
//! releases the acknowledgements.
//!
//! Doors hand in one entry per socket read; a commit takes what has gathered while the last one was being written, so that
//! a single fsync serves every connection. Sessions and held QoS 2 ids change here too: their order is the queue's order.
//! Other parts (replay, corrections) hand in a ready-made [`Batch`] and wait for its number.
//!
//! Invariants:
//! - this thread is the journal's only writer;
//! - nothing is acknowledged before the commit that holds it returned;
//! - a full disk loses nothing: the batch is kept and tried again, and the doors take no new connection meanwhile;
//! - after a failed fsync nothing is acknowledged any more, and the process has to end.

mod judge;
mod mailbox;
mod message;
mod metrics;
mod queue;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::UnixMillis;
use store::{Batch, CommitNo, Journal, Store, StoreError};
use tokio::sync::{oneshot, watch};

pub use judge::Became;
use judge::Judge;
pub(crate) use mailbox::{Ack, Mail, Mailbox, Packet, Step, Verdict};
pub use message::message_hash;
pub(crate) use message::{Delivery, Prepared};
pub use metrics::{COMMIT_MICROS_BOUNDS, CommitMetrics};
pub(crate) use queue::Push;
use queue::{Queue, Taken};
pub(crate) use sessions::{Open, Opened, Start, Subscriptions};

/// How long the committer waits for work before it tidies up.
const IDLE: Duration = Duration::from_millis(250);

/// Pause between two tries on a full disk: short enough to go on at once when there is room, too long to be a load.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

/// Readings committed and not settled. Beyond it the committer waits for settling, so that neither the journal nor the
/// start after a crash grows without bound: 16 M readings are some 30 s of the fastest settling measured.
const UNSETTLED_READINGS_MAX: u64 = 16_000_000;

/// How often expired sessions are looked for.
const EXPIRE_EVERY_MS: i64 = 60_000;

/// How long a stop may take to commit what was taken.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why the committer cannot start, or did not commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("failed to open the journal for writing")]
    Journal(#[source] StoreError),
    #[error("failed to read the sessions, ids and hashes of earlier commits")]
    Restore(#[source] StoreError),
    #[error("failed to start the committer thread")]
    Thread(#[source] std::io::Error),
    #[error("the committer has stopped; nothing more is committed")]
    Stopped,
}

/// Whether messages can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorState {
    Open,
    /// What was taken is kept and tried again; nothing new is let in.
    DiskFull,
    /// A commit failed: nothing is acknowledged any more, and the process has to end with exit code 1.
    Poisoned,
}

/// Who sent an entry.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: Arc<str>,
    pub(crate) connection: u64,
    /// Hash of client id and login: the same over reconnects.
    pub(crate) key: u64,
}

/// One thing that a connection sent, in the order of receipt.
#[derive(Debug)]
pub(crate) enum Item {
    Publish(Box<Prepared>),
    /// A PUBREL.
    Release {
        packet_id: u16,
    },
    /// Filters added with the QoS that was granted, or taken back.
    Subscribe {
        packet_id: u16,
        changes: Vec<(Arc<str>, Option<u8>)>,
    },
}

/// An entry of the queue.
#[derive(Debug)]
pub(crate) enum Work {
    Messages {
        client: Client,
        mailbox: Arc<Mailbox>,
        items: Vec<Item>,
        bytes: usize,
        received_at: UnixMillis,
    },
    Open {
        open: Open,
        reply: oneshot::Sender<Opened>,
    },
    Close {
        client: Client,
        expiry_s: Option<u32>,
    },
    Ready {
        batch: Box<Batch>,
        reply: oneshot::Sender<CommitNo>,
    },
    /// A message that came by no connection: judged like any other, without a session.
    Single {
        message: Box<Prepared>,
        bytes: usize,
        reply: oneshot::Sender<Became>,
    },
}

impl Work {
    /// What the entry counts against the queue's bound.
    fn bytes(&self) -> usize {
        // A session change or a ready-made batch is few and was bounded by whoever made it.
        const SMALL: usize = 256;
        match self {
            Work::Messages { bytes, .. } | Work::Single { bytes, .. } => *bytes,
            Work::Open { .. } | Work::Close { .. } | Work::Ready { .. } => SMALL,
        }
    }

    fn received_at(&self) -> Option<UnixMillis> {
        match self {
            Work::Messages { received_at, .. } => Some(*received_at),
            Work::Open { .. } | Work::Close { .. } | Work::Ready { .. } | Work::Single { .. } => None,
        }
    }

    fn n_messages(&self) -> u64 {
        match self {
            Work::Messages { items, .. } => items.iter().filter(|item| matches!(item, Item::Publish(_))).count() as u64,
            Work::Single { .. } => 1,
            Work::Open { .. } | Work::Close { .. } | Work::Ready { .. } => 0,
        }
    }
}

struct Shared {
    queue: Queue,
    state: watch::Sender<DoorState>,
    metrics: CommitMetrics,
    /// Until when a stopping committer may go on.
    deadline: Mutex<Option<Instant>>,
}

/// The committer's thread; [`Committer::handle`] speaks to it.
pub struct Committer {
    handle: CommitterHandle,
    thread: JoinHandle<()>,
}

/// Speaks to the committer. Cheap to clone.
#[derive(Clone)]
pub struct CommitterHandle {
    shared: Arc<Shared>,
}

impl Committer {
    /// Takes the journal and starts the thread.
    ///
    /// # Errors
    /// If the journal was taken, the store cannot be read, or no thread can be had.
    pub fn start(store: &Arc<Store>) -> Result<Committer, CommitError> {
        let journal = store.journal().map_err(CommitError::Journal)?;
        let now = model::clock::now();
        let stored = store.sessions().map_err(CommitError::Restore)?;
        let held = store.held().map_err(CommitError::Restore)?;
        let hashes = store.recent_hashes().map_err(CommitError::Restore)?;
        let judge = Judge::new(sessions::Sessions::restore(stored, held, now), hashes);
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            state: watch::Sender::new(DoorState::Open),
            metrics: CommitMetrics::default(),
            deadline: Mutex::new(None),
        });
        let handle = CommitterHandle { shared: Arc::clone(&shared) };
        let store = Arc::clone(store);
        let (unsettled, n_unsettled) = (VecDeque::new(), 0);
        let writer = Writer { store, journal, judge, shared, unsettled, n_unsettled, expired_at: now };
        let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || writer.run());
        Ok(Committer { handle, thread: thread.map_err(CommitError::Thread)? })
    }

    /// A handle to it.
    pub fn handle(&self) -> CommitterHandle {
        self.handle.clone()
    }

    /// Commits and acknowledges what was handed in, within 5 s, and ends the thread. Stop the doors first.
    pub fn stop(self) {
        let shared = &self.handle.shared;
        *shared.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + STOP_WITHIN);
        shared.queue.close();
        if self.thread.join().is_err() {
            tracing::error!("committer thread panicked");
        }
    }
}

impl CommitterHandle {
    /// Hands in a ready-made batch and waits for the number of its commit.
    ///
    /// # Errors
    /// If the committer stopped before it was committed.
    pub async fn submit(&self, batch: Batch) -> Result<CommitNo, CommitError> {
        let (reply, number) = oneshot::channel();
        self.push_async(Work::Ready { batch: Box::new(batch), reply }).await?;
        number.await.map_err(|_ended| CommitError::Stopped)
    }

    /// As [`CommitterHandle::submit`], for a thread that may block.
    ///
    /// # Errors
    /// If the committer stopped before it was committed.
    pub fn submit_blocking(&self, batch: Batch) -> Result<CommitNo, CommitError> {
        let (reply, number) = oneshot::channel();
        self.push_blocking(Work::Ready { batch: Box::new(batch), reply })?;
        number.blocking_recv().map_err(|_ended| CommitError::Stopped)
    }

    fn push_blocking(&self, mut work: Work) -> Result<(), CommitError> {
        while let Err(push) = self.push(work) {
            match push {
                Push::Closed => return Err(CommitError::Stopped),
                Push::Full(back) => work = back,
            }
            std::thread::sleep(DISK_FULL_PAUSE);
        }
        Ok(())
    }

    /// Hands in a message that came by no connection, and waits until it is committed.
    ///
    /// # Errors
    /// If the committer stopped before it was committed.
    pub(crate) fn submit_message(&self, message: Prepared) -> Result<Became, CommitError> {
        let (reply, became) = oneshot::channel();
        let bytes = message.n_bytes();
        self.push_blocking(Work::Single { message: Box::new(message), bytes, reply })?;
        became.blocking_recv().map_err(|_ended| CommitError::Stopped)
    }

    /// Whether messages can be taken.
    pub fn state(&self) -> DoorState {
        *self.shared.state.borrow()
    }

    /// Returns once nothing more will be acknowledged: the process has to end.
    pub async fn poisoned(&self) {
        let mut state = self.shared.state.subscribe();
        if state.wait_for(|state| *state == DoorState::Poisoned).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts since the start of the process.
    pub fn metrics(&self) -> &CommitMetrics {
        &self.shared.metrics
    }

    /// How long the oldest message that is not yet committed has been waiting, in milliseconds; 0 if none is.
    pub fn oldest_waiting_ms(&self, now: UnixMillis) -> i64 {
        let committing = self.shared.metrics.committing_since();
        let waiting = self.shared.queue.oldest().map(|at| at.0);
        committing.into_iter().chain(waiting).min().map_or(0, |since| (now.0 - since).max(0))
    }

    pub(crate) fn push(&self, work: Work) -> Result<(), Push> {
        let n_messages = work.n_messages();
        self.shared.queue.push(work)?;
        self.shared.metrics.received.fetch_add(n_messages, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn push_async(&self, mut work: Work) -> Result<(), CommitError> {
        while let Err(push) = self.push(work) {
            match push {
                Push::Closed => return Err(CommitError::Stopped),
                Push::Full(back) => work = back,
            }
            self.shared.queue.room().await;
        }
        Ok(())
    }

    pub(crate) async fn room(&self) {
        self.shared.queue.room().await;
    }
}

/// What has to be said once a batch is committed.
#[derive(Default)]
struct Replies {
    mails: Vec<(Arc<Mailbox>, Vec<Ack>, usize)>,
    opened: Vec<(oneshot::Sender<Opened>, Opened)>,
    numbers: Vec<oneshot::Sender<CommitNo>>,
    singles: Vec<(oneshot::Sender<Became>, Became)>,
    n_messages: u64,
}

/// The thread's own state.
struct Writer {
    store: Arc<Store>,
    journal: Journal,
    judge: Judge,
    shared: Arc<Shared>,
    /// Readings of each commit that is not known to be settled.
    unsettled: VecDeque<(CommitNo, u64)>,
    n_unsettled: u64,
    expired_at: UnixMillis,
}

impl Writer {
    fn run(mut self) {
        loop {
            let done = match self.shared.queue.take(IDLE) {
                Taken::Some(works) => self.group(works),
                Taken::Nothing => self.idle(),
                Taken::End => break,
            };
            if let Err(error) = done {
                self.poison(&error);
                break;
            }
        }
    }

    fn group(&mut self, works: Vec<Work>) -> Result<(), StoreError> {
        let now = model::clock::now();
        let since = works.iter().find_map(Work::received_at).map(|at| at.0);
        self.shared.metrics.set_committing(since);
        let (mut batch, mut replies) = (Batch::default(), Replies::default());
        for work in works {
            self.assemble(work, now, &mut batch, &mut replies);
        }
        let number = if batch == Batch::default() { self.store.last_commit() } else { self.commit(&batch)? };
        self.release(replies, number);
        self.shared.metrics.set_committing(None);
        self.tidy(now)?;
        self.wait_for_settling();
        Ok(())
    }

    fn assemble(&mut self, work: Work, now: UnixMillis, batch: &mut Batch, replies: &mut Replies) {
        replies.n_messages += work.n_messages();
        match work {
            Work::Messages { client, mailbox, items, .. } => {
                let n_items = items.len();
                let acks = self.judge.messages(&client, items, batch);
                replies.mails.push((mailbox, acks, n_items));
            }
            Work::Open { open, reply } => replies.opened.push((reply, self.judge.sessions.open(open, now, batch))),
            Work::Close { client, expiry_s } => {
                self.judge.sessions.close(&client.id, client.connection, expiry_s, now, batch);
            }
            Work::Ready { batch: ready, reply } => {
                self.judge.remember(&ready.hashes);
                merge(batch, *ready);
                replies.numbers.push(reply);
            }
            Work::Single { message, reply, .. } => replies.singles.push((reply, self.judge.single(*message, batch))),
        }
    }

    /// Commits; on a full disk keeps the batch and tries again.
    fn commit(&mut self, batch: &Batch) -> Result<CommitNo, StoreError> {
        let metrics = &self.shared.metrics;
        loop {
            let began = Instant::now();
            match self.journal.commit(model::clock::now(), batch) {
                Ok(number) => {
                    metrics.committed(began.elapsed());
                    self.shared.set_state(DoorState::Open);
                    self.unsettled.push_back((number, batch.readings.len() as u64));
                    self.n_unsettled += batch.readings.len() as u64;
                    return Ok(number);
                }
                Err(error) => {
                    metrics.fsync_errors.fetch_add(1, Ordering::Relaxed);
                    if !error.is_disk_full() || self.shared.is_past_deadline() {
                        return Err(error);
                    }
                    self.shared.set_state(DoorState::DiskFull);
                }
            }
            std::thread::sleep(DISK_FULL_PAUSE);
        }
    }

    fn release(&self, replies: Replies, number: CommitNo) {
        let Replies { mails, opened, numbers, singles, n_messages } = replies;
        self.shared.metrics.settled.fetch_add(n_messages, Ordering::Relaxed);
        for (mailbox, acks, n_done) in mails {
            mailbox.deliver(acks, n_done);
        }
        // A connection or a caller that has gone needs no answer.
        for (reply, opened) in opened {
            let _ = reply.send(opened);
        }
        for (reply, became) in singles {
            let _ = reply.send(became);
        }
        for reply in numbers {
            let _ = reply.send(number);
        }
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        self.tidy(model::clock::now())
    }

    fn tidy(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        match self.journal.trim() {
            Err(error) if !error.is_disk_full() => return Err(error),
            Ok(()) | Err(_) => {} // On a full disk there is time for it later.
        }
        if now.0 - self.expired_at.0 < EXPIRE_EVERY_MS {
            return Ok(());
        }
        self.expired_at = now;
        let mut batch = Batch::default();
        self.judge.sessions.expire(now, &mut batch);
        if batch != Batch::default() {
            self.commit(&batch)?;
        }
        Ok(())
    }

    fn wait_for_settling(&mut self) {
        loop {
            let settled = self.store.settled_through();
            while let Some((_, n_readings)) = self.unsettled.pop_front_if(|(number, _)| *number <= settled) {
                self.n_unsettled -= n_readings;
            }
            let Some(&(oldest, _)) = self.unsettled.front() else { return };
            if self.n_unsettled <= UNSETTLED_READINGS_MAX || self.shared.is_past_deadline() {
                return;
            }
            self.store.wait_settled(oldest, DISK_FULL_PAUSE);
        }
    }

    fn poison(&self, error: &StoreError) {
        tracing::error!(error = error as &dyn std::error::Error, "commit failed; nothing more is acknowledged");
        self.shared.set_state(DoorState::Poisoned);
        self.shared.queue.close();
        // What waits is dropped, so that whoever waits for an answer learns that none comes.
        while let Taken::Some(works) = self.shared.queue.take(Duration::ZERO) {
            drop(works);
        }
    }
}

impl Shared {
    fn set_state(&self, new: DoorState) {
        self.state.send_if_modified(|state| {
            let is_new = *state != new;
            if is_new {
                match new {
                    DoorState::Open => tracing::info!("disk has room again; taking messages"),
                    DoorState::DiskFull => tracing::error!("disk full; keeping what was taken, letting nothing in"),
                    DoorState::Poisoned => {}
                }
            }
            *state = new;
            is_new
        });
    }

    fn is_past_deadline(&self) -> bool {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// Adds what another batch holds: one commit for both.
pub(crate) fn merge(batch: &mut Batch, ready: Batch) {
    let Batch { readings, orders, rejections, counters, hashes, sessions, held, sequences, replayed, outages, learned } =
        ready;
    batch.readings.extend(readings);
    batch.orders.extend(orders);
    batch.rejections.extend(rejections);
    batch.hashes.extend(hashes);
    batch.sessions.extend(sessions);
    batch.held.extend(held);
    batch.sequences.extend(sequences);
    batch.replayed.extend(replayed);
    batch.outages.extend(outages);
    batch.learned.extend(learned);
    let sum = &mut batch.counters;
    sum.received += counters.received;
    sum.committed += counters.committed;
    sum.duplicate += counters.duplicate;
    sum.readings += counters.readings;
    sum.orders += counters.orders;
    sum.sequence_reused += counters.sequence_reused;
    sum.qos0 += counters.qos0;
    let rejected = sum.rejected.iter_mut().zip(counters.rejected);
    let refused = sum.refused.iter_mut().zip(counters.refused);
    for (sum, added) in rejected.chain(refused) {
        *sum += added;
    }
}
