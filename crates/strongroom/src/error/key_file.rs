//! Why a key could not be read from a file.

use std::io;
use std::path::PathBuf;

/// Why a key could not be read from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It does not exist, or this process may not read it.
    #[error("the key file {path} cannot be read", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A directory, a device or a pipe.
    #[error("{path} is not a regular file: read it with `RawKey::from_reader`", path = .path.display())]
    NotAFile {
        /// Which file.
        path: PathBuf,
    },
    /// Others than the owner have access to it.
    #[error("the key file {path} is open to others (mode {mode:04o}): run `chmod 600 {path}`", path = .path.display())]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The reader failed.
    #[error("the key cannot be read")]
    Failed(#[source] io::Error),
}
