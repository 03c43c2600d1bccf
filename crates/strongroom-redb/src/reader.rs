//! A store that is only read: the file is never written, so it may be on a read-only medium, and several processes can
//! read it at once.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use redb::ReadOnlyDatabase;
use strongroom_committer::guarded;
use strongroom_store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::file;
use crate::read::Snapshot;
use crate::row::TABLE;
use crate::store::CAPABILITIES;

/// The store in a file, for reading. It shows the content from when it was opened. Nobody can write to the file until
/// it is closed or dropped.
pub struct RedbReader(RwLock<Option<Open>>);

/// The snapshot comes first, so that it is dropped before the file is released.
struct Open {
    snapshot: Snapshot,
    _db: ReadOnlyDatabase,
}

impl RedbReader {
    /// Opens the store in the file `path`, which must exist, and writes nothing, not even to repair it.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("vault.redb");
    /// drop(strongroom_redb::RedbStore::open(&path)?);
    /// let (one, other) = (strongroom_redb::RedbReader::open(&path)?, strongroom_redb::RedbReader::open(&path)?);
    /// assert!(strongroom_redb::RedbStore::open(&path).is_err(), "it is being read");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `InUse` if it is open for writing; `Unsupported` for a store that was not closed properly, which
    /// [`RedbStore`](crate::RedbStore) repairs, for something else in its place and for an unknown format version;
    /// `Unavailable` if there is no file or the disk cannot be read; `Corrupt` for a damaged file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let db = guarded(|| file::open_to_read(path.as_ref()))?;
        Ok(Self(RwLock::new(Some(Open { snapshot: Snapshot::newest(&db, TABLE)?, _db: db }))))
    }
}

#[async_trait]
impl Store for RedbReader {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or_else(closed)?;
        guarded(|| open.snapshot.read(request, CAPABILITIES.page_bytes_max))
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        let is_open = self.0.read().unwrap_or_else(PoisonError::into_inner).is_some();
        Err(if is_open { StoreError::new(StoreErrorKind::Unsupported, ONLY_READ) } else { closed() })
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

impl fmt::Debug for RedbReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbReader").finish_non_exhaustive()
    }
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store was closed")
}

const ONLY_READ: &str = "the store was opened for reading: open it with RedbStore to write";
