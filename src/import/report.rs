//! What an import came to, row by row where something is wrong, series by series where nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ingest::import::{
    Became, Counts, Foreseen, Message, Notes, Opening, OrderTally, Origin, Problem, TableFile, Tally,
};
use model::reason::{Refusal, RefusedPart};
use serde::Serialize;
use serde_json::{Value, json};
use store::{Import, ImportCounts};

use crate::say::say;

/// Problems kept; more are counted only.
const PROBLEMS_MAX: usize = 10_000;
/// Problems of each sort that people see; `--json` has all that are kept.
const SHOWN_MAX: usize = 50;
const MONTHS_SHOWN_MAX: usize = 24;

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct RowProblem {
    row: Option<u64>,
    column: Option<String>,
    /// A reason of refusal, `conflict`, or `twice`.
    kind: String,
    text: String,
}

/// How far an import went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Real,
    /// `--strict`, and something was wrong.
    Stopped,
}

/// See the module's comment.
pub(super) struct Report {
    pub(super) file: String,
    pub(super) notes: Notes,
    /// Of the record that was written.
    pub(super) number: Option<i64>,
    /// Of the record that had brought all of it before.
    pub(super) earlier: Option<i64>,
    /// Beginnings that have to be marked.
    pub(super) openings: Vec<Opening>,
    n_openings: usize,
    description: String,
    left_out_columns: Vec<String>,
    sha256: String,
    size: u64,
    pub(super) mode: Mode,
    series: BTreeMap<String, Tally>,
    orders: OrderTally,
    refused: Vec<RowProblem>,
    conflicts: Vec<RowProblem>,
    twice: Vec<RowProblem>,
    /// Refusals by reason.
    reasons: BTreeMap<String, u64>,
    n_conflicts: u64,
    n_winning: u64,
    n_twice: u64,
    n_ignored: u64,
    messages: ImportCounts,
}

impl Report {
    pub(super) fn new(file: &Path, table: &TableFile, mode: Mode) -> Report {
        Report {
            file: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            notes: Notes::default(),
            number: None,
            earlier: None,
            openings: Vec::new(),
            n_openings: 0,
            description: table.description(),
            left_out_columns: table.left_out.clone(),
            sha256: table.sha256.clone(),
            size: table.size,
            mode,
            series: BTreeMap::new(),
            orders: OrderTally::default(),
            refused: Vec::new(),
            conflicts: Vec::new(),
            twice: Vec::new(),
            reasons: BTreeMap::new(),
            n_conflicts: 0,
            n_winning: 0,
            n_twice: 0,
            n_ignored: 0,
            messages: ImportCounts::default(),
        }
    }

    /// Takes what was foreseen of one message.
    pub(super) fn take(&mut self, message: &Message, foreseen: Foreseen) {
        for tally in foreseen.series {
            match self.series.get_mut(&tally.series) {
                Some(known) => known.add(tally),
                None => drop(self.series.insert(tally.series.clone(), tally)),
            }
        }
        self.orders.add(foreseen.orders);
        self.n_ignored += foreseen.n_ignored;
        for problem in foreseen.problems {
            self.problem(message, problem);
        }
        for origin in message.readings.iter().chain(&message.orders) {
            let Some(rival) = origin.rival else { continue };
            self.n_twice += 1;
            let text = format!(
                "is of the same series and time as row {rival}, with another value: only the greater stands; where both count, \
                 give each an `id`"
            );
            keep(&mut self.twice, row_problem(Some(origin), "twice", text));
        }
    }

    /// Keeps those where nothing stands; one outside the accepted time, or of which an amount ends there, needs no mark.
    pub(super) fn take_openings(&mut self, openings: &[Opening], foreseen: &Foreseen) {
        let place = |problem: &Problem| match problem {
            Problem::Refused(Refusal { part, .. }) | Problem::Conflict { part, .. } => *part,
        };
        let spoilt: BTreeSet<RefusedPart> = foreseen.problems.iter().map(place).collect();
        let n_new: u64 = foreseen.series.iter().map(|tally| tally.counts.new).sum();
        let good = (0u32..).zip(openings).filter(|(index, _)| !spoilt.contains(&RefusedPart::Reading(*index)));
        if n_new > 0 {
            self.openings.extend(good.map(|(_, opening)| opening.clone()));
            self.n_openings = self.openings.len();
        }
    }

    fn problem(&mut self, message: &Message, problem: Problem) {
        match problem {
            Problem::Refused(refusal) => {
                let origin = message.origin(refusal.part);
                let n = match refusal.part {
                    RefusedPart::Message => message.readings.len() + message.orders.len(),
                    RefusedPart::Reading(_) | RefusedPart::Order(_) => 1,
                };
                *self.reasons.entry(refusal.reason.as_str().to_owned()).or_default() += n as u64;
                let own = origin.and_then(|origin| origin.problem.clone());
                keep(&mut self.refused, row_problem(origin, refusal.reason.as_str(), own.unwrap_or(refusal.detail)));
            }
            Problem::Conflict { part, what, stands, sent, wins } => {
                self.n_conflicts += 1;
                self.n_winning += u64::from(wins);
                let then =
                    if wins { "the file's is greater and will stand" } else { "what stands is greater and stays" };
                let text = format!("{what}: {stands} stands, the file says {sent}; {then}");
                keep(&mut self.conflicts, row_problem(message.origin(part), "conflict", text));
            }
        }
    }

    pub(super) fn count(&mut self, became: Became) {
        match became {
            Became::Committed => self.messages.committed += 1,
            Became::Duplicate => self.messages.duplicate += 1,
            Became::Rejected => self.messages.rejected += 1,
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = self.orders.counts;
        self.series.values().for_each(|tally| counts.add(tally.counts));
        counts
    }

    fn n_refused(&self) -> u64 {
        self.reasons.values().sum()
    }

    fn n_unregistered(&self) -> u64 {
        self.series.values().filter(|tally| tally.declared.is_none()).map(|tally| tally.counts.all()).sum()
    }

    /// What `--strict` does not let through.
    pub(super) fn n_wrong(&self) -> u64 {
        self.n_refused() + self.n_unregistered() + self.n_twice
    }

    /// Whether the import changes what stands.
    pub(super) fn changes_anything(&self) -> bool {
        self.counts().new > 0 || self.n_winning > 0 || !self.openings.is_empty()
    }

    /// Whether everything of the file stands as the file says.
    pub(super) fn is_all_there(&self) -> bool {
        let counts = self.counts();
        counts.new + counts.conflicting + self.n_refused() == 0 && self.openings.is_empty()
    }

    /// Puts the counts into the record.
    pub(super) fn complete(&self, import: &mut Import) {
        let counts = self.counts();
        import.counts = ImportCounts {
            rows: self.notes.rows,
            new: counts.new,
            standing: counts.standing,
            conflicting: counts.conflicting,
            refused: self.n_refused(),
            ..self.messages
        };
        let firsts = self.series.values().map(|tally| tally.first.0).chain(self.orders.first);
        let lasts = self.series.values().map(|tally| tally.last.0).chain(self.orders.last);
        import.span = firsts.min().zip(lasts.max());
        import.series = self.series.keys().cloned().collect();
        if self.orders.counts.all() > 0 {
            import.series.push("orders".to_owned());
        }
    }

    pub(super) fn json(&self) -> Value {
        let series = self.series.values().map(|tally| {
            json!({
                "series": tally.series, "declared": tally.declared, "unit": tally.unit, "converted_from": tally.converted_from,
                "new": tally.counts.new, "standing": tally.counts.standing, "conflicting": tally.counts.conflicting,
                "first": { "at": tally.first.0, "value": tally.first.1 }, "last": { "at": tally.last.0, "value": tally.last.1 },
                "sum": tally.sum, "months_without": tally.months_without(),
            })
        });
        let orders = &self.orders;
        json!({
            "file": self.file, "sha256": self.sha256, "size": self.size, "table": self.description, "dry_run": self.mode == Mode::DryRun, "stopped": self.mode == Mode::Stopped,
            "import": self.number, "imported_before": self.earlier, "rows": self.notes.rows,
            "rows_left_out": self.notes.n_left_out, "columns_left_out": self.left_out_columns,
            "stamps": { "days": self.notes.days, "months": self.notes.months, "order_days": self.notes.order_days, "openings": self.n_openings },
            "series": series.collect::<Vec<Value>>(),
            "orders": {
                "new": orders.counts.new, "standing": orders.counts.standing, "conflicting": orders.counts.conflicting,
                "first": orders.first, "last": orders.last, "good": orders.good, "defective": orders.defective,
            },
            "unregistered": self.n_unregistered(), "ignored": self.n_ignored,
            "refused": self.n_refused(), "refused_by_reason": self.reasons, "refusals": self.refused,
            "conflicts": self.conflicts, "n_conflicts": self.n_conflicts,
            "twice": self.twice, "n_twice": self.n_twice,
            "messages": {
                "committed": self.messages.committed, "duplicate": self.messages.duplicate, "rejected": self.messages.rejected,
            },
        })
    }

    /// For people.
    pub(super) fn print(&self) {
        say!("{}: {} bytes, SHA-256 {}", self.file, self.size, self.sha256);
        say!("taken for {}", self.description);
        if !self.left_out_columns.is_empty() {
            say!("columns left out: {}", self.left_out_columns.join(", "));
        }
        self.print_rows();
        self.series.values().for_each(print_series);
        self.print_orders();
        self.print_stamps();
        let reasons: Vec<String> = self.reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        print_problems(
            &format!("refused: {} ({})", self.n_refused(), reasons.join(", ")),
            &self.refused,
            self.n_refused(),
        );
        print_problems(&format!("twice in the file: {}", self.n_twice), &self.twice, self.n_twice);
        print_problems(&format!("conflicts: {}", self.n_conflicts), &self.conflicts, self.n_conflicts);
        if self.n_conflicts > 0 {
            say!(
                "  a value that is wrong is changed with author and reason by `pilotline correct`, not by another file"
            );
        }
        if self.n_unregistered() > 0 {
            say!(
                "\n{} readings are of series that are not registered: kept as sent, in no figure, until `pilotline rejected --suggest` \
                 gives the lines and `pilotline reload` takes them up",
                self.n_unregistered()
            );
        }
        if self.n_ignored > 0 {
            say!("\n{} readings are dropped by an [[ignore]] of the registry", self.n_ignored);
        }
        self.print_end();
    }

    fn print_rows(&self) {
        let named: Vec<String> = self.notes.left_out.iter().map(|(row, why)| format!("{row} ({why})")).collect();
        let more = if self.notes.n_left_out > named.len() as u64 { ", …" } else { "" };
        match self.notes.n_left_out {
            0 => say!("{} rows", self.notes.rows),
            n => say!("{} rows; {n} left out: {}{more}", self.notes.rows, named.join(", ")),
        }
    }

    fn print_orders(&self) {
        let orders = &self.orders;
        let (Some(first), Some(last)) = (orders.first, orders.last) else { return };
        say!("\norders");
        say!("  {} events, {first} to {last}; {}", orders.counts.all(), standing(orders.counts));
        say!("  completions say {} good, {} defective", orders.good, orders.defective);
    }

    fn print_stamps(&self) {
        let Notes { days, months, order_days, .. } = self.notes;
        if months > 0 {
            say!("\n{months} readings name a month alone: stamped at its end in the zone of the table");
        }
        if self.n_openings > 0 {
            say!(
                "{} of them begin where no other ends: marked there by a reading without a value, so that each covers its month",
                self.n_openings
            );
        }
        if days > 0 {
            say!("\n{days} readings name a day alone: stamped at its end (`--dates start` for its start)");
        }
        if order_days > 0 {
            say!(
                "\n{order_days} order events name a day alone: a start at its beginning, a completion at its end; lead times are whole \
                 days then, to be compared with their like"
            );
        }
    }

    fn print_end(&self) {
        let counts = self.counts();
        say!("");
        match (self.mode, self.number, self.earlier) {
            (Mode::Stopped, ..) => say!(
                "--strict: nothing was imported; {} refused, {} not registered, {} twice",
                self.n_refused(),
                self.n_unregistered(),
                self.n_twice
            ),
            (Mode::DryRun, ..) => say!(
                "dry run: {} would be new, {} stand already, {} conflict, {} would be refused; nothing was changed",
                counts.new,
                counts.standing,
                counts.conflicting,
                self.n_refused()
            ),
            (Mode::Real, Some(number), _) => say!(
                "import #{number}: {} new, {} stood already, {} conflict, {} refused; messages: {} committed, {} duplicate, {} rejected",
                counts.new,
                counts.standing,
                counts.conflicting,
                self.n_refused(),
                self.messages.committed,
                self.messages.duplicate,
                self.messages.rejected
            ),
            (Mode::Real, None, Some(earlier)) => say!("this file was imported as #{earlier}; nothing was changed"),
            (Mode::Real, None, None) => say!("everything in this file stands already; nothing was changed"),
        }
    }
}

fn row_problem(origin: Option<&Origin>, kind: &str, text: String) -> RowProblem {
    RowProblem {
        row: origin.map(|origin| origin.row),
        column: origin.and_then(|origin| origin.column.as_deref().map(str::to_owned)),
        kind: kind.to_owned(),
        text,
    }
}

fn keep(problems: &mut Vec<RowProblem>, problem: RowProblem) {
    if problems.len() < PROBLEMS_MAX {
        problems.push(problem);
    }
}

fn standing(counts: Counts) -> String {
    let parts = [(counts.new, "new"), (counts.standing, "stand already"), (counts.conflicting, "conflict")];
    let told: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    told.join(", ")
}

fn print_series(tally: &Tally) {
    let unit = &tally.unit;
    let declared = tally.declared.as_deref().unwrap_or("not registered");
    let converted =
        tally.converted_from.as_ref().map(|from| format!(", {from} converted to {unit}")).unwrap_or_default();
    let value = |value: Option<f64>| value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
    say!("\n{}: {declared}{converted}", tally.series);
    say!("  {} readings, {} to {}; {}", tally.counts.all(), tally.first.0, tally.last.0, standing(tally.counts));
    if declared.ends_with("(counter)") || declared.ends_with("(gauge)") {
        say!("  first {} {unit}, last {} {unit}", value(tally.first.1), value(tally.last.1));
    } else {
        say!("  sum {} {unit}", tally.sum);
    }
    let without = tally.months_without();
    if !without.is_empty() {
        let more = if without.len() > MONTHS_SHOWN_MAX { ", …" } else { "" };
        let named = &without[..without.len().min(MONTHS_SHOWN_MAX)];
        say!("  {} months without a value: {}{more}", without.len(), named.join(", "));
    }
}

fn print_problems(title: &str, problems: &[RowProblem], n: u64) {
    if n == 0 {
        return;
    }
    say!("\n{title}");
    for problem in problems.iter().take(SHOWN_MAX) {
        let row = problem.row.map_or_else(|| "a message".to_owned(), |row| format!("row {row}"));
        let column = problem.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        say!("  {row}{column}: {}: {}", problem.kind, problem.text);
    }
    if n > SHOWN_MAX as u64 {
        say!("  … and {} more (--json lists up to {PROBLEMS_MAX})", n - SHOWN_MAX as u64);
    }
}
