//! Defining variables and setting values, in one batch. To define one, or to set values alone, is a part of it.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::jobs::shred_org::finish_shred;
use crate::jobs::until_landed;
use crate::model::{ValueWritten, VariableDefinition};
use crate::scope::Scope;
use crate::store::ReadBatch;
use crate::tenant::{Attempt, Draft, Freshness, MadeDefinitions, Needs, NewValue, WriteOptions};
use crate::verbs::org::Org;

/// What [`Org::define_and_set`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefinedAndSet {
    /// The ids of the new definitions, in the order in which they were given.
    pub definitions: Vec<DefinitionId>,
    /// The values, in the order in which they were given.
    pub values: Vec<ValueWritten>,
}

impl Org {
    /// Makes definitions and sets values in one batch: all of it, or nothing. A value names one of the new definitions,
    /// or one that is there already.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Error, NewValue, Scope, VarFormat, VariableDefinition};
    /// let (host, port) = (VariableDefinition::new("HOST", VarFormat::Hostname), VariableDefinition::new("PORT", VarFormat::Integer));
    /// let set = |value| [NewValue::new("HOST", Scope::Org, "example.com"), NewValue::new("PORT", Scope::Org, value)];
    /// let new = [host, port];
    /// assert!(matches!(org.define_and_set(&new, &set("http")).await, Err(Error::InvalidValue { .. })));
    /// assert!(org.definition("HOST").await?.is_none());
    /// assert_eq!(org.define_and_set(&new, &set("8080")).await?.definitions.len(), 2);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`define`](Self::define), for the first definition that fails, and
    /// [`InvalidDefinition`](Error::InvalidDefinition) for two of one name; those of [`set_values`](Self::set_values).
    pub async fn define_and_set(
        &self,
        definitions: &[VariableDefinition],
        values: &[NewValue<'_>],
    ) -> Result<DefinedAndSet, Error> {
        self.define_and_set_with(definitions, values, WriteOptions::default()).await
    }

    /// [`define_and_set`](Self::define_and_set), with companions. A condition holds for each of the values, beside the
    /// one that it has itself.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{NewValue, Scope, VarFormat, VariableDefinition, WriteOptions};
    /// let imports = org.records("import".parse()?);
    /// let done = WriteOptions::default().with_record(imports.write("file".parse()?, "done"));
    /// let made = [VariableDefinition::new("PORT", VarFormat::Integer)];
    /// let values = [NewValue::new("PORT", Scope::Org, "80")];
    /// org.define_and_set_with(&made, &values, done).await?; // all of it, or nothing
    /// assert!(imports.get(&"file".parse()?).await?.is_some());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `define_and_set`, and [`Error::Unexpected`].
    pub async fn define_and_set_with(
        &self,
        definitions: &[VariableDefinition],
        values: &[NewValue<'_>],
        options: WriteOptions,
    ) -> Result<DefinedAndSet, Error> {
        let made = MadeDefinitions::of(definitions, &self.tenant.engine)?;
        until_landed(&self.tenant, |freshness| self.try_define_and_set(&made, values, &options, freshness))
            .await
    }

    pub(crate) async fn try_define_and_set(
        &self,
        made: &MadeDefinitions<'_>,
        values: &[NewValue<'_>],
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<DefinedAndSet>, Error> {
        let tenant = &*self.tenant;
        let references = values.iter().map(|value| &value.definition);
        let ids = tenant.definition_ids(references, made, freshness).await?;
        refuse_duplicates(values, &ids)?;
        let accounts: BTreeSet<&LinkedAccountId> =
            values.iter().filter_map(|value| value.scope.linked_account()).collect();
        let accounts: Vec<_> = accounts.into_iter().collect();
        let needs = Needs::org_keys().definitions(&ids).accounts(&accounts).freshness(freshness);
        let mut gets: Vec<_> =
            values.iter().zip(&ids).map(|(value, id)| tenant.id.value(&value.scope, id).key()).collect();
        gets.extend(made.keys(&tenant.id));
        let (view, set) = tenant.read(&needs, ReadBatch { gets, scans: Vec::new() }).await?;
        // Of a shredded org the names may still stand.
        if finish_shred(&tenant, &view).await? {
            return Ok(Attempt::Lost);
        }
        let Some((standing, rows)) = set.gets.split_at_checked(values.len()) else {
            return Ok(Attempt::Lost);
        };

        let now = tenant.engine.now();
        let mut draft = Draft::new(tenant, &view);
        draft.put_made_definitions(made, rows)?;
        let mut written = Vec::with_capacity(values.len());
        for (index, (value, row)) in values.iter().zip(standing).enumerate() {
            let definition = match made.get(&value.definition) {
                Some(made) => made,
                None => view.definition(index, &value.definition)?,
            };
            definition.check_scope(&value.scope)?;
            definition.check_value(&value.value, &tenant.engine)?;
            written.push(draft.put_value(definition, value, row.as_ref(), now, options)?);
        }
        draft.put_records(&options.records).await?;
        let landed = draft.commit().await?;
        Ok(landed.map(|_| DefinedAndSet { definitions: made.ids(), values: written }))
    }
}

/// Each definition may be set once a scope.
fn refuse_duplicates(values: &[NewValue<'_>], ids: &[DefinitionId]) -> Result<(), Error> {
    let mut seen: BTreeSet<(DefinitionId, &Scope)> = BTreeSet::new();
    for (value, id) in values.iter().zip(ids) {
        if !seen.insert((*id, &value.scope)) {
            return Err(Error::DuplicateValue(*id));
        }
    }
    Ok(())
}
