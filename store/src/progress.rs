//! How far commits and settling have come, in memory, with the conditions that threads wait for.
//!
//! Invariants:
//! - `settled` never passes `last`; counters are what is settled plus what is in the tail;
//! - nobody polls: the settler waits on `work`, those who want settled data on `settled_more`.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::UnixMillis;

use crate::api::{CommitNo, Counters};

/// The tail is settled when it holds this many readings: 24 bytes each while a round runs, 48 MB.
pub(crate) const TAIL_READINGS_MAX: u64 = 2_000_000;
/// Commits wait for settling beyond this many bytes of unsettled rows: a flood of refused messages then slows down (their
/// PUBACKs are late) instead of filling the disk. Readings alone reach [`TAIL_READINGS_MAX`] long before.
const TAIL_BYTES_MAX: u64 = 1 << 30;
/// How long one commit waits for that at most: a stop must not wait longer.
const THROTTLE: Duration = Duration::from_secs(1);
/// Above this many readings in the tail the store is under load: settling waits for larger, cheaper rounds.
const LOAD_READINGS: u64 = 50_000;
/// How old the oldest commit of the tail gets when idle, and under load.
const IDLE: Duration = Duration::from_secs(2);
const LOAD: Duration = Duration::from_secs(15);
/// Commit times kept beyond the journal's rows, to answer how far the aggregator lags: hours of commits, 1 MB. Older
/// ones are forgotten and the oldest known stands for them.
const TIMES_MAX: usize = 65_536;

/// Takes a lock; a thread that panicked while holding it left plain counters, which stay true.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A row of the journal.
#[derive(Debug, Clone)]
pub(crate) struct TailRow {
    pub(crate) commit: u64,
    pub(crate) n_readings: u64,
    pub(crate) n_bytes: u64,
    pub(crate) since: Instant,
}

/// What the threads share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Rows in the journal file, settled ones included until they are deleted.
    pub(crate) rows: VecDeque<TailRow>,
    times: VecDeque<(u64, UnixMillis)>,
    pub(crate) last: u64,
    pub(crate) settled: u64,
    tail_readings: u64,
    tail_bytes: u64,
    pub(crate) settled_counters: Counters,
    tail_counters: Counters,
    /// The commit that a waiting request wants settled.
    wanted: u64,
    pub(crate) is_settling: Settler,
}

/// Whether a thread settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Settler {
    #[default]
    None,
    Running,
    Stopping,
}

/// What the settler does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    In(Duration),
    Idle,
    Stop,
}

impl Shared {
    /// Takes up a commit: of this process, or found in the journal at start.
    pub(crate) fn committed(&mut self, row: TailRow, at: UnixMillis, counters: &Counters) {
        self.last = self.last.max(row.commit);
        self.times.push_back((row.commit, at));
        if self.times.len() > TIMES_MAX {
            self.times.pop_front();
        }
        if row.commit > self.settled {
            self.tail_readings += row.n_readings;
            self.tail_bytes += row.n_bytes;
            self.tail_counters.add(counters);
        }
        self.rows.push_back(row);
    }

    /// The last settled commit at start, and its time: it stands for all before it.
    pub(crate) fn start_at(&mut self, settled: u64, at: Option<UnixMillis>, counters: Counters) {
        self.settled = settled;
        self.last = self.last.max(settled);
        self.settled_counters = counters;
        self.times.extend(at.map(|at| (settled, at)));
    }

    /// A round is in the store: everything through `settled`, whose counters were `of_round`; the totals are now `totals`.
    pub(crate) fn settled(&mut self, settled: u64, of_round: &Counters, totals: Counters) {
        let of_rows = |row: &&TailRow| row.commit > self.settled && row.commit <= settled;
        for row in self.rows.iter().filter(of_rows) {
            self.tail_readings = self.tail_readings.saturating_sub(row.n_readings);
            self.tail_bytes = self.tail_bytes.saturating_sub(row.n_bytes);
        }
        subtract(&mut self.tail_counters, of_round);
        self.settled_counters = totals;
        self.settled = settled;
    }

    /// What is settled, what is committed, and how many readings lie between.
    pub(crate) fn waiting(&self) -> (u64, u64, u64) {
        (self.settled, self.last, self.tail_readings)
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.settled_counters.clone();
        counters.add(&self.tail_counters);
        counters
    }

    pub(crate) fn oldest_after(&self, after: CommitNo) -> Option<UnixMillis> {
        if after.0 >= self.last {
            return None;
        }
        let first = self.times.partition_point(|(commit, _)| *commit <= after.0);
        self.times.get(first).map(|(_, at)| *at)
    }

    fn is_full(&self) -> bool {
        self.tail_readings >= TAIL_READINGS_MAX || self.tail_bytes >= TAIL_BYTES_MAX / 8
    }

    /// What the settler does at `now`.
    pub(crate) fn due(&self, now: Instant) -> Due {
        let first = self.rows.partition_point(|row| row.commit <= self.settled);
        match (self.rows.get(first), self.is_settling) {
            (_, Settler::Stopping) => Due::Stop,
            (None, Settler::None | Settler::Running) => Due::Idle,
            (Some(_), _) if self.wanted > self.settled || self.is_full() => Due::Now,
            (Some(oldest), Settler::None | Settler::Running) => {
                let patience = if self.tail_readings > LOAD_READINGS { LOAD } else { IDLE };
                let left = patience.saturating_sub(now.saturating_duration_since(oldest.since));
                if left.is_zero() { Due::Now } else { Due::In(left) }
            }
        }
    }
}

/// Counters of the tail once a round has left it; they were added before, so that nothing falls below zero.
fn subtract(from: &mut Counters, less: &Counters) {
    let down = |mine: &mut u64, theirs: u64| *mine = mine.saturating_sub(theirs);
    down(&mut from.received, less.received);
    down(&mut from.committed, less.committed);
    down(&mut from.duplicate, less.duplicate);
    from.rejected.iter_mut().zip(less.rejected).for_each(|(mine, theirs)| down(mine, theirs));
    from.refused.iter_mut().zip(less.refused).for_each(|(mine, theirs)| down(mine, theirs));
    down(&mut from.readings, less.readings);
    down(&mut from.orders, less.orders);
    down(&mut from.sequence_reused, less.sequence_reused);
    down(&mut from.qos0, less.qos0);
}

/// The shared state and its conditions.
#[derive(Default)]
pub(crate) struct Progress {
    shared: Mutex<Shared>,
    pub(crate) work: Condvar,
    settled_more: Condvar,
}

impl Progress {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        locked(&self.shared)
    }

    pub(crate) fn committed(&self, row: TailRow, at: UnixMillis, counters: &Counters) {
        self.lock().committed(row, at, counters);
        self.work.notify_one();
    }

    pub(crate) fn settled(&self, settled: u64, of_round: &Counters, totals: Counters) {
        self.lock().settled(settled, of_round, totals);
        self.settled_more.notify_all();
    }

    /// Waits until something beyond `seen` is settled; `ask` says whether to settle at once for it.
    pub(crate) fn wait_beyond(&self, seen: u64, timeout: Duration, ask: Ask) -> u64 {
        let mut shared = self.lock();
        if ask == Ask::Now && shared.settled <= seen {
            shared.wanted = shared.wanted.max(seen + 1);
            self.work.notify_one();
        }
        let waited = self.settled_more.wait_timeout_while(shared, timeout, |shared| shared.settled <= seen);
        let (shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
        shared.settled
    }

    /// Waits a moment if the settler is far behind.
    pub(crate) fn throttle(&self) {
        let shared = self.lock();
        let is_behind =
            |shared: &mut Shared| shared.tail_bytes > TAIL_BYTES_MAX && shared.is_settling == Settler::Running;
        drop(self.settled_more.wait_timeout_while(shared, THROTTLE, is_behind));
    }

    /// Waits until the settler has something to do.
    pub(crate) fn next_work(&self) -> Due {
        let mut shared = self.lock();
        loop {
            shared = match shared.due(Instant::now()) {
                Due::Now => return Due::Now,
                Due::Stop => return Due::Stop,
                Due::Idle => self.work.wait(shared).unwrap_or_else(PoisonError::into_inner),
                Due::In(left) => self.work.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

/// Whether a waiter hurries the settler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Now,
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(commit: u64, n_readings: u64, since: Instant) -> TailRow {
        TailRow { commit, n_readings, n_bytes: 10, since }
    }

    #[test]
    fn settling_is_due_by_size_by_age_and_by_asking() {
        let start = Instant::now();
        let mut shared = Shared::default();
        assert_eq!(shared.due(start), Due::Idle);
        shared.committed(row(1, 10, start), UnixMillis(5), &Counters::default());
        assert_eq!(shared.due(start), Due::In(IDLE));
        assert_eq!(shared.due(start + IDLE), Due::Now);
        shared.committed(row(2, LOAD_READINGS, start), UnixMillis(6), &Counters::default());
        assert_eq!(shared.due(start + IDLE), Due::In(LOAD - IDLE));
        shared.wanted = 2;
        assert_eq!(shared.due(start), Due::Now);
        shared.settled(2, &Counters::default(), Counters::default());
        assert_eq!(shared.due(start), Due::Idle);
        shared.committed(row(3, TAIL_READINGS_MAX, start), UnixMillis(7), &Counters::default());
        assert_eq!(shared.due(start), Due::Now);
        shared.is_settling = Settler::Stopping;
        assert_eq!(shared.due(start), Due::Stop);
    }

    #[test]
    fn the_oldest_commit_after_one_is_known_also_when_its_row_is_gone() {
        let mut shared = Shared::default();
        shared.start_at(5, Some(UnixMillis(500)), Counters::default());
        assert_eq!(shared.oldest_after(CommitNo(5)), None);
        assert_eq!(shared.oldest_after(CommitNo(2)), Some(UnixMillis(500)));
        shared.committed(row(6, 1, Instant::now()), UnixMillis(600), &Counters::default());
        assert_eq!(shared.oldest_after(CommitNo(5)), Some(UnixMillis(600)));
        assert_eq!(shared.oldest_after(CommitNo(6)), None);
    }

    #[test]
    fn counters_are_what_is_settled_and_what_is_not() {
        let mut shared = Shared::default();
        let one = Counters { received: 1, committed: 1, ..Counters::default() };
        shared.start_at(3, None, Counters { received: 7, committed: 7, ..Counters::default() });
        shared.committed(row(4, 1, Instant::now()), UnixMillis(1), &one);
        assert_eq!(shared.counters().received, 8);
        shared.settled(4, &one, Counters { received: 8, committed: 8, ..Counters::default() });
        assert_eq!(shared.counters().received, 8);
    }
}
