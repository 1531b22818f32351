//! What one row gives: a reading, an order event, the pieces of an interval, liveness, or an entry of a dictionary.

use std::borrow::Cow;

use model::time::{EARLIEST, FUTURE_MS_MAX};
use model::{OrderEventKind, Quality, Reason, UnixMillis, Value};

use super::{Run, Timed};
use crate::decode::{Decoded, DecodedOrder, Refused, Undecodable, VALUES_MAX, shown};
use crate::mapping::dictionary::SEPARATOR;
use crate::mapping::path::Template;
use crate::mapping::path::{Miss, Path, text_of, write_scalar};
use crate::mapping::plan::{
    Candidate, IntervalPlan, LoopKind, Metric, OrderPlan, Output, QualityPlan, QualityRead, ReadingPlan,
};
use crate::mapping::shape::{Shaped, number};
use crate::mapping::tape::Node;
use crate::mapping::time;
use crate::normalize::Passage;

impl<'a> Run<'_, 'a> {
    /// What one row gives.
    pub(super) fn emit(&mut self) -> Result<(), Undecodable> {
        let rule = self.rule;
        let n_values = self.message.readings.len() + self.message.orders.len();
        if n_values >= VALUES_MAX {
            let detail = format!("more than {VALUES_MAX} values; send them in several messages");
            return Err(Undecodable { reason: Reason::TooManyValues, detail, sequence: None });
        }
        let is_split = self.split();
        match &rule.output {
            Output::Reading(plan) => self.reading(plan, is_split),
            Output::Order(plan) => {
                let order = is_split.and_then(|()| self.order(plan));
                self.message.orders.push(order);
            }
            Output::Interval(plan) => match is_split.and_then(|()| self.interval(plan)) {
                Ok([good, defective]) => {
                    self.reading_or_place(good);
                    self.reading_or_place(defective);
                }
                Err(refused) => {
                    self.message.readings.push(Err(refused));
                    self.message.leave_place();
                }
            },
            Output::Liveness { state, map } => self.liveness(state, map),
            Output::Ignore => self.message.origin.n_ignored += 1,
            Output::Refuse { reason, detail } => {
                return Err(Undecodable {
                    reason: *reason,
                    detail: format!("{}: {detail}", rule.label),
                    sequence: None,
                });
            }
            Output::Teach { dictionary, keys, value } => self.teach(dictionary, keys, value),
        }
        Ok(())
    }

    fn reading_or_place(&mut self, decoded: Option<Decoded<'a>>) {
        match decoded {
            Some(decoded) => self.message.readings.push(Ok(decoded)),
            None => self.message.leave_place(),
        }
    }

    /// Takes the text of `split` apart.
    fn split(&mut self) -> Result<(), Refused> {
        let rule = self.rule;
        let (Some(split), Some(mut locations)) = (&rule.split, self.locations.take()) else { return Ok(()) };
        let node = self.sight().node(&split.from);
        let text = node.and_then(|node| text_of(node, &mut self.forge.scratch, self.forge.arena));
        self.groups.clear();
        let matched = text.and_then(|text| split.regex.captures_read(&mut locations, text).map(|_| text));
        if let Some(text) = matched {
            let group = |index| locations.get(index).and_then(|(from, to)| text.get(from..to));
            self.groups.extend((0..locations.len()).map(group));
        }
        self.locations = Some(locations);
        match (matched, text) {
            (Some(_), _) => Ok(()),
            (None, Some(text)) => Err(self.refused(
                Reason::BadField,
                format!("{} does not match the regex of `split`", shown(text)),
                None,
            )),
            (None, None) => {
                Err(self.refused(Reason::BadField, format!("`{}` is no text to split", split.from.text), None))
            }
        }
    }

    fn refused(&self, reason: Reason, detail: String, at: Option<UnixMillis>) -> Refused {
        Refused { reason, detail: format!("{}: {detail}", self.rule.label), is_timed: at.is_some() }
    }

    fn missed(&self, miss: Miss, what: &str, at: Option<UnixMillis>) -> Refused {
        match miss {
            Miss::Path(path) => self.refused(
                Reason::BadField,
                format!("{what} needs `{path}`, where nothing stands that is a text"),
                at,
            ),
            Miss::UnknownId(detail) => self.refused(Reason::UnknownId, detail, at),
        }
    }

    fn reading(&mut self, plan: &'a ReadingPlan, is_split: Result<(), Refused>) {
        let (quality, is_bad) = self.quality(plan);
        let value = self.sight().scalar(&plan.value);
        if value.is_none() && !is_bad && !self.has_odd_value(plan) {
            self.message.ignore();
            return;
        }
        let quality = if is_bad { Quality::Bad } else { quality };
        let reading = is_split.and_then(|()| self.read(plan, value, quality));
        match reading {
            Ok(Some(reading)) => self.message.readings.push(Ok(reading)),
            Ok(None) => self.message.ignore(),
            Err(refused) => self.message.readings.push(Err(refused)),
        }
    }

    /// Whether an array or object stands where a value should.
    fn has_odd_value(&self, plan: &ReadingPlan) -> bool {
        let sight = self.sight();
        !self.is_lenient()
            && plan.value.iter().any(|path| matches!(sight.node(path), Some(Node::Array { .. } | Node::Object { .. })))
    }

    /// Whether a loop leaves out what is no number.
    fn is_lenient(&self) -> bool {
        self.rule.each.iter().any(|each| match each.kind {
            LoopKind::Rows { skip_non_numeric } | LoopKind::Entries { skip_non_numeric, .. } => skip_non_numeric,
        })
    }

    /// One reading; none if nothing was measured.
    fn read(
        &mut self,
        plan: &'a ReadingPlan,
        value: Option<Node<'a>>,
        quality: Quality,
    ) -> Result<Option<Decoded<'a>>, Refused> {
        let time = self.row_time(&plan.time);
        let at = time.at();
        let name = self.text(&plan.metric).map_err(|miss| self.missed(miss, "`metric`", at))?;
        let metric = (self.metrics)(name);
        if metric.is_some_and(|metric| metric.is_ignored) {
            return Ok(None);
        }
        let value = match quality {
            Quality::Bad => None,
            Quality::Good | Quality::Uncertain => match self.shaped(plan, metric, value, name, at)? {
                Some(value) => Some(value),
                None => return Ok(None),
            },
        };
        if time == Timed::Missing {
            return Err(self.no_time(&plan.time, name));
        }
        let asset = match self.asset {
            Some(asset) => asset,
            None => {
                let asset = self.text(&plan.asset).map_err(|miss| self.missed(miss, "`asset`", at))?;
                if plan.asset.is_constant() {
                    self.asset = Some(asset);
                }
                asset
            }
        };
        let mut optional = |template: &'a Option<Template>, what| match template {
            Some(template) => self.optional(Some(template)).map_err(|miss| self.missed(miss, what, at)),
            None => Ok(None),
        };
        let (product, id) = (optional(&plan.product, "`product`")?, optional(&plan.id, "`id`")?);
        let (unit, unit_hint) = (optional(&plan.unit, "`unit`")?, optional(&plan.unit_hint, "`unit_hint`")?);
        let unit = unit.or_else(|| metric.and_then(|metric| metric.unit.as_deref()));
        Ok(Some(Decoded {
            asset: Cow::Borrowed(asset),
            name: Cow::Borrowed(name),
            product: product.map(Cow::Borrowed),
            id: id.map(Cow::Borrowed),
            unit: unit.map(Cow::Borrowed),
            unit_hint: unit_hint.map(Cow::Borrowed),
            at,
            quality,
            value,
        }))
    }

    fn shaped(
        &mut self,
        plan: &ReadingPlan,
        metric: Option<&Metric>,
        node: Option<Node<'a>>,
        name: &str,
        at: Option<UnixMillis>,
    ) -> Result<Option<Value>, Refused> {
        let Some(node) = node else {
            let detail = format!(
                "the value of {} is an array or an object; walk it with `each`, or name a path into it",
                shown(name)
            );
            return Err(self.refused(Reason::BadField, detail, at));
        };
        let scratch = &mut self.forge.scratch;
        let shaped = match metric {
            Some(metric) if !metric.shape.is_plain() => plan.shape.then(&metric.shape, node, scratch),
            Some(_) | None => plan.shape.apply(node, scratch),
        };
        match shaped {
            Shaped::Value(value) => Ok(Some(value)),
            Shaped::Missing => Ok(None),
            Shaped::NotFinite => {
                Err(self.refused(Reason::NotFinite, format!("{} is not finite after scaling", shown(name)), at))
            }
            Shaped::NotNumeric if self.is_lenient() => Ok(None),
            Shaped::NotNumeric => {
                let sent = if let Node::Text(text) = node { text } else { "" };
                let detail = format!(
                    "the value of {} is {}, which is no number; say what it means in the rule or in a [[metric]] of that \
                     name: enum = {{ {sent:?} = 1 }}, or leave such values out with skip_non_numeric = true in `each`",
                    shown(name),
                    shown(sent)
                );
                Err(self.refused(Reason::BadField, detail, at))
            }
        }
    }

    /// The quality that was sent, and whether the value is bad.
    fn quality(&mut self, plan: &ReadingPlan) -> (Quality, bool) {
        let sight = self.sight();
        let is_bad = plan.bad_if.iter().any(|path| sight.node(path).is_some_and(says_bad));
        let sent = plan.quality.as_ref().and_then(|plan| sight.scalar(&plan.paths).map(|node| (plan, node)));
        let quality = sent.map_or(Quality::Good, |(plan, node)| quality_of(plan, node, &mut self.forge.scratch));
        (quality, is_bad || quality == Quality::Bad)
    }

    /// The time of this row; kept where it is the same in every row.
    fn row_time(&mut self, candidates: &'a [Candidate]) -> Timed {
        if let Some(time) = self.time {
            return time;
        }
        let time = self.time_of(candidates);
        let is_constant = candidates.iter().all(|candidate| match candidate {
            Candidate::Receive => true,
            Candidate::Path { paths, nanos, .. } => paths.iter().chain(nanos).all(Path::is_constant),
        });
        if is_constant {
            self.time = Some(time);
        }
        time
    }

    /// The first candidate that is plausible, else the first that is a time at all.
    fn time_of(&self, candidates: &[Candidate]) -> Timed {
        let latest = self.scene.received.received_at.plus(FUTURE_MS_MAX);
        let (sight, mut implausible, mut may_receive) = (self.sight(), None, false);
        for candidate in candidates {
            let (paths, format, nanos) = match candidate {
                Candidate::Receive => {
                    may_receive = true;
                    continue;
                }
                Candidate::Path { paths, format, nanos } => (paths, format, nanos),
            };
            let nanos = nanos.as_ref().and_then(|path| sight.node(path)).and_then(number).and_then(whole);
            let zone = self.scene.received.zone;
            let read = |path| sight.node(path).and_then(scalar_of).and_then(|sent| format.parse(sent, nanos, zone));
            for at in paths.iter().filter_map(read) {
                if at >= EARLIEST && at <= latest {
                    return Timed::At(at);
                }
                implausible = implausible.or(Some(at));
            }
        }
        match implausible {
            Some(at) => Timed::At(at),
            None if may_receive => Timed::Receipt,
            None => Timed::Missing,
        }
    }

    fn no_time(&self, candidates: &[Candidate], what: &str) -> Refused {
        let paths: Vec<&str> = candidates
            .iter()
            .flat_map(|candidate| match candidate {
                Candidate::Receive => &[][..],
                Candidate::Path { paths, .. } => &paths[..],
            })
            .map(|path| &*path.text)
            .collect();
        let or_receipt = match self.rule.output {
            Output::Reading(_) => ", or \"receive\" if the time of receipt is right",
            Output::Order(_)
            | Output::Interval(_)
            | Output::Liveness { .. }
            | Output::Ignore
            | Output::Refuse { .. }
            | Output::Teach { .. } => "",
        };
        let detail = format!(
            "{} has no time: {} gives none in the formats of the rule; add its format to `time`{or_receipt}",
            shown(what),
            paths.join(", ")
        );
        self.refused(Reason::NoTime, detail, None)
    }

    /// A count of pieces; none if it was not sent.
    fn pieces(&self, paths: &[Path], what: &str, at: Option<UnixMillis>) -> Result<Option<f64>, Refused> {
        let Some(node) = self.sight().scalar(paths) else { return Ok(None) };
        match number(node) {
            Some(value) => Ok(Some(value.as_f64())),
            None => Err(self.refused(Reason::BadField, format!("`{what}` is {}; send a number", node.kind()), at)),
        }
    }

    fn order(&mut self, plan: &'a OrderPlan) -> Result<DecodedOrder<'a>, Refused> {
        let at = self.time_of(&plan.time).at();
        let order = self.text(&plan.order).map_err(|miss| self.missed(miss, "`order`", at))?;
        if at.is_none() {
            return Err(self.no_time(&plan.time, order));
        }
        let sent = self.text(&plan.event).map_err(|miss| self.missed(miss, "`event`", at))?;
        let word = plan.map.iter().find(|(from, _)| from == sent).map_or(sent, |(_, to)| to);
        let Some(event) = OrderEventKind::parse(word) else {
            let detail =
                format!("event {} is none of released, started, completed, cancelled; name it in `map`", shown(sent));
            return Err(self.refused(Reason::BadField, detail, at));
        };
        let product = self.optional(plan.product.as_ref()).map_err(|miss| self.missed(miss, "`product`", at))?;
        Ok(DecodedOrder {
            order: Cow::Borrowed(order),
            product: product.map(Cow::Borrowed),
            event,
            at,
            quantity: self.pieces(&plan.quantity, "quantity", at)?,
            good: self.pieces(&plan.good, "good", at)?,
            defective: self.pieces(&plan.defective, "defective", at)?,
        })
    }

    /// The good and the defective pieces of an interval, at its end.
    fn interval(&mut self, plan: &'a IntervalPlan) -> Result<[Option<Decoded<'a>>; 2], Refused> {
        let end = self.time_of(&plan.end);
        let Some(at) = end.at() else { return Err(self.no_time(&plan.end, "the interval")) };
        if let Some(start) = self.time_of(&plan.start).at().filter(|start| *start > at) {
            let detail = format!("the interval starts at {} and ends before that, at {}", start.0, at.0);
            return Err(self.refused(Reason::BadField, detail, Some(at)));
        }
        let asset = self.text(&plan.asset).map_err(|miss| self.missed(miss, "`asset`", Some(at)))?;
        let product = self.optional(plan.product.as_ref()).map_err(|miss| self.missed(miss, "`product`", Some(at)))?;
        let Some(total) = self.pieces(&plan.total, "total", Some(at))? else {
            return Err(self.refused(
                Reason::BadField,
                "`total` is missing; send the pieces of the interval".to_owned(),
                Some(at),
            ));
        };
        let defective = self.pieces(&plan.defective, "defective", Some(at))?;
        let good = total - defective.unwrap_or(0.0);
        if good < 0.0 {
            let detail = format!("{} of {total} pieces are defective", defective.unwrap_or(0.0));
            return Err(self.refused(Reason::Implausible, detail, Some(at)));
        }
        let reading = |name, value| {
            let (asset, name, product) = (Cow::Borrowed(asset), Cow::Borrowed(name), product.map(Cow::Borrowed));
            let (value, quality) = (Value::from_f64(value), Quality::Good);
            Decoded { asset, name, product, id: None, unit: None, unit_hint: None, at: Some(at), quality, value }
        };
        Ok([Some(reading("good", good)), defective.map(|defective| reading("defective", defective))])
    }

    fn liveness(&mut self, state: &[Path], map: &[(String, String)]) {
        let node = self.sight().scalar(state);
        self.forge.scratch.clear();
        let written = node.and_then(|node| write_scalar(node, &mut self.forge.scratch));
        let word = self.forge.scratch.trim();
        let said = map.iter().find(|(from, _)| from == word).map_or(word, |(_, said)| said);
        if written.is_some() && matches!(said, "online" | "offline") {
            self.message.origin.carries_state = true;
            self.message.origin.alive = Some(said == "online");
            return;
        }
        let detail = format!("state {} is neither online nor offline; name it in `map`", shown(word));
        let refused = self.refused(Reason::BadField, detail, None);
        self.message.readings.push(Err(refused));
    }

    fn teach(&mut self, dictionary: &str, keys: &[Path], value: &Path) {
        self.message.origin.carries_state = true;
        self.message.origin.teaches = true;
        let mut key = String::new();
        for (index, path) in keys.iter().enumerate() {
            if index > 0 {
                key.push(SEPARATOR);
            }
            let written = self.sight().node(path).and_then(|node| write_scalar(node, &mut key));
            if written.is_none() {
                return;
            }
        }
        let mut name = String::new();
        let written = self.sight().node(value).and_then(|node| write_scalar(node, &mut name));
        if written.is_some() && self.scene.passage == Passage::Live {
            self.scene.dictionaries.teach(self.scene.received.pilot, dictionary, &key, &name);
        }
    }
}

fn whole(value: Value) -> Option<i64> {
    if let Value::Int(value) = value { Some(value) } else { None }
}

/// What a time is read from.
fn scalar_of(node: Node<'_>) -> Option<time::Scalar<'_>> {
    match node {
        Node::Int(value) => Some(time::Scalar::Int(value)),
        Node::UInt(value) => Some(time::Scalar::UInt(value)),
        Node::Float(value) => Some(time::Scalar::Float(value)),
        Node::Text(text) => Some(time::Scalar::Text(text)),
        Node::Null | Node::Bool(_) | Node::Array { .. } | Node::Object { .. } | Node::Link(_) => None,
    }
}

/// An error stands there: true, a number that is not 0, a text that is neither empty nor `0`, or anything nested.
fn says_bad(node: Node<'_>) -> bool {
    match node {
        Node::Null => false,
        Node::Bool(value) => value,
        Node::Int(value) => value != 0,
        Node::UInt(value) => value != 0,
        Node::Float(value) => value != 0.0,
        Node::Text(text) => !matches!(text, "" | "0" | "false"),
        Node::Array { .. } | Node::Object { .. } | Node::Link(_) => true,
    }
}

/// A word of quality that nobody mapped flags the value, it does not throw it away.
fn quality_of(plan: &QualityPlan, node: Node<'_>, scratch: &mut String) -> Quality {
    match &plan.read {
        QualityRead::Map(map) => {
            scratch.clear();
            let written = write_scalar(node, scratch);
            let known = written.and_then(|()| map.iter().find(|(word, _)| *word == *scratch));
            known.map_or(Quality::Uncertain, |(_, quality)| *quality)
        }
        QualityRead::Opcua => match number(node) {
            Some(Value::Int(code)) => match (code >> 30) & 3 {
                0 => Quality::Good,
                1 => Quality::Uncertain,
                _ => Quality::Bad,
            },
            Some(Value::UInt(_) | Value::Float(_)) | None => Quality::Uncertain,
        },
        QualityRead::Sparkplug => match number(node) {
            Some(Value::Int(192)) => Quality::Good,
            Some(Value::Int(0)) => Quality::Bad,
            Some(_) | None => Quality::Uncertain,
        },
    }
}
