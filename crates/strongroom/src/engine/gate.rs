//! What every batch expects, so that a store that was retired takes no writes, whoever planned them and when.

use std::sync::{PoisonError, RwLock};

use crate::engine::{Engine, read_from};
use crate::error::Error;
use crate::row::VaultRow;
use crate::store::{Expect, Key, RowRevision, Store, Versioned};

/// The revision at which the header lets writes pass, as this engine last saw it; `None` of a store that was seen
/// retired. To retire a store is to put its header anew, byte for byte: then it has another revision.
#[derive(Debug)]
pub(crate) struct Gate(RwLock<Option<RowRevision>>);

impl Gate {
    /// The gate of a vault whose header and note of retirement were read together.
    pub(crate) fn of_header(header: RowRevision, retired: Option<&Versioned>) -> Self {
        Self(RwLock::new(retired.is_none().then_some(header)))
    }

    /// What a batch has to expect; `None` while the store was last seen retired.
    pub(crate) fn expectation(&self) -> Option<(Key, Expect)> {
        let header = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        header.map(|revision| (VaultRow::Header.key(), Expect::Revision(revision)))
    }

    fn set(&self, header: Option<RowRevision>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = header;
    }
}

impl Engine {
    /// What the next batch has to expect.
    pub(crate) async fn gate_expectation(&self) -> Result<(Key, Expect), Error> {
        if let Some(expectation) = self.gate.expectation() {
            return Ok(expectation);
        }
        self.look_at_gate().await?;
        self.gate.expectation().ok_or(Error::Retired)
    }

    /// Finds out why a batch did not pass: the store is retired, or was and is not any more.
    pub(crate) async fn look_at_gate(&self) -> Result<(), Error> {
        let (header, retired) = read_gate(&*self.store).await?;
        if retired.is_some() {
            self.gate.set(None);
            return Err(Error::Retired);
        }
        let header = header.ok_or(Error::NotInitialised)?;
        self.gate.set(Some(header.revision));
        Ok(())
    }
}

/// The header and the note of retirement, as they stand together.
pub(crate) async fn read_gate(store: &dyn Store) -> Result<(Option<Versioned>, Option<Versioned>), Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Retired.key()];
    let [header, retired] = read_from(store, gets).await?;
    Ok((header, retired))
}
