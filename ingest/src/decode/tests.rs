//! The text as a whole, each field, the caps, and that no bytes whatever make it panic.

use proptest::prelude::*;

use super::*;

fn decoded(payload: &str) -> Message<'_> {
    decode(payload.as_bytes()).unwrap()
}

fn undecoded(payload: impl AsRef<[u8]>) -> String {
    let Undecodable { reason, detail, .. } = decode(payload.as_ref()).unwrap_err();
    format!("{}: {detail}", reason.as_str())
}

/// The refusal of the only reading.
fn refused(reading: &str) -> String {
    let payload = format!(r#"{{"readings":[{reading}]}}"#);
    let Refused { reason, detail, .. } = decoded(&payload).readings[0].clone().unwrap_err();
    format!("{}: {detail}", reason.as_str())
}

fn refused_order(order: &str) -> String {
    let payload = format!(r#"{{"orders":[{order}]}}"#);
    let Refused { reason, detail, .. } = decoded(&payload).orders[0].clone().unwrap_err();
    format!("{}: {detail}", reason.as_str())
}

#[test]
fn the_example_of_the_design_decodes() {
    let message = decoded(
        r#"{ "boot": 7, "seq": 1841, "at": "2025-03-01T08:00:00+08:00",
  "readings": [
    {"asset": "press-01", "name": "electricity", "value": 182736.4, "unit": "kWh"},
    {"asset": "press-01", "name": "power", "value": 17.2, "unit": "kW", "at": 1740787201500, "quality": "good"},
    {"asset": "line-a/test", "name": "defective", "product": "A12", "value": 3, "id": "SN-0042"} ],
  "orders": [
    {"order": "WO-1007", "product": "A12", "event": "started", "at": "2025-03-01T07:02:11+08:00", "quantity": 200},
    {"order": "WO-1007", "event": "completed", "at": "2025-03-03T16:40:00+08:00", "good": 197, "defective": 3} ] }"#,
    );
    assert_eq!(message.sequence, Some((7, 1841)));
    assert_eq!(message.at, Some(UnixMillis(1_740_787_200_000)));
    let readings: Vec<&Decoded<'_>> = message.readings.iter().map(|reading| reading.as_ref().unwrap()).collect();
    assert_eq!(readings[0].value, Value::from_f64(182_736.4));
    assert_eq!(readings[0].unit.as_deref(), Some("kWh"));
    assert_eq!(readings[1].at, Some(UnixMillis(1_740_787_201_500)));
    assert_eq!((readings[2].product.as_deref(), readings[2].id.as_deref()), (Some("A12"), Some("SN-0042")));
    let completed = message.orders[1].as_ref().unwrap();
    assert_eq!(
        (completed.event, completed.good, completed.defective),
        (OrderEventKind::Completed, Some(197.0), Some(3.0))
    );
    assert!(matches!(readings[0].asset, Cow::Borrowed(_)));
}

#[test]
fn numbers_are_exact() {
    check("1E5", Value::Int(100_000));
    check("-0", Value::Int(0));
    check("-0.0", Value::Int(0));
    check("18446744073709551615", Value::UInt(u64::MAX));
    check("-9223372036854775808", Value::Int(i64::MIN));
    check("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0));
    check("9007199254740993", Value::Int(9_007_199_254_740_993));
    check("0.1", Value::Float(0.1));
    check("5e-324", Value::Float(5e-324));
    check("1.7976931348623157e308", Value::Float(f64::MAX));

    #[track_caller]
    fn check(number: &str, value: Value) {
        let payload = format!(r#"{{"readings":[{{"asset":"a","name":"n","value":{number}}}]}}"#);
        assert_eq!(decoded(&payload).readings[0].as_ref().unwrap().value, Some(value), "{number}");
    }
}

#[test]
fn what_is_wrong_with_the_text_refuses_the_message() {
    insta::assert_snapshot!(undecoded(""), @"empty: the payload has no bytes; send `readings` or `orders`");
    insta::assert_snapshot!(undecoded("{}"), @"empty: the message has no reading and no order event; send `readings` or `orders`");
    insta::assert_snapshot!(undecoded(r#"{"readings":[],"orders":[]}"#), @"empty: the message has no reading and no order event; send `readings` or `orders`");
    insta::assert_snapshot!(undecoded(b"{\"readings\":[{\"asset\":\"\xff\"}]}"), @"bad_utf8: the payload is not UTF-8 from byte 23; send JSON in UTF-8");
    insta::assert_snapshot!(undecoded(r#"{"readings":[{"asset":"a""#), @"bad_json: the payload is not JSON: EOF while parsing an object at line 1 column 25; one JSON object is expected");
    insta::assert_snapshot!(undecoded(r#"{"readings":[{"value":NaN}]}"#), @"bad_json: the payload is not JSON: expected value at line 1 column 23; one JSON object is expected");
    insta::assert_snapshot!(undecoded(r#"{"readings":[{"value":1e400}]}"#), @"bad_json: the payload is not JSON: number out of range at line 1 column 27; one JSON object is expected");
    insta::assert_snapshot!(undecoded("\u{feff}{}"), @"bad_json: the payload begins with a byte order mark; send UTF-8 without one");
    insta::assert_snapshot!(undecoded("{} {}"), @"bad_json: the payload is not JSON: trailing characters at line 1 column 4; one JSON object is expected");
    insta::assert_snapshot!(undecoded("[1,2]"), @"bad_field: the payload is an array; one JSON object with `readings` or `orders` is expected");
    insta::assert_snapshot!(undecoded(r#"{"readings":{}}"#), @"bad_field: `readings` is an object; send an array or leave it out");
    insta::assert_snapshot!(undecoded(r#"{"readings":[],"readings":[]}"#), @"duplicate_key: field `readings` stands twice; send it once");
    insta::assert_snapshot!(undecoded(r#"{"reading":[],"zone":1}"#), @"unknown_field: unknown field `reading`; a message takes boot, seq, at, readings, orders");
    insta::assert_snapshot!(undecoded(r#"{"at":"yesterday","readings":[]}"#), @r#"bad_field: `at` is `yesterday`; send RFC 3339 with an offset, such as "2025-03-01T08:00:00+08:00", or whole epoch milliseconds"#);
    insta::assert_snapshot!(undecoded(r#"{"seq":-1,"readings":[]}"#), @"bad_field: `seq` is -1; send an integer from 0 to 18446744073709551615 or leave it out");
    insta::assert_snapshot!(undecoded(r#"{"boot":"7","readings":[]}"#), @"bad_field: `boot` is a string; send an integer from 0 to 18446744073709551615 or leave it out");
    insta::assert_snapshot!(undecoded(vec![b' '; PAYLOAD_BYTES_MAX + 1]), @"too_large: the payload has 1048577 bytes; at most 1048576 are taken");
}

#[test]
fn the_malformed_corpus_is_refused_with_a_stable_reason() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let in_reading = |value: &str| format!(r#"{{"readings":[{{"asset":"a","name":"n","value":{value}}}]}}"#);
    check(nested("[", "]"), Reason::BadJson);
    check(nested("{\"a\":", "}").replace(":}", ":1}"), Reason::BadJson);
    check(in_reading(&nested("[", "]")), Reason::BadJson);
    check(format!(r#"{{"x":{}}}"#, nested("[", "]")), Reason::BadJson);
    check(r#"{"x":1e400,"readings":[]}"#, Reason::BadJson);
    check(in_reading("Infinity"), Reason::BadJson);
    check(in_reading("-Infinity"), Reason::BadJson);
    check(in_reading("01"), Reason::BadJson);
    check(in_reading("+1"), Reason::BadJson);
    check(in_reading(".5"), Reason::BadJson);
    check(in_reading("1."), Reason::BadJson);
    check(in_reading("0x10"), Reason::BadJson);
    check(in_reading("'1'"), Reason::BadJson);
    check("{\"readings\":[{\"asset\":\"a\u{0}\"}]}", Reason::BadJson);
    check("{\"readings\":[{\"asset\":\"a\nb\"}]}", Reason::BadJson);
    check(r#"{"readings":[{"asset":"\ud800"}]}"#, Reason::BadJson);
    check(r#"{"readings":[],}"#, Reason::BadJson);
    check("\0", Reason::BadJson);
    check("null", Reason::BadField);
    check("{\"readings\":[]", Reason::BadJson);
    check(b"\x1f\x8b\x08\x00", Reason::BadUtf8);
    check(b"\xc0\xaf", Reason::BadUtf8);
    check(b"\xed\xa0\x80", Reason::BadUtf8);
    let unknown: Vec<String> = (0..10_000).map(|n| format!("\"tag{n:05}\":{n}")).collect();
    check(format!("{{{}}}", unknown.join(",")), Reason::UnknownField);

    #[track_caller]
    fn check(payload: impl AsRef<[u8]>, reason: Reason) {
        let payload = payload.as_ref();
        let found = decode(payload).unwrap_err();
        assert_eq!(
            found.reason,
            reason,
            "{} from {}",
            found.detail,
            String::from_utf8_lossy(&payload[..payload.len().min(60)])
        );
    }
}

#[test]
fn a_wrong_reading_refuses_itself_only() {
    let message = decoded(
        r#"{"readings":[{"asset":"a","name":"n","value":"x"},{"asset":"a","name":"n","value":1},7,{"asset":"a","name":"n","valeu":1}]}"#,
    );
    let is_taken: Vec<bool> = message.readings.iter().map(Result::is_ok).collect();
    assert_eq!(is_taken, [false, true, false, false]);
}

#[test]
fn every_mistake_in_a_reading_is_told_with_what_would_be_right() {
    insta::assert_snapshot!(refused("null"), @"bad_field: a reading is an object, but this one is null");
    insta::assert_snapshot!(refused("{}"), @"bad_field: `asset` is missing; send a string");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","value":1}"#), @"bad_field: `name` is missing; send a string");
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","valeu":1}"#), @"unknown_field: asset `a`, name `n`: unknown field `valeu`; a reading takes asset, name, product, value, unit, at, quality, id");
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"value":1}"#), @"duplicate_key: asset `a`, name `n`: field `value` stands twice; send it once");
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":true}"#), @r#"bad_field: asset `a`, name `n`: `value` is a boolean; send a number, or null with "quality": "bad""#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":null}"#), @r#"bad_field: asset `a`, name `n`: `value` is null; send a number, or null with "quality": "bad""#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n"}"#), @r#"bad_field: asset `a`, name `n`: `value` is missing; send a number, or null with "quality": "bad""#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"quality":"GOOD"}"#), @r#"bad_field: asset `a`, name `n`: `quality` is `GOOD`; send "good", "uncertain" or "bad""#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"at":1.5}"#), @r#"bad_field: asset `a`, name `n`: `at` is 1.5; send RFC 3339 with an offset, such as "2025-03-01T08:00:00+08:00", or whole epoch milliseconds"#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"at":"2025-03-01T08:00:00"}"#), @r#"bad_field: asset `a`, name `n`: `at` is `2025-03-01T08:00:00`; send RFC 3339 with an offset, such as "2025-03-01T08:00:00+08:00", or whole epoch milliseconds"#);
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"product":null}"#), @"bad_field: asset `a`, name `n`: `product` is null; send a string or leave it out");
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"n","value":1,"unit":5}"#), @"bad_field: asset `a`, name `n`: `unit` is a number; send a string or leave it out");
}

#[test]
fn every_mistake_in_an_order_event_is_told_with_what_would_be_right() {
    insta::assert_snapshot!(refused_order("3"), @"bad_field: an order event is an object, but this one is a number");
    insta::assert_snapshot!(refused_order(r#"{"event":"started"}"#), @"bad_field: `order` is missing; send a string");
    insta::assert_snapshot!(refused_order(r#"{"order":"WO-1","event":"begun"}"#), @r#"bad_field: order `WO-1`: `event` is `begun`; send "released", "started", "completed" or "cancelled""#);
    insta::assert_snapshot!(refused_order(r#"{"order":"WO-1","event":"started","good":"7"}"#), @"bad_field: order `WO-1`: `good` is a string; send a number or leave it out");
    insta::assert_snapshot!(refused_order(r#"{"order":"WO-1","event":"started","value":7}"#), @"unknown_field: order `WO-1`: unknown field `value`; an order event takes order, product, event, at, quantity, good, defective");
}

#[test]
fn a_value_of_bad_quality_is_dropped_but_has_to_be_a_value() {
    let value = |reading: &str| decoded(&format!(r#"{{"readings":[{reading}]}}"#)).readings[0].clone().map(|r| r.value);
    assert_eq!(value(r#"{"asset":"a","name":"n","value":7,"quality":"bad"}"#), Ok(None));
    assert_eq!(value(r#"{"asset":"a","name":"n","value":null,"quality":"bad"}"#), Ok(None));
    assert_eq!(value(r#"{"asset":"a","name":"n","quality":"bad"}"#), Ok(None));
    assert!(value(r#"{"asset":"a","name":"n","value":"x","quality":"bad"}"#).is_err());
}

#[test]
fn ten_thousand_values_are_taken_and_one_more_is_not() {
    let of = |n: usize| {
        let reading = r#"{"asset":"a","name":"n","value":1}"#;
        let orders = r#"{"order":"o","event":"started"}"#;
        format!(r#"{{"orders":[{orders}],"readings":[{}]}}"#, vec![reading; n - 1].join(","))
    };
    assert_eq!(decoded(&of(VALUES_MAX)).readings.len(), VALUES_MAX - 1);
    insta::assert_snapshot!(undecoded(of(VALUES_MAX + 1)), @"too_many_values: the message has 10001 readings and order events; at most 10000 are taken");
}

#[test]
fn escapes_in_names_and_keys_are_read() {
    let message = decoded(r#"{"readings":[{"\u0061sset":"A\u76f8电流","name":"e\"m:0","value":1}]}"#);
    let reading = message.readings[0].as_ref().unwrap();
    assert_eq!((&*reading.asset, &*reading.name), ("A相电流", "e\"m:0"));
}

#[test]
fn a_rejected_message_still_tells_its_sequence() {
    let undecodable = decode(br#"{"boot":1,"seq":2,"readings":[],"zone":3}"#).unwrap_err();
    assert_eq!((undecodable.reason, undecodable.sequence), (Reason::UnknownField, Some((1, 2))));
}

#[test]
fn instants_beyond_every_calendar_are_instants() {
    let at = |at: &str| decoded(&format!(r#"{{"at":{at},"readings":[1]}}"#)).at;
    assert_eq!(at("18446744073709551615"), Some(UnixMillis(i64::MAX)));
    assert_eq!(at("1e300"), Some(UnixMillis(i64::MAX)));
    assert_eq!(at("-1e300"), Some(UnixMillis(i64::MIN)));
    assert_eq!(at("1740787200000.0"), Some(UnixMillis(1_740_787_200_000)));
}

/// Pieces of JSON that, strung together, are nearly messages.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"readings\"",
        "\"orders\"",
        "\"asset\"",
        "\"name\"",
        "\"value\"",
        "\"at\"",
        "\"a\"",
        "\"boot\"",
        "\"seq\"",
        "\"order\"",
        "\"event\"",
        "\"started\"",
        "\"quality\"",
        "\"bad\"",
        "\"id\"",
        "\"unit\"",
        "\"kWh\"",
        "1",
        "-0",
        "1e400",
        "0.5",
        "null",
        "true",
        "18446744073709551616",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\u{feff}",
        "NaN",
        " ",
        "{\"readings\":[{\"asset\":\"a\",\"name\":\"n\",\"value\":1}",
        "]}",
    ]);
    let text = prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes());
    prop_oneof![4 => text, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_the_verdict_is_stable(payload in nearly_json()) {
        let first = decode(&payload).map_err(|undecodable| undecodable.reason);
        let second = decode(&payload).map_err(|undecodable| undecodable.reason);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn the_order_of_fields_changes_nothing(
        fields in prop::sample::subsequence(vec![
            r#""asset":"a""#, r#""name":"n""#, r#""value":1"#, r#""value":true"#, r#""unit":"kWh""#, r#""at":7"#, r#""at":"x""#,
            r#""quality":"bad""#, r#""id":"i""#, r#""zone":1"#, r#""area":1"#, r#""product":"p""#,
        ], 0..=12).prop_flat_map(|fields| (Just(fields.clone()), Just(fields).prop_shuffle())),
    ) {
        let (fields, shuffled) = fields;
        // A repeated key has no order to be indifferent to; it is refused whichever comes first.
        let of = |fields: &[&str]| format!(r#"{{"readings":[{{{}}}]}}"#, fields.join(","));
        let (one, other) = (of(&fields), of(&shuffled));
        let (one, other) = (decoded(&one).readings, decoded(&other).readings);
        prop_assert_eq!(one, other);
    }
}
