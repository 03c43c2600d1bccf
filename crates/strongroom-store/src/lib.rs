//! The interface between `strongroom` and its backends.
//!
//! A backend is an ordered map of bytes with atomic multi-reads and atomic, conditional multi-writes. All domain logic
//! that can go wrong is written once, in the engine, above this trait. Each call is one round trip, so that every
//! backend maps it to one native operation: a lock, a snapshot read, one SQL statement, one transaction.

mod batch;
mod error;
mod page;
mod plan;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

pub use batch::{
    Committed, Expect, Key, KeyRange, Op, ReadBatch, ReadSet, RowRevision, Scan, Versioned, WriteBatch,
};
pub use error::{StoreError, StoreErrorKind};
pub use page::Page;
pub use plan::{Plan, PlanError};

/// An ordered map of bytes with atomic multi-reads and atomic, conditional multi-writes.
///
/// The rules, each of which has at least one case in `strongroom-conformance`:
///
/// 1. A `read` is a snapshot over gets and scans together: a concurrent batch is seen whole or not at all. A read has
///   at most [`READ_OPS_MAX`] gets and scans. A page ends at its `limit` or at [`Capabilities::page_bytes_max`], holds
///   at least one row if there is one, and says in [`Page::more`] whether rows remain. Only the bytes that a page
///   returns count.
/// 2. Keys are in unsigned lexicographic order, and a batch is visible to every `read` that starts after its `Ok`.
/// 3. A `commit` is atomic, isolated and conditional: the first failed expectation is reported by its index and nothing
///   is written. A key is at most once in `expect` and once in `ops`; [`Expect::Absent`] is allowed only on a key that
///   the same batch puts. Writers that only expect a row do not queue for it if the backend can avoid that. A delete
///   that does not expect its row may leave one that another batch adds at the same time: expect what must go.
/// 4. After `Ok` the batch survives what [`Capabilities::durability`] promises. Concurrent commits share one sync.
/// 5. A dropped `commit` future leaves the batch applied or not applied, never half.
/// 6. A failed sync is never tried again: the store is poisoned and refuses reads and writes.
/// 7. What exceeds a limit is refused with [`StoreErrorKind::TooLarge`] before anything is written, never cut.
/// 8. `close` waits for accepted batches, makes them durable and reports; then every call returns
///   [`StoreErrorKind::Closed`]. A second process that opens a store which is not shared gets a clear error. A dropped
///   handle has released its store once the drop returns.
/// 9. No error prints the bytes of a key or of a value.
/// 10. A revision changes with every put and is never used again for its key, not even after a delete and a reopen.
/// 11. The futures need no runtime: any `block_on` can drive them, unless the backend's documentation names one.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Answers gets and bounded range scans, all at one point in commit order.
    ///
    /// # Errors
    /// `TooLarge` for more than [`READ_OPS_MAX`] gets and scans or a key over [`KEY_BYTES_MAX`]; `Unavailable`,
    /// `Poisoned`, `Closed` or `Corrupt` when the backend cannot answer.
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError>;

    /// Applies all of `batch`, or none of it.
    ///
    /// `Ok` means: as durable as [`Capabilities::durability`] says, and visible to every later `read`. The batch is
    /// shared, not consumed, so that a caller can try it again or check whether it landed.
    ///
    /// # Errors
    /// `Conflict` for a failed expectation, `Contention` if the backend asks for another try, `Unavailable` if the
    /// batch was certainly not applied, `Indeterminate` if it may have been, `TooLarge` and `Unsupported` if
    /// [`WriteBatch::check`] refuses it.
    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError>;

    /// States what this store promises; constant for the life of the handle, except for [`Capabilities::shared`].
    fn capabilities(&self) -> Capabilities;

    /// Drains, syncs and reports. Safe to call twice.
    ///
    /// # Errors
    /// Whatever kept the last accepted batch from being durable.
    async fn close(&self) -> Result<(), StoreError>;
}

/// A store behind an `Arc` is a store. While others hold the same `Arc`, or a `Weak` of it, it counts as shared, since
/// they may write to it without the engine's knowledge. A wrapper that keeps an `Arc<S>` of its own calls
/// `(*self.inner).capabilities()`.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        (**self).read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        (**self).commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        let inner = (**self).capabilities();
        let others = Arc::strong_count(self) > 1 || Arc::weak_count(self) > 0;
        Capabilities { shared: inner.shared || others, ..inner }
    }

    async fn close(&self) -> Result<(), StoreError> {
        (**self).close().await
    }
}

/// What a store promises, and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What an acknowledged batch survives.
    pub durability: Durability,
    /// Whether anyone but this handle may write to the store, so that the engine must check its caches against it.
    pub shared: bool,
    /// The most operations and the most expectations in a batch, counted separately; at least 128.
    pub batch_ops_max: usize,
    /// The most bytes of keys and values in a batch; at least 1 MiB.
    pub batch_bytes_max: usize,
    /// The size at which a page ends, in bytes of keys and values; the row that reaches it is still in the page.
    pub page_bytes_max: usize,
}

impl Capabilities {
    /// The usual limits of an embedded store: 10,000 operations and 16 MiB per batch, 4 MiB per page, not shared.
    #[must_use]
    pub const fn embedded(durability: Durability) -> Self {
        Self {
            durability,
            shared: false,
            batch_ops_max: 10_000,
            batch_bytes_max: 16 << 20,
            page_bytes_max: 4 << 20,
        }
    }

    /// The same, for a store that other handles or processes also write to.
    #[must_use]
    pub const fn with_sharing(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The same with other batch limits: operations, then bytes.
    #[must_use]
    pub const fn with_batch_max(mut self, ops: usize, bytes: usize) -> Self {
        self.batch_ops_max = ops;
        self.batch_bytes_max = bytes;
        self
    }

    /// The same with another page size in bytes.
    #[must_use]
    pub const fn with_page_bytes_max(mut self, bytes: usize) -> Self {
        self.page_bytes_max = bytes;
        self
    }
}

/// What an acknowledged batch survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it is lost with the process.
    Volatile,
    /// The end of the process at any point, including kill -9. A power cut may lose the newest batches, each of them as
    /// a whole. A vault is opened on such a store only if its host asks for that by name.
    ProcessCrash,
    /// The end of the process at any point, and a power cut.
    PowerLoss,
}

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// The longest value, in bytes: a sealed 64 KiB value with room for its row.
pub const VALUE_BYTES_MAX: usize = 80 << 10;

/// The most gets and scans, together, in one read.
pub const READ_OPS_MAX: usize = 100;
