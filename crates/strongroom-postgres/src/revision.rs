//! Revisions of rows as the server stores them.

use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom_store::{RowRevision, StoreError};

use crate::failure::{corrupt, unavailable};

/// 63 random bits: with a sequence, every batch of every process would contend for one row.
pub(crate) fn fresh() -> Result<i64, StoreError> {
    let mut bytes = [0; 8];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| unavailable("the system gave no random number"))?;
    Ok(i64::from_be_bytes(bytes) & i64::MAX)
}

pub(crate) fn decode(stored: i64) -> Result<RowRevision, StoreError> {
    u64::try_from(stored).map(RowRevision).map_err(|_| corrupt("a row has a revision that no batch gave it"))
}
