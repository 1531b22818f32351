//! Drafts a rule for a message that no rule takes: lines for a mapping file that a person then reads and mends.
//!
//! What the names in a payload mean is guessed from the words that gateways use, and each guess says so. A draft is compiled
//! and run over the message before it is shown: it gives readings, or there is none.

use bumpalo::Bump;
use serde_json::{Map, Value};

use super::{Dictionaries, Mappings, Received};
use crate::normalize::Passage;

/// The name that a draft's rule has until somebody gives it a better one.
const NAME: &str = "draft";
/// Arrays inside the rows of arrays that are looked into: gateways nest two deep, rarely three.
const LOOPS_MAX: usize = 4;
/// Bytes of a path that are looked into, so that a payload of nothing but nesting ends soon.
const PATH_MAX: usize = 200;
/// Drafts that are tried: each is compiled and run once.
const DRAFTS_MAX: usize = 32;

const TIMES: [&str; 11] =
    ["ts", "time", "timestamp", "t", "at", "date", "datetime", "gathertime", "readtime", "eventtime", "reporttime"];
const VALUES: [&str; 7] = ["value", "v", "val", "vaule", "dvalue", "realvalue", "currentvalue"];
const NAMES: [&str; 14] = [
    "name",
    "tag",
    "tagname",
    "key",
    "metric",
    "point",
    "param",
    "code",
    "identifier",
    "field",
    "n",
    "k",
    "id",
    "item",
];
const ASSETS: [&str; 15] = [
    "device",
    "deviceid",
    "devicename",
    "dev",
    "devid",
    "meter",
    "meterid",
    "sn",
    "asset",
    "equipment",
    "machine",
    "gateway",
    "gatewayid",
    "station",
    "id",
];
const UNITS: [&str; 3] = ["unit", "units", "uom"];

/// Lines for a mapping file that take this message; none if nothing in it looks like a measured value.
pub(crate) fn draft(received: Received<'_>) -> Option<String> {
    let text = std::str::from_utf8(received.payload).ok()?;
    let message: Value = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).ok()?;
    let mut found = Vec::new();
    Spot::of(&message).find(&message, &mut found);
    let mut best: Option<((u8, usize), String)> = None;
    for found in found.iter().take(DRAFTS_MAX) {
        let draft = rule(received.topic, found);
        let worth = (found.form.rank(), n_readings(&draft, received));
        if worth.1 > 0 && best.as_ref().is_none_or(|(known, _)| worth > *known) {
            best = Some((worth, draft));
        }
    }
    best.map(|(_, draft)| draft)
}

/// How many readings a draft takes from the message; none if it does not compile.
fn n_readings(draft: &str, received: Received<'_>) -> usize {
    let Ok(mappings) = Mappings::load(vec![(NAME.to_owned(), draft.to_owned())]) else { return 0 };
    let (dictionaries, arena) = (Dictionaries::default(), Bump::new());
    let message = mappings.decode(received, &dictionaries, &arena, Passage::Again);
    message.map_or(0, |message| message.readings.iter().filter(|reading| reading.is_ok()).count())
}

type Members = Map<String, Value>;

/// A place in a message, with the loops that lead to it.
#[derive(Debug, Clone)]
struct Spot<'m> {
    path: String,
    /// Loops over the rows around it, from the outside in.
    loops: Vec<String>,
    /// What stands around it and can name it, from the inside out, each with its path.
    owners: Vec<(&'m Members, String)>,
}

/// Where values stand in a message.
#[derive(Debug, Clone)]
struct Found<'m> {
    spot: Spot<'m>,
    form: Form<'m>,
}

/// How values stand in a message.
#[derive(Debug, Clone, Copy)]
enum Form<'m> {
    /// An array of objects with one value and its name each; the first one is the pattern.
    Rows { row: &'m Members, value: &'m str, name: &'m str },
    /// An object whose members are objects with one value each.
    Nested { row: &'m Members, value: &'m str },
    /// An array of objects with several numbers each.
    Tables { row: &'m Members },
    /// An object whose members are numbers.
    Entries { members: &'m Members },
    /// The message is one value.
    Bare,
}

impl Form<'_> {
    /// What says in so many words that it is a value goes before what merely is a number.
    fn rank(&self) -> u8 {
        match self {
            Form::Rows { .. } => 2,
            Form::Nested { .. } => 1,
            Form::Tables { .. } | Form::Entries { .. } | Form::Bare => 0,
        }
    }
}

impl<'m> Spot<'m> {
    fn of(message: &'m Value) -> Spot<'m> {
        let owners = message.as_object().map(|members| (members, "$".to_owned()));
        Spot { path: "$".to_owned(), loops: Vec::new(), owners: owners.into_iter().collect() }
    }

    fn at(&self, key: &str) -> Spot<'m> {
        Spot { path: format!("{}{}", self.path, step(key)), ..self.clone() }
    }

    /// Inside the rows of an array here.
    fn in_rows(&self, row: &'m Members) -> Spot<'m> {
        let name = format!("row_{}", self.loops.len() + 1);
        let mut spot = Spot { path: name.clone(), ..self.clone() };
        spot.loops.push(format!("{{ rows = {}, as = {name:?} }}", quoted(&self.path)));
        spot.owners.insert(0, (row, name));
        spot
    }

    /// Everything here and below that looks like measured values: what stands deeper first, for it says more of its names.
    fn find(&self, value: &'m Value, found: &mut Vec<Found<'m>>) {
        let below = |spot: &Spot<'m>, members: &'m Members, found: &mut Vec<Found<'m>>| {
            if spot.loops.len() < LOOPS_MAX && spot.path.len() < PATH_MAX {
                members.iter().for_each(|(key, inner)| spot.at(key).find(inner, found));
            }
        };
        let mut forms = Vec::new();
        match value {
            Value::Array(rows) => {
                let Some(row) = rows.iter().find_map(Value::as_object) else { return };
                below(&self.in_rows(row), row, found);
                match (value_of(row), key_of(row, &NAMES)) {
                    (Some(value), Some(name)) => forms.push(Form::Rows { row, value, name }),
                    (Some(_) | None, _) => forms.push(Form::Tables { row }),
                }
            }
            Value::Object(members) => {
                below(self, members, found);
                let mut rows = members.values().filter_map(Value::as_object);
                if let Some((row, value)) = rows.find_map(|row| Some((row, value_of(row)?))) {
                    forms.push(Form::Nested { row, value });
                }
                forms.push(Form::Entries { members });
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) if self.path == "$" => {
                forms.push(Form::Bare);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        found.extend(forms.into_iter().map(|form| Found { spot: self.clone(), form }));
    }
}

fn rule(topic: &str, found: &Found<'_>) -> String {
    let Found { spot, form } = found;
    let mut owners = spot.owners.clone();
    match *form {
        Form::Rows { row, .. } | Form::Tables { row } => owners.insert(0, (row, "row".to_owned())),
        Form::Nested { row, .. } => owners.insert(0, (row, "row.value".to_owned())),
        Form::Entries { members } if spot.path != "$" => owners.insert(0, (members, spot.path.clone())),
        Form::Entries { .. } | Form::Bare => {}
    }
    let topic = TopicDraft::of(topic, matches!(form, Form::Bare));
    let mut lines = format!("[[rule]]\nname = {NAME:?}  # give it the name of your source\n");
    let mut line = |text: String| lines.extend([&text, "\n"]);
    line(format!("topics = [{}]  # {{…}} takes any text of one level", quoted(&topic.filter)));
    let loops: Vec<String> = spot.loops.iter().cloned().chain(last_loop(&spot.path, form)).collect();
    if !loops.is_empty() {
        line(format!("each = [{}]", loops.join(", ")));
    }
    line(asset(&owners, form));
    let (metric, value) = match form {
        Form::Bare => (topic.metric.to_owned(), "$".to_owned()),
        Form::Rows { value, name, .. } => (format!("{{row{}}}", step(name)), format!("row{}", step(value))),
        Form::Nested { value, .. } => ("{row.key}".to_owned(), format!("row.value{}", step(value))),
        Form::Entries { .. } => ("{row.key}".to_owned(), "row.value".to_owned()),
        Form::Tables { .. } => ("{entry.key}".to_owned(), "entry.value".to_owned()),
    };
    line(format!("metric = {}", quoted(&metric)));
    line(format!("value = {}", quoted(&value)));
    let unit = |(owner, place): &(&Members, String)| {
        let key = key_of(owner, &UNITS).filter(|key| owner[*key].is_string())?;
        Some(format!("unit_hint = {}  # guessed from the word `{key}`", quoted(&format!("{{{place}{}}}", step(key)))))
    };
    owners.iter().find_map(unit).into_iter().for_each(&mut line);
    line(time(&owners));
    lines
}

/// The innermost loop.
fn last_loop(path: &str, form: &Form<'_>) -> Option<String> {
    let skip = |members: &Members| {
        let times: Vec<String> = members.keys().filter(|key| is_word(key, &TIMES)).map(|key| quoted(key)).collect();
        if times.is_empty() { String::new() } else { format!(", skip = [{}]", times.join(", ")) }
    };
    let path = quoted(path);
    match form {
        Form::Bare => None,
        Form::Rows { .. } => Some(format!("{{ rows = {path} }}")),
        Form::Nested { .. } => Some(format!("{{ entries = {path} }}")),
        Form::Entries { members } => Some(format!("{{ entries = {path}{}, skip_non_numeric = true }}", skip(members))),
        Form::Tables { row } => Some(format!(
            "{{ rows = {path} }}, {{ entries = \"row\", as = \"entry\"{}, skip_non_numeric = true }}",
            skip(row)
        )),
    }
}

fn asset(owners: &[(&Members, String)], form: &Form<'_>) -> String {
    let named = |(owner, place): &(&Members, String)| {
        let is_metric = |key: &str| matches!(form, Form::Rows { name, .. } if place == "row" && *name == key);
        let is_name = |key: &&str| matches!(owner[*key], Value::String(_) | Value::Number(_)) && !is_metric(key);
        let key = ASSETS.iter().filter_map(|word| key_of(owner, &[word])).find(is_name)?;
        Some(format!("asset = {}  # guessed from the word `{key}`", quoted(&format!("{{{place}{}}}", step(key)))))
    };
    let from_topic = || "asset = \"{asset}\"  # guessed from the topic".to_owned();
    owners.iter().find_map(named).unwrap_or_else(from_topic)
}

/// The innermost time, else that of receipt.
fn time(owners: &[(&Members, String)]) -> String {
    let of = |(owner, place): &(&Members, String)| {
        let (key, (format, remark)) =
            owner.iter().filter(|(key, _)| is_word(key, &TIMES)).find_map(|(key, time)| Some((key, format(time)?)))?;
        Some(format!("time = [{{ path = {}, {format} }}]{remark}", quoted(&format!("{place}{}", step(key)))))
    };
    let receipt = || "time = [\"receive\"]  # none was found in the message; deltas and orders need one".to_owned();
    owners.iter().find_map(of).unwrap_or_else(receipt)
}

/// The format of a time, from how it looks.
fn format(time: &Value) -> Option<(String, &'static str)> {
    const ZONE: &str = "  # say the gateway's own zone if it is not the pilot's";
    let number = match time {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if let Some(number) = number {
        // A plausible instant has this many digits in seconds, in milliseconds and so on.
        let unit = match number {
            n if n < 1e8 => return None,
            n if n < 1e11 && n.fract() == 0.0 => "unix_s",
            n if n < 1e11 => "unix_s_float",
            n if n < 1e14 => "unix_ms",
            n if n < 1e17 => "unix_us",
            _ => "unix_ns",
        };
        return Some((format!("format = {unit:?}"), ""));
    }
    let text = time.as_str()?.trim();
    if model::UnixMillis::parse(text).is_ok() {
        return Some(("format = \"rfc3339\"".to_owned(), ""));
    }
    let separator = if text.contains('/') { '/' } else { '-' };
    let between = if text.contains('T') { 'T' } else { ' ' };
    let (date, clock) = text.split_once(between)?;
    let fraction = if clock.contains('.') { "%.f" } else { "" };
    let seconds = if clock.matches(':').count() == 2 { "%H:%M:%S" } else { "%H:%M" };
    let is_year_first = date.split(separator).next().is_some_and(|year| year.len() == 4);
    is_year_first.then(|| {
        let pattern = format!("%Y{separator}%m{separator}%d{between}{seconds}{fraction}");
        (format!("format = {pattern:?}, zone = \"pilot\""), ZONE)
    })
}

/// The topic as a filter, with the levels that name what is measured.
struct TopicDraft {
    filter: String,
    metric: &'static str,
}

impl TopicDraft {
    /// `is_bare`: the payload is a value alone, so that the topic names it.
    fn of(topic: &str, is_bare: bool) -> TopicDraft {
        let mut levels: Vec<String> = topic.split('/').map(str::to_owned).collect();
        let names_metric = is_bare && levels.len() > 1;
        if let Some(last) = levels.last_mut().filter(|_| names_metric) {
            "{metric}".clone_into(last);
        }
        let end = levels.len() - usize::from(names_metric);
        // The level of the device has a number in most topics; without one the last level is as good as any.
        let has_digit = |level: &String| level.chars().any(|c| c.is_ascii_digit()) && !level.starts_with('v');
        let device = levels[..end].iter().rposition(has_digit).unwrap_or(end - 1);
        levels[device] = "{asset}".to_owned();
        let metric = if names_metric { "{metric}" } else { "value" };
        TopicDraft { filter: levels.join("/"), metric }
    }
}

/// The value of a row that has one.
fn value_of(row: &Members) -> Option<&str> {
    key_of(row, &VALUES).filter(|key| is_number(&row[*key]))
}

fn key_of<'m>(members: &'m Map<String, Value>, words: &[&str]) -> Option<&'m str> {
    words.iter().find_map(|word| members.keys().find(|key| is_word(key, &[word])).map(String::as_str))
}

/// Whether a key is one of these words, whatever its case and joints.
fn is_word(key: &str, words: &[&str]) -> bool {
    let plain: String = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    words.contains(&&*plain)
}

/// A number, or a text that is one.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) | Value::Bool(_) => true,
        Value::String(text) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// One step of a path.
fn step(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = !key.is_empty() && key.chars().all(is_plain) && !key.starts_with(|c: char| c.is_ascii_digit());
    if is_name { format!(".{key}") } else { format!("[{}]", Value::from(key)) }
}

/// As a text of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use model::{PilotId, UnixMillis};

    use super::*;

    #[test]
    fn a_draft_takes_what_a_gateway_sends() {
        check(
            "plant/l1/meter",
            r#"{"ts":"2026-01-02 11:04:05","points":[{"id":"m1","name":"kWh","v":"12.5"}]}"#,
            &["m1 kWh 12.5 1767323045000"],
        );
        check(
            "a/dev-7/up",
            r#"{"t":1767323045,"seq":3,"values":{"P":1,"Q":2.5,"note":"x"}}"#,
            &["dev-7 P 1 1767323045000", "dev-7 Q 2.5 1767323045000"],
        );
        check(
            "up",
            r#"[{"sn":"S9","time":1767323045000,"u":220,"i":1.5}]"#,
            &["S9 u 220 1767323045000", "S9 i 1.5 1767323045000"],
        );
        check(
            "x/y",
            r#"{"devices":[{"device":"d1","points":[{"tag":"T","value":21},{"tag":"H","value":40}]}],"time":"2026/01/02 11:04"}"#,
            &["d1 T 21 1767323040000", "d1 H 40 1767323040000"],
        );
        check(
            "x/y",
            r#"{"m":{"kWh":{"v":7,"t":1767323045000},"kW":{"v":1,"t":1767323045000}}}"#,
            &["y kWh 7 1767323045000", "y kW 1 1767323045000"],
        );
        check("hall/oven-2/temp", "21.5", &["oven-2 temp 21.5 receipt"]);
        check("hall", "7", &["hall value 7 receipt"]);
        check("x/y", r#"{"odd key!":{"a b":1}}"#, &["y a b 1 receipt"]);

        #[track_caller]
        fn check(topic: &str, payload: &str, expected: &[&str]) {
            let zone = TimeZone::get("Asia/Shanghai").unwrap();
            with(topic, payload.as_bytes(), &zone, |received| {
                let draft = draft(received).unwrap();
                let mappings = Mappings::load(vec![("draft.toml".to_owned(), draft.clone())]).unwrap();
                let (dictionaries, arena) = (Dictionaries::default(), Bump::new());
                let message = mappings.decode(received, &dictionaries, &arena, Passage::Again).unwrap();
                let mut got: Vec<String> = Vec::new();
                for reading in message.readings.iter().map(|reading| reading.as_ref().unwrap()) {
                    let at = reading.at.map_or("receipt".to_owned(), |at| at.0.to_string());
                    let value = crate::decode::shown_number(reading.value.unwrap());
                    got.push(format!("{} {} {value} {at}", reading.asset, reading.name));
                }
                assert_eq!(got, expected, "{draft}");
            });
        }
    }

    #[test]
    fn there_is_no_draft_where_nothing_is_measured() {
        for payload in ["", "{}", "[]", r#"{"state":"online"}"#, "not json", r#"{"a":[[1,2]]}"#, "\u{0}\u{ff}"] {
            with("x/y", payload.as_bytes(), &TimeZone::UTC, |received| assert_eq!(draft(received), None, "{payload}"));
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
        with("x/{y}", deep.as_bytes(), &TimeZone::UTC, |received| assert_eq!(draft(received), None));
    }

    fn with(topic: &str, payload: &[u8], zone: &TimeZone, run: impl FnOnce(Received<'_>)) {
        let (pilot, received_at) = (PilotId::parse("p-1").unwrap(), UnixMillis(1_800_000_000_000));
        run(Received { pilot: &pilot, zone, topic, payload, received_at, client: "", login: "" });
    }
}
