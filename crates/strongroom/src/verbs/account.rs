//! The handle of one linked account.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::id::{DocumentId, IntegrationId, LinkedAccountId};
use crate::model::{
    Actor, Credential, CredentialInfo, CredentialWritten, DefinitionRef, LinkedAccount, Listing, PageRequest,
    ScopedValue, StoredDefinition, ValueWritten,
};
use crate::scope::{Scope, ScopeKind};
use crate::secret::Secret;
use crate::tenant::{Registration, WriteOptions};
use crate::verbs::credentials::AppCredentials;
use crate::verbs::definitions::DefinitionFilter;
use crate::verbs::org::Org;
use crate::verbs::values::DeletedValue;

/// One linked account. It reaches only the account's own values and credentials: not another account's, and not the
/// org's.
///
/// A handle means whatever account has the id, including one registered later, and can set values of one that is not
/// registered. A [`bound`](Self::bound) handle means one registration only: use it for whatever acts on behalf of the
/// account, such as a session. For both, a definition that allows no value at account scope does not exist:
/// [`Error::DefinitionNotFound`].
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Account {
    org: Org,
    registration: Registration,
}

impl Account {
    pub(crate) fn new(org: Org, account: LinkedAccountId) -> Self {
        Self { org, registration: Registration { account, id: None } }
    }

    /// The same account, on behalf of `actor`: [`Org::acting_as`]. A bound handle stays bound.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.acting_as("user:alice".parse()?).set_value("PORT", "80").await?;
    /// let metadata = account.value("PORT").await?.unwrap().metadata;
    /// assert_eq!(metadata.author(), Some("user:alice"));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { org: self.org.acting_as(actor), registration: self.registration.clone() }
    }

    /// The same account for the verbs that a verb is made of.
    pub(crate) fn unobserved(&self) -> Self {
        Self { org: self.org.unobserved(), registration: self.registration.clone() }
    }

    /// The id of the account.
    #[must_use]
    pub fn id(&self) -> &LinkedAccountId {
        &self.registration.account
    }

    /// A handle that is bound to the account as it is registered now. Once the account is deleted, every verb of the
    /// handle that reads or writes fails with [`Error::AccountNotFound`] and writes nothing ([`info`](Self::info)
    /// returns `None`). This holds even if an account is registered again under the same id, and however long before
    /// the deletion the verb began.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::Error;
    /// let account = org.create_account("user_12345".parse()?).await?.bound().await?;
    /// account.set_value("PORT", "80").await?;
    /// org.delete_account(account.id()).await?;
    /// org.create_account("user_12345".parse()?).await?;
    /// assert!(matches!(account.set_value("PORT", "81").await, Err(Error::AccountNotFound(_))));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountNotFound`] if the account is not registered.
    pub async fn bound(&self) -> Result<Self, Error> {
        let known = self.info().await?.ok_or_else(|| self.registration.not_found())?;
        Ok(self.clone().bound_to(known.id))
    }

    /// This account, bound to the registration with this document id. No I/O: a handle of a registration that never
    /// existed or has ended fails like one whose account was deleted.
    #[must_use]
    pub fn bound_to(mut self, document: DocumentId) -> Self {
        self.registration.id = Some(document);
        self
    }

    /// The account as it is registered; `None` if it is not registered, or not the registration that the handle is
    /// bound to.
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
        let known = self.org.linked_account(self.id()).await?;
        Ok(known.filter(|known| self.registration.id.is_none_or(|id| id == known.id)))
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
        let listed = self.org.definitions(&filter.clone().scope(ScopeKind::LinkedAccount), page).await;
        // Afterwards, so that nothing read after the account was deleted is returned.
        self.refuse_ended().await?;
        listed
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
        let definition = definition.into();
        let sought = definition.clone();
        let written = self.org.set_value_with(definition, self.scope(), value, self.tied(options)).await;
        if written.is_err() {
            // What was not as expected may be a value of the next registration.
            self.refuse_ended().await?;
        }
        match written {
            Err(Error::ScopeNotAllowed { .. }) => Err(Error::DefinitionNotFound(sought.into_owned())),
            written => written,
        }
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
        let definition = definition.into();
        let found = self.org.value(definition.clone(), self.scope()).await;
        // An error too may be about a value of the next registration.
        self.refuse_ended().await?;
        let found = found?;
        if found.is_none() {
            self.refuse_hidden(definition).await?;
        }
        Ok(found)
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
        self.values_known(page, None).await
    }

    /// [`values`](Self::values); if there is a list of names, only of these variables.
    pub(crate) async fn values_known(
        &self,
        page: PageRequest,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Listing<ScopedValue>, Error> {
        let found = self.org.values_known(self.scope(), page, names).await;
        self.refuse_ended().await?;
        found
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
        let definition = definition.into();
        let sought = definition.clone();
        let deleted = self.org.delete_value_with(definition, self.scope(), self.tied(options)).await;
        let deleted = self.or_refuse_ended(deleted).await;
        if matches!(deleted, Ok(None) | Err(Error::Unexpected { found: None })) {
            self.refuse_hidden(sought).await?;
        }
        deleted
    }

    /// The account's own value with this document id. Another account's or the org's is not found.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let id = account.set_value("PORT", "80").await?.id;
    /// assert_eq!(account.value_by_id(&id).await?.unwrap().value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::value_by_id`].
    pub async fn value_by_id(&self, id: &DocumentId) -> Result<Option<ScopedValue>, Error> {
        let found = self.org.found_value(id, |scope| *scope == self.scope()).await;
        self.refuse_ended().await?;
        found
    }

    /// Deletes the account's own value with this document id. Another account's or the org's is not found.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let id = account.set_value("PORT", "80").await?.id;
    /// assert!(account.delete_value_by_id(&id).await?.is_some());
    /// assert!(account.delete_value_by_id(&id).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::delete_value_by_id`].
    pub async fn delete_value_by_id(&self, id: &DocumentId) -> Result<Option<DeletedValue>, Error> {
        let options = self.tied(WriteOptions::default());
        let deleted = self.org.delete_found_value(id, |scope| *scope == self.scope(), &options).await;
        self.or_refuse_ended(deleted).await
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
    /// assert_eq!(account.upsert_credential("api_key", "k1").await?.action, Upsert::Added);
    /// assert_eq!(account.upsert_credential("api_key", "k2").await?.action, Upsert::Updated);
    /// let other = org.account("user_99999".parse()?);
    /// assert!(matches!(other.upsert_credential("api_key", "k1").await, Err(Error::IntegrationNotFound { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`] when the account has no default app; [`Invalid::Id`](crate::Invalid::Id) for an
    /// invalid key name; [`Error::TooLong`].
    pub async fn upsert_credential(
        &self,
        key_name: &str,
        value: impl Into<Secret>,
    ) -> Result<CredentialWritten, Error> {
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

    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Fails if the registration that the handle is bound to has ended. Call it after a read: a registration that has
    /// ended never returns, so what was read before this check belongs to the bound one.
    pub(crate) async fn refuse_ended(&self) -> Result<(), Error> {
        self.org.tenant.refuse_ended(&self.registration).await
    }

    /// If a definition allows no value at account scope, fails as if it did not exist: how an account is refused must
    /// not reveal what it may not see. Call it only after nothing was found, since such a definition has no value here.
    async fn refuse_hidden(&self, definition: DefinitionRef<'_>) -> Result<(), Error> {
        let found = self.org.tenant.definition(&definition).await?;
        if found.stored.definition.scopes.allows(ScopeKind::LinkedAccount) {
            Ok(())
        } else {
            Err(Error::DefinitionNotFound(definition.into_owned()))
        }
    }

    /// Passes on the answer of a delete. If it deleted nothing, no batch has checked the registration, so this does.
    async fn or_refuse_ended<T>(&self, answer: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        if !matches!(answer, Ok(Some(_))) {
            self.refuse_ended().await?;
        }
        answer
    }

    /// The options, with the registration that the handle is bound to.
    fn tied(&self, options: WriteOptions) -> WriteOptions {
        match self.registration.id {
            Some(_) => options.with_registration(self.registration.clone()),
            None => options,
        }
    }

    fn scope(&self) -> Scope {
        Scope::LinkedAccount(self.id().clone())
    }
}
