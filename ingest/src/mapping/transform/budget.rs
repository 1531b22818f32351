//! How much one run of a filter may do: every value that it makes or looks at is paid for from one purse per thread.
//!
//! `jaq-core` hands its operators values and nothing else, so the purse cannot travel with them; a run begins and ends on one
//! thread without a pause. Where the purse is empty, what can fail fails and what cannot comes out empty, so that a run ends
//! soon, and its outcome is thrown away.

use std::cell::Cell;

/// Steps of one run: a message of the largest size holds half a million values, which leaves four for each, and a run that
/// spends all takes a few tenths of a second and some 100 MB.
pub(super) const STEPS_MAX: u64 = 2_000_000;
/// Bytes of text that cost as much as one value.
const BYTES_PER_STEP: usize = 16;

thread_local! {
    /// What is left; none once more was asked for.
    static LEFT: Cell<Option<u64>> = const { Cell::new(Some(0)) };
}

/// Fills the purse for a run.
pub(super) fn begin() {
    LEFT.set(Some(STEPS_MAX));
}

/// Whether more was asked for than there was.
pub(super) fn is_overdrawn() -> bool {
    LEFT.get().is_none()
}

/// Pays for this many values; false if that is too much.
pub(super) fn pays(n_values: usize) -> bool {
    let left = LEFT.get().and_then(|left| left.checked_sub(u64::try_from(n_values).unwrap_or(u64::MAX)));
    LEFT.set(left);
    left.is_some()
}

/// Pays for a text of this many bytes.
pub(super) fn pays_text(n_bytes: usize) -> bool {
    pays(1 + n_bytes / BYTES_PER_STEP)
}

/// Ends a run whose value cannot be made for another reason than its cost.
pub(super) fn overdraw() {
    LEFT.set(None);
}
