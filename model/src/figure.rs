//! A published figure: what an indicator of a scope came to in a period, against its adjusted baseline and the targets.
//!
//! Invariants:
//! - `reduction = 1 − actual / adjusted_baseline`, positive is good;
//! - no data is not zero: an insufficient figure says so and carries findings;
//! - where the programme states no target, `target` is none and `stages` is empty.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Period, PilotId, Slug, UnixMillis};

/// What is computed of a pilot over a period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    OperatingCost,
    ProductionCycle,
    DefectRate,
    EnergyIntensity,
    /// Energy intensity on the equivalent basis of electricity, shown beside the calorific one.
    EnergyIntensityEquivalent,
    CycleTime,
    PollutantIntensity(Arc<str>),
}

impl Indicator {
    /// The indicators that every pilot has, in the order in which pages show them.
    pub const FIXED: [Indicator; 6] = [
        Indicator::OperatingCost,
        Indicator::ProductionCycle,
        Indicator::DefectRate,
        Indicator::EnergyIntensity,
        Indicator::EnergyIntensityEquivalent,
        Indicator::CycleTime,
    ];

    /// Reads an id such as `operating_cost` or `pollutant_intensity.so2`.
    pub fn parse(id: &str) -> Option<Indicator> {
        match id {
            "operating_cost" => Some(Indicator::OperatingCost),
            "production_cycle" => Some(Indicator::ProductionCycle),
            "defect_rate" => Some(Indicator::DefectRate),
            "energy_intensity" => Some(Indicator::EnergyIntensity),
            "energy_intensity.equivalent" => Some(Indicator::EnergyIntensityEquivalent),
            "cycle_time" => Some(Indicator::CycleTime),
            _ => {
                let pollutant = id.strip_prefix("pollutant_intensity.").filter(|p| !p.is_empty())?;
                Some(Indicator::PollutantIntensity(pollutant.into()))
            }
        }
    }

    /// The unit of `actual` and `adjusted_baseline`.
    pub fn unit(&self) -> &'static str {
        match self {
            Indicator::OperatingCost => "CNY",
            Indicator::ProductionCycle | Indicator::CycleTime => "h",
            Indicator::DefectRate => "piece",
            Indicator::EnergyIntensity | Indicator::EnergyIntensityEquivalent => "kgce",
            Indicator::PollutantIntensity(_) => "kg",
        }
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Indicator::OperatingCost => f.write_str("operating_cost"),
            Indicator::ProductionCycle => f.write_str("production_cycle"),
            Indicator::DefectRate => f.write_str("defect_rate"),
            Indicator::EnergyIntensity => f.write_str("energy_intensity"),
            Indicator::EnergyIntensityEquivalent => f.write_str("energy_intensity.equivalent"),
            Indicator::CycleTime => f.write_str("cycle_time"),
            Indicator::PollutantIntensity(pollutant) => write!(f, "pollutant_intensity.{pollutant}"),
        }
    }
}

/// Whom a figure speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Programme,
    Region(Slug),
    Sector(Slug),
    Class(Slug),
    Pilot(PilotId),
    Workshop(PilotId, Slug),
}

impl Scope {
    /// Reads `programme`, `region:R`, `sector:S`, `class:C`, `pilot:ID` or `workshop:PILOT/W`.
    pub fn parse(text: &str) -> Option<Scope> {
        if text == "programme" {
            return Some(Scope::Programme);
        }
        let (kind, id) = text.split_once(':')?;
        match kind {
            "region" => Some(Scope::Region(Slug::parse(id).ok()?)),
            "sector" => Some(Scope::Sector(Slug::parse(id).ok()?)),
            "class" => Some(Scope::Class(Slug::parse(id).ok()?)),
            "pilot" => Some(Scope::Pilot(PilotId::parse(id).ok()?)),
            "workshop" => {
                let (pilot, workshop) = id.split_once('/')?;
                Some(Scope::Workshop(PilotId::parse(pilot).ok()?, Slug::parse(workshop).ok()?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Programme => f.write_str("programme"),
            Scope::Region(id) => write!(f, "region:{id}"),
            Scope::Sector(id) => write!(f, "sector:{id}"),
            Scope::Class(id) => write!(f, "class:{id}"),
            Scope::Pilot(id) => write!(f, "pilot:{id}"),
            Scope::Workshop(pilot, workshop) => write!(f, "workshop:{pilot}/{workshop}"),
        }
    }
}

/// Scopes and indicators are text on every surface, in JSON and on disk.
macro_rules! as_parsed_text {
    ($t:ident, $what:literal) => {
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$t, D::Error> {
                let text = String::deserialize(deserializer)?;
                $t::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no {}", $what)))
            }
        }
    };
}
as_parsed_text!(Indicator, "indicator");
as_parsed_text!(Scope, "scope");

/// Whether a figure may still move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Final,
    Provisional,
    Insufficient,
}

/// What the validity rules of the method say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    Valid,
    ValidWithFlags,
    Invalid,
}

/// Where a figure stands against a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Achieved,
    Ahead,
    OnTrack,
    AtRisk,
    Behind,
    Insufficient,
}

/// The standing against one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageStanding {
    /// Last day of the stage's year, `2020-12-31`.
    pub by: String,
    /// The reduction that the stage asks for.
    pub target: f64,
    /// The reduction that the glide path asks for at the end of the reporting period.
    pub path: f64,
    pub standing: Standing,
    /// What the index has to fall by a year from the period's end on to reach the target in time: 0 where the point is
    /// there already; none after the stage's year, or without a figure.
    pub required_rate: Option<f64>,
}

/// How sure the two sides of a figure are, in squares of its unit, so that a group can add up its pilots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variance {
    pub actual: f64,
    pub adjusted_baseline: f64,
    /// Degrees of freedom of both together; none where the numbers are large or counted.
    pub df: Option<f64>,
}

/// How the two sides of a figure are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// In proportion to standardised output, the interval from the scatter of months.
    Ratio,
    /// By the models of the pilot's plan, carrier by carrier.
    Model,
    /// Rates of the baseline at the products of the period.
    StandardisedRates,
    /// The median ratio of all pairs of values, by product.
    HodgesLehmann,
    /// Means up to a common horizon, open orders censored.
    RestrictedMeans,
    /// Pilots added up.
    Sum,
}

/// What the baseline of a figure was made from, or what its plan says, as the first bytes of a SHA-256: another one is another
/// baseline, or another plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 8]>::deserialize(deserializer).map(Fingerprint);
        }
        let text = String::deserialize(deserializer)?;
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16);
        let wrong = || serde::de::Error::custom(format!("`{text}` is no fingerprint: 16 hexadecimal digits"));
        number.map(|number| Fingerprint(number.to_be_bytes())).ok_or_else(wrong)
    }
}

/// Why the amount of the period is another than that of the baseline's same months (LMDI-I): the four add up to
/// `to − from`. Cost is nominal here, so that prices have an effect of their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// In the figure's unit, of the baseline's months; of several baseline years a year's worth.
    pub from: f64,
    pub to: f64,
    /// More or fewer pieces.
    pub activity: f64,
    /// Other products; of cost also other hours of the day.
    pub structure: f64,
    /// More or less per standardised piece.
    pub intensity: f64,
    /// Other prices; 0 of everything but cost.
    pub price: f64,
}

/// Why a figure is not better than it is: a stable rule id and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub rule: String,
    pub text: String,
}

/// A figure as every surface prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub scope: Scope,
    pub indicator: Indicator,
    pub period: Period,
    pub actual: Option<f64>,
    pub adjusted_baseline: Option<f64>,
    pub reduction: Option<f64>,
    /// Interval of the reduction at `confidence`; an end is none where it is unbounded, and all of it where too little is
    /// known for one.
    pub ci: Option<[Option<f64>; 2]>,
    pub confidence: f64,
    /// What the interval comes from.
    #[serde(default)]
    pub variance: Option<Variance>,
    /// What the index fell by a year since the end of the baseline period.
    pub annual_rate: Option<f64>,
    pub output: Option<f64>,
    pub per_unit: Option<f64>,
    pub per_unit_baseline: Option<f64>,
    pub unit: String,
    pub coverage: Option<f64>,
    pub state: State,
    pub validity: Validity,
    pub standing: Option<Standing>,
    pub target: Option<f64>,
    pub stages: Vec<StageStanding>,
    pub version: Option<u32>,
    pub as_of: UnixMillis,
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub method: Option<Method>,
    /// Of pilots and workshops.
    #[serde(default)]
    pub baseline: Option<Fingerprint>,
    /// The plan that it was made under, as the first bytes of a SHA-256 of its terms; of pilots and workshops.
    #[serde(default)]
    pub plan: Option<Fingerprint>,
    /// What of `adjusted_baseline` a person stated: non-routine adjustments of the counted months. None without one.
    #[serde(default)]
    pub adjustments: Option<f64>,
    /// Of indicators that are amounts.
    #[serde(default)]
    pub effects: Option<Effects>,
    /// `operating_cost` only: the items inside the figure.
    #[serde(default)]
    pub cost_scope: Option<Vec<String>>,
    /// Groups only: pilots inside the figure, and pilots of the scope.
    #[serde(default)]
    pub pilots_included: Option<u32>,
    #[serde(default)]
    pub pilots_total: Option<u32>,
    /// Groups only: the mean of the pilots' reductions, shown beside the figure and labelled.
    #[serde(default)]
    pub mean_of_reductions: Option<f64>,
    /// Groups of two pilots or more: the least and the greatest reduction of the group without one of its pilots.
    #[serde(default)]
    pub leave_one_out: Option<[f64; 2]>,
    /// Groups only: the included pilots' share of the output, each pilot's output counted by what its baseline says for
    /// it; none where a pilot's is not known.
    #[serde(default)]
    pub output_share: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_and_scopes_read_and_print_alike() {
        for id in ["operating_cost", "energy_intensity.equivalent", "pollutant_intensity.so2"] {
            assert_eq!(Indicator::parse(id).unwrap().to_string(), id);
        }
        for text in ["programme", "region:hami", "sector:electronics", "class:pilot", "pilot:p-1", "workshop:p-1/w"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        assert!(Scope::parse("pilot:").is_none());
        assert!(Scope::parse("planet:earth").is_none());
    }
}
