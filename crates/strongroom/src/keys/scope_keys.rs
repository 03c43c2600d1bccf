//! The keyring of a key scope, as it is in the store.

use super::{Keyring, Roots, open_under_root};
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
}

impl ScopeKeys {
    pub(crate) fn new(keyring: Keyring, revision: Revision, row: RowRevision) -> Self {
        Self { keyring, revision, row_revision: row }
    }

    /// Opens the row of a keyring. A key that was shredded counts as dropped, and so do all of a keyring from before
    /// its scope was shredded, whatever the row says: it may be one that the store put back.
    pub(crate) fn open(
        roots: &Roots,
        store_id: &StoreId,
        row: &Row<'_>,
        found: &Versioned,
    ) -> Result<Self, Error> {
        let opened = open_under_root(roots, store_id, row, &found.value)?;
        let keyring = Keyring::decode(&opened.plaintext).map_err(|error| Error::row(row.name(), error))?;
        let keyring = roots.without_shredded(row, opened.revision, &keyring).unwrap_or(keyring);
        Ok(Self::new(keyring, opened.revision, found.revision))
    }

    /// The same row, with every key dropped.
    pub(crate) fn dropped(&self) -> Self {
        Self::new(self.keyring.drop_keys(), self.revision, self.row_revision)
    }
}
