//! SIGKILL at any moment: nothing acknowledged is missing, nothing is counted twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rumqttc::QoS;

use crate::harness::{PATIENCE, Server, TempDir, eventually, pilotline};
use crate::plant;
use crate::publisher::publish_through_restarts;

/// Rounds of each protocol; `PILOTLINE_ROUNDS` raises it for a long run.
fn n_rounds() -> u32 {
    std::env::var("PILOTLINE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// `run` again over the same directory and on the same ports, as a supervisor would.
fn restart(dir: &Path, old: Server) -> Server {
    let (mqtt, http) = (old.mqtt.to_string(), old.http.to_string());
    old.kill();
    let (data, pilots) = (dir.join("data"), dir.join("pilots"));
    Server::start_on(&["run", "--data", data.to_str().unwrap(), "--pilots", pilots.to_str().unwrap()], &mqtt, &http)
}

/// A random wait between 20 and 400 ms, from the clock's nanoseconds: the moment of the kill must not be regular.
fn random_wait() -> Duration {
    let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
    Duration::from_millis(20 + u64::from(nanos / 1_000 % 380))
}

fn simulate(server: &Server, dir: &Path, protocol: u8, messages: u64) -> Child {
    let receipts = dir.join("receipts");
    let (to, protocol, messages) = (server.mqtt.to_string(), protocol.to_string(), messages.to_string());
    pilotline(&["simulate", "--to", &to, "--pilots", "4", "--protocol", &protocol, "--messages", &messages])
        .arg("--receipts")
        .arg(receipts)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// `(pilot, seq)` of every acknowledged message so far; a torn last line is left out.
fn receipts(dir: &Path) -> BTreeSet<(String, u64)> {
    let text = std::fs::read_to_string(dir.join("receipts")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (pilot, _gateway, _boot, seq) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some((pilot.to_owned(), seq.parse().ok()?))
    };
    whole.lines().filter_map(line).collect()
}

/// `(pilot, seq)` of every message in the store: the counter of the load fleet grows by a quarter with each message.
fn stored(server: &Server) -> BTreeSet<(String, u64)> {
    let mut stored = BTreeSet::new();
    for pilot in (0..4).map(seeds::fleet::load::pilot_id) {
        let path = format!("/api/v1/readings?pilot={pilot}&asset=em-0&name=electricity");
        for row in server.json(&path).as_array().unwrap() {
            let quarters: u64 = (row["value"].as_f64().unwrap() * 4.0).to_string().parse().unwrap();
            let fresh = stored.insert((pilot.clone(), quarters));
            assert!(fresh, "stored twice: {row}");
        }
    }
    stored
}

#[test]
fn every_acknowledged_message_is_there_once_after_sigkill_mqtt_3() {
    acknowledged_is_stored(3);
}

#[test]
fn every_acknowledged_message_is_there_once_after_sigkill_mqtt_5() {
    acknowledged_is_stored(5);
}

#[track_caller]
fn acknowledged_is_stored(protocol: u8) {
    let dir = TempDir::new("kill");
    let pilots = dir.path().join("pilots");
    let written = pilotline(&["simulate", "--pilots", "4", "--registry"]).arg(&pilots).status().unwrap();
    assert!(written.success());
    let mut server = Server::run(dir.path());
    let n_messages = 1_000 * u64::from(n_rounds());
    let mut load = simulate(&server, dir.path(), protocol, n_messages);
    for round in 0..n_rounds() {
        std::thread::sleep(random_wait());
        let before = receipts(dir.path());
        server = restart(dir.path(), server);
        let stored = stored(&server);
        let missing: Vec<_> = before.difference(&stored).take(5).collect();
        assert!(missing.is_empty(), "round {round}: acknowledged and lost: {missing:?} of {}", before.len());
    }
    let started = Instant::now();
    while load.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < PATIENCE * 2, "the load did not finish");
        std::thread::sleep(Duration::from_millis(50));
    }
    let all = stored(&server);
    assert_eq!(all.len() as u64, 4 * n_messages);
    let status = server.json("/api/v1/status");
    assert_eq!(status["committed"], 4 * n_messages, "{status}");
    assert_eq!(
        status["received"].as_u64().unwrap(),
        status["committed"].as_u64().unwrap() + status["duplicate"].as_u64().unwrap(),
        "{status}"
    );
    let (code, out, err) = crate::harness::ran(&[
        "check",
        "--data",
        dir.path().join("data").to_str().unwrap(),
        "--pilots",
        pilots.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{out}{err}");
}

/// Messages that each count `1` good piece at an instant of their own.
fn piece_messages(n: usize) -> Vec<(String, Vec<u8>)> {
    let message = |i: usize| {
        let at = 1_740_787_200_000 + i * 1_000;
        let body =
            format!(r#"{{"at":{at},"readings":[{{"asset":"line-a/test","name":"good","product":"A12","value":1}}]}}"#);
        ("pilotline/v1/plant-a/gw1".to_owned(), body.into_bytes())
    };
    (0..n).map(message).collect()
}

#[test]
fn a_queueing_rumqttc_publisher_resumes_its_session_with_qos_1_and_2() {
    for (name, qos) in [("resume-1", QoS::AtLeastOnce), ("resume-2", QoS::ExactlyOnce)] {
        let dir = TempDir::new(name);
        plant::write_registry(dir.path(), "plant-a");
        let mut server = Some(Server::run(dir.path()));
        let mqtt = server.as_ref().unwrap().mqtt;
        let (n, every) = (3_000, 400);
        publish_through_restarts(mqtt, name, qos, piece_messages(n), |acknowledged| {
            if acknowledged % every == 0 {
                server = Some(restart(dir.path(), server.take().unwrap()));
            }
        });
        let server = server.unwrap();
        assert_eq!(server.count("committed"), n as u64, "{name}: {}", server.json("/api/v1/status"));
        let readings = server.json("/api/v1/readings?pilot=plant-a&asset=line-a/test&name=good");
        assert_eq!(readings.as_array().unwrap().len(), n, "{name}");
    }
}

#[test]
fn paho_qos_2_publishers_lose_nothing_and_count_nothing_twice() {
    let dir = TempDir::new("qos2");
    plant::write_registry(dir.path(), "plant-a");
    let mut server = Server::run(dir.path());
    let script = r#"
import sys, json, time
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="qos2", clean_session=False)
client.max_inflight_messages_set(20)
client.reconnect_delay_set(0.1, 0.5)
client.connect("127.0.0.1", int(sys.argv[1]))
# What is published while the connection is down is queued and counted when its PUBCOMP comes.
done = set()
client.on_publish = lambda client, userdata, mid, reason, properties: done.add(mid)
client.loop_start()
for i in range(2000):
    body = {"at": 1740787200000 + i * 1000, "readings": [
        {"asset": "line-a/test", "name": "good", "product": "A12", "value": 1}]}
    client.publish("pilotline/v1/plant-a/gw1", json.dumps(body), qos=2)
    time.sleep(0.001)
deadline = time.time() + 60
while len(done) < 2000 and time.time() < deadline:
    time.sleep(0.05)
sys.exit(0 if len(done) == 2000 else 1)
"#;
    let python = std::env::var("PILOTLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut paho = Command::new(python).args(["-c", script, &server.mqtt.port().to_string()]).spawn().unwrap();
    eventually("the first commit", || server.count("committed") > 0);
    for _ in 0..5 {
        std::thread::sleep(random_wait());
        server = restart(dir.path(), server);
    }
    assert!(paho.wait().unwrap().success(), "paho did not get every PUBCOMP");
    assert_eq!(server.count("committed"), 2_000, "{}", server.json("/api/v1/status"));
    let readings = server.json("/api/v1/readings?pilot=plant-a&asset=line-a/test&name=good");
    assert_eq!(readings.as_array().unwrap().len(), 2_000);
}
