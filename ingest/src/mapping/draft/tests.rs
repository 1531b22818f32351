//! Drafts of what gateways send, run over the message that they were made of.

use jiff::tz::TimeZone;
use model::{PilotId, UnixMillis};

use super::*;
use crate::decode::shown_number;

/// 2026-11-24T12:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_521_600_000);

fn with<T>(topic: &str, payload: &[u8], run: impl FnOnce(Received<'_>) -> T) -> T {
    let (pilot, zone) = (PilotId::parse("p-1").unwrap(), TimeZone::get("Asia/Shanghai").unwrap());
    run(Received { pilot: &pilot, zone: &zone, topic, payload, received_at: NOW, client: "", login: "" })
}

fn drafted(topic: &str, payload: &str) -> Option<String> {
    with(topic, payload.as_bytes(), draft)
}

/// The readings that the draft for a message takes from it, each as `asset name value time`.
#[track_caller]
fn check(topic: &str, payload: &str, expected: &[&str]) -> String {
    with(topic, payload.as_bytes(), |received| {
        let draft = draft(received).unwrap();
        let mappings = Mappings::load(vec![("draft.toml".to_owned(), draft.clone())]).unwrap();
        let (dictionaries, arena) = (Dictionaries::default(), Bump::new());
        let message = mappings.decode(received, &dictionaries, &arena, Passage::Again).unwrap();
        let mut got: Vec<String> = Vec::new();
        for reading in message.readings.iter().filter_map(|reading| reading.as_ref().ok()) {
            let at = reading.at.map_or("receipt".to_owned(), |at| at.0.to_string());
            let value = reading.value.map_or("bad".to_owned(), shown_number);
            got.push(format!("{} {} {value} {at}", reading.asset, reading.name));
        }
        assert_eq!(got, expected, "{draft}");
        draft
    })
}

#[track_caller]
fn check_holds(draft: &str, parts: &[&str]) {
    for part in parts {
        assert!(draft.contains(part), "{part:?} is not in\n{draft}");
    }
}

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
    check(
        "plant/up",
        r#"{"assets":[{"id":"A","kWh":[{"t":1764000000,"v":1},{"t":1764000060,"v":2}],"kW":[{"t":1764000000,"v":3}]}]}"#,
        &["A kWh 1 1764000000000", "A kWh 2 1764000060000", "A kW 3 1764000000000"],
    );
    check(
        "x/up",
        r#"{"device":{"id":"d1","type":"em"},"measurements":{"kW":1,"kWh":2}}"#,
        &["d1 kW 1 receipt", "d1 kWh 2 receipt"],
    );
    check("x/m1/up", r#"{"meter":1234}"#, &["m1 meter 1234 receipt"]);
    check(
        "plant/up",
        r#"{"devices":[{"device_id":"d1","services":[{"service_id":"s","properties":{"U":"1"},"event_time":"20251212T121212Z"}]}]}"#,
        &["d1/s U 1 1765541532000"],
    );
}

#[test]
fn there_is_no_draft_where_nothing_is_measured() {
    for payload in ["", "{}", "[]", r#"{"state":"online"}"#, "not json", r#"{"a":[[1,2]]}"#, "\u{0}\u{ff}"] {
        assert_eq!(drafted("x/y", payload), None, "{payload}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
    assert_eq!(drafted("x/{y}", &deep), None);
}

#[test]
fn no_part_of_a_message_is_dropped_in_silence() {
    let meters = r#"{"t":"2026-01-02 11:04:05","meters":{"m1":{"kWh":1.5,"kW":3},"m2":{"kWh":2.5}}}"#;
    let at = "1767323045000";
    check("x/up", meters, &[&format!("m1 kWh 1.5 {at}"), &format!("m1 kW 3 {at}"), &format!("m2 kWh 2.5 {at}")]);
    check(
        "x/up",
        r#"{"m1":{"kWh":1.5,"ts":1767323045},"m2":{"kWh":2.5,"ts":1767323046},"head":{"sn":"g"}}"#,
        &["g/m1 kWh 1.5 1767323045000", "g/m2 kWh 2.5 1767323046000"],
    );
    let places = r#"{"ts":1767323045,"energy":[{"id":"m1","name":"kWh","value":5}],"gas":[{"id":"g1","name":"m3","value":7,"max":9}],
                     "u":[220,230]}"#;
    let draft = check("plant/up", places, &["m1 kWh 5 1767323045000", "g1 m3 7 1767323045000"]);
    check_holds(&draft, &["# not read: $.gas[*].max, $.u[*]\n", "name = \"plant-up\"", "name = \"plant-up-2\""]);
    // Two places that give the same names are told apart by their own.
    let same = r#"{"ts":1767323045,"a":[{"name":"kWh","value":5}],"b":[{"name":"kWh","value":7}]}"#;
    check("plant/up", same, &["plant kWh 5 1767323045000", "plant b/kWh 7 1767323045000"]);
    check("plant/up", r#"[{"id":"a","value":1},{"id":"b","val":2}]"#, &["plant a 1 receipt", "plant b 2 receipt"]);
    let refused = check("x/up", r#"[{"name":"a","value":1},{"value":2}]"#, &["x a 1 receipt"]);
    check_holds(&refused, &["# refused of this message: 1, the first because "]);
}

#[test]
fn a_draft_tells_the_readings_of_its_message_apart() {
    let registers = r#"{"gw":"g1","time":1764000000,"data":[{"addr":40001,"value":12},{"addr":40003,"value":13}]}"#;
    check("plant/up", registers, &["g1 40001 12 1764000000000", "g1 40003 13 1764000000000"]);
    check("plant/up", r#"[{"addr":1,"kWh":3},{"addr":2,"kWh":4}]"#, &["1 kWh 3 receipt", "2 kWh 4 receipt"]);
    check(
        "plant/up",
        r#"{"数据":[{"编号":"1","值":5},{"编号":"2","值":6}]}"#,
        &["plant 1 5 receipt", "plant 2 6 receipt"],
    );
    check(
        "plant/up",
        r#"{"时间":"2026年01月02日 11:04:05","数据":[{"设备":"泵1","名称":"电能","数值":"12.5"}]}"#,
        &["泵1 电能 12.5 1767323045000"],
    );
    for payload in
        [r#"{"data":[{"value":12},{"value":13}]}"#, r#"[{"u":1},{"u":2}]"#, r#"[{"n":"a","v":1},{"n":"a","v":2}]"#]
    {
        assert_eq!(drafted("plant/up", payload), None, "{payload}");
    }
}

#[test]
fn a_quality_beside_a_value_is_no_value() {
    #[track_caller]
    fn quality(member: &str, value: &str, line: &str) {
        let draft = check("x/m1/temp", &format!(r#"{{"v":21.5,{member}}}"#), &[&format!("m1 temp {value} receipt")]);
        check_holds(&draft, &[line]);
    }
    quality(r#""good":true"#, "21.5", r#"quality = { path = "$.good", map = { true = "good", false = "bad" } }"#);
    quality(r#""quality":"BAD""#, "bad", r#"map = { "BAD" = "bad", "GOOD" = "good", "UNCERTAIN" = "uncertain" }"#);
    quality(r#""q":192"#, "21.5", r#"map = { 192 = "good", 64 = "uncertain", 0 = "bad" }"#);
    quality(r#""q":0"#, "21.5", r#"quality = { path = "$.q", format = "opcua" }"#);
    quality(r#""StatusCode":2147483648"#, "bad", r#"format = "opcua""#);
    quality(r#""qc":3"#, "21.5", r#"map = { 0 = "bad", 1 = "uncertain", 2 = "good", 3 = "good" }"#);
    // Beside several values a word that may be one of them is one, if it does not look like a quality.
    let pieces = r#"{"machine":"M1","good":197,"defective":3}"#;
    check("x/up", pieces, &["M1 good 197 receipt", "M1 defective 3 receipt"]);
    let draft =
        check("x/up", r#"{"machine":"M1","kW":197,"kWh":3,"q":192}"#, &["M1 kW 197 receipt", "M1 kWh 3 receipt"]);
    check_holds(&draft, &[r#"skip = ["machine", "q"]"#, "quality = "]);
}

#[test]
fn what_names_or_numbers_a_message_is_no_reading() {
    let draft = check(
        "x/up",
        r#"{"id":"77","msgId":7,"seq":3,"version":1,"qos":1,"sn":"123","ts":1764000000,"unit":"1","kWh":5.5}"#,
        &["123 kWh 5.5 1764000000000"],
    );
    check_holds(&draft, &[r#"skip = ["id", "msgId", "qos", "seq", "sn", "ts", "unit", "version"]"#]);
    let draft = check("x/m1/kwh", r#"{"id":77,"value":5}"#, &["m1 kwh 5 receipt"]);
    check_holds(&draft, &["# not read: $.id\n"]);
}

#[test]
fn a_filter_takes_no_more_topics_than_it_has_to() {
    #[track_caller]
    fn filter(topic: &str, payload: &str, filter: &str, name: &str) {
        let draft = drafted(topic, payload).unwrap();
        check_holds(&draft, &[&format!("topics = [{filter:?}]"), &format!("name = {name:?}")]);
    }
    filter("plant", r#"{"kWh":5}"#, "plant", "plant");
    filter("m1/up", r#"{"kWh":5}"#, "m1/up", "m1-up");
    filter("plant/m1/Meter", r#"{"kWh":5}"#, "plant/{asset}/Meter", "plant-meter");
    filter("plant/m1/Meter", r#"{"sn":"s","kWh":5}"#, "plant/{device}/Meter", "plant-meter");
    filter("plant/oven/Meter", r#"{"sn":"s","kWh":5}"#, "plant/oven/Meter", "plant-oven-meter");
    filter("plant/_raw1/m1/kWh", r#"{"value":5}"#, "plant/_raw1/{asset}/{metric}", "plant-raw1");
    filter("/plant/_raw1", r#"{"kWh":5}"#, "/plant/_raw1", "plant-raw1");
    filter("a/meter-3/temp", r#"{"v":21.5,"q":192,"t":1764000000}"#, "a/{asset}/{metric}", "a");
    filter("v1/oven/up", r#"{"value":21.5}"#, "v1/{asset}/up", "v1-up");
    // A rule by the name of a built-in one would replace that.
    filter("neuron/values", r#"{"sn":"s","kWh":5}"#, "neuron/values", "own-neuron-values");
    for topic in ["", "a/+/b", "a/#", "+", "#"] {
        assert_eq!(drafted(topic, r#"{"kWh":5}"#), None, "{topic}");
    }
}

#[test]
fn a_time_is_read_in_the_format_that_it_has() {
    #[track_caller]
    fn time(member: &str, at: i64, line: &str) {
        let draft = check("x/m1/kwh", &format!(r#"{{"v":5,{member}}}"#), &[&format!("m1 kwh 5 {at}")]);
        check_holds(&draft, &[line]);
    }
    let (local, utc) = (1_795_485_600_000, 1_795_514_400_000);
    time(r#""ts":20261124100000"#, local, r#"format = "%Y%m%d%H%M%S", zone = "pilot""#);
    time(r#""rtime":"20261124100000""#, local, r#"format = "%Y%m%d%H%M%S", zone = "pilot""#);
    time(r#""starttime":"24.11.2026 10:00:00""#, local, "%d.%m.%Y %H:%M:%S");
    time(r#""时间":"2026年11月24日 10:00:00""#, local, "%Y年%m月%d日 %H:%M:%S");
    time(r#""collectTime":"2026年11月24日10时00分00秒""#, local, "%Y年%m月%d日%H时%M分%S秒");
    time(r#""last_seen":"2026-11-24T10:00:00+0800""#, local, "rfc3339");
    time(r#""datatime":"2026-11-24 10:00:00 +0800""#, local, r#"format = "%Y-%m-%d %H:%M:%S %z" }"#);
    time(r#""sampleTime":"2026-11-24 10:00:00.250""#, local + 250, "%Y-%m-%d %H:%M:%S%.f");
    time(r#""time":"11/24/2026 10:00:00 AM""#, local, "%m/%d/%Y %I:%M:%S %p");
    time(r#""time":"24/11/2026 10:00""#, local, "%d/%m/%Y %H:%M");
    time(r#""time":"24-Nov-2026 10:00:00""#, local, "%d-%b-%Y %H:%M:%S");
    time(r#""time":"20261124T100000Z""#, utc, "%Y%m%dT%H%M%S%z");
    time(r#""time":1795514400.25"#, utc + 250, "unix_s_float");
    time(r#""header":{"timestamp":1795514400000000}"#, utc, r#"path = "$.header.timestamp", format = "unix_us""#);
    // Where some rows have none of their own, the one around them stands in.
    let rows = r#"{"ts":1764000001,"d":[{"n":"a","v":1,"t":1764000000},{"n":"b","v":2}]}"#;
    check("x/up", rows, &["x a 1 1764000000000", "x b 2 1764000001000"]);
}

#[test]
fn a_time_that_cannot_be_told_is_named_and_not_used() {
    #[track_caller]
    fn untold(member: &str, parts: &[&str]) {
        let draft = check("x/m1/kwh", &format!(r#"{{"value":5,{member}}}"#), &["m1 kwh 5 receipt"]);
        check_holds(&draft, parts);
        check_holds(
            &draft,
            &["time = [\"receive\"]  # ", "registry declares as counter or gauge: register them first"],
        );
    }
    untold(
        r#""time":"11/12/2025 10:00:00""#,
        &["# `$.time` is `11/12/2025 10:00:00`, which may have the day or the month first"],
    );
    untold(
        r#""time":"Tue Nov 24 10:00:00 2026""#,
        &["# `$.time` is `Tue Nov 24 10:00:00 2026`, which is in no format"],
    );
    untold(r#""ts":12345"#, &["# `$.ts` is `12345`, which is"]);
    // Ten minutes and one second ahead, and before 2000.
    untold(r#""ts":1795522201"#, &["# `$.ts` is"]);
    untold(r#""ts":"1999-12-31T23:59:59Z""#, &["# `$.ts` is"]);
    untold(r#""note":"x""#, &["# no time was found in the message, and readings without one"]);
    let unset = r#"[{"tag":"a","v":1,"t":0},{"tag":"b","v":2,"t":1764000000}]"#;
    check_holds(&check("x/up", unset, &["x a 1 receipt", "x b 2 receipt"]), &["# `row.t` is `0`"]);
    check("x/up", r#"{"uptime":12345,"cycle_time":60}"#, &["x uptime 12345 receipt", "x cycle_time 60 receipt"]);
}

#[test]
fn names_with_signs_that_no_name_may_hold_are_mended() {
    check(
        "x/up",
        r#"{"rows":[{"sn":" S#1 ","name":"A+","value":1},{"sn":"S2","name":"B#2","value":2}]}"#,
        &["S/1 A/ 1 receipt", "S2 B/2 2 receipt"],
    );
    check("x/up", r##"{"P#1":1,"P+2":2}"##, &["x P/1 1 receipt", "x P/2 2 receipt"]);
}

#[test]
fn a_hostile_payload_is_a_bounded_piece_of_work() {
    let many = |one: &dyn Fn(usize) -> String| (0..20_000).map(one).collect::<Vec<String>>().join(",");
    for payload in [
        format!("[{}", "[".repeat(1_000)),
        format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000)),
        format!("{{{}}}", many(&|n| format!(r#""k{n}":{{"a":1}}"#))),
        format!("{{{}}}", many(&|n| format!(r#""k{n}":1"#))),
        format!("[{}]", many(&|_| r#"{"id":1,"v":2}"#.to_owned())),
    ] {
        assert_eq!(drafted("x/up", &payload), None);
    }
    let odd = format!("{{{}}}", many(&|n| format!(r#""k{n}":{{"c{n}":[{{"e{n}":1}}]}}"#)));
    assert_eq!(drafted("x/up", &odd), None);
    let odd = format!("{}}}", &odd[..odd[..250_000].rfind(",\"k").unwrap()]);
    let draft = drafted("x/up", &odd).unwrap();
    assert!(draft.len() < 8_000 && draft.lines().next().unwrap().ends_with(", …"), "{draft}");
}
