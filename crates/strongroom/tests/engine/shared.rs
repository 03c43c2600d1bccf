//! Several engines on one store: what one of them cached never outlives what another wrote. Random streams are in
//! `model`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use crate::common::{account, org_of, run, text, unlock, vault};
use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{DefinitionChange, Error, NewValue, Org, Scope, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

#[test]
fn a_definition_that_changed_between_two_reads_of_one_verb_is_not_kept_as_it_was() {
    run(async {
        let memory = Arc::new(MemoryStore::new());
        let other = org_of(&vault(Arc::clone(&memory), VaultOptions::default()).await?);
        let names: Vec<_> = (0..120).map(|number| format!("V{number}")).collect();
        for name in &names {
            other.define(text(name)).await?;
        }
        // Names and rows are each more than one read may hold.
        for reads in 1.. {
            let before = other.definition("V0").await?.unwrap().definition.required;
            let store = Arc::new(MeddledStore { inner: Arc::clone(&memory), meddler: Mutex::default() });
            let org = org_of(&Vault::open(Arc::clone(&store), unlock()).await?);
            store.meddle_before(reads, other.clone());
            let mut values: Vec<_> = names.iter().map(|name| NewValue::new(name, Scope::Org, "x")).collect();
            values.push(NewValue::new("V119", account("a"), "x".repeat(65_537)));
            assert!(matches!(org.set_values(&values).await, Err(Error::TooLong { .. })));
            let seen = org.definition("V0").await?.unwrap().definition.required;
            let now = other.definition("V0").await?.unwrap().definition.required;
            assert_eq!(seen, now, "changed before read {reads}");
            if now == before {
                assert!(reads > 4, "read {reads} was not reached");
                break;
            }
        }
        Ok(())
    });
}

/// A store to which another engine writes before one of its reads.
#[derive(Debug)]
struct MeddledStore {
    inner: Arc<MemoryStore>,
    /// How many reads go before, and who then changes the definition `V0`.
    meddler: Mutex<Option<(usize, Org)>>,
}

impl MeddledStore {
    fn meddle_before(&self, reads: usize, org: Org) {
        *self.meddler.lock().unwrap() = Some((reads, org));
    }

    fn next_meddler(&self) -> Option<Org> {
        let mut meddler = self.meddler.lock().unwrap();
        let (reads, _) = meddler.as_mut()?;
        *reads -= 1;
        if *reads == 0 { meddler.take().map(|(_, org)| org) } else { None }
    }
}

#[async_trait]
impl Store for MeddledStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        if let Some(org) = self.next_meddler() {
            let required = org.definition("V0").await.unwrap().unwrap().definition.required;
            let change = DefinitionChange::new();
            let change = if required { change.optional() } else { change.required() };
            org.update_definition("V0", change).await.unwrap();
        }
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.inner.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities().with_sharing()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
