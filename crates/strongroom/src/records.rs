//! The host's own sealed rows: what it keeps beside variables, such as API keys and sessions.

mod changed;

use crate::clock::Timestamp;
use crate::envelope::{Context, Kind};
use crate::error::Error;
use crate::id::{Environment, Namespace, OrgId, RecordKey};
use crate::model::{Expected, Listing, PageRequest, Revision, Upsert};
use crate::options::WriteOptions;
use crate::org::Org;
use crate::record::Sheet;
use crate::secret::Secret;
use crate::store::{ReadBatch, Versioned};
use crate::tenant::{
    Draft, Freshness, Ground, Needs, SealedPut, Tenant, describe, fresh_if_stale, listed_id, until_landed,
};

pub use changed::{IfChanged, Stamp};

/// The records of one namespace of an org.
///
/// ```
/// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
/// let sessions = org.records("session".parse()?);
/// sessions.put(&"jti-1".parse()?, "user_12345").await?;
/// assert_eq!(sessions.get(&"jti-1".parse()?).await?.unwrap().value.expose(), "user_12345");
/// assert!(sessions.delete(&"jti-1".parse()?).await?);
/// # Ok::<(), strongroom::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Records {
    org: Org,
    namespace: Namespace,
}

/// One record.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Record {
    /// Its key within the namespace.
    pub key: RecordKey,
    /// Changes with every put.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last put.
    pub updated_at: Timestamp,
    /// What it holds; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

/// A put or a delete of a record, to be joined to the batch of another verb by [`WriteOptions::with_record`].
#[derive(Debug)]
#[must_use = "nothing is written until a verb takes it along"]
pub struct RecordWrite {
    org: OrgId,
    environment: Environment,
    namespace: Namespace,
    key: RecordKey,
    /// `None` deletes.
    value: Option<Secret>,
    expected: Expected,
}

impl RecordWrite {
    /// The same, only if the record is as expected.
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    fn is_of_same_record(&self, other: &Self) -> bool {
        (&self.namespace, &self.key) == (&other.namespace, &other.key)
    }
}

impl Records {
    pub(crate) fn new(org: Org, namespace: Namespace) -> Self {
        Self { org, namespace }
    }

    /// Which namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The record with this key.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// let notes = org.records("notes".parse()?);
    /// assert!(notes.get(&"a".parse()?).await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn get(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        fresh_if_stale!(|freshness| self.try_get(key, freshness))
    }

    /// Adds or updates a record; at most 64 KiB.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::Upsert;
    /// let notes = org.records("notes".parse()?);
    /// assert_eq!(notes.put(&"a".parse()?, "1").await?, Upsert::Added);
    /// assert_eq!(notes.put(&"a".parse()?, "2").await?, Upsert::Updated);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Contended`].
    pub async fn put(&self, key: &RecordKey, value: impl Into<Secret>) -> Result<Upsert, Error> {
        self.put_with(key, value, WriteOptions::default()).await
    }

    /// [`put`](Self::put), with conditions and companions.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Error, Expected, WriteOptions};
    /// let (sessions, id) = (org.records("session".parse()?), "jti-1".parse()?);
    /// let new = || WriteOptions::expecting(Expected::Absent);
    /// sessions.put_with(&id, "user_12345", new()).await?;
    /// let again = sessions.put_with(&id, "user_6", new()).await;
    /// assert!(matches!(again, Err(Error::Unexpected { .. })));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `put`, [`Error::Unexpected`], and [`Error::DuplicateRecord`] for a companion of the same key.
    pub async fn put_with(
        &self,
        key: &RecordKey,
        value: impl Into<Secret>,
        options: WriteOptions,
    ) -> Result<Upsert, Error> {
        let added = self.apply(self.write(key.clone(), value), &options).await?;
        Ok(if added { Upsert::Added } else { Upsert::Updated })
    }

    /// Deletes a record; answers whether there was one.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// assert!(notes.delete(&"a".parse()?).await?);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Contended`].
    pub async fn delete(&self, key: &RecordKey) -> Result<bool, Error> {
        self.delete_with(key, WriteOptions::default()).await
    }

    /// [`delete`](Self::delete), with conditions and companions. Where there is no record, nothing is written, unless
    /// one was expected.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// use strongroom::{Expected, WriteOptions};
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// let read = notes.get(&"a".parse()?).await?.unwrap();
    /// let as_read = WriteOptions::expecting(Expected::Revision(read.revision));
    /// assert!(notes.delete_with(&"a".parse()?, as_read).await?);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of `delete`, [`Error::Unexpected`], and [`Error::DuplicateRecord`] for a companion of the same key.
    pub async fn delete_with(&self, key: &RecordKey, options: WriteOptions) -> Result<bool, Error> {
        let absent = self.apply(self.removal(key.clone()), &options).await?;
        Ok(!absent)
    }

    /// The records of the namespace, in the order of the bytes of their keys.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// assert_eq!(notes.list(strongroom::PageRequest::first(100)).await?.items.len(), 1);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn list(&self, page: PageRequest) -> Result<Listing<Record>, Error> {
        let tenant = &*self.org.tenant;
        let range = tenant.keys.records(&self.namespace);
        tenant
            .list(None, &range, &page, |ground, key, row| {
                tenant.open_record(ground, &self.namespace, &listed_id(&range, key)?, row)
            })
            .await
    }

    /// A put that another verb takes along.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test());
    /// # org.define(strongroom::VariableDefinition::new("PORT", strongroom::VarFormat::Integer)).await?;
    /// use strongroom::{Scope, WriteOptions};
    /// let audit = org.records("audit".parse()?);
    /// let noted = WriteOptions::default().with_record(audit.write("1".parse()?, "PORT was set"));
    /// org.set_value_with("PORT", Scope::Org, "80", noted).await?; // both, or neither
    /// assert!(audit.get(&"1".parse()?).await?.is_some());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    pub fn write(&self, key: RecordKey, value: impl Into<Secret>) -> RecordWrite {
        self.companion(key, Some(value.into()))
    }

    /// A delete that another verb takes along.
    ///
    /// ```
    /// # futures_executor::block_on(async { let org = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, strongroom::Environment::test()); let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// use strongroom::WriteOptions;
    /// let sessions = org.records("session".parse()?);
    /// sessions.put(&"s1".parse()?, "user_12345").await?;
    /// let with_session = WriteOptions::default().with_record(sessions.removal("s1".parse()?));
    /// org.delete_account_with(account.id(), with_session).await?; // both, or neither
    /// assert!(sessions.get(&"s1".parse()?).await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    pub fn removal(&self, key: RecordKey) -> RecordWrite {
        self.companion(key, None)
    }

    fn companion(&self, key: RecordKey, value: Option<Secret>) -> RecordWrite {
        RecordWrite {
            org: *self.org.id(),
            environment: self.org.environment().clone(),
            namespace: self.namespace.clone(),
            key,
            value,
            expected: Expected::Any,
        }
    }

    async fn try_get(&self, key: &RecordKey, freshness: Freshness) -> Result<Option<Record>, Error> {
        let (ground, row) = self.read(key, freshness).await?;
        match row {
            Some(row) => self.org.tenant.open_record(&ground, &self.namespace, key, &row),
            None => Ok(None),
        }
    }

    /// The row of a record, and the org's keys.
    async fn read(
        &self,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Result<(Ground<'static>, Option<Versioned>), Error> {
        let tenant = &*self.org.tenant;
        let read = ReadBatch { gets: vec![tenant.keys.record(&self.namespace, key)], scans: Vec::new() };
        let (ground, mut set) = tenant.read(&Needs::org_keys().freshness(freshness), read).await?;
        Ok((ground, set.gets.pop().flatten()))
    }

    /// Applies one write with its companions; answers whether there was no such record before.
    async fn apply(&self, write: RecordWrite, options: &WriteOptions) -> Result<bool, Error> {
        if options.records.iter().any(|companion| companion.is_of_same_record(&write)) {
            return Err(Error::DuplicateRecord);
        }
        let write = write.expecting(options.expected);
        until_landed!(|freshness| self.try_apply(&write, &options.records, freshness))
    }

    async fn try_apply(
        &self,
        write: &RecordWrite,
        companions: &[RecordWrite],
        freshness: Freshness,
    ) -> Result<Option<bool>, Error> {
        let tenant = &*self.org.tenant;
        let (ground, _) = tenant.read(&Needs::org_keys().freshness(freshness), ReadBatch::default()).await?;
        let mut draft = Draft::new(tenant, &ground);
        let absent = draft.put_record(write).await?;
        if absent && write.value.is_none() {
            return Ok(Some(true));
        }
        draft.put_records(companions).await?;
        Ok(draft.commit().await?.map(|_| absent))
    }
}

impl Tenant {
    fn check_record(&self, value: &Secret) -> Result<(), Error> {
        let max = self.engine.limits.value_bytes();
        if value.len() > max { Err(Error::TooLong { what: "a record", max }) } else { Ok(()) }
    }

    pub(crate) fn open_record(
        &self,
        ground: &Ground<'_>,
        namespace: &Namespace,
        key: &RecordKey,
        row: &Versioned,
    ) -> Result<Option<Record>, Error> {
        let key_name = key_name(namespace, key);
        let context = self.record_context(&key_name);
        let Some(opened) = self.open(ground.keys(None), &context, &row.value)? else { return Ok(None) };
        let sheet = Sheet::decode(opened.plaintext).map_err(|error| Error::row(describe(&context), error))?;
        Ok(Some(Record {
            key: key.clone(),
            revision: opened.revision,
            created_at: sheet.created_at,
            updated_at: sheet.updated_at,
            value: sheet.value,
        }))
    }

    pub(crate) fn record_context<'a>(&'a self, key_name: &'a str) -> Context<'a> {
        Context { key_name, ..self.context(Kind::Row, "record") }
    }
}

impl Draft<'_> {
    /// Takes writes of records along.
    pub(crate) async fn put_records(&mut self, records: &[RecordWrite]) -> Result<(), Error> {
        for (index, record) in records.iter().enumerate() {
            if records.iter().take(index).any(|earlier| earlier.is_of_same_record(record)) {
                return Err(Error::DuplicateRecord);
            }
            self.put_record(record).await?;
        }
        Ok(())
    }

    /// Takes one write of a record along; answers whether there was no such record before.
    async fn put_record(&mut self, write: &RecordWrite) -> Result<bool, Error> {
        let tenant = self.tenant();
        if (write.org, &write.environment) != (tenant.org, &tenant.environment) {
            return Err(Error::ForeignRecord);
        }
        let key = tenant.keys.record(&write.namespace, &write.key);
        let row = tenant.engine.get(key.clone()).await?;
        let standing = match &row {
            Some(row) => tenant.open_record(self.ground(), &write.namespace, &write.key, row)?,
            None => None,
        };
        WriteOptions::expecting(write.expected).check(standing.as_ref().map(|record| record.revision))?;
        let read = row.map(|row| row.revision);
        let Some(value) = &write.value else {
            if read.is_some() {
                self.expect_as_read(key.clone(), read);
                self.delete(key);
            }
            return Ok(standing.is_none());
        };
        tenant.check_record(value)?;
        let now = tenant.engine.now();
        let created_at = standing.as_ref().map_or(now, |record| record.created_at);
        let revision = standing.as_ref().map_or_else(Revision::first, |record| Ok(record.revision.next()))?;
        let key_name = key_name(&write.namespace, &write.key);
        let context = tenant.record_context(&key_name);
        let plaintext = Sheet::encode(value, created_at, now);
        self.expect_as_read(key.clone(), read);
        self.put_sealed(None, SealedPut { key, context, doc_id: None, revision, plaintext: &plaintext })?;
        Ok(standing.is_none())
    }
}

pub(crate) fn key_name(namespace: &Namespace, key: &RecordKey) -> String {
    [namespace.as_str(), "\0", key.as_str()].concat()
}
