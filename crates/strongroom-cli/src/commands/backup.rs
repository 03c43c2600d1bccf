//! `backup` and `restore`: the vault, or one org, in one file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde_json::json;
use strongroom::{Backup, BackupSummary, Environment, OrgId, Unlock, Vault};

use crate::config::Config;
use crate::failure::Failure;
use crate::keys;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Session;

/// A restore as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The file that `backup` wrote
    file: PathBuf,
    /// Bring the vault back as it was, into an empty store: the original must be gone for good
    #[arg(long, conflicts_with = "as_new")]
    replaces_original: bool,
    /// Make a new vault of it in an empty store, with an id and keys of its own
    #[arg(long)]
    as_new: bool,
    /// A file with the key of the backup [default: FILE.key if there is one, else what opens the store]
    #[arg(long, value_name = "KEY", conflicts_with = "backup_passphrase_file")]
    backup_key_file: Option<PathBuf>,
    /// A file with the passphrase of the backup
    #[arg(long, value_name = "FILE")]
    backup_passphrase_file: Option<PathBuf>,
}

/// Writes the whole vault, or one org under a key of its own.
pub(crate) async fn write(
    session: &Session,
    file: &Path,
    org: Option<OrgId>,
    key_file: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::usage(format!("{} exists already", file.display())).next("name another file"));
    }
    if org.is_none() && key_file.is_some() {
        return Err(Failure::usage("a backup of the whole vault opens with what opens the vault")
            .next("give --backup-key-file with --org"));
    }
    let unlock = match org {
        Some(_) => {
            let key_file = key_file.map_or_else(|| with_suffix(file, ".key"), Path::to_path_buf);
            Some(keys::of_backup(&key_file, output)?)
        }
        None => None,
    };
    let part = with_suffix(file, ".part");
    let summary = match write_part(session, &part, org.zip(unlock)).await {
        Ok(summary) => summary,
        Err(failure) => {
            drop(fs::remove_file(&part));
            return Err(failure);
        }
    };
    fs::rename(&part, file).map_err(|error| unwritable(&part, &error))?;
    keys::sync_directory_of(file).map_err(|error| unwritable(file, &error))?;
    for (org, environment) in &summary.unsettled {
        output.note(&format!(
            "org {org}, environment {environment}, was written to all the time: its rows are not of one moment"
        ));
    }
    let json = json!({
        "file": file.display().to_string(),
        "org": org.map(|org| org.to_string()),
        "rows": summary.rows,
        "tenants": summary.tenants,
        "bytes": summary.bytes,
        "unsettled": summary.unsettled.iter().map(tenant_json).collect::<Vec<_>>(),
    });
    output.done(&format!("{} rows in {}", summary.rows, file.display()), &json)
}

async fn write_part(
    session: &Session,
    part: &Path,
    org: Option<(OrgId, Unlock)>,
) -> Result<BackupSummary, Failure> {
    let out = OpenOptions::new().write(true).create(true).truncate(true).open(part);
    let out = out.map_err(|error| unwritable(part, &error))?;
    let progress = Progress::without_end("rows written");
    let tell = |done: strongroom::Progress| progress.at(&done);
    let buffered = BufWriter::with_capacity(1 << 20, &out);
    let summary = match org {
        Some((org, unlock)) => session.vault.backup_org(org, unlock, buffered, tell).await?,
        None => session.vault.backup(buffered, tell).await?,
    };
    out.sync_all().map_err(|error| unwritable(part, &error))?;
    Ok(summary)
}

/// Restores a file as it was asked for.
pub(crate) async fn restore(
    config: &Config,
    restore: &Restore,
    org: Option<OrgId>,
    output: &Output,
) -> Result<(), Failure> {
    if !config.store.is_kept() {
        return Err(
            Failure::usage("a store in memory is gone when `restore` ends").next("name a path with --store")
        );
    }
    if usize::from(restore.replaces_original) + usize::from(restore.as_new) + usize::from(org.is_some()) != 1
    {
        return Err(Failure::usage("it is not said what the restore is to be")
            .next("give one of --replaces-original, --as-new and --org"));
    }
    let input = File::open(&restore.file)
        .map_err(|error| Failure::usage(format!("{} could not be read: {error}", restore.file.display())))?;
    let mut backup = Backup::open(input, restore.key(config, output)?).await?;
    let rows = backup.rows();
    let progress = Progress::without_end("rows restored");
    let tell = |done: strongroom::Progress| progress.at(&done);
    let (vault, rows) = if let Some(org) = org {
        let vault = Vault::open(config.store.open_existing()?, keys::existing(config, output)?).await?;
        let restored = backup.restore_org(org, &vault, tell).await;
        match restored {
            Ok(summary) => (vault, summary.rows),
            Err(error) => {
                vault.close().await?;
                return Err(error.into());
            }
        }
    } else if restore.as_new {
        let unlock = keys::for_new_vault(config, output)?;
        (backup.restore_as_new(config.store.open()?, unlock, tell).await?, rows)
    } else {
        (backup.replace_original(config.store.open()?, tell).await?, rows)
    };
    let store_id = vault.store_id();
    vault.close().await?;
    let file = restore.file.display();
    let json = json!({ "file": file.to_string(), "rows": rows, "store_id": store_id });
    output.done(&format!("restored {rows} rows of {file}"), &json)
}

impl Restore {
    fn key(&self, config: &Config, output: &Output) -> Result<Unlock, Failure> {
        if let Some(file) = &self.backup_passphrase_file {
            return keys::passphrase(file, output);
        }
        let beside = with_suffix(&self.file, ".key");
        match &self.backup_key_file {
            Some(file) => keys::root_key(file, output),
            None if beside.exists() => keys::root_key(&beside, output),
            None => keys::existing(config, output),
        }
    }
}

fn tenant_json((org, environment): &(OrgId, Environment)) -> serde_json::Value {
    json!({ "org": org.to_string(), "environment": environment.as_str() })
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} could not be written: {error}", file.display())).next("name another file")
}
