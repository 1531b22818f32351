//! A mapping file as serde reads it. `plan` compiles it.
//!
//! Every table refuses keys that it does not know; the message shows the line with a caret and names the keys that exist.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use model::registry::Mistake;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A text that knows where it stands in the file.
pub(super) type Text = Spanned<String>;
/// One or several texts.
pub(super) type Texts = Spanned<Many<String>>;

/// Reads a file.
pub(super) fn read(file: &str, text: &str) -> Result<RawFile, Vec<Mistake>> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(text, span.start));
        vec![Mistake { file: file.to_owned(), line, text: error.to_string().trim_end().to_owned() }]
    })
}

/// The line, from 1, on which this byte stands.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1
}

/// The line of a span with carets below it, then the message.
pub(super) fn pointed(text: &str, span: &Range<usize>, message: &str) -> String {
    let start = span.start.min(text.len());
    let from = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let number = line_of(text, start).to_string();
    let before = text.get(from..start).unwrap_or("").chars().count();
    let inside = text.get(start..span.end.min(from + line.len())).unwrap_or("").chars().count().max(1);
    let gutter = " ".repeat(number.len());
    format!("{message}\n{gutter} |\n{number} | {line}\n{gutter} | {}{}", " ".repeat(before), "^".repeat(inside))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) rule: Vec<RawRule>,
    #[serde(default)]
    pub(super) dictionary: Vec<RawDictionary>,
    #[serde(default)]
    pub(super) metric: Vec<RawMetric>,
    #[serde(default)]
    pub(super) sparkplug: Vec<RawSparkplug>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) name: Text,
    pub(super) topics: Texts,
    #[serde(default, rename = "where")]
    pub(super) levels: BTreeMap<String, Text>,
    pub(super) when: Option<Spanned<Many<RawWhen>>>,
    #[serde(default)]
    pub(super) codec: RawCodec,
    pub(super) csv: Option<RawCsv>,
    #[serde(default)]
    pub(super) decompress: RawDecompress,
    #[serde(default)]
    pub(super) unwrap: Vec<RawUnwrap>,
    /// What the payload is written in, if that is not UTF-8.
    pub(super) charset: Option<Text>,
    /// A filter in jq's language, for what the rest of the language cannot say.
    pub(super) transform: Option<Text>,
    #[serde(default)]
    pub(super) each: Vec<Spanned<RawEach>>,
    pub(super) split: Option<RawSplit>,
    #[serde(default)]
    pub(super) target: RawTarget,
    pub(super) asset: Option<Text>,
    pub(super) metric: Option<Text>,
    pub(super) value: Option<Texts>,
    pub(super) time: Option<Spanned<Vec<RawTime>>>,
    pub(super) quality: Option<RawQuality>,
    pub(super) bad_if: Option<Texts>,
    pub(super) unit: Option<Text>,
    pub(super) unit_hint: Option<Text>,
    pub(super) kind: Option<Text>,
    pub(super) product: Option<Text>,
    pub(super) id: Option<Text>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) decimals: Option<u8>,
    #[serde(rename = "enum")]
    pub(super) words: Option<Spanned<BTreeMap<String, Scalar>>>,
    #[serde(default)]
    pub(super) ranges: Vec<RawRange>,
    pub(super) default: Option<Spanned<Scalar>>,
    pub(super) missing: Option<Many<Scalar>>,
    pub(super) order: Option<Text>,
    pub(super) event: Option<Text>,
    pub(super) quantity: Option<Texts>,
    pub(super) good: Option<Texts>,
    pub(super) start: Option<Spanned<Vec<RawTime>>>,
    pub(super) end: Option<Spanned<Vec<RawTime>>>,
    pub(super) total: Option<Texts>,
    pub(super) defective: Option<Texts>,
    pub(super) state: Option<Texts>,
    pub(super) map: Option<BTreeMap<String, Text>>,
    pub(super) reason: Option<Text>,
    pub(super) detail: Option<String>,
    #[serde(default)]
    pub(super) test: Vec<Spanned<RawTest>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawTarget {
    #[default]
    Reading,
    Order,
    Interval,
    Liveness,
    /// Taken, counted as ignored, and nothing comes of it.
    Ignore,
    Refuse,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCodec {
    #[default]
    Json,
    Scalar,
    Influx,
    Csv,
}

/// How a CSV payload is laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCsv {
    /// One character; `,` unless said.
    pub(super) separator: Option<char>,
    /// The names of the columns, for a payload without a line of names.
    pub(super) columns: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDecompress {
    #[default]
    None,
    Gzip,
    Zlib,
    Auto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnwrap {
    pub(super) path: Text,
    #[serde(rename = "as")]
    pub(super) form: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "one switch of the language")]
pub(super) struct RawEach {
    pub(super) rows: Option<Text>,
    pub(super) entries: Option<Text>,
    #[serde(rename = "as")]
    pub(super) name: Option<Text>,
    /// The name under which the number of the row, from 0, can be read.
    pub(super) index: Option<Text>,
    pub(super) flatten: Option<String>,
    #[serde(default)]
    pub(super) skip: Vec<String>,
    #[serde(default)]
    pub(super) skip_non_numeric: bool,
    pub(super) spread_arrays: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSplit {
    pub(super) from: Text,
    pub(super) regex: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimePath {
    pub(super) path: Texts,
    pub(super) format: Text,
    pub(super) zone: Option<Text>,
    /// Which of two equal hours in autumn: earlier, later or refuse.
    pub(super) fold: Option<Text>,
    pub(super) nanos: Option<Text>,
}

#[derive(Debug)]
pub(super) enum RawTime {
    Path(RawTimePath),
    Receive,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuality {
    pub(super) path: Texts,
    pub(super) map: Option<BTreeMap<String, Text>>,
    pub(super) format: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRange {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) is: Spanned<Scalar>,
}

/// A condition on the payload.
#[derive(Debug)]
pub(super) enum RawWhen {
    Exists(String),
    Is(RawWhenIs),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWhenIs {
    /// The path that must be there, and be one of `is` if that is said.
    pub(super) path: Option<String>,
    pub(super) is: Option<Many<Scalar>>,
    /// The path that must not be there.
    pub(super) without: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDictionary {
    pub(super) name: Text,
    pub(super) topics: Option<Texts>,
    #[serde(default, rename = "where")]
    pub(super) levels: BTreeMap<String, Text>,
    pub(super) when: Option<Spanned<Many<RawWhen>>>,
    #[serde(default)]
    pub(super) decompress: RawDecompress,
    #[serde(default)]
    pub(super) each: Vec<Spanned<RawEach>>,
    pub(super) key: Option<Texts>,
    pub(super) value: Option<Text>,
    /// Known without any message.
    #[serde(default)]
    pub(super) entries: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetric {
    #[serde(rename = "match")]
    pub(super) globs: Texts,
    #[serde(rename = "as")]
    pub(super) quantity: Option<String>,
    pub(super) kind: Option<Text>,
    pub(super) unit: Option<String>,
    pub(super) rollover_at: Option<f64>,
    /// What has such a name is no measurement.
    #[serde(default)]
    pub(super) ignore: bool,
    /// Three keys that are understood in order to say where they belong.
    pub(super) max_step: Option<Spanned<toml::Value>>,
    pub(super) min_step: Option<Spanned<toml::Value>>,
    pub(super) reset: Option<Spanned<toml::Value>>,
    pub(super) scale: Option<f64>,
    pub(super) offset: Option<f64>,
    pub(super) decimals: Option<u8>,
    #[serde(rename = "enum")]
    pub(super) words: Option<Spanned<BTreeMap<String, Scalar>>>,
    #[serde(default)]
    pub(super) ranges: Vec<RawRange>,
    pub(super) default: Option<Spanned<Scalar>>,
    pub(super) missing: Option<Many<Scalar>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSparkplug {
    pub(super) nodes: Texts,
    pub(super) strip: Option<Text>,
    #[serde(default)]
    pub(super) quality: BTreeMap<String, Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTest {
    pub(super) topic: String,
    pub(super) payload: Option<String>,
    pub(super) payload_base64: Option<String>,
    /// Unix milliseconds.
    pub(super) received: Option<i64>,
    pub(super) zone: Option<String>,
    pub(super) client: Option<String>,
    pub(super) login: Option<String>,
    /// Messages that came before, for what they teach.
    #[serde(default)]
    pub(super) before: Vec<RawBefore>,
    pub(super) expect: Vec<RawExpect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBefore {
    pub(super) topic: String,
    pub(super) payload: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpect {
    pub(super) asset: Option<String>,
    pub(super) metric: Option<String>,
    pub(super) at: Option<i64>,
    pub(super) value: Option<Scalar>,
    pub(super) quality: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) unit_hint: Option<String>,
    pub(super) product: Option<String>,
    pub(super) id: Option<String>,
    pub(super) order: Option<String>,
    pub(super) event: Option<String>,
    pub(super) quantity: Option<f64>,
    pub(super) good: Option<f64>,
    pub(super) defective: Option<f64>,
    pub(super) reason: Option<String>,
}

/// A boolean, number or text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text or a boolean")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
}

impl<'de> Deserialize<'de> for RawTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawTime, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = RawTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{ path = \"…\", format = \"…\" }` or \"receive\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawTime, E> {
        if text == "receive" {
            Ok(RawTime::Receive)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTime, A::Error> {
        RawTimePath::deserialize(MapAccessDeserializer::new(map)).map(RawTime::Path)
    }
}

impl<'de> Deserialize<'de> for RawWhen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawWhen, D::Error> {
        deserializer.deserialize_any(WhenVisitor)
    }
}

struct WhenVisitor;

impl<'de> Visitor<'de> for WhenVisitor {
    type Value = RawWhen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, `{ path = \"…\", is = … }` or `{ without = \"…\" }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawWhen, E> {
        Ok(RawWhen::Exists(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawWhen, A::Error> {
        RawWhenIs::deserialize(MapAccessDeserializer::new(map)).map(RawWhen::Is)
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub(super) struct Many<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Many<T>, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value or a list of them")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Many<T>, E> {
        T::deserialize(value.into_deserializer()).map(|one| Many(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Many<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Many)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
    }
}
