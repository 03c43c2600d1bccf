//! The row of a credential.

use crate::error::Error;
use crate::id::{CredentialKey, IntegrationId, LinkedAccountId};
use crate::keys::Document;
use crate::model::{AuditChange, Credential, CredentialInfo, EventKind, Revision, Upsert};
use crate::row::body::{Times, ValueBody};
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::{Draft, Expiry, Tenant, View, WriteOptions};

/// The account, integration and key name of a credential.
pub(crate) type CredentialAddress<'a> = (&'a LinkedAccountId, &'a IntegrationId, &'a CredentialKey);

impl Tenant {
    /// Refuses a credential that is too long.
    pub(crate) fn check_credential(&self, value: &Secret) -> Result<(), Error> {
        let max = self.engine.limits.value_bytes();
        if value.len() > max { Err(Error::TooLong { what: "a credential", max }) } else { Ok(()) }
    }

    /// Opens the row of a credential. `None` if the key that sealed it was dropped.
    pub(crate) fn open_credential(
        &self,
        view: &View<'_>,
        address: CredentialAddress<'_>,
        row: &Versioned,
    ) -> Result<Option<Credential>, Error> {
        let (account, integration, key_name) = address;
        let place = self.id.credential(account, integration, key_name);
        let Some(opened) = self.open(view.keys(Some(account)), &place, &row.value)? else { return Ok(None) };
        let id = opened.document_id(&place)?;
        let body = ValueBody::decode(opened.plaintext).map_err(|error| Error::row(place.name(), error))?;
        let info = CredentialInfo {
            id,
            integration: integration.clone(),
            key_name: key_name.clone(),
            revision: opened.revision,
            created_at: body.times.created_at,
            updated_at: body.times.updated_at,
            metadata: body.metadata,
        };
        Ok(Some(Credential { info, value: body.value }))
    }

    /// The revision in the clear part of a credential's row. `None` if the key that sealed it was dropped.
    pub(crate) fn find_credential(
        &self,
        view: &View<'_>,
        address: CredentialAddress<'_>,
        row: &Versioned,
    ) -> Result<Option<Revision>, Error> {
        let (account, integration, key_name) = address;
        let place = self.id.credential(account, integration, key_name);
        Ok(Self::peek(view.keys(Some(account)), &place, &row.value)?.map(|sealed| sealed.revision))
    }
}

impl Draft<'_> {
    /// Adds a credential, or updates the one in `row`, keeping its id and creation time.
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
        let metadata = tenant.metadata(options, now, Expiry::Allowed)?;
        let place = tenant.id.credential(account, integration, key_name);
        let existing = match row {
            Some(row) => self.existing(&place, &row.value)?,
            None => None,
        };
        let before = existing.as_ref().map(|existing| existing.revision);
        options.check(before)?;
        let (action, id, revision, created_at) = match existing {
            Some(existing) => (Upsert::Updated, existing.id, existing.revision.next(), existing.created_at),
            None => (Upsert::Added, self.new_id()?, Revision::first()?, now),
        };
        let body = ValueBody::encode(value, Times { created_at, updated_at: now }, &metadata);
        let document = Document { id: Some(id), revision, body: &body };
        self.put_counted(&place, row.map(|row| (row.revision, row.value.len())), &document)?;
        self.note(|| AuditChange {
            before,
            after: Some(revision),
            ..credential_change(EventKind::CredentialSet, address)
        });
        Ok(action)
    }
}

/// A change of a credential, without its revisions.
pub(crate) fn credential_change(kind: EventKind, address: CredentialAddress<'_>) -> AuditChange {
    let (account, integration, key_name) = address;
    AuditChange {
        name: Some(key_name.as_str().to_owned()),
        linked_account: Some(account.clone()),
        integration: Some(integration.clone()),
        ..AuditChange::new(kind)
    }
}
