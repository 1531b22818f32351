//! Puts outcomes together to figures: reduction, state, validity, standing against the stages.

use std::collections::BTreeMap;

use jiff::civil::Date;
use model::period::MonthNo;
use model::programme::Stage;
use model::registry::DayRange;
use model::{
    Figure, Finding, Fingerprint, Indicator, Period, PeriodKind, Programme, Scope, State, UnixMillis, Validity, Window,
};
use seeds::factors::Basis;

use crate::indicator::cycle::{Cohort, Log, MOVING, cycle, production_cycle_with, samples};
use crate::indicator::data::{Measured, Part, PilotData};
use crate::indicator::output::Pieces;
use crate::indicator::plan::Asked;
use crate::indicator::{Outcome, cost, defects, energy, finding, fingerprint, pollutant, ratio};
use crate::orders::n_within;
use crate::standing::{Index, fractional_year, leading, paths, period_end, stages};
use crate::statistics::pace::achieved_rate;

/// `as_of` of a stored figure: the answer puts its own time there.
pub const UNASKED: UnixMillis = UnixMillis(0);
/// The rule of figures of a period that is over when the baseline period is: there is nothing to stand against.
pub const BASELINE_PERIOD: &str = "baseline_period";
/// Findings that say what is not built yet, or what a period is, rather than what is wrong with the data.
const NOT_FLAGS: [&str; 2] = ["no_interval", BASELINE_PERIOD];

/// The figures of one scope, by indicator; in order of period within one.
pub type Figures = BTreeMap<Indicator, Vec<Figure>>;

/// The figures of a pilot or of one of its workshops, of the indicators that are wanted.
pub fn figures(
    data: &Measured<'_>,
    programme: &Programme,
    part: Part<'_>,
    wanted: &dyn Fn(&Indicator) -> bool,
) -> Figures {
    let scope = match part {
        Part::Whole => Scope::Pilot(data.pilot.id.clone()),
        Part::Workshop(workshop) => Scope::Workshop(data.pilot.id.clone(), workshop.clone()),
    };
    let pieces = Pieces::of(data, part);
    let periods = periods(data.axis.first, data.axis.open());
    indicators(data)
        .into_iter()
        .filter(wanted)
        .map(|indicator| {
            if !data.has_any(&indicator) {
                return (indicator, Vec::new());
            }
            let data = data.under(data.pilot.terms(&indicator));
            let plan = Plan::of(programme, &data, &scope, &indicator);
            let outcomes = outcomes(&data, part, &pieces, &indicator, &periods);
            let figures = periods.iter().zip(outcomes);
            let figures = figures.map(|(&period, outcome)| plan.figure(period, outcome)).collect();
            (indicator, without_repeats(figures, data.axis.open()))
        })
        .collect()
}

/// Whether a figure goes with how long orders have been followed.
pub fn is_moving(figure: &Figure) -> bool {
    figure.findings.iter().any(|finding| MOVING.contains(&finding.rule.as_str()))
}

/// The stored production cycles of a pilot, with those made again that go with how long orders have been followed.
pub fn moved_figures(data: &Measured<'_>, programme: &Programme, stored: &[Figure]) -> Vec<Figure> {
    let scope = Scope::Pilot(data.pilot.id.clone());
    let indicator = Indicator::ProductionCycle;
    let data = data.under(data.pilot.terms(&indicator));
    // One figure may stand for all that are insufficient for the same reason.
    let periods = match stored {
        [_] => periods(data.axis.first, data.axis.open()),
        [..] => stored.iter().filter(|figure| is_moving(figure)).map(|figure| figure.period).collect(),
    };
    let plan = Plan::of(programme, &data, &scope, &indicator);
    let moved = periods.iter().zip(production_cycles(&data, &periods));
    let mut figures: BTreeMap<Period, Figure> = stored.iter().map(|figure| (figure.period, figure.clone())).collect();
    figures.extend(moved.map(|(&period, outcome)| (period, plan.figure(period, outcome))));
    without_repeats(figures.into_values().collect(), data.axis.open())
}

/// Figures that are all insufficient for one and the same reason are kept as one, of the year of the open month.
fn without_repeats(mut figures: Vec<Figure>, open: MonthNo) -> Vec<Figure> {
    let open_period = |figure: &Figure| figure.findings.iter().any(|finding| finding.rule == "open_period");
    let Some(reason) = figures.iter().find(|figure| !open_period(figure)).map(|figure| figure.findings.clone()) else {
        return figures;
    };
    let nothing = |figure: &Figure| figure.actual.is_none() && figure.coverage.is_none();
    let same = |figure: &Figure| nothing(figure) && (open_period(figure) || figure.findings == reason);
    if figures.iter().all(same) {
        let year = Period::containing(open, PeriodKind::Year);
        figures.retain(|figure| figure.period == year);
        figures.iter_mut().for_each(|figure| figure.findings.clone_from(&reason));
    }
    figures
}

/// What is computed of a pilot: the fixed indicators and its pollutants.
pub fn indicators(data: &Measured<'_>) -> Vec<Indicator> {
    let pollutants = pollutant::pollutants(data.pilot).into_iter().map(Indicator::PollutantIntensity);
    Indicator::FIXED.into_iter().chain(pollutants).collect()
}

/// Every month, quarter and year from one month to another (both included), years before quarters before months of a start.
pub fn periods(first: MonthNo, last: MonthNo) -> Vec<Period> {
    let kinds = [PeriodKind::Month, PeriodKind::Quarter, PeriodKind::Year];
    let months = (first.0..=last.0).map(MonthNo);
    let mut periods: Vec<Period> = months.flat_map(|month| kinds.map(|kind| Period::containing(month, kind))).collect();
    periods.sort_unstable();
    periods.dedup();
    periods
}

fn outcomes(
    data: &PilotData<'_>,
    part: Part<'_>,
    pieces: &Pieces,
    indicator: &Indicator,
    periods: &[Period],
) -> Vec<Outcome> {
    let each = |of: &dyn Fn(Period) -> Outcome| -> Vec<Outcome> { periods.iter().map(|&period| of(period)).collect() };
    let every = |of: &dyn Fn(Period) -> Outcome, baseline: Fingerprint| against(each(of), baseline);
    let none = |why: Finding| each(&|_| Outcome::insufficient(why.clone()));
    let energy_on = |basis| match energy::Energy::of(data, pieces, part, basis) {
        Ok(energy) => every(&|period| energy::outcome(data, pieces, &energy, period), energy.fingerprint(data, pieces)),
        Err(why) => none(why),
    };
    match indicator {
        Indicator::EnergyIntensity => energy_on(Basis::Calorific),
        Indicator::EnergyIntensityEquivalent => energy_on(Basis::Equivalent),
        Indicator::OperatingCost => match cost::cost(data, part) {
            Ok(cost) => {
                let baseline = fingerprint::of_amounts(data, pieces, &cost.amounts, &cost.items);
                every(&|period| cost::outcome(data, pieces, &cost, period), baseline)
            }
            Err(why) => none(why),
        },
        Indicator::DefectRate => {
            every(&|period| defects::outcome(data, pieces, period), fingerprint::of_defects(data, pieces))
        }
        Indicator::PollutantIntensity(name) => {
            let amounts = pollutant::amounts(data, part, name);
            match amounts.series[..] {
                [] => none(finding("no_series", format!("no `emission.{name}` series is registered here"))),
                [..] => {
                    let baseline = fingerprint::of_amounts(data, pieces, &amounts, name);
                    every(&|period| ratio::ratio(data, pieces, &amounts, period), baseline)
                }
            }
        }
        Indicator::ProductionCycle => match part {
            Part::Whole => production_cycles(data, periods),
            Part::Workshop(_) => none(finding("no_orders", "orders belong to the pilot, not to a workshop")),
        },
        Indicator::CycleTime => match part {
            Part::Whole => {
                let baseline = samples(&data.cycles, data.baseline_window());
                let of = |window| cycle(&baseline, &samples(&data.cycles, window), "piece", data.confidence());
                against(of_windows(data, periods, &of), fingerprint::of_cycles(data, &data.cycles))
            }
            Part::Workshop(_) => none(finding("no_series", "cycle times are figured for the pilot as a whole")),
        },
    }
}

fn of_windows(data: &PilotData<'_>, periods: &[Period], of: &dyn Fn(Window) -> Outcome) -> Vec<Outcome> {
    let each = |&period: &Period| match data.closed_window(period) {
        None => Outcome::insufficient(finding("open_period", "no month of the period is closed yet")),
        Some(window) => of(window),
    };
    periods.iter().map(each).collect()
}

/// The production cycle of each period's cohort, with what was left out of it.
fn production_cycles(data: &PilotData<'_>, periods: &[Period]) -> Vec<Outcome> {
    let orders = &data.orders;
    let baseline = Cohort::of(orders, data.baseline_window());
    let curve = baseline.curve(data.cut_off);
    let log = Log::of(&baseline, orders.last_event.unwrap_or(data.cut_off));
    let outcomes = of_windows(data, periods, &|window| {
        let cohort = Cohort::of(orders, window);
        let mut outcome = production_cycle_with((&baseline, &curve), &cohort, data.cut_off, data.confidence());
        log.caution(&cohort, &mut outcome);
        let left_out = [
            ("cancelled_orders", &orders.cancelled, "cancelled"),
            ("lead_not_positive", &orders.not_positive, "completed at or before their start"),
        ];
        for (rule, starts, what) in left_out {
            let n = n_within(starts, window);
            if n > 0 {
                outcome.findings.push(finding(rule, format!("{n} orders of the period are {what}: left out")));
            }
        }
        outcome
    });
    against(outcomes, fingerprint::of_orders(data, orders))
}

/// Names the baseline of outcomes that were held against one.
fn against(mut outcomes: Vec<Outcome>, baseline: Fingerprint) -> Vec<Outcome> {
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.actual.is_some()) {
        outcome.baseline = Some(outcome.by_hand.map_or(baseline, |stated| fingerprint::with(baseline, stated)));
    }
    outcomes
}

/// What turns the outcomes of one scope and indicator into figures.
struct Plan<'a> {
    scope: &'a Scope,
    indicator: &'a Indicator,
    stages: Vec<Stage>,
    baseline: DayRange,
    asked: Asked,
}

impl<'a> Plan<'a> {
    fn of(programme: &Programme, data: &PilotData<'_>, scope: &'a Scope, indicator: &'a Indicator) -> Plan<'a> {
        let baseline = data.terms.baseline;
        let asked = Asked::of((data.pilot, data.factors), programme, indicator);
        Plan { scope, indicator, stages: programme.stages(indicator), baseline, asked }
    }

    fn figure(&self, period: Period, outcome: Outcome) -> Figure {
        let mut outcome = Outcome { asked: self.asked, ..outcome };
        if outcome.ratio().is_some() {
            outcome.findings.extend(baseline_finding(self.baseline, period));
        }
        outcome.findings.extend(outcome.by_hand.map(|stated| by_hand_finding(stated, self.indicator)));
        let t0 = after(self.baseline.to);
        let (stages, paths) = ahead(&self.stages, t0, period);
        let mut figure = assemble(self.scope, self.indicator, period, stages, &paths, outcome);
        let ratio = figure.reduction.filter(|_| figure.state != State::Insufficient).map(|reduction| 1.0 - reduction);
        figure.annual_rate = ratio.and_then(|ratio| achieved_rate(ratio, period_end(period) - t0));
        figure
    }
}

/// The stages that a period is judged by, with the glide path's indexes at its end. A period that is over when the baseline
/// period is has none: it is compared with itself, or with what came after it.
fn ahead(stages: &[Stage], t0: f64, period: Period) -> (&[Stage], Vec<f64>) {
    let stages = if period_end(period) > t0 { stages } else { &[] };
    (stages, paths(stages, t0, period))
}

fn by_hand_finding(stated: f64, indicator: &Indicator) -> Finding {
    let text = format!(
        "{stated:+.1} {} of the adjusted baseline is a non-routine adjustment, stated by a person",
        indicator.unit()
    );
    finding("adjusted_by_hand", text)
}

fn baseline_finding(baseline: DayRange, period: Period) -> Option<Finding> {
    let (DayRange { from, to }, first) = (baseline, period.first_month().first_day());
    let inside = match (period_end(period) > after(to), first >= from) {
        (true, _) => return None,
        (false, true) => "lies inside the baseline period and is compared with itself",
        (false, false) => "is over when the baseline period is",
    };
    Some(finding(BASELINE_PERIOD, format!("the period {inside} ({from} – {to}): it has no standing")))
}

/// A figure from an outcome; `paths` are the glide path's indexes at the period's end, by stage.
pub fn assemble(
    scope: &Scope,
    indicator: &Indicator,
    period: Period,
    programme_stages: &[Stage],
    paths: &[f64],
    outcome: Outcome,
) -> Figure {
    let ratio = outcome.ratio();
    let mut figure = empty(scope, indicator, period);
    let interval = outcome.certainty.map(|certainty| certainty.ratio);
    let index = ratio.map(|ratio| Index { ratio, interval });
    figure.stages = stages(programme_stages, index, (paths, period_end(period)), outcome.cap);
    if let Some(leading) = leading(programme_stages, period) {
        figure.standing = Some(figure.stages[leading].standing);
        figure.target = Some(figure.stages[leading].target);
    } else {
        figure.standing = ratio.is_none().then_some(model::Standing::Insufficient);
    }
    figure.actual = outcome.actual;
    figure.adjusted_baseline = outcome.adjusted;
    figure.reduction = match (outcome.actual, outcome.adjusted) {
        (Some(actual), Some(adjusted)) if adjusted > 0.0 => Some(1.0 - actual / adjusted),
        (Some(_) | None, Some(_) | None) => None,
    };
    figure.output = outcome.output;
    let per = |amount: Option<f64>| Some(amount? / outcome.output.filter(|output| *output > 0.0)?);
    (figure.per_unit, figure.per_unit_baseline) = (per(outcome.actual), per(outcome.adjusted));
    figure.coverage = outcome.coverage;
    figure.cost_scope = outcome.cost_scope;
    figure.adjustments = outcome.by_hand;
    (figure.method, figure.baseline, figure.effects) = (outcome.method, outcome.baseline, outcome.effects);
    (figure.confidence, figure.plan) = (outcome.asked.confidence.two_sided(), outcome.asked.plan);
    figure.findings = outcome.findings;
    if let Some(certainty) = outcome.certainty.filter(|_| ratio.is_some()) {
        let end = |ratio: f64| Some(1.0 - ratio).filter(|end| end.is_finite());
        figure.ci = Some([end(certainty.ratio.upper), end(certainty.ratio.lower)]);
        figure.variance = Some(certainty.variance);
    }
    finish(&mut figure, ratio.is_some());
    figure
}

fn finish(figure: &mut Figure, sufficient: bool) {
    if sufficient {
        figure.findings.extend(interval_finding(figure));
        let flagged = figure.findings.iter().any(|finding| !NOT_FLAGS.contains(&finding.rule.as_str()));
        figure.state = State::Provisional;
        figure.validity = if flagged { Validity::ValidWithFlags } else { Validity::Valid };
    }
    let mut seen = std::collections::BTreeSet::new();
    figure.findings.retain(|finding| seen.insert(finding.clone()));
}

/// Why an interval is not there, or is no help.
fn interval_finding(figure: &Figure) -> Option<Finding> {
    let says_so = figure.findings.iter().any(|finding| finding.rule == "no_interval");
    match figure.ci {
        None if says_so => None,
        None => Some(finding("no_interval", "too little is known for an interval: the standing is at best on track")),
        Some([None, _] | [_, None]) => {
            Some(finding("interval_unbounded", "the data set no bound to the interval on one side at least"))
        }
        Some([Some(_), Some(_)]) if figure.standing == Some(model::Standing::Insufficient) => {
            Some(finding("interval_wide", "half the interval is wider than the target itself: it proves neither way"))
        }
        Some([Some(_), Some(_)]) => None,
    }
}

/// An insufficient figure without numbers.
pub fn empty(scope: &Scope, indicator: &Indicator, period: Period) -> Figure {
    Figure {
        scope: scope.clone(),
        indicator: indicator.clone(),
        period,
        actual: None,
        adjusted_baseline: None,
        reduction: None,
        ci: None,
        confidence: Asked::default().confidence.two_sided(),
        variance: None,
        annual_rate: None,
        output: None,
        per_unit: None,
        per_unit_baseline: None,
        unit: indicator.unit().to_owned(),
        coverage: None,
        state: State::Insufficient,
        validity: Validity::Invalid,
        standing: Some(model::Standing::Insufficient),
        target: None,
        stages: Vec::new(),
        version: None,
        as_of: UNASKED,
        findings: Vec::new(),
        method: None,
        baseline: None,
        plan: None,
        adjustments: None,
        effects: None,
        cost_scope: None,
        pilots_included: None,
        pilots_total: None,
        mean_of_reductions: None,
        leave_one_out: None,
        output_share: None,
    }
}

/// The end of a day, in fractional years.
fn after(day: Date) -> f64 {
    fractional_year(day.tomorrow().unwrap_or(day))
}

/// The figure of a scope that has none stored: the programme's targets with the glide path from `baseline_end` (none if the
/// scope has no pilot: then no path has begun), and why there is no more: `outcome` has no numbers.
pub fn without_data(
    programme: &Programme,
    (scope, baseline_end): (&Scope, Option<Date>),
    indicator: &Indicator,
    period: Period,
    outcome: Outcome,
) -> Figure {
    let stages = programme.stages(indicator);
    let (stages, paths) = match baseline_end {
        Some(end) => ahead(&stages, after(end), period),
        None => (stages.as_slice(), vec![1.0; stages.len()]),
    };
    assemble(scope, indicator, period, stages, &paths, outcome)
}
