//! What becomes of one message, step by step, for the person who points a gateway at Pilotline.
//!
//! Explaining changes nothing: no series gets a number.

mod mend;

use std::fmt;

use bumpalo::Bump;
use model::reason::{Refusal, RefusedPart};
use model::{OrderEvent, PilotId, Reading, Reason};
use serde::Serialize;

use self::mend::mend;
use crate::decode::{Decoded, shown, shown_number};
use crate::index::{Index, SentUnit};
use crate::normalize::check::{Checker, Taken};
use crate::normalize::{Opened, Passage, draft, open, usurped};
use crate::suggest::{Course, Missing};
use crate::{Identity, Observation};

/// What becomes of one message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub topic: String,
    pub outcome: Verdict,
    pub pilot: Option<PilotId>,
    /// The gateway of a Pilotline v1 topic, or the source as its dialect names it.
    pub gateway: Option<String>,
    /// The mapping rules that took it, or the type of a Sparkplug message.
    pub rules: Vec<String>,
    pub parts: Vec<Part>,
    /// Values that are none to keep: marked so by their sender, or neither number nor boolean.
    pub n_left_out: u32,
    /// What refuses the message as a whole, if anything does.
    pub refusal: Option<Refusal>,
    /// `[[series]]` lines for the readings that are not registered; empty if there are none.
    pub suggestion: String,
    /// A drafted `[[rule]]` for a mapping file, where no rule takes the message; empty if nothing can be guessed.
    pub mapping: String,
}

/// How the message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Committed,
    Rejected,
}

/// One reading or order event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub part: RefusedPart,
    /// As decoded, in one line.
    pub sent: String,
    pub becomes: Becomes,
    /// The line of the registry that would let it in, if the gateway is right and the registry is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// What a reading or order event becomes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// A reading of a registered series, in its declared unit.
    Reading {
        series: String,
        unit: String,
        converted_from: Option<String>,
        reading: Reading,
    },
    /// Kept as sent until somebody registers the series.
    Unregistered {
        reading: Reading,
        refusal: Refusal,
    },
    Order(OrderEvent),
    /// Dropped by this `[[ignore]]`.
    Ignored {
        asset: String,
        name: String,
    },
    Refused(Refusal),
}

/// Says what becomes of a message, and why.
pub fn explain(observation: &Observation, identity: &Identity, index: &Index) -> Explanation {
    let topic = observation.topic.clone();
    let arena = Bump::new();
    let opened = match usurped(observation, identity, index) {
        Some(rejected) => Err(rejected),
        None => open(observation, identity, index, &arena, Passage::Again),
    };
    match opened {
        Ok(opened) => of_opened(topic, opened),
        Err(rejected) => Explanation {
            topic,
            outcome: Verdict::Rejected,
            pilot: rejected.pilot,
            gateway: None,
            rules: Vec::new(),
            parts: Vec::new(),
            n_left_out: 0,
            refusal: rejected.refusals.into_iter().next(),
            suggestion: String::new(),
            mapping: draft(observation, identity, index).unwrap_or_default(),
        },
    }
}

fn of_opened(topic: String, opened: Opened<'_>) -> Explanation {
    let Opened { address, message, checker, index } = opened;
    let mut missing = Missing::default();
    let mut parts = Vec::new();
    for (place, decoded) in message.origin.places().zip(&message.readings) {
        let part = RefusedPart::Reading(place);
        let (sent, becomes, mend) = match decoded {
            Ok(decoded) => {
                let becomes = reading_becomes(decoded, part, &checker, &mut missing);
                let mend = refusal_of(&becomes).and_then(|refusal| mend(refusal.reason, decoded, address.pilot));
                (reading_as_sent(decoded), becomes, mend)
            }
            Err(refused) => ("not readable".to_owned(), Becomes::Refused(refused.clone().at(part)), None),
        };
        parts.push(Part { part, sent, becomes, mend });
    }
    // The parts are counted in u32; their number is capped at 10,000.
    for (place, decoded) in (0u32..).zip(&message.orders) {
        let part = RefusedPart::Order(place);
        let (sent, becomes) = match decoded {
            Ok(decoded) => {
                let sent = format!("order {}, event {}", shown(&decoded.order), decoded.event.as_str());
                (sent, checker.order(decoded).map_or_else(|refused| Becomes::Refused(refused.at(part)), Becomes::Order))
            }
            Err(refused) => ("not readable".to_owned(), Becomes::Refused(refused.clone().at(part))),
        };
        parts.push(Part { part, sent, becomes, mend: None });
    }
    let is_refused = |part: &Part| matches!(part.becomes, Becomes::Refused(_));
    let is_ignored = |part: &Part| matches!(part.becomes, Becomes::Ignored { .. });
    let nothing = parts.iter().all(|part| is_refused(part) || is_ignored(part)) && parts.iter().any(is_refused);
    let is_rejected = nothing && !message.origin.carries_state;
    Explanation {
        topic,
        outcome: if is_rejected { Verdict::Rejected } else { Verdict::Committed },
        pilot: Some(address.pilot.pilot().id.clone()),
        gateway: address.gateway.or(message.origin.source.as_deref()).map(str::to_owned),
        rules: message.origin.rules.iter().map(|rule| rule.clone().into_owned()).collect(),
        parts,
        n_left_out: message.origin.n_ignored,
        refusal: None,
        suggestion: missing.lines(address.pilot, &index.foreign().mappings),
        mapping: String::new(),
    }
}

fn refusal_of(becomes: &Becomes) -> Option<&Refusal> {
    match becomes {
        Becomes::Refused(refusal) => Some(refusal),
        Becomes::Reading { .. } | Becomes::Unregistered { .. } | Becomes::Order(_) | Becomes::Ignored { .. } => None,
    }
}

fn reading_becomes(decoded: &Decoded<'_>, part: RefusedPart, checker: &Checker<'_>, missing: &mut Missing) -> Becomes {
    match checker.reading(decoded) {
        Ok(Taken::Registered { target, reading, sent }) => {
            let series = target.series;
            let product = series.product.as_deref().or(decoded.product.as_deref());
            let of_product = product.map(|product| format!(", product {}", shown(product))).unwrap_or_default();
            let unit = series.unit.symbol().to_owned();
            let converted_from = match sent {
                SentUnit::Converts(from) => Some(from.symbol().to_owned()),
                SentUnit::Declared | SentUnit::OtherDimension(_) | SentUnit::Unknown => None,
            };
            let (quantity, kind) = (&series.quantity, series.kind.as_str());
            Becomes::Reading { series: format!("{quantity} ({kind}){of_product}"), unit, converted_from, reading }
        }
        Ok(Taken::Unregistered(reading)) => {
            missing.add(asset_and_name(decoded), decoded.product.as_deref(), unit_of(decoded), Course::default());
            Becomes::Unregistered { reading, refusal: checker.unknown_series(decoded).at(part) }
        }
        Ok(Taken::Ignored(ignore)) => Becomes::Ignored { asset: ignore.asset.clone(), name: ignore.name.clone() },
        Err(refused) => {
            // Registered as counter or gauge it may do without a time.
            if refused.reason == Reason::NoTime && !checker.is_registered(decoded) {
                missing.add(asset_and_name(decoded), decoded.product.as_deref(), unit_of(decoded), Course::default());
            }
            Becomes::Refused(refused.at(part))
        }
    }
}

fn asset_and_name<'d>(decoded: &'d Decoded<'_>) -> (&'d str, &'d str) {
    (&decoded.asset, &decoded.name)
}

fn unit_of<'d>(decoded: &'d Decoded<'_>) -> Option<&'d str> {
    decoded.unit.as_deref().or(decoded.unit_hint.as_deref())
}

fn reading_as_sent(decoded: &Decoded<'_>) -> String {
    let mut sent = format!("asset {}, name {}", shown(&decoded.asset), shown(&decoded.name));
    let mut also = |word: &str, text: Option<String>| {
        if let Some(text) = text {
            sent.push_str(&format!(", {word} {text}"));
        }
    };
    also("product", decoded.product.as_deref().map(shown));
    also("value", decoded.value.map(shown_number));
    also("unit", decoded.unit.as_deref().map(shown));
    also("at", decoded.at.map(|at| at.to_string()));
    also("quality", (decoded.quality != model::Quality::Good).then(|| decoded.quality.as_str().to_owned()));
    also("id", decoded.id.as_deref().map(shown));
    sent
}

/// For people: a line per step, and the lines to paste at the end.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "topic    {}", shown(&self.topic))?;
        if let Some(pilot) = &self.pilot {
            writeln!(f, "pilot    {pilot}")?;
        }
        if let Some(gateway) = &self.gateway {
            writeln!(f, "gateway  {gateway}")?;
        }
        for rule in &self.rules {
            writeln!(f, "rule     {rule}")?;
        }
        for part in &self.parts {
            writeln!(f, "\n{}: {}", place(part.part), part.sent)?;
            writeln!(f, "  {}", part.becomes)?;
            if let Some(mend) = &part.mend {
                writeln!(f, "  if the gateway is right, in the registry: {mend}")?;
            }
        }
        if let Some(refusal) = &self.refusal {
            writeln!(f, "\nrefused as a whole, {}: {}", refusal.reason.as_str(), refusal.detail)?;
        }
        match self.n_left_out {
            0 => {}
            1 => writeln!(f, "\n1 value is left out: its sender marks it so, or it is no number")?,
            n => writeln!(f, "\n{n} values are left out: their sender marks them so, or they are no numbers")?,
        }
        match self.outcome {
            Verdict::Committed => writeln!(f, "\nthe message is committed")?,
            Verdict::Rejected => writeln!(f, "\nthe message is rejected")?,
        }
        for (what, lines) in [
            ("to register the series, add and check these lines", &self.suggestion),
            ("to read it, put and check these lines in a file of the mappings' directory", &self.mapping),
        ] {
            if !lines.is_empty() {
                write!(f, "\n{what}:\n\n{lines}")?;
            }
        }
        Ok(())
    }
}

fn place(part: RefusedPart) -> String {
    match part {
        RefusedPart::Message => "message".to_owned(),
        RefusedPart::Reading(index) => format!("readings[{index}]"),
        RefusedPart::Order(index) => format!("orders[{index}]"),
    }
}

impl fmt::Display for Becomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Becomes::Reading { series, unit, converted_from, reading } => {
                write!(f, "→ {series}: {} at {}", value_with_unit(reading, unit), reading.at)?;
                if let Some(from) = converted_from {
                    write!(f, " (converted from {from} to {unit})")?;
                }
                flags(f, reading)
            }
            Becomes::Unregistered { reading, refusal } => {
                write!(f, "→ kept as sent at {}", reading.at)?;
                flags(f, reading)?;
                write!(f, "; {}: {}", refusal.reason.as_str(), refusal.detail)
            }
            Becomes::Order(event) => {
                write!(f, "→ order {} {} at {}", shown(&event.order), event.event.as_str(), event.at)?;
                for (word, pieces) in [("of", event.quantity), ("good", event.good), ("defective", event.defective)] {
                    if let Some(pieces) = pieces {
                        write!(f, ", {word} {pieces}")?;
                    }
                }
                Ok(())
            }
            Becomes::Ignored { asset, name } => {
                write!(f, "→ dropped and counted: [[ignore]] asset = {asset:?}, name = {name:?}")
            }
            Becomes::Refused(refusal) => write!(f, "✗ {}: {}", refusal.reason.as_str(), refusal.detail),
        }
    }
}

fn value_with_unit(reading: &Reading, unit: &str) -> String {
    match reading.value {
        Some(value) => format!("{} {unit}, {}", shown_number(value), reading.quality.as_str()),
        None => format!("no value, {}", reading.quality.as_str()),
    }
}

fn flags(f: &mut fmt::Formatter<'_>, reading: &Reading) -> fmt::Result {
    match reading.flags.words().join(", ").as_str() {
        "" => Ok(()),
        words => write!(f, " [{words}]"),
    }
}

#[cfg(test)]
mod tests;
