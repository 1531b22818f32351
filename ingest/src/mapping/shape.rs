//! From a value as it was sent to a number: sentinels, words and ranges of states, numbers in strings, scale and offset.
//!
//! Integers stay exact until they are scaled.

use std::collections::HashMap;

use model::Value;

use super::path::write_scalar;
use super::tape::Node;

/// The words for states, and the numbers that a state series holds for them.
pub(super) const STATES: [(&str, i64); 7] =
    [("IDLE", 0), ("RUN", 1), ("DOWN", 2), ("SETUP", 3), ("STANDBY", 4), ("OFF", 5), ("UNKNOWN", 9)];

/// A value that stands for "nothing was measured".
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sentinel {
    Number(f64),
    Text(Box<str>),
}

/// What a value becomes if it lies from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) is: Value,
}

/// How values are turned into numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    /// Digits behind the point that the sender left out: 2 divides by 100.
    pub(super) decimals: u8,
    pub(super) words: HashMap<Box<str>, Value>,
    pub(super) ranges: Vec<Range>,
    pub(super) default: Option<Value>,
    pub(super) missing: Vec<Sentinel>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shaped {
    Value(Value),
    /// Nothing was measured.
    Missing,
    /// Neither a number nor a known word.
    NotNumeric,
    /// A number that is none after scaling.
    NotFinite,
}

impl Shape {
    /// Whether it leaves numbers as they are.
    pub(super) fn is_plain(&self) -> bool {
        *self == Shape::default()
    }

    /// Turns a scalar into a number.
    pub(super) fn apply(&self, node: Node<'_>, scratch: &mut String) -> Shaped {
        if is_nothing(node) || self.missing.iter().any(|sentinel| sentinel.is(node)) {
            return Shaped::Missing;
        }
        let number = number(node);
        if (!self.words.is_empty() || !self.ranges.is_empty())
            && let Some(state) = self.state(node, number, scratch).or(self.default)
        {
            return Shaped::Value(state);
        }
        match number {
            Some(number) => self.scaled(number).map_or(Shaped::NotFinite, Shaped::Value),
            None => Shaped::NotNumeric,
        }
    }

    fn state(&self, node: Node<'_>, number: Option<Value>, scratch: &mut String) -> Option<Value> {
        scratch.clear();
        write_scalar(node, scratch)?;
        if let Some(state) = self.words.get(scratch.trim()) {
            return Some(*state);
        }
        let number = number?.as_f64();
        self.ranges.iter().find(|range| number >= range.from && number <= range.to).map(|range| range.is)
    }

    fn scaled(&self, value: Value) -> Option<Value> {
        if self.scale.is_none() && self.offset.is_none() && self.decimals == 0 {
            return Some(value);
        }
        // Divided, not multiplied by 0.01, which is no number of f64.
        let scaled = value.as_f64() / 10f64.powi(i32::from(self.decimals)) * self.scale.unwrap_or(1.0);
        Value::from_f64(scaled + self.offset.unwrap_or(0.0))
    }

    /// This shape, with what it leaves open taken from another.
    pub(super) fn then(&self, other: &Shape, node: Node<'_>, scratch: &mut String) -> Shaped {
        let shaped = match self.apply(node, scratch) {
            Shaped::NotNumeric => return other.apply(node, scratch),
            Shaped::Value(value) => value,
            nothing @ (Shaped::Missing | Shaped::NotFinite) => return nothing,
        };
        // A sentinel is a value as it was sent.
        if other.missing.iter().any(|sentinel| sentinel.is(node)) {
            return Shaped::Missing;
        }
        let node = match shaped {
            Value::Int(value) => Node::Int(value),
            Value::UInt(value) => Node::UInt(value),
            Value::Float(value) => Node::Float(value),
        };
        other.apply(node, scratch)
    }
}

impl Sentinel {
    fn is(&self, node: Node<'_>) -> bool {
        match self {
            Sentinel::Text(text) => matches!(node, Node::Text(sent) if sent.trim() == &**text),
            Sentinel::Number(sentinel) => number(node).is_some_and(|value| value.as_f64() == *sentinel),
        }
    }
}

fn is_nothing(node: Node<'_>) -> bool {
    match node {
        Node::Null => true,
        Node::Text(text) => matches!(text.trim(), "" | "NaN" | "nan" | "null" | "NULL" | "None"),
        Node::Bool(_)
        | Node::Int(_)
        | Node::UInt(_)
        | Node::Float(_)
        | Node::Array { .. }
        | Node::Object { .. }
        | Node::Link(_) => false,
    }
}

/// The number of a node: booleans are 0 and 1, texts may hold `1`, `1,234.5` or `0x1F`.
pub(super) fn number(node: Node<'_>) -> Option<Value> {
    match node {
        Node::Bool(value) => Some(Value::from_i64(i64::from(value))),
        Node::Int(value) => Some(Value::from_i64(value)),
        Node::UInt(value) => Some(Value::from_u64(value)),
        Node::Float(value) => Value::from_f64(value),
        Node::Text(text) => number_in(text.trim()),
        Node::Null | Node::Array { .. } | Node::Object { .. } | Node::Link(_) => None,
    }
}

/// The number that a text holds: `1`, `1,234.5` or `0x1F`.
pub(crate) fn number_in(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return u64::from_str_radix(digits, 16).ok().filter(|_| is_hex).map(Value::from_u64);
    }
    let joined;
    let text = if text.contains(',') {
        joined = without_thousands(text)?;
        &joined
    } else {
        text
    };
    if let Ok(value) = text.parse::<i64>() {
        return Some(Value::from_i64(value));
    }
    if let Ok(value) = text.parse::<u64>() {
        return Some(Value::from_u64(value));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse::<f64>().ok().filter(|_| is_number).and_then(Value::from_f64)
}

/// `1,234.5` as `1234.5`. A comma that does not part groups of three is no number: `1,5` may mean 1.5.
fn without_thousands(text: &str) -> Option<String> {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let mut groups = unsigned.split(',');
    let first = groups.next()?;
    let is_first = (1..=3).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_digit());
    let mut after = groups;
    let is_rest = after.all(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()));
    let is_fraction = rest.is_none_or(|rest| !rest.contains(','));
    (is_first && is_rest && is_fraction).then(|| text.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(shape: &Shape, node: Node<'_>) -> Shaped {
        shape.apply(node, &mut String::new())
    }

    #[test]
    fn numbers_are_found_in_texts() {
        for (text, expected) in [
            ("1", Some(Value::Int(1))),
            (" -7 ", Some(Value::Int(-7))),
            ("18446744073709551615", Some(Value::UInt(u64::MAX))),
            ("9007199254740993", Some(Value::Int(9_007_199_254_740_993))),
            ("1,234.5", Some(Value::Float(1234.5))),
            ("-1,234,567", Some(Value::Int(-1_234_567))),
            ("0x1F", Some(Value::Int(31))),
            ("1e3", Some(Value::Int(1000))),
            ("1,5", None),
            ("0x", None),
            ("12,34", None),
            ("inf", None),
            ("on", None),
        ] {
            assert_eq!(number(Node::Text(text)), expected, "{text}");
        }
    }

    #[test]
    fn nothing_measured_gives_no_value() {
        let shape =
            Shape { missing: vec![Sentinel::Number(-9999.0), Sentinel::Text("n/a".into())], ..Shape::default() };
        for node in
            [Node::Null, Node::Text(""), Node::Text("NaN"), Node::Int(-9999), Node::Text("-9999"), Node::Text("n/a")]
        {
            assert_eq!(shaped(&shape, node), Shaped::Missing, "{node:?}");
        }
        assert_eq!(shaped(&shape, Node::Int(9999)), Shaped::Value(Value::Int(9999)));
    }

    #[test]
    fn values_are_scaled_and_states_named() {
        let scaled = Shape { decimals: 2, ..Shape::default() };
        assert_eq!(shaped(&scaled, Node::Int(12_345)), Shaped::Value(Value::Float(123.45)));
        let linear = Shape { scale: Some(2.0), offset: Some(-1.0), ..Shape::default() };
        assert_eq!(shaped(&linear, Node::Text("3")), Shaped::Value(Value::Int(5)));
        let states = Shape {
            words: [("RUN".into(), Value::Int(1)), ("0".into(), Value::Int(0))].into(),
            ranges: vec![Range { from: 30_000.0, to: 59_999.0, is: Value::Int(9) }],
            ..Shape::default()
        };
        assert_eq!(shaped(&states, Node::Text("RUN")), Shaped::Value(Value::Int(1)));
        assert_eq!(shaped(&states, Node::Int(0)), Shaped::Value(Value::Int(0)));
        assert_eq!(shaped(&states, Node::Int(40_000)), Shaped::Value(Value::Int(9)));
        assert_eq!(shaped(&states, Node::Int(7)), Shaped::Value(Value::Int(7)));
        assert_eq!(shaped(&states, Node::Text("?")), Shaped::NotNumeric);
        let closed = Shape { default: Some(Value::Int(9)), ..states };
        assert_eq!(shaped(&closed, Node::Text("?")), Shaped::Value(Value::Int(9)));
    }
}
