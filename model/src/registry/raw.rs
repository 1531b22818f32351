//! A registry file as serde reads it, table by table. [`super::parse`] turns it into a [`super::Pilot`].
//!
//! Every table refuses keys it does not know: a typo is not silence.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{OnDecrease, PiecesFrom, TariffDays};
use crate::Kind;
use crate::document::{At, Day, DayOrAt, Name, Section};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPieces {
    Series,
    Orders,
}

impl From<RawPieces> for PiecesFrom {
    fn from(pieces: RawPieces) -> PiecesFrom {
        match pieces {
            RawPieces::Series => PiecesFrom::Series,
            RawPieces::Orders => PiecesFrom::Orders,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDays {
    Workday,
    Restday,
}

impl From<Option<RawDays>> for TariffDays {
    fn from(days: Option<RawDays>) -> TariffDays {
        match days {
            None => TariffDays::Every,
            Some(RawDays::Workday) => TariffDays::Workday,
            Some(RawDays::Restday) => TariffDays::Restday,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawOnDecrease {
    Reset,
}

impl From<Option<RawOnDecrease>> for OnDecrease {
    fn from(on_decrease: Option<RawOnDecrease>) -> OnDecrease {
        match on_decrease {
            None => OnDecrease::Nothing,
            Some(RawOnDecrease::Reset) => OnDecrease::Reset,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawEventKind {
    MeterSwap,
    Rollover,
    Multiplier,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPilot {
    pub(super) id: String,
    pub(super) name: Name,
    #[serde(default)]
    pub(super) enterprise: String,
    pub(super) region: String,
    pub(super) sector: String,
    pub(super) class: String,
    pub(super) zone: String,
    #[serde(default = "default_programme")]
    pub(super) programme: String,
    pub(super) earliest: Option<DayOrAt>,
    pub(super) pieces: Option<RawPieces>,
    #[serde(default)]
    pub(super) topics: Vec<String>,
}

fn default_programme() -> String {
    "xinjiang-2025".to_owned()
}

impl Section for RawPilot {
    const REQUIRED: &'static [&'static str] = &["id", "name", "region", "sector", "class", "zone"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBaseline {
    pub(super) from: Day,
    pub(super) to: Day,
}

impl Section for RawBaseline {
    const REQUIRED: &'static [&'static str] = &["from", "to"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProduct {
    pub(super) id: String,
    pub(super) name: Option<Name>,
    pub(super) weight: Option<f64>,
}

impl Section for RawProduct {
    const REQUIRED: &'static [&'static str] = &["id"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTariff {
    pub(super) from: Day,
    pub(super) months: Option<Vec<i64>>,
    pub(super) days: Option<RawDays>,
    pub(super) bands: BTreeMap<String, f64>,
    #[serde(default)]
    pub(super) hours: BTreeMap<String, Vec<String>>,
}

impl Section for RawTariff {
    const REQUIRED: &'static [&'static str] = &["from", "bands"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRestday {
    pub(super) date: Option<Day>,
    #[serde(default)]
    pub(super) dates: Vec<Day>,
}

impl Section for RawRestday {
    const REQUIRED: &'static [&'static str] = &[];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrice {
    pub(super) carrier: String,
    pub(super) from: Day,
    pub(super) value: f64,
    pub(super) unit: Option<String>,
}

impl Section for RawPrice {
    const REQUIRED: &'static [&'static str] = &["carrier", "from", "value"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIndex {
    pub(super) category: String,
    pub(super) from: Day,
    pub(super) value: f64,
}

impl Section for RawIndex {
    const REQUIRED: &'static [&'static str] = &["category", "from", "value"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCharge {
    pub(super) kind: String,
    pub(super) from: Day,
    pub(super) value: f64,
    pub(super) unit: Option<String>,
}

impl Section for RawCharge {
    const REQUIRED: &'static [&'static str] = &["kind", "from", "value"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFactor {
    pub(super) carrier: String,
    pub(super) value: f64,
    pub(super) unit: Option<String>,
    pub(super) source: String,
}

impl Section for RawFactor {
    const REQUIRED: &'static [&'static str] = &["carrier", "value", "source"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkshop {
    pub(super) id: String,
    pub(super) name: Name,
}

impl Section for RawWorkshop {
    const REQUIRED: &'static [&'static str] = &["id", "name"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStop {
    pub(super) from: Day,
    pub(super) to: Day,
    pub(super) reason: String,
}

impl Section for RawStop {
    const REQUIRED: &'static [&'static str] = &["from", "to", "reason"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIgnore {
    pub(super) asset: String,
    pub(super) name: String,
}

impl Section for RawIgnore {
    const REQUIRED: &'static [&'static str] = &["asset", "name"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSeries {
    pub(super) asset: String,
    pub(super) name: String,
    pub(super) product: Option<String>,
    pub(super) quantity: String,
    pub(super) kind: Kind,
    pub(super) unit: Option<String>,
    pub(super) multiplier: Option<f64>,
    pub(super) rollover: Option<f64>,
    pub(super) max_gap: Option<String>,
    pub(super) plausible: Option<Vec<f64>>,
    pub(super) stage: Option<String>,
    pub(super) band: Option<String>,
    pub(super) part_of: Option<String>,
    pub(super) workshop: Option<String>,
    pub(super) on_decrease: Option<RawOnDecrease>,
    pub(super) until: Option<Day>,
}

impl Section for RawSeries {
    const REQUIRED: &'static [&'static str] = &["asset", "name", "quantity", "kind"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvent {
    pub(super) asset: String,
    pub(super) name: String,
    pub(super) product: Option<String>,
    pub(super) at: At,
    pub(super) kind: RawEventKind,
    #[serde(rename = "final")]
    pub(super) last: Option<f64>,
    pub(super) initial: Option<f64>,
    pub(super) value: Option<f64>,
}

impl Section for RawEvent {
    const REQUIRED: &'static [&'static str] = &["asset", "name", "at", "kind"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChange {
    pub(super) at: DayOrAt,
    pub(super) author: String,
    pub(super) reason: String,
}

impl Section for RawChange {
    const REQUIRED: &'static [&'static str] = &["at", "author", "reason"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdjustment {
    pub(super) indicator: String,
    pub(super) carrier: Option<String>,
    pub(super) workshop: Option<String>,
    pub(super) from: Day,
    pub(super) to: Day,
    pub(super) amount: f64,
    pub(super) unit: Option<String>,
    pub(super) reason: String,
    pub(super) author: String,
    pub(super) evidence: String,
}

impl Section for RawAdjustment {
    const REQUIRED: &'static [&'static str] = &["indicator", "from", "to", "amount", "reason", "author", "evidence"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlan {
    pub(super) operating_cost: Option<RawCostPlan>,
    pub(super) production_cycle: Option<RawCyclePlan>,
    pub(super) defect_rate: Option<RawDefectPlan>,
    pub(super) energy_intensity: Option<RawEnergyPlan>,
    pub(super) cycle_time: Option<RawCyclePlan>,
    pub(super) pollutant_intensity: Option<RawPollutantPlan>,
}

impl Section for RawPlan {
    const REQUIRED: &'static [&'static str] = &[];
}

/// A baseline period inside a plan; a day that is missing is named with its line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpan {
    pub(super) from: Option<Day>,
    pub(super) to: Option<Day>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCostPlan {
    pub(super) scope: Option<Vec<String>>,
    pub(super) baseline: Option<RawSpan>,
    pub(super) confidence: Option<f64>,
    pub(super) coverage_min: Option<f64>,
    pub(super) month_coverage_min: Option<f64>,
}

/// Of production cycles, and of cycle times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCyclePlan {
    pub(super) baseline: Option<RawSpan>,
    pub(super) confidence: Option<f64>,
    pub(super) coverage_min: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDefectPlan {
    pub(super) defects: Option<RawDefects>,
    pub(super) baseline: Option<RawSpan>,
    pub(super) confidence: Option<f64>,
    pub(super) coverage_min: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDefects {
    Defective,
    Scrap,
}

/// Of all pollutants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPollutantPlan {
    pub(super) baseline: Option<RawSpan>,
    pub(super) confidence: Option<f64>,
    pub(super) coverage_min: Option<f64>,
    pub(super) month_coverage_min: Option<f64>,
}

/// The plan of all carriers, and of single ones.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnergyPlan {
    model: Option<RawModel>,
    #[serde(default)]
    variables: Vec<String>,
    #[serde(default)]
    signs: BTreeMap<String, RawSign>,
    temperature: Option<String>,
    cooling: Option<bool>,
    base_load_negligible: Option<String>,
    #[serde(default)]
    pub(super) carriers: BTreeMap<String, RawCarrierPlan>,
    pub(super) baseline: Option<RawSpan>,
    pub(super) confidence: Option<f64>,
    pub(super) coverage_min: Option<f64>,
    pub(super) month_coverage_min: Option<f64>,
}

impl RawEnergyPlan {
    /// What it says of carriers that have no entry of their own.
    pub(super) fn of_all(&self) -> RawCarrierPlan {
        RawCarrierPlan {
            model: self.model,
            variables: self.variables.clone(),
            signs: self.signs.clone(),
            temperature: self.temperature.clone(),
            cooling: self.cooling,
            base_load_negligible: self.base_load_negligible.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCarrierPlan {
    pub(super) model: Option<RawModel>,
    #[serde(default)]
    pub(super) variables: Vec<String>,
    #[serde(default)]
    pub(super) signs: BTreeMap<String, RawSign>,
    pub(super) temperature: Option<String>,
    pub(super) cooling: Option<bool>,
    pub(super) base_load_negligible: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawModel {
    Ratio,
    Regression,
    DegreeDays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSign {
    Positive,
    Negative,
}
