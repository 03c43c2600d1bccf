//! The row of a credential.

use crate::envelope::Context;
use crate::envelope::Kind;
use crate::error::Error;
use crate::id::CredentialKey;
use crate::id::IntegrationId;
use crate::id::LinkedAccountId;
use crate::model::Credential;
use crate::model::CredentialInfo;
use crate::model::Revision;
use crate::model::Upsert;
use crate::row::body::RowKind;
use crate::row::body::Sheet;
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::Ground;
use crate::tenant::SealedPut;
use crate::tenant::Tenant;
use crate::tenant::WriteOptions;
use crate::tenant::describe;

/// Whose credential: account, integration and key name.
pub(crate) type CredentialAddress<'a> = (&'a LinkedAccountId, &'a IntegrationId, &'a CredentialKey);

impl Tenant {
    /// Refuses a credential that is too long.
    pub(crate) fn check_credential(&self, value: &Secret) -> Result<(), Error> {
        let max = self.engine.limits.value_bytes();
        if value.len() > max { Err(Error::TooLong { what: "a credential", max }) } else { Ok(()) }
    }

    /// Opens the row of a credential; `None` when the key that sealed it was dropped.
    pub(crate) fn open_credential(
        &self,
        ground: &Ground<'_>,
        address: CredentialAddress<'_>,
        row: &Versioned,
    ) -> Result<Option<Credential>, Error> {
        let (account, integration, key_name) = address;
        let context = self.credential_context(address);
        let Some(opened) = self.open(ground.keys(Some(account)), &context, &row.value)? else {
            return Ok(None);
        };
        let id = opened.document_id(&context)?;
        let sheet = Sheet::decode(opened.plaintext).map_err(|error| Error::row(describe(&context), error))?;
        let info = CredentialInfo {
            id,
            integration: integration.clone(),
            key_name: key_name.clone(),
            revision: opened.revision,
            created_at: sheet.created_at,
            updated_at: sheet.updated_at,
        };
        Ok(Some(Credential { info, value: sheet.value }))
    }

    /// The revision in the clear part of a credential's row; `None` when the key that sealed it was dropped.
    pub(crate) fn find_credential(
        &self,
        ground: &Ground<'_>,
        address: CredentialAddress<'_>,
        row: &Versioned,
    ) -> Result<Option<Revision>, Error> {
        let context = self.credential_context(address);
        let found =
            Self::find(ground.keys(Some(address.0)), RowKind::Credential, &row.value, || describe(&context))?;
        Ok(found.map(|sealed| sealed.revision))
    }

    pub(crate) fn credential_context<'a>(
        &'a self,
        (account, integration, key_name): CredentialAddress<'a>,
    ) -> Context<'a> {
        Context {
            linked_account: Some(account.as_str()),
            key_name: key_name.as_str(),
            ..self.context(Kind::Credential, integration.as_str())
        }
    }
}

impl Draft<'_> {
    /// Adds a credential, or updates the one in `row` and keeps its id and creation time.
    pub(crate) fn put_credential(
        &mut self,
        address: CredentialAddress<'_>,
        value: &Secret,
        row: Option<&Versioned>,
        options: &WriteOptions,
    ) -> Result<Upsert, Error> {
        let (account, integration, key_name) = address;
        let tenant = self.tenant();
        let now = tenant.engine.now();
        let standing = match row {
            Some(row) => self.standing(Some(account), &tenant.credential_context(address), row)?,
            None => None,
        };
        options.check(standing.as_ref().map(|standing| standing.revision))?;
        let (action, id, revision, created_at) = match standing {
            Some(standing) => (Upsert::Updated, standing.id, standing.revision.next(), standing.created_at),
            None => (Upsert::Added, self.new_id()?, Revision::first()?, now),
        };
        let key = tenant.keys.credential(account, integration, key_name);
        self.expect_as_read(key.clone(), row.map(|row| row.revision));
        let context = tenant.credential_context(address);
        let plaintext = Sheet::encode(value, created_at, now);
        let put = SealedPut { key, context, doc_id: Some(id), revision, plaintext: &plaintext };
        self.put_sealed(Some(account), put)?;
        Ok(action)
    }
}
