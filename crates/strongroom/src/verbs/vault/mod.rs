//! A vault: one store, opened with a key.

pub(crate) mod options;
mod raise_slot;
mod tenants;

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::cache::CacheStats;
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::{Environment, OrgId};
use crate::keys::Unlock;
use crate::store::Store;
use crate::verbs::org::Org;

pub(crate) use options::NewVault;
pub use options::VaultOptions;

/// An open vault. Cheap to clone; every clone is the same vault.
///
/// A store holds one vault. Open it once per process and clone the handle. If several engines may open the store at
/// the same time, its [`Capabilities`](crate::store::Capabilities) say so.
#[derive(Debug, Clone)]
pub struct Vault {
    pub(crate) engine: Arc<Engine>,
}

impl Vault {
    /// Creates a vault in an empty store, with the default options.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// let store = strongroom_memory::MemoryStore::new();
    /// let vault = Vault::create(store, Unlock::raw_key(RawKey::generate()?)).await?;
    /// assert!(!vault.store_id().is_empty());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`WrongStore::HoldsVault`](crate::WrongStore::HoldsVault) if the store holds a vault,
    /// [`WrongStore::Foreign`](crate::WrongStore::Foreign) if it holds anything else, [`Error::Store`] if it fails.
    pub async fn create(store: impl Store, unlock: Unlock) -> Result<Self, Error> {
        VaultOptions::default().create(store, unlock).await
    }

    /// Opens the vault of a store, with the default options.
    ///
    /// It writes in only one case: if a passphrase opens a slot whose key derivation is cheaper than
    /// [`VaultOptions::argon2`], that slot is sealed again at the new cost. If the write fails, the vault opens all
    /// the same. [`VaultOptions::without_slot_upgrade`] turns this off.
    ///
    /// Call [`run_jobs`](Self::run_jobs) once it is open, to finish what a crash interrupted.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::sync::Arc;
    /// use strongroom::{Error, RawKey, Unlock, Vault};
    /// let key = |byte| Unlock::raw_key(RawKey::from_bytes([byte; 32]));
    /// let store = Arc::new(strongroom_memory::MemoryStore::new());
    /// Vault::create(store.clone(), key(7)).await?;
    /// assert!(Vault::open(store.clone(), key(7)).await.is_ok());
    /// assert!(matches!(Vault::open(store, key(8)).await, Err(Error::WrongKey)));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`WrongStore::NoVault`](crate::WrongStore::NoVault) on an empty store,
    /// [`WrongStore::Foreign`](crate::WrongStore::Foreign) on one that holds no vault, [`Error::WrongKey`] and
    /// [`SlotError::NoneOfThisKind`](crate::SlotError::NoneOfThisKind) for a key that does not open this vault,
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] for rows that cannot be read, [`Error::KeyDerivation`] for
    /// a slot whose parameters are out of bounds, [`Error::Provider`] if the key provider fails. If this returns an
    /// error, nothing was written.
    pub async fn open(store: impl Store, unlock: Unlock) -> Result<Self, Error> {
        VaultOptions::default().open(store, unlock).await
    }

    /// Opens the vault of a store, or creates one if the store is empty, with the default options. If several callers
    /// find an empty store at once, one creates the vault and the others open it.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::sync::Arc;
    /// use strongroom::{RawKey, Unlock, Vault};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    /// let store = Arc::new(strongroom_memory::MemoryStore::new());
    /// let first = Vault::open_or_create(Arc::clone(&store), key()).await?;
    /// assert_eq!(Vault::open_or_create(store, key()).await?.store_id(), first.store_id());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`create`](Self::create), except those for a store that is empty or holds a
    /// vault.
    pub async fn open_or_create(store: impl Store, unlock: Unlock) -> Result<Self, Error> {
        VaultOptions::default().open_or_create(store, unlock).await
    }

    /// The handle of one org in one environment. No I/O: an org exists from its first write on.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, VarFormat, VariableDefinition};
    /// let test = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let staging = vault.org(*test.id(), "staging".parse()?);
    /// test.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// assert!(staging.definition("PORT").await?.is_none()); // nothing crosses
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn org(&self, org: OrgId, environment: Environment) -> Org {
        Org::new(Arc::clone(&self.engine), org, environment)
    }

    /// The store under the vault, if it is an `S`: for what its crate offers beyond the trait, such as statistics. The
    /// vault remains its only user, so it does not look for the writes of others. Do not write to the vault's rows.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// use strongroom_memory::MemoryStore;
    /// let vault = Vault::create(MemoryStore::new(), Unlock::raw_key(RawKey::generate()?)).await?;
    /// assert!(vault.store::<MemoryStore>().is_some());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn store<S: Store>(&self) -> Option<&S> {
        (*self.engine.store).as_any().downcast_ref()
    }

    /// The id of the store, as 32 hexadecimal digits: what [`VaultOptions::expect_store_id`] takes.
    #[must_use]
    pub fn store_id(&self) -> String {
        hex::encode(self.engine.store_id)
    }

    /// The public id of the root key: what [`VaultOptions::expect_root_id`] takes.
    #[must_use]
    pub fn root_id(&self) -> DekId {
        self.engine.roots.id()
    }

    /// Hits, misses and sizes of the caches since the vault was opened. Cheap, and never delays a read.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::Environment;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// assert!(org.definition("REGION").await?.is_none());
    /// assert!(vault.cache_stats().names.misses > 0);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.engine.caches.stats()
    }

    /// Wipes cached keys that are older than [`VaultOptions::cached_key_age_max`]. Every verb does this too. A host
    /// whose vault may be idle for a long time calls it from a timer.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::time::Duration;
    /// use strongroom::{RawKey, Unlock, VaultOptions};
    /// let options = VaultOptions::default().cached_key_age_max(Duration::from_secs(60));
    /// let store = strongroom_memory::MemoryStore::new();
    /// let vault = options.create(store, Unlock::raw_key(RawKey::generate()?)).await?;
    /// vault.wipe_old_keys(); // every few seconds, from a timer of the host
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    pub fn wipe_old_keys(&self) {
        self.engine.drop_old_keys();
    }

    /// Waits for accepted writes, makes them durable and closes the store. Every later call fails.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, Error};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// vault.close().await?;
    /// assert!(matches!(org.definition("PORT").await, Err(Error::Store(_))));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if a write could not be made durable.
    pub async fn close(&self) -> Result<(), Error> {
        self.engine.caches.packs.turn_off();
        Ok(self.engine.store.close().await?)
    }
}
