//! What jq's operators do with a [`Val`]: arithmetic, paths, slices and updates, as `jaq-core` asks for them.

use std::collections::BTreeMap;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::ops::Math;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, Exn, ValR, ValT, ValX};

use super::budget::{is_overdrawn, pays, pays_text};
use super::value::{Array, Object, Val};

/// The error of a run that has spent all; nobody sees it, for the run is refused as a whole.
pub(super) fn spent() -> Error<Val> {
    Error::new(Val::Null)
}

fn paid<T>(is_paid: bool, make: impl FnOnce() -> ValR<T, Val>) -> ValR<T, Val> {
    if is_paid { make() } else { Err(spent()) }
}

fn finite(value: f64, one: Val, math: Math, other: Val) -> ValR<Val> {
    Val::float(value).ok_or_else(|| Error::math(one, math, other))
}

/// Two integers exactly, anything else as floats.
fn number(
    one: Val,
    math: Math,
    other: Val,
    exact: fn(i128, i128) -> Option<i128>,
    float: fn(f64, f64) -> f64,
) -> ValR<Val> {
    if !pays(1) {
        return Err(spent());
    }
    if let (Val::Int(left), Val::Int(right)) = (&one, &other)
        && let Some(value) = exact(*left, *right)
    {
        return Ok(Val::int(value));
    }
    match (one.as_f64(), other.as_f64()) {
        (Some(left), Some(right)) => finite(float(left, right), one, math, other),
        (_, _) => Err(Error::math(one, math, other)),
    }
}

/// A copy of what is shared, which is paid for before.
fn unshared<T: Clone>(shared: Rc<T>) -> T {
    Rc::unwrap_or_clone(shared)
}

impl Add for Val {
    type Output = ValR<Val>;

    fn add(self, other: Val) -> ValR<Val> {
        match (self, other) {
            (Val::Null, value) | (value, Val::Null) => Ok(value),
            (Val::Text(one), Val::Text(other)) => {
                paid(pays_text(one.len() + other.len()), || Ok(Val::Text([&*one, &*other].concat().into())))
            }
            (Val::Array(one), Val::Array(other)) => paid(pays(one.items.len() + other.items.len()), || {
                let mut items = unshared(one).items;
                items.extend(unshared(other).items);
                Ok(Val::array(items))
            }),
            // What comes in is compared with what is there, never for longer than its own keys.
            (Val::Object(one), Val::Object(other)) => paid(pays(one.entries.len()) && other.pays_entries(), || {
                let mut entries = unshared(one).entries;
                entries.extend(unshared(other).entries);
                Ok(Val::object(entries))
            }),
            (one, other) => number(one, Math::Add, other, i128::checked_add, |one, other| one + other),
        }
    }
}

impl Sub for Val {
    type Output = ValR<Val>;

    fn sub(self, other: Val) -> ValR<Val> {
        number(self, Math::Sub, other, i128::checked_sub, |one, other| one - other)
    }
}

impl Mul for Val {
    type Output = ValR<Val>;

    fn mul(self, other: Val) -> ValR<Val> {
        number(self, Math::Mul, other, i128::checked_mul, |one, other| one * other)
    }
}

impl Div for Val {
    type Output = ValR<Val>;

    fn div(self, other: Val) -> ValR<Val> {
        let exact = |one: i128, other: i128| (one.checked_rem(other)? == 0).then(|| one / other);
        match (self, other) {
            (Val::Text(text), Val::Text(separator)) => split(&text, &separator),
            (one, other) => number(one, Math::Div, other, exact, |one, other| one / other),
        }
    }
}

impl Rem for Val {
    type Output = ValR<Val>;

    fn rem(self, other: Val) -> ValR<Val> {
        number(self, Math::Rem, other, i128::checked_rem, |one, other| one % other)
    }
}

impl Neg for Val {
    type Output = ValR<Val>;

    fn neg(self) -> ValR<Val> {
        Val::Int(0) - self
    }
}

/// The texts between separators.
pub(super) fn split(text: &str, separator: &str) -> ValR<Val> {
    if !pays_text(text.len()) {
        return Err(spent());
    }
    if separator.is_empty() {
        let mut buffer = [0; 4];
        return Ok(text.chars().map(|c| Val::text(c.encode_utf8(&mut buffer))).collect());
    }
    Ok(text.split(separator).map(Val::text).collect())
}

impl From<bool> for Val {
    fn from(value: bool) -> Val {
        Val::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(value: isize) -> Val {
        // Safe because an isize has at most 64 bits on every platform that Rust knows.
        Val::Int(i128::try_from(value).unwrap_or(0))
    }
}

impl From<String> for Val {
    fn from(text: String) -> Val {
        Val::text(&text)
    }
}

impl From<Range<Val>> for Val {
    fn from(range: Range<Val>) -> Val {
        let bounds = [("start", range.start), ("end", range.end)];
        Val::object(bounds.into_iter().filter_map(|(key, bound)| Some((key.into(), bound?))).collect())
    }
}

/// Ends where nothing is left to pay with: what makes the elements may have no end.
impl FromIterator<Val> for Val {
    fn from_iter<I: IntoIterator<Item = Val>>(values: I) -> Val {
        Val::array(values.into_iter().take_while(|_| pays(1)).collect())
    }
}

/// Pays for a look at one place: a key is compared with those that are there.
pub(super) fn pays_key(key: &Val) -> bool {
    if let Val::Text(key) = key { pays_text(key.len()) } else { pays(1) }
}

/// The place of an index, counted from the end if it is negative.
fn place(index: i128, length: usize) -> Option<usize> {
    let from_start = if index < 0 { index + i128::try_from(length).ok()? } else { index };
    usize::try_from(from_start).ok()
}

/// The bounds of a slice, within the length.
fn bounds(range: &Range<&Val>, length: usize) -> ValR<(usize, usize), Val> {
    let bound = |bound: Option<&Val>, default: usize| match bound {
        None | Some(Val::Null) => Ok(default),
        Some(Val::Int(index)) => Ok(place(*index, length).unwrap_or(if *index < 0 { 0 } else { length }).min(length)),
        Some(other) => Err(Error::typ(other.clone(), "integer")),
    };
    let (from, to) = (bound(range.start, 0)?, bound(range.end, length)?);
    Ok((from, to.max(from)))
}

/// A slice of a text, in characters.
fn slice_text(text: &str, range: &Range<&Val>) -> ValR<Val> {
    if !pays_text(text.len()) {
        return Err(spent());
    }
    let (from, to) = bounds(range, text.chars().count())?;
    let part: String = text.chars().skip(from).take(to - from).collect();
    Ok(Val::text(&part))
}

/// The elements one by one, paid for as they are taken; an array that is shared is not copied for it.
fn items(array: Rc<Array>) -> impl Iterator<Item = ValR<Val>> {
    (0..array.items.len()).map(move |place| paid(pays(1), || Ok(array.items[place].clone())))
}

/// What an update gives for one value: the first output, or nothing, which takes the value away.
fn updated<'a, I: Iterator<Item = ValX<'a, Val>>>(mut outputs: I) -> ValX<'a, Option<Val>, Val> {
    outputs.next().transpose()
}

impl ValT for Val {
    fn from_num(number: &str) -> ValR<Val> {
        Val::number_in(number).ok_or_else(|| Error::str(format_args!("`{number}` is no number")))
    }

    fn from_map<I: IntoIterator<Item = (Val, Val)>>(entries: I) -> ValR<Val> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            match key {
                Val::Text(key) if pays_text(key.len()) => map.insert(key, value),
                Val::Text(_) => return Err(spent()),
                other @ (Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Array(_) | Val::Object(_)) => {
                    return Err(Error::typ(other, "string"));
                }
            };
        }
        Ok(Val::object(map))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Val, Val), Val>> {
        match self {
            Val::Array(array) => {
                Box::new((0i128..).zip(items(array)).map(|(index, item)| Ok((Val::Int(index), item?))))
            }
            Val::Object(object) if pays(object.entries.len()) => {
                Box::new(unshared(object).entries.into_iter().map(|(key, value)| Ok((Val::Text(key), value))))
            }
            Val::Object(_) => box_once(Err(spent())),
            other @ (Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_)) => {
                box_once(Err(Error::typ(other, "array or object")))
            }
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Val>>> {
        match self {
            Val::Array(array) => Box::new(items(array)),
            Val::Object(object) if pays(object.entries.len()) => {
                Box::new(unshared(object).entries.into_values().map(Ok))
            }
            Val::Object(_) => box_once(Err(spent())),
            other @ (Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_)) => {
                box_once(Err(Error::typ(other, "array or object")))
            }
        }
    }

    fn index(self, index: &Val) -> ValR<Val> {
        if !pays_key(index) {
            return Err(spent());
        }
        match (self, index) {
            (Val::Null, Val::Text(_) | Val::Int(_) | Val::Null) => Ok(Val::Null),
            (Val::Array(array), Val::Int(index)) => {
                let found = place(*index, array.items.len()).and_then(|place| array.items.get(place));
                Ok(found.cloned().unwrap_or(Val::Null))
            }
            (Val::Object(object), Val::Text(key)) => Ok(object.entries.get(key).cloned().unwrap_or(Val::Null)),
            (other, index) => Err(Error::index(other, index.clone())),
        }
    }

    fn range(self, range: Range<&Val>) -> ValR<Val> {
        match self {
            Val::Null => Ok(Val::Null),
            Val::Text(text) => slice_text(&text, &range),
            Val::Array(array) => {
                let (from, to) = bounds(&range, array.items.len())?;
                Ok(array.items[from..to].iter().cloned().collect())
            }
            other @ (Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Object(_)) => {
                Err(Error::typ(other, "array or string"))
            }
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Val>>>(self, opt: Opt, f: impl Fn(Val) -> I) -> ValX<'a, Val> {
        match self {
            Val::Array(array) if pays(array.items.len()) => {
                let items = unshared(array).items.into_iter();
                let items: Result<Vec<Val>, Exn<'a, Val>> =
                    items.flat_map(|item| updated(f(item)).transpose()).collect();
                items.map(Val::array)
            }
            Val::Object(object) if object.pays_entries() => {
                let entries = unshared(object).entries.into_iter();
                let update = |(key, value)| updated(f(value)).transpose().map(|value| value.map(|value| (key, value)));
                let entries: Result<BTreeMap<Rc<str>, Val>, Exn<'a, Val>> = entries.filter_map(update).collect();
                entries.map(Val::object)
            }
            Val::Array(_) | Val::Object(_) => Err(Exn::from(spent())),
            other @ (Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_)) => {
                opt.fail(other, |other| Exn::from(Error::typ(other, "array or object")))
            }
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        index: &Val,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match (self, index) {
            (Val::Object(object), Val::Text(key)) => with_key(object, key, f),
            // What is not there yet is made: `.a.b = 1`.
            (Val::Null, Val::Text(key)) => with_key(Rc::default(), key, f),
            (Val::Array(array), Val::Int(index)) => {
                if !pays(array.items.len()) {
                    return Err(Exn::from(spent()));
                }
                let there = place(*index, array.items.len()).filter(|place| *place < array.items.len());
                let Some(place) = there else {
                    return opt.fail(Val::Array(array), |value| Exn::from(Error::index(value, Val::Int(*index))));
                };
                let mut items = unshared(array).items;
                match updated(f(std::mem::replace(&mut items[place], Val::Null)))? {
                    Some(value) => items[place] = value,
                    None => drop(items.remove(place)),
                }
                Ok(Val::array(items))
            }
            (other, index) => opt.fail(other, |other| Exn::from(Error::index(other, index.clone()))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        range: Range<&Val>,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        let Val::Array(array) = self else {
            return opt.fail(self, |other| Exn::from(Error::typ(other, "array")));
        };
        let (from, to) = bounds(&range, array.items.len()).map_err(Exn::from)?;
        if !pays(array.items.len()) {
            return Err(Exn::from(spent()));
        }
        let mut items = unshared(array).items;
        let part = Val::array(items[from..to].to_vec());
        match updated(f(part))? {
            Some(Val::Array(new)) if pays(new.items.len()) => drop(items.splice(from..to, unshared(new).items)),
            Some(Val::Array(_)) => return Err(Exn::from(spent())),
            Some(other) => return Err(Exn::from(Error::typ(other, "array"))),
            None => drop(items.drain(from..to)),
        }
        Ok(Val::array(items))
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Val {
        if is_overdrawn() {
            return Val::Null;
        }
        if matches!(self, Val::Text(_)) { self } else { Val::text(&self.to_string()) }
    }
}

/// An object with what an update gives for one of its keys.
fn with_key<'a, I: Iterator<Item = ValX<'a, Val>>>(
    object: Rc<Object>,
    key: &Rc<str>,
    f: impl Fn(Val) -> I,
) -> ValX<'a, Val> {
    if !(pays(object.entries.len()) && pays_text(key.len())) {
        return Err(Exn::from(spent()));
    }
    let mut entries = unshared(object).entries;
    let old = entries.get(key).cloned().unwrap_or(Val::Null);
    match updated(f(old))? {
        Some(value) => entries.insert(Rc::clone(key), value),
        None => entries.remove(key),
    };
    Ok(Val::object(entries))
}
