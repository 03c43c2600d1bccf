//! Changes any field of a definition except its format, which [`Org::change_format`](crate::Org::change_format)
//! changes.

use std::slice;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DefinitionName;
use crate::jobs::narrow::{Narrowing, put_narrowing};
use crate::jobs::{run_job, until_landed};
use crate::model::{DefinitionRef, StoredDefinition};
use crate::scope::Scopes;
use crate::tenant::{Attempt, Draft, Expiry, Freshness, Needs, WriteOptions, check_definition};
use crate::verbs::org::Org;

/// A change of a definition. Fields that are not set stay as they are.
///
/// ```
/// use strongroom::DefinitionChange;
/// let change = DefinitionChange::new().name("API_URL").no_description().required();
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefinitionChange {
    name: Option<String>,
    description: Option<Option<String>>,
    default: Option<Option<String>>,
    required: Option<bool>,
    encrypted: bool,
    scopes: Option<Scopes>,
    author: Option<String>,
    history_versions: Option<u8>,
    history_age_secs: Option<u64>,
}

impl DefinitionChange {
    /// No change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the name. Values, ids and times stay as they are.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Changes the description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(Some(text.into()));
        self
    }

    /// Removes the description.
    #[must_use]
    pub fn no_description(mut self) -> Self {
        self.description = Some(None);
        self
    }

    /// Changes the default.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.default = Some(Some(value.into()));
        self
    }

    /// Removes the default.
    #[must_use]
    pub fn no_default_value(mut self) -> Self {
        self.default = Some(None);
        self
    }

    /// Makes the variable required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = Some(true);
        self
    }

    /// Makes the variable optional.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = Some(false);
        self
    }

    /// Marks the values as secret. This cannot be undone.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Changes the allowed scopes. One that still holds a value cannot be removed.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Changes how many former versions of the definition and of each of its values are kept, at most 100. Surplus
    /// versions of the definition are deleted with the change, and those of a value with its next write.
    #[must_use]
    pub fn history_versions(mut self, count: u8) -> Self {
        self.history_versions = Some(count);
        self
    }

    /// Changes for how many seconds a former version of a value is kept at most.
    #[must_use]
    pub fn history_age_secs(mut self, secs: u64) -> Self {
        self.history_age_secs = Some(secs);
        self
    }

    /// Records who makes the change, whoever the handle [acts as](crate::Org::acting_as).
    #[must_use]
    pub fn author(mut self, who: impl Into<String>) -> Self {
        self.author = Some(who.into());
        self
    }

    pub(crate) fn apply(&self, stored: &StoredDefinition) -> StoredDefinition {
        let mut changed = stored.clone();
        let definition = &mut changed.definition;
        definition.author.clone_from(&self.author);
        definition.encrypted |= self.encrypted;
        if let Some(name) = &self.name {
            definition.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            definition.description.clone_from(description);
        }
        if let Some(default) = &self.default {
            definition.default.clone_from(default);
        }
        definition.required = self.required.unwrap_or(definition.required);
        definition.scopes = self.scopes.unwrap_or(definition.scopes);
        definition.history_versions = self.history_versions.or(definition.history_versions);
        definition.history_age_secs = self.history_age_secs.or(definition.history_age_secs);
        changed
    }
}

impl Org {
    /// Changes a definition, and returns the new one.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{DefinitionChange, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("URL", VarFormat::Url)).await?;
    /// let changed = org.update_definition("URL", DefinitionChange::new().name("API_URL")).await?;
    /// assert_eq!(changed.definition.name, "API_URL");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::DefinitionExists`] for a name that is taken; [`Error::ScopeInUse`] for
    /// removing a scope that holds a value; the rules of [`Org::define`].
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the definition is changed. If scopes were removed,
    /// [`Vault::run_jobs`](crate::Vault::run_jobs) then allows one again that turns out to hold a value.
    pub async fn update_definition(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: DefinitionChange,
    ) -> Result<StoredDefinition, Error> {
        self.update_definition_with(definition, change, WriteOptions::default()).await
    }

    /// [`update_definition`](Self::update_definition) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{DefinitionChange, Expected, WriteOptions};
    /// let stored = org.definition("PORT").await?.unwrap();
    /// let as_read = WriteOptions::expecting(Expected::Revision(stored.revision));
    /// let change = DefinitionChange::new().name("HTTP_PORT");
    /// let after = org.update_definition_with(stored.id, change, as_read).await?;
    /// assert_eq!(after.definition.name, "HTTP_PORT");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `update_definition`, and [`Error::Unexpected`].
    pub async fn update_definition_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        change: DefinitionChange,
        options: WriteOptions,
    ) -> Result<StoredDefinition, Error> {
        let definition = definition.into();
        let update = async {
            let update = |freshness| self.try_update_definition(&definition, &change, &options, freshness);
            let (after, narrowing) = until_landed(&self.tenant, update).await?;
            if let Some(Narrowing { job, removed }) = narrowing {
                run_job(&self.tenant.without_actor(), &job).await?;
                // Again, after the change: a value may have been set between the first check and the commit.
                self.tenant.refuse_in_use(after.id, removed).await?;
            }
            Ok(after)
        };
        self.tenant.observed(Call::of("update_definition").definition(&definition), update).await
    }

    async fn try_update_definition(
        &self,
        reference: &DefinitionRef<'_>,
        change: &DefinitionChange,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<(StoredDefinition, Option<Narrowing>)>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let wanted: Option<DefinitionName> = change.name.as_deref().map(str::parse).transpose()?;
        let gets: Vec<_> = wanted.iter().map(|name| tenant.id.definition_name(name).key()).collect();
        let (view, mut taken) = tenant.read(&needs, gets).await?;
        let definition = view.definition(0, reference)?;
        let before = &definition.stored;
        options.check(Some(before.revision))?;
        let mut after = change.apply(before);
        after.updated_at = tenant.engine.now();
        after.describe(&tenant.metadata(options, after.updated_at, Expiry::Refused)?);
        let name = check_definition(&after.definition, &tenant.engine.formats)?;
        let removed = before.definition.scopes.without(after.definition.scopes);
        // Before anything is written, so that a scope in use is normally refused without a job.
        if let Some(removed) = removed {
            tenant.refuse_in_use(id, removed).await?;
        }
        after.revision = before.revision.next();

        let mut draft = Draft::new(tenant, &view);
        draft.put_definition(&after, Some(definition))?;
        if after.definition.name != before.definition.name {
            let taken = taken.pop().flatten();
            draft.take_definition_name(&name, id, taken.as_ref(), freshness).await?;
            draft.delete_definition_name(definition).await?;
        }
        let narrowing = match removed {
            Some(removed) => Some(put_narrowing(&mut draft, &after, removed)?),
            None => None,
        };
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| (after, narrowing)))
    }
}
