//! The mapping language, feature by feature: a rule, a message, and what comes out.

use std::io::Write as _;

use bumpalo::Bump;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use jiff::tz::TimeZone;
use model::{PilotId, Quality, UnixMillis};
use proptest::prelude::*;

use super::{Dictionaries, Mappings, Proposal, Received};
use crate::normalize::Passage;

/// After every time in these messages.
const RECEIVED: UnixMillis = UnixMillis(1_893_456_000_000);

pub(super) fn loaded(text: &str) -> Mappings {
    Mappings::load(vec![("own.toml".to_owned(), text.to_owned())])
        .unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)))
}

fn listed(mistakes: &[model::registry::Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Everything that comes out, one line each.
pub(super) fn ran(mappings: &Mappings, dictionaries: &Dictionaries, topic: &str, payload: &[u8]) -> Vec<String> {
    let (arena, pilot, zone) = (Bump::new(), PilotId::parse("p-1").unwrap(), TimeZone::get("Asia/Urumqi").unwrap());
    let (received_at, client, login) = (RECEIVED, "client-7", "login-7");
    let received = Received { pilot: &pilot, zone: &zone, topic, payload, received_at, client, login };
    let message = match mappings.decode(received, dictionaries, &arena, Passage::Live) {
        Ok(message) => message,
        Err(error) => return vec![format!("{}: {}", error.reason.as_str(), error.detail)],
    };
    let reading = |part: &Result<crate::decode::Decoded<'_>, crate::decode::Refused>| match part {
        Ok(part) => {
            let at = part.at.map_or("receipt".to_owned(), |at| at.0.to_string());
            let value = part.value.map_or("-".to_owned(), |value| value.to_string());
            let mut line = format!("{} {} {value} {at}", part.asset, part.name);
            if part.quality != Quality::Good {
                line += &format!(" {}", part.quality.as_str());
            }
            for (key, text) in
                [("unit", &part.unit), ("hint", &part.unit_hint), ("product", &part.product), ("id", &part.id)]
            {
                line += &text.as_ref().map_or(String::new(), |text| format!(" {key}={text}"));
            }
            line
        }
        Err(refused) => format!("{}: {}", refused.reason.as_str(), refused.detail),
    };
    let order = |part: &Result<crate::decode::DecodedOrder<'_>, crate::decode::Refused>| match part {
        Ok(part) => {
            let at = part.at.map_or("receipt".to_owned(), |at| at.0.to_string());
            let quantity = part.quantity.map_or(String::new(), |quantity| format!(" {quantity}"));
            format!("order {} {} {at}{quantity}", part.order, part.event.as_str())
        }
        Err(refused) => format!("{}: {}", refused.reason.as_str(), refused.detail),
    };
    let mut lines: Vec<String> = message.readings.iter().map(reading).collect();
    lines.extend(message.orders.iter().map(order));
    if message.origin.carries_state {
        lines.push("state".to_owned());
    }
    if message.origin.n_ignored > 0 {
        lines.push(format!("{} ignored", message.origin.n_ignored));
    }
    lines
}

/// One rule on topic `t/{a}/{b}`, with these lines.
#[track_caller]
fn check(lines: &str, payload: &str, expected: &[&str]) {
    let text = format!("[[rule]]\nname = \"r\"\ntopics = [\"t/{{a}}/{{b}}\"]\n{lines}");
    let got = ran(&loaded(&text), &Dictionaries::default(), "t/one/two", payload.as_bytes());
    assert_eq!(got, expected, "{payload}");
}

#[test]
fn a_row_gives_a_reading() {
    let rule = "each = [{ rows = \"$.tags\" }]\ntime = [{ path = \"$.ts\", format = \"unix_ms\" }]\n\
                asset = \"{$.node}\"\nmetric = \"{row.name}\"\nvalue = \"row.value\"\nbad_if = \"row.error\"";
    let payload = r#"{"tags":[{"name":"x","value":1.5},{"name":"y","error":2014},{"name":"z","value":null}],"node":"n","ts":1647497389075}"#;
    check(rule, payload, &["n x 1.5 1647497389075", "n y - 1647497389075 bad", "1 ignored"]);
    check(
        rule,
        r#"{"tags":{}}"#,
        &[
            "no_rule: rules take topic `t/one/two`, but none this message: own.toml: r: `$.tags` is an object, not an array",
        ],
    );
    check(rule, r#"{"tags":[]}"#, &["empty: own.toml: r: nothing in the message is a value"]);
    check(
        rule,
        r#"{"tags":[{"name":"x","value":1}],"node":"n"}"#,
        &[
            "no_time: own.toml: r: `x` has no time: $.ts gives none in the formats of the rule; add its format to `time`, or \
         \"receive\" if the time of receipt is right",
        ],
    );
}

#[test]
fn entries_have_keys_and_loops_nest() {
    let rule = "each = [{ entries = \"$\", as = \"dev\" }, { rows = \"dev.value\", as = \"pt\" }, { entries = \"pt.values\" }]\n\
                asset = \"{dev.key}\"\nmetric = \"{row.key}\"\nvalue = \"row.value\"\n\
                time = [{ path = \"pt.ts\", format = \"unix_ms\" }, \"receive\"]";
    let payload = r#"{"A":[{"ts":1483228800000,"values":{"t":42,"h":80}}],"B":[{"values":{"t":43}}],"C":7}"#;
    check(rule, payload, &["A t 42 1483228800000", "A h 80 1483228800000", "B t 43 receipt"]);
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    let rule = "each = [{ entries = \"$\" }]\nasset = \"{a}\"\nmetric = \"{row.key}\"\nvalue = \"row.value\"";
    check(rule, r#"{"x":1,"y":2,"x":3}"#, &["one y 2 receipt", "one x 3 receipt"]);
}

#[test]
fn objects_are_flattened_and_arrays_spread() {
    let rule = "each = [{ entries = \"$\", flatten = \"/\", skip = [\"ts\", \"pos/z\"], skip_non_numeric = true }]\n\
                asset = \"{b}\"\nmetric = \"{row.key}\"\nvalue = \"row.value\"";
    let payload =
        "\u{feff}{\"ts\":5,\"pos\":{\"x\":1.5,\"z\":0,\"deep\":{\"y\":\"2.5\"}},\"on\":true,\"name\":\"text\"}";
    check(rule, payload, &["two pos/x 1.5 receipt", "two pos/deep/y 2.5 receipt", "two on 1 receipt"]);
    let rule = "each = [{ entries = \"$\", spread_arrays = \"ch\", skip_non_numeric = true }]\n\
                asset = \"{a}{.ch?}\"\nmetric = \"E/{row.key}\"\nvalue = \"row.value\"";
    check(
        rule,
        r#"{"Total":[0.5,2.91],"Power":5,"S":"x"}"#,
        &["one.0 E/Total 0.5 receipt", "one.1 E/Total 2.91 receipt", "one E/Power 5 receipt"],
    );
}

#[test]
fn keys_may_be_quoted_and_rows_numbered() {
    let rule = "each = [{ rows = '$[\"ts \"].v', index = \"i\" }]\nasset = \"{client}/{login}\"\nmetric = \"m{i}\"\nvalue = \"row[1]\"";
    check(rule, r#"{"ts ":{"v":[[1,2],[3,4]]}}"#, &["client-7/login-7 m0 2 receipt", "client-7/login-7 m1 4 receipt"]);
}

#[test]
fn texts_are_split_filtered_and_optional() {
    let rule = "each = [{ rows = \"$\" }]\nsplit = { from = \"row.id\", regex = '^(?P<device>.+)\\.(?P<tag>[^.]+)$' }\n\
                asset = \"{device | strip('Siemens.') | lower | replace('x', 'y')}\"\nmetric = \"{tag|trim}{-row.unit?!}\"\nvalue = \"row.v\"";
    let payload = r#"[{"id":"Siemens.Crusher.Power ","v":850.3},{"id":"X.Y","v":1,"unit":"kW"},{"id":"nodot","v":1}]"#;
    check(
        rule,
        payload,
        &[
            "crusher Power 850.3 receipt",
            "y Y-kW! 1 receipt",
            "bad_field: own.toml: r: `nodot` does not match the regex of `split`",
        ],
    );
}

#[test]
fn the_first_plausible_time_counts_and_receipt_never_replaces_one() {
    let rule = "asset = \"{a}\"\nmetric = \"m\"\nvalue = \"$.v\"\n\
                time = [{ path = \"$.t\", format = \"unix_ms\" }, { path = \"$.t\", format = \"unix_s\" }, \"receive\"]";
    check(rule, r#"{"v":1,"t":1702286893}"#, &["one m 1 1702286893000"]);
    check(rule, r#"{"v":1,"t":1702286893000}"#, &["one m 1 1702286893000"]);
    check(rule, r#"{"v":1,"t":5}"#, &["one m 1 5"]);
    check(rule, r#"{"v":1,"t":"no"}"#, &["one m 1 receipt"]);
    let two = "asset = \"{a}\"\nmetric = \"m\"\nvalue = \"$.v\"\ntime = [{ path = \"$.s\", format = \"unix_s\", nanos = \"$.n\" }]";
    check(two, r#"{"v":1,"s":1702286893,"n":250000000}"#, &["one m 1 1702286893250"]);
    let zone = "asset = \"{a}\"\nmetric = \"m\"\nvalue = \"$.v\"\ntime = [{ path = \"$.t\", format = \"%Y-%m-%d %H:%M:%S\", zone = \"pilot\" }]";
    check(zone, r#"{"v":1,"t":"2025-03-01 06:00:00"}"#, &["one m 1 1740787200000"]);
}

#[test]
fn values_may_be_tagged_or_in_texts_and_integers_stay_exact() {
    let rule = "each = [{ entries = \"$\" }]\nasset = \"{a}\"\nmetric = \"{row.key}\"\nvalue = [\"row.value.Value\", \"row.value.Body\", \"row.value\"]";
    let payload = r#"{"a":{"Value":25.5},"b":{"Type":11,"Body":7},"c":18446744073709551615,"d":"9007199254740993","e":"1,234.5","f":""}"#;
    check(
        rule,
        payload,
        &[
            "one a 25.5 receipt",
            "one b 7 receipt",
            "one c 18446744073709551615 receipt",
            "one d 9007199254740993 receipt",
            "one e 1234.5 receipt",
            "1 ignored",
        ],
    );
    let refused = "the value of `s` is `ON`, which is no number; say what it means in the rule or in a [[metric]] of that name: \
                   enum = { \"ON\" = 1 }, or leave such values out with skip_non_numeric = true in `each`";
    check(
        rule,
        r#"{"s":"ON","o":{}}"#,
        &[
            &format!("bad_field: own.toml: r: {refused}"),
            "bad_field: own.toml: r: the value of `o` is an array or an object; walk it with `each`, or name a path into it",
        ],
    );
}

#[test]
fn qualities_are_mapped_and_a_bad_value_is_dropped() {
    let with = |quality: &str| {
        format!(
            "asset = \"{{a}}\"\nmetric = \"m\"\nvalue = \"$.v\"\nquality = {{ path = [\"$.x\", \"$.q\"], {quality} }}"
        )
    };
    let map = with("map = { true = \"good\", false = \"bad\", 1 = \"uncertain\" }");
    check(&map, r#"{"v":1,"q":true}"#, &["one m 1 receipt"]);
    check(&map, r#"{"v":1,"q":false}"#, &["one m - receipt bad"]);
    check(&map, r#"{"v":1,"q":1}"#, &["one m 1 receipt uncertain"]);
    check(&map, r#"{"v":1,"q":"unheard"}"#, &["one m 1 receipt uncertain"]);
    check(&map, r#"{"v":1}"#, &["one m 1 receipt"]);
    let opcua = with("format = \"opcua\"");
    check(&opcua, r#"{"v":1,"q":2147483648}"#, &["one m - receipt bad"]);
    check(&opcua, r#"{"v":1,"q":1073741824}"#, &["one m 1 receipt uncertain"]);
    check(&opcua, r#"{"v":1,"q":0}"#, &["one m 1 receipt"]);
}

#[test]
fn states_units_and_ids_come_with_a_reading() {
    let rule = "asset = \"{a}\"\nmetric = \"state\"\nvalue = \"$.v\"\nenum = { run = \"RUN\", \"10\" = 4 }\n\
                ranges = [{ from = 30000, to = 59999, is = \"UNKNOWN\" }]\nmissing = [-9999]\n\
                unit = \"{$.u}\"\nunit_hint = \"kWh\"\nproduct = \"{$.p}\"\nid = \"{$.id}\"";
    check(rule, r#"{"v":"run","p":"bolt","id":7}"#, &["one state 1 receipt hint=kWh product=bolt id=7"]);
    check(rule, r#"{"v":10,"u":"kW"}"#, &["one state 4 receipt unit=kW hint=kWh"]);
    check(rule, r#"{"v":40000}"#, &["one state 9 receipt hint=kWh"]);
    check(rule, r#"{"v":-9999}"#, &["1 ignored"]);
}

#[test]
fn a_metric_shapes_the_values_of_its_names() {
    let text = "[[rule]]\nname = \"r\"\ntopics = \"t\"\neach = [{ entries = \"$\" }]\nasset = \"x\"\nmetric = \"{row.key}\"\n\
                value = \"row.value\"\n[[metric]]\nmatch = [\"Imp\", \"*_total\"]\nas = \"energy.electricity\"\nkind = \"counter\"\n\
                unit = \"kWh\"\nrollover_at = 1_000_000\ndecimals = 2\n[[metric]]\nmatch = \"*\"\nenum = { ON = \"RUN\" }\n";
    let mappings = loaded(text);
    let got = ran(&mappings, &Dictionaries::default(), "t", br#"{"Imp":12345,"a_total":"100","S":"ON"}"#);
    assert_eq!(got, ["x Imp 123.45 receipt unit=kWh", "x a_total 1 receipt unit=kWh", "x S 1 receipt"]);
    let proposal = Proposal {
        quantity: Some("energy.electricity".to_owned()),
        kind: Some("counter".to_owned()),
        unit: Some("kWh".to_owned()),
        rollover: Some(1e6),
    };
    assert_eq!(mappings.proposal("x_total"), Some(proposal));
}

#[test]
fn orders_and_intervals_come_out() {
    let order = "target = \"order\"\norder = \"{$.id}\"\nevent = \"{$.status}\"\nmap = { \"1\" = \"started\" }\n\
                 quantity = \"$.n\"\ntime = [{ path = \"$.t\", format = \"unix_ms\" }]";
    check(order, r#"{"id":"7","status":1,"n":"100","t":1719931704927}"#, &["order 7 started 1719931704927 100"]);
    check(
        order,
        r#"{"id":"7","status":3,"t":1719931704927}"#,
        &["bad_field: own.toml: r: event `3` is none of released, started, completed, cancelled; name it in `map`"],
    );
    check(
        order,
        r#"{"id":"7","status":1}"#,
        &["no_time: own.toml: r: `7` has no time: $.t gives none in the formats of the rule; add its format to `time`"],
    );
    let interval = "target = \"interval\"\nasset = \"{a}\"\nproduct = \"{$.p}\"\nstart = [{ path = \"$.s\", format = \"unix_ms\" }]\n\
                    end = [{ path = \"$.e\", format = \"unix_ms\" }]\ntotal = \"$.n\"\ndefective = \"$.bad\"";
    let payload = r#"{"p":"bolt","s":1719931604927,"e":1719931704927,"n":100,"bad":5}"#;
    check(interval, payload, &["one good 95 1719931704927 product=bolt", "one defective 5 1719931704927 product=bolt"]);
    check(
        interval,
        r#"{"s":1719931604927,"e":1719931704927,"n":4,"bad":5}"#,
        &["implausible: own.toml: r: 5 of 4 pieces are defective"],
    );
    check(
        interval,
        r#"{"s":1719931704927,"e":1719931604927,"n":4}"#,
        &["bad_field: own.toml: r: the interval starts at 1719931704927 and ends before that, at 1719931604927"],
    );
}

#[test]
fn liveness_is_state_and_corrections_are_refused() {
    let liveness = "target = \"liveness\"\ncodec = \"scalar\"\nstate = \"$\"\nmap = { Online = \"online\", Offline = \"offline\" }";
    check(liveness, "Online", &["state"]);
    check(liveness, "gone", &["bad_field: own.toml: r: state `gone` is neither online nor offline; name it in `map`"]);
    let refuse = "target = \"refuse\"\nreason = \"correction_by_message\"\ndetail = \"correct it by hand\"";
    check(refuse, "{}", &["correction_by_message: own.toml: r: correct it by hand"]);
}

#[test]
fn a_condition_looks_at_the_payload() {
    let rule = |when: &str| format!("when = {when}\nasset = \"{{a}}\"\nmetric = \"m\"\nvalue = \"$.v\"");
    check(&rule("[\"$.v\", { path = \"$.type\", is = [\"data\", 3] }]"), r#"{"v":1,"type":3}"#, &["one m 1 receipt"]);
    check(
        &rule("{ path = \"$.type\", is = \"data\" }"),
        r#"{"v":1,"type":"login"}"#,
        &[
            "no_rule: rules take topic `t/one/two`, but none this message: own.toml: r: `$.type` is not what the rule wants",
        ],
    );
    check(
        &rule("{ without = \"$.x\" }"),
        r#"{"v":1,"x":3}"#,
        &["no_rule: rules take topic `t/one/two`, but none this message: own.toml: r: `$.x` is there"],
    );
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn payloads_are_inflated_within_the_bound() {
    let rule = |how: &str| {
        loaded(&format!(
            "[[rule]]\nname = \"r\"\ntopics = \"t\"\ndecompress = \"{how}\"\nasset = \"x\"\nmetric = \"m\"\nvalue = \"$.v\""
        ))
    };
    let none = Dictionaries::default();
    let json = br#"{"v":1}"#;
    assert_eq!(ran(&rule("zlib"), &none, "t", &zlib(json)), ["x m 1 receipt"]);
    assert_eq!(ran(&rule("gzip"), &none, "t", &gzip(json)), ["x m 1 receipt"]);
    for payload in [&zlib(json)[..], &gzip(json), json] {
        assert_eq!(ran(&rule("auto"), &none, "t", payload), ["x m 1 receipt"]);
    }
    let bomb = zlib(&vec![b' '; 3 << 20]);
    assert_eq!(ran(&rule("zlib"), &none, "t", &bomb), ["too_large: the payload inflates to more than 1048576 bytes"]);
    let corrupt = ran(&rule("gzip"), &none, "t", json);
    assert!(corrupt[0].starts_with("bad_payload: the payload is no whole gzip"), "{corrupt:?}");
}

#[test]
fn texts_inside_a_message_are_unwrapped() {
    let rule = "unwrap = [{ path = \"$.payload\", as = \"json\" }, { path = \"$.list[*]\", as = \"base64\" }]\n\
                each = [{ rows = \"$.list\" }]\nasset = \"{$.payload.n}\"\nmetric = \"m\"\nvalue = \"row.v\"";
    check(
        rule,
        r#"{"payload":"{\"n\":\"in\"}","list":["eyJ2IjozfQ==",{"v":4}]}"#,
        &["in m 3 receipt", "in m 4 receipt"],
    );
    check(rule, r#"{"payload":"no json","list":["%"]}"#, &["1 ignored"]);
}

#[test]
fn a_scalar_payload_is_one_value() {
    let rule = "codec = \"scalar\"\nasset = \"{a}\"\nmetric = \"{b}\"\nvalue = \"$\"\nenum = { ON = \"RUN\" }";
    for (payload, value) in [("21.5", "21.5"), (" true\n", "1"), ("ON", "1"), ("\"ON\"", "1"), ("1,000", "1000")] {
        check(rule, payload, &[&format!("one two {value} receipt")]);
    }
}

#[test]
fn a_dictionary_is_taught_by_its_own_pilot() {
    let text = "[[rule]]\nname = \"r\"\ntopics = \"d/{c}\"\neach = [{ rows = \"$\" }]\nasset = \"{c}\"\n\
                metric = \"{lookup('points', c, row.id)}\"\nvalue = \"row.v\"\n\
                [[dictionary]]\nname = \"points\"\ntopics = \"m/{c}\"\neach = [{ entries = \"$\" }]\nkey = [\"c\", \"row.key\"]\n\
                value = \"row.value\"\n[[dictionary]]\nname = \"names\"\nentries = { Imp = \"import\" }\n\
                [[rule]]\nname = \"fixed\"\ntopics = \"f\"\nasset = \"x\"\nmetric = \"{lookup('names', $.k)}\"\nvalue = \"$.v\"\n";
    let (mappings, dictionaries) = (loaded(text), Dictionaries::default());
    let (topic, payload) = ("d/gw", br#"[{"id":102,"v":4}]"#);
    let unknown = "unknown_id: own.toml: r: dictionary `points` does not know `gw/102`; once a message on the dictionary's topics names \
                   it, this one is read again";
    assert_eq!(ran(&mappings, &dictionaries, topic, payload), [unknown]);
    let other = PilotId::parse("p-2").unwrap();
    assert!(mappings.learn(&other, "m/gw", br#"{"102":"Speed"}"#, &dictionaries));
    assert_eq!(ran(&mappings, &dictionaries, topic, payload), [unknown]);
    assert_eq!(ran(&mappings, &dictionaries, "m/gw", br#"{"102":"Speed"}"#), ["state"]);
    assert_eq!(dictionaries.generation(), 2);
    assert_eq!(ran(&mappings, &dictionaries, topic, payload), ["gw Speed 4 receipt"]);
    assert_eq!(ran(&mappings, &dictionaries, "f", br#"{"k":"Imp","v":1}"#), ["x import 1 receipt"]);
    assert!(!mappings.learn(&other, topic, payload, &dictionaries));
}

#[test]
fn several_rules_take_one_message_each_its_part() {
    let rule = |name: &str, path: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\ntopics = \"t\"\nwhen = \"$.{path}\"\nasset = \"x\"\nmetric = \"{path}\"\nvalue = \"$.{path}\"\n"
        )
    };
    let mappings = loaded(&(rule("a", "v") + &rule("b", "w")));
    let none = Dictionaries::default();
    assert_eq!(ran(&mappings, &none, "t", br#"{"v":1,"w":2}"#), ["x v 1 receipt", "x w 2 receipt"]);
    assert_eq!(ran(&mappings, &none, "t", br#"{"w":2}"#), ["x w 2 receipt"]);
    assert_eq!(ran(&mappings, &none, "u", b"{}"), ["no_rule: no mapping takes topic `u`"]);
    assert!(ran(&mappings, &none, "t", b"{")[0].starts_with("bad_json: "));
    assert!(mappings.takes("t") && !mappings.takes("u"));
}

#[test]
fn a_level_is_checked_by_a_pattern() {
    let rule = "where = { a = \"^o\" }\nasset = \"{a}\"\nmetric = \"m\"\nvalue = \"$\"\ncodec = \"scalar\"";
    check(rule, "1", &["one m 1 receipt"]);
    check(&rule.replace("^o", "^x"), "1", &["no_rule: no mapping takes topic `t/one/two`"]);
}

#[test]
fn a_pattern_decides_where_several_levels_end() {
    let rule = "[[rule]]\nname = \"r\"\ntopics = \"umh/{a...}/{contract}/{tag...}\"\nwhere = { contract = \"^_\" }\n\
                codec = \"scalar\"\nasset = \"{a}\"\nmetric = \"{tag}\"\nvalue = \"$\"\n";
    let got = ran(&loaded(rule), &Dictionaries::default(), "umh/site/line/_raw/motor/speed", b"7");
    assert_eq!(got, ["site/line motor/speed 7 receipt"]);
}

#[test]
fn a_pattern_that_explodes_is_refused_and_none_is_slow() {
    let head = "[[rule]]\nname = \"r\"\ntopics = \"t/{a}\"\nasset = \"x\"\nmetric = \"m\"\nvalue = \"$.v\"\n";
    for pattern in [r"(\w{1000}){1000}", r"((a{100}){100}){100}", r"\w{50000}", &"(".repeat(300)] {
        for rule in [
            format!("{head}where = {{ a = '{pattern}' }}\n"),
            format!("{head}split = {{ from = \"$.v\", regex = '{pattern}' }}\n"),
            format!("[[sparkplug]]\nnodes = \"*\"\nstrip = '{pattern}'\n"),
        ] {
            let Err(mistakes) = Mappings::load(vec![("own.toml".to_owned(), rule)]) else {
                panic!("{pattern} was taken")
            };
            assert!(mistakes[0].text.contains("this regex cannot be used: "), "{}", listed(&mistakes));
        }
    }
    // What sends other engines backtracking for ages takes time by the length of the text alone.
    let text = format!("{head}split = {{ from = \"$.t\", regex = '^(a|a)*(a*)*(?P<g>a*)*b$' }}\n");
    let payload = format!(r#"{{"v":1,"t":"{}"}}"#, "a".repeat(1 << 16));
    let started = std::time::Instant::now();
    let got = ran(&loaded(&text), &Dictionaries::default(), "t/1", payload.as_bytes());
    assert!(got[0].starts_with("bad_field: "), "{got:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_payload_may_be_written_in_gbk() {
    let rule = |charset: &str| {
        loaded(&format!(
            "[[rule]]\nname = \"r\"\ntopics = \"t\"\ncharset = \"{charset}\"\neach = [{{ entries = \"$\" }}]\nasset = \"x\"\n\
             metric = \"{{row.key}}\"\nvalue = \"row.value\"\n"
        ))
    };
    let none = Dictionaries::default();
    // `A相电流` in GBK, and the same in UTF-8.
    let gbk = b"{\"A\xcf\xe0\xb5\xe7\xc1\xf7\":0.25}";
    assert_eq!(ran(&rule("gbk"), &none, "t", gbk), ["x A相电流 0.25 receipt"]);
    assert_eq!(ran(&rule("GB2312"), &none, "t", gbk), ["x A相电流 0.25 receipt"]);
    assert_eq!(ran(&rule("utf-8"), &none, "t", "{\"A相电流\":0.25}".as_bytes()), ["x A相电流 0.25 receipt"]);
    assert_eq!(ran(&rule("gbk"), &none, "t", b"{\"\xff\xff\":1}"), ["bad_utf8: the payload is not GBK"]);
    let utf8 = ran(&rule("utf-8"), &none, "t", gbk);
    assert_eq!(
        utf8,
        [
            "bad_utf8: the payload is not UTF-8 from byte 3; a compressed one needs `decompress`, one in GBK `charset = \"gbk\"`"
        ]
    );
}

#[test]
fn bytes_and_choices_and_names_to_leave_out() {
    let rule = "unwrap = [{ path = \"$.p\", as = \"base64+bytes\" }]\neach = [{ rows = \"$.p\", index = \"i\" }]\n\
                asset = \"{$.none or $.empty or b}\"\nmetric = \"b{i}\"\nvalue = \"row\"\n[[metric]]\nmatch = \"b1\"\nignore = true";
    check(rule, r#"{"p":"AP8H","empty":""}"#, &["two b0 0 receipt", "two b2 7 receipt", "1 ignored"]);
    let none = "asset = \"{$.x or $.y}\"\nmetric = \"m\"\nvalue = \"$.v\"";
    check(
        none,
        r#"{"v":1}"#,
        &["bad_field: own.toml: r: `asset` needs `$.x or $.y`, where nothing stands that is a text"],
    );
    check("target = \"ignore\"", "{}", &["1 ignored"]);
}

#[test]
fn a_transform_turns_one_message_into_several() {
    let rule = "transform = '.rows[] | {name: .[0], v: .[1]}'\nasset = \"{a}\"\nmetric = \"{$.name}\"\nvalue = \"$.v\"";
    let payload = r#"{"rows":[["x",9007199254740993],["y",18446744073709551615],["z",null]]}"#;
    check(rule, payload, &["one x 9007199254740993 receipt", "one y 18446744073709551615 receipt", "1 ignored"]);
    check(rule, r#"{"rows":7}"#, &["bad_payload: own.toml: r: `transform` says: `cannot use 7 as array or object`"]);
    check(
        rule,
        r#"{"rows":[]}"#,
        &["no_rule: rules take topic `t/one/two`, but none this message: own.toml: r: `transform` gives nothing"],
    );
    // Conditions and loops see what came out, and a text line is a message as well.
    let rule = "codec = \"scalar\"\ntransform = 'split(\";\") | map(split(\"=\") | {key: .[0], value: .[1]}) | from_entries'\n\
                when = \"$.kWh\"\neach = [{ entries = \"$\" }]\nasset = \"{a}\"\nmetric = \"{row.key}\"\nvalue = \"row.value\"";
    check(rule, "kWh=12.5;kW=3", &["one kW 3 receipt", "one kWh 12.5 receipt"]);
}

#[test]
fn a_filter_that_fails_costs_nothing_that_another_rule_took() {
    let rule = |name: &str, lines: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\ntopics = [\"t/{{a}}\"]\nasset = \"{{a}}\"\nmetric = \"{name}\"\n{lines}\n"
        )
    };
    let (plain, filtered) = (rule("plain", "value = \"$.v\""), rule("filtered", "transform = '.x.y'\nvalue = \"$\""));
    let zipped = rule("zipped", "decompress = \"gzip\"\nvalue = \"$.v\"");
    let check = |files: &[&str], payload: &str, expected: &[&str]| {
        let got = ran(&loaded(&files.concat()), &Dictionaries::default(), "t/one", payload.as_bytes());
        assert_eq!(got, expected, "{payload}");
    };
    let failed = "bad_payload: own.toml: filtered: `transform` says: `cannot index 7 with \"y\"`";
    for order in [[&*plain, &*filtered], [&*filtered, &*plain]] {
        check(&order, r#"{"v":1,"x":7}"#, &["one plain 1 receipt"]);
        check(&order, r#"{"x":7}"#, &[failed]);
    }
    check(&[&plain, &filtered], r#"{"v":1,"x":{"y":2}}"#, &["one plain 1 receipt", "one filtered 2 receipt"]);
    // The filter had a message to look at: that says more than a payload that another rule could not read.
    check(&[&zipped, &filtered], r#"{"x":7}"#, &[failed]);
}

#[test]
fn the_examples_of_the_reference_load_and_pass_their_tests() {
    let reference = include_str!("../../../deploy/mappings.md");
    let examples: Vec<&str> =
        reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        assert_eq!(listed(&loaded(example).test()), "", "{example}");
    }
}

#[test]
fn a_custom_template_is_taken_by_a_transform() {
    // Names and values in two lists, as templates of gateways give them.
    let rule = "transform = '{ts: .t, row: ([.n, .v] | transpose[] | {key: .[0], value: .[1]})}'\nasset = \"{a}\"\n\
                metric = \"{$.row.key}\"\nvalue = \"$.row.value\"\ntime = [{ path = \"$.ts\", format = \"unix_ms\" }]";
    let payload = r#"{"t":1647497389075,"n":["tag0","tag1"],"v":[123,4.5]}"#;
    check(rule, payload, &["one tag0 123 1647497389075", "one tag1 4.5 1647497389075"]);
}

#[test]
fn loops_over_each_other_are_bounded() {
    let rule = "each = [{ rows = \"$\", as = \"x\" }, { rows = \"$\", as = \"y\" }]\nasset = \"{a}\"\nmetric = \"m\"\nvalue = \"y.none\"";
    let payload = format!("[{}1]", "1,".repeat(999));
    check(rule, &payload, &["too_many_values: own.toml: r: its loops walk more than 200000 rows"]);
    let rule = "each = [{ rows = \"$\" }]\nasset = \"{a}\"\nmetric = \"m\"\nvalue = \"row\"";
    let payload = format!("[{}1]", "1,".repeat(10_000));
    check(rule, &payload, &["too_many_values: more than 10000 values; send them in several messages"]);
}

#[test]
fn a_mistake_shows_the_line_the_caret_and_what_would_be_right() {
    let head = "[[rule]]\nname = \"r\"\ntopics = \"t/{a}\"\nasset = \"x\"\nmetric = \"m\"\n";
    mistaken(
        &format!("{head}valeu = \"$.v\"\n"),
        "own.toml:6: ",
        &["valeu = \"$.v\"", "^^^^^", "unknown field `valeu`, expected one of", "`value`"],
    );
    mistaken(
        &format!("{head}value = \"rwo.v\"\n"),
        "own.toml:6: ",
        &["^^^^^^^", "`rwo` is no name here; there are $, a, client, login"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\neach = [{{ rows = \"$\", flaten = \"/\" }}]\n"),
        "own.toml:7: ",
        &["^^^^^^", "unknown field `flaten`", "`flatten`"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ntime = [{{ path = \"$.t\", formt = \"unix_ms\" }}]\n"),
        "own.toml:7: ",
        &["^^^^^", "unknown field `formt`", "`format`"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ntime = [{{ path = \"$.t\", format = \"%Y-%m-%d\" }}]\n"),
        "own.toml:7: ",
        &["^^^^^", "zone"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ntime = [{{ path = \"$.t\", format = \"unix_ms\" }}, \"recieve\"]\n"),
        "own.toml:7: ",
        &["recieve", "\"receive\""],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\nenum = {{ a = \"RUNNING\" }}\n"),
        "own.toml:7: ",
        &["`RUNNING` is no state", "RUN (1)"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\nsplit = {{ from = \"$.x\", regex = '(\\w{{1000}}){{1000}}' }}\n"),
        "own.toml:7: ",
        &["regex", "^^^^"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\nstate = \"$\"\n"),
        "own.toml:2: ",
        &["`state` belongs to target liveness"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\nproduct = \"{{lookup('nope', $.x)}}\"\n"),
        "own.toml:7: ",
        &["no [[dictionary]] is called `nope`"],
    );
    mistaken(head, "own.toml:2: ", &["needs the key `value`"]);
    mistaken(
        "[[rule]]\nname = \"r\"\ntopics = \"a/#/b\"\nasset = \"x\"\nmetric = \"m\"\nvalue = \"$\"\n",
        "own.toml:3: ",
        &["topic `a/#/b` has `#` before its last level"],
    );
}

#[test]
fn a_mistake_in_a_filter_a_charset_or_a_step_is_shown_as_well() {
    let head = "[[rule]]\nname = \"r\"\ntopics = \"t/{a}\"\nasset = \"x\"\nmetric = \"m\"\n";
    mistaken(
        &format!("{head}value = \"$.v\"\ntransform = '.a | until(.; .)'\n"),
        "own.toml:7: ",
        &["`transform`: `until` may not be used", "transform = '.a | until(.; .)'", "\n  |                   ^^^^^"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ntransform = '''\n.a\n| [input]'''\n"),
        "own.toml:9: ",
        &["`input` may not be used", "9 | | [input]", "\n  |    ^^^^^"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ntransform = '.a | '\n"),
        "own.toml:7: ",
        &["`transform`: term is expected here"],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\ncharset = \"gbq\"\n"),
        "own.toml:7: ",
        &["`gbq` is no charset that is known; write \"gbk\""],
    );
    mistaken(
        &format!("{head}value = \"$.v\"\nunwrap = [{{ path = \"$.a\", as = \"bytes+zlib\" }}]\n"),
        "own.toml:7: ",
        &["`bytes` gives an array of numbers, so it stands last"],
    );
    for (key, value, right) in [
        ("max_step", "5000", "plausible = [least, greatest]"),
        ("min_step", "0", "plausible = [least, greatest]"),
        ("reset", "{ daily = \"00:00\" }", "`on_decrease = \"reset\"` at its [[series]]"),
    ] {
        let text = format!("[[metric]]\nmatch = \"x\"\n{key} = {value}\n");
        mistaken(&text, "own.toml:3: ", &[&format!("`{key}` is not said here"), right, "^"]);
    }
}

/// A file with a mistake: how its message starts, and what it holds.
#[track_caller]
fn mistaken(text: &str, starts: &str, holds: &[&str]) {
    let Err(mistakes) = Mappings::load(vec![("own.toml".to_owned(), text.to_owned())]) else {
        panic!("no mistake found")
    };
    let shown = listed(&mistakes);
    assert!(shown.starts_with(starts), "{shown}");
    for part in holds {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn every_mistake_of_every_file_is_told() {
    let text = |topic: &str| {
        format!(
            "[[rule]]\nname = \"r\"\ntopics = \"{topic}\"\nasset = \"{{x}}\"\nmetric = \"{{y}}\"\nvalue = \"$.v\"\n"
        )
    };
    let files = vec![("a.toml".to_owned(), text("t")), ("b.toml".to_owned(), text("t"))];
    let Err(mistakes) = Mappings::load(files) else { panic!("no mistake found") };
    let places: Vec<(&str, usize)> = mistakes.iter().map(|mistake| (&*mistake.file, mistake.line)).collect();
    assert_eq!(places, [("a.toml", 4), ("a.toml", 5), ("b.toml", 4), ("b.toml", 5)]);
}

#[test]
fn a_test_vector_tells_what_was_expected_and_what_came() {
    let head = "[[rule]]\nname = \"r\"\ntopics = \"t\"\nasset = \"x\"\nmetric = \"m\"\nvalue = \"$.v\"\n";
    let test =
        |expect: &str| format!("{head}[[rule.test]]\ntopic = \"t\"\npayload = '{{\"v\":1}}'\nexpect = [{expect}]\n");
    assert_eq!(loaded(&test("{ asset = \"x\", metric = \"m\", value = 1 }")).test(), []);
    let mistakes = loaded(&test("{ asset = \"x\", metric = \"m\", value = 2 }")).test();
    assert_eq!(
        listed(&mistakes),
        "own.toml:7: test of rule `r`: expected\n    { asset = \"x\", metric = \"m\", at = 1893456000000, value = 2 }\n  got\n    \
         { asset = \"x\", metric = \"m\", quality = \"good\", at = 1893456000000, value = 1 }"
    );
    assert_eq!(loaded(&test("")).test().len(), 1);
}

#[test]
fn the_built_in_profiles_compile_and_pass_their_tests() {
    assert_eq!(listed(&Mappings::builtin().test()), "");
}

#[test]
fn sparkplug_names_lose_their_folder() {
    let text = "[[sparkplug]]\nnodes = [\"Plant/*\"]\nstrip = '^(DATA|ATTR)/'\nquality = { \"600\" = \"good\" }\n";
    let mappings = loaded(text);
    assert_eq!(mappings.sparkplug_rename("Plant/e1", "DATA/power"), "power");
    assert_eq!(mappings.sparkplug_rename("Plant/e1", "x/DATA/power"), "x/DATA/power");
    assert_eq!(mappings.sparkplug_rename("Other/e1", "DATA/power"), "DATA/power");
    assert_eq!(mappings.sparkplug_quality("Plant/e1", 600), Some(Quality::Good));
    assert_eq!(mappings.sparkplug_quality("Other/e1", 600), None);
}

proptest! {
    #[test]
    fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\",:a-c0-9.e \\\\-]{0,80}", how in 0usize..3) {
        let how = ["none", "auto", "zlib"][how];
        let text = format!("[[rule]]\nname = \"r\"\ntopics = \"#\"\ndecompress = \"{how}\"\nunwrap = [{{ path = \"$.a\", as = \"base64+zlib\" }}]\n\
            each = [{{ entries = \"$\", flatten = \"/\", spread_arrays = \"i\" }}]\nsplit = {{ from = \"row.key\", regex = '(?P<g>\\w)' }}\n\
            asset = \"{{g}}{{-i?}}\"\nmetric = \"{{row.key}}\"\nvalue = \"row.value\"\ntime = [{{ path = \"$.b\", format = \"unix_auto\" }}, \"receive\"]\n\
            [[rule]]\nname = \"s\"\ntopics = \"#\"\ncodec = \"scalar\"\nasset = \"x\"\nmetric = \"y\"\nvalue = \"$\"\n");
        let mappings = loaded(&text);
        ran(&mappings, &Dictionaries::default(), "t", &payload);
        ran(&mappings, &Dictionaries::default(), "t", json.as_bytes());
    }
}
