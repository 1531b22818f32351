//! Whether the data of a baseline period suffice for a model (CalTRACK 2.0; the calendar rule is DOE SEP's).
//!
//! Findings are collected, not thrown: each says what was found and what would have been enough.
//!
//! Invariants:
//! - a missing day is missing, never zero; a zero reading of electricity is missing as well;
//! - days of a dropped billing period count as missing.

use jiff::civil::Date;

/// The days of a baseline.
pub const BASELINE_DAYS_MIN: u32 = 365;

/// One tenth of a year.
pub const MISSING_DAYS_MAX: u32 = 37;

/// Share of a period's hourly temperatures without which the period is missing.
pub const TEMPERATURE_SHARE_MIN: f64 = 0.9;

/// Days of a billing period: the shortest, and the longest by rhythm.
pub const BILLING_DAYS_MIN: u32 = 25;
pub const MONTHLY_DAYS_MAX: u32 = 35;
pub const BIMONTHLY_DAYS_MAX: u32 = 70;

/// What a reading of zero means for a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// Electricity: no site uses none, so the reading is missing.
    Missing,
    /// Fuels: a warm month may need none.
    Used,
}

/// How often a billing meter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    Monthly,
    Bimonthly,
}

/// A period of the meter: a day, or a billing period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Supply {
    pub days: u32,
    pub reading: Option<f64>,
    /// Share of the hourly temperatures that exist; `None` for a model without weather.
    pub temperature_share: Option<f64>,
}

/// Why the data cannot carry a baseline.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Insufficiency {
    #[error("the baseline spans {days} days; at least {BASELINE_DAYS_MIN} are needed")]
    TooShort { days: u32 },
    #[error("{days} days of the baseline are missing; at most {MISSING_DAYS_MAX} may be")]
    TooManyMissing { days: u32 },
    #[error("the baseline ends on {end}, after the change on {change}; it ends before it")]
    EndsAfterChange { end: Date, change: Date },
    #[error("the reporting period from {from} to {to} does not cover whole months; it starts and ends with a month")]
    PartOfAMonth { from: Date, to: Date },
    #[error("the reporting period covers the months {reporting:?}, the baseline {baseline:?}; they are the same")]
    OtherMonths { reporting: Vec<i8>, baseline: Vec<i8> },
}

/// What is there and what is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Sufficiency {
    pub days: u32,
    pub days_missing: u32,
    /// Which periods may enter the fit, in the order given.
    pub usable: Vec<bool>,
    pub findings: Vec<Insufficiency>,
}

/// Daily data, one entry for each day of the baseline.
pub fn daily(days: &[Supply], zero: Zero) -> Sufficiency {
    collect(days, |supply| present(supply, zero))
}

/// Billing data, one entry for each period of the baseline.
pub fn billing(periods: &[Supply], zero: Zero, rhythm: Rhythm) -> Sufficiency {
    let longest = match rhythm {
        Rhythm::Monthly => MONTHLY_DAYS_MAX,
        Rhythm::Bimonthly => BIMONTHLY_DAYS_MAX,
    };
    collect(periods, |supply| present(supply, zero) && (BILLING_DAYS_MIN..=longest).contains(&supply.days))
}

/// The calendar of a comparison, each period half-open: the baseline ends before the change, the reporting period covers
/// whole months, the same calendar months as the baseline.
pub fn calendar(baseline: (Date, Date), change: Date, reporting: (Date, Date)) -> Vec<Insufficiency> {
    let mut findings = Vec::new();
    if baseline.1 > change {
        findings.push(Insufficiency::EndsAfterChange { end: baseline.1, change });
    }
    if reporting.0.day() != 1 || reporting.1.day() != 1 {
        findings.push(Insufficiency::PartOfAMonth { from: reporting.0, to: reporting.1 });
    }
    let (ours, theirs) = (months(reporting), months(baseline));
    if ours != theirs {
        findings.push(Insufficiency::OtherMonths { reporting: ours, baseline: theirs });
    }
    findings
}

fn present(supply: &Supply, zero: Zero) -> bool {
    let read = match (supply.reading, zero) {
        (None, Zero::Missing | Zero::Used) => false,
        (Some(reading), Zero::Missing) => reading.is_finite() && reading != 0.0,
        (Some(reading), Zero::Used) => reading.is_finite(),
    };
    read && supply.temperature_share.is_none_or(|share| share >= TEMPERATURE_SHARE_MIN)
}

fn collect(supplies: &[Supply], usable: impl Fn(&Supply) -> bool) -> Sufficiency {
    let usable: Vec<bool> = supplies.iter().map(usable).collect();
    let days = supplies.iter().map(|supply| supply.days).sum();
    let missing = supplies.iter().zip(&usable).filter(|(_, usable)| !**usable);
    let days_missing = missing.map(|(supply, _)| supply.days).sum();
    let mut findings = Vec::new();
    if days < BASELINE_DAYS_MIN {
        findings.push(Insufficiency::TooShort { days });
    }
    if days_missing > MISSING_DAYS_MAX {
        findings.push(Insufficiency::TooManyMissing { days: days_missing });
    }
    Sufficiency { days, days_missing, usable, findings }
}

/// The calendar months that a half-open period touches, in order, each once.
fn months((from, to): (Date, Date)) -> Vec<i8> {
    let number = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
    let last = if to.day() == 1 { number(to) - 1 } else { number(to) };
    let touched = |month: &i8| {
        let within = number(from)..=last;
        within.clone().take(12).any(|at| at.rem_euclid(12) + 1 == i32::from(*month))
    };
    (1..=12).filter(touched).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(reading: f64) -> Supply {
        Supply { days: 1, reading: Some(reading), temperature_share: Some(1.0) }
    }

    #[test]
    fn caltrack_a_year_of_days_may_miss_thirty_seven() {
        let year = |n_zero: usize| {
            let mut days = vec![day(5.0); 365];
            days[..n_zero].fill(day(0.0));
            days
        };
        assert_eq!(daily(&year(37), Zero::Missing).findings, []);
        assert_eq!(daily(&year(38), Zero::Used).findings, []);
        let short = daily(&year(38)[1..], Zero::Missing);
        assert_eq!((short.days, short.days_missing), (364, 37));
        insta::assert_snapshot!(short.findings[0], @"the baseline spans 364 days; at least 365 are needed");
        let gaps = daily(&year(38), Zero::Missing);
        insta::assert_snapshot!(gaps.findings[0], @"38 days of the baseline are missing; at most 37 may be");
        assert_eq!(gaps.usable.iter().filter(|usable| **usable).count(), 327);
    }

    #[test]
    fn caltrack_a_day_with_too_few_temperatures_is_missing() {
        let cold = |share: f64| Supply { temperature_share: Some(share), ..day(5.0) };
        assert_eq!(daily(&[cold(0.9), cold(0.89), day(5.0)], Zero::Used).usable, [true, false, true]);
        assert_eq!(daily(&[Supply { reading: None, ..day(5.0) }], Zero::Used).usable, [false]);
        assert_eq!(daily(&[Supply { temperature_share: None, ..day(5.0) }], Zero::Used).usable, [true]);
    }

    #[test]
    fn caltrack_a_billing_period_has_25_to_35_days_or_up_to_70() {
        let periods: Vec<Supply> = [24, 25, 35, 36, 70, 71].map(|days| Supply { days, ..day(5.0) }).to_vec();
        let monthly = billing(&periods, Zero::Used, Rhythm::Monthly);
        assert_eq!(monthly.usable, [false, true, true, false, false, false]);
        assert_eq!(monthly.days_missing, 24 + 36 + 70 + 71);
        let bimonthly = billing(&periods, Zero::Used, Rhythm::Bimonthly);
        assert_eq!(bimonthly.usable, [false, true, true, true, true, false]);
    }

    #[test]
    fn a_reporting_period_covers_the_whole_months_of_the_baseline() {
        let date = |year: i16, month: i8, day: i8| jiff::civil::date(year, month, day);
        let year = (date(2015, 1, 1), date(2016, 1, 1));
        let change = date(2016, 3, 1);
        assert_eq!(calendar(year, change, (date(2020, 7, 1), date(2021, 7, 1))), []);
        assert_eq!(calendar(year, change, (date(2017, 1, 1), date(2019, 1, 1))), []);
        let wrong = calendar(year, date(2015, 12, 1), (date(2016, 4, 2), date(2016, 6, 1)));
        let text: Vec<String> = wrong.iter().map(Insufficiency::to_string).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        the baseline ends on 2016-01-01, after the change on 2015-12-01; it ends before it
        the reporting period from 2016-04-02 to 2016-06-01 does not cover whole months; it starts and ends with a month
        the reporting period covers the months [4, 5], the baseline [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]; they are the same
        ");
    }
}
