//! Counts what the other database holds against what the store says it should: by measurement and hour.

use std::collections::BTreeMap;

use model::{UnixMillis, clock};
use serde::{Deserialize, Serialize};
use store::{Fill, StoreError, Waits};

use super::client::Client;
use super::points::{FIGURE, READING, ROLLUP_HOUR, start_of};
use super::server::{NotReady, Server};
use super::{ClientError, Measurement, Settings};
use crate::Aggregator;

const MS_PER_HOUR: i64 = 3_600_000;
/// Hours counted by one query.
const HOURS_PER_QUERY: i64 = 24 * 90;

/// An hour in which the two do not hold the same number of points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    pub measurement: String,
    /// Start of the hour.
    pub hour: UnixMillis,
    /// What the store has.
    pub expected: u64,
    /// What the other database has.
    pub found: u64,
}

impl Mismatch {
    /// Points that are not there.
    pub fn missing(&self) -> u64 {
        self.expected.saturating_sub(self.found)
    }
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum NotCounted {
    #[error("failed to read the store")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}")]
    Server(String),
}

impl From<NotReady> for NotCounted {
    fn from(error: NotReady) -> NotCounted {
        let (NotReady::Hold(text) | NotReady::Later(text)) = error;
        NotCounted::Server(text)
    }
}

/// Points by the start of their hour.
type ByHour = BTreeMap<i64, u64>;

impl Aggregator {
    /// Counts everything that is projected, hour by hour; gives the hours that differ.
    ///
    /// # Errors
    /// If the server cannot be asked, or on reading the store.
    pub fn verify_projection(&self, settings: &Settings, progress: &dyn Fn(f64)) -> Result<Vec<Mismatch>, NotCounted> {
        let client = Client::new(settings)?;
        let server = Server::meet(&client)?;
        let mut span: Option<(UnixMillis, UnixMillis)> = None;
        for id in self.projected_series() {
            if let Some((from, to)) = self.store.span(id)? {
                span = Some(span.map_or((from, to), |known| (known.0.min(from), known.1.max(to))));
            }
        }
        let Some((from, to)) = span else { return Ok(Vec::new()) };
        // From the start of the year, where the points of its figures are.
        let from = from.0.min(clock::now().0) - 366 * 24 * MS_PER_HOUR;
        let span = (
            UnixMillis(from.div_euclid(MS_PER_HOUR) * MS_PER_HOUR),
            UnixMillis((to.0 / MS_PER_HOUR + 1) * MS_PER_HOUR),
        );
        self.count_projection((&server, &client, settings), span, progress)
    }

    /// [`Aggregator::verify_projection`] of whole hours.
    pub(crate) fn count_projection(
        &self,
        (server, client, settings): (&Server, &Client, &Settings),
        (from, to): (UnixMillis, UnixMillis),
        progress: &dyn Fn(f64),
    ) -> Result<Vec<Mismatch>, NotCounted> {
        let mut mismatches = Vec::new();
        let n_parts = Measurement::ALL.len() as f64;
        for (n, measurement) in Measurement::ALL.into_iter().enumerate() {
            progress(n as f64 / n_parts);
            if !settings.sends(measurement) {
                continue;
            }
            let name = name_of(measurement);
            let mut found = ByHour::new();
            let mut start = from.0;
            while start < to.0 {
                let end = (start + HOURS_PER_QUERY * MS_PER_HOUR).min(to.0);
                let span = (UnixMillis(start), UnixMillis(end));
                let Some(counts) = server.count(client, settings, name, span)? else {
                    return Err(NotCounted::Server(format!("{} cannot be asked what it holds", server.name())));
                };
                found.extend(counts);
                start = end;
            }
            let expected = self.expected(measurement, server, (from, to))?;
            compare(name, &expected, &found, &mut mismatches);
        }
        Ok(mismatches)
    }

    fn expected(
        &self,
        measurement: Measurement,
        server: &Server,
        (from, to): (UnixMillis, UnixMillis),
    ) -> Result<ByHour, StoreError> {
        let mut expected = ByHour::new();
        let mut add = |at: UnixMillis| {
            if from <= at && at < to {
                *expected.entry(at.0.div_euclid(MS_PER_HOUR) * MS_PER_HOUR).or_default() += 1;
            }
        };
        match measurement {
            Measurement::Reading => {
                for id in self.projected_series() {
                    crate::derive::each_reading(&self.store, id, (from.0, to.0), |reading| {
                        if reading.value.is_some() || server.counts_without_value() {
                            add(reading.at);
                        }
                    })?;
                }
            }
            Measurement::RollupHour => {
                for id in self.projected_series() {
                    self.hours_of(id, from, to)?.iter().for_each(|row| add(row.start));
                }
            }
            Measurement::Figure => {
                for scope in self.scopes() {
                    for indicator in crate::figured::indicators_of(&self.registry.get(), &scope) {
                        let figures = self.stored_figures(&scope, &indicator)?;
                        // Where only numbers are kept, those with a target are counted.
                        let counts = |figure: &&model::Figure| figure.target.is_some() || server.counts_without_value();
                        figures.iter().filter(counts).for_each(|figure| add(start_of(figure)));
                    }
                }
            }
        }
        Ok(expected)
    }

    /// Has the hours sent again in which points are missing.
    pub(crate) fn note_missing(&self, mismatches: &[Mismatch], now: UnixMillis) -> Result<(), StoreError> {
        let series = self.projected_series();
        for mismatch in mismatches.iter().filter(|mismatch| mismatch.missing() > 0) {
            let what = match mismatch.measurement.as_str() {
                READING => Waits::Readings,
                ROLLUP_HOUR => Waits::Hours,
                _ => continue,
            };
            let within = (mismatch.hour, mismatch.hour.plus(MS_PER_HOUR - 1));
            for ids in series.chunks(super::NOTES_PER_TX) {
                self.store
                    .write(|tx| ids.iter().try_for_each(|id| tx.note_span((what, *id), within, Fill::Over, now)))?;
            }
        }
        Ok(())
    }
}

fn name_of(measurement: Measurement) -> &'static str {
    match measurement {
        Measurement::Reading => READING,
        Measurement::RollupHour => ROLLUP_HOUR,
        Measurement::Figure => FIGURE,
    }
}

fn compare(measurement: &str, expected: &ByHour, found: &ByHour, mismatches: &mut Vec<Mismatch>) {
    let hours: std::collections::BTreeSet<&i64> = expected.keys().chain(found.keys()).collect();
    for hour in hours {
        let of = |counts: &ByHour| counts.get(hour).copied().unwrap_or(0);
        if of(expected) != of(found) {
            let (measurement, hour) = (measurement.to_owned(), UnixMillis(*hour));
            mismatches.push(Mismatch { measurement, hour, expected: of(expected), found: of(found) });
        }
    }
}
