//! From settled readings to published figures: rollup → indicator → baseline → reduction → standing → publish.
//!
//! Incremental by touched spans; a full recompute gives the same bits.
//!
//! Invariants:
//! - arrival order does not matter: everything is added in time order, with compensation;
//! - no data is not zero: a gap shortens coverage;
//! - one number everywhere: metrics, pages and API print the same stored figure.

mod derive;
pub mod evidence;
pub mod figure;
mod figured;
#[cfg(test)]
mod fixture;
mod follow;
pub mod group;
pub mod indicator;
pub mod ledger;
mod made_with;
pub mod orders;
pub mod projection;
pub mod publish;
mod query;
pub mod rollup;
pub mod standing;
pub mod statistics;
pub mod sum;
pub mod tariff;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use model::registry::InForce;
use model::{Figure, Indicator, Period, PilotId, Programme, Scope, UnixMillis};
use seeds::factors::Factors;
use serde::Serialize;
use store::{CommitNo, Store, StoreError};

/// Rolls up, figures and keeps both current.
pub struct Aggregator {
    pub store: Arc<Store>,
    pub registry: Arc<InForce>,
    pub programme: Arc<Programme>,
    pub factors: Arc<Factors>,
    reach: Reach,
    shared: follow::Shared,
}

/// Whether the registry holds every pilot of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    AllPilots,
    /// Other processes have the other pilots: a group's figure would pass for the whole group, so there is none.
    SomePilots,
}

/// Which figures are asked for; none = all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FigureQuery {
    pub scope: Option<Scope>,
    pub indicator: Option<Indicator>,
    pub period: Option<Period>,
}

/// Which rollups are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RollupQuery {
    pub pilot: PilotId,
    pub asset: String,
    pub name: String,
    pub product: Option<String>,
    pub from: UnixMillis,
    pub to: UnixMillis,
    pub width: Width,
    pub by_band: bool,
}

/// The width of the rows asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Quarter,
    Hour,
    Day,
    Month,
    Year,
}

/// One row of `/api/v1/rollups`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollupRow {
    pub start: UnixMillis,
    pub end: UnixMillis,
    pub value: Option<f64>,
    pub unit: String,
    pub coverage: Option<f64>,
    pub n: u64,
    pub flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integral: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integral_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
}

/// What `recompute --verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub place: String,
    pub text: String,
}

/// Stops the aggregator's thread when dropped.
pub struct AggregatorGuard {
    _follower: follow::Follower,
}

impl Aggregator {
    /// Over an open store; does nothing until started.
    pub fn new(
        store: Arc<Store>,
        registry: Arc<InForce>,
        programme: Arc<Programme>,
        factors: Arc<Factors>,
    ) -> Arc<Aggregator> {
        Aggregator::reaching(Reach::AllPilots, store, registry, programme, factors)
    }

    /// The same, over all pilots or over some.
    pub fn reaching(
        reach: Reach,
        store: Arc<Store>,
        registry: Arc<InForce>,
        programme: Arc<Programme>,
        factors: Arc<Factors>,
    ) -> Arc<Aggregator> {
        Arc::new(Aggregator { store, registry, programme, factors, reach, shared: follow::Shared::default() })
    }

    /// Starts the thread that follows the settled data.
    ///
    /// # Panics
    /// If the system gives no thread.
    pub fn start(self: &Arc<Aggregator>) -> AggregatorGuard {
        // Safe because a process that cannot start one thread at its start cannot do its work at all.
        AggregatorGuard { _follower: follow::Follower::start(self).expect("a thread for the aggregator") }
    }

    /// Rolls up and figures everything that is settled but not yet figured, on this thread.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub fn catch_up(&self) -> Result<CommitNo, StoreError> {
        self.catch_up_at(model::clock::now())
    }

    /// [`Aggregator::catch_up`] as of a given time: which months are closed depends on it.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub fn catch_up_at(&self, now: UnixMillis) -> Result<CommitNo, StoreError> {
        self.round(now)
    }

    /// The last commit that rollups and figures hold.
    pub fn figured_through(&self) -> CommitNo {
        self.figured()
    }

    /// Asks for settling and figuring now and waits until `commit` is in; false on time-out.
    pub fn wait_figured(&self, commit: CommitNo, timeout: Duration) -> bool {
        self.wait(commit, timeout)
    }

    /// Takes up a changed registry: marks what depends on it as touched.
    ///
    /// # Errors
    /// On writing the store.
    pub fn registry_changed(&self) -> Result<(), StoreError> {
        self.catch_up().map(drop)
    }

    /// The stored figures asked for, by scope, indicator, period. A known scope without data gives one insufficient figure
    /// per indicator asked for; `now` is the answer's `as_of`.
    ///
    /// # Errors
    /// On reading the store.
    pub fn figures(&self, query: &FigureQuery, now: UnixMillis) -> Result<Vec<Figure>, StoreError> {
        self.answer(query, now)
    }

    /// Rollup rows, in order of start, then product.
    ///
    /// # Errors
    /// On reading the store.
    pub fn rollups(&self, query: &RollupQuery) -> Result<Vec<RollupRow>, StoreError> {
        self.rows(query)
    }

    /// Rebuilds every rollup and figure from readings.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub fn recompute(&self) -> Result<(), StoreError> {
        self.recompute_at(model::clock::now())
    }

    /// [`Aggregator::verify`] as of a given time, up to which everything is figured first.
    ///
    /// # Errors
    /// On reading the store.
    pub fn verify_at(&self, now: UnixMillis, progress: &dyn Fn(f64)) -> Result<Vec<Difference>, StoreError> {
        self.differences(now, progress)
    }

    /// Computes every rollup, month sum and figure from readings and compares bit for bit with what is stored; `progress`
    /// gets the share done. Figures are compared without `as_of`.
    ///
    /// # Errors
    /// On reading the store.
    pub fn verify(&self, progress: &dyn Fn(f64)) -> Result<Vec<Difference>, StoreError> {
        self.verify_at(model::clock::now(), progress)
    }
}
