//! Instants: integers of milliseconds UTC, read from RFC 3339 with an offset, written as RFC 3339 with `Z`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in milliseconds UTC since 1970; finer digits are cut off, towards the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

/// The first instant that any reading may carry: 2000-01-01T00:00:00Z.
pub const EARLIEST: UnixMillis = UnixMillis(946_684_800_000);
/// How far a stamp may lie after its time of receipt.
pub const FUTURE_MS_MAX: i64 = 10 * 60 * 1000;

/// Why a text is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time `{text}` is not RFC 3339 with an offset, such as `2025-03-01T08:00:00+08:00`")]
pub struct TimeError {
    /// The text as it came.
    pub text: String,
}

impl UnixMillis {
    /// Reads RFC 3339 with an offset (`Z` or `+08:00`); a second of `60` is the next second.
    ///
    /// # Errors
    /// If the text has no offset or is not a time.
    pub fn parse(text: &str) -> Result<UnixMillis, TimeError> {
        rfc3339(text.as_bytes()).ok_or_else(|| TimeError { text: text.to_owned() })
    }

    /// This instant plus `ms` milliseconds, held at the ends of the range.
    pub fn plus(self, ms: i64) -> UnixMillis {
        UnixMillis(self.0.saturating_add(ms))
    }

    /// As a jiff timestamp, for calendars.
    ///
    /// # Panics
    /// If the instant lies outside the years −9999 to 9999, which no accepted reading does.
    pub fn timestamp(self) -> jiff::Timestamp {
        // Safe because every stored instant passed the window of EARLIEST.
        jiff::Timestamp::from_millisecond(self.0).expect("an instant within the calendar")
    }

    /// From a jiff timestamp; finer digits are cut off towards the past.
    pub fn from_timestamp(at: jiff::Timestamp) -> UnixMillis {
        UnixMillis(i64::try_from(at.as_nanosecond().div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0i64, |n, &b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.fff](Z|±HH:MM)`; lower-case `t`/`z` and a blank for `T` are taken, as RFC 3339 allows.
fn rfc3339(text: &[u8]) -> Option<UnixMillis> {
    if text.len() < 20 || text[4] != b'-' || text[7] != b'-' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    let whole = day >= 1 && day <= days_in_month(year, month) && hour < 24 && minute < 60 && second <= 60;
    if !whole {
        return None;
    }
    let (ms, offset) = fraction(&text[19..])?;
    let offset_minutes = offset_minutes(offset)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    // A leap second is the next second, whatever its fraction.
    Some(UnixMillis(seconds * 1_000 + if second == 60 { 0 } else { ms }))
}

/// The milliseconds of `.fff…` and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    if rest.first() != Some(&b'.') {
        return Some((0, rest));
    }
    let n = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let kept = digits(&rest[1..1 + n.min(3)])?;
    let ms = match n {
        0 => return None,
        1 => kept * 100,
        2 => kept * 10,
        _ => kept,
    };
    Some((ms, &rest[1 + n..]))
}

fn offset_minutes(offset: &[u8]) -> Option<i64> {
    match offset {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let total = hours * 60 + minutes;
            Some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000);
        let ms_of_day = self.0.rem_euclid(86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
        let (second, ms) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Human-readable formats get RFC 3339, binary ones the integer.
impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            UnixMillis::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(UnixMillis)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3339_needs_an_offset_and_cuts_finer_digits() {
        check("2025-03-01T08:00:00+08:00", Some(1_740_787_200_000));
        check("2025-03-01T00:00:00.1239Z", Some(1_740_787_200_123));
        check("2025-03-01T00:00:00.5Z", Some(1_740_787_200_500));
        check("2016-12-31T23:59:60Z", Some(1_483_228_800_000));
        check("2025-03-01T08:00:00", None);
        check("2025-02-29T08:00:00Z", None);
        check("2024-02-29T08:00:00Z", Some(1_709_193_600_000));
        check("2025-13-01T08:00:00Z", None);
        check("2025-03-01T24:00:00Z", None);
        check("2025-03-01T08:00:00.Z", None);
        check("", None);
        check("2025-03-01T08:00:00+8:00", None);

        #[track_caller]
        fn check(text: &str, ms: Option<i64>) {
            assert_eq!(UnixMillis::parse(text).ok(), ms.map(UnixMillis), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_prints_and_reads_back(ms in -62_135_596_800_000i64..253_402_300_799_999) {
            let at = UnixMillis(ms);
            prop_assert_eq!(UnixMillis::parse(&at.to_string()).unwrap(), at);
            prop_assert_eq!(at.timestamp().as_millisecond(), ms);
        }
    }
}
