//! Energy intensity: standard coal (kgce) of the period against what the baseline says for it.
//!
//! Each carrier has the form that the pilot's plan gives it: a ratio to standardised output, a regression on relevant
//! variables, or a degree-day model; carriers are compared in their own unit and added up in kgce, their errors taken for
//! independent. One set of factors for both periods. The calorific basis sets the figure; the equivalent one is shown
//! beside it.
//!
//! A ratio takes the base load for zero. Where the baseline itself says otherwise, the figure says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::registry::adjustment::Adjusted;
use model::registry::plan::Form;
use model::{Finding, Fingerprint, Method, Period, Quantity, Variance};
use seeds::factors::Basis;

use super::baseline::{Baseline, Use, asked, series_of};
use super::by_hand;
use super::data::{Part, PilotData};
use super::output::Pieces;
use super::ratio::{self, Amounts, Months, ratio};
use super::{Certainty, Outcome, finding, fingerprint};
use crate::standing::Cap;
use crate::statistics::adjusted::{Comparison, RatioInterval};
use crate::statistics::least_squares::{Intercept, Variable, Weighting, fit};
use crate::statistics::pooled::welch_satterthwaite;
use crate::statistics::validity::{Validity, Verdict};
use crate::sum::{Sum, sum};

/// A p above this says nothing for an intercept: the ratio may stand.
const BASE_LOAD_P: f64 = 0.20;

/// The energy of a part of a pilot.
#[derive(Debug)]
pub struct Energy {
    /// kgce of all carriers.
    pub amounts: Amounts,
    pub carriers: Vec<Carrier>,
    /// What the ratio of a carrier leaves out.
    findings: Vec<Finding>,
}

/// One carrier, in its own unit.
#[derive(Debug)]
pub struct Carrier {
    pub name: Arc<str>,
    /// kgce per unit.
    pub factor: f64,
    /// By month of the axis.
    pub used: Vec<Sum>,
    /// kgce; what the ratio compares.
    amounts: Amounts,
    /// None where the plan asks for the ratio.
    pub baseline: Result<Option<Baseline>, Finding>,
}

impl Energy {
    /// Of a part of the pilot.
    ///
    /// # Errors
    /// The finding that says why there is none: no energy series, or a carrier without a factor.
    pub fn of(data: &PilotData<'_>, pieces: &Pieces, part: Part<'_>, basis: Basis) -> Result<Energy, Finding> {
        let series = data.entering(part, |series| matches!(series.quantity, Quantity::Energy(_)));
        if series.is_empty() {
            return Err(finding("no_series", "no `energy.*` series is registered here"));
        }
        let mut amounts = Amounts { series: series.clone(), ..Amounts::default() };
        let mut carriers: BTreeMap<Arc<str>, Carrier> = BTreeMap::new();
        for index in series {
            let declared = &data.declared[index];
            let Quantity::Energy(name) = &declared.series.quantity else { continue };
            let factor = data.factors.at(data.pilot, name, basis).ok_or_else(|| no_factor(name))?;
            let carrier = carriers.entry(name.clone()).or_insert_with(|| Carrier::new(data, name, factor));
            for (product, sum) in declared.months() {
                let amount = declared.spec.amount(sum.value).unwrap_or(0.0);
                let month = data.axis.index(sum.month);
                amounts.add(data, product, month, amount * factor);
                carrier.amounts.add(data, product, month, amount * factor);
                if let Some(month) = month {
                    carrier.used[month].add(amount);
                }
            }
        }
        amounts.by_hand = by_hand::stated(data, part, &|adjusted| match adjusted {
            Adjusted::Energy(carrier) => carriers.get(carrier).map(|carrier| carrier.factor),
            Adjusted::OperatingCost | Adjusted::Pollutant(_) => None,
        });
        let mut energy = Energy { amounts, carriers: carriers.into_values().collect(), findings: Vec::new() };
        energy.fit(data, pieces);
        Ok(energy)
    }

    /// Fits every carrier's baseline, and tests the base load of those that have none.
    fn fit(&mut self, data: &PilotData<'_>, pieces: &Pieces) {
        let entering = self.entering(data, pieces);
        let covered = |index: &usize| data.is_covered(&entering, *index);
        let covered: Vec<usize> = data.baseline_months().iter().copied().filter(covered).collect();
        for carrier in &mut self.carriers {
            let plan = data.pilot.plans.energy.of(&carrier.name);
            let used = Use { carrier: &carrier.name, by_month: &carrier.used };
            carrier.baseline = Baseline::fit((data, pieces), used, &plan.form, &covered);
            if plan.form == Form::Ratio && plan.base_load_negligible.is_none() {
                self.findings.extend(base_load(data, pieces, used, &covered));
            }
        }
    }

    /// What the baselines were made from.
    pub fn fingerprint(&self, data: &PilotData<'_>, pieces: &Pieces) -> Fingerprint {
        let coefficients = |carrier: &Carrier| -> Vec<u64> {
            let fitted = carrier.baseline.as_ref().ok().and_then(Option::as_ref);
            let of = |baseline: &Baseline| baseline.fit.coefficients().iter().map(|c| c.value.to_bits()).collect();
            fitted.map(of).unwrap_or_default()
        };
        let models: Vec<_> = self
            .carriers
            .iter()
            .map(|carrier| (&carrier.name, carrier.factor.to_bits(), coefficients(carrier)))
            .collect();
        fingerprint::of_amounts(data, pieces, &self.amounts, &(&data.pilot.plans.energy, models))
    }

    /// What the models say for some months, and what a person stated beside it.
    pub fn adjusted(&self, routine: f64, months: &Months) -> f64 {
        by_hand::over(&self.amounts.by_hand, &months.reporting).map_or(routine, |stated| routine + stated)
    }

    /// Whether a plan asks for more than ratios.
    pub fn is_modelled(&self) -> bool {
        self.carriers.iter().any(|carrier| !matches!(carrier.baseline, Ok(None)))
    }

    /// Registered series whose coverage decides about months.
    pub fn entering(&self, data: &PilotData<'_>, pieces: &Pieces) -> Vec<usize> {
        let plan = &data.pilot.plans.energy;
        let of_plan = self.carriers.iter().flat_map(|carrier| series_of(&plan.of(&carrier.name).form));
        let entering = self.amounts.series.iter().chain(&pieces.good_series).copied();
        entering.chain(of_plan).collect()
    }
}

impl Carrier {
    fn new(data: &PilotData<'_>, name: &Arc<str>, factor: f64) -> Carrier {
        let used = vec![Sum::default(); data.axis.n];
        Carrier { name: name.clone(), factor, used, amounts: Amounts::default(), baseline: Ok(None) }
    }
}

fn no_factor(carrier: &str) -> Finding {
    let text = format!("no kgce factor for `{carrier}`; state one with [[factor]] carrier = \"{carrier}\"");
    finding("no_factor", text)
}

/// The outcome of a period.
pub fn outcome(data: &PilotData<'_>, pieces: &Pieces, energy: &Energy, period: Period) -> Outcome {
    let mut outcome = if energy.is_modelled() {
        let entering = energy.entering(data, pieces);
        ratio::over_months(data, &entering, period, |months, outcome| {
            modelled(data, pieces, energy, months, outcome);
        })
    } else {
        ratio(data, pieces, &energy.amounts, period)
    };
    if outcome.actual.is_some() && !energy.findings.is_empty() {
        outcome.findings.extend(energy.findings.iter().cloned());
        outcome.cap = Cap::OnTrack;
    }
    outcome
}

/// Adds up the carriers, each by its own form.
fn modelled(data: &PilotData<'_>, pieces: &Pieces, energy: &Energy, months: &Months, outcome: &mut Outcome) {
    let mut members = Vec::with_capacity(energy.carriers.len());
    for carrier in &energy.carriers {
        match compare(data, pieces, carrier, months) {
            Ok((comparison, validity)) => {
                validity.iter().for_each(|validity| judged(&carrier.name, validity, outcome));
                members.push(comparison);
            }
            Err(why) => return outcome.findings.push(why),
        }
    }
    let of = |part: fn(&Comparison) -> f64| sum(members.iter().map(part));
    let (actual, routine) = (of(|member| member.actual), of(|member| member.adjusted_baseline));
    let adjusted = energy.adjusted(routine, months);
    outcome.output = Some(pieces.weighted(data.pilot, &months.reporting)).filter(|output| *output > 0.0);
    outcome.actual = Some(actual);
    outcome.method = Some(Method::Model);
    outcome.effects = ratio::split(data, pieces, &energy.amounts, months);
    if adjusted <= 0.0 {
        let text = "the model says that the baseline would have used nothing in these months";
        return outcome.findings.push(finding("no_baseline", text));
    }
    outcome.adjusted = Some(adjusted);
    outcome.by_hand = by_hand::over(&energy.amounts.by_hand, &months.reporting);
    let df = welch_satterthwaite(&members);
    let (model, noise) = (of(|member| member.variance_model), of(|member| member.variance_noise));
    let together = Comparison { actual, adjusted_baseline: adjusted, variance_model: model, variance_noise: noise, df };
    match together.ratio_interval(data.confidence()) {
        RatioInterval::Bounded(interval) if model.is_finite() && noise.is_finite() => {
            let df = Some(df).filter(|df| df.is_finite());
            let variance = Variance { actual: noise, adjusted_baseline: model, df };
            outcome.certainty = Some(Certainty { ratio: interval, variance });
        }
        RatioInterval::Bounded(_) => {
            outcome.findings.push(finding("no_interval", "the baseline's months carry no interval"));
        }
        RatioInterval::Undetermined => {
            outcome.invalid = true;
            let text = "the adjusted baseline cannot be told from zero: no interval, and no standing";
            outcome.findings.push(finding("undetermined", text));
        }
    }
}

/// One carrier in kgce, and what the criteria say of its model if it has one.
///
/// # Errors
/// The finding that says why there is no baseline.
pub fn compare(
    data: &PilotData<'_>,
    pieces: &Pieces,
    carrier: &Carrier,
    months: &Months,
) -> Result<(Comparison, Option<Validity>), Finding> {
    let used = Use { carrier: &carrier.name, by_month: &carrier.used };
    match &carrier.baseline {
        Ok(Some(baseline)) => {
            let compared = baseline.compare((data, pieces), used, &months.reporting)?;
            let squared = carrier.factor * carrier.factor;
            let comparison = Comparison {
                actual: compared.comparison.actual * carrier.factor,
                adjusted_baseline: compared.comparison.adjusted_baseline * carrier.factor,
                variance_model: compared.comparison.variance_model * squared,
                variance_noise: compared.comparison.variance_noise * squared,
                df: compared.comparison.df,
            };
            Ok((comparison, Some(compared.validity)))
        }
        Ok(None) => ratio::compared(data, pieces, &carrier.amounts, months).map(|comparison| (comparison, None)),
        Err(why) => Err(why.clone()),
    }
}

/// Takes over what the criteria say of a carrier's model.
fn judged(carrier: &str, validity: &Validity, outcome: &mut Outcome) {
    outcome.invalid |= validity.verdict == Verdict::Invalid;
    for failed in validity.findings.iter().filter(|finding| !finding.passed) {
        let rule = match failed.effect {
            crate::statistics::validity::Effect::Invalidates => "model_invalid",
            crate::statistics::validity::Effect::Flags => "model_flagged",
            crate::statistics::validity::Effect::Nothing => continue,
        };
        let of =
            |names: &[String]| if names.is_empty() { String::new() } else { format!(" (`{}`)", names.join("`, `")) };
        let found = failed.value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:.4}"));
        let text = format!("{carrier}: {}; found {found}{}", asked(failed.criterion), of(&failed.variables));
        outcome.findings.push(finding(rule, text));
    }
}

/// Whether the baseline itself says that a part of the use does not go with output.
fn base_load(data: &PilotData<'_>, pieces: &Pieces, used: Use<'_>, covered: &[usize]) -> Option<Finding> {
    let output: Vec<f64> = covered.iter().map(|&month| pieces.weighted(data.pilot, &[month])).collect();
    let observed: Vec<f64> = covered.iter().map(|&month| used.by_month[month].total()).collect();
    let variable = Variable::new("output", output);
    let carrier = used.carrier;
    let fitted = match fit(&observed, &[variable], Intercept::Fitted, Weighting::Equal) {
        Ok(fitted) => fitted,
        Err(error) => {
            let text = format!("{carrier}: a ratio takes the base load for zero, which cannot be tested: {error}");
            return Some(finding("base_load", text));
        }
    };
    let intercept = fitted.coefficients().first()?;
    if intercept.p.unwrap_or(1.0) > BASE_LOAD_P {
        return None;
    }
    let share = intercept.value * observed.len() as f64 / sum(observed.iter().copied()) * 100.0;
    let p = intercept.p.unwrap_or(1.0);
    Some(finding(
        "base_load",
        format!(
            "{carrier}: a ratio takes the base load for zero; a line through the baseline's months has {share:.0} % of the use at no \
             output (p = {p:.4}). Fit it with [plan.energy_intensity] model = \"regression\", variables = [\"output\"], or state base_load_negligible = \"why\""
        ),
    ))
}
