//! Writes the provider's answer to a refresh while the lease lasts.
//!
//! The provider has used up the token that it was shown, so an answer that is not stored is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::patience::Patience;
use super::refresh::{Ending, Lease, Refreshed};
use super::seen::Stale;
use super::{AppCredentials, AppRows, Credentials};
use crate::clock::Timestamp;
use crate::engine::turns::Contest;
use crate::error::{Error, ErrorKind, RefreshError};
use crate::id::CredentialKey;
use crate::model::{Credential, CredentialWritten, Refresh, RefreshState, RefreshedBy, Revision};
use crate::row::body::{IntegrationBody, RefreshNote};
use crate::tenant::{
    Attempt, DocumentRows, Draft, NewCredential, ParsedAnswer, ParsedCredential, WriteOptions,
};

impl AppCredentials {
    /// Writes the provider's answer.
    pub(super) async fn land(
        &self,
        lease: Lease,
        answer: &[NewCredential],
        refresh: &Refresh,
    ) -> Result<Refreshed, Error> {
        let since = lease.note.since();
        match self.land_while_there(lease, answer, refresh).await {
            Err(Error::IntegrationNotFound { .. } | Error::AccountNotFound(_)) => {
                Err(RefreshError::Gone { since }.into())
            }
            landed => landed,
        }
    }

    async fn land_while_there(
        &self,
        lease: Lease,
        answer: &[NewCredential],
        refresh: &Refresh,
    ) -> Result<Refreshed, Error> {
        let tenant = &*self.account.org().tenant;
        let Lease { mut current, mut rows, note } = lease;
        let mut landing = Landing::new(tenant.parse_answer(answer), &current, note);
        landing.token_life = token_life(&landing.new, tenant.engine.now());
        let (mut patience, mut contest) =
            (Patience::new(refresh, refresh.lease), Contest::new(&tenant.engine.turns));
        let mut is_stale = false;
        if landing.new.is_empty() {
            self.end(rows, Ending::Unknown).await.ok();
            return Err(landing
                .fault()
                .unwrap_or(RefreshError::NothingIssued { since: note.since() })
                .into());
        }
        loop {
            if tenant.engine.now() >= note.until() {
                contest.leave();
                return self.out_of_time(rows, &landing).await;
            }
            let read = match self.try_land(&rows, &landing, contest.must_wait()).await {
                Ok(Attempt::Landed(written)) => return landing.landed(current, written),
                Ok(Attempt::Lost(lost)) => {
                    is_stale = false;
                    contest.lost(lost).await;
                    self.read_same(&rows.integration.body).await
                }
                Ok(Attempt::AfterShred) => self.read_same(&rows.integration.body).await,
                // A rotation has ended the key under which the rows were read. Only once in succession: a second such
                // row cannot be read at all.
                Err(error) if error.may_be_stale() && !is_stale => {
                    is_stale = true;
                    self.read_same(&rows.integration.body).await
                }
                Err(error) => Err(error),
            };
            let mut now = match read {
                Ok(now) => now,
                Err(error) => {
                    // Others need not wait while the store cannot be reached.
                    contest.leave();
                    // The provider's answer cannot be requested again: keep trying while the lease lasts.
                    if is_passing(&error) && patience.pause().await {
                        continue;
                    }
                    return Err(self.give_up(rows, note, error).await);
                }
            };
            if now.note().is_none_or(|found| !found.is_of(&note)) {
                return landing.outcome(now);
            }
            let Some(found) = now.rows.take() else { continue };
            // Keep what somebody set or deleted meanwhile. Store the rest: it cannot be requested again, and a token
            // that was used up must not stay in its place.
            landing.leave_out(|new| revision(&now, &new.key_name) != revision(&current, &new.key_name));
            if landing.new.is_empty() {
                contest.leave();
                let fault = landing.fault();
                let ending = fault.map_or(Ending::Unused, |_| Ending::Unknown);
                self.end(found, ending).await.map_err(|error| unless_known(error, note.since()))?;
                return landing.refreshed(now, RefreshedBy::Another);
            }
            (current, rows) = (now, found);
        }
    }

    /// Records that the lease is over, unless the answer landed or somebody else has recorded it.
    async fn out_of_time(&self, rows: AppRows, landing: &Landing<'_>) -> Result<Refreshed, Error> {
        let (was, since) = (rows.integration.body.clone(), landing.note.since());
        let unknown = |error| unless_known(error, since);
        if self.end(rows, Ending::Unknown).await.map_err(unknown)? {
            return Err(RefreshError::Uncertain { since }.into());
        }
        landing.outcome(self.read_same(&was).await.map_err(unknown)?)
    }

    /// All credentials, if the integration is still the same one: the answer does not belong to an integration that was
    /// deleted and added again.
    async fn read_same(&self, was: &IntegrationBody) -> Result<Credentials, Error> {
        let now = self.read_again().await?;
        if now.rows.as_ref().is_some_and(|rows| !rows.integration.body.is_same(was)) {
            let (account, integration) = (self.account.id().clone(), self.integration.clone());
            return Err(Error::IntegrationNotFound {
                account,
                integration,
                connection: self.connection.clone(),
            });
        }
        Ok(now)
    }

    /// Records an uncertain outcome, because of an error. Returns the error for the caller.
    async fn give_up(&self, rows: AppRows, note: RefreshNote, error: Error) -> Error {
        self.end(rows, Ending::Unknown).await.ok();
        unless_known(error, note.since())
    }

    async fn try_land(
        &self,
        rows: &AppRows,
        landing: &Landing<'_>,
        waits: bool,
    ) -> Result<Attempt<Vec<CredentialWritten>>, Error> {
        let owner = [self.account.id()];
        let tenant = &*self.account.org().tenant;
        let new = &landing.new;
        let view = tenant.view_to_seal(&owner).await?;
        let mut draft = Draft::new(tenant, &view);
        // No quota refuses an answer: the provider has used up the token that it was given.
        draft.makes_room();
        draft.set_waits(waits);
        // A credential that exists was not deleted: only look up those that are added.
        let adds = new.iter().any(|new| !rows.rows.contains_key(&new.key_name));
        let deleted = if adds { self.read_deleted(new).await? } else { BTreeMap::new() };
        let put = |new: &ParsedCredential<'_>| {
            let found = DocumentRows {
                row: rows.rows.get(&new.key_name),
                deleted: deleted.get(&new.key_name),
                continued: None,
            };
            let address = (self.account.id(), &self.app, &new.key_name);
            draft.put_credential(address, new, found, &WriteOptions::default())
        };
        let written = new.iter().map(put).collect::<Result<_, _>>()?;
        let left = match landing.fault() {
            Some(_) => {
                self.note_ending(&mut draft, rows, Ending::Unknown);
                let id = tenant.engine.next_id()?;
                Ending::Unknown.left().map(|end| landing.note.ended(id, end))
            }
            None => None,
        };
        let body = rows.integration.body.clone().refreshing(left).answered(landing.token_life);
        draft.put_integration(self.account.id(), &self.app, &body, Some(&rows.integration))?;
        draft.bump_generation(self.account.id(), &rows.account)?;
        Ok(draft.commit().await?.map(|_| written))
    }
}

/// A provider's answer that is being stored.
struct Landing<'n> {
    /// The credentials still to be written.
    new: Vec<ParsedCredential<'n>>,
    /// How many credentials were to be written.
    sound: usize,
    /// The positions of those that cannot be stored.
    refused: Vec<usize>,
    /// Those that somebody set or deleted meanwhile.
    overtaken: Vec<CredentialKey>,
    /// The lifetime of the shortest-lived token.
    token_life: Option<Duration>,
    /// The credentials that were exchanged.
    stale: Stale,
    note: RefreshNote,
}

impl<'n> Landing<'n> {
    fn new(answer: ParsedAnswer<'n>, stale: &Credentials, note: RefreshNote) -> Self {
        let ParsedAnswer { new, refused } = answer;
        let (sound, stale) = (new.len(), Stale::of(stale));
        Self { sound, new, refused, overtaken: Vec::new(), token_life: None, stale, note }
    }

    fn leave_out(&mut self, is_overtaken: impl Fn(&ParsedCredential<'_>) -> bool) {
        let left_out = self.new.extract_if(.., |new| is_overtaken(new));
        self.overtaken.extend(left_out.map(|new| new.key_name));
    }

    /// What is wrong with the answer, if anything.
    fn fault(&self) -> Option<RefreshError> {
        let first = *self.refused.first()?;
        let (refused, stored) = (self.refused.len(), self.sound);
        Some(RefreshError::AnswerRefused { since: self.note.since(), first, refused, stored })
    }

    fn refreshed(&self, credentials: Credentials, by: RefreshedBy) -> Result<Refreshed, Error> {
        match self.fault() {
            Some(fault) => Err(fault.into()),
            None => Ok(self.beside(credentials, by)),
        }
    }

    /// The stored credentials, and which part of the answer was not stored.
    fn beside(&self, credentials: Credentials, by: RefreshedBy) -> Refreshed {
        let is_held = |new: &&ParsedCredential<'_>| {
            credentials.get(new.key_name.as_str()).is_some_and(|found| new.has_value(&found.value))
        };
        let rest = self.new.iter().filter(|new| !is_held(new)).map(|new| &new.key_name);
        let unstored = self.overtaken.iter().chain(rest).cloned().collect();
        Refreshed { credentials, by, unstored }
    }

    /// The credentials as the batch left them: those written, and those kept.
    fn landed(&self, current: Credentials, written: Vec<CredentialWritten>) -> Result<Refreshed, Error> {
        let of = current.of.clone();
        let mut items: BTreeMap<CredentialKey, Credential> =
            current.into_iter().map(|item| (item.info.key_name.clone(), item)).collect();
        for (CredentialWritten { info, .. }, new) in written.into_iter().zip(&self.new) {
            items.insert(info.key_name.clone(), Credential { info, value: new.value_again() });
        }
        let credentials = Credentials::new(of, items.into_values().collect(), RefreshState::Idle);
        self.refreshed(credentials, RefreshedBy::ThisCall)
    }

    /// The outcome of a refresh whose note is gone: it landed although the store's answer was lost, or somebody fenced
    /// this caller off.
    fn outcome(&self, now: Credentials) -> Result<Refreshed, Error> {
        let since = self.note.since();
        if self.is_held(&now) {
            return self.refreshed(now, RefreshedBy::ThisCall);
        }
        match now.refresh {
            RefreshState::Uncertain { .. } => Err(RefreshError::Uncertain { since }.into()),
            RefreshState::Rejected { since } if !self.stale.is_replaced(&now) => {
                Err(RefreshError::Rejected { since }.into())
            }
            // The caller that took over has not refreshed them either, or not yet. But the provider has answered this
            // caller.
            _ if !self.stale.is_replaced(&now) => Err(RefreshError::Uncertain { since }.into()),
            _ => Ok(self.beside(now, RefreshedBy::Another)),
        }
    }

    /// Whether these are the new values.
    fn is_held(&self, credentials: &Credentials) -> bool {
        self.new.iter().all(|new| {
            let found = credentials.get(new.key_name.as_str());
            found.is_some_and(|found| new.has_value(&found.value))
        })
    }
}

/// The lifetime of the shortest-lived token that is still valid.
fn token_life(new: &[ParsedCredential<'_>], now: Timestamp) -> Option<Duration> {
    let lives = new.iter().filter_map(|new| new.expires_at?.as_ms().checked_sub(now.as_ms()));
    lives.filter(|life| *life > 0).min().map(Duration::from_millis)
}

fn revision(credentials: &Credentials, key_name: &CredentialKey) -> Option<Revision> {
    credentials.get(key_name.as_str()).map(|found| found.info.revision)
}

/// The error for a caller whose answer could not be stored. It must not say that the same call may succeed later, as
/// for a store that was closed or locked meanwhile: the provider was called.
fn unless_known(error: Error, since: Timestamp) -> Error {
    if is_passing(&error) { RefreshError::Uncertain { since }.into() } else { error }
}

fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Busy | ErrorKind::Indeterminate | ErrorKind::Locked)
}
