//! The one table, and the bytes of every value in it: the revision, then the value as it was put. A key is stored as it
//! is. No row of the user has an empty key, which is the key of the row of the store itself.

use redb::{TableDefinition, TableHandle as _, WriteTransaction};
use strongroom_committer::corrupt;
use strongroom_store::{RowRevision, StoreError, Versioned};

use crate::failure::of_redb;

pub(crate) type Bytes = &'static [u8];

/// The rows of a store in a table of this name.
pub(crate) const fn rows(table: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(table)
}

/// Whether the transaction's database has a table of this name. Check first, since opening creates one.
pub(crate) fn is_there(transaction: &WriteTransaction, table: &str) -> Result<bool, StoreError> {
    Ok(transaction.list_tables().map_err(of_redb)?.any(|found| found.name() == table))
}

/// The table of a file that holds nothing else.
pub(crate) const TABLE: &str = "strongroom";

/// The key of the row of the store itself, before every other.
pub(crate) const META: &[u8] = &[];

/// Writes the stored bytes of a row put at `revision` into `bytes`.
pub(crate) fn encode(revision: RowRevision, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&revision.0.to_be_bytes());
    bytes.extend_from_slice(value);
}

/// The revision and the value of a row, the value left in place.
pub(crate) fn split(stored: &[u8]) -> Result<(RowRevision, &[u8]), StoreError> {
    let (revision, value) = stored.split_first_chunk().ok_or_else(|| corrupt("a row has no revision"))?;
    Ok((RowRevision(u64::from_be_bytes(*revision)), value))
}

/// The row with a copy of its value.
pub(crate) fn versioned(stored: &[u8]) -> Result<Versioned, StoreError> {
    let (revision, value) = split(stored)?;
    Ok(Versioned { value: value.to_vec(), revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_and_a_damaged_one_is_corrupt() {
        let mut bytes = b"what stood here".to_vec();
        encode(RowRevision(7), b"v", &mut bytes);
        assert_eq!(split(&bytes).unwrap(), (RowRevision(7), b"v".as_slice()));
        assert!(split(&bytes[..7]).is_err());
    }
}
