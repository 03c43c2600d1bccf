//! Defining variables and setting values in one batch: [`set`](super::set), with new definitions as well.

use super::set::{accounts_of, put_values, refuse_duplicates};
use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::until_landed;
use crate::model::{ValueWritten, VariableDefinition};
use crate::store::Page;
use crate::tenant::{Attempt, Draft, Freshness, Needs, NewDefinitions, NewValue, WriteOptions};
use crate::verbs::org::Org;

/// What [`Org::define_and_set`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefinedAndSet {
    /// The ids of the new definitions, in the given order.
    pub definitions: Vec<DefinitionId>,
    /// The values, in the given order.
    pub values: Vec<ValueWritten>,
}

impl Org {
    /// Defines variables and sets values in one batch: all of it, or nothing. A value belongs to a new definition or
    /// to an existing one.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{NewValue, Scope, VarFormat, VariableDefinition};
    /// let host = VariableDefinition::new("HOST", VarFormat::Hostname);
    /// let port = VariableDefinition::new("PORT", VarFormat::Integer);
    /// let new = |name, value| NewValue::new(name, Scope::Org, value);
    /// let values = [new("HOST", "example.com"), new("PORT", "8080")];
    /// assert_eq!(org.define_and_set(&[host, port], &values).await?.definitions.len(), 2);
    /// assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "8080");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`define`](Self::define), for the first definition that fails, and
    /// [`Invalid::Definition`](crate::Invalid::Definition) for two with the same name; those of
    /// [`set_values`](Self::set_values).
    pub async fn define_and_set(
        &self,
        definitions: &[VariableDefinition],
        values: &[NewValue<'_>],
    ) -> Result<DefinedAndSet, Error> {
        self.define_and_set_with(definitions, values, WriteOptions::default()).await
    }

    /// [`define_and_set`](Self::define_and_set) with [`WriteOptions`]. Their condition applies to every value, in
    /// addition to its own.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{NewValue, Scope, VarFormat, VariableDefinition, WriteOptions};
    /// let imports = org.records("import".parse()?);
    /// let done = WriteOptions::default().with_record(imports.write("file".parse()?, "done"));
    /// let made = [VariableDefinition::new("PORT", VarFormat::Integer)];
    /// let values = [NewValue::new("PORT", Scope::Org, "80")];
    /// org.define_and_set_with(&made, &values, done).await?; // all of it, or nothing
    /// assert!(imports.get(&"file".parse()?).await?.is_some());
    /// # Ok(()) });
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
        let made = NewDefinitions::of(definitions, &self.tenant, &options)?;
        let write = until_landed(&self.tenant, |freshness| {
            self.try_define_and_set(&made, values, &options, freshness)
        });
        let call = match definitions {
            [only] if values.is_empty() => Call::of("define").named(&only.name),
            _ => Call::of("define_and_set"),
        };
        self.tenant.observed(call, write).await
    }

    async fn try_define_and_set(
        &self,
        made: &NewDefinitions<'_>,
        values: &[NewValue<'_>],
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<DefinedAndSet>, Error> {
        let tenant = &*self.tenant;
        let references = values.iter().map(|value| &value.definition);
        let ids = tenant.definition_ids(references, made, freshness).await?;
        refuse_duplicates(values, &ids)?;
        let accounts = accounts_of(values);
        let needs = Needs::org_keys().definitions(&ids).accounts(&accounts).freshness(freshness);
        let mut gets = tenant.value_gets(values, &ids);
        gets.extend(made.gets(&tenant.id));
        let (view, mut rows, known) = if made.names().is_empty() {
            let (view, rows) = tenant.read(&needs, gets).await?;
            (view, rows, Page::default())
        } else {
            let (view, (rows, page)) = tenant.read(&needs, (gets, tenant.scan_of_definitions())).await?;
            (view, rows, page)
        };
        let taken = rows.split_off(2 * values.len());
        let existing = tenant.value_rows(&view, values, &ids, rows, options).await?;
        // The names of a shredded org may not be swept yet. They do not count as taken.
        if tenant.has_unfinished_shred(&view).await? {
            return Ok(Attempt::AfterShred);
        }

        let mut draft = Draft::new(tenant, &view);
        let counted = (!known.more).then_some(known.rows.len() as u64);
        draft.refuse_borne(made.names(), None, known, freshness).await?;
        draft.put_new_definitions(made, &taken, counted, freshness).await?;
        let written = put_values(&mut draft, made, values, &existing, options)?;
        draft.put_companions(options).await?;
        let landed = draft.commit().await?;
        Ok(landed.map(|_| DefinedAndSet { definitions: made.ids(), values: written }))
    }
}
