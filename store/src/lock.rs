//! The lock file: one owner per data directory, named by its process id.
//!
//! The lock is the kernel's (it falls with the process, however it ends); the text only says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// The name of the lock file in the data directory.
const LOCK_FILE: &str = "lock";

/// Held as long as the owner has the store open.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the directory for this process.
    pub(crate) fn take(dir: &Path) -> Result<Lock, StoreError> {
        let path = dir.join(LOCK_FILE);
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| StoreError::LockFile { path, source }
        };
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { dir: dir.to_owned(), owner: owner_in(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::LockFile { path, source }),
        }
        file.set_len(0).map_err(failed(&path))?;
        file.seek(SeekFrom::Start(0)).map_err(failed(&path))?;
        writeln!(file, "{}", std::process::id()).map_err(failed(&path))?;
        Ok(Lock { _file: file })
    }

    /// Keeps owners out for a moment, if there is none; an owner that starts meanwhile is told so.
    pub(crate) fn hold_off(dir: &Path) -> Option<Lock> {
        // A directory without a lock file, or one that may not be read, has no owner that could be in the way.
        let file = File::open(dir.join(LOCK_FILE)).ok()?;
        file.try_lock_shared().is_ok().then_some(Lock { _file: file })
    }
}

/// Who holds the lock, as the file says.
fn owner_in(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        // The owner is between taking the lock and writing its number, or the file cannot be read: the lock counts.
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;

    #[test]
    fn a_second_owner_is_told_who_holds_the_directory() {
        let dir = TempDir::new();
        let first = Lock::take(dir.path()).unwrap();
        let Err(StoreError::Locked { owner, .. }) = Lock::take(dir.path()) else { panic!("it was taken twice") };
        assert_eq!(owner, format!("process {}", std::process::id()));
        drop(first);
        Lock::take(dir.path()).unwrap();
    }
}
