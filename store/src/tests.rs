//! The store as its users see it: committed, settled, killed, reopened, damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::reason::{Reason, Refusal, RefusedPart};
use model::{
    Flags, GatewayId, OrderEvent, OrderEventKind, PilotId, Quality, Reading, SeriesId, SeriesKey, UnixMillis, Value,
};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::chunk::tests::any_reading;
use crate::counts::CountersV1;
use crate::merge::resolve;
use crate::progress::locked;
use crate::replay::StateV1;
use crate::row::{Heading, encode_v1};
use crate::schema::{journal_writer, store_writer};
use crate::seal::seal_value;
use crate::settle::Workbench;
use crate::*;

/// Makes a store of the present version one of version 3, but for its number.
pub(crate) const WITHOUT_VERSION_4: &str = "DROP TABLE outbox; DROP TABLE outbox_figure; DROP TABLE quarantine;
    DROP TABLE correction; DROP TABLE import; DROP TABLE ledger; DROP TABLE ledger_head; DROP TABLE unpublished;
    ALTER TABLE touched DROP COLUMN why";

/// A directory that is removed with its contents.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Another process may have cleaned the temporary directory already.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn pilot() -> PilotId {
    PilotId::parse("p-1").unwrap()
}

fn key(name: &str) -> SeriesKey {
    SeriesKey { pilot: pilot(), asset: "press-01".into(), name: name.into(), product: None }
}

fn owner(dir: &TempDir) -> Arc<Store> {
    Store::open(dir.path(), Access::Owner).unwrap()
}

/// Names that give the numbers 0, 1, 2, … in a new store.
fn series(store: &Store, n: u32) -> Vec<SeriesId> {
    (0..n).map(|n| store.intern(&key(&format!("s{n}")), &Registration::Registered)).collect()
}

fn reading(at: i64, value: i64) -> Reading {
    let (quality, flags) = (Quality::Good, Flags::default());
    Reading { at: UnixMillis(at), value: Some(Value::Int(value)), quality, flags, id: None }
}

fn of_readings(readings: Vec<(SeriesId, Reading)>) -> Batch {
    let n = readings.len() as u64;
    let counters = Counters { received: 1, committed: 1, readings: n, ..Counters::default() };
    Batch { readings, counters, ..Batch::default() }
}

fn all_of(store: &Store, series: SeriesId) -> Vec<Reading> {
    store.readings(series, UnixMillis(i64::MIN), UnixMillis(i64::MAX)).unwrap()
}

fn refusal(reason: Reason) -> Refusal {
    Refusal { reason, part: RefusedPart::Message, detail: "not known".to_owned() }
}

fn rejected(hash: u128) -> RejectedMessage {
    RejectedMessage {
        at: UnixMillis(5),
        topic: "pilotline/v1/p-9/gw".to_owned(),
        pilot: None,
        login: None,
        bytes: b"{}".to_vec(),
        size: 2,
        hash,
        whole: WholeOrParts::Whole,
        refusals: vec![refusal(Reason::UnknownPilot)],
        retained: false,
    }
}

fn session(client_id: &str) -> Session {
    let (client_id, subscriptions) = (client_id.to_owned(), vec![("a/b".to_owned(), 1)]);
    Session { client_id, login: None, expiry_s: 60, subscriptions, last_seen: UnixMillis(9) }
}

fn outage(asset: &str, from: i64, to: i64) -> Outage {
    Outage { pilot: pilot(), asset: asset.to_owned(), from: UnixMillis(from), to: UnixMillis(to), n_lost: 3 }
}

fn learned(topic: &str, at: i64) -> LearnedMessage {
    LearnedMessage { pilot: pilot(), topic: topic.to_owned(), payload: at.to_le_bytes().to_vec(), at: UnixMillis(at) }
}

/// A batch with something in every field; `n` tells one from the next.
fn full_batch(series: &[SeriesId], n: u64) -> Batch {
    let at = n.cast_signed() * 1_000;
    let event = |event, at| OrderEvent {
        order: format!("WO-{}", n % 3).into(),
        product: Some(format!("P{n}").into()),
        event,
        at: UnixMillis(at),
        quantity: Some(5.0),
        good: Some(4.0),
        defective: None,
    };
    let mut counters =
        Counters { received: 2, committed: 1, readings: series.len() as u64, orders: 2, ..Counters::default() };
    counters.rejected[Reason::UnknownPilot.index()] = 1;
    let seen = |seq| SequenceSeen { pilot: pilot(), gateway: GatewayId::parse("gw").unwrap(), boot: 1, seq };
    let client_id = format!("c{}", n % 2);
    Batch {
        readings: series.iter().map(|series| (*series, reading(at, n.cast_signed()))).collect(),
        orders: vec![
            (pilot(), event(OrderEventKind::Started, at)),
            (pilot(), event(OrderEventKind::Completed, at + 5)),
        ],
        rejections: vec![rejected(u128::from(n % 4))],
        counters,
        hashes: vec![u128::from(n)],
        sessions: vec![SessionChange::Put(session(&client_id))],
        held: vec![HeldChange::Hold { client_id, packet_id: 7, hash: u128::from(n) }],
        sequences: vec![seen(n), seen(n + 100)],
        replayed: Vec::new(),
        outages: vec![outage("press-01", at, at + 5)],
        learned: vec![learned(&format!("meta/{}", n % 2), at)],
    }
}

/// Everything a user can see, as text that two stores can be compared by.
fn visible(store: &Store) -> String {
    let readings: Vec<_> =
        store.catalogue_of(&pilot()).into_iter().map(|entry| (all_of(store, entry.id), entry)).collect();
    format!(
        "{readings:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.conflicts(None).unwrap(),
        store.orders(&pilot()).unwrap(),
        store.order_conflicts(&pilot()).unwrap(),
        store.rejections(UnixMillis(0), 0, 100).unwrap(),
        store.counters(),
        store.recent_hashes().unwrap(),
        store.sessions().unwrap(),
        store.held().unwrap(),
        store.sequences().unwrap(),
        store.data_cutoff(&pilot()).unwrap(),
        store.settled_through(),
        store.outages(&pilot(), UnixMillis(0), UnixMillis(i64::MAX)).unwrap(),
        store.learned().unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn neither_order_nor_repeats_nor_halves_change_what_is_stored(
        drawn in proptest::collection::vec((0u32..3, any_reading(40)), 1..400),
        seed in any::<u64>(),
        cuts in proptest::collection::vec(0usize..400, 0..6),
    ) {
        let dirs = [TempDir::new(), TempDir::new()];
        let stores = [owner(&dirs[0]), owner(&dirs[1])];
        for store in &stores {
            series(store, 3);
        }
        let drawn: Vec<_> = drawn.into_iter().map(|(series, reading)| (SeriesId(series), reading)).collect();
        stores[0].journal().unwrap().commit(UnixMillis(1), &of_readings(drawn.clone())).unwrap();
        stores[0].settle_now().unwrap();

        let mut shuffled = drawn.clone();
        shuffle(&mut shuffled, seed);
        shuffled.extend(drawn.iter().take(30).cloned());
        let mut journal = stores[1].journal().unwrap();
        let mut rest = shuffled.as_slice();
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            journal.commit(UnixMillis(1), &of_readings(head.to_vec())).unwrap();
            stores[1].settle_now().unwrap();
            rest = tail;
        }
        journal.commit(UnixMillis(1), &of_readings(rest.to_vec())).unwrap();
        stores[1].settle_now().unwrap();

        for n in 0..3 {
            let mut expected: Vec<Reading> =
                drawn.iter().filter(|(series, _)| series.0 == n).map(|(_, reading)| reading.clone()).collect();
            resolve(&mut expected, &mut Vec::new());
            prop_assert_eq!(&all_of(&stores[0], SeriesId(n)), &expected);
            prop_assert_eq!(&all_of(&stores[1], SeriesId(n)), &expected);
        }
        prop_assert_eq!(stores[0].conflicts(None).unwrap(), stores[1].conflicts(None).unwrap());
        prop_assert_eq!(stores[0].data_cutoff(&pilot()).unwrap(), stores[1].data_cutoff(&pilot()).unwrap());
        prop_assert_eq!(Store::check(dirs[1].path()).unwrap(), []);
    }

    #[test]
    fn searches_find_what_a_list_of_all_readings_has(
        slices in proptest::collection::vec(proptest::collection::vec(any_reading(3_000), 1..500), 1..5),
        probes in proptest::collection::vec(0i64..3_000, 12),
    ) {
        let dir = TempDir::new();
        let store = owner(&dir);
        let id = series(&store, 1)[0];
        let mut journal = store.journal().unwrap();
        for slice in &slices {
            let readings = slice.iter().map(|reading| (id, reading.clone())).collect();
            journal.commit(UnixMillis(1), &of_readings(readings)).unwrap();
            store.settle_now().unwrap();
        }
        let mut all = slices.concat();
        resolve(&mut all, &mut Vec::new());
        prop_assert_eq!(store.span(id).unwrap(), all.first().zip(all.last()).map(|(a, b)| (a.at, b.at)));
        for pair in probes.windows(2) {
            let (at, to) = (UnixMillis(pair[0]), UnixMillis(pair[1]));
            let within: Vec<_> = all.iter().filter(|r| (at..to).contains(&r.at)).cloned().collect();
            prop_assert_eq!(store.readings(id, at, to).unwrap(), within);
            for which in [Which::Any, Which::Usable] {
                let counts = |reading: &&Reading| which == Which::Any || reading.is_usable();
                let before = all.iter().filter(|r| r.at < at).rfind(counts).cloned();
                let after = all.iter().filter(|r| r.at > at).find(counts).cloned();
                prop_assert_eq!(store.last_before(id, at, which).unwrap(), before);
                prop_assert_eq!(store.first_after(id, at, which).unwrap(), after);
            }
        }
    }
}

/// A fixed shuffle from one number (xorshift), so that a failure repeats.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for idx in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (idx as u64 + 1)).unwrap();
        items.swap(idx, other);
    }
}

#[test]
fn settling_killed_at_any_boundary_ends_in_the_same_state() {
    let expected = {
        let dir = TempDir::new();
        let store = owner(&dir);
        commit_full_batches(&store);
        store.settle_now().unwrap();
        visible(&store)
    };
    let mut boundary = 0;
    loop {
        let dir = TempDir::new();
        let store = owner(&dir);
        commit_full_batches(&store);
        settle_with_fault(&store, boundary);
        let was_killed = store.settled_through() < store.last_commit();
        drop(store);
        let store = owner(&dir);
        store.settle_now().unwrap();
        assert_eq!(visible(&store), expected, "killed after {boundary} transactions");
        if !was_killed {
            assert!(boundary > 3, "a round has slices");
            return;
        }
        boundary += 1;
    }
}

/// Settles until the fault strikes after `boundary` transactions, or to the end.
fn settle_with_fault(store: &Store, boundary: u32) {
    let mut bench = Workbench::open(store).unwrap();
    bench.until_fault = Some(boundary);
    *locked(&store.workbench) = Some(bench);
    if let Err(error) = store.settle_now() {
        assert!(matches!(error, StoreError::Poisoned), "{error}");
    }
}

fn commit_full_batches(store: &Arc<Store>) {
    let series = series(store, 700);
    let mut journal = store.journal().unwrap();
    for n in 1..=6u64 {
        journal.commit(UnixMillis(n.cast_signed()), &full_batch(&series, n)).unwrap();
    }
    // The same instants with other values: conflicts.
    let readings = series.iter().take(3).map(|series| (*series, reading(2_000, 50))).collect();
    journal.commit(UnixMillis(7), &of_readings(readings)).unwrap();
}

#[test]
fn the_same_readings_again_touch_nothing() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let series = series(&store, 2);
    let mut journal = store.journal().unwrap();
    let readings: Vec<_> = (0..600).map(|n| (series[0], reading(n * 1_000, n))).collect();
    journal.commit(UnixMillis(1), &of_readings(readings.clone())).unwrap();
    store.settle_now().unwrap();
    let touched = store.touched(10).unwrap();
    assert_eq!((touched.len(), touched[0].from, touched[0].to), (1, UnixMillis(0), UnixMillis(599_000)));
    store.write(|tx| tx.untouch(&[touched[0].row])).unwrap();
    journal.commit(UnixMillis(2), &of_readings(readings)).unwrap();
    store.settle_now().unwrap();
    assert_eq!(store.touched(10).unwrap(), []);
    journal.commit(UnixMillis(3), &of_readings(vec![(series[0], reading(5_000, 99))])).unwrap();
    store.settle_now().unwrap();
    let touched = store.touched(10).unwrap();
    assert_eq!((touched[0].from, touched[0].to), (UnixMillis(5_000), UnixMillis(5_000)));
    assert_eq!(store.conflicts(Some(series[0])).unwrap().len(), 1);
    assert_eq!(store.conflicts(Some(series[1])).unwrap(), []);
    assert_eq!(store.readings(series[0], UnixMillis(5_000), UnixMillis(5_001)).unwrap(), [reading(5_000, 99)]);
}

#[test]
fn nothing_committed_is_lost_by_a_stop_without_settling() {
    let (settled, unsettled) = (TempDir::new(), TempDir::new());
    for dir in [&settled, &unsettled] {
        commit_full_batches(&owner(dir));
    }
    owner(&settled).settle_now().unwrap();
    let (a, b) = (owner(&settled), owner(&unsettled));
    assert_eq!(b.settled_through(), CommitNo(0));
    assert_eq!(b.counters(), a.counters());
    assert_eq!(b.recent_hashes().unwrap(), a.recent_hashes().unwrap());
    assert_eq!(b.sessions().unwrap(), a.sessions().unwrap());
    assert_eq!(b.held().unwrap(), a.held().unwrap());
    assert_eq!(b.sequences().unwrap(), a.sequences().unwrap());
    assert_eq!(b.catalogue_of(&pilot()), a.catalogue_of(&pilot()));
    b.settle_now().unwrap();
    assert_eq!(visible(&b), visible(&a));
}

#[test]
fn commit_numbers_go_on_when_every_row_is_settled_and_deleted() {
    let dir = TempDir::new();
    let store = owner(&dir);
    commit_full_batches(&store);
    store.settle_now().unwrap();
    store.checkpoint().unwrap();
    let mut journal = store.journal().unwrap();
    journal.trim().unwrap();
    drop(journal);
    drop(store);
    let store = owner(&dir);
    let rows: i64 = Connection::open(dir.path().join("journal.sqlite"))
        .unwrap()
        .query_row("SELECT count(*) FROM journal", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
    let commit = store.journal().unwrap().commit(UnixMillis(9), &Batch::default()).unwrap();
    assert_eq!(commit, CommitNo(8));
    store.settle_now().unwrap();
    assert_eq!(Store::check(dir.path()).unwrap(), []);
}

#[test]
fn rows_are_deleted_in_order_and_a_bounded_number_at_once() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let mut journal = store.journal().unwrap();
    for n in 0..100 {
        journal.commit(UnixMillis(n), &Batch::default()).unwrap();
    }
    journal.trim().unwrap();
    assert_eq!(store.progress.lock().rows.len(), 100, "unsettled rows stay");
    store.settle_now().unwrap();
    journal.trim().unwrap();
    assert_eq!(store.progress.lock().rows.len(), 100, "what is settled is in the store's log alone");
    store.checkpoint().unwrap();
    journal.trim().unwrap();
    assert_eq!(store.progress.lock().rows.front().map(|row| row.commit), Some(65));
    journal.trim().unwrap();
    assert_eq!(store.progress.lock().rows.len(), 0);
}

#[test]
fn the_journal_has_one_writer_and_a_reader_none() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let journal = store.journal().unwrap();
    assert!(matches!(store.journal(), Err(StoreError::JournalTaken)));
    drop(journal);
    store.journal().unwrap().commit(UnixMillis(1), &Batch::default()).unwrap();
    assert!(matches!(Store::open(dir.path(), Access::Owner), Err(StoreError::Locked { .. })));
    let reader = Store::open(dir.path(), Access::Reader).unwrap();
    assert!(matches!(reader.journal(), Err(StoreError::ReadOnly)));
    assert_eq!(reader.last_commit(), CommitNo(1));
    assert!(matches!(Store::open(Path::new("/nowhere/at/all"), Access::Reader), Err(StoreError::Missing { .. })));
}

#[test]
fn a_reader_sees_what_the_owner_settles_beside_it() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let id = series(&store, 1)[0];
    let mut journal = store.journal().unwrap();
    journal.commit(UnixMillis(1), &of_readings(vec![(id, reading(1, 1))])).unwrap();
    let reader = Store::open(dir.path(), Access::Reader).unwrap();
    assert_eq!(reader.lookup(&key("s0"), &Registration::Registered), Some(id), "from the tail");
    assert_eq!(all_of(&reader, id), []);
    store.settle_now().unwrap();
    assert_eq!(all_of(&reader, id), [reading(1, 1)]);
}

#[test]
fn the_settling_thread_settles_on_request_and_at_the_end() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let id = series(&store, 1)[0];
    let guard = store.start_settling();
    let mut journal = store.journal().unwrap();
    let commit = journal.commit(UnixMillis(1), &of_readings(vec![(id, reading(1, 1))])).unwrap();
    assert!(store.wait_settled(commit, Duration::from_secs(60)));
    assert_eq!(all_of(&store, id), [reading(1, 1)]);
    assert_eq!(store.wait_for_more(CommitNo(0), Duration::ZERO), commit);
    assert!(!store.wait_settled(CommitNo(99), Duration::ZERO));
    let last = journal.commit(UnixMillis(2), &of_readings(vec![(id, reading(2, 2))])).unwrap();
    drop(guard);
    assert_eq!(store.settled_through(), last);
    assert_eq!(store.oldest_commit_after(last), None);
    assert_eq!(store.oldest_commit_after(CommitNo(1)), Some(UnixMillis(2)));
}

#[test]
fn a_replayed_rejection_moves_its_counts_and_keeps_the_sum() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let id = series(&store, 1)[0];
    let mut journal = store.journal().unwrap();
    let mut counters = Counters { received: 1, ..Counters::default() };
    counters.rejected[Reason::UnknownPilot.index()] = 1;
    let batch = Batch { rejections: vec![rejected(1)], counters, ..Batch::default() };
    journal.commit(UnixMillis(1), &batch).unwrap();
    store.settle_now().unwrap();
    let row = store.rejections(UnixMillis(0), 0, 10).unwrap().remove(0);
    assert!(row.has_bytes && !row.replayed && store.rejection_bytes().0 > 0);
    let replayed = Replayed { rejection: row.id, mended: row.message.refusals, remaining: Vec::new() };
    let counters = Counters { readings: 1, ..Counters::default() };
    let batch = Batch { readings: vec![(id, reading(1, 1))], replayed: vec![replayed], counters, ..Batch::default() };
    journal.commit(UnixMillis(2), &batch).unwrap();
    store.settle_now().unwrap();
    let counters = store.counters();
    assert_eq!((counters.received, counters.committed, counters.readings), (1, 1, 1));
    assert_eq!(counters.rejected.iter().sum::<u64>(), 0);
    assert!(store.rejections(UnixMillis(0), 0, 10).unwrap()[0].replayed);
    assert_eq!(store.rejection_bytes().0, 0);
}

/// A store with something in every table, closed; some of it still in the journal.
fn closed_store(dir: &TempDir) {
    let store = owner(dir);
    commit_full_batches(&store);
    let mut journal = store.journal().unwrap();
    let readings = (0..3_000).map(|n| (SeriesId(0), reading(n * 60_000, n * n))).collect();
    journal.commit(UnixMillis(8), &of_readings(readings)).unwrap();
    store.settle_now().unwrap();
    let sha256 = [7; 32];
    let login = Login { name: "gw".to_owned(), pilot: pilot(), gateway: None, secret: Secret::Sha256(sha256) };
    let (name, scope) = ("t".to_owned(), "operator".to_owned());
    let token = Token { name, scope, sha256, created: UnixMillis(1), expires: None };
    let (author, reason, made_at) = ("Li".into(), "meter book".into(), UnixMillis(8));
    let entry = store.entry(SeriesId(1)).unwrap();
    let correction =
        NewCorrection { entry, at: UnixMillis(5), id: None, change: Change::Void, author, reason, made_at };
    let put = |tx: &WriteTx<'_>| {
        tx.correct(&correction)?;
        tx.put_rollup(SeriesId(1), 24_180, b"rollup")?;
        tx.put_month_sums(SeriesId(1), b"sums")?;
        tx.put_figures("pilot:p-1", "defect_rate", b"figure")?;
        tx.put_meta("registry/p-1", b"text")?;
        tx.add_ledger_entry("pilot:p-1", &LedgerEntry { entry: 1, cut_at: UnixMillis(1), bytes: b"entry".to_vec() })?;
        tx.put_ledger_head("pilot:p-1", "defect_rate", b"head")?;
        tx.put_unpublished("pilot:p-1", "defect_rate", Some(b"due"))?;
        tx.put_import(None, &crate::import::tests::import("p-1"))?;
        tx.quarantine("reading value=1", "no tags", UnixMillis(1))?;
        tx.put_login(&login)?;
        tx.put_token(&token)
    };
    store.write(put).unwrap();
    assert_eq!((store.logins().unwrap(), store.tokens().unwrap()), (vec![login], vec![token]));
    for n in 20..30 {
        journal.commit(UnixMillis(9), &full_batch(&[SeriesId(0)], n)).unwrap();
    }
}

#[test]
fn check_finds_a_flipped_bit_in_any_blob() {
    let dir = TempDir::new();
    closed_store(&dir);
    assert_eq!(Store::check(dir.path()).unwrap(), []);
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for (file, table) in blob_tables(&dir) {
        let conn = Connection::open(dir.path().join(&file)).unwrap();
        // A disk asks no trigger.
        conn.execute_batch("DROP TRIGGER IF EXISTS ledger_stays").unwrap();
        let hex: String =
            conn.query_row(&format!("SELECT hex(blob) FROM {table} LIMIT 1"), [], |row| row.get(0)).unwrap();
        let blob: Vec<u8> =
            (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bit = usize::try_from(state >> 33).unwrap() % (blob.len() * 8);
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let swap = |from: &[u8], to: &[u8]| {
                conn.execute(&format!("UPDATE {table} SET blob = ?2 WHERE blob = ?1"), [from, to]).unwrap();
            };
            swap(&blob, &flipped);
            let damage = Store::check(dir.path()).unwrap();
            assert!(
                damage.iter().any(|damage| damage.place.starts_with(&format!("{file}: {table}/"))),
                "{table}: {damage:?}"
            );
            swap(&flipped, &blob);
        }
    }
    assert_eq!(Store::check(dir.path()).unwrap(), []);
}

/// Every table that has a blob, and at least one row.
fn blob_tables(dir: &TempDir) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    for file in ["journal.sqlite", "store.sqlite"] {
        let conn = Connection::open(dir.path().join(file)).unwrap();
        let query = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                     WHERE m.type = 'table' AND c.name = 'blob' AND m.name <> 'damaged'";
        let mut statement = conn.prepare(query).unwrap();
        let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        tables.extend(names.into_iter().map(|name| (file.to_owned(), name)));
    }
    assert_eq!(tables.len(), 26, "{tables:?}");
    tables
}

#[test]
fn check_finds_a_lost_row_and_a_lost_tail() {
    let dir = TempDir::new();
    closed_store(&dir);
    let conn = Connection::open(dir.path().join("journal.sqlite")).unwrap();
    conn.execute("DELETE FROM journal WHERE commit_no IN (12, 13)", []).unwrap();
    let damage = Store::check(dir.path()).unwrap();
    assert_eq!(damage.len(), 1, "{damage:?}");
    insta::assert_snapshot!(format!("{}: {}", damage[0].place, damage[0].text),
        @"journal.sqlite: journal/14: commits 12 to 13 are missing");
    conn.execute("DELETE FROM journal WHERE commit_no <= 14", []).unwrap();
    let damage = Store::check(dir.path()).unwrap();
    insta::assert_snapshot!(format!("{}: {}", damage[0].place, damage[0].text),
        @"journal.sqlite: journal/15: commits 9 to 14 are missing");
}

#[test]
fn a_damaged_chunk_harms_its_own_series_only_and_settling_goes_on() {
    let dir = TempDir::new();
    closed_store(&dir);
    let conn = Connection::open(dir.path().join("store.sqlite")).unwrap();
    let n = conn.execute("UPDATE chunk SET blob = substr(blob, 2) WHERE series = 0", []).unwrap();
    assert!(n > 1, "a series of 3,000 readings has chunks");
    drop(conn);
    let store = owner(&dir);
    assert!(matches!(
        store.readings(SeriesId(0), UnixMillis(0), UnixMillis(i64::MAX)),
        Err(StoreError::Checksum { .. })
    ));
    assert_eq!(all_of(&store, SeriesId(1)).len(), 6);
    let mut journal = store.journal().unwrap();
    let late = (0..600).map(|n| (SeriesId(0), reading(n * 60_000 + 1, 1)));
    let after = (0..600).map(|n| (SeriesId(0), reading(1_000_000_000 + n, 1)));
    journal.commit(UnixMillis(10), &of_readings(late.chain(after).collect())).unwrap();
    let last = journal.commit(UnixMillis(11), &of_readings(vec![(SeriesId(1), reading(77, 7))])).unwrap();
    assert_eq!(store.settle_now().unwrap(), last);
    assert_eq!(all_of(&store, SeriesId(1)).len(), 7);
    let after = store.readings(SeriesId(0), UnixMillis(1_000_000_000), UnixMillis(1_000_000_600)).unwrap();
    assert_eq!(after.len(), 600, "what lies outside the damaged chunks reads");
    for n in 0..20 {
        journal.commit(UnixMillis(12), &of_readings(vec![(SeriesId(0), reading(n, 1))])).unwrap();
        store.settle_now().unwrap();
    }
    let conn = Connection::open(dir.path().join("store.sqlite")).unwrap();
    let n_parts: i64 = conn.query_row("SELECT count(*) FROM part WHERE series = 0", [], |row| row.get(0)).unwrap();
    assert!(n_parts <= 9, "{n_parts} parts: they are joined also beside damage");
}

#[test]
fn a_damaged_journal_row_is_set_aside_and_the_others_count() {
    let dir = TempDir::new();
    let ids = {
        let store = owner(&dir);
        let ids = series(&store, 2);
        let mut journal = store.journal().unwrap();
        for n in 1..=3 {
            journal.commit(UnixMillis(n), &of_readings(vec![(ids[0], reading(n, n))])).unwrap();
        }
        ids
    };
    let conn = Connection::open(dir.path().join("journal.sqlite")).unwrap();
    conn.execute("UPDATE journal SET blob = substr(blob, 1, 30) || x'00' WHERE commit_no = 2", []).unwrap();
    drop(conn);
    let store = owner(&dir);
    assert_eq!((store.last_commit(), store.counters().received), (CommitNo(3), 2));
    store.settle_now().unwrap();
    assert_eq!(all_of(&store, ids[0]), [reading(1, 1), reading(3, 3)]);
    store.checkpoint().unwrap();
    store.journal().unwrap().trim().unwrap();
    let places: Vec<_> = Store::check(dir.path()).unwrap().into_iter().map(|damage| damage.place).collect();
    assert_eq!(places, ["store.sqlite: damaged/2"]);
}

#[test]
fn a_number_named_by_a_damaged_row_is_not_given_again() {
    let dir = TempDir::new();
    {
        let store = owner(&dir);
        let mut journal = store.journal().unwrap();
        series(&store, 2);
        journal.commit(UnixMillis(1), &Batch::default()).unwrap();
        journal.commit(UnixMillis(2), &of_readings(vec![(SeriesId(1), reading(1, 1))])).unwrap();
    }
    let conn = Connection::open(dir.path().join("journal.sqlite")).unwrap();
    conn.execute("UPDATE journal SET blob = x'01' WHERE commit_no = 1", []).unwrap();
    drop(conn);
    let store = owner(&dir);
    assert_eq!(store.intern(&key("new"), &Registration::Registered), SeriesId(2));
}

#[test]
fn late_readings_among_many_chunks_come_out_in_order() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let id = series(&store, 1)[0];
    let mut journal = store.journal().unwrap();
    let mut expected: Vec<Reading> = Vec::new();
    for pass in [7, 3, 0, 5] {
        let readings: Vec<Reading> = (0..4_000).map(|n| reading((n * 10 + pass) * (pass % 2 * 2 + 1), n)).collect();
        expected.extend(readings.iter().cloned());
        journal.commit(UnixMillis(1), &of_readings(readings.into_iter().map(|r| (id, r)).collect())).unwrap();
        store.settle_now().unwrap();
    }
    resolve(&mut expected, &mut Vec::new());
    assert_eq!(all_of(&store, id), expected);
    assert_eq!(Store::check(dir.path()).unwrap(), []);
}

#[test]
fn written_values_come_back_and_a_recompute_clears_only_what_is_derived() {
    let dir = TempDir::new();
    closed_store(&dir);
    let store = owner(&dir);
    assert_eq!(store.rollups(SeriesId(1), 24_180, 24_180).unwrap(), [(24_180, b"rollup".to_vec())]);
    assert_eq!(store.month_sums(SeriesId(1)).unwrap(), Some(b"sums".to_vec()));
    assert_eq!(store.figures("pilot:p-1", "defect_rate").unwrap(), Some(b"figure".to_vec()));
    store.write(|tx| tx.clear_derived()).unwrap();
    assert_eq!(store.rollups(SeriesId(1), 0, i32::MAX).unwrap(), []);
    assert_eq!(
        (store.month_sums(SeriesId(1)).unwrap(), store.figures("pilot:p-1", "defect_rate").unwrap()),
        (None, None)
    );
    assert_eq!(store.meta("registry/p-1").unwrap(), Some(b"text".to_vec()));
    assert!(store.write(|tx| tx.remove_login("gw")).unwrap());
    assert!(!store.write(|tx| tx.remove_token("nobody")).unwrap());
    assert_eq!(store.logins().unwrap(), []);
    let orders = store.touched_orders().unwrap();
    assert_eq!(orders[0].1, pilot());
    store.write(|tx| tx.untouch_orders(&[orders[0].0])).unwrap();
}

/// The files of a store that is open, as a killed process leaves them.
fn copy_of(dir: &TempDir) -> TempDir {
    let copy = TempDir::new();
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if !file.file_name().to_str().unwrap().ends_with("-shm") {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    copy
}

#[test]
fn a_log_that_lost_commits_is_named_before_and_after_the_start_that_drops_them() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let mut journal = store.journal().unwrap();
    for n in 0..20 {
        journal.commit(UnixMillis(n), &Batch::default()).unwrap();
    }
    let copy = copy_of(&dir);
    assert_eq!(Store::check(copy.path()).unwrap(), []);
    let copy = copy_of(&dir);
    let wal = copy.path().join("journal.sqlite-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    std::fs::write(&wal, bytes).unwrap();
    let place = Store::check(copy.path()).unwrap().remove(0).place;
    assert_eq!(place, "journal.sqlite-wal: frames");
    let reopened = owner(&copy);
    assert!(reopened.last_commit() < store.last_commit());
    drop(reopened);
    assert!(Store::check(copy.path()).unwrap()[0].place.ends_with("journal.sqlite-wal.damaged"));
}

#[test]
fn a_store_whose_log_lost_what_was_settled_settles_it_again_from_the_journal() {
    let dir = TempDir::new();
    let store = owner(&dir);
    commit_full_batches(&store);
    store.settle_now().unwrap();
    store.journal().unwrap().trim().unwrap();
    let copy = copy_of(&dir);
    std::fs::remove_file(copy.path().join("store.sqlite-wal")).unwrap();
    let reopened = owner(&copy);
    reopened.settle_now().unwrap();
    assert_eq!(visible(&reopened), visible(&store));
}

#[test]
fn a_directory_of_version_1_opens_counts_right_and_is_brought_up() {
    let dir = TempDir::new();
    let of_reasons = |n: u64| std::array::from_fn(|reason| if reason == 19 { n } else { 0 });
    let state = StateV1 {
        settled: CommitNo(0),
        chain: 0,
        settled_at: None,
        counters: CountersV1 { received: 5, committed: 3, rejected: of_reasons(2), ..CountersV1::default() },
    };
    let entry = CatalogueEntry { id: SeriesId(0), key: key("s0"), registration: Registration::Registered };
    let (commit, at) = (CommitNo(1), UnixMillis(9));
    let heading = Heading { commit, at, chain: 0, next_series: 1, entries: &[entry] };
    let counters =
        CountersV1 { received: 1, committed: 1, readings: 1, refused: of_reasons(4), ..CountersV1::default() };
    let row = encode_v1(&heading, &[(SeriesId(0), reading(7, 70))], counters);
    drop((journal_writer(dir.path()).unwrap(), store_writer(dir.path()).unwrap()));
    let journal = Connection::open(dir.path().join("journal.sqlite")).unwrap();
    journal.execute("INSERT INTO journal VALUES (1, 9, ?1)", [row]).unwrap();
    journal.pragma_update(None, "user_version", 1).unwrap();
    let conn = Connection::open(dir.path().join("store.sqlite")).unwrap();
    conn.execute_batch("DROP TABLE outage; DROP TABLE learned; DROP TABLE waiting").unwrap();
    conn.execute_batch(WITHOUT_VERSION_4).unwrap();
    let blob = seal_value("state/settled", &state).unwrap();
    conn.execute("INSERT INTO state VALUES ('settled', ?1)", [blob]).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    drop((journal, conn));

    assert_eq!(Store::check(dir.path()).unwrap(), []);
    let beside = Store::open(dir.path(), Access::Reader).unwrap();
    assert_eq!(beside.counters().received, 6);
    assert_eq!(
        (beside.learned().unwrap(), beside.outages(&pilot(), UnixMillis(0), UnixMillis(9)).unwrap()),
        (vec![], vec![])
    );
    drop(beside);
    for _ in 0..2 {
        let store = owner(&dir);
        store.settle_now().unwrap();
        let counters = store.counters();
        assert_eq!((counters.received, counters.committed, counters.readings), (6, 4, 1));
        assert_eq!((counters.rejected.iter().sum::<u64>(), counters.rejected[Reason::Expired.index()]), (2, 2));
        assert_eq!((counters.refused.iter().sum::<u64>(), counters.refused[Reason::Expired.index()]), (4, 4));
        assert_eq!(all_of(&store, SeriesId(0)), [reading(7, 70)]);
    }
    assert_eq!(Store::check(dir.path()).unwrap(), []);
}

#[test]
fn an_outage_is_kept_once_and_touches_the_series_of_its_source_only() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let of = |asset: &str, registration: &Registration| {
        let key = SeriesKey { asset: asset.into(), ..key("kWh") };
        store.intern(&key, registration)
    };
    let hint = Registration::Unregistered { unit: None };
    let node = of("g/edge", &Registration::Registered);
    let device = of("g/edge/cnc", &Registration::Registered);
    let others = [of("g/edge-2", &Registration::Registered), of("g", &Registration::Registered), of("g/edge", &hint)];
    let mut journal = store.journal().unwrap();
    let all = [node, device].into_iter().chain(others);
    let readings = all.flat_map(|series| [(series, reading(1_000, 1)), (series, reading(9_000, 2))]).collect();
    journal.commit(UnixMillis(1), &of_readings(readings)).unwrap();
    store.settle_now().unwrap();
    let rows: Vec<i64> = store.touched(100).unwrap().into_iter().map(|touched| touched.row).collect();
    store.write(|tx| tx.untouch(&rows)).unwrap();

    let lost = outage("g/edge", 3_000, 20_000);
    for _ in 0..2 {
        journal.commit(UnixMillis(2), &Batch { outages: vec![lost.clone()], ..Batch::default() }).unwrap();
        store.settle_now().unwrap();
    }
    let touched: Vec<_> = store.touched(100).unwrap().iter().map(|t| (t.series, t.from.0, t.to.0)).collect();
    assert_eq!(touched, [(node, 3_000, 9_000), (device, 3_000, 9_000)]);
    let found = |from, to| store.outages(&pilot(), UnixMillis(from), UnixMillis(to)).unwrap();
    assert_eq!(found(0, 4_000), [lost]);
    assert_eq!((found(0, 3_000), found(20_000, 30_000)), (vec![], vec![]));
}

#[test]
fn of_what_was_learned_the_latest_of_a_topic_stays_settled_or_not() {
    let dir = TempDir::new();
    let store = owner(&dir);
    let mut journal = store.journal().unwrap();
    let mut commit = |messages: &[LearnedMessage]| {
        journal.commit(UnixMillis(1), &Batch { learned: messages.to_vec(), ..Batch::default() }).unwrap();
    };
    commit(&[learned("meta/1", 5), learned("meta/2", 5), learned("meta/1", 7)]);
    store.settle_now().unwrap();
    commit(&[learned("meta/1", 6), learned("meta/2", 9)]);
    let expected = [learned("meta/1", 7), learned("meta/2", 9)];
    assert_eq!(store.learned().unwrap(), expected);
    store.settle_now().unwrap();
    assert_eq!(store.learned().unwrap(), expected);
    commit(&(0..1_001).map(|n| learned(&format!("flood/{n:04}"), 100 + n)).collect::<Vec<_>>());
    store.settle_now().unwrap();
    let kept = store.learned().unwrap();
    assert_eq!((kept.len(), kept[0].topic.as_str()), (1_000, "flood/0001"));
}
