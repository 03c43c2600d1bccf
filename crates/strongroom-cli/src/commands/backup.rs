//! `backup`: the vault, or one org, in one file.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use serde::Serialize;
use strongroom::{BackupSummary, Environment, Error, ErrorKind, OrgId, Unlock};
use strongroom_http::ErrorStatus;

use crate::client::Client;
use crate::config::{Config, default_key_file_of};
use crate::failure::{Exit, Failure, repeatable};
use crate::files::{NewFile, unwritable};
use crate::keys;
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::session::Session;

/// `backup` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Backup {
    /// A file that does not exist yet
    file: PathBuf,
    /// The key for a backup of one org, created if there is none [default: one for FILE, in
    /// strongroom/keys in the user's configuration directory]
    #[arg(long, value_name = "KEY")]
    backup_key_file: Option<PathBuf>,
}

/// The key of a backup of one org.
#[derive(Default)]
struct Key {
    unlock: Option<Unlock>,
    /// Its file, if this command created it.
    made: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    file: String,
    org: Option<String>,
    rows: u64,
    tenants: u64,
    bytes: u64,
    unsettled: Vec<TenantView>,
    unfinished: Vec<String>,
}

#[derive(Serialize)]
struct Downloaded {
    file: String,
    bytes: u64,
}

#[derive(Serialize)]
struct TenantView {
    org: String,
    environment: String,
}

impl Backup {
    /// Writes the whole vault, or one org under a key of its own.
    pub(crate) async fn run(
        self,
        config: &Config,
        session: &Session,
        output: &Output,
    ) -> Result<(), Failure> {
        let (file, org) = (&self.file, config.named_org);
        if file.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} exists already", repeatable::file(file)))
                .next("name another file"));
        }
        let Key { unlock, made } = self.key(org, output)?;
        let written = self.write(session, org.zip(unlock), output).await;
        if let Some(key) = made {
            // Never removed: another backup may have been made with it meanwhile.
            let what = if written.is_ok() {
                "nothing else opens the backup, keep the two apart"
            } else {
                "it stays there for the next backup"
            };
            output.note(&format!("created the key file {}: {what}", key.display()));
        }
        let summary = written?;
        for (org, environment) in &summary.unsettled {
            output.note(&format!(
                "org {org}, environment {environment}, changed during the whole backup: its rows are not of one moment"
            ));
        }
        for org in &summary.unfinished {
            output
                .warn(&format!("org {org} was left out: its restore is unfinished; run the same one again"));
        }
        let view = Written {
            file: file.display().to_string(),
            org: org.map(|org| org.to_string()),
            rows: summary.rows,
            tenants: summary.tenants,
            bytes: summary.bytes,
            unsettled: summary.unsettled.iter().map(TenantView::of).collect(),
            unfinished: summary.unfinished.iter().map(ToString::to_string).collect(),
        };
        output.done(&format!("{} in {}", counted(summary.rows, "row"), file.display()), &view)
    }

    /// Writes the whole vault as the server streams it, sealed as it is.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let file = &self.file;
        if self.backup_key_file.is_some() {
            return Err(Failure::not_on_server("a server backs up only the whole vault"));
        }
        if file.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} exists already", repeatable::file(file)))
                .next("name another file"));
        }
        let new = NewFile::beside(file).map_err(|error| unwritable(file, &error))?;
        let bytes = client.control_download(&["backup"], &new, file)?;
        new.publish(file).map_err(|error| unwritable(file, &error))?;
        let view = Downloaded { file: file.display().to_string(), bytes };
        output.note("`strongroom restore` checks it to its end before it writes anything");
        output.done(&format!("{bytes} bytes in {}", view.file), &view)
    }

    async fn write(
        &self,
        session: &Session,
        org: Option<(OrgId, Unlock)>,
        output: &Output,
    ) -> Result<BackupSummary, Failure> {
        let file = &self.file;
        let new = NewFile::beside(file).map_err(|error| unwritable(file, &error))?;
        note(session, output).await?;
        let written = write(session, new.file(), org).await;
        if written.is_err() {
            // The failure says more than that it could not be noted.
            let _ = session.note_operation("backup: failed").await;
        }
        let summary = written.map_err(|error| match error {
            Error::BackupFile(error) => Failure { exit: Exit::Other, ..unwritable(file, &error) },
            error => error.into(),
        })?;
        new.publish(file).map_err(|error| unwritable(file, &error))?;
        Ok(summary)
    }

    fn key(&self, org: Option<OrgId>, output: &Output) -> Result<Key, Failure> {
        match (org, &self.backup_key_file) {
            (None, Some(_)) => {
                Err(Failure::usage("a backup of the whole vault opens with the keys of the vault")
                    .next("name --org with --backup-key-file, or leave both out"))
            }
            (None, None) => Ok(Key::default()),
            (Some(_), named) => {
                let default = || default_key_file_of(&self.file);
                let key_file =
                    named.clone().map_or_else(default, |file| Ok(Some(file)))?.ok_or_else(|| {
                        Failure::usage("there is no directory for the key of the backup")
                            .next("name --backup-key-file")
                    })?;
                let (unlock, is_new) = keys::of_backup(&key_file, output)?;
                Ok(Key { unlock: Some(unlock), made: is_new.then_some(key_file) })
            }
        }
    }
}

/// Notes the backup in the audit, unless the disk of the store is full, the store says that the vault was moved, or the
/// keys of the environment cannot be read: a backup is sealed and reveals nothing, and it may be needed before the
/// store takes writes.
async fn note(session: &Session, output: &Output) -> Result<(), Failure> {
    match session.try_note("backup").await {
        Err(error) if ErrorStatus::of(&error).status == DISK_FULL => {
            output.warn("this backup is not noted in the audit: the disk of the store is full");
            Ok(())
        }
        Err(Error::Retired) => {
            output.warn("this backup is not noted in the audit: the store takes no writes");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Damaged => {
            output.warn(&format!("this backup is not noted in the audit: {error}"));
            Ok(())
        }
        noted => Ok(noted?),
    }
}

/// The status with which a server reports it.
const DISK_FULL: u16 = 507;

async fn write(session: &Session, out: &File, org: Option<(OrgId, Unlock)>) -> Result<BackupSummary, Error> {
    let progress = Progress::without_end("rows written");
    let show = |done: strongroom::Progress| progress.at(&done);
    let buffered = BufWriter::with_capacity(1 << 20, out);
    match org {
        Some((org, unlock)) => session.vault.backup_org(org, unlock, buffered, show).await,
        None => session.vault.backup(buffered, show).await,
    }
}

impl TenantView {
    fn of((org, environment): &(OrgId, Environment)) -> Self {
        Self { org: org.to_string(), environment: environment.to_string() }
    }
}
