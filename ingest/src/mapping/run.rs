//! Runs the rules over one message: filters, conditions, loops, and what each row gives.
//!
//! Invariants:
//! - a row that cannot be read is refused by itself; its neighbours come out;
//! - the number of rows walked and of values is bounded, whatever the loops multiply;
//! - a time that was sent is never replaced by the time of receipt.

mod row;

use bumpalo::Bump;
use model::{Reason, UnixMillis, Value};
use regex::CaptureLocations;

use super::Received;
use super::dictionary::Dictionaries;
use super::file::Scalar;
use super::path::{Forge, Frame, Miss, Sight, Template};
use super::plan::{Fixed, Loop, LoopKind, Metric, Output, Rule, When};
use super::shape::number;
use super::tape::{Node, Place, Tape};
use super::topic::Topic;
use crate::decode::{Message, Undecodable, VALUES_MAX};
use crate::normalize::Passage;

/// Rows that the loops of one message walk: twenty times what may come out. Only loops within each other over the same
/// list get there: `too_many_values`.
const ROWS_MAX: usize = 20 * VALUES_MAX;
/// Levels that `flatten` walks down; JSON itself nests at most 128.
const FLATTEN_MAX: usize = 128;

/// Whether a rule took the message, or why not.
pub(super) enum Applied {
    Yes,
    No(String),
}

/// What all rules have in common for one message.
pub(super) struct Scene<'r, 'a> {
    pub(super) received: Received<'a>,
    pub(super) arena: &'a Bump,
    pub(super) dictionaries: &'r Dictionaries,
    pub(super) fixed: &'r Fixed,
    pub(super) passage: Passage,
}

/// Matches a rule's filters; what they capture, if one does.
pub(super) fn captures<'a>(rule: &Rule, topic: &Topic<'a>) -> Option<Vec<Option<&'a str>>> {
    let mut captures = Vec::new();
    let wanted = |index, text: &str| {
        rule.levels.iter().filter(|(level, _)| *level == index).all(|(_, regex)| regex.is_match(text))
    };
    for filter in &rule.filters {
        captures.clear();
        captures.resize(rule.n_captures, None);
        if filter.matches(topic, &wanted, &mut captures) {
            return Some(captures);
        }
    }
    None
}

/// What a row gives is found with the `[[metric]]`s of its file.
pub(super) type FindMetric<'f, 'a> = &'f dyn Fn(&str) -> Option<&'a Metric>;

/// Runs one rule whose filter took the topic.
pub(super) fn run<'a>(
    rule: &'a Rule,
    scene: &Scene<'_, 'a>,
    (tape, captures): (&Tape<'a>, &[Option<&'a str>]),
    metrics: FindMetric<'_, 'a>,
    message: &mut Message<'a>,
) -> Result<Applied, Undecodable> {
    let Received { client, login, .. } = scene.received;
    let forge = Forge {
        arena: scene.arena,
        scratch: String::with_capacity(64),
        pilot: scene.received.pilot,
        dictionaries: scene.dictionaries,
        fixed: scene.fixed,
    };
    let mut run = Run {
        rule,
        scene,
        tape,
        captures,
        client,
        login,
        metrics,
        forge,
        frames: vec![Frame::default(); rule.each.len()],
        groups: Vec::new(),
        locations: rule.split.as_ref().map(|split| split.regex.capture_locations()),
        asset: None,
        time: None,
        n_rows: 0,
        message,
    };
    if let Some(why) = run.declines() {
        return Ok(Applied::No(why));
    }
    run.walk(0)?;
    Ok(Applied::Yes)
}

/// The time of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timed {
    At(UnixMillis),
    /// None was sent, and the rule allows the time of receipt.
    Receipt,
    /// None was sent or none could be read.
    Missing,
}

impl Timed {
    fn at(self) -> Option<UnixMillis> {
        match self {
            Timed::At(at) => Some(at),
            Timed::Receipt | Timed::Missing => None,
        }
    }
}

struct Run<'r, 'a> {
    rule: &'a Rule,
    scene: &'r Scene<'r, 'a>,
    tape: &'r Tape<'a>,
    captures: &'r [Option<&'a str>],
    client: &'a str,
    login: &'a str,
    metrics: FindMetric<'r, 'a>,
    forge: Forge<'r, 'a>,
    frames: Vec<Frame<'a>>,
    groups: Vec<Option<&'a str>>,
    locations: Option<CaptureLocations>,
    /// Kept where it is the same in every row.
    asset: Option<&'a str>,
    time: Option<Timed>,
    n_rows: usize,
    message: &'r mut Message<'a>,
}

impl<'a> Run<'_, 'a> {
    fn sight(&self) -> Sight<'_, 'a> {
        let Run { tape, captures, frames, groups, client, login, .. } = self;
        Sight { tape, captures, frames, groups, client, login }
    }

    /// Builds a text in this row.
    fn text(&mut self, template: &'a Template) -> Result<&'a str, Miss> {
        let Run { tape, captures, frames, groups, client, login, forge, .. } = self;
        template.build(&Sight { tape, captures, frames, groups, client, login }, forge)
    }

    /// A text that may be missing.
    fn optional(&mut self, template: Option<&'a Template>) -> Result<Option<&'a str>, Miss> {
        match template.map(|template| self.text(template)) {
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(Miss::Path(_))) | None => Ok(None),
            Some(Err(miss)) => Err(miss),
        }
    }

    /// Why the rule does not take this message.
    fn declines(&self) -> Option<String> {
        let sight = self.sight();
        for when in &self.rule.when {
            match when {
                When::Exists(path) if sight.node(path).is_none() => {
                    return Some(format!("`{}` is not there", path.text));
                }
                When::Without(path) if sight.node(path).is_some() => return Some(format!("`{}` is there", path.text)),
                When::Is(path, wanted)
                    if !sight.node(path).is_some_and(|node| wanted.iter().any(|wanted| is(node, wanted))) =>
                {
                    return Some(format!("`{}` is not what the rule wants", path.text));
                }
                When::Exists(_) | When::Without(_) | When::Is(..) => {}
            }
        }
        if let Some(Loop { over, kind }) = self.rule.each.first() {
            let node = sight.node(over);
            return match (kind, node) {
                (LoopKind::Rows { .. }, Some(Node::Array { .. }))
                | (LoopKind::Entries { .. }, Some(Node::Object { .. })) => None,
                (LoopKind::Rows { .. }, node) => Some(format!("`{}` is {}, not an array", over.text, kind_of(node))),
                (LoopKind::Entries { .. }, node) => {
                    Some(format!("`{}` is {}, not an object", over.text, kind_of(node)))
                }
            };
        }
        if let Output::Reading(plan) = &self.rule.output {
            let is_there = plan.value.iter().chain(&plan.bad_if).any(|path| sight.node(path).is_some());
            if !is_there {
                return plan.value.first().map(|path| format!("`{}` is not there", path.text));
            }
        }
        None
    }

    fn walk(&mut self, depth: usize) -> Result<(), Undecodable> {
        let rule = self.rule;
        let Some(Loop { over, kind }) = rule.each.get(depth) else { return self.emit() };
        let Some(base) = self.sight().place(over) else { return Ok(()) };
        match kind {
            LoopKind::Rows { .. } => {
                let tape = self.tape;
                for (index, place) in (0u32..).zip(tape.elements(base)) {
                    self.row()?;
                    self.frames[depth] = Frame { place, key: "", index: Some(index) };
                    self.walk(depth + 1)?;
                }
                Ok(())
            }
            LoopKind::Entries { flatten, .. } => self.entries(depth, kind, base, (flatten.as_deref(), "", 0)),
        }
    }

    fn row(&mut self) -> Result<(), Undecodable> {
        self.n_rows += 1;
        if self.n_rows > ROWS_MAX {
            let detail = format!("{}: its loops walk more than {ROWS_MAX} rows", self.rule.label);
            return Err(Undecodable { reason: Reason::TooManyValues, detail, sequence: None });
        }
        Ok(())
    }

    /// The entries of an object; with `flatten` those of the objects in it, under the joined keys.
    fn entries(
        &mut self,
        depth: usize,
        kind: &'a LoopKind,
        base: Place,
        (joint, prefix, level): (Option<&'a str>, &'a str, usize),
    ) -> Result<(), Undecodable> {
        let LoopKind::Entries { skip, skip_non_numeric, spread_arrays, .. } = kind else { return Ok(()) };
        let tape = self.tape;
        let shadowed = shadowed(tape, base);
        for (key, place) in tape.entries(base) {
            if shadowed.binary_search(&place).is_ok() || (level == 0 && skip.iter().any(|skipped| skipped == key)) {
                continue;
            }
            self.row()?;
            let key = match joint {
                Some(joint) if level > 0 => self.joined(prefix, joint, key),
                Some(_) | None => key,
            };
            let node = tape.at(place);
            if let (Some(joint), Node::Object { .. }) = (joint, node) {
                let is_skipped = level > 0 && skip.iter().any(|skipped| skipped == key);
                if level < FLATTEN_MAX && !is_skipped {
                    self.entries(depth, kind, place, (Some(joint), key, level + 1))?;
                }
                continue;
            }
            if level > 0 && skip.iter().any(|skipped| skipped == key) {
                continue;
            }
            if *spread_arrays && matches!(node, Node::Array { .. }) {
                for (index, place) in (0u32..).zip(tape.elements(place)) {
                    self.row()?;
                    if !*skip_non_numeric || is_numeric(tape.at(place)) {
                        self.frames[depth] = Frame { place, key, index: Some(index) };
                        self.walk(depth + 1)?;
                    }
                }
                continue;
            }
            if !*skip_non_numeric || is_numeric(node) {
                self.frames[depth] = Frame { place, key, index: None };
                self.walk(depth + 1)?;
            }
        }
        Ok(())
    }

    fn joined(&mut self, prefix: &str, joint: &str, key: &str) -> &'a str {
        let out = &mut self.forge.scratch;
        out.clear();
        out.push_str(prefix);
        out.push_str(joint);
        out.push_str(key);
        self.forge.arena.alloc_str(out)
    }
}

fn kind_of(node: Option<Node<'_>>) -> &'static str {
    node.map_or("missing", Node::kind)
}

/// A number, also one in a text, or a boolean.
fn is_numeric(node: Node<'_>) -> bool {
    number(node).is_some()
}

/// Whether a node is this scalar of the mapping file.
fn is(node: Node<'_>, wanted: &Scalar) -> bool {
    match wanted {
        Scalar::Text(text) => matches!(node, Node::Text(sent) if sent == text),
        Scalar::Bool(value) => node == Node::Bool(*value),
        Scalar::Int(value) => node == Node::Int(*value) || node == Node::Float(Value::from_i64(*value).as_f64()),
        Scalar::Float(value) => number(node).is_some_and(|number| number.as_f64() == *value),
    }
}

/// The values of an object whose key comes again further on: of a repeated key the last counts.
fn shadowed(tape: &Tape<'_>, base: Place) -> Vec<Place> {
    // A bit per key; only if one is taken twice the keys are compared.
    let mut bits = [0u64; 16];
    let mut is_doubtful = false;
    for (key, _) in tape.entries(base) {
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let bit = (hash >> 32) & 1023;
        let word = &mut bits[usize::from(u16::try_from(bit >> 6).unwrap_or(0))];
        is_doubtful |= *word & (1 << (bit & 63)) != 0;
        *word |= 1 << (bit & 63);
    }
    if !is_doubtful {
        return Vec::new();
    }
    let mut entries: Vec<(&str, Place)> = tape.entries(base).collect();
    entries.sort_unstable();
    let mut shadowed: Vec<Place> =
        entries.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].1).collect();
    shadowed.sort_unstable();
    shadowed
}
