//! A store that reopens itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Expect, Key, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, Versioned,
    WriteBatch,
};
use tokio::sync::RwLock;

use crate::disk::full_disk;

/// An embedded store that recovers from a full disk or a failed sync, after which its handle is unusable. It is opened
/// again, reads continue, and a failed write reports whether it was made. While the disk is full, writes are refused,
/// except that one is tried each second.
///
/// After that it counts as shared, since another process may have written before it was opened again.
pub struct ResumingStore {
    open: Box<Open>,
    capabilities: Capabilities,
    current: RwLock<Handle>,
    reopened: AtomicBool,
    trouble: Mutex<Trouble>,
    health: StoreHealth,
}

/// Opens the store from its files on the disk.
type Open = dyn Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync;

/// Whether a store could be opened again, for `/healthz`. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct StoreHealth(Arc<Mutex<Option<Instant>>>);

/// The store as it is now open.
struct Handle {
    /// `None` if it could not be opened again.
    store: Option<Arc<dyn Store>>,
    /// How often it was opened.
    number: u64,
}

#[derive(Default)]
struct Trouble {
    /// Until when no write is tried, and why.
    no_writes: Option<(Instant, Arc<StoreError>)>,
    /// When opening it last failed.
    failed: Option<Instant>,
    /// Whether it could be opened again, as the log last had it. A full disk is tried each second.
    told: Option<bool>,
}

impl ResumingStore {
    /// Opens the store with `open`, which is called again whenever the store has to be.
    ///
    /// After a failed sync, the system may hold bytes that never reached the disk and treat them as written: `open`
    /// must make it forget them.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open(
        open: impl Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync + 'static,
        health: &StoreHealth,
    ) -> Result<Self, StoreError> {
        let store = open()?;
        Ok(Self {
            open: Box::new(open),
            capabilities: (*store).capabilities(),
            current: RwLock::new(Handle { store: Some(store), number: 0 }),
            reopened: AtomicBool::new(false),
            trouble: Mutex::default(),
            health: health.clone(),
        })
    }

    /// Opens the store again in place of its handle with this number.
    async fn reopen(&self, number: u64) -> Result<(), StoreError> {
        // Waits for the calls that use the old handle, so that nothing holds its file any more.
        let mut current = self.current.write().await;
        if current.number != number {
            return Ok(());
        }
        if self.trouble().failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(unavailable());
        }
        // Release: pairs with `capabilities`, so that nothing is read from the new handle as if it were the old one.
        self.reopened.store(true, Ordering::Release);
        if let Some(old) = current.store.take() {
            // It only repeats its earlier error.
            let _ = old.close().await;
        }
        match (self.open)() {
            Ok(store) => {
                *current = Handle { store: Some(store), number: number + 1 };
                self.trouble().failed = None;
                self.health.set(true);
                if self.is_news(true) {
                    tracing::warn!("the store was opened again");
                }
                Ok(())
            }
            Err(error) => {
                self.trouble().failed = Some(Instant::now());
                self.health.set(false);
                if self.is_news(false) {
                    tracing::error!(%error, "the store could not be opened again");
                }
                Err(error)
            }
        }
    }

    async fn reopen_if_closed(&self) -> Result<(), StoreError> {
        let closed = {
            let current = self.current.read().await;
            current.store.is_none().then_some(current.number)
        };
        match closed {
            Some(number) => self.reopen(number).await,
            None => Ok(()),
        }
    }

    async fn try_read(&self, request: &ReadBatch) -> (u64, Result<ReadSet, StoreError>) {
        let current = self.current.read().await;
        let answer = match &current.store {
            Some(store) => store.read(request).await,
            None => Err(poisoned()),
        };
        (current.number, answer)
    }

    async fn try_commit(&self, batch: &Arc<WriteBatch>) -> (u64, Result<Committed, StoreError>) {
        let current = self.current.read().await;
        let answer = match &current.store {
            Some(store) => store.commit(Arc::clone(batch)).await,
            None => Err(poisoned()),
        };
        (current.number, answer)
    }

    /// The error for a batch on which the handle ended. Nothing of the old handle can land any more. So the batch was
    /// not written if a row that it changes is still as it expects. Otherwise the caller has to find out: rows that it
    /// shares with other batches, such as the epoch, prove nothing.
    async fn find_out(&self, batch: &WriteBatch, cause: StoreError) -> StoreError {
        let changes = |key: &Key| batch.ops.iter().any(|op| op.key() == key);
        let telling = batch.expect.iter().filter(|(key, expect)| *expect != Expect::Exists && changes(key));
        let (keys, expected): (Vec<_>, Vec<_>) = telling.cloned().unzip();
        let request = ReadBatch { gets: keys, scans: Vec::new() };
        let found = self.try_read(&request).await.1.map(|set| set.gets).unwrap_or_default();
        let holds = |(expect, row): (&Expect, Option<Versioned>)| expect.holds(row.map(|row| row.revision));
        if expected.iter().zip(found).any(holds) { not_written(cause) } else { unknown(cause) }
    }

    /// Refuses writes for a while, so that not every write costs a reopening.
    fn pause_writes(&self, cause: &StoreError) {
        let why = Arc::new(not_written(copy_of(cause)));
        self.trouble().no_writes = Some((Instant::now() + PAUSE, why));
    }

    fn is_news(&self, is_open: bool) -> bool {
        self.trouble().told.replace(is_open) != Some(is_open)
    }

    fn refuse_paused(&self) -> Result<(), StoreError> {
        match &self.trouble().no_writes {
            Some((until, why)) if Instant::now() < *until => Err(copy_of(why)),
            _ => Ok(()),
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        // Every change is one assignment, so that a panic leaves nothing half done.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
// A default method of the trait would call this store and not the inner one.
#[deny(clippy::missing_trait_methods)]
impl Store for ResumingStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        match self.try_read(request).await {
            (number, Err(error)) if error.kind() == StoreErrorKind::Poisoned => {
                self.reopen(number).await?;
                self.try_read(request).await.1
            }
            (_, answer) => answer,
        }
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.refuse_paused()?;
        // Before anything is sent, so that its error is that of a write that was not made.
        self.reopen_if_closed().await?;
        match self.try_commit(&batch).await {
            (number, Err(error)) if error.kind() == StoreErrorKind::Poisoned => {
                self.pause_writes(&error);
                match self.reopen(number).await {
                    Ok(()) => Err(self.find_out(&batch, error).await),
                    // Only the second error may know that the disk is full.
                    Err(again) if full_disk(&again).is_some() => Err(unknown(again)),
                    Err(_) => Err(unknown(error)),
                }
            }
            (_, answer) => {
                // Only after a trouble is there anything to forget.
                if answer.is_ok() && self.reopened.load(Ordering::Acquire) {
                    self.trouble().told = None;
                }
                answer
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self.reopened.load(Ordering::Acquire) {
            true => self.capabilities.with_sharing(),
            false => self.capabilities,
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        match &self.current.read().await.store {
            Some(store) => store.close().await,
            None => Err(unavailable()),
        }
    }
}

impl fmt::Debug for ResumingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumingStore").field("reopened", &self.reopened).finish_non_exhaustive()
    }
}

impl StoreHealth {
    /// Whether only a restart can help: the store could not be opened again for half a minute.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    fn set(&self, is_open: bool) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if is_open { None } else { since.or_else(|| Some(Instant::now())) };
    }
}

/// An error of the same kind and text, since a store's error cannot be cloned.
fn copy_of(error: &StoreError) -> StoreError {
    let copy = StoreError::new(error.kind(), error.to_string());
    match full_disk(error) {
        Some(kind) => copy.with_source(std::io::Error::from(kind)),
        None => match std::error::Error::source(error) {
            Some(cause) => copy.with_source(cause.to_string()),
            None => copy,
        },
    }
}

fn not_written(cause: StoreError) -> StoreError {
    let message = match full_disk(&cause) {
        Some(_) => "the disk of the store is full, and nothing was written",
        None => "the store could not be written, and nothing was",
    };
    StoreError::new(StoreErrorKind::Unavailable, message).with_source(cause)
}

fn unknown(cause: StoreError) -> StoreError {
    let message = "the write may or may not have been made: the store had to be opened again";
    StoreError::new(StoreErrorKind::Indeterminate, message).with_source(cause)
}

fn poisoned() -> StoreError {
    StoreError::new(StoreErrorKind::Poisoned, "the store is not open")
}

fn unavailable() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store could not be opened again yet")
}

/// The pause between two attempts to write to a full disk, or to open the store.
const PAUSE: Duration = Duration::from_secs(1);
/// The time after which a restart may help.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use std::pin::Pin;

    use strongroom::{Error, Scope, VarFormat, VariableDefinition};
    use strongroom_memory::MemoryStore;

    use super::*;

    /// A handle that ends at a write, once a test says so: with the write in the store, or without.
    #[derive(Debug)]
    struct Fragile {
        disk: Arc<MemoryStore>,
        end: Arc<Mutex<Option<End>>>,
        ended: AtomicBool,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum End {
        Written,
        Full,
    }

    impl Fragile {
        fn refuse(&self) -> Result<(), StoreError> {
            let full = || std::io::Error::from(ErrorKind::StorageFull);
            let poisoned = || StoreError::new(StoreErrorKind::Poisoned, "").with_source(full());
            if self.ended.load(Ordering::Relaxed) { Err(poisoned()) } else { Ok(()) }
        }
    }

    #[async_trait]
    impl Store for Fragile {
        async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
            self.refuse()?;
            self.disk.read(request).await
        }

        async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
            self.refuse()?;
            let end = *self.end.lock().unwrap();
            if end != Some(End::Full) {
                let done = self.disk.commit(batch).await?;
                if end.is_none() {
                    return Ok(done);
                }
            }
            self.ended.store(true, Ordering::Relaxed);
            self.refuse().map(|()| unreachable!())
        }

        fn capabilities(&self) -> Capabilities {
            // The capabilities of the store itself: an `Arc` that is held elsewhere counts as shared.
            Store::capabilities(&*self.disk)
        }

        async fn close(&self) -> Result<(), StoreError> {
            self.refuse()
        }
    }

    fn store(end: &Arc<Mutex<Option<End>>>) -> ResumingStore {
        let (disk, end) = (Arc::new(MemoryStore::new()), Arc::clone(end));
        let open = move || -> Result<Arc<dyn Store>, StoreError> {
            let (disk, end) = (Arc::clone(&disk), Arc::clone(&end));
            Ok(Arc::new(Fragile { disk, end, ended: AtomicBool::new(false) }))
        };
        ResumingStore::open(open, &StoreHealth::default()).unwrap()
    }

    /// A batch that writes a row with this expectation, and another row that is the same in every batch.
    fn put(value: &str, expect: Expect) -> Arc<WriteBatch> {
        let (key, shared) = (Key::from(b"k".as_slice()), Key::from(b"shared".as_slice()));
        let mut batch = WriteBatch { expect: vec![(key.clone(), expect)], ..WriteBatch::default() };
        batch.put(shared, Vec::new());
        batch.put(key, value.as_bytes().to_vec());
        Arc::new(batch)
    }

    async fn read(store: &ResumingStore) -> Vec<u8> {
        let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: Vec::new() };
        store.read(&request).await.unwrap().gets.remove(0).unwrap().value
    }

    /// An org of a vault on such a store.
    async fn org(end: &Arc<Mutex<Option<End>>>) -> strongroom::Org {
        let key = strongroom::Unlock::raw_key(strongroom::RawKey::from_bytes([7; 32]));
        let vault = strongroom::Vault::create(store(end), key).await.unwrap();
        vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), strongroom::Environment::test())
    }

    #[tokio::test]
    async fn on_a_full_disk_reads_go_on_and_writes_say_so_until_there_is_room() {
        let end = Arc::new(Mutex::new(None));
        let store = store(&end);
        let first = store.commit(put("1", Expect::Absent)).await.unwrap().revision;
        assert!(!store.capabilities().shared);
        *end.lock().unwrap() = Some(End::Full);
        for _ in 0..2 {
            let refused = store.commit(put("2", Expect::Revision(first))).await.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
            assert_eq!(full_disk(&refused), Some(ErrorKind::StorageFull));
            let cause = std::error::Error::source(&refused).unwrap();
            assert!(!cause.to_string().contains(&refused.to_string()), "it is said once: {cause}");
            assert_eq!(read(&store).await, b"1");
        }
        assert!(store.capabilities().shared, "another process may have had it in between");
        *end.lock().unwrap() = None;
        while store.commit(put("3", Expect::Revision(first))).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&store).await, b"3");
    }

    #[tokio::test]
    async fn a_store_that_is_opened_for_each_try_is_logged_as_open_once_until_it_takes_a_write() {
        let (log, writer) = std::io::pipe().unwrap();
        let lines = tracing_subscriber::fmt().with_writer(Arc::new(writer)).finish();
        let logged = tracing::subscriber::set_default(lines);
        let end = Arc::new(Mutex::new(None));
        let store = store(&end);
        let mut revision = store.commit(put("0", Expect::Absent)).await.unwrap().revision;
        for outage in ["1", "2"] {
            *end.lock().unwrap() = Some(End::Full);
            for _ in 0..3 {
                store.commit(put(outage, Expect::Revision(revision))).await.unwrap_err();
                // As after the pause.
                store.trouble().no_writes = None;
            }
            *end.lock().unwrap() = None;
            revision = store.commit(put(outage, Expect::Revision(revision))).await.unwrap().revision;
        }
        drop(logged);
        let said = std::io::read_to_string(log).unwrap();
        assert_eq!(said.matches("was opened again").count(), 2, "{said}");
    }

    #[tokio::test]
    async fn a_write_that_was_made_although_its_handle_ended_is_acknowledged() {
        let end = Arc::new(Mutex::new(None));
        let org = org(&end).await;
        org.define(VariableDefinition::new("A", VarFormat::String)).await.unwrap();
        *end.lock().unwrap() = Some(End::Written);
        org.set_value("A", Scope::Org, "1").await.unwrap();
        *end.lock().unwrap() = None;
        assert_eq!(org.value("A", Scope::Org).await.unwrap().unwrap().value.expose(), "1");
    }

    #[tokio::test]
    async fn no_write_of_a_full_disk_is_acknowledged() {
        let end = Arc::new(Mutex::new(None));
        let org = org(&end).await;
        for name in ["A", "B"] {
            org.define(VariableDefinition::new(name, VarFormat::String)).await.unwrap();
            org.set_value(name, Scope::Org, "1").await.unwrap();
        }
        let new = || VariableDefinition::new("C", VarFormat::String);
        type Write<'w> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'w>>;
        let refused: [Write<'_>; 4] = [
            Box::pin(async { org.define(new()).await.map(drop) }),
            Box::pin(async { org.set_value("A", Scope::Org, "2").await.map(drop) }),
            Box::pin(async { org.delete_value("A", Scope::Org).await.map(drop) }),
            Box::pin(async { org.delete_definition("B").await.map(drop) }),
        ];
        for write in refused {
            *end.lock().unwrap() = Some(End::Full);
            let refused = write.await.unwrap_err();
            assert_eq!(crate::ErrorStatus::of(&refused).status, 507, "{refused:?}");
            // After the pause that follows a failure.
            *end.lock().unwrap() = None;
            tokio::time::sleep(PAUSE).await;
        }
        assert!(org.definition("C").await.unwrap().is_none());
        for name in ["A", "B"] {
            assert_eq!(org.value(name, Scope::Org).await.unwrap().unwrap().value.expose(), "1");
        }
    }

    #[test]
    fn a_store_that_fails_again_is_gone_since_its_first_failure() {
        let first = Instant::now().checked_sub(PATIENCE).unwrap();
        let health = StoreHealth(Arc::new(Mutex::new(Some(first))));
        health.set(false);
        assert!(health.is_stuck());
    }

    #[tokio::test]
    async fn a_write_whose_store_cannot_be_opened_again_may_have_been_made() {
        let end = Arc::new(Mutex::new(None));
        let (opened, disk) = (AtomicBool::new(false), Arc::new(MemoryStore::new()));
        let open = {
            let end = Arc::clone(&end);
            move || -> Result<Arc<dyn Store>, StoreError> {
                if opened.swap(true, Ordering::Relaxed) {
                    return Err(StoreError::new(StoreErrorKind::Unavailable, "not now"));
                }
                let (disk, end) = (Arc::clone(&disk), Arc::clone(&end));
                Ok(Arc::new(Fragile { disk, end, ended: AtomicBool::new(false) }))
            }
        };
        let store = ResumingStore::open(open, &StoreHealth::default()).unwrap();
        *end.lock().unwrap() = Some(End::Written);
        let kind = async || store.commit(put("1", Expect::Absent)).await.unwrap_err().kind();
        assert_eq!(kind().await, StoreErrorKind::Indeterminate);
        tokio::time::sleep(PAUSE).await;
        assert_eq!(kind().await, StoreErrorKind::Unavailable, "the next was never sent");
    }
}
