//! Lists that can grow, a page at a time.

use std::fmt;
use std::str::FromStr;

/// How many items of a list to return, and where to start.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

impl PageRequest {
    /// The most items on a page.
    pub const LIMIT_MAX: usize = 1_000;

    /// The first `limit` items. A limit of 0 counts as 1, and a higher one than [`LIMIT_MAX`](Self::LIMIT_MAX) as
    /// that.
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
}

/// The first 100 items.
impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// Where a page ended. Opaque: its text form may change, and it is valid only for the list that returned it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) Vec<u8>);

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
        if text.len() > 2 * crate::store::KEY_BYTES_MAX {
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
