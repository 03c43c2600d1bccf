//! Several engines on one store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{
    DefinitionChange, Environment, Error, NewValue, Org, RawKey, Scope, Unlock, VarFormat,
    VariableDefinition, Vault,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_row_is_not_cached_under_an_epoch_younger_than_itself() {
    block_on(async {
        let memory = Arc::new(MemoryStore::new());
        let other = org(&Vault::create(Arc::clone(&memory), unlock()).await.unwrap());
        let mut ids = Vec::new();
        for index in 0..100 {
            let definition = VariableDefinition::new(format!("V{index}"), VarFormat::Integer);
            ids.push(other.define(definition).await.unwrap());
        }
        let store = Arc::new(Interrupted { memory, interruption: Mutex::new(None) });
        let own = org(&Vault::open(Arc::clone(&store), unlock()).await.unwrap());

        // What this needs takes several reads: the scans, of which there are none, the values, the first definitions.
        let first = ids[0];
        let change = async move {
            other.update_definition(first, DefinitionChange::new().encrypted()).await.unwrap();
        };
        *store.interruption.lock().unwrap() = Some((3, Box::pin(change)));
        let values: Vec<_> = ids.iter().map(|id| NewValue::new(*id, Scope::Org, "not a number")).collect();
        assert!(matches!(own.set_values(&values).await, Err(Error::InvalidValue { .. })));

        assert!(store.interruption.lock().unwrap().is_none(), "the definition was changed meanwhile");
        assert!(own.definition(first).await.unwrap().unwrap().definition.encrypted);
    });
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

/// After how many reads something happens, and what.
type Interruption = (usize, Pin<Box<dyn Future<Output = ()> + Send>>);

/// A store on which another engine does something between two reads.
struct Interrupted {
    memory: Arc<MemoryStore>,
    interruption: Mutex<Option<Interruption>>,
}

impl Interrupted {
    fn due(&self) -> Option<Interruption> {
        let mut waiting = self.interruption.lock().unwrap();
        let (reads_left, _) = waiting.as_mut()?;
        *reads_left -= 1;
        if *reads_left == 0 { waiting.take() } else { None }
    }
}

#[async_trait]
impl Store for Interrupted {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let answer = self.memory.read(request).await;
        let due = self.due();
        if let Some((_, interruption)) = due {
            interruption.await;
        }
        answer
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.memory.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities().with_sharing()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.memory.close().await
    }
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupted").finish_non_exhaustive()
    }
}
