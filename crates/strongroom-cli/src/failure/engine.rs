//! The exit code, the sentence and the next step for each error of the engine.

use std::io;

use strongroom::store::{StoreError, StoreErrorKind};
use strongroom::{
    ConnectionId, DefinitionRef, Error, ErrorKind, IntegrationId, LinkedAccountId, SlotError, SystemError,
    WrongStore,
};
use strongroom_http::control::next_of_damage;
pub(crate) use strongroom_http::control::word;

use super::repeatable::{self, NEVER_AN_ARGUMENT};
use super::{Exit, Failure};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let withheld = match &error {
            Error::DefinitionNotFound(DefinitionRef::Name(name)) if repeatable::name(name).is_none() => {
                Some(NO_SUCH_NAME)
            }
            Error::AccountNotFound(id) if repeatable::id(id.as_str()).is_none() => Some(NO_SUCH_ACCOUNT),
            _ => None,
        };
        if let Some(withheld) = withheld {
            return Self::new(exit_of(&error), withheld)
                .next(format!("{NEVER_AN_ARGUMENT}; replace the secret if it is a real one"));
        }
        let failure = Self::new(exit_of(&error), with_causes(&error));
        if let Error::IntegrationNotFound { account, integration, connection } = &error {
            return failure.next(step_of_app(account, integration, connection.as_ref()));
        }
        let of_row = match error.kind() {
            ErrorKind::Damaged => next_of_damage(&error.to_string()),
            _ => None,
        };
        match of_row.or_else(|| next_of(&error)) {
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

/// What to do about an app, or a connection of one, that an account does not have.
pub(crate) fn step_of_app(
    account: &LinkedAccountId,
    app: &IntegrationId,
    connection: Option<&ConnectionId>,
) -> String {
    let account = word(account.as_str());
    let is_default = *app == IntegrationId::default_app();
    let app = if is_default { String::new() } else { format!(" --app {}", word(app.as_str())) };
    let connection = connection.map_or(String::new(), |id| format!(" --connection {}", word(id.as_str())));
    format!(
        "`strongroom account add-app {account}{app}{connection}` adds it, `strongroom account apps {account}` lists \
         what is there"
    )
}

const NO_SUCH_NAME: &str =
    "there is no variable of that name, which is not repeated here: it may be a secret";
const NO_SUCH_ACCOUNT: &str =
    "there is no linked account of that id, which is not repeated here: it may be a secret";

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Slot(SlotError::NotPresented(_)) => Exit::Usage,
        Error::Slot(SlotError::Last | SlotError::TooMany(_) | SlotError::KeyTaken(_)) => Exit::Invalid,
        Error::System(SystemError::Random | SystemError::Thread) | Error::BackupFile(_) => Exit::Other,
        Error::Provider(_) => Exit::Key,
        Error::Store(store) if store.kind() != StoreErrorKind::Corrupt => Exit::Store,
        _ => match error.kind() {
            ErrorKind::Invalid | ErrorKind::Conflict => Exit::Invalid,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Key | ErrorKind::Locked | ErrorKind::Damaged => Exit::Key,
            ErrorKind::Busy | ErrorKind::Indeterminate | ErrorKind::Refused => Exit::Store,
            // A kind of a later engine.
            _ => Exit::Other,
        },
    }
}

fn next_of(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::DefinitionNotFound(_) => "`strongroom list` lists the variables, `strongroom define` adds one",
        Error::AccountNotFound(_) => "`strongroom account list` lists the accounts",
        Error::DefinitionExists(_) => "`strongroom list` lists the variables",
        Error::ScopeNotAllowed { .. } => "`strongroom show NAME` shows the scopes that it allows",
        Error::OverQuota { .. } => {
            "the table [quotas] of the configuration file raises it, or STRONGROOM_ with its name in capitals"
        }
        Error::WrongKey => {
            "check --root-key-file or --passphrase-file, or --backup-key-file for a backup of one org; a copy or \
             backup from before a key was changed opens with the key of that time; nothing was written"
        }
        Error::Slot(SlotError::NoneOfThisKind(_)) => {
            "give the key with --root-key-file, or the passphrase with --passphrase-file"
        }
        Error::Slot(SlotError::NotFound(_) | SlotError::TooMany(_) | SlotError::KeyTaken(_)) => {
            "`strongroom slot list` lists the slots"
        }
        Error::Slot(SlotError::RowMissing(_)) => {
            "find out who took it away; `strongroom slot remove ID` removes the slot, or --drop ID in a rotation"
        }
        Error::Slot(SlotError::Last) => "`strongroom slot add` adds another one",
        Error::Slot(SlotError::NotPresented(_)) => {
            "give --slot-key-file ID=FILE, --slot-passphrase-file ID=FILE or --drop ID; nothing was written"
        }
        Error::Damaged { .. } | Error::UnknownKey { .. } => {
            "`strongroom verify` names all damaged rows; `undo --replace-damaged` sets a value or credential back, and \
             a definition with --definition"
        }
        Error::RotationUnderway => "`strongroom job run` finishes it",
        Error::RolledBack { .. } => {
            "find out who put an older copy there; if it was you, give --accept-rollback; KEYS.md has a page on it"
        }
        Error::WrongStore(WrongStore::OtherVault) => {
            "check --store: this user had another vault there; if this one takes its place, give --accept-rollback"
        }
        Error::RootRotated => "run the command again",
        Error::WrongStore(WrongStore::NoVault) => "`strongroom init` creates a vault",
        Error::WrongStore(WrongStore::HoldsVault) => "use it as it is, or name another store with --store",
        Error::BadBackup(_) => "nothing was written; use another copy of the file, or another backup",
        Error::Retired => "use the store that it was moved to; this one can only be read",
        Error::WrongStore(WrongStore::Unfinished) => {
            "run the same `restore` or `migrate` again; or move this store away, which is unfinished, and use another \
             backup"
        }
        Error::RestoreUnfinished(_) => {
            "run the same `restore --org` again, which finishes it; or `strongroom shred restore` deletes what it \
             wrote, and the org can be restored again"
        }
        Error::WrongStore(WrongStore::Foreign) => {
            "name another store with --store; if this one held a vault, the row is gone that every vault begins with: \
             move the store away (of sqlite with its -wal and -shm), and `strongroom restore --replaces-original FILE` \
             makes it again from a backup"
        }
        Error::Store(store) => match store.kind() {
            StoreErrorKind::Unavailable => step_of_unavailable(store),
            StoreErrorKind::InUse => {
                "wait longer with --wait SECONDS for the process that has it open, or use its server with --url"
            }
            StoreErrorKind::Contention => "run the command again",
            StoreErrorKind::Indeterminate => {
                "check whether it was written, then run the command again if it was not"
            }
            StoreErrorKind::Corrupt => {
                "move the store away, and `strongroom restore --replaces-original FILE` makes it again from a backup"
            }
            StoreErrorKind::Poisoned => "run the command again once the disk is well",
            StoreErrorKind::Unsupported => "name another store with --store",
            StoreErrorKind::TooLarge => "write less at once",
            _ => return None,
        },
        _ => return None,
    })
}

/// What to do about a store that cannot be used depends on the reason. Backends keep the cause only as text.
fn step_of_unavailable(error: &StoreError) -> &'static str {
    let text = with_causes(error);
    match cause(&text) {
        Some(io::ErrorKind::PermissionDenied) => {
            "give this user the right to read and write it, and its directory"
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            "copy the store to a disk that can be written, and name it with --store"
        }
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
            "free some space on its disk, then run the command again; nothing that was confirmed is lost"
        }
        Some(
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable,
        ) => "check that the database server is running at this address",
        _ if text.contains("the user or its password") => {
            "check the user in --store and the password in PGPASSWORD"
        }
        _ if text.contains("no such database") => "create the database, or name another one with --store",
        _ if text.contains("the role may not") => {
            "grant the role its rights on the tables; BACKENDS.md lists them"
        }
        _ if text.contains("takes no writes") => "connect to the primary server: this one only reads",
        _ if text.contains("server") || text.contains("connection") => {
            "check that the database server is running at this address"
        }
        _ => "check the disk and the path of the store",
    }
}

/// The kind of the operating system's error at the end of a text: by its number or, for a full disk, in words.
fn cause(text: &str) -> Option<io::ErrorKind> {
    let Some((_, rest)) = text.rsplit_once("(os error ") else {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        return full.into_iter().find(|kind| text.contains(&kind.to_string()));
    };
    let code = rest.split_once(')')?.0.parse().ok()?;
    Some(io::Error::from_raw_os_error(code).kind())
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

    fn step(message: &'static str, cause: io::Error) -> String {
        let store = StoreError::new(StoreErrorKind::Unavailable, message).with_source(cause);
        Failure::from(Error::Store(store)).next.unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn each_cause_has_its_own_step() {
        let unreadable =
            |code| step("the data file could not be read or written", io::Error::from_raw_os_error(code));
        assert!(unreadable(13).contains("right to read and write"));
        assert!(unreadable(30).contains("can be written"));
        assert!(unreadable(28).contains("free some space"));
        let in_words = io::Error::from(io::ErrorKind::StorageFull);
        assert!(step("the disk of the store is full", in_words).contains("free some space"));
        let of_server = |message| step(message, io::Error::other("db"));
        assert!(of_server("no connection to the server could be made").contains("server is running"));
        assert!(of_server("the server refused the user or its password").contains("PGPASSWORD"));
        let held = StoreError::new(StoreErrorKind::InUse, "the store is open in another process");
        assert!(Failure::from(held).next.unwrap().contains("--url"));
    }

    #[test]
    fn an_unfinished_store_is_finished_or_moved_away() {
        let step = Failure::from(Error::WrongStore(WrongStore::Unfinished)).next.unwrap();
        assert!(step.contains("run the same") && step.contains("move this store away"), "{step}");
    }

    #[test]
    fn the_step_for_a_missing_connection_is_the_whole_command() {
        let missing = |account: &str, app: &str, connection: Option<&str>| {
            let (account, integration) = (account.parse().unwrap(), app.parse().unwrap());
            let connection = connection.map(|id| id.parse().unwrap());
            Failure::from(Error::IntegrationNotFound { account, integration, connection }).next.unwrap()
        };
        let step = missing("alice", "slack", Some("nope"));
        assert!(step.contains("`strongroom account add-app alice --app slack --connection nope`"), "{step}");
        let step = missing("it's me", "default-app", None);
        assert!(step.contains(r"`strongroom account add-app 'it'\''s me'`"), "{step}");
    }

    #[test]
    fn what_looks_like_a_value_is_not_repeated() {
        for name in ["API_KEY=secret", &"s".repeat(65), "two words", "sk_live_x", "aB3dE5fG7hI9kL1m"] {
            let failure =
                Failure::from(Error::DefinitionNotFound(DefinitionRef::Name(name.to_owned().into())));
            assert!(!failure.message.contains(name) && failure.exit == Exit::NotFound, "{}", failure.message);
        }
    }

    #[test]
    fn a_cause_is_printed_once() {
        let store = StoreError::new(StoreErrorKind::Unavailable, "the disk cannot be used")
            .with_source(io::Error::other("no space left"));
        let failure = Failure::from(Error::Store(store));
        assert_eq!(failure.message, "the disk cannot be used: no space left");
        assert_eq!(failure.exit, Exit::Store);
    }
}
