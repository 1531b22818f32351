//! `check --data`: reads every blob of both files and verifies it; finds what SQLite's own check cannot.
//!
//! Beside the checksums: the chain and the numbers of the journal (no holes, begins no later than settling ended), that
//! a chunk's columns say what its readings say, that chunks of a series do not overlap, and SQLite's `quick_check`.
//!
//! Invariant: damage is collected, not raised; every finding names file, table and key.

use std::path::Path;

use rusqlite::Connection;

use crate::api::{CommitNo, Damage};
use crate::chunk;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::open::Store;
use crate::outbox::OUTBOX_SINCE;
use crate::replay::{State, Tail};
use crate::row::{Points, chain_in, chain_of};
use crate::schema::{CORRECTIONS_SINCE, JOURNAL_FILE, STORE_FILE, journal_reader, store_reader, version_of};
use crate::seal::unseal;
use crate::wal;

/// Every table with sealed blobs, with the query that gives (place, blob).
const SEALED: [(&str, &str); 25] = [
    ("state", "SELECT 'state/' || key, blob FROM state"),
    ("series", "SELECT 'series/' || id, blob FROM series"),
    ("conflict", "SELECT 'conflict/' || series || '/' || at || '/' || id || '/' || hex(lost), blob FROM conflict"),
    ("order_event", "SELECT 'order_event/' || pilot || '/' || order_id || '/' || event, blob FROM order_event"),
    ("rejection", "SELECT 'rejection/' || id, blob FROM rejection"),
    ("hashes", "SELECT 'hashes/' || id, blob FROM hashes"),
    ("session", "SELECT 'session/' || client_id, blob FROM session"),
    ("held", "SELECT 'held/' || client_id || '/' || packet_id, blob FROM held"),
    ("sequence", "SELECT 'sequence/' || pilot || '/' || gateway || '/' || boot, blob FROM sequence"),
    ("rollup", "SELECT 'rollup/' || series || '/' || month, blob FROM rollup"),
    ("month_sums", "SELECT 'month_sums/' || series, blob FROM month_sums"),
    ("figure", "SELECT 'figure/' || scope || '/' || indicator, blob FROM figure"),
    ("meta", "SELECT 'meta/' || key, blob FROM meta"),
    ("login", "SELECT 'login/' || name, blob FROM login"),
    ("token", "SELECT 'token/' || name, blob FROM token"),
    ("chunk", "SELECT 'chunk/' || series || '/' || first_at, blob FROM chunk"),
    ("outage", "SELECT 'outage/' || pilot || '/' || asset || '/' || first_at || '/' || last_at, blob FROM outage"),
    ("learned", "SELECT 'learned/' || pilot || '/' || topic, blob FROM learned"),
    ("import", "SELECT 'import/' || id, blob FROM import"),
    ("correction", "SELECT 'correction/' || series || '/' || at || '/' || id || '/' || number, blob FROM correction"),
    ("part", "SELECT 'part/' || series || '/' || part, blob FROM part"),
    ("ledger", "SELECT 'ledger/' || scope || '/' || entry, blob FROM ledger"),
    ("ledger_head", "SELECT 'ledger_head/' || scope || '/' || indicator, blob FROM ledger_head"),
    ("quarantine", "SELECT 'quarantine/' || hex(hash), blob FROM quarantine"),
    ("unpublished", "SELECT 'unpublished/' || scope || '/' || indicator, blob FROM unpublished"),
];

/// The version of the store that brought a table.
fn since(table: &str) -> i64 {
    match table {
        "outage" | "learned" => 2,
        "ledger" | "ledger_head" | "unpublished" => 4,
        "import" => 5,
        "correction" => CORRECTIONS_SINCE,
        "quarantine" => OUTBOX_SINCE,
        _ => 1,
    }
}

struct Findings(Vec<Damage>);

impl Findings {
    fn add(&mut self, file: &str, place: &str, text: impl Into<String>) {
        self.0.push(Damage { place: format!("{file}: {place}"), text: text.into() });
    }

    fn add_error(&mut self, file: &str, place: &str, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.add(file, place, text);
    }
}

impl Store {
    /// Reads every blob of both files and checks its checksum; works beside a running owner.
    ///
    /// # Errors
    /// Only if a file cannot be opened at all; damage is returned, not raised.
    pub fn check(dir: &Path) -> Result<Vec<Damage>, StoreError> {
        let mut findings = Findings(Vec::new());
        check_logs(dir, &mut findings);
        let journal = journal_reader(dir)?;
        let store = store_reader(dir)?;
        // The journal's snapshot before the store's: see `replay`.
        match Tail::snapshot(&journal) {
            Ok(tail) => {
                let state = State::read(&store).unwrap_or_default();
                check_journal(&tail, &state, &mut findings);
            }
            Err(error) => findings.add_error(JOURNAL_FILE, "journal", &error),
        }
        let version = version_of(&store)?;
        for (table, query) in SEALED {
            // A file that no owner has opened since an older version has no such tables yet.
            if version < since(table) {
                continue;
            }
            if let Err(error) = check_sealed(&store, query, &mut findings) {
                findings.add_error(STORE_FILE, table, &error);
            }
        }
        if let Err(error) = check_chunks(&store, &mut findings) {
            findings.add_error(STORE_FILE, "chunk", &error);
        }
        if let Err(error) = check_set_aside(&store, &mut findings) {
            findings.add_error(STORE_FILE, "damaged", &error);
        }
        for (file, conn) in [(JOURNAL_FILE, &journal), (STORE_FILE, &store)] {
            if let Err(error) = quick_check(file, conn, &mut findings) {
                findings.add_error(file, "quick_check", &error);
            }
        }
        Ok(findings.0)
    }
}

/// The write-ahead logs, unless an owner is writing them, and those that were set aside.
fn check_logs(dir: &Path, findings: &mut Findings) {
    let no_owner = Lock::hold_off(dir);
    for file in [JOURNAL_FILE, STORE_FILE] {
        let log = format!("{file}-wal");
        let path = dir.join(&log);
        if no_owner.is_some() {
            match wal::lost(&path) {
                Ok(None) => {}
                Ok(Some(text)) => findings.add(&log, "frames", text),
                Err(error) => findings.add_error(&log, "frames", &error),
            }
        }
        let aside = wal::aside(&path);
        if aside.exists() {
            let text = "a damaged log was set aside at a start; delete it once it was looked into";
            findings.add(&log, &aside.display().to_string(), text);
        }
    }
}

fn check_journal(tail: &Tail<'_>, state: &State, findings: &mut Findings) {
    let mut before: Option<(CommitNo, u64)> = None;
    let mut points = Points::default();
    let read = tail.each(CommitNo(0), |found| {
        let place = format!("journal/{}", found.commit.0);
        let opened = found.open().and_then(|row| row.parts().and_then(|_| row.readings_into(&mut points)));
        if let Err(error) = opened {
            findings.add_error(JOURNAL_FILE, &place, &error);
        }
        points = Points::default();
        let expected = match before {
            Some((commit, chain)) => Some((CommitNo(commit.0 + 1), chain)),
            None if found.commit.0 > state.settled.0 => Some((CommitNo(state.settled.0 + 1), state.chain)),
            None => None,
        };
        if let Some((commit, chain)) = expected {
            if commit != found.commit {
                findings.add(
                    JOURNAL_FILE,
                    &place,
                    format!("commits {} to {} are missing", commit.0, found.commit.0 - 1),
                );
            } else if chain_in(found.blob) != Some(chain) {
                findings.add(JOURNAL_FILE, &place, "it does not follow the row before it");
            }
        }
        before = Some((found.commit, chain_of(found.blob)));
        Ok(())
    });
    if let Err(error) = read {
        findings.add_error(JOURNAL_FILE, "journal", &error);
    }
    if let Some((last, _)) = before.filter(|(last, _)| last.0 < state.settled.0) {
        let text = format!("its tail is gone: commits {} to {} were settled from it", last.0 + 1, state.settled.0);
        findings.add(JOURNAL_FILE, "journal", text);
    }
}

fn check_sealed(conn: &Connection, query: &str, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place: String = row.get(0)?;
        let blob = row.get_ref(1)?;
        if let Err(error) = unseal(&place, blob.as_blob()?) {
            findings.add_error(STORE_FILE, &place, &error);
        }
    }
    Ok(())
}

/// What a chunk's columns say against what its readings say, and against the chunk before it.
fn check_chunks(conn: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut statement =
        conn.prepare("SELECT series, first_at, last_at, n, blob FROM chunk ORDER BY series, first_at")?;
    let mut rows = statement.query([])?;
    let mut before: Option<(i64, i64)> = None;
    while let Some(row) = rows.next()? {
        let (series, first_at, last_at): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let n = row.get::<_, u32>(3)? as usize;
        let place = format!("chunk/{series}/{first_at}");
        if before.is_some_and(|(other, last_at)| other == series && last_at >= first_at) {
            findings.add(STORE_FILE, &place, "it overlaps the chunk before it");
        }
        before = Some((series, last_at));
        let blob = row.get_ref(4)?.as_blob()?;
        // A wrong checksum was found with the other blobs.
        let Ok(payload) = unseal(&place, blob) else { continue };
        match chunk::decode(&place, payload) {
            Ok(readings) => {
                let ends = readings.first().zip(readings.last()).map(|(first, last)| (first.at.0, last.at.0));
                if ends != Some((first_at, last_at)) || readings.len() != n {
                    findings.add(STORE_FILE, &place, "its columns do not say what its readings say");
                }
                if !readings.is_sorted_by(|a, b| a.cmp_identity(b).is_lt()) {
                    findings.add(STORE_FILE, &place, "its readings are out of order");
                }
            }
            Err(error) => findings.add_error(STORE_FILE, &place, &error),
        }
    }
    Ok(())
}

/// Journal rows that were damaged when they were to be settled.
fn check_set_aside(conn: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT commit_no, reason FROM damaged ORDER BY commit_no")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (commit, reason): (i64, String) = (row.get(0)?, row.get(1)?);
        findings.add(STORE_FILE, &format!("damaged/{commit}"), format!("a journal row was set aside: {reason}"));
    }
    Ok(())
}

fn quick_check(file: &str, conn: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("PRAGMA quick_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if text != "ok" {
            findings.add(file, "quick_check", text);
        }
    }
    Ok(())
}
