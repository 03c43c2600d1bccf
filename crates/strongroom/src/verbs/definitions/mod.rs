//! Verbs on variable definitions.

pub(crate) mod change;
pub(crate) mod ensure;
pub(crate) mod format_change;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod purge;
pub(crate) mod redefine;

use std::slice;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::{JobId, run_job, until_landed};
use crate::model::{DefinitionRef, StoredDefinition, VariableDefinition};
use crate::row::body::Sweep;
use crate::tenant::{Attempt, Draft, Freshness, Needs, WriteOptions};
use crate::verbs::org::Org;

pub use change::DefinitionChange;
pub use ensure::{DefinitionDiffers, DefinitionPart, Ensured};
pub use format_change::{FormatChange, Mismatch, OnMismatch};
pub use list::DefinitionFilter;

impl Org {
    /// Defines a variable.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{VarFormat, VariableDefinition};
    /// let id = org.define(VariableDefinition::new("API_BASE_URL", VarFormat::Url)).await?;
    /// assert_eq!(org.definition("API_BASE_URL").await?.map(|found| found.id), Some(id));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionExists`] if the name is taken; [`Invalid::Id`](crate::Invalid::Id),
    /// [`Invalid::Definition`](crate::Invalid::Definition), [`Invalid::Default`](crate::Invalid::Default) and
    /// [`Error::TooLong`] for a definition that breaks a rule; [`Error::TooManyDefinitions`].
    pub async fn define(&self, definition: VariableDefinition) -> Result<DefinitionId, Error> {
        self.define_with(definition, WriteOptions::default()).await
    }

    /// [`define`](Self::define) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{VarFormat, VariableDefinition, WriteOptions};
    /// let audit = org.records("audit".parse()?);
    /// let noted = WriteOptions::default().with_record(audit.write("PORT".parse()?, "defined by ci"));
    /// org.define_with(VariableDefinition::new("PORT", VarFormat::Integer), noted).await?; // both, or neither
    /// assert!(audit.get(&"PORT".parse()?).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `define`, and [`Error::Unexpected`] for a condition that does not hold for an absent definition.
    pub async fn define_with(
        &self,
        definition: VariableDefinition,
        options: WriteOptions,
    ) -> Result<DefinitionId, Error> {
        options.check(None)?;
        let written = self.define_and_set_with(slice::from_ref(&definition), &[], options).await?;
        written.definitions.first().copied().ok_or_else(Error::no_result)
    }

    /// The definition with this id or name.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let stored = org.definition("PORT").await?.unwrap();
    /// assert_eq!(org.definition(stored.id).await?.map(|found| found.revision), Some(stored.revision));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn definition(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
    ) -> Result<Option<StoredDefinition>, Error> {
        let definition = definition.into();
        let read = async {
            match self.tenant.definition(&definition).await {
                Ok(definition) => Ok(Some(definition.stored.clone())),
                Err(Error::DefinitionNotFound(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.tenant.observed(Call::of("definition").definition(&definition), read).await
    }

    /// Deletes a definition and all its values.
    ///
    /// After the first batch none of them can be read. The rows are swept before this returns. If that is
    /// interrupted, [`Vault::run_jobs`](crate::Vault::run_jobs) finishes it.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{VarFormat, VariableDefinition};
    /// let id = org.define(VariableDefinition::new("OLD", VarFormat::String)).await?;
    /// org.delete_definition("OLD").await?;
    /// assert!(org.definition(id).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]. An error during the sweep is returned too, but then the definition is already
    /// gone.
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the definition is gone for every reader. The rows that are left are
    /// swept by [`Vault::run_jobs`](crate::Vault::run_jobs). Another call of this returns
    /// [`Error::DefinitionNotFound`].
    pub async fn delete_definition(&self, definition: impl Into<DefinitionRef<'_>>) -> Result<(), Error> {
        self.delete_definition_with(definition, WriteOptions::default()).await
    }

    /// [`delete_definition`](Self::delete_definition) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Expected, WriteOptions};
    /// let stored = org.definition("PORT").await?.unwrap();
    /// let as_read = WriteOptions::expecting(Expected::Revision(stored.revision));
    /// org.delete_definition_with("PORT", as_read).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `delete_definition`, and [`Error::Unexpected`].
    pub async fn delete_definition_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let definition = definition.into();
        let delete = async {
            let delete = |freshness| self.try_delete_definition(&definition, &options, freshness);
            let job = until_landed(&self.tenant, delete).await?;
            run_job(&self.tenant, &job).await
        };
        self.tenant.observed(Call::of("delete_definition").definition(&definition), delete).await
    }

    async fn try_delete_definition(
        &self,
        reference: &DefinitionRef<'_>,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<JobId>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let (view, [count]) = tenant.read(&needs, [tenant.id.count().key()]).await?;
        let definition = view.definition(0, reference)?;
        options.check(Some(definition.stored.revision))?;

        let mut draft = Draft::new(tenant, &view);
        draft.makes_room();
        draft.delete_definition(definition, options).await?;
        draft.put_definition_count(count.as_ref(), (None, -1), freshness).await?;
        let job = draft.put_job(&Sweep::Definition(id))?;
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| job))
    }
}
