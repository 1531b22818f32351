//! Runs the `[[rule.test]]`s of a mapping file: a message, and the readings that must come of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bumpalo::Bump;
use jiff::tz::TimeZone;
use model::registry::Mistake;
use model::{PilotId, Quality, UnixMillis, Value};

use super::file::{RawExpect, RawTest, Scalar};
use super::plan::{Compiled, Test};
use super::{Dictionaries, Mappings, Received};
use crate::decode::{Decoded, DecodedOrder, Message};
use crate::normalize::Passage;

/// The time of receipt where a test says none: 2030-01-01T00:00:00Z, after every example.
const RECEIVED: i64 = 1_893_456_000_000;

/// The mistakes of a file's tests.
pub(super) fn run(mappings: &Mappings, file: &Compiled) -> Vec<Mistake> {
    let mistake = |test: &Test, text: String| {
        let text = format!("test of rule `{}`: {text}", test.rule);
        Mistake { file: file.file.clone(), line: test.line, text }
    };
    file.tests.iter().filter_map(|test| one(mappings, &test.test).err().map(|text| mistake(test, text))).collect()
}

fn one(mappings: &Mappings, test: &RawTest) -> Result<(), String> {
    let payload = match (&test.payload, &test.payload_base64) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => {
            STANDARD.decode(text).map_err(|error| format!("`payload_base64` is no base64: {error}"))?
        }
        (Some(_), Some(_)) | (None, None) => return Err("needs either `payload` or `payload_base64`".to_owned()),
    };
    let zone = match &test.zone {
        Some(zone) => TimeZone::get(zone).map_err(|error| format!("zone: {error}"))?,
        None => TimeZone::UTC,
    };
    let pilot = PilotId::parse("test").map_err(|error| error.to_string())?;
    let (arena, dictionaries) = (Bump::new(), Dictionaries::default());
    for before in &test.before {
        mappings.learn(&pilot, &before.topic, before.payload.as_bytes(), &dictionaries);
    }
    let received_at = UnixMillis(test.received.unwrap_or(RECEIVED));
    let (client, login) = (test.client.as_deref().unwrap_or(""), test.login.as_deref().unwrap_or(""));
    let (topic, payload) = (test.topic.as_str(), &payload[..]);
    let received = Received { pilot: &pilot, zone: &zone, topic, payload, received_at, client, login };
    let got = got(mappings.decode(received, &dictionaries, &arena, Passage::Live), received_at);
    let differs = got.len() != test.expect.len()
        || test.expect.iter().zip(&got).any(|(expected, got)| !fits(expected, got, received_at));
    if !differs {
        return Ok(());
    }
    let expected: Vec<String> = test.expect.iter().map(|expected| shown(expected, received_at)).collect();
    let got: Vec<String> = got.iter().map(|got| shown(got, received_at)).collect();
    Err(format!("expected\n    {}\n  got\n    {}", expected.join("\n    "), got.join("\n    ")))
}

/// What came out, in the words of a test.
fn got(decoded: Result<Message<'_>, crate::decode::Undecodable>, received_at: UnixMillis) -> Vec<RawExpect> {
    let refused =
        |reason: model::Reason| RawExpect { reason: Some(reason.as_str().to_owned()), ..RawExpect::default() };
    let message = match decoded {
        Ok(message) => message,
        Err(undecodable) => return vec![refused(undecodable.reason)],
    };
    let readings = message.readings.iter().map(|part| match part {
        Ok(part) => reading(part, received_at),
        Err(part) => refused(part.reason),
    });
    let orders = message.orders.iter().map(|part| match part {
        Ok(part) => order(part, received_at),
        Err(part) => refused(part.reason),
    });
    readings.chain(orders).collect()
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn reading(part: &Decoded<'_>, received_at: UnixMillis) -> RawExpect {
    RawExpect {
        asset: Some(part.asset.clone().into_owned()),
        metric: Some(part.name.clone().into_owned()),
        at: Some(part.at.unwrap_or(received_at).0),
        value: part.value.map(|value| match value {
            Value::Int(value) => Scalar::Int(value),
            Value::UInt(value) => Scalar::Text(value.to_string()),
            Value::Float(value) => Scalar::Float(value),
        }),
        quality: Some(part.quality.as_str().to_owned()),
        unit: owned(part.unit.as_deref()),
        unit_hint: owned(part.unit_hint.as_deref()),
        product: owned(part.product.as_deref()),
        id: owned(part.id.as_deref()),
        ..RawExpect::default()
    }
}

fn order(part: &DecodedOrder<'_>, received_at: UnixMillis) -> RawExpect {
    RawExpect {
        order: Some(part.order.clone().into_owned()),
        event: Some(part.event.as_str().to_owned()),
        at: Some(part.at.unwrap_or(received_at).0),
        product: owned(part.product.as_deref()),
        quantity: part.quantity,
        good: part.good,
        defective: part.defective,
        ..RawExpect::default()
    }
}

/// Asset, metric, order, event, time, quality and value have to be what is expected; the rest where the test names it.
fn fits(expected: &RawExpect, got: &RawExpect, received_at: UnixMillis) -> bool {
    if expected.reason.is_some() || got.reason.is_some() {
        return expected.reason == got.reason;
    }
    let named = |expected: &Option<String>, got: &Option<String>| expected.is_none() || expected == got;
    let counted = |expected: Option<f64>, got: Option<f64>| expected.is_none() || expected == got;
    let quality = expected.quality.as_deref().unwrap_or(Quality::Good.as_str());
    expected.asset == got.asset
        && expected.metric == got.metric
        && (expected.order == got.order && expected.event == got.event)
        && Some(expected.at.unwrap_or(received_at.0)) == got.at
        && (got.order.is_some() || got.quality.as_deref() == Some(quality))
        && same(expected.value.as_ref(), got.value.as_ref())
        && named(&expected.unit, &got.unit)
        && named(&expected.unit_hint, &got.unit_hint)
        && named(&expected.product, &got.product)
        && named(&expected.id, &got.id)
        && counted(expected.quantity, got.quantity)
        && counted(expected.good, got.good)
        && counted(expected.defective, got.defective)
}

fn same(expected: Option<&Scalar>, got: Option<&Scalar>) -> bool {
    match (expected, got) {
        (Some(Scalar::Int(expected)), Some(Scalar::Float(got))) => Value::from_i64(*expected).as_f64() == *got,
        (Some(Scalar::Float(expected)), Some(Scalar::Int(got))) => Value::from_i64(*got).as_f64() == *expected,
        (expected, got) => expected == got,
    }
}

fn shown(part: &RawExpect, received_at: UnixMillis) -> String {
    let mut fields = Vec::new();
    let texts = [
        ("asset", &part.asset),
        ("metric", &part.metric),
        ("order", &part.order),
        ("event", &part.event),
        ("quality", &part.quality),
        ("unit", &part.unit),
        ("unit_hint", &part.unit_hint),
        ("product", &part.product),
        ("id", &part.id),
        ("reason", &part.reason),
    ];
    fields.extend(texts.into_iter().filter_map(|(key, text)| text.as_ref().map(|text| format!("{key} = {text:?}"))));
    if part.reason.is_none() {
        fields.push(format!("at = {}", part.at.unwrap_or(received_at.0)));
    }
    match &part.value {
        Some(Scalar::Int(value)) => fields.push(format!("value = {value}")),
        Some(Scalar::Float(value)) => fields.push(format!("value = {value:?}")),
        Some(Scalar::Bool(value)) => fields.push(format!("value = {value}")),
        Some(Scalar::Text(value)) => fields.push(format!("value = {value:?}")),
        None => {}
    }
    let counts = [("quantity", part.quantity), ("good", part.good), ("defective", part.defective)];
    fields.extend(counts.into_iter().filter_map(|(key, count)| count.map(|count| format!("{key} = {count}"))));
    format!("{{ {} }}", fields.join(", "))
}
