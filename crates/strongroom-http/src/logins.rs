//! Sessions of the console: who logged in with which API key, only in the memory of this service.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use strongroom::{DocumentId, Error, Timestamp};
use zeroize::Zeroizing;

use crate::auth::{Admitted, random};

/// The sessions of the console. Their number is bounded, and each ends by itself; a restarted service has none.
#[derive(Default)]
pub(crate) struct Logins(Mutex<HashMap<TokenDigest, Login>>);

/// The SHA-256 of the text of a session: neither the text nor the API key is kept. The time of a lookup depends only
/// on the digest, whose bits a caller cannot choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TokenDigest([u8; 32]);

struct Login {
    key: Arc<Admitted>,
    since: Timestamp,
    last_used: Timestamp,
}

impl Logins {
    /// Begins a session of the holder of `key`; returns its text, in hex.
    pub(crate) fn begin(&self, key: Arc<Admitted>, now: Timestamp) -> Result<Zeroizing<String>, Error> {
        let token = Zeroizing::new(hex::encode(*random::<TOKEN_LEN>()?));
        let mut logins = self.lock();
        logins.retain(|_, login| login.is_alive(now));
        // One key cannot crowd out the sessions of the others before it has crowded out its own.
        let own = |login: &Login| login.key.id == key.id;
        if logins.values().filter(|login| own(login)).count() >= KEY_LOGINS_MAX {
            end_oldest(&mut logins, own);
        }
        // Nor can one org crowd out others with all its keys.
        let of_org = |login: &Login| login.key.org().id() == key.org().id();
        if logins.values().filter(|login| of_org(login)).count() >= ORG_LOGINS_MAX {
            end_oldest(&mut logins, of_org);
        }
        if logins.len() >= LOGINS_MAX {
            end_oldest(&mut logins, |_| true);
        }
        logins.insert(TokenDigest::of(&token), Login { key, since: now, last_used: now });
        Ok(token)
    }

    /// The key of a session, whose idle time starts again.
    pub(crate) fn find(&self, token: &str, now: Timestamp) -> Option<Arc<Admitted>> {
        let mut logins = self.lock();
        let login = logins.get_mut(&TokenDigest::of(token)).filter(|login| login.is_alive(now))?;
        login.last_used = now;
        Some(Arc::clone(&login.key))
    }

    /// Updates a session with the present record of its key.
    pub(crate) fn renew(&self, token: &str, key: Arc<Admitted>) {
        if let Some(login) = self.lock().get_mut(&TokenDigest::of(token)) {
            login.key = key;
        }
    }

    /// Ends a session.
    pub(crate) fn end(&self, token: &str) {
        self.lock().remove(&TokenDigest::of(token));
    }

    /// Ends all sessions of a key.
    pub(crate) fn end_of(&self, key: &DocumentId) {
        self.lock().retain(|_, login| login.key.id != *key);
    }

    /// Ends all sessions.
    pub(crate) fn end_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenDigest, Login>> {
        // Every change is one of the map's own, so that a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("len", &self.lock().len()).finish()
    }
}

impl Login {
    fn is_alive(&self, now: Timestamp) -> bool {
        let within = |from: Timestamp, ms: u64| now.as_ms().saturating_sub(from.as_ms()) < ms;
        within(self.last_used, IDLE_MS_MAX) && within(self.since, AGE_MS_MAX)
    }
}

impl TokenDigest {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// Ends the one of these sessions that was unused for longest.
fn end_oldest(logins: &mut HashMap<TokenDigest, Login>, among: impl Fn(&Login) -> bool) {
    let candidates = logins.iter().filter(|(_, login)| among(login));
    if let Some(digest) = candidates.min_by_key(|(_, login)| login.last_used).map(|(digest, _)| *digest) {
        logins.remove(&digest);
    }
}

/// A session ends after this long, whatever is done with it.
pub(crate) const AGE_MS_MAX: u64 = 12 * 60 * 60 * 1_000;
/// A session ends after this long without use.
const IDLE_MS_MAX: u64 = 30 * 60 * 1_000;
/// For one org: sixteen orgs can have their maximum at the same time.
const ORG_LOGINS_MAX: usize = 64;
const LOGINS_MAX: usize = 1_024;
const KEY_LOGINS_MAX: usize = 16;
const TOKEN_LEN: usize = 32;
