//! The former versions of credentials.

use std::slice;

use crate::error::Error;
use crate::id::CredentialKey;
use crate::model::{Credential, CredentialWritten, Expected, Listing, PageRequest, Revision, Version};
use crate::row::Subject;
use crate::tenant::{Freshness, NewCredential, WriteOptions, fresh_if_stale};
use crate::verbs::credentials::AppCredentials;
use crate::verbs::credentials::many::Extent;

impl AppCredentials {
    /// The versions of a credential, the newest first, without their values. The first is the present one, unless the
    /// credential was deleted. [`VaultOptions::history_versions`](crate::VaultOptions::history_versions) sets how many
    /// are kept. A version that cannot be read is listed too, and [`Version::unreadable`] says why.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::PageRequest;
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// app.upsert("api_key", "k2").await?;
    /// assert_eq!(app.history("api_key", PageRequest::default()).await?.items.len(), 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id); [`Error::Damaged`] and
    /// [`Error::UnknownVersion`] if the integration or the keys cannot be read.
    pub async fn history(&self, key_name: &str, page: PageRequest) -> Result<Listing<Version>, Error> {
        let name: CredentialKey = key_name.parse()?;
        let run = async {
            self.refuse_missing().await?;
            let tenant = &*self.account.org().tenant;
            let subject = Subject::credential(self.account.id(), &self.app, &name);
            let (current, listing) = tenant.present_and_former(&subject, &page).await?;
            self.account.refuse_ended().await?;
            Ok(tenant.with_current(&subject, listing, current, page.limit))
        };
        self.observed("credential_history", Some(&name), run).await
    }

    /// One version of a credential, current or former.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let first = app.upsert("api_key", "k1").await?.info.revision;
    /// app.upsert("api_key", "k2").await?;
    /// assert_eq!(app.version("api_key", first).await?.value.expose(), "k1");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`] for a version that is not kept, or that notes the deletion of the credential;
    /// [`Error::IntegrationNotFound`]; [`Invalid::Id`](crate::Invalid::Id).
    pub async fn version(&self, key_name: &str, revision: Revision) -> Result<Credential, Error> {
        let key_name = key_name.parse()?;
        let read = fresh_if_stale(|freshness| self.try_version(&key_name, revision, freshness));
        self.observed("credential_version", Some(&key_name), read).await
    }

    /// Sets a credential to its value in a former version. This is a new version, which does not expire. A token that
    /// was refreshed since has been used up: a provider that sees it again may revoke what it issued afterwards. If the
    /// present row cannot be opened, this works only with [`Expected::Unreadable`]
    /// ([`restore_with`](Self::restore_with)), and its value is lost.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let first = app.upsert("api_key", "k1").await?.info.revision;
    /// app.upsert("api_key", "k2").await?;
    /// app.restore("api_key", first).await?;
    /// assert_eq!(app.get("api_key").await?.unwrap().value.expose(), "k1");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`version`](Self::version) and [`upsert`](Self::upsert).
    pub async fn restore(&self, key_name: &str, revision: Revision) -> Result<CredentialWritten, Error> {
        self.restore_with(key_name, revision, WriteOptions::default()).await
    }

    /// [`restore`](Self::restore) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Expected, WriteOptions};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let first = app.upsert("api_key", "k1").await?.info.revision;
    /// let second = app.upsert("api_key", "k2").await?.info.revision;
    /// let if_still = WriteOptions::expecting(Expected::Revision(second)).note("k2 was revoked");
    /// app.restore_with("api_key", first, if_still).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `restore`, and [`Error::Unexpected`].
    pub async fn restore_with(
        &self,
        key_name: &str,
        revision: Revision,
        options: WriteOptions,
    ) -> Result<CredentialWritten, Error> {
        let name: CredentialKey = key_name.parse()?;
        let run = async {
            let quiet = self.unobserved();
            let version = quiet.version(key_name, revision).await?;
            quiet.upsert_with(key_name, version.value, options).await
        };
        self.observed("restore_credential", Some(&name), run).await
    }

    /// Brings back a credential that was deleted with [`WriteOptions::keep_history`], as the same document, with its
    /// expiry, even if that has passed. Returns `None` if no deleted credential is kept.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::WriteOptions;
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// app.delete_with("api_key", WriteOptions::default().keep_history()).await?;
    /// assert!(app.undelete("api_key").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Unexpected`] if there is a credential, or somebody sets or deletes one meanwhile; those of
    /// [`upsert`](Self::upsert).
    pub async fn undelete(&self, key_name: &str) -> Result<Option<CredentialWritten>, Error> {
        self.undelete_with(key_name, WriteOptions::default()).await
    }

    /// [`undelete`](Self::undelete) with [`WriteOptions`]. Their expiry replaces that of the credential. What they
    /// expect does not count: it is always that the credential is still deleted.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::WriteOptions;
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("api_key", "k1").await?;
    /// app.delete_with("api_key", WriteOptions::default().keep_history()).await?;
    /// let back = app.undelete_with("api_key", WriteOptions::default().note("still in use")).await?.unwrap();
    /// assert_eq!(back.info.metadata.note(), Some("still in use"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `undelete`.
    pub async fn undelete_with(
        &self,
        key_name: &str,
        options: WriteOptions,
    ) -> Result<Option<CredentialWritten>, Error> {
        let name: CredentialKey = key_name.parse()?;
        let quiet = self.unobserved();
        self.observed("undelete_credential", Some(&name), quiet.try_undelete(key_name, options)).await
    }

    async fn try_undelete(
        &self,
        key_name: &str,
        mut options: WriteOptions,
    ) -> Result<Option<CredentialWritten>, Error> {
        // It would be on all credentials of the connection together.
        options.expected = Expected::Any;
        let newest = self.history(key_name, PageRequest::first(2)).await?.items;
        match newest.as_slice() {
            [credential, ..] if !credential.deleted => {
                Err(Error::Unexpected { found: Some(credential.revision) })
            }
            // The deleted version itself was not kept: an older version is another credential.
            [deletion, last]
                if deletion.unreadable.is_none() && last.revision.next() != deletion.revision =>
            {
                Err(Error::VersionNotFound(deletion.revision.before(1)))
            }
            [deletion, last] => {
                let Credential { info, value } = self.version(key_name, last.revision).await?;
                let as_deleted = Expected::Deleted(deletion.revision);
                let new = NewCredential::new(key_name, value).expecting(as_deleted);
                let mut new = self.account.org().tenant.parse_credentials(slice::from_ref(&new))?;
                let expires_at = options.expires_at.or(info.metadata.expires_at());
                new.iter_mut().for_each(|new| new.expires_at = expires_at);
                let mut written = self.write_parsed(&new, Extent::Given, &options).await?.written;
                Ok(written.pop())
            }
            _ => Ok(None),
        }
    }

    async fn try_version(
        &self,
        key_name: &CredentialKey,
        revision: Revision,
        freshness: Freshness,
    ) -> Result<Credential, Error> {
        let tenant = &*self.account.org().tenant;
        let (owner, address) = ([self.account.id()], (self.account.id(), &self.app, key_name));
        let read = self.read(&owner, &[key_name], &[], freshness).await?;
        let current = match read.app.rows.get(key_name) {
            Some(row) => match tenant.open_credential(&read.view, address, row) {
                Ok(Some(found)) if found.info.revision == revision => return Ok(found),
                current => current.err(),
            },
            None => None,
        };
        let subject = Subject::credential(self.account.id(), &self.app, key_name);
        let place = tenant.id.former(&subject, revision);
        // If the present one cannot be opened, it may be this version.
        let not_kept = || current.unwrap_or(Error::VersionNotFound(revision));
        let row = tenant.engine.get(place.key()).await?.ok_or_else(not_kept)?;
        let former = tenant.open_credential_at(&read.view, address, &place, &row)?;
        former.filter(|former| !former.info.metadata.is_deletion()).ok_or(Error::VersionNotFound(revision))
    }
}
