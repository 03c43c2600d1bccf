//! The rows of a definition: itself, and the count of all.

use std::slice;
use std::sync::Arc;

use crate::engine::cache::{DELETED, Definition, Moment};
use crate::error::{Damage, Error};
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
            .map_err(|error| Error::row(place.name(), error))?;
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
        stored.map(Some).map_err(|error| Error::row(place.name(), error))
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
        self.keep_former(&Subject::Definition(stored.id), &document, kept).map(drop)
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
            .map_err(|error| Error::row(place.name(), error))?;
        self.delete_as_read(place.key(), deleted.revision);
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

    /// Changes the count of definitions, within its limit.
    pub(crate) fn put_definition_count(
        &mut self,
        read: Option<&Versioned>,
        change: i64,
    ) -> Result<(), Error> {
        let (count, revision) = self.next_count(read)?;
        // Saturates: a wrong count must not keep anyone from deleting.
        let changed = count.saturating_add_signed(change);
        let max = self.tenant().engine.limits.definitions();
        if change > 0 && changed > max as u64 {
            return Err(Error::TooManyDefinitions(max));
        }
        self.put_count(read, changed, revision)
    }

    /// Counts the definitions by their rows, without that of `id`, which `stays` or goes with this batch. That row may
    /// have been planted or lost, so the stated count says nothing of it. Every write that makes or deletes a
    /// definition writes the count, so this batch loses to one that does so meanwhile.
    pub(crate) async fn recount_definitions(
        &mut self,
        read: Option<&Versioned>,
        id: &DefinitionId,
        stays: bool,
    ) -> Result<(), Error> {
        let tenant = self.tenant();
        let (range, own) = (tenant.id.definitions(), tenant.id.definition(id).key());
        let page = tenant.engine.read(tenant.scan_of_definitions()).await?;
        let rows = tenant.rest(&range, page).await?;
        let others = rows.iter().filter(|(key, _)| *key != own).count() as u64;
        let (_, revision) = self.next_count(read)?;
        self.put_count(read, others + u64::from(stays), revision)
    }

    /// The stated count, and the revision of the next one.
    fn next_count(&self, read: Option<&Versioned>) -> Result<(u64, Revision), Error> {
        match read {
            Some(row) => {
                let (count, revision) = self.read_count(&self.tenant().id.count(), row)?;
                Ok((count, revision.next()))
            }
            // Random, since the count of an org that was shredded was at this address.
            None => Ok((0, Revision::first()?)),
        }
    }

    fn put_count(&mut self, read: Option<&Versioned>, count: u64, revision: Revision) -> Result<(), Error> {
        let document = Document { id: None, revision, body: &count.to_be_bytes() };
        self.put_sealed(&self.tenant().id.count(), read.map(|row| row.revision), &document)
    }

    fn read_count(&self, place: &Row<'_>, row: &Versioned) -> Result<(u64, Revision), Error> {
        let Some(opened) = self.tenant().open(self.keys(None), place, &row.value)? else {
            let revision = SealedRow::decode(place.kind(), &row.value).map(|sealed| sealed.revision);
            return Ok((0, revision.map_err(|error| Error::row(place.name(), error))?));
        };
        let bytes = opened.plaintext.as_slice().try_into();
        let bytes = bytes.map_err(|_| Error::damaged(place.name(), Damage::Malformed))?;
        Ok((u64::from_be_bytes(bytes), opened.revision))
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
