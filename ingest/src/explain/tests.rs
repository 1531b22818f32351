//! An explanation as a person reads it, and the lines to paste.

use super::*;
use crate::normalize::fixture::{Plant, observed, pilot_id, timed};
use crate::normalize::normalize;

fn explained(plant: &Plant, observation: &Observation) -> Explanation {
    explain(observation, &Identity::Anonymous, &plant.index)
}

#[test]
fn a_message_is_explained_part_by_part() {
    let plant = Plant::new();
    let message = observed(
        r#"{"at":"2025-03-01T08:00:00+08:00","readings":[
            {"asset":"press-01","name":"electricity","value":1.5,"unit":"MWh"},
            {"asset":"line-a","name":"good","product":"A12","value":3},
            {"asset":"line-a","name":"defective","value":1},
            {"asset":"press-01","name":"power","quality":"bad"},
            {"asset":"press-01","name":"power","value":"17"},
            {"asset":"line-7","name":"debug","value":1},
            {"asset":"oven","name":"temperature","value":180,"unit":"°C"}],
          "orders":[{"order":"WO-1","event":"completed","good":197,"defective":3},{"order":"WO-1","event":"begun"}]}"#,
    );
    insta::assert_snapshot!(explained(&plant, &message), @r#"
    topic    `pilotline/v1/p-1/gw`
    pilot    p-1
    gateway  gw

    readings[0]: asset `press-01`, name `electricity`, value 1.5, unit `MWh`
      → energy.electricity (counter): 1500 kWh, good at 2025-03-01T00:00:00.000Z (converted from MWh to kWh)

    readings[1]: asset `line-a`, name `good`, product `A12`, value 3
      → output.good (delta), product `A12`: 3 piece, good at 2025-03-01T00:00:00.000Z

    readings[2]: asset `line-a`, name `defective`, value 1
      → output.defective (delta), product `A12`: 1 piece, good at 2025-03-01T00:00:00.000Z

    readings[3]: asset `press-01`, name `power`, quality bad
      → power.press (gauge): no value, bad at 2025-03-01T00:00:00.000Z

    readings[4]: not readable
      ✗ bad_field: asset `press-01`, name `power`: `value` is a string; send a number, or null with "quality": "bad"

    readings[5]: asset `line-7`, name `debug`, value 1
      → dropped and counted: [[ignore]] asset = "line-*", name = "debug*"

    readings[6]: asset `oven`, name `temperature`, value 180, unit `°C`
      → kept as sent at 2025-03-01T00:00:00.000Z; unknown_series: asset `oven`, name `temperature`: no such series in `p-1.toml`; kept as sent until it is registered (`pilotline rejected --suggest` prints the lines)

    orders[0]: order `WO-1`, event completed
      → order `WO-1` completed at 2025-03-01T00:00:00.000Z, good 197, defective 3

    orders[1]: not readable
      ✗ bad_field: order `WO-1`: `event` is `begun`; send "released", "started", "completed" or "cancelled"

    the message is committed

    to register the series, add and check these lines:

    [[series]]
    asset = "oven"
    name = "temperature"
    quantity = "variable.temperature"  # guessed from the word `temperature` of the name and the unit `°C`
    kind = "gauge"  # guessed from the quantity; 0 readings say nothing yet
    unit = "°C"  # as sent
    "#);
    assert_eq!(plant.store().catalogue_of(&pilot_id()), []);
}

#[test]
fn a_message_refused_as_a_whole_is_explained_too() {
    let plant = Plant::new();
    insta::assert_snapshot!(explained(&plant, &observed("{\"readings\":[")), @r#"
    topic    `pilotline/v1/p-1/gw`
    pilot    p-1

    refused as a whole, bad_json: the payload is not JSON: EOF while parsing a list at line 1 column 13; one JSON object is expected

    the message is rejected
    "#);
    let json =
        serde_json::to_value(explained(&plant, &timed(r#"{"asset":"press-01","name":"power","value":1}"#))).unwrap();
    assert_eq!(json["outcome"], "committed");
    assert_eq!(json["parts"][0]["becomes"]["reading"]["unit"], "kW");
}

#[test]
fn an_explanation_agrees_with_what_happens() {
    let plant = Plant::new();
    for payload in ["{}", "[", r#"{"readings":[7]}"#, r#"{"readings":[{"asset":"line-1","name":"debug","value":1}]}"#] {
        let observation = observed(payload);
        let is_accepted = matches!(
            normalize(&observation, &Identity::Anonymous, &plant.index),
            crate::normalize::Outcome::Accepted(_)
        );
        assert_eq!(explained(&plant, &observation).outcome == Verdict::Committed, is_accepted, "{payload}");
    }
}
