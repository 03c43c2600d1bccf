//! `slot`: the keys that open the vault.

use std::path::PathBuf;

use serde::Serialize;
use strongroom::{Secret, SlotId, SlotInfo, SlotKind, Unlock};
use strongroom_http::control;

use crate::client::{Call, Client};
use crate::config::{Config, KeySource};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::keys;
use crate::output::{Output, time, yes};
use crate::passphrase::NewPassphrase;
use crate::session::Session;

/// `slot` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum SlotCommand {
    /// List the keys that open the vault, without showing them
    List,
    /// Add a key that opens the vault; asks for a passphrase unless a file is named
    Add(Add),
    /// Replace the key of a slot; the old key no longer opens the vault. Asks first if it is the key in use
    Change(Change),
    /// Remove a slot, even if its row is missing; the last usable slot cannot be removed. Asks first if its key is in
    /// use
    Remove(Remove),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Add {
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    new: NewPassphrase,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Change {
    /// The id of the slot, as `strongroom slot list` shows it
    id: SlotId,
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    new: NewPassphrase,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Remove {
    /// The id of the slot, as `strongroom slot list` shows it
    id: SlotId,
    #[command(flatten)]
    consent: Consent,
}

/// The key of a new slot.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
struct NewKeyArgs {
    /// A file with the new root key, created if there is none
    #[arg(long, value_name = "FILE")]
    new_root_key_file: Option<PathBuf>,
    /// A file with the new passphrase; one line end at its end is ignored
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

impl NewKeyArgs {
    fn source(self) -> Option<KeySource> {
        let passphrase = self.new_passphrase_file.map(KeySource::PassphraseFile);
        self.new_root_key_file.map(KeySource::RootKeyFile).or(passphrase)
    }

    /// The key of the named file, otherwise the typed passphrase.
    fn unlock(self, typed: Option<&Secret>, new: NewPassphrase, output: &Output) -> Result<Unlock, Failure> {
        match (self.source(), typed) {
            (Some(source), _) => keys::for_slot(source, new, output),
            (None, Some(passphrase)) => Ok(Unlock::passphrase(passphrase.expose())),
            (None, None) => Err(Failure::usage("no key was given for the slot")),
        }
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
    /// Whether this command opened the vault with it.
    own: bool,
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
    /// The passphrase of a new slot, typed at a prompt unless a file was named.
    pub(crate) fn typed_key(&self) -> Result<Option<Secret>, Failure> {
        let (key, new) = match self {
            Self::Add(Add { key, new }) | Self::Change(Change { key, new, .. }) => (key, new),
            Self::List | Self::Remove(_) => return Ok(None),
        };
        match key.clone().source() {
            Some(_) => Ok(None),
            None => keys::asked_twice(*new).map(Some),
        }
    }

    pub(crate) async fn run(
        self,
        typed: Option<&Secret>,
        config: &Config,
        session: &Session,
        output: &Output,
    ) -> Result<(), Failure> {
        let slots = session.vault.slots();
        match self {
            Self::List => list(&slots.list().await?, output),
            Self::Add(Add { key, new }) => {
                // Where that it begins cannot be noted, no key file is left that opens nothing.
                let add = async { Ok(slots.add(key.unlock(typed, new, output)?).await?) };
                let slot = session.operate("slot add", add).await?;
                // That it began is noted already.
                if let Err(error) = session.note_operation(&format!("slot add: {}", slot.id)).await {
                    output.warn(&format!("the id of the slot was not noted in the audit: {error}"));
                }
                let sentence = format!("added key slot {}, opened by {}", slot.id, opened_by(&slot.kind));
                output.done(&sentence, &SlotView::of(&slot))
            }
            Self::Change(Change { id, key, new, consent }) => {
                let all = slots.list().await?;
                ask(&all, config, consent, ("change the key of", id))?;
                let change = async { Ok(slots.change(&id, key.unlock(typed, new, output)?).await?) };
                let slot = session.operate(&format!("slot change {id}"), change).await?;
                if slot.is_own {
                    output.note(
                        "the key that this command was given no longer opens the vault: use the new one, also for \
                         a server",
                    );
                }
                let sentence = format!("key slot {id} is now opened by {}", opened_by(&slot.kind));
                output.done(&sentence, &SlotView::of(&slot))
            }
            Self::Remove(Remove { id, consent }) => {
                let all = slots.list().await?;
                // Removing the last one is refused anyway.
                if all.iter().any(|slot| slot.id != id && slot.is_usable) {
                    ask(&all, config, consent, ("remove", id))?;
                }
                let remove = async { Ok(slots.remove(&id).await?) };
                session.operate(&format!("slot remove {id}"), remove).await?;
                let view = Removed { id: id.to_string(), removed: true };
                output.done(&format!("removed key slot {id}"), &view)
            }
        }
    }
}

impl SlotCommand {
    /// Keys are never sent: slots are added and changed where the store is.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List => {
                let slots: Vec<control::Slot> = client.control_get(Call { path: &["slots"], query: &[] })?;
                let rows = slots.iter().map(|slot| {
                    let since = slot.since.clone().unwrap_or_default();
                    let own = if slot.own { "the server" } else { "" };
                    [slot.id.clone(), slot.opened_by.clone(), since, yes(slot.usable), own.to_owned()]
                });
                output.list(COLUMNS, rows, &slots)
            }
            Self::Remove(Remove { id, consent }) => {
                let slots: Vec<control::Slot> = client.control_get(Call { path: &["slots"], query: &[] })?;
                let text = id.to_string();
                if slots.iter().any(|slot| slot.id == text && slot.own) {
                    consent.to(&format!(
                        "remove key slot {id}, which opened the vault for the server: {GONE}"
                    ))?;
                }
                let (path, query) = (["slots", text.as_str()], [("own", "true")]);
                let _: control::Deleted = client.control_delete(Call { path: &path, query: &query })?;
                output.done(&format!("removed key slot {id}"), &Removed { id: id.to_string(), removed: true })
            }
            Self::Add(_) | Self::Change(_) => {
                Err(Failure::not_on_server("keys of the vault are never sent to a server"))
            }
        }
    }
}

/// Asks before the key of a slot is removed with which this command, or perhaps a server, opened the vault.
fn ask(
    all: &[SlotInfo],
    config: &Config,
    consent: Consent,
    (what, id): (&str, SlotId),
) -> Result<(), Failure> {
    if all.iter().any(|slot| slot.id == id && slot.is_own) {
        return consent.to(&format!("{what} key slot {id}, which opened the vault for this command: {GONE}"));
    }
    if config.store.is_served() {
        return consent.to(&format!("{what} key slot {id} while a server has the vault open: {GONE}"));
    }
    Ok(())
}

fn list(slots: &[SlotInfo], output: &Output) -> Result<(), Failure> {
    let rows = slots.iter().map(|slot| {
        let since = slot.since.map_or_else(String::new, time);
        let own = if slot.is_own { "this command" } else { "" };
        [slot.id.to_string(), opened_by(&slot.kind), since, yes(slot.is_usable), own.to_owned()]
    });
    let views: Vec<_> = slots.iter().map(SlotView::of).collect();
    output.list(COLUMNS, rows, &views)
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
            SlotKind::Missing => ("missing", None),
            _ => ("unreadable", None),
        };
        Self {
            id: slot.id.to_string(),
            kind,
            parameters,
            revision: slot.revision.as_u64(),
            since: slot.since.map(time),
            usable: slot.is_usable,
            own: slot.is_own,
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
        SlotKind::Missing => "nothing: its row is missing".to_owned(),
        _ => "nothing: its row cannot be read".to_owned(),
    }
}

const COLUMNS: [&str; 5] = ["ID", "OPENED BY", "SINCE", "USABLE", "IN USE BY"];
/// The effect on processes that have the vault open with the key of the removed slot.
const GONE: &str =
    "its key opens the vault no more, and a server that was started with it does not start again";
