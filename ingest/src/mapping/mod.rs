//! Mappings: from the JSON and text dialects of other gateways to named values, by rules in TOML files.
//!
//! A file holds rules, dictionaries and `[[metric]]` hints; built-in profiles are such files. `file` is the language, `plan`
//! what it compiles to, `intake` turns bytes into a `tape`, and `run` walks that with the rules that take the topic.
//!
//! Invariants:
//! - nothing is allocated per value but in the arena of the message;
//! - every regex and every payload is bounded; a mapping with a mistake is refused with file, line and what would be right;
//! - the rules of a person go first: where one of them takes a message, no built-in rule is tried.

mod builtin;
mod compile;
pub(crate) mod csv;
mod dictionary;
mod draft;
mod file;
mod influx;
mod intake;
mod path;
mod plan;
mod run;
mod shape;
pub(crate) mod tape;
pub(crate) mod time;
mod topic;
mod transform;
mod vectors;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use bumpalo::Bump;
use jiff::tz::TimeZone;
use model::registry::Mistake;
use model::{PilotId, Quality, Reason, UnixMillis};

pub use self::dictionary::Dictionaries;
pub(crate) use self::draft::draft;
use self::plan::{Compiled, Fixed, Intake, Output, Rule};
use self::run::{Applied, FindMetric, Scene};
pub(crate) use self::shape::number_in;
use self::tape::Tape;
use self::topic::{Topic, glob};
use crate::decode::{Message, Origin, Undecodable, shown};
use crate::normalize::Passage;

/// Compiled mapping files: those of a person first, then the built-in profiles. Cheap to clone.
#[derive(Clone, Default)]
pub struct Mappings {
    all: Arc<All>,
}

#[derive(Default)]
struct All {
    own: Vec<Compiled>,
    builtin: Arc<Vec<Compiled>>,
    /// Names of built-in rules that a rule of a person replaces.
    replaced: BTreeSet<String>,
    fixed: Fixed,
}

/// A message as a rule sees it.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) pilot: &'a PilotId,
    /// The pilot's zone: `zone = "pilot"` in a rule.
    pub(crate) zone: &'a TimeZone,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) received_at: UnixMillis,
    pub(crate) client: &'a str,
    pub(crate) login: &'a str,
}

/// What `[[metric]]` proposes for a name, for `rejected --suggest`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposal {
    pub quantity: Option<String>,
    pub kind: Option<String>,
    pub unit: Option<String>,
    pub rollover: Option<f64>,
}

/// The built-in profiles, compiled once, and what is wrong with them: nothing, as a test shows.
fn builtin_files() -> &'static (Arc<Vec<Compiled>>, Vec<Mistake>) {
    static FILES: OnceLock<(Arc<Vec<Compiled>>, Vec<Mistake>)> = OnceLock::new();
    FILES.get_or_init(|| {
        let (mut files, mut mistakes) = (Vec::new(), Vec::new());
        for (file, text) in builtin::FILES {
            match compile::compile(file, text, &BTreeSet::new()) {
                Ok(compiled) => files.push(compiled),
                Err(found) => mistakes.extend(found),
            }
        }
        (Arc::new(files), mistakes)
    })
}

impl Mappings {
    /// The built-in profiles alone.
    pub fn builtin() -> Mappings {
        Mappings::assembled(Vec::new())
    }

    /// Compiles `(file, text)`s; their rules go before the built-in ones: where one of them takes a message, no built-in rule
    /// is tried. A rule with the name of a built-in one replaces it.
    ///
    /// # Errors
    /// Every mistake of every file, with line, caret and what would be right.
    pub fn load(files: Vec<(String, String)>) -> Result<Mappings, Vec<Mistake>> {
        let builtin = &builtin_files().0;
        let known: BTreeSet<String> = builtin.iter().flat_map(|file| file.dictionaries.iter().cloned()).collect();
        let (mut own, mut mistakes) = (Vec::new(), Vec::new());
        for (file, text) in files {
            match compile::compile(&file, &text, &known) {
                Ok(compiled) => own.push(compiled),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(Mappings::assembled(own)) } else { Err(mistakes) }
    }

    fn assembled(own: Vec<Compiled>) -> Mappings {
        let builtin = Arc::clone(&builtin_files().0);
        let replaced = own.iter().flat_map(|file| file.rules.iter().map(|rule| rule.name.clone())).collect();
        let mut fixed = Fixed::new();
        for file in builtin.iter().chain(&own) {
            for (name, entries) in &file.fixed {
                let all = fixed.entry(name.clone()).or_default();
                all.extend(entries.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        Mappings { all: Arc::new(All { own, builtin, replaced, fixed }) }
    }

    /// The built-in profiles as `(name, text)`: to read, or to copy a rule from.
    pub fn profiles() -> impl Iterator<Item = (&'static str, &'static str)> {
        builtin::FILES.iter().map(|(file, text)| (file.trim_end_matches(".toml"), *text))
    }

    /// Runs every `[[rule.test]]`; a mistake for each that does not give what it expects.
    pub fn test(&self) -> Vec<Mistake> {
        let mut mistakes = builtin_files().1.clone();
        let builtin = Mappings::builtin();
        for (mappings, files) in [(&builtin, &**self.all.builtin), (self, &self.all.own[..])] {
            mistakes.extend(files.iter().flat_map(|file| vectors::run(mappings, file)));
        }
        mistakes
    }

    /// How many rules and `[[rule.test]]`s the files of a person have.
    pub fn n_own(&self) -> (usize, usize) {
        let rules = self.all.own.iter().map(|file| file.rules.len()).sum();
        (rules, self.all.own.iter().map(|file| file.tests.len()).sum())
    }

    /// What a `[[metric]]` proposes for this name: the first of a person's files, else what all built-in profiles that know
    /// the name agree in, for a name alone does not say which dialect it is of.
    pub fn proposal(&self, name: &str) -> Option<Proposal> {
        let own = self.all.own.iter().find_map(|file| file.metrics.find(name));
        if let Some(own) = own {
            return Some(own.proposal.clone());
        }
        let knowing = self.all.builtin.iter().filter_map(|file| file.metrics.find(name));
        let mut proposals = knowing.map(|metric| &metric.proposal);
        let first = proposals.next()?;
        proposals.all(|other| other == first).then(|| first.clone())
    }

    /// Takes up what a message teaches, without its readings: for bytes that were kept for this. Says whether it taught.
    pub fn learn(&self, pilot: &PilotId, topic: &str, payload: &[u8], dictionaries: &Dictionaries) -> bool {
        let (arena, zone, received_at) = (Bump::new(), TimeZone::UTC, UnixMillis(0));
        let received = Received { pilot, zone: &zone, topic, payload, received_at, client: "", login: "" };
        let message = self.decode(received, dictionaries, &arena, Passage::Live);
        message.is_ok_and(|message| message.origin.teaches)
    }

    /// How many readings and events a message gives: what the benchmark measures.
    pub fn count(
        &self,
        pilot: &PilotId,
        topic: &str,
        payload: &[u8],
        received_at: UnixMillis,
        dictionaries: &Dictionaries,
    ) -> usize {
        let (arena, zone) = (Bump::new(), TimeZone::UTC);
        let received = Received { pilot, zone: &zone, topic, payload, received_at, client: "", login: "" };
        let message = self.decode(received, dictionaries, &arena, Passage::Again);
        message.map_or(0, |message| message.readings.len() + message.orders.len())
    }

    /// Whether any file has a `[[sparkplug]]`.
    pub(crate) fn has_sparkplug(&self) -> bool {
        self.all.own.iter().chain(self.all.builtin.iter()).any(|file| !file.sparkplug.is_empty())
    }

    /// The name of a Sparkplug metric, without what `[[sparkplug]]` strips for this `group/edge`.
    pub(crate) fn sparkplug_rename<'a>(&'a self, node: &str, name: &'a str) -> &'a str {
        let Some(strip) = self.sparkplug(node).find_map(|plan| plan.strip.as_ref()) else { return name };
        match strip.find(name) {
            Some(found) if found.start() == 0 && found.end() < name.len() => &name[found.end()..],
            Some(_) | None => name,
        }
    }

    /// What `[[sparkplug]]` says of a quality code of this `group/edge`.
    pub(crate) fn sparkplug_quality(&self, node: &str, code: i64) -> Option<Quality> {
        let mut codes = self.sparkplug(node).flat_map(|plan| &plan.quality);
        codes.find(|(known, _)| *known == code).map(|(_, quality)| *quality)
    }

    fn sparkplug(&self, node: &str) -> impl Iterator<Item = &plan::Sparkplug> {
        let files = self.all.own.iter().chain(self.all.builtin.iter());
        files.flat_map(|file| &file.sparkplug).filter(move |plan| plan.nodes.iter().any(|pattern| glob(pattern, node)))
    }

    /// Whether the topic filter of any rule takes this topic.
    pub(crate) fn takes(&self, topic: &str) -> bool {
        let topic = Topic::new(topic);
        let takes = |rule: &Rule| run::captures(rule, &topic).is_some();
        let All { own, builtin, replaced, .. } = &*self.all;
        own.iter().flat_map(|file| &file.rules).any(takes)
            || builtin.iter().flat_map(|file| &file.rules).any(|rule| !replaced.contains(&rule.name) && takes(rule))
    }

    /// Applies every rule that takes the message.
    pub(crate) fn decode<'a>(
        &'a self,
        received: Received<'a>,
        dictionaries: &'a Dictionaries,
        arena: &'a Bump,
        passage: Passage,
    ) -> Result<Message<'a>, Undecodable> {
        let All { own, builtin, replaced, fixed } = &*self.all;
        let scene = Scene { received, arena, dictionaries, fixed, passage };
        let mut attempt = Attempt::new(&scene);
        let own_metric = |name: &str| own.iter().find_map(|file| file.metrics.find(name));
        for file in own {
            for rule in &file.rules {
                attempt.rule(rule, &own_metric)?;
            }
        }
        if !attempt.is_taken() {
            for file in builtin.iter() {
                let metric = |name: &str| own_metric(name).or_else(|| file.metrics.find(name));
                for rule in file.rules.iter().filter(|rule| !replaced.contains(&rule.name)) {
                    attempt.rule(rule, &metric)?;
                }
            }
        }
        attempt.finish()
    }
}

/// Readings that a message has room for at first: most have fewer, and growing copies them.
const READINGS_FIRST: usize = 32;

/// The rules that a message is tried with, and what came out so far.
struct Attempt<'s, 'a> {
    scene: &'s Scene<'s, 'a>,
    topic: Topic<'a>,
    /// The payload as the last rule read it: most rules read it alike.
    tape: Option<(&'a Intake, Tape<'a>)>,
    message: Message<'a>,
    declined: Vec<String>,
    unreadable: Option<Undecodable>,
    /// What the first filter says that failed: it counts only if no rule takes the message.
    failed: Option<Undecodable>,
}

impl<'s, 'a> Attempt<'s, 'a> {
    fn new(scene: &'s Scene<'s, 'a>) -> Attempt<'s, 'a> {
        let (readings, orders) = (Vec::with_capacity(READINGS_FIRST), Vec::new());
        let message = Message { at: None, sequence: None, readings, orders, origin: Origin::default() };
        let topic = Topic::new(scene.received.topic);
        Attempt { scene, topic, tape: None, message, declined: Vec::new(), unreadable: None, failed: None }
    }

    fn is_taken(&self) -> bool {
        !self.message.origin.rules.is_empty()
    }

    fn rule(&mut self, rule: &'a Rule, metric: FindMetric<'_, 'a>) -> Result<(), Undecodable> {
        let Some(captures) = run::captures(rule, &self.topic) else { return Ok(()) };
        if self.tape.as_ref().is_none_or(|(intake, _)| **intake != rule.intake) {
            match intake::read(&rule.intake, self.scene.received.payload, self.scene.arena) {
                Ok(tape) => self.tape = Some((&rule.intake, tape)),
                Err(error) => {
                    self.unreadable.get_or_insert(error);
                    return Ok(());
                }
            }
        }
        let Some((_, tape)) = &self.tape else { return Ok(()) };
        let applied = match &rule.transform {
            None => run::run(rule, self.scene, (tape, &captures), metric, &mut self.message)?,
            Some(filter) => match filter.run(tape, self.scene.arena) {
                Ok(outputs) => run_each(rule, self.scene, (&outputs, &captures), metric, &mut self.message)?,
                Err(error) => {
                    self.failed.get_or_insert(error.of(&rule.label));
                    return Ok(());
                }
            },
        };
        match applied {
            Applied::No(why) => self.declined.push(format!("{}: {why}", rule.label)),
            Applied::Yes => {
                let origin = &mut self.message.origin;
                origin.rules.push(Cow::Borrowed(&rule.label));
                let is_dictionary = matches!(rule.output, Output::Teach { .. });
                let first = captures.first().copied().flatten().filter(|_| origin.source.is_none() && !is_dictionary);
                if let Some(first) = first {
                    origin.source = Some(Cow::Borrowed(first));
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Message<'a>, Undecodable> {
        let Attempt { scene, message, declined, unreadable, failed, .. } = self;
        let undecodable = |reason, detail| Err(Undecodable { reason, detail, sequence: None });
        let topic = shown(scene.received.topic);
        let origin = &message.origin;
        // A filter that failed had read the message, which says more than that another rule could not.
        match (origin.rules.first(), failed.or(unreadable)) {
            (None, Some(refusal)) => Err(refusal),
            (None, None) if declined.is_empty() => {
                undecodable(Reason::NoRule, format!("no mapping takes topic {topic}"))
            }
            (None, None) => {
                let detail = format!("rules take topic {topic}, but none this message: {}", declined.join("; "));
                undecodable(Reason::NoRule, detail)
            }
            (Some(rule), _)
                if message.readings.is_empty()
                    && message.orders.is_empty()
                    && origin.n_ignored == 0
                    && !origin.carries_state =>
            {
                undecodable(Reason::Empty, format!("{rule}: nothing in the message is a value"))
            }
            (Some(_), _) => Ok(message),
        }
    }
}

/// Runs a rule over every message that its `transform` made of one; it takes the message if it takes one of them.
fn run_each<'a>(
    rule: &'a Rule,
    scene: &Scene<'_, 'a>,
    (outputs, captures): (&[Tape<'a>], &[Option<&'a str>]),
    metric: FindMetric<'_, 'a>,
    message: &mut Message<'a>,
) -> Result<Applied, Undecodable> {
    let mut all = Applied::No("`transform` gives nothing".to_owned());
    for output in outputs {
        match (run::run(rule, scene, (output, captures), metric, message)?, &all) {
            (Applied::No(_), Applied::Yes) => {}
            (applied @ (Applied::Yes | Applied::No(_)), Applied::Yes | Applied::No(_)) => all = applied,
        }
    }
    Ok(all)
}

impl Undecodable {
    /// The same, with the rule that says it.
    fn of(self, rule: &str) -> Undecodable {
        Undecodable { detail: format!("{rule}: {}", self.detail), ..self }
    }
}

#[cfg(test)]
mod dialect_tests;
#[cfg(test)]
mod tests;
