//! Locks: keys out of memory, and verbs refused, until a key that opens the vault is presented.
//!
//! A lock is this process's own. It is about the memory of a process, so there is nothing to write: other engines on
//! the same store have locks of their own. Every call to the store asks it, so that no verb has to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::engine::Engine;
use crate::error::Error;
use crate::row::TenantId;
use crate::store::{KeyRange, ReadBatch, WriteBatch};

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
    pub(crate) tenants: Vec<TenantId>,
}

impl Locks {
    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut held);
        self.any.store(held.vault || !held.tenants.is_empty(), Ordering::SeqCst);
        answer
    }

    /// Refuses what is about a locked tenant, or anything at all while the vault is locked.
    fn refuse(&self, is_about: impl Fn(&TenantId) -> bool) -> Result<(), Error> {
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

/// Whether all of a range lies among the rows or among the jobs of the tenant. One that reaches beyond is of the whole
/// vault, wherever it goes on.
fn is_within(tenant: &TenantId, range: &KeyRange) -> bool {
    let is_part = |own: &KeyRange| own.start <= range.start && range.end.is_some() && range.end <= own.end;
    is_part(&tenant.all()) || is_part(&tenant.jobs())
}

impl Engine {
    /// Refuses a read that a lock stands against.
    pub(crate) fn refuse_locked_read(&self, request: &ReadBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| {
            request.gets.iter().any(|key| tenant.owns(key.as_bytes()))
                || request.scans.iter().any(|scan| is_within(tenant, &scan.range))
        })
    }

    /// Refuses a write that a lock stands against.
    pub(crate) fn refuse_locked_write(&self, batch: &WriteBatch) -> Result<(), Error> {
        self.locks.refuse(|tenant| batch.ops.iter().any(|op| tenant.owns(op.key().as_bytes())))
    }

    /// Refuses a tenant that is locked.
    pub(crate) fn refuse_locked_tenant(&self, id: &TenantId) -> Result<(), Error> {
        self.locks.refuse(|tenant| tenant == id)
    }
}
