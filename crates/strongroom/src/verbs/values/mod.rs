//! Verbs on scoped values.

pub(crate) mod define_and_set;
pub(crate) mod delete;
pub(crate) mod history;
pub(crate) mod set;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::{iter, slice};

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DocumentId;
use crate::model::{DefinitionRef, Listing, PageRequest, ScopedValue, ValuePlace, VariableDefinition};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::tenant::{Freshness, NewDefinitions, WriteOptions, check_scope, check_value, fresh_if_stale};
use crate::verbs::org::Org;

pub use define_and_set::DefinedAndSet;
pub use delete::DeletedValue;

impl Org {
    /// The value of a definition at exactly this scope. No other scope is considered.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// let value = org.value("PORT", Scope::Org).await?;
    /// assert_eq!(value.map(|found| found.value.expose().to_owned()).as_deref(), Some("8080"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`].
    pub async fn value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
    ) -> Result<Option<ScopedValue>, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let read = fresh_if_stale(|freshness| self.try_value(&definition, &scope, freshness));
        self.tenant.observed(Call::of("value").definition(&definition).at(&scope), read).await
    }

    /// The value with this document id.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let id = org.set_value("PORT", Scope::Org, "8080").await?.id;
    /// assert_eq!(org.value_by_id(&id).await?.unwrap().value.expose(), "8080");
    /// assert!(org.delete_value_by_id(&id).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn value_by_id(&self, id: &DocumentId) -> Result<Option<ScopedValue>, Error> {
        self.found_value(id, |_| true).await
    }

    /// The value with this document id, if its scope is `meant`. Otherwise its row is not looked at.
    pub(crate) async fn found_value(
        &self,
        id: &DocumentId,
        meant: impl Fn(&Scope) -> bool,
    ) -> Result<Option<ScopedValue>, Error> {
        let run = async {
            let found = self.tenant.find_value(id).await?.filter(|(scope, _)| meant(scope));
            let Some((scope, definition)) = found else { return Ok(None) };
            let definition = definition.into();
            match fresh_if_stale(|freshness| self.try_value(&definition, &scope, freshness)).await {
                // The index row may be stale, so the value itself decides.
                Ok(value) => Ok(value.filter(|value| value.id == *id)),
                // The index row outlived its definition: a sweep has yet to delete it.
                Err(Error::DefinitionNotFound(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.tenant.observed(Call::of("value_by_id"), run).await
    }

    /// The values of one scope, in the order of their definitions' ids.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{PageRequest, Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// let page = org.values(Scope::Org, PageRequest::first(50)).await?;
    /// assert!(page.items.len() == 1 && page.next.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor); [`Error::Damaged`], [`Error::UnknownKey`] and
    /// [`Error::UnknownVersion`]: what cannot be read fails the whole list. [`each_value`](Self::each_value) has the
    /// others.
    pub async fn values(
        &self,
        scope: impl Into<Cow<'_, Scope>>,
        page: PageRequest,
    ) -> Result<Listing<ScopedValue>, Error> {
        self.values_known(scope, page, None).await
    }

    /// The values of one scope, of which one that cannot be read keeps no other out of the list: in its place is the
    /// error that says which one it is and why. Those of a definition that cannot be read are left out, which
    /// [`each_definition`](Self::each_definition) names.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, Scope};
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// let page = org.each_value(Scope::Org, PageRequest::default()).await?;
    /// let (readable, damaged): (Vec<_>, Vec<_>) = page.items.into_iter().partition(Result::is_ok);
    /// assert_eq!((readable.len(), damaged.len()), (1, 0));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor); [`Error::Damaged`] and [`Error::UnknownVersion`] if the keys cannot
    /// be read; [`Error::Store`].
    pub async fn each_value(
        &self,
        scope: impl Into<Cow<'_, Scope>>,
        page: PageRequest,
    ) -> Result<Listing<Result<ScopedValue, Error>>, Error> {
        let scope = scope.into();
        let list = self.tenant.each_value(&scope, &page);
        self.tenant.observed(Call::of("each_value").at(&scope), list).await
    }

    /// [`values`](Self::values); if there is a list of names, only of these variables.
    pub(crate) async fn values_known(
        &self,
        scope: impl Into<Cow<'_, Scope>>,
        page: PageRequest,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Listing<ScopedValue>, Error> {
        let scope = scope.into();
        let list = self.tenant.list_values(&scope, &page, names);
        self.tenant.observed(Call::of("values").at(&scope), list).await
    }

    /// Where a definition has a value, and at which revision: who overrides it. Accounts come before workflows, both in
    /// the byte order of their ids. Nothing is opened: each 32 places cost one read of the index and one of the rows. A
    /// page can be empty and still have a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, Scope};
    /// let account = Scope::LinkedAccount("user_12345".parse()?);
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// org.set_value("PORT", &account, "8080").await?;
    /// let places = org.values_of("PORT", PageRequest::first(100)).await?.items;
    /// assert_eq!(places.iter().map(|place| &place.scope).collect::<Vec<_>>(), [&Scope::Org, &account]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Invalid::Cursor`](crate::Invalid::Cursor).
    pub async fn values_of(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        page: PageRequest,
    ) -> Result<Listing<ValuePlace>, Error> {
        let definition = definition.into();
        let list = async {
            let known = self.tenant.definition(&definition).await?;
            self.tenant.places_of(known.stored.id, &page).await
        };
        self.tenant.observed(Call::of("values_of").definition(&definition), list).await
    }

    /// The scopes at which something is set: the org first, then accounts, then workflows, both in the byte order of
    /// their ids. An account is listed whether or not it is registered. Nothing is opened: it costs a read for each 512
    /// values, and one more for each scope that has more. Rows left by an interrupted delete of a definition or account
    /// are included until [`Vault::run_jobs`](crate::Vault::run_jobs) is called.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, Scope};
    /// let workflow = Scope::Workflow("wf_1".parse()?);
    /// org.set_value("PORT", &workflow, "80").await?;
    /// assert_eq!(org.scopes_with_values(PageRequest::first(100)).await?.items, [workflow]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor).
    pub async fn scopes_with_values(&self, page: PageRequest) -> Result<Listing<Scope>, Error> {
        let list = self.tenant.scopes_with_values(&page);
        self.tenant.observed(Call::of("scopes_with_values"), list).await
    }

    /// A dry run of [`set_value`](Self::set_value): checks the value without writing it.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// assert!(org.validate("PORT", Scope::Org, "8080").await.is_ok());
    /// let refused = org.validate("PORT", Scope::Org, "http").await;
    /// assert!(matches!(refused, Err(Error::InvalidValue { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `set_value` that do not depend on the stored value.
    pub async fn validate(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        value: impl Into<Secret>,
    ) -> Result<(), Error> {
        let (definition, scope, value) = (definition.into(), scope.into(), value.into());
        let check = async {
            let known = self.tenant.definition(&definition).await?;
            check_scope(&known, &scope)?;
            check_value(&known, &value, &self.tenant.engine)
        };
        self.tenant.observed(Call::of("validate").definition(&definition).at(&scope), check).await
    }

    /// A dry run of [`define_and_set`](Self::define_and_set) for one value of a definition that does not exist yet.
    /// Reads nothing.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// let port = VariableDefinition::new("PORT", VarFormat::Integer);
    /// assert!(org.validate_new(&port, Scope::Org, "8080").is_ok());
    /// assert!(org.validate_new(&port, Scope::Org, "http").is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `define_and_set` that do not depend on stored rows. The definition id in them is not a real one.
    pub fn validate_new(
        &self,
        definition: &VariableDefinition,
        scope: impl Into<Cow<'static, Scope>>,
        value: impl Into<Secret>,
    ) -> Result<(), Error> {
        let (tenant, name) = (&*self.tenant, DefinitionRef::from(&definition.name));
        let made = NewDefinitions::of(slice::from_ref(definition), tenant, &WriteOptions::default())?;
        let known =
            made.get(&name).ok_or_else(|| Error::DefinitionNotFound(definition.name.clone().into()))?;
        check_scope(known, &scope.into())?;
        check_value(known, &value.into(), &tenant.engine)
    }

    pub(super) async fn try_value(
        &self,
        reference: &DefinitionRef<'_>,
        scope: &Scope,
        freshness: Freshness,
    ) -> Result<Option<ScopedValue>, Error> {
        let (tenant, account) = (&*self.tenant, scope.linked_account());
        let scopes = iter::once(scope);
        let mut read = tenant.read_values(reference, scopes, account.as_slice(), freshness).await?;
        match read.rows.pop().flatten() {
            Some(row) => tenant.open_value(&read.view, scope, &read.definition.stored.id, &row),
            None => Ok(None),
        }
    }
}
