//! Suggested lines, as a person reads them and as the registry does.

use model::UnixMillis;
use model::registry::parse_pilot;
use store::Batch;

use super::*;
use crate::Identity;
use crate::normalize::fixture::{HEAD, PLANT, Plant, RECEIVED_AT, observed, pilot_id, timed};
use crate::normalize::{Outcome, normalize};

/// Takes a message in, and settles it.
fn send(plant: &Plant, journal: &mut store::Journal, payload: &str) {
    let Outcome::Accepted(accepted) = normalize(&observed(payload), &Identity::Anonymous, &plant.index) else {
        panic!("rejected: {payload}");
    };
    journal.commit(RECEIVED_AT, &Batch { readings: accepted.readings, ..Batch::default() }).unwrap();
    plant.store().settle_now().unwrap();
}

/// Quarter-hourly readings of one series.
fn readings(asset: &str, name: &str, unit: &str, values: &[f64]) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(r#""unit":"{unit}","#) };
    let reading = |(n, value): (i64, &f64)| {
        let at = UnixMillis(1_740_000_000_000 + n * 900_000).0;
        format!(r#"{{"asset":"{asset}","name":"{name}","at":{at},{unit}"value":{value}}}"#)
    };
    let all: Vec<String> = (0..).zip(values).map(reading).collect();
    format!(r#"{{"readings":[{}]}}"#, all.join(","))
}

fn rising() -> Vec<f64> {
    (0..30).map(|n| f64::from(n / 2)).collect()
}

fn swinging() -> Vec<f64> {
    (0..30).map(|n| f64::from(n % 7)).collect()
}

#[test]
fn every_guess_says_what_it_was_made_from() {
    let plant = Plant::new();
    let mut journal = plant.store().journal().unwrap();
    for (asset, name, unit, values) in [
        ("meter", "正向有功总电能", "kWh", rising()),
        ("meter", "Ua", "V", swinging()),
        ("line-b", "不合格品", "", rising()),
        ("boiler", "steam", "t", swinging()),
        ("well", "F7", "", rising()),
        ("well", "F8", "m3", rising()),
        ("well", "water m3", "", rising()),
    ] {
        send(&plant, &mut journal, &readings(asset, name, unit, &values));
    }
    insta::assert_snapshot!(suggest(&pilot_id(), &plant.index), @r#"
    # p-1.toml: series that were sent and that nobody registered

    [[series]]
    asset = "boiler"
    name = "steam"
    quantity = "energy.steam"  # guessed from the word `steam` of the name and the unit `t`
    kind = "delta"  # guessed from 30 of its readings, which rise and fall
    unit = "t"  # as sent

    [[series]]
    asset = "line-b"
    name = "不合格品"
    quantity = "output.defective"  # guessed from the word `不合格` of the name
    kind = "counter"  # guessed from 30 of its readings, which never fall
    # unit = "piece"  # none was sent; this one holds unless you say another

    [[series]]
    asset = "meter"
    name = "Ua"
    quantity = "variable.Ua"  # guessed from the unit `V`
    kind = "gauge"  # guessed from 30 of its readings, which rise and fall
    unit = "V"  # as sent

    [[series]]
    asset = "meter"
    name = "正向有功总电能"
    quantity = "energy.electricity"  # guessed from the word `电能` of the name and the unit `kWh`
    kind = "counter"  # guessed from the word `有功总` of the name
    unit = "kWh"  # as sent

    # not yet: nothing says what it measures
    # [[series]]
    # asset = "well"
    # name = "F7"
    # quantity = ""  # fill in: energy.<carrier>, output.good, output.defective, output.rework, output.scrap, time.cycle, cost.<category>, emission.<pollutant>, variable.<name>, value.added, power.<name>
    # kind = "counter"  # guessed from 30 of its readings, which never fall
    # unit = ""  # fill in: none was sent; "1" for a plain number

    # not yet: the unit alone does not say of what
    # [[series]]
    # asset = "well"
    # name = "F8"
    # quantity = ""  # fill in: energy.<carrier>, output.good, output.defective, output.rework, output.scrap, time.cycle, cost.<category>, emission.<pollutant>, variable.<name>, value.added, power.<name>
    # kind = "counter"  # guessed from 30 of its readings, which never fall
    # unit = "m3"  # as sent

    [[series]]
    asset = "well"
    name = "water m3"
    quantity = "variable.water_m3"  # guessed from the word `water` of the name and the unit `m3`
    kind = "counter"  # guessed from 30 of its readings, which never fall
    unit = "m3"  # guessed from the name
    "#);
}

#[test]
fn a_name_and_its_unit_say_what_is_measured() {
    check("正向有功总电能", Some("kWh"), Ok("energy.electricity counter"));
    check("EPI", None, Ok("energy.electricity counter"));
    check("Ep", None, Ok("energy.electricity counter"));
    check("TotalEnergy", Some("MWh"), Ok("energy.electricity counter"));
    check("ENERGY/Total", None, Ok("energy.electricity counter"));
    check("有功功率", Some("kW"), Ok("power.有功功率 gauge"));
    check("total_power", None, Ok("power.total_power gauge"));
    check("ENERGY/Voltage", Some("V"), Ok("variable.ENERGY_Voltage gauge"));
    check("天然气累计流量", Some("m3"), Ok("energy.natural_gas counter"));
    check("steam", None, Ok("energy.steam counter"));
    check("heat", Some("GJ"), Ok("energy.heat counter"));
    check("用水量", Some("m3"), Ok("variable.用水量 gauge"));
    check("合格数", None, Ok("output.good delta"));
    check("不合格数", Some("件"), Ok("output.defective delta"));
    check("cycle", Some("s"), Ok("time.cycle duration"));
    check("节拍", None, Ok("time.cycle duration"));
    check("rent", Some("CNY"), Ok("cost.other delta"));
    check("反向有功总电能", Some("kWh"), Err("what is reactive, apparent or given back is no use of energy"));
    check("a/total_act_ret", Some("Wh"), Err("what is reactive, apparent or given back is no use of energy"));
    check("gas", Some("kWh"), Err("the name and the unit say different things"));
    check("energy", Some("kW*h"), Err("the name and the unit say different things"));
    check("gasket", None, Err("nothing says what it measures"));
    check("D7", Some("kg"), Err("the unit alone does not say of what"));
    check("D7", None, Err("nothing says what it measures"));

    #[track_caller]
    fn check(name: &str, unit: Option<&str>, expected: Result<&str, &str>) {
        let sent = Sent { units: unit.map(str::to_owned).into_iter().collect(), ..Sent::default() };
        let guessed = Guessed::new(name, &sent, None);
        let kind = guessed.kind.map_or("", |(kind, _)| kind.as_str());
        let got = guessed.quantity.map(|(quantity, _)| format!("{quantity} {kind}"));
        assert_eq!(got.as_deref().map_err(|why| *why), expected, "{name} in {unit:?}");
    }
}

#[test]
fn the_course_of_the_readings_tells_the_kind_where_no_word_does() {
    let course = |n, n_rises, n_falls| Course { n, n_rises, n_falls };
    check("energy", course(50, 9, 0), "counter guessed from 50 of its readings, which never fall");
    check("energy", course(50, 9, 1), "delta guessed from 50 of its readings, which rise and fall");
    check("energy", course(9, 8, 0), "counter guessed from the quantity; 9 readings say nothing yet");
    check("energy", course(50, 0, 0), "counter guessed from the quantity; 50 readings say nothing yet");
    check("good", course(50, 9, 0), "counter guessed from 50 of its readings, which never fall");
    check("temperature", course(50, 9, 1), "gauge guessed from 50 of its readings, which rise and fall");
    check(
        "TotalEnergy",
        course(50, 9, 1),
        "counter guessed from the word `total` of the name, but its readings fall: check it",
    );
    check("power", course(50, 9, 0), "gauge guessed from the quantity");

    #[track_caller]
    fn check(name: &str, course: Course, expected: &str) {
        let (kind, from) = Guessed::new(name, &Sent { course, ..Sent::default() }, None).kind.unwrap();
        assert_eq!(format!("{} guessed from {from}", kind.as_str()), expected, "{name}");
    }
}

#[test]
fn a_fall_long_ago_is_seen_and_few_readings_over_a_long_time_count() {
    let plant = Plant::new();
    let mut journal = plant.store().journal().unwrap();
    let mut check = |name: &str, expected: &str, readings: &[(i64, i64)]| {
        let reading = |(hour, value): &(i64, i64)| {
            let at = UnixMillis(1_700_000_000_000 + hour * 3_600_000).0;
            format!(r#"{{"asset":"m","name":"{name}","at":{at},"value":{value},"unit":"kWh"}}"#)
        };
        let all: Vec<String> = readings.iter().map(reading).collect();
        send(&plant, &mut journal, &format!(r#"{{"readings":[{}]}}"#, all.join(",")));
        let id = plant.store().catalogue_of(&pilot_id()).last().unwrap().id;
        let Course { n, n_rises, n_falls } = Course::of(id, plant.store());
        assert_eq!(format!("{n} {n_rises} {n_falls}"), expected, "{name}");
    };
    let recent = (2_000..2_020).map(|hour| (hour, hour));
    check("reset", "22 20 1", &(0..2).map(|n| (n * 1_000, 5_000 + n)).chain(recent).collect::<Vec<_>>());
    check("monthly", "12 11 0", &(0..12).map(|n| (n * 700, n)).collect::<Vec<_>>());
    check("once", "1 0 0", &[(0, 1)]);
}

#[test]
fn a_mapping_proposes_for_readings_that_came_with_its_unit() {
    let proposal = Proposal {
        quantity: Some("energy.heat".to_owned()),
        kind: Some("counter".to_owned()),
        unit: Some("GJ".to_owned()),
        rollover: Some(1e6),
    };
    let of = |unit: &str| {
        let sent = Sent { units: vec![unit.to_owned()], ..Sent::default() };
        Guessed::new("P7", &sent, Some(proposal.clone())).lines(("a", "P7"), &sent)
    };
    assert_eq!(
        of("GJ")[3..],
        [
            "quantity = \"energy.heat\"  # guessed from the `[[metric]]` of a mapping",
            "kind = \"counter\"  # guessed from the `[[metric]]` of a mapping",
            "unit = \"GJ\"  # as sent",
            "rollover = 1000000.0  # guessed from the `[[metric]]` of a mapping",
        ]
    );
    assert_eq!(of("kWh")[3], "quantity = \"energy.electricity\"  # guessed from the unit `kWh`");
}

#[test]
fn of_several_that_count_the_same_of_an_asset_one_is_to_be_used() {
    let plant = Plant::new();
    let message = r#"{"asset":"m","name":"ENERGY/Today","value":1,"unit":"kWh"},{"asset":"m","name":"ENERGY/Total","value":1,"unit":"kWh"},
        {"asset":"press-01","name":"kWh","value":1}"#;
    normalize(&timed(message), &Identity::Anonymous, &plant.index);
    let lines = suggest(&pilot_id(), &plant.index);
    let used: Vec<&str> = lines.lines().filter(|line| line.starts_with("name")).collect();
    assert_eq!(used, ["name = \"ENERGY/Total\""], "{lines}");
    assert_eq!(lines.matches("# not yet: another series of this asset counts the same").count(), 2, "{lines}");
}

#[test]
fn suggested_lines_are_a_registry_that_takes_the_readings() {
    let plant = Plant::new();
    let message = timed(
        r#"{"asset":"oven \"2\"","name":"电 kWh","value":1,"unit":"MWh"},{"asset":"oven","name":"gas","value":1,"unit":"m3"},
           {"asset":"oven","name":"temperature","value":180,"unit":"K°"},{"asset":"line-b","name":"defects","product":"A12","value":1},
           {"asset":"line-b","name":"takt","value":12,"unit":"s"},{"asset":"office","name":"rent","value":12,"unit":"CNY"},
           {"asset":"office\\7","name":"x","value":12},{"asset":"a","name":"energy","quality":"bad"}"#,
    );
    normalize(&message, &Identity::Anonymous, &plant.index);
    let lines = suggest(&pilot_id(), &plant.index);
    let next = plant.under(&format!("{PLANT}{lines}"));
    let Outcome::Accepted(accepted) = normalize(&message, &Identity::Anonymous, &next) else { panic!("rejected") };
    let left: Vec<&str> = accepted.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(left, ["unknown_series"], "all but the one that nothing says anything about");

    // That one is registered by taking the comment signs away and filling in what is asked for.
    let lines = suggest(&pilot_id(), &next);
    assert!(lines.contains("# not yet: nothing says what it measures"), "{lines}");
    let filled = lines
        .lines()
        .filter(|line| !line.contains("not yet") && !line.contains("p-1.toml"))
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .map(|line| match line.split_once(" = \"\"") {
            Some(("quantity", _)) => "quantity = \"variable.x\"",
            Some(("kind", _)) => "kind = \"gauge\"",
            Some(("unit", _)) => "unit = \"1\"",
            Some(_) | None => line,
        });
    let filled: String = filled.flat_map(|line| [line, "\n"]).collect();
    let pilot = parse_pilot("p-1.toml", &format!("{HEAD}{filled}")).unwrap();
    assert_eq!((&*pilot.series[0].asset, &*pilot.series[0].name), ("office\\7", "x"));
}

#[test]
fn what_is_ignored_or_declared_is_not_suggested() {
    let plant = Plant::new();
    normalize(&timed(r#"{"asset":"line-q","name":"debug7","value":1}"#), &Identity::Anonymous, &plant.index);
    let message = timed(r#"{"asset":"line-q","name":"energy","value":1}"#);
    normalize(&message, &Identity::Anonymous, &plant.index);
    assert_eq!(suggest(&pilot_id(), &plant.index).matches("[[series]]").count(), 1);
    let ignoring = plant.under(&format!("{PLANT}[[ignore]]\nasset = \"line-q\"\nname = \"*\"\n"));
    assert_eq!(suggest(&pilot_id(), &ignoring), "");
}

#[test]
fn the_end_of_a_name_is_the_unit_of_what_takes_it() {
    let unit = |name: &str| {
        let guessed = Guessed::new(name, &Sent::default(), None);
        guessed.unit.map(|(unit, _)| unit.symbol().to_owned())
    };
    assert_eq!(unit("CycleTime_ms").as_deref(), Some("ms"));
    assert_eq!(unit("cycle_min").as_deref(), Some("min"));
    assert_eq!(unit("power_W").as_deref(), Some("W"));
    assert_eq!(unit("coal_t").as_deref(), Some("t"));
    assert_eq!((unit("power_min"), unit("good_t"), unit("t")), (None, None, None));
}
