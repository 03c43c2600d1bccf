//! The versions of values, credentials and definitions, present and former, as they are read. [`super::former`] has
//! what a write does with them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::ATTEMPTS_MAX;
use crate::error::{Damage, Error};
use crate::keys::ScopeKeys;
use crate::model::{Cursor, Listing, PageRequest, Revision, VariableDefinition, Version};
use crate::row::body::{ValueBody, decode_definition};
use crate::row::{Row, SealedRow, Subject, TenantRow, former_suffix, parse_former_revision};
use crate::store::{KeyRange, Scan};
use crate::tenant::{Freshness, List, Needs, Tenant, View};

impl Tenant {
    /// The newest former version that can be opened.
    pub(crate) async fn newest_readable(
        &self,
        view: &View<'_>,
        subject: &Subject<'_>,
    ) -> Result<Option<Version>, Error> {
        let mut rest = self.id.history(subject);
        loop {
            let page = self.engine.scan(rest.clone(), VERSIONS_MAX).await?;
            for (key, row) in &page.rows {
                let Some(place @ Row::Tenant(_, TenantRow::Former(..))) = self.id.parse(key) else {
                    continue;
                };
                let opened = self.open_past(view.keys(subject.account()), &place, subject, &row.value);
                if let Ok(Some(newest)) = opened {
                    return Ok(Some(newest));
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(None),
            }
        }
    }

    /// How many former versions of a definition and its values are kept.
    pub(crate) fn versions_kept(&self, definition: &VariableDefinition) -> u8 {
        definition.history_versions.unwrap_or(self.engine.history_versions)
    }

    /// Whether a former version of a value that was replaced at this time is older than it may be kept.
    pub(crate) fn has_expired(&self, definition: &VariableDefinition, replaced_at: Timestamp) -> bool {
        let age_ms = self.engine.now().as_ms().saturating_sub(replaced_at.as_ms());
        definition.history_age_secs.is_some_and(|secs| age_ms / 1_000 >= secs)
    }

    /// When a former version was replaced: the time at which the next kept and readable version was written. `None` if
    /// that is unknown.
    pub(crate) async fn replaced_at(
        &self,
        subject: &Subject<'_>,
        revision: Revision,
    ) -> Result<Option<Timestamp>, Error> {
        let (mut newer, current) = (self.id.history(subject), self.current(subject));
        newer.end = Some(self.id.former(subject, revision).key().as_bytes().to_vec());
        let account = subject.account();
        let needs = Needs::org_keys().accounts(account.as_slice()).freshness(Freshness::Fresh);
        let nearest = |newer: &KeyRange| Scan::new(newer.clone(), VERSIONS_MAX).reverse();
        let request = ([current.key()], [nearest(&newer)]);
        let (view, ([row], [mut page])) = self.read(&needs, request).await?;
        let mut present = row.map(|row| (current.key(), row));
        loop {
            let last = page.rows.last().filter(|_| page.more).map(|(key, _)| key.as_bytes().to_vec());
            // The nearest first, and the present one last.
            let end = if last.is_none() { present.take() } else { None };
            for (key, row) in page.rows.into_iter().chain(end) {
                let Some(place) = self.id.parse(&key) else { continue };
                if let Some(version) = self.list_past(view.keys(account), &place, subject, &row.value)?
                    && version.unreadable.is_none()
                {
                    return Ok(Some(version.written_at));
                }
            }
            if last.is_none() {
                return Ok(None);
            }
            newer.end = last;
            page = self.engine.read(nearest(&newer)).await?;
        }
    }

    /// Whether a former version of a value was replaced longer ago than it may be kept.
    pub(crate) async fn is_too_old(
        &self,
        definition: &VariableDefinition,
        subject: &Subject<'_>,
        revision: Revision,
    ) -> Result<bool, Error> {
        if definition.history_age_secs.is_none() {
            return Ok(false);
        }
        let replaced_at = self.replaced_at(subject, revision).await?;
        Ok(replaced_at.is_some_and(|at| self.has_expired(definition, at)))
    }

    /// The place of a document itself.
    pub(crate) fn current<'s>(&'s self, subject: &'s Subject<'_>) -> Row<'s> {
        match subject {
            Subject::Value(scope, definition) => self.id.value(scope, definition),
            Subject::Credential(account, app, key_name) => self.id.credential(account, app, key_name),
            Subject::Definition(id) => self.id.definition(id),
        }
    }

    /// The present version of a document; `None` if there is none, or the key that sealed it was dropped. If its row is
    /// gone although the newest row of its history is a former version and not a deletion, returns a version that says
    /// so.
    pub(crate) async fn current_version(&self, subject: &Subject<'_>) -> Result<Option<Version>, Error> {
        let place = self.current(subject);
        let account = subject.account();
        // With keys that may be out of date, an intact version would seem to be damaged.
        let needs = Needs::org_keys().accounts(account.as_slice()).freshness(Freshness::Fresh);
        let request = ([place.key()], [Scan::new(self.id.history(subject), 1)]);
        let (view, ([row], [newest])) = self.read(&needs, request).await?;
        let keys = view.keys(account);
        if let Some(row) = row {
            return self.list_past(keys, &place, subject, &row.value);
        }
        let Some((key, row)) = newest.rows.first() else { return Ok(None) };
        let Some(former @ Row::Tenant(_, TenantRow::Former(..))) = self.id.parse(key) else {
            return Ok(None);
        };
        // If a document's key was dropped, none of its rows counts.
        let is_one = self.list_past(keys, &former, subject, &row.value)?.is_some();
        let why = || Error::damaged(place.name(), Damage::Missing).to_string();
        Ok(is_one.then(|| Version::damaged(Revision::UNWRITTEN, false, why())))
    }

    /// A page of the former versions of a document; the first page also has its present version. They are from one
    /// moment, so that no version is missing between them.
    pub(crate) async fn present_and_former(
        &self,
        subject: &Subject<'_>,
        page: &PageRequest,
    ) -> Result<(Option<Version>, Listing<Version>), Error> {
        let mut attempts = 0;
        loop {
            let current = match page.after {
                Some(_) => None,
                None => self.current_version(subject).await?,
            };
            let listing = self.list_history(subject, page).await?;
            let is_former = |current: &Version| {
                current.unreadable.is_none()
                    && listing.items.iter().any(|one| one.revision.as_u64() >= current.revision.as_u64())
            };
            attempts += 1;
            if attempts == ATTEMPTS_MAX || !current.as_ref().is_some_and(is_former) {
                return Ok((current, listing));
            }
        }
    }

    /// [`open_past`](Self::open_past) for a list: a row that cannot be read is a version that says so.
    pub(super) fn list_past(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        place: &Row<'_>,
        subject: &Subject<'_>,
        bytes: &[u8],
    ) -> Result<Option<Version>, Error> {
        match self.open_past(keys, place, subject, bytes) {
            Err(error) if error.is_damage() => {
                let (deleted, revision) = match place {
                    Row::Tenant(_, TenantRow::Former(_, revision)) => (false, *revision),
                    // The row's own claims, which are not authenticated.
                    _ => (
                        matches!(place, Row::Tenant(_, TenantRow::Deleted(_))),
                        SealedRow::decode(place.kind(), bytes)
                            .map_or(Revision::UNWRITTEN, |sealed| sealed.revision),
                    ),
                };
                Ok(Some(Version::damaged(revision, deleted, error.to_string())))
            }
            opened => opened,
        }
    }

    /// Opens a former version, or a deletion, without its value. `None` if the key that sealed it was dropped.
    pub(crate) fn open_past(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        place: &Row<'_>,
        subject: &Subject<'_>,
        bytes: &[u8],
    ) -> Result<Option<Version>, Error> {
        let Some(opened) = self.open(keys, place, bytes)? else { return Ok(None) };
        let revision = opened.revision;
        if let Subject::Definition(id) = subject {
            let stored = decode_definition(*id, revision, &opened.plaintext);
            let stored = stored.map_err(|error| Error::content(place.name(), error))?;
            return Ok(Some(Version::of_definition(&stored)));
        }
        let around = ValueBody::decode_around(&opened.plaintext);
        let (times, metadata) = around.map_err(|error| Error::content(place.name(), error))?;
        Ok(Some(Version {
            id: opened.document_id(place)?,
            revision,
            created_at: times.created_at,
            written_at: times.updated_at,
            deleted: metadata.is_deletion(),
            metadata,
            unreadable: None,
        }))
    }

    /// One page of the former versions of a document, the newest first. If it was deleted, the deletion comes first. A
    /// version that cannot be read says so.
    pub(crate) async fn list_history(
        &self,
        subject: &Subject<'_>,
        page: &PageRequest,
    ) -> Result<Listing<Version>, Error> {
        let range = self.id.history(subject);
        let list = List::new(HISTORY, &range).of_account(subject.account()).fresh();
        self.list(list, page, |view, key, row| {
            let place = match key.as_bytes().strip_prefix(range.start.as_slice()).map(<&[u8; 8]>::try_from) {
                Some(Ok(suffix)) => self.id.former(subject, parse_former_revision(suffix)),
                _ => self.id.deleted(subject),
            };
            self.list_past(view.keys(subject.account()), &place, subject, &row.value)
        })
        .await
    }

    /// A first page of former versions, preceded by the present one, which has no row among them.
    pub(crate) fn with_current(
        &self,
        subject: &Subject<'_>,
        mut listing: Listing<Version>,
        current: Option<Version>,
        limit: usize,
    ) -> Listing<Version> {
        let Some(current) = current else { return listing };
        // It may have become a former version since it was read. The claims of a row that cannot be opened hide no
        // version.
        if current.unreadable.is_none() {
            listing.items.retain(|version| version.revision != current.revision);
        }
        listing.items.insert(0, current);
        if listing.items.len() > limit {
            listing.items.truncate(limit);
            let range = self.id.history(subject);
            listing.next = listing.items.last().map(|last| {
                let former = former_suffix(last.revision);
                // The former versions begin after the present one.
                let place = if limit == 1 { &[] } else { former.as_slice() };
                Cursor::new(List::new(HISTORY, &range).id(), place)
            });
        }
        listing
    }
}

/// The list of a document's former versions.
const HISTORY: &str = "history";
/// More than the history of a document has, unless versions between the others are missing.
pub(crate) const VERSIONS_MAX: usize = 128;
