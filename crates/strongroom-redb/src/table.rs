//! A store in one table of a database that the host has open.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redb::{
    Database, Durability as RedbDurability, ReadableDatabase, ReadableTableMetadata, TableError,
    TransactionError, WriteTransaction,
};
use strongroom_committer::{Answer, Committer, Readers, Writer, guarded};
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::failure::{foreign, of_redb};
use crate::plans::Plans;
use crate::read::Snapshot;
use crate::revisions::Revisions;
use crate::{row, writer};

/// A durable store in one table of a redb database that the host has open, beside the host's own tables. A vault's
/// plans can then be committed in a transaction of the host: [`plans`](Self::plans).
///
/// It counts as shared, so the engine checks its caches with each read. Every read begins a redb transaction. Writers,
/// including the host's, take turns: if a write transaction of the host stays open for five seconds, a commit fails as
/// `Contention`. Several stores may be in one database, and several handles on one of them. If the host opened the
/// database for several processes (`ConcurrencyMode::MultiWriter`), each of them may have a handle.
///
/// Closing or dropping it leaves the database to the host.
pub struct RedbTableStore {
    committer: Committer<Place>,
    plans: Plans,
}

impl RedbTableStore {
    /// Opens the store in the table `table`, or creates the table.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("app.redb");
    /// use std::sync::Arc;
    /// use strongroom_redb::RedbTableStore;
    /// let database = Arc::new(redb::Database::create(&path)?);
    /// let store = RedbTableStore::open(Arc::clone(&database), "secrets")?;
    /// # drop(store);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a table that strongroom did not create, and for one of a later version; `Contention` if a
    /// table has to be created and a write transaction has been open for too long; `Unavailable` if the file cannot be
    /// used; `Corrupt` for damage.
    pub fn open(database: Arc<Database>, table: &str) -> Result<Self, StoreError> {
        let place = Place { db: database, table: table.into() };
        guarded(|| place.prepare())?;
        let plans = Plans::new(Arc::clone(&place.table));
        let committer = Committer::start("strongroom-tbl", place.clone(), place)?;
        Ok(Self { committer, plans })
    }

    /// Applies the engine's plans to the host's write transactions on the same database. Take it before giving the
    /// store to a vault.
    #[must_use]
    pub fn plans(&self) -> Plans {
        self.plans.clone()
    }
}

#[async_trait]
impl Store for RedbTableStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.committer.readers().read(|place| {
            Snapshot::newest(&*place.db, &place.table)?.read(request, CAPABILITIES.page_bytes_max)
        })
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&CAPABILITIES)?;
        self.committer.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.committer.close().await
    }
}

impl fmt::Debug for RedbTableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbTableStore").finish_non_exhaustive()
    }
}

/// A table of the host's database, for the readers and for the writing thread.
#[derive(Clone)]
struct Place {
    db: Arc<Database>,
    table: Arc<str>,
}

impl Place {
    /// Makes sure that the table exists and is ours. If it exists, waits for no writer.
    fn prepare(&self) -> Result<(), StoreError> {
        let transaction = self.db.begin_read().map_err(of_redb)?;
        match transaction.open_table(row::rows(&self.table)) {
            Ok(table) => Revisions::read(&table).map(drop).map_err(|error| not_ours(error, table.len())),
            Err(TableError::TableDoesNotExist(_)) => self.create(),
            Err(TableError::Storage(error)) => Err(of_redb(error)),
            Err(_) => Err(foreign(NOT_OURS)),
        }
    }

    fn create(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin_write()?;
        transaction.set_durability(RedbDurability::Immediate).map_err(of_redb)?;
        // Another handle may have been faster.
        if !row::is_there(&transaction, &self.table)? {
            let mut table = transaction.open_table(row::rows(&self.table)).map_err(of_redb)?;
            Revisions::create(&mut table)?;
            drop(table);
            return transaction.commit().map_err(of_redb);
        }
        transaction.abort().map_err(of_redb)?;
        self.prepare()
    }

    /// Gives way to a transaction that stays open, since its thread may be waiting for this write.
    fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let started = Instant::now();
        loop {
            match self.db.try_begin_write() {
                Err(TransactionError::WouldBlock) if started.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(TransactionError::WouldBlock) => {
                    let message = "another write transaction of the database is open for too long";
                    return Err(StoreError::new(StoreErrorKind::Contention, message));
                }
                begun => return begun.map_err(of_redb),
            }
        }
    }
}

impl Writer for Place {
    type View = Self;

    fn commit(&mut self, group: &[&WriteBatch], _: &Readers<Self>) -> Result<Vec<Answer>, StoreError> {
        let mut transaction = match self.begin_write() {
            Err(error) if error.kind() == StoreErrorKind::Contention => {
                let contention = || StoreError::new(error.kind(), error.to_string());
                return Ok(group.iter().map(|_| Err(contention())).collect());
            }
            begun => begun?,
        };
        transaction.set_durability(RedbDurability::Immediate).map_err(of_redb)?;
        let mut table = transaction.open_table(row::rows(&self.table)).map_err(of_redb)?;
        let mut revisions = Revisions::read_shared(&table)?;
        let answers = writer::apply(&mut table, group, &mut revisions)?;
        drop(table);
        writer::end(transaction, &answers)?;
        Ok(answers)
    }

    fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// If others also have tables, a table that strongroom did not write is not damage.
fn not_ours(error: StoreError, rows: Result<u64, redb::StorageError>) -> StoreError {
    match (error.kind(), rows) {
        (_, Err(error)) => of_redb(error),
        (StoreErrorKind::Corrupt, Ok(_)) => foreign(NOT_OURS),
        _ => error,
    }
}

const CAPABILITIES: Capabilities = Capabilities::embedded(Durability::PowerLoss).with_sharing();

/// How long to wait for somebody else's write transaction.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

const NOT_OURS: &str = "the table of this name was not made by strongroom: choose another name";
