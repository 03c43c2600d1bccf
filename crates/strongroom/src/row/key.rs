//! Every key that the engine writes, in one place.
//!
//! Keys are tenant-major: `01 | org 00 | environment 00 | kind | ...`, so that one tenant is one range and one
//! scope's values are one range. Ids hold no NUL and end with one, so no id is a prefix of another's rows. Rows of
//! the whole store start with `00`. [`docs::format_v1`](crate::docs::format_v1) lists them all.

use std::str::FromStr;

use crate::id::CredentialKey;
use crate::id::DefinitionId;
use crate::id::DefinitionName;
use crate::id::DocumentId;
use crate::id::Environment;
use crate::id::IntegrationId;
use crate::id::LinkedAccountId;
use crate::id::Namespace;
use crate::id::OrgId;
use crate::id::RecordKey;
use crate::scope::Scope;
use crate::scope::ScopeKind;
use crate::store::Key;
use crate::store::KeyRange;

/// Keys of rows that belong to no tenant.
pub(crate) struct StoreKeys;

impl StoreKeys {
    /// The clear header with the store id.
    pub(crate) fn header() -> Key {
        Key::from([WHOLE_STORE, HEADER].as_slice())
    }

    /// The sealed `store` row.
    pub(crate) fn store_row() -> Key {
        Key::from(vec![WHOLE_STORE, STORE_ROW])
    }

    /// One key slot.
    pub(crate) fn slot(id: &[u8; 16]) -> Key {
        Key::from([&[WHOLE_STORE, SLOT], id.as_slice()].concat())
    }

    /// All key slots.
    pub(crate) fn slots() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, SLOT])
    }

    /// Where a vault that moved says so.
    pub(crate) fn retired() -> Key {
        Key::from(vec![WHOLE_STORE, RETIRED])
    }

    /// Where a vault notes that an org is being restored into it.
    pub(crate) fn org_arrival(org: &OrgId) -> Key {
        Key::from([&[WHOLE_STORE, ORG_ARRIVAL], org.to_text().as_str().as_bytes(), &[0]].concat())
    }

    /// Where a vault notes that a backup of an org was made that opens with another key.
    pub(crate) fn export(org: &OrgId, file_id: &[u8; 16]) -> Key {
        Key::from([&Self::exports(org).start, file_id.as_slice()].concat())
    }

    /// All such notes of an org.
    pub(crate) fn exports(org: &OrgId) -> KeyRange {
        KeyRange::prefix(&[&[WHOLE_STORE, EXPORT], org.to_text().as_str().as_bytes(), &[0]].concat())
    }

    /// Every row of an org, of every environment, but their jobs.
    pub(crate) fn org(org: &OrgId) -> KeyRange {
        KeyRange::prefix(&[&[TENANT], org.to_text().as_str().as_bytes(), &[0]].concat())
    }

    /// Where a store that is not yet a vault names the copy or restore that it is the target of.
    pub(crate) fn arrival() -> Key {
        Key::from(vec![WHOLE_STORE, ARRIVAL])
    }

    /// All jobs of all tenants, each followed by `org 00 | environment 00 | id`.
    pub(crate) fn jobs() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, JOB])
    }

    /// One job on keys.
    pub(crate) fn key_job(id: &DocumentId) -> Key {
        Key::from([&[WHOLE_STORE, KEY_JOB], id.as_bytes().as_slice()].concat())
    }

    /// All jobs on keys, each followed by its id.
    pub(crate) fn key_jobs() -> KeyRange {
        KeyRange::prefix(&[WHOLE_STORE, KEY_JOB])
    }

    /// All jobs of both kinds.
    pub(crate) fn all_jobs() -> KeyRange {
        KeyRange { start: vec![WHOLE_STORE, JOB], end: Some(vec![WHOLE_STORE, KEY_JOB + 1]) }
    }

    /// All rows of all tenants.
    pub(crate) fn tenants() -> KeyRange {
        KeyRange::prefix(&[TENANT])
    }
}

/// Keys of one tenant: an org within an environment.
#[derive(Debug)]
pub(crate) struct TenantKeys {
    prefix: Key,
}

impl TenantKeys {
    pub(crate) fn new(org: &OrgId, environment: &Environment) -> Self {
        let mut prefix = Key::from([TENANT].as_slice());
        push_id(&mut prefix, org.to_text().as_str());
        push_id(&mut prefix, environment.as_str());
        Self { prefix }
    }

    /// A place to make keys in that are looked up and not kept.
    pub(crate) fn probe(&self) -> Probe {
        Probe { key: self.prefix.clone(), prefix_len: self.prefix.as_bytes().len() }
    }

    /// The keyring of the org, or of one account.
    pub(crate) fn keyring(&self, account: Option<&LinkedAccountId>) -> Key {
        let mut probe = self.probe();
        probe.keyring(account);
        probe.key
    }

    /// The keyrings of the org and of its accounts.
    pub(crate) fn keyrings(&self) -> KeyRange {
        KeyRange::prefix(self.start(KEYRING).as_bytes())
    }

    pub(crate) fn definition(&self, id: &DefinitionId) -> Key {
        let mut probe = self.probe();
        probe.definition(id);
        probe.key
    }

    pub(crate) fn definitions(&self) -> KeyRange {
        KeyRange::prefix(self.start(DEFINITION).as_bytes())
    }

    /// Name to definition id; unique.
    pub(crate) fn definition_name(&self, name: &DefinitionName) -> Key {
        let mut probe = self.probe();
        probe.definition_name(name.as_str());
        probe.key
    }

    pub(crate) fn value(&self, scope: &Scope, definition: &DefinitionId) -> Key {
        let mut key = self.values_prefix(scope);
        key.extend(definition.as_bytes());
        key
    }

    /// All values of one scope, in the order of their definitions' ids.
    pub(crate) fn values(&self, scope: &Scope) -> KeyRange {
        KeyRange::prefix(self.values_prefix(scope).as_bytes())
    }

    /// Value id to the key of the value.
    pub(crate) fn value_id(&self, id: &DocumentId) -> Key {
        let mut key = self.start(VALUE_ID);
        key.extend(id.as_bytes());
        key
    }

    /// The ids of all values.
    pub(crate) fn value_ids(&self) -> KeyRange {
        KeyRange::prefix(self.start(VALUE_ID).as_bytes())
    }

    /// Definition to one of its values.
    pub(crate) fn definition_value(&self, definition: &DefinitionId, scope: &Scope) -> Key {
        let mut key = self.start(DEFINITION_VALUE);
        key.extend(definition.as_bytes());
        push_scope(&mut key, scope);
        key
    }

    /// All values of one definition, of every scope.
    pub(crate) fn definition_values(&self, definition: &DefinitionId) -> KeyRange {
        let mut prefix = self.start(DEFINITION_VALUE);
        prefix.extend(definition.as_bytes());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// All values of one definition at one kind of scope.
    pub(crate) fn definition_values_at(&self, definition: &DefinitionId, kind: ScopeKind) -> KeyRange {
        let mut prefix = self.start(DEFINITION_VALUE);
        prefix.extend(definition.as_bytes());
        prefix.push(match kind {
            ScopeKind::Org => SCOPE_ORG,
            ScopeKind::LinkedAccount => SCOPE_ACCOUNT,
            ScopeKind::Workflow => SCOPE_WORKFLOW,
        });
        KeyRange::prefix(prefix.as_bytes())
    }

    pub(crate) fn account(&self, account: &LinkedAccountId) -> Key {
        let mut key = self.start(ACCOUNT);
        push_id(&mut key, account.as_str());
        key
    }

    pub(crate) fn accounts(&self) -> KeyRange {
        KeyRange::prefix(self.start(ACCOUNT).as_bytes())
    }

    pub(crate) fn integration(&self, account: &LinkedAccountId, integration: &IntegrationId) -> Key {
        let mut key = self.account_prefix(INTEGRATION, account);
        push_id(&mut key, integration.as_str());
        key
    }

    pub(crate) fn integrations(&self, account: &LinkedAccountId) -> KeyRange {
        KeyRange::prefix(self.account_prefix(INTEGRATION, account).as_bytes())
    }

    pub(crate) fn credential(
        &self,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        key_name: &CredentialKey,
    ) -> Key {
        let mut key = self.account_prefix(CREDENTIAL, account);
        push_id(&mut key, integration.as_str());
        push_id(&mut key, key_name.as_str());
        key
    }

    /// All credentials of one integration.
    pub(crate) fn credentials(&self, account: &LinkedAccountId, integration: &IntegrationId) -> KeyRange {
        let mut prefix = self.account_prefix(CREDENTIAL, account);
        push_id(&mut prefix, integration.as_str());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// All credentials of one account, of every integration.
    pub(crate) fn account_credentials(&self, account: &LinkedAccountId) -> KeyRange {
        KeyRange::prefix(self.account_prefix(CREDENTIAL, account).as_bytes())
    }

    pub(crate) fn record(&self, namespace: &Namespace, key_name: &RecordKey) -> Key {
        let mut key = self.start(RECORD);
        push_id(&mut key, namespace.as_str());
        push_id(&mut key, key_name.as_str());
        key
    }

    pub(crate) fn records(&self, namespace: &Namespace) -> KeyRange {
        let mut prefix = self.start(RECORD);
        push_id(&mut prefix, namespace.as_str());
        KeyRange::prefix(prefix.as_bytes())
    }

    /// How many definitions there are.
    pub(crate) fn count(&self) -> Key {
        self.start(COUNT)
    }

    /// The row whose store revision changes with what engines cache: definitions, and keyrings but for their first key.
    pub(crate) fn epoch(&self) -> Key {
        self.start(EPOCH)
    }

    /// Every row of the tenant but its jobs.
    pub(crate) fn all(&self) -> KeyRange {
        KeyRange::prefix(self.prefix.as_bytes())
    }

    /// The jobs of the tenant.
    pub(crate) fn jobs(&self) -> KeyRange {
        let tenant = self.prefix.as_bytes().get(1..).unwrap_or_default();
        KeyRange::prefix(&[&[WHOLE_STORE, JOB], tenant].concat())
    }

    /// A job of this tenant. It stands with the rows of the whole store, where a runner finds it.
    pub(crate) fn job(&self, id: &DocumentId) -> Key {
        let tenant = self.prefix.as_bytes().get(1..).unwrap_or_default();
        Key::from([&[WHOLE_STORE, JOB], tenant, id.as_bytes().as_slice()].concat())
    }

    /// What every key of the tenant but those of its jobs starts with.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.prefix.as_bytes()
    }

    fn start(&self, kind: u8) -> Key {
        let mut key = self.prefix.clone();
        key.push(kind);
        key
    }

    fn account_prefix(&self, kind: u8, account: &LinkedAccountId) -> Key {
        let mut key = self.start(kind);
        push_id(&mut key, account.as_str());
        key
    }

    fn values_prefix(&self, scope: &Scope) -> Key {
        let mut key = self.start(VALUE);
        push_scope(&mut key, scope);
        key
    }
}

/// Keys of rows that are cached, each made in the place of the one before.
pub(crate) struct Probe {
    key: Key,
    prefix_len: usize,
}

impl Probe {
    pub(crate) fn keyring(&mut self, account: Option<&LinkedAccountId>) -> &[u8] {
        self.start(KEYRING);
        if let Some(account) = account {
            push_id(&mut self.key, account.as_str());
        }
        self.key.as_bytes()
    }

    pub(crate) fn definition(&mut self, id: &DefinitionId) -> &[u8] {
        self.start(DEFINITION);
        self.key.extend(id.as_bytes());
        self.key.as_bytes()
    }

    /// The key of a name, or of a text that breaks the rule of names and so is no name's.
    pub(crate) fn definition_name(&mut self, name: &str) -> &[u8] {
        self.start(DEFINITION_NAME);
        self.key.extend(name.as_bytes());
        self.key.as_bytes()
    }

    pub(crate) fn epoch(&mut self) -> &[u8] {
        self.start(EPOCH);
        self.key.as_bytes()
    }

    fn start(&mut self, kind: u8) {
        self.key.truncate(self.prefix_len);
        self.key.push(kind);
    }
}

/// The id in the key of a key slot.
pub(crate) fn parse_slot(key: &Key) -> Option<[u8; 16]> {
    key.as_bytes().strip_prefix(&[WHOLE_STORE, SLOT])?.try_into().ok()
}

/// The parts of a job's key: org, environment and job id.
pub(crate) fn parse_job(key: &Key) -> Option<(OrgId, Environment, DocumentId)> {
    let rest = key.as_bytes().strip_prefix(&[WHOLE_STORE, JOB])?;
    let (org, rest) = take_id(rest)?;
    let (environment, id) = take_id(rest)?;
    Some((org.parse().ok()?, environment.parse().ok()?, DocumentId::from_bytes(id)?))
}

/// The id in the key of a job on keys.
pub(crate) fn parse_key_job(key: &Key) -> Option<DocumentId> {
    DocumentId::from_bytes(key.as_bytes().strip_prefix(&[WHOLE_STORE, KEY_JOB])?)
}

/// The scope and definition in the key of a value that lies in `values`.
pub(crate) fn parse_value(keys: &TenantKeys, key: &[u8]) -> Option<(Scope, DefinitionId)> {
    let rest = key.strip_prefix(keys.start(VALUE).as_bytes())?;
    let (scope, definition) = take_scope(rest)?;
    Some((scope, DefinitionId::from_bytes(definition)?))
}

/// The definition in the key of a value.
pub(crate) fn value_definition(key: &Key) -> Option<DefinitionId> {
    key.as_bytes().last_chunk::<12>().and_then(|id| DefinitionId::from_bytes(id))
}

/// The scope in a key of the index from a definition to its values.
pub(crate) fn parse_definition_value(
    keys: &TenantKeys,
    definition: &DefinitionId,
    key: &[u8],
) -> Option<Scope> {
    let rest = key.strip_prefix(keys.definition_values(definition).start.as_slice())?;
    take_scope(rest).and_then(|(scope, end)| end.is_empty().then_some(scope))
}

/// The last id of a key that lies in a range: what stands between the range's prefix and the final NUL.
pub(crate) fn parse_last_id<T: FromStr>(range: &KeyRange, key: &Key) -> Option<T> {
    let rest = key.as_bytes().strip_prefix(range.start.as_slice())?;
    let (id, end) = take_id(rest)?;
    if end.is_empty() { id.parse().ok() } else { None }
}

fn push_id(key: &mut Key, id: &str) {
    key.extend(id.as_bytes());
    key.push(0);
}

fn push_scope(key: &mut Key, scope: &Scope) {
    match scope {
        Scope::Org => key.push(SCOPE_ORG),
        Scope::LinkedAccount(id) => {
            key.push(SCOPE_ACCOUNT);
            push_id(key, id.as_str());
        }
        Scope::Workflow(id) => {
            key.push(SCOPE_WORKFLOW);
            push_id(key, id.as_str());
        }
    }
}

pub(crate) fn take_id(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let (id, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(id).ok()?, rest.get(1..)?))
}

pub(crate) fn take_scope(bytes: &[u8]) -> Option<(Scope, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if tag == SCOPE_ORG {
        return Some((Scope::Org, rest));
    }
    let (id, rest) = take_id(rest)?;
    match tag {
        SCOPE_ACCOUNT => Some((Scope::LinkedAccount(id.parse().ok()?), rest)),
        SCOPE_WORKFLOW => Some((Scope::Workflow(id.parse().ok()?), rest)),
        _ => None,
    }
}

pub(crate) const WHOLE_STORE: u8 = 0x00;
pub(crate) const TENANT: u8 = 0x01;

pub(crate) const HEADER: u8 = 0x01;
pub(crate) const SLOT: u8 = 0x02;
pub(crate) const STORE_ROW: u8 = 0x03;
pub(crate) const JOB: u8 = 0x04;
pub(crate) const KEY_JOB: u8 = 0x05;
pub(crate) const RETIRED: u8 = 0x10;
pub(crate) const ARRIVAL: u8 = 0x11;
pub(crate) const ORG_ARRIVAL: u8 = 0x12;
pub(crate) const EXPORT: u8 = 0x13;

pub(crate) const KEYRING: u8 = 0x01;
pub(crate) const EPOCH: u8 = 0x02;
pub(crate) const COUNT: u8 = 0x03;
pub(crate) const DEFINITION: u8 = 0x10;
pub(crate) const DEFINITION_NAME: u8 = 0x11;
pub(crate) const DEFINITION_VALUE: u8 = 0x12;
pub(crate) const VALUE: u8 = 0x20;
pub(crate) const VALUE_ID: u8 = 0x21;
pub(crate) const ACCOUNT: u8 = 0x30;
pub(crate) const INTEGRATION: u8 = 0x31;
pub(crate) const CREDENTIAL: u8 = 0x32;
pub(crate) const RECORD: u8 = 0x40;

pub(crate) const SCOPE_ORG: u8 = 0x00;
pub(crate) const SCOPE_ACCOUNT: u8 = 0x01;
pub(crate) const SCOPE_WORKFLOW: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantKeys {
        TenantKeys::new(&"6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), &Environment::test())
    }

    #[test]
    fn ids_that_extend_one_another_never_share_a_range() {
        let keys = tenant();
        let definition: DefinitionId = "0000000000000000000000ff".parse().unwrap();
        let ids: Vec<LinkedAccountId> = ["a", "a/", "aa", "a\u{ff}"].map(|id| id.parse().unwrap()).into();
        for one in &ids {
            let values = keys.values(&Scope::LinkedAccount(one.clone()));
            for other in &ids {
                let key = keys.value(&Scope::LinkedAccount(other.clone()), &definition);
                assert_eq!(values.contains(key.as_bytes()), one == other);
                assert_eq!(
                    keys.integrations(one)
                        .contains(keys.integration(other, &IntegrationId::default_app()).as_bytes()),
                    one == other
                );
            }
        }
    }

    #[test]
    fn a_key_reads_back_as_its_parts() {
        let keys = tenant();
        let definition: DefinitionId = "000000000000000000000000".parse().unwrap();
        for scope in
            [Scope::Org, Scope::LinkedAccount("a".parse().unwrap()), Scope::Workflow("w".parse().unwrap())]
        {
            let key = keys.value(&scope, &definition);
            assert_eq!(parse_value(&keys, key.as_bytes()), Some((scope.clone(), definition)));
            let index = keys.definition_value(&definition, &scope);
            assert_eq!(parse_definition_value(&keys, &definition, index.as_bytes()), Some(scope));
        }
        let job: DocumentId = "0102030405060708090a0b0c".parse().unwrap();
        let (org, environment, id) = parse_job(&keys.job(&job)).unwrap();
        assert_eq!(
            (org.to_string().as_str(), environment, id),
            ("6500a1b2c3d4e5f6a7b8c9d0", Environment::test(), job)
        );
        let account = "x".parse().unwrap();
        let slug = keys.integration(&account, &IntegrationId::default_app());
        assert_eq!(parse_last_id(&keys.integrations(&account), &slug), Some(IntegrationId::default_app()));
    }

    #[test]
    fn the_longest_key_fits() {
        let keys =
            TenantKeys::new(&"6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), &"e".repeat(32).parse().unwrap());
        let key = keys.credential(
            &"a".repeat(254).parse().unwrap(),
            &"i".repeat(64).parse().unwrap(),
            &"k".repeat(256).parse().unwrap(),
        );
        assert!(key.as_bytes().len() <= crate::store::KEY_BYTES_MAX);
    }
}
