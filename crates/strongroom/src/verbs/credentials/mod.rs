//! Verbs on credentials.

pub(crate) mod history;
mod landing;
pub(crate) mod many;
mod patience;
pub(crate) mod refresh;
mod search;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::observer::{Call, Observed};
use crate::error::Error;
use crate::id::{AppId, ConnectionId, CredentialKey, IntegrationId, LinkedAccountId};
use crate::jobs::until_landed;
use crate::model::{
    Credential, CredentialInfo, CredentialWritten, EventKind, Expected, Listing, PageRequest, Standing,
};
use crate::row::body::{AccountBody, IntegrationBody};
use crate::row::{Subject, parse_last_id};
use crate::secret::Secret;
use crate::store::{Key, KeyRange, Versioned};
use crate::tenant::credential::credential_change;
use crate::tenant::{
    Attempt, Draft, Freshness, List, Loaded, Needs, NewCredential, View, WriteOptions, fresh_if_stale,
};
use crate::verbs::account::Account;

use many::Extent;
pub use many::Replaced;
pub use refresh::Refreshed;
pub use seen::Credentials;

/// The credentials of one integration (app) of a linked account: of its default connection, or of another
/// [`connection`](Self::connection).
#[derive(Debug, Clone)]
pub struct AppCredentials {
    account: Account,
    integration: IntegrationId,
    connection: Option<ConnectionId>,
    app: AppId,
}

/// The rows that a verb on credentials needs, and what is needed to open them.
struct Read<'g> {
    view: View<'g>,
    app: AppRows,
    /// Those to be written that were deleted with their history kept.
    deleted: BTreeMap<CredentialKey, Versioned>,
}

/// An integration and the rows of its credentials, as they were at one point.
struct AppRows {
    account: Loaded<AccountBody>,
    integration: Loaded<IntegrationBody>,
    rows: BTreeMap<CredentialKey, Versioned>,
}

/// Whether the deletion of a credential of which only a history is left is in the audit already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    No,
    Yes,
}

impl AppCredentials {
    pub(crate) fn new(account: Account, integration: IntegrationId) -> Self {
        let app = AppId::of(&integration, None);
        Self { account, integration, connection: None, app }
    }

    /// The credentials of another connection of the integration, such as a second workspace of the customer. Each
    /// connection has its own credentials, refreshes and history. [`Account::add_connection`] adds one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let (crm, work) = ("crm".parse()?, "work".parse()?);
    /// account.add_connection(&crm, &work).await?;
    /// let app = account.app(crm).connection(work);
    /// app.upsert("token", "t1").await?;
    /// assert_eq!(app.get("token").await?.unwrap().info.connection, app.connection_id().cloned());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn connection(&self, connection: ConnectionId) -> Self {
        let app = AppId::of(&self.integration, Some(&connection));
        let (account, integration) = (self.account.clone(), self.integration.clone());
        Self { account, integration, connection: Some(connection), app }
    }

    /// The slug of the integration.
    #[must_use]
    pub fn integration(&self) -> &IntegrationId {
        &self.integration
    }

    /// The connection; `None` for the default one.
    #[must_use]
    pub fn connection_id(&self) -> Option<&ConnectionId> {
        self.connection.as_ref()
    }

    /// Adds or updates a credential. It is sealed under the account's own key.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::Upsert;
    /// account.add_integration(&"crm".parse()?).await?;
    /// let crm = account.app("crm".parse()?);
    /// assert_eq!(crm.upsert("token", "t1").await?.action, Upsert::Added);
    /// let written = crm.upsert("token", "t2").await?;
    /// assert_eq!(written.action, Upsert::Updated);
    /// assert_eq!(crm.get("token").await?.unwrap().info, written.info); // with the revision that is now there
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id) for an invalid key name; [`Error::TooLong`];
    /// [`Error::OverQuota`]; [`Error::Contended`].
    pub async fn upsert(&self, key_name: &str, value: impl Into<Secret>) -> Result<CredentialWritten, Error> {
        self.upsert_with(key_name, value, WriteOptions::default()).await
    }

    /// [`upsert`](Self::upsert) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Error, Expected, WriteOptions};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let known = app.upsert("api_key", "k1").await?.info.revision;
    /// let if_known = || WriteOptions::expecting(Expected::Revision(known));
    /// app.upsert_with("api_key", "k2", if_known()).await?;
    /// assert!(matches!(app.upsert_with("api_key", "k3", if_known()).await, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `upsert`, and [`Error::Unexpected`].
    pub async fn upsert_with(
        &self,
        key_name: &str,
        value: impl Into<Secret>,
        mut options: WriteOptions,
    ) -> Result<CredentialWritten, Error> {
        // The condition of a single write is on its credential; that of a write of many is on all of them together.
        let expected = std::mem::take(&mut options.expected);
        let new = [NewCredential::new(key_name, value).expecting(expected)];
        let mut written = self.write(&new, Extent::Given, &options).await?.written;
        written.pop().ok_or_else(Error::no_result)
    }

    /// The credential with this key name, if there is one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.add_integration(&"crm".parse()?).await?;
    /// let crm = account.app("crm".parse()?);
    /// crm.upsert("token", "t1").await?;
    /// assert_eq!(crm.get("token").await?.map(|found| found.value.expose().to_owned()).as_deref(), Some("t1"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id).
    pub async fn get(&self, key_name: &str) -> Result<Option<Credential>, Error> {
        let key_name = key_name.parse()?;
        let get = fresh_if_stale(|freshness| self.try_get(&key_name, freshness));
        self.observed("credential", Some(&key_name), get).await
    }

    /// The key names and times of the credentials, without values, in the byte order of the key names.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// let page = app.list(strongroom::PageRequest::first(100)).await?;
    /// assert!(page.items.len() == 1 && page.next.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`]: one
    /// that cannot be read fails the whole list. [`each`](Self::each) has the others.
    pub async fn list(&self, page: PageRequest) -> Result<Listing<CredentialInfo>, Error> {
        self.list_known(page, None).await
    }

    /// The same, each with its key name. A credential that cannot be read does not fail the list: its place holds the
    /// reason.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// let page = app.each(strongroom::PageRequest::first(100)).await?;
    /// assert!(page.items.iter().all(|(key_name, info)| key_name.as_str() == "api_key" && info.is_ok()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Error::Damaged`] and [`Error::UnknownVersion`] if the keys cannot be read;
    /// [`Error::Store`].
    pub async fn each(
        &self,
        page: PageRequest,
    ) -> Result<Listing<(CredentialKey, Result<CredentialInfo, Error>)>, Error> {
        let range = self.range();
        // With keys that may be out of date, all of them would seem to be damaged.
        let list = List::new(CREDENTIALS, &range).fresh();
        let listed = self.listed(
            list,
            &page,
            |_| true,
            |view, key, row| {
                // Not the key of a credential: `verify` reports it, and it does not hide the rest.
                let Some(key_name) = parse_last_id(&range, key) else { return Ok(None) };
                match self.open_info(view, &key_name, row) {
                    Ok(info) => Ok(info.map(|info| (key_name, Ok(info)))),
                    Err(error) if error.is_damage() => Ok(Some((key_name, Err(error)))),
                    Err(error) => Err(error),
                }
            },
        );
        self.observed("each_credential", None, listed).await
    }

    /// A page of the credentials; if there is a list of names, only of those.
    pub(crate) async fn list_known(
        &self,
        page: PageRequest,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Listing<CredentialInfo>, Error> {
        let range = self.range();
        let knows = |key: &Key| {
            let known = |name: CredentialKey| names.is_some_and(|names| names.contains(name.as_str()));
            names.is_none() || parse_last_id(&range, key).is_some_and(known)
        };
        let listed = self.listed(List::new(CREDENTIALS, &range), &page, knows, |view, key, row| {
            // Not the key of a credential: `verify` reports it, and it does not hide the rest.
            let Some(key_name) = parse_last_id(&range, key) else { return Ok(None) };
            self.open_info(view, &key_name, row)
        });
        self.observed("list_credentials", None, listed).await
    }

    /// Deletes a credential. Returns whether there was one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// assert!(app.delete("api_key").await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id).
    pub async fn delete(&self, key_name: &str) -> Result<bool, Error> {
        self.delete_with(key_name, WriteOptions::default()).await
    }

    /// [`delete`](Self::delete) with [`WriteOptions`]. If there is no credential, no records are written; if one was
    /// deleted with its history kept, that history is deleted: with [`Expected::Deleted`] only if the credential was
    /// neither set nor deleted again since. With [`WriteOptions::keep_history`], [`undelete`](Self::undelete) can bring
    /// the credential back. If the credential cannot be opened and has former versions, that is refused; a delete
    /// without it deletes all of them.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Error, Expected, WriteOptions};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// let absent = WriteOptions::expecting(Expected::Absent);
    /// assert!(matches!(app.delete_with("api_key", absent).await, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `delete`, [`Error::Unexpected`], and [`Error::Damaged`] and [`Error::UnknownKey`] for a row that cannot
    /// be opened if there is a condition, or former versions that are to be kept.
    pub async fn delete_with(&self, key_name: &str, options: WriteOptions) -> Result<bool, Error> {
        let key_name = key_name.parse()?;
        let tenant = &*self.account.org().tenant;
        let noted = Noted::No;
        let delete = until_landed(tenant, |freshness| self.try_delete(&key_name, &options, noted, freshness));
        self.observed("delete_credential", Some(&key_name), delete).await
    }

    /// The same credentials for the verbs that a verb is made of.
    fn unobserved(&self) -> Self {
        Self { account: self.account.unobserved(), ..self.clone() }
    }

    /// Runs a verb, and tells the observer how it ended.
    fn observed<'o, T>(
        &'o self,
        verb: &'static str,
        key_name: Option<&'o CredentialKey>,
        run: impl Future<Output = Result<T, Error>> + 'o,
    ) -> impl Future<Output = Result<T, Error>> + 'o {
        self.account.org().tenant.observed(self.call(verb, key_name), run)
    }

    /// Tells the observer, if there is one, how the verb that runs from now on ended.
    fn observe<'o>(&'o self, verb: &'static str, key_name: Option<&'o CredentialKey>) -> Observed<'o> {
        self.account.org().tenant.observe(self.call(verb, key_name))
    }

    fn call<'o>(&'o self, verb: &'static str, key_name: Option<&'o CredentialKey>) -> Call<'o> {
        let call = Call::of(verb).account(self.account.id());
        let call = call.of_app(&self.integration, self.connection.as_ref());
        key_name.map_or(call, |key_name| call.named(key_name.as_str()))
    }

    async fn try_get(
        &self,
        key_name: &CredentialKey,
        freshness: Freshness,
    ) -> Result<Option<Credential>, Error> {
        let owner = [self.account.id()];
        let read = self.read(&owner, &[key_name], &[], freshness).await?;
        let Some(row) = read.app.rows.get(key_name) else { return Ok(None) };
        let address = (self.account.id(), &self.app, key_name);
        self.account.org().tenant.open_credential(&read.view, address, row)
    }

    async fn try_delete(
        &self,
        key_name: &CredentialKey,
        options: &WriteOptions,
        noted: Noted,
        freshness: Freshness,
    ) -> Result<Attempt<bool>, Error> {
        let tenant = &*self.account.org().tenant;
        let owner = [self.account.id()];
        // Whether it was deleted matters only if that is expected.
        let was_deleted = Some(key_name).filter(|_| matches!(options.expected, Expected::Deleted(_)));
        let read = self.read(&owner, &[key_name], was_deleted.as_slice(), freshness).await?;
        let address = (self.account.id(), &self.app, key_name);
        let subject = Subject::credential(self.account.id(), &self.app, key_name);
        let row = read.app.rows.get(key_name);
        let (found, is_damaged) = match row.map(|row| tenant.find_credential(&read.view, address, row)) {
            // With a condition it is refused, since the condition cannot be checked.
            Some(Err(Error::Damaged { .. })) if options.expected == Expected::Any => (None, true),
            found => (found.transpose()?.flatten(), false),
        };
        let keys = read.view.keys(Some(self.account.id()));
        options.check(match found {
            Some(_) => Standing::from(found),
            None => tenant.standing_of_absent(keys, &subject, read.deleted.get(key_name))?,
        })?;
        let mut draft = Draft::new(tenant, &read.view);
        draft.makes_room();
        let kept = tenant.engine.history_versions;
        let Some(row) = row.filter(|_| found.is_some() || is_damaged) else {
            // Delete only a history that was kept. Write no records: they belong to the change of a credential.
            if !options.keeps_history {
                draft.delete_history(tenant.history_to_delete(&subject).await?);
            }
            if draft.is_empty() {
                return Ok(Attempt::Landed(false));
            }
            if noted == Noted::No {
                draft.note(|| credential_change(EventKind::CredentialDeleted, address));
            }
            self.note_change(&mut draft, &read.app)?;
            for registration in &options.registered {
                draft.expect_registered(registration).await?;
            }
            return Ok(draft.commit().await?.map(|_| false));
        };
        draft.delete_credential(address, row, found);
        if is_damaged {
            draft.note(|| credential_change(EventKind::CredentialDeleted, address));
        }
        draft.end_history(&subject, row, kept, options).await?;
        self.note_change(&mut draft, &read.app)?;
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| true))
    }

    /// Reads the account, the integration and the rows of credentials with these names; for those that are to be
    /// `written`, also whether they were deleted. Fails if the account or the integration does not exist.
    async fn read<'g>(
        &self,
        owner: &'g [&'g LinkedAccountId; 1],
        key_names: &[&CredentialKey],
        written: &[&CredentialKey],
        freshness: Freshness,
    ) -> Result<Read<'g>, Error> {
        let tenant = &*self.account.org().tenant;
        let (account, app) = (self.account.id(), &self.app);
        let mut gets = vec![tenant.id.account(account).key(), tenant.id.integration(account, app).key()];
        gets.extend(key_names.iter().map(|name| tenant.id.credential(account, app, name).key()));
        gets.extend(written.iter().map(|name| self.deletion_of(name)));
        let needs = Needs::org_keys().accounts(owner).freshness(freshness);
        let (view, found) = tenant.read(&needs, gets).await?;
        let mut found = found.into_iter();
        let owners = [found.next().flatten(), found.next().flatten()];
        let (account, integration) =
            tenant.live_integration(&view, self.account.registration(), app, &owners)?;
        let row_of = |(name, row): (&&CredentialKey, Option<Versioned>)| Some(((*name).clone(), row?));
        let rows = key_names.iter().zip(found.by_ref()).filter_map(row_of).collect();
        let deleted = written.iter().zip(found).filter_map(row_of).collect();
        Ok(Read { view, app: AppRows { account, integration, rows }, deleted })
    }

    /// The key of the integration's row.
    fn key(&self) -> Key {
        self.account.org().tenant.id.integration(self.account.id(), &self.app).key()
    }

    /// The key of the row that notes that a credential was deleted.
    fn deletion_of(&self, key_name: &CredentialKey) -> Key {
        let tenant = &*self.account.org().tenant;
        tenant.id.deleted(&Subject::credential(self.account.id(), &self.app, key_name)).key()
    }

    /// A page of what `open` makes of the credentials that `knows` takes.
    async fn listed<T>(
        &self,
        list: List<'_>,
        page: &PageRequest,
        knows: impl Fn(&Key) -> bool,
        open: impl Fn(&View<'_>, &Key, &Versioned) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        self.refuse_missing().await?;
        let list = list.of_account(Some(self.account.id()));
        let listed = self.account.org().tenant.list_known(list, page, knows, open).await?;
        self.account.refuse_ended().await?;
        Ok(listed)
    }

    fn open_info(
        &self,
        view: &View<'_>,
        key_name: &CredentialKey,
        row: &Versioned,
    ) -> Result<Option<CredentialInfo>, Error> {
        let address = (self.account.id(), &self.app, key_name);
        let credential = self.account.org().tenant.open_credential(view, address, row)?;
        Ok(credential.map(|credential| credential.info))
    }

    fn range(&self) -> KeyRange {
        self.account.org().tenant.id.credentials(self.account.id(), &self.app)
    }

    /// Fails if the account or the integration does not exist.
    pub(crate) async fn refuse_missing(&self) -> Result<(), Error> {
        let tenant = &*self.account.org().tenant;
        let (account, app) = (self.account.id(), &self.app);
        let gets = [tenant.id.account(account).key(), tenant.id.integration(account, app).key()];
        let (view, owners) = tenant.read(&Needs::org_keys(), gets).await?;
        tenant.live_integration(&view, self.account.registration(), app, &owners).map(drop)
    }

    /// Expects the integration as it was read, so that a delete of it makes the batch fail. Also bumps the account's
    /// generation.
    fn note_change(&self, draft: &mut Draft<'_>, app: &AppRows) -> Result<(), Error> {
        draft.expect_as_read(self.key(), Some(app.integration.row_revision));
        draft.bump_generation(self.account.id(), &app.account)
    }
}

/// The list of the credentials of a connection.
const CREDENTIALS: &str = "credentials";
