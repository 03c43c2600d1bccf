//! A tenant with some of everything, every verb that writes to it, and what its readers see.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Account, AppCredentials, DefinitionChange, DefinitionFilter, Error, Expected, FormatChange, Integration,
    IntegrationId, LengthBounds, NewValue, OnMismatch, Org, PageRequest, Records, Scope, ScopeKind,
    ScopePath, Scopes, VarFormat, VariableDefinition, WriteOptions,
};

use super::{Rows, account, empty, load, of_account, of_workflow, open, org, rows, text};

/// What a verb answers, as text.
pub(crate) type Answer = Result<String, Error>;

/// A verb that writes.
#[derive(Clone, Copy)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    run: fn(Org) -> Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl Verb {
    pub(crate) fn run(&self, org: Org) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        (self.run)(org)
    }

    /// What is seen once it ran on a vault of these rows.
    pub(crate) fn view_after(&self, base: &Rows) -> View {
        let store = load(base);
        block_on(self.run(org(&open(Arc::clone(&store))))).unwrap();
        view(&org(&open(store)))
    }

    /// Whether it changes definitions or drops keys, which an engine caches.
    pub(crate) fn changes_cached_rows(&self) -> bool {
        let changes = [
            "define",
            "rename",
            "encrypt",
            "narrow",
            "reformat",
            "delete_definition",
            "delete_account",
            "shred",
        ];
        changes.iter().any(|name| self.name.starts_with(name))
    }

    /// Whether it sweeps after its first commit.
    pub(crate) fn cascades(&self) -> bool {
        self.name == "narrow"
            || self.name == "reformat"
            || self.name == "shred"
            || self.name.starts_with("delete_definition")
            || self.name.starts_with("delete_account")
            || self.name.starts_with("delete_integration")
    }
}

/// The rows of a vault in which every verb has something to do.
pub(crate) fn furnished() -> Rows {
    let (store, vault) = empty();
    block_on(furnish(&org(&vault))).unwrap();
    rows(&store)
}

async fn furnish(org: &Org) -> Result<(), Error> {
    for name in ["V", "S", "N"] {
        org.define(text(name)).await?;
    }
    org.define(text("D").default_value("default")).await?;
    org.define(text("R").required()).await?;
    for scope in [Scope::Org, of_account("a"), of_account("u"), of_workflow("w")] {
        let value = format!("V at {scope}");
        org.set_value("V", scope, value).await?;
    }
    org.set_value("D", of_account("a"), "D at a").await?;
    let a = org.create_account(account("a")).name("A").with_credential("k", "k of a").await?;
    a.upsert_credential("k2", "k2 of a").await?;
    a.add_integration(&"crm".parse()?).await?;
    a.app("crm".parse()?).upsert("x", "x of crm").await?;
    a.add_connection(&"crm".parse()?, &"work".parse()?).await?;
    a.app("crm".parse()?).connection("work".parse()?).upsert("x", "x of crm at work").await?;
    records(org).put(&"r".parse()?, "record r").await?;
    put_history(org).await
}

/// Former versions of a value, a credential and a definition; and one of each that was deleted with its history kept.
async fn put_history(org: &Org) -> Result<(), Error> {
    let kept = || WriteOptions::default().keep_history();
    org.set_value("V", of_account("a"), "V at a once more").await?;
    org.set_value("S", of_workflow("w"), "S at w").await?;
    org.delete_value_with("S", of_workflow("w"), kept()).await?;
    let app = org.account(account("a")).app(IntegrationId::default_app());
    app.upsert("k", "k of a once more").await?;
    app.upsert("gone", "g").await?;
    app.delete_with("gone", kept()).await?;
    org.update_definition("V", DefinitionChange::new().description("V")).await?;
    org.define(text("G")).await?;
    org.delete_definition_with("G", kept()).await
}

fn records(org: &Org) -> Records {
    org.records("visitor".parse().unwrap())
}

macro_rules! verb {
    ($name:literal, |$org:ident| $body:expr) => {
        Verb { name: $name, run: |$org| Box::pin(async move { Ok(format!("{:?}", $body)) }) }
    };
}

/// Every verb that writes, each on the furnished tenant.
pub(crate) fn verbs() -> Vec<Verb> {
    let mut verbs = definition_verbs();
    verbs.extend(value_verbs());
    verbs.extend(account_verbs());
    verbs.extend(record_verbs());
    verbs
}

fn definition_verbs() -> Vec<Verb> {
    vec![
        verb!("define", |org| org.define(text("NEW")).await.map(|_| ())?),
        verb!("define_and_set", |org| {
            let values = [NewValue::new("NEW", Scope::Org, "n"), NewValue::new("V", of_account("b"), "v")];
            let written = org.define_and_set(&[text("NEW")], &values).await?;
            written.values.into_iter().map(|written| written.action).collect::<Vec<_>>()
        }),
        verb!("rename", |org| {
            org.update_definition("V", DefinitionChange::new().name("V2")).await?.definition.name
        }),
        verb!("encrypt", |org| {
            org.update_definition("V", DefinitionChange::new().encrypted()).await?.definition.encrypted
        }),
        verb!("narrow", |org| {
            let scopes = Scopes::only(ScopeKind::Org);
            org.update_definition("N", DefinitionChange::new().scopes(scopes)).await?.definition.scopes
        }),
        verb!("reformat", |org| {
            let short = FormatChange::to(VarFormat::String).length(LengthBounds::new(1..=4).unwrap());
            org.change_format("V", &short, OnMismatch::Grandfather).await?.definition.length
        }),
        verb!("restore_definition", |org| {
            let former = org.definition_history("V", PageRequest::first(2)).await?.items[1].revision;
            org.restore_definition("V", former).await?.definition.description
        }),
        verb!("delete_definition", |org| org.delete_definition("V").await?),
        verb!("delete_definition, keeping its history", |org| {
            org.delete_definition_with("N", WriteOptions::default().keep_history()).await?;
        }),
        verb!("delete_definition without values", |org| org.delete_definition("N").await?),
    ]
}

fn value_verbs() -> Vec<Verb> {
    vec![
        verb!("set_value first", |org| org.set_value("S", Scope::Org, "s").await?.action),
        verb!("set_value first, expecting none", |org| {
            let options = WriteOptions::expecting(Expected::Absent);
            org.set_value_with("S", Scope::Org, "s", options).await?.action
        }),
        verb!("set_value first of an account", |org| org.set_value("S", of_account("b"), "s").await?.action),
        verb!("set_value again", |org| org.set_value("V", Scope::Org, "v").await?.action),
        verb!("set_value with a record", |org| {
            let record = records(&org).write("r2".parse()?, "record r2");
            let options = WriteOptions::default().with_record(record);
            org.set_value_with("V", Scope::Org, "v", options).await?.action
        }),
        verb!("set_values", |org| {
            let values = [
                NewValue::new("V", Scope::Org, "v"),
                NewValue::new("S", of_account("a"), "s"),
                NewValue::new("S", of_account("b"), "s"),
                NewValue::new("S", of_workflow("w"), "s"),
            ];
            org.set_values(&values).await?.into_iter().map(|written| written.action).collect::<Vec<_>>()
        }),
        verb!("delete_value", |org| org.delete_value("V", Scope::Org).await?.is_some()),
        verb!("delete_value, keeping its history", |org| {
            let kept = WriteOptions::default().keep_history();
            org.delete_value_with("V", of_account("a"), kept).await?.is_some()
        }),
        verb!("set_value that was deleted", |org| {
            org.set_value("S", of_workflow("w"), "s").await?.action
        }),
        verb!("undelete_value", |org| org.undelete_value("S", of_workflow("w")).await?.is_some()),
    ]
}

fn account_verbs() -> Vec<Verb> {
    vec![
        verb!("create_account", |org| {
            let creation = org.create_account(account("c")).with_credential("k", "k of c");
            creation.with_credential("l", "l of c").await?.id().clone()
        }),
        verb!("upsert_account", |org| {
            org.upsert_account(account("a")).udf("{}").with_credential("k", "merged").await?.action
        }),
        verb!("add_integration", |org| {
            org.account(account("a")).add_integration(&"mail".parse()?).await?.integration
        }),
        verb!("add_connection", |org| {
            org.account(account("a")).add_connection(&"crm".parse()?, &"home".parse()?).await?.connection
        }),
        verb!("upsert_credential of a connection", |org| {
            let app = org.account(account("a")).app("crm".parse()?).connection("work".parse()?);
            app.upsert("y", "y of crm at work").await?.action
        }),
        verb!("upsert_credential first", |org| {
            org.account(account("a")).upsert_credential("k3", "k3 of a").await?.action
        }),
        verb!("upsert_credential again", |org| {
            org.account(account("a")).upsert_credential("k", "another").await?.action
        }),
        verb!("delete_credential", |org| org.account(account("a")).delete_credential("k").await?),
        verb!("delete_credential, keeping its history", |org| {
            let app = org.account(account("a")).app(IntegrationId::default_app());
            app.delete_with("k", WriteOptions::default().keep_history()).await?
        }),
        verb!("undelete_credential", |org| {
            let app = org.account(account("a")).app(IntegrationId::default_app());
            app.undelete("gone").await?.is_some()
        }),
        verb!("delete_integration", |org| {
            org.account(account("a")).delete_integration(&IntegrationId::default_app()).await?;
        }),
        verb!("delete_integration, one connection", |org| {
            org.account(account("a")).delete_connection(&"crm".parse()?, &"work".parse()?).await?;
        }),
        verb!("delete_account", |org| org.delete_account(&account("a")).await?),
        verb!("delete_account unregistered", |org| org.delete_account(&account("u")).await?),
        verb!("shred", |org| drop(org.shred().await?)),
    ]
}

fn record_verbs() -> Vec<Verb> {
    vec![
        verb!("put_record first", |org| records(&org).put(&"r2".parse()?, "record r2").await?.action),
        verb!("put_record again", |org| records(&org).put(&"r".parse()?, "another").await?.action),
        verb!("delete_record", |org| records(&org).delete(&"r".parse()?).await?),
    ]
}

/// What every reader sees of the tenant: no ids and no times, so that two runs of a verb can be compared.
pub(crate) type View = BTreeMap<String, String>;

/// Reads everything.
pub(crate) fn view(org: &Org) -> View {
    let mut view = View::new();
    block_on(fill(org, &mut view)).unwrap();
    view
}

async fn fill(org: &Org, view: &mut View) -> Result<(), Error> {
    let run = ScopePath::org().linked_account(account("a")).workflow("w".parse()?);
    let listed = org.definitions(&DefinitionFilter::all(), PageRequest::default()).await?;
    let names: Vec<_> = listed.items.iter().map(|stored| stored.definition.name.as_str()).collect();
    view.insert("definitions".into(), names.join(" "));
    for name in ["V", "V2", "S", "N", "D", "R", "NEW"] {
        let stored = org.definition(name).await?.map(|stored| stored.definition);
        let shown = stored.map(|VariableDefinition { encrypted, scopes, length, description, .. }| {
            format!("{encrypted:?} {scopes:?} {length:?} {description:?}")
        });
        let known = shown.is_some();
        view.insert(format!("definition {name}"), shown.unwrap_or_default());
        if known {
            fill_values(org, name, &run, view).await?;
        }
    }
    for scope in [Scope::Org, of_account("a"), of_account("b"), of_account("u"), of_workflow("w")] {
        let mut values = Vec::new();
        for value in org.values(&scope, PageRequest::default()).await?.items {
            assert!(org.value_by_id(&value.id).await?.is_some(), "a listed value is found by its id");
            values.push(value.value.expose().to_owned());
        }
        view.insert(format!("values {scope}"), values.join(", "));
    }
    // From the second time on the engine may keep what a run sees: a third answer may be one that was kept.
    for _ in 0..3 {
        let all = org.resolve_all(&run).await?;
        let all_values: Vec<_> =
            all.values.iter().map(|one| format!("{}={}", one.name, one.value.expose())).collect();
        let shown = format!("{all_values:?} without {:?}", all.missing_required);
        let before = view.insert("all".into(), shown.clone());
        assert!(before.is_none_or(|before| before == shown), "a kept run is what was read");
        for (name, one) in all.values.iter().map(|one| (&one.name, one)) {
            let shown = format!("{} {:?} {:?}", one.value.expose(), one.scope, one.shadowed);
            assert_eq!(view[&format!("resolve {name}")], shown);
        }
    }
    fill_accounts(org, view).await?;
    // An earlier release let a host write in the namespace of sessions: those records are still read.
    for namespace in ["visitor", "session"] {
        for record in org.records(namespace.parse()?).list(PageRequest::default()).await?.items {
            view.insert(format!("record {}", record.key), record.value.expose().to_owned());
        }
    }
    Ok(())
}

async fn fill_values(org: &Org, name: &str, run: &ScopePath, view: &mut View) -> Result<(), Error> {
    for scope in [Scope::Org, of_account("a"), of_account("b"), of_account("u"), of_workflow("w")] {
        if let Some(found) = org.value(name, &scope).await? {
            view.insert(format!("value {name} {scope}"), found.value.expose().to_owned());
        }
    }
    let resolved = org.resolve(name, run).await?;
    let shown = resolved.map(|one| format!("{} {:?} {:?}", one.value.expose(), one.scope, one.shadowed));
    view.insert(format!("resolve {name}"), shown.unwrap_or_default());
    let trace = org.explain(name, run).await?;
    let steps: Vec<_> = trace.steps.iter().map(|step| (step.origin.as_str(), step.holds_value)).collect();
    view.insert(format!("explain {name}"), format!("{steps:?}"));
    Ok(())
}

async fn fill_accounts(org: &Org, view: &mut View) -> Result<(), Error> {
    for known in org.linked_accounts(PageRequest::default()).await?.items {
        let account = org.account(known.account_id);
        let shown = format!("{:?} {:?} {}", known.name, known.udf, known.credential_generation);
        view.insert(format!("account {}", account.id()), shown);
        for found in account.integrations(PageRequest::default()).await?.items {
            let connection = found.connection.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            let name = format!("{} {}{connection}", account.id(), found.integration);
            view.insert(format!("app {name}"), String::new());
            let app = app_of(&account, &found);
            for listed in app.list(PageRequest::default()).await?.items {
                let key_name = listed.key_name.as_str();
                let found = app.get(key_name).await?.expect("a listed credential is found");
                view.insert(format!("credential {name} {key_name}"), found.value.expose().to_owned());
            }
        }
    }
    Ok(())
}

/// The handle of a connection that was listed.
pub(crate) fn app_of(account: &Account, found: &Integration) -> AppCredentials {
    let app = account.app(found.integration.clone());
    match &found.connection {
        Some(connection) => app.connection(connection.clone()),
        None => app,
    }
}
