//! Annual paces: what a cumulative target asks for by year, what was achieved, what is still required (METHOD 10.1, 10.2).
//!
//! Rates compound: 5 % a year for five years is 1 − 0.95^5, not 25 %. The path between milestones itself is
//! `standing::path`. Index: baseline = 1.
//!
//! Invariants:
//! - an index is positive; time runs forward (None otherwise).

/// The annual rate that compounds to `reduction` in `years`.
pub fn annual_rate(reduction: f64, years: f64) -> Option<f64> {
    achieved_rate(1.0 - reduction, years)
}

/// The annual rate that has led from 1 to `index` in `years`.
pub fn achieved_rate(index: f64, years: f64) -> Option<f64> {
    (years > 0.0 && index >= 0.0).then(|| 1.0 - libm::pow(index, 1.0 / years))
}

/// The annual rate that still leads from `index` to the target in the years left; 0 if it is reached already.
pub fn required_rate(index: f64, target_reduction: f64, years_left: f64) -> Option<f64> {
    let target = 1.0 - target_reduction;
    if years_left <= 0.0 || index <= 0.0 {
        return None;
    }
    if index <= target { Some(0.0) } else { annual_rate(1.0 - target / index, years_left) }
}

/// The index after `years` at an annual rate.
pub fn index_after(annual_rate: f64, years: f64) -> f64 {
    libm::pow(1.0 - annual_rate, years)
}

/// The linear path's index when the share `share` of the time to the target is over: an option beside the geometric path.
pub fn linear(target_reduction: f64, share: f64) -> f64 {
    1.0 - target_reduction * share
}
