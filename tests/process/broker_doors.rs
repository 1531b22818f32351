//! What `[[door.broker]]` promises through a real Mosquitto: lost acknowledgements, cut connections, shared subscriptions, and
//! messages that gateways publish exactly once.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{Server, TempDir, eventually};
use crate::mosquitto::Mosquitto;
use crate::plant;
use crate::proxy::Proxy;

const TOPIC: &str = "pilotline/v1/plant-a/gw1";

/// `ingest` with one `[[door.broker]]`, over a data directory of its own; ready.
pub(crate) fn ingest(dir: &Path, name: &str, door: &str) -> Server {
    let config = dir.join(format!("{name}.toml"));
    std::fs::write(&config, format!("[[door.broker]]\nname = \"plant\"\n{door}\n")).unwrap();
    let (data, pilots) = (dir.join(format!("data-{name}")), dir.join("pilots"));
    let paths = [&config, &data, &pilots].map(|path| path.to_str().unwrap());
    Server::start(&["ingest", "--config", paths[0], "--data", paths[1], "--pilots", paths[2]])
}

fn wait_until_ready(server: &Server) {
    eventually("the broker is connected", || server.get("/readyz").status == 200);
}

/// A message a line, each of one piece at a second of its own.
fn lines(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|n| [&piece(n)[..], b"\n"].concat()).collect()
}

fn piece(n: u64) -> Vec<u8> {
    let at = 1_740_787_200_000 + n * 1_000;
    format!(r#"{{"at":{at},"readings":[{{"asset":"line-a/test","name":"good","product":"A12","value":1}}]}}"#)
        .into_bytes()
}

/// The times of the stored pieces; each once.
fn stored(servers: &[&Server]) -> BTreeSet<String> {
    let mut stored = BTreeSet::new();
    for server in servers {
        let rows = server.json("/api/v1/readings?pilot=plant-a&asset=line-a/test&name=good");
        for row in rows.as_array().unwrap() {
            assert!(stored.insert(row["at"].to_string()), "stored twice: {row}");
        }
    }
    stored
}

#[test]
fn lost_acknowledgements_and_cut_connections_lose_nothing_and_double_nothing() {
    let dir = TempDir::new("broker-acks");
    plant::write_registry(dir.path(), "plant-a");
    let broker = Mosquitto::start(dir.path());
    let proxy = Proxy::start(broker.address);
    let door = format!("address = \"{}\"", proxy.address);
    let server = ingest(dir.path(), "one", &door);
    wait_until_ready(&server);
    proxy.drop_acknowledgements(true);
    broker.publish_lines(1, TOPIC, &lines(0..200));
    eventually("200 committed, their acknowledgements lost", || {
        (server.count("committed"), proxy.n_dropped()) == (200, 200)
    });
    proxy.drop_acknowledgements(false);
    proxy.cut();
    eventually("all 200 again, as duplicates", || server.count("duplicate") == 200);
    // Cut in the middle of what is under way, whatever is acknowledged by then.
    for round in 1..=3 {
        broker.publish_lines(1, TOPIC, &lines(200 * round..200 * (round + 1)));
        proxy.cut();
    }
    eventually("800 committed", || server.count("committed") == 800);
    assert_eq!(stored(&[&server]).len(), 800);
    // Nothing is left at the broker: a new process gets what is published now and no more.
    assert_eq!(server.terminate(), Some(0));
    let server = ingest(dir.path(), "one", &door);
    wait_until_ready(&server);
    let before = server.count("received");
    broker.publish(TOPIC, &piece(800));
    eventually("the next message", || server.count("committed") == 801);
    assert_eq!(server.count("received"), before + 1);
}

#[test]
fn two_processes_with_one_group_share_what_comes_and_what_a_stopped_one_was_due_waits_for_it() {
    let dir = TempDir::new("broker-share");
    plant::write_registry(dir.path(), "plant-a");
    let broker = Mosquitto::start(dir.path());
    let door = |n: u32| format!("address = \"{}\"\nshare = \"g\"\nclient_id = \"share-{n}\"", broker.address);
    let (one, two) = (ingest(dir.path(), "one", &door(1)), ingest(dir.path(), "two", &door(2)));
    wait_until_ready(&one);
    wait_until_ready(&two);
    broker.publish_lines(1, TOPIC, &lines(0..200));
    let counts = |one: &Server, two: &Server| [one, two].map(|server| server.count("committed"));
    eventually("200 committed", || counts(&one, &two).iter().sum::<u64>() == 200);
    assert!(counts(&one, &two).iter().all(|n| *n > 0), "one took all: {:?}", counts(&one, &two));
    // Its session stays, and with it its share: a message goes to one of the two, whether it is there or not.
    assert_eq!(one.terminate(), Some(0));
    broker.publish_lines(1, TOPIC, &lines(200..300));
    let one = ingest(dir.path(), "one", &door(1));
    eventually("300 committed", || counts(&one, &two).iter().sum::<u64>() == 300);
    assert_eq!(stored(&[&one, &two]).len(), 300);
    assert_eq!([&one, &two].map(|server| server.count("received")), counts(&one, &two));
}

#[test]
fn a_message_that_a_gateway_publishes_exactly_once_is_committed_once_in_both_protocols() {
    let dir = TempDir::new("broker-qos2");
    plant::write_registry(dir.path(), "plant-a");
    let broker = Mosquitto::start(dir.path());
    for protocol in [3, 5] {
        let door = format!("address = \"{}\"\nprotocol = {protocol}\nclient_id = \"v{protocol}\"", broker.address);
        let server = ingest(dir.path(), &format!("v{protocol}"), &door);
        wait_until_ready(&server);
        broker.publish_lines(2, TOPIC, &lines(0..50));
        // The first time it comes to a session whose process is away.
        server.kill();
        broker.publish_lines(2, TOPIC, &lines(50..100));
        let server = ingest(dir.path(), &format!("v{protocol}"), &door);
        eventually("100 committed", || server.count("committed") == 100);
        assert_eq!(stored(&[&server]).len(), 100);
    }
}
