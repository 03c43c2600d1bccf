//! The rows of linked accounts and integrations.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{AppId, DocumentId, LinkedAccountId};
use crate::keys::{Document, first_after_drop};
use crate::model::{AuditChange, EventKind, LinkedAccount, Revision};
use crate::row::Row;
use crate::row::body::{AccountBody, IntegrationBody};
use crate::store::{RowRevision, Versioned};
use crate::tenant::{Draft, Needs, Tenant, View, fresh_if_stale};

/// A linked account, and which of its registrations is meant: an account that was deleted and registered again under
/// the same id is another document.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) account: LinkedAccountId,
    /// `None` means any.
    pub(crate) id: Option<DocumentId>,
}

impl Registration {
    pub(crate) fn not_found(&self) -> Error {
        Error::AccountNotFound(self.account.clone())
    }
}

/// The decoded body of a row, with the revisions that a write expects.
#[derive(Clone)]
pub(crate) struct Loaded<T> {
    pub(crate) body: T,
    pub(crate) revision: Revision,
    pub(crate) row_revision: RowRevision,
    row_len: usize,
}

impl<T> Loaded<T> {
    /// The same row, as the batch that landed left it.
    pub(crate) fn written(body: T, revision: Revision, row_revision: RowRevision, row_len: usize) -> Self {
        Self { body, revision, row_revision, row_len }
    }

    fn read(&self) -> (RowRevision, usize) {
        (self.row_revision, self.row_len)
    }
}

impl Loaded<AccountBody> {
    /// The account as users see it; `None` while it is being deleted.
    pub(crate) fn into_model(self, account: LinkedAccountId) -> Option<LinkedAccount> {
        if self.body.deleting.is_some() { None } else { self.body.into_model(account, self.revision) }
    }
}

impl Tenant {
    /// Opens the row of an account. Returns `None` also for a row from before the account was deleted or shredded, if
    /// that is known: the org's key seals it, so it still opens if the store puts it back.
    pub(crate) fn open_account(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        row: &Versioned,
    ) -> Result<Option<Loaded<AccountBody>>, Error> {
        let loaded = self.load(view, &self.id.account(account), row, AccountBody::decode)?;
        let begins_at = self.account_begins_at(view, account)?;
        // The row that marks a delete is the former one, until the sweep ends.
        let counts = |body: &AccountBody| body.deleting.is_some() || body.created_at() >= begins_at;
        Ok(loaded.filter(|loaded| counts(&loaded.body)))
    }

    /// Opens the row of a connection. `None` if the key that sealed it was dropped.
    pub(crate) fn open_integration(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        app: &AppId,
        row: &Versioned,
    ) -> Result<Option<Loaded<IntegrationBody>>, Error> {
        let loaded = self.load(view, &self.id.integration(account, app), row, IntegrationBody::decode)?;
        let begins_at = self.account_begins_at(view, account)?;
        let counts = |body: &IntegrationBody| body.deleting.is_some() || body.created_at() >= begins_at;
        Ok(loaded.filter(|loaded| counts(&loaded.body)))
    }

    /// The time from which rows of an account count: later than its last delete or shred, and than a shred of its org,
    /// whatever the clock says.
    pub(crate) fn account_begins_at(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
    ) -> Result<Timestamp, Error> {
        let org = view.keys(None).map_or(Timestamp::from_ms(0), |keys| keys.begins_at);
        if let Some(keys) = view.keys(Some(account)) {
            return Ok(keys.begins_at.max(org));
        }
        let place = self.id.keyring(Some(account));
        let seen = self.engine.caches.newest(&place.key()).map_or(0, Revision::as_u64);
        Ok(first_after_drop(self.engine.roots.get()?.floor_of(&place).max(seen)).max(org))
    }

    /// The account in `row`, unless it is being deleted. If one registration is meant and the account is another one or
    /// none, returns [`Error::AccountNotFound`].
    pub(crate) fn live_account(
        &self,
        view: &View<'_>,
        registration: &Registration,
        row: Option<&Versioned>,
    ) -> Result<Option<Loaded<AccountBody>>, Error> {
        let loaded = match row {
            Some(row) => self.open_account(view, &registration.account, row)?,
            None => None,
        };
        let live = loaded.filter(|loaded| loaded.body.deleting.is_none());
        let Some(id) = &registration.id else { return Ok(live) };
        live.filter(|loaded| loaded.body.is(id)).map(Some).ok_or_else(|| registration.not_found())
    }

    /// Fails if the one registration that is meant is over.
    pub(crate) async fn refuse_ended(&self, registration: &Registration) -> Result<(), Error> {
        if registration.id.is_none() {
            return Ok(());
        }
        fresh_if_stale(async |freshness| {
            let gets = [self.id.account(&registration.account).key()];
            let (view, [row]) = self.read(&Needs::org_keys().freshness(freshness), gets).await?;
            self.live_account(&view, registration, row.as_ref()).map(drop)
        })
        .await
    }

    /// The account and the integration, if both exist and neither is being deleted.
    pub(crate) fn live_integration(
        &self,
        view: &View<'_>,
        registration: &Registration,
        app: &AppId,
        [account_row, row]: &[Option<Versioned>; 2],
    ) -> Result<(Loaded<AccountBody>, Loaded<IntegrationBody>), Error> {
        let account = &registration.account;
        let known = self.live_account(view, registration, account_row.as_ref())?;
        let loaded = match row {
            Some(row) => self.open_integration(view, account, app, row)?,
            None => None,
        };
        match (known, loaded.filter(|loaded| loaded.body.deleting.is_none())) {
            (Some(known), Some(loaded)) => Ok((known, loaded)),
            _ => {
                let (integration, connection) = (app.integration(), app.connection());
                Err(Error::IntegrationNotFound { account: account.clone(), integration, connection })
            }
        }
    }

    fn load<T>(
        &self,
        view: &View<'_>,
        place: &Row<'_>,
        row: &Versioned,
        decode: impl Fn(&[u8]) -> Result<T, crate::row::RowError>,
    ) -> Result<Option<Loaded<T>>, Error> {
        let Some(opened) = self.open(view.keys(None), place, &row.value)? else { return Ok(None) };
        let body = decode(&opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        Ok(Some(Loaded {
            body,
            revision: opened.revision,
            row_revision: row.revision,
            row_len: row.value.len(),
        }))
    }
}

impl Draft<'_> {
    /// Puts an account: a new one, or in place of the one that was read.
    pub(crate) fn put_account(
        &mut self,
        account: &LinkedAccountId,
        body: &AccountBody,
        read: Option<&Loaded<AccountBody>>,
    ) -> Result<Revision, Error> {
        if read.is_none() {
            self.note_new_account(account);
        }
        let revision = next_revision(read)?;
        let document = Document { id: None, revision, body: &body.encode() };
        self.put_counted(&self.tenant().id.account(account), read.map(Loaded::read), &document)?;
        Ok(revision)
    }

    /// Marks an account as being deleted, in place of whatever its row holds when the batch lands: the account's own
    /// writers cannot hold up the delete by changing the row. `before` is the revision of the account that
    /// was read in `row`, if there is one.
    pub(crate) fn mark_account(
        &mut self,
        account: &LinkedAccountId,
        body: &AccountBody,
        before: Option<Revision>,
        row: Option<&Versioned>,
    ) -> Result<(), Error> {
        let revision = match before {
            Some(before) => before.leap(),
            None => Revision::first()?,
        };
        let document = Document { id: None, revision, body: &body.encode() };
        let place = self.tenant().id.account(account);
        let len = self.put_sealed_over(&place, &document)?;
        self.charge(&place.key(), row.map(|row| row.value.len()), Some(len));
        Ok(())
    }

    /// Expects an account to stay as it is until the batch lands: registered, and not deleted or registered again.
    pub(crate) async fn expect_registered(&mut self, registration: &Registration) -> Result<(), Error> {
        let tenant = self.tenant();
        let key = tenant.id.account(&registration.account).key();
        let row = tenant.engine.get(key.clone()).await?;
        let live = tenant.live_account(self.view(), registration, row.as_ref())?;
        let live = live.ok_or_else(|| registration.not_found())?;
        self.expect_once(key, Some(live.row_revision));
        Ok(())
    }

    /// Notes that an account was created, updated or deleted.
    pub(crate) fn note_account(
        &mut self,
        kind: EventKind,
        account: &LinkedAccountId,
        before: Option<Revision>,
    ) {
        self.note(|| AuditChange { linked_account: Some(account.clone()), before, ..AuditChange::new(kind) });
    }

    /// Puts an integration: a new one, or in place of the one that was read. Returns the length of its row.
    pub(crate) fn put_integration(
        &mut self,
        account: &LinkedAccountId,
        app: &AppId,
        body: &IntegrationBody,
        read: Option<&Loaded<IntegrationBody>>,
    ) -> Result<usize, Error> {
        let revision = next_revision(read)?;
        let was_there = read.is_some_and(|loaded| loaded.body.deleting.is_none());
        let kind = match (body.deleting, was_there) {
            (Some(_), _) => Some(EventKind::ConnectionDisconnected),
            (None, false) => Some(EventKind::ConnectionCreated),
            // The note of a refresh: the credentials that it refreshes have an event of their own.
            (None, true) => None,
        };
        let changed = kind.map(|kind| AuditChange {
            linked_account: Some(account.clone()),
            integration: Some(app.integration()),
            connection: app.connection(),
            before: read.map(|loaded| loaded.revision),
            after: body.deleting.is_none().then_some(revision),
            ..AuditChange::new(kind)
        });
        if let Some(change) = changed {
            self.note(|| change);
        }
        let document = Document { id: None, revision, body: &body.encode() };
        let place = self.tenant().id.integration(account, app);
        self.put_counted(&place, read.map(Loaded::read), &document)
    }

    /// Bumps the generation of the account, because one of its credentials changes.
    pub(crate) fn bump_generation(
        &mut self,
        account: &LinkedAccountId,
        loaded: &Loaded<AccountBody>,
    ) -> Result<(), Error> {
        let mut body = loaded.body.clone().touched(self.tenant().engine.now());
        body.credential_generation = body.credential_generation.saturating_add(1);
        self.put_account(account, &body, Some(loaded)).map(drop)
    }
}

fn next_revision<T>(read: Option<&Loaded<T>>) -> Result<Revision, Error> {
    match read {
        Some(loaded) => Ok(loaded.revision.next()),
        None => Ok(Revision::first()?),
    }
}
