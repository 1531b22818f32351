//! `pilotline correct`: states what a reading was, or that it was none, with author and reason; and lists what was corrected.
//!
//! The command, the file form and the API give the same rows to the same check and the same transaction.

use std::path::Path;

use aggregator::publish::corrections::{self as shown, NotCorrected, Row, Side};
use anyhow::Context;
use ingest::correct::{Mistake, Wanted, judge, rows_of_csv};
use model::registry::Mistake as Line;
use model::{PilotId, SeriesId, UnixMillis};
use serde_json::{Map, Value, json};
use store::{Batch, Made};

use crate::Failure;
use crate::args::CorrectArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office::{self, Office};
use crate::say::say;

/// Corrections read at once for a list.
const PAGE: usize = 1_000;

/// `pilotline correct …`
pub(crate) fn correct(arguments: &CorrectArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    if arguments.list {
        let request = Request::Corrections { pilot: arguments.pilot.clone(), since: arguments.since.clone() };
        return print(&office::ask_or_open(&config, request)?, arguments.json, print_row);
    }
    let (lines, rows): (Vec<usize>, Vec<Value>) = match &arguments.file {
        Some(file) => read_table(file)?.into_iter().unzip(),
        None => (Vec::new(), vec![row_of(arguments)]),
    };
    let request = if arguments.dry_run { Request::WouldCorrect(rows) } else { Request::Correct(rows) };
    let answer = office::ask_or_open(&config, request).map_err(|failure| placed(failure, arguments, &lines))?;
    let print_one = if arguments.dry_run { print_wanted } else { print_row };
    print(&answer, arguments.json, print_one)
}

fn row_of(arguments: &CorrectArgs) -> Value {
    let texts = [
        ("pilot", &arguments.pilot),
        ("asset", &arguments.asset),
        ("name", &arguments.name),
        ("product", &arguments.product),
        ("id", &arguments.id),
        ("at", &arguments.at),
        ("value", &arguments.value),
        ("unit", &arguments.unit),
        ("quality", &arguments.quality),
        ("author", &arguments.author),
        ("reason", &arguments.reason),
    ];
    let given = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text.clone()?))));
    let mut row: Map<String, Value> = given.collect();
    for (name, flag) in [("void", arguments.void), ("withdraw", arguments.withdraw)] {
        if flag {
            row.insert(name.to_owned(), Value::Bool(true));
        }
    }
    Value::Object(row)
}

fn read_table(file: &Path) -> Result<Vec<(usize, Value)>, Failure> {
    let name = file.display().to_string();
    let line = |line, text| Failure::Mistakes(vec![Line { file: name.clone(), line, text }]);
    let bytes = std::fs::read(file).map_err(|error| line(0, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| line(0, format!("is not UTF-8 ({error}); save the table as CSV UTF-8")))?;
    let rows = rows_of_csv(&text).map_err(|(at, text)| line(at, text))?;
    if rows.is_empty() { Err(line(1, "holds no corrections below its header".to_owned())) } else { Ok(rows) }
}

/// Mistakes of rows, at the lines of the table they came from; of flags by the flag.
fn placed(failure: Failure, arguments: &CorrectArgs, lines: &[usize]) -> Failure {
    let Failure::Mistakes(mut mistakes) = failure else { return failure };
    // Mistakes of other files than rows (a registry that does not read) stay as they are.
    if mistakes.iter().any(|mistake| !mistake.file.is_empty()) {
        return Failure::Mistakes(mistakes);
    }
    match &arguments.file {
        None => Failure::Arguments(mistakes.iter().map(|mistake| mistake.text.clone()).collect::<Vec<_>>().join("\n")),
        Some(file) => {
            for mistake in &mut mistakes {
                mistake.file = file.display().to_string();
                mistake.line = lines.get(mistake.line).copied().unwrap_or(0);
            }
            Failure::Mistakes(mistakes)
        }
    }
}

/// As a failure whose lines are the places of the rows, which only the command can translate.
fn failure(mistakes: Vec<Mistake>) -> Failure {
    let line = |Mistake { row, text, .. }| Line { file: String::new(), line: row, text };
    Failure::Mistakes(mistakes.into_iter().map(line).collect())
}

impl Office {
    /// Makes all of the corrections or none. Whoever asks for figures after it returned gets them with it.
    ///
    /// # Errors
    /// Every mistake in the rows, or why the store could not take them.
    pub(crate) fn correct(&self, rows: &[Value], now: UnixMillis) -> anyhow::Result<Result<Vec<Made>, Vec<Mistake>>> {
        let index = self.index.get();
        let wanted = match self.judged(rows, now)? {
            Ok(wanted) => wanted,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        let mut news = Vec::with_capacity(wanted.len());
        for (row, one) in wanted.iter().enumerate() {
            match one.take_up(&index, now) {
                Ok(new) => news.push(new),
                Err(text) => return Ok(Err(vec![Mistake { row, field: "name".to_owned(), text }])),
            }
        }
        let made = self.store.write(|tx| news.iter().map(|new| tx.correct(new)).collect::<Result<Vec<Made>, _>>());
        let made = made.context("failed to write the corrections")?;
        for made in made.iter().filter(|made| matches!(made, Made::New(_))) {
            let (number, series, at) = (made.correction().number, made.correction().series.0, made.correction().at);
            tracing::info!(number, series, %at, "reading corrected");
        }
        // A commit behind them: whoever waits for what was committed waits for them, too.
        self.committer.submit_blocking(Batch::default()).context("failed to commit behind the corrections")?;
        Ok(Ok(made))
    }

    fn judged(&self, rows: &[Value], now: UnixMillis) -> anyhow::Result<Result<Vec<Wanted>, Vec<Mistake>>> {
        self.settled()?;
        judge(rows, &self.index.get(), now).context("failed to read what stands")
    }

    /// [`Office::correct`] for a command: the corrections as the API prints them.
    pub(crate) fn make_corrections(&self, rows: &[Value], now: UnixMillis) -> Result<Value, Failure> {
        let made = self.correct(rows, now)?.map_err(failure)?;
        let registry = self.registry.get();
        let row = |made: &Made| Row::of(made.correction().clone(), &self.store, &registry);
        let rows: Vec<Row> = made.iter().filter_map(row).collect();
        Ok(serde_json::to_value(rows).context("failed to print JSON")?)
    }

    /// What [`Office::make_corrections`] would change; changes nothing.
    pub(crate) fn would_correct(&self, rows: &[Value], now: UnixMillis) -> Result<Value, Failure> {
        let wanted = self.judged(rows, now)?.map_err(failure)?;
        let shown = wanted.iter().map(|wanted| self.shown(wanted));
        Ok(Value::Array(shown.collect::<anyhow::Result<Vec<Value>>>()?))
    }

    fn shown(&self, wanted: &Wanted) -> anyhow::Result<Value> {
        let reach = |id: SeriesId| self.aggregator.reach(id, wanted.at).context("failed to read the neighbours");
        let reach = wanted.entry.as_ref().map(|entry| reach(entry.id)).transpose()?.flatten();
        Ok(json!({
            "pilot": wanted.key.pilot,
            "asset": wanted.key.asset,
            "name": wanted.key.name,
            "product": wanted.key.product,
            "at": wanted.at,
            "id": wanted.id,
            "action": shown::action(&wanted.change),
            "was": wanted.stands.as_ref().map(Side::of),
            "original": wanted.sent.as_ref().map(Side::of),
            "now": Side::set_by(&wanted.change),
            "unit": wanted.unit,
            "author": wanted.author,
            "reason": wanted.reason,
            "touches": reach.map(|window| json!({ "from": window.start, "to": window.end })),
        }))
    }

    /// The corrections of a pilot or of all, as the API prints them.
    pub(crate) fn corrections(&self, pilot: Option<&str>, since: Option<&str>) -> Result<Value, Failure> {
        let wrong = |flag: &str, text: String| Failure::Arguments(format!("{flag}: {text}"));
        let pilot = pilot.map(PilotId::parse).transpose().map_err(|error| wrong("--pilot", error.to_string()))?;
        let since = since.map_or(Ok(UnixMillis(i64::MIN)), UnixMillis::parse);
        let since = since.map_err(|error| wrong("--since", error.to_string()))?;
        let registry = self.registry.get();
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.corrections(after, pilot.as_ref(), PAGE).context("failed to read corrections")?;
            let Some(last) = page.last() else { break };
            after = last.number;
            let taken = page.into_iter().filter(|correction| correction.made_at >= since);
            rows.extend(taken.filter_map(|correction| Row::of(correction, &self.store, &registry)));
        }
        Ok(serde_json::to_value(rows).context("failed to print JSON")?)
    }
}

/// As the API asks for corrections.
pub(crate) fn for_site(office: &Office, rows: &[Value]) -> Result<Vec<Made>, NotCorrected> {
    let mistake = |Mistake { row, field, text }| shown::Mistake { index: row, field, detail: text };
    match office.correct(rows, model::clock::now()) {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(mistakes)) => Err(NotCorrected::Mistakes(mistakes.into_iter().map(mistake).collect())),
        Err(error) => Err(NotCorrected::Failed(format!("{error:#}"))),
    }
}

fn print(answer: &Value, json: bool, print_one: fn(&Value)) -> Result<(), Failure> {
    if json {
        say!("{answer}");
    } else {
        answer.as_array().into_iter().flatten().for_each(print_one);
    }
    Ok(())
}

/// `#3  pilot  asset/name  time  was → is  author: reason`.
fn print_row(row: &Value) {
    let superseded = row["superseded_by"].as_i64().map(|by| format!(" (superseded by #{by})")).unwrap_or_default();
    say!("#{}  {}{superseded}", row["number"], told(row));
}

fn print_wanted(row: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    say!("would correct  {}", told(row));
    if row["was"] != row["original"] {
        say!("    sent was {}", side(&row["original"], row));
    }
    let touches = &row["touches"];
    if touches.is_null() {
        say!("    nothing was ever sent of this series: this is its first reading");
    } else {
        let (from, to) = (text(&touches["from"]), text(&touches["to"]));
        say!("    touches rollups from {from} to {to}, and the figures of these months");
    }
}

fn told(row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let also = |field: &str| row[field].as_str().map(|text| format!(" {field} {text}")).unwrap_or_default();
    let now = match (&row["now"], row["action"].as_str()) {
        (Value::Null, Some("withdraw")) => "as it was sent".to_owned(),
        (Value::Null, _) => "void".to_owned(),
        (set, _) => side(set, row),
    };
    let of = format!("{}  {}/{}{}{}", text("pilot"), text("asset"), text("name"), also("product"), also("id"));
    format!("{of}  {}  {} → {now}  {}: {}", text("at"), side(&row["was"], row), text("author"), text("reason"))
}

fn side(side: &Value, row: &Value) -> String {
    match (&side["value"], side["quality"].as_str()) {
        (_, None) => "nothing".to_owned(),
        (Value::Null, Some(quality)) => quality.to_owned(),
        (value, Some("good")) => format!("{value} {}", row["unit"].as_str().unwrap_or_default()),
        (value, Some(quality)) => format!("{value} {} {quality}", row["unit"].as_str().unwrap_or_default()),
    }
}
