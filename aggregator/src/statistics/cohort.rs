//! Which orders of two cohorts may be compared, and up to which horizon (METHOD 7.6).
//!
//! The last months of any log hold only the orders that finished quickly; comparing them as they stand shows an
//! improvement that is none. Two cohorts, by start, are therefore compared after equal follow-up: at one horizon, at which
//! a longer order is open in both. Where the follow-up is too short for that, the result is provisional, or there is none.
//!
//! Invariants:
//! - a cohort is judged by starts and the data's cut-off alone, never by what happened to finish;
//! - both cohorts get the same horizon;
//! - the lifetimes come in the order of the orders given, so that a caller may split them by product.

use super::survival::{Lifetime, Survival};

/// Fewer orders than this carry no figure, and no horizon.
pub const ORDERS_MIN: usize = 5;
/// A lead time that long at most has the share 1 − this of the baseline's orders.
pub const OPEN_SHARE_LATE: f64 = 0.1;

/// One order, milliseconds on one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub start: i64,
    /// None while it is open.
    pub end: Option<i64>,
}

/// How two cohorts may be compared. The cases are those of METHOD 7.6.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Case 3 without an order open at the horizon: lead times in hours, for Hodges–Lehmann.
    Complete { horizon: f64, reporting: Vec<f64>, baseline: Vec<f64> },
    /// Case 3 with open orders: for the ratio of restricted means.
    Censored { horizon: f64, reporting: Vec<Lifetime>, baseline: Vec<Lifetime> },
    /// Case 4: each order censored at its own follow-up; the standing is at best on track.
    Provisional { horizon: f64, reporting: Vec<Lifetime>, baseline: Vec<Lifetime> },
    /// Case 5, or too few orders.
    NoFigure(NoFigure),
}

/// Why two cohorts cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFigure {
    /// Fewer than [`ORDERS_MIN`] orders in a cohort.
    FewOrders,
    /// Started so close to the end of the data that fewer than [`ORDERS_MIN`] orders of a cohort have been followed for
    /// the baseline's median lead time.
    TooRecent,
}

/// Decides the case. Follow-up is that of METHOD 7.6; what is too recent goes by starts too, so that a faster process is not
/// mistaken for a young one.
///
/// `cut_off` is the end of the data; orders that start after it are not in a cohort, orders that end after it are open. `plan_horizon`, in hours, shortens a provisional horizon.
pub fn compare(reporting: &[Order], baseline: &[Order], cut_off: i64, plan_horizon: Option<f64>) -> Comparison {
    compare_with(reporting, (baseline, &curve(baseline, cut_off)), cut_off, plan_horizon)
}

/// The survival of orders as known at the end of the data.
pub fn curve(orders: &[Order], cut_off: i64) -> Survival {
    Survival::of(&seen(orders, cut_off))
}

fn seen(orders: &[Order], cut_off: i64) -> Vec<Lifetime> {
    orders.iter().map(|order| order.seen_at(cut_off)).collect()
}

/// [`compare`] with the [`curve`] of the baseline at hand: many periods are held against one.
pub fn compare_with(
    reporting: &[Order],
    (baseline, curve): (&[Order], &Survival),
    cut_off: i64,
    plan_horizon: Option<f64>,
) -> Comparison {
    let (r, b) = (seen(reporting, cut_off), seen(baseline, cut_off));
    if r.len() < ORDERS_MIN || b.len() < ORDERS_MIN {
        return Comparison::NoFigure(NoFigure::FewOrders);
    }
    let follow_up = follow_up(reporting, cut_off).min(follow_up(baseline, cut_off));
    if follow_up >= curve.falls_to(OPEN_SHARE_LATE) {
        return at_landmark(follow_up, &r, &b);
    }
    let followed = |orders: &[Order]| nth_longest(orders.iter().map(|order| hours_between(order.start, cut_off)));
    if followed(reporting).min(followed(baseline)) < curve.median() {
        return Comparison::NoFigure(NoFigure::TooRecent);
    }
    let at_risk = |lifetimes: &[Lifetime]| nth_longest(lifetimes.iter().map(|lifetime| lifetime.hours()));
    let last = at_risk(&r).min(at_risk(&b));
    let horizon = plan_horizon.map_or(last, |plan| plan.min(last));
    Comparison::Provisional { horizon, reporting: r, baseline: b }
}

impl Order {
    /// The lead time, or the time so far, as known at the end of the data.
    fn seen_at(self, cut_off: i64) -> Lifetime {
        match self.end {
            Some(end) if end <= cut_off => Lifetime::Completed(hours_between(self.start, end)),
            Some(_) | None => Lifetime::Open(hours_between(self.start, cut_off)),
        }
    }
}

/// Hours from the last start of a cohort to the end of the data.
fn follow_up(orders: &[Order], cut_off: i64) -> f64 {
    let last = orders.iter().map(|order| order.start).max();
    last.map_or(0.0, |start| hours_between(start, cut_off))
}

/// Case 3: both as they were `horizon` hours after each start.
fn at_landmark(horizon: f64, reporting: &[Lifetime], baseline: &[Lifetime]) -> Comparison {
    let cut = |lifetimes: &[Lifetime]| -> Vec<Lifetime> { lifetimes.iter().map(|one| one.until(horizon)).collect() };
    let (reporting, baseline) = (cut(reporting), cut(baseline));
    let is_open = |lifetime: &Lifetime| matches!(lifetime, Lifetime::Open(_));
    if reporting.iter().chain(&baseline).any(is_open) {
        return Comparison::Censored { horizon, reporting, baseline };
    }
    let hours = |lifetimes: Vec<Lifetime>| lifetimes.into_iter().map(Lifetime::hours).collect();
    Comparison::Complete { horizon, reporting: hours(reporting), baseline: hours(baseline) }
}

/// The time that [`ORDERS_MIN`] of these reach.
fn nth_longest(hours: impl Iterator<Item = f64>) -> f64 {
    let mut hours: Vec<f64> = hours.collect();
    hours.sort_by(|a, b| b.total_cmp(a));
    hours.get(ORDERS_MIN - 1).copied().unwrap_or(0.0)
}

/// Whole milliseconds as hours; never negative.
pub fn hours_between(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64 / 3_600_000.0
}
