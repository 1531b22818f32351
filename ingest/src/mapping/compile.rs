//! Compiles a mapping file into rules whose paths, texts, filters and patterns are ready to run.
//!
//! Every mistake is noted with its line and a caret; a rule with a mistake is left out, and the file is refused as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use encoding_rs::Encoding;
use model::registry::Mistake;
use model::{OrderEventKind, Quality, Reason, Value};
use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::Proposal;
use super::file::{
    self, Many, RawCodec, RawCsv, RawDictionary, RawEach, RawMetric, RawQuality, RawRange, RawRule, RawSparkplug,
    RawTarget, RawTime, RawTimePath, RawUnwrap, RawWhen, Scalar, Text, Texts,
};
use super::path::{Path, Root, Scope, Step, Template, path};
use super::plan::*;
use super::shape::{self, STATES, Sentinel, Shape};
use super::time::Format;
use super::topic::Filter;
use super::transform::Transform;

/// Bytes of a compiled pattern. A factory's pattern needs some kB; one that explodes is refused when it is loaded.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Loops in a rule: the deepest dialect has three.
const LOOPS_MAX: usize = 8;

/// Compiles a file. `known` are the dictionaries of the built-in profiles.
pub(super) fn compile(file: &str, text: &str, known: &BTreeSet<String>) -> Result<Compiled, Vec<Mistake>> {
    let raw = file::read(file, text)?;
    let mut compiler = Compiler { file, text, mistakes: Vec::new(), known: known.clone() };
    let mut compiled = Compiled { file: file.to_owned(), ..Compiled::default() };
    for dictionary in raw.dictionary {
        let name = dictionary.name.get_ref().clone();
        compiler.known.insert(name.clone());
        compiled.dictionaries.insert(name);
        compiler.dictionary(dictionary, &mut compiled);
    }
    for metric in raw.metric {
        compiler.metric(metric, &mut compiled.metrics);
    }
    for sparkplug in raw.sparkplug {
        compiled.sparkplug.extend(compiler.sparkplug(sparkplug));
    }
    for rule in raw.rule {
        compiler.rule(rule, &mut compiled);
    }
    if compiler.mistakes.is_empty() { Ok(compiled) } else { Err(compiler.mistakes) }
}

struct Compiler<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: Vec<Mistake>,
    known: BTreeSet<String>,
}

impl Compiler<'_> {
    fn mistake(&mut self, span: &Range<usize>, message: &str) {
        let line = file::line_of(self.text, span.start);
        let text = file::pointed(self.text, span, message);
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, text });
    }

    fn take<T>(&mut self, span: &Range<usize>, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake(span, &message);
                None
            }
        }
    }

    fn path(&mut self, text: &Text, scope: &Scope) -> Option<Path> {
        self.take(&text.span(), path(text.get_ref(), scope).and_then(without_every))
    }

    fn paths(&mut self, texts: Option<&Texts>, scope: &Scope) -> Option<Vec<Path>> {
        let Some(texts) = texts else { return Some(Vec::new()) };
        let paths = texts.get_ref().0.iter().map(|text| path(text, scope).and_then(without_every));
        self.take(&texts.span(), paths.collect())
    }

    fn template(&mut self, text: &Text, scope: &Scope) -> Option<Template> {
        let template = self.take(&text.span(), Template::compile(text.get_ref(), scope))?;
        if let Some(unknown) = template.dictionaries().find(|name| !self.known.contains(*name)) {
            let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
            let message = format!("no [[dictionary]] is called `{unknown}`; there are {}", known.join(", "));
            self.mistake(&text.span(), &message);
            return None;
        }
        Some(template)
    }

    fn optional(&mut self, text: Option<&Text>, scope: &Scope) -> Option<Option<Template>> {
        text.map_or(Some(None), |text| self.template(text, scope).map(Some))
    }

    fn needed(&mut self, key: &str, text: Option<&Text>, near: &Text, scope: &Scope) -> Option<Template> {
        match text {
            Some(text) => self.template(text, scope),
            None => {
                self.missing(key, near);
                None
            }
        }
    }

    fn missing(&mut self, key: &str, near: &Text) {
        self.mistake(&near.span(), &format!("rule `{}` needs the key `{key}`", near.get_ref()));
    }

    fn regex(&mut self, text: &Text) -> Option<Regex> {
        let built = RegexBuilder::new(text.get_ref()).size_limit(REGEX_BYTES_MAX).build();
        self.take(&text.span(), built.map_err(|error| format!("this regex cannot be used: {error}")))
    }

    fn filters(&mut self, topics: &Texts, scope: &mut Scope) -> Option<(Vec<Filter>, Vec<String>)> {
        let mut names = Vec::new();
        let compile =
            |text: &String| Filter::compile(text, &mut names).map_err(|error| format!("topic `{text}` {error}"));
        let filters: Result<Vec<Filter>, String> = topics.get_ref().0.iter().map(compile).collect();
        let filters = self.take(&topics.span(), filters)?;
        for (index, name) in names.iter().enumerate() {
            let added = scope.add(name, Root::Capture(index));
            self.take(&topics.span(), added)?;
        }
        for (name, root) in [("client", Root::Client), ("login", Root::Login)] {
            if !names.iter().any(|taken| taken == name) {
                let added = scope.add(name, root);
                self.take(&topics.span(), added)?;
            }
        }
        Some((filters, names))
    }

    fn levels(&mut self, levels: &BTreeMap<String, Text>, names: &[String]) -> Option<Vec<(usize, Regex)>> {
        let mut compiled = Vec::new();
        for (name, text) in levels {
            let Some(index) = names.iter().position(|known| known == name) else {
                let message =
                    format!("`where` names `{name}`, which no topic captures; there are {}", names.join(", "));
                self.mistake(&text.span(), &message);
                return None;
            };
            compiled.push((index, self.regex(text)?));
        }
        Some(compiled)
    }

    fn when(&mut self, when: Option<&Spanned<Many<RawWhen>>>, scope: &Scope) -> Option<Vec<When>> {
        let Some(when) = when else { return Some(Vec::new()) };
        let compiled = when.get_ref().0.iter().map(|condition| condition_of(condition, scope)).collect();
        self.take(&when.span(), compiled)
    }

    fn each(&mut self, each: &[Spanned<RawEach>], scope: &mut Scope) -> Option<Vec<Loop>> {
        let mut loops = Vec::new();
        for raw in each {
            if loops.len() == LOOPS_MAX {
                self.mistake(&raw.span(), &format!("a rule has at most {LOOPS_MAX} loops"));
                return None;
            }
            loops.push(self.one_loop(raw, scope)?);
        }
        Some(loops)
    }

    fn one_loop(&mut self, raw: &Spanned<RawEach>, scope: &mut Scope) -> Option<Loop> {
        let (span, each) = (raw.span(), raw.get_ref());
        let level = scope.loops.len();
        let name = each.name.as_ref().map_or("row", |name| name.get_ref());
        let skip_non_numeric = each.skip_non_numeric;
        let (over, kind, walks_object) = match (&each.rows, &each.entries) {
            (Some(rows), None) => {
                if each.flatten.is_some() || each.spread_arrays.is_some() || !each.skip.is_empty() {
                    self.mistake(&span, "`flatten`, `spread_arrays` and `skip` belong to `entries`, not to `rows`");
                    return None;
                }
                (rows, LoopKind::Rows { skip_non_numeric }, false)
            }
            (None, Some(entries)) => {
                let (flatten, skip) = (each.flatten.clone(), each.skip.clone());
                let spread_arrays = each.spread_arrays.is_some();
                (entries, LoopKind::Entries { flatten, skip, skip_non_numeric, spread_arrays }, true)
            }
            (Some(_), Some(_)) | (None, None) => {
                self.mistake(&span, "a loop has either `rows` (an array) or `entries` (an object)");
                return None;
            }
        };
        let over = self.path(over, scope)?;
        let added = scope.add_loop(name, walks_object);
        self.take(&span, added)?;
        for index in [&each.index, &each.spread_arrays].into_iter().flatten() {
            let added = scope.add(index.get_ref(), Root::Index(level));
            self.take(&index.span(), added)?;
        }
        Some(Loop { over, kind })
    }

    fn split(&mut self, raw: Option<&file::RawSplit>, scope: &mut Scope) -> Option<Option<Split>> {
        let Some(raw) = raw else { return Some(None) };
        let from = self.path(&raw.from, scope)?;
        let regex = self.regex(&raw.regex)?;
        for (index, name) in regex.capture_names().enumerate() {
            if let Some(name) = name {
                let added = scope.add(name, Root::Group(index));
                self.take(&raw.regex.span(), added)?;
            }
        }
        Some(Some(Split { from, regex }))
    }

    fn unwrap(&mut self, raw: &[RawUnwrap]) -> Option<Vec<Unwrap>> {
        let mut unwraps = Vec::new();
        for raw in raw {
            let path = self.take(&raw.path.span(), path(raw.path.get_ref(), &Scope::default()))?;
            let forms: Result<Vec<Form>, String> = raw.form.get_ref().split('+').map(form).collect();
            let forms = self.take(&raw.form.span(), forms)?;
            if forms.iter().rev().skip(1).any(|form| *form == Form::Bytes) {
                self.mistake(
                    &raw.form.span(),
                    "`bytes` gives an array of numbers, so it stands last, as in \"base64+bytes\"",
                );
                return None;
            }
            unwraps.push(Unwrap { path, forms });
        }
        Some(unwraps)
    }

    fn rule(&mut self, raw: RawRule, compiled: &mut Compiled) -> Option<()> {
        let mut scope = Scope::default();
        let name = raw.name.get_ref().clone();
        if compiled.rules.iter().any(|rule| rule.name == name) {
            self.mistake(&raw.name.span(), &format!("two rules are called `{name}`"));
        }
        let (filters, names) = self.filters(&raw.topics, &mut scope)?;
        let levels = self.levels(&raw.levels, &names)?;
        let when = self.when(raw.when.as_ref(), &scope)?;
        let each = self.each(&raw.each, &mut scope)?;
        let split = self.split(raw.split.as_ref(), &mut scope)?;
        let unwrap = self.unwrap(&raw.unwrap)?;
        let csv = raw.csv.clone().unwrap_or_default();
        let charset = self.charset(raw.charset.as_ref())?;
        let intake = Intake { codec: raw.codec, csv, decompress: raw.decompress, charset, unwrap };
        let transform = self.transform(raw.transform.as_ref())?;
        let output = self.output(&raw, &scope, &mut compiled.metrics)?;
        let (label, n_captures) = (format!("{}: {name}", self.file), names.len());
        for test in raw.test {
            let line = file::line_of(self.text, test.span().start);
            compiled.tests.push(Test { rule: name.clone(), line, test: test.into_inner() });
        }
        compiled.rules.push(Rule {
            name,
            label,
            filters,
            n_captures,
            levels,
            intake,
            transform,
            when,
            each,
            split,
            output,
        });
        Some(())
    }

    fn charset(&mut self, label: Option<&Text>) -> Option<Option<&'static Encoding>> {
        let Some(label) = label else { return Some(None) };
        let encoding = Encoding::for_label(label.get_ref().as_bytes());
        let known =
            "is no charset that is known; write \"gbk\", \"gb18030\", \"big5\", \"utf-16le\" or leave it out for UTF-8";
        let encoding = self.take(&label.span(), encoding.ok_or_else(|| format!("`{}` {known}", label.get_ref())))?;
        Some(Some(encoding).filter(|encoding| *encoding != encoding_rs::UTF_8))
    }

    fn transform(&mut self, raw: Option<&Text>) -> Option<Option<Transform>> {
        let Some(raw) = raw else { return Some(None) };
        match Transform::compile(raw.get_ref()) {
            Ok(transform) => Some(Some(transform)),
            Err(wrong) => {
                // A text without escapes stands in the file as it is, so that the mistake can be shown inside it.
                let (span, text) = (raw.span(), self.text);
                let inside = text.get(span.clone()).and_then(|quoted| quoted.find(raw.get_ref().as_str()));
                let from = inside.map(|inside| span.start + inside);
                let at = from.map_or(span, |from| from + wrong.at.start..from + wrong.at.end);
                self.mistake(&at, &format!("`transform`: {}", wrong.message));
                None
            }
        }
    }

    fn output(&mut self, raw: &RawRule, scope: &Scope, metrics: &mut Metrics) -> Option<Output> {
        self.only_keys_of_its_target(raw)?;
        match raw.target {
            RawTarget::Reading => self.reading(raw, scope, metrics).map(|plan| Output::Reading(Box::new(plan))),
            RawTarget::Order => self.order(raw, scope).map(|plan| Output::Order(Box::new(plan))),
            RawTarget::Interval => self.interval(raw, scope).map(|plan| Output::Interval(Box::new(plan))),
            RawTarget::Liveness => {
                if raw.state.is_none() {
                    self.missing("state", &raw.name);
                }
                let state = self.paths(raw.state.as_ref(), scope)?;
                let map = words(raw.map.as_ref());
                for (word, to) in raw.map.iter().flatten() {
                    if !matches!(to.get_ref().as_str(), "online" | "offline") {
                        self.mistake(&to.span(), &format!("`{word}` means \"online\" or \"offline\""));
                    }
                }
                raw.state.is_some().then_some(Output::Liveness { state, map })
            }
            RawTarget::Ignore => Some(Output::Ignore),
            RawTarget::Refuse => {
                let word = raw.reason.as_ref();
                let reason =
                    word.and_then(|word| Reason::ALL.into_iter().find(|reason| reason.as_str() == word.get_ref()));
                let Some(reason) = reason else {
                    let span = word.unwrap_or(&raw.name).span();
                    self.mistake(
                        &span,
                        "`target = \"refuse\"` needs a `reason` of the list, such as \"correction_by_message\"",
                    );
                    return None;
                };
                let detail = raw.detail.clone().unwrap_or_else(|| format!("rule `{}` refuses it", raw.name.get_ref()));
                Some(Output::Refuse { reason, detail })
            }
        }
    }

    /// A key that its target does not read would be silence.
    fn only_keys_of_its_target(&mut self, raw: &RawRule) -> Option<()> {
        use RawTarget::{Interval, Liveness, Order, Reading, Refuse};
        let keys: [(&str, bool, &[RawTarget]); 19] = [
            ("metric", raw.metric.is_some(), &[Reading]),
            ("value", raw.value.is_some(), &[Reading]),
            ("quality", raw.quality.is_some(), &[Reading]),
            ("bad_if", raw.bad_if.is_some(), &[Reading]),
            ("unit", raw.unit.is_some(), &[Reading]),
            ("unit_hint", raw.unit_hint.is_some(), &[Reading]),
            ("id", raw.id.is_some(), &[Reading]),
            ("enum", raw.words.is_some(), &[Reading]),
            ("time", raw.time.is_some(), &[Reading, Order]),
            ("order", raw.order.is_some(), &[Order]),
            ("event", raw.event.is_some(), &[Order]),
            ("quantity", raw.quantity.is_some(), &[Order]),
            ("good", raw.good.is_some(), &[Order]),
            ("start", raw.start.is_some(), &[Interval]),
            ("end", raw.end.is_some(), &[Interval]),
            ("total", raw.total.is_some(), &[Interval]),
            ("defective", raw.defective.is_some(), &[Order, Interval]),
            ("state", raw.state.is_some(), &[Liveness]),
            ("reason", raw.reason.is_some(), &[Refuse]),
        ];
        let wrong = keys.iter().find(|(_, is_there, targets)| *is_there && !targets.contains(&raw.target));
        if let Some((key, _, targets)) = wrong {
            let targets: Vec<String> = targets.iter().map(|target| format!("{target:?}").to_lowercase()).collect();
            let message = format!("rule `{}`: `{key}` belongs to target {}", raw.name.get_ref(), targets.join(" or "));
            self.mistake(&raw.name.span(), &message);
            return None;
        }
        Some(())
    }

    fn reading(&mut self, raw: &RawRule, scope: &Scope, metrics: &mut Metrics) -> Option<ReadingPlan> {
        if raw.value.is_none() && raw.bad_if.is_none() {
            self.missing("value", &raw.name);
        }
        let asset = self.needed("asset", raw.asset.as_ref(), &raw.name, scope);
        let metric = self.needed("metric", raw.metric.as_ref(), &raw.name, scope);
        let shape = self.shape(Shaping {
            scale: raw.scale,
            offset: raw.offset,
            decimals: raw.decimals,
            words: raw.words.as_ref(),
            ranges: &raw.ranges,
            default: raw.default.as_ref(),
            missing: raw.missing.as_ref(),
        });
        let plan = ReadingPlan {
            asset: asset?,
            metric: metric?,
            value: self.paths(raw.value.as_ref(), scope)?,
            time: self.times(raw.time.as_ref(), scope)?,
            quality: match &raw.quality {
                Some(quality) => Some(self.quality(quality, scope)?),
                None => None,
            },
            bad_if: self.paths(raw.bad_if.as_ref(), scope)?,
            unit: self.optional(raw.unit.as_ref(), scope)?,
            unit_hint: self.optional(raw.unit_hint.as_ref(), scope)?,
            product: self.optional(raw.product.as_ref(), scope)?,
            id: self.optional(raw.id.as_ref(), scope)?,
            shape: shape?,
        };
        self.propose(raw, &plan, metrics)?;
        Some(plan)
    }

    /// What the rule itself says of kind and unit is proposed for the names that it gives, after every `[[metric]]`.
    fn propose(&mut self, raw: &RawRule, plan: &ReadingPlan, metrics: &mut Metrics) -> Option<()> {
        let Some(kind) = &raw.kind else { return Some(()) };
        let checked = kind_of(kind.get_ref());
        let kind = Some(self.take(&kind.span(), checked)?);
        let unit = raw.unit.as_ref().map(|unit| unit.get_ref().clone()).filter(|unit| !unit.contains('{'));
        let proposal = Proposal { kind, unit, ..Proposal::default() };
        metrics.push(
            vec![plan.metric.glob()],
            Metric { shape: Shape::default(), is_ignored: false, unit: None, proposal },
        );
        Some(())
    }

    fn order(&mut self, raw: &RawRule, scope: &Scope) -> Option<OrderPlan> {
        let order = self.needed("order", raw.order.as_ref(), &raw.name, scope);
        let event = self.needed("event", raw.event.as_ref(), &raw.name, scope);
        if raw.time.is_none() {
            self.missing("time", &raw.name);
        }
        let plan = OrderPlan {
            order: order?,
            event: event?,
            map: words(raw.map.as_ref()),
            product: self.optional(raw.product.as_ref(), scope)?,
            quantity: self.paths(raw.quantity.as_ref(), scope)?,
            good: self.paths(raw.good.as_ref(), scope)?,
            defective: self.paths(raw.defective.as_ref(), scope)?,
            time: self.sent_times(raw.time.as_ref(), scope)?,
        };
        let literal = raw.event.as_ref().filter(|event| !event.get_ref().contains('{'));
        for word in literal.into_iter().chain(raw.map.iter().flat_map(|map| map.values())) {
            if OrderEventKind::parse(word.get_ref()).is_none() {
                self.mistake(&word.span(), "an event is released, started, completed or cancelled");
            }
        }
        Some(plan)
    }

    fn interval(&mut self, raw: &RawRule, scope: &Scope) -> Option<IntervalPlan> {
        for (key, is_there) in [("end", raw.end.is_some()), ("total", raw.total.is_some())] {
            if !is_there {
                self.missing(key, &raw.name);
            }
        }
        Some(IntervalPlan {
            asset: self.needed("asset", raw.asset.as_ref(), &raw.name, scope)?,
            product: self.optional(raw.product.as_ref(), scope)?,
            start: self.times(raw.start.as_ref(), scope)?,
            end: self.sent_times(raw.end.as_ref(), scope)?,
            total: self.paths(raw.total.as_ref(), scope)?,
            defective: self.paths(raw.defective.as_ref(), scope)?,
        })
    }

    /// Times of an order event or an interval, for which the time of receipt never stands in.
    fn sent_times(&mut self, raw: Option<&Spanned<Vec<RawTime>>>, scope: &Scope) -> Option<Vec<Candidate>> {
        let times = self.times(raw, scope)?;
        if let Some(raw) = raw.filter(|raw| raw.get_ref().iter().any(|time| matches!(time, RawTime::Receive))) {
            let message = "an order event or an interval needs a time that was sent; take \"receive\" out";
            self.mistake(&raw.span(), message);
            return None;
        }
        Some(times)
    }

    fn times(&mut self, raw: Option<&Spanned<Vec<RawTime>>>, scope: &Scope) -> Option<Vec<Candidate>> {
        let Some(raw) = raw else { return Some(vec![Candidate::Receive]) };
        let mut candidates = Vec::new();
        for time in raw.get_ref() {
            candidates.push(match time {
                RawTime::Receive => Candidate::Receive,
                RawTime::Path(time) => self.time(time, scope)?,
            });
        }
        Some(candidates)
    }

    fn time(&mut self, raw: &RawTimePath, scope: &Scope) -> Option<Candidate> {
        let paths = self.paths(Some(&raw.path), scope)?;
        let zone = raw.zone.as_ref().map(|zone| zone.get_ref().as_str());
        let fold = raw.fold.as_ref().map(|fold| fold.get_ref().as_str());
        let format = self.take(&raw.format.span(), Format::compile(raw.format.get_ref(), zone, fold))?;
        let nanos = match &raw.nanos {
            Some(nanos) => Some(self.path(nanos, scope)?),
            None => None,
        };
        Some(Candidate::Path { paths, format, nanos })
    }

    fn quality(&mut self, raw: &RawQuality, scope: &Scope) -> Option<QualityPlan> {
        let paths = self.paths(Some(&raw.path), scope)?;
        let read = match (&raw.map, raw.format.as_ref().map(|format| format.get_ref().as_str())) {
            (Some(map), None) => QualityRead::Map(self.qualities(map)?),
            (None, Some("opcua")) => QualityRead::Opcua,
            (None, Some("sparkplug")) => QualityRead::Sparkplug,
            (Some(_) | None, Some(_) | None) => {
                let message = "`quality` has either a `map` or a `format`, which is \"opcua\" or \"sparkplug\"";
                self.mistake(&raw.path.span(), message);
                return None;
            }
        };
        Some(QualityPlan { paths, read })
    }

    fn qualities(&mut self, map: &BTreeMap<String, Text>) -> Option<Vec<(String, Quality)>> {
        let mut compiled = Vec::new();
        for (key, word) in map {
            let quality =
                Quality::parse(word.get_ref()).ok_or("a quality is \"good\", \"uncertain\" or \"bad\"".to_owned());
            compiled.push((key.clone(), self.take(&word.span(), quality)?));
        }
        Some(compiled)
    }

    fn shape(&mut self, raw: Shaping<'_>) -> Option<Shape> {
        let mut words = HashMap::new();
        if let Some(raw) = raw.words {
            for (word, is) in raw.get_ref() {
                words.insert(word.as_str().into(), self.take(&raw.span(), state(is))?);
            }
        }
        let mut ranges = Vec::new();
        for range in raw.ranges {
            let is = self.take(&range.is.span(), state(range.is.get_ref()))?;
            ranges.push(shape::Range { from: range.from, to: range.to, is });
        }
        let default = match raw.default {
            Some(default) => Some(self.take(&default.span(), state(default.get_ref()))?),
            None => None,
        };
        let sentinel = |sentinel: &Scalar| match sentinel {
            Scalar::Text(text) => Sentinel::Text(text.trim().into()),
            Scalar::Bool(value) => Sentinel::Number(f64::from(u8::from(*value))),
            Scalar::Float(value) => Sentinel::Number(*value),
            Scalar::Int(value) => Sentinel::Number(Value::from_i64(*value).as_f64()),
        };
        let missing = raw.missing.map_or(Vec::new(), |missing| missing.0.iter().map(sentinel).collect());
        Some(Shape {
            scale: raw.scale,
            offset: raw.offset,
            decimals: raw.decimals.unwrap_or(0),
            words,
            ranges,
            default,
            missing,
        })
    }

    /// A mapping keeps what was sent; what neighbours mean to each other is said once, where increments are made.
    fn no_steps(&mut self, raw: &RawMetric) -> Option<()> {
        let step = "is not said here: a mapping keeps every reading as it was sent. Write `plausible = [least, greatest]` for the \
                    values of a series, or `rollover` for a counter that begins again, at its [[series]] in the pilot's file";
        let reset = "is not said here: whether a counter that falls counts from 0 is `on_decrease = \"reset\"` at its \
                     [[series]] in the pilot's file";
        let keys = [("max_step", &raw.max_step, step), ("min_step", &raw.min_step, step), ("reset", &raw.reset, reset)];
        let said = keys.into_iter().find_map(|(key, value, why)| value.as_ref().map(|value| (key, value, why)));
        let Some((key, value, why)) = said else { return Some(()) };
        self.mistake(&value.span(), &format!("`{key}` {why}"));
        None
    }

    fn metric(&mut self, raw: RawMetric, metrics: &mut Metrics) -> Option<()> {
        self.no_steps(&raw)?;
        let shape = self.shape(Shaping {
            scale: raw.scale,
            offset: raw.offset,
            decimals: raw.decimals,
            words: raw.words.as_ref(),
            ranges: &raw.ranges,
            default: raw.default.as_ref(),
            missing: raw.missing.as_ref(),
        })?;
        let kind = match &raw.kind {
            Some(kind) => Some(self.take(&kind.span(), kind_of(kind.get_ref()))?),
            None => None,
        };
        let proposal = Proposal { quantity: raw.quantity, kind, unit: raw.unit.clone(), rollover: raw.rollover_at };
        metrics.push(raw.globs.into_inner().0, Metric { shape, is_ignored: raw.ignore, unit: raw.unit, proposal });
        Some(())
    }

    fn sparkplug(&mut self, raw: RawSparkplug) -> Option<Sparkplug> {
        let strip = match &raw.strip {
            Some(strip) => Some(self.regex(strip)?),
            None => None,
        };
        let mut quality = Vec::new();
        for (code, word) in &raw.quality {
            let code =
                code.parse::<i64>().map_err(|error| format!("`{code}` is no quality code: {error}; write a number"));
            let code = self.take(&word.span(), code)?;
            let word_ok =
                Quality::parse(word.get_ref()).ok_or("a quality is \"good\", \"uncertain\" or \"bad\"".to_owned());
            quality.push((code, self.take(&word.span(), word_ok)?));
        }
        Some(Sparkplug { nodes: raw.nodes.into_inner().0, strip, quality })
    }

    fn dictionary(&mut self, raw: RawDictionary, compiled: &mut Compiled) -> Option<()> {
        let name = raw.name.get_ref().clone();
        if !raw.entries.is_empty() {
            let entries = compiled.fixed.entry(name.as_str().into()).or_default();
            entries.extend(raw.entries.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())));
        }
        let Some(topics) = &raw.topics else {
            if raw.entries.is_empty() {
                self.mistake(&raw.name.span(), "a dictionary needs `topics`, `key` and `value`, or `entries`");
            }
            return Some(());
        };
        let mut scope = Scope::default();
        let (filters, names) = self.filters(topics, &mut scope)?;
        let levels = self.levels(&raw.levels, &names)?;
        let when = self.when(raw.when.as_ref(), &scope)?;
        let each = self.each(&raw.each, &mut scope)?;
        let (Some(key), Some(value)) = (&raw.key, &raw.value) else {
            self.mistake(&raw.name.span(), "a dictionary with `topics` needs `key` and `value`");
            return None;
        };
        let keys = self.paths(Some(key), &scope)?;
        let value = self.path(value, &scope)?;
        let output = Output::Teach { dictionary: name.clone(), keys, value };
        let csv = RawCsv::default();
        let decompress = raw.decompress;
        let intake = Intake { codec: RawCodec::Json, csv, decompress, charset: None, unwrap: Vec::new() };
        let (label, n_captures) = (format!("{}: {name}", self.file), names.len());
        let (transform, split) = (None, None);
        compiled.rules.push(Rule {
            name,
            label,
            filters,
            n_captures,
            levels,
            intake,
            transform,
            when,
            each,
            split,
            output,
        });
        Some(())
    }
}

/// The keys of a rule or `[[metric]]` that shape values.
struct Shaping<'r> {
    scale: Option<f64>,
    offset: Option<f64>,
    decimals: Option<u8>,
    words: Option<&'r Spanned<BTreeMap<String, Scalar>>>,
    ranges: &'r [RawRange],
    default: Option<&'r Spanned<Scalar>>,
    missing: Option<&'r Many<Scalar>>,
}

fn without_every(path: Path) -> Result<Path, String> {
    if path.steps.contains(&Step::Every) {
        return Err(format!(
            "`{}`: `[*]` is for `unwrap` only; walk an array with `each = [{{ rows = … }}]`",
            path.text
        ));
    }
    Ok(path)
}

fn condition_of(condition: &RawWhen, scope: &Scope) -> Result<When, String> {
    match condition {
        RawWhen::Exists(text) => path(text, scope).and_then(without_every).map(When::Exists),
        RawWhen::Is(raw) => match (&raw.path, &raw.is, &raw.without) {
            (Some(text), Some(is), None) => Ok(When::Is(path(text, scope).and_then(without_every)?, is.0.clone())),
            (Some(text), None, None) => path(text, scope).and_then(without_every).map(When::Exists),
            (None, None, Some(text)) => path(text, scope).and_then(without_every).map(When::Without),
            (Some(_) | None, Some(_) | None, Some(_) | None) => {
                Err("a condition has `path` (with `is`), or `without`".to_owned())
            }
        },
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text.trim() {
        "json" => Ok(Form::Json),
        "base64" => Ok(Form::Base64),
        "zlib" => Ok(Form::Zlib),
        "gzip" => Ok(Form::Gzip),
        "bytes" => Ok(Form::Bytes),
        other => Err(format!(
            "`{other}` cannot be unwrapped; there are json, base64, zlib, gzip and bytes, joined as in \"base64+zlib\""
        )),
    }
}

/// A state word, or any number.
fn state(scalar: &Scalar) -> Result<Value, String> {
    match scalar {
        Scalar::Int(value) => Ok(Value::from_i64(*value)),
        Scalar::Float(value) => Value::from_f64(*value).ok_or("a value is finite".to_owned()),
        Scalar::Bool(value) => Ok(Value::from_i64(i64::from(*value))),
        Scalar::Text(word) => match STATES.iter().find(|(state, _)| state == word) {
            Some((_, number)) => Ok(Value::from_i64(*number)),
            None => {
                let known: Vec<String> = STATES.iter().map(|(state, number)| format!("{state} ({number})")).collect();
                Err(format!("`{word}` is no state; write a number or one of {}", known.join(", ")))
            }
        },
    }
}

fn kind_of(word: &str) -> Result<String, String> {
    const KINDS: [&str; 5] = ["gauge", "counter", "delta", "duration", "state"];
    if KINDS.contains(&word) {
        Ok(word.to_owned())
    } else {
        Err(format!("`{word}` is no kind; there are {}", KINDS.join(", ")))
    }
}

fn words(map: Option<&BTreeMap<String, Text>>) -> Vec<(String, String)> {
    map.into_iter().flatten().map(|(word, to)| (word.clone(), to.get_ref().clone())).collect()
}
