//! Definitions, as they are cached.

use std::sync::Arc;

use crate::model::StoredDefinition;
use crate::store::RowRevision;

/// A definition as the engine keeps it: opened, with what a write expects of its row.
pub(crate) struct Definition {
    pub(crate) stored: StoredDefinition,
    pub(crate) row_revision: RowRevision,
}

/// All definitions of a tenant, in the order of their ids.
pub(crate) type Catalog = Arc<Vec<Arc<Definition>>>;
