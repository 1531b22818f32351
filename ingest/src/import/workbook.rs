//! Tables in XLSX workbooks: cell by cell as they stand in the file, never the whole sheet at once.
//!
//! What a date cell means is what it shows: a format without a day is a month, one without hours is a day.
//!
//! Invariants:
//! - what a workbook inflates to is counted before anything reads it, so that a small file cannot fill the memory;
//! - a cell that shows a date and hides a time of day is an error, not a day.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};
use jiff::civil::{Date, DateTime, Time, date};
use model::Value;
use model::period::MonthNo;

use super::cell::{Cell, Row};
use super::error::{ImportError, Named};
use super::text::Flow;
use super::time::When;

/// What a sheet may inflate to. A sheet of the greatest height (1,048,576 rows) and ten columns takes some 300 MB; it is
/// read as a stream.
const SHEET_MAX: u64 = 1 << 30;
/// What everything else together may inflate to: texts and styles are kept in memory.
const OTHERS_MAX: u64 = 128 << 20;
/// Widest table.
const COLUMNS_MAX: usize = 4_096;
const DAY_MS: f64 = 86_400_000.0;

/// An open workbook.
pub(super) struct Workbook {
    named: Named,
    xlsx: Xlsx<BufReader<File>>,
    is_1904: bool,
}

impl Workbook {
    /// Opens a workbook of a bounded size.
    ///
    /// # Errors
    /// If it is none, or inflates to more than is taken.
    pub(super) fn open(path: &Path) -> Result<Workbook, ImportError> {
        let named = Named::new(path);
        let open = || File::open(path).map(BufReader::new).map_err(|error| named.read(error));
        measure(open()?, &named)?;
        let xlsx = Xlsx::new(open()?).map_err(|error| named.whole(format!("is no XLSX workbook: {error}")))?;
        let is_1904 = xlsx.has_1904_epoch();
        Ok(Workbook { named, xlsx, is_1904 })
    }

    /// The sheets' names, in their order.
    pub(super) fn sheets(&self) -> Vec<String> {
        self.xlsx.sheet_names()
    }

    /// Hands over every row of a sheet that holds a cell.
    ///
    /// # Errors
    /// If there is no such sheet, or it cannot be read.
    pub(super) fn each_row(
        &mut self,
        sheet: &str,
        take: &mut dyn FnMut(Row<'_>) -> Result<Flow, ImportError>,
    ) -> Result<(), ImportError> {
        let (named, is_1904) = (self.named.clone(), self.is_1904);
        let unreadable = |error: calamine::XlsxError| named.whole(format!("sheet `{sheet}` cannot be read: {error}"));
        let mut reader = self.xlsx.worksheet_cells_reader(sheet).map_err(&unreadable)?;
        let shown: Vec<Shown> = reader.styles().iter().map(Shown::of).collect();
        let mut row: Row<'_> = Row { number: 0, cells: Vec::new() };
        while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(&unreadable)? {
            let (at, column) = cell.get_position();
            let (number, column) = (u64::from(at) + 1, column as usize);
            if number < row.number {
                return Err(named.row(number, "stands behind a later row; save the workbook anew"));
            }
            if number > row.number {
                if !row.cells.is_empty()
                    && take(std::mem::replace(&mut row, Row { number, cells: Vec::new() }))? == Flow::Stop
                {
                    return Ok(());
                }
                row.number = number;
            }
            if column >= COLUMNS_MAX {
                return Err(named.row(number, format!("is wider than {COLUMNS_MAX} columns")));
            }
            let style = shown.get(style).copied().unwrap_or(Shown::Plain);
            let found = cell_of(cell.get_value().clone(), style, is_1904).map_err(|wrong| named.row(number, wrong))?;
            if found != Cell::Blank {
                if row.cells.len() <= column {
                    row.cells.resize(column + 1, Cell::Blank);
                }
                row.cells[column] = found;
            }
        }
        if !row.cells.is_empty() {
            take(row)?;
        }
        Ok(())
    }
}

/// Inflates everything once, into nothing.
fn measure(file: BufReader<File>, named: &Named) -> Result<(), ImportError> {
    let broken = |error: &dyn std::error::Error| named.whole(format!("is no XLSX workbook: {error}"));
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(&error))?;
    let mut others = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let is_sheet = entry.name().is_ok_and(|name| name.to_ascii_lowercase().contains("worksheets/"));
        let max = if is_sheet { SHEET_MAX } else { OTHERS_MAX - others };
        let n = io::copy(&mut entry.take(max + 1), &mut io::sink()).map_err(|error| broken(&error))?;
        if n > max {
            return Err(named.whole("inflates to more than a workbook of plain tables holds; save the sheet as CSV"));
        }
        others += if is_sheet { 0 } else { n };
    }
    Ok(())
}

/// How finely a number format shows a date, or that it shows per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Plain,
    Percent,
    Month,
    Day,
    Time,
    OfDay,
}

impl Shown {
    fn of(style: &calamine::Style) -> Shown {
        let Some(format) = &style.number_format else { return Shown::Plain };
        match format.format_id {
            Some(9 | 10) => Shown::Percent,
            Some(17 | 55) => Shown::Month,
            Some(14..=16 | 27..=31 | 36 | 50..=54 | 57 | 58) => Shown::Day,
            Some(18..=21 | 32..=35 | 45..=47) => Shown::OfDay,
            Some(22) => Shown::Time,
            Some(_) | None => Shown::of_code(&format.format_code),
        }
    }

    /// Of the first section of a format code, without its quoted texts and brackets.
    fn of_code(code: &str) -> Shown {
        let (mut plain, mut until) = (String::new(), None);
        let mut chars = code.chars();
        while let Some(c) = chars.next() {
            match (until, c) {
                (Some(end), c) if c == end => until = None,
                (Some(_), _) => {}
                (None, '"') => until = Some('"'),
                (None, '[') => until = Some(']'),
                (None, '\\' | '_' | '*') => drop(chars.next()),
                (None, ';') => break,
                (None, c) => plain.push(c.to_ascii_lowercase()),
            }
        }
        let has = |c: char| plain.contains(c);
        match (has('y'), has('d'), has('h') || has('s')) {
            _ if has('%') => Shown::Percent,
            (_, true, true) | (true, _, true) => Shown::Time,
            (_, true, false) => Shown::Day,
            (true, false, false) => Shown::Month,
            (false, false, true) => Shown::OfDay,
            (false, false, false) => Shown::Plain,
        }
    }
}

fn cell_of(data: DataRef<'_>, shown: Shown, is_1904: bool) -> Result<Cell<'_>, String> {
    let number = |value: Option<Value>| match (value, shown) {
        (None, _) => Cell::Text("not a finite number".into()),
        (Some(value), Shown::Percent) => Cell::Ratio(value),
        (Some(value), Shown::Plain | Shown::Month | Shown::Day | Shown::Time | Shown::OfDay) => Cell::Number(value),
    };
    Ok(match data {
        DataRef::Empty => Cell::Blank,
        DataRef::Int(value) => number(Some(Value::from_i64(value))),
        DataRef::Float(value) => number(Value::from_f64(value)),
        DataRef::String(text) => Cell::Text(text.into()),
        DataRef::SharedString(text) => Cell::Text(text.into()),
        DataRef::Bool(value) => Cell::Text(if value { "true" } else { "false" }.into()),
        DataRef::DateTime(serial) => return time_of(serial, shown, is_1904),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell::Text(text.into()),
        DataRef::Error(error) => Cell::Text(error.to_string().into()),
    })
}

/// A serial number of days as it is shown.
fn time_of(serial: ExcelDateTime, shown: Shown, is_1904: bool) -> Result<Cell<'static>, String> {
    let days = serial.as_f64();
    let at = local(days, is_1904).ok_or_else(|| format!("{days} is no date of a spreadsheet"))?;
    let hides_time = || {
        format!("a cell shows the date {} and holds {} too; format the column as date and time", at.date(), at.time())
    };
    let is_whole = at.time() == Time::midnight();
    match shown {
        Shown::OfDay if (0.0..1.0).contains(&days) => Ok(Cell::OfDay(at.time())),
        Shown::OfDay | Shown::Time | Shown::Plain | Shown::Percent => Ok(Cell::Time(When::Local(at))),
        Shown::Day | Shown::Month if !is_whole => Err(hides_time()),
        Shown::Day => Ok(Cell::Time(When::Day(at.date()))),
        Shown::Month => Ok(Cell::Time(When::Month(MonthNo::of(at.date())))),
    }
}

/// Days since 1899-12-30 (or 1904-01-01), to the millisecond. Before 1900-03-01 spreadsheets count a day that never was; no
/// reading is that old.
fn local(days: f64, is_1904: bool) -> Option<DateTime> {
    const EPOCH_1900: Date = date(1899, 12, 30);
    const EPOCH_1904: Date = date(1904, 1, 1);
    let epoch = if is_1904 { EPOCH_1904 } else { EPOCH_1900 };
    if !(0.0..3e6).contains(&days) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "whole and below 3e6 days of milliseconds, checked here")]
    let ms = (days * DAY_MS).round() as i64;
    epoch.to_datetime(Time::midnight()).checked_add(jiff::Span::new().try_milliseconds(ms).ok()?).ok()
}

#[cfg(test)]
mod tests;
