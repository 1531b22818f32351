//! The demo fleet: twelve simulated pilots with a physical story each, from one seed number, and the truth about them.
//!
//! [`story`] says what each plant was told to do, [`physics`] what its days come to, [`telemetry`] and [`message`] what
//! its gateways send of it, [`registry`] what its people wrote into its file, [`truth`] what the figures must come out
//! as. [`load`] is a second, plainer fleet for load and loss tests, with totals known by arithmetic.
//!
//! Invariants:
//! - the same seed gives the same bytes, whatever is asked first;
//! - `history(until)` and `live(until, now)` meet without a gap and without a reading in both.

pub mod load;

mod message;
mod noise;
mod physics;
mod registry;
mod sentences;
mod story;
mod telemetry;
mod truth;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use model::programme::Label;
use model::{Indicator, PilotId, UnixMillis};
use serde::Serialize;

use message::{Form, Gateway, Item, Reading, Trust};
use physics::{Plant, QUARTER_MS};
use story::FleetStory;
use telemetry::{History, Span};

pub use truth::TOLERANCE;

/// The asset of the electricity meter of every plant.
const METER: &str = "em-1";
/// The cost categories that every plant posts by month.
const COSTS: [&str; 3] = ["labour", "material", "maintenance"];
/// How often a live gateway reads its meter.
pub const LIVE_STEP_MS: i64 = 10_000;

/// A line by the place of its workshop.
#[derive(Debug, Clone, Copy)]
struct Line(usize);

impl Line {
    fn asset(self) -> &'static str {
        if self.0 == 0 { "line-1" } else { "line-2" }
    }
}

/// What the simulator was told to do, in the words and figures of the pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The story in sentences: improvement steps, meter swap, outage, late data.
    pub story: Vec<Label>,
    /// By year from 2015 to 2025, the last stage of the programme. A figure may be [`TOLERANCE`] off.
    pub reductions: Vec<TrueReduction>,
}

/// The reduction that the simulator put into the data of one year.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrueReduction {
    pub indicator: Indicator,
    pub year: i32,
    pub reduction: f64,
}

impl Truth {
    /// The truth of one indicator in one year.
    pub fn of(&self, indicator: &Indicator, year: i32) -> Option<&TrueReduction> {
        self.reductions.iter().find(|truth| truth.indicator == *indicator && truth.year == year)
    }
}

/// One message a gateway of the fleet publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// One simulated pilot.
pub struct SimulatedPilot {
    pub id: PilotId,
    /// The text of its registry file.
    pub registry: String,
    pub truth: Truth,
    /// What the readings cannot carry: the figure has to say so.
    insufficient: Vec<(Indicator, i32)>,
    fleet: Arc<FleetStory>,
    plant: Arc<Plant>,
    /// The live gateways, from their first message on: they number what they send.
    live: Mutex<Option<LiveGateways>>,
}

struct LiveGateways {
    meters: Gateway,
    works: Gateway,
}

impl SimulatedPilot {
    /// Its history from 2015-01-01 to `until`, both instants included, as messages, oldest first (some late, some twice).
    pub fn history(&self, until: UnixMillis) -> Box<dyn Iterator<Item = Message> + Send> {
        Box::new(self.history_of(until))
    }

    /// Whether the readings of a year can carry a figure; where they cannot, the figure has to be insufficient.
    pub fn is_sufficient(&self, indicator: &Indicator, year: i32) -> bool {
        !self.insufficient.iter().any(|(of, when)| of == indicator && *when == year)
    }

    /// Readings and order events in the history to `until`, each counted once.
    pub fn n_values(&self, until: UnixMillis) -> u64 {
        self.history_of(until).count().n_values as u64
    }

    /// Messages in the history to `until`; one that is sent twice counts twice.
    pub fn n_messages(&self, until: UnixMillis) -> u64 {
        self.history_of(until).count().n_messages as u64
    }

    fn history_of(&self, until: UnixMillis) -> History {
        History::new(Arc::clone(&self.fleet), Arc::clone(&self.plant), until.0)
    }

    /// What it publishes live for `(from, to]`: the meter every ten seconds, and what else came to its end.
    ///
    /// Its gateways count their messages from the first call on; their boot is the second at which that call begins.
    pub fn live(&self, from: UnixMillis, to: UnixMillis) -> Vec<Message> {
        let (id, boot) = (self.id.as_str(), from.0.div_euclid(1000).unsigned_abs());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let gateways = live.get_or_insert_with(|| LiveGateways {
            meters: Gateway::new(id, "meters", boot),
            works: Gateway::new(id, "works", boot),
        });
        let span = Span { after: from.0, to: to.0 };
        let midnights = telemetry::meters(&self.plant, span).filter(|item| !is_register(item));
        let mut messages = gateways.meters.messages(Form::Long, self.registers(span).chain(midnights));
        messages
            .extend(gateways.works.messages(Form::Long, telemetry::works(&self.fleet, &self.plant, span).into_iter()));
        messages
    }

    /// The register and the mean power of the quarter-hour, every ten seconds.
    fn registers(&self, span: Span) -> impl Iterator<Item = Item<'_>> {
        let plant = &*self.plant;
        let first = span.after.div_euclid(LIVE_STEP_MS) + 1;
        (first..=span.to.div_euclid(LIVE_STEP_MS)).flat_map(move |step| {
            let at = step * LIVE_STEP_MS;
            let quarter = at - 1 - (at - 1).rem_euclid(QUARTER_MS);
            let steps = plant.used(quarter + QUARTER_MS) - plant.used(quarter);
            let hundredths_kw = physics::hundredths(steps as f64 / 100.0 * 4.0 * plant.story.meter.multiplier);
            let (asset, name, unit) = (METER, "power", "kW");
            let power = Reading { asset, name, product: None, at, value: hundredths_kw, unit, trust: Trust::Good };
            [telemetry::register(plant, at, plant.used(at), Trust::Good), Item::Reading(power)]
        })
    }
}

fn is_register(item: &Item<'_>) -> bool {
    matches!(item, Item::Reading(reading) if reading.asset == METER)
}

/// The twelve pilots of the demo.
pub fn demo(seed: u64) -> Vec<SimulatedPilot> {
    let fleet = Arc::new(FleetStory::builtin());
    let pilots = (0u64..).zip(&fleet.pilot).map(|(place, story)| {
        let plant = Plant::new(story.clone(), noise::hash(seed, noise::Stream::Pilot, place));
        let (truth, insufficient) = truth::of(&fleet, story);
        SimulatedPilot {
            // Safe because the file is compiled in and a test reads it.
            id: PilotId::parse(&story.id).expect("fleet/demo.toml has valid ids"),
            registry: registry::text(&fleet, &plant),
            truth,
            insufficient,
            fleet: Arc::clone(&fleet),
            plant: Arc::new(plant),
            live: Mutex::new(None),
        }
    });
    pilots.collect()
}
