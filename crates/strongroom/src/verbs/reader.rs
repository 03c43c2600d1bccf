//! Read-only handles: what runs at one path see, and what one account has.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Error;
use crate::id::{ConnectionId, IntegrationId, LinkedAccountId};
use crate::model::{
    AccountProfile, Credential, CredentialInfo, DefinitionRef, Listing, PageRequest, Resolution, Resolved,
    ScopedValue, Trace,
};
use crate::scope::ScopePath;
use crate::verbs::account::Account;
use crate::verbs::credentials::AppCredentials;
use crate::verbs::org::Org;

/// What a run at one path sees, and nothing else: for code that should get only its variables.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    org: Org,
    path: ScopePath,
    names: Names,
}

/// A read-only handle of what one linked account has: for a page that shows it, or code that acts for it.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Viewer {
    account: Account,
    names: Names,
}

/// The names that a handle knows; all of them if there is no list.
#[derive(Debug, Clone, Default)]
struct Names(Option<Arc<BTreeSet<String>>>);

impl Names {
    /// Those of `names` that were already known.
    fn narrowed<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let narrowed = names.into_iter().filter(|name| self.knows(name)).map(str::to_owned).collect();
        Self(Some(Arc::new(narrowed)))
    }

    fn knows(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }

    fn list(&self) -> Option<&BTreeSet<String>> {
        self.0.as_deref()
    }

    fn refuse_unknown(&self, name: &str) -> Result<(), Error> {
        if self.knows(name) {
            Ok(())
        } else {
            Err(Error::DefinitionNotFound(DefinitionRef::from(name).into_owned()))
        }
    }
}

impl Org {
    /// A handle that only resolves variables, and only at this path.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Error, Scope, ScopePath};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let run = org.reader(ScopePath::org()).only(["PORT"]);
    /// assert_eq!(run.resolve("PORT").await?.unwrap().value.expose(), "80");
    /// assert!(matches!(run.resolve("TOKEN").await, Err(Error::DefinitionNotFound(_))));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn reader(&self, path: ScopePath) -> Reader {
        Reader { org: self.clone(), path, names: Names::default() }
    }
}

impl Reader {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &ScopePath {
        &self.path
    }

    /// The same handle, restricted to these variables: the others do not exist for it. A handle never gains names.
    #[must_use]
    pub fn only<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Self {
        Self { names: self.names.narrowed(names), ..self.clone() }
    }

    /// [`Org::resolve`] at the path.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// org.set_value("PORT", strongroom::Scope::Org, "80").await?;
    /// let run = org.reader(strongroom::ScopePath::org());
    /// assert!(run.resolve("PORT").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::resolve`].
    pub async fn resolve(&self, name: &str) -> Result<Option<Resolved>, Error> {
        self.names.refuse_unknown(name)?;
        self.org.resolve(name, &self.path).await
    }

    /// [`Org::resolve_all`] at the path, of the variables that the handle knows.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// org.set_value("PORT", strongroom::Scope::Org, "80").await?;
    /// let run = org.reader(strongroom::ScopePath::org());
    /// assert_eq!(run.resolve_all().await?.values.len(), 1);
    /// assert!(run.only(["TOKEN"]).resolve_all().await?.values.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::resolve_all`].
    pub async fn resolve_all(&self) -> Result<Resolution, Error> {
        self.org.resolve_known(&self.path, self.names.list()).await
    }

    /// [`Org::explain`] at the path.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let run = org.reader(strongroom::ScopePath::org());
    /// assert!(run.explain("PORT").await?.winner().is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::explain`].
    pub async fn explain(&self, name: &str) -> Result<Trace, Error> {
        self.names.refuse_unknown(name)?;
        self.org.explain(name, &self.path).await
    }

    /// [`Org::explain_all`] at the path, of the variables that the handle knows.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let run = org.reader(strongroom::ScopePath::org());
    /// assert_eq!(run.explain_all().await?.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::explain_all`].
    pub async fn explain_all(&self) -> Result<Vec<Trace>, Error> {
        self.org.explain_known(&self.path, self.names.list()).await
    }
}

impl Account {
    /// A handle that reads what the account has and writes nothing. It is bound if this handle is
    /// [bound](Account::bound).
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "80").await?;
    /// account.upsert_credential("api_key", "k1").await?;
    /// let viewer = account.viewer().only(["PORT"]);
    /// assert_eq!(viewer.value("PORT").await?.unwrap().value.expose(), "80");
    /// let default_app = strongroom::IntegrationId::default_app();
    /// assert!(viewer.credential(default_app, "api_key").await?.is_none()); // not one of its names
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer { account: self.clone(), names: Names::default() }
    }
}

impl Viewer {
    /// The id of the account.
    #[must_use]
    pub fn id(&self) -> &LinkedAccountId {
        self.account.id()
    }

    /// The same handle, restricted to variables and credentials with these names: the others do not exist for it. A
    /// handle never gains names.
    #[must_use]
    pub fn only<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Self {
        Self { names: self.names.narrowed(names), ..self.clone() }
    }

    /// What [`Account::info`] shows of the account itself, without its revision and its generation: they change with
    /// every credential, including those that the handle does not know.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let profile = account.viewer().profile().await?.unwrap();
    /// assert_eq!(profile.account_id, *account.id());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Account::info`].
    pub async fn profile(&self) -> Result<Option<AccountProfile>, Error> {
        Ok(self.account.info().await?.map(AccountProfile::from))
    }

    /// [`Account::value`].
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// assert!(account.viewer().value("PORT").await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Account::value`]; [`Error::DefinitionNotFound`] for a name that the handle does not know.
    pub async fn value(&self, name: &str) -> Result<Option<ScopedValue>, Error> {
        self.names.refuse_unknown(name)?;
        self.account.value(name).await
    }

    /// The account's own values of the variables that the handle knows. Pages are as if there were no others.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "80").await?;
    /// let page = account.viewer().only(["PORT"]).values(strongroom::PageRequest::default()).await?;
    /// assert_eq!(page.items[0].value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Account::values`].
    pub async fn values(&self, page: PageRequest) -> Result<Listing<ScopedValue>, Error> {
        self.account.values_known(page, self.names.list()).await
    }

    /// The credential of an integration with this key name, if there is one that the handle knows.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// let default_app = strongroom::IntegrationId::default_app();
    /// assert!(account.viewer().credential(default_app, "api_key").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`AppCredentials::get`](crate::AppCredentials::get).
    pub async fn credential(
        &self,
        integration: IntegrationId,
        key_name: &str,
    ) -> Result<Option<Credential>, Error> {
        self.credential_in(&self.account.app(integration), key_name).await
    }

    /// [`credential`](Self::credential) of a connection other than the default one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let (crm, work) = ("crm".parse()?, "work".parse()?);
    /// account.add_connection(&crm, &work).await?;
    /// account.app(crm.clone()).connection(work.clone()).upsert("token", "t1").await?;
    /// assert!(account.viewer().connection_credential(crm, work, "token").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`credential`](Self::credential).
    pub async fn connection_credential(
        &self,
        integration: IntegrationId,
        connection: ConnectionId,
        key_name: &str,
    ) -> Result<Option<Credential>, Error> {
        self.credential_in(&self.account.app(integration).connection(connection), key_name).await
    }

    async fn credential_in(&self, app: &AppCredentials, key_name: &str) -> Result<Option<Credential>, Error> {
        if self.names.knows(key_name) {
            return app.get(key_name).await;
        }
        // As for a name that is not there.
        app.refuse_missing().await?;
        Ok(None)
    }

    /// The key names and times of the credentials of an integration that the handle knows, without values. Pages are as
    /// if there were no others.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// let default_app = strongroom::IntegrationId::default_app();
    /// let page = account.viewer().credentials(default_app, strongroom::PageRequest::default()).await?;
    /// assert_eq!(page.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`AppCredentials::list`](crate::AppCredentials::list).
    pub async fn credentials(
        &self,
        integration: IntegrationId,
        page: PageRequest,
    ) -> Result<Listing<CredentialInfo>, Error> {
        self.account.app(integration).list_known(page, self.names.list()).await
    }

    /// [`credentials`](Self::credentials) of a connection other than the default one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let (crm, work) = ("crm".parse()?, "work".parse()?);
    /// account.add_connection(&crm, &work).await?;
    /// account.app(crm.clone()).connection(work.clone()).upsert("token", "t1").await?;
    /// let page = strongroom::PageRequest::default();
    /// assert_eq!(account.viewer().connection_credentials(crm, work, page).await?.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`credentials`](Self::credentials).
    pub async fn connection_credentials(
        &self,
        integration: IntegrationId,
        connection: ConnectionId,
        page: PageRequest,
    ) -> Result<Listing<CredentialInfo>, Error> {
        let app = self.account.app(integration).connection(connection);
        app.list_known(page, self.names.list()).await
    }
}
