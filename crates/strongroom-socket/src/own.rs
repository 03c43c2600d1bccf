//! The store of a process, which others may reach through a door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use strongroom_store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};

/// A store for the vault of this process, to which a [`Door`](crate::Door) can be opened. Cheap to clone; every clone
/// is the same.
#[derive(Debug, Clone)]
pub struct DoorStore {
    pub(crate) store: Arc<dyn Store>,
    /// Whether anyone has come in.
    pub(crate) entered: Arc<AtomicBool>,
}

/// No other process comes in on a system without Unix sockets.
#[cfg(not(unix))]
#[derive(Debug)]
pub enum Door {}

impl DoorStore {
    /// `store`, which is this process's own until somebody comes in.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, entered: Arc::default() }
    }

    /// Counts as shared from now on, as when somebody has come in: for a second vault of this process on the same
    /// store.
    pub fn share(&self) {
        self.entered.store(true, Ordering::Release);
    }
}

#[async_trait]
// A default method of the trait would call this store and not the inner one's own.
#[deny(clippy::missing_trait_methods)]
impl Store for DoorStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.store.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.store.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        // Of the store itself: that it is held here does not make it shared.
        let own = (*self.store).capabilities();
        // Acquire: pairs with the release in `enter`, so that who sees what came through the door knows of it. Never
        // cleared: a cached row from before the first one came in may be older than what was written since.
        if self.entered.load(Ordering::Acquire) { own.with_sharing() } else { own }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
