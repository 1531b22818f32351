//! One row of the journal: everything of one commit in one blob.
//!
//! ```text
//! 0  version (2; 1 is read)
//! 1  xxh3-64 of all that follows, seeded with the commit's number and time
//! 9  chain: xxh3-64 of the first 17 bytes of the row before
//! 17 length + parts (postcard) | length + hashes (16 bytes each) | length + readings (columns)
//! readings: n | series (zigzag deltas) | times (zigzag deltas) | kinds (runs) | values | remarks (runs) | ids (sparse)
//! ```
//!
//! The chain makes a lost or exchanged row visible; the numbers, which have no holes, make a lost tail visible against
//! what is settled.
//!
//! Invariants:
//! - the new catalogue entries travel in the row, or an earlier one, so that no series number lacks its key;
//! - the parts can be read without the readings.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Flags, GatewayId, OrderEvent, PilotId, Quality, Reading, SeriesId, UnixMillis, Value};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::api::{
    Batch, CatalogueEntry, CommitNo, Counters, HeldChange, LearnedMessage, Outage, RejectedMessage, Replayed,
    SequenceSeen, SessionChange,
};
use crate::counts::CountersV1;
use crate::error::StoreError;
use crate::wire::{Wire, put_bytes, put_int, put_len, put_runs, put_uint};

const VERSION: u8 = 2;
/// Counts without their number, no outages, nothing learned.
const VERSION_1: u8 = 1;
const HEADER_BYTES: usize = 17;

/// The seqs that one commit holds of one boot of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SequenceGroup {
    pub(crate) pilot: PilotId,
    pub(crate) gateway: GatewayId,
    pub(crate) boot: u64,
    pub(crate) seqs: Vec<u64>,
}

#[derive(Serialize)]
struct PartsRef<'a> {
    next_series: u32,
    entries: &'a [CatalogueEntry],
    orders: &'a [(PilotId, OrderEvent)],
    rejections: &'a [RejectedMessage],
    counters: &'a Counters,
    sessions: &'a [SessionChange],
    held: &'a [HeldChange],
    sequences: Vec<SequenceGroup>,
    replayed: &'a [Replayed],
    outages: &'a [Outage],
    learned: &'a [LearnedMessage],
}

/// A commit without its readings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Parts {
    pub(crate) next_series: u32,
    pub(crate) entries: Vec<CatalogueEntry>,
    pub(crate) orders: Vec<(PilotId, OrderEvent)>,
    pub(crate) rejections: Vec<RejectedMessage>,
    pub(crate) counters: Counters,
    pub(crate) sessions: Vec<SessionChange>,
    pub(crate) held: Vec<HeldChange>,
    pub(crate) sequences: Vec<SequenceGroup>,
    pub(crate) replayed: Vec<Replayed>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) learned: Vec<LearnedMessage>,
}

/// [`Parts`] of version 1.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct PartsV1 {
    next_series: u32,
    entries: Vec<CatalogueEntry>,
    orders: Vec<(PilotId, OrderEvent)>,
    rejections: Vec<RejectedMessage>,
    counters: CountersV1,
    sessions: Vec<SessionChange>,
    held: Vec<HeldChange>,
    sequences: Vec<SequenceGroup>,
    replayed: Vec<Replayed>,
}

impl From<PartsV1> for Parts {
    fn from(old: PartsV1) -> Parts {
        let PartsV1 { next_series, entries, orders, rejections, counters, sessions, held, sequences, replayed } = old;
        let (counters, outages, learned) = (counters.into(), Vec::new(), Vec::new());
        Parts {
            next_series,
            entries,
            orders,
            rejections,
            counters,
            sessions,
            held,
            sequences,
            replayed,
            outages,
            learned,
        }
    }
}

/// A row whose checksum is right.
pub(crate) struct Row<'a> {
    pub(crate) commit: CommitNo,
    version: u8,
    parts: &'a [u8],
    hashes: &'a [u8],
    readings: &'a [u8],
}

/// What links the next row to this one.
pub(crate) fn chain_of(blob: &[u8]) -> u64 {
    xxh3_64(&blob[..blob.len().min(HEADER_BYTES)])
}

/// The link that a row carries to the one before it.
pub(crate) fn chain_in(blob: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*blob.get(9..HEADER_BYTES)?.first_chunk()?))
}

fn seed(commit: CommitNo, at: UnixMillis) -> u64 {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&commit.0.to_le_bytes());
    key[8..].copy_from_slice(&at.0.to_le_bytes());
    xxh3_64(&key)
}

/// What a row needs besides its batch.
pub(crate) struct Heading<'a> {
    pub(crate) commit: CommitNo,
    pub(crate) at: UnixMillis,
    pub(crate) chain: u64,
    pub(crate) next_series: u32,
    pub(crate) entries: &'a [CatalogueEntry],
}

/// The blob of a commit.
pub(crate) fn encode(heading: &Heading<'_>, batch: &Batch) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(256 + batch.readings.len() * 16 + batch.hashes.len() * 16);
    out.extend_from_slice(&[VERSION; 1]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&heading.chain.to_le_bytes());
    put_bytes(&mut out, &parts_of(heading, batch)?);
    put_len(&mut out, batch.hashes.len() * 16);
    for hash in &batch.hashes {
        out.extend_from_slice(&hash.to_le_bytes());
    }
    put_bytes(&mut out, &columns(&batch.readings));
    let sum = xxh3_64_with_seed(&out[9..], seed(heading.commit, heading.at));
    out[1..9].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

fn parts_of(heading: &Heading<'_>, batch: &Batch) -> Result<Vec<u8>, StoreError> {
    let parts = PartsRef {
        next_series: heading.next_series,
        entries: heading.entries,
        orders: &batch.orders,
        rejections: &batch.rejections,
        counters: &batch.counters,
        sessions: &batch.sessions,
        held: &batch.held,
        sequences: groups(&batch.sequences),
        replayed: &batch.replayed,
        outages: &batch.outages,
        learned: &batch.learned,
    };
    let place = || format!("journal/{}", heading.commit.0);
    postcard::to_stdvec(&parts).map_err(|error| StoreError::Encode { place: place(), text: error.to_string() })
}

/// The seqs by boot, in the order of (pilot, gateway, boot): a gateway's names stand once in a row, not once a message.
fn groups(sequences: &[SequenceSeen]) -> Vec<SequenceGroup> {
    let mut by_boot: BTreeMap<(&PilotId, &GatewayId, u64), Vec<u64>> = BTreeMap::new();
    for seen in sequences {
        by_boot.entry((&seen.pilot, &seen.gateway, seen.boot)).or_default().push(seen.seq);
    }
    let group = |((pilot, gateway, boot), seqs): ((&PilotId, &GatewayId, u64), Vec<u64>)| SequenceGroup {
        pilot: pilot.clone(),
        gateway: gateway.clone(),
        boot,
        seqs,
    };
    by_boot.into_iter().map(group).collect()
}

const KIND_NONE: u8 = 0;
const KIND_INT: u8 = 1;
const KIND_UINT: u8 = 2;
const KIND_FLOAT: u8 = 3;

fn kind(value: Option<Value>) -> u8 {
    match value {
        None => KIND_NONE,
        Some(Value::Int(_)) => KIND_INT,
        Some(Value::UInt(_)) => KIND_UINT,
        Some(Value::Float(_)) => KIND_FLOAT,
    }
}

fn columns(readings: &[(SeriesId, Reading)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + readings.len() * 14);
    put_len(&mut out, readings.len());
    let mut last = 0;
    for (series, _) in readings {
        put_int(&mut out, i64::from(series.0) - last);
        last = i64::from(series.0);
    }
    let mut last = 0i64;
    for (_, reading) in readings {
        put_int(&mut out, reading.at.0.wrapping_sub(last));
        last = reading.at.0;
    }
    put_runs(&mut out, readings.iter().map(|(_, reading)| kind(reading.value)), |out, kind| out.push(kind));
    for (_, reading) in readings {
        match reading.value {
            None => {}
            Some(Value::Int(int)) => put_int(&mut out, int),
            Some(Value::UInt(int)) => put_uint(&mut out, int),
            Some(Value::Float(float)) => out.extend_from_slice(&float.to_bits().to_le_bytes()),
        }
    }
    put_runs(
        &mut out,
        readings.iter().map(|(_, reading)| (reading.quality, reading.flags)),
        |out, (quality, flags)| {
            out.push(quality_byte(quality));
            out.push(flags.0);
        },
    );
    put_ids(&mut out, readings);
    out
}

fn put_ids(out: &mut Vec<u8>, readings: &[(SeriesId, Reading)]) {
    put_len(out, readings.iter().filter(|(_, reading)| reading.id.is_some()).count());
    let mut last = 0;
    for (idx, id) in readings.iter().enumerate().filter_map(|(idx, (_, reading))| Some((idx, reading.id.as_ref()?))) {
        put_len(out, idx - last);
        put_bytes(out, id.as_bytes());
        last = idx;
    }
}

fn quality_byte(quality: Quality) -> u8 {
    match quality {
        Quality::Bad => 0,
        Quality::Uncertain => 1,
        Quality::Good => 2,
    }
}

fn quality_of(byte: u8) -> Option<Quality> {
    match byte {
        0 => Some(Quality::Bad),
        1 => Some(Quality::Uncertain),
        2 => Some(Quality::Good),
        _ => None,
    }
}

impl<'a> Row<'a> {
    /// Verifies a blob and finds its three parts.
    pub(crate) fn open(commit: CommitNo, at: UnixMillis, blob: &'a [u8]) -> Result<Row<'a>, StoreError> {
        let place = || format!("journal/{}", commit.0);
        let sum = blob.get(1..9).and_then(|sum| sum.first_chunk::<8>());
        let (Some(sum), Some(&(VERSION | VERSION_1))) = (sum, blob.first()) else {
            return Err(StoreError::Checksum { place: place() });
        };
        if u64::from_le_bytes(*sum) != xxh3_64_with_seed(&blob[9..], seed(commit, at)) {
            return Err(StoreError::Checksum { place: place() });
        }
        Row::split(commit, blob)
            .ok_or_else(|| StoreError::Format { place: place(), text: "it ends inside a part".to_owned() })
    }

    fn split(commit: CommitNo, blob: &'a [u8]) -> Option<Row<'a>> {
        let mut wire = Wire::new(blob.get(HEADER_BYTES..)?);
        let version = *blob.first()?;
        Some(Row { commit, version, parts: wire.bytes()?, hashes: wire.bytes()?, readings: wire.bytes()? })
    }

    /// Everything but readings and hashes.
    pub(crate) fn parts(&self) -> Result<Parts, StoreError> {
        let parts = match self.version {
            VERSION_1 => postcard::from_bytes::<PartsV1>(self.parts).map(Parts::from),
            _ => postcard::from_bytes(self.parts),
        };
        parts.map_err(|error| self.format(error.to_string()))
    }

    /// The hashes of its messages, in order.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = u128> + 'a {
        self.hashes.as_chunks::<16>().0.iter().map(|bytes| u128::from_le_bytes(*bytes))
    }

    /// How many readings it holds.
    pub(crate) fn n_readings(&self) -> u64 {
        Wire::new(self.readings).uint().unwrap_or(0)
    }

    /// Appends its readings.
    pub(crate) fn readings_into(&self, points: &mut Points) -> Result<(), StoreError> {
        let kept = points.rows.len();
        let kept_ids = points.ids.len();
        points.read(self.readings).ok_or_else(|| {
            points.rows.truncate(kept);
            points.ids.truncate(kept_ids);
            self.format("its readings do not read".to_owned())
        })
    }

    fn format(&self, text: String) -> StoreError {
        StoreError::Format { place: format!("journal/{}", self.commit.0), text }
    }
}

/// A reading in 24 bytes; its id, if any, stands beside.
#[derive(Clone, Copy)]
struct Packed {
    at: i64,
    bits: u64,
    series: u32,
    kind: u8,
    quality: Quality,
    flags: Flags,
}

/// Readings of many rows, as they came: 24 bytes each, so that two million take less than 64 MB.
#[derive(Default)]
pub(crate) struct Points {
    rows: Vec<Packed>,
    /// Ascending by index.
    ids: Vec<(u32, Arc<str>)>,
}

impl Points {
    /// Room for exactly this many, so that a large round does not take twice its size by growing.
    pub(crate) fn with_room(n: usize) -> Points {
        Points { rows: Vec::with_capacity(n), ids: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn series(&self, idx: usize) -> u32 {
        self.rows[idx].series
    }

    pub(crate) fn reading(&self, idx: usize) -> Reading {
        let row = &self.rows[idx];
        let value = match row.kind {
            KIND_INT => Some(Value::Int(row.bits.cast_signed())),
            KIND_UINT => Some(Value::UInt(row.bits)),
            KIND_FLOAT => Some(Value::Float(f64::from_bits(row.bits))),
            _ => None,
        };
        Reading { at: UnixMillis(row.at), value, quality: row.quality, flags: row.flags, id: self.id(idx) }
    }

    fn id(&self, idx: usize) -> Option<Arc<str>> {
        if self.ids.is_empty() {
            return None;
        }
        let found = self.ids.binary_search_by(|(at, _)| (*at as usize).cmp(&idx)).ok()?;
        Some(self.ids[found].1.clone())
    }

    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut wire = Wire::new(bytes);
        let n = wire.len()?;
        let first = self.rows.len();
        self.rows.reserve(n.min(bytes.len()));
        let mut last = 0i64;
        for _ in 0..n {
            last = last.checked_add(wire.int()?)?;
            let series = u32::try_from(last).ok()?;
            let (quality, flags) = (Quality::Good, Flags::default());
            self.rows.push(Packed { at: 0, bits: 0, series, kind: KIND_NONE, quality, flags });
        }
        let rows = &mut self.rows[first..];
        let mut last = 0i64;
        for row in rows.iter_mut() {
            last = last.wrapping_add(wire.int()?);
            row.at = last;
        }
        Points::read_values(&mut wire, rows)?;
        let mut next = 0;
        let remark = |wire: &mut Wire<'_>| Some((quality_of(wire.byte()?)?, Flags(wire.byte()?)));
        wire.runs(n, remark, |(quality, flags), length| {
            for row in rows.get_mut(next..next + length)? {
                (row.quality, row.flags) = (quality, flags);
            }
            next += length;
            Some(())
        })?;
        self.read_ids(&mut wire, first)?;
        wire.is_empty().then_some(())
    }

    fn read_values(wire: &mut Wire<'_>, rows: &mut [Packed]) -> Option<()> {
        let mut next = 0;
        wire.runs(rows.len(), Wire::byte, |kind, length| {
            for row in rows.get_mut(next..next + length)? {
                row.kind = kind;
            }
            next += length;
            Some(())
        })?;
        for row in rows.iter_mut() {
            row.bits = match row.kind {
                KIND_NONE => 0,
                KIND_INT => wire.int()?.cast_unsigned(),
                KIND_UINT => wire.uint()?,
                KIND_FLOAT => u64::from_le_bytes(*wire.take(8)?.first_chunk()?),
                _ => return None,
            };
        }
        Some(())
    }

    fn read_ids(&mut self, wire: &mut Wire<'_>, first: usize) -> Option<()> {
        let n = wire.len()?;
        let mut idx = first;
        for _ in 0..n {
            idx = idx.checked_add(wire.len()?).filter(|idx| *idx < self.rows.len())?;
            self.ids.push((u32::try_from(idx).ok()?, Arc::from(wire.text()?)));
        }
        Some(())
    }
}

/// A row as version 1 wrote it, with nothing but readings and counters.
#[cfg(test)]
pub(crate) fn encode_v1(heading: &Heading<'_>, readings: &[(SeriesId, Reading)], counters: CountersV1) -> Vec<u8> {
    let (next_series, entries) = (heading.next_series, heading.entries.to_vec());
    let parts = PartsV1 { next_series, entries, counters, ..PartsV1::default() };
    let mut out = vec![VERSION_1];
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&heading.chain.to_le_bytes());
    put_bytes(&mut out, &postcard::to_stdvec(&parts).unwrap());
    put_len(&mut out, 0);
    put_bytes(&mut out, &columns(readings));
    let sum = xxh3_64_with_seed(&out[9..], seed(heading.commit, heading.at));
    out[1..9].copy_from_slice(&sum.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use model::SeriesKey;
    use proptest::prelude::*;

    use super::*;
    use crate::api::Registration;
    use crate::chunk::tests::any_reading;

    const HEADING: Heading<'_> =
        Heading { commit: CommitNo(7), at: UnixMillis(1_700_000_000_000), chain: 99, next_series: 3, entries: &[] };

    fn readings_of(row: &Row<'_>) -> Vec<(SeriesId, Reading)> {
        let mut points = Points::default();
        row.readings_into(&mut points).unwrap();
        (0..points.len()).map(|idx| (SeriesId(points.series(idx)), points.reading(idx))).collect()
    }

    proptest! {
        #[test]
        fn a_row_gives_back_its_readings(readings in proptest::collection::vec((0u32..9, any_reading(1 << 41)), 0..60)) {
            let readings: Vec<_> = readings.into_iter().map(|(series, reading)| (SeriesId(series), reading)).collect();
            let batch = Batch { readings, ..Batch::default() };
            let blob = encode(&HEADING, &batch).unwrap();
            let row = Row::open(HEADING.commit, HEADING.at, &blob).unwrap();
            prop_assert_eq!(row.n_readings(), batch.readings.len() as u64);
            prop_assert_eq!(readings_of(&row), batch.readings);
        }

        #[test]
        fn bytes_that_are_no_row_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            drop(Row::open(HEADING.commit, HEADING.at, &bytes).map(|row| row.parts().map(drop)));
            let mut points = Points::default();
            let _ = points.read(&bytes);
        }
    }

    #[test]
    fn parts_and_hashes_come_back_and_a_flipped_bit_is_found() {
        let pilot = PilotId::parse("p-1").unwrap();
        let key = SeriesKey { pilot: pilot.clone(), asset: "press".into(), name: "电流".into(), product: None };
        let entries = [CatalogueEntry { id: SeriesId(2), key, registration: Registration::Registered }];
        let gateway = GatewayId::parse("gw").unwrap();
        let seen = |seq| SequenceSeen { pilot: pilot.clone(), gateway: gateway.clone(), boot: 4, seq };
        let batch = Batch { hashes: vec![1, u128::MAX], sequences: vec![seen(5), seen(6)], ..Batch::default() };
        let heading = Heading { entries: &entries, ..HEADING };
        let blob = encode(&heading, &batch).unwrap();
        let row = Row::open(heading.commit, heading.at, &blob).unwrap();
        assert_eq!(row.hashes().collect::<Vec<_>>(), batch.hashes);
        let parts = row.parts().unwrap();
        assert_eq!(parts.entries, entries);
        assert_eq!(parts.sequences, [SequenceGroup { pilot, gateway, boot: 4, seqs: vec![5, 6] }]);
        assert_eq!(chain_in(&blob), Some(99));
        assert!(Row::open(CommitNo(8), heading.at, &blob).is_err(), "the number is part of the sum");
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Row::open(heading.commit, heading.at, &flipped).is_err(), "bit {bit}");
        }
    }
}
