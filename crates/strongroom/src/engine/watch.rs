//! Hints that a tenant moved, for hosts that keep what they resolved.
//!
//! A hint says where to look and is never needed for correctness. It may come without a change, and a change by another
//! process gives none.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::id::{Environment, OrgId};
use crate::row::TenantId;
use crate::store::Key;

/// What moved since the last hint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moved {
    /// A run of this org in this environment may see something else.
    Org {
        /// The org.
        org: OrgId,
        /// The environment.
        environment: Environment,
    },
    /// More orgs moved than are kept for a slow reader: look at all of them.
    Any,
}

/// Hints of one reader, from [`Vault::watch`](crate::Vault::watch). However slowly it is read, it keeps at most 1,024
/// orgs, each once.
#[derive(Debug)]
pub struct Watch(Arc<Hints>);

impl Watch {
    /// Waits for the next hint; `None` once every handle of the vault is dropped. Dropping the future loses nothing.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, Moved, VarFormat, VariableDefinition};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let mut watch = vault.watch();
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let moved = watch.changed().await;
    /// assert!(matches!(moved, Some(Moved::Org { org: id, .. }) if id == *org.id()));
    /// # Ok(()) });
    /// ```
    pub async fn changed(&mut self) -> Option<Moved> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    /// [`changed`](Self::changed) for a stream or a future of the host's.
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Option<Moved>> {
        let mut held = self.0.lock();
        if held.overflowed {
            held.overflowed = false;
            return Poll::Ready(Some(Moved::Any));
        }
        if let Some((org, environment)) = held.orgs.pop_first() {
            return Poll::Ready(Some(Moved::Org { org, environment }));
        }
        if held.closed {
            return Poll::Ready(None);
        }
        held.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The readers of a vault's hints.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// Whether there is any, so that a vault without one pays one load.
    any: AtomicBool,
    readers: Mutex<Vec<Weak<Hints>>>,
}

impl Watchers {
    pub(crate) fn add(&self) -> Watch {
        let hints = Arc::new(Hints::default());
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.push(Arc::downgrade(&hints));
        // Under the lock, so that it never disagrees with the list for long. `SeqCst`, so that no write that starts
        // after this returned misses the reader.
        self.any.store(true, Ordering::SeqCst);
        Watch(hints)
    }

    /// Tells all readers which tenants were written to.
    pub(crate) fn tell<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        // Nearly always nobody watches; then a commit pays one load.
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        // Keys that are dropped take what they sealed along, and that moves the epoch.
        let is_seen = |tenant: &TenantId, key: &Key| {
            tenant.is_seen_by_runs(key.as_bytes()) || *key == tenant.epoch().key()
        };
        let mut tenant: Option<TenantId> = None;
        for key in keys {
            // Nearly all rows of a batch belong to one tenant.
            if tenant.as_ref().is_some_and(|known| is_seen(known, key)) {
                continue;
            }
            let Some(other) = TenantId::of_key(key).filter(|other| is_seen(other, key)) else { continue };
            self.tell_of(&other);
            tenant = Some(other);
        }
    }

    fn tell_of(&self, tenant: &TenantId) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| {
            let Some(hints) = reader.upgrade() else { return false };
            hints.add(tenant);
            true
        });
        self.any.store(!readers.is_empty(), Ordering::SeqCst);
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        let readers = self.readers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for hints in readers.iter().filter_map(Weak::upgrade) {
            let mut held = hints.lock();
            held.closed = true;
            wake(held);
        }
    }
}

/// What one reader has not taken yet.
#[derive(Debug, Default)]
struct Hints(Mutex<Untaken>);

#[derive(Debug, Default)]
struct Untaken {
    orgs: BTreeSet<(OrgId, Environment)>,
    overflowed: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Hints {
    fn lock(&self) -> MutexGuard<'_, Untaken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, tenant: &TenantId) {
        let mut held = self.lock();
        if !held.overflowed {
            held.orgs.insert((tenant.org, tenant.environment.clone()));
            if held.orgs.len() > ORGS_MAX {
                // `Any` covers all of them.
                held.orgs.clear();
                held.overflowed = true;
            }
        }
        wake(held);
    }
}

/// Wakes the reader outside the lock, since the reader takes it at once.
fn wake(mut held: MutexGuard<'_, Untaken>) {
    let waker = held.waker.take();
    drop(held);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How many orgs are kept for a reader that does not read.
const ORGS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::new(format!("{number:024x}").parse().unwrap(), Environment::test())
    }

    fn take(watch: &mut Watch) -> Poll<Option<Moved>> {
        watch.poll_changed(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_slow_reader_keeps_each_org_once_and_then_hears_of_any() {
        let watchers = Watchers::default();
        let mut watch = watchers.add();
        for _ in 0..2 {
            (0..ORGS_MAX).for_each(|number| watchers.tell_of(&tenant(number)));
        }
        assert_eq!(watch.0.lock().orgs.len(), ORGS_MAX);
        watchers.tell_of(&tenant(ORGS_MAX));
        assert_eq!(take(&mut watch), Poll::Ready(Some(Moved::Any)));
        assert_eq!(take(&mut watch), Poll::Pending);
    }

    #[test]
    fn who_no_longer_reads_is_forgotten_and_who_still_does_hears_of_the_end() {
        let watchers = Watchers::default();
        let (mut watch, gone) = (watchers.add(), watchers.add());
        drop(gone);
        watchers.tell_of(&tenant(1));
        assert_eq!(watchers.readers.lock().unwrap().len(), 1);
        drop(watchers);
        assert!(matches!(take(&mut watch), Poll::Ready(Some(Moved::Org { .. }))));
        assert_eq!(take(&mut watch), Poll::Ready(None));
    }
}
