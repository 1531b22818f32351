//! Weather models of the use per day: the grid of degree-day models of CalTRACK 2.0 (3.2 to 3.5 of its methods).
//!
//! Heating and cooling degree days count from balance points, and which balance points a site has is found by trying all of
//! them: 2,014 models, of which the one with the highest adjusted R² among the physically possible ones wins. The search
//! runs on correlations of centred columns, a few products a model; the winner, what comes near it and what a rounding error
//! could turn are fitted again by QR, so that no published digit comes from the shortcut.
//!
//! Invariants:
//! - whether a site cools is said by the caller: cooling terms on a gas meter fit nonsense;
//! - periods without a reading or a temperature are left out, never filled;
//! - models are listed in one order, and of equals the first wins;
//! - balance points are whole degrees Fahrenheit, as the method has them, and are published in °C.

use crate::statistics::adjusted::{AdjustedBaseline, AdjustedError, Rows, adjust};
use crate::statistics::least_squares::{Fit, FitError, Intercept, Variable, Weighting, fit, without_rounding};
use crate::sum::sum;

/// Balance points: 30 to 90 °F in steps of one.
pub const N_BALANCE_POINTS: usize = 61;
const FIRST_F: u8 = 30;

/// Degree days of a whole period below which a term is not attempted.
const DEGREE_DAYS_MIN: f64 = 20.0;

/// Daily data only: days with a degree day below which a term is not attempted.
const NONZERO_DAYS_MIN: usize = 10;

/// Beyond it squares of sums leave double precision; no use or temperature comes near.
const LARGEST: f64 = 1e100;

/// Adjusted R² so near to the best is computed again by QR.
const NEAR: f64 = 1e-9;

/// Adjusted R² that differ by less are equal: it is rounding, as between balance points above all temperatures.
const TIE: f64 = 1e-12;

/// Relative to its own size, a parameter nearer to zero has its sign from QR.
const SIGN_UNSURE: f64 = 1e-9;

/// Below this share of unexplained variation between two columns, or of a column about its mean, the shortcut loses digits.
const INDEPENDENCE_MIN: f64 = 1e-6;

/// Where degree days begin to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BalancePoint(u8);

impl BalancePoint {
    /// A whole degree between 30 and 90 °F.
    pub fn new(fahrenheit: u8) -> Option<BalancePoint> {
        let index = usize::from(fahrenheit.checked_sub(FIRST_F)?);
        (index < N_BALANCE_POINTS).then_some(BalancePoint(fahrenheit))
    }

    /// All of them, from the coldest.
    pub fn all() -> impl DoubleEndedIterator<Item = BalancePoint> + Clone {
        (FIRST_F..=90).map(BalancePoint)
    }

    /// In °F.
    pub fn fahrenheit(self) -> u8 {
        self.0
    }

    /// In °C, as it is published.
    pub fn celsius(self) -> f64 {
        (f64::from(self.0) - 32.0) / 1.8
    }

    fn index(self) -> usize {
        usize::from(self.0 - FIRST_F)
    }
}

/// A mean temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    Celsius(f64),
    Fahrenheit(f64),
}

impl Temperature {
    /// In °F.
    pub fn fahrenheit(self) -> f64 {
        match self {
            Temperature::Celsius(celsius) => 32.0 + 1.8 * celsius,
            Temperature::Fahrenheit(fahrenheit) => fahrenheit,
        }
    }

    /// max(0, b − T), in °F.
    pub fn heating(self, balance_point: BalancePoint) -> f64 {
        (f64::from(balance_point.0) - self.fahrenheit()).max(0.0)
    }

    /// max(0, T − b), in °F.
    pub fn cooling(self, balance_point: BalancePoint) -> f64 {
        (self.fahrenheit() - f64::from(balance_point.0)).max(0.0)
    }
}

/// Whether the carrier may serve cooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooling {
    Allowed,
    /// Gas, heat and other heating fuels.
    Excluded,
}

/// One day of a daily meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    pub usage: Option<f64>,
    /// Its mean.
    pub temperature: Option<Temperature>,
}

/// One period of a billing meter.
#[derive(Debug, Clone, PartialEq)]
pub struct BillingPeriod {
    /// Average use per day.
    pub usage_per_day: Option<f64>,
    /// The mean of each of its days; a day without one is not kept.
    pub temperatures: Vec<Option<Temperature>>,
}

/// Why there is no grid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DegreeDayError {
    #[error("{rows} periods have a reading and a temperature; the grid needs at least {needed}")]
    TooFewRows { rows: usize, needed: usize },
    #[error("the {what} of period {row} is `{value}`; it is a number within ±1e100, degree days are not negative")]
    Number { what: &'static str, row: usize, value: f64 },
    #[error("period {row} has `{value}` days; a period has more than none")]
    Days { row: usize, value: f64 },
    #[error(
        "{found} columns of {what} degree days for {N_BALANCE_POINTS} balance points, each with a value for each of {rows} periods"
    )]
    Columns { what: &'static str, found: usize, rows: usize },
    #[error("the periods have no cooling degree days; exclude cooling or give them")]
    NoCooling,
    #[error("the chosen model could not be fitted")]
    Fit(#[source] FitError),
}

/// Use per day and degree days per day of the periods that have both a reading and a temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Periods {
    usage_per_day: Vec<f64>,
    /// `None` for daily data, whose rows all count alike.
    lengths: Option<Lengths>,
    /// A column for each balance point.
    heating: Vec<Vec<f64>>,
    /// Empty where they were not given.
    cooling: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Lengths {
    days: Vec<f64>,
    /// Days with a temperature: the weights of the fit.
    kept: Vec<f64>,
}

impl Periods {
    /// Daily data; days without a reading or a temperature are left out.
    ///
    /// # Errors
    /// If a number is not one.
    pub fn daily(days: &[Day]) -> Result<Periods, DegreeDayError> {
        let complete: Vec<(f64, Temperature)> = days.iter().filter_map(|day| day.usage.zip(day.temperature)).collect();
        let columns = |of: fn(Temperature, BalancePoint) -> f64| -> Vec<Vec<f64>> {
            BalancePoint::all()
                .map(|at| complete.iter().map(|(_, temperature)| of(*temperature, at)).collect())
                .collect()
        };
        let temperatures: Vec<f64> = complete.iter().map(|(_, temperature)| temperature.fahrenheit()).collect();
        within("temperature", &temperatures, -LARGEST)?;
        Periods {
            usage_per_day: complete.iter().map(|(usage, _)| *usage).collect(),
            lengths: None,
            heating: columns(Temperature::heating),
            cooling: columns(Temperature::cooling),
        }
        .checked()
    }

    /// Billing data: degree days are the averages of the daily values of the days kept.
    ///
    /// # Errors
    /// If a number is not one.
    pub fn billing(periods: &[BillingPeriod]) -> Result<Periods, DegreeDayError> {
        let complete: Vec<(f64, f64, Vec<Temperature>)> = periods
            .iter()
            .filter_map(|period| {
                let kept: Vec<Temperature> = period.temperatures.iter().copied().flatten().collect();
                let usage = period.usage_per_day.filter(|_| !kept.is_empty())?;
                Some((usage, period.temperatures.len() as f64, kept))
            })
            .collect();
        let average = |kept: &[Temperature], of: fn(Temperature, BalancePoint) -> f64, at: BalancePoint| {
            sum(kept.iter().map(|temperature| of(*temperature, at))) / kept.len() as f64
        };
        let columns = |of: fn(Temperature, BalancePoint) -> f64| -> Vec<Vec<f64>> {
            BalancePoint::all().map(|at| complete.iter().map(|(_, _, kept)| average(kept, of, at)).collect()).collect()
        };
        let means = complete.iter().map(|(_, _, kept)| sum(kept.iter().map(|t| t.fahrenheit())));
        within("temperature", &means.collect::<Vec<f64>>(), -LARGEST)?;
        let lengths = Lengths {
            days: complete.iter().map(|(_, days, _)| *days).collect(),
            kept: complete.iter().map(|(_, _, kept)| kept.len() as f64).collect(),
        };
        Periods {
            usage_per_day: complete.iter().map(|(usage, _, _)| *usage).collect(),
            lengths: Some(lengths),
            heating: columns(Temperature::heating),
            cooling: columns(Temperature::cooling),
        }
        .checked()
    }

    /// Billing data whose degree days per day are known already: a column for each balance point from 30 °F on, with a value
    /// for each period. `cooling` may be empty where no cooling term is asked for.
    ///
    /// # Errors
    /// If columns are missing or a number is not one.
    pub fn of_degree_days(
        usage_per_day: Vec<f64>,
        days: Vec<f64>,
        heating: Vec<Vec<f64>>,
        cooling: Vec<Vec<f64>>,
    ) -> Result<Periods, DegreeDayError> {
        let lengths = Some(Lengths { kept: days.clone(), days });
        Periods { usage_per_day, lengths, heating, cooling }.checked()
    }

    /// The use of all periods.
    pub fn actual(&self) -> f64 {
        sum(self.usage_per_day.iter().enumerate().map(|(row, usage)| usage * self.days(row)))
    }

    /// Periods with both a reading and a temperature.
    pub fn n_rows(&self) -> usize {
        self.usage_per_day.len()
    }

    fn days(&self, row: usize) -> f64 {
        self.lengths.as_ref().map_or(1.0, |lengths| lengths.days[row])
    }

    fn checked(self) -> Result<Periods, DegreeDayError> {
        let rows = self.n_rows();
        within("use", &self.usage_per_day, -LARGEST)?;
        for (what, columns) in [("heating", &self.heating), ("cooling", &self.cooling)] {
            let absent = what == "cooling" && columns.is_empty();
            let complete = columns.len() == N_BALANCE_POINTS && columns.iter().all(|column| column.len() == rows);
            if !complete && !absent {
                return Err(DegreeDayError::Columns { what, found: columns.len(), rows });
            }
            for column in columns {
                within("degree days", column, 0.0)?;
            }
        }
        let days = self.lengths.as_ref().map_or(&[][..], |lengths| &lengths.days);
        if self.lengths.is_some() && days.len() != rows {
            return Err(DegreeDayError::Columns { what: "days beside", found: days.len(), rows });
        }
        match days.iter().position(|days| !(days.is_finite() && *days > 0.0)) {
            Some(row) => Err(DegreeDayError::Days { row, value: days[row] }),
            None => Ok(self),
        }
    }

    fn weighting(&self) -> Weighting<'_> {
        self.lengths.as_ref().map_or(Weighting::Equal, |lengths| Weighting::PerRow(&lengths.kept))
    }

    fn variables(&self, terms: Terms) -> Vec<Variable> {
        let (heating, cooling) = terms.balance_points();
        let heating = heating.map(|at| Variable::new(format!("hdd_{}", at.0), self.heating[at.index()].clone()));
        let cooling = cooling.map(|at| Variable::new(format!("cdd_{}", at.0), self.cooling[at.index()].clone()));
        heating.into_iter().chain(cooling).collect()
    }

    fn fit(&self, terms: Terms) -> Result<Fit, FitError> {
        fit(&self.usage_per_day, &self.variables(terms), Intercept::Fitted, self.weighting())
    }
}

/// The terms of a model beside its intercept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    InterceptOnly,
    Heating(BalancePoint),
    Cooling(BalancePoint),
    /// The heating balance point is not above the cooling one.
    Both {
        heating: BalancePoint,
        cooling: BalancePoint,
    },
}

impl Terms {
    /// The balance points of heating and of cooling.
    pub fn balance_points(self) -> (Option<BalancePoint>, Option<BalancePoint>) {
        match self {
            Terms::InterceptOnly => (None, None),
            Terms::Heating(heating) => (Some(heating), None),
            Terms::Cooling(cooling) => (None, Some(cooling)),
            Terms::Both { heating, cooling } => (Some(heating), Some(cooling)),
        }
    }

    /// All models, in the order of the method.
    pub fn all(cooling: Cooling) -> Vec<Terms> {
        let heating_only = BalancePoint::all().map(Terms::Heating);
        let alone = std::iter::once(Terms::InterceptOnly).chain(heating_only);
        let both = |cooling: BalancePoint| {
            let below = BalancePoint::all().take_while(move |heating| *heating <= cooling);
            below.map(move |heating| Terms::Both { heating, cooling })
        };
        match cooling {
            Cooling::Excluded => alone.collect(),
            Cooling::Allowed => {
                alone.chain(BalancePoint::all().map(Terms::Cooling)).chain(BalancePoint::all().flat_map(both)).collect()
            }
        }
    }
}

/// A model of the grid and what became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub terms: Terms,
    pub status: Status,
}

/// What became of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Qualified(Estimate),
    /// A parameter, the intercept included, is below zero.
    Disqualified(Estimate),
    NotAttempted(NotAttempted),
}

/// Why a model was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAttempted {
    /// Under twenty degree days in all, or, of daily data, under ten days that have any.
    FewDegreeDays,
    /// Its columns depend on each other.
    Collinear,
    /// The use does not vary: there is nothing to explain beyond its mean.
    FlatUse,
}

/// What a model says, per day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub intercept: f64,
    /// Per heating degree day, °F.
    pub heating: Option<f64>,
    /// Per cooling degree day, °F.
    pub cooling: Option<f64>,
    /// Zero for the intercept alone, by definition.
    pub r_squared_adjusted: f64,
}

/// All models and the best of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    pub candidates: Vec<Candidate>,
    /// `None` if none qualified.
    pub best: Option<Model>,
}

/// The model chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub terms: Terms,
    pub estimate: Estimate,
    pub fit: Fit,
}

impl Model {
    /// The counterfactual of the reporting periods: use per day at their degree days, times their days.
    ///
    /// # Errors
    /// If the periods do not fit the model, such as billing periods beside a daily one.
    pub fn adjust(&self, reporting: &Periods) -> Result<AdjustedBaseline, AdjustedError> {
        let rows = match &reporting.lengths {
            None => Rows::Alike(reporting.n_rows()),
            Some(lengths) => Rows::OfDays(&lengths.days),
        };
        let given = !reporting.cooling.is_empty() || self.terms.balance_points().1.is_none();
        let variables = if given { reporting.variables(self.terms) } else { Vec::new() };
        adjust(&self.fit, &variables, rows)
    }
}

impl Grid {
    /// Models that qualified.
    pub fn n_qualified(&self) -> usize {
        self.candidates.iter().filter(|candidate| matches!(candidate.status, Status::Qualified(_))).count()
    }
}

/// Tries all models on the baseline periods.
///
/// # Errors
/// If there are too few periods, or no cooling degree days where cooling is allowed.
pub fn search(periods: &Periods, cooling: Cooling) -> Result<Grid, DegreeDayError> {
    let (needed, absent) = match cooling {
        Cooling::Excluded => (3, false),
        Cooling::Allowed => (4, periods.cooling.is_empty()),
    };
    if absent {
        return Err(DegreeDayError::NoCooling);
    }
    if periods.n_rows() < needed {
        return Err(DegreeDayError::TooFewRows { rows: periods.n_rows(), needed });
    }
    let centred = Centred::of(periods);
    let candidates = Terms::all(cooling).into_iter().map(|terms| Candidate { terms, status: centred.status(terms) });
    let mut candidates: Vec<Candidate> = candidates.collect();
    let best = choose(periods, &mut candidates);
    let model = |terms: Terms, estimate: Estimate| {
        periods.fit(terms).map(|fit| Model { terms, estimate, fit }).map_err(DegreeDayError::Fit)
    };
    let best = best.map(|(terms, estimate)| model(terms, estimate)).transpose()?;
    Ok(Grid { candidates, best })
}

/// The qualified model with the highest adjusted R², the first of equals; those that come near are fitted again by QR first.
fn choose(periods: &Periods, candidates: &mut [Candidate]) -> Option<(Terms, Estimate)> {
    let rank = |candidate: &Candidate| match candidate.status {
        Status::Qualified(estimate) => Some(estimate.r_squared_adjusted),
        Status::Disqualified(_) | Status::NotAttempted(_) => None,
    };
    let best = candidates.iter().filter_map(rank).reduce(f64::max)?;
    for candidate in candidates.iter_mut().filter(|candidate| rank(candidate).is_some_and(|r| r >= best - NEAR)) {
        candidate.status = refitted(periods, candidate.terms);
    }
    let best = candidates.iter().filter_map(rank).reduce(f64::max)?;
    candidates.iter().find_map(|candidate| match candidate.status {
        Status::Qualified(estimate) if estimate.r_squared_adjusted >= best - TIE => Some((candidate.terms, estimate)),
        Status::Qualified(_) | Status::Disqualified(_) | Status::NotAttempted(_) => None,
    })
}

/// A model by QR.
fn refitted(periods: &Periods, terms: Terms) -> Status {
    // A fit is refused for its columns only: rows, lengths and finiteness were checked before.
    let Ok(fit) = periods.fit(terms) else {
        return Status::NotAttempted(NotAttempted::Collinear);
    };
    let mut values = fit.coefficients().iter().map(|coefficient| coefficient.value);
    let intercept = values.next().unwrap_or(0.0);
    let (heating, cooling) = terms.balance_points();
    let heating = heating.and_then(|_| values.next());
    let cooling = cooling.and_then(|_| values.next());
    let r_squared_adjusted = match (terms, fit.statistics().r_squared_adjusted) {
        (Terms::InterceptOnly, _) => 0.0,
        (_, Some(r_squared_adjusted)) => r_squared_adjusted,
        (_, None) => return Status::NotAttempted(NotAttempted::FlatUse),
    };
    qualify(Estimate { intercept, heating, cooling, r_squared_adjusted })
}

/// Disqualified if any parameter is below zero; no p-value counts.
fn qualify(estimate: Estimate) -> Status {
    let possible =
        [Some(estimate.intercept), estimate.heating, estimate.cooling].into_iter().flatten().all(|b| b >= 0.0);
    if possible { Status::Qualified(estimate) } else { Status::Disqualified(estimate) }
}

/// The columns about their means, scaled to length one, times √weight: what all models have in common.
struct Centred<'a> {
    periods: &'a Periods,
    mean_use: f64,
    /// Sum of squares of the use about its mean.
    square: f64,
    heating: Vec<Term>,
    cooling: Vec<Term>,
}

/// One column.
struct Term {
    mean: f64,
    length: f64,
    unit: Vec<f64>,
    /// Product with the centred use.
    with_use: f64,
    fitness: Fitness,
}

/// What a column is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    FewDegreeDays,
    /// It hardly varies about its mean: the shortcut would lose digits.
    OnlyByQr,
    Usable,
}

impl Centred<'_> {
    fn of(periods: &Periods) -> Centred<'_> {
        let weights = match periods.weighting() {
            Weighting::Equal => vec![1.0; periods.n_rows()],
            Weighting::PerRow(weights) => weights.to_vec(),
        };
        let (mean_use, centred_use) = centre(&periods.usage_per_day, &weights);
        let terms = |columns: &[Vec<f64>]| -> Vec<Term> {
            columns.iter().map(|column| Term::of(periods, column, &weights, &centred_use)).collect()
        };
        Centred {
            periods,
            mean_use,
            square: without_rounding(
                dot(&centred_use, &centred_use),
                sum(weights.iter().copied()),
                &periods.usage_per_day,
            ),
            heating: terms(&periods.heating),
            cooling: terms(&periods.cooling),
        }
    }

    fn status(&self, terms: Terms) -> Status {
        let (heating, cooling) = terms.balance_points();
        let heating = heating.map(|at| &self.heating[at.index()]);
        let cooling = cooling.map(|at| &self.cooling[at.index()]);
        if [heating, cooling].into_iter().flatten().any(|term| term.fitness == Fitness::FewDegreeDays) {
            return Status::NotAttempted(NotAttempted::FewDegreeDays);
        }
        let flat = self.square <= 0.0;
        match self.estimate(heating, cooling) {
            _ if flat && terms != Terms::InterceptOnly => Status::NotAttempted(NotAttempted::FlatUse),
            Some(estimate) => qualify(estimate),
            None => refitted(self.periods, terms),
        }
    }

    /// `None` where rounding could matter.
    fn estimate(&self, heating: Option<&Term>, cooling: Option<&Term>) -> Option<Estimate> {
        let n = self.periods.n_rows() as f64;
        let terms = [heating, cooling];
        if terms.into_iter().flatten().any(|term| term.fitness != Fitness::Usable) || self.square <= 0.0 {
            return None;
        }
        let (a, b) = match (heating, cooling) {
            (Some(one), Some(other)) => {
                let correlation = dot(&one.unit, &other.unit);
                let independent = 1.0 - correlation * correlation;
                if independent < INDEPENDENCE_MIN {
                    return None;
                }
                let share = |own: f64, others: f64| (own - correlation * others) / independent;
                (share(one.with_use, other.with_use), share(other.with_use, one.with_use))
            }
            (Some(alone), None) | (None, Some(alone)) => (alone.with_use, alone.with_use),
            (None, None) => (0.0, 0.0),
        };
        let part = |share: f64, term: Option<&Term>| term.map(|term| (share / term.length, share * term.with_use));
        let (heating_part, cooling_part) = (part(a, heating), part(b, cooling));
        let parts = [heating_part, cooling_part];
        let explained: f64 = parts.into_iter().flatten().map(|(_, explained)| explained).sum();
        let loads =
            terms.into_iter().flatten().zip(parts.into_iter().flatten()).map(|(term, (slope, _))| slope * term.mean);
        let loads: Vec<f64> = loads.collect();
        let intercept = self.mean_use - loads.iter().sum::<f64>();
        let scale = self.mean_use.abs() + loads.iter().map(|load| load.abs()).sum::<f64>();
        let unsure = |share: f64| share.abs() <= SIGN_UNSURE * self.square.sqrt();
        let slopes_unsure = (heating.is_some() && unsure(a)) || (cooling.is_some() && unsure(b));
        if slopes_unsure || intercept.abs() <= SIGN_UNSURE * scale {
            return None;
        }
        let df = n - 1.0 - loads.len() as f64;
        let unexplained = (1.0 - explained / self.square) * (n - 1.0) / df;
        Some(Estimate {
            intercept,
            heating: heating_part.map(|(slope, _)| slope),
            cooling: cooling_part.map(|(slope, _)| slope),
            r_squared_adjusted: if loads.is_empty() { 0.0 } else { 1.0 - unexplained },
        })
    }
}

impl Term {
    fn of(periods: &Periods, column: &[f64], weights: &[f64], centred_use: &[f64]) -> Term {
        let (mean, centred) = centre(column, weights);
        let square = dot(&centred, &centred);
        let length = square.sqrt();
        let raw = sum(column.iter().zip(weights).map(|(x, weight)| weight * x * x));
        let unit: Vec<f64> = centred.iter().map(|x| x / length).collect();
        let total = sum(column.iter().enumerate().map(|(row, x)| x * periods.days(row)));
        let n_nonzero = column.iter().filter(|x| **x > 0.0).count();
        let enough_days = periods.lengths.is_some() || n_nonzero >= NONZERO_DAYS_MIN;
        Term {
            mean,
            length,
            with_use: dot(&unit, centred_use),
            unit,
            fitness: match (total >= DEGREE_DAYS_MIN && enough_days, square > INDEPENDENCE_MIN * raw) {
                (false, _) => Fitness::FewDegreeDays,
                (true, false) => Fitness::OnlyByQr,
                (true, true) => Fitness::Usable,
            },
        }
    }
}

/// The weighted mean, and the values about it times √weight.
fn centre(values: &[f64], weights: &[f64]) -> (f64, Vec<f64>) {
    let total = sum(weights.iter().copied());
    let mean = sum(values.iter().zip(weights).map(|(x, weight)| x * weight)) / total;
    (mean, values.iter().zip(weights).map(|(x, weight)| (x - mean) * weight.sqrt()).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a.iter().zip(b).map(|(x, y)| x * y))
}

fn within(what: &'static str, values: &[f64], smallest: f64) -> Result<(), DegreeDayError> {
    // NaN is outside as well.
    match values.iter().position(|value| !(smallest..=LARGEST).contains(value)) {
        None => Ok(()),
        Some(row) => Err(DegreeDayError::Number { what, row, value: values[row] }),
    }
}
