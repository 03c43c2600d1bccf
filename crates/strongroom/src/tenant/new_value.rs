//! Writing values: what is read of each before a write, and the rows that the write puts.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::engine::cache::{Cached, Definition, Tag};
use crate::error::Error;
use crate::id::{DefinitionId, DefinitionName, DocumentId};
use crate::keys::{Document, OpenedRow, active_key};
use crate::model::{
    AuditChange, DefinitionRef, EventKind, Expected, Metadata, Revision, StoredDefinition, ValueWritten,
};
use crate::row::body::{Times, ValueBody};
use crate::row::{Row, RowKind, SealedRow, Subject};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::{Key, Versioned};
use crate::tenant::former::{DocumentRows, FoundDocument};
use crate::tenant::names::read_hint;
use crate::tenant::value::value_change;
use crate::tenant::{Draft, Existing, Freshness, NewDefinitions, Tenant, View, WriteOptions};

/// A value for [`Org::set_values`](crate::Org::set_values).
#[derive(Debug)]
pub struct NewValue<'a> {
    pub(crate) definition: DefinitionRef<'a>,
    pub(crate) scope: Cow<'a, Scope>,
    pub(crate) value: Secret,
    pub(crate) expected: Expected,
}

impl<'a> NewValue<'a> {
    /// Sets `value` at `scope`, whether or not there is one.
    pub fn new(
        definition: impl Into<DefinitionRef<'a>>,
        scope: impl Into<Cow<'a, Scope>>,
        value: impl Into<Secret>,
    ) -> Self {
        Self {
            definition: definition.into(),
            scope: scope.into(),
            value: value.into(),
            expected: Expected::Any,
        }
    }

    /// Sets the value only if the one at the scope is as expected.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

/// The rows of a value as they were read for a write.
#[derive(Default)]
pub(crate) struct ValueRows {
    pub(crate) row: Option<Versioned>,
    /// Its row in its definition's index.
    pub(crate) index: Option<Versioned>,
    /// The note that it was deleted. Read only if there is no value although the index has one, or the write expects
    /// that it is deleted or gone.
    pub(crate) deleted: Option<Versioned>,
    /// Former versions that are too old to be kept, or too many because fewer are now kept.
    pub(crate) surplus: Vec<Key>,
    /// The document that the write continues if the value, or the note of its deletion, cannot be opened and the write
    /// expects that.
    pub(crate) continued: Option<Existing>,
}

/// What all values of a batch have in common.
pub(crate) struct Writing<'w> {
    /// One moment for all of them.
    pub(crate) now: Timestamp,
    pub(crate) options: &'w WriteOptions,
    pub(crate) metadata: Metadata,
}

impl Tenant {
    /// The ids of definitions, including those of `made`, which are not written yet. Reads all names that are not
    /// cached together.
    pub(crate) async fn definition_ids<'r>(
        &self,
        references: impl Iterator<Item = &'r DefinitionRef<'r>>,
        made: &NewDefinitions<'_>,
        freshness: Freshness,
    ) -> Result<SmallVec<[DefinitionId; 1]>, Error> {
        let caches = &self.engine.caches;
        let moment = caches.moment();
        let (mut ids, mut names_len) = (SmallVec::<[Option<DefinitionId>; 1]>::new(), 0);
        let (mut cold, mut gets) = (Vec::new(), Vec::new());
        for reference in references {
            let known = match reference {
                DefinitionRef::Id(id) => Some(*id),
                DefinitionRef::Name(name) => match made.get(reference) {
                    Some(made) => Some(made.stored.id),
                    None => {
                        names_len += 1;
                        self.known_name(name).filter(|_| freshness == Freshness::Cached)
                    }
                },
            };
            if let (None, DefinitionRef::Name(name)) = (known, reference) {
                cold.push((ids.len(), reference));
                gets.push(self.id.definition_name(&name.parse::<DefinitionName>()?).key());
            }
            ids.push(known);
        }
        caches.counts.add(Cached::Names, names_len - cold.len(), cold.len());
        let rows = self.read_hints(gets.clone()).await?;
        for (((index, reference), key), row) in cold.into_iter().zip(gets).zip(rows) {
            let row = row.ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))?;
            let id = read_hint(&row)?;
            caches.insert(moment, |tables| tables.names.insert(key, id, Tag::Sole));
            if let Some(known) = ids.get_mut(index) {
                *known = Some(id);
            }
        }
        Ok(ids.into_iter().flatten().collect())
    }

    /// The keys to read for a write of values: that of each value, then those of their rows in the index.
    pub(crate) fn value_gets(&self, values: &[NewValue<'_>], ids: &[DefinitionId]) -> Vec<Key> {
        let rows = values.iter().zip(ids).map(|(value, id)| self.id.value(&value.scope, id).key());
        let index =
            values.iter().zip(ids).map(|(value, id)| self.id.definition_value(id, &value.scope).key());
        rows.chain(index).collect()
    }

    /// Pairs up the rows of [`value_gets`](Self::value_gets). Also reads which of the absent values were deleted, which
    /// former versions are too old or too many, and what replaces a value that cannot be opened.
    pub(crate) async fn value_rows(
        &self,
        view: &View<'_>,
        values: &[NewValue<'_>],
        ids: &[DefinitionId],
        mut rows: Vec<Option<Versioned>>,
        options: &WriteOptions,
    ) -> Result<Vec<ValueRows>, Error> {
        let index = rows.split_off(values.len());
        let paired = rows.into_iter().zip(index);
        let mut read: Vec<ValueRows> =
            paired.map(|(row, index)| ValueRows { row, index, ..ValueRows::default() }).collect();
        let (mut gets, mut absent) = (Vec::new(), Vec::new());
        let expects = |value: &NewValue<'_>, what: fn(&Expected) -> bool| {
            [value.expected, options.expected].iter().any(what)
        };
        let continues = |value: &NewValue<'_>| expects(value, |expected| *expected == Expected::Unreadable);
        let undeletes =
            |value: &NewValue<'_>| expects(value, |expected| matches!(expected, Expected::Deleted(_)));
        for ((value, id), rows) in values.iter().zip(ids).zip(&mut read) {
            // A caller who knows that the value is deleted or gone does not depend on its row in the index, which may
            // be lost too.
            if rows.row.is_none() && (rows.index.is_some() || continues(value) || undeletes(value)) {
                gets.push(self.id.deleted(&Subject::value(&value.scope, id)).key());
                absent.push(rows);
            }
        }
        if !gets.is_empty() {
            for (rows, deleted) in absent.into_iter().zip(self.engine.read(gets).await?) {
                rows.deleted = deleted;
            }
        }
        for (((value, id), known), rows) in values.iter().zip(ids).zip(&view.definitions).zip(&mut read) {
            let Some(stored) = known.as_ref().map(|known| &known.stored) else { continue };
            let has_rule =
                stored.definition.history_age_secs.is_some() || stored.definition.history_versions.is_some();
            if has_rule && (rows.row.is_some() || rows.deleted.is_some()) {
                rows.surplus = self.surplus_versions(view, stored, &value.scope, rows.row.as_ref()).await?;
            }
            if continues(value) {
                let subject = Subject::value(&value.scope, id);
                let (row, deleted) = (rows.row.as_ref(), rows.deleted.as_ref());
                rows.continued = self.continued(view, &subject, row, deleted).await?;
            }
        }
        Ok(read)
    }
}

impl Draft<'_> {
    /// Puts a value: a new one, or in place of the one that was read, which becomes a former version.
    pub(crate) fn put_value(
        &mut self,
        definition: &Definition,
        new: &NewValue<'_>,
        rows: &ValueRows,
        writing: &Writing<'_>,
    ) -> Result<ValueWritten, Error> {
        let Writing { now, options, metadata } = writing;
        let (stored, scope) = (&definition.stored, &*new.scope);
        let place = self.tenant().id.value(scope, &stored.id);
        let (row, subject) = (rows.row.as_ref(), Subject::value(scope, &stored.id));
        let read = DocumentRows { row, deleted: rows.deleted.as_ref(), continued: rows.continued };
        let FoundDocument { existing, standing, action } = self.find_document(&place, &subject, read)?;
        options.check(standing)?;
        WriteOptions::expecting(new.expected).check(standing)?;

        let Existing { id, revision, created_at } = self.next_of(existing, stored, scope, rows, *now)?;
        // The value was checked against the format of this revision, which says nothing about other revisions.
        self.expect_definition(definition);
        let body = ValueBody::encode(&new.value, Times { created_at, updated_at: *now }, metadata);
        let document = Document { id: Some(id), revision, body: &body };
        self.put_counted(&place, row.map(|row| (row.revision, row.value.len())), &document)?;
        self.note(|| AuditChange {
            document_id: Some(id),
            before: standing.revision(),
            after: Some(revision),
            ..value_change(EventKind::ValueSet, stored, scope)
        });

        let shown = options.ciphertext && stored.definition.encrypted;
        let ciphertext = if shown { Some(self.show(&place, &document)?) } else { None };
        let (definition_id, scope, updated_at) = (stored.id, scope.clone(), *now);
        Ok(ValueWritten { action, id, definition_id, scope, revision, created_at, updated_at, ciphertext })
    }

    /// The version that a write of a value makes, after what comes before it: the existing one, which is kept as a
    /// former version; one that cannot be read; or a deletion.
    fn next_of(
        &mut self,
        existing: Option<(Existing, OpenedRow)>,
        stored: &StoredDefinition,
        scope: &Scope,
        rows: &ValueRows,
        now: Timestamp,
    ) -> Result<Existing, Error> {
        let subject = Subject::value(scope, &stored.id);
        let kept = self.tenant().versions_kept(&stored.definition);
        if let Some((existing, former)) = existing {
            self.keep_former(&subject, &former.as_document(), kept)?;
            self.delete_surplus(&rows.surplus);
            // The value matches the format now, so an older grandfathered mark is dropped.
            if stored.format_changes > 0 {
                self.put_definition_value(scope, &stored.id);
            }
            return Ok(Existing { revision: existing.revision.next(), ..existing });
        }
        if let Some(continued) = rows.continued {
            self.continue_unreadable(&continued.id, stored, scope, rows);
            return Ok(continued);
        }
        // The key that sealed it was dropped, so it counts as absent. But the index row of its id would lead to the new
        // value.
        let sealed =
            rows.row.as_ref().and_then(|row| SealedRow::decode(RowKind::ScopedValue, &row.value).ok());
        if let Some(id) = sealed.and_then(|sealed| sealed.doc_id) {
            self.delete_value_id(&id);
        }
        // The value is absent both before and after a set and a delete by others; only this row shows the difference.
        let index = self.tenant().id.definition_value(&stored.id, scope).key();
        self.expect_as_read(index, rows.index.as_ref().map(|row| row.revision));
        let next = match self.continue_deleted(&subject, rows.deleted.as_ref(), kept)? {
            Some(continued) => {
                self.delete_surplus(&rows.surplus);
                continued
            }
            None => Existing { id: self.new_id()?, revision: Revision::first()?, created_at: now },
        };
        self.put_value_index(&next.id, scope, &stored.id);
        Ok(next)
    }

    /// Deletes the versions beyond those that are kept, except the one that the batch drops to make room, and the one
    /// that it adds: where a store puts an older value back, that is among the former ones already.
    fn delete_surplus(&mut self, surplus: &[Key]) {
        let others: Vec<Key> = surplus.iter().filter(|key| !self.writes(key)).cloned().collect();
        let mut others = others.into_iter();
        others.by_ref().take(SURPLUS_MAX).for_each(|key| self.delete_former(key));
        self.try_delete_after_landing(others);
    }

    /// Replaces a value or a deletion that cannot be opened, or a value that is gone: the new value continues this
    /// document.
    fn continue_unreadable(
        &mut self,
        id: &DocumentId,
        stored: &StoredDefinition,
        scope: &Scope,
        rows: &ValueRows,
    ) {
        if rows.row.is_some() {
            self.note(|| AuditChange {
                document_id: Some(*id),
                ..value_change(EventKind::ValueDeleted, stored, scope)
            });
        }
        if let Some(row) = &rows.deleted {
            self.delete_unreadable_deletion(&Subject::value(scope, &stored.id), row);
        } else if rows.row.is_none() {
            // The value is also absent after others have set and deleted it; this row shows that.
            let index = self.tenant().id.definition_value(&stored.id, scope).key();
            self.expect_as_read(index, rows.index.as_ref().map(|row| row.revision));
        }
        self.put_value_index(id, scope, &stored.id);
    }

    /// Seals the value again as a ciphertext that may be shown. It has its own kind of address, so that it can never
    /// be used as a row.
    fn show(&mut self, place: &Row<'_>, document: &Document<'_>) -> Result<String, Error> {
        let keys = self.scope_keys(place.sealed_by().account())?;
        let address = place.address(&self.tenant().engine.store_id, document.id, document.revision);
        Ok(STANDARD.encode(active_key(&keys.keyring, place)?.seal(&address.shown(), document.body)?))
    }
}

/// How many versions that are too old or too many a write's batch deletes; the others are deleted as soon as it has
/// landed.
const SURPLUS_MAX: usize = 32;
