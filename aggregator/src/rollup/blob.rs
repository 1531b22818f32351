//! The quarter-hours of one series in one UTC month, as one compressed blob.
//!
//! ```text
//! version u8 = 1 | postcard { runs of present quarters (start, length) | covered_ms, n, marks: run-length (value, run)
//!                             | values: pco over the present quarters | sketches (quarter, sketch) | decreases }
//! ```
//! Absent quarters are empty. The store adds the checksum.

use std::collections::BTreeMap;

use model::period::MonthNo;
use model::window::QUARTER_MS;
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use serde::{Deserialize, Serialize};

use super::{Decrease, Quarter, Rolled, Sketch};

const VERSION: u8 = 1;
/// Levels above gain little on a month of quarter-hours and cost twice the time.
const PCO_LEVEL: usize = 4;

/// Why a blob could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("rollup blob has version {0}; this program reads version 1")]
    Version(u8),
    #[error("rollup blob is empty")]
    Empty,
    #[error("rollup blob's frame cannot be read")]
    Frame(#[source] postcard::Error),
    #[error("rollup blob's values cannot be coded")]
    Values(#[source] pco::errors::PcoError),
    #[error("rollup blob's columns hold {n_found} quarters; its runs name {n_named}")]
    Columns { n_found: usize, n_named: usize },
}

/// The quarter-hours of one UTC month, dense.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthBlob {
    pub month: MonthNo,
    pub quarters: Vec<Quarter>,
    /// By index of the quarter within the month.
    pub sketches: BTreeMap<u16, Sketch>,
    pub decreases: BTreeMap<u16, Decrease>,
}

#[derive(Serialize, Deserialize)]
struct Frame {
    runs: Vec<(u16, u16)>,
    covered_ms: Vec<(u32, u16)>,
    n: Vec<(u32, u16)>,
    marks: Vec<(u8, u16)>,
    values: Vec<u8>,
    sketches: Vec<(u16, Sketch)>,
    decreases: Vec<(u16, Decrease)>,
}

/// Finds quarter-hours among months, cheaply for numbers that follow each other.
pub struct Cursor<'a> {
    months: &'a BTreeMap<MonthNo, MonthBlob>,
    here: Option<(std::ops::Range<i64>, Option<&'a MonthBlob>)>,
}

impl<'a> Cursor<'a> {
    /// Over some months; the others are empty.
    pub fn new(months: &'a BTreeMap<MonthNo, MonthBlob>) -> Cursor<'a> {
        Cursor { months, here: None }
    }

    /// The month that holds a quarter-hour, and its index there.
    pub fn at(&mut self, number: i64) -> Option<(&'a MonthBlob, usize)> {
        if !self.here.as_ref().is_some_and(|(range, _)| range.contains(&number)) {
            let month = utc_month_of(number);
            let range = first_quarter(month)..first_quarter(MonthNo(month.0 + 1));
            self.here = Some((range, self.months.get(&month)));
        }
        let (range, blob) = self.here.as_ref()?;
        Some(((*blob)?, usize::try_from(number - range.start).ok()?))
    }
}

/// The UTC month that holds a quarter-hour.
pub fn utc_month_of(quarter: i64) -> MonthNo {
    MonthNo::containing(model::UnixMillis(quarter * QUARTER_MS), &jiff::tz::TimeZone::UTC)
}

/// Number of the first quarter-hour of a UTC month.
pub fn first_quarter(month: MonthNo) -> i64 {
    month.window(&jiff::tz::TimeZone::UTC).start.0.div_euclid(QUARTER_MS)
}

/// Quarter-hours in a UTC month.
pub fn quarters_in(month: MonthNo) -> usize {
    // Safe because a month has at most 2,976 quarters.
    usize::try_from(first_quarter(MonthNo(month.0 + 1)) - first_quarter(month)).expect("a month has a length")
}

impl MonthBlob {
    /// A month without data.
    pub fn empty(month: MonthNo) -> MonthBlob {
        let quarters = vec![Quarter::default(); quarters_in(month)];
        MonthBlob { month, quarters, sketches: BTreeMap::new(), decreases: BTreeMap::new() }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.quarters.iter().all(Quarter::is_empty)
    }

    /// Puts the quarters of `rolled` that lie in this month in place of what was there.
    pub fn replace(&mut self, rolled: &Rolled) {
        let first = first_quarter(self.month);
        let n = i64::try_from(self.quarters.len()).unwrap_or(i64::MAX);
        let n_rolled = i64::try_from(rolled.quarters.len()).unwrap_or(i64::MAX);
        let (from, to) = (rolled.first.max(first), (rolled.first + n_rolled).min(first + n));
        for quarter in from..to {
            self.quarters[offset(quarter - first)] = rolled.quarters[offset(quarter - rolled.first)];
        }
        if from < to {
            let place = |quarter: i64| short(offset(quarter - first));
            self.sketches.retain(|&at, _| !(from..to).contains(&(first + i64::from(at))));
            self.decreases.retain(|&at, _| !(from..to).contains(&(first + i64::from(at))));
            self.sketches.extend(rolled.sketches.range(from..to).map(|(&q, sketch)| (place(q), sketch.clone())));
            self.decreases.extend(rolled.decreases.range(from..to).map(|(&q, decrease)| (place(q), *decrease)));
        }
    }

    /// As bytes; the same month gives the same bytes.
    ///
    /// # Errors
    /// If the values cannot be coded, which a month of floats never is.
    pub fn encode(&self) -> Result<Vec<u8>, BlobError> {
        let present: Vec<&Quarter> = self.quarters.iter().filter(|quarter| !quarter.is_empty()).collect();
        let values: Vec<f64> = present.iter().map(|quarter| quarter.value).collect();
        let config = ChunkConfig::default().with_compression_level(PCO_LEVEL);
        let frame = Frame {
            runs: runs_of_presence(&self.quarters),
            covered_ms: run_lengths(present.iter().map(|quarter| quarter.covered_ms)),
            n: run_lengths(present.iter().map(|quarter| quarter.n)),
            marks: run_lengths(present.iter().map(|quarter| quarter.marks)),
            values: simple_compress(&values, &config).map_err(BlobError::Values)?,
            sketches: self.sketches.iter().map(|(&at, sketch)| (at, sketch.clone())).collect(),
            decreases: self.decreases.iter().map(|(&at, decrease)| (at, *decrease)).collect(),
        };
        postcard::to_extend(&frame, vec![VERSION]).map_err(BlobError::Frame)
    }

    /// From bytes.
    ///
    /// # Errors
    /// Names what is wrong with the blob.
    pub fn decode(month: MonthNo, bytes: &[u8]) -> Result<MonthBlob, BlobError> {
        match bytes.split_first() {
            None => Err(BlobError::Empty),
            Some((&VERSION, frame)) => {
                MonthBlob::from_frame(month, postcard::from_bytes(frame).map_err(BlobError::Frame)?)
            }
            Some((&version, _)) => Err(BlobError::Version(version)),
        }
    }

    fn from_frame(month: MonthNo, frame: Frame) -> Result<MonthBlob, BlobError> {
        let values: Vec<f64> = simple_decompress(&frame.values).map_err(BlobError::Values)?;
        let mut blob = MonthBlob::empty(month);
        let run = |&(start, n): &(u16, u16)| usize::from(start)..usize::from(start) + usize::from(n);
        let places: Vec<usize> = frame.runs.iter().flat_map(run).collect();
        let n_fitting = places.iter().filter(|&&place| place < blob.quarters.len()).count();
        if values.len() != places.len() || n_fitting != places.len() {
            return Err(BlobError::Columns { n_found: values.len(), n_named: places.len() });
        }
        for (&place, value) in places.iter().zip(values) {
            blob.quarters[place].value = value;
        }
        unroll(&frame.covered_ms, &places, |place, covered_ms| blob.quarters[place].covered_ms = covered_ms);
        unroll(&frame.n, &places, |place, n| blob.quarters[place].n = n);
        unroll(&frame.marks, &places, |place, marks| blob.quarters[place].marks = marks);
        blob.sketches = frame.sketches.into_iter().collect();
        blob.decreases = frame.decreases.into_iter().collect();
        Ok(blob)
    }
}

fn offset(quarters: i64) -> usize {
    // Safe because both ends of the range were clipped to the month.
    usize::try_from(quarters).expect("a quarter within the range")
}

fn short(place: usize) -> u16 {
    // Safe because a month has at most 2,976 quarters.
    u16::try_from(place).expect("a quarter of a month")
}

/// Gives the values of a run-length column to their places, as far as both go.
fn unroll<T: Copy>(runs: &[(T, u16)], places: &[usize], mut put: impl FnMut(usize, T)) {
    let values = runs.iter().flat_map(|&(value, n)| std::iter::repeat_n(value, usize::from(n)));
    places.iter().zip(values).for_each(|(&place, value)| put(place, value));
}

fn runs_of_presence(quarters: &[Quarter]) -> Vec<(u16, u16)> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for (place, _) in quarters.iter().enumerate().filter(|(_, quarter)| !quarter.is_empty()) {
        let place = short(place);
        match runs.last_mut() {
            Some((start, n)) if *start + *n == place => *n += 1,
            Some(_) | None => runs.push((place, 1)),
        }
    }
    runs
}

fn run_lengths<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<(T, u16)> {
    let mut runs: Vec<(T, u16)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, n)) if *last == value => *n += 1,
            Some(_) | None => runs.push((value, 1)),
        }
    }
    runs
}
