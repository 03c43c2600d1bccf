//! The rows and jobs that a row is checked against.

use std::collections::HashMap;

use crate::id::DefinitionId;
use crate::row::body::Sweep;
use crate::store::{Key, Versioned};

/// Rows that others are checked against, and the unfinished jobs of the tenant if they were read in the same snapshot.
#[derive(Default)]
pub(super) struct RelatedRows {
    pub(super) rows: HashMap<Key, Option<Versioned>>,
    pub(super) jobs: Jobs,
}

impl RelatedRows {
    /// The row at a key that was read; `None` if there is none.
    pub(super) fn row(&self, key: &Key) -> Option<&Versioned> {
        self.rows.get(key)?.as_ref()
    }

    /// Whether the key was read, with or without a row.
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }
}

/// The unfinished jobs of a tenant. The first check of a row runs without them; a row that only a job can explain is
/// checked again with the jobs read.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) ids: Vec<[u8; 12]>,
    pub(super) sweeps: Vec<Sweep>,
    /// There are more jobs than were read, so any row may belong to one of them.
    pub(super) more: bool,
}

impl Jobs {
    pub(super) fn has(&self, id: &[u8; 12]) -> bool {
        self.more || self.ids.contains(id)
    }

    /// Whether a shred still has to sweep all rows of the tenant.
    pub(super) fn shreds(&self) -> bool {
        self.sweeps.contains(&Sweep::Org)
    }

    /// Whether values of the deleted definition still have to be swept.
    pub(super) fn sweeps(&self, id: DefinitionId) -> bool {
        self.more || self.sweeps.contains(&Sweep::Definition(id))
    }

    /// Whether scopes that were removed from the definition still have to be checked a second time.
    pub(super) fn narrows(&self, id: DefinitionId) -> bool {
        let narrows = |sweep: &Sweep| matches!(sweep, Sweep::Narrow(narrowed, ..) if *narrowed == id);
        self.more || self.sweeps.iter().any(narrows)
    }

    /// Whether values of the definition still have to be marked.
    pub(super) fn rechecks(&self, id: DefinitionId) -> bool {
        self.more || self.sweeps.contains(&Sweep::Recheck(id))
    }
}
