//! Lists that can grow, a page at a time.

use std::fmt;
use std::str::FromStr;

/// How much of a list to answer, and from where.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

impl PageRequest {
    /// The most items on a page.
    pub const LIMIT_MAX: usize = 1_000;

    /// The first `limit` items; a limit of 0 counts as 1, one over [`LIMIT_MAX`](Self::LIMIT_MAX) as that.
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

/// A hundred items from the start.
impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// Where a page ended. Opaque: its text form may change; it stays within the list that gave it.
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
    /// Where to go on; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// A text that is no cursor of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this list gave: start from the first page")]
pub struct CursorError;
