//! Times in the forms that gateways send them: from a scalar of a payload to an instant, by a format compiled at load.
//!
//! A rule lists several formats for one time; each is tried alone here, and the caller takes the first that parses and is
//! plausible. Numbers in strings are taken wherever numbers are. Text without an offset needs a zone that a person named;
//! the zone of the host never enters.
//!
//! Invariants:
//! - digits finer than a millisecond are cut off, towards the past;
//! - a second of `60` is the next second;
//! - nothing is allocated while parsing, and no text makes it fail otherwise than by `None`.

use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use model::UnixMillis;

/// A scalar as it stands in the payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(&'a str),
}

/// What a time entry of a rule says about its text.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    Unix(Unit),
    Rfc3339,
    Pattern(Pattern),
}

/// What a number counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// By magnitude: no reading is older than 2000, so the four ranges do not touch.
    Auto,
}

/// A strptime pattern, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    items: Vec<Item>,
    zone: Zone,
    fold: Fold,
}

#[derive(Debug, Clone)]
enum Zone {
    Named(TimeZone),
    /// Of the pilot's registry.
    Pilot,
    /// The text brings its own offset.
    InText,
}

/// Which of two instants a wall clock means that shows the same hour twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Earlier,
    Later,
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    /// A blank of the pattern: one or more in the text.
    Blank,
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    Hour,
    Hour12,
    Meridiem,
    Minute,
    Second,
    /// Digits after a dot that the pattern names itself (`%f`).
    Fraction,
    /// A dot or comma and digits, or nothing (`%.f`).
    OptionalFraction,
    Offset,
}

const NAMES: &str =
    "unix_s, unix_s_float, unix_ms, unix_us, unix_ns, unix_auto, rfc3339 or a pattern such as `%Y-%m-%d %H:%M:%S`";
const SPECIFIERS: &str = "%Y %y %m %b %d %e %H %k %I %p %M %S %f %.f %z %F %T %%";

impl Format {
    /// Compiles `format`, with the `zone` and `fold` beside it.
    ///
    /// # Errors
    /// What is wrong and what would be right, in one sentence.
    pub(crate) fn compile(format: &str, zone: Option<&str>, fold: Option<&str>) -> Result<Format, String> {
        let instant = match format {
            // Both take both: a fraction is kept to the millisecond, and a whole number has none.
            "unix_s" | "unix_s_float" => Format::Unix(Unit::Seconds),
            "unix_ms" => Format::Unix(Unit::Millis),
            "unix_us" => Format::Unix(Unit::Micros),
            "unix_ns" => Format::Unix(Unit::Nanos),
            "unix_auto" => Format::Unix(Unit::Auto),
            "rfc3339" => Format::Rfc3339,
            _ => return Pattern::compile(format, zone, fold).map(Format::Pattern),
        };
        match (zone, fold) {
            (Some(zone), _) => {
                Err(format!("zone `{zone}` has no effect on `{format}`, which is an instant; leave it out"))
            }
            (None, Some(fold)) => {
                Err(format!("fold `{fold}` has no effect on `{format}`, which is an instant; leave it out"))
            }
            (None, None) => Ok(instant),
        }
    }

    /// The instant, if the scalar is one in this format. `nanos` are those of a time in two fields.
    pub(crate) fn parse(&self, scalar: Scalar<'_>, nanos: Option<i64>, pilot_zone: &TimeZone) -> Option<UnixMillis> {
        let at = match (self, scalar) {
            (Format::Unix(unit), scalar) => unit.parse(scalar),
            (Format::Rfc3339, Scalar::Text(text)) => rfc3339(text.trim()),
            (Format::Pattern(pattern), Scalar::Text(text)) => pattern.parse(text.trim(), pilot_zone),
            // `20260102030405` is often sent as a number.
            (Format::Pattern(pattern), Scalar::Int(int)) => pattern.parse_number(int, pilot_zone),
            (Format::Pattern(pattern), Scalar::UInt(int)) => pattern.parse_number(i64::try_from(int).ok()?, pilot_zone),
            (Format::Rfc3339, Scalar::Int(_) | Scalar::UInt(_) | Scalar::Float(_))
            | (Format::Pattern(_), Scalar::Float(_)) => None,
        }?;
        match nanos {
            None => Some(at),
            Some(nanos) => at.0.checked_add(nanos.div_euclid(1_000_000)).map(UnixMillis),
        }
    }
}

impl Unit {
    fn parse(self, scalar: Scalar<'_>) -> Option<UnixMillis> {
        match scalar {
            Scalar::Int(int) => self.whole(int),
            Scalar::UInt(int) => self.whole(i64::try_from(int).ok()?),
            Scalar::Float(float) => self.float(float),
            Scalar::Text(text) => self.text(text.trim()),
        }
    }

    /// The unit that a number of this size counts.
    fn of_magnitude(self, whole: i64) -> Unit {
        if self != Unit::Auto {
            return self;
        }
        match whole.unsigned_abs() {
            0..100_000_000_000 => Unit::Seconds,
            100_000_000_000..100_000_000_000_000 => Unit::Millis,
            100_000_000_000_000..100_000_000_000_000_000 => Unit::Micros,
            100_000_000_000_000_000.. => Unit::Nanos,
        }
    }

    fn whole(self, whole: i64) -> Option<UnixMillis> {
        let ms = match self.of_magnitude(whole) {
            Unit::Seconds => whole.checked_mul(1_000)?,
            Unit::Millis | Unit::Auto => whole,
            Unit::Micros => whole.div_euclid(1_000),
            Unit::Nanos => whole.div_euclid(1_000_000),
        };
        Some(UnixMillis(ms))
    }

    /// A float of seconds holds six decimal digits truly (of 1.7e9 its step is 0.24 µs): rounded there, `.9` is .900000 and
    /// not .899999, and what is finer than a millisecond is then cut off as in every other format.
    fn float(self, float: f64) -> Option<UnixMillis> {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        let whole = integer(float.floor())?;
        if self.of_magnitude(whole) == Unit::Seconds && float.abs() < EXACT / 1e6 {
            return integer((float * 1e6).round()).map(|micros| UnixMillis(micros.div_euclid(1_000)));
        }
        self.whole(whole)
    }

    fn text(self, text: &str) -> Option<UnixMillis> {
        let (whole, rest) = integer_prefix(text)?;
        match rest.split_first() {
            None => self.whole(whole),
            Some((b'.', fraction)) if whole > 0 && fraction.iter().all(u8::is_ascii_digit) => {
                let at = self.whole(whole)?;
                let ms = if self.of_magnitude(whole) == Unit::Seconds { millis_of(fraction) } else { 0 };
                Some(at.plus(ms))
            }
            // `1.650006388943E12`.
            Some(_) => self.float(text.parse().ok()?),
        }
    }
}

/// A float that is a whole number of the range of i64.
fn integer(float: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^63, checked here")]
    (float.abs() < 9.2e18).then_some(float as i64)
}

/// The digits at the start as a number (a sign is taken), and what follows them.
fn integer_prefix(text: &str) -> Option<(i64, &[u8])> {
    let bytes = text.as_bytes();
    let signed = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let n = bytes[signed..].iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(signed + n);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest))
}

/// The milliseconds of the digits after a decimal point.
fn millis_of(fraction: &[u8]) -> i64 {
    let digit = |index: usize| fraction.get(index).map_or(0, |b| i64::from(b - b'0'));
    digit(0) * 100 + digit(1) * 10 + digit(2)
}

/// RFC 3339; an offset without its colon (`+0800`) is met in the field and taken too.
fn rfc3339(text: &str) -> Option<UnixMillis> {
    const TEXT_BYTES_MAX: usize = 48; // 19 of date and time, an offset, and more digits of a second than anyone sends.
    if let Ok(at) = UnixMillis::parse(text) {
        return Some(at);
    }
    let bytes = text.as_bytes();
    let cut = bytes.len().checked_sub(2)?;
    let is_short = bytes.len() >= 24 && bytes.len() < TEXT_BYTES_MAX && matches!(bytes[bytes.len() - 5], b'+' | b'-');
    if !is_short {
        return None;
    }
    let mut with_colon = [0; TEXT_BYTES_MAX + 1];
    with_colon[..cut].copy_from_slice(&bytes[..cut]);
    with_colon[cut] = b':';
    with_colon[cut + 1..bytes.len() + 1].copy_from_slice(&bytes[cut..]);
    UnixMillis::parse(std::str::from_utf8(&with_colon[..bytes.len() + 1]).ok()?).ok()
}

impl Pattern {
    fn compile(format: &str, zone: Option<&str>, fold: Option<&str>) -> Result<Pattern, String> {
        if !format.contains('%') {
            return Err(format!("time format `{format}` is not known; use {NAMES}"));
        }
        let items = items(format)?;
        let has_date = (items.contains(&Item::Year) || items.contains(&Item::YearOfCentury))
            && (items.contains(&Item::Month) || items.contains(&Item::MonthName))
            && items.contains(&Item::Day);
        if !has_date {
            return Err(format!("time format `{format}` names no full date; it needs a year, a month and a day"));
        }
        if items.contains(&Item::Hour12) != items.contains(&Item::Meridiem) {
            return Err(format!("time format `{format}` has only one of %I and %p; use both, or %H"));
        }
        let zone = zone_of(format, items.contains(&Item::Offset), zone)?;
        Ok(Pattern { items, zone, fold: fold_of(fold)? })
    }

    fn parse_number(&self, int: i64, pilot_zone: &TimeZone) -> Option<UnixMillis> {
        const DIGITS: usize = 20; // Of the greatest i64, and a sign that no pattern takes.
        let mut text = [0u8; DIGITS];
        let mut start = DIGITS;
        let mut rest = u64::try_from(int).ok()?;
        while rest > 0 {
            start -= 1;
            text[start] = b'0' + u8::try_from(rest % 10).ok()?;
            rest /= 10;
        }
        self.parse(std::str::from_utf8(&text[start..]).ok()?, pilot_zone)
    }

    fn parse(&self, text: &str, pilot_zone: &TimeZone) -> Option<UnixMillis> {
        let mut fields = Fields::default();
        let mut rest = text;
        for item in &self.items {
            rest = fields.take(*item, rest)?;
        }
        if !rest.is_empty() {
            return None;
        }
        let wall = fields.wall()?;
        let at = match &self.zone {
            Zone::InText => fields.offset?.to_timestamp(wall).ok()?,
            Zone::Named(zone) => instant(zone, wall, self.fold)?,
            Zone::Pilot => instant(pilot_zone, wall, self.fold)?,
        };
        let at = UnixMillis::from_timestamp(at);
        Some(if fields.second == 60 { at.plus(1_000) } else { at.plus(fields.ms) })
    }
}

/// The instant at which a clock of this zone shows `wall`.
fn instant(zone: &TimeZone, wall: civil::DateTime, fold: Fold) -> Option<jiff::Timestamp> {
    let offset = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        // A wall clock in the hour that was skipped comes from a clock that was not put forward yet.
        AmbiguousOffset::Gap { before, .. } => (fold != Fold::Refuse).then_some(before)?,
        AmbiguousOffset::Fold { before, after } => match fold {
            Fold::Earlier => before,
            Fold::Later => after,
            Fold::Refuse => return None,
        },
    };
    offset.to_timestamp(wall).ok()
}

fn zone_of(format: &str, has_offset: bool, zone: Option<&str>) -> Result<Zone, String> {
    match (has_offset, zone) {
        (true, None) => Ok(Zone::InText),
        (true, Some(zone)) => Err(format!(
            "time format `{format}` reads an offset, so zone `{zone}` has no effect; leave one of them out"
        )),
        (false, None) => Err(format!(
            "time format `{format}` reads no offset, so it needs a zone: `zone = \"Asia/Shanghai\"`, or `zone = \"pilot\"` for that of the registry"
        )),
        (false, Some("pilot")) => Ok(Zone::Pilot),
        (false, Some(name)) => match TimeZone::get(name) {
            Ok(zone) => Ok(Zone::Named(zone)),
            Err(_unknown) => {
                Err(format!("zone `{name}` is not known; use an IANA name such as `Asia/Shanghai`, or `pilot`"))
            }
        },
    }
}

fn fold_of(fold: Option<&str>) -> Result<Fold, String> {
    match fold {
        None | Some("earlier") => Ok(Fold::Earlier),
        Some("later") => Ok(Fold::Later),
        Some("refuse") => Ok(Fold::Refuse),
        Some(other) => Err(format!("fold `{other}` is not known; use earlier, later or refuse")),
    }
}

/// Takes a pattern apart.
fn items(format: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            if items.last() != Some(&Item::Blank) {
                items.push(Item::Blank);
            }
            continue;
        }
        if c != '%' {
            items.push(Item::Literal(c));
            continue;
        }
        let mut specifier = String::new();
        for c in chars.by_ref() {
            specifier.push(c);
            if !matches!(c, '.' | ':') {
                break;
            }
        }
        specified(&specifier, &mut items)
            .ok_or_else(|| format!("time format `{format}`: `%{specifier}` is not known; use {SPECIFIERS}"))?;
    }
    Ok(items)
}

fn specified(specifier: &str, items: &mut Vec<Item>) -> Option<()> {
    use Item::{Blank, Day, Fraction, Hour, Hour12, Literal, Meridiem, Minute, Month, MonthName, Second, Year};
    match specifier {
        "Y" => items.push(Year),
        "y" => items.push(Item::YearOfCentury),
        "m" => items.push(Month),
        "b" | "B" | "h" => items.push(MonthName),
        "d" | "e" => items.push(Day),
        "H" | "k" => items.push(Hour),
        "I" | "l" => items.push(Hour12),
        "p" | "P" => items.push(Meridiem),
        "M" => items.push(Minute),
        "S" => items.push(Second),
        "f" => items.push(Fraction),
        ".f" => items.push(Item::OptionalFraction),
        "z" | ":z" => items.push(Item::Offset),
        "F" => items.extend([Year, Literal('-'), Month, Literal('-'), Day]),
        "T" => items.extend([Hour, Literal(':'), Minute, Literal(':'), Second]),
        "%" => items.push(Literal('%')),
        "n" | "t" => items.push(Blank),
        _ => return None,
    }
    Some(())
}

/// What a pattern has found so far.
#[derive(Debug, Default)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    /// 0 for the morning, 12 for the afternoon, of a clock of twelve hours.
    half: Option<i8>,
    minute: i8,
    second: i8,
    ms: i64,
    offset: Option<Offset>,
}

impl Fields {
    /// Reads one item at the start of `text`; gives what follows it.
    fn take<'t>(&mut self, item: Item, text: &'t str) -> Option<&'t str> {
        match item {
            Item::Literal(c) => text.strip_prefix(c),
            Item::Blank => {
                let rest = text.trim_start();
                (rest.len() < text.len()).then_some(rest)
            }
            Item::Year => number(text, 4, 4, &mut self.year),
            Item::YearOfCentury => {
                let rest = number(text, 2, 2, &mut self.year)?;
                self.year += if self.year < 70 { 2_000 } else { 1_900 };
                Some(rest)
            }
            Item::Month => number(text, 1, 2, &mut self.month),
            Item::MonthName => self.month_name(text),
            // `%e` pads with a blank.
            Item::Day => number(text.trim_start_matches(' '), 1, 2, &mut self.day),
            Item::Hour | Item::Hour12 => number(text.trim_start_matches(' '), 1, 2, &mut self.hour),
            Item::Meridiem => self.meridiem(text),
            Item::Minute => number(text, 1, 2, &mut self.minute),
            Item::Second => number(text, 1, 2, &mut self.second),
            Item::Fraction => self.fraction(text),
            Item::OptionalFraction => match text.strip_prefix(['.', ',']) {
                Some(digits) => self.fraction(digits),
                None => Some(text),
            },
            Item::Offset => self.take_offset(text),
        }
    }

    fn month_name<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        const MONTHS: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let n = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, rest) = text.split_at(n);
        let index = MONTHS
            .iter()
            .position(|month| name.eq_ignore_ascii_case(month) || name.eq_ignore_ascii_case(&month[..3]))?;
        self.month = i8::try_from(index + 1).ok()?;
        Some(rest)
    }

    fn meridiem<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        const HALVES: [(&str, i8); 8] =
            [("AM", 0), ("PM", 12), ("am", 0), ("pm", 12), ("上午", 0), ("下午", 12), ("凌晨", 0), ("晚上", 12)];
        let (word, half) = HALVES.iter().find(|(word, _)| text.starts_with(word))?;
        self.half = Some(*half);
        Some(&text[word.len()..])
    }

    fn fraction<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let n = text.bytes().take_while(u8::is_ascii_digit).count();
        self.ms = millis_of(&text.as_bytes()[..n]);
        (n > 0).then(|| &text[n..])
    }

    /// `Z`, `+08`, `+0800` or `+08:00`.
    fn take_offset<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix(['Z', 'z']) {
            self.offset = Some(Offset::UTC);
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (mut hours, mut minutes) = (0i32, 0i32);
        let mut rest = number(&text[1..], 2, 2, &mut hours)?;
        let after_colon = rest.strip_prefix(':').unwrap_or(rest);
        if let Some(after) = number(after_colon, 2, 2, &mut minutes) {
            rest = after;
        }
        if minutes > 59 {
            return None;
        }
        self.offset = Some(Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?);
        Some(rest)
    }

    /// The date and time that were read, a second of `60` as `59`.
    fn wall(&self) -> Option<civil::DateTime> {
        let hour = match self.half {
            None => self.hour,
            Some(half) if (1..=12).contains(&self.hour) => self.hour % 12 + half,
            Some(_) => return None,
        };
        let second = if self.second == 60 { 59 } else { self.second };
        let date = civil::Date::new(self.year, self.month, self.day).ok()?;
        Some(date.to_datetime(civil::Time::new(hour, self.minute, second, 0).ok()?))
    }
}

/// Reads between `least` and `most` digits into `into`; gives what follows them.
fn number<'t, T: TryFrom<i32>>(text: &'t str, least: usize, most: usize, into: &mut T) -> Option<&'t str> {
    let n = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if n < least {
        return None;
    }
    let number = text.bytes().take(n).fold(0i32, |number, b| number * 10 + i32::from(b - b'0'));
    *into = T::try_from(number).ok()?;
    Some(&text[n..])
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
