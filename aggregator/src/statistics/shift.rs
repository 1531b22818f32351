//! Ratios of two samples of durations: Hodges–Lehmann on logarithms, and geometric means (METHOD 7.2 to 7.4).
//!
//! n reporting values r, m baseline values b; D = the n·m differences ln r − ln b. The estimate is the median of D, its
//! interval two order statistics of D, its test the Mann–Whitney count. Order statistics are selected by counting the pairs
//! below a trial value on the sorted logarithms, so that nothing of size n·m exists.
//!
//! Sources: J. L. Hodges and E. L. Lehmann (1963); H. B. Mann and D. R. Whitney (1947), whose count's distribution is a
//! Gaussian binomial; B. L. Welch (1947).
//!
//! Invariants:
//! - samples are sorted logarithms, ascending and not empty ([`sorted_logs`] makes them);
//! - the distribution is exact up to [`EXACT_MAX`] values on either side; above, ties within a sample narrow the variance.
//!   Ties across the samples are left out of it: they come and go with the trial ratio;
//! - interval and test agree: the p-value of "ratio < r0" is below α/2 exactly where the upper bound is below r0.

use super::distribution::normal_cdf;
use super::{Confidence, Interval, LogRatio, Undefined, standardised};
use crate::sum::{Sum, sum};

/// Samples up to this size have the exact distribution of the count.
pub const EXACT_MAX: usize = 50;
/// Up to this many pairs the differences are simply written down: selection by counting, twice, takes longer below it.
const PAIRS_WRITTEN_MAX: usize = 1 << 9;
/// Halvings of the range after which single differences are tried as well: without many equal ones, 2^16 fewer pairs are left.
const HALVINGS: usize = 16;

/// The logarithms of positive values, sorted.
pub fn sorted_logs(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut logs: Vec<f64> = values.into_iter().map(libm::log).collect();
    logs.sort_by(f64::total_cmp);
    logs
}

/// The Hodges–Lehmann ratio of sorted logarithms.
pub fn hodges_lehmann(reporting: &[f64], baseline: &[f64]) -> f64 {
    libm::exp(median_difference(reporting, baseline))
}

/// How the count W of pairs with r > b is distributed where nothing differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Null {
    /// P(W ≤ w) for w up to the middle; the rest by symmetry.
    Exact { lower: Vec<f64>, n_pairs: usize },
    /// Normal, about half of the pairs.
    Normal { variance: f64, n_pairs: usize },
}

impl Null {
    /// Of two samples of sorted logarithms.
    pub fn of(reporting: &[f64], baseline: &[f64]) -> Null {
        let (n, m) = (reporting.len(), baseline.len());
        let n_pairs = n * m;
        if n <= EXACT_MAX && m <= EXACT_MAX {
            return Null::Exact { lower: lower_half(n.min(m), n.max(m)), n_pairs };
        }
        let all = (n + m) as f64;
        let ties = (cubes_of_ties(reporting) + cubes_of_ties(baseline)) / (all * (all - 1.0));
        Null::Normal { variance: n_pairs as f64 / 12.0 * (all + 1.0 - ties), n_pairs }
    }

    /// P(W ≤ w); a half pair is not a whole one.
    pub fn cdf(&self, pairs: Pairs) -> f64 {
        let w = pairs.above + pairs.tied / 2;
        match self {
            Null::Exact { lower, n_pairs } => match lower.get(w) {
                Some(&p) => p,
                // Above the middle P(W ≤ w) = 1 − P(W ≤ nm − w − 1).
                None => 1.0 - n_pairs.checked_sub(w + 1).and_then(|mirrored| lower.get(mirrored)).unwrap_or(&0.0),
            },
            // One count up: that makes the p-value the inversion of the interval's rounded-down rank.
            Null::Normal { variance, n_pairs } => {
                normal_cdf(standardised((w + 1) as f64 - *n_pairs as f64 / 2.0, variance.sqrt()))
            }
        }
    }

    /// k: the interval reaches from the k-th smallest difference to the k-th largest.
    pub fn rank(&self, confidence: Confidence) -> usize {
        match self {
            Null::Exact { lower, .. } => lower.partition_point(|&p| p < confidence.tail()).max(1),
            Null::Normal { variance, n_pairs } => {
                let at = (*n_pairs as f64 / 2.0 - confidence.z() * variance.sqrt()).floor();
                // The largest rank not above `at`: a search, since a float does not turn into an index by itself.
                let (mut low, mut high) = (1, (*n_pairs / 2).max(1));
                while low < high {
                    let middle = low + (high - low).div_ceil(2);
                    if middle as f64 <= at { low = middle } else { high = middle - 1 }
                }
                low
            }
        }
    }
}

/// The interval of the Hodges–Lehmann ratio.
///
/// With so few values that even the whole range is not sure enough, it is the whole range.
pub fn hodges_lehmann_interval(reporting: &[f64], baseline: &[f64], confidence: Confidence) -> Interval {
    interval_under(&Null::of(reporting, baseline), reporting, baseline, confidence)
}

/// The same with the distribution at hand: it depends on the sizes and on ties only.
pub fn interval_under(null: &Null, reporting: &[f64], baseline: &[f64], confidence: Confidence) -> Interval {
    interval_at(null.rank(confidence), reporting, baseline)
}

/// From the difference of this rank (from 1) to the one as far from the other end.
pub fn interval_at(rank: usize, reporting: &[f64], baseline: &[f64]) -> Interval {
    let last = reporting.len() * baseline.len() - rank;
    Interval {
        lower: libm::exp(select_difference(reporting, baseline, rank - 1)),
        upper: libm::exp(select_difference(reporting, baseline, last)),
    }
}

/// The pairs that W counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairs {
    /// Pairs with r / r0 above b.
    pub above: usize,
    /// Pairs with both equal: each counts half.
    pub tied: usize,
}

impl Pairs {
    /// At the trial ratio `limit`.
    pub fn of(reporting: &[f64], baseline: &[f64], limit: f64) -> Pairs {
        let log = libm::log(limit);
        let not_above = n_not_above(reporting, baseline, log);
        let above = reporting.len() * baseline.len() - not_above;
        Pairs { above, tied: not_above - n_below(reporting, baseline, log) }
    }

    /// W.
    pub fn w(self) -> f64 {
        self.above as f64 + self.tied as f64 / 2.0
    }
}

/// The p-value of "ratio < `limit`"; small proves it.
pub fn p_below(reporting: &[f64], baseline: &[f64], limit: f64) -> f64 {
    if limit <= 0.0 {
        return 1.0;
    }
    Null::of(reporting, baseline).cdf(Pairs::of(reporting, baseline, limit))
}

/// Whether geometric means keep one variance each, or share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// Welch: what is published.
    Each,
    /// The classical pooled one, for comparison.
    Shared,
}

/// The ratio of two geometric means; t-distributed on logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeometricRatio {
    pub log: LogRatio,
    pub df: f64,
}

impl GeometricRatio {
    /// Of two samples of logarithms.
    ///
    /// # Errors
    /// `TooFew` below two values on a side: one value has no variance.
    pub fn of(reporting: &[f64], baseline: &[f64], variance: Variance) -> Result<GeometricRatio, Undefined> {
        if reporting.len() < 2 || baseline.len() < 2 {
            return Err(Undefined::TooFew);
        }
        let (r, b) = (Moments::of(reporting), Moments::of(baseline));
        let (squared, df) = match variance {
            Variance::Each => {
                let (r, b) = (r.squares / (r.n - 1.0) / r.n, b.squares / (b.n - 1.0) / b.n);
                let (df_r, df_b) = (reporting.len() as f64 - 1.0, baseline.len() as f64 - 1.0);
                (r + b, (r + b) * (r + b) / (r * r / df_r + b * b / df_b))
            }
            Variance::Shared => {
                let df = r.n + b.n - 2.0;
                ((r.squares + b.squares) / df * (1.0 / r.n + 1.0 / b.n), df)
            }
        };
        // Values all alike: no variance, and no degrees of freedom to speak of.
        let df = if squared > 0.0 { df } else { r.n + b.n - 2.0 };
        Ok(GeometricRatio { log: LogRatio { log: r.mean - b.mean, se: squared.sqrt() }, df })
    }

    /// The ratio itself.
    pub fn ratio(&self) -> f64 {
        self.log.ratio()
    }

    /// ratio · exp(± t se).
    pub fn interval(&self, confidence: Confidence) -> Interval {
        self.log.interval_t(confidence, self.df)
    }

    /// The p-value of "ratio < `limit`"; small proves it.
    pub fn p_below(&self, limit: f64) -> f64 {
        self.log.p_below_t(limit, self.df)
    }
}

/// Fieller's interval for the ratio of two plain means, Welch's degrees of freedom: for comparison only, since one long order
/// makes it wide.
///
/// # Errors
/// `TooFew` below two values on a side, `Unbounded` where the baseline's mean is not distinct from zero.
pub fn fieller(reporting: &[f64], baseline: &[f64], confidence: Confidence) -> Result<Interval, Undefined> {
    if reporting.len() < 2 || baseline.len() < 2 {
        return Err(Undefined::TooFew);
    }
    let (x, y) = (Moments::of(reporting), Moments::of(baseline));
    let (vx, vy) = (x.squares / (x.n - 1.0) / x.n, y.squares / (y.n - 1.0) / y.n);
    let both = vx + vy;
    let df = if both > 0.0 { both * both / (vx * vx / (x.n - 1.0) + vy * vy / (y.n - 1.0)) } else { x.n + y.n - 2.0 };
    let t = confidence.t(df);
    // (mx − r my)² = t² (vx + r² vy), solved for r.
    let (a, b, c) = (y.mean * y.mean - t * t * vy, x.mean * y.mean, x.mean * x.mean - t * t * vx);
    if a <= 0.0 {
        return Err(Undefined::Unbounded);
    }
    let root = (b * b - a * c).max(0.0).sqrt();
    Ok(Interval { lower: (b - root) / a, upper: (b + root) / a })
}

/// Joins the log ratios of products by their weights (METHOD 7.4): θ = sum w θ_k, se² = sum w² se_k², weights made to add
/// up to 1. None without a positive weight.
pub fn weighted(parts: &[(LogRatio, f64)]) -> Option<LogRatio> {
    let total = sum(parts.iter().map(|(_, weight)| *weight));
    if total <= 0.0 {
        return None;
    }
    let shares = parts.iter().map(|(part, weight)| (part, weight / total));
    let log = sum(shares.clone().map(|(part, share)| share * part.log));
    let squared = sum(shares.map(|(part, share)| share * share * part.se * part.se));
    Some(LogRatio { log, se: squared.sqrt() })
}

/// An interval of a ratio as a standard error of its logarithm: (ln U − ln L) / 2z. None for an unbounded one.
pub fn se_of_interval(interval: Interval, confidence: Confidence) -> Option<f64> {
    let bounded = interval.lower > 0.0 && interval.upper.is_finite();
    bounded.then(|| (libm::log(interval.upper) - libm::log(interval.lower)) / (2.0 * confidence.z()))
}

struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// In two passes; `squares` are those of the distances from the mean.
    fn of(values: &[f64]) -> Moments {
        let n = values.len() as f64;
        let mean = sum(values.iter().copied()) / n;
        Moments { n, mean, squares: sum(values.iter().map(|value| (value - mean) * (value - mean))) }
    }
}

/// P(W ≤ w) for w from 0 to the middle of n·m, n ≤ m: the coefficients of the Gaussian binomial, added up.
///
/// Each factor (1 − x^(m+i)) / (1 − x^i) is one pass down and one up; all that a coefficient needs lies below it, so that
/// the half suffices.
fn lower_half(n: usize, m: usize) -> Vec<f64> {
    let len = n * m / 2 + 1;
    let mut counts = vec![0.0; len];
    counts[0] = 1.0;
    let mut all = 1.0;
    for i in 1..=n {
        for w in (m + i..len).rev() {
            counts[w] -= counts[w - m - i];
        }
        for w in i..len {
            counts[w] += counts[w - i];
        }
        all *= (m + i) as f64 / i as f64;
    }
    let mut running = Sum::default();
    for count in &mut counts {
        running.add(*count);
        *count = running.total() / all;
    }
    counts
}

/// sum (τ³ − τ) over groups of equal values.
fn cubes_of_ties(sorted: &[f64]) -> f64 {
    sum(sorted.chunk_by(|a, b| a == b).map(|group| {
        let n = group.len() as f64;
        n * n * n - n
    }))
}

/// The middle value of a sorted slice, or the mean of the two; 0 without any.
pub(crate) fn median_of_sorted(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The median of all differences `a − b` of two sorted slices, neither empty.
pub fn median_difference(a: &[f64], b: &[f64]) -> f64 {
    let n_pairs = a.len() * b.len();
    let select = |rank: usize| select_difference(a, b, rank);
    if n_pairs <= PAIRS_WRITTEN_MAX {
        let mut differences: Vec<f64> = a.iter().flat_map(|x| b.iter().map(move |y| x - y)).collect();
        differences.sort_unstable_by(f64::total_cmp);
        return median_of_sorted(&differences);
    }
    if n_pairs % 2 == 1 {
        return select(n_pairs / 2);
    }
    let below = select(n_pairs / 2 - 1);
    // The next one is the same where enough pairs do not exceed it, else the least above it.
    let above = if n_not_above(a, b, below) > n_pairs / 2 { below } else { least_from(a, b, below.next_up()) + 0.0 };
    f64::midpoint(below, above)
}

/// The difference of `rank` (from 0) among all `a − b`: the smallest double that at least `rank + 1` pairs do not exceed.
///
/// Halves the range of values until few pairs lie in it, and writes those down; the answer is one of the differences, exactly.
/// Where many pairs have one and the same difference, halving would go on for long: then the least one left is tried as well.
fn select_difference(a: &[f64], b: &[f64], rank: usize) -> f64 {
    let (mut low, mut high) = (a[0] - b[b.len() - 1], a[a.len() - 1] - b[0]);
    let (mut n_below_low, mut n_to_high) = (0, a.len() * b.len());
    for step in 0.. {
        if n_to_high - n_below_low <= PAIRS_WRITTEN_MAX || low >= high {
            break;
        }
        if step >= HALVINGS {
            let least = least_from(a, b, low);
            let n = n_not_above(a, b, least);
            if n > rank {
                return least + 0.0;
            }
            (low, n_below_low) = (least.next_up(), n);
        }
        let middle = middle_of(low, high);
        let n = n_not_above(a, b, middle);
        if n > rank {
            (high, n_to_high) = (middle, n);
        } else {
            (low, n_below_low) = (middle.next_up(), n);
        }
    }
    if low >= high {
        // −0 and 0 are one difference.
        return high + 0.0;
    }
    let mut between = Vec::with_capacity(n_to_high - n_below_low);
    let mut first = 0;
    for x in a {
        while first < b.len() && x - b[first] > high {
            first += 1;
        }
        between.extend(b[first..].iter().map(|y| x - y).take_while(|difference| *difference >= low));
    }
    *between.select_nth_unstable_by(rank - n_below_low, f64::total_cmp).1 + 0.0
}

/// The least difference that is not below `low`; there is one.
fn least_from(a: &[f64], b: &[f64], low: f64) -> f64 {
    let (mut least, mut last) = (f64::INFINITY, 0);
    for x in a {
        // The subtrahend grows with `x`: the last one that leaves enough gives the least difference of this row.
        while last < b.len() && x - b[last] >= low {
            last += 1;
        }
        if let Some(y) = last.checked_sub(1).map(|last| b[last]) {
            least = least.min(x - y);
        }
    }
    least
}

/// A double from `low` on and below `high`, which is greater: half-way, or by the order of doubles where they are neighbours.
fn middle_of(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    if (low..high).contains(&middle) { middle } else { low }
}

/// How many pairs have `a − b ≤ limit`.
fn n_not_above(a: &[f64], b: &[f64], limit: f64) -> usize {
    n_beyond(a, b, |difference| difference > limit)
}

/// How many pairs have `a − b < limit`.
fn n_below(a: &[f64], b: &[f64], limit: f64) -> usize {
    n_beyond(a, b, |difference| difference >= limit)
}

/// How many pairs' differences are not `too_large`; walks both slices once.
fn n_beyond(a: &[f64], b: &[f64], too_large: impl Fn(f64) -> bool) -> usize {
    let (mut n, mut first) = (0, 0);
    for x in a {
        while first < b.len() && too_large(x - b[first]) {
            first += 1;
        }
        n += b.len() - first;
    }
    n
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_distribution_of_the_count_is_that_of_whole_numbers() {
        for (n, m) in [(1, 1), (1, 19), (3, 3), (4, 7), (18, 20), (50, 50)] {
            let (mut counts, mut all) = (vec![0i128; n * m + 1], 1i128);
            counts[0] = 1;
            for i in 1..=n {
                for w in (m + i..=n * m).rev() {
                    counts[w] -= counts[w - m - i];
                }
                for w in i..=n * m {
                    counts[w] += counts[w - i];
                }
                all = all * i128::try_from(m + i).unwrap() / i128::try_from(i).unwrap();
            }
            assert_eq!(counts.iter().sum::<i128>(), all);
            let null = Null::Exact { lower: lower_half(n, m), n_pairs: n * m };
            let mut below = 0i128;
            for (w, count) in counts.iter().enumerate() {
                below += count;
                let (found, expected) = (null.cdf(Pairs { above: w, tied: 0 }), below as f64 / all as f64);
                assert!((found - expected).abs() <= 1e-12 * expected, "{n} {m} {w}: {found:e} {expected:e}");
            }
        }
    }

    proptest! {
        #[test]
        fn selection_finds_what_sorting_finds(mut a in proptest::collection::vec(-3f64..5.0, 1..30),
                                              mut b in proptest::collection::vec(-3f64..5.0, 1..30), rank in 0usize..900) {
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            let mut all: Vec<f64> = a.iter().flat_map(|x| b.iter().map(move |y| x - y)).collect();
            all.sort_by(f64::total_cmp);
            prop_assert_eq!(median_difference(&a, &b), median_of_sorted(&all));
            let rank = rank % all.len();
            prop_assert_eq!(select_difference(&a, &b, rank), all[rank]);
        }

        #[test]
        fn selection_finds_it_among_many_equal_values(mut a in proptest::collection::vec(0i8..4, 20..60),
                                                      mut b in proptest::collection::vec(0i8..4, 20..60), rank in 0usize..3600) {
            a.sort_unstable();
            b.sort_unstable();
            let logs = |values: &[i8]| values.iter().map(|value| libm::log(f64::from(*value) + 0.3)).collect::<Vec<f64>>();
            let (a, b) = (logs(&a), logs(&b));
            let mut all: Vec<f64> = a.iter().flat_map(|x| b.iter().map(move |y| x - y)).collect();
            all.sort_by(f64::total_cmp);
            let rank = rank % all.len();
            prop_assert_eq!(select_difference(&a, &b, rank), all[rank]);
        }
    }
}
