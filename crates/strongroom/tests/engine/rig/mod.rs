//! What the adversarial tests share: raw rows that a test can see and change, stores that interfere at a chosen
//! point, and a strict audit of what is left.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test program uses a part of it, and a test fails by panicking"
)]

mod altered;
mod audit;
mod hooked;
mod paged;
mod rows;
mod sight;
mod slow;
mod steps;
mod verbs;
mod verified;

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store, StoreErrorKind};
use strongroom::{
    Environment, Error, LinkedAccountId, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault,
    VaultOptions, WorkflowId,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

pub(crate) use altered::Altered;
pub(crate) use audit::audit;
pub(crate) use hooked::{Hooked, Point};
pub(crate) use paged::Paged;
pub(crate) use rows::{
    Kind, RowKey, Rows, altered, dek_id, doc_id, fill, flip, is_of_tenant, load, rows, shown, target,
};
pub(crate) use sight::{Seen, Sight, World};
pub(crate) use slow::Slow;
pub(crate) use steps::{Play, Stepped, Task, drive, explore, explore_all};
pub(crate) use verbs::{Verb, View, furnished, verbs, view};
pub(crate) use verified::{sound, verified};

pub(crate) const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";
pub(crate) const OTHER_ORG: &str = "6500a1b2c3d4e5f6a7b8c9d1";

pub(crate) fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

/// With a history, so that its rows stand among the others.
pub(crate) fn options() -> VaultOptions {
    VaultOptions::default().history_versions(3)
}

pub(crate) fn open(store: impl Store) -> Vault {
    block_on(options().open(store, unlock())).unwrap()
}

/// An empty vault on rows that the caller can look at.
pub(crate) fn empty() -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(options().create(Arc::clone(&store), unlock())).unwrap();
    (store, vault)
}

/// A store with what `furnish` makes.
pub(crate) fn base(furnish: impl AsyncFnOnce(&Org) -> Result<(), Error>) -> Arc<MemoryStore> {
    let (store, vault) = empty();
    block_on(furnish(&org(&vault))).unwrap();
    store
}

/// The org that most tests are about.
pub(crate) fn org(vault: &Vault) -> Org {
    vault.org(ORG.parse().unwrap(), Environment::test())
}

pub(crate) fn account(id: &str) -> LinkedAccountId {
    id.parse().unwrap()
}

pub(crate) fn of_account(id: &str) -> Scope {
    Scope::LinkedAccount(account(id))
}

pub(crate) fn of_workflow(id: &str) -> Scope {
    let id: WorkflowId = id.parse().unwrap();
    Scope::Workflow(id)
}

pub(crate) fn text(name: &str) -> VariableDefinition {
    VariableDefinition::new(name, VarFormat::String)
}

/// Runs `verb` on a vault whose store is gone after its first commit: what a crash leaves behind.
pub(crate) fn stop_after_first_commit(store: &Arc<MemoryStore>, verb: impl AsyncFnOnce(Org)) {
    let poisoned = Fault::After(StoreErrorKind::Poisoned);
    let faulty = Faulty::new(Arc::clone(store)).on_commits(0..=0, poisoned);
    let vault = open(faulty.clone());
    block_on(verb(org(&vault)));
    assert_eq!(faulty.commits_len(), 1, "the verb was to make one commit and no more");
}

/// Whether an error is one that damage may cause: typed, and not an absence.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. } | Error::UnknownKey { .. } | Error::UnknownVersion { .. })
}
