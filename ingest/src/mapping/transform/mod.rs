//! `transform = '<jq filter>'`: the one way out of what the mapping language can say, through `jaq-core`.
//!
//! A filter is compiled when the mapping is loaded, and turns the parsed message into one or several others, each of which
//! the rule then reads. No file, clock, environment or other message is within its reach: the same message gives the same.
//!
//! It always ends. No word that it may use can call itself, so that only what it walks over makes it long, and that is paid
//! for from a purse (`budget`); `,` alone multiplies without walking, so the number of commas is bounded. Nor does it exhaust
//! the stack: length and nesting of the filter, and the depth of values, are bounded, and folds do not meet updates.

mod budget;
mod operators;
mod value;
mod words;

use std::fmt;
use std::ops::Range;

use bumpalo::Bump;
use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::{self, Arena, File, Lexer, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use model::Reason;

use self::value::Val;
use self::words::Data;
use super::tape::Tape;
use crate::decode::{Undecodable, VALUES_MAX, shown};

/// Longest filter. What is longer is a program, which nobody on a factory floor reviews.
const BYTES_MAX: usize = 4_096;
/// Words and signs of a filter: each may be a level of the stack when it runs.
const TOKENS_MAX: usize = 500;
/// Brackets within each other, counted in the text before anything parses it.
const NESTING_MAX: usize = 32;
/// Commas outside of `{…}`: each may double what follows it, and 2^12 times a filter of the greatest length is 0.1 s.
const COMMAS_MAX: usize = 12;
/// Messages that a filter makes of one: as many as there may be values.
const OUTPUTS_MAX: usize = VALUES_MAX;

/// Words of jq that are left out because a filter with them might not end.
const ENDLESS: [&str; 9] = ["def", "recurse", "repeat", "while", "until", "walk", "paths", "combinations", "getpath"];
/// Words of jq that are left out because they look at more than the message.
const OUTSIDE: [&str; 19] = [
    "import",
    "include",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "$ENV",
    "env",
    "now",
    "localtime",
    "mktime",
    "strflocaltime",
    "halt",
    "halt_error",
    "debug",
    "stderr",
    "get_search_list",
    "$__loc__",
    "modulemeta",
];
/// Those of them that the parser would take.
const KEYWORDS: [&str; 3] = ["def", "import", "include"];
const FOLDS: [&str; 2] = ["reduce", "foreach"];
const UPDATES: [&str; 11] = ["|=", "=", "+=", "-=", "*=", "/=", "%=", "//=", "del", "map_values", "path"];

/// A compiled filter.
pub(super) struct Transform {
    text: Box<str>,
    filter: Filter<Data>,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transform").field(&self.text).finish()
    }
}

/// A mistake, with the bytes of the filter that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) message: String,
}

impl Transform {
    /// Compiles a filter.
    ///
    /// # Errors
    /// The first thing in it that is wrong, or that a filter of a mapping may not use.
    pub(super) fn compile(text: &str) -> Result<Transform, Wrong> {
        check_size(text)?;
        check_words(text)?;
        let arena = Arena::default();
        let loader = Loader::new(words::definitions());
        let modules = loader.load(&arena, File { code: text, path: () }).map_err(|errors| unread(text, &errors))?;
        let compiler = Compiler::default().with_funs(words::functions());
        let filter = compiler.compile(modules).map_err(|errors| {
            let first = errors.first().and_then(|(_, errors)| errors.first());
            match first {
                Some((name, undefined)) => unknown(text, name, undefined.as_str()),
                None => whole(text, "this filter cannot be used"),
            }
        })?;
        Ok(Transform { text: text.into(), filter })
    }

    /// What the filter makes of a message.
    ///
    /// # Errors
    /// `bad_payload` with the words of the filter, `too_many_values`.
    pub(super) fn run<'a>(&self, tape: &Tape<'a>, arena: &'a Bump) -> Result<Vec<Tape<'a>>, Undecodable> {
        budget::begin();
        let Some(message) = Val::read(tape, 0, 0) else {
            return Err(undecodable(Reason::BadPayload, "`transform`: the message nests too deep".to_owned()));
        };
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        let mut outputs = Vec::new();
        for output in self.filter.id.run((context, message)) {
            if budget::is_overdrawn() {
                break;
            }
            if outputs.len() == OUTPUTS_MAX {
                let detail = format!("`transform` makes more than {OUTPUTS_MAX} messages of one");
                return Err(undecodable(Reason::TooManyValues, detail));
            }
            let output = output.map_err(|error| match error.get_err() {
                Ok(error) => failed(&error.to_string()),
                // No word that a filter may use leaves it any other way.
                Err(_other) => failed("it was left"),
            });
            let mut tape = Tape::default();
            if !output?.write(&mut tape, arena) {
                break;
            }
            outputs.push(tape);
        }
        if budget::is_overdrawn() {
            let detail =
                format!("`transform` takes more than {} steps for this message, or nests too deep", budget::STEPS_MAX);
            return Err(undecodable(Reason::BadPayload, detail));
        }
        Ok(outputs)
    }
}

fn undecodable(reason: Reason, detail: String) -> Undecodable {
    Undecodable { reason, detail, sequence: None }
}

fn failed(error: &str) -> Undecodable {
    if budget::is_overdrawn() {
        let detail =
            format!("`transform` takes more than {} steps for this message, or nests too deep", budget::STEPS_MAX);
        return undecodable(Reason::BadPayload, detail);
    }
    undecodable(Reason::BadPayload, format!("`transform` says: {}", shown(error)))
}

fn whole(text: &str, message: &str) -> Wrong {
    Wrong { at: 0..text.len(), message: message.to_owned() }
}

fn wrong(text: &str, part: &str, message: String) -> Wrong {
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let at = if start <= text.len() { start..start + part.len() } else { 0..text.len() };
    Wrong { at, message }
}

fn check_size(text: &str) -> Result<(), Wrong> {
    if text.len() > BYTES_MAX {
        return Err(whole(text, &format!("a filter has at most {BYTES_MAX} bytes, this one {}", text.len())));
    }
    let mut nesting = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => nesting += 1,
            ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        if nesting > NESTING_MAX {
            let message = format!("brackets stand within each other more than {NESTING_MAX} deep");
            return Err(Wrong { at: at..at + 1, message });
        }
    }
    Ok(())
}

/// What a look over the words of a filter counts and remembers.
#[derive(Default)]
struct Seen<'t> {
    n_tokens: usize,
    n_commas: usize,
    fold: Option<&'t str>,
    update: Option<&'t str>,
}

/// Refuses words that might not end or that look elsewhere, and what is too long to run.
fn check_words(text: &str) -> Result<(), Wrong> {
    // What the lexer does not read, the parser does not either, and says so.
    let Ok(tokens) = Lexer::new(text).lex() else { return Ok(()) };
    let mut seen = Seen::default();
    look(text, &tokens, &mut seen, true)?;
    if let (Some(fold), Some(update)) = (seen.fold, seen.update) {
        let message = format!(
            "`{fold}` and `{update}` do not go together in one filter; build a new value instead of changing one"
        );
        return Err(wrong(text, fold, message));
    }
    Ok(())
}

fn look<'t>(text: &str, tokens: &[Token<&'t str>], seen: &mut Seen<'t>, counts_commas: bool) -> Result<(), Wrong> {
    for (at, Token(part, token)) in tokens.iter().enumerate() {
        seen.n_tokens += 1;
        seen.n_commas += usize::from(counts_commas && *part == ",");
        if seen.n_tokens > TOKENS_MAX {
            return Err(wrong(text, part, format!("a filter has at most {TOKENS_MAX} words and signs")));
        }
        if seen.n_commas > COMMAS_MAX {
            return Err(wrong(text, part, format!("a filter has at most {COMMAS_MAX} commas outside of {{…}}")));
        }
        match token {
            Tok::Str(parts) => {
                for part in parts {
                    if let StrPart::Term(token) = part {
                        look(text, std::slice::from_ref(token), seen, true)?;
                    }
                }
            }
            Tok::Block(inner) => look(text, inner, seen, !part.starts_with('{'))?,
            // The name of a field is any word: `.input`, `{def: 1}`.
            Tok::Word if at > 0 && tokens[at - 1].0.ends_with('.') => continue,
            Tok::Word if tokens.get(at + 1).is_some_and(|next| next.0 == ":") => continue,
            Tok::Word if KEYWORDS.contains(part) => return Err(unknown(text, part, "word")),
            Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym => {}
        }
        if FOLDS.contains(part) {
            seen.fold.get_or_insert(part);
        }
        if UPDATES.contains(part) {
            seen.update.get_or_insert(part);
        }
    }
    Ok(())
}

/// The mistake of a word that does not exist here, and why, if jq knows it.
fn unknown(text: &str, name: &str, what: &str) -> Wrong {
    let message = if ENDLESS.contains(&name) {
        format!("`{name}` may not be used: a filter comes to an end, whatever the message")
    } else if OUTSIDE.contains(&name) {
        format!("`{name}` may not be used: a filter sees the message and nothing else, so that a replay gives the same")
    } else {
        format!("{what} `{name}` is not known; there are {}", words::known())
    };
    wrong(text, name, message)
}

/// The first error of the lexer or the parser.
fn unread(text: &str, errors: &load::Errors<&str, ()>) -> Wrong {
    let Some((_, error)) = errors.first() else { return whole(text, "this filter cannot be read") };
    match error {
        load::Error::Io(found) => match found.first() {
            Some((part, error)) => wrong(text, part, error.clone()),
            None => whole(text, "this filter cannot be read"),
        },
        load::Error::Lex(found) => match found.first() {
            Some((expected, part)) => {
                let next = part.chars().next().map_or(0, char::len_utf8);
                wrong(text, &part[..next], format!("{} is expected here", expected.as_str()))
            }
            None => whole(text, "this filter cannot be read"),
        },
        load::Error::Parse(found) => match found.first() {
            Some((expected, part)) => wrong(text, part, format!("{} is expected here", expected.as_str())),
            None => whole(text, "this filter cannot be read"),
        },
    }
}

#[cfg(test)]
mod tests;
