//! The names of rows in reports and errors.

use std::fmt;

use super::{Row, Subject, TenantId, TenantRow, VaultRow};
use crate::id::{
    AppId, ConnectionId, CredentialKey, DefinitionId, Environment, LinkedAccountId, OrgId, WorkflowId,
};
use crate::scope::Scope;
use crate::store::Key;

/// A row's name: what it is and whose. For a host's own record it only has the namespace, since the record's key may be
/// a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowPath {
    /// What the row is.
    pub row: RowName,
    /// The org; `None` for a row of the whole store.
    pub org: Option<OrgId>,
    /// The environment.
    pub environment: Option<Environment>,
    /// The linked account.
    pub linked_account: Option<LinkedAccountId>,
    /// The workflow.
    pub workflow: Option<WorkflowId>,
    /// The variable definition.
    pub definition_id: Option<DefinitionId>,
    /// The definition's name, if a verification found it.
    pub definition_name: Option<String>,
    /// The id of a slot, job or value; the name of a definition; an integration; the namespace of a record.
    pub name: Option<String>,
    /// Which connection of the integration; `None` for the default one.
    pub connection: Option<ConnectionId>,
    /// The key of a credential, or of a record in a [reserved](crate::Namespace::is_reserved) namespace, such as the id
    /// of an API key.
    pub key_name: Option<String>,
}

impl RowPath {
    /// The path of a row whose key is not in the format.
    pub(crate) fn foreign(tenant: Option<&TenantId>) -> Self {
        Self {
            row: RowName::Foreign,
            org: tenant.map(|tenant| tenant.org),
            environment: tenant.map(|tenant| tenant.environment.clone()),
            linked_account: None,
            workflow: None,
            definition_id: None,
            definition_name: None,
            name: None,
            connection: None,
            key_name: None,
        }
    }

    /// A name within a sentence. Names of integrations and connections may be any text, so one that could be read as
    /// several words is quoted.
    fn shown(&self, name: &str) -> String {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/');
        // Among the rows of an account, only apps have a name.
        if self.linked_account.is_some() && !name.chars().all(is_word) {
            return format!("{name:?}");
        }
        name.to_owned()
    }

    fn definition(&self) -> Option<String> {
        let id = self.definition_id?;
        Some(self.definition_name.as_ref().map_or_else(|| id.to_string(), |name| format!("{name} ({id})")))
    }

    fn fill_vault(&mut self, row: VaultRow) {
        match row {
            VaultRow::Header | VaultRow::Store | VaultRow::Retired => {}
            VaultRow::Slot(id) => self.name = Some(hex::encode(id)),
            VaultRow::KeyJob(id) => self.name = Some(id.to_string()),
            VaultRow::OrgRestore(org) | VaultRow::Export(org, _) => self.org = Some(org),
        }
    }

    fn fill_tenant(&mut self, row: &TenantRow<'_>) {
        match row {
            TenantRow::Epoch
            | TenantRow::Generation
            | TenantRow::Count
            | TenantRow::AuditHead
            | TenantRow::AuditFloor => {}
            TenantRow::Event(id) => self.name = Some(id.to_string()),
            TenantRow::ChainHead(chain) => self.name = Some(hex::encode(chain)),
            TenantRow::Job(id) | TenantRow::ValueId(id) => self.name = Some(id.to_string()),
            TenantRow::Keyring(account) => self.linked_account = account.as_deref().cloned(),
            TenantRow::Definition(id) => self.definition_id = Some(*id),
            TenantRow::DefinitionName(name) => self.name = Some(name.to_string()),
            TenantRow::DefinitionValue(id, scope) | TenantRow::Value(scope, id) => {
                self.fill_value(scope, *id);
            }
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => match subject {
                Subject::Value(scope, id) => self.fill_value(scope, *id),
                Subject::Definition(id) => self.definition_id = Some(*id),
                Subject::Credential(account, app, key_name) => self.fill_credential(account, app, key_name),
            },
            TenantRow::Account(account) => self.linked_account = Some(account.as_ref().clone()),
            TenantRow::Integration(account, app) => self.fill_app(account, app),
            TenantRow::Credential(account, app, key_name) => self.fill_credential(account, app, key_name),
            TenantRow::Record(namespace, key) => {
                self.name = Some(namespace.to_string());
                self.key_name = namespace.is_reserved().then(|| key.to_string());
            }
        }
    }

    fn fill_value(&mut self, scope: &Scope, definition: DefinitionId) {
        self.definition_id = Some(definition);
        self.linked_account = scope.linked_account().cloned();
        self.workflow = scope.workflow().cloned();
    }

    fn fill_app(&mut self, account: &LinkedAccountId, app: &AppId) {
        self.linked_account = Some(account.clone());
        self.name = Some(app.integration().to_string());
        self.connection = app.connection();
    }

    fn fill_credential(&mut self, account: &LinkedAccountId, app: &AppId, key_name: &CredentialKey) {
        self.fill_app(account, app);
        self.key_name = Some(key_name.to_string());
    }
}

impl Row<'_> {
    /// The row's name in a report.
    pub(crate) fn path(&self) -> RowPath {
        match self {
            Self::Vault(row) => {
                let mut path = RowPath { row: RowName::of_vault(*row), ..RowPath::foreign(None) };
                path.fill_vault(*row);
                path
            }
            Self::Tenant(tenant, row) => {
                let mut path = RowPath { row: RowName::of_tenant(row), ..RowPath::foreign(Some(tenant)) };
                path.fill_tenant(row);
                path
            }
        }
    }

    /// The row's name in an error: its kind and the ids of its address; for a host's own record, only the namespace.
    pub(crate) fn name(&self) -> String {
        self.path().to_string()
    }
}

impl fmt::Display for RowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.row)?;
        for (label, part) in [
            ("", self.name.as_ref().map(|name| self.shown(name))),
            ("connection ", self.connection.as_ref().map(|id| self.shown(id.as_str()))),
            ("", self.key_name.as_ref().map(ToString::to_string)),
            ("of definition ", self.definition()),
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
    /// The generation of an org in an environment.
    Generation,
    /// The number of an org's definitions.
    Count,
    /// An event of the audit.
    Event,
    /// The number of chains of events of an org.
    AuditHead,
    /// The minimum length of a chain of events.
    ChainHead,
    /// Which events of the audit were dropped for their age.
    AuditFloor,
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
    /// A record of the host.
    Record,
    /// A former version of a scoped value.
    FormerValue,
    /// A note that a scoped value was deleted, with its history kept.
    DeletedValue,
    /// A former version of a credential.
    FormerCredential,
    /// A note that a credential was deleted, with its history kept.
    DeletedCredential,
    /// A former version of a variable definition.
    FormerDefinition,
    /// A note that a variable definition was deleted, with its history kept.
    DeletedDefinition,
    /// A row whose key is not in the format.
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
            Self::Generation => "generation",
            Self::Count => "count",
            Self::Event => "event",
            Self::AuditHead => "audit_head",
            Self::ChainHead => "chain_head",
            Self::AuditFloor => "audit_floor",
            Self::Definition => "definition",
            Self::DefinitionName => "definition_name",
            Self::DefinitionValue => "definition_value",
            Self::Value => "value",
            Self::ValueId => "value_id",
            Self::LinkedAccount => "linked_account",
            Self::Integration => "integration",
            Self::Credential => "credential",
            Self::Record => "record",
            Self::FormerValue => "former_value",
            Self::DeletedValue => "deleted_value",
            Self::FormerCredential => "former_credential",
            Self::DeletedCredential => "deleted_credential",
            Self::FormerDefinition => "former_definition",
            Self::DeletedDefinition => "deleted_definition",
            Self::Foreign => "foreign",
        }
    }

    /// What the row with this key is: one of the whole store, or of the tenant.
    pub(crate) fn of(tenant: &TenantId, key: &Key) -> Self {
        let of_tenant = || tenant.parse_row(key.as_bytes()).map(|row| Self::of_tenant(&row));
        VaultRow::parse(key).map(Self::of_vault).or_else(of_tenant).unwrap_or(Self::Foreign)
    }

    fn of_vault(row: VaultRow) -> Self {
        match row {
            VaultRow::Header => Self::Header,
            VaultRow::Slot(_) => Self::Slot,
            VaultRow::Store => Self::StoreRow,
            VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..) => Self::Note,
            VaultRow::KeyJob(_) => Self::Job,
        }
    }

    fn of_tenant(row: &TenantRow<'_>) -> Self {
        match row {
            TenantRow::Job(_) => Self::Job,
            TenantRow::Keyring(_) => Self::Keyring,
            TenantRow::Epoch => Self::Epoch,
            TenantRow::Generation => Self::Generation,
            TenantRow::Count => Self::Count,
            TenantRow::Event(_) => Self::Event,
            TenantRow::AuditHead => Self::AuditHead,
            TenantRow::ChainHead(_) => Self::ChainHead,
            TenantRow::AuditFloor => Self::AuditFloor,
            TenantRow::Definition(_) => Self::Definition,
            TenantRow::DefinitionName(_) => Self::DefinitionName,
            TenantRow::DefinitionValue(..) => Self::DefinitionValue,
            TenantRow::Value(..) => Self::Value,
            TenantRow::ValueId(_) => Self::ValueId,
            TenantRow::Account(_) => Self::LinkedAccount,
            TenantRow::Integration(..) => Self::Integration,
            TenantRow::Credential(..) => Self::Credential,
            TenantRow::Record(..) => Self::Record,
            TenantRow::Former(Subject::Value(..), _) => Self::FormerValue,
            TenantRow::Deleted(Subject::Value(..)) => Self::DeletedValue,
            TenantRow::Former(Subject::Credential(..), _) => Self::FormerCredential,
            TenantRow::Deleted(Subject::Credential(..)) => Self::DeletedCredential,
            TenantRow::Former(Subject::Definition(_), _) => Self::FormerDefinition,
            TenantRow::Deleted(Subject::Definition(_)) => Self::DeletedDefinition,
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
            Self::Generation => "the generation",
            Self::Count => "the count of definitions",
            Self::Event => "the event",
            Self::AuditHead => "the head of the audit",
            Self::ChainHead => "the head of a chain of events",
            Self::AuditFloor => "the note of dropped events",
            Self::Definition => "the variable definition",
            Self::DefinitionName => "the index row of the name",
            Self::DefinitionValue => "the index row of the value",
            Self::Value => "the scoped value",
            Self::ValueId => "the index row of the value id",
            Self::LinkedAccount => "the row",
            Self::Integration => "the integration",
            Self::Credential => "the credential",
            Self::Record => "the record in",
            Self::FormerValue => "a former version of the scoped value",
            Self::DeletedValue => "the deletion of the scoped value",
            Self::FormerCredential => "a former version of the credential",
            Self::DeletedCredential => "the deletion of the credential",
            Self::FormerDefinition => "a former version of the variable definition",
            Self::DeletedDefinition => "the deletion of the variable definition",
            Self::Foreign => "a row of an unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_connections_have_the_same_name() {
        let tenant = TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        let account: LinkedAccountId = "a".parse().unwrap();
        let apps =
            [("crm", Some("work")), ("crm (work)", None), ("crm connection work", None), ("crm", None)];
        let names = apps.map(|(integration, connection)| {
            let connection: Option<ConnectionId> = connection.map(|id| id.parse().unwrap());
            let app = AppId::of(&integration.parse().unwrap(), connection.as_ref());
            let path = tenant.integration(&account, &app).path();
            assert_eq!((path.name.as_deref(), &path.connection), (Some(integration), &connection));
            path.to_string()
        });
        let starts = ["crm connection work of", "\"crm (work)\" of", "\"crm connection work\" of", "crm of"];
        for (name, start) in names.iter().zip(starts) {
            let rest = name.strip_prefix(&format!("{} ", RowName::Integration)).unwrap();
            assert!(rest.starts_with(start), "{name}");
        }
    }
}
