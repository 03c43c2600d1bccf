//! Where the first API key of a vault goes: to a person, or into a private file.

use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;

use strongroom::Secret;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::files::{NewFile, places};

/// A place that is prepared before the vault is created, so that no vault has a key that nobody received.
#[derive(Debug)]
pub(super) enum KeyPlace {
    /// Standard output, which is a terminal.
    Shown,
    /// A file, since standard output goes to a file or a log, which is no place for a key.
    File(NewFile),
}

/// The first API key, where it was put.
#[derive(Debug)]
pub(super) enum FirstKey {
    Shown(Secret),
    File(PathBuf),
}

impl KeyPlace {
    pub(super) fn prepare() -> Result<Self, Failure> {
        if stdout().is_terminal() {
            return Ok(Self::Shown);
        }
        let file = places::first_api_key("new").ok_or_else(|| {
            Failure::new(Exit::Other, "this user has no home directory for the first API key")
                .next("run `serve` on a terminal once, or set XDG_CONFIG_HOME")
        })?;
        let new = places::make_own_dirs(&file).and_then(|()| NewFile::beside(&file));
        new.map(Self::File).map_err(|error| unwritable(&error))
    }

    pub(super) fn put(self, key: Secret, store_id: &str) -> Result<FirstKey, Failure> {
        match self {
            Self::Shown => Ok(FirstKey::Shown(key)),
            Self::File(new) => {
                let file = places::first_api_key(store_id).unwrap_or_default();
                let written = writeln!(new.file(), "{}", key.expose()).and_then(|()| new.publish(&file));
                written.map(|()| FirstKey::File(file)).map_err(|error| unwritable(&error))
            }
        }
    }
}

impl FirstKey {
    /// The file of an earlier run, if it is still there.
    pub(super) fn find(store_id: &str) -> Option<Self> {
        places::first_api_key(store_id).filter(|file| file.is_file()).map(Self::File)
    }

    /// Removes the file of a vault that ends with the process: its key opens nothing any more.
    pub(super) fn forget(store_id: &str) {
        if let Some(Self::File(file)) = Self::find(store_id) {
            // Left behind, it is of no use, and of no harm either.
            let _ = std::fs::remove_file(file);
        }
    }

    /// The key itself; empty if its file cannot be read.
    pub(super) fn read(&self) -> Secret {
        let text = Zeroizing::new(match self {
            Self::Shown(key) => key.expose().to_owned(),
            Self::File(file) => std::fs::read_to_string(file).unwrap_or_default(),
        });
        Secret::from(text.trim())
    }
}

fn unwritable(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Other, format!("the file for the first API key could not be written: {error}"))
        .next("check the user's configuration directory")
}
