//! Pauses between two connections: doubled with each failure, with jitter that is the same in every run.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Pace;

/// The pause before attempt `attempt` (from 0): up to half as long again, by client id, so that processes that lost one
/// broker at once do not come back at once.
pub(super) fn pause(client_id: &str, attempt: u32, pace: &Pace) -> Duration {
    let doubled = pace.backoff_min.saturating_mul(1u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX));
    let base = doubled.min(pace.backoff_max);
    let jitter = xxh3_64_with_seed(client_id.as_bytes(), u64::from(attempt)) % 1_000;
    base + base.mul_f64(jitter as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_by_client_and_not_by_run() {
        let pace = Pace::default();
        for attempt in 0..200 {
            let pause = pause("a", attempt, &pace);
            assert!(pause >= pace.backoff_min && pause <= pace.backoff_max.mul_f64(1.5), "{attempt}: {pause:?}");
            assert_eq!(pause, super::pause("a", attempt, &pace));
        }
        assert!(pause("a", 9, &pace) >= pace.backoff_max);
        assert_ne!(pause("a", 3, &pace), pause("b", 3, &pace));
    }
}
