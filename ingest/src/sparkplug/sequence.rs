//! The one `seq` of an edge node: which numbers are missing, and since when.
//!
//! `seq` runs from 0 to 255 and starts again; here every message gets a *position* that never starts again. What arrives out
//! of order fills its hole if that is still open; what leaps ahead opens holes. A hole is waited for until one deadline, then
//! all that are open are lost.
//!
//! Invariants:
//! - at most 255 positions are missing: what lies further back cannot be told from what lies ahead;
//! - messages that arrive in another order, none more than 255 late, leave no hole;
//! - the same number as the last again is a repetition and moves nothing.

use std::collections::BTreeSet;

use model::UnixMillis;

/// How far back a position can be told apart.
const WINDOW: u64 = 255;

/// What a message did to the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Next,
    /// Fills a hole.
    Late,
    /// Leaves this many holes behind.
    Ahead(u32),
    /// Has the number of the last one.
    Repeated,
}

/// Messages that never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    /// Times of the last message before and of the first after.
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) n_lost: u32,
}

/// See the module's comment.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// One more than the greatest position that came.
    next: u64,
    missing: BTreeSet<u64>,
    /// Time of the message with the greatest position.
    last_at: UnixMillis,
    gap: Option<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    from: UnixMillis,
    to: UnixMillis,
    deadline: UnixMillis,
    /// Holes that can no longer be told from what lies ahead.
    n_forgotten: u32,
}

impl Sequence {
    /// Begins with a message of this number.
    pub(super) fn starting(seq: u8, at: UnixMillis) -> Sequence {
        // A whole turn on, so that positions before the start exist.
        Sequence { next: WINDOW + 2 + u64::from(seq), missing: BTreeSet::new(), last_at: at, gap: None }
    }

    /// Begins anew with a birth of this number, at positions greater than all before.
    pub(super) fn restarted(&self, seq: u8, at: UnixMillis) -> Sequence {
        let turn = WINDOW + 1;
        let base = (self.next / turn + 2) * turn;
        Sequence { next: base + u64::from(seq) + 1, missing: BTreeSet::new(), last_at: at, gap: None }
    }

    /// The number that is expected next.
    #[allow(clippy::cast_possible_truncation, reason = "a position modulo 256 is the number")]
    pub(super) fn expected(&self) -> u8 {
        self.next as u8
    }

    /// The greatest position that came.
    pub(super) fn position(&self) -> u64 {
        self.next - 1
    }

    /// Until when the holes are waited for.
    pub(super) fn deadline(&self) -> Option<UnixMillis> {
        self.gap.map(|gap| gap.deadline)
    }

    /// Where a message of this number would go, and what it would do; changes nothing.
    pub(super) fn place(&self, seq: u8) -> (u64, Placed) {
        let ahead = u64::from(seq.wrapping_sub(self.expected()));
        let back = WINDOW + 1 - ahead;
        if let Some(position) = self.next.checked_sub(back).filter(|position| self.missing.contains(position)) {
            return (position, Placed::Late);
        }
        match ahead {
            0 => (self.next, Placed::Next),
            WINDOW => (self.next - 1, Placed::Repeated),
            // Below 255.
            _ => (self.next + ahead, Placed::Ahead(u32::try_from(ahead).unwrap_or(u32::MAX))),
        }
    }

    /// Takes a message of this number. `at` is its own time; holes are waited for until `deadline`.
    pub(super) fn take(&mut self, seq: u8, at: UnixMillis, deadline: UnixMillis) -> (u64, Placed) {
        let (position, placed) = self.place(seq);
        match placed {
            Placed::Repeated => {}
            Placed::Late => {
                self.missing.remove(&position);
                self.gap = self.gap.filter(|gap| gap.n_forgotten > 0 || !self.missing.is_empty());
            }
            Placed::Next | Placed::Ahead(_) => {
                let holes = self.next..position;
                if !holes.is_empty() {
                    let gap = self.gap.get_or_insert(Gap { from: self.last_at, to: at, deadline, n_forgotten: 0 });
                    gap.to = at;
                    self.missing.extend(holes);
                }
                self.next = position + 1;
                self.last_at = at;
                self.forget();
            }
        }
        (position, placed)
    }

    /// Lets go of the holes that can no longer be told from what lies ahead: nothing fills them before the deadline.
    fn forget(&mut self) {
        let kept = self.missing.split_off(&self.next.saturating_sub(WINDOW));
        let forgotten = std::mem::replace(&mut self.missing, kept).len();
        if let Some(gap) = &mut self.gap {
            gap.n_forgotten = gap.n_forgotten.saturating_add(count(forgotten));
        }
    }

    /// Gives up every hole whose deadline has passed.
    pub(super) fn expire(&mut self, now: UnixMillis) -> Option<Lost> {
        self.gap.filter(|gap| gap.deadline <= now)?;
        self.give_up()
    }

    /// Gives up every hole.
    pub(super) fn give_up(&mut self) -> Option<Lost> {
        let gap = self.gap.take()?;
        let missing = std::mem::take(&mut self.missing);
        let n_lost = gap.n_forgotten.saturating_add(count(missing.len()));
        Some(Lost { from: gap.from, to: gap.to, n_lost })
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: UnixMillis = UnixMillis(1_000);
    const DEADLINE: UnixMillis = UnixMillis(5_000);

    fn placed(sequence: &mut Sequence, seq: u8) -> Placed {
        sequence.take(seq, AT, DEADLINE).1
    }

    #[test]
    fn zero_follows_255() {
        let mut sequence = Sequence::starting(254, AT);
        for seq in [255, 0, 1, 2] {
            assert_eq!(placed(&mut sequence, seq), Placed::Next, "{seq}");
        }
        assert_eq!(sequence.deadline(), None);
    }

    #[test]
    fn a_birth_may_start_with_any_number() {
        for seq in [0, 1, 17, 255] {
            let mut sequence = Sequence::starting(9, AT).restarted(seq, AT);
            assert_eq!(placed(&mut sequence, seq.wrapping_add(1)), Placed::Next, "{seq}");
        }
    }

    #[test]
    fn a_hole_that_is_filled_in_time_is_none() {
        let mut sequence = Sequence::starting(0, AT);
        assert_eq!(placed(&mut sequence, 3), Placed::Ahead(2));
        assert_eq!(sequence.deadline(), Some(DEADLINE));
        assert_eq!(placed(&mut sequence, 2), Placed::Late);
        assert_eq!(placed(&mut sequence, 1), Placed::Late);
        assert_eq!(sequence.deadline(), None);
        assert_eq!(sequence.expire(DEADLINE), None);
    }

    #[test]
    fn a_hole_that_stays_is_lost_at_its_deadline_with_its_span() {
        let mut sequence = Sequence::starting(0, UnixMillis(10));
        sequence.take(4, UnixMillis(20), DEADLINE);
        sequence.take(5, UnixMillis(30), UnixMillis(9_000));
        sequence.take(2, UnixMillis(15), UnixMillis(9_000));
        assert_eq!(sequence.expire(UnixMillis(4_999)), None);
        let lost = Lost { from: UnixMillis(10), to: UnixMillis(20), n_lost: 2 };
        assert_eq!(sequence.expire(DEADLINE), Some(lost));
        assert_eq!(sequence.expire(UnixMillis(99_000)), None);
        assert_eq!(placed(&mut sequence, 6), Placed::Next);
    }

    #[test]
    fn the_same_number_again_is_a_repetition() {
        let mut sequence = Sequence::starting(7, AT);
        assert_eq!(placed(&mut sequence, 7), Placed::Repeated);
        assert_eq!(sequence.deadline(), None);
        assert_eq!(placed(&mut sequence, 8), Placed::Next);
    }

    #[test]
    fn holes_stay_bounded_and_what_falls_out_is_lost_at_the_deadline() {
        let mut sequence = Sequence::starting(0, AT);
        for _ in 0..1_000 {
            let seq = sequence.expected().wrapping_add(200);
            let (_, placed) = sequence.take(seq, AT, DEADLINE);
            // A leap of 200 may look like a late message of the hole before it.
            assert!(matches!(placed, Placed::Ahead(200) | Placed::Late), "{placed:?}");
            assert!(sequence.missing.len() <= 255);
        }
        assert!(sequence.expire(DEADLINE).unwrap().n_lost > 255);
    }

    proptest! {
        #[test]
        fn any_order_within_the_window_closes_every_hole(
            n in 2usize..600,
            window in 1usize..120,
            swaps in proptest::collection::vec((0usize..600, 0usize..120), 0..400),
        ) {
            let mut order: Vec<usize> = (1..=n).collect();
            // Each chunk of `window` messages is shuffled in itself, so that nothing is more than a window late.
            for (place, offset) in swaps {
                let place = place % n;
                let chunk = place / window * window;
                let other = (chunk + offset % window).min(n - 1);
                order.swap(place, other);
            }
            let mut sequence = Sequence::starting(0, AT);
            for number in &order {
                let seq = u8::try_from(number % 256).unwrap();
                let (_, placed) = sequence.take(seq, AT, DEADLINE);
                prop_assert_ne!(placed, Placed::Repeated);
            }
            prop_assert_eq!(sequence.deadline(), None);
            prop_assert_eq!(usize::from(sequence.expected()), (n + 1) % 256);
        }

        #[test]
        fn numbers_in_any_order_never_panic(seqs in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mut sequence = Sequence::starting(0, AT);
            for seq in seqs {
                sequence.take(seq, AT, DEADLINE);
                prop_assert!(sequence.missing.len() <= 255);
                prop_assert!(sequence.missing.is_empty() || sequence.deadline().is_some());
            }
        }
    }
}
