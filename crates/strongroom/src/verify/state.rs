//! The result of checking one row.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::report::{Cause, KeyState, Swept};
use super::tenant_check::Owner;
use crate::clock::Timestamp;
use crate::engine::chains::PAUSE_MS_MAX;
use crate::envelope::DekId;
use crate::error::Damage;
use crate::id::DefinitionId;
use crate::model::Revision;
use crate::row::{Row, RowPath, Subject, TenantId, TenantRow, VaultRow};
use crate::store::{Key, RowRevision, Versioned};

/// The state of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowState {
    Fine,
    /// A value that was set before its definition's format changed and does not match the new one.
    Grandfathered,
    /// A job that deletes it has not swept it yet.
    Leftover,
    /// The keyring of this scope is missing.
    NoKeyring(Owner),
    /// The keyring of this scope cannot be read, which is reported at its own row.
    NoKeys(Owner, Cause),
    /// This definition cannot be read, which is reported at its own row.
    NoDefinition(DefinitionId, Cause),
    Bad(Vec<Cause>),
}

impl RowState {
    pub(super) fn bad(cause: Cause) -> Self {
        Self::Bad(vec![cause])
    }

    /// Whether reading the row again cannot change its state.
    pub(super) fn is_settled(&self, unavailable: &HashSet<Owner>) -> bool {
        match self {
            Self::Fine | Self::Grandfathered | Self::Leftover => true,
            Self::NoKeyring(owner) | Self::NoKeys(owner, _) => unavailable.contains(owner),
            Self::NoDefinition(..) | Self::Bad(_) => false,
        }
    }
}

/// A row that was checked.
pub(super) struct CheckedRow {
    pub(super) row_id: RowId,
    pub(super) state: RowState,
    /// The data key that sealed it; for a keyring, the keys that it lists.
    pub(super) keys: SmallVec<[KeyMention; 1]>,
    /// `false` if the row is missing.
    pub(super) is_row: bool,
    /// The revision that the row states, which is authentic if it opened; `None` for rows that come and go by
    /// themselves, and for those without one.
    pub(super) revision: Option<Revision>,
    /// When the document in it was last set, if the row opened and says so.
    pub(super) written_at: Option<Timestamp>,
    /// The row as it was read, if a sweep takes it.
    pub(super) swept: Option<(Swept, Key, RowRevision)>,
}

/// Which row was checked.
pub(super) enum RowId {
    Vault(VaultRow),
    Tenant(TenantRow<'static>),
    /// A row whose key is not in the format.
    Foreign,
}

impl RowId {
    pub(super) fn path(&self, tenant: Option<&TenantId>) -> RowPath {
        match (self, tenant) {
            (Self::Vault(row), _) => Row::Vault(*row).path(),
            (Self::Tenant(row), Some(tenant)) => Row::Tenant(tenant, row.clone()).path(),
            (Self::Tenant(_) | Self::Foreign, _) => RowPath::foreign(tenant),
        }
    }

    /// The key of the row; `None` if it is not in the format.
    pub(super) fn key(&self, tenant: Option<&TenantId>) -> Option<Key> {
        match (self, tenant) {
            (Self::Vault(row), _) => Some(row.key()),
            (Self::Tenant(row), Some(tenant)) => Some(Row::Tenant(tenant, row.clone()).key()),
            (Self::Tenant(_) | Self::Foreign, _) => None,
        }
    }

    pub(super) fn is_of_every_vault(&self) -> bool {
        matches!(self, Self::Vault(VaultRow::Header | VaultRow::Store))
    }

    pub(super) fn is_job(&self) -> bool {
        matches!(self, Self::Vault(VaultRow::KeyJob(_)) | Self::Tenant(TenantRow::Job(_)))
    }

    pub(super) fn is_count(&self) -> bool {
        matches!(self, Self::Tenant(TenantRow::Count))
    }

    pub(super) fn is_of_audit(&self) -> bool {
        matches!(self, Self::Tenant(row) if is_of_audit(row))
    }
}

/// Whether a row is checked together with the chains of events.
pub(super) fn is_of_audit(row: &TenantRow<'_>) -> bool {
    matches!(
        row,
        TenantRow::Event(_) | TenantRow::AuditHead | TenantRow::ChainHead(_) | TenantRow::AuditFloor
    )
}

/// A data key that a row names.
pub(super) struct KeyMention {
    pub(super) owner: Owner,
    pub(super) id: DekId,
    pub(super) state: KeyState,
    /// 1 for a row that the key sealed, 0 for the keyring that lists the key.
    pub(super) rows: u64,
}

impl CheckedRow {
    /// A row of the whole store; no data key seals those.
    pub(super) fn of_store(row: Option<VaultRow>, state: RowState) -> Self {
        let row_id = row.map_or(RowId::Foreign, RowId::Vault);
        let keys = SmallVec::new();
        Self { row_id, state, keys, is_row: true, revision: None, written_at: None, swept: None }
    }

    /// A row that is missing.
    pub(super) fn absent(row_id: RowId, state: RowState) -> Self {
        let keys = SmallVec::new();
        Self { row_id, state, keys, is_row: false, revision: None, written_at: None, swept: None }
    }

    /// The same with its row as it was read, if a sweep takes that.
    pub(super) fn read_as(self, key: &Key, row: &Versioned, now: Timestamp) -> Self {
        let swept = swept_as(&self, now).map(|swept| (swept, key.clone(), row.revision));
        Self { swept, ..self }
    }

    /// The same with the revision that its sealed row states.
    pub(super) fn at(self, revision: Option<Revision>) -> Self {
        Self { revision, ..self }
    }
}

/// What a sweep does with a row, if anything.
fn swept_as(checked: &CheckedRow, now: Timestamp) -> Option<Swept> {
    let RowState::Bad(causes) = &checked.state else { return None };
    let of = |causes_of: fn(&Cause) -> bool| causes.iter().any(causes_of);
    // Not one whose key is unknown: it may be whole, and the keyring or the root that has its key can come back. Nor
    // one that opens and holds what nobody here understands: it is of a later release.
    let damaged = of(|cause| matches!(cause, Cause::Damaged(Damage::Malformed | Damage::Rejected)));
    match &checked.row_id {
        RowId::Foreign => Some(Swept::Stray),
        RowId::Tenant(TenantRow::DefinitionName(_)) => {
            of(|cause| matches!(cause, Cause::LeadsElsewhere | Cause::Damaged(_))).then_some(Swept::Stray)
        }
        RowId::Tenant(TenantRow::ValueId(_) | TenantRow::DefinitionValue(..))
            if of(|cause| matches!(cause, Cause::LeadsElsewhere | Cause::Dangling)) =>
        {
            Some(Swept::Stray)
        }
        // Its document is there, so nothing is continued from it.
        RowId::Tenant(TenantRow::Deleted(_)) if of(|cause| *cause == Cause::Superseded) => match causes.len()
        {
            1 => Some(Swept::Stray),
            _ => damaged.then_some(Swept::Unreadable),
        },
        // Of the audit: what no one can read and no age reaches.
        RowId::Tenant(TenantRow::ChainHead(_)) => damaged.then_some(Swept::Stray),
        RowId::Tenant(TenantRow::Event(id)) => {
            let is_of_future = id.at.as_ms() > now.as_ms().saturating_add(PAUSE_MS_MAX);
            (damaged && is_of_future).then_some(Swept::Stray)
        }
        // What they hold is their revision in the backend.
        RowId::Tenant(TenantRow::Epoch | TenantRow::Generation) => damaged.then_some(Swept::Mended),
        RowId::Tenant(
            TenantRow::Definition(_) | TenantRow::Value(..) | TenantRow::Deleted(Subject::Value(..)),
        ) => {
            let lost = |cause: &Cause| matches!(cause, Cause::NotIndexed(_) | Cause::WronglyMarked);
            causes.iter().all(lost).then_some(Swept::Mended)
        }
        // Without the record, what it refuses would be let in. The commands that renew it keep that out.
        RowId::Tenant(TenantRow::Record(namespace, key)) if namespace.keeps_out(key) => None,
        // If the value of a lost id is there, it is indexed again.
        RowId::Tenant(
            TenantRow::Job(_) | TenantRow::Record(..) | TenantRow::Former(..) | TenantRow::ValueId(_),
        )
        | RowId::Vault(VaultRow::KeyJob(_) | VaultRow::OrgRestore(_)) => damaged.then_some(Swept::Unreadable),
        // That it is there keeps receipts of shreds honest.
        RowId::Vault(VaultRow::Export(..)) => damaged.then_some(Swept::Mended),
        // Nor `VaultRow::Retired`: without it, a store that moved takes writes again.
        RowId::Tenant(_) | RowId::Vault(_) => None,
    }
}
