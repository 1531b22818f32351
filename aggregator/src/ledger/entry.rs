//! One entry of a scope's ledger: the figures that one cut published, chained to the entry before.
//!
//! ```text
//! stored:  | SHA-256 of the text, 32 bytes | the text, deflated |
//! text:    {"ledger":1,"scope":"pilot:p","entry":2,"cut_at":"…","cause":"due","previous":"<SHA-256 of entry 1>"}
//!          {"indicator":"defect_rate","period":"2016","version":2,"reasons":["late_data"],"figure":{…}}
//!          …one line a figure, in order of indicator and period
//! ```
//!
//! Text, so that entries stay readable when figures get further fields; lines, so that one figure is read without the others.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use model::{Figure, Indicator, Period, UnixMillis};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::{LedgerEntry, StoreError};

use crate::derive::broken;

/// The version of the text.
const FORMAT: u32 = 1;
const HASH_BYTES: usize = 32;
/// Text of one entry at most: forty times the figures of a pilot with eleven years of ten indicators.
const TEXT_BYTES_MAX: u64 = 128 << 20;
/// What the first entry of a scope follows.
pub(crate) const FIRST: EntryHash = EntryHash([0; HASH_BYTES]);

/// SHA-256 of an entry's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHash(pub(crate) [u8; HASH_BYTES]);

impl std::fmt::Display for EntryHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What made a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The rules: grace, quiet, once a day.
    Due,
    /// A person or the demo asked for it.
    Publish,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heading {
    ledger: u32,
    pub(crate) scope: String,
    pub(crate) entry: u32,
    pub(crate) cut_at: UnixMillis,
    pub(crate) cause: Cause,
    pub(crate) previous: String,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    pub(crate) indicator: Indicator,
    pub(crate) period: Period,
    pub(crate) version: u32,
    pub(crate) reasons: super::Reasons,
    #[serde(borrow)]
    figure: &'a RawValue,
}

impl Line<'_> {
    /// The figure as it was published.
    pub(crate) fn figure(&self, place: &str) -> Result<Figure, StoreError> {
        serde_json::from_str(self.figure.get()).map_err(|error| broken(place.to_owned(), &error))
    }
}

/// An entry that is being written.
pub(crate) struct Draft {
    text: String,
    entry: u32,
    cut_at: UnixMillis,
}

impl Draft {
    pub(crate) fn new(scope: &str, entry: u32, (cut_at, cause): (UnixMillis, Cause), previous: EntryHash) -> Draft {
        let previous = previous.to_string();
        let heading = Heading { ledger: FORMAT, scope: scope.to_owned(), entry, cut_at, cause, previous };
        // Safe because a heading is numbers and texts.
        let text = serde_json::to_string(&heading).expect("a heading serializes");
        Draft { text, entry, cut_at }
    }

    /// Adds a figure in its published form.
    pub(crate) fn push(&mut self, figure: &Figure, version: u32, reasons: super::Reasons) -> Result<(), StoreError> {
        let place = || format!("figure {} {} {}", figure.scope, figure.indicator, figure.period);
        let raw = RawValue::from_string(super::content::canonical(figure)?);
        let raw = raw.map_err(|error| broken(place(), &error))?;
        let (indicator, period) = (figure.indicator.clone(), figure.period);
        let line = Line { indicator, period, version, reasons, figure: &raw };
        self.text.push('\n');
        self.text.push_str(&serde_json::to_string(&line).map_err(|error| broken(place(), &error))?);
        Ok(())
    }

    /// As it is stored.
    pub(crate) fn finish(self) -> LedgerEntry {
        let mut bytes = Sha256::digest(self.text.as_bytes()).to_vec();
        let mut deflate = DeflateEncoder::new(&mut bytes, Compression::default());
        // Safe because writing to memory does not fail.
        deflate.write_all(self.text.as_bytes()).and_then(|()| deflate.finish().map(drop)).expect("memory takes bytes");
        LedgerEntry { entry: self.entry, cut_at: self.cut_at, bytes }
    }
}

/// The hash that an entry says it has.
pub(crate) fn hash_in(place: &str, bytes: &[u8]) -> Result<EntryHash, StoreError> {
    let hash = bytes.first_chunk::<HASH_BYTES>().copied().map(EntryHash);
    hash.ok_or_else(|| StoreError::Format { place: place.to_owned(), text: "it has no hash".to_owned() })
}

/// The text of an entry, if it is what its hash says.
pub(crate) fn text_of(place: &str, bytes: &[u8]) -> Result<String, StoreError> {
    let hash = hash_in(place, bytes)?;
    let mut text = String::new();
    let mut inflate = DeflateDecoder::new(bytes.get(HASH_BYTES..).unwrap_or_default()).take(TEXT_BYTES_MAX);
    inflate.read_to_string(&mut text).map_err(|error| broken(place.to_owned(), &error))?;
    if Sha256::digest(text.as_bytes())[..] != hash.0 {
        let text = "its text is not what its hash says: it was changed after it was published".to_owned();
        return Err(StoreError::Format { place: place.to_owned(), text });
    }
    Ok(text)
}

/// The heading of a text, and its lines.
pub(crate) fn read<'a>(
    place: &str,
    text: &'a str,
) -> Result<(Heading, impl Iterator<Item = Result<Line<'a>, StoreError>>), StoreError> {
    let mut lines = text.lines();
    let heading: Heading =
        serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| broken(place.to_owned(), &error))?;
    if heading.ledger != FORMAT {
        let text = format!("it is of format {}, this program knows {FORMAT}; use the newer program", heading.ledger);
        return Err(StoreError::Format { place: place.to_owned(), text });
    }
    let place = place.to_owned();
    let read = move |line: &'a str| serde_json::from_str(line).map_err(|error| broken(place.clone(), &error));
    Ok((heading, lines.map(read)))
}

#[cfg(test)]
mod tests {
    use super::super::content::tests::figure;
    use super::*;
    use crate::ledger::{Reason, Reasons};

    fn entry() -> LedgerEntry {
        let mut draft = Draft::new("pilot:p", 2, (UnixMillis(1_000), Cause::Publish), FIRST);
        draft.push(&figure("2016", 1.0 / 3.0), 1, Reasons::NONE).unwrap();
        draft.push(&figure("2017", 0.5), 2, Reasons::from(Reason::LateData)).unwrap();
        draft.finish()
    }

    #[test]
    fn an_entry_reads_back_line_by_line() {
        let text = text_of("e", &entry().bytes).unwrap();
        let (heading, lines) = read("e", &text).unwrap();
        assert_eq!((heading.scope.as_str(), heading.entry, heading.cause), ("pilot:p", 2, Cause::Publish));
        assert_eq!(heading.previous, "0".repeat(64));
        let lines: Vec<Line<'_>> = lines.collect::<Result<_, _>>().unwrap();
        assert_eq!(lines[0].figure("e").unwrap(), figure("2016", 1.0 / 3.0));
        assert_eq!((lines[1].version, lines[1].reasons), (2, Reasons::from(Reason::LateData)));
        assert_eq!(entry().bytes, entry().bytes, "the same figures give the same bytes");
    }

    #[test]
    fn no_changed_byte_passes_for_another_text() {
        let bytes = entry().bytes;
        let text = text_of("e", &bytes).unwrap();
        let mut n_found = 0;
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            match text_of("e", &changed) {
                Ok(read) => assert_eq!(read, text, "byte {index}"),
                Err(_) => n_found += 1,
            }
        }
        // Some bits of a deflated block mean nothing.
        assert!(n_found + 4 >= bytes.len(), "{n_found} of {}", bytes.len());
        let mut changed = bytes.clone();
        changed[3] ^= 1;
        let error = text_of("ledger/pilot:p/2", &changed).unwrap_err().to_string();
        assert!(error.contains("ledger/pilot:p/2") && error.contains("changed after it was published"), "{error}");
        assert!(text_of("e", &[]).is_err());
    }
}
