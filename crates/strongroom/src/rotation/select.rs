//! Which data keys to rotate, and the verbs that begin a rotation.

use std::time::Duration;

use super::job::{JobReport, KeyJob};
use crate::account::Account;
use crate::error::Error;
use crate::id::{Environment, LinkedAccountId, OrgId};
use crate::org::Org;
use crate::record::{CursorSheet, DataKeysSheet, DataPhase, OnUnreadableSheet, Reach, TaskSheet};
use crate::vault::Vault;

/// Which data keys to rotate, and when a key is due.
///
/// ```
/// # use strongroom::DataKeys;
/// use std::time::Duration;
/// let old_ones = DataKeys::all().older_than(Duration::from_secs(90 * 24 * 3_600));
/// ```
#[derive(Debug, Clone)]
pub struct DataKeys {
    pub(super) org: Option<(OrgId, Environment)>,
    pub(super) account: Option<LinkedAccountId>,
    pub(super) reach: Reach,
    older_than: Option<Duration>,
    rows_at_least: Option<u64>,
    on_unreadable: OnUnreadable,
}

/// What becomes of old keys when rows that cannot be opened may need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnreadable {
    /// They are kept, to open what they sealed and nothing else.
    #[default]
    KeepKeys,
    /// They are destroyed all the same: those rows can never be opened again.
    DestroyKeys,
}

impl DataKeys {
    /// Every data key of the vault.
    #[must_use]
    pub fn all() -> Self {
        Self::of(None, None, Reach::All)
    }

    /// Those of an org in one environment, and of its linked accounts.
    #[must_use]
    pub fn of_org(org: OrgId, environment: Environment) -> Self {
        Self::of(Some((org, environment)), None, Reach::All)
    }

    /// The org's own, and of no linked account.
    #[must_use]
    pub fn of_org_itself(org: OrgId, environment: Environment) -> Self {
        Self::of(Some((org, environment)), None, Reach::Own)
    }

    /// That of one linked account.
    #[must_use]
    pub fn of_account(org: OrgId, environment: Environment, account: LinkedAccountId) -> Self {
        Self::of(Some((org, environment)), Some(account), Reach::Own)
    }

    /// Only keys that have been in use for at least so long.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Only keys whose scope holds at least so many rows now. Rows that were replaced or deleted are not counted; with
    /// [`older_than`](Self::older_than), either makes a key due.
    #[must_use]
    pub fn rows_at_least(mut self, rows: u64) -> Self {
        self.rows_at_least = Some(rows);
        self
    }

    /// What becomes of old keys that rows which cannot be opened may need.
    #[must_use]
    pub fn on_unreadable(mut self, then: OnUnreadable) -> Self {
        self.on_unreadable = then;
        self
    }

    fn of(org: Option<(OrgId, Environment)>, account: Option<LinkedAccountId>, reach: Reach) -> Self {
        let on_unreadable = OnUnreadable::default();
        Self { org, account, reach, older_than: None, rows_at_least: None, on_unreadable }
    }

    fn sheet(&self) -> DataKeysSheet {
        let age_ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        DataKeysSheet {
            org: self.org.as_ref().map(|(org, _)| org.to_string()),
            environment: self.org.as_ref().map(|(_, environment)| environment.to_string()),
            account: self.account.as_ref().map(LinkedAccountId::to_string),
            reach: self.reach,
            older_than_ms: self.older_than.map(age_ms),
            rows_at_least: self.rows_at_least,
            on_unreadable: self.on_unreadable.sheet(),
            finish_only: false,
            phase: DataPhase::Count { at: CursorSheet::default(), rows: 0 },
        }
    }
}

impl OnUnreadable {
    pub(super) fn sheet(self) -> OnUnreadableSheet {
        match self {
            Self::KeepKeys => OnUnreadableSheet::Keep,
            Self::DestroyKeys => OnUnreadableSheet::Destroy,
        }
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
        KeyJob::begin(&self.engine, TaskSheet::DataKeys(keys.sheet())).await
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
        KeyJob::begin(&self.tenant.engine, TaskSheet::DataKeys(keys.sheet())).await?.run().await
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
        KeyJob::begin(&org.tenant.engine, TaskSheet::DataKeys(keys.sheet())).await?.run().await
    }
}
