//! A batch that changes a row gets it, whoever shares the row without a pause.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom_postgres::PostgresStore;
use strongroom_store::{Expect, Key, RowRevision, Store, StoreError, WriteBatch};
use tokio_postgres::NoTls;

use self::cluster::shared;

/// Those that hold a row in common, each for a moment and then again at once: at every instant somebody does.
struct Sharers {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Sharers {
    fn start(database: &str) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..SHARERS).map(|_| {
            let (address, stop, rounds) =
                (shared().address(database), Arc::clone(&stop), Arc::clone(&rounds));
            thread::spawn(move || share(&address, &stop, &rounds))
        });
        let sharers = Self { threads: threads.collect(), stop, rounds };
        while sharers.rounds.load(Ordering::SeqCst) < SHARERS {
            thread::yield_now();
        }
        sharers
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.rounds.load(Ordering::SeqCst)
    }
}

fn share(address: &str, stop: &AtomicBool, rounds: &AtomicUsize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
        tokio::spawn(connection);
        let round = "BEGIN; SELECT FROM strongroom.strongroom_rows FOR SHARE; SELECT pg_sleep(0.02); COMMIT";
        while !stop.load(Ordering::SeqCst) {
            client.batch_execute(round).await.unwrap();
            rounds.fetch_add(1, Ordering::SeqCst);
        }
    });
}

fn change(store: &PostgresStore, expect: Option<RowRevision>) -> Result<RowRevision, StoreError> {
    let at = Key::from(b"shared".as_slice());
    let mut batch = WriteBatch::default();
    batch.expect(at.clone(), expect.map_or(Expect::Absent, Expect::Revision));
    batch.put(at, b"value".to_vec());
    block_on(store.commit(Arc::new(batch))).map(|committed| committed.revision)
}

#[test]
fn a_batch_that_changes_a_row_gets_it_while_others_share_it_without_a_pause() {
    let database = shared().database();
    let store = shared().open(&database);
    let mut revision = change(&store, None).unwrap();
    let sharers = Sharers::start(&database);
    let begun = Instant::now();
    for _ in 0..3 {
        revision = change(&store, Some(revision)).unwrap();
    }
    let took = begun.elapsed();
    // Three waits of half a second, each with its fence. The server itself would let it wait for ever.
    assert!(took < Duration::from_secs(20), "{took:?}");
    // They were held off for moments alone.
    assert!(sharers.stop() > 3 * SHARERS);
}

#[test]
fn a_store_whose_connections_all_wait_for_shared_rows_gets_them() {
    for connections in [1_u8, 2] {
        let database = shared().database();
        let options = shared().options(&database).connections_max(connections.into());
        let store = PostgresStore::open(&options).unwrap();
        let rows: Vec<Key> = (0..connections).map(|row| Key::from(vec![row])).collect();
        let put = |row: &Key, expect: Expect| {
            let mut batch = WriteBatch::default();
            batch.expect(row.clone(), expect);
            batch.put(row.clone(), b"value".to_vec());
            block_on(store.commit(Arc::new(batch))).unwrap();
        };
        rows.iter().for_each(|row| put(row, Expect::Absent));
        let sharers = Sharers::start(&database);
        let begun = Instant::now();
        thread::scope(|scope| {
            for row in &rows {
                scope.spawn(|| put(row, Expect::Exists));
            }
        });
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{connections}: {took:?}");
        assert!(sharers.stop() > SHARERS);
    }
}

#[test]
fn a_row_that_one_transaction_holds_for_long_stops_the_writers_of_others_for_moments_alone() {
    let database = shared().database();
    let store = Arc::new(shared().open(&database));
    let revision = change(&store, None).unwrap();
    let (held, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let host = {
        let (address, held, release) = (shared().address(&database), Arc::clone(&held), Arc::clone(&release));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
                tokio::spawn(connection);
                let hold = "BEGIN; SELECT FROM strongroom.strongroom_rows FOR UPDATE";
                client.batch_execute(hold).await.unwrap();
                held.store(true, Ordering::SeqCst);
                while !release.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                client.batch_execute("ROLLBACK").await.unwrap();
            });
        })
    };
    while !held.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let waiting = {
        let store = Arc::clone(&store);
        thread::spawn(move || change(&store, Some(revision)))
    };
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(4) {
        let write = Instant::now();
        let mut batch = WriteBatch::default();
        batch.put(Key::from(b"another".as_slice()), b"value".to_vec());
        block_on(store.commit(Arc::new(batch))).unwrap();
        longest = longest.max(write.elapsed());
    }
    assert!(!waiting.is_finished());
    // The longest fence, and a busy machine.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    release.store(true, Ordering::SeqCst);
    host.join().unwrap();
    waiting.join().unwrap().unwrap();
}

const SHARERS: usize = 8;
