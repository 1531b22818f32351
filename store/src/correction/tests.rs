//! Corrections over what was sent: any order, all ways of reading, history, killed transactions, damage.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Flags, PilotId, Quality, Reading, SeriesId, SeriesKey, UnixMillis, Value};
use proptest::prelude::*;

use crate::schema::store_writer;
use crate::tests::TempDir;
use crate::*;

fn pilot() -> PilotId {
    PilotId::parse("p-1").unwrap()
}

fn key() -> SeriesKey {
    SeriesKey { pilot: pilot(), asset: "press".into(), name: "kwh".into(), product: None }
}

struct Plant {
    dir: TempDir,
    store: Arc<Store>,
    journal: Journal,
    series: SeriesId,
}

impl Plant {
    fn new() -> Plant {
        let dir = TempDir::new();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        let journal = store.journal().unwrap();
        let series = store.intern(&key(), &Registration::Registered);
        Plant { dir, store, journal, series }
    }

    fn send(&mut self, readings: &[Reading]) {
        let readings = readings.iter().map(|reading| (self.series, reading.clone())).collect();
        self.journal.commit(UnixMillis(1), &Batch { readings, ..Batch::default() }).unwrap();
        self.store.settle_now().unwrap();
    }

    fn new_correction(&self, at: i64, id: Option<&str>, change: Change) -> NewCorrection {
        let entry = self.store.entry(self.series).unwrap();
        let (author, reason) = ("Li".into(), "meter book".into());
        NewCorrection {
            entry,
            at: UnixMillis(at),
            id: id.map(Into::into),
            change,
            author,
            reason,
            made_at: UnixMillis(9),
        }
    }

    fn correct(&self, at: i64, change: Change) -> Made {
        self.store.write(|tx| tx.correct(&self.new_correction(at, None, change))).unwrap()
    }

    fn all(&self) -> Vec<Reading> {
        self.store.readings(self.series, UnixMillis(i64::MIN), UnixMillis(i64::MAX)).unwrap()
    }
}

fn reading(at: i64, value: i64) -> Reading {
    let (quality, flags) = (Quality::Good, Flags::default());
    Reading { at: UnixMillis(at), value: Some(Value::Int(value)), quality, flags, id: None }
}

fn set(value: i64) -> Change {
    Change::Set { value: Some(Value::Int(value)), quality: Quality::Good }
}

fn corrected(at: i64, value: i64) -> Reading {
    Reading { flags: Flags::CORRECTED, ..reading(at, value) }
}

#[derive(Debug, Clone)]
enum Step {
    Sent(Vec<(i64, i64)>),
    Corrected(i64, Change),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sent = prop::collection::vec((0i64..30, 0i64..4), 1..12).prop_map(Step::Sent);
    let change = prop_oneof![(90i64..93).prop_map(set), Just(Change::Void), Just(Change::Withdraw)];
    let corrected = (0i64..30, change).prop_map(|(at, change)| Step::Corrected(at, change));
    prop::collection::vec(prop_oneof![sent, corrected], 1..14)
}

/// What stands, by the definition: the greatest that was sent, then the last that was said.
fn expected(steps: &[Step]) -> Vec<Reading> {
    let mut stands: BTreeMap<i64, Reading> = BTreeMap::new();
    for (at, value) in
        steps.iter().filter_map(|step| if let Step::Sent(all) = step { Some(all) } else { None }).flatten()
    {
        let best = stands.entry(*at).or_insert_with(|| reading(*at, *value));
        best.value = best.value.max_by_number(*value);
    }
    let mut last: BTreeMap<i64, &Change> = BTreeMap::new();
    for step in steps {
        if let Step::Corrected(at, change) = step {
            last.insert(*at, change);
        }
    }
    for (at, change) in last {
        match change {
            Change::Set { value, .. } => {
                stands.insert(at, Reading { value: *value, ..corrected(at, 0) });
            }
            Change::Void => drop(stands.remove(&at)),
            Change::Withdraw => {}
        }
    }
    stands.into_values().collect()
}

trait Greater {
    fn max_by_number(self, other: i64) -> Self;
}

impl Greater for Option<Value> {
    fn max_by_number(self, other: i64) -> Option<Value> {
        let other = Value::Int(other);
        self.map(|one| if one.total_cmp(&other).is_lt() { other } else { one })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_stands_is_the_same_whatever_came_first_and_however_it_is_read(
        steps in steps(),
        keys in prop::collection::vec(any::<u32>(), 14),
    ) {
        // What was said keeps its own order; what was sent is dealt in between in any order.
        let mut dealt: Vec<(u32, usize)> = keys.iter().copied().zip(0..steps.len()).collect();
        let mut said: Vec<u32> = dealt.iter().filter(|(_, idx)| matches!(steps[*idx], Step::Corrected(..))).map(|(key, _)| *key).collect();
        said.sort_unstable();
        let mut said = said.into_iter();
        for (key, idx) in &mut dealt {
            if matches!(steps[*idx], Step::Corrected(..)) {
                *key = said.next().unwrap();
            }
        }
        dealt.sort_unstable();
        let mut plant = Plant::new();
        for (_, idx) in dealt {
            match &steps[idx] {
                Step::Sent(all) => plant.send(&all.iter().map(|&(at, value)| reading(at, value)).collect::<Vec<_>>()),
                Step::Corrected(at, change) => drop(plant.correct(*at, change.clone())),
            }
        }
        let expected = expected(&steps);
        prop_assert_eq!(plant.all(), expected.clone());
        let span = expected.first().zip(expected.last()).map(|(first, last)| (first.at, last.at));
        prop_assert_eq!(plant.store.span(plant.series).unwrap(), span);
        for at in -1..31 {
            let found = plant.store.last_before(plant.series, UnixMillis(at), Which::Any).unwrap();
            prop_assert_eq!(found.as_ref(), expected.iter().rev().find(|reading| reading.at.0 < at));
            let found = plant.store.first_after(plant.series, UnixMillis(at), Which::Usable).unwrap();
            prop_assert_eq!(found.as_ref(), expected.iter().find(|reading| reading.at.0 > at));
        }
    }
}

#[test]
fn the_last_of_several_stands_and_all_are_kept() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5), reading(20, 6)]);
    plant.correct(10, set(7));
    plant.correct(10, Change::Void);
    assert_eq!(plant.all(), [reading(20, 6)]);
    plant.correct(10, Change::Withdraw);
    assert_eq!(plant.all(), [reading(10, 5), reading(20, 6)]);
    let latest = plant.store.latest_correction(plant.series, UnixMillis(10), None).unwrap();
    assert_eq!(latest.map(|latest| latest.change), Some(Change::Withdraw));
    let kept = plant.store.corrections(0, None, 9).unwrap();
    let told = kept.iter().map(|kept| (kept.number, kept.was.as_ref().map(|was| was.value), kept.superseded_by));
    let value = |value| Some(Some(Value::Int(value)));
    assert_eq!(told.collect::<Vec<_>>(), [(1, value(5), Some(2)), (2, value(7), Some(3)), (3, None, None)]);
    assert_eq!(plant.store.corrections(2, Some(&pilot()), 9).unwrap(), kept[2..]);
    assert_eq!(plant.store.corrections(0, Some(&PilotId::parse("p-2").unwrap()), 9).unwrap(), []);
    assert_eq!(plant.store.latest_corrections(&pilot(), 1).unwrap(), (3, kept[2..].to_vec()));
}

#[test]
fn the_same_again_has_no_effect_and_keeps_its_number() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5)]);
    let first = plant.correct(10, set(7));
    let touched = plant.store.touched(9).unwrap();
    assert_eq!(plant.correct(10, set(7)), Made::Already(first.correction().clone()));
    assert_eq!(plant.store.touched(9).unwrap(), touched);
    let other = NewCorrection { reason: "another".into(), ..plant.new_correction(10, None, set(7)) };
    assert_eq!(plant.store.write(|tx| tx.correct(&other)).unwrap().correction().number, 2);
    plant.correct(10, set(8));
    assert_eq!(plant.correct(10, set(7)).correction().number, 4, "what was superseded is said again");
}

#[test]
fn what_was_sent_stays_readable_beside_what_stands() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5), reading(20, 6), reading(30, 7)]);
    plant.correct(10, Change::Void);
    plant.correct(20, set(9));
    plant.correct(25, set(8));
    let (stands, beside) = plant.store.readings_with_corrections(plant.series, UnixMillis(0), UnixMillis(99)).unwrap();
    assert_eq!(stands, [corrected(20, 9), corrected(25, 8), reading(30, 7)]);
    let sent: Vec<_> = beside.iter().map(|one| (one.correction.at.0, one.sent.clone())).collect();
    assert_eq!(sent, [(10, Some(reading(10, 5))), (20, Some(reading(20, 6))), (25, None)]);
    assert_eq!(
        plant.store.sent_readings(plant.series, UnixMillis(0), UnixMillis(99)).unwrap(),
        [reading(10, 5), reading(20, 6), reading(30, 7)]
    );
    assert_eq!(plant.store.span_of_all(plant.series).unwrap(), Some((UnixMillis(10), UnixMillis(30))));
    assert_eq!(plant.store.span(plant.series).unwrap(), Some((UnixMillis(20), UnixMillis(30))));
    // A conflict is between what was sent, whatever stands.
    plant.send(&[reading(10, 4)]);
    let conflicts = plant.store.conflicts(None).unwrap();
    assert_eq!((&conflicts[0].stands, &conflicts[0].lost), (&reading(10, 5), &reading(10, 4)));
}

#[test]
fn an_id_is_part_of_what_is_corrected() {
    let mut plant = Plant::new();
    let named = |id: &str, value| Reading { id: Some(id.into()), ..reading(10, value) };
    plant.send(&[reading(10, 1), named("a", 2), named("b", 3)]);
    plant.store.write(|tx| tx.correct(&plant.new_correction(10, Some("a"), Change::Void))).unwrap();
    assert_eq!(plant.all(), [reading(10, 1), named("b", 3)]);
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_one_that_ends_outlives_the_process() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5)]);
    let settled = plant.store.touched(9).unwrap();
    let killed: Result<(), StoreError> = plant.store.write(|tx| {
        tx.correct(&plant.new_correction(10, None, set(7)))?;
        Err(StoreError::Poisoned)
    });
    assert!(killed.is_err());
    assert_eq!(plant.all(), [reading(10, 5)]);
    assert_eq!(plant.store.touched(9).unwrap(), settled);
    assert_eq!(plant.store.corrections(0, None, 9).unwrap(), []);
    plant.correct(10, set(7));
    let Plant { dir, store, journal, series } = plant;
    drop((journal, store));
    let store = Store::open(dir.path(), Access::Owner).unwrap();
    assert_eq!(store.readings(series, UnixMillis(0), UnixMillis(99)).unwrap(), [corrected(10, 7)]);
    let touched = store.touched(9).unwrap();
    assert_eq!((touched.len(), touched[1].from, touched[1].to), (2, UnixMillis(10), UnixMillis(10)));
    assert_eq!(store.data_cutoff(&pilot()).unwrap(), Some(UnixMillis(10)));
}

#[test]
fn a_series_that_nothing_was_sent_of_keeps_its_number() {
    let Plant { dir, store, journal, series } = {
        let plant = Plant::new();
        plant.correct(10, set(7));
        assert_eq!(plant.store.data_cutoff(&pilot()).unwrap(), Some(UnixMillis(10)));
        plant
    };
    drop((journal, store));
    let store = Store::open(dir.path(), Access::Owner).unwrap();
    assert_eq!(store.lookup(&key(), &Registration::Registered), Some(series));
    assert_eq!(store.readings(series, UnixMillis(0), UnixMillis(99)).unwrap(), [corrected(10, 7)]);
}

#[test]
fn a_flipped_bit_is_found() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5)]);
    plant.correct(10, set(7));
    assert_eq!(Store::check(plant.dir.path()).unwrap(), []);
    let conn = store_writer(plant.dir.path()).unwrap();
    conn.execute("UPDATE correction SET at = 11", []).unwrap();
    let places: Vec<String> = Store::check(plant.dir.path()).unwrap().into_iter().map(|found| found.place).collect();
    assert_eq!(places, ["store.sqlite: correction/0/11//1"]);
    assert!(plant.store.readings(plant.series, UnixMillis(0), UnixMillis(99)).is_err());
}

#[test]
fn a_file_of_before_is_read_and_brought_up() {
    let mut plant = Plant::new();
    plant.send(&[reading(10, 5)]);
    let Plant { dir, store, journal, series } = plant;
    drop((journal, store));
    let conn = store_writer(dir.path()).unwrap();
    conn.execute_batch(crate::tests::WITHOUT_VERSION_4).unwrap();
    conn.pragma_update(None, "user_version", 3).unwrap();
    drop(conn);
    let store = Store::open(dir.path(), Access::Reader).unwrap();
    assert_eq!(store.readings(series, UnixMillis(0), UnixMillis(99)).unwrap(), [reading(10, 5)]);
    assert_eq!(store.corrections(0, None, 9).unwrap(), []);
    assert_eq!(Store::check(dir.path()).unwrap(), []);
    drop(store);
    let store = Store::open(dir.path(), Access::Owner).unwrap();
    let entry = store.entry(series).unwrap();
    let (author, reason) = ("Li".into(), "r".into());
    let new =
        NewCorrection { entry, at: UnixMillis(10), id: None, change: set(7), author, reason, made_at: UnixMillis(0) };
    store.write(|tx| tx.correct(&new)).unwrap();
    assert_eq!(store.readings(series, UnixMillis(0), UnixMillis(99)).unwrap(), [corrected(10, 7)]);
}
