//! Times of a table: instants, days and months, and the instant that each stands for.
//!
//! A stamp is the end of what it measures. So a day's or a month's amount is stamped at its end in the pilot's zone, and a
//! meter that was read on a day is read at the end of that day. An order is started at the beginning of its day and
//! completed at the end of its day.
//!
//! Invariants:
//! - day and month are never guessed: what may be d/m/Y or m/d/Y is an error that asks for a format;
//! - the zone of the host never enters.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use model::period::{MonthNo, midnight};
use model::{Kind, UnixMillis};
use serde::Deserialize;

use super::cell::{Cell, half_width};
use crate::decode::shown;
use crate::mapping::time::{Format, Scalar};

/// A time as finely as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Instant(UnixMillis),
    /// On a clock on the wall.
    Local(DateTime),
    Day(Date),
    Month(MonthNo),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Instant(at) => write!(f, "{at}"),
            When::Local(at) => write!(f, "{at}"),
            When::Day(day) => write!(f, "{day}"),
            When::Month(month) => write!(f, "{}-{:02}", month.year(), month.month()),
        }
    }
}

/// Where in its day a reading with a date alone is stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dates {
    #[default]
    End,
    Start,
}

/// What a time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    /// A reading of a series of this kind; none if it is not registered.
    Reading(Option<Kind>),
    /// An order's release or start.
    Begin,
    /// An order's completion or cancellation.
    End,
}

/// Why a cell gives no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoTime {
    /// This cell alone is wrong.
    Cell(String),
    /// So is the whole column, until a person says more.
    Column(String),
}

/// Reads and stamps the times of one table.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: TimeZone,
    dates: Dates,
    format: Option<Given>,
}

/// A format that a person gave, and how fine it is.
#[derive(Debug, Clone)]
struct Given {
    format: Format,
    grain: Grain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grain {
    Time,
    Day,
    /// The first day is put behind the text.
    Month,
}

impl Clock {
    /// Compiles a format, if there is one; `zone` is the pilot's or one that a person named.
    ///
    /// # Errors
    /// What is wrong with the format.
    pub(super) fn new(zone: TimeZone, dates: Dates, format: Option<&str>) -> Result<Clock, String> {
        let format = format.map(Given::compile).transpose()?;
        Ok(Clock { zone, dates, format })
    }

    /// The time of a cell; `of_day` is the cell with the time of day, where that has a column of its own.
    pub(super) fn when(&self, cell: &Cell<'_>, of_day: Option<&Cell<'_>>) -> Result<When, NoTime> {
        let when = self.alone(cell)?;
        let (When::Day(day), Some(of_day)) = (when, of_day) else { return Ok(when) };
        let time = match of_day {
            Cell::OfDay(time) => Some((*time, 0)),
            Cell::Text(text) => time_of_day(half_width(text).trim()),
            Cell::Blank | Cell::Number(_) | Cell::Ratio(_) | Cell::Time(_) => None,
        };
        let local = time.and_then(|(time, days)| days_later(day, days).map(|day| day.to_datetime(time)));
        local.map(When::Local).ok_or_else(|| {
            let found = of_day.label().unwrap_or_default();
            NoTime::Cell(format!("{} is no time of day; write it as 08:15 or 08:15:00", shown(&found)))
        })
    }

    fn alone(&self, cell: &Cell<'_>) -> Result<When, NoTime> {
        match cell {
            Cell::Time(when) => Ok(*when),
            Cell::Text(text) => match &self.format {
                Some(given) => given.parse(half_width(text).trim(), &self.zone),
                None => found_in(half_width(text).trim()),
            },
            Cell::Number(value) => match &self.format {
                Some(given) => given.parse(&value.to_string(), &self.zone),
                None => found_in(&value.to_string()),
            },
            Cell::Blank => Err(NoTime::Cell("the time is missing".to_owned())),
            Cell::Ratio(_) | Cell::OfDay(_) => {
                let found = cell.label().unwrap_or_default();
                Err(NoTime::Cell(format!("{} names no day; write the date too", shown(&found))))
            }
        }
    }

    /// The instant that a time stands for.
    ///
    /// # Errors
    /// Where it is too coarse, and what would be right.
    pub(super) fn stamp(&self, when: When, stamps: Stamps) -> Result<UnixMillis, String> {
        match (when, stamps) {
            (When::Instant(at), _) => Ok(at),
            (When::Local(at), _) => {
                let zoned = self.zone.to_ambiguous_timestamp(at).compatible();
                zoned.map(UnixMillis::from_timestamp).map_err(|error| format!("{at} is no time of this zone: {error}"))
            }
            (When::Day(day), Stamps::Begin) => Ok(midnight(day, &self.zone)),
            (When::Day(day), Stamps::End) => self.end_of(day),
            (When::Day(day), Stamps::Reading(kind)) => match (self.dates, kind) {
                (Dates::Start, _) => Ok(midnight(day, &self.zone)),
                (Dates::End, Some(Kind::Gauge)) => Err(format!(
                    "{day} has no time of day, and a gauge holds from its instant on; give the time, or say `--dates start`"
                )),
                (Dates::End, Some(Kind::Counter | Kind::Delta | Kind::Duration) | None) => self.end_of(day),
            },
            (When::Month(_), Stamps::Begin | Stamps::End) => {
                Err(format!("{when} is a month; an order needs the day, better the time"))
            }
            (When::Month(_), Stamps::Reading(Some(Kind::Gauge))) => {
                Err(format!("{when} is a month; a gauge is read at an instant, and a mean of a month is no reading"))
            }
            (When::Month(month), Stamps::Reading(Some(Kind::Counter | Kind::Delta | Kind::Duration) | None)) => {
                Ok(month.window(&self.zone).end)
            }
        }
    }

    /// Where a month begins.
    pub(super) fn start_of(&self, month: MonthNo) -> UnixMillis {
        month.window(&self.zone).start
    }

    fn end_of(&self, day: Date) -> Result<UnixMillis, String> {
        let next = days_later(day, 1).ok_or_else(|| format!("{day} is the last day of the calendar"))?;
        Ok(midnight(next, &self.zone))
    }
}

impl Given {
    fn compile(format: &str) -> Result<Given, String> {
        let has = |words: &[&str]| words.iter().any(|word| format.contains(word));
        if !format.contains('%') || has(&["%H", "%I", "%T", "%k", "%z"]) {
            let has_zone = format.contains("%z") || !format.contains('%');
            let zone = (!has_zone).then_some("pilot");
            return Ok(Given { format: Format::compile(format, zone, None)?, grain: Grain::Time });
        }
        if has(&["%d", "%e", "%F"]) {
            return Ok(Given { format: Format::compile(format, Some("UTC"), None)?, grain: Grain::Day });
        }
        let format = Format::compile(&format!("{format} %d"), Some("UTC"), None)?;
        Ok(Given { format, grain: Grain::Month })
    }

    fn parse(&self, text: &str, zone: &TimeZone) -> Result<When, NoTime> {
        let date = |at: UnixMillis| TimeZone::UTC.to_datetime(at.timestamp()).date();
        let found = match self.grain {
            Grain::Time => self.format.parse(Scalar::Text(text), None, zone).map(When::Instant),
            Grain::Day => self.format.parse(Scalar::Text(text), None, zone).map(|at| When::Day(date(at))),
            Grain::Month => {
                let first = format!("{text} 1");
                self.format.parse(Scalar::Text(&first), None, zone).map(|at| When::Month(MonthNo::of(date(at))))
            }
        };
        found.ok_or_else(|| NoTime::Cell(format!("{} is not in the time format that was given", shown(text))))
    }
}

fn days_later(day: Date, days: i64) -> Option<Date> {
    day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

/// What a text says without a format: year first, or RFC 3339, or epoch milliseconds.
fn found_in(text: &str) -> Result<When, NoTime> {
    if let Ok(at) = UnixMillis::parse(text) {
        return Ok(When::Instant(at));
    }
    let plain = plain(text);
    let (date, time) = plain.split_once([' ', 'T']).unwrap_or((&plain, ""));
    let day = match day_in(date, text)? {
        When::Day(day) if !time.trim().is_empty() => day,
        coarse if time.trim().is_empty() => return Ok(coarse),
        When::Day(_) | When::Month(_) | When::Instant(_) | When::Local(_) => return Err(unknown(text)),
    };
    let (time, days) = time_of_day(time.trim()).ok_or_else(|| unknown(text))?;
    let day = days_later(day, days).ok_or_else(|| unknown(text))?;
    Ok(When::Local(day.to_datetime(time)))
}

/// `2015年1月31日 8时15分` as `2015-1-31 8:15`, the separators of dates as `-`.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '年' | '月' => plain.push('-'),
            '日' | '号' => plain.push(' '),
            '时' | '点' | '分' => plain.push(':'),
            '秒' | '份' => {}
            c => plain.push(c),
        }
    }
    plain.trim().trim_end_matches([':', '-']).replace("- ", "-")
}

fn unknown(text: &str) -> NoTime {
    NoTime::Cell(format!(
        "{} is no time; write 2015-01-31 08:15, 2015-01-31 or 2015-01, or name the form with `--time-format`",
        shown(text)
    ))
}

/// A date, a month, or a number that is one of them.
fn day_in(date: &str, text: &str) -> Result<When, NoTime> {
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    if !parts.iter().all(|part| !part.is_empty() && part.len() <= 14 && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(unknown(text));
    }
    let found = match parts[..] {
        [digits] => return run_of_digits(digits, text),
        [year, month] if year.len() == 4 && month.len() <= 2 => month_of(year, month),
        [month, year] if year.len() == 4 && month.len() <= 2 => month_of(year, month),
        [year, month, day] if year.len() == 4 => date_of(year, month, day),
        [_, _, last] if last.len() == 4 || last.len() == 2 => {
            return Err(NoTime::Column(format!(
                "{} may be day/month or month/day; say which: `--time-format '%d/%m/%Y'` or `'%m/%d/%Y'`, with ` %H:%M` behind it \
                 where there is a time of day",
                shown(text)
            )));
        }
        _ => None,
    };
    found.ok_or_else(|| unknown(text))
}

fn run_of_digits(digits: &str, text: &str) -> Result<When, NoTime> {
    let found = match digits.len() {
        6 => month_of(&digits[..4], &digits[4..]),
        8 => date_of(&digits[..4], &digits[4..6], &digits[6..]),
        // From 2001 on.
        13 => digits.parse().ok().map(|ms| When::Instant(UnixMillis(ms))),
        14 => {
            let date = date_of(&digits[..4], &digits[4..6], &digits[6..8]);
            let number = |from: usize| digits[from..from + 2].parse::<i8>().ok();
            let time = || Time::new(number(8)?, number(10)?, number(12)?, 0).ok();
            match date {
                Some(When::Day(day)) => time().map(|time| When::Local(day.to_datetime(time))),
                Some(When::Month(_) | When::Instant(_) | When::Local(_)) | None => None,
            }
        }
        5 => {
            return Err(NoTime::Column(format!(
                "{} is a bare number, perhaps a date of a spreadsheet; format the column as a date with what it holds \
                 (yyyy-mm-dd, or yyyy-mm-dd hh:mm)",
                shown(text)
            )));
        }
        _ => None,
    };
    found.ok_or_else(|| unknown(text))
}

fn month_of(year: &str, month: &str) -> Option<When> {
    let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
    Some(When::Month(MonthNo::of(first)))
}

fn date_of(year: &str, month: &str, day: &str) -> Option<When> {
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok().map(When::Day)
}

/// `8:15`, `08:15:00.5`; 24:00 is 0:00 of the day after, which is the second of both.
fn time_of_day(text: &str) -> Option<(Time, i64)> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    let number = |text: &str| text.parse::<i8>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let (whole, fraction) = second.split_once('.').unwrap_or((second, ""));
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(whole)?);
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis = format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse::<i32>().ok())?;
    match (hour, minute, second, millis) {
        (24, 0, 0, 0) => Some((Time::midnight(), 1)),
        _ => Time::new(hour, minute, second, millis * 1_000_000).ok().map(|time| (time, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(dates: Dates, format: Option<&str>) -> Clock {
        Clock::new(TimeZone::get("Asia/Shanghai").unwrap(), dates, format).unwrap()
    }

    #[track_caller]
    fn check(clock: &Clock, text: &str, stamps: Stamps, expected: &str) {
        let found = match clock.when(&Cell::Text(text.into()), None) {
            Ok(when) => clock.stamp(when, stamps).map_or_else(|wrong| wrong, |at| at.to_string()),
            Err(NoTime::Cell(wrong)) => wrong,
            Err(NoTime::Column(wrong)) => format!("column: {wrong}"),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_stamp_is_the_end_of_what_it_measures() {
        let usual = clock(Dates::End, None);
        let delta = Stamps::Reading(Some(Kind::Delta));
        for month in ["2015-01", "2015/1", "201501", "01/2015", "2015年1月", "2015年01月份"] {
            check(&usual, month, delta, "2015-01-31T16:00:00.000Z");
        }
        for day in ["2015-01-31", "2015/1/31", "2015.1.31", "20150131", "2015年1月31日"] {
            check(&usual, day, delta, "2015-01-31T16:00:00.000Z");
            check(&usual, day, Stamps::Begin, "2015-01-30T16:00:00.000Z");
            check(&usual, day, Stamps::End, "2015-01-31T16:00:00.000Z");
        }
        check(&clock(Dates::Start, None), "2015-01-31", delta, "2015-01-30T16:00:00.000Z");
        for instant in [
            "2015-01-31 08:15",
            "2015-01-31T08:15:00",
            "2015/1/31 8:15",
            "2015年1月31日8时15分",
            "2015年1月31日 8:15:00",
            "２０１５-01-31 8:15",
            "20150131081500",
            "2015-01-31T00:15:00Z",
            "1422663300000",
        ] {
            check(&usual, instant, delta, "2015-01-31T00:15:00.000Z");
        }
        check(&usual, "2015-01-30 24:00", delta, "2015-01-30T16:00:00.000Z");
    }

    #[test]
    fn what_is_too_coarse_is_told() {
        let usual = clock(Dates::End, None);
        let gauge = Stamps::Reading(Some(Kind::Gauge));
        check(
            &usual,
            "2015-01",
            gauge,
            "2015-01 is a month; a gauge is read at an instant, and a mean of a month is no reading",
        );
        check(
            &usual,
            "2015-01-31",
            gauge,
            "2015-01-31 has no time of day, and a gauge holds from its instant on; give the time, or say `--dates start`",
        );
        check(&usual, "2015-01", Stamps::End, "2015-01 is a month; an order needs the day, better the time");
    }

    #[test]
    fn day_and_month_are_never_guessed() {
        let usual = clock(Dates::End, None);
        for text in ["1/2/2015", "31/01/2015 08:15", "1.2.15"] {
            let found = usual.when(&Cell::Text(text.into()), None);
            assert!(matches!(found, Err(NoTime::Column(_))), "{text}: {found:?}");
        }
        let delta = Stamps::Reading(Some(Kind::Delta));
        check(&clock(Dates::End, Some("%d/%m/%Y")), "1/2/2015", delta, "2015-02-01T16:00:00.000Z");
        check(&clock(Dates::End, Some("%m/%d/%Y %H:%M")), "1/2/2015 8:15", delta, "2015-01-02T00:15:00.000Z");
        check(&clock(Dates::End, Some("%b %Y")), "Jan 2015", delta, "2015-01-31T16:00:00.000Z");
        check(
            &clock(Dates::End, Some("%d/%m/%Y")),
            "2015-01-31",
            delta,
            "`2015-01-31` is not in the time format that was given",
        );
        let wrong = usual.when(&Cell::Text("soon".into()), None).unwrap_err();
        assert!(matches!(wrong, NoTime::Cell(_)));
    }
}
