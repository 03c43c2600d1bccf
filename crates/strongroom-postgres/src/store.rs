//! The store: a pool of connections, driven by threads of its own.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Object, Pool};
use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::config::{PostgresOptions, RowLocks};
use crate::failure::{Failure, closed, indeterminate, of_pool, unavailable};
use crate::{read, schema, write};

/// A store in a PostgreSQL database, which any number of processes may open at the same time.
///
/// Its futures can be driven by any executor: the connections have two threads of their own.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// Taken by `drop` alone.
    runtime: Option<Runtime>,
}

struct Shared {
    pool: Pool,
    row_locks: RowLocks,
    answer_timeout: Duration,
    /// For the tables to be found or made.
    set_up_timeout: Duration,
    /// Whether the store was closed; held for reading by every call.
    closed: Arc<RwLock<bool>>,
}

impl PostgresStore {
    /// Connects to the database and makes the tables where they are missing.
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// use strongroom_postgres::{PostgresOptions, PostgresStore};
    ///
    /// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?;
    /// let store = PostgresStore::connect(&options.password(std::env::var("PGPASSWORD")?)).await?;
    /// let vault = Vault::open(store, Unlock::raw_key(RawKey::from_file("vault.key")?)).await?;
    /// # let _ = vault; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached, refuses the user or lacks the database; `Unsupported` for
    /// tables of a later version of this crate; `Corrupt` for tables that it did not make.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let store = Self::new(options)?;
        store.run(|shared| async move { shared.set_up().await }, unanswered).await?;
        Ok(store)
    }

    /// [`connect`](Self::connect), blocking: for code that is not async.
    ///
    /// ```no_run
    /// use strongroom_postgres::{PostgresOptions, PostgresStore};
    /// let store = PostgresStore::open(&PostgresOptions::parse("postgres://vault@db.example.com/vault")?)?;
    /// # let _ = store;
    /// # Ok::<(), strongroom_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let store = Self::new(options)?;
        let (answer, answered) = mpsc::channel();
        let shared = Arc::clone(&store.shared);
        store.runtime()?.spawn(async move { answer.send(shared.set_up().await) });
        answered.recv().map_err(|_| unanswered())??;
        Ok(store)
    }

    fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("strongroom-postgres")
            .enable_all()
            .build()
            .map_err(|error| {
                unavailable("the threads of the store could not be started").with_source(error)
            })?;
        let closed = Arc::new(RwLock::new(false));
        let PostgresOptions { row_locks, answer_timeout, connect_timeout, .. } = *options;
        let set_up_timeout = connect_timeout.max(answer_timeout);
        let shared = Shared { pool: options.pool()?, row_locks, answer_timeout, set_up_timeout, closed };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    /// Runs a call on the store's own threads, to its end even when nobody waits for it.
    async fn run<T, F>(
        &self,
        call: impl FnOnce(Arc<Shared>) -> F,
        lost: impl FnOnce() -> StoreError,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let task = self.runtime()?.spawn(call(Arc::clone(&self.shared)));
        task.await.unwrap_or_else(|_| Err(lost()))
    }

    fn runtime(&self) -> Result<&Runtime, StoreError> {
        self.runtime.as_ref().ok_or_else(closed)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for PostgresStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        let request = request.clone();
        self.run(|shared| async move { shared.call(&request).await }, unanswered).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        let lost = || indeterminate("the store was dropped while a batch was on its way");
        self.run(|shared| async move { shared.call(&*batch).await }, lost).await
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        let close = |shared: Arc<Shared>| async move {
            // Every call that was accepted holds the lock until it is answered.
            *shared.closed.write().await = true;
            shared.pool.close();
            Ok(())
        };
        self.run(close, unanswered).await
    }
}

impl Shared {
    async fn set_up(&self) -> Result<(), StoreError> {
        let (client, _open) = self.client().await?;
        let prepared = tokio::time::timeout(self.set_up_timeout, schema::prepare(&client)).await;
        prepared.unwrap_or_else(|_| Err(unavailable("the server did not show its tables in time")))
    }

    /// Tries until an answer is final, with growing random pauses.
    async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, StoreError> {
        let (mut client, _open) = self.client().await?;
        let mut attempt = 1;
        loop {
            let failure = match tokio::time::timeout(
                self.answer_timeout,
                call.attempt(&client, self.row_locks),
            )
            .await
            {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    // What comes on this connection from now on is the answer to something else.
                    drop(Object::take(client));
                    return Err(C::timed_out());
                }
            };
            if !failure.again || attempt == C::ATTEMPTS_MAX {
                return Err(failure.error);
            }
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
            if client.is_closed() {
                // Its place in the pool is given back first: else calls that lost theirs together wait for each other.
                drop(client);
                client = self.pool.get().await.map_err(of_pool)?;
            }
        }
    }

    async fn client(&self) -> Result<(Client, OwnedRwLockReadGuard<bool>), StoreError> {
        let open = Arc::clone(&self.closed).read_owned().await;
        if *open {
            return Err(closed());
        }
        Ok((self.pool.get().await.map_err(of_pool)?, open))
    }
}

/// What is asked of the server, in one round trip.
trait Call: Sync {
    type Answer;
    const ATTEMPTS_MAX: u32;

    fn attempt(
        &self,
        client: &Client,
        row_locks: RowLocks,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;

    /// What no answer means.
    fn timed_out() -> StoreError;
}

impl Call for ReadBatch {
    type Answer = ReadSet;
    const ATTEMPTS_MAX: u32 = 3;

    async fn attempt(&self, client: &Client, _: RowLocks) -> Result<ReadSet, Failure> {
        read::read(client, self, CAPABILITIES.page_bytes_max).await
    }

    fn timed_out() -> StoreError {
        unavailable("the server did not answer in time")
    }
}

impl Call for WriteBatch {
    type Answer = Committed;
    const ATTEMPTS_MAX: u32 = 10;

    async fn attempt(&self, client: &Client, row_locks: RowLocks) -> Result<Committed, Failure> {
        write::commit(client, self, row_locks).await
    }

    fn timed_out() -> StoreError {
        indeterminate("the server did not answer in time")
    }
}

/// Up to 2, 4, 8 … 128 milliseconds.
fn pause(attempt: u32) -> Duration {
    let mut random = [0; 1];
    // Without a random number the pause is its longest.
    let share = SysRng.try_fill_bytes(&mut random).map_or(u8::MAX, |()| random[0]);
    Duration::from_micros((1_000 << attempt.min(7)) * u64::from(share) / 255)
}

fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store was dropped before it could answer")
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not wait for its threads where another one runs.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss).with_sharing();
