//! The influx line protocol: `measurement,tag=v field=1i,other="text" 1738851825000000000`, one point a line.
//!
//! A message becomes an array of `{name, tags: {}, fields: {}, timestamp}`, the shape of Telegraf's JSON with its batch taken
//! off. A line without a time has no `timestamp`. Nothing is copied but names and texts that hold an escape.

use bumpalo::Bump;

use super::tape::Tape;

/// Puts the lines behind what the tape holds.
///
/// # Errors
/// The first line that is none, by number, and what is expected there.
pub(super) fn read<'a>(text: &'a str, tape: &mut Tape<'a>, arena: &'a Bump) -> Result<(), String> {
    let all = tape.open_array();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        point(line, tape, arena).map_err(|expected| format!("line {number} is no line protocol: {expected}"))?;
    }
    tape.close(all);
    Ok(())
}

fn point<'a>(line: &'a str, tape: &mut Tape<'a>, arena: &'a Bump) -> Result<(), &'static str> {
    let object = tape.open_object();
    let (name, mut rest) = upto(line, &[',', ' ']);
    if name.is_empty() {
        return Err("a measurement is expected at its start");
    }
    tape.key("name");
    tape.text(unescaped(name, arena));
    tape.key("tags");
    let tags = tape.open_object();
    while let Some(tag) = rest.strip_prefix(',') {
        let (key, after) = upto(tag, &['=', ',', ' ']);
        let value = after.strip_prefix('=').filter(|_| !key.is_empty()).ok_or("a tag is `key=value`")?;
        let (value, after) = upto(value, &[',', ' ']);
        tape.key(unescaped(key, arena));
        tape.text(unescaped(value, arena));
        rest = after;
    }
    tape.close(tags);
    let fields = rest.strip_prefix(' ').ok_or("fields are expected behind a blank")?;
    let rest = read_fields(fields.trim_start(), tape, arena)?;
    let time = rest.trim();
    if !time.is_empty() {
        tape.key("timestamp");
        tape.int(
            time.parse()
                .map_err(|_bad: std::num::ParseIntError| "its time is a whole number, of nanoseconds by default")?,
        );
    }
    tape.close(object);
    Ok(())
}

fn read_fields<'a>(text: &'a str, tape: &mut Tape<'a>, arena: &'a Bump) -> Result<&'a str, &'static str> {
    tape.key("fields");
    let fields = tape.open_object();
    let mut rest = text;
    loop {
        let (key, after) = upto(rest, &['=', ',', ' ']);
        let value = after.strip_prefix('=').filter(|_| !key.is_empty()).ok_or("a field is `key=value`")?;
        tape.key(unescaped(key, arena));
        let after = match value.strip_prefix('"') {
            Some(quoted) => {
                let (text, after) = upto(quoted, &['"']);
                tape.text(unescaped(text, arena));
                after.strip_prefix('"').ok_or("a text ends with `\"`")?
            }
            None => {
                let (value, after) = upto(value, &[',', ' ']);
                field(value, tape)?;
                after
            }
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() || after.starts_with(' ') => {
                tape.close(fields);
                return Ok(after);
            }
            None => return Err("a comma or a blank is expected behind a field"),
        }
    }
}

/// `1i`, `1u`, `true` or a float.
fn field(value: &str, tape: &mut Tape<'_>) -> Result<(), &'static str> {
    const EXPECTED: &str = "a value is 1.5, 1i, 1u, true, false or a text in quotes";
    match value {
        "t" | "T" | "true" | "True" | "TRUE" => tape.bool(true),
        "f" | "F" | "false" | "False" | "FALSE" => tape.bool(false),
        _ => {
            if let Some(int) = value.strip_suffix('i') {
                tape.int(int.parse().map_err(|_bad: std::num::ParseIntError| EXPECTED)?);
            } else if let Some(int) = value.strip_suffix('u') {
                tape.uint(int.parse().map_err(|_bad: std::num::ParseIntError| EXPECTED)?);
            } else {
                let float: f64 = value.parse().map_err(|_bad: std::num::ParseFloatError| EXPECTED)?;
                if !float.is_finite() {
                    return Err(EXPECTED);
                }
                tape.float(float);
            }
        }
    }
    Ok(())
}

/// The text before the first of `ends` that no backslash stands before, and the rest from it on.
fn upto<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    let mut is_escaped = false;
    for (index, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if ends.contains(&c) {
            return text.split_at(index);
        }
    }
    (text, "")
}

/// Takes the backslash off what it protects; before anything else it stands for itself.
fn unescaped<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '\\' && matches!(next, ',' | '=' | ' ' | '"' | '\\') => {
                out.push(next);
                chars.next();
            }
            Some(_) | None => out.push(c),
        }
    }
    arena.alloc_str(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::tape::Node;

    #[test]
    fn lines_become_points() {
        let arena = Bump::new();
        let text = "# comment\npress,line=L1 energy=12.5,good=100i,n=18446744073709551615u,on=t,s=\"a,b \\\"c\\\"\" 1738851825000000000\r\n\nm\\ 2,a\\=b=x\\,y v=-1e3\n";
        let mut tape = Tape::default();
        read(text, &mut tape, &arena).unwrap();
        let [first, second] = [0, 1].map(|index| tape.element(0, index).unwrap());
        assert_eq!(tape.element(0, 2), None);
        let node = |from, keys: &[&str]| {
            let place = keys.iter().try_fold(from, |place, key| tape.get(place, key));
            place.map(|place| tape.at(place))
        };
        assert_eq!(node(first, &["name"]), Some(Node::Text("press")));
        assert_eq!(node(first, &["tags", "line"]), Some(Node::Text("L1")));
        assert_eq!(node(first, &["fields", "energy"]), Some(Node::Float(12.5)));
        assert_eq!(node(first, &["fields", "good"]), Some(Node::Int(100)));
        assert_eq!(node(first, &["fields", "n"]), Some(Node::UInt(u64::MAX)));
        assert_eq!(node(first, &["fields", "on"]), Some(Node::Bool(true)));
        assert_eq!(node(first, &["fields", "s"]), Some(Node::Text("a,b \"c\"")));
        assert_eq!(node(first, &["timestamp"]), Some(Node::Int(1_738_851_825_000_000_000)));
        assert_eq!(node(second, &["name"]), Some(Node::Text("m 2")));
        assert_eq!(node(second, &["tags", "a=b"]), Some(Node::Text("x,y")));
        assert_eq!(node(second, &["fields", "v"]), Some(Node::Float(-1000.0)));
        assert_eq!(node(second, &["timestamp"]), None);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for line in [
            "m",
            "m ",
            ",a=b v=1",
            "m,a v=1",
            "m v",
            "m v=",
            "m v=1x",
            "m v=1 2 3",
            "m v=\"a",
            "m v=\"a\"b",
            "m v=NaN",
            "m v=1 1.5",
        ] {
            let text = format!("m v=1\n{line}");
            let error = read(&text, &mut Tape::default(), &Bump::new()).unwrap_err();
            assert!(error.starts_with("line 2 is no line protocol: "), "{line}: {error}");
        }
    }
}
