//! Creating and updating linked accounts, with their integrations and credentials, in one batch.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::iter;
use std::pin::Pin;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::{AppId, ConnectionId, IntegrationId, LinkedAccountId};
use crate::jobs::{finish_job, until_landed};
use crate::limits::{ACCOUNT_NAME_BYTES_MAX, UDF_BYTES_MAX};
use crate::model::{CredentialWritten, EventKind, Expected, Integration, LinkedAccount, Upsert};
use crate::row::Subject;
use crate::row::body::{AccountBody, IntegrationBody};
use crate::secret::Secret;
use crate::store::{Key, Versioned};
use crate::tenant::{
    Attempt, DocumentRows, Draft, Freshness, Loaded, Needs, NewCredential, ParsedCredential, RecordWrite,
    Registration, Tenant, View, WriteOptions, at_most,
};
use crate::verbs::account::Account;
use crate::verbs::org::Org;

impl Org {
    /// Registers a linked account. Await it, after adding a name, credentials and so on.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::Upsert;
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// assert_eq!(account.upsert_credential("api_key", "k1").await?.action, Upsert::Added);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountExists`]; [`Error::OverQuota`]; [`Error::TooLong`]; [`Invalid::Id`](crate::Invalid::Id) and
    /// [`Invalid::DuplicateCredentialKey`](crate::Invalid::DuplicateCredentialKey) for its credentials.
    pub fn create_account(&self, account: LinkedAccountId) -> CreateAccount<'_> {
        CreateAccount(AccountSpec::new(self, Registration { account, id: None }, Mode::Create))
    }

    /// Registers a linked account or updates it. Fields that are not set stay as they are; credentials are added or
    /// updated by key name.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::Upsert;
    /// let upsert = || org.upsert_account("user_12345".parse().unwrap()).with_credential("api_key", "k1");
    /// assert_eq!(upsert().name("Acme").await?.action, Upsert::Added);
    /// let again = upsert().await?; // the name stays
    /// assert_eq!(again.action, Upsert::Updated);
    /// assert_eq!(again.account.info().await?.unwrap().name.as_deref(), Some("Acme"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`create_account`](Self::create_account), except `AccountExists`.
    pub fn upsert_account(&self, account: LinkedAccountId) -> UpsertAccount<'_> {
        UpsertAccount(AccountSpec::new(self, Registration { account, id: None }, Mode::Upsert))
    }

    async fn write_account<'s>(&self, spec: &'s AccountSpec<'_>) -> Result<AccountWritten, Error> {
        at_most("an account's name", ACCOUNT_NAME_BYTES_MAX, spec.name.as_deref())?;
        at_most("an account's own fields", UDF_BYTES_MAX, spec.udf.as_deref())?;
        let parse = |(app, credentials): (&'s AppId, &'s Vec<NewCredential>)| {
            let credentials = self.tenant.parse_credentials(credentials)?;
            self.tenant.refuse_expired(&credentials)?;
            Ok::<_, Error>(ParsedApp { app, credentials })
        };
        let apps = spec.apps.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let write = until_landed(&self.tenant, |freshness| self.try_write_account(spec, &apps, freshness));
        let call = Call::of("write_account").account(&spec.registration.account);
        self.tenant.observed(call, write).await
    }

    async fn try_write_account(
        &self,
        spec: &AccountSpec<'_>,
        apps: &[ParsedApp<'_>],
        freshness: Freshness,
    ) -> Result<Attempt<AccountWritten>, Error> {
        let tenant = &*self.tenant;
        let account = &spec.registration.account;
        let mut gets = vec![tenant.id.account(account).key()];
        gets.extend(apps.iter().flat_map(|app| app.keys(tenant, account)));
        let needs = [account];
        let needs = Needs::org_keys().accounts(&needs).freshness(freshness);
        let (view, rows) = tenant.read(&needs, gets).await?;
        let Some((account_row, mut app_rows)) = rows.split_first() else { return Ok(Attempt::AGAIN) };

        let existing = self.existing_account(&view, spec, account_row.as_ref()).await?;
        // Finishing the delete wrote to the store, so what was read is out of date.
        let Some(existing) = existing else { return Ok(Attempt::AGAIN) };
        spec.options.check(existing.as_ref().map(|loaded| loaded.revision))?;
        let mut draft = Draft::new(tenant, &view);
        let count = apps.iter().map(|app| app.credentials.len()).sum();
        let body = spec.apply(&draft, existing.as_ref(), count)?;
        let dead = account_row.iter().filter(|_| existing.is_none());
        dead.for_each(|row| draft.replace_dead(tenant.id.account(account).key(), row));
        let revision = draft.put_account(account, &body, existing.as_ref())?;
        let (kind, before) = match &existing {
            Some(loaded) => (EventKind::AccountUpdated, Some(loaded.revision)),
            None => (EventKind::AccountCreated, None),
        };
        draft.note_account(kind, account, before);
        let (mut integrations, mut credentials) = (Vec::new(), Vec::new());
        for app in apps {
            let Some((rows, rest)) = app_rows.split_at_checked(app.rows_len()) else {
                return Ok(Attempt::AGAIN);
            };
            app_rows = rest;
            match self.put_app(&mut draft, account, app, rows).await? {
                Some((integration, written)) => {
                    integrations.extend(integration);
                    credentials.extend(written);
                }
                None => return Ok(Attempt::AGAIN),
            }
        }
        draft.put_companions(&spec.options).await?;
        let action = if existing.is_some() { Upsert::Updated } else { Upsert::Added };
        let handle = self.account(account.clone());
        let info = body.into_model(account.clone(), revision).ok_or_else(|| spec.registration.not_found())?;
        let written = AccountWritten { action, account: handle, info, integrations, credentials };
        Ok(draft.commit().await?.map(|_| written))
    }

    /// Puts an app, unless it is there, and its credentials. `rows` are those of [`ParsedApp::keys`]. Returns `None` if
    /// the app was being deleted: the delete is now finished, so read again.
    async fn put_app(
        &self,
        draft: &mut Draft<'_>,
        account: &LinkedAccountId,
        ParsedApp { app, credentials }: &ParsedApp<'_>,
        rows: &[Option<Versioned>],
    ) -> Result<Option<(Option<Integration>, Vec<CredentialWritten>)>, Error> {
        let Some((app_row, credential_rows)) = rows.split_first() else { return Ok(None) };
        let existing = self.existing_integration(draft.view(), account, app, app_row.as_ref()).await?;
        let integration = match existing {
            None => return Ok(None),
            // Replaces credentials that the provider rejected.
            Some(Some(loaded)) if loaded.body.is_rejected() && !credentials.is_empty() => {
                let body = loaded.body.clone().refreshing(None);
                draft.put_integration(account, app, &body, Some(&loaded))?;
                body
            }
            // Rewrite this row, so that a refresh, which expects it, notices what is added.
            Some(Some(loaded)) if credential_rows.iter().take(credentials.len()).any(Option::is_none) => {
                draft.put_integration(account, app, &loaded.body, Some(&loaded))?;
                loaded.body
            }
            // The batch does not write the app, so it must expect it: a delete of the app would orphan the credentials.
            Some(Some(loaded)) => {
                let key = self.tenant.id.integration(account, app).key();
                draft.expect_as_read(key, Some(loaded.row_revision));
                loaded.body
            }
            Some(None) => {
                let now = self.tenant.engine.now().max(self.tenant.account_begins_at(draft.view(), account)?);
                let body = IntegrationBody::new(draft.new_id()?, now);
                let key = self.tenant.id.integration(account, app).key();
                app_row.iter().for_each(|row| draft.replace_dead(key.clone(), row));
                draft.put_integration(account, app, &body, None)?;
                body
            }
        };
        let any = WriteOptions::default();
        let (rows, deleted) = credential_rows.split_at_checked(credentials.len()).unwrap_or_default();
        let mut written = Vec::with_capacity(credentials.len());
        for (new, (row, deleted)) in credentials.iter().zip(rows.iter().zip(deleted)) {
            let (row, deleted) = (row.as_ref(), deleted.as_ref());
            let continued = if new.expected == Expected::Unreadable {
                let subject = Subject::credential(account, app, &new.key_name);
                self.tenant.continued(draft.view(), &subject, row, deleted).await?
            } else {
                None
            };
            let rows = DocumentRows { row, deleted, continued };
            written.push(draft.put_credential((account, app, &new.key_name), new, rows, &any)?);
        }
        Ok(Some((integration.into_model(app), written)))
    }

    /// The account in `row`, if `spec` may be applied to it; `None` inside for a row from before a delete. The outer
    /// `None` means that it was being deleted: that delete is now finished, so read again.
    async fn existing_account(
        &self,
        view: &View<'_>,
        spec: &AccountSpec<'_>,
        row: Option<&Versioned>,
    ) -> Result<Option<Option<Loaded<AccountBody>>>, Error> {
        let Registration { account, .. } = &spec.registration;
        if spec.mode == Mode::Update {
            let live = self.tenant.live_account(view, &spec.registration, row)?;
            return live.map(|live| Some(Some(live))).ok_or_else(|| spec.registration.not_found());
        }
        let Some(row) = row else { return Ok(Some(None)) };
        let loaded = self.tenant.open_account(view, account, row)?;
        if let Some(job) = loaded.as_ref().and_then(|loaded| loaded.body.deleting) {
            let marked = (self.tenant.id.account(account).key(), row.revision);
            finish_job(&self.tenant, &job, marked).await?;
            return Ok(None);
        }
        if loaded.is_some() && spec.mode == Mode::Create {
            return Err(Error::AccountExists(account.clone()));
        }
        Ok(Some(loaded))
    }
}

impl Account {
    /// Updates the account, but never registers it. Await it, after adding a name, credentials and so on. Fields that
    /// are not set stay as they are; credentials are added or updated by key name.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::Error;
    /// account.update().name("Acme").with_credential("api_key", "k1").await?;
    /// assert_eq!(account.info().await?.unwrap().name.as_deref(), Some("Acme"));
    /// assert_eq!(account.credential("api_key").await?.unwrap().value.expose(), "k1");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountNotFound`]; [`Error::Unexpected`]; [`Error::TooLong`]; [`Invalid::Id`](crate::Invalid::Id) and
    /// [`Invalid::DuplicateCredentialKey`](crate::Invalid::DuplicateCredentialKey) for its credentials.
    pub fn update(&self) -> UpdateAccount<'_> {
        UpdateAccount(AccountSpec::new(self.org(), self.registration().clone(), Mode::Update))
    }
}

/// A linked account to be created. Await it.
#[derive(Debug)]
#[must_use = "nothing is created until it is awaited"]
pub struct CreateAccount<'a>(AccountSpec<'a>);

/// A linked account to be created or updated. Await it.
#[derive(Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct UpsertAccount<'a>(AccountSpec<'a>);

/// A linked account to be updated. Await it.
#[derive(Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct UpdateAccount<'a>(AccountSpec<'a>);

impl UpdateAccount<'_> {
    /// Updates the account only if it is as expected. Otherwise the error is [`Error::Unexpected`].
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.0.options.expected = expected;
        self
    }
}

impl CreateAccount<'_> {
    /// Creates the account, and returns what was written together with its handle: a later read would show nothing of
    /// an account that was deleted meanwhile.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let written = org.create_account("user_12345".parse()?).name("Acme").with_default_app().written().await?;
    /// assert_eq!(written.info.name.as_deref(), Some("Acme"));
    /// assert_eq!(written.integrations[0].integration, strongroom::IntegrationId::default_app());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::create_account`].
    pub async fn written(self) -> Result<AccountWritten, Error> {
        self.0.org.write_account(&self.0).await
    }
}

/// What writing a linked account returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct AccountWritten {
    /// Whether the account was added or updated.
    pub action: Upsert,
    /// Its handle.
    pub account: Account,
    /// The account as the write left it.
    pub info: LinkedAccount,
    /// The integrations and connections that the write named.
    pub integrations: Vec<Integration>,
    /// Its credentials that were written: by integration and connection, and in the given order.
    pub credentials: Vec<CredentialWritten>,
}

/// The builder methods that all have.
macro_rules! account_fields {
    ($name:ident, $output:ty, $finish:expr) => {
        impl<'a> $name<'a> {
            /// A name for people; at most 256 bytes.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.0.name = Some(name.into());
                self
            }

            /// The org's own fields, as text; at most 16 KiB.
            pub fn udf(mut self, udf: impl Into<String>) -> Self {
                self.0.udf = Some(udf.into());
                self
            }

            /// Adds the default app, to which credentials can be added.
            pub fn with_default_app(mut self) -> Self {
                self.0.apps.entry(AppId::of(&IntegrationId::default_app(), None)).or_default();
                self
            }

            /// Adds a credential of the default app, and the app itself.
            pub fn with_credential(mut self, key_name: impl Into<String>, value: impl Into<Secret>) -> Self {
                let new = NewCredential::new(key_name, value);
                self.0.apps.entry(AppId::of(&IntegrationId::default_app(), None)).or_default().push(new);
                self
            }

            /// Adds an integration with these credentials; if it is already there, adds or updates them in it. All in
            /// one batch, so a customer who connects is stored completely or not at all. For a customer who connects
            /// again, [`replace_all`](crate::AppCredentials::replace_all) also ends a refresh of unknown outcome.
            pub fn with_integration(
                mut self,
                integration: IntegrationId,
                credentials: impl IntoIterator<Item = NewCredential>,
            ) -> Self {
                self.0.apps.entry(AppId::of(&integration, None)).or_default().extend(credentials);
                self
            }

            /// [`with_integration`](Self::with_integration) for a connection other than the default one.
            pub fn with_connection(
                mut self,
                integration: &IntegrationId,
                connection: &ConnectionId,
                credentials: impl IntoIterator<Item = NewCredential>,
            ) -> Self {
                let app = AppId::of(integration, Some(connection));
                self.0.apps.entry(app).or_default().extend(credentials);
                self
            }

            /// Writes a record of the host's own in the same batch.
            pub fn with_record(mut self, record: RecordWrite) -> Self {
                self.0.options.records.push(record);
                self
            }
        }

        impl<'a> IntoFuture for $name<'a> {
            type Output = Result<$output, Error>;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(async move { self.0.org.write_account(&self.0).await.map($finish) })
            }
        }
    };
}

account_fields!(CreateAccount, Account, |written| written.account);
account_fields!(UpsertAccount, AccountWritten, |written| written);
account_fields!(UpdateAccount, (), |_| ());

#[derive(Debug)]
struct AccountSpec<'a> {
    org: &'a Org,
    registration: Registration,
    mode: Mode,
    name: Option<String>,
    udf: Option<String>,
    /// The integrations to add if they are missing, and the credentials to set in them.
    apps: BTreeMap<AppId, Vec<NewCredential>>,
    options: WriteOptions,
}

/// An integration to add if it is missing, and the credentials to set in it.
struct ParsedApp<'s> {
    app: &'s AppId,
    credentials: Vec<ParsedCredential<'s>>,
}

impl ParsedApp<'_> {
    /// The rows of the integration, of its credentials, and of their deletions.
    fn keys(&self, tenant: &Tenant, account: &LinkedAccountId) -> Vec<Key> {
        let (ids, app) = (&tenant.id, self.app);
        let names = || self.credentials.iter().map(|new| &new.key_name);
        let credentials = names().map(|name| ids.credential(account, app, name).key());
        let deleted = names().map(|name| ids.deleted(&Subject::credential(account, app, name)).key());
        iter::once(ids.integration(account, app).key()).chain(credentials).chain(deleted).collect()
    }

    fn rows_len(&self) -> usize {
        1 + 2 * self.credentials.len()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Mode {
    Create,
    Upsert,
    Update,
}

impl<'a> AccountSpec<'a> {
    fn new(org: &'a Org, registration: Registration, mode: Mode) -> Self {
        Self {
            org,
            registration,
            mode,
            name: None,
            udf: None,
            apps: BTreeMap::new(),
            options: WriteOptions::default(),
        }
    }

    fn apply(
        &self,
        draft: &Draft<'_>,
        existing: Option<&Loaded<AccountBody>>,
        credentials: usize,
    ) -> Result<AccountBody, Error> {
        let (tenant, account) = (draft.tenant(), &self.registration.account);
        let now = tenant.engine.now();
        let mut body = match existing {
            Some(loaded) => loaded.body.clone().touched(now),
            // Later than any earlier delete, even if that was made by a clock that is ahead.
            None => {
                let begins_at = tenant.account_begins_at(draft.view(), account)?;
                AccountBody::new(draft.new_id()?, now.max(begins_at))
            }
        };
        body.name = self.name.clone().or(body.name);
        body.udf = self.udf.clone().or(body.udf);
        body.credential_generation = body.credential_generation.saturating_add(credentials as u64);
        Ok(body)
    }
}
