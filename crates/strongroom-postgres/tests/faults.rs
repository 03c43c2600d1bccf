//! What becomes of batches when the server, the connection or the pool fails.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod cluster;
mod proxy;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom_postgres::{PostgresOptions, PostgresStore, RowLocks};
use strongroom_store::{
    Expect, Key, KeyRange, ReadBatch, RowRevision, Scan, Store, StoreError, StoreErrorKind, Versioned,
    WriteBatch,
};

use self::cluster::Cluster;
use self::proxy::Proxy;

fn key(text: impl Into<Vec<u8>>) -> Key {
    Key::from(text.into())
}

fn get(store: &PostgresStore, at: &Key) -> Result<Option<Versioned>, StoreError> {
    let request = ReadBatch { gets: vec![at.clone()], scans: Vec::new() };
    block_on(store.read(&request)).map(|mut set| set.gets.pop().unwrap())
}

fn put(
    store: &PostgresStore,
    at: &Key,
    expect: Option<Expect>,
    value: &[u8],
) -> Result<RowRevision, StoreError> {
    let mut batch = WriteBatch::default();
    if let Some(expect) = expect {
        batch.expect(at.clone(), expect);
    }
    batch.put(at.clone(), value.to_vec());
    block_on(store.commit(Arc::new(batch))).map(|committed| committed.revision)
}

#[test]
fn what_was_acknowledged_survives_a_server_killed_under_load() {
    let cluster = Cluster::start();
    let store = Arc::new(cluster.open(&cluster.database()));
    let begun = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
            thread::spawn(move || {
                let mut acknowledged = Vec::new();
                // Until the server is gone.
                for number in 0.. {
                    let at = key(format!("{writer}-{number}"));
                    begun.fetch_add(1, Ordering::Relaxed);
                    match put(&store, &at, Some(Expect::Absent), &[writer; 200]) {
                        Ok(revision) => acknowledged.push((at, revision)),
                        Err(error) => {
                            let kind = error.kind();
                            assert!(
                                matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate),
                                "{error:?}"
                            );
                            break;
                        }
                    }
                }
                acknowledged
            })
        })
        .collect();
    while begun.load(Ordering::Relaxed) < 200 {
        thread::yield_now();
    }
    cluster.kill();
    let acknowledged: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    assert!(!acknowledged.is_empty());

    cluster.restart();
    for (at, revision) in &acknowledged {
        let found = get(&store, at).unwrap();
        assert_eq!(found.map(|row| row.revision), Some(*revision), "an acknowledged batch is gone");
    }
}

#[test]
fn a_connection_cut_at_any_moment_of_a_commit_leaves_all_of_it_or_nothing_and_says_so() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let direct = cluster.open(&database);
    let mut outcomes = [0; 3];
    for cut in 0.. {
        let proxy = Proxy::start(cluster.socket_dir());
        let store = PostgresStore::open(&proxy.options(&database)).unwrap();
        // Its statements are prepared on this connection.
        put(
            &store,
            &key("warm"),
            Some(Expect::Revision(put(&direct, &key("warm"), None, b"0").unwrap())),
            b"1",
        )
        .unwrap();
        let (one, other) = (key(format!("{cut}-one")), key(format!("{cut}-other")));
        let mut batch = WriteBatch::default();
        for at in [&one, &other] {
            batch.expect(at.clone(), Expect::Absent);
            batch.put(at.clone(), b"value".to_vec());
        }
        proxy.cut_after(cut);
        let answer = block_on(store.commit(Arc::new(batch)));
        let was_cut = proxy.stop();
        drop(store);
        // The server may still be at work on what it got before the cut.
        cluster.await_end_of(&database, proxy::APPLICATION);
        let landed = [&one, &other].map(|at| get(&direct, at).unwrap().is_some());
        assert_eq!(landed[0], landed[1], "cut at {cut}: half a batch");
        match answer.map_err(|error| error.kind()) {
            Ok(_) => {
                assert!(landed[0], "cut at {cut}: acknowledged and not there");
                outcomes[0] += 1;
            }
            Err(StoreErrorKind::Unavailable) => {
                assert!(!landed[0], "cut at {cut}: said not to be applied, and is there");
                outcomes[1] += 1;
            }
            Err(kind) => {
                assert_eq!(kind, StoreErrorKind::Indeterminate, "cut at {cut}");
                outcomes[2] += 1;
            }
        }
        if !was_cut {
            break;
        }
    }
    // A cut behind the last message that the store waits for changes nothing.
    assert!(outcomes[0] > 0 && outcomes[2] > 5, "{outcomes:?}");
}

#[test]
fn a_read_whose_connection_was_cut_is_read_again() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(cluster.socket_dir());
    let store = PostgresStore::open(&proxy.options(&database)).unwrap();
    put(&store, &key("k"), None, b"value").unwrap();
    proxy.cut_after(0);
    assert!(get(&store, &key("k")).unwrap().is_some());
}

#[test]
fn a_read_whose_connection_was_cut_is_read_again_by_a_pool_that_has_no_other() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(cluster.socket_dir());
    let store = PostgresStore::open(&proxy.options(&database).connections_max(1)).unwrap();
    put(&store, &key("k"), None, b"value").unwrap();
    proxy.cut_after(0);
    assert!(get(&store, &key("k")).unwrap().is_some());
}

#[test]
fn a_pool_that_is_in_use_answers_unavailable_and_recovers() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(cluster.socket_dir());
    let options = proxy.options(&database).connections_max(1).connect_timeout(Duration::from_secs(6));
    let store = Arc::new(PostgresStore::open(&options).unwrap());
    put(&store, &key("k"), None, b"value").unwrap();
    proxy.hold();
    let waiting = {
        let store = Arc::clone(&store);
        thread::spawn(move || get(&store, &key("k")))
    };
    proxy.await_held();
    let refused = get(&store, &key("k")).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    proxy.release();
    assert!(waiting.join().unwrap().unwrap().is_some());
    assert!(get(&store, &key("k")).unwrap().is_some());
}

#[test]
fn a_server_that_does_not_answer_in_time_is_unavailable_or_the_batch_is_indeterminate() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::start(cluster.socket_dir());
    let options = proxy.options(&database).answer_timeout(Duration::from_millis(200));
    let options = options.connect_timeout(Duration::from_secs(20));
    let store = PostgresStore::open(&options).unwrap();
    proxy.hold();
    assert_eq!(get(&store, &key("k")).unwrap_err().kind(), StoreErrorKind::Unavailable);
    let batch = put(&store, &key("k"), None, b"other");
    assert!(batch.is_err());
    proxy.release();
}

#[test]
fn a_server_that_falls_silent_at_any_moment_of_the_opening_is_unavailable() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let mut opened = 0;
    for messages in (0..).step_by(5) {
        let proxy = Proxy::start(cluster.socket_dir());
        proxy.hold_after(messages);
        let timeout = Duration::from_millis(300);
        let options = proxy.options(&database).connect_timeout(timeout).answer_timeout(timeout);
        let (answer, answered) = std::sync::mpsc::channel();
        thread::spawn(move || answer.send(PostgresStore::open(&options)));
        match answered.recv_timeout(Duration::from_secs(60)).expect("it ends") {
            Ok(_) => opened += 1,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
        }
        // A busy machine may be too slow for so short a time, with nothing held.
        if opened == 2 || messages > 200 {
            break;
        }
    }
}

#[test]
fn a_client_that_falls_silent_in_the_middle_of_a_batch_holds_its_locks_for_its_answer_timeout_alone() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let direct = cluster.open(&database);
    let proxy = Proxy::start(cluster.socket_dir());
    // With shared locks a batch is one statement, which has no middle.
    let options = proxy.options(&database).row_locks(RowLocks::Exclusive);
    let store = PostgresStore::open(&options.answer_timeout(Duration::from_secs(1))).unwrap();
    // Its statements are prepared on the connection that answered; a slow server may have cost it another.
    while put(&store, &key("k"), None, b"value").is_err() {}
    // The beginning, and the lock: its parameters, its execution and its end.
    proxy.hold_after(4);
    assert_eq!(put(&store, &key("k"), None, b"other").unwrap_err().kind(), StoreErrorKind::Indeterminate);
    put(&direct, &key("k"), None, b"next").unwrap();
    assert_eq!(get(&direct, &key("k")).unwrap().unwrap().value, b"next");
}

#[test]
fn a_batch_whose_answer_nobody_waits_for_any_more_keeps_no_session() {
    let cluster = cluster::shared();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for row_locks in [RowLocks::Shared, RowLocks::Exclusive] {
        let database = cluster.database();
        let options = cluster.options(&database).row_locks(row_locks);
        let store = PostgresStore::open(&options.answer_timeout(Duration::from_secs(1))).unwrap();
        while put(&store, &key("k"), None, b"value").is_err() {}
        runtime.block_on(async {
            let address = cluster.address(&database);
            let (host, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            host.batch_execute("BEGIN; SELECT FROM strongroom.strongroom_rows FOR UPDATE").await.unwrap();
            let lost = put(&store, &key("k"), None, b"other").unwrap_err();
            assert_eq!(lost.kind(), StoreErrorKind::Indeterminate, "{row_locks:?}");
            // The row stays locked.
            let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() \
                           AND application_name = 'strongroom' AND wait_event_type = 'Lock'";
            let wait = "PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot()";
            let until = format!("DO $$ BEGIN WHILE EXISTS ({waiting}) LOOP {wait}; END LOOP; END $$");
            host.batch_execute("SET statement_timeout = '60s'").await.unwrap();
            host.batch_execute(&until).await.unwrap();
        });
    }
}

#[test]
fn no_server_no_database_and_no_user_are_unavailable_and_the_address_stays_hidden() {
    let cluster = cluster::shared();
    let dir = cluster.socket_dir().display();
    for address in [
        format!("host={dir} port=1 user=strongroom dbname=hunter2"),
        format!("host={dir} user=strongroom dbname=hunter2"),
        format!("host={dir} user=hunter2 dbname=postgres password=hunter2"),
    ] {
        let error = PostgresStore::open(&PostgresOptions::parse(&address).unwrap()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn tables_of_a_later_version_are_refused() {
    let cluster = cluster::shared();
    let database = cluster.database();
    cluster.open(&database);
    cluster.run(&database, "UPDATE strongroom.strongroom_schema SET version = 2");
    let error = PostgresStore::open(&cluster.options(&database)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
}

#[test]
fn a_server_that_may_lose_what_it_acknowledged_is_refused() {
    let cluster = cluster::shared();
    let database = cluster.database();
    cluster.run("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
    let error = PostgresStore::open(&cluster.options(&database)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("synchronous_commit"), "{error}");
}

#[test]
fn writers_of_one_row_on_two_handles_form_one_line_of_revisions() {
    for row_locks in [RowLocks::Shared, RowLocks::Exclusive] {
        write_one_row(&two_handles(row_locks));
    }
}

fn two_handles(row_locks: RowLocks) -> [Arc<PostgresStore>; 2] {
    let cluster = cluster::shared();
    let options = cluster.options(&cluster.database()).row_locks(row_locks);
    [0, 1].map(|_| Arc::new(PostgresStore::open(&options).unwrap()))
}

fn write_one_row(stores: &[Arc<PostgresStore>; 2]) {
    let at = key("contended");
    let first = put(&stores[0], &at, None, b"0").unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, at) = (Arc::clone(&stores[writer % 2]), at.clone());
            thread::spawn(move || {
                let mut steps = Vec::new();
                while steps.len() < 25 {
                    let row = get(&store, &at).unwrap().unwrap();
                    match put(&store, &at, Some(Expect::Revision(row.revision)), b"next") {
                        Ok(revision) => steps.push((row.revision, revision)),
                        Err(error) => assert!(
                            matches!(
                                error.kind(),
                                StoreErrorKind::Conflict { index: 0 } | StoreErrorKind::Contention
                            ),
                            "{error:?}"
                        ),
                    }
                }
                steps
            })
        })
        .collect();
    let mut steps: std::collections::HashMap<_, _> = std::collections::HashMap::new();
    for (before, after) in writers.into_iter().flat_map(|writer| writer.join().unwrap()) {
        assert!(steps.insert(before, after).is_none(), "two writes took the place of one");
    }
    // Every acknowledged write stands on the one before it: the history is linear, and nothing is lost.
    let (mut last, mut length) = (first, 0);
    while let Some(next) = steps.get(&last) {
        (last, length) = (*next, length + 1);
    }
    assert_eq!(length, 200);
    assert_eq!(get(&stores[0], &at).unwrap().unwrap().revision, last);
}

#[test]
fn of_two_batches_that_each_expect_what_the_other_writes_one_lands() {
    for row_locks in [RowLocks::Shared, RowLocks::Exclusive] {
        let stores = two_handles(row_locks);
        let rows = [key("one"), key("other")];
        for round in 0..50_u8 {
            let revisions = [0, 1].map(|row| put(&stores[0], &rows[row], None, &[round]).unwrap());
            let barrier = Barrier::new(2);
            let landed: usize = thread::scope(|threads| {
                let writers = [0, 1].map(|own| {
                    let mut batch = WriteBatch::default();
                    batch.expect(rows[own].clone(), Expect::Revision(revisions[own]));
                    batch.put(rows[1 - own].clone(), vec![round]);
                    let (store, barrier) = (&stores[own], &barrier);
                    threads.spawn(move || {
                        barrier.wait();
                        block_on(store.commit(Arc::new(batch)))
                    })
                });
                let answers = writers.map(|writer| writer.join().unwrap());
                answers.iter().filter(|answer| answer.is_ok()).count()
            });
            assert!(landed <= 1, "{row_locks:?}: each batch wrote what the other had expected to stay");
        }
    }
}

/// As the writers of one account do: some rewrite its row, others expect it, and each moves the org's generation.
#[test]
fn batches_of_two_processes_never_wait_for_each_other_in_a_circle() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let stores = [0, 1].map(|_| cluster.open(&database));
    let (account, generation) = (key("30 account"), key("04 generation"));
    put(&stores[0], &account, None, b"0").unwrap();
    put(&stores[0], &generation, None, b"0").unwrap();
    thread::scope(|threads| {
        for writer in 0..8_usize {
            let (store, account, generation) = (&stores[writer % 2], &account, &generation);
            threads.spawn(move || {
                for round in 0..50_u8 {
                    let mut batch = WriteBatch::default();
                    batch.expect(account.clone(), Expect::Exists);
                    let own = key(format!("20 value {writer}"));
                    batch.put(if writer < 4 { account.clone() } else { own }, vec![round]);
                    batch.put(generation.clone(), vec![round]);
                    block_on(store.commit(Arc::new(batch))).unwrap();
                }
            });
        }
    });
    drop(stores);
    // A session counts what it met when it ends, at the latest.
    cluster.await_end_of(&database, "strongroom");
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    assert_eq!(cluster.ask(&database, &deadlocks), ["0"]);
}

#[test]
fn a_scan_beside_writers_sees_each_batch_whole() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let store = Arc::new(cluster.open(&database));
    let writer = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            for number in 0..100_u8 {
                let mut batch = WriteBatch::default();
                for row in 0..20_u8 {
                    batch.put(key(vec![b'r', row]), vec![number]);
                }
                block_on(store.commit(Arc::new(batch))).unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let scan = || Scan::new(KeyRange::prefix(b"r"), 100);
        let request = ReadBatch { gets: vec![key(b"r\0".as_slice())], scans: vec![scan(), scan().reverse()] };
        let set = block_on(store.read(&request)).unwrap();
        let rows = set.scans.iter().flat_map(|page| page.rows.iter().map(|(_, row)| row));
        let mut revisions: Vec<_> = rows.chain(set.gets.iter().flatten()).map(|row| row.revision).collect();
        revisions.dedup();
        assert!(revisions.len() <= 1, "a read saw two batches");
    }
    writer.join().unwrap();
}
