//! What three public edge clients put on the wire, with the values and the liveness that must come out.

use serde_json::Value as Json;

use super::*;

const CAPTURES: [(&str, &str, &str); 3] = [
    (
        "pysparkplug-graceful",
        include_str!("../captures/pysparkplug-graceful.txt"),
        include_str!("../captures/pysparkplug-graceful.expected.json"),
    ),
    (
        "pysparkplug-crash",
        include_str!("../captures/pysparkplug-crash.txt"),
        include_str!("../captures/pysparkplug-crash.expected.json"),
    ),
    ("tahu-js", include_str!("../captures/tahu-js.txt"), include_str!("../captures/tahu-js.expected.json")),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// Strings are named and refused; everything else comes out to the digit.
fn expected(expected: &Json, message: usize) -> Vec<Row> {
    let readings = expected["readings"].as_array().unwrap().iter();
    let of_message = readings.filter(|reading| reading["from"].as_u64() == u64::try_from(message).ok());
    let row = |reading: &Json| {
        if reading["datatype"] == "String" {
            return Err(Reason::UnsupportedType);
        }
        assert_eq!(reading["quality"], "good");
        let text = |key: &str| reading[key].as_str().unwrap().to_owned();
        Ok((text("asset"), text("metric"), reading["at"].as_i64(), Value::parse(&reading["value"].to_string())))
    };
    of_message.map(row).collect()
}

#[test]
fn captures_decode_to_the_values_and_the_liveness_given() {
    for (name, capture, given) in CAPTURES {
        let given: Json = serde_json::from_str(given).unwrap();
        let mut plant = Plant::new();
        for (message, line) in capture.lines().enumerate() {
            let (topic, payload) = line.rsplit_once(' ').unwrap();
            plant.now = 1_795_485_600_000 + i64::try_from(message).unwrap();
            let rows = plant.send_bytes(topic, &bytes(payload)).unwrap();
            assert_eq!(rows, expected(&given, message), "{name}, message {message}");
            let liveness = given["liveness"].as_array().unwrap().iter();
            for state in liveness.filter(|state| state["after"].as_u64() == u64::try_from(message).ok()) {
                check_liveness(&plant, state, name);
            }
        }
        let node = plant.node();
        assert_eq!((node.n_lost, node.n_gaps), (0, 0), "{name}");
        let n_asked = plant.pass(3_000).commands.len();
        assert_eq!(n_asked, usize::from(name == "pysparkplug-graceful"), "{name}: a probe only for the wrong bdSeq");
        plant.pass(10_000);
        if name == "pysparkplug-graceful" {
            assert_eq!(plant.node().state, NodeState::Silent, "neither births nor data followed the probe");
        }
    }
}

fn check_liveness(plant: &Plant, state: &Json, name: &str) {
    let node = plant.node();
    let who = state["who"].as_str().unwrap();
    let (word, since, clock) = match who.split_once('/') {
        None => (node.state.as_str(), node.since, node.clock),
        Some((_, device)) => {
            let device = node.devices.iter().find(|found| &*found.device == device).unwrap();
            (device.state.as_str(), Some(device.since), device.clock)
        }
    };
    assert_eq!(word, state["state"], "{name}: {state}");
    match state["stamp"].as_str() {
        Some("payload timestamp") => assert_eq!(clock, Clock::Edge, "{name}: {state}"),
        Some(_) => assert_eq!((clock, since), (Clock::Ours, Some(UnixMillis(plant.now))), "{name}: {state}"),
        None => {}
    }
}
