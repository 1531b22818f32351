//! Reads a vector: `{name, source, inputs, expected, tolerance}`, and compares within what it allows.

use std::path::Path;

use serde_json::Value;

/// The vector file of this name.
pub(crate) fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The number at a JSON pointer.
#[track_caller]
pub(crate) fn number(value: &Value, pointer: &str) -> f64 {
    at(value, pointer).as_f64().unwrap_or_else(|| panic!("{pointer} is no number"))
}

/// The numbers of the list at a JSON pointer.
#[track_caller]
pub(crate) fn numbers(value: &Value, pointer: &str) -> Vec<f64> {
    list(value, pointer)
        .iter()
        .map(|entry| entry.as_f64().unwrap_or_else(|| panic!("{pointer} holds {entry}")))
        .collect()
}

/// The list at a JSON pointer.
#[track_caller]
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list"))
}

#[track_caller]
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
}

/// Passes if the relative error is within the tolerance; next to an expected zero the error itself.
#[track_caller]
pub(crate) fn close(what: &str, computed: f64, expected: f64, tolerance: f64) {
    let scale = if expected == 0.0 { 1.0 } else { expected.abs() };
    let error = (computed - expected).abs() / scale;
    assert!(error <= tolerance, "{what}: {computed:?}, not {expected:?}: off by {error:e}, allowed {tolerance:e}");
}

/// Passes if the numbers agree one by one.
#[track_caller]
pub(crate) fn all_close(what: &str, computed: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(computed.len(), expected.len(), "{what}: {computed:?}, not {expected:?}");
    for (index, (computed, expected)) in computed.iter().zip(expected).enumerate() {
        close(&format!("{what} {index}"), *computed, *expected, tolerance);
    }
}
