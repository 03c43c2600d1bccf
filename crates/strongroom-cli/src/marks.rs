//! What this user last saw of a store: a mark in the user's configuration directory, never beside the store. A store
//! that has not come as far is an older copy of it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use strongroom::store::StoreErrorKind;
use strongroom::{Clock as _, Error, Mark, SystemClock, Timestamp, Vault, VaultOptions};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::{NewFile, places, refuse_foreign};
use crate::output::Output;
use crate::session::vault_options;
use crate::store::Spec;

/// The mark that is kept for one store.
#[derive(Debug, Default)]
pub(crate) struct KeptMark {
    /// `None` where none is kept: for a store in memory, and for a user without a home directory.
    file: Option<PathBuf>,
    kept: Option<Mark>,
    /// What is written below the mark: the older stores that this user accepted.
    record: String,
    /// Whether an older store, or another one, is accepted in place of the one that the mark was made of.
    accepts_any: bool,
    /// Whether there is a mark that could not be read.
    is_unreadable: bool,
}

impl KeptMark {
    /// Reads the mark of the configured store.
    pub(crate) fn of(config: &Config) -> Result<Self, Failure> {
        let kept = Self::of_store(&config.store);
        match kept {
            // What cannot be read says nothing, and the user said that nothing has to be said.
            Err(_) if config.accepts_rollback => {
                Ok(Self { accepts_any: true, is_unreadable: true, ..Self::anew(&config.store)? })
            }
            kept => Ok(Self { accepts_any: config.accepts_rollback, ..kept? }),
        }
    }

    /// Reads the mark of a store.
    pub(crate) fn of_store(store: &Spec) -> Result<Self, Failure> {
        let anew = Self::anew(store)?;
        let Some(file) = &anew.file else { return Ok(anew) };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(anew),
            Err(error) => return Err(unreadable(file, &error)),
        };
        refuse_foreign(file, Exit::Store)?;
        let (first, record) = text.split_once('\n').unwrap_or((&text, ""));
        let mark = first.parse().map_err(|error| unreadable(file, &error))?;
        Ok(Self { kept: Some(mark), record: record.to_owned(), ..anew })
    }

    /// The mark of a store in which a vault is made on purpose, in place of any that was there before.
    pub(crate) fn anew(store: &Spec) -> Result<Self, Failure> {
        let unusable = |error| Failure::usage(format!("{store} cannot be used: {error}"));
        Ok(Self { file: store.mark_file().map_err(unusable)?, ..Self::default() })
    }

    /// How the store is opened: refused if it has not come as far as the mark.
    pub(crate) fn options(&self) -> VaultOptions {
        match self.kept.filter(|_| !self.accepts_any) {
            Some(mark) => vault_options().expect_at_least(mark),
            None => vault_options(),
        }
    }

    /// Fails if there was a vault in a store that is empty now.
    pub(crate) fn refuse_empty(&self, store: &Spec) -> Result<(), Failure> {
        if self.kept.is_none() || self.accepts_any {
            return Ok(());
        }
        Err(Failure::new(Exit::Store, format!("{store} is empty, and this user had a vault there"))
            .next("bring the vault back, or give --accept-rollback to begin a new one"))
    }

    /// Moves the store's count on and keeps the new mark. That it could not be kept is a warning: what the command did
    /// is done.
    pub(crate) async fn advance(&mut self, vault: &Vault, output: &Output) {
        if self.file.is_none() {
            return;
        }
        let error = match vault.mark().await {
            Ok(mark) => match self.keep(mark) {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            // It was moved, or opened for reading: it stays as it is.
            Err(Error::Retired) => return,
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported => return,
            Err(error) => error.to_string(),
        };
        output.warn(&format!("the mark that tells an older copy of the store was not kept: {error}"));
    }

    /// Writes down that the store was opened although it may be older than the mark, and begins again from there.
    pub(crate) async fn accept(&mut self, vault: &Vault, output: &Output) {
        let expected = match (self.accepts_any, self.kept, self.is_unreadable) {
            (true, Some(kept), _) => kept.to_string(),
            (true, None, true) => "a mark that could not be read".to_owned(),
            _ => return,
        };
        let now = crate::output::time(Timestamp::from_ms(SystemClock.now_ms()));
        self.record.push_str(&format!("{now} accepted what stood there in place of {expected}\n"));
        let from = self.record.lines().count().saturating_sub(RECORD_LINES_MAX);
        self.record = self.record.lines().skip(from).map(|line| format!("{line}\n")).collect();
        // The mark of another store, or of an older one, is not above the one that is kept.
        self.kept = None;
        self.accepts_any = false;
        self.advance(vault, output).await;
        output.note("the store was accepted as it is; copies of it from before now are older ones");
    }

    /// Keeps a mark, unless a later one of the store is kept already.
    pub(crate) fn keep(&mut self, mark: Mark) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        // Another process of this user may have kept a later one meanwhile.
        let text = fs::read_to_string(file).unwrap_or_default();
        let there = text.lines().next().and_then(|line| line.parse::<Mark>().ok());
        if there.is_some_and(|there| there.is_after(&mark)) && self.kept.is_some() {
            return Ok(());
        }
        places::make_own_dirs(file)?;
        let new = NewFile::beside(file)?;
        write!(new.file(), "{mark}\n{}", self.record)?;
        new.replace(file)?;
        self.kept = Some(mark);
        Ok(())
    }
}

fn unreadable(file: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Store, format!("the mark in {} could not be read: {error}", file.display())).next(
        "bring the file back; without it, --accept-rollback opens the store as it is and makes a new mark",
    )
}

/// How many accepted stores are written down; the oldest go first.
const RECORD_LINES_MAX: usize = 32;
