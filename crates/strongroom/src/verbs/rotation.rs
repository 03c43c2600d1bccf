//! Verbs that rotate keys.

use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::jobs::rotation::root_begin::try_rotate_root;
use crate::jobs::rotation::{DataKeys, JobReport, KeyJob, NewRoot, RootRotation};
use crate::row::body::TaskBody;
use crate::verbs::account::Account;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

impl Vault {
    /// Gives the vault a new root key. The key of every slot is presented, or the slot is named as dropped; anything
    /// else is refused before anything is written.
    ///
    /// One batch makes the new root active: it is random, and never sealed under the old one. The answer's job then
    /// seals every keyring anew and touches no data; readers and writers go on meanwhile, and after a crash any kept
    /// key opens the vault and [`run_jobs`](Self::run_jobs) goes on. An engine that another process has open has to
    /// open the vault again: it is told by [`Error::RootRotated`].
    ///
    /// ```
    /// # futures_executor::block_on(async { use strongroom_memory::MemoryStore;
    /// use strongroom::{RawKey, RootRotation, Unlock, Vault};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([7; 32])); // of a key file, say
    /// let vault = Vault::create(MemoryStore::new(), key()).await?;
    /// let before = vault.root_id();
    /// let new = vault.rotate_root(RootRotation::new().keep(key())).await?;
    /// new.job.run().await?;
    /// assert!(vault.root_id() == new.root_id && new.root_id != before);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::SlotNotPresented`] for a slot that is neither kept nor dropped, [`Error::WrongKey`] for a key that
    /// opens none, [`Error::SlotNotFound`] for a dropped one that is not there, [`Error::Damaged`] for one that cannot
    /// be read (drop it), [`Error::LastSlot`] when none would be left; [`Error::RotationUnderway`] before the last
    /// rotation is finished; [`Error::Provider`], [`Error::KeyDerivation`]; [`Error::RootRotated`] when another engine
    /// was faster; [`Error::Indeterminate`] and [`Error::Store`].
    pub async fn rotate_root(&self, rotation: RootRotation) -> Result<NewRoot, Error> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(new) = try_rotate_root(&self.engine, &rotation).await? {
                return Ok(new);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

impl Vault {
    /// Begins a rotation of data keys: writes its job and nothing else. [`KeyJob::run`] or
    /// [`run_jobs`](Self::run_jobs) does the work, in bounded batches; readers and writers go on meanwhile.
    ///
    /// Each scope gets a new key, every row is sealed anew under it, and then the old key is destroyed. Ids, revisions
    /// and times stay as they are.
    ///
    /// ```
    /// # futures_executor::block_on(async { let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?;
    /// use strongroom::{DataKeys, JobOutcome};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// let report = job.run().await?;
    /// assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 0));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Indeterminate`] when the job may have been written.
    pub async fn rotate_data_keys(&self, keys: &DataKeys) -> Result<KeyJob, Error> {
        KeyJob::begin(&self.engine, TaskBody::DataKeys(keys.body())).await
    }
}

impl Org {
    /// Rotates the org's data keys and those of its linked accounts, and runs the job to its end.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("URL", VarFormat::Url)).await?;
    /// org.set_value("URL", Scope::Org, "https://example.com").await?;
    /// assert_eq!(org.rotate_keys().await?.progress.keys_destroyed, 1);
    /// assert!(org.value("URL", Scope::Org).await?.is_some());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`KeyJob::run`].
    pub async fn rotate_keys(&self) -> Result<JobReport, Error> {
        let keys = DataKeys::of_org(*self.id(), self.environment().clone());
        KeyJob::begin(&self.tenant.engine, TaskBody::DataKeys(keys.body())).await?.run().await
    }
}

impl Account {
    /// Rotates the account's data key, and runs the job to its end.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// assert_eq!(account.rotate_keys().await?.progress.keys_destroyed, 1);
    /// assert_eq!(account.credential("api_key").await?.unwrap().value.expose(), "k1");
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`KeyJob::run`].
    pub async fn rotate_keys(&self) -> Result<JobReport, Error> {
        let org = self.org();
        let keys = DataKeys::of_account(*org.id(), org.environment().clone(), self.id().clone());
        KeyJob::begin(&org.tenant.engine, TaskBody::DataKeys(keys.body())).await?.run().await
    }
}
