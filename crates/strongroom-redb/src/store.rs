//! The store: the contract around one table and the thread that writes it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_committer::{Committer, corrupt, of_io};
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, WriteBatch,
};
use tempfile::TempDir;

use crate::disk::Gauge;
use crate::file;
use crate::writer::RedbWriter;

/// A durable store in one file. The crate's documentation says what it promises.
///
/// Dropping it does what [`close`](Store::close) does, but reports nothing.
pub struct RedbStore {
    committer: Committer<RedbWriter>,
    gauge: Gauge,
    // Last, so that it is dropped after the committer has released the file in it.
    _temporary: Option<TempDir>,
}

impl RedbStore {
    /// Opens the store in the file `path`, or creates it and the directories above it.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("vault.redb");
    /// let store = strongroom_redb::RedbStore::open(&path)?;
    /// assert!(strongroom_redb::RedbStore::open(&path).is_err(), "it is open already");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `InUse` if the store is already open, here or in another process; `Unavailable` if the disk cannot be used;
    /// `Unsupported` for something else in its place and for an unknown format version; `Corrupt` for a damaged file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::start(file::open_or_create(path.as_ref())?, None)
    }

    /// A new store in a private directory that is removed with it. It syncs like any other.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// let store = strongroom_redb::RedbStore::temporary()?;
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
        Self::start(file::open_or_create(&directory.path().join("store.redb"))?, Some(directory))
    }

    /// How many times the file was synced since it was opened: a metric of how well concurrent commits share syncs.
    /// Opening, closing and growing the file take some too.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.gauge.syncs()
    }

    /// Gives free space in the file back to the file system, and returns whether there was any. Everyone else waits
    /// meanwhile. An error poisons the store.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let store = strongroom_redb::RedbStore::temporary()?;
    /// let freed = store.compact().await?;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Poisoned` with the cause, `Closed` after the end.
    pub async fn compact(&self) -> Result<bool, StoreError> {
        self.committer.work(RedbWriter::compact).await
    }

    pub(crate) fn start(
        (writer, gauge): (RedbWriter, Gauge),
        temporary: Option<TempDir>,
    ) -> Result<Self, StoreError> {
        let view = Some(writer.snapshot()?);
        let committer = Committer::start("strongroom-redb", writer, view)?;
        Ok(Self { committer, gauge, _temporary: temporary })
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.committer.readers().read(|view| {
            // Nobody reads while there is none.
            let snapshot = view.as_ref().ok_or_else(|| corrupt("the snapshot is gone"))?;
            snapshot.read(request, CAPABILITIES.page_bytes_max)
        })
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

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("syncs", &self.syncs()).finish_non_exhaustive()
    }
}

pub(crate) const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss);

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use futures_executor::block_on;
    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;
    use strongroom_store::{Key, StoreErrorKind};

    use super::*;

    /// A disk that is full from some moment on, and counts the requests after that.
    #[derive(Debug, Clone, Default)]
    struct Filling {
        is_full: Arc<AtomicBool>,
        asked: Arc<AtomicU64>,
    }

    impl Filling {
        fn check(&self) -> io::Result<()> {
            if !self.is_full.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[derive(Debug)]
    struct Full(InMemoryBackend, Filling);

    impl StorageBackend for Full {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.1.check()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.write(offset, data)
        }
    }

    fn put(key: &str) -> Arc<WriteBatch> {
        let mut batch = WriteBatch::default();
        batch.put(Key::from(key.as_bytes()), b"secret-value".to_vec());
        Arc::new(batch)
    }

    fn filling() -> (RedbStore, Filling) {
        let filling = Filling::default();
        let writer = file::initialise(Full(InMemoryBackend::new(), filling.clone())).unwrap();
        let store = RedbStore::start(writer, None).unwrap();
        block_on(store.commit(put("first"))).unwrap();
        filling.is_full.store(true, Ordering::Relaxed);
        (store, filling)
    }

    #[test]
    fn a_failed_sync_poisons_the_store_and_is_not_tried_again() {
        let (store, filling) = filling();
        let error = block_on(store.commit(put("secret-key"))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Poisoned);
        assert!(!format!("{error:?}").contains("secret"));
        let request = ReadBatch { gets: vec![Key::from(b"first".as_slice())], scans: vec![] };
        let kinds = [
            block_on(store.commit(put("k"))).unwrap_err().kind(),
            block_on(store.read(&request)).unwrap_err().kind(),
            block_on(store.close()).unwrap_err().kind(),
            block_on(store.commit(put("k"))).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [StoreErrorKind::Poisoned; 4]);
        assert_eq!(filling.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_close_whose_sync_fails_reports_it() {
        let (store, _filling) = filling();
        assert_eq!(block_on(store.close()).unwrap_err().kind(), StoreErrorKind::Poisoned);
    }

    #[test]
    fn debug_shows_no_rows() {
        let store = RedbStore::temporary().unwrap();
        block_on(store.commit(put("secret-key"))).unwrap();
        assert!(format!("{store:?}").starts_with("RedbStore { syncs: "));
    }
}
