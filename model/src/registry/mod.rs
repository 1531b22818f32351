//! The registry: one file per pilot that says what it makes, which series it has, its tariffs and its baseline period.
//!
//! [`parse_pilot`] turns the text of one file into a [`Pilot`]; every mistake names file, line and what would be right. A
//! [`Registry`] is the set of pilots in force; a bad file never replaces a good one. Reading the directory is the
//! command's: [`assemble`] takes what it found.
//!
//! Invariants:
//! - a `Pilot` that exists passed every rule that needs nothing but its own file;
//! - rules across files ([`Registry::check`]) and against the programme ([`check_against`]) are checked by whoever has both.

pub mod adjustment;
mod calendar;
mod check;
mod dependence;
mod money;
mod parse;
pub mod plan;
mod raw;
mod series;
mod tariff;
pub mod terms;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::programme::Label;
use crate::{Kind, PilotId, Quantity, Slug, Unit, UnixMillis};

pub use crate::document::Mistake;
pub use check::{assemble, check_against};
pub use dependence::{Dependence, dependence};
pub use parse::parse_pilot;

/// All pilots in force, by id.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub pilots: BTreeMap<PilotId, Arc<Pilot>>,
}

/// One pilot as its file declares it.
#[derive(Debug, Clone)]
pub struct Pilot {
    pub id: PilotId,
    pub name: Label,
    pub enterprise: String,
    pub region: Slug,
    pub sector: Slug,
    pub class: Slug,
    pub zone_name: String,
    pub zone: TimeZone,
    pub programme: Slug,
    /// Readings before this are refused; never before 2000.
    pub earliest: UnixMillis,
    pub pieces: PiecesFrom,
    /// Foreign topic filters bound to this pilot.
    pub topics: Vec<String>,
    pub baseline: DayRange,
    pub products: Vec<Product>,
    pub tariffs: Vec<Tariff>,
    pub restdays: Vec<Date>,
    pub prices: Vec<Price>,
    pub indexes: Vec<PriceIndex>,
    pub charges: Vec<Charge>,
    pub factors: Vec<FactorOverride>,
    pub workshops: Vec<Workshop>,
    pub stops: Vec<Stop>,
    pub ignores: Vec<Ignore>,
    pub series: Vec<Series>,
    /// `[plan]`.
    pub plans: plan::Plans,
    /// `[[adjustment]]`, in file order.
    pub adjustments: Vec<adjustment::Adjustment>,
    /// `[[change]]`: why the file was edited after figures were published, by `at`.
    pub changes: Vec<Change>,
    pub source: Source,
    /// Hash of the file's text (xxh3, 64 bit), for change detection.
    pub content_hash: u64,
}

/// Where the pilot was declared, for messages about it that need more than its own file.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// As it was given to [`parse_pilot`].
    pub file: String,
    /// Lines of the keys of `[pilot]`; the line of `[pilot]` itself under the empty key.
    pub lines: BTreeMap<String, usize>,
}

impl Source {
    /// The line of a key of `[pilot]`, such as `region` or `topics.0`.
    pub fn line_of(&self, key: &str) -> usize {
        self.lines.get(key).or_else(|| self.lines.get("")).copied().unwrap_or(0)
    }
}

/// `[[change]]`: an edit of the registry, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: UnixMillis,
    pub author: String,
    pub reason: String,
}

/// Who counts finished pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PiecesFrom {
    Series,
    Orders,
}

/// Two civil days, both included, in the pilot's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DayRange {
    pub from: Date,
    pub to: Date,
}

/// `[[product]]`.
#[derive(Debug, Clone)]
pub struct Product {
    pub id: Arc<str>,
    pub name: Option<Label>,
    /// Weight in standardised output; none = 1, assumed.
    pub weight: Option<f64>,
}

/// Which days a tariff row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TariffDays {
    Every,
    Workday,
    Restday,
}

/// `[[tariff]]`: prices by band and the bands' hours of the day. Holds from `from` until the next date's.
#[derive(Debug, Clone)]
pub struct Tariff {
    pub from: Date,
    /// 1 to 12; empty = every month.
    pub months: Vec<i8>,
    pub days: TariffDays,
    /// CNY per kWh by band, sorted by band.
    pub bands: BTreeMap<Arc<str>, f64>,
    /// Local times of day, half-open, on quarter-hours; a span may pass midnight. What is left is the rest band.
    pub hours: Vec<BandSpan>,
    /// The band of every hour that no span names.
    pub rest: Arc<str>,
}

/// One span of a day in one band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandSpan {
    pub band: Arc<str>,
    pub from: Time,
    /// Exclusive; 00:00 = midnight at the end of the day.
    pub to: Time,
}

/// `[[price]]`: what a carrier costs per unit from a day on.
#[derive(Debug, Clone)]
pub struct Price {
    pub carrier: Arc<str>,
    pub from: Date,
    /// CNY per canonical unit of the carrier ([`crate::quantity::carrier_unit`]).
    pub value: f64,
}

/// `[[index]]`: deflates a cost category.
#[derive(Debug, Clone)]
pub struct PriceIndex {
    pub category: Arc<str>,
    pub from: Date,
    pub value: f64,
}

/// `[[charge]]`: what is billed beside the price of a kWh; shown in nominal cost only. Of one kind, the last that began holds.
#[derive(Debug, Clone)]
pub struct Charge {
    /// `demand`, `power_factor`, `differential`, `punitive` or `surcharge`.
    pub kind: String,
    pub from: Date,
    pub value: f64,
    pub per: ChargePer,
}

/// What a charge is so much for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargePer {
    /// CNY a month.
    Month,
    /// CNY for each kWh of electricity.
    Kwh,
    /// A share of the month's bill for electricity; below zero it is a bonus.
    Bill,
}

/// `[[factor]]`: the pilot's own kgce factor of a carrier, per canonical unit of the carrier.
#[derive(Debug, Clone)]
pub struct FactorOverride {
    pub carrier: Arc<str>,
    pub value: f64,
    pub source: String,
    /// The line of its `[[factor]]`.
    pub line: usize,
}

/// `[[workshop]]`.
#[derive(Debug, Clone)]
pub struct Workshop {
    pub id: Slug,
    pub name: Label,
}

/// `[[stop]]`: the plant stood still on purpose; both days included, in the pilot's zone.
#[derive(Debug, Clone)]
pub struct Stop {
    pub from: Date,
    pub to: Date,
    pub reason: String,
}

/// `[[ignore]]`: globs of asset and name whose readings are dropped and counted.
#[derive(Debug, Clone)]
pub struct Ignore {
    pub asset: String,
    pub name: String,
}

/// `[[series]]`.
#[derive(Debug, Clone)]
pub struct Series {
    pub asset: Arc<str>,
    pub name: Arc<str>,
    pub product: Option<Arc<str>>,
    pub quantity: Quantity,
    pub kind: Kind,
    /// The declared unit: what readings are stored in.
    pub unit: Unit,
    /// Dated by `events`; this one holds before the first.
    pub multiplier: f64,
    pub rollover: Option<f64>,
    /// Longest span between neighbours that is covered, in ms. None only for pieces and durations that declare none.
    pub max_gap_ms: Option<i64>,
    /// Whether the file says `max_gap` itself.
    pub declares_max_gap: bool,
    pub plausible: Option<[f64; 2]>,
    pub stage: Option<String>,
    pub band: Option<Arc<str>>,
    pub part_of: Option<String>,
    pub workshop: Option<Slug>,
    pub on_decrease: OnDecrease,
    pub until: Option<Date>,
    /// By `at`.
    pub events: Vec<SeriesEvent>,
    /// The line of its `[[series]]`.
    pub line: usize,
}

/// What a decrease of a counter without rollover and event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDecrease {
    /// The pair contributes nothing and a finding names the event to add.
    Nothing,
    /// The counter was reset to 0 and counted on.
    Reset,
}

/// `[[event]]`: a dated fact about a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesEvent {
    pub at: UnixMillis,
    pub what: SeriesEventKind,
}

/// What happened to a series.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesEventKind {
    /// `last` is the old meter's last value, `first` the new one's first.
    MeterSwap { last: f64, first: f64 },
    /// The register passed its end once between its neighbours.
    Rollover,
    /// The multiplier from this instant on.
    Multiplier(f64),
}

impl Pilot {
    /// The index in `series` of the one declared with exactly this asset, name and product.
    pub fn series_index(&self, asset: &str, name: &str, product: Option<&str>) -> Option<usize> {
        let fits = |s: &Series| &*s.asset == asset && &*s.name == name && s.product.as_deref() == product;
        self.series.iter().position(fits)
    }

    /// The declared product of this id.
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.iter().find(|product| &*product.id == id)
    }

    /// Whether readings and order events may name this product: any, if the registry lists none.
    pub fn takes_product(&self, id: &str) -> bool {
        self.products.is_empty() || self.product(id).is_some()
    }

    /// The series declared with exactly this asset, name and product, else the one declared without a product.
    ///
    /// This is the resolution rule of CONTRACT section 2; linear in the series of the pilot, so the hot path keeps an
    /// index of its own.
    pub fn resolve(&self, asset: &str, name: &str, product: Option<&str>) -> Option<&Series> {
        let of = |want: Option<&str>| {
            let fits = |s: &&Series| &*s.asset == asset && &*s.name == name && s.product.as_deref() == want;
            self.series.iter().find(fits)
        };
        match product {
            Some(_) => of(product).or_else(|| of(None)),
            None => of(None).or_else(|| {
                let mut declared = self.series.iter().filter(|s| &*s.asset == asset && &*s.name == name);
                let only = declared.next()?;
                declared.next().is_none().then_some(only)
            }),
        }
    }
}

/// The registry in force, shared by the doors, the aggregator and the pages; replaced whole on reload.
#[derive(Debug, Default)]
pub struct InForce {
    current: std::sync::RwLock<Arc<Registry>>,
}

impl InForce {
    /// Puts a first registry in force.
    pub fn new(registry: Registry) -> InForce {
        InForce { current: std::sync::RwLock::new(Arc::new(registry)) }
    }

    /// The registry in force now. Cheap: one reference count.
    pub fn get(&self) -> Arc<Registry> {
        // A poisoned lock still holds a whole registry: replacing is one assignment.
        Arc::clone(&self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Puts another one in force.
    pub fn replace(&self, registry: Registry) {
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(registry);
    }
}

#[cfg(test)]
mod tests;
