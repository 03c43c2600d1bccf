//! One row on its way to another vault: opened at its address there, sealed at the same address here.

use std::sync::Arc;

use async_trait::async_trait;

use crate::engine::Engine;
use crate::engine::gate::Gate;
use crate::envelope::StoreId;
use crate::error::Error;
use crate::keys::root::Roots;
use crate::row::parse::Place;
use crate::store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, RowRevision, Store, StoreError, StoreErrorKind,
    WriteBatch,
};
use crate::tenant::{ScopeKeys, Tenant, seal_row};
use crate::verbs::vault::VaultOptions;

/// The two sides of a tenant that changes vaults. Ids, revisions and times stay; store id and keys do not.
pub(super) struct Sides<'t> {
    pub(super) from: &'t Tenant,
    pub(super) to: &'t Tenant,
}

/// The keys of a row's scope on either side.
pub(super) struct RowKeys<'k> {
    pub(super) from: Option<&'k Arc<ScopeKeys>>,
    pub(super) to: Option<&'k Arc<ScopeKeys>>,
}

impl Sides<'_> {
    /// The row as it stands on the other side; `None` for one whose key was dropped, and for what each side makes for
    /// itself: keyrings and the epoch.
    pub(super) fn move_row(
        &self,
        place: &Place,
        keys: &RowKeys<'_>,
        row: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        match place {
            Place::Keyring(_) | Place::Epoch => Ok(None),
            Place::DefinitionName(_) | Place::DefinitionValue(..) | Place::ValueId(_) => {
                Ok(Some(row.to_vec()))
            }
            Place::Job(id) => {
                let id_text = id.to_text();
                let opened = self.from.open_under_root(&self.from.job_context(id_text.as_str()), row)?;
                let context = self.to.job_context(id_text.as_str());
                let roots = self.to.engine.roots.get()?;
                seal_row(&roots.active.key, &context, None, opened.revision, &opened.plaintext).map(Some)
            }
            _ => self.move_sealed(place, keys, row),
        }
    }

    fn move_sealed(&self, place: &Place, keys: &RowKeys<'_>, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let opened = self.from.at(place, |context| self.from.open(keys.from, context, row))?;
        let (Some(opened), Some(keys)) = (opened, keys.to) else { return Ok(None) };
        self.to.at(place, |context| {
            let key = Tenant::active_key(keys, context)?;
            seal_row(key, context, opened.doc_id, opened.revision, &opened.plaintext).map(Some)
        })
    }
}

/// What opens and seals rows of a vault that is not in a store: that of a file, or one that is not yet.
pub(super) fn engine_without_store(store_id: StoreId, roots: &Roots) -> Arc<Engine> {
    let gate = Gate::of_header(RowRevision(0), None);
    VaultOptions::default().assemble(NoStore, store_id, roots.clone(), gate).engine
}

/// A store that is not there.
#[derive(Debug)]
struct NoStore;

#[async_trait]
impl Store for NoStore {
    async fn read(&self, _: &ReadBatch) -> Result<ReadSet, StoreError> {
        Err(absent())
    }

    async fn commit(&self, _: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        Err(absent())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::embedded(Durability::Volatile)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn absent() -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, "there is no store behind a backup file")
}
