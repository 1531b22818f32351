//! A number as a gateway sent it, exact up to 2^64, in one canonical form.
//!
//! Invariant: two [`Value`]s that are equal as numbers are equal as values. An integer that fits `i64` is `Int`, one that
//! only fits `u64` is `UInt`, everything else is `Float`; a float without fraction below 2^53 is an `Int`; −0 is 0.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A finite number. Build it with [`Value::from_f64`], [`Value::from_i64`], [`Value::from_u64`] or [`Value::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub enum Value {
    Int(i64),
    UInt(u64),
    Float(f64),
}

/// Integers of a float are exact below this.
const FLOAT_EXACT: f64 = 9_007_199_254_740_992.0;

impl Value {
    /// Canonical form of a float; `None` if it is not finite.
    pub fn from_f64(value: f64) -> Option<Value> {
        if !value.is_finite() {
            return None;
        }
        if value.fract() == 0.0 && value.abs() < FLOAT_EXACT {
            // Safe because the value is whole and below 2^53.
            #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            return Some(Value::Int(value as i64));
        }
        Some(Value::Float(value))
    }

    /// Canonical form of a signed integer.
    pub fn from_i64(value: i64) -> Value {
        Value::Int(value)
    }

    /// Canonical form of an unsigned integer.
    pub fn from_u64(value: u64) -> Value {
        i64::try_from(value).map_or(Value::UInt(value), Value::Int)
    }

    /// Reads a JSON number token; `None` if it is no number or not finite as a float.
    pub fn parse(token: &str) -> Option<Value> {
        if let Ok(int) = token.parse::<i64>() {
            return Some(Value::Int(int));
        }
        if let Ok(int) = token.parse::<u64>() {
            return Some(Value::UInt(int));
        }
        Value::from_f64(token.parse::<f64>().ok()?)
    }

    /// The nearest float.
    pub fn as_f64(self) -> f64 {
        match self {
            Value::Int(int) => int as f64,
            Value::UInt(int) => int as f64,
            Value::Float(float) => float,
        }
    }

    /// Total order by number; the values are finite, so nothing is left out.
    pub fn total_cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
            (Value::Int(_), Value::UInt(_)) => Ordering::Less,
            (Value::UInt(_), Value::Int(_)) => Ordering::Greater,
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Float(a), Value::Int(_) | Value::UInt(_)) => a.total_cmp(&other.as_f64()).then(Ordering::Less),
            (Value::Int(_) | Value::UInt(_), Value::Float(b)) => self.as_f64().total_cmp(b).then(Ordering::Greater),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(int) => write!(f, "{int}"),
            Value::UInt(int) => write!(f, "{int}"),
            Value::Float(float) => write!(f, "{float}"),
        }
    }
}

/// Human-readable formats get a plain number, binary ones the variant.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match self {
                Value::Int(int) => serializer.serialize_i64(*int),
                Value::UInt(int) => serializer.serialize_u64(*int),
                Value::Float(float) => serializer.serialize_f64(*float),
            };
        }
        match self {
            Value::Int(int) => serializer.serialize_newtype_variant("Value", 0, "Int", int),
            Value::UInt(int) => serializer.serialize_newtype_variant("Value", 1, "UInt", int),
            Value::Float(float) => serializer.serialize_newtype_variant("Value", 2, "Float", float),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_equal_values() {
        assert_eq!(Value::parse("5.0"), Value::parse("5"));
        assert_eq!(Value::parse("-0.0"), Some(Value::Int(0)));
        assert_eq!(Value::parse("18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!(Value::parse("1e400"), None);
        assert_eq!(Value::parse("9007199254740993"), Some(Value::Int(9_007_199_254_740_993)));
        assert_eq!(Value::from_f64(f64::NAN), None);
    }

    #[test]
    fn the_order_is_total() {
        let ascending = ["-1e300", "-3", "-2.5", "0", "1.5", "2", "9223372036854775808", "1e300"];
        for pair in ascending.windows(2) {
            let (a, b) = (Value::parse(pair[0]).unwrap(), Value::parse(pair[1]).unwrap());
            assert_eq!(a.total_cmp(&b), Ordering::Less, "{a} < {b}");
            assert_eq!(b.total_cmp(&a), Ordering::Greater, "{b} > {a}");
            assert_eq!(a.total_cmp(&a), Ordering::Equal);
        }
    }
}
