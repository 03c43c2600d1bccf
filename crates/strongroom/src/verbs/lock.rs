//! Locking: wiping keys from memory for a while.

use crate::engine::head::read_head;
use crate::error::{Error, WrongStore};
use crate::keys::Unlock;
use crate::row::{Row, VaultRow};
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

impl Vault {
    /// Locks the vault in this process: wipes the root key, every cached key, and the key that opened the vault if it
    /// is kept ([`VaultOptions::follow_root_rotations`](crate::VaultOptions::follow_root_rotations)). Verbs then fail
    /// with [`Error::Locked`] until [`unlock`](Self::unlock). A running verb may still finish, and holds its keys until
    /// then.
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
            self.engine.kept.lock();
        });
        // After the lock is set. A verb that began earlier may still finish, but what it read is no longer cached.
        self.engine.caches.forget_all(&[]);
    }

    /// Unlocks the vault with a key that opens it. Orgs that were locked with [`Org::lock`] stay locked.
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
    /// Those of [`Vault::open`]; [`Error::RootRotated`] if the store has another root key than before: open the vault
    /// again. After an error the vault stays locked.
    pub async fn unlock(&self, unlock: Unlock) -> Result<(), Error> {
        let (engine, moment) = (&self.engine, self.engine.caches.moment());
        let head = read_head(&*engine.store).await?;
        if head.store_id != engine.store_id {
            return Err(Error::WrongStore(WrongStore::OtherVault));
        }
        let (roots, slot) = head.open_roots(&unlock, &engine.argon2).await?;
        let store_row = head.open_store_row(&roots.active.key)?;
        let pass = head.pass(&store_row)?;
        // In one step, like `lock`: otherwise a lock in between would leave the vault unlocked but without a root.
        engine.locks.set(|held| {
            if !roots.follows(&engine.roots.id()) {
                return Err(Error::RootRotated);
            }
            engine.caches.refuse_older(&Row::Vault(VaultRow::Store), store_row.revision, moment)?;
            engine.gate.learn(pass, store_row.revision);
            engine.roots.unlock(roots);
            engine.kept.unlock(unlock, slot);
            held.vault = false;
            Ok(())
        })
    }
}

impl Org {
    /// Locks the org in its environment, in this process: wipes its cached keys and definitions. Its verbs then fail
    /// with [`Error::Locked`] until [`unlock`](Self::unlock). Other orgs and environments are not affected. Jobs of
    /// the whole vault skip the org, and copies take its sealed rows as they are.
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
    /// Those of [`Vault::open`] for a key that opens no slot; [`Error::Locked`] while the vault itself is locked;
    /// [`Error::RootRotated`] if another process rotated the root key, unless that is followed
    /// ([`follow_root_rotations`](crate::VaultOptions::follow_root_rotations)); [`Error::RolledBack`] if the store was
    /// rolled back since the vault was opened. After an error the org stays locked.
    pub async fn unlock(&self, unlock: Unlock) -> Result<(), Error> {
        let (engine, moment) = (&self.tenant.engine, self.tenant.engine.caches.moment());
        let head = read_head(&*engine.store).await?;
        let (roots, _) = head.open_roots(&unlock, &engine.argon2).await?;
        let is_active = || Ok::<_, Error>(roots.active.key.id() == engine.roots.get()?.active.key.id());
        if !is_active()? {
            // Another engine made it active, and this one may follow.
            engine.refresh_roots().await?;
        }
        if !is_active()? {
            return Err(Error::RootRotated);
        }
        let store_row = head.open_store_row(&roots.active.key)?;
        // A store that puts back the slot of a key that was removed also has to put back the row that lists it.
        engine.caches.refuse_older(&Row::Vault(VaultRow::Store), store_row.revision, moment)?;
        engine.gate.learn(head.pass(&store_row)?, store_row.revision);
        engine.learn_shreds(&store_row);
        engine.locks.set(|held| {
            held.tenants.retain(|locked| *locked != self.tenant.id);
        });
        Ok(())
    }
}
