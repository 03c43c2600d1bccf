//! Definitions, as they are cached.

use std::sync::Arc;

use crate::error::Error;
use crate::id::DefinitionName;
use crate::model::StoredDefinition;
use crate::store::RowRevision;

/// A definition as the engine keeps it: opened, with what a write expects of its row.
pub(crate) struct Definition {
    /// The name of the definition, which answers share.
    pub(crate) name: DefinitionName,
    pub(crate) stored: StoredDefinition,
    pub(crate) row_revision: RowRevision,
}

impl Definition {
    pub(crate) fn new(stored: StoredDefinition, row_revision: RowRevision) -> Result<Self, Error> {
        Ok(Self { name: stored.definition.name.parse()?, stored, row_revision })
    }
}

/// All definitions of a tenant, in the order of their ids.
pub(crate) type Catalog = Arc<Vec<Arc<Definition>>>;
