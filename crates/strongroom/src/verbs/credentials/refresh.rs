//! Credentials that a provider exchanges, such as OAuth tokens: refreshed by one caller of all processes.
//!
//! The lease is a note in the row of the integration. Every write of the refresh expects that row as the lease left it,
//! so whoever changes the note fences the holder off.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{AppCredentials, AppRows, Credentials};
use crate::clock::Timestamp;
use crate::engine::ATTEMPTS_MAX;
use crate::error::{Error, ErrorKind, RefreshError};
use crate::id::CredentialKey;
use crate::model::{
    Credential, CredentialWritten, OnUncertain, Refresh, RefreshState, RefreshedBy, Revision, Unrefreshed,
};
use crate::row::body::{IntegrationBody, RefreshEnd, RefreshNote};
use crate::tenant::{CredentialRows, Draft, Loaded, NewCredential, ParsedCredential, WriteOptions};

/// What [`AppCredentials::refresh`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The credentials as they are now.
    pub credentials: Credentials,
    /// Who refreshed them.
    pub by: RefreshedBy,
}

impl AppCredentials {
    /// Refreshes credentials that the host found to be expired, exactly once: of all callers in all processes on the
    /// store, one calls `exchange`, and the others wait for its result.
    ///
    /// `seen` is what [`get_all`](Self::get_all) returned when the host found them expired. If they have changed since,
    /// the new ones are returned and nothing is called. `exchange` returns what the provider issued; the credentials
    /// with other key names stay. Where it returns none, [`Unrefreshed`] says what is known of the old ones; those who
    /// waited do not call the provider in turn, but get [`RefreshError::StillStale`] or the uncertain outcome.
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
    /// Without contention it costs two commits besides the exchange. The lease is written first; the answer is written
    /// only while the lease lasts, and leaves as they are the credentials that somebody set or deleted in between. If
    /// the store cannot be reached, the answer is written again and again until the lease ends.
    ///
    /// # Errors
    /// Those of the exchange; as an [`Error`], [`Error::IntegrationNotFound`] and [`Error::Refresh`].
    ///
    /// # Cancellation
    /// Dropped before the exchange began, nothing has happened, or the lease has to end. Dropped during the exchange or
    /// after it, the outcome is uncertain when the lease ends. So run it on a task of its own where requests are
    /// dropped.
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
        check_lease(refresh.lease, &seen, self.account.org().tenant.engine.now())?;
        let lease = match self.lease(seen, refresh).await? {
            Turn::Ours(lease) => *lease,
            Turn::Taken(credentials) => {
                return Ok(Refreshed { credentials: *credentials, by: RefreshedBy::Another });
            }
        };
        let (error, end) = match exchange(&lease.current).await {
            Ok(new) => return Ok(self.land(lease, &new, refresh).await?),
            Err(Unrefreshed::Unused(error)) => (error, None),
            Err(Unrefreshed::Rejected(error)) => (error, Some(RefreshEnd::Rejected)),
            Err(Unrefreshed::Unknown(error)) => (error, Some(RefreshEnd::Unknown)),
        };
        // A failure leaves the lease, which ends by itself. The caller learns what the provider said.
        self.end(lease.rows, end).await.ok();
        Err(error)
    }

    /// States that the credentials that are kept are good: it ends a refresh whose outcome is uncertain or that the
    /// provider rejected, so that the next [`refresh`](Self::refresh) calls the provider again. Returns whether there
    /// was one.
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
    /// [`Error::IntegrationNotFound`]; [`RefreshError::StillStale`] while a caller refreshes them.
    pub async fn settle_refresh(&self) -> Result<bool, Error> {
        let now = self.get_all().await?;
        match (now.refresh, now.rows) {
            (RefreshState::Underway { .. }, _) => Err(RefreshError::StillStale.into()),
            (RefreshState::Idle, _) | (_, None) => Ok(false),
            (RefreshState::Uncertain { .. } | RefreshState::Rejected { .. }, Some(rows)) => {
                self.end(rows, None).await
            }
        }
    }

    /// Waits until it is this caller's turn, or until another one has refreshed.
    async fn lease(&self, seen: Credentials, refresh: &Refresh) -> Result<Turn, Error> {
        let (stale, mut patience) = (seen.revision, Patience::new(refresh, refresh.wait));
        // What the caller has seen saves a read if no refresh was under way then: the lease expects it unchanged.
        let mut known = Some(seen).filter(|seen| seen.refresh == RefreshState::Idle && seen.rows.is_some());
        for _ in 0..ATTEMPTS_MAX {
            let mut now = match known.take() {
                Some(seen) => seen,
                None => self.settled(&mut patience, stale).await?,
            };
            if now.revision != stale {
                return Ok(Turn::Taken(Box::new(now)));
            }
            let Some(rows) = now.rows.take() else { continue };
            match (now.refresh, refresh.on_uncertain) {
                (RefreshState::Rejected { since }, _) => return Err(RefreshError::Rejected { since }.into()),
                // Written before it is said, so that a holder that comes back cannot contradict it.
                (RefreshState::Uncertain { since }, OnUncertain::Refuse) => {
                    if rows.has_ended() || self.end(rows, Some(RefreshEnd::Unknown)).await? {
                        return Err(RefreshError::Uncertain { since }.into());
                    }
                    continue;
                }
                _ => {}
            }
            let engine = &self.account.org().tenant.engine;
            let (since, id) = (engine.now(), engine.next_id()?);
            let note = RefreshNote::new(id, since, after(since, refresh.lease));
            if let Some(integration) = self.try_lease(&rows, note).await? {
                let rows = AppRows { integration, ..rows };
                if engine.now() < note.until() {
                    return Ok(Turn::Ours(Box::new(Lease { current: now, rows, note })));
                }
                // Paused for so long that others may have given the lease up. Nothing was called.
                self.end(rows, None).await?;
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Reads the credentials until nobody refreshes them, or they are no longer the stale ones. A refresh that was
    /// waited for and gave nothing ends the wait with an error: the waiters must not try one after the other what has
    /// just failed.
    async fn settled(
        &self,
        patience: &mut Patience<'_>,
        stale: Option<Revision>,
    ) -> Result<Credentials, Error> {
        let mut awaited: Option<RefreshNote> = None;
        loop {
            let now = self.get_all().await?;
            let same = |note: &RefreshNote| awaited.is_some_and(|awaited| awaited.is_of(note));
            match (now.refresh, now.note()) {
                // Another change of the credentials does not end the wait for those that are on their way.
                (RefreshState::Underway { .. }, Some(note)) if now.revision == stale || same(&note) => {
                    awaited = Some(note);
                }
                (RefreshState::Idle, _) if awaited.is_some() && now.revision == stale => {
                    return Err(RefreshError::StillStale.into());
                }
                (RefreshState::Uncertain { since }, Some(note)) if awaited.is_some() && note.has_ended() => {
                    return Err(RefreshError::Uncertain { since }.into());
                }
                _ => return Ok(now),
            }
            if !patience.pause().await {
                return Err(RefreshError::StillStale.into());
            }
        }
    }

    /// Writes the provider's answer, for as long as the lease lasts.
    async fn land(&self, lease: Lease, new: &[NewCredential], refresh: &Refresh) -> Result<Refreshed, Error> {
        let tenant = &*self.account.org().tenant;
        let mut parsed = match tenant.parse_credentials(new) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.end(lease.rows, Some(RefreshEnd::Unknown)).await.ok();
                return Err(error);
            }
        };
        let Lease { mut current, mut rows, note } = lease;
        let mut patience = Patience::new(refresh, refresh.lease);
        loop {
            if tenant.engine.now() >= note.until() {
                return self.give_up(rows, note, &parsed).await;
            }
            let read = match self.try_land(&rows, &parsed).await {
                Ok(Some(written)) => {
                    let credentials = merged(current, written, &parsed);
                    return Ok(Refreshed { credentials, by: RefreshedBy::ThisCall });
                }
                Ok(None) => self.get_all().await,
                Err(error) => Err(error),
            };
            let mut now = match read {
                Ok(now) => now,
                // The answer of the provider is not to be had again: keep trying while the lease lasts.
                Err(error) if is_passing(&error) && patience.pause().await => continue,
                Err(error) => {
                    self.end(rows, Some(RefreshEnd::Unknown)).await.ok();
                    return Err(error);
                }
            };
            if now.note().is_none_or(|found| !found.is_of(&note)) {
                return outcome(now, note, &parsed);
            }
            let Some(found) = now.rows.take() else { continue };
            // What somebody set or deleted meanwhile stays so. The rest is not to be had again, and a token that was
            // used up must not stay in its place.
            parsed.retain(|new| revision(&now, &new.key_name) == revision(&current, &new.key_name));
            if parsed.is_empty() {
                self.end(found, None).await?;
                return Ok(Refreshed { credentials: now, by: RefreshedBy::Another });
            }
            (current, rows) = (now, found);
        }
    }

    /// Says that the lease is over, unless the answer landed or somebody else has said so.
    async fn give_up(
        &self,
        rows: AppRows,
        note: RefreshNote,
        new: &[ParsedCredential<'_>],
    ) -> Result<Refreshed, Error> {
        if self.end(rows, Some(RefreshEnd::Unknown)).await? {
            return Err(RefreshError::Uncertain { since: note.since() }.into());
        }
        outcome(self.get_all().await?, note, new)
    }

    async fn try_land(
        &self,
        rows: &AppRows,
        new: &[ParsedCredential<'_>],
    ) -> Result<Option<Vec<CredentialWritten>>, Error> {
        let owner = [self.account.id()];
        let tenant = &*self.account.org().tenant;
        let view = tenant.view_to_seal(&owner).await?;
        let mut draft = Draft::new(tenant, &view);
        // No quota refuses an answer: the provider has used up the token that it was given.
        draft.makes_room();
        // A credential that exists was not deleted: only those that are added have to be looked up.
        let adds = new.iter().any(|new| !rows.rows.contains_key(&new.key_name));
        let deleted = if adds { self.read_deleted(new).await? } else { BTreeMap::new() };
        let put = |new: &ParsedCredential<'_>| {
            let found =
                CredentialRows { row: rows.rows.get(&new.key_name), deleted: deleted.get(&new.key_name) };
            let address = (self.account.id(), &self.integration, &new.key_name);
            draft.put_credential(address, new, found, &WriteOptions::default())
        };
        let written = new.iter().map(put).collect::<Result<_, _>>()?;
        self.put_refresh(&mut draft, rows, None)?;
        draft.bump_generation(self.account.id(), &rows.account)?;
        Ok(draft.commit().await?.landed().map(|_| written))
    }

    /// Takes the lease, if neither the credentials nor the integration have changed. Returns the integration as it then
    /// is.
    async fn try_lease(
        &self,
        rows: &AppRows,
        note: RefreshNote,
    ) -> Result<Option<Loaded<IntegrationBody>>, Error> {
        let tenant = &*self.account.org().tenant;
        let view = tenant.view_to_seal(&[]).await?;
        let mut draft = Draft::new(tenant, &view);
        let row_len = self.put_refresh(&mut draft, rows, Some(note))?;
        draft.expect_as_read(tenant.id.account(self.account.id()).key(), Some(rows.account.row_revision));
        let Some(committed) = draft.commit().await?.landed() else { return Ok(None) };
        let Loaded { body, revision, .. } = rows.integration.clone();
        let (revision, row_revision) = (revision.next(), committed.revision);
        Ok(Some(Loaded::written(body.refreshing(Some(note)), revision, row_revision, row_len)))
    }

    /// Ends the refresh whose note is in `rows`: its holder cannot write any more. Without an `end`, nothing is left of
    /// it. `false` if it had ended already.
    async fn end(&self, mut rows: AppRows, end: Option<RefreshEnd>) -> Result<bool, Error> {
        let Some(note) = rows.integration.body.refresh else { return Ok(false) };
        let tenant = &*self.account.org().tenant;
        let id = tenant.engine.next_id()?;
        for _ in 0..ATTEMPTS_MAX {
            let view = tenant.view_to_seal(&[]).await?;
            let mut draft = Draft::new(tenant, &view);
            self.put_refresh(&mut draft, &rows, end.map(|end| note.ended(id, end)))?;
            if draft.commit().await?.is_landed() {
                return Ok(true);
            }
            let now = self.get_all().await?;
            let (Some(found), Some(left)) = (now.note(), now.rows) else { return Ok(false) };
            if !found.is_of(&note) {
                return Ok(false);
            }
            rows = left;
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    pub(super) fn put_refresh(
        &self,
        draft: &mut Draft<'_>,
        rows: &AppRows,
        note: Option<RefreshNote>,
    ) -> Result<usize, Error> {
        let body = rows.integration.body.clone().refreshing(note);
        draft.put_integration(self.account.id(), &self.integration, &body, Some(&rows.integration))
    }
}

/// Whose turn it is.
enum Turn {
    Ours(Box<Lease>),
    /// The credentials are not the stale ones any more.
    Taken(Box<Credentials>),
}

/// The right to exchange credentials, until the note's end.
struct Lease {
    current: Credentials,
    /// As the lease left them.
    rows: AppRows,
    note: RefreshNote,
}

impl Credentials {
    fn note(&self) -> Option<RefreshNote> {
        self.rows.as_ref()?.integration.body.refresh
    }
}

impl AppRows {
    fn has_ended(&self) -> bool {
        self.integration.body.refresh.as_ref().is_some_and(RefreshNote::has_ended)
    }
}

impl fmt::Debug for AppRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppRows({} credentials)", self.rows.len())
    }
}

/// Pauses that grow, for as long as a caller is willing to wait. They are counted, not read from a clock, which may be
/// set while somebody waits.
struct Patience<'r> {
    refresh: &'r Refresh,
    left: Duration,
    pause: Duration,
}

impl<'r> Patience<'r> {
    fn new(refresh: &'r Refresh, wait: Duration) -> Self {
        Self { refresh, left: wait, pause: PAUSE_MIN }
    }

    /// Waits a little. `false`, at once, if the time is over.
    async fn pause(&mut self) -> bool {
        let pause = self.pause.min(self.left);
        if pause.is_zero() {
            return false;
        }
        self.refresh.sleep.sleep(pause).await;
        self.left -= pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

/// Refuses a lease that makes no sense.
fn check_lease(lease: Duration, seen: &Credentials, now: Timestamp) -> Result<(), Error> {
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
        return Err(RefreshError::LeaseOutOfBounds.into());
    }
    let outlives = |item: &Credential| {
        let expires_at = item.info.metadata.expires_at();
        // One that has expired is refreshed, however short its life was: it may not have come from a refresh.
        expires_at.is_some_and(|at| now < at && at < after(item.info.updated_at, lease))
    };
    // Waiters would see the next token expire before they learn of this one.
    if seen.items.iter().any(outlives) { Err(RefreshError::LeaseOutlivesToken.into()) } else { Ok(()) }
}

/// The state of a refresh with this note.
pub(super) fn state_of(note: Option<&RefreshNote>, now: Timestamp) -> RefreshState {
    let Some(note) = note else { return RefreshState::Idle };
    match note.end() {
        Some(RefreshEnd::Rejected) => RefreshState::Rejected { since: note.since() },
        Some(RefreshEnd::Unknown) => RefreshState::Uncertain { since: note.since() },
        None if now < note.until() => RefreshState::Underway { until: note.until() },
        None => RefreshState::Uncertain { since: note.since() },
    }
}

/// What came of a refresh whose note is gone: it landed after all, although the answer of the store was lost; or
/// somebody fenced this caller off.
fn outcome(now: Credentials, note: RefreshNote, new: &[ParsedCredential<'_>]) -> Result<Refreshed, Error> {
    let by = if holds(&now, new) { RefreshedBy::ThisCall } else { RefreshedBy::Another };
    match (now.refresh, by) {
        (RefreshState::Uncertain { .. }, RefreshedBy::Another) => {
            Err(RefreshError::Uncertain { since: note.since() }.into())
        }
        _ => Ok(Refreshed { credentials: now, by }),
    }
}

/// The credentials after a refresh: what was written, and what stayed.
fn merged(
    current: Credentials,
    written: Vec<CredentialWritten>,
    new: &[ParsedCredential<'_>],
) -> Credentials {
    let mut items: BTreeMap<CredentialKey, Credential> =
        current.into_iter().map(|item| (item.info.key_name.clone(), item)).collect();
    for (CredentialWritten { info, .. }, new) in written.into_iter().zip(new) {
        items.insert(info.key_name.clone(), Credential { info, value: new.value_again() });
    }
    Credentials::new(items.into_values().collect(), RefreshState::Idle)
}

/// Whether these are the new values.
fn holds(credentials: &Credentials, new: &[ParsedCredential<'_>]) -> bool {
    new.iter().all(|new| {
        let found = credentials.get(new.key_name.as_str());
        found.is_some_and(|found| new.has_value(&found.value))
    })
}

fn revision(credentials: &Credentials, key_name: &CredentialKey) -> Option<Revision> {
    credentials.get(key_name.as_str()).map(|found| found.info.revision)
}

fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Busy | ErrorKind::Indeterminate | ErrorKind::Locked)
}

fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_ms(moment.as_ms().saturating_add(ms))
}

const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// Short enough that a waiter adds little to a quick exchange.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Long enough that many waiters do not load the store.
const PAUSE_MAX: Duration = Duration::from_millis(500);
