//! Shredding: what was sealed cannot be opened any more, and how far that can be said.
//!
//! Dropping keys makes rows unreadable for whoever has no older copy of the keyring. An older copy opens under the
//! root that sealed it. So that root has to be out of everybody's reach: a new one was made, every keyring was sealed
//! anew, and every key that ever led to a former root is destroyed.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::OrgId;
use crate::keys::provider::{Destruction, KeyProvider, ProviderErrorKind, ProviderKey};
use crate::keys::{KeyEnd, KeyHeld, StoreRow};
use crate::row::VaultKeys;
use crate::store::WriteBatch;

/// What was shredded, and how far that can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says whether a copy from before can still be read"]
pub struct ShredReceipt {
    /// The org whose account it was.
    pub org: OrgId,
    /// The data keys that are accepted no more. Their ids stay as tombstones.
    pub keys: Vec<DekId>,
    /// The root that was active then, under which older copies of those keys lie.
    pub root_id: DekId,
    /// How far it can be said.
    pub effect: ShredEffect,
}

/// How far it can be said that what was shredded is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShredEffect {
    /// Nothing of it can be read through this vault. A copy of the store from before may still be opened.
    Logical {
        /// Why no more can be said.
        because: Vec<NotDestroyed>,
    },
    /// A key that opens a copy from before is about to be deleted, and that can still be cancelled.
    Scheduled {
        /// When the last such key will be gone.
        until: Timestamp,
    },
    /// Every key that opened a copy from before is destroyed.
    KeyDestroyed {
        /// The keys, and how their providers know.
        evidence: Vec<DestroyedKey>,
    },
}

/// A key of a key provider that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestroyedKey {
    /// The kind of its provider.
    pub kind: String,
    /// Which key.
    pub key: ProviderKey,
    /// How the provider knows, as a sentence for people.
    pub evidence: String,
}

/// Why a copy of the store from before may still be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDestroyed {
    /// The root that sealed the keys is still in use: rotate it and run its job to the end.
    RootInUse,
    /// A passphrase or raw key once led to a former root. Nobody can show that it is forgotten.
    KnownSecret,
    /// A former root was under a key that a slot still uses, in this or another version: give the slot a key of its
    /// own, then rotate the root.
    KeyInUse(ProviderKey),
    /// No provider of this kind was given.
    NoProvider(String),
    /// The provider cannot destroy keys, or does not know this one.
    NotConfirmed(ProviderKey),
    /// Others share the store, and may hold former keys in memory: see [`Assume::NoOtherProcess`].
    OtherProcesses,
    /// Backups under other keys may hold it: see [`Assume::NoBackup`].
    Backups,
    /// The vault notes a backup of the org under another key ([`Vault::backup_org`]), and nothing that is destroyed
    /// here destroys that file. No [`Assume`] speaks against it.
    OrgBackup,
}

/// What only the host can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assume {
    /// Every other process that had the vault open was closed since the root was rotated.
    NoOtherProcess,
    /// No backup of what was shredded was made under another key.
    NoBackup,
}

/// Whether a backup of the org under another key was ever begun.
pub(crate) async fn org_backup(engine: &Engine, org: &OrgId) -> Result<Option<NotDestroyed>, Error> {
    let notes = engine.scan(VaultKeys::exports(org), 1).await?;
    Ok((!notes.rows.is_empty()).then_some(NotDestroyed::OrgBackup))
}

pub(crate) async fn read_store_row(engine: &Engine) -> Result<StoreRow, Error> {
    engine.open_head().await.map(|(_, store_row, _)| store_row)
}

/// The provider keys that ever led to a former root, each once.
pub(crate) fn former_keys(store_row: &StoreRow) -> Vec<KeyHeld> {
    let body = &store_row.body;
    let mut keys: Vec<KeyHeld> = Vec::new();
    for held in body.slots.iter().filter(|held| held.root_id != body.root_id) {
        keys.extend(held.key.clone().filter(|key| !keys.contains(key)));
    }
    keys
}

/// Why a key cannot be destroyed, told without touching it.
pub(crate) fn refusal(
    store_row: &StoreRow,
    key: &KeyHeld,
    providers: &[Arc<dyn KeyProvider>],
    now: Timestamp,
) -> Option<NotDestroyed> {
    if is_in_use(store_row, key) {
        return Some(NotDestroyed::KeyInUse(key.name()));
    }
    let needs_nobody = end_of(store_row, key).is_some_and(|end| end.is_confirmed() || end.is_pending(now));
    let known = needs_nobody || providers.iter().any(|provider| provider.kind() == key.kind);
    (!known).then(|| NotDestroyed::NoProvider(key.kind.clone()))
}

/// Whether a slot that opens the vault is under the key, in this or another version. The sealed row says so: a slot's
/// own row is the store's to hide, and what is destroyed does not come back.
fn is_in_use(store_row: &StoreRow, key: &KeyHeld) -> bool {
    let current = store_row.body.slots.iter().filter(|held| held.is_current());
    current.filter_map(|held| held.key.as_ref()).any(|used| used.is_version_of(key))
}

fn end_of<'s>(store_row: &'s StoreRow, key: &KeyHeld) -> Option<&'s KeyEnd> {
    store_row
        .body
        .slots
        .iter()
        .filter(|held| held.key.as_ref() == Some(key))
        .find_map(|held| held.end.as_ref())
}

/// Destroys a key, unless that was done. Only what the provider confirms counts: a key that it does not know may as
/// well be that of another device, unless it named a day for its end before.
pub(crate) async fn destroy(
    engine: &Engine,
    key: &KeyHeld,
    providers: &[Arc<dyn KeyProvider>],
) -> Result<Option<NotDestroyed>, Error> {
    let Some(before) = note_begun(engine, key).await? else {
        return Ok(Some(NotDestroyed::KeyInUse(key.name())));
    };
    let provider = providers.iter().find(|provider| provider.kind() == key.kind);
    let Some(provider) = provider.filter(|_| !before.is_confirmed()) else { return Ok(None) };
    let end = match provider.destroy(&key.name()).await {
        Ok(Destruction::Destroyed { evidence }) => KeyEnd { until_ms: None, evidence: Some(evidence) },
        Ok(Destruction::Scheduled { until }) => KeyEnd { until_ms: Some(until.as_ms()), evidence: None },
        Err(error) if error.kind() == ProviderErrorKind::NotThisKey && before.is_pending(engine.now()) => {
            return Ok(None);
        }
        Err(error) if error.kind() == ProviderErrorKind::NotThisKey && before.until_ms.is_some() => {
            KeyEnd { until_ms: None, evidence: Some(GONE_AS_SCHEDULED.to_owned()) }
        }
        Err(error) if error.kind() != ProviderErrorKind::NotThisKey => return Err(error.into()),
        // It was not destroyed, and not by this.
        Ok(Destruction::NotSupported) | Err(_) => {
            note_end(engine, key, Some(before).filter(|end| *end != KeyEnd::BEGUN).as_ref()).await?;
            return Ok(Some(NotDestroyed::NotConfirmed(key.name())));
        }
    };
    note_end(engine, key, Some(&end)).await.map(|()| None)
}

/// Notes in the `store` row that a key is about to be destroyed: from then on no slot can be put under it. Answers
/// what was noted before; `None` if a slot uses the key, which may have come since it was first looked at.
async fn note_begun(engine: &Engine, key: &KeyHeld) -> Result<Option<KeyEnd>, Error> {
    for _ in 0..ATTEMPTS_MAX {
        let mut store_row = read_store_row(engine).await?;
        if is_in_use(&store_row, key) {
            return Ok(None);
        }
        if let Some(end) = end_of(&store_row, key) {
            return Ok(Some(end.clone()));
        }
        store_row.set_end(key, Some(&KeyEnd::BEGUN));
        if put(engine, &store_row).await? {
            return Ok(Some(KeyEnd::BEGUN));
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// Notes in the `store` row what became of a key.
async fn note_end(engine: &Engine, key: &KeyHeld, end: Option<&KeyEnd>) -> Result<(), Error> {
    for _ in 0..ATTEMPTS_MAX {
        let mut store_row = read_store_row(engine).await?;
        store_row.set_end(key, end);
        if put(engine, &store_row).await? {
            return Ok(());
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// Puts the `store` row as it is now; `false` when it is another one meanwhile.
async fn put(engine: &Engine, store_row: &StoreRow) -> Result<bool, Error> {
    let mut batch = WriteBatch::default();
    store_row.put_in(&mut batch, &engine.store_id, &engine.roots.get()?.active.key)?;
    let Some(committed) = engine.commit(batch, Touches::Data).await? else { return Ok(false) };
    engine.roots.moved(committed.revision);
    Ok(true)
}

/// What the notes on former keys add up to, none of which is refused.
pub(crate) fn effect(store_row: &StoreRow) -> ShredEffect {
    let (mut until, mut evidence) = (None, Vec::new());
    for key in former_keys(store_row) {
        let Some(end) = end_of(store_row, &key) else { continue };
        until = until.max(end.until_ms);
        let (kind, key) = (key.kind.clone(), key.name());
        evidence.extend(end.evidence.clone().map(|evidence| DestroyedKey { kind, key, evidence }));
    }
    match until {
        Some(until) => ShredEffect::Scheduled { until: Timestamp::from_ms(until) },
        None => ShredEffect::KeyDestroyed { evidence },
    }
}

const GONE_AS_SCHEDULED: &str =
    "the provider had scheduled the deletion of the key, and does not know the key any more";
