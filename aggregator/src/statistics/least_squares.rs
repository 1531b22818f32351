//! Fits a linear model to rows by least squares, weighted or not, and says how well it fits.
//!
//! Householder QR with column pivoting (Golub and Van Loan, *Matrix Computations*, 5.4.2) over columns scaled to length
//! one. The norms of the remaining columns are recomputed at each step and every sum is compensated: on the certified
//! sets of NIST that gives all the digits the data hold, where the normal equations lose half of them. It is written out
//! here because a library's blocked products fuse multiply and add where the processor can, and the same readings would
//! then give other bits on another machine.
//!
//! Invariants:
//! - a [`Fit`] exists only if the columns are independent: none is ever dropped in silence;
//! - a residual is observed minus predicted;
//! - no number of a [`Fit`] is NaN: what the data do not define is `None`, what grows beyond all bounds is infinite.

use crate::statistics::distribution;
use crate::sum::sum;

/// What the intercept is called in lists of coefficients.
pub const INTERCEPT: &str = "intercept";

/// The rounding of one operation in double precision, as the rank check uses it.
const ROUNDING: f64 = 2.2e-16;
/// What a model takes lies between this and its inverse, or is zero.
const LARGEST: f64 = 1e100;

/// One variable of a model: its name and a value for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    pub name: String,
    pub values: Vec<f64>,
}

impl Variable {
    /// A variable of this name with these values.
    pub fn new(name: impl Into<String>, values: impl Into<Vec<f64>>) -> Variable {
        Variable { name: name.into(), values: values.into() }
    }
}

/// Whether the model has a constant term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intercept {
    Fitted,
    Absent,
}

/// How a row counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weighting<'a> {
    /// All rows alike.
    Equal,
    /// The error variance of a row is that of weight one, divided by its weight; the days of a usage-per-day row.
    PerRow(&'a [f64]),
}

/// Why there is no fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    #[error("the model has neither an intercept nor a variable; it needs one of them")]
    NoColumns,
    #[error("`{name}` has {found} values for {rows} rows; every variable has one for each row")]
    Length { name: String, found: usize, rows: usize },
    #[error("`{name}` is `{value}` in row {row}; a model takes finite numbers")]
    NotFinite { name: String, row: usize, value: f64 },
    #[error("the weight of row {row} is `{value}`; a weight is above zero and finite")]
    Weight { row: usize, value: f64 },
    #[error("{rows} rows cannot carry {parameters} parameters; at least {} are needed", parameters + 1)]
    TooFewRows { rows: usize, parameters: usize },
    #[error("variables are collinear: `{}`; leave one of them out", names.join("`, `"))]
    Collinear { names: Vec<String> },
    #[error("the fit leaves the range of double precision; give the variables in larger or smaller units")]
    Range,
}

/// One coefficient with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficient {
    pub name: String,
    pub value: f64,
    pub standard_error: f64,
    /// `value / standard_error`; infinite in a fit without residuals, `None` if the value is zero there as well.
    pub t: Option<f64>,
    /// Two-sided, of `t` with n − p degrees of freedom.
    pub p: Option<f64>,
}

/// The overall F test: do the variables explain anything?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FTest {
    pub f: f64,
    pub df_model: f64,
    pub df_residual: f64,
    /// Upper tail.
    pub p: f64,
}

/// How well a model fits its own rows. With weights each sum carries them, scaled to a mean of one where the figure would
/// otherwise depend on their unit (CV(RMSE), NMBE).
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// n, the rows.
    pub n: usize,
    /// p, the parameters with the intercept.
    pub p: usize,
    /// Mean of the observed values.
    pub mean: f64,
    /// Sum of squared residuals.
    pub sse: f64,
    /// Sum of squares about the mean, about zero without an intercept.
    pub sst: f64,
    /// s = √(SSE/(n − p)).
    pub residual_sd: f64,
    pub r_squared: Option<f64>,
    pub r_squared_adjusted: Option<f64>,
    pub cv_rmse: Option<f64>,
    pub nmbe: Option<f64>,
    pub f: Option<FTest>,
    /// ρ, the correlation of each residual with the one before it.
    pub rho: Option<f64>,
    /// n' = n (1 − ρ)/(1 + ρ).
    pub n_effective: Option<f64>,
    pub durbin_watson: Option<f64>,
    /// The largest leverage of a row.
    pub leverage_max: f64,
}

/// A fitted linear model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    intercept: Intercept,
    coefficients: Vec<Coefficient>,
    /// F with (X'WX)⁻¹ = F F', a row per parameter: a quadratic form through it cannot turn negative.
    factor: Vec<Vec<f64>>,
    /// Rows of the design, intercept included, and residuals, both times √weight.
    weighted_rows: Vec<Vec<f64>>,
    weighted_residuals: Vec<f64>,
    residuals: Vec<f64>,
    /// The smallest and the largest value and the mean and standard deviation of each variable, intercept excluded.
    spreads: Vec<Spread>,
    weighted: Option<f64>,
    statistics: Statistics,
}

/// Where the baseline values of a variable lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// With n − 1.
    pub sd: f64,
}

/// Fits `observed = X b`, with a column for each variable and one for the intercept.
///
/// # Errors
/// If rows are too few or not numbers, or if the variables are collinear; the error names what is wrong.
pub fn fit(
    observed: &[f64],
    variables: &[Variable],
    intercept: Intercept,
    weighting: Weighting<'_>,
) -> Result<Fit, FitError> {
    check(observed, variables, intercept, weighting)?;
    let (names, columns) = design(observed.len(), variables, intercept);
    let roots: Vec<f64> = match weighting {
        Weighting::Equal => vec![1.0; observed.len()],
        Weighting::PerRow(weights) => weights.iter().map(|weight| weight.sqrt()).collect(),
    };
    let times_root = |values: &[f64]| -> Vec<f64> { values.iter().zip(&roots).map(|(x, root)| x * root).collect() };
    let weighted_columns: Vec<Vec<f64>> = columns.iter().map(|column| times_root(column)).collect();
    let solution = solve(&weighted_columns, &times_root(observed), &names)?;

    let residuals: Vec<f64> =
        (0..observed.len()).map(|row| residual(observed[row], row, &columns, &solution.coefficients)).collect();
    let fit = Fit {
        intercept,
        weighted_residuals: times_root(&residuals),
        weighted_rows: (0..observed.len()).map(|row| weighted_columns.iter().map(|c| c[row]).collect()).collect(),
        residuals,
        spreads: variables.iter().map(|variable| spread(&variable.values)).collect(),
        weighted: match weighting {
            Weighting::Equal => None,
            Weighting::PerRow(weights) => Some(sum(weights.iter().copied())),
        },
        coefficients: Vec::new(),
        factor: solution.factor,
        statistics: Statistics::of_nothing(observed.len(), names.len()),
    };
    fit.judged(observed, &roots, &names, &solution.coefficients)
}

impl Fit {
    /// Whether the model has a constant term.
    pub fn intercept(&self) -> Intercept {
        self.intercept
    }

    /// The coefficients, the intercept first, then in the order of the variables.
    pub fn coefficients(&self) -> &[Coefficient] {
        &self.coefficients
    }

    /// Names of the variables, without the intercept.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let skipped = self.coefficients.len() - self.spreads.len();
        self.coefficients.iter().skip(skipped).map(|coefficient| coefficient.name.as_str())
    }

    /// Where the values of each variable lie, in the order of the variables.
    pub fn spreads(&self) -> &[Spread] {
        &self.spreads
    }

    /// Observed minus predicted, per row.
    pub fn residuals(&self) -> &[f64] {
        &self.residuals
    }

    /// How well the model fits.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// n − p.
    pub fn df(&self) -> f64 {
        (self.statistics.n - self.statistics.p) as f64
    }

    /// Whether rows carry weights; then reporting rows carry days.
    pub fn weighted(&self) -> bool {
        self.weighted.is_some()
    }

    /// The row of the design of one set of variable values: with the intercept's 1 where there is one.
    pub fn design_row(&self, values: &[f64]) -> Vec<f64> {
        let constant = match self.intercept {
            Intercept::Fitted => Some(1.0),
            Intercept::Absent => None,
        };
        constant.into_iter().chain(values.iter().copied()).collect()
    }

    /// x'b.
    pub fn predict(&self, design_row: &[f64]) -> f64 {
        sum(design_row.iter().zip(&self.coefficients).map(|(x, coefficient)| x * coefficient.value))
    }

    /// u'(X'WX)⁻¹u.
    pub fn quadratic_form(&self, u: &[f64]) -> f64 {
        sum(self.project(u).into_iter().map(|part| part * part))
    }

    /// The leverages of the fitted rows.
    pub fn leverages(&self) -> Vec<f64> {
        self.weighted_rows.iter().map(|row| self.quadratic_form(row)).collect()
    }

    /// (X'WX)⁻¹, row by row.
    pub fn inverse(&self) -> Vec<Vec<f64>> {
        let row = |a: &[f64]| self.factor.iter().map(|b| dot(a, b)).collect();
        self.factor.iter().map(|a| row(a)).collect()
    }

    /// e_t x_t'(X'WX)⁻¹u per row, rows and residuals times √weight: the score of row t along u.
    pub fn scores(&self, u: &[f64]) -> Vec<f64> {
        let direction = self.project(u);
        let score = |(row, residual): (&Vec<f64>, &f64)| residual * dot(&self.project(row), &direction);
        self.weighted_rows.iter().zip(&self.weighted_residuals).map(score).collect()
    }

    /// F'u.
    fn project(&self, u: &[f64]) -> Vec<f64> {
        (0..self.factor.len()).map(|k| sum(u.iter().zip(&self.factor).map(|(x, row)| x * row[k]))).collect()
    }

    /// Completes a fit with its statistics.
    fn judged(self, observed: &[f64], roots: &[f64], names: &[String], values: &[f64]) -> Result<Fit, FitError> {
        let statistics = self.judge(observed, roots);
        let df = self.df();
        let coefficient = |(j, (name, &value)): (usize, (&String, &f64))| {
            let standard_error = statistics.residual_sd * norm(&self.factor[j]);
            let t = ratio(value, standard_error);
            let p = t.map(|t| two_sided(t, df));
            Coefficient { name: name.clone(), value, standard_error, t, p }
        };
        let coefficients: Vec<Coefficient> = names.iter().zip(values).enumerate().map(coefficient).collect();
        let finite = coefficients.iter().all(|c| c.value.is_finite() && c.standard_error.is_finite());
        if !finite || !statistics.sst.is_finite() || !statistics.leverage_max.is_finite() {
            return Err(FitError::Range);
        }
        Ok(Fit { coefficients, statistics, ..self })
    }

    fn judge(&self, observed: &[f64], roots: &[f64]) -> Statistics {
        let (n, df) = (observed.len() as f64, self.df());
        let weight = |row: usize| roots[row] * roots[row];
        let total = self.weighted.unwrap_or(n);
        let mean = sum(observed.iter().enumerate().map(|(row, y)| y * weight(row))) / total;
        let sse = sum(self.weighted_residuals.iter().map(|e| e * e));
        let (centre, df_total) = match self.intercept {
            Intercept::Fitted => (mean, n - 1.0),
            Intercept::Absent => (0.0, n),
        };
        let sst = without_rounding(
            sum(observed.iter().enumerate().map(|(row, y)| weight(row) * (y - centre) * (y - centre))),
            total,
            observed,
        );
        let r_squared = (sst > 0.0).then(|| 1.0 - sse / sst);
        let bias = sum(self.residuals.iter().enumerate().map(|(row, e)| e * weight(row))) * n / total;
        let rho = lag_correlation(&self.weighted_residuals);
        Statistics {
            mean,
            sse,
            sst,
            residual_sd: (sse / df).sqrt(),
            r_squared,
            r_squared_adjusted: (sst > 0.0).then(|| 1.0 - (sse / df) / (sst / df_total)),
            cv_rmse: (mean != 0.0).then(|| (sse / df * n / total).sqrt() / mean),
            nmbe: (mean != 0.0).then(|| bias / (df * mean)),
            f: self.f_test(sse, sst),
            rho,
            n_effective: rho.map(|rho| effective(n, rho)),
            durbin_watson: durbin_watson(&self.weighted_residuals, sse),
            leverage_max: self.leverages().into_iter().fold(0.0, f64::max),
            ..Statistics::of_nothing(self.statistics.n, self.statistics.p)
        }
    }

    fn f_test(&self, sse: f64, sst: f64) -> Option<FTest> {
        let n_constant = match self.intercept {
            Intercept::Fitted => 1,
            Intercept::Absent => 0,
        };
        let df_model = (self.statistics.p - n_constant) as f64;
        if df_model == 0.0 || sst <= 0.0 {
            return None;
        }
        let explained = (sst - sse).max(0.0) / df_model;
        let f = ratio(explained, sse / self.df())?;
        let p = if f.is_infinite() { 0.0 } else { distribution::f_upper(f, df_model, self.df()) };
        Some(FTest { f, df_model, df_residual: self.df(), p })
    }
}

impl Statistics {
    /// All that is known before anything is computed.
    fn of_nothing(n: usize, p: usize) -> Statistics {
        Statistics {
            n,
            p,
            mean: 0.0,
            sse: 0.0,
            sst: 0.0,
            residual_sd: 0.0,
            r_squared: None,
            r_squared_adjusted: None,
            cv_rmse: None,
            nmbe: None,
            f: None,
            rho: None,
            n_effective: None,
            durbin_watson: None,
            leverage_max: 0.0,
        }
    }
}

/// n (1 − ρ)/(1 + ρ): how many independent points n correlated ones are worth. Not rounded, not capped.
pub fn effective(n: f64, rho: f64) -> f64 {
    n * (1.0 - rho) / (1.0 + rho)
}

fn check(
    observed: &[f64],
    variables: &[Variable],
    intercept: Intercept,
    weighting: Weighting<'_>,
) -> Result<(), FitError> {
    let rows = observed.len();
    let parameters = variables.len() + usize::from(intercept == Intercept::Fitted);
    if parameters == 0 {
        return Err(FitError::NoColumns);
    }
    finite("observed", observed)?;
    for Variable { name, values } in variables {
        if values.len() != rows {
            return Err(FitError::Length { name: name.clone(), found: values.len(), rows });
        }
        finite(name, values)?;
    }
    if let Weighting::PerRow(weights) = weighting {
        if weights.len() != rows {
            return Err(FitError::Length { name: "weight".to_owned(), found: weights.len(), rows });
        }
        let wrong = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0));
        if let Some(row) = wrong {
            return Err(FitError::Weight { row, value: weights[row] });
        }
    }
    if rows <= parameters {
        return Err(FitError::TooFewRows { rows, parameters });
    }
    Ok(())
}

/// Numbers whose squares, and the sums and quotients of these, are numbers too.
fn finite(name: &str, values: &[f64]) -> Result<(), FitError> {
    if let Some(row) = values.iter().position(|value| !value.is_finite()) {
        return Err(FitError::NotFinite { name: name.to_owned(), row, value: values[row] });
    }
    let in_range = |value: &f64| *value == 0.0 || (1.0 / LARGEST..=LARGEST).contains(&value.abs());
    if values.iter().all(in_range) { Ok(()) } else { Err(FitError::Range) }
}

/// Names and columns of the design, the intercept first.
fn design(n: usize, variables: &[Variable], intercept: Intercept) -> (Vec<String>, Vec<Vec<f64>>) {
    let constant = match intercept {
        Intercept::Fitted => Some((INTERCEPT.to_owned(), vec![1.0; n])),
        Intercept::Absent => None,
    };
    let rest = variables.iter().map(|variable| (variable.name.clone(), variable.values.clone()));
    constant.into_iter().chain(rest).unzip()
}

struct Solution {
    coefficients: Vec<f64>,
    factor: Vec<Vec<f64>>,
}

/// Scales, factors, and undoes pivot and scaling.
fn solve(columns: &[Vec<f64>], target: &[f64], names: &[String]) -> Result<Solution, FitError> {
    let scales: Vec<f64> = columns.iter().map(|column| norm(column)).collect();
    if scales.iter().chain([&norm(target)]).any(|scale| !scale.is_finite()) {
        return Err(FitError::Range);
    }
    if let Some(zero) = scales.iter().position(|&scale| scale == 0.0) {
        return Err(FitError::Collinear { names: vec![names[zero].clone()] });
    }
    let scaled = |(column, scale): (&Vec<f64>, &f64)| column.iter().map(|x| x / scale).collect();
    let scaled: Vec<Vec<f64>> = columns.iter().zip(&scales).map(scaled).collect();
    let factored = Factored::of(scaled, target.to_vec())
        .map_err(|dependent| FitError::Collinear { names: dependent.names(names) })?;

    let p = columns.len();
    let solved = factored.back_substitute(&factored.target, p);
    let unit = |k: usize| -> Vec<f64> { (0..p).map(|row| if row == k { 1.0 } else { 0.0 }).collect() };
    let inverse: Vec<Vec<f64>> = (0..p).map(|k| factored.back_substitute(&unit(k), p)).collect();
    let mut coefficients = vec![0.0; p];
    let mut factor = vec![Vec::new(); p];
    for (row, &column) in factored.pivots.iter().enumerate() {
        coefficients[column] = solved[row] / scales[column];
        factor[column] = inverse.iter().map(|inverse_column| inverse_column[row] / scales[column]).collect();
    }
    Ok(Solution { coefficients, factor })
}

/// X P = Q R, with Q'y.
struct Factored {
    /// `pivots[k]` is the original column that stands at place k.
    pivots: Vec<usize>,
    /// Column k of R in its first k + 1 entries.
    triangle: Vec<Vec<f64>>,
    target: Vec<f64>,
}

/// The factorisation stopped: the columns from `rank` on depend on those before.
struct Dependent {
    factored: Factored,
    rank: usize,
}

impl Factored {
    fn of(columns: Vec<Vec<f64>>, target: Vec<f64>) -> Result<Factored, Box<Dependent>> {
        let (n, p) = (target.len(), columns.len());
        let mut factored = Factored { pivots: (0..p).collect(), triangle: columns, target };
        let mut first = 0.0;
        for k in 0..p {
            let length = factored.bring_forward_longest(k);
            if k == 0 {
                first = length;
            }
            if length < n.max(p) as f64 * ROUNDING * first {
                return Err(Box::new(Dependent { factored, rank: k }));
            }
            factored.reflect(k, length);
        }
        Ok(factored)
    }

    /// Swaps the column with the largest remaining norm to place k; the first of equals stays. Gives that norm.
    fn bring_forward_longest(&mut self, k: usize) -> f64 {
        let (mut best, mut length) = (k, norm(&self.triangle[k][k..]));
        for column in k + 1..self.triangle.len() {
            let candidate = norm(&self.triangle[column][k..]);
            if candidate > length {
                (best, length) = (column, candidate);
            }
        }
        self.triangle.swap(k, best);
        self.pivots.swap(k, best);
        length
    }

    /// The Householder reflection that clears column k below its diagonal, on all columns after it and on the target.
    fn reflect(&mut self, k: usize, length: f64) {
        let mut mirror = self.triangle[k][k..].to_vec();
        let diagonal = if mirror[0] > 0.0 { -length } else { length };
        mirror[0] -= diagonal;
        let square = dot(&mirror, &mirror);
        for column in self.triangle[k + 1..].iter_mut().chain([&mut self.target]) {
            let rest = &mut column[k..];
            let twice = 2.0 * dot(&mirror, rest) / square;
            for (x, v) in rest.iter_mut().zip(&mirror) {
                *x -= twice * v;
            }
        }
        self.triangle[k][k] = diagonal;
    }

    /// Solves R x = right over the leading `rank` rows.
    fn back_substitute(&self, right: &[f64], rank: usize) -> Vec<f64> {
        let mut x = vec![0.0; rank];
        for k in (0..rank).rev() {
            let known = sum((k + 1..rank).map(|column| self.triangle[column][k] * x[column]));
            x[k] = (right[k] - known) / self.triangle[k][k];
        }
        x
    }
}

impl Dependent {
    /// The dependent columns and those they are made of, in the order of the design.
    fn names(&self, names: &[String]) -> Vec<String> {
        /// Of columns of length one: below it a share is rounding.
        const SHARE_MIN: f64 = 1e-8;
        let mut involved = vec![false; names.len()];
        for dependent in self.rank..self.factored.pivots.len() {
            involved[self.factored.pivots[dependent]] = true;
            let shares = self.factored.back_substitute(&self.factored.triangle[dependent], self.rank);
            for (share, &column) in shares.iter().zip(&self.factored.pivots) {
                involved[column] |= share.abs() > SHARE_MIN;
            }
        }
        names.iter().zip(involved).filter(|(_, involved)| *involved).map(|(name, _)| name.clone()).collect()
    }
}

/// y − x'b with the errors of the products carried along: a residual is a small difference of large numbers.
fn residual(observed: f64, row: usize, columns: &[Vec<f64>], coefficients: &[f64]) -> f64 {
    let products = columns.iter().zip(coefficients).map(|(column, b)| product(column[row], *b));
    sum(std::iter::once(observed).chain(products.flat_map(|(product, error)| [-product, -error])))
}

/// A product and its rounding error (Dekker 1971; no fused multiply-add).
fn product(a: f64, b: f64) -> (f64, f64) {
    /// 2²⁷ + 1.
    const SPLITTER: f64 = 134_217_729.0;
    let halves = |x: f64| {
        let shifted = SPLITTER * x;
        let high = shifted - (shifted - x);
        (high, x - high)
    };
    let rounded = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    let error = a_low * b_low - (((rounded - a_high * b_high) - a_low * b_high) - a_high * b_low);
    // Where splitting overflows the error is not known; the product itself still is.
    if error.is_finite() { (rounded, error) } else { (rounded, 0.0) }
}

fn spread(values: &[f64]) -> Spread {
    let n = values.len() as f64;
    let mean = sum(values.iter().copied()) / n;
    Spread {
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        mean,
        sd: (sum(values.iter().map(|x| (x - mean) * (x - mean))) / (n - 1.0)).sqrt(),
    }
}

/// A sum of squares that is nothing but the rounding of the mean is zero: the observed values are all the same.
pub(crate) fn without_rounding(sst: f64, total: f64, observed: &[f64]) -> f64 {
    let largest = observed.iter().fold(0.0, |largest: f64, y| largest.max(y.abs()));
    let rounding = 2.0 * ROUNDING * largest;
    if sst <= total * rounding * rounding { 0.0 } else { sst }
}

/// Lag-1 Pearson correlation, each of the two series about its own mean.
fn lag_correlation(residuals: &[f64]) -> Option<f64> {
    if residuals.len() < 3 {
        return None;
    }
    let (earlier, later) = (&residuals[..residuals.len() - 1], &residuals[1..]);
    let centred = |part: &[f64]| -> Vec<f64> {
        let mean = sum(part.iter().copied()) / part.len() as f64;
        part.iter().map(|e| e - mean).collect()
    };
    let (earlier, later) = (centred(earlier), centred(later));
    let scale = norm(&earlier) * norm(&later);
    (scale > 0.0 && scale.is_finite()).then(|| (dot(&earlier, &later) / scale).clamp(-1.0, 1.0))
}

fn durbin_watson(residuals: &[f64], sse: f64) -> Option<f64> {
    let steps = sum(residuals.windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0])));
    (sse > 0.0).then(|| steps / sse)
}

/// a/b; infinite over zero, `None` for 0/0.
fn ratio(a: f64, b: f64) -> Option<f64> {
    match (a == 0.0, b == 0.0) {
        (true, true) => None,
        (false, true) => Some(f64::INFINITY.copysign(a)),
        (true | false, false) => Some(a / b),
    }
}

fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { 2.0 * distribution::student_cdf(-t.abs(), df) }
}

/// The Euclidean length, without overflow or underflow on the way.
fn norm(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * sum(values.iter().map(|x| (x / largest) * (x / largest))).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a.iter().zip(b).map(|(x, y)| x * y))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USE: [f64; 6] = [10.0, 12.0, 15.0, 15.0, 19.0, 20.0];
    const OUTPUT: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    fn line() -> Fit {
        fit(&USE, &[Variable::new("output", OUTPUT)], Intercept::Fitted, Weighting::Equal).unwrap()
    }

    #[track_caller]
    fn refusal(variables: &[(&str, &[f64])], weighting: Weighting<'_>) -> String {
        let variables: Vec<Variable> = variables.iter().map(|(name, values)| Variable::new(*name, *values)).collect();
        fit(&USE, &variables, Intercept::Fitted, weighting).unwrap_err().to_string()
    }

    #[test]
    fn a_refused_fit_says_what_is_wrong() {
        let nan = [1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0];
        let nothing: [f64; 6] = [0.0; 6];
        insta::assert_snapshot!(refusal(&[("output", &OUTPUT[..5])], Weighting::Equal), @"`output` has 5 values for 6 rows; every variable has one for each row");
        insta::assert_snapshot!(refusal(&[("output", &nan)], Weighting::Equal), @"`output` is `NaN` in row 2; a model takes finite numbers");
        insta::assert_snapshot!(refusal(&[("output", &OUTPUT)], Weighting::PerRow(&nothing)), @"the weight of row 0 is `0`; a weight is above zero and finite");
        insta::assert_snapshot!(refusal(&[("a", &OUTPUT), ("b", &OUTPUT), ("c", &OUTPUT), ("d", &OUTPUT), ("e", &OUTPUT)], Weighting::Equal), @"6 rows cannot carry 6 parameters; at least 7 are needed");
        insta::assert_snapshot!(refusal(&[("idle", &nothing)], Weighting::Equal), @"variables are collinear: `idle`; leave one of them out");
        insta::assert_snapshot!(fit(&USE, &[], Intercept::Absent, Weighting::Equal).unwrap_err(), @"the model has neither an intercept nor a variable; it needs one of them");
        insta::assert_snapshot!(fit(&USE, &[Variable::new("output", OUTPUT.map(|x| x * 1e306))], Intercept::Fitted, Weighting::PerRow(&[1e300; 6])).unwrap_err(), @"the fit leaves the range of double precision; give the variables in larger or smaller units");
    }

    #[test]
    fn a_collinear_design_names_the_columns_that_depend_on_each_other_and_no_other() {
        let steps = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0];
        let twice = OUTPUT.map(|x| 2.0 * x + 3.0);
        let of = |variables: &[Variable]| {
            let refused = fit(&USE, variables, Intercept::Fitted, Weighting::Equal);
            let Err(FitError::Collinear { names }) = refused else { panic!("{refused:?}") };
            names
        };
        let (output, steps) = (Variable::new("output", OUTPUT), Variable::new("steps", steps));
        assert_eq!(of(&[output.clone(), Variable::new("constant", [7.0; 6])]), ["intercept", "constant"]);
        assert_eq!(of(&[steps.clone(), Variable::new("copy", steps.values.clone())]), ["steps", "copy"]);
        assert_eq!(of(&[output, steps, Variable::new("twice", twice)]), ["intercept", "output", "twice"]);
    }

    #[test]
    fn what_a_perfect_or_a_flat_fit_does_not_define_is_none() {
        let flat = fit(&[0.1; 6], &[Variable::new("output", OUTPUT)], Intercept::Fitted, Weighting::Equal).unwrap();
        assert_eq!((flat.statistics().r_squared, flat.statistics().f), (None, None));
        let nothing = fit(&[0.0; 6], &[Variable::new("output", OUTPUT)], Intercept::Fitted, Weighting::Equal).unwrap();
        assert_eq!(nothing.statistics().cv_rmse, None);
        assert_eq!((nothing.statistics().rho, nothing.statistics().durbin_watson), (None, None));
        assert_eq!((nothing.coefficients()[1].t, nothing.coefficients()[1].p), (None, None));
        let perfect = fit(&OUTPUT, &[Variable::new("output", OUTPUT)], Intercept::Absent, Weighting::Equal).unwrap();
        assert!((perfect.coefficients()[0].value - 1.0).abs() < 1e-15);
        assert!(perfect.coefficients()[0].p.is_some_and(|p| p < 1e-30), "{perfect:?}");
    }

    #[test]
    fn a_weight_of_two_is_the_row_twice() {
        let twice = |values: &[f64]| -> Vec<f64> { values.iter().chain(&values[..2]).copied().collect() };
        let doubled =
            fit(&twice(&USE), &[Variable::new("output", twice(&OUTPUT))], Intercept::Fitted, Weighting::Equal);
        let weights = Weighting::PerRow(&[2.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
        let weighted = fit(&USE, &[Variable::new("output", OUTPUT)], Intercept::Fitted, weights).unwrap();
        for (one, other) in weighted.coefficients().iter().zip(doubled.as_ref().unwrap().coefficients()) {
            assert!((one.value - other.value).abs() < 1e-13, "{one:?} {other:?}");
        }
        assert!((weighted.statistics().sse - doubled.as_ref().unwrap().statistics().sse).abs() < 1e-13);
        assert!((weighted.statistics().sst - doubled.unwrap().statistics().sst).abs() < 1e-12);
    }

    /// The unit of the weights is a choice; only what is per unit of weight, such as s, may move with it.
    #[test]
    fn the_unit_of_the_weights_moves_no_coefficient_and_no_relative_figure() {
        let by = |weight: f64| {
            fit(&USE, &[Variable::new("output", OUTPUT)], Intercept::Fitted, Weighting::PerRow(&[weight; 6])).unwrap()
        };
        let (days, plain) = (by(30.0), line());
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
        close(days.statistics().cv_rmse.unwrap(), plain.statistics().cv_rmse.unwrap());
        close(days.coefficients()[1].standard_error, plain.coefficients()[1].standard_error);
        close(days.statistics().leverage_max, plain.statistics().leverage_max);
        close(days.statistics().residual_sd, plain.statistics().residual_sd * 30f64.sqrt());
    }
}
