//! Sparkplug B edge nodes of others against the listener: births, data, both ways to die, a rebirth on request, compression.
//!
//! Three libraries that know nothing of this repository, each in a program that takes values from its standard input.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Server, TempDir, eventually, ran};
use crate::plant;

/// An edge node that runs.
struct Edge {
    child: Child,
}

/// The libraries, and whether they answer a rebirth request.
const EDGES: [(&str, bool); 4] = [("pysparkplug", false), ("tahu", true), ("tahu-compressed", true), ("srad", true)];

pub(crate) fn tool(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `cargo xtask test` installs and sets it"))
}

impl Edge {
    fn start(library: &str, server: &Server) -> Edge {
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
        command.arg(server.mqtt.port().to_string()).arg("Edge-A");
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

#[test]
fn births_data_and_both_deaths_of_other_libraries_are_taken() {
    for (library, _) in EDGES {
        let dir = TempDir::new("sparkplug");
        plant::write_registry(dir.path(), "plant-a");
        write_registry(dir.path());
        let server = Server::run(dir.path());
        let mut edge = Edge::start(library, &server);
        wait_for(&server, library, 10.0);
        edge.publish(10.5);
        wait_for(&server, library, 10.5);
        edge.publish(11.25);
        wait_for(&server, library, 11.25);
        let before = server.count("received");
        edge.stop();
        eventually(&format!("{library}: its goodbye"), || server.count("received") > before);
        let mut edge = Edge::start(library, &server);
        wait_for(&server, library, 10.0);
        edge.publish(12.0);
        wait_for(&server, library, 12.0);
        let before = server.count("received");
        drop(edge); // Killed: its Will is its death.
        eventually(&format!("{library}: its Will"), || server.count("received") == before + 1);
        assert_eq!(rejected(&server), 0, "{library}");
        check_accounting(&server, library);
        assert_eq!(server.terminate(), Some(0));
    }
}

#[test]
fn an_edge_node_whose_births_were_missed_is_asked_for_them() {
    for (library, answers) in EDGES {
        let dir = TempDir::new("rebirth");
        plant::write_registry(dir.path(), "plant-a");
        let server = Server::run(dir.path());
        let mut edge = Edge::start(library, &server);
        // Its topics belong to no pilot yet: the births are refused.
        eventually(&format!("{library}: births refused"), || rejected(&server) >= 2);
        write_registry(dir.path());
        let data = dir.path().join("data");
        let (code, _, said) = ran(&["reload", "--data", data.to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
        let (mut value, mut n_tries) = (20.0, 0);
        if answers {
            // The first value asks for the births; what comes after them has a name.
            edge.publish(value);
            eventually(&format!("{library}: births on request"), || !values(&server).is_empty());
        }
        eventually(&format!("{library}: data after the births"), || {
            n_tries += 1;
            value += 0.5;
            edge.publish(value);
            values(&server).last().is_some_and(|last| *last > 20.0)
        });
        check_accounting(&server, library);
        edge.stop();
        assert_eq!(server.terminate(), Some(0));
        assert!(n_tries > 0);
    }
}

#[test]
fn a_restart_under_connected_edge_nodes_goes_on_with_their_data() {
    for (library, _) in EDGES.into_iter().filter(|(library, _)| *library != "pysparkplug") {
        let dir = TempDir::new("restart");
        plant::write_registry(dir.path(), "plant-a");
        write_registry(dir.path());
        let server = Server::run(dir.path());
        let mut edge = Edge::start(library, &server);
        wait_for(&server, library, 10.0);
        let (mqtt, http) = (server.mqtt.to_string(), server.http.to_string());
        server.kill();
        let (data, pilots) = (dir.path().join("data"), dir.path().join("pilots"));
        let arguments = ["run", "--data", data.to_str().unwrap(), "--pilots", pilots.to_str().unwrap()];
        let server = Server::start_on(&arguments, &mqtt, &http);
        let mut value = 30.0;
        eventually(&format!("{library}: data after a restart"), || {
            value += 0.5;
            edge.publish(value);
            values(&server).last().is_some_and(|last| *last > 30.0)
        });
        check_accounting(&server, library);
        edge.stop();
    }
}
