//! What a program sends without a store: prepared statements, by the same driver.

use std::hint::black_box;
use std::rc::Rc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::store::{ReadBatch, Store as _};
use strongroom_postgres::PostgresStore;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, Statement};

use super::cluster;
use crate::Run;
use crate::population::VALUE;
use crate::writes::WRITERS;

/// A connection, driven by the thread that asks.
pub(super) struct Plain {
    runtime: Runtime,
    client: Client,
}

impl Plain {
    pub(super) fn connect(database: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is there");
        let client = runtime.block_on(connect(database));
        Self { runtime, client }
    }

    /// One `SELECT` of these rows of the store's table.
    pub(super) fn select(self, keys: Vec<Vec<u8>>) -> Run {
        let Self { runtime, client } = self;
        let select = "SELECT k, v, rev FROM strongroom.strongroom_rows WHERE k = ANY($1::bytea[])";
        let select = runtime.block_on(client.prepare(select)).expect("the table is there");
        Run::wall(move |n| {
            runtime.block_on(async {
                for _ in 0..n {
                    let rows = client.query(&select, &[&keys]).await.expect("the server answers");
                    assert_eq!(black_box(rows).len(), keys.len());
                }
            });
        })
    }

    /// One row, inserted or updated, and durable.
    pub(super) fn upsert(self) -> Run {
        let Self { runtime, client } = self;
        let statement = runtime.block_on(prepare(&client));
        Run::wall(move |n| {
            runtime.block_on(async {
                for _ in 0..n {
                    upsert(&client, &statement, 0).await;
                }
            });
        })
    }
}

/// As many connections as there are writers, shared by the floors that write on them.
pub(super) struct Writers {
    runtime: Runtime,
    clients: Vec<(Client, Statement)>,
}

impl Writers {
    pub(super) fn connect(database: &str) -> Rc<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is there");
        let client = async || {
            let client = connect(database).await;
            let statement = prepare(&client).await;
            (client, statement)
        };
        let clients = (0..CONNECTIONS).map(|_| runtime.block_on(client())).collect();
        Rc::new(Self { runtime, clients })
    }

    /// A row for each, all at once, and so many times in a row.
    pub(super) fn upserts(self: &Rc<Self>, times: usize) -> Run {
        let writers = Rc::clone(self);
        Run::wall(move |n| {
            for _ in 0..n {
                let clients = writers.clients.iter().enumerate();
                let all = clients.map(async |(number, (client, statement))| {
                    for _ in 0..times {
                        upsert(client, statement, number).await;
                    }
                });
                writers.runtime.block_on(join_all(all));
            }
        })
    }
}

/// The keys of the rows that a read finds.
pub(super) fn keys(store: &PostgresStore, read: &ReadBatch) -> Vec<Vec<u8>> {
    let set = block_on(store.read(read)).expect("the server answers");
    let got = read.gets.iter().zip(&set.gets).filter(|(_, row)| row.is_some()).map(|(key, _)| key);
    let scanned = set.scans.iter().flat_map(|page| &page.rows).map(|(key, _)| key);
    got.chain(scanned).map(|key| key.as_bytes().to_vec()).collect()
}

async fn connect(database: &str) -> Client {
    let address = cluster::shared().address(database);
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.expect("the server runs");
    tokio::spawn(connection);
    client
}

async fn prepare(client: &Client) -> Statement {
    let table = "CREATE TABLE IF NOT EXISTS plain (k bytea PRIMARY KEY, v bytea NOT NULL)";
    client.batch_execute(table).await.expect("the table can be made");
    let upsert = "INSERT INTO plain (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
    client.prepare(upsert).await.expect("the table is there")
}

async fn upsert(client: &Client, statement: &Statement, number: usize) {
    let (key, value) = (format!("a key of the length that a value's has, {number:08}"), VALUE);
    let written = client.execute(statement, &[&key.as_bytes(), &value.as_bytes()]).await;
    assert_eq!(written.expect("the server answers"), 1);
}

/// One for each writer.
const CONNECTIONS: usize = WRITERS;
