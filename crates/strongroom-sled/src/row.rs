//! The bytes of every key and value in the tree.
//!
//! A key starts with a byte that keeps the rows of the user apart from those of this crate. After that, each `ff` is
//! followed by `00`, which keeps the order and never puts two `ff` side by side: sled walks backwards by guessing that
//! no key continues with four of them, and loops forever if one does. A value starts with its revision.

use std::ops::Range;

use strongroom_committer::corrupt;
use strongroom_store::{Key, KeyRange, RowRevision, StoreError, Versioned};

/// The key in the tree of the row at `key`.
pub(crate) fn tree_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 2);
    bytes.push(ROW);
    for &byte in key {
        bytes.push(byte);
        if byte == u8::MAX {
            bytes.push(0);
        }
    }
    bytes
}

/// The key of the row at `tree_key`.
pub(crate) fn key(tree_key: &[u8]) -> Result<Key, StoreError> {
    let Some((&ROW, escaped)) = tree_key.split_first() else {
        return Err(corrupt("a row has no key"));
    };
    if !escaped.contains(&u8::MAX) {
        return Ok(Key::from(escaped));
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(&byte) = rest.next() {
        if byte == u8::MAX && rest.next() != Some(&0) {
            return Err(corrupt("the key of a row is not as it was written"));
        }
        bytes.push(byte);
    }
    Ok(Key::from(bytes))
}

/// The range of the tree that holds the rows of `range`.
pub(crate) fn tree_range(range: &KeyRange) -> Range<Vec<u8>> {
    let end = range.end.as_ref().map_or_else(|| vec![ROW + 1], |end| tree_key(end));
    tree_key(&range.start)..end
}

/// The value in the tree of a row put at `revision`.
pub(crate) fn tree_value(revision: RowRevision, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REVISION_LEN + value.len());
    bytes.extend_from_slice(&revision.0.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// The revision and the value of a row, the value left in place.
pub(crate) fn split(tree_value: &[u8]) -> Result<(RowRevision, &[u8]), StoreError> {
    let (revision, value) = tree_value.split_first_chunk().ok_or_else(|| corrupt("a row has no revision"))?;
    Ok((RowRevision(u64::from_be_bytes(*revision)), value))
}

/// The row with a copy of its value.
pub(crate) fn versioned(tree_value: &[u8]) -> Result<Versioned, StoreError> {
    let (revision, value) = split(tree_value)?;
    Ok(Versioned { value: value.to_vec(), revision })
}

/// The first byte of the rows of this crate, so that no scan meets them.
pub(crate) const META: u8 = 0;

const ROW: u8 = 1;
const REVISION_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_bytes_and_their_order() {
        let bytes = [0, 1, 0xfe, 0xff];
        let mut keys = vec![vec![]];
        for a in bytes {
            keys.push(vec![a]);
            keys.extend(bytes.iter().flat_map(|&b| [vec![a, b], vec![a, b, 0xff], vec![a, b, 0]]));
        }
        keys.sort();
        let stored: Vec<Vec<u8>> = keys.iter().map(|key| tree_key(key)).collect();
        assert!(stored.is_sorted());
        for (plain, stored) in keys.iter().zip(&stored) {
            assert_eq!(key(stored).unwrap().as_bytes(), plain);
            assert!(!stored.windows(2).any(|pair| pair == [0xff, 0xff]));
        }
    }

    #[test]
    fn a_damaged_row_is_corrupt_and_not_a_panic() {
        for damaged in [&[][..], &[META], &[ROW, 0xff], &[ROW, 0xff, 7]] {
            assert!(key(damaged).is_err());
        }
        assert!(split(&[0; 7]).is_err());
    }
}
