//! The host as a whole: real captures, the traps, the tolerance list, the conformance ids, a storm, hostile input, and what aliases mean when.

mod captures;
mod conformance;
mod hostile;
mod storm;
mod tolerance;
mod traps;

use std::sync::Arc;

use bumpalo::Bump;
use model::{PilotId, Quality, Reason, UnixMillis, Value};
use prost::Message as _;

use super::payload::{MetaData, Metric, Payload, Property, PropertySet, PropertyValue, Wire};
use super::*;
use crate::decode::Undecodable;
use crate::mapping::Mappings;

/// When the tests begin, our clock.
const T0: i64 = 1_795_485_400_000;
const DOUBLE: u32 = 10;

/// A host, a clock of ours, and one door with one pilot.
struct Plant {
    host: Host,
    now: i64,
    door: Arc<str>,
    pilot: PilotId,
    mappings: Mappings,
}

/// What came out of one message: (asset, name, time, value), or the reason of a refusal.
type Row = Result<(String, String, Option<i64>, Option<Value>), Reason>;

impl Plant {
    fn new() -> Plant {
        Plant::with(Settings::default())
    }

    fn with(settings: Settings) -> Plant {
        let (host, pilot) = (Host::new(settings), PilotId::parse("p-1").unwrap());
        Plant { host, now: T0, door: "listener".into(), pilot, mappings: Mappings::default() }
    }

    fn received<'a>(&'a self, topic: &'a str, payload: &'a [u8]) -> Received<'a> {
        let (door, pilot, received_at) = (&self.door, &self.pilot, UnixMillis(self.now));
        Received { door, pilot, topic, payload, received_at, retained: false, mappings: &self.mappings }
    }

    /// A live message.
    fn send(&self, topic: &str, payload: &Payload) -> Vec<Row> {
        self.send_bytes(topic, &payload.encode_to_vec()).unwrap()
    }

    fn send_bytes(&self, topic: &str, payload: &[u8]) -> Result<Vec<Row>, Undecodable> {
        self.host.receive(self.received(topic, payload), &Bump::new()).map(|message| rows(&message))
    }

    fn send_retained(&self, topic: &str, payload: &Payload) -> Vec<Row> {
        let bytes = payload.encode_to_vec();
        let received = Received { retained: true, ..self.received(topic, &bytes) };
        rows(&self.host.receive(received, &Bump::new()).unwrap())
    }

    /// A kept message once more.
    fn again(&self, topic: &str, payload: &Payload) -> Vec<Row> {
        let bytes = payload.encode_to_vec();
        rows(&self.host.again(self.received(topic, &bytes), &Bump::new()).unwrap())
    }

    /// Lets time pass in steps of 100 ms, as the caller of `due` does.
    fn pass(&mut self, ms: i64) -> Due {
        let mut all = Due::default();
        for _ in 0..ms / 100 {
            self.now += 100;
            let due = self.host.due(UnixMillis(self.now));
            all.commands.extend(due.commands);
            all.losses.extend(due.losses);
        }
        all
    }

    fn node(&self) -> NodeStatus {
        let nodes = self.host.nodes();
        assert_eq!(nodes.len(), 1);
        nodes.into_iter().next().unwrap()
    }

    fn count(&self, deviation: Deviation) -> u64 {
        self.node().deviations.iter().find(|(found, _)| *found == deviation).map_or(0, |(_, n)| *n)
    }

    /// NBIRTH of `e` with bdSeq 0, alias 1 = `Total` in kWh; DBIRTH of `d` with alias 2 = `Count`.
    fn born(&self) {
        self.send(NBIRTH, &nbirth(self.now, 0, 0));
        self.send(DBIRTH, &dbirth(self.now, 1));
    }
}

const NBIRTH: &str = "spBv1.0/g/NBIRTH/e";
const NDATA: &str = "spBv1.0/g/NDATA/e";
const NDEATH: &str = "spBv1.0/g/NDEATH/e";
const DBIRTH: &str = "spBv1.0/g/DBIRTH/e/d";
const DDATA: &str = "spBv1.0/g/DDATA/e/d";
const DDEATH: &str = "spBv1.0/g/DDEATH/e/d";

fn rows(message: &crate::decode::Message<'_>) -> Vec<Row> {
    let rows = message.readings.iter().map(|reading| match reading {
        Ok(reading) => {
            let at = reading.at.map(|at| at.0);
            Ok((reading.asset.to_string(), reading.name.to_string(), at, reading.value))
        }
        Err(refused) => Err(refused.reason),
    });
    rows.collect()
}

fn ms(at: i64) -> Option<u64> {
    u64::try_from(at).ok()
}

fn payload(at: i64, seq: u64, metrics: Vec<Metric>) -> Payload {
    Payload { timestamp: ms(at), seq: Some(seq), metrics, ..Payload::default() }
}

/// The bytes of a payload of one metric of type Double.
pub(crate) fn one_double(at: i64, seq: u64, (name, alias, value): (Option<&str>, u64, f64)) -> Vec<u8> {
    let name = name.map(|name| name.as_bytes().to_vec());
    let (datatype, wire) = (Some(DOUBLE), Some(Wire::Double(value)));
    let metric = Metric { name, alias: Some(alias), datatype, wire, ..Metric::default() };
    payload(at, seq, vec![metric]).encode_to_vec()
}

fn named(name: &str, datatype: u32, wire: Wire) -> Metric {
    let name = Some(name.as_bytes().to_vec());
    Metric { name, datatype: Some(datatype), wire: Some(wire), timestamp: ms(T0), ..Metric::default() }
}

fn aliased(metric: Metric, alias: u64) -> Metric {
    Metric { alias: Some(alias), ..metric }
}

/// A value by alias alone.
fn by_alias(alias: u64, value: f64) -> Metric {
    Metric { alias: Some(alias), wire: Some(Wire::Double(value)), timestamp: ms(T0 + 7), ..Metric::default() }
}

fn bd_seq(bd_seq: u64) -> Metric {
    named("bdSeq", 4, Wire::Long(bd_seq))
}

fn with_unit(metric: Metric, unit: &str) -> Metric {
    let value = Some(Property::Text(unit.as_bytes().to_vec()));
    let values = vec![PropertyValue { is_null: None, value }];
    let properties = Some(Box::new(PropertySet { keys: vec![b"engUnit".to_vec()], values }));
    Metric { properties, ..metric }
}

fn nbirth(at: i64, seq: u64, bd: u64) -> Payload {
    let control = named("Node Control/Rebirth", 11, Wire::Bool(false));
    let total = aliased(with_unit(named("Total", DOUBLE, Wire::Double(1.5)), "kWh"), 1);
    payload(at, seq, vec![bd_seq(bd), control, total])
}

fn dbirth(at: i64, seq: u64) -> Payload {
    payload(at, seq, vec![aliased(named("Count", 8, Wire::Long(7)), 2)])
}

fn ndeath(at: i64, bd: u64) -> Payload {
    Payload { timestamp: ms(at), metrics: vec![bd_seq(bd)], ..Payload::default() }
}

fn ddata(at: i64, seq: u64) -> Payload {
    payload(at, seq, vec![Metric { wire: Some(Wire::Long(seq)), ..by_alias(2, 0.0) }])
}

fn value(asset: &str, name: &str, at: i64, value: f64) -> Row {
    Ok((asset.to_owned(), name.to_owned(), Some(at), Value::from_f64(value)))
}

#[test]
fn state_of_ourselves_is_json_on_its_topic() {
    let host = Host::new(Settings { host_id: "h".to_owned(), ..Settings::default() });
    assert_eq!(host.state_topic(), "spBv1.0/STATE/h");
    assert_eq!(host.birth_payload(UnixMillis(5)), br#"{"online":true,"timestamp":5}"#);
    assert_eq!(host.death_payload(UnixMillis(6)), br#"{"online":false,"timestamp":6}"#);
}

#[test]
fn state_and_commands_of_others_are_set_aside() {
    let plant = Plant::new();
    for topic in ["spBv1.0/STATE/scada", "spBv1.0/g/STATE/scada", "spBv1.0/g/NCMD/e", "spBv1.0/g/DCMD/e/d"] {
        assert_eq!(plant.send_bytes(topic, b"OFFLINE").unwrap(), [], "{topic}");
    }
    assert_eq!(plant.host.nodes(), []);
    assert_eq!(plant.send_bytes("spBv1.0/g/NDATA", b"").unwrap_err().reason, Reason::BadTopic);
}

#[test]
fn aliases_names_datatypes_and_units_come_from_the_births() {
    let plant = Plant::new();
    plant.born();
    assert_eq!(plant.send(NDATA, &payload(T0 + 9, 2, vec![by_alias(1, 2.5)])), [value("g/e", "Total", T0 + 7, 2.5)]);
    assert_eq!(plant.send(DDATA, &ddata(T0, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)]);
    let bytes = payload(T0, 4, vec![by_alias(1, 2.5)]).encode_to_vec();
    let arena = Bump::new();
    let message = plant.host.receive(plant.received(NDATA, &bytes), &arena).unwrap();
    assert_eq!(message.readings[0].as_ref().unwrap().unit_hint.as_deref(), Some("kWh"));
    assert_eq!(message.origin.source.as_deref(), Some("g/e"));
    assert_eq!(message.origin.rules, ["NDATA"]);
    assert!(!message.origin.carries_state);
}

#[test]
fn several_readings_of_one_metric_may_stand_in_one_payload() {
    let plant = Plant::new();
    plant.born();
    let second = Metric { timestamp: ms(T0 + 8), ..by_alias(1, 3.0) };
    let sent = plant.send(NDATA, &payload(T0, 2, vec![by_alias(1, 2.0), second]));
    assert_eq!(sent, [value("g/e", "Total", T0 + 7, 2.0), value("g/e", "Total", T0 + 8, 3.0)]);
}

#[test]
fn what_is_no_number_is_refused_by_name_and_its_neighbours_live() {
    let plant = Plant::new();
    let multi_part =
        Metric { metadata: Some(MetaData { is_multi_part: Some(true) }), ..named("M", 17, Wire::Bytes(vec![1])) };
    let transient = Metric { is_transient: Some(true), ..named("T", DOUBLE, Wire::Double(1.0)) };
    let null = Metric { is_null: Some(true), wire: None, ..named("N", DOUBLE, Wire::Double(0.0)) };
    let nameless = Metric { wire: Some(Wire::Double(1.0)), ..Metric::default() };
    let bad_name = Metric { name: Some(vec![0xb5, 0xe7]), ..named("x", DOUBLE, Wire::Double(1.0)) };
    let metrics = vec![
        named("S", 12, Wire::Text(b"RUN".to_vec())),
        named("D", 16, Wire::DataSet(payload::DataSet { num_of_columns: Some(2) })),
        named("X", 19, Wire::Template(payload::Template::default())),
        named("A", 31, Wire::Bytes(vec![0; 16])),
        multi_part,
        transient,
        null,
        nameless,
        bad_name,
        named("I", DOUBLE, Wire::Double(f64::INFINITY)),
        named("G", DOUBLE, Wire::Double(4.0)),
    ];
    let none: Row = Ok(("g/e".to_owned(), "N".to_owned(), Some(T0), None));
    let unsupported: Row = Err(Reason::UnsupportedType);
    assert_eq!(
        plant.send(NBIRTH, &self::payload(T0, 0, metrics)),
        [
            unsupported.clone(),
            unsupported.clone(),
            unsupported.clone(),
            unsupported.clone(),
            unsupported,
            none,
            Err(Reason::BadField),
            Err(Reason::BadUtf8),
            Err(Reason::NotFinite),
            value("g/e", "G", T0, 4.0),
        ]
    );
}

#[test]
fn bad_quality_takes_the_value_away() {
    let plant = Plant::new();
    let stated = |code| {
        let values = vec![PropertyValue { is_null: None, value: Some(Property::Int(code)) }];
        let properties = Some(Box::new(PropertySet { keys: vec![b"Quality".to_vec()], values }));
        Metric { properties, ..named("Q", DOUBLE, Wire::Double(1.0)) }
    };
    let bytes = payload(T0, 0, vec![stated(0), stated(192), stated(500), stated(100)]).encode_to_vec();
    let arena = Bump::new();
    let message = plant.host.receive(plant.received(NDATA, &bytes), &arena).unwrap();
    let got: Vec<_> =
        message.readings.iter().map(|row| row.as_ref().map(|row| (row.quality, row.value)).unwrap()).collect();
    let one = Value::from_f64(1.0);
    let expected = [(Quality::Bad, None), (Quality::Good, one), (Quality::Bad, None), (Quality::Uncertain, one)];
    assert_eq!(got, expected);
}

#[test]
fn nodes_of_two_doors_pilots_and_devices_of_two_nodes_are_apart() {
    let mut plant = Plant::new();
    plant.born();
    plant.pilot = PilotId::parse("p-2").unwrap();
    assert_eq!(plant.send(DDATA, &ddata(T0, 2)), [Err(Reason::UnknownAlias)]);
    plant.door = "broker".into();
    assert_eq!(plant.send(DDATA, &ddata(T0, 2)), [Err(Reason::UnknownAlias)]);
    plant.send("spBv1.0/g/NBIRTH/f", &nbirth(T0, 0, 0));
    assert_eq!(plant.send("spBv1.0/g/DDATA/f/d", &ddata(T0, 1)), [Err(Reason::UnknownAlias)]);
    let seen: Vec<String> =
        plant.host.nodes().iter().map(|node| format!("{} {} {}", node.door, node.pilot, node.edge)).collect();
    assert_eq!(seen, ["broker p-2 e", "broker p-2 f", "listener p-1 e", "listener p-2 e"]);
}

#[test]
fn what_was_refused_for_want_of_a_birth_is_read_once_the_birth_is_there() {
    let plant = Plant::new();
    plant.send(NBIRTH, &nbirth(T0, 0, 0));
    let early = ddata(T0 + 5, 2);
    assert_eq!(plant.send(DDATA, &early), [Err(Reason::UnknownAlias)]);
    let generation = plant.host.generation();
    plant.host.birthed();
    plant.send(DBIRTH, &dbirth(T0 + 4, 1));
    assert!(plant.host.generation() > generation);
    assert_eq!(plant.host.birthed(), [(plant.pilot.clone(), "g/e".to_owned())]);
    assert_eq!(plant.host.birthed(), []);
    let before = plant.host.nodes();
    assert_eq!(plant.again(DDATA, &early), [value("g/e/d", "Count", T0 + 7, 2.0)]);
    // Older than the birth: another run may have meant something else.
    assert_eq!(plant.again(DDATA, &ddata(T0 - 1, 2)), [Err(Reason::UnknownAlias)]);
    assert_eq!(plant.host.nodes(), before, "a message that is read again moves nothing");
}

#[test]
fn a_kept_message_is_read_by_the_births_of_whatever_door_its_node_is_behind() {
    let plant = Plant { door: "broker".into(), ..Plant::new() };
    plant.send(NBIRTH, &nbirth(T0, 0, 0));
    plant.send(DBIRTH, &dbirth(T0 + 4, 1));
    let kept = Plant { door: "listener".into(), ..plant };
    assert_eq!(kept.again(DDATA, &ddata(T0 + 5, 2)), [value("g/e/d", "Count", T0 + 7, 2.0)]);
}

#[test]
fn a_kept_message_of_a_node_that_moved_is_read_by_its_births_behind_the_new_door() {
    let old = Plant { door: "a-door".into(), ..Plant::new() };
    old.born();
    let mut plant = Plant { door: "b-door".into(), ..old };
    plant.now += 1_000;
    let swapped = payload(plant.now, 1, vec![aliased(named("Other", 8, Wire::Long(7)), 2)]);
    plant.send(NBIRTH, &nbirth(plant.now, 0, 0));
    plant.send(DBIRTH, &swapped);
    assert_eq!(plant.again(DDATA, &ddata(plant.now, 2)), [value("g/e/d", "Other", T0 + 7, 2.0)]);
    assert_eq!(plant.again(DDATA, &ddata(T0 + 5, 2)), [value("g/e/d", "Count", T0 + 7, 2.0)]);
}

#[test]
fn a_rebirth_that_says_the_same_heals_what_a_lost_link_made_doubtful() {
    let mut plant = Plant::new();
    plant.born();
    plant.host.link_lost("another", UnixMillis(plant.now));
    assert_eq!(plant.node().state, NodeState::Online);
    plant.host.link_lost("listener", UnixMillis(plant.now));
    assert_eq!((plant.node().state, plant.node().devices[0].state), (NodeState::LinkLost, DeviceState::Stale));
    let between = ddata(T0 + 500, 2);
    assert_eq!(plant.send(DDATA, &between), [Err(Reason::UnknownAlias)]);
    assert_eq!(plant.pass(2_000).commands.len(), 1);
    plant.host.birthed();
    plant.born();
    assert_eq!(plant.host.birthed().len(), 1);
    assert_eq!(plant.again(DDATA, &between), [value("g/e/d", "Count", T0 + 7, 2.0)]);
}

#[test]
fn an_alias_table_that_changed_says_nothing_about_messages_before_it() {
    let mut plant = Plant::new();
    plant.born();
    plant.now += 1_000;
    let swapped = payload(plant.now, 1, vec![aliased(named("Other", 8, Wire::Long(7)), 2)]);
    plant.send(NBIRTH, &nbirth(plant.now, 0, 0));
    plant.send(DBIRTH, &swapped);
    assert_eq!(plant.again(DDATA, &ddata(T0 + 500, 2)), [Err(Reason::UnknownAlias)]);
    assert_eq!(plant.again(DDATA, &ddata(plant.now, 2)), [value("g/e/d", "Other", T0 + 7, 2.0)]);
}

#[test]
fn a_retained_birth_teaches_names_and_gives_no_values() {
    let plant = Plant::new();
    assert_eq!(plant.send_retained(NBIRTH, &nbirth(T0, 0, 0)), []);
    assert_eq!(plant.node().state, NodeState::Unknown);
    assert_eq!(plant.send(NDATA, &payload(T0 + 9, 5, vec![by_alias(1, 2.5)])), [value("g/e", "Total", T0 + 7, 2.5)]);
    assert_eq!(plant.count(Deviation::RetainedBirth), 1);
    assert_eq!(plant.send_retained(NDEATH, &ndeath(T0, 0)), []);
}

#[test]
fn a_mapping_file_adjusts_names_and_quality_codes() {
    let text = "[[sparkplug]]\nnodes = [\"G/E\"]\nstrip = '^(DATA|ATTR)/'\nquality = { \"600\" = \"good\", \"601\" = \"bad\" }\n";
    let mappings = Mappings::load(vec![("m.toml".to_owned(), text.to_owned())]).unwrap();
    let coded = |name: &str, code: u32| {
        let values = vec![PropertyValue { is_null: None, value: Some(Property::Int(code)) }];
        let properties = Some(Box::new(PropertySet { keys: vec![b"Quality".to_vec()], values }));
        Metric { properties, ..named(name, 10, Wire::Double(1.0)) }
    };
    let metrics = vec![coded("DATA/a", 600), coded("ATTR/b", 601), coded("c", 600)];
    let mut payload = Payload { metrics, ..Payload::default() };
    let topic::Topic::Edge(from) = topic::parse("spBv1.0/G/NDATA/E").unwrap() else { panic!("an edge node's topic") };
    adjust::adjust(&mut payload, &from, &mappings);
    let read: Vec<(&[u8], Quality)> = payload
        .metrics
        .iter()
        .map(|metric| (metric.name.as_deref().unwrap(), value::quality(metric.properties.as_deref())))
        .collect();
    assert_eq!(read, [(&b"a"[..], Quality::Good), (b"b", Quality::Bad), (b"c", Quality::Good)]);
}
