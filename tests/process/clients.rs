//! Clients that nobody here wrote: `mosquitto_pub`, Python's paho, and the page and metrics checkers.

use std::process::Command;

use crate::harness::{Server, TempDir, get};
use crate::plant;

#[test]
fn mosquitto_pub_is_stored_over_both_protocols_and_every_qos() {
    let dir = TempDir::new("mosquitto");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    for (n, (protocol, qos)) in
        [("mqttv311", 0), ("mqttv311", 1), ("mqttv311", 2), ("mqttv5", 0), ("mqttv5", 1), ("mqttv5", 2)]
            .into_iter()
            .enumerate()
    {
        let at = 1_740_787_200_000i64 + i64::try_from(n).unwrap() * 60_000;
        let payload =
            format!(r#"{{"at":{at},"readings":[{{"asset":"press-01","name":"electricity","value":{n}.5}}]}}"#);
        let port = server.mqtt.port().to_string();
        let status = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-V", protocol, "-q", &qos.to_string()])
            .args(["-t", "pilotline/v1/plant-a/gw1", "-m", &payload])
            .status()
            .unwrap();
        assert!(status.success(), "{protocol} QoS {qos}");
    }
    let readings = server.json("/api/v1/readings?pilot=plant-a&asset=press-01&name=electricity");
    let values: Vec<f64> = readings.as_array().unwrap().iter().map(|r| r["value"].as_f64().unwrap()).collect();
    assert_eq!(values, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    assert_eq!(server.count("received"), 6);
    assert_eq!(server.count("committed"), 6);
}

#[test]
fn paho_publishes_in_both_protocols() {
    let dir = TempDir::new("paho");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let script = r#"
import sys, json
import paho.mqtt.client as mqtt
port = int(sys.argv[1])
for n, version in enumerate([mqtt.MQTTv311, mqtt.MQTTv5]):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for i in range(500):
        at = 1740787200000 + (n * 500 + i) * 1000
        body = {"boot": n, "seq": i, "at": at, "readings": [
            {"asset": "line-a/test", "name": "good", "product": "A12", "value": 1}]}
        client.publish("pilotline/v1/plant-a/gw-%d" % n, json.dumps(body), qos=1 + i % 2)
    info = client.publish("pilotline/v1/plant-a/gw-%d" % n, json.dumps({"readings": []}), qos=1)
    info.wait_for_publish(30)
    assert info.is_published()
    client.disconnect()
    client.loop_stop()
"#;
    let python = std::env::var("PILOTLINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let port = server.mqtt.port().to_string();
    let status = Command::new(python).args(["-c", script, &port]).status().unwrap();
    assert!(status.success());
    crate::harness::eventually("1,000 committed", || server.count("committed") == 1_000);
    assert_eq!(server.json("/api/v1/status")["rejected"]["empty"], 2);
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let dir = TempDir::new("promtool");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    for path in ["/metrics", "/metrics/pilots"] {
        let page = get(server.http, path, &[]);
        assert_eq!(page.status, 200);
        let file = dir.path().join("metrics.txt");
        std::fs::write(&file, &page.body).unwrap();
        let checked = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(std::fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{path}: {said}");
        assert_eq!(said.trim(), "", "{path}");
    }
}
