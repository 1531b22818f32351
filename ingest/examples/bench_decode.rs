//! Measures decoding and normalizing of one message of about 1 kB with 20 values, on one core:
//! `cargo run --release -p pilotline-ingest --example bench_decode`.

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ingest::decode::decode;
use ingest::index::Index;
use ingest::normalize::{Outcome, normalize};
use ingest::observation::LISTENER;
use ingest::{Identity, Observation};
use model::registry::parse_pilot;
use model::{Registry, UnixMillis};
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
    Ok(())
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

fn registry() -> Result<Arc<Registry>, Box<dyn Error>> {
    let mut text =
        "[pilot]\nid = \"p-1\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                    zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n"
            .to_owned();
    for n in 0..N_VALUES {
        write!(
            text,
            "[[series]]\nasset = \"press-{n:02}\"\nname = \"power\"\nquantity = \"power.press\"\nkind = \"gauge\"\n"
        )?;
        writeln!(text, "unit = \"kW\"\nplausible = [0, 1e9]")?;
    }
    let pilot = parse_pilot("p-1.toml", &text).map_err(|mistakes| format!("{mistakes:?}"))?;
    let mut registry = Registry::default();
    registry.pilots.insert(pilot.id.clone(), Arc::new(pilot));
    Ok(Arc::new(registry))
}
