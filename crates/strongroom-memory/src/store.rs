//! The store: the contract around one locked state.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::state::State;

/// A store without a disk. What it holds is gone with the last handle.
#[derive(Default)]
pub struct MemoryStore {
    state: ShardedLock<State>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<ShardedLockReadGuard<'_, State>, StoreError> {
        self.state.read().map_err(|_| poisoned())
    }

    fn state_mut(&self) -> Result<ShardedLockWriteGuard<'_, State>, StoreError> {
        self.state.write().map_err(|_| poisoned())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.state()?.read(request, CAPABILITIES.page_bytes_max)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        // Copied, where it must be, before the lock is taken.
        let batch = Arc::unwrap_or_clone(batch);
        self.state_mut()?.commit(batch)
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state_mut()?.close();
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state() {
            Ok(state) => {
                f.debug_struct("MemoryStore").field("rows", &state.rows_len()).finish_non_exhaustive()
            }
            Err(_) => f.write_str("MemoryStore(poisoned)"),
        }
    }
}

/// A thread panicked while it held the lock, so that a batch may be half applied.
fn poisoned() -> StoreError {
    StoreError::new(StoreErrorKind::Poisoned, "a writer of the memory store panicked")
}

const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::Volatile);

#[cfg(test)]
mod tests {
    use super::*;
    use futures_executor::block_on;

    #[test]
    fn a_panic_under_the_lock_poisons_the_store() {
        let store = MemoryStore::new();
        std::thread::scope(|threads| {
            let panicked = threads.spawn(|| {
                let _guard = store.state_mut();
                panic!("while the lock is held");
            });
            assert!(panicked.join().is_err());
        });
        let kind = |error: StoreError| error.kind();
        assert_eq!(block_on(store.read(&ReadBatch::default())).map_err(kind), Err(StoreErrorKind::Poisoned));
        assert_eq!(block_on(store.commit(Arc::default())).map_err(kind), Err(StoreErrorKind::Poisoned));
        assert_eq!(format!("{store:?}"), "MemoryStore(poisoned)");
    }

    #[test]
    fn debug_shows_counts_alone() {
        let store = MemoryStore::new();
        let mut batch = WriteBatch::default();
        batch.put(b"secret-key".as_slice().into(), b"secret-value".to_vec());
        block_on(store.commit(Arc::new(batch))).unwrap();
        assert_eq!(format!("{store:?}"), "MemoryStore { rows: 1, .. }");
    }
}
