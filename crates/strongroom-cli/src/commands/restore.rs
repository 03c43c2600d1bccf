//! `restore`: a backup becomes a vault, or an org in one.

use std::fs::File;
use std::path::PathBuf;

use serde::Serialize;
use strongroom::{Backup, Environment, Error, ErrorKind, OrgId, Unlock, Vault, WrongStore};

use crate::config::{Config, default_key_file_of};
use crate::failure::{Failure, repeatable};
use crate::keys;
use crate::marks::KeptMark;
use crate::output::{Output, counted};
use crate::passphrase::NewPassphrase;
use crate::progress::Progress;
use crate::session::Session;

/// `restore` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Restore {
    /// The file that `backup` wrote
    file: PathBuf,
    /// Restore the vault as it was, into an empty store: the original must be gone for good
    #[arg(long, conflicts_with = "as_new")]
    replaces_original: bool,
    /// Make a new vault of it in an empty store, with its own id and keys
    #[arg(long)]
    as_new: bool,
    /// A file with the key of the backup [default: the one that `backup` created for FILE, otherwise the
    /// key of the store]
    #[arg(long, value_name = "KEY", conflicts_with = "backup_passphrase_file")]
    backup_key_file: Option<PathBuf>,
    /// A file with the passphrase of the backup
    #[arg(long, value_name = "FILE")]
    backup_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    new: NewPassphrase,
}

/// Where the rows of a backup go.
#[derive(Debug, Clone, Copy)]
enum Target {
    Original,
    NewVault(NewPassphrase),
    Org(OrgId),
}

#[derive(Serialize)]
struct Restored<'a> {
    file: &'a str,
    rows: u64,
    store_id: String,
}

impl Restore {
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<(), Failure> {
        config.store.refuse_unkept("restore")?;
        let target = self.target(config.named_org)?;
        let input = File::open(&self.file).map_err(|error| {
            Failure::usage(format!("{} could not be read: {error}", repeatable::file(&self.file)))
                .next("name a file that `strongroom backup` wrote")
        })?;
        let backup = Backup::open(input, self.key(config, output)?).await?;
        let (vault, mut mark, rows) = write(backup, target, config, output).await?;
        let store_id = vault.store_id();
        mark.advance(&vault, output).await;
        vault.close().await?;
        let file = self.file.display().to_string();
        output.done(
            &format!("restored {} of {file}", counted(rows, "row")),
            &Restored { file: &file, rows, store_id },
        )
    }

    fn target(&self, org: Option<OrgId>) -> Result<Target, Failure> {
        match (self.replaces_original, self.as_new, org) {
            (true, false, None) => Ok(Target::Original),
            (false, true, None) => Ok(Target::NewVault(self.new)),
            (false, false, Some(org)) => Ok(Target::Org(org)),
            _ => Err(Failure::usage("choose one way to restore")
                .next("give one of --replaces-original, --as-new and --org")),
        }
    }

    fn key(&self, config: &Config, output: &Output) -> Result<Unlock, Failure> {
        if let Some(file) = &self.backup_passphrase_file {
            return keys::passphrase(file, output);
        }
        let default = default_key_file_of(&self.file)?.filter(|file| file.exists());
        match self.backup_key_file.as_ref().or(default.as_ref()) {
            Some(file) => keys::root_key(file, output),
            None => keys::existing(config, output),
        }
    }
}

/// Restores, and returns the open vault, its kept mark, and how many rows were written.
async fn write(
    mut backup: Backup<File>,
    target: Target,
    config: &Config,
    output: &Output,
) -> Result<(Vault, KeptMark, u64), Failure> {
    let rows = backup.rows();
    let progress = Progress::without_end("rows restored");
    let show = |done: strongroom::Progress| progress.at(&done);
    match target {
        Target::Original => {
            let mark = KeptMark::unset(&config.store)?;
            let vault = backup.replace_original(config.store.open()?, show).await.map_err(emptied_first)?;
            Ok((vault, mark, rows))
        }
        Target::NewVault(new) => {
            let unlock = keys::for_new_vault(config, new, output)?;
            let mark = KeptMark::unset(&config.store)?;
            let vault = backup.restore_as_new(config.store.open()?, unlock, show).await;
            Ok((vault.map_err(sealed_anew)?, mark, rows))
        }
        Target::Org(org) => {
            let session = Session::open(config, output).await?;
            let (vault, mark) = (session.vault, session.mark);
            match backup.restore_org(org, &vault, show).await {
                Ok(summary) => Ok((vault, mark, summary.rows)),
                Err(error) => {
                    vault.close().await?;
                    Err(match error {
                        Error::OrgNotFound(org) => absent(org, &backup.tenants()?),
                        error => error.into(),
                    })
                }
            }
        }
    }
}

/// A restore never overwrites a vault.
fn emptied_first(error: Error) -> Failure {
    let is_taken = matches!(error, Error::WrongStore(WrongStore::HoldsVault));
    let failure = Failure::from(error);
    if !is_taken {
        return failure;
    }
    Failure::new(failure.exit, "the store already holds a vault, and a restore only writes to an empty one")
        .next("move that store away first, or name another one with --store; nothing was written")
}

/// Every row of a new vault is sealed under new keys, so none can be taken that cannot be read.
fn sealed_anew(error: Error) -> Failure {
    let is_damaged = error.kind() == ErrorKind::Damaged;
    let failure = emptied_first(error);
    if !is_damaged {
        return failure;
    }
    failure.next(
        "`strongroom restore --replaces-original` takes the rows of the backup as they are, and `strongroom verify` \
         then says what to do about those that cannot be read; move this store away first, which is unfinished, or \
         name another one with --store",
    )
}

/// The backup holds orgs other than the requested one.
fn absent(org: OrgId, held: &[(OrgId, Environment)]) -> Failure {
    let shown =
        held.iter().take(SHOWN_MAX).map(|(org, environment)| format!("org {org}, environment {environment}"));
    let more = if held.len() > SHOWN_MAX { "; and others" } else { "" };
    let holds = match held {
        [] => "it holds no org at all".to_owned(),
        _ => format!("it holds {}{more}", shown.collect::<Vec<_>>().join("; ")),
    };
    Failure::not_found(format!("the backup holds nothing of org {org}"))
        .next(format!("name another one with --org: {holds}"))
}

const SHOWN_MAX: usize = 10;
