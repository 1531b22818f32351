//! The numbers of a message that no rule of a draft reads, so that none is dropped in silence.
//!
//! Invariant: each number of the message is looked at, up to a bound; rows of one array count as one path.

use std::collections::BTreeSet;

use serde_json::Value;

use super::places::Step;
use super::rule::{Written, plain_remark};
use super::words::{is_number, step};

/// Paths that are named; more of them stand for themselves.
const NAMED_MAX: usize = 8;
/// Bytes of one path that are shown.
const PATH_BYTES_MAX: usize = 80;
/// Values that are looked at: more than a message may give readings.
const LOOKED_AT_MAX: usize = 30_000;

/// A comment that names what is not read; empty if all is.
pub(super) fn unread<'m>(message: &'m Value, rules: &[Written<'m>]) -> String {
    let patterns: Vec<&[Step<'m>]> = rules.iter().flat_map(|rule| &rule.reads).map(Vec::as_slice).collect();
    let mut search = Search { found: BTreeSet::new(), n_left: LOOKED_AT_MAX };
    search.walk(message, &patterns, &mut Vec::new());
    if search.found.is_empty() {
        return String::new();
    }
    let more = if search.found.len() > NAMED_MAX || search.n_left == 0 { ", …" } else { "" };
    let named: Vec<String> = search.found.into_iter().take(NAMED_MAX).collect();
    format!("# not read: {}{more}\n", named.join(", "))
}

/// What is left of a path that a rule reads, one step further down.
fn further<'p, 'm>(steps: &'p [Step<'m>], key: Option<&str>) -> Option<&'p [Step<'m>]> {
    let (first, rest) = steps.split_first()?;
    let is_taken = match (first, key) {
        (Step::Row, None) => true,
        (Step::Entry { left_out }, Some(key)) => !left_out.contains(&key),
        (Step::Key(wanted), Some(key)) => *wanted == key,
        (Step::Key(_) | Step::Entry { .. }, None) | (Step::Row, Some(_)) => false,
    };
    is_taken.then_some(rest)
}

struct Search {
    found: BTreeSet<String>,
    n_left: usize,
}

impl Search {
    /// `path` leads here: the keys, and none for a row.
    fn walk<'v>(&mut self, value: &'v Value, patterns: &[&[Step<'_>]], path: &mut Vec<Option<&'v str>>) {
        if self.n_left == 0 || self.found.len() > NAMED_MAX {
            return;
        }
        self.n_left -= 1;
        let inside = |key: Option<&str>| patterns.iter().filter_map(|steps| further(steps, key)).collect::<Vec<_>>();
        match value {
            Value::Array(rows) => {
                let patterns = inside(None);
                path.push(None);
                rows.iter().for_each(|row| self.walk(row, &patterns, path));
                path.pop();
            }
            Value::Object(members) => {
                for (key, value) in members {
                    path.push(Some(key));
                    self.walk(value, &inside(Some(key)), path);
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                if is_number(value) && !patterns.iter().any(|steps| steps.is_empty()) {
                    self.found.insert(shown(path));
                }
            }
        }
    }
}

/// As a rule would write it, but for `[*]`, which stands for every row.
fn shown(path: &[Option<&str>]) -> String {
    let mut text = "$".to_owned();
    for key in path {
        if text.len() > PATH_BYTES_MAX {
            text.push('…');
            break;
        }
        text.push_str(&key.map_or_else(|| "[*]".to_owned(), step));
    }
    plain_remark(&text)
}
