//! One row, from an older key of its scope to the active one.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::envelope::Context;
use crate::envelope::Kind;
use crate::envelope::SealedRecord;
use crate::error::Damage;
use crate::error::Error;
use crate::id::DocumentId;
use crate::model::Revision;
use crate::row::body::AccountSheet;
use crate::row::body::IntegrationSheet;
use crate::row::body::RowError;
use crate::row::body::SealedRow;
use crate::row::body::Sheet;
use crate::row::body::decode_definition;
use crate::row::key;
use crate::row::key::TenantKeys;
use crate::row::parse::Place;
use crate::row::parse::parse_tenant_row;
use crate::store::Key;
use crate::store::KeyRange;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::ScopeKeys;
use crate::tenant::SealedPut;
use crate::tenant::Tenant;
use crate::tenant::describe;
use crate::tenant::key_name;
use crate::tenant::row_kind;

/// What becomes of a row.
pub(crate) enum Turn {
    /// It is under the active key, or as good as gone.
    Stays,
    /// It is to be sealed anew.
    Moves(Opened),
}

/// A row that is to be sealed anew: the same document at the same revision.
pub(crate) struct Opened {
    place: Place,
    doc_id: Option<DocumentId>,
    revision: Revision,
    plaintext: Zeroizing<Vec<u8>>,
}

impl Tenant {
    /// Looks at a row of the scope of `keys`, and opens it if it is under an older key.
    pub(crate) fn turn_row(&self, keys: &Arc<ScopeKeys>, key: &Key, row: &Versioned) -> Result<Turn, Error> {
        let Some(place) = parse_tenant_row(&self.keys, key) else {
            return Err(Error::damaged("a row whose key is none of the format's", Damage::Malformed));
        };
        let opened = self.at(&place, |context| {
            let sealed = SealedRow::decode(row_kind(context.kind), &row.value)
                .map_err(|error| Error::row(describe(context), error))?;
            let record =
                SealedRecord::parse(sealed.record).map_err(|error| Error::open(describe(context), error))?;
            if keys.keyring.active().is_some_and(|active| *active.id() == record.dek_id()) {
                return Ok(None);
            }
            let Some(opened) = self.open(Some(keys), context, &row.value)? else { return Ok(None) };
            check(&place, &opened.plaintext).map_err(|error| Error::row(describe(context), error))?;
            Ok(Some((opened.doc_id, opened.revision, opened.plaintext)))
        })?;
        Ok(match opened {
            None => Turn::Stays,
            Some((doc_id, revision, plaintext)) => Turn::Moves(Opened { place, doc_id, revision, plaintext }),
        })
    }

    /// Calls `work` with the address of a row that a data key seals.
    pub(crate) fn at<T>(
        &self,
        place: &Place,
        work: impl FnOnce(&Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match place {
            Place::Count => work(&self.context(Kind::Row, "count")),
            Place::Definition(id) => work(&self.context(Kind::Definition, id.to_text().as_str())),
            Place::Value(scope, id) => work(&self.value_context(scope, id.to_text().as_str())),
            Place::Account(account) => work(&self.account_context(account)),
            Place::Integration(account, integration) => work(&self.integration_context(account, integration)),
            Place::Credential(account, integration, key_name) => {
                work(&self.credential_context((account, integration, key_name)))
            }
            Place::Record(namespace, key) => work(&self.record_context(&key_name(namespace, key))),
            _ => Err(Error::damaged("a row that no data key seals", Damage::Inconsistent)),
        }
    }
}

impl Draft<'_> {
    /// Seals a row anew, which must be as it was read.
    pub(crate) fn reseal(&mut self, key: &Key, row: &Versioned, opened: &Opened) -> Result<(), Error> {
        let tenant = self.tenant();
        self.expect_as_read(key.clone(), Some(row.revision));
        let Opened { place, doc_id, revision, plaintext } = opened;
        let account = owner(place);
        tenant.at(place, |context| {
            let (key, context) = (key.clone(), *context);
            self.put_sealed(
                account,
                SealedPut { key, context, doc_id: *doc_id, revision: *revision, plaintext },
            )
        })
    }
}

/// Whose keys seal the row: those of an account, or the org's.
pub(crate) fn owner(place: &Place) -> Option<&crate::id::LinkedAccountId> {
    match place {
        Place::Value(scope, _) => scope.linked_account(),
        Place::Credential(account, ..) => Some(account),
        _ => None,
    }
}

/// Refuses what opens and is not what such a row holds.
fn check(place: &Place, plaintext: &[u8]) -> Result<(), RowError> {
    match place {
        Place::Definition(id) => decode_definition(*id, Revision::from_u64(0), plaintext).map(|_| ()),
        Place::Account(_) => AccountSheet::decode(plaintext).map(|_| ()),
        Place::Integration(..) => IntegrationSheet::decode(plaintext).map(|_| ()),
        Place::Count => <[u8; 8]>::try_from(plaintext).map(|_| ()).map_err(|_| RowError::Malformed),
        _ => Sheet::decode_times(plaintext).map(|_| ()),
    }
}

/// The ranges of rows that the keys of a scope seal, in the order of their keys.
pub(crate) fn ranges(keys: &TenantKeys, account: Option<&crate::id::LinkedAccountId>) -> Vec<KeyRange> {
    let of = |parts: &[&[u8]]| KeyRange::prefix(&[&[keys.prefix()], parts].concat().concat());
    if let Some(account) = account {
        let id = account.as_str().as_bytes();
        return vec![of(&[&[key::VALUE, key::SCOPE_ACCOUNT], id, &[0]]), of(&[&[key::CREDENTIAL], id, &[0]])];
    }
    vec![
        of(&[&[key::COUNT]]),
        of(&[&[key::DEFINITION]]),
        of(&[&[key::VALUE, key::SCOPE_ORG]]),
        of(&[&[key::VALUE, key::SCOPE_WORKFLOW]]),
        of(&[&[key::ACCOUNT]]),
        of(&[&[key::INTEGRATION]]),
        of(&[&[key::RECORD]]),
    ]
}

/// Whether a data key seals the row, told by its key.
pub(crate) fn is_sealed(key: &Key) -> bool {
    let mut ends = key.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
    let kind = ends.nth(1).and_then(|end| key.as_bytes().get(end + 1));
    kind.is_some_and(|kind| {
        matches!(
            *kind,
            key::COUNT
                | key::DEFINITION
                | key::VALUE
                | key::ACCOUNT
                | key::INTEGRATION
                | key::CREDENTIAL
                | key::RECORD
        )
    })
}
