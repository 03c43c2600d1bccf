//! Replaces a definition that is lost.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::jobs::narrow::made_at;
use crate::jobs::until_landed;
use crate::model::{
    DefinitionRef, Expected, Metadata, Revision, ScopedValue, StoredDefinition, VariableDefinition,
};
use crate::store::Page;
use crate::tenant::check::value_form;
use crate::tenant::indexed::EXAMINED_MAX;
use crate::tenant::{Freshness, WriteOptions, check_definition};
use crate::verbs::definitions::history::Wanted;
use crate::verbs::org::Org;

impl Org {
    /// Replaces a definition of which neither the present nor a former version can be read. The new one has its id, so
    /// that its values can be read again. Nobody can check what the lost one said: above all, values that it hid from
    /// clients are shown unless `definition` is [`encrypted`](VariableDefinition::encrypted) too.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Error, VarFormat, VariableDefinition};
    /// let whole = org.redefine_damaged(VariableDefinition::new("PORT", VarFormat::String)).await;
    /// assert!(matches!(whole, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`] if the name leads to no definition; [`Error::Unexpected`] if that one can be read,
    /// or a former version, which [`restore_definition_with`](Self::restore_definition_with) then restores;
    /// [`Error::ValueMismatch`] for a value that can be read and does not match; those of [`define`](Self::define), and
    /// those of [`update_definition`](Self::update_definition) for values at a scope that is not allowed.
    pub async fn redefine_damaged(&self, definition: VariableDefinition) -> Result<StoredDefinition, Error> {
        let (tenant, reference) = (&*self.tenant, DefinitionRef::from(definition.name.clone()));
        let define = async {
            check_definition(&definition, &tenant.engine.formats)?;
            let id = tenant.definition_id(&reference, Freshness::Fresh).await?;
            let stored = StoredDefinition {
                id,
                revision: Revision::from_u64(1),
                definition: definition.clone(),
                created_by: None,
                created_at: made_at(id.as_bytes()),
                updated_at: made_at(id.as_bytes()),
                format_changes: 0,
                metadata: Metadata::NONE,
            };
            self.refuse_mismatched(&stored).await?;
            let (wanted, options) = (Wanted::Stated(&stored), WriteOptions::expecting(Expected::Unreadable));
            until_landed(tenant, |freshness| self.try_restore_definition(wanted, &options, freshness)).await
        };
        let call = Call::of("redefine_damaged").definition(&reference);
        self.finish_restore(tenant.observed(call, define).await?).await
    }

    /// Refuses a definition that does not fit one of its values. Those that cannot be read are not asked.
    async fn refuse_mismatched(&self, stored: &StoredDefinition) -> Result<(), Error> {
        let tenant = &*self.tenant;
        let mut rest = tenant.id.definition_values(&stored.id);
        loop {
            let Page { rows, more } = tenant.engine.scan(rest.clone(), EXAMINED_MAX).await?;
            let next = rows.last().filter(|_| more).map(|(last, _)| rest.after(last.as_bytes()));
            for indexed in tenant.read_indexed(stored, rows).await? {
                let Ok(ScopedValue { scope, value, .. }) = indexed.value else { continue };
                value_form(&stored.definition, &value, &tenant.engine.formats)
                    .map_err(|rule| Error::ValueMismatch { scope, rule })?;
            }
            let Some(next) = next else { return Ok(()) };
            rest = next;
        }
    }
}
