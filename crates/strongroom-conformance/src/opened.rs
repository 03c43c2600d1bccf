//! A store under test, in its place, driven without a runtime.

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{
    Committed, Key, Page, ReadBatch, ReadSet, RowRevision, Scan, Store, StoreError, StoreErrorKind,
    Versioned, WriteBatch,
};

use crate::batch::{batch, delete, gets, put, scan_all};
use crate::patience::Patience;

/// Opens the store of one place.
pub(crate) type Open = dyn Fn() -> Result<Box<dyn Store>, String> + Send + Sync;

/// An open store and the way to open it again.
pub(crate) struct Opened {
    // Before `open`, which holds the place: a store goes before its directory does.
    store: Box<dyn Store>,
    open: Arc<Open>,
}

impl Opened {
    pub(crate) fn new(open: Arc<Open>) -> Self {
        let store = open().expect("the store opens");
        Self { store, open }
    }

    /// An open store that is not opened again.
    pub(crate) fn once(store: impl Store) -> Self {
        Self { store: Box::new(store), open: Arc::new(|| Err("the store is opened once".to_owned())) }
    }

    /// The store that the same place holds after a close.
    pub(crate) fn reopen(self) -> Self {
        self.close().expect("the store closes");
        self.drop_and_reopen()
    }

    /// The store that the same place holds after the handle was dropped without a close.
    pub(crate) fn drop_and_reopen(self) -> Self {
        let Self { store, open } = self;
        drop(store);
        Self::new(open)
    }

    /// A second handle on the same place, while this one is open.
    pub(crate) fn open_another(&self) -> Result<Self, String> {
        let store = (self.open)()?;
        Ok(Self { store, open: Arc::clone(&self.open) })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn close(&self) -> Result<(), StoreError> {
        block_on(self.store.close())
    }

    pub(crate) fn try_read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        block_on(self.store.read(request))
    }

    pub(crate) fn read(&self, request: &ReadBatch) -> ReadSet {
        self.try_read(request).expect("the read is answered")
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Option<Versioned> {
        self.read(&gets([key])).gets.pop().expect("a get has an answer")
    }

    pub(crate) fn value(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.get(key).map(|row| row.value)
    }

    pub(crate) fn page(&self, scan: Scan) -> Page {
        let request = ReadBatch { gets: Vec::new(), scans: vec![scan] };
        self.read(&request).scans.pop().expect("a scan has an answer")
    }

    /// The keys of one page.
    pub(crate) fn keys(&self, scan: Scan) -> Vec<Vec<u8>> {
        self.page(scan).rows.into_iter().map(|(key, _)| key.into()).collect()
    }

    /// Every row, page by page.
    pub(crate) fn rows(&self) -> Vec<(Key, Versioned)> {
        self.walk(&scan_all())
    }

    /// Every row of a walk, each page continuing after the last key of the one before.
    pub(crate) fn walk(&self, scan: &Scan) -> Vec<(Key, Versioned)> {
        let mut rows: Vec<(Key, Versioned)> = Vec::new();
        let mut next = scan.clone();
        loop {
            let page = self.page(next.clone());
            rows.extend(page.rows);
            if !page.more {
                return rows;
            }
            let (last, _) = rows.last().expect("a page that says `more` holds a row");
            let range = scan.range.clone();
            let rest =
                if scan.reverse { range.before(last.as_bytes()) } else { range.after(last.as_bytes()) };
            assert_ne!(rest, next.range, "a page that says `more` gets further");
            next.range = rest;
        }
    }

    /// Commits, again and again while the store gives way to another writer.
    pub(crate) fn try_commit(&self, batch: WriteBatch) -> Result<Committed, StoreError> {
        let (batch, mut patience) = (Arc::new(batch), Patience::new());
        loop {
            match block_on(self.store.commit(Arc::clone(&batch))) {
                Err(error) if error.kind() == StoreErrorKind::Contention && patience.try_again() => {}
                answer => return answer,
            }
        }
    }

    pub(crate) fn commit(&self, batch: WriteBatch) -> RowRevision {
        self.try_commit(batch).expect("the batch is applied").revision
    }

    pub(crate) fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> RowRevision {
        self.commit(batch([], [put(key, value)]))
    }

    pub(crate) fn delete(&self, key: impl AsRef<[u8]>) {
        self.commit(batch([], [delete(key)]));
    }

    /// The kind of error that refuses the batch.
    pub(crate) fn refusal(&self, batch: WriteBatch) -> StoreErrorKind {
        self.try_commit(batch).expect_err("the batch is refused").kind()
    }

    /// The kind of error that refuses the read.
    pub(crate) fn read_refusal(&self, request: &ReadBatch) -> StoreErrorKind {
        self.try_read(request).expect_err("the read is refused").kind()
    }
}
