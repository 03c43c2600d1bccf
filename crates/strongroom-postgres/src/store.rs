//! The store: a pool of connections, driven by its own threads.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Client, Pool};
use strongroom_store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, RwLock};

use crate::call::{CAPABILITIES, Server};
use crate::catalog::Session;
use crate::choices::{Access, Prepare, RowLocks};
use crate::config::PostgresOptions;
use crate::connections::Connections;
use crate::connector::Connector;
use crate::failure::{indeterminate, of_connect, of_pool, unanswered, unavailable, unsupported};
use crate::plans::Plans;
use crate::readers::Gets;
use crate::sharing::Line;
use crate::sql::Sql;
use crate::threads::Threads;
use crate::{pooler, schema};

/// A store in a PostgreSQL database, which any number of processes may open at the same time.
///
/// Its futures can be driven by any executor: the connections have two threads of their own.
pub struct PostgresStore {
    shared: Arc<Shared>,
    threads: Threads,
}

impl PostgresStore {
    /// Connects to the database, checks the tables and creates those that are missing.
    ///
    /// ```no_run
    /// # let _ = async {
    /// use strongroom::{RawKey, Unlock, Vault};
    /// use strongroom_postgres::{PostgresOptions, PostgresStore};
    ///
    /// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?;
    /// let store = PostgresStore::connect(&options.password(std::env::var("PGPASSWORD")?)).await?;
    /// let vault = Vault::open(store, Unlock::raw_key(RawKey::from_file("vault.key")?)).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) };
    /// ```
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached, refuses the user, lacks the database or the role lacks a right;
    /// `Unsupported` for tables of a later version of this crate, of an owner that is not trusted, or with a trigger, a
    /// rule, a policy or anything else that runs when they are used; `Corrupt` for other tables that it did not create.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let opening = Opening::new(options)?;
        let threads = Threads::start()?;
        let opened = threads.spawn(opening.open()).await.unwrap_or_else(|_| Err(unanswered()))?;
        Ok(Self { shared: Arc::new(opened), threads })
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
        let opening = Opening::new(options)?;
        let threads = Threads::start()?;
        let (answer, answered) = mpsc::channel();
        threads.spawn(async move { answer.send(opening.open().await) });
        let opened = answered.recv().map_err(|_| unanswered())??;
        Ok(Self { shared: Arc::new(opened), threads })
    }

    /// Opens the store on a pool of the host. The store shares its connections and runs on its runtime: call this
    /// there, and keep that runtime for as long as the store. `options` contain what an address says besides the
    /// server: `PostgresOptions::parse("schema=secrets")`, or `""`. If no connection is free, a call waits for at most
    /// [`connect_timeout`](PostgresOptions::connect_timeout).
    ///
    /// The store never closes the pool. The settings of the host's sessions apply to the store too: a statement that
    /// `statement_timeout` ends is `Unavailable`, and nothing of it is written.
    ///
    /// ```no_run
    /// # let _ = async {
    /// # let pool: deadpool_postgres::Pool = todo!();
    /// use strongroom_postgres::{PostgresOptions, PostgresStore};
    /// let store = PostgresStore::from_pool(pool.clone(), &PostgresOptions::parse("schema=secrets")?).await?;
    /// # let _ = store;
    /// # Ok::<(), strongroom_store::StoreError>(()) };
    /// ```
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and `Unsupported` for options that name a server, a user, a database or a
    /// setting of the connection or the session, such as `sslmode`, none of which would be obeyed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn from_pool(pool: Pool, options: &PostgresOptions) -> Result<Self, StoreError> {
        if options.names_a_server() {
            return Err(unsupported(
                "the pool decides which server it is, and how a session there begins: leave that out of the options",
            ));
        }
        let threads = Threads::of_host(Handle::current());
        let opening = Opening { options: options.clone(), connector: None, pool };
        let opened = threads.spawn(opening.open()).await.unwrap_or_else(|_| Err(unanswered()))?;
        Ok(Self { shared: Arc::new(opened), threads })
    }

    /// Applies the engine's plans to the host's transactions in the same database. Take it before giving the store to a
    /// vault.
    #[must_use]
    pub fn plans(&self) -> Plans {
        Plans::new(Arc::clone(&self.shared.server.sql))
    }

    /// Runs a call on the store's own threads, to its end even if nobody waits for it.
    async fn run<T, F>(
        &self,
        call: impl FnOnce(Arc<Shared>) -> F,
        lost: impl FnOnce() -> StoreError,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let task = self.threads.spawn(call(Arc::clone(&self.shared)));
        task.await.unwrap_or_else(|_| Err(lost()))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for PostgresStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        if request.scans.is_empty() {
            return self.shared.readers.call(Gets(request.gets.clone())).await;
        }
        let request = request.clone();
        let read = |shared: Arc<Shared>| async move { shared.server.call(&request).await };
        self.run(read, unanswered).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        if self.shared.access == Access::ReadOnly {
            return Err(unsupported(
                "the store was opened for reading: open it without mode=read-only to write",
            ));
        }
        match self.shared.row_locks {
            RowLocks::Shared => self.shared.writers.call(batch).await,
            RowLocks::Exclusive => {
                let lost = || indeterminate("the store was dropped while a batch was on its way");
                let commit = |shared: Arc<Shared>| async move { shared.server.call(&*batch).await };
                self.run(commit, lost).await
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        let close = |shared: Arc<Shared>| async move {
            // Every call that was accepted holds the lock until it is answered.
            *shared.server.closed.write().await = true;
            shared.server.connections.close();
            Ok(())
        };
        self.run(close, unanswered).await
    }
}

/// What the calls of a store share.
struct Shared {
    server: Arc<Server>,
    readers: Arc<Line<Gets>>,
    writers: Arc<Line<Arc<WriteBatch>>>,
    access: Access,
    row_locks: RowLocks,
}

/// A store that has not checked its tables yet.
struct Opening {
    options: PostgresOptions,
    /// `None` for a pool of the host.
    connector: Option<Connector>,
    pool: Pool,
}

impl Opening {
    fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let connector = options.connector()?;
        let pool = options.pool(connector.clone())?;
        Ok(Self { pool, connector: Some(connector), options: options.clone() })
    }

    async fn open(self) -> Result<Shared, StoreError> {
        let patience = self.connector.as_ref().map_or(self.options.connect_timeout, Connector::patience);
        let set_up_timeout = patience.max(self.options.answer_timeout);
        let sql = tokio::time::timeout(set_up_timeout, self.set_up()).await;
        let sql = sql.unwrap_or_else(|_| Err(unavailable("the server did not show its tables in time")))?;
        let PostgresOptions { access, row_locks, answer_timeout, .. } = self.options;
        let (fence, closed) = (Mutex::new(()), Arc::new(RwLock::new(false)));
        let host_patience = self.connector.is_none().then_some(patience);
        let connections = Connections { pool: self.pool, host_patience, connector: self.connector };
        let server = Arc::new(Server { connections, sql: Arc::new(sql), answer_timeout, fence, closed });
        // The runtime that this runs on, which is the store's own or the host's.
        let runtime = Handle::current();
        let (readers, writers) =
            (Line::new(Arc::clone(&server), runtime.clone()), Line::new(Arc::clone(&server), runtime));
        Ok(Shared { server, readers, writers, access, row_locks })
    }

    async fn set_up(&self) -> Result<Sql, StoreError> {
        let client = self.pool.get().await.map_err(of_pool)?;
        let session = Session::look(&client).await?;
        let prepare = match self.options.prepare {
            Some(prepare) => prepare,
            None => {
                self.refuse_mixing(&client, &session).await?;
                Prepare::Named
            }
        };
        let tables = schema::prepare(&client, &session, &self.options.layout, self.options.access).await?;
        let answer_timeout = self.options.answer_timeout;
        let silence_max = session.waits_for_ever.then_some(answer_timeout);
        // So much longer that whoever waits for the answer is told that there was none.
        let lock_max =
            session.locks_for_ever.then_some(answer_timeout.saturating_add(Duration::from_secs(1)));
        Ok(Sql::new(&tables, prepare, silence_max, lock_max))
    }

    async fn refuse_mixing(&self, client: &Client, session: &Session) -> Result<(), StoreError> {
        if !pooler::is_between(client, session).await {
            return Ok(());
        }
        let Some(connector) = &self.connector else {
            // A pool of one connection cannot give another, and the opening ends by its timeout.
            let other = self.pool.get().await.map_err(of_pool)?;
            return pooler::refuse_mixing(client, &other).await;
        };
        let (other, _connection) = connector.connect_to_first().await.map_err(of_connect)?;
        pooler::refuse_mixing(client, &other).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
