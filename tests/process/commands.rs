//! The commands around a server: check, explain, rejected, recompute, login, token, reload, and the exit codes.

use std::io::Write;
use std::process::{Command, Stdio};

use rumqttc::QoS;

use crate::harness::{Server, TempDir, eventually, get, pilotline, ran};
use crate::plant;
use crate::publisher::publish_all;

fn energy(n: i64, value: i64) -> (String, Vec<u8>) {
    let at = 1_740_787_200_000 + n * 900_000;
    let body = format!(r#"{{"at":{at},"readings":[{{"asset":"press-01","name":"electricity","value":{value}}}]}}"#);
    ("pilotline/v1/plant-a/gw1".to_owned(), body.into_bytes())
}

#[test]
fn recompute_verify_agrees_with_what_was_figured_on_the_way() {
    let dir = TempDir::new("recompute");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    // Late messages between the others, so that rollups were made, touched and made again.
    for part in 0..5 {
        let messages = (0..400).filter(|n| n % 5 == part).map(|n| energy(n, n * 3)).collect();
        publish_all(server.mqtt, "recompute", QoS::AtLeastOnce, messages);
        assert_eq!(server.get("/api/v1/figures?scope=pilot:plant-a").status, 200);
    }
    assert_eq!(server.terminate(), Some(0));
    let (data, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
    let place = ["--data", data.to_str().unwrap(), "--pilots", pilots.to_str().unwrap()];
    let (code, out, err) = ran(&[&["recompute", "--verify"], &place[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = ran(&[&["recompute"], &place[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = ran(&[&["recompute", "--verify"], &place[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_refused_message_is_replayed_once_the_registry_is_right() {
    let dir = TempDir::new("replay");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let body = br#"{"at":1740787200000,"readings":[{"asset":"press-01","name":"electricity","value":5}]}"#;
    publish_all(server.mqtt, "replay", QoS::AtLeastOnce, vec![("pilotline/v1/plant-b/gw1".to_owned(), body.to_vec())]);
    assert_eq!(server.json("/api/v1/status")["rejected"]["unknown_pilot"], 1);

    let data = dir.path().join("data");
    let (code, out, err) = ran(&["rejected", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("pilotline/v1/plant-b/gw1") && out.contains("unknown_pilot"), "{out}");
    plant::write_registry(dir.path(), "plant-b");
    let (code, out, err) = ran(&["reload", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = ran(&["rejected", "--replay", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");

    let status = server.json("/api/v1/status");
    assert_eq!(status["rejected"]["unknown_pilot"], 0, "{status}");
    assert_eq!(status["committed"], 1, "{status}");
    assert_eq!(status["received"], 1, "{status}");
    let readings = server.json("/api/v1/readings?pilot=plant-b&asset=press-01&name=electricity");
    assert_eq!(readings[0]["value"], 5, "{readings}");
}

#[test]
fn readings_of_an_unknown_series_count_once_a_start_finds_it_registered() {
    let dir = TempDir::new("adopt");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let body = br#"{"at":1740787200000,"readings":[{"asset":"press-09","name":"electricity","value":5,"unit":"MWh"}]}"#;
    publish_all(server.mqtt, "adopt", QoS::AtLeastOnce, vec![("pilotline/v1/plant-a/gw1".to_owned(), body.to_vec())]);
    assert_eq!(server.json("/api/v1/status")["refused"]["unknown_series"], 1);
    assert_eq!(server.terminate(), Some(0));

    let series = "\n[[series]]\nasset = \"press-09\"\nname = \"electricity\"\nquantity = \"energy.electricity\"\n\
                  kind = \"delta\"\nunit = \"kWh\"\npart_of = \"press-01/electricity\"\n";
    std::fs::write(dir.path().join("pilots/plant-a.toml"), plant::registry("plant-a") + series).unwrap();
    let server = Server::run(dir.path());
    let path = "/api/v1/readings?pilot=plant-a&asset=press-09&name=electricity";
    eventually("the reading is taken up", || {
        let readings = server.json(path);
        readings.as_array().is_some_and(|rows| rows.iter().any(|row| row["unit"] == "kWh" && row["value"] == 5_000))
    });
}

#[test]
fn a_bad_file_leaves_the_old_registry_in_force_and_says_so() {
    let dir = TempDir::new("reload");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let file = dir.path().join("pilots/plant-a.toml");
    std::fs::write(&file, plant::registry("plant-a").replace("kind = \"counter\"", "kind = \"conter\"")).unwrap();
    let (data, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
    let (code, out, err) = ran(&["reload", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(format!("{out}{err}").contains("plant-a.toml:"), "names file and line: {out}{err}");
    let (code, _, err) = ran(&["check", "--pilots", pilots.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(err.contains("conter"), "{err}");
    publish_all(server.mqtt, "reload", QoS::AtLeastOnce, vec![energy(0, 1)]);
    assert_eq!(server.count("committed"), 1);
}

#[test]
fn a_login_speaks_for_its_pilot_only() {
    let dir = TempDir::new("login");
    plant::write_registry(dir.path(), "plant-a");
    plant::write_registry(dir.path(), "plant-b");
    let server = Server::run(dir.path());
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let (code, secret, err) = ran(&["login", "add", "gw1", "--pilot", "plant-a", "--data", data]);
    assert_eq!(code, 0, "{err}");
    let secret = secret.trim();
    let publish = |protocol: &str, pilot: &str, password: &str| {
        let body = String::from_utf8(energy(0, 1).1).unwrap();
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &server.mqtt.port().to_string(), "-V", protocol, "-q", "1"])
            .args(["-u", "gw1", "-P", password, "-t", &format!("pilotline/v1/{pilot}/gw1"), "-m", &body])
            .stderr(Stdio::null())
            .output()
            .unwrap()
    };
    assert!(publish("mqttv5", "plant-a", secret).status.success());
    assert!(!publish("mqttv5", "plant-a", "wrong").status.success());
    publish("mqttv5", "plant-b", secret);
    publish("mqttv311", "plant-b", secret);
    eventually("both refusals", || server.json("/api/v1/status")["rejected"]["not_authorized"] == 2);
    assert_eq!(server.count("committed"), 1);
    let readings = get(server.http, "/api/v1/readings?pilot=plant-b&asset=press-01&name=electricity", &[]);
    assert_eq!(readings.text().trim(), "[]");
    let (_, listed, _) = ran(&["login", "list", "--data", data]);
    assert!(listed.contains("gw1") && !listed.contains(secret), "{listed}");
}

#[test]
fn other_addresses_than_loopback_need_a_token_and_a_login() {
    let dir = TempDir::new("token");
    plant::write_registry(dir.path(), "plant-a");
    let (data, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
    let (data, pilots) = (data.to_str().unwrap(), pilots.to_str().unwrap());
    let open = ["run", "--data", data, "--pilots", pilots, "--mqtt", "127.0.0.1:0", "--http", "0.0.0.0:0"];
    let (code, _, err) = ran(&open);
    assert_ne!(code, 0);
    assert!(err.contains("pilotline token add"), "{err}");
    let (code, token, err) = ran(&["token", "add", "office", "--scope", "programme", "--data", data]);
    assert_eq!(code, 0, "{err}");
    let server = Server::start_on(&["run", "--data", data, "--pilots", pilots], "127.0.0.1:0", "0.0.0.0:0");
    let http = (std::net::Ipv4Addr::LOCALHOST, server.http.port()).into();
    assert_eq!(get(http, "/api/v1/status", &[]).status, 401);
    assert_eq!(get(http, "/", &[]).status, 401);
    assert_eq!(get(http, "/healthz", &[]).status, 200);
    let bearer = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(get(http, "/api/v1/status", &[&bearer]).status, 200);
}

#[test]
fn explain_says_what_becomes_of_a_message() {
    let dir = TempDir::new("explain");
    plant::write_registry(dir.path(), "plant-a");
    let pilots = dir.path().join("pilots");
    let mut child =
        pilotline(&["explain", "--pilots", pilots.to_str().unwrap(), "--topic", "pilotline/v1/plant-a/gw1", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
    let body = br#"{"at":1740787200000,"readings":[
        {"asset":"press-01","name":"electricity","value":1.5,"unit":"MWh"},
        {"asset":"press-02","name":"electricity","value":1.5}]}"#;
    child.stdin.take().unwrap().write_all(body).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("1500") && said.contains("kWh"), "the conversion: {said}");
    assert!(said.contains("unknown_series") && said.contains("[[series]]"), "the lines to paste: {said}");
}

#[test]
fn a_second_owner_is_told_who_holds_the_directory() {
    let dir = TempDir::new("lock");
    plant::write_registry(dir.path(), "plant-a");
    let server = Server::run(dir.path());
    let (data, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
    let second =
        ["run", "--data", data.to_str().unwrap(), "--pilots", pilots.to_str().unwrap(), "--mqtt", "127.0.0.1:0"];
    let (code, _, err) = ran(&[&second[..], &["--http", "127.0.0.1:0"]].concat());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&server.pid().to_string()), "names the owner: {err}");
}
