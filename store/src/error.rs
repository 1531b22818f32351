//! Why the store could not do what it was asked: one variant per step.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("data directory `{dir}` is in use by {owner}; stop it, or use another --data")]
    Locked { dir: PathBuf, owner: String },
    #[error("failed to create data directory `{dir}`")]
    CreateDir {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to take the lock file `{path}`")]
    LockFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` does not exist; name a data directory that `pilotline run` has written to")]
    Missing { path: PathBuf },
    #[error("failed to open `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("`{path}` has schema version {found}, this program knows up to {known}; use the newer program")]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("`{path}` answered `{pragma} = {found}`; {wanted} is needed for durable commits")]
    Pragma { path: PathBuf, pragma: &'static str, found: String, wanted: &'static str },
    #[error("failed to read {what}")]
    Read {
        what: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("failed to write {what}")]
    Write {
        what: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("failed to commit {commit} to the journal")]
    Commit {
        commit: u64,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the journal takes nothing more since an earlier write failed; restart the program once the disk is well")]
    Poisoned,
    #[error("the journal's writer was taken already; there is one")]
    JournalTaken,
    #[error("the store was opened for reading; writing needs the owner of the data directory")]
    ReadOnly,
    #[error("the checksum of `{place}` is wrong: its bytes changed on disk")]
    Checksum { place: String },
    #[error("`{place}` does not read: {text}")]
    Format { place: String, text: String },
    #[error("failed to encode `{place}`: {text}")]
    Encode { place: String, text: String },
}

impl StoreError {
    /// Whether the disk is full: stop reading, keep answering, try again.
    pub fn is_disk_full(&self) -> bool {
        self.sqlite().and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DiskFull)
    }

    fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            StoreError::Open { source, .. }
            | StoreError::Read { source, .. }
            | StoreError::Write { source, .. }
            | StoreError::Commit { source, .. } => Some(source),
            StoreError::Locked { .. }
            | StoreError::CreateDir { .. }
            | StoreError::LockFile { .. }
            | StoreError::Missing { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Pragma { .. }
            | StoreError::Poisoned
            | StoreError::JournalTaken
            | StoreError::ReadOnly
            | StoreError::Checksum { .. }
            | StoreError::Format { .. }
            | StoreError::Encode { .. } => None,
        }
    }
}

/// Names the step at which reading failed.
pub(crate) fn reading(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Read { what, source }
}

/// Names the step at which writing failed.
pub(crate) fn writing(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Write { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_a_full_disk() {
        let failure = |code| {
            let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            StoreError::Commit { commit: 7, source }
        };
        assert!(failure(rusqlite::ffi::SQLITE_FULL).is_disk_full());
        assert!(!failure(rusqlite::ffi::SQLITE_IOERR_FSYNC).is_disk_full());
        assert!(!StoreError::Poisoned.is_disk_full());
        insta::assert_snapshot!(failure(rusqlite::ffi::SQLITE_FULL), @"failed to commit 7 to the journal");
    }
}
