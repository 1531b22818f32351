//! Which server answers, and what it guarantees: found out before anything is sent, because reactions depend on it.
//!
//! The probe writes to a measurement of its own (`pilotline_probe`): a good point, a line that is none and a field of another type.
//! A server that answers "stored" to the last two is believed less.

use std::collections::BTreeMap;

use model::UnixMillis;
use serde_json::Value;

use super::client::{Answer, Body, Client, Unanswered};
use super::points::{FIGURE, Keeps, READING, ROLLUP_HOUR, Void};
use super::reaction::{Reaction, react, words};
use super::{BucketMissing, Probe, Settings};

const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;
const NS_PER_MS: i64 = 1_000_000;

/// The families of servers that take line protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Influx1,
    Influx2,
    Influx3,
    VictoriaMetrics,
    /// The inserting half of a VictoriaMetrics cluster: nothing can be asked of it.
    VictoriaCluster,
    Unknown,
}

/// A server that was found out about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) family: Family,
    pub(crate) version: String,
}

/// Why the server is not ready.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// Only a person can help.
    Hold(String),
    /// It may be by itself.
    Later(String),
}

impl From<Unanswered> for NotReady {
    fn from(error: Unanswered) -> NotReady {
        match error {
            Unanswered::Token { .. } => NotReady::Hold(error.to_string()),
            Unanswered::Failed(text) => NotReady::Later(format!("no answer: {text}")),
        }
    }
}

/// Tags that points must have, by name.
pub(crate) type Tags<'a> = [(&'static str, Option<&'a str>)];

impl Server {
    /// Asks who is there.
    pub(crate) fn meet(client: &Client) -> Result<Server, NotReady> {
        let found = |family, version: &str| Ok(Server { family, version: version.trim_start_matches('v').to_owned() });
        if client.url().contains("/insert/") {
            return found(Family::VictoriaCluster, "");
        }
        let health = client.ask("/health", &[], &Body::None)?;
        let said: Value = serde_json::from_str(&health.body).unwrap_or_default();
        if health.status == 503 || said["status"] == "fail" {
            return Err(NotReady::Later(format!("the server says that it is not well: {}", words(&health))));
        }
        if health.host.is_some() && health.body.trim() == "OK" {
            return found(Family::VictoriaMetrics, "");
        }
        let ping = client.ask("/ping", &[], &Body::None)?;
        let pinged: Value = serde_json::from_str(&ping.body).unwrap_or_default();
        let of_health = if said["name"] == "influxdb" { said["version"].as_str() } else { None };
        let version = of_health.or(ping.version.as_deref()).or(pinged["version"].as_str()).unwrap_or_default();
        match version.trim_start_matches('v').chars().next() {
            Some('1') => found(Family::Influx1, version),
            Some('2') => found(Family::Influx2, version),
            Some('3') => found(Family::Influx3, version),
            Some(_) | None if ping.status >= 500 => Err(NotReady::Later(words(&ping))),
            Some(_) | None => found(Family::Unknown, version),
        }
    }

    /// Its name for people.
    pub(crate) fn name(&self) -> String {
        let name = match self.family {
            Family::Influx1 | Family::Influx2 | Family::Influx3 => "InfluxDB",
            Family::VictoriaMetrics => "VictoriaMetrics",
            Family::VictoriaCluster => "VictoriaMetrics cluster",
            Family::Unknown => "a server that does not say what it is",
        };
        format!("{name} {}", self.version).trim_end().to_owned()
    }

    pub(crate) fn keeps(&self) -> Keeps {
        match self.family {
            Family::VictoriaMetrics | Family::VictoriaCluster => Keeps::NumbersOnly,
            Family::Influx1 | Family::Influx2 | Family::Influx3 | Family::Unknown => Keeps::Everything,
        }
    }

    pub(crate) fn void(&self) -> Void {
        match self.family {
            Family::Influx1 | Family::Influx2 => Void::IsGone,
            Family::Influx3 | Family::VictoriaMetrics | Family::VictoriaCluster | Family::Unknown => Void::IsMarked,
        }
    }

    /// Sends lines.
    pub(crate) fn write(&self, client: &Client, settings: &Settings, lines: &str) -> Result<Answer, Unanswered> {
        let (org, bucket) = (settings.org.as_str(), settings.bucket.as_str());
        match self.family {
            Family::Influx1 => client.ask("/write", &[("db", bucket), ("precision", "ns")], &Body::Lines(lines)),
            Family::Influx2 | Family::Influx3 | Family::VictoriaMetrics | Family::VictoriaCluster | Family::Unknown => {
                let query = [("org", org), ("bucket", bucket), ("precision", "ns")];
                client.ask("/api/v2/write", &query, &Body::Lines(lines))
            }
        }
    }

    /// Takes away the points of a measurement with these tags in `[from, to]`, in ns; without effect where it cannot.
    pub(crate) fn take_away(
        &self,
        client: &Client,
        settings: &Settings,
        (measurement, tags): (&str, &Tags<'_>),
        (from, to): (i64, i64),
    ) -> Result<Option<Answer>, Unanswered> {
        match self.family {
            Family::Influx2 => {
                let named = tags.iter().filter_map(|(name, value)| Some((name, (*value)?)));
                let predicate = std::iter::once(format!("_measurement=\"{measurement}\""))
                    .chain(named.map(|(name, value)| format!("{name}=\"{}\"", escaped(value, '"'))));
                let predicate: Vec<String> = predicate.collect();
                let body = serde_json::json!({
                    "start": nanos(from), "stop": nanos(to), "predicate": predicate.join(" AND ")
                });
                let query = [("org", settings.org.as_str()), ("bucket", settings.bucket.as_str())];
                client.ask("/api/v2/delete", &query, &Body::Json(&body.to_string())).map(Some)
            }
            Family::Influx1 => {
                let named = tags
                    .iter()
                    .map(|(name, value)| format!("\"{name}\" = '{}'", escaped(value.unwrap_or_default(), '\'')));
                let named: Vec<String> = named.collect();
                let query = format!(
                    "DELETE FROM \"{measurement}\" WHERE {} AND time >= {from} AND time <= {to}",
                    named.join(" AND ")
                );
                client.ask("/query", &[("db", settings.bucket.as_str()), ("q", &query)], &Body::Empty).map(Some)
            }
            Family::Influx3 | Family::VictoriaMetrics | Family::VictoriaCluster | Family::Unknown => Ok(None),
        }
    }

    /// Looks for the bucket, makes it if it may, and checks that it keeps everything since `earliest`.
    pub(crate) fn check_bucket(
        &self,
        client: &Client,
        settings: &Settings,
        (earliest, now): (UnixMillis, UnixMillis),
    ) -> Result<String, NotReady> {
        let kept_ms = match self.family {
            Family::Influx2 => bucket_of_2(client, settings)?,
            Family::Influx1 => database_of_1(client, settings)?,
            Family::VictoriaMetrics => retention_of_victoria(client)?,
            Family::Influx3 | Family::VictoriaCluster | Family::Unknown => None,
        };
        let needed_ms = now.0 - earliest.0;
        match kept_ms {
            None => Ok("how long it keeps data could not be found out".to_owned()),
            Some(kept) if kept < needed_ms => Err(NotReady::Hold(format!(
                "`{}` keeps data for {} days, and figures go back {} days: give it a longer retention (none is best)",
                settings.bucket,
                kept / MS_PER_DAY,
                needed_ms / MS_PER_DAY
            ))),
            Some(_) => Ok("it keeps data long enough".to_owned()),
        }
    }

    /// Writes test lines and says what that shows.
    pub(crate) fn probe(&self, client: &Client, settings: &Settings, now: UnixMillis) -> Result<Vec<String>, NotReady> {
        let mut found = vec![self.guarantees().to_owned()];
        if settings.probe == Probe::ReadOnly {
            found.push("nothing was written to find out what it reports: it counts as unverified".to_owned());
            return Ok(found);
        }
        let at = now.0.div_euclid(MS_PER_HOUR) * MS_PER_HOUR * NS_PER_MS;
        let written = self.write(client, settings, &format!("pilotline_probe value=1.5 {at}"));
        match react(&written, 1, now) {
            Reaction::Done => {}
            Reaction::Again { words, .. } => return Err(NotReady::Later(words)),
            Reaction::Hold(words) | Reaction::Refused { words, .. } => return Err(NotReady::Hold(words)),
            Reaction::TooLarge => return Err(NotReady::Hold("it takes not even one line".to_owned())),
        }
        let mut reports = |line: &str, what: &str| -> Result<(), NotReady> {
            let answer = self.write(client, settings, line)?;
            let does = if answer.status == 204 { "keeps silent about" } else { "reports" };
            found.push(format!("it {does} {what} ({})", answer.status));
            Ok(())
        };
        reports("pilotline_probe", "a line that is none")?;
        reports(&format!("pilotline_probe value=1i {at}"), "a field of another type")?;
        Ok(found)
    }

    fn guarantees(&self) -> &'static str {
        match self.family {
            Family::Influx1 => "stored when answered; the same point overwrites; points can be taken away and counted",
            Family::Influx2 => "stored when answered; the same point overwrites; points can be taken away and counted",
            Family::Influx3 => {
                "stored within a second; the same point overwrites; a void reading is marked, not taken away"
            }
            Family::VictoriaMetrics | Family::VictoriaCluster => {
                "an answer is no proof: the last seconds are lost when it is killed; milliseconds and numbers only; the same point \
                 twice is two unless -dedup.minScrapeInterval=1ms; a void reading is marked, not taken away"
            }
            Family::Unknown => "nothing is known of it",
        }
    }

    /// How many points of a measurement it has, by the start of the hour in ms; none if it cannot be asked.
    pub(crate) fn count(
        &self,
        client: &Client,
        settings: &Settings,
        measurement: &str,
        (from, to): (UnixMillis, UnixMillis),
    ) -> Result<Option<BTreeMap<i64, u64>>, NotReady> {
        let bucket = settings.bucket.as_str();
        match self.family {
            Family::Influx1 | Family::Influx3 => {
                let (from, to) = (from.0 * NS_PER_MS, to.0 * NS_PER_MS);
                let query = format!(
                    "SELECT count(\"{}\") FROM \"{measurement}\" WHERE time >= {from} AND time < {to} GROUP BY time(1h) fill(none)",
                    counted(measurement)
                );
                let answer = client.ask("/query", &[("db", bucket), ("epoch", "ms"), ("q", &query)], &Body::None)?;
                Ok(Some(by_hour_of_influxql(&ok(answer)?)))
            }
            Family::Influx2 => {
                let bucket = escaped(bucket, '"');
                let query = format!(
                    "from(bucket: \"{bucket}\") |> range(start: {from}, stop: {to}) |> filter(fn: (r) => r._measurement == \
                     \"{measurement}\" and r._field == \"{}\") |> group() |> aggregateWindow(every: 1h, fn: count, timeSrc: \
                     \"_start\", createEmpty: false)",
                    counted(measurement)
                );
                let body =
                    serde_json::json!({"query": query, "type": "flux", "dialect": {"header": true, "annotations": []}});
                let org = [("org", settings.org.as_str())];
                Ok(Some(by_hour_of_csv(&ok(client.ask("/api/v2/query", &org, &Body::Json(&body.to_string()))?)?)))
            }
            Family::VictoriaMetrics => victoria_counts(client, measurement, (from, to)).map(Some),
            Family::VictoriaCluster | Family::Unknown => Ok(None),
        }
    }

    /// Whether a reading without a value has a point that is counted there.
    pub(crate) fn counts_without_value(&self) -> bool {
        self.family != Family::VictoriaMetrics
    }
}

/// The field that every point of a measurement has, and a mark of a void reading has not.
fn counted(measurement: &str) -> &'static str {
    match measurement {
        READING => "quality",
        ROLLUP_HOUR => "n",
        FIGURE => "state",
        _ => "value",
    }
}

fn ok(answer: Answer) -> Result<String, NotReady> {
    match answer.status {
        200..=299 => Ok(answer.body),
        401 | 403 | 404 => Err(NotReady::Hold(words(&answer))),
        _ => Err(NotReady::Later(words(&answer))),
    }
}

/// Text between quotes.
fn escaped(text: &str, quote: char) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == quote || c == '\\' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// An instant in ns as RFC 3339.
fn nanos(at: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at)).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// How long the bucket keeps data in ms; `i64::MAX` = for ever, none = not known.
fn bucket_of_2(client: &Client, settings: &Settings) -> Result<Option<i64>, NotReady> {
    let (org, bucket) = (settings.org.as_str(), settings.bucket.as_str());
    let answer = client.ask("/api/v2/buckets", &[("org", org), ("name", bucket)], &Body::None)?;
    match answer.status {
        // A token that may only write sees no bucket.
        403 => return Ok(None),
        200..=299 | 404 => {}
        _ => drop(ok(answer.clone())?),
    }
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if let Some(found) = said["buckets"].as_array().into_iter().flatten().find(|found| found["name"] == bucket) {
        let seconds = found["retentionRules"][0]["everySeconds"].as_i64().filter(|seconds| *seconds > 0);
        return Ok(Some(seconds.map_or(i64::MAX, |seconds| seconds.saturating_mul(1_000))));
    }
    if settings.bucket_missing == BucketMissing::Hold {
        let help = "make it without a retention, or set `create_bucket = true`";
        return Err(NotReady::Hold(format!("organisation `{org}` has no bucket `{bucket}`: {help}")));
    }
    let said: Value =
        serde_json::from_str(&ok(client.ask("/api/v2/orgs", &[("org", org)], &Body::None)?)?).unwrap_or_default();
    let Some(org_id) = said["orgs"][0]["id"].as_str() else {
        return Err(NotReady::Hold(format!("there is no organisation `{org}`")));
    };
    let body =
        serde_json::json!({"orgID": org_id, "name": bucket, "retentionRules": [{"type": "expire", "everySeconds": 0}]});
    ok(client.ask("/api/v2/buckets", &[], &Body::Json(&body.to_string()))?)?;
    tracing::info!(org, bucket, "bucket made, without a retention");
    Ok(Some(i64::MAX))
}

fn database_of_1(client: &Client, settings: &Settings) -> Result<Option<i64>, NotReady> {
    let database = settings.bucket.as_str();
    let named = escaped(database, '"');
    let ask = |query: String, body: Body<'_>| -> Result<Value, NotReady> {
        let answer = ok(client.ask("/query", &[("q", &query)], &body)?)?;
        Ok(serde_json::from_str(&answer).unwrap_or_default())
    };
    let mut said = ask(format!("SHOW RETENTION POLICIES ON \"{named}\""), Body::None)?;
    if said["results"][0]["error"].as_str().is_some_and(|error| error.contains("database not found")) {
        if settings.bucket_missing == BucketMissing::Hold {
            let help = "make it, or set `create_bucket = true`";
            return Err(NotReady::Hold(format!("there is no database `{database}`: {help}")));
        }
        ask(format!("CREATE DATABASE \"{named}\""), Body::Empty)?;
        tracing::info!(database, "database made");
        said = ask(format!("SHOW RETENTION POLICIES ON \"{named}\""), Body::None)?;
    }
    let policies = said["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    // name, duration, shard group duration, replicas, whether it is the default
    let default = policies.iter().find(|policy| policy[4] == true);
    Ok(default.and_then(|policy| policy[1].as_str()).and_then(go_duration_ms))
}

/// A duration such as `168h0m0s`; zero is for ever.
fn go_duration_ms(text: &str) -> Option<i64> {
    let (mut total, mut number) = (0i64, String::new());
    for c in text.chars() {
        let unit_ms = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => MS_PER_HOUR,
            'm' => 60_000,
            's' => 1_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        number.clear();
    }
    Some(if total == 0 { i64::MAX } else { total })
}

/// `-retentionPeriod` of VictoriaMetrics: a month unless it is set; a bare number is months.
fn retention_of_victoria(client: &Client) -> Result<Option<i64>, NotReady> {
    let answer = client.ask("/flags", &[], &Body::None)?;
    if answer.status != 200 {
        return Ok(None);
    }
    let flag = answer.body.lines().find_map(|line| line.strip_prefix("-retentionPeriod="));
    Ok(retention_ms(flag.map_or("1", |flag| flag.trim().trim_matches('"'))))
}

fn retention_ms(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let days = match text.get(digits.len()..)? {
        "" => 31,
        "h" => return digits.parse::<i64>().ok()?.checked_mul(MS_PER_HOUR),
        "d" => 1,
        "w" => 7,
        "y" => 365,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(days * MS_PER_DAY)
}

fn by_hour_of_influxql(body: &str) -> BTreeMap<i64, u64> {
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    let rows = said["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| Some((row[0].as_i64()?, row[1].as_u64()?))).filter(|(_, n)| *n > 0).collect()
}

/// Flux answers in CSV without annotations: a header, then rows.
fn by_hour_of_csv(body: &str) -> BTreeMap<i64, u64> {
    let mut lines = body.lines().map(|line| line.split(',').collect::<Vec<&str>>());
    let header = lines.next().unwrap_or_default();
    let column = |name: &str| header.iter().position(|found| *found == name);
    let (Some(time), Some(value)) = (column("_time"), column("_value")) else { return BTreeMap::new() };
    let row = |row: Vec<&str>| {
        let at: jiff::Timestamp = row.get(time)?.parse().ok()?;
        Some((at.as_millisecond(), row.get(value)?.parse().ok()?))
    };
    lines.filter_map(row).collect()
}

fn victoria_counts(
    client: &Client,
    measurement: &str,
    (from, to): (UnixMillis, UnixMillis),
) -> Result<BTreeMap<i64, u64>, NotReady> {
    let field = match measurement {
        ROLLUP_HOUR => "n",
        FIGURE => "target",
        _ => "value",
    };
    // A range looks back, its start left out: what lies in [start, start + 1h) is seen from the last ms of the hour.
    let query = format!("sum(count_over_time({measurement}_{field}[1h]))");
    let at = |at: UnixMillis| format!("{:.3}", (at.0 + MS_PER_HOUR - 1) as f64 / 1_000.0);
    let (start, end) = (at(from), at(UnixMillis(to.0 - MS_PER_HOUR)));
    let ask = [("query", query.as_str()), ("start", &start), ("end", &end), ("step", "1h"), ("nocache", "1")];
    let said: Value =
        serde_json::from_str(&ok(client.ask("/api/v1/query_range", &ask, &Body::None)?)?).unwrap_or_default();
    let rows = said["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let seconds: i64 = row[0].to_string().split('.').next()?.parse().ok()?;
        Some((seconds.div_euclid(3_600) * MS_PER_HOUR, row[1].as_str()?.parse().ok()?))
    };
    Ok(rows.iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_are_read_as_each_server_writes_them() {
        assert_eq!(go_duration_ms("168h0m0s"), Some(7 * MS_PER_DAY));
        assert_eq!(go_duration_ms("0s"), Some(i64::MAX));
        assert_eq!(go_duration_ms("1w"), None);
        assert_eq!(retention_ms("1"), Some(31 * MS_PER_DAY));
        assert_eq!(retention_ms("100y"), Some(36_500 * MS_PER_DAY));
        assert_eq!(retention_ms("36h"), Some(36 * MS_PER_HOUR));
        assert_eq!(retention_ms("x"), None);
    }

    #[test]
    fn counts_are_read_from_influxql_and_from_flux() {
        let influxql = r#"{"results":[{"series":[{"values":[[3600000,2],[7200000,0]]}]}]}"#;
        assert_eq!(by_hour_of_influxql(influxql), BTreeMap::from([(3_600_000, 2)]));
        let flux = ",result,table,_start,_stop,_value,_time\r\n,_result,0,x,y,7,1970-01-01T01:00:00Z\r\n\r\n";
        assert_eq!(by_hour_of_csv(flux), BTreeMap::from([(3_600_000, 7)]));
        assert_eq!(by_hour_of_csv(""), BTreeMap::new());
    }
}
