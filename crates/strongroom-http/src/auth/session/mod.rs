//! Session tokens: issued for one linked account, valid only while their row exists.

mod end;
mod stored_key;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom::{
    Account, DocumentId, Error, ErrorKind, LinkedAccount, LinkedAccountId, Org, PageRequest, Record,
    RecordKey, Records, Timestamp, WriteOptions,
};
use zeroize::Zeroizing;

pub use end::EndedSessions;

use super::signing_keys::{SKEW_SECS, Signature, SigningKeys};
use super::token::{Claims, SigningKey};
use super::{as_read, of_later_release, own_records, random};

/// The sessions of one org in one environment.
///
/// A session is a row under its `jti`. A second namespace lists the sessions of each account, so that one can be
/// reused, and all of them are deleted with the account. Only the rows decide what is valid; the list is a hint. If
/// it cannot be read, no session is issued, since it also says which ones were ended.
pub(crate) struct Sessions {
    org: Org,
    sessions: Records,
    by_account: Records,
    signing_keys: Arc<SigningKeys>,
}

/// A token, with the time for which it is valid.
pub(crate) struct IssuedToken {
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires_in: u64,
}

/// The content of a session's row.
#[derive(Serialize, Deserialize)]
struct SessionRow {
    linked_account_id: LinkedAccountId,
    /// The account's document id: one that is registered again under the same id is another account.
    account: DocumentId,
    exp: u64,
}

impl SessionRow {
    /// `None` for a record that is not a session's.
    fn of(record: &Record) -> Option<Self> {
        serde_json::from_str(record.value.expose()).ok()
    }
}

/// The content of the list of an account's sessions.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct AccountSessions {
    sessions: Vec<ListedSession>,
    /// The second up to which they were ended together: tokens that any server issues afterwards are later.
    ended: u64,
}

impl AccountSessions {
    fn of(record: &Record) -> Result<Self, Error> {
        let list = serde_json::from_str(record.value.expose());
        list.map_err(|_| of_later_release(format!("the list of the sessions of account {}", record.key)))
    }
}

/// The sessions of an account that are taken.
#[derive(Default)]
pub(crate) struct TakenSessions {
    /// Oldest first.
    pub(crate) sessions: Vec<ListedSession>,
    /// What cannot be read of them, each with why.
    pub(crate) unreadable: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ListedSession {
    jti: String,
    iat: u64,
    exp: u64,
    account: DocumentId,
}

impl ListedSession {
    pub(crate) fn id(&self) -> &str {
        &self.jti
    }

    /// When its token was issued, and when it expires.
    pub(crate) fn times(&self) -> (Timestamp, Timestamp) {
        let at = |secs: u64| Timestamp::from_ms(secs.saturating_mul(1_000));
        (at(self.iat), at(self.exp))
    }
}

impl Sessions {
    pub(crate) fn new(org: Org, signing_keys: Arc<SigningKeys>) -> Result<Self, Error> {
        let sessions = own_records(&org, "session")?;
        let by_account = own_records(&org, "account-session")?;
        Ok(Self { org, sessions, by_account, signing_keys })
    }

    /// Whether `token` was signed here, if that is known without a read.
    pub(crate) fn known_signature(&self, token: &str) -> Signature {
        self.signing_keys.check(&self.org, token)
    }

    /// Whether `token` was signed here, by the key that the store holds.
    pub(crate) async fn has_signed(&self, token: &str, now: Timestamp) -> Result<bool, Error> {
        let key = self.forget_if_locked(self.signing_key(secs(now)).await)?;
        Ok(key.is_some_and(|key| key.has_signed(token)))
    }

    pub(crate) fn org(&self) -> &Org {
        &self.org
    }

    /// The account of a token whose signature was checked, if neither token nor session has ended. The handle is bound:
    /// once the account is deleted it is refused, even if the account is registered again.
    pub(crate) async fn admit(&self, claims: &Claims, now: Timestamp) -> Result<Option<Account>, Error> {
        self.forget_if_locked(self.find(claims, now).await)
    }

    /// A lock wipes the keys to the org's data from memory, so wipe the signing key too.
    fn forget_if_locked<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Locked) = answer {
            self.signing_keys.forget(&self.org);
        }
        answer
    }

    async fn find(&self, claims: &Claims, now: Timestamp) -> Result<Option<Account>, Error> {
        let now = secs(now);
        // A token from the future was signed by a server whose clock is wrong, and would be valid for too long. A token
        // issued right after others were ended is dated one second after that end.
        if claims.exp.saturating_add(SKEW_SECS) <= now || claims.iat > now.saturating_add(SKEW_SECS + 1) {
            return Ok(None);
        }
        if claims.iat <= self.ended(&claims.linked_account_id, now) {
            return Ok(None);
        }
        let Ok(jti) = claims.jti.parse::<RecordKey>() else { return Ok(None) };
        let Some(record) = self.sessions.get(&jti).await? else { return Ok(None) };
        let row = SessionRow::of(&record).filter(|row| row.linked_account_id == claims.linked_account_id);
        let Some(row) = row else { return Ok(None) };
        let account = self.org.account(row.linked_account_id).bound_to(row.account);
        Ok(account.info().await?.map(|_| account))
    }

    /// A token for `account`: one that is still valid, unless a new one is requested.
    pub(crate) async fn issue(
        &self,
        account: &LinkedAccount,
        reuse: Reuse,
        secs: u64,
        now: Timestamp,
    ) -> Result<IssuedToken, Error> {
        let now = self::secs(now);
        let issued = async {
            let key = self.signing_key_or_new(now).await?;
            if reuse == Reuse::Allowed
                && let Some(session) = self.still_valid(account, now).await?
            {
                return self.token(&key, account, &session, now);
            }
            let session = self.add(account, secs, now).await?;
            self.token(&key, account, &session, now)
        };
        self.forget_if_locked(issued.await)
    }

    /// The sessions of an account that are accepted: neither revoked nor expired, oldest first.
    pub(crate) async fn of_account(
        &self,
        account: &LinkedAccountId,
        now: Timestamp,
    ) -> Result<TakenSessions, Error> {
        let (now, mut taken) = (secs(now), TakenSessions::default());
        // A session of an earlier account with the same id does not belong to this one.
        let Some(known) = self.org.linked_account(account).await? else { return Ok(taken) };
        let listed = match self.listed(account, now).await {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                taken
                    .unreadable
                    .push(format!("the list of the sessions of {account} cannot be read: {error}"));
                self.unlisted(account).await?.0
            }
            listed => listed?,
        };
        let ended = self.ended(account, now);
        for session in listed {
            let is_in_time = session.exp.saturating_add(SKEW_SECS) > now && session.iat > ended;
            if session.account != known.id || !is_in_time {
                continue;
            }
            match self.sessions.get(&session.jti.parse()?).await {
                Ok(Some(_)) => taken.sessions.push(session),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    taken.unreadable.push(format!("session {} cannot be read: {error}", session.jti));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// The sessions of an account by their own rows, oldest first, where its list cannot be read, and those that cannot
    /// be read either. All accounts' are looked through.
    async fn unlisted(
        &self,
        account: &LinkedAccountId,
    ) -> Result<(Vec<ListedSession>, Vec<RecordKey>), Error> {
        let (mut sessions, mut lost) = (Vec::new(), Vec::new());
        let mut page = PageRequest::first(PageRequest::LIMIT_MAX);
        loop {
            let found = self.sessions.each(page).await?;
            for (key, record) in found.items {
                let record = match record {
                    Ok(record) => record,
                    Err(Error::Damaged { .. } | Error::UnknownKey { .. }) => {
                        lost.push(key);
                        continue;
                    }
                    // A later release can read it.
                    Err(_) => continue,
                };
                let row = SessionRow::of(&record).filter(|row| row.linked_account_id == *account);
                sessions.extend(row.map(|row| ListedSession {
                    jti: record.key.to_string(),
                    iat: secs(record.created_at),
                    exp: row.exp,
                    account: row.account,
                }));
            }
            let Some(next) = found.next else { break };
            page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
        }
        sessions.sort_by_key(|session| session.iat);
        Ok((sessions, lost))
    }

    /// The second up to which the sessions of an account were ended, as far as this process knows.
    fn ended(&self, account: &LinkedAccountId, now: u64) -> u64 {
        self.signing_keys.ended(&self.org, Some(account), now)
    }

    fn token(
        &self,
        key: &SigningKey,
        account: &LinkedAccount,
        session: &ListedSession,
        now: u64,
    ) -> Result<IssuedToken, Error> {
        let claims = Claims {
            org_id: *self.org.id(),
            linked_account_id: account.account_id.clone(),
            environment: self.org.environment().clone(),
            iat: session.iat,
            exp: session.exp,
            jti: session.jti.clone(),
        };
        let token = key.sign(&claims).ok_or(Error::InvalidKey)?;
        let expires_in = session.exp.saturating_sub(now.max(session.iat));
        Ok(IssuedToken { token, expires_in })
    }

    /// The newest session of the account that was neither revoked nor expired.
    async fn still_valid(&self, account: &LinkedAccount, now: u64) -> Result<Option<ListedSession>, Error> {
        let listed = self.listed(&account.account_id, now).await?;
        let ended = self.ended(&account.account_id, now);
        // A session issued right after others were ended is one second later than that.
        let now = now.max(ended.saturating_add(1));
        for session in listed.iter().rev() {
            let is_of_now = session.exp > now && session.iat <= now && session.iat > ended;
            let usable = is_of_now && session.account == account.id;
            if usable && self.sessions.get(&session.jti.parse()?).await?.is_some() {
                return Ok(Some(session.clone()));
            }
        }
        Ok(None)
    }

    /// Writes the row of a new session, with a later time than the ended ones, lists it, and deletes sessions that
    /// expired and the oldest of too many. All in one batch, so that every session is listed and is deleted with its
    /// account, and only while the account is registered.
    async fn add(&self, account: &LinkedAccount, secs: u64, now: u64) -> Result<ListedSession, Error> {
        let (id, jti) = (&account.account_id, hex::encode(*random::<16>()?));
        let key: RecordKey = id.as_str().parse()?;
        let (by_account, sessions) = (self.by_account.about(id.clone()), self.sessions.about(id.clone()));
        for _ in 0..ATTEMPTS_MAX {
            let record = by_account.get(&key).await?;
            let list = record.as_ref().map(|record| self.learn(id, record, now)).transpose()?;
            let mut list = list.unwrap_or_default();
            // The end that this process knows may not be noted: the store hid the account then.
            let ended = self.ended(id, now);
            list.ended = list.ended.max(ended);
            let iat = now.max(ended.saturating_add(1));
            let exp = iat.saturating_add(secs);
            let session = ListedSession { jti: jti.clone(), iat, exp, account: account.id };
            let row = SessionRow { linked_account_id: id.clone(), account: account.id, exp };
            let mut options = WriteOptions::expecting(as_read(record.as_ref()))
                .while_registered(account)
                .with_record(sessions.write(jti.parse()?, json(&row)));
            let (expired, mut kept): (Vec<_>, Vec<_>) =
                list.sessions.into_iter().partition(|old| old.exp.saturating_add(SKEW_SECS) <= now);
            if kept.len() >= SESSIONS_MAX {
                kept = self.not_revoked(kept).await?;
            }
            kept.push(session.clone());
            let surplus = kept.len().saturating_sub(SESSIONS_MAX);
            for old in expired.into_iter().chain(kept.drain(..surplus)) {
                options = options.with_record(sessions.removal(old.jti.parse()?));
            }
            list.sessions = kept;
            match by_account.put_with(&key, json(&list), options).await {
                // Another session was listed meanwhile, or all were ended.
                Err(Error::Unexpected { .. }) => {}
                listed => return listed.map(|_| session),
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// These sessions without those that were revoked one by one, which stay listed: they must not push out a valid
    /// one.
    async fn not_revoked(&self, listed: Vec<ListedSession>) -> Result<Vec<ListedSession>, Error> {
        let mut left = Vec::with_capacity(listed.len());
        for session in listed {
            match self.sessions.get(&session.jti.parse()?).await {
                Ok(None) => {}
                Err(error) if error.kind() != ErrorKind::Damaged => return Err(error),
                Ok(Some(_)) | Err(_) => left.push(session),
            }
        }
        Ok(left)
    }

    async fn listed(&self, account: &LinkedAccountId, now: u64) -> Result<Vec<ListedSession>, Error> {
        let record = self.by_account.get(&account.as_str().parse()?).await?;
        let list = record.map(|record| self.learn(account, &record, now)).transpose()?;
        Ok(list.unwrap_or_default().sessions)
    }

    /// Reads the list of an account, and remembers up to when its sessions were ended.
    fn learn(&self, account: &LinkedAccountId, record: &Record, now: u64) -> Result<AccountSessions, Error> {
        let list = AccountSessions::of(record)?;
        if list.ended > 0 {
            self.signing_keys.end(&self.org, Some(account), list.ended, now);
        }
        Ok(list)
    }
}

/// Whether an earlier token may be returned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    Allowed,
    Refused,
}

fn secs(at: Timestamp) -> u64 {
    at.as_ms() / 1_000
}

fn json(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

/// How long a session token is valid unless the service says otherwise.
pub(crate) const SESSION_SECS: u64 = 24 * 60 * 60;
/// How many sessions an account has at a time: the oldest is deleted when one more is forced.
const SESSIONS_MAX: usize = 16;
const ATTEMPTS_MAX: u32 = 16;
