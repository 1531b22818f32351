//! What a series measures ([`Quantity`]) and what its readings contribute to time ([`Kind`]).

use std::fmt;
use std::sync::Arc;

use crate::{Dimension, Unit};

/// How readings turn into amounts over time (CONTRACT: what a series contributes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A register that only grows: the differences count.
    Counter,
    /// An amount of its own, for the span since the reading before.
    Delta,
    /// A level that holds until the next reading.
    Gauge,
    /// The time that one piece or batch took.
    Duration,
}

impl Kind {
    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Delta => "delta",
            Kind::Gauge => "gauge",
            Kind::Duration => "duration",
        }
    }
}

/// What happened to the pieces that an `output.*` series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputKind {
    Good,
    Defective,
    Rework,
    Scrap,
}

/// What a series measures. It fixes the canonical unit and what the aggregator does with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// `energy.<carrier>`: electricity, natural_gas, raw_coal, steam, heat, diesel, …
    Energy(Arc<str>),
    /// `output.good|defective|rework|scrap`.
    Output(OutputKind),
    /// `time.cycle`.
    TimeCycle,
    /// `cost.<category>`: labour, material, maintenance, other.
    Cost(Arc<str>),
    /// `emission.<pollutant>`.
    Emission(Arc<str>),
    /// `variable.<name>`: a relevant variable; keeps its declared unit.
    Variable(Arc<str>),
    /// `value.added`.
    ValueAdded,
    /// `power.<name>`: for display only, never counted.
    Power(Arc<str>),
}

/// What `quantity = "…"` may say.
pub const QUANTITIES: &str = "energy.<carrier>, output.good, output.defective, output.rework, output.scrap, time.cycle, \
                              cost.<category>, emission.<pollutant>, variable.<name>, value.added, power.<name>";

impl Quantity {
    /// Reads `energy.electricity` and the like; `None` if it is none of [`QUANTITIES`].
    pub fn parse(text: &str) -> Option<Quantity> {
        let (family, rest) = text.split_once('.')?;
        let word = !rest.is_empty() && rest.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let name = || word.then(|| Arc::<str>::from(rest));
        match (family, rest) {
            ("energy", _) => Some(Quantity::Energy(name()?)),
            ("output", "good") => Some(Quantity::Output(OutputKind::Good)),
            ("output", "defective") => Some(Quantity::Output(OutputKind::Defective)),
            ("output", "rework") => Some(Quantity::Output(OutputKind::Rework)),
            ("output", "scrap") => Some(Quantity::Output(OutputKind::Scrap)),
            ("time", "cycle") => Some(Quantity::TimeCycle),
            ("cost", _) => Some(Quantity::Cost(name()?)),
            ("emission", _) => Some(Quantity::Emission(name()?)),
            ("variable", _) => Some(Quantity::Variable(name()?)),
            ("value", "added") => Some(Quantity::ValueAdded),
            ("power", _) => Some(Quantity::Power(name()?)),
            _ => None,
        }
    }

    /// The canonical unit: what amounts are rolled up in. `None` for `variable.*`, which keeps its declared unit.
    pub fn canonical_unit(&self) -> Option<Unit> {
        let symbol = match self {
            Quantity::Energy(carrier) => carrier_unit(carrier),
            Quantity::Output(_) => "piece",
            Quantity::TimeCycle => "s",
            Quantity::Cost(_) | Quantity::ValueAdded => "CNY",
            Quantity::Emission(_) => "kg",
            Quantity::Power(_) => "kW",
            Quantity::Variable(_) => return None,
        };
        Unit::parse(symbol)
    }

    /// Whether a series of this quantity may be declared in `dimension`. Energy also comes as power (integrated).
    pub fn takes(&self, dimension: Dimension, kind: Kind) -> bool {
        match self.canonical_unit() {
            None => true,
            Some(unit) if unit.dimension() == dimension => true,
            Some(unit) => {
                let integrated = unit.dimension() == Dimension::Energy && dimension == Dimension::Power;
                integrated && kind == Kind::Gauge && matches!(self, Quantity::Energy(_))
            }
        }
    }
}

/// Electricity in kWh, heat in MJ, gases in m³, solids, liquids and steam in kg (CONTRACT section 2).
///
/// Refinery gas stays in kg, as its factor does. A carrier that nobody knows is taken as a solid or a liquid.
pub fn carrier_unit(carrier: &str) -> &'static str {
    const GASES: [&str; 16] = [
        "natural_gas",
        "coke_oven_gas",
        "blast_furnace_gas",
        "producer_gas",
        "catalytic_cracking_gas",
        "thermal_cracking_gas",
        "coke_gas",
        "pressure_gas",
        "water_gas",
        "hydrogen",
        "biogas",
        "compressed_air",
        "oxygen",
        "nitrogen",
        "carbon_dioxide",
        "acetylene",
    ];
    match carrier {
        "electricity" => "kWh",
        "heat" => "MJ",
        gas if GASES.contains(&gas) => "m3",
        _ => "kg",
    }
}

/// A number per some unit of a carrier (CNY/t, kgce/m3), to be turned into one per its canonical unit.
#[derive(Debug, Clone, Copy)]
pub struct PerUnit {
    declared: Unit,
    canonical: Unit,
}

impl PerUnit {
    /// Reads `CNY/t`, or just `t`; none = the carrier's canonical unit. `above` are the words allowed above the stroke.
    ///
    /// # Errors
    /// Says which unit the carrier is counted in.
    pub fn parse(carrier: &str, unit: Option<&str>, above: &[&str]) -> Result<PerUnit, String> {
        let symbol = carrier_unit(carrier);
        // Safe because a test parses the unit of every carrier.
        let canonical = Unit::parse(symbol).expect("the unit of a carrier is in the table");
        let Some(text) = unit else { return Ok(PerUnit { declared: canonical, canonical }) };
        let below = above.iter().find_map(|word| text.strip_prefix(word)?.strip_prefix('/')).unwrap_or(text);
        let declared = Unit::parse(below).filter(|declared| declared.dimension() == canonical.dimension());
        let example = above.first().map(|word| format!(": such as `{word}/{symbol}`")).unwrap_or_default();
        declared
            .map(|declared| PerUnit { declared, canonical })
            .ok_or_else(|| format!("unit `{text}` does not fit `{carrier}`, which is counted in {symbol}{example}"))
    }

    /// 3000 per t as 3 per kg.
    pub fn canonical(self, value: f64) -> f64 {
        // Dividing by a whole number keeps 3000 CNY/t exactly 3 CNY/kg; multiplying by 0.001 would not.
        match (self.declared.convert(1.0, &self.canonical), self.canonical.convert(1.0, &self.declared)) {
            (Some(many), Some(_)) if many >= 1.0 => value / many,
            (Some(_), Some(few)) => value * few,
            // Never: both units were parsed in one dimension.
            (Some(_) | None, Some(_) | None) => value,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Energy(carrier) => write!(f, "energy.{carrier}"),
            Quantity::Output(OutputKind::Good) => f.write_str("output.good"),
            Quantity::Output(OutputKind::Defective) => f.write_str("output.defective"),
            Quantity::Output(OutputKind::Rework) => f.write_str("output.rework"),
            Quantity::Output(OutputKind::Scrap) => f.write_str("output.scrap"),
            Quantity::TimeCycle => f.write_str("time.cycle"),
            Quantity::Cost(category) => write!(f, "cost.{category}"),
            Quantity::Emission(pollutant) => write!(f, "emission.{pollutant}"),
            Quantity::Variable(name) => write!(f, "variable.{name}"),
            Quantity::ValueAdded => f.write_str("value.added"),
            Quantity::Power(name) => write!(f, "power.{name}"),
        }
    }
}
