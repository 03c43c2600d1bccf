//! The store: the contract around one tree and the thread that writes it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use strongroom_committer::{Committer, guarded, of_io};
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, WriteBatch,
};
use tempfile::TempDir;

use crate::directory::Directory;
use crate::disk::{Disk, SyncStep, flush_and_sync};
use crate::failure::of_sled;
use crate::read;
use crate::revisions::Revisions;
use crate::writer::SledWriter;

/// A durable store in one directory. The crate's documentation says what it promises.
///
/// Dropping it does what [`close`](Store::close) does, but reports nothing.
pub struct SledStore {
    committer: Committer<SledWriter>,
    syncs: Arc<AtomicU64>,
    // Last, so that it is dropped after the committer has released the files in it.
    _temporary: Option<TempDir>,
}

impl SledStore {
    /// Opens the store in the directory `path`, or creates directory and store.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("vault");
    /// let store = strongroom_sled::SledStore::open(&path)?;
    /// assert!(strongroom_sled::SledStore::open(&path).is_err(), "it is open already");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `InUse` if the store is already open, here or in another process; `Unavailable` if the disk cannot be used;
    /// `Unsupported` for a directory that holds something else and for an unknown format version; `Corrupt` for a
    /// damaged data file, one that strongroom did not write, and one with blob files beside it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), Box::new(flush_and_sync), None)
    }

    /// A new store in a private directory that is removed with it. It syncs like any other.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// let store = strongroom_sled::SledStore::temporary()?;
    /// let vault = Vault::create(store, Unlock::raw_key(RawKey::generate()?)).await?;
    /// vault.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Unavailable` if the directory for temporary files cannot be used.
    pub fn temporary() -> Result<Self, StoreError> {
        let directory = tempfile::tempdir()
            .map_err(|error| of_io(error, "the directory for temporary files cannot be used"))?;
        let path = directory.path().to_owned();
        Self::open_with(&path, Box::new(flush_and_sync), Some(directory))
    }

    /// How many times the data file was synced since the store was opened: a metric of how well concurrent commits
    /// share syncs. Opening and closing take one each.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(crate) fn open_with(
        path: &Path,
        step: SyncStep,
        temporary: Option<TempDir>,
    ) -> Result<Self, StoreError> {
        let directory = Directory::claim(path)?;
        let mut disk = Disk::new(directory.data_file()?, step);
        let (db, revisions) = guarded(|| {
            let db = engine(directory.path()).open().map_err(of_sled)?;
            let revisions = Revisions::start(&db)?;
            disk.sync(&db)?;
            Ok((db, revisions))
        })?;
        directory.sync()?;
        let syncs = disk.syncs();
        let writer = SledWriter { db: db.clone(), disk, revisions, _directory: directory };
        let committer = Committer::start("strongroom-sled", writer, db)?;
        Ok(Self { committer, syncs, _temporary: temporary })
    }
}

#[async_trait]
impl Store for SledStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.committer.readers().read(|db| read::read(db, request, CAPABILITIES.page_bytes_max))
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        self.committer.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.committer.close().await
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("syncs", &self.syncs()).finish_non_exhaustive()
    }
}

fn engine(path: &Path) -> sled::Config {
    // The background flush would swallow its errors. A segment is four times the largest leaf: sixteen rows of 80 KiB
    // fit into a quarter of it, beyond which sled writes a blob file.
    sled::Config::new().path(path).segment_size(8 << 20).cache_capacity(256 << 20).flush_every_ms(None)
}

const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss);

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;

    use futures_executor::block_on;
    use sled::Db;
    use strongroom_store::{Key, StoreErrorKind};

    use super::*;

    fn put(key: &str) -> Arc<WriteBatch> {
        let mut batch = WriteBatch::default();
        batch.put(Key::from(key.as_bytes()), b"secret-value".to_vec());
        Arc::new(batch)
    }

    fn get(key: &str) -> ReadBatch {
        ReadBatch { gets: vec![Key::from(key.as_bytes())], scans: vec![] }
    }

    fn store_with(step: impl FnMut(&Db, &File) -> sled::Result<()> + Send + 'static) -> SledStore {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        SledStore::open_with(&path, Box::new(step), Some(directory)).unwrap()
    }

    /// A store whose syncs fail once `open` is done; all would succeed after the first.
    fn failing() -> SledStore {
        let mut syncs = 0;
        store_with(move |db, file| {
            syncs += 1;
            if syncs == 2 {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            flush_and_sync(db, file)
        })
    }

    #[test]
    fn a_failed_sync_poisons_the_store_and_is_not_tried_again() {
        let store = failing();
        block_on(store.commit(put("k"))).unwrap_err();
        let syncs = store.syncs();
        let kinds = [
            block_on(store.commit(put("k"))).unwrap_err().kind(),
            block_on(store.read(&get("k"))).unwrap_err().kind(),
            block_on(store.close()).unwrap_err().kind(),
            block_on(store.close()).unwrap_err().kind(),
            block_on(store.commit(put("k"))).unwrap_err().kind(),
            block_on(store.read(&get("k"))).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [StoreErrorKind::Poisoned; 6]);
        assert_eq!(store.syncs(), syncs);
    }

    #[test]
    fn a_batch_whose_sync_failed_is_answered_poisoned_with_the_cause() {
        let error = block_on(failing().commit(put("k"))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Poisoned);
        let causes = std::iter::successors(std::error::Error::source(&error), |&cause| cause.source());
        assert!(causes.last().unwrap().to_string().contains("IO error"));
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_panic_of_the_sync_poisons_the_store() {
        let mut syncs = 0;
        let store = store_with(move |_, _| {
            syncs += 1;
            assert!(syncs < 2, "secret-key");
            Ok(())
        });
        let error = block_on(store.commit(put("k"))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Poisoned);
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_close_whose_sync_fails_reports_it() {
        let store = failing();
        assert_eq!(block_on(store.close()).unwrap_err().kind(), StoreErrorKind::Poisoned);
    }

    #[test]
    fn debug_shows_no_rows() {
        let store = SledStore::temporary().unwrap();
        block_on(store.commit(put("secret-key"))).unwrap();
        assert_eq!(format!("{store:?}"), "SledStore { syncs: 2, .. }");
    }
}
