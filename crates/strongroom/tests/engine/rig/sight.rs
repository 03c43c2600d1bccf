//! Tenants named alike whose every value tells its own address, and what each of their readers sees.

use std::collections::BTreeMap;

use futures_executor::block_on;
use strongroom::{
    DefinitionFilter, DefinitionId, DocumentId, Environment, Error, Listing, Org, PageRequest, Scope,
    ScopePath, StoredDefinition, Vault,
};

use super::{ORG, OTHER_ORG, RowKey, Rows, account, empty, is_damage, load, of_account, of_workflow};
use super::{open, rows, text};

/// What one reader answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The values of an answer: none where it is absence.
    Values(Vec<String>),
    /// A typed error of damage.
    Damage,
    /// What an answer says of rows that it does not open.
    Hint(String),
}

/// The answers of every reader, under the tenant's and the reader's name.
pub(crate) type Sight = BTreeMap<String, Seen>;

/// Two orgs with two environments each. The first of the four has more in it.
pub(crate) struct World {
    pub(crate) rows: Rows,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) sight: Sight,
}

/// The ids by which the readers of a tenant ask.
pub(crate) struct Tenant {
    org: &'static str,
    environment: &'static str,
    definitions: Vec<DefinitionId>,
    values: Vec<DocumentId>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (store, vault) = empty();
        let tenants = TENANTS.map(|(org, environment)| block_on(furnish(&vault, org, environment)).unwrap());
        let (rows, tenants) = (rows(&store), Vec::from(tenants));
        let sight = tenants.iter().flat_map(|tenant| tenant.look(&rows)).collect();
        Self { rows, tenants, sight }
    }

    /// What the readers of all tenants see in `rows`.
    pub(crate) fn look(&self, rows: &Rows) -> Sight {
        self.tenants.iter().flat_map(|tenant| tenant.look(rows)).collect()
    }

    /// What the readers of those tenants see that own one of these keys.
    pub(crate) fn look_at(&self, rows: &Rows, keys: &[&[u8]]) -> Sight {
        let owners: Vec<_> = keys.iter().map(|key| RowKey::parse(key).tenant).collect();
        let asked = self.tenants.iter().filter(|tenant| owners.contains(&tenant.prefix()));
        asked.flat_map(|tenant| tenant.look(rows)).collect()
    }

    /// Every value that is seen is one that the same reader saw when nothing was altered.
    pub(crate) fn assert_never_wrong(&self, sight: &Sight, what: &str) {
        for (reader, seen) in sight {
            let (Seen::Values(seen), Seen::Values(right)) = (seen, &self.sight[reader]) else { continue };
            let own = |value: &String| right.contains(value) || falls_back(reader, value, right);
            assert!(seen.iter().all(own), "{what}: {reader} sees {seen:?} and not {right:?}");
            assert!(seen.len() <= right.len(), "{what}: {reader} sees a value twice");
        }
    }
}

/// Where a more specific row is missing, a resolver sees the next one of the same definition and tenant.
fn falls_back(reader: &str, value: &str, right: &[String]) -> bool {
    let address = |text: &str| {
        let (place, tenant) = text.split_once(" in ").unwrap();
        (place.split(' ').next().map(str::to_owned), tenant.to_owned())
    };
    reader.contains("resolve") && right.iter().any(|right| address(right) == address(value))
}

async fn furnish(vault: &Vault, org_id: &'static str, environment: &'static str) -> Result<Tenant, Error> {
    let mut tenant = Tenant { org: org_id, environment, definitions: Vec::new(), values: Vec::new() };
    let org = tenant.handle(vault);
    let tag = |what: &str| format!("{what} in {org_id} {environment}");
    let rich = (org_id, environment) == TENANTS[0];
    for name in &NAMES[..if rich { 2 } else { 1 }] {
        tenant.definitions.push(org.define(text(name).description(tag(name))).await?);
        for scope in &scopes()[..if rich { 4 } else { 2 }] {
            let value = tag(&format!("{name} at {scope}"));
            tenant.values.push(org.set_value(*name, scope, value).await?.id);
        }
    }
    for id in &ACCOUNTS[..if rich { 2 } else { 1 }] {
        let creation = org.create_account(account(id)).name(tag(id));
        let made = creation.with_credential("k", tag(&format!("k of {id}"))).await?;
        if rich {
            made.upsert_credential("l", tag(&format!("l of {id}"))).await?;
            made.add_integration(&"crm".parse()?).await?;
            made.app("crm".parse()?).upsert("k", tag(&format!("crm k of {id}"))).await?;
        }
    }
    for (namespace, key) in &RECORDS[..if rich { 3 } else { 1 }] {
        let value = tag(&format!("{namespace} {key}"));
        org.records(namespace.parse()?).put(&key.parse()?, value).await?;
    }
    Ok(tenant)
}

impl Tenant {
    pub(crate) fn handle(&self, vault: &Vault) -> Org {
        vault.org(self.org.parse().unwrap(), self.environment.parse::<Environment>().unwrap())
    }

    /// What stands at the head of this tenant's keys.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        [self.org.as_bytes(), &[0], self.environment.as_bytes(), &[0]].concat()
    }

    /// Asks every reader. Opens the vault again, so that no cache helps.
    pub(crate) fn look(&self, rows: &Rows) -> Sight {
        let vault = open(load(rows));
        let name = format!("{} {}", self.org, self.environment);
        let mut looker = Looker { name, org: self.handle(&vault), sight: Sight::new() };
        block_on(async {
            for (id, name) in self.definitions.iter().zip(NAMES) {
                looker.look_at_definition(*id, name).await;
            }
            for id in &self.values {
                let found = looker.org.value_by_id(id).await;
                looker.one(&format!("value by id {id}"), found, |found| found.value.expose().to_owned());
            }
            looker.look_at_lists().await;
            for id in ACCOUNTS {
                looker.look_at_account(id).await;
            }
            looker.look_at_records().await;
        });
        looker.sight
    }
}

struct Looker {
    name: String,
    org: Org,
    sight: Sight,
}

impl Looker {
    fn note(&mut self, reader: &str, answer: Result<Seen, Error>) {
        let seen = answer.unwrap_or_else(|error| match error {
            Error::DefinitionNotFound(_) | Error::IntegrationNotFound { .. } => Seen::Values(Vec::new()),
            error if is_damage(&error) => Seen::Damage,
            error => panic!("{reader}: {error:?}"),
        });
        self.sight.insert(format!("{}: {reader}", self.name), seen);
    }

    fn one<T>(&mut self, reader: &str, answer: Result<Option<T>, Error>, show: impl Fn(&T) -> String) {
        self.note(reader, answer.map(|found| Seen::Values(found.iter().map(show).collect())));
    }

    fn list<T>(&mut self, reader: &str, answer: Result<Listing<T>, Error>, show: impl Fn(&T) -> String) {
        self.note(reader, answer.map(|page| Seen::Values(page.items.iter().map(show).collect())));
    }

    async fn look_at_definition(&mut self, id: DefinitionId, name: &str) {
        let described = |found: &StoredDefinition| found.definition.description.clone().unwrap();
        let found = self.org.definition(name).await;
        self.one(&format!("{name} by name"), found, described);
        let found = self.org.definition(id).await;
        self.one(&format!("{name} by id"), found, described);
        for scope in scopes() {
            let found = self.org.value(id, &scope).await;
            self.one(&format!("value of {name} at {scope}"), found, |found| {
                assert_eq!((found.definition_id, &found.scope), (id, &scope));
                found.value.expose().to_owned()
            });
        }
        for path in paths() {
            let len = path.scopes().count();
            let found = self.org.resolve(name, &path).await;
            self.one(&format!("resolve {name} {len}"), found, |one| one.value.expose().to_owned());
            let trace = self.org.explain(id, &path).await;
            let hint = trace.map(|trace| match trace.steps.iter().any(|step| step.unreadable.is_some()) {
                true => Seen::Damage,
                false => Seen::Hint(format!("{:?}", trace.steps)),
            });
            self.note(&format!("explain {name} {len}"), hint);
        }
    }

    async fn look_at_lists(&mut self) {
        let all = PageRequest::default;
        let listed = self.org.definitions(&DefinitionFilter::all(), all()).await;
        self.list("definitions", listed, |found| found.definition.description.clone().unwrap());
        for scope in scopes() {
            let listed = self.org.values(&scope, all()).await;
            self.list(&format!("values at {scope}"), listed, |found| found.value.expose().to_owned());
        }
        for path in paths() {
            let seen = self.org.resolve_all(&path).await.map(|all| {
                Seen::Values(all.values.iter().map(|one| one.value.expose().to_owned()).collect())
            });
            self.note(&format!("resolve all {}", path.scopes().count()), seen);
        }
        let listed = self.org.linked_accounts(all()).await;
        self.list("linked accounts", listed, |known| known.name.clone().unwrap());
    }

    async fn look_at_account(&mut self, id: &str) {
        let account = self.org.account(account(id));
        let known = account.info().await;
        self.one(&format!("account {id}"), known, |known| known.name.clone().unwrap());
        let listed = account.integrations(PageRequest::default()).await;
        self.list(&format!("integrations of {id}"), listed, |app| app.integration.to_string());
        for slug in ["default-app", "crm"] {
            let app = account.app(slug.parse().unwrap());
            for key_name in ["k", "l"] {
                let found = app.get(key_name).await;
                self.one(&format!("credential {id} {slug} {key_name}"), found, |found| {
                    assert_eq!(found.info.key_name.as_str(), key_name);
                    found.value.expose().to_owned()
                });
            }
            let listed = app.list(PageRequest::default()).await;
            self.list(&format!("credentials {id} {slug}"), listed, |info| info.key_name.to_string());
        }
    }

    async fn look_at_records(&mut self) {
        for (namespace, key) in RECORDS {
            let records = self.org.records(namespace.parse().unwrap());
            let found = records.get(&key.parse().unwrap()).await;
            let what = format!("record {namespace} {key}");
            self.one(&what, found, |found| found.value.expose().to_owned());
            let listed = records.list(PageRequest::default()).await;
            self.list(&format!("records {namespace}"), listed, |found| found.value.expose().to_owned());
        }
    }
}

fn scopes() -> [Scope; 4] {
    [Scope::Org, of_account("a"), of_workflow("w"), of_account("b")]
}

fn paths() -> [ScopePath; 2] {
    [ScopePath::org(), ScopePath::org().linked_account(account("a")).workflow("w".parse().unwrap())]
}

const NAMES: [&str; 2] = ["V", "S"];
const ACCOUNTS: [&str; 2] = ["a", "b"];
const RECORDS: [(&str, &str); 3] = [("visitor", "r"), ("visitor", "s"), ("machine", "r")];
const TENANTS: [(&str, &str); 4] =
    [(ORG, "test"), (ORG, "production"), (OTHER_ORG, "test"), (OTHER_ORG, "production")];
