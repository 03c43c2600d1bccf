//! The store: the contract around two tables and the thread that writes them.

use std::path::{self, Path};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use strongroom_committer::{Committer, guarded, of_io};
use strongroom_store::{
    Capabilities, Committed, Durability, ReadBatch, ReadSet, Store, StoreError, WriteBatch,
};

use crate::file;
use crate::plans::Plans;
use crate::read::Pool;
use crate::writer::SqliteWriter;

/// A handle on a store in two tables of a file. The crate's documentation says what it promises.
///
/// Dropping it does what [`close`](Store::close) does, but reports nothing.
#[derive(Debug)]
pub struct SqliteStore {
    committer: Committer<SqliteWriter>,
    capabilities: Capabilities,
    plans: Plans,
}

impl SqliteStore {
    /// Opens the store in the tables `strongroom_…` of the file `path`, durable through a power cut, or creates the
    /// tables, the file and the directories above.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("app.db");
    /// let store = strongroom_sqlite::SqliteStore::open(&path)?;
    /// let another = strongroom_sqlite::SqliteStore::open(&path)?; // Here or in another process.
    /// # drop((store, another));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, "strongroom", Durability::PowerLoss)
    }

    /// The same in tables with other names, `PREFIX_rows` and `PREFIX_meta`, or with another promise. Stores under
    /// different prefixes are different stores.
    ///
    /// With [`Durability::ProcessCrash`] a commit waits for no sync (`synchronous=NORMAL`), and a power cut may lose
    /// the newest ones. A vault is opened on such a store only if its host asks for that by name.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("app.db");
    /// use strongroom_sqlite::SqliteStore;
    /// use strongroom_store::Durability;
    /// let store = SqliteStore::open_with(&path, "secrets", Durability::PowerLoss)?;
    /// # drop(store);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be used, `Contention` if another program writes to it for too long;
    /// `Unsupported` for a prefix that is not a letter and up to 31 letters, digits and underscores, for another
    /// durability, and for a file or tables that are something else or of a later version; `Corrupt` for damage.
    pub fn open_with(
        path: impl AsRef<Path>,
        prefix: &str,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        // Readers connect later, and the process may change its directory. Nor is an absolute path one of the names
        // that mean something else to SQLite: `:memory:`, and whatever begins with `file:`.
        let path =
            path::absolute(path).map_err(|error| of_io(error, "the path of the file cannot be used"))?;
        let prefix = prefix.to_owned();
        let connection = guarded(|| file::open_or_create(&path, &prefix, durability))?;
        let plans = Plans::new(prefix.clone(), durability);
        let writer = SqliteWriter { connection, prefix: prefix.clone() };
        let pool = Pool { path, prefix, idle: Mutex::default() };
        let committer = Committer::start("strongroom-sql", writer, pool)?;
        Ok(Self { committer, capabilities: Capabilities::embedded(durability).with_sharing(), plans })
    }

    /// Applies the engine's plans to the host's transactions on the same file. Take it before giving the store to a
    /// vault.
    #[must_use]
    pub fn plans(&self) -> Plans {
        self.plans.clone()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.committer.readers().read(|pool| pool.read(request, self.capabilities.page_bytes_max))
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&self.capabilities)?;
        self.committer.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.committer.close().await
    }
}
