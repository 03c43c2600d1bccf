//! What every batch expects, so that a retired store takes no writes and no batch lands under settings of before,
//! whoever planned it and when.

use std::sync::{PoisonError, RwLock};

use crate::engine::{Engine, read_from};
use crate::error::Error;
use crate::model::Settings;
use crate::row::VaultRow;
use crate::store::{Expect, Key, RowRevision, Store, Versioned};

/// What lets writes pass, as this engine last saw it; `None` once the store was seen retired. Who retires the store or
/// changes its settings rewrites its header with the same bytes, which gives it a new revision.
#[derive(Debug)]
pub(crate) struct Gate(RwLock<Option<Pass>>);

/// The revision of the header that lets writes pass, and the settings that they obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) header: RowRevision,
    pub(crate) settings: Settings,
}

impl Pass {
    /// What a batch must expect.
    pub(crate) fn expectation(self) -> (Key, Expect) {
        (VaultRow::Header.key(), Expect::Revision(self.header))
    }
}

impl Gate {
    pub(crate) fn new(pass: Option<Pass>) -> Self {
        Self(RwLock::new(pass))
    }

    /// `None` while the store was last seen retired.
    pub(crate) fn pass(&self) -> Option<Pass> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, pass: Option<Pass>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pass;
    }
}

impl Engine {
    /// What the next batch must expect and obey.
    pub(crate) async fn pass(&self) -> Result<Pass, Error> {
        if let Some(pass) = self.gate.pass() {
            return Ok(pass);
        }
        self.look_at_gate().await?;
        self.gate.pass().ok_or(Error::Retired)
    }

    /// Finds out why a batch did not pass: the store is retired, or was retired and no longer is, or has other
    /// settings.
    pub(crate) async fn look_at_gate(&self) -> Result<(), Error> {
        // First by themselves: a store that was retired says so, whatever became of its keys.
        if read_gate(&*self.store).await?.1.is_some() {
            self.gate.set(None);
            return Err(Error::Retired);
        }
        let (head, store_row, _) = self.open_head().await?;
        let pass = head.pass(&store_row)?;
        self.gate.set(pass);
        pass.map(drop).ok_or(Error::Retired)
    }
}

/// The header and the note of retirement, read in one snapshot.
pub(crate) async fn read_gate(store: &dyn Store) -> Result<(Option<Versioned>, Option<Versioned>), Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Retired.key()];
    let [header, retired] = read_from(store, gets).await?;
    Ok((header, retired))
}
