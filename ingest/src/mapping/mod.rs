//! Mappings: from the JSON and text dialects of other gateways to named values, by rules in TOML files.
//!
//! A file holds rules, dictionaries and `[[metric]]` hints; built-in profiles are such files. Compiled at load to a plan.
//!
//! Invariants:
//! - nothing is allocated per value but in the arena of the message;
//! - every regex and every payload is bounded; a mapping with a mistake is refused with file, line and what would be right.

#[allow(dead_code, reason = "read by the rules and the codecs, which come next")]
mod builtin;
#[allow(dead_code, reason = "read by the rules and the codecs, which come next")]
pub(crate) mod tape;

use bumpalo::Bump;
use jiff::tz::TimeZone;
use model::registry::Mistake;
use model::{PilotId, UnixMillis};

use crate::decode::{Message, Undecodable};
use crate::normalize::Passage;

/// Compiled mapping files: those of a person first, then the built-in profiles.
#[derive(Default)]
pub struct Mappings {}

/// What metadata messages have taught, by pilot, dictionary and key.
#[derive(Default)]
pub struct Dictionaries {}

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

impl Mappings {
    /// The built-in profiles alone.
    pub fn builtin() -> Mappings {
        Mappings {}
    }

    /// Compiles `(file, text)`s; their rules go before the built-in ones: where one of them takes a message, no built-in rule
    /// is tried.
    ///
    /// # Errors
    /// Every mistake of every file, with line, caret and what would be right.
    pub fn load(_files: Vec<(String, String)>) -> Result<Mappings, Vec<Mistake>> {
        Ok(Mappings {})
    }

    /// Runs every `[[rule.test]]`; a mistake for each that does not give what it expects.
    pub fn test(&self) -> Vec<Mistake> {
        Vec::new()
    }

    /// What a `[[metric]]` proposes for this name; the first that matches.
    pub fn proposal(&self, _name: &str) -> Option<Proposal> {
        None
    }

    /// Whether the topic filter of any rule takes this topic.
    pub(crate) fn takes(&self, _topic: &str) -> bool {
        false
    }

    /// Applies every rule that takes the message.
    pub(crate) fn decode<'a>(
        &'a self,
        received: Received<'a>,
        _dictionaries: &'a Dictionaries,
        _arena: &'a Bump,
        _passage: Passage,
    ) -> Result<Message<'a>, Undecodable> {
        Err(Undecodable {
            reason: model::Reason::NoRule,
            detail: format!("no mapping takes topic {}", received.topic),
            sequence: None,
        })
    }
}
