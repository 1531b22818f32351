//! Arrival order does not matter: the same million readings in order, shuffled, three times and in two halves give the
//! same bytes from the API.

use rumqttc::QoS;
use serde_json::Value;

use crate::harness::{Server, TempDir};
use crate::plant;
use crate::publisher::publish_all;

const N_READINGS: usize = 1_000_000;
/// Readings of one message: as many as gateways with a backlog send.
const PER_MESSAGE: usize = 5_000;
/// The first stamp: the start of the baseline year in the plant's zone.
const START_MS: i64 = 1_420_041_600_000;

/// One reading as JSON, for shuffling.
fn reading(n: usize) -> String {
    let n = i64::try_from(n).unwrap();
    // Two of three are a counter every two minutes (about two and a half years), the third a count of good pieces.
    let (step, kind) = (n / 3, n % 3);
    let at = START_MS + (step + 1) * 240_000;
    match kind {
        0 => format!(r#"{{"asset":"press-01","name":"electricity","value":{}.25,"at":{at}}}"#, step * 3 + step % 7),
        1 => {
            let at = at - 120_000;
            format!(r#"{{"asset":"press-01","name":"electricity","value":{}.5,"at":{at}}}"#, step * 3 - 1 + step % 5)
        }
        _ => {
            let name = if step % 50 == 0 { "defective" } else { "good" };
            format!(r#"{{"asset":"line-a/test","name":"{name}","product":"A12","value":{},"at":{at}}}"#, 1 + step % 3)
        }
    }
}

fn messages(readings: &[String]) -> Vec<(String, Vec<u8>)> {
    let body = |part: &[String]| format!(r#"{{"readings":[{}]}}"#, part.join(",")).into_bytes();
    readings.chunks(PER_MESSAGE).map(|part| ("pilotline/v1/plant-a/gw1".to_owned(), body(part))).collect()
}

/// A deterministic Fisher–Yates shuffle.
fn shuffle<T>(items: &mut [T], mut state: u64) {
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
    }
}

/// The bytes of rollups, and of figures without `as_of` and `version`.
fn answers(messages: Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
    let dir = TempDir::new("order");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    publish_all(server.mqtt, "order", QoS::AtLeastOnce, messages);
    let mut answers = Vec::new();
    for series in ["asset=press-01&name=electricity", "asset=line-a/test&name=good", "asset=line-a/test&name=defective"]
    {
        for window in ["quarter", "hour", "day", "month", "year"] {
            let path = format!(
                "/api/v1/rollups?pilot=plant-a&{series}&from=2015-01-01T00:00:00Z&to=2020-01-01T00:00:00Z&window={window}"
            );
            let answer = server.get(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.body.len() > 100, "{path} is nearly empty: {}", answer.text());
            answers.push((path, answer.text()));
        }
    }
    for scope in ["pilot:plant-a", "programme"] {
        let path = format!("/api/v1/figures?scope={scope}");
        let mut figures = server.json(&path);
        for figure in figures.as_array_mut().unwrap() {
            let figure = figure.as_object_mut().unwrap();
            figure.remove("as_of");
            figure.remove("version");
        }
        assert!(figures.as_array().is_some_and(|figures| figures.len() > 20), "{path}");
        answers.push((path, Value::to_string(&figures)));
    }
    assert_eq!(server.terminate(), Some(0));
    answers
}

#[test]
fn a_million_readings_give_the_same_bytes_in_any_order() {
    let in_order: Vec<String> = (0..N_READINGS).map(reading).collect();
    let expected = answers(messages(&in_order));

    let mut shuffled = in_order.clone();
    shuffle(&mut shuffled, 1);
    assert_same("shuffled", &expected, &answers(messages(&shuffled)));

    let once = messages(&in_order);
    let mut three_times = [once.clone(), once.clone(), once.clone()].concat();
    shuffle(&mut three_times, 2);
    assert_same("three times", &expected, &answers(three_times));

    let (first, second) = once.split_at(once.len() / 2);
    assert_same("second half first", &expected, &answers([second, first].concat()));
}

#[track_caller]
fn assert_same(how: &str, expected: &[(String, String)], found: &[(String, String)]) {
    for ((path, expected), (_, found)) in expected.iter().zip(found) {
        let at = expected.bytes().zip(found.bytes()).position(|(a, b)| a != b);
        let at = at.unwrap_or(expected.len().min(found.len()));
        let near = |text: &str| text[at.saturating_sub(150)..(at + 50).min(text.len())].to_owned();
        assert!(expected == found, "{how}: {path} differs at byte {at}:\n{}\n{}", near(expected), near(found));
    }
}
