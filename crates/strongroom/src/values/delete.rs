//! Deleting values.

use std::slice;

use crate::error::Error;
use crate::id::{DefinitionId, DocumentId};
use crate::model::DefinitionRef;
use crate::options::WriteOptions;
use crate::org::Org;
use crate::scope::Scope;
use crate::store::ReadBatch;
use crate::tenant::{Draft, Freshness, Needs, until_landed};

/// Which value was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletedValue {
    /// Its document id.
    pub id: DocumentId,
    /// Of which definition it was.
    pub definition_id: DefinitionId,
    /// Where it stood.
    pub scope: Scope,
}

impl Org {
    /// Deletes the value of a definition at a scope; answers `None` where there was none.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// assert!(org.delete_value("PORT", &Scope::Org).await?.is_some());
    /// assert!(org.delete_value("PORT", &Scope::Org).await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`].
    pub async fn delete_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: &Scope,
    ) -> Result<Option<DeletedValue>, Error> {
        self.delete_value_with(definition, scope, WriteOptions::default()).await
    }

    /// [`delete_value`](Self::delete_value), with conditions and companions. Where there is no value, nothing is
    /// written, unless one was expected.
    ///
    /// # Errors
    /// Those of `delete_value`, and [`Error::Unexpected`].
    pub async fn delete_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: &Scope,
        options: WriteOptions,
    ) -> Result<Option<DeletedValue>, Error> {
        let definition = definition.into();
        until_landed!(|freshness| self.try_delete_value(&definition, scope, None, &options, freshness))
    }

    /// Deletes the value with this document id; answers `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn delete_value_by_id(&self, id: &DocumentId) -> Result<Option<DeletedValue>, Error> {
        let Some((scope, definition)) = self.tenant.find_value(id).await? else { return Ok(None) };
        let (definition, options) = (DefinitionRef::Id(definition), WriteOptions::default());
        let deleted: Result<_, Error> = until_landed!(|freshness| {
            self.try_delete_value(&definition, &scope, Some(id), &options, freshness)
        });
        match deleted {
            Err(Error::DefinitionNotFound(_)) => Ok(None),
            answer => answer,
        }
    }

    async fn try_delete_value(
        &self,
        reference: &DefinitionRef<'_>,
        scope: &Scope,
        only: Option<&DocumentId>,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Option<Option<DeletedValue>>, Error> {
        let tenant = &*self.tenant;
        let id = tenant.definition_id(reference, freshness).await?;
        let account = scope.linked_account();
        let needs = Needs::org_keys()
            .definitions(slice::from_ref(&id))
            .accounts(account.as_slice())
            .freshness(freshness);
        let key = tenant.keys.value(scope, &id);
        let read = ReadBatch { gets: vec![key.clone()], scans: Vec::new() };
        let (ground, mut set) = tenant.read(&needs, read).await?;
        ground.definition(0, reference)?;
        let row = set.gets.pop().flatten();
        let found = match &row {
            Some(row) => tenant.find_in_row(&ground, scope, &id, row)?,
            None => None,
        };
        options.check(found.map(|found| found.revision))?;
        let (Some(found), Some(row)) = (found, row) else { return Ok(Some(None)) };
        if only.is_some_and(|only| *only != found.id) {
            return Ok(Some(None));
        }

        let mut draft = Draft::new(tenant, &ground);
        draft.expect_as_read(key.clone(), Some(row.revision));
        draft.delete(key);
        draft.delete_value_id(&found.id);
        draft.delete(tenant.keys.definition_value(&id, scope));
        draft.put_records(&options.records).await?;
        let deleted = DeletedValue { id: found.id, definition_id: id, scope: scope.clone() };
        Ok(draft.commit().await?.map(|_| Some(deleted)))
    }
}
