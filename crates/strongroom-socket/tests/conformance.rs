//! A store behind a socket keeps the rules of every store.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_memory::MemoryStore;
use strongroom_socket::{Door, DoorStore, SocketStore};
use strongroom_store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use tempfile::TempDir;

/// Both ends in one process: closing it closes the store behind the door too.
#[derive(Debug)]
struct Through {
    outside: SocketStore,
    own: DoorStore,
    _door: Door,
    _place: TempDir,
}

impl Through {
    fn new(store: Arc<dyn Store>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("store.sock");
        let own = DoorStore::new(store);
        let door = own.open_door(&socket).unwrap();
        Self { outside: SocketStore::connect(&socket).unwrap(), own, _door: door, _place: place }
    }
}

#[async_trait]
impl Store for Through {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.outside.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.outside.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.outside.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.outside.close().await?;
        self.own.close().await
    }
}

mod in_memory {
    use super::*;
    strongroom_conformance::store_tests!(Through::new(Arc::new(MemoryStore::new())));
}
