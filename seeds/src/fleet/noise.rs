//! The only randomness of the fleet: hashes of (seed, what, index), so that any day comes out without the days before.
//!
//! Invariants:
//! - the same arguments give the same number on every machine: integers and `libm`, no generator with a state;
//! - [`spread`] fills (0, 1) evenly however many of its numbers are taken, so that a year of them has the median it was
//!   meant to have.

/// What a number is drawn for. Two uses never share a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Output = 1,
    Defects,
    Energy,
    Gas,
    Costs,
    Quarter,
    OrderStart,
    Pilot,
}

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio: the step of splitmix64 and of [`spread`].
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of a counter in a stream.
pub(crate) fn hash(seed: u64, stream: Stream, index: u64) -> u64 {
    mix(mix(seed ^ (stream as u64).wrapping_mul(GOLDEN)).wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// Evenly in [0, 1).
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// Evenly in [−1, 1).
pub(crate) fn signed(hash: u64) -> f64 {
    2.0 * unit(hash) - 1.0
}

/// The `index`-th number of a sequence that fills (0, 1) evenly: multiples of the golden ratio, from a start per seed.
pub(crate) fn spread(seed: u64, index: u64) -> f64 {
    unit(index.wrapping_mul(GOLDEN).wrapping_add(mix(seed)))
}

/// Another such sequence, for a second number of the same index (a multiple of the plastic number's inverse).
pub(crate) fn spread_beside(seed: u64, index: u64) -> f64 {
    unit(index.wrapping_mul(0xC13F_A9A9_02A6_328F).wrapping_add(mix(!seed)))
}

/// The quantile of the standard normal distribution (P. J. Acklam's rational approximation, relative error 1.2e-9), held
/// at ±3 so that no order takes for ever.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    const TAIL: f64 = 0.024_25;
    if p > 1.0 - TAIL {
        return -normal_quantile(1.0 - p);
    }
    let horner = |terms: &[f64], x: f64| terms.iter().fold(0.0, |sum, term| sum * x + term);
    let z = if p < TAIL {
        let q = libm::sqrt(-2.0 * libm::log(p.max(f64::MIN_POSITIVE)));
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    } else {
        let q = p - 0.5;
        horner(&A, q * q) * q / (horner(&B, q * q) * q * q + 1.0)
    };
    z.clamp(-3.0, 3.0)
}

/// A number that is whole and far below 2^53, as an integer.
#[allow(clippy::cast_possible_truncation, reason = "whole amounts of a plant's day, far below 2^53; `as` saturates")]
pub(crate) fn whole(value: f64) -> i64 {
    libm::floor(value) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_one_of_the_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.025, -1.959_963_985), (0.01, -2.326_347_874)] {
            assert!((normal_quantile(p) - z).abs() < 1e-6, "{p}: {}", normal_quantile(p));
        }
        assert!((normal_quantile(1e-12) + 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_spread_sequence_leaves_no_quantile_out() {
        let mut taken: Vec<f64> = (0..1000).map(|index| spread(7, index)).collect();
        taken.sort_by(f64::total_cmp);
        for (rank, value) in taken.iter().enumerate() {
            assert!((value - rank as f64 / 1000.0).abs() < 0.005, "{rank}: {value}");
        }
    }
}
