//! An explanation as a person reads it, and the lines to paste.

use super::*;
use crate::normalize::fixture::{PLANT, Plant, observed, pilot_id, timed};
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
    quantity = "variable.temperature"  # guessed: check it
    kind = "gauge"  # guessed: counter, delta, gauge or duration
    unit = "°C"
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

#[test]
fn suggested_lines_are_a_registry_that_takes_the_readings() {
    let plant = Plant::new();
    let readings = timed(
        r#"{"asset":"oven \"2\"","name":"电 kWh","value":1,"unit":"MWh"},{"asset":"oven","name":"gas","value":1,"unit":"m3"},
           {"asset":"oven","name":"temperature","value":180,"unit":"K°"},{"asset":"line-b","name":"defects","product":"A12","value":1},
           {"asset":"line-b","name":"takt","value":12,"unit":"s"},{"asset":"office","name":"rent","value":12,"unit":"CNY"}"#,
    );
    normalize(&readings, &Identity::Anonymous, &plant.index);
    let lines = suggest(&pilot_id(), plant.store(), &Mappings::builtin());
    insta::assert_snapshot!(lines, @r#"
    # p-1.toml: series that were sent and that nobody registered

    [[series]]
    asset = "line-b"
    name = "defects"
    # each reading names its product
    quantity = "output.defective"  # guessed: check it
    kind = "delta"  # guessed: counter, delta, gauge or duration
    unit = "piece"  # none was sent

    [[series]]
    asset = "line-b"
    name = "takt"
    quantity = "time.cycle"  # guessed: check it
    kind = "duration"  # guessed: counter, delta, gauge or duration
    unit = "s"

    [[series]]
    asset = "office"
    name = "rent"
    quantity = "cost.other"  # guessed: check it
    kind = "delta"  # guessed: counter, delta, gauge or duration
    unit = "CNY"

    [[series]]
    asset = "oven"
    name = "gas"
    quantity = "energy.natural_gas"  # guessed: check it
    kind = "counter"  # guessed: counter, delta, gauge or duration
    unit = "m3"

    [[series]]
    asset = "oven"
    name = "temperature"
    quantity = "variable.temperature"  # guessed: check it
    kind = "gauge"  # guessed: counter, delta, gauge or duration
    unit = "K°"

    [[series]]
    asset = "oven \"2\""
    name = "电 kWh"
    quantity = "energy.electricity"  # guessed: check it
    kind = "counter"  # guessed: counter, delta, gauge or duration
    unit = "MWh"
    "#);
    let next = plant.under(&format!("{PLANT}{lines}"));
    let crate::normalize::Outcome::Accepted(accepted) = normalize(&readings, &Identity::Anonymous, &next) else {
        panic!("rejected");
    };
    assert_eq!(accepted.refusals, []);
    assert_eq!(suggest(&pilot_id(), plant.store(), &Mappings::builtin()), "");
}

#[test]
fn what_a_mapping_proposes_for_a_name_is_suggested() {
    let plant = Plant::new();
    let readings = timed(
        r#"{"asset":"m","name":"210220003011/00-01-00-00","value":1},{"asset":"m","name":"Takt","value":1,"unit":"min"},
           {"asset":"m","name":"energy","value":1}"#,
    );
    normalize(&readings, &Identity::Anonymous, &plant.index);
    let own = "[[metric]]\nmatch = \"Takt\"\nas = \"time.cycle\"\nkind = \"duration\"\nunit = \"s\"\n";
    let mappings = Mappings::load(vec![("own.toml".to_owned(), own.to_owned())]).unwrap();
    // Two profiles mean different things by `energy`: neither is proposed.
    insta::assert_snapshot!(suggest(&pilot_id(), plant.store(), &mappings), @r#"
    # p-1.toml: series that were sent and that nobody registered

    [[series]]
    asset = "m"
    name = "210220003011/00-01-00-00"
    quantity = "energy.electricity"  # proposed by a mapping: check it
    kind = "counter"  # proposed by a mapping: check it
    rollover = 1000000.0  # proposed by a mapping: check it
    unit = "kWh"  # none was sent

    [[series]]
    asset = "m"
    name = "Takt"
    quantity = "time.cycle"  # proposed by a mapping: check it
    kind = "duration"  # proposed by a mapping: check it
    unit = "min"

    [[series]]
    asset = "m"
    name = "energy"
    quantity = "energy.electricity"  # guessed: check it
    kind = "counter"  # guessed: counter, delta, gauge or duration
    unit = "kWh"  # none was sent
    "#);
}
