//! A store on SQLite, in one file, which several processes can have open.

use std::sync::Arc;

use strongroom_sqlite::SqliteStore;

use super::{Kind, Life, is_sqlite};

pub(super) const KIND: Kind = Kind {
    name: "sqlite",
    is_at: is_sqlite,
    open: |path| Ok(Arc::new(SqliteStore::open(path)?)),
    open_to_read: None,
    life: Life::Kept,
};
