//! Bad input: no panic, each counted under its reason, other messages unaffected.

use rumqttc::QoS;

use crate::harness::{Server, TempDir};
use crate::plant;
use crate::publisher::publish_all;

const GOOD_AT: i64 = 1_740_787_200_000;

fn message(topic: &str, payload: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (topic.to_owned(), payload.into())
}

/// Bad messages, each with the reason that it must be counted under.
fn corpus() -> Vec<(&'static str, (String, Vec<u8>))> {
    let own = "pilotline/v1/plant-a/gw1";
    let reading = |inner: &str| message(own, format!(r#"{{"at":{GOOD_AT},"readings":[{{{inner}}}]}}"#));
    let press = |rest: &str| reading(&format!(r#""asset":"press-01","name":"electricity",{rest}"#));
    let deep = format!(r#"{{"readings":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let large = format!(r#"{{"readings":[],"pad":"{}"}}"#, "x".repeat((1 << 20) + 1));
    let many = vec![r#"{"asset":"press-01","name":"electricity","value":1}"#; 10_001].join(",");
    vec![
        ("bad_json", message(own, r#"{"readings":[{"asset":"press-01""#)),
        ("bad_json", message(own, deep)),
        ("bad_json", press(r#""value":NaN"#)),
        ("bad_json", press(r#""value":1e400"#)),
        ("empty", message(own, "")),
        ("bad_json", message(own, "\u{feff}{}")),
        ("too_large", message(own, large)),
        ("too_many_values", message(own, format!(r#"{{"at":{GOOD_AT},"readings":[{many}]}}"#))),
        ("bad_utf8", message(own, [b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}'])),
        ("duplicate_key", message(own, r#"{"at":1,"at":2,"readings":[]}"#)),
        ("unknown_field", message(own, r#"{"reedings":[]}"#)),
        ("empty", message(own, "{}")),
        ("empty", message(own, r#"{"readings":[]}"#)),
        ("unknown_field", press(r#""valeu":1"#)),
        ("bad_field", press(r#""value":"12""#)),
        ("bad_field", press(r#""value":null"#)),
        ("implausible", press(r#""value":-5"#)),
        ("wrong_unit", press(r#""value":5,"unit":"kg""#)),
        ("unknown_product", press(r#""value":5,"product":"B99""#)),
        ("time_out_of_window", press(r#""value":5,"at":"1970-01-01T00:00:00Z""#)),
        ("time_out_of_window", press(r#""value":5,"at":"2100-01-01T00:00:00Z""#)),
        ("bad_field", press(r#""value":5,"at":"2025-03-01T08:00:00""#)),
        ("no_time", message(own, r#"{"readings":[{"asset":"line-a/test","name":"good","product":"A12","value":1}]}"#)),
        ("unknown_pilot", message("pilotline/v1/nobody/gw1", r#"{"readings":[]}"#)),
        ("bad_topic", message("pilotline/v1/plant-a", "{}")),
        ("bad_topic", message("some/where/else", "{}")),
    ]
}

#[test]
fn each_bad_message_is_counted_under_its_reason_and_costs_no_neighbour() {
    let dir = TempDir::new("bad");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let corpus = corpus();
    let mut messages = Vec::new();
    for (n, (_, bad)) in corpus.iter().enumerate() {
        let at = GOOD_AT + i64::try_from(n).unwrap() * 1_000;
        let good = format!(r#"{{"at":{at},"readings":[{{"asset":"press-01","name":"electricity","value":{n}}}]}}"#);
        messages.push(message("pilotline/v1/plant-a/gw1", good));
        messages.push(bad.clone());
    }
    publish_all(server.mqtt, "bad", QoS::AtLeastOnce, messages);

    let status = server.json("/api/v1/status");
    let mut expected = std::collections::BTreeMap::new();
    for (reason, _) in &corpus {
        *expected.entry(*reason).or_insert(0) += 1;
    }
    for (reason, n) in &expected {
        assert_eq!(status["rejected"][*reason], *n, "{reason}: {status}");
    }
    assert_eq!(status["committed"], corpus.len());
    assert_eq!(status["received"], 2 * corpus.len());
    let readings = server.json("/api/v1/readings?pilot=plant-a&asset=press-01&name=electricity");
    assert_eq!(readings.as_array().unwrap().len(), corpus.len());
    let rejections = server.json("/api/v1/rejections");
    assert_eq!(rejections.as_array().unwrap().len(), corpus.len(), "{rejections}");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn one_bad_reading_costs_its_neighbours_nothing() {
    let dir = TempDir::new("mixed");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let payload = format!(
        r#"{{"at":{GOOD_AT},"readings":[{{"asset":"press-01","name":"electricity","value":7}},
            {{"asset":"press-01","name":"electricity","value":8,"unit":"kg"}},
            {{"asset":"nobody","name":"knows","value":9}}]}}"#
    );
    publish_all(server.mqtt, "mixed", QoS::AtLeastOnce, vec![message("pilotline/v1/plant-a/gw1", payload)]);
    let status = server.json("/api/v1/status");
    assert_eq!(status["committed"], 1);
    assert_eq!(status["refused"]["wrong_unit"], 1);
    assert_eq!(status["refused"]["unknown_series"], 1);
    assert_eq!(status["readings"], 2, "the unregistered reading is kept: {status}");
    let rejections = server.json("/api/v1/rejections");
    assert_eq!(rejections.as_array().unwrap().len(), 1, "{rejections}");
}
