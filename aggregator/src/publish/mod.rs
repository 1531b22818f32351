//! Out: the API, the pages and the metrics, all over the same stored figures.
//!
//! A [`Site`] holds what a request may ask: the aggregator, the store, the registry in force, the programme, and closures
//! that say how the doors are. [`serve`] answers on one listener until it is told to stop. Nothing here changes a figure:
//! the API prints it whole, the pages print it rounded, the metrics print what is current.
//!
//! Invariants:
//! - nothing is written to the store but corrections, which the process makes when it is asked; every store call runs on a blocking thread, at most [`STORE_CALLS_MAX`] at once;
//! - a scoped token sees its own pilots only, on every path; what is foreign and what is missing answer the same bytes;
//! - figures, rollups, readings and rejections hold what was acknowledged before the request, or the answer is 503.

pub mod access;
mod api;
pub mod corrections;
pub mod gateways;
mod metrics;
mod number;
pub mod pages;
mod problem;
mod query;
mod router;
mod snapshot;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt;
use model::registry::InForce;
use model::{PilotId, Programme, UnixMillis};
use seeds::fleet::Truth;
use store::{Counters, Store};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::{Aggregator, projection};
use pages::Loading;

pub use router::router;

/// Store calls that run at once. Each takes a blocking thread and at most a page of rows (about 10 MB); more requests wait
/// in line, so that a flood of readers costs latency, not memory.
pub const STORE_CALLS_MAX: usize = 32;
/// How long an answer waits for what was acknowledged before the request (CONTRACT section 14); then 503.
pub const FRESH_WAIT: Duration = Duration::from_secs(10);
/// Pages say that figures are behind from here on; below it is the ordinary pause between two rounds.
const BEHIND_SECONDS_SHOWN: f64 = 10.0;
/// How long open answers may finish after the stop signal; the process has 5 s for everything.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How one door of the process is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Door {
    /// `mqtt`, `mqtts`, `broker`.
    pub name: String,
    /// Where it listens or what it is connected to.
    pub address: String,
    /// What is wrong; none = listening.
    pub trouble: Option<String>,
    /// What works, and less well than it was asked for, such as a broker that keeps our session for a shorter time.
    pub warnings: Vec<String>,
}

/// What the doors and the journal say of themselves right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    pub doors: Vec<Door>,
    pub disk_full: bool,
    /// Why the journal takes nothing more (a failed fsync); none = it is open.
    pub journal_trouble: Option<String>,
    /// Databases that readings and figures are projected to.
    pub projections: Vec<projection::Report>,
}

/// Numbers of operation; `counters` are read under one lock, so that
/// received = committed + duplicate + rejected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpsSnapshot {
    pub counters: Counters,
    /// Messages taken off the wire and not yet in a commit; not part of `counters.received`.
    pub in_flight: u64,
    pub commit_times: CommitTimes,
    pub fsync_errors: u64,
    pub journal_bytes: u64,
    pub disk_free_bytes: u64,
    pub disk_full: bool,
    /// Hash of configuration and registry in force.
    pub config_hash: String,
    /// How long the oldest message that is not committed has been waiting.
    pub oldest_unacked_seconds: f64,
    pub brokers: Vec<BrokerCounts>,
    pub edge_nodes: EdgeNodeCounts,
    pub projections: Vec<projection::Report>,
}

/// One broker that messages are taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerCounts {
    /// As the config file names it.
    pub name: String,
    pub is_connected: bool,
    /// How often it had forgotten our session, and what it held in it.
    pub session_lost: u64,
    pub reconnects: u64,
    pub unacknowledged: u64,
    /// Connections given up because an acknowledgement did not leave.
    pub watchdog: u64,
}

/// Sums over the edge nodes that are known. Every state and deviation is there, at 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeNodeCounts {
    pub by_state: Vec<(&'static str, u64)>,
    pub deviations: Vec<(&'static str, u64)>,
    pub lost_messages: u64,
    pub rebirths_asked: u64,
    pub rebirths_answered: u64,
}

/// How long commits took: the histogram that the committer keeps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitTimes {
    /// (upper bound in seconds, commits at or below it), ascending; the last bound is infinite and may be left out.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum_seconds: f64,
}

/// How far a long load has come, for the bar on the pages.
#[derive(Debug, Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub total: AtomicU64,
}

impl Progress {
    /// Share done; none once it is complete (or nothing is to be done).
    pub fn share(&self) -> Option<f64> {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        (done < total).then(|| done as f64 / total as f64)
    }
}

/// Everything that a request may ask.
pub struct Site {
    pub aggregator: Arc<Aggregator>,
    pub store: Arc<Store>,
    pub registry: Arc<InForce>,
    pub programme: Arc<Programme>,
    /// What the demo's simulator was told, by pilot.
    pub truth: Option<Arc<BTreeMap<PilotId, Truth>>>,
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    pub ops: Arc<dyn Fn() -> OpsSnapshot + Send + Sync>,
    /// Makes corrections.
    pub correct: Arc<corrections::Correct>,
    /// Who sends, since the start of the process.
    pub heard: Arc<dyn Fn(gateways::Wants<'_>) -> gateways::Heard + Send + Sync>,
    /// The demo's load of history.
    pub progress: Option<Arc<Progress>>,
    /// Version control id of the build; empty if unknown.
    pub commit: &'static str,
    state: SiteState,
}

/// What the site keeps for itself.
struct SiteState {
    store_calls: Semaphore,
    programme_views: snapshot::Cache,
}

impl Default for SiteState {
    fn default() -> SiteState {
        SiteState { store_calls: Semaphore::new(STORE_CALLS_MAX), programme_views: snapshot::Cache::default() }
    }
}

impl Site {
    /// A site over an aggregator, with doors that report nothing; fill in the public fields that apply.
    pub fn new(aggregator: Arc<Aggregator>) -> Site {
        Site {
            store: Arc::clone(&aggregator.store),
            registry: Arc::clone(&aggregator.registry),
            programme: Arc::clone(&aggregator.programme),
            aggregator,
            truth: None,
            health: Arc::new(Health::default),
            ops: Arc::new(OpsSnapshot::default),
            correct: Arc::new(|_rows| {
                Err(corrections::NotCorrected::Failed("this process makes no corrections".to_owned()))
            }),
            heard: Arc::new(|_wants| gateways::Heard::default()),
            progress: None,
            commit: "",
            state: SiteState::default(),
        }
    }

    fn is_loading_history(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.share().is_some())
    }

    /// What is not in yet, for the bar on the pages; none in steady state.
    fn loading(&self, now: UnixMillis) -> Option<Loading> {
        if let Some(share) = self.progress.as_ref().and_then(|progress| progress.share()) {
            return Some(Loading::History(share));
        }
        let oldest = self.store.oldest_commit_after(self.aggregator.figured_through())?;
        let seconds = (now.0 - oldest.0) as f64 / 1_000.0;
        (seconds >= BEHIND_SECONDS_SHOWN).then_some(Loading::Figures(seconds))
    }
}

/// Answers on `listener` until `shutdown` is done; open answers then get [`STOP_GRACE`].
///
/// On a loopback address nobody needs a token; on any other every path but `/healthz` and `/metrics` does.
///
/// # Errors
/// If the listener has no address or accepting fails for good.
pub async fn serve(
    listener: TcpListener,
    site: Arc<Site>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let gate = access::Gate::of(listener.local_addr()?);
    let (stopped, stop) = tokio::sync::oneshot::channel::<()>();
    let listener = listener.tap_io(|stream| {
        // Without it the last packet of an answer may wait 40 ms for an acknowledgement; a failure costs only that.
        let _ = stream.set_nodelay(true);
    });
    let graceful = axum::serve(listener, router(site, gate)).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody listens any more if the server ended by itself; then there is nothing to stop.
        let _ = stopped.send(());
    });
    let grace = async {
        match stop.await {
            Ok(()) => tokio::time::sleep(STOP_GRACE).await,
            // The server ended first and dropped the sender.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = async { graceful.await } => served,
        () = grace => Ok(()),
    }
}
