//! The keyring of a key scope, as it is in the store.

use super::{Keyring, Roots, first_after_drop, open_under_root};
use crate::clock::Timestamp;
use crate::envelope::StoreId;
use crate::error::Error;
use crate::model::Revision;
use crate::row::Row;
use crate::store::{RowRevision, Versioned};

/// The keyring of a key scope, as it is in the store.
pub(crate) struct ScopeKeys {
    pub(crate) keyring: Keyring,
    pub(crate) revision: Revision,
    /// The revision that a write under one of the keys expects of the keyring's row.
    pub(crate) row_revision: RowRevision,
    /// Rows made in the scope count from this time on: earlier ones were deleted with their keys.
    pub(crate) begins_at: Timestamp,
}

impl ScopeKeys {
    pub(crate) fn new(keyring: Keyring, revision: Revision, row: RowRevision) -> Self {
        let begins_at = first_after_drop(revision.as_u64());
        Self { keyring, revision, row_revision: row, begins_at }
    }

    /// Opens the row of a keyring. A key that was shredded counts as dropped. So does every key of a keyring from
    /// before its scope was shredded, whatever the row says: the store may have put it back.
    pub(crate) fn open(
        roots: &Roots,
        store_id: &StoreId,
        row: &Row<'_>,
        found: &Versioned,
    ) -> Result<Self, Error> {
        let opened = open_under_root(roots, store_id, row, &found.value)?;
        let keyring =
            Keyring::decode(&opened.plaintext).map_err(|error| Error::content(row.name(), error))?;
        let keyring = roots.without_shredded(row, opened.revision, &keyring).unwrap_or(keyring);
        let begins_at = first_after_drop(opened.revision.as_u64().max(roots.floor_of(row)));
        Ok(Self { begins_at, ..Self::new(keyring, opened.revision, found.revision) })
    }

    /// The same row, with every key dropped.
    pub(crate) fn dropped(&self) -> Self {
        Self { keyring: self.keyring.drop_keys(), ..*self }
    }
}
