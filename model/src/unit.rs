//! Units that gateways and registries name, their dimensions, and exact conversion within a dimension.
//!
//! Invariant: a conversion multiplies by one factor that is a ratio of two exactly represented numbers, so that kWh → Wh →
//! kWh gives back the number for every scale in the table.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a unit measures. Units convert within a dimension only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Energy,
    Power,
    Volume,
    Mass,
    Count,
    Time,
    Money,
    Temperature,
    Number,
    /// A unit outside the table, known by its symbol only: it converts to itself alone.
    Other,
}

impl Dimension {
    /// The word used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Energy => "energy",
            Dimension::Power => "power",
            Dimension::Volume => "volume",
            Dimension::Mass => "mass",
            Dimension::Count => "count",
            Dimension::Time => "time",
            Dimension::Money => "money",
            Dimension::Temperature => "temperature",
            Dimension::Number => "number",
            Dimension::Other => "other",
        }
    }
}

/// A row of the table: the symbol printed, its other spellings, and its size in the dimension's smallest whole unit.
struct Row {
    symbol: &'static str,
    also: &'static [&'static str],
    dimension: Dimension,
    /// Multiples of the dimension's base (J, W, litre, g, piece, ms, fen, K, 1/1000), exact in f64.
    size: f64,
}

const fn row(symbol: &'static str, also: &'static [&'static str], dimension: Dimension, size: f64) -> Row {
    Row { symbol, also, dimension, size }
}

const TABLE: &[Row] = &[
    row("J", &[], Dimension::Energy, 1.0),
    row("kJ", &[], Dimension::Energy, 1e3),
    row("MJ", &[], Dimension::Energy, 1e6),
    row("GJ", &[], Dimension::Energy, 1e9),
    row("TJ", &[], Dimension::Energy, 1e12),
    row("Wh", &[], Dimension::Energy, 3_600.0),
    row("kWh", &["KWH", "kwh", "KWh", "度", "千瓦时"], Dimension::Energy, 3.6e6),
    row("MWh", &["mwh", "MWH"], Dimension::Energy, 3.6e9),
    row("GWh", &[], Dimension::Energy, 3.6e12),
    row("W", &[], Dimension::Power, 1.0),
    row("kW", &["KW", "kw", "千瓦"], Dimension::Power, 1e3),
    row("MW", &[], Dimension::Power, 1e6),
    row("L", &["l", "dm3", "升"], Dimension::Volume, 1.0),
    row("m3", &["m³", "m^3", "立方米"], Dimension::Volume, 1e3),
    row("g", &[], Dimension::Mass, 1.0),
    row("kg", &["KG", "千克", "公斤"], Dimension::Mass, 1e3),
    row("t", &["吨"], Dimension::Mass, 1e6),
    row("piece", &["pieces", "pcs", "pc", "件", "个", "台", "只", "套"], Dimension::Count, 1.0),
    row("ms", &["毫秒"], Dimension::Time, 1.0),
    row("s", &["sec", "秒"], Dimension::Time, 1e3),
    row("min", &["分钟"], Dimension::Time, 6e4),
    row("h", &["小时"], Dimension::Time, 3.6e6),
    row("d", &["天"], Dimension::Time, 8.64e7),
    row("fen", &["分"], Dimension::Money, 1.0),
    row("CNY", &["yuan", "RMB", "元", "¥"], Dimension::Money, 100.0),
    row("万元", &["10kCNY"], Dimension::Money, 1e6),
    row("°C", &["degC", "℃", "C"], Dimension::Temperature, 1.0),
    row("1", &["", "ratio"], Dimension::Number, 100.0),
    row("%", &["percent"], Dimension::Number, 1.0),
];

/// A unit: a row of the table, or a symbol of its own that only equals itself.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Known(&'static str, Dimension, f64),
    /// At most 15 bytes of a symbol that is not in the table (a relevant variable's own unit).
    Own(OwnSymbol),
}

/// The text of a unit outside the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnSymbol {
    len: u8,
    bytes: [u8; 15],
}

impl OwnSymbol {
    fn as_str(&self) -> &str {
        // Safe because the bytes were copied from a &str as a whole.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("a symbol copied from text")
    }
}

impl Unit {
    /// A unit of the table by its symbol or another spelling.
    pub fn parse(text: &str) -> Option<Unit> {
        let found = TABLE.iter().find(|row| row.symbol == text || row.also.contains(&text))?;
        Some(Unit::Known(found.symbol, found.dimension, found.size))
    }

    /// A unit of the table, else a symbol of its own of 1 to 15 bytes (for `variable.*`); `None` if it is longer.
    pub fn parse_or_own(text: &str) -> Option<Unit> {
        if let Some(unit) = Unit::parse(text) {
            return Some(unit);
        }
        let len = u8::try_from(text.len()).ok().filter(|&len| len <= 15)?;
        let mut bytes = [0; 15];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Unit::Own(OwnSymbol { len, bytes }))
    }

    /// The symbol printed on every surface.
    pub fn symbol(&self) -> &str {
        match self {
            Unit::Known(symbol, ..) => symbol,
            Unit::Own(symbol) => symbol.as_str(),
        }
    }

    /// What it measures.
    pub fn dimension(&self) -> Dimension {
        match self {
            Unit::Known(_, dimension, _) => *dimension,
            Unit::Own(_) => Dimension::Other,
        }
    }

    /// By what a number in this unit is multiplied and divided to be in `to`: `value * n / d`. `None` if they differ in
    /// dimension.
    pub fn ratio_to(&self, to: &Unit) -> Option<(f64, f64)> {
        match (self, to) {
            (Unit::Known(_, a, from), Unit::Known(_, b, into)) if a == b => Some((*from, *into)),
            (Unit::Own(a), Unit::Own(b)) if a == b => Some((1.0, 1.0)),
            (Unit::Known(..) | Unit::Own(_), Unit::Known(..) | Unit::Own(_)) => None,
        }
    }

    /// A number in this unit as a number in `to`; unchanged to the bit if the units are the same.
    pub fn convert(&self, value: f64, to: &Unit) -> Option<f64> {
        let (n, d) = self.ratio_to(to)?;
        // One exact multiplication or division where one size divides the other: 250 Wh is 0.25 kWh to the last digit.
        if n == d {
            Some(value)
        } else if n > d && (n / d).fract() == 0.0 {
            Some(value * (n / d))
        } else if d > n && (d / n).fract() == 0.0 {
            Some(value / (d / n))
        } else {
            Some(value * n / d)
        }
    }
}

impl PartialEq for Unit {
    fn eq(&self, other: &Unit) -> bool {
        self.symbol() == other.symbol()
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.symbol())
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unit, D::Error> {
        let text = String::deserialize(deserializer)?;
        Unit::parse_or_own(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("unit `{text}` is longer than 15 bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_convert_within_their_dimension_only() {
        check("MWh", "kWh", 1.5, Some(1_500.0));
        check("Wh", "kWh", 250.0, Some(0.25));
        check("GJ", "MJ", 2.0, Some(2_000.0));
        check("MJ", "kWh", 3.6, Some(1.0));
        check("t", "kg", 0.3, Some(300.0));
        check("ms", "s", 1_500.0, Some(1.5));
        check("min", "h", 90.0, Some(1.5));
        check("件", "piece", 3.0, Some(3.0));
        check("kW", "kWh", 1.0, None);
        check("kg", "m3", 1.0, None);

        #[track_caller]
        fn check(from: &str, to: &str, value: f64, expected: Option<f64>) {
            let (from, to) = (Unit::parse(from).unwrap(), Unit::parse(to).unwrap());
            assert_eq!(from.convert(value, &to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn no_spelling_stands_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            for text in std::iter::once(&row.symbol).chain(row.also) {
                assert!(seen.insert(*text), "{text}");
            }
        }
    }
}
