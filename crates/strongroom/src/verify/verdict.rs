//! What becomes of a row that was judged.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::desk::Owner;
use super::report::{Cause, KeyState};
use crate::envelope::DekId;
use crate::row::{Row, RowPath, TenantId, TenantRow, VaultRow};

/// What a row is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// A value from before a change of format, which it does not match.
    Grandfathered,
    /// A delete left it to be swept.
    Leftover,
    /// The keyring of this scope is missing.
    NoKeyring(Owner),
    /// The keyring of this scope cannot be read, which its own row tells.
    NoKeys(Owner),
    /// The definition cannot be read, which its own row tells.
    NoDefinition,
    Bad(Vec<Cause>),
}

impl Verdict {
    pub(super) fn bad(cause: Cause) -> Self {
        Self::Bad(vec![cause])
    }

    /// Whether no second look can change it.
    pub(super) fn is_settled(&self, closed: &HashSet<Owner>) -> bool {
        match self {
            Self::Fine | Self::Grandfathered | Self::Leftover => true,
            Self::NoKeyring(owner) | Self::NoKeys(owner) => closed.contains(owner),
            Self::NoDefinition | Self::Bad(_) => false,
        }
    }
}

/// A row that was judged.
pub(super) struct Judged {
    pub(super) subject: Subject,
    pub(super) verdict: Verdict,
    /// The data key that sealed it; of a keyring, those that it lists.
    pub(super) keys: SmallVec<[KeyRef; 1]>,
    /// Whether there is such a row, and not its absence that was judged.
    pub(super) is_row: bool,
}

/// Which row was judged.
pub(super) enum Subject {
    Vault(VaultRow),
    Tenant(TenantRow<'static>),
    /// A row whose key is none of the format's.
    Foreign,
}

impl Subject {
    pub(super) fn path(&self, tenant: Option<&TenantId>) -> RowPath {
        match (self, tenant) {
            (Self::Vault(row), _) => Row::Vault(*row).path(),
            (Self::Tenant(row), Some(tenant)) => Row::Tenant(tenant, row.clone()).path(),
            (Self::Tenant(_) | Self::Foreign, _) => RowPath::foreign(tenant),
        }
    }

    pub(super) fn is_job(&self) -> bool {
        matches!(self, Self::Vault(VaultRow::KeyJob(_)) | Self::Tenant(TenantRow::Job(_)))
    }

    pub(super) fn is_count(&self) -> bool {
        matches!(self, Self::Tenant(TenantRow::Count))
    }
}

/// A reference to a data key.
pub(super) struct KeyRef {
    pub(super) owner: Owner,
    pub(super) id: DekId,
    pub(super) state: KeyState,
    /// How many rows it stands for: none where a keyring lists the key.
    pub(super) rows: u64,
}

impl Judged {
    /// A row of the whole store, which no data key seals.
    pub(super) fn of_store(row: Option<VaultRow>, verdict: Verdict) -> Self {
        let subject = row.map_or(Subject::Foreign, Subject::Vault);
        Self { subject, verdict, keys: SmallVec::new(), is_row: true }
    }

    /// A row that should be there, and is not.
    pub(super) fn absent(subject: Subject, verdict: Verdict) -> Self {
        Self { subject, verdict, keys: SmallVec::new(), is_row: false }
    }
}
