//! What a write does with the former versions of a value, credential or definition. A batch that replaces a document
//! keeps the version that it replaces, and drops the one that is then too old: revisions count up by one, so its key is
//! known without a scan. A batch that deletes a document and keeps its history also leaves a row that notes the
//! deletion; a later write that sets the document continues it.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::keys::{Document, OpenedRow, ScopeKeys};
use crate::model::{Revision, Standing, StoredDefinition, Upsert, Version};
use crate::row::body::{Times, ValueBody};
use crate::row::{Row, Subject, TenantRow};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::history::VERSIONS_MAX;
use crate::tenant::{Draft, Existing, Expiry, Freshness, Tenant, View, WriteOptions};

/// The rows of a value or credential as they were read for a write.
#[derive(Clone, Copy)]
pub(crate) struct DocumentRows<'r> {
    pub(crate) row: Option<&'r Versioned>,
    /// The row that notes that it was deleted with its history kept.
    pub(crate) deleted: Option<&'r Versioned>,
    /// The document that the write continues if one of these cannot be opened.
    pub(crate) continued: Option<Existing>,
}

/// What a write of a value or credential finds.
pub(super) struct FoundDocument {
    /// The document in its row, unless the write continues one that cannot be opened.
    pub(super) existing: Option<(Existing, OpenedRow)>,
    pub(super) standing: Standing,
    /// What the write does.
    pub(super) action: Upsert,
}

/// What a delete did with the history of a document.
pub(crate) enum Ended {
    Kept,
    Deleted,
}

impl Tenant {
    /// The document that a write continues in place of a row or a deletion that cannot be opened, or of a row that is
    /// gone without a deletion: its newest readable version, at a revision above all those lost after it. `None` if the
    /// row can be opened, or there is nothing to continue.
    ///
    /// # Errors
    /// The reason why the row cannot be opened, if no version can be opened either.
    pub(crate) async fn continued(
        &self,
        view: &View<'_>,
        subject: &Subject<'_>,
        row: Option<&Versioned>,
        deleted: Option<&Versioned>,
    ) -> Result<Option<Existing>, Error> {
        let found = match (row, deleted) {
            (Some(row), _) => Some((self.current(subject), row)),
            (None, Some(row)) => Some((self.id.deleted(subject), row)),
            (None, None) => None,
        };
        let opened = found
            .map(|(place, row)| self.open_past(view.keys(subject.account()), &place, subject, &row.value));
        let error = match opened {
            Some(Ok(_)) => return Ok(None),
            Some(Err(error)) if !view.freshness.is_lost(&error) => return Err(error),
            lost => lost.and_then(Result::err),
        };
        let newest = match (self.newest_readable(view, subject).await?, error) {
            (Some(newest), _) => newest,
            (None, Some(error)) => return Err(error),
            (None, None) => return Ok(None),
        };
        let revision = self.above_lost(newest.revision, newest.written_at);
        Ok(Some(Existing { id: newest.id, revision, created_at: newest.created_at }))
    }

    /// A revision above all that were lost since the newest readable version. It grows with time, since a write in
    /// their place may be lost as well.
    pub(crate) fn above_lost(&self, newest: Revision, written_at: Timestamp) -> Revision {
        let age_ms = self.engine.now().as_ms().saturating_sub(written_at.as_ms());
        Revision::from_u64(newest.leap().as_u64().wrapping_add(age_ms))
    }

    /// The keys of the former versions of a value that are too old to be kept, or too many with the one that a write
    /// adds, the oldest first. `current` is the row that the write replaces; without it, the write continues the
    /// deletion among the rows of the history.
    pub(super) async fn surplus_versions(
        &self,
        view: &View<'_>,
        stored: &StoredDefinition,
        scope: &Scope,
        current: Option<&Versioned>,
    ) -> Result<Vec<Key>, Error> {
        let subject = &Subject::value(scope, &stored.id);
        let range = self.id.history(subject);
        let page = self.engine.scan(range.clone(), VERSIONS_MAX).await?;
        let rows = self.rest(&range, page).await?;
        let kept = usize::from(self.versions_kept(&stored.definition));
        let added = usize::from(current.is_some());
        let surplus_count = rows.len().saturating_sub(kept.saturating_sub(added));
        let mut surplus = Vec::new();
        // The oldest come last. Each was replaced when the one before it in the list was written.
        for (index, (key, _)) in rows.iter().enumerate().rev() {
            let Some(Row::Tenant(_, TenantRow::Former(..))) = self.id.parse(key) else { break };
            if surplus.len() >= surplus_count {
                let next = index.checked_sub(1).and_then(|index| rows.get(index));
                let (place, row) = match (next, current) {
                    (Some((key, row)), _) => (self.id.parse(key), row),
                    (None, Some(row)) => (Some(self.current(subject)), row),
                    (None, None) => break,
                };
                let Some(place) = place else { break };
                let next = self.list_past(view.keys(subject.account()), &place, subject, &row.value)?;
                // If the next one's key is gone, nothing opens this one either. A version that cannot be read does not
                // say when it was written.
                let is_kept = |next: Version| {
                    next.unreadable.is_some() || !self.has_expired(&stored.definition, next.written_at)
                };
                if next.is_some_and(is_kept) {
                    break;
                }
            }
            surplus.push(key.clone());
        }
        Ok(surplus)
    }

    /// All rows of the history of a document, for a batch that deletes them.
    pub(crate) async fn history_to_delete(
        &self,
        subject: &Subject<'_>,
    ) -> Result<Vec<(Key, Versioned)>, Error> {
        let (mut range, mut rows) = (self.id.history(subject), Vec::new());
        loop {
            let page = self.engine.read(Scan::new(range.clone(), HISTORY_ROWS_MAX).keys_only()).await?;
            rows.extend(page.rows);
            match rows.last() {
                Some((last, _)) if page.more => range = range.after(last.as_bytes()),
                _ => return Ok(rows),
            }
        }
    }

    /// What is known of an absent document by the clear part of the row that notes its deletion, if there is one.
    pub(crate) fn standing_of_absent(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        subject: &Subject<'_>,
        deleted: Option<&Versioned>,
    ) -> Result<Standing, Error> {
        let Some(deleted) = deleted else { return Ok(Standing::Absent) };
        let peeked = Self::peek(keys, &self.id.deleted(subject), &deleted.value)?;
        Ok(peeked.map_or(Standing::Absent, |sealed| Standing::Deleted(sealed.revision)))
    }

    /// Whether an absent document is unchanged since its `history` was read: neither set nor deleted again. Then a
    /// document can be continued from these rows only through the deletion among them, which the batch that deletes
    /// them expects.
    pub(crate) async fn is_still_absent(
        &self,
        subject: &Subject<'_>,
        row: Option<&Versioned>,
        history: &[(Key, Versioned)],
    ) -> Result<bool, Error> {
        let deletion = self.id.deleted(subject).key();
        let read = history.iter().find(|(key, _)| *key == deletion).map(|(_, row)| row.revision);
        let [now, deleted] = self.engine.read([self.current(subject).key(), deletion]).await?;
        let revision = |row: &Versioned| row.revision;
        Ok(now.as_ref().map(revision) == row.map(revision) && deleted.as_ref().map(revision) == read)
    }
}

impl Draft<'_> {
    /// Keeps the version that this batch replaces, and deletes the one that is then too many.
    pub(crate) fn keep_former(
        &mut self,
        subject: &Subject<'_>,
        document: &Document<'_>,
        kept: u8,
    ) -> Result<(), Error> {
        let tenant = self.tenant();
        if kept == 0 {
            return Ok(());
        }
        let place = tenant.id.former(subject, document.revision);
        let len = self.put_sealed_over(&place, document)?;
        self.charge(&place.key(), None, Some(len));
        self.delete_former(tenant.id.former(subject, document.revision.before(u64::from(kept))).key());
        Ok(())
    }

    /// Notes that this batch deletes the value or credential in `row` and keeps its history, including this version.
    pub(crate) fn note_deletion(
        &mut self,
        subject: &Subject<'_>,
        row: &Versioned,
        kept: u8,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let tenant = self.tenant();
        let place = match subject {
            Subject::Value(scope, id) => tenant.id.value(scope, id),
            Subject::Credential(account, integration, key_name) => {
                tenant.id.credential(account, integration, key_name)
            }
            // The deletion of a definition holds its content, and is put by the caller that deletes it.
            Subject::Definition(_) => return Ok(()),
        };
        let now = tenant.engine.now();
        // An expiry is of what the same batch may set, such as the replacement of all credentials.
        let metadata = tenant.metadata(options, now, Expiry::Allowed)?.deletion();
        // Never `None`: the delete has checked its key.
        let Some((existing, opened)) = self.existing(&place, &row.value)? else { return Ok(()) };
        self.keep_former(subject, &opened.as_document(), kept)?;
        let times = Times { created_at: existing.created_at, updated_at: now };
        let body = ValueBody::encode(&Secret::from(""), times, &metadata);
        let document = Document { id: Some(existing.id), revision: existing.revision.next(), body: &body };
        self.put_deletion(subject, &document)
    }

    /// Deletes the history of the value or credential in `row` with it, or keeps it if the options say so. A row that
    /// cannot be opened and has no former version is deleted permanently, since nothing of it can be kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownKey`] if it cannot be opened and has former versions that are to be kept.
    pub(crate) async fn end_history(
        &mut self,
        subject: &Subject<'_>,
        row: &Versioned,
        kept: u8,
        options: &WriteOptions,
    ) -> Result<Ended, Error> {
        let keeps = options.keeps_history && kept > 0;
        if keeps {
            options.refuse_expiry()?;
        }
        let refused = match keeps.then(|| self.note_deletion(subject, row, kept, options)) {
            Some(Ok(())) => return Ok(Ended::Kept),
            Some(Err(error @ Error::Damaged { .. })) => Some(error),
            // Not with keys that may be out of date.
            Some(Err(error @ Error::UnknownKey { .. })) if self.view().freshness != Freshness::Cached => {
                Some(error)
            }
            Some(Err(error)) => return Err(error),
            None => None,
        };
        let history = self.tenant().history_to_delete(subject).await?;
        match refused {
            Some(error) if !history.is_empty() => return Err(error),
            Some(_) | None => {}
        }
        self.delete_history(history);
        Ok(Ended::Deleted)
    }

    /// Puts the row that notes that a document was deleted.
    pub(crate) fn put_deletion(
        &mut self,
        subject: &Subject<'_>,
        document: &Document<'_>,
    ) -> Result<(), Error> {
        let place = self.tenant().id.deleted(subject);
        let len = self.put_sealed_over(&place, document)?;
        self.charge(&place.key(), None, Some(len));
        Ok(())
    }

    /// What a write finds in the rows of a document, to be checked against what the caller expects.
    pub(super) fn find_document(
        &self,
        place: &Row<'_>,
        subject: &Subject<'_>,
        rows: DocumentRows<'_>,
    ) -> Result<FoundDocument, Error> {
        let DocumentRows { row, deleted, continued } = rows;
        let existing = match row.filter(|_| continued.is_none()) {
            Some(row) => self.existing(place, &row.value)?,
            None => None,
        };
        let standing = match (&existing, continued, deleted) {
            (Some((existing, _)), ..) => Standing::At(existing.revision),
            (None, Some(_), _) => Standing::Unreadable,
            // The write that continues a deletion opens it.
            (None, None, deleted) => {
                self.tenant().standing_of_absent(self.keys(subject.account()), subject, deleted)?
            }
        };
        let is_new = existing.is_none() && (row.is_none() || continued.is_none());
        let action = if is_new { Upsert::Added } else { Upsert::Updated };
        Ok(FoundDocument { existing, standing, action })
    }

    /// Deletes a deletion that cannot be opened and would block a write that continues the document.
    pub(crate) fn delete_unreadable_deletion(&mut self, subject: &Subject<'_>, deleted: &Versioned) {
        self.delete_counted(self.tenant().id.deleted(subject).key(), deleted);
    }

    /// The document that was deleted with its history kept, to be continued: the deletion becomes a former version.
    /// `None` if `deleted` is `None`, or if the key that sealed it was dropped.
    pub(crate) fn continue_deleted(
        &mut self,
        subject: &Subject<'_>,
        deleted: Option<&Versioned>,
        kept: u8,
    ) -> Result<Option<Existing>, Error> {
        let Some(row) = deleted else { return Ok(None) };
        let place = self.tenant().id.deleted(subject);
        self.delete_counted(place.key(), row);
        let Some((existing, opened)) = self.existing(&place, &row.value)? else { return Ok(None) };
        self.keep_former(subject, &opened.as_document(), kept)?;
        Ok(Some(Existing { revision: existing.revision.next(), ..existing }))
    }

    /// Deletes the history of documents. Returns whether it notes the deletion of one of them. `rows` are those of
    /// [`Tenant::history_to_delete`], the newest first: as many as one batch has room for are deleted together with the
    /// document, and the others as soon as the batch has landed.
    pub(crate) fn delete_history(&mut self, mut rows: Vec<(Key, Versioned)>) -> bool {
        let mut was_deleted = false;
        let rest = rows.split_off(rows.len().min(HISTORY_ROWS_MAX));
        self.delete_after_landing(rest.into_iter().map(|(key, _)| key));
        for (key, row) in rows {
            let is_deletion =
                matches!(self.tenant().id.parse_row(key.as_bytes()), Some(TenantRow::Deleted(_)));
            if is_deletion {
                // A write that sets the document meanwhile also deletes this row.
                self.expect_once(key.clone(), Some(row.revision));
                was_deleted = true;
            }
            self.delete_former(key);
        }
        was_deleted
    }

    /// Deletes a row of a history whose length, or existence, is unknown.
    pub(crate) fn delete_former(&mut self, key: Key) {
        self.charge_blindly(&key);
        self.delete(key);
    }
}

/// A hundred versions and a deletion: all that a document has, unless versions in between are missing, so that fewer
/// are dropped than added. With the rows of the document itself, a batch stays within 128 operations.
pub(super) const HISTORY_ROWS_MAX: usize = 101;
