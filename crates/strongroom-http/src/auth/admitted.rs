//! The API keys that were admitted before: the next request with one of them opens no record.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use strongroom::{Clock, Error, Vault};

use super::api_key::{Admitted, ApiKeys};
use super::key_text::KeyText;

/// Keys that were admitted, by the SHA-256 of their text: a caller who knows the text has shown the secret. Each
/// request still reads the key's record, so that a revoked key is refused at once. Only a changed record is opened
/// again.
///
/// It cannot reveal a key: it keeps neither text nor secret. The time of a lookup depends only on the digest, whose
/// bits a caller cannot choose.
pub(crate) struct AdmittedKeys(Cache<KeyDigest, Arc<Admitted>>);

/// The SHA-256 of a key's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyDigest([u8; 32]);

impl KeyDigest {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl AdmittedKeys {
    /// The key with this digest, if it was admitted before. It may have been revoked since.
    pub(crate) fn known(&self, digest: &KeyDigest) -> Option<Arc<Admitted>> {
        self.0.get(digest)
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// Opens the record of the key with this text, and admits the key if it is neither revoked nor expired.
    pub(crate) async fn open(
        &self,
        vault: &Vault,
        clock: &dyn Clock,
        text: &str,
    ) -> Result<Option<Arc<Admitted>>, Error> {
        let Some(key) = KeyText::parse(text) else { return Ok(None) };
        let org = vault.org(key.org, key.environment.clone());
        let admitted = ApiKeys::of(&org)?.admit(&key, clock).await?.map(Arc::new);
        let digest = KeyDigest::of(text);
        match &admitted {
            Some(admitted) => self.0.insert(digest, Arc::clone(admitted)),
            None => drop(self.0.remove(&digest)),
        }
        Ok(admitted)
    }
}

impl Default for AdmittedKeys {
    fn default() -> Self {
        Self(Cache::new(KEYS_MAX))
    }
}

impl fmt::Debug for AdmittedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmittedKeys").field("keys", &self.0.len()).finish()
    }
}

/// About 1 KiB each.
const KEYS_MAX: usize = 10_000;
