//! The ledger over a real store: what is cut when, why, and what the answers say of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use model::registry::{InForce, Pilot, parse_pilot};
use model::{
    Figure, Indicator, OrderEvent, OrderEventKind, Period, PilotId, Reading, Registry, Scope, SeriesKey, State,
    UnixMillis,
};
use seeds::factors::Factors;
use store::{Access, Batch, Journal, LedgerEntry, Registration, Store};

use super::*;
use crate::figured::ScopeFigures;
use crate::fixture::{HOUR, at, reading};
use crate::{Aggregator, FigureQuery};

const DAY: i64 = 24 * HOUR;
/// Everything of 2016 is beyond grace.
const NOW: &str = "2017-02-10T00:00:00Z";

const SERIES: &str = "[[series]]\nasset = \"l\"\nname = \"good\"\nquantity = \"output.good\"\nkind = \"delta\"\n\
                      [[series]]\nasset = \"l\"\nname = \"defective\"\nquantity = \"output.defective\"\nkind = \"delta\"\n";

fn head(id: &str, region: &str) -> String {
    format!(
        "[pilot]\nid = \"{id}\"\nname = \"P\"\nregion = \"{region}\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
         zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n"
    )
}

fn text(id: &str, region: &str) -> String {
    head(id, region) + SERIES
}

fn pilot(id: &str, region: &str, more: &str) -> Pilot {
    parse_pilot(&format!("{id}.toml"), &(head(id, region) + more)).unwrap()
}

fn registry(pilots: [Pilot; 2]) -> Registry {
    Registry { pilots: pilots.into_iter().map(|pilot| (pilot.id.clone(), Arc::new(pilot))).collect() }
}

/// Two pilots of two regions, in a directory of its own, removed at the end.
struct Plant {
    dir: PathBuf,
    store: Arc<Store>,
    journal: Journal,
    aggregator: Arc<Aggregator>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        // Another process may have cleaned the temporary directory already.
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

fn open(dir: &std::path::Path) -> (Arc<Store>, Arc<Aggregator>) {
    let store = Store::open(dir, Access::Owner).unwrap();
    let registry = registry([pilot("p", "hami", SERIES), pilot("q", "kashi", SERIES)]);
    let (programme, factors) = (Arc::new(seeds::programme::builtin()), Arc::new(Factors::builtin()));
    let aggregator = Aggregator::new(Arc::clone(&store), Arc::new(InForce::new(registry)), programme, factors);
    (store, aggregator)
}

impl Plant {
    fn empty() -> Plant {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-ledger-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        let (store, aggregator) = open(&dir);
        let journal = store.journal().unwrap();
        Plant { dir, store, journal, aggregator }
    }

    /// With two years of pieces and defects.
    fn new() -> Plant {
        let mut plant = Plant::empty();
        plant.commit(&history());
        plant
    }

    fn commit(&mut self, rows: &[Row]) {
        let readings = rows.iter().map(|(pilot, name, reading)| {
            let pilot = PilotId::parse(pilot).unwrap();
            let key = SeriesKey { pilot, asset: "l".into(), name: (*name).into(), product: None };
            (self.store.intern(&key, &Registration::Registered), reading.clone())
        });
        let batch = Batch { readings: readings.collect(), ..Batch::default() };
        self.journal.commit(UnixMillis(at(NOW)), &batch).unwrap();
        self.store.settle_now().unwrap();
    }

    fn publish(&self, now: &str, cause: Cause) -> Published {
        self.aggregator.publish_at(UnixMillis(at(now)), Rules::default(), cause, None).unwrap()
    }

    fn catch_up(&self, now: &str) {
        self.aggregator.catch_up_at(UnixMillis(at(now))).unwrap();
    }

    fn defects(&self, scope: &str, period: &str) -> Figure {
        self.aggregator.figures(&query(scope, Some(period)), UnixMillis(0)).unwrap().remove(0)
    }

    fn then(&self, scope: &str, period: &str, then: Then) -> Figure {
        let query = query(scope, Some(period));
        self.aggregator.figures_then(&query, then, UnixMillis(at(NOW))).unwrap().remove(0)
    }

    /// Every version of every scope, as text.
    fn ledger(&self) -> String {
        let scopes = self.aggregator.scopes();
        let of = |scope| serde_json::to_string(&self.aggregator.versions(scope, VersionQuery::default()).unwrap());
        scopes.iter().map(|scope| of(scope).unwrap() + "\n").collect()
    }

    fn differences(&self) -> Vec<crate::Difference> {
        self.aggregator.verify_at(UnixMillis(at(NOW)), &|_| ()).unwrap()
    }
}

fn query(scope: &str, period: Option<&str>) -> FigureQuery {
    FigureQuery {
        scope: Scope::parse(scope),
        indicator: Some(Indicator::DefectRate),
        period: period.map(|text| Period::parse(text).unwrap()),
    }
}

type Row = (&'static str, &'static str, Reading);

fn history() -> Vec<Row> {
    let start = at("2014-12-31T16:00:00Z");
    let mut rows = Vec::new();
    for week in 1..=104 {
        let stamp = start + week * 7 * DAY;
        for (pilot, more) in [("p", 0.0), ("q", 1.0)] {
            rows.push((pilot, "good", reading(stamp, 700.0 + (week % 5) as f64 + more)));
            let defective = if week <= 52 { 40.0 } else { 30.0 };
            rows.push((pilot, "defective", reading(stamp, defective + (week % 3) as f64 + more)));
        }
    }
    rows
}

/// Came late: pieces of March 2016.
fn late() -> Row {
    ("p", "defective", reading(at("2016-03-10T03:00:00Z"), 11.0))
}

#[test]
fn a_first_version_waits_for_grace_and_quiet() {
    let mut plant = Plant::new();
    let version = |plant: &Plant, now: &str| {
        plant.publish(now, Cause::Due);
        plant.defects("pilot:p", "2016-06").version
    };
    plant.catch_up("2016-07-01T00:00:00Z");
    // June is over in Shanghai on the 30th at 16:00 UTC.
    assert_eq!(version(&plant, "2016-07-30T15:59:59Z"), None);
    plant.commit(&[("p", "defective", reading(at("2016-06-10T03:00:00Z"), 1.0))]);
    plant.catch_up("2016-07-30T15:30:00Z");
    assert_eq!(version(&plant, "2016-07-30T16:29:59Z"), None, "touched within the hour");
    assert_eq!(version(&plant, "2016-07-30T16:30:00Z"), Some(1));
    let figure = plant.defects("pilot:p", "2016-06");
    assert_eq!(figure.state, State::Final);
    assert_eq!(plant.defects("pilot:q", "2016-07").version, None, "July is within its grace");
    let published = plant.publish("2016-08-05T00:00:00Z", Cause::Publish);
    assert_eq!(
        (published.n_first, plant.defects("pilot:q", "2016-07").version),
        (0, None),
        "who asks cannot skip grace"
    );
}

#[test]
fn publishing_again_cuts_nothing() {
    let plant = Plant::new();
    let published = plant.publish(NOW, Cause::Publish);
    assert!(published.n_first > 100 && published.n_restated == 0, "{published:?}");
    let before = plant.ledger();
    for cause in [Cause::Publish, Cause::Due] {
        assert_eq!(plant.publish("2017-02-14T00:00:00Z", cause), Published::default());
    }
    assert_eq!(plant.ledger(), before);
    assert_eq!(plant.differences(), []);
}

#[test]
fn a_late_reading_restates_what_depends_on_it_and_nothing_else() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    let before = plant.defects("pilot:p", "2016-03");
    plant.commit(&[late()]);
    plant.catch_up(NOW);
    let head = plant.defects("pilot:p", "2016-03");
    assert_eq!((head.version, head.state), (None, State::Provisional));
    assert_eq!(plant.then("pilot:p", "2016-03", Then::Version(1)).reduction, before.reduction);
    assert_eq!(plant.differences(), [], "a change that waits is no difference");
    // The day after at the earliest.
    assert_eq!(plant.publish("2017-02-10T23:00:00Z", Cause::Due), Published::default());
    let published = plant.publish("2017-02-11T01:00:00Z", Cause::Due);
    let mut restated: Vec<String> = published
        .restated
        .iter()
        .map(|version| format!("{} {} {} v{}", version.scope, version.indicator, version.period, version.version))
        .collect();
    restated.sort();
    let scopes = ["class:pilot", "pilot:p", "programme", "region:hami", "sector:electronics"];
    let periods = ["2016", "2016-03", "2016-Q1"];
    let wanted = scopes.iter().flat_map(|scope| periods.map(|period| format!("{scope} defect_rate {period} v2")));
    assert_eq!(restated, wanted.collect::<Vec<_>>());
    for version in &published.restated {
        assert_eq!(version.reasons, Reasons::from(Reason::LateData), "{version:?}");
        let (was, is) = (version.before.unwrap().values.reduction.unwrap(), version.values.reduction.unwrap());
        assert_eq!(version.difference.unwrap().reduction, Some(is - was));
        assert!(is < was, "more defects");
    }
    assert_eq!((published.n_first, published.n_entries), (0, 5));
    for (scope, period, version) in [("pilot:p", "2016-03", 2), ("pilot:p", "2016-04", 1), ("pilot:q", "2016-03", 1)] {
        assert_eq!(plant.defects(scope, period).version, Some(version), "{scope} {period}");
    }
    assert_eq!(plant.aggregator.restatements(&Scope::parse("pilot:q").unwrap(), 9).unwrap(), []);
    let of_pilot = plant.aggregator.restatements(&Scope::parse("pilot:p").unwrap(), 2).unwrap();
    assert_eq!(of_pilot.len(), 2);
    assert_eq!(plant.differences(), []);
}

#[test]
fn an_edit_that_is_taken_back_before_it_is_published_is_no_version() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    plant.commit(&[late()]);
    plant.catch_up(NOW);
    assert_eq!(plant.defects("pilot:p", "2016-03").version, None);
    let other = pilot("p", "hami", &format!("{SERIES}multiplier = 2\n"));
    plant.aggregator.registry.replace(registry([other, pilot("q", "kashi", SERIES)]));
    plant.catch_up(NOW);
    plant.aggregator.registry.replace(registry([pilot("p", "hami", SERIES), pilot("q", "kashi", SERIES)]));
    plant.catch_up(NOW);
    let published = plant.publish("2017-02-12T00:00:00Z", Cause::Due);
    assert!(published.restated.iter().all(|version| version.period.to_string().starts_with("2016")), "{published:?}");
    assert_eq!(published.n_restated, 15, "only what the late reading changed; the registry is as it was");
}

#[test]
fn an_answer_as_of_an_instant_is_the_last_version_before_it() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    let one = plant.then("pilot:p", "2016-03", Then::Version(1));
    plant.commit(&[late()]);
    plant.catch_up(NOW);
    plant.publish("2017-02-12T00:00:00Z", Cause::Due);
    let two = plant.then("pilot:p", "2016-03", Then::Version(2));
    assert_ne!(one.reduction, two.reduction);
    assert_eq!((one.version, one.state, one.as_of), (Some(1), State::Final, UnixMillis(at(NOW))));
    for (instant, figure) in [
        (NOW, &one),
        ("2017-02-11T23:59:59.999Z", &one),
        ("2017-02-12T00:00:00Z", &two),
        ("2030-01-01T00:00:00Z", &two),
    ] {
        assert_eq!(plant.then("pilot:p", "2016-03", Then::AsOf(UnixMillis(at(instant)))), *figure, "{instant}");
    }
    let never = plant.then("pilot:p", "2016-03", Then::AsOf(UnixMillis(at("2017-02-09T00:00:00Z"))));
    assert_eq!((never.state, never.version, never.reduction), (State::Insufficient, None, None));
    assert_eq!(never.findings[0].rule, "not_published");
    assert_eq!(plant.then("pilot:p", "2016-03", Then::Version(3)).findings[0].rule, "not_published");
    assert_eq!(plant.then("region:kuerle", "2016", Then::Version(1)).state, State::Insufficient);
    let all = FigureQuery { period: None, ..query("pilot:p", None) };
    let figures = plant.aggregator.figures_then(&all, Then::Version(2), UnixMillis(0)).unwrap();
    assert_eq!(figures.len(), 3, "the year, its quarter, its month");
}

#[test]
fn the_order_of_arrival_is_in_no_version() {
    let one = Plant::new();
    one.publish(NOW, Cause::Publish);
    let mut other = Plant::empty();
    let mut rows = history();
    rows.reverse();
    for part in rows.chunks(150) {
        other.commit(part);
        other.catch_up(NOW);
    }
    other.publish(NOW, Cause::Publish);
    assert_eq!(other.ledger(), one.ledger());
    let bytes = |plant: &Plant| plant.store.ledger_entry("programme", 1).unwrap();
    assert_eq!(bytes(&other), bytes(&one), "to the byte of the chain");
}

#[test]
fn an_edit_of_the_registry_is_the_reason_that_it_is() {
    let check = |from: &str, to: &str, wanted: &[Reason]| {
        let plant = Plant::new();
        plant.publish(NOW, Cause::Publish);
        let edited = parse_pilot("p.toml", &text("p", "hami").replace(from, to)).unwrap();
        plant.aggregator.registry.replace(registry([edited, pilot("q", "kashi", SERIES)]));
        let published = plant.publish(NOW, Cause::Publish);
        assert_eq!(published.n_restated == 0, wanted.is_empty(), "{to}");
        let wanted: Reasons = wanted.iter().copied().collect();
        for version in &published.restated {
            assert_eq!(version.reasons, wanted, "{to}: {version:?}");
        }
        let of_pilot = |version: &Version| version.scope.to_string() == "pilot:q";
        assert!(!published.restated.iter().any(of_pilot), "{to}");
        assert_eq!(plant.differences(), []);
    };
    check("to = 2015-12-31", "to = 2015-10-31", &[Reason::BaselineChange]);
    check(
        "name = \"defective\"\nquantity = \"output.defective\"",
        "name = \"defective\"\nmultiplier = 3\nquantity = \"output.defective\"",
        &[Reason::RegistryChange],
    );
    check("\"hami\"", "\"kuerle\"", &[Reason::RegistryChange]);
    check("name = \"P\"", "name = \"Renamed\"", &[]);
}

#[test]
fn a_statement_by_hand_is_published_again_where_it_touches_and_nowhere_else() {
    const STACK: &str =
        "[[series]]\nasset = \"l\"\nname = \"so2\"\nquantity = \"emission.so2\"\nkind = \"delta\"\nmax_gap = \"8d\"\n";
    const STATED: &str = "[[adjustment]]\nindicator = \"pollutant_intensity.so2\"\nfrom = 2016-10-01\nto = 2016-10-31\n\
                          amount = 310\nreason = \"R\"\nauthor = \"A\"\nevidence = \"E\"\n";
    let with =
        |more: &str| registry([pilot("p", "hami", &format!("{SERIES}{STACK}{more}")), pilot("q", "kashi", SERIES)]);
    let mut plant = Plant::empty();
    plant.aggregator.registry.replace(with(""));
    let good = history().into_iter().filter(|(pilot, name, _)| (*pilot, *name) == ("p", "good"));
    let emitted = good.map(|(pilot, _, reading)| (pilot, "so2", reading));
    plant.commit(&history().into_iter().chain(emitted).collect::<Vec<Row>>());
    plant.publish(NOW, Cause::Publish);
    plant.aggregator.registry.replace(with(STATED));
    let published = plant.publish(NOW, Cause::Publish);
    let so2 = Indicator::PollutantIntensity("so2".into());
    let told = |version: &Version| version.indicator == so2 && version.reasons == Reason::RegistryChange.into();
    assert!(published.restated.iter().all(told), "{published:?}");
    let of_pilot = published.restated.iter().filter(|version| version.scope.to_string() == "pilot:p");
    let mut periods: Vec<String> = of_pilot.map(|version| version.period.to_string()).collect();
    periods.sort();
    assert_eq!(periods, ["2016", "2016-10", "2016-Q4"]);
    // The pilot and the four groups that it belongs to.
    assert_eq!(published.n_restated, 15);
    assert_eq!(plant.differences(), []);
}

#[test]
fn a_reason_reaches_only_what_depends_on_what_changed() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    // In one round: an order that nobody knew, and another baseline.
    let event = OrderEvent {
        order: "o-1".into(),
        product: None,
        event: OrderEventKind::Started,
        at: UnixMillis(at("2016-05-01T00:00:00Z")),
        quantity: None,
        good: None,
        defective: None,
    };
    let orders = vec![(PilotId::parse("p").unwrap(), event)];
    plant.journal.commit(UnixMillis(at(NOW)), &Batch { orders, ..Batch::default() }).unwrap();
    plant.store.settle_now().unwrap();
    let edited = parse_pilot("p.toml", &text("p", "hami").replace("to = 2015-12-31", "to = 2015-10-31")).unwrap();
    plant.aggregator.registry.replace(registry([edited, pilot("q", "kashi", SERIES)]));
    let published = plant.publish(NOW, Cause::Publish);
    let defects = published.restated.iter().filter(|version| version.indicator == Indicator::DefectRate);
    let reasons: Vec<Reasons> = defects.map(|version| version.reasons).collect();
    assert!(
        reasons.len() > 30 && reasons.iter().all(|reasons| *reasons == Reason::BaselineChange.into()),
        "{reasons:?}"
    );
}

#[test]
fn groups_that_a_killed_round_left_behind_are_figured_with_the_reasons_of_their_pilots() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    plant.commit(&[late()]);
    // As far as a round came that was killed after the pilot's figures: those of a plant that had the reading from the start.
    let mut whole = Plant::new();
    whole.commit(&[late()]);
    whole.catch_up(NOW);
    let (scope, indicator) = (Scope::parse("pilot:p").unwrap(), Indicator::DefectRate);
    let figures = whole.aggregator.stored_figures(&scope, &indicator).unwrap().to_vec();
    let touch = Touch { at: UnixMillis(at(NOW)), reasons: Reason::LateData.into() };
    let new = vec![ScopeFigures { scope, indicator, figures }];
    plant.aggregator.put_figures(new, &|_, _| touch, None).unwrap();
    let aggregator = Aggregator::new(
        Arc::clone(&plant.store),
        Arc::clone(&plant.aggregator.registry),
        Arc::clone(&plant.aggregator.programme),
        Arc::clone(&plant.aggregator.factors),
    );
    plant.aggregator = aggregator;
    let published = plant.publish(NOW, Cause::Publish);
    assert_eq!(published.n_restated, 15, "{published:?}");
    assert!(published.restated.iter().all(|version| version.reasons == Reasons::from(Reason::LateData)));
    assert_eq!(plant.differences(), []);
}

#[test]
fn a_recompute_keeps_what_is_published_and_why_it_changed() {
    let mut plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    plant.commit(&[late()]);
    plant.catch_up(NOW);
    plant.aggregator.recompute().unwrap();
    assert_eq!(plant.defects("pilot:q", "2016-03").version, Some(1));
    assert_eq!(plant.defects("pilot:p", "2016-03").version, None);
    let published = plant.publish(NOW, Cause::Publish);
    assert_eq!(published.n_restated, 15);
    assert!(published.restated.iter().all(|version| version.reasons == Reasons::from(Reason::LateData)));
}

#[test]
fn what_is_put_into_the_chain_or_changed_in_it_is_found_and_named() {
    let plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    let forged = Plant::new();
    forged.publish("2017-02-11T00:00:00Z", Cause::Publish);
    let other = forged.store.ledger_entry("pilot:p", 1).unwrap().unwrap();
    plant.store.write(|tx| tx.add_ledger_entry("pilot:p", &LedgerEntry { entry: 2, ..other.clone() })).unwrap();
    let texts = |found: Vec<crate::Difference>| -> Vec<String> {
        found.into_iter().map(|found| format!("{}: {}", found.place, found.text)).collect()
    };
    let found = texts(plant.differences());
    assert!(found[0].starts_with("ledger/pilot:p/2: it does not follow the entry before it"), "{found:?}");
    // An entry under another scope's name.
    let plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    plant.store.write(|tx| tx.add_ledger_entry("workshop:p/w", &other)).unwrap();
    let found = texts(plant.differences());
    assert!(found[0].starts_with("ledger/workshop:p/w/1: it stands under another scope"), "{found:?}");
    // A gap.
    plant.store.write(|tx| tx.add_ledger_entry("programme", &LedgerEntry { entry: 3, ..other.clone() })).unwrap();
    let found = texts(plant.differences());
    assert!(found[0].contains("ledger/programme/3: entry 2 of the scope is missing"), "{found:?}");
}

#[test]
fn a_flipped_byte_on_disk_is_found_by_every_reader() {
    let plant = Plant::new();
    plant.publish(NOW, Cause::Publish);
    let stored = plant.store.ledger_entry("region:hami", 1).unwrap().unwrap().bytes;
    plant.store.checkpoint().unwrap();
    let file = plant.dir.join("store.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let place = bytes.windows(32).position(|window| *window == stored[..32]).unwrap();
    bytes[place + 7] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damage = Store::check(&plant.dir).unwrap();
    assert_eq!(
        damage.iter().map(|found| found.place.as_str()).collect::<Vec<_>>(),
        ["store.sqlite: ledger/region:hami/1"]
    );
    let Plant { dir, .. } = &plant;
    let copy = dir.join("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["journal.sqlite", "store.sqlite"] {
        std::fs::copy(dir.join(name), copy.join(name)).unwrap();
    }
    let (_store, aggregator) = open(&copy);
    let found = aggregator.verify_at(UnixMillis(at(NOW)), &|_| ()).unwrap();
    let places: Vec<&str> = found.iter().map(|found| found.place.as_str()).collect();
    assert_eq!(places, ["ledger/region:hami/1"]);
    let query = query("region:hami", Some("2016"));
    assert!(aggregator.figures_then(&query, Then::Version(1), UnixMillis(0)).is_err());
}
