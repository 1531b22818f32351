//! Rows and cells, the same for texts and workbooks; and from the text of a cell to a number.
//!
//! People write numbers with separators, full-width digits, currency and per cent signs; what may mean two things is no
//! number, and the error says how to say which.

use std::borrow::Cow;

use jiff::civil;
use model::Value;

use super::layout::Decimal;
use super::time::When;
use crate::decode::shown;
use crate::mapping::number_in;

/// One row of a table. Cells that are missing at its end are blank.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    /// The line of a text on which it begins, or the row of a sheet; both from 1.
    pub(super) number: u64,
    pub(super) cells: Vec<Cell<'a>>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Cell<'a> {
    #[default]
    Blank,
    Text(Cow<'a, str>),
    Number(Value),
    /// Shown as per cent, held as a ratio.
    Ratio(Value),
    /// A date cell, as finely as it is shown.
    Time(When),
    /// A time of day alone.
    OfDay(civil::Time),
}

impl Cell<'_> {
    /// As text; none if blank.
    pub(super) fn label(&self) -> Option<Cow<'_, str>> {
        match self {
            Cell::Blank => None,
            Cell::Text(text) => Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty()),
            Cell::Number(value) | Cell::Ratio(value) => Some(value.to_string().into()),
            Cell::Time(when) => Some(when.to_string().into()),
            Cell::OfDay(time) => Some(time.to_string().into()),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.label().is_none()
    }

    /// As a number; none if nothing was measured.
    ///
    /// # Errors
    /// What it is, and what would be right.
    pub(super) fn amount(&self, decimal: Decimal) -> Result<Option<Amount>, String> {
        match self {
            Cell::Blank => Ok(None),
            Cell::Number(value) => Ok(Some(Amount::Plain(*value))),
            Cell::Ratio(value) => Ok(Some(Amount::Ratio(*value))),
            Cell::Text(text) => amount_in(text, decimal),
            Cell::Time(when) => Err(format!("{when} is a date; a number is expected")),
            Cell::OfDay(time) => Err(format!("{time} is a time of day; a number is expected")),
        }
    }
}

/// A number as it stands in a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    Plain(Value),
    /// With a per cent sign behind it.
    Percent(Value),
    /// Shown as per cent, held as a ratio.
    Ratio(Value),
}

/// Full-width letters, digits and signs as ASCII, ideographic and unbroken blanks as plain ones.
pub(super) fn half_width(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let half = |c: char| match c {
        // The full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
        '−' => '-',
        c => c,
    };
    Cow::Owned(text.chars().map(half).collect())
}

fn amount_in(text: &str, decimal: Decimal) -> Result<Option<Amount>, String> {
    const NOTHING: [&str; 16] =
        ["", "-", "--", "—", "——", "/", "\\", "无", "n/a", "N/A", "NA", "#N/A", "null", "NULL", "NaN", "nan"];
    let half = half_width(text.trim());
    let trimmed = half.trim();
    if NOTHING.contains(&trimmed) {
        return Ok(None);
    }
    let digits = trimmed.strip_prefix(['¥', '\u{ffe5}']).unwrap_or(trimmed);
    let (digits, is_percent) = digits.strip_suffix('%').map_or((digits, false), |digits| (digits, true));
    let value = number_of(digits.trim(), decimal).ok_or_else(|| {
        let how = match decimal {
            Decimal::Point if trimmed.contains(',') => {
                "a comma may only part thousands; where it is a decimal comma say `--decimal-comma`"
            }
            Decimal::Comma if trimmed.contains('.') => "with a decimal comma a point may only part thousands",
            Decimal::Point | Decimal::Comma => "its unit belongs into a column or the header",
        };
        format!("{} is no number; {how}", shown(text.trim()))
    })?;
    Ok(Some(if is_percent { Amount::Percent(value) } else { Amount::Plain(value) }))
}

fn number_of(text: &str, decimal: Decimal) -> Option<Value> {
    // Hexadecimal is what registers send, not what people write into tables.
    if text.contains(['x', 'X']) {
        return None;
    }
    let text: Cow<'_, str> = match decimal {
        Decimal::Point => Cow::Borrowed(text),
        Decimal::Comma => {
            let swap = |c| match c {
                ',' => '.',
                '.' => ',',
                c => c,
            };
            Cow::Owned(text.chars().map(swap).collect())
        }
    };
    number_in(&without_blanks(&text))
}

/// Blanks and apostrophes that part groups of three digits, as commas.
fn without_blanks(text: &str) -> Cow<'_, str> {
    if !text.contains([' ', '\'', '’']) || text.contains(',') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace([' ', '\'', '’'], ","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        check("1,234.50", Decimal::Point, "1234.5");
        check("１，２３４．５", Decimal::Point, "1234.5");
        check("12 345", Decimal::Point, "12345");
        check("12\u{a0}345,6", Decimal::Comma, "12345.6");
        check("1.234,5", Decimal::Comma, "1234.5");
        check("¥1,000", Decimal::Point, "1000");
        check("￥8", Decimal::Point, "8");
        check("98.5%", Decimal::Point, "98.5 %");
        check("-3", Decimal::Point, "-3");
        check("18446744073709551615", Decimal::Point, "18446744073709551615");
        check(" — ", Decimal::Point, "nothing");
        check("无", Decimal::Point, "nothing");
        check("", Decimal::Comma, "nothing");
        check(
            "1,5",
            Decimal::Point,
            "`1,5` is no number; a comma may only part thousands; where it is a decimal comma say `--decimal-comma`",
        );
        check("1.5", Decimal::Comma, "`1.5` is no number; with a decimal comma a point may only part thousands");
        check("12 kWh", Decimal::Point, "`12 kWh` is no number; its unit belongs into a column or the header");
        check("0x1F", Decimal::Point, "`0x1F` is no number; its unit belongs into a column or the header");

        #[track_caller]
        fn check(text: &str, decimal: Decimal, expected: &str) {
            let found = match amount_in(text, decimal) {
                Ok(None) => "nothing".to_owned(),
                Ok(Some(Amount::Percent(value))) => format!("{value} %"),
                Ok(Some(Amount::Plain(value) | Amount::Ratio(value))) => value.to_string(),
                Err(wrong) => wrong,
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
