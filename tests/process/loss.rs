//! Messages that an edge node lost cost coverage, not energy, and are seen on the page of gateways.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, TempDir, eventually};
use crate::sparkplug::{tool, write_registry};

const MILL: &str = "pilot=plant-a&asset=TestPlant/Edge-A/Mill02&name=Energy/Total_kWh";

/// A server that heard two hours of an edge node, of which `n_lost` messages never came.
fn after_loss(dir: &Path, n_lost: u32) -> Server {
    std::fs::create_dir_all(dir.join("pilots")).unwrap();
    write_registry(dir);
    let config = dir.join("pilotline.toml");
    std::fs::write(&config, "[sparkplug]\nreorder_timeout_ms = 200\n").unwrap();
    let (data, pilots) = (dir.join("data"), dir.join("pilots"));
    let server = Server::start(&[
        "run",
        "--config",
        config.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--pilots",
        pilots.to_str().unwrap(),
    ]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/lossy.py");
    let mut node = Command::new(tool("PILOTLINE_SPARKPLUG_PYTHON"));
    node.arg(script).args([server.mqtt.port().to_string(), n_lost.to_string()]);
    assert!(node.status().unwrap().success());
    server
}

/// (energy of the two hours, their quarter-hours that are fully covered)
fn rollups(server: &Server) -> (f64, usize) {
    let path = format!("/api/v1/rollups?{MILL}&window=quarter&from=2025-03-01T00:00:00Z&to=2025-03-01T02:00:00Z");
    let rows = server.json(&path);
    let rows = rows.as_array().unwrap();
    let energy = rows.iter().filter_map(|row| row["value"].as_f64()).sum();
    (energy, rows.iter().filter(|row| row["coverage"].as_f64() == Some(1.0)).count())
}

fn edge_node(server: &Server) -> Value {
    let sources = server.json("/api/v1/gateways?pilot=plant-a")["sources"].clone();
    let found = sources.as_array().unwrap().iter().find(|source| source["name"] == "TestPlant/Edge-A");
    found.unwrap_or_else(|| panic!("no edge node in {sources}")).clone()
}

#[test]
fn lost_messages_of_an_edge_node_cost_coverage_and_no_energy() {
    let dir = TempDir::new("no-loss");
    let whole = after_loss(dir.path(), 0);
    assert_eq!(rollups(&whole), (24.0, 8));
    let node = edge_node(&whole);
    assert_eq!((&node["state"], &node["missing"]), (&"sending".into(), &0.into()));
    assert_eq!(node["edge_node"]["state"], "online");

    let dir = TempDir::new("loss");
    let lossy = after_loss(dir.path(), 6);
    // From the last message before, 00:55, to the first after, 01:30: three quarter-hours are touched.
    eventually("the loss takes its quarter-hours", || rollups(&lossy) == (24.0, 5));
    let node = edge_node(&lossy);
    assert_eq!((&node["gaps"], &node["missing"]), (&1.into(), &6.into()), "{node}");
    assert_eq!(node["edge_node"]["state"], "awaiting_birth");
    let page = lossy.get("/gateways?pilot=plant-a&lang=en").text();
    assert!(page.contains("TestPlant/Edge-A") && page.contains("awaiting birth"), "{page}");
}
