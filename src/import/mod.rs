//! `pilotline import`: brings in a CSV or XLSX file, and lists what was brought in.
//!
//! This command reads the file; whoever owns the data directory judges and commits its messages: the running server, asked
//! over the control socket a message at a time, or this process. A first pass foresees what becomes of every row, the second
//! commits. Killed in between, what was committed stands, and the same command again completes it.

mod desk;
mod report;

use std::path::Path;

use anyhow::Context;
use ingest::import::{
    Decimal, Field, Flow, Foreseen, ImportError, Layout, Message, OPENINGS_AT_ONCE, Surroundings, TableFile, opened,
};
use model::PilotId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::Import;

use crate::Failure;
use crate::args::ImportArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office;
use crate::say::say;

use self::desk::Desk;
pub(crate) use self::desk::{Step, take};
use self::report::{Mode, Report};

/// Longest author, source and evidence.
const TEXT_BYTES_MAX: usize = 1_000;

pub(crate) fn import(arguments: &ImportArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    if arguments.list {
        return list(arguments, &config);
    }
    let (Some(file), Some(pilot)) = (&arguments.file, &arguments.pilot) else {
        return Err(Failure::Arguments("name a FILE and its --pilot".to_owned()));
    };
    let pilot = parse_pilot(pilot)?;
    let words = Words::of(arguments)?;
    let layout = layout(arguments)?;
    let desk = Desk::open(&config, arguments, &pilot)?;
    let done = (|| {
        let around: Surroundings = desk.ask(Step::Surroundings { pilot: pilot.clone() })?;
        let table = TableFile::open(file, &layout, &around).map_err(failure)?;
        let work = Work { desk: &desk, table: &table, pilot: &pilot, arguments };
        work.run(file, words)
    })();
    desk.close();
    done
}

fn parse_pilot(text: &str) -> Result<PilotId, Failure> {
    PilotId::parse(text).map_err(|error| Failure::Arguments(format!("--pilot: {error}")))
}

/// A file or layout that is wrong is an argument that is wrong.
fn failure(error: ImportError) -> Failure {
    match error {
        ImportError::File { .. } | ImportError::Layout(_) => Failure::Arguments(error.to_string()),
        ImportError::Read { .. } => Failure::Arguments(format!("{:#}", anyhow::Error::new(error))),
    }
}

/// Who brings the file in, and what stands behind it.
#[derive(Debug, Clone, Default)]
struct Words {
    author: String,
    source: String,
    evidence: Option<String>,
}

impl Words {
    fn of(arguments: &ImportArgs) -> Result<Words, Failure> {
        let checked = |flag: &str, text: &Option<String>| {
            let text = text.as_deref().map(str::trim).unwrap_or_default();
            let is_wrong = text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control);
            let wrong = || Failure::Arguments(format!("{flag} is longer than {TEXT_BYTES_MAX} bytes or no plain text"));
            if is_wrong { Err(wrong()) } else { Ok(text.to_owned()) }
        };
        let (author, source) = (checked("--author", &arguments.author)?, checked("--source", &arguments.source)?);
        let evidence = Some(checked("--evidence", &arguments.evidence)?).filter(|text| !text.is_empty());
        if !arguments.dry_run && (author.is_empty() || source.is_empty()) {
            return Err(Failure::Arguments(
                "--author and --source must not be empty: they stand in the record".to_owned(),
            ));
        }
        Ok(Words { author, source, evidence })
    }
}

/// The layout file, with the flags over it.
fn layout(arguments: &ImportArgs) -> Result<Layout, Failure> {
    let mut layout = match &arguments.layout {
        None => Layout::default(),
        Some(path) => {
            let place = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Arguments(format!("`{place}` does not read: {error}")))?;
            Layout::parse(&place, &text).map_err(failure)?
        }
    };
    let flags = arguments.clone();
    layout.sheet = flags.sheet.or(layout.sheet);
    layout.time_format = flags.time_format.or(layout.time_format);
    layout.zone = flags.zone.or(layout.zone);
    layout.charset = flags.charset.or(layout.charset);
    layout.separator = flags.separator.or(layout.separator);
    layout.dates = flags.dates.map_or(layout.dates, Into::into);
    if flags.decimal_comma {
        layout.decimal = Decimal::Comma;
    }
    for (field, text) in [(Field::Asset, flags.asset), (Field::Name, flags.name), (Field::Unit, flags.unit)] {
        if let Some(text) = text {
            layout.constants.insert(field, text);
        }
    }
    Ok(layout)
}

/// One file on its way in.
struct Work<'w> {
    desk: &'w Desk,
    table: &'w TableFile,
    pilot: &'w PilotId,
    arguments: &'w ImportArgs,
}

impl Work<'_> {
    fn run(&self, file: &Path, words: Words) -> Result<(), Failure> {
        let mode = if self.arguments.dry_run { Mode::DryRun } else { Mode::Real };
        let mut report = Report::new(file, self.table, mode);
        report.notes = self.each(|message| {
            let foreseen: Foreseen = self.desk.ask(self.foresee(message)?)?;
            report.take(message, foreseen);
            Ok(())
        })?;
        self.openings(&mut report)?;
        if self.arguments.strict && report.n_wrong() > 0 {
            report.mode = Mode::Stopped;
            self.print(&report);
            return Err(Failure::Told);
        }
        if !self.arguments.dry_run {
            self.commit(&mut report, words)?;
        }
        self.print(&report);
        Ok(())
    }

    /// Finds out where a beginning has to be marked: where nothing stands yet.
    fn openings(&self, report: &mut Report) -> Result<(), Failure> {
        for openings in std::mem::take(&mut report.notes.openings).chunks(OPENINGS_AT_ONCE) {
            let message = opened(openings).context("failed to write a message")?;
            let foreseen: Foreseen = self.desk.ask(self.foresee(&message)?)?;
            report.take_openings(openings, &foreseen);
        }
        Ok(())
    }

    fn print(&self, report: &Report) {
        if self.arguments.json {
            say!("{}", report.json());
        } else {
            report.print();
        }
    }

    /// Hands every message of the file to `take`, until one fails.
    fn each(&self, mut take: impl FnMut(&Message) -> Result<(), Failure>) -> Result<ingest::import::Notes, Failure> {
        let mut failed = None;
        let notes = self.table.messages(&mut |message| match take(&message) {
            Ok(()) => Flow::On,
            Err(failure) => {
                failed = Some(failure);
                Flow::Stop
            }
        });
        match failed {
            Some(failure) => Err(failure),
            None => notes.map_err(failure),
        }
    }

    fn foresee(&self, message: &Message) -> Result<Step, Failure> {
        Ok(Step::Foresee { pilot: self.pilot.clone(), payload: text(message)? })
    }

    fn commit(&self, report: &mut Report, words: Words) -> Result<(), Failure> {
        let earlier: Vec<(i64, Import)> = self.desk.ask(Step::List { pilot: Some(self.pilot.clone()) })?;
        let same = earlier.iter().rev().find(|(_, import)| import.is_complete && import.sha256 == self.table.sha256);
        if !report.changes_anything() {
            report.earlier = same.map(|(number, _)| *number);
            if same.is_some() || report.is_all_there() {
                return Ok(());
            }
        }
        let Words { author, source, evidence } = words;
        let mut import = Import {
            pilot: self.pilot.clone(),
            at: model::clock::now(),
            file: report.file.clone(),
            sha256: self.table.sha256.clone(),
            size: self.table.size,
            author,
            source,
            evidence,
            is_complete: false,
            counts: store::ImportCounts::default(),
            span: None,
            series: Vec::new(),
        };
        let number: i64 = self.desk.ask(Step::Begin(import.clone()))?;
        report.number = Some(number);
        self.each(|message| {
            let became = self.desk.ask(Step::Commit { pilot: self.pilot.clone(), payload: text(message)? })?;
            report.count(became);
            Ok(())
        })?;
        for openings in std::mem::take(&mut report.openings).chunks(OPENINGS_AT_ONCE) {
            let payload = text(&opened(openings).context("failed to write a message")?)?;
            let became = self.desk.ask(Step::Commit { pilot: self.pilot.clone(), payload })?;
            report.count(became);
        }
        self.table.is_unchanged().map_err(failure)?;
        import.is_complete = true;
        report.complete(&mut import);
        let _: i64 = self.desk.ask(Step::Complete { number, import })?;
        Ok(())
    }
}

fn text(message: &Message) -> Result<String, Failure> {
    Ok(String::from_utf8(message.payload.clone()).context("a message of rows is no UTF-8")?)
}

/// An answer as what it is.
fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    Ok(serde_json::from_value(answer).context("the answer is something else than was asked for")?)
}

fn list(arguments: &ImportArgs, config: &Config) -> Result<(), Failure> {
    let pilot = arguments.pilot.as_deref().map(parse_pilot).transpose()?;
    let answer = office::ask_or_open(config, Request::Import(Step::List { pilot }))?;
    let imports: Vec<(i64, Import)> = read(answer)?;
    if arguments.json {
        say!("{}", Value::Array(imports.iter().map(|(number, import)| shown(*number, import)).collect()));
        return Ok(());
    }
    for (number, import) in &imports {
        let counts = &import.counts;
        let state = if import.is_complete { String::new() } else { "  NOT COMPLETE: import it again".to_owned() };
        say!(
            "#{number}  {}  {}  {} ({} bytes, SHA-256 {}){state}",
            import.at,
            import.pilot,
            import.file,
            import.size,
            import.sha256
        );
        say!("    by {}, source: {}", import.author, import.source);
        if let Some(evidence) = &import.evidence {
            say!("    evidence: {evidence}");
        }
        if let Some((from, to)) = import.span {
            say!("    {from} to {to}: {}", import.series.join(", "));
        }
        say!(
            "    {} rows: {} new, {} standing, {} conflicting, {} refused; messages: {} committed, {} duplicate, {} rejected",
            counts.rows,
            counts.new,
            counts.standing,
            counts.conflicting,
            counts.refused,
            counts.committed,
            counts.duplicate,
            counts.rejected
        );
    }
    Ok(())
}

/// A record with its number.
fn shown(number: i64, import: &Import) -> Value {
    let mut row = json!(import);
    row["number"] = json!(number);
    row
}
