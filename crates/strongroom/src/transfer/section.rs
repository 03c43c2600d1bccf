//! Reads a store section by section, and finds the sections that changed since.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::engine::read_from;
use crate::error::Error;
use crate::store::{Key, KeyRange, Page, RowRevision, Scan, Store, Versioned};

/// A range of a store, as it was last read.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) range: KeyRange,
    /// A fingerprint of its keys and revisions. A revision is never used twice, so equal fingerprints mean equal rows.
    print: u64,
    rows_len: usize,
}

/// The rows of a section, in key order.
pub(super) type Rows = Vec<(Key, Versioned)>;

/// Reads a range for the first time, and cuts it into sections.
pub(super) struct SectionReader<'s> {
    store: &'s dyn Store,
    rest: Option<KeyRange>,
}

impl<'s> SectionReader<'s> {
    pub(super) fn new(store: &'s dyn Store, range: KeyRange) -> Self {
        Self { store, rest: Some(range) }
    }

    /// The next section. Together, the sections cover the range without a gap.
    pub(super) async fn next(&mut self) -> Result<Option<(Section, Rows)>, Error> {
        let Some(rest) = self.rest.take() else { return Ok(None) };
        let page = read_from(self.store, Scan::new(rest.clone(), SECTION_ROWS)).await?;
        let mut range = rest.clone();
        if let (true, Some((last, _))) = (page.more, page.rows.last()) {
            let after = rest.after(last.as_bytes());
            range.end = Some(after.start.clone());
            self.rest = Some(after);
        }
        Ok(Some((Section { range, print: print_of(&page.rows), rows_len: page.rows.len() }, page.rows)))
    }
}

impl Section {
    /// Reads the section again, however large it has become.
    pub(super) async fn read(&mut self, store: &dyn Store) -> Result<Rows, Error> {
        let rows = read_range(store, &self.range).await?;
        self.print = print_of(&rows);
        self.rows_len = rows.len();
        Ok(rows)
    }
}

/// Reads all rows of a range that is known to be small.
pub(super) async fn read_range(store: &dyn Store, range: &KeyRange) -> Result<Rows, Error> {
    let mut reader = SectionReader::new(store, range.clone());
    let mut rows = Rows::new();
    while let Some((_, mut more)) = reader.next().await? {
        rows.append(&mut more);
    }
    Ok(rows)
}

/// The indices of the sections that changed since they were read. Reads only keys, of many sections at once.
pub(super) async fn changed(store: &dyn Store, sections: &[Section]) -> Result<Vec<usize>, Error> {
    let mut changed = Vec::new();
    for (chunk_no, chunk) in sections.chunks(SECTIONS_A_READ).enumerate() {
        // One row more than last time is enough to see that the section grew.
        let scan = |section: &Section| Scan::new(section.range.clone(), section.rows_len + 1).keys_only();
        let scans: Vec<Scan> = chunk.iter().map(scan).collect();
        let pages = read_from(store, scans).await?;
        let first = chunk_no * SECTIONS_A_READ;
        for (index, (section, page)) in chunk.iter().zip(pages).enumerate() {
            let page = with_rest(store, section, page).await?;
            if page.more || print_of(&page.rows) != section.print {
                changed.push(first + index);
            }
        }
    }
    Ok(changed)
}

/// The first page of the keys of a section, with as many of the rest as were asked for. A page also ends at the store's
/// limit on bytes, which says nothing of the keys after it.
async fn with_rest(store: &dyn Store, section: &Section, mut page: Page) -> Result<Page, Error> {
    while page.more
        && page.rows.len() <= section.rows_len
        && let Some((last, _)) = page.rows.last()
    {
        let rest = section.range.clone().after(last.as_bytes());
        let scan = Scan::new(rest, section.rows_len + 1 - page.rows.len()).keys_only();
        let next = read_from(store, scan).await?;
        page.rows.extend(next.rows);
        page.more = next.more;
    }
    Ok(page)
}

fn print_of(rows: &[(Key, Versioned)]) -> u64 {
    // A hash with a known key is safe here: a store that wants to hide a change need not report it at all.
    let mut hasher = FixedState::default().build_hasher();
    for (key, Versioned { revision: RowRevision(revision), .. }) in rows {
        hasher.write_usize(key.as_bytes().len());
        hasher.write(key.as_bytes());
        hasher.write_u64(*revision);
    }
    hasher.finish()
}

/// How many rows a section has when it is first read; a page that reaches its byte limit ends sooner.
const SECTION_ROWS: usize = 512;
/// How many sections one read covers. It asks only for keys, so that the answer stays small.
const SECTIONS_A_READ: usize = 32;
