//! Every reason with its sentence, every rule on time, unit, product and registration, and the accounting of the parts.

use model::reason::RefusedPart;
use model::{Flags, GatewayId, Quality, Value};
use proptest::prelude::*;

use super::fixture::{PLANT, Plant, RECEIVED_AT, observed, pilot_id, timed};
use super::*;
use crate::index::{BY_PRODUCT_MAX, UNREGISTERED_MAX};

fn outcome(plant: &Plant, observation: &Observation) -> Outcome {
    normalize(observation, &Identity::Anonymous, &plant.index)
}

#[track_caller]
fn accepted(plant: &Plant, observation: &Observation) -> Accepted {
    match outcome(plant, observation) {
        Outcome::Accepted(accepted) => accepted,
        Outcome::Rejected(rejected) => panic!("rejected: {:?}", rejected.refusals),
    }
}

#[track_caller]
fn rejected(plant: &Plant, observation: &Observation) -> String {
    match outcome(plant, observation) {
        Outcome::Accepted(accepted) => panic!("accepted: {accepted:?}"),
        Outcome::Rejected(rejected) => first(&rejected.refusals),
    }
}

fn first(refusals: &[Refusal]) -> String {
    format!("{}: {}", refusals[0].reason.as_str(), refusals[0].detail)
}

/// The only reading of a message that is timed.
#[track_caller]
fn read(plant: &Plant, reading: &str) -> Reading {
    let mut accepted = accepted(plant, &timed(reading));
    assert_eq!(accepted.refusals, [], "{reading}");
    accepted.readings.pop().unwrap().1
}

const POWER: &str = r#"{"asset":"press-01","name":"power","value":17.2}"#;

#[test]
fn a_topic_names_a_pilot_of_the_registry() {
    let plant = Plant::new();
    let on = |topic: &str| rejected(&plant, &Observation { topic: topic.to_owned(), ..timed(POWER) });
    insta::assert_snapshot!(on("spBv1.0/a/DDATA/b"), @"bad_topic: topic `spBv1.0/a/DDATA/b` is neither `pilotline/v1/<pilot>/<gateway>` nor bound to a pilot; bind it in a pilot's file: [pilot] topics = [\"spBv1.0/a/DDATA/b\"]");
    insta::assert_snapshot!(on("pilotline/v1/p-1"), @"bad_topic: topic `pilotline/v1/p-1` is not `pilotline/v1/<pilot>/<gateway>`");
    insta::assert_snapshot!(on("pilotline/v1/p-1/gw/more"), @"bad_topic: topic `pilotline/v1/p-1/gw/more` is not `pilotline/v1/<pilot>/<gateway>`");
    insta::assert_snapshot!(on("pilotline/v1/p-1/a b"), @"bad_topic: topic `pilotline/v1/p-1/a b`: gateway id `a b` has ` ` at byte 1; allowed: A-Z, a-z, 0-9, `.`, `_` and `-`, the first not `-`");
    insta::assert_snapshot!(on("pilotline/v1/P/gw"), @"bad_topic: topic `pilotline/v1/P/gw`: pilot id `P` has `P` at byte 0; allowed: a-z, 0-9 and `-`, the first not `-`");
    insta::assert_snapshot!(on("pilotline/v1/p-2/gw"), @"unknown_pilot: pilot `p-2` is not in the registry; add `p-2.toml` to the pilots' directory");
}

#[test]
fn a_login_speaks_for_its_own_pilot_and_gateway_only() {
    let plant = Plant::new();
    let login = |gateway: Option<&str>| Identity::Login {
        name: "press-gw".to_owned(),
        pilot: pilot_id(),
        gateway: gateway.map(|id| GatewayId::parse(id).unwrap()),
    };
    let on = |topic: &str, identity: &Identity| {
        let observation = Observation { topic: topic.to_owned(), ..timed(POWER) };
        match normalize(&observation, identity, &plant.index) {
            Outcome::Accepted(_) => "accepted".to_owned(),
            Outcome::Rejected(rejected) => first(&rejected.refusals),
        }
    };
    assert_eq!(on("pilotline/v1/p-1/gw", &login(None)), "accepted");
    assert_eq!(on("pilotline/v1/p-1/gw", &login(Some("gw"))), "accepted");
    insta::assert_snapshot!(on("pilotline/v1/p-1/other", &login(Some("gw"))), @"not_authorized: login `press-gw` may publish on `pilotline/v1/p-1/gw` only, not on `pilotline/v1/p-1/other`");
    insta::assert_snapshot!(on("pilotline/v1/p-2/gw", &login(None)), @"not_authorized: login `press-gw` may publish on `pilotline/v1/p-1/<gateway>` only, not on `pilotline/v1/p-2/gw`");
    insta::assert_snapshot!(on("a/b", &login(None)), @"not_authorized: login `press-gw` may publish on `pilotline/v1/p-1/<gateway>` and on what a mapping takes, not on `a/b`");
    insta::assert_snapshot!(on("pilotline/v1/p-1/a b", &login(None)), @"bad_topic: topic `pilotline/v1/p-1/a b`: gateway id `a b` has ` ` at byte 1; allowed: A-Z, a-z, 0-9, `.`, `_` and `-`, the first not `-`");
}

#[test]
fn a_reading_goes_to_its_series_in_the_declared_unit() {
    let plant = Plant::new();
    let of = |reading: &str| read(&plant, reading).value.unwrap();
    let kwh = |value: &str, unit: &str| {
        of(&format!(r#"{{"asset":"press-01","name":"electricity","value":{value},"unit":"{unit}"}}"#))
    };
    assert_eq!(kwh("182736.4", "kWh"), Value::Float(182_736.4));
    assert_eq!(kwh("1.5", "MWh"), Value::Int(1_500));
    assert_eq!(kwh("250", "Wh"), Value::Float(0.25));
    assert_eq!(kwh("7", "度"), Value::Int(7));
    assert_eq!(of(r#"{"asset":"press-01","name":"electricity","value":7}"#), Value::Int(7));
    assert_eq!(of(r#"{"asset":"line-a","name":"speed","value":7,"unit":"rpm"}"#), Value::Int(7));
    assert_eq!(of(r#"{"asset":"line-a","name":"good","value":3,"unit":"件"}"#), Value::Int(3));
}

#[test]
fn an_integer_in_the_declared_unit_stays_exact() {
    let plant = Plant::of(
        "[[series]]\nasset = \"a\"\nname = \"n\"\nquantity = \"energy.electricity\"\nkind = \"counter\"\nunit = \"kWh\"\n",
    );
    let reading = read(&plant, r#"{"asset":"a","name":"n","value":18446744073709551615,"unit":"kWh"}"#);
    assert_eq!(reading.value, Some(Value::UInt(u64::MAX)));
}

#[test]
fn every_refused_reading_is_told_what_would_be_right() {
    let plant = Plant::new();
    let refused = |reading: &str| rejected(&plant, &timed(reading));
    insta::assert_snapshot!(refused(r#"{"asset":"a+b","name":"n","value":1}"#), @"bad_field: asset `a+b`, name `n`: `asset` has `+` at byte 1; control characters, `+` and `#` are not allowed");
    insta::assert_snapshot!(refused(r#"{"asset":"a","name":"","value":1}"#), @"bad_field: asset `a`, name ``: `name` is empty; it needs 1 to 256 bytes");
    insta::assert_snapshot!(refused(r#"{"asset":"a\u0000","name":"n","value":1}"#), @r"bad_field: asset `a\u{0}`, name `n`: `asset` has `\u{0}` at byte 1; control characters, `+` and `#` are not allowed");
    insta::assert_snapshot!(refused(r#"{"asset":"line-a","name":"good","product":"C1","value":1}"#), @"unknown_product: asset `line-a`, name `good`: product `C1` is not in the registry; it lists A12, B7");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"power","value":1,"id":"x"}"#), @"bad_field: asset `press-01`, name `power`: `id` is `x`; a gauge has none, only deltas and durations do");
    insta::assert_snapshot!(refused(r#"{"asset":"line-a","name":"good","value":1,"id":"x#"}"#), @"bad_field: asset `line-a`, name `good`: `id` has `#` at byte 1; control characters, `+` and `#` are not allowed");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"power","value":1,"unit":"kWh"}"#), @"wrong_unit: asset `press-01`, name `power`: unit `kWh` measures energy, but the series is declared in kW (power)");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"power","value":1,"unit":"horse"}"#), @"wrong_unit: asset `press-01`, name `power`: unit `horse` is not known; the series is declared in kW");
    insta::assert_snapshot!(refused(r#"{"asset":"line-a","name":"speed","value":1,"unit":"rps"}"#), @"wrong_unit: asset `line-a`, name `speed`: unit `rps` is not known; the series is declared in rpm");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"electricity","value":1e300,"unit":"GWh"}"#), @"implausible: asset `press-01`, name `electricity`: 1e306 kWh is implausible; the registry says 0.0 to 1000000000.0 kWh");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"electricity","value":-1}"#), @"implausible: asset `press-01`, name `electricity`: -1 kWh is implausible; the registry says 0.0 to 1000000000.0 kWh");
    insta::assert_snapshot!(refused(r#"{"asset":"line-a","name":"good","value":-1}"#), @"implausible: asset `line-a`, name `good`: -1 piece is implausible; pieces are never negative");
    insta::assert_snapshot!(refused(r#"{"asset":"line-a","name":"cycle","value":0}"#), @"implausible: asset `line-a`, name `cycle`: 0 s is implausible; a duration is greater than 0");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"power","value":1,"at":"1970-01-01T00:00:00Z"}"#), @"time_out_of_window: asset `press-01`, name `power`: `at` is 1970-01-01T00:00:00.000Z; instants from 2014-12-31T16:00:00.000Z to 2025-03-01T00:20:00.000Z (receipt + 10 min) are taken");
    insta::assert_snapshot!(refused(r#"{"asset":"press-01","name":"power","value":1,"at":99999999999999999999}"#), @"time_out_of_window: asset `press-01`, name `power`: `at` is 9223372036854775807 ms; instants from 2014-12-31T16:00:00.000Z to 2025-03-01T00:20:00.000Z (receipt + 10 min) are taken");
}

#[test]
fn a_conversion_that_overflows_is_not_finite() {
    let plant = Plant::of(
        "[[series]]\nasset = \"a\"\nname = \"n\"\nquantity = \"energy.heat\"\nkind = \"counter\"\nunit = \"J\"\n",
    );
    insta::assert_snapshot!(rejected(&plant, &timed(r#"{"asset":"a","name":"n","value":1e305,"unit":"TJ"}"#)), @"not_finite: asset `a`, name `n`: 1e305 TJ is no finite number of J; send it in J");
}

#[test]
fn the_time_of_receipt_stands_in_for_counters_and_gauges_only() {
    let plant = Plant::new();
    let untimed = |reading: &str| observed(format!(r#"{{"readings":[{reading}]}}"#));
    let taken = accepted(&plant, &untimed(POWER));
    assert_eq!((taken.readings[0].1.at, taken.readings[0].1.flags), (RECEIVED_AT, Flags::RECEIVED_TIME));
    assert!(!taken.is_timed);
    let qos0 = accepted(&plant, &Observation { qos: 0, ..untimed(POWER) });
    assert_eq!(qos0.readings[0].1.flags.words(), ["received_time", "qos0"]);

    let refused = |observation: &Observation| rejected(&plant, observation);
    insta::assert_snapshot!(refused(&Observation { retained: true, ..untimed(POWER) }), @"no_time: asset `press-01`, name `power`: no `at`, and a retained message may be of any age; send `at`");
    insta::assert_snapshot!(refused(&untimed(r#"{"asset":"line-a","name":"good","value":1}"#)), @"no_time: asset `line-a`, name `good`: no `at`; a delta needs one, here or on the message");
    insta::assert_snapshot!(refused(&untimed(r#"{"asset":"line-a","name":"cycle","value":1}"#)), @"no_time: asset `line-a`, name `cycle`: no `at`; a duration needs one, here or on the message");
    insta::assert_snapshot!(refused(&untimed(r#"{"asset":"new","name":"n","value":1}"#)), @"no_time: asset `new`, name `n`: no `at`, which a series that is not registered needs; send one, or register the series as counter or gauge, for which the time of receipt stands in, and run `pilotline rejected --replay`");
    insta::assert_snapshot!(refused(&observed(r#"{"orders":[{"order":"WO-1","event":"started"}]}"#)), @"no_time: order `WO-1`: no `at`; an order event needs one, here or on the message");
}

#[test]
fn the_own_time_goes_before_the_message_s_and_the_window_includes_its_ends() {
    let plant = Plant::new();
    let at = |at: &str| read(&plant, &format!(r#"{{"asset":"press-01","name":"power","value":1,"at":{at}}}"#)).at;
    assert_eq!(read(&plant, POWER).at, UnixMillis(1_740_787_200_000));
    assert_eq!(at("1740787201500"), UnixMillis(1_740_787_201_500));
    assert_eq!(at("1740788400000"), RECEIVED_AT.plus(600_000));
    assert_eq!(at("\"2015-01-01T00:00:00+08:00\"").to_string(), "2014-12-31T16:00:00.000Z");
    assert!(
        rejected(&plant, &timed(r#"{"asset":"press-01","name":"power","value":1,"at":1740788400001}"#))
            .starts_with("time_out")
    );
}

#[test]
fn a_message_with_one_bad_reading_commits_the_good_ones() {
    let plant = Plant::new();
    let message = accepted(
        &plant,
        &observed(
            r#"{"boot":7,"seq":9,"at":1740787200000,"readings":[
                {"asset":"press-01","name":"power","value":17.2},
                {"asset":"press-01","name":"power","value":"x"},
                {"asset":"press-01","name":"electricity","value":null,"quality":"bad"}],
              "orders":[{"order":"WO-1","event":"completed","good":-1},{"order":"WO-1","event":"completed","good":197}]}"#,
        ),
    );
    let refused: Vec<(Reason, RefusedPart)> = message.refusals.iter().map(|one| (one.reason, one.part)).collect();
    assert_eq!(refused, [(Reason::BadField, RefusedPart::Reading(1)), (Reason::Implausible, RefusedPart::Order(0))]);
    assert_eq!((message.readings.len(), message.orders.len()), (2, 1));
    assert_eq!((message.readings[1].1.quality, message.readings[1].1.value), (Quality::Bad, None));
    let sequence = message.sequence.unwrap();
    assert_eq!((sequence.gateway.as_str(), sequence.boot, sequence.seq), ("gw", 7, 9));
    assert!(message.is_timed);
}

#[test]
fn a_message_of_refused_readings_only_is_rejected_under_the_first() {
    let plant = Plant::new();
    let Outcome::Rejected(rejected) = outcome(&plant, &observed(r#"{"boot":1,"seq":2,"readings":[7,{"asset":"a"}]}"#))
    else {
        panic!("accepted");
    };
    assert_eq!(rejected.refusals.len(), 2);
    assert_eq!(rejected.pilot, Some(pilot_id()));
    assert_eq!(rejected.sequence.map(|sequence| sequence.seq), Some(2));
}

#[test]
fn a_reading_goes_to_the_series_of_its_product_else_to_the_one_without() {
    let plant = Plant::new();
    let series = |reading: &str| {
        let accepted = accepted(&plant, &timed(reading));
        let key = plant.key_of(accepted.readings[0].0);
        (key.product.map(|product| product.to_string()), accepted.refusals.len())
    };
    let product = |product: &str| (Some(product.to_owned()), 0);
    assert_eq!(series(r#"{"asset":"line-a","name":"good","value":1}"#), (None, 0));
    assert_eq!(series(r#"{"asset":"line-a","name":"good","product":"B7","value":1}"#), product("B7"));
    assert_eq!(series(r#"{"asset":"line-a","name":"defective","product":"A12","value":1}"#), product("A12"));
    // Lent: it is the only series of that asset and name.
    assert_eq!(series(r#"{"asset":"line-a","name":"defective","value":1}"#), product("A12"));
    // Neither declared with B7 nor without a product.
    assert_eq!(series(r#"{"asset":"line-a","name":"defective","product":"B7","value":1}"#), (Some("B7".to_owned()), 1));
}

#[test]
fn resolution_agrees_with_the_registry_s_own() {
    let plant = Plant::new();
    let pilot = plant.index.registry().pilots[&pilot_id()].clone();
    let known = plant.index.pilot("p-1").unwrap();
    for (asset, name) in [("line-a", "good"), ("line-a", "defective"), ("press-01", "power"), ("press-01", "none")] {
        for product in [None, Some("A12"), Some("B7")] {
            let expected = pilot.resolve(asset, name, product).map(|series| (&series.name, &series.product));
            let found = known.slot(asset, name).and_then(|slot| known.resolve(slot, product));
            assert_eq!(
                found.map(|target| (&target.series.name, &target.series.product)),
                expected,
                "{name} {product:?}"
            );
        }
    }
}

#[test]
fn a_series_that_nobody_registered_is_kept_as_sent_and_counted_as_refused() {
    let plant = Plant::new();
    let message = accepted(&plant, &timed(r#"{"asset":"oven","name":"heat","value":-5,"unit":"furlong","id":"x"}"#));
    insta::assert_snapshot!(first(&message.refusals), @"unknown_series: asset `oven`, name `heat`: no such series in `p-1.toml`; kept as sent until it is registered (`pilotline rejected --suggest` prints the lines)");
    let (series, reading) = &message.readings[0];
    let entry = plant.store().entry(*series).unwrap();
    assert_eq!(entry.registration, store::Registration::Unregistered { unit: Some("furlong".into()) });
    assert_eq!((reading.value, reading.id.as_deref()), (Some(Value::Int(-5)), Some("x")));
}

#[test]
fn an_ignored_reading_is_dropped_and_counted() {
    let plant = Plant::new();
    let ignored = r#"{"asset":"line-7","name":"debug/x","value":1}"#;
    let alone = accepted(&plant, &timed(ignored));
    assert_eq!((alone.ignored, alone.readings.len(), alone.refusals.len()), (1, 0, 0));
    let beside = accepted(&plant, &timed(&format!("{ignored},{POWER}")));
    assert_eq!((beside.ignored, beside.readings.len()), (1, 1));
    assert!(rejected(&plant, &timed(&format!("{ignored},7"))).starts_with("bad_field"));
}

#[test]
fn a_gateway_cannot_make_series_without_end() {
    let plant = Plant::of(
        "[[series]]\nasset = \"a\"\nname = \"n\"\nquantity = \"output.good\"\nkind = \"delta\"\nunit = \"piece\"\n",
    );
    let fill = |make: &dyn Fn(usize) -> String, n: usize| {
        for chunk in (0..n).collect::<Vec<_>>().chunks(5_000) {
            accepted(&plant, &timed(&chunk.iter().map(|n| make(*n)).collect::<Vec<_>>().join(",")));
        }
    };
    let unregistered = |n: usize| format!(r#"{{"asset":"x{n}","name":"n","value":1}}"#);
    fill(&unregistered, UNREGISTERED_MAX);
    insta::assert_snapshot!(rejected(&plant, &timed(&unregistered(UNREGISTERED_MAX))), @"too_many_series: asset `x10000`, name `n`: the pilot has 10000 unregistered series already; register, ignore or rename them");
    assert_eq!(accepted(&plant, &timed(&unregistered(7))).readings.len(), 1);

    let by_product = |n: usize| format!(r#"{{"asset":"a","name":"n","product":"p{n}","value":1}}"#);
    fill(&by_product, BY_PRODUCT_MAX);
    insta::assert_snapshot!(rejected(&plant, &timed(&by_product(BY_PRODUCT_MAX))), @"too_many_series: asset `a`, name `n`: the pilot has 10000 registered series already; register, ignore or rename them");
    assert_eq!(accepted(&plant, &timed(&by_product(7))).refusals, []);
}

#[test]
fn an_order_event_is_checked_like_a_reading() {
    let plant = Plant::new();
    let refused = |order: &str| rejected(&plant, &observed(format!(r#"{{"at":1740787200000,"orders":[{order}]}}"#)));
    insta::assert_snapshot!(refused(r#"{"order":"","event":"started"}"#), @"bad_field: order ``: `order` is empty; it needs 1 to 256 bytes");
    insta::assert_snapshot!(refused(r#"{"order":"WO-1","event":"started","product":"C1"}"#), @"unknown_product: order `WO-1`: product `C1` is not in the registry; it lists A12, B7");
    insta::assert_snapshot!(refused(r#"{"order":"WO-1","event":"started","quantity":-5}"#), @"implausible: order `WO-1`: `quantity` is -5.0; pieces are never negative");
    let taken = accepted(
        &plant,
        &observed(r#"{"orders":[{"order":"WO-1","event":"started","at":1740787200000,"quantity":200}]}"#),
    );
    let (pilot, event) = &taken.orders[0];
    assert_eq!((pilot, &*event.order, event.quantity), (&pilot_id(), "WO-1", Some(200.0)));
    assert!(taken.is_timed);
}

#[test]
fn the_same_series_has_the_same_number_under_the_next_registry() {
    let plant = Plant::new();
    let before = accepted(&plant, &timed(POWER)).readings[0].0;
    let next = plant.under(PLANT);
    let Outcome::Accepted(after) = normalize(&timed(POWER), &Identity::Anonymous, &next) else { panic!("rejected") };
    assert_eq!(after.readings[0].0, before);
}

/// One reading or order event, right or wrong in some way.
fn part() -> impl Strategy<Value = (bool, String)> {
    let reading = prop::sample::select(vec![
        r#"{"asset":"press-01","name":"power","value":1}"#,
        r#"{"asset":"press-01","name":"power","value":1,"at":1740787200000}"#,
        r#"{"asset":"press-01","name":"electricity","value":-1}"#,
        r#"{"asset":"line-a","name":"good","value":1,"id":"7"}"#,
        r#"{"asset":"line-a","name":"good","product":"C","value":1}"#,
        r#"{"asset":"line-1","name":"debug","value":1}"#,
        r#"{"asset":"new","name":"n","value":1,"at":5}"#,
        r#"{"asset":"new","name":"n","value":1}"#,
        r#"{"asset":"a#","name":"n","value":1}"#,
        r#"{"asset":"line-a","name":"cycle","value":1,"zone":2}"#,
        "null",
    ]);
    let order = prop::sample::select(vec![
        r#"{"order":"o","event":"started"}"#,
        r#"{"order":"o","event":"begun"}"#,
        r#"{"order":"o","event":"completed","good":-1}"#,
    ]);
    prop_oneof![reading.prop_map(|text| (true, text.to_owned())), order.prop_map(|text| (false, text.to_owned()))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_part_is_accepted_ignored_or_refused(
        parts in prop::collection::vec(part(), 1..30),
        has_time in any::<bool>(),
        retained in any::<bool>(),
    ) {
        let plant = Plant::new();
        let of = |is_reading: bool| {
            let texts: Vec<&str> = parts.iter().filter(|part| part.0 == is_reading).map(|part| &*part.1).collect();
            texts.join(",")
        };
        let at = if has_time { r#""at":1740787200000,"# } else { "" };
        let payload = format!(r#"{{{at}"readings":[{}],"orders":[{}]}}"#, of(true), of(false));
        let n = match outcome(&plant, &Observation { retained, ..observed(payload) }) {
            Outcome::Accepted(accepted) => {
                let kept = accepted.refusals.iter().filter(|one| one.reason == Reason::UnknownSeries).count();
                accepted.readings.len() + accepted.orders.len() + accepted.ignored as usize + accepted.refusals.len() - kept
            }
            Outcome::Rejected(rejected) => {
                let ignored = parts.iter().filter(|part| part.1.contains("debug")).count();
                rejected.refusals.len() + ignored
            }
        };
        prop_assert_eq!(n, parts.len());
    }

    #[test]
    fn any_bytes_on_any_topic_have_one_outcome(payload in prop::collection::vec(any::<u8>(), 0..100), topic in ".{0,40}") {
        let plant = Plant::new();
        let observation = Observation { topic, ..observed(payload) };
        prop_assert!(matches!(outcome(&plant, &observation), Outcome::Rejected(_)));
    }
}
