//! The outbox of a projection: which spans of which series, and whose figures, another database does not hold yet.
//!
//! ```text
//! outbox(id, what, series, stretch, first_at, last_at, afresh, revision, noted_at)      one row a (what, series, stretch)
//! outbox_figure(scope, indicator, afresh, revision, noted_at)
//! quarantine(id, hash, blob)                                                            lines that the database refused
//! ```
//!
//! It is no copy of what is to be sent: a row is a span of committed data, and what is sent is read from the store when it is
//! sent. A span that is touched again while it waits makes its row wider, so that a backlog of a day is as long as one of a
//! minute. Nothing is noted while no projection is set up; setting one up notes everything.
//!
//! Invariants:
//! - a note is written in the transaction of what it speaks of, or before the mark that would make it be written again;
//! - a row is deleted only if it still says what was sent: one that was widened meanwhile has another revision and stays;
//! - nothing here is on the way of an acknowledgement.

use model::{SeriesId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::derived::WriteTx;
use crate::error::{StoreError, reading};
use crate::open::Store;
use crate::schema::version_of;
use crate::seal::{seal_value, unseal_value};

const OUTBOX: &str = "the outbox";
const QUARANTINE: &str = "the quarantine";

/// The version of the store that brought these tables.
pub(crate) const OUTBOX_SINCE: i64 = 7;
/// Where the store keeps what is projected to.
const TARGET_KEY: &str = "projection/influx";

/// Spans within one stretch are one row: 30 days, so that late data of last year and live data stay apart.
const STRETCH_MS: i64 = 30 * 86_400_000;
/// A span over more stretches than this is one row of its own, sent after all others: a whole history is one row a series.
const STRETCHES_MAX: i64 = 12;
/// The stretch of such a row.
const WHOLE: i64 = i64::MIN;
/// Lines kept with their reason; beyond it they are counted only. Some 300 bytes each.
const QUARANTINE_MAX: i64 = 10_000;
/// Rows that the size of the backlog is estimated from; the others are taken to be like them.
const SAMPLED_ROWS: i64 = 10_000;

/// What of a series waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waits {
    Readings,
    /// Rollups by the hour.
    Hours,
}

impl Waits {
    fn number(self) -> i64 {
        match self {
            Waits::Readings => 0,
            Waits::Hours => 1,
        }
    }
}

/// How a span is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fill {
    /// Over what the other database has: nothing that it has is wrong for want of being overwritten.
    Over,
    /// What it has of the span is taken away first: a reading or a value may be there no more.
    Afresh,
}

impl Fill {
    fn of(afresh: i64) -> Fill {
        if afresh == 0 { Fill::Over } else { Fill::Afresh }
    }

    fn number(self) -> i64 {
        match self {
            Fill::Over => 0,
            Fill::Afresh => 1,
        }
    }
}

/// A span that waits; both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxSpan {
    pub row: i64,
    pub revision: i64,
    pub what: Waits,
    pub series: SeriesId,
    pub from: UnixMillis,
    pub to: UnixMillis,
    pub fill: Fill,
}

/// Figures that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxFigures {
    pub scope: String,
    pub indicator: String,
    pub revision: i64,
    pub fill: Fill,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OutboxSize {
    /// Points, estimated: readings by the chunks that they lie in, hours, and one for each scope and indicator.
    pub points: u64,
    /// When the oldest row was noted; none if nothing waits.
    pub oldest: Option<UnixMillis>,
}

/// A line that the other database refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it was refused last.
    pub at: UnixMillis,
    /// As it was sent.
    pub line: String,
    /// What the database said.
    pub reason: String,
    pub times: u64,
}

fn quarantine_place(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("quarantine/{hex}")
}

fn has_tables(conn: &Connection) -> Result<bool, StoreError> {
    version_of(conn).map(|version| version >= OUTBOX_SINCE)
}

fn span_of(row: &Row<'_>) -> rusqlite::Result<OutboxSpan> {
    let what = if row.get::<_, i64>(2)? == 0 { Waits::Readings } else { Waits::Hours };
    Ok(OutboxSpan {
        row: row.get(0)?,
        revision: row.get(1)?,
        what,
        series: SeriesId(row.get(3)?),
        from: UnixMillis(row.get(4)?),
        to: UnixMillis(row.get(5)?),
        fill: Fill::of(row.get(6)?),
    })
}

impl Store {
    /// What is projected to, as [`WriteTx::project_to`] was told; none if nothing is.
    ///
    /// # Errors
    /// On reading.
    pub fn projection(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.meta(TARGET_KEY)
    }

    /// Spans that wait: the latest stretch first, so that what is live is not behind a history.
    ///
    /// # Errors
    /// On reading.
    pub fn outbox_spans(&self, limit: u32) -> Result<Vec<OutboxSpan>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT id, revision, what, series, first_at, last_at, afresh FROM outbox ORDER BY stretch DESC, id LIMIT ?1",
            )
            .and_then(|mut statement| statement.query_map([limit], span_of)?.collect())
            .map_err(reading(OUTBOX))
        })
    }

    /// Figures that wait, the oldest note first.
    ///
    /// # Errors
    /// On reading.
    pub fn outbox_figures(&self, limit: u32) -> Result<Vec<OutboxFigures>, StoreError> {
        let of = |row: &Row<'_>| {
            let (scope, indicator, revision) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(OutboxFigures { scope, indicator, revision, fill: Fill::of(row.get(3)?) })
        };
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT scope, indicator, revision, afresh FROM outbox_figure ORDER BY noted_at LIMIT ?1",
            )
            .and_then(|mut statement| statement.query_map([limit], of)?.collect())
            .map_err(reading(OUTBOX))
        })
    }

    /// How much waits.
    ///
    /// # Errors
    /// On reading.
    pub fn outbox_size(&self) -> Result<OutboxSize, StoreError> {
        self.read(|conn| {
            if !has_tables(conn)? {
                return Ok(OutboxSize::default());
            }
            let (n_spans, hours, oldest): (i64, i64, Option<i64>) = one(
                conn,
                "SELECT count(*) FILTER (WHERE what = 0),
                   coalesce(sum(last_at / 3600000 - first_at / 3600000 + 1) FILTER (WHERE what = 1), 0), min(noted_at) FROM outbox",
            )?;
            let (n_figures, oldest_figure): (i64, Option<i64>) = {
                let query = "SELECT count(*), min(noted_at) FROM outbox_figure";
                conn.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(reading(OUTBOX))?
            };
            let oldest = oldest.into_iter().chain(oldest_figure).min().map(UnixMillis);
            let points = readings_waiting(conn, n_spans)?.saturating_add(hours).saturating_add(n_figures);
            Ok(OutboxSize { points: u64::try_from(points).unwrap_or(0), oldest })
        })
    }

    /// Lines that were refused, the latest first.
    ///
    /// # Errors
    /// On reading, or a wrong checksum.
    pub fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        let failed = reading(QUARANTINE);
        self.read(|conn| {
            if !has_tables(conn)? {
                return Ok(Vec::new());
            }
            let mut statement =
                conn.prepare_cached("SELECT hash, blob FROM quarantine ORDER BY id DESC LIMIT ?1").map_err(&failed)?;
            let mut rows = statement.query([limit]).map_err(&failed)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let (hash, blob): (Vec<u8>, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
                found.push(unseal_value(&quarantine_place(&hash), &blob)?);
            }
            Ok(found)
        })
    }

    /// How many lines are in quarantine, those that are counted only left out.
    ///
    /// # Errors
    /// On reading.
    pub fn n_quarantined(&self) -> Result<u64, StoreError> {
        self.read(|conn| if has_tables(conn)? { n_quarantined(conn) } else { Ok(0) })
    }
}

fn one(conn: &Connection, query: &str) -> Result<(i64, i64, Option<i64>), StoreError> {
    conn.prepare_cached(query)
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .map_err(reading(OUTBOX))
}

fn n_quarantined(conn: &Connection) -> Result<u64, StoreError> {
    let n: i64 = conn
        .prepare_cached("SELECT count(*) FROM quarantine")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(reading(QUARANTINE))?;
    Ok(u64::try_from(n).unwrap_or(0))
}

/// Readings in the spans that wait: each chunk counts by how much of it lies inside.
fn readings_waiting(conn: &Connection, n_spans: i64) -> Result<i64, StoreError> {
    let query = |table: &str| {
        format!(
            "SELECT CAST(round(coalesce(sum(1.0 * held.n * (min(held.last_at, due.last_at) - max(held.first_at, due.first_at) + 1)
               / (held.last_at - held.first_at + 1)), 0.0)) AS INTEGER)
             FROM (SELECT series, first_at, last_at FROM outbox WHERE what = 0 ORDER BY stretch DESC, id LIMIT ?1) AS due
             JOIN {table} AS held ON held.series = due.series AND held.first_at <= due.last_at AND held.last_at >= due.first_at"
        )
    };
    let mut n = 0i64;
    for table in ["chunk", "part"] {
        let of_table: i64 = conn
            .prepare_cached(&query(table))
            .and_then(|mut statement| statement.query_row([SAMPLED_ROWS], |row| row.get(0)))
            .map_err(reading(OUTBOX))?;
        n = n.saturating_add(of_table);
    }
    Ok(n.saturating_mul(n_spans) / n_spans.clamp(1, SAMPLED_ROWS))
}

impl WriteTx<'_> {
    /// Forgets what waits and what was refused: it was meant for another target.
    ///
    /// # Errors
    /// On writing.
    pub fn forget_outbox(&self) -> Result<(), StoreError> {
        let statements = ["DELETE FROM outbox", "DELETE FROM outbox_figure", "DELETE FROM quarantine"];
        statements.iter().try_for_each(|statement| self.run(OUTBOX, statement, []).map(drop))
    }

    /// Sets up what is projected to: from here on changes are noted; none ends the noting.
    ///
    /// # Errors
    /// On writing.
    pub fn project_to(&self, target: Option<&[u8]>) -> Result<(), StoreError> {
        match target {
            Some(target) => self.put_meta(TARGET_KEY, target),
            None => self.run("meta", "DELETE FROM meta WHERE key = ?1", [TARGET_KEY]).map(drop),
        }
    }

    /// Notes that a span of a series, both ends included, is to be sent; without effect while nothing is projected.
    ///
    /// # Errors
    /// On writing.
    pub fn note_span(
        &self,
        (what, series): (Waits, SeriesId),
        (from, to): (UnixMillis, UnixMillis),
        fill: Fill,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let (first, last) = (from.0.div_euclid(STRETCH_MS), to.0.div_euclid(STRETCH_MS));
        if last - first >= STRETCHES_MAX {
            return self.note((what, series, WHOLE), (from.0, to.0), fill, at);
        }
        for stretch in first..=last {
            let start = stretch * STRETCH_MS;
            let within = (from.0.max(start), to.0.min(start + STRETCH_MS - 1));
            self.note((what, series, stretch), within, fill, at)?;
        }
        Ok(())
    }

    fn note(
        &self,
        (what, series, stretch): (Waits, SeriesId, i64),
        (from, to): (i64, i64),
        fill: Fill,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let statement = "INSERT INTO outbox(what, series, stretch, first_at, last_at, afresh, revision, noted_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, ?7 WHERE EXISTS (SELECT 1 FROM meta WHERE key = ?8)
             ON CONFLICT(what, series, stretch) DO UPDATE SET first_at = min(first_at, excluded.first_at),
               last_at = max(last_at, excluded.last_at), afresh = max(afresh, excluded.afresh), revision = revision + 1";
        let values = params![what.number(), series.0, stretch, from, to, fill.number(), at.0, TARGET_KEY];
        self.run(OUTBOX, statement, values).map(drop)
    }

    /// Notes that the figures of a scope and indicator are to be sent; without effect while nothing is projected.
    ///
    /// # Errors
    /// On writing.
    pub fn note_figures(&self, scope: &str, indicator: &str, fill: Fill, at: UnixMillis) -> Result<(), StoreError> {
        let statement = "INSERT INTO outbox_figure(scope, indicator, afresh, revision, noted_at)
             SELECT ?1, ?2, ?3, 0, ?4 WHERE EXISTS (SELECT 1 FROM meta WHERE key = ?5)
             ON CONFLICT(scope, indicator) DO UPDATE SET afresh = max(afresh, excluded.afresh), revision = revision + 1";
        self.run(OUTBOX, statement, params![scope, indicator, fill.number(), at.0, TARGET_KEY]).map(drop)
    }

    /// Takes out spans that were sent, unless they were noted again meanwhile.
    ///
    /// # Errors
    /// On writing.
    pub fn spans_sent(&self, spans: &[OutboxSpan]) -> Result<(), StoreError> {
        let statement = "DELETE FROM outbox WHERE id = ?1 AND revision = ?2";
        spans.iter().try_for_each(|span| self.run(OUTBOX, statement, [span.row, span.revision]).map(drop))
    }

    /// Takes out figures that were sent, unless they were noted again meanwhile.
    ///
    /// # Errors
    /// On writing.
    pub fn figures_sent(&self, figures: &OutboxFigures) -> Result<(), StoreError> {
        let OutboxFigures { scope, indicator, revision, .. } = figures;
        let statement = "DELETE FROM outbox_figure WHERE scope = ?1 AND indicator = ?2 AND revision = ?3";
        self.run(OUTBOX, statement, params![scope, indicator, revision]).map(drop)
    }

    /// Sets a refused line aside; again, it raises its count. False if there are too many: it is told and forgotten.
    ///
    /// # Errors
    /// On reading or writing.
    pub fn quarantine(&self, line: &str, reason: &str, at: UnixMillis) -> Result<bool, StoreError> {
        let hash = xxh3_128(line.as_bytes()).to_be_bytes();
        let place = quarantine_place(&hash);
        let found: Option<Vec<u8>> = self
            .conn()
            .prepare_cached("SELECT blob FROM quarantine WHERE hash = ?1")
            .and_then(|mut statement| statement.query_row([&hash[..]], |row| row.get(0)).optional())
            .map_err(reading(QUARANTINE))?;
        let known: Option<Quarantined> = found.map(|blob| unseal_value(&place, &blob)).transpose()?;
        if known.is_none() && n_quarantined(self.conn())? >= u64::try_from(QUARANTINE_MAX).unwrap_or(0) {
            return Ok(false);
        }
        let times = known.map_or(0, |known| known.times) + 1;
        let row = Quarantined { at, line: line.to_owned(), reason: reason.to_owned(), times };
        let blob = seal_value(&place, &row)?;
        let statement = "INSERT OR REPLACE INTO quarantine(hash, blob) VALUES (?1, ?2)";
        self.run(QUARANTINE, statement, params![&hash[..], blob]).map(|_| true)
    }

    /// Forgets the lines in quarantine: they are about to be sent again.
    ///
    /// # Errors
    /// On writing.
    pub fn clear_quarantine(&self) -> Result<(), StoreError> {
        self.run(QUARANTINE, "DELETE FROM quarantine", []).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;
    use crate::tests::TempDir;

    const SERIES: (Waits, SeriesId) = (Waits::Readings, SeriesId(3));

    fn noted(store: &Store, from: i64, to: i64, fill: Fill) {
        store.write(|tx| tx.note_span(SERIES, (UnixMillis(from), UnixMillis(to)), fill, UnixMillis(from))).unwrap();
    }

    fn open(dir: &TempDir) -> std::sync::Arc<Store> {
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        store.write(|tx| tx.project_to(Some(b"here"))).unwrap();
        store
    }

    #[test]
    fn a_span_that_is_touched_again_widens_its_row_and_outlives_what_was_sent_of_it() {
        let dir = TempDir::new();
        let store = open(&dir);
        noted(&store, 1_000, 2_000, Fill::Over);
        let sent = store.outbox_spans(10).unwrap();
        noted(&store, 500, 1_500, Fill::Afresh);
        store.write(|tx| tx.spans_sent(&sent)).unwrap();
        let left = store.outbox_spans(10).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].from, left[0].to, left[0].fill), (UnixMillis(500), UnixMillis(2_000), Fill::Afresh));
        assert_eq!(store.outbox_size().unwrap().oldest, Some(UnixMillis(1_000)), "it waits since the first note");
        store.write(|tx| tx.spans_sent(&left)).unwrap();
        assert_eq!((store.outbox_spans(10).unwrap(), store.outbox_size().unwrap()), (vec![], OutboxSize::default()));
        noted(&store, 1_000, 2_000, Fill::Over);
        store.write(|tx| tx.spans_sent(&sent)).unwrap();
        assert_eq!(store.outbox_spans(10).unwrap().len(), 1, "a row of the same name is another row");
    }

    #[test]
    fn late_and_live_stay_apart_and_a_history_is_one_row_behind_them() {
        let dir = TempDir::new();
        let store = open(&dir);
        noted(&store, 0, 4_000 * STRETCH_MS, Fill::Over);
        noted(&store, 5 * STRETCH_MS - 10, 5 * STRETCH_MS + 10, Fill::Over);
        noted(&store, 9 * STRETCH_MS, 9 * STRETCH_MS, Fill::Over);
        let spans: Vec<(i64, i64)> =
            store.outbox_spans(10).unwrap().iter().map(|span| (span.from.0, span.to.0)).collect();
        let five = 5 * STRETCH_MS;
        let wanted =
            [(9 * STRETCH_MS, 9 * STRETCH_MS), (five, five + 10), (five - 10, five - 1), (0, 4_000 * STRETCH_MS)];
        assert_eq!(spans, wanted);
    }

    #[test]
    fn nothing_is_noted_while_nothing_is_projected() {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        let note = |store: &Store| {
            noted(store, 0, 10, Fill::Over);
            store.write(|tx| tx.note_figures("programme", "defect_rate", Fill::Over, UnixMillis(1))).unwrap();
            (store.outbox_spans(10).unwrap().len(), store.outbox_figures(10).unwrap().len())
        };
        assert_eq!(note(&store), (0, 0));
        store.write(|tx| tx.project_to(Some(b"here"))).unwrap();
        assert_eq!(note(&store), (1, 1));
        store.write(|tx| tx.forget_outbox().and_then(|()| tx.project_to(None))).unwrap();
        assert_eq!((note(&store), store.projection().unwrap()), ((0, 0), None));
    }

    #[test]
    fn a_refused_line_is_kept_once_with_its_reason_and_its_checksum() {
        let dir = TempDir::new();
        let store = open(&dir);
        for at in [5, 7] {
            assert!(store.write(|tx| tx.quarantine("reading x=1", "no tags", UnixMillis(at))).unwrap());
        }
        let kept = Quarantined { at: UnixMillis(7), line: "reading x=1".into(), reason: "no tags".into(), times: 2 };
        assert_eq!(store.quarantined(10).unwrap(), [kept]);
        assert_eq!(Store::check(dir.path()).unwrap(), []);
        let conn = Connection::open(dir.path().join(crate::schema::STORE_FILE)).unwrap();
        conn.execute("UPDATE quarantine SET blob = CAST(blob || 'x' AS BLOB)", []).unwrap();
        assert!(Store::check(dir.path()).unwrap()[0].place.contains("quarantine/"));
    }

    #[test]
    fn the_size_of_a_backlog_is_estimated_from_chunks_and_hours() {
        let dir = TempDir::new();
        let store = open(&dir);
        let conn = Connection::open(dir.path().join(crate::schema::STORE_FILE)).unwrap();
        conn.execute("INSERT INTO chunk(series, first_at, last_at, n, blob) VALUES (3, 0, 999, 100, x'')", []).unwrap();
        noted(&store, 0, 499, Fill::Over);
        let hours = (UnixMillis(0), UnixMillis(2 * 3_600_000));
        store.write(|tx| tx.note_span((Waits::Hours, SeriesId(3)), hours, Fill::Over, UnixMillis(9))).unwrap();
        assert_eq!(store.outbox_size().unwrap(), OutboxSize { points: 53, oldest: Some(UnixMillis(0)) });
    }
}
