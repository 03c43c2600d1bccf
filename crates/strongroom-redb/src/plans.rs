//! Plans of the engine, applied in a write transaction of the host.

use std::sync::Arc;

use redb::{Durability, ReadableTable, Table, TableError, WriteTransaction};
use strongroom_committer::guarded;
use strongroom_store::{Plan, PlanError, StoreError, StoreErrorKind};

use crate::failure::{foreign, of_redb};
use crate::revisions::Revisions;
use crate::row::{self, Bytes};
use crate::writer;

/// Applies plans to the host's write transactions on the same database.
///
/// ```no_run
/// use redb::{Database, TableDefinition};
/// use strongroom_redb::Plans;
/// use strongroom_store::Plan;
/// # let (db, plans, plan): (Database, Plans, Plan);
/// # (db, plans, plan) = todo!();
/// const USERS: TableDefinition<&str, &str> = TableDefinition::new("users");
/// let mut transaction = db.begin_write()?;
/// transaction.open_table(USERS)?.insert("user_1", "Ada")?;
/// plans.apply(&mut transaction, &plan)?; // what `Org::plan` made
/// transaction.commit()?; // the user and the secret, or neither
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plans {
    table: Arc<str>,
}

impl Plans {
    pub(crate) fn new(table: Arc<str>) -> Self {
        Self { table }
    }

    /// Writes the plan, if everything that it depends on still holds. The transaction shows it from then on, and others
    /// see it after its commit. The transaction's durability is set to `Immediate`; leave it so.
    ///
    /// After [`PlanError::Moved`], [`PlanError::Applied`], [`PlanError::AnotherVault`] and `Unsupported` nothing of the
    /// plan is written, and the transaction is still usable. After any other error drop it.
    ///
    /// # Errors
    /// Those above; [`PlanError::Store`] with `Unsupported` while the host has the store's own table open in the
    /// transaction, with `Unavailable` if the file cannot be read or written, and with `Corrupt` for damage.
    pub fn apply(&self, transaction: &mut WriteTransaction, plan: &Plan) -> Result<(), PlanError> {
        guarded(|| Ok(self.apply_all(transaction, plan)))?
    }

    fn apply_all(&self, transaction: &mut WriteTransaction, plan: &Plan) -> Result<(), PlanError> {
        transaction.set_durability(Durability::Immediate).map_err(of_redb)?;
        if !row::is_there(transaction, &self.table)? {
            return Err(PlanError::AnotherVault);
        }
        let mut table = match transaction.open_table(row::rows(&self.table)) {
            Ok(table) => table,
            Err(TableError::Storage(error)) => return Err(of_redb(error).into()),
            Err(TableError::TableAlreadyOpen(..)) => return Err(foreign(OPEN).into()),
            Err(_) => return Err(PlanError::AnotherVault),
        };
        let (key, header) = plan.vault();
        if value(&table, key.as_bytes())?.as_deref() != Some(header) {
            return Err(PlanError::AnotherVault);
        }
        let mut revisions = Revisions::read_shared(&table)?;
        let batch = &**plan.batch();
        let answers = writer::apply(&mut table, &[batch], &mut revisions)?;
        let Some(Err(refused)) = answers.into_iter().next() else { return Ok(()) };
        let StoreErrorKind::Conflict { index } = refused.kind() else { return Err(refused.into()) };
        let found = batch.ops.iter().map(|op| value(&table, op.key().as_bytes()));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        Err(plan.refusal(index, found.iter().map(Option::as_deref)))
    }
}

fn value(table: &Table<'_, Bytes, Bytes>, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let found = table.get(key).map_err(of_redb)?;
    found.map(|stored| row::split(stored.value()).map(|row| row.1.to_vec())).transpose()
}

const OPEN: &str = "the table of the store is open in this transaction: close it before a plan is applied";
