//! Everything that can be read, beside the model.

use strongroom::{
    Credential, DefinitionFilter, Error, Org, Origin, PageRequest, Record, Resolved, Scope, ScopePath,
    ScopedValue, StoredDefinition, VariableDefinition,
};

use super::domain::{Document, Domain, app, every_path};
use super::step::{credentials, records};
use super::verb::{ACCOUNTS, APPS, NAMES, every_scope};
use crate::common::id;

impl Domain {
    /// Asserts that `org` holds what the model holds, and nothing else.
    pub(crate) async fn is_what(&self, org: &Org) -> Result<(), Error> {
        self.has_the_definitions_of(org).await?;
        self.has_the_values_of(org).await?;
        self.has_the_history_of(org).await?;
        self.has_the_accounts_of(org).await?;
        // From the second time on the engine may keep what a run sees: a third answer may be one that was kept.
        for path in (0..3).flat_map(|_| every_path()) {
            self.resolves_as(org, &path).await?;
        }
        let listed = records(org).list(PageRequest::default()).await?.items;
        let listed: Vec<_> = listed.iter().map(|record| (record.key.as_str(), of_record(record))).collect();
        assert!(listed.iter().map(|(key, record)| (*key, record)).eq(by_key(&self.records)));
        Ok(())
    }

    async fn has_the_definitions_of(&self, org: &Org) -> Result<(), Error> {
        let listed = org.definitions(&DefinitionFilter::all(), PageRequest::default()).await?.items;
        let known: Vec<_> = self.definitions.iter().map(|(id, definition)| (*id, definition)).collect();
        let pair = |stored: &StoredDefinition| (stored.id, stored.definition.clone());
        assert!(listed.iter().map(pair).eq(known.iter().map(|(id, known)| (*id, (*known).clone()))));
        assert_eq!(org.count_definitions(&DefinitionFilter::all()).await?, known.len());
        for name in NAMES {
            let found = org.definition(name).await?.map(|stored| stored.id);
            assert_eq!(found, self.named(name));
        }
        Ok(())
    }

    async fn has_the_values_of(&self, org: &Org) -> Result<(), Error> {
        for scope in every_scope() {
            let listed = org.values(&scope, PageRequest::default()).await?.items;
            let listed: Vec<_> = listed.iter().map(|value| (value.definition_id, of_value(value))).collect();
            let here = self.values.iter().filter(|((at, _), _)| *at == scope);
            let known: Vec<_> = here.map(|((_, id), value)| (*id, value.clone())).collect();
            assert_eq!(listed, known, "at {scope}");
        }
        for ((scope, definition), value) in &self.values {
            let found = org.value(*definition, scope).await?.expect("it is in the model");
            assert_eq!(of_value(&found), *value);
            let found = org.value_by_id(&found.id).await?.expect("it is in the model");
            assert_eq!((&found.scope, found.definition_id), (scope, *definition));
        }
        Ok(())
    }

    async fn has_the_history_of(&self, org: &Org) -> Result<(), Error> {
        for (definition, scope) in
            self.definitions.keys().flat_map(|id| every_scope().into_iter().map(|scope| (*id, scope)))
        {
            let listed = org.value_history(definition, &scope, PageRequest::default()).await?.items;
            let mut found = Vec::new();
            for version in listed {
                let text = match version.deleted {
                    true => None,
                    false => Some(org.value_version(definition, &scope, version.revision).await?),
                };
                found.push((version.revision, text.map(|value| value.value.expose().to_owned())));
            }
            assert_eq!(found, self.history(&(scope, definition)));
        }
        Ok(())
    }

    async fn has_the_accounts_of(&self, org: &Org) -> Result<(), Error> {
        let listed = org.linked_accounts(PageRequest::default()).await?.items;
        let listed: Vec<_> =
            listed.into_iter().map(|known| (known.account_id, known.credential_generation)).collect();
        let known: Vec<_> = self.accounts.clone().into_iter().collect();
        assert_eq!(listed, known);
        for account in ACCOUNTS {
            let listed = org.account(id(account)).integrations(PageRequest::default()).await?.items;
            let listed: Vec<_> =
                listed.into_iter().map(|found| (id(account), found.integration, found.connection)).collect();
            let known = self.apps.keys().filter(|(of, ..)| of.as_str() == account);
            assert_eq!(listed, known.cloned().collect::<Vec<_>>());
            for slug in APPS {
                self.has_the_credentials_of(org, account, slug).await?;
            }
        }
        Ok(())
    }

    async fn has_the_credentials_of(&self, org: &Org, account: &str, slug: &str) -> Result<(), Error> {
        let app = app(account, slug);
        let listed = credentials(org, &app).list(PageRequest::default()).await;
        let Some(known) = self.apps.get(&app) else {
            assert!(matches!(listed, Err(Error::IntegrationNotFound { .. })));
            return Ok(());
        };
        let listed: Vec<_> = listed?.items.iter().map(|info| info.key_name.as_str().to_owned()).collect();
        assert_eq!(listed, known.keys().cloned().collect::<Vec<_>>());
        for (key, document) in known {
            let found = credentials(org, &app).get(key).await?.expect("it is in the model");
            assert_eq!(of_credential(&found), *document);
        }
        Ok(())
    }

    /// Resolving all, resolving each and explaining each say the same.
    async fn resolves_as(&self, org: &Org, path: &ScopePath) -> Result<(), Error> {
        let all = org.resolve_all(path).await?;
        let mut rest = all.values.iter();
        let mut missing = Vec::new();
        for (id, definition) in &self.definitions {
            let holding = self.resolve(id, path);
            let one = org.resolve(*id, path).await?;
            let trace = org.explain(*id, path).await?;
            let steps = trace.steps.iter().filter(|step| step.holds_value).map(|step| origin(&step.origin));
            assert!(steps.eq(holding.iter().map(|(scope, _)| scope.clone())), "{path:?}");
            if let Some(one) = &one {
                assert_resolved(one, definition, &holding);
                assert_resolved(rest.next().expect("what resolves is listed"), definition, &holding);
                assert_eq!(trace.winner().and_then(|step| step.found), one.found);
            } else {
                assert_eq!(holding, []);
                missing.extend(definition.required.then_some(definition.name.as_str()));
            }
        }
        assert!(rest.next().is_none());
        assert_eq!(all.missing_required, missing);
        Ok(())
    }
}

fn assert_resolved(one: &Resolved, definition: &VariableDefinition, holding: &[(Option<Scope>, &str)]) {
    let (winner, shadowed) = holding.split_first().expect("something holds a value");
    assert_eq!((origin(&one.scope), one.value.expose()), *winner);
    assert!(one.shadowed.iter().map(origin).eq(shadowed.iter().map(|(scope, _)| scope.clone())));
    assert_eq!((&one.name, one.encrypted), (&definition.name, definition.encrypted));
}

fn origin(origin: &Origin) -> Option<Scope> {
    match origin {
        Origin::Scope(scope) => Some(scope.clone()),
        _ => None,
    }
}

fn by_key<V>(map: &std::collections::BTreeMap<String, V>) -> impl Iterator<Item = (&str, &V)> {
    map.iter().map(|(key, value)| (key.as_str(), value))
}

fn of_value(value: &ScopedValue) -> Document {
    let ScopedValue { id, revision, created_at, updated_at, value, .. } = value;
    document(Some(*id), (*revision, *created_at, *updated_at), value.expose())
}

fn of_credential(Credential { info, value, .. }: &Credential) -> Document {
    document(Some(info.id), (info.revision, info.created_at, info.updated_at), value.expose())
}

fn of_record(record: &Record) -> Document {
    document(None, (record.revision, record.created_at, record.updated_at), record.value.expose())
}

fn document(
    id: Option<strongroom::DocumentId>,
    (revision, created_at, updated_at): (strongroom::Revision, strongroom::Timestamp, strongroom::Timestamp),
    text: &str,
) -> Document {
    Document { id, revision, created_at, updated_at, text: text.to_owned() }
}
