//! Projection: readings, hourly rollups, figures and standings in InfluxDB 2 or a server that speaks its language.
//!
//! ```text
//! round of the aggregator → outbox (spans, in the store) → points → lines → POST → done | set aside | again
//! ```
//!
//! The store is the truth; the other database can be wiped and filled again. A thread of its own reads what waits in the outbox,
//! makes points of what the store says *now* and sends them; nothing else ever waits for it.
//!
//! Invariants:
//! - a span leaves the outbox only after every line of it was acknowledged or set aside with the server's reason;
//! - sending again changes nothing: a point's identity does not depend on when or how often it is sent;
//! - what was voided or lost its value is taken away first where the server can, and marked where it cannot.

mod client;
#[cfg(test)]
mod fake;
mod line;
mod points;
mod reaction;
mod sender;
mod server;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::window::QUARTER_MS;
use model::{Figure, Indicator, Scope, SeriesId, UnixMillis};
use serde::Serialize;
use store::{Fill, Registration, StoreError, Touched, Waits, WriteTx};

pub use client::ClientError;
pub use verify::Mismatch;

use crate::Aggregator;
use crate::derive::Range;

/// Series noted in one transaction.
const NOTES_PER_TX: usize = 500;
/// How long a stop waits for the sender; a request that hangs is left behind, and sent again at the next start.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// What the store keeps instead of a target while everything is being noted.
const SETTING_UP: &[u8] = b"setting up";
/// Raise when the schema of the points changes: everything is sent again.
const SCHEMA: u32 = 1;

/// What can be projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    Reading,
    RollupHour,
    Figure,
}

impl Measurement {
    /// All of them.
    pub const ALL: [Measurement; 3] = [Measurement::Reading, Measurement::RollupHour, Measurement::Figure];
}

/// What to do if the bucket is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketMissing {
    /// Wait for a person.
    Hold,
    Create,
}

/// Whether test points are written to find out what the server reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Write,
    ReadOnly,
}

/// `[projection.influx]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Without the path of the API; with the server's prefix if it has one.
    pub url: String,
    pub org: String,
    /// The database of version 1.
    pub bucket: String,
    /// Its text is the token; `USER:PASSWORD` of version 1.8.
    pub token_file: Option<PathBuf>,
    /// PEM file of who signed the server's certificate; none = the system's authorities.
    pub ca: Option<PathBuf>,
    pub bucket_missing: BucketMissing,
    pub measurements: BTreeSet<Measurement>,
    pub probe: Probe,
}

impl Settings {
    /// Whether a client can be made with them.
    ///
    /// # Errors
    /// If the address is none, or the certificates do not read.
    pub fn check(&self) -> Result<(), ClientError> {
        client::Client::new(self).map(drop)
    }

    /// Names what is projected to: something else has nothing yet.
    fn target(&self) -> Vec<u8> {
        let measurements = serde_json::to_string(&self.measurements).unwrap_or_default();
        format!("{SCHEMA}\n{}\n{}\n{}\n{measurements}", self.url, self.org, self.bucket).into_bytes()
    }

    fn sends(&self, measurement: Measurement) -> bool {
        self.measurements.contains(&measurement)
    }
}

/// How a projection is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub name: &'static str,
    pub url: String,
    pub bucket: String,
    /// Which server answered; none until one did.
    pub server: Option<String>,
    /// What it guarantees, in sentences.
    pub guarantees: Vec<String>,
    /// Why nothing is sent right now; none while it is.
    pub trouble: Option<String>,
    /// Points that wait, estimated.
    pub points_waiting: u64,
    /// When the oldest of them was noted.
    pub oldest: Option<UnixMillis>,
    /// Points acknowledged since the start of the process.
    pub points_sent: u64,
    /// Lines that the server refused.
    pub quarantined: u64,
    /// Requests by the status of their answer, or `none`; since the start of the process.
    pub requests: BTreeMap<String, u64>,
    /// Points that the last count found missing.
    pub missing: u64,
    pub counted_at: Option<UnixMillis>,
}

/// The report, shared with who asks.
#[derive(Debug, Default)]
pub struct Status(Mutex<Report>);

impl Status {
    /// As it is now.
    pub fn report(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A running projection; stopped when dropped.
pub struct Projection {
    status: Arc<Status>,
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Projection {
    /// Notes everything if the target is a new one, and starts the thread that sends. The server need not be there.
    ///
    /// # Errors
    /// If the address or the certificates are of no use, on writing the store, or if no thread can be had.
    pub fn start(aggregator: &Arc<Aggregator>, settings: Settings) -> Result<Projection, ProjectionError> {
        Projection::start_at(aggregator, settings, sender::Pace::default())
    }

    fn start_at(
        aggregator: &Arc<Aggregator>,
        settings: Settings,
        pace: sender::Pace,
    ) -> Result<Projection, ProjectionError> {
        let client = client::Client::new(&settings)?;
        aggregator.set_up_projection(&settings, model::clock::now())?;
        let status = Arc::new(Status::default());
        let (stop, stopped) = channel::<()>();
        let (end, ended) = channel::<()>();
        let sender =
            sender::Sender::new((Arc::clone(aggregator), client, settings), Arc::clone(&status), stopped, pace);
        let run = move || {
            sender.run();
            drop(end);
        };
        std::thread::Builder::new().name("projection".to_owned()).spawn(run).map_err(ProjectionError::Thread)?;
        Ok(Projection { status, stop: Some(stop), ended })
    }

    /// How it is.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(STOP_GRACE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the projection waits for an answer and is left behind; what it sent is sent again");
        }
    }
}

/// Why a projection does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("failed to note what is to be projected")]
    Store(#[from] StoreError),
    #[error("failed to start the projection's thread")]
    Thread(#[source] std::io::Error),
}

/// Notes what rolling up a series changed: the readings that came in or were corrected, and the hours they reach.
pub(crate) fn note_series(
    tx: &WriteTx<'_>,
    id: SeriesId,
    touched: &[&Touched],
    ranges: &[Range],
    now: UnixMillis,
) -> Result<(), StoreError> {
    for touched in touched.iter().filter(|touched| matches!(touched.why, 0 | Touched::CORRECTION)) {
        let fill = if touched.why == 0 { Fill::Over } else { Fill::Afresh };
        tx.note_span((Waits::Readings, id), (touched.from, touched.to), fill, now)?;
    }
    // Readings only ever add to an hour; what else touches may leave it without a value.
    let fill = if touched.iter().all(|touched| touched.why == 0) { Fill::Over } else { Fill::Afresh };
    for range in ranges {
        let (from, to) = (UnixMillis(range.from * QUARTER_MS), UnixMillis(range.to * QUARTER_MS - 1));
        tx.note_span((Waits::Hours, id), (from, to), fill, now)?;
    }
    Ok(())
}

/// How changed figures are sent: afresh if something of the old ones would stand that is no longer true.
pub(crate) fn fill_of_figures(old: &[Figure], new: &[Figure], was_published: bool) -> Fill {
    if was_published || points::leaves_remains(old, new) { Fill::Afresh } else { Fill::Over }
}

impl Aggregator {
    /// Notes everything if the target is another than the one noted so far.
    fn set_up_projection(&self, settings: &Settings, now: UnixMillis) -> Result<(), StoreError> {
        let target = settings.target();
        if self.store.projection()?.as_deref() == Some(target.as_slice()) {
            return Ok(());
        }
        self.store.write(|tx| tx.forget_outbox().and_then(|()| tx.project_to(Some(SETTING_UP))))?;
        self.note_everything(now)?;
        // Last: whoever is killed before begins anew.
        self.store.write(|tx| tx.project_to(Some(&target)))
    }

    /// Ends a projection: nothing is noted any more, and the next one gets everything.
    ///
    /// # Errors
    /// On writing the store.
    pub fn end_projection(&self) -> Result<(), StoreError> {
        if self.store.projection()?.is_none() {
            return Ok(());
        }
        self.store.write(|tx| tx.forget_outbox().and_then(|()| tx.project_to(None)))
    }

    /// Has everything sent again, what was set aside included; gives how many series and sets of figures. None if nothing is
    /// projected.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub fn rebuild_projection(&self, now: UnixMillis) -> Result<Option<(usize, usize)>, StoreError> {
        if self.store.projection()?.is_none() {
            return Ok(None);
        }
        self.store.write(|tx| tx.clear_quarantine())?;
        self.note_everything(now).map(Some)
    }

    fn note_everything(&self, now: UnixMillis) -> Result<(usize, usize), StoreError> {
        let series = self.projected_series();
        for ids in series.chunks(NOTES_PER_TX) {
            let mut spans = Vec::new();
            for id in ids {
                spans.extend(self.store.span_of_all(*id)?.map(|span| (*id, span)));
            }
            self.store.write(|tx| {
                spans.iter().try_for_each(|&(id, (from, to))| {
                    tx.note_span((Waits::Readings, id), (from, to), Fill::Afresh, now)?;
                    tx.note_span((Waits::Hours, id), (from.plus(-1), to), Fill::Afresh, now)
                })
            })?;
        }
        let mut figures = Vec::new();
        for scope in self.scopes() {
            for indicator in crate::figured::indicators_of(&self.registry.get(), &scope) {
                if !self.stored_figures(&scope, &indicator)?.is_empty() {
                    figures.push((scope.to_string(), indicator.to_string()));
                }
            }
        }
        for some in figures.chunks(NOTES_PER_TX) {
            let note = |tx: &WriteTx<'_>, (scope, indicator): &(String, String)| {
                tx.note_figures(scope, indicator, Fill::Afresh, now)
            };
            self.store.write(|tx| some.iter().try_for_each(|one| note(tx, one)))?;
        }
        Ok((series.len(), figures.len()))
    }

    /// The series that the registry declares, as the store numbers them.
    fn projected_series(&self) -> Vec<SeriesId> {
        let registry = self.registry.get();
        let of = |pilot| self.store.catalogue_of(pilot);
        let entries = registry.pilots.keys().flat_map(of);
        let declared = entries.filter(|entry| {
            let key = &entry.key;
            let pilot = registry.pilots.get(&key.pilot);
            let resolve =
                |pilot: &Arc<model::Pilot>| pilot.resolve(&key.asset, &key.name, key.product.as_deref()).is_some();
            entry.registration == Registration::Registered && pilot.is_some_and(resolve)
        });
        declared.map(|entry| entry.id).collect()
    }

    /// The figures of a scope and indicator as they are answered: with their versions.
    fn projected_figures(&self, scope: &Scope, indicator: &Indicator) -> Result<Vec<Figure>, StoreError> {
        let mut figures = self.stored_figures(scope, indicator)?.to_vec();
        self.say_versions((scope, indicator), &mut figures)?;
        Ok(figures)
    }
}
