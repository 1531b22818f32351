//! Figures of regions, sectors, classes and the programme: Σ actual / Σ adjusted baseline of their pilots.
//!
//! Only pilots whose own figure is sufficient enter; the others stay in the count. The mean of the pilots' reductions is
//! shown beside the figure and never is the figure. A group's path is its pilots' paths, weighted by adjusted baseline. Its
//! interval comes from the sums of its pilots' variances (METHOD 11), their errors taken for independent.

use std::collections::{BTreeMap, BTreeSet};

use model::{Figure, Finding, Indicator, Method, Period, Pilot, Programme, Registry, Scope, State, Variance};

use crate::figure::{BASELINE_PERIOD, assemble};
use crate::indicator::effects::add_up;
use crate::indicator::{Certainty, Outcome, finding};
use crate::standing::Cap;
use crate::statistics::Confidence;
use crate::statistics::adjusted::{Comparison, RatioInterval};
use crate::statistics::pooled::welch_satterthwaite;
use crate::sum::{Sum, sum};

/// Of a group's interval, whatever its pilots' plans ask for: it comes from their variances, not from their intervals.
const CONFIDENCE: Confidence = Confidence::NINETY;
/// A group whose pilots with an assumption in their figure weigh more than this is at best on track itself: what is
/// sufficient to compute a figure (0.8) must also be free of assumptions to prove it.
const CAPPED_SHARE_MAX: f64 = 0.2;
/// Findings of a pilot's figure that cap its standing.
const CAPPING: [&str; 2] = ["product_weights_assumed", "energy_cost_only"];

/// The groups that a pilot belongs to.
pub fn groups_of(pilot: &Pilot) -> [Scope; 4] {
    [
        Scope::Programme,
        Scope::Region(pilot.region.clone()),
        Scope::Sector(pilot.sector.clone()),
        Scope::Class(pilot.class.clone()),
    ]
}

/// Whether a pilot belongs to a group.
pub fn belongs(pilot: &Pilot, scope: &Scope) -> bool {
    match scope {
        Scope::Programme => true,
        Scope::Region(region) => pilot.region == *region,
        Scope::Sector(sector) => pilot.sector == *sector,
        Scope::Class(class) => pilot.class == *class,
        Scope::Pilot(_) | Scope::Workshop(..) => false,
    }
}

/// Every group there is: the programme's taxonomy, and what the registry names beyond it.
pub fn groups(programme: &Programme, registry: &Registry) -> BTreeSet<Scope> {
    let mut groups: BTreeSet<Scope> = BTreeSet::from([Scope::Programme]);
    groups.extend(programme.regions.iter().map(|entry| Scope::Region(entry.id.clone())));
    groups.extend(programme.sectors.iter().map(|entry| Scope::Sector(entry.id.clone())));
    groups.extend(programme.classes.iter().map(|entry| Scope::Class(entry.id.clone())));
    groups.extend(registry.pilots.values().flat_map(|pilot| groups_of(pilot)));
    groups
}

/// A group's figures of one indicator, from those of its pilots (pilots in order of id).
pub fn roll_up(programme: &Programme, scope: &Scope, indicator: &Indicator, members: &[&[Figure]]) -> Vec<Figure> {
    let mut by_period: BTreeMap<Period, Vec<&Figure>> = BTreeMap::new();
    for figure in members.iter().copied().flatten() {
        by_period.entry(figure.period).or_default().push(figure);
    }
    by_period
        .into_iter()
        .map(|(period, figures)| one(programme, (scope, indicator, period), &figures, members.len()))
        .collect()
}

fn one(
    programme: &Programme,
    (scope, indicator, period): (&Scope, &Indicator, Period),
    figures: &[&Figure],
    n_pilots: usize,
) -> Figure {
    let included: Vec<&Figure> = figures.iter().copied().filter(|figure| figure.state != State::Insufficient).collect();
    let of = |part: fn(&Figure) -> Option<f64>| sum(included.iter().filter_map(|figure| part(figure)));
    let (actual, adjusted) = (of(|figure| figure.actual), of(|figure| figure.adjusted_baseline));
    let mut outcome = if included.is_empty() {
        Outcome::insufficient(finding("no_pilot", format!("none of {n_pilots} pilots has a sufficient figure")))
    } else {
        Outcome { actual: Some(actual), adjusted: Some(adjusted), ..Outcome::default() }
    };
    outcome.method = Some(Method::Sum).filter(|_| !included.is_empty());
    outcome.effects = add_up(included.iter().map(|figure| figure.effects.as_ref()));
    outcome.coverage = weighted(&included, adjusted, |figure| figure.coverage);
    if (1..n_pilots).contains(&included.len()) {
        let text = format!("{} of {n_pilots} pilots have a sufficient figure and enter", included.len());
        outcome.findings.push(finding("pilots_left_out", text));
    }
    match certainty(indicator, &included, actual, adjusted) {
        Ok(certainty) => outcome.certainty = Some(certainty),
        Err(text) if !included.is_empty() => outcome.findings.push(finding("no_interval", text)),
        Err(_) => {}
    }
    cap(&included, adjusted, &mut outcome);
    let stated: Vec<f64> = included.iter().filter_map(|figure| figure.adjustments).collect();
    if !stated.is_empty() {
        let text = format!("{} of {} pilots carry adjustments that a person stated", stated.len(), included.len());
        outcome.findings.push(finding("pilots_adjusted", text));
        outcome.by_hand = Some(sum(stated.iter().copied()));
    }
    let baseline = in_baseline(&included);
    let stages = if matches!(baseline, InBaseline::All) { Vec::new() } else { programme.stages(indicator) };
    outcome.findings.extend(baseline.finding(included.len()));
    let path = |stage: usize| {
        // A pilot in its baseline period has no path yet: it is where paths begin.
        let of = |figure: &Figure| Some(figure.stages.get(stage).map_or(1.0, |stage| 1.0 - stage.path));
        weighted(&included, adjusted, of).unwrap_or(1.0)
    };
    let paths: Vec<f64> = (0..stages.len()).map(path).collect();
    let mut figure = assemble(scope, indicator, period, &stages, &paths, outcome);
    figure.pilots_included = u32::try_from(included.len()).ok();
    figure.pilots_total = u32::try_from(n_pilots).ok();
    let reductions = sum(included.iter().filter_map(|figure| figure.reduction));
    figure.leave_one_out = leave_one_out(&included, actual, adjusted);
    figure.output_share = output_share(&included, figures, n_pilots);
    figure.mean_of_reductions = (!included.is_empty()).then(|| reductions / included.len() as f64);
    figure
}

/// How many pilots of a figure are compared with their own baseline.
enum InBaseline {
    None,
    Some(usize),
    All,
}

fn in_baseline(included: &[&Figure]) -> InBaseline {
    let is_in = |figure: &&&Figure| figure.findings.iter().any(|finding| finding.rule == BASELINE_PERIOD);
    match included.iter().filter(is_in).count() {
        0 => InBaseline::None,
        n if n == included.len() => InBaseline::All,
        n => InBaseline::Some(n),
    }
}

impl InBaseline {
    fn finding(&self, n_included: usize) -> Option<Finding> {
        match self {
            InBaseline::None => None,
            InBaseline::Some(n) => {
                let text =
                    format!("{n} of {n_included} pilots are in their baseline period and are compared with themselves");
                Some(finding("pilots_in_baseline", text))
            }
            InBaseline::All => {
                Some(finding(BASELINE_PERIOD, "the period is the baseline of every pilot inside: it has no standing"))
            }
        }
    }
}

/// The interval of a group; else why there is none.
fn certainty(indicator: &Indicator, included: &[&Figure], actual: f64, adjusted: f64) -> Result<Certainty, String> {
    let mut members = Vec::with_capacity(included.len());
    for figure in included {
        let sides = figure.actual.zip(figure.adjusted_baseline).zip(figure.variance);
        let Some(((actual, adjusted_baseline), variance)) = sides else {
            let without = included.iter().filter(|figure| figure.variance.is_none()).count();
            return Err(format!(
                "{without} of {} pilots' figures have no interval, so the sum has none",
                included.len()
            ));
        };
        let (variance_model, variance_noise) = (variance.adjusted_baseline, variance.actual);
        let df = variance.df.unwrap_or(f64::INFINITY);
        members.push(Comparison { actual, adjusted_baseline, variance_model, variance_noise, df });
    }
    let df = welch_satterthwaite(&members);
    let of = |part: fn(&Comparison) -> f64| sum(members.iter().map(part));
    let variance = Variance {
        actual: of(|member| member.variance_noise),
        adjusted_baseline: of(|member| member.variance_model),
        df: Some(df).filter(|df| df.is_finite()),
    };
    let undetermined = || "the sum of the adjusted baselines is not distinguishable from zero".to_owned();
    // Counts add up to a ratio of counts; its logarithm is nearly normal.
    if *indicator == Indicator::DefectRate {
        return Certainty::of_log(actual, adjusted, variance, CONFIDENCE.z()).ok_or_else(undetermined);
    }
    let (variance_model, variance_noise) = (variance.adjusted_baseline, variance.actual);
    let together = Comparison { actual, adjusted_baseline: adjusted, variance_model, variance_noise, df };
    match together.ratio_interval(CONFIDENCE) {
        RatioInterval::Bounded(ratio) => Ok(Certainty { ratio, variance }),
        RatioInterval::Undetermined => Err(undetermined()),
    }
}

/// The included pilots' share of all output, in what the baselines say for it; none where a pilot's is not known.
fn output_share(included: &[&Figure], all: &[&Figure], n_pilots: usize) -> Option<f64> {
    let known: Vec<f64> = all.iter().filter_map(|figure| figure.adjusted_baseline).collect();
    let counted = sum(included.iter().filter_map(|figure| figure.adjusted_baseline));
    let total = sum(known.iter().copied());
    (known.len() == n_pilots && total > 0.0).then(|| counted / total)
}

/// How far one pilot alone carries the group: the range of the reduction without one of them.
fn leave_one_out(included: &[&Figure], actual: f64, adjusted: f64) -> Option<[f64; 2]> {
    let without = |figure: &&Figure| {
        let adjusted = adjusted - figure.adjusted_baseline?;
        (adjusted > 0.0).then(|| 1.0 - (actual - figure.actual.unwrap_or(0.0)) / adjusted)
    };
    let all: Vec<f64> = included.iter().filter_map(without).collect();
    let range = all.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], one| [low.min(*one), high.max(*one)]);
    (included.len() > 1 && all.len() == included.len()).then_some(range)
}

/// The mean of a part of the figures, weighted by adjusted baseline; none where no figure has it.
fn weighted(figures: &[&Figure], adjusted: f64, part: impl Fn(&Figure) -> Option<f64>) -> Option<f64> {
    if adjusted <= 0.0 {
        return None;
    }
    let (mut total, mut weights) = (Sum::default(), Sum::default());
    for figure in figures {
        if let (Some(value), Some(weight)) = (part(figure), figure.adjusted_baseline) {
            total.add(value * weight);
            weights.add(weight);
        }
    }
    Some(total.total() / weights.total()).filter(|mean| mean.is_finite())
}

fn cap(included: &[&Figure], adjusted: f64, outcome: &mut Outcome) {
    let capped = |figure: &&&Figure| figure.findings.iter().any(|finding| CAPPING.contains(&finding.rule.as_str()));
    let share = sum(included.iter().filter(capped).filter_map(|figure| figure.adjusted_baseline)) / adjusted;
    if share > CAPPED_SHARE_MAX {
        let text = format!(
            "{:.0} % of the adjusted baseline is of pilots whose own figure rests on an assumption",
            share * 100.0
        );
        outcome.findings.push(finding("pilots_assumed", text));
        outcome.cap = Cap::OnTrack;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::empty;

    fn figure(pilot: &str, actual: f64, adjusted: f64) -> Vec<Figure> {
        let scope = Scope::parse(&format!("pilot:{pilot}")).unwrap();
        let mut figure = empty(&scope, &Indicator::EnergyIntensity, Period::parse("2016").unwrap());
        figure.state = State::Provisional;
        (figure.actual, figure.adjusted_baseline) = (Some(actual), Some(adjusted));
        figure.reduction = Some(1.0 - actual / adjusted);
        vec![figure]
    }

    fn roll(members: &[&[Figure]]) -> Figure {
        let programme = seeds::programme::builtin();
        roll_up(&programme, &Scope::Programme, &Indicator::EnergyIntensity, members).remove(0)
    }

    #[test]
    fn a_group_is_the_sum_of_actuals_over_the_sum_of_adjusted_baselines() {
        // The method's vector of two pilots; neither the mean of percentages nor the pooled intensity may come out.
        let figure = roll(&[&figure("a", 700.0, 1_000.0), &figure("b", 1_980.0, 2_000.0)]);
        assert_eq!((figure.actual, figure.adjusted_baseline), (Some(2_680.0), Some(3_000.0)));
        assert!((figure.reduction.unwrap() - 0.10666666666666669).abs() < 1e-12);
        assert!((figure.mean_of_reductions.unwrap() - 0.155).abs() < 1e-12);
        let [least, greatest] = figure.leave_one_out.unwrap();
        assert!((least - 0.01).abs() < 1e-12 && (greatest - 0.3).abs() < 1e-12);
        assert_eq!((figure.pilots_included, figure.pilots_total), (Some(2), Some(2)));
    }

    #[test]
    fn a_group_says_how_many_of_its_pilots_are_adjusted_by_hand() {
        let mut by_hand = figure("b", 1_980.0, 2_000.0);
        by_hand[0].adjustments = Some(200.0);
        let rolled = roll(&[&figure("a", 700.0, 1_000.0), &by_hand]);
        assert_eq!((rolled.adjusted_baseline, rolled.adjustments), (Some(3_000.0), Some(200.0)));
        let said = rolled.findings.iter().find(|finding| finding.rule == "pilots_adjusted").unwrap();
        assert_eq!(said.text, "1 of 2 pilots carry adjustments that a person stated");
        assert_eq!(roll(&[&figure("a", 700.0, 1_000.0)]).adjustments, None);
    }

    #[test]
    fn an_insufficient_pilot_stays_in_the_count_and_out_of_the_sum() {
        let mut silent = figure("b", 1.0, 1.0);
        silent[0].state = State::Insufficient;
        let both = roll(&[&figure("a", 700.0, 1_000.0), &silent]);
        assert_eq!((both.actual, both.pilots_included, both.pilots_total), (Some(700.0), Some(1), Some(2)));
        assert_eq!(both.findings[0].rule, "pilots_left_out");
        let none = roll(&[&silent]);
        assert_eq!((none.state, none.actual), (State::Insufficient, None));
        assert_eq!(none.standing, Some(model::Standing::Insufficient));
    }

    #[test]
    fn a_group_whose_pilots_are_all_in_their_baseline_has_no_standing_and_one_of_some_has_a_path_that_waits() {
        let programme = seeds::programme::builtin();
        let defects = |pilot: &str, stages: &[f64]| {
            let mut figure = figure(pilot, 100.0, 100.0);
            let stage = |path: &f64| model::StageStanding {
                by: "2020-12-31".to_owned(),
                target: 0.2,
                path: *path,
                standing: model::Standing::OnTrack,
                required_rate: None,
            };
            figure[0].stages = stages.iter().map(stage).collect();
            if stages.is_empty() {
                figure[0].findings.push(finding(BASELINE_PERIOD, "it has no standing"));
            }
            figure
        };
        let roll =
            |members: &[&[Figure]]| roll_up(&programme, &Scope::Programme, &Indicator::DefectRate, members).remove(0);
        let rules = |figure: &Figure| figure.findings.iter().map(|finding| finding.rule.clone()).collect::<Vec<_>>();
        let all = roll(&[&defects("a", &[]), &defects("b", &[])]);
        assert_eq!((all.standing, all.target, all.stages.len()), (None, None, 0));
        assert_eq!(
            (all.reduction, rules(&all)),
            (Some(0.0), vec!["no_interval".to_owned(), BASELINE_PERIOD.to_owned()])
        );
        let some = roll(&[&defects("a", &[]), &defects("b", &[0.1, 0.2])]);
        assert_eq!(some.standing, Some(model::Standing::Behind));
        assert!((some.stages[0].path - 0.05).abs() < 1e-12, "{:?}", some.stages);
        assert!(rules(&some).contains(&"pilots_in_baseline".to_owned()), "{:?}", rules(&some));
    }
}
