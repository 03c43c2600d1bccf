//! Plans of the engine, applied in a transaction of the host.

use std::sync::Arc;

use strongroom_store::{Plan, PlanError, StoreError};
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Transaction};

use crate::failure::{code, corrupt, of_write, unavailable};
use crate::gathered::{Gathered, answer};
use crate::parameter::Bytes;
use crate::plan_statement::{PlanStatement, refuse_elsewhere};
use crate::sql::Sql;

/// Applies plans to the host's transactions, on connections of the host to the same database. Any isolation level
/// works.
///
/// ```no_run
/// use strongroom_postgres::Plans;
/// use strongroom_store::Plan; // what `Org::plan` made
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// async fn sign_up(plans: &Plans, plan: &Plan, db: &mut tokio_postgres::Client) -> Done {
///     let transaction = db.transaction().await?;
///     transaction.execute("INSERT INTO users (id) VALUES ('user_1')", &[]).await?;
///     plans.apply(&transaction, plan).await?; // one round trip
///     Ok(transaction.commit().await?) // the user and the secret, or neither
/// }
/// ```
#[derive(Clone)]
pub struct Plans {
    sql: Arc<Sql>,
}

impl Plans {
    pub(crate) fn new(sql: Arc<Sql>) -> Self {
        Self { sql }
    }

    /// Writes the plan, if everything that it depends on still holds. The transaction shows it from then on, and others
    /// see it after its commit. Rows that the plan depends on stay locked until then, so call it late.
    ///
    /// After [`PlanError::Moved`], [`PlanError::Applied`], [`PlanError::AnotherVault`] and `Unsupported` nothing of the
    /// plan is written, and the transaction is still usable. After any other error it has failed: roll it back.
    ///
    /// If the answer to the host's commit is lost, begin another transaction and apply the same plan: it is applied, or
    /// [`PlanError::Applied`] if it was.
    ///
    /// # Errors
    /// Those above; [`PlanError::Aborted`] in a transaction that failed before; [`PlanError::Store`] with `Contention`
    /// if the server gave way to another writer, and with `Unsupported` in a session whose `synchronous_commit` is off;
    /// with `Unavailable` for a transaction or server that takes no writes, and for a role without the right to.
    pub async fn apply(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<(), PlanError> {
        let batch = &**plan.batch();
        let gathered = Gathered::new(&[batch])?;
        let (key, header) = plan.vault();
        let (key, header) = (Bytes(key.as_bytes()), Bytes(header));
        let vault: [(_, _); 2] = [(&key as _, Type::BYTEA), (&header as _, Type::BYTEA)];
        let parameters = [&gathered.parameters()[..], &vault[..]].concat();
        let rows = transaction.query_typed(&self.sql.apply_plan, &parameters).await.map_err(refused)?;
        let answer = answer(&rows)?;
        refuse_elsewhere(&answer)?;
        match gathered.verdicts(&answer)?.first() {
            Some(Err(failed)) => Err(self.refusal(transaction, plan, *failed).await?),
            _ => Ok(()),
        }
    }

    /// The same for another driver: the statement to send in its own transaction, and the meaning of the answer.
    ///
    /// ```no_run
    /// use strongroom_postgres::{PlanParameter, Plans};
    /// use strongroom_store::Plan;
    /// # let (plans, plan): (Plans, Plan) = todo!();
    /// let statement = plans.statement(&plan)?;
    /// let text: &str = statement.text(); // with sqlx: `query_as(text)`
    /// let each: &[PlanParameter] = statement.parameters(); // bound in this order, each as its type
    /// let answer: Vec<(i64, i64)> = todo!("query.fetch_all(&mut *transaction).await?");
    /// statement.outcome(&answer)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Unavailable` if the system gives no random number.
    pub fn statement(&self, plan: &Plan) -> Result<PlanStatement, PlanError> {
        PlanStatement::new(self.sql.apply_plan.clone(), plan)
    }

    #[cfg(feature = "sqlx-0_8")]
    pub(crate) fn get(&self) -> &str {
        &self.sql.get
    }

    /// Why a plan was refused, from what is stored.
    async fn refusal(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
        failed: usize,
    ) -> Result<PlanError, PlanError> {
        let keys: Vec<_> = plan.batch().ops.iter().map(|op| Bytes(op.key().as_bytes())).collect();
        let keys = [(&keys as _, Type::BYTEA_ARRAY)];
        let rows = transaction.query_typed(&self.sql.get, &keys).await.map_err(refused)?;
        let stored = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let stored: Vec<(&[u8], &[u8])> = stored.collect::<Result<_, _>>().map_err(malformed)?;
        let find = |key: &[u8]| stored.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
        Ok(plan.refusal(failed, plan.batch().ops.iter().map(|op| find(op.key().as_bytes()))))
    }
}

fn malformed(_: Error) -> StoreError {
    corrupt("the server answered something else than was asked")
}

/// The transaction is the host's, so a failure here cannot have committed anything.
fn refused(error: Error) -> PlanError {
    match code(&error) {
        Some(IN_FAILED_TRANSACTION) => PlanError::Aborted,
        Some(_) => PlanError::Store(of_write(error).error),
        None => PlanError::Store(unavailable("the connection was lost, and with it the transaction")),
    }
}

/// SQLSTATE of every statement after one that failed.
pub(crate) const IN_FAILED_TRANSACTION: &str = "25P02";

impl std::fmt::Debug for Plans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plans").finish_non_exhaustive()
    }
}
