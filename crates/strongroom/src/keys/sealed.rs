//! Opens or seals one row at its address. It needs keys and an address, and knows no store, cache or engine.

use zeroize::Zeroizing;

use super::{KeyLookup, Keyring, Roots};
use crate::envelope::{DekId, SealedRecord, SealingKey, StoreId};
use crate::error::{Damage, Error};
use crate::id::DocumentId;
use crate::model::Revision;
use crate::row::{Row, SealedRow};

/// What a sealed row holds: a document at a revision, and its body.
pub(crate) struct Document<'a> {
    pub(crate) id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) body: &'a [u8],
}

/// A sealed row, opened.
pub(crate) struct OpenedRow {
    pub(crate) doc_id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
}

impl OpenedRow {
    /// The document id, which every value and credential has.
    pub(crate) fn document_id(&self, row: &Row<'_>) -> Result<DocumentId, Error> {
        self.doc_id.ok_or_else(|| Error::damaged(row.name(), Damage::Inconsistent))
    }

    /// The same document with its body borrowed, to be sealed again.
    pub(crate) fn as_document(&self) -> Document<'_> {
        Document { id: self.doc_id, revision: self.revision, body: &self.plaintext }
    }
}

/// Opens the bytes of a row under a key of `keyring`. `None` if the key that sealed it was dropped on purpose: such a
/// row counts as deleted.
pub(crate) fn open(
    keyring: Option<&Keyring>,
    store_id: &StoreId,
    row: &Row<'_>,
    bytes: &[u8],
) -> Result<Option<OpenedRow>, Error> {
    let parts = Parts::of(row, bytes)?;
    match parts.look_up(keyring) {
        KeyLookup::Listed(key) => parts.open(key, store_id, row).map(Some),
        KeyLookup::Dropped => Ok(None),
        KeyLookup::Unknown => Err(parts.unknown_key(row)),
    }
}

/// The clear part of a row, without opening it; `None` if the key that sealed it was dropped.
pub(crate) fn peek<'b>(
    keyring: Option<&Keyring>,
    row: &Row<'_>,
    bytes: &'b [u8],
) -> Result<Option<SealedRow<'b>>, Error> {
    let parts = Parts::of(row, bytes)?;
    let dropped = matches!(parts.look_up(keyring), KeyLookup::Dropped);
    Ok((!dropped).then_some(parts.sealed))
}

/// Opens the bytes of a row under the root that it names.
pub(crate) fn open_under_root(
    roots: &Roots,
    store_id: &StoreId,
    row: &Row<'_>,
    bytes: &[u8],
) -> Result<OpenedRow, Error> {
    let parts = Parts::of(row, bytes)?;
    let root = roots.find(&parts.record.dek_id()).ok_or_else(|| parts.unknown_key(row))?;
    parts.open(&root.key, store_id, row)
}

/// Seals a document at the address of a row, into the bytes of that row.
pub(crate) fn seal(
    key: &SealingKey,
    store_id: &StoreId,
    row: &Row<'_>,
    document: &Document<'_>,
) -> Result<Vec<u8>, Error> {
    let Document { id: doc_id, revision, body } = *document;
    let record = key.seal(&row.address(store_id, doc_id, revision), body)?;
    Ok(SealedRow { doc_id, revision, record: &record }.encode(row.kind()))
}

/// The id of the key that sealed a row; `None` if the row is malformed.
pub(crate) fn sealing_key_id(row: &Row<'_>, bytes: &[u8]) -> Option<DekId> {
    Parts::of(row, bytes).ok().map(|parts| parts.record.dek_id())
}

/// The key that new rows of a scope are sealed under.
pub(crate) fn active_key<'k>(keyring: &'k Keyring, row: &Row<'_>) -> Result<&'k SealingKey, Error> {
    keyring.active().ok_or_else(|| Error::damaged(row.name(), Damage::Inconsistent))
}

/// The bytes of a sealed row, parsed once: the record's key is looked up by id before it is opened.
struct Parts<'b> {
    sealed: SealedRow<'b>,
    record: SealedRecord<'b>,
}

impl<'b> Parts<'b> {
    fn of(row: &Row<'_>, bytes: &'b [u8]) -> Result<Self, Error> {
        let sealed = SealedRow::decode(row.kind(), bytes).map_err(|error| Error::row(row.name(), error))?;
        if row.revision_in_key().is_some_and(|revision| revision != sealed.revision) {
            return Err(Error::damaged(row.name(), Damage::Rejected));
        }
        let record = SealedRecord::parse(sealed.record).map_err(|error| Error::open(row.name(), error))?;
        Ok(Self { sealed, record })
    }

    fn look_up<'k>(&self, keyring: Option<&'k Keyring>) -> KeyLookup<'k> {
        keyring.map_or(KeyLookup::Unknown, |keyring| keyring.key(&self.record.dek_id()))
    }

    fn open(&self, key: &SealingKey, store_id: &StoreId, row: &Row<'_>) -> Result<OpenedRow, Error> {
        let SealedRow { doc_id, revision, .. } = self.sealed;
        let opened = key.open_record(&row.address(store_id, doc_id, revision), &self.record);
        let plaintext = opened.map_err(|error| Error::open(row.name(), error))?;
        Ok(OpenedRow { doc_id, revision, plaintext })
    }

    fn unknown_key(&self, row: &Row<'_>) -> Error {
        Error::UnknownKey { row: row.name(), dek_id: self.record.dek_id() }
    }
}
