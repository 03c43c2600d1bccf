//! API keys: made by the operator, shown once, kept as a hash.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strongroom::{
    Clock, Cursor, DocumentId, Error, ErrorKind, Expected, IdError, Org, PageRequest, Record, RecordKey,
    Records, Secret, Timestamp, WriteOptions,
};

use super::grant::{Grant, GrantRow};
use super::key_text::{KeyText, SECRET_LEN};
use super::{as_read, own_records, random};

/// The API keys of one org in one environment.
///
/// ```
/// use strongroom::{Environment, RawKey, Unlock, Vault};
/// use strongroom_http::{ApiKeys, NewApiKey};
/// # futures_executor::block_on(async {
/// let unlock = Unlock::raw_key(RawKey::generate()?);
/// let vault = Vault::create(strongroom_memory::MemoryStore::new(), unlock).await?;
/// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
/// let keys = ApiKeys::of(&org)?;
/// let created = keys.create(NewApiKey::named("ci")).await?;
/// assert!(created.key.expose().starts_with("tk_"));
/// assert!(keys.revoke(&created.info.id).await?);
/// # Ok::<(), strongroom::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeys {
    pub(super) org: Org,
    pub(super) records: Records,
    /// The day on which each key was last used.
    pub(super) uses: Records,
    /// The keys that make no more keys, and whose made keys make none either.
    ended_lines: Records,
}

/// A new API key.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    name: String,
    grant: Grant,
    expires_at: Option<Timestamp>,
    /// The keys that it descends from: the first one, and so on to the one that makes it.
    makers: Vec<DocumentId>,
}

/// An API key that was just made.
#[derive(Debug)]
#[non_exhaustive]
pub struct CreatedApiKey {
    /// The stored part.
    pub info: ApiKeyInfo,
    /// The key itself, which is shown only here.
    pub key: Secret,
}

/// An API key without the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyInfo {
    /// Its id, by which it is revoked.
    pub id: DocumentId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub grant: Grant,
    /// When it was made.
    pub created_at: Timestamp,
    /// It is refused from this moment on; `None` if never.
    pub expires_at: Option<Timestamp>,
    /// The beginning of the day, in UTC, on which it was last used; `None` if never.
    pub last_used: Option<Timestamp>,
    /// The key that made it; `None` if a host that has the vault open made it, or an earlier release.
    pub made_by: Option<DocumentId>,
    makers: Vec<DocumentId>,
    replaced: Option<Replaced>,
}

/// One page of a list of API keys.
#[derive(Debug)]
#[non_exhaustive]
pub struct ApiKeyPage {
    /// The keys.
    pub items: Vec<ApiKeyInfo>,
    /// The records of this page that cannot be read, and why.
    pub unreadable: Vec<String>,
    /// The next page; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// The keys that a key made.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct MadeKeys {
    /// Those that can be read.
    pub keys: Vec<ApiKeyInfo>,
    /// The records of API keys that cannot be read, and why: it is unknown whether the key made them. Such a key is
    /// refused, and can be revoked by its id.
    pub unreadable: Vec<String>,
    /// Whether it was noted before that no key of the line makes another, in a record that could not be read and was
    /// written again.
    pub renewed: bool,
}

/// The content of a key's record.
#[derive(Serialize, Deserialize)]
struct KeyRow {
    name: String,
    /// SHA-256 of the secret part, in hex.
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// `None` for the documented calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<GrantRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    makers: Vec<DocumentId>,
    /// Set if another key replaced it, and it is still accepted for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Replaced>,
}

/// The state of a key before it was replaced.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Replaced {
    /// When it would have expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Whether only its own holder replaced it: then the holder may do so again if the new key is lost.
    by_itself: bool,
}

impl NewApiKey {
    /// A key with a name for people, of 1 to 256 bytes, that may make the documented calls and does not expire.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), grant: Grant::default(), expires_at: None, makers: Vec::new() }
    }

    /// The same, with `grant` instead of the documented calls.
    #[must_use]
    pub fn with(mut self, grant: Grant) -> Self {
        self.grant = grant;
        self
    }

    /// The same, refused from `moment` on.
    #[must_use]
    pub fn expires_at(mut self, moment: Timestamp) -> Self {
        self.expires_at = Some(moment);
        self
    }

    /// The same, made by the holder of a key; it can then be revoked together with that key.
    pub(crate) fn made_by(mut self, makers: Vec<DocumentId>) -> Self {
        self.makers = makers;
        self
    }

    fn grant_row(&self) -> Option<GrantRow> {
        (self.grant != Grant::default()).then(|| self.grant.row())
    }
}

impl ApiKeyInfo {
    /// When it expires, or would have if it had not been replaced. The key that replaces it lasts until then.
    pub(crate) fn own_expiry(&self) -> Option<Timestamp> {
        self.replaced.map_or(self.expires_at, |replaced| replaced.expires_at)
    }

    /// Whether only its own holder replaced it.
    pub(crate) fn replaced_itself(&self) -> bool {
        self.replaced.is_some_and(|replaced| replaced.by_itself)
    }
}

impl ApiKeys {
    /// The keys of `org`, in its environment.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn of(org: &Org) -> Result<Self, Error> {
        let (records, uses) = (own_records(org, "api-key")?, own_records(org, "api-key-use")?);
        let ended_lines = own_records(org, "api-key-line")?;
        Ok(Self { org: org.clone(), records, uses, ended_lines })
    }

    /// Makes a key. This is the only time that it is shown.
    ///
    /// # Errors
    /// [`Invalid::Id`](strongroom::Invalid::Id) or [`Error::TooLong`] for its name;
    /// [`SystemError::Random`](strongroom::SystemError::Random); those of [`Records::put`].
    pub async fn create(&self, new: NewApiKey) -> Result<CreatedApiKey, Error> {
        if new.name.is_empty() {
            return Err(IdError::Empty("an API key's name").into());
        }
        if new.name.len() > NAME_BYTES_MAX {
            return Err(Error::TooLong { what: "an API key's name", max: NAME_BYTES_MAX });
        }
        let options = WriteOptions::expecting(Expected::Absent);
        let options = self.while_makers_may(&new.makers, None, options).await?;
        self.make(new, options).await
    }

    /// Makes a key with the same rights as the key `id`, and refuses the old one from `until` on, or earlier if it
    /// expires first; both in one batch. The new key expires at `expires_at`, or otherwise when the old one would have
    /// without being replaced, however often that is done. `None` if there is no such key.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if the key was changed meanwhile; those of [`create`](Self::create).
    pub async fn rotate(
        &self,
        id: &DocumentId,
        until: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<CreatedApiKey>, Error> {
        self.replace(id, until, expires_at, Vec::new()).await
    }

    /// The same, on behalf of the last of these makers.
    pub(crate) async fn replace(
        &self,
        id: &DocumentId,
        until: Timestamp,
        expires_at: Option<Timestamp>,
        makers: Vec<DocumentId>,
    ) -> Result<Option<CreatedApiKey>, Error> {
        let key = record_key(id)?;
        let Some(record) = self.records.get(&key).await? else { return Ok(None) };
        let Some(mut old) = KeyRow::decode(&record) else { return Ok(None) };
        let grant = Grant::of_row(old.grant.take());
        let own_expiry = old.replaced.map_or(old.expires_at, |replaced| replaced.expires_at);
        let by_itself = makers.last() == Some(id) && old.replaced.is_none_or(|replaced| replaced.by_itself);
        old.replaced = Some(Replaced { expires_at: own_expiry, by_itself });
        let expires_at = expires_at.or(own_expiry);
        let new = NewApiKey { name: old.name.clone(), grant: grant.clone(), expires_at, makers };
        old.expires_at = Some(old.expires_at.map_or(until, |moment| moment.min(until)));
        old.grant = new.grant_row();
        let last = self.records.write(key, old.encode()).expecting(Expected::Revision(record.revision));
        let options = WriteOptions::expecting(Expected::Absent).with_record(last);
        let options = self.while_makers_may(&new.makers, Some(id), options).await?;
        self.make(new, options).await.map(Some)
    }

    async fn make(&self, new: NewApiKey, options: WriteOptions) -> Result<CreatedApiKey, Error> {
        let text = KeyText {
            org: *self.org.id(),
            environment: self.org.environment().clone(),
            id: DocumentId::from(*random()?),
            secret: random()?,
        };
        let sha256 = hex::encode(hash(&text.secret));
        let grant = new.grant_row();
        let (name, expires_at, makers) = (new.name, new.expires_at, new.makers);
        let row = KeyRow { grant, name, sha256, expires_at, makers, replaced: None };
        let key = record_key(&text.id)?;
        // A random id does not repeat; if it ever did, the earlier key would have to stay as it is.
        let created_at = self.records.put_with(&key, row.encode(), options).await?.created_at;
        let info = ApiKeyInfo {
            id: text.id,
            name: row.name,
            grant: new.grant,
            created_at,
            expires_at: row.expires_at,
            last_used: None,
            made_by: row.makers.last().copied(),
            makers: row.makers,
            replaced: None,
        };
        Ok(CreatedApiKey { info, key: text.format() })
    }

    /// Adds the condition that the last of these makers is not revoked when the batch lands, however long ago its
    /// request was admitted. If that maker is the one being `replaced`, its record is already in the batch.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if it is revoked, or if the line of any maker was ended.
    async fn while_makers_may(
        &self,
        makers: &[DocumentId],
        replaced: Option<&DocumentId>,
        options: WriteOptions,
    ) -> Result<WriteOptions, Error> {
        // Before the record is read: ending a line looks for its keys afterwards.
        for maker in makers {
            if self.ended_lines.get(&record_key(maker)?).await?.is_some() {
                return Err(Error::Unexpected { found: None });
            }
        }
        let Some(last) = makers.last().filter(|last| replaced != Some(*last)) else { return Ok(options) };
        let key = record_key(last)?;
        let maker = self.records.get(&key).await?.ok_or(Error::Unexpected { found: None })?;
        Ok(options.with_record(self.records.condition(key, Expected::Revision(maker.revision))))
    }

    /// The keys that were made and not revoked, including expired ones. A key that cannot be read does not fail the
    /// list.
    ///
    /// # Errors
    /// Those of [`Records::each`].
    pub async fn list(&self, page: PageRequest) -> Result<ApiKeyPage, Error> {
        let mut page = self.read(page).await?;
        for info in &mut page.items {
            let used = match self.uses.get(&record_key(&info.id)?).await {
                // Then its last use is unknown.
                Err(error) if error.kind() == ErrorKind::Damaged => None,
                used => used?,
            };
            let day = used.and_then(|record| record.value.expose().parse().ok());
            info.last_used = day.map(|day: u64| Timestamp::from_ms(day.saturating_mul(DAY_MS)));
        }
        Ok(page)
    }

    /// The same, without the last use.
    async fn read(&self, page: PageRequest) -> Result<ApiKeyPage, Error> {
        let found = self.records.each(page).await?;
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for (key, record) in found.items {
            match record {
                // A record that is not a key's admits nobody, so it is not listed either.
                Ok(record) => items.extend(KeyRow::info(&record)),
                Err(error) => unreadable.push(format!("API key {key} cannot be read: {error}")),
            }
        }
        Ok(ApiKeyPage { items, unreadable, next: found.next })
    }

    /// A key that was made and not revoked, by its id, even if it has expired.
    ///
    /// # Errors
    /// Those of [`Records::get`].
    pub async fn info(&self, id: &DocumentId) -> Result<Option<ApiKeyInfo>, Error> {
        let record = self.records.get(&record_key(id)?).await?;
        Ok(record.as_ref().and_then(KeyRow::info))
    }

    /// The remaining keys that a key made, by itself or through keys that it made, in the order of their ids, whether
    /// the key itself still exists or not. Makers are noted from this release on. For a line of more than 64 keys, each
    /// made by the one before, the first and the last 32 are noted.
    ///
    /// # Errors
    /// Those of [`Records::each`].
    pub async fn made_by(&self, id: &DocumentId) -> Result<MadeKeys, Error> {
        let (mut made, mut page) = (MadeKeys::default(), PageRequest::first(PageRequest::LIMIT_MAX));
        loop {
            let found = self.read(page).await?;
            made.keys.extend(found.items.into_iter().filter(|key| key.makers.contains(id)));
            made.unreadable.extend(found.unreadable);
            let Some(next) = found.next else { return Ok(made) };
            page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
        }
    }

    /// Revokes the keys that a key [made](Self::made_by), and returns them. Revoke the key itself first. From now on no
    /// key of its line makes another, so that keys being made cannot hold this up.
    ///
    /// # Errors
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_made(&self, id: &DocumentId) -> Result<MadeKeys, Error> {
        let line = record_key(id)?;
        let renewed = self.end_line(&line).await?;
        let mut revoked = Vec::new();
        loop {
            // Again, for keys that were being made when the line was ended: they land only while their maker exists.
            let made = self.made_by(id).await?;
            if made.keys.is_empty() {
                return Ok(MadeKeys { keys: revoked, unreadable: made.unreadable, renewed });
            }
            for key in &made.keys {
                self.revoke(&key.id).await?;
            }
            revoked.extend(made.keys);
        }
    }

    /// Notes that this line was ended. Returns whether that renewed a note that cannot be read: in one batch, so that
    /// there is no moment without a note in which a key of the line could make another.
    async fn end_line(&self, line: &RecordKey) -> Result<bool, Error> {
        match self.ended_lines.put(line, "").await {
            Err(error) if error.kind() == ErrorKind::Damaged => {}
            noted => return noted.map(|_| false),
        }
        let over_damage = WriteOptions::expecting(Expected::Unreadable);
        match self.ended_lines.put_with(line, "", over_damage).await {
            // Another process was faster.
            Err(Error::Unexpected { .. }) => self.ended_lines.put(line, "").await,
            renewed => renewed,
        }
        .map(|_| true)
    }

    /// Whether a key was made here, and is neither revoked nor expired.
    ///
    /// # Errors
    /// Those of [`Records::get`].
    pub async fn admits(&self, key: &Secret, clock: &dyn Clock) -> Result<bool, Error> {
        let is_of = |key: &KeyText| key.org == *self.org.id() && key.environment == *self.org.environment();
        let Some(key) = KeyText::parse(key.expose()).filter(is_of) else { return Ok(false) };
        Ok(self.clone().admit(&key, clock).await?.is_some())
    }

    /// Revokes a key, even one that cannot be read: from now on it is refused. Returns whether there was one. The keys
    /// that it made stay valid: see [`made_by`](Self::made_by).
    ///
    /// # Errors
    /// Those of [`Records::delete`].
    pub async fn revoke(&self, id: &DocumentId) -> Result<bool, Error> {
        let use_too = WriteOptions::default().with_record(self.uses.removal(record_key(id)?));
        self.records.delete_with(&record_key(id)?, use_too).await
    }

    /// Notes that a key was used on this day, unless it is revoked before that lands: nothing would remove the note. A
    /// later day stays: the clock of another server may be ahead.
    pub(super) async fn note_used(&self, key: &RecordKey, day: u64) -> Result<(), Error> {
        let noted = self.uses.get(key).await?;
        let last = noted.as_ref().and_then(|noted| noted.value.expose().parse::<u64>().ok());
        if last.is_some_and(|last| last >= day) {
            return Ok(());
        }
        let Some(record) = self.records.get(key).await? else { return Ok(()) };
        let not_revoked = self.records.condition(key.clone(), Expected::Revision(record.revision));
        let options = WriteOptions::expecting(as_read(noted.as_ref())).with_record(not_revoked);
        self.uses.put_with(key, day.to_string(), options).await.map(drop)
    }
}

impl KeyRow {
    fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn decode(record: &Record) -> Option<Self> {
        serde_json::from_str(record.value.expose()).ok()
    }

    /// `None` for a record that is not a key's.
    fn info(record: &Record) -> Option<ApiKeyInfo> {
        let Self { name, expires_at, grant, makers, replaced, .. } = Self::decode(record)?;
        let (id, grant) = (record.key.as_str().parse().ok()?, Grant::of_row(grant));
        let (created_at, made_by) = (record.created_at, makers.last().copied());
        let last_used = None;
        Some(ApiKeyInfo { id, name, grant, created_at, expires_at, last_used, made_by, makers, replaced })
    }
}

impl fmt::Debug for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expires_at, by_itself } = self;
        f.debug_struct("Replaced").field("expires_at", expires_at).field("by_itself", by_itself).finish()
    }
}

pub(super) fn hash(secret: &[u8; SECRET_LEN]) -> [u8; SHA256_LEN] {
    Sha256::digest(secret).into()
}

pub(super) fn record_key(id: &DocumentId) -> Result<RecordKey, Error> {
    Ok(id.to_string().parse()?)
}

pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const NAME_BYTES_MAX: usize = 256;
pub(super) const SHA256_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use strongroom::{Environment, RawKey, Unlock, Vault};

    use super::*;

    async fn keys() -> ApiKeys {
        let unlock = Unlock::raw_key(RawKey::generate().unwrap());
        let vault = Vault::create(strongroom_memory::MemoryStore::new(), unlock).await.unwrap();
        ApiKeys::of(&vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())).unwrap()
    }

    async fn made(keys: &ApiKeys, makers: &[DocumentId]) -> Result<DocumentId, Error> {
        keys.create(NewApiKey::named("n").made_by(makers.to_vec())).await.map(|made| made.info.id)
    }

    #[tokio::test]
    async fn a_key_that_was_revoked_since_its_request_was_admitted_makes_none() {
        let keys = keys().await;
        let first = made(&keys, &[]).await.unwrap();
        let child = made(&keys, &[first]).await.unwrap();
        assert!(keys.revoke(&first).await.unwrap());
        assert!(matches!(made(&keys, &[first]).await, Err(Error::Unexpected { .. })));
        made(&keys, &[first, child]).await.unwrap();
    }

    #[tokio::test]
    async fn the_use_of_a_key_is_noted_only_while_it_is_not_revoked_and_never_on_an_earlier_day() {
        let keys = keys().await;
        let id = made(&keys, &[]).await.unwrap();
        let key = record_key(&id).unwrap();
        for (used, noted) in [(20_000, "20000"), (19_999, "20000"), (20_001, "20001")] {
            keys.note_used(&key, used).await.unwrap();
            assert_eq!(keys.uses.get(&key).await.unwrap().unwrap().value.expose(), noted);
        }
        assert!(keys.revoke(&id).await.unwrap());
        keys.note_used(&key, 20_002).await.unwrap();
        assert!(keys.uses.get(&key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn none_of_an_ended_line_makes_or_replaces_a_key() {
        let keys = keys().await;
        let (first, other) = (made(&keys, &[]).await.unwrap(), made(&keys, &[]).await.unwrap());
        let child = made(&keys, &[first]).await.unwrap();
        assert_eq!(keys.revoke_made(&first).await.unwrap().keys.len(), 1);
        for line in [&[first][..], &[first, child], &[first, other]] {
            assert!(matches!(made(&keys, line).await, Err(Error::Unexpected { .. })));
        }
        let until = Timestamp::from_ms(4_000_000_000_000);
        let replaced = async |line: &[DocumentId]| keys.replace(&other, until, None, line.to_vec()).await;
        assert!(matches!(replaced(&[first, other]).await, Err(Error::Unexpected { .. })));
        assert!(replaced(&[other]).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keys_that_go_on_making_keys_neither_outlive_nor_hold_up_that_their_line_is_revoked() {
        let keys = keys().await;
        for _ in 0..20 {
            let first = made(&keys, &[]).await.unwrap();
            let mut makers = Vec::new();
            for _ in 0..8 {
                let (keys, child) = (keys.clone(), made(&keys, &[first]).await.unwrap());
                makers.push(tokio::spawn(async move {
                    let mut line = vec![first, child];
                    // Each key makes the next one, until one is refused.
                    while let Ok(next) = made(&keys, &line).await {
                        line.push(next);
                    }
                }));
            }
            tokio::task::yield_now().await;
            keys.revoke(&first).await.unwrap();
            assert!(keys.revoke_made(&first).await.unwrap().keys.len() >= 8);
            for maker in makers {
                maker.await.unwrap();
            }
            assert!(keys.made_by(&first).await.unwrap().keys.is_empty());
        }
    }
}
