//! Calendar periods in a pilot's zone: day, month, quarter, year. Counted from the calendar, never from seconds.
//!
//! A period is a name (`2020`, `2020-Q3`, `2020-03`); only together with a zone does it become a [`Window`].

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{UnixMillis, Window};

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeriodKind {
    Month,
    Quarter,
    Year,
}

impl PeriodKind {
    /// Calendar months in one.
    pub fn months(self) -> i32 {
        match self {
            PeriodKind::Month => 1,
            PeriodKind::Quarter => 3,
            PeriodKind::Year => 12,
        }
    }
}

/// A calendar month, counted as `year * 12 + month − 1`, so that months are plain integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonthNo(pub i32);

impl MonthNo {
    /// The month of a civil date.
    pub fn of(date: Date) -> MonthNo {
        MonthNo(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
    }

    /// The month in which `at` lies, in `zone`.
    pub fn containing(at: UnixMillis, zone: &TimeZone) -> MonthNo {
        MonthNo::of(zone.to_datetime(at.timestamp()).date())
    }

    /// Calendar year.
    pub fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// 1 to 12.
    pub fn month(self) -> i32 {
        self.0.rem_euclid(12) + 1
    }

    /// Its first day.
    ///
    /// # Panics
    /// If the year is outside −9999 to 9999.
    pub fn first_day(self) -> Date {
        // Safe because months come from dates, and 1 to 12 fits every integer type.
        let (year, month) = (i16::try_from(self.year()), i8::try_from(self.month()));
        Date::new(year.expect("a calendar year"), month.expect("1 to 12"), 1).expect("the first of a month")
    }

    /// `[first midnight, next first midnight)` in `zone`.
    pub fn window(self, zone: &TimeZone) -> Window {
        Window { start: midnight(self.first_day(), zone), end: midnight(MonthNo(self.0 + 1).first_day(), zone) }
    }
}

/// The instant at which a civil day begins in `zone` (the later side of a gap at midnight).
///
/// # Panics
/// If the day lies at the very end of the calendar.
pub fn midnight(day: Date, zone: &TimeZone) -> UnixMillis {
    let zoned = zone.to_ambiguous_timestamp(day.to_datetime(jiff::civil::Time::midnight())).compatible();
    // Safe because "compatible" disambiguation always finds an instant within the calendar's range.
    UnixMillis::from_timestamp(zoned.expect("a day within the calendar"))
}

/// A named calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    first: MonthNo,
    kind: PeriodKind,
}

/// Why a text names no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("period `{text}` is none of `2020`, `2020-Q3`, `2020-03`")]
pub struct PeriodError {
    /// The text as it came.
    pub text: String,
}

impl Period {
    /// The period of `kind` that holds `month`.
    pub fn containing(month: MonthNo, kind: PeriodKind) -> Period {
        Period { first: MonthNo(month.0 - month.0.rem_euclid(kind.months())), kind }
    }

    /// Reads `2020`, `2020-Q3` or `2020-03`.
    ///
    /// # Errors
    /// If the text is none of them.
    pub fn parse(text: &str) -> Result<Period, PeriodError> {
        parse(text).ok_or_else(|| PeriodError { text: text.to_owned() })
    }

    /// Month, quarter or year.
    pub fn kind(self) -> PeriodKind {
        self.kind
    }

    /// Its calendar months, first to last.
    pub fn months(self) -> impl DoubleEndedIterator<Item = MonthNo> + Clone {
        (self.first.0..self.first.0 + self.kind.months()).map(MonthNo)
    }

    /// Its first month.
    pub fn first_month(self) -> MonthNo {
        self.first
    }

    /// Its last month.
    pub fn last_month(self) -> MonthNo {
        MonthNo(self.first.0 + self.kind.months() - 1)
    }

    /// `[start, end)` in `zone`.
    pub fn window(self, zone: &TimeZone) -> Window {
        let start = self.first.window(zone).start;
        Window { start, end: self.last_month().window(zone).end }
    }
}

fn parse(text: &str) -> Option<Period> {
    let year = |text: &str| {
        let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok()).flatten().filter(|&year| year > 0)
    };
    let Some((head, tail)) = text.split_once('-') else {
        return Some(Period { first: MonthNo(year(text)? * 12), kind: PeriodKind::Year });
    };
    let first = year(head)? * 12;
    if let Some(quarter) = tail.strip_prefix('Q') {
        let quarter = quarter.parse::<i32>().ok().filter(|q| quarter.len() == 1 && (1..=4).contains(q))?;
        return Some(Period { first: MonthNo(first + (quarter - 1) * 3), kind: PeriodKind::Quarter });
    }
    let digits = tail.len() == 2 && tail.bytes().all(|b| b.is_ascii_digit());
    let month = tail.parse::<i32>().ok().filter(|m| digits && (1..=12).contains(m))?;
    Some(Period { first: MonthNo(first + month - 1), kind: PeriodKind::Month })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = (self.first.year(), self.first.month());
        match self.kind {
            PeriodKind::Month => write!(f, "{year:04}-{month:02}"),
            PeriodKind::Quarter => write!(f, "{year:04}-Q{}", (month - 1) / 3 + 1),
            PeriodKind::Year => write!(f, "{year:04}"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        Period::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_reads_and_prints_alike() {
        for text in ["2020", "2020-Q3", "2020-03"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "20", "2020-", "2020-Q5", "2020-Q", "2020-13", "2020-3", "2020-003", "+020"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_month_is_counted_from_the_calendar_of_its_zone() {
        let hours = |zone: &str, text: &str| {
            let zone = TimeZone::get(zone).unwrap();
            Period::parse(text).unwrap().window(&zone).length_ms() / 3_600_000
        };
        assert_eq!(hours("Asia/Shanghai", "2020-02"), 29 * 24);
        assert_eq!(hours("Asia/Shanghai", "2019-02"), 28 * 24);
        assert_eq!(hours("Europe/Berlin", "2020-03"), 31 * 24 - 1);
        assert_eq!(hours("Europe/Berlin", "2020-10"), 31 * 24 + 1);
        assert_eq!(hours("Europe/Berlin", "2020"), 366 * 24);
        let start = Period::parse("2015").unwrap().window(&TimeZone::get("Asia/Shanghai").unwrap()).start;
        assert_eq!(start.to_string(), "2014-12-31T16:00:00.000Z");
    }
}
