//! Which data keys to rotate.

use std::time::Duration;

use crate::id::{DocumentId, Environment, LinkedAccountId, OrgId};
use crate::row::body::{CursorBody, DataKeysBody, DataPhase, OnUnreadableBody, Reach};

/// Which data keys to rotate, and when a key is due for rotation.
///
/// ```
/// use std::time::Duration;
/// let old_ones = strongroom::DataKeys::all().older_than(Duration::from_secs(90 * 24 * 3_600));
/// ```
#[derive(Debug, Clone)]
pub struct DataKeys {
    pub(crate) org: Option<(OrgId, Environment)>,
    pub(crate) account: Option<LinkedAccountId>,
    pub(crate) reach: Reach,
    older_than: Option<Duration>,
    rows_at_least: Option<u64>,
    on_unreadable: OnUnreadable,
    registration: Option<DocumentId>,
}

/// What to do with old keys that rows which cannot be opened may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUnreadable {
    /// Keep them, only to open what they sealed.
    #[default]
    KeepKeys,
    /// Destroy them anyway: those rows can never be opened again.
    DestroyKeys,
}

impl DataKeys {
    /// Every data key of the vault.
    #[must_use]
    pub fn all() -> Self {
        Self::of(None, None, Reach::All)
    }

    /// The data keys of an org in one environment, and of its linked accounts.
    #[must_use]
    pub fn of_org(org: OrgId, environment: Environment) -> Self {
        Self::of(Some((org, environment)), None, Reach::All)
    }

    /// The org's own data key, without those of its linked accounts.
    #[must_use]
    pub fn of_org_itself(org: OrgId, environment: Environment) -> Self {
        Self::of(Some((org, environment)), None, Reach::Own)
    }

    /// The data key of one linked account.
    #[must_use]
    pub fn of_account(org: OrgId, environment: Environment, account: LinkedAccountId) -> Self {
        Self::of(Some((org, environment)), Some(account), Reach::Own)
    }

    /// Only keys that are at least this old, or were made before a clock was set back, so that nobody knows their age.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Only keys whose scope holds at least this many rows now; rows that were replaced or deleted do not count.
    /// Combined with [`older_than`](Self::older_than), a key is due if either holds.
    #[must_use]
    pub fn rows_at_least(mut self, rows: u64) -> Self {
        self.rows_at_least = Some(rows);
        self
    }

    /// What to do with old keys that rows which cannot be opened may need.
    #[must_use]
    pub fn on_unreadable(mut self, then: OnUnreadable) -> Self {
        self.on_unreadable = then;
        self
    }

    fn of(org: Option<(OrgId, Environment)>, account: Option<LinkedAccountId>, reach: Reach) -> Self {
        let on_unreadable = OnUnreadable::default();
        Self { org, account, reach, older_than: None, rows_at_least: None, on_unreadable, registration: None }
    }

    /// Only while the account is this document.
    pub(crate) fn registered_as(mut self, registration: Option<DocumentId>) -> Self {
        self.registration = registration;
        self
    }

    pub(crate) fn body(&self) -> DataKeysBody {
        let age_ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        DataKeysBody {
            org: self.org.as_ref().map(|(org, _)| org.to_string()),
            environment: self.org.as_ref().map(|(_, environment)| environment.to_string()),
            account: self.account.as_ref().map(LinkedAccountId::to_string),
            reach: self.reach,
            older_than_ms: self.older_than.map(age_ms),
            rows_at_least: self.rows_at_least,
            on_unreadable: self.on_unreadable.body(),
            finish_only: false,
            phase: DataPhase::Count { at: CursorBody::default(), rows: 0 },
            registration: self.registration.map(|id| *id.as_bytes()),
        }
    }
}

impl OnUnreadable {
    pub(crate) fn body(self) -> OnUnreadableBody {
        match self {
            Self::KeepKeys => OnUnreadableBody::Keep,
            Self::DestroyKeys => OnUnreadableBody::Destroy,
        }
    }
}
