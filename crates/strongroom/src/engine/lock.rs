//! Locks: keys out of memory, and verbs refused, until a key that opens the vault is presented.
//!
//! A lock is this process's own. It is about the memory of a process, so there is nothing to write: other engines on
//! the same store have locks of their own. Every call to the store asks it, so that no verb has to.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::engine::Engine;
use crate::error::Error;
use crate::row::key::JOB;
use crate::row::key::TENANT;
use crate::row::key::TenantKeys;
use crate::row::key::WHOLE_STORE;
use crate::store::KeyRange;
use crate::store::ReadBatch;
use crate::store::WriteBatch;

/// What is locked.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Whether anything is, so that a vault without locks pays one load.
    any: AtomicBool,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) vault: bool,
    /// What the keys of locked tenants start with.
    pub(crate) tenants: BTreeSet<Vec<u8>>,
}

impl Locks {
    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut held);
        self.any.store(held.vault || !held.tenants.is_empty(), Ordering::SeqCst);
        answer
    }

    /// Refuses what is about a locked tenant, or anything at all while the vault is locked.
    fn refuse(&self, is_about: impl Fn(&[u8]) -> bool) -> Result<(), Error> {
        if !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.vault || held.tenants.iter().any(|tenant| is_about(tenant)) {
            return Err(Error::Locked);
        }
        Ok(())
    }
}

/// Whether a key is that of a row or job of the tenant.
fn is_of(tenant: &[u8], key: &[u8]) -> bool {
    match key {
        [WHOLE_STORE, JOB, rest @ ..] => {
            tenant.strip_prefix(&[TENANT]).is_some_and(|ids| rest.starts_with(ids))
        }
        key => key.starts_with(tenant),
    }
}

/// Whether all of a range lies among the rows or among the jobs of the tenant. One that reaches beyond is of the whole
/// vault, wherever it goes on.
fn is_within(tenant: &[u8], range: &KeyRange) -> bool {
    let ids = tenant.strip_prefix(&[TENANT]).unwrap_or_default();
    let own = [KeyRange::prefix(tenant), KeyRange::prefix(&[&[WHOLE_STORE, JOB], ids].concat())];
    own.iter().any(|own| own.start <= range.start && range.end.is_some() && range.end <= own.end)
}

impl Engine {
    /// Refuses a read that a lock stands against.
    pub(crate) fn may_read(&self, request: &ReadBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| {
            request.gets.iter().any(|key| is_of(tenant, key.as_bytes()))
                || request.scans.iter().any(|scan| is_within(tenant, &scan.range))
        })
    }

    /// Refuses a write that a lock stands against.
    pub(crate) fn may_write(&self, batch: &WriteBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| batch.ops.iter().any(|op| is_of(tenant, op.key().as_bytes())))
    }

    /// Refuses a tenant that is locked.
    pub(crate) fn may_open(&self, keys: &TenantKeys) -> Result<(), Error> {
        self.locks.refuse(|tenant| tenant == keys.prefix())
    }
}
