//! The format of a time, from how it looks.
//!
//! Invariants:
//! - a format is given only if it reads every sample as an instant that a reading may carry;
//! - what may be read in two ways is read in neither.

use model::UnixMillis;
use model::time::{EARLIEST, FUTURE_MS_MAX};
use serde_json::Value;

use crate::mapping::Received;
use crate::mapping::time::{Format, Scalar};

/// How the values of a key look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Looks {
    Instant {
        format: &'static str,
    },
    /// A clock with an offset beside it.
    Clock {
        format: String,
    },
    /// A clock of a zone that it does not name.
    WallClock {
        format: String,
    },
    /// Day and month may be told apart in neither order.
    Ambiguous,
    Unknown,
}

/// The patterns that a text may be in.
#[derive(Debug, PartialEq, Eq)]
enum Patterns {
    One(String),
    /// Month or day first: which of them, the samples have to tell.
    MonthOrDayFirst {
        month: String,
        day: String,
    },
}

pub(super) fn looks(samples: &[&Value], received: Received<'_>) -> Looks {
    let Some(first) = samples.first() else { return Looks::Unknown };
    let is_read = |format: &Format| samples.iter().all(|sample| is_time(format, sample, received));
    let text = first.as_str().map(str::trim);
    for format in ["rfc3339", "unix_s", "unix_ms", "unix_us", "unix_ns"] {
        if Format::compile(format, None, None).is_ok_and(|format| is_read(&format)) {
            let is_whole = |sample: &&Value| !sample.to_string().contains('.');
            let is_float = format == "unix_s" && !samples.iter().all(is_whole);
            return Looks::Instant { format: if is_float { "unix_s_float" } else { format } };
        }
    }
    let digits = first.as_u64().map(|number| number.to_string());
    let Some(patterns) = digits.as_deref().or(text).and_then(patterns) else { return Looks::Unknown };
    let pattern = match patterns {
        Patterns::One(pattern) => pattern,
        Patterns::MonthOrDayFirst { month, day } => {
            match (samples.iter().any(is_day(1)), samples.iter().any(is_day(0))) {
                (true, false) => month,
                (false, true) => day,
                (false, false) => return Looks::Ambiguous,
                (true, true) => return Looks::Unknown,
            }
        }
    };
    let has_offset = pattern.contains("%z");
    let format = Format::compile(&pattern, (!has_offset).then_some("pilot"), None);
    match (format.is_ok_and(|format| is_read(&format)), has_offset) {
        (true, true) => Looks::Clock { format: pattern },
        (true, false) => Looks::WallClock { format: pattern },
        (false, _) => Looks::Unknown,
    }
}

/// Whether the first or second number of a date can be no month.
fn is_day(index: usize) -> impl Fn(&&Value) -> bool {
    move |sample| {
        let text = sample.as_str().unwrap_or("");
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        numbers.nth(index).and_then(|run| run.parse::<u32>().ok()).is_some_and(|number| number > 12)
    }
}

/// Whether a format reads this as an instant that a reading may carry.
fn is_time(format: &Format, sample: &Value, received: Received<'_>) -> bool {
    let scalar = match sample {
        Value::String(text) => Scalar::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Scalar::Int(int),
            (None, Some(float)) => Scalar::Float(float),
            (None, None) => return false,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return false,
    };
    let latest = UnixMillis(received.received_at.0.saturating_add(FUTURE_MS_MAX));
    format.parse(scalar, None, received.zone).is_some_and(|at| at >= EARLIEST && at <= latest)
}

/// A text that is read from its start.
struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c: char| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn digits(&mut self) -> &'t str {
        self.take(|c| c.is_ascii_digit())
    }

    /// What parts two numbers, as it stands in a pattern; none if it is longer than any such part.
    fn joint(&mut self) -> Option<String> {
        let joint = self.take(|c| !c.is_ascii_alphanumeric());
        let is_short = !joint.is_empty() && joint.chars().count() <= 3;
        is_short.then(|| joint.replace('%', "%%"))
    }

    fn word(&mut self, words: &[&str]) -> Option<()> {
        let word = words.iter().find(|word| self.rest.starts_with(**word))?;
        self.rest = &self.rest[word.len()..];
        Some(())
    }
}

const HALVES: [&str; 8] = ["AM", "PM", "am", "pm", "上午", "下午", "凌晨", "晚上"];

fn patterns(text: &str) -> Option<Patterns> {
    const TEXT_BYTES_MAX: usize = 64; // Of the longest time that anyone sends, twice.
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let pattern = match text.len() {
            12 => "%Y%m%d%H%M",
            14 => "%Y%m%d%H%M%S",
            15..=20 => "%Y%m%d%H%M%S%f",
            _ => return None,
        };
        return Some(Patterns::One(pattern.to_owned()));
    }
    let mut cursor = Cursor { rest: text };
    let date = date(&mut cursor)?;
    let clock = clock(&mut cursor)?;
    Some(match date {
        Patterns::One(date) => Patterns::One(date + &clock),
        Patterns::MonthOrDayFirst { month, day } => {
            Patterns::MonthOrDayFirst { month: month + &clock, day: day + &clock }
        }
    })
}

fn date(cursor: &mut Cursor<'_>) -> Option<Patterns> {
    let letters = |cursor: &mut Cursor<'_>| cursor.take(|c| c.is_ascii_alphabetic()).len();
    let first = cursor.digits();
    if first.len() == 8 {
        return Some(Patterns::One("%Y%m%d".to_owned()));
    }
    if first.is_empty() && letters(cursor) >= 3 {
        let one = cursor.joint()?;
        let is_day = (1..=2).contains(&cursor.digits().len());
        let two = cursor.joint()?;
        return (is_day && cursor.digits().len() == 4).then(|| Patterns::One(format!("%b{one}%d{two}%Y")));
    }
    let one = cursor.joint()?;
    let second = cursor.digits();
    let is_named = second.is_empty() && letters(cursor) >= 3;
    let two = cursor.joint()?;
    let third = cursor.digits();
    let month = if is_named { "%b" } else { "%m" };
    match (first.len(), third.len()) {
        (4, 1..=2) => Some(Patterns::One(format!("%Y{one}{month}{two}%d"))),
        (1..=2, 4) if is_named || one == "." => Some(Patterns::One(format!("%d{one}{month}{two}%Y"))),
        (1..=2, 4) => {
            let (month, day) = (format!("%m{one}%d{two}%Y"), format!("%d{one}%m{two}%Y"));
            Some(Patterns::MonthOrDayFirst { month, day })
        }
        _ => None,
    }
}

fn clock(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut pattern = String::new();
    let mut is_halved = false;
    if cursor.word(&["日"]).is_some() {
        pattern.push('日');
    }
    let blank = |cursor: &mut Cursor<'_>| if cursor.take(char::is_whitespace).is_empty() { "" } else { " " };
    pattern.push_str(blank(cursor));
    for sign in ["T", ","] {
        if cursor.word(&[sign]).is_some() {
            pattern.push_str(sign);
            pattern.push_str(blank(cursor));
        }
    }
    if cursor.word(&HALVES).is_some() {
        is_halved = true;
        pattern.push_str("%p");
        pattern.push_str(blank(cursor));
    }
    let hours = cursor.digits();
    let is_compact = hours.len() == 6;
    let hour_at = pattern.len();
    pattern.push_str(if is_compact { "%H%M%S" } else { "%H" });
    let mut has_minutes = is_compact;
    for part in ["%M", "%S"] {
        let is_next = |cursor: &Cursor<'_>| cursor.rest.starts_with([':', '时', '分', '点', '：']);
        if is_compact || !is_next(cursor) {
            break;
        }
        pattern.extend(cursor.rest.chars().next());
        cursor.take(|c| matches!(c, ':' | '时' | '分' | '点' | '：'));
        if cursor.digits().is_empty() {
            break;
        }
        pattern.push_str(part);
        has_minutes = true;
    }
    if cursor.rest.starts_with(['.', ',']) {
        cursor.take(|c| matches!(c, '.' | ','));
        cursor.digits();
        pattern.push_str("%.f");
    }
    if cursor.word(&["秒"]).is_some() {
        pattern.push('秒');
    }
    let gap = blank(cursor);
    let is_half_behind = cursor.word(&HALVES).is_some();
    if is_half_behind {
        pattern.extend([gap, "%p"]);
    }
    if is_halved || is_half_behind {
        pattern.replace_range(hour_at..hour_at + 2, "%I");
    }
    let gap = if is_half_behind { blank(cursor) } else { gap };
    if cursor.rest.starts_with(['Z', 'z', '+', '-']) {
        cursor.take(|c| matches!(c, 'Z' | 'z' | '+' | '-' | ':') || c.is_ascii_digit());
        pattern.extend([gap, "%z"]);
    }
    (has_minutes && cursor.rest.is_empty() && !(is_compact && is_half_behind)).then_some(pattern)
}
