//! Measures decoding and normalizing of one message of about 1 kB with 20 values, on one core:
//! `cargo run --release -p pilotline-ingest --example bench_decode`.

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ingest::decode::decode;
use ingest::foreign::Foreign;
use ingest::index::Index;
use ingest::mapping::Mappings;
use ingest::normalize::{Outcome, normalize};
use ingest::observation::LISTENER;
use ingest::{Identity, Observation};
use model::registry::parse_pilot;
use model::{PilotId, Registry, UnixMillis};
use store::{Access, Store};

const N_VALUES: usize = 20;
const ROUNDS: usize = 4_000;
const REPEATS: usize = 25;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("pilotline-bench-decode-{}", std::process::id()));
    let measured = measure(&Store::open(&dir, Access::Owner)?);
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn measure(store: &Arc<Store>) -> Result<(), Box<dyn Error>> {
    let index = Index::new(registry()?, Arc::clone(store));
    let observation = Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: "pilotline/v1/p-1/gw".to_owned(),
        payload: payload()?.into(),
        received_at: UnixMillis(1_740_787_800_000),
        qos: 1,
        dup: false,
        retained: false,
    };
    println!("{} bytes, {N_VALUES} values", observation.payload.len());
    let one = || match normalize(&observation, &Identity::Anonymous, &index) {
        Outcome::Accepted(accepted) => accepted.readings.len(),
        Outcome::Rejected(rejected) => panic!("{:?}", rejected.refusals),
    };
    assert_eq!(one(), N_VALUES);
    let decoding = fastest(|| decode(black_box(&observation.payload)).map_or(0, |message| message.readings.len()));
    println!("decode              {decoding:.2} us");
    println!("decode + normalize  {:.2} us", fastest(one));
    measure_mapped(store)
}

/// A mapping like the built-in one for Neuron, so that the figure does not move with the profile.
const MAPPING: &str = r#"
[[rule]]
name = "tags"
topics = ["/plant/{app}/upload"]
when = "$.tags"
each = [{ rows = "$.tags" }]
time = [{ path = "$.timestamp", format = "unix_ms" }]
asset = "{$.node}"
metric = "{row.name}"
value = "row.value"
bad_if = "row.error"
"#;

/// The same for a message of another gateway: through a mapping, and next to it a plain walk of a `serde_json::Value`.
fn measure_mapped(store: &Arc<Store>) -> Result<(), Box<dyn Error>> {
    let mappings = Mappings::load(vec![("bench.toml".to_owned(), MAPPING.to_owned())]);
    let mappings = mappings.map_err(|mistakes| format!("{mistakes:?}"))?;
    let foreign = Arc::new(Foreign::builtin().with_mappings(mappings));
    let index = Index::with(tags_registry()?, Arc::clone(store), foreign);
    let observation = Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: "/plant/gw/upload".to_owned(),
        payload: tags_payload()?.into(),
        received_at: UnixMillis(1_740_787_800_000),
        qos: 1,
        dup: false,
        retained: false,
    };
    println!("{} bytes, {N_VALUES} values, through a mapping", observation.payload.len());
    let one = || match normalize(&observation, &Identity::Anonymous, &index) {
        Outcome::Accepted(accepted) => accepted.readings.len(),
        Outcome::Rejected(rejected) => panic!("{:?}", rejected.refusals),
    };
    assert_eq!(one(), N_VALUES);
    let (mappings, dictionaries) = (&index.foreign().mappings, &index.foreign().dictionaries);
    let pilot = PilotId::parse("p-1")?;
    let (topic, payload) = (&*observation.topic, &observation.payload[..]);
    let decode = || mappings.count(&pilot, topic, black_box(payload), observation.received_at, dictionaries);
    assert_eq!(decode(), N_VALUES);
    assert_eq!(walked(payload), Some(N_VALUES));
    println!("mapping             {:.2} us", fastest(decode));
    println!("mapping + normalize {:.2} us", fastest(one));
    println!("serde_json::Value   {:.2} us", fastest(|| walked(black_box(payload)).unwrap_or(0)));
    Ok(())
}

/// What a program without a plan does: parse the whole, look every field up, copy the names.
fn walked(payload: &[u8]) -> Option<usize> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let (node, at) = (value.get("node")?.as_str()?, value.get("timestamp")?.as_i64()?);
    let tags = value.get("tags")?.as_array()?;
    let read = |tag: &serde_json::Value| {
        Some((node.to_owned(), tag.get("name")?.as_str()?.to_owned(), tag.get("value")?.as_f64()?, at))
    };
    let readings: Vec<_> = tags.iter().filter_map(read).collect();
    Some(black_box(readings).len())
}

fn tags_payload() -> Result<String, std::fmt::Error> {
    let mut text = r#"{"timestamp":1740787200000,"node":"modbus","group":"grp","tags":["#.to_owned();
    for n in 0..N_VALUES {
        let comma = if n == 0 { "" } else { "," };
        let value = 182_736.4 + n as f64;
        write!(text, r#"{comma}{{"name":"workshop-energy-meter-{n:02}","value":{value}}}"#)?;
    }
    text.push_str("]}");
    Ok(text)
}

fn tags_registry() -> Result<Arc<Registry>, Box<dyn Error>> {
    let mut text = HEAD.replace("name = \"P\"\n", "name = \"P\"\ntopics = [\"/plant/#\"]\n");
    for n in 0..N_VALUES {
        write!(
            text,
            "[[series]]\nasset = \"modbus\"\nname = \"workshop-energy-meter-{n:02}\"\nquantity = \"power.m{n:02}\"\n"
        )?;
        writeln!(text, "kind = \"gauge\"\nunit = \"kW\"\nplausible = [0, 1e9]")?;
    }
    parsed(&text)
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

fn payload() -> Result<String, std::fmt::Error> {
    let mut text = r#"{"boot":7,"seq":1841,"at":"2025-03-01T08:00:00+08:00","readings":["#.to_owned();
    for n in 0..N_VALUES {
        let comma = if n == 0 { "" } else { "," };
        let value = 182_736.4 + n as f64;
        write!(text, r#"{comma}{{"asset":"press-{n:02}","name":"power","value":{value}}}"#)?;
    }
    text.push_str("]}");
    Ok(text)
}

/// The pilot that both registries are of.
const HEAD: &str = "[pilot]\nid = \"p-1\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                    zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n";

fn registry() -> Result<Arc<Registry>, Box<dyn Error>> {
    let mut text = HEAD.to_owned();
    for n in 0..N_VALUES {
        write!(
            text,
            "[[series]]\nasset = \"press-{n:02}\"\nname = \"power\"\nquantity = \"power.press\"\nkind = \"gauge\"\n"
        )?;
        writeln!(text, "unit = \"kW\"\nplausible = [0, 1e9]")?;
    }
    parsed(&text)
}

fn parsed(text: &str) -> Result<Arc<Registry>, Box<dyn Error>> {
    let pilot = parse_pilot("p-1.toml", text).map_err(|mistakes| format!("{mistakes:?}"))?;
    let mut registry = Registry::default();
    registry.pilots.insert(pilot.id.clone(), Arc::new(pilot));
    Ok(Arc::new(registry))
}
