//! The values of one scope, a page at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::cache::Catalog;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::model::{Listing, PageRequest, ScopedValue};
use crate::row::value_definition;
use crate::scope::Scope;
use crate::store::Key;
use crate::tenant::{Freshness, List, Needs, Tenant, find_definition};

impl Tenant {
    /// One page of the values of a scope; if there is a list of names, only of the variables with those names. Skips
    /// rows of a deleted definition.
    pub(crate) async fn list_values(
        &self,
        scope: &Scope,
        page: &PageRequest,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Listing<ScopedValue>, Error> {
        // From the cache if possible: the page itself is one read.
        let definitions = self.catalog().await?;
        let range = self.id.values(scope);
        let list = List::new(VALUES, &range).of_account(scope.linked_account());
        let known = KnownValues { scope, definitions: &definitions, names };
        self.list_known_values(known, list, page, |found| found).await
    }

    /// A page of the values of the definitions that can be read; a value that cannot be is an error among the others.
    pub(crate) async fn each_value(
        &self,
        scope: &Scope,
        page: &PageRequest,
    ) -> Result<Listing<Result<ScopedValue, Error>>, Error> {
        let definitions = self.readable_catalog().await?;
        let range = self.id.values(scope);
        let list = List::new(VALUES, &range).of_account(scope.linked_account()).fresh();
        let take = |found: Result<Option<ScopedValue>, Error>| match found {
            Err(error) if error.is_damage() => Ok(Some(Err(error))),
            found => Ok(found?.map(Ok)),
        };
        let known = KnownValues { scope, definitions: &definitions, names: None };
        self.list_known_values(known, list, page, take).await
    }

    async fn list_known_values<T>(
        &self,
        known: KnownValues<'_>,
        list: List<'_>,
        page: &PageRequest,
        take: impl Fn(Result<Option<ScopedValue>, Error>) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        let is_known = |key: &Key| known.definition_of(key).is_some();
        self.list_known(list, page, is_known, |view, key, row| match known.definition_of(key) {
            Some(id) => take(self.open_value(view, known.scope, &id, row)),
            None => Ok(None),
        })
        .await
    }

    /// All definitions that can be read.
    async fn readable_catalog(&self) -> Result<Catalog, Error> {
        match self.catalog().await {
            Err(error) if error.is_damage() => {}
            answer => return answer,
        }
        let needs = Needs::org_keys().freshness(Freshness::Fresh);
        let (view, page) = self.read(&needs, self.scan_of_definitions()).await?;
        let rows = self.rest(&self.id.definitions(), page).await?;
        let readable = rows.iter().filter_map(|(key, row)| self.open_listed(&view, key, row).ok().flatten());
        Ok(Arc::new(readable.collect()))
    }
}

/// The values of a scope that a caller knows: those of these definitions and, if there is a list, of these names.
struct KnownValues<'k> {
    scope: &'k Scope,
    definitions: &'k Catalog,
    names: Option<&'k BTreeSet<String>>,
}

impl KnownValues<'_> {
    /// The definition of the value at this key.
    fn definition_of(&self, key: &Key) -> Option<DefinitionId> {
        let stored = &find_definition(self.definitions, &value_definition(key)?)?.stored;
        self.names.is_none_or(|names| names.contains(&stored.definition.name)).then_some(stored.id)
    }
}

/// The list of the values of a scope.
const VALUES: &str = "values";
