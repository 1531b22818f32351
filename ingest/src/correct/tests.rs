//! What a person asks for: taken, or named with its field and what would be right.

use model::{Flags, Quality, Reading, UnixMillis, Value};
use serde_json::{Value as Json, json};
use store::{Batch, Change, Registration, Which};

use super::*;
use crate::normalize::fixture::{Plant, RECEIVED_AT};

const AT: UnixMillis = UnixMillis(1_740_787_200_000); // 2025-03-01T00:00:00Z

/// A correction of the meter, with these fields besides or instead.
fn row(fields: Json) -> Json {
    let mut row = json!({ "pilot": "p-1", "asset": "press-01", "name": "electricity", "at": "2025-03-01T08:00:00+08:00",
                          "author": "Li", "reason": "meter book" });
    let (Json::Object(row_fields), Json::Object(fields)) = (&mut row, fields) else { panic!("objects") };
    row_fields.extend(fields);
    row
}

fn judged(plant: &Plant, rows: &[Json]) -> Result<Vec<Wanted>, Vec<String>> {
    let mistakes =
        |found: Vec<Mistake>| found.into_iter().map(|m| format!("{} {}: {}", m.row, m.field, m.text)).collect();
    judge(rows, &plant.index, RECEIVED_AT).unwrap().map_err(mistakes)
}

fn send(plant: &Plant, value: i64) {
    let key = judged(plant, &[row(json!({ "value": 1 }))]).unwrap().remove(0).key;
    let series = plant.store().intern(&key, &Registration::Registered);
    let (quality, flags) = (Quality::Good, Flags::default());
    let reading = Reading { at: AT, value: Some(Value::Int(value)), quality, flags, id: None };
    let mut journal = plant.store().journal().unwrap();
    journal.commit(AT, &Batch { readings: vec![(series, reading)], ..Batch::default() }).unwrap();
    plant.store().settle_now().unwrap();
}

#[test]
fn a_value_is_converted_and_what_stands_is_shown_beside() {
    let plant = Plant::new();
    send(&plant, 130);
    let found = judged(&plant, &[row(json!({ "value": "0.25", "unit": "MWh", "quality": "uncertain" }))]).unwrap();
    let value = Some(Value::Int(250));
    assert_eq!(found[0].change, Change::Set { value, quality: Quality::Uncertain });
    assert_eq!((found[0].at, &*found[0].unit), (AT, "kWh"));
    assert_eq!(found[0].stands.as_ref().and_then(|reading| reading.value), Some(Value::Int(130)));
    assert_eq!(found[0].sent, found[0].stands);
    let by_ms = judged(&plant, &[row(json!({ "value": 250, "at": AT.0 }))]).unwrap();
    assert_eq!(by_ms[0].at, AT);
    assert_eq!(judged(&plant, &[row(json!({ "void": true }))]).unwrap()[0].change, Change::Void);
    let bad = judged(&plant, &[row(json!({ "quality": "bad" }))]).unwrap();
    assert_eq!(bad[0].change, Change::Set { value: None, quality: Quality::Bad });
}

#[test]
fn judging_changes_nothing_and_taking_up_numbers_the_series() {
    let plant = Plant::new();
    let row = json!({ "pilot": "p-1", "asset": "line-a", "name": "good", "product": "A12", "id": "batch-7", "value": 5,
                      "at": "2025-03-01T00:00:00Z", "author": "Li", "reason": "r" });
    let wanted = judged(&plant, &[row]).unwrap().remove(0);
    assert_eq!((wanted.entry.clone(), wanted.key.product.as_deref()), (None, Some("A12")));
    assert_eq!(plant.store().lookup(&wanted.key, &Registration::Registered), None);
    let new = wanted.take_up(&plant.index, RECEIVED_AT).unwrap();
    assert_eq!(plant.store().lookup(&wanted.key, &Registration::Registered), Some(new.entry.id));
    plant.store().write(|tx| tx.correct(&new)).unwrap();
    let stands = plant.store().first_after(new.entry.id, UnixMillis(0), Which::Usable).unwrap().unwrap();
    assert_eq!((stands.id.as_deref(), stands.flags), (Some("batch-7"), Flags::CORRECTED));
}

#[test]
fn a_mistake_names_the_field_and_what_would_be_right() {
    let plant = Plant::new();
    send(&plant, 130);
    let check =
        |fields: Json, expected: &str| assert_eq!(judged(&plant, &[row(fields)]).unwrap_err().join("\n"), expected);
    check(json!({ "value": 1, "pilot": "p-9" }), "0 pilot: there is no pilot `p-9` in the registry");
    check(
        json!({ "value": 1, "name": "heat" }),
        "0 name: no such series in `p-1.toml`: asset `press-01`, name `heat`; what is not registered counts nowhere, register it first",
    );
    check(
        json!({ "value": 1, "unit": "m3" }),
        "0 unit: asset `press-01`, name `electricity`: unit `m3` measures volume, but the series is declared in kWh (energy)",
    );
    check(
        json!({ "value": -1 }),
        "0 value: asset `press-01`, name `electricity`: -1 kWh is implausible; the registry says 0.0 to 1000000000.0 kWh",
    );
    check(
        json!({ "value": 1, "at": "2025-03-01" }),
        "0 at: time `2025-03-01` is not RFC 3339 with an offset, such as `2025-03-01T08:00:00+08:00`",
    );
    check(
        json!({ "value": 1, "at": "2025-03-02T00:00:00Z" }),
        "0 at: asset `press-01`, name `electricity`: `at` is 2025-03-02T00:00:00.000Z; instants from 2014-12-31T16:00:00.000Z to \
         2025-03-01T00:20:00.000Z (receipt + 10 min) are taken",
    );
    check(
        json!({ "value": 1, "id": "x" }),
        "0 id: asset `press-01`, name `electricity`: `id` is `x`; a counter has none, only deltas and durations do",
    );
    check(json!({ "value": "1e400" }), "0 value: `value` is `1e400`, no finite number");
    check(json!({}), "0 value: `value` is missing; say what the reading is, or `void`, or `withdraw`");
    check(
        json!({ "value": 1, "void": true }),
        "0 void: `void` stands alone: no `value`, `quality` or `withdraw` with it",
    );
    check(
        json!({ "value": 1, "quality": "bad" }),
        "0 quality: a bad reading has no value; leave out one of `value` and `quality`",
    );
    check(json!({ "value": 1, "author": " " }), "0 author: `author` is missing; who corrects");
    check(json!({ "value": 1, "reason": "a\nb" }), "0 reason: `reason` must be one line of at most 2000 bytes");
    check(
        json!({ "void": true, "at": "2025-03-01T00:00:01Z" }),
        "0 at: nothing stands at 2025-03-01T00:00:01.000Z; the nearest: 2025-03-01T00:00:00.000Z",
    );
    check(
        json!({ "withdraw": true }),
        "0 withdraw: no correction was ever made at 2025-03-01T00:00:00.000Z; there is nothing to withdraw",
    );
    assert_eq!(judged(&plant, &[json!(7)]).unwrap_err(), ["0 body: a correction is an object of named fields"]);
    assert_eq!(judged(&plant, &[]).unwrap_err(), ["0 body: 0 corrections at once; 1 to 1000 are taken"]);
}

#[test]
fn every_wrong_row_is_named_and_two_of_one_reading_are_wrong() {
    let plant = Plant::new();
    let good = row(json!({ "value": 1 }));
    let wrong =
        judged(&plant, &[good.clone(), row(json!({ "valeu": 1 })), row(json!({ "value": 2 })), good]).unwrap_err();
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
    assert!(wrong[0].starts_with("1 valeu: there is no field `valeu`; there are: pilot, asset, name"), "{wrong:#?}");
    assert!(wrong[1].starts_with("1 value: `value` is missing"), "{wrong:#?}");
    assert_eq!(wrong[2], "2 at: the same reading as in correction 1 of this request; keep one");
    assert_eq!(wrong[3], "3 at: the same reading as in correction 3 of this request; keep one");
}

#[test]
fn a_table_gives_rows_with_their_lines() {
    let text = "\u{feff}pilot,at,value,reason\r\np-1,2025-03-01T00:00:00Z,5,\"a, \"\"b\"\"\"\r\n\r\np-1,,,\r\n";
    let rows = rows_of_csv(text).unwrap();
    let first = json!({ "pilot": "p-1", "at": "2025-03-01T00:00:00Z", "value": "5", "reason": "a, \"b\"" });
    assert_eq!(rows, [(2, first), (4, json!({ "pilot": "p-1" }))]);
    assert_eq!(rows_of_csv("pilot,at\np-1\n"), Err((2, "1 fields; the header names 2".to_owned())));
    assert!(rows_of_csv("pilots\n").unwrap_err().1.starts_with("there is no column `pilots`; there are: pilot, asset"));
    assert_eq!(rows_of_csv(""), Ok(vec![]));
}
