//! The load: raw MQTT 3.1.1 publishers, each a thread with one connection and a window of unacknowledged messages.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Connections of the bench: fifty gateways.
pub(crate) const CONNECTIONS: usize = 50;
/// Unacknowledged messages of one connection.
const WINDOW: usize = 100;
/// How long the load runs.
const SECONDS: u64 = 8;
/// Bytes of one payload.
const PAYLOAD_BYTES: usize = 250;

/// More than one connection can send in one run.
const MESSAGES_MAX: u64 = 1_000_000;
/// Publishers started so far, [`CONNECTIONS`] a run.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// What came out of one run.
pub(crate) struct Measured {
    /// Messages a second that the publishers were acknowledged.
    pub(crate) acknowledged_per_s: f64,
    /// Messages a second that arrived behind the server: committed, or delivered to a subscriber.
    pub(crate) arrived_per_s: f64,
    /// Of the windows: time from the write to its last PUBACK, 99th percentile.
    pub(crate) window_ms_p99: f64,
    pub(crate) resident_mb: f64,
    /// CPU seconds of the server.
    pub(crate) cpu_s: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.0} acknowledged/s  {:>9.0} arrived/s  p99 of a window of {WINDOW}: {:.1} ms  server: {:.1} CPU s, {:.0} MB resident",
            self.acknowledged_per_s, self.arrived_per_s, self.window_ms_p99, self.cpu_s, self.resident_mb
        )
    }
}

/// The time between two windows of a connection at which all connections together send so many messages a second.
pub(crate) fn pace(messages_per_s: f64) -> Duration {
    Duration::from_secs_f64((WINDOW * CONNECTIONS) as f64 / messages_per_s)
}

/// Publishes from [`CONNECTIONS`] connections for some seconds, a window every `pace` or as fast as acknowledgements come:
/// (acknowledged, seconds, p99 of a window in ms).
pub(crate) fn publish(to: SocketAddr, pace: Duration) -> anyhow::Result<(u64, f64, f64)> {
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    let mut windows_ms: Vec<f64> = std::thread::scope(|scope| {
        let publisher = |n| {
            let (acknowledged, stop) = (&acknowledged, &stop);
            scope.spawn(move || publish_until((to, pace), n, acknowledged, stop))
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(publisher).collect();
        std::thread::sleep(Duration::from_secs(SECONDS));
        stop.store(true, Ordering::Relaxed);
        let joined = threads.into_iter().map(|thread| thread.join().expect("a publisher's thread"));
        joined.collect::<anyhow::Result<Vec<_>>>().map(|all| all.concat())
    })?;
    let seconds = started.elapsed().as_secs_f64();
    windows_ms.sort_by(f64::total_cmp);
    ensure!(!windows_ms.is_empty(), "no window of messages was acknowledged");
    let p99 = windows_ms[windows_ms.len() * 99 / 100];
    Ok((acknowledged.into_inner(), seconds, p99))
}

/// One publisher: writes a window, waits for its acknowledgements, until told to stop. Gives the time of each window.
fn publish_until(
    (to, pace): (SocketAddr, Duration),
    n: usize,
    acknowledged: &AtomicU64,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<f64>> {
    // Every run sends readings of its own time, so that nothing is a duplicate.
    let mut seq = RUNS.fetch_add(1, Ordering::Relaxed) / CONNECTIONS as u64 * MESSAGES_MAX;
    let mut stream = connect(to, &format!("bench-{n}"))?;
    let mut windows_ms = Vec::new();
    // Connections begin one after the other, so that their windows do not come as one burst.
    std::thread::sleep(pace.mul_f64(n as f64 / CONNECTIONS as f64));
    while !stop.load(Ordering::Relaxed) {
        let mut bytes = Vec::with_capacity(WINDOW * (PAYLOAD_BYTES + 40));
        for packet_id in 1..=WINDOW {
            push_publish(&mut bytes, n, seq, u16::try_from(packet_id)?);
            seq += 1;
        }
        let sent = Instant::now();
        stream.write_all(&bytes)?;
        // A PUBACK of MQTT 3.1.1 has four bytes.
        let mut acks = [0u8; WINDOW * 4];
        stream.read_exact(&mut acks).context("the server closed the connection")?;
        windows_ms.push(sent.elapsed().as_secs_f64() * 1e3);
        acknowledged.fetch_add(WINDOW as u64, Ordering::Relaxed);
        std::thread::sleep(pace.saturating_sub(sent.elapsed()));
    }
    Ok(windows_ms)
}

/// Publishes one message and waits for its PUBACK.
pub(crate) fn publish_one(to: SocketAddr) -> anyhow::Result<()> {
    let mut stream = connect(to, "bench-one")?;
    let mut bytes = Vec::new();
    push_publish(&mut bytes, CONNECTIONS, 0, 1);
    stream.write_all(&bytes)?;
    let mut ack = [0u8; 4];
    stream.read_exact(&mut ack).context("no PUBACK")?;
    Ok(())
}

/// Connects and waits for CONNACK.
pub(crate) fn connect(to: SocketAddr, client_id: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60];
    push_text(&mut body, client_id)?;
    let mut packet = vec![0x10];
    push_length(&mut packet, body.len());
    packet.extend(body);
    stream.write_all(&packet)?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    ensure!(connack == [0x20, 2, 0, 0], "the server refused the connection: {connack:?}");
    Ok(stream)
}

/// A message as a gateway of a small plant sends it: three readings, with boot and seq, padded to the size.
fn push_publish(bytes: &mut Vec<u8>, connection: usize, seq: u64, packet_id: u16) {
    let topic = format!("pilotline/v1/bench/gw-{connection}");
    let at = 1_700_000_000_000 + seq * 100;
    let mut payload = format!(
        r#"{{"boot":1,"seq":{seq},"at":{at},"readings":[{{"asset":"line-{connection}","name":"electricity","value":{}.5}},{{"asset":"line-{connection}","name":"power","value":{}.25}},{{"asset":"line-{connection}","name":"good","value":1}}]"#,
        seq * 2,
        seq % 97
    );
    while payload.len() < PAYLOAD_BYTES - 1 {
        payload.push(' ');
    }
    payload.push('}');
    bytes.push(0x32);
    push_length(bytes, 2 + topic.len() + 2 + payload.len());
    push_text(bytes, &topic).expect("a short topic");
    bytes.extend(packet_id.to_be_bytes());
    bytes.extend(payload.as_bytes());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    bytes.extend(u16::try_from(text.len())?.to_be_bytes());
    bytes.extend(text.as_bytes());
    Ok(())
}

/// MQTT's variable length.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length % 128).expect("below 128");
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

/// Resident megabytes and CPU seconds of a process, from /proc.
pub(crate) fn usage(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    let kb: f64 = line.split_whitespace().nth(1).context("no number in VmRSS")?.parse()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name may hold blanks: fields count from behind its closing bracket. Ticks are 1/100 s on Linux.
    let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok((kb / 1024.0, ticks / 100.0))
}
