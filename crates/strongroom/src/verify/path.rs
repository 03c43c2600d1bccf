//! What a row is called in a report.

use std::fmt;

use crate::id::{DefinitionId, Environment, LinkedAccountId, OrgId, WorkflowId};
use crate::row::parse::Place;
use crate::scope::Scope;
use crate::tenant::Tenant;

/// Which row: what it is and whose. Of a host's record it tells the namespace alone, since its key may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowPath {
    /// What the row is.
    pub row: RowName,
    /// Whose it is; `None` for a row of the whole store.
    pub org: Option<OrgId>,
    /// In which environment.
    pub environment: Option<Environment>,
    /// Of which linked account.
    pub linked_account: Option<LinkedAccountId>,
    /// Of which workflow.
    pub workflow: Option<WorkflowId>,
    /// Of which variable definition.
    pub definition_id: Option<DefinitionId>,
    /// The id of a slot, a job or a value; the name of a definition; an integration; the namespace of a record.
    pub name: Option<String>,
    /// The key of a credential.
    pub key_name: Option<String>,
}

impl RowPath {
    pub(super) fn new(tenant: Option<&Tenant>, place: Option<&Place>) -> Self {
        let mut path = Self {
            row: place.map_or(RowName::Foreign, RowName::of),
            org: tenant.map(|tenant| tenant.org),
            environment: tenant.map(|tenant| tenant.environment.clone()),
            linked_account: None,
            workflow: None,
            definition_id: None,
            name: None,
            key_name: None,
        };
        if let Some(place) = place {
            path.fill(place);
        }
        path
    }

    fn fill(&mut self, place: &Place) {
        match place {
            Place::Header | Place::StoreRow | Place::Note | Place::Epoch | Place::Count => {}
            Place::Slot(id) => self.name = Some(hex::encode(id)),
            Place::Job(id) | Place::KeyJob(id) | Place::ValueId(id) => self.name = Some(id.to_string()),
            Place::Keyring(account) => self.linked_account.clone_from(account),
            Place::Definition(id) => self.definition_id = Some(*id),
            Place::DefinitionName(name) => self.name = Some(name.to_string()),
            Place::DefinitionValue(id, scope) | Place::Value(scope, id) => {
                self.definition_id = Some(*id);
                match scope {
                    Scope::Org => {}
                    Scope::LinkedAccount(account) => self.linked_account = Some(account.clone()),
                    Scope::Workflow(workflow) => self.workflow = Some(workflow.clone()),
                }
            }
            Place::Account(account) => self.linked_account = Some(account.clone()),
            Place::Integration(account, integration) => {
                self.linked_account = Some(account.clone());
                self.name = Some(integration.to_string());
            }
            Place::Credential(account, integration, key_name) => {
                self.linked_account = Some(account.clone());
                self.name = Some(integration.to_string());
                self.key_name = Some(key_name.to_string());
            }
            Place::Record(namespace, _) => self.name = Some(namespace.to_string()),
        }
    }
}

impl fmt::Display for RowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.row)?;
        for (label, part) in [
            ("", self.name.as_ref().map(ToString::to_string)),
            ("", self.key_name.as_ref().map(ToString::to_string)),
            ("of definition ", self.definition_id.as_ref().map(ToString::to_string)),
            ("of linked account ", self.linked_account.as_ref().map(ToString::to_string)),
            ("of workflow ", self.workflow.as_ref().map(ToString::to_string)),
            ("in org ", self.org.as_ref().map(ToString::to_string)),
            ("environment ", self.environment.as_ref().map(ToString::to_string)),
        ] {
            if let Some(part) = part {
                write!(f, " {label}{part}")?;
            }
        }
        Ok(())
    }
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RowName {
    /// The store's header.
    Header,
    /// A key slot.
    Slot,
    /// The sealed `store` row.
    StoreRow,
    /// A note that the vault moved, or that a backup was made.
    Note,
    /// A job.
    Job,
    /// The keyring of an org or of a linked account.
    Keyring,
    /// The epoch of an org.
    Epoch,
    /// The number of an org's definitions.
    Count,
    /// A variable definition.
    Definition,
    /// The index row of a definition's name.
    DefinitionName,
    /// The index row from a definition to one of its values.
    DefinitionValue,
    /// A scoped value.
    Value,
    /// The index row of a value's document id.
    ValueId,
    /// A linked account.
    LinkedAccount,
    /// An integration.
    Integration,
    /// A credential.
    Credential,
    /// A record of the host's.
    Record,
    /// A row whose key is none of a vault's.
    Foreign,
}

impl RowName {
    /// One word in `snake_case`, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Slot => "slot",
            Self::StoreRow => "store_row",
            Self::Note => "note",
            Self::Job => "job",
            Self::Keyring => "keyring",
            Self::Epoch => "epoch",
            Self::Count => "count",
            Self::Definition => "definition",
            Self::DefinitionName => "definition_name",
            Self::DefinitionValue => "definition_value",
            Self::Value => "value",
            Self::ValueId => "value_id",
            Self::LinkedAccount => "linked_account",
            Self::Integration => "integration",
            Self::Credential => "credential",
            Self::Record => "record",
            Self::Foreign => "foreign",
        }
    }

    fn of(place: &Place) -> Self {
        match place {
            Place::Header => Self::Header,
            Place::Slot(_) => Self::Slot,
            Place::StoreRow => Self::StoreRow,
            Place::Note => Self::Note,
            Place::Job(_) | Place::KeyJob(_) => Self::Job,
            Place::Keyring(_) => Self::Keyring,
            Place::Epoch => Self::Epoch,
            Place::Count => Self::Count,
            Place::Definition(_) => Self::Definition,
            Place::DefinitionName(_) => Self::DefinitionName,
            Place::DefinitionValue(..) => Self::DefinitionValue,
            Place::Value(..) => Self::Value,
            Place::ValueId(_) => Self::ValueId,
            Place::Account(_) => Self::LinkedAccount,
            Place::Integration(..) => Self::Integration,
            Place::Credential(..) => Self::Credential,
            Place::Record(..) => Self::Record,
        }
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the store's header",
            Self::Slot => "the key slot",
            Self::StoreRow => "the sealed `store` row",
            Self::Note => "the note of a copy or backup",
            Self::Job => "the job",
            Self::Keyring => "the keyring",
            Self::Epoch => "the epoch",
            Self::Count => "the count of definitions",
            Self::Definition => "the variable definition",
            Self::DefinitionName => "the index row of the name",
            Self::DefinitionValue => "the index row of the value",
            Self::Value => "the scoped value",
            Self::ValueId => "the index row of the value id",
            Self::LinkedAccount => "the row",
            Self::Integration => "the integration",
            Self::Credential => "the credential",
            Self::Record => "the record in",
            Self::Foreign => "a row of an unknown kind",
        })
    }
}
