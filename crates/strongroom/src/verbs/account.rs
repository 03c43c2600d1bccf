//! The handle of one linked account.

use crate::error::Error;
use crate::id::{IntegrationId, LinkedAccountId};
use crate::model::{
    Credential, CredentialInfo, DefinitionRef, LinkedAccount, Listing, PageRequest, ScopedValue,
    StoredDefinition, Upsert, ValueWritten,
};
use crate::scope::{Scope, ScopeKind};
use crate::secret::Secret;
use crate::tenant::WriteOptions;
use crate::verbs::credentials::AppCredentials;
use crate::verbs::definitions::DefinitionFilter;
use crate::verbs::org::Org;
use crate::verbs::values::DeletedValue;

/// One linked account. It reaches only the account's own values and credentials: not another account's, and not the
/// org's.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Account {
    org: Org,
    account: LinkedAccountId,
}

impl Account {
    pub(crate) fn new(org: Org, account: LinkedAccountId) -> Self {
        Self { org, account }
    }

    /// The id of the account.
    #[must_use]
    pub fn id(&self) -> &LinkedAccountId {
        &self.account
    }

    /// The account as it is registered; `None` if it is not.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// assert!(account.info().await?.is_some());
    /// assert!(org.account("nobody".parse()?).info().await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn info(&self) -> Result<Option<LinkedAccount>, Error> {
        self.org.linked_account(&self.account).await
    }

    /// The definitions that allow a value at account scope.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{DefinitionFilter, PageRequest};
    /// let page = account.definitions(&DefinitionFilter::default(), PageRequest::first(100)).await?;
    /// assert_eq!(page.items[0].definition.name, "PORT");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::definitions`].
    pub async fn definitions(
        &self,
        filter: &DefinitionFilter,
        page: PageRequest,
    ) -> Result<Listing<StoredDefinition>, Error> {
        self.org.definitions(&filter.clone().scope(ScopeKind::LinkedAccount), page).await
    }

    /// Sets the account's own value of a definition.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "8080").await?; // its own value, as `Scope::LinkedAccount`
    /// assert_eq!(account.value("PORT").await?.unwrap().value.expose(), "8080");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::set_value`].
    pub async fn set_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        value: impl Into<Secret>,
    ) -> Result<ValueWritten, Error> {
        self.set_value_with(definition, value, WriteOptions::default()).await
    }

    /// [`set_value`](Self::set_value) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Error, Expected, WriteOptions};
    /// let first = account.set_value("PORT", "80").await?;
    /// let as_read = || WriteOptions::expecting(Expected::Revision(first.revision));
    /// account.set_value_with("PORT", "81", as_read()).await?;
    /// let again = account.set_value_with("PORT", "82", as_read()).await;
    /// assert!(matches!(again, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::set_value_with`].
    pub async fn set_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        value: impl Into<Secret>,
        options: WriteOptions,
    ) -> Result<ValueWritten, Error> {
        self.org.set_value_with(definition, self.scope(), value, options).await
    }

    /// The account's own value of a definition; never the org's and never a default.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// org.set_value("PORT", strongroom::Scope::Org, "80").await?;
    /// let account = org.create_account("user_12345".parse()?).await?;
    /// assert!(account.value("PORT").await?.is_none()); // the org has one, the account has none
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::value`].
    pub async fn value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
    ) -> Result<Option<ScopedValue>, Error> {
        self.org.value(definition, self.scope()).await
    }

    /// The account's own values.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "80").await?;
    /// let page = account.values(strongroom::PageRequest::first(100)).await?;
    /// assert_eq!(page.items[0].value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::values`].
    pub async fn values(&self, page: PageRequest) -> Result<Listing<ScopedValue>, Error> {
        self.org.values(self.scope(), page).await
    }

    /// Deletes the account's own value of a definition.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "80").await?;
    /// assert!(account.delete_value("PORT").await?.is_some());
    /// assert!(account.value("PORT").await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::delete_value`].
    pub async fn delete_value(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
    ) -> Result<Option<DeletedValue>, Error> {
        self.delete_value_with(definition, WriteOptions::default()).await
    }

    /// [`delete_value`](Self::delete_value) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Expected, WriteOptions};
    /// let written = account.set_value("PORT", "80").await?;
    /// let as_written = WriteOptions::expecting(Expected::Revision(written.revision));
    /// assert!(account.delete_value_with("PORT", as_written).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::delete_value_with`].
    pub async fn delete_value_with(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        options: WriteOptions,
    ) -> Result<Option<DeletedValue>, Error> {
        self.org.delete_value_with(definition, self.scope(), options).await
    }

    /// The credentials of one integration of the account.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.add_integration(&"crm".parse()?).await?;
    /// let crm = account.app("crm".parse()?);
    /// crm.upsert("token", "t1").await?;
    /// assert!(account.credential("token").await?.is_none()); // the default app has none of it
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn app(&self, integration: IntegrationId) -> AppCredentials {
        AppCredentials::new(self.clone(), integration)
    }

    /// Adds or updates a credential of the default app.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Upsert};
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// assert_eq!(account.upsert_credential("api_key", "k1").await?, Upsert::Added);
    /// assert_eq!(account.upsert_credential("api_key", "k2").await?, Upsert::Updated);
    /// let other = org.account("user_99999".parse()?);
    /// assert!(matches!(other.upsert_credential("api_key", "k1").await, Err(Error::IntegrationNotFound { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`] when the account has no default app; [`Invalid::Id`](crate::Invalid::Id) for
    /// an invalid key name; [`Error::TooLong`].
    pub async fn upsert_credential(&self, key_name: &str, value: impl Into<Secret>) -> Result<Upsert, Error> {
        self.app(IntegrationId::default_app()).upsert(key_name, value).await
    }

    /// The default app's credential with this key name, if there is one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// assert_eq!(account.credential("api_key").await?.unwrap().value.expose(), "k1");
    /// assert!(account.delete_credential("api_key").await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id).
    pub async fn credential(&self, key_name: &str) -> Result<Option<Credential>, Error> {
        self.app(IntegrationId::default_app()).get(key_name).await
    }

    /// The key names and times of the default app's credentials, without their values.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// let page = account.credentials(strongroom::PageRequest::first(100)).await?;
    /// assert_eq!(page.items[0].key_name.as_str(), "api_key");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`].
    pub async fn credentials(&self, page: PageRequest) -> Result<Listing<CredentialInfo>, Error> {
        self.app(IntegrationId::default_app()).list(page).await
    }

    /// Deletes a credential of the default app. Returns whether there was one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// assert!(account.delete_credential("api_key").await?);
    /// assert!(!account.delete_credential("api_key").await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id).
    pub async fn delete_credential(&self, key_name: &str) -> Result<bool, Error> {
        self.app(IntegrationId::default_app()).delete(key_name).await
    }

    pub(crate) fn org(&self) -> &Org {
        &self.org
    }

    fn scope(&self) -> Scope {
        Scope::LinkedAccount(self.account.clone())
    }
}
