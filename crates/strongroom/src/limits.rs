//! Sizes that the engine refuses to exceed, and quotas of orgs and accounts.

use std::fmt;

/// The engine's limits, in bytes unless named otherwise. A host may lower them but not raise them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    value_bytes_max: usize,
    definitions_max: usize,
}

impl Limits {
    /// Values, credentials and records of at most `bytes`; never more than 64 KiB.
    #[must_use]
    pub fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes.min(VALUE_BYTES_MAX);
        self
    }

    /// At most `count` definitions in one org and environment; never more than 1,000.
    #[must_use]
    pub fn definitions_max(mut self, count: usize) -> Self {
        self.definitions_max = count.min(DEFINITIONS_MAX);
        self
    }

    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes_max
    }

    pub(crate) fn definitions(&self) -> usize {
        self.definitions_max
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes_max: VALUE_BYTES_MAX, definitions_max: DEFINITIONS_MAX }
    }
}

/// How much each linked account, and each org in one environment, may store. A write that would store more is refused
/// with [`Error::OverQuota`](crate::Error::OverQuota).
///
/// Everything stored can be read, updated and deleted, however much there is, so a quota can be lowered at any time. An
/// update is refused only if it makes a row of more than 4 KiB longer. Restoring, copying and importing a vault or an
/// org is not subject to quotas, nor are records, which are the host's own.
///
/// *How exact.* An engine that has its store to itself enforces the quotas of accounts exactly, with two exceptions
/// that are never refused: updates of rows up to 4 KiB, and the former versions that they keep, which count in bytes.
/// The bytes of a former version that was dropped count until rows are counted again, at the latest when a write would
/// be refused. Events of the audit log and keyrings are not counted. If several engines share a store, each of the
/// others can add a sixteenth of a quota unnoticed, and in addition every write in flight may pass. The quotas of an
/// org take twice that. While an engine counts an org for the first time, which it does gradually with its first writes
/// of new rows, up to a sixteenth of the bytes may be added in excess.
///
/// ```
/// # futures_executor::block_on(async {
/// use strongroom::{Error, Quotas, RawKey, Unlock, VaultOptions};
/// let quotas = Quotas::default().account_credentials_max(1);
/// let (store, key) = (strongroom_memory::MemoryStore::new(), Unlock::raw_key(RawKey::generate()?));
/// let vault = VaultOptions::default().quotas(quotas).create(store, key).await?;
/// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
/// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
/// assert!(matches!(account.upsert_credential("other", "k1").await, Err(Error::OverQuota { max: 1, .. })));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    account_values_max: u64,
    account_credentials_max: u64,
    account_integrations_max: u64,
    account_bytes_max: u64,
    org_accounts_max: u64,
    org_workflow_values_max: u64,
    org_bytes_max: u64,
}

impl Quotas {
    /// No quotas. Nothing is counted.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            account_values_max: u64::MAX,
            account_credentials_max: u64::MAX,
            account_integrations_max: u64::MAX,
            account_bytes_max: u64::MAX,
            org_accounts_max: u64::MAX,
            org_workflow_values_max: u64::MAX,
            org_bytes_max: u64::MAX,
        }
    }

    /// Values of one account: 1,000 unless set.
    #[must_use]
    pub fn account_values_max(mut self, count: u64) -> Self {
        self.account_values_max = count;
        self
    }

    /// Credentials of one account, in all its integrations: 1,000 unless set.
    #[must_use]
    pub fn account_credentials_max(mut self, count: u64) -> Self {
        self.account_credentials_max = count;
        self
    }

    /// Integrations of one account, counting each connection: 100 unless set.
    #[must_use]
    pub fn account_integrations_max(mut self, count: u64) -> Self {
        self.account_integrations_max = count;
        self
    }

    /// Bytes of the rows of one account's values, credentials and integrations: 4 MiB unless set.
    #[must_use]
    pub fn account_bytes_max(mut self, bytes: u64) -> Self {
        self.account_bytes_max = bytes;
        self
    }

    /// Registered accounts of one org: 1,000,000 unless set.
    #[must_use]
    pub fn org_accounts_max(mut self, count: u64) -> Self {
        self.org_accounts_max = count;
        self
    }

    /// Values of all workflows of one org: 1,000,000 unless set.
    #[must_use]
    pub fn org_workflow_values_max(mut self, count: u64) -> Self {
        self.org_workflow_values_max = count;
        self
    }

    /// Bytes of the rows of one org's values, accounts, integrations and credentials: 4 GiB unless set.
    #[must_use]
    pub fn org_bytes_max(mut self, bytes: u64) -> Self {
        self.org_bytes_max = bytes;
        self
    }

    /// The most that `quota` allows.
    #[must_use]
    pub fn max(&self, quota: Quota) -> u64 {
        match quota {
            Quota::AccountValues => self.account_values_max,
            Quota::AccountCredentials => self.account_credentials_max,
            Quota::AccountIntegrations => self.account_integrations_max,
            Quota::AccountBytes => self.account_bytes_max,
            Quota::OrgAccounts => self.org_accounts_max,
            Quota::OrgWorkflowValues => self.org_workflow_values_max,
            Quota::OrgBytes => self.org_bytes_max,
        }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            account_values_max: 1_000,
            account_credentials_max: 1_000,
            account_integrations_max: 100,
            account_bytes_max: 4 << 20,
            org_accounts_max: 1_000_000,
            org_workflow_values_max: 1_000_000,
            org_bytes_max: 4 << 30,
        }
    }
}

/// One of the [`Quotas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quota {
    /// [`Quotas::account_values_max`].
    AccountValues,
    /// [`Quotas::account_credentials_max`].
    AccountCredentials,
    /// [`Quotas::account_integrations_max`].
    AccountIntegrations,
    /// [`Quotas::account_bytes_max`].
    AccountBytes,
    /// [`Quotas::org_accounts_max`].
    OrgAccounts,
    /// [`Quotas::org_workflow_values_max`].
    OrgWorkflowValues,
    /// [`Quotas::org_bytes_max`].
    OrgBytes,
}

impl Quota {
    /// Every quota.
    pub const ALL: [Self; 7] = [
        Self::AccountValues,
        Self::AccountCredentials,
        Self::AccountIntegrations,
        Self::AccountBytes,
        Self::OrgAccounts,
        Self::OrgWorkflowValues,
        Self::OrgBytes,
    ];

    pub(crate) const OF_ACCOUNTS: &'static [Self] =
        &[Self::AccountValues, Self::AccountCredentials, Self::AccountIntegrations, Self::AccountBytes];

    pub(crate) const OF_ORGS: &'static [Self] = &[Self::OrgAccounts, Self::OrgWorkflowValues, Self::OrgBytes];

    /// The name of the setting, such as `account_values_max`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountValues => "account_values_max",
            Self::AccountCredentials => "account_credentials_max",
            Self::AccountIntegrations => "account_integrations_max",
            Self::AccountBytes => "account_bytes_max",
            Self::OrgAccounts => "org_accounts_max",
            Self::OrgWorkflowValues => "org_workflow_values_max",
            Self::OrgBytes => "org_bytes_max",
        }
    }
}

/// What is limited, for people: "credentials of the linked account".
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountValues => "values of the linked account",
            Self::AccountCredentials => "credentials of the linked account",
            Self::AccountIntegrations => "integrations of the linked account",
            Self::AccountBytes => "bytes of the linked account",
            Self::OrgAccounts => "linked accounts of the org",
            Self::OrgWorkflowValues => "values of the org's workflows",
            Self::OrgBytes => "bytes of the org",
        })
    }
}

/// Rows up to this length can always be updated: otherwise a full account could not change a secret that has to change.
pub(crate) const UPDATE_BYTES_FREE: usize = 4 << 10;

const VALUE_BYTES_MAX: usize = 64 << 10;
const DEFINITIONS_MAX: usize = 1_000;

pub(crate) const DESCRIPTION_BYTES_MAX: usize = 1 << 10;
pub(crate) const DEFAULT_BYTES_MAX: usize = 4 << 10;
/// The most former versions of a document.
pub(crate) const HISTORY_VERSIONS_MAX: u8 = 100;
/// The longest name of an actor, who is the author where the host names none.
pub(crate) const AUTHOR_BYTES_MAX: usize = 300;
/// The longest value leaves 2,020 bytes of its record for the metadata of a version.
pub(crate) const NOTE_BYTES_MAX: usize = 512;
pub(crate) const LABELS_MAX: usize = 16;
/// The most bytes of all labels of a version.
pub(crate) const LABELS_BYTES_MAX: usize = 512;
pub(crate) const ACCOUNT_NAME_BYTES_MAX: usize = 256;
pub(crate) const UDF_BYTES_MAX: usize = 16 << 10;
pub(crate) const NAME_PATTERN_BYTES_MAX: usize = 1 << 10;
