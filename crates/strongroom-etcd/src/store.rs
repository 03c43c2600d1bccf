//! The store: the contract in terms of etcd's transactions.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_store::{
    Capabilities, Committed, Durability, Page, ReadBatch, ReadSet, RowRevision, Scan, Store, StoreError,
    StoreErrorKind, WriteBatch,
};

use crate::client::Client;
use crate::options::EtcdOptions;
use crate::wire::{self, Done, Found, Row};
use crate::workers::Workers;

/// A handle on a store under a prefix of a cluster. The crate's documentation says what it promises.
///
/// Dropping it does what [`close`](Store::close) does.
pub struct EtcdStore {
    workers: Workers,
    prefix: Arc<str>,
}

impl EtcdStore {
    /// Opens the store. Nothing has to be created: an empty store has no rows.
    ///
    /// # Errors
    /// `Unavailable` if no node can be reached or none has a majority; `Unsupported` for invalid addresses or an
    /// invalid prefix, and for a node that has no gateway.
    pub fn open(options: &EtcdOptions) -> Result<Self, StoreError> {
        let (client, prefix) = (Client::new(options)?, Arc::from(options.prefix.as_str()));
        let any = Scan::new(strongroom_store::KeyRange::all(), 1).keys_only();
        client.ask::<Found>(RANGE, &wire::range(&options.prefix, &any, 1, None))?;
        Ok(Self { workers: Workers::start(client)?, prefix })
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        let (request, prefix) = (request.clone(), Arc::clone(&self.prefix));
        self.workers.run(move |client| read(client, &prefix, &request)).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        let prefix = Arc::clone(&self.prefix);
        self.workers.run(move |client| commit(client, &prefix, &batch)).await
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.workers.close();
        Ok(())
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").finish_non_exhaustive()
    }
}

/// Reads everything at one revision. Starts again if the cluster drops that revision before a long page is complete.
fn read(client: &Client, prefix: &str, request: &ReadBatch) -> Result<ReadSet, StoreError> {
    let mut tries = 1..READ_TRIES_MAX;
    loop {
        match read_at_once(client, prefix, request) {
            Err(error) if error.kind() == StoreErrorKind::Contention && tries.next().is_some() => {}
            Err(error) if error.kind() == StoreErrorKind::Contention => {
                let message =
                    "the cluster drops old revisions faster than a page can be read: keep them longer";
                return Err(StoreError::new(StoreErrorKind::Unavailable, message));
            }
            read => return read,
        }
    }
}

fn read_at_once(client: &Client, prefix: &str, request: &ReadBatch) -> Result<ReadSet, StoreError> {
    let gets = request.gets.iter().map(|key| wire::get(prefix, key));
    let scans = request.scans.iter().map(|scan| {
        let range = wire::range(prefix, scan, part_len(scan), None);
        serde_json::json!({ "request_range": range })
    });
    let transaction = wire::transaction(&[], &gets.chain(scans).collect::<Vec<_>>(), &[]);
    let done: Done = client.ask(TRANSACTION, &transaction)?;
    let mut found = done.responses.into_iter().map(|response| response.response_range);
    let mut next = || found.next().ok_or_else(wire::malformed);
    let get = |found: Found| found.kvs.first().map(Row::versioned).transpose();
    let gets = request.gets.iter().map(|_| next().and_then(get)).collect::<Result<_, _>>()?;
    let mut scans = Vec::with_capacity(request.scans.len());
    for scan in &request.scans {
        let Found { kvs, more } = next()?;
        let rest = scan.clone();
        let walk = Walk { client, prefix, rest, revision: done.header.revision, rows: kvs.into(), more };
        scans.push(Page::fill(scan, CAPABILITIES.page_bytes_max, walk, |row| {
            let row = row?;
            Ok((row.key(prefix)?, row.versioned()?))
        })?);
    }
    Ok(ReadSet { gets, scans })
}

/// The rows of a scan, fetched in parts, since etcd has no bound in bytes.
struct Walk<'a> {
    client: &'a Client,
    prefix: &'a str,
    /// The part that was not fetched.
    rest: Scan,
    revision: u64,
    rows: VecDeque<Row>,
    more: bool,
}

impl Iterator for Walk<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() && self.more {
            let range = wire::range(self.prefix, &self.rest, part_len(&self.rest), Some(self.revision));
            match self.client.ask::<Found>(RANGE, &range) {
                Ok(found) => (self.rows, self.more) = (found.kvs.into(), found.more),
                Err(error) => return Some(Err(error)),
            }
        }
        let row = self.rows.pop_front()?;
        if self.rows.is_empty() && self.more {
            match row.key(self.prefix) {
                Ok(key) if self.rest.reverse => {
                    self.rest.range = self.rest.range.clone().before(key.as_bytes());
                }
                Ok(key) => self.rest.range = self.rest.range.clone().after(key.as_bytes()),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(row))
    }
}

/// One row more than requested shows whether there are more.
fn part_len(scan: &Scan) -> usize {
    scan.limit.saturating_add(1).min(if scan.keys_only { KEYS_MAX } else { ROWS_MAX })
}

fn commit(client: &Client, prefix: &str, batch: &WriteBatch) -> Result<Committed, StoreError> {
    let compare = batch.expect.iter().map(|(key, expect)| wire::compare(prefix, key, *expect));
    let write = batch.ops.iter().map(|op| wire::operation(prefix, op));
    let look = batch.expect.iter().map(|(key, _)| wire::look(prefix, key));
    let [compare, write, look] = [compare.collect::<Vec<_>>(), write.collect(), look.collect()];
    let transaction = wire::transaction(&compare, &write, &look);
    let done: Done = client.tell(TRANSACTION, &transaction)?;
    if done.succeeded {
        return Ok(Committed { revision: RowRevision(done.header.revision) });
    }
    // Read at the same revision as the compares.
    let found = done.responses.iter().map(|looked| looked.response_range.kvs.first().map(Row::revision));
    let failed = batch.expect.iter().zip(found).position(|((_, expect), found)| !expect.holds(found));
    Err(failed.map_or_else(wire::malformed, StoreError::conflict))
}

/// etcd's defaults: 128 operations per transaction, and a request of 1.5 MiB, of which compares take up to a quarter.
const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss)
    .with_sharing()
    .with_batch_max(128, 1 << 20)
    .with_page_bytes_max(1 << 20);

/// At most 10 MiB with their values.
const ROWS_MAX: usize = 128;
const KEYS_MAX: usize = 10_000;

const READ_TRIES_MAX: u32 = 5;

const TRANSACTION: &str = "/v3/kv/txn";
const RANGE: &str = "/v3/kv/range";
