//! The host's own sealed records.

pub(crate) mod changed;

use crate::engine::observer::Call;
use crate::error::{Error, Invalid};
use crate::id::{LinkedAccountId, Namespace, RecordKey};
use crate::jobs::until_landed;
use crate::model::{Expected, Listing, PageRequest};
use crate::row::parse_last_id;
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::record::{Record, RecordChange, RecordWritten};
use crate::tenant::{
    Attempt, Draft, Freshness, List, Needs, RecordAccess, RecordAction, RecordWrite, View, WriteOptions,
    fresh_if_stale,
};
use crate::verbs::org::Org;

pub use changed::{IfChanged, Stamp};

/// The records of one namespace of an org.
///
/// ```
/// # strongroom_conformance::with_org(async |org| {
/// let visits = org.records("visits".parse()?);
/// visits.put(&"jti-1".parse()?, "user_12345").await?;
/// assert_eq!(visits.get(&"jti-1".parse()?).await?.unwrap().value.expose(), "user_12345");
/// assert!(visits.delete(&"jti-1".parse()?).await?);
/// # Ok(()) });
/// ```
#[derive(Debug, Clone)]
pub struct Records {
    org: Org,
    namespace: Namespace,
    access: RecordAccess,
    /// The linked account that the events of its writes name.
    account: Option<LinkedAccountId>,
}

impl Records {
    pub(crate) fn new(org: Org, namespace: Namespace, access: RecordAccess) -> Self {
        Self { org, namespace, access, account: None }
    }

    /// The same records, with each write naming this linked account in its event: the audit does not show the keys of
    /// records, so otherwise it would not say whose a record is.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{AuditFilter, Environment, PageRequest};
    /// vault.change_settings(|settings| settings.audit = true).await?;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let visits = org.records("visits".parse()?).about("user_12345".parse()?);
    /// visits.put(&"jti-1".parse()?, "").await?;
    /// let of_account = AuditFilter::all().linked_account("user_12345".parse()?);
    /// assert_eq!(org.audit(&of_account, PageRequest::first(9)).await?.items.len(), 1);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn about(&self, account: LinkedAccountId) -> Self {
        Self { account: Some(account), ..self.clone() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The record with this key.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let notes = org.records("notes".parse()?);
    /// assert!(notes.get(&"a".parse()?).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn get(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        let get = fresh_if_stale(|freshness| self.try_get(key, freshness));
        self.org.tenant.observed(Call::of("record").named(key.as_str()), get).await
    }

    /// Adds or updates a record of at most 64 KiB.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::Upsert;
    /// let notes = org.records("notes".parse()?);
    /// assert_eq!(notes.put(&"a".parse()?, "1").await?.action, Upsert::Added);
    /// let written = notes.put(&"a".parse()?, "2").await?;
    /// assert_eq!(written.action, Upsert::Updated);
    /// assert_eq!(notes.get(&"a".parse()?).await?.unwrap().revision, written.revision);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::ReservedNamespace`](crate::Invalid::ReservedNamespace); [`Error::TooLong`]; [`Error::Contended`].
    pub async fn put(&self, key: &RecordKey, value: impl Into<Secret>) -> Result<RecordWritten, Error> {
        self.put_with(key, value, WriteOptions::default()).await
    }

    /// [`put`](Self::put) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Expected, WriteOptions};
    /// let (visits, id) = (org.records("visits".parse()?), "jti-1".parse()?);
    /// let new = || WriteOptions::expecting(Expected::Absent);
    /// visits.put_with(&id, "user_12345", new()).await?;
    /// let again = visits.put_with(&id, "user_6", new()).await;
    /// assert!(matches!(again, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `put`, [`Error::Unexpected`], and [`Invalid::DuplicateRecord`](crate::Invalid::DuplicateRecord) if
    /// the options write the same record.
    pub async fn put_with(
        &self,
        key: &RecordKey,
        value: impl Into<Secret>,
        options: WriteOptions,
    ) -> Result<RecordWritten, Error> {
        match self.apply(self.write(key.clone(), value), &options).await? {
            RecordChange::Put(written) => Ok(written),
            // A write with a value is a put.
            RecordChange::Deleted | RecordChange::Absent | RecordChange::Expected => Err(Error::no_result()),
        }
    }

    /// Deletes a record, even one that cannot be read. Returns whether there was one.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// assert!(notes.delete(&"a".parse()?).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::ReservedNamespace`](crate::Invalid::ReservedNamespace); [`Error::Contended`].
    pub async fn delete(&self, key: &RecordKey) -> Result<bool, Error> {
        self.delete_with(key, WriteOptions::default()).await
    }

    /// [`delete`](Self::delete) with [`WriteOptions`]. If there is no record, nothing is written, not even the other
    /// records.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Expected, WriteOptions};
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// let read = notes.get(&"a".parse()?).await?.unwrap();
    /// let as_read = WriteOptions::expecting(Expected::Revision(read.revision));
    /// assert!(notes.delete_with(&"a".parse()?, as_read).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `delete`, [`Error::Unexpected`], and [`Invalid::DuplicateRecord`](crate::Invalid::DuplicateRecord)
    /// if the options write the same record.
    pub async fn delete_with(&self, key: &RecordKey, options: WriteOptions) -> Result<bool, Error> {
        let change = self.apply(self.removal(key.clone()), &options).await?;
        Ok(matches!(change, RecordChange::Deleted))
    }

    /// The records of the namespace, in the order of the bytes of their keys.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// assert_eq!(notes.list(strongroom::PageRequest::first(100)).await?.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn list(&self, page: PageRequest) -> Result<Listing<Record>, Error> {
        let run = async {
            let tenant = &*self.org.tenant;
            let range = tenant.id.records(&self.namespace);
            tenant
                .list(List::new("records", &range), &page, |view, key, row| {
                    // Not the key of a record: `verify` reports it, and it does not hide the rest.
                    let Some(key) = parse_last_id(&range, key) else { return Ok(None) };
                    tenant.open_record(view, &self.namespace, &key, row)
                })
                .await
        };
        self.org.tenant.observed(Call::of("list_records").named(self.namespace.as_str()), run).await
    }

    /// The records, each with its key. A record that cannot be read does not fail the list: its place holds the reason.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let notes = org.records("notes".parse()?);
    /// notes.put(&"a".parse()?, "1").await?;
    /// let page = notes.each(strongroom::PageRequest::first(100)).await?;
    /// assert!(page.items.iter().all(|(key, record)| key.as_str() == "a" && record.is_ok()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the org's keys cannot be read; [`Error::Store`].
    pub async fn each(
        &self,
        page: PageRequest,
    ) -> Result<Listing<(RecordKey, Result<Record, Error>)>, Error> {
        let run = async {
            let tenant = &*self.org.tenant;
            let range = tenant.id.records(&self.namespace);
            // With keys that may be out of date, all of them would seem to be damaged.
            let list = List::new("records", &range).fresh();
            tenant
                .list(list, &page, |view, key, row| {
                    // Not the key of a record: `verify` reports it, and it does not hide the rest.
                    let Some(key) = parse_last_id::<RecordKey>(&range, key) else { return Ok(None) };
                    match tenant.open_record(view, &self.namespace, &key, row) {
                        Ok(record) => Ok(record.map(|record| (key, Ok(record)))),
                        Err(error) if error.is_damage() => Ok(Some((key, Err(error)))),
                        Err(error) => Err(error),
                    }
                })
                .await
        };
        self.org.tenant.observed(Call::of("each_record").named(self.namespace.as_str()), run).await
    }

    /// A put that joins the batch of another verb.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, WriteOptions};
    /// let audit = org.records("audit".parse()?);
    /// let noted = WriteOptions::default().with_record(audit.write("1".parse()?, "PORT was set"));
    /// org.set_value_with("PORT", Scope::Org, "80", noted).await?; // both, or neither
    /// assert!(audit.get(&"1".parse()?).await?.is_some());
    /// # Ok(()) });
    /// ```
    pub fn write(&self, key: RecordKey, value: impl Into<Secret>) -> RecordWrite {
        self.companion(key, RecordAction::Put(value.into()))
    }

    /// A delete that joins the batch of another verb.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// use strongroom::WriteOptions;
    /// let visits = org.records("visits".parse()?);
    /// visits.put(&"s1".parse()?, "user_12345").await?;
    /// let with_session = WriteOptions::default().with_record(visits.removal("s1".parse()?));
    /// org.delete_account_with(account.id(), with_session).await?; // both, or neither
    /// assert!(visits.get(&"s1".parse()?).await?.is_none());
    /// # Ok(()) });
    /// ```
    pub fn removal(&self, key: RecordKey) -> RecordWrite {
        self.companion(key, RecordAction::Delete)
    }

    /// A condition that joins the batch of another verb: the batch is written only if the record is as expected. The
    /// record itself stays as it is.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Error, Expected, RecordKey, Scope, WriteOptions};
    /// let (freezes, all) = (org.records("freeze".parse()?), "all".parse::<RecordKey>()?);
    /// freezes.put(&all, "since Monday").await?;
    /// let unfrozen = WriteOptions::default().with_record(freezes.condition(all, Expected::Absent));
    /// let frozen = org.set_value_with("PORT", Scope::Org, "81", unfrozen).await;
    /// assert!(matches!(frozen, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    pub fn condition(&self, key: RecordKey, expected: Expected) -> RecordWrite {
        self.companion(key, RecordAction::Expect).expecting(expected)
    }

    fn companion(&self, key: RecordKey, action: RecordAction) -> RecordWrite {
        RecordWrite {
            org: *self.org.id(),
            environment: self.org.environment().clone(),
            namespace: self.namespace.clone(),
            key,
            action,
            access: self.access,
            account: self.account.clone(),
            expected: Expected::Any,
        }
    }

    async fn try_get(&self, key: &RecordKey, freshness: Freshness) -> Result<Option<Record>, Error> {
        let (view, row) = self.read(key, freshness).await?;
        match row {
            Some(row) => self.org.tenant.open_record(&view, &self.namespace, key, &row),
            None => {
                self.note_absent(&view, key);
                Ok(None)
            }
        }
    }

    /// If keys are not used again, a record that is gone once is gone for good.
    fn note_absent(&self, view: &View<'_>, key: &RecordKey) {
        let tenant = &*self.org.tenant;
        tenant.is_newest_record(view, &self.namespace, &tenant.id.record(&self.namespace, key).key(), None);
    }

    /// The row of a record, and the org's keys.
    async fn read(
        &self,
        key: &RecordKey,
        freshness: Freshness,
    ) -> Result<(View<'static>, Option<Versioned>), Error> {
        let tenant = &*self.org.tenant;
        let gets = [tenant.id.record(&self.namespace, key).key()];
        let (view, [row]) = tenant.read(&Needs::org_keys().freshness(freshness), gets).await?;
        Ok((view, row))
    }

    /// Applies one write and its companions.
    async fn apply(&self, write: RecordWrite, options: &WriteOptions) -> Result<RecordChange, Error> {
        // A batch cannot expect one row in two states.
        if options.records.iter().any(|companion| companion.is_of_same_record(&write)) {
            return Err(Error::Invalid(Invalid::DuplicateRecord));
        }
        options.refuse_expiry()?;
        let write = write.expecting(options.expected);
        let apply = until_landed(&self.org.tenant, |freshness| self.try_apply(&write, options, freshness));
        self.org.tenant.observed(Call::of("write_record").named(write.key.as_str()), apply).await
    }

    async fn try_apply(
        &self,
        write: &RecordWrite,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<RecordChange>, Error> {
        let tenant = &*self.org.tenant;
        let (view, ()) = tenant.read(&Needs::org_keys().freshness(freshness), ()).await?;
        let mut draft = Draft::new(tenant, &view);
        let change = draft.put_record(write).await?;
        if matches!(change, RecordChange::Absent) {
            return Ok(Attempt::Landed(change));
        }
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| change))
    }
}
