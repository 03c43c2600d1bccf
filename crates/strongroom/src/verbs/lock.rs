//! Locks: taking keys out of memory for a while.

use crate::engine::head::read_head;
use crate::error::Error;
use crate::keys::Unlock;
use crate::verbs::org::Org;
use crate::verbs::vault::{Vault, VaultOptions};

impl Vault {
    /// Locks the vault in this process: the root key and every cached key are wiped, and verbs answer
    /// [`Error::Locked`] until [`unlock`](Self::unlock). Verbs that are under way finish or answer that too, and keep
    /// the keys that they use until then.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, Error, RawKey, Unlock};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// vault.lock();
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key that opens the vault
    /// vault.unlock(key).await?;
    /// assert!(org.definition("PORT").await?.is_none());
    /// # Ok(()) });
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
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Error, RawKey, Unlock};
    /// vault.lock();
    /// let wrong = vault.unlock(Unlock::raw_key(RawKey::generate()?)).await;
    /// assert!(matches!(wrong, Err(Error::WrongKey)));
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key that opens the vault
    /// vault.unlock(key).await?;
    /// assert!(vault.slots().list().await.is_ok());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::open`]; [`Error::RootRotated`] when the store shows another root key than that of before,
    /// which may be one that was replaced: open the vault again. The vault stays locked then.
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
    /// answer [`Error::Locked`] until [`unlock`](Self::unlock). Other orgs and environments go on; so do jobs and
    /// copies of the whole vault, which pass it over or take its rows as they are.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, Error};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let production = vault.org(*org.id(), Environment::production());
    /// org.lock();
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
    /// assert!(production.definition("PORT").await?.is_none()); // only this environment is locked
    /// # Ok(()) });
    /// ```
    pub fn lock(&self) {
        let (engine, id) = (&self.tenant.engine, &self.tenant.id);
        engine.locks.set(|held| {
            if !held.tenants.contains(id) {
                held.tenants.push(id.clone());
            }
        });
        engine.caches.forget_all(id.prefix());
    }

    /// Unlocks the org with a key that opens the vault.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, Error, RawKey, Unlock};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.lock();
    /// let wrong = org.unlock(Unlock::raw_key(RawKey::generate()?)).await;
    /// assert!(matches!(wrong, Err(Error::WrongKey)));
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key that opens the vault
    /// org.unlock(key).await?;
    /// assert!(org.definition("PORT").await?.is_none());
    /// # Ok(()) });
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
            held.tenants.retain(|locked| *locked != self.tenant.id);
        });
        Ok(())
    }
}
