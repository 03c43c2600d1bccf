//! Lists that can grow, a page at a time.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// How many items of a list to return, and where to start.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

/// The list that a cursor belongs to. Lists over the same rows have different names.
#[derive(Clone, Copy)]
pub(crate) struct ListId<'l> {
    pub(crate) name: &'static str,
    /// The prefix of the keys in the list.
    pub(crate) start: &'l [u8],
}

impl PageRequest {
    /// The most items on a page.
    pub const LIMIT_MAX: usize = 1_000;

    /// The first `limit` items. A limit of 0 counts as 1, and one above [`LIMIT_MAX`](Self::LIMIT_MAX) as that.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit: limit.clamp(1, Self::LIMIT_MAX), after: None }
    }

    /// The same number of items after `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Where in this list the page starts; `None` for its first page.
    pub(crate) fn place_in(&self, list: ListId<'_>) -> Result<Option<&[u8]>, CursorError> {
        self.after.as_ref().map(|cursor| cursor.place_in(list)).transpose()
    }
}

/// The first 100 items.
impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// Where a page ended. Opaque: its text form may change, and it is valid only for the list that returned it. Any other
/// list refuses it, and every list refuses a damaged one ([`Invalid::Cursor`](crate::Invalid::Cursor)).
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// The position in this list after which the next page starts.
    pub(crate) fn new(list: ListId<'_>, place: &[u8]) -> Self {
        Self([&Self::mark(list, place), place].concat())
    }

    pub(crate) fn place_in(&self, list: ListId<'_>) -> Result<&[u8], CursorError> {
        let (mark, place) = self.0.split_first_chunk().ok_or(CursorError)?;
        if *mark == Self::mark(list, place) { Ok(place) } else { Err(CursorError) }
    }

    /// Not a secret: it catches mistakes. A forged cursor reaches nothing but rows of the list.
    fn mark(list: ListId<'_>, place: &[u8]) -> [u8; MARK_LEN] {
        let ListId { name, start } = list;
        let mut hash = Sha256::new().chain_update(LABEL);
        for part in [name.as_bytes(), start] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.chain_update(place).finalize().into();
        let mut mark = [0; MARK_LEN];
        mark.copy_from_slice(hash.split_at(MARK_LEN).0);
        mark
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > 2 * (MARK_LEN + crate::store::KEY_BYTES_MAX) {
            return Err(CursorError);
        }
        hex::decode(text).map(Self).map_err(|_| CursorError)
    }
}

/// One page of a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The items, in the list's own order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// A text that is not a cursor of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list: start from the first page")]
pub struct CursorError;

const LABEL: &[u8] = b"strongroom cursor";
const MARK_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: ListId<'_> = ListId { name: "values", start: b"a" };

    #[test]
    fn a_cursor_is_of_one_list_and_one_place() {
        let cursor: Cursor = Cursor::new(LIST, b"place").to_string().parse().unwrap();
        assert_eq!(cursor.place_in(LIST), Ok(b"place".as_slice()));
        for other in [
            ListId { name: "records", ..LIST },
            ListId { start: b"b", ..LIST },
            ListId { start: b"", ..LIST },
        ] {
            assert_eq!(cursor.place_in(other), Err(CursorError));
        }
    }

    #[test]
    fn a_cursor_of_which_any_byte_was_changed_is_none() {
        let whole = Cursor::new(LIST, b"place").0;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(Cursor(bytes).place_in(LIST), Err(CursorError));
            assert_eq!(Cursor(whole[..at].to_vec()).place_in(LIST), Err(CursorError));
        }
    }
}
