//! Decides between readings of one identity, and where new readings go among the chunks of a series. Pure.
//!
//! Invariants:
//! - what stands and what lost depends on the set of readings only, never on the order in which they came;
//! - chunks of a series are disjoint and ascending, and readings of one instant share a chunk.

use std::cmp::Ordering;

use model::Reading;

/// A chunk is cut to about this many points: pco is within a few per cent of its best, and a day of one series decodes
/// in a tenth of a millisecond.
pub(crate) const CHUNK_POINTS: usize = 1_024;
/// Beyond this many points a chunk is cut.
pub(crate) const CHUNK_POINTS_MAX: usize = 2 * CHUNK_POINTS;
/// New points of a series go into chunks once there are this many; fewer wait in small parts.
pub(crate) const MERGE_POINTS: usize = 256;

/// Sorts readings and keeps one per identity; the others that differ in value or quality go to `losers`.
pub(crate) fn resolve(readings: &mut Vec<Reading>, losers: &mut Vec<Reading>) {
    if !readings.is_sorted_by(|a, b| a.cmp_identity(b).is_lt()) {
        readings.sort_by(|a, b| a.cmp_identity(b).then_with(|| b.cmp_standing(a)));
        readings.dedup_by(|later, standing| {
            let same_identity = later.cmp_identity(standing).is_eq();
            if same_identity && !later.is_same(standing) {
                losers.push(later.clone());
            }
            same_identity
        });
    }
}

/// Takes out of `fresh` what `stored` already has or beats; what a fresh reading beats, or loses to, goes to `losers`.
/// Both are in order of identity, without repeats.
pub(crate) fn against(fresh: &mut Vec<Reading>, stored: &[Reading], losers: &mut Vec<Reading>) {
    let mut rest = stored;
    fresh.retain(|new| {
        let before = rest.partition_point(|old| old.cmp_identity(new).is_lt());
        rest = &rest[before..];
        let Some(old) = rest.first().filter(|old| old.cmp_identity(new).is_eq()) else {
            return true;
        };
        let order = new.cmp_standing(old);
        if !new.is_same(old) {
            losers.push(if order.is_gt() { old.clone() } else { new.clone() });
        }
        order == Ordering::Greater
    });
}

/// Two sorted lists as one; of one identity the standing reading.
pub(crate) fn union(a: Vec<Reading>, b: Vec<Reading>) -> Vec<Reading> {
    if b.is_empty() {
        return a;
    }
    let mut all = a;
    all.extend(b);
    let mut losers = Vec::new();
    resolve(&mut all, &mut losers);
    all
}

/// Cuts sorted readings into chunks: one if they fit, else pieces of about [`CHUNK_POINTS`]; equal instants stay together.
pub(crate) fn cut(readings: &[Reading]) -> Vec<&[Reading]> {
    let mut pieces = Vec::new();
    let mut rest = readings;
    while rest.len() > CHUNK_POINTS_MAX {
        let at = rest[CHUNK_POINTS].at;
        let end = CHUNK_POINTS + rest[CHUNK_POINTS..].partition_point(|reading| reading.at == at);
        // The boundary falls before the instant if it began inside the piece, unless the piece is nothing but it.
        let start = rest.partition_point(|reading| reading.at < at);
        let (piece, tail) = rest.split_at(if start > 0 { start } else { end });
        pieces.push(piece);
        rest = tail;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// What is known of a stored chunk without its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) row: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) n: usize,
}

/// A run of fresh readings, and the chunk it is merged into (none: chunks of its own).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) into: Option<Extent>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Places sorted fresh readings among ascending chunks. The chunks given reach from the last one that begins at or
/// before the first reading to the last one that begins at or before the last (or are the first one after both).
pub(crate) fn place(fresh: &[Reading], chunks: &[Extent]) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    let mut from = 0;
    for (idx, chunk) in chunks.iter().enumerate() {
        let next = chunks.get(idx + 1);
        let to = next.map_or(fresh.len(), |next| fresh.partition_point(|reading| reading.at.0 < next.first_at));
        if to <= from {
            continue;
        }
        // A full chunk is left alone by what lies behind it, if that is enough for a chunk, or the end of the series.
        let inside = from + fresh[from..to].partition_point(|reading| reading.at.0 <= chunk.last_at);
        let behind = to - inside;
        let is_apart = chunk.n >= CHUNK_POINTS && behind > 0 && (next.is_none() || behind >= MERGE_POINTS);
        let end = if is_apart { inside } else { to };
        if end > from {
            placed.push(Placed { into: Some(*chunk), from, to: end });
        }
        if to > end {
            placed.push(Placed { into: None, from: end, to });
        }
        from = to;
    }
    if from < fresh.len() {
        placed.push(Placed { into: None, from, to: fresh.len() });
    }
    placed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Flags, Quality, UnixMillis, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::tests::any_reading;

    fn reading(at: i64, value: i64) -> Reading {
        let (quality, flags) = (Quality::Good, Flags::default());
        Reading { at: UnixMillis(at), value: Some(Value::Int(value)), quality, flags, id: None }
    }

    #[test]
    fn the_greater_stands_whichever_came_first() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let mut readings: Vec<Reading> = order.into_iter().map(|value| reading(10, value)).collect();
            let mut losers = Vec::new();
            resolve(&mut readings, &mut losers);
            losers.sort_by(Reading::cmp_standing);
            assert_eq!(readings, [reading(10, 3)]);
            assert_eq!(losers, [reading(10, 1), reading(10, 2)]);
        }
    }

    #[test]
    fn what_is_stored_already_has_no_effect() {
        let mut losers = Vec::new();
        let mut fresh = vec![reading(1, 5), reading(2, 5), reading(3, 5), reading(4, 5)];
        against(&mut fresh, &[reading(1, 5), reading(2, 4), reading(3, 6)], &mut losers);
        assert_eq!(fresh, [reading(2, 5), reading(4, 5)]);
        assert_eq!(losers, [reading(2, 4), reading(3, 5)]);
    }

    #[test]
    fn readings_of_one_instant_share_a_chunk() {
        let at = |instant: i64| {
            (0..CHUNK_POINTS_MAX)
                .map(move |n| Reading { id: Some(Arc::from(format!("{n:05}"))), ..reading(instant, 1) })
        };
        let readings: Vec<Reading> = (0..600).map(|n| reading(n, 1)).chain(at(1_000)).chain(at(2_000)).collect();
        let pieces: Vec<usize> = cut(&readings).into_iter().map(<[Reading]>::len).collect();
        assert_eq!(pieces, [600, CHUNK_POINTS_MAX, CHUNK_POINTS_MAX]);
    }

    fn chunk(row: i64, first_at: i64, last_at: i64, n: usize) -> Extent {
        Extent { row, first_at, last_at, n }
    }

    #[test]
    fn late_readings_go_only_where_they_overlap() {
        let chunks = [chunk(1, 100, 199, 1_024), chunk(2, 200, 299, 1_024), chunk(3, 300, 399, 500)];
        let fresh: Vec<Reading> = [50, 150, 350, 450].map(|at| reading(at, 1)).into();
        let into: Vec<_> = place(&fresh, &chunks).into_iter().map(|p| (p.into.map(|c| c.row), p.from, p.to)).collect();
        assert_eq!(into, [(Some(1), 0, 2), (Some(3), 2, 4)]);
        let behind: Vec<Reading> = (400..700).map(|at| reading(at, 1)).collect();
        let full = [chunk(3, 300, 399, 1_024)];
        assert_eq!(place(&behind, &full), [Placed { into: None, from: 0, to: 300 }]);
        assert_eq!(place(&behind, &[]), [Placed { into: None, from: 0, to: 300 }]);
    }

    proptest! {
        #[test]
        fn halves_and_order_do_not_matter(readings in proptest::collection::vec(any_reading(12), 0..40), half in 0usize..40) {
            let mut whole = readings.clone();
            let mut lost = Vec::new();
            resolve(&mut whole, &mut lost);
            let (a, b) = readings.split_at(half.min(readings.len()));
            let (mut stored, mut fresh, mut lost_in_halves) = (b.to_vec(), a.to_vec(), Vec::new());
            resolve(&mut stored, &mut lost_in_halves);
            resolve(&mut fresh, &mut lost_in_halves);
            against(&mut fresh, &stored, &mut lost_in_halves);
            prop_assert_eq!(union(stored, fresh), whole);
            prop_assert_eq!(keys(lost), keys(lost_in_halves));
        }

        #[test]
        fn cutting_loses_nothing(instants in proptest::collection::vec(0i64..3_000, 0..6_000)) {
            let mut readings: Vec<Reading> = instants.iter().map(|&at| reading(at, 1)).collect();
            readings.sort_by_key(|reading| reading.at);
            let pieces = cut(&readings);
            prop_assert_eq!(pieces.concat(), readings.clone());
            for pair in pieces.windows(2) {
                prop_assert!(pair[0].last().unwrap().at < pair[1][0].at);
            }
        }
    }

    /// Losers as a set of (identity, quality, value).
    fn keys(losers: Vec<Reading>) -> Vec<Reading> {
        let mut keys: Vec<Reading> =
            losers.into_iter().map(|loser| Reading { flags: Flags::default(), ..loser }).collect();
        keys.sort_by(|a, b| a.cmp_identity(b).then_with(|| a.cmp_standing(b)));
        keys.dedup();
        keys
    }
}
