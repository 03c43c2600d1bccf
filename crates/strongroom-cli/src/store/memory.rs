//! A store that ends with the process.

use std::sync::Arc;

use strongroom_memory::MemoryStore;

use super::{Kind, Life};

pub(super) const KIND: Kind = Kind {
    name: "memory",
    is_at: |_| false,
    open: |_| Ok(Arc::new(MemoryStore::new())),
    open_to_read: None,
    life: Life::Process,
};
