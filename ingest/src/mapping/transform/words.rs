//! The words that a filter may use: those of `jaq-core` that come to an end, and a few more for texts, lists and numbers.
//!
//! It is a list of what is allowed. What is not on it (`recurse`, `until`, `input`, `now`, `env`, …) does not exist, and is
//! refused when the mapping is loaded.

use std::collections::BTreeMap;
use std::rc::Rc;

use bumpalo::Bump;
use jaq_core::data::JustLut;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Error, ValR};

use super::budget::{pays, pays_text};
use super::operators::{pays_key, spent, split};
use super::value::Val;
use crate::mapping::tape::{Tape, read_json};

/// What the filters of a mapping work on.
pub(super) type Data = JustLut<Val>;

/// Definitions of `jaq-core` that are taken: none of them calls itself.
const TAKEN: [&str; 18] = [
    "empty",
    "error",
    "true",
    "false",
    "not",
    "select",
    "tostring",
    "range",
    "map",
    "map_values",
    "del",
    "to_entries",
    "with_entries",
    "isempty",
    "all",
    "any",
    "first",
    "last",
];

/// Definitions of our own.
const OWN: &str = r#"
def null: {}["-"];
def values: select(. != null);
def strings: select(type == "string");
def numbers: select(type == "number");
def arrays: select(type == "array");
def objects: select(type == "object");
"#;

/// Definitions for the compiler.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let own = jaq_core::load::parse(OWN, |parser| parser.defs());
    jaq_core::defs().filter(|definition| TAKEN.contains(&definition.name)).chain(own.unwrap_or_default())
}

/// Filters in Rust for the compiler. `first(f)`, `limit(n; f)` and the like are among those of `jaq-core`.
pub(super) fn functions() -> impl Iterator<Item = Fun<Data>> {
    jaq_core::funs::<Data>().chain(lists()).chain(texts()).chain(numbers())
}

/// Every word, for the message about one that is unknown.
pub(super) fn known() -> String {
    let defined = definitions().map(|definition| definition.name);
    let hidden = ["error_empty", "key_values", "keys_unsorted", "path_value"];
    let mut names: Vec<&str> = defined.chain(functions().map(|function| function.0)).collect();
    names.retain(|name| !hidden.contains(name));
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn lists() -> Vec<Fun<Data>> {
    vec![
        run(("type", v(0), |cv| bome(Ok(Val::text(cv.1.kind()))))),
        run(("length", v(0), |cv| bome(length(cv.1)))),
        run(("keys", v(0), |cv| bome(keys(&cv.1)))),
        run(("has", v(1), |cv| unary(cv, |value, key| has(&value, &key)))),
        run(("add", v(0), |cv| bome(add(cv.1)))),
        run(("join", v(1), |cv| unary(cv, |value, separator| join(&value, &separator)))),
        run(("reverse", v(0), |cv| bome(items(&cv.1).map(|items| items.iter().rev().cloned().collect())))),
        run(("flatten", v(0), |cv| bome(flatten(&cv.1)))),
        run(("transpose", v(0), |cv| bome(transpose(&cv.1)))),
        run(("from_entries", v(0), |cv| bome(from_entries(&cv.1)))),
    ]
}

fn texts() -> Vec<Fun<Data>> {
    vec![
        run(("split", v(1), |cv| unary(cv, |value, separator| split(text(&value)?, text(&separator)?)))),
        run(("trim", v(0), |cv| bome(text(&cv.1).map(|text| Val::text(text.trim()))))),
        run(("ascii_downcase", v(0), |cv| bome(text(&cv.1).map(|text| Val::text(&text.to_ascii_lowercase()))))),
        run(("ascii_upcase", v(0), |cv| bome(text(&cv.1).map(|text| Val::text(&text.to_ascii_uppercase()))))),
        run(("startswith", v(1), |cv| unary(cv, |value, part| Ok(text(&value)?.starts_with(text(&part)?).into())))),
        run(("endswith", v(1), |cv| unary(cv, |value, part| Ok(text(&value)?.ends_with(text(&part)?).into())))),
        run(("ltrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(text(&value)?.strip_prefix(text(&part)?).map_or(value.clone(), Val::text)))
        })),
        run(("rtrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(text(&value)?.strip_suffix(text(&part)?).map_or(value.clone(), Val::text)))
        })),
        run(("tojson", v(0), |cv| bome(Ok(Val::text(&cv.1.to_string()))))),
        run(("fromjson", v(0), |cv| bome(text(&cv.1).and_then(from_json)))),
    ]
}

fn numbers() -> Vec<Fun<Data>> {
    vec![
        run(("tonumber", v(0), |cv| bome(to_number(cv.1)))),
        run(("floor", v(0), |cv| bome(rounded(cv.1, f64::floor)))),
        run(("ceil", v(0), |cv| bome(rounded(cv.1, f64::ceil)))),
        run(("round", v(0), |cv| bome(rounded(cv.1, f64::round)))),
    ]
}

fn text(value: &Val) -> ValR<&str, Val> {
    match value {
        Val::Text(text) if pays_text(text.len()) => Ok(text),
        Val::Text(_) => Err(spent()),
        Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Array(_) | Val::Object(_) => {
            Err(Error::typ(value.clone(), "string"))
        }
    }
}

fn items(value: &Val) -> ValR<&[Val], Val> {
    match value {
        Val::Array(array) if pays(array.items.len()) => Ok(&array.items),
        Val::Array(_) => Err(spent()),
        Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) | Val::Object(_) => {
            Err(Error::typ(value.clone(), "array"))
        }
    }
}

/// A number of things as a value: never beyond 64 bits.
fn count(n: usize) -> Val {
    Val::int(i128::try_from(n).unwrap_or(i128::MAX))
}

fn length(value: Val) -> ValR<Val> {
    match &value {
        Val::Null => Ok(Val::Int(0)),
        Val::Text(_) => text(&value).map(|text| count(text.chars().count())),
        Val::Array(array) => Ok(count(array.items.len())),
        Val::Object(object) => Ok(count(object.entries.len())),
        Val::Int(int) => Ok(Val::int(int.abs())),
        Val::Float(float) => Ok(Val::Float(float.abs())),
        Val::Bool(_) => Err(Error::typ(value, "array, object, string or number")),
    }
}

fn keys(value: &Val) -> ValR<Val> {
    match value {
        Val::Object(object) => Ok(object.entries.keys().map(|key| Val::Text(Rc::clone(key))).collect()),
        Val::Array(array) => Ok((0..array.items.len()).map(count).collect()),
        Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) => {
            Err(Error::typ(value.clone(), "array or object"))
        }
    }
}

fn has(value: &Val, key: &Val) -> ValR<Val> {
    if !pays_key(key) {
        return Err(spent());
    }
    match (value, key) {
        (Val::Object(object), Val::Text(key)) => Ok(object.entries.contains_key(key).into()),
        (Val::Array(array), Val::Int(index)) => {
            Ok(usize::try_from(*index).is_ok_and(|index| index < array.items.len()).into())
        }
        (value, key) => Err(Error::index(value.clone(), key.clone())),
    }
}

/// Texts and lists are put together in one go: one after the other would copy the beginning each time.
fn add(value: Val) -> ValR<Val> {
    let of_object = match &value {
        Val::Object(object) if pays(object.entries.len()) => {
            Some(object.entries.values().cloned().collect::<Vec<Val>>())
        }
        Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) | Val::Array(_) | Val::Object(_) => None,
    };
    let items = match &of_object {
        Some(items) => &items[..],
        None => items(&value)?,
    };
    if !items.is_empty() && items.iter().all(|item| matches!(item, Val::Text(_))) {
        return concatenated(items, "");
    }
    if !items.is_empty() && items.iter().all(|item| matches!(item, Val::Array(_))) {
        let lists = items.iter().map(self::items).collect::<ValR<Vec<&[Val]>, Val>>()?;
        return Ok(Val::array(lists.concat()));
    }
    items.iter().cloned().try_fold(Val::Null, |sum, item| sum + item)
}

fn concatenated(items: &[Val], separator: &str) -> ValR<Val> {
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 && pays_text(separator.len()) {
            out.push_str(separator);
        }
        match item {
            Val::Null => {}
            Val::Text(_) => out.push_str(text(item)?),
            Val::Bool(_) | Val::Int(_) | Val::Float(_) => out.push_str(&item.to_string()),
            Val::Array(_) | Val::Object(_) => return Err(Error::typ(item.clone(), "string")),
        }
    }
    Ok(Val::text(&out))
}

fn join(value: &Val, separator: &Val) -> ValR<Val> {
    concatenated(items(value)?, text(separator)?)
}

fn flatten(value: &Val) -> ValR<Val> {
    fn into(items: &[Val], flat: &mut Vec<Val>) -> ValR<(), Val> {
        for item in items {
            match item {
                Val::Array(_) => into(self::items(item)?, flat)?,
                other @ (Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) | Val::Object(_)) => {
                    flat.push(other.clone());
                }
            }
        }
        Ok(())
    }
    let mut flat = Vec::new();
    into(items(value)?, &mut flat)?;
    Ok(Val::array(flat))
}

/// Columns as rows: the shape of parallel lists. What a shorter list lacks is null.
fn transpose(value: &Val) -> ValR<Val> {
    let columns = items(value)?.iter().map(items).collect::<ValR<Vec<&[Val]>, Val>>()?;
    let n_rows = columns.iter().map(|column| column.len()).max().unwrap_or(0);
    if !pays(n_rows.saturating_mul(columns.len())) {
        return Err(spent());
    }
    let row = |at: usize| columns.iter().map(|column| column.get(at).cloned().unwrap_or(Val::Null)).collect();
    Ok(Val::array((0..n_rows).map(row).collect()))
}

/// From `{key, value}` or `{name, value}` rows to an object.
fn from_entries(value: &Val) -> ValR<Val> {
    let mut entries = BTreeMap::new();
    for row in items(value)? {
        let Val::Object(row) = row else { return Err(Error::typ(row.clone(), "object")) };
        let field = |names: &[&str]| names.iter().find_map(|name| row.entries.get(*name)).cloned().unwrap_or(Val::Null);
        let key = match field(&["key", "name", "k"]) {
            Val::Text(key) => key,
            other @ (Val::Bool(_) | Val::Int(_) | Val::Float(_)) => other.to_string().into(),
            other @ (Val::Null | Val::Array(_) | Val::Object(_)) => return Err(Error::typ(other, "string")),
        };
        if !pays_text(key.len()) {
            return Err(spent());
        }
        entries.insert(key, field(&["value", "v"]));
    }
    Ok(Val::object(entries))
}

fn from_json(text: &str) -> ValR<Val> {
    let (arena, mut tape) = (Bump::new(), Tape::default());
    read_json(text, &mut tape, &arena).map_err(|error| Error::str(format_args!("this text is not JSON: {error}")))?;
    // What no array or object holds costs as much as what one holds.
    if !pays(text.len() / 2) {
        return Err(spent());
    }
    Val::read(&tape, 0, 0).ok_or_else(|| Error::str("this JSON nests too deep"))
}

fn to_number(value: Val) -> ValR<Val> {
    match &value {
        Val::Int(_) | Val::Float(_) => Ok(value),
        Val::Text(_) => Val::number_in(text(&value)?.trim()).ok_or_else(|| Error::typ(value.clone(), "number")),
        Val::Null | Val::Bool(_) | Val::Array(_) | Val::Object(_) => Err(Error::typ(value, "number")),
    }
}

fn rounded(value: Val, how: fn(f64) -> f64) -> ValR<Val> {
    match value {
        Val::Int(_) => Ok(value),
        Val::Float(float) => {
            let rounded = how(float);
            const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: beyond it a float is a whole number already.
            #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked here")]
            Ok(if rounded.abs() <= EXACT { Val::Int(rounded as i128) } else { Val::Float(rounded) })
        }
        other @ (Val::Null | Val::Bool(_) | Val::Text(_) | Val::Array(_) | Val::Object(_)) => {
            Err(Error::typ(other, "number"))
        }
    }
}
