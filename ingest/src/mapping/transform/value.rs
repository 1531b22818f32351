//! A value inside a filter: JSON with exact integers, made from a tape and written back to one.
//!
//! Invariants:
//! - integers of 64 bits, signed or not, stay exact; what leaves their range becomes a float, as on the tape;
//! - a float is finite: arithmetic that would give another is an error;
//! - no value nests deeper than [`DEPTH_MAX`], so that walking and dropping one never exhausts the stack;
//! - whatever is made, compared or written is paid for first.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::rc::Rc;

use bumpalo::Bump;

use super::budget::{overdraw, pays, pays_text};
use crate::mapping::shape;
use crate::mapping::tape::{Node, Place, Tape};

/// Levels of arrays and objects: those of a JSON text and of one more that was unwrapped from it.
const DEPTH_MAX: usize = 256;

/// See the module's comment.
#[derive(Debug, Clone)]
pub(super) enum Val {
    Null,
    Bool(bool),
    /// Within the range of `i64` and `u64`.
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    Array(Rc<Array>),
    Object(Rc<Object>),
}

/// Elements, and how deep they nest.
#[derive(Debug, Clone, Default)]
pub(super) struct Array {
    pub(super) items: Vec<Val>,
    depth: usize,
}

/// Entries in the order of their keys, and how deep they nest.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    pub(super) entries: BTreeMap<Rc<str>, Val>,
    depth: usize,
}

impl Object {
    /// Pays for a look at every entry, its key included: keys may be as long as a message.
    pub(super) fn pays_entries(&self) -> bool {
        pays(self.entries.len()) && pays_text(self.entries.keys().map(|key| key.len()).sum())
    }

    /// The order of the keys, each paid for before it is looked at; none where nothing is left to pay with.
    fn compare_keys(&self, other: &Object) -> Option<Ordering> {
        for (one, other) in self.entries.keys().zip(other.entries.keys()) {
            if !pays_text(one.len().min(other.len())) {
                return None;
            }
            match one.cmp(other) {
                Ordering::Equal => {}
                unequal @ (Ordering::Less | Ordering::Greater) => return Some(unequal),
            }
        }
        Some(self.entries.len().cmp(&other.entries.len()))
    }
}

impl Val {
    pub(super) fn text(text: &str) -> Val {
        if pays_text(text.len()) { Val::Text(text.into()) } else { Val::Null }
    }

    /// A float that is finite; a whole number beyond 64 bits is one too.
    pub(super) fn float(value: f64) -> Option<Val> {
        value.is_finite().then_some(Val::Float(value))
    }

    /// An integer, or the float next to it where 64 bits do not hold it.
    pub(super) fn int(value: i128) -> Val {
        let is_exact = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value);
        if is_exact { Val::Int(value) } else { Val::Float(value as f64) }
    }

    pub(super) fn array(items: Vec<Val>) -> Val {
        let depth = 1 + items.iter().map(Val::depth).max().unwrap_or(0);
        if depth > DEPTH_MAX || !pays(1) {
            overdraw();
            return Val::Null;
        }
        Val::Array(Rc::new(Array { items, depth }))
    }

    pub(super) fn object(entries: BTreeMap<Rc<str>, Val>) -> Val {
        let depth = 1 + entries.values().map(Val::depth).max().unwrap_or(0);
        if depth > DEPTH_MAX || !pays(1) {
            overdraw();
            return Val::Null;
        }
        Val::Object(Rc::new(Object { entries, depth }))
    }

    fn depth(&self) -> usize {
        match self {
            Val::Array(array) => array.depth,
            Val::Object(object) => object.depth,
            Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) => 0,
        }
    }

    /// What it is, in jq's word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Int(_) | Val::Float(_) => "number",
            Val::Text(_) => "string",
            Val::Array(_) => "array",
            Val::Object(_) => "object",
        }
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Val::Int(value) => Some(*value as f64),
            Val::Float(value) => Some(*value),
            Val::Null | Val::Bool(_) | Val::Text(_) | Val::Array(_) | Val::Object(_) => None,
        }
    }

    /// The number in a text, by the rules of the mapping language.
    pub(super) fn number_in(text: &str) -> Option<Val> {
        shape::number(Node::Text(text)).map(|value| match value {
            model::Value::Int(value) => Val::Int(value.into()),
            model::Value::UInt(value) => Val::Int(value.into()),
            model::Value::Float(value) => Val::Float(value),
        })
    }

    /// Reads what stands at a place of a tape; none if it nests too deep.
    pub(super) fn read(tape: &Tape<'_>, place: Place, level: usize) -> Option<Val> {
        if level >= DEPTH_MAX {
            return None;
        }
        Some(match tape.at(place) {
            Node::Null | Node::Link(_) => Val::Null,
            Node::Bool(value) => Val::Bool(value),
            Node::Int(value) => Val::Int(value.into()),
            Node::UInt(value) => Val::Int(value.into()),
            Node::Float(value) => Val::Float(value),
            Node::Text(text) => Val::Text(text.into()),
            Node::Array { .. } => {
                let items = tape.elements(place).map(|place| Val::read(tape, place, level + 1));
                Val::array(items.collect::<Option<_>>()?)
            }
            Node::Object { .. } => {
                let entries =
                    tape.entries(place).map(|(key, place)| Some((key.into(), Val::read(tape, place, level + 1)?)));
                Val::object(entries.collect::<Option<_>>()?)
            }
        })
    }

    /// Puts it behind what a tape holds; false if that costs too much, which what is shared inside may.
    pub(super) fn write<'a>(&self, tape: &mut Tape<'a>, arena: &'a Bump) -> bool {
        if !pays(1) {
            return false;
        }
        match self {
            Val::Null => tape.null(),
            Val::Bool(value) => tape.bool(*value),
            Val::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => tape.int(value),
                (Err(_), Ok(value)) => tape.uint(value),
                // Safe because an integer is of 64 bits by the invariant above; as a float it would still be its value.
                (Err(_), Err(_)) => tape.float(*value as f64),
            },
            Val::Float(value) => tape.float(*value),
            Val::Text(text) => {
                if !pays_text(text.len()) {
                    return false;
                }
                tape.text(arena.alloc_str(text));
            }
            Val::Array(array) => {
                let open = tape.open_array();
                let is_whole = array.items.iter().all(|item| item.write(tape, arena));
                tape.close(open);
                return is_whole;
            }
            Val::Object(object) => {
                let open = tape.open_object();
                let is_whole = object.entries.iter().all(|(key, value)| {
                    let is_paid = pays_text(key.len());
                    if is_paid {
                        tape.key(arena.alloc_str(key));
                    }
                    is_paid && value.write(tape, arena)
                });
                tape.close(open);
                return is_whole;
            }
        }
        true
    }

    /// The rank of its kind, in jq's order.
    fn rank(&self) -> u8 {
        match self {
            Val::Null => 0,
            Val::Bool(false) => 1,
            Val::Bool(true) => 2,
            Val::Int(_) | Val::Float(_) => 3,
            Val::Text(_) => 4,
            Val::Array(_) => 5,
            Val::Object(_) => 6,
        }
    }
}

/// jq's order. Where nothing is left to pay with, two values are neither equal nor in any order.
impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Val) -> Option<Ordering> {
        if !pays(1) {
            return None;
        }
        match (self, other) {
            (Val::Int(one), Val::Int(other)) => Some(one.cmp(other)),
            (Val::Float(one), Val::Float(other)) => one.partial_cmp(other),
            (Val::Int(one), Val::Float(other)) => Some(int_to_float(*one, *other)),
            (Val::Float(one), Val::Int(other)) => Some(int_to_float(*other, *one).reverse()),
            (Val::Text(one), Val::Text(other)) => {
                pays_text(one.len().min(other.len())).then(|| one.as_bytes().cmp(other.as_bytes()))
            }
            (Val::Array(one), Val::Array(other)) => one.items.partial_cmp(&other.items),
            (Val::Object(one), Val::Object(other)) => match one.compare_keys(other)? {
                Ordering::Equal => one.entries.values().partial_cmp(other.entries.values()),
                unequal @ (Ordering::Less | Ordering::Greater) => Some(unequal),
            },
            (one, other) => Some(one.rank().cmp(&other.rank())),
        }
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Val) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

/// Compares exactly: as floats 2^53 and 2^53 + 1 would be the same.
fn int_to_float(int: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 1e30; // Greater than any integer here, and within the range of i128.
    if float.abs() > BEYOND {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    let floor = float.floor();
    #[allow(clippy::cast_possible_truncation, reason = "whole and within 1e30, checked here")]
    let whole = floor as i128;
    int.cmp(&whole).then(if float > floor { Ordering::Less } else { Ordering::Equal })
}

/// As JSON; cut off where nothing is left to pay with.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !pays(1) {
            return Ok(());
        }
        match self {
            Val::Null => f.write_str("null"),
            Val::Bool(value) => write!(f, "{value}"),
            Val::Int(value) => write!(f, "{value}"),
            // 1e300 rather than 301 digits.
            Val::Float(value) if value.abs() >= 1e21 => write!(f, "{value:e}"),
            Val::Float(value) => write!(f, "{value}"),
            Val::Text(text) => quoted(text, f),
            Val::Array(array) => {
                f.write_char('[')?;
                for (index, item) in array.items.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_char(']')
            }
            Val::Object(object) => {
                f.write_char('{')?;
                for (index, (key, value)) in object.entries.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    quoted(key, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !pays_text(text.len()) {
        return Ok(());
    }
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
