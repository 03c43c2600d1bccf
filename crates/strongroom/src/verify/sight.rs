//! What is read beside a row to judge it.

use std::collections::HashMap;

use crate::id::DefinitionId;
use crate::row::body::Sweep;
use crate::store::{Key, Versioned};

/// Rows that were read beside others, and the unfinished jobs of the tenant where they were read too.
#[derive(Default)]
pub(super) struct Sight {
    pub(super) rows: HashMap<Key, Option<Versioned>>,
    pub(super) jobs: Jobs,
}

impl Sight {
    /// The row of a key that was asked for.
    pub(super) fn row(&self, key: &Key) -> Option<&Versioned> {
        self.rows.get(key)?.as_ref()
    }

    /// Whether the row of a key was asked for.
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }
}

/// The unfinished jobs of a tenant. None are known unless they were read: what only a job explains is then read again.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) ids: Vec<[u8; 12]>,
    pub(super) sweeps: Vec<Sweep>,
    /// There are more than were read, so that any row may be the business of one.
    pub(super) more: bool,
}

impl Jobs {
    pub(super) fn has(&self, id: &[u8; 12]) -> bool {
        self.more || self.ids.contains(id)
    }

    /// Whether all rows of the tenant are still to be swept.
    pub(super) fn shreds(&self) -> bool {
        self.sweeps.contains(&Sweep::Org)
    }

    /// Whether values of the definition, which is gone, are still to be swept.
    pub(super) fn sweeps(&self, id: DefinitionId) -> bool {
        self.more || self.sweeps.contains(&Sweep::Definition(id))
    }

    /// Whether scopes that were removed from the definition are still to be looked at again.
    pub(super) fn narrows(&self, id: DefinitionId) -> bool {
        let narrows = |sweep: &Sweep| matches!(sweep, Sweep::Narrow(narrowed, _) if *narrowed == id);
        self.more || self.sweeps.iter().any(narrows)
    }

    /// Whether values of the definition are still to be marked.
    pub(super) fn rechecks(&self, id: DefinitionId) -> bool {
        self.more || self.sweeps.contains(&Sweep::Recheck(id))
    }
}
