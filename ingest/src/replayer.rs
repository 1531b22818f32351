//! Replays kept rejections out of the store: all of them when a person asks, and by and by those that wait for words that a
//! gateway has sent since.
//!
//! What one message gives is [`replay`]'s to say; this reads rows and hands batches to the committer.
//!
//! Invariants:
//! - one replay runs at a time, and it begins when all before it is settled: no row is taken twice;
//! - what waits is found by reason, pilot and topic; no other message is read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{PilotId, Reason, UnixMillis};
use store::{Batch, CommitNo, RejectionRow, Store, StoreError};

use crate::commit::{CommitError, CommitterHandle, merge};
use crate::index::{CurrentIndex, Index};
use crate::replay::replay;
use crate::sparkplug;

/// Rejections read at a time: their bytes may be a mebibyte each.
const PAGE: usize = 100;
/// Readings and messages of one commit: some 0.5 MB, so that gateways wait no longer than usual.
const BATCH_READINGS: usize = 10_000;
const BATCH_MESSAGES: usize = 1_000;
/// Messages that one [`Replayer::step`] decodes, and bytes of them: some tenths of a second of one core.
const STEP_MESSAGES: u64 = 1_000;
const STEP_BYTES: usize = 16 << 20;
/// Names of waiting messages that one step reads: some 5 MB.
const STEP_NAMES: usize = 50_000;
/// Names read at a time.
const NAMES_PAGE: usize = 1_000;
/// How long a replay waits until the store holds what it is about.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it looks meanwhile whether it shall stop.
const LOOK: Duration = Duration::from_millis(200);

/// Why kept messages could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("settling did not come to its end within {} s", PATIENCE.as_secs())]
    Unsettled,
    #[error("failed to read rejections")]
    Read(#[source] StoreError),
    #[error("failed to commit replayed messages")]
    Commit(#[source] CommitError),
}

/// What a replay came to, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub looked_at: u64,
    /// Of which something was accepted.
    pub taken: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.looked_at += other.looked_at;
        self.taken += other.taken;
    }
}

/// Messages of a pilot that may be readable now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: Reason,
    pub(crate) pilot: PilotId,
    /// `group/edge` of the edge nodes whose messages they are; none = whatever their topic.
    pub(crate) nodes: Option<BTreeSet<String>>,
    /// The last one looked at.
    pub(crate) after: i64,
}

impl Waiting {
    pub(crate) fn takes(&self, topic: &str) -> bool {
        let Some(nodes) = &self.nodes else { return true };
        sparkplug::node_of(topic).is_some_and(|node| nodes.contains(&node))
    }
}

/// Whether anything is left to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Some,
    Nothing,
}

/// See the module's comment.
pub struct Replayer {
    index: Arc<CurrentIndex>,
    committer: CommitterHandle,
    turn: Mutex<()>,
}

impl Replayer {
    /// Replays by the index in force, into this committer.
    pub fn new(index: Arc<CurrentIndex>, committer: CommitterHandle) -> Replayer {
        Replayer { index, committer, turn: Mutex::new(()) }
    }

    /// The index in force.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.index.get()
    }

    /// Replays every kept rejection; what is acceptable now is committed where it belongs, and settled.
    ///
    /// # Errors
    /// On reading or committing; what was committed before stays.
    pub fn all(&self) -> Result<Tally, ReplayError> {
        let _turn = self.turn();
        let mut work = self.begin(&|| false)?;
        let mut after = 0;
        loop {
            let page = work.index.store().rejections(UnixMillis(0), after, PAGE).map_err(ReplayError::Read)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            page.iter().try_for_each(|row| work.take(row))?;
        }
        let (index, tally) = work.finish()?;
        settled(index.store(), index.store().last_commit(), &|| false)?;
        Ok(tally)
    }

    /// Replays the next of these messages, a bounded number, and notes in them how far it came.
    ///
    /// # Errors
    /// As [`Replayer::all`]; `Unsettled` also if it shall stop.
    pub(crate) fn step(
        &self,
        waiting: &mut Waiting,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<(Tally, Left), ReplayError> {
        let _turn = self.turn();
        let mut work = self.begin(is_stopping)?;
        let mut n_names = 0;
        while n_names < STEP_NAMES {
            let store = Arc::clone(work.index.store());
            let Waiting { reason, pilot, after, .. } = &*waiting;
            let names = store.waiting(*reason, pilot, *after, NAMES_PAGE).map_err(ReplayError::Read)?;
            if names.is_empty() {
                return Ok((work.finish()?.1, Left::Nothing));
            }
            n_names += names.len();
            for (id, topic) in names {
                if work.tally.looked_at >= STEP_MESSAGES || work.n_bytes >= STEP_BYTES || is_stopping() {
                    return Ok((work.finish()?.1, Left::Some));
                }
                waiting.after = id;
                if waiting.takes(&topic) {
                    work.take_id(&store, id)?;
                }
            }
        }
        Ok((work.finish()?.1, Left::Some))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all that was handed to the committer is settled: what it refused is among the rows then.
    fn begin(&self, is_stopping: &dyn Fn() -> bool) -> Result<Work<'_>, ReplayError> {
        let last = self.committer.submit_blocking(Batch::default()).map_err(ReplayError::Commit)?;
        let index = self.index();
        settled(index.store(), last, is_stopping)?;
        Ok(Work { index, committer: &self.committer, batch: Batch::default(), tally: Tally::default(), n_bytes: 0 })
    }
}

fn settled(store: &Store, commit: CommitNo, is_stopping: &dyn Fn() -> bool) -> Result<(), ReplayError> {
    let began = Instant::now();
    while !store.wait_settled(commit, LOOK) {
        if is_stopping() || began.elapsed() >= PATIENCE {
            return Err(ReplayError::Unsettled);
        }
    }
    Ok(())
}

/// A replay under way: what is accepted gathers until it is worth a commit.
struct Work<'r> {
    index: Arc<Index>,
    committer: &'r CommitterHandle,
    batch: Batch,
    tally: Tally,
    /// Of the messages looked at.
    n_bytes: usize,
}

impl Work<'_> {
    fn take(&mut self, row: &RejectionRow) -> Result<(), ReplayError> {
        if row.replayed || !row.has_bytes {
            return Ok(());
        }
        self.tally.looked_at += 1;
        self.n_bytes += row.message.bytes.len();
        let Some(batch) = replay(row, &self.index) else { return Ok(()) };
        self.tally.taken += 1;
        merge(&mut self.batch, batch);
        let is_full = self.batch.readings.len() + self.batch.orders.len() >= BATCH_READINGS
            || self.batch.replayed.len() >= BATCH_MESSAGES;
        if is_full { self.commit() } else { Ok(()) }
    }

    /// A row that is gone or damaged keeps the others from nothing; `check` names the damage.
    fn take_id(&mut self, store: &Store, id: i64) -> Result<(), ReplayError> {
        match store.rejection(id) {
            Ok(Some(row)) => self.take(&row),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(rejection = id, error = &error as &dyn std::error::Error, "kept message does not read");
                Ok(())
            }
        }
    }

    fn commit(&mut self) -> Result<(), ReplayError> {
        let batch = std::mem::take(&mut self.batch);
        if batch == Batch::default() {
            return Ok(());
        }
        self.committer.submit_blocking(batch).map(drop).map_err(ReplayError::Commit)
    }

    fn finish(mut self) -> Result<(Arc<Index>, Tally), ReplayError> {
        self.commit()?;
        Ok((self.index, self.tally))
    }
}
