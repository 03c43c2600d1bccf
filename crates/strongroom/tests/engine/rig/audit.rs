//! Whether what a store holds is consistent once no job is left.

use std::collections::BTreeSet;

use futures_executor::block_on;
use strongroom::store::Store;
use strongroom::{
    DefinitionFilter, DefinitionId, Environment, Error, IntegrationId, Limits, LinkedAccountId, Listing, Org,
    PageRequest, Scope, VaultOptions, WorkflowId,
};

use super::rows::{Kind, RowKey, Rows, doc_id, load, rows, target};
use super::verified::verified;
use super::{open, text, unlock};

/// Panics unless every index row leads to its row and back, every child has its parent, nothing hidden is left, and
/// the counts match.
pub(crate) fn audit(store: &impl Store) {
    verified(store);
    let rows = rows(store);
    let keys: Vec<RowKey> = rows.keys().map(|key| RowKey::parse(key)).collect();
    assert!(keys.iter().all(|key| !matches!(key.kind, Kind::Job | Kind::KeyJob)), "a job is left");
    let tenants: BTreeSet<&Vec<u8>> =
        keys.iter().filter(|key| !key.tenant.is_empty()).map(|key| &key.tenant).collect();
    for tenant in tenants {
        let keys: Vec<&RowKey> = keys.iter().filter(|key| key.tenant == *tenant).collect();
        let tenant = Tenant { rows: &rows, keys };
        tenant.check_names();
        tenant.check_values();
        tenant.check_parents();
        tenant.check_visible();
        tenant.check_count();
    }
}

struct Tenant<'r> {
    rows: &'r Rows,
    keys: Vec<&'r RowKey>,
}

impl Tenant<'_> {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &RowKey> {
        self.keys.iter().copied().filter(move |key| key.kind == kind)
    }

    fn row(&self, key: &RowKey) -> &[u8] {
        &self.rows[&key.bytes()]
    }

    fn has(&self, like: &RowKey, kind: Kind, rest: &[u8]) -> bool {
        let key = RowKey { tenant: like.tenant.clone(), kind, rest: rest.to_vec() };
        self.rows.contains_key(&key.bytes())
    }

    fn org(&self) -> Org {
        let (org, environment) = self.keys[0].tenant_ids();
        open(load(self.rows)).org(org.parse().unwrap(), environment.parse::<Environment>().unwrap())
    }

    /// One name for each definition, and each leads to a definition of that name.
    fn check_names(&self) {
        let org = self.org();
        assert_eq!(self.of(Kind::DefinitionName).count(), self.of(Kind::Definition).count());
        for key in self.of(Kind::DefinitionName) {
            let name = std::str::from_utf8(&key.rest).unwrap();
            let id = definition_id(target(self.row(key)));
            let stored = block_on(org.definition(name)).unwrap().expect("a name leads to a definition");
            assert_eq!(stored.id, id);
        }
    }

    /// A value, its id and its place in the index of its definition stand together or not at all.
    fn check_values(&self) {
        for key in self.of(Kind::Value) {
            let (scope, definition) = key.rest.split_at(key.rest.len() - 12);
            assert!(self.has(key, Kind::Definition, definition), "a value has no definition");
            let index = [definition, scope].concat();
            assert!(self.has(key, Kind::DefinitionValue, &index), "a value is in no definition's index");
            let id = doc_id(self.row(key));
            assert!(self.has(key, Kind::ValueId, &id), "a value's id leads nowhere");
        }
        for key in self.of(Kind::DefinitionValue) {
            let (definition, scope) = key.rest.split_at(12);
            assert!(self.has(key, Kind::Value, &[scope, definition].concat()), "an index row leads nowhere");
        }
        for key in self.of(Kind::ValueId) {
            let value = self.rows.get(target(self.row(key))).expect("a value id leads to a value");
            assert_eq!(doc_id(value), key.rest, "a value id leads to another value");
        }
    }

    /// A credential has its integration, an integration its account, and what is sealed its keyring.
    fn check_parents(&self) {
        for key in self.of(Kind::Credential) {
            let mut ends = key.rest.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
            let (account, integration) = (ends.next().unwrap(), ends.next().unwrap());
            assert!(self.has(key, Kind::Integration, &key.rest[..integration]), "no integration");
            assert!(self.has(key, Kind::Keyring, &key.rest[..account]), "no keyring");
        }
        for key in self.of(Kind::Integration) {
            let account = key.rest.iter().position(|byte| *byte == 0).unwrap() + 1;
            assert!(self.has(key, Kind::Account, &key.rest[..account]), "an integration has no account");
        }
    }

    /// Every row is one that its list shows: none is hidden behind a dropped key or a mark.
    fn check_visible(&self) {
        let org = self.org();
        let all = || PageRequest::first(PageRequest::LIMIT_MAX);
        let definitions = block_on(org.definitions(&DefinitionFilter::all(), all()));
        assert_eq!(self.of(Kind::Definition).count(), len(definitions));
        let scopes: BTreeSet<&[u8]> =
            self.of(Kind::Value).map(|key| &key.rest[..key.rest.len() - 12]).collect();
        let shown: usize = scopes.iter().map(|bytes| len(block_on(org.values(&scope(bytes), all())))).sum();
        assert_eq!(self.of(Kind::Value).count(), shown, "a value is hidden");
        assert_eq!(self.of(Kind::Account).count(), len(block_on(org.linked_accounts(all()))));
        let (mut integrations, mut credentials) = (0, 0);
        for known in block_on(org.linked_accounts(all())).unwrap().items {
            let account = org.account(known.account_id);
            for app in block_on(account.integrations(all())).unwrap().items {
                let slug: IntegrationId = app.integration;
                integrations += 1;
                credentials += len(block_on(account.app(slug).list(all())));
            }
        }
        assert_eq!(self.of(Kind::Integration).count(), integrations, "an integration is hidden");
        assert_eq!(self.of(Kind::Credential).count(), credentials, "a credential is hidden");
    }

    /// The sealed count is that of the definitions: one more fits within that limit plus one, and not within it.
    fn check_count(&self) {
        let (org_id, environment) = self.keys[0].tenant_ids();
        let count = self.of(Kind::Definition).count();
        for (max, fits) in [(count, false), (count + 1, true)] {
            let options = VaultOptions::default().limits(Limits::default().definitions_max(max));
            let vault = block_on(options.open(load(self.rows), unlock())).unwrap();
            let org = vault.org(org_id.parse().unwrap(), environment.parse().unwrap());
            let defined = block_on(org.define(text("one-more-than-counted")));
            match defined {
                Ok(_) => assert!(fits, "the count is below {count}"),
                Err(Error::TooManyDefinitions(_)) => assert!(!fits, "the count is above {count}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn len<T>(listing: Result<Listing<T>, Error>) -> usize {
    let listing = listing.unwrap();
    assert!(listing.next.is_none(), "the audit reads one page of each list");
    listing.items.len()
}

fn scope(bytes: &[u8]) -> Scope {
    let id = |id: &[u8]| String::from_utf8(id[..id.len() - 1].to_vec()).unwrap();
    match bytes {
        [0] => Scope::Org,
        [1, rest @ ..] => Scope::LinkedAccount(id(rest).parse::<LinkedAccountId>().unwrap()),
        [2, rest @ ..] => Scope::Workflow(id(rest).parse::<WorkflowId>().unwrap()),
        _ => panic!("a scope of an unknown kind"),
    }
}

/// An id from its twelve bytes.
fn definition_id(bytes: &[u8]) -> DefinitionId {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.parse().unwrap()
}
