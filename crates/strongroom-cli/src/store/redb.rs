//! A store on redb, in one file.

use std::sync::Arc;

use strongroom_redb::{RedbReader, RedbStore};

use super::{Kind, Life, is_sqlite};

pub(super) const KIND: Kind = Kind {
    name: "redb",
    is_at: |path| path.is_file() && !is_sqlite(path),
    open: |path| Ok(Arc::new(RedbStore::open(path)?)),
    open_to_read: Some(|path| Ok(Arc::new(RedbReader::open(path)?))),
    life: Life::Kept,
};
