//! The rows of a definition: itself, and the count of all.

use std::slice;
use std::sync::Arc;

use crate::engine::cache::{DELETED, Definition, Moment};
use crate::error::Error;
use crate::id::DefinitionId;
use crate::keys::{Document, ScopeKeys};
use crate::model::{AuditChange, DefinitionRef, EventKind, Revision, StoredDefinition};
use crate::row::body::{decode_definition, encode_definition};
use crate::row::{Row, SealedRow, Subject};
use crate::store::{Key, RowRevision, Versioned};
use crate::tenant::{Draft, Expiry, Freshness, Needs, Tenant, View, WriteOptions, fresh_if_stale};

impl Tenant {
    /// Opens the row of a definition, which was read at or after `moment`. `None` if the key that sealed it was
    /// dropped.
    ///
    /// # Errors
    /// Among others, [`Error::RolledBack`] if a newer one was seen before.
    pub(crate) fn open_definition(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        id: DefinitionId,
        row: &Versioned,
        moment: Moment,
    ) -> Result<Option<Definition>, Error> {
        let place = self.id.definition(&id);
        let Some(opened) = self.open(keys, &place, &row.value)? else { return Ok(None) };
        self.engine.caches.refuse_older(&place, opened.revision, moment)?;
        let stored = decode_definition(id, opened.revision, &opened.plaintext)
            .map_err(|error| Error::content(place.name(), error))?;
        Ok(Some(Definition { stored, row_revision: row.revision }))
    }

    /// Opens a former version of a definition, or its deletion, in its place. `None` if the key that sealed it was
    /// dropped.
    pub(crate) fn open_definition_at(
        &self,
        view: &View<'_>,
        id: DefinitionId,
        place: &Row<'_>,
        row: &Versioned,
    ) -> Result<Option<StoredDefinition>, Error> {
        let Some(opened) = self.open(view.keys(None), place, &row.value)? else { return Ok(None) };
        let stored = decode_definition(id, opened.revision, &opened.plaintext);
        stored.map(Some).map_err(|error| Error::content(place.name(), error))
    }

    /// The newest former version of a definition that can be opened.
    pub(crate) async fn newest_definition(
        &self,
        view: &View<'_>,
        id: DefinitionId,
    ) -> Result<Option<StoredDefinition>, Error> {
        let subject = Subject::Definition(id);
        let Some(newest) = self.newest_readable(view, &subject).await? else { return Ok(None) };
        let place = self.id.former(&subject, newest.revision);
        match self.engine.get(place.key()).await? {
            Some(row) => self.open_definition_at(view, id, &place, &row),
            None => Ok(None),
        }
    }
}

impl Draft<'_> {
    /// Puts a definition: a new one, or in place of the one that was read, which becomes a former version.
    pub(crate) fn put_definition(
        &mut self,
        stored: &StoredDefinition,
        read: Option<&Definition>,
    ) -> Result<(), Error> {
        self.note(|| {
            let kind = match read {
                Some(_) => EventKind::DefinitionUpdated,
                None => EventKind::DefinitionCreated,
            };
            let before = read.map(|read| read.stored.revision);
            AuditChange { before, after: Some(stored.revision), ..change_of(kind, stored) }
        });
        if let Some(read) = read {
            let kept = self.tenant().versions_kept(&stored.definition);
            self.keep_former_definition(&read.stored, kept)?;
            // If the history limit was lowered, more than one version may now be too many.
            for count in kept..self.tenant().versions_kept(&read.stored.definition) {
                let too_many = read.stored.revision.before(u64::from(count) + 1);
                self.delete_former(self.tenant().id.former(&Subject::Definition(stored.id), too_many).key());
            }
        }
        self.put_definition_row(stored, read.map(|read| read.row_revision))
    }

    /// Puts a definition in the place of one that cannot be opened or is gone, and frees the names that lead to the old
    /// one.
    pub(crate) async fn replace_definition(
        &mut self,
        stored: &StoredDefinition,
        read: Option<RowRevision>,
    ) -> Result<(), Error> {
        let name = self.tenant().id.name_key(&stored.definition.name);
        self.free_names(&stored.id, Some(&name)).await?;
        self.note(|| AuditChange {
            after: Some(stored.revision),
            ..change_of(EventKind::DefinitionUpdated, stored)
        });
        self.put_definition_row(stored, read)
    }

    /// Deletes the row of a definition as it was read, if there is one, and keeps an older row from coming back.
    pub(crate) fn delete_definition_row(&mut self, key: Key, read: Option<RowRevision>) {
        self.wrote(key.clone(), DELETED);
        if let Some(read) = read {
            self.delete_as_read(key, read);
        }
        self.bump_epoch();
    }

    fn keep_former_definition(&mut self, stored: &StoredDefinition, kept: u8) -> Result<(), Error> {
        let body = encode_definition(stored);
        let document = Document { id: None, revision: stored.revision, body: &body };
        self.keep_former(&Subject::Definition(stored.id), &document, kept)
    }

    fn put_definition_row(
        &mut self,
        stored: &StoredDefinition,
        read: Option<RowRevision>,
    ) -> Result<(), Error> {
        self.bump_epoch();
        let body = encode_definition(stored);
        let document = Document { id: None, revision: stored.revision, body: &body };
        let place = self.tenant().id.definition(&stored.id);
        self.put_sealed(&place, read, &document)?;
        self.wrote(place.key(), stored.revision);
        Ok(())
    }

    /// Deletes a definition and its name, expecting the definition as it was read.
    pub(crate) async fn delete_definition(
        &mut self,
        definition: &Definition,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let (tenant, stored) = (self.tenant(), &definition.stored);
        let (key, subject) = (tenant.id.definition(&stored.id).key(), Subject::Definition(stored.id));
        let kept = tenant.versions_kept(&stored.definition);
        if options.keeps_history && kept > 0 {
            self.keep_former_definition(stored, kept)?;
            let mut last = stored.clone();
            (last.revision, last.updated_at) = (stored.revision.next(), tenant.engine.now());
            last.definition.author = None;
            last.describe(&tenant.metadata(options, last.updated_at, Expiry::Refused)?.deletion());
            let body = encode_definition(&last);
            self.put_deletion(&subject, &Document { id: None, revision: last.revision, body: &body })?;
            self.wrote(key.clone(), last.revision);
        } else {
            self.delete_history(tenant.history_to_delete(&subject).await?);
            self.wrote(key.clone(), DELETED);
        }
        self.delete_as_read(key, definition.row_revision);
        self.bump_epoch();
        self.note(|| AuditChange {
            before: Some(stored.revision),
            ..change_of(EventKind::DefinitionDeleted, stored)
        });
        self.delete_definition_name(definition).await
    }

    /// Restores a definition that was deleted with its history kept: the deletion in `deleted` becomes a former
    /// version. `None` if the key that sealed it was dropped.
    pub(crate) fn put_deleted_definition(
        &mut self,
        id: DefinitionId,
        deleted: &Versioned,
        options: &WriteOptions,
    ) -> Result<Option<StoredDefinition>, Error> {
        let (tenant, subject) = (self.tenant(), Subject::Definition(id));
        let place = tenant.id.deleted(&subject);
        let Some(opened) = tenant.open(self.keys(None), &place, &deleted.value)? else { return Ok(None) };
        let mut stored = decode_definition(id, opened.revision, &opened.plaintext)
            .map_err(|error| Error::content(place.name(), error))?;
        self.delete_counted(place.key(), deleted);
        self.keep_former(&subject, &opened.as_document(), tenant.versions_kept(&stored.definition))?;
        (stored.revision, stored.updated_at) = (opened.revision.next(), tenant.engine.now());
        stored.definition.author = None;
        stored.describe(&tenant.metadata(options, stored.updated_at, Expiry::Refused)?);
        self.note(|| AuditChange {
            after: Some(stored.revision),
            ..change_of(EventKind::DefinitionCreated, &stored)
        });
        self.put_definition_row(&stored, None)?;
        Ok(Some(stored))
    }

    /// Puts the number of definitions, within its limit: as many as there are, and the `change` that this batch makes.
    /// The count that the store shows may be damaged, or that of another time, so it says nothing. Every write that
    /// makes or deletes a definition writes it, so this batch loses to one that does so meanwhile. `known` is how many
    /// were read with it.
    pub(crate) async fn put_definition_count(
        &mut self,
        read: Option<&Versioned>,
        (known, change): (Option<u64>, i64),
        freshness: Freshness,
    ) -> Result<(), Error> {
        let found = match known {
            Some(known) => known,
            None => self.tenant().count_definitions(None).await?,
        };
        let counted = found.saturating_add_signed(change);
        let max = self.tenant().engine.limits.definitions();
        if change > 0 && counted > max as u64 {
            return Err(Error::TooManyDefinitions(max));
        }
        self.put_count(read, counted, freshness)
    }

    /// The same with the row of `id`, which may have been planted or lost, and `stays` or goes with this batch.
    pub(crate) async fn recount_definitions(
        &mut self,
        read: Option<&Versioned>,
        (id, stays): (&DefinitionId, bool),
        freshness: Freshness,
    ) -> Result<(), Error> {
        let others = self.tenant().count_definitions(Some(id)).await?;
        self.put_count(read, others + u64::from(stays), freshness)
    }

    fn put_count(&mut self, read: Option<&Versioned>, count: u64, freshness: Freshness) -> Result<(), Error> {
        let place = self.tenant().id.count();
        let revision = match read.map(|row| self.revision_of_count(&place, row)) {
            Some(Ok(revision)) => revision.next(),
            Some(Err(error)) if !freshness.is_lost(&error) => return Err(error),
            // Random, since another count was, or may have been, at this address.
            Some(Err(_)) | None => Revision::first()?,
        };
        let document = Document { id: None, revision, body: &count.to_be_bytes() };
        self.put_sealed(&place, read.map(|row| row.revision), &document)
    }

    fn revision_of_count(&self, place: &Row<'_>, row: &Versioned) -> Result<Revision, Error> {
        if let Some(opened) = self.tenant().open(self.keys(None), place, &row.value)? {
            return Ok(opened.revision);
        }
        let sealed = SealedRow::decode(place.kind(), &row.value);
        sealed.map(|sealed| sealed.revision).map_err(|error| Error::row(place.name(), error))
    }
}

impl Tenant {
    /// The number of definitions, without `other`.
    async fn count_definitions(&self, other: Option<&DefinitionId>) -> Result<u64, Error> {
        let scan = self.scan_of_definitions().keys_only();
        let page = self.engine.read(scan).await?;
        let rows = self.rest(&self.id.definitions(), page).await?;
        let other = other.map(|id| self.id.definition(id).key());
        Ok(rows.iter().filter(|(key, _)| Some(key) != other.as_ref()).count() as u64)
    }
}

/// A change of a definition, without its revisions.
fn change_of(kind: EventKind, stored: &StoredDefinition) -> AuditChange {
    let name = Some(stored.definition.name.clone());
    AuditChange { definition_id: Some(stored.id), name, ..AuditChange::new(kind) }
}

impl Tenant {
    /// The definition with this id or name.
    pub(crate) async fn definition(&self, reference: &DefinitionRef<'_>) -> Result<Arc<Definition>, Error> {
        fresh_if_stale(|freshness| self.look_up(reference, freshness)).await
    }

    async fn look_up(
        &self,
        reference: &DefinitionRef<'_>,
        freshness: Freshness,
    ) -> Result<Arc<Definition>, Error> {
        let id = self.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let (view, ()) = self.read(&needs, ()).await?;
        view.definition(0, reference).cloned()
    }
}
