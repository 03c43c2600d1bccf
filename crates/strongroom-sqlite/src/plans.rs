//! Plans of the engine, applied in a transaction of the host.

use rusqlite::{Connection, OptionalExtension, Transaction};
use strongroom_store::{Durability, Plan, PlanError, StoreErrorKind, WriteBatch};

use crate::failure::{of_sqlite, unsupported};
use crate::writer;

/// Applies plans to the host's transactions: those of `rusqlite`, on a connection of the host to the same file.
///
/// ```no_run
/// use strongroom_sqlite::Plans;
/// use strongroom_store::Plan;
/// # let (plans, plan): (Plans, Plan) = todo!();
/// let mut connection = rusqlite::Connection::open("app.db")?;
/// let transaction = connection.transaction()?;
/// transaction.execute("INSERT INTO users VALUES ('user_1')", [])?;
/// plans.apply(&transaction, &plan)?; // what `Org::plan` made
/// transaction.commit()?; // the user and the secret, or neither
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plans {
    prefix: String,
    durability: Durability,
}

impl Plans {
    pub(crate) fn new(prefix: String, durability: Durability) -> Self {
        Self { prefix, durability }
    }

    /// Writes the plan, if everything that it depends on still holds. The transaction shows it from then on, and others
    /// see it after its commit. After an error nothing of the plan is written, and the transaction is still usable
    /// unless the error says otherwise.
    ///
    /// The tables must be in the main file of the connection: SQLite commits to that and to an attached one separately.
    ///
    /// It takes the write lock of the file, so call it late. A transaction that began by reading an older state than
    /// the newest cannot write at all (`Contention`): begin it as `IMMEDIATE`, or begin again.
    ///
    /// # Errors
    /// [`PlanError::Moved`], [`PlanError::Applied`], [`PlanError::AnotherVault`]; [`PlanError::Aborted`] outside a
    /// transaction, as after SQLite rolled it back; [`PlanError::Store`] with `Contention` while another connection
    /// writes, and with `Unsupported` for a connection whose commits survive less than the store promises
    /// (`synchronous`) or that reads what others have not committed.
    pub fn apply(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<(), PlanError> {
        if transaction.is_autocommit() {
            return Err(PlanError::Aborted);
        }
        self.refuse_weaker(transaction)?;
        let (key, header) = plan.vault();
        if !self.is_there(transaction)? || self.value(transaction, key.as_bytes())?.as_deref() != Some(header)
        {
            return Err(PlanError::AnotherVault);
        }
        // A plan whose writes fail halfway leaves nothing behind, even if the host commits.
        transaction.execute_batch("SAVEPOINT strongroom_plan").map_err(of_sqlite)?;
        let applied = self.apply_all(transaction, plan);
        let end = match applied {
            Ok(()) => "RELEASE strongroom_plan",
            Err(_) => "ROLLBACK TO strongroom_plan; RELEASE strongroom_plan",
        };
        match transaction.execute_batch(end) {
            // SQLite has rolled the whole transaction back.
            Err(_) if transaction.is_autocommit() => applied.and(Err(PlanError::Aborted)),
            ended => applied.and(ended.map_err(|error| of_sqlite(error).into())),
        }
    }

    fn apply_all(&self, transaction: &Connection, plan: &Plan) -> Result<(), PlanError> {
        let batch: &WriteBatch = plan.batch();
        let answers = writer::apply(transaction, &self.tables(), &[batch]).map_err(of_sqlite)?;
        let Some(Err(refused)) = answers.into_iter().next() else { return Ok(()) };
        let StoreErrorKind::Conflict { index } = refused.kind() else { return Err(refused.into()) };
        let found = batch.ops.iter().map(|op| self.value(transaction, op.key().as_bytes()));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        Err(plan.refusal(index, found.iter().map(Option::as_deref)))
    }

    /// What the names of the tables begin with. Without the schema those of an attached file would be found too, whose
    /// `synchronous` is another, and temporary ones.
    fn tables(&self) -> String {
        format!("main.{}", self.prefix)
    }

    fn is_there(&self, connection: &Connection) -> Result<bool, PlanError> {
        let found = connection
            .prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE name = ?1")
            .and_then(|mut tables| tables.exists([format!("{}_rows", self.prefix)]));
        Ok(found.map_err(of_sqlite)?)
    }

    fn value(&self, connection: &Connection, key: &[u8]) -> Result<Option<Vec<u8>>, PlanError> {
        let text = format!("SELECT v FROM {}_rows WHERE k = ?1", self.tables());
        let value = connection
            .prepare_cached(&text)
            .and_then(|mut get| get.query_row([key], |row| row.get(0)).optional());
        Ok(value.map_err(of_sqlite)?)
    }

    fn refuse_weaker(&self, connection: &Connection) -> Result<(), PlanError> {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (synchronous, sees_uncommitted) = pragma("synchronous")
            .and_then(|level| Ok((level, pragma("read_uncommitted")?)))
            .map_err(of_sqlite)?;
        let least = if self.durability == Durability::PowerLoss { FULL } else { NORMAL };
        if synchronous < least {
            let message =
                "the connection syncs less than the store promises: set `synchronous` as for the store";
            return Err(unsupported(message).into());
        }
        if sees_uncommitted != 0 {
            return Err(unsupported(
                "the connection reads what others have not committed: set `read_uncommitted` off",
            )
            .into());
        }
        Ok(())
    }
}

/// A value of `PRAGMA synchronous`.
const NORMAL: i64 = 1;
const FULL: i64 = 2;
