//! The signing keys that were read lately, so that a forged token costs no read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use strongroom::{Environment, Org, OrgId};
use tokio::time::Instant;

use super::token::SigningKey;

/// The signing keys of the orgs whose tokens were checked or issued lately.
///
/// No token is valid just because its key is kept: the row of its session is read for every request.
pub(crate) struct SigningKeys(Cache<Tenant, Known>);

type Tenant = (OrgId, Environment);

#[derive(Clone)]
struct Known {
    key: Arc<SigningKey>,
    read_at: Instant,
}

/// What the keys that were read say of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Good,
    /// No key that was read lately has signed it.
    Bad,
    /// Only the store knows.
    Unknown,
}

impl SigningKeys {
    pub(super) fn check(&self, org: &Org, token: &str) -> Signature {
        match self.0.get(&tenant(org)) {
            Some(known) if known.key.has_signed(token) => Signature::Good,
            // The org may have a new key: it is looked for again, but not for every forged token.
            Some(known) if known.read_at.elapsed() < READ_AGAIN_AFTER => Signature::Bad,
            Some(_) | None => Signature::Unknown,
        }
    }

    pub(super) fn remember(&self, org: &Org, key: &Arc<SigningKey>) {
        self.0.insert(tenant(org), Known { key: Arc::clone(key), read_at: Instant::now() });
    }

    /// Wipes the key of an org, as is due when the org is locked.
    pub(super) fn forget(&self, org: &Org) {
        self.0.remove(&tenant(org));
    }
}

fn tenant(org: &Org) -> Tenant {
    (*org.id(), org.environment().clone())
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self(Cache::new(KEYS_MAX))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("keys", &self.0.len()).finish()
    }
}

/// About 200 bytes each.
const KEYS_MAX: usize = 10_000;
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);
