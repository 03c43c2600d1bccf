//! Files and directories that only their owner can read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::failure::{Exit, Failure, repeatable};

/// A file under a random name beside its place, until it is complete. Only its owner can read it, from the moment it
/// exists. If it is dropped before [`publish`](Self::publish), it is removed.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: NamedTempFile,
}

impl NewFile {
    pub(crate) fn beside(place: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(PASSING).tempfile_in(directory_of(place))?;
        Ok(Self { file })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name, durably; fails if something has that name already, even a dangling link.
    pub(crate) fn publish(self, place: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(place).map_err(|error| error.error)?;
        sync_directory_of(place)
    }

    /// Gives the file its name, durably, replacing any file with that name.
    pub(crate) fn replace(self, place: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(place).map_err(|error| error.error)?;
        sync_directory_of(place)
    }
}

/// Files left by this user's commands that were killed before they could complete or remove them: those not written to
/// for a while. A store also creates its new file under such a name.
pub(crate) fn leftovers_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_left = |entry: &fs::DirEntry| {
        let is_quiet = |metadata: fs::Metadata| {
            let since = metadata.modified().ok().and_then(|written| written.elapsed().ok());
            (metadata.is_file() || metadata.is_dir())
                && is_own(&metadata)
                && since.is_some_and(|since| since >= QUIET)
        };
        entry.file_name().as_encoded_bytes().starts_with(PASSING.as_bytes())
            && entry.metadata().is_ok_and(is_quiet)
    };
    entries.flatten().filter(is_left).map(|entry| entry.path()).collect()
}

#[cfg(unix)]
fn is_own(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_: &fs::Metadata) -> bool {
    true
}

/// Writes a text to a new file, completely or not at all.
pub(crate) fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let written = NewFile::beside(file).and_then(|new| {
        new.file().write_all(text.as_bytes())?;
        new.publish(file)
    });
    written.map_err(|error| unwritable(file, &error))
}

/// Fails for a place that is taken, before what belongs there is read: an audit notes that.
pub(crate) fn refuse_taken(place: Option<&Path>) -> Result<(), Failure> {
    match place.filter(|place| place.symlink_metadata().is_ok()) {
        Some(place) => Err(unwritable(place, &io::ErrorKind::AlreadyExists.into())),
        None => Ok(()),
    }
}

/// A new file could not be written. If it already exists, or cannot exist, the user named a wrong file.
pub(crate) fn unwritable(file: &Path, error: &io::Error) -> Failure {
    let message = format!("{} could not be written: {error}", repeatable::file(file));
    match is_out_of_room(error) {
        true => Failure::new(Exit::Other, message)
            .next("free some space on its disk, or name a file on another one"),
        false => Failure::usage(message).next("name a new file, in a directory that you may write to"),
    }
}

/// Whether there is no room for what is written, which no reading fails for.
pub(crate) fn is_out_of_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The prefix of the names of incomplete files.
pub(crate) const PASSING: &str = ".strongroom-";
/// Longer than any pause here between two writes of such a file.
const QUIET: Duration = Duration::from_secs(10 * 60);

pub(crate) fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory_of(file: &Path) -> io::Result<()> {
    if cfg!(unix) {
        return fs::File::open(directory_of(file))?.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
mod mask {
    use std::sync::OnceLock;

    use rustix::fs::Mode;
    use rustix::process::umask;

    static INHERITED: OnceLock<Mode> = OnceLock::new();

    /// Denies other users access to all files that this process creates, including a store's own files.
    pub(crate) fn write_for_owner_only() {
        let inherited = umask(Mode::from_raw_mode(0o077));
        INHERITED.get_or_init(|| inherited);
    }

    /// Restores the mask that this process was started with, for a command that it becomes.
    pub(crate) fn restore_mask() {
        if let Some(inherited) = INHERITED.get() {
            umask(*inherited);
        }
    }
}

#[cfg(not(unix))]
mod mask {
    pub(crate) fn write_for_owner_only() {}

    pub(crate) fn restore_mask() {}
}

pub(crate) use self::mask::{restore_mask, write_for_owner_only};
