//! Parses keys back into rows.

use std::borrow::Cow;
use std::str::FromStr;

use super::{Counted, Row, Subject, TenantId, TenantRow, VaultRow, key};
use crate::id::{AppId, DefinitionId, DocumentId, Environment, LinkedAccountId, OrgId};
use crate::model::{EventId, Revision};
use crate::scope::Scope;
use crate::store::{Key, KeyRange};

impl VaultRow {
    /// The row of the whole store with this key. Only jobs on keys are such rows; other jobs have a tenant.
    pub(crate) fn parse(key: &Key) -> Option<Self> {
        let [key::WHOLE_STORE, kind, rest @ ..] = key.as_bytes() else { return None };
        match *kind {
            key::HEADER if rest.is_empty() => Some(Self::Header),
            key::STORE if rest.is_empty() => Some(Self::Store),
            key::RETIRED if rest.is_empty() => Some(Self::Retired),
            key::SLOT => rest.try_into().ok().map(Self::Slot),
            key::KEY_JOB => DocumentId::from_bytes(rest).map(Self::KeyJob),
            key::ORG_RESTORE => {
                let (org, end) = take_id(rest)?;
                org.parse().ok().filter(|_| end.is_empty()).map(Self::OrgRestore)
            }
            key::EXPORT => {
                let (org, file_id) = take_id(rest)?;
                Some(Self::Export(org.parse().ok()?, file_id.try_into().ok()?))
            }
            _ => None,
        }
    }

    /// Whether it is a note: that something was moved, or that a backup was made.
    pub(crate) fn is_note(self) -> bool {
        matches!(self, Self::Retired | Self::OrgRestore(_) | Self::Export(..))
    }
}

impl TenantId {
    /// The tenant of a key, if its prefix names one; `None` for a row of the whole store.
    pub(crate) fn of_key(key: &Key) -> Option<Self> {
        let rest = match key.as_bytes() {
            [key::TENANT, rest @ ..] | [key::WHOLE_STORE, key::JOB, rest @ ..] => rest,
            _ => return None,
        };
        let (org, rest) = take_id(rest)?;
        let (environment, _) = take_id(rest)?;
        Some(Self::new(org.parse::<OrgId>().ok()?, environment.parse::<Environment>().ok()?))
    }

    /// The row of this tenant with this key.
    pub(crate) fn parse(&self, key: &Key) -> Option<Row<'_>> {
        self.parse_row(key.as_bytes()).map(|row| Row::Tenant(self, row))
    }

    /// The row of a key, with nothing borrowed.
    pub(crate) fn parse_row(&self, key: &[u8]) -> Option<TenantRow<'static>> {
        if let Some(id) = key.strip_prefix(self.jobs().start.as_slice()) {
            return DocumentId::from_bytes(id).map(TenantRow::Job);
        }
        let (&kind, rest) = key.strip_prefix(self.prefix())?.split_first()?;
        let mut ids = Ids(rest);
        let row = match kind {
            key::KEYRING if rest.is_empty() => return Some(TenantRow::Keyring(None)),
            key::KEYRING => TenantRow::Keyring(Some(ids.next()?)),
            key::EPOCH if rest.is_empty() => return Some(TenantRow::Epoch),
            key::COUNT if rest.is_empty() => return Some(TenantRow::Count),
            key::GENERATION if rest.is_empty() => return Some(TenantRow::Generation),
            key::DEFINITION => return DefinitionId::from_bytes(rest).map(TenantRow::Definition),
            // The name is the rest of the key: it may contain any character except control characters.
            key::DEFINITION_NAME => {
                let name = std::str::from_utf8(rest).ok()?.parse().ok()?;
                return Some(TenantRow::DefinitionName(Cow::Owned(name)));
            }
            key::DEFINITION_VALUE => {
                let (definition, scope) = rest.split_first_chunk::<12>()?;
                let (scope, end) = take_scope(scope)?;
                let definition = DefinitionId::from_bytes(definition)?;
                return end.is_empty().then_some(TenantRow::DefinitionValue(definition, Cow::Owned(scope)));
            }
            key::VALUE => {
                let (scope, definition) = take_scope(rest)?;
                let definition = DefinitionId::from_bytes(definition)?;
                return Some(TenantRow::Value(Cow::Owned(scope), definition));
            }
            key::EVENT => return EventId::from_bytes(rest).map(TenantRow::Event),
            key::AUDIT_HEAD if rest.is_empty() => return Some(TenantRow::AuditHead),
            key::CHAIN_HEAD => return rest.try_into().ok().map(TenantRow::ChainHead),
            key::AUDIT_FLOOR if rest.is_empty() => return Some(TenantRow::AuditFloor),
            key::HISTORY => return parse_history(rest),
            key::VALUE_ID => return DocumentId::from_bytes(rest).map(TenantRow::ValueId),
            key::ACCOUNT => TenantRow::Account(ids.next()?),
            key::INTEGRATION => TenantRow::Integration(ids.next()?, ids.next()?),
            key::CREDENTIAL => TenantRow::Credential(ids.next()?, ids.next()?, ids.next()?),
            key::RECORD => TenantRow::Record(ids.next()?, ids.next()?),
            _ => return None,
        };
        ids.0.is_empty().then_some(row)
    }

    /// The scope and definition in the key of a value of this tenant.
    pub(crate) fn parse_value(&self, key: &[u8]) -> Option<(Scope, DefinitionId)> {
        match self.parse_row(key)? {
            TenantRow::Value(scope, definition) => Some((scope.into_owned(), definition)),
            _ => None,
        }
    }

    /// The definition in the key of a value, or of a former version of a value or definition.
    pub(crate) fn definition_of(&self, key: &Key) -> Option<DefinitionId> {
        match self.parse_row(key.as_bytes())? {
            TenantRow::Value(_, id) => Some(id),
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => match subject {
                Subject::Value(_, id) | Subject::Definition(id) => Some(id),
                Subject::Credential(..) => None,
            },
            _ => None,
        }
    }

    /// The scope in a key of the index from a definition to its values.
    pub(crate) fn parse_definition_value(&self, definition: &DefinitionId, key: &[u8]) -> Option<Scope> {
        match self.parse_row(key)? {
            TenantRow::DefinitionValue(id, scope) if id == *definition => Some(scope.into_owned()),
            _ => None,
        }
    }

    /// The owner of the keyring with this key: the org (`None` inside), or an account.
    pub(crate) fn parse_keyring(&self, key: &Key) -> Option<Option<LinkedAccountId>> {
        match self.parse_row(key.as_bytes())? {
            TenantRow::Keyring(account) => Some(account.map(Cow::into_owned)),
            _ => None,
        }
    }

    /// The connection that the row with this key belongs to: its own row, a credential, or a version of one.
    pub(crate) fn parse_connection(&self, key: &Key) -> Option<AppId> {
        match self.parse_row(key.as_bytes())? {
            TenantRow::Integration(_, app) | TenantRow::Credential(_, app, _) => Some(app.into_owned()),
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => match subject {
                Subject::Credential(_, app, _) => Some(app.into_owned()),
                Subject::Value(..) | Subject::Definition(_) => None,
            },
            _ => None,
        }
    }

    /// What the row with this key counts as in a quota, and the account that it belongs to.
    pub(crate) fn counted<'k>(&self, key: &'k [u8]) -> Option<(Counted, Option<&'k str>)> {
        let (&kind, rest) = key.strip_prefix(self.prefix())?.split_first()?;
        let (counted, rest) = match (kind, rest) {
            (key::VALUE, [key::SCOPE_ORG, ..]) => return Some((Counted::OrgValue, None)),
            (key::VALUE, [key::SCOPE_WORKFLOW, ..]) => return Some((Counted::WorkflowValue, None)),
            (key::VALUE, [key::SCOPE_ACCOUNT, rest @ ..]) => (Counted::AccountValue, rest),
            // The account's own row holds what only the org may set.
            (key::ACCOUNT, _) => return Some((Counted::Account, None)),
            (key::INTEGRATION, rest) => (Counted::Integration, rest),
            (key::CREDENTIAL, rest) => (Counted::Credential, rest),
            (key::HISTORY, [key::VALUE, key::SCOPE_ACCOUNT, rest @ ..]) => (Counted::History, rest),
            (key::HISTORY, [key::CREDENTIAL, rest @ ..]) => (Counted::History, rest),
            (key::HISTORY, _) => return Some((Counted::History, None)),
            _ => return None,
        };
        Some((counted, Some(take_id(rest)?.0)))
    }

    /// Whether a key belongs to a row or job of this tenant.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix()) || self.jobs().contains(key)
    }
}

/// Whether a data key seals the row with this key. It does not parse the ids, since it is only for counting rows.
pub(crate) fn is_sealed_by_data_key(key: &Key) -> bool {
    let [key::TENANT, rest @ ..] = key.as_bytes() else { return false };
    let kind = take_id(rest).and_then(|(_, rest)| take_id(rest)).and_then(|(_, rest)| rest.first());
    kind.is_some_and(|kind| {
        matches!(
            *kind,
            key::COUNT
                | key::DEFINITION
                | key::VALUE
                | key::ACCOUNT
                | key::INTEGRATION
                | key::CREDENTIAL
                | key::RECORD
                | key::EVENT
                | key::AUDIT_HEAD
                | key::CHAIN_HEAD
                | key::AUDIT_FLOOR
                | key::HISTORY
        )
    })
}

/// Whose runs may see a difference after a row was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunsOf<'k> {
    Nobody,
    /// The tenant whose keys have this prefix.
    Tenant(&'k [u8]),
    Everyone,
}

/// Whose runs may see a difference after the row with this key was written. An unknown kind counts as one that runs
/// see.
pub(crate) fn runs_of(key: &Key) -> RunsOf<'_> {
    let bytes = key.as_bytes();
    if matches!(bytes, [key::WHOLE_STORE, key::JOB | key::KEY_JOB, ..]) {
        return RunsOf::Nobody;
    }
    let [key::TENANT, rest @ ..] = bytes else { return RunsOf::Everyone };
    let Some(rest) = skip_id(rest).and_then(skip_id) else { return RunsOf::Everyone };
    match rest.first() {
        Some(
            &(key::COUNT
            | key::GENERATION
            | key::DEFINITION_NAME
            | key::DEFINITION_VALUE
            | key::VALUE_ID
            | key::ACCOUNT
            | key::INTEGRATION
            | key::CREDENTIAL
            | key::RECORD
            | key::HISTORY
            | key::EVENT
            | key::AUDIT_HEAD
            | key::CHAIN_HEAD
            | key::AUDIT_FLOOR),
        ) => RunsOf::Nobody,
        _ => bytes.get(..bytes.len() - rest.len()).map_or(RunsOf::Everyone, RunsOf::Tenant),
    }
}

/// The definition in the key of a value: its last twelve bytes.
pub(crate) fn value_definition(key: &Key) -> Option<DefinitionId> {
    key.as_bytes().last_chunk::<12>().and_then(|id| DefinitionId::from_bytes(id))
}

/// The end of the key of a former version: the complement of its revision, so that the newest comes first.
pub(crate) fn former_suffix(revision: Revision) -> [u8; 8] {
    (!revision.as_u64()).to_be_bytes()
}

/// The revision in the end of the key of a former version.
pub(crate) fn parse_former_revision(bytes: &[u8; 8]) -> Revision {
    Revision::from_u64(!u64::from_be_bytes(*bytes))
}

fn parse_history(bytes: &[u8]) -> Option<TenantRow<'static>> {
    let (&kind, rest) = bytes.split_first()?;
    let (subject, rest) = match kind {
        key::VALUE => {
            let (scope, rest) = take_scope(rest)?;
            let (definition, rest) = rest.split_first_chunk::<12>()?;
            (Subject::Value(Cow::Owned(scope), DefinitionId::from_bytes(definition)?), rest)
        }
        key::CREDENTIAL => {
            let mut ids = Ids(rest);
            (Subject::Credential(ids.next()?, ids.next()?, ids.next()?), ids.0)
        }
        key::DEFINITION => {
            let (definition, rest) = rest.split_first_chunk::<12>()?;
            (Subject::Definition(DefinitionId::from_bytes(definition)?), rest)
        }
        _ => return None,
    };
    match rest {
        [] => Some(TenantRow::Deleted(subject)),
        _ => Some(TenantRow::Former(subject, parse_former_revision(rest.try_into().ok()?))),
    }
}

/// The last id of a key in a range: the bytes between the range's prefix and the final NUL.
pub(crate) fn parse_last_id<T: FromStr>(range: &KeyRange, key: &Key) -> Option<T> {
    let rest = key.as_bytes().strip_prefix(range.start.as_slice())?;
    let (id, end) = take_id(rest)?;
    if end.is_empty() { id.parse().ok() } else { None }
}

/// Reads ids from the front of some bytes, one after the other.
struct Ids<'k>(&'k [u8]);

impl Ids<'_> {
    fn next<T: FromStr + Clone>(&mut self) -> Option<Cow<'static, T>> {
        let (id, rest) = take_id(self.0)?;
        self.0 = rest;
        id.parse().ok().map(Cow::Owned)
    }
}

/// The bytes after an id and its NUL.
fn skip_id(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(bytes.iter().position(|&byte| byte == 0)? + 1..)
}

fn take_id(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let (id, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(id).ok()?, rest.get(1..)?))
}

fn take_scope(bytes: &[u8]) -> Option<(Scope, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if tag == key::SCOPE_ORG {
        return Some((Scope::Org, rest));
    }
    let (id, rest) = take_id(rest)?;
    match tag {
        key::SCOPE_ACCOUNT => Some((Scope::LinkedAccount(id.parse().ok()?), rest)),
        key::SCOPE_WORKFLOW => Some((Scope::Workflow(id.parse().ok()?), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{AppId, CredentialKey, DefinitionName, Namespace, RecordKey};

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    #[test]
    fn every_key_reads_back_as_its_row_and_no_longer_one_does() {
        let tenant = tenant();
        let (account, app): (LinkedAccountId, AppId) = ("a".parse().unwrap(), "crm".parse().unwrap());
        let work: AppId = "crm\u{1}work".parse().unwrap();
        let definition = DefinitionId::from_bytes(&[0; 12]).unwrap();
        let id = DocumentId::from_bytes(&[1; 12]).unwrap();
        let (credential, name): (CredentialKey, DefinitionName) =
            ("k".parse().unwrap(), "V".parse().unwrap());
        let (namespace, record): (Namespace, RecordKey) = ("n".parse().unwrap(), "r".parse().unwrap());
        let scope = Scope::LinkedAccount(account.clone());
        let workflow = Scope::Workflow("w".parse().unwrap());
        for row in [
            tenant.job(&id),
            tenant.keyring(None),
            tenant.keyring(Some(&account)),
            tenant.epoch(),
            tenant.count(),
            tenant.generation(),
            tenant.definition(&definition),
            tenant.definition_value(&definition, &scope),
            tenant.value(&Scope::Org, &definition),
            tenant.value(&scope, &definition),
            tenant.value(&workflow, &definition),
            tenant.value_id(&id),
            tenant.account(&account),
            tenant.integration(&account, &app),
            tenant.credential(&account, &app, &credential),
            tenant.integration(&account, &work),
            tenant.credential(&account, &work, &credential),
            tenant.record(&namespace, &record),
            tenant.event(&EventId { at: Timestamp::from_ms(1), chain: [2; 8], sequence: 3 }),
            tenant.audit_head(),
            tenant.chain_head([4; 8]),
            tenant.audit_floor(),
            tenant.former(&Subject::value(&Scope::Org, &definition), Revision::from_u64(0)),
            tenant.former(&Subject::value(&scope, &definition), Revision::from_u64(u64::MAX)),
            tenant.former(&Subject::value(&workflow, &definition), Revision::from_u64(7)),
            tenant.deleted(&Subject::value(&scope, &definition)),
            tenant.former(&Subject::credential(&account, &app, &credential), Revision::from_u64(7)),
            tenant.deleted(&Subject::credential(&account, &app, &credential)),
            tenant.former(&Subject::Definition(definition), Revision::from_u64(7)),
            tenant.deleted(&Subject::Definition(definition)),
        ] {
            assert_eq!(tenant.parse(&row.key()), Some(row.clone()));
            let longer = Key::from([row.key().as_bytes(), &[0]].concat());
            assert_eq!(tenant.parse(&longer), None);
        }
        // A name ends its key.
        let row = tenant.definition_name(&name);
        assert_eq!(tenant.parse(&row.key()), Some(row));
    }

    #[test]
    fn every_key_of_the_whole_store_reads_back_as_its_row_and_no_longer_one_does() {
        let (org, id) = (tenant().org, DocumentId::from_bytes(&[1; 12]).unwrap());
        for row in [
            VaultRow::Header,
            VaultRow::Store,
            VaultRow::Slot([7; 16]),
            VaultRow::KeyJob(id),
            VaultRow::Retired,
            VaultRow::OrgRestore(org),
            VaultRow::Export(org, [9; 16]),
        ] {
            assert_eq!(VaultRow::parse(&row.key()), Some(row));
            let is_note = matches!(row, VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..));
            assert_eq!(row.is_note(), is_note);
            let longer = Key::from([row.key().as_bytes(), &[0]].concat());
            assert_eq!(VaultRow::parse(&longer), None);
        }
    }

    #[test]
    fn a_key_shows_its_tenant() {
        let job = tenant().job(&DocumentId::from_bytes(&[1; 12]).unwrap()).key();
        assert_eq!(TenantId::of_key(&tenant().count().key()), Some(tenant()));
        assert_eq!(TenantId::of_key(&job), Some(tenant()));
        assert_eq!(TenantId::of_key(&Key::from(b"\x01foreign".as_slice())), None);
    }
}
