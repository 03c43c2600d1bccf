//! The former versions of a value. A batch that replaces a value keeps the version that it replaces, and drops the one
//! that is then too old: revisions count up by one, so its key is known without a scan. A batch that deletes a value
//! and keeps its history also leaves a row that says so; whoever sets the value again continues that document.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::keys::{Document, Opened, ScopeKeys};
use crate::model::Version;
use crate::row::body::{Times, ValueBody};
use crate::row::{Row, parse_former_revision};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::{Draft, Existing, Expiry, NewValue, Tenant, View, WriteOptions};

/// The rows of a value as they were read for a write.
#[derive(Default)]
pub(crate) struct ValueRows {
    pub(crate) row: Option<Versioned>,
    /// Its row in its definition's index.
    pub(crate) index: Option<Versioned>,
    /// That it was deleted. Only read if there is no value although the index has one.
    pub(crate) deleted: Option<Versioned>,
}

impl Tenant {
    /// The keys to read for a write of values: that of each value, then those of their rows in the index.
    pub(crate) fn value_keys(&self, values: &[NewValue<'_>], ids: &[DefinitionId]) -> Vec<Key> {
        let rows = values.iter().zip(ids).map(|(value, id)| self.id.value(&value.scope, id).key());
        let index =
            values.iter().zip(ids).map(|(value, id)| self.id.definition_value(id, &value.scope).key());
        rows.chain(index).collect()
    }

    /// Pairs up the rows of [`value_keys`](Self::value_keys), and reads which of the absent values were deleted.
    pub(crate) async fn value_rows(
        &self,
        values: &[NewValue<'_>],
        ids: &[DefinitionId],
        mut rows: Vec<Option<Versioned>>,
    ) -> Result<Vec<ValueRows>, Error> {
        let index = rows.split_off(values.len());
        let paired = rows.into_iter().zip(index);
        let mut read: Vec<ValueRows> =
            paired.map(|(row, index)| ValueRows { row, index, deleted: None }).collect();
        let (mut gets, mut absent) = (Vec::new(), Vec::new());
        for ((value, id), rows) in values.iter().zip(ids).zip(&mut read) {
            if rows.row.is_none() && rows.index.is_some() {
                gets.push(self.id.deleted_value(&value.scope, id).key());
                absent.push(rows);
            }
        }
        if !gets.is_empty() {
            for (rows, deleted) in absent.into_iter().zip(self.engine.read(gets).await?) {
                rows.deleted = deleted;
            }
        }
        Ok(read)
    }

    /// Opens a former version, or a deletion, without its value. `None` if the key that sealed it was dropped.
    pub(crate) fn open_past(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        place: &Row<'_>,
        bytes: &[u8],
    ) -> Result<Option<Version>, Error> {
        let Some(opened) = self.open(keys, place, bytes)? else { return Ok(None) };
        let around = ValueBody::decode_around(&opened.plaintext);
        let (times, metadata) = around.map_err(|error| Error::row(place.name(), error))?;
        Ok(Some(Version {
            id: opened.document_id(place)?,
            revision: opened.revision,
            created_at: times.created_at,
            written_at: times.updated_at,
            deleted: metadata.is_deletion(),
            metadata,
        }))
    }

    /// Opens a row of [`TenantId::value_history`](crate::row::TenantId::value_history) without its value.
    pub(crate) fn open_in_history(
        &self,
        view: &View<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        key: &Key,
        row: &Versioned,
    ) -> Result<Option<Version>, Error> {
        let prefix = self.id.value_history(scope, definition).start;
        let place = match key.as_bytes().strip_prefix(prefix.as_slice()).map(<&[u8; 8]>::try_from) {
            Some(Ok(suffix)) => self.id.former_value(scope, definition, parse_former_revision(suffix)),
            _ => self.id.deleted_value(scope, definition),
        };
        self.open_past(view.keys(scope.linked_account()), &place, &row.value)
    }

    /// The keys of a value's history, few enough for one batch. If there are more, the rest is deleted first.
    pub(crate) async fn history_to_delete(
        &self,
        view: &View<'_>,
        scope: &Scope,
        definition: &DefinitionId,
    ) -> Result<Vec<(Key, Versioned)>, Error> {
        loop {
            let range = self.id.value_history(scope, definition);
            let page = self.engine.read(Scan::new(range, HISTORY_PAGE).keys_only()).await?;
            if !page.more {
                return Ok(page.rows);
            }
            let mut draft = Draft::new(self, view);
            // All but the first, which may say that the value was deleted: it goes with the last batch.
            page.rows.iter().skip(1).for_each(|(key, _)| draft.delete(key.clone()));
            // A lost batch deleted nothing: the page is read again either way.
            let _ = draft.commit().await?;
        }
    }
}

impl Draft<'_> {
    /// Keeps the version that this batch replaces, and drops the one that is then too old.
    pub(crate) fn keep_former(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        opened: &Opened,
    ) -> Result<(), Error> {
        let tenant = self.tenant();
        let kept = u64::from(tenant.engine.history_versions);
        if kept == 0 {
            return Ok(());
        }
        self.put_sealed_over(
            &tenant.id.former_value(scope, definition, opened.revision),
            &opened.as_document(),
        )?;
        self.delete(tenant.id.former_value(scope, definition, opened.revision.before(kept)).key());
        Ok(())
    }

    /// Notes that this batch deletes the value in `row` and keeps its history, which begins with that value.
    pub(crate) fn note_deletion(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        row: &Versioned,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let tenant = self.tenant();
        let now = tenant.engine.now();
        let metadata = tenant.metadata(options, now, Expiry::Refused)?.deletion();
        // Never `None`: the delete has looked at its key.
        let Some((existing, opened)) = self.existing(&tenant.id.value(scope, definition), &row.value)? else {
            return Ok(());
        };
        self.keep_former(scope, definition, &opened)?;
        let times = Times { created_at: existing.created_at, updated_at: now };
        let body = ValueBody::encode(&Secret::from(""), times, &metadata);
        let document = Document { id: Some(existing.id), revision: existing.revision.next(), body: &body };
        self.put_sealed_over(&tenant.id.deleted_value(scope, definition), &document).map(drop)
    }

    /// Adds a value where there is none: a new document, or the one that was deleted with its history kept.
    pub(crate) fn add_value(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        rows: &ValueRows,
        now: Timestamp,
    ) -> Result<Existing, Error> {
        let tenant = self.tenant();
        // The value is absent, before a set and a delete by others as after them: only this row tells.
        let index = tenant.id.definition_value(definition, scope).key();
        self.expect_as_read(index, rows.index.as_ref().map(|row| row.revision));
        let Some(row) = &rows.deleted else { return self.new_value(scope, definition, now) };
        let place = tenant.id.deleted_value(scope, definition);
        self.delete_as_read(place.key(), row.revision);
        let Some((existing, opened)) = self.existing(&place, &row.value)? else {
            return self.new_value(scope, definition, now);
        };
        self.put_value_index(&existing.id, scope, definition);
        self.keep_former(scope, definition, &opened)?;
        Ok(Existing { revision: existing.revision.next(), ..existing })
    }

    /// Deletes the history of a value. Returns whether it says that the value was deleted. `rows` are those of
    /// [`Tenant::history_to_delete`].
    pub(crate) fn delete_history(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        rows: Vec<(Key, Versioned)>,
    ) -> bool {
        let deletion = self.tenant().id.deleted_value(scope, definition).key();
        let mut was_deleted = false;
        for (key, row) in rows {
            if key == deletion {
                // Whoever sets the value meanwhile deletes this row too.
                self.delete_as_read(key, row.revision);
                was_deleted = true;
            } else {
                self.delete(key);
            }
        }
        was_deleted
    }
}

/// With the rows of the value itself, a batch stays within 100 operations.
const HISTORY_PAGE: usize = 64;
