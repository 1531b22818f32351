//! The baseline of one carrier: how its use depended on what varies, fitted over the baseline period by the pilot's plan.
//!
//! A row is a calendar month. Regressions are of use per month with a constant; degree-day models are of use per day,
//! weighted by days, at the balance points that the CalTRACK grid finds on the baseline (METHOD 3). The reporting period's
//! months put into the fitted model give the adjusted baseline with its exact variance.
//!
//! Invariants:
//! - a [`Baseline`] exists only if its months were sufficient and its variables told apart;
//! - months that are not covered, and months in which an electricity meter says zero, are missing, never zero.

use model::registry::plan::{DegreeDays, Form, Relevant, Sign, Term};
use model::{Finding, Kind};

use super::data::PilotData;
use super::finding;
use super::output::Pieces;
use crate::rollup::months::days_of;
use crate::statistics::adjusted::{AdjustedBaseline, Comparison, Rows, adjust};
use crate::statistics::degree_days::{self, BalancePoint, BillingPeriod, Cooling, Periods, Temperature};
use crate::statistics::least_squares::{Fit, FitError, Intercept, Variable, Weighting, fit};
use crate::statistics::sufficiency::{Rhythm, Supply, Zero, billing};
use crate::statistics::validity::{self, Chosen, Criterion, Validity};
use crate::sum::{Sum, sum};

/// Degree days are published in °C·d; the grid's balance points are whole degrees Fahrenheit.
const FAHRENHEIT_PER_CELSIUS: f64 = 1.8;

/// A fitted baseline.
#[derive(Debug, Clone)]
pub struct Baseline {
    pub fit: Fit,
    pub columns: Vec<Column>,
    /// Months of the axis that it was fitted on.
    pub months: Vec<usize>,
    rows: RowsOf,
    chosen: ChosenBy,
}

/// A variable of a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Relevant(Relevant, Sign),
    Heating { temperature: usize, at: BalancePoint },
    Cooling { temperature: usize, at: BalancePoint },
}

/// What a row of the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowsOf {
    Months,
    /// Use per day, the month's days as its weight.
    DaysOfMonths,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChosenBy {
    Plan,
    Grid,
}

/// A reporting period against a baseline.
#[derive(Debug, Clone)]
pub struct Compared {
    pub comparison: Comparison,
    pub adjusted: AdjustedBaseline,
    pub validity: Validity,
}

/// The use of one carrier by month of the axis, in its own unit.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    pub carrier: &'a str,
    pub by_month: &'a [Sum],
}

impl Use<'_> {
    fn of(&self, month: usize) -> f64 {
        self.by_month.get(month).map_or(0.0, |sum| sum.total())
    }

    fn zero(&self) -> Zero {
        if self.carrier == "electricity" { Zero::Missing } else { Zero::Used }
    }
}

impl Baseline {
    /// Fits the plan's form on the covered months of the baseline period; none where the plan asks for no model.
    ///
    /// # Errors
    /// The finding that says why these months carry no baseline.
    pub fn fit(
        (data, pieces): (&PilotData<'_>, &Pieces),
        used: Use<'_>,
        form: &Form,
        covered: &[usize],
    ) -> Result<Option<Baseline>, Finding> {
        let months = || sufficient(data, used, covered);
        match form {
            Form::Ratio => Ok(None),
            Form::Regression(terms) => by_month(data, pieces, used, terms, months()?).map(Some),
            Form::DegreeDays(plan) => by_degree_days(data, pieces, used, plan, months()?).map(Some),
        }
    }

    /// The actual use of some months against what the baseline says for them.
    ///
    /// # Errors
    /// The finding that says why the months do not fit the model.
    pub fn compare(
        &self,
        (data, pieces): (&PilotData<'_>, &Pieces),
        used: Use<'_>,
        months: &[usize],
    ) -> Result<Compared, Finding> {
        let variables = variables(data, pieces, &self.columns, months, self.rows);
        let days: Vec<f64> = months.iter().map(|&month| days(data, month)).collect();
        let rows = match self.rows {
            RowsOf::Months => Rows::Alike(months.len()),
            RowsOf::DaysOfMonths => Rows::OfDays(&days),
        };
        let refused = |error: &dyn std::error::Error| finding("model", format!("{}: {error}", used.carrier));
        let adjusted = adjust(&self.fit, &variables, rows).map_err(|error| refused(&error))?;
        let actual = sum(months.iter().map(|&month| used.of(month)));
        let comparison = adjusted.compare(actual).map_err(|error| refused(&error))?;
        let signs: Vec<validity::Sign> = self.columns.iter().map(Column::sign).collect();
        let chosen = match self.chosen {
            ChosenBy::Plan => Chosen::ByPlan(&signs),
            ChosenBy::Grid => Chosen::ByGrid,
        };
        let validity =
            validity::judge(&self.fit, chosen, &variables, &adjusted, Some((&comparison, months.len() as f64)));
        Ok(Compared { comparison, adjusted, validity })
    }
}

impl Baseline {
    /// Whether its rows are of use per day.
    pub fn is_per_day(&self) -> bool {
        self.rows == RowsOf::DaysOfMonths
    }
}

impl Column {
    /// As coefficients are called.
    pub fn name(&self) -> String {
        match self {
            Column::Relevant(relevant, _) => relevant.to_string(),
            Column::Heating { at, .. } => format!("heating degree days below {:.1} °C", at.celsius()),
            Column::Cooling { at, .. } => format!("cooling degree days above {:.1} °C", at.celsius()),
        }
    }

    fn sign(&self) -> validity::Sign {
        match self {
            Column::Heating { .. } | Column::Cooling { .. } | Column::Relevant(_, Sign::Positive) => {
                validity::Sign::Positive
            }
            Column::Relevant(_, Sign::Negative) => validity::Sign::Negative,
            Column::Relevant(_, Sign::NotStated) => validity::Sign::NotStated,
        }
    }

    /// Its value in a month: an amount, of a level the mean, of degree days those per day.
    fn of(&self, data: &PilotData<'_>, pieces: &Pieces, month: usize) -> f64 {
        match self {
            Column::Relevant(Relevant::Output, _) => pieces.weighted(data.pilot, &[month]),
            Column::Relevant(Relevant::OutputOf(product), _) => pieces.good_of(product, &[month]),
            Column::Relevant(Relevant::Series { index, .. }, _) => level_or_amount(data, *index, month),
            Column::Heating { temperature, at } => degree_days_of(data, *temperature, month, |t| t.heating(*at)),
            Column::Cooling { temperature, at } => degree_days_of(data, *temperature, month, |t| t.cooling(*at)),
        }
    }

    fn is_per_day(&self) -> bool {
        matches!(self, Column::Heating { .. } | Column::Cooling { .. })
    }
}

/// The series that a form takes variables from.
pub fn series_of(form: &Form) -> Vec<usize> {
    let of_terms = |terms: &[Term]| -> Vec<usize> {
        let series = |term: &Term| match term.variable {
            Relevant::Series { index, .. } => Some(index),
            Relevant::Output | Relevant::OutputOf(_) => None,
        };
        terms.iter().filter_map(series).collect()
    };
    match form {
        Form::Ratio => Vec::new(),
        Form::Regression(terms) => of_terms(terms),
        Form::DegreeDays(plan) => [of_terms(&plan.terms), vec![plan.temperature]].concat(),
    }
}

/// The months among `covered` that a model may be fitted on.
fn sufficient(data: &PilotData<'_>, used: Use<'_>, covered: &[usize]) -> Result<Vec<usize>, Finding> {
    let inside = data.whole_baseline_months();
    let supply = |&month: &usize| {
        let days = days_of(data.axis.month(month).first_day()..data.axis.month(month + 1).first_day()).count();
        // A month that stood still on purpose is not missing; it is not fitted on either.
        let stopped = data.is_stopped(month).then_some(1.0);
        let reading = covered.contains(&month).then(|| used.of(month));
        Supply { days: u32::try_from(days).unwrap_or(31), reading: reading.or(stopped), temperature_share: None }
    };
    let supplies: Vec<Supply> = inside.iter().map(supply).collect();
    let sufficiency = billing(&supplies, used.zero(), Rhythm::Monthly);
    if let Some(insufficiency) = sufficiency.findings.first() {
        return Err(finding("baseline_insufficient", format!("{}: {insufficiency}", used.carrier)));
    }
    let usable = inside.iter().zip(&sufficiency.usable).filter(|(_, usable)| **usable).map(|(&month, _)| month);
    Ok(usable.filter(|month| covered.contains(month)).collect())
}

fn by_month(
    data: &PilotData<'_>,
    pieces: &Pieces,
    used: Use<'_>,
    terms: &[Term],
    months: Vec<usize>,
) -> Result<Baseline, Finding> {
    let columns: Vec<Column> = terms.iter().map(|term| Column::Relevant(term.variable.clone(), term.sign)).collect();
    let variables = variables(data, pieces, &columns, &months, RowsOf::Months);
    let observed: Vec<f64> = months.iter().map(|&month| used.of(month)).collect();
    let fit = fit(&observed, &variables, Intercept::Fitted, Weighting::Equal).map_err(|error| no_fit(used, &error))?;
    Ok(Baseline { fit, columns, months, rows: RowsOf::Months, chosen: ChosenBy::Plan })
}

fn by_degree_days(
    data: &PilotData<'_>,
    pieces: &Pieces,
    used: Use<'_>,
    plan: &DegreeDays,
    months: Vec<usize>,
) -> Result<Baseline, Finding> {
    let periods: Vec<BillingPeriod> = months
        .iter()
        .map(|&month| BillingPeriod {
            usage_per_day: Some(used.of(month) / days(data, month)),
            temperatures: temperatures(data, plan.temperature, month),
        })
        .collect();
    let cooling = if plan.cooling { Cooling::Allowed } else { Cooling::Excluded };
    let grid = Periods::billing(&periods).and_then(|periods| degree_days::search(&periods, cooling));
    let grid = grid.map_err(|error| finding("no_degree_day_model", format!("{}: {error}", used.carrier)))?;
    let Some(best) = grid.best else {
        let text = format!("{}: none of {} degree-day models qualifies", used.carrier, grid.candidates.len());
        return Err(finding("no_degree_day_model", text));
    };
    let temperature = plan.temperature;
    let (heating, cooling) = best.terms.balance_points();
    let heating = heating.map(|at| Column::Heating { temperature, at });
    let cooling = cooling.map(|at| Column::Cooling { temperature, at });
    let terms = plan.terms.iter().map(|term| Column::Relevant(term.variable.clone(), term.sign));
    let columns: Vec<Column> = heating.into_iter().chain(cooling).chain(terms).collect();
    let variables = variables(data, pieces, &columns, &months, RowsOf::DaysOfMonths);
    let observed: Vec<f64> = months.iter().map(|&month| used.of(month) / days(data, month)).collect();
    let kept: Vec<f64> = periods.iter().map(|period| period.temperatures.iter().flatten().count() as f64).collect();
    let fit = fit(&observed, &variables, Intercept::Fitted, Weighting::PerRow(&kept));
    let fit = fit.map_err(|error| no_fit(used, &error))?;
    let chosen = if plan.terms.is_empty() { ChosenBy::Grid } else { ChosenBy::Plan };
    Ok(Baseline { fit, columns, months, rows: RowsOf::DaysOfMonths, chosen })
}

fn no_fit(used: Use<'_>, error: &FitError) -> Finding {
    let rule = match error {
        FitError::Collinear { .. } => "collinear_variables",
        FitError::TooFewRows { .. } => "baseline_insufficient",
        FitError::NoColumns
        | FitError::Length { .. }
        | FitError::NotFinite { .. }
        | FitError::Weight { .. }
        | FitError::Range => "model",
    };
    finding(rule, format!("{}: {error}", used.carrier))
}

fn variables(
    data: &PilotData<'_>,
    pieces: &Pieces,
    columns: &[Column],
    months: &[usize],
    rows: RowsOf,
) -> Vec<Variable> {
    let value = |column: &Column, month: usize| {
        let value = column.of(data, pieces, month);
        let per_day = rows == RowsOf::DaysOfMonths && !column.is_per_day() && !column.is_level(data);
        if per_day { value / days(data, month) } else { value }
    };
    let values = |column: &Column| months.iter().map(|&month| value(column, month)).collect::<Vec<f64>>();
    columns.iter().map(|column| Variable::new(column.name(), values(column))).collect()
}

impl Column {
    /// Whether it is a mean over time rather than an amount.
    fn is_level(&self, data: &PilotData<'_>) -> bool {
        match self {
            Column::Relevant(Relevant::Series { index, .. }, _) => {
                data.declared.get(*index).is_some_and(|declared| declared.series.kind == Kind::Gauge)
            }
            Column::Relevant(Relevant::Output | Relevant::OutputOf(_), _)
            | Column::Heating { .. }
            | Column::Cooling { .. } => false,
        }
    }
}

/// The amount of a month, or the time-weighted mean of a gauge over what it covers; NaN, which no fit takes, without data.
fn level_or_amount(data: &PilotData<'_>, series: usize, month: usize) -> f64 {
    let Some(declared) = data.declared.get(series) else { return f64::NAN };
    let of_month = declared.months().filter(|(_, sum)| data.axis.index(sum.month) == Some(month));
    let (mut value, mut covered_ms) = (Sum::default(), 0i64);
    for (_, sum) in of_month {
        value.add(declared.spec.amount(sum.value).unwrap_or(sum.value));
        covered_ms += sum.covered_ms;
    }
    match declared.series.kind {
        Kind::Gauge => value.total() / covered_ms as f64,
        Kind::Counter | Kind::Delta | Kind::Duration => value.total(),
    }
}

/// The mean of each day of a month.
fn temperatures(data: &PilotData<'_>, series: usize, month: usize) -> Vec<Option<Temperature>> {
    let days = days_of(data.axis.month(month).first_day()..data.axis.month(month + 1).first_day());
    let of = data.temperatures.get(&series);
    days.map(|day| of.and_then(|of| of.get(&day)).map(|mean| Temperature::Celsius(*mean))).collect()
}

fn degree_days_of(data: &PilotData<'_>, series: usize, month: usize, of: impl Fn(Temperature) -> f64) -> f64 {
    let kept: Vec<f64> = temperatures(data, series, month).into_iter().flatten().map(of).collect();
    sum(kept.iter().copied()) / kept.len() as f64 / FAHRENHEIT_PER_CELSIUS
}

/// Civil days of a month.
fn days(data: &PilotData<'_>, month: usize) -> f64 {
    days_of(data.axis.month(month).first_day()..data.axis.month(month + 1).first_day()).count() as f64
}

/// What is asked of a criterion, in words.
pub fn asked(criterion: Criterion) -> &'static str {
    match criterion {
        Criterion::OverallF => "F test of the whole model: p < 0.10",
        Criterion::EveryVariable => "every variable: p < 0.20",
        Criterion::OneVariable => "one variable at least: p < 0.10",
        Criterion::RSquared => "R² ≥ 0.5",
        Criterion::Signs => "coefficients with the sign that the plan states",
        Criterion::ReportingMeans => "means of the period within the baseline's values or three standard deviations",
        Criterion::CvRmseUsable => "CV(RMSE) ≤ 100 %",
        Criterion::CvRmseAccurate => "CV(RMSE) within Guideline 14's limit",
        Criterion::Bias => "net determination bias < 0.005 %",
        Criterion::Uncertainty => "uncertainty below half of the saving at 68 % confidence",
        Criterion::Extrapolation => "at most half of the months beyond what the baseline has seen",
    }
}
