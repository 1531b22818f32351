//! The publish bench through a Mosquitto with its default settings, to one subscriber that throws everything away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::load::{self, Measured};

struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// None if no mosquitto is installed.
pub(crate) fn measure() -> anyhow::Result<Option<Measured>> {
    let candidates = ["mosquitto", "/usr/sbin/mosquitto"];
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let start = |program: &&str| {
        let mut command = Command::new(program);
        command.args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    };
    let Some(child) = candidates.iter().find_map(start) else { return Ok(None) };
    let broker = Broker(child);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let delivered = AtomicU64::new(0);
    let mut subscriber = subscribe(address)?;
    let measured = std::thread::scope(|scope| {
        let reader = subscriber.try_clone()?;
        let counting = scope.spawn(|| count_deliveries(reader, &delivered));
        let (acknowledged, seconds, window_ms_p99) = load::publish(address, Duration::ZERO)?;
        let arrived = delivered.load(Ordering::Relaxed);
        let (resident_mb, cpu_s) = load::usage(broker.0.id())?;
        subscriber.shutdown(std::net::Shutdown::Both)?;
        counting.join().expect("the subscriber's thread");
        let per_s = |n: u64| n as f64 / seconds;
        let (acknowledged_per_s, arrived_per_s) = (per_s(acknowledged), per_s(arrived));
        anyhow::Ok(Measured { acknowledged_per_s, arrived_per_s, window_ms_p99, resident_mb, cpu_s })
    })?;
    subscriber.flush()?;
    Ok(Some(measured))
}

/// Connects once the broker listens, and subscribes to everything with QoS 1.
fn subscribe(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let started = Instant::now();
    let mut stream = loop {
        match load::connect(address, "bench-subscriber") {
            Ok(stream) => break stream,
            Err(error) if started.elapsed() > Duration::from_secs(10) => {
                return Err(error.context("mosquitto does not listen"));
            }
            Err(_not_yet) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    stream.write_all(&[0x82, 6, 0, 1, 0, 1, b'#', 1])?;
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).context("no SUBACK")?;
    if suback[4] > 2 {
        bail!("mosquitto refused the subscription: {suback:?}");
    }
    Ok(stream)
}

/// Counts and acknowledges every PUBLISH until the connection ends.
fn count_deliveries(mut stream: TcpStream, delivered: &AtomicU64) {
    let mut buffer = Vec::new();
    let mut chunk = [0u8; 65_536];
    while let Ok(n) = stream.read(&mut chunk) {
        if n == 0 {
            return;
        }
        buffer.extend_from_slice(&chunk[..n]);
        let (used, acks) = whole_publishes(&buffer);
        buffer.drain(..used);
        delivered.fetch_add(acks.len() as u64 / 4, Ordering::Relaxed);
        if stream.write_all(&acks).is_err() {
            return;
        }
    }
}

/// How many bytes are whole packets, and the PUBACKs of the QoS 1 publishes among them.
fn whole_publishes(buffer: &[u8]) -> (usize, Vec<u8>) {
    let (mut used, mut acks) = (0, Vec::new());
    while let Some((header, length)) = packet_length(&buffer[used..]) {
        if buffer.len() < used + header + length {
            break;
        }
        let packet = &buffer[used..used + header + length];
        if packet[0] & 0xf0 == 0x30 {
            let topic = usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
            let id = &packet[header + 2 + topic..header + 4 + topic];
            acks.extend([0x40, 2, id[0], id[1]]);
        }
        used += header + length;
    }
    (used, acks)
}

/// Bytes of the fixed header, and of the rest.
fn packet_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut length, mut shift) = (0usize, 0);
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((i + 2, length));
        }
        shift += 7;
    }
    None
}
