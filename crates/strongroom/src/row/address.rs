//! The address that a sealed row is bound to: its store, its place in it, its document and revision. A record that was
//! sealed at one address opens at no other.
//!
//! ```text
//! store id(16) | org | environment | account? | kind(1) | workflow? | name | key name | document id | revision(8)
//! ```
//!
//! A text is `length(4) | bytes`; an optional text is `00`, or `01` and the text. So each address has only one
//! encoding, and no two addresses share one (`docs/FORMAT.md`, "Contexts").

use super::{Row, Subject, TenantRow, VaultRow};
use crate::envelope::{self, StoreId};
use crate::id::{AppId, CredentialKey, DefinitionId, DocumentId, LinkedAccountId, WorkflowId};
use crate::model::{ChainId, EventId, Revision};
use crate::scope::Scope;

/// The address of a record. Document id and revision come from the row itself: a row that states others than it was
/// sealed with does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address<'a> {
    pub(crate) row: &'a Row<'a>,
    store_id: &'a StoreId,
    doc_id: Option<DocumentId>,
    revision: Revision,
    kind: u8,
}

/// The kind of a ciphertext that is shown to a client, so that a copy of it never opens as a row.
const SHOWN: u8 = 8;

impl<'a> Row<'a> {
    /// The address of the row in a store, for the document and revision that the row states.
    pub(crate) fn address(
        &'a self,
        store_id: &'a StoreId,
        doc_id: Option<DocumentId>,
        revision: Revision,
    ) -> Address<'a> {
        Address { row: self, store_id, doc_id, revision, kind: self.kind() as u8 }
    }
}

impl Address<'_> {
    /// The address of a copy of the row's value that is shown to a client.
    pub(crate) fn shown(self) -> Self {
        Self { kind: SHOWN, ..self }
    }
}

/// The parts of an address that name the row, as the texts that are authenticated.
struct Texts<'a> {
    account: Option<&'a LinkedAccountId>,
    workflow: Option<&'a WorkflowId>,
    name: Name<'a>,
    key_name: Name<'a>,
}

/// A text of an address.
enum Name<'a> {
    Text(&'a str),
    /// 24 hexadecimal digits.
    Id([u8; 12]),
    /// 32 hexadecimal digits.
    SlotId([u8; 16]),
    /// 48 hexadecimal digits.
    EventId([u8; EventId::LEN]),
    /// 16 hexadecimal digits.
    ChainId(ChainId),
    /// Two texts with a NUL between them, which neither can contain.
    Pair(&'a str, &'a str),
}

impl<'a> Texts<'a> {
    fn of(row: &'a Row<'a>) -> Self {
        match row {
            Row::Vault(row) => Self::of_vault(*row),
            Row::Tenant(_, row) => Self::of_tenant(row),
        }
    }

    fn of_vault(row: VaultRow) -> Self {
        match row {
            VaultRow::Store => Self::named("store"),
            VaultRow::Slot(id) => Self { key_name: Name::SlotId(id), ..Self::named("slot") },
            VaultRow::KeyJob(id) => Self { key_name: Name::Id(*id.as_bytes()), ..Self::named("job") },
            // These rows are not sealed, so nothing asks for their address.
            VaultRow::Header | VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..) => {
                Self::named("")
            }
        }
    }

    fn of_tenant(row: &'a TenantRow<'a>) -> Self {
        match row {
            TenantRow::Keyring(account) => Self { account: account.as_deref(), ..Self::named("keyring") },
            TenantRow::Count => Self::named("count"),
            TenantRow::Definition(id) => Self::of_definition(id),
            TenantRow::Value(scope, definition) => Self::of_value(scope, definition),
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => Self::of_subject(subject),
            TenantRow::Account(account) => {
                Self { key_name: Name::Text(account.as_str()), ..Self::of_account("account", account) }
            }
            TenantRow::Integration(account, app) => {
                Self { key_name: Name::Text(app.as_stored()), ..Self::of_account("integration", account) }
            }
            TenantRow::Credential(account, app, key_name) => Self::of_credential(account, app, key_name),
            TenantRow::Record(namespace, key) => {
                Self { key_name: Name::Pair(namespace.as_str(), key.as_str()), ..Self::named("record") }
            }
            TenantRow::Event(id) => Self { key_name: Name::EventId(id.to_bytes()), ..Self::named("event") },
            TenantRow::AuditHead => Self::named("audit"),
            TenantRow::ChainHead(chain) => Self { key_name: Name::ChainId(*chain), ..Self::named("chain") },
            TenantRow::AuditFloor => Self::named("floor"),
            TenantRow::Job(id) => Self { key_name: Name::Id(*id.as_bytes()), ..Self::named("job") },
            // These rows are not sealed, so nothing asks for their address.
            TenantRow::Epoch
            | TenantRow::Generation
            | TenantRow::DefinitionName(_)
            | TenantRow::DefinitionValue(..)
            | TenantRow::ValueId(_) => Self::named(""),
        }
    }

    /// A former version has the texts of the current one, and another kind.
    fn of_subject(subject: &'a Subject<'a>) -> Self {
        match subject {
            Subject::Value(scope, definition) => Self::of_value(scope, definition),
            Subject::Credential(account, app, key_name) => Self::of_credential(account, app, key_name),
            Subject::Definition(id) => Self::of_definition(id),
        }
    }

    fn of_definition(id: &DefinitionId) -> Self {
        Self { name: Name::Id(*id.as_bytes()), ..Self::named("") }
    }

    fn of_value(scope: &'a Scope, definition: &DefinitionId) -> Self {
        Self {
            account: scope.linked_account(),
            workflow: scope.workflow(),
            ..Self::of_definition(definition)
        }
    }

    fn of_credential(account: &'a LinkedAccountId, app: &'a AppId, key_name: &'a CredentialKey) -> Self {
        Self { key_name: Name::Text(key_name.as_str()), ..Self::of_account(app.as_stored(), account) }
    }

    fn named(name: &'a str) -> Self {
        Self { account: None, workflow: None, name: Name::Text(name), key_name: Name::Text("") }
    }

    fn of_account(name: &'a str, account: &'a LinkedAccountId) -> Self {
        Self { account: Some(account), ..Self::named(name) }
    }
}

impl envelope::Address for Address<'_> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let texts = Texts::of(self.row);
        out.extend_from_slice(self.store_id);
        match self.row {
            Row::Vault(_) => {
                put_text(out, "");
                put_text(out, "");
            }
            Row::Tenant(tenant, _) => {
                out.extend_from_slice(&tenant.address);
            }
        }
        put_optional(out, texts.account.map(LinkedAccountId::as_str));
        out.push(self.kind);
        put_optional(out, texts.workflow.map(WorkflowId::as_str));
        texts.name.put(out);
        texts.key_name.put(out);
        match self.doc_id {
            Some(id) => put_text(out, id.to_text().as_str()),
            None => put_text(out, ""),
        }
        out.extend_from_slice(&self.revision.as_u64().to_be_bytes());
    }
}

impl Name<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => put_text(out, text),
            Self::Id(id) => put_text(out, DocumentId::from(*id).to_text().as_str()),
            Self::SlotId(id) => put_text(out, &hex::encode(id)),
            Self::EventId(id) => put_text(out, &hex::encode(id)),
            Self::ChainId(id) => put_text(out, &hex::encode(id)),
            Self::Pair(first, second) => {
                put_len(out, first.len() + 1 + second.len());
                out.extend_from_slice(first.as_bytes());
                out.push(0);
                out.extend_from_slice(second.as_bytes());
            }
        }
    }
}

fn put_optional(out: &mut Vec<u8>, field: Option<&str>) {
    out.push(u8::from(field.is_some()));
    if let Some(text) = field {
        put_text(out, text);
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// An id has at most 256 bytes, so its length always fits.
fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Address as _;
    use crate::id::Environment;
    use crate::row::TenantId;

    const STORE: StoreId = [1; 16];

    fn encoded(address: Address<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        address.encode_into(&mut bytes);
        bytes
    }

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let (tenant, user) = (tenant(), "user".parse().unwrap());
        let row = tenant.keyring(Some(&user));
        let wanted = "010101010101010101010101010101010000001836353030613162326333643465356636613762386339643000\
                      000004746573740100000004757365720600000000076b657972696e670000000000000000\
                      0000000000000003";
        assert_eq!(hex::encode(encoded(row.address(&STORE, None, Revision::from_u64(3)))), wanted);
    }

    #[test]
    fn rows_of_one_account_id_and_one_workflow_id_have_different_addresses() {
        let (tenant, id) = (tenant(), &"0000000000000000000000ff".parse().unwrap());
        let scopes =
            [Scope::Org, Scope::LinkedAccount("a".parse().unwrap()), Scope::Workflow("a".parse().unwrap())];
        let rows = scopes.each_ref().map(|scope| tenant.value(scope, id));
        let bytes = rows.each_ref().map(|row| encoded(row.address(&STORE, None, Revision::from_u64(1))));
        assert!(bytes[0] != bytes[1] && bytes[1] != bytes[2] && bytes[0] != bytes[2]);
    }

    #[test]
    fn a_former_version_and_a_deletion_have_other_addresses_than_the_current_one() {
        let (tenant, id) = (tenant(), &"0000000000000000000000ff".parse().unwrap());
        let revision = Revision::from_u64(1);
        let rows = [
            tenant.value(&Scope::Org, id),
            tenant.former(&Subject::value(&Scope::Org, id), revision),
            tenant.deleted(&Subject::value(&Scope::Org, id)),
        ];
        let bytes = rows.each_ref().map(|row| encoded(row.address(&STORE, None, revision)));
        assert!(bytes[0] != bytes[1] && bytes[1] != bytes[2] && bytes[0] != bytes[2]);
        let next = tenant.former(&Subject::value(&Scope::Org, id), revision.next());
        assert_ne!(encoded(next.address(&STORE, None, revision.next())), bytes[1]);
    }

    #[test]
    fn what_is_shown_has_another_address_than_its_row() {
        let tenant = tenant();
        let row = tenant.value(&Scope::Org, &"0000000000000000000000ff".parse().unwrap());
        let address = row.address(&STORE, None, Revision::from_u64(1));
        assert_ne!(encoded(address), encoded(address.shown()));
    }
}
