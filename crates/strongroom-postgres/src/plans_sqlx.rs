//! Plans inside a transaction of sqlx 0.8. Feature `sqlx-0_8`.

use sqlx_0_8::postgres::PgRow;
use sqlx_0_8::{Error, PgConnection, Row as _, query, query_as};
use strongroom_store::{Plan, PlanError};

use crate::failure::{corrupt, of_sqlstate, unavailable};
use crate::plan_statement::PlanParameter;
use crate::plans::{IN_FAILED_TRANSACTION, Plans};

impl Plans {
    /// [`apply`](Self::apply) in a transaction of sqlx 0.8, with the same errors. Feature `sqlx-0_8`.
    ///
    /// A refused plan costs a second round trip, which finds out why. Statements are not kept, so that a pooler in
    /// between may be in transaction mode.
    ///
    /// ```no_run
    /// use sqlx_0_8 as sqlx; // which the host names `sqlx`
    /// use strongroom_postgres::Plans;
    /// use strongroom_store::Plan;
    /// # type Done = Result<(), Box<dyn std::error::Error>>;
    /// async fn sign_up(plans: &Plans, plan: &Plan, pool: &sqlx::PgPool) -> Done {
    ///     let mut transaction = pool.begin().await?;
    ///     sqlx::query("INSERT INTO users (id) VALUES ('user_1')").execute(&mut *transaction).await?;
    ///     plans.apply_in_sqlx(&mut transaction, plan).await?;
    ///     Ok(transaction.commit().await?) // the user and the secret, or neither
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub async fn apply_in_sqlx(&self, connection: &mut PgConnection, plan: &Plan) -> Result<(), PlanError> {
        let statement = self.statement(plan)?;
        let mut query = query_as(statement.text()).persistent(false);
        for parameter in statement.parameters() {
            query = match parameter {
                PlanParameter::ByteaArray(all) => query.bind(all),
                PlanParameter::BigintArray(all) => query.bind(all),
                PlanParameter::Bigint(number) => query.bind(number),
                PlanParameter::Bytea(bytes) => query.bind(bytes),
            };
        }
        let answer: Vec<(i64, i64)> =
            query.fetch_all(&mut *connection).await.map_err(|error| refused(&error))?;
        match statement.failed(&answer)? {
            Some(failed) => Err(self.refusal_in_sqlx(connection, plan, failed).await?),
            None => Ok(()),
        }
    }

    async fn refusal_in_sqlx(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
        failed: usize,
    ) -> Result<PlanError, PlanError> {
        let keys: Vec<_> = plan.batch().ops.iter().map(|op| op.key().as_bytes()).collect();
        let get = query(self.get()).persistent(false).bind(&keys);
        let rows = get.fetch_all(connection).await.map_err(|error| refused(&error))?;
        let stored = rows.iter().map(|row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?)));
        let stored: Vec<(&[u8], &[u8])> =
            stored.collect::<Result<_, _>>().map_err(|error| refused(&error))?;
        let find = |key: &[u8]| stored.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
        Ok(plan.refusal(failed, keys.iter().map(|key| find(key))))
    }
}

/// The transaction is the host's, so a failure here cannot have committed anything. The text of an error may quote a
/// key: it is not passed on.
fn refused(error: &Error) -> PlanError {
    match error {
        Error::Database(answer) => match answer.code().as_deref() {
            Some(IN_FAILED_TRANSACTION) => PlanError::Aborted,
            code => PlanError::Store(of_sqlstate(code.unwrap_or_default())),
        },
        Error::ColumnDecode { .. } | Error::ColumnIndexOutOfBounds { .. } | Error::Decode(_) => {
            PlanError::Store(corrupt("the server answered something else than was asked"))
        }
        _ => PlanError::Store(unavailable("the connection was lost, and with it the transaction")),
    }
}
