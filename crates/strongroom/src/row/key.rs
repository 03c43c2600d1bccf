//! The key of each row, and the ranges of keys that hold rows of one kind.
//!
//! Keys are tenant-major: `01 | org 00 | environment 00 | kind | ...`, so that one tenant is one range, and so are the
//! values of one scope. Ids contain no NUL and end with one, so no id's range includes another's rows. Rows of the
//! whole store start with `00`. [`docs::format_v1`](crate::docs::format_v1) lists all keys.

use super::address::put_text;
use super::parse::former_suffix;
use crate::id::{AppId, DefinitionId, Environment, IntegrationId, LinkedAccountId, Namespace, OrgId};
use crate::row::{Row, Subject, TenantId, TenantRow, VaultRow};
use crate::scope::{Scope, ScopeKind};
use crate::store::{Key, KeyRange};

impl Row<'_> {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Vault(row) => row.key(),
            Self::Tenant(tenant, TenantRow::Job(id)) => {
                let mut key = Key::from(tenant.jobs().start);
                key.extend(id.as_bytes());
                key
            }
            Self::Tenant(tenant, row) => {
                let mut key = tenant.prefix.clone();
                row.write_key(&mut key);
                key
            }
        }
    }
}

impl VaultRow {
    /// The key of the row.
    pub(crate) fn key(self) -> Key {
        let mut key = Key::from([WHOLE_STORE].as_slice());
        self.write_key(&mut key);
        key
    }

    fn write_key(self, key: &mut Key) {
        match self {
            Self::Header => key.push(HEADER),
            Self::Store => key.push(STORE),
            Self::Slot(id) => push(key, SLOT, &id),
            Self::KeyJob(id) => push(key, KEY_JOB, id.as_bytes()),
            Self::Retired => key.push(RETIRED),
            Self::OrgRestore(org) => {
                key.push(ORG_RESTORE);
                push_id(key, org.to_text().as_str());
            }
            Self::Export(org, file_id) => {
                key.push(EXPORT);
                push_id(key, org.to_text().as_str());
                key.extend(&file_id);
            }
        }
    }
}

impl TenantRow<'_> {
    /// Appends to the prefix of the tenant.
    fn write_key(&self, key: &mut Key) {
        match self {
            Self::Keyring(account) => {
                key.push(KEYRING);
                if let Some(account) = account {
                    push_id(key, account.as_str());
                }
            }
            Self::Epoch => key.push(EPOCH),
            Self::Count => key.push(COUNT),
            Self::Generation => key.push(GENERATION),
            Self::Definition(id) => push(key, DEFINITION, id.as_bytes()),
            Self::DefinitionName(name) => push(key, DEFINITION_NAME, name.as_str().as_bytes()),
            Self::DefinitionValue(id, scope) => {
                push(key, DEFINITION_VALUE, id.as_bytes());
                push_scope(key, scope);
            }
            Self::Value(scope, definition) => {
                key.push(VALUE);
                push_scope(key, scope);
                key.extend(definition.as_bytes());
            }
            Self::ValueId(id) => push(key, VALUE_ID, id.as_bytes()),
            Self::Account(account) => push_ids(key, ACCOUNT, [account.as_str()]),
            Self::Integration(account, app) => {
                push_ids(key, INTEGRATION, [account.as_str(), app.as_stored()]);
            }
            Self::Credential(account, app, key_name) => {
                push_ids(key, CREDENTIAL, [account.as_str(), app.as_stored(), key_name.as_str()]);
            }
            Self::Record(namespace, record) => push_ids(key, RECORD, [namespace.as_str(), record.as_str()]),
            Self::Event(id) => push(key, EVENT, &id.to_bytes()),
            Self::AuditHead => key.push(AUDIT_HEAD),
            Self::ChainHead(chain) => push(key, CHAIN_HEAD, chain),
            Self::AuditFloor => key.push(AUDIT_FLOOR),
            Self::Former(subject, revision) => {
                subject.write_key(key);
                key.extend(&former_suffix(*revision));
            }
            Self::Deleted(subject) => subject.write_key(key),
            // Written above, since it does not have the tenant's prefix.
            Self::Job(_) => {}
        }
    }
}

impl Subject<'_> {
    /// Appends to the prefix of the tenant.
    fn write_key(&self, key: &mut Key) {
        match self {
            Self::Value(scope, definition) => {
                key.extend(&[HISTORY, VALUE]);
                push_scope(key, scope);
                key.extend(definition.as_bytes());
            }
            Self::Credential(account, app, key_name) => {
                key.push(HISTORY);
                push_ids(key, CREDENTIAL, [account.as_str(), app.as_stored(), key_name.as_str()]);
            }
            Self::Definition(definition) => {
                key.extend(&[HISTORY, DEFINITION]);
                key.extend(definition.as_bytes());
            }
        }
    }
}

/// The ranges of a tenant.
impl TenantId {
    pub(crate) fn new(org: OrgId, environment: Environment) -> Self {
        let mut prefix = Key::from([TENANT].as_slice());
        push_id(&mut prefix, org.to_text().as_str());
        push_id(&mut prefix, environment.as_str());
        let mut address = Vec::new();
        for text in [org.to_text().as_str(), environment.as_str()] {
            put_text(&mut address, text);
        }
        Self { org, environment, prefix, address }
    }

    /// The key of a definition's name, for a look-up without a copy. A text that is not a valid name gives a key that
    /// no row has.
    pub(crate) fn name_key(&self, name: &str) -> Key {
        let mut key = self.start(DEFINITION_NAME);
        key.extend(name.as_bytes());
        key
    }

    /// The prefix of every key of the tenant except those of its jobs.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.prefix.as_bytes()
    }

    /// The prefix as a key, by which the tenant is known in memory.
    pub(crate) fn prefix_key(&self) -> Key {
        self.prefix.clone()
    }

    /// Every row of the tenant except its jobs.
    pub(crate) fn all(&self) -> KeyRange {
        KeyRange::prefix(self.prefix())
    }

    /// The jobs of the tenant.
    pub(crate) fn jobs(&self) -> KeyRange {
        // Jobs of all tenants are one range, so that a start of the vault finds them with one scan.
        let tenant = self.prefix().get(1..).unwrap_or_default();
        KeyRange::prefix(&[&[WHOLE_STORE, JOB], tenant].concat())
    }

    /// The keyrings of the org and of its accounts.
    pub(crate) fn keyrings(&self) -> KeyRange {
        self.range(&[&[KEYRING]])
    }

    /// What a shred of the tenant deletes once all keys are dropped: every row after the keyrings, except for the
    /// epoch, which stays, and the count, which is deleted last.
    pub(crate) fn shredded(&self) -> KeyRange {
        KeyRange { start: self.definitions().start, ..self.all() }
    }

    /// Whether a key of this tenant comes after those of all keyrings.
    pub(crate) fn is_behind_keyrings(&self, key: &Key) -> bool {
        self.keyrings().end.is_some_and(|end| key.as_bytes() >= end.as_slice())
    }

    /// The index rows of all names.
    pub(crate) fn definition_names(&self) -> KeyRange {
        self.range(&[&[DEFINITION_NAME]])
    }

    pub(crate) fn definitions(&self) -> KeyRange {
        self.range(&[&[DEFINITION]])
    }

    /// All values of one scope, in the order of their definitions' ids.
    pub(crate) fn values(&self, scope: &Scope) -> KeyRange {
        let mut prefix = self.start(VALUE);
        push_scope(&mut prefix, scope);
        KeyRange::prefix(prefix.as_bytes())
    }

    /// All values of all scopes.
    pub(crate) fn all_values(&self) -> KeyRange {
        self.range(&[&[VALUE]])
    }

    /// The ids of all values.
    pub(crate) fn value_ids(&self) -> KeyRange {
        self.range(&[&[VALUE_ID]])
    }

    /// All values of one definition, of every scope.
    pub(crate) fn definition_values(&self, definition: &DefinitionId) -> KeyRange {
        self.range(&[&[DEFINITION_VALUE], definition.as_bytes()])
    }

    /// All values of one definition at one kind of scope.
    pub(crate) fn definition_values_at(&self, definition: &DefinitionId, kind: ScopeKind) -> KeyRange {
        let scope = match kind {
            ScopeKind::Org => SCOPE_ORG,
            ScopeKind::LinkedAccount => SCOPE_ACCOUNT,
            ScopeKind::Workflow => SCOPE_WORKFLOW,
        };
        self.range(&[&[DEFINITION_VALUE], definition.as_bytes(), &[scope]])
    }

    pub(crate) fn accounts(&self) -> KeyRange {
        self.range(&[&[ACCOUNT]])
    }

    pub(crate) fn integrations(&self, account: &LinkedAccountId) -> KeyRange {
        self.range(&[&[INTEGRATION], account.as_str().as_bytes(), &[0]])
    }

    /// All connections of one integration, the default one first.
    pub(crate) fn connections(&self, account: &LinkedAccountId, integration: &IntegrationId) -> KeyRange {
        let (account, integration) = (account.as_str().as_bytes(), integration.as_str().as_bytes());
        // All keys in the range start with this prefix, as a cursor needs. A longer id continues with a byte above the
        // separator.
        let start = self.range(&[&[INTEGRATION], account, &[0], integration]).start;
        let end = [&*start, &[AppId::SEPARATOR + 1]].concat();
        KeyRange { start, end: Some(end) }
    }

    /// The rows of the connections of one integration other than the default one: their own, and their credentials with
    /// the former versions of these.
    pub(crate) fn named_connections(
        &self,
        account: &LinkedAccountId,
        integration: &IntegrationId,
    ) -> [KeyRange; 3] {
        let (account, integration) = (account.as_str().as_bytes(), integration.as_str().as_bytes());
        let of = |kind: &[u8]| self.range(&[kind, account, &[0], integration, &[AppId::SEPARATOR]]);
        [of(&[INTEGRATION]), of(&[CREDENTIAL]), of(&[HISTORY, CREDENTIAL])]
    }

    /// All credentials of one connection of an integration.
    pub(crate) fn credentials(&self, account: &LinkedAccountId, app: &AppId) -> KeyRange {
        let (account, app) = (account.as_str().as_bytes(), app.as_stored().as_bytes());
        self.range(&[&[CREDENTIAL], account, &[0], app, &[0]])
    }

    /// All credentials of one account, of every integration.
    pub(crate) fn account_credentials(&self, account: &LinkedAccountId) -> KeyRange {
        self.range(&[&[CREDENTIAL], account.as_str().as_bytes(), &[0]])
    }

    /// All credentials of all accounts.
    pub(crate) fn all_credentials(&self) -> KeyRange {
        self.range(&[&[CREDENTIAL]])
    }

    /// The rows of these accounts, which are in ascending order, and of any between them.
    pub(crate) fn accounts_between(&self, accounts: &[LinkedAccountId]) -> KeyRange {
        self.between(ACCOUNT, accounts)
    }

    /// Their integrations.
    pub(crate) fn integrations_between(&self, accounts: &[LinkedAccountId]) -> KeyRange {
        self.between(INTEGRATION, accounts)
    }

    /// Their credentials.
    pub(crate) fn credentials_between(&self, accounts: &[LinkedAccountId]) -> KeyRange {
        self.between(CREDENTIAL, accounts)
    }

    fn between(&self, kind: u8, accounts: &[LinkedAccountId]) -> KeyRange {
        let of = |account: &LinkedAccountId| self.range(&[&[kind], account.as_str().as_bytes(), &[0]]);
        let all = self.range(&[&[kind]]);
        let start = accounts.first().map_or(all.start, |first| of(first).start);
        KeyRange { start, end: accounts.last().map_or(all.end, |last| of(last).end) }
    }

    pub(crate) fn records(&self, namespace: &Namespace) -> KeyRange {
        self.range(&[&[RECORD], namespace.as_str().as_bytes(), &[0]])
    }

    /// All events of the audit, the oldest first.
    pub(crate) fn events(&self) -> KeyRange {
        self.range(&[&[EVENT]])
    }

    /// All rows of the audit.
    pub(crate) fn audit(&self) -> KeyRange {
        KeyRange { end: self.range(&[&[AUDIT_FLOOR]]).end, ..self.events() }
    }

    /// The heads of all chains of events.
    pub(crate) fn chain_heads(&self) -> KeyRange {
        self.range(&[&[CHAIN_HEAD]])
    }

    /// The former versions of a document, the newest first; before them, that it was deleted.
    pub(crate) fn history(&self, subject: &Subject<'_>) -> KeyRange {
        KeyRange::prefix(self.deleted(subject).key().as_bytes())
    }

    /// The former versions of all values of all scopes.
    pub(crate) fn all_values_history(&self) -> KeyRange {
        self.range(&[&[HISTORY, VALUE]])
    }

    /// The former versions of all values of one scope.
    pub(crate) fn values_history(&self, scope: &Scope) -> KeyRange {
        let mut prefix = self.start(HISTORY);
        prefix.push(VALUE);
        push_scope(&mut prefix, scope);
        KeyRange::prefix(prefix.as_bytes())
    }

    /// The former versions of all values of one account.
    pub(crate) fn account_value_history(&self, account: &LinkedAccountId) -> KeyRange {
        self.range(&[&[HISTORY, VALUE, SCOPE_ACCOUNT], account.as_str().as_bytes(), &[0]])
    }

    /// The former versions of all credentials of one account.
    pub(crate) fn account_credential_history(&self, account: &LinkedAccountId) -> KeyRange {
        self.range(&[&[HISTORY, CREDENTIAL], account.as_str().as_bytes(), &[0]])
    }

    /// The former versions of all credentials of one connection of an integration.
    pub(crate) fn credentials_history(&self, account: &LinkedAccountId, app: &AppId) -> KeyRange {
        let (account, app) = (account.as_str().as_bytes(), app.as_stored().as_bytes());
        self.range(&[&[HISTORY, CREDENTIAL], account, &[0], app, &[0]])
    }

    /// The former versions of all definitions.
    pub(crate) fn definitions_history(&self) -> KeyRange {
        self.range(&[&[HISTORY, DEFINITION]])
    }

    /// The rows that the data key of the org, or of one account, seals, in key order.
    pub(crate) fn sealed_by_data_key(&self, account: Option<&LinkedAccountId>) -> Vec<KeyRange> {
        if let Some(account) = account {
            let id = account.as_str().as_bytes();
            return vec![
                self.range(&[&[VALUE, SCOPE_ACCOUNT], id, &[0]]),
                self.range(&[&[CREDENTIAL], id, &[0]]),
                self.account_value_history(account),
                self.account_credential_history(account),
            ];
        }
        vec![
            self.range(&[&[COUNT]]),
            self.range(&[&[DEFINITION]]),
            self.range(&[&[VALUE, SCOPE_ORG]]),
            self.range(&[&[VALUE, SCOPE_WORKFLOW]]),
            self.range(&[&[ACCOUNT]]),
            self.range(&[&[INTEGRATION]]),
            self.range(&[&[RECORD]]),
            self.events(),
            self.range(&[&[AUDIT_HEAD]]),
            self.chain_heads(),
            // Add new ranges at the end: a stored job holds the number of ranges that it has finished.
            self.range(&[&[HISTORY, VALUE, SCOPE_ORG]]),
            self.range(&[&[HISTORY, VALUE, SCOPE_WORKFLOW]]),
            self.definitions_history(),
            self.range(&[&[AUDIT_FLOOR]]),
        ]
    }

    /// Whether runs see the row with this key: a definition, a value, an account or what an account has.
    pub(crate) fn is_seen_by_runs(&self, key: &[u8]) -> bool {
        let kind = key.strip_prefix(self.prefix()).and_then(|rest| rest.first());
        kind.is_some_and(|kind| matches!(*kind, DEFINITION | VALUE | ACCOUNT | INTEGRATION | CREDENTIAL))
    }

    /// The rows that count in the quotas of the org.
    pub(crate) fn counted_of_org(&self) -> Vec<KeyRange> {
        let accounts = self.range(&[&[ACCOUNT]]);
        let end = self.range(&[&[CREDENTIAL]]).end;
        // The three kinds have adjacent numbers.
        vec![self.range(&[&[VALUE]]), KeyRange { start: accounts.start, end }, self.range(&[&[HISTORY]])]
    }

    /// The rows that count in the quotas of an account.
    pub(crate) fn counted_of_account(&self, account: &LinkedAccountId) -> Vec<KeyRange> {
        let id = account.as_str().as_bytes();
        let values = self.range(&[&[VALUE, SCOPE_ACCOUNT], id, &[0]]);
        vec![
            values,
            self.integrations(account),
            self.account_credentials(account),
            self.account_value_history(account),
            self.account_credential_history(account),
        ]
    }

    fn range(&self, parts: &[&[u8]]) -> KeyRange {
        KeyRange::prefix(&[&[self.prefix()], parts].concat().concat())
    }

    fn start(&self, kind: u8) -> Key {
        let mut key = self.prefix.clone();
        key.push(kind);
        key
    }
}

/// The ranges of the whole store.
pub(crate) struct VaultKeys;

impl VaultKeys {
    /// All key slots.
    pub(crate) fn slots() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, SLOT])
    }

    /// All notes that an org is being restored.
    pub(crate) fn org_restores() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, ORG_RESTORE])
    }

    /// All notes that the org was backed up under another key.
    pub(crate) fn exports(org: &OrgId) -> KeyRange {
        let mut prefix = Key::from([WHOLE_STORE, EXPORT].as_slice());
        push_id(&mut prefix, org.to_text().as_str());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// All such notes, of every org.
    pub(crate) fn all_exports() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, EXPORT])
    }

    /// Every row of an org in all environments, except its jobs.
    pub(crate) fn org(org: &OrgId) -> KeyRange {
        let mut prefix = Key::from([TENANT].as_slice());
        push_id(&mut prefix, org.to_text().as_str());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// The jobs of an org in all environments.
    pub(crate) fn jobs_of(org: &OrgId) -> KeyRange {
        let mut prefix = Key::from([WHOLE_STORE, JOB].as_slice());
        push_id(&mut prefix, org.to_text().as_str());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// The marker of a store that is not a vault yet: which copy or restore is writing to it. It is deleted when the
    /// store becomes a vault.
    pub(crate) fn staging_marker() -> Key {
        Key::from([WHOLE_STORE, STAGING_MARKER].as_slice())
    }

    /// All jobs of all tenants, each followed by `org 00 | environment 00 | id`.
    pub(crate) fn jobs() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, JOB])
    }

    /// All jobs on keys, each followed by its id.
    pub(crate) fn key_jobs() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, KEY_JOB])
    }

    /// All jobs of both kinds.
    pub(crate) fn all_jobs() -> KeyRange {
        // The two kinds have adjacent numbers.
        KeyRange { start: vec![WHOLE_STORE, JOB], end: Some(vec![WHOLE_STORE, KEY_JOB + 1]) }
    }

    /// All rows of all tenants.
    pub(crate) fn tenants() -> KeyRange {
        KeyRange::prefix(&[TENANT])
    }
}

fn push(key: &mut Key, kind: u8, rest: &[u8]) {
    key.push(kind);
    key.extend(rest);
}

fn push_ids<const N: usize>(key: &mut Key, kind: u8, ids: [&str; N]) {
    key.push(kind);
    ids.into_iter().for_each(|id| push_id(key, id));
}

fn push_id(key: &mut Key, id: &str) {
    key.extend(id.as_bytes());
    key.push(0);
}

fn push_scope(key: &mut Key, scope: &Scope) {
    match scope {
        Scope::Org => key.push(SCOPE_ORG),
        Scope::LinkedAccount(id) => push_ids(key, SCOPE_ACCOUNT, [id.as_str()]),
        Scope::Workflow(id) => push_ids(key, SCOPE_WORKFLOW, [id.as_str()]),
    }
}

pub(super) const WHOLE_STORE: u8 = 0x00;
pub(super) const TENANT: u8 = 0x01;

pub(super) const HEADER: u8 = 0x01;
pub(super) const SLOT: u8 = 0x02;
pub(super) const STORE: u8 = 0x03;
pub(super) const JOB: u8 = 0x04;
pub(super) const KEY_JOB: u8 = 0x05;
pub(super) const RETIRED: u8 = 0x10;
pub(super) const STAGING_MARKER: u8 = 0x11;
pub(super) const ORG_RESTORE: u8 = 0x12;
pub(super) const EXPORT: u8 = 0x13;

pub(super) const KEYRING: u8 = 0x01;
pub(super) const EPOCH: u8 = 0x02;
pub(super) const COUNT: u8 = 0x03;
pub(super) const GENERATION: u8 = 0x04;
pub(super) const DEFINITION: u8 = 0x10;
pub(super) const DEFINITION_NAME: u8 = 0x11;
pub(super) const DEFINITION_VALUE: u8 = 0x12;
pub(super) const VALUE: u8 = 0x20;
pub(super) const VALUE_ID: u8 = 0x21;
pub(super) const ACCOUNT: u8 = 0x30;
pub(super) const INTEGRATION: u8 = 0x31;
pub(super) const CREDENTIAL: u8 = 0x32;
pub(super) const RECORD: u8 = 0x40;
pub(super) const EVENT: u8 = 0x60;
pub(super) const AUDIT_HEAD: u8 = 0x61;
pub(super) const CHAIN_HEAD: u8 = 0x62;
pub(super) const AUDIT_FLOOR: u8 = 0x63;
pub(super) const HISTORY: u8 = 0x50;

pub(super) const SCOPE_ORG: u8 = 0x00;
pub(super) const SCOPE_ACCOUNT: u8 = 0x01;
pub(super) const SCOPE_WORKFLOW: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    #[test]
    fn ids_that_extend_one_another_never_share_a_range() {
        let tenant = tenant();
        let definition: DefinitionId = "0000000000000000000000ff".parse().unwrap();
        let app = AppId::of(&IntegrationId::default_app(), None);
        let ids: Vec<LinkedAccountId> = ["a", "a/", "aa", "a\u{ff}"].map(|id| id.parse().unwrap()).into();
        for one in &ids {
            let values = tenant.values(&Scope::LinkedAccount(one.clone()));
            for other in &ids {
                let key = tenant.value(&Scope::LinkedAccount(other.clone()), &definition).key();
                assert_eq!(values.contains(key.as_bytes()), one == other);
                let key = tenant.integration(other, &app).key();
                assert_eq!(tenant.integrations(one).contains(key.as_bytes()), one == other);
            }
        }
    }

    #[test]
    fn the_connections_of_an_integration_are_a_range_that_no_other_integration_is_in() {
        let (tenant, account) = (tenant(), "a".parse().unwrap());
        let all = tenant.connections(&account, &"crm".parse().unwrap());
        let work = "work".parse().unwrap();
        for (integration, is_in) in
            [("crm", true), ("crm ", false), ("crm2", false), ("cr", false), ("d", false)]
        {
            let integration = integration.parse().unwrap();
            for app in [AppId::of(&integration, None), AppId::of(&integration, Some(&work))] {
                let key = tenant.integration(&account, &app).key();
                assert_eq!(all.contains(key.as_bytes()), is_in, "{app:?}");
                let credential = tenant.credential(&account, &app, &"k".parse().unwrap()).key();
                let of_default = tenant.credentials(&account, &AppId::of(&integration, None));
                assert_eq!(of_default.contains(credential.as_bytes()), app.connection().is_none());
            }
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let tenant =
            TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), "e".repeat(32).parse().unwrap());
        let account = "a".repeat(254).parse().unwrap();
        let integration = AppId::of(&"i".repeat(64).parse().unwrap(), Some(&"c".repeat(64).parse().unwrap()));
        let name = "k".repeat(256).parse().unwrap();
        let key =
            tenant.former(&Subject::credential(&account, &integration, &name), Revision::UNWRITTEN).key();
        assert_eq!(key.as_bytes().len(), 711, "as FORMAT.md says");
        assert!(key.as_bytes().len() <= crate::store::KEY_BYTES_MAX);
    }
}
