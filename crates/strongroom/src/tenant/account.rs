//! The rows of linked accounts and integrations.

use crate::envelope::Context;
use crate::envelope::Kind;
use crate::error::Error;
use crate::id::IntegrationId;
use crate::id::LinkedAccountId;
use crate::model::LinkedAccount;
use crate::model::Revision;
use crate::row::body::AccountSheet;
use crate::row::body::IntegrationSheet;
use crate::store::RowRevision;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::Ground;
use crate::tenant::SealedPut;
use crate::tenant::Tenant;
use crate::tenant::describe;

/// A sealed row, opened and read, with what a write expects of it.
pub(crate) struct Loaded<T> {
    pub(crate) sheet: T,
    pub(crate) revision: Revision,
    pub(crate) row: RowRevision,
}

impl Loaded<AccountSheet> {
    /// What users see of the account; `None` while it is being deleted.
    pub(crate) fn into_model(self, account: LinkedAccountId) -> Option<LinkedAccount> {
        if self.sheet.deleting.is_some() { None } else { self.sheet.into_model(account, self.revision) }
    }
}

impl Tenant {
    pub(crate) fn account_context<'a>(&'a self, account: &'a LinkedAccountId) -> Context<'a> {
        let id = account.as_str();
        Context { linked_account: Some(id), key_name: id, ..self.context(Kind::Row, "account") }
    }

    pub(crate) fn integration_context<'a>(
        &'a self,
        account: &'a LinkedAccountId,
        integration: &'a IntegrationId,
    ) -> Context<'a> {
        let linked_account = Some(account.as_str());
        Context { linked_account, key_name: integration.as_str(), ..self.context(Kind::Row, "integration") }
    }

    pub(crate) fn open_account(
        &self,
        ground: &Ground<'_>,
        account: &LinkedAccountId,
        row: &Versioned,
    ) -> Result<Option<Loaded<AccountSheet>>, Error> {
        self.load(ground, &self.account_context(account), row, AccountSheet::decode)
    }

    pub(crate) fn open_integration(
        &self,
        ground: &Ground<'_>,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        row: &Versioned,
    ) -> Result<Option<Loaded<IntegrationSheet>>, Error> {
        self.load(ground, &self.integration_context(account, integration), row, IntegrationSheet::decode)
    }

    /// The account in `row`, unless it is being deleted.
    pub(crate) fn live_account(
        &self,
        ground: &Ground<'_>,
        account: &LinkedAccountId,
        row: Option<&Versioned>,
    ) -> Result<Option<Loaded<AccountSheet>>, Error> {
        let Some(row) = row else { return Ok(None) };
        let loaded = self.open_account(ground, account, row)?;
        Ok(loaded.filter(|loaded| loaded.sheet.deleting.is_none()))
    }

    /// The account and the integration, if both are there and neither is being deleted.
    pub(crate) fn live_integration(
        &self,
        ground: &Ground<'_>,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        account_row: Option<&Versioned>,
        row: Option<&Versioned>,
    ) -> Result<(Loaded<AccountSheet>, Loaded<IntegrationSheet>), Error> {
        let known = self.live_account(ground, account, account_row)?;
        let loaded = match row {
            Some(row) => self.open_integration(ground, account, integration, row)?,
            None => None,
        };
        match (known, loaded.filter(|loaded| loaded.sheet.deleting.is_none())) {
            (Some(known), Some(loaded)) => Ok((known, loaded)),
            _ => {
                Err(Error::IntegrationNotFound { account: account.clone(), integration: integration.clone() })
            }
        }
    }

    fn load<T>(
        &self,
        ground: &Ground<'_>,
        context: &Context<'_>,
        row: &Versioned,
        decode: impl Fn(&[u8]) -> Result<T, crate::row::body::RowError>,
    ) -> Result<Option<Loaded<T>>, Error> {
        let Some(opened) = self.open(ground.keys(None), context, &row.value)? else { return Ok(None) };
        let sheet = decode(&opened.plaintext).map_err(|error| Error::row(describe(context), error))?;
        Ok(Some(Loaded { sheet, revision: opened.revision, row: row.revision }))
    }
}

impl Draft<'_> {
    /// Puts an account, new or in place of the one that was read.
    pub(crate) fn put_account(
        &mut self,
        account: &LinkedAccountId,
        sheet: &AccountSheet,
        read: Option<(Revision, RowRevision)>,
    ) -> Result<(), Error> {
        let key = self.tenant().keys.account(account);
        let context = self.tenant().account_context(account);
        let revision = next_revision(read)?;
        self.expect_as_read(key.clone(), read.map(|(_, row)| row));
        self.put_sealed(None, SealedPut { key, context, doc_id: None, revision, plaintext: &sheet.encode() })
    }

    /// Puts an integration, new or in place of the one that was read.
    pub(crate) fn put_integration(
        &mut self,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        sheet: &IntegrationSheet,
        read: Option<(Revision, RowRevision)>,
    ) -> Result<(), Error> {
        let key = self.tenant().keys.integration(account, integration);
        let context = self.tenant().integration_context(account, integration);
        let revision = next_revision(read)?;
        self.expect_as_read(key.clone(), read.map(|(_, row)| row));
        self.put_sealed(None, SealedPut { key, context, doc_id: None, revision, plaintext: &sheet.encode() })
    }

    /// Notes that a credential of the account changed.
    pub(crate) fn bump_generation(
        &mut self,
        account: &LinkedAccountId,
        loaded: &Loaded<AccountSheet>,
    ) -> Result<(), Error> {
        let mut sheet = loaded.sheet.clone().touched(self.tenant().engine.now());
        sheet.credential_generation = sheet.credential_generation.saturating_add(1);
        self.put_account(account, &sheet, Some((loaded.revision, loaded.row)))
    }
}

fn next_revision(read: Option<(Revision, RowRevision)>) -> Result<Revision, Error> {
    read.map_or_else(Revision::first, |(revision, _)| Ok(revision.next()))
}
