//! The demo fleet: twelve simulated pilots with a physical story each, from one seed number, and the truth about them.
use model::programme::Label;
use model::{Indicator, PilotId, UnixMillis};
use serde::Serialize;

/// What the simulator was told to do, in the words and figures of the pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The story in sentences: improvement steps, meter swap, outage, late data.
    pub story: Vec<Label>,
    pub reductions: Vec<TrueReduction>,
}

/// The reduction that the simulator put into the data of one year.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrueReduction {
    pub indicator: Indicator,
    pub year: i32,
    pub reduction: f64,
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
}

impl SimulatedPilot {
    /// Its history of `[2015-01-01, until)` as messages, oldest first (some late, some twice).
    pub fn history(&self, until: UnixMillis) -> Box<dyn Iterator<Item = Message> + Send> {
        let _ = until;
        unimplemented!()
    }

    /// What it publishes live for `(from, to]`.
    pub fn live(&self, from: UnixMillis, to: UnixMillis) -> Vec<Message> {
        let _ = (from, to);
        unimplemented!()
    }
}

/// The twelve pilots of the demo.
pub fn demo(seed: u64) -> Vec<SimulatedPilot> {
    let _ = seed;
    unimplemented!()
}
