//! From the metrics of one message to named, typed values; each that cannot be named or typed is refused by itself.
//!
//! Nothing here moves a state: the same code reads a live message, one that is replayed, and one of a node that is not known.
//!
//! Invariants:
//! - the order in which messages arrive decides nothing, but for whether an alias may be trusted;
//! - a control metric, bdSeq and what the sender marked as transient never become readings, and are counted as ignored.

use std::borrow::Cow;

use bumpalo::Bump;
use model::{Quality, Reason, UnixMillis};

use super::births::{Births, Definition, Scope, Stated};
use super::payload::{Metric, Payload};
use super::status::{Deviation, Deviations};
use super::time;
use super::topic::From;
use super::value::{self, Typed};
use crate::decode::{Decoded, Message, Origin, Refused, shown};

/// Whether the aliases in force are those the sender meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aliases {
    Known,
    /// The message is of another run of its node, or nothing tells.
    InDoubt,
}

/// What was noted on the way, for the node's counts.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) deviations: Deviations,
}

/// One message with what its node knows.
pub(super) struct Reader<'r, 'a> {
    pub(super) from: From<'r>,
    pub(super) payload: &'r Payload,
    pub(super) births: &'r Births,
    pub(super) aliases: Aliases,
    pub(super) arena: &'a Bump,
}

/// The words of one message, in the arena.
struct Words<'r, 'a> {
    asset: &'a str,
    scope: Option<&'r Scope>,
    at: Option<UnixMillis>,
}

/// Whether this is the name of something that steers and measures nothing.
pub(super) fn is_control(name: &str) -> bool {
    name == BD_SEQ || name.starts_with("Node Control/") || name.starts_with("Device Control/")
}

/// The count of a node's connections.
pub(super) const BD_SEQ: &str = "bdSeq";

/// What a birth says of its metrics; one without a readable name defines nothing.
pub(super) fn stated(payload: &Payload) -> Vec<Stated<'_>> {
    let named = payload.metrics.iter().filter_map(|metric| {
        let name = std::str::from_utf8(metric.name.as_deref()?).ok().filter(|name| !name.is_empty())?;
        let (alias, datatype) = (metric.alias, metric.datatype.unwrap_or(0));
        let unit = value::unit(metric.properties.as_deref());
        Some(Stated { name, alias, datatype, unit })
    });
    named.collect()
}

/// The parts in a row, in the arena.
pub(super) fn joined<'a>(parts: &[&str], arena: &'a Bump) -> &'a str {
    let mut bytes = parts.iter().flat_map(|part| part.bytes());
    let n_bytes = parts.iter().map(|part| part.len()).sum();
    let joined = arena.alloc_slice_fill_with(n_bytes, |_| bytes.next().unwrap_or_default());
    // Texts in a row are text.
    std::str::from_utf8(joined).unwrap_or_default()
}

/// `group/edge`.
pub(super) fn source<'a>(from: &From<'_>, arena: &'a Bump) -> &'a str {
    joined(&[from.group, "/", from.edge], arena)
}

/// A message that carries no readings.
pub(super) fn aside<'a>(
    rule: &'static str,
    source: Option<&'a str>,
    at: Option<UnixMillis>,
    n_ignored: u32,
) -> Message<'a> {
    let origin = Origin {
        source: source.map(Cow::Borrowed),
        rules: vec![Cow::Borrowed(rule)],
        carries_state: true,
        teaches: false,
        alive: None,
        empty_places: Vec::new(),
        n_ignored,
    };
    Message { at, sequence: None, readings: Vec::new(), orders: Vec::new(), origin }
}

impl<'a> Reader<'_, 'a> {
    /// Every value of the message.
    pub(super) fn read(&self, notes: &mut Notes) -> Message<'a> {
        let (from, at) = (&self.from, time(self.payload.timestamp));
        let source = source(from, self.arena);
        let asset = match from.device {
            None => source,
            Some(device) => joined(&[source, "/", device], self.arena),
        };
        let words = Words { asset, scope: self.births.scope(from.device), at };
        let mut message = aside(from.kind.as_str(), Some(source), at, 0);
        message.readings.reserve_exact(self.payload.metrics.len());
        for metric in &self.payload.metrics {
            match self.one(metric, &words, notes) {
                Ok(None) => message.ignore(),
                Ok(Some(decoded)) => message.readings.push(Ok(decoded)),
                Err(refused) => message.readings.push(Err(refused)),
            }
        }
        message.origin.carries_state = !from.kind.is_data();
        message
    }

    /// One metric: its value, nothing where it is none, or why it is refused.
    fn one(&self, metric: &Metric, words: &Words<'_, 'a>, notes: &mut Notes) -> Result<Option<Decoded<'a>>, Refused> {
        if metric.timestamp.is_none() {
            notes.deviations.count(Deviation::MetricWithoutTime);
        }
        let at = time(metric.timestamp).or(words.at);
        let refuse = |reason, detail| Err(Refused { reason, detail, is_timed: at.is_some() });
        let named = match self.name(metric, words, notes) {
            Ok(named) => named,
            Err((reason, detail)) => return refuse(reason, detail),
        };
        if is_control(named.name) || metric.is_transient == Some(true) {
            return Ok(None);
        }
        let (value, quality) = match self.value(metric, &named, notes) {
            Ok(value) => value,
            Err((reason, what)) => {
                return refuse(reason, format!("metric {} of {}: {what}", shown(named.name), shown(words.asset)));
            }
        };
        let unit =
            value::unit(metric.properties.as_deref()).or(named.definition.and_then(|known| known.unit.as_deref()));
        Ok(Some(Decoded {
            asset: Cow::Borrowed(named.asset),
            name: Cow::Borrowed(self.arena.alloc_str(named.name)),
            product: None,
            id: None,
            unit: None,
            unit_hint: unit.map(|unit| Cow::Borrowed(&*self.arena.alloc_str(unit))),
            at,
            quality,
            value,
        }))
    }

    /// What the metric is called, by itself or by the births.
    fn name<'m>(
        &'m self,
        metric: &'m Metric,
        words: &Words<'m, 'a>,
        notes: &mut Notes,
    ) -> Result<Named<'m, 'a>, (Reason, String)> {
        let own = metric.name.as_deref().filter(|name| !name.is_empty());
        if let Some(own) = own {
            let Ok(name) = std::str::from_utf8(own) else {
                let detail = format!("a metric of {}: the name is not UTF-8; send names in UTF-8", shown(words.asset));
                return Err((Reason::BadUtf8, detail));
            };
            let is_data = self.from.kind.is_data();
            let definition = if is_data { words.scope.and_then(|scope| scope.of_name(name)) } else { None };
            if is_data && words.scope.is_some() && definition.is_none() {
                notes.deviations.count(Deviation::UnlistedMetric);
            }
            return Ok(Named { name, asset: words.asset, definition });
        }
        let Some(alias) = metric.alias else {
            let detail = format!("a metric of {} has neither name nor alias; it needs one of them", shown(words.asset));
            return Err((Reason::BadField, detail));
        };
        let known = match self.aliases {
            Aliases::Known => self.births.of_alias(words.scope, alias),
            Aliases::InDoubt => None,
        };
        let Some(definition) = known else {
            notes.deviations.count(Deviation::UnknownAlias);
            let detail = format!(
                "alias {alias} of {} is not defined by the births that hold for this message; \
                 the edge node has to send its births (a rebirth is asked for)",
                shown(words.asset)
            );
            return Err((Reason::UnknownAlias, detail));
        };
        Ok(Named { name: &definition.name, asset: self.asset(definition, words, notes), definition: Some(definition) })
    }

    /// Aliases are unique over a node and all its devices: the one who defined it owns the value.
    fn asset(&self, definition: &Definition, words: &Words<'_, 'a>, notes: &mut Notes) -> &'a str {
        let device = definition.device.as_deref();
        if device == self.from.device {
            return words.asset;
        }
        notes.deviations.count(Deviation::AliasOfAnother);
        let From { group, edge, .. } = self.from;
        match device {
            None => source(&self.from, self.arena),
            Some(device) => joined(&[group, "/", edge, "/", device], self.arena),
        }
    }

    /// The value and how far it is to be trusted; a value of bad quality is none.
    fn value(
        &self,
        metric: &Metric,
        named: &Named<'_, 'a>,
        notes: &mut Notes,
    ) -> Result<(Option<model::Value>, Quality), (Reason, String)> {
        if metric.metadata.as_ref().is_some_and(|metadata| metadata.is_multi_part == Some(true)) {
            return Err((Reason::UnsupportedType, "it is a part of a multi-part value; numbers are taken".to_owned()));
        }
        let defined = named.definition.map_or(0, |definition| definition.datatype);
        let own = metric.datatype.unwrap_or(0);
        if own != 0 && defined != 0 && own != defined {
            notes.deviations.count(Deviation::DiffersFromBirth);
        }
        let datatype = if own == 0 { defined } else { own };
        if metric.is_null == Some(true) && is_number(datatype) {
            return Ok((None, Quality::Bad));
        }
        match value::typed(datatype, metric.wire.as_ref()) {
            Typed::Number(value) => match value::quality(metric.properties.as_deref()) {
                Quality::Bad => Ok((None, Quality::Bad)),
                quality @ (Quality::Good | Quality::Uncertain) => Ok((Some(value), quality)),
            },
            Typed::NotFinite => {
                Err((Reason::NotFinite, "the value is infinite or not a number; send `is_null` instead".to_owned()))
            }
            Typed::Missing if is_number(datatype) => {
                Err((Reason::BadField, "it has neither a value nor `is_null`; send one of them".to_owned()))
            }
            Typed::Untyped | Typed::Missing if datatype == 0 => {
                notes.deviations.count(Deviation::Undescribed);
                let what = "no datatype here, and no birth in force gives one; the edge node has to send its births \
                            (a rebirth is asked for)";
                // By the reason of an alias that is not known yet: the births mend both, and both are replayed then.
                Err((Reason::UnknownAlias, what.to_owned()))
            }
            Typed::NoNumber | Typed::Untyped | Typed::Missing => {
                let what =
                    format!("its datatype is {}; numbers, booleans and DateTime are taken", name_of(datatype, metric));
                Err((Reason::UnsupportedType, what))
            }
            Typed::WrongField => {
                let name = value::datatype_name(datatype);
                Err((Reason::BadField, format!("its datatype is {name}, but the value is no number")))
            }
        }
    }
}

/// A metric's name, the asset that owns it, and what the births say of it.
struct Named<'m, 'a> {
    name: &'m str,
    asset: &'a str,
    definition: Option<&'m Definition>,
}

fn is_number(datatype: u32) -> bool {
    matches!(datatype, 1..=11 | 13)
}

/// The name of a datatype that is no number; of a metric without one the field tells.
fn name_of(datatype: u32, metric: &Metric) -> &'static str {
    use super::payload::Wire;
    match (datatype, &metric.wire) {
        (0, Some(Wire::Text(_))) => "String",
        (0, Some(Wire::Bytes(_))) => "Bytes",
        (0, Some(Wire::DataSet(_))) => "DataSet",
        (0, Some(Wire::Template(_))) => "Template",
        _ => value::datatype_name(datatype),
    }
}
