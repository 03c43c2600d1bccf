//! What every batch expects, so that a retired store takes no writes, whoever planned them and when.

use std::sync::{PoisonError, RwLock};

use crate::engine::{Engine, read_from};
use crate::error::{Error, WrongStore};
use crate::row::VaultRow;
use crate::store::{Expect, Key, RowRevision, Store, Versioned};

/// The revision of the header that lets writes pass, as this engine last saw it; `None` once the store was seen
/// retired. Retiring a store rewrites its header with the same bytes, which gives it a new revision.
#[derive(Debug)]
pub(crate) struct Gate(RwLock<Option<RowRevision>>);

impl Gate {
    /// The gate of a vault whose header and note of retirement were read together.
    pub(crate) fn of_header(header: RowRevision, retired: Option<&Versioned>) -> Self {
        Self(RwLock::new(retired.is_none().then_some(header)))
    }

    /// What a batch must expect; `None` while the store was last seen retired.
    pub(crate) fn expectation(&self) -> Option<(Key, Expect)> {
        let header = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        header.map(|revision| (VaultRow::Header.key(), Expect::Revision(revision)))
    }

    fn set(&self, header: Option<RowRevision>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = header;
    }
}

impl Engine {
    /// What the next batch must expect.
    pub(crate) async fn gate_expectation(&self) -> Result<(Key, Expect), Error> {
        if let Some(expectation) = self.gate.expectation() {
            return Ok(expectation);
        }
        self.look_at_gate().await?;
        self.gate.expectation().ok_or(Error::Retired)
    }

    /// Finds out why a batch did not pass: the store is retired, or was retired and no longer is.
    pub(crate) async fn look_at_gate(&self) -> Result<(), Error> {
        let (header, retired) = read_gate(&*self.store).await?;
        if retired.is_some() {
            self.gate.set(None);
            return Err(Error::Retired);
        }
        let header = header.ok_or(Error::WrongStore(WrongStore::NoVault))?;
        self.gate.set(Some(header.revision));
        Ok(())
    }
}

/// The header and the note of retirement, read in one snapshot.
pub(crate) async fn read_gate(store: &dyn Store) -> Result<(Option<Versioned>, Option<Versioned>), Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Retired.key()];
    let [header, retired] = read_from(store, gets).await?;
    Ok((header, retired))
}
