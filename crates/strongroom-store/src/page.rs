//! The answer to a scan.

use super::{Key, Scan, StoreError, Versioned};

/// The rows of one scan, and whether the range holds more after the last of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows, in the order of the walk.
    pub rows: Vec<(Key, Versioned)>,
    /// Whether the range holds rows after the last one.
    pub more: bool,
}

impl Page {
    /// For backends: the page of `scan` from a `walk` over its range. It ends at the limit or, with the row that
    /// reaches it, at `bytes_max`. `decode` makes the row of an entry, without its value if the scan asks only for
    /// keys.
    ///
    /// ```
    /// use strongroom_store::{Key, KeyRange, Page, RowRevision, Scan, StoreError, Versioned};
    /// let scan = Scan::new(KeyRange::all(), 2);
    /// let row = |key: &str| (Key::from(key.as_bytes()), Versioned { value: vec![7], revision: RowRevision(1) });
    /// let page = Page::fill(&scan, 4 << 20, ["a", "b", "c"], |key| Ok(row(key)))?;
    /// assert_eq!((page.rows.len(), page.more), (2, true));
    /// # Ok::<(), StoreError>(())
    /// ```
    ///
    /// # Errors
    /// The first error of `decode`, which gets no entry after the page.
    pub fn fill<E>(
        scan: &Scan,
        bytes_max: usize,
        walk: impl IntoIterator<Item = E>,
        mut decode: impl FnMut(E) -> Result<(Key, Versioned), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut page = Self::default();
        let mut bytes_len = 0;
        for entry in walk {
            // The row that reaches the size is still in the page, so a page holds a row if there is one.
            if page.rows.len() >= scan.limit || bytes_len >= bytes_max {
                page.more = true;
                break;
            }
            let (key, row) = decode(entry)?;
            if page.rows.is_empty() {
                page.rows.reserve(scan.limit.min(USUAL_ROWS));
            }
            bytes_len += key.as_bytes().len() + row.value.len();
            page.rows.push((key, row));
        }
        Ok(page)
    }
}

/// Room for the values of one scope, so that their page seldom has to grow.
const USUAL_ROWS: usize = 64;
