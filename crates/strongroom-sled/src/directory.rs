//! The directory of a store: whose it is, who holds it, and that its entries are on the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use strongroom_committer::{corrupt, create_directory, of_io, sync_entries};
use strongroom_store::{StoreError, StoreErrorKind};

/// A directory that is ours and locked until this value is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    lock: File,
}

impl Directory {
    /// Creates the directory or checks that it is ours, and locks it. Writes nothing into one that is not ours.
    pub(crate) fn claim(path: &Path) -> Result<Self, StoreError> {
        create_directory(path).map_err(|e| of_io(e, "the directory of the store could not be created"))?;
        refuse_foreign(path)?;
        let lock = lock(path)?;
        refuse_blobs(path)?;
        discard_torn_snapshots(path).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The data file, open for writing so that it can be synced, once sled's threads of an earlier store have released
    /// it.
    ///
    /// What an earlier process left in the page cache is made durable first: sled is about to build on it.
    pub(crate) fn data_file(&self) -> Result<File, StoreError> {
        let file = private().read(true).open(self.path.join("db")).map_err(unreadable)?;
        for _ in 0..RELEASE_CHECKS_MAX {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(RELEASE_CHECK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(unreadable(error)),
                Ok(()) => {
                    file.unlock().and_then(|()| file.sync_all()).map_err(unreadable)?;
                    return Ok(file);
                }
            }
        }
        Err(already_open())
    }

    /// Makes the names in the directory and sled's settings durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let settings = OpenOptions::new().write(true).open(self.path.join("conf"));
        settings.and_then(|file| file.sync_all()).and_then(|()| sync_entries(&self.path)).map_err(unreadable)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Unlock explicitly, since a child process may hold a copy of the handle until it executes its program.
        let _ = self.lock.unlock();
    }
}

/// Opens a file for writing and creates it if it is missing, for its owner only. Keeps its content.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The lock file is the first that a store writes, so a directory that has other files but not that one is not a store.
/// Nor is a directory with links in it: whoever planted them could make the store write to files elsewhere.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let names = names(path).map_err(unreadable)?;
    if names.iter().any(|name| path.join(name).is_symlink()) {
        let message =
            "the directory holds links to files elsewhere, which no store makes: choose another one";
        return Err(StoreError::new(StoreErrorKind::Unsupported, message));
    }
    let empty = names.iter().all(|name| name == "lost+found");
    if empty || path.join(LOCK_NAME).exists() {
        return Ok(());
    }
    let message = "the directory holds files that are not a strongroom store: choose a new or empty one";
    Err(StoreError::new(StoreErrorKind::Unsupported, message))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = private().open(path.join(LOCK_NAME)).map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(already_open()),
        Err(TryLockError::Error(error)) => Err(of_io(error, "the store could not be locked")),
    }
}

/// sled never syncs a blob file. With our segment size it has no reason to write one.
fn refuse_blobs(path: &Path) -> Result<(), StoreError> {
    let blobs = path.join("blobs");
    if blobs.is_dir() && !names(&blobs).map_err(unreadable)?.is_empty() {
        return Err(corrupt("the store holds blob files, which are not safe in a power cut and never ours"));
    }
    Ok(())
}

/// sled would take a half-written snapshot from a crash for the newest one, and refuse to open.
fn discard_torn_snapshots(path: &Path) -> io::Result<()> {
    for name in names(path)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(path.join(name))?;
        }
    }
    Ok(())
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn already_open() -> StoreError {
    let message = "the store is already open in another process, or by another handle of this one";
    StoreError::new(StoreErrorKind::InUse, message)
}

fn unreadable(error: io::Error) -> StoreError {
    of_io(error, "the directory of the store could not be read or written")
}

const LOCK_NAME: &str = "strongroom.lock";

/// Two seconds in all; sled's threads take milliseconds.
const RELEASE_CHECKS_MAX: u32 = 400;
const RELEASE_CHECK_PAUSE: Duration = Duration::from_millis(5);
