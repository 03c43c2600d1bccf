//! Keys of rows read back: what a key says that its row is.

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
use crate::row::key;
use crate::row::key::TenantKeys;
use crate::row::key::take_id;
use crate::row::key::take_scope;
use crate::scope::Scope;
use crate::store::Key;

/// What the key of a row says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Slot([u8; 16]),
    StoreRow,
    /// That the vault moved, or that a backup was made.
    Note,
    Job(DocumentId),
    /// A job on keys, which belongs to no tenant.
    KeyJob(DocumentId),
    Keyring(Option<LinkedAccountId>),
    Epoch,
    Count,
    Definition(DefinitionId),
    DefinitionName(DefinitionName),
    DefinitionValue(DefinitionId, Scope),
    Value(Scope, DefinitionId),
    ValueId(DocumentId),
    Account(LinkedAccountId),
    Integration(LinkedAccountId, IntegrationId),
    Credential(LinkedAccountId, IntegrationId, CredentialKey),
    Record(Namespace, RecordKey),
}

/// Whose row a key is, as far as that can be told: of a tenant, or of the whole store.
pub(crate) fn parse_tenant(key: &Key) -> Option<(OrgId, Environment)> {
    let rest = match key.as_bytes() {
        [key::TENANT, rest @ ..] | [key::WHOLE_STORE, key::JOB, rest @ ..] => rest,
        _ => return None,
    };
    let (org, rest) = take_id(rest)?;
    let (environment, _) = take_id(rest)?;
    Some((org.parse().ok()?, environment.parse().ok()?))
}

/// What a key of the whole store says it is. Jobs other than those on keys have a tenant.
pub(crate) fn parse_store_row(key: &Key) -> Option<Place> {
    match key.as_bytes() {
        [key::WHOLE_STORE, key::HEADER] => Some(Place::Header),
        [key::WHOLE_STORE, key::STORE_ROW] => Some(Place::StoreRow),
        [key::WHOLE_STORE, key::RETIRED] | [key::WHOLE_STORE, key::ORG_ARRIVAL | key::EXPORT, ..] => {
            Some(Place::Note)
        }
        [key::WHOLE_STORE, key::SLOT, id @ ..] => Some(Place::Slot(id.try_into().ok()?)),
        [key::WHOLE_STORE, key::KEY_JOB, id @ ..] => DocumentId::from_bytes(id).map(Place::KeyJob),
        _ => None,
    }
}

/// What a key of the tenant says it is.
pub(crate) fn parse_tenant_row(keys: &TenantKeys, key: &Key) -> Option<Place> {
    let key = key.as_bytes();
    if let Some(id) = key.strip_prefix(keys.jobs().start.as_slice()) {
        return DocumentId::from_bytes(id).map(Place::Job);
    }
    let (&kind, rest) = key.strip_prefix(keys.prefix())?.split_first()?;
    let mut ids = Ids(rest);
    let place = match kind {
        key::KEYRING if rest.is_empty() => return Some(Place::Keyring(None)),
        key::KEYRING => Place::Keyring(Some(ids.next()?)),
        key::EPOCH if rest.is_empty() => return Some(Place::Epoch),
        key::COUNT if rest.is_empty() => return Some(Place::Count),
        key::DEFINITION => return DefinitionId::from_bytes(rest).map(Place::Definition),
        key::DEFINITION_NAME => {
            return std::str::from_utf8(rest).ok()?.parse().ok().map(Place::DefinitionName);
        }
        key::DEFINITION_VALUE => {
            let (definition, scope) = rest.split_at_checked(12)?;
            let (scope, end) = take_scope(scope)?;
            let definition = DefinitionId::from_bytes(definition)?;
            return end.is_empty().then_some(Place::DefinitionValue(definition, scope));
        }
        key::VALUE => {
            let (scope, definition) = take_scope(rest)?;
            return DefinitionId::from_bytes(definition).map(|id| Place::Value(scope, id));
        }
        key::VALUE_ID => return DocumentId::from_bytes(rest).map(Place::ValueId),
        key::ACCOUNT => Place::Account(ids.next()?),
        key::INTEGRATION => Place::Integration(ids.next()?, ids.next()?),
        key::CREDENTIAL => Place::Credential(ids.next()?, ids.next()?, ids.next()?),
        key::RECORD => Place::Record(ids.next()?, ids.next()?),
        _ => return None,
    };
    ids.0.is_empty().then_some(place)
}

/// The ids at the head of some bytes, one after the other.
struct Ids<'k>(&'k [u8]);

impl Ids<'_> {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        let (id, rest) = take_id(self.0)?;
        self.0 = rest;
        id.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantKeys {
        TenantKeys::new(&"6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), &Environment::test())
    }

    #[test]
    fn every_key_reads_back_as_its_place_and_no_longer_one_does() {
        let keys = tenant();
        let (account, app): (LinkedAccountId, IntegrationId) = ("a".parse().unwrap(), "crm".parse().unwrap());
        let (definition, id) =
            (DefinitionId::from_bytes(&[0; 12]).unwrap(), DocumentId::from_bytes(&[1; 12]).unwrap());
        let (credential, name): (CredentialKey, DefinitionName) =
            ("k".parse().unwrap(), "V".parse().unwrap());
        let (namespace, record): (Namespace, RecordKey) = ("n".parse().unwrap(), "r".parse().unwrap());
        let scope = Scope::LinkedAccount(account.clone());
        for (key, place) in [
            (keys.job(&id), Place::Job(id)),
            (keys.keyring(None), Place::Keyring(None)),
            (keys.keyring(Some(&account)), Place::Keyring(Some(account.clone()))),
            (keys.epoch(), Place::Epoch),
            (keys.count(), Place::Count),
            (keys.definition(&definition), Place::Definition(definition)),
            (keys.definition_value(&definition, &scope), Place::DefinitionValue(definition, scope.clone())),
            (keys.value(&scope, &definition), Place::Value(scope, definition)),
            (keys.value_id(&id), Place::ValueId(id)),
            (keys.account(&account), Place::Account(account.clone())),
            (keys.integration(&account, &app), Place::Integration(account.clone(), app.clone())),
            (keys.credential(&account, &app, &credential), Place::Credential(account, app, credential)),
            (keys.record(&namespace, &record), Place::Record(namespace, record)),
        ] {
            assert_eq!(parse_tenant_row(&keys, &key), Some(place));
            let longer = Key::from([key.as_bytes(), &[0]].concat());
            assert_eq!(parse_tenant_row(&keys, &longer), None);
        }
        // A name ends its key.
        assert_eq!(parse_tenant_row(&keys, &keys.definition_name(&name)), Some(Place::DefinitionName(name)));
    }

    #[test]
    fn a_key_tells_its_tenant() {
        let owner = Some(("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test()));
        let job = tenant().job(&DocumentId::from_bytes(&[1; 12]).unwrap());
        assert_eq!(parse_tenant(&tenant().count()), owner);
        assert_eq!(parse_tenant(&job), owner);
        assert_eq!(parse_tenant(&Key::from(b"\x01foreign".as_slice())), None);
    }
}
