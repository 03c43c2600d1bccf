//! Moves one row to another vault: opens it at its address in one, and seals it at the same address in the other.
//! Neither vault has to be in a store.

use std::sync::Arc;

use crate::envelope::StoreId;
use crate::error::Error;
use crate::keys::{Document, Keyring, OpenedRow, Roots, ScopeKeys, active_key, open, open_under_root, seal};
use crate::row::{Row, SealedBy, TenantRow};

/// What opens and seals the rows of one vault, or of a backup file: its id and its root keys.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) store_id: StoreId,
    pub(super) roots: Arc<Roots>,
}

/// The vault that a tenant leaves and the one that it enters. Ids, revisions and times stay the same; store id and keys
/// do not.
pub(super) struct Sides<'s> {
    pub(super) from: &'s Side,
    pub(super) to: &'s Side,
}

/// The keys of a row's scope in both vaults.
pub(super) struct RowKeys<'k> {
    pub(super) from: Option<&'k Arc<ScopeKeys>>,
    pub(super) to: Option<&'k Arc<ScopeKeys>>,
}

impl Side {
    /// Opens a row that a data key seals; `None` if that key was dropped.
    pub(super) fn open(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        row: &Row<'_>,
        bytes: &[u8],
    ) -> Result<Option<OpenedRow>, Error> {
        open(keys.map(|keys| &keys.keyring), &self.store_id, row, bytes)
    }

    /// Seals a row under the active key of its scope.
    pub(super) fn seal(
        &self,
        keys: &ScopeKeys,
        row: &Row<'_>,
        document: &Document<'_>,
    ) -> Result<Vec<u8>, Error> {
        seal(active_key(&keys.keyring, row)?, &self.store_id, row, document)
    }

    /// Seals a row under the root key.
    pub(super) fn seal_under_root(&self, row: &Row<'_>, document: &Document<'_>) -> Result<Vec<u8>, Error> {
        seal(&self.roots.active.key, &self.store_id, row, document)
    }

    /// Seals the row of a keyring.
    pub(super) fn seal_keyring(&self, row: &Row<'_>, keys: &ScopeKeys) -> Result<Vec<u8>, Error> {
        let document = Document { id: None, revision: keys.revision, body: &keys.keyring.encode() };
        self.seal_under_root(row, &document)
    }
}

impl Sides<'_> {
    /// The row as the other vault holds it; `None` for a row whose key was dropped, and for rows that each vault makes
    /// for itself: keyrings, the epoch and the generation.
    pub(super) fn move_row(
        &self,
        row: &Row<'_>,
        keys: &RowKeys<'_>,
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        if let Row::Tenant(_, TenantRow::Keyring(_) | TenantRow::Epoch | TenantRow::Generation) = row {
            return Ok(None);
        }
        match row.sealed_by() {
            SealedBy::Nothing | SealedBy::SlotKey => Ok(Some(bytes.to_vec())),
            SealedBy::Root => {
                let opened = open_under_root(&self.from.roots, &self.from.store_id, row, bytes)?;
                self.to.seal_under_root(row, &opened.as_document()).map(Some)
            }
            SealedBy::DataKey(_) => {
                let opened = self.from.open(keys.from, row, bytes)?;
                let (Some(opened), Some(keys)) = (opened, keys.to) else { return Ok(None) };
                self.to.seal(keys, row, &opened.as_document()).map(Some)
            }
        }
    }
}

/// The keyring of a key scope in a file, derived from the file's root. Its key is the same every time it is derived.
pub(super) fn derived_keyring(
    side: &Side,
    row: &Row<'_>,
    now: crate::clock::Timestamp,
) -> Result<Keyring, Error> {
    let address = row.address(&side.store_id, None, crate::model::Revision::UNWRITTEN);
    Ok(Keyring::derive(&side.roots.active.bytes, &address, now)?)
}
