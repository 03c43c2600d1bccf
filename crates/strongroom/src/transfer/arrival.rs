//! A store that is becoming a vault: nobody can open it before its header stands, which is written last.
//!
//! A marker row says what is arriving, so that the same copy or restore can go on after a crash and another one is
//! refused. Every batch expects the marker as this run wrote it: a second run takes over, and the first cannot write.

use std::sync::Arc;

use crate::engine::commit_surely;
use crate::envelope::StoreId;
use crate::error::{Damage, Error};
use crate::keyspace::StoreKeys;
use crate::record::{decode_transfer, encode_header, encode_transfer};
use crate::store::{
    Committed, Expect, Key, KeyRange, Op, READ_OPS_MAX, ReadBatch, Revision, Scan, Store, StoreErrorKind,
    Versioned, WriteBatch,
};

/// The target of one copy or restore.
pub(super) struct Arrival<'s> {
    store: &'s dyn Store,
    store_id: StoreId,
    marker: Revision,
    /// Whether an earlier run may have written rows.
    resumed: bool,
}

impl<'s> Arrival<'s> {
    /// Marks an empty store, or takes over what the same transfer left.
    pub(super) async fn begin(
        store: &'s dyn Store,
        store_id: StoreId,
        transfer_id: &[u8; 16],
    ) -> Result<Self, Error> {
        let ours = [store_id, *transfer_id].concat();
        let request = ReadBatch {
            gets: vec![StoreKeys::header(), StoreKeys::arrival()],
            scans: vec![Scan::new(KeyRange::all(), 1).keys_only()],
        };
        let mut set = store.read(&request).await?;
        let any_row = set.scans.pop().is_some_and(|page| !page.rows.is_empty());
        let (found, header) = (set.gets.pop().flatten(), set.gets.pop().flatten());
        if header.is_some() {
            return Err(Error::AlreadyInitialised);
        }
        let expect = match &found {
            Some(row) if marked(row)? == ours => Expect::Revision(row.revision),
            Some(_) => return Err(Error::Unfinished),
            None if any_row => return Err(Error::ForeignStore),
            None => Expect::Absent,
        };
        let mut batch = WriteBatch::default();
        batch.expect(StoreKeys::arrival(), expect);
        batch.put(StoreKeys::arrival(), encode_transfer(&ours));
        let marker = commit(store, batch).await?.revision;
        Ok(Self { store, store_id, marker, resumed: found.is_some() })
    }

    /// Writes rows that are not there yet, in as many batches as the store needs.
    pub(super) async fn put_new(&self, rows: Vec<(Key, Vec<u8>)>) -> Result<(), Error> {
        let known = if self.resumed { self.known(&rows).await? } else { Vec::new() };
        let mut batch = Batches::new(self);
        for (index, (key, value)) in rows.into_iter().enumerate() {
            match known.get(index).and_then(Option::as_ref) {
                Some(row) if row.value == value => {}
                Some(_) => {
                    return Err(Error::damaged("a row of the unfinished restore", Damage::Inconsistent));
                }
                None => batch.push(Expect::Absent, Op::Put(key, value)).await?,
            }
        }
        batch.flush().await
    }

    /// Writes the rows that make a vault of the store, and takes the marker away: all at once.
    pub(super) async fn finish(&self, rows: Vec<(Key, Vec<u8>)>) -> Result<Committed, Error> {
        let mut batch = WriteBatch::default();
        let header = (StoreKeys::header(), encode_header(&self.store_id));
        for (key, row) in [header].into_iter().chain(rows) {
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, row);
        }
        batch.expect(StoreKeys::arrival(), Expect::Revision(self.marker));
        batch.delete(StoreKeys::arrival());
        commit(self.store, batch).await
    }

    async fn known(&self, rows: &[(Key, Vec<u8>)]) -> Result<Vec<Option<Versioned>>, Error> {
        let mut known = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(READ_OPS_MAX) {
            let gets = chunk.iter().map(|(key, _)| key.clone()).collect();
            known.append(&mut self.store.read(&ReadBatch { gets, scans: Vec::new() }).await?.gets);
        }
        Ok(known)
    }
}

/// Batches within the limits of the target, each of which expects the marker.
pub(super) struct Batches<'a> {
    arrival: &'a Arrival<'a>,
    batch: WriteBatch,
    bytes_len: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(arrival: &'a Arrival<'a>) -> Self {
        Self { arrival, batch: WriteBatch::default(), bytes_len: 0 }
    }

    /// Adds a write of a row that is as expected.
    pub(super) async fn push(&mut self, expect: Expect, op: Op) -> Result<(), Error> {
        let limits = self.arrival.store.capabilities();
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
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes_len = 0;
        batch.expect(StoreKeys::arrival(), Expect::Revision(self.arrival.marker));
        commit(self.arrival.store, batch).await.map(drop)
    }
}

async fn commit(store: &dyn Store, batch: WriteBatch) -> Result<Committed, Error> {
    commit_surely(store, &Arc::new(batch)).await.map_err(|error| match error {
        // Nobody but another run of the same transfer writes here.
        Error::Store(error) if matches!(error.kind(), StoreErrorKind::Conflict { .. }) => Error::Contended(1),
        error => error,
    })
}

fn marked(row: &Versioned) -> Result<&[u8], Error> {
    decode_transfer(&row.value).map_err(|error| Error::row("the marker of a copy or restore", error))
}

const BATCH_OPS_MAX: usize = 1_024;
