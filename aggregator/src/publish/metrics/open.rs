//! OpenMetrics 1.0 text over the families that the `prometheus` encoder writes as text 0.0.4.
//!
//! What differs: a counter's family has no `_total` and its sample has, a pseudo-metric's likewise with `_info`; `# UNIT`
//! where the name ends in one; bounds of buckets as floats; a final `# EOF`, without which a cut page is no page.
//! No timestamps and no `_created` samples: Prometheus marks what is gone by itself only without them.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const MEDIA_TYPE: &str = "application/openmetrics-text";
/// The units that names here may end in.
pub(super) const UNITS: [&str; 4] = ["seconds", "bytes", "joules", "ratio"];

/// Whether a scraper that sends this `Accept` takes OpenMetrics, and takes nothing else rather.
pub(super) fn is_preferred(accept: &str) -> bool {
    let weights = accept.split(',').map(weight_of);
    let weight = |wanted: fn(&str) -> bool| {
        let fitting = weights.clone().filter(|(media_type, _)| wanted(media_type)).map(|(_, weight)| weight);
        fitting.fold(0.0, f64::max)
    };
    let open = weight(|media_type| media_type == MEDIA_TYPE);
    open > 0.0 && open >= weight(|media_type| media_type == "text/plain")
}

/// Media type and `q` of one part of an `Accept`; a `q` that is no number is 0.
fn weight_of(part: &str) -> (&str, f64) {
    let mut pieces = part.split(';').map(str::trim);
    let media_type = pieces.next().unwrap_or_default();
    let q = pieces.find_map(|piece| piece.strip_prefix("q="));
    (media_type, q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
}

/// The page.
pub(super) fn text(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, kind) = base_name(family);
        text.push_str(&format!("# TYPE {name} {kind}\n"));
        if let Some(unit) = UNITS.iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
            text.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        text.push_str(&format!("# HELP {name} {}\n", escaped(family.help())));
        for metric in family.get_metric() {
            samples(&mut text, family, metric);
        }
    }
    text.push_str("# EOF\n");
    text
}

/// The family's name and type.
fn base_name(family: &MetricFamily) -> (&str, &'static str) {
    let name = family.name();
    match family.get_field_type() {
        MetricType::COUNTER => (name.strip_suffix("_total").unwrap_or(name), "counter"),
        MetricType::HISTOGRAM => (name, "histogram"),
        MetricType::GAUGE => match name.strip_suffix("_info") {
            Some(base) => (base, "info"),
            None => (name, "gauge"),
        },
        MetricType::SUMMARY | MetricType::UNTYPED => (name, "unknown"),
    }
}

fn samples(text: &mut String, family: &MetricFamily, metric: &Metric) {
    let (name, labels) = (family.name(), metric.get_label());
    match family.get_field_type() {
        MetricType::COUNTER => sample(text, name, labels, None, metric.get_counter().get_value()),
        MetricType::HISTOGRAM => histogram(text, name, metric),
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
            sample(text, name, labels, None, metric.get_gauge().get_value());
        }
    }
}

fn histogram(text: &mut String, name: &str, metric: &Metric) {
    let (histogram, labels) = (metric.get_histogram(), metric.get_label());
    let bucket = format!("{name}_bucket");
    for below in histogram.get_bucket() {
        // With its point even where it is whole: `1.0`.
        let bound = format!("{:?}", below.upper_bound());
        sample(text, &bucket, labels, Some(&bound), below.cumulative_count() as f64);
    }
    let n_samples = histogram.get_sample_count() as f64;
    sample(text, &bucket, labels, Some("+Inf"), n_samples);
    sample(text, &format!("{name}_count"), labels, None, n_samples);
    sample(text, &format!("{name}_sum"), labels, None, histogram.get_sample_sum());
}

fn sample(text: &mut String, name: &str, labels: &[LabelPair], bound: Option<&str>, value: f64) {
    let own = labels.iter().map(|pair| format!("{}=\"{}\"", pair.name(), escaped(pair.value())));
    let all: Vec<String> = own.chain(bound.map(|bound| format!("le=\"{bound}\""))).collect();
    let labels = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
    // Writing to a String never fails.
    let _ = writeln!(text, "{name}{labels} {}", number(value));
}

fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    match value.is_infinite() {
        true if value > 0.0 => "+Inf".to_owned(),
        true => "-Inf".to_owned(),
        false => value.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::super::{Name, Page};
    use super::*;
    use crate::publish::CommitTimes;

    #[test]
    fn a_page_has_types_units_totals_and_an_end() {
        let mut page = Page::default();
        page.add(Name::BuildInfo, &[("version", "1"), ("commit", "a\"b\\c\nd"), ("config_hash", "")], 1.0);
        page.add(Name::Rejected, &[("reason", "bad_json")], 2.0);
        page.add(Name::Energy, &[("pilot", "p-1"), ("carrier", "electricity")], 3.6e6);
        page.add(Name::Achieved, &[("pilot", "p-1")], -0.25);
        page.histogram(
            Name::CommitDuration,
            &CommitTimes { buckets: vec![(0.00025, 1), (1.0, 3)], count: 4, sum_seconds: 7.5 },
        );
        insta::assert_snapshot!(text(&page.into_families()), @r#"
        # TYPE pilotline_build info
        # HELP pilotline_build Version, commit and hash of the configuration in force; always 1.
        pilotline_build_info{version="1",commit="a\"b\\c\nd",config_hash=""} 1
        # TYPE pilotline_ingest_rejected counter
        # HELP pilotline_ingest_rejected Messages rejected whole, by first reason.
        pilotline_ingest_rejected_total{reason="bad_json"} 2
        # TYPE pilotline_energy_joules counter
        # UNIT pilotline_energy_joules joules
        # HELP pilotline_energy_joules Energy used since the first reading, by carrier; fuels by their calorific value. Falls where readings are corrected.
        pilotline_energy_joules_total{pilot="p-1",carrier="electricity"} 3600000
        # TYPE pilotline_reduction_achieved_ratio gauge
        # UNIT pilotline_reduction_achieved_ratio ratio
        # HELP pilotline_reduction_achieved_ratio Reduction against the adjusted baseline; 0.2 is 20 % less. Absent where too little is known.
        pilotline_reduction_achieved_ratio{pilot="p-1"} -0.25
        # TYPE pilotline_journal_commit_duration_seconds histogram
        # UNIT pilotline_journal_commit_duration_seconds seconds
        # HELP pilotline_journal_commit_duration_seconds Time of one journal commit, fsync included.
        pilotline_journal_commit_duration_seconds_bucket{le="0.00025"} 1
        pilotline_journal_commit_duration_seconds_bucket{le="1.0"} 3
        pilotline_journal_commit_duration_seconds_bucket{le="+Inf"} 4
        pilotline_journal_commit_duration_seconds_count 4
        pilotline_journal_commit_duration_seconds_sum 7.5
        # EOF
        "#);
    }

    #[test]
    fn a_scraper_gets_what_it_prefers() {
        // What Prometheus 2.42 sends, and 2.5x.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            true,
        );
        check(
            "application/openmetrics-text; version=1.0.0; charset=utf-8; q=0.6, text/plain;version=0.0.4;q=0.5, */*;q=0.1",
            true,
        );
        check("text/plain;version=0.0.4, application/openmetrics-text;q=0.3", false);
        check("application/openmetrics-text;q=0", false);
        check("application/openmetrics-text;q=much", false);
        check("text/html,*/*", false);
        check("", false);

        #[track_caller]
        fn check(accept: &str, preferred: bool) {
            assert_eq!(is_preferred(accept), preferred, "{accept}");
        }
    }
}
