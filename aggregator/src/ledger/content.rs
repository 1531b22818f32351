//! What a figure says, apart from when it is said: the form that is published, compared and hashed.
//!
//! JSON with sorted keys and without members that are null, so that a field that a later program adds and that says nothing
//! of an old figure changes neither its bytes nor its hash.

use model::{Figure, State};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::StoreError;

use crate::derive::broken;
use crate::figure::UNASKED;

/// Tells contents apart: half a SHA-256.
pub(crate) type ContentHash = [u8; 16];

/// A figure as text: sorted keys, no null members, every digit of every number.
pub(crate) fn canonical(figure: &Figure) -> Result<String, StoreError> {
    let place = || format!("figure {} {} {}", figure.scope, figure.indicator, figure.period);
    let value = serde_json::to_value(figure).map_err(|error| broken(place(), &error))?;
    Ok(sorted(value).to_string())
}

/// The hash of all of a figure but its version, its time, and whether it is final.
pub(crate) fn content_hash(figure: &Figure) -> Result<ContentHash, StoreError> {
    let state = match figure.state {
        State::Final | State::Provisional => State::Provisional,
        State::Insufficient => State::Insufficient,
    };
    let text = canonical(&Figure { version: None, as_of: UNASKED, state, ..figure.clone() })?;
    let hash = Sha256::digest(text.as_bytes());
    Ok(std::array::from_fn(|index| hash[index]))
}

/// The same value with the keys of every object in order, whatever map the JSON library was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use model::{Indicator, Period, Scope, UnixMillis};

    use super::*;
    use crate::figure::empty;

    /// A sufficient figure with this reduction.
    pub(crate) fn figure(period: &str, reduction: f64) -> Figure {
        let scope = Scope::parse("pilot:p").unwrap();
        let mut figure = empty(&scope, &Indicator::DefectRate, Period::parse(period).unwrap());
        figure.state = State::Provisional;
        figure.reduction = Some(reduction);
        figure.ci = Some([None, Some(0.1 + 0.2)]);
        figure
    }

    #[test]
    fn the_published_form_reads_back_to_the_same_figure() {
        let figure = figure("2016", 1.0 / 3.0);
        let text = canonical(&figure).unwrap();
        assert_eq!(serde_json::from_str::<Figure>(&text).unwrap(), figure);
        assert!(!text.contains(":null"), "{text}");
        let keys: Vec<&str> = text.split(',').filter_map(|part| part.split_once("\":")).map(|(key, _)| key).collect();
        assert!(keys.len() > 8 && text.find("\"as_of\"") < text.find("\"unit\""), "{text}");
    }

    #[test]
    fn version_time_and_finality_are_no_content_and_a_bit_is() {
        let one = figure("2016", 0.25);
        let same = Figure { version: Some(3), as_of: UnixMillis(9), state: State::Final, ..one.clone() };
        assert_eq!(content_hash(&one).unwrap(), content_hash(&same).unwrap());
        let other = Figure { reduction: Some(f64::from_bits(0.25_f64.to_bits() + 1)), ..one.clone() };
        assert_ne!(content_hash(&one).unwrap(), content_hash(&other).unwrap());
        let insufficient = Figure { state: State::Insufficient, ..one.clone() };
        assert_ne!(content_hash(&one).unwrap(), content_hash(&insufficient).unwrap());
    }
}
