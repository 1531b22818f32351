//! A real Prometheus and a real InfluxDB on free ports, over directories of their own, and what they answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{PATIENCE, eventually, get};
use crate::mosquitto::free_address;

/// A server that is killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Series of one answer: what they are called, and `(unix seconds, value)`.
pub(crate) type Answered = Vec<(String, Vec<(f64, f64)>)>;

/// Prometheus over a configuration file; what it warns of goes to `dir/prometheus.log`.
pub(crate) fn prometheus(dir: &Path, config: &Path) -> Daemon {
    let address = free_address();
    let log = std::fs::File::create(dir.join("prometheus.log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let daemon = Daemon { child, address };
    eventually("prometheus is ready", || {
        TcpStream::connect(address).is_ok() && get(address, "/-/ready", &[]).status == 200
    });
    daemon
}

/// InfluxDB 1 without a configuration file, with an empty database.
pub(crate) fn influxdb(dir: &Path, database: &str) -> Daemon {
    let (address, home) = (free_address(), dir.join("influxdb"));
    let config = dir.join("influxdb.conf");
    std::fs::write(&config, "").unwrap();
    let child = Command::new("influxd")
        .args(["run", "-config"])
        .arg(&config)
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .env("INFLUXDB_BIND_ADDRESS", free_address().to_string())
        .env("INFLUXDB_HTTP_BIND_ADDRESS", address.to_string())
        .env("INFLUXDB_META_DIR", home.join("meta"))
        .env("INFLUXDB_DATA_DIR", home.join("data"))
        .env("INFLUXDB_DATA_WAL_DIR", home.join("wal"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let daemon = Daemon { child, address };
    eventually("influxdb is ready", || TcpStream::connect(address).is_ok() && get(address, "/ping", &[]).status == 204);
    let made = post(address, &format!("/query?q={}", escaped(&format!("CREATE DATABASE {database}"))), b"");
    assert_eq!(made, 200);
    daemon
}

/// POST; the status.
pub(crate) fn post(address: SocketAddr, path: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
        .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Percent-encoded for a query string.
pub(crate) fn escaped(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// GET of JSON that must answer 200.
pub(crate) fn asked(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path, &[]);
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// PromQL, now or, with a number of seconds, over a range that ends now, a second a step.
pub(crate) fn prom_ql(address: SocketAddr, expr: &str, seconds: Option<i64>) -> Answered {
    let now = model::clock::now().0 / 1_000;
    let path = match seconds {
        None => format!("/api/v1/query?query={}", escaped(expr)),
        Some(seconds) => {
            format!("/api/v1/query_range?query={}&start={}&end={now}&step=1", escaped(expr), now - seconds)
        }
    };
    let answer = asked(address, &path);
    let sample = |pair: &Value| (pair[0].as_f64().unwrap(), pair[1].as_str().unwrap().parse().unwrap());
    let series = |row: &Value| {
        let labels = row["metric"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
        let points = match row["values"].as_array() {
            Some(values) => values.iter().map(sample).collect(),
            None => vec![sample(&row["value"])],
        };
        (labels.collect::<Vec<_>>().join(","), points)
    };
    answer["data"]["result"].as_array().unwrap().iter().map(series).collect()
}

/// InfluxQL: a series for each tag set and column.
pub(crate) fn influx_ql(address: SocketAddr, database: &str, query: &str) -> Answered {
    let answer = asked(address, &format!("/query?db={database}&epoch=s&q={}", escaped(query)));
    let result = &answer["results"][0];
    assert!(result["error"].is_null(), "{query}: {result}");
    let mut answered = Answered::new();
    for row in result["series"].as_array().into_iter().flatten() {
        let tags = row["tags"].as_object().into_iter().flatten();
        let tags: Vec<String> = tags.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
        let columns = row["columns"].as_array().unwrap();
        for (index, column) in columns.iter().enumerate().skip(1) {
            let values = row["values"].as_array().unwrap().iter();
            let points = values.filter_map(|row| Some((row[0].as_f64().unwrap_or(0.0), row[index].as_f64()?)));
            answered.push((format!("{} {}", tags.join(","), column.as_str().unwrap()), points.collect()));
        }
    }
    answered
}
