//! A `strongroom` store in memory: for tests, caches and values that may go with the process.
//!
//! One ordered map for scans and one hash map for gets hold the same rows behind a sharded lock. Readers on different
//! threads share no cache line and write nothing that another reader sees; a writer stops the readers for as long as
//! its batch takes to apply. Every call does its work inline, so that no future is ever pending and any `block_on`
//! can drive it.
//!
//! ```
//! # use std::sync::Arc;
//! use strongroom_store::{Key, ReadBatch, Store, WriteBatch};
//! let store = strongroom_memory::MemoryStore::new();
//! let mut batch = WriteBatch::default();
//! batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
//! let put = futures_executor::block_on(store.commit(Arc::new(batch)))?;
//! let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: vec![] };
//! let found = futures_executor::block_on(store.read(&request))?;
//! assert_eq!(found.gets[0].as_ref().map(|row| row.revision), Some(put.revision));
//! # Ok::<(), strongroom_store::StoreError>(())
//! ```
//!
//! It is not: durable ([`Durability::Volatile`]), a cache that evicts, or a wiped one. Rows that are replaced, deleted
//! or dropped with the store are freed, not overwritten; the engine hands over sealed bytes alone.
//!
//! [`Durability::Volatile`]: strongroom_store::Durability::Volatile

mod state;
mod store;

pub use store::MemoryStore;
