//! What clients in the field do against the standard: the value is kept, the deviation counted.

use super::*;

#[test]
fn metrics_without_a_time_take_that_of_their_payload_else_none() {
    let plant = Plant::new();
    plant.born();
    let timeless = Metric { timestamp: None, ..by_alias(1, 2.0) };
    assert_eq!(plant.send(NDATA, &payload(T0 + 3, 2, vec![timeless.clone()])), [value("g/e", "Total", T0 + 3, 2.0)]);
    let none = Payload { timestamp: None, ..payload(0, 3, vec![timeless]) };
    let expected: Row = Ok(("g/e".to_owned(), "Total".to_owned(), None, Value::from_f64(2.0)));
    assert_eq!(plant.send(NDATA, &none), [expected]);
    assert_eq!(plant.count(Deviation::MetricWithoutTime), 2);
}

#[test]
fn deaths_without_a_time_are_stamped_by_our_clock() {
    let mut plant = Plant::new();
    plant.born();
    plant.now += 50;
    plant.send(DDEATH, &Payload { timestamp: None, ..payload(0, 2, Vec::new()) });
    let device = &plant.node().devices[0];
    assert_eq!((device.state, device.clock, device.since.0), (DeviceState::Offline, Clock::Ours, plant.now));
    plant.send(NDEATH, &Payload { timestamp: None, ..ndeath(0, 0) });
    assert_eq!((plant.node().state, plant.node().since), (NodeState::Offline, Some(UnixMillis(plant.now))));
    assert_eq!(plant.count(Deviation::DeathWithoutTime), 2);
}

#[test]
fn bdseq_may_be_of_any_integer_type_and_size() {
    for (datatype, wire, read) in [
        (Some(4), Wire::Long(0), 0),
        (Some(8), Wire::Long(3), 3),
        (Some(3), Wire::Int(9), 9),
        (None, Wire::Long(300), 300),
        (None, Wire::Long(u64::MAX), u64::MAX),
        (Some(10), Wire::Double(4.0), 4),
    ] {
        let plant = Plant::new();
        let metric = Metric { datatype, ..named("bdSeq", 4, wire) };
        plant.send(NBIRTH, &payload(T0, 0, vec![metric.clone()]));
        assert_eq!(plant.node().bd_seq, Some(read));
        assert_eq!(plant.count(Deviation::BdSeqType), u64::from(datatype != Some(4)));
        plant.send(NDEATH, &Payload { metrics: vec![metric], ..Payload::default() });
        assert_eq!(plant.node().state, NodeState::Offline);
    }
}

#[test]
fn a_constant_bdseq_lets_a_late_death_match_and_data_in_order_is_kept() {
    let mut plant = Plant::new();
    plant.born();
    plant.send(NDEATH, &ndeath(T0, 0));
    assert_eq!(plant.send(DDATA, &ddata(T0 + 9, 2)), [value("g/e/d", "Count", T0 + 7, 2.0)]);
    assert_eq!(plant.pass(2_000).commands.len(), 1);
    assert_eq!(plant.count(Deviation::DataAfterDeath), 1);
    plant.send(NBIRTH, &nbirth(T0 + 20, 0, 0));
    assert_eq!(plant.node().state, NodeState::Online);
}

#[test]
fn data_that_leaps_after_a_death_may_be_of_a_birth_that_was_not_heard() {
    let plant = Plant::new();
    plant.born();
    plant.send(NDEATH, &ndeath(T0, 0));
    assert_eq!(plant.send(DDATA, &ddata(T0 + 9, 7)), [Err(Reason::UnknownAlias)]);
}

#[test]
fn a_death_of_another_connection_is_a_question_not_an_end() {
    let mut plant = Plant::new();
    plant.born();
    plant.send(NDEATH, &ndeath(T0, 9));
    plant.send(NDEATH, &ndeath(T0, 9));
    assert_eq!(plant.node().state, NodeState::Online);
    assert_eq!(plant.count(Deviation::BdSeqMismatch), 2);
    assert_eq!(plant.pass(5_000).commands.len(), 1, "one request");
    plant.send(DDATA, &ddata(T0, 2));
    plant.pass(60_000);
    assert_eq!(plant.node().state, NodeState::Online, "it answered with data");
    plant.send(NDEATH, &ndeath(T0, 9));
    plant.pass(9_900);
    assert_eq!(plant.node().state, NodeState::Online);
    plant.pass(200);
    let node = plant.node();
    assert_eq!((node.state, node.devices[0].state), (NodeState::Silent, DeviceState::Offline));
}

#[test]
fn classes_in_front_of_names_are_stripped_in_births_and_data_alike() {
    let text = "[[sparkplug]]\nnodes = [\"g/*\"]\nstrip = '^(DATA|ATTR)/'\n";
    let mappings = Mappings::load(vec![("m.toml".to_owned(), text.to_owned())]).unwrap();
    let plant = Plant { mappings, ..Plant::new() };
    let birth = payload(T0, 0, vec![bd_seq(0), named("DATA/Total", DOUBLE, Wire::Double(1.0))]);
    assert_eq!(plant.send(NBIRTH, &birth), [value("g/e", "Total", T0, 1.0)]);
    let data = Metric { datatype: None, ..named("Total", DOUBLE, Wire::Long(2)) };
    assert_eq!(plant.send(NDATA, &payload(T0, 1, vec![data])), [value("g/e", "Total", T0, 2.0)]);
    assert_eq!(plant.count(Deviation::UnlistedMetric), 0);
}

#[test]
fn a_metric_that_describes_itself_needs_no_birth() {
    let mut plant = Plant::new();
    plant.born();
    let new = named("New", 3, Wire::Int(u32::MAX));
    assert_eq!(plant.send(NDATA, &payload(T0, 2, vec![new])), [value("g/e", "New", T0, -1.0)]);
    assert_eq!(plant.count(Deviation::UnlistedMetric), 1);
    assert_eq!(plant.pass(10_000), Due::default());
}

#[test]
fn on_conflict_with_the_birth_the_message_wins_for_its_own_value() {
    let plant = Plant::new();
    plant.born();
    let other = aliased(named("Count", 3, Wire::Int(u32::MAX)), 2);
    assert_eq!(plant.send(DDATA, &payload(T0, 2, vec![other])), [value("g/e/d", "Count", T0, -1.0)]);
    assert_eq!(plant.count(Deviation::DiffersFromBirth), 1);
    assert_eq!(plant.send(DDATA, &ddata(T0, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)]);
}

#[test]
fn aliases_are_any_64_bits() {
    let plant = Plant::new();
    let aliases = [0, 1 << 63, u64::MAX, 9_007_199_254_740_993];
    let metrics = aliases.iter().map(|alias| aliased(named(&format!("m{alias}"), DOUBLE, Wire::Double(0.0)), *alias));
    plant.send(NBIRTH, &payload(T0, 0, metrics.collect()));
    for (seq, alias) in (1..).zip(aliases) {
        let name = format!("m{alias}");
        assert_eq!(
            plant.send(NDATA, &payload(T0, seq, vec![by_alias(alias, 1.0)])),
            [value("g/e", &name, T0 + 7, 1.0)]
        );
    }
}

#[test]
fn data_and_deaths_without_seq_are_applied_and_expect_nothing_else() {
    let mut plant = Plant::new();
    plant.born();
    let without = |payload: Payload| Payload { seq: None, ..payload };
    assert_eq!(plant.send(DDATA, &without(ddata(T0, 2))), [value("g/e/d", "Count", T0 + 7, 2.0)]);
    plant.send(DDATA, &ddata(T0, 2));
    plant.send(DDEATH, &without(payload(T0, 0, Vec::new())));
    assert_eq!(plant.node().devices[0].state, DeviceState::Offline);
    assert_eq!(plant.pass(10_000), Due::default());
    assert_eq!(plant.count(Deviation::NoSeq), 2);
}

#[test]
fn what_else_stands_in_a_death_is_ignored() {
    let plant = Plant::new();
    plant.born();
    let extra = named("x", DOUBLE, Wire::Double(1.0));
    assert_eq!(plant.send(DDEATH, &payload(T0, 2, vec![bd_seq(0)])), []);
    assert_eq!(plant.send(NDEATH, &Payload { metrics: vec![bd_seq(0), extra], ..Payload::default() }), []);
    assert_eq!((plant.node().state, plant.count(Deviation::ExtraInDeath)), (NodeState::Offline, 2));
}

#[test]
fn a_device_of_a_node_without_birth_is_heard_as_far_as_it_describes_itself() {
    let mut plant = Plant::new();
    let described = named("Power", DOUBLE, Wire::Double(2.0));
    assert_eq!(plant.send(DDATA, &payload(T0, 40, vec![described])), [value("g/e/d", "Power", T0, 2.0)]);
    let untyped = Metric { datatype: None, ..named("Energy", DOUBLE, Wire::Double(3.0)) };
    assert_eq!(plant.send(DDATA, &payload(T0, 41, vec![untyped])), [value("g/e/d", "Energy", T0, 3.0)]);
    assert_eq!(plant.send(DBIRTH, &dbirth(T0, 42)), [value("g/e/d", "Count", T0, 7.0)]);
    assert_eq!(plant.send(DDATA, &ddata(T0, 43)), [value("g/e/d", "Count", T0 + 7, 43.0)]);
    assert_eq!(plant.pass(2_000).commands.len(), 1);
    assert_eq!((plant.node().state, plant.count(Deviation::BeforeBirth)), (NodeState::Unknown, 4));
}

#[test]
fn a_birth_without_the_control_metric_is_asked_all_the_same() {
    let mut plant = Plant::new();
    plant.send(NBIRTH, &payload(T0, 0, vec![bd_seq(0)]));
    plant.send(NDATA, &payload(T0, 1, vec![by_alias(5, 1.0)]));
    assert_eq!(plant.pass(2_000).commands.len(), 1);
    assert_eq!(plant.count(Deviation::NoRebirthControl), 1);
}

#[test]
fn the_same_seq_again_is_counted_and_is_no_gap() {
    let mut plant = Plant::new();
    plant.born();
    for seq in [2, 2, 2, 3] {
        plant.send(DDATA, &ddata(T0, seq));
    }
    assert_eq!(plant.pass(10_000), Due::default());
    assert_eq!((plant.node().n_gaps, plant.count(Deviation::SeqRepeated)), (0, 2));
}

#[test]
fn an_alias_that_two_devices_claim_names_each_ones_own_and_one_claimed_twice_names_none() {
    let mut plant = Plant::new();
    plant.born();
    let other = payload(T0, 2, vec![aliased(named("Scrap", 8, Wire::Long(0)), 2)]);
    plant.send("spBv1.0/g/DBIRTH/e/f", &other);
    assert_eq!(plant.send(DDATA, &ddata(T0, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)]);
    assert_eq!(plant.send("spBv1.0/g/DDATA/e/f", &ddata(T0, 4)), [value("g/e/f", "Scrap", T0 + 7, 4.0)]);
    assert_eq!(plant.pass(2_000).commands.len(), 1);
    let twice = |name| aliased(named(name, 8, Wire::Long(0)), 5);
    plant.send("spBv1.0/g/DBIRTH/e/h", &payload(T0, 5, vec![twice("a"), twice("b")]));
    let sent = plant.send("spBv1.0/g/DDATA/e/h", &payload(T0, 6, vec![by_alias(5, 1.0)]));
    assert_eq!((sent, plant.count(Deviation::AliasTwice)), (vec![Err(Reason::UnknownAlias)], 2));
}

#[test]
fn an_alias_of_the_node_in_a_device_message_is_the_nodes() {
    let plant = Plant::new();
    plant.born();
    assert_eq!(plant.send(DDATA, &payload(T0, 2, vec![by_alias(1, 5.0)])), [value("g/e", "Total", T0 + 7, 5.0)]);
    assert_eq!(plant.send(NDATA, &payload(T0, 3, vec![by_alias(2, 5.0)])), [value("g/e/d", "Count", T0 + 7, 5.0)]);
    assert_eq!(plant.count(Deviation::AliasOfAnother), 2);
}

#[test]
fn a_node_that_never_answers_is_asked_ever_more_seldom() {
    let mut plant = Plant::new();
    let mut asked = Vec::new();
    for second in 0..3_600 {
        plant.send(DDATA, &ddata(T0, second % 256));
        asked.extend(plant.pass(1_000).commands.iter().map(|_| plant.now));
    }
    assert!(asked.len() <= 11, "{} requests in an hour", asked.len());
    let apart: Vec<i64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.iter().all(|apart| *apart >= 5_000), "{apart:?}");
    assert!(apart.windows(2).skip(1).all(|pair| pair[1] > pair[0]), "{apart:?}");
}

#[test]
fn a_reason_that_is_switched_off_asks_for_nothing() {
    let no_rebirth_for = vec![RebirthReason::BeforeBirth, RebirthReason::UnknownAlias];
    let mut plant = Plant::with(Settings { no_rebirth_for, ..Settings::default() });
    plant.send(DDATA, &ddata(T0, 2));
    assert_eq!(plant.pass(10_000).commands, []);
}
