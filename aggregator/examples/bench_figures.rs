//! Measures the arithmetic on one core: readings to quarter-hours, quarter-hours to month sums, month sums to figures.
//!
//! `cargo run --release -p pilotline-aggregator --example bench_figures`: prints what was done, the time and the rate.
//! One pilot also goes through a real store, with one reading that comes late.
//! The figures are those of 1,350 pilots with 10 series and 132 months, all indicators, from month sums in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use aggregator::Aggregator;
use aggregator::figure::figures;
use aggregator::indicator::data::{Measured, Part, Stored};
use aggregator::orders::{Cohorts, Orders};
use aggregator::rollup::months::{Adder, MonthSums, local_months};
use aggregator::rollup::{MonthBlob, Roller, Spec, quarter_of, utc_month_of};
use aggregator::tariff::Calendar;
use model::period::MonthNo;
use model::registry::{InForce, Pilot, parse_pilot};
use model::window::QUARTER_MS;
use model::{Flags, Quality, Reading, Registry, SeriesId, SeriesKey, UnixMillis, Value};
use seeds::factors::Factors;
use store::{Access, Batch, Order, Registration, Store, StoreError};

const N_PILOTS: usize = 1_350;
const REGISTRY: &str = r#"
[pilot]
id = "bench"
name = "B"
region = "hami"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
[baseline]
from = 2015-01-01
to = 2015-12-31
[[tariff]]
from = 2015-01-01
bands = { peak = 0.78, flat = 0.52, valley = 0.26 }
hours = { peak = ["08:00-11:00", "18:00-23:00"], valley = ["23:00-07:00"] }
[[tariff]]
from = 2021-01-01
bands = { sharp = 1.1, peak = 0.85, flat = 0.55, valley = 0.22 }
hours = { sharp = ["19:00-21:00"], peak = ["08:00-11:00", "18:00-19:00", "21:00-23:00"], valley = ["23:00-07:00"] }
[[price]]
carrier = "diesel"
from = 2015-01-01
value = 6.5
unit = "kg"
"#;

/// Ten series: five of energy and cost that are spread over quarter-hours, five more of pieces, cost and emission.
const SERIES: [(&str, &str); 10] = [
    ("energy.electricity", "counter"),
    ("energy.diesel", "delta"),
    ("energy.heat", "counter"),
    ("cost.labour", "delta"),
    ("cost.material", "delta"),
    ("cost.maintenance", "delta"),
    ("output.good", "delta"),
    ("output.defective", "delta"),
    ("emission.so2", "delta"),
    ("value.added", "delta"),
];

fn pilot() -> Pilot {
    let mut text = REGISTRY.to_owned();
    for (quantity, kind) in SERIES {
        text += &format!(
            "[[series]]\nasset = \"a\"\nname = \"{quantity}\"\nquantity = \"{quantity}\"\nkind = \"{kind}\"\n"
        );
    }
    // Safe because the text is a constant of this file.
    parse_pilot("bench.toml", &text).expect("a registry that parses")
}

fn reading(at: i64, value: f64) -> Reading {
    let value = Value::from_f64(value);
    Reading { at: UnixMillis(at), value, quality: Quality::Good, flags: Flags::default(), id: None }
}

fn say(what: &str, n: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{what}: {n} in {seconds:.3} s, {:.0} a second", n as f64 / seconds);
}

/// The months of a series, from readings every quarter of an hour.
fn month_sums(pilot: &Pilot, calendar: &Calendar, series: usize, timed: bool) -> MonthSums {
    let declared = &pilot.series[series];
    let spec = Spec::of(declared);
    let (from, to) = (UnixMillis(1_420_041_600_000), UnixMillis(1_767_196_800_000));
    let (first, last) = (quarter_of(from.0), quarter_of(to.0));
    let readings: Vec<Reading> = (first..=last)
        .map(|quarter| {
            let step = (quarter - first) as f64;
            reading(quarter * QUARTER_MS, if declared.kind == model::Kind::Counter { step * 12.25 } else { 12.25 })
        })
        .collect();
    let started = Instant::now();
    let mut roller = Roller::new(&spec, first, readings.len());
    readings.iter().for_each(|reading| roller.push(reading));
    let rolled = roller.finish();
    if timed {
        say("readings to quarter-hours", readings.len(), started);
    }
    let mut blobs: BTreeMap<MonthNo, MonthBlob> = BTreeMap::new();
    for month in utc_month_of(first).0..=utc_month_of(last).0 {
        let mut blob = MonthBlob::empty(MonthNo(month));
        blob.replace(&rolled);
        blobs.insert(MonthNo(month), blob);
    }
    if timed {
        bench_blobs(&blobs, readings.len());
    }
    let started = Instant::now();
    let adder = Adder::new(pilot, calendar, declared, &spec);
    let mut sums = MonthSums::default();
    sums.replace(local_months(calendar, first, last).map(|month| adder.add(month, &blobs)).collect());
    if timed {
        say("quarter-hours to month sums by band", readings.len(), started);
    }
    sums
}

fn bench_blobs(blobs: &BTreeMap<MonthNo, MonthBlob>, n: usize) {
    let started = Instant::now();
    // Safe because a month of floats always encodes, and reads back.
    let bytes: Vec<Vec<u8>> = blobs.values().map(|blob| blob.encode().expect("a blob")).collect();
    say("quarter-hours to blobs", n, started);
    println!("bytes of blobs: {}", bytes.iter().map(Vec::len).sum::<usize>());
    let started = Instant::now();
    for (month, bytes) in blobs.keys().zip(&bytes) {
        std::hint::black_box(MonthBlob::decode(*month, bytes).expect("a blob"));
    }
    say("blobs to quarter-hours", n, started);
}

fn orders() -> Vec<Order> {
    let start = 1_420_041_600_000;
    let of = |n: i64| Order {
        order: format!("o-{n}").into(),
        product: if n % 3 == 0 { "A".into() } else { "B".into() },
        released: None,
        started: Some(UnixMillis(start + n * 3 * 86_400_000)),
        completed: Some(UnixMillis(start + n * 3 * 86_400_000 + (30 + n % 17) * 3_600_000)),
        cancelled: None,
        quantity: None,
        good: None,
        defective: None,
    };
    (0..1_320).map(of).collect()
}

/// A pilot with 11 years in a real store: everything at once, then one reading that comes late.
fn late_reading(pilot: &Pilot) -> Result<(), StoreError> {
    let dir = std::env::temp_dir().join(format!("pilotline-bench-figures-{}", std::process::id()));
    let store = Store::open(&dir, Access::Owner)?;
    let mut journal = store.journal()?;
    let registry = Registry { pilots: [(pilot.id.clone(), Arc::new(pilot.clone()))].into() };
    let (programme, factors) = (Arc::new(seeds::programme::builtin()), Arc::new(Factors::builtin()));
    let aggregator = Aggregator::new(Arc::clone(&store), Arc::new(InForce::new(registry)), programme, factors);
    let now = UnixMillis(1_768_000_000_000);
    let mut n_readings = 0;
    let mut late = Vec::new();
    for (series, &(_, kind)) in SERIES.iter().enumerate() {
        let declared = &pilot.series[series];
        let (asset, name) = (declared.asset.clone(), declared.name.clone());
        let key = SeriesKey { pilot: pilot.id.clone(), asset, name, product: None };
        let id = store.intern(&key, &Registration::Registered);
        // Energy every quarter of an hour, the rest daily.
        let step_ms = if series < 3 { QUARTER_MS } else { 86_400_000 };
        let steps = 0..(1_767_196_800_000 - 1_420_041_600_000) / step_ms;
        let value = |step: i64| if kind == "counter" { step as f64 * 12.25 } else { 12.25 };
        let mut readings: Vec<(SeriesId, Reading)> =
            steps.map(|step| (id, reading(1_420_041_600_000 + step * step_ms, value(step)))).collect();
        if series == 0 {
            late.push(readings.remove(200_000));
        }
        n_readings += readings.len();
        for readings in readings.chunks(100_000) {
            journal.commit(now, &Batch { readings: readings.to_vec(), ..Batch::default() })?;
        }
        store.settle_now()?;
    }
    let started = Instant::now();
    aggregator.catch_up_at(now)?;
    say("a pilot's 11 years in a store to figures, readings", n_readings, started);
    journal.commit(now, &Batch { readings: late, ..Batch::default() })?;
    store.settle_now()?;
    let started = Instant::now();
    aggregator.catch_up_at(now)?;
    say("one late reading to figures of pilot and groups", 1, started);
    drop((aggregator, journal, store));
    if let Err(error) = std::fs::remove_dir_all(&dir) {
        println!("{} stays: {error}", dir.display());
    }
    Ok(())
}

fn main() {
    let pilot = pilot();
    if let Err(error) = late_reading(&pilot) {
        println!("the store failed: {error}");
    }
    let (calendar, factors, programme) = (Calendar::of(&pilot), Factors::builtin(), seeds::programme::builtin());
    let sums: Vec<Arc<MonthSums>> =
        (0..SERIES.len()).map(|series| Arc::new(month_sums(&pilot, &calendar, series, series == 0))).collect();
    let orders = orders();
    let open = MonthNo::containing(UnixMillis(1_767_196_800_000), &pilot.zone);
    let started = Instant::now();
    let mut n_figures = 0;
    for _ in 0..N_PILOTS {
        let stored = sums.iter().map(|sums| vec![Stored { product: None, sums: Arc::clone(sums) }]).collect();
        let moving = (Arc::new(Orders::of(&orders)), Cohorts::default(), UnixMillis(1_767_196_800_000));
        let data = Measured::new((&pilot, &calendar, &factors), stored, moving, open);
        let figures = figures(&data, &programme, Part::Whole, &|_| true);
        n_figures += figures.values().map(Vec::len).sum::<usize>();
    }
    say("month sums to figures, pilots", N_PILOTS, started);
    println!("figures: {n_figures}");
}
