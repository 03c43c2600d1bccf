//! Whether verbs show what a store holds once no job is left.

use std::collections::BTreeSet;

use futures_executor::block_on;
use strongroom::store::Store;
use strongroom::{DefinitionFilter, Error, LinkedAccountId, Listing, Org, PageRequest, Scope, WorkflowId};

use super::open;
use super::rows::{Kind, RowKey, load, rows};
use super::verbs::app_of;
use super::verified::verified;

/// Panics unless the store is as it must be when nothing is under way ([`crate::audit`]), and its lists show all of it:
/// none of its rows is hidden behind a dropped key or a mark.
pub(crate) fn audit(store: &impl Store) {
    verified(store);
    let rows = rows(store);
    let keys: Vec<RowKey> = rows.keys().map(|key| RowKey::parse(key)).collect();
    let tenants: BTreeSet<&Vec<u8>> =
        keys.iter().filter(|key| !key.tenant.is_empty()).map(|key| &key.tenant).collect();
    let vault = open(load(&rows));
    for tenant in tenants {
        let keys: Vec<&RowKey> = keys.iter().filter(|key| key.tenant == *tenant).collect();
        let (org, environment) = keys[0].tenant_ids();
        Shown { keys, org: vault.org(org.parse().unwrap(), environment.parse().unwrap()) }.check();
    }
}

struct Shown<'r> {
    keys: Vec<&'r RowKey>,
    org: Org,
}

impl Shown<'_> {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &RowKey> {
        self.keys.iter().copied().filter(move |key| key.kind == kind)
    }

    fn check(&self) {
        let org = &self.org;
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
                integrations += 1;
                credentials += len(block_on(app_of(&account, &app).list(all())));
            }
        }
        assert_eq!(self.of(Kind::Integration).count(), integrations, "an integration is hidden");
        assert_eq!(self.of(Kind::Credential).count(), credentials, "a credential is hidden");
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
