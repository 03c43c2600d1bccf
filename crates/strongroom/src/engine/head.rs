//! The head of a store: its header, its `store` row and its key slots, read in one snapshot.

use crate::engine::gate::Pass;
use crate::engine::read_from;
use crate::envelope::{SealingKey, StoreId};
use crate::error::{Damage, Error, WrongStore};
use crate::keys::{Slot, SlotHeld, StoreBody, StoreRow};
use crate::model::SlotId;
use crate::row::{Row, RowError, RowName, VaultKeys, VaultRow, decode_header};
use crate::store::{
    Durability, Key, KeyRange, RowRevision, Scan, Store, StoreError, StoreErrorKind, Versioned,
};

/// The rows before those of the tenants. Nothing in it is authenticated yet.
pub(crate) struct Head {
    pub(crate) store_id: StoreId,
    pub(crate) store_row: Option<Versioned>,
    pub(crate) slots: Vec<SlotRow>,
    /// The revision of the header.
    pub(crate) header: RowRevision,
    /// Whether the vault was moved to another store.
    pub(crate) is_retired: bool,
}

/// A key slot as it was read.
pub(crate) struct SlotRow {
    /// The id in the row's key; `None` if that is not the key of a slot.
    pub(crate) id: Option<SlotId>,
    pub(crate) slot: Result<Slot, SlotFault>,
    pub(crate) row_revision: RowRevision,
}

/// Why a row is not a slot of this store at this key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SlotFault {
    Unreadable(RowError),
    /// It is of this other store, or of another place in its own.
    Elsewhere(StoreId),
}

impl Head {
    /// Opens the `store` row and checks its content against the vault.
    pub(crate) fn open_store_row(&self, root: &SealingKey) -> Result<StoreRow, Error> {
        let missing = || Error::damaged(Row::Vault(VaultRow::Store).name(), Damage::Missing);
        StoreRow::open(&self.store_id, root, self.store_row.as_ref().ok_or_else(missing)?)
    }

    /// The slots that the sealed row lists and whose own rows are missing.
    pub(crate) fn missing_slots<'b>(&self, body: &'b StoreBody) -> impl Iterator<Item = &'b SlotHeld> {
        let is_there = |id| self.slots.iter().any(|row| row.id == Some(SlotId::from_bytes(id)));
        body.slots.iter().filter(move |held| held.is_current() && !is_there(held.slot_id))
    }

    /// Whether its slots are of a store that `is_it`, and none is of the store that its header names.
    pub(crate) fn has_only_slots_of(&self, is_it: impl Fn(&StoreId) -> bool) -> bool {
        let is_of = |row: &SlotRow| matches!(&row.slot, Err(SlotFault::Elsewhere(id)) if is_it(id));
        self.slots.iter().any(is_of) && !self.slots.iter().any(|row| row.slot.is_ok())
    }

    /// What lets writes pass, according to a `store` row that was read with the head.
    pub(crate) fn pass(&self, store_row: &StoreRow) -> Result<Option<Pass>, Error> {
        let settings = store_row.body.settings()?;
        Ok((!self.is_retired).then_some(Pass { header: self.header, settings }))
    }
}

/// Reads the head; fails if there is no vault.
pub(crate) async fn read_head(store: &dyn Store) -> Result<Head, Error> {
    let gets =
        [VaultRow::Header.key(), VaultRow::Store.key(), VaultKeys::staging_marker(), VaultRow::Retired.key()];
    let scans = [Scan::new(VaultKeys::slots(), SLOTS_MAX), Scan::new(KeyRange::all(), 1).keys_only()];
    let ([header, store_row, marker, retired], [slots, first]) = read_from(store, (gets, scans)).await?;
    let any_row = !first.rows.is_empty();
    let Some(header) = header else {
        return Err(match (marker, any_row) {
            (Some(_), _) => Error::WrongStore(WrongStore::Unfinished),
            (None, true) => Error::WrongStore(WrongStore::Foreign),
            (None, false) => Error::WrongStore(WrongStore::NoVault),
        });
    };
    let store_id = decode_header(&header.value).map_err(|error| Error::row("the store's header", error))?;
    if slots.more {
        return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
    }
    let slots = slots.rows.iter().map(|(key, row)| SlotRow::decode(&store_id, key, row)).collect();
    Ok(Head { store_id, store_row, slots, header: header.revision, is_retired: retired.is_some() })
}

/// Refuses a store that holds a vault or anything else.
pub(crate) async fn refuse_used(store: &dyn Store) -> Result<(), Error> {
    match read_head(store).await {
        Err(Error::WrongStore(WrongStore::NoVault)) => Ok(()),
        Ok(_) => Err(Error::WrongStore(WrongStore::HoldsVault)),
        Err(error) => Err(error),
    }
}

/// Refuses a store that may lose acknowledged writes in a power cut, unless the host asked for that by name.
pub(crate) fn refuse_unasked(store: &dyn Store, accepted: Option<Durability>) -> Result<(), Error> {
    let durability = store.capabilities().durability;
    if durability == Durability::ProcessCrash && accepted != Some(durability) {
        let message = "a power cut may undo writes that this store acknowledged: \
                       accept that with VaultOptions::accept_durability";
        return Err(StoreError::new(StoreErrorKind::Unsupported, message).into());
    }
    Ok(())
}

impl SlotRow {
    pub(crate) fn decode(store_id: &StoreId, key: &Key, row: &Versioned) -> Self {
        let id = match VaultRow::parse(key) {
            Some(VaultRow::Slot(id)) => Some(SlotId::from_bytes(id)),
            _ => None,
        };
        let is_here =
            |slot: &Slot| slot.place.store_id == *store_id && id == Some(SlotId::from_bytes(slot.place.id));
        let slot = match Slot::decode(&row.value) {
            Ok(slot) if is_here(&slot) => Ok(slot),
            Ok(slot) => Err(SlotFault::Elsewhere(slot.place.store_id)),
            Err(error) => Err(SlotFault::Unreadable(error)),
        };
        Self { id, slot, row_revision: row.revision }
    }

    /// The slot, or the error that names its row.
    pub(crate) fn slot(&self) -> Result<&Slot, Error> {
        let name = || match self.id {
            Some(id) => Row::Vault(VaultRow::Slot(*id.as_bytes())).name(),
            None => RowName::Slot.to_string(),
        };
        self.slot.as_ref().map_err(|fault| match fault {
            SlotFault::Unreadable(error) => Error::row(name(), *error),
            SlotFault::Elsewhere(_) => Error::damaged(name(), Damage::Inconsistent),
        })
    }

    /// Fails for a slot that a later release wrote.
    pub(crate) fn refuse_later(&self) -> Result<(), Error> {
        match self.slot() {
            Err(error @ Error::UnknownVersion { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether it is a slot of this kind.
    pub(crate) fn is_of(&self, tag: u8) -> bool {
        self.slot.as_ref().is_ok_and(|slot| slot.provider.tag() == tag)
    }
}

/// The most slots of one kind: raw keys, passphrases, key providers. Each may cost a key derivation when a vault is
/// opened.
pub(crate) const SLOTS_OF_A_KIND_MAX: usize = 8;
/// The most rows of slots, including those that cannot be read.
pub(crate) const SLOTS_MAX: usize = 3 * SLOTS_OF_A_KIND_MAX;
