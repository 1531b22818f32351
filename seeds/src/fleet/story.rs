//! What each simulated plant was told to do: `fleet/demo.toml`, read into types.
//!
//! A story is parameters only. [`super::physics`] makes amounts of them, [`super::truth`] the reductions they amount to.
//! Everything is invented; enterprises say so in their names.

use std::collections::BTreeMap;

use jiff::civil::Date;
use model::programme::Label;
use serde::Deserialize;

/// The demo fleet as its file states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetStory {
    /// Sets of dated tariffs that pilots name.
    pub(crate) tariffs: BTreeMap<String, Vec<TariffStory>>,
    /// Price indexes by cost category: one number a year from 2015; the last one holds on.
    pub(crate) indexes: BTreeMap<String, Vec<f64>>,
    /// Prices of natural gas.
    pub(crate) gas_price: Vec<DatedPrice>,
    pub(crate) pilot: Vec<PilotStory>,
}

/// One dated tariff: CNY per kWh by band and the bands' hours; what is left is `flat`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TariffStory {
    pub(crate) from: Date,
    pub(crate) bands: BTreeMap<String, f64>,
    pub(crate) hours: BTreeMap<String, Vec<String>>,
}

/// A price from a day on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatedPrice {
    pub(crate) from: Date,
    pub(crate) value: f64,
}

/// One plant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PilotStory {
    pub(crate) id: String,
    pub(crate) name: Label,
    pub(crate) enterprise: String,
    pub(crate) region: String,
    pub(crate) sector: String,
    pub(crate) class: String,
    /// First and last year of the baseline period.
    pub(crate) baseline: [i32; 2],
    /// A key of [`FleetStory::tariffs`].
    pub(crate) tariffs: String,
    pub(crate) works: Works,
    pub(crate) meter: Meter,
    pub(crate) gas: Option<Gas>,
    pub(crate) cost: Cost,
    pub(crate) workshop: Vec<WorkshopStory>,
    pub(crate) product: Vec<ProductStory>,
    pub(crate) step: Vec<Step>,
    #[serde(default)]
    pub(crate) incidents: Incidents,
}

/// How much is made, and when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Works {
    /// Pieces on a working day of early 2015.
    pub(crate) per_day: f64,
    /// Growth of that a year, as a share of 2015.
    pub(crate) growth: f64,
    /// Share of a working day's pieces that is made on a Saturday.
    pub(crate) saturday: f64,
    /// And on a Sunday.
    pub(crate) sunday: f64,
    /// Summer above winter, as a share.
    pub(crate) season: f64,
    /// Hours of the day in which the lines run, from and to.
    pub(crate) hours: [u32; 2],
    /// Production orders started on a working day of 2015.
    pub(crate) orders: f64,
    /// Spread of ln(lead time) of orders.
    pub(crate) lead_spread: f64,
    /// Timed pieces on a working day; 0 = the plant times none.
    #[serde(default)]
    pub(crate) timed: f64,
}

/// The electricity meter and what it sees.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meter {
    /// kWh a day that do not depend on output.
    pub(crate) base: f64,
    /// By how much more of it in midwinter, as a share (and as much less in midsummer).
    pub(crate) winter: f64,
    /// Current transformer times voltage transformer.
    pub(crate) multiplier: f64,
    /// What the register showed when 2015 began.
    pub(crate) start: f64,
    /// Where the register starts again from 0.
    pub(crate) rollover: Option<f64>,
    /// The first day of telemetry; none = 2015-01-01.
    pub(crate) from: Option<Date>,
}

/// The gas boiler or kiln.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gas {
    /// m3 on the coldest day, for heating; none in summer.
    pub(crate) heating: f64,
    /// kgce per m3, as measured: the standard only has a range.
    pub(crate) factor: f64,
}

/// What else a month costs, in CNY of 2015.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// A month.
    pub(crate) labour: f64,
    /// A month.
    pub(crate) maintenance: f64,
}

/// One workshop; its line counts the pieces of its products.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkshopStory {
    pub(crate) id: String,
    pub(crate) name: Label,
}

/// One product.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductStory {
    pub(crate) id: String,
    pub(crate) name: Label,
    /// Its place among the workshops, from 0.
    #[serde(default)]
    pub(crate) workshop: usize,
    /// Share of the pieces at the start of 2015 and at the start of 2026, linear between.
    pub(crate) share: [f64; 2],
    /// The first day on which it is made; none = always.
    pub(crate) launched: Option<Date>,
    /// Weight in standardised output.
    pub(crate) weight: f64,
    pub(crate) kwh: f64,
    #[serde(default)]
    pub(crate) m3: f64,
    /// CNY of material a piece, of 2015.
    pub(crate) material: f64,
    /// Share that final inspection rejects in 2015.
    pub(crate) defective: f64,
    /// Median lead time of an order in 2015, hours.
    pub(crate) lead: f64,
    /// Median cycle time of a piece in 2015, seconds.
    #[serde(default)]
    pub(crate) cycle: f64,
}

/// What a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Electricity, base load and per piece.
    Electricity,
    /// Natural gas.
    Gas,
    Labour,
    Material,
    Maintenance,
    /// Share of pieces rejected.
    Defects,
    /// Lead time of orders.
    Lead,
    /// Cycle time of pieces.
    Cycle,
    /// Share of the lines' electricity that stays in the daytime; a cut moves it to the night.
    Daytime,
}

/// One improvement (or, with a negative cut, the opposite).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) what: Measure,
    pub(crate) from: Date,
    /// The share that goes away: 0.08 = 8 % less than before the step.
    pub(crate) cut: f64,
    /// Days until the whole of it has come, in equal parts; 0 = at once.
    #[serde(default)]
    pub(crate) days: f64,
    pub(crate) note: Label,
}

/// What goes wrong between the plant and Pilotline. None of it changes what the plant does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Incidents {
    pub(crate) meter_swap: Vec<MeterSwap>,
    /// Days without readings of the meter.
    pub(crate) outage: Vec<Days>,
    /// Months whose meter readings arrive a quarter late.
    pub(crate) late: Vec<Date>,
    /// Quarters (by their first day) whose messages are sent twice.
    pub(crate) twice: Vec<Date>,
    /// Days whose meter readings are marked uncertain.
    pub(crate) uncertain: Vec<Days>,
    /// Hours without a value: readings marked bad.
    pub(crate) bad: Vec<BadHour>,
}

/// A new meter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeterSwap {
    pub(crate) at: jiff::Timestamp,
    /// What the new register shows at first.
    pub(crate) initial: f64,
}

/// Civil days, both included.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Days {
    pub(crate) from: Date,
    pub(crate) to: Date,
}

/// An hour of a day.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BadHour {
    pub(crate) day: Date,
    pub(crate) hour: u32,
}

impl FleetStory {
    /// The built-in fleet.
    pub(crate) fn builtin() -> FleetStory {
        // Safe because the file is compiled in and a test reads it.
        toml::from_str(include_str!("../../fleet/demo.toml")).expect("fleet/demo.toml reads as a fleet")
    }

    /// The index of a cost category in a year, 2015 = 100.
    pub(crate) fn index(&self, category: &str, year: i32) -> f64 {
        let years = &self.indexes[category];
        let place = usize::try_from(year - 2015).unwrap_or(0);
        years[place.min(years.len() - 1)]
    }
}

impl PilotStory {
    /// What is left of a measure on a day: 1 in the beginning, the product of all steps so far.
    pub(crate) fn left(&self, what: Measure, day: Date) -> f64 {
        let steps = self.step.iter().filter(|step| step.what == what && step.from <= day);
        steps.fold(1.0, |left, step| left * (1.0 - step.cut * step.share_come(day)))
    }
}

impl Step {
    fn share_come(&self, day: Date) -> f64 {
        let since = f64::from((day - self.from).get_days()) + 1.0;
        if self.days > 0.0 { (since / self.days).min(1.0) } else { 1.0 }
    }
}

impl TariffStory {
    /// The band of a quarter-hour of the day, from 0.
    pub(crate) fn band_of(&self, quarter: usize) -> &str {
        let named = self.hours.iter().find(|(_, spans)| spans.iter().any(|span| holds(span, quarter)));
        named.map_or("flat", |(band, _)| band)
    }
}

/// Whether `08:00-11:00` holds a quarter-hour; a span may pass midnight.
fn holds(span: &str, quarter: usize) -> bool {
    let Some((from, to)) = span.split_once('-') else { return false };
    let quarter_of = |time: &str| {
        let (hour, minute) = time.split_once(':').unwrap_or((time, "0"));
        hour.parse().unwrap_or(0) * 4 + minute.parse::<usize>().unwrap_or(0) / 15
    };
    let (from, to) = (quarter_of(from), quarter_of(to));
    if from < to { (from..to).contains(&quarter) } else { quarter >= from || quarter < to }
}
