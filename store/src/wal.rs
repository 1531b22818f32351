//! Looks into a write-ahead log that nobody has open: did a damaged frame take commits behind it away?
//!
//! SQLite recovers a log up to the first frame whose checksum is wrong, and says nothing of what follows. Here the frames
//! are walked as SQLite does, and commits of the same generation behind the first wrong frame are counted:
//!
//! ```text
//! log:   magic 4 | version 4 | page size 4 | sequence 4 | salts 8 | checksum 8 | frames …
//! frame: page 4 | database size after a commit, else 0: 4 | salts 8 | checksum 8 | page
//! ```
//!
//! A killed process leaves at most a torn last frame, with no commit behind it: that is no damage, nobody was told of it. A
//! wrong bit in the very last commit cannot be told from that.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// The name under which a damaged log is kept.
pub(crate) fn aside(wal: &Path) -> PathBuf {
    let mut name = wal.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

/// What is wrong with a log, in a sentence; none if nothing is, or there is no log.
pub(crate) fn lost(wal: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(wal) {
        Ok(file) => BufReader::with_capacity(1 << 16, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(None);
    }
    let Some(mut walk) = Walk::begin(&header) else {
        return Ok(Some("the header of the log is damaged: every commit in it is lost".to_owned()));
    };
    let mut frame = vec![0; FRAME_BYTES + walk.page_bytes];
    while fill(&mut file, &mut frame)? {
        walk.step(&frame);
    }
    Ok(walk.finding())
}

/// Reads a whole buffer; false at the end, or in the middle of one that was never finished.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

struct Walk {
    is_big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    sum: (u32, u32),
    n_frames: usize,
    first_wrong: Option<usize>,
    n_commits_behind: usize,
}

impl Walk {
    fn begin(header: &[u8; HEADER_BYTES]) -> Option<Walk> {
        let magic = word(header, 0)?;
        let is_big_endian = magic == MAGIC | 1;
        let page_bytes = usize::try_from(word(header, 8)?).ok().filter(|n| n.is_power_of_two() && *n >= 512)?;
        let salts = *header.get(16..)?.first_chunk::<8>()?;
        let sum = checksum(is_big_endian, (0, 0), header.get(..24)?);
        let is_right = magic & !1 == MAGIC && Some(sum) == word(header, 24).zip(word(header, 28));
        let walk = Walk { is_big_endian, page_bytes, salts, sum, n_frames: 0, first_wrong: None, n_commits_behind: 0 };
        is_right.then_some(walk)
    }

    fn step(&mut self, frame: &[u8]) {
        let idx = self.n_frames;
        self.n_frames += 1;
        let is_of_generation = frame.get(8..16) == Some(&self.salts);
        let is_commit = word(frame, 4).is_some_and(|size| size != 0);
        if self.first_wrong.is_some() {
            self.n_commits_behind += usize::from(is_of_generation && is_commit);
            return;
        }
        let sum = checksum(self.is_big_endian, self.sum, frame.get(..8).unwrap_or_default());
        let sum = checksum(self.is_big_endian, sum, frame.get(FRAME_BYTES..).unwrap_or_default());
        if is_of_generation && Some(sum) == word(frame, 16).zip(word(frame, 20)) {
            self.sum = sum;
        } else {
            self.first_wrong = Some(idx);
        }
    }

    fn finding(&self) -> Option<String> {
        let wrong = self.first_wrong.filter(|_| self.n_commits_behind > 0)?;
        let (frame, n) = (wrong + 1, self.n_commits_behind);
        Some(format!("frame {frame} of the log is damaged: {n} commits behind it are lost"))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// SQLite's running checksum over pairs of words.
fn checksum(is_big_endian: bool, start: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let read = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    bytes.as_chunks::<8>().0.iter().fold(start, |(a, b), pair| {
        let [p, q, r, s, t, u, v, w] = *pair;
        let a = a.wrapping_add(read([p, q, r, s])).wrapping_add(b);
        (a, b.wrapping_add(read([t, u, v, w])).wrapping_add(a))
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::schema::journal_writer;
    use crate::tests::TempDir;

    /// The log of five commits, as a killed process leaves it.
    fn log(dir: &TempDir) -> (Connection, Vec<u8>) {
        let conn = journal_writer(dir.path()).unwrap();
        for n in 0..5 {
            conn.execute("INSERT INTO journal VALUES (?1, 0, x'00')", [n]).unwrap();
        }
        let bytes = std::fs::read(dir.path().join("journal.sqlite-wal")).unwrap();
        (conn, bytes)
    }

    #[test]
    fn a_wrong_bit_anywhere_before_the_last_commit_is_found_and_a_torn_end_is_none() {
        let dir = TempDir::new();
        let (_conn, bytes) = log(&dir);
        let path = dir.path().join("copy-wal");
        let found = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            lost(&path).unwrap()
        };
        assert_eq!(found(&bytes), None);
        let frame_bytes = FRAME_BYTES + 8192;
        for end in [bytes.len() - 1, bytes.len() - frame_bytes, bytes.len() - 8_000, HEADER_BYTES, 3, 0] {
            assert_eq!(found(&bytes[..end]), None, "cut at {end}");
        }
        for at in (0..bytes.len() - frame_bytes).step_by(397) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            assert!(found(&flipped).is_some(), "byte {at} of {}", bytes.len());
        }
        assert_eq!(lost(&dir.path().join("none")).unwrap(), None);
    }

    #[test]
    fn the_finding_says_how_many_commits_are_lost() {
        let dir = TempDir::new();
        let (_conn, mut bytes) = log(&dir);
        let n_frames = (bytes.len() - HEADER_BYTES) / (FRAME_BYTES + 8192);
        let third_last = HEADER_BYTES + (n_frames - 3) * (FRAME_BYTES + 8192);
        bytes[third_last + 100] ^= 1;
        let path = dir.path().join("copy-wal");
        std::fs::write(&path, &bytes).unwrap();
        let text = lost(&path).unwrap().unwrap();
        assert!(text.ends_with("of the log is damaged: 2 commits behind it are lost"), "{text}");
    }
}
