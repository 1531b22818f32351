//! Paths into a message and the texts with `{…}` that are built from them.
//!
//! A path begins at the message (`$`), at a loop (`row`, or its name), or is the name of a capture, of a group of `split`, of
//! an index, `client` or `login`. A missing value makes a text missing, unless the place is optional (`?`).

use std::fmt::Write as _;

use bumpalo::Bump;
use model::PilotId;

use super::dictionary::Dictionaries;
use super::tape::{Node, Place, Tape};

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Message,
    /// The element or the value at a loop.
    Row(usize),
    /// The key at a loop over entries.
    Key(usize),
    /// The number of the row at a loop, or the place in an array that was spread.
    Index(usize),
    Capture(usize),
    Group(usize),
    Client,
    Login,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(Box<str>),
    Index(u32),
    /// Every element; only where text is unwrapped.
    Every,
}

/// A compiled path, with its text for details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
    pub(super) text: Box<str>,
}

impl Path {
    /// Whether it says the same in every row.
    pub(super) fn is_constant(&self) -> bool {
        matches!(self.root, Root::Message | Root::Capture(_) | Root::Client | Root::Login)
    }
}

/// The names that a path may begin with, while a rule is compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Name, and whether it walks an object.
    pub(super) loops: Vec<(String, bool)>,
    pub(super) names: Vec<(String, Root)>,
}

impl Scope {
    /// Adds a name.
    ///
    /// # Errors
    /// If it is taken.
    pub(super) fn add(&mut self, name: &str, root: Root) -> Result<(), String> {
        self.free(name)?;
        self.names.push((name.to_owned(), root));
        Ok(())
    }

    /// Adds a loop.
    ///
    /// # Errors
    /// If the name is taken.
    pub(super) fn add_loop(&mut self, name: &str, walks_object: bool) -> Result<(), String> {
        self.free(name)?;
        self.loops.push((name.to_owned(), walks_object));
        Ok(())
    }

    fn free(&self, name: &str) -> Result<(), String> {
        let taken =
            self.loops.iter().any(|(taken, _)| taken == name) || self.names.iter().any(|(taken, _)| taken == name);
        if taken {
            Err(format!("the name `{name}` is taken by a loop, capture or group; choose another"))
        } else {
            Ok(())
        }
    }

    fn known(&self) -> String {
        let loops = self.loops.iter().map(|(name, _)| &**name);
        let names = self.names.iter().map(|(name, _)| &**name);
        let all: Vec<&str> = std::iter::once("$").chain(loops).chain(names).collect();
        all.join(", ")
    }
}

/// Compiles a path.
///
/// # Errors
/// What is wrong with it.
pub(super) fn path(text: &str, scope: &Scope) -> Result<Path, String> {
    let text = text.trim();
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (first, mut rest) = text.split_at(end);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, left) = step(rest)
            .ok_or_else(|| format!("`{text}` is no path at `{rest}`; write `$.key`, `row[0]` or `$[\"any key\"]`"))?;
        steps.push(step);
        rest = left;
    }
    let root = root(first, text, scope, &mut steps)?;
    Ok(Path { root, steps, text: text.into() })
}

fn root(first: &str, text: &str, scope: &Scope, steps: &mut Vec<Step>) -> Result<Root, String> {
    if first == "$" {
        return Ok(Root::Message);
    }
    if let Some(index) = scope.loops.iter().position(|(name, _)| name == first) {
        if !scope.loops[index].1 {
            return Ok(Root::Row(index));
        }
        let part = if steps.is_empty() { None } else { Some(steps.remove(0)) };
        return match part {
            Some(Step::Key(key)) if &*key == "value" => Ok(Root::Row(index)),
            Some(Step::Key(key)) if &*key == "key" && steps.is_empty() => Ok(Root::Key(index)),
            Some(_) | None => {
                Err(format!("`{text}`: `{first}` walks an object; write `{first}.key` or `{first}.value`"))
            }
        };
    }
    match scope.names.iter().find(|(name, _)| name == first) {
        Some((_, root)) if steps.is_empty() => Ok(*root),
        Some(_) => Err(format!("`{text}`: `{first}` is a text and holds nothing further")),
        None => Err(format!("`{first}` is no name here; there are {}", scope.known())),
    }
}

fn step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix("[*]") {
        return Some((Step::Every, rest));
    }
    if let Some(quoted) = rest.strip_prefix("[\"") {
        let (key, rest) = quoted.split_once("\"]")?;
        return Some((Step::Key(key.into()), rest));
    }
    if let Some(number) = rest.strip_prefix('[') {
        let (number, rest) = number.split_once(']')?;
        return Some((Step::Index(number.trim().parse().ok()?), rest));
    }
    let key = rest.strip_prefix('.')?;
    let end = key.find(['.', '[']).unwrap_or(key.len());
    let (key, rest) = key.split_at(end);
    let is_plain = !key.is_empty() && !key.contains(['{', '}', '"', '\'', ',', '(', ')', '?', '|']);
    is_plain.then(|| (Step::Key(key.into()), rest))
}

/// What a loop stands at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frame<'a> {
    pub(super) place: Place,
    pub(super) key: &'a str,
    pub(super) index: Option<u32>,
}

/// All that a path can read in one row.
#[derive(Clone, Copy)]
pub(super) struct Sight<'r, 'a> {
    pub(super) tape: &'r Tape<'a>,
    pub(super) captures: &'r [Option<&'a str>],
    pub(super) frames: &'r [Frame<'a>],
    pub(super) groups: &'r [Option<&'a str>],
    pub(super) client: &'a str,
    pub(super) login: &'a str,
}

impl<'a> Sight<'_, 'a> {
    /// The node that a path leads to.
    pub(super) fn node(&self, path: &Path) -> Option<Node<'a>> {
        match path.root {
            Root::Message | Root::Row(_) => self.place(path).map(|place| self.tape.at(place)),
            Root::Key(level) => self.frames.get(level).map(|frame| Node::Text(frame.key)),
            Root::Index(level) => self.frames.get(level)?.index.map(|index| Node::Int(i64::from(index))),
            Root::Capture(index) => self.captures.get(index).copied().flatten().map(Node::Text),
            Root::Group(index) => self.groups.get(index).copied().flatten().map(Node::Text),
            Root::Client => Some(Node::Text(self.client)).filter(|_| !self.client.is_empty()),
            Root::Login => Some(Node::Text(self.login)).filter(|_| !self.login.is_empty()),
        }
    }

    /// The place that a path into the payload leads to.
    pub(super) fn place(&self, path: &Path) -> Option<Place> {
        let mut place = match path.root {
            Root::Message => 0,
            Root::Row(level) => self.frames.get(level)?.place,
            Root::Key(_) | Root::Index(_) | Root::Capture(_) | Root::Group(_) | Root::Client | Root::Login => {
                return None;
            }
        };
        for step in &path.steps {
            place = match step {
                Step::Key(key) => self.tape.get(place, key)?,
                Step::Index(index) => self.tape.element(place, *index)?,
                Step::Every => return None,
            };
        }
        Some(place)
    }

    /// The first of several paths that leads to a scalar.
    pub(super) fn scalar(&self, paths: &[Path]) -> Option<Node<'a>> {
        paths.iter().find_map(|path| self.node(path).filter(|node| node.is_scalar()))
    }
}

/// The text of a scalar; None for anything else.
pub(super) fn text_of<'a>(node: Node<'a>, scratch: &mut String, arena: &'a Bump) -> Option<&'a str> {
    if let Node::Text(text) = node {
        return Some(text);
    }
    scratch.clear();
    write_scalar(node, scratch)?;
    Some(arena.alloc_str(scratch))
}

/// Writes a scalar as it would stand in a text.
pub(super) fn write_scalar(node: Node<'_>, out: &mut String) -> Option<()> {
    let written = match node {
        Node::Text(text) => out.write_str(text),
        Node::Bool(value) => write!(out, "{value}"),
        Node::Int(value) => write!(out, "{value}"),
        Node::UInt(value) => write!(out, "{value}"),
        Node::Float(value) => write!(out, "{value}"),
        Node::Null | Node::Array { .. } | Node::Object { .. } | Node::Link(_) => return None,
    };
    written.ok()
}

/// What stands in braces, before its filters.
#[derive(Debug, Clone)]
enum Expression {
    Path(Path),
    /// The first that is there.
    First(Vec<Path>),
    Lookup {
        dictionary: Box<str>,
        keys: Vec<Path>,
    },
}

#[derive(Debug, Clone)]
enum Filter {
    Trim,
    Lower,
    Strip(Box<str>),
    Replace(Box<str>, Box<str>),
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Box<str>),
    Value {
        expression: Expression,
        filters: Vec<Filter>,
    },
    /// With the texts before and after it that stand only if there is a value.
    Optional {
        before: Box<str>,
        expression: Expression,
        filters: Vec<Filter>,
        after: Box<str>,
    },
}

/// A text with places to fill in.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
    is_constant: bool,
}

/// Why a text could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// Nothing scalar stands at this path.
    Path(Box<str>),
    /// No message has taught this id yet.
    UnknownId(String),
}

/// What building texts needs besides the row.
pub(super) struct Forge<'r, 'a> {
    pub(super) arena: &'a Bump,
    pub(super) scratch: String,
    pub(super) pilot: &'r PilotId,
    pub(super) dictionaries: &'r Dictionaries,
    /// The dictionaries that need no message.
    pub(super) fixed: &'r super::plan::Fixed,
}

impl Template {
    /// Compiles a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(text: &str, scope: &Scope) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            if at > 0 {
                parts.push(Part::Literal(rest[..at].into()));
            }
            let inside = &rest[at + 1..];
            let end = unquoted(inside, '}').ok_or_else(|| format!("`{text}` has a `{{` without `}}`"))?;
            parts.push(part(&inside[..end], scope)?);
            rest = &inside[end + 1..];
        }
        if rest.contains('}') {
            return Err(format!("`{text}` has a `}}` without `{{`"));
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        let is_constant = parts.iter().all(Part::is_constant);
        Ok(Template { parts, is_constant })
    }

    /// Whether it says the same in every row.
    pub(super) fn is_constant(&self) -> bool {
        self.is_constant
    }

    /// The dictionaries that it looks into.
    pub(super) fn dictionaries(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { expression: Expression::Lookup { dictionary, .. }, .. }
            | Part::Optional { expression: Expression::Lookup { dictionary, .. }, .. } => Some(&**dictionary),
            Part::Literal(_) | Part::Value { .. } | Part::Optional { .. } => None,
        })
    }

    /// The glob that takes every text it can give.
    pub(super) fn glob(&self) -> String {
        self.parts.iter().map(|part| if let Part::Literal(text) = part { &**text } else { "*" }).collect()
    }

    /// Builds the text.
    pub(super) fn build<'a>(&'a self, sight: &Sight<'_, 'a>, forge: &mut Forge<'_, 'a>) -> Result<&'a str, Miss> {
        match &self.parts[..] {
            [] => return Ok(""),
            [Part::Literal(text)] => return Ok(text),
            [Part::Value { expression, filters }] => {
                let text = expression.text(sight, forge)?;
                return Ok(filtered(text, filters, forge.arena));
            }
            [_] | [_, ..] => {}
        }
        let arena = forge.arena;
        // Taken out while the parts use the forge, and put back: one allocation per message, not per text.
        let mut out = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value { expression, filters } => {
                    out.push_str(filtered(expression.text(sight, forge)?, filters, arena));
                }
                Part::Optional { before, expression, filters, after } => match expression.text(sight, forge) {
                    Ok(text) if !text.is_empty() => {
                        out.push_str(before);
                        out.push_str(filtered(text, filters, arena));
                        out.push_str(after);
                    }
                    Ok(_) | Err(Miss::Path(_)) => {}
                    Err(miss @ Miss::UnknownId(_)) => return Err(miss),
                },
            }
        }
        Ok(arena.alloc_str(&out))
    }
}

impl Part {
    fn is_constant(&self) -> bool {
        match self {
            Part::Literal(_) => true,
            Part::Value { expression, .. } | Part::Optional { expression, .. } => match expression {
                Expression::Path(path) => path.is_constant(),
                Expression::First(paths) | Expression::Lookup { keys: paths, .. } => {
                    paths.iter().all(Path::is_constant)
                }
            },
        }
    }
}

impl Expression {
    fn text<'a>(&self, sight: &Sight<'_, 'a>, forge: &mut Forge<'_, 'a>) -> Result<&'a str, Miss> {
        let arena = forge.arena;
        match self {
            Expression::Path(path) => {
                let node = sight.node(path).ok_or_else(|| Miss::Path(path.text.clone()))?;
                text_of(node, &mut forge.scratch, arena).ok_or_else(|| Miss::Path(path.text.clone()))
            }
            Expression::First(paths) => {
                let mut texts = paths.iter().filter_map(|path| text_of(sight.node(path)?, &mut forge.scratch, arena));
                texts.find(|text| !text.is_empty()).ok_or_else(|| {
                    Miss::Path(paths.iter().map(|path| &*path.text).collect::<Vec<_>>().join(" or ").into())
                })
            }
            Expression::Lookup { dictionary, keys } => {
                forge.scratch.clear();
                for (index, key) in keys.iter().enumerate() {
                    if index > 0 {
                        forge.scratch.push(super::dictionary::SEPARATOR);
                    }
                    let node = sight.node(key).ok_or_else(|| Miss::Path(key.text.clone()))?;
                    write_scalar(node, &mut forge.scratch).ok_or_else(|| Miss::Path(key.text.clone()))?;
                }
                let key = &forge.scratch;
                let fixed = forge.fixed.get(dictionary).and_then(|entries| entries.get(key.as_str()));
                if let Some(text) = fixed {
                    return Ok(arena.alloc_str(text));
                }
                forge.dictionaries.look_up(forge.pilot, dictionary, key, arena).ok_or_else(|| {
                    let id = crate::decode::shown(&key.replace(super::dictionary::SEPARATOR, "/"));
                    Miss::UnknownId(format!(
                        "dictionary `{dictionary}` does not know {id}; once a message on the dictionary's topics names it, \
                         this one is read again"
                    ))
                })
            }
        }
    }
}

fn filtered<'a>(text: &'a str, filters: &[Filter], arena: &'a Bump) -> &'a str {
    filters.iter().fold(text, |text, filter| match filter {
        Filter::Trim => text.trim(),
        Filter::Lower => arena.alloc_str(&text.to_lowercase()),
        Filter::Strip(prefix) => text.strip_prefix(&**prefix).unwrap_or(text),
        Filter::Replace(from, to) if holds(text, from) => arena.alloc_str(&text.replace(&**from, to)),
        Filter::Replace(..) => text,
    })
}

/// Whether a part stands in a text; most parts are one sign, for which setting up a search costs more than looking.
fn holds(text: &str, part: &str) -> bool {
    match part.as_bytes() {
        [byte] => text.as_bytes().contains(byte),
        _ => text.contains(part),
    }
}

/// Where a character stands outside of quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == wanted => return Some(at),
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {}
        }
    }
    None
}

fn part(inside: &str, scope: &Scope) -> Result<Part, String> {
    let Some(mark) = unquoted(inside, '?') else {
        let (expression, filters) = piped(inside, scope)?;
        return Ok(Part::Value { expression, filters });
    };
    let begin = inside.find(|c: char| c.is_alphanumeric() || c == '_' || c == '$').unwrap_or(0).min(mark);
    let (expression, filters) = piped(&inside[begin..mark], scope)?;
    Ok(Part::Optional { before: inside[..begin].into(), expression, filters, after: inside[mark + 1..].into() })
}

fn piped(text: &str, scope: &Scope) -> Result<(Expression, Vec<Filter>), String> {
    let mut filters = Vec::new();
    let mut rest = text;
    let mut first = None;
    loop {
        let end = unquoted(rest, '|').unwrap_or(rest.len());
        let one = rest[..end].trim();
        match first {
            None => first = Some(expression(one, scope)?),
            Some(_) => filters.push(filter(one)?),
        }
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    match first {
        Some(expression) => Ok((expression, filters)),
        None => Err("`{}` is empty; write a path".to_owned()),
    }
}

fn filter(text: &str) -> Result<Filter, String> {
    let argument = |name: &str| text.strip_prefix(name)?.trim().strip_prefix('(')?.strip_suffix(')').map(str::trim);
    match text {
        "trim" => Ok(Filter::Trim),
        "lower" => Ok(Filter::Lower),
        _ => {
            let strip = argument("strip").and_then(quoted).map(|prefix| Filter::Strip(prefix.into()));
            let replace = || {
                let (from, to) = argument("replace")?.split_once(',')?;
                let from = quoted(from.trim()).filter(|from| !from.is_empty())?;
                Some(Filter::Replace(from.into(), quoted(to.trim())?.into()))
            };
            strip.or_else(replace).ok_or_else(|| {
                format!("`{text}` is no filter; there are trim, lower, strip('prefix') and replace('from', 'to')")
            })
        }
    }
}

fn quoted(text: &str) -> Option<&str> {
    let single = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    single.or_else(|| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')))
}

fn expression(text: &str, scope: &Scope) -> Result<Expression, String> {
    let Some(arguments) = text.strip_prefix("lookup(") else {
        // A key with ` or ` in it is quoted, and is then the whole of a path that has no other choice beside it.
        return match text.split_once(" or ") {
            Some(_) if !text.contains('"') => {
                let paths = text.split(" or ").map(|one| path(one, scope)).collect::<Result<Vec<Path>, String>>()?;
                Ok(Expression::First(paths))
            }
            Some(_) | None => path(text, scope).map(Expression::Path),
        };
    };
    let wrong = || format!("`{text}` is no look-up; write lookup('dictionary', a, b)");
    let arguments = arguments.strip_suffix(')').ok_or_else(wrong)?;
    let mut arguments = arguments.split(',').map(str::trim);
    let dictionary = arguments.next().and_then(quoted).ok_or_else(wrong)?;
    let keys = arguments.map(|key| path(key, scope)).collect::<Result<Vec<Path>, String>>()?;
    if keys.is_empty() {
        return Err(wrong());
    }
    Ok(Expression::Lookup { dictionary: dictionary.into(), keys })
}
