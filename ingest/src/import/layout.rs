//! What a person says about a table: a layout file, or flags; everything may be left out.
//!
//! A layout names columns by what their header says, or by number or letter where there is no header.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::ImportError;
use super::time::Dates;

/// How a table is to be read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// What the rows are; found by the header if left out.
    pub table: Option<Kind>,
    /// Of a workbook.
    pub sheet: Option<String>,
    /// Rows above the header.
    #[serde(default)]
    pub skip_rows: u64,
    /// `false`: the first row holds values already.
    pub header: Option<bool>,
    /// Of a text file: `utf-8`, `gbk`, `gb18030`, `big5`, `utf-16le`; found if left out.
    pub charset: Option<String>,
    /// Of a text file; found if left out.
    pub separator: Option<char>,
    /// Such as `%d/%m/%Y %H:%M`; `%Y-%m` is a month.
    pub time_format: Option<String>,
    /// IANA name; the pilot's if left out.
    pub zone: Option<String>,
    /// Where in its day a reading with a date alone is stamped.
    #[serde(default)]
    pub dates: Dates,
    #[serde(default)]
    pub decimal: Decimal,
    /// Which column holds a field.
    #[serde(default)]
    pub columns: BTreeMap<Field, String>,
    /// What a field is in every row.
    #[serde(default)]
    pub constants: BTreeMap<Field, String>,
    /// Of a meter book: the series of columns whose headers do not name them.
    #[serde(default)]
    pub series: Vec<ColumnSeries>,
}

/// What the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One reading a row.
    Readings,
    /// One order a row.
    Orders,
    /// A time a row, a series a column.
    Wide,
}

/// What stands between the digits of a whole number and its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decimal {
    #[default]
    Point,
    Comma,
}

/// What a column or a constant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    At,
    /// The time of day, where it has a column of its own.
    Clock,
    Asset,
    Name,
    Value,
    Unit,
    Product,
    Id,
    Quality,
    Order,
    Released,
    Started,
    Completed,
    Cancelled,
    Quantity,
    Good,
    Defective,
}

/// How many fields there are.
pub(super) const N_FIELDS: usize = 17;

/// The series of one column of a meter book.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSeries {
    pub column: String,
    pub asset: String,
    pub name: String,
    pub product: Option<String>,
    pub unit: Option<String>,
}

impl Layout {
    /// Reads a layout file.
    ///
    /// # Errors
    /// The first mistake, with its line and what would be right.
    pub fn parse(file: &str, text: &str) -> Result<Layout, ImportError> {
        let layout: Layout = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            ImportError::Layout(format!("{file}:{line}: {}", error.message()))
        })?;
        Ok(layout)
    }

    /// Whether the first row, after those that are skipped, is a header.
    pub(super) fn has_header(&self) -> bool {
        self.header.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_names_its_line_and_the_keys_that_exist() {
        let wrong = Layout::parse("l.toml", "table = \"readings\"\n[columns]\nwhen = \"A\"\n").unwrap_err();
        assert!(
            wrong.to_string().starts_with("l.toml:3: unknown variant `when`, expected one of `at`, `clock`, "),
            "{wrong}"
        );
    }
}
