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
fn what_the_registry_refuses_is_shown_with_the_line_that_lets_it_in() {
    let plant = Plant::new();
    let message = observed(
        r#"{"at":"2025-03-01T08:00:00+08:00","readings":[
            {"asset":"line-a","name":"good","product":"C9","value":3},
            {"asset":"press-01","name":"electricity","value":2000000,"unit":"MWh"},
            {"asset":"press-01","name":"electricity","value":1,"unit":"kW"},
            {"asset":"press-01","name":"power","value":1,"at":"2014-12-01T00:00:00Z"}]}"#,
    );
    let explanation = explained(&plant, &message);
    let mends: Vec<&str> = explanation.parts.iter().map(|part| part.mend.as_deref().unwrap_or("none")).collect();
    assert_eq!(
        mends,
        [
            r#"[[product]] id = "C9""#,
            r#"plausible = [0.0, 2000000000.0], in the [[series]] of asset = "press-01", name = "electricity""#,
            r#"unit = "kW", with a quantity that is measured in it, in the [[series]] of asset = "press-01", name = "electricity""#,
            "[pilot] earliest = 2014-12-01T00:00:00.000Z",
        ]
    );
    assert_eq!(explanation.outcome, Verdict::Rejected);

    // What is refused only because it is not registered is shown with the lines that register it.
    let timeless = explained(&plant, &observed(r#"{"readings":[{"asset":"em","name":"kWh","value":1}]}"#));
    assert!(timeless.suggestion.contains("asset = \"em\"\nname = \"kWh\"\nquantity = \"energy.electricity\""));
    let delta =
        explained(&plant, &observed(r#"{"readings":[{"asset":"line-a","name":"good","product":"A12","value":1}]}"#));
    assert_eq!((delta.outcome, &*delta.suggestion), (Verdict::Rejected, ""));
}

#[test]
fn a_message_that_no_rule_takes_is_shown_with_a_draft_of_one() {
    let plant = Plant::new();
    let mut message = observed(r#"{"ts":1740787200,"kwh":12.5}"#);
    message.topic = "plant/meter-3/up".to_owned();
    insta::assert_snapshot!(explained(&plant, &message), @r#"
    topic    `plant/meter-3/up`

    refused as a whole, bad_topic: topic `plant/meter-3/up` is neither `pilotline/v1/<pilot>/<gateway>` nor bound to a pilot; bind it in a pilot's file: [pilot] topics = ["plant/meter-3/up"]

    the message is rejected

    to read it, put and check these lines in a file of the mappings' directory:

    [[rule]]
    name = "plant-up"
    topics = ["plant/{asset}/up"]  # {…} takes any text of one level
    each = [{ entries = "$", skip = ["ts"], skip_non_numeric = true }]
    asset = "{asset}"  # guessed from the topic
    metric = "{row.key}"
    value = "row.value"
    time = [{ path = "$.ts", format = "unix_s" }]
    "#);
    message.topic = "nodered/oven/kwh".to_owned();
    assert_eq!(explained(&plant, &message).mapping, "");
    // A rule that knows the topic and declines this message says why; a draft would take the place of its profile.
    for topic in ["v1/gateway/telemetry", "iotgateway", "/neuron/app/upload", "ie/d/j/simatic/v1/app/dp/r/c/d"] {
        message.topic = topic.to_owned();
        message.payload = br#"[{"unheard":{"kwh":12.5}}]"#.as_slice().into();
        assert_eq!(explained(&plant, &message).mapping, "", "{topic}");
    }
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
