//! Dashboards and rules against the real thing: every query of every panel is sent to a Prometheus that scrapes a Pilotline
//! with known data, or to an InfluxDB 1 with known points; it must answer something finite, and key panels the known answer.
//!
//! Grafana itself is not here: its variables are put in by hand, and types are held against its published schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rumqttc::QoS;
use serde_json::Value;

use crate::harness::{Server, TempDir, eventually, ran};
use crate::monitoring::{Answered, Daemon, asked, escaped, influx_ql, influxdb, post, prom_ql, prometheus};
use crate::mosquitto::free_address;
use crate::preview;
use crate::publisher::publish_all;

const DATABASE: &str = "pilotline";
const TOPIC: &str = "pilotline/v1/known/gw1";
const HOUR_S: i64 = 3_600;
const JOULES_PER_KWH: f64 = 3.6e6;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn promtool(arguments: &[&str]) -> String {
    let output =
        Command::new("promtool").args(arguments).current_dir(repository("deploy/prometheus")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn every_alert_fires_and_rests_as_its_test_says() {
    promtool(&["check", "rules", "rules/pilotline.yaml"]);
    promtool(&["test", "rules", "tests/pilotline.yaml"]);
    promtool(&["check", "config", "prometheus.yml"]);
    // Its token lies inside a container.
    promtool(&["check", "config", "--syntax-only", "../compose/prometheus.yml"]);
}

/// Files and what they hold.
fn dashboards() -> BTreeMap<String, Value> {
    let dir = repository("deploy/grafana/dashboards/Pilotline");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
    };
    files.map(read).collect()
}

#[test]
fn dashboards_have_the_types_of_grafanas_schema() {
    let dir = TempDir::new("types");
    let modules = PathBuf::from(std::env::var("PILOTLINE_NODE_MODULES").expect("set by cargo xtask test"));
    std::os::unix::fs::symlink(&modules, dir.path().join("node_modules")).unwrap();
    let check = |text: &str| {
        std::fs::write(dir.path().join("check.ts"), text).unwrap();
        let options =
            ["--noEmit", "--strict", "--skipLibCheck", "--module", "preserve", "--moduleResolution", "bundler"];
        let mut tsc = Command::new(modules.join(".bin/tsc"));
        let output =
            tsc.args(options).args(["--target", "es2022", "check.ts"]).current_dir(dir.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut text = "import { type Dashboard, FieldColorModeId } from '@grafana/schema';\n".to_owned();
    for (index, dashboard) in dashboards().values().enumerate() {
        text.push_str(&format!("export const d{index}: Dashboard = {dashboard:#};\n"));
    }
    // The one enum among them, which TypeScript takes by its name only.
    let text = text.replace("\"palette-classic\"", "FieldColorModeId.PaletteClassic");
    let (is_right, said) = check(&text);
    assert!(is_right, "{said}");
    let (is_right, said) = check(&text.replace("\"h\": 5", "\"h\": \"5\""));
    assert!(!is_right && said.contains("not assignable"), "a text for a height passes: {said}");
}

/// Months of Shanghai that are over, of this year or, in January, of the last; and where they begin and end.
struct Months {
    year: i16,
    n: i8,
    now_ms: i64,
}

impl Months {
    fn at(now_ms: i64) -> Months {
        let today = shanghai().to_datetime(jiff::Timestamp::from_millisecond(now_ms).unwrap()).date();
        let closed = today.first_of_month().yesterday().unwrap();
        Months { year: closed.year(), n: closed.month(), now_ms }
    }
}

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").unwrap()
}

fn ms(date: Date, hour: i8) -> i64 {
    shanghai().to_timestamp(date.at(hour, 0, 0, 0)).unwrap().as_millisecond()
}

fn first_of(year: i16, month: i8) -> Date {
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    jiff::civil::date(year, month, 1)
}

fn registry(id: &str) -> String {
    let series = |asset: &str, name: &str, quantity: &str, kind: &str| {
        format!("[[series]]\nasset = \"{asset}\"\nname = \"{name}\"\nquantity = \"{quantity}\"\nkind = \"{kind}\"\n")
    };
    format!(
        "[pilot]\nid = \"{id}\"\nname = {{ zh = \"已知\", en = \"Known\" }}\nenterprise = \"E\"\nregion = \"hami\"\n\
         sector = \"electronics\"\nclass = \"pilot\"\nzone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\n\
         to = 2015-12-31\n{}max_gap = \"40d\"\n{}{}",
        series("press", "electricity", "energy.electricity", "counter"),
        series("test", "good", "output.good", "delta"),
        series("test", "defective", "output.defective", "delta"),
    )
}

/// One reading as JSON.
fn row(asset: &str, name: &str, at: i64, value: f64) -> String {
    format!(r#"{{"asset":"{asset}","name":"{name}","at":{at},"value":{value}}}"#)
}

fn message(seq: u64, rows: &[String]) -> (String, Vec<u8>) {
    (TOPIC.to_owned(), format!(r#"{{"boot":1,"seq":{seq},"readings":[{}]}}"#, rows.join(",")).into_bytes())
}

/// 2015: 1,000 kWh, 90 good and 10 defective pieces a month. Now: 800 kWh, 95 and 5. Ends with a meter at `last_kwh`.
fn history(months: &Months) -> (Vec<String>, f64) {
    let mut rows = Vec::new();
    for (year, n, start, kwh, good, defective) in
        [(2015, 12, 0.0, 1_000.0, 90.0, 10.0), (months.year, months.n, 20_000.0, 800.0, 95.0, 5.0)]
    {
        rows.push(row("press", "electricity", ms(first_of(year, 1), 0), start));
        for month in 1..=n {
            let end = first_of(year, month + 1);
            rows.push(row("press", "electricity", ms(end, 0), start + kwh * f64::from(month)));
            let last_day = end.yesterday().unwrap();
            rows.push(row("test", "good", ms(last_day, 12), good));
            rows.push(row("test", "defective", ms(last_day, 12), defective));
        }
    }
    let last_kwh = 20_000.0 + 800.0 * f64::from(months.n) + 80.0;
    rows.push(row("press", "electricity", months.now_ms - 60_000, last_kwh));
    (rows, last_kwh)
}

/// A Pilotline with two pilots, one of which sends; a broker that is not there; refusals, gaps, a correction.
fn pilotline(dir: &Path, months: &Months) -> (Server, f64) {
    let pilots = dir.join("pilots");
    std::fs::create_dir_all(&pilots).unwrap();
    for id in ["known", "quiet"] {
        std::fs::write(pilots.join(format!("{id}.toml")), registry(id)).unwrap();
    }
    let config = dir.join("pilotline.toml");
    let door = format!("[[door.broker]]\nname = \"plant\"\naddress = \"{}\"\n", free_address());
    std::fs::write(&config, door).unwrap();
    let data = dir.join("data");
    let paths = [&config, &data, &pilots].map(|path| path.to_str().unwrap());
    let server = Server::start(&["run", "--config", paths[0], "--data", paths[1], "--pilots", paths[2]]);
    let (rows, last_kwh) = history(months);
    let volts = format!(r#"{{"asset":"press","name":"electricity","at":{},"value":1,"unit":"V"}}"#, months.now_ms);
    let messages = vec![
        message(0, &rows),
        message(1, &[row("nobody", "registered", months.now_ms, 1.0), volts]),
        message(4, &[row("test", "good", months.now_ms, 1.0)]),
        (TOPIC.to_owned(), b"{\"a\":".to_vec()),
        (TOPIC.to_owned(), b"{\"b\":".to_vec()),
    ];
    publish_all(server.mqtt, "known", QoS::AtLeastOnce, messages);
    let at = ms(first_of(2015, 2), 0).to_string();
    let (code, _, error) = ran(&[
        "correct",
        "--data",
        paths[1],
        "--pilots",
        paths[2],
        "--pilot",
        "known",
        "--asset",
        "press",
        "--name",
        "electricity",
        "--at",
        &at,
        "--value",
        "1000",
        "--author",
        "Li",
        "--reason",
        "meter book, as it was sent",
    ]);
    assert_eq!(code, 0, "{error}");
    (server, last_kwh)
}

/// Prometheus over both pages, with the rules of the repository.
fn scraping(dir: &Path, server: &Server) -> Daemon {
    let config = dir.join("prometheus.yml");
    let job = |name: &str, path: &str| {
        format!(
            "  - job_name: {name}\n    metrics_path: {path}\n    static_configs: [{{targets: [\"{}\"]}}]\n",
            server.http
        )
    };
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n{}{}",
        repository("deploy/prometheus/rules/pilotline.yaml").display(),
        job("pilotline", "/metrics"),
        job("pilotline-pilots", "/metrics/pilots")
    );
    std::fs::write(&config, text).unwrap();
    promtool(&["check", "config", config.to_str().unwrap()]);
    prometheus(dir, &config)
}

/// Goes on publishing until Prometheus has scraped both pages ten times and has seen the last of it: a kilowatt-hour, a reading
/// in volts and a broken message each time.
fn publish_while_scraped(server: &Server, prometheus: &Daemon, months: &Months, mut kwh: f64) {
    let mut n = 0;
    eventually("ten scrapes", || {
        (n, kwh) = (n + 1, kwh + 1.0);
        let volts = format!(r#"{{"asset":"press","name":"electricity","at":{},"value":1,"unit":"V"}}"#, months.now_ms);
        let meter = row("press", "electricity", months.now_ms - 60_000 + n * 100, kwh);
        let live = format!("{{\"readings\":[{meter},{volts}]}}").into_bytes();
        let broken = format!("{{\"broken\":{n}").into_bytes();
        let messages = [live, broken].map(|payload| (TOPIC.to_owned(), payload));
        publish_all(server.mqtt, "known", QoS::AtLeastOnce, messages.into());
        std::thread::sleep(Duration::from_millis(250));
        prom_ql(prometheus.address, "count_over_time(up[1m]) >= 10", None).len() == 2
    });
    let joules = "pilotline_energy_joules_total{pilot=\"known\"}";
    let is_seen =
        |answered: Answered| answered.iter().any(|(_, points)| (points[0].1 - kwh * JOULES_PER_KWH).abs() < 1.0);
    eventually("the energy that was published", || is_seen(prom_ql(prometheus.address, joules, None)));
}

/// Hours of two assets and figures of every scope, as the projection writes them.
fn write_points(influxdb: &Daemon, months: &Months) {
    let mut lines = String::new();
    let hour = months.now_ms / 1_000 / HOUR_S * HOUR_S;
    for start in (1..=72).map(|n| hour - n * HOUR_S) {
        for (asset, name, unit, value) in [("press", "electricity", "kWh", 10.0), ("test", "good", "piece", 3.0)] {
            let tags = format!("pilot=known,asset={asset},name={name},unit={unit}");
            lines.push_str(&format!("rollup_hour,{tags} value={value},coverage=0.75,n=4i {start}\n"));
        }
    }
    for (scope, year) in ["programme", "region:hami", "pilot:known", "workshop:known/w1"]
        .iter()
        .flat_map(|scope| (0..3).map(move |n| (scope, n)))
    {
        let start = ms(first_of(months.year - 2 + year, 1), 0) / 1_000;
        let reduction = 0.1 * f64::from(year + 1);
        lines.push_str(&format!(
            "figure,scope={scope},indicator=defect_rate,period_kind=year reduction={reduction},ci_lower={},ci_upper={},\
             actual=60,adjusted_baseline=120,output=1140,coverage=1,target=0.3,state=\"final\",standing=\"ahead\",\
             period=\"{}\" {start}\n",
            reduction - 0.05,
            reduction + 0.05,
            months.year - 2 + year
        ));
    }
    assert_eq!(post(influxdb.address, &format!("/write?db={DATABASE}&precision=s"), lines.as_bytes()), 204);
}

/// What Grafana would put into a query: the variables of the fixture, and the range on show.
fn with_variables(query: &str, range: &str) -> String {
    let filter = format!("time > now() - {}", range.replace("10y", "3650d"));
    let mut query = query.replace("$timeFilter", &filter);
    for (variable, value) in [
        ("=~\"$pilot\"", "=~\".+\""),
        ("/^$pilot$/", "/^.+$/"),
        ("/^$asset$/", "/^.+$/"),
        ("$__rate_interval", "5s"),
        ("$__range", "1m"),
        ("$service", ".+"),
        ("$instance", ".+"),
        ("$job", ".+"),
        ("$pilot", "known"),
        ("$indicator", "defect_rate"),
        ("$period", "current_year"),
        ("$kind", "year"),
        ("$unit", "kWh"),
        ("$completeness", "0.9"),
    ] {
        query = query.replace(variable, value);
    }
    assert!(!query.contains("$_") && !query.contains("\"$"), "a variable is left in {query}");
    query
}

/// What a panel shows: its queries' answers one after the other.
fn answers(panel: &Value, range: &str, live: &Daemon, history: &Daemon) -> Answered {
    let mut all = Answered::new();
    for target in panel["targets"].as_array().unwrap() {
        let answered = match (target["expr"].as_str(), target["query"].as_str()) {
            (Some(expr), _) => {
                let seconds = (target["instant"] == false).then_some(8);
                let mut answered = prom_ql(live.address, &with_variables(expr, range), seconds);
                for (labels, _) in answered.iter_mut().filter(|(labels, _)| labels.is_empty()) {
                    *labels = target["legendFormat"].as_str().unwrap().to_owned();
                }
                answered
            }
            (None, Some(query)) => influx_ql(history.address, DATABASE, &with_variables(query, range)),
            (None, None) => panic!("{target} asks nothing"),
        };
        assert!(!answered.is_empty(), "nothing for {target}");
        all.extend(answered);
    }
    all
}

/// The one value of a panel's series whose labels hold `label`, the latest.
#[track_caller]
fn value(shown: &BTreeMap<(String, String), Answered>, dashboard: &str, title: &str, label: &str) -> f64 {
    let found = shown.iter().find(|((d, t), _)| d == dashboard && t.ends_with(&format!("· {title}")));
    let (_, answered) = found.unwrap_or_else(|| panic!("no panel `{title}` on {dashboard}"));
    let series = answered.iter().find(|(labels, _)| labels.contains(label));
    let (_, points) = series.unwrap_or_else(|| panic!("no `{label}` in {answered:?}"));
    points.last().unwrap().1
}

#[test]
fn every_panel_answers_and_key_panels_answer_what_is_known() {
    let dir = TempDir::new("dashboards");
    let months = Months::at(model::clock::now().0);
    let (server, last_kwh) = pilotline(dir.path(), &months);
    // Figures hold everything once the API has answered.
    let figures = server.json(&format!("/api/v1/figures?scope=pilot:known&period={}", months.year));
    let live = scraping(dir.path(), &server);
    let history = influxdb(dir.path(), DATABASE);
    write_points(&history, &months);
    publish_while_scraped(&server, &live, &months, last_kwh);

    let mut shown = BTreeMap::new();
    for (name, dashboard) in &dashboards() {
        let range = dashboard["time"]["from"].as_str().unwrap().strip_prefix("now-").unwrap();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "text") {
            let title = panel["title"].as_str().unwrap();
            let answered = answers(panel, range, &live, &history);
            let finite = answered.iter().flat_map(|(_, points)| points).filter(|(_, value)| value.is_finite()).count();
            assert!(finite > 0, "{name}: {title}: {answered:?}");
            let infinite = answered.iter().flat_map(|(_, points)| points).any(|(_, value)| value.is_infinite());
            assert!(!infinite, "{name}: {title}: {answered:?}");
            shown.insert((name.clone(), title.to_owned()), answered);
        }
        variables_have_values(dashboard, &live, &history);
        preview::write(name, dashboard, &shown);
    }

    known_answers(&shown, &figures);
    prometheus_has_no_complaint(dir.path(), &live);
}

fn known_answers(shown: &BTreeMap<(String, String), Answered>, figures: &Value) {
    let of = |dashboard: &str, title: &str, label: &str| value(shown, dashboard, title, label);
    let figure = |indicator: &str| {
        let found = figures.as_array().unwrap().iter().find(|figure| figure["indicator"] == indicator);
        found.unwrap_or_else(|| panic!("no {indicator} in {figures}"))
    };
    // 1 - (800 / 95) / (1000 / 90), and 5 defective of 100 pieces instead of 10.
    let energy = 1.0 - (800.0 / 95.0) / (1_000.0 / 90.0);
    assert!((of("pilot", "Reduction achieved", "energy_intensity") - energy).abs() < 1e-9);
    assert!((of("pilot", "Reduction achieved", "defect_rate") - 0.5).abs() < 1e-12);
    for indicator in ["energy_intensity", "defect_rate"] {
        assert_eq!(
            figure(indicator)["reduction"],
            of("pilot", "Reduction achieved", indicator),
            "one number everywhere"
        );
    }
    let last_stage = figure("defect_rate")["stages"].as_array().unwrap().last().unwrap()["path"].as_f64().unwrap();
    assert_eq!(of("pilot", "Reduction required", "defect_rate"), last_stage);
    assert_eq!(of("pilot", "Completeness", ""), 1.0);
    assert!((of("programme", "Furthest below the path", "pilot=known") - (0.5 - last_stage)).abs() < 1e-12);
    // Only what happened is listed.
    for (dashboard, title, reason) in
        [("ingest-health", "Messages refused", "bad_json"), ("data-quality", "Readings refused", "wrong_unit")]
    {
        assert!(of(dashboard, title, reason) > 0.0);
        let panel = shown.iter().find(|((d, t), _)| d == dashboard && t.ends_with(title)).unwrap();
        assert_eq!(panel.1.len(), 1, "{panel:?}");
    }
    assert!(of("ingest-health", "Share refused", "") > 0.1);
    for (dashboard, title, expected) in [
        ("programme", "Pilots registered", 2.0),
        ("programme", "Pilots with a figure", 1.0),
        ("programme", "On or above the path", 1.0),
        ("ingest-health", "Answering", 2.0),
        ("ingest-health", "Pilots", 2.0),
        ("ingest-health", "Brokers connected", 0.0),
        ("data-quality", "Messages missing", 2.0),
        ("data-quality", "Unregistered series", 1.0),
        ("data-quality", "Corrections", 1.0),
        ("data-quality", "Pilots that never sent", 1.0),
        ("data-quality", "Pilots below the threshold", 0.0),
        ("pilot", "Electricity a day", 240.0),
        ("pilot", "Reduction and its interval", 0.3),
        ("programme", "Reduction of the programme", 0.3),
        ("programme", "Reduction by region", 0.3),
        ("workshop", "Sum of the range", 720.0),
        ("workshop", "Coverage", 0.75),
    ] {
        // A day of a whole range is not the last, which has only begun.
        let found = if title == "Electricity a day" { greatest(shown, title) } else { of(dashboard, title, "") };
        assert!((found - expected).abs() < 1e-9, "{dashboard}: {title}: {found}, not {expected}");
    }
}

fn greatest(shown: &BTreeMap<(String, String), Answered>, title: &str) -> f64 {
    let panels = shown.iter().filter(|((_, t), _)| t.ends_with(title)).flat_map(|(_, answered)| answered);
    panels.flat_map(|(_, points)| points).map(|(_, value)| *value).fold(f64::MIN, f64::max)
}

/// Every variable that asks a data source has something to choose.
fn variables_have_values(dashboard: &Value, live: &Daemon, history: &Daemon) {
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["query"].as_str().unwrap();
        if let Some(inside) = query.strip_prefix("label_values(") {
            let (selector, label) = inside.trim_end_matches(')').rsplit_once(", ").unwrap();
            let path = format!("/api/v1/series?match[]={}", escaped(&with_variables(selector, "1h")));
            let series = asked(live.address, &path);
            assert!(series["data"].as_array().unwrap().iter().any(|labels| labels[label].is_string()), "{query}");
        } else if query.starts_with("SHOW") {
            let path = format!("/query?db={DATABASE}&q={}", escaped(&with_variables(query, "1h")));
            assert!(asked(history.address, &path).to_string().contains("\"press\""), "{query}");
        }
    }
}

/// Both pages are scraped, no rule fails, the log warns of nothing.
fn prometheus_has_no_complaint(dir: &Path, live: &Daemon) {
    assert!(prom_ql(live.address, "min_over_time(up[1m]) < 1", None).is_empty());
    let rules = asked(live.address, "/api/v1/rules");
    for group in rules["data"]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            assert!(rule["health"] != "err", "{rule}");
        }
    }
    let log = std::fs::read_to_string(dir.join("prometheus.log")).unwrap();
    assert_eq!(log, "", "Prometheus says");
}
