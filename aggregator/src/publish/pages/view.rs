//! What the pages print, gathered before any of it is rendered: rendering is a pure function of these structs.

use std::sync::Arc;

use jiff::civil::Date;
use model::period::MonthNo;
use model::programme::Label;
use model::registry::{DayRange, Stop};
use model::{
    Figure, Indicator, Period, PilotId, Programme, Scope, Slug, Stage, StageStanding, Standing, State, UnixMillis,
};
use seeds::fleet::Truth;

use crate::figure::BASELINE_PERIOD;
use crate::ledger::Version;
use crate::publish::corrections::Row;

/// The four indicators that both pages show, in this order.
pub const SHOWN: [Indicator; 4] =
    [Indicator::OperatingCost, Indicator::ProductionCycle, Indicator::DefectRate, Indicator::EnergyIntensity];

/// The period on show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub period: Period,
    /// Whether it had ended when the page was made.
    pub is_closed: bool,
}

/// Names a pilot on both pages.
#[derive(Debug, Clone, PartialEq)]
pub struct PilotHead {
    pub id: PilotId,
    pub name: Label,
    pub enterprise: String,
    pub region: (Slug, Label),
    pub sector: (Slug, Label),
    pub class: (Slug, Label),
    pub zone: String,
    pub baseline: DayRange,
}

/// One pilot in the matrix: a figure per indicator of [`SHOWN`].
#[derive(Debug, Clone, PartialEq)]
pub struct PilotRow {
    pub head: PilotHead,
    /// While history loads: how far this pilot's data have come.
    pub data_to: Option<UnixMillis>,
    pub figures: Vec<Figure>,
}

/// A region with its own figures and its pilots.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionBlock {
    pub id: Slug,
    pub name: Label,
    pub figures: Vec<Figure>,
    pub pilots: Vec<PilotRow>,
}

/// A link that narrows the page to one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub scope: Scope,
    pub name: Label,
    pub n_pilots: usize,
}

/// The programme page, narrowed to `scope`.
#[derive(Debug, Clone)]
pub struct ProgrammeView {
    pub programme: Arc<Programme>,
    pub scope: Scope,
    pub scope_name: Label,
    pub shown: Shown,
    pub years: Vec<Period>,
    /// The scope's own figures, by [`SHOWN`].
    pub figures: Vec<Figure>,
    pub regions: Vec<RegionBlock>,
    /// Regions, sectors, classes.
    pub choices: [Vec<Choice>; 3],
    /// When the figures were read.
    pub as_of: UnixMillis,
}

impl ProgrammeView {
    /// Every pilot on the page.
    pub fn pilots(&self) -> impl Iterator<Item = &PilotRow> {
        self.regions.iter().flat_map(|region| &region.pilots)
    }
}

/// One indicator of the pilot page, with its history.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub indicator: Indicator,
    /// Of the period on show.
    pub figure: Figure,
    /// The last version of that figure; none if it was never published.
    pub published: Option<PublishedAs>,
    pub stages: Vec<Stage>,
    /// Of the indicator's plan.
    pub baseline: DayRange,
    pub yearly: Vec<Figure>,
    pub quarterly: Vec<Figure>,
    pub monthly: Vec<Figure>,
}

/// The last version of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedAs {
    pub version: u32,
    pub cut_at: UnixMillis,
    /// What it said; none if it was insufficient.
    pub reduction: Option<f64>,
}

/// How the pilot's data arrive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataQuality {
    pub last_reading: Option<UnixMillis>,
    /// By gateway: how many messages of its own numbering never came.
    pub gateways: Vec<GatewayGaps>,
    pub rejections: Rejections,
    /// Files that were brought in.
    pub n_imports: usize,
}

/// Missing messages of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct GatewayGaps {
    pub pilot: PilotId,
    pub gateway: model::GatewayId,
    /// Holes between committed seq ranges, over all boots.
    pub gaps: u64,
    /// Messages in them.
    pub missing: u64,
}

/// Refused messages of a pilot among those looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejections {
    pub n: u64,
    /// False if more rejections are kept than a page looks at.
    pub is_complete: bool,
}

/// What was corrected of a pilot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corrections {
    pub n: u32,
    /// The latest of them, latest first.
    pub latest: Vec<Row>,
}

/// The pilot page.
#[derive(Debug, Clone)]
pub struct PilotView {
    pub head: PilotHead,
    pub programme: Arc<Programme>,
    pub shown: Shown,
    pub years: Vec<Period>,
    pub panels: Vec<Panel>,
    pub truth: Option<Truth>,
    pub stops: Vec<Stop>,
    /// What was published again, latest first, as many as a page lists.
    pub restatements: Vec<Version>,
    pub quality: DataQuality,
    pub corrections: Corrections,
    /// When the figures were read.
    pub as_of: UnixMillis,
}

/// Whether a figure carries a reduction that may be shown as one.
pub fn reduction_of(figure: &Figure) -> Option<f64> {
    figure.reduction.filter(|reduction| figure.state != State::Insufficient && reduction.is_finite())
}

/// Both ends of a figure's interval, where they are bounded and the figure is sufficient.
pub fn interval_of(figure: &Figure) -> Option<(f64, f64)> {
    let [from, to] = figure.ci.filter(|_| reduction_of(figure).is_some())?;
    from.zip(to)
}

/// The standing that a page shows: insufficient if the figure is, none where there is no target.
pub fn standing_of(figure: &Figure) -> Option<Standing> {
    if figure.state == State::Insufficient { Some(Standing::Insufficient) } else { figure.standing }
}

/// Whether a figure is of its own baseline period, where nothing stands.
pub fn is_of_baseline(figure: &Figure) -> bool {
    figure.findings.iter().any(|finding| finding.rule == BASELINE_PERIOD)
}

/// Whether all figures that have a number are of their own baseline period, and one at least is.
pub fn are_of_baseline<'f>(figures: impl Iterator<Item = &'f Figure>) -> bool {
    let mut with_numbers = figures.filter(|figure| reduction_of(figure).is_some()).peekable();
    with_numbers.peek().is_some() && with_numbers.all(is_of_baseline)
}

/// The stage that a figure is judged by: the first one due not before the period's end, else the last.
pub fn judged_by(figure: &Figure) -> Option<&StageStanding> {
    let last_day = MonthNo(figure.period.last_month().0 + 1).first_day().yesterday().ok()?.to_string();
    // Days as text compare like days.
    figure.stages.iter().find(|stage| stage.by >= last_day).or(figure.stages.last())
}

/// The reduction that the glide path asks for on a day: geometric, piecewise through the stages, flat after the last.
///
/// For drawing only; figures carry the value they were judged by.
pub fn glide_path(stages: &[Stage], baseline_end: Date, day: Date) -> Option<f64> {
    let mut from = (baseline_end, 1.0);
    if stages.is_empty() || day < baseline_end {
        return None;
    }
    for stage in stages {
        let index = 1.0 - stage.reduction;
        if day <= stage.due {
            let share = days_between(from.0, day) / days_between(from.0, stage.due);
            return Some(1.0 - from.1 * libm::pow(index / from.1, share));
        }
        from = (stage.due, index);
    }
    Some(1.0 - from.1)
}

/// Days from one date to another.
pub(crate) fn days_between(from: Date, to: Date) -> f64 {
    // Safe because days are the largest unit asked for, and two dates of the calendar always have a span.
    f64::from(from.until(to).expect("two dates of the calendar").get_days())
}

/// What is not in yet, for the bar on top of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loading {
    /// The share of the demo's history that was published and committed.
    History(f64),
    /// All is committed; figures are still this many seconds behind.
    Figures(f64),
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_drawn_path_goes_through_every_stage_and_stays_after_the_last() {
        let stages =
            [Stage { due: date(2020, 12, 31), reduction: 0.2 }, Stage { due: date(2025, 12, 31), reduction: 0.3 }];
        let path = |day| glide_path(&stages, date(2015, 12, 31), day).unwrap();
        assert_eq!(path(date(2015, 12, 31)), 0.0);
        assert!((path(date(2020, 12, 31)) - 0.2).abs() < 1e-12);
        assert!((path(date(2025, 12, 31)) - 0.3).abs() < 1e-12);
        assert!((path(date(2030, 1, 1)) - 0.3).abs() < 1e-12);
        // METHOD 10.1 counts whole years; days differ from it by the leap year only.
        assert!((path(date(2018, 12, 31)) - (1.0 - 0.874_690)).abs() < 1e-3);
        assert_eq!(glide_path(&[], date(2015, 12, 31), date(2016, 1, 1)), None);
    }
}
