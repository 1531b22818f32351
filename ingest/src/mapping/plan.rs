//! A compiled mapping file: rules whose paths, texts, filters and patterns are ready to run. `compile` makes it.

use std::collections::{BTreeSet, HashMap};

use encoding_rs::Encoding;
use model::{Quality, Reason};
use regex::Regex;

use super::Proposal;
use super::file::{RawCodec, RawCsv, RawDecompress, RawTest, Scalar};
use super::path::{Path, Template};
use super::shape::Shape;
use super::time::Format;
use super::topic::{Filter, glob};
use super::transform::Transform;

/// Dictionaries that need no message, by name and key.
pub(super) type Fixed = HashMap<Box<str>, HashMap<Box<str>, Box<str>>>;

/// A compiled mapping file.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) file: String,
    pub(super) rules: Vec<Rule>,
    pub(super) metrics: Metrics,
    pub(super) sparkplug: Vec<Sparkplug>,
    pub(super) fixed: Fixed,
    pub(super) dictionaries: BTreeSet<String>,
    pub(super) tests: Vec<Test>,
}

/// A test vector, with the rule that it belongs to and its line.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) rule: String,
    pub(super) line: usize,
    pub(super) test: RawTest,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    /// `file: rule`.
    pub(super) label: String,
    pub(super) filters: Vec<Filter>,
    pub(super) n_captures: usize,
    pub(super) levels: Vec<(usize, Regex)>,
    pub(super) intake: Intake,
    pub(super) transform: Option<Transform>,
    pub(super) when: Vec<When>,
    pub(super) each: Vec<Loop>,
    pub(super) split: Option<Split>,
    pub(super) output: Output,
}

/// How bytes become a tape; rules with the same intake share it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Intake {
    pub(super) codec: RawCodec,
    pub(super) csv: RawCsv,
    pub(super) decompress: RawDecompress,
    /// None for UTF-8.
    pub(super) charset: Option<&'static Encoding>,
    pub(super) unwrap: Vec<Unwrap>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unwrap {
    pub(super) path: Path,
    pub(super) forms: Vec<Form>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Base64,
    Zlib,
    Gzip,
    /// An array of the bytes as numbers; always the last.
    Bytes,
}

#[derive(Debug)]
pub(super) enum When {
    Exists(Path),
    Is(Path, Vec<Scalar>),
    Without(Path),
}

#[derive(Debug)]
pub(super) struct Loop {
    pub(super) over: Path,
    pub(super) kind: LoopKind,
}

#[derive(Debug)]
pub(super) enum LoopKind {
    Rows { skip_non_numeric: bool },
    Entries { flatten: Option<String>, skip: Vec<String>, skip_non_numeric: bool, spread_arrays: bool },
}

#[derive(Debug)]
pub(super) struct Split {
    pub(super) from: Path,
    pub(super) regex: Regex,
}

/// What comes out of a rule.
#[derive(Debug)]
pub(super) enum Output {
    Reading(Box<ReadingPlan>),
    Order(Box<OrderPlan>),
    Interval(Box<IntervalPlan>),
    Liveness {
        state: Vec<Path>,
        map: Vec<(String, String)>,
    },
    /// What stands here is no measurement, and is counted as ignored.
    Ignore,
    Refuse {
        reason: Reason,
        detail: String,
    },
    Teach {
        dictionary: String,
        keys: Vec<Path>,
        value: Path,
    },
}

#[derive(Debug)]
pub(super) struct ReadingPlan {
    pub(super) asset: Template,
    pub(super) metric: Template,
    pub(super) value: Vec<Path>,
    pub(super) time: Vec<Candidate>,
    pub(super) quality: Option<QualityPlan>,
    pub(super) bad_if: Vec<Path>,
    pub(super) unit: Option<Template>,
    pub(super) unit_hint: Option<Template>,
    pub(super) product: Option<Template>,
    pub(super) id: Option<Template>,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) struct OrderPlan {
    pub(super) order: Template,
    pub(super) event: Template,
    pub(super) map: Vec<(String, String)>,
    pub(super) product: Option<Template>,
    pub(super) quantity: Vec<Path>,
    pub(super) good: Vec<Path>,
    pub(super) defective: Vec<Path>,
    pub(super) time: Vec<Candidate>,
}

#[derive(Debug)]
pub(super) struct IntervalPlan {
    pub(super) asset: Template,
    pub(super) product: Option<Template>,
    pub(super) start: Vec<Candidate>,
    pub(super) end: Vec<Candidate>,
    pub(super) total: Vec<Path>,
    pub(super) defective: Vec<Path>,
}

/// One way to find the time.
#[derive(Debug)]
pub(super) enum Candidate {
    Receive,
    Path { paths: Vec<Path>, format: Format, nanos: Option<Path> },
}

#[derive(Debug)]
pub(super) struct QualityPlan {
    pub(super) paths: Vec<Path>,
    pub(super) read: QualityRead,
}

#[derive(Debug)]
pub(super) enum QualityRead {
    Map(Vec<(String, Quality)>),
    /// The top two bits of a status code.
    Opcua,
    /// 0, 192 and 500.
    Sparkplug,
}

/// What a `[[metric]]` says.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) shape: Shape,
    /// Nothing comes of it but a count.
    pub(super) is_ignored: bool,
    pub(super) unit: Option<String>,
    pub(super) proposal: Proposal,
}

/// The `[[metric]]`s of a file, found by name; the first in the file wins.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    list: Vec<Metric>,
    exact: HashMap<String, usize>,
    globs: Vec<(String, usize)>,
}

impl Metrics {
    pub(super) fn push(&mut self, globs: Vec<String>, metric: Metric) {
        let index = self.list.len();
        self.list.push(metric);
        for glob in globs {
            if glob.contains('*') {
                self.globs.push((glob, index));
            } else {
                self.exact.entry(glob).or_insert(index);
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Metric> {
        if self.list.is_empty() {
            return None;
        }
        let exact = self.exact.get(name).copied();
        let globbed = self.globs.iter().find(|(pattern, _)| glob(pattern, name)).map(|(_, index)| *index);
        let index = match (exact, globbed) {
            (Some(exact), Some(globbed)) => exact.min(globbed),
            (one, other) => one.or(other)?,
        };
        self.list.get(index)
    }
}

/// What `[[sparkplug]]` says of some edge nodes.
#[derive(Debug)]
pub(super) struct Sparkplug {
    pub(super) nodes: Vec<String>,
    pub(super) strip: Option<Regex>,
    pub(super) quality: Vec<(i64, Quality)>,
}
