//! What every batch expects, so that a retired store takes no writes and no batch lands under former settings, whoever
//! planned it and when.

use std::sync::{PoisonError, RwLock};

use crate::engine::{Engine, read_from};
use crate::error::Error;
use crate::model::{Revision, Settings};
use crate::row::VaultRow;
use crate::store::{Expect, Key, RowRevision, Store, Versioned};

/// What lets writes pass, as this engine last saw it; `None` once the store was seen to be retired. Retiring the store
/// or changing its settings rewrites its header with the same bytes, which gives it a new revision.
#[derive(Debug)]
pub(crate) struct Gate(RwLock<Looked>);

/// The result of the last read of the store's head.
#[derive(Debug, Clone, Copy)]
struct Looked {
    pass: Option<Pass>,
    /// The sealed revision of the `store` row that was read.
    at: u64,
}

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
    pub(crate) fn new(pass: Option<Pass>, at: Revision) -> Self {
        Self(RwLock::new(Looked { pass, at: at.as_u64() }))
    }

    /// `None` while the store was last seen to be retired.
    pub(crate) fn pass(&self) -> Option<Pass> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pass
    }

    /// The same gate for an engine beside this one.
    pub(crate) fn beside(&self) -> Self {
        Self(RwLock::new(*self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes that the store was seen to be retired.
    fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).pass = None;
    }

    /// Takes over what a batch that did not pass found, unless a later `store` row was seen meanwhile.
    fn set(&self, pass: Option<Pass>, at: Revision) {
        self.set_if(pass, at, |known| at.as_u64() >= known);
    }

    /// Takes over what a read of the head for another purpose found: a later `store` row sets the settings of the next
    /// batch, even if the store shows the old header. While the `store` row is the same, only a batch finds out about
    /// the header.
    pub(crate) fn learn(&self, pass: Option<Pass>, at: Revision) {
        self.set_if(pass, at, |known| at.as_u64() > known);
    }

    /// Takes over the settings of a `store` row that was read without the header.
    pub(crate) fn learn_settings(&self, settings: Settings, at: Revision) {
        let mut looked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if at.as_u64() > looked.at {
            let pass = looked.pass.map(|pass| Pass { settings, ..pass });
            *looked = Looked { pass, at: at.as_u64() };
        }
    }

    fn set_if(&self, pass: Option<Pass>, at: Revision, is_later: impl Fn(u64) -> bool) {
        let mut looked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_later(looked.at) {
            *looked = Looked { pass, at: at.as_u64() };
        }
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

    /// Whether there is an audit, as far as this engine knows.
    pub(crate) fn has_audit(&self) -> bool {
        self.gate.pass().is_some_and(|pass| pass.settings.audit)
    }

    /// Finds out why a batch did not pass: the store is retired, or was retired and no longer is, or has other
    /// settings.
    pub(crate) async fn look_at_gate(&self) -> Result<(), Error> {
        // Read these by themselves first: a retired store says so, whatever became of its keys.
        if read_gate(&*self.store).await?.1.is_some() {
            self.gate.close();
            return Err(Error::Retired);
        }
        let (head, store_row, _) = self.open_head().await?;
        let pass = head.pass(&store_row)?;
        self.gate.set(pass, store_row.revision);
        pass.map(drop).ok_or(Error::Retired)
    }
}

/// The header and the note of retirement, read in one snapshot.
pub(crate) async fn read_gate(store: &dyn Store) -> Result<(Option<Versioned>, Option<Versioned>), Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Retired.key()];
    let [header, retired] = read_from(store, gets).await?;
    Ok((header, retired))
}
