//! Linked accounts with their credentials, and the audit.

use serde::{Deserialize, Serialize};
use strongroom::{ConnectionId, Error, Integration, IntegrationId, LinkedAccount};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{Page, opaque};
use crate::auth::{ListedSession, TakenSessions};
use crate::time;

/// A linked account.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// The id of its document.
    pub id: String,
    /// The id by which the org knows it.
    pub linked_account_id: String,
    /// A display name.
    pub name: Option<String>,
    /// The default connections of its integrations; absent in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<Connection>>,
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// A connection of an integration of a linked account.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The integration; `default-app` for that of the documented calls.
    pub integration: String,
    /// The connection; absent for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// An integration that was deleted, or is to be.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IntegrationDeletion {
    /// The integration.
    pub name: String,
    /// Whether it was deleted: not on a dry run.
    pub deleted: bool,
    /// The connections that are deleted with it; absent if the key may not read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<ConnectionDeletion>>,
}

/// A connection that is deleted with its integration.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ConnectionDeletion {
    /// The connection; absent for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// When it was made; absent if that is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Whether it is gone, and only some rows of it are left.
    pub left: bool,
}

impl ConnectionDeletion {
    /// Those of one integration, from the connections of its account and what is left of others.
    #[must_use]
    pub fn all(
        integration: &IntegrationId,
        found: Vec<(IntegrationId, Option<ConnectionId>, Result<Integration, Error>)>,
        left: Vec<Option<ConnectionId>>,
    ) -> Vec<Self> {
        let there =
            found.into_iter().filter(|(of, ..)| of == integration).map(|(_, connection, found)| Self {
                connection: connection.as_ref().map(ToString::to_string),
                created_at: found.ok().map(|found| time::iso(found.created_at)),
                left: false,
            });
        let gone = left.into_iter().map(|connection| Self {
            connection: connection.as_ref().map(ToString::to_string),
            created_at: None,
            left: true,
        });
        there.chain(gone).collect()
    }
}

/// A linked account to be registered.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The id by which the org knows it.
    pub linked_account_id: String,
    /// A display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether to add the default app, which credentials need.
    #[serde(default)]
    pub default_app: bool,
}

/// A credential without its value.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CredentialInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub key: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// When it was added.
    pub created_at: String,
    /// When it was last set.
    pub updated_at: String,
}

/// A credential in plain text.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CredentialShown {
    /// Its name.
    pub key: String,
    /// The credential in plain text.
    #[schema(value_type = String)]
    pub value: Zeroizing<String>,
    /// When it was last set.
    pub updated_at: String,
}

/// A credential to be set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// The credential in plain text.
    #[schema(value_type = String)]
    pub value: Zeroizing<String>,
    /// The connection of the integration; the default one if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}

/// Which credential to undo.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UndoCredential {
    /// The connection of the integration; the default one if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Also replaces a present row that cannot be read; its content is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace_damaged: bool,
}

/// Which version of a credential to restore.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreCredential {
    /// The version, as the history lists it.
    pub version: String,
    /// The connection of the integration; the default one if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Also replaces a present row that cannot be read; its content is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace_damaged: bool,
}

/// A credential that was set to a former version.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CredentialUndone {
    /// Its name.
    pub key: String,
    /// Its id.
    pub id: String,
    /// The version that was restored.
    pub restored: String,
    /// Its present version.
    pub version: String,
    /// When the restored version was first written.
    pub written_at: String,
}

/// A session of a linked account.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AccountSession {
    /// Its id, as `session:ID` in the log and as `session:ID@ACCOUNT` in the audit; it grants no access.
    pub id: String,
    /// When its token was issued.
    pub issued_at: String,
    /// When its token expires.
    pub expires_at: String,
}

/// What to do besides ending all sessions.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSessions {
    /// Also replace the key that signs their tokens, even one that cannot be read.
    #[serde(default)]
    pub new_signing_key: bool,
}

/// Sessions that were ended.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// How many.
    pub revoked: usize,
    /// Whether a list of the account's sessions that could not be read was replaced or deleted; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list_cleared: bool,
}

impl Revoked {
    pub(in crate::control) fn of(revoked: usize) -> Self {
        Self { revoked, list_cleared: false }
    }
}

/// How much is stored.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Linked accounts.
    pub accounts: u64,
    /// Values.
    pub values: u64,
    /// How many of these are values of workflows.
    pub workflow_values: u64,
    /// Integrations.
    pub integrations: u64,
    /// Credentials.
    pub credentials: u64,
    /// Bytes of all rows.
    pub bytes: u64,
}

/// A write, as recorded in the audit.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its id. Ids sort by time.
    pub id: String,
    /// When it was written.
    pub at: String,
    /// On whose behalf.
    pub actor: Option<String>,
    /// The request in which it was written.
    pub request_id: Option<String>,
    /// What it changed.
    pub changes: Vec<AuditChange>,
    /// Why it cannot be read, including which row it is; then only its id and time are known. Absent if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// One thing that a write changed.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AuditChange {
    /// What happened, such as `Variable Value Set`.
    pub kind: String,
    /// The name of the variable, credential or namespace.
    pub name: Option<String>,
    /// The id of the definition.
    pub variable_definition_id: Option<String>,
    /// The linked account.
    pub linked_account_id: Option<String>,
    /// The workflow.
    pub workflow_id: Option<String>,
    /// The integration.
    pub integration: Option<String>,
    /// The connection of the integration; absent for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The id of the value.
    pub document_id: Option<String>,
    /// The version before the write, or the version that was read; `null` for something new.
    pub version_before: Option<String>,
    /// The version after the write; `null` for something that was deleted or read.
    pub version: Option<String>,
}

opaque!(
    AccountView,
    Connection,
    ConnectionDeletion,
    IntegrationDeletion,
    NewAccount,
    CredentialInfo,
    CredentialShown,
    NewCredential,
    UndoCredential,
    RestoreCredential,
    CredentialUndone,
    AccountSession,
    RevokeSessions,
    Revoked,
    Usage,
    AuditEvent,
    AuditChange
);

impl AccountSession {
    /// All of an account, in one page.
    pub(crate) fn page(taken: &TakenSessions) -> Page<Self> {
        let page = Page::new(taken.sessions.iter().map(Self::of).collect(), None);
        Page { unreadable: taken.unreadable.clone(), ..page }
    }

    fn of(session: &ListedSession) -> Self {
        let (issued, expires) = session.times();
        Self { id: session.id().to_owned(), issued_at: time::iso(issued), expires_at: time::iso(expires) }
    }
}

impl AccountView {
    pub(crate) fn of(account: LinkedAccount) -> Self {
        Self {
            id: account.id.to_string(),
            linked_account_id: account.account_id.to_string(),
            name: account.name,
            connections: None,
            created_at: time::iso(account.created_at),
            updated_at: time::iso(account.updated_at),
        }
    }

    pub(crate) fn with_connections(mut self, integrations: &[Integration]) -> Self {
        let default = integrations.iter().filter(|integration| integration.connection.is_none());
        self.connections = Some(default.map(Connection::of).collect());
        self
    }
}

impl Connection {
    pub(crate) fn of(integration: &Integration) -> Self {
        Self {
            integration: integration.integration.to_string(),
            connection: integration.connection.as_ref().map(ToString::to_string),
            created_at: time::iso(integration.created_at),
        }
    }
}

impl CredentialInfo {
    pub(crate) fn of(info: &strongroom::CredentialInfo) -> Self {
        Self {
            id: info.id.to_string(),
            key: info.key_name.to_string(),
            author: info.metadata.author().map(str::to_owned),
            created_at: time::iso(info.created_at),
            updated_at: time::iso(info.updated_at),
        }
    }
}

impl CredentialUndone {
    /// The response once `restored` is the credential again.
    #[must_use]
    pub fn of(written: &strongroom::CredentialInfo, restored: &strongroom::Version) -> Self {
        Self {
            key: written.key_name.to_string(),
            id: written.id.to_string(),
            restored: restored.revision.as_u64().to_string(),
            version: written.revision.as_u64().to_string(),
            written_at: time::iso(restored.written_at),
        }
    }
}

impl From<strongroom::Usage> for Usage {
    fn from(usage: strongroom::Usage) -> Self {
        Self {
            accounts: usage.accounts,
            values: usage.values,
            workflow_values: usage.workflow_values,
            integrations: usage.integrations,
            credentials: usage.credentials,
            bytes: usage.bytes,
        }
    }
}

impl AuditEvent {
    /// The event as it is shown.
    #[must_use]
    pub fn of(event: strongroom::AuditEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: time::iso(event.at),
            actor: event.actor,
            request_id: event.request_id,
            changes: event.changes.into_iter().map(AuditChange::of).collect(),
            unreadable: event.unreadable,
        }
    }
}

impl AuditChange {
    fn of(change: strongroom::AuditChange) -> Self {
        Self {
            kind: change.kind.as_str().to_owned(),
            name: change.name,
            variable_definition_id: change.definition_id.map(|id| id.to_string()),
            linked_account_id: change.linked_account.map(|id| id.to_string()),
            workflow_id: change.workflow.map(|id| id.to_string()),
            integration: change.integration.map(|id| id.to_string()),
            connection: change.connection.map(|id| id.to_string()),
            document_id: change.document_id.map(|id| id.to_string()),
            version_before: change.before.map(|revision| revision.as_u64().to_string()),
            version: change.after.map(|revision| revision.as_u64().to_string()),
        }
    }
}
