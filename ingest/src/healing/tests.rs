//! When a pass begins, and what it takes: messages before their metadata, data before its births.

use bytes::Bytes;
use model::Value;
use store::{Counters, Registration};

use super::*;
use crate::commit::{Client, Committer, Delivery, Item, Mailbox, Prepared, Work};
use crate::index::CurrentIndex;
use crate::normalize::fixture::{Plant, RECEIVED_AT, observed, pilot_id};
use crate::normalize::normalize;
use crate::sparkplug::tests::one_double;
use crate::{Identity, Observation};

const VALUES: &str = "ie/d/j/simatic/v1/s7c1/dp/r/Plc/Fast";
const METADATA: &str = "ie/m/j/simatic/v1/s7c1/dp";

#[test]
fn a_pass_begins_when_it_is_quiet_and_not_too_often() {
    let began = Instant::now();
    let mut schedule = Schedule::default();
    let mut check = |at_ms: u64, generations: Generations, is_due: bool| {
        assert_eq!(schedule.is_due(generations, began + Duration::from_millis(at_ms)), is_due, "at {at_ms} ms");
    };
    check(0, (0, 0), false);
    check(500, (1, 0), false);
    check(2_000, (2, 0), false);
    check(3_900, (2, 0), false);
    check(4_000, (2, 0), true);
    check(4_500, (2, 0), false);
    // The next one was learned at once, and waits for its turn.
    check(5_000, (2, 1), false);
    check(13_900, (2, 1), false);
    check(14_000, (2, 1), true);
    // Something is learned all the time: a pass comes all the same.
    for n in 0..20 {
        check(30_000 + n * 500, (3 + n, 1), false);
    }
    check(40_000, (30, 1), true);
}

/// A plant with a committer, and what heals it.
struct Scene {
    plant: Plant,
    current: Arc<CurrentIndex>,
    committer: Committer,
    healing: Healing,
    now: Instant,
}

impl Scene {
    fn new() -> Scene {
        let plant = Plant::new();
        let (current, committer) = (plant.shared(), Committer::start(plant.store()).unwrap());
        let replayer = Arc::new(Replayer::new(Arc::clone(&current), committer.handle()));
        Scene { plant, current, committer, healing: Healing::new(replayer), now: Instant::now() }
    }

    /// A message by the door's way: normalized, judged, committed.
    fn send(&self, topic: &str, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let observation = Observation { topic: topic.to_owned(), payload, ..observed("") };
        let identity = Identity::Login { name: "gw".to_owned(), pilot: pilot_id(), gateway: None };
        let outcome = normalize(&observation, &identity, &self.current.get());
        let item = Item::Publish(Box::new(Prepared::new(&observation, &identity, Delivery::AtMostOnce, outcome)));
        let client = Client { id: "gw".into(), connection: 1, key: 1 };
        let (mailbox, received_at) = (Arc::new(Mailbox::new(1)), RECEIVED_AT);
        let work = Work::Messages { client, mailbox, items: vec![item], bytes: 0, received_at };
        assert!(self.committer.handle().push(work).is_ok());
    }

    /// Lets this long pass, with a step at its begin and at its end.
    fn pass(&mut self, ms: u64) {
        self.healing.step(self.now, &|| false);
        self.now += Duration::from_millis(ms);
        self.healing.step(self.now, &|| false);
    }

    /// Values by asset and name, settled.
    fn values(&self) -> Vec<String> {
        let store = self.plant.store();
        self.committer.handle().submit_blocking(store::Batch::default()).unwrap();
        store.settle_now().unwrap();
        let mut values = Vec::new();
        for entry in store.catalogue_of(&pilot_id()) {
            assert!(matches!(entry.registration, Registration::Unregistered { .. }));
            let Some((first, last)) = store.span(entry.id).unwrap() else { continue };
            for reading in store.readings(entry.id, first, last.plus(1)).unwrap() {
                let value = reading.value.map_or(f64::NAN, Value::as_f64);
                values.push(format!("{}/{} {value}", entry.key.asset, entry.key.name));
            }
        }
        values
    }

    fn counters(&self) -> Counters {
        self.values();
        self.plant.store().counters()
    }

    /// Counted as refused for this reason, in messages and in readings.
    fn refused(&self, reason: Reason) -> (u64, u64) {
        let counters = self.counters();
        (counters.rejected[reason.index()], counters.refused[reason.index()])
    }

    fn end(self) {
        self.committer.stop();
    }
}

fn value(id: u32, second: u32) -> Vec<u8> {
    let (minute, second) = (second / 60, second % 60);
    let at = format!("2025-02-28T20:{minute:02}:{second:02}Z");
    format!(r#"{{"seq":1,"vals":[{{"id":"{id}","val":{second},"ts":"{at}","qc":3}}]}}"#).into_bytes()
}

fn metadata(id: u32) -> Vec<u8> {
    let points = format!(r#"[{{"name":"Energy","id":"{id}","dataType":"Real"}}]"#);
    let collection = format!(r#"{{"name":"Fast","topic":"t","dataPointDefinitions":{points}}}"#);
    format!(r#"{{"seq":1,"hashVersion":1,"connections":[{{"name":"Plc","dataPoints":[{collection}]}}]}}"#).into_bytes()
}

#[test]
fn readings_that_came_before_their_metadata_are_taken_once_it_is_there() {
    let mut scene = Scene::new();
    for second in 0..3 {
        scene.send(VALUES, &value(102, second));
    }
    scene.send(VALUES, &value(103, 7));
    scene.pass(60_000);
    assert_eq!((scene.refused(Reason::UnknownId), scene.values()), ((4, 0), vec![]));
    scene.send(METADATA, &metadata(102));
    scene.pass(1_900);
    assert_eq!(scene.values(), Vec::<String>::new(), "it is not quiet yet");
    scene.pass(100);
    assert_eq!(scene.values(), ["Plc/Energy 0", "Plc/Energy 1", "Plc/Energy 2"]);
    assert_eq!(scene.refused(Reason::UnknownId), (1, 0));
    let counters = scene.counters();
    assert_eq!((counters.received, counters.committed, counters.duplicate, counters.readings), (5, 4, 0, 3));
    // The same metadata teaches nothing, other metadata makes nothing twice.
    scene.send(METADATA, &metadata(102));
    scene.pass(60_000);
    scene.send(METADATA, &metadata(104));
    scene.pass(60_000);
    let again = scene.counters();
    assert_eq!((again.readings, again.committed + again.duplicate), (3, 6));
    scene.end();
}

#[test]
fn a_pass_over_many_messages_is_made_in_steps() {
    let mut scene = Scene::new();
    for second in 0..1_500 {
        scene.send(VALUES, &value(102, second));
    }
    scene.send(METADATA, &metadata(102));
    scene.pass(2_000);
    assert_eq!(scene.values().len(), 1_000);
    scene.pass(0);
    assert_eq!(scene.values().len(), 1_500);
    assert!(scene.healing.pass.is_empty());
    scene.end();
}

#[test]
fn a_pass_that_shall_stop_reads_nothing_more() {
    let mut scene = Scene::new();
    scene.send(VALUES, &value(102, 1));
    scene.send(METADATA, &metadata(102));
    scene.pass(0);
    scene.now += QUIET;
    scene.healing.step(scene.now, &|| true);
    assert_eq!(scene.values(), Vec::<String>::new());
    scene.end();
}

#[test]
fn values_before_the_births_that_define_them_are_taken_if_they_are_not_older() {
    let mut scene = Scene::new();
    let at = RECEIVED_AT.0 - 600_000;
    for node in ["e", "e2"] {
        let topic = |kind: &str| format!("spBv1.0/g/{kind}/{node}/d");
        scene.send(&topic("DDATA"), &one_double(at - 1, 2, (None, 7, 1.0)));
        scene.send(&topic("DDATA"), &one_double(at + 5, 3, (None, 7, 2.0)));
    }
    assert_eq!(scene.refused(Reason::UnknownAlias), (4, 0));
    scene.send("spBv1.0/g/NBIRTH/e", &one_double(at, 0, (Some("bdSeq"), 1, 0.0)));
    scene.send("spBv1.0/g/DBIRTH/e/d", &one_double(at + 1, 1, (Some("Total"), 7, 1.5)));
    scene.pass(2_000);
    let values = scene.values();
    assert_eq!(
        values.iter().filter(|value| value.starts_with("g/e/d/")).collect::<Vec<_>>(),
        ["g/e/d/Total 1.5", "g/e/d/Total 2"]
    );
    assert_eq!(scene.refused(Reason::UnknownAlias), (3, 0), "one is older than the NBIRTH, two are of another node");
    scene.end();
}

#[test]
fn what_waits_is_told_by_the_edge_node_of_its_topic() {
    let nodes = Some(BTreeSet::from(["g/e".to_owned()]));
    let waiting = Waiting { reason: Reason::UnknownAlias, pilot: pilot_id(), nodes, after: 0 };
    for (topic, takes) in [
        ("spBv1.0/g/NDATA/e", true),
        ("spBv1.0/g/DDATA/e/d", true),
        ("spBv1.0/g/DDATA/e2/d", false),
        ("spBv1.0/h/NDATA/e", false),
        ("spBv1.0/g/NCMD/e", false),
        ("spBv1.0/g", false),
    ] {
        assert_eq!(waiting.takes(topic), takes, "{topic}");
    }
}
