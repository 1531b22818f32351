//! Writes a rule for a place with values: what names them, their time, unit and quality, line by line.
//!
//! The names in a message can be put together in several ways. They are given in the order in which they say most with
//! least; whoever tries them takes the first that tells all readings apart.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::places::{Key, Member, Owner, Place, Site, Step, Values, skipping};
use super::quality::quality;
use super::times::Looks;
use super::topic::{TopicDraft, Wanted};
use super::words::{ASSETS, NAMES, QUALITIES, UNITS, quoted, step};
use crate::decode::shown;

/// Times of one rule, of which the first that is there counts.
const TIMES_MAX: usize = 3;

/// A text of a rule, with what it reads of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'m> {
    template: String,
    /// It is a number such as others count with too.
    counts: bool,
    remark: String,
    reads: Vec<Vec<Step<'m>>>,
}

/// What names the readings of a place; none where the topic has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names<'m> {
    asset: Option<Text<'m>>,
    metric: Option<Text<'m>>,
}

/// A rule as lines, and what of the message it reads or leaves out by name.
pub(super) struct Written<'m> {
    pub(super) name: String,
    /// All but the name.
    lines: String,
    pub(super) reads: Vec<Vec<Step<'m>>>,
}

impl Written<'_> {
    pub(super) fn lines(&self, name: &str) -> String {
        format!("[[rule]]\nname = {}\n{}", quoted(name), self.lines)
    }
}

impl<'m> Text<'m> {
    fn of(place: &str, samples: impl IntoIterator<Item = &'m str> + Clone) -> Text<'m> {
        let mut template = format!("{{{place}");
        let any = |is: &dyn Fn(&str) -> bool| samples.clone().into_iter().any(is);
        if any(&|text| text.trim() != text) {
            template.push_str(" | trim");
        }
        for sign in ['#', '+'] {
            if any(&|text| text.contains(sign)) {
                template.push_str(&format!(" | replace('{sign}', '/')"));
            }
        }
        template.push('}');
        Text { template, ..Text::default() }
    }

    fn member(owner: &Owner<'m>, member: &Member<'m>) -> Text<'m> {
        let texts: Vec<&'m str> = member.samples.iter().filter_map(|sample| sample.as_str()).collect();
        let text = Text::of(&format!("{}{}", owner.path, step(member.key)), texts);
        let remark = format!("guessed from the word `{}`", plain_remark(member.key));
        let counts = member.samples.iter().all(|sample| sample.is_u64());
        Text { remark, counts, reads: vec![steps(owner, member)], ..text }
    }

    fn key(key: &Key<'m>) -> Text<'m> {
        Text { remark: "the key".to_owned(), ..Text::of(&key.path, key.samples.iter().copied()) }
    }

    fn literal(text: &str) -> Option<Text<'m>> {
        (!text.contains(['{', '}', '#', '+'])).then(|| Text { template: text.to_owned(), ..Text::default() })
    }

    fn then(&self, other: &Text<'m>) -> Text<'m> {
        let remarks: Vec<&str> = [&*self.remark, &*other.remark].into_iter().filter(|text| !text.is_empty()).collect();
        Text {
            template: format!("{}/{}", self.template, other.template),
            counts: false,
            remark: remarks.join(", "),
            reads: self.reads.iter().chain(&other.reads).cloned().collect(),
        }
    }
}

fn steps<'m>(owner: &Owner<'m>, member: &Member<'m>) -> Vec<Step<'m>> {
    owner.steps.iter().cloned().chain([Step::Key(member.key)]).collect()
}

/// In a comment: in one line.
pub(super) fn plain_remark(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The ways to name the readings of a place, the best first.
pub(super) fn namings<'m>(site: &Site<'m>) -> Vec<Names<'m>> {
    let Site { place, values } = site;
    let names = words_at(place, &NAMES);
    // The rows under a key are of what the key says, if nothing in them says it.
    let is_labelled = place.label.is_some_and(|(_, n_keys)| n_keys == place.keys.len());
    let key_around = place.keys.last().map(|key| &**key).filter(|_| names.is_empty() && !is_labelled);
    let own_key = place.own_key().or(key_around);
    let label = place.label.and_then(|(label, _)| Text::literal(label));
    let mut metrics: Vec<Text<'m>> = Vec::new();
    match values {
        Values::Bare => {}
        Values::Members { .. } => metrics.push(Text::of(&format!("{}.key", place.loop_name()), member_keys(place))),
        Values::One(_) => metrics.extend(names.iter().cloned()),
    }
    if matches!(values, Values::One(_)) {
        metrics.extend(own_key.map(Text::key));
        metrics.extend(label.clone().filter(|_| own_key.is_none()));
    }
    let is_metric = |text: &Text<'m>| metrics.first() == Some(text);
    // A table names its rows by what would name a value.
    let row_names = if matches!(values, Values::Members { .. }) { names } else { Vec::new() };
    let mut in_row = words_at(place, &ASSETS);
    in_row.retain(|text| !is_metric(text));
    let is_used = |key: &Key<'m>| own_key.is_some_and(|own| own.path == key.path) && is_metric(&Text::key(key));
    let keys = place.keys.iter().map(|key| &**key).filter(|key| !is_used(key));
    let keys = keys.map(Text::key).reduce(|all, key| all.then(&key));
    let around = around(place);
    let asset = match (in_row.first(), around, keys.clone()) {
        // A number, or what names a row of a table, is one of the device around it.
        (Some(row), Some((_, outer)), _) if row.counts => Some(outer.then(row)),
        (Some(row), _, _) => Some(row.clone()),
        (None, Some((_, outer)), _) if !row_names.is_empty() => row_names.first().map(|row| outer.then(row)),
        (None, None, _) if !row_names.is_empty() => row_names.first().cloned(),
        (None, Some((Inside::Message, outer)), Some(keys)) => Some(outer.then(&keys)),
        (None, Some((Inside::Message | Inside::Keys, outer)), _) => Some(outer),
        (None, None, keys) => keys,
    };
    let texts = other_texts(place);
    if matches!(values, Values::One(_)) {
        metrics.extend(texts.clone());
    }
    combined(asset, &metrics, [in_row, row_names, texts].concat(), keys, label)
}

/// The plain naming, then those that say more.
fn combined<'m>(
    asset: Option<Text<'m>>,
    metrics: &[Text<'m>],
    in_row: Vec<Text<'m>>,
    keys: Option<Text<'m>>,
    label: Option<Text<'m>>,
) -> Vec<Names<'m>> {
    let metric = metrics.first().cloned();
    let mut all = vec![Names { asset: asset.clone(), metric: metric.clone() }];
    let mut also = |asset: Option<Text<'m>>, metric: Option<Text<'m>>| {
        let names = Names { asset, metric };
        if !all.contains(&names) {
            all.push(names);
        }
    };
    let joined = |first: &Option<Text<'m>>, second: &Text<'m>| match first {
        Some(first) if first != second => Some(first.then(second)),
        Some(_) | None => Some(second.clone()),
    };
    for more in &in_row {
        also(joined(&asset, more), metric.clone());
    }
    if let (Some(label), Some(metric)) = (&label, &metric) {
        also(asset.clone(), joined(&Some(label.clone()), metric));
    }
    for more in metrics.iter().skip(1).filter(|more| asset.as_ref() != Some(more)) {
        also(asset.clone(), joined(&metric, more));
    }
    if let Some(keys) = &keys {
        also(asset.as_ref().map_or(Some(keys.clone()), |asset| Some(keys.then(asset))), metric.clone());
    }
    for more in metrics.iter().skip(1) {
        also(asset.clone(), Some(more.clone()));
    }
    all
}

/// What is called by these words in the row of a place: in the object of the values, else in the next around it that has one.
fn words_at<'m>(place: &Place<'m>, words: &[&str]) -> Vec<Text<'m>> {
    // A number within an entry says less than the key of that entry.
    let is_number =
        |member: &Member<'m>| matches!(&*member.plain, "id" | "addr" | "address" | "code" | "n" | "k" | "ch");
    let is_keyed = place.own_key().is_some();
    let row = place.owners.iter().filter(|owner| owner.n_loops == place.loops.len());
    let mut texts = row.map(|owner| {
        let is_word = |member: &&Member<'m>, word: &str| member.plain == word && owner.names(member, words);
        let of = |word: &&str| owner.members.iter().find(|member| is_word(member, word));
        let members = words.iter().filter_map(of).filter(|member| !(is_keyed && is_number(member)));
        members.map(|member| Text::member(owner, member)).collect::<Vec<Text<'m>>>()
    });
    texts.find(|texts| !texts.is_empty()).unwrap_or_default()
}

/// Texts beside the values that no word is known for: each row has its own, so that they may be its name.
fn other_texts<'m>(place: &Place<'m>) -> Vec<Text<'m>> {
    let Some(owner) = place.owners.first() else { return Vec::new() };
    let is_own = |member: &&Member<'m>| {
        let texts: HashSet<&str> = member.samples.iter().filter_map(|sample| sample.as_str()).collect();
        let is_known = [&ASSETS[..], &NAMES, &UNITS, &QUALITIES].iter().any(|words| words.contains(&&*member.plain));
        texts.len() > 1
            && texts.len() == member.samples.len()
            && member.time.is_none()
            && !is_known
            && member.is_everywhere()
    };
    owner.members.iter().filter(is_own).map(|member| Text::member(owner, member)).take(2).collect()
}

fn member_keys<'m>(place: &Place<'m>) -> Vec<&'m str> {
    place.owners.first().map(|owner| owner.members.iter().map(|member| member.key).collect()).unwrap_or_default()
}

/// Where a name stands that several rows have in common.
#[derive(Debug, Clone, Copy)]
enum Inside {
    /// Within the loops whose keys are names as well.
    Keys,
    /// Around them.
    Message,
}

/// The innermost name of a device around a place.
fn around<'m>(place: &Place<'m>) -> Option<(Inside, Text<'m>)> {
    let named = |owner: &Rc<Owner<'m>>| {
        let member = owner.word(&ASSETS, |member| owner.names(member, &ASSETS))?;
        let is_within = owner.n_keys == place.keys.len() && owner.n_keys > 0;
        Some((if is_within { Inside::Keys } else { Inside::Message }, Text::member(owner, member)))
    };
    place.owners.iter().skip(1).find_map(named)
}

pub(super) fn write<'m>(site: &Site<'m>, names: &Names<'m>, topic: &str) -> Written<'m> {
    let Site { place, values } = site;
    let wanted = match (&names.asset, &names.metric) {
        (Some(_), Some(_)) => Wanted::Nothing,
        (None, Some(_)) => Wanted::Asset,
        (Some(_), None) => Wanted::Metric,
        (None, None) => Wanted::Both,
    };
    let topic = TopicDraft::of(topic, wanted);
    let (mut lines, mut reads) = (String::new(), Vec::new());
    let mut line = |text: String| lines.extend([&text, "\n"]);
    let captures = if topic.filter.contains(['{', '+']) { "  # {…} takes any text of one level" } else { "" };
    line(format!("topics = [{}]{captures}", quoted(&topic.filter)));
    let mut loops = place.loops.clone();
    let inner = place.loop_name();
    let mut here = place.steps.clone();
    let value = match values {
        Values::Bare => "\"$\"".to_owned(),
        Values::One(keys) => {
            reads.extend(keys.iter().map(|key| [&here[..], &[Step::Key(key)]].concat()));
            let paths: Vec<String> = keys.iter().map(|key| quoted(&format!("{}{}", place.path, step(key)))).collect();
            if let [path] = &paths[..] { path.clone() } else { format!("[{}]", paths.join(", ")) }
        }
        Values::Members { skip } => {
            loops.push(place.looped("entries", &format!("{}, skip_non_numeric = true", skipping(skip))));
            here.push(Step::Entry { left_out: Vec::new() });
            quoted(&format!("{inner}.value"))
        }
    };
    if !matches!(values, Values::One(_)) {
        reads.push(here);
    }
    if !loops.is_empty() {
        line(format!("each = [{}]", loops.join(", ")));
    }
    let remarked = |remark: &str| if remark.is_empty() { String::new() } else { format!("  # {remark}") };
    let from_topic = |template: &str| (template.to_owned(), "  # guessed from the topic".to_owned());
    let said = |text: &Text<'m>| (text.template.clone(), remarked(&text.remark));
    let (asset, remark) = names.asset.as_ref().map_or_else(|| from_topic(&topic.asset), said);
    line(format!("asset = {}{remark}", quoted(&asset)));
    let (metric, _) = names.metric.as_ref().map_or_else(|| from_topic(&topic.metric), said);
    line(format!("metric = {}", quoted(&metric)));
    line(format!("value = {value}"));
    reads.extend([&names.asset, &names.metric].into_iter().flatten().flat_map(|text| text.reads.clone()));
    for (text, read) in beside(site) {
        line(text);
        reads.extend(read);
    }
    Written { name: topic.name, lines, reads }
}

/// The lines for what stands beside the values: unit, quality, time.
fn beside<'m>(Site { place, values }: &Site<'m>) -> Vec<(String, Vec<Vec<Step<'m>>>)> {
    let mut lines = Vec::new();
    let unit = place.owners.iter().find_map(|owner| {
        let is_text = |member: &Member<'m>| member.samples.iter().all(|sample| sample.is_string());
        owner.word(&UNITS, is_text).map(|member| (owner, member))
    });
    if let Some((owner, member)) = unit {
        let path = quoted(&format!("{{{}{}}}", owner.path, step(member.key)));
        let remark = format!("guessed from the word `{}`", plain_remark(member.key));
        lines.push((format!("unit_hint = {path}  # {remark}"), vec![steps(owner, member)]));
    }
    // Among values a doubtful word is one of them.
    let is_left_out = |key: &str| match values {
        Values::Members { skip } => skip.contains(&key),
        Values::One(_) | Values::Bare => true,
    };
    if let Some(owner) = place.owners.first()
        && let Some((line, member)) = quality(owner).filter(|(_, member)| is_left_out(member.key))
    {
        lines.push((line, vec![steps(owner, member)]));
    }
    lines.extend(times(&place.owners));
    lines
}

/// The times from the inside out, until one is in every row; else that of receipt, and why.
fn times<'m>(owners: &[Rc<Owner<'m>>]) -> Vec<(String, Vec<Vec<Step<'m>>>)> {
    const ZONE: &str = "  # say the gateway's own zone if it is not the pilot's";
    let (mut times, mut reads, mut remark) = (Vec::new(), Vec::new(), "");
    for owner in owners {
        let ranked = owner.members.iter().filter_map(|member| {
            let (rank, looks) = member.time.as_ref()?;
            Some((rank, member, format(looks)?))
        });
        let Some((_, member, format)) = ranked.min_by_key(|(rank, _, _)| **rank) else { continue };
        times.push(format!("{{ path = {}, {format} }}", quoted(&format!("{}{}", owner.path, step(member.key)))));
        reads.push(steps(owner, member));
        if matches!(member.time, Some((_, Looks::WallClock { .. }))) {
            remark = ZONE;
        }
        if member.is_everywhere() || times.len() == TIMES_MAX {
            break;
        }
    }
    if !times.is_empty() {
        // What else is a time of the same reading is no value that goes unread.
        let others = owners.iter().flat_map(|owner| owner.members.iter().map(move |member| (owner, member)));
        let others =
            others.filter(|(_, member)| member.time.as_ref().is_some_and(|(_, looks)| format(looks).is_some()));
        reads.extend(others.map(|(owner, member)| steps(owner, member)));
        return vec![(format!("time = [{}]{remark}", times.join(", ")), reads)];
    }
    let mut lines: Vec<(String, Vec<Vec<Step<'m>>>)> = Vec::new();
    for owner in owners {
        for member in &owner.members {
            let looks_so = |sample: &Value| {
                sample.as_str().is_some_and(|text| text.chars().filter(char::is_ascii_digit).count() > 3)
            };
            let sample = member.samples.first().filter(|sample| member.is_time() || looks_so(sample));
            let (Some((_, looks)), Some(sample)) = (&member.time, sample) else { continue };
            let path = format!("{}{}", owner.path, step(member.key));
            let sent = shown(&plain_remark(&sample.as_str().map_or_else(|| sample.to_string(), str::to_owned)));
            let why = match looks {
                Looks::Ambiguous => "may have the day or the month first".to_owned(),
                Looks::Unknown | Looks::Instant { .. } | Looks::Clock { .. } | Looks::WallClock { .. } => {
                    "is in no format that is known here, or no time between 2000 and now".to_owned()
                }
            };
            let path = plain_remark(&path);
            let how = format!("time = [{{ path = {}, format = \"%Y…\", zone = \"pilot\" }}]", quoted(&path));
            lines.push((format!("# `{path}` is {sent}, which {why}; if it is the time, write {how}"), Vec::new()));
        }
    }
    let none = if lines.is_empty() { "no time was found in the message, and " } else { "" };
    let receipt = format!(
        "time = [\"receive\"]  # {none}readings without one are taken only for series that the registry declares as counter or \
         gauge: register them first"
    );
    lines.push((receipt, Vec::new()));
    lines
}

fn format(looks: &Looks) -> Option<String> {
    match looks {
        Looks::Instant { format } => Some(format!("format = {format:?}")),
        Looks::Clock { format } => Some(format!("format = {}", quoted(format))),
        Looks::WallClock { format } => Some(format!("format = {}, zone = \"pilot\"", quoted(format))),
        Looks::Ambiguous | Looks::Unknown => None,
    }
}
