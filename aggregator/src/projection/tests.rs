//! A projection into the fake: what is committed arrives, whatever the server does in between.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use model::registry::{InForce, parse_pilot};
use model::{Flags, PilotId, Quality, Reading, Registry, SeriesKey, Value};
use seeds::factors::Factors;
use store::{Access, Batch, Change, Journal, NewCorrection, Registration, Store};

use super::fake::{Fake, Instead, Parsed, Typed};
use super::sender::Pace;
use super::*;
use crate::fixture::{HOUR, at, reading};

const NOW: &str = "2017-02-10T00:00:00Z";

/// One pilot with pieces and defects since 2015, in a directory of its own, and a server to project to.
struct Plant {
    dir: PathBuf,
    aggregator: Arc<Aggregator>,
    journal: Journal,
    fake: Fake,
    settings: Settings,
}

impl Drop for Plant {
    fn drop(&mut self) {
        // Another process may have cleaned the temporary directory already.
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

fn registry() -> Registry {
    let text = "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n\
                [[series]]\nasset = \"l\"\nname = \"good\"\nquantity = \"output.good\"\nkind = \"delta\"\n\
                [[series]]\nasset = \"l\"\nname = \"defective\"\nquantity = \"output.defective\"\nkind = \"delta\"\n";
    let pilot = parse_pilot("p.toml", text).unwrap();
    Registry { pilots: [(pilot.id.clone(), Arc::new(pilot))].into_iter().collect() }
}

fn key(name: &str) -> SeriesKey {
    SeriesKey { pilot: PilotId::parse("p").unwrap(), asset: "l".into(), name: name.into(), product: None }
}

impl Plant {
    fn new() -> Plant {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-projection-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        let store = Store::open(&dir, Access::Owner).unwrap();
        let (programme, factors) = (Arc::new(seeds::programme::builtin()), Arc::new(Factors::builtin()));
        let aggregator = Aggregator::new(Arc::clone(&store), Arc::new(InForce::new(registry())), programme, factors);
        let journal = store.journal().unwrap();
        let fake = Fake::start();
        std::fs::write(dir.join("token"), "secret\n").unwrap();
        let settings = Settings {
            url: fake.url(),
            org: "o".to_owned(),
            bucket: "plant".to_owned(),
            token_file: Some(dir.join("token")),
            ca: None,
            bucket_missing: BucketMissing::Hold,
            measurements: Measurement::ALL.into(),
            probe: Probe::Write,
        };
        Plant { dir, aggregator, journal, fake, settings }
    }

    /// With two years of weekly pieces and defects, rolled up and figured.
    fn with_history() -> Plant {
        let mut plant = Plant::new();
        let start = at("2014-12-31T16:00:00Z");
        let mut rows = Vec::new();
        for week in 1..=104 {
            let stamp = start + week * 7 * 24 * HOUR;
            rows.push(("good", reading(stamp, 700.0 + (week % 5) as f64)));
            rows.push(("defective", reading(stamp, if week <= 52 { 40.0 } else { 30.0 } + (week % 3) as f64)));
        }
        plant.commit(&rows);
        plant
    }

    fn commit(&mut self, rows: &[(&str, Reading)]) {
        let store = &self.aggregator.store;
        let of =
            |(name, reading): &(&str, Reading)| (store.intern(&key(name), &Registration::Registered), reading.clone());
        let batch = Batch { readings: rows.iter().map(of).collect(), ..Batch::default() };
        self.journal.commit(UnixMillis(at(NOW)), &batch).unwrap();
        self.catch_up();
    }

    fn catch_up(&self) {
        self.aggregator.store.settle_now().unwrap();
        self.aggregator.catch_up_at(UnixMillis(at(NOW))).unwrap();
    }

    fn correct(&self, name: &str, stamp: i64, change: Change) {
        let store = &self.aggregator.store;
        let id = store.lookup(&key(name), &Registration::Registered).unwrap();
        let new = NewCorrection {
            entry: store.entry(id).unwrap(),
            at: UnixMillis(stamp),
            id: None,
            change,
            author: "Li".into(),
            reason: "meter book".into(),
            made_at: UnixMillis(at(NOW)),
        };
        store.write(|tx| tx.correct(&new)).unwrap();
        self.catch_up();
    }

    fn start(&self) -> Projection {
        let milli = Duration::from_millis;
        let pace = Pace { look: milli(5), first: milli(2), longest: milli(20), hold: milli(20) };
        Projection::start_at(&self.aggregator, self.settings.clone(), pace).unwrap()
    }

    fn waits(&self) -> bool {
        let store = &self.aggregator.store;
        !store.outbox_spans(1).unwrap().is_empty() || !store.outbox_figures(1).unwrap().is_empty()
    }

    /// Starts, waits until nothing waits, stops.
    fn send_all(&self) -> Report {
        let projection = self.start();
        until("the outbox is empty", || !self.waits());
        projection.status().report()
    }

    /// Everything that the server holds, as the store would have it.
    fn everything(&self) -> Vec<Parsed> {
        ["reading", "rollup_hour", "figure"].iter().flat_map(|name| self.fake.points(name)).collect()
    }

    fn counts(&self) -> [usize; 3] {
        ["reading", "rollup_hour", "figure"].map(|name| self.fake.points(name).len())
    }

    fn differences(&self) -> Vec<Mismatch> {
        self.aggregator.verify_projection(&self.settings, &|_| ()).unwrap()
    }
}

#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn readings_hours_and_figures_arrive_as_they_stand_and_go_on_arriving() {
    let mut plant = Plant::with_history();
    let projection = plant.start();
    until("the outbox is empty", || !plant.waits());
    let rows = |plant: &Plant, name: &str| {
        let id = plant.aggregator.store.lookup(&key(name), &Registration::Registered).unwrap();
        plant.aggregator.hours_of(id, UnixMillis(0), UnixMillis(at(NOW))).unwrap()
    };
    let figures = |plant: &Plant| plant.aggregator.figures(&crate::FigureQuery::default(), UnixMillis(0)).unwrap();
    let stored = figures(&plant).into_iter().filter(|figure| figure.output.is_some()).count();
    let [n_readings, n_hours, n_figures] = plant.counts();
    assert_eq!((n_readings, n_hours), (208, rows(&plant, "good").len() + rows(&plant, "defective").len()));
    assert!(stored > 20 && n_figures >= stored, "{stored} {n_figures}");
    assert_eq!(plant.differences(), []);
    plant.commit(&[("good", reading(at("2017-01-05T08:00:00Z"), 12.5))]);
    until("it arrives", || plant.fake.points("reading").len() == 209);
    until("the outbox is empty", || !plant.waits());
    assert_eq!(plant.differences(), []);
    let report = projection.status().report();
    assert_eq!(report.server.as_deref(), Some("InfluxDB 2.7.4"));
    assert!(report.guarantees.iter().any(|text| text == "it reports a line that is none (400)"), "{report:?}");
    assert!(report.guarantees.iter().any(|text| text == "it reports a field of another type (422)"), "{report:?}");
    let yearly = |point: &Parsed| {
        let tag = |name: &str, value: &str| point.tags.get(name).is_some_and(|found| found == value);
        tag("scope", "pilot:p")
            && tag("indicator", "defect_rate")
            && point.fields["period"] == Typed::Text("2016".into())
    };
    let point = plant.fake.points("figure").into_iter().find(yearly).unwrap();
    let shown = figures(&plant).into_iter().find(|figure| {
        figure.scope.to_string() == "pilot:p"
            && figure.indicator == Indicator::DefectRate
            && figure.period.kind() == model::PeriodKind::Year
            && start(figure) == point.at_ns
    });
    let shown = shown.unwrap();
    assert_eq!(point.fields["reduction"], Typed::Float(shown.reduction.unwrap()), "the number of every surface");
    assert_eq!((point.tags["period_kind"].as_str(), point.at_ns), ("year", at("2016-01-01T00:00:00Z") * 1_000_000));
}

fn start(figure: &Figure) -> i64 {
    points::start_of(figure).0 * 1_000_000
}

#[test]
fn whatever_the_server_answers_in_between_everything_arrives_once() {
    let mut quiet = Plant::with_history();
    quiet.send_all();
    let mut plant = Plant::with_history();
    let busy = r#"{"code":"unavailable","message":"busy"}"#;
    let script = [
        Instead::Answer(500, busy, None),
        Instead::Answer(502, "<html>", None),
        Instead::Answer(503, busy, Some("0".to_owned())),
        Instead::Answer(503, busy, Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned())),
        Instead::Answer(429, busy, None),
        Instead::Answer(408, "", None),
        Instead::Reset,
        Instead::Answer(200, "garbage", None),
    ];
    let n_script = script.len();
    plant.fake.change(|state| state.script.extend(script));
    let report = plant.send_all();
    assert_eq!(plant.everything(), quiet.everything());
    assert_eq!((plant.fake.change(|state| state.script.len()), report.quarantined), (0, 0));
    let failed: u64 = report.requests.iter().filter(|(code, _)| *code != "204").map(|(_, n)| n).sum();
    assert_eq!(failed, n_script as u64, "{:?}", report.requests);
    for plant in [&mut quiet, &mut plant] {
        plant.commit(&[("good", reading(at("2017-01-05T08:00:00Z"), 1.0))]);
        plant.send_all();
    }
    assert_eq!(plant.everything(), quiet.everything());
}

#[test]
fn a_refused_line_is_set_aside_with_the_servers_words_and_the_others_arrive() {
    let plant = Plant::with_history();
    let late = at("2015-06-10T16:00:00Z") * 1_000_000;
    plant.fake.change(|state| state.refuses = Some(Box::leak(format!(" {late}").into_boxed_str())));
    let report = plant.send_all();
    let aside = plant.aggregator.store.quarantined(10).unwrap();
    // Two readings lie there, and no other point has exactly this time.
    let of_readings = aside.iter().filter(|line| line.line.starts_with("reading,")).count();
    assert!(of_readings == 2 && aside.iter().all(|line| line.line.ends_with(&late.to_string())), "{aside:?}");
    assert!(aside[0].reason.contains("points beyond retention policy"), "{aside:?}");
    assert_eq!((report.quarantined, report.trouble), (aside.len() as u64, None));
    assert_eq!(plant.counts()[0], 206);
    plant.fake.change(|state| state.refuses = None);
    plant.aggregator.rebuild_projection(UnixMillis(at(NOW))).unwrap().unwrap();
    plant.send_all();
    assert_eq!((plant.counts()[0], plant.aggregator.store.n_quarantined().unwrap()), (208, 0));
}

#[test]
fn a_server_that_refuses_everything_loses_nothing() {
    let plant = Plant::with_history();
    plant.fake.change(|state| state.refuses = Some(" "));
    let projection = plant.start();
    until("it holds", || projection.status().report().trouble.is_some());
    let trouble = projection.status().report().trouble.unwrap();
    assert!(trouble.contains("beyond retention policy"), "{trouble}");
    assert!(plant.waits());
    assert_eq!(plant.aggregator.store.n_quarantined().unwrap(), 0);
    plant.fake.change(|state| state.refuses = None);
    until("the outbox is empty", || !plant.waits());
    assert_eq!(plant.differences(), []);
}

#[test]
fn a_wrong_token_holds_everything_until_it_is_right() {
    let plant = Plant::with_history();
    std::fs::write(plant.dir.join("token"), "wrong").unwrap();
    let projection = plant.start();
    until("it holds", || projection.status().report().trouble.is_some());
    let trouble = projection.status().report().trouble.unwrap();
    assert_eq!(trouble, "401 (the token is not known there): unauthorized access");
    assert_eq!(plant.counts(), [0, 0, 0]);
    std::fs::write(plant.dir.join("token"), "secret").unwrap();
    until("the outbox is empty", || !plant.waits());
    assert_eq!(plant.differences(), []);
    until("the trouble is over", || projection.status().report().trouble.is_none());
    for status in [401, 403, 404] {
        plant.fake.change(|state| state.script.push_back(Instead::Answer(status, "", None)));
        plant.aggregator.rebuild_projection(UnixMillis(at(NOW))).unwrap();
        until("the outbox is empty", || !plant.waits());
    }
    assert_eq!((plant.differences(), plant.aggregator.store.n_quarantined().unwrap()), (vec![], 0));
}

#[test]
fn a_bucket_is_made_if_it_may_be_and_one_that_forgets_too_soon_is_not_used() {
    let mut plant = Plant::with_history();
    plant.settings.bucket = "other".to_owned();
    let projection = plant.start();
    until("it holds", || projection.status().report().trouble.is_some());
    let trouble = projection.status().report().trouble.unwrap();
    assert_eq!(
        trouble,
        "organisation `o` has no bucket `other`: make it without a retention, or set `create_bucket = true`"
    );
    drop(projection);
    plant.fake.change(|state| state.buckets.insert("other".to_owned(), 86_400));
    let projection = plant.start();
    let is_about_retention = |report: Report| report.trouble.is_some_and(|text| text.contains("keeps data for 1 days"));
    until("it holds", || is_about_retention(projection.status().report()));
    assert_eq!(plant.counts(), [0, 0, 0]);
    drop(projection);
    plant.fake.change(|state| state.buckets.remove("other"));
    plant.settings.bucket_missing = BucketMissing::Create;
    plant.send_all();
    assert_eq!(plant.fake.change(|state| state.buckets["other"]), 0);
    assert_eq!(plant.counts()[0], 208);
}

#[test]
fn a_body_that_is_too_large_is_halved_until_it_passes() {
    let plant = Plant::with_history();
    plant.fake.change(|state| state.bytes_max = 2_000);
    let report = plant.send_all();
    assert!(report.requests["413"] > 5, "{:?}", report.requests);
    assert_eq!((plant.differences(), report.quarantined), (vec![], 0));
}

#[test]
fn what_was_voided_is_gone_and_what_was_corrected_is_corrected() {
    let plant = Plant::with_history();
    plant.send_all();
    let stamp = at("2014-12-31T16:00:00Z") + 7 * 24 * HOUR;
    let of = |plant: &Plant| -> Vec<Parsed> {
        let is_it = |point: &Parsed| point.at_ns == stamp * 1_000_000 && point.tags["name"] == "good";
        plant.fake.points("reading").into_iter().filter(is_it).collect()
    };
    assert_eq!(of(&plant)[0].fields["value"], Typed::Float(701.0));
    plant.correct("good", stamp, Change::Set { value: Value::from_f64(650.5), quality: Quality::Uncertain });
    plant.send_all();
    assert_eq!(of(&plant)[0].fields["value"], Typed::Float(650.5));
    assert_eq!(of(&plant)[0].fields["quality"], Typed::Text("uncertain".into()));
    plant.correct("good", stamp, Change::Set { value: None, quality: Quality::Bad });
    plant.send_all();
    assert_eq!(of(&plant)[0].fields.get("value"), None, "a bad reading has no value");
    plant.correct("good", stamp, Change::Void);
    plant.send_all();
    assert_eq!((of(&plant), plant.differences()), (vec![], vec![]));
    // The other series of that instant was not touched.
    assert_eq!(plant.counts()[0], 207);
    let first_week = plant.fake.points("rollup_hour").into_iter().filter(|point| {
        point.tags["name"] == "good" && point.at_ns < stamp * 1_000_000 && point.fields.contains_key("value")
    });
    assert_eq!(first_week.count(), 0, "no hour keeps an amount of a reading that never was");
    plant.correct("good", stamp, Change::Withdraw);
    plant.send_all();
    assert_eq!(of(&plant)[0].fields["value"], Typed::Float(701.0));
}

#[test]
fn readings_of_one_instant_that_differ_by_id_are_points_of_their_own() {
    let mut plant = Plant::new();
    let stamp = at("2016-03-01T00:00:00Z");
    let with = |id: Option<&str>, value: f64| {
        let (quality, flags) = (Quality::Good, Flags::default());
        Reading { at: UnixMillis(stamp), value: Value::from_f64(value), quality, flags, id: id.map(Into::into) }
    };
    plant.commit(&[("good", with(Some("b"), 2.0)), ("good", with(None, 1.0))]);
    plant.send_all();
    plant.commit(&[("good", with(Some("a"), 3.0))]);
    plant.send_all();
    let points = plant.fake.points("reading");
    let ids: BTreeSet<String> =
        points.iter().map(|point| format!("{:?} {:?}", point.fields.get("id"), point.fields["value"])).collect();
    assert_eq!((points.len(), ids.len()), (3, 3), "{points:?}");
    assert!(points.iter().all(|point| point.at_ns.div_euclid(1_000_000) == stamp));
}

#[test]
fn a_wiped_bucket_is_rebuilt_as_it_was() {
    let plant = Plant::with_history();
    plant.send_all();
    let before = plant.everything();
    plant.fake.change(|state| state.points.clear());
    plant.send_all();
    assert_eq!(plant.everything(), [], "nothing tells that it is gone, but a count");
    assert!(!plant.differences().is_empty());
    let noted = plant.aggregator.rebuild_projection(UnixMillis(at(NOW))).unwrap();
    assert!(noted.is_some_and(|(n_series, n_figures)| n_series == 2 && n_figures > 2), "{noted:?}");
    plant.send_all();
    assert_eq!(plant.everything(), before);
    // And over what is there already.
    plant.aggregator.rebuild_projection(UnixMillis(at(NOW))).unwrap();
    plant.send_all();
    assert_eq!(plant.everything(), before);
}

#[test]
fn points_that_were_acknowledged_and_lost_are_found_by_counting_and_sent_again() {
    let plant = Plant::with_history();
    plant.fake.change(|state| state.script.push_back(Instead::Forget));
    plant.send_all();
    let missing = plant.differences();
    assert!(missing.iter().any(|mismatch| mismatch.missing() > 0), "{missing:?}");
    plant.aggregator.note_missing(&missing, UnixMillis(at(NOW))).unwrap();
    plant.send_all();
    let left: Vec<String> = plant.differences().into_iter().map(|mismatch| mismatch.measurement).collect();
    assert!(left.iter().all(|name| name == "figure"), "{left:?}");
}

#[test]
fn a_backlog_survives_the_process_and_nothing_waits_for_the_server() {
    let mut plant = Plant::new();
    // Nobody listens there.
    let url = std::mem::replace(&mut plant.settings.url, "http://127.0.0.1:9".to_owned());
    let projection = plant.start();
    for hour in 0..50 {
        plant.commit(&[("good", reading(at("2016-03-01T00:00:00Z") + hour * HOUR, 1.0))]);
    }
    until("it is told", || projection.status().report().trouble.is_some());
    let n_rows = plant.aggregator.store.outbox_spans(100).unwrap().len();
    assert!(n_rows <= 4, "a backlog is spans, not points: {n_rows}");
    assert_eq!(plant.aggregator.store.outbox_size().unwrap().oldest, Some(UnixMillis(at(NOW))));
    drop(projection);
    plant.settings.url = url;
    plant.send_all();
    assert_eq!((plant.counts()[0], plant.differences()), (50, vec![]));
}

#[test]
fn without_a_projection_nothing_is_noted_and_a_new_one_gets_everything() {
    let mut plant = Plant::with_history();
    assert!(!plant.waits());
    assert_eq!(plant.aggregator.rebuild_projection(UnixMillis(0)).unwrap(), None);
    plant.send_all();
    plant.aggregator.end_projection().unwrap();
    plant.commit(&[("good", reading(at("2017-01-05T08:00:00Z"), 1.0))]);
    assert!(!plant.waits());
    plant.send_all();
    assert_eq!((plant.counts()[0], plant.differences()), (209, vec![]));
    plant.settings.measurements = [Measurement::Figure].into();
    plant.fake.change(|state| state.points.clear());
    plant.send_all();
    assert!(plant.counts()[0] == 0 && plant.counts()[2] > 20);
}
