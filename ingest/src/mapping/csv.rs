//! CSV by RFC 4180: rows of a table with a header become an array of objects of texts.
//!
//! Where the rule names the `columns`, the first row holds values already. Fields without quotes are borrowed from the
//! payload; a quoted one may hold the separator, newlines and `""` for a quote.

use bumpalo::Bump;

use super::tape::Tape;

/// Widest table: wider than any export of a factory, and a bound on what a header can make every row cost: `bad_payload`.
const COLUMNS_MAX: usize = 4_096;

/// Puts the rows behind what the tape holds.
///
/// # Errors
/// The first line that is no row of the table, by number, and what is expected there.
pub(super) fn read<'a>(
    text: &'a str,
    separator: char,
    columns: Option<&[String]>,
    tape: &mut Tape<'a>,
    arena: &'a Bump,
) -> Result<(), String> {
    let mut rows = Rows::new(text, separator, arena);
    let header: Vec<&'a str> = match columns {
        Some(columns) => columns.iter().map(|name| &*arena.alloc_str(name)).collect(),
        None => rows.next()?.map(|(_, row)| row.into_iter().map(str::trim).collect()).unwrap_or_default(),
    };
    if header.len() > COLUMNS_MAX {
        return Err(format!("the header names {} columns; at most {COLUMNS_MAX} are taken", header.len()));
    }
    let all = tape.open_array();
    while let Some((line, row)) = rows.next()? {
        if row.len() != header.len() {
            return Err(format!("line {line} has {} fields; the header names {}", row.len(), header.len()));
        }
        let object = tape.open_object();
        for (name, field) in header.iter().zip(row) {
            tape.key(name);
            tape.text(field);
        }
        tape.close(object);
    }
    tape.close(all);
    Ok(())
}

/// The rows of a text.
pub(crate) struct Rows<'a> {
    pub(crate) rest: &'a str,
    /// The number of the line that `rest` begins with.
    pub(crate) line: usize,
    pub(crate) separator: char,
    /// Keeps fields that are not in the text as they are.
    pub(crate) arena: &'a Bump,
}

impl<'a> Rows<'a> {
    /// From the first line, behind a byte order mark.
    pub(crate) fn new(text: &'a str, separator: char, arena: &'a Bump) -> Rows<'a> {
        Rows { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, separator, arena }
    }

    /// The next row that is not empty, with the line on which it begins.
    ///
    /// # Errors
    /// The line that is no row, by number, and what is expected there.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Vec<&'a str>)>, String> {
        loop {
            let blank = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match blank {
                Some(rest) => (self.rest, self.line) = (rest, self.line + 1),
                None if self.rest.is_empty() => return Ok(None),
                None => break,
            }
        }
        let (line, mut row) = (self.line, Vec::new());
        loop {
            row.push(self.field()?);
            if let Some(rest) = self.rest.strip_prefix(self.separator) {
                self.rest = rest;
                continue;
            }
            let ended = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match ended {
                Some(rest) => (self.rest, self.line) = (rest, self.line + 1),
                None if self.rest.is_empty() => {}
                None => {
                    return Err(format!(
                        "line {} goes on behind a closing quote; quotes inside are doubled",
                        self.line
                    ));
                }
            }
            return Ok(Some((line, row)));
        }
    }

    fn field(&mut self) -> Result<&'a str, String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let separator = self.separator;
            let end = self.rest.find([separator, '\n']).unwrap_or(self.rest.len());
            // A carriage return that ends the line, not the field.
            let is_line_end = self.rest[..end].ends_with('\r') && !self.rest[end..].starts_with(separator);
            let (field, rest) = self.rest.split_at(end - usize::from(is_line_end));
            self.rest = rest.strip_prefix('\r').filter(|_| is_line_end).unwrap_or(rest);
            return Ok(field);
        };
        let (line, mut from, mut is_doubled) = (self.line, 0, false);
        loop {
            let Some(found) = quoted[from..].find('"') else {
                return Err(format!("line {line} opens a quote that no line closes"));
            };
            let end = from + found;
            if quoted[end + 1..].starts_with('"') {
                (from, is_doubled) = (end + 2, true);
                continue;
            }
            let (field, rest) = (&quoted[..end], &quoted[end + 1..]);
            self.line += field.bytes().filter(|&byte| byte == b'\n').count();
            self.rest = rest;
            return Ok(if is_doubled { self.arena.alloc_str(&field.replace("\"\"", "\"")) } else { field });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::tape::Node;

    #[track_caller]
    fn check(text: &str, separator: char, columns: Option<&[&str]>, expected: &str) {
        let (arena, mut tape) = (Bump::new(), Tape::default());
        let columns: Option<Vec<String>> = columns.map(|columns| columns.iter().map(|&name| name.to_owned()).collect());
        let found = match read(text, separator, columns.as_deref(), &mut tape, &arena) {
            Err(error) => error,
            Ok(()) => {
                let row = |place| {
                    let field = |(key, at)| {
                        let Node::Text(text) = tape.at(at) else { panic!("{key} is {}", tape.at(at).kind()) };
                        format!("{key}={text:?}")
                    };
                    tape.entries(place).map(field).collect::<Vec<_>>().join(" ")
                };
                tape.elements(0).map(row).collect::<Vec<_>>().join(" | ")
            }
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn rows_become_objects_of_texts() {
        check("a,b\n1,2\n3,4\n", ',', None, r#"a="1" b="2" | a="3" b="4""#);
        check("\u{feff}a,b\r\n1,2\r\n\r\n", ',', None, r#"a="1" b="2""#);
        check("a;b\n1,5;2", ';', None, r#"a="1,5" b="2""#);
        check("1\t2\n", '\t', Some(&["x", "y"]), r#"x="1" y="2""#);
        check("a,b\n\"x,\"\"y\"\"\nz\",\n", ',', None, r#"a="x,\"y\"\nz" b="""#);
        check("a, b\n,2", ',', None, r#"a="" b="2""#);
        check("电流,b\r\n1,\"2\"\r\n", ',', None, r#"电流="1" b="2""#);
        check("", ',', None, "");
        check("a,b\n", ',', None, "");
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        check("a,b\n1,2\n3\n", ',', None, "line 3 has 1 fields; the header names 2");
        check("a\n\"1\n2\"\n3,4\n", ',', None, "line 4 has 2 fields; the header names 1");
        check("a\n\"1", ',', None, "line 2 opens a quote that no line closes");
        check("a\n\"1\"x\n", ',', None, "line 2 goes on behind a closing quote; quotes inside are doubled");
    }
}
