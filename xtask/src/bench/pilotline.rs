//! The publish bench against `pilotline run`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use super::load::{self, CONNECTIONS, Measured};
use crate::target_dir;

/// Stops the server and removes its directory, whatever happened.
struct Running {
    child: Child,
    dir: std::path::PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Publishes against a fresh server; what arrived is what its status says is committed.
pub(crate) fn measure() -> anyhow::Result<Measured> {
    let dir = std::env::temp_dir().join(format!("pilotline-bench-{}", std::process::id()));
    let pilots = dir.join("pilots");
    std::fs::create_dir_all(&pilots)?;
    std::fs::write(pilots.join("bench.toml"), registry())?;
    let mut child = Command::new(target_dir().join("release/pilotline"))
        .args(["run", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
        .arg(dir.join("data"))
        .arg("--pilots")
        .arg(&pilots)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start pilotline")?;
    let output = BufReader::new(child.stdout.take().context("no standard output")?);
    let running = Running { child, dir };
    let (mut mqtt, mut http) = (None, None);
    for line in output.lines() {
        let line = line?;
        if let Some(address) = line.strip_prefix("mqtt ") {
            mqtt = Some(address.parse::<SocketAddr>()?);
        }
        if let Some(address) = line.strip_prefix("open http://") {
            http = Some(address.trim_end_matches('/').parse::<SocketAddr>()?);
            break;
        }
    }
    let (mqtt, http) = (mqtt.context("no line `mqtt …`")?, http.context("no line `open http://…`")?);
    let (acknowledged, seconds, window_ms_p99) = load::publish(mqtt)?;
    let (resident_mb, cpu_s) = load::usage(running.child.id())?;
    let committed = committed(http)?;
    ensure!(committed == acknowledged, "{acknowledged} were acknowledged and {committed} are committed");
    let per_s = acknowledged as f64 / seconds;
    Ok(Measured { acknowledged_per_s: per_s, arrived_per_s: per_s, window_ms_p99, resident_mb, cpu_s })
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
