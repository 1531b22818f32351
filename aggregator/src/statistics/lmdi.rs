//! LMDI-I: which factor changed a sum of products by how much, without a residual (METHOD 9).
//!
//! V = Σ_i Π_k x_ki. With the logarithmic mean L as weight, the contributions of the factors add up to the change exactly,
//! and the terms of parts add up to those of the whole.
//!
//! Sources: B. W. Ang, Energy Policy 33 (2005), formulas; B. W. Ang, F. Q. Zhang and K.-H. Choi, Energy 23 (1998), table 2,
//! limits at zero.
//!
//! Invariants:
//! - Σ_k dV_k = V^T − V^0, and Π_k D_k = V^T / V^0 where both are positive, within rounding;
//! - zeros take their analytical limits, never a small number; where several factors vanish together they share the
//!   change equally, and the result says so;
//! - a negative value is an error: nothing is clipped.

use crate::sum::{Sum, sum};

/// One category's factors: before and after, in the same order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    pub before: &'a [f64],
    pub after: &'a [f64],
}

/// What each factor contributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Decomposition {
    /// V^0 and V^T.
    pub before: f64,
    pub after: f64,
    /// dV_ki: one row a category, one column a factor.
    pub rows: Vec<Vec<f64>>,
    /// dV_k.
    pub additive: Vec<f64>,
    /// D_k; none where a total is zero.
    pub multiplicative: Option<Vec<f64>>,
    /// Categories in which several factors vanished at the same date and share the change equally.
    pub shared: Vec<usize>,
}

/// Why there is no decomposition.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LmdiError {
    #[error("category {row} factor {factor} is {value}; a factor is a finite number, not negative")]
    Factor { row: usize, factor: usize, value: f64 },
    #[error("category {row} has {found} factors; the first has {expected}")]
    Ragged { row: usize, found: usize, expected: usize },
    #[error("the product of category {row} is out of range")]
    Product { row: usize },
}

/// Decomposes the change of Σ_i Π_k x_ki.
///
/// # Errors
/// On a negative or infinite factor, rows of different length, or a product that no double holds.
pub fn decompose(rows: &[Row<'_>]) -> Result<Decomposition, LmdiError> {
    let n_factors = rows.first().map_or(0, |row| row.before.len());
    let mut totals = vec![Sum::default(); n_factors];
    let (mut terms, mut shared) = (Vec::with_capacity(rows.len()), Vec::new());
    let (mut before, mut after) = (Sum::default(), Sum::default());
    for (row_idx, row) in rows.iter().enumerate() {
        check(row_idx, row, n_factors)?;
        let category = contributions(row, product(row_idx, row.before)?, product(row_idx, row.after)?);
        before.add(category.before);
        after.add(category.after);
        for (total, term) in totals.iter_mut().zip(&category.terms) {
            total.add(*term);
        }
        if category.n_vanished > 1 {
            shared.push(row_idx);
        }
        terms.push(category.terms);
    }
    let (before, after) = (before.total(), after.total());
    let additive: Vec<f64> = totals.into_iter().map(Sum::total).collect();
    let multiplicative = (before > 0.0 && after > 0.0).then(|| {
        let mean = logarithmic_mean(after, before);
        additive.iter().map(|change| libm::exp(change / mean)).collect()
    });
    Ok(Decomposition { before, after, rows: terms, additive, multiplicative, shared })
}

/// L(a, b) = (a − b)/(ln a − ln b), L(a, a) = a; of positive numbers, stable where they are near.
pub fn logarithmic_mean(a: f64, b: f64) -> f64 {
    let log = log_ratio(a, b);
    if log == 0.0 { a } else { (a - b) / log }
}

struct Category {
    before: f64,
    after: f64,
    terms: Vec<f64>,
    n_vanished: usize,
}

fn contributions(row: &Row<'_>, before: f64, after: f64) -> Category {
    let category = |terms, n_vanished| Category { before, after, terms, n_vanished };
    let vanished = match (before > 0.0, after > 0.0) {
        (true, true) => {
            let weight = logarithmic_mean(after, before);
            let factors = row.after.iter().zip(row.before);
            return category(factors.map(|(&to, &from)| weight * log_ratio(to, from)).collect(), 0);
        }
        (false, false) => return category(vec![0.0; row.before.len()], 0),
        // The whole change belongs to what appeared, or disappeared.
        (false, true) => row.before,
        (true, false) => row.after,
    };
    let n_vanished = vanished.iter().filter(|&&factor| factor == 0.0).count();
    let share = (after - before) / n_vanished as f64;
    category(vanished.iter().map(|&factor| if factor == 0.0 { share } else { 0.0 }).collect(), n_vanished)
}

/// ln(a/b) of positive numbers.
fn log_ratio(a: f64, b: f64) -> f64 {
    // Near each other the difference is exact, and their quotient is not.
    if a < 2.0 * b && b < 2.0 * a { libm::log1p((a - b) / b) } else { libm::log(a) - libm::log(b) }
}

fn check(row_idx: usize, row: &Row<'_>, expected: usize) -> Result<(), LmdiError> {
    for side in [row.before, row.after] {
        if side.len() != expected {
            return Err(LmdiError::Ragged { row: row_idx, found: side.len(), expected });
        }
        for (factor, &value) in side.iter().enumerate() {
            if !value.is_finite() || value < 0.0 {
                return Err(LmdiError::Factor { row: row_idx, factor, value });
            }
        }
    }
    Ok(())
}

/// The product of a row's factors: zero only if one of them is.
fn product(row_idx: usize, factors: &[f64]) -> Result<f64, LmdiError> {
    let product: f64 = factors.iter().product();
    let has_zero = factors.contains(&0.0);
    if has_zero {
        return Ok(0.0);
    }
    if product.is_finite() && product > 0.0 { Ok(product) } else { Err(LmdiError::Product { row: row_idx }) }
}

/// dV_k of parts added up: the roll-up from pilots to regions and the programme. None if they differ in factors.
pub fn add_up(parts: &[Decomposition]) -> Option<Vec<f64>> {
    let n_factors = parts.first()?.additive.len();
    let alike = parts.iter().all(|part| part.additive.len() == n_factors);
    alike.then(|| (0..n_factors).map(|k| sum(parts.iter().map(|part| part.additive[k]))).collect())
}
