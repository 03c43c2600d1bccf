//! An org on a fresh store in memory, under a clock that the test sets.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program takes what it needs, and fails by panicking"
)]

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{
    Clock, Environment, Error, Limits, Org, OrgId, RawKey, Scope, ScopedValue, Unlock, VarFormat,
    VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

/// Drives one test to its end; an error fails it.
pub(crate) fn run(test: impl Future<Output = Result<(), Error>>) {
    block_on(test).unwrap();
}

/// Drives one test on an org of its own.
pub(crate) fn with_org(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    run(async { test(org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?)).await });
}

/// The same with lower limits.
pub(crate) fn with_limits(limits: Limits, test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    run(async {
        test(org_of(&vault(MemoryStore::new(), VaultOptions::default().limits(limits)).await?)).await
    });
}

/// The same on a store with the smallest batches that the contract allows, and small pages.
pub(crate) fn with_small_store(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    run(async { test(org_of(&vault(SmallStore::default(), VaultOptions::default()).await?)).await });
}

/// The same under a clock that starts at 1,000 ms.
pub(crate) fn with_clock(test: impl AsyncFnOnce(Org, TestClock) -> Result<(), Error>) {
    run(async {
        let clock = TestClock::default();
        clock.set(1_000);
        let options = VaultOptions::default().clock(clock.clone());
        test(org_of(&vault(MemoryStore::new(), options).await?), clock).await
    });
}

/// A new vault that [`unlock`] opens.
pub(crate) async fn vault(store: impl Store, options: VaultOptions) -> Result<Vault, Error> {
    options.create(store, unlock()).await
}

pub(crate) fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

pub(crate) fn org_id() -> OrgId {
    id("6500a1b2c3d4e5f6a7b8c9d0")
}

pub(crate) fn org_of(vault: &Vault) -> Org {
    vault.org(org_id(), Environment::test())
}

/// A definition of any text.
pub(crate) fn text(name: &str) -> VariableDefinition {
    VariableDefinition::new(name, VarFormat::String)
}

/// An id of any type.
pub(crate) fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn account(text: &str) -> Scope {
    Scope::LinkedAccount(id(text))
}

pub(crate) fn workflow(text: &str) -> Scope {
    Scope::Workflow(id(text))
}

/// The plaintext of a value that may not be there.
pub(crate) fn exposed(value: Option<&ScopedValue>) -> Option<&str> {
    value.map(|value| value.value.expose())
}

/// A clock that stands where it was set.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A store in memory with batches of at most 100 operations, and pages that end at 2 KiB.
#[derive(Debug, Default)]
pub(crate) struct SmallStore(MemoryStore);

#[async_trait]
impl Store for SmallStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = self.0.read(request).await?;
        for page in &mut set.scans {
            let mut bytes_len = 0;
            let fits = page.rows.iter().take_while(|(key, row)| {
                let room = bytes_len < PAGE_BYTES_MAX;
                bytes_len += key.as_bytes().len() + row.value.len();
                room
            });
            let fitting = fits.count();
            page.more |= fitting < page.rows.len();
            page.rows.truncate(fitting);
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&self.capabilities())?;
        self.0.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().with_batch_max(100, 1 << 20).with_page_bytes_max(PAGE_BYTES_MAX)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

const PAGE_BYTES_MAX: usize = 2 << 10;
