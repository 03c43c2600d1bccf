//! Locks: keys are wiped from memory and verbs are refused until a key that opens the vault is presented.
//!
//! A lock belongs to this process. It protects the process's memory, so nothing is written: other engines on the same
//! store have locks of their own. Every call to the store checks the locks, so that no verb has to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::engine::Engine;
use crate::error::Error;
use crate::row::TenantId;
use crate::store::{KeyRange, ReadBatch, WriteBatch};

/// What is locked.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Whether anything is locked, so that a vault without locks pays one load.
    any: AtomicBool,
    held: RwLock<Locked>,
}

#[derive(Debug, Default)]
pub(crate) struct Locked {
    pub(crate) vault: bool,
    pub(crate) tenants: Vec<TenantId>,
}

impl Locks {
    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Locked) -> T) -> T {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut held);
        // Stored under the write lock, so that it never disagrees with `held` for the next reader. `SeqCst`, so that
        // every read that starts after a lock returned sees the lock.
        self.any.store(held.vault || !held.tenants.is_empty(), Ordering::SeqCst);
        answer
    }

    /// Refuses access to a locked tenant, and everything while the vault is locked.
    fn refuse(&self, is_about: impl Fn(&TenantId) -> bool) -> Result<(), Error> {
        // Nearly always nothing is locked; then this does not lock the table.
        if !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.vault || held.tenants.iter().any(is_about) {
            return Err(Error::Locked);
        }
        Ok(())
    }
}

/// Whether all of a range lies among the rows or among the jobs of the tenant. A longer range belongs to the whole
/// vault.
fn is_within(tenant: &TenantId, range: &KeyRange) -> bool {
    let is_part = |own: &KeyRange| own.start <= range.start && range.end.is_some() && range.end <= own.end;
    is_part(&tenant.all()) || is_part(&tenant.jobs())
}

impl Engine {
    /// Refuses a read of locked rows.
    pub(crate) fn refuse_locked_read(&self, request: &ReadBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| {
            request.gets.iter().any(|key| tenant.owns(key.as_bytes()))
                || request.scans.iter().any(|scan| is_within(tenant, &scan.range))
        })
    }

    /// Refuses a write to locked rows.
    pub(crate) fn refuse_locked_write(&self, batch: &WriteBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| batch.ops.iter().any(|op| tenant.owns(op.key().as_bytes())))
    }

    /// Refuses a tenant that is locked.
    pub(crate) fn refuse_locked_tenant(&self, id: &TenantId) -> Result<(), Error> {
        self.locks.refuse(|tenant| tenant == id)
    }
}
