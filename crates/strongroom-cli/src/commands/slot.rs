//! `slot`: the keys that open the vault.

use std::path::PathBuf;

use serde::Serialize;
use strongroom::{SlotId, SlotInfo, SlotKind, Vault};
use strongroom_http::control;

use crate::client::{Call, Client};
use crate::config::KeySource;
use crate::failure::Failure;
use crate::keys;
use crate::output::{Output, time, yes};
use crate::passphrase::NewPassphrase;

/// `slot` as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SlotCommand {
    /// List the keys that open the vault, without showing them
    List,
    /// Add a key that opens the vault; asks for a passphrase unless a file is named
    Add(Add),
    /// Replace the key of a slot; the old key no longer opens the vault
    Change(Change),
    /// Remove a slot; the last one that opens the vault stays
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    new: NewPassphrase,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    id: SlotId,
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    new: NewPassphrase,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    id: SlotId,
}

/// The key of a new slot.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct NewKeyArgs {
    /// A file with the new root key, created if there is none
    #[arg(long, value_name = "FILE")]
    new_root_key_file: Option<PathBuf>,
    /// A file with the new passphrase; one newline at its end is ignored
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

impl NewKeyArgs {
    fn source(self) -> Option<KeySource> {
        let passphrase = self.new_passphrase_file.map(KeySource::PassphraseFile);
        self.new_root_key_file.map(KeySource::RootKeyFile).or(passphrase)
    }
}

#[derive(Serialize)]
struct SlotView {
    id: String,
    kind: &'static str,
    parameters: Option<Parameters>,
    revision: u64,
    since: Option<String>,
    usable: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Parameters {
    Passphrase { memory_kib: u32, passes: u32, lanes: u32 },
    Provider { provider: String, key_id: String, key_version: u64 },
}

#[derive(Serialize)]
struct Removed {
    id: String,
    removed: bool,
}

impl SlotCommand {
    pub(crate) async fn run(self, vault: &Vault, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List => list(vault, output).await,
            Self::Add(Add { key, new }) => {
                let slot = vault.slots().add(keys::for_slot(key.source(), new, output)?).await?;
                let sentence = format!("added key slot {}, opened by {}", slot.id, opened_by(&slot.kind));
                output.done(&sentence, &SlotView::of(&slot))
            }
            Self::Change(Change { id, key, new }) => {
                let slot = vault.slots().change(&id, keys::for_slot(key.source(), new, output)?).await?;
                let sentence = format!("key slot {id} is now opened by {}", opened_by(&slot.kind));
                output.done(&sentence, &SlotView::of(&slot))
            }
            Self::Remove(Remove { id }) => {
                vault.slots().remove(&id).await?;
                let view = Removed { id: id.to_string(), removed: true };
                output.done(&format!("removed key slot {id}"), &view)
            }
        }
    }
}

impl SlotCommand {
    /// No key travels: slots are added and changed where the store is.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List => {
                let slots: Vec<control::Slot> = client.control_get(Call { path: &["slots"], query: &[] })?;
                let rows = slots.iter().map(|slot| {
                    let since = slot.since.clone().unwrap_or_default();
                    [slot.id.clone(), slot.opened_by.clone(), since, yes(slot.usable)]
                });
                output.list(["ID", "OPENED BY", "SINCE", "USABLE"], rows, &slots)
            }
            Self::Remove(Remove { id }) => {
                let path = ["slots", &id.to_string()];
                let _: control::Deleted = client.control_delete(Call { path: &path, query: &[] })?;
                output.done(&format!("removed key slot {id}"), &Removed { id: id.to_string(), removed: true })
            }
            Self::Add(_) | Self::Change(_) => Err(Failure::not_on_server("a key of the vault never travels")),
        }
    }
}

async fn list(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let slots = vault.slots().list().await?;
    let rows = slots.iter().map(|slot| {
        let since = slot.since.map_or_else(String::new, time);
        [slot.id.to_string(), opened_by(&slot.kind), since, yes(slot.is_usable)]
    });
    let views: Vec<_> = slots.iter().map(SlotView::of).collect();
    output.list(["ID", "OPENED BY", "SINCE", "USABLE"], rows, &views)
}

impl SlotView {
    fn of(slot: &SlotInfo) -> Self {
        let (kind, parameters) = match &slot.kind {
            SlotKind::RawKey => ("raw_key", None),
            SlotKind::Passphrase(params) => {
                let (memory_kib, passes) = (params.memory_kib(), params.iterations());
                let lanes = params.lanes();
                ("passphrase", Some(Parameters::Passphrase { memory_kib, passes, lanes }))
            }
            SlotKind::Provider { kind, key } => {
                let (key_id, key_version) = (key.id.clone(), key.version);
                let provider = kind.clone();
                ("provider", Some(Parameters::Provider { provider, key_id, key_version }))
            }
            _ => ("unreadable", None),
        };
        Self {
            id: slot.id.to_string(),
            kind,
            parameters,
            revision: slot.revision.as_u64(),
            since: slot.since.map(time),
            usable: slot.is_usable,
        }
    }
}

fn opened_by(kind: &SlotKind) -> String {
    match kind {
        SlotKind::RawKey => "a root key file".to_owned(),
        SlotKind::Passphrase(params) => {
            let (mib, passes) = (params.memory_kib() / 1024, params.iterations());
            format!("a passphrase, {mib} MiB, {passes} passes, {} lanes", params.lanes())
        }
        SlotKind::Provider { kind, key } => format!("{kind} key {}", key.id),
        _ => "nothing: its row cannot be read".to_owned(),
    }
}
