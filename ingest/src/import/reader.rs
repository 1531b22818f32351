//! Reads one file: finds out what it is, then turns its rows into messages.
//!
//! The file is read from its beginning as often as somebody asks for its messages, so that a first pass can foresee what a
//! second one does, in the memory of one message.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;
use jiff::tz::TimeZone;
use model::period::MonthNo;
use model::{Kind as SeriesKind, OrderEventKind, PilotId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cell::{Amount, Cell, Row, half_width};
use super::error::{ImportError, Named};
use super::header::{Columns, Fields, SeriesColumn, SeriesName, Understood, WANTED, listed, understand};
use super::layout::{Decimal, Field, Layout};
use super::message::{Builder, Message, Opening, OrderEvent, Origin, Reading, Sent, cut, event_word, sent_at};
use super::text::{Charsets, Flow, TextTable};
use super::time::{Clock, NoTime, Stamps, When};
use super::workbook::Workbook;
use crate::decode::shown;

/// Rows among which the header is looked for: titles and remarks stand above it.
const HEADER_ROWS: usize = 20;
/// Largest file.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// What has to be known of a pilot to read its tables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Surroundings {
    pub pilot: PilotId,
    /// IANA name.
    pub zone: String,
    pub series: Vec<(SeriesName, SeriesKind)>,
}

/// A file that is understood.
pub struct TableFile {
    path: PathBuf,
    named: Named,
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
    place: Place,
    /// The row of the header; 0 if there is none.
    header_row: u64,
    skip_rows: u64,
    columns: Columns,
    /// Columns that hold nothing that is wanted.
    pub left_out: Vec<String>,
    clock: Clock,
    decimal: Decimal,
    kinds: BTreeMap<(String, String), SeriesKind>,
}

/// Where in the file the table is.
#[derive(Debug, Clone)]
enum Place {
    Text(TextTable),
    Sheet(String),
}

/// What was seen of the rows, besides what became of their parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Rows that gave readings or order events.
    pub rows: u64,
    /// Rows of sums and remarks, and rows without any value.
    pub left_out: Vec<(u64, &'static str)>,
    pub n_left_out: u64,
    /// Readings stamped at the end (or the start) of a day or month that stood alone.
    pub days: u64,
    pub months: u64,
    /// Order events of which only the day is known.
    pub order_days: u64,
    /// Where monthly amounts begin and no other of them ends.
    pub openings: Vec<Opening>,
}

/// Months of which a file brings amounts, by series.
type Months = BTreeMap<SeriesName, BTreeSet<MonthNo>>;

/// Series whose openings are kept: those of the largest registry.
const OPENED_SERIES_MAX: usize = 20_000;

/// Left-out rows that are named one by one.
const LEFT_OUT_NAMED: usize = 20;

impl TableFile {
    /// Opens a file and understands its header.
    ///
    /// # Errors
    /// If it cannot be read, is no table, or its header is not understood; the error says what is expected.
    pub fn open(path: &Path, layout: &Layout, around: &Surroundings) -> Result<TableFile, ImportError> {
        let named = Named::new(path);
        let looked = look(path, &named)?;
        let zone_name = layout.zone.as_deref().filter(|zone| *zone != "pilot").unwrap_or(&around.zone);
        let zone = TimeZone::get(zone_name).map_err(|error| {
            ImportError::Layout(format!(
                "zone `{zone_name}` is not known: {error}; use an IANA name such as `Asia/Shanghai`"
            ))
        })?;
        let clock = Clock::new(zone, layout.dates, layout.time_format.as_deref()).map_err(ImportError::Layout)?;
        let registered: Vec<SeriesName> = around.series.iter().map(|(name, _)| name.clone()).collect();
        let found = if looked.is_zip {
            find_in_workbook(path, &named, layout, &registered)?
        } else {
            find_in_text(path, &named, looked.charset, layout, &registered)?
        };
        let kinds = around.series.iter().map(|(name, kind)| ((name.asset.clone(), name.name.clone()), *kind)).collect();
        let Found { place, header_row, understood: Understood { columns, left_out } } = found;
        let (size, sha256, path) = (looked.size, looked.sha256, path.to_owned());
        let (decimal, skip_rows) = (layout.decimal, layout.skip_rows);
        Ok(TableFile {
            path,
            named,
            size,
            sha256,
            place,
            header_row,
            skip_rows,
            columns,
            left_out,
            clock,
            decimal,
            kinds,
        })
    }

    /// What the file was taken for, in one line.
    pub fn description(&self) -> String {
        let place = match &self.place {
            Place::Sheet(sheet) => format!("sheet `{sheet}`"),
            Place::Text(table) => {
                let separator = match table.separator {
                    '\t' => "tabs".to_owned(),
                    separator => format!("`{separator}`"),
                };
                format!("text in {}, separated by {separator}", table.charset.name())
            }
        };
        let what = match &self.columns {
            Columns::Readings(_) => "readings".to_owned(),
            Columns::Orders(_) => "orders".to_owned(),
            Columns::Wide { series, .. } => format!("a meter book of {} series", series.len()),
        };
        match self.header_row {
            0 => format!("{what}; {place}, no header"),
            row => format!("{what}; {place}, header in row {row}"),
        }
    }

    /// Reads the file and hands over its messages.
    ///
    /// # Errors
    /// If it cannot be read to its end, or a time in it may mean two days; also if it is not the file that was opened.
    pub fn messages(&self, take: &mut dyn FnMut(Message) -> Flow) -> Result<Notes, ImportError> {
        let (mut notes, mut builder, mut months) = (Notes::default(), Builder::default(), Months::new());
        let mut each = |row: Row<'_>| {
            if row.number <= self.header_row.max(self.skip_rows) {
                return Ok(Flow::On);
            }
            self.row(&row, &mut Gathered { builder: &mut builder, notes: &mut notes, months: &mut months })?;
            match builder.is_full().then(|| builder.take()).flatten() {
                Some(message) => Ok(take(message)),
                None => Ok(Flow::On),
            }
        };
        match &self.place {
            Place::Text(table) => table.each_row(&self.path, &mut each)?,
            Place::Sheet(sheet) => Workbook::open(&self.path)?.each_row(sheet, &mut each)?,
        }
        if let Some(message) = builder.take() {
            take(message);
        }
        for (series, months) in months {
            let first = |month: &&MonthNo| !months.contains(&MonthNo(month.0 - 1));
            let opening = |month: &MonthNo| Opening { series: series.clone(), at: self.clock.start_of(*month) };
            notes.openings.extend(months.iter().filter(first).map(opening));
        }
        Ok(notes)
    }

    /// Whether the file still is what it was when it was opened.
    ///
    /// # Errors
    /// If it is not, or cannot be read.
    pub fn is_unchanged(&self) -> Result<(), ImportError> {
        let looked = look(&self.path, &self.named)?;
        if looked.sha256 == self.sha256 {
            return Ok(());
        }
        Err(self.named.whole("was changed while it was read; import it again"))
    }

    fn row(&self, row: &Row<'_>, gathered: &mut Gathered<'_>) -> Result<(), ImportError> {
        if row.cells.iter().all(Cell::is_blank) {
            return Ok(());
        }
        if let Some(why) = self.is_no_row(row) {
            gathered.notes.leave_out(row.number, why);
            return Ok(());
        }
        let n_parts = match &self.columns {
            Columns::Readings(fields) => self.reading_row(row, fields, gathered)?,
            Columns::Orders(fields) => self.order_row(row, fields, gathered)?,
            Columns::Wide { fields, series } => self.wide_row(row, fields, series, gathered)?,
        };
        match n_parts {
            0 => gathered.notes.leave_out(row.number, "no value"),
            _ => gathered.notes.rows += 1,
        }
        Ok(())
    }

    /// Sums and signatures below a table are no rows of it.
    fn is_no_row(&self, row: &Row<'_>) -> Option<&'static str> {
        const SUMS: [&str; 8] = ["合计", "总计", "小计", "累计", "平均", "total", "sum", "subtotal"];
        let is_sum = |text: &str| {
            let half = half_width(text).to_lowercase();
            let bare: String = half.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
            SUMS.contains(&bare.as_str())
        };
        // A meter may be called `total`: only where the time or the order stands does the word say that this is no row.
        let key = match &self.columns {
            Columns::Readings(fields) | Columns::Wide { fields, .. } => fields.label(Field::At, row),
            Columns::Orders(fields) => fields.label(Field::Order, row),
        };
        let first = || row.cells.iter().find_map(Cell::label).is_some_and(|text| is_sum(&text));
        if key.as_deref().map_or_else(first, is_sum) {
            return Some("a sum");
        }
        // The header once more, as it stands on each printed page.
        let is_header = |field| match &self.columns {
            Columns::Readings(fields) | Columns::Orders(fields) | Columns::Wide { fields, .. } => {
                fields.label(field, row).is_some_and(|text| super::header::names(field, &text))
            }
        };
        match &self.columns {
            Columns::Readings(_) => (is_header(Field::At) && is_header(Field::Value)).then_some("the header again"),
            Columns::Orders(_) => is_header(Field::Order).then_some("the header again"),
            Columns::Wide { .. } => is_header(Field::At).then_some("the header again"),
        }
    }

    fn reading_row(&self, row: &Row<'_>, fields: &Fields, gathered: &mut Gathered<'_>) -> Result<u32, ImportError> {
        let text = |field| fields.label(field, row).map(|text| cut(&text));
        let (asset, name, product) = (text(Field::Asset), text(Field::Name), text(Field::Product));
        let quality = text(Field::Quality).map(|word| quality_word(&word));
        let is_bad = quality.as_deref() == Some("bad");
        let cell = fields.cell(Field::Value, row).unwrap_or_default();
        let (value, unit, value_problem) = self.value(&cell, text(Field::Unit));
        if value.is_none() && value_problem.is_none() && !is_bad {
            return Ok(0);
        }
        let (asset, name) = (asset.unwrap_or_default(), name.unwrap_or_default());
        let missing = match (asset.is_empty(), name.is_empty()) {
            (true, _) => Some("the asset is missing".to_owned()),
            (false, true) => Some("the name is missing".to_owned()),
            (false, false) => None,
        };
        let stamps = Stamps::Reading(self.kind(&asset, &name));
        let at = self.at(row, fields, Field::At, stamps, gathered.notes)?;
        let problem = missing.or(at.problem).or(value_problem);
        if let (Some(month), None) = (at.month, &problem) {
            gathered.month(SeriesName { asset: asset.clone(), name: name.clone(), product: product.clone() }, month);
        }
        let id = text(Field::Id);
        let reading = Reading {
            asset: &asset,
            name: &name,
            product: product.as_deref(),
            value,
            unit: unit.as_deref(),
            at: at.sent,
            quality: quality.as_deref(),
            id: id.as_deref(),
        };
        let origin = Origin { row: row.number, column: None, problem, rival: None };
        gathered.builder.reading(&reading, origin).map_err(|error| self.unwritable(row, &error))?;
        Ok(1)
    }

    fn wide_row(
        &self,
        row: &Row<'_>,
        fields: &Fields,
        series: &[SeriesColumn],
        gathered: &mut Gathered<'_>,
    ) -> Result<u32, ImportError> {
        let mut n_parts = 0;
        for SeriesColumn { column, title, series, unit } in series {
            let cell = row.cells.get(*column).unwrap_or(&Cell::Blank);
            let (value, unit, value_problem) = self.value(cell, unit.clone());
            if value.is_none() && value_problem.is_none() {
                continue;
            }
            let stamps = Stamps::Reading(self.kind(&series.asset, &series.name));
            let at = self.at(row, fields, Field::At, stamps, gathered.notes)?;
            let problem = at.problem.or(value_problem);
            if let (Some(month), None) = (at.month, &problem) {
                gathered.month(series.clone(), month);
            }
            let (asset, name) = (cut(&series.asset), cut(&series.name));
            let product = series.product.as_deref().map(cut);
            let reading = Reading {
                asset: &asset,
                name: &name,
                product: product.as_deref(),
                value,
                unit: unit.as_deref(),
                at: at.sent,
                quality: None,
                id: None,
            };
            let column: Option<Arc<str>> = Some(title.as_str().into());
            let origin = Origin { row: row.number, column, problem, rival: None };
            gathered.builder.reading(&reading, origin).map_err(|error| self.unwritable(row, &error))?;
            n_parts += 1;
        }
        Ok(n_parts)
    }

    /// One row becomes the events of its order.
    fn order_row(&self, row: &Row<'_>, fields: &Fields, gathered: &mut Gathered<'_>) -> Result<u32, ImportError> {
        const EVENTS: [(Field, OrderEventKind, Stamps); 4] = [
            (Field::Released, OrderEventKind::Released, Stamps::Begin),
            (Field::Started, OrderEventKind::Started, Stamps::Begin),
            (Field::Completed, OrderEventKind::Completed, Stamps::End),
            (Field::Cancelled, OrderEventKind::Cancelled, Stamps::End),
        ];
        let text = |field| fields.label(field, row).map(|text| cut(&text));
        let (order, product) = (text(Field::Order).unwrap_or_default(), text(Field::Product));
        let pieces = |field| {
            let cell = fields.cell(field, row).unwrap_or_default();
            let (value, _, problem) = self.value(&cell, None);
            (value, problem)
        };
        let (quantity, good, defective) = (pieces(Field::Quantity), pieces(Field::Good), pieces(Field::Defective));
        let mut n_parts = 0;
        for (field, event, stamps) in EVENTS {
            if fields.cell(field, row).is_none_or(|cell| is_nothing(&cell)) {
                continue;
            }
            let at = self.at(row, fields, field, stamps, gathered.notes)?;
            let is_completed = event == OrderEventKind::Completed;
            let missing = order.is_empty().then(|| "the order is missing".to_owned());
            let of_pieces = [&good, &defective].into_iter().filter(|_| is_completed).chain([&quantity]);
            let piece_problem = of_pieces.filter_map(|(_, problem)| problem.clone()).next();
            let sent = OrderEvent {
                order: &order,
                product: product.as_deref(),
                event: event_word(event),
                at: at.sent,
                quantity: quantity.0.clone(),
                good: good.0.clone().filter(|_| is_completed),
                defective: defective.0.clone().filter(|_| is_completed),
            };
            let origin = Origin {
                row: row.number,
                column: Some(event_word(event).into()),
                problem: missing.or(at.problem).or(piece_problem),
                rival: None,
            };
            gathered.builder.order(&sent, origin).map_err(|error| self.unwritable(row, &error))?;
            n_parts += 1;
        }
        Ok(n_parts)
    }

    fn unwritable(&self, row: &Row<'_>, error: &serde_json::Error) -> ImportError {
        self.named.row(row.number, format!("cannot be written as a message: {error}"))
    }

    fn kind(&self, asset: &str, name: &str) -> Option<SeriesKind> {
        self.kinds.get(&(asset.to_owned(), name.to_owned())).copied()
    }

    /// The value of a cell in a unit, and why it is none.
    fn value(
        &self,
        cell: &Cell<'_>,
        unit: Option<String>,
    ) -> (Option<Sent<model::Value>>, Option<String>, Option<String>) {
        let amount = match cell.amount(self.decimal) {
            Ok(amount) => amount,
            Err(wrong) => return (Some(Sent::raw(&cell.label().unwrap_or_default())), unit, Some(wrong)),
        };
        let with = |value, unit: &str| (Some(Sent::Read(value)), Some(unit.to_owned()), None);
        match (amount, unit.as_deref()) {
            (None, _) => (None, unit, None),
            (Some(Amount::Plain(value)), _) => (Some(Sent::Read(value)), unit, None),
            (Some(Amount::Percent(value)), None | Some("%")) => with(value, "%"),
            (Some(Amount::Ratio(value)), None | Some("%")) => with(value, "1"),
            (Some(Amount::Percent(_) | Amount::Ratio(_)), Some(other)) => {
                let text = cell.label().unwrap_or_default();
                let wrong = format!("{} is a share in per cent, but the unit is {}", shown(&text), shown(other));
                (Some(Sent::raw(&text)), unit, Some(wrong))
            }
        }
    }

    /// The instant of a field; one that cannot be read goes on as it stands, with the reason beside it.
    fn at(
        &self,
        row: &Row<'_>,
        fields: &Fields,
        field: Field,
        stamps: Stamps,
        notes: &mut Notes,
    ) -> Result<At, ImportError> {
        let cell = fields.cell(field, row).unwrap_or_default();
        let of_day = fields.cell(Field::Clock, row).filter(|_| field == Field::At);
        let when = match self.clock.when(&cell, of_day.as_deref()) {
            Ok(when) => when,
            Err(NoTime::Column(wrong)) => return Err(self.named.row(row.number, wrong)),
            Err(NoTime::Cell(wrong)) => {
                let sent = Sent::raw(&cell.label().unwrap_or_default());
                return Ok(At { sent, problem: Some(wrong), month: None });
            }
        };
        match self.clock.stamp(when, stamps) {
            Ok(at) => {
                notes.count(when, stamps);
                let month = match (when, stamps) {
                    (When::Month(month), Stamps::Reading(Some(SeriesKind::Delta))) => Some(month),
                    _ => None,
                };
                Ok(At { sent: sent_at(at), problem: None, month })
            }
            Err(wrong) => Ok(At { sent: Sent::raw(&when.to_string()), problem: Some(wrong), month: None }),
        }
    }
}

fn is_nothing(cell: &Cell<'_>) -> bool {
    matches!(cell.amount(Decimal::Point), Ok(None))
}

/// The words of the wire, and what people write for them.
fn quality_word(word: &str) -> String {
    match word {
        "良好" | "好" | "正常" => "good".to_owned(),
        "可疑" | "不确定" | "估计" => "uncertain".to_owned(),
        "坏" | "异常" => "bad".to_owned(),
        other => other.to_lowercase(),
    }
}

/// The time of a row.
struct At {
    sent: Sent<i64>,
    problem: Option<String>,
    /// The month that an amount is of.
    month: Option<MonthNo>,
}

/// What the rows of a file add up to.
struct Gathered<'g> {
    builder: &'g mut Builder,
    notes: &'g mut Notes,
    months: &'g mut Months,
}

impl Gathered<'_> {
    fn month(&mut self, series: SeriesName, month: MonthNo) {
        if self.months.len() < OPENED_SERIES_MAX || self.months.contains_key(&series) {
            self.months.entry(series).or_default().insert(month);
        }
    }
}

impl Notes {
    fn leave_out(&mut self, row: u64, why: &'static str) {
        self.n_left_out += 1;
        if self.left_out.len() < LEFT_OUT_NAMED {
            self.left_out.push((row, why));
        }
    }

    fn count(&mut self, when: When, stamps: Stamps) {
        match (when, stamps) {
            (When::Day(_), Stamps::Reading(_)) => self.days += 1,
            (When::Month(_), Stamps::Reading(_)) => self.months += 1,
            (When::Day(_), Stamps::Begin | Stamps::End) => self.order_days += 1,
            (When::Month(_), Stamps::Begin | Stamps::End) | (When::Instant(_) | When::Local(_), _) => {}
        }
    }
}

/// What a file is, from its bytes alone.
struct Looked {
    size: u64,
    sha256: String,
    is_zip: bool,
    charset: Option<&'static Encoding>,
}

fn look(path: &Path, named: &Named) -> Result<Looked, ImportError> {
    let mut file = File::open(path).map_err(|error| named.read(error))?;
    let (mut block, mut hash, mut charsets) = (vec![0; 1 << 20], Sha256::new(), Charsets::new());
    let (mut size, mut head) = (0, Vec::new());
    loop {
        let n = file.read(&mut block).map_err(|error| named.read(error))?;
        let bytes = &block[..n];
        if size == 0 {
            head = bytes[..n.min(8)].to_vec();
        }
        let is_zip = head.starts_with(b"PK\x03\x04");
        hash.update(bytes);
        if !is_zip {
            charsets.look(bytes, n == 0);
        }
        size += n as u64;
        if size > FILE_BYTES_MAX {
            return Err(named.whole(format!("is larger than {FILE_BYTES_MAX} bytes; divide it")));
        }
        if n == 0 {
            break;
        }
    }
    if size == 0 {
        return Err(named.whole("is empty"));
    }
    if head.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(named.whole("is a workbook of the old kind (.xls); save it as .xlsx or CSV"));
    }
    let charset = match head[..] {
        [0xff, 0xfe, ..] => Some(encoding_rs::UTF_16LE),
        [0xfe, 0xff, ..] => Some(encoding_rs::UTF_16BE),
        _ => charsets.found(),
    };
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Looked { size, sha256, is_zip: head.starts_with(b"PK\x03\x04"), charset })
}

/// A table that was found.
struct Found {
    place: Place,
    header_row: u64,
    understood: Understood,
}

/// The first rows of a table, and the header among them.
struct Head<'l> {
    layout: &'l Layout,
    registered: &'l [SeriesName],
    found: Option<(u64, Understood)>,
    /// Titles of the first row, for the error.
    first: Option<Vec<String>>,
    n_rows: usize,
}

impl<'l> Head<'l> {
    fn new(layout: &'l Layout, registered: &'l [SeriesName]) -> Head<'l> {
        Head { layout, registered, found: None, first: None, n_rows: 0 }
    }

    fn take(&mut self, row: &Row<'_>, named: &Named) -> Result<Flow, ImportError> {
        if row.number <= self.layout.skip_rows || row.cells.iter().all(Cell::is_blank) {
            return Ok(Flow::On);
        }
        let wrong = |text: String| named.row(row.number, text);
        if let Some(understood) = understand(row, self.layout, self.registered).map_err(wrong)? {
            let header_row = if self.layout.has_header() { row.number } else { 0 };
            self.found = Some((header_row, understood));
            return Ok(Flow::Stop);
        }
        let label = |cell: &Cell<'_>| cell.label().map(std::borrow::Cow::into_owned).unwrap_or_default();
        self.first.get_or_insert_with(|| row.cells.iter().map(label).collect());
        self.n_rows += 1;
        Ok(if self.n_rows >= HEADER_ROWS || !self.layout.has_header() { Flow::Stop } else { Flow::On })
    }

    fn none(self, named: &Named) -> ImportError {
        let first = self.first.map(|titles| format!("; of its first row: {}", listed(&titles))).unwrap_or_default();
        named.whole(format!("no row is a header that is understood{first}; {WANTED}"))
    }
}

fn find_in_text(
    path: &Path,
    named: &Named,
    charset: Option<&'static Encoding>,
    layout: &Layout,
    registered: &[SeriesName],
) -> Result<Found, ImportError> {
    let charset = match &layout.charset {
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            let known = "write utf-8, gbk, gb18030, big5 or utf-16le";
            ImportError::Layout(format!("charset {} is not known; {known}", shown(label)))
        })?,
        None => charset
            .ok_or_else(|| named.whole("is neither UTF-8 nor GB18030 text; name its charset with `--charset`"))?,
    };
    let candidates = match layout.separator {
        Some(separator) if separator.is_ascii() && separator != '"' => vec![separator],
        Some(separator) => return Err(ImportError::Layout(format!("separator `{separator}` is no ASCII character"))),
        None => vec![',', ';', '\t'],
    };
    let mut error = None;
    for separator in candidates {
        let table = TextTable { charset, separator };
        let mut head = Head::new(layout, registered);
        let walked = table.each_row(path, &mut |row| head.take(&row, named));
        match (walked, head.found.take()) {
            (Ok(()), Some((header_row, understood))) => {
                return Ok(Found { place: Place::Text(table), header_row, understood });
            }
            // The rows are only rows by the right separator, so that what is told is what the first one gave.
            (Ok(()), None) => error = error.or_else(|| Some(head.none(named))),
            (Err(wrong), _) => error = error.or(Some(wrong)),
        }
    }
    Err(error.unwrap_or_else(|| named.whole("is empty")))
}

fn find_in_workbook(
    path: &Path,
    named: &Named,
    layout: &Layout,
    registered: &[SeriesName],
) -> Result<Found, ImportError> {
    let mut workbook = Workbook::open(path)?;
    let sheets = workbook.sheets();
    let wanted: Vec<String> = match &layout.sheet {
        None => sheets.clone(),
        Some(sheet) if sheets.contains(sheet) => vec![sheet.clone()],
        Some(sheet) => return Err(named.whole(format!("has no sheet {}; {}", shown(sheet), listed(&sheets)))),
    };
    let (mut found, mut error) = (Vec::new(), None);
    for sheet in wanted {
        let mut head = Head::new(layout, registered);
        let walked = workbook.each_row(&sheet, &mut |row| head.take(&row, named));
        match (walked, head.found.take()) {
            (Ok(()), Some((header_row, understood))) => {
                found.push(Found { place: Place::Sheet(sheet), header_row, understood });
            }
            (Ok(()), None) => error = error.or_else(|| Some(head.none(named))),
            (Err(wrong), _) => error = error.or(Some(wrong)),
        }
    }
    if found.len() > 1 {
        let sheets: Vec<String> = found.iter().map(|found| found.place.sheet().to_owned()).collect();
        return Err(named.whole(format!("several sheets hold tables: {}; name one with --sheet", sheets.join(", "))));
    }
    found.pop().ok_or_else(|| error.unwrap_or_else(|| named.whole("has no sheet")))
}

impl Place {
    fn sheet(&self) -> &str {
        match self {
            Place::Sheet(sheet) => sheet,
            Place::Text(_) => "",
        }
    }
}
