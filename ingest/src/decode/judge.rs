//! Judges what was sent: missing fields, wrong types, words outside their enum, malformed times.
//!
//! Of several mistakes in one reading the first in a fixed order is told (repeated key, unknown key, then the fields in the
//! order of the contract), so that the order of the fields in the text does not matter.

use std::borrow::Cow;
use std::mem::take;

use model::{OrderEventKind, Quality, Reason, UnixMillis, Value};

use super::lenient::{Fields, List, ORDER, READING, Sent, Strays, TOP, TopFields};
use super::{Decoded, DecodedOrder, Message, Origin, Refused, UNIT_BYTES_MAX, Undecodable, VALUES_MAX, shown};

/// A reason and its sentence.
type Verdict = (Reason, String);

/// The message as a whole.
pub(super) fn message(top: TopFields<'_>) -> Result<Message<'_>, Undecodable> {
    let sequence = match (counting(&top.boot, "boot"), counting(&top.seq, "seq")) {
        (Ok(Some(boot)), Ok(Some(seq))) => Some((boot, seq)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
    };
    let undecodable = |(reason, detail): Verdict| Undecodable { reason, detail, sequence };
    known_keys("a message", &TOP, &top.strays).map_err(undecodable)?;
    counting(&top.boot, "boot").map_err(undecodable)?;
    counting(&top.seq, "seq").map_err(undecodable)?;
    let at = instant(&top.at).map_err(undecodable)?;
    if top.n_values > VALUES_MAX {
        let detail =
            format!("the message has {} readings and order events; at most {VALUES_MAX} are taken", top.n_values);
        return Err(undecodable((Reason::TooManyValues, detail)));
    }
    let readings = elements(top.readings, "readings").map_err(undecodable)?;
    let orders = elements(top.orders, "orders").map_err(undecodable)?;
    if readings.is_empty() && orders.is_empty() {
        let detail = "the message has no reading and no order event; send `readings` or `orders`".to_owned();
        return Err(undecodable((Reason::Empty, detail)));
    }
    Ok(Message { at, sequence, readings, orders, origin: Origin::default() })
}

/// A reading.
pub(super) fn reading<'a>(fields: &mut Fields<'a, 8>) -> Result<Decoded<'a>, Refused> {
    let is_timed = !matches!(fields.sent[5], Sent::Absent);
    // Kept before judging takes the names out; it allocates only for names with escapes.
    let place = match &fields.sent {
        [Sent::Text(asset), Sent::Text(name), ..] => Some((asset.clone(), name.clone())),
        _ => None,
    };
    reading_verdict(fields).map_err(|(reason, detail)| {
        let detail = match place {
            Some((asset, name)) => format!("asset {}, name {}: {detail}", shown(&asset), shown(&name)),
            None => detail,
        };
        Refused { reason, detail, is_timed }
    })
}

fn reading_verdict<'a>(fields: &mut Fields<'a, 8>) -> Result<Decoded<'a>, Verdict> {
    let Fields { sent: [asset, name, product, value, unit, at, quality, id], strays } = fields;
    known_keys("a reading", &READING, strays)?;
    let (asset, name) = (required(take(asset), "asset")?, required(take(name), "name")?);
    let (product, id) = (text(take(product), "product")?, text(take(id), "id")?);
    let (unit, at, quality) = (unit_text(take(unit))?, instant(at)?, quality_word(take(quality))?);
    let value = value_of(value, quality)?;
    Ok(Decoded { asset, name, product, id, unit, unit_hint: None, at, quality, value })
}

/// An order event.
pub(super) fn order<'a>(fields: &mut Fields<'a, 7>) -> Result<DecodedOrder<'a>, Refused> {
    let is_timed = !matches!(fields.sent[3], Sent::Absent);
    let place = if let Sent::Text(order) = &fields.sent[0] { Some(order.clone()) } else { None };
    order_verdict(fields).map_err(|(reason, detail)| {
        let detail = match place {
            Some(order) => format!("order {}: {detail}", shown(&order)),
            None => detail,
        };
        Refused { reason, detail, is_timed }
    })
}

fn order_verdict<'a>(fields: &mut Fields<'a, 7>) -> Result<DecodedOrder<'a>, Verdict> {
    let Fields { sent: [order, product, event, at, quantity, good, defective], strays } = fields;
    known_keys("an order event", &ORDER, strays)?;
    let order = required(take(order), "order")?;
    let (product, event, at) = (text(take(product), "product")?, event_word(take(event))?, instant(at)?);
    let (quantity, good) = (pieces(quantity, "quantity")?, pieces(good, "good")?);
    Ok(DecodedOrder { order, product, event, at, quantity, good, defective: pieces(defective, "defective")? })
}

/// An element of a list that is no object.
pub(super) fn no_record(what: &str, kind: &str) -> Refused {
    let detail = format!("{what} is an object, but this one is {kind}");
    Refused { reason: Reason::BadField, detail, is_timed: false }
}

fn known_keys(what: &str, names: &[&str], strays: &Strays) -> Result<(), Verdict> {
    if let Some(name) = &strays.duplicate {
        return Err((Reason::DuplicateKey, format!("field `{name}` stands twice; send it once")));
    }
    match &strays.unknown {
        None => Ok(()),
        Some(name) => {
            let detail = format!("unknown field {}; {what} takes {}", shown(name), names.join(", "));
            Err((Reason::UnknownField, detail))
        }
    }
}

fn bad(field: &str, sent: &Sent<'_>, wanted: &str) -> Verdict {
    (Reason::BadField, format!("`{field}` is {}; {wanted}", sent.kind()))
}

fn text<'a>(sent: Sent<'a>, field: &str) -> Result<Option<Cow<'a, str>>, Verdict> {
    match sent.into_text() {
        Ok(text) => Ok(Some(text)),
        Err(Sent::Absent) => Ok(None),
        Err(other) => Err(bad(field, &other, "send a string or leave it out")),
    }
}

fn required<'a>(sent: Sent<'a>, field: &str) -> Result<Cow<'a, str>, Verdict> {
    sent.into_text().map_err(|other| bad(field, &other, "send a string"))
}

fn unit_text(sent: Sent<'_>) -> Result<Option<Cow<'_, str>>, Verdict> {
    let unit = text(sent, "unit")?;
    match &unit {
        Some(unit) if unit.len() > UNIT_BYTES_MAX => {
            Err((Reason::BadField, format!("`unit` has {} bytes; at most {UNIT_BYTES_MAX} are taken", unit.len())))
        }
        Some(unit) if unit.chars().any(char::is_control) => {
            Err((Reason::BadField, format!("`unit` {} has a control character", shown(unit))))
        }
        Some(_) | None => Ok(unit),
    }
}

fn quality_word(sent: Sent<'_>) -> Result<Quality, Verdict> {
    let word = match sent.into_text() {
        Ok(word) => word,
        Err(Sent::Absent) => return Ok(Quality::Good),
        Err(other) => return Err(bad("quality", &other, "send \"good\", \"uncertain\" or \"bad\"")),
    };
    Quality::parse(&word).ok_or_else(|| {
        (Reason::BadField, format!("`quality` is {}; send \"good\", \"uncertain\" or \"bad\"", shown(&word)))
    })
}

fn event_word(sent: Sent<'_>) -> Result<OrderEventKind, Verdict> {
    const WANTED: &str = "send \"released\", \"started\", \"completed\" or \"cancelled\"";
    let word = sent.into_text().map_err(|other| bad("event", &other, WANTED))?;
    OrderEventKind::parse(&word).ok_or_else(|| (Reason::BadField, format!("`event` is {}; {WANTED}", shown(&word))))
}

fn number(sent: &Sent<'_>) -> Option<Value> {
    match sent {
        Sent::Int(int) => Some(Value::from_i64(*int)),
        Sent::UInt(int) => Some(Value::from_u64(*int)),
        Sent::Float(float) => Value::from_f64(*float),
        Sent::Absent | Sent::Null | Sent::Bool | Sent::Text(_) | Sent::Array | Sent::Object => None,
    }
}

/// The value; dropped if the quality is bad, but of the right type all the same.
fn value_of(sent: &Sent<'_>, quality: Quality) -> Result<Option<Value>, Verdict> {
    match (number(sent), quality) {
        (Some(_), Quality::Bad) => Ok(None),
        (Some(value), Quality::Good | Quality::Uncertain) => Ok(Some(value)),
        (None, Quality::Bad) if matches!(sent, Sent::Absent | Sent::Null) => Ok(None),
        (None, Quality::Bad | Quality::Good | Quality::Uncertain) => {
            Err(bad("value", sent, "send a number, or null with \"quality\": \"bad\""))
        }
    }
}

fn pieces(sent: &Sent<'_>, field: &str) -> Result<Option<f64>, Verdict> {
    match (number(sent), sent) {
        (Some(value), _) => Ok(Some(value.as_f64())),
        (None, Sent::Absent) => Ok(None),
        (None, other) => Err(bad(field, other, "send a number or leave it out")),
    }
}

/// RFC 3339 with an offset, or whole epoch milliseconds. Numbers beyond `i64` are instants too, far outside the window.
fn instant(sent: &Sent<'_>) -> Result<Option<UnixMillis>, Verdict> {
    const WANTED: &str =
        "send RFC 3339 with an offset, such as \"2025-03-01T08:00:00+08:00\", or whole epoch milliseconds";
    match sent {
        Sent::Absent => Ok(None),
        Sent::Text(text) => match UnixMillis::parse(text) {
            Ok(at) => Ok(Some(at)),
            // The error would quote the text unshortened.
            Err(_) => Err((Reason::BadField, format!("`at` is {}; {WANTED}", shown(text)))),
        },
        Sent::Int(_) | Sent::UInt(_) | Sent::Float(_) => match number(sent) {
            Some(Value::Int(ms)) => Ok(Some(UnixMillis(ms))),
            Some(Value::UInt(_)) => Ok(Some(UnixMillis(i64::MAX))),
            Some(Value::Float(float)) if float.fract() == 0.0 => {
                Ok(Some(UnixMillis(if float > 0.0 { i64::MAX } else { i64::MIN })))
            }
            Some(Value::Float(float)) => Err((Reason::BadField, format!("`at` is {float:?}; {WANTED}"))),
            None => Err(bad("at", sent, WANTED)),
        },
        Sent::Null | Sent::Bool | Sent::Array | Sent::Object => Err(bad("at", sent, WANTED)),
    }
}

/// `boot` and `seq`: integers from 0 to 2^64 − 1.
fn counting(sent: &Sent<'_>, field: &str) -> Result<Option<u64>, Verdict> {
    const WANTED: &str = "send an integer from 0 to 18446744073709551615 or leave it out";
    let refused = |value: &dyn std::fmt::Display| (Reason::BadField, format!("`{field}` is {value}; {WANTED}"));
    match (sent, number(sent)) {
        (Sent::Absent, _) => Ok(None),
        (_, Some(Value::UInt(int))) => Ok(Some(int)),
        (_, Some(Value::Int(int))) => u64::try_from(int).map(Some).map_err(|_negative| refused(&int)),
        (_, Some(Value::Float(float))) => Err(refused(&format_args!("{float:?}"))),
        (_, None) => Err(bad(field, sent, WANTED)),
    }
}

fn elements<T>(list: List<T>, field: &str) -> Result<Vec<Result<T, Refused>>, Verdict> {
    match list {
        List::Absent => Ok(Vec::new()),
        List::Elements(elements) => Ok(elements),
        List::Other(kind) => Err((Reason::BadField, format!("`{field}` is {kind}; send an array or leave it out"))),
    }
}
