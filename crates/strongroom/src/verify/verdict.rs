//! What becomes of a row that was judged.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::desk::Owner;
use super::report::{Cause, KeyState};
use crate::envelope::DekId;
use crate::row::body::{RowKind, SealedRow};
use crate::row::parse::Place;
use crate::store::Versioned;

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
    pub(super) place: Option<Place>,
    pub(super) verdict: Verdict,
    /// The data key that sealed it; of a keyring, those that it lists.
    pub(super) keys: SmallVec<[KeyRef; 1]>,
    /// Whether there is such a row, and not its absence that was judged.
    pub(super) is_row: bool,
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
    pub(super) fn of_store(place: Option<Place>, verdict: Verdict) -> Self {
        Self { place, verdict, keys: SmallVec::new(), is_row: true }
    }

    /// A row that should be there, and is not.
    pub(super) fn absent(place: Place, verdict: Verdict) -> Self {
        Self { place: Some(place), verdict, keys: SmallVec::new(), is_row: false }
    }

    pub(super) fn is_count(&self) -> bool {
        self.place == Some(Place::Count)
    }
}

/// The key scope of a row, and which of its keys sealed it; `None` for a row that no data key seals.
pub(super) fn sealed_under(place: &Place, row: &Versioned) -> Option<(Owner, DekId)> {
    let (owner, kind) = match place {
        Place::Value(scope, _) => (scope.linked_account().cloned(), RowKind::ScopedValue),
        Place::Credential(account, ..) => (Some(account.clone()), RowKind::Credential),
        Place::Definition(_) => (None, RowKind::Definition),
        Place::Count | Place::Account(_) | Place::Integration(..) | Place::Record(..) => {
            (None, RowKind::Sealed)
        }
        _ => return None,
    };
    Some((owner, SealedRow::dek_id(kind, &row.value)?))
}
