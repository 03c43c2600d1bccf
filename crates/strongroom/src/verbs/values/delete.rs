//! Deleting values.

use std::borrow::Cow;
use std::{iter, slice};

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::{DefinitionId, DocumentId};
use crate::jobs::until_landed;
use crate::model::{AuditChange, DefinitionRef, EventKind, Expected, Found, Revision, Standing};
use crate::row::Subject;
use crate::scope::Scope;
use crate::store::Versioned;
use crate::tenant::former::Ended;
use crate::tenant::value::value_change;
use crate::tenant::{Attempt, Draft, Freshness, Tenant, ValuesRead, WriteOptions};
use crate::verbs::org::Org;

/// A value that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletedValue {
    /// Its document id; `None` for a damaged row that no index row leads to.
    pub id: Option<DocumentId>,
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// Its scope.
    pub scope: Scope,
    /// Whether its row was damaged and could not be read.
    pub damaged: bool,
}

/// What a delete finds in a row.
struct ToDelete {
    /// More than one only if a hostile index has several.
    ids: Vec<DocumentId>,
    revision: Option<Revision>,
    damaged: bool,
}

impl Org {
    /// Deletes the value of a definition at a scope. Returns `None` if there was none.
    ///
    /// A damaged row is deleted too, and [`DeletedValue::damaged`] says so. With a condition it is refused, since the
    /// condition cannot be checked. With [`WriteOptions::keep_history`] it is refused if it has former versions; a
    /// delete without that option deletes all of them.
    ///
    /// The former versions of the value are deleted too, unless the options keep them. If there are more than a
    /// hundred, the oldest are deleted in batches of their own after the value; after an error, call this again.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// assert!(org.delete_value("PORT", Scope::Org).await?.is_some());
    /// assert!(org.delete_value("PORT", Scope::Org).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`].
    pub async fn delete_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
    ) -> Result<Option<DeletedValue>, Error> {
        self.delete_value_with(definition, scope, WriteOptions::default()).await
    }

    /// [`delete_value`](Self::delete_value) with [`WriteOptions`]. If there is no value, nothing is written, not even
    /// the records. If one was deleted with its history kept, that history is deleted: with [`Expected::Deleted`] only
    /// if the value was neither set nor deleted again since.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Expected, Scope, WriteOptions};
    /// let written = org.set_value("PORT", Scope::Org, "80").await?;
    /// let as_written = WriteOptions::expecting(Expected::Revision(written.revision));
    /// assert!(org.delete_value_with("PORT", Scope::Org, as_written).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `delete_value`, [`Error::Unexpected`], and [`Error::Damaged`] and [`Error::UnknownKey`] for a row that
    /// cannot be opened if there is a condition, or former versions that are to be kept.
    pub async fn delete_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        scope: impl Into<Cow<'_, Scope>>,
        options: WriteOptions,
    ) -> Result<Option<DeletedValue>, Error> {
        let (definition, scope) = (definition.into(), scope.into());
        let delete = until_landed(&self.tenant, |freshness| {
            self.try_delete_value(&definition, &scope, None, &options, freshness)
        });
        self.tenant.observed(Call::of("delete_value").definition(&definition).at(&scope), delete).await
    }

    /// Deletes the value with this document id. Returns `None` if there was none.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let written = org.set_value("PORT", strongroom::Scope::Org, "80").await?;
    /// assert!(org.delete_value_by_id(&written.id).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn delete_value_by_id(&self, id: &DocumentId) -> Result<Option<DeletedValue>, Error> {
        self.delete_found_value(id, |_| true, &WriteOptions::default()).await
    }

    /// Deletes the value with this document id, if its scope is `meant`.
    pub(crate) async fn delete_found_value(
        &self,
        id: &DocumentId,
        meant: impl Fn(&Scope) -> bool,
        options: &WriteOptions,
    ) -> Result<Option<DeletedValue>, Error> {
        let found = self.tenant.find_value(id).await;
        let Some((scope, definition)) =
            found.as_ref().ok().cloned().flatten().filter(|(scope, _)| meant(scope))
        else {
            return self.tenant.observed(Call::of("delete_value"), async { found.map(|_| None) }).await;
        };
        let definition = DefinitionRef::Id(definition);
        let delete = until_landed(&self.tenant, |freshness| {
            self.try_delete_value(&definition, &scope, Some(id), options, freshness)
        });
        let call = Call::of("delete_value").definition(&definition).at(&scope);
        let deleted = self.tenant.observed(call, delete).await;
        match deleted {
            // The index row outlived its definition: a sweep has yet to delete it.
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
    ) -> Result<Attempt<Option<DeletedValue>>, Error> {
        let (tenant, account) = (&*self.tenant, scope.linked_account());
        let read = tenant.read_values(reference, iter::once(scope), account.as_slice(), freshness).await?;
        let (stored, row) = (&read.definition.stored, read.rows.first().and_then(Option::as_ref));
        let found = match row {
            Some(row) => to_delete(tenant, &read, scope, row, options).await?,
            None => None,
        };
        let subject = Subject::value(scope, &stored.id);
        let deleted = match (&found, options.expected) {
            (None, Expected::Deleted(_)) => tenant.engine.get(tenant.id.deleted(&subject).key()).await?,
            _ => None,
        };
        options.check(match &found {
            Some(found) => Standing::from(found.revision),
            None => tenant.standing_of_absent(read.view.keys(account), &subject, deleted.as_ref())?,
        })?;
        let (Some(found), Some(row)) = (found, row) else {
            if options.keeps_history || only.is_some() {
                return Ok(Attempt::Landed(None));
            }
            return purge(tenant, &read, scope, deleted.as_ref(), options).await;
        };
        // Another value has taken its place since the id was looked up.
        if only.is_some_and(|only| !found.ids.contains(only)) {
            return Ok(Attempt::Landed(None));
        }

        let mut draft = Draft::new(tenant, &read.view);
        draft.makes_room();
        draft.delete_counted(tenant.id.value(scope, &stored.id).key(), row);
        found.ids.iter().for_each(|id| draft.delete_value_id(id));
        let kept = tenant.versions_kept(&stored.definition);
        if let Ended::Deleted = draft.end_history(&subject, row, kept, options).await? {
            draft.delete(tenant.id.definition_value(&stored.id, scope).key());
        }
        draft.note(|| AuditChange {
            document_id: found.ids.first().copied(),
            before: found.revision,
            ..value_change(EventKind::ValueDeleted, stored, scope)
        });
        draft.put_companions(options).await?;
        let deleted = DeletedValue {
            id: found.ids.first().copied(),
            definition_id: stored.id,
            scope: scope.clone(),
            damaged: found.damaged,
        };
        Ok(draft.commit().await?.map(|_| Some(deleted)))
    }
}

/// What the row of a value holds; `None` if the key that sealed it was dropped.
async fn to_delete(
    tenant: &Tenant,
    read: &ValuesRead<'_>,
    scope: &Scope,
    row: &Versioned,
    options: &WriteOptions,
) -> Result<Option<ToDelete>, Error> {
    let definition = &read.definition.stored.id;
    match tenant.find_in_row(&read.view, scope, definition, row) {
        // Its id cannot be read from a damaged row, so look for index rows that lead to it.
        Err(Error::Damaged { .. }) if options.expected == Expected::Any => {
            let key = tenant.id.value(scope, definition).key();
            let ids = tenant.ids_leading_to(slice::from_ref(&key)).await?;
            let ids = ids.into_iter().take(IDS_MAX).map(|(_, id)| id).collect();
            Ok(Some(ToDelete { ids, revision: None, damaged: true }))
        }
        found => Ok(found?.map(|Found { id, revision }| ToDelete {
            ids: vec![id],
            revision: Some(revision),
            damaged: false,
        })),
    }
}

/// Deletes everything left of a value that was deleted with its history kept: in `deleted`, if that is expected.
async fn purge(
    tenant: &Tenant,
    read: &ValuesRead<'_>,
    scope: &Scope,
    deleted: Option<&Versioned>,
    options: &WriteOptions,
) -> Result<Attempt<Option<DeletedValue>>, Error> {
    let (stored, row) = (&read.definition.stored, read.rows.first().and_then(Option::as_ref));
    let definition = &stored.id;
    let mut draft = Draft::new(tenant, &read.view);
    let subject = Subject::value(scope, definition);
    let history = tenant.history_to_delete(&subject).await?;
    if !history.is_empty() && !tenant.is_still_absent(&subject, row, &history).await? {
        return Ok(Attempt::AGAIN);
    }
    // The deletion that was expected, and not one of the same value that was made meanwhile.
    let expected = deleted.map(|deleted| (tenant.id.deleted(&subject).key(), deleted.revision));
    expected.into_iter().for_each(|(key, revision)| draft.expect_once(key, Some(revision)));
    let index = tenant.id.definition_value(definition, scope).key();
    let is_lost = row.is_none() && !history.is_empty();
    if draft.delete_history(history) {
        draft.delete(index);
    } else if is_lost && let Some(left) = tenant.engine.get(index.clone()).await? {
        let value = tenant.id.value(scope, definition).key();
        draft.delete_ids(&tenant.ids_leading_to(slice::from_ref(&value)).await?);
        // A write that sets a value meanwhile puts this row again.
        draft.delete_as_read(index, left.revision);
    }
    if draft.is_empty() {
        return Ok(Attempt::Landed(None));
    }
    draft.note(|| value_change(EventKind::ValueDeleted, stored, scope));
    // Do not write the records: they belong to the change of a value, and there is none.
    for registration in &options.registered {
        draft.expect_registered(registration).await?;
    }
    Ok(draft.commit().await?.map(|_| None))
}

/// How many ids are deleted with a damaged row. An honest store has one.
const IDS_MAX: usize = 8;
