//! Distribution functions and their inverses: normal, Student t, F, beta, gamma, binomial.
//!
//! Written here on `libm` because CONTRACT section 17 wants one source of `ln` and `exp`: `statrs` reaches them through
//! `num-traits`, whose `std` feature any other crate of the build may switch on, and then the C library answers. It would
//! also bring `lgamma`-based densities, which lose digits as counts grow.
//!
//! Densities follow C. Loader, "Fast and accurate computation of binomial probabilities" (2000): the saddle-point form
//! keeps its relative accuracy at any count. The incomplete beta function is the continued fraction of A. R. DiDonato and
//! A. H. Morris, algorithm 708 (1992), which is DLMF 8.17.22 taken two terms at a time, the incomplete gamma function the series DLMF 8.7.1 and the fraction 8.9.2, both by Lentz's method. Inverses are Newton
//! steps on the logarithm of a tail within a shrinking bracket.
//!
//! Invariants:
//! - the smaller tail is computed, the larger one is its complement: a small probability keeps its relative accuracy;
//! - degrees of freedom and shapes need not be whole; they are positive (asserted);
//! - the end of a support is a value: a quantile at 0 or 1 is the support's end, infinite where that is.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Terms of a series or fraction. They take about √shape terms, so this carries counts to 10^10; beyond it the value so
/// far is returned, good to some digits.
const TERMS_MAX: u32 = 200_000;
/// Steps of an inverse: half of them would do for bisection alone.
const STEPS_MAX: u32 = 200;
/// A Newton step below this leaves an error of its square.
const STEP_SMALL: f64 = 1e-10;
/// Logarithms of positive doubles lie within.
pub(super) const LOG_MAX: f64 = 745.0;
/// Stands for zero in a denominator of Lentz's method.
const TINY: f64 = 1e-300;

/// Two-sided confidence of an interval, strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// What figures carry: the upper bound is then the one-sided 95 % bound that proves a target (METHOD 0).
    pub const NINETY: Confidence = Confidence(0.9);
    /// The level of most published tables.
    pub const NINETY_FIVE: Confidence = Confidence(0.95);

    /// None outside (0, 1).
    pub fn new(two_sided: f64) -> Option<Confidence> {
        (two_sided > 0.0 && two_sided < 1.0).then_some(Confidence(two_sided))
    }

    /// The level itself.
    pub fn two_sided(self) -> f64 {
        self.0
    }

    /// α/2: the probability left out at each end.
    pub fn tail(self) -> f64 {
        (1.0 - self.0) / 2.0
    }

    /// z of 1 − α/2.
    pub fn z(self) -> f64 {
        -normal_quantile(self.tail())
    }

    /// t of 1 − α/2.
    pub fn t(self, df: f64) -> f64 {
        -student_quantile(self.tail(), df)
    }
}

/// The probabilities below and above a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    pub lower: f64,
    pub upper: f64,
}

impl Tails {
    fn of_lower(lower: f64) -> Tails {
        let lower = lower.clamp(0.0, 1.0);
        Tails { lower, upper: 1.0 - lower }
    }

    fn flipped(self) -> Tails {
        Tails { lower: self.upper, upper: self.lower }
    }
}

/// Φ(z).
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// Φ⁻¹(p): M. J. Wichura, algorithm AS 241 (1988), good to 1e-16.
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE_NUMERATOR, r) / polynomial(&CENTRE_DENOMINATOR, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return q.signum() * f64::INFINITY;
    }
    let r = (-libm::log(tail)).sqrt();
    let z = if r <= 5.0 {
        polynomial(&MIDDLE_NUMERATOR, r - 1.6) / polynomial(&MIDDLE_DENOMINATOR, r - 1.6)
    } else {
        polynomial(&FAR_NUMERATOR, r - 5.0) / polynomial(&FAR_DENOMINATOR, r - 5.0)
    };
    q.signum() * z
}

/// P(T ≤ t) with `df` degrees of freedom, which may be infinite.
pub fn student_cdf(t: f64, df: f64) -> f64 {
    if df == f64::INFINITY {
        return normal_cdf(t);
    }
    let beyond = 0.5 * student_beta(t, df).0.lower;
    if t < 0.0 { beyond } else { 1.0 - beyond }
}

/// The t with P(T ≤ t) = p.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    assert!(df > 0.0, "{df} degrees of freedom");
    let z = normal_quantile(p);
    if df == f64::INFINITY || z == 0.0 || z.is_infinite() {
        return z;
    }
    let tail = if p < 0.5 { p } else { 1.0 - p };
    let central = 2.0 * (p - 0.5).abs();
    let start = z.abs() * (1.0 + (z * z + 1.0) / (4.0 * df));
    let log = solve(libm::log(start), (-LOG_MAX, LOG_MAX), |log| {
        let (Tails { lower: beyond, upper: within }, density) = student_beta(libm::exp(log), df);
        // The side that is small is the one whose logarithm is well known.
        if central < 0.5 {
            (libm::log(within / central), 2.0 * density / within)
        } else {
            (-libm::log(0.5 * beyond / tail), 2.0 * density / beyond)
        }
    });
    z.signum() * libm::exp(log)
}

/// P(F > f) with `df1` and `df2` degrees of freedom.
pub fn f_upper(f: f64, df1: f64, df2: f64) -> f64 {
    let (y, x) = odds_parts(f.max(0.0) * df1 / df2);
    beta_parts(x, y, df2 / 2.0, df1 / 2.0).0.lower
}

/// I_x(a, b), the regularised incomplete beta function, and its complement.
pub fn beta_tails(x: f64, a: f64, b: f64) -> Tails {
    let x = x.clamp(0.0, 1.0);
    beta_parts(x, 1.0 - x, a, b).0
}

/// The x with I_x(a, b) = p.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let odds = beta_odds_quantile(p, a, b);
    if odds == f64::INFINITY { 1.0 } else { odds / (1.0 + odds) }
}

/// x / (1 − x) of the x with I_x(a, b) = p: exact near both ends.
pub fn beta_odds_quantile(p: f64, a: f64, b: f64) -> f64 {
    assert!(a > 0.0 && b > 0.0, "beta({a}, {b})");
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    // The logit of a beta variable is nearly normal.
    let start = libm::log(a / b) + normal_quantile(p) * (1.0 / a + 1.0 / b).sqrt();
    let logit = solve(start, (-LOG_MAX, LOG_MAX), |logit| {
        let (x, y) = odds_parts(libm::exp(logit));
        let (tails, density) = beta_parts(x, y, a, b);
        log_tail(tails, density, p)
    });
    libm::exp(logit)
}

/// P(a, x), the regularised incomplete gamma function, and its complement: a gamma variable of shape `a` and scale 1.
pub fn gamma_tails(x: f64, shape: f64) -> Tails {
    gamma_parts(x, shape).0
}

/// The x with P(shape, x) = p.
pub fn gamma_quantile(p: f64, shape: f64) -> f64 {
    assert!(shape > 0.0, "gamma({shape})");
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    // Wilson and Hilferty: the cube root of a gamma variable is nearly normal.
    let root = 1.0 - 1.0 / (9.0 * shape) + normal_quantile(p) / (3.0 * shape.sqrt());
    let start = if root > 0.1 {
        libm::log(shape) + 3.0 * libm::log(root)
    } else {
        (libm::log(p) + libm::lgamma(shape + 1.0)) / shape
    };
    let log = solve(start, (-LOG_MAX, LOG_MAX), |log| {
        let (tails, density) = gamma_parts(libm::exp(log), shape);
        log_tail(tails, density, p)
    });
    libm::exp(log)
}

/// P(X = k) of n trials with probability p; k and n are whole, 0 ≤ k ≤ n.
pub fn binomial_pmf(k: f64, n: f64, p: f64) -> f64 {
    binomial_raw(k, n - k, p, 1.0 - p)
}

/// P(X ≤ k) and P(X > k) of n trials with probability p.
pub fn binomial_tails(k: f64, n: f64, p: f64) -> Tails {
    let k = k.floor();
    if k < 0.0 {
        return Tails { lower: 0.0, upper: 1.0 };
    }
    if k >= n {
        return Tails { lower: 1.0, upper: 0.0 };
    }
    beta_tails(p, k + 1.0, n - k).flipped()
}

/// P(X ≤ k) of n trials with probability p.
pub fn binomial_cdf(k: f64, n: f64, p: f64) -> f64 {
    binomial_tails(k, n, p).lower
}

/// For Newton's method: how far ln of the smaller side of `p` is from the target, increasing, and its slope.
pub(super) fn log_tail(tails: Tails, density: f64, p: f64) -> (f64, f64) {
    if p <= 0.5 {
        (libm::log(tails.lower / p), density / tails.lower)
    } else {
        (-libm::log(tails.upper / (1.0 - p)), density / tails.upper)
    }
}

/// The root of an increasing function given with its slope: Newton steps, bisection where one leaves the bracket.
pub(super) fn solve(start: f64, bracket: (f64, f64), function: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut low, mut high) = bracket;
    let mut at = start.clamp(low, high);
    for _ in 0..STEPS_MAX {
        let (value, slope) = function(at);
        if value == 0.0 {
            return at;
        }
        if value < 0.0 {
            low = at
        } else {
            high = at
        }
        let newton = at - value / slope;
        let inside = newton > low && newton < high;
        let next = if inside { newton } else { f64::midpoint(low, high) };
        let step = (next - at).abs();
        let small = STEP_SMALL * at.abs().max(1.0);
        if (inside && step <= small) || high - low <= f64::EPSILON * at.abs() {
            return next;
        }
        at = next;
    }
    at
}

/// (P(|T| > t), P(|T| < t)) as tails, and half the density of ln |T|.
fn student_beta(t: f64, df: f64) -> (Tails, f64) {
    assert!(df > 0.0, "{df} degrees of freedom");
    let (y, x) = odds_parts(t * t / df);
    beta_parts(x, y, df / 2.0, 0.5)
}

/// odds/(1 + odds) and 1/(1 + odds), both exact.
pub(super) fn odds_parts(odds: f64) -> (f64, f64) {
    if odds <= 1.0 {
        (odds / (1.0 + odds), 1.0 / (1.0 + odds))
    } else {
        let inverse = 1.0 / odds;
        (1.0 / (1.0 + inverse), inverse / (1.0 + inverse))
    }
}

/// The tails of beta(a, b) at x = 1 − y, and the density of the logit there.
pub(super) fn beta_parts(x: f64, y: f64, a: f64, b: f64) -> (Tails, f64) {
    assert!(a > 0.0 && b > 0.0, "beta({a}, {b})");
    if x <= 0.0 {
        return (Tails { lower: 0.0, upper: 1.0 }, 0.0);
    }
    if y <= 0.0 {
        return (Tails { lower: 1.0, upper: 0.0 }, 0.0);
    }
    let density = binomial_raw(a, b, x, y) * a * (b / (a + b));
    // The fraction converges fast on this side of the mean.
    let tails = if x * (a + b + 2.0) <= a + 1.0 {
        Tails::of_lower(density / beta_fraction(x, y, a, b))
    } else {
        Tails::of_lower(density / beta_fraction(y, x, b, a)).flipped()
    };
    (tails, density)
}

/// The fraction that divides the logit's density into I_x(a, b): formula 9 of algorithm 708, with y = 1 − x.
fn beta_fraction(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let denominator = |m: f64| {
        let step = m + m * (b - m) * x / (a + 2.0 * m - 1.0);
        step + (a + m) * (a * y - b * x + 1.0 + m * (1.0 + y)) / (a + 2.0 * m + 1.0)
    };
    // At m = 0 the middle part vanishes; written out, a = 1 would divide zero by zero.
    let first = a * (a * y - b * x + 1.0) / (a + 1.0);
    lentz(first, |term| {
        let m = f64::from(term);
        let x_part = x / (a + 2.0 * m - 1.0);
        ((a + m - 1.0) * (a + b + m - 1.0) * m * (b - m) * x_part * x_part, denominator(m))
    })
}

/// The tails of gamma(shape) at x, and the density of the logarithm there.
fn gamma_parts(x: f64, shape: f64) -> (Tails, f64) {
    assert!(shape > 0.0, "gamma({shape})");
    if x <= 0.0 {
        return (Tails { lower: 0.0, upper: 1.0 }, 0.0);
    }
    if x == f64::INFINITY {
        return (Tails { lower: 1.0, upper: 0.0 }, 0.0);
    }
    let density = shape * poisson_raw(shape, x);
    if x <= shape + 1.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        for n in 1..TERMS_MAX {
            term *= x / (shape + f64::from(n));
            sum += term;
            if term <= sum * f64::EPSILON / 4.0 {
                break;
            }
        }
        return (Tails::of_lower(density / shape * sum), density);
    }
    let fraction = lentz(x + 1.0 - shape, |term| {
        let n = f64::from(term);
        (n * (shape - n), x + 1.0 + 2.0 * n - shape)
    });
    (Tails::of_lower(density / fraction).flipped(), density)
}

/// b0 + a1/(b1 + a2/(b2 + …)) by the modified Lentz method; `part` gives (a, b) of a term.
fn lentz(first: f64, part: impl Fn(u32) -> (f64, f64)) -> f64 {
    let not_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut value = not_zero(first);
    let (mut c, mut d) = (value, 0.0);
    for term in 1..TERMS_MAX {
        let (a, b) = part(term);
        d = 1.0 / not_zero(b + a * d);
        c = not_zero(b + a / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

/// Γ(k + l + 1) / (Γ(k + 1) Γ(l + 1)) · x^k · y^l for y = 1 − x (Loader).
fn binomial_raw(k: f64, l: f64, x: f64, y: f64) -> f64 {
    let log = |one: f64, other: f64| if one < 0.5 { libm::log(one) } else { libm::log1p(-other) };
    let n = k + l;
    if k <= 0.0 {
        return if l <= 0.0 { 1.0 } else { libm::exp(n * log(y, x)) };
    }
    if l <= 0.0 {
        return libm::exp(n * log(x, y));
    }
    let correction = stirling_error(n) - stirling_error(k) - stirling_error(l);
    let exponent = correction - deviance(k, n * x) - deviance(l, n * y);
    libm::exp(exponent) * (n / (2.0 * PI * k) / l).sqrt()
}

/// x^k e^−x / Γ(k + 1) (Loader).
fn poisson_raw(k: f64, x: f64) -> f64 {
    libm::exp(-stirling_error(k) - deviance(k, x)) / (2.0 * PI * k).sqrt()
}

/// ln Γ(z + 1) − (z + ½) ln z + z − ½ ln 2π, for z > 0.
fn stirling_error(z: f64) -> f64 {
    // Below this the series is too short: step up by the recurrence of Γ.
    const SERIES_MIN: f64 = 10.0;
    let (mut z, mut steps) = (z, 0.0);
    while z < SERIES_MIN {
        steps += (z + 0.5) * libm::log1p(1.0 / z) - 1.0;
        z += 1.0;
    }
    let inverse = 1.0 / (z * z);
    steps + polynomial(&STIRLING, inverse) / z
}

/// k ln(k/m) + m − k, without cancellation where k is near m.
fn deviance(k: f64, m: f64) -> f64 {
    if (k - m).abs() >= 0.1 * (k + m) {
        return k * libm::log(k / m) + m - k;
    }
    let v = (k - m) / (k + m);
    let mut sum = (k - m) * v;
    let mut term = 2.0 * k * v;
    for n in 1..40 {
        term *= v * v;
        let next = sum + term / f64::from(2 * n + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The value at `x`; coefficients from the constant one upwards.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |value, coefficient| value * x + coefficient)
}

/// B_2n / (2n (2n − 1)).
const STIRLING: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

const CENTRE_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_DENOMINATOR: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_854,
];
const MIDDLE_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_DENOMINATOR: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Expected values: mpmath 1.x with 60 digits, rounded to the nearest double.

    #[track_caller]
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-13 * expected.abs(), "{value:e}, expected {expected:e}");
    }

    #[test]
    fn the_normal_distribution_and_its_quantiles() {
        let cdf = [
            (-12.5, 3.732564298877713e-36),
            (-3.0, 0.0013498980316300946),
            (-0.1, 0.460172162722971),
            (1.5, 0.9331927987311419),
        ];
        for (z, p) in cdf {
            near(normal_cdf(z), p);
        }
        let quantiles = [
            (1e-10, -6.361340902404057),
            (0.025, -1.9599639845400543),
            (0.3, -0.5244005127080408),
            (0.95, 1.6448536269514722),
        ];
        for (p, z) in quantiles {
            near(normal_quantile(p), z);
        }
        assert_eq!([0.0, 0.5, 1.0].map(normal_quantile), [f64::NEG_INFINITY, 0.0, f64::INFINITY]);
    }

    #[test]
    fn student_t_with_any_degrees_of_freedom() {
        let cdf = [
            (-2.5, 3.5, 0.03784732190474504),
            (-40.0, 1.0, 0.007956089912025814),
            (-6.0, 1234.5, 1.294552088882498e-09),
            (0.3, 0.7, 0.5853824068143325),
            (2.0, 35.1225371324628, 0.9733599406532603),
        ];
        for (t, df, p) in cdf {
            near(student_cdf(t, df), p);
        }
        let quantiles = [
            (0.05, 35.1225371324628, -1.6894122477735816),
            (0.975, 9.7, 2.237515123700105),
            (0.95, 117.6666, 1.6579066949738237),
            (0.52, 4.2, 0.05321015919403087),
            (1e-9, 2.5, -3489.5833953699816),
            (0.3, 0.4, -1.1974301614558023),
        ];
        for (p, df, t) in quantiles {
            near(student_quantile(p, df), t);
        }
        assert_eq!(student_quantile(0.05, f64::INFINITY), normal_quantile(0.05));
        assert_eq!([student_quantile(0.0, 3.0), student_quantile(0.5, 3.0)], [f64::NEG_INFINITY, 0.0]);
        assert_eq!([student_cdf(f64::INFINITY, 3.0), student_cdf(f64::NEG_INFINITY, 3.0)], [1.0, 0.0]);
        near(Confidence::NINETY.t(35.1225371324628), 1.6894122477735816);
        near(Confidence::NINETY_FIVE.z(), 1.9599639845400543);
    }

    #[test]
    fn the_upper_tail_of_f() {
        let rows = [
            (3.2, 2.0, 9.0, 0.0891760124418075),
            (9.5, 4.0, 11.5, 0.0012262027428783426),
            (0.4, 30.0, 7.0, 0.962222338710068),
            (50.0, 2.0, 9.0, 1.3355865958049654e-05),
            (0.0, 2.0, 9.0, 1.0),
            (f64::INFINITY, 2.0, 9.0, 0.0),
        ];
        for (f, df1, df2, p) in rows {
            near(f_upper(f, df1, df2), p);
        }
    }

    #[test]
    fn the_incomplete_beta_function_and_its_inverse() {
        let tails = [
            (0.03, 36.0, 1165.0, 0.5231794070308491, 0.4768205929691509),
            (0.5, 0.5, 0.5, 0.5, 0.5),
            (0.9, 200.0, 3.5, 4.3452055946880835e-07, 0.9999995654794406),
            (0.0028, 21.0, 7920.0, 0.6319001304672748, 0.3680998695327252),
            (0.25, 300_000.0, 900_000.0, 0.5001401740473881, 0.4998598259526119),
            (0.0, 2.0, 3.0, 0.0, 1.0),
            (1.0, 2.0, 3.0, 1.0, 0.0),
        ];
        for (x, a, b, lower, upper) in tails {
            let found = beta_tails(x, a, b);
            near(found.lower, lower);
            near(found.upper, upper);
        }
        let quantiles = [
            (0.025, 36.0, 1165.0, 0.021098220864371228),
            (0.975, 1.0, 500.0, 0.007350610051907785),
            (0.05, 0.3, 7.5, 4.487628685560374e-06),
            (0.95, 184.0, 261.0, 0.45206507093407805),
        ];
        for (p, a, b, x) in quantiles {
            near(beta_quantile(p, a, b), x);
        }
        assert_eq!([beta_quantile(0.0, 2.0, 3.0), beta_quantile(1.0, 2.0, 3.0)], [0.0, 1.0]);
    }

    #[test]
    fn the_incomplete_gamma_function_and_its_inverse() {
        let tails = [
            (0.4, 0.3, 0.7763805810166359, 0.22361941898336418),
            (7.0, 12.0, 0.05334962315155862, 0.9466503768484413),
            (30.0, 12.0, 0.9999361229746008, 6.387702539927337e-05),
            (980.0, 1000.0, 0.26560403888218054, 0.7343959611178195),
        ];
        for (x, shape, lower, upper) in tails {
            let found = gamma_tails(x, shape);
            near(found.lower, lower);
            near(found.upper, upper);
        }
        let quantiles = [
            (0.025, 94.3, 76.23124359573627),
            (0.975, 97.1, 117.34238831110807),
            (0.01, 0.2, 6.525480843812091e-11),
            (0.999, 2.5, 10.257502826216438),
        ];
        for (p, shape, x) in quantiles {
            near(gamma_quantile(p, shape), x);
        }
        assert_eq!([gamma_quantile(0.0, 2.0), gamma_quantile(1.0, 2.0)], [0.0, f64::INFINITY]);
    }

    #[test]
    fn the_binomial_distribution() {
        let rows = [
            (3.0, 20.0, 0.1, 0.8670466765656649, 0.1901198713761989),
            (184.0, 444.0, 0.423963133640553, 0.3605669042420083, 0.035349412371310306),
            (0.0, 50.0, 0.02, 0.36416968008711703, 0.36416968008711703),
            (70.0, 100.0, 0.9, 2.4451122393909536e-08, 1.8404083917652646e-08),
            (4.0, 4.0, 0.5, 1.0, 0.0625),
        ];
        for (k, n, p, cdf, pmf) in rows {
            near(binomial_cdf(k, n, p), cdf);
            near(binomial_pmf(k, n, p), pmf);
        }
        assert_eq!(binomial_cdf(-1.0, 4.0, 0.5), 0.0);
    }

    #[test]
    fn a_confidence_lies_between_none_and_all() {
        assert_eq!(Confidence::new(0.9), Some(Confidence::NINETY));
        assert_eq!([0.0, 1.0, f64::NAN].map(Confidence::new), [None; 3]);
    }

    proptest! {
        #[test]
        fn a_quantile_gives_its_probability_back(p in 1e-9f64..1.0, a in 0.05f64..3000.0, b in 0.05f64..3000.0) {
            let close = |found: f64| (found - p).abs() <= 1e-11 * p.min(1.0 - p) + 1e-15;
            prop_assert!(close(normal_cdf(normal_quantile(p))));
            prop_assert!(close(student_cdf(student_quantile(p, a), a)));
            let x = beta_quantile(p, a, b);
            // Where the quantile falls on an end of (0, 1) doubles cannot give it back.
            prop_assert!(close(beta_tails(x, a, b).lower) || x < 1e-290 || 1.0 - x < 1e-3);
            let x = gamma_quantile(p, a);
            prop_assert!(close(gamma_tails(x, a).lower) || x < 1e-290);
        }
    }
}
