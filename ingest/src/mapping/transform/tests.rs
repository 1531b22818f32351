//! What filters do, what they may not, and that each comes to an end.

use std::time::{Duration, Instant};

use bumpalo::Bump;

use super::value::Val;
use super::{COMMAS_MAX, TOKENS_MAX, Transform};
use crate::mapping::tape::{Tape, read_json};

/// The outputs of a filter as JSON, or why it was refused.
fn ran(filter: &str, message: &str) -> Result<Vec<String>, String> {
    let transform = Transform::compile(filter).unwrap_or_else(|wrong| panic!("{filter}: {wrong:?}"));
    let (arena, mut tape) = (Bump::new(), Tape::default());
    read_json(message, &mut tape, &arena).unwrap();
    let outputs =
        transform.run(&tape, &arena).map_err(|error| format!("{}: {}", error.reason.as_str(), error.detail))?;
    super::budget::begin();
    Ok(outputs.iter().map(|tape| Val::read(tape, 0, 0).unwrap().to_string()).collect())
}

#[track_caller]
fn check(filter: &str, message: &str, expected: &[&str]) {
    assert_eq!(ran(filter, message), Ok(expected.iter().map(|&text| text.to_owned()).collect()), "{filter}");
}

#[track_caller]
fn refused(filter: &str, message: &str, expected: &str) {
    assert_eq!(ran(filter, message), Err(expected.to_owned()), "{filter}");
}

/// The part of the filter that is wrong, and why.
fn wrong(filter: &str) -> String {
    let wrong = Transform::compile(filter).unwrap_err();
    format!("{}: {}", &filter[wrong.at], wrong.message)
}

#[test]
fn a_filter_reshapes_a_message() {
    let lists = r#"{"ts":5,"names":["a","b"],"values":[1,2.5,3]}"#;
    check(
        "[.names, .values] | transpose | map({name: .[0], v: .[1]})",
        lists,
        &[r#"[{"name":"a","v":1},{"name":"b","v":2.5},{"name":null,"v":3}]"#],
    );
    check("range(.names | length) as $i | {(.names[$i]): .values[$i]}", lists, &[r#"{"a":1}"#, r#"{"b":2.5}"#]);
    check(". + {names: null} | del(.values)", lists, &[r#"{"names":null,"ts":5}"#]);
    check(".values[] |= . * 10 | .values[1:]", lists, &["[25,30]"]);
    check("reduce .values[] as $v (0; . + $v)", lists, &["6.5"]);
    check("[foreach .values[] as $v (0; . + $v)]", lists, &["[1,3.5,6.5]"]);
    check("to_entries[] | select(.key != \"ts\") | .key", lists, &["\"names\"", "\"values\""]);
    check("with_entries(select(.value | type == \"number\"))", lists, &[r#"{"ts":5}"#]);
    check("select(.ts == 6)", lists, &[]);
    check(".. | numbers", lists, &["5", "1", "2.5", "3"]);
}

#[test]
fn texts_and_numbers_are_taken_apart_and_put_together() {
    let text = r#"{"d":"2026-01-02","t":"11:04:05","kv":"a=1;b=0x1F;c=1,234.5","hi":2,"lo":3,"fixed":"温度0215"}"#;
    check(".d + \" \" + .t", text, &["\"2026-01-02 11:04:05\""]);
    check(r#""\(.d)T\(.t)Z""#, text, &["\"2026-01-02T11:04:05Z\""]);
    check(
        r#".kv | split(";") | map(split("=") | {key: .[0], value: (.[1] | tonumber)}) | from_entries"#,
        text,
        &[r#"{"a":1,"b":31,"c":1234.5}"#],
    );
    check(".hi * 65536 + .lo", text, &["131075"]);
    check(".fixed[:2], (.fixed[2:] | tonumber / 10)", text, &["\"温度\"", "21.5"]);
    check(".fixed | ltrimstr(\"温度\"), startswith(\"温\"), length", text, &["\"0215\"", "true", "6"]);
    check("[.hi, .lo] | add, join(\"/\"), reverse", text, &["5", "\"2/3\"", "[3,2]"]);
    check(".hi / 4, (7 % 4), (5 / 2 | floor), (-7.5 | round)", text, &["0.5", "3", "2", "-8"]);
    check("[[1,[2]],3] | flatten", text, &["[1,2,3]"]);
    check(r#""{\"a\":[1]}" | fromjson.a[0], (tojson | length)"#, text, &["1", "13"]);
    check("if .hi > .lo then \"up\" elif .hi < .lo then \"down\" else null end", text, &["\"down\""]);
    check(".none // .hi, (try error(\"x\") catch .), ([.hi[]?])", text, &["2", "\"x\"", "[]"]);
    check("limit(2; .hi, .lo, 9), first(range(10; 0; -3)), ([.hi, .lo] | last)", text, &["2", "3", "10", "3"]);
}

#[test]
fn integers_beyond_2_to_the_53_stay_exact() {
    let message = r#"{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808}"#;
    check("{a, b, c}", message, &[r#"{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808}"#]);
    check(".a + 2, .b - .a, -.c", message, &["9007199254740995", "18437736874454810622", "9223372036854775808"]);
    check(
        ".a == 9007199254740992, .a > 9007199254740992.0, (.a | tostring)",
        message,
        &["false", "true", "\"9007199254740993\""],
    );
    // Beyond 64 bits a number goes on as a float, as it does in a payload.
    check(".b + 1", message, &["18446744073709552000"]);
    check("9007199254740993, 1e3", message, &["9007199254740993", "1000"]);
}

#[test]
fn an_error_of_a_filter_is_told_in_its_words() {
    refused("error(\"no meter in it\")", "{}", "bad_payload: `transform` says: `\"no meter in it\"`");
    refused(".a.b", r#"{"a":1}"#, "bad_payload: `transform` says: `cannot index 1 with \"b\"`");
    refused(".a / 0", r#"{"a":1}"#, "bad_payload: `transform` says: `cannot calculate 1 / 0`");
    refused("1e308 * 10", "{}", "bad_payload: `transform` says: `cannot calculate 1e308 * 10`");
    refused("range(10001)", "{}", "too_many_values: `transform` makes more than 10000 messages of one");
    // What came out before does not count: a message is taken as a whole or not at all.
    refused("1, error(2)", "{}", "bad_payload: `transform` says: `2`");
}

#[test]
fn a_word_that_does_not_end_or_looks_elsewhere_is_refused_by_name() {
    let ends = "may not be used: a filter comes to an end, whatever the message";
    for (filter, word) in [
        ("def f: f; f", "def"),
        ("recurse(.a)", "recurse"),
        ("[repeat(1)]", "repeat"),
        ("1 | while(true; .)", "while"),
        ("until(false; .)", "until"),
        ("[paths]", "paths"),
    ] {
        assert_eq!(wrong(filter), format!("{word}: `{word}` {ends}"));
    }
    let sees = "may not be used: a filter sees the message and nothing else, so that a replay gives the same";
    for (filter, word) in [
        ("[input]", "input"),
        ("inputs", "inputs"),
        ("now", "now"),
        ("env.HOME", "env"),
        ("$ENV.HOME", "$ENV"),
        ("halt", "halt"),
        ("debug", "debug"),
        ("include \"x\"; .", "include"),
    ] {
        assert_eq!(wrong(filter), format!("{word}: `{word}` {sees}"));
    }
    let unknown = wrong(".a | sum");
    assert!(unknown.starts_with("sum: filter `sum` is not known; there are add, all, any, "), "{unknown}");
    assert!(wrong("$x").starts_with("$x: variable `$x` is not known"));
    assert_eq!(
        wrong("reduce .[] as $x (.; .) |= 1"),
        "reduce: `reduce` and `|=` do not go together in one filter; build a new value instead of changing one"
    );
    // The same words as names of fields.
    check(
        ".input, .now.env, {def: .until, input: 1}",
        r#"{"input":1,"now":{"env":2},"until":3}"#,
        &["1", "2", r#"{"def":3,"input":1}"#],
    );
}

#[test]
fn the_reference_names_every_word() {
    let reference = include_str!("../../../../deploy/mappings.md");
    let words = super::words::known();
    for word in words.split(", ") {
        let is_named = reference.split(|c: char| !c.is_alphanumeric() && c != '_').any(|named| named == word);
        assert!(is_named, "{word}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_shows_where() {
    assert_eq!(wrong(".a | | .b"), "|: term is expected here");
    assert_eq!(wrong(".a)"), "): token is expected here");
    assert_eq!(wrong("if .a then 1"), ": else or end is expected here");
    assert_eq!(wrong(""), ": term is expected here");
    assert!(wrong(&"(".repeat(100)).contains("brackets stand within each other more than 32 deep"));
    assert!(wrong(&format!("[{}1]", "1,".repeat(COMMAS_MAX + 1))).contains("at most 12 commas outside of {…}"));
    assert!(wrong(&format!(".{}", "|.".repeat(TOKENS_MAX))).contains("at most 500 words and signs"));
    assert!(wrong(&"#".repeat(5_000)).contains("at most 4096 bytes"));
}

#[test]
fn every_filter_comes_to_an_end() {
    let rows = format!("[{}1]", "1,".repeat(200_000));
    let spent = "bad_payload: `transform` takes more than 2000000 steps for this message, or nests too deep";
    for filter in [
        "[range(1e18)]",
        "[range(0; 1; 0)] | length",
        "first(range(1e18) | select(. < 0))",
        "any(range(1e18); false)",
        "reduce range(1e18) as $x (0; .)",
        "[.[] as $a | .[] as $b | 1] | length",
        "[.[] as $a | .[]? as $b | $a == $b] | length",
        "reduce range(100000) as $x (0; [.])",
        "reduce range(100) as $x (\"x\"; . + .)",
        "reduce range(100) as $x ([1]; . + .)",
        "reduce range(100) as $x ([1]; [., .])",
        "[.[] as $x | .] | tojson | length",
        ". as $whole | [.[] | $whole == $whole] | length",
        "[limit(1e18; range(1e18))] | length",
        "try (reduce range(1e18) as $x (0; . + 1)) catch 1",
        ". as $w | [.[] | first($w[])] | map(tojson) | join(\",\") | . + . + . + . | split(\"\") | length | range(1e18)",
    ] {
        let started = Instant::now();
        refused(filter, &rows, spent);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "{filter} took {took:?}");
    }
    // Commas alone multiply without walking over anything.
    let commas = format!("reduce ({}.) as $x (0; .)", "(.,.)|".repeat(COMMAS_MAX));
    check(&commas, "1", &["0"]);
}

#[test]
fn what_is_copied_or_compared_is_paid_for_first() {
    let spent = "bad_payload: `transform` takes more than 2000000 steps for this message, or nests too deep";
    // 10,000 elements, and keys of 160,000 bytes, which cost as much: 300 times either is more than there is.
    let (items, key) = ("1,".repeat(9_999), "k".repeat(160_000));
    let message = format!(r#"{{"v":[{items}1],"k":"{key}","o":{{"{key}":1,"x":2}},"p":{{"{key}":1,"x":3}}}}"#);
    for filter in [
        "$d.v | .[9999999]? |= 1",
        "$d.v | .[5] |= 1",
        "$d.v | try (.[] |= error(1)) catch 2",
        "$d.v | try (.[0:1] |= error(1)) catch 2",
        "$d.v[:1] | .[:1] |= $d.v",
        "$d.o | .[$d.k]",
        "$d.o | has($d.k)",
        "$d.o | .[$d.k] |= 1",
        "$d.o | .[] |= 1",
        "$d.o == $d.p",
        "$d.o + $d.p",
        "{($d.k): 1}",
        "[{key: $d.k}] | from_entries",
    ] {
        refused(&format!(". as $d | range(300) as $i | {filter} | empty"), &message, spent);
        check(&format!(". as $d | range(2) as $i | {filter} | empty"), &message, &[]);
    }
    // A comparison ends with the first key that differs.
    check(". as $d | range(300) as $i | ($d.o == {a: 1}) | select(.)", &message, &[]);
    let rows = format!(r#"{{"v":[{}1]}}"#, "1,".repeat(499_999));
    refused(". as $d | range(400000) as $i | $d.v | .[9999999]? |= 1", &rows, spent);
}

#[test]
fn the_longest_filters_do_not_exhaust_a_small_stack() {
    // Half of what the threads of a connection have.
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let half = TOKENS_MAX / 2 - 1;
    let filters = [
        format!(".{}", "|.".repeat(half)),
        format!("1{}", "+1".repeat(half)),
        ".a?".repeat(TOKENS_MAX / 3),
        format!("{}1{}", "[".repeat(31), "]".repeat(31)),
        format!("{}1{}", "if . then ".repeat(80), " else 2 end".repeat(80)),
        format!("{}.", ". as $x | ".repeat(TOKENS_MAX / 5 - 1)),
        format!("1{}", "//1".repeat(half)),
        format!("reduce range(10000) as $x (.; .){}", "|.".repeat(half - 20)),
    ];
    let run = move || {
        for filter in filters {
            ran(&filter, r#"{"a":{}}"#).unwrap();
        }
        let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        check("[..] | length", &deep, &["128"]);
        check("(.. | numbers) |= 2 | flatten[0]", &deep, &["2"]);
        check("(.. | numbers) = 3 | tojson | length", &deep, &["255"]);
    };
    small.spawn(run).unwrap().join().unwrap();
}
