//! Measures the store: readings committed and settled a second, and bytes a reading.
//!
//! `cargo run --release -p pilotline-store --example bench_store -- [READINGS] [SERIES] [DIR]`: commits readings in
//! batches of 10,000 while the settling thread works, then waits until all is settled. A quarter each of the series are
//! noisy with two decimals, counters, slow with one decimal, and full-precision floats, 60 s apart; 1 % come late and
//! 0.5 % come twice.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::{Flags, PilotId, Quality, Reading, SeriesId, SeriesKey, UnixMillis, Value};
use store::{Access, Batch, Counters, Registration, Store};

const BATCH: usize = 10_000;
const START: i64 = 1_425_168_000_000;

struct Feed {
    state: u64,
    n_series: u64,
    counters: Vec<i64>,
    late: Vec<(SeriesId, Reading)>,
    n: u64,
}

impl Feed {
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn value(&mut self, series: u64, step: u64) -> Option<Value> {
        let noise = self.random() % 10_000;
        match series % 4 {
            0 => Value::from_f64((50_000 + noise % 700) as f64 / 100.0),
            1 => {
                let counter = self.counters.get_mut(usize::try_from(series).ok()?)?;
                *counter += i64::try_from(noise % 40).ok()?;
                Some(Value::from_i64(*counter))
            }
            2 => Value::from_f64((200 + step / 60 % 30) as f64 / 10.0),
            _ => Value::from_f64(self.random() as f64 / 1e16),
        }
    }

    fn next(&mut self, readings: &mut Vec<(SeriesId, Reading)>) {
        let (series, step) = (self.n % self.n_series, self.n / self.n_series);
        self.n += 1;
        let jitter = i64::try_from(self.random() % 5).unwrap_or(0);
        let at = UnixMillis(START + i64::try_from(step).unwrap_or(0) * 60_000 + jitter);
        let value = self.value(series, step);
        let reading = Reading { at, value, quality: Quality::Good, flags: Flags::default(), id: None };
        let reading = (SeriesId(u32::try_from(series).unwrap_or(0)), reading);
        match self.random() % 200 {
            0 | 1 => self.late.push(reading),
            2 => readings.extend([reading.clone(), reading]),
            _ => readings.push(reading),
        }
        if self.late.len() > 50_000 {
            readings.append(&mut self.late);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let n_readings: u64 = args.next().map_or(Ok(10_000_000), |text| text.parse())?;
    let n_series: u64 = args.next().map_or(Ok(20_000), |text| text.parse())?;
    let named = args.next().map(PathBuf::from);
    let dir = named.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("bench-store-{}", std::process::id())));
    let store = Store::open(&dir, Access::Owner)?;
    let pilot = PilotId::parse("bench")?;
    for n in 0..n_series {
        let key = SeriesKey { pilot: pilot.clone(), asset: "a".into(), name: format!("s{n}").into(), product: None };
        store.intern(&key, &Registration::Registered);
    }
    let counters = vec![0; usize::try_from(n_series)?];
    let mut feed = Feed { state: 88_172_645_463_325_252, n_series, counters, late: Vec::new(), n: 0 };
    let guard = store.start_settling();
    let mut journal = store.journal()?;
    let (mut committing, mut longest) = (Duration::ZERO, Duration::ZERO);
    let mut sent = 0;
    let start = Instant::now();
    while feed.n < n_readings {
        let mut readings = Vec::with_capacity(BATCH);
        while readings.len() < BATCH && feed.n < n_readings {
            feed.next(&mut readings);
        }
        if feed.n >= n_readings {
            readings.append(&mut feed.late);
        }
        sent += readings.len();
        let counters = Counters { received: 1, committed: 1, readings: readings.len() as u64, ..Counters::default() };
        let batch = Batch { readings, counters, ..Batch::default() };
        let before = Instant::now();
        journal.commit(UnixMillis(START), &batch)?;
        let took = before.elapsed();
        journal.trim()?;
        (committing, longest) = (committing + took, longest.max(took));
    }
    let fed = start.elapsed();
    let last = store.last_commit();
    let is_settled = store.wait_settled(last, Duration::from_secs(3_600));
    let settled = start.elapsed();
    drop(guard);
    drop(journal);
    store.checkpoint()?;
    let bytes = std::fs::metadata(dir.join("store.sqlite"))?.len();
    let rate = |time: Duration| sent as f64 / time.as_secs_f64();
    println!("readings {sent} series {n_series} settled {is_settled}");
    println!(
        "committed {:.0} readings/s in commits alone, longest commit {longest:?}, fed in {fed:?}",
        rate(committing)
    );
    println!("committed and settled {:.0} readings/s in {settled:?}", rate(settled));
    println!(
        "store.sqlite {:.2} bytes a reading, journal {} bytes",
        bytes as f64 / sent as f64,
        store.disk_bytes() - bytes
    );
    let before = Instant::now();
    let n: usize = (0..n_series.min(2_000))
        .map(|n| store.readings(SeriesId(u32::try_from(n).unwrap_or(0)), UnixMillis(0), UnixMillis(i64::MAX)))
        .map(|readings| readings.map(|readings| readings.len()))
        .sum::<Result<usize, _>>()?;
    println!("read {n} readings at {:.0} readings/s", n as f64 / before.elapsed().as_secs_f64());
    drop(store);
    let before = Instant::now();
    drop(Store::open(&dir, Access::Owner)?);
    println!("reopened in {:?}", before.elapsed());
    if named.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}
