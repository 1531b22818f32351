//! What came before the words that explain it is taken by itself, without anybody asking for a replay; and the lines that
//! `rejected --suggest` prints for what nobody registered.

use std::path::Path;

use rumqttc::QoS;
use serde_json::Value;

use crate::harness::{Server, TempDir, eventually, ran};
use crate::plant;
use crate::publisher::publish_all;

const VALUES: &str = "ie/d/j/simatic/v1/s7c1/dp/r/Plc/Fast";
const METADATA: &str = "ie/m/j/simatic/v1/s7c1/dp";
/// 2025-03-01T00:00:00Z.
const AT: u64 = 1_740_787_200_000;

/// The plant with foreign topics and one more counter.
fn write_registry(dir: &Path, asset: &str, name: &str) {
    let topics = "zone = \"Asia/Shanghai\"\ntopics = [\"ie/#\", \"spBv1.0/TestPlant/#\"]";
    let bound = plant::registry("plant-a").replace("zone = \"Asia/Shanghai\"", topics);
    let series = format!(
        "\n[[series]]\nasset = \"{asset}\"\nname = \"{name}\"\nquantity = \"energy.electricity\"\nkind = \"counter\"\n"
    );
    std::fs::create_dir_all(dir.join("pilots")).unwrap();
    std::fs::write(dir.join("pilots/plant-a.toml"), bound + &series).unwrap();
}

fn values(server: &Server, asset: &str, name: &str) -> Vec<f64> {
    let readings = server.json(&format!("/api/v1/readings?pilot=plant-a&asset={asset}&name={name}"));
    readings.as_array().unwrap().iter().filter_map(|reading| reading["value"].as_f64()).collect()
}

fn publish(server: &Server, messages: &[(&str, Vec<u8>)]) {
    let owned = messages.iter().map(|(topic, payload)| ((*topic).to_owned(), payload.clone())).collect();
    publish_all(server.mqtt, "gw", QoS::AtLeastOnce, owned);
}

/// Messages rejected and readings refused for this reason.
fn refused(server: &Server, reason: &str) -> (u64, u64) {
    let status = server.json("/api/v1/status");
    let number = |of: &Value| of[reason].as_u64().unwrap_or(0);
    (number(&status["rejected"]), number(&status["refused"]))
}

fn check_accounting(server: &Server) {
    let status = server.json("/api/v1/status");
    let rejected: u64 = status["rejected"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let number = |field: &str| status[field].as_u64().unwrap();
    assert_eq!(number("received"), number("committed") + number("duplicate") + rejected, "{status}");
}

#[test]
fn values_before_their_metadata_are_taken_by_themselves_also_after_a_restart() {
    let dir = TempDir::new("healing");
    write_registry(dir.path(), "Plc", "Energy");
    let server = Server::run(dir.path());
    let value = |id: u32, second: u32| {
        let body =
            format!(r#"{{"seq":1,"vals":[{{"id":"{id}","val":{second},"ts":"2025-03-01T00:00:0{second}Z","qc":3}}]}}"#);
        (VALUES, body.into_bytes())
    };
    let metadata = br#"{"seq":1,"hashVersion":1,"connections":[{"name":"Plc","dataPoints":[{"name":"Fast","topic":"t",
        "dataPointDefinitions":[{"name":"Energy","id":"102","dataType":"Real"}]}]}]}"#;
    publish(&server, &[value(102, 1), value(102, 2), value(999, 3)]);
    assert_eq!((refused(&server, "unknown_id"), values(&server, "Plc", "Energy")), ((3, 0), vec![]));
    publish(&server, &[(METADATA, metadata.to_vec())]);
    eventually("the readings are taken by themselves", || values(&server, "Plc", "Energy") == [1.0, 2.0]);
    assert_eq!(refused(&server, "unknown_id"), (1, 0), "no metadata names 999");
    check_accounting(&server);

    // Replaying it once more changes nothing.
    let data = dir.path().join("data");
    let (code, out, err) = ran(&["rejected", "--replay", "--data", data.to_str().unwrap()]);
    assert_eq!((code, out.trim()), (0, "1 messages looked at, 0 taken"), "{err}");
    assert_eq!(values(&server, "Plc", "Energy"), [1.0, 2.0]);

    // A message is explained with the words that the server has heard; without it with those that the store has kept.
    let one = dir.path().join("one.json");
    std::fs::write(&one, value(102, 4).1).unwrap();
    let (topic, file) = (VALUES, one.to_str().unwrap());
    let explain = ["explain", "--topic", topic, "--data", data.to_str().unwrap(), file];
    let (code, out, err) = ran(&explain);
    assert_eq!((code, out.contains("asset `Plc`, name `Energy`, value 4")), (0, true), "{out}{err}");
    let pilots = dir.path().join("pilots");
    let (code, out, err) = ran(&[&explain[..], &["--pilots", pilots.to_str().unwrap()]].concat());
    assert_eq!((code, out.contains("asset `Plc`, name `Energy`, value 4")), (0, true), "{out}{err}");
    std::fs::write(&one, value(999, 4).1).unwrap();
    let (code, out, _) = ran(&explain);
    assert_eq!((code, out.contains("unknown_id")), (1, true), "{out}");
    assert_eq!(values(&server, "Plc", "Energy"), [1.0, 2.0], "explaining takes nothing");

    // Killed before the pass: the next start knows the metadata, and takes what waited.
    let more = String::from_utf8(metadata.to_vec()).unwrap().replace("Energy", "Other").replace("102", "999");
    publish(&server, &[(METADATA, more.into_bytes())]);
    server.kill();
    let server = Server::run(dir.path());
    eventually("the start takes what waited", || refused(&server, "unknown_id") == (0, 0));
    assert_eq!(values(&server, "Plc", "Energy"), [1.0, 2.0]);
    check_accounting(&server);
    assert_eq!(server.terminate(), Some(0));
}

fn varint(out: &mut Vec<u8>, field: u8, mut number: u64) {
    out.push(field << 3);
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.extend([field << 3 | 2, u8::try_from(bytes.len()).unwrap()]);
    out.extend(bytes);
}

/// A Sparkplug payload of one metric of type Double.
fn sparkplug(at: u64, seq: u64, (name, alias, value): (Option<&str>, u64, f64)) -> Vec<u8> {
    let (mut metric, mut payload) = (Vec::new(), Vec::new());
    name.into_iter().for_each(|name| bytes(&mut metric, 1, name.as_bytes()));
    varint(&mut metric, 2, alias);
    varint(&mut metric, 3, at);
    varint(&mut metric, 4, 10);
    metric.push(13 << 3 | 1);
    metric.extend(value.to_le_bytes());
    varint(&mut payload, 1, at);
    bytes(&mut payload, 2, &metric);
    varint(&mut payload, 3, seq);
    payload
}

#[test]
fn data_before_the_births_of_a_restart_are_taken_if_they_are_not_older() {
    const NBIRTH: &str = "spBv1.0/TestPlant/NBIRTH/Edge-A";
    const DBIRTH: &str = "spBv1.0/TestPlant/DBIRTH/Edge-A/Mill";
    const DDATA: &str = "spBv1.0/TestPlant/DDATA/Edge-A/Mill";
    let dir = TempDir::new("births");
    write_registry(dir.path(), "TestPlant/Edge-A/Mill", "Total");
    let births = |at: u64| {
        let node = (NBIRTH, sparkplug(at, 0, (Some("bdSeq"), 1, 0.0)));
        [node, (DBIRTH, sparkplug(at + 1, 1, (Some("Total"), 7, 10.0)))]
    };
    let data = |at: u64, seq: u64, value: f64| (DDATA, sparkplug(at, seq, (None, 7, value)));
    let taken = |server: &Server| values(server, "TestPlant/Edge-A/Mill", "Total");
    let server = Server::run(dir.path());
    publish(&server, &births(AT));
    publish(&server, &[data(AT + 1_000, 2, 11.0)]);
    assert_eq!(taken(&server), [10.0, 11.0]);
    server.kill();

    // Nothing says which birth these belong to, until the node is born again; one is older than that birth.
    let (data_dir, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
    let server = Server::start(&["ingest", "--data", data_dir.to_str().unwrap(), "--pilots", pilots.to_str().unwrap()]);
    publish(&server, &[data(AT + 2_000, 3, 12.0), data(AT + 62_000, 2, 14.0)]);
    assert_eq!((refused(&server, "unknown_alias"), taken(&server)), ((2, 0), vec![10.0, 11.0]));
    publish(&server, &births(AT + 60_000));
    eventually("what is not older than the births is taken", || taken(&server) == [10.0, 11.0, 10.0, 14.0]);
    assert_eq!(refused(&server, "unknown_alias"), (1, 0), "older than the NBIRTH: it stays refused");
    check_accounting(&server);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn suggested_lines_register_the_series_when_they_are_pasted() {
    let dir = TempDir::new("suggest");
    write_registry(dir.path(), "Plc", "Energy");
    let server = Server::run(dir.path());
    let reading = |n: u64, name: &str, value: u64| {
        let at = AT + n * 900_000;
        format!(r#"{{"asset":"表 7","name":"{name}","at":{at},"value":{value},"unit":"kWh"}}"#)
    };
    let energy: Vec<String> = (0..20).map(|n| reading(n, "用电", 100 + n)).collect();
    // What is a text, or bad, is kept from no suggestion.
    let odd = r#"{"asset":"表 7","name":"state","at":1740787200000,"value":"RUN"},
                 {"asset":"表 7","name":"Ua","at":1740787200000,"quality":"bad","unit":"V"}"#;
    let body = format!(r#"{{"readings":[{},{odd}]}}"#, energy.join(","));
    publish(&server, &[("pilotline/v1/plant-a/gw1", body.into_bytes())]);
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let (code, lines, err) = ran(&["rejected", "--suggest", "--data", data]);
    assert_eq!(code, 0, "{err}");
    assert!(lines.starts_with("# plant-a.toml: "), "{lines}");
    assert!(lines.contains("kind = \"counter\"  # guessed from 20 of its readings, which never fall"), "{lines}");

    let file = dir.path().join("pilots/plant-a.toml");
    let pasted = std::fs::read_to_string(&file).unwrap() + &lines;
    std::fs::write(&file, pasted).unwrap();
    let (code, out, err) = ran(&["reload", "--data", data]);
    assert_eq!(code, 0, "{out}{err}\n{lines}");
    let path = "/api/v1/readings?pilot=plant-a&asset=%E8%A1%A8%207&name=%E7%94%A8%E7%94%B5";
    let of_registered = |reading: &&Value| reading["flags"].is_null() && reading["unit"] == "kWh";
    eventually("the readings count", || {
        server.json(path).as_array().unwrap().iter().filter(of_registered).count() == 20
    });
    let (_, lines, _) = ran(&["rejected", "--suggest", "--data", data]);
    assert_eq!(lines, "");
}
