//! Both metrics pages as a scraper sees them: bounded whatever the fleet, lint-clean, in both formats, by the token.

use std::collections::{BTreeMap, BTreeSet};

use super::gateways::{hearing, source};
use super::*;
use crate::publish::gateways::SourceKind;
use crate::publish::metrics::{PILOT_SERIES_MAX, check_with_promtool};
use crate::publish::{BrokerCounts, CommitTimes, EdgeNodeCounts, OpsSnapshot};

const OPERATIONS_SERIES_MAX: usize = 500;
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/metrics.md");

/// One family of a page.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The samples of a page, without comments.
fn samples(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with('#')).collect()
}

fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, rest)) = line.split_once('{') {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels = rest.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(label, _)| label.to_owned());
            families.get_mut(base).unwrap().labels.extend(labels);
        }
    }
    families
}

/// A site with `n` gateways that send and number their messages, a broker and an edge node.
fn busy(n: usize) -> Fixture {
    let names: Vec<String> = (0..n).map(|n| format!("gw-{n}")).collect();
    let sources = names.iter().map(|name| source(Some("p-1"), SourceKind::Gateway, name)).collect();
    let mut fixture = hearing(sources);
    let mut batch = Batch::default();
    let seen = |name: &String, seq| SequenceSeen {
        pilot: pilot("p-1"),
        gateway: GatewayId::parse(name).unwrap(),
        boot: 1,
        seq,
    };
    batch.sequences.extend(names.iter().flat_map(|name| [seen(name, 0), seen(name, 2)]));
    fixture.site.store.journal().unwrap().commit(UnixMillis(START), &batch).unwrap();
    fixture.site.store.settle_now().unwrap();
    let site = Arc::get_mut(&mut fixture.site).unwrap();
    let ops = OpsSnapshot {
        counters: site.store.counters(),
        in_flight: 3,
        brokers: vec![BrokerCounts { name: "plant".to_owned(), ..BrokerCounts::default() }],
        edge_nodes: EdgeNodeCounts {
            by_state: vec![("online", 1)],
            deviations: vec![("no_seq", 0)],
            ..EdgeNodeCounts::default()
        },
        commit_times: CommitTimes { buckets: vec![(0.001, 3)], count: 3, sum_seconds: 0.001 },
        ..OpsSnapshot::default()
    };
    site.ops = Arc::new(move || ops.clone());
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_operations_do_not_grow_with_the_gateways() {
    let (few, many) = (busy(1), busy(10_000));
    let (few, many) = (few.get("/metrics").await.ok().body, many.get("/metrics").await.ok().body);
    let names = |page: &str| -> Vec<String> {
        samples(page).iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    assert_eq!(names(&few), names(&many));
    assert!(names(&many).len() <= OPERATIONS_SERIES_MAX, "{}", names(&many).len());
    assert!(many.contains("pilotline_gateways{state=\"sending\"} 10000"), "{many}");
    // Those of the fixture itself, and one of each gateway.
    assert!(many.contains("\npilotline_ingest_missing_messages 10003\n"), "{many}");
    assert!(!many.contains("p-1") && !many.contains("gw-"), "an id is a label");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pilot_has_a_bounded_number_of_series_whatever_it_declares() {
    let fixture = busy(1);
    let carriers = fixture.site.aggregator.factors.carriers().map(str::to_owned).collect::<Vec<_>>();
    assert!(carriers.len() > 20, "{carriers:?}");
    let mut text = pilot_file("p-1", "Many carriers", "hami");
    for carrier in &carriers {
        text.push_str(&format!(
            "[[series]]\nasset = \"meter\"\nname = \"{carrier}\"\nquantity = \"energy.{carrier}\"\nkind = \"counter\"\n\
             [[factor]]\ncarrier = \"{carrier}\"\nvalue = 0.5\nsource = \"test\"\n"
        ));
    }
    // Not every carrier takes a factor of its own; what matters is the number.
    let text = text.replace("[[factor]]\ncarrier = \"electricity\"\nvalue = 0.5\nsource = \"test\"\n", "");
    let mut registry = registry();
    registry.pilots.insert(pilot("p-1"), Arc::new(parse_pilot("p-1.toml", &text).unwrap()));
    let mut batch = Batch::default();
    for carrier in &carriers {
        let (asset, name) = ("meter".into(), carrier.as_str().into());
        let key = SeriesKey { pilot: pilot("p-1"), asset, name, product: None };
        let series = fixture.site.store.intern(&key, &Registration::Registered);
        batch.readings.extend([(series, reading(0, 1.0, None)), (series, reading(15, 2.0, None))]);
    }
    fixture.site.store.journal().unwrap().commit(UnixMillis(START), &batch).unwrap();
    fixture.site.store.settle_now().unwrap();
    fixture.site.registry.replace(registry);
    fixture.site.aggregator.catch_up().unwrap();
    let page = fixture.get("/metrics/pilots?pilot=p-1").await.ok().body;
    let energy: Vec<&str> =
        samples(&page).into_iter().filter(|line| line.starts_with("pilotline_energy_joules_total")).collect();
    assert_eq!(energy.len(), 10, "{energy:?}");
    assert!(energy.last().unwrap().contains("carrier=\"others\""), "{energy:?}");
    // Two slots of four indicators have two ratios each, a completeness and an end each, where figures exist.
    let without_figures = samples(&page).into_iter().filter(|line| !line.contains("period=")).count();
    assert!(without_figures + 2 * (4 * 2 + 2) <= PILOT_SERIES_MAX, "{without_figures} beside the figures: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn energy_is_joules_of_what_the_meters_counted() {
    let page = Fixture::new().get("/metrics/pilots").await.ok().body;
    // From 100 to 104.5 kWh.
    assert!(page.contains("pilotline_energy_joules_total{pilot=\"p-1\",carrier=\"electricity\"} 16200000\n"), "{page}");
    // A meter that was never read has used nothing that one could know of.
    assert!(!page.contains("pilotline_energy_joules_total{pilot=\"p-2\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_end_in_base_units_or_in_what_is_counted() {
    const COUNTED: [&str; 29] = [
        "received",
        "messages",
        "rejected",
        "readings",
        "events",
        "gaps",
        "reused",
        "errors",
        "lost",
        "connected",
        "reconnects",
        "watchdog",
        "nodes",
        "deviations",
        "asked",
        "answered",
        "commits",
        "pilots",
        "gateways",
        "series",
        "corrections",
        "full",
        "info",
        "pilot",
        "build",
        "seconds",
        "bytes",
        "joules",
        "ratio",
    ];
    for (name, family) in both_pages().await {
        let base = name.strip_suffix("_total").unwrap_or(&name);
        assert_eq!(base != name, family.kind == "counter", "{name} is a {}", family.kind);
        let last = base.rsplit('_').next().unwrap();
        assert!(COUNTED.contains(&last), "{name}: `{last}` is no base unit and nothing that is counted");
        for word in ["kwh", "kw", "kgce", "ms", "minutes", "hours", "days", "percent", "kg", "kilobytes", "cny"] {
            assert!(!base.split('_').any(|part| part == word), "{name} is in {word}, which is no base unit");
        }
        assert!(name.starts_with("pilotline_") && !family.help.is_empty(), "{name}");
    }
}

/// The families of both pages of a site that has everything but figures, whose two are named by hand.
async fn both_pages() -> BTreeMap<String, Family> {
    let fixture = busy(1);
    let mut all = families(&fixture.get("/metrics").await.ok().body);
    all.extend(families(&fixture.get("/metrics/pilots").await.ok().body));
    for (name, help) in crate::publish::metrics::of_figures() {
        let labels = ["pilot", "indicator", "period"].map(str::to_owned).into();
        all.entry(name.to_owned()).or_insert(Family { kind: "gauge".to_owned(), help: help.to_owned(), labels });
    }
    all
}

/// The reference that dashboards, rules and people read. Written anew where `PILOTLINE_WRITE` is set.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_lists_every_metric() {
    let mut text = String::from(
        "# Metrics\n\n`/metrics` is about operation and names no pilot; `/metrics/pilots` has the pilots that the token sees. \
         This page is written\nfrom what both of them answer.\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for (name, family) in both_pages().await {
        let labels = family.labels.iter().filter(|label| *label != "le").cloned().collect::<Vec<_>>().join(", ");
        text.push_str(&format!("| `{name}` | {} | {labels} | {} |\n", family.kind, family.help));
    }
    if std::env::var_os("PILOTLINE_WRITE").is_some() {
        std::fs::write(REFERENCE, &text).unwrap();
    }
    let written = std::fs::read_to_string(REFERENCE).unwrap_or_default();
    assert!(
        written == text,
        "deploy/prometheus/metrics.md is not what the pages answer; run this test with PILOTLINE_WRITE=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_that_asks_for_open_metrics_gets_it() {
    const OPEN: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let fixture = busy(1);
    for path in ["/metrics", "/metrics/pilots"] {
        let plain = fixture.get(path).await.ok();
        assert_eq!(plain.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
        check_with_promtool(&plain.body);
        let open = fixture.ask(Gate::Open, path, &[(header::ACCEPT, OPEN)]).await.ok();
        assert_eq!(open.header(header::CONTENT_TYPE), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(open.body.ends_with("\n# EOF\n") && open.body.matches("# EOF").count() == 1);
        assert_eq!(samples(&open.body).len(), samples(&plain.body).len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sees_its_own_pilots_and_nobody_none() {
    let fixture = busy(1);
    let page = fixture.ask_with(&fixture.token("pilot:p-2"), "/metrics/pilots").await.ok().body;
    assert!(page.contains("pilot=\"p-2\"") && !page.contains("p-1"), "{page}");
    let region = fixture.ask_with(&fixture.token("region:hami"), "/metrics/pilots").await.ok().body;
    assert!(region.contains("pilot=\"p-1\"") && !region.contains("p-2"), "{region}");
    assert_eq!(fixture.ask(Gate::Tokens, "/metrics/pilots", &[]).await.status, StatusCode::UNAUTHORIZED);
}
