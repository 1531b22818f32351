//! The topic of a draft as a filter, with the levels that name what the message does not, and a name for the rule.
//!
//! Invariants:
//! - the first level stays as it is, so that no draft takes the topics of others;
//! - a level that begins with `_` is a word of a dialect and stays as it is.

use super::words::{self, plain};

/// Most letters of a name: it is read in a list.
const NAME_CHARS_MAX: usize = 40;

pub(super) struct TopicDraft {
    pub(super) filter: String,
    pub(super) asset: String,
    pub(super) metric: String,
    pub(super) name: String,
}

/// What a topic has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Asset,
    Metric,
    Both,
}

impl TopicDraft {
    pub(super) fn of(topic: &str, wanted: Wanted) -> TopicDraft {
        let sent: Vec<&str> = topic.split('/').collect();
        let mut levels: Vec<String> = sent.iter().map(|level| (*level).to_owned()).collect();
        let first = sent.iter().position(|level| !level.is_empty()).unwrap_or(0);
        let is_free = |at: &usize| *at > first && !sent[*at].is_empty() && !sent[*at].starts_with('_');
        let speaks = |at: &usize| !words::LEVELS.contains(&&*plain(sent[*at]));
        let last = sent.len() - 1;
        let is_behind_device = (0..last).any(|at| is_free(&at) && is_device(sent[at]));
        let names_metric = matches!(wanted, Wanted::Metric | Wanted::Both)
            && is_free(&last)
            && speaks(&last)
            && (is_behind_device || !is_device(sent[last]));
        let free: Vec<usize> = (0..sent.len() - usize::from(names_metric)).filter(is_free).collect();
        let device = free.iter().rev().copied().find(|at| is_device(sent[*at]));
        let (capture, level) = match wanted {
            Wanted::Nothing | Wanted::Metric => ("{device}", device),
            Wanted::Asset | Wanted::Both => ("{asset}", device.or_else(|| free.iter().rev().copied().find(speaks))),
        };
        if let Some(level) = level {
            capture.clone_into(&mut levels[level]);
        }
        if names_metric {
            "{metric}".clone_into(&mut levels[last]);
        }
        // A level with braces can only be taken as any level.
        for (level, sent) in levels.iter_mut().zip(&sent).filter(|(_, sent)| sent.contains(['{', '}'])) {
            if level == sent {
                "+".clone_into(level);
            }
        }
        TopicDraft {
            filter: levels.join("/"),
            asset: if level.is_some() { "{asset}".to_owned() } else { sent[first].to_owned() },
            metric: if names_metric { "{metric}" } else { "value" }.to_owned(),
            name: name(&levels),
        }
    }
}

/// A level with a number is that of a device in most topics; `v1` is a version.
fn is_device(level: &str) -> bool {
    let is_version = level.strip_prefix(['v', 'V']).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    !is_version && level.chars().any(|c| c.is_ascii_digit())
}

/// The levels that stay as they are, as the name of a rule.
fn name(levels: &[String]) -> String {
    let literal = levels.iter().filter(|level| !level.contains(['{', '+']));
    let words = literal.flat_map(|level| level.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
    let joined: String = words.collect::<Vec<&str>>().join("-").to_lowercase();
    let short: String = joined.chars().take(NAME_CHARS_MAX).collect();
    let name = short.trim_matches('-');
    if name.is_empty() { "rule".to_owned() } else { name.to_owned() }
}
