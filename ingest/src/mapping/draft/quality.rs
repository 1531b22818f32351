//! How well something was measured, where the message says it beside the value.
//!
//! Invariant: a code whose meaning depends on who sends it gets a remark, and one that means nothing known no line at all.

use serde_json::Value;

use super::places::{Member, Owner};
use super::words::{QUALITIES, quoted, step};
use crate::mapping::shape::number;

/// Words for a quality; the one that a message has is written as it stands there.
const GOOD: [&str; 6] = ["good", "ok", "valid", "normal", "正常", "good_quality"];
const UNCERTAIN: [&str; 3] = ["uncertain", "questionable", "可疑"];
const BAD: [&str; 8] = ["bad", "invalid", "error", "fault", "fail", "abnormal", "异常", "无效"];
/// OPC codes from here on are 32 bits of OPC UA, whose two highest say how good a value is.
const UA_FROM: i64 = 1 << 30;

/// The line of a rule, if a member of this object says how good a value is; and which.
pub(super) fn quality<'o, 'm>(owner: &'o Owner<'m>) -> Option<(String, &'o Member<'m>)> {
    let member = owner.word(&QUALITIES, |member| how(member).is_some())?;
    let (how, remark) = how(member)?;
    let path = quoted(&format!("{}{}", owner.path, step(member.key)));
    let remark = if remark.is_empty() { String::new() } else { format!("  # {remark}") };
    Some((format!("quality = {{ path = {path}, {how} }}{remark}"), member))
}

fn how(member: &Member<'_>) -> Option<(String, &'static str)> {
    if member.samples.iter().all(|sample| sample.is_boolean()) {
        return Some(("map = { true = \"good\", false = \"bad\" }".to_owned(), ""));
    }
    let codes: Option<Vec<i64>> = member.samples.iter().map(|sample| code(sample)).collect();
    match codes {
        Some(codes) => of_codes(member, &codes),
        None => of_words(member),
    }
}

fn code(sample: &Value) -> Option<i64> {
    if sample.is_boolean() {
        return None;
    }
    match number(super::words::node(sample))? {
        model::Value::Int(code) => Some(code),
        model::Value::UInt(_) | model::Value::Float(_) => None,
    }
}

fn of_codes(member: &Member<'_>, codes: &[i64]) -> Option<(String, &'static str)> {
    const DA: &str = "map = { 192 = \"good\", 64 = \"uncertain\", 0 = \"bad\" }";
    let all = |wanted: &[i64]| codes.iter().all(|code| wanted.contains(code));
    let is_da = codes.contains(&192) && codes.iter().all(|code| (0..256).contains(code));
    if is_da {
        return Some((DA.to_owned(), "codes of OPC DA"));
    }
    if codes.iter().any(|code| *code >= UA_FROM) {
        return Some(("format = \"opcua\"".to_owned(), "codes of OPC UA"));
    }
    if all(&[0]) {
        let remark = "0 is good in OPC UA; in OPC DA it is bad, and 192 is good: map = { 192 = \"good\", 0 = \"bad\" }";
        return Some(("format = \"opcua\"".to_owned(), remark));
    }
    if member.plain == "qc" && all(&[0, 1, 2, 3]) {
        let map = "map = { 0 = \"bad\", 1 = \"uncertain\", 2 = \"good\", 3 = \"good\" }";
        return Some((map.to_owned(), "codes of SIMATIC"));
    }
    all(&[0, 1]).then(|| ("map = { 1 = \"good\", 0 = \"bad\" }".to_owned(), "guessed: 1 is good and 0 bad"))
}

fn of_words(member: &Member<'_>) -> Option<(String, &'static str)> {
    let mut map: Vec<(String, &str)> = Vec::new();
    let mut styled: fn(&str) -> String = str::to_owned;
    for sample in &member.samples {
        let word = sample.as_str()?;
        let lower = word.to_lowercase();
        let known = [(&GOOD[..], "good"), (&UNCERTAIN, "uncertain"), (&BAD, "bad")];
        let (_, quality) = known.into_iter().find(|(words, _)| words.contains(&&*lower))?;
        if word == word.to_uppercase() && word != lower {
            styled = str::to_uppercase;
        } else if word.starts_with(char::is_uppercase) {
            styled = |word| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
        }
        if !map.iter().any(|(known, _)| known == word) {
            map.push((word.to_owned(), quality));
        }
    }
    for (word, quality) in [("good", "good"), ("uncertain", "uncertain"), ("bad", "bad")] {
        if !map.iter().any(|(known, _)| *known == styled(word)) {
            map.push((styled(word), quality));
        }
    }
    let map: Vec<String> = map.iter().map(|(word, quality)| format!("{} = {quality:?}", quoted(word))).collect();
    Some((format!("map = {{ {} }}", map.join(", ")), ""))
}
