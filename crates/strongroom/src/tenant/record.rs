//! The rows of the host's own records.

use crate::clock::Timestamp;
use crate::envelope::Context;
use crate::envelope::Kind;
use crate::error::Error;
use crate::id::Environment;
use crate::id::Namespace;
use crate::id::OrgId;
use crate::id::RecordKey;
use crate::model::Expected;
use crate::model::Revision;
use crate::row::body::Sheet;
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::Ground;
use crate::tenant::SealedPut;
use crate::tenant::Tenant;
use crate::tenant::WriteOptions;
use crate::tenant::describe;

/// A put or a delete of a record, to be joined to the batch of another verb by [`WriteOptions::with_record`].
#[derive(Debug)]
#[must_use = "nothing is written until a verb takes it along"]
pub struct RecordWrite {
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    pub(crate) namespace: Namespace,
    pub(crate) key: RecordKey,
    /// `None` deletes.
    pub(crate) value: Option<Secret>,
    pub(crate) expected: Expected,
}

impl RecordWrite {
    /// The same, only if the record is as expected.
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub(crate) fn is_of_same_record(&self, other: &Self) -> bool {
        (&self.namespace, &self.key) == (&other.namespace, &other.key)
    }
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
    pub(crate) async fn put_record(&mut self, write: &RecordWrite) -> Result<bool, Error> {
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
