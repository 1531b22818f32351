//! Drafts rules for a message that no rule takes: lines for a mapping file that a person then reads and mends.
//!
//! `places` finds where values stand, `words`, `times` and `quality` guess from the words that gateways use and from how
//! values look what stands beside them, `rule` and `topic` write, and `unread` names what is left. Each guess says so.
//!
//! Invariants:
//! - a draft is compiled and run over the message before it is shown: it gives readings with names that may be stored, no two
//!   of one asset, metric and time, or there is none;
//! - a number of the message that it does not read is named in it;
//! - the work is bounded, whatever the payload.

mod places;
mod quality;
mod rule;
mod times;
mod topic;
mod unread;
mod words;

use std::collections::HashSet;

use bumpalo::Bump;
use model::time::{EARLIEST, FUTURE_MS_MAX};
use model::{UnixMillis, check_name};
use serde_json::Value;

use self::rule::{Written, namings, plain_remark, write};
use super::{Dictionaries, Mappings, Received, builtin_files};
use crate::normalize::Passage;

/// Bytes of a payload that is drafted for: a person who drafts by hand cuts a larger one too.
const BYTES_MAX: usize = 256 << 10;
/// Rules of one draft: who sends more kinds of things in one message writes a mapping with care.
const RULES_MAX: usize = 8;
/// Ways to name the readings of one place that are tried.
const NAMINGS_MAX: usize = 10;
/// What trying may cost, in bytes of payload, so that the drafts of a large message are few.
const WORK_MAX: usize = 3 << 19;
/// What compiling a draft costs, in bytes of payload that are run in that time.
const WORK_OF_COMPILING: usize = 40_000;

/// Lines for a mapping file that take this message; none if nothing in it looks like a measured value.
pub(crate) fn draft(received: Received<'_>) -> Option<String> {
    // A message is published to no filter.
    if received.payload.len() > BYTES_MAX || received.topic.is_empty() || received.topic.contains(['+', '#']) {
        return None;
    }
    let text = std::str::from_utf8(received.payload).ok()?;
    let message: Value = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).ok()?;
    let mut trial = Trial { received, n_left: WORK_MAX, lines: String::new(), gives: Gives::default() };
    let mut rules: Vec<Written<'_>> = Vec::new();
    for site in places::find(&message, received) {
        for names in namings(&site).iter().take(NAMINGS_MAX) {
            let rule = write(&site, names, received.topic);
            let name = free_name(&rule.name, rules.len());
            if rules.len() < RULES_MAX && trial.takes(&rule.lines(&name)) {
                rules.push(rule);
                break;
            }
        }
    }
    if rules.is_empty() {
        return None;
    }
    let Gives { n_refused, refusal, .. } = &trial.gives;
    let refused = match refusal {
        Some(detail) => {
            format!("# refused of this message: {n_refused}, the first because {}\n", plain_remark(detail))
        }
        None => String::new(),
    };
    let lines = format!("{}{refused}{}", unread::unread(&message, &rules), trial.lines);
    // They were run when they were taken; only the comments are new.
    compiled(&lines).map(|_| lines)
}

/// A name that no built-in rule has, which it would replace, nor a rule before it.
fn free_name(name: &str, n_before: usize) -> String {
    let is_taken = builtin_files().0.iter().flat_map(|file| &file.rules).any(|rule| rule.name == name);
    let name = if is_taken { format!("own-{name}") } else { name.to_owned() };
    if n_before == 0 { name } else { format!("{name}-{}", n_before + 1) }
}

/// The rules that are taken so far.
struct Trial<'r> {
    received: Received<'r>,
    n_left: usize,
    lines: String,
    gives: Gives,
}

/// What a draft takes from its message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gives {
    n_readings: usize,
    n_refused: usize,
    refusal: Option<String>,
}

impl Trial<'_> {
    /// Adds a rule if together with those before it gives more readings.
    fn takes(&mut self, rule: &str) -> bool {
        let work = self.received.payload.len() + WORK_OF_COMPILING;
        let Some(n_left) = self.n_left.checked_sub(work) else { return false };
        self.n_left = n_left;
        let joint = if self.lines.is_empty() { "" } else { "\n" };
        let lines = format!("{}{joint}{rule}", self.lines);
        match run(&lines, self.received).filter(|gives| gives.n_readings > self.gives.n_readings) {
            Some(gives) => {
                (self.lines, self.gives) = (lines, gives);
                true
            }
            None => false,
        }
    }
}

fn compiled(lines: &str) -> Option<Mappings> {
    Mappings::load(vec![("draft".to_owned(), lines.to_owned())]).ok()
}

/// What these lines take from the message; none if they are no mapping, or give readings that are not to be told apart, have
/// names that cannot be stored or times that cannot be true.
fn run(lines: &str, received: Received<'_>) -> Option<Gives> {
    let mappings = compiled(lines)?;
    let (dictionaries, arena) = (Dictionaries::default(), Bump::new());
    let message = mappings.decode(received, &dictionaries, &arena, Passage::Again).ok()?;
    let latest = UnixMillis(received.received_at.0.saturating_add(FUTURE_MS_MAX));
    let mut gives = Gives::default();
    let mut seen = HashSet::new();
    for reading in &message.readings {
        match reading {
            Ok(reading) => {
                let is_named = check_name(&reading.asset).is_ok() && check_name(&reading.name).is_ok();
                let is_timely = reading.at.is_none_or(|at| at >= EARLIEST && at <= latest);
                if !is_named || !is_timely || !seen.insert((&reading.asset, &reading.name, reading.at)) {
                    return None;
                }
                gives.n_readings += 1;
            }
            Err(refused) => {
                gives.n_refused += 1;
                gives.refusal.get_or_insert_with(|| refused.detail.clone());
            }
        }
    }
    Some(gives)
}

#[cfg(test)]
mod tests;
