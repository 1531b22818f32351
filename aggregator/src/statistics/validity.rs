//! Whether a regression baseline may carry a figure: each criterion with its value, its limit and what it decides.
//!
//! The list is that of the DOE Superior Energy Performance M&V Protocol (2012), the limits shown as flags those of ASHRAE
//! Guideline 14. For a degree-day model the qualification rules of its grid decide instead; the list is shown all the same.
//!
//! Invariants:
//! - every criterion is in the answer, passed or not: a reviewer sees what was looked at;
//! - a criterion whose value is not defined has not passed.

use crate::statistics::adjusted::{AdjustedBaseline, Comparison};
use crate::statistics::distribution::Confidence;
use crate::statistics::least_squares::{Coefficient, Fit, Spread, Variable};
use crate::sum::sum;

/// What is asked of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criterion {
    /// Overall F test: p < 0.10.
    OverallF,
    /// Every variable: p < 0.20.
    EveryVariable,
    /// At least one variable: p < 0.10.
    OneVariable,
    /// R² ≥ 0.5.
    RSquared,
    /// Every coefficient has the sign that the plan states.
    Signs,
    /// Reporting mean of each variable within the baseline values, or within three standard deviations of their mean.
    ReportingMeans,
    /// CV(RMSE) ≤ 100 %.
    CvRmseUsable,
    /// CV(RMSE) within Guideline 14's limit for the length of the reporting period.
    CvRmseAccurate,
    /// Net determination bias below 0.005 %.
    Bias,
    /// Uncertainty below half of the saving at 68 % confidence.
    Uncertainty,
    /// Not more than half of the reporting rows extrapolate; else it is time for a new baseline.
    Extrapolation,
}

/// What a criterion that has not passed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Invalidates,
    Flags,
    /// Shown only.
    Nothing,
}

/// One criterion looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub criterion: Criterion,
    pub passed: bool,
    pub effect: Effect,
    /// What was compared with the limit; of several variables the worst.
    pub value: Option<f64>,
    pub limit: f64,
    /// The variables that failed it.
    pub variables: Vec<String>,
}

/// What may be done with the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Valid,
    ValidWithFlags,
    /// The standing is insufficient; the number may be shown greyed, never rolled up.
    Invalid,
}

/// All criteria and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Validity {
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
}

/// The sign that the plan states for a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Positive,
    Negative,
    NotStated,
}

/// By which rules a model was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chosen<'a> {
    /// By a plan, which states the sign of each variable.
    ByPlan(&'a [Sign]),
    /// By the degree-day grid, whose qualification rules decide.
    ByGrid,
}

/// Judges a baseline for a reporting period of so many months.
pub fn judge(
    fit: &Fit,
    chosen: Chosen<'_>,
    reporting: &[Variable],
    adjusted: &AdjustedBaseline,
    comparison: Option<(&Comparison, f64)>,
) -> Validity {
    let decides = match chosen {
        Chosen::ByPlan(_) => Effect::Invalidates,
        Chosen::ByGrid => Effect::Nothing,
    };
    let signs = match chosen {
        Chosen::ByPlan(signs) => signs,
        Chosen::ByGrid => &[],
    };
    let mut findings = of_model(fit, decides);
    findings.push(plausible(fit, signs, decides));
    findings.push(reporting_means(fit, reporting, decides));
    findings.push(at_most(Criterion::CvRmseUsable, Effect::Invalidates, cv_rmse(fit), 1.0));
    let bias = fit.statistics().nmbe.map(f64::abs);
    findings.push(Finding {
        passed: bias.is_some_and(|bias| bias < BIAS_LIMIT),
        ..at_most(Criterion::Bias, Effect::Flags, bias, BIAS_LIMIT)
    });
    if let Some((comparison, months)) = comparison {
        findings.extend(accuracy(fit, comparison, months));
    }
    let share = adjusted.guard.n_flagged() as f64 / adjusted.rows.len() as f64;
    findings.push(Finding {
        passed: !adjusted.guard.mostly_flagged(),
        ..at_most(Criterion::Extrapolation, Effect::Flags, Some(share), 0.5)
    });
    Validity { verdict: verdict(&findings), findings }
}

/// Guideline 14's net determination bias of 0.005 %.
const BIAS_LIMIT: f64 = 0.000_05;

/// The worst effect of what has not passed.
fn verdict(findings: &[Finding]) -> Verdict {
    let failed = findings.iter().filter(|finding| !finding.passed);
    failed.map(|finding| finding.effect.verdict()).max().unwrap_or(Verdict::Valid)
}

impl Effect {
    fn verdict(self) -> Verdict {
        match self {
            Effect::Invalidates => Verdict::Invalid,
            Effect::Flags => Verdict::ValidWithFlags,
            Effect::Nothing => Verdict::Valid,
        }
    }
}

fn at_most(criterion: Criterion, effect: Effect, value: Option<f64>, limit: f64) -> Finding {
    let passed = value.is_some_and(|value| value <= limit);
    Finding { criterion, passed, effect, value, limit, variables: Vec::new() }
}

fn below(criterion: Criterion, effect: Effect, value: Option<f64>, limit: f64) -> Finding {
    Finding { passed: value.is_some_and(|value| value < limit), ..at_most(criterion, effect, value, limit) }
}

/// Beside a negative mean, as of a site that exports, its sign says nothing about accuracy.
fn cv_rmse(fit: &Fit) -> Option<f64> {
    fit.statistics().cv_rmse.map(f64::abs)
}

/// The coefficients of the variables, without the intercept.
fn of_variables(fit: &Fit) -> &[Coefficient] {
    &fit.coefficients()[fit.coefficients().len() - fit.spreads().len()..]
}

/// The criteria of the fit alone.
fn of_model(fit: &Fit, effect: Effect) -> Vec<Finding> {
    let statistics = fit.statistics();
    // A coefficient that is zero without any error explains nothing.
    let p = |coefficient: &Coefficient| coefficient.p.unwrap_or(1.0);
    let worst = of_variables(fit).iter().map(p).reduce(f64::max);
    let best = of_variables(fit).iter().map(p).reduce(f64::min);
    let weak = of_variables(fit).iter().filter(|coefficient| p(coefficient) >= 0.20);
    let r_squared = statistics.r_squared;
    vec![
        below(Criterion::OverallF, effect, statistics.f.map(|f| f.p), 0.10),
        Finding {
            variables: weak.map(|coefficient| coefficient.name.clone()).collect(),
            ..below(Criterion::EveryVariable, effect, worst, 0.20)
        },
        below(Criterion::OneVariable, effect, best, 0.10),
        Finding {
            passed: r_squared.is_some_and(|r_squared| r_squared >= 0.5),
            ..at_most(Criterion::RSquared, effect, r_squared, 0.5)
        },
    ]
}

/// Signs against the plan's; a variable about which the plan says nothing passes.
fn plausible(fit: &Fit, signs: &[Sign], effect: Effect) -> Finding {
    let wrong = |(coefficient, sign): &(&Coefficient, &Sign)| match sign {
        Sign::Positive => coefficient.value < 0.0,
        Sign::Negative => coefficient.value > 0.0,
        Sign::NotStated => false,
    };
    let wrong: Vec<(&Coefficient, &Sign)> = of_variables(fit).iter().zip(signs).filter(wrong).collect();
    Finding {
        criterion: Criterion::Signs,
        passed: wrong.is_empty(),
        effect,
        value: wrong.first().map(|(coefficient, _)| coefficient.value),
        limit: 0.0,
        variables: wrong.iter().map(|(coefficient, _)| coefficient.name.clone()).collect(),
    }
}

/// The distance of a reporting mean from the baseline mean, in standard deviations; none within the baseline values.
fn reporting_means(fit: &Fit, reporting: &[Variable], effect: Effect) -> Finding {
    const SD_MAX: f64 = 3.0;
    let distance = |(variable, spread): (&Variable, &Spread)| {
        let mean = sum(variable.values.iter().copied()) / variable.values.len() as f64;
        let within = mean >= spread.min && mean <= spread.max;
        // A variable that never varied has no standard deviation: any distance is infinitely many.
        let deviations = (mean - spread.mean).abs() / spread.sd;
        (variable.name.clone(), if within { 0.0 } else { deviations })
    };
    let distances: Vec<(String, f64)> = reporting.iter().zip(fit.spreads()).map(distance).collect();
    let far = distances.iter().filter(|(_, distance)| *distance > SD_MAX);
    let variables: Vec<String> = far.map(|(name, _)| name.clone()).collect();
    let value = distances.iter().map(|(_, distance)| *distance).reduce(f64::max);
    Finding {
        criterion: Criterion::ReportingMeans,
        passed: variables.is_empty(),
        effect,
        value,
        limit: SD_MAX,
        variables,
    }
}

/// Guideline 14's limits for a comparison over so many months: prescriptive path, then performance path.
fn accuracy(fit: &Fit, comparison: &Comparison, months: f64) -> [Finding; 2] {
    let limit = match months {
        months if months < 12.0 => 0.20,
        months if months <= 60.0 => 0.25,
        _ => 0.30,
    };
    // Safe because 0.68 lies between 0 and 1.
    let confidence = Confidence::new(0.68).expect("a confidence within (0, 1)");
    [
        at_most(Criterion::CvRmseAccurate, Effect::Flags, cv_rmse(fit), limit),
        below(Criterion::Uncertainty, Effect::Flags, comparison.relative_uncertainty(confidence), 0.5),
    ]
}
