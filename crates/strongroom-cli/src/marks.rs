//! What this user last saw of a store: a mark in the user's configuration directory, never beside the store. A store
//! that is older than its mark is an older copy.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use strongroom::store::StoreErrorKind;
use strongroom::{Clock as _, Error, Mark, SystemClock, Timestamp, Vault, VaultOptions};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::{NewFile, places, refuse_foreign};
use crate::output::Output;
use crate::store::Spec;

/// The kept mark of one store.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptMark {
    /// Empty if no mark is kept: for a store in memory, and for a user without a home directory.
    files: Vec<PathBuf>,
    kept: Option<Mark>,
    /// The address of a store on a server, which the name of the file does not show.
    address: Option<String>,
    /// What to record below the mark: that this user accepted an older store.
    accepted: Option<String>,
    /// Whether to accept an older or another store in place of the one that the mark was made of.
    accepts_any: bool,
    /// Whether there is a mark that could not be read.
    is_unreadable: bool,
}

impl KeptMark {
    /// Reads the mark of the configured store.
    pub(crate) fn of(config: &Config) -> Result<Self, Failure> {
        let kept = Self::of_store(&config.store);
        match kept {
            // --accept-rollback also covers a mark that cannot be read.
            Err(_) if config.accepts_rollback() => {
                Ok(Self { accepts_any: true, is_unreadable: true, ..Self::unset(&config.store)? })
            }
            kept => Ok(Self { accepts_any: config.accepts_rollback(), ..kept? }),
        }
    }

    /// Reads the mark of a store.
    pub(crate) fn of_store(store: &Spec) -> Result<Self, Failure> {
        let unset = Self::unset(store)?;
        let mut kept = None;
        for file in &unset.files {
            let text = match fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(file, &error)),
            };
            refuse_foreign(file, Exit::Store)?;
            let first = text.lines().next().unwrap_or_default();
            let mark = first.parse().map_err(|error| unreadable(file, &error))?;
            kept = Some(decisive(kept, mark));
        }
        Ok(Self { kept, ..unset })
    }

    /// No mark yet, for a store in which a vault is created on purpose, replacing any that was there before.
    pub(crate) fn unset(store: &Spec) -> Result<Self, Failure> {
        let unusable = |error| Failure::usage(format!("{store} cannot be used: {error}"));
        let files = store.mark_files().map_err(unusable)?;
        Ok(Self { files, address: store.address(), ..Self::default() })
    }

    /// `options` that refuse a store older than the mark.
    pub(crate) fn guard(&self, options: VaultOptions) -> VaultOptions {
        match self.kept.filter(|_| !self.accepts_any) {
            Some(mark) => options.expect_at_least(mark),
            None => options,
        }
    }

    /// Fails if there was a vault in a store that is now as `now` says, such as "is empty".
    pub(crate) fn refuse_gone(&self, store: &Spec, now: &str) -> Result<(), Failure> {
        if self.kept.is_none() || self.accepts_any {
            return Ok(());
        }
        Err(Failure::new(Exit::Store, format!("{store} {now}, and by its mark this user had a vault there"))
            .next(
                "bring the vault back, or move what is there away: then `strongroom restore --replaces-original FILE` \
                 makes it again from a backup, and `strongroom init --accept-rollback` begins a new one",
            ))
    }

    /// Advances the store's count and keeps the new mark. If it cannot be kept, that is only a warning, since the
    /// command's work is done.
    pub(crate) async fn advance(&mut self, vault: &Vault, output: &Output) {
        if self.files.is_empty() {
            return;
        }
        // From the mark as it is kept now: another process of this user may have advanced it since.
        let mark = async || match self.kept_now() {
            Some(kept) if kept.store_id() == vault.store_id() => vault.mark_after(kept).await,
            _ => vault.mark().await,
        };
        // The server through which the store was reached may have ended. A count that advances twice does no harm.
        let marked = match mark().await {
            Err(Error::Indeterminate(_)) => mark().await,
            marked => marked,
        };
        let error = match marked {
            Ok(mark) => match self.keep(mark) {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            // The vault was moved, or opened for reading: the mark stays as it is.
            Err(Error::Retired) => return,
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported => return,
            Err(error) => error.to_string(),
        };
        output.warn(&format!(
            "the mark that detects an older copy of the store could not be saved, and stays as it was: {error}"
        ));
    }

    /// The mark in the files, unless any mark is accepted.
    fn kept_now(&self) -> Option<Mark> {
        let files = self.files.iter().filter(|_| self.kept.is_some());
        let marks = files.filter_map(|file| mark_in(&fs::read_to_string(file).ok()?));
        marks.fold(None, |kept, mark| Some(decisive(kept, mark)))
    }

    /// Records that the store was opened although it may be older than the mark, and begins again from there. From then
    /// on no other one is accepted, unless the new mark could not be kept.
    pub(crate) async fn accept(&mut self, config: &Config, vault: &Vault, output: &Output) {
        let expected = match (self.accepts_any, self.kept, self.is_unreadable) {
            (true, Some(kept), _) => kept.to_string(),
            (true, None, true) => "a mark that could not be read".to_owned(),
            _ => return config.accept_no_other(),
        };
        let now = crate::output::time(Timestamp::from_ms(SystemClock.now_ms()));
        self.accepted = Some(format!("{now} {ACCEPTED} what stood there in place of {expected}"));
        // The mark of another store, or of an older one, is not above the kept one.
        self.kept = None;
        self.accepts_any = false;
        self.advance(vault, output).await;
        if self.accepted.is_none() {
            config.accept_no_other();
        }
        output.note("the store was accepted as it is; earlier copies of it will be refused");
    }

    /// Keeps a mark, unless a later one of the same store is already kept.
    pub(crate) fn keep(&mut self, mark: Mark) -> io::Result<()> {
        let mut is_kept = false;
        for file in &self.files {
            is_kept |= self.keep_in(file, mark)?;
        }
        if is_kept {
            self.kept = Some(mark);
            self.accepted = None;
        }
        Ok(())
    }

    fn keep_in(&self, file: &Path, mark: Mark) -> io::Result<bool> {
        // Another process of this user may have kept a later one meanwhile.
        let text = fs::read_to_string(file).unwrap_or_default();
        if mark_in(&text).is_some_and(|there| there.is_after(&mark)) && self.kept.is_some() {
            return Ok(false);
        }
        places::make_own_dirs(file)?;
        let new = NewFile::beside(file)?;
        writeln!(new.file(), "{mark}")?;
        if let Some(address) = &self.address {
            writeln!(new.file(), "of {address}")?;
        }
        for line in record(&text, self.accepted.as_deref()) {
            writeln!(new.file(), "{line}")?;
        }
        new.replace(file)?;
        Ok(true)
    }
}

fn mark_in(text: &str) -> Option<Mark> {
    text.lines().next()?.parse().ok()
}

/// Which of two marks decides: the later one; for two different stores, the one kept for the place as it was named,
/// which is read last.
fn decisive(first: Option<Mark>, second: Mark) -> Mark {
    first.filter(|first| first.is_after(&second)).unwrap_or(second)
}

/// The recorded lines in the text of a file, followed by `last`.
fn record<'t>(text: &'t str, last: Option<&'t str>) -> impl Iterator<Item = &'t str> {
    let is_record = |line: &&str| line.split(' ').nth(1) == Some(ACCEPTED);
    let lines: Vec<_> = text.lines().filter(is_record).chain(last).collect();
    let from = lines.len().saturating_sub(RECORD_LINES_MAX);
    lines.into_iter().skip(from)
}

fn unreadable(file: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Store, format!("the mark in {} could not be read: {error}", file.display())).next(
        "bring the file back; without it, --accept-rollback opens the store as it is and makes a new mark",
    )
}

/// How many accepted stores are recorded; the oldest are dropped first.
const RECORD_LINES_MAX: usize = 32;

/// The second word of such a line; the first is the time.
const ACCEPTED: &str = "accepted";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const MARK: &str = "070707070707070707070707070707070000018bcfe568002768c70326483753";

    #[test]
    fn the_record_that_another_process_wrote_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let open = || KeptMark { files: vec![dir.path().join("a.mark")], ..KeptMark::default() };
        let mark: Mark = MARK.parse().unwrap();
        open().keep(mark).unwrap();
        let (mut server, mut command) = (open(), open());
        command.accepted = Some("2026-01-01T00:00:00Z accepted it".to_owned());
        command.address = Some("postgres://u@h/d".to_owned());
        command.keep(mark).unwrap();
        server.keep(mark).unwrap();
        let kept = || fs::read_to_string(dir.path().join("a.mark")).unwrap();
        assert_eq!(kept(), format!("{MARK}\n2026-01-01T00:00:00Z accepted it\n"));

        for _ in 0..RECORD_LINES_MAX {
            command.accepted = Some("2026-01-02T00:00:00Z accepted it".to_owned());
            command.keep(mark).unwrap();
        }
        assert!(kept().starts_with(&format!("{MARK}\nof postgres://u@h/d\n2026-01-02T")));
        assert_eq!(kept().lines().count(), 2 + RECORD_LINES_MAX, "the oldest went first");
    }
}
