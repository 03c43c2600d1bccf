//! `rotate root`: a new root key.

use std::path::PathBuf;

use serde::Serialize;
use strongroom::{Error, NewRoot, RootRotation, SlotError, SlotId, Vault};

use crate::commands::job::{self, JobView};
use crate::config::{Config, KeySource};
use crate::failure::{Exit, Failure};
use crate::keys::{self, Key};
use crate::output::Output;
use crate::session::Session;
use crate::store::Access;

/// `rotate root` as it is typed: what to do with each slot other than that of the key which opened the vault.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Root {
    /// Keep a slot; FILE holds its root key, which must open this slot
    #[arg(long, value_name = "ID=FILE", value_parser = slot_file)]
    slot_key_file: Vec<(SlotId, PathBuf)>,
    /// Keep a slot; FILE holds its passphrase, which must open this slot
    #[arg(long, value_name = "ID=FILE", value_parser = slot_file)]
    slot_passphrase_file: Vec<(SlotId, PathBuf)>,
    /// Drop a slot: its key no longer opens the vault
    #[arg(long, value_name = "ID")]
    drop: Vec<SlotId>,
}

#[derive(Serialize)]
struct Rotated {
    root_id: String,
    kept: Vec<String>,
    dropped: Vec<String>,
    job: JobView,
}

impl Root {
    /// Creates a new root key and runs the job to its end.
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<(), Failure> {
        config.store.refuse_unkept("rotate")?;
        self.refuse_repeated()?;
        Session::refuse_absent(config)?;
        let own = keys::existing_key(config, output)?;
        let presented = self.presented_keys(output)?;
        let store = config.store.open_existing(Access::Write)?;
        let session = Session::open_with(config, store, own.unlock()?, output).await?;
        let done = self.check_and_rotate(&session, &own, presented, output).await;
        session.finish(done, output).await
    }

    async fn check_and_rotate(
        &self,
        session: &Session,
        own: &Key,
        presented: Vec<(SlotId, Key)>,
        output: &Output,
    ) -> Result<(), Failure> {
        self.refuse_unknown(&session.vault).await?;
        refuse_misplaced(&session.vault, &presented).await?;
        let mut others: Vec<Key> = Vec::new();
        for (_, key) in presented {
            if !key.is_same(own) && !others.iter().any(|known| known.is_same(&key)) {
                others.push(key);
            }
        }
        let dropped = self.drop.iter().map(|id| format!(", dropping slot {id}"));
        let deed = format!("rotate root{}", dropped.collect::<String>());
        session.operate(&deed, self.rotate(session, own, &others, output)).await
    }

    async fn rotate(
        &self,
        session: &Session,
        own: &Key,
        others: &[Key],
        output: &Output,
    ) -> Result<(), Failure> {
        let vault = &session.vault;
        let rotated = match vault.rotate_root(self.rotation(Some(own), others)?).await {
            // The slot of the key that opened the vault may be among the dropped ones, and nothing has been written
            // yet.
            Err(Error::WrongKey) if !self.drop.is_empty() => {
                vault.rotate_root(self.rotation(None, others)?).await
            }
            rotated => rotated,
        };
        let new = rotated.map_err(refused)?;
        session.keep_mark(output).await;
        output.note("older copies of the store still open with the old keys");
        if !new.dropped.is_empty() {
            output.note(
                "a server that uses the key of a dropped slot refuses requests with 503 until its key file is replaced \
                 by one of a slot that is left; it then continues by itself",
            );
        }
        let report = job::run_to_end(&new.job, output).await?.report;
        job::show_unreadable(&report.progress, output)?;
        let NewRoot { kept, dropped, root_id, job, .. } = &new;
        let sentence = format!(
            "the root key is now {root_id}; {} key slots kept, {} dropped, {} keyrings and jobs sealed again",
            kept.len(),
            dropped.len(),
            report.progress.done
        );
        let ids = |slots: &[SlotId]| slots.iter().map(ToString::to_string).collect();
        let view = Rotated {
            root_id: root_id.to_string(),
            kept: ids(kept),
            dropped: ids(dropped),
            job: JobView::of(job.id(), &report),
        };
        output.done(&sentence, &view)?;
        job::verdict(job.id(), &report)
    }

    fn refuse_repeated(&self) -> Result<(), Failure> {
        let mut named: Vec<_> = self.presented().map(|(id, _)| id).chain(&self.drop).collect();
        named.sort_unstable();
        match named.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        }) {
            Some(id) => {
                Err(Failure::usage(format!("slot {id} is named twice")).next("keep it or drop it, not both"))
            }
            None => Ok(()),
        }
    }

    fn presented(&self) -> impl Iterator<Item = (&SlotId, KeySource)> {
        let raw = self.slot_key_file.iter().map(|(id, file)| (id, KeySource::RootKeyFile(file.clone())));
        let typed = &self.slot_passphrase_file;
        raw.chain(typed.iter().map(|(id, file)| (id, KeySource::PassphraseFile(file.clone()))))
    }

    /// The named keys with the slots that they should open.
    fn presented_keys(&self, output: &Output) -> Result<Vec<(SlotId, Key)>, Failure> {
        self.presented().map(|(id, source)| Ok((*id, Key::read(&source, output)?))).collect()
    }

    /// Fails for a named slot that the vault does not have.
    async fn refuse_unknown(&self, vault: &Vault) -> Result<(), Failure> {
        let slots = vault.slots().list().await?;
        let mut named = self.presented().map(|(id, _)| id).chain(&self.drop);
        match named.find(|id| !slots.iter().any(|slot| slot.id == **id)) {
            Some(id) => Err(Error::Slot(SlotError::NotFound(*id)).into()),
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

/// Fails for a key that does not open the slot that it is named with, even if it opens another one.
async fn refuse_misplaced(vault: &Vault, presented: &[(SlotId, Key)]) -> Result<(), Failure> {
    for (id, key) in presented {
        if !vault.slots().opens(id, &key.unlock()?).await? {
            let why = format!("the key that is named for slot {id} does not open it");
            return Err(Failure::new(Exit::Key, why).next(
                "check --slot-key-file and --slot-passphrase-file with `strongroom slot list`; nothing was written",
            ));
        }
    }
    Ok(())
}

fn refused(error: Error) -> Failure {
    let is_wrong_key = matches!(error, Error::WrongKey);
    let failure = Failure::from(error);
    if !is_wrong_key {
        return failure;
    }
    Failure { message: "one of the given keys opens none of the slots to keep".to_owned(), ..failure }
        .next("check --slot-key-file and --slot-passphrase-file; nothing was written")
}

/// Parses `ID=FILE`.
fn slot_file(text: &str) -> Result<(SlotId, PathBuf), String> {
    let (id, file) = text.split_once('=').ok_or("a slot's key is written ID=FILE")?;
    Ok((id.parse::<SlotId>().map_err(|error| error.to_string())?, file.into()))
}

pub(super) const HELP: &str = "\
The key that opened the vault keeps its slot. Name the key file of every other slot to keep it, or drop the slot;
`strongroom slot list` lists them. Nothing is written until each slot has one of the two.";
