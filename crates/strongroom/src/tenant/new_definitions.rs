//! Definitions that are about to be written.

use std::collections::BTreeMap;

use crate::engine::cache::Definition;
use crate::error::{Error, Invalid};
use crate::id::{DefinitionId, DefinitionName};
use crate::model::{DefinitionRef, Metadata, Revision, StoredDefinition, VariableDefinition};
use crate::row::TenantId;
use crate::store::{Key, RowRevision, Versioned};
use crate::tenant::names::read_hint;
use crate::tenant::{Draft, Expiry, Freshness, Tenant, WriteOptions, check_definition};

/// New definitions that were checked and have ids, but no rows yet.
pub(crate) struct NewDefinitions<'a> {
    definitions: Vec<Definition>,
    names: Vec<DefinitionName>,
    by_name: BTreeMap<&'a str, usize>,
}

impl<'a> NewDefinitions<'a> {
    /// Checks `definitions`, whose names must differ, and gives them ids.
    pub(crate) fn of(
        definitions: &'a [VariableDefinition],
        tenant: &Tenant,
        options: &WriteOptions,
    ) -> Result<Self, Error> {
        let engine = &*tenant.engine;
        let (mut made, now) = (Self::none(), engine.now());
        let metadata = tenant.metadata(options, now, Expiry::Refused)?;
        for (index, definition) in definitions.iter().enumerate() {
            made.names.push(check_definition(definition, &engine.formats)?);
            if made.by_name.insert(&definition.name, index).is_some() {
                return Err(Invalid::definition(&definition.name, "two new definitions have this name"));
            }
            let mut stored = StoredDefinition {
                id: engine.next_id()?,
                revision: Revision::from_u64(1),
                definition: definition.clone(),
                created_by: None,
                created_at: now,
                updated_at: now,
                format_changes: 0,
                metadata: Metadata::NONE,
            };
            stored.describe(&metadata);
            stored.created_by.clone_from(&stored.definition.author);
            made.definitions.push(Definition { stored, row_revision: RowRevision(0) });
        }
        Ok(made)
    }

    /// No definitions.
    pub(crate) fn none() -> Self {
        Self { definitions: Vec::new(), names: Vec::new(), by_name: BTreeMap::new() }
    }

    /// The new definition that `reference` names.
    pub(crate) fn get(&self, reference: &DefinitionRef<'_>) -> Option<&Definition> {
        let DefinitionRef::Name(name) = reference else { return None };
        self.definitions.get(*self.by_name.get(name.as_ref())?)
    }

    /// Their ids, in the given order.
    pub(crate) fn ids(&self) -> Vec<DefinitionId> {
        self.definitions.iter().map(|made| made.stored.id).collect()
    }

    pub(crate) fn names(&self) -> &[DefinitionName] {
        &self.names
    }

    /// The rows that [`put_new_definitions`](Draft::put_new_definitions) needs: that of each name, then the count.
    pub(crate) fn gets(&self, tenant_id: &TenantId) -> Vec<Key> {
        let names = self.names.iter().map(|name| tenant_id.definition_name(name).key());
        let count = (!self.names.is_empty()).then(|| tenant_id.count().key());
        names.chain(count).collect()
    }
}

impl Draft<'_> {
    /// Puts new definitions, their names and the count. `rows` are those of [`NewDefinitions::gets`], `known` is how
    /// many definitions were read with them.
    pub(crate) async fn put_new_definitions(
        &mut self,
        made: &NewDefinitions<'_>,
        rows: &[Option<Versioned>],
        known: Option<u64>,
        freshness: Freshness,
    ) -> Result<(), Error> {
        let Some((count, taken)) = rows.split_last() else { return Ok(()) };
        if let Some(taken) = taken.iter().flatten().next() {
            return Err(Error::DefinitionExists(read_hint(taken)?));
        }
        for (definition, name) in made.definitions.iter().zip(&made.names) {
            self.put_definition(&definition.stored, None)?;
            self.put_definition_name(name, &definition.stored.id);
        }
        self.put_definition_count(count.as_ref(), (known, made.names.len() as i64), freshness).await
    }
}
