//! The publish bench against `pilotline run`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::load::{self, CONNECTIONS, Measured};
use crate::target_dir;

/// Readings that the store holds before it is killed and started again.
const RESTART_READINGS: u64 = 10_000_000;
/// Half the messages a second that the listener must reach: where a gateway's wait is measured.
const CALM_PER_S: f64 = 75_000.0;
/// Readings of one message of the load.
const READINGS_PER_MESSAGE: u64 = 3;

/// A fresh directory with one pilot, removed when dropped.
struct Place(PathBuf);

impl Place {
    fn make() -> anyhow::Result<Place> {
        let dir = std::env::temp_dir().join(format!("pilotline-bench-{}", std::process::id()));
        let pilots = dir.join("pilots");
        std::fs::create_dir_all(&pilots)?;
        std::fs::write(pilots.join("bench.toml"), registry())?;
        Ok(Place(dir))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A directory that is left behind is the system's temporary one's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server, killed when dropped.
struct Running {
    child: Child,
    mqtt: SocketAddr,
    http: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(place: &Place) -> anyhow::Result<Running> {
        let mut child = Command::new(target_dir().join("release/pilotline"))
            .args(["run", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(place.0.join("data"))
            .arg("--pilots")
            .arg(place.0.join("pilots"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start pilotline")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let mut address = |prefix: &str| -> anyhow::Result<SocketAddr> {
            let line = lines.next().context("pilotline ended before it was ready")??;
            let address = line.strip_prefix(prefix).with_context(|| format!("`{line}` is not `{prefix}…`"))?;
            Ok(address.trim_end_matches('/').parse()?)
        };
        let (mqtt, http) = (address("mqtt ")?, address("open http://")?);
        Ok(Running { child, mqtt, http })
    }
}

/// Publishes against a fresh server; what arrived is what its status says is committed.
pub(crate) fn measure() -> anyhow::Result<Measured> {
    let place = Place::make()?;
    let running = Running::start(&place)?;
    let (acknowledged, seconds, window_ms_p99) = load::publish(running.mqtt, Duration::ZERO)?;
    let (resident_mb, cpu_s) = load::usage(running.child.id())?;
    let committed = committed(running.http)?;
    ensure!(committed == acknowledged, "{acknowledged} were acknowledged and {committed} are committed");
    let per_s = acknowledged as f64 / seconds;
    let (calm, seconds, calm_ms_p99) = load::publish(running.mqtt, load::pace(CALM_PER_S))?;
    println!("at {:.0} messages a second: p99 of a window {calm_ms_p99:.1} ms", calm as f64 / seconds);
    Ok(Measured { acknowledged_per_s: per_s, arrived_per_s: per_s, window_ms_p99, resident_mb, cpu_s })
}

/// Fills a store, kills the server right after the load, starts it again: (messages acknowledged before, seconds from
/// the start of the process to the first PUBACK).
pub(crate) fn restart() -> anyhow::Result<(u64, f64)> {
    let place = Place::make()?;
    let mut running = Running::start(&place)?;
    let mut acknowledged = 0;
    while acknowledged * READINGS_PER_MESSAGE < RESTART_READINGS {
        acknowledged += load::publish(running.mqtt, Duration::ZERO)?.0;
    }
    running.child.kill()?;
    drop(running);
    let started = Instant::now();
    let running = Running::start(&place)?;
    load::publish_one(running.mqtt)?;
    Ok((acknowledged, started.elapsed().as_secs_f64()))
}

/// `committed` of `/api/v1/status`, once everything is in.
fn committed(http: SocketAddr) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(http)?;
    write!(stream, "GET /api/v1/status HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let number = answer.split("\"committed\":").nth(1).context("no `committed` in the status")?;
    let digits: String = number.trim_start().chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// One pilot with three series per connection.
fn registry() -> String {
    let mut text = String::from(
        r#"[pilot]
id = "bench"
name = { zh = "压测", en = "Bench" }
enterprise = "Bench"
region = "wuchangshi"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
programme = "xinjiang-2025"

[baseline]
from = 2015-01-01
to = 2015-12-31
"#,
    );
    let series = [
        ("electricity", "energy.electricity", "counter", "kWh"),
        ("power", "power.active", "gauge", "kW"),
        ("good", "output.good", "delta", "piece"),
    ];
    for connection in 0..CONNECTIONS {
        for (name, quantity, kind, unit) in series {
            text += &format!(
                "\n[[series]]\nasset = \"line-{connection}\"\nname = \"{name}\"\nquantity = \"{quantity}\"\nkind = \"{kind}\"\nunit = \"{unit}\"\n"
            );
        }
    }
    text
}
