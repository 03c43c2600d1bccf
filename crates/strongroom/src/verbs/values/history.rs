//! The former versions of values.

use std::borrow::Cow;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::model::{
    DefinitionRef, Expected, Listing, PageRequest, Revision, ScopedValue, ValueWritten, Version,
};
use crate::row::Subject;
use crate::scope::Scope;
use crate::tenant::{Freshness, ValuesRead, WriteOptions, fresh_if_stale};
use crate::verbs::org::Org;

impl Org {
    /// The versions of the value of a definition at exactly this scope, the newest first, without the values. The first
    /// is the present one, unless the value was deleted. A version that cannot be read is listed too, and
    /// [`Version::unreadable`] says why.
    ///
    /// [`VaultOptions::history_versions`](crate::VaultOptions::history_versions) sets how many former versions are
    /// kept, unless the definition sets its own number.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{PageRequest, Scope};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// org.acting_as("user:alice".parse()?).set_value("PORT", Scope::Org, "81").await?;
    /// let history = org.value_history("PORT", Scope::Org, PageRequest::default()).await?.items;
    /// assert_eq!(history.len(), 2);
    /// assert_eq!(history[0].metadata.author(), Some("user:alice"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::Damaged`] and [`Error::UnknownVersion`] if the definition or the keys
    /// cannot be read.
    pub async fn value_history(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        page: PageRequest,
    ) -> Result<Listing<Version>, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let run = async {
            let (tenant, known) = (&*self.tenant, self.tenant.definition(&definition).await?);
            let stored = &known.stored;
            let subject = Subject::value(&scope, &stored.id);
            let (current, mut listing) = tenant.present_and_former(&subject, &page).await?;
            if stored.definition.history_age_secs.is_some() {
                let mut replaced_at = match (&current, listing.items.first()) {
                    // One that cannot be read does not say when it was written.
                    (Some(current), _) => current.unreadable.is_none().then_some(current.written_at),
                    (None, Some(first)) => tenant.replaced_at(&subject, first.revision).await?,
                    (None, None) => None,
                };
                listing.items.retain(|version| {
                    let expired = replaced_at.is_some_and(|at| tenant.has_expired(&stored.definition, at));
                    // The next one was replaced when this one was written.
                    if version.unreadable.is_none() {
                        replaced_at = Some(version.written_at);
                    }
                    version.deleted || !expired
                });
            }
            Ok(tenant.with_current(&subject, listing, current, page.limit))
        };
        self.tenant.observed(Call::of("value_history").definition(&definition).at(&scope), run).await
    }

    /// One version of a value, current or former.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::Scope;
    /// let first = org.set_value("PORT", Scope::Org, "80").await?.revision;
    /// org.set_value("PORT", Scope::Org, "81").await?;
    /// let version = org.value_version("PORT", Scope::Org, first).await?;
    /// assert_eq!(version.value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`] for a version that is not kept, or that notes the deletion of the value;
    /// [`Error::DefinitionNotFound`].
    pub async fn value_version(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        revision: Revision,
    ) -> Result<ScopedValue, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let read = fresh_if_stale(|freshness| self.try_version(&definition, &scope, revision, freshness));
        let call = Call::of("value_version").definition(&definition).at(&scope);
        self.tenant.observed(call, read).await
    }

    /// Sets the value to that of a former version. This is a new version: it is checked against the present format, and
    /// can itself be undone. If the present row cannot be opened, this works only with [`Expected::Unreadable`]
    /// ([`restore_value_with`](Self::restore_value_with)), and its value is lost.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::Scope;
    /// let first = org.set_value("PORT", Scope::Org, "80").await?.revision;
    /// org.set_value("PORT", Scope::Org, "81").await?;
    /// org.restore_value("PORT", Scope::Org, first).await?;
    /// assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`], and those of [`set_value`](Self::set_value).
    pub async fn restore_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        revision: Revision,
    ) -> Result<ValueWritten, Error> {
        self.restore_value_with(definition, scope, revision, WriteOptions::default()).await
    }

    /// [`restore_value`](Self::restore_value) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Expected, Scope, WriteOptions};
    /// let first = org.set_value("PORT", Scope::Org, "80").await?.revision;
    /// let second = org.set_value("PORT", Scope::Org, "81").await?.revision;
    /// let if_still = WriteOptions::expecting(Expected::Revision(second)).note("81 is taken");
    /// org.restore_value_with("PORT", Scope::Org, first, if_still).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `restore_value`, and [`Error::Unexpected`].
    pub async fn restore_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        revision: Revision,
        options: WriteOptions,
    ) -> Result<ValueWritten, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let run = async {
            let quiet = self.unobserved();
            let version = quiet.value_version(definition.clone(), &*scope, revision).await?;
            quiet.set_value_with(version.definition_id, &*scope, version.value, options).await
        };
        let call = Call::of("restore_value").definition(&definition).at(&scope);
        self.tenant.observed(call, run).await
    }

    /// Brings back a value that was deleted with [`WriteOptions::keep_history`], as the same document. Returns `None`
    /// if no deleted value is kept.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, WriteOptions};
    /// let id = org.set_value("PORT", Scope::Org, "80").await?.id;
    /// org.delete_value_with("PORT", Scope::Org, WriteOptions::default().keep_history()).await?;
    /// assert_eq!(org.undelete_value("PORT", Scope::Org).await?.unwrap().id, id);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Unexpected`] if there is a value, or somebody sets or deletes one meanwhile; those of
    /// [`set_value`](Self::set_value).
    pub async fn undelete_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
    ) -> Result<Option<ValueWritten>, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let run = async {
            let quiet = self.unobserved();
            let newest = quiet.value_history(definition.clone(), &*scope, PageRequest::first(2)).await?.items;
            match newest.as_slice() {
                [value, ..] if !value.deleted => Err(Error::Unexpected { found: Some(value.revision) }),
                // The deleted version itself was not kept: an older version is another value.
                [deletion, last]
                    if deletion.unreadable.is_none() && last.revision.next() != deletion.revision =>
                {
                    Err(Error::VersionNotFound(deletion.revision.before(1)))
                }
                [deletion, last] => {
                    let as_deleted = WriteOptions::expecting(Expected::Deleted(deletion.revision));
                    let restored =
                        quiet.restore_value_with(definition.clone(), &*scope, last.revision, as_deleted);
                    restored.await.map(Some)
                }
                _ => Ok(None),
            }
        };
        self.tenant.observed(Call::of("undelete_value").definition(&definition).at(&scope), run).await
    }

    async fn try_version(
        &self,
        reference: &DefinitionRef<'_>,
        scope: &Scope,
        revision: Revision,
        freshness: Freshness,
    ) -> Result<ScopedValue, Error> {
        let (tenant, account) = (&*self.tenant, scope.linked_account());
        let scopes = std::iter::once(scope);
        let ValuesRead { view, definition, mut rows } =
            tenant.read_values(reference, scopes, account.as_slice(), freshness).await?;
        let id = definition.stored.id;
        let current = match rows.pop().flatten() {
            Some(row) => match tenant.open_value(&view, scope, &id, &row) {
                Ok(Some(value)) if value.revision == revision => return Ok(value),
                current => current.err(),
            },
            None => None,
        };
        let subject = Subject::value(scope, &id);
        let place = tenant.id.former(&subject, revision);
        // If the present one cannot be opened, it may be this version.
        let not_kept = || current.unwrap_or(Error::VersionNotFound(revision));
        let row = tenant.engine.get(place.key()).await?.ok_or_else(not_kept)?;
        let former = tenant.open_value_at(&view, scope, &id, &place, &row)?;
        let former = former.filter(|former| !former.metadata.is_deletion());
        let former = former.ok_or(Error::VersionNotFound(revision))?;
        if tenant.is_too_old(&definition.stored.definition, &subject, revision).await? {
            return Err(Error::VersionNotFound(revision));
        }
        Ok(former)
    }
}
