//! Sparkplug B edge nodes of others against both doors: births, data, both ways to die, a rebirth on request, compression.
//!
//! Three libraries that know nothing of this repository, each in a program that takes values from its standard input. They
//! connect to our listener, or to a Mosquitto that `pilotline ingest` is a host application of.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Server, TempDir, eventually, ran};
use crate::mosquitto::Mosquitto;
use crate::plant;

/// An edge node that runs.
struct Edge {
    child: Child,
}

/// The libraries, and whether they answer a rebirth request.
const EDGES: [(&str, bool); 4] = [("pysparkplug", false), ("tahu", true), ("tahu-compressed", true), ("srad", true)];

/// The same with every library, all at once: they wait most of the time.
fn with_each(check: impl Fn(&'static str, bool) + Sync) {
    std::thread::scope(|scope| {
        for (library, answers) in EDGES {
            let check = &check;
            scope.spawn(move || check(library, answers));
        }
    });
}

pub(crate) fn tool(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `cargo xtask test` installs and sets it"))
}

impl Edge {
    fn start(library: &str, site: &Site) -> Edge {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process");
        let mut command = match library {
            "pysparkplug" => {
                let mut python = Command::new(tool("PILOTLINE_SPARKPLUG_PYTHON"));
                python.arg(scripts.join("edge.py"));
                python
            }
            "srad" => Command::new(tool("PILOTLINE_SRAD_EDGE")),
            _ => {
                let mut node = Command::new("node");
                node.env("NODE_PATH", tool("PILOTLINE_NODE_MODULES")).arg(scripts.join("edge.js"));
                node
            }
        };
        command.arg(site.port().to_string()).arg("Edge-A");
        command.args((library == "tahu-compressed").then_some("compress"));
        Edge { child: command.stdin(Stdio::piped()).spawn().unwrap() }
    }

    fn publish(&mut self, value: f64) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{value}").unwrap();
    }

    /// Ends its input, and waits until it has said goodbye.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the edge nodes connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Listener,
    /// With us over this version of MQTT: 3 for 3.1.1, or 5.
    Broker(u8),
}

/// A server behind one of the doors.
struct Site {
    server: Server,
    broker: Option<Mosquitto>,
    dir: TempDir,
}

impl Site {
    /// With a registry that binds the edge nodes' topics, or one that does not yet.
    fn start(door: Door, is_bound: bool) -> Site {
        let dir = TempDir::new("sparkplug");
        plant::write_registry(dir.path(), "plant-a");
        if is_bound {
            write_registry(dir.path());
        }
        let config = dir.path().join("pilotline.toml");
        let broker = match door {
            Door::Listener => {
                std::fs::write(config, "").unwrap();
                None
            }
            Door::Broker(protocol) => {
                let broker = Mosquitto::start(dir.path());
                let address = broker.address;
                let text = format!("[[door.broker]]\nname = \"b\"\naddress = \"{address}\"\nprotocol = {protocol}\n");
                std::fs::write(config, text).unwrap();
                Some(broker)
            }
        };
        let server = Site::serve(&dir, "127.0.0.1:0", "127.0.0.1:0");
        Site { server, broker, dir }
    }

    fn serve(dir: &TempDir, mqtt: &str, http: &str) -> Server {
        let paths = ["pilotline.toml", "data", "pilots"].map(|name| dir.path().join(name));
        let [config, data, pilots] = [0, 1, 2].map(|n| paths[n].to_str().unwrap());
        let arguments = ["run", "--config", config, "--data", data, "--pilots", pilots];
        let server = Server::start_on(&arguments, mqtt, http);
        eventually("the door is ready", || server.get("/readyz").status == 200);
        server
    }

    fn port(&self) -> u16 {
        self.broker.as_ref().map_or(self.server.mqtt, |broker| broker.address).port()
    }

    /// SIGKILL, and a new process on the same addresses.
    fn restart(self) -> Site {
        let Site { server, broker, dir } = self;
        let (mqtt, http) = (server.mqtt.to_string(), server.http.to_string());
        server.kill();
        let server = Site::serve(&dir, &mqtt, &http);
        Site { server, broker, dir }
    }
}

/// A registry that binds the edge nodes' topics, with the counter of the mill.
pub(crate) fn write_registry(dir: &Path) {
    let topics = "zone = \"Asia/Shanghai\"\ntopics = [\"spBv1.0/TestPlant/#\"]";
    let bound = plant::registry("plant-a").replace("zone = \"Asia/Shanghai\"", topics);
    let mill = "\n[[series]]\nasset = \"TestPlant/Edge-A/Mill02\"\nname = \"Energy/Total_kWh\"\n\
                quantity = \"energy.electricity\"\nkind = \"counter\"\nunit = \"kWh\"\nplausible = [0, 1e9]\n";
    std::fs::write(dir.join("pilots/plant-a.toml"), bound + mill).unwrap();
}

/// The values of the mill's counter, in order.
fn values(server: &Server) -> Vec<f64> {
    let readings = server.json("/api/v1/readings?pilot=plant-a&asset=TestPlant/Edge-A/Mill02&name=Energy/Total_kWh");
    readings.as_array().unwrap().iter().filter_map(|reading| reading["value"].as_f64()).collect()
}

/// Waits until a value is the last one.
fn wait_for(server: &Server, library: &str, value: f64) {
    eventually(&format!("{library}: {value} as the last reading"), || values(server).last() == Some(&value));
}

/// Waits until the page of gateways says of the edge node what it says of its state.
fn wait_for_state(server: &Server, library: &str, state: &str) {
    eventually(&format!("{library}: {state}"), || {
        let sources = server.json("/api/v1/gateways?pilot=plant-a")["sources"].clone();
        let node = sources.as_array().unwrap().iter().find(|source| source["name"] == "TestPlant/Edge-A");
        node.is_some_and(|node| node["edge_node"]["state"] == state)
    });
}

/// Messages rejected, whatever the reason.
fn rejected(server: &Server) -> u64 {
    let status = server.json("/api/v1/status");
    status["rejected"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum()
}

fn check_accounting(server: &Server, library: &str) {
    // What an edge node sends meanwhile may come between the questions, so that equality is waited for.
    let (received, committed) = (|| server.count("received"), || server.count("committed"));
    eventually(&format!("{library}: received = committed + duplicate + rejected"), || {
        received() == committed() + server.count("duplicate") + rejected(server)
    });
}

/// Publishes ever higher values until one is a reading: before its births an edge node's value may have no name.
fn publish_until_read(edge: &mut Edge, library: &str, server: &Server, from: f64) {
    let mut value = from;
    eventually(&format!("{library}: data above {from}"), || {
        value += 0.5;
        edge.publish(value);
        values(server).last().is_some_and(|last| *last > from)
    });
}

#[test]
fn births_data_and_both_deaths_are_taken_at_the_listener() {
    check_births_data_and_deaths(Door::Listener);
}

#[test]
fn births_data_and_both_deaths_are_taken_through_a_broker() {
    check_births_data_and_deaths(Door::Broker(5));
}

#[test]
fn births_data_and_both_deaths_are_taken_through_a_broker_over_mqtt_3_1_1() {
    check_births_data_and_deaths(Door::Broker(3));
}

fn check_births_data_and_deaths(door: Door) {
    with_each(|library, _| {
        let site = Site::start(door, true);
        let server = &site.server;
        let mut edge = Edge::start(library, &site);
        wait_for(server, library, 10.0);
        edge.publish(10.5);
        wait_for(server, library, 10.5);
        edge.publish(11.25);
        wait_for(server, library, 11.25);
        wait_for_state(server, library, "online");
        let before = server.count("received");
        edge.stop();
        eventually(&format!("{library}: its goodbye"), || server.count("received") > before);
        if library != "pysparkplug" {
            wait_for_state(server, library, "offline"); // That one counts up before it dies: it is asked whether it lives.
        }
        let mut edge = Edge::start(library, &site);
        wait_for(server, library, 10.0);
        edge.publish(12.0);
        wait_for(server, library, 12.0);
        let before = server.count("received");
        drop(edge); // Killed: its Will is its death.
        eventually(&format!("{library}: its Will"), || server.count("received") == before + 1);
        wait_for_state(server, library, "offline");
        assert_eq!(rejected(server), 0, "{library}");
        check_accounting(server, library);
        assert_eq!(site.server.terminate(), Some(0));
    });
}

#[test]
fn an_edge_node_whose_births_were_missed_is_asked_for_them_at_the_listener() {
    check_missed_births(Door::Listener);
}

#[test]
fn an_edge_node_whose_births_were_missed_is_asked_for_them_through_a_broker() {
    check_missed_births(Door::Broker(5));
}

fn check_missed_births(door: Door) {
    with_each(|library, answers| {
        // The edge nodes' topics belong to no pilot yet.
        let site = Site::start(door, false);
        let server = &site.server;
        let born = site.broker.as_ref().map(|broker| broker.listen("spBv1.0/+/DBIRTH/#", 1));
        let asked = site.broker.as_ref().map(|broker| broker.listen("spBv1.0/TestPlant/NCMD/Edge-A", 1));
        let mut edge = Edge::start(library, &site);
        match born {
            // Nobody has subscribed.
            Some(born) => drop(born.wait()),
            None => eventually(&format!("{library}: births refused"), || rejected(server) >= 2),
        }
        write_registry(site.dir.path());
        let data = site.dir.path().join("data");
        let (code, _, said) = ran(&["reload", "--data", data.to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
        if let Some(broker) = &site.broker {
            let state = "spBv1.0/STATE/pilotline";
            eventually("STATE online", || broker.retained(state).contains("true"));
        }
        if answers {
            // The first value asks for the births; what comes after them has a name.
            edge.publish(20.0);
            eventually(&format!("{library}: births on request"), || !values(server).is_empty());
        }
        publish_until_read(&mut edge, library, server, 20.0);
        drop(asked.map(crate::mosquitto::Heard::wait));
        check_accounting(server, library);
        edge.stop();
        assert_eq!(site.server.terminate(), Some(0));
    });
}

#[test]
fn a_restart_under_connected_edge_nodes_goes_on_with_their_data_at_the_listener() {
    check_restart(Door::Listener);
}

#[test]
fn a_restart_under_connected_edge_nodes_goes_on_with_their_data_through_a_broker() {
    check_restart(Door::Broker(5));
}

fn check_restart(door: Door) {
    with_each(|library, _| {
        let site = Site::start(door, true);
        let mut edge = Edge::start(library, &site);
        wait_for(&site.server, library, 10.0);
        let mut site = site.restart();
        publish_until_read(&mut edge, library, &site.server, 30.0);
        if let Some(broker) = &mut site.broker {
            broker.restart(false);
            publish_until_read(&mut edge, library, &site.server, 100.0);
        }
        check_accounting(&site.server, library);
        edge.stop();
    });
}

#[test]
fn state_says_online_while_the_host_is_there_and_offline_once_it_stopped_or_died() {
    let topic = "spBv1.0/STATE/pilotline";
    let site = Site::start(Door::Broker(5), true);
    let broker = site.broker.as_ref().unwrap();
    assert!(broker.retained(topic).starts_with(r#"{"online":true,"timestamp":"#));
    let site = site.restart();
    let broker = site.broker.as_ref().unwrap();
    assert!(
        broker.retained(topic).starts_with(r#"{"online":true,"timestamp":"#),
        "after the Will of the killed process"
    );
    let said = broker.listen(topic, 2); // The retained one, and the death.
    assert_eq!(site.server.terminate(), Some(0));
    assert!(said.wait()[1].starts_with(&format!(r#"{topic} {{"online":false,"timestamp":"#)));
    assert!(broker.retained(topic).starts_with(r#"{"online":false,"timestamp":"#));
}
