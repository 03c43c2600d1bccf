//! Which credentials of all accounts are sought, and where they are.

use crate::clock::Timestamp;
use crate::id::{AppId, ConnectionId, CredentialKey, IntegrationId, LinkedAccountId};
use crate::model::{CredentialInfo, OnUncertain, RefreshState};

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
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) leaves_out: LeavesOut,
}

/// Connections to leave out, by how their last refresh ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LeavesOut {
    Nothing,
    Rejected,
    RejectedAndUncertain,
}

impl LeavesOut {
    /// Whether a connection in this state is left out.
    pub(crate) fn takes_away(self, state: RefreshState) -> bool {
        match state {
            RefreshState::Rejected { .. } => !matches!(self, Self::Nothing),
            RefreshState::Uncertain { .. } => matches!(self, Self::RejectedAndUncertain),
            RefreshState::Idle | RefreshState::Underway { .. } => false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Sought {
    Missing(CredentialKey),
    ExpiringBefore(Timestamp),
}

impl CredentialFilter {
    /// The registered accounts whose default app has no credential with this key name: each connection that lacks it,
    /// and the default connection of an account that has no connection of the app at all.
    #[must_use]
    pub fn missing(key_name: CredentialKey) -> Self {
        Self::all(Sought::Missing(key_name)).of(IntegrationId::default_app())
    }

    /// The credentials of every integration that expire before `moment` or have expired: those written with
    /// [`WriteOptions::expires_at`](crate::WriteOptions::expires_at).
    #[must_use]
    pub fn expiring_before(moment: Timestamp) -> Self {
        Self::all(Sought::ExpiringBefore(moment))
    }

    /// Leaves out the credentials of connections whose last refresh the provider rejected: only the customer can do
    /// something about those. Those whose last refresh is uncertain stay, see [`refreshable`](Self::refreshable).
    /// [Missing](Self::missing) credentials are found anyway.
    #[must_use]
    pub fn not_rejected(mut self) -> Self {
        self.leaves_out = LeavesOut::Rejected;
        self
    }

    /// Leaves out the credentials that a refresh with this policy would refuse without calling the provider: those that
    /// it rejected, and with [`OnUncertain::Refuse`] those of an uncertain outcome. For a job that refreshes expiring
    /// credentials. [Missing](Self::missing) credentials are found anyway.
    ///
    /// ```
    /// use strongroom::{CredentialFilter, OnUncertain, Timestamp};
    /// let soon = Timestamp::from_ms(1_800_000_000_000);
    /// let due = CredentialFilter::expiring_before(soon).refreshable(OnUncertain::Refuse);
    /// ```
    #[must_use]
    pub fn refreshable(mut self, policy: OnUncertain) -> Self {
        self.leaves_out = match policy {
            OnUncertain::Refuse => LeavesOut::RejectedAndUncertain,
            OnUncertain::TryKept => LeavesOut::Rejected,
        };
        self
    }

    /// Searches only this integration, in all its connections.
    #[must_use]
    pub fn of(mut self, integration: IntegrationId) -> Self {
        self.integration = Some(integration);
        self
    }

    /// Searches only the connections with this name. A credential is then [missing](Self::missing) whether or not the
    /// account has the connection.
    ///
    /// ```
    /// # use strongroom::CredentialFilter;
    /// let filter = CredentialFilter::missing("token".parse()?).of("crm".parse()?).connection("work".parse()?);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    fn all(sought: Sought) -> Self {
        Self { sought, integration: None, connection: None, leaves_out: LeavesOut::Nothing }
    }

    /// Whether the filter covers this connection.
    pub(crate) fn is_about(&self, app: &AppId) -> bool {
        let (integration, connection) = app.parts();
        self.integration.as_ref().is_none_or(|sought| sought.as_str() == integration)
            && self.connection.as_ref().is_none_or(|sought| connection == Some(sought.as_str()))
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
    /// Which connection of it; `None` for the default one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub connection: Option<ConnectionId>,
    /// The key name.
    pub key_name: CredentialKey,
    /// The credential without its value; `None` where it is missing.
    pub info: Option<CredentialInfo>,
}

impl CredentialPlace {
    pub(crate) fn new(account: LinkedAccountId, app: &AppId, key_name: CredentialKey) -> Self {
        let (integration, connection) = (app.integration(), app.connection());
        Self { account, integration, connection, key_name, info: None }
    }

    pub(crate) fn app(&self) -> AppId {
        AppId::of(&self.integration, self.connection.as_ref())
    }
}
