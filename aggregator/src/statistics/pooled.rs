//! Rolls pilots up: actual uses and adjusted baselines are added, never percentages.
//!
//! R = ΣY/ΣA with the interval of [`Comparison`], variances added, errors in common entering once as covariances, and the
//! degrees of freedom of Welch (1947) and Satterthwaite (1946): (ΣV)²/Σ(V²/df).
//!
//! Invariants:
//! - only pilots that are valid or valid with flags enter; the others stay in the count of all;
//! - the mean of percentages has its own name and never stands for the group.

use crate::statistics::adjusted::Comparison;
use crate::statistics::validity::Verdict;
use crate::sum::sum;

/// One pilot's part of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: String,
    /// `None` for a pilot without a figure, such as one that stopped reporting.
    pub comparison: Option<Comparison>,
    pub verdict: Verdict,
    /// Output of the reporting period, for the share covered; in one unit over all members.
    pub output: f64,
}

/// Covariance of two members' adjusted baselines: a coefficient, price or weather station in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covariance {
    pub first: usize,
    pub second: usize,
    pub value: f64,
}

/// Why there is no group figure.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PooledError {
    #[error("none of {members} members has a valid figure; a group needs one")]
    NoValidMember { members: usize },
    #[error("a covariance names members {first} and {second} of {members}; it names two different ones")]
    Covariance { first: usize, second: usize, members: usize },
    #[error("`{name}` has {what} `{value}`; numbers are finite, variances and outputs not below zero")]
    Number { name: String, what: &'static str, value: f64 },
    #[error(
        "the covariances {value} outweigh the variances of the members; no common error is larger than its members'"
    )]
    NegativeVariance { value: f64 },
}

/// The group's figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    /// ΣY against ΣA.
    pub comparison: Comparison,
    pub n_included: usize,
    pub n_members: usize,
    /// Share of the members' output that the included ones have; `None` without any output.
    pub output_share: Option<f64>,
    /// R without one of the included members, lowest and highest, each with the member left out; `None` for a single one.
    pub leave_one_out: Option<(LeftOut, LeftOut)>,
    /// The mean of the included members' reductions: a headline of its own kind, never the group's reduction.
    pub mean_of_percentages: Option<f64>,
}

/// R of the group without one member.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    pub name: String,
    pub ratio: f64,
}

/// Adds up the members that are valid.
///
/// # Errors
/// If none is, if a number is not one, or if a covariance does not fit its members.
pub fn pool(members: &[Member], covariances: &[Covariance]) -> Result<Pooled, PooledError> {
    check(members, covariances)?;
    let included: Vec<(usize, &Member, Comparison)> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.verdict != Verdict::Invalid)
        .filter_map(|(index, member)| member.comparison.map(|comparison| (index, member, comparison)))
        .collect();
    if included.is_empty() {
        return Err(PooledError::NoValidMember { members: members.len() });
    }
    let total = |part: fn(&Comparison) -> f64| sum(included.iter().map(|(_, _, comparison)| part(comparison)));
    let enters = |index: usize| included.iter().any(|(entered, _, _)| *entered == index);
    let common = covariances.iter().filter(|covariance| enters(covariance.first) && enters(covariance.second));
    let common = 2.0 * sum(common.map(|covariance| covariance.value));
    let variance_model = total(|comparison| comparison.variance_model) + common;
    if variance_model < 0.0 {
        return Err(PooledError::NegativeVariance { value: common });
    }
    let comparisons: Vec<Comparison> = included.iter().map(|(_, _, comparison)| *comparison).collect();
    let comparison = Comparison {
        actual: total(|comparison| comparison.actual),
        adjusted_baseline: total(|comparison| comparison.adjusted_baseline),
        variance_model,
        variance_noise: total(|comparison| comparison.variance_noise),
        df: welch_satterthwaite(&comparisons),
    };
    let output = sum(members.iter().map(|member| member.output));
    let covered = sum(included.iter().map(|(_, member, _)| member.output));
    let names: Vec<&str> = included.iter().map(|(_, member, _)| member.name.as_str()).collect();
    Ok(Pooled {
        leave_one_out: leave_one_out(&names, &comparisons),
        comparison,
        n_included: included.len(),
        n_members: members.len(),
        output_share: (output > 0.0).then(|| covered / output),
        mean_of_percentages: mean_of_percentages(&comparisons),
    })
}

/// (ΣV)²/Σ(V²/df) over the members' variances; infinite where no variance was estimated.
pub fn welch_satterthwaite(members: &[Comparison]) -> f64 {
    let variance = |member: &Comparison| member.variance_model + member.variance_noise;
    let largest = members.iter().map(variance).fold(0.0, f64::max);
    if largest == 0.0 {
        return f64::INFINITY;
    }
    if largest == f64::INFINITY {
        // The members whose variance is infinite outweigh all others.
        let unbounded = members.iter().filter(|member| variance(member) == f64::INFINITY);
        return unbounded.map(|member| member.df).fold(f64::INFINITY, f64::min);
    }
    // Relative to the largest, so that squares neither overflow nor vanish.
    let share = |member: &Comparison| variance(member) / largest;
    let total = sum(members.iter().map(share));
    total * total / sum(members.iter().map(|member| share(member) * share(member) / member.df))
}

fn check(members: &[Member], covariances: &[Covariance]) -> Result<(), PooledError> {
    let number = |member: &Member, what, value: f64, fits: bool| {
        if fits { Ok(()) } else { Err(PooledError::Number { name: member.name.clone(), what, value }) }
    };
    for member in members {
        number(member, "an output of", member.output, member.output.is_finite() && member.output >= 0.0)?;
        let Some(comparison) = member.comparison else { continue };
        let Comparison { actual, adjusted_baseline, variance_model, variance_noise, df } = comparison;
        number(member, "an actual use of", actual, actual.is_finite())?;
        number(member, "an adjusted baseline of", adjusted_baseline, adjusted_baseline.is_finite())?;
        number(member, "a model variance of", variance_model, variance_model.is_finite() && variance_model >= 0.0)?;
        number(member, "a noise variance of", variance_noise, variance_noise >= 0.0)?;
        number(member, "degrees of freedom of", df, df > 0.0)?;
    }
    let within = |index: usize| index < members.len();
    for &Covariance { first, second, value } in covariances {
        if !within(first) || !within(second) || first == second || !value.is_finite() {
            return Err(PooledError::Covariance { first, second, members: members.len() });
        }
    }
    Ok(())
}

/// The lowest and the highest R of the group with one member left out.
fn leave_one_out(names: &[&str], comparisons: &[Comparison]) -> Option<(LeftOut, LeftOut)> {
    let others = |left: usize, part: fn(&Comparison) -> f64| {
        let others = comparisons.iter().enumerate().filter(|(index, _)| *index != left);
        sum(others.map(|(_, comparison)| part(comparison)))
    };
    let without = |(left, name): (usize, &&str)| {
        let adjusted_baseline = others(left, |comparison| comparison.adjusted_baseline);
        let ratio = others(left, |comparison| comparison.actual) / adjusted_baseline;
        (adjusted_baseline > 0.0).then(|| LeftOut { name: (*name).to_owned(), ratio })
    };
    let ratios: Vec<LeftOut> = names.iter().enumerate().filter_map(without).collect();
    let lowest = ratios.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio))?;
    let highest = ratios.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio))?;
    Some((lowest.clone(), highest.clone()))
}

/// `None` if one of the members has no reduction: a mean over some of them would pass for one over all.
fn mean_of_percentages(comparisons: &[Comparison]) -> Option<f64> {
    let reductions: Option<Vec<f64>> = comparisons.iter().map(Comparison::saving_fraction).collect();
    reductions.map(|reductions| sum(reductions.iter().copied()) / reductions.len() as f64)
}
