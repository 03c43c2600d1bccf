//! Verbs on key slots: list, add, change, remove.
//!
//! Each write is one batch: the slot, and the `store` row, which lists every slot that ever held a root. The batch
//! expects both as they were read. So if two administrators write at once, one of them has to read again, and
//! together they cannot remove the last slot that opens the vault.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::head::{Head, SLOTS_MAX, SLOTS_OF_A_KIND_MAX, SlotRow};
use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::error::{Damage, Error, ProviderErrorKind, SlotError};
use crate::keys::{Provider, Root, Slot, SlotHeld, SlotPlace, StoreRow, Unlock};
use crate::model::{Revision, SlotId, SlotInfo, SlotKind};
use crate::row::VaultRow;
use crate::store::{Expect, WriteBatch};
use crate::verbs::vault::Vault;

/// The key slots of a vault. Each opens the same root key with another key.
#[derive(Debug, Clone)]
pub struct Slots {
    engine: Arc<Engine>,
}

impl Vault {
    /// The key slots: which keys open this vault.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{RawKey, Unlock};
    /// let spare = vault.slots().add(Unlock::raw_key(RawKey::generate()?)).await?;
    /// assert_eq!(vault.slots().list().await?.len(), 2);
    /// vault.slots().remove(&spare.id).await?;
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn slots(&self) -> Slots {
        Slots { engine: Arc::clone(&self.engine) }
    }
}

impl Slots {
    /// Every slot, in the order of their ids, even one whose row is damaged or missing.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::SlotKind;
    /// let slots = vault.slots().list().await?;
    /// assert!(slots.len() == 1 && slots[0].is_usable);
    /// assert_eq!(slots[0].kind, SlotKind::RawKey);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the `store` row cannot be read; [`Error::Store`].
    pub async fn list(&self) -> Result<Vec<SlotInfo>, Error> {
        let table = SlotTable::read(&self.engine).await?;
        let mut slots: Vec<_> = table.head.slots.iter().filter_map(|row| table.info(row)).collect();
        slots.extend(table.missing().map(|held| SlotInfo {
            since: held.since_ms.map(Timestamp::from_ms),
            ..table.info_of_unusable(SlotId::from_bytes(held.slot_id), SlotKind::Missing)
        }));
        slots.sort_unstable_by_key(|slot| slot.id);
        Ok(slots)
    }

    /// Whether `unlock` opens this slot.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{RawKey, Unlock};
    /// let spare = vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32]))).await?;
    /// assert!(vault.slots().opens(&spare.id, &Unlock::raw_key(RawKey::from_bytes([8; 32]))).await?);
    /// assert!(!vault.slots().opens(&spare.id, &Unlock::raw_key(RawKey::generate()?)).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`SlotError::NotFound`](crate::SlotError::NotFound), [`Error::Damaged`] for a slot that cannot be read, or that
    /// was removed or changed and whose row was put back,
    /// [`SlotError::RowMissing`](crate::SlotError::RowMissing) for one whose row is missing, [`Error::KeyDerivation`]
    /// for parameters out of bounds, [`Error::Provider`] if the provider cannot be asked, those of
    /// [`list`](Self::list).
    pub async fn opens(&self, id: &SlotId, unlock: &Unlock) -> Result<bool, Error> {
        let table = SlotTable::read(&self.engine).await?;
        let slot = table.find(id)?.slot()?;
        match unlock.open_slot(slot, &self.engine.argon2).await {
            Ok(_) if table.store_row.body.held(slot).is_some() => Ok(true),
            // It was removed or changed, and its row was put back.
            Ok(_) => Err(Error::damaged(slot.row_name(), Damage::Inconsistent)),
            Err(Error::WrongKey | Error::Slot(SlotError::NoneOfThisKind(_))) => Ok(false),
            Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::NotThisKey => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds a slot that `unlock` opens. The others stay as they are. The key of a slot whose row is missing can be
    /// added again: [`list`](Self::list) shows both slots.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{RawKey, Unlock};
    /// let spare = vault.slots().add(Unlock::raw_key(RawKey::generate()?)).await?;
    /// assert!(vault.slots().list().await?.contains(&spare));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`SlotError::TooMany`](crate::SlotError::TooMany) if there are already 8 of this kind, or 24 in all,
    /// [`Error::KeyDerivation`] for parameters out of bounds, [`Error::Provider`] if the provider fails,
    /// [`SlotError::KeyShredded`](crate::SlotError::KeyShredded) for a provider key that a shred destroys,
    /// [`SlotError::KeyTaken`](crate::SlotError::KeyTaken) for a raw key or passphrase that opens another slot,
    /// [`Error::Contended`], those of [`list`](Self::list).
    pub async fn add(&self, unlock: Unlock) -> Result<SlotInfo, Error> {
        let place = SlotPlace::generate(self.engine.store_id)?;
        self.put(&unlock, |_| Ok((place, Expect::Absent))).await
    }

    /// Replaces the key of a slot. The old key no longer opens it, but older copies of the store still open with the
    /// old key.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{RawKey, Unlock};
    /// let slot = vault.slots().list().await?.pop().expect("a vault has a slot");
    /// vault.slots().change(&slot.id, Unlock::raw_key(RawKey::generate()?)).await?;
    /// assert_eq!(vault.slots().list().await?.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`SlotError::NotFound`](crate::SlotError::NotFound), [`Error::Damaged`] for a slot that cannot be read and
    /// [`SlotError::RowMissing`](crate::SlotError::RowMissing) for one whose row is missing (remove it instead), those
    /// of [`add`](Self::add).
    pub async fn change(&self, id: &SlotId, unlock: Unlock) -> Result<SlotInfo, Error> {
        self.put(&unlock, |table| {
            let row = table.find(id)?;
            let slot = row.slot()?;
            let revision = table.store_row.body.next_revision(&slot.place.id);
            Ok((SlotPlace { revision, ..slot.place }, Expect::Revision(row.row_revision)))
        })
        .await
    }

    /// Removes a slot, also one whose row is missing. Its key no longer opens the vault, but older copies of the store
    /// still open with it.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Error, RawKey, SlotError, Unlock};
    /// let spare = vault.slots().add(Unlock::raw_key(RawKey::generate()?)).await?;
    /// vault.slots().remove(&spare.id).await?;
    /// let last = vault.slots().list().await?.remove(0).id;
    /// assert!(matches!(vault.slots().remove(&last).await, Err(Error::Slot(SlotError::Last))));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`SlotError::NotFound`](crate::SlotError::NotFound); [`SlotError::Last`](crate::SlotError::Last) if no other
    /// slot is usable; [`Error::UnknownVersion`] for a slot that a later release wrote, which can read it;
    /// [`Error::Contended`]; those of [`list`](Self::list).
    pub async fn remove(&self, id: &SlotId) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut table = SlotTable::read(&self.engine).await?;
            let row = match table.find(id) {
                Ok(row) => {
                    row.refuse_later()?;
                    Some(row.row_revision)
                }
                // Once it is not listed, its row opens nothing even if the store shows it again.
                Err(Error::Slot(SlotError::RowMissing(_))) => None,
                Err(error) => return Err(error),
            };
            // Only usable slots count: an unreadable one would not open the vault afterwards.
            let others = table.head.slots.iter().filter(|other| other.id != Some(*id));
            if !others.into_iter().any(|other| table.is_usable(other)) {
                return Err(Error::Slot(SlotError::Last));
            }
            table.store_row.body.release(id.as_bytes(), self.engine.now());
            let key = VaultRow::Slot(*id.as_bytes()).key();
            let mut batch = WriteBatch::default();
            if let Some(row) = row {
                batch.expect(key.clone(), Expect::Revision(row));
                batch.delete(key);
            }
            if table.commit(batch).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Puts a slot that `unlock` opens at the place that `plan` chooses.
    async fn put(
        &self,
        unlock: &Unlock,
        plan: impl Fn(&SlotTable<'_>) -> Result<(SlotPlace, Expect), Error>,
    ) -> Result<SlotInfo, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut table = SlotTable::read(&self.engine).await?;
            let (place, expect) = plan(&table)?;
            let id = SlotId::from_bytes(place.id);
            table.check_room(unlock.tag(), id)?;
            table.refuse_taken(unlock, id).await?;
            let params = unlock.argon2_params(&self.engine.argon2)?;
            let slot = unlock.seal_slot(place, &table.root.bytes, params).await?;
            table.store_row.body.hold_given(&slot, self.engine.now())?;
            let key = VaultRow::Slot(place.id).key();
            let mut batch = WriteBatch::default();
            batch.expect(key.clone(), expect);
            batch.put(key, slot.encode());
            // Before the commit, which consumes the table.
            let info = table.info_of(&slot);
            if table.commit(batch).await? {
                return Ok(info);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// The slots and the `store` row, from one snapshot.
struct SlotTable<'e> {
    engine: &'e Engine,
    root: Arc<Root>,
    head: Head,
    store_row: StoreRow,
}

impl<'e> SlotTable<'e> {
    async fn read(engine: &'e Engine) -> Result<Self, Error> {
        let (head, store_row, root) = engine.open_head().await?;
        Ok(Self { engine, root, head, store_row })
    }

    fn find(&self, id: &SlotId) -> Result<&SlotRow, Error> {
        let found = self.head.slots.iter().find(|row| row.id == Some(*id));
        found.ok_or_else(|| match self.missing().any(|held| held.slot_id == *id.as_bytes()) {
            true => Error::Slot(SlotError::RowMissing(*id)),
            false => Error::Slot(SlotError::NotFound(*id)),
        })
    }

    fn missing(&self) -> impl Iterator<Item = &SlotHeld> {
        self.head.missing_slots(&self.store_row.body)
    }

    /// Refuses one slot too many of this kind, or in all. A slot at this place is replaced, so it does not count. One
    /// that cannot be read counts for every kind, since a vault with too many rows would not open; one whose row is
    /// missing counts too, since the row may come back.
    fn check_room(&self, tag: u8, place: SlotId) -> Result<(), Error> {
        let others = || self.head.slots.iter().filter(|row| row.id != Some(place));
        let of_kind = others().filter(|row| row.is_of(tag)).count();
        if of_kind + self.missing().filter(|held| held.provider == tag).count() >= SLOTS_OF_A_KIND_MAX {
            return Err(Error::Slot(SlotError::TooMany(SLOTS_OF_A_KIND_MAX)));
        }
        if others().count() + self.missing().count() >= SLOTS_MAX {
            return Err(Error::Slot(SlotError::TooMany(SLOTS_MAX)));
        }
        Ok(())
    }

    /// Refuses a key that already opens another slot: changing or removing one of the two would leave the key in place.
    /// A provider's key wraps another base for each slot, so the provider is not asked.
    async fn refuse_taken(&self, unlock: &Unlock, place: SlotId) -> Result<(), Error> {
        let others = self.head.slots.iter().filter(|row| row.id != Some(place) && row.is_of(unlock.tag()));
        for row in others.filter(|row| unlock.tag() != Provider::EXTERNAL && self.is_usable(row)) {
            if let (Some(id), Ok(slot)) = (row.id, &row.slot)
                && unlock.open_slot(slot, &self.engine.argon2).await.is_ok()
            {
                return Err(Error::Slot(SlotError::KeyTaken(id)));
            }
        }
        Ok(())
    }

    fn is_usable(&self, row: &SlotRow) -> bool {
        let Ok(slot) = &row.slot else { return false };
        let in_bounds = match &slot.provider {
            Provider::Passphrase { params, .. } => self.engine.argon2.check_stored(params).is_ok(),
            Provider::RawKey | Provider::External(_) => true,
        };
        in_bounds && self.store_row.body.held(slot).is_some()
    }

    fn info(&self, row: &SlotRow) -> Option<SlotInfo> {
        let id = row.id?;
        Some(match &row.slot {
            Ok(slot) => SlotInfo { is_usable: self.is_usable(row), ..self.info_of(slot) },
            Err(_) => self.info_of_unusable(id, SlotKind::Unreadable),
        })
    }

    fn info_of_unusable(&self, id: SlotId, kind: SlotKind) -> SlotInfo {
        let (revision, is_own) = (Revision::from_u64(0), self.engine.kept.slot() == Some(id));
        SlotInfo { id, kind, revision, since: None, is_usable: false, is_own }
    }

    pub(crate) fn info_of(&self, slot: &Slot) -> SlotInfo {
        let since_ms = self.store_row.body.held(slot).and_then(|held| held.since_ms);
        let id = SlotId::from_bytes(slot.place.id);
        SlotInfo {
            id,
            kind: kind_of(&slot.provider),
            revision: Revision::from_u64(slot.place.revision),
            since: since_ms.map(Timestamp::from_ms),
            is_usable: true,
            is_own: self.engine.kept.slot() == Some(id),
        }
    }

    /// Applies `batch` together with the `store` row. Returns `false` if another writer was faster.
    async fn commit(self, mut batch: WriteBatch) -> Result<bool, Error> {
        self.store_row.put_in(&mut batch, &self.engine.store_id, &self.root.key)?;
        let landed = self.engine.commit(batch, Touches::Data).await?;
        let is_landed = landed.is_some();
        landed.into_iter().for_each(|committed| self.engine.store_row_landed(&self.store_row, committed));
        Ok(is_landed)
    }
}

fn kind_of(provider: &Provider) -> SlotKind {
    match provider {
        Provider::RawKey => SlotKind::RawKey,
        Provider::Passphrase { params, .. } => SlotKind::Passphrase(*params),
        Provider::External(key) => {
            SlotKind::Provider { kind: key.kind.clone(), key: key.wrapped.key.clone() }
        }
    }
}
