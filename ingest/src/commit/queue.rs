//! The bounded queue between the doors and the committer: one entry per socket read, taken all at once.
//!
//! Bounded by bytes, because a reading of a thousand messages and a keep-alive are not the same thing. A door whose entry
//! does not fit keeps it and waits for room, which delays its acknowledgements: that is the backpressure of the design.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::UnixMillis;
use tokio::sync::Notify;

use super::Work;

/// Bytes of packets that may wait for the committer. Two seconds of the fastest load seen (150,000 messages a second of
/// 250 bytes); what does not fit waits at its door, unacknowledged.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of packets in one commit: an fsync per 16 MiB costs nothing, and a larger row would delay what waits behind it.
pub(crate) const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why an entry was not taken; it comes back.
pub(crate) enum Push {
    Full(Work),
    Closed,
}

/// What the committer finds.
pub(crate) enum Taken {
    Some(Vec<Work>),
    Nothing,
    /// Closed and empty.
    End,
}

#[derive(Default)]
struct Entries {
    waiting: VecDeque<Work>,
    bytes: usize,
    is_closed: bool,
}

/// See the module's comment.
#[derive(Default)]
pub(crate) struct Queue {
    entries: Mutex<Entries>,
    ready: Condvar,
    room: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry if there is room. An entry alone in the queue always fits.
    pub(crate) fn push(&self, work: Work) -> Result<(), Push> {
        let mut entries = self.lock();
        if entries.is_closed {
            return Err(Push::Closed);
        }
        let bytes = work.bytes();
        if !entries.waiting.is_empty() && entries.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(Push::Full(work));
        }
        entries.bytes += bytes;
        entries.waiting.push_back(work);
        drop(entries);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits until entries were taken out.
    pub(crate) async fn room(&self) {
        let mut room = std::pin::pin!(self.room.notified());
        // Enabled before the check, so that room made in between is not missed.
        room.as_mut().enable();
        let is_full = {
            let entries = self.lock();
            !entries.is_closed && entries.bytes >= QUEUE_BYTES_MAX / 2
        };
        if is_full {
            room.await;
        }
    }

    /// Takes what is ready, at most [`COMMIT_BYTES_MAX`]; waits up to `timeout` for the first.
    pub(crate) fn take(&self, timeout: Duration) -> Taken {
        let mut entries = self.lock();
        if entries.waiting.is_empty() && !entries.is_closed {
            let waited = self.ready.wait_timeout_while(entries, timeout, |e| e.waiting.is_empty() && !e.is_closed);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if entries.waiting.is_empty() {
            return if entries.is_closed { Taken::End } else { Taken::Nothing };
        }
        let mut bytes = 0;
        let fits = |work: &Work| {
            bytes += work.bytes();
            bytes <= COMMIT_BYTES_MAX
        };
        let n_ready = entries.waiting.iter().map(fits).take_while(|fits| *fits).count().max(1);
        let taken: Vec<Work> = entries.waiting.drain(..n_ready).collect();
        entries.bytes -= taken.iter().map(Work::bytes).sum::<usize>();
        drop(entries);
        self.room.notify_waiters();
        Taken::Some(taken)
    }

    /// Takes nothing more; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_one();
        self.room.notify_waiters();
    }

    /// When the oldest waiting message was received.
    pub(crate) fn oldest(&self) -> Option<UnixMillis> {
        self.lock().waiting.iter().find_map(Work::received_at)
    }
}
