//! A real Mosquitto in front of `pilotline ingest`: killed processes, a restarted broker, a poison message.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use seeds::fleet::load::LoadGateway;

use crate::harness::{Server, TempDir, eventually, pilotline};
use crate::mosquitto::Mosquitto;
use crate::plant;

/// Kills of each of the processes; `PILOTLINE_ROUNDS` raises it for a long run.
fn n_rounds() -> u32 {
    std::env::var("PILOTLINE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// A gateway of each of four pilots that publishes without an end.
struct Load {
    is_over: Arc<AtomicBool>,
    publishing: JoinHandle<u64>,
}

impl Load {
    fn start(broker: &Mosquitto) -> Load {
        let mut gateways: Vec<(LoadGateway, Child)> = (0..4)
            .map(|pilot| LoadGateway::new(pilot, 0, 1_740_787_200_000, 1_000))
            .map(|gateway| (gateway.clone(), broker.publisher(1, &gateway.topic)))
            .collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let publishing = std::thread::spawn(move || {
            let mut n_messages = 0;
            while !told.load(Ordering::Relaxed) {
                n_messages += 1;
                for (gateway, client) in &mut gateways {
                    let line = [&gateway.next_payload()[..], b"\n"].concat();
                    client.stdin.as_mut().unwrap().write_all(&line).unwrap();
                }
                std::thread::sleep(Duration::from_millis(2)); // A rate that goes on for as long as the kills do.
            }
            for (_, client) in &mut gateways {
                drop(client.stdin.take());
                assert!(client.wait().unwrap().success());
            }
            n_messages
        });
        Load { is_over, publishing }
    }

    /// How many messages each gateway has published, once the broker has all of them.
    fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.publishing.join().unwrap()
    }
}

/// `pilotline ingest` of one part of the pilots, over a data directory of its own.
fn ingest(dir: &Path, broker: &Mosquitto, shard: &str) -> Server {
    let data = dir.join(format!("data-{}", &shard[..1]));
    let (data, pilots) = (data.to_str().unwrap().to_owned(), dir.join("pilots"));
    let (url, pilots) = (broker.url(), pilots.to_str().unwrap().to_owned());
    Server::start(&["ingest", "--data", &data, "--pilots", &pilots, "--broker", &url, "--shard", shard])
}

/// The door is ready when its subscriptions stand: what is published before them is nobody's.
fn wait_until_ready(server: &Server) {
    eventually("the broker is connected", || server.get("/readyz").status == 200);
}

#[test]
fn nothing_is_lost_or_counted_twice_when_two_processes_are_killed_over_and_over() {
    let dir = TempDir::new("broker-kill");
    let pilots = dir.path().join("pilots");
    let written = pilotline(&["simulate", "--pilots", "4", "--registry"]).arg(&pilots).status().unwrap();
    assert!(written.success());
    let broker = Mosquitto::start(dir.path());
    let shards = ["1/2", "2/2"];
    let mut servers = shards.map(|shard| Some(ingest(dir.path(), &broker, shard)));
    servers.iter().flatten().for_each(wait_until_ready);
    let load = Load::start(&broker);
    for turn in (0..n_rounds()).flat_map(|_round| [0, 1]) {
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        std::thread::sleep(Duration::from_millis(20 + u64::from(nanos / 1_000 % 380)));
        servers[turn].take().unwrap().kill();
        servers[turn] = Some(ingest(dir.path(), &broker, shards[turn]));
    }
    let n_messages = load.stop();
    assert!(n_messages > 100 * u64::from(n_rounds()), "only {n_messages} messages were under way");
    let servers = servers.map(Option::unwrap);
    let committed = || servers.iter().map(|server| server.count("committed")).sum::<u64>();
    eventually(&format!("{} committed", 4 * n_messages), || committed() >= 4 * n_messages);
    assert_eq!(committed(), 4 * n_messages);
    let mut stored = BTreeSet::new();
    for server in &servers {
        for pilot in (0..4).map(seeds::fleet::load::pilot_id) {
            let answer = server.get(&format!("/api/v1/readings?pilot={pilot}&asset=em-0&name=electricity"));
            if answer.status != 200 {
                continue; // The other process has this pilot.
            }
            let rows: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            for row in rows.as_array().unwrap() {
                assert!(stored.insert((pilot.clone(), row["at"].to_string())), "stored twice: {row}");
            }
        }
        // A part of the pilots gives no figures that would pass for the whole.
        for figure in server.json("/api/v1/figures?scope=programme").as_array().unwrap() {
            assert_eq!(figure["standing"], "insufficient", "{figure}");
        }
    }
    assert_eq!(stored.len() as u64, 4 * n_messages);
}

fn pieces(n: u64) -> Vec<u8> {
    let at = 1_740_787_200_000 + n * 1_000;
    format!(r#"{{"at":{at},"readings":[{{"asset":"line-a/test","name":"good","product":"A12","value":1}}]}}"#)
        .into_bytes()
}

#[test]
fn a_broker_that_restarts_with_or_without_its_sessions_is_found_and_subscribed_again() {
    let dir = TempDir::new("broker-restart");
    plant::write_registry(dir.path(), "plant-a");
    let mut broker = Mosquitto::start(dir.path());
    let server = ingest(dir.path(), &broker, "1/1");
    wait_until_ready(&server);
    let topic = "pilotline/v1/plant-a/gw1";
    for (round, forget) in [(0, false), (1, true), (2, false)] {
        broker.restart(forget);
        // What is published before the session stands again is lost with it, so the message is sent until it arrives.
        eventually("a message after the restart", || {
            broker.publish(topic, &pieces(round));
            server.count("committed") == round + 1
        });
    }
}

#[test]
fn a_poison_message_at_the_head_of_the_queue_does_not_stop_the_rest() {
    let dir = TempDir::new("broker-poison");
    plant::write_registry(dir.path(), "plant-a");
    let broker = Mosquitto::start(dir.path());
    let server = ingest(dir.path(), &broker, "1/1");
    wait_until_ready(&server);
    broker.publish("pilotline/v1/plant-a/gw1", &pieces(0));
    eventually("a first message", || server.count("committed") == 1);
    server.kill();
    broker.publish("pilotline/v1/plant-a/gw1", &vec![b' '; 3 << 20]);
    broker.publish("pilotline/v1/plant-a/gw1", &pieces(1));
    let server = ingest(dir.path(), &broker, "1/1");
    eventually("what is behind the poison", || server.count("committed") == 2);
    assert_eq!(server.json("/api/v1/status")["rejected"]["too_large"], 1);
}
