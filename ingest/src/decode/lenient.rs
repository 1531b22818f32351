//! Reads any JSON value without failing on its type: what was sent is noted and judged afterwards.
//!
//! One visitor serves all places; a [`Handle`] says what becomes of arrays and objects there. No handler raises an error of
//! its own, so every error of the deserializer is one of the JSON text.
//!
//! Arrays and objects that nobody asked for are walked through, not skipped with `IgnoredAny`, because only then numbers
//! out of range and nesting beyond 128 are noticed wherever they stand.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Decoded, DecodedOrder, Refused, VALUES_MAX, judge};

/// A value as it was sent, to be judged.
#[derive(Debug, Clone, Default)]
pub(super) enum Sent<'a> {
    #[default]
    Absent,
    Null,
    Bool,
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
}

impl<'a> Sent<'a> {
    /// The text, if it is one.
    pub(super) fn into_text(self) -> Result<Cow<'a, str>, Sent<'a>> {
        if let Sent::Text(text) = self { Ok(text) } else { Err(self) }
    }

    /// What it is, in a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Sent::Absent => "missing",
            Sent::Null => "null",
            Sent::Bool => "a boolean",
            Sent::Int(_) | Sent::UInt(_) | Sent::Float(_) => "a number",
            Sent::Text(_) => "a string",
            Sent::Array => "an array",
            Sent::Object => "an object",
        }
    }
}

/// What becomes of the value at one place.
pub(super) trait Handle<'de>: Sized {
    type Out;

    /// Anything that this place does not take apart.
    fn other(self, sent: Sent<'de>) -> Self::Out;

    fn array<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Out, A::Error> {
        while array.next_element_seed(Lenient(Scalar))?.is_some() {}
        Ok(self.other(Sent::Array))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Out, A::Error> {
        while object.next_key_seed(Lenient(Scalar))?.is_some() {
            object.next_value_seed(Lenient(Scalar))?;
        }
        Ok(self.other(Sent::Object))
    }
}

/// Visitor and seed of every place.
pub(super) struct Lenient<H>(pub(super) H);

impl<'de, H: Handle<'de>> DeserializeSeed<'de> for Lenient<H> {
    type Value = H::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<H::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, H: Handle<'de>> Visitor<'de> for Lenient<H> {
    type Value = H::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Null))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Bool))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Int(int)))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::UInt(int)))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Float(float)))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<H::Out, E> {
        Ok(self.0.other(Sent::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<H::Out, A::Error> {
        self.0.array(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<H::Out, A::Error> {
        self.0.object(object)
    }
}

/// A place that takes a scalar; an array or object there is only noted.
struct Scalar;

impl<'de> Handle<'de> for Scalar {
    type Out = Sent<'de>;

    fn other(self, sent: Sent<'de>) -> Sent<'de> {
        sent
    }
}

/// A key of an object, found among the known ones. `guess` is tried first: gateways send the same order again and again.
struct Key {
    names: &'static [&'static str],
    guess: usize,
}

/// Which of the known keys, or an unknown one by name.
enum Found {
    Known(usize),
    Unknown(String),
}

impl Key {
    fn find(&self, text: &str) -> Found {
        if self.names.get(self.guess).is_some_and(|&name| name == text) {
            return Found::Known(self.guess);
        }
        match self.names.iter().position(|&name| name == text) {
            Some(index) => Found::Known(index),
            None => Found::Unknown(text.to_owned()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(self.find(text))
    }
}

/// Keys that should not be there. Of several the smallest by bytes is named, so that their order does not matter.
#[derive(Debug, Default)]
pub(super) struct Strays {
    pub(super) duplicate: Option<String>,
    pub(super) unknown: Option<String>,
}

fn keep_smallest(slot: &mut Option<String>, name: String) {
    if slot.as_ref().is_none_or(|kept| name < *kept) {
        *slot = Some(name);
    }
}

/// The fields of a reading or an order event, by their place in `names`.
#[derive(Debug)]
pub(super) struct Fields<'a, const N: usize> {
    pub(super) sent: [Sent<'a>; N],
    pub(super) strays: Strays,
}

/// The elements of `readings` or `orders`, judged one by one.
#[derive(Debug)]
pub(super) enum List<T> {
    Absent,
    Elements(Vec<Result<T, Refused>>),
    /// Not an array but this.
    Other(&'static str),
}

/// How the elements of a list are read and judged.
struct Kind<'de, T, const N: usize> {
    what: &'static str,
    names: &'static [&'static str; N],
    judge: fn(&mut Fields<'de, N>) -> Result<T, Refused>,
}

impl<T, const N: usize> Clone for Kind<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Kind<'_, T, N> {}

/// The place of one element: judged while its fields are at hand, so that they are never moved, and put at the end of the
/// list; without a list it is only read.
struct Element<'de, 'l, T, const N: usize> {
    kind: Kind<'de, T, N>,
    list: Option<&'l mut Vec<Result<T, Refused>>>,
}

impl<'de, T, const N: usize> Handle<'de> for Element<'de, '_, T, N> {
    type Out = ();

    fn other(self, sent: Sent<'de>) {
        if let Some(list) = self.list {
            list.push(Err(judge::no_record(self.kind.what, sent.kind())));
        }
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let names = self.kind.names;
        let mut fields = Fields { sent: [const { Sent::Absent }; N], strays: Strays::default() };
        let mut guess = 0;
        while let Some(found) = object.next_key_seed(Key { names, guess })? {
            let sent = object.next_value_seed(Lenient(Scalar))?;
            match found {
                Found::Known(index) if matches!(fields.sent[index], Sent::Absent) => {
                    fields.sent[index] = sent;
                    guess = index + 1;
                }
                Found::Known(index) => keep_smallest(&mut fields.strays.duplicate, names[index].to_owned()),
                Found::Unknown(name) => keep_smallest(&mut fields.strays.unknown, name),
            }
        }
        if let Some(list) = self.list {
            list.push((self.kind.judge)(&mut fields));
        }
        Ok(())
    }
}

/// Elements that a list has room for at first: most messages have fewer, and a list of 16 is 3 kB.
const ELEMENTS_FIRST: usize = 16;

/// A place that takes an array of records. Beyond the cap the elements are counted and read, but not kept.
struct Records<'de, T, const N: usize>(Kind<'de, T, N>);

impl<'de, T, const N: usize> Handle<'de> for Records<'de, T, N> {
    type Out = (List<T>, usize);

    fn other(self, sent: Sent<'de>) -> Self::Out {
        (List::Other(sent.kind()), 0)
    }

    fn array<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Out, A::Error> {
        let mut elements = Vec::with_capacity(ELEMENTS_FIRST);
        let mut n = 0;
        loop {
            let list = (n < VALUES_MAX).then_some(&mut elements);
            if array.next_element_seed(Lenient(Element { kind: self.0, list }))?.is_none() {
                return Ok((List::Elements(elements), n));
            }
            n += 1;
        }
    }
}

/// What stands at the top of the payload.
pub(super) enum Envelope<'a> {
    Object(Box<TopFields<'a>>),
    Other(&'static str),
}

/// The fields of a message.
#[derive(Debug)]
pub(super) struct TopFields<'a> {
    pub(super) boot: Sent<'a>,
    pub(super) seq: Sent<'a>,
    pub(super) at: Sent<'a>,
    pub(super) readings: List<Decoded<'a>>,
    pub(super) orders: List<DecodedOrder<'a>>,
    pub(super) n_values: usize,
    pub(super) strays: Strays,
}

/// The fields that a message takes.
pub(super) const TOP: [&str; 5] = ["boot", "seq", "at", "readings", "orders"];
/// The fields that a reading takes; `judge::reading` takes them apart in this order.
pub(super) const READING: [&str; 8] = ["asset", "name", "product", "value", "unit", "at", "quality", "id"];
/// The fields that an order event takes; `judge::order` takes them apart in this order.
pub(super) const ORDER: [&str; 7] = ["order", "product", "event", "at", "quantity", "good", "defective"];

/// The top of the payload.
pub(super) struct Top;

impl<'de> Handle<'de> for Top {
    type Out = Envelope<'de>;

    fn other(self, sent: Sent<'de>) -> Envelope<'de> {
        Envelope::Other(sent.kind())
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Envelope<'de>, A::Error> {
        let mut top = TopFields::default();
        let mut seen = [false; TOP.len()];
        let mut guess = 0;
        while let Some(found) = object.next_key_seed(Key { names: &TOP, guess })? {
            match found {
                Found::Known(index) if !seen[index] => {
                    seen[index] = true;
                    guess = index + 1;
                    top.take(index, &mut object)?;
                }
                Found::Known(index) => {
                    object.next_value_seed(Lenient(Scalar))?;
                    keep_smallest(&mut top.strays.duplicate, TOP[index].to_owned());
                }
                Found::Unknown(name) => {
                    object.next_value_seed(Lenient(Scalar))?;
                    keep_smallest(&mut top.strays.unknown, name);
                }
            }
        }
        Ok(Envelope::Object(Box::new(top)))
    }
}

impl Default for TopFields<'_> {
    fn default() -> Self {
        TopFields {
            boot: Sent::Absent,
            seq: Sent::Absent,
            at: Sent::Absent,
            readings: List::Absent,
            orders: List::Absent,
            n_values: 0,
            strays: Strays::default(),
        }
    }
}

impl<'de> TopFields<'de> {
    /// Takes the value of `TOP[index]`.
    fn take<A: MapAccess<'de>>(&mut self, index: usize, object: &mut A) -> Result<(), A::Error> {
        match index {
            0 => self.boot = object.next_value_seed(Lenient(Scalar))?,
            1 => self.seq = object.next_value_seed(Lenient(Scalar))?,
            2 => self.at = object.next_value_seed(Lenient(Scalar))?,
            3 => {
                let kind = Kind { what: "a reading", names: &READING, judge: judge::reading };
                let (list, n) = object.next_value_seed(Lenient(Records(kind)))?;
                self.readings = list;
                self.n_values += n;
            }
            _ => {
                let kind = Kind { what: "an order event", names: &ORDER, judge: judge::order };
                let (list, n) = object.next_value_seed(Lenient(Records(kind)))?;
                self.orders = list;
                self.n_values += n;
            }
        }
        Ok(())
    }
}
