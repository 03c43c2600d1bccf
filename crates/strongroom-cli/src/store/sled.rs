//! A store on sled, in one directory.

use std::sync::Arc;

use strongroom_sled::SledStore;

use super::{Kind, Life};

pub(super) const KIND: Kind = Kind {
    name: "sled",
    is_at: |path| path.join("db").is_file() && path.join("conf").is_file(),
    open: |path| Ok(Arc::new(SledStore::open(path)?)),
    open_to_read: None,
    life: Life::Kept,
};
