//! Setting one or more values in one batch.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::engine::observer::Call;
use crate::error::{Error, Invalid};
use crate::id::{DefinitionId, LinkedAccountId};
use crate::jobs::until_landed;
use crate::model::{DefinitionRef, ValueWritten};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::StoreErrorKind;
use crate::tenant::{
    Attempt, Draft, Expiry, Freshness, Needs, NewDefinitions, NewValue, ValueRows, WriteOptions, Writing,
    check_scope, check_value, fresh_if_stale,
};
use crate::verbs::org::Org;

impl Org {
    /// Sets the value of a definition at a scope. An update keeps the id and creation time.
    ///
    /// The value is checked against the definition's format. It is always sealed, even if the definition is not marked
    /// encrypted. An account need not be registered: anyone who has its id may set a value before it is. With
    /// [`WriteOptions::while_registered`], or through a [bound](crate::Account::bound) handle, it must be registered.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Scope, Upsert, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let written = org.set_value("PORT", Scope::Org, "8080").await?;
    /// assert_eq!(written.action, Upsert::Added);
    /// assert!(matches!(org.set_value("PORT", Scope::Org, "http").await, Err(Error::InvalidValue { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::ScopeNotAllowed`]; [`Error::InvalidValue`] and [`Error::TooLong`],
    /// which never show the value; [`Error::OverQuota`]; [`Error::Contended`] if other writers were faster 16 times
    /// in a row.
    pub async fn set_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        value: impl Into<Secret>,
    ) -> Result<ValueWritten, Error> {
        self.set_value_with(definition, scope, value, WriteOptions::default()).await
    }

    /// [`set_value`](Self::set_value) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Expected, Scope, VarFormat, VariableDefinition, WriteOptions};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let known = org.set_value("PORT", Scope::Org, "8080").await?.revision;
    /// let if_known = || WriteOptions::expecting(Expected::Revision(known));
    /// org.set_value_with("PORT", Scope::Org, "8081", if_known()).await?;
    /// let late = org.set_value_with("PORT", Scope::Org, "8082", if_known()).await;
    /// assert!(matches!(late, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `set_value`, and [`Error::Unexpected`].
    pub async fn set_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        value: impl Into<Secret>,
        options: WriteOptions,
    ) -> Result<ValueWritten, Error> {
        let value = NewValue::new(definition.into(), scope.into(), value);
        let mut written = self.set_values_with(&[value], options).await?;
        written.pop().ok_or_else(Error::no_result)
    }

    /// Sets values in one batch: all of them, or none.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{NewValue, Scope, VarFormat, VariableDefinition};
    /// for name in ["HOST", "REGION"] {
    ///     org.define(VariableDefinition::new(name, VarFormat::String)).await?;
    /// }
    /// let new = |name, value| NewValue::new(name, Scope::Org, value);
    /// org.set_values(&[new("HOST", "eu.example.com"), new("REGION", "eu")]).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`set_value`](Self::set_value), for the first value that fails;
    /// [`Invalid::DuplicateValue`](crate::Invalid::DuplicateValue); [`Error::TooManyValues`], which says how many fit
    /// into a batch of the store; and [`Error::Store`] with `TooLarge` for too many bytes.
    pub async fn set_values(&self, values: &[NewValue<'_>]) -> Result<Vec<ValueWritten>, Error> {
        self.set_values_with(values, WriteOptions::default()).await
    }

    /// [`set_values`](Self::set_values) with [`WriteOptions`]. Their condition applies to every value, in addition to
    /// its own.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Expected, NewValue, Scope, WriteOptions};
    /// let values = [NewValue::new("PORT", Scope::Org, "80")];
    /// org.set_values_with(&values, WriteOptions::expecting(Expected::Absent)).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `set_values`, and [`Error::Unexpected`].
    pub async fn set_values_with(
        &self,
        values: &[NewValue<'_>],
        options: WriteOptions,
    ) -> Result<Vec<ValueWritten>, Error> {
        let write = until_landed(&self.tenant, |freshness| self.try_set_values(values, &options, freshness));
        let call = match values {
            [only] => Call::of("set_values").definition(&only.definition).at(&only.scope),
            _ => Call::of("set_values"),
        };
        self.tenant.observed(call, write).await
    }

    /// [`set_values`](Self::set_values) for any number of values, in as many batches as it takes. `progress` is called
    /// after each batch with the number of values set so far. If a batch fails, the values before it stay set, and
    /// setting all of them again does the rest.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{NewValue, Scope};
    /// let workflow = |number: u32| Scope::Workflow(format!("wf_{number}").parse().unwrap());
    /// let values: Vec<_> = (0..3_000).map(|number| NewValue::new("PORT", workflow(number), "80")).collect();
    /// let mut set = 0;
    /// org.set_values_in_parts(&values, |so_far| set = so_far).await?;
    /// assert_eq!(set, 3_000);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `set_values`, except `TooManyValues`.
    ///
    /// # Cancellation
    /// If dropped, the parts that `progress` was called for are set, and the next one may be.
    pub async fn set_values_in_parts(
        &self,
        values: &[NewValue<'_>],
        mut progress: impl FnMut(usize) + Send,
    ) -> Result<Vec<ValueWritten>, Error> {
        let set = self.unobserved();
        self.tenant.observed(Call::of("set_values_in_parts"), set.set_parts(values, &mut progress)).await
    }

    async fn set_parts(
        &self,
        values: &[NewValue<'_>],
        progress: &mut (impl FnMut(usize) + Send),
    ) -> Result<Vec<ValueWritten>, Error> {
        fresh_if_stale(|freshness| async move {
            let references = values.iter().map(|value| &value.definition);
            let ids = self.tenant.definition_ids(references, &NewDefinitions::none(), freshness).await?;
            refuse_duplicates(values, &ids)
        })
        .await?;
        let mut written = Vec::with_capacity(values.len());
        let mut part_len = PART_LEN;
        while let Some(rest) = values.get(written.len()..).filter(|rest| !rest.is_empty()) {
            let part = rest.get(..part_len.min(rest.len())).unwrap_or(rest);
            match self.set_values(part).await {
                Ok(set) => {
                    written.extend(set);
                    progress(written.len());
                }
                // The values are long, or the store's batches small. A part of one value is refused with its own error.
                Err(error) if part.len() > 1 && is_too_large(&error) => part_len = part.len() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    async fn try_set_values(
        &self,
        values: &[NewValue<'_>],
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<Vec<ValueWritten>>, Error> {
        let (tenant, none) = (&*self.tenant, NewDefinitions::none());
        let references = values.iter().map(|value| &value.definition);
        let ids = tenant.definition_ids(references, &none, freshness).await?;
        refuse_duplicates(values, &ids)?;
        let accounts = accounts_of(values);
        let needs = Needs::org_keys().definitions(&ids).accounts(&accounts).freshness(freshness);
        let (view, rows) = tenant.read(&needs, tenant.value_gets(values, &ids)).await?;
        let existing = tenant.value_rows(&view, values, &ids, rows, options).await?;

        let mut draft = Draft::new(tenant, &view);
        let written = put_values(&mut draft, &none, values, &existing, options)?;
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| written))
    }
}

fn is_too_large(error: &Error) -> bool {
    match error {
        Error::TooManyValues { .. } => true,
        Error::Store(error) => error.kind() == StoreErrorKind::TooLarge,
        _ => false,
    }
}

/// Fits into a batch of the existing stores, even if every value is new, unless the values are long.
const PART_LEN: usize = 1_000;

/// The accounts whose keys the values need, each once.
pub(super) fn accounts_of<'v>(values: &'v [NewValue<'_>]) -> Vec<&'v LinkedAccountId> {
    let accounts: BTreeSet<_> = values.iter().filter_map(|value| value.scope.linked_account()).collect();
    accounts.into_iter().collect()
}

/// Checks the values against their definitions, including those of `made`, and puts them in place of the existing ones.
pub(super) fn put_values(
    draft: &mut Draft<'_>,
    made: &NewDefinitions<'_>,
    values: &[NewValue<'_>],
    existing: &[ValueRows],
    options: &WriteOptions,
) -> Result<Vec<ValueWritten>, Error> {
    let (tenant, view) = (draft.tenant(), draft.view());
    let now = tenant.engine.now();
    let writing = Writing { now, options, metadata: tenant.metadata(options, now, Expiry::Refused)? };
    let mut written = Vec::with_capacity(values.len());
    for (index, (value, rows)) in values.iter().zip(existing).enumerate() {
        let definition = match made.get(&value.definition) {
            Some(made) => made,
            None => view.definition(index, &value.definition)?,
        };
        check_scope(definition, &value.scope)?;
        check_value(definition, &value.value, &tenant.engine)?;
        written.push(draft.put_value(definition, value, rows, &writing)?);
        if draft.room(options).is_none() {
            return Err(Error::TooManyValues { fit: index });
        }
    }
    Ok(written)
}

/// Each definition may be set only once per scope.
pub(super) fn refuse_duplicates(values: &[NewValue<'_>], ids: &[DefinitionId]) -> Result<(), Error> {
    let mut seen: BTreeSet<(DefinitionId, &Scope)> = BTreeSet::new();
    for (value, id) in values.iter().zip(ids) {
        if !seen.insert((*id, &value.scope)) {
            return Err(Error::Invalid(Invalid::DuplicateValue(*id)));
        }
    }
    Ok(())
}
