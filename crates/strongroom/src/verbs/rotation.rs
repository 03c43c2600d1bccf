//! Verbs that rotate keys.

use crate::engine::ATTEMPTS_MAX;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::jobs::rotation::root_begin::try_rotate_root;
use crate::jobs::rotation::{DataKeys, JobReport, KeyJob, NewRoot, RootRotation};
use crate::row::body::TaskBody;
use crate::verbs::account::Account;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

impl Vault {
    /// Gives the vault a new root key. The caller must present the key of every slot to keep and name every slot to
    /// drop. Otherwise nothing is written.
    ///
    /// One batch makes the new root active: it is random, and never sealed under the old one. The returned job then
    /// seals every keyring again and touches no data. The vault can be read and written meanwhile. After a crash any
    /// kept key opens the vault, and [`run_jobs`](Self::run_jobs) continues. Another process that has the vault open
    /// gets [`Error::RootRotated`] and must open it again.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{RawKey, RootRotation, Unlock};
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // the key that opens the vault today
    /// let before = vault.root_id();
    /// let new = vault.rotate_root(RootRotation::new().keep(key)).await?;
    /// new.job.run().await?;
    /// assert!(vault.root_id() == new.root_id && new.root_id != before);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`SlotError::NotPresented`](crate::SlotError::NotPresented) for a slot that is neither kept nor dropped,
    /// [`SlotError::RowMissing`](crate::SlotError::RowMissing) for one whose row is missing (put it back, or drop it),
    /// [`Error::WrongKey`] for a key that opens no slot, [`SlotError::NotFound`](crate::SlotError::NotFound) for a
    /// dropped slot that does not exist, [`Error::Damaged`] for one that cannot be read (drop it),
    /// [`SlotError::Last`](crate::SlotError::Last) if none would be left; [`Error::RotationUnderway`] until the
    /// last rotation is finished; [`Error::Provider`], [`Error::KeyDerivation`]; [`Error::RootRotated`] if another
    /// engine was faster; [`Error::Indeterminate`] and [`Error::Store`].
    ///
    /// # Cancellation
    /// If dropped, there is a new root and its job, or neither. [`run_jobs`](Self::run_jobs) finishes the job.
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
    /// Begins a rotation of data keys. It only writes a job. [`KeyJob::run`] or [`run_jobs`](Self::run_jobs) does the
    /// work in bounded batches, and the vault can be read and written meanwhile.
    ///
    /// Each scope gets a new key, every row is sealed again under it, and then the old key is destroyed. Ids,
    /// revisions and times do not change.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobOutcome};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// let report = job.run().await?;
    /// assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 0));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Indeterminate`] if the job may have been written.
    pub async fn rotate_data_keys(&self, keys: &DataKeys) -> Result<KeyJob, Error> {
        KeyJob::begin(&self.engine, TaskBody::DataKeys(keys.body())).await
    }
}

impl Org {
    /// Rotates the org's data keys and those of its linked accounts, and runs the job to its end.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("URL", VarFormat::Url)).await?;
    /// org.set_value("URL", Scope::Org, "https://example.com").await?;
    /// assert_eq!(org.rotate_keys().await?.progress.keys_destroyed, 1);
    /// assert!(org.value("URL", Scope::Org).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`KeyJob::run`].
    ///
    /// # Cancellation
    /// If dropped, the job stays where its last batch left it. [`Vault::run_jobs`](crate::Vault::run_jobs) finishes it.
    pub async fn rotate_keys(&self) -> Result<JobReport, Error> {
        let keys = DataKeys::of_org(*self.id(), self.environment().clone());
        let rotate =
            async { KeyJob::begin(&self.tenant.engine, TaskBody::DataKeys(keys.body())).await?.run().await };
        self.tenant.observed(Call::of("rotate_keys"), rotate).await
    }
}

impl Account {
    /// Rotates the account's data key, and runs the job to its end. The job of a bound handle touches only the keys of
    /// its own registration, whoever runs it: once that registration ends, so does the job.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// assert_eq!(account.rotate_keys().await?.progress.keys_destroyed, 1);
    /// assert_eq!(account.credential("api_key").await?.unwrap().value.expose(), "k1");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`KeyJob::run`]; [`Error::AccountNotFound`] if the registration of a bound handle is over.
    ///
    /// # Cancellation
    /// If dropped, the job stays where its last batch left it. [`Vault::run_jobs`](crate::Vault::run_jobs) finishes it.
    pub async fn rotate_keys(&self) -> Result<JobReport, Error> {
        let org = self.org();
        let rotate = async {
            self.refuse_ended().await?;
            let keys = DataKeys::of_account(*org.id(), org.environment().clone(), self.id().clone());
            let keys = keys.registered_as(self.registration().id);
            let job = KeyJob::begin(&org.tenant.engine, TaskBody::DataKeys(keys.body())).await?;
            let report = job.run().await?;
            self.refuse_ended().await?;
            Ok(report)
        };
        org.tenant.observed(Call::of("rotate_keys").account(self.id()), rotate).await
    }
}
