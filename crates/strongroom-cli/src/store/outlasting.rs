//! A store that a server has open, for a command that outlasts the server: the command then opens the store itself, or
//! reaches it through the next server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom::Store;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, StoreError, StoreErrorKind, WriteBatch,
};

use super::{Access, Spec};

#[derive(Debug)]
pub(super) struct OutlastingStore {
    spec: Spec,
    access: Access,
    /// Those of the served store: others may write to it.
    capabilities: Capabilities,
    current: Mutex<Arc<dyn Store>>,
}

impl OutlastingStore {
    pub(super) fn new(spec: Spec, access: Access, served: Arc<dyn Store>) -> Self {
        Self { spec, access, capabilities: served.capabilities(), current: Mutex::new(served) }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<dyn Store>> {
        // Every change is one assignment, so that a panic leaves nothing half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<dyn Store> {
        Arc::clone(&self.lock())
    }

    /// Opens the store again in place of `gone`, within the patience of the command; once for all calls that wait.
    fn reopened(&self, gone: &Arc<dyn Store>) -> Result<Arc<dyn Store>, StoreError> {
        let mut current = self.lock();
        if Arc::ptr_eq(&current, gone) {
            *current = self.spec.open_once_more(self.access).map_err(|failure| {
                StoreError::new(StoreErrorKind::Unavailable, format!("the server has ended, and {failure}"))
            })?;
        }
        Ok(Arc::clone(&current))
    }
}

/// Nothing of the call was applied.
fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Unavailable)
}

#[async_trait]
// A default method of the trait would call this store and not the inner one.
#[deny(clippy::missing_trait_methods)]
impl Store for OutlastingStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let store = self.current();
        let answer = store.read(request).await;
        if is_gone(&answer) { self.reopened(&store)?.read(request).await } else { answer }
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let store = self.current();
        let answer = store.commit(Arc::clone(&batch)).await;
        if is_gone(&answer) { self.reopened(&store)?.commit(batch).await } else { answer }
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.current().close().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use futures_executor::block_on;
    use strongroom::store::Durability;

    use super::*;

    /// A served store whose server has ended.
    #[derive(Debug)]
    struct Gone;

    #[async_trait]
    impl Store for Gone {
        async fn read(&self, _: &ReadBatch) -> Result<ReadSet, StoreError> {
            Err(StoreError::new(StoreErrorKind::Unavailable, "gone"))
        }

        async fn commit(&self, _: Arc<WriteBatch>) -> Result<Committed, StoreError> {
            Err(StoreError::new(StoreErrorKind::Unavailable, "gone"))
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::embedded(Durability::PowerLoss).with_sharing()
        }

        async fn close(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[test]
    fn a_store_that_went_with_its_server_is_not_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault");
        let store = OutlastingStore::new(Spec::at(path.clone()), Access::Write, Arc::new(Gone));
        let refused = block_on(store.read(&ReadBatch::default())).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
        assert!(!path.exists(), "{refused}");
    }
}
