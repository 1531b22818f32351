//! Reads a TOML file section by section, so that all its mistakes come out at once, each with its line.
//!
//! serde alone stops at the first mistake. Here every table is read on its own; a key that serde refuses is noted, taken out,
//! and the table read again without it. The registry, the programme and the factor files are read this way.
//!
//! Invariants:
//! - a mistake names file and line; unknown keys are refused by name, and the message names the keys that exist;
//! - a file that is no TOML is reported as such and nothing else: what could be recovered of it is not trusted;
//! - no text makes this panic.

mod field;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub use field::{At, Day, DayOrAt, Name};

/// One mistake in a file: where it is and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub file: String,
    /// From 1; 0 if the mistake has no single line.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

/// A table of a file as a type. `#[serde(deny_unknown_fields)]` belongs on it, so that a typo is not silence.
pub trait Section: DeserializeOwned {
    /// Keys that must be there; each that is missing is a mistake of its own.
    const REQUIRED: &'static [&'static str];
}

/// One table that was read, with the lines of its keys.
#[derive(Debug, Clone)]
pub struct Item<T> {
    pub value: T,
    /// The line on which the table begins.
    pub line: usize,
    lines: BTreeMap<String, usize>,
}

impl<T> Item<T> {
    /// The line of a key (`unit`, or `hours.peak` inside it), else that of the table.
    pub fn line_of(&self, key: &str) -> usize {
        self.lines.get(key).copied().unwrap_or(self.line)
    }

    /// The lines of all keys; the table's own under the empty key.
    pub fn lines(&self) -> BTreeMap<String, usize> {
        let mut lines = self.lines.clone();
        lines.insert(String::new(), self.line);
        lines
    }

    /// The same table as another type.
    pub fn with<U>(self, value: U) -> (Item<U>, T) {
        (Item { value, line: self.line, lines: self.lines }, self.value)
    }
}

/// All tables of one name.
#[derive(Debug)]
pub struct Items<T> {
    pub items: Vec<Item<T>>,
    /// False if one of them could not be read: then what refers to it may be right all the same.
    pub whole: bool,
}

/// Reports at most this many mistakes of a file: nobody reads more, and a binary file has one in every byte.
pub const MISTAKES_MAX: usize = 200;

/// A file being read.
pub struct Document<'t> {
    file: &'t str,
    /// Byte offset at which each line begins.
    line_starts: Vec<usize>,
    root: DeTable<'t>,
    asked: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<'t> Document<'t> {
    /// Reads the text as TOML. `file` is only used in messages.
    ///
    /// # Errors
    /// Where the text is no TOML.
    pub fn parse(file: &'t str, text: &'t str) -> Result<Document<'t>, Vec<Mistake>> {
        let newlines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        let (root, errors) = DeTable::parse_recoverable(text);
        let root = root.into_inner();
        let mut document = Document { file, line_starts, root, asked: Vec::new(), mistakes: Vec::new() };
        for error in &errors {
            let line = error.span().map_or(0, |span| document.line_at(span.start));
            document.mistake(line, format!("this is no TOML: {}", error.message()));
        }
        if errors.is_empty() { Ok(document) } else { Err(document.into_mistakes()) }
    }

    /// The name of the file.
    pub fn file(&self) -> &'t str {
        self.file
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, line: usize, text: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, text: text.into() });
    }

    /// Whether nothing was wrong so far.
    pub fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// The table `[name]`, if the file has it and all of it could be read.
    pub fn one<T: Section>(&mut self, name: &'static str) -> Option<Item<T>> {
        self.asked.push(name);
        let (key, value) = self.root.remove_entry(name)?;
        if !value.get_ref().is_table() {
            let line = self.line_at(key.span().start);
            self.mistake(line, format!("`{name}` is a table: write `[{name}]` and its keys below"));
            return None;
        }
        self.read(&format!("[{name}]"), key.span().start, value)
    }

    /// Like [`Document::one`], for a table that the file must have.
    pub fn needed<T: Section>(&mut self, name: &'static str) -> Option<Item<T>> {
        if !self.root.contains_key(name) {
            self.asked.push(name);
            self.mistake(1, format!("table `[{name}]` is missing; it needs the keys {}", T::REQUIRED.join(", ")));
            return None;
        }
        self.one(name)
    }

    /// All tables `[[name]]`, in file order; a single `[name]` is taken as one of them.
    pub fn many<T: Section>(&mut self, name: &'static str) -> Items<T> {
        self.asked.push(name);
        let Some((key, value)) = self.root.remove_entry(name) else {
            return Items { items: Vec::new(), whole: true };
        };
        let start = key.span().start;
        let tables: Vec<Spanned<DeValue<'t>>> = match value.get_ref() {
            DeValue::Array(array) => array.iter().cloned().collect(),
            DeValue::Table(_)
            | DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => vec![value],
        };
        let n_tables = tables.len();
        let label = format!("[[{name}]]");
        let mut items = Vec::with_capacity(n_tables);
        for table in tables {
            if table.get_ref().is_table() {
                items.extend(self.read(&label, start, table));
            } else {
                let line = self.line_at(table.span().start);
                self.mistake(line, format!("`{name}` is a list of tables: write `[[{name}]]` and its keys below"));
            }
        }
        Items { whole: items.len() == n_tables, items }
    }

    /// All mistakes in file order, those of keys at the top that nobody asked for included.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        let root = std::mem::take(&mut self.root);
        self.asked.sort_unstable();
        if !self.asked.is_empty() {
            let known = self.asked.join(", ");
            for key in root.keys() {
                let line = self.line_at(key.span().start);
                self.mistake(line, format!("unknown table `{}`; there are {known}", key.get_ref()));
            }
        }
        let mut mistakes = self.mistakes;
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes.dedup();
        if mistakes.len() > MISTAKES_MAX {
            let text = format!("{} more mistakes are not shown", mistakes.len() - MISTAKES_MAX);
            mistakes.truncate(MISTAKES_MAX);
            mistakes.push(Mistake { file: self.file.to_owned(), line: 0, text });
        }
        mistakes
    }

    fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Reads one table; notes every key that is wrong and every one that is missing.
    fn read<T: Section>(&mut self, label: &str, start: usize, table: Spanned<DeValue<'t>>) -> Option<Item<T>> {
        let span = table.span();
        let line = self.line_at(if span.start == 0 { start } else { span.start });
        let DeValue::Table(mut keys) = table.into_inner() else { return None };
        let mut lines = BTreeMap::new();
        self.note_lines("", &keys, &mut lines);
        let mut whole = true;
        for missing in T::REQUIRED.iter().filter(|key| !keys.contains_key(**key)) {
            self.mistake(line, format!("`{label}` needs the key `{missing}`"));
            whole = false;
        }
        // A table read again for each of thousands of wrong keys would take minutes, and nobody reads them.
        for _ in 0..=MISTAKES_MAX {
            let attempt = Spanned::new(span.clone(), DeValue::Table(keys.clone()));
            let error = match T::deserialize(ValueDeserializer::from(attempt)) {
                Ok(value) => return whole.then_some(Item { value, line, lines }),
                Err(error) => error,
            };
            let at = error.span().map_or(span.start, |span| span.start);
            let Some(key) = key_holding(&keys, at).filter(|_| !error.message().starts_with("missing field")) else {
                if whole {
                    self.mistake(line, format!("`{label}`: {}", worded(error.message())));
                }
                return None;
            };
            whole = false;
            let unknown = error.message().starts_with(&format!("unknown field `{key}`"));
            let of_key = if unknown { String::new() } else { format!(" key `{key}`") };
            let text = format!("`{label}`{of_key}: {}", worded(error.message()));
            let line = self.line_at(at);
            self.mistake(line, text);
            keys.remove(key.as_str());
        }
        None
    }

    fn note_lines(&self, prefix: &str, keys: &DeTable<'t>, lines: &mut BTreeMap<String, usize>) {
        for (key, value) in keys {
            let path = format!("{prefix}{}", key.get_ref());
            lines.insert(path.clone(), self.line_at(key.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => self.note_lines(&format!("{path}."), inner, lines),
                DeValue::Array(array) => {
                    for (i, element) in array.iter().enumerate() {
                        lines.insert(format!("{path}.{i}"), self.line_at(element.span().start));
                    }
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => {}
            }
        }
    }
}

/// The key of a table in or under which the byte at `at` lies.
fn key_holding(keys: &DeTable<'_>, at: usize) -> Option<String> {
    let holds = |(key, value): &(&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
        key.span().contains(&at) || value_holds(value, at)
    };
    keys.iter().find(holds).map(|(key, _)| key.get_ref().to_string())
}

fn value_holds(value: &Spanned<DeValue<'_>>, at: usize) -> bool {
    let span = value.span();
    let inside = || match value.get_ref() {
        DeValue::Table(inner) => key_holding(inner, at).is_some(),
        DeValue::Array(array) => array.iter().any(|element| value_holds(element, at)),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            false
        }
    };
    span.contains(&at) || inside()
}

/// serde's words for types, in the words of somebody who writes the file.
fn worded(message: &str) -> String {
    const WORDS: [(&str, &str); 12] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("expected f64", "expected a number"),
        ("expected i64", "expected an integer"),
        ("expected i8", "expected a small integer"),
        ("expected a sequence", "expected a list `[…]`"),
        ("expected a map", "expected a table `{…}`"),
        ("expected a string", "expected a text `\"…\"`"),
        ("expected a borrowed string", "expected a text `\"…\"`"),
        ("expected an array of length", "expected a list of length"),
        ("expected a TOML datetime", "expected a date, without quotes"),
        ("expected date-time", "expected a date, without quotes"),
    ];
    WORDS.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(rename = "id")]
        _id: String,
        #[serde(rename = "size")]
        _size: Option<f64>,
        #[serde(rename = "name")]
        _name: Option<crate::programme::Label>,
    }

    impl Section for Thing {
        const REQUIRED: &'static [&'static str] = &["id"];
    }

    fn mistakes(text: &str) -> String {
        let mut document = match Document::parse("a.toml", text) {
            Ok(document) => document,
            Err(mistakes) => return lines(&mistakes),
        };
        document.many::<Thing>("thing");
        lines(&document.into_mistakes())
    }

    fn lines(mistakes: &[Mistake]) -> String {
        mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_mistake_of_a_table_comes_out_with_its_line() {
        insta::assert_snapshot!(mistakes("[[thing]]\nid = 3\nsize = \"x\"\ncolour = 1\n\n[[thing]]\nname = { zh = \"a\",\n  de = \"b\" }\n[[thing]]\nid = \"ok\""), @r#"
        a.toml:2: `[[thing]]` key `id`: invalid type: integer `3`, expected a text `"…"`
        a.toml:3: `[[thing]]` key `size`: invalid type: string "x", expected a number
        a.toml:4: `[[thing]]`: unknown key `colour`, expected one of `id`, `size`, `name`
        a.toml:6: `[[thing]]` needs the key `id`
        a.toml:8: `[[thing]]` key `name`: unknown key `de`, expected `zh` or `en`
        "#);
    }

    #[test]
    fn what_is_no_toml_is_said_once_per_place_and_nothing_else() {
        insta::assert_snapshot!(mistakes("[[thing]\nid = 3"), @"a.toml:1: this is no TOML: unclosed array table, expected `]`");
    }

    #[test]
    fn tables_that_nobody_knows_are_refused_by_name() {
        insta::assert_snapshot!(mistakes("[[thing]]\nid = \"a\"\n[[things]]\nid = \"b\""), @"a.toml:3: unknown table `things`; there are thing");
        insta::assert_snapshot!(mistakes("thing = 3"), @"a.toml:1: `thing` is a list of tables: write `[[thing]]` and its keys below");
    }
}
