//! Measures a Sparkplug DDATA with 20 aliases, on one core: the protobuf alone, and the host as a door calls it; then a storm of
//! 2,000 edge nodes that all need a rebirth, on a simulated clock:
//! `cargo run --release -p pilotline-ingest --example bench_sparkplug`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bumpalo::Bump;
use ingest::mapping::Mappings;
use ingest::sparkplug::{Host, Received, Settings};
use model::{PilotId, UnixMillis};
use prost::Message as _;

const N_VALUES: u64 = 20;
const ROUNDS: usize = 4_000;
const REPEATS: usize = 25;
const AT: u64 = 1_740_787_800_000;

/// As much of the payload as the messages measured hold.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(double, optional, tag = "13")]
    double: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (host, mappings) = (Host::new(Settings::default()), Mappings::builtin());
    let (door, pilot): (Arc<str>, _) = ("listener".into(), PilotId::parse("p-1")?);
    let receive = |topic: &str, payload: &[u8]| {
        let received_at = UnixMillis(i64::try_from(AT).unwrap_or(0));
        let received =
            Received { door: &door, pilot: &pilot, topic, payload, received_at, retained: false, mappings: &mappings };
        let arena = Bump::new();
        host.receive(received, &arena).map_or(0, |message| message.readings.iter().filter(|row| row.is_ok()).count())
    };
    receive("spBv1.0/Plant1/NBIRTH/GW", &payload(0, |_| None));
    receive("spBv1.0/Plant1/DBIRTH/GW/Cell7", &payload(1, |place| Some(format!("Energy/Line {place}/Total_kWh"))));
    let messages: Vec<Vec<u8>> = (0..=255).map(|seq| payload(seq, |_| None)).collect();
    println!("{} bytes, {N_VALUES} aliases", messages[2].len());
    let mut turn = 1;
    let mut next = || {
        turn = (turn + 1) % messages.len();
        &messages[turn]
    };
    assert_eq!(receive("spBv1.0/Plant1/DDATA/GW/Cell7", next()), 20);
    println!("protobuf alone  {:.2} us", fastest(|| decoded(black_box(next()))));
    println!("host            {:.2} us", fastest(|| receive("spBv1.0/Plant1/DDATA/GW/Cell7", black_box(next()))));
    storm(&mappings, &messages[2])
}

const STORM_NODES: usize = 2_000;
const STORM_SECONDS: i64 = 3_600;

/// Every node sends data a second and its births were missed; nobody ever answers. Says how many requests left in the busiest
/// second, and how the resident memory moved.
fn storm(mappings: &Mappings, data: &[u8]) -> Result<(), Box<dyn Error>> {
    let host = Host::new(Settings::default());
    let (door, pilot): (Arc<str>, _) = ("listener".into(), PilotId::parse("p-1")?);
    let topics: Vec<String> = (0..STORM_NODES).map(|node| format!("spBv1.0/Plant1/DDATA/GW{node}/Cell7")).collect();
    let (start, mut most, mut asked) = (i64::try_from(AT)?, 0, 0);
    println!("storm of {STORM_NODES} edge nodes without births, {STORM_SECONDS} s");
    for second in 0..STORM_SECONDS {
        let received_at = UnixMillis(start + second * 1_000);
        for topic in &topics {
            let (door, pilot, payload) = (&door, &pilot, data);
            let received = Received { door, pilot, topic, payload, received_at, retained: false, mappings };
            let arena = Bump::new();
            let _refused = black_box(host.receive(received, &arena).is_ok());
        }
        let in_second: usize = (0..10).map(|tenth| host.due(received_at.plus(tenth * 100)).commands.len()).sum();
        (most, asked) = (most.max(in_second), asked + in_second);
        if [0, 600, 1_800, STORM_SECONDS - 1].contains(&second) {
            println!("  after {:3} s: {asked:6} requests, {} MB resident", second + 1, resident_mb()?);
        }
    }
    println!("  busiest second: {most} requests; the rate asked for is {}", Settings::default().rebirths_per_s);
    Ok(())
}

/// Resident memory of this process; Linux only, 0 elsewhere.
fn resident_mb() -> Result<u64, Box<dyn Error>> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1_024)
}

fn decoded(bytes: &[u8]) -> usize {
    Payload::decode(bytes).map_or(0, |payload| payload.metrics.len())
}

fn payload(seq: u64, name: impl Fn(u64) -> Option<String>) -> Vec<u8> {
    let metric = |place| Metric {
        name: name(place),
        alias: Some(100 + place),
        timestamp: Some(AT + place),
        datatype: Some(10),
        double: Some(1234.5),
    };
    let metrics = (0..N_VALUES).map(metric).collect();
    Payload { timestamp: Some(AT), metrics, seq: Some(seq) }.encode_to_vec()
}

/// Microseconds per call in the fastest round. A round is far shorter than a time slice, so that some are undisturbed.
fn fastest(mut work: impl FnMut() -> usize) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..REPEATS {
            black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / REPEATS as f64);
    }
    best
}
