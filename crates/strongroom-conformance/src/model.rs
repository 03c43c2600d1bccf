//! The reference: what an ordered map with revisions answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use strongroom::store::{
    Capabilities, Expect, Key, Op, Page, ReadBatch, ReadSet, RowRevision, Scan, StoreErrorKind, Versioned,
    WriteBatch,
};

/// A store as a plain map: says what a real one must answer to a read or a commit.
pub struct Model {
    capabilities: Capabilities,
    rows: BTreeMap<Key, Versioned>,
    used: BTreeMap<Key, BTreeSet<RowRevision>>,
}

/// An answer of a store that differs from the model's. Shows no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The place of the step among the steps.
    pub step: usize,
    /// What differs.
    pub what: String,
}

impl Model {
    /// An empty store with these limits.
    #[must_use]
    pub fn new(capabilities: Capabilities) -> Self {
        Self { capabilities, rows: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// The answer to a read.
    ///
    /// # Errors
    /// The kind of error with which a store must refuse the read.
    pub fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreErrorKind> {
        request.check().map_err(|error| error.kind())?;
        Ok(ReadSet {
            gets: request.gets.iter().map(|key| self.rows.get(key).cloned()).collect(),
            scans: request.scans.iter().map(|scan| self.page(scan)).collect(),
        })
    }

    /// Whether a store must accept the batch.
    ///
    /// # Errors
    /// The kind of error with which a store must refuse the batch.
    pub fn judge(&self, batch: &WriteBatch) -> Result<(), StoreErrorKind> {
        batch.check(&self.capabilities).map_err(|error| error.kind())?;
        let fails = |(key, expect): &(Key, Expect)| !expect.holds(self.revision(key));
        match batch.expect.iter().position(fails) {
            Some(index) => Err(StoreErrorKind::Conflict { index }),
            None => Ok(()),
        }
    }

    /// Takes over a batch that the store has accepted and put at `revision`. Answers whether the revision is new to
    /// every key that the batch puts, as it must be.
    pub fn apply(&mut self, batch: &WriteBatch, revision: RowRevision) -> bool {
        let mut is_new = true;
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    is_new &= self.used.entry(key.clone()).or_default().insert(revision);
                    self.rows.insert(key.clone(), Versioned { value: value.clone(), revision });
                }
                Op::Delete(key) => {
                    self.rows.remove(key);
                }
            }
        }
        is_new
    }

    /// The revision of the row at `key`.
    #[must_use]
    pub fn revision(&self, key: &Key) -> Option<RowRevision> {
        self.rows.get(key).map(|row| row.revision)
    }

    /// A revision that `key` had once and has no more.
    #[must_use]
    pub fn former_revision(&self, key: &Key) -> Option<RowRevision> {
        let current = self.revision(key);
        self.used.get(key)?.iter().copied().find(|revision| Some(*revision) != current)
    }

    pub(crate) fn rows(&self) -> Vec<(Key, Versioned)> {
        self.rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    fn page(&self, scan: &Scan) -> Page {
        let mut rows: Vec<_> =
            self.rows.iter().filter(|(key, _)| scan.range.contains(key.as_bytes())).collect();
        if scan.reverse {
            rows.reverse();
        }
        let mut page = Page::default();
        let mut bytes_len = 0;
        for (key, row) in rows {
            if page.rows.len() >= scan.limit || bytes_len >= self.capabilities.page_bytes_max {
                page.more = true;
                return page;
            }
            let value = if scan.keys_only { Vec::new() } else { row.value.clone() };
            bytes_len += key.as_bytes().len() + value.len();
            page.rows.push((key.clone(), Versioned { value, revision: row.revision }));
        }
        page
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.what)
    }
}

impl std::error::Error for Mismatch {}
