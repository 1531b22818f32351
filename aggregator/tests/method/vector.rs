//! Reads the vector files and compares with their tolerances.

use aggregator::statistics::{Counted, Interval};
use serde_json::Value;

/// The file of that name.
pub(crate) fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A number, or "inf".
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some(other) => panic!("`{other}` is no number"),
        None => value.as_f64().unwrap_or_else(|| panic!("`{value}` is no number")),
    }
}

/// The elements of a list.
#[track_caller]
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("`{value}` is no list"))
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

/// A count in a size, by their names.
pub(crate) fn counted(value: &Value, count: &str, size: &str) -> Counted {
    Counted { count: number(&value[count]), size: number(&value[size]) }
}

/// Within the relative tolerance, or the absolute one beside zero.
#[track_caller]
pub(crate) fn near(found: f64, expected: f64, relative: f64) {
    const BESIDE_ZERO: f64 = 1e-12;
    let close =
        found == expected || (found - expected).abs() <= (relative * expected.abs()).max(BESIDE_ZERO * relative / 1e-9);
    assert!(close, "{found:e}, expected {expected:e} within {relative:e}");
}

#[track_caller]
pub(crate) fn near_interval(found: Interval, expected: &Value, relative: f64) {
    near(found.lower, number(&expected[0]), relative);
    near(found.upper, number(&expected[1]), relative);
}

/// Null is "not defined".
#[track_caller]
pub(crate) fn near_interval_or_none(found: Option<Interval>, expected: &Value, relative: f64) {
    match found {
        None => assert!(expected.is_null(), "not defined, expected {expected}"),
        Some(interval) => near_interval(interval, expected, relative),
    }
}
