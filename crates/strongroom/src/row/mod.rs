//! A row is a value that says which row of a vault it is, and whose. Its key in the store, the address that its record
//! is bound to, its name for people, its kind and the keys that seal it all follow from it. No other code computes any
//! of these.
//!
//! | noun | is |
//! |---|---|
//! | row | one key and its bytes in the store, named by [`Row`] |
//! | tenant | an org in one environment, [`TenantId`]: the first part of the keys of its rows |
//! | address | the one place where a record opens, [`Address`] |
//! | body | the plaintext of a record, in [`body`] |
//! | kind | the third byte of a row, [`RowKind`] |

mod address;
pub(crate) mod body;
mod bytes;
mod key;
mod name;
mod parse;

use std::borrow::Cow;

use crate::id::{
    AppId, CredentialKey, DefinitionId, DefinitionName, DocumentId, Environment, LinkedAccountId, Namespace,
    OrgId, RecordKey,
};
use crate::model::{ChainId, EventId, Revision};
use crate::scope::Scope;
use crate::store::Key;

pub(crate) use address::Address;
pub(crate) use bytes::{
    LATER_VERSION, RowError, RowKind, SealedRow, decode_header, decode_index, decode_note, encode_body,
    encode_epoch, encode_header, encode_index, encode_note, encode_secret, expect_key, finish, infallible,
    is_unlike_others, row_body, start,
};
pub(crate) use key::VaultKeys;
pub use name::{RowName, RowPath};
pub(crate) use parse::{
    RunsOf, former_suffix, is_sealed_by_data_key, parse_former_revision, parse_last_id, runs_of,
    value_definition,
};

/// Every row that the engine writes. Ids are borrowed if a verb names the row, and owned if its key was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// A row of the whole store.
    Vault(VaultRow),
    /// A row of one tenant.
    Tenant(&'a TenantId, TenantRow<'a>),
}

/// A row of the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VaultRow {
    /// The clear header with the store id.
    Header,
    /// The sealed `store` row.
    Store,
    /// A way to the root key.
    Slot([u8; 16]),
    /// A job on keys.
    KeyJob(DocumentId),
    /// A note that the vault was moved to another store.
    Retired,
    /// A note that an org is being restored into the vault.
    OrgRestore(OrgId),
    /// A note that an org was backed up under another key.
    Export(OrgId, [u8; 16]),
}

/// A row of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TenantRow<'a> {
    /// The keys of the org, or of one account.
    Keyring(Option<Cow<'a, LinkedAccountId>>),
    /// The row whose store revision changes whenever rows that engines cache do.
    Epoch,
    /// How many definitions there are.
    Count,
    /// The row whose store revision changes with every write to what runs see, if the vault keeps generations.
    Generation,
    Definition(DefinitionId),
    /// Name to definition id; unique.
    DefinitionName(Cow<'a, DefinitionName>),
    /// Definition to one of its values.
    DefinitionValue(DefinitionId, Cow<'a, Scope>),
    Value(Cow<'a, Scope>, DefinitionId),
    /// Value id to the key of the value.
    ValueId(DocumentId),
    Account(Cow<'a, LinkedAccountId>),
    /// One connection of an integration.
    Integration(Cow<'a, LinkedAccountId>, Cow<'a, AppId>),
    Credential(Cow<'a, LinkedAccountId>, Cow<'a, AppId>, Cow<'a, CredentialKey>),
    Record(Cow<'a, Namespace>, Cow<'a, RecordKey>),
    /// An event of the audit.
    Event(EventId),
    /// How many chains of events there are.
    AuditHead,
    /// How long a chain of events is at least.
    ChainHead(ChainId),
    /// Which events were dropped for their age.
    AuditFloor,
    /// A former version of a document, at this revision.
    Former(Subject<'a>, Revision),
    /// A note that a document was deleted, with its history kept.
    Deleted(Subject<'a>),
    /// A job, such as the sweep that a delete leaves. Its key is among those of the whole store, so that a runner finds
    /// the jobs of all tenants in one range.
    Job(DocumentId),
}

/// A document that has former versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Value(Cow<'a, Scope>, DefinitionId),
    Credential(Cow<'a, LinkedAccountId>, Cow<'a, AppId>, Cow<'a, CredentialKey>),
    Definition(DefinitionId),
}

/// An org in one environment, and the prefix of its rows' keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantId {
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    prefix: Key,
    /// The start of the address of each of its rows, encoded once from org and environment.
    address: Vec<u8>,
}

/// What a row counts as in a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    OrgValue,
    WorkflowValue,
    AccountValue,
    Account,
    Integration,
    Credential,
    /// A former version or deletion: only its bytes count.
    History,
}

/// Which key seals a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedBy<'a> {
    /// None: the row is in the clear, and only a hint.
    Nothing,
    /// The slot's own key, from a passphrase, a raw key or a provider.
    SlotKey,
    /// The root key.
    Root,
    /// The data key of the tenant, or of one of its accounts.
    DataKey(Option<&'a LinkedAccountId>),
}

impl Row<'_> {
    /// The third byte of the row, and the kind in the address of its record.
    pub(crate) fn kind(&self) -> RowKind {
        match self {
            Self::Vault(row) => match row {
                VaultRow::Header => RowKind::Header,
                VaultRow::Store | VaultRow::KeyJob(_) => RowKind::Sealed,
                VaultRow::Slot(_) => RowKind::Slot,
                VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..) => RowKind::Note,
            },
            Self::Tenant(_, row) => row.kind(),
        }
    }

    pub(crate) fn sealed_by(&self) -> SealedBy<'_> {
        match self {
            Self::Vault(row) => match row {
                VaultRow::Store | VaultRow::KeyJob(_) => SealedBy::Root,
                VaultRow::Slot(_) => SealedBy::SlotKey,
                VaultRow::Header | VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..) => {
                    SealedBy::Nothing
                }
            },
            Self::Tenant(_, row) => row.sealed_by(),
        }
    }
}

impl TenantRow<'_> {
    pub(crate) fn kind(&self) -> RowKind {
        match self {
            Self::Keyring(_) => RowKind::Keyring,
            Self::Epoch | Self::Generation => RowKind::Epoch,
            Self::Definition(_) => RowKind::Definition,
            Self::DefinitionName(_) | Self::DefinitionValue(..) | Self::ValueId(_) => RowKind::Index,
            Self::Value(..) => RowKind::ScopedValue,
            Self::Credential(..) => RowKind::Credential,
            Self::Former(Subject::Value(..) | Subject::Credential(..), _) => RowKind::Former,
            Self::Deleted(Subject::Value(..) | Subject::Credential(..)) => RowKind::Deleted,
            Self::Former(Subject::Definition(_), _) => RowKind::FormerDefinition,
            Self::Deleted(Subject::Definition(_)) => RowKind::DeletedDefinition,
            Self::Count
            | Self::Account(_)
            | Self::Integration(..)
            | Self::Record(..)
            | Self::Event(_)
            | Self::AuditHead
            | Self::ChainHead(_)
            | Self::AuditFloor
            | Self::Job(_) => RowKind::Sealed,
        }
    }

    pub(crate) fn sealed_by(&self) -> SealedBy<'_> {
        match self {
            Self::Epoch
            | Self::Generation
            | Self::DefinitionName(_)
            | Self::DefinitionValue(..)
            | Self::ValueId(_) => SealedBy::Nothing,
            Self::Keyring(_) | Self::Job(_) => SealedBy::Root,
            Self::Value(scope, _) => SealedBy::DataKey(scope.linked_account()),
            Self::Credential(account, ..) => SealedBy::DataKey(Some(account)),
            Self::Former(subject, _) | Self::Deleted(subject) => SealedBy::DataKey(subject.account()),
            Self::Count
            | Self::Definition(_)
            | Self::Account(_)
            | Self::Integration(..)
            | Self::Record(..)
            | Self::Event(_)
            | Self::AuditHead
            | Self::ChainHead(_)
            | Self::AuditFloor => SealedBy::DataKey(None),
        }
    }
}

impl<'a> Subject<'a> {
    pub(crate) fn value(scope: &'a Scope, definition: &DefinitionId) -> Self {
        Self::Value(Cow::Borrowed(scope), *definition)
    }

    pub(crate) fn credential(
        account: &'a LinkedAccountId,
        app: &'a AppId,
        key_name: &'a CredentialKey,
    ) -> Self {
        Self::Credential(Cow::Borrowed(account), Cow::Borrowed(app), Cow::Borrowed(key_name))
    }

    /// The account whose data key seals the document and its history.
    pub(crate) fn account(&self) -> Option<&LinkedAccountId> {
        match self {
            Self::Value(scope, _) => scope.linked_account(),
            Self::Credential(account, ..) => Some(account),
            Self::Definition(_) => None,
        }
    }
}

impl Row<'_> {
    /// The revision in the row's key. The row must state the same one, so a former version in another one's place is
    /// refused.
    pub(crate) fn revision_in_key(&self) -> Option<Revision> {
        match self {
            Self::Tenant(_, TenantRow::Former(_, revision)) => Some(*revision),
            _ => None,
        }
    }
}

impl SealedBy<'_> {
    /// The account whose data key it is; `None` for the org's data key and for all other keys.
    pub(crate) fn account(&self) -> Option<&LinkedAccountId> {
        match self {
            Self::DataKey(account) => *account,
            Self::Nothing | Self::SlotKey | Self::Root => None,
        }
    }
}

/// The rows of a tenant.
impl TenantId {
    pub(crate) fn keyring<'a>(&'a self, account: Option<&'a LinkedAccountId>) -> Row<'a> {
        Row::Tenant(self, TenantRow::Keyring(account.map(Cow::Borrowed)))
    }

    pub(crate) fn epoch(&self) -> Row<'_> {
        Row::Tenant(self, TenantRow::Epoch)
    }

    pub(crate) fn count(&self) -> Row<'_> {
        Row::Tenant(self, TenantRow::Count)
    }

    pub(crate) fn generation(&self) -> Row<'_> {
        Row::Tenant(self, TenantRow::Generation)
    }

    pub(crate) fn definition(&self, id: &DefinitionId) -> Row<'_> {
        Row::Tenant(self, TenantRow::Definition(*id))
    }

    pub(crate) fn definition_name<'a>(&'a self, name: &'a DefinitionName) -> Row<'a> {
        Row::Tenant(self, TenantRow::DefinitionName(Cow::Borrowed(name)))
    }

    pub(crate) fn definition_value<'a>(&'a self, id: &DefinitionId, scope: &'a Scope) -> Row<'a> {
        Row::Tenant(self, TenantRow::DefinitionValue(*id, Cow::Borrowed(scope)))
    }

    pub(crate) fn value<'a>(&'a self, scope: &'a Scope, definition: &DefinitionId) -> Row<'a> {
        Row::Tenant(self, TenantRow::Value(Cow::Borrowed(scope), *definition))
    }

    pub(crate) fn value_id(&self, id: &DocumentId) -> Row<'_> {
        Row::Tenant(self, TenantRow::ValueId(*id))
    }

    pub(crate) fn account<'a>(&'a self, account: &'a LinkedAccountId) -> Row<'a> {
        Row::Tenant(self, TenantRow::Account(Cow::Borrowed(account)))
    }

    pub(crate) fn integration<'a>(&'a self, account: &'a LinkedAccountId, app: &'a AppId) -> Row<'a> {
        Row::Tenant(self, TenantRow::Integration(Cow::Borrowed(account), Cow::Borrowed(app)))
    }

    pub(crate) fn credential<'a>(
        &'a self,
        account: &'a LinkedAccountId,
        app: &'a AppId,
        key_name: &'a CredentialKey,
    ) -> Row<'a> {
        let (account, app) = (Cow::Borrowed(account), Cow::Borrowed(app));
        Row::Tenant(self, TenantRow::Credential(account, app, Cow::Borrowed(key_name)))
    }

    pub(crate) fn record<'a>(&'a self, namespace: &'a Namespace, key: &'a RecordKey) -> Row<'a> {
        Row::Tenant(self, TenantRow::Record(Cow::Borrowed(namespace), Cow::Borrowed(key)))
    }

    pub(crate) fn event(&self, id: &EventId) -> Row<'_> {
        Row::Tenant(self, TenantRow::Event(*id))
    }

    pub(crate) fn audit_head(&self) -> Row<'_> {
        Row::Tenant(self, TenantRow::AuditHead)
    }

    pub(crate) fn chain_head(&self, chain: ChainId) -> Row<'_> {
        Row::Tenant(self, TenantRow::ChainHead(chain))
    }

    pub(crate) fn audit_floor(&self) -> Row<'_> {
        Row::Tenant(self, TenantRow::AuditFloor)
    }

    pub(crate) fn former<'a>(&'a self, subject: &Subject<'a>, revision: Revision) -> Row<'a> {
        Row::Tenant(self, TenantRow::Former(subject.clone(), revision))
    }

    pub(crate) fn deleted<'a>(&'a self, subject: &Subject<'a>) -> Row<'a> {
        Row::Tenant(self, TenantRow::Deleted(subject.clone()))
    }

    pub(crate) fn job(&self, id: &DocumentId) -> Row<'_> {
        Row::Tenant(self, TenantRow::Job(*id))
    }
}
