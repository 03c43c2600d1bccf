//! An org on a fresh store in memory, under a clock that the test sets.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program takes what it needs, and fails by panicking"
)]

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::{
    Capabilities, Committed, Key, KeyRange, ReadBatch, ReadSet, Scan, Store, StoreError, StoreErrorKind,
    WriteBatch,
};
use strongroom::{
    Clock, Environment, Error, Limits, Org, OrgId, RawKey, Scope, ScopedValue, Unlock, VarFormat,
    VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

/// The formats without parameters.
pub(crate) const PLAIN_FORMATS: [&str; 20] = [
    "string",
    "number",
    "integer",
    "boolean",
    "url",
    "json",
    "uuid",
    "email",
    "hostname",
    "base64",
    "pem",
    "pem_strict",
    "uri",
    "connection_string",
    "hostname_with_underscore",
    "ip",
    "duration",
    "date_time",
    "semver",
    "bytes",
];

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

/// Every row is whole; what a delete left for a job may stand.
pub(crate) async fn is_sound(vault: &Vault) -> Result<(), Error> {
    let report = vault.verify().await?;
    assert!(report.is_clean() && report.unverifiable == 0, "{report}");
    Ok(())
}

/// The same, and no job and nothing left over.
pub(crate) async fn is_verified(vault: &Vault) -> Result<(), Error> {
    is_sound(vault).await?;
    let report = vault.verify().await?;
    assert_eq!((report.jobs, report.leftover), (0, 0), "{report}");
    Ok(())
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

/// Every row of a store, as a backend sees it.
pub(crate) async fn rows(store: &MemoryStore) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    let scans = vec![Scan::new(KeyRange::all(), 1_000)];
    let mut set = store.read(&ReadBatch { gets: Vec::new(), scans }).await?;
    let rows = set.scans.pop().unwrap().rows;
    Ok(rows.into_iter().map(|(key, row)| (key, row.value)).collect())
}

/// Writes one row behind the engine's back; `None` deletes it.
pub(crate) async fn plant(store: &MemoryStore, key: &Key, row: Option<Vec<u8>>) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    match row {
        Some(row) => batch.put(key.clone(), row),
        None => batch.delete(key.clone()),
    }
    store.commit(Arc::new(batch)).await?;
    Ok(())
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

/// A store in memory with batches of at most 128 operations, and pages that end at 1 MiB.
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
        self.0.capabilities().with_batch_max(128, 1 << 20).with_page_bytes_max(PAGE_BYTES_MAX)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

/// A store in memory whose commits fail as told.
#[derive(Debug, Default)]
pub(crate) struct FailingStore {
    inner: MemoryStore,
    /// How many commits still go through, and how the later ones fail.
    fault: Mutex<Option<(usize, StoreErrorKind)>>,
}

impl FailingStore {
    pub(crate) fn fail_after(&self, commits: usize, kind: StoreErrorKind) {
        *self.fault.lock().unwrap() = Some((commits, kind));
    }

    pub(crate) fn recover(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn take_fault(&self) -> Option<StoreErrorKind> {
        match self.fault.lock().unwrap().as_mut()? {
            (0, kind) => Some(*kind),
            (commits, _) => {
                *commits -= 1;
                None
            }
        }
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        match self.take_fault() {
            Some(kind) => Err(StoreError::new(kind, "as told").with_source("the cause")),
            None => self.inner.commit(batch).await,
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

const PAGE_BYTES_MAX: usize = 1 << 20;
