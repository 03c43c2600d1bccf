//! Shredding: making what was sealed impossible to open, and reporting how certain that is.
//!
//! Dropping keys makes rows unreadable for everyone without an older copy of the keyring. An older copy opens under the
//! root that sealed it, so that root must be out of everybody's reach: the root has to be rotated, every keyring sealed
//! again, and every key that ever led to a former root destroyed.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::OrgId;
use crate::keys::provider::{Destruction, KeyProvider, ProviderErrorKind, ProviderKey};
use crate::keys::{Floor, KeyEnd, KeyHeld, Keyring, SlotHeld, StoreRow, open_under_root};
use crate::row::{TenantId, VaultKeys};
use crate::store::{Expect, Key, KeyRange, Scan, Versioned, WriteBatch};

/// What was shredded, and how certain that is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says whether a copy from before can still be read"]
pub struct ShredReceipt {
    /// The org, or the org of the account.
    pub org: OrgId,
    /// The data keys that no longer open anything. Their ids stay in the keyring as tombstones.
    pub keys: Vec<DekId>,
    /// The root that was active then: older copies of those keys are sealed under it.
    pub root_id: DekId,
    /// How certain it is.
    pub effect: ShredEffect,
    /// The slots that the vault knew then: none of them may be missing when the shred is settled.
    pub(crate) slots: Vec<SlotHeld>,
    /// Which keyrings are from before the shred, whether they were seen or not.
    pub(crate) floor: Floor,
}

/// How certain it is that what was shredded cannot be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShredEffect {
    /// Nothing of it can be read through this vault. An older copy of the store may still open.
    Logical {
        /// Why it is not more certain.
        because: Vec<NotDestroyed>,
    },
    /// A key that opens an older copy is scheduled for deletion, which can still be cancelled.
    Scheduled {
        /// When the last such key will be deleted.
        until: Timestamp,
    },
    /// Every key that opened an older copy is destroyed.
    KeyDestroyed {
        /// The keys, and their providers' evidence.
        evidence: Vec<DestroyedKey>,
    },
}

/// A key of a key provider that was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestroyedKey {
    /// The kind of its provider.
    pub kind: String,
    /// The key.
    pub key: ProviderKey,
    /// How the provider knows, as a sentence for people.
    pub evidence: String,
}

/// Why an older copy of the store may still open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDestroyed {
    /// The root that sealed the keys is still in use: rotate it and run its job to the end.
    RootInUse,
    /// A passphrase or raw key leads, or once led, to the root of that time or a former one. Nobody can prove that it
    /// is forgotten.
    KnownSecret,
    /// A former root was wrapped by a key that a slot still uses, in this or another version: give the slot a key of
    /// its own, then rotate the root.
    KeyInUse(ProviderKey),
    /// No provider of this kind was given.
    NoProvider(String),
    /// The provider cannot destroy keys, or does not know this one.
    NotConfirmed(ProviderKey),
    /// Other processes share the store and may hold former keys in memory: see [`Assume::NoOtherProcess`].
    OtherProcesses,
    /// Backups under other keys may contain it: see [`Assume::NoBackup`].
    Backups,
    /// The vault has a note of a backup of the org under another key ([`Vault::backup_org`](crate::Vault::backup_org)).
    /// A shred cannot destroy that file, and no [`Assume`] overrides the note.
    OrgBackup,
    /// The vault no longer notes that the keys were shredded: 1,024 others were shredded since, or the store put back
    /// older rows. A new root may lead to one of them.
    NotNoted,
    /// The store has put back a keyring from before the shred: rotate the root again.
    KeyIsBack,
    /// The store has put back an older row of the vault, which does not know every slot that led to a former root.
    HistoryLost,
}

/// What only the host can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assume {
    /// Every other process that had the vault open was closed after the root was rotated.
    NoOtherProcess,
    /// No backup of what was shredded was made under another key.
    NoBackup,
}

/// Whether a backup of the org under another key was ever started. The store may have lost the note of it: the latest
/// are sealed as well.
pub(crate) async fn org_backup(engine: &Engine, org: &OrgId) -> Result<Option<NotDestroyed>, Error> {
    let notes = engine.scan(VaultKeys::exports(org), 1).await?;
    let is_noted = !notes.rows.is_empty() || read_store_row(engine).await?.body.was_exported(org);
    Ok(is_noted.then_some(NotDestroyed::OrgBackup))
}

/// Notes in the `store` row that orgs were backed up under another key, in one batch with `rows`, none of which may be
/// there.
pub(crate) async fn note_exported(
    engine: &Engine,
    orgs: &[OrgId],
    rows: &[(Key, Vec<u8>)],
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS_MAX {
        let mut store_row = read_store_row(engine).await?;
        let is_new = store_row.body.note_exported(orgs)?;
        if !is_new && rows.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        for (key, row) in rows {
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key.clone(), row.clone());
        }
        if is_new {
            store_row.put_in(&mut batch, &engine.store_id, &engine.roots.get()?.active.key)?;
        }
        if let Some(committed) = engine.commit(batch, Touches::Data).await? {
            if is_new {
                engine.store_row_landed(&store_row, committed);
            }
            return Ok(());
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// Notes in the `store` row that data keys were shredded. From then on, a keyring that lists one does not open it, a
/// keyring below the floor opens none, and no root job seals them under a new root. Returns the slots that the row
/// knows.
pub(crate) async fn note_shredded(
    engine: &Engine,
    keys: &[DekId],
    floor: Floor,
) -> Result<Vec<SlotHeld>, Error> {
    for _ in 0..ATTEMPTS_MAX {
        let mut store_row = read_store_row(engine).await?;
        let are_new = store_row.body.note_shredded(keys)?;
        if !store_row.body.note_floor(floor)? && !are_new {
            return Ok(store_row.body.slots.clone());
        }
        if put(engine, &store_row).await? {
            // The roots of this engine must know the shredded keys too.
            engine.refresh_roots().await?;
            return Ok(store_row.body.slots.clone());
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// Why the vault no longer knows that this shred was made, or what it has to cover.
pub(crate) async fn forgotten(
    engine: &Engine,
    store_row: &StoreRow,
    receipt: &ShredReceipt,
) -> Result<Vec<NotDestroyed>, Error> {
    let noted: Vec<DekId> = store_row.body.shredded().collect();
    // Sorted, so that they can be searched: a vault may have a keyring for each of a million accounts.
    let mut keys = receipt.keys.clone();
    keys.sort_unstable();
    let is_noted = store_row.body.floors().any(|floor| floor.covers(&receipt.floor))
        && receipt.keys.iter().all(|key| noted.contains(key));
    let reasons = [
        (!is_noted, NotDestroyed::NotNoted),
        (receipt.slots.iter().any(|held| !store_row.body.knows(held)), NotDestroyed::HistoryLost),
        (
            is_back(engine, &receipt.org, Shredded { keys: &keys, floor: &receipt.floor }).await?,
            NotDestroyed::KeyIsBack,
        ),
    ];
    Ok(reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect())
}

/// What no keyring may bring back: these keys, which are sorted, and any from before the shred.
#[derive(Clone, Copy)]
struct Shredded<'s> {
    keys: &'s [DekId],
    floor: &'s Floor,
}

/// Whether a keyring of the org, in any environment, lists a key that was shredded.
async fn is_back(engine: &Engine, org: &OrgId, shredded: Shredded<'_>) -> Result<bool, Error> {
    let mut rest = VaultKeys::org(org);
    loop {
        let first = engine.read(Scan::new(rest.clone(), 1).keys_only()).await?.rows.into_iter().next();
        let Some((key, _)) = first else { return Ok(false) };
        let Some(tenant) = TenantId::of_key(&key) else {
            // A key that is not in the format is no keyring.
            rest = rest.after(key.as_bytes());
            continue;
        };
        if lists_one(engine, &tenant, shredded).await? {
            return Ok(true);
        }
        let Some(end) = tenant.all().end else { return Ok(false) };
        rest = KeyRange { start: end, end: rest.end };
    }
}

async fn lists_one(engine: &Engine, tenant: &TenantId, shredded: Shredded<'_>) -> Result<bool, Error> {
    let mut rest = tenant.keyrings();
    loop {
        let page = engine.scan(rest.clone(), KEYRINGS_PAGE).await?;
        for (key, row) in &page.rows {
            if shredded.is_in(engine, tenant, key, row)? {
                return Ok(true);
            }
        }
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
            _ => return Ok(false),
        }
    }
}

impl Shredded<'_> {
    /// Whether a keyring's row lists one of them as it is now. `false` if nobody can open the row.
    fn is_in(self, engine: &Engine, tenant: &TenantId, key: &Key, found: &Versioned) -> Result<bool, Error> {
        let Some(owner) = tenant.parse_keyring(key) else { return Ok(false) };
        let (roots, row) = (engine.roots.get()?, tenant.keyring(owner.as_ref()));
        let Ok(opened) = open_under_root(&roots, &engine.store_id, &row, &found.value) else {
            return Ok(false);
        };
        let Ok(keyring) = Keyring::decode(&opened.plaintext) else { return Ok(false) };
        let is_from_before = self.floor.is_above(&row, opened.revision);
        Ok(keyring.ids().any(|id| is_from_before || self.keys.binary_search(id).is_ok()))
    }
}

const KEYRINGS_PAGE: usize = 256;

pub(crate) async fn read_store_row(engine: &Engine) -> Result<StoreRow, Error> {
    engine.open_head().await.map(|(_, store_row, _)| store_row)
}

/// The provider keys that ever led to a former root, without duplicates.
pub(crate) fn former_keys(store_row: &StoreRow) -> Vec<KeyHeld> {
    let body = &store_row.body;
    let mut keys: Vec<KeyHeld> = Vec::new();
    for held in body.slots.iter().filter(|held| held.root_id != body.root_id) {
        keys.extend(held.key.clone().filter(|key| !keys.contains(key)));
    }
    keys
}

/// Why a key cannot be destroyed, checked before any key is touched.
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

/// Whether a slot that opens the vault uses the key, in this or another version. Only the sealed row counts: a hostile
/// store could hide a slot's own row, and a destroyed key cannot be restored.
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

/// Destroys a key, unless it was destroyed before. Only the provider's confirmation counts. A key that the provider
/// does not know is no proof, since it may be another device's key; it is proof only if the provider had scheduled its
/// deletion.
pub(crate) async fn destroy(
    engine: &Engine,
    key: &KeyHeld,
    providers: &[Arc<dyn KeyProvider>],
) -> Result<Option<NotDestroyed>, Error> {
    let Some(before) = note_begun(engine, key).await? else {
        // A slot with this key was added since the first check: the key could not be restored.
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
        // The provider did not destroy it, so the note that it was about to is removed.
        Ok(Destruction::NotSupported) | Err(_) => {
            note_end(engine, key, Some(before).filter(|end| *end != KeyEnd::BEGUN).as_ref()).await?;
            return Ok(Some(NotDestroyed::NotConfirmed(key.name())));
        }
    };
    note_end(engine, key, Some(&end)).await.map(|()| None)
}

/// Notes in the `store` row that a key is about to be destroyed: from then on no slot can use it. Returns the note that
/// was there before, or the new one; `None` if a slot uses the key, which may have been added since the first check.
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

/// Notes in the `store` row what happened to a key.
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

/// Writes the `store` row; `false` if it changed since it was read.
async fn put(engine: &Engine, store_row: &StoreRow) -> Result<bool, Error> {
    let mut batch = WriteBatch::default();
    store_row.put_in(&mut batch, &engine.store_id, &engine.roots.get()?.active.key)?;
    let Some(committed) = engine.commit(batch, Touches::Data).await? else { return Ok(false) };
    engine.store_row_landed(store_row, committed);
    Ok(true)
}

/// The effect that follows from the notes on all former keys, if none was refused.
pub(crate) fn effect(store_row: &StoreRow) -> ShredEffect {
    let (mut until, mut evidence) = (None, Vec::new());
    for key in former_keys(store_row) {
        // A key without a note was refused, and a refusal makes the receipt `Logical` before this is called.
        let Some(end) = end_of(store_row, &key) else { continue };
        // The last one counts: until then, one of the keys can still be kept by cancelling its deletion.
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
