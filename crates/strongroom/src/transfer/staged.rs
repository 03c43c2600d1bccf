//! A store that is becoming a vault: nobody can open it until its header is written, which happens last.
//!
//! A marker row says which copy or restore is in progress, so that the same one can continue after a crash and another
//! one is refused. Every batch expects the marker as this run wrote it: once a second run takes over, the first cannot
//! write.

use std::sync::Arc;

use crate::engine::{commit_in_transfer, read_from};
use crate::envelope::{SealingKey, StoreId};
use crate::error::{Damage, Error, WrongStore};
use crate::id::OrgId;
use crate::keys::StoreRow;
use crate::random;
use crate::row::{VaultKeys, VaultRow, decode_note, encode_header, encode_note};
use crate::store::{
    Committed, Expect, Key, KeyRange, Op, READ_OPS_MAX, RowRevision, Scan, Store, StoreErrorKind, Versioned,
    WriteBatch,
};

/// The target of one copy or restore.
pub(super) struct StagedVault<'s> {
    pub(super) store: &'s dyn Store,
    store_id: StoreId,
    transfer_id: [u8; 16],
    marker: RowRevision,
    /// Whether an earlier run may have written rows.
    resumed: bool,
}

/// Why a store is becoming a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    Restore = 1,
    Copy = 2,
    /// An abandoned copy: it can never be completed here.
    GivenUp = 3,
    /// A restore under a new store id and new keys.
    AsNew = 4,
}

impl Purpose {
    fn parse(purpose: u8) -> Option<Self> {
        [Self::Restore, Self::Copy, Self::GivenUp, Self::AsNew]
            .into_iter()
            .find(|known| *known as u8 == purpose)
    }
}

/// What a marker says, apart from the random number of the run that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) purpose: Purpose,
    pub(super) store_id: StoreId,
    pub(super) transfer_id: [u8; 16],
}

impl Marker {
    /// The marker of a store; `None` if it has none. A store that is a vault already is an error.
    pub(super) async fn of(store: &dyn Store) -> Result<Option<Self>, Error> {
        let [header, found] = read_from(store, [VaultRow::Header.key(), VaultKeys::staging_marker()]).await?;
        if header.is_some() {
            return Err(Error::WrongStore(WrongStore::HoldsVault));
        }
        found.as_ref().map(Self::decode).transpose()
    }

    /// The random number of the run makes its marker differ from that of an earlier run.
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut run = [0; 16];
        random::fill(&mut run)?;
        let parts: [&[u8]; 4] = [&[self.purpose as u8], &self.store_id, &self.transfer_id, &run];
        Ok(encode_note(&parts.concat()))
    }

    fn decode(row: &Versioned) -> Result<Self, Error> {
        const ROW: &str = "the marker of a copy or restore";
        let bytes = decode_note(&row.value).map_err(|error| Error::row(ROW, error))?;
        Self::parse(bytes).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&purpose, rest) = bytes.split_first()?;
        let purpose = Purpose::parse(purpose)?;
        let (store_id, rest) = rest.split_first_chunk()?;
        let (transfer_id, run) = rest.split_first_chunk()?;
        let marker = Self { purpose, store_id: *store_id, transfer_id: *transfer_id };
        (run.len() == 16).then_some(marker)
    }
}

impl<'s> StagedVault<'s> {
    /// Marks an empty store, or takes over what an earlier run of the same transfer left. A copy continues under the id
    /// in the marker.
    pub(super) async fn begin(store: &'s dyn Store, wanted: Marker) -> Result<Self, Error> {
        Self::begin_with(store, wanted, Vec::new()).await
    }

    /// [`begin`](Self::begin), with rows that are written together with the first marker.
    pub(super) async fn begin_with(
        store: &'s dyn Store,
        wanted: Marker,
        rows: Vec<(Key, Vec<u8>)>,
    ) -> Result<Self, Error> {
        let gets = [VaultRow::Header.key(), VaultKeys::staging_marker()];
        let scans = [Scan::new(KeyRange::all(), 1).keys_only()];
        let ([header, found], [first]) = read_from(store, (gets, scans)).await?;
        let any_row = !first.rows.is_empty();
        if header.is_some() {
            return Err(Error::WrongStore(WrongStore::HoldsVault));
        }
        let (expect, marker) = match &found {
            None if any_row => return Err(Error::WrongStore(WrongStore::Foreign)),
            None => (Expect::Absent, wanted),
            Some(row) => (Expect::Revision(row.revision), Marker::decode(row)?),
        };
        let same = match wanted.purpose {
            Purpose::Restore | Purpose::GivenUp | Purpose::AsNew => marker == wanted,
            Purpose::Copy => marker.purpose == wanted.purpose && marker.store_id == wanted.store_id,
        };
        if !same {
            return Err(Error::WrongStore(WrongStore::Unfinished));
        }
        let mut batch = WriteBatch::default();
        batch.expect(VaultKeys::staging_marker(), expect);
        batch.put(VaultKeys::staging_marker(), marker.encode()?);
        for (key, row) in rows.into_iter().filter(|_| found.is_none()) {
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, row);
        }
        let revision = commit(store, batch).await?.revision;
        let Marker { store_id, transfer_id, .. } = marker;
        Ok(Self { store, store_id, transfer_id, marker: revision, resumed: found.is_some() })
    }

    /// Takes over what an earlier run of this very transfer left.
    pub(super) async fn take_over(store: &'s dyn Store, wanted: Marker) -> Result<Self, Error> {
        if Marker::of(store).await? == Some(wanted) {
            Self::begin(store, wanted).await
        } else {
            Err(Error::WrongStore(WrongStore::Unfinished))
        }
    }

    pub(super) fn transfer_id(&self) -> &[u8; 16] {
        &self.transfer_id
    }

    /// Makes sure that no run can complete the copy any more.
    pub(super) async fn give_up(&self) -> Result<(), Error> {
        let Self { store_id, transfer_id, .. } = *self;
        let marker = Marker { purpose: Purpose::GivenUp, store_id, transfer_id };
        let mut batch = WriteBatch::default();
        batch.expect(VaultKeys::staging_marker(), Expect::Revision(self.marker));
        batch.put(VaultKeys::staging_marker(), marker.encode()?);
        commit(self.store, batch).await.map(drop)
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Commits a batch of this run.
    pub(super) async fn commit(&self, mut batch: WriteBatch) -> Result<Committed, Error> {
        batch.expect(VaultKeys::staging_marker(), Expect::Revision(self.marker));
        commit(self.store, batch).await
    }

    /// The `store` row, once it notes the orgs that other rows say were backed up under another key.
    pub(super) async fn note_exported(&self, root: &SealingKey) -> Result<StoreRow, Error> {
        const ROW: &str = "the sealed `store` row";
        let orgs = exported_orgs(self.store, VaultKeys::all_exports()).await?;
        let [found] = read_from(self.store, [VaultRow::Store.key()]).await?;
        let found = found.ok_or_else(|| Error::damaged(ROW, Damage::Missing))?;
        let mut store_row = StoreRow::open(&self.store_id, root, &found)?;
        if store_row.body.note_exported(&orgs)? {
            let mut batch = WriteBatch::default();
            store_row.put_in(&mut batch, &self.store_id, root)?;
            store_row.row_revision = self.commit(batch).await?.revision;
            store_row.revision = store_row.revision.next();
        }
        Ok(store_row)
    }

    /// Writes the rows that make the store a vault, and deletes the marker, in one batch.
    pub(super) async fn finish(&self, rows: Vec<(Key, Vec<u8>)>) -> Result<Committed, Error> {
        let mut batch = WriteBatch::default();
        let header = (VaultRow::Header.key(), encode_header(&self.store_id));
        for (key, row) in [header].into_iter().chain(rows) {
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, row);
        }
        batch.expect(VaultKeys::staging_marker(), Expect::Revision(self.marker));
        batch.delete(VaultKeys::staging_marker());
        commit(self.store, batch).await
    }

    async fn known(&self, rows: &[(Key, Vec<u8>)]) -> Result<Vec<Option<Versioned>>, Error> {
        let mut known = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(READ_OPS_MAX) {
            let gets: Vec<Key> = chunk.iter().map(|(key, _)| key.clone()).collect();
            known.append(&mut read_from(self.store, gets).await?);
        }
        Ok(known)
    }
}

/// Collects batches within the limits of the target. Each expects the marker.
pub(super) struct Batches<'a> {
    staged: &'a StagedVault<'a>,
    batch: WriteBatch,
    bytes_len: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(staged: &'a StagedVault<'a>) -> Self {
        Self { staged, batch: WriteBatch::default(), bytes_len: 0 }
    }

    /// Adds rows that an earlier run has not written.
    pub(super) async fn put_new(&mut self, rows: Vec<(Key, Vec<u8>)>) -> Result<(), Error> {
        let known = if self.staged.resumed { self.staged.known(&rows).await? } else { Vec::new() };
        for (index, (key, value)) in rows.into_iter().enumerate() {
            match known.get(index).and_then(Option::as_ref) {
                Some(row) if row.value == value => {}
                Some(_) => {
                    return Err(Error::damaged("a row of the unfinished restore", Damage::Inconsistent));
                }
                None => self.push(Expect::Absent, Op::Put(key, value)).await?,
            }
        }
        Ok(())
    }

    /// Adds one write with its expectation.
    pub(super) async fn push(&mut self, expect: Expect, op: Op) -> Result<(), Error> {
        let limits = self.staged.store.capabilities();
        let bytes_len = match &op {
            Op::Put(key, value) => key.as_bytes().len() + value.len(),
            Op::Delete(key) => key.as_bytes().len(),
        };
        let full = self.batch.expect.len() + 2 > limits.batch_ops_max.min(BATCH_OPS_MAX)
            || self.bytes_len + bytes_len > limits.batch_bytes_max / 2;
        if full {
            self.flush().await?;
        }
        self.bytes_len += bytes_len;
        self.batch.expect(op.key().clone(), expect);
        self.batch.ops.push(op);
        Ok(())
    }

    /// Commits what was added.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        if self.batch.ops.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.bytes_len = 0;
        self.staged.commit(batch).await.map(drop)
    }
}

/// The orgs that the notes in a range say were backed up under another key.
pub(super) async fn exported_orgs(store: &dyn Store, notes: KeyRange) -> Result<Vec<OrgId>, Error> {
    let (mut orgs, mut rest) = (Vec::new(), notes);
    loop {
        let page = read_from(store, Scan::new(rest.clone(), 1).keys_only()).await?;
        let Some((key, _)) = page.rows.first() else { return Ok(orgs) };
        let Some(VaultRow::Export(org, _)) = VaultRow::parse(key) else {
            rest = rest.after(key.as_bytes());
            continue;
        };
        orgs.push(org);
        // Continues at the next org.
        let Some(end) = VaultKeys::exports(&org).end else { return Ok(orgs) };
        rest = KeyRange { start: end, end: rest.end };
    }
}

async fn commit(store: &dyn Store, batch: WriteBatch) -> Result<Committed, Error> {
    commit_in_transfer(store, &Arc::new(batch)).await.map_err(|error| match error {
        // Only another run of the same transfer writes here.
        Error::Store(error) if matches!(error.kind(), StoreErrorKind::Conflict { .. }) => Error::Contended(1),
        error => error,
    })
}

/// Keeps batches small on a store that accepts more, so that memory stays constant.
const BATCH_OPS_MAX: usize = 1_024;
