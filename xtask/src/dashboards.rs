//! The Grafana dashboards: one source, written as Classic JSON to `deploy/grafana/dashboards/Pilotline/`.
//!
//! Each dashboard is a file of data here and answers one question. This file turns data into JSON: variables, a grid that
//! fills from left to right, units, links. Live figures are PromQL, history is InfluxQL; both data sources are variables.
//!
//! Invariants, held by [`lint`]:
//! - what lies on disk is what this writes;
//! - every metric asked for exists, and every metric that exists is asked for;
//! - every text is Chinese and English; nothing names a pilot or a data source by hand.

mod data_quality;
mod ingest_health;
#[cfg(test)]
mod lint;
mod pilot;
mod programme;
mod workshop;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::root;

/// The newest of the classic versions that Grafana 10 reads without migrating it.
const SCHEMA_VERSION: u32 = 39;
/// Width of Grafana's grid.
const COLUMNS: u32 = 24;
/// What `@` stands for between the braces of a selector: the targets that the variables choose.
const CHOSEN: &str = "job=~\"$job\",instance=~\"$instance\"";

/// A text in both languages.
#[derive(Debug, Clone, Copy)]
struct Text {
    zh: &'static str,
    en: &'static str,
}

const fn text(zh: &'static str, en: &'static str) -> Text {
    Text { zh, en }
}

impl Text {
    fn both(self) -> String {
        format!("{} · {}", self.zh, self.en)
    }
}

/// One dashboard; its uid is `pilotline-ID`.
struct Dashboard {
    id: &'static str,
    title: Text,
    /// The question it answers, and how to read the answer (Markdown).
    question: Text,
    how: Text,
    /// The range on show at first, such as `6h` or `1y`.
    range: &'static str,
    variables: Vec<Variable>,
    panels: Vec<Panel>,
}

/// What a reader chooses.
enum Variable {
    /// From labels that Prometheus knows; all of them at first.
    Live {
        name: &'static str,
        label: Text,
        query: &'static str,
    },
    /// One of them.
    LiveOne {
        name: &'static str,
        label: Text,
        query: &'static str,
    },
    /// From tags that InfluxDB knows; all of them at first.
    History {
        name: &'static str,
        label: Text,
        query: &'static str,
    },
    Choice {
        name: &'static str,
        label: Text,
        options: &'static [&'static str],
    },
    Number {
        name: &'static str,
        label: Text,
        value: &'static str,
    },
}

/// How a panel shows its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The latest value, large.
    Stat,
    /// A bar a series, the latest value.
    Bars,
    Lines,
    /// Columns over time, for amounts of a day.
    Columns,
    Table,
}

/// One panel.
struct Panel {
    title: Text,
    about: Text,
    shape: Shape,
    /// An id of Grafana's value formats.
    unit: &'static str,
    /// Columns and rows of the grid.
    size: (u32, u32),
    targets: Vec<Target>,
    /// The dashboard that a click on a series leads to.
    to: Option<Link>,
}

/// Where a series leads.
#[derive(Debug, Clone, Copy)]
enum Link {
    Pilot,
}

/// One query.
enum Target {
    /// PromQL, and the legend.
    Live(&'static str, &'static str),
    /// InfluxQL, and the alias.
    History(&'static str, &'static str),
}

/// Every dashboard, in the order of their links.
fn all() -> Vec<Dashboard> {
    vec![
        programme::dashboard(),
        pilot::dashboard(),
        workshop::dashboard(),
        ingest_health::dashboard(),
        data_quality::dashboard(),
    ]
}

/// File names and texts.
fn files() -> Vec<(PathBuf, String)> {
    let dir = root().join("deploy/grafana/dashboards/Pilotline");
    let all = all();
    let file = |dashboard: &Dashboard| {
        let json = format!("{:#}\n", dashboard.json(&all));
        (dir.join(format!("{}.json", dashboard.id)), json)
    };
    all.iter().map(file).collect()
}

/// Writes every dashboard.
pub(crate) fn write() -> anyhow::Result<()> {
    for (path, text) in files() {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(&path, text)?;
        println!("{}", path.display());
    }
    Ok(())
}

impl Dashboard {
    fn uid(&self) -> String {
        format!("pilotline-{}", self.id)
    }

    fn json(&self, all: &[Dashboard]) -> Value {
        let others = all.iter().filter(|other| other.id != self.id);
        let range = json!({"from": format!("now-{}", self.range), "to": "now"});
        let datasources = [
            datasource("live", text("实时数据源", "live data"), "prometheus"),
            datasource("history", text("历史数据源", "history"), "influxdb"),
        ];
        let variables: Vec<Value> = datasources.into_iter().chain(self.variables.iter().map(Variable::json)).collect();
        json!({
            "uid": self.uid(),
            "title": self.title.both(),
            "description": self.question.both(),
            "tags": ["pilotline"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": range,
            "timepicker": {},
            "timezone": "",
            "fiscalYearStartMonth": 0,
            "annotations": {"list": []},
            "links": others.map(Dashboard::link).collect::<Vec<_>>(),
            "templating": {"list": variables},
            "panels": self.panels_json(),
        })
    }

    fn link(&self) -> Value {
        json!({
            "type": "link", "title": self.title.both(), "tooltip": self.question.both(), "icon": "dashboard",
            "url": format!("/d/{}", self.uid()), "tags": [], "asDropdown": false, "targetBlank": false,
            "includeVars": true, "keepTime": false,
        })
    }

    /// The text panel first, then the others, each where the one before ends.
    fn panels_json(&self) -> Vec<Value> {
        let how = format!("### {}\n{}\n\n### {}\n{}\n", self.question.zh, self.how.zh, self.question.en, self.how.en);
        let mut panels = vec![json!({
            "id": 1, "type": "text", "title": text("怎么看", "How to read this").both(),
            "description": self.question.both(), "gridPos": {"x": 0, "y": 0, "w": COLUMNS, "h": 5},
            "options": {"mode": "markdown", "content": how},
        })];
        let (mut x, mut y, mut tallest) = (0, 5, 0);
        for (index, panel) in self.panels.iter().enumerate() {
            let (width, height) = panel.size;
            if x + width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            let place = json!({"x": x, "y": y, "w": width, "h": height});
            panels.push(panel.json(index + 2, &place));
            (x, tallest) = (x + width, tallest.max(height));
        }
        panels
    }
}

fn datasource(name: &str, label: Text, plugin: &str) -> Value {
    json!({
        "name": name, "label": label.both(), "type": "datasource", "query": plugin, "refresh": 1, "hide": 0,
        "options": [], "regex": "", "multi": false, "includeAll": false, "skipUrlSync": false,
    })
}

impl Variable {
    fn json(&self) -> Value {
        match *self {
            Variable::Live { name, label, query } => asked(name, label, live(), query, true),
            Variable::LiveOne { name, label, query } => asked(name, label, live(), query, false),
            Variable::History { name, label, query } => asked(name, label, history(), query, true),
            Variable::Choice { name, label, options } => {
                let option =
                    |(index, option): (usize, &&str)| json!({"text": option, "value": option, "selected": index == 0});
                let first = options.first().copied().unwrap_or_default();
                json!({
                    "name": name, "label": label.both(), "type": "custom", "query": options.join(","), "hide": 0,
                    "options": options.iter().enumerate().map(option).collect::<Vec<_>>(),
                    "current": {"text": first, "value": first, "selected": true},
                    "multi": false, "includeAll": false, "skipUrlSync": false,
                })
            }
            Variable::Number { name, label, value } => {
                let option = json!({"text": value, "value": value, "selected": true});
                json!({
                    "name": name, "label": label.both(), "type": "textbox", "query": value, "hide": 0,
                    "options": [option], "current": option, "skipUrlSync": false,
                })
            }
        }
    }
}

/// A variable whose values a data source knows, asked again whenever the range changes.
fn asked(name: &str, label: Text, datasource: Value, query: &str, is_multi: bool) -> Value {
    let query = query.replace('@', CHOSEN);
    let mut variable = json!({
        "name": name, "label": label.both(), "type": "query", "datasource": datasource, "query": query,
        "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [],
        "multi": is_multi, "includeAll": is_multi, "skipUrlSync": false,
    });
    if is_multi {
        variable["allValue"] = json!(".+");
        variable["current"] = json!({"text": ["All"], "value": ["$__all"], "selected": true});
    }
    variable
}

fn live() -> Value {
    json!({"type": "prometheus", "uid": "${live}"})
}

fn history() -> Value {
    json!({"type": "influxdb", "uid": "${history}"})
}

impl Panel {
    fn json(&self, id: usize, place: &Value) -> Value {
        let targets = self.targets.iter().zip('A'..='Z').map(|(target, id)| target.json(id, self.shape));
        let targets: Vec<Value> = targets.collect();
        let datasource = targets.first().map_or(Value::Null, |target| target["datasource"].clone());
        let links: Vec<Value> = self.to.iter().map(|link| link.json()).collect();
        json!({
            "id": id,
            "type": self.shape.plugin(),
            "title": self.title.both(),
            "description": self.about.both(),
            "datasource": datasource,
            "gridPos": place,
            "targets": targets,
            "options": self.shape.options(),
            "transformations": self.shape.transformations(),
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "noValue": text("没有数据", "no data").both(),
                    "color": {"mode": "palette-classic"},
                    "mappings": [],
                    "links": links,
                    "custom": self.shape.custom(),
                },
                "overrides": [],
            },
        })
    }
}

impl Shape {
    fn plugin(self) -> &'static str {
        match self {
            Shape::Stat => "stat",
            Shape::Bars => "bargauge",
            Shape::Lines | Shape::Columns => "timeseries",
            Shape::Table => "table",
        }
    }

    fn is_latest_only(self) -> bool {
        matches!(self, Shape::Stat | Shape::Bars | Shape::Table)
    }

    fn options(self) -> Value {
        let latest = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self {
            Shape::Stat => json!({
                "reduceOptions": latest, "colorMode": "none", "graphMode": "none", "textMode": "auto",
                "orientation": "auto", "justifyMode": "auto",
            }),
            Shape::Bars => json!({
                "reduceOptions": latest, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
                "valueMode": "text",
            }),
            Shape::Lines | Shape::Columns => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Shape::Table => json!({"showHeader": true, "cellHeight": "sm", "footer": {"show": false}}),
        }
    }

    fn custom(self) -> Value {
        match self {
            Shape::Lines => {
                json!({"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": true, "showPoints": "auto"})
            }
            Shape::Columns => {
                json!({"drawStyle": "bars", "lineWidth": 1, "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}})
            }
            Shape::Stat | Shape::Bars => json!({}),
            Shape::Table => json!({"align": "auto", "filterable": true}),
        }
    }

    /// Labels become columns; when a row was read says nothing.
    fn transformations(self) -> Value {
        match self {
            Shape::Table => json!([
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"excludeByName": {"Time": true, "__name__": true, "job": true, "instance": true}}},
            ]),
            Shape::Stat | Shape::Bars | Shape::Lines | Shape::Columns => json!([]),
        }
    }
}

impl Link {
    fn json(self) -> Value {
        match self {
            Link::Pilot => json!({
                "title": text("打开该试点", "open this pilot").both(),
                "url": "/d/pilotline-pilot?var-pilot=${__field.labels.pilot}&${__url_time_range}",
                "targetBlank": false,
            }),
        }
    }
}

impl Target {
    fn json(&self, id: char, shape: Shape) -> Value {
        match *self {
            Target::Live(expr, legend) => json!({
                "refId": id.to_string(), "datasource": live(), "editorMode": "code",
                "expr": expr.replace('@', CHOSEN), "legendFormat": legend,
                "instant": shape.is_latest_only(), "range": !shape.is_latest_only(),
                "format": if shape == Shape::Table { "table" } else { "time_series" },
            }),
            Target::History(query, alias) => json!({
                "refId": id.to_string(), "datasource": history(), "rawQuery": true, "query": query, "alias": alias,
                "resultFormat": if shape == Shape::Table { "table" } else { "time_series" },
            }),
        }
    }
}

/// The variables of every dashboard that asks Prometheus: which of its targets.
fn targets_of(metric: &'static str) -> [Variable; 2] {
    let (job, instance) = match metric {
        "pilots" => {
            ("label_values(pilotline_pilot_info, job)", "label_values(pilotline_pilot_info{job=~\"$job\"}, instance)")
        }
        _ => ("label_values(pilotline_build_info, job)", "label_values(pilotline_build_info{job=~\"$job\"}, instance)"),
    };
    [
        Variable::Live { name: "job", label: text("抓取任务", "job"), query: job },
        Variable::Live { name: "instance", label: text("实例", "instance"), query: instance },
    ]
}

const INDICATORS: Variable = Variable::Choice {
    name: "indicator",
    label: text("指标", "indicator"),
    options: &["operating_cost", "production_cycle", "defect_rate", "energy_intensity"],
};

const SLOTS: Variable =
    Variable::Choice { name: "period", label: text("期间", "period"), options: &["current_year", "current_month"] };

const KINDS: Variable =
    Variable::Choice {
        name: "kind", label: text("历史粒度", "history by"), options: &["year", "quarter", "month"]
    };

const PILOTS: Variable = Variable::Live {
    name: "pilot",
    label: text("试点", "pilot"),
    query: "label_values(pilotline_pilot_info{@}, pilot)",
};

const ONE_PILOT: Variable = Variable::LiveOne {
    name: "pilot",
    label: text("试点", "pilot"),
    query: "label_values(pilotline_pilot_info{@}, pilot)",
};
