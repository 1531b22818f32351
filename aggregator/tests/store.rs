//! The aggregator over a real store: whatever the order of arrival, the same bits; a change reaches what depends on it.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test itself")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aggregator::evidence::Cell;
use aggregator::{Aggregator, FigureQuery, RollupQuery, RollupRow, Width};
use model::registry::{InForce, Pilot, parse_pilot};
use model::{
    Figure, Flags, OrderEvent, OrderEventKind, Period, PilotId, Quality, Reading, Registry, Scope, SeriesId, SeriesKey,
    State, UnixMillis, Value,
};
use proptest::prelude::*;
use seeds::factors::Factors;
use store::{Access, Batch, Change, Journal, NewCorrection, Outage, Registration, Store};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn at(text: &str) -> i64 {
    UnixMillis::parse(text).unwrap().0
}

fn pilot(zone: &str, more: &str) -> Pilot {
    let text = format!(
        "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\nzone = \"{zone}\"\n\
         [baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n{more}"
    );
    parse_pilot("p.toml", &text).unwrap()
}

const SERIES: &str = r#"
[[tariff]]
from = 2015-01-01
bands = { peak = 1.0, flat = 0.5 }
hours = { peak = ["08:00-12:00"] }
[[series]]
asset = "m"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
rollover = 1000000
[[series]]
asset = "l"
name = "good"
quantity = "output.good"
kind = "delta"
[[series]]
asset = "l"
name = "defective"
quantity = "output.defective"
kind = "delta"
[[series]]
asset = "l"
name = "cycle"
quantity = "time.cycle"
kind = "duration"
"#;

/// A directory of its own, removed at the end.
struct Plant {
    dir: PathBuf,
    store: Arc<Store>,
    journal: Journal,
    aggregator: Arc<Aggregator>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{}: {error}", self.dir.display());
        }
    }
}

impl Plant {
    fn new(pilot: Pilot) -> Plant {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-agg-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        let store = Store::open(&dir, Access::Owner).unwrap();
        let journal = store.journal().unwrap();
        let (programme, factors) = (Arc::new(seeds::programme::builtin()), Arc::new(Factors::builtin()));
        let registry = Arc::new(InForce::new(registry(pilot)));
        let aggregator = Aggregator::new(Arc::clone(&store), registry, programme, factors);
        Plant { dir, store, journal, aggregator }
    }

    fn series(&self, asset: &str, name: &str, product: Option<&str>) -> SeriesId {
        let product = product.map(Arc::from);
        let key = SeriesKey { pilot: PilotId::parse("p").unwrap(), asset: asset.into(), name: name.into(), product };
        self.store.intern(&key, &Registration::Registered)
    }

    fn commit(&mut self, readings: Vec<(SeriesId, Reading)>) {
        self.journal.commit(UnixMillis(at("2026-01-01T00:00:00Z")), &Batch { readings, ..Batch::default() }).unwrap();
        self.store.settle_now().unwrap();
    }

    fn orders(&mut self, orders: Vec<OrderEvent>) {
        let pilot = PilotId::parse("p").unwrap();
        let orders = orders.into_iter().map(|order| (pilot.clone(), order)).collect();
        self.journal.commit(UnixMillis(at("2026-01-01T00:00:00Z")), &Batch { orders, ..Batch::default() }).unwrap();
        self.store.settle_now().unwrap();
    }

    fn correct(&self, series: SeriesId, at: i64, change: Change) {
        let entry = self.store.entry(series).unwrap();
        let (author, reason, made_at) = ("Li".into(), "meter book".into(), UnixMillis(at_now()));
        let new = NewCorrection { entry, at: UnixMillis(at), id: None, change, author, reason, made_at };
        self.store.write(|tx| tx.correct(&new)).unwrap();
    }

    fn lose(&mut self, asset: &str, from: i64, to: i64) {
        let pilot = PilotId::parse("p").unwrap();
        let lost = Outage { pilot, asset: asset.to_owned(), from: UnixMillis(from), to: UnixMillis(to), n_lost: 7 };
        let batch = Batch { outages: vec![lost], ..Batch::default() };
        self.journal.commit(UnixMillis(at("2026-01-01T00:00:00Z")), &batch).unwrap();
        self.store.settle_now().unwrap();
    }

    fn catch_up(&self, now: &str) {
        assert_eq!(self.aggregator.catch_up_at(UnixMillis(at(now))).unwrap(), self.store.last_commit());
    }

    fn rows(&self, asset: &str, name: &str, width: Width) -> Vec<RollupRow> {
        let query = RollupQuery {
            pilot: PilotId::parse("p").unwrap(),
            asset: asset.into(),
            name: name.into(),
            product: None,
            from: UnixMillis(at("2010-01-01T00:00:00Z")),
            to: UnixMillis(at("2030-01-01T00:00:00Z")),
            width,
            by_band: false,
        };
        self.aggregator.rollups(&query).unwrap()
    }

    fn figures(&self, scope: &str, period: Option<&str>) -> Vec<Figure> {
        let query = FigureQuery {
            scope: Scope::parse(scope),
            indicator: None,
            period: period.map(|text| Period::parse(text).unwrap()),
        };
        self.aggregator.figures(&query, UnixMillis(0)).unwrap()
    }

    #[track_caller]
    fn verify(&self) {
        self.verify_at(NOW);
    }

    #[track_caller]
    fn verify_at(&self, now: &str) {
        assert_eq!(self.aggregator.verify_at(UnixMillis(at(now)), &|_| ()).unwrap(), []);
    }

    /// Compares what surfaces print; a difference names its line only, which is long enough.
    #[track_caller]
    fn assert_prints_as(&self, other: &Plant) {
        let (ours, theirs) = (self.printed(), other.printed());
        let line = ours.lines().zip(theirs.lines()).position(|(ours, theirs)| ours != theirs);
        assert!(ours == theirs, "line {line:?} differs");
    }

    /// Everything that surfaces print, as text: floats with all their digits.
    fn printed(&self) -> String {
        let mut text = String::new();
        for (asset, name) in [("m", "electricity"), ("l", "good"), ("l", "defective"), ("l", "cycle")] {
            for width in [Width::Quarter, Width::Day, Width::Month] {
                text += &format!("{:?}\n", self.rows(asset, name, width));
            }
        }
        let query = FigureQuery::default();
        text + &serde_json::to_string(&self.aggregator.figures(&query, UnixMillis(0)).unwrap()).unwrap()
    }
}

fn at_now() -> i64 {
    at(NOW)
}

fn registry(pilot: Pilot) -> Registry {
    Registry { pilots: [(pilot.id.clone(), Arc::new(pilot))].into() }
}

fn reading(at: i64, value: f64) -> Reading {
    let value = Value::from_f64(value);
    Reading { at: UnixMillis(at), value, quality: Quality::Good, flags: Flags::default(), id: None }
}

/// Two years: a meter every six hours, pieces and defects every day, some cycle times.
fn history(plant: &Plant) -> Vec<(SeriesId, Reading)> {
    let (meter, cycle) = (plant.series("m", "electricity", None), plant.series("l", "cycle", None));
    let good = [plant.series("l", "good", Some("A")), plant.series("l", "good", Some("B"))];
    let defective = [plant.series("l", "defective", Some("A")), plant.series("l", "defective", Some("B"))];
    let start = at("2014-12-31T16:00:00Z");
    let mut readings = Vec::new();
    let mut register = 0.0;
    for step in 0..=(2 * 365 + 1) * 4 {
        let saved = if step < 365 * 4 { 1.0 } else { 0.75 };
        readings.push((meter, reading(start + step * 6 * HOUR, register)));
        register += (100.0 + (step % 7) as f64 * 0.3) * saved;
    }
    for day in 1..=(2 * 365 + 1) {
        let (stamp, saved) = (start + day * DAY, if day < 366 { 1.0 } else { 0.5 });
        for product in 0..2 {
            let pieces = 100.0 + (day % 5) as f64 + product as f64;
            readings.push((good[product], reading(stamp, pieces)));
            readings.push((defective[product], reading(stamp, (4.0 + product as f64) * saved)));
        }
        readings.push((cycle, reading(stamp - HOUR, (50.0 + (day % 9) as f64) * saved)));
    }
    readings
}

fn orders() -> Vec<OrderEvent> {
    let start = at("2015-01-02T00:00:00Z");
    let event = |n: i64, event, at| OrderEvent {
        order: format!("o-{n}").into(),
        product: Some(if n % 3 == 0 { "A".into() } else { "B".into() }),
        event,
        at: UnixMillis(at),
        quantity: None,
        good: None,
        defective: None,
    };
    let of = |n: i64| {
        let started = start + n * 3 * DAY;
        let hours = if n < 121 { 40 + n % 11 } else { 28 + n % 7 };
        [event(n, OrderEventKind::Started, started), event(n, OrderEventKind::Completed, started + hours * HOUR)]
    };
    (0..240).flat_map(of).collect()
}

const NOW: &str = "2017-02-10T00:00:00Z";

#[test]
fn two_years_of_a_plant_become_its_figures() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&plant);
    plant.commit(readings);
    plant.orders(orders());
    plant.catch_up(NOW);
    plant.verify();
    let figures = plant.figures("pilot:p", Some("2016"));
    let of = |indicator: &str| figures.iter().find(|figure| figure.indicator.to_string() == indicator).unwrap();
    for (indicator, reduction) in
        [("energy_intensity", 0.25), ("operating_cost", 0.25), ("defect_rate", 0.5), ("cycle_time", 0.5)]
    {
        let figure = of(indicator);
        assert_eq!((figure.state, figure.version), (State::Provisional, None), "{indicator} {:?}", figure.findings);
        assert!((figure.reduction.unwrap() - reduction).abs() < 0.06, "{indicator} {:?}", figure.reduction);
    }
    assert!(of("production_cycle").reduction.unwrap() > 0.25);
    assert_eq!(of("operating_cost").cost_scope, Some(vec!["energy.electricity".to_owned()]));
    // Every figure opens into inputs that give it again, also a group's.
    let (mut opened, mut by_product) = (0, 0);
    for figure in figures.iter().chain(&plant.figures("region:hami", Some("2016"))) {
        let name = (&figure.scope, &figure.indicator, figure.period);
        let evidence = plant.aggregator.evidence(name, UnixMillis(0)).unwrap().unwrap();
        assert_eq!(evidence.comes_out_again, figure.actual.map(|_| true), "{name:?}");
        assert_eq!(figure.baseline.is_some(), figure.actual.is_some() && matches!(figure.scope, Scope::Pilot(_)));
        opened += u32::from(figure.actual.is_some());
        let steps = evidence.tables.iter().find(|table| table.id == "steps").unwrap();
        let is_whole = |row: &&Vec<Cell>| row[..2] == [Cell::from("ratio"), Cell::from("all products")];
        if let Some(row) = steps.rows.iter().find(is_whole) {
            let ratio = figure.actual.unwrap() / figure.adjusted_baseline.unwrap();
            let Cell::Number(step) = row[2] else { panic!("{row:?}") };
            assert!((step - ratio).abs() < 1e-12, "{name:?}: {step} is not {ratio}");
            by_product += 1;
        }
    }
    assert_eq!(by_product, 2, "production cycle and cycle time, step by step");
    assert_eq!(opened, 12, "six indicators of the pilot, and of the group of one");
    let group = plant.figures("region:hami", Some("2016"));
    for figure in group.iter().filter(|figure| figure.state == State::Provisional) {
        assert_eq!(figure.reduction, of(&figure.indicator.to_string()).reduction, "a group of one");
        assert_eq!((figure.pilots_included, figure.pilots_total), (Some(1), Some(1)));
    }
    let baseline = plant.figures("pilot:p", Some("2015"));
    let energy = baseline.iter().find(|figure| figure.indicator.to_string() == "energy_intensity").unwrap();
    assert_eq!((energy.reduction, energy.standing), (Some(0.0), None));
    // Nothing stands in the baseline period, whatever the programme asks for.
    let defects = baseline.iter().find(|figure| figure.indicator.to_string() == "defect_rate").unwrap();
    assert_eq!((defects.reduction.is_some(), defects.standing, defects.target), (true, None, None));
    assert!(defects.findings.iter().any(|finding| finding.rule == "baseline_period"), "{:?}", defects.findings);
    assert!(
        of("defect_rate").standing.is_some() && of("defect_rate").findings.iter().all(|f| f.rule != "baseline_period")
    );
}

#[test]
fn a_known_scope_without_data_has_one_insufficient_figure_per_indicator() {
    let plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    plant.catch_up(NOW);
    for scope in ["pilot:p", "region:kashi", "programme"] {
        let figures = plant.figures(scope, None);
        assert_eq!(figures.len(), 6, "{scope}");
        assert!(figures.iter().all(|figure| figure.state == State::Insufficient && !figure.findings.is_empty()));
    }
    let figures = plant.figures("pilot:p", Some("2019-03"));
    assert_eq!(figures[0].period.to_string(), "2019-03");
    assert!(plant.aggregator.knows(&Scope::parse("class:promotion").unwrap()));
    assert!(!plant.aggregator.knows(&Scope::parse("pilot:q").unwrap()));
    plant.verify();
}

#[test]
fn a_late_reading_reaches_the_figures_of_its_month_and_nothing_else_changes() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let mut readings = history(&plant);
    let late = readings.remove(1_234);
    plant.commit(readings);
    plant.catch_up(NOW);
    let before = plant.printed();
    plant.commit(vec![late]);
    plant.catch_up(NOW);
    assert!(plant.printed() != before, "the late reading changes what is printed");
    plant.verify();
    let mut whole = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&whole);
    whole.commit(readings);
    whole.catch_up(NOW);
    plant.assert_prints_as(&whole);
}

const METERS: &str = r#"
[[series]]
asset = "g/edge"
name = "kWh"
quantity = "energy.electricity"
kind = "counter"
[[series]]
asset = "g/edge/cnc"
name = "kWh"
quantity = "energy.electricity"
kind = "counter"
part_of = "g/edge/kWh"
[[series]]
asset = "g/edge-2"
name = "kWh"
quantity = "energy.electricity"
kind = "counter"
part_of = "g/edge/kWh"
"#;

#[test]
fn a_lost_span_is_uncovered_in_the_series_of_its_source_and_moves_no_energy() {
    let start = at("2016-03-01T00:00:00Z");
    let fill = |plant: &mut Plant| {
        let all = ["g/edge", "g/edge/cnc", "g/edge-2"].map(|asset| plant.series(asset, "kWh", None));
        let of = |series| (0..10).map(move |hour| (series, reading(start + hour * HOUR, 8.0 * hour as f64)));
        plant.commit(all.into_iter().flat_map(of).collect());
    };
    let covered = |plant: &Plant, asset: &str| -> Vec<f64> {
        plant.rows(asset, "kWh", Width::Hour).iter().filter_map(|row| row.coverage).collect()
    };
    let values = |plant: &Plant| -> Vec<Option<f64>> {
        plant.rows("g/edge", "kWh", Width::Quarter).iter().map(|row| row.value).collect()
    };
    let mut plant = Plant::new(pilot("Asia/Shanghai", METERS));
    fill(&mut plant);
    plant.catch_up(NOW);
    let before = values(&plant);
    let lost = |plant: &mut Plant, n: i64| match n {
        0 => plant.lose("g/edge", start + 3 * HOUR + HOUR / 4, start + 5 * HOUR),
        _ => plant.lose("g/edge", start + 4 * HOUR, start + 5 * HOUR + HOUR / 2),
    };
    lost(&mut plant, 0);
    lost(&mut plant, 1);
    plant.catch_up(NOW);
    for asset in ["g/edge", "g/edge/cnc"] {
        assert_eq!(covered(&plant, asset)[1..9], [1.0, 1.0, 1.0, 0.25, 0.0, 0.5, 1.0, 1.0], "{asset}");
    }
    assert!(covered(&plant, "g/edge-2")[1..9].iter().all(|&share| share == 1.0));
    assert_eq!(values(&plant), before);
    plant.verify();

    let mut other = Plant::new(pilot("Asia/Shanghai", METERS));
    lost(&mut other, 1);
    fill(&mut other);
    lost(&mut other, 0);
    other.catch_up(NOW);
    assert_eq!(covered(&other, "g/edge"), covered(&plant, "g/edge"), "whatever comes first");
    other.verify();
}

#[test]
fn a_changed_registry_computes_everything_again() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&plant);
    plant.commit(readings);
    plant.catch_up(NOW);
    let kwh = |plant: &Plant| plant.rows("m", "electricity", Width::Year)[1].value.unwrap();
    let before = kwh(&plant);
    let doubled = SERIES.replace("rollover = 1000000", "rollover = 1000000\nmultiplier = 2");
    plant.aggregator.registry.replace(registry(pilot("Asia/Shanghai", &doubled)));
    plant.catch_up(NOW);
    assert_eq!(kwh(&plant), 2.0 * before);
    plant.verify();
}

#[test]
fn a_month_that_closes_enters_the_figures() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&plant);
    plant.commit(readings);
    plant.catch_up("2016-06-15T00:00:00Z");
    let may = |plant: &Plant, text| plant.figures("pilot:p", Some(text)).remove(0).state;
    assert_eq!((may(&plant, "2016-05"), may(&plant, "2016-06")), (State::Provisional, State::Insufficient));
    plant.catch_up("2016-07-15T00:00:00Z");
    assert_eq!(may(&plant, "2016-06"), State::Provisional);
    plant.verify_at("2016-07-15T00:00:00Z");
}

#[test]
fn production_cycles_go_with_the_end_of_the_data_while_orders_are_followed() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    // The log as it was at noon of 10 December: what was started last is still open, and nobody ever closes it.
    let end = at("2016-12-10T12:00:00Z");
    plant.orders(orders().into_iter().filter(|event| event.at.0 <= end).collect());
    plant.catch_up(NOW);
    plant.verify();
    let rules = |plant: &Plant, period: &str| -> Vec<String> {
        let figures = plant.figures("pilot:p", Some(period));
        let cycle = figures.iter().find(|figure| figure.indicator.to_string() == "production_cycle").unwrap();
        cycle.findings.iter().map(|finding| finding.rule.clone()).collect()
    };
    let mut seen = vec![rules(&plant, "2016-12")];
    let november = plant.figures("pilot:p", Some("2016-11"));
    let meter = plant.series("m", "electricity", None);
    // A meter goes on in a month that is open: it closes no period, and moves the end of the data.
    for later in ["2016-12-13T00:00:00Z", "2016-12-14T00:00:00Z", "2017-02-01T00:00:00Z", "2017-02-05T00:00:00Z"] {
        plant.commit(vec![(meter, reading(at(later), 1.0))]);
        plant.catch_up(NOW);
        plant.verify();
        seen.push(rules(&plant, "2016-12"));
    }
    assert_eq!(seen[0], ["few_orders"], "of four orders nothing is said");
    // The one that nobody closed, in a log that says nothing any more.
    for period in ["2016", "2016-Q4"] {
        assert_eq!(rules(&plant, period)[..2], ["open_orders", "orders_silent"], "{period}");
    }
    let cycle = |figures: Vec<Figure>| figures.into_iter().find(|figure| figure.unit == "h").unwrap();
    assert_eq!(cycle(plant.figures("pilot:p", Some("2016-11"))), cycle(november), "followed to its end long ago");
}

#[test]
fn recompute_gives_back_what_was_there() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&plant);
    plant.commit(readings);
    plant.orders(orders());
    plant.aggregator.catch_up().unwrap();
    let before = plant.printed();
    plant.aggregator.recompute().unwrap();
    assert!(plant.printed() == before, "the recompute prints something else");
    assert_eq!(plant.aggregator.verify(&|_| ()).unwrap(), []);
}

#[test]
fn days_are_the_zones_and_gaps_are_rows_without_value() {
    let mut plant = Plant::new(pilot("Europe/Berlin", SERIES));
    let meter = plant.series("m", "electricity", None);
    let start = at("2016-03-25T23:00:00Z");
    plant.commit(vec![
        (meter, reading(start, 0.0)),
        (meter, reading(start + 24 * HOUR, 24.0)),
        (meter, reading(start + 47 * HOUR, 47.0)),
        (meter, reading(start + 95 * HOUR, 7.0)),
    ]);
    plant.catch_up(NOW);
    let rows = plant.rows("m", "electricity", Width::Day);
    let values: Vec<(Option<f64>, Option<f64>)> = rows.iter().map(|row| (row.value, row.coverage)).collect();
    // The day of the clock change has 23 hours; then the counter falls without an event.
    assert_eq!(values[1], (Some(24.0), Some(1.0)));
    assert_eq!(values[2], (Some(23.0), Some(1.0)));
    assert_eq!(values[3], (None, Some(0.0)));
    assert_eq!(rows[2].end.0 - rows[2].start.0, 23 * HOUR);
    let findings = plant.aggregator.findings(&PilotId::parse("p").unwrap()).unwrap();
    assert_eq!(findings[0].rule, "decrease_without_event");
}

#[test]
fn the_follower_figures_what_is_asked_for() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let _settling = plant.store.start_settling();
    let guard = plant.aggregator.start();
    let meter = plant.series("m", "electricity", None);
    let readings =
        vec![(meter, reading(at("2016-01-01T00:00:00Z"), 1.0)), (meter, reading(at("2016-01-01T01:00:00Z"), 5.0))];
    let commit = plant.journal.commit(UnixMillis(at(NOW)), &Batch { readings, ..Batch::default() }).unwrap();
    assert!(plant.aggregator.wait_figured(commit, Duration::from_secs(20)));
    assert!(plant.aggregator.figured_through() >= commit);
    assert_eq!(plant.rows("m", "electricity", Width::Day)[0].value, Some(4.0));
    drop(guard);
}

fn set(value: f64) -> Change {
    Change::Set { value: Value::from_f64(value), quality: Quality::Good }
}

#[test]
fn a_correction_changes_the_figures_that_depend_on_it_and_no_other() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let text = "[pilot]\nid = \"q\"\nname = \"Q\"\nregion = \"kashi\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n";
    let other = parse_pilot("q.toml", &format!("{text}{SERIES}")).unwrap();
    let mut both = registry(pilot("Asia/Shanghai", SERIES));
    both.pilots.insert(other.id.clone(), Arc::new(other));
    plant.aggregator.registry.replace(both);
    let readings = history(&plant);
    let twin = |id: SeriesId| {
        let key = SeriesKey { pilot: PilotId::parse("q").unwrap(), ..plant.store.entry(id).unwrap().key };
        plant.store.intern(&key, &Registration::Registered)
    };
    let twins = readings.iter().map(|(id, reading)| (twin(*id), reading.clone())).collect();
    plant.commit(readings);
    plant.commit(twins);
    plant.catch_up(NOW);
    let all = |plant: &Plant| plant.aggregator.figures(&FigureQuery::default(), UnixMillis(0)).unwrap();
    let before = all(&plant);

    let (defective, day) = (plant.series("l", "defective", Some("A")), at("2016-03-14T16:00:00Z"));
    plant.correct(defective, day, set(40.0));
    plant.catch_up(NOW);
    plant.verify();
    let changed: Vec<Figure> =
        all(&plant).into_iter().zip(&before).filter(|(now, then)| now != *then).map(|(now, _)| now).collect();
    let told: Vec<String> =
        changed.iter().map(|figure| format!("{} {} {}", figure.scope, figure.indicator, figure.period)).collect();
    let scopes = ["class:pilot", "pilot:p", "programme", "region:hami", "sector:electronics"];
    let mut expected: Vec<String> = Vec::new();
    for scope in scopes {
        expected.extend(["2016", "2016-Q1", "2016-03"].map(|period| format!("{scope} defect_rate {period}")));
    }
    let (mut told, mut sorted) = (told, expected);
    told.sort();
    sorted.sort();
    assert_eq!(told, sorted);

    // Withdrawn, everything is as it was, to the bit.
    plant.correct(defective, day, Change::Withdraw);
    plant.catch_up(NOW);
    assert_eq!(all(&plant), before);
    plant.verify();
}

#[test]
fn a_void_first_reading_takes_its_years_of_rows_away() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let meter = plant.series("m", "electricity", None);
    // A gateway whose clock began in 2000.
    let wrong = at("2010-01-01T00:00:00Z");
    let start = at("2016-03-01T00:00:00Z");
    let mut readings: Vec<_> = (0..10).map(|hour| (meter, reading(start + hour * HOUR, 8.0 * hour as f64))).collect();
    let good = readings.clone();
    readings.push((meter, reading(wrong, 3.0)));
    plant.commit(readings);
    plant.catch_up(NOW);
    assert!(plant.rows("m", "electricity", Width::Day).len() > 2_000);
    plant.correct(meter, wrong, Change::Void);
    plant.catch_up(NOW);
    plant.verify();
    let mut clean = Plant::new(pilot("Asia/Shanghai", SERIES));
    assert_eq!(clean.series("m", "electricity", None), meter);
    clean.commit(good);
    clean.catch_up(NOW);
    plant.assert_prints_as(&clean);
    plant.correct(meter, start + 90 * 60_000, set(12.5));
    plant.catch_up(NOW);
    let hours = plant.rows("m", "electricity", Width::Hour);
    let flagged: Vec<(f64, &[&str])> = hours[..3].iter().map(|row| (row.value.unwrap_or(-1.0), &*row.flags)).collect();
    assert_eq!(flagged[1..], [(8.0, &[][..]), (8.0, &["corrected"][..])]);
    plant.verify();
}

#[test]
fn a_correction_of_a_series_that_is_not_registered_enters_nothing() {
    let mut plant = Plant::new(pilot("Asia/Shanghai", SERIES));
    let readings = history(&plant);
    plant.commit(readings);
    let key =
        SeriesKey { pilot: PilotId::parse("p").unwrap(), asset: "m".into(), name: "electricity".into(), product: None };
    let kept = plant.store.intern(&key, &Registration::Unregistered { unit: Some("kWh".into()) });
    plant.catch_up(NOW);
    let before = plant.printed();
    plant.correct(kept, at("2016-03-14T16:00:00Z"), set(1e6));
    plant.catch_up(NOW);
    assert!(plant.printed() == before, "it is printed");
    assert_eq!(plant.store.touched(9).unwrap(), []);
    plant.verify();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_arrival_gives_the_same_bits(seed in proptest::collection::vec(any::<u32>(), 400), cuts in 1usize..6) {
        let mut one = Plant::new(pilot("Asia/Shanghai", SERIES));
        let few = |plant: &Plant| -> Vec<(SeriesId, Reading)> {
            history(plant).into_iter().step_by(13).take(400).collect()
        };
        let readings = few(&one);
        one.commit(readings);
        one.catch_up(NOW);
        let mut many = Plant::new(pilot("Asia/Shanghai", SERIES));
        let mut shuffled: Vec<(u32, (SeriesId, Reading))> = seed.iter().copied().zip(few(&many)).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<(SeriesId, Reading)> = shuffled.into_iter().map(|(_, reading)| reading).collect();
        for part in shuffled.chunks(400_usize.div_ceil(cuts)) {
            many.commit(part.to_vec());
            many.catch_up(NOW);
        }
        // Again, as a re-sent message would bring it.
        many.commit(shuffled[..50].to_vec());
        many.catch_up(NOW);
        many.assert_prints_as(&one);
        many.verify();
    }

    #[test]
    fn any_order_of_readings_and_corrections_gives_the_same_bits(
        seed in proptest::collection::vec(any::<u32>(), 400),
        said in proptest::collection::vec((0usize..400, 0usize..8, 0u8..4), 1..12),
    ) {
        let few = |plant: &Plant| -> Vec<(SeriesId, Reading)> {
            history(plant).into_iter().step_by(13).take(400).collect()
        };
        let correct = |plant: &Plant, (idx, _, what): (usize, usize, u8)| {
            let (series, reading) = few(plant).swap_remove(idx);
            let change = match what {
                0 => Change::Void,
                1 => Change::Withdraw,
                2 => Change::Set { value: None, quality: Quality::Bad },
                _ => set(reading.value.unwrap().as_f64() + 7.5),
            };
            plant.correct(series, reading.at.0, change);
        };
        let mut one = Plant::new(pilot("Asia/Shanghai", SERIES));
        let readings = few(&one);
        one.commit(readings);
        one.catch_up(NOW);
        said.iter().for_each(|&said| correct(&one, said));
        one.catch_up(NOW);
        let mut many = Plant::new(pilot("Asia/Shanghai", SERIES));
        let mut shuffled: Vec<(u32, (SeriesId, Reading))> = seed.iter().copied().zip(few(&many)).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<(SeriesId, Reading)> = shuffled.into_iter().map(|(_, reading)| reading).collect();
        let mut said: Vec<(usize, usize, u8)> = said;
        // Each is said before some part has come, all in the order in which they are numbered.
        let mut places: Vec<usize> = said.iter().map(|said| said.1).collect();
        places.sort_unstable();
        said.iter_mut().zip(places).for_each(|(said, place)| said.1 = place);
        for (place, part) in shuffled.chunks(50).enumerate() {
            said.iter().filter(|said| said.1 == place).for_each(|&said| correct(&many, said));
            many.commit(part.to_vec());
            many.catch_up(NOW);
        }
        // Again, as a re-sent message would bring it.
        many.commit(shuffled[..50].to_vec());
        many.catch_up(NOW);
        many.assert_prints_as(&one);
        many.verify();
    }
}
