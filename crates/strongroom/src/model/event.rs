//! Events of the audit: who wrote what, in one org and environment.

use std::fmt;

use crate::clock::Timestamp;
use crate::id::{ConnectionId, DefinitionId, DocumentId, IntegrationId, LinkedAccountId, WorkflowId};
use crate::model::Revision;

/// One write: everything that one batch changed. It never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AuditEvent {
    /// The id of the event.
    pub id: EventId,
    /// When it was written, by the clock of the engine that wrote it.
    pub at: Timestamp,
    /// The actor on whose behalf the handle acted ([`Org::acting_as`](crate::Org::acting_as)); `None` if none was
    /// named, and for the engine's own jobs.
    pub actor: Option<String>,
    /// The request of the host.
    pub request_id: Option<String>,
    /// What changed, in the order of the batch.
    pub changes: Vec<AuditChange>,
    /// Why this event cannot be read, and which row it is, in the words of the error from opening it. Then only its id,
    /// and so its time, is known. `None` for an event that can be read.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub unreadable: Option<String>,
}

impl AuditEvent {
    pub(crate) fn damaged(id: EventId, why: String) -> Self {
        Self { id, at: id.at, actor: None, request_id: None, changes: Vec::new(), unreadable: Some(why) }
    }
}

/// One change of an [`AuditEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AuditChange {
    /// What happened.
    pub kind: EventKind,
    /// The variable definition.
    pub definition_id: Option<DefinitionId>,
    /// The name of the definition at that time, the key of a credential, the id of an API key, or the namespace of a
    /// host's record.
    pub name: Option<String>,
    /// The linked account, also if it is the scope, or if a host's record is about it.
    pub linked_account: Option<LinkedAccountId>,
    /// The workflow that is the scope.
    pub workflow: Option<WorkflowId>,
    /// The integration.
    pub integration: Option<IntegrationId>,
    /// Which connection of it; `None` for the default one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub connection: Option<ConnectionId>,
    /// The document id of a value.
    pub document_id: Option<DocumentId>,
    /// The revision before, or the one that was read. `None` for something new, and for what could not be read and was
    /// deleted or replaced by one of its versions: a value or credential as deleted and set, a definition as updated.
    pub before: Option<Revision>,
    /// The revision after; `None` for something deleted.
    pub after: Option<Revision>,
}

impl AuditChange {
    pub(crate) fn new(kind: EventKind) -> Self {
        Self {
            kind,
            definition_id: None,
            name: None,
            linked_account: None,
            workflow: None,
            integration: None,
            connection: None,
            document_id: None,
            before: None,
            after: None,
        }
    }
}

/// The position of an event in the audit of its org and environment. Its text form is stable, and ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// When it was written.
    pub(crate) at: Timestamp,
    /// The chain that it belongs to.
    pub(crate) chain: ChainId,
    /// Its number in that chain, from 1.
    pub(crate) sequence: u64,
}

/// A chain of events: each names the hash of the previous one.
pub(crate) type ChainId = [u8; 8];

impl EventId {
    pub(crate) const LEN: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (at, rest) = bytes.split_at_mut(8);
        let (chain, sequence) = rest.split_at_mut(8);
        at.copy_from_slice(&self.at.as_ms().to_be_bytes());
        chain.copy_from_slice(&self.chain);
        sequence.copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk::<8>()?;
        let (chain, sequence) = rest.split_first_chunk::<8>()?;
        let at = Timestamp::from_ms(u64::from_be_bytes(*at));
        Some(Self { at, chain: *chain, sequence: u64::from_be_bytes(sequence.try_into().ok()?) })
    }

    /// The position in the audit of a key that is not that of an event.
    pub(crate) fn nearest(bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; Self::LEN];
        whole.iter_mut().zip(bytes).for_each(|(byte, given)| *byte = *given);
        Self::from_bytes(&whole)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl EventKind {
            /// Its name for people and programs, such as `Variable Value Set`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            pub(crate) const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

event_kinds! {
    /// A variable was defined.
    DefinitionCreated = 1, "Variable Definition Created";
    /// A definition was changed.
    DefinitionUpdated = 2, "Variable Definition Updated";
    /// A definition was deleted, and all its values with it.
    DefinitionDeleted = 3, "Variable Definition Deleted";
    /// A value was set.
    ValueSet = 4, "Variable Value Set";
    /// A value was deleted.
    ValueDeleted = 5, "Variable Value Deleted";
    /// An account got an integration.
    ConnectionCreated = 6, "Connection Created";
    /// An integration was deleted, and all its credentials with it.
    ConnectionDisconnected = 7, "Connection Disconnected";
    /// A credential was set.
    CredentialSet = 8, "Credential Set";
    /// A credential was deleted.
    CredentialDeleted = 9, "Credential Deleted";
    /// A linked account was created.
    AccountCreated = 10, "Linked Account Created";
    /// A linked account was updated.
    AccountUpdated = 11, "Linked Account Updated";
    /// A linked account was deleted, with everything that belongs to it.
    AccountDeleted = 12, "Linked Account Deleted";
    /// A record of the host was put.
    RecordPut = 13, "Record Put";
    /// A record of the host was deleted.
    RecordDeleted = 14, "Record Deleted";
    /// An API key was created.
    ApiKeyCreated = 15, "API Key Created";
    /// The metadata of an API key was changed.
    ApiKeyUpdated = 16, "API Key Updated";
    /// An API key was revoked.
    ApiKeyRevoked = 17, "API Key Revoked";
    /// A value was shown to somebody ([`Org::note`](crate::Org::note)).
    ValueRead = 18, "Variable Value Read";
    /// A credential was shown to somebody.
    CredentialRead = 19, "Credential Read";
    /// A connection no longer works: the host noted it, or the provider rejected the credentials at a refresh.
    ConnectionExpired = 20, "Connection Expired";
    /// Events of the audit were dropped for their age.
    AuditTrimmed = 21, "Audit Log Trimmed";
    /// A refresh of credentials ended, and nobody knows whether the provider used them up.
    RefreshUncertain = 22, "Credential Refresh Uncertain";
    /// The host stated that credentials are good after an uncertain or rejected refresh.
    RefreshSettled = 23, "Credential Refresh Settled";
    /// Somebody began an operation on the vault as a whole, such as a backup; the name says which.
    VaultOperated = 24, "Vault Operated";
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
