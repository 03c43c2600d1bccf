//! Gets and scans in one round trip, at one point in commit order.

use std::collections::HashMap;

use deadpool_postgres::Client;
use futures_util::future::{join, join3};
use strongroom_store::{KEY_BYTES_MAX, Key, Page, ReadBatch, ReadSet, Scan, StoreError, Versioned};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::{CAPABILITIES, Call, Server};
use crate::failure::{Failure, corrupt, of_read, unavailable};
use crate::parameter::Bytes;
use crate::pipeline::in_order;
use crate::revision;
use crate::sql::{self, Sql};
use crate::statement::{Parameter, Statement};

impl Call for ReadBatch {
    type Answer = ReadSet;

    fn attempts_max(&self) -> u32 {
        3
    }

    async fn attempt(&self, client: &Client, server: &Server) -> Result<ReadSet, Failure> {
        read(client, &server.sql, self, CAPABILITIES.page_bytes_max).await
    }

    fn timed_out() -> StoreError {
        unavailable("the server did not answer in time")
    }
}

/// Answers a read. One statement is a snapshot by itself; several are sent together in one transaction.
async fn read(
    client: &Client,
    sql: &Sql,
    request: &ReadBatch,
    page_bytes_max: usize,
) -> Result<ReadSet, Failure> {
    let statements = Statements::prepare(client, sql, request).await?;
    let gets = gets(client, statements.get.as_ref(), &request.gets);
    let scans = request.scans.iter().zip(&statements.scans);
    let scans = in_order(scans.map(|(scan, statement)| page(client, statement, scan, page_bytes_max)));
    if request.scans.len() + usize::from(statements.get.is_some()) < 2 {
        let (gets, scans) = join(gets, scans).await;
        return Ok(ReadSet { gets: gets?, scans: scans.into_iter().collect::<Result<_, _>>()? });
    }
    let begin = client.batch_execute(&sql.begin_read);
    // Polled in this order, so they are sent in this order, before the first answer is there.
    let (begun, (gets, scans), ended) =
        join3(begin, join(gets, scans), client.batch_execute(sql::COMMIT)).await;
    begun.map_err(of_read)?;
    let set = ReadSet { gets: gets?, scans: scans.into_iter().collect::<Result<_, _>>()? };
    ended.map_err(of_read)?;
    Ok(set)
}

/// The statements of a read, prepared once per connection.
struct Statements<'s> {
    get: Option<Statement<'s>>,
    scans: Vec<Statement<'s>>,
}

impl<'s> Statements<'s> {
    async fn prepare(client: &Client, sql: &'s Sql, request: &ReadBatch) -> Result<Self, Failure> {
        let prepare = async |text| Statement::prepare(client, text, sql.prepare).await.map_err(of_read);
        let mut statements = Self { get: None, scans: Vec::with_capacity(request.scans.len()) };
        if !request.gets.is_empty() {
            statements.get = Some(prepare(&sql.get).await?);
        }
        for scan in &request.scans {
            let text = if scan.reverse { &sql.scan_back } else { &sql.scan };
            statements.scans.push(prepare(text).await?);
        }
        Ok(statements)
    }
}

async fn gets(
    client: &Client,
    statement: Option<&Statement<'_>>,
    keys: &[Key],
) -> Result<Vec<Option<Versioned>>, Failure> {
    let Some(statement) = statement else { return Ok(Vec::new()) };
    let parameters: Vec<_> = keys.iter().map(|key| Bytes(key.as_bytes())).collect();
    let rows = statement.query(client, &[(&parameters, Type::BYTEA_ARRAY)]).await.map_err(of_read)?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (key, row) = decode(row)?;
        found.insert(key, row);
    }
    // A key may be asked for twice.
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

async fn page(
    client: &Client,
    statement: &Statement<'_>,
    scan: &Scan,
    page_bytes_max: usize,
) -> Result<Page, Failure> {
    let start = Bytes(&scan.range.start);
    let end = Bytes(scan.range.end.as_deref().unwrap_or(PAST_EVERY_KEY));
    // The row after the page says whether there is more.
    let rows_max = i64::try_from(scan.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let bytes_max = i64::try_from(page_bytes_max).unwrap_or(i64::MAX);
    let parameters: [Parameter<'_>; 5] = [
        (&start, Type::BYTEA),
        (&end, Type::BYTEA),
        (&scan.keys_only, Type::BOOL),
        (&rows_max, Type::INT8),
        (&bytes_max, Type::INT8),
    ];
    let rows = statement.query(client, &parameters).await.map_err(of_read)?;
    Ok(Page::fill(scan, page_bytes_max, &rows, decode)?)
}

fn decode(row: &Row) -> Result<(Key, Versioned), StoreError> {
    let malformed = |_| corrupt("a row is not one that this crate wrote");
    let key: &[u8] = row.try_get(0).map_err(malformed)?;
    let value: Vec<u8> = row.try_get(1).map_err(malformed)?;
    let revision = revision::decode(row.try_get(2).map_err(malformed)?)?;
    Ok((Key::from(key), Versioned { value, revision }))
}

/// Greater than every key within the limit.
const PAST_EVERY_KEY: &[u8] = &[0xff; KEY_BYTES_MAX + 1];
