//! Recently read signing keys, so that a forged token costs no read, and the time up to which sessions were ended.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use strongroom::{Environment, LinkedAccountId, Org, OrgId};
use tokio::time::Instant;

use super::token::SigningKey;

/// The signing keys of the orgs whose tokens were checked or issued lately.
///
/// No token is valid just because its key is kept: the row of its session is read for every request.
pub(crate) struct SigningKeys {
    keys: Cache<Tenant, Known>,
    /// Sessions issued up to this second were ended: of all accounts, or of one. It stays when a key is wiped, and also
    /// applies to a session that the store hid when sessions were ended.
    ended: Cache<(Tenant, Option<LinkedAccountId>), Arc<AtomicU64>>,
}

type Tenant = (OrgId, Environment);

#[derive(Clone)]
struct Known {
    key: Arc<SigningKey>,
    read_at: Instant,
}

/// What the known keys say about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Good,
    /// It is good, but the store has to say whether sessions were ended elsewhere.
    Due,
    /// No recently read key has signed it.
    Bad,
    /// Only the store knows.
    Unknown,
}

impl SigningKeys {
    pub(super) fn check(&self, org: &Org, token: &str) -> Signature {
        match self.keys.get(&tenant(org)) {
            Some(known) if known.key.has_signed(token) => {
                if known.read_at.elapsed() < LOOK_AGAIN_AFTER {
                    return Signature::Good;
                }
                // One request checks whether sessions were ended elsewhere; the others continue meanwhile.
                self.keys.insert(tenant(org), Known { read_at: Instant::now(), ..known });
                Signature::Due
            }
            // The org may have a new key: look for it again, but not for every forged token.
            Some(known) if known.read_at.elapsed() < READ_AGAIN_AFTER => Signature::Bad,
            Some(_) | None => Signature::Unknown,
        }
    }

    pub(super) fn remember(&self, org: &Org, key: &Arc<SigningKey>) {
        self.keys.insert(tenant(org), Known { key: Arc::clone(key), read_at: Instant::now() });
    }

    /// Wipes the key of an org, which is required when the org is locked.
    pub(super) fn forget(&self, org: &Org) {
        self.keys.remove(&tenant(org));
    }

    /// Notes that the sessions issued up to this second are ended, of one account or of all, unless a later second is
    /// already noted. Ignores a second that does not count at `now`.
    pub(super) fn end(&self, org: &Org, account: Option<&LinkedAccountId>, secs: u64, now: u64) {
        let key = (tenant(org), account.cloned());
        let Ok(noted) = self.ended.get_or_insert_with(&key, || Ok::<_, Infallible>(Arc::default()));
        let until = |noted| Some(later(noted, secs, now));
        let _ = noted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, until);
    }

    /// The second up to which the sessions of an account, or of all, were ended, as far as this process knows and if it
    /// counts at `now`.
    pub(super) fn ended(&self, org: &Org, account: Option<&LinkedAccountId>, now: u64) -> u64 {
        let of = |account| self.ended.get(&(tenant(org), account)).map_or(0, |at| at.load(Ordering::Relaxed));
        later(of(None), of(account.cloned()), now)
    }
}

/// The later of two seconds, among those that count at `now`: one further ahead was noted by a wrong clock, and would
/// lock everybody out until then.
pub(super) fn later(one: u64, other: u64, now: u64) -> u64 {
    let counting = [one, other].into_iter().filter(|secs| *secs <= now.saturating_add(SKEW_SECS));
    counting.max().unwrap_or(0)
}

/// The second up to which sessions are ended at `now` if they were ended up to `before`: tokens issued since then may
/// have the second after that.
pub(super) fn ended_again(before: u64, now: u64) -> u64 {
    later(before, 0, now).saturating_add(1).clamp(now, now.saturating_add(SKEW_SECS))
}

fn tenant(org: &Org) -> Tenant {
    (*org.id(), org.environment().clone())
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self { keys: Cache::new(KEYS_MAX), ended: Cache::new(KEYS_MAX) }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("keys", &self.keys.len()).finish()
    }
}

/// How far apart the clocks of two servers may be.
pub(super) const SKEW_SECS: u64 = 60;
/// About 200 bytes each.
const KEYS_MAX: usize = 10_000;
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_are_ended_again_are_ended_a_second_further_but_never_beyond_the_skew_of_clocks() {
        let now = 1_000;
        assert_eq!(ended_again(0, now), now);
        assert_eq!(ended_again(now, now), now + 1);
        assert_eq!(ended_again(now + SKEW_SECS, now), now + SKEW_SECS);
        // Noted by a wrong clock.
        assert_eq!(ended_again(now + SKEW_SECS + 1, now), now);
    }
}
