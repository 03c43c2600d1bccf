//! Linked accounts and their integrations.

use crate::clock::Timestamp;
use crate::id::{ConnectionId, DocumentId, IntegrationId, LinkedAccountId};
use crate::model::Revision;

/// A registered linked account: the org's own customer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LinkedAccount {
    /// Made when the account was created.
    pub id: DocumentId,
    /// The org's own id of the account.
    pub account_id: LinkedAccountId,
    /// For people; at most 256 bytes.
    pub name: Option<String>,
    /// The org's own fields, as the exact text that was given; at most 16 KiB.
    pub udf: Option<String>,
    /// Grows with every change of a credential, so that a host can tell when a cached token is stale.
    pub credential_generation: u64,
    /// Changes with every update of the account or of one of its credentials.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last updated.
    pub updated_at: Timestamp,
}

/// What a [`Viewer`](crate::Viewer) shows of its account: nothing that changes with the account's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AccountProfile {
    /// Made when the account was created.
    pub id: DocumentId,
    /// The org's own id of the account.
    pub account_id: LinkedAccountId,
    /// For people; at most 256 bytes.
    pub name: Option<String>,
    /// The org's own fields, as the exact text that was given; at most 16 KiB.
    pub udf: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl From<LinkedAccount> for AccountProfile {
    fn from(account: LinkedAccount) -> Self {
        let LinkedAccount { id, account_id, name, udf, created_at, .. } = account;
        Self { id, account_id, name, udf, created_at }
    }
}

/// An integration (app) of a linked account, or one of several connections of it. Credentials belong to one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Integration {
    /// Made when the integration was added.
    pub id: DocumentId,
    /// Its slug.
    pub integration: IntegrationId,
    /// Which connection of it; `None` for the default one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub connection: Option<ConnectionId>,
    /// When it was added.
    pub created_at: Timestamp,
}
