//! A fleet on virtual time through normalize, journal, settling and figures, with a network that repeats, reorders and
//! delays, and a store that is closed at any moment. Everything follows from one number: `PILOTLINE_SEED=… cargo test
//! --test fleet` plays a run again.
//!
//! It asserts: every reading the fleet sent is stored once, totals equal the fleet's own arithmetic, and what was figured on
//! the way is, bit for bit, what a recompute gives.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::path::PathBuf;
use std::sync::Arc;

use aggregator::{Aggregator, RollupQuery, Width};
use ingest::index::Index;
use ingest::normalize::{Outcome, normalize};
use ingest::observation::LISTENER;
use ingest::{Identity, Observation};
use model::registry::{InForce, assemble};
use model::{PilotId, SeriesKey, UnixMillis};
use seeds::fleet::load::{LoadGateway, pilot_id, registry_text};
use store::{Access, Batch, Journal, Registration, Store};

const N_PILOTS: usize = 3;
const N_GATEWAYS: usize = 2;
const N_MESSAGES: usize = 300;
/// The first stamp of the fleet, and the time between two messages: six and a half days in all.
const START: UnixMillis = UnixMillis(1_740_787_200_000);
const STEP_MS: i64 = 1_870_000;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What reaches the door: messages that come late, out of order and more than once.
fn deliveries(random: &mut Random, gateways: &mut [LoadGateway]) -> Vec<(String, Vec<u8>)> {
    let mut keyed = Vec::new();
    for n in 0..N_MESSAGES {
        for gateway in gateways.iter_mut() {
            if random.one_in(60) {
                gateway.reboot();
            }
            let message = (gateway.topic.clone(), gateway.next_payload());
            for _ in 0..=random.below(3) {
                // Most arrive within some steps of their time, some a hundred and more later.
                let delay = if random.one_in(20) { random.below(200) } else { random.below(8) };
                keyed.push((n + delay, random.next(), message.clone()));
            }
        }
    }
    keyed.sort_by_key(|(at, tie, _)| (*at, *tie));
    keyed.into_iter().map(|(_, _, message)| message).collect()
}

/// The process between two crashes: what a restart builds anew.
struct Process {
    store: Arc<Store>,
    journal: Journal,
    index: Index,
    aggregator: Arc<Aggregator>,
}

impl Process {
    fn start(dir: &std::path::Path, registry: &Arc<InForce>) -> Process {
        let store = Store::open(dir, Access::Owner).unwrap();
        let journal = store.journal().unwrap();
        let index = Index::new(registry.get(), Arc::clone(&store));
        let (programme, factors) = (seeds::programme::builtin(), seeds::factors::Factors::builtin());
        let aggregator =
            Aggregator::new(Arc::clone(&store), Arc::clone(registry), Arc::new(programme), Arc::new(factors));
        aggregator.registry_changed().unwrap();
        Process { store, journal, index, aggregator }
    }

    fn commit(&mut self, at: UnixMillis, messages: &[(String, Vec<u8>)]) {
        let mut batch = Batch::default();
        for (topic, payload) in messages {
            let observation = Observation {
                door: LISTENER.into(),
                client: Arc::default(),
                topic: topic.clone(),
                payload: payload.clone().into(),
                received_at: at,
                qos: 1,
                dup: false,
                retained: false,
            };
            match normalize(&observation, &Identity::Anonymous, &self.index) {
                Outcome::Accepted(accepted) => {
                    assert_eq!(accepted.refusals, [], "{topic}");
                    batch.readings.extend(accepted.readings);
                }
                Outcome::Rejected(rejected) => panic!("{topic}: {:?}", rejected.refusals),
            }
        }
        self.journal.commit(at, &batch).unwrap();
    }
}

/// A directory of this test run, removed when dropped.
struct TempDir(PathBuf);

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(seed: u64) {
    println!("PILOTLINE_SEED={seed}");
    let dir = TempDir(std::env::temp_dir().join(format!("pilotline-fleet-{}-{seed}", std::process::id())));
    let files = (0..N_PILOTS).map(|n| (format!("{}.toml", pilot_id(n)), registry_text(n, N_GATEWAYS)));
    let (registry, mistakes) = assemble(files.collect());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let registry = Arc::new(InForce::new(registry));
    let mut random = Random(seed);
    let mut gateways: Vec<LoadGateway> = (0..N_PILOTS)
        .flat_map(|pilot| (0..N_GATEWAYS).map(move |gateway| LoadGateway::new(pilot, gateway, START.0, STEP_MS)))
        .collect();
    let deliveries = deliveries(&mut random, &mut gateways);
    let now = START.plus(STEP_MS * (N_MESSAGES as i64 + 1));

    let mut process = Process::start(&dir.0, &registry);
    let mut sent = 0;
    while sent < deliveries.len() {
        let n = (1 + random.below(40)).min(deliveries.len() - sent);
        process.commit(now, &deliveries[sent..sent + n]);
        // A crash between commit and acknowledgement: the same messages come once more.
        sent += if random.one_in(10) { 0 } else { n };
        if random.one_in(4) {
            process.store.settle_now().unwrap();
        }
        if random.one_in(6) {
            process.aggregator.catch_up().unwrap();
        }
        process.journal.trim().unwrap();
        if random.one_in(12) {
            drop(process);
            process = Process::start(&dir.0, &registry);
        }
    }
    process.store.settle_now().unwrap();
    process.aggregator.catch_up().unwrap();
    for (n, gateway) in gateways.iter().enumerate() {
        check(&process, n / N_GATEWAYS, n % N_GATEWAYS, gateway);
    }
    assert_eq!(process.aggregator.verify(&|_| {}).unwrap(), []);
}

/// One gateway's totals: in the readings, and in the rollups.
fn check(process: &Process, pilot: usize, gateway: usize, sent: &LoadGateway) {
    let totals = sent.totals();
    let pilot = PilotId::parse(&pilot_id(pilot)).unwrap();
    let end = UnixMillis(totals.last_at + 1);
    let readings = |asset: &str, name: &str| {
        let (asset, name) = (format!("{asset}-{gateway}").into(), name.into());
        let key = SeriesKey { pilot: pilot.clone(), asset, name, product: None };
        let series = process.store.lookup(&key, &Registration::Registered).unwrap();
        process.store.readings(series, START, end).unwrap()
    };
    let sum = |asset: &str, name: &str| {
        let query = RollupQuery {
            pilot: pilot.clone(),
            asset: format!("{asset}-{gateway}"),
            name: name.to_owned(),
            product: None,
            from: UnixMillis(0),
            to: end,
            width: Width::Quarter,
            by_band: false,
        };
        process.aggregator.rollups(&query).unwrap().iter().filter_map(|row| row.value).sum::<f64>()
    };
    let counter = readings("em", "electricity");
    assert_eq!(counter.len() as u64, totals.n_messages, "{pilot} {gateway}");
    assert_eq!(counter.last().unwrap().value.unwrap().as_f64(), totals.counter);
    assert_eq!(readings("line", "good").len() as u64, totals.n_messages);
    let first = counter.first().unwrap().value.unwrap().as_f64();
    let used = sum("em", "electricity");
    assert!((used - (totals.counter - first)).abs() <= 1e-9 * totals.counter, "{pilot} {gateway}: {used} kWh");
    assert_eq!(sum("line", "good"), totals.pieces as f64, "{pilot} {gateway}");
}

#[test]
fn whatever_the_network_and_the_crashes_do_everything_is_stored_once_and_adds_up() {
    match std::env::var("PILOTLINE_SEED") {
        Ok(seed) => run(seed.parse().unwrap()),
        Err(_unset) => (1..=6).for_each(run),
    }
}
