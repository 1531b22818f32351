//! Finds where values stand in a message: the loops that lead there, what names them, and what stands around them.
//!
//! Rows of an array, and members of an object that are built alike, are looked at together: a place stands for all of them,
//! with samples of each member.
//!
//! Invariants:
//! - all that is walked is bounded: nesting, loops, samples of a place, members of an object, places;
//! - a member that says when, of what or how well something was measured is no value.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::times::{Looks, looks};
use super::words::{self, ASSETS, NAMES, QUALITIES, UNITS, VALUES, is_id, is_number, plain, step};
use crate::decode::VALUES_MAX;
use crate::mapping::Received;

/// Loops that lead to an object with values: gateways nest two deep, rarely three.
const LOOPS_MAX: usize = 4;
/// What loops are called, from the outside in; the first needs no `as`.
const LOOP_NAMES: [&str; LOOPS_MAX + 1] = ["row", "part", "item", "cell", "leaf"];
/// Levels of a message that are looked into, so that a payload of nothing but nesting ends soon.
const DEPTH_MAX: usize = 12;
/// Rows of one place that are looked at: what the first of them do not say, a person adds.
const SAMPLES_MAX: usize = 100;
/// Members of one object that are looked at: a message with more values than that is refused.
const MEMBERS_MAX: usize = VALUES_MAX + 100;
/// Members of one object that are compared with each other; those behind them are taken to be like them.
const ALIKE_MAX: usize = 400;
/// Members of one object that are tried as times.
const TIMES_MAX: usize = 100;
/// Members of one object that are looked into one by one.
const BRANCHES_MAX: usize = 24;
/// Members of one object that a loop over it leaves out by name.
const LEFT_OUT_MAX: usize = 12;
/// Places with values, each of which is a rule.
pub(super) const SITES_MAX: usize = 12;

type Members = Map<String, Value>;

/// One step from the message down to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step<'m> {
    Key(&'m str),
    /// Any row of an array.
    Row,
    /// Any entry of an object, but for these.
    Entry {
        left_out: Vec<&'m str>,
    },
}

/// An object, or several that are built alike, with its scalar members.
#[derive(Debug, Clone)]
pub(super) struct Owner<'m> {
    /// As a rule writes it.
    pub(super) path: String,
    pub(super) steps: Vec<Step<'m>>,
    pub(super) members: Vec<Member<'m>>,
    /// How many keys of loops are in sight here.
    pub(super) n_keys: usize,
    /// How many loops lead here.
    pub(super) n_loops: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Member<'m> {
    pub(super) key: &'m str,
    pub(super) plain: String,
    pub(super) samples: Vec<&'m Value>,
    /// Whether each of the objects has it.
    pub(super) coverage: Coverage,
    pub(super) time: Option<(usize, Looks)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    Every,
    Some,
}

/// The key that a loop over entries gives.
#[derive(Debug, Clone)]
pub(super) struct Key<'m> {
    pub(super) path: String,
    pub(super) samples: Vec<&'m str>,
}

/// A place in a message.
#[derive(Debug, Clone)]
pub(super) struct Place<'m> {
    pub(super) path: String,
    pub(super) steps: Vec<Step<'m>>,
    /// Lines of `each`, from the outside in.
    pub(super) loops: Vec<String>,
    pub(super) keys: Vec<Rc<Key<'m>>>,
    /// From the inside out.
    pub(super) owners: Vec<Rc<Owner<'m>>>,
    /// The last key on the way here that says something, and how many keys of loops were in sight there.
    pub(super) label: Option<(&'m str, usize)>,
}

/// How values stand at a place.
#[derive(Debug, Clone)]
pub(super) enum Values<'m> {
    /// The message is one value.
    Bare,
    /// Each object has one value, under one of these keys.
    One(Vec<&'m str>),
    /// The members are the values, but for these.
    Members { skip: Vec<&'m str> },
}

#[derive(Debug, Clone)]
pub(super) struct Site<'m> {
    pub(super) place: Place<'m>,
    pub(super) values: Values<'m>,
}

/// Everything that looks like measured values, from the top down.
pub(super) fn find<'m>(message: &'m Value, received: Received<'m>) -> Vec<Site<'m>> {
    let (path, steps, loops) = ("$".to_owned(), Vec::new(), Vec::new());
    let place = Place { path, steps, loops, keys: Vec::new(), owners: Vec::new(), label: None };
    if words::node(message).is_scalar() {
        return vec![Site { place, values: Values::Bare }];
    }
    let mut finder = Finder { received, sites: Vec::new() };
    finder.at(&place, &[message]);
    finder.sites
}

impl<'m> Place<'m> {
    fn at(&self, key: &'m str) -> Place<'m> {
        let mut place = self.clone();
        place.path.push_str(&step(key));
        place.steps.push(Step::Key(key));
        if !words::is_container(key) {
            place.label = Some((key, place.keys.len()));
        }
        place
    }

    /// What a loop here is called.
    pub(super) fn loop_name(&self) -> &'static str {
        LOOP_NAMES[self.loops.len().min(LOOPS_MAX)]
    }

    /// A loop over this place; `more` are keys of the loop, each with a comma in front.
    pub(super) fn looped(&self, kind: &str, more: &str) -> String {
        let name = self.loop_name();
        let renamed = if self.loops.is_empty() { String::new() } else { format!(", as = {name:?}") };
        format!("{{ {kind} = {}{renamed}{more} }}", words::quoted(&self.path))
    }

    /// Inside the rows of the array here.
    fn in_rows(&self) -> Option<Place<'m>> {
        (self.loops.len() < LOOPS_MAX).then(|| {
            let mut place = self.clone();
            place.path = self.loop_name().to_owned();
            place.steps.push(Step::Row);
            place.loops.push(self.looped("rows", ""));
            place
        })
    }

    /// Inside those members of the object here that have one of these keys; the others are left out.
    fn in_entries(&self, samples: Vec<&'m str>, left_out: &[&'m str]) -> Option<Place<'m>> {
        (self.loops.len() < LOOPS_MAX).then(|| {
            let mut place = self.clone();
            place.path = format!("{}.value", self.loop_name());
            place.steps.push(Step::Entry { left_out: left_out.to_vec() });
            place.loops.push(self.looped("entries", &skipping(left_out)));
            place.keys.push(Rc::new(Key { path: format!("{}.key", self.loop_name()), samples }));
            place
        })
    }

    /// The key by which this very place was reached, if a loop gives it.
    pub(super) fn own_key(&self) -> Option<&Key<'m>> {
        let name = self.path.strip_suffix(".value")?;
        self.keys.last().filter(|key| key.path.strip_suffix(".key") == Some(name)).map(|key| &**key)
    }
}

/// The `skip` of a loop, with a comma in front.
pub(super) fn skipping(keys: &[&str]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let keys: Vec<String> = keys.iter().map(|key| words::quoted(key)).collect();
    format!(", skip = [{}]", keys.join(", "))
}

impl<'m> Owner<'m> {
    /// The first of these words that a member is called by, with what its samples pass.
    pub(super) fn word(&self, words: &[&str], is: impl Fn(&Member<'m>) -> bool) -> Option<&Member<'m>> {
        words.iter().find_map(|word| self.members.iter().find(|member| member.plain == *word && is(member)))
    }

    /// Whether it is the message itself.
    pub(super) fn is_top(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether a member says of what something was measured.
    pub(super) fn names(&self, member: &Member<'m>, words: &[&str]) -> bool {
        let is_register = matches!(&*member.plain, "addr" | "address") && words == ASSETS;
        // An address of a device on its bus has a byte; a greater one is that of a register.
        let is_device = |sample: &&Value| sample.as_u64().is_none_or(|address| address < 256);
        let is_message = self.is_top() && words::is_at_top(&member.plain);
        words.contains(&&*member.plain)
            && !is_message
            && member.samples.iter().all(|sample| is_id(sample))
            && (!is_register || member.samples.iter().all(is_device))
            // What a meter shows is a number; what it is called, rarely.
            && (member.plain != "meter" || member.samples.iter().all(|sample| sample.is_string()))
    }

    /// Whether a member stands beside the values and is none itself.
    fn is_beside(&self, member: &Member<'m>) -> bool {
        // Short words and such as name a machine part are names if they are texts; as numbers they may be measured.
        let is_text = member.samples.iter().all(|sample| sample.is_string());
        let is_doubtful = matches!(&*member.plain, "n" | "k" | "item" | "field" | "point" | "param" | "parameter");
        let is_status = matches!(&*member.plain, "good" | "status" | "valid" | "statuscode" | "q");
        let says_quality = |sample: &&Value| match sample {
            Value::Bool(_) => true,
            Value::String(_) => !is_number(sample),
            Value::Number(code) => code.as_u64().is_some_and(|code| code == 192 || code >= 1 << 30),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        let is_message = self.is_top() && words::is_at_top(&member.plain);
        member.is_time()
            || (is_message && !matches!(&*member.plain, "n" | "k"))
            || words::is_sequence(&member.plain)
            || UNITS.contains(&&*member.plain)
            || (QUALITIES.contains(&&*member.plain) && (!is_status || member.samples.iter().all(says_quality)))
            || self.names(member, &ASSETS)
            || (self.names(member, &NAMES) && (is_text || !is_doubtful))
    }
}

impl Member<'_> {
    pub(super) fn is_numeric(&self) -> bool {
        self.samples.iter().any(|sample| is_number(sample))
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.coverage == Coverage::Every
    }

    /// Whether it is a time, or at least called one.
    pub(super) fn is_time(&self) -> bool {
        match &self.time {
            Some((_, Looks::Unknown)) => {
                // A clock that is not set in one row is one in the others.
                let is_late = |sample: &&Value| sample.as_f64().is_some_and(|time| time >= 1e9);
                words::is_strictly_time(&self.plain) || self.samples.iter().any(is_late)
            }
            Some((_, Looks::Instant { .. } | Looks::Clock { .. } | Looks::WallClock { .. } | Looks::Ambiguous)) => true,
            None => false,
        }
    }
}

struct Finder<'m> {
    received: Received<'m>,
    sites: Vec<Site<'m>>,
}

impl<'m> Finder<'m> {
    fn at(&mut self, place: &Place<'m>, samples: &[&'m Value]) {
        if place.steps.len() > DEPTH_MAX {
            return;
        }
        let objects: Vec<&Members> = samples.iter().filter_map(|sample| sample.as_object()).take(SAMPLES_MAX).collect();
        if !objects.is_empty() {
            self.objects(place, &objects);
        }
        let rows = samples.iter().filter_map(|sample| sample.as_array()).flatten();
        let rows: Vec<&Members> = rows.filter_map(Value::as_object).take(SAMPLES_MAX).collect();
        if let Some(inner) = place.in_rows().filter(|_| !rows.is_empty()) {
            self.objects(&inner, &rows);
        }
    }

    fn objects(&mut self, place: &Place<'m>, objects: &[&'m Members]) {
        let mut members: BTreeMap<&'m str, Vec<&'m Value>> = BTreeMap::new();
        for object in objects {
            for (key, value) in object.iter().take(MEMBERS_MAX) {
                members.entry(key).or_default().push(value);
            }
        }
        let mut place = place.clone();
        let owner = self.owner(&place, &members, objects.len());
        for (key, header) in
            members.iter().filter_map(|(key, samples)| header(key, samples).map(|header| (*key, header)))
        {
            let inner = header.iter().map(|(key, value)| (key.as_str(), vec![value])).collect();
            let header = self.owner(&place.at(key), &inner, 1);
            place.owners.insert(0, Rc::new(header));
        }
        let values = values(&owner, place.own_key().is_some());
        place.owners.insert(0, Rc::new(owner));
        if let Some(values) = values.filter(|_| self.sites.len() < SITES_MAX) {
            self.sites.push(Site { place: place.clone(), values });
        }
        members.retain(|key, samples| {
            samples.iter().any(|sample| sample.is_object() || sample.is_array()) && header(key, samples).is_none()
        });
        // Keys that are instants name nothing, and no rule reads them.
        let is_instant = |key: &&str| key.parse::<u64>().is_ok_and(|number| number >= 1_000_000_000);
        members.retain(|key, _| !is_instant(key));
        if let Some((group, left_out)) = alike(&members)
            && let Some(inner) = place.in_entries(group.iter().copied().collect(), &left_out)
        {
            let samples: Vec<&Value> =
                group.iter().filter_map(|key| members.get(key)).flatten().copied().take(SAMPLES_MAX).collect();
            self.at(&inner, &samples);
            members.retain(|key, _| left_out.contains(key));
        }
        for (key, samples) in members.iter().take(BRANCHES_MAX) {
            if self.sites.len() < SITES_MAX {
                self.at(&place.at(key), samples);
            }
        }
    }

    fn owner(&self, place: &Place<'m>, members: &BTreeMap<&'m str, Vec<&'m Value>>, n: usize) -> Owner<'m> {
        let (mut scalars, mut n_times) = (Vec::new(), 0);
        for (key, samples) in members {
            let coverage = if samples.len() == n { Coverage::Every } else { Coverage::Some };
            let samples: Vec<&Value> =
                samples.iter().copied().filter(|sample| words::node(sample).is_scalar()).collect();
            if samples.is_empty() {
                continue;
            }
            let plain = plain(key);
            let rank = words::time_rank(&plain).filter(|_| n_times < TIMES_MAX);
            n_times += usize::from(rank.is_some());
            let time = rank.map(|rank| (rank, looks(&samples, self.received)));
            scalars.push(Member { key, plain, samples, coverage, time });
        }
        let (path, steps) = (place.path.clone(), place.steps.clone());
        Owner { path, steps, members: scalars, n_keys: place.keys.len(), n_loops: place.loops.len() }
    }
}

/// The object that says something of all around it, if this member is one.
fn header<'m>(key: &str, samples: &[&'m Value]) -> Option<&'m Members> {
    let object = samples.iter().find_map(|sample| sample.as_object())?;
    (words::is_header(key) || words::is_sender(key, object)).then_some(object)
}

/// How values stand among the members of an object, if they do. `has_key`: a loop names it.
fn values<'m>(owner: &Owner<'m>, has_key: bool) -> Option<Values<'m>> {
    let numeric = || owner.members.iter().filter(|member| member.is_numeric());
    let mut ones: Vec<&str> = Vec::new();
    for word in VALUES {
        ones.extend(numeric().filter(|member| member.plain == word).map(|member| member.key));
    }
    let is_quality = |member: &Member<'m>| !ones.is_empty() && QUALITIES.contains(&&*member.plain);
    let is_other = |member: &Member<'m>| !ones.contains(&member.key) && !owner.is_beside(member) && !is_quality(member);
    let others = numeric().filter(|member| is_other(member)).count();
    let has_name = owner.members.iter().any(|member| owner.names(member, &NAMES));
    let is_plain_one = ones.iter().any(|key| plain(key) != "v");
    if !ones.is_empty() && (others == 0 || (is_plain_one && (has_name || has_key))) {
        return Some(Values::One(ones));
    }
    let skip = owner.members.iter().filter(|member| owner.is_beside(member)).map(|member| member.key).collect();
    (others + ones.len() > 0).then_some(Values::Members { skip })
}

/// Of the members that hold something, those that are built alike, so that their keys are names; and the others.
fn alike<'m>(members: &BTreeMap<&'m str, Vec<&'m Value>>) -> Option<(BTreeSet<&'m str>, Vec<&'m str>)> {
    let mut forms: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    let mut group = BTreeSet::new();
    for (key, samples) in members.iter().take(ALIKE_MAX) {
        let Some(sample) = samples.iter().find_map(|sample| inside(sample)) else { continue };
        let has_value = sample.iter().any(|(key, value)| VALUES.contains(&&*plain(key)) && is_number(value));
        if has_value && samples.iter().any(|sample| sample.is_object()) && !words::is_container(key) {
            group.insert(*key);
        }
        let is_speaking = |key: &str| {
            let key = plain(key);
            words::time_rank(&key).is_none() && !words::is_sequence(&key) && !NAMES.contains(&&*key)
        };
        let is_inner = |value: &Value| is_number(value) || value.is_object() || value.is_array();
        let form = sample.iter().take(SAMPLES_MAX).filter(|(key, value)| is_speaking(key) && is_inner(value));
        forms.push((key, form.map(|(key, _)| key.as_str()).collect()));
    }
    if group.is_empty() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        forms.iter().flat_map(|(_, form)| form).for_each(|key| *counts.entry(key).or_default() += 1);
        let is_shared = |form: &BTreeSet<&str>| form.iter().any(|key| counts.get(key).is_some_and(|count| *count > 1));
        group = forms.iter().filter(|(_, form)| is_shared(form)).map(|(key, _)| *key).collect();
    }
    let left_out: Vec<&str> = members.keys().take(ALIKE_MAX).copied().filter(|key| !group.contains(key)).collect();
    let is_found = !group.is_empty();
    group.extend(members.keys().skip(ALIKE_MAX));
    (is_found && left_out.len() <= LEFT_OUT_MAX).then_some((group, left_out))
}

/// The object itself, or the first of an array if its rows say nothing of their own names: then the key around them does.
fn inside(value: &Value) -> Option<&Members> {
    let is_name = |key: &String| {
        let key = plain(key);
        NAMES.contains(&&*key) || ASSETS.contains(&&*key)
    };
    match value {
        Value::Object(members) => Some(members),
        Value::Array(rows) => {
            let row = rows.iter().find_map(Value::as_object)?;
            (!row.keys().any(is_name)).then_some(row)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
