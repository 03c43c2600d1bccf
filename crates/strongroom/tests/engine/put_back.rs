//! A store that puts older rows back, or shows an older number where a row is clear: what was replaced, removed or
//! finished does not come to life again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Key, KeyRange, ReadBatch, ReadSet, Scan, Store, StoreError, WriteBatch,
};
use strongroom::{
    Argon2Params, DefinitionChange, IfChanged, PageRequest, RawKey, Scope, ScopeKind, ScopePath, Scopes,
    Unlock, VarFormat, VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{TestClock, org_of, run, unlock, vault};
use crate::rig::{Kind, RowKey};

/// A store in memory that shows slots at revision 0 when told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct OldNumbers {
    inner: Arc<MemoryStore>,
    shows_zero: Arc<AtomicBool>,
}

impl OldNumbers {
    pub(crate) async fn rows(&self, prefix: &[u8]) -> Vec<(Key, Vec<u8>)> {
        let scans = vec![Scan::new(KeyRange::prefix(prefix), 1_000)];
        let set = (*self.inner).read(&ReadBatch { gets: Vec::new(), scans }).await.unwrap();
        set.scans[0].rows.iter().map(|(key, row)| (key.clone(), row.value.clone())).collect()
    }

    /// Deletes every row whose key starts with `prefix`.
    pub(crate) async fn remove(&self, prefix: &[u8]) {
        let mut batch = WriteBatch::default();
        self.rows(prefix).await.into_iter().for_each(|(key, _)| batch.delete(key));
        (*self.inner).commit(Arc::new(batch)).await.unwrap();
    }

    pub(crate) async fn put(&self, rows: Vec<(Key, Vec<u8>)>) {
        let mut batch = WriteBatch::default();
        rows.into_iter().for_each(|(key, row)| batch.put(key, row));
        (*self.inner).commit(Arc::new(batch)).await.unwrap();
    }
}

#[async_trait]
impl Store for OldNumbers {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = (*self.inner).read(request).await?;
        if self.shows_zero.load(Ordering::SeqCst) {
            let slots = set.scans.iter_mut().flat_map(|page| &mut page.rows);
            slots.filter(|(key, _)| key.as_bytes().starts_with(SLOT)).for_each(|(_, row)| {
                let at = revision_at(&row.value);
                assert!(row.value[at] < 24, "a small number is one byte");
                row.value[at] = 0;
            });
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        (*self.inner).commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        (*self.inner).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        (*self.inner).close().await
    }
}

const SLOT: &[u8] = &[0x00, 0x02];
const JOBS: &[u8] = &[0x00, 0x04];

/// Where the clear revision of a slot's row is: behind `{0: clear fields, 1: checksum`.
fn revision_at(row: &[u8]) -> usize {
    let clear = 3 + 2;
    let (head, len) = match row[clear] {
        0x58 => (2, usize::from(row[clear + 1])),
        short => (1, usize::from(short & 0x1f)),
    };
    clear + head + len + 1 + 1 + 8 + 1
}

#[test]
fn a_slot_that_was_changed_under_an_older_number_does_not_open_again_when_its_old_row_comes_back() {
    run(async {
        let key = |byte| Unlock::raw_key(RawKey::from_bytes([byte; 32]));
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let slot = vault.slots().add(key(8)).await?;
        let old = store.rows(SLOT).await;

        store.shows_zero.store(true, Ordering::SeqCst);
        vault.slots().change(&slot.id, key(9)).await?;
        store.shows_zero.store(false, Ordering::SeqCst);
        let changed = store.rows(SLOT).await;
        Vault::open(store.clone(), key(9)).await?;

        let old = old.into_iter().filter(|row| !changed.contains(row)).collect();
        store.put(old).await;
        assert!(Vault::open(store.clone(), key(8)).await.is_err());
        Vault::open(store, unlock()).await?;
        Ok(())
    });
}

#[test]
fn a_slot_below_todays_cost_that_was_raised_at_opening_is_not_lowered_again_by_a_change() {
    run(async {
        let weak = VaultOptions::default().argon2(Argon2Params::FLOOR);
        let store = OldNumbers::default();
        let vault = weak.create(store.clone(), Unlock::passphrase("correct horse battery")).await?;
        drop(vault);
        let raised = Argon2Params::new(19 * 1024, 3, 1);
        let open = || VaultOptions::default().argon2(raised);
        let vault = open().open(store.clone(), Unlock::passphrase("correct horse battery")).await?;
        let (slot, before) = (vault.slots().list().await?.remove(0), store.rows(SLOT).await);

        vault.slots().change(&slot.id, Unlock::passphrase("another horse battery")).await?;
        store.put(before).await;
        let opened = open().open(store, Unlock::passphrase("correct horse battery")).await;
        assert!(opened.is_err());
        Ok(())
    });
}

#[test]
fn the_job_of_a_finished_shred_sweeps_nothing_when_it_comes_back() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let job = job_of_a_shred(&store, &vault).await;

        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        store.put(job).await;
        vault.run_jobs().await?;
        assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
        assert!(store.rows(JOBS).await.is_empty(), "the job is gone");
        Ok(())
    });
}

#[test]
fn the_job_of_a_deleted_definition_sweeps_nothing_once_the_definition_is_put_back_too() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        let before = store.rows(&[]).await;

        let stopped = Stopped::after(&store, 1);
        let other = Vault::open(stopped, unlock()).await?;
        assert!(
            org_of(&other).delete_definition("PORT").await.is_err(),
            "it is stopped after its first batch"
        );
        let job = store.rows(JOBS).await;
        assert_eq!(job.len(), 1);

        store.put(before).await;
        let vault = Vault::open(store.clone(), unlock()).await?;
        vault.run_jobs().await?;
        assert_eq!(org_of(&vault).value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
        assert!(store.rows(JOBS).await.is_empty(), "the job is gone");
        Ok(())
    });
}

#[test]
fn the_job_of_a_finished_narrowing_gives_no_scope_back_when_it_and_an_older_value_come_back() {
    run(async {
        for is_changed_since in [false, true] {
            let (store, clock) = (OldNumbers::default(), TestClock::default());
            clock.set(1_000_000);
            let options = || VaultOptions::default().clock(clock.clone());
            let vault = vault(store.clone(), options()).await?;
            let org = org_of(&vault);
            org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
            let at_account = Scope::LinkedAccount("user".parse()?);
            org.set_value("PORT", &at_account, "80").await?;
            let with_value = store.rows(&[1]).await;
            org.delete_value("PORT", &at_account).await?;
            clock.set(1_000_000 + 61_000);

            let stopped = Stopped::after(&store, 1);
            let other = options().open(stopped, unlock()).await?;
            let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
            assert!(org_of(&other).update_definition("PORT", narrow).await.is_err(), "it is stopped");
            let job = store.rows(JOBS).await;
            assert_eq!(job.len(), 1);
            vault.run_jobs().await?;
            if is_changed_since {
                org.update_definition("PORT", DefinitionChange::new().description("a port")).await?;
            }

            store.put(job).await;
            store.put(with_value.into_iter().filter(|(key, _)| is_value(key)).collect()).await;
            let vault = options().open(store.clone(), unlock()).await?;
            vault.run_jobs().await?;
            let org = org_of(&vault);
            let path = ScopePath::org().linked_account("user".parse()?);
            let scopes = org.definition("PORT").await?.unwrap().definition.scopes;
            assert_eq!(scopes, Scopes::only(ScopeKind::Org));
            assert!(store.rows(JOBS).await.is_empty(), "the job is gone");
            assert!(org.resolve("PORT", &path).await?.is_none());
            assert!(org.resolve_all(&path).await?.values.is_empty());
            assert!(org.explain("PORT", &path).await?.winner().is_none());
        }
        Ok(())
    });
}

#[test]
fn a_value_that_landed_beside_a_narrowing_keeps_its_scope_also_if_the_definition_changes_before_the_second_look()
 {
    run(async {
        let (store, clock) = (OldNumbers::default(), TestClock::default());
        clock.set(1_000_000);
        let options = || VaultOptions::default().clock(clock.clone());
        let vault = vault(store.clone(), options()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let at_account = Scope::LinkedAccount("user".parse()?);
        // Its rows stand for those of a writer that lands between the first look and the second.
        org.set_value("PORT", &at_account, "80").await?;
        let with_value = store.rows(&[1]).await;
        org.delete_value("PORT", &at_account).await?;
        let stopped = Stopped::after(&store, 1);
        let other = options().open(stopped, unlock()).await?;
        let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
        assert!(org_of(&other).update_definition("PORT", narrow).await.is_err(), "it is stopped");
        store.put(with_value.into_iter().filter(|(key, _)| is_value(key)).collect()).await;
        clock.set(2_000_000);
        org.update_definition("PORT", DefinitionChange::new().description("a port")).await?;
        vault.run_jobs().await?;
        let path = ScopePath::org().linked_account("user".parse()?);
        assert_eq!(org.resolve("PORT", &path).await?.unwrap().value.expose(), "80");
        Ok(())
    });
}

fn is_value(key: &Key) -> bool {
    let kind = RowKey::parse(key.as_bytes()).kind;
    matches!(kind, Kind::Value | Kind::ValueId | Kind::DefinitionValue)
}

#[test]
fn an_api_key_or_session_that_was_revoked_is_not_admitted_again_when_its_row_comes_back() {
    run(async {
        for namespace in ["api-key", "session"] {
            for is_revoked_elsewhere in [false, true] {
                let store = OldNumbers::default();
                let vault = vault(store.clone(), VaultOptions::default()).await?;
                let (org, key) = (org_of(&vault), "k".parse()?);
                let records = org.reserved_records(namespace.parse()?);
                records.put(&key, "admitted").await?;
                let IfChanged::Changed(_, stamp) = records.get_if_changed(&key, None).await? else {
                    unreachable!("it was put")
                };
                let before = store.rows(&[1]).await;
                if is_revoked_elsewhere {
                    let other = Vault::open(store.clone(), unlock()).await?;
                    assert!(org_of(&other).reserved_records(namespace.parse()?).delete(&key).await?);
                    assert!(records.get(&key).await?.is_none(), "seen to be gone");
                } else {
                    assert!(records.delete(&key).await?);
                }
                store.put(before.into_iter().filter(|(key, _)| is_record(key)).collect()).await;

                assert!(records.get(&key).await?.is_none());
                let again = records.get_if_changed(&key, Some(&stamp)).await?;
                assert!(matches!(again, IfChanged::Absent));
                assert!(records.list(PageRequest::default()).await?.items.is_empty());
            }
        }
        Ok(())
    });
}

#[test]
fn an_api_key_or_session_that_the_store_hid_from_its_revocation_is_revoked_when_it_is_shown_again() {
    run(async {
        for namespace in ["api-key", "session"] {
            let store = OldNumbers::default();
            let vault = vault(store.clone(), VaultOptions::default()).await?;
            let (records, key) = (org_of(&vault).reserved_records(namespace.parse()?), "k".parse()?);
            records.put(&key, "admitted").await?;
            let shown = store.rows(&[1]).await;
            let hidden: Vec<_> = shown.iter().filter(|(key, _)| is_record(key)).cloned().collect();
            for (key, _) in &hidden {
                store.remove(key.as_bytes()).await;
            }
            assert!(!records.delete(&key).await?, "there is none");
            store.put(hidden).await;
            assert!(records.get(&key).await?.is_none());
        }
        Ok(())
    });
}

#[test]
fn a_process_that_rewrites_the_store_row_knows_of_the_shreds_that_it_notes() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let (org, at_account) = (org_of(&vault), Scope::LinkedAccount("user".parse()?));
        org.create_account("user".parse()?).await?;
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", &at_account, "80").await?;
        let other = Vault::open(store.clone(), unlock()).await?;
        let before = store.rows(&[1]).await;
        drop(org.shred_account(&"user".parse()?).await?);
        other.check_writes().await?;
        store.put(before).await;
        let path = ScopePath::org().linked_account("user".parse()?);
        assert!(org_of(&other).resolve("PORT", &path).await?.is_none());
        Ok(())
    });
}

#[test]
fn an_api_key_whose_end_was_brought_forward_is_not_admitted_as_it_was() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let (records, key) = (org_of(&vault).reserved_records("api-key".parse()?), "k".parse()?);
        records.put(&key, "for ever").await?;
        let before = store.rows(&[1]).await;
        records.put(&key, "until tomorrow").await?;
        let after = store.rows(&[1]).await;
        for (rows, found) in [(before, None), (after, Some("until tomorrow"))] {
            store.put(rows.into_iter().filter(|(key, _)| is_record(key)).collect()).await;
            let record = records.get(&key).await?;
            assert_eq!(record.as_ref().map(|record| record.value.expose()), found);
        }
        Ok(())
    });
}

fn is_record(key: &Key) -> bool {
    RowKey::parse(key.as_bytes()).kind == Kind::Record
}

/// Shreds the org, and returns the job's row from the middle of it.
async fn job_of_a_shred(store: &OldNumbers, vault: &Vault) -> Vec<(Key, Vec<u8>)> {
    let stopped = Stopped::after(store, 1);
    let other = Vault::open(stopped, unlock()).await.unwrap();
    assert!(org_of(&other).shred().await.is_err(), "it is stopped after its first batch");
    let job = store.rows(JOBS).await;
    assert_eq!(job.len(), 1);
    vault.run_jobs().await.unwrap();
    assert!(store.rows(JOBS).await.is_empty());
    job
}

/// A store that takes so many batches and no more.
#[derive(Debug, Clone)]
pub(crate) struct Stopped {
    store: OldNumbers,
    left: Arc<AtomicUsize>,
}

impl Stopped {
    pub(crate) fn after(store: &OldNumbers, batches: usize) -> Self {
        Self { store: store.clone(), left: Arc::new(AtomicUsize::new(batches)) }
    }
}

#[async_trait]
impl Store for Stopped {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.store.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let took = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if took.is_err() {
            return Err(StoreError::new(strongroom::store::StoreErrorKind::Unavailable, "stopped"));
        }
        self.store.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities().with_sharing()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
