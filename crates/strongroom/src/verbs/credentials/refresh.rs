//! Credentials that a provider exchanges, such as OAuth tokens: one caller refreshes them for all processes.
//!
//! The lease is a note in the row of the integration. Every write of the refresh expects that row as the lease left it,
//! so changing the note fences the holder off.

use std::fmt;
use std::time::Duration;

use super::patience::{Lookout, Patience};
use super::seen::Stale;
use super::{AppCredentials, AppRows, Credentials};
use crate::clock::Timestamp;
use crate::engine::ATTEMPTS_MAX;
use crate::error::{Error, ErrorKind, RefreshError};
use crate::id::CredentialKey;
use crate::model::{
    AuditChange, Credential, EventKind, OnUncertain, Refresh, RefreshState, RefreshedBy, Revision,
    Unrefreshed,
};
use crate::row::body::{IntegrationBody, RefreshEnd, RefreshNote};
use crate::tenant::{Draft, Loaded, NewCredential, fresh_if_stale};

/// What [`AppCredentials::refresh`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The credentials as they are now.
    pub credentials: Credentials,
    /// Who refreshed them.
    pub by: RefreshedBy,
    /// The key names of credentials that the provider issued to this call but that are not stored, since somebody set
    /// or deleted the same credentials meanwhile. Revoke them: only the exchange has seen their values.
    pub unstored: Vec<CredentialKey>,
}

impl AppCredentials {
    /// Refreshes credentials that the host found to be expired, exactly once: among all callers in all processes on the
    /// store, one calls `exchange`, and the others wait for its result.
    ///
    /// `seen` is what [`get_all`](Self::get_all) returned when the host found them expired. If those that have an
    /// expiry have changed since, the new ones are returned and nothing is called. If none has an expiry, any change
    /// counts, including an added credential.
    /// Credentials that never expire, such as the name of a workspace, may change meanwhile. `exchange` returns what
    /// the provider issued; credentials with other key names stay. If it has no new ones, [`Unrefreshed`] says what is
    /// known about the old ones. The callers that waited do not call the provider too, but get
    /// [`RefreshError::StillStale`] or the uncertain outcome.
    ///
    /// The provider has used up the old token, so whatever can be stored of its answer is stored, even with an expiry
    /// in the past, and without checking the condition of a [`NewCredential`]. What cannot be stored is refused with
    /// [`RefreshError::AnswerRefused`]; then the outcome is uncertain, since an old token is left in its place. What
    /// the provider issued is not stored if somebody else set or deleted the same credentials meanwhile
    /// ([`Refreshed::unstored`]). It may also not be stored if an error is returned, such as [`RefreshError::Gone`] if
    /// the account or connection was deleted. To revoke it then, let `exchange` keep a copy.
    ///
    /// Refreshes of different connections do not wait for each other, even within one account. A lease longer than the
    /// lifetime of the tokens from the last refresh is [`RefreshError::LeaseOutlivesToken`]. A token that the host has
    /// set, or that has expired, is refreshed however short its lifetime.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Credentials, Error, IntegrationId, NewCredential, Refresh};
    /// let app = account.app(IntegrationId::default_app());
    /// app.set_many(&[NewCredential::new("access", "a1"), NewCredential::new("refresh", "r1")]).await?;
    /// let refresh = Refresh::new(|_| std::future::ready(())); // with tokio: `Refresh::new(tokio::time::sleep)`
    /// let refreshed = app.refresh::<Error, _>(app.get_all().await?, &refresh, async |old: &Credentials| {
    ///     assert_eq!(old.get("refresh").unwrap().value.expose(), "r1"); // goes to the provider, which answers:
    ///     Ok(vec![NewCredential::new("access", "a2"), NewCredential::new("refresh", "r2")])
    /// });
    /// assert_eq!(refreshed.await?.credentials.get("access").unwrap().value.expose(), "a2");
    /// # Ok(()) });
    /// ```
    ///
    /// Without contention it costs two commits besides the exchange. The lease is written first. The answer is written
    /// only while the lease lasts, and does not overwrite credentials that somebody set or deleted in between. If the
    /// store cannot be reached, the write is repeated until the lease ends.
    ///
    /// # Errors
    /// Those of the exchange; as an [`Error`], [`Error::IntegrationNotFound`] and [`Error::Refresh`], which is
    /// [`RefreshError::NothingIssued`] for an answer without credentials; [`Error::Store`] with `Unsupported` in a
    /// [plan](crate::Org::plan).
    ///
    /// # Cancellation
    /// If dropped before the lease is written, nothing has happened. If dropped later, the outcome is uncertain once
    /// the lease ends, even if the exchange had not begun: nobody else can know that. So if requests may be dropped,
    /// run it on a task of its own.
    pub async fn refresh<E, F>(
        &self,
        seen: Credentials,
        refresh: &Refresh,
        exchange: F,
    ) -> Result<Refreshed, E>
    where
        E: From<Error>,
        F: AsyncFnOnce(&Credentials) -> Result<Vec<NewCredential>, Unrefreshed<E>>,
    {
        let mut observed = self.observe("refresh_credentials", None);
        let ended = self.refresh_unobserved(seen, refresh, exchange).await;
        observed.end_refresh(&ended);
        match ended {
            Ok(Ok(refreshed)) => Ok(refreshed),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }

    /// States that the stored credentials are good. This ends a refresh whose outcome is uncertain or that the provider
    /// rejected, so that the next [`refresh`](Self::refresh) calls the provider again. Returns whether there was one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Credentials, Error, IntegrationId, Refresh, RefreshState, Unrefreshed};
    /// let app = account.app(IntegrationId::default_app());
    /// let refresh = Refresh::new(|_| std::future::ready(()));
    /// let rejects = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::WrongKey));
    /// app.refresh(app.get_all().await?, &refresh, rejects).await.unwrap_err();
    /// assert!(matches!(app.get_all().await?.refresh, RefreshState::Rejected { .. }));
    /// assert!(app.settle_refresh().await?); // the customer's grant was restored
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`RefreshError::StillStale`] while a caller refreshes them. A clock that ran
    /// ahead can make that long; [`replace_all`](Self::replace_all) ends it too.
    pub async fn settle_refresh(&self) -> Result<bool, Error> {
        self.observed("settle_refresh", None, self.settle()).await
    }

    /// The inner error is that of the exchange.
    async fn refresh_unobserved<E, F>(
        &self,
        seen: Credentials,
        refresh: &Refresh,
        exchange: F,
    ) -> Result<Result<Refreshed, E>, Error>
    where
        F: AsyncFnOnce(&Credentials) -> Result<Vec<NewCredential>, Unrefreshed<E>>,
    {
        if seen.of != self.key() {
            return Err(RefreshError::OfAnother.into());
        }
        self.account.org().tenant.engine.refuse_planned_refresh()?;
        if !(LEASE_MIN..=LEASE_MAX).contains(&refresh.lease) {
            return Err(RefreshError::LeaseOutOfBounds.into());
        }
        let lease = match self.lease(seen, refresh).await? {
            Turn::Ours(lease) => *lease,
            Turn::Taken(credentials) => {
                let (by, unstored) = (RefreshedBy::Another, Vec::new());
                return Ok(Ok(Refreshed { credentials: *credentials, by, unstored }));
            }
        };
        let (error, ending) = match exchange(&lease.current).await {
            Ok(new) => return self.land(lease, &new, refresh).await.map(Ok),
            Err(Unrefreshed::Unused(error)) => (error, Ending::Unused),
            Err(Unrefreshed::Rejected(error)) => (error, Ending::Rejected { shown: lease.current.revision }),
            Err(Unrefreshed::Unknown(error)) => (error, Ending::Unknown),
        };
        // If this fails, the lease ends by itself. The caller gets what the provider said.
        self.end(lease.rows, ending).await.ok();
        Ok(Err(error))
    }

    async fn settle(&self) -> Result<bool, Error> {
        let now = self.read_again().await?;
        match (now.refresh, now.rows) {
            (RefreshState::Underway { .. }, _) => Err(RefreshError::StillStale.into()),
            (RefreshState::Idle, _) | (_, None) => Ok(false),
            (RefreshState::Uncertain { .. } | RefreshState::Rejected { .. }, Some(rows)) => {
                self.end(rows, Ending::Settled).await
            }
        }
    }

    /// Waits until it is this caller's turn, or until another one has refreshed.
    async fn lease(&self, seen: Credentials, refresh: &Refresh) -> Result<Turn, Error> {
        let (stale, mut patience) = (Stale::of(&seen), Patience::new(refresh, refresh.wait));
        // If no refresh was in progress, what the caller has seen saves a read: the lease expects it unchanged.
        let mut known = Some(seen).filter(|seen| seen.refresh == RefreshState::Idle && self.is_own(seen));
        for _ in 0..ATTEMPTS_MAX {
            let mut now = match known.take() {
                Some(seen) => seen,
                None => self.settled(&mut patience, &stale).await?,
            };
            if stale.is_replaced(&now) {
                return Ok(Turn::Taken(Box::new(now)));
            }
            let Some(rows) = now.rows.take() else { continue };
            match (now.refresh, refresh.on_uncertain) {
                (RefreshState::Rejected { since }, _) => return Err(RefreshError::Rejected { since }.into()),
                // Written before it is returned, so that a holder that comes back cannot contradict it.
                (RefreshState::Uncertain { since }, OnUncertain::Refuse) => {
                    if rows.has_ended() || self.end(rows, Ending::Unknown).await? {
                        return Err(RefreshError::Uncertain { since }.into());
                    }
                    continue;
                }
                _ => {}
            }
            let engine = &self.account.org().tenant.engine;
            refuse_long(refresh.lease, &now, &rows, engine.now())?;
            let (since, id) = (engine.now(), engine.next_id()?);
            let note = RefreshNote::new(id, since, after(since, refresh.lease));
            let rows = match self.try_lease(&rows, note).await {
                Ok(Some(integration)) => AppRows { integration, ..rows },
                Ok(None) => continue,
                // It may have been written. Nobody else can know that nothing was called.
                Err(error) if error.kind() == ErrorKind::Indeterminate => {
                    let Ok(mut found) = self.read_again().await else { return Err(error) };
                    match found.rows.take() {
                        Some(rows) if rows.note().is_some_and(|found| found.is_of(&note)) => rows,
                        Some(_) | None => continue,
                    }
                }
                Err(error) => return Err(error),
            };
            if engine.now() < note.until() {
                return Ok(Turn::Ours(Box::new(Lease { current: now, rows, note })));
            }
            // This paused for so long that others may have given the lease up. Nothing was called.
            self.end(rows, Ending::Unused).await?;
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Whether the credentials belong to the registration that the handle is bound to.
    fn is_own(&self, seen: &Credentials) -> bool {
        let registration = self.account.registration().id.as_ref();
        seen.rows.as_ref().is_some_and(|rows| registration.is_none_or(|id| rows.account.body.is(id)))
    }

    /// Reads the credentials until nobody is refreshing them, or they are no longer the stale ones. If a refresh that
    /// was awaited gave nothing, the wait ends with an error: the waiters must not each try what has just failed.
    async fn settled(&self, patience: &mut Patience<'_>, stale: &Stale) -> Result<Credentials, Error> {
        let mut awaited: Option<RefreshNote> = None;
        let ids = &self.account.org().tenant.id;
        let row = ids.integration(self.account.id(), &self.app).key();
        let mut lookout = Lookout::at(row, &self.account.org().tenant.engine.lookouts);
        loop {
            let now = self.read_again().await?;
            let same = |note: &RefreshNote| awaited.is_some_and(|awaited| awaited.is_of(note));
            match (now.refresh, now.note()) {
                // Another change of the credentials does not end the wait for this refresh.
                (RefreshState::Underway { .. }, Some(note)) if !stale.is_replaced(&now) || same(&note) => {
                    awaited = Some(note);
                }
                (RefreshState::Idle, _) if awaited.is_some() && !stale.is_replaced(&now) => {
                    return Err(RefreshError::StillStale.into());
                }
                (RefreshState::Uncertain { since }, Some(note)) if awaited.is_some() && note.has_ended() => {
                    return Err(RefreshError::Uncertain { since }.into());
                }
                _ => return Ok(now),
            }
            if !lookout.next_look(patience).await {
                return Err(RefreshError::StillStale.into());
            }
        }
    }

    /// Takes the lease, if neither the credentials nor the integration have changed. Returns the integration with the
    /// lease.
    async fn try_lease(
        &self,
        rows: &AppRows,
        note: RefreshNote,
    ) -> Result<Option<Loaded<IntegrationBody>>, Error> {
        let tenant = &*self.account.org().tenant;
        let owner = [self.account.id()];
        let view = tenant.view_to_seal(&owner).await?;
        let mut draft = Draft::new(tenant, &view);
        if rows.integration.body.refresh.is_some_and(|former| !former.has_ended()) {
            // Its holder did not end it, and nobody has recorded that yet.
            self.note_ending(&mut draft, rows, Ending::Unknown);
        }
        let row_len = self.put_refresh(&mut draft, rows, Some(note))?;
        self.expect_credentials(&mut draft, rows);
        let Some(committed) = draft.commit().await?.landed() else { return Ok(None) };
        let Loaded { body, revision, .. } = rows.integration.clone();
        let (revision, row_revision) = (revision.next(), committed.revision);
        Ok(Some(Loaded::written(body.refreshing(Some(note)), revision, row_revision, row_len)))
    }

    /// Expects the credentials as they were read, and that their account is not deleted. Does not expect the account's
    /// row: writes to its other connections change that too, and would keep this connection from its lease.
    fn expect_credentials(&self, draft: &mut Draft<'_>, rows: &AppRows) {
        let (ids, account) = (&self.account.org().tenant.id, self.account.id());
        if rows.rows.len() > EXPECTED_MAX {
            return draft.expect_as_read(ids.account(account).key(), Some(rows.account.row_revision));
        }
        self.expect_account(draft, rows);
        for (key_name, row) in &rows.rows {
            draft.expect_as_read(ids.credential(account, &self.app, key_name).key(), Some(row.revision));
        }
    }

    /// Expects that the account is not deleted, whatever else is written to it.
    fn expect_account(&self, draft: &mut Draft<'_>, rows: &AppRows) {
        let account = self.account.id();
        // An account without a key has no credentials, so nobody writes to it all the time.
        if !draft.expect_keys(account) {
            let place = self.account.org().tenant.id.account(account).key();
            draft.expect_as_read(place, Some(rows.account.row_revision));
        }
    }

    /// Ends the refresh whose note is in `rows`, so that its holder can no longer write. Returns `false` if it had
    /// already ended.
    pub(super) async fn end(&self, mut rows: AppRows, mut ending: Ending) -> Result<bool, Error> {
        let Some(note) = rows.integration.body.refresh else { return Ok(false) };
        let tenant = &*self.account.org().tenant;
        let id = tenant.engine.next_id()?;
        for _ in 0..ATTEMPTS_MAX {
            let owner = [self.account.id()];
            let view = tenant.view_to_seal(&owner).await?;
            let mut draft = Draft::new(tenant, &view);
            self.note_ending(&mut draft, &rows, ending);
            match ending {
                Ending::Rejected { .. } => self.expect_credentials(&mut draft, &rows),
                Ending::Unused | Ending::Settled | Ending::Unknown => {
                    self.expect_account(&mut draft, &rows);
                }
            }
            self.put_refresh(&mut draft, &rows, ending.left().map(|end| note.ended(id, end)))?;
            if draft.commit().await?.is_landed() {
                return Ok(true);
            }
            let now = self.read_again().await?;
            let (Some(found), Some(left)) = (now.note(), now.rows) else { return Ok(false) };
            if !found.is_of(&note) {
                return Ok(false);
            }
            // The provider rejected what it was shown, but somebody has set new ones meanwhile.
            if matches!(ending, Ending::Rejected { shown } if shown != now.revision) {
                ending = Ending::Unused;
            }
            rows = left;
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// All credentials, for a verb that is already observed.
    pub(super) async fn read_again(&self) -> Result<Credentials, Error> {
        fresh_if_stale(|freshness| self.try_get_all(freshness)).await
    }

    /// Notes in the audit that a refresh gave no new credentials.
    pub(super) fn note_ending(&self, draft: &mut Draft<'_>, rows: &AppRows, ending: Ending) {
        let Some(kind) = ending.event() else { return };
        let before = rows.integration.revision;
        draft.note(|| AuditChange {
            linked_account: Some(self.account.id().clone()),
            integration: Some(self.integration.clone()),
            connection: self.connection.clone(),
            before: Some(before),
            after: Some(before.next()),
            ..AuditChange::new(kind)
        });
    }

    pub(super) fn put_refresh(
        &self,
        draft: &mut Draft<'_>,
        rows: &AppRows,
        note: Option<RefreshNote>,
    ) -> Result<usize, Error> {
        let body = rows.integration.body.clone().refreshing(note);
        draft.put_integration(self.account.id(), &self.app, &body, Some(&rows.integration))
    }
}

/// The result of waiting for the lease.
enum Turn {
    Ours(Box<Lease>),
    /// The credentials are no longer the stale ones.
    Taken(Box<Credentials>),
}

/// The right to exchange credentials, until the note's end.
pub(super) struct Lease {
    pub(super) current: Credentials,
    /// The rows as the lease left them.
    pub(super) rows: AppRows,
    pub(super) note: RefreshNote,
}

/// How a refresh ends that gives no new credentials, or only some.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// The old ones are as good as before.
    Unused,
    /// The host says that they are good.
    Settled,
    /// The provider rejected them. This applies only to the credentials that it was shown.
    Rejected { shown: Option<Revision> },
    /// Nobody knows.
    Unknown,
}

impl Ending {
    /// The end to record in the note of the refresh.
    pub(super) fn left(self) -> Option<RefreshEnd> {
        match self {
            Self::Unused | Self::Settled => None,
            Self::Rejected { .. } => Some(RefreshEnd::Rejected),
            Self::Unknown => Some(RefreshEnd::Unknown),
        }
    }

    fn event(self) -> Option<EventKind> {
        match self {
            Self::Unused => None,
            Self::Settled => Some(EventKind::RefreshSettled),
            Self::Rejected { .. } => Some(EventKind::ConnectionExpired),
            Self::Unknown => Some(EventKind::RefreshUncertain),
        }
    }
}

impl Credentials {
    pub(super) fn note(&self) -> Option<RefreshNote> {
        self.rows.as_ref().and_then(AppRows::note)
    }
}

impl AppRows {
    fn note(&self) -> Option<RefreshNote> {
        self.integration.body.refresh
    }

    fn has_ended(&self) -> bool {
        self.integration.body.refresh.as_ref().is_some_and(RefreshNote::has_ended)
    }
}

impl fmt::Debug for AppRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppRows({} credentials)", self.rows.len())
    }
}

/// Refuses a lease longer than the lifetime of the provider's tokens: waiters would see the next token expire before
/// they learn of it. The lifetime is that from the last refresh: a token that the host has set may have been valid for
/// long already. A token that has expired is refreshed in any case.
fn refuse_long(lease: Duration, now: &Credentials, rows: &AppRows, moment: Timestamp) -> Result<(), Error> {
    let outlives = |item: &Credential| {
        let expires_at = item.info.metadata.expires_at();
        expires_at.is_some_and(|at| moment < at && at < after(item.info.updated_at, lease))
    };
    let answered = rows.integration.body.token_life().is_some_and(|life| life < lease);
    if answered && now.items.iter().any(outlives) {
        return Err(RefreshError::LeaseOutlivesToken.into());
    }
    Ok(())
}

fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_ms(moment.as_ms().saturating_add(ms))
}

/// This many expectations fit into a batch of any store.
const EXPECTED_MAX: usize = 64;
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
