//! `doctor`: what is in order with a vault, what is not, and what to do about it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use strongroom::store::{StoreError, StoreErrorKind};
use strongroom::{Error, OrgId, ScopePath, SlotInfo, SlotKind, Timestamp};
use strongroom_http::control::{self, Reason};

use super::audit::moment;
use super::edit;
use crate::client::{Call, Client};
use crate::config::{Config, KeySource};
use crate::failure::{Exit, Failure, word};
use crate::files::{directory_of, leftovers_in};
use crate::output::{Output, counted};
use crate::pages;
use crate::session::Session;
use crate::suggest;

/// `doctor` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Doctor {}

/// One line for each check.
#[derive(Default, Serialize)]
struct Report {
    findings: Vec<Finding>,
    #[serde(skip)]
    exit: Option<Exit>,
}

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
    next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It works, but should be changed.
    Warning,
    Failed,
}

impl Doctor {
    /// Checks everything. A failed check does not prevent further checks, where they are possible.
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<(), Failure> {
        config.store.refuse_unkept("doctor")?;
        let mut report = Report::default();
        report.well("version", env!("CARGO_PKG_VERSION"));
        if let Some(path) = config.store.path() {
            report.permissions(path);
        }
        report.leftovers(config);
        match Session::open(config, output).await {
            Ok(session) => {
                report.well("vault", format!("{} opens, store {}", config.store, session.vault.store_id()));
                report.look_into(&session, config).await;
                if let Err(failure) = session.finish(Ok(()), output).await {
                    report.failed("vault", failure);
                }
            }
            Err(failure) => report.failed("vault", failure),
        }
        report.show(output)
    }

    /// What an API key can see of it; the file of the store and the marks belong to the server.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut report = Report::default();
        if let Err(failure) = report.look_at_server(client) {
            report.failed("vault", failure);
        }
        report.show(output)
    }
}

impl Report {
    fn look_at_server(&mut self, client: &Client) -> Result<(), Failure> {
        let status = client.control_get(Call { path: &["status"], query: &[] });
        let status: control::Status =
            status.inspect_err(|_| self.well("version", env!("CARGO_PKG_VERSION")))?;
        self.well("version", format!("{}, and {} of the server", env!("CARGO_PKG_VERSION"), status.version));
        match status.ready {
            true => self.well("vault", format!("it is served, store {}", status.store_id)),
            false => self.failed(
                "vault",
                Failure::new(Exit::Store, "the server would refuse writes, or is stopping")
                    .next("its log and `strongroom health` say why"),
            ),
        }
        let has = |right: &str| status.rights.iter().any(|one| one == right);
        match has("operate") {
            true => {
                self.slots(&slots_of(client)?);
                let jobs: Vec<control::Job> = client.control_items(Call { path: &["jobs"], query: &[] })?;
                self.jobs(&jobs);
            }
            false => self.unseen("keys", "operate"),
        }
        match has("read") {
            true => {
                let count = client.definitions()?.len();
                self.well("variables", format!("{count} in environment {}", status.environment));
                let seen = client.control_get(Call { path: &["resolve"], query: &[("reveal", "false")] });
                match seen {
                    Ok(control::Resolution { missing_required, .. }) => {
                        self.required(missing_required.len());
                    }
                    // It may be allowed to read only for some accounts.
                    Err(failure) if failure.is_of_right() => {
                        self.unseen("required", "read for the org");
                    }
                    Err(failure) if failure.is(Reason::Damaged) => self.failed("required", failure),
                    Err(failure) => return Err(failure),
                }
            }
            false => self.unseen("variables", "read"),
        }
        Ok(())
    }
}

/// The part of a key slot that matters here.
struct SlotSeen {
    is_usable: bool,
    is_passphrase: bool,
    since: Option<Timestamp>,
}

fn slots_of(client: &Client) -> Result<Vec<SlotSeen>, Failure> {
    let slots: Vec<control::Slot> = client.control_get(Call { path: &["slots"], query: &[] })?;
    let seen = |slot: control::Slot| SlotSeen {
        is_usable: slot.usable,
        is_passphrase: slot.kind == "passphrase",
        since: slot.since.and_then(|since| moment(&since).ok()),
    };
    Ok(slots.into_iter().map(seen).collect())
}

impl Report {
    async fn look_into(&mut self, session: &Session, config: &Config) {
        match session.vault.check_writes().await {
            // It was opened for reading, which a medium that takes no writes allows.
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported => {
                match config.store.path().map(|path| File::options().append(true).open(path)) {
                    Some(Err(error)) => self.failed("writes", unwritable(error).into()),
                    Some(Ok(_)) => self.well("writes", "the file of the store can be written"),
                    None => {}
                }
            }
            Err(error) => self.failed("writes", error.into()),
            Ok(_) => self.well("writes", "the store takes them"),
        }
        let seen = |slot: &SlotInfo| SlotSeen {
            is_usable: slot.is_usable,
            is_passphrase: matches!(slot.kind, SlotKind::Passphrase(_)),
            since: slot.since,
        };
        match session.vault.slots().list().await {
            Ok(slots) => self.slots(&slots.iter().map(seen).collect::<Vec<_>>()),
            Err(error) => self.failed("keys", error.into()),
        }
        match pages::all(async |page| session.vault.jobs(page).await).await {
            Ok(jobs) => self.jobs(&jobs.iter().map(control::Job::of).collect::<Vec<_>>()),
            Err(error) => self.failed("jobs", error.into()),
        }
        match session.vault.unfinished_restores().await {
            Ok(orgs) => orgs.iter().for_each(|org| self.unfinished_restore(org)),
            Err(error) => self.failed("restores", error.into()),
        }
        self.variables(session).await;
    }

    fn unfinished_restore(&mut self, org: &OrgId) {
        self.warn(
            "restores",
            format!("the restore of org {org} is unfinished"),
            format!(
                "run the same `strongroom restore --org {org}` again, or `strongroom --org {org} shred restore` \
                 deletes what it wrote"
            ),
        );
    }

    /// What others may read is sealed, but shows how much there is and when it changes.
    #[cfg(unix)]
    fn permissions(&mut self, store: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = store.metadata() else { return };
        let (mode, shown) = (metadata.permissions().mode() & 0o777, store.display());
        match mode & 0o077 {
            0 => self.well("permissions", format!("{shown} is its owner's")),
            _ => {
                self.warn(
                    "permissions",
                    format!("others can use {shown}"),
                    format!("`chmod go-rwx {}`", word(&shown.to_string())),
                );
            }
        }
    }

    #[cfg(not(unix))]
    fn permissions(&mut self, _: &Path) {}

    /// Files left by commands that were killed, in the directories that this program knows: one with a draft of `edit`
    /// holds values in the clear.
    fn leftovers(&mut self, config: &Config) {
        let marks = config.store.mark_files().unwrap_or_default();
        let key = match &config.key {
            Some(KeySource::RootKeyFile(file) | KeySource::PassphraseFile(file)) => Some(file.as_path()),
            None => None,
        };
        let places =
            [config.store.path(), key].into_iter().flatten().chain(marks.iter().map(PathBuf::as_path));
        let directories: BTreeSet<PathBuf> = places
            .map(|place| directory_of(place).to_owned())
            .chain([edit::directory()])
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        let left: Vec<String> = directories
            .iter()
            .flat_map(|directory| leftovers_in(directory))
            .map(|path| path.display().to_string())
            .collect();
        if !left.is_empty() {
            let count = counted(left.len(), "unfinished file");
            self.warn(
                "leftovers",
                format!("{count} of commands that were killed: {}", left.join(", ")),
                "delete them, if no command is at work there: they can hold rows, keys or a draft of `edit`",
            );
        }
    }

    fn slots(&mut self, slots: &[SlotSeen]) {
        let unreadable = slots.iter().filter(|slot| !slot.is_usable).count();
        let oldest = slots.iter().filter_map(|slot| slot.since).min_by_key(|since| since.as_ms());
        let days = oldest.map(days_since);
        match slots.len() {
            _ if unreadable > 0 => self.warn(
                "keys",
                format!("{} that cannot be used", counted(unreadable, "key slot")),
                "`strongroom slot list` shows which; put back a missing row, or remove the slot and add another",
            ),
            1 => self.warn(
                "keys",
                "only one key opens the vault: whoever loses it loses everything",
                "`strongroom slot add` adds another one, to be kept elsewhere",
            ),
            count => self.well(
                "keys",
                format!(
                    "{count} key slots; try the key of each: `strongroom slot list --root-key-file FILE`"
                ),
            ),
        }
        if let Some(days) = days.filter(|days| *days > KEY_DAYS_MAX) {
            self.warn(
                "age of keys",
                format!("a key is {days} days old"),
                "`strongroom rotate root` gives it a new one",
            );
        }
        if slots.iter().all(|slot| slot.is_passphrase) {
            self.warn(
                "passphrase",
                "every key is a passphrase, which can be guessed by whoever has the store",
                "`strongroom slot add --new-root-key-file FILE` adds a key that cannot",
            );
        }
    }

    fn jobs(&mut self, jobs: &[control::Job]) {
        let blocked = jobs.iter().filter(|job| job.state == "blocked").count();
        match jobs.len() {
            0 => self.well("jobs", "none is unfinished"),
            _ if blocked > 0 => self.warn(
                "jobs",
                format!("{} that cannot open its rows", counted(blocked, "job")),
                "`strongroom verify` names the rows and what to do; then `strongroom job retry ID`",
            ),
            count => {
                self.warn("jobs", counted(count, "unfinished job"), "`strongroom job run` finishes them");
            }
        }
    }

    async fn variables(&mut self, session: &Session) {
        let org = &session.org;
        let count = match pages::definitions(org).await {
            Ok(definitions) => definitions.len(),
            Err(error) => return self.failed("variables", error.into()),
        };
        let environment = org.environment();
        match (count, suggest::other_environment(&session.vault, &session.org).await) {
            (0, Some(other)) => self.warn(
                "variables",
                format!("environment {environment} has none"),
                format!("--environment {other} has some"),
            ),
            _ => self.well("variables", format!("{count} in environment {environment}")),
        }
        match org.resolve_all(&ScopePath::org()).await {
            Ok(found) => self.required(found.missing_required.len()),
            Err(error) => self.failed("required", error.into()),
        }
    }

    fn required(&mut self, missing: usize) {
        if missing > 0 {
            self.warn(
                "required",
                format!("{} without a value at the org", counted(missing, "required variable")),
                "`strongroom resolve` shows which; `strongroom set NAME` sets one",
            );
        }
    }

    /// A part that the API key may not see is not in order either.
    fn unseen(&mut self, check: &'static str, right: &str) {
        self.warn(
            check,
            format!("not looked at: the API key lacks the right {right}"),
            "use a key that has it",
        );
    }

    fn well(&mut self, check: &'static str, message: impl Into<String>) {
        self.findings.push(Finding { check, state: State::Ok, message: message.into(), next: None });
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>, next: impl Into<String>) {
        let next = Some(next.into());
        self.findings.push(Finding { check, state: State::Warning, message: message.into(), next });
    }

    fn failed(&mut self, check: &'static str, failure: Failure) {
        self.exit.get_or_insert(failure.exit);
        let next = failure.step().map(str::to_owned);
        self.findings.push(Finding { check, state: State::Failed, message: failure.message, next });
    }

    fn show(&self, output: &Output) -> Result<(), Failure> {
        let rows = self.findings.iter().map(|one| {
            let state = match one.state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Failed => "failed",
            };
            [
                one.check.to_owned(),
                state.to_owned(),
                one.message.clone(),
                one.next.clone().unwrap_or_default(),
            ]
        });
        output.list(["CHECK", "STATE", "FINDING", "NEXT"], rows, self)?;
        match self.exit {
            Some(exit) => {
                let failed = self.findings.iter().filter(|one| one.state == State::Failed).count();
                Err(Failure::new(exit, format!("{} failed", counted(failed as u64, "check")))
                    .next("NEXT of what failed is the step"))
            }
            None => {
                output.note(
                    "not looked at: whether every row opens, such as the keys and values of accounts; `strongroom \
                     verify` looks",
                );
                Ok(())
            }
        }
    }
}

fn unwritable(error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the file of the store cannot be written").with_source(error)
}

fn days_since(moment: Timestamp) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(moment.as_ms()) / DAY_MS
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A year is a usual period for keys that seal keys (NIST SP 800-57 part 1, table 1, allows up to two).
const KEY_DAYS_MAX: u64 = 365;
