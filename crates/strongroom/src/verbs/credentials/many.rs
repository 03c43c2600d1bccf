//! All credentials of an integration: set together, replaced together, and read together.

use std::collections::BTreeMap;

use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::id::{CredentialKey, LinkedAccountId};
use crate::jobs::until_landed;
use crate::model::{CredentialWritten, EventKind, Expected, Revision};
use crate::row::{Subject, parse_last_id};
use crate::store::{Key, Scan, Versioned};
use crate::tenant::credential::credential_change;
use crate::tenant::{
    Attempt, DocumentRows, Draft, Freshness, Needs, NewCredential, ParsedCredential, WriteOptions,
    fresh_if_stale,
};
use crate::verbs::credentials::{AppCredentials, AppRows, Credentials, Noted, Read};

/// What [`AppCredentials::replace_all`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Replaced {
    /// The credentials that were set, in the given order.
    pub written: Vec<CredentialWritten>,
    /// The key names of the credentials that were deleted.
    pub removed: Vec<CredentialKey>,
}

/// The credentials that a write is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Only those given.
    Given,
    /// All of the integration: those not given are deleted.
    All,
}

impl AppCredentials {
    /// All credentials, with their values, from one read of the store, so that an access token and its refresh token
    /// belong together.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::NewCredential;
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.set_many(&[NewCredential::new("access", "a1"), NewCredential::new("refresh", "r1")]).await?;
    /// let all = app.get_all().await?;
    /// assert_eq!((all.items.len(), all.get("access").unwrap().value.expose()), (2, "a1"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]; [`Error::Damaged`]; [`Error::Contended`] if they fill more than one page and
    /// change all the time.
    pub async fn get_all(&self) -> Result<Credentials, Error> {
        self.observed("credentials", None, fresh_if_stale(|freshness| self.try_get_all(freshness))).await
    }

    /// Adds or updates credentials in one batch: all of them, or none.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Expected, NewCredential};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let new = |name, value| NewCredential::new(name, value).expecting(Expected::Absent);
    /// let written = app.set_many(&[new("access", "a1"), new("refresh", "r1")]).await?;
    /// assert_eq!(written[0].info.key_name.as_str(), "access");
    /// assert!(app.set_many(&[new("other", "o1"), new("access", "a2")]).await.is_err()); // neither
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`upsert`](Self::upsert), for the first credential that fails; [`Error::Unexpected`] if one is not as
    /// it was expected; [`Invalid::DuplicateCredentialKey`](crate::Invalid::DuplicateCredentialKey).
    pub async fn set_many(&self, credentials: &[NewCredential]) -> Result<Vec<CredentialWritten>, Error> {
        self.set_many_with(credentials, WriteOptions::default()).await
    }

    /// [`set_many`](Self::set_many) with [`WriteOptions`]. Their condition is on all credentials of the integration
    /// together: [`Credentials::expected`] means that none of them has changed since.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Error, NewCredential, WriteOptions};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let seen = app.get_all().await?;
    /// app.upsert("refresh", "r2").await?; // somebody else
    /// let late = WriteOptions::expecting(seen.expected());
    /// let refused = app.set_many_with(&[NewCredential::new("access", "a2")], late).await;
    /// assert!(matches!(refused, Err(Error::Unexpected { .. })));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `set_many`, and [`Error::Unexpected`] for all together.
    pub async fn set_many_with(
        &self,
        credentials: &[NewCredential],
        options: WriteOptions,
    ) -> Result<Vec<CredentialWritten>, Error> {
        Ok(self.write(credentials, Extent::Given, &options).await?.written)
    }

    /// Sets these credentials and deletes all others of the integration, in one batch: for a customer who connects
    /// again. With no credentials, it deletes all, also one that cannot be read. A refresh in progress can no longer
    /// write, and one that ended without new credentials is forgotten.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::NewCredential;
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// app.upsert("password", "p1").await?;
    /// let replaced = app.replace_all(&[NewCredential::new("access", "a1")]).await?;
    /// assert_eq!(replaced.removed[0].as_str(), "password");
    /// assert_eq!(app.get_all().await?.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`set_many`](Self::set_many).
    pub async fn replace_all(&self, credentials: &[NewCredential]) -> Result<Replaced, Error> {
        self.replace_all_with(credentials, WriteOptions::default()).await
    }

    /// [`replace_all`](Self::replace_all) with [`WriteOptions`]. Their condition is on all credentials of the
    /// integration together.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Expected, NewCredential, WriteOptions};
    /// let app = account.app(strongroom::IntegrationId::default_app());
    /// let if_none = || WriteOptions::expecting(Expected::Absent);
    /// app.replace_all_with(&[NewCredential::new("access", "a1")], if_none()).await?;
    /// assert!(app.replace_all_with(&[], if_none()).await.is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `replace_all`, and [`Error::Unexpected`] for all together.
    pub async fn replace_all_with(
        &self,
        credentials: &[NewCredential],
        options: WriteOptions,
    ) -> Result<Replaced, Error> {
        self.write(credentials, Extent::All, &options).await
    }

    /// Writes credentials. The condition of `options` is on all of them together.
    pub(super) async fn write(
        &self,
        credentials: &[NewCredential],
        extent: Extent,
        options: &WriteOptions,
    ) -> Result<Replaced, Error> {
        let tenant = &*self.account.org().tenant;
        let new = tenant.parse_credentials(credentials)?;
        tenant.refuse_expired(&new)?;
        self.write_parsed(&new, extent, options).await
    }

    /// Writes parsed credentials, also ones that have already expired.
    pub(super) async fn write_parsed(
        &self,
        new: &[ParsedCredential<'_>],
        extent: Extent,
        options: &WriteOptions,
    ) -> Result<Replaced, Error> {
        let tenant = &*self.account.org().tenant;
        let only = new.first().filter(|_| new.len() == 1).map(|new| &new.key_name);
        let run = async {
            let write = until_landed(tenant, |freshness| self.try_write(new, extent, options, freshness));
            let (replaced, too_long) = write.await?;
            for key_name in &too_long {
                // A caller that has set it again meanwhile continues it, with its history.
                let if_gone = WriteOptions::expecting(Expected::Absent);
                let purge = until_landed(tenant, |freshness| {
                    self.try_delete(key_name, &if_gone, Noted::Yes, freshness)
                });
                match purge.await {
                    Ok(_) | Err(Error::Unexpected { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(replaced)
        };
        self.observed("set_credentials", only, run).await
    }

    async fn try_write(
        &self,
        new: &[ParsedCredential<'_>],
        extent: Extent,
        options: &WriteOptions,
        freshness: Freshness,
    ) -> Result<Attempt<(Replaced, Vec<CredentialKey>)>, Error> {
        let owner = [self.account.id()];
        let read = if extent == Extent::All || options.expected != Expected::Any {
            let mut read = self.read_all(&owner, freshness).await?;
            // Without a condition, one that cannot be read is no matter.
            if options.expected != Expected::Any {
                options.check(self.revision_of(&read)?)?;
            }
            read.deleted = self.read_deleted(new).await?;
            read
        } else {
            let key_names: Vec<_> = new.iter().map(|new| &new.key_name).collect();
            self.read(&owner, &key_names, &key_names, freshness).await?
        };
        let tenant = &*self.account.org().tenant;
        let rows_of = |key_name: &CredentialKey| DocumentRows {
            row: read.app.rows.get(key_name),
            deleted: read.deleted.get(key_name),
            continued: None,
        };
        let mut continued = BTreeMap::new();
        for ParsedCredential { key_name, .. } in new.iter().filter(|new| new.expected == Expected::Unreadable)
        {
            let subject = Subject::credential(self.account.id(), &self.app, key_name);
            let DocumentRows { row, deleted, .. } = rows_of(key_name);
            continued.insert(key_name, tenant.continued(&read.view, &subject, row, deleted).await?);
        }
        let mut draft = Draft::new(tenant, &read.view);
        let put = |new: &ParsedCredential<'_>| {
            let continued = continued.get(&new.key_name).copied().flatten();
            let rows = DocumentRows { continued, ..rows_of(&new.key_name) };
            draft.put_credential((self.account.id(), &self.app, &new.key_name), new, rows, options)
        };
        let written = new.iter().map(put).collect::<Result<_, _>>()?;
        let (removed, too_long) = match extent {
            Extent::All => self.delete_others(&mut draft, &read, new, options).await?,
            Extent::Given => Default::default(),
        };
        let known = &read.app.integration.body;
        let adds = new.iter().any(|new| !read.app.rows.contains_key(&new.key_name));
        let ends_refresh = match extent {
            // A refresh in progress, or of unknown outcome, refreshes credentials that are now gone.
            Extent::All => known.refresh.is_some(),
            // Whichever of them the provider rejected: if that one is still there, the provider rejects it again. But
            // if a refresh is uncertain, the token that may have been used up must not be shown again.
            Extent::Given => known.is_rejected() && !new.is_empty(),
        };
        if ends_refresh {
            self.put_refresh(&mut draft, &read.app, None)?;
            draft.bump_generation(self.account.id(), &read.app.account)?;
        } else if adds {
            // A refresh expects the rows that it has seen and this one, so that it notices what was added.
            self.put_refresh(&mut draft, &read.app, known.refresh)?;
            draft.bump_generation(self.account.id(), &read.app.account)?;
        } else {
            self.note_change(&mut draft, &read.app)?;
        }
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| (Replaced { written, removed }, too_long)))
    }

    /// Which of the credentials to be written were deleted with their history kept. Setting or deleting one meanwhile
    /// changes the account's row, which the batch expects.
    pub(super) async fn read_deleted(
        &self,
        new: &[ParsedCredential<'_>],
    ) -> Result<BTreeMap<CredentialKey, Versioned>, Error> {
        let gets: Vec<Key> = new.iter().map(|new| self.deletion_of(&new.key_name)).collect();
        let rows = self.account.org().tenant.engine.read(gets).await?;
        Ok(new.iter().zip(rows).filter_map(|(new, row)| Some((new.key_name.clone(), row?))).collect())
    }

    /// Deletes the credentials that are not in `new`. Returns their key names, and those whose history does not fit
    /// into the batch: such a history is kept, and deleted once the batch has landed.
    async fn delete_others(
        &self,
        draft: &mut Draft<'_>,
        read: &Read<'_>,
        new: &[ParsedCredential<'_>],
        options: &WriteOptions,
    ) -> Result<(Vec<CredentialKey>, Vec<CredentialKey>), Error> {
        let tenant = draft.tenant();
        let kept = tenant.engine.history_versions;
        let keeps = options.keeps_history && kept > 0;
        let (mut removed, mut purged) = (Vec::new(), Vec::new());
        for (key_name, row) in &read.app.rows {
            if new.iter().any(|new| new.key_name == *key_name) {
                continue;
            }
            let address = (self.account.id(), &self.app, key_name);
            let subject = Subject::credential(self.account.id(), &self.app, key_name);
            // A row whose key was dropped is deleted too, but it no longer counted as a credential.
            let (before, is_damaged) = match tenant.find_credential(&read.view, address, row) {
                // As when it is deleted by itself.
                Err(Error::Damaged { .. }) if options.expected == Expected::Any && !keeps => (None, true),
                found => (found?, false),
            };
            if before.is_some() || is_damaged {
                removed.push(key_name.clone());
            }
            draft.delete_credential(address, row, before);
            if is_damaged {
                draft.note(|| credential_change(EventKind::CredentialDeleted, address));
            }
            if keeps {
                draft.note_deletion(&subject, row, kept, options)?;
            } else {
                purged.push((subject, key_name, row));
            }
        }
        let (mut left, mut too_long) = (purged.len(), Vec::new());
        for (subject, key_name, row) in purged {
            left -= 1;
            let history = tenant.history_to_delete(&subject).await?;
            if draft.room(options).is_some_and(|room| history.len() + left * DELETION_OPS <= room) {
                draft.delete_history(history);
            } else {
                draft.note_deletion(&subject, row, kept, options)?;
                too_long.push(key_name.clone());
            }
        }
        Ok((removed, too_long))
    }

    pub(super) async fn try_get_all(&self, freshness: Freshness) -> Result<Credentials, Error> {
        let owner = [self.account.id()];
        let read = self.read_all(&owner, freshness).await?;
        let open = |(key_name, row): (&CredentialKey, &Versioned)| {
            let address = (self.account.id(), &self.app, key_name);
            self.account.org().tenant.open_credential(&read.view, address, row).transpose()
        };
        let items = read.app.rows.iter().filter_map(open).collect::<Result<_, _>>()?;
        let state = read.app.integration.body.refresh_state(self.account.org().tenant.engine.now());
        Ok(Credentials { rows: Some(read.app), ..Credentials::new(self.key(), items, state) })
    }

    /// The mark of all credentials together, without opening any of them.
    fn revision_of(&self, read: &Read<'_>) -> Result<Option<Revision>, Error> {
        let tenant = &*self.account.org().tenant;
        let mut found = Vec::with_capacity(read.app.rows.len());
        for (key_name, row) in &read.app.rows {
            let address = (self.account.id(), &self.app, key_name);
            found.extend(
                tenant.find_credential(&read.view, address, row)?.map(|revision| (key_name, revision)),
            );
        }
        Ok(Revision::of_all(found.into_iter()))
    }

    /// Reads the account, the integration and the rows of all its credentials, as they were at one point.
    async fn read_all<'g>(
        &self,
        owner: &'g [&'g LinkedAccountId; 1],
        freshness: Freshness,
    ) -> Result<Read<'g>, Error> {
        let tenant = &*self.account.org().tenant;
        let (account, app) = (self.account.id(), &self.app);
        let keys = [tenant.id.account(account).key(), tenant.id.integration(account, app).key()];
        let range = tenant.id.credentials(account, app);
        let needs = Needs::org_keys().accounts(owner).freshness(freshness);
        for _ in 0..ATTEMPTS_MAX {
            let scan = Scan::new(range.clone(), PAGE_ROWS_MAX);
            let (view, (owners, [page])) = tenant.read(&needs, (keys.clone(), [scan])).await?;
            let (known, integration) =
                tenant.live_integration(&view, self.account.registration(), app, &owners)?;
            let (more, rows) = (page.more, tenant.rest(&range, page).await?);
            let [now, _] = if more { tenant.engine.read(keys.clone()).await? } else { owners };
            // Every change of a credential changes the account's row. So if that is unchanged, the pages are from one
            // point.
            if now.is_none_or(|now| now.revision != known.row_revision) {
                continue;
            }
            // What is not the key of a credential is reported by `verify`, and does not hide the rest.
            let named = |(key, row): (Key, Versioned)| Some((parse_last_id(&range, &key)?, row));
            let rows = rows.into_iter().filter_map(named).collect();
            let app = AppRows { account: known, integration, rows };
            return Ok(Read { view, app, deleted: BTreeMap::new() });
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// The default quota of an account, so that one page nearly always holds them all.
const PAGE_ROWS_MAX: usize = 1_000;
/// The operations that noting a deletion takes: the deleted version, the note, and one version too many.
const DELETION_OPS: usize = 3;
