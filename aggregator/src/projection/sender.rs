//! The thread that sends: takes what waits, makes lines, has them acknowledged, takes it out of the outbox.
//!
//! Lines of many spans travel in one request; a span counts as sent once everything that was made since was acknowledged. What
//! a server refuses is found by halving the batch, because sending a line twice changes nothing; before the first line is set
//! aside a line known to be good has to pass, so that a server that refuses everything loses nothing.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use model::{Indicator, Scope, SeriesKey, UnixMillis, clock};
use store::{Fill, OutboxFigures, OutboxSpan, StoreError, Waits};

use super::client::{Answer, Client, Unanswered};
use super::points::{self, FIGURE, Made, READING, ROLLUP_HOUR};
use super::reaction::{All, PAUSE_MAX, Reaction, react};
use super::server::{NotReady, Server, Tags};
use super::{Measurement, Settings, Status};
use crate::Aggregator;

/// Lines of one request; some 120 bytes each.
const LINES_MAX: usize = 5_000;
/// Bytes of one request before it is compressed: below the smallest limit that servers are known to have.
const BYTES_MAX: usize = 1 << 20;
/// Spans taken at once: their lines share requests.
const SPANS_MAX: u32 = 500;
/// After so long the outbox is looked at again, so that a history does not hold up what is live.
const LOT: Duration = Duration::from_secs(2);
/// Sets of figures taken at once.
const FIGURES_MAX: u32 = 20;
/// How often the backlog is measured.
const SIZE_EVERY: Duration = Duration::from_secs(5);
/// How often points are counted there.
const COUNT_EVERY: Duration = Duration::from_secs(3_600);
/// What is counted each time: what is older was counted before.
const COUNTED_MS: i64 = 48 * 3_600_000;
/// Rows of hours read at once.
const HOURS_MS: i64 = 400 * 86_400_000;
/// The first span of readings read at once; it doubles while few come and halves when many do.
const READINGS_MS: i64 = 86_400_000;
const READINGS_MANY: usize = 100_000;
const READINGS_FEW: usize = 20_000;
/// Before and after every figure.
const ALL_TIME_NS: (i64, i64) = (0, 4_102_444_800_000_000_000);

/// How fast the thread looks and waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two looks at an empty outbox.
    pub(crate) look: Duration,
    /// The first pause after a failure; it doubles up to `longest`.
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// Before a server that needs a person is looked at again.
    pub(crate) hold: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        let seconds = Duration::from_secs;
        Pace { look: seconds(1), first: seconds(1), longest: seconds(60), hold: seconds(15) }
    }
}

/// Why a round ended before its end.
enum Broken {
    Stopped,
    Held(String),
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Broken {
        Broken::Store(error)
    }
}

/// See the module's comment.
pub(crate) struct Sender {
    aggregator: Arc<Aggregator>,
    client: Client,
    settings: Settings,
    status: Arc<Status>,
    stopped: Receiver<()>,
    pace: Pace,
    server: Option<Server>,
    n_failures: u32,
    lines: Vec<String>,
    n_bytes: usize,
    measured: Option<Instant>,
    counted: Instant,
}

impl Sender {
    pub(crate) fn new(
        (aggregator, client, settings): (Arc<Aggregator>, Client, Settings),
        status: Arc<Status>,
        stopped: Receiver<()>,
        pace: Pace,
    ) -> Sender {
        let (name, url, bucket) = ("influx", settings.url.clone(), settings.bucket.clone());
        status.change(|report| (report.name, report.url, report.bucket) = (name, url, bucket));
        Sender {
            aggregator,
            client,
            settings,
            status,
            stopped,
            pace,
            server: None,
            n_failures: 0,
            lines: Vec::new(),
            n_bytes: 0,
            measured: None,
            counted: Instant::now(),
        }
    }

    /// Sends until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            let pause = match self.round() {
                Ok(true) => Duration::ZERO,
                Ok(false) => self.pace.look,
                Err(Broken::Stopped) => return,
                Err(Broken::Held(words)) => {
                    self.trouble(&words);
                    // Whatever a person changes may be another server.
                    self.server = None;
                    self.pace.hold
                }
                Err(Broken::Store(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "projection cannot read the store");
                    self.trouble(&format!("the store does not read: {error}"));
                    self.pace.hold
                }
            };
            self.lines.clear();
            self.n_bytes = 0;
            if self.wait(pause).is_err() {
                return;
            }
        }
    }

    /// Takes one lot through; whether there may be more.
    fn round(&mut self) -> Result<bool, Broken> {
        let server = match self.server.clone() {
            Some(server) => server,
            None => self.meet()?,
        };
        let figures = self.aggregator.store.outbox_figures(FIGURES_MAX)?;
        for figures in &figures {
            self.push_figures(&server, figures)?;
        }
        let spans = self.aggregator.store.outbox_spans(SPANS_MAX)?;
        let (began, mut n_done) = (Instant::now(), 0);
        for span in &spans {
            self.push_span(&server, span)?;
            n_done += 1;
            if began.elapsed() > LOT {
                break;
            }
        }
        self.flush(&server)?;
        let more = !figures.is_empty() || !spans.is_empty();
        if more {
            self.aggregator.store.write(|tx| {
                figures.iter().try_for_each(|figures| tx.figures_sent(figures))?;
                tx.spans_sent(spans.get(..n_done).unwrap_or_default())
            })?;
        }
        if self.server.is_some() {
            self.status.change(|report| report.trouble = None);
        }
        self.measure(SIZE_EVERY)?;
        if !more {
            self.measure(Duration::ZERO)?;
            self.count(&server)?;
        }
        Ok(more)
    }

    /// Finds out who is there and whether it is fit, again and again until somebody is.
    fn meet(&mut self) -> Result<Server, Broken> {
        loop {
            match self.look_at_server() {
                Ok((server, mut guarantees, kept)) => {
                    guarantees.push(kept);
                    let name = server.name();
                    tracing::info!(server = name, url = self.client.url(), ?guarantees, "projection begins");
                    self.status.change(|report| (report.server, report.guarantees) = (Some(name), guarantees));
                    self.server = Some(server.clone());
                    self.n_failures = 0;
                    return Ok(server);
                }
                Err(NotReady::Hold(words)) => return Err(Broken::Held(words)),
                Err(NotReady::Later(words)) => self.pause(&words, None)?,
            }
        }
    }

    fn look_at_server(&self) -> Result<(Server, Vec<String>, String), NotReady> {
        let now = clock::now();
        let server = Server::meet(&self.client)?;
        let kept = server.check_bucket(&self.client, &self.settings, (self.earliest(now), now))?;
        let guarantees = server.probe(&self.client, &self.settings, now)?;
        Ok((server, guarantees, kept))
    }

    /// The first day that any figure speaks of: a baseline's.
    fn earliest(&self, now: UnixMillis) -> UnixMillis {
        let registry = self.aggregator.registry.get();
        let firsts =
            registry.pilots.values().map(|pilot| model::period::midnight(pilot.baselines_begin(), &pilot.zone));
        firsts.min().unwrap_or(now)
    }

    fn push_figures(&mut self, server: &Server, figures: &OutboxFigures) -> Result<(), Broken> {
        let (Some(scope), Some(indicator)) = (Scope::parse(&figures.scope), Indicator::parse(&figures.indicator))
        else {
            return Ok(());
        };
        if !self.settings.sends(Measurement::Figure) {
            return Ok(());
        }
        if figures.fill == Fill::Afresh {
            let tags = [("indicator", Some(&*figures.indicator)), ("scope", Some(&*figures.scope))];
            self.take_away(server, (FIGURE, &tags), ALL_TIME_NS)?;
        }
        let mut made = Vec::new();
        points::figure_lines(&self.aggregator.projected_figures(&scope, &indicator)?, server.keeps(), &mut made);
        self.push(server, made)
    }

    fn push_span(&mut self, server: &Server, span: &OutboxSpan) -> Result<(), Broken> {
        let Some(entry) = self.aggregator.store.entry(span.series) else { return Ok(()) };
        let measurement = match span.what {
            Waits::Readings => Measurement::Reading,
            Waits::Hours => Measurement::RollupHour,
        };
        if !self.settings.sends(measurement) {
            return Ok(());
        }
        if span.fill == Fill::Afresh {
            self.clear_span(server, &entry.key, span)?;
        }
        match span.what {
            Waits::Readings => self.push_readings(server, &entry.key, span),
            Waits::Hours => self.push_hours(server, &entry.key, span),
        }
    }

    /// Takes the points of a span away. A series without product cannot be told from those of its products: these are sent again.
    fn clear_span(&mut self, server: &Server, key: &SeriesKey, span: &OutboxSpan) -> Result<(), Broken> {
        if key.product.is_none() {
            let store = &self.aggregator.store;
            let is_beside =
                |other: &SeriesKey| other.asset == key.asset && other.name == key.name && other.product.is_some();
            let beside: Vec<_> =
                store.catalogue_of(&key.pilot).into_iter().filter(|entry| is_beside(&entry.key)).collect();
            let note = |tx: &store::WriteTx<'_>| {
                beside.iter().try_for_each(|entry| {
                    tx.note_span((span.what, entry.id), (span.from, span.to), Fill::Over, clock::now())
                })
            };
            store.write(note)?;
        }
        let measurement = match span.what {
            Waits::Readings => READING,
            Waits::Hours => ROLLUP_HOUR,
        };
        let tags = [
            ("asset", Some(&*key.asset)),
            ("name", Some(&*key.name)),
            ("pilot", Some(key.pilot.as_str())),
            ("product", key.product.as_deref()),
        ];
        let (from, to) = match span.what {
            Waits::Readings => (span.from.0, span.to.0),
            Waits::Hours => (hour_of(span.from), span.to.0),
        };
        // The last ms with all of its sub-slots.
        let until = to.saturating_add(1).saturating_mul(1_000_000).saturating_sub(1);
        self.take_away(server, (measurement, &tags), (from.saturating_mul(1_000_000), until))
    }

    fn push_readings(&mut self, server: &Server, key: &SeriesKey, span: &OutboxSpan) -> Result<(), Broken> {
        let (mut from, end, mut step) = (span.from.0, span.to.0.saturating_add(1), READINGS_MS);
        while from < end {
            let to = from.saturating_add(step).min(end);
            let within = (UnixMillis(from), UnixMillis(to));
            let readings = self.aggregator.store.readings(span.series, within.0, within.1)?;
            let corrections = self.aggregator.store.latest_corrections_in(span.series, within.0, within.1)?;
            let mut made = Vec::with_capacity(readings.len());
            points::reading_lines(key, &readings, &corrections, (server.keeps(), server.void()), &mut made);
            self.push(server, made)?;
            match readings.len() {
                n if n > READINGS_MANY => step = (step / 2).max(60_000),
                n if n < READINGS_FEW => step = step.saturating_mul(2),
                _ => {}
            }
            from = to;
        }
        Ok(())
    }

    fn push_hours(&mut self, server: &Server, key: &SeriesKey, span: &OutboxSpan) -> Result<(), Broken> {
        let (mut from, end) = (hour_of(span.from), span.to.0.saturating_add(1));
        while from < end {
            let to = from.saturating_add(HOURS_MS).min(end);
            let rows = self.aggregator.hours_of(span.series, UnixMillis(from), UnixMillis(to))?;
            let mut made = Vec::with_capacity(rows.len());
            points::hour_lines(key, &rows, server.keeps(), &mut made);
            self.push(server, made)?;
            from = to;
        }
        Ok(())
    }

    fn push(&mut self, server: &Server, made: Vec<Made>) -> Result<(), Broken> {
        for made in made {
            let line = match made {
                Ok(line) => line,
                Err(error) => {
                    tracing::error!(%error, "a point is not sent: a defect in the program");
                    continue;
                }
            };
            self.n_bytes += line.len() + 1;
            self.lines.push(line);
            if self.lines.len() >= LINES_MAX || self.n_bytes >= BYTES_MAX {
                self.flush(server)?;
            }
        }
        Ok(())
    }

    /// Has everything that was pushed acknowledged, or set aside.
    fn flush(&mut self, server: &Server) -> Result<(), Broken> {
        let lines = std::mem::take(&mut self.lines);
        self.n_bytes = 0;
        let mut is_sound = false;
        let mut stack = vec![lines.as_slice()];
        let mut refused: Vec<(&String, String)> = Vec::new();
        while let Some(part) = stack.pop() {
            if part.is_empty() {
                continue;
            }
            match self.send(server, &part.join("\n"), part.len()) {
                Reaction::Done => {
                    is_sound = true;
                    self.n_failures = 0;
                    self.status.change(|report| {
                        report.points_sent += part.len() as u64;
                        report.trouble = None;
                    });
                }
                Reaction::Refused { words, all } if part.len() == 1 || all == All::Dropped => {
                    if !is_sound {
                        self.pass_a_good_line(server, &words)?;
                        is_sound = true;
                    }
                    refused.extend(part.iter().map(|line| (line, words.clone())));
                }
                Reaction::TooLarge if part.len() == 1 => {
                    refused.extend(part.iter().map(|line| (line, "413: one line is too large".to_owned())));
                }
                Reaction::Refused { .. } | Reaction::TooLarge => {
                    let (first, second) = part.split_at(part.len() / 2);
                    stack.extend([second, first]);
                }
                Reaction::Again { words, after } => {
                    stack.push(part);
                    self.pause(&words, after)?;
                }
                Reaction::Hold(words) => return Err(Broken::Held(words)),
            }
        }
        self.set_aside(&refused)
    }

    /// A server that takes not even a line known to be good does not refuse lines: something else is wrong.
    fn pass_a_good_line(&mut self, server: &Server, refused_with: &str) -> Result<(), Broken> {
        let at = clock::now().0.saturating_mul(1_000_000);
        loop {
            match self.send(server, &format!("pilotline_probe value=1.5 {at}"), 1) {
                Reaction::Done => return Ok(()),
                Reaction::Again { words, after } => self.pause(&words, after)?,
                Reaction::Hold(words) => return Err(Broken::Held(words)),
                Reaction::Refused { .. } | Reaction::TooLarge => {
                    return Err(Broken::Held(format!("the server refuses every line: {refused_with}")));
                }
            }
        }
    }

    fn set_aside(&mut self, refused: &[(&String, String)]) -> Result<(), Broken> {
        let Some((line, reason)) = refused.first() else { return Ok(()) };
        tracing::warn!(n_lines = refused.len(), line, reason, "lines refused by the projection's server are set aside");
        let now = clock::now();
        for some in refused.chunks(500) {
            self.aggregator
                .store
                .write(|tx| some.iter().try_for_each(|(line, reason)| tx.quarantine(line, reason, now).map(drop)))?;
        }
        let n = self.aggregator.store.n_quarantined()?;
        self.status.change(|report| report.quarantined = n);
        Ok(())
    }

    fn send(&self, server: &Server, lines: &str, n_lines: usize) -> Reaction {
        let answer = server.write(&self.client, &self.settings, lines);
        self.note_answer(&answer);
        react(&answer, n_lines, clock::now())
    }

    fn note_answer(&self, answer: &Result<Answer, Unanswered>) {
        let code = answer.as_ref().map_or("none".to_owned(), |answer| answer.status.to_string());
        self.status.change(|report| *report.requests.entry(code).or_default() += 1);
    }

    fn take_away(&mut self, server: &Server, of: (&str, &Tags<'_>), within: (i64, i64)) -> Result<(), Broken> {
        // What was pushed before may lie in the same span.
        self.flush(server)?;
        loop {
            let answer = match server.take_away(&self.client, &self.settings, of, within) {
                Ok(None) => return Ok(()),
                Ok(Some(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            self.note_answer(&answer);
            match (&answer, react(&answer, 1, clock::now())) {
                (Ok(Answer { status: 200..=299, .. }), _) => return Ok(()),
                (_, Reaction::Again { words, after }) => self.pause(&words, after)?,
                (_, Reaction::Hold(words) | Reaction::Refused { words, .. }) => {
                    return Err(Broken::Held(format!("points are not taken away: {words}")));
                }
                (_, Reaction::Done | Reaction::TooLarge) => return Ok(()),
            }
        }
    }

    /// Counts what is there, now and then, and notes what is missing.
    fn count(&mut self, server: &Server) -> Result<(), Broken> {
        if self.counted.elapsed() < COUNT_EVERY {
            return Ok(());
        }
        self.counted = Instant::now();
        let now = clock::now();
        let span = (UnixMillis(hour_of(UnixMillis(now.0 - COUNTED_MS))), UnixMillis(hour_of(now)));
        let found = self.aggregator.count_projection((server, &self.client, &self.settings), span, &|_| ());
        match found {
            Ok(mismatches) => {
                let n_missing = mismatches.iter().map(|mismatch| mismatch.missing()).sum();
                self.status.change(|report| (report.missing, report.counted_at) = (n_missing, Some(now)));
                self.aggregator.note_missing(&mismatches, now)?;
            }
            Err(verify_error) => tracing::warn!(error = %verify_error, "points of the projection not counted"),
        }
        Ok(())
    }

    fn trouble(&self, words: &str) {
        let known = self.status.report().trouble;
        if known.as_deref() != Some(words) {
            tracing::warn!(reason = words, url = self.client.url(), "projection waits; nothing is lost");
        }
        self.status.change(|report| report.trouble = Some(words.to_owned()));
    }

    /// Waits before the next try: longer each time, with jitter, and never less than the server asked for.
    fn pause(&mut self, words: &str, after: Option<Duration>) -> Result<(), Broken> {
        self.trouble(words);
        let doubled = self.pace.first.saturating_mul(1 << self.n_failures.min(10)).min(self.pace.longest);
        self.n_failures = self.n_failures.saturating_add(1);
        let pause = doubled.mul_f64(0.5 + jitter() / 2.0).max(after.unwrap_or_default()).min(PAUSE_MAX);
        let began = Instant::now();
        while let Some(left) = pause.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
            self.measure(SIZE_EVERY)?;
            self.wait(left.min(SIZE_EVERY))?;
        }
        Ok(())
    }

    fn wait(&self, pause: Duration) -> Result<(), Broken> {
        match self.stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            // The channel ends when the projection is dropped.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Broken::Stopped),
        }
    }

    /// Measures the backlog, if that was not done for so long.
    fn measure(&mut self, every: Duration) -> Result<(), StoreError> {
        if self.measured.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        self.measured = Some(Instant::now());
        let (size, n) = (self.aggregator.store.outbox_size()?, self.aggregator.store.n_quarantined()?);
        self.status.change(|report| {
            (report.points_waiting, report.oldest, report.quarantined) = (size.points, size.oldest, n);
        });
        Ok(())
    }
}

fn hour_of(at: UnixMillis) -> i64 {
    at.0.div_euclid(3_600_000) * 3_600_000
}

/// From 0 to 1; 1 if the system gives no randomness.
fn jitter() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}
