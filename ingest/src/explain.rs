//! What becomes of one message, step by step, for the person who points a gateway at Pilotline; and registry lines to paste
//! for series that nobody registered.
//!
//! Explaining changes nothing: no series gets a number.

use std::collections::BTreeMap;
use std::fmt;

use bumpalo::Bump;
use model::reason::{Refusal, RefusedPart};
use model::{Dimension, OrderEvent, PilotId, Reading, Unit};
use serde::Serialize;
use store::{Registration, Store};

use crate::decode::{Decoded, shown, shown_number};
use crate::index::{Index, SentUnit};
use crate::mapping::{Mappings, Proposal};
use crate::normalize::check::{Checker, Taken};
use crate::normalize::{Opened, Passage, open};
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
    /// What refuses the message as a whole, if anything does.
    pub refusal: Option<Refusal>,
    /// `[[series]]` lines for the readings that are not registered; empty if there are none.
    pub suggestion: String,
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
    match open(observation, identity, index, &arena, Passage::Again) {
        Ok(opened) => of_opened(topic, opened, &index.foreign().mappings),
        Err(rejected) => Explanation {
            topic,
            outcome: Verdict::Rejected,
            pilot: rejected.pilot,
            gateway: None,
            rules: Vec::new(),
            parts: Vec::new(),
            refusal: rejected.refusals.into_iter().next(),
            suggestion: String::new(),
        },
    }
}

fn of_opened(topic: String, opened: Opened<'_>, mappings: &Mappings) -> Explanation {
    let Opened { address, message, checker, .. } = opened;
    let mut missing = Missing::new(mappings);
    let mut parts = Vec::new();
    // The parts are counted in u32; their number is capped at 10,000.
    for (place, decoded) in (0u32..).zip(&message.readings) {
        let part = RefusedPart::Reading(place);
        let (sent, becomes) = match decoded {
            Ok(decoded) => (reading_as_sent(decoded), reading_becomes(decoded, part, &checker, &mut missing)),
            Err(refused) => ("not readable".to_owned(), Becomes::Refused(refused.clone().at(part))),
        };
        parts.push(Part { part, sent, becomes });
    }
    for (place, decoded) in (0u32..).zip(&message.orders) {
        let part = RefusedPart::Order(place);
        let (sent, becomes) = match decoded {
            Ok(decoded) => {
                let sent = format!("order {}, event {}", shown(&decoded.order), decoded.event.as_str());
                (sent, checker.order(decoded).map_or_else(|refused| Becomes::Refused(refused.at(part)), Becomes::Order))
            }
            Err(refused) => ("not readable".to_owned(), Becomes::Refused(refused.clone().at(part))),
        };
        parts.push(Part { part, sent, becomes });
    }
    let is_refused = |part: &Part| matches!(part.becomes, Becomes::Refused(_));
    let is_ignored = |part: &Part| matches!(part.becomes, Becomes::Ignored { .. });
    let is_rejected = parts.iter().all(|part| is_refused(part) || is_ignored(part)) && parts.iter().any(is_refused);
    Explanation {
        topic,
        outcome: if is_rejected { Verdict::Rejected } else { Verdict::Committed },
        pilot: Some(address.pilot.pilot().id.clone()),
        gateway: address.gateway.or(message.origin.source.as_deref()).map(str::to_owned),
        rules: message.origin.rules.iter().map(|rule| rule.clone().into_owned()).collect(),
        parts,
        refusal: None,
        suggestion: missing.lines(),
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
            missing.add(
                &decoded.asset,
                &decoded.name,
                decoded.product.as_deref(),
                decoded.unit.as_deref().or(decoded.unit_hint.as_deref()),
            );
            Becomes::Unregistered { reading, refusal: checker.unknown_series(decoded).at(part) }
        }
        Ok(Taken::Ignored(ignore)) => Becomes::Ignored { asset: ignore.asset.clone(), name: ignore.name.clone() },
        Err(refused) => Becomes::Refused(refused.at(part)),
    }
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
        }
        if let Some(refusal) = &self.refusal {
            writeln!(f, "\nrefused as a whole, {}: {}", refusal.reason.as_str(), refusal.detail)?;
        }
        match self.outcome {
            Verdict::Committed => writeln!(f, "\nthe message is committed")?,
            Verdict::Rejected => writeln!(f, "\nthe message is rejected")?,
        }
        match self.suggestion.as_str() {
            "" => Ok(()),
            lines => write!(f, "\nto register the series, add and check these lines:\n\n{lines}"),
        }
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

/// Series that nobody registered, by asset and name, with the units and products they were sent with.
struct Missing<'m> {
    mappings: &'m Mappings,
    series: BTreeMap<(String, String), Sent>,
}

#[derive(Default)]
struct Sent {
    units: Vec<String>,
    n_products: usize,
}

impl Missing<'_> {
    fn new(mappings: &Mappings) -> Missing<'_> {
        Missing { mappings, series: BTreeMap::new() }
    }

    fn add(&mut self, asset: &str, name: &str, product: Option<&str>, unit: Option<&str>) {
        let sent = self.series.entry((asset.to_owned(), name.to_owned())).or_default();
        sent.n_products += usize::from(product.is_some());
        if let Some(unit) = unit
            && !sent.units.iter().any(|seen| seen == unit)
        {
            sent.units.push(unit.to_owned());
        }
    }

    fn lines(&self) -> String {
        let lines = |((asset, name), sent): (&(String, String), &Sent)| {
            sent.lines(asset, name, self.mappings.proposal(name).unwrap_or_default())
        };
        self.series.iter().map(lines).collect()
    }
}

impl Sent {
    fn lines(&self, asset: &str, name: &str, proposal: Proposal) -> String {
        let unit = self.units.first().or(proposal.unit.as_ref()).map(String::as_str);
        let (quantity, kind, guessed_unit) = guess(name, unit);
        let proposed = "proposed by a mapping: check it";
        let (quantity, quantity_was) = match proposal.quantity {
            Some(quantity) => (quantity, proposed),
            None => (quantity, "guessed: check it"),
        };
        // A state is registered as a gauge.
        let (kind, kind_was) = match proposal.kind.filter(|kind| kind != "state") {
            Some(kind) => (kind, proposed),
            None => (kind.to_owned(), "guessed: counter, delta, gauge or duration"),
        };
        let mut lines = format!("[[series]]\nasset = {}\nname = {}\n", quoted(asset), quoted(name));
        if self.n_products > 0 {
            lines.push_str("# each reading names its product\n");
        }
        lines.push_str(&format!("quantity = {}  # {quantity_was}\n", quoted(&quantity)));
        lines.push_str(&format!("kind = \"{kind}\"  # {kind_was}\n"));
        if let Some(rollover) = proposal.rollover.filter(|_| kind == "counter") {
            lines.push_str(&format!("rollover = {rollover:?}  # {proposed}\n"));
        }
        let unit_was = match self.units.as_slice() {
            [] => "  # none was sent".to_owned(),
            [_] => String::new(),
            more => format!("  # sent in {}", more.iter().map(|unit| shown(unit)).collect::<Vec<_>>().join(", ")),
        };
        lines.push_str(&format!("unit = {}{unit_was}\n\n", quoted(&guessed_unit)));
        lines
    }
}

/// Text as a TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Quantity, kind and unit that a name and the unit it was sent in make likely.
fn guess(name: &str, sent: Option<&str>) -> (String, &'static str, String) {
    let has = |words: &[&str]| words.iter().any(|word| name.to_lowercase().contains(word));
    let unit = sent.and_then(Unit::parse);
    let symbol = |otherwise: &str| unit.map_or(otherwise.to_owned(), |unit| unit.symbol().to_owned());
    match unit.map(|unit| unit.dimension()) {
        Some(Dimension::Energy) => ("energy.electricity".to_owned(), "counter", symbol("kWh")),
        Some(Dimension::Power) => (format!("power.{}", word(name)), "gauge", symbol("kW")),
        Some(Dimension::Volume) => ("energy.natural_gas".to_owned(), "counter", symbol("m3")),
        Some(Dimension::Mass) => ("energy.raw_coal".to_owned(), "delta", symbol("kg")),
        Some(Dimension::Time) => ("time.cycle".to_owned(), "duration", symbol("s")),
        Some(Dimension::Money) => ("cost.other".to_owned(), "delta", symbol("CNY")),
        Some(Dimension::Count) => (pieces(&has), "delta", symbol("piece")),
        None if has(&["defect", "scrap", "reject", "good", "pieces", "output"]) => {
            (pieces(&has), "delta", symbol("piece"))
        }
        None if has(&["electric", "kwh", "energy"]) => ("energy.electricity".to_owned(), "counter", symbol("kWh")),
        None if has(&["cycle"]) => ("time.cycle".to_owned(), "duration", symbol("s")),
        Some(Dimension::Temperature | Dimension::Number | Dimension::Other) | None => {
            (format!("variable.{}", word(name)), "gauge", sent.unwrap_or("1").to_owned())
        }
    }
}

fn pieces(has: &impl Fn(&[&str]) -> bool) -> String {
    let what = if has(&["scrap"]) {
        "scrap"
    } else if has(&["rework"]) {
        "rework"
    } else if has(&["defect", "reject", "bad"]) {
        "defective"
    } else {
        "good"
    };
    format!("output.{what}")
}

/// A name as the last part of a quantity.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// `[[series]]` lines for the unregistered series of a pilot, under a comment that names its file; empty if there are none.
/// Quantity and kind are those that the mappings propose for a name, else guessed.
pub fn suggest(pilot: &PilotId, store: &Store, mappings: &Mappings) -> String {
    let entries = store.catalogue_of(pilot);
    let is_registered = |registration: &Registration| matches!(registration, Registration::Registered);
    let mut missing = Missing::new(mappings);
    for entry in &entries {
        let Registration::Unregistered { unit } = &entry.registration else { continue };
        let key = &entry.key;
        let is_declared = entries.iter().any(|other| {
            let is_same_place = (&other.key.asset, &other.key.name) == (&key.asset, &key.name);
            is_registered(&other.registration) && is_same_place
        });
        if !is_declared {
            missing.add(&key.asset, &key.name, key.product.as_deref(), unit.as_deref());
        }
    }
    match missing.lines().as_str() {
        "" => String::new(),
        lines => {
            format!("# {pilot}.toml: series that were sent and that nobody registered\n\n{lines}")
        }
    }
}

#[cfg(test)]
mod tests;
