//! Which credentials of all accounts are sought, and where they are.

use crate::clock::Timestamp;
use crate::id::{CredentialKey, IntegrationId, LinkedAccountId};
use crate::model::CredentialInfo;

/// What [`Org::credentials_where`](crate::Org::credentials_where) looks for.
///
/// ```
/// use strongroom::{CredentialFilter, Timestamp};
/// let soon = CredentialFilter::expiring_before(Timestamp::from_ms(1_800_000_000_000)).of("crm".parse()?);
/// let without = CredentialFilter::missing("access_token".parse()?); // in the default app
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CredentialFilter {
    pub(crate) sought: Sought,
    pub(crate) integration: Option<IntegrationId>,
    pub(crate) leaves_out_rejected: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Sought {
    Missing(CredentialKey),
    ExpiringBefore(Timestamp),
}

impl CredentialFilter {
    /// The registered accounts whose default app has no credential of this key name, whether or not they have the app.
    #[must_use]
    pub fn missing(key_name: CredentialKey) -> Self {
        let integration = Some(IntegrationId::default_app());
        Self { sought: Sought::Missing(key_name), integration, leaves_out_rejected: false }
    }

    /// The credentials that expire before `moment` or have expired: those that were written with
    /// [`WriteOptions::expires_at`](crate::WriteOptions::expires_at). Of every integration.
    #[must_use]
    pub fn expiring_before(moment: Timestamp) -> Self {
        Self { sought: Sought::ExpiringBefore(moment), integration: None, leaves_out_rejected: false }
    }

    /// Leaves out the credentials of integrations whose last refresh the provider rejected: only the customer can do
    /// something about those. For a job that refreshes what expires; one that is [missing](Self::missing) is found
    /// anyway.
    ///
    /// ```
    /// # use strongroom::{CredentialFilter, Timestamp};
    /// let due = CredentialFilter::expiring_before(Timestamp::from_ms(1_800_000_000_000)).not_rejected();
    /// ```
    #[must_use]
    pub fn not_rejected(mut self) -> Self {
        self.leaves_out_rejected = true;
        self
    }

    /// Looks at this integration alone.
    #[must_use]
    pub fn of(mut self, integration: IntegrationId) -> Self {
        self.integration = Some(integration);
        self
    }
}

/// Where a credential is, or where one is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CredentialPlace {
    /// The account.
    pub account: LinkedAccountId,
    /// Its integration.
    pub integration: IntegrationId,
    /// The key name.
    pub key_name: CredentialKey,
    /// The credential without its value; `None` where it is missing.
    pub info: Option<CredentialInfo>,
}
