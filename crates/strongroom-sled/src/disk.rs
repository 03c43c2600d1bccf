//! The step that makes applied batches durable.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::Db;
use strongroom_store::StoreError;

use crate::failure::of_sled;

/// The data file on a handle that is kept open, and the number of syncs so far.
pub(crate) struct Disk {
    file: File,
    step: SyncStep,
    syncs: Arc<AtomicU64>,
}

/// How the tree and its file reach the disk: [`flush_and_sync`], or a test's replacement.
pub(crate) type SyncStep = Box<dyn FnMut(&Db, &File) -> sled::Result<()> + Send>;

impl Disk {
    pub(crate) fn new(file: File, step: SyncStep) -> Self {
        Self { file, step, syncs: Arc::default() }
    }

    /// A view of the number of syncs.
    pub(crate) fn syncs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.syncs)
    }

    /// Makes everything applied to `db` durable.
    pub(crate) fn sync(&mut self, db: &Db) -> Result<(), StoreError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        (self.step)(db, &self.file).map_err(of_sled)
    }
}

/// Hands sled's buffers to the file system, then forces data and length to the disk. sled's own part is not a sync: it
/// calls `sync_file_range`, which writes neither the journal nor the disk's own cache.
pub(crate) fn flush_and_sync(db: &Db, file: &File) -> sled::Result<()> {
    db.flush()?;
    file.sync_data()?;
    Ok(())
}
