//! API keys that were admitted: what a request needs of one, and the next request with it opens no record.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use strongroom::{
    Actor, Clock, DocumentId, Error, IfChanged, Org, RecordKey, RequestId, Stamp, Timestamp, Vault,
};
use subtle::ConstantTimeEq as _;

use super::api_key::{ApiKeys, DAY_MS, SHA256_LEN, hash, record_key};
use super::grant::{Grant, GrantRow};
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

/// A key that was admitted, for the next request with the same key.
pub(crate) struct Admitted {
    keys: ApiKeys,
    pub(crate) id: DocumentId,
    pub(crate) grant: Arc<Grant>,
    /// Its holder, as the author of writes.
    actor: Actor,
    makers: Vec<DocumentId>,
    record: RecordKey,
    stamp: Stamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The day of the last use that was noted, counted from 1970; 0 if none was noted in this process.
    day: AtomicU64,
}

/// The part of a key's record that a request needs. Hex digits are never escaped, so they can be borrowed.
#[derive(Deserialize)]
struct Admission<'a> {
    sha256: &'a str,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    grant: Option<GrantRow>,
    #[serde(default)]
    makers: Vec<DocumentId>,
}

impl ApiKeys {
    /// Admits `key` if it was made here, is not revoked and not expired.
    pub(crate) async fn admit(self, key: &KeyText, clock: &dyn Clock) -> Result<Option<Admitted>, Error> {
        let record = record_key(&key.id)?;
        let IfChanged::Changed(found, stamp) = self.records.get_if_changed(&record, None).await? else {
            return Ok(None);
        };
        let Ok(row) = serde_json::from_str::<Admission<'_>>(found.value.expose()) else { return Ok(None) };
        let mut sha256 = [0; SHA256_LEN];
        if hex::decode_to_slice(row.sha256, &mut sha256).is_err() {
            return Ok(None);
        }
        // In constant time: the duration must not reveal how many bytes match.
        let known: bool = sha256.ct_eq(&hash(&key.secret)).into();
        let admitted = Admitted {
            keys: self,
            id: key.id,
            grant: Arc::new(Grant::of_row(row.grant)),
            actor: format!("{API_KEY}{}", key.id).parse()?,
            makers: row.makers,
            record,
            stamp,
            expires_at: row.expires_at,
            day: AtomicU64::new(0),
        };
        Ok((known && admitted.is_in_time(clock)).then_some(admitted))
    }
}

/// `actor` in one request.
pub(crate) fn in_request(actor: Actor, request: Option<&RequestId>) -> Actor {
    match request {
        Some(id) => actor.in_request(id.clone()),
        None => actor,
    }
}

impl Admitted {
    /// The org of the key, in its environment.
    pub(crate) fn org(&self) -> &Org {
        &self.keys.org
    }

    /// The same, on behalf of its holder, in one request.
    pub(crate) fn acting(&self, request: Option<&RequestId>) -> Org {
        self.org().acting_as(in_request(self.actor.clone(), request))
    }

    /// The makers of a key that this one makes.
    pub(crate) fn makers_of_next(&self) -> Vec<DocumentId> {
        let mut makers = self.makers.clone();
        makers.push(self.id);
        // A key that replaces itself every night stays known by the beginning of its line, and by its latest
        // replacements.
        if makers.len() > MAKERS_MAX {
            makers.remove(MAKERS_MAX / 2);
        }
        makers
    }

    /// Its holder in the log.
    pub(crate) fn caller(&self) -> &str {
        self.actor.name().as_str()
    }

    /// Whether the key may be admitted again without checking its secret: its record is still the one that was opened,
    /// and it has not expired.
    pub(crate) async fn is_current(&self, clock: &dyn Clock) -> Result<bool, Error> {
        let found = self.keys.records.get_if_changed(&self.record, Some(&self.stamp)).await?;
        // Expiry is checked each time, since it passes without a change of the record.
        Ok(matches!(found, IfChanged::Unchanged) && self.is_in_time(clock))
    }

    /// The same key with its present record, for a caller that has shown its secret before; `None` if it was revoked or
    /// has expired. The secret of a record never changes: a key that replaces another has an id of its own.
    pub(crate) async fn again(&self, clock: &dyn Clock) -> Result<Option<Self>, Error> {
        let IfChanged::Changed(found, stamp) = self.keys.records.get_if_changed(&self.record, None).await?
        else {
            return Ok(None);
        };
        let Ok(row) = serde_json::from_str::<Admission<'_>>(found.value.expose()) else { return Ok(None) };
        let again = Self {
            keys: self.keys.clone(),
            id: self.id,
            actor: self.actor.clone(),
            makers: self.makers.clone(),
            grant: Arc::new(Grant::of_row(row.grant)),
            record: self.record.clone(),
            stamp,
            expires_at: row.expires_at,
            day: AtomicU64::new(self.day.load(Ordering::Relaxed)),
        };
        Ok(again.is_in_time(clock).then_some(again))
    }

    /// Notes that the key is used today, if that was not noted yet. The request neither waits for it nor fails with it.
    pub(crate) fn note_use(&self, clock: &dyn Clock) {
        let today = clock.now_ms() / DAY_MS;
        // Relaxed: at worst, the same day is noted twice.
        if self.day.swap(today, Ordering::Relaxed) == today {
            return;
        }
        let (keys, key) = (self.keys.clone(), self.record.clone());
        tokio::spawn(async move {
            if let Err(error) = keys.note_used(&key, today).await {
                tracing::debug!(%error, "the use of an API key was not noted");
            }
        });
    }

    fn is_in_time(&self, clock: &dyn Clock) -> bool {
        self.expires_at.is_none_or(|moment| Timestamp::from_ms(clock.now_ms()) < moment)
    }
}

/// The prefix of a key's id where it is an author.
pub(crate) const API_KEY: &str = "api-key:";
/// About 1 KiB each.
const KEYS_MAX: usize = 10_000;
/// Takes some 1.7 KB of a record.
const MAKERS_MAX: usize = 64;
