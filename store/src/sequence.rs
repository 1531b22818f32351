//! Which `seq`s of a gateway's boot are committed: merged ranges, for the detection of gaps and re-sends.
//!
//! Invariants:
//! - ranges are disjoint, ascending and not adjacent;
//! - at most [`RANGES_MAX`] per boot (the oldest gap is closed first), at most [`BOOTS_MAX`] boots per gateway (the one
//!   not heard of longest is forgotten).

use std::collections::BTreeMap;

use model::{GatewayId, PilotId};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::api::CommitNo;
use crate::error::{StoreError, reading, writing};
use crate::schema::sql;
use crate::seal::{seal_value, unseal_value};

/// A gateway with more gaps than this loses the oldest: 16 KB a boot.
const RANGES_MAX: usize = 1_000;
/// A gateway that boots more often keeps the latest: gaps across hundreds of boots tell nobody anything.
const BOOTS_MAX: i64 = 64;

/// Adds one seq.
pub(crate) fn add(ranges: &mut Vec<(u64, u64)>, seq: u64) {
    let idx = ranges.partition_point(|(_, to)| *to < seq.saturating_sub(1));
    match ranges.get_mut(idx) {
        Some((from, to)) if *from <= seq.saturating_add(1) => {
            (*from, *to) = ((*from).min(seq), (*to).max(seq));
            let to = *to;
            if let Some(next) = ranges.get(idx + 1).copied().filter(|(from, _)| *from <= to.saturating_add(1)) {
                ranges[idx].1 = to.max(next.1);
                ranges.remove(idx + 1);
            }
        }
        Some(_) | None => ranges.insert(idx, (seq, seq)),
    }
    if ranges.len() > RANGES_MAX {
        let oldest = ranges.remove(0);
        ranges[0].0 = oldest.0;
    }
}

/// Pilot, gateway, boot.
pub(crate) type Key = (PilotId, GatewayId, u64);

fn place(pilot: &str, gateway: &str, boot: i64) -> String {
    format!("sequence/{pilot}/{gateway}/{boot}")
}

/// All ranges of the store.
pub(crate) fn read_all(conn: &Connection) -> Result<BTreeMap<Key, Vec<(u64, u64)>>, StoreError> {
    let failed = reading("sequences");
    let mut statement = conn.prepare_cached("SELECT pilot, gateway, boot, blob FROM sequence").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (pilot, gateway): (String, String) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        let (boot, blob): (i64, Vec<u8>) = (row.get(2).map_err(&failed)?, row.get(3).map_err(&failed)?);
        let place = place(&pilot, &gateway, boot);
        let ranges = unseal_value(&place, &blob)?;
        let key = PilotId::parse(&pilot).ok().zip(GatewayId::parse(&gateway).ok());
        let (pilot, gateway) = key.ok_or(StoreError::Format { place, text: "it is no id".to_owned() })?;
        all.insert((pilot, gateway, boot.cast_unsigned()), ranges);
    }
    Ok(all)
}

/// Adds what a round holds; again, it has no effect.
pub(crate) fn write(tx: &Transaction<'_>, through: CommitNo, groups: &[(&Key, &Vec<u64>)]) -> Result<(), StoreError> {
    let failed = writing("sequences");
    for ((pilot, gateway, boot), seqs) in groups {
        let (pilot, gateway, boot) = (pilot.as_str(), gateway.as_str(), boot.cast_signed());
        let place = place(pilot, gateway, boot);
        let blob: Option<Vec<u8>> = tx
            .prepare_cached("SELECT blob FROM sequence WHERE pilot = ?1 AND gateway = ?2 AND boot = ?3")
            .and_then(|mut statement| statement.query_row(params![pilot, gateway, boot], |row| row.get(0)).optional())
            .map_err(&failed)?;
        let mut ranges = blob.map_or(Ok(Vec::new()), |blob| unseal_value(&place, &blob))?;
        seqs.iter().for_each(|seq| add(&mut ranges, *seq));
        let blob = seal_value(&place, &ranges)?;
        tx.prepare_cached(
            "INSERT OR REPLACE INTO sequence(pilot, gateway, boot, last_commit, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut statement| statement.execute(params![pilot, gateway, boot, sql(through.0), blob]))
        .map_err(&failed)?;
        tx.prepare_cached(
            "DELETE FROM sequence WHERE pilot = ?1 AND gateway = ?2 AND boot IN (SELECT boot FROM sequence
             WHERE pilot = ?1 AND gateway = ?2 ORDER BY last_commit DESC, boot DESC LIMIT -1 OFFSET ?3)",
        )
        .and_then(|mut statement| statement.execute(params![pilot, gateway, BOOTS_MAX]))
        .map_err(&failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_join_and_gaps_stay() {
        check(&[1, 2, 3], &[(1, 3)]);
        check(&[1, 3, 2], &[(1, 3)]);
        check(&[5, 1, 9, 5], &[(1, 1), (5, 5), (9, 9)]);
        check(&[u64::MAX, 0, u64::MAX - 1], &[(0, 0), (u64::MAX - 1, u64::MAX)]);

        #[track_caller]
        fn check(seqs: &[u64], expected: &[(u64, u64)]) {
            let mut ranges = Vec::new();
            seqs.iter().for_each(|seq| add(&mut ranges, *seq));
            assert_eq!(ranges, expected, "{seqs:?}");
        }
    }

    #[test]
    fn beyond_the_bound_the_oldest_gap_closes() {
        let mut ranges = Vec::new();
        (0..=RANGES_MAX as u64).for_each(|n| add(&mut ranges, n * 2));
        assert_eq!(ranges.len(), RANGES_MAX);
        assert_eq!(ranges[..2], [(0, 2), (4, 4)]);
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_seen(mut seqs in proptest::collection::vec(0u64..60, 0..80)) {
            let mut ranges = Vec::new();
            seqs.iter().for_each(|seq| add(&mut ranges, *seq));
            seqs.sort_unstable();
            seqs.dedup();
            let held: Vec<u64> = ranges.iter().flat_map(|(from, to)| *from..=*to).collect();
            prop_assert_eq!(held, seqs);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
