//! What the committer shows of itself: counts since the start of the process, cheap enough to keep always.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the commit-duration buckets, in microseconds; what is longer falls into one more.
pub const COMMIT_MICROS_BOUNDS: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// No message is being committed.
const NONE: i64 = i64::MAX;

/// Counts since the start of the process.
#[derive(Debug)]
pub struct CommitMetrics {
    pub(crate) received: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_micros: AtomicU64,
    pub(crate) fsync_errors: AtomicU64,
    pub(crate) committing_since: AtomicI64,
    buckets: [AtomicU64; COMMIT_MICROS_BOUNDS.len() + 1],
}

impl Default for CommitMetrics {
    fn default() -> CommitMetrics {
        CommitMetrics {
            received: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
            fsync_errors: AtomicU64::new(0),
            committing_since: AtomicI64::new(NONE),
            buckets: Default::default(),
        }
    }
}

impl CommitMetrics {
    /// Messages handed to the committer, judged or not.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Messages handed to the committer and not yet in a commit; 0 at rest.
    pub fn in_flight(&self) -> u64 {
        let settled = self.settled.load(Ordering::Relaxed);
        self.received().saturating_sub(settled)
    }

    /// Commits written.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Sum of the duration of all commits.
    pub fn commit_duration(&self) -> Duration {
        Duration::from_micros(self.commit_micros.load(Ordering::Relaxed))
    }

    /// Commits that took at most [`COMMIT_MICROS_BOUNDS`]`[i]` and more than the bound before; the last is the rest.
    pub fn commit_buckets(&self) -> [u64; COMMIT_MICROS_BOUNDS.len() + 1] {
        self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed))
    }

    /// Commits that failed, a full disk included.
    pub fn fsync_errors(&self) -> u64 {
        self.fsync_errors.load(Ordering::Relaxed)
    }

    pub(crate) fn committing_since(&self) -> Option<i64> {
        let since = self.committing_since.load(Ordering::Relaxed);
        (since != NONE).then_some(since)
    }

    pub(crate) fn set_committing(&self, since: Option<i64>) {
        self.committing_since.store(since.unwrap_or(NONE), Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
        let bucket = COMMIT_MICROS_BOUNDS.partition_point(|&bound| bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }
}
