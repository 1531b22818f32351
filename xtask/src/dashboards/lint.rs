//! What every dashboard has to keep, after the rules of Grafana's `dashboard-linter` and some of our own, and that rules,
//! dashboards and the reference of metrics speak of the same names.
//!
//! Whether a query answers is not asked here: the process tests send each one to a real Prometheus or InfluxDB.

use std::collections::BTreeSet;

use super::*;

/// Ids of `@grafana/data` 13.2.3, `valueFormats/categories`: those that are used.
const UNITS: [&str; 11] =
    ["none", "short", "percentunit", "s", "bytes", "watt", "kwatth", "ops", "mps", "dateTimeAsIso", "joule"];

/// Counters that are shown as they are.
const RAW_COUNTERS: [(&str, &str); 2] = [
    ("pilotline_corrections_total", "how many there are is the question, not how fast they grow"),
    ("pilotline_ingest_sequence_gaps_total", "holes that are there now, although the name says counter"),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every panel but the text ones, with its dashboard's name.
fn panels() -> Vec<(String, Value)> {
    let all = all();
    let named = |dashboard: &Dashboard| {
        let json = dashboard.json(&all);
        let panels = json["panels"].as_array().unwrap().clone();
        let name = |panel: Value| (format!("{}: {}", dashboard.id, panel["title"].as_str().unwrap()), panel);
        panels.into_iter().filter(|panel| panel["type"] != "text").map(name).collect::<Vec<_>>()
    };
    all.iter().flat_map(named).collect()
}

/// Every query, PromQL and InfluxQL, with where it stands.
fn queries(key: &str) -> Vec<(String, String)> {
    let of = |(name, panel): (String, Value)| {
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().filter_map(move |target| Some((name.clone(), target[key].as_str()?.to_owned())))
    };
    panels().into_iter().flat_map(of).collect()
}

/// Names that begin with `pilotline_`, without the endings of a histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("pilotline_"));
    let base = |word: &str| {
        let ends = ["_bucket", "_count", "_sum"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    words.map(base).collect()
}

fn reference() -> BTreeSet<String> {
    let text = read("deploy/prometheus/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

fn is_both(text: &str) -> bool {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    text.chars().any(is_chinese) && text.chars().filter(char::is_ascii_alphabetic).count() >= 3
}

#[test]
fn the_files_are_what_is_written() {
    for (path, text) in files() {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is not what `cargo xtask dashboards` writes", path.display());
    }
    let dir = root().join("deploy/grafana/dashboards/Pilotline");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), all().len(), "a file that nothing writes");
}

#[test]
fn every_text_is_in_both_languages() {
    for dashboard in all() {
        let json = dashboard.json(&all());
        assert!(is_both(json["title"].as_str().unwrap()) && is_both(json["description"].as_str().unwrap()));
        for variable in json["templating"]["list"].as_array().unwrap() {
            assert!(is_both(variable["label"].as_str().unwrap()), "{}: {variable}", dashboard.id);
        }
        for panel in json["panels"].as_array().unwrap() {
            for key in ["title", "description"] {
                assert!(is_both(panel[key].as_str().unwrap()), "{}: {key} of {}", dashboard.id, panel["title"]);
            }
        }
        assert!(is_both(json["panels"][0]["options"]["content"].as_str().unwrap()));
    }
}

#[test]
fn ids_are_unique_and_nothing_overlaps_or_sticks_out() {
    let mut uids = BTreeSet::new();
    for dashboard in all() {
        assert!(uids.insert(dashboard.uid()), "{}", dashboard.id);
        let json = dashboard.json(&all());
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in json["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= u64::from(COLUMNS), "{}", panel["title"]);
            for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{}: {} lies on another panel", dashboard.id, panel["title"]);
            }
        }
    }
}

#[test]
fn every_panel_has_a_unit_a_word_for_nothing_and_a_variable_source() {
    for (name, panel) in panels() {
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(UNITS.contains(&defaults["unit"].as_str().unwrap()), "{name}: {}", defaults["unit"]);
        assert!(is_both(defaults["noValue"].as_str().unwrap()), "{name}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{name} asks nothing");
        for source in targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
            assert!(["${live}", "${history}"].contains(&source["uid"].as_str().unwrap()), "{name}: {source}");
        }
    }
    for unit in UNITS.iter().filter(|unit| **unit != "joule") {
        assert!(
            panels().iter().any(|(_, panel)| panel["fieldConfig"]["defaults"]["unit"] == *unit),
            "{unit} is unused"
        );
    }
}

#[test]
fn selectors_take_the_chosen_targets_and_no_pilot_by_name() {
    for (name, expr) in queries("expr") {
        for (at, _) in expr.match_indices("pilotline_") {
            let selector = expr[at..].find('{').map(|open| &expr[at + open..]);
            let chosen = ["{job=~\"$job\",instance=~\"$instance\"", "{job=~\"$service\",instance=~\"$instance\""];
            assert!(selector.is_some_and(|selector| chosen.iter().any(|c| selector.starts_with(c))), "{name}: {expr}");
        }
        for matcher in ["pilot=\"", "indicator=\"", "pilot=~\""] {
            for (at, _) in expr.match_indices(matcher) {
                assert!(expr[at + matcher.len()..].starts_with('$'), "{name}: {expr}");
            }
        }
    }
    for (name, query) in queries("query") {
        for matcher in ["\"pilot\" = '", "\"indicator\" = '", "\"period_kind\" = '"] {
            for (at, _) in query.match_indices(matcher) {
                assert!(query[at + matcher.len()..].starts_with('$'), "{name}: {query}");
            }
        }
    }
}

#[test]
fn counters_are_rates_over_a_range_that_fits_the_screen() {
    for (name, expr) in queries("expr") {
        for (at, _) in expr.match_indices("pilotline_") {
            let metric: String = expr[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_counter = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| metric.ends_with(end));
            if !is_counter || RAW_COUNTERS.iter().any(|(raw, _)| *raw == metric) {
                continue;
            }
            assert!(expr[..at].ends_with("rate(") || expr[..at].ends_with("increase("), "{name}: {expr}");
        }
        for (at, _) in expr.match_indices("rate(") {
            let range = expr[at..].split_once('[').unwrap().1;
            assert!(range.starts_with("$__rate_interval]"), "{name}: {expr}");
        }
        for (at, _) in expr.match_indices("increase(") {
            assert!(expr[at..].split_once('[').unwrap().1.starts_with("$__range]"), "{name}: {expr}");
        }
    }
    for (raw, reason) in RAW_COUNTERS {
        assert!(!reason.is_empty() && queries("expr").iter().any(|(_, expr)| expr.contains(raw)), "{raw}");
    }
}

#[test]
fn history_is_asked_of_the_range_on_show() {
    for (name, query) in queries("query") {
        // The one that is about all years says so in its description.
        let is_of_all_time = name.starts_with("workshop: 车间降幅");
        assert!(query.contains("$timeFilter") || is_of_all_time, "{name}: {query}");
    }
}

#[test]
fn links_lead_to_dashboards() {
    let uids: BTreeSet<String> = all().iter().map(Dashboard::uid).collect();
    for (path, text) in files() {
        for (at, _) in text.match_indices("\"/d/") {
            let uid: String = text[at + 4..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            assert!(uids.contains(&uid), "{}: {uid}", path.display());
        }
    }
}

#[test]
fn every_metric_asked_for_exists_and_every_one_that_exists_is_asked_for() {
    let (reference, mut asked) = (reference(), BTreeSet::new());
    for (path, text) in files() {
        let named = metrics_in(&text);
        assert!(named.is_subset(&reference), "{}: {:?}", path.display(), named.difference(&reference));
        asked.extend(named);
    }
    let unseen: Vec<&String> = reference.difference(&asked).collect();
    assert!(unseen.is_empty(), "on no dashboard: {unseen:?}");
}

#[test]
fn every_alert_is_about_metrics_that_exist_and_has_a_test_of_it_firing_and_not() {
    let (rules, tests) =
        (read("deploy/prometheus/rules/pilotline.yaml"), read("deploy/prometheus/tests/pilotline.yaml"));
    let expressions: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    let recorded: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    for expression in &expressions {
        let is_recorded = |name: &String| recorded.iter().any(|recorded| recorded.contains(name.as_str()));
        let strange: Vec<String> = metrics_in(expression)
            .into_iter()
            .filter(|name| !reference().contains(name) && !is_recorded(name))
            .collect();
        assert!(strange.is_empty(), "{expression}: {strange:?}");
    }
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 20 && expressions.len() == alerts.len() + recorded.len());
    for alert in alerts {
        let question = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
        let answers: Vec<bool> = tests
            .split(&question)
            .skip(1)
            .map(|rest| rest.lines().nth(2).is_some_and(|line| line.contains("value: ")))
            .collect();
        assert!(answers.first() == Some(&false) && answers.last() == Some(&false), "{alert}: {answers:?}");
        assert!(answers.contains(&true), "{alert} is never seen firing");
    }
}

#[test]
fn compose_mounts_what_is_there_and_names_every_variable_of_the_data_sources() {
    let compose = read("deploy/compose.yaml");
    let mounts = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let mounts: Vec<&str> = mounts.collect();
    assert!(mounts.len() >= 5, "{mounts:?}");
    for mount in mounts {
        assert!(root().join("deploy").join(mount).exists(), "deploy/{mount} is not there");
    }
    let sources = read("deploy/grafana/provisioning/datasources/pilotline.yaml");
    let settings = read("deploy/grafana/pilotline.env.example");
    for (at, _) in sources.match_indices("$PILOTLINE_") {
        let name: String = sources[at + 1..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
        assert!(compose.contains(&format!("{name}:")) && settings.contains(&format!("{name}=")), "{name}");
    }
}
