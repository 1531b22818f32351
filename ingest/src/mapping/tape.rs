//! A message taken apart once, as a flat list of nodes that borrow its text: what every rule walks, whatever the codec.
//!
//! JSON is streamed into it, and the line protocol and CSV codecs build the same shape with `open_object`, `key`, `text` and so
//! on. Texts without an escape are borrowed from the payload, the others from the arena of the message.
//!
//! Invariants:
//! - an array or object knows where it ends, so that walking past one costs one step;
//! - inside an object, key and value follow each other; of a repeated key the last counts;
//! - nesting beyond 128 and numbers out of range are errors of the JSON text.

use std::fmt;

use bumpalo::Bump;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// One value, or one key of an object as a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of `Int`.
    UInt(u64),
    Float(f64),
    Text(&'a str),
    /// Its elements follow, up to `end`.
    Array {
        end: u32,
    },
    /// Its keys and values follow, up to `end`.
    Object {
        end: u32,
    },
    /// Stands for the node at another place: text that was unwrapped.
    Link(u32),
}

impl Node<'_> {
    /// Whether it is neither an array nor an object nor null.
    pub(crate) fn is_scalar(self) -> bool {
        matches!(self, Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Float(_) | Node::Text(_))
    }

    /// What it is, in a sentence.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Int(_) | Node::UInt(_) | Node::Float(_) => "a number",
            Node::Text(_) => "a string",
            Node::Array { .. } => "an array",
            Node::Object { .. } => "an object",
            Node::Link(_) => "a link",
        }
    }
}

/// The place of a node. The root of a message is place 0.
pub(crate) type Place = u32;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Tape<'a> {
    nodes: Vec<Node<'a>>,
}

/// An array or object whose end is not known yet.
#[must_use = "close it"]
pub(crate) struct Open(usize);

/// Bytes of JSON per node, at a guess that rather makes room for too many: `"k":1,` is 6 bytes and two nodes.
const BYTES_PER_NODE: usize = 5;

impl<'a> Tape<'a> {
    /// With room for a payload of this size.
    pub(crate) fn for_bytes(n: usize) -> Tape<'a> {
        Tape { nodes: Vec::with_capacity(n / BYTES_PER_NODE + 8) }
    }

    pub(crate) fn null(&mut self) {
        self.nodes.push(Node::Null);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.nodes.push(Node::Bool(value));
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.nodes.push(Node::Int(value));
    }

    pub(crate) fn uint(&mut self, value: u64) {
        self.nodes.push(i64::try_from(value).map_or(Node::UInt(value), Node::Int));
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.nodes.push(Node::Float(value));
    }

    pub(crate) fn text(&mut self, text: &'a str) {
        self.nodes.push(Node::Text(text));
    }

    /// The key of the value that comes next.
    pub(crate) fn key(&mut self, key: &'a str) {
        self.nodes.push(Node::Text(key));
    }

    /// Begins an array: its elements come next, then [`Tape::close`].
    pub(crate) fn open_array(&mut self) -> Open {
        self.nodes.push(Node::Array { end: 0 });
        Open(self.nodes.len() - 1)
    }

    /// Begins an object: key, value, key, value, then [`Tape::close`].
    pub(crate) fn open_object(&mut self) -> Open {
        self.nodes.push(Node::Object { end: 0 });
        Open(self.nodes.len() - 1)
    }

    /// Ends what was opened last.
    pub(crate) fn close(&mut self, open: Open) {
        let here = place(self.nodes.len());
        if let Some(Node::Array { end } | Node::Object { end }) = self.nodes.get_mut(open.0) {
            *end = here;
        }
    }

    /// A node that holds no others.
    pub(crate) fn push(&mut self, node: Node<'a>) {
        self.nodes.push(node);
    }

    /// Takes away what stands at this place and behind it.
    pub(crate) fn truncate(&mut self, place: Place) {
        self.nodes.truncate(place as usize);
    }

    /// Where the next node will stand.
    pub(crate) fn next_place(&self) -> Place {
        place(self.nodes.len())
    }

    /// Puts another node in the place of this one.
    pub(crate) fn link(&mut self, from: Place, to: Place) {
        if let Some(node) = self.nodes.get_mut(from as usize) {
            *node = Node::Link(to);
        }
    }

    /// The node at this place, links followed; null where there is none.
    pub(crate) fn at(&self, place: Place) -> Node<'a> {
        self.follow(place).1
    }

    /// The place and node that this place stands for.
    fn follow(&self, place: Place) -> (Place, Node<'a>) {
        match self.nodes.get(place as usize).copied() {
            // What is unwrapped lies behind what it stands for, so this ends.
            Some(Node::Link(to)) if to > place => self.follow(to),
            Some(node) => (place, node),
            None => (place, Node::Null),
        }
    }

    /// The place behind this one and all that it holds.
    fn behind(&self, place: Place) -> Place {
        match self.nodes.get(place as usize) {
            Some(Node::Array { end } | Node::Object { end }) => *end,
            Some(_) | None => place + 1,
        }
    }

    /// The value of a key; of a repeated one the last.
    pub(crate) fn get(&self, place: Place, key: &str) -> Option<Place> {
        let (place, Node::Object { end }) = self.follow(place) else { return None };
        let (mut found, mut at) = (None, place + 1);
        while at + 1 < end {
            if matches!(self.nodes[at as usize], Node::Text(name) if name == key) {
                found = Some(at + 1);
            }
            at = self.behind(at + 1);
        }
        found
    }

    /// The element at an index.
    pub(crate) fn element(&self, place: Place, index: u32) -> Option<Place> {
        self.elements(place).nth(index as usize)
    }

    /// The elements of an array, in order; none of anything else.
    pub(crate) fn elements(&self, place: Place) -> Elements<'_, 'a> {
        match self.follow(place) {
            (place, Node::Array { end }) => Elements { tape: self, at: place + 1, end },
            (place, _) => Elements { tape: self, at: place, end: place },
        }
    }

    /// The keys and values of an object as they were sent, repeated keys included; none of anything else.
    pub(crate) fn entries(&self, place: Place) -> Entries<'_, 'a> {
        match self.follow(place) {
            (place, Node::Object { end }) => Entries { tape: self, at: place + 1, end },
            (place, _) => Entries { tape: self, at: place, end: place },
        }
    }
}

/// Places are counted in u32: a payload has at most a million bytes, and a node takes at least one of them.
fn place(at: usize) -> Place {
    Place::try_from(at).unwrap_or(Place::MAX)
}

/// See [`Tape::elements`].
#[derive(Clone)]
pub(crate) struct Elements<'t, 'a> {
    tape: &'t Tape<'a>,
    at: Place,
    end: Place,
}

impl Iterator for Elements<'_, '_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        let next = (self.at < self.end).then_some(self.at)?;
        self.at = self.tape.behind(next);
        Some(next)
    }
}

/// See [`Tape::entries`].
#[derive(Clone)]
pub(crate) struct Entries<'t, 'a> {
    tape: &'t Tape<'a>,
    at: Place,
    end: Place,
}

impl<'a> Iterator for Entries<'_, 'a> {
    type Item = (&'a str, Place);

    fn next(&mut self) -> Option<(&'a str, Place)> {
        if self.at + 1 >= self.end {
            return None;
        }
        let value = self.at + 1;
        let key = if let Node::Text(key) = self.tape.nodes[self.at as usize] { key } else { "" };
        self.at = self.tape.behind(value);
        Some((key, value))
    }
}

/// Puts a JSON text behind what the tape holds. Another parser would take the place of this function.
///
/// # Errors
/// If the text is not JSON.
pub(crate) fn read_json<'a>(text: &'a str, tape: &mut Tape<'a>, arena: &'a Bump) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Seed { tape, arena }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Writes one value to the tape.
struct Seed<'t, 'a> {
    tape: &'t mut Tape<'a>,
    arena: &'a Bump,
}

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Seed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.tape.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.tape.bool(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.tape.int(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.tape.uint(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.tape.float(value);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.tape.text(text);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.tape.text(self.arena.alloc_str(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        let Seed { tape, arena } = self;
        let open = tape.open_array();
        while array.next_element_seed(Seed { tape, arena })?.is_some() {}
        tape.close(open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let Seed { tape, arena } = self;
        let open = tape.open_object();
        while object.next_key_seed(Seed { tape, arena })?.is_some() {
            object.next_value_seed(Seed { tape, arena })?;
        }
        tape.close(open);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(text: &'a str, arena: &'a Bump) -> Tape<'a> {
        let mut tape = Tape::for_bytes(text.len());
        read_json(text, &mut tape, arena).unwrap();
        tape
    }

    #[test]
    fn a_text_is_read_as_it_stands() {
        let arena = Bump::new();
        let text = r#"{"a":[1,-2,1.5,18446744073709551615,true,null],"b\n":{"c":"x\ty"},"d":"plain"}"#;
        let tape = read(text, &arena);
        let a = tape.get(0, "a").unwrap();
        let nodes: Vec<Node> = tape.elements(a).map(|place| tape.at(place)).collect();
        let float = Node::Float(1.5);
        assert_eq!(nodes, [Node::Int(1), Node::Int(-2), float, Node::UInt(u64::MAX), Node::Bool(true), Node::Null]);
        let c = tape.get(0, "b\n").and_then(|b| tape.get(b, "c")).unwrap();
        assert_eq!(tape.at(c), Node::Text("x\ty"));
        assert_eq!(tape.get(0, "d").map(|d| tape.at(d)), Some(Node::Text("plain")));
        assert_eq!(tape.entries(0).map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b\n", "d"]);
        assert_eq!(tape.element(a, 2).map(|place| tape.at(place)), Some(float));
        assert_eq!((tape.element(a, 6), tape.get(a, "a"), tape.get(0, "z")), (None, None, None));
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let arena = Bump::new();
        let tape = read(r#"{"a":1,"b":{"a":7},"a":2}"#, &arena);
        assert_eq!(tape.get(0, "a").map(|a| tape.at(a)), Some(Node::Int(2)));
    }

    #[test]
    fn a_link_stands_for_what_was_unwrapped() {
        let arena = Bump::new();
        let mut tape = read(r#"{"inner":"{\"v\":[3]}","after":4}"#, &arena);
        let inner = tape.get(0, "inner").unwrap();
        let Node::Text(text) = tape.at(inner) else { panic!("a text") };
        let to = tape.next_place();
        read_json(text, &mut tape, &arena).unwrap();
        tape.link(inner, to);
        let v = tape.get(inner, "v").unwrap();
        assert_eq!(tape.elements(v).map(|place| tape.at(place)).collect::<Vec<_>>(), [Node::Int(3)]);
        assert_eq!(tape.get(0, "after").map(|after| tape.at(after)), Some(Node::Int(4)));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let arena = Bump::new();
        let deep = "[".repeat(200);
        for text in ["", "{", "1e400", "{\"a\":}", "[1] 2", &deep] {
            assert!(read_json(text, &mut Tape::default(), &arena).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", key in ".{0,3}") {
            let arena = Bump::new();
            let mut tape = Tape::default();
            if read_json(&text, &mut tape, &arena).is_ok() {
                for (_, place) in tape.entries(0) {
                    tape.get(place, &key);
                }
            }
            tape.element(0, 3);
        }
    }
}
