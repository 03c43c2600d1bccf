//! The row of a credential.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::error::{Error, Invalid};
use crate::id::{AppId, CredentialKey, LinkedAccountId};
use crate::keys::Document;
use crate::model::{
    AuditChange, Credential, CredentialInfo, CredentialWritten, EventKind, Expected, Revision,
};
use crate::row::body::{Times, ValueBody};
use crate::row::{Row, Subject};
use crate::secret::Secret;
use crate::store::Versioned;
use crate::tenant::former::{DocumentRows, FoundDocument};
use crate::tenant::options::IN_THE_PAST;
use crate::tenant::{Draft, Existing, Expiry, Tenant, View, WriteOptions};

/// The account, connection and key name of a credential.
pub(crate) type CredentialAddress<'a> = (&'a LinkedAccountId, &'a AppId, &'a CredentialKey);

/// A credential to be set, for [`AppCredentials::set_many`](crate::AppCredentials::set_many).
#[derive(Debug)]
pub struct NewCredential {
    key_name: String,
    value: Secret,
    expected: Expected,
    expires_at: Option<Timestamp>,
}

impl NewCredential {
    /// Sets `value` under `key_name`, whether or not there is one.
    pub fn new(key_name: impl Into<String>, value: impl Into<Secret>) -> Self {
        Self { key_name: key_name.into(), value: value.into(), expected: Expected::Any, expires_at: None }
    }

    /// Sets the credential only if the one with its key name is as expected.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    /// Sets when this credential expires, instead of the expiry in the options. The write of a credential that has
    /// already expired is refused ([`Error::InvalidMetadata`]), with everything written beside it. Only what a refresh
    /// returns is stored even then.
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }
}

/// A new credential whose key name is valid, and given only once.
pub(crate) struct ParsedCredential<'n> {
    pub(crate) key_name: CredentialKey,
    pub(crate) value: &'n Secret,
    pub(crate) expected: Expected,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The credentials that a provider issued.
#[derive(Default)]
pub(crate) struct ParsedAnswer<'n> {
    pub(crate) new: Vec<ParsedCredential<'n>>,
    /// The places of those that cannot be stored.
    pub(crate) refused: Vec<usize>,
}

impl ParsedCredential<'_> {
    /// A copy of the value, for the caller who set it.
    pub(crate) fn value_again(&self) -> Secret {
        self.value.expose().into()
    }

    pub(crate) fn has_value(&self, value: &Secret) -> bool {
        self.value.expose() == value.expose()
    }
}

impl Tenant {
    /// Refuses invalid key names, key names that are given twice, and credentials that are too long.
    pub(crate) fn parse_credentials<'n>(
        &self,
        credentials: &'n [NewCredential],
    ) -> Result<Vec<ParsedCredential<'n>>, Error> {
        let mut seen = BTreeSet::new();
        credentials.iter().map(|new| self.parse_credential(new, &mut seen)).collect()
    }

    /// Separates what can be stored of a provider's answer from what cannot. The answer cannot be requested again, so
    /// no condition on one of its credentials keeps it from being stored.
    pub(crate) fn parse_answer<'n>(&self, answer: &'n [NewCredential]) -> ParsedAnswer<'n> {
        let (mut seen, mut parsed) = (BTreeSet::new(), ParsedAnswer::default());
        for (place, new) in answer.iter().enumerate() {
            match self.parse_credential(new, &mut seen) {
                Ok(new) => parsed.new.push(ParsedCredential { expected: Expected::Any, ..new }),
                Err(_) => parsed.refused.push(place),
            }
        }
        parsed
    }

    fn parse_credential<'n>(
        &self,
        new: &'n NewCredential,
        seen: &mut BTreeSet<CredentialKey>,
    ) -> Result<ParsedCredential<'n>, Error> {
        let key_name: CredentialKey = new.key_name.parse()?;
        self.check_credential(&new.value)?;
        if !seen.insert(key_name.clone()) {
            return Err(Error::Invalid(Invalid::DuplicateCredentialKey));
        }
        Ok(ParsedCredential {
            key_name,
            value: &new.value,
            expected: new.expected,
            expires_at: new.expires_at,
        })
    }

    /// Refuses new credentials that have expired already.
    pub(crate) fn refuse_expired(&self, credentials: &[ParsedCredential<'_>]) -> Result<(), Error> {
        let now = self.engine.now();
        let is_over = |new: &ParsedCredential<'_>| new.expires_at.is_some_and(|at| at <= now);
        if credentials.iter().any(is_over) { Err(Error::InvalidMetadata(IN_THE_PAST)) } else { Ok(()) }
    }

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
        let (account, app, key_name) = address;
        self.open_credential_at(view, address, &self.id.credential(account, app, key_name), row)
    }

    /// Opens a credential, current or former, in its place.
    pub(crate) fn open_credential_at(
        &self,
        view: &View<'_>,
        address: CredentialAddress<'_>,
        place: &Row<'_>,
        row: &Versioned,
    ) -> Result<Option<Credential>, Error> {
        let (account, app, key_name) = address;
        let Some(opened) = self.open(view.keys(Some(account)), place, &row.value)? else { return Ok(None) };
        let id = opened.document_id(place)?;
        let body =
            ValueBody::decode(opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        let info = CredentialInfo {
            id,
            integration: app.integration(),
            connection: app.connection(),
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
        let (account, app, key_name) = address;
        let place = self.id.credential(account, app, key_name);
        Ok(Self::peek(view.keys(Some(account)), &place, &row.value)?.map(|sealed| sealed.revision))
    }
}

impl Draft<'_> {
    /// Adds a credential, or updates the one in its row, keeping its id and creation time.
    pub(crate) fn put_credential(
        &mut self,
        address: CredentialAddress<'_>,
        new: &ParsedCredential<'_>,
        rows: DocumentRows<'_>,
        options: &WriteOptions,
    ) -> Result<CredentialWritten, Error> {
        let (account, app, key_name) = address;
        let ParsedCredential { value, expected, expires_at, .. } = new;
        let (row, subject) = (rows.row, Subject::credential(account, app, key_name));
        let tenant = self.tenant();
        let now = tenant.engine.now();
        let metadata = tenant.metadata(options, now, expires_at.map_or(Expiry::Allowed, Expiry::At))?;
        let place = tenant.id.credential(account, app, key_name);
        let FoundDocument { existing, standing, action } = self.find_document(&place, &subject, rows)?;
        WriteOptions::expecting(*expected).check(standing)?;
        let known = match (existing, rows.continued) {
            (Some((existing, former)), _) => {
                self.keep_former(&subject, &former.as_document(), tenant.engine.history_versions)?;
                Some(Existing { revision: existing.revision.next(), ..existing })
            }
            (None, Some(continued)) => {
                if row.is_some() {
                    self.note(|| credential_change(EventKind::CredentialDeleted, address));
                }
                rows.deleted.into_iter().for_each(|row| self.delete_unreadable_deletion(&subject, row));
                Some(continued)
            }
            (None, None) => self.continue_deleted(&subject, rows.deleted, tenant.engine.history_versions)?,
        };
        let Existing { id, revision, created_at } = match known {
            Some(known) => known,
            None => Existing { id: self.new_id()?, revision: Revision::first()?, created_at: now },
        };
        let body = ValueBody::encode(value, Times { created_at, updated_at: now }, &metadata);
        let document = Document { id: Some(id), revision, body: &body };
        self.put_counted(&place, row.map(|row| (row.revision, row.value.len())), &document)?;
        self.note(|| AuditChange {
            before: standing.revision(),
            after: Some(revision),
            ..credential_change(EventKind::CredentialSet, (account, app, key_name))
        });
        let info = CredentialInfo {
            id,
            integration: app.integration(),
            connection: app.connection(),
            key_name: key_name.clone(),
            revision,
            created_at,
            updated_at: now,
            metadata,
        };
        Ok(CredentialWritten { action, info })
    }

    /// Deletes the credential in `row`; `before` is its revision, if it can be read.
    pub(crate) fn delete_credential(
        &mut self,
        address: CredentialAddress<'_>,
        row: &Versioned,
        before: Option<Revision>,
    ) {
        let (account, app, key_name) = address;
        self.delete_counted(self.tenant().id.credential(account, app, key_name).key(), row);
        if before.is_some() {
            self.note(|| AuditChange { before, ..credential_change(EventKind::CredentialDeleted, address) });
        }
    }
}

/// A change of a credential, without its revisions.
pub(crate) fn credential_change(kind: EventKind, address: CredentialAddress<'_>) -> AuditChange {
    let (account, app, key_name) = address;
    AuditChange {
        name: Some(key_name.as_str().to_owned()),
        linked_account: Some(account.clone()),
        integration: Some(app.integration()),
        connection: app.connection(),
        ..AuditChange::new(kind)
    }
}
