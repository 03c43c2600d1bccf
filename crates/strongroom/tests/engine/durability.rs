//! A store that may lose acknowledged writes is taken only by who asked for that by name, whichever way a vault gets
//! there.

use std::io::Cursor;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use strongroom::{Backup, Error, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::common::{rows, run, unlock, vault};

/// A store that declares to lose its newest writes in a power cut.
#[derive(Debug, Clone, Default)]
struct Weak(Arc<MemoryStore>);

#[async_trait]
impl Store for Weak {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.0.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.0.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::embedded(Durability::ProcessCrash)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

fn accepting() -> VaultOptions {
    VaultOptions::default().accept_durability(Durability::ProcessCrash)
}

async fn assert_refused<T>(answer: Result<T, Error>, store: &Weak) -> Result<(), Error> {
    match answer.err() {
        Some(Error::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Unsupported),
        other => unreachable!("it was taken, or refused with {other:?}"),
    }
    assert!(rows(&store.0).await?.is_empty(), "nothing was written");
    Ok(())
}

#[test]
fn a_new_vault_asks() {
    run(async {
        let store = Weak::default();
        assert_refused(vault(store.clone(), VaultOptions::default()).await, &store).await?;
        vault(store, accepting()).await.map(drop)
    });
}

#[test]
fn a_restore_asks() {
    run(async {
        let mut file = Vec::new();
        vault(MemoryStore::new(), VaultOptions::default()).await?.backup(&mut file, |_| ()).await?;
        let open = async |options| Backup::open_with(Cursor::new(file.clone()), unlock(), options).await;
        let store = Weak::default();
        let restored = open(VaultOptions::default()).await?.replace_original(store.clone(), |_| ()).await;
        assert_refused(restored, &store).await?;
        let restored = open(VaultOptions::default()).await?.restore_as_new(store.clone(), unlock(), |_| ());
        assert_refused(restored.await, &store).await?;
        open(accepting()).await?.restore_as_new(Weak::default(), unlock(), |_| ()).await?;
        open(accepting()).await?.replace_original(store, |_| ()).await.map(drop)
    });
}

#[test]
fn a_copy_asks() {
    run(async {
        let store = Weak::default();
        let source = vault(MemoryStore::new(), VaultOptions::default()).await?;
        assert_refused(source.copy_to(&store, |_| ()).await, &store).await?;
        assert!(!source.is_retired().await?);
        let source = vault(MemoryStore::new(), accepting()).await?;
        source.copy_to(&store, |_| ()).await.map(drop)
    });
}
