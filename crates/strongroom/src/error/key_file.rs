//! Why a key could not be read from a file, or written to one.

use std::io;
use std::path::PathBuf;

/// Why a key could not be read from a file, or written to one.
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
    /// It is a directory, a device or a pipe.
    #[error("{path} is not a regular file: read it with `RawKey::from_reader`", path = .path.display())]
    NotAFile {
        /// Which file.
        path: PathBuf,
    },
    /// Users other than the owner have access to it.
    #[error("the key file {path} is open to others (mode {mode:04o}): run `chmod 600 {path}`", path = .path.display())]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file to be created already exists.
    #[error("{path} exists already, and no key file is replaced: choose another path", path = .path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be created or written.
    #[error("the key file {path} cannot be created", path = .path.display())]
    Uncreated {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The reader failed.
    #[error("the key cannot be read")]
    Failed(#[source] io::Error),
}
