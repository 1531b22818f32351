//! Pilotline v1 JSON: from bytes to values that are not yet matched to a series.
//!
//! The text is read once, into borrowed strings and exact numbers; a field of the wrong type is noted, not raised, so that
//! it refuses its own reading and nothing else. What is wrong with the text as a whole refuses the message.
//!
//! Invariants:
//! - nothing is allocated per value unless a string holds an escape or the value is refused;
//! - the caps on bytes, values and depth hold before or while decoding, never after;
//! - the verdict on a reading does not depend on the order of its fields.

mod judge;
mod lenient;

use std::borrow::Cow;

use model::{OrderEventKind, Quality, Reason, UnixMillis, Value};
use serde::de::DeserializeSeed;

use self::lenient::{Envelope, Lenient, Top};

/// Largest payload: a gateway that buffers more sends several messages. Above it: `too_large`.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Most readings and order events of one message, so that one message stays a bounded piece of work: `too_many_values`.
pub const VALUES_MAX: usize = 10_000;
/// Longest unit as text; the longest symbol of the table has 9 bytes, and an unregistered series keeps its unit as sent.
pub const UNIT_BYTES_MAX: usize = 64;

/// A message as decoded. A reading or order that is refused by itself stands in its place as the refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    pub at: Option<UnixMillis>,
    /// `(boot, seq)`, if the message has both.
    pub sequence: Option<(u64, u64)>,
    pub readings: Vec<Result<Decoded<'a>, Refused>>,
    pub orders: Vec<Result<DecodedOrder<'a>, Refused>>,
    pub origin: Origin<'a>,
}

/// What a decoder says of a message besides its values.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "two facts of one message that do not exclude each other")]
pub struct Origin<'a> {
    /// Who sent it, as its dialect names it: an edge node `group/edge`, the first capture of a mapping's topic. Pilotline v1
    /// leaves it out: there it is the gateway of the topic.
    pub source: Option<Cow<'a, str>>,
    /// The mapping rules that took it, as `file: rule`, or the type of a Sparkplug message; for `explain`.
    pub rules: Vec<Cow<'a, str>>,
    /// It carries state (a birth, a death, liveness, a dictionary): committed even if it holds no reading.
    pub carries_state: bool,
    /// Its bytes teach a dictionary and have to outlive a restart.
    pub teaches: bool,
    /// Values that the sender marked as not to be kept, or that are no measurements.
    pub n_ignored: u32,
    /// What a liveness message says of its sender.
    pub alive: Option<bool>,
    /// Places that hold no reading: before each, how many readings stand. A refused part is found again by its place, so that
    /// what is ignored or left out keeps one.
    pub empty_places: Vec<u32>,
}

impl Origin<'_> {
    /// The place of each reading in its payload.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        let (mut empty, mut n_empty) = (self.empty_places.iter().peekable(), 0);
        // Readings are counted in u32; their number is capped at 10,000.
        (0u32..).map(move |before| {
            while empty.next_if(|place| **place <= before).is_some() {
                n_empty += 1;
            }
            before + n_empty
        })
    }
}

impl Message<'_> {
    /// Keeps a place in which no reading stands.
    pub(crate) fn leave_place(&mut self) {
        // Readings are counted in u32; their number is capped at 10,000.
        self.origin.empty_places.push(u32::try_from(self.readings.len()).unwrap_or(u32::MAX));
    }

    /// Ignores the reading of this place.
    pub(crate) fn ignore(&mut self) {
        self.origin.n_ignored += 1;
        self.leave_place();
    }
}

/// One named value out of a payload, not yet matched to a series. The names are not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    pub asset: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub product: Option<Cow<'a, str>>,
    pub id: Option<Cow<'a, str>>,
    pub unit: Option<Cow<'a, str>>,
    /// What the sender calls the unit in words of its own (`engUnit`): used if it is a unit of the table, else a hint for the
    /// person who registers the series.
    pub unit_hint: Option<Cow<'a, str>>,
    pub at: Option<UnixMillis>,
    pub quality: Quality,
    /// None only with quality bad.
    pub value: Option<Value>,
}

/// One order event out of a payload. The names and the signs of the quantities are not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedOrder<'a> {
    pub order: Cow<'a, str>,
    pub product: Option<Cow<'a, str>>,
    pub event: OrderEventKind,
    pub at: Option<UnixMillis>,
    pub quantity: Option<f64>,
    pub good: Option<f64>,
    pub defective: Option<f64>,
}

/// Why a reading or an order event was refused by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub reason: Reason,
    pub detail: String,
    /// Whether it has a time of its own (a message without any timeless part may count as a duplicate later).
    pub is_timed: bool,
}

/// Why a message as a whole could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    pub reason: Reason,
    pub detail: String,
    /// `(boot, seq)` if they could be read all the same, so that a rejected message is no gap.
    pub sequence: Option<(u64, u64)>,
}

/// Decodes a payload of Pilotline v1.
///
/// # Errors
/// The first of `too_large`, `empty` (no bytes), `bad_utf8`, `bad_json`, `duplicate_key`, `unknown_field`, `bad_field`,
/// `too_many_values` and `empty` that holds for the message as a whole.
pub fn decode(payload: &[u8]) -> Result<Message<'_>, Undecodable> {
    let text = text_of(payload)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let top = Lenient(Top).deserialize(&mut deserializer).and_then(|top| deserializer.end().map(|()| top));
    match top {
        Ok(Envelope::Object(fields)) => judge::message(*fields),
        Ok(Envelope::Other(kind)) => Err(undecodable(
            Reason::BadField,
            format!("the payload is {kind}; one JSON object with `readings` or `orders` is expected"),
        )),
        Err(error) => Err(undecodable(Reason::BadJson, bad_json(text, &error))),
    }
}

/// Refuses a payload that is too large, before anything reads it.
pub(crate) fn check_size(payload: &[u8]) -> Result<(), Undecodable> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let detail = format!("the payload has {} bytes; at most {PAYLOAD_BYTES_MAX} are taken", payload.len());
        return Err(undecodable(Reason::TooLarge, detail));
    }
    Ok(())
}

fn text_of(payload: &[u8]) -> Result<&str, Undecodable> {
    check_size(payload)?;
    if payload.is_empty() {
        return Err(undecodable(Reason::Empty, "the payload has no bytes; send `readings` or `orders`".to_owned()));
    }
    std::str::from_utf8(payload).map_err(|error| {
        let detail = format!("the payload is not UTF-8 from byte {}; send JSON in UTF-8", error.valid_up_to());
        undecodable(Reason::BadUtf8, detail)
    })
}

fn undecodable(reason: Reason, detail: String) -> Undecodable {
    Undecodable { reason, detail, sequence: None }
}

fn bad_json(text: &str, error: &serde_json::Error) -> String {
    if text.starts_with('\u{feff}') {
        return "the payload begins with a byte order mark; send UTF-8 without one".to_owned();
    }
    format!("the payload is not JSON: {error}; one JSON object is expected")
}

/// Text of a gateway as it may stand in a sentence: in backticks, without control characters, at most 64 characters.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 64; // Enough to find the name in the payload; a detail must stay one line.
    let mut out = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == CHARS_MAX {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('`');
    out
}

/// A number as it may stand in a sentence: 1e300 rather than 301 digits.
pub(crate) fn shown_number(value: Value) -> String {
    match value {
        Value::Float(float) => format!("{float:?}"),
        Value::Int(_) | Value::UInt(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
