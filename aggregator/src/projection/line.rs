//! Line protocol: a point as one line of text, checked before it leaves.
//!
//! ```text
//! measurement,tag=value,tag=value field=1.5,field=7i,field="text",field=true 1700000000000000000
//! ```
//!
//! Invariants:
//! - the same point gives the same bytes: tags in the order given, floats as their shortest decimal that reads back;
//! - a float always looks like one (`7.0`, not `7`), because the type of a field never changes;
//! - what cannot be said in line protocol is not sent: no line breaks, no empty tag, no field that is not finite.

use std::fmt::Write as _;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(&'a str),
}

/// Why a point is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotALine {
    #[error("it has no field")]
    NoField,
    #[error("tag `{0}` is empty")]
    EmptyTag(&'static str),
    #[error("`{0}` holds a line break or another control character")]
    Control(&'static str),
    #[error("field `{0}` is not finite")]
    NotFinite(&'static str),
}

/// A point about to be a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point<'a> {
    pub(crate) measurement: &'static str,
    /// In the order in which they are written: by name, as servers sort them.
    pub(crate) tags: Vec<(&'static str, &'a str)>,
    pub(crate) fields: Vec<(&'static str, Field<'a>)>,
    /// Nanoseconds since 1970.
    pub(crate) at_ns: i64,
}

impl Point<'_> {
    /// The line, without a line break at its end.
    ///
    /// # Errors
    /// If there is no line that says it.
    pub(crate) fn line(&self) -> Result<String, NotALine> {
        let mut line = String::with_capacity(160);
        line.push_str(self.measurement);
        for &(name, value) in &self.tags {
            if value.is_empty() {
                return Err(NotALine::EmptyTag(name));
            }
            check_text(name, value)?;
            line.push(',');
            line.push_str(name);
            line.push('=');
            push_tag(&mut line, value);
        }
        let mut separator = ' ';
        for &(name, field) in &self.fields {
            line.push(separator);
            separator = ',';
            line.push_str(name);
            line.push('=');
            push_field(&mut line, name, field)?;
        }
        if self.fields.is_empty() {
            return Err(NotALine::NoField);
        }
        // Writing to a string does not fail.
        let _ = write!(line, " {}", self.at_ns);
        Ok(line)
    }
}

fn check_text(name: &'static str, value: &str) -> Result<(), NotALine> {
    if value.chars().any(char::is_control) { Err(NotALine::Control(name)) } else { Ok(()) }
}

/// What stands in a tag for a backslash that line protocol cannot say there: before a comma, a space, `=` or the end.
const BACKSLASH: char = '\u{ff3c}';

fn push_tag(line: &mut String, value: &str) {
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ',' | ' ' | '=' => line.extend(['\\', c]),
            '\\' if matches!(rest.peek(), None | Some(',' | ' ' | '=' | '\\')) => line.push(BACKSLASH),
            _ => line.push(c),
        }
    }
}

fn push_field(line: &mut String, name: &'static str, field: Field<'_>) -> Result<(), NotALine> {
    // Writing to a string does not fail.
    match field {
        Field::Float(value) if !value.is_finite() => return Err(NotALine::NotFinite(name)),
        Field::Float(value) => {
            let _ = write!(line, "{value:?}");
        }
        Field::Int(value) => {
            let _ = write!(line, "{value}i");
        }
        Field::Bool(value) => {
            let _ = write!(line, "{value}");
        }
        Field::Text(value) => {
            check_text(name, value)?;
            line.push('"');
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    line.push('\\');
                }
                line.push(c);
            }
            line.push('"');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::projection::fake::{self, Typed};

    fn point<'a>(tag: &'a str, fields: Vec<(&'static str, Field<'a>)>) -> Point<'a> {
        Point { measurement: "reading", tags: vec![("asset", tag)], fields, at_ns: 1_700_000_000_123_000_007 }
    }

    #[test]
    fn a_point_is_one_line_with_everything_escaped() {
        let fields = vec![
            ("value", Field::Float(7.0)),
            ("n", Field::Int(-3)),
            ("void", Field::Bool(true)),
            ("id", Field::Text("a \"b\" \\ c,d=e")),
        ];
        insta::assert_snapshot!(point("A相, x=1", fields).line().unwrap(),
            @r#"reading,asset=A相\,\ x\=1 value=7.0,n=-3i,void=true,id="a \"b\" \\ c,d=e" 1700000000123000007"#);
    }

    #[test]
    fn what_no_line_says_is_not_sent() {
        let check = |tag, fields, wanted| assert_eq!(point(tag, fields).line(), Err(wanted));
        check("a", vec![], NotALine::NoField);
        check("", vec![("v", Field::Int(1))], NotALine::EmptyTag("asset"));
        check("a\nb", vec![("v", Field::Int(1))], NotALine::Control("asset"));
        check("a", vec![("id", Field::Text("x\ny"))], NotALine::Control("id"));
        check("a", vec![("v", Field::Float(f64::NAN))], NotALine::NotFinite("v"));
    }

    #[test]
    fn a_backslash_never_eats_what_follows_it() {
        for (tag, wanted) in
            [("a\\b", "a\\b"), ("a\\", "a\u{ff3c}"), ("a\\,b", "a\u{ff3c},b"), ("\\\\n", "\u{ff3c}\\n")]
        {
            let line = point(tag, vec![("v", Field::Int(1))]).line().unwrap();
            assert_eq!(fake::parse_line(&line).unwrap().tags["asset"], wanted, "{line}");
        }
    }

    proptest! {
        #[test]
        fn every_line_reads_back_bit_for_bit(
            tag in "[^\\p{Cc}\\\\]{1,12}", text in "[^\\p{Cc}]{0,12}", bits in any::<u64>(), int in any::<i64>()
        ) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let fields = vec![("value", Field::Float(float)), ("n", Field::Int(int)), ("id", Field::Text(&text))];
            let read = fake::parse_line(&point(&tag, fields).line().unwrap()).unwrap();
            prop_assert_eq!(&read.tags["asset"], &tag);
            let Typed::Float(back) = read.fields["value"] else { panic!("no float") };
            prop_assert_eq!(back.to_bits(), bits);
            prop_assert_eq!(&read.fields["n"], &Typed::Int(int));
            prop_assert_eq!(&read.fields["id"], &Typed::Text(text));
            prop_assert_eq!(read.at_ns, 1_700_000_000_123_000_007);
        }
    }
}
