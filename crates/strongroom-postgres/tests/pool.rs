//! The store on a pool of the host's, which also reaches the server through PgBouncer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bouncer;
mod cluster;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use futures_executor::block_on;
use strongroom_postgres::{PostgresOptions, PostgresStore};
use strongroom_store::{Key, ReadBatch, Store, StoreError, StoreErrorKind, WriteBatch};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use self::bouncer::Bouncer;
use self::cluster::shared;

/// What drives the host.
fn host() -> &'static Runtime {
    static HOST: OnceLock<Runtime> = OnceLock::new();
    HOST.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

fn pool(address: &str, connections: usize) -> Pool {
    Pool::builder(Manager::new(address.parse().unwrap(), NoTls)).max_size(connections).build().unwrap()
}

fn open(pool: &Pool, options: &str) -> Result<PostgresStore, StoreError> {
    host().block_on(PostgresStore::from_pool(pool.clone(), &PostgresOptions::parse(options)?))
}

mod on_a_pool_of_the_host {
    use super::{open, pool, shared};

    strongroom_conformance::store_tests!(shared().database(), |database: &String| {
        open(&pool(&shared().address(database), 3), "")
    });
}

mod on_a_pool_through_a_transaction_pooler {
    use std::sync::OnceLock;

    use super::{Bouncer, open, pool, shared};

    fn bouncer() -> &'static Bouncer {
        static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
        BOUNCER.get_or_init(|| {
            Bouncer::start(shared(), "transaction", &["default_pool_size=3", "server_idle_timeout=1"])
        })
    }

    strongroom_conformance::store_tests!(shared().database(), |database: &String| {
        open(&pool(&bouncer().address(database), 3), "prepare=unnamed")
    });
}

fn put(store: &PostgresStore) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).map(drop)
}

fn get(store: &PostgresStore) -> Result<bool, StoreError> {
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: Vec::new() };
    Ok(block_on(store.read(&request))?.gets.iter().all(Option::is_some))
}

#[test]
fn a_closed_store_leaves_the_pool_to_its_host() {
    let pool = pool(&shared().address(&shared().database()), 2);
    let store = open(&pool, "schema=secrets prefix=app_").unwrap();
    put(&store).unwrap();
    block_on(store.close()).unwrap();
    assert_eq!(put(&store).unwrap_err().kind(), StoreErrorKind::Closed);
    host().block_on(async {
        let client = pool.get().await.unwrap();
        let rows: i64 = client.query_one("SELECT count(*) FROM secrets.app_rows", &[]).await.unwrap().get(0);
        assert_eq!(rows, 1);
    });
}

#[test]
fn a_pooler_that_keeps_no_statements_is_found_on_a_pool_too() {
    let bouncer = Bouncer::start(shared(), "transaction", &["default_pool_size=3", "server_round_robin=1"]);
    let pool = pool(&bouncer.address(&shared().database()), 4);
    let refused = open(&pool, "").unwrap_err();
    assert!(refused.to_string().contains("prepare=unnamed"), "{refused}");
    put(&open(&pool, "prepare=unnamed").unwrap()).unwrap();
}

#[test]
fn what_a_host_set_up_otherwise_has_an_error_of_its_own_and_nothing_is_lost() {
    let database = shared().database();
    let address = shared().address(&database);
    let refused = open(&pool(&address, 1), "host=elsewhere").unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    assert!(refused.to_string().contains("the pool decides"), "{refused}");

    // Each connection of the pool is in use by the host.
    let busy = pool(&address, 1);
    let options = PostgresOptions::parse("").unwrap().connect_timeout(Duration::from_millis(20));
    let store = host().block_on(PostgresStore::from_pool(busy.clone(), &options)).unwrap();
    let held = host().block_on(busy.get()).unwrap();
    let refused = put(&store).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
    drop(held);
    put(&store).unwrap();

    // A limit on statements that a batch meets while another transaction holds its row.
    let limited = open(&pool(&format!("{address} options='-c statement_timeout=50ms'"), 2), "").unwrap();
    host().block_on(async {
        let client = busy.get().await.unwrap();
        client.batch_execute("BEGIN; SELECT FROM strongroom.strongroom_rows FOR UPDATE").await.unwrap();
        let refused = tokio::task::block_in_place(|| put(&limited)).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
        client.batch_execute("ROLLBACK").await.unwrap();
    });
    put(&limited).unwrap();
    assert!(get(&limited).unwrap() && get(&store).unwrap());

    // A role that may only read.
    let grants = "CREATE ROLE pool_reader LOGIN; GRANT USAGE ON SCHEMA strongroom TO pool_reader; \
                  GRANT SELECT ON ALL TABLES IN SCHEMA strongroom TO pool_reader";
    shared().run(&database, grants);
    let reader =
        open(&pool(&address.replace("user=strongroom", "user=pool_reader"), 2), "mode=read-only").unwrap();
    assert!(get(&reader).unwrap());
    assert_eq!(put(&reader).unwrap_err().kind(), StoreErrorKind::Unsupported);
}
