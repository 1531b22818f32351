//! A programme: its targets by indicator and stage, each with the clause it comes from, and its taxonomy.
//!
//! All of it is data (`seeds/programme/*.toml`); another programme is another file, not other code.

use jiff::civil::Date;
use serde::Serialize;

use crate::{Indicator, Slug};

/// A text in Chinese and English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    pub zh: String,
    pub en: String,
}

/// What the programme asks of one indicator by the end of one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    pub indicator: Indicator,
    /// The day by which it is due (the last day of the stage's year).
    pub due: Date,
    /// The reduction asked for, as a ratio against the baseline (0.2 = 20 % less).
    pub reduction: f64,
    pub reading: TargetReading,
    /// Where the programme says so.
    pub clause: String,
    /// What it says there, word for word.
    pub text: String,
}

/// What a target's reduction is measured over (METHOD 10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetReading {
    /// From the baseline to the due date.
    Cumulative,
    /// In every year.
    AnnualPace,
}

/// Something the programme asks for that is no target of an indicator: recorded, never turned into one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub id: Slug,
    pub clause: String,
    /// Word for word.
    pub text: String,
    /// Why it is no target here.
    pub note: Option<String>,
}

/// A due date and its reduction, for one indicator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stage {
    pub due: Date,
    pub reduction: f64,
}

/// One entry of the taxonomy: an area, a field of industry, a class or a centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub id: Slug,
    pub name: Label,
    pub clause: String,
    /// How many enterprises the programme means, if it says so.
    pub count: Option<u32>,
}

/// A programme as its file states it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Programme {
    pub id: Slug,
    pub name: Label,
    /// The document, as one would cite it.
    pub source: String,
    pub targets: Vec<Target>,
    pub regions: Vec<Entry>,
    pub sectors: Vec<Entry>,
    pub classes: Vec<Entry>,
    /// The innovation centres that the programme's text names.
    pub centres: Vec<Entry>,
    /// Those that its annex names: the programme disagrees with itself, so both are recorded.
    pub centres_in_annex: Vec<Entry>,
    pub statements: Vec<Statement>,
}

impl Programme {
    /// The stages of an indicator, by due date; empty where the programme states no target.
    pub fn stages(&self, indicator: &Indicator) -> Vec<Stage> {
        let of_indicator = self.targets.iter().filter(|target| target.indicator == *indicator);
        let mut stages: Vec<Stage> =
            of_indicator.map(|target| Stage { due: target.due, reduction: target.reduction }).collect();
        stages.sort_by_key(|stage| stage.due);
        stages
    }
}
