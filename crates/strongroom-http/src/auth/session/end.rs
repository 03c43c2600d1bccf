//! Ending sessions: one, those of one account, or those of all accounts.

use strongroom::{
    Error, ErrorKind, Expected, LinkedAccountId, PageRequest, Record, RecordKey, ShredReceipt, Timestamp,
    WriteOptions,
};

use super::stored_key::{ENDED, SIGNING_KEY, seconds};
use super::{ATTEMPTS_MAX, AccountSessions, ListedSession, SESSIONS_MAX, SessionRow, Sessions, json, secs};
use crate::auth::as_read;
use crate::auth::signing_keys::ended_again;

/// What ending the sessions of an account did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSessions {
    /// How many sessions were ended.
    pub ended: usize,
    /// Whether it replaced or deleted a list of them that could not be read.
    pub list_cleared: bool,
}

impl EndedSessions {
    /// Whether there was nothing to end: the account may not exist.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ended == 0 && !self.list_cleared
    }
}

impl Sessions {
    /// Revokes one session of an account; returns whether it was valid.
    pub(crate) async fn revoke(&self, account: &LinkedAccountId, jti: &str) -> Result<bool, Error> {
        self.sessions.about(account.clone()).delete(&jti.parse()?).await
    }

    /// Revokes a session of this account; returns whether there was one. A session that the store does not show is
    /// revoked in this process anyway, and so is one that cannot be read; one of another account is not found.
    pub(crate) async fn revoke_of(&self, account: &LinkedAccountId, jti: &str) -> Result<bool, Error> {
        let Ok(key) = jti.parse::<RecordKey>() else { return Ok(false) };
        let record = match self.sessions.get(&key).await {
            Err(error) if error.kind() == ErrorKind::Damaged => None,
            record => record?,
        };
        let row = record.as_ref().and_then(SessionRow::of);
        if row.is_some_and(|row| row.linked_account_id != *account) {
            return Ok(false);
        }
        self.revoke(account, jti).await
    }

    /// Revokes all sessions of one account. Tokens issued before no longer count in this process, whatever the store
    /// shows, nor in any process that reads the note. A session issued meanwhile may stay.
    pub(crate) async fn revoke_all_of(
        &self,
        account: &LinkedAccountId,
        now: Timestamp,
    ) -> Result<EndedSessions, Error> {
        let now = secs(now);
        let until = self.end_here(Some(account), now);
        let (sessions, list_cleared) = self.note_ended_of(account, until, now).await?;
        let mut ended = 0;
        for session in sessions {
            ended += usize::from(self.revoke(account, &session.jti).await?);
        }
        Ok(EndedSessions { ended, list_cleared })
    }

    /// The same for all accounts. Returns how many sessions there were.
    pub(crate) async fn revoke_all(&self, now: Timestamp) -> Result<usize, Error> {
        let (mut revoked, mut page) = (0, PageRequest::first(PageRequest::LIMIT_MAX));
        let now = secs(now);
        let until = self.end_here(None, now);
        self.note_ended(until, now).await?;
        loop {
            let found = self.sessions.each(page).await?;
            for (key, record) in &found.items {
                let sessions = match record.as_ref().ok().and_then(SessionRow::of) {
                    Some(row) => self.sessions.about(row.linked_account_id),
                    None => self.sessions.clone(),
                };
                revoked += usize::from(sessions.delete(key).await?);
            }
            let Some(next) = found.next else { return Ok(revoked) };
            page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
        }
    }

    /// Revokes all sessions of all accounts and replaces the key that signs their tokens, even one that cannot be read.
    /// Returns how many sessions there were.
    pub(crate) async fn replace_signing_key(&self, now: Timestamp) -> Result<usize, Error> {
        // First, so that no session is issued under it that the revocation misses.
        self.signing_records()?.delete(&SIGNING_KEY.parse()?).await?;
        let revoked = self.revoke_all(now).await?;
        self.signing_key_or_new(secs(now)).await.map(|_| revoked)
    }

    /// Ends the sessions of an account, or of all, in this process. Returns up to which second.
    fn end_here(&self, account: Option<&LinkedAccountId>, now: u64) -> u64 {
        let until = ended_again(self.signing_keys.ended(&self.org, account, now), now);
        self.signing_keys.end(&self.org, account, until, now);
        until
    }

    /// Notes in the list of an account that its sessions are ended. Returns them, and whether it cleared a list that
    /// cannot be read: it is replaced, or deleted if the account is not registered, since a list would outlast it.
    async fn note_ended_of(
        &self,
        account: &LinkedAccountId,
        until: u64,
        now: u64,
    ) -> Result<(Vec<ListedSession>, bool), Error> {
        let known = self.org.linked_account(account).await?;
        let (key, lists) = (account.as_str().parse::<RecordKey>()?, self.by_account.about(account.clone()));
        let mut unlisted = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let (list, expected) = to_replace(lists.get(&key).await, AccountSessions::of)?;
            let is_damaged = list.is_err();
            if is_damaged {
                (unlisted, _) = self.unlisted(account).await?;
            }
            let mut list = list.ok().flatten().unwrap_or_default();
            list.sessions.extend(unlisted.iter().cloned());
            let options = WriteOptions::expecting(expected);
            let noted = match &known {
                Some(known) => {
                    list.ended = until.max(ended_again(list.ended, now));
                    self.signing_keys.end(&self.org, Some(account), list.ended, now);
                    lists.put_with(&key, json(&list), options.while_registered(known)).await.map(drop)
                }
                None if is_damaged => lists.delete_with(&key, options).await.map(drop),
                None => Ok(()),
            };
            match noted {
                Err(Error::Unexpected { .. }) => {}
                Ok(()) => return Ok((list.sessions, is_damaged)),
                // It was deleted meanwhile.
                Err(Error::AccountNotFound(_)) => return Ok((list.sessions, false)),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Notes beside the signing key that the sessions of all accounts are ended. A note that cannot be read is
    /// replaced.
    async fn note_ended(&self, until: u64, now: u64) -> Result<(), Error> {
        let (records, key) = (self.signing_records()?, ENDED.parse()?);
        for _ in 0..ATTEMPTS_MAX {
            let (ended, expected) = to_replace(records.get(&key).await, seconds)?;
            let until = until.max(ended_again(ended.ok().flatten().unwrap_or(0), now));
            self.signing_keys.end(&self.org, None, until, now);
            let options = WriteOptions::expecting(expected);
            match records.put_with(&key, until.to_string(), options).await {
                Err(Error::Unexpected { .. }) => {}
                noted => return noted.map(drop),
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// The sessions and their list, even one that cannot be read, to be deleted with the account. The delete fails with
    /// [`Error::Unexpected`] if a session was listed meanwhile.
    async fn removal(&self, account: &LinkedAccountId) -> Result<WriteOptions, Error> {
        let key: RecordKey = account.as_str().parse()?;
        let (list, expected) = to_replace(self.by_account.get(&key).await, AccountSessions::of)?;
        let (by_account, sessions) =
            (self.by_account.about(account.clone()), self.sessions.about(account.clone()));
        let (listed, lost) = match list {
            // A session that cannot be read is nobody's, and may be one of this account.
            Err(_) => self.unlisted(account).await?,
            Ok(list) => (list.unwrap_or_default().sessions, Vec::new()),
        };
        let mut options = WriteOptions::default().with_record(by_account.removal(key).expecting(expected));
        for key in lost.into_iter().take(SESSIONS_MAX) {
            options = options.with_record(sessions.removal(key));
        }
        for session in listed {
            options = options.with_record(sessions.removal(session.jti.parse()?));
        }
        Ok(options)
    }

    /// Deletes an account with its sessions, in one batch: none is ever valid for an account that is registered later
    /// under the same id. One that is issued meanwhile goes too.
    pub(crate) async fn delete_account(&self, account: &LinkedAccountId) -> Result<(), Error> {
        self.with_sessions(account, |options| self.org.delete_account_with(account, options)).await
    }

    /// The same with a shred.
    pub(crate) async fn shred_account(&self, account: &LinkedAccountId) -> Result<ShredReceipt, Error> {
        self.with_sessions(account, |options| self.org.shred_account_with(account, options)).await
    }

    async fn with_sessions<T, F>(
        &self,
        account: &LinkedAccountId,
        delete: impl Fn(WriteOptions) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        for _ in 0..ATTEMPTS_MAX {
            match delete(self.removal(account).await?).await {
                Err(Error::Unexpected { .. }) => {}
                deleted => return deleted,
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// What a record holds, or why it cannot be read, and what a write that replaces it expects.
fn to_replace<T>(
    read: Result<Option<Record>, Error>,
    parse: impl FnOnce(&Record) -> Result<T, Error>,
) -> Result<(Result<Option<T>, Error>, Expected), Error> {
    match read {
        Err(error) if error.kind() == ErrorKind::Damaged => Ok((Err(error), Expected::Unreadable)),
        read => read.map(|record| (record.as_ref().map(parse).transpose(), as_read(record.as_ref()))),
    }
}
