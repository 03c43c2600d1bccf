//! Why a command failed: the exit code, a sentence, and the next step.

use std::fmt;
use std::io;

use strongroom::store::{StoreError, StoreErrorKind};
use strongroom::{DefinitionName, DefinitionRef, Error, Scope};

/// A failure as the user sees it. It never holds a value.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// What to do next.
    pub(crate) next: Option<String>,
}

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Other,
    Usage,
    NotFound,
    Invalid,
    Key,
    Store,
    /// As a shell returns for a command that it cannot run.
    NotExecutable,
    /// As a shell returns for a command that it does not find.
    NoCommand,
    /// As a shell returns for a command that wrote to a pipe without a reader.
    ReaderGone,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Invalid => 4,
            Self::Key => 5,
            Self::Store => 6,
            Self::NotExecutable => 126,
            Self::NoCommand => 127,
            Self::ReaderGone => 141,
        }
    }

    /// The name of the code in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Other | Self::ReaderGone => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Key => "key",
            Self::Store => "store",
            Self::NotExecutable | Self::NoCommand => "command",
        }
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message)
    }

    pub(crate) fn undefined(name: &DefinitionName) -> Self {
        Error::DefinitionNotFound(DefinitionRef::Name(name.to_string().into())).into()
    }

    pub(crate) fn no_value(name: &DefinitionName, scope: &Scope) -> Self {
        Self::not_found(format!("{name} has no value at {scope}"))
            .next("`strongroom explain NAME` shows where it has one")
    }

    /// A command or option for which the server has no call.
    pub(crate) fn not_on_server(reason: &str) -> Self {
        Self::usage(format!("{reason}, so this does not work with --url"))
            .next("run it where the store is, with --store")
    }

    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::new(exit_of(&error), with_causes(&error));
        match next_of(&error) {
            Some(step) => failure.next(step),
            None => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from(Error::Store(error))
    }
}

/// The arguments could not be parsed. Keeps the first sentence of clap's text, not the usage below it.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        let sentence: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        let sentence = sentence.join(" ");
        Self::usage(sentence.trim_start_matches("error: ")).next("--help lists the commands and options")
    }
}

/// Standard output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::ReaderGone, "the reader of the output has gone");
        }
        Self::new(Exit::Other, format!("the output could not be written: {error}"))
    }
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::DefinitionNotFound(_)
        | Error::AccountNotFound(_)
        | Error::IntegrationNotFound { .. }
        | Error::SlotNotFound(_)
        | Error::OrgNotFound(_) => Exit::NotFound,
        Error::WrongKey
        | Error::Locked
        | Error::NoSuchSlot(_)
        | Error::InvalidKey
        | Error::KeyDerivation(_)
        | Error::KeyFile(_)
        | Error::KeyShredded(_)
        | Error::Provider(_)
        | Error::UnexpectedVault
        | Error::UnknownVersion { .. }
        | Error::UnknownKey { .. }
        | Error::BadBackup(_)
        | Error::Damaged { .. } => Exit::Key,
        Error::SlotNotPresented(_) => Exit::Usage,
        Error::Store(store) if store.kind() == StoreErrorKind::Corrupt => Exit::Key,
        Error::Store(_)
        | Error::RotationUnderway
        | Error::RootRotated
        | Error::Contended(_)
        | Error::Indeterminate(_)
        | Error::NotInitialised
        | Error::AlreadyInitialised
        | Error::Retired
        | Error::Unfinished
        | Error::CopyDiffers
        | Error::OrgNotEmpty(_)
        | Error::ForeignStore => Exit::Store,
        Error::Random | Error::KeyDerivationThread | Error::BackupFile(_) => Exit::Other,
        _ => Exit::Invalid,
    }
}

fn next_of(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::DefinitionNotFound(_) => "`strongroom list` lists the variables, `strongroom define` adds one",
        Error::AccountNotFound(_) => "`strongroom account list` lists the accounts",
        Error::IntegrationNotFound { .. } => {
            "`strongroom account create ID --default-app` creates an account with it"
        }
        Error::DefinitionExists(_) => "`strongroom list` lists the variables",
        Error::ScopeNotAllowed { .. } => "`strongroom list` shows the scopes that each variable allows",
        Error::WrongKey => "check --root-key-file or --passphrase-file; nothing was written",
        Error::NoSuchSlot(_) => "give the key with --root-key-file, or the passphrase with --passphrase-file",
        Error::SlotNotFound(_) | Error::TooManySlots(_) => "`strongroom slot list` lists the slots",
        Error::LastSlot => "`strongroom slot add` adds another one",
        Error::SlotNotPresented(_) => {
            "give --slot-key-file ID=FILE, --slot-passphrase-file ID=FILE or --drop ID; nothing was written"
        }
        Error::RotationUnderway => "`strongroom job run` finishes it",
        Error::RootRotated => "run the command again",
        Error::NotInitialised => "`strongroom init` creates a vault",
        Error::AlreadyInitialised => "use it as it is, or name another store with --store",
        Error::BadBackup(_) => "nothing was written; use another copy of the file, or another backup",
        Error::Retired => "use the store that it was moved to; this one can only be read",
        Error::Unfinished => "run the same `restore` or `migrate` again, or name another store",
        Error::ForeignStore => "name another store with --store",
        Error::Store(store) => match store.kind() {
            StoreErrorKind::Unavailable => {
                "wait for the process that has it open, use its server with --url, or name another store"
            }
            StoreErrorKind::TooLarge => "write less at once",
            _ => return None,
        },
        _ => return None,
    })
}

/// The sentence of an error, with those of its causes that it does not repeat.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let sentence = error.to_string();
        if !text.contains(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_printed_once() {
        let store = StoreError::new(StoreErrorKind::Unavailable, "the disk cannot be used")
            .with_source(io::Error::other("no space left"));
        let failure = Failure::from(Error::Store(store));
        assert_eq!(failure.message, "the store failed: the disk cannot be used: no space left");
        assert_eq!(failure.exit, Exit::Store);
    }
}
