//! Replays by itself what came too early: readings whose id no metadata message had named yet (`unknown_id`), values whose
//! alias no birth had defined (`unknown_alias`).
//!
//! A thread of its own watches what dictionaries have learned and which edge nodes were born. Once that has been quiet for a
//! moment it begins a pass over what waits for exactly these pilots and edge nodes, in steps of bounded size, by the
//! [`Replayer`] that serves a person's request as well. At the start of a process the dictionaries have learned from what is
//! kept, so that the first pass takes what the last process did not come to.
//!
//! Invariants:
//! - nothing is replayed unless something was learned; where nothing waits a pass costs one look at an index;
//! - doors and committer never wait for a pass; what comes meanwhile waits for the next one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::{PilotId, Reason};

use crate::foreign::Foreign;
use crate::replayer::{Left, Replayer, Tally, Waiting};

/// How often the generations are looked at, two loads; and the pause between two steps of a pass.
const EVERY: Duration = Duration::from_millis(500);
/// A pass begins when nothing was learned for this long: births of many devices come one after another, and what was refused
/// while they came has reached the committer by then.
const QUIET: Duration = Duration::from_secs(2);
/// Or when it has waited this long: where something is learned all the time a pass comes all the same.
const PATIENCE: Duration = Duration::from_secs(10);
/// Passes begin at least this far apart: a node that is born again and again must not have its past decoded each time.
const REST: Duration = Duration::from_secs(10);

/// How often dictionaries learned and edge nodes were born.
type Generations = (u64, u64);

fn generations(foreign: &Foreign) -> Generations {
    (foreign.dictionaries.generation(), foreign.sparkplug.generation())
}

/// When a pass begins.
#[derive(Default)]
struct Schedule {
    seen: Generations,
    /// When the first and the last thing was learned since the last pass.
    learned: Option<(Instant, Instant)>,
    began: Option<Instant>,
}

impl Schedule {
    /// Whether a pass begins now.
    fn is_due(&mut self, generations: Generations, now: Instant) -> bool {
        if generations != self.seen {
            self.seen = generations;
            self.learned = Some((self.learned.map_or(now, |(first, _)| first), now));
        }
        let Some((first, last)) = self.learned else { return false };
        let is_quiet = now.duration_since(last) >= QUIET || now.duration_since(first) >= PATIENCE;
        let is_rested = self.began.is_none_or(|began| now.duration_since(began) >= REST);
        if is_quiet && is_rested {
            (self.learned, self.began) = (None, Some(now));
        }
        is_quiet && is_rested
    }
}

/// What the thread remembers.
struct Healing {
    replayer: Arc<Replayer>,
    schedule: Schedule,
    /// What is left of the pass under way.
    pass: VecDeque<Waiting>,
    /// Of the first of these, so far.
    tally: Tally,
    /// After an error: when the pass goes on.
    paused_until: Option<Instant>,
}

impl Healing {
    fn new(replayer: Arc<Replayer>) -> Healing {
        Healing {
            replayer,
            schedule: Schedule::default(),
            pass: VecDeque::new(),
            tally: Tally::default(),
            paused_until: None,
        }
    }

    /// Begins a pass if one is due, and takes the next step of the one under way: to the next pilot of which anything waits.
    fn step(&mut self, now: Instant, is_stopping: &dyn Fn() -> bool) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        let index = self.replayer.index();
        if self.pass.is_empty() && self.schedule.is_due(generations(index.foreign()), now) {
            self.pass = learned(index.foreign());
        }
        while let Some(waiting) = self.pass.front_mut().filter(|_| !is_stopping()) {
            match self.replayer.step(waiting, is_stopping) {
                Ok((tally, left)) => {
                    self.tally.add(tally);
                    if left == Left::Nothing {
                        self.tell();
                        self.pass.pop_front();
                    }
                    if tally.looked_at > 0 || left == Left::Some {
                        return;
                    }
                }
                Err(_) if is_stopping() => return, // What is left waits for the next start.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "kept messages not taken yet; tried again in {} s", REST.as_secs());
                    self.paused_until = Some(now + REST);
                    return;
                }
            }
        }
    }

    /// Of the first of the pass nothing is left to look at.
    fn tell(&mut self) {
        let Tally { looked_at, taken } = std::mem::take(&mut self.tally);
        if let Some(Waiting { reason, pilot, .. }) = self.pass.front().filter(|_| taken > 0) {
            let reason = reason.as_str();
            tracing::info!(reason, %pilot, n_read = looked_at, n_taken = taken, "kept messages taken");
        }
    }
}

/// Whose messages may be readable since the last call.
fn learned(foreign: &Foreign) -> VecDeque<Waiting> {
    let taught = foreign.dictionaries.taught().into_iter();
    let mut pass: VecDeque<Waiting> =
        taught.map(|pilot| Waiting { reason: Reason::UnknownId, pilot, nodes: None, after: 0 }).collect();
    let mut born: BTreeMap<PilotId, BTreeSet<String>> = BTreeMap::new();
    for (pilot, node) in foreign.sparkplug.birthed() {
        born.entry(pilot).or_default().insert(node);
    }
    let of_nodes = |(pilot, nodes)| Waiting { reason: Reason::UnknownAlias, pilot, nodes: Some(nodes), after: 0 };
    pass.extend(born.into_iter().map(of_nodes));
    pass
}

/// The thread; it ends within a step once it was told to stop, at the latest when the committer has stopped.
pub struct Healer {
    /// Dropped to stop it.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to replay by itself.
///
/// # Errors
/// If no thread can be had.
pub fn start(replayer: Arc<Replayer>) -> std::io::Result<Healer> {
    let (stop, stopped) = mpsc::channel::<()>();
    let mut healing = Healing::new(replayer);
    let thread = std::thread::Builder::new().name("healer".to_owned()).spawn(move || {
        let is_stopping = || matches!(stopped.try_recv(), Err(TryRecvError::Disconnected));
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
            healing.step(Instant::now(), &is_stopping);
        }
    })?;
    Ok(Healer { stop: Some(stop), thread: Some(thread) })
}

impl Healer {
    /// Tells it to stop, and does not wait: on a full disk it ends only with the committer.
    pub fn tell_to_stop(&mut self) {
        self.stop = None;
    }
}

impl Drop for Healer {
    fn drop(&mut self) {
        self.tell_to_stop();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("healer thread panicked; `rejected --replay` takes what it left");
        }
    }
}

#[cfg(test)]
mod tests;
