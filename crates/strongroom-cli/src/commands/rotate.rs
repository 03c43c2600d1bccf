//! `rotate`: new data keys, or a new root key.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use strongroom::{DataKeys, Error, LinkedAccountId, NewRoot, PageRequest, RootRotation, SlotId, Vault};

use crate::commands::job;
use crate::config::{Config, KeySource};
use crate::failure::Failure;
use crate::keys::{self, Key};
use crate::output::Output;
use crate::session::Session;

/// A rotation as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Rotate {
    /// New data keys, under which every row is sealed anew: those of the org and environment, and of its accounts
    Data(Data),
    /// A new root key, under which every keyring is sealed anew
    #[command(after_help = ROOT_HELP)]
    Root(Slots),
}

/// Which data keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Data {
    /// Only the key of this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// Those of every org and environment, whatever --org and --environment say
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// Only keys that were in use for at least so long, such as 90d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Only keys that seal at least so many rows; with --older-than, either will do
    #[arg(long, value_name = "ROWS")]
    rows_at_least: Option<u64>,
}

/// What becomes of the slots other than that of the key which opened the vault.
#[derive(Debug, clap::Args)]
pub(crate) struct Slots {
    /// Keep a slot, with the file of its root key
    #[arg(long, value_name = "ID=FILE", value_parser = slot_file)]
    slot_key_file: Vec<(SlotId, PathBuf)>,
    /// Keep a slot, with the file of its passphrase
    #[arg(long, value_name = "ID=FILE", value_parser = slot_file)]
    slot_passphrase_file: Vec<(SlotId, PathBuf)>,
    /// Drop a slot: what opened it opens the vault no more
    #[arg(long, value_name = "ID")]
    drop: Vec<SlotId>,
}

/// Rotates data keys and runs the job to its end.
pub(crate) async fn data(session: &Session, which: Data, output: &Output) -> Result<(), Failure> {
    let keys = which.keys(session).await?;
    let job = session.vault.rotate_data_keys(&keys).await?;
    let report = job::to_its_end(&job).await?;
    let progress = &report.progress;
    job::show_unreadable(progress, output)?;
    let sentence = match progress.keys_made {
        0 => "no data key was due: nothing is to be rotated".to_owned(),
        made => format!(
            "{made} new data keys for {} rows; {} old keys are destroyed, {} kept",
            progress.done, progress.keys_destroyed, progress.keys_kept
        ),
    };
    output.done(&sentence, &job::report_json(job.id(), &report))?;
    job::verdict(job.id(), &report)
}

/// Gives the vault a new root key and runs the job to its end.
pub(crate) async fn root(config: &Config, slots: &Slots, output: &Output) -> Result<(), Failure> {
    if config.store.path().is_none() {
        return Err(Failure::usage("a store in memory is gone when `rotate` ends").next("name a path"));
    }
    slots.check()?;
    let store = config.store.open_existing()?;
    let own = keys::existing_key(config, output)?;
    let others = slots.keys(&own, output)?;
    let session = Session::open_with(config, store, own.unlock()?).await?;
    let done = new_root(&session.vault, &own, &others, slots, output).await;
    let closed = session.close().await;
    done.and(closed)
}

async fn new_root(
    vault: &Vault,
    own: &Key,
    others: &[Key],
    slots: &Slots,
    output: &Output,
) -> Result<(), Failure> {
    slots.look_for(vault).await?;
    let rotated = match vault.rotate_root(slots.rotation(Some(own), others)?).await {
        // The slot of the key that opened the vault may be among the dropped ones, and nothing was written yet.
        Err(Error::WrongKey) if !slots.drop.is_empty() => {
            vault.rotate_root(slots.rotation(None, others)?).await
        }
        answer => answer,
    };
    let new = rotated.map_err(refused)?;
    output.note("a copy of the store from before still opens with the keys of then");
    let report = job::to_its_end(&new.job).await?;
    job::show_unreadable(&report.progress, output)?;
    let NewRoot { kept, dropped, root_id, job, .. } = &new;
    let sentence = format!(
        "the root key is now {root_id}; {} key slots kept, {} dropped, {} keyrings and jobs gone through",
        kept.len(),
        dropped.len(),
        report.progress.done
    );
    let ids = |slots: &[SlotId]| slots.iter().map(ToString::to_string).collect::<Vec<_>>();
    let json = json!({
        "root_id": root_id.to_string(),
        "kept": ids(kept),
        "dropped": ids(dropped),
        "job": job::report_json(job.id(), &report),
    });
    output.done(&sentence, &json)?;
    job::verdict(job.id(), &report)
}

impl Data {
    async fn keys(self, session: &Session) -> Result<DataKeys, Failure> {
        let (org, environment) = (*session.org.id(), session.org.environment().clone());
        let mut keys = match self.account {
            Some(account) => {
                look_for_account(session, &account).await?;
                DataKeys::of_account(org, environment, account)
            }
            None if self.all => DataKeys::all(),
            None => DataKeys::of_org(org, environment),
        };
        if let Some(age) = self.older_than {
            keys = keys.older_than(age);
        }
        if let Some(rows) = self.rows_at_least {
            keys = keys.rows_at_least(rows);
        }
        Ok(keys)
    }
}

impl Slots {
    /// No slot is named twice.
    fn check(&self) -> Result<(), Failure> {
        let mut named: Vec<_> = self.presented().map(|(id, _)| id).chain(&self.drop).collect();
        named.sort_unstable();
        match named.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        }) {
            Some(id) => Err(Failure::usage(format!("slot {id} is named twice")).next("keep it or drop it")),
            None => Ok(()),
        }
    }

    fn presented(&self) -> impl Iterator<Item = (&SlotId, KeySource)> {
        let raw = self.slot_key_file.iter().map(|(id, file)| (id, KeySource::RootKeyFile(file.clone())));
        let typed = &self.slot_passphrase_file;
        raw.chain(typed.iter().map(|(id, file)| (id, KeySource::PassphraseFile(file.clone()))))
    }

    /// The keys that were named, each once and without that which opened the vault.
    fn keys(&self, own: &Key, output: &Output) -> Result<Vec<Key>, Failure> {
        let mut keys: Vec<Key> = Vec::new();
        for (_, source) in self.presented() {
            let key = Key::read(&source, output)?;
            if !key.is_same(own) && !keys.iter().any(|known| known.is_same(&key)) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// Every slot that was named is there.
    async fn look_for(&self, vault: &Vault) -> Result<(), Failure> {
        let slots = vault.slots().list().await?;
        let mut named = self.presented().map(|(id, _)| id).chain(&self.drop);
        match named.find(|id| !slots.iter().any(|slot| slot.id == **id)) {
            Some(id) => Err(Error::SlotNotFound(*id).into()),
            None => Ok(()),
        }
    }

    fn rotation(&self, own: Option<&Key>, others: &[Key]) -> Result<RootRotation, Failure> {
        let mut rotation = RootRotation::new();
        for key in own.into_iter().chain(others) {
            rotation = rotation.keep(key.unlock()?);
        }
        Ok(self.drop.iter().fold(rotation, |rotation, id| rotation.drop_slot(*id)))
    }
}

/// An account has a key where it is registered or has values.
async fn look_for_account(session: &Session, account: &LinkedAccountId) -> Result<(), Failure> {
    let org = &session.org;
    let is_there = org.linked_account(account).await?.is_some()
        || !org.account(account.clone()).values(PageRequest::first(1)).await?.items.is_empty();
    if is_there { Ok(()) } else { Err(Error::AccountNotFound(account.clone()).into()) }
}

fn refused(error: Error) -> Failure {
    let is_wrong_key = matches!(error, Error::WrongKey);
    let failure = Failure::from(error);
    if !is_wrong_key {
        return failure;
    }
    Failure {
        message: "a key that was presented opens none of the slots that are to be kept".to_owned(),
        ..failure
    }
    .next("check --slot-key-file and --slot-passphrase-file; nothing was written")
}

/// Reads `ID=FILE`.
fn slot_file(text: &str) -> Result<(SlotId, PathBuf), String> {
    let (id, file) = text.split_once('=').ok_or("a slot's key is written ID=FILE")?;
    Ok((id.parse::<SlotId>().map_err(|error| error.to_string())?, file.into()))
}

const ROOT_HELP: &str = "\
The key that opened the vault keeps its own slot. Every other slot is kept by presenting its key, or dropped;
`strongroom slot list` shows which there are. Otherwise nothing is written.";
