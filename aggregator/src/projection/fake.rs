//! An InfluxDB 2 for tests: line protocol with a type registry, buckets, tokens, deletes, counts, gzip, and a script of answers
//! for everything that goes wrong. Bodies and codes follow the source of version 2.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// A field's value as the server keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typed {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(String),
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) measurement: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) fields: BTreeMap<String, Typed>,
    pub(crate) at_ns: i64,
}

/// Splits at `separator` where it is neither escaped nor inside a quoted text.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut is_quoted, mut chars) = (false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                part.push(c);
                part.extend(chars.next());
            }
            '"' => {
                is_quoted = !is_quoted;
                part.push(c);
            }
            c if c == separator && !is_quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn unescape(text: &str, special: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '\\' && special.contains(next) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

fn typed(text: &str) -> Result<Typed, String> {
    if let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return Ok(Typed::Text(unescape(text, "\"\\")));
    }
    match text {
        "true" => Ok(Typed::Bool(true)),
        "false" => Ok(Typed::Bool(false)),
        _ => match text.strip_suffix('i') {
            Some(int) => int.parse().map(Typed::Int).map_err(|error| format!("invalid number: {error}")),
            None => text.parse().map(Typed::Float).map_err(|error| format!("invalid number: {error}")),
        },
    }
}

pub(crate) fn parse_line(line: &str) -> Result<Parsed, String> {
    let unable = |why: &str| format!("unable to parse '{line}': {why}");
    // Quotes mean nothing before the fields: the first space that is not escaped ends measurement and tags.
    let mut head_end = None;
    let mut is_escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ' ' => {
                head_end = Some(at);
                break;
            }
            _ => {}
        }
    }
    let (head, rest) = line.split_at(head_end.ok_or_else(|| unable("missing fields"))?);
    let rest = split(&rest[1..], ' ');
    let [fields, at] = rest.as_slice() else { return Err(unable("bad timestamp")) };
    let mut names = Vec::new();
    let (mut name, mut chars) = (String::new(), head.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                name.push(c);
                name.extend(chars.next());
            }
            ',' => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    let mut tags = BTreeMap::new();
    for tag in &names[1..] {
        let parts: Vec<&str> = tag.splitn(2, '=').collect();
        let [name, value] = parts.as_slice() else { return Err(unable("missing tag value")) };
        if value.is_empty() {
            return Err(unable("missing tag value"));
        }
        tags.insert((*name).to_owned(), unescape(value, ",= "));
    }
    let mut read = BTreeMap::new();
    for field in split(fields, ',') {
        let (name, value) = field.split_once('=').ok_or_else(|| unable("missing field value"))?;
        read.insert(name.to_owned(), typed(value).map_err(|why| unable(&why))?);
    }
    let at_ns = at.parse().map_err(|error| unable(&format!("bad timestamp: {error}")))?;
    Ok(Parsed { measurement: unescape(&names[0], ", "), tags, fields: read, at_ns })
}

/// What the server does instead of its work.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    /// Answers a write with this, and stores nothing.
    Answer(u16, &'static str, Option<String>),
    /// Answers 204 and forgets the lines: a crash before they were on disk.
    Forget,
    /// Closes the connection without an answer.
    Reset,
}

type Key = (String, BTreeMap<String, String>, i64);

/// What it holds, and what it was asked.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) points: BTreeMap<Key, BTreeMap<String, Typed>>,
    types: BTreeMap<(String, String), u8>,
    pub(crate) script: VecDeque<Instead>,
    /// Buckets by name with the seconds that they keep; 0 = for ever.
    pub(crate) buckets: BTreeMap<String, i64>,
    pub(crate) token: String,
    /// Lines of each write as they came.
    pub(crate) writes: Vec<Vec<String>>,
    pub(crate) deletes: Vec<String>,
    /// Bytes of a write, unzipped, that it takes.
    pub(crate) bytes_max: usize,
    /// Lines with this text are outside what it may keep.
    pub(crate) refuses: Option<&'static str>,
}

pub(crate) struct Fake {
    pub(crate) state: Arc<Mutex<State>>,
    address: SocketAddr,
}

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
}

type Reply = (u16, String, Option<String>);

impl Fake {
    /// Listens on a port of its own until the process ends; knows the token `secret` and the bucket `plant`.
    pub(crate) fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let buckets = BTreeMap::from([("plant".to_owned(), 0)]);
        let state = State { buckets, token: "secret".to_owned(), bytes_max: usize::MAX, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Fake { state, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Every point of a measurement as a line of its own, in order.
    pub(crate) fn points(&self, measurement: &str) -> Vec<Parsed> {
        let of = |((name, tags, at_ns), fields): (&Key, &BTreeMap<String, Typed>)| Parsed {
            measurement: name.clone(),
            tags: tags.clone(),
            fields: fields.clone(),
            at_ns: *at_ns,
        };
        self.change(|state| state.points.iter().map(of).filter(|point| point.measurement == measurement).collect())
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let Some((status, body, retry_after)) = answer(&request, &mut state.lock().unwrap()) else { return };
        let retry = retry_after.map_or(String::new(), |after| format!("Retry-After: {after}\r\n"));
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("HTTP/1.1 {status} X\r\nX-Influxdb-Version: v2.7.4\r\n{retry}{length}\r\n");
        let mut stream = stream;
        // The client may be gone.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let mut body = String::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut body).unwrap();
    } else {
        body = String::from_utf8(bytes).unwrap();
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Some(Request { path: path.to_owned(), query, headers, body })
}

fn answer(request: &Request, state: &mut State) -> Option<Reply> {
    let reply = |status: u16, body: Value| Some((status, body.to_string(), None));
    if request.path == "/health" {
        return reply(200, json!({"name": "influxdb", "status": "pass", "version": "v2.7.4"}));
    }
    if request.path == "/ping" {
        return Some((204, String::new(), None));
    }
    if request.headers.get("authorization") != Some(&format!("Token {}", state.token)) {
        return reply(401, json!({"code": "unauthorized", "message": "unauthorized access"}));
    }
    match request.path.as_str() {
        "/api/v2/write" => write(request, state),
        "/api/v2/orgs" => reply(200, json!({"orgs": [{"id": "0a", "name": "o"}]})),
        "/api/v2/buckets" if request.body.is_empty() => {
            let buckets: Vec<Value> = state.buckets.iter().map(|(name, seconds)| {
                json!({"name": name, "retentionRules": if *seconds == 0 { json!([]) } else { json!([{"everySeconds": seconds}]) }})
            }).collect();
            reply(200, json!({"buckets": buckets}))
        }
        "/api/v2/buckets" => {
            let asked: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(asked["orgID"], "0a");
            state.buckets.insert(asked["name"].as_str().unwrap().to_owned(), 0);
            reply(201, asked)
        }
        "/api/v2/delete" => delete(request, state),
        "/api/v2/query" => Some((200, count(&request.body, state), None)),
        _ => reply(404, json!({"code": "not found", "message": "path not found"})),
    }
}

fn write(request: &Request, state: &mut State) -> Option<Reply> {
    let reply = |status: u16, code: &str, message: String| {
        Some((status, json!({"code": code, "message": message}).to_string(), None))
    };
    let is_probe = request.body.starts_with("pilotline_probe");
    assert_eq!(request.query.get("precision").map(String::as_str), Some("ns"));
    if !state.buckets.contains_key(&request.query["bucket"]) {
        return reply(404, "not found", format!("bucket \"{}\" not found", request.query["bucket"]));
    }
    let lines: Vec<String> = request.body.lines().map(str::to_owned).collect();
    let mut is_forgotten = false;
    if !is_probe {
        state.writes.push(lines.clone());
        match state.script.pop_front() {
            None => {}
            Some(Instead::Answer(status, body, after)) => return Some((status, body.to_owned(), after)),
            Some(Instead::Forget) => is_forgotten = true,
            Some(Instead::Reset) => return None,
        }
    }
    if request.body.len() > state.bytes_max {
        return reply(413, "request too large", "cannot read data: request too large".to_owned());
    }
    let parsed: Result<Vec<Parsed>, String> = lines.iter().map(|line| parse_line(line)).collect();
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(message) => return reply(400, "invalid", message),
    };
    if is_forgotten {
        return Some((204, String::new(), None));
    }
    let (mut n_dropped, mut last) = (0, String::new());
    for (point, line) in parsed.into_iter().zip(&lines) {
        let conflict = point.fields.iter().find(|(name, value)| {
            let kind = kind_of(value);
            *state.types.entry((point.measurement.clone(), (*name).clone())).or_insert(kind) != kind
        });
        if conflict.is_some() || state.refuses.is_some_and(|text| line.contains(text)) {
            n_dropped += 1;
            last =
                if conflict.is_some() { "field type conflict".into() } else { "points beyond retention policy".into() };
        } else {
            state.points.entry((point.measurement, point.tags, point.at_ns)).or_default().extend(point.fields);
        }
    }
    if n_dropped == 0 {
        return Some((204, String::new(), None));
    }
    let message = format!("failure writing points to database: partial write: {last} dropped={n_dropped}");
    reply(422, "unprocessable entity", message)
}

fn kind_of(value: &Typed) -> u8 {
    match value {
        Typed::Float(_) => 0,
        Typed::Int(_) => 1,
        Typed::Bool(_) => 2,
        Typed::Text(_) => 3,
    }
}

fn delete(request: &Request, state: &mut State) -> Option<Reply> {
    let asked: Value = serde_json::from_str(&request.body).unwrap();
    let at = |name: &str| -> i64 {
        let at: jiff::Timestamp = asked[name].as_str().unwrap().parse().unwrap();
        i64::try_from(at.as_nanosecond()).unwrap()
    };
    let (from, to) = (at("start"), at("stop"));
    let predicate = asked["predicate"].as_str().unwrap().to_owned();
    let named: Vec<(String, String)> = predicate
        .split(" AND ")
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), unescape(value.trim_matches('"'), "\"\\"))
        })
        .collect();
    let is_meant = |(measurement, tags, at_ns): &Key| {
        let has = |(name, value): &(String, String)| match name.as_str() {
            "_measurement" => measurement == value,
            _ => tags.get(name) == Some(value),
        };
        (from..=to).contains(at_ns) && named.iter().all(has)
    };
    state.points.retain(|key, _| !is_meant(key));
    state.deletes.push(predicate);
    Some((204, String::new(), None))
}

/// Answers the one query that is ever asked.
fn count(body: &str, state: &State) -> String {
    let asked: Value = serde_json::from_str(body).unwrap();
    let query = asked["query"].as_str().unwrap();
    let between = |before: &str, after: &str| {
        let rest = query.split_once(before).unwrap_or_else(|| panic!("{before} in {query}")).1;
        rest.split_once(after).unwrap().0.to_owned()
    };
    let instant = |text: String| i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap();
    let (from, to) = (instant(between("start: ", ",")), instant(between("stop: ", ")")));
    let (measurement, field) = (between("_measurement == \"", "\""), between("_field == \"", "\""));
    let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
    for ((name, _, at_ns), fields) in &state.points {
        if *name == measurement && (from..to).contains(at_ns) && fields.contains_key(&field) {
            *hours.entry(at_ns.div_euclid(3_600_000_000_000)).or_default() += 1;
        }
    }
    let mut csv = ",result,table,_value,_time\r\n".to_owned();
    for (hour, n) in hours {
        let at = jiff::Timestamp::from_second(hour * 3_600).unwrap();
        csv.push_str(&format!(",_result,0,{n},{at}\r\n"));
    }
    csv
}
