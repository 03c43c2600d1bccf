//! Retires the source of a copy: from then on nobody can write to it, but it can still be read.

use std::sync::Arc;

use crate::engine::gate::read_gate;
use crate::engine::{ATTEMPTS_MAX, Engine, commit_surely};
use crate::error::{Damage, Error, WrongStore};
use crate::random;
use crate::row::{VaultRow, decode_note, encode_note};
use crate::store::{Expect, Op, RowRevision, StoreErrorKind, Versioned, WriteBatch};

/// The retirement of a store, as this run noted it. A later run that takes over writes a new note.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retirement {
    revision: RowRevision,
}

/// The id of the copy that a store was retired for.
pub(super) fn retired_for(row: &Versioned) -> Result<[u8; 16], Error> {
    const ROW: &str = "the note that the vault moved";
    let bytes = decode_note(&row.value).map_err(|error| Error::row(ROW, error))?;
    let (copy_id, run) = bytes.split_first_chunk().ok_or_else(|| Error::damaged(ROW, Damage::Malformed))?;
    if run.len() == 16 { Ok(*copy_id) } else { Err(Error::damaged(ROW, Damage::Malformed)) }
}

/// Retires the store in favour of a copy. Every batch of every engine expects the header at its old revision, so no
/// batch lands after this one.
pub(super) async fn retire(engine: &Engine, copy_id: &[u8; 16]) -> Result<Retirement, Error> {
    let mut run = [0; 16];
    random::fill(&mut run)?;
    let note = encode_note(&[*copy_id, run].concat());
    for _ in 0..ATTEMPTS_MAX {
        let (header, retired) = read_gate(&*engine.store).await?;
        let header = header.ok_or(Error::WrongStore(WrongStore::NoVault))?;
        let mut batch = WriteBatch::default();
        batch.put(VaultRow::Retired.key(), note.clone());
        match retired {
            Some(row) if retired_for(&row)? == *copy_id => {
                batch.expect(VaultRow::Retired.key(), Expect::Revision(row.revision));
            }
            Some(_) => return Err(Error::Retired),
            None => {
                batch.expect(VaultRow::Retired.key(), Expect::Absent);
                batch.expect(VaultRow::Header.key(), Expect::Revision(header.revision));
                batch.put(VaultRow::Header.key(), header.value);
            }
        }
        if let Some(revision) = commit_unless_changed(engine, batch).await? {
            return Ok(Retirement { revision });
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// Lets the store take writes again, unless another run has retired it since.
pub(super) async fn reinstate(engine: &Engine, retirement: Retirement) -> Result<(), Error> {
    let (header, _) = read_gate(&*engine.store).await?;
    let header = header.ok_or(Error::WrongStore(WrongStore::NoVault))?;
    let mut batch = WriteBatch::default();
    batch.expect(VaultRow::Retired.key(), Expect::Revision(retirement.revision));
    batch.ops.push(Op::Delete(VaultRow::Retired.key()));
    // Give the header a new revision again: an engine that opened the vault while it was retired knows the present one.
    batch.put(VaultRow::Header.key(), header.value);
    match commit_unless_changed(engine, batch).await? {
        Some(_) => Ok(()),
        None => Err(Error::Contended(1)),
    }
}

/// The revision of the batch; `None` if another run was faster.
async fn commit_unless_changed(engine: &Engine, batch: WriteBatch) -> Result<Option<RowRevision>, Error> {
    match commit_surely(&*engine.store, &Arc::new(batch)).await {
        Ok(committed) => Ok(Some(committed.revision)),
        Err(Error::Store(error))
            if matches!(error.kind(), StoreErrorKind::Conflict { .. } | StoreErrorKind::Contention) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
