//! Locks: keys out of memory, and verbs refused, until a key that opens the vault is presented.
//!
//! A lock is this process's own. It is about the memory of a process, so there is nothing to write: other engines on
//! the same store have locks of their own. Every call to the store asks it, so that no verb has to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::engine::Engine;
use crate::error::Error;
use crate::keyspace::{JOB, TENANT, TenantKeys, WHOLE_STORE};
use crate::org::Org;
use crate::store::{KeyRange, ReadBatch, WriteBatch};
use crate::unlock::Unlock;
use crate::vault::{Vault, VaultOptions, read_head};

impl Vault {
    /// Locks the vault in this process: the root key and every cached key are wiped, and verbs answer
    /// [`Error::Locked`] until [`unlock`](Self::unlock). Verbs that are under way finish or answer that too, and keep
    /// the keys that they use until then.
    ///
    /// ```
    /// # futures_executor::block_on(async { let key = || "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".parse().map(strongroom::Unlock::raw_key); let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), key()?).await?;
    /// use strongroom::{Environment, Error};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// vault.lock();
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
    /// vault.unlock(key()?).await?;
    /// assert!(org.definition("PORT").await?.is_none());
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn lock(&self) {
        self.engine.locks.set(|held| {
            held.vault = true;
            self.engine.roots.lock();
        });
        self.engine.caches.forget_all(&[]);
    }

    /// Unlocks the vault with a key that opens it: the root key is taken from its slot again. Orgs that were locked by
    /// themselves stay locked.
    ///
    /// ```
    /// # futures_executor::block_on(async { let key = || strongroom::Unlock::raw_key(strongroom::RawKey::from_bytes([7; 32])); let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), key()).await?;
    /// use strongroom::{Environment, Error};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// vault.lock();
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
    /// vault.unlock(key()).await?;
    /// assert!(org.definition("PORT").await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::open`]; [`Error::RootRotated`] when the store shows another root key than that of before, which
    /// may be one that was replaced: open the vault again. The vault stays locked then.
    pub async fn unlock(&self, unlock: Unlock) -> Result<(), Error> {
        let engine = &self.engine;
        let head = read_head(&*engine.store).await?;
        if head.store_id != engine.store_id {
            return Err(Error::UnexpectedVault);
        }
        let roots = VaultOptions::of_bounds(engine.argon2).open_roots(&head, &unlock).await?;
        // All at once, as a lock does: one that comes in between would else leave the vault open and without a root.
        engine.locks.set(|held| {
            if !roots.follows(&engine.roots.id()) {
                return Err(Error::RootRotated);
            }
            engine.roots.unlock(roots);
            held.vault = false;
            Ok(())
        })
    }
}

impl Org {
    /// Locks the org in its environment, in this process: its cached keys and definitions are wiped, and its verbs
    /// answer [`Error::Locked`] until [`unlock`](Self::unlock). Other orgs and environments go on; so do jobs and copies
    /// of the whole vault, which pass it over or take its rows as they are.
    ///
    /// ```
    /// # futures_executor::block_on(async { let key = || "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".parse().map(strongroom::Unlock::raw_key); let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), key()?).await?;
    /// use strongroom::{Environment, Error};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.lock();
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
    /// let production = vault.org(*org.id(), Environment::production());
    /// assert!(production.definition("PORT").await?.is_none());
    /// org.unlock(key()?).await?;
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn lock(&self) {
        let (engine, prefix) = (&self.tenant.engine, self.tenant.keys.prefix());
        engine.locks.set(|held| {
            held.tenants.insert(prefix.to_vec());
        });
        engine.caches.forget_all(prefix);
    }

    /// Unlocks the org with a key that opens the vault.
    ///
    /// ```
    /// # futures_executor::block_on(async { let key = || strongroom::Unlock::raw_key(strongroom::RawKey::from_bytes([7; 32])); let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), key()).await?;
    /// use strongroom::{Environment, Error, RawKey, Unlock};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.lock();
    /// let wrong = org.unlock(Unlock::raw_key(RawKey::generate()?)).await;
    /// assert!(matches!(wrong, Err(Error::WrongKey)));
    /// org.unlock(key()).await?;
    /// assert!(org.definition("PORT").await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::open`], for a key that opens none of its slots; [`Error::Locked`] while the vault itself is
    /// locked. The org stays locked then.
    pub async fn unlock(&self, unlock: Unlock) -> Result<(), Error> {
        let engine = &self.tenant.engine;
        let head = read_head(&*engine.store).await?;
        let roots = VaultOptions::of_bounds(engine.argon2).open_roots(&head, &unlock).await?;
        if roots.active.key.id() != engine.roots.get()?.active.key.id() {
            return Err(Error::RootRotated);
        }
        engine.locks.set(|held| {
            held.tenants.remove(self.tenant.keys.prefix());
        });
        Ok(())
    }
}

/// What is locked.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Whether anything is, so that a vault without locks pays one load.
    any: AtomicBool,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    vault: bool,
    /// What the keys of locked tenants start with.
    tenants: BTreeSet<Vec<u8>>,
}

impl Locks {
    fn set<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
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
