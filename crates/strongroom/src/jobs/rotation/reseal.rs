//! Seals one row again: from an older key of its scope to the active one.

use std::sync::Arc;

use crate::error::{Damage, Error};
use crate::keys::{OpenedRow, ScopeKeys, sealing_key_id};
use crate::model::Revision;
use crate::row::body::{
    AccountBody, AuditFloorBody, AuditHeadBody, ChainHeadBody, EventBody, IntegrationBody, VACANT, ValueBody,
    decode_definition,
};
use crate::row::{Row, RowError, Subject, TenantRow};
use crate::store::{Key, Versioned};
use crate::tenant::{Draft, Tenant};

/// A row under an older key, opened, so that the same document can be sealed again, at the same revision, under the
/// active key.
pub(crate) struct RetiredRow<'t> {
    row: Row<'t>,
    opened: OpenedRow,
}

/// Opens a row of the scope of `keys` if an older key sealed it. `None` for a row to leave alone: it is under the
/// active key, or its key was dropped.
pub(crate) fn open_if_retired<'t>(
    tenant: &'t Tenant,
    keys: &Arc<ScopeKeys>,
    key: &Key,
    found: &Versioned,
) -> Result<Option<RetiredRow<'t>>, Error> {
    let Some(row) = tenant.id.parse(key) else {
        return Err(Error::damaged("a row whose key is none of the format's", Damage::Malformed));
    };
    let is_active = |id| keys.keyring.active().is_some_and(|active| *active.id() == id);
    if sealing_key_id(&row, &found.value).is_some_and(is_active) {
        return Ok(None);
    }
    let Some(opened) = tenant.open(Some(keys), &row, &found.value)? else { return Ok(None) };
    check_body(&row, &opened.plaintext).map_err(|error| Error::content(row.name(), error))?;
    Ok(Some(RetiredRow { row, opened }))
}

/// Seals the row under the active key, in place of the row that was read.
pub(crate) fn reseal(draft: &mut Draft<'_>, older: &RetiredRow<'_>, found: &Versioned) -> Result<(), Error> {
    draft.put_sealed(&older.row, Some(found.revision), &older.opened.as_document())
}

/// Refuses a body that opens but is not what such a row holds.
fn check_body(row: &Row<'_>, body: &[u8]) -> Result<(), RowError> {
    let Row::Tenant(_, row) = row else { return Err(RowError::Malformed) };
    match row {
        TenantRow::Definition(id)
        | TenantRow::Former(Subject::Definition(id), _)
        | TenantRow::Deleted(Subject::Definition(id)) => {
            decode_definition(*id, Revision::UNWRITTEN, body).map(drop)
        }
        TenantRow::Account(_) => AccountBody::decode(body).map(drop),
        TenantRow::Integration(..) => IntegrationBody::decode(body).map(drop),
        TenantRow::Count => <[u8; 8]>::try_from(body).map(drop).map_err(|_| RowError::Malformed),
        TenantRow::Record(..) if *body == *VACANT => Ok(()),
        TenantRow::Value(..)
        | TenantRow::Credential(..)
        | TenantRow::Record(..)
        | TenantRow::Former(Subject::Value(..) | Subject::Credential(..), _)
        | TenantRow::Deleted(Subject::Value(..) | Subject::Credential(..)) => {
            ValueBody::decode_around(body).map(drop)
        }
        TenantRow::Event(_) => EventBody::decode(body).map(drop),
        TenantRow::AuditHead => AuditHeadBody::decode(body).map(drop),
        TenantRow::ChainHead(_) => ChainHeadBody::decode(body).map(drop),
        TenantRow::AuditFloor => AuditFloorBody::decode(body).map(drop),
        TenantRow::Keyring(_)
        | TenantRow::Epoch
        | TenantRow::Generation
        | TenantRow::DefinitionName(_)
        | TenantRow::DefinitionValue(..)
        | TenantRow::ValueId(_)
        | TenantRow::Job(_) => Err(RowError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Environment;
    use crate::model::{ChainId, EventId};
    use crate::row::TenantId;

    /// A damaged body, or one that a later release wrote, must keep its old key.
    #[test]
    fn a_body_that_its_row_cannot_hold_is_refused_for_every_row_and_only_a_record_may_be_vacant() {
        let tenant = TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        let (definition, revision) = ("6500a1b2c3d4e5f6a7b8c9d1".parse().unwrap(), Revision::from_u64(7));
        let (namespace, key) = ("api-key".parse().unwrap(), "k".parse().unwrap());
        let (chain, at) = (ChainId::default(), crate::clock::Timestamp::from_ms(1));
        let subjects =
            [Subject::value(&crate::scope::Scope::Org, &definition), Subject::Definition(definition)];
        let record = tenant.record(&namespace, &key);
        let mut rows = vec![
            record.clone(),
            tenant.keyring(None),
            tenant.epoch(),
            tenant.count(),
            tenant.generation(),
            tenant.definition(&definition),
            tenant.value(&crate::scope::Scope::Org, &definition),
            tenant.event(&EventId { at, chain, sequence: 1 }),
            tenant.audit_head(),
            tenant.chain_head(chain),
            tenant.audit_floor(),
        ];
        for subject in &subjects {
            rows.extend([tenant.former(subject, revision), tenant.deleted(subject)]);
        }
        for row in &rows {
            assert!(check_body(row, &[0xff]).is_err(), "{row:?}");
            assert_eq!(check_body(row, VACANT).is_ok(), *row == record, "{row:?}");
        }
    }
}
