//! Changes the format of a definition: first planned, then applied.
//!
//! After the batch that applies a change, every new value must match. Older values that do not match stay, and a job
//! marks them in the index of the definition's values: they are grandfathered until they are set again.

use std::slice;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::format::{FormatError, LengthBounds, VarFormat};
use crate::id::DocumentId;
use crate::jobs::{JobId, run_job, until_landed};
use crate::model::{DefinitionRef, Listing, PageRequest, StoredDefinition};
use crate::row::body::Sweep;
use crate::scope::{Scope, Scopes};
use crate::store::Versioned;
use crate::tenant::check::value_form;
use crate::tenant::indexed::{EXAMINED_MAX, is_grandfathered};
use crate::tenant::{
    Attempt, Draft, Expiry, Freshness, INDEX_PAGE, List, Needs, WriteOptions, check_definition,
};
use crate::verbs::definitions::DefinitionChange;
use crate::verbs::org::Org;

/// A new format for a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatChange {
    var_format: VarFormat,
    length: Option<LengthBounds>,
    /// What else changes.
    along: DefinitionChange,
}

impl FormatChange {
    /// Changes the format, and removes bounds on the length.
    #[must_use]
    pub fn to(var_format: VarFormat) -> Self {
        Self { var_format, length: None, along: DefinitionChange::new() }
    }

    /// Sets bounds on the length of a value.
    #[must_use]
    pub fn length(mut self, bounds: LengthBounds) -> Self {
        self.length = Some(bounds);
        self
    }

    /// Changes the default: the old one may not match the new format.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.along = self.along.default_value(value);
        self
    }

    /// Removes the default.
    #[must_use]
    pub fn no_default_value(mut self) -> Self {
        self.along = self.along.no_default_value();
        self
    }

    /// Records who makes the change, whoever the handle [acts as](crate::Org::acting_as).
    #[must_use]
    pub fn author(mut self, who: impl Into<String>) -> Self {
        self.along = self.along.author(who);
        self
    }

    fn apply(&self, stored: &StoredDefinition) -> StoredDefinition {
        let mut changed = self.along.apply(stored);
        changed.definition.var_format = self.var_format.clone();
        changed.definition.length = self.length;
        changed
    }
}

/// What a format change does if a stored value does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMismatch {
    /// Refuse the change. A value that is set during the check may be missed, and is then grandfathered.
    Refuse,
    /// Make the change. The value stays as it is until it is set again.
    Grandfather,
}

/// A stored value that does not match a new format. The value itself is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The value's document id.
    pub id: DocumentId,
    /// Its scope.
    pub scope: Scope,
    /// The rule that it breaks.
    pub rule: FormatError,
}

impl Org {
    /// The stored values that do not match a new format. Nothing is written, and no value is shown.
    ///
    /// A page examines at most 100 values, so it may be empty and still have a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{FormatChange, PageRequest, Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
    /// org.set_value("PORT", Scope::Org, "http").await?;
    /// let change = FormatChange::to(VarFormat::Integer);
    /// let plan = org.plan_format_change("PORT", &change, PageRequest::first(100)).await?;
    /// assert_eq!(plan.items[0].scope, Scope::Org);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Invalid::Default`](crate::Invalid::Default) and the other rules of
    /// [`Org::define`], as [`change_format`](Self::change_format) has them; [`Error::Damaged`] for a value that
    /// cannot be read.
    pub async fn plan_format_change(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: &FormatChange,
        page: PageRequest,
    ) -> Result<Listing<Mismatch>, Error> {
        let definition = definition.into();
        let run = async {
            let tenant = &*self.tenant;
            let stored = tenant.definition(&definition).await?.stored.clone();
            let changed = change.apply(&stored);
            check_definition(&changed.definition, &tenant.engine.formats)?;
            let (values, next) = tenant.values_of(&changed, &page).await?;
            let mismatches = values.into_iter().filter_map(|value| {
                let rule = value_form(&changed.definition, &value.value, &tenant.engine.formats).err()?;
                Some(Mismatch { id: value.id, scope: value.scope, rule })
            });
            Ok(Listing { items: mismatches.collect(), next })
        };
        self.tenant.observed(Call::of("plan_format_change").definition(&definition), run).await
    }

    /// Changes the format of a definition, and returns the new one.
    ///
    /// New values must match at once. [`OnMismatch`] says what to do about stored values that do not. A value that
    /// is set under the old format during the check is kept, and
    /// [`grandfathered_values`](Self::grandfathered_values) lists it. Memory use does not grow with the number of
    /// values. If the work is interrupted after the change was made, [`Vault::run_jobs`](crate::Vault::run_jobs)
    /// finishes it.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{FormatChange, OnMismatch, ScopePath, Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
    /// org.set_value("PORT", Scope::Org, "http").await?;
    /// org.change_format("PORT", &FormatChange::to(VarFormat::Integer), OnMismatch::Grandfather).await?;
    /// assert!(org.explain("PORT", &ScopePath::org()).await?.steps[0].grandfathered);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::ValueMismatch`] for a value that does not match, with
    /// [`OnMismatch::Refuse`]; the rules of [`Org::define`] for the default. [`Error::Damaged`],
    /// [`Error::UnknownKey`] and [`Error::UnknownVersion`] for a value that cannot be read: with
    /// [`OnMismatch::Refuse`] nothing is changed. Otherwise the change is made, and
    /// [`Vault::run_jobs`](crate::Vault::run_jobs) finishes it once the value can be read or is deleted.
    pub async fn change_format(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: &FormatChange,
        on_mismatch: OnMismatch,
    ) -> Result<StoredDefinition, Error> {
        self.change_format_with(definition, change, on_mismatch, WriteOptions::default()).await
    }

    /// [`change_format`](Self::change_format) with [`WriteOptions`]. Expect the revision of the planned definition, so
    /// that the definition cannot have changed since.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Expected, FormatChange, OnMismatch, VarFormat, WriteOptions};
    /// let planned = org.definition("PORT").await?.unwrap();
    /// let as_planned = WriteOptions::expecting(Expected::Revision(planned.revision));
    /// let change = FormatChange::to(VarFormat::String);
    /// org.change_format_with("PORT", &change, OnMismatch::Refuse, as_planned).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `change_format`, and [`Error::Unexpected`].
    pub async fn change_format_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: &FormatChange,
        on_mismatch: OnMismatch,
        options: WriteOptions,
    ) -> Result<StoredDefinition, Error> {
        let definition = definition.into();
        let write = async {
            // Before the change, not in its batch: there may be more values than one batch can expect.
            if on_mismatch == OnMismatch::Refuse {
                self.unobserved().refuse_mismatch(&definition, change).await?;
            }
            let change = until_landed(&self.tenant, |freshness| {
                self.try_change_format(&definition, change, &options, freshness)
            });
            change.await
        };
        let call = Call::of("change_format").definition(&definition);
        let (changed, job) = self.tenant.observed(call, write).await?;
        run_job(&self.tenant, &job).await?;
        Ok(changed)
    }

    /// The scopes of grandfathered values: set before the last format change, and not matching it. A page may be
    /// shorter than its limit and still have a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{FormatChange, OnMismatch, PageRequest, Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
    /// org.set_value("PORT", Scope::Org, "http").await?;
    /// org.change_format("PORT", &FormatChange::to(VarFormat::Integer), OnMismatch::Grandfather).await?;
    /// let left = org.grandfathered_values("PORT", PageRequest::first(100)).await?;
    /// assert_eq!(left.items, [Scope::Org]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::Damaged`] for a value whose row cannot be read.
    pub async fn grandfathered_values(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        page: PageRequest,
    ) -> Result<Listing<Scope>, Error> {
        let definition = definition.into();
        let list = self.scopes_of("grandfathered_values", &definition, page, |_, row| is_grandfathered(row));
        self.tenant.observed(Call::of("grandfathered_values").definition(&definition), list).await
    }

    /// The scopes outside `scopes` that hold a value of the definition. Delete those values before
    /// [`DefinitionChange::scopes`](crate::DefinitionChange::scopes) removes the scopes. A page may be shorter than
    /// its limit and still have a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, Scope, ScopeKind, Scopes};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let only = Scopes::only(ScopeKind::Workflow);
    /// let in_the_way = org.plan_scope_change("PORT", only, PageRequest::first(100)).await?;
    /// assert_eq!(in_the_way.items, [Scope::Org]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::Damaged`] for a value whose row cannot be read.
    pub async fn plan_scope_change(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scopes: Scopes,
        page: PageRequest,
    ) -> Result<Listing<Scope>, Error> {
        let definition = definition.into();
        let list = self
            .scopes_of("plan_scope_change", &definition, page, |scope, _| Ok(!scopes.allows(scope.kind())));
        self.tenant.observed(Call::of("plan_scope_change").definition(&definition), list).await
    }

    async fn scopes_of(
        &self,
        list: &'static str,
        definition: &DefinitionRef<'_>,
        page: PageRequest,
        takes: impl Fn(&Scope, &Versioned) -> Result<bool, Error>,
    ) -> Result<Listing<Scope>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition(definition).await?.stored.id;
        let range = tenant.id.definition_values(&id);
        let listed = tenant.list(List::new(list, &range).sparse(), &page, |_, key, row| {
            let Some(scope) = tenant.id.parse_definition_value(&id, key.as_bytes()) else {
                return Ok(None);
            };
            Ok(takes(&scope, row)?.then_some(scope))
        });
        // The index may lead to rows whose key was dropped: those are no longer values.
        let Listing { items: found, next } = listed.await?;
        let mut items = Vec::with_capacity(found.len());
        for scopes in found.chunks(INDEX_PAGE) {
            items.extend(tenant.scopes_with_value(id, scopes).await?);
        }
        Ok(Listing { items, next })
    }

    async fn refuse_mismatch(
        &self,
        definition: &DefinitionRef<'_>,
        change: &FormatChange,
    ) -> Result<(), Error> {
        let mut page = PageRequest::first(EXAMINED_MAX);
        loop {
            let plan = self.plan_format_change(definition.clone(), change, page).await?;
            if let Some(Mismatch { scope, rule, .. }) = plan.items.into_iter().next() {
                return Err(Error::ValueMismatch { scope, rule });
            }
            let Some(next) = plan.next else { return Ok(()) };
            page = PageRequest::first(EXAMINED_MAX).after(next);
        }
    }

    async fn try_change_format(
        &self,
        reference: &DefinitionRef<'_>,
        change: &FormatChange,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<(StoredDefinition, JobId)>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let (view, ()) = tenant.read(&needs, ()).await?;
        let definition = view.definition(0, reference)?;
        options.check(Some(definition.stored.revision))?;
        let mut changed = change.apply(&definition.stored);
        changed.updated_at = tenant.engine.now();
        changed.describe(&tenant.metadata(options, changed.updated_at, Expiry::Refused)?);
        check_definition(&changed.definition, &tenant.engine.formats)?;
        changed.revision = definition.stored.revision.next();
        changed.format_changes = definition.stored.format_changes.saturating_add(1);

        let mut draft = Draft::new(tenant, &view);
        draft.put_definition(&changed, Some(definition))?;
        let job = draft.put_job(&Sweep::Recheck(id))?;
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| (changed, job)))
    }
}
