//! Pictures of the dashboards without Grafana: the panels on their grid, with what the queries answered, as HTML with inline
//! SVG. Written where `PILOTLINE_PREVIEW` names a directory; a person looks at them.
//!
//! This is not Grafana's renderer: colours, legends and units are ours, and each page says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::monitoring::Answered;

const COLUMN_PX: f64 = 50.0;
const ROW_PX: f64 = 34.0;
const COLOURS: [&str; 8] = ["#3274d9", "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#8f8f00", "#1f78c1", "#806eb7"];

/// Writes `NAME.html`, if anybody wants to see it.
pub(crate) fn write(name: &str, dashboard: &Value, shown: &BTreeMap<(String, String), Answered>) {
    let Some(dir) = std::env::var_os("PILOTLINE_PREVIEW").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&dir).unwrap();
    let mut body = String::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap().to_owned();
        let inside = match shown.get(&(name.to_owned(), title.clone())) {
            Some(answered) => drawn(panel, answered),
            None => markdown(panel["options"]["content"].as_str().unwrap()),
        };
        let place = |key: &str| panel["gridPos"][key].as_f64().unwrap();
        body.push_str(&format!(
            "<div style=\"left:{}px;top:{}px;width:{}px;height:{}px\"><b>{}</b>{inside}</div>\n",
            place("x") * COLUMN_PX,
            60.0 + place("y") * ROW_PX,
            place("w") * COLUMN_PX - 8.0,
            place("h") * ROW_PX - 8.0,
            escaped(&title)
        ));
    }
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><style>body{{font:13px sans-serif;position:relative}}\
         div{{position:absolute;box-sizing:border-box;border:1px solid #ccc;padding:6px;overflow:hidden}}\
         p{{margin:2px 0;font-size:12px}}svg{{display:block}}i{{font-style:normal;font-size:34px;display:block}}</style>\
         <h2>{}</h2><p>A preview of Pilotline's own. It is not Grafana's renderer.</p>\n{body}",
        escaped(dashboard["title"].as_str().unwrap())
    );
    std::fs::write(dir.join(format!("{name}.html")), page).unwrap();
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn markdown(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("### ") {
        Some(heading) => format!("<p><b>{}</b></p>", escaped(heading)),
        None => format!("<p>{}</p>", escaped(line)),
    };
    text.lines().map(line).collect()
}

fn number(value: f64, unit: &str) -> String {
    match unit {
        "percentunit" => format!("{:.1} %", value * 100.0),
        "bytes" => format!("{:.1} GiB", value / 1_073_741_824.0),
        "dateTimeAsIso" => {
            format!("{value:.0}").parse().map_or_else(|_| String::new(), |at| model::UnixMillis(at).to_string())
        }
        "watt" => format!("{value:.0} W"),
        "kwatth" => format!("{value:.0} kWh"),
        "s" => format!("{value:.3} s"),
        _ => format!("{:.3}", value).trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// The labels that tell a panel's series apart.
fn legend(labels: &str) -> String {
    let boring = ["job=", "instance=", "__name__=", "period="];
    let parts = labels.split(',').filter(|part| !boring.iter().any(|word| part.starts_with(word)));
    escaped(&parts.collect::<Vec<_>>().join(" "))
}

fn drawn(panel: &Value, answered: &Answered) -> String {
    let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
    let (width, height) = (
        panel["gridPos"]["w"].as_f64().unwrap() * COLUMN_PX - 24.0,
        panel["gridPos"]["h"].as_f64().unwrap() * ROW_PX - 60.0,
    );
    let latest = |points: &[(f64, f64)]| points.last().map_or(f64::NAN, |point| point.1);
    match panel["type"].as_str().unwrap() {
        "stat" => answered.iter().map(|(_, points)| format!("<i>{}</i>", number(latest(points), unit))).collect(),
        "timeseries" => lines(answered, unit, width, height),
        "bargauge" => {
            let greatest = answered.iter().map(|(_, points)| latest(points).abs()).fold(1e-12, f64::max);
            let bar = |(labels, points): &(String, Vec<(f64, f64)>)| {
                let value = latest(points);
                let length = (value.abs() / greatest * width * 0.5).max(1.0);
                format!(
                    "<p><svg width=\"{length}\" height=\"10\" style=\"display:inline\"><rect width=\"{length}\" height=\"10\" \
                     fill=\"{}\"/></svg> {} {}</p>",
                    if value < 0.0 { COLOURS[1] } else { COLOURS[0] },
                    number(value, unit),
                    legend(labels)
                )
            };
            answered.iter().map(bar).collect()
        }
        _ => answered
            .iter()
            .flat_map(|(labels, points)| points.iter().map(move |(_, value)| (labels, value)))
            .map(|(labels, value)| format!("<p>{} — {}</p>", number(*value, unit), legend(labels)))
            .collect(),
    }
}

fn lines(answered: &Answered, unit: &str, width: f64, height: f64) -> String {
    let finite = || answered.iter().flat_map(|(_, points)| points).filter(|(_, value)| value.is_finite());
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        (finite().map(of).fold(f64::MAX, f64::min), finite().map(of).fold(f64::MIN, f64::max))
    };
    let ((from, to), (low, high)) = (bounds(|point| point.0), bounds(|point| point.1));
    let low = low.min(0.0);
    let x = |at: f64| if to > from { (at - from) / (to - from) * (width - 8.0) + 4.0 } else { width / 2.0 };
    let y = |value: f64| {
        if high > low { height - 4.0 - (value - low) / (high - low) * (height - 16.0) } else { height - 4.0 }
    };
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\"><text x=\"2\" y=\"11\" font-size=\"11\" fill=\"#777\">{}</text>",
        number(high, unit)
    );
    let mut legends = String::new();
    for ((labels, points), colour) in answered.iter().zip(COLOURS.iter().cycle()) {
        let points = points.iter().filter(|(_, value)| value.is_finite());
        let path: Vec<String> = points.map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        svg.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            path.join(" ")
        ));
        for point in path.iter().filter_map(|point| point.split_once(',')) {
            svg.push_str(&format!("<circle cx=\"{}\" cy=\"{}\" r=\"2\" fill=\"{colour}\"/>", point.0, point.1));
        }
        legends.push_str(&format!("<span style=\"color:{colour};margin-right:8px\">{}</span>", legend(labels)));
    }
    format!("{svg}</svg><p>{legends}</p>")
}
