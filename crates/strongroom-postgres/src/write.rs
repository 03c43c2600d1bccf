//! A batch as one transaction in one round trip.
//!
//! Beginning, locks, writes and `COMMIT` are sent together. The writes are made only if every expectation holds, so
//! nothing has to be known before the end. The locked rows show which expectation failed.

use std::collections::HashMap;

use deadpool_postgres::Client;
use futures_util::future::{join3, join5};
use strongroom_store::{Committed, Expect, Key, Op, RowRevision, StoreError, WriteBatch};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::{Call, Server};
use crate::failure::{Failure, indeterminate, of_commit, of_read, of_whole, of_write};
use crate::fence::fenced;
use crate::gathered::{Gathered, answer};
use crate::parameter::Bytes;
use crate::revision;
use crate::sql::{self, Sql};
use crate::statement::{Parameter, Statement};

impl Call for WriteBatch {
    type Answer = Committed;

    fn attempts_max(&self) -> u32 {
        WRITE_ATTEMPTS_MAX
    }

    async fn attempt(&self, client: &Client, server: &Server) -> Result<Committed, Failure> {
        commit(client, &server.sql, self).await
    }

    fn timed_out() -> StoreError {
        indeterminate("the server did not answer in time")
    }
}

/// Batches none of which expects what another one writes.
pub(crate) struct Together<'b>(pub(crate) &'b [&'b WriteBatch]);

impl Call for Together<'_> {
    type Answer = Vec<Result<Committed, StoreError>>;

    /// Among several batches, one may hold up the others: they are soon tried one by one.
    fn attempts_max(&self) -> u32 {
        if self.0.len() > 1 { 2 } else { WRITE_ATTEMPTS_MAX }
    }

    async fn attempt(&self, client: &Client, server: &Server) -> Result<Self::Answer, Failure> {
        let write = together(client, &server.sql, self.0);
        // Several batches do not wait long, and are soon tried one by one.
        if self.0.len() > 1 { write.await } else { fenced(server, write).await }
    }

    fn timed_out() -> StoreError {
        WriteBatch::timed_out()
    }
}

/// Applies the batch with each of its rows locked against everyone, or fails with nothing applied; `Indeterminate`
/// means that neither is known.
async fn commit(client: &Client, sql: &Sql, batch: &WriteBatch) -> Result<Committed, Failure> {
    let plan = Plan::new(batch)?;
    let statements = Statements::prepare(client, sql, &plan).await?;
    let delete = async {
        match (&statements.delete, plan.puts.first()) {
            (None, _) => Ok(0),
            (Some(delete), Some(put)) => {
                let beside = [(put as _, Type::BYTEA), (&plan.revision as _, Type::INT8)];
                delete
                    .execute(client, &[&[(&plan.deletes as _, Type::BYTEA_ARRAY)], &beside[..]].concat())
                    .await
            }
            (Some(delete), None) => {
                let expected =
                    [(&plan.expected as _, Type::BYTEA_ARRAY), (&plan.marks as _, Type::INT8_ARRAY)];
                delete
                    .execute(client, &[&[(&plan.deletes as _, Type::BYTEA_ARRAY)], &expected[..]].concat())
                    .await
            }
        }
    };
    let put = async {
        let Some(put) = &statements.put else { return Ok(0) };
        let Plan { puts, values, revision, expected, marks, .. } = &plan;
        let parameters: [Parameter<'_>; 5] = [
            (puts, Type::BYTEA_ARRAY),
            (values, Type::BYTEA_ARRAY),
            (revision, Type::INT8),
            (expected, Type::BYTEA_ARRAY),
            (marks, Type::INT8_ARRAY),
        ];
        put.execute(client, &parameters).await
    };
    // Polled in this order, so they are sent in this order, before the first answer is there.
    let keys = [(&plan.locked as _, Type::BYTEA_ARRAY)];
    let lock = statements.lock.query(client, &keys);
    let begin = client.batch_execute(&sql.begin);
    let (begun, locked, put, deleted, ended) =
        join5(begin, lock, put, delete, client.batch_execute(sql::COMMIT)).await;
    // After a failed statement the server answers `COMMIT` with a rollback, and reports that as a success.
    begun.map_err(of_write)?;
    let locked = locked.map_err(of_write)?;
    let put = put.map_err(of_write)?;
    deleted.map_err(of_write)?;
    ended.map_err(of_commit)?;
    plan.judge(batch, &revisions(&locked)?, put)
}

/// Applies each of the batches, or returns its own conflict; or fails with none of them applied. `Indeterminate` means
/// that neither is known.
async fn together(
    client: &Client,
    sql: &Sql,
    batches: &[&WriteBatch],
) -> Result<Vec<Result<Committed, StoreError>>, Failure> {
    let gathered = Gathered::new(batches)?;
    let text = if batches.len() == 1 { &sql.apply_alone } else { &sql.apply };
    let statement = Statement::prepare(client, text, sql.prepare).await.map_err(of_read)?;
    let parameters = gathered.parameters();
    let rows = match batches.len() {
        // One statement is a transaction by itself.
        1 => statement.query(client, &parameters).await.map_err(of_whole)?,
        _ => {
            let begin = client.batch_execute(&sql.begin_together);
            let apply = statement.query(client, &parameters);
            // Polled in this order, so they are sent in this order, before the first answer is there.
            let (begun, rows, ended) = join3(begin, apply, client.batch_execute(sql::COMMIT)).await;
            begun.map_err(of_write)?;
            let rows = rows.map_err(of_write)?;
            ended.map_err(of_commit)?;
            rows
        }
    };
    let verdicts = gathered.verdicts(&answer(&rows)?)?.into_iter();
    Ok(verdicts.map(|verdict| verdict.map_err(StoreError::conflict)).collect())
}

fn revisions(locked: &[Row]) -> Result<HashMap<&[u8], RowRevision>, StoreError> {
    let malformed = |_| indeterminate("the server answered something else than was asked");
    let rows = locked.iter().map(|row| {
        let key: &[u8] = row.try_get(0).map_err(malformed)?;
        Ok((key, revision::decode(row.try_get(1).map_err(malformed)?)?))
    });
    rows.collect()
}

/// A batch as parameters for the server.
struct Plan<'b> {
    revision: i64,
    /// The locked rows, in the order of the statement, which is that of the keys.
    locked: Vec<Bytes<'b>>,
    puts: Vec<Bytes<'b>>,
    values: Vec<Bytes<'b>>,
    deletes: Vec<Bytes<'b>>,
    expected: Vec<Bytes<'b>>,
    marks: Vec<i64>,
}

impl<'b> Plan<'b> {
    fn new(batch: &'b WriteBatch) -> Result<Self, StoreError> {
        let mut ops: Vec<_> = batch.ops.iter().collect();
        ops.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        let is_written = |key: &[u8]| ops.binary_search_by(|op| op.key().as_bytes().cmp(key)).is_ok();
        let expected = batch.expect.iter().map(|(key, _)| key.as_bytes());
        let only_expected = expected.clone().filter(|key| !is_written(key)).map(Bytes);
        let written = ops.iter().map(|op| Bytes(op.key().as_bytes()));
        let mut plan = Self {
            revision: revision::fresh()?,
            locked: only_expected.chain(written).collect(),
            puts: Vec::new(),
            values: Vec::new(),
            deletes: Vec::new(),
            expected: expected.map(Bytes).collect(),
            marks: batch.expect.iter().map(|(_, expect)| sql::mark(*expect)).collect(),
        };
        for op in ops {
            match op {
                Op::Put(key, value) => {
                    plan.puts.push(Bytes(key.as_bytes()));
                    plan.values.push(Bytes(value));
                }
                Op::Delete(key) => plan.deletes.push(Bytes(key.as_bytes())),
            }
        }
        Ok(plan)
    }

    /// What the transaction did, derived from the rows as it found them.
    fn judge(
        &self,
        batch: &WriteBatch,
        found: &HashMap<&[u8], RowRevision>,
        put: u64,
    ) -> Result<Committed, Failure> {
        let fails = |(key, expect): &(Key, Expect)| !expect.holds(found.get(key.as_bytes()).copied());
        if let Some(index) = batch.expect.iter().position(fails) {
            return Err(StoreError::conflict(index).into());
        }
        if put != self.puts.len() as u64 {
            return Err(indeterminate("the server did not write what it was asked to").into());
        }
        Ok(Committed { revision: RowRevision(self.revision.unsigned_abs()) })
    }
}

/// The statements of a plan, prepared once per connection.
struct Statements<'s> {
    lock: Statement<'s>,
    put: Option<Statement<'s>>,
    delete: Option<Statement<'s>>,
}

impl<'s> Statements<'s> {
    /// Nothing of the batch has been sent yet, so losing a connection here loses nothing.
    async fn prepare(client: &Client, sql: &'s Sql, plan: &Plan<'_>) -> Result<Self, Failure> {
        let delete = if plan.puts.is_empty() { &sql.delete } else { &sql.delete_beside_put };
        let statement = async |text| Statement::prepare(client, text, sql.prepare).await.map_err(of_read);
        let if_needed = async |text, is_needed: bool| -> Result<_, Failure> {
            Ok(if is_needed { Some(statement(text).await?) } else { None })
        };
        Ok(Self {
            lock: statement(&sql.lock).await?,
            put: if_needed(&sql.put, !plan.puts.is_empty()).await?,
            delete: if_needed(delete, !plan.deletes.is_empty()).await?,
        })
    }
}

const WRITE_ATTEMPTS_MAX: u32 = 10;
