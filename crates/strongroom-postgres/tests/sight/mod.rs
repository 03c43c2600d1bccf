//! A vault with something of every kind in it, and everything that its readers see.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom::{
    Clock, DefinitionFilter, Environment, Error, FormatChange, LinkedAccountId, Listing, OnMismatch, Org,
    PageRequest, Scope, ScopePath, Secret, VarFormat, VariableDefinition, Vault,
};

/// Every answer of every reader: ids, revisions and times, and the plaintext as bytes.
pub(crate) type Sight = BTreeMap<String, String>;

/// A clock that no two documents read alike.
#[derive(Debug, Default)]
pub(crate) struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Two orgs with two environments each.
pub(crate) fn tenants(vault: &Vault) -> Vec<Org> {
    let orgs = ["6500a1b2c3d4e5f6a7b8c9d0", "6500a1b2c3d4e5f6a7b8c9d1"];
    let of = |org: &str| {
        let environments = [Environment::test(), Environment::production()];
        environments.map(|environment| vault.org(org.parse().unwrap(), environment))
    };
    orgs.into_iter().flat_map(of).collect()
}

/// Fills one tenant. Its values tell whose they are.
pub(crate) async fn furnish(org: &Org) -> Result<(), Error> {
    let tag = |what: &str| format!("{what} in {} {}", org.id(), org.environment());
    for number in 0..NAMES {
        let mut definition =
            VariableDefinition::new(name(number), VarFormat::String).description(tag("about"));
        definition.encrypted = number % 2 == 0;
        definition.required = number % 3 == 0;
        org.define(definition).await?;
        for scope in scopes().into_iter().skip(number % 4) {
            let text = tag(&format!("\u{e9}\n{number} at {scope} {}", "x".repeat(number * 40)));
            org.set_value(&name(number), &scope, "before").await?;
            org.set_value(&name(number), scope, text).await?;
        }
    }
    org.define(VariableDefinition::new("DEFAULTED", VarFormat::String).default_value(tag("default"))).await?;
    org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
    org.set_value("PORT", Scope::Org, "http").await?;
    org.change_format("PORT", &FormatChange::to(VarFormat::Integer), OnMismatch::Grandfather).await?;
    org.define(VariableDefinition::new("LARGE", VarFormat::String).encrypted()).await?;
    org.set_value("LARGE", Scope::Org, "l".repeat(60_000)).await?;
    org.delete_value(&name(1), &workflow("w2")).await?;
    furnish_accounts(org, &tag).await?;
    for key in ["r", "s"] {
        org.records("visitor".parse()?).put(&key.parse()?, tag(key)).await?;
    }
    Ok(())
}

async fn furnish_accounts(org: &Org, tag: &impl Fn(&str) -> String) -> Result<(), Error> {
    for id in ACCOUNTS {
        let creation = org.create_account(account(id)).name(tag(id)).udf(r#"{"plan": "pro"}"#);
        let made = creation.with_credential("k", tag("old k")).await?;
        made.upsert_credential("k", tag(&format!("k of {id}"))).await?;
        made.add_integration(&"crm".parse()?).await?;
        made.app("crm".parse()?).upsert("token", tag(&format!("token of {id}"))).await?;
    }
    // Dropped keys leave tombstones, which move along.
    org.create_account(account("gone")).with_credential("k", "gone").await?;
    org.delete_account(&account("gone")).await
}

/// Asks every reader of the whole vault.
pub(crate) async fn look(vault: &Vault) -> Result<Sight, Error> {
    let mut sight = Sight::from([("store id".to_owned(), vault.store_id())]);
    sight.insert("root id".to_owned(), format!("{:?}", vault.root_id()));
    sight.insert("slots".to_owned(), format!("{:?}", vault.slots().list().await?));
    for job in vault.jobs(PageRequest::default()).await?.items {
        // Whether somebody is at it depends on the clock.
        sight.insert(format!("job {}", job.id), format!("{:?} {:?}", job.kind, job.progress));
    }
    for org in tenants(vault) {
        let mut looker = Looker { prefix: format!("{} {}", org.id(), org.environment()), sight: &mut sight };
        looker.definitions(&org).await?;
        looker.values(&org).await?;
        looker.accounts(&org).await?;
    }
    Ok(sight)
}

struct Looker<'s> {
    prefix: String,
    sight: &'s mut Sight,
}

impl Looker<'_> {
    fn note(&mut self, reader: &str, answer: &impl Debug, value: Option<&Secret>) {
        let plaintext = value.map(|value| value.expose().as_bytes());
        let before =
            self.sight.insert(format!("{} {reader}", self.prefix), format!("{answer:?} {plaintext:?}"));
        assert!(before.is_none(), "{reader} is asked once");
    }

    async fn definitions(&mut self, org: &Org) -> Result<(), Error> {
        let all = DefinitionFilter::all();
        for stored in pages(async |page| org.definitions(&all, page).await).await? {
            let name = stored.definition.name.clone();
            let found = (org.definition(stored.id).await?, org.definition(&name).await?);
            assert_eq!(found, (Some(stored.clone()), Some(stored.clone())));
            self.note(&format!("definition {name}"), &stored, None);
            let kept = pages(async |page| org.grandfathered_values(stored.id, page).await).await?;
            self.note(&format!("grandfathered {name}"), &kept, None);
            for (number, path) in paths().into_iter().enumerate() {
                let resolved = org.resolve(&name, &path).await?;
                let value = resolved.as_ref().map(|resolved| &resolved.value);
                self.note(&format!("resolve {name} {number}"), &resolved, value);
                self.note(&format!("explain {name} {number}"), &org.explain(&name, &path).await?, None);
            }
        }
        Ok(())
    }

    async fn values(&mut self, org: &Org) -> Result<(), Error> {
        for scope in scopes() {
            for value in pages(async |page| org.values(&scope, page).await).await? {
                let by_id = org.value_by_id(&value.id).await?.unwrap();
                assert_eq!(by_id.value.expose(), value.value.expose());
                self.note(&format!("value {} {scope}", value.definition_id), &value, Some(&value.value));
            }
        }
        for (number, path) in paths().into_iter().enumerate() {
            let all = org.resolve_all(&path).await?;
            self.note(&format!("missing {number}"), &all.missing_required, None);
            for one in all.values {
                self.note(&format!("resolve all {number} {}", one.name), &one, Some(&one.value));
            }
        }
        for record in pages(async |page| org.records("visitor".parse()?).list(page).await).await? {
            self.note(&format!("record {}", record.key), &record, Some(&record.value));
        }
        Ok(())
    }

    async fn accounts(&mut self, org: &Org) -> Result<(), Error> {
        for known in pages(async |page| org.linked_accounts(page).await).await? {
            let id = known.account_id.clone();
            let account = org.account(id.clone());
            self.note(&format!("account {id}"), &known, None);
            for app in pages(async |page| account.integrations(page).await).await? {
                self.note(&format!("app {id} {}", app.integration), &app, None);
                let app = account.app(app.integration);
                for info in pages(async |page| app.list(page).await).await? {
                    let credential = app.get(info.key_name.as_str()).await?.unwrap();
                    assert_eq!(credential.info, info);
                    let reader = format!("credential {id} {} {}", info.integration, info.key_name);
                    self.note(&reader, &info, Some(&credential.value));
                }
            }
        }
        Ok(())
    }
}

/// All items of a list, a small page at a time.
async fn pages<T>(list: impl AsyncFn(PageRequest) -> Result<Listing<T>, Error>) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    let mut page = PageRequest::first(7);
    loop {
        let listing = list(page).await?;
        items.extend(listing.items);
        let Some(next) = listing.next else { return Ok(items) };
        page = PageRequest::first(7).after(next);
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("V{number}")
}

fn account(id: &str) -> LinkedAccountId {
    id.parse().unwrap()
}

fn workflow(id: &str) -> Scope {
    Scope::Workflow(id.parse().unwrap())
}

fn scopes() -> [Scope; 5] {
    let [a, b] = ACCOUNTS.map(|id| Scope::LinkedAccount(account(id)));
    [Scope::Org, a, workflow("w"), b, workflow("w2")]
}

fn paths() -> [ScopePath; 3] {
    let [a, b] = ACCOUNTS.map(account);
    let whole = ScopePath::org().linked_account(a).workflow("w".parse().unwrap());
    [ScopePath::org(), ScopePath::org().linked_account(b), whole]
}

const NAMES: usize = 12;
const ACCOUNTS: [&str; 2] = ["a", "b"];
