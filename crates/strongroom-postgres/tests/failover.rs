//! Several servers in one address, and what becomes of a store when another one of them takes the writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cluster;
mod proxy;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use strongroom_postgres::{PostgresOptions, PostgresStore};
use strongroom_store::{Key, ReadBatch, Store, StoreError, StoreErrorKind, WriteBatch};

use self::cluster::{Cluster, shared};
use self::proxy::Proxy;

fn put(store: &PostgresStore, key: &str) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key.as_bytes()), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).map(drop)
}

fn get(store: &PostgresStore, key: &str) -> bool {
    let request = ReadBatch { gets: vec![Key::from(key.as_bytes())], scans: Vec::new() };
    block_on(store.read(&request)).unwrap().gets.iter().all(Option::is_some)
}

/// The address of a database on these servers, in this order.
fn address(servers: &[&Cluster], database: &str, rest: &str) -> PostgresOptions {
    let dirs: Vec<_> = servers.iter().map(|server| server.socket_dir().display().to_string()).collect();
    let address = format!("host={} user=strongroom dbname={database} {rest}", dirs.join(","));
    PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_secs(60))
}

/// How many sessions of this name a server has.
fn sessions(server: &Cluster, name: &str) -> usize {
    let sessions = format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'");
    server.ask("postgres", &sessions).len()
}

#[test]
fn a_store_whose_server_became_read_only_writes_to_the_one_that_took_over() {
    let old = Cluster::start();
    let database = old.database();
    put(&old.open(&database), "before").unwrap();
    let new = old.standby();
    let options = address(&[&old, &new], &database, "target_session_attrs=read-write");
    let store = PostgresStore::open(&options.connections_max(4)).unwrap();
    std::thread::scope(|threads| {
        for writer in 0..4 {
            let store = &store;
            threads.spawn(move || put(store, &format!("{writer}")).unwrap());
        }
    });
    old.run("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    new.promote();
    old.run("postgres", "SELECT pg_reload_conf()");
    // Until the signal is there, the old server may still take some.
    let on_new = new.open(&database);
    let took_over = (0..10_000).find(|number| {
        put(&store, &format!("after {number}")).expect("no write is refused");
        get(&on_new, &format!("after {number}"))
    });
    took_over.expect("the new server takes the writes");
    for number in 0..20 {
        put(&store, &format!("later {number}")).unwrap();
        assert!(get(&on_new, &format!("later {number}")));
    }
}

#[test]
fn a_store_with_no_server_that_takes_writes_is_unavailable_and_recovers_by_itself() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = cluster.open(&database);
    put(&store, "before").unwrap();
    cluster.run("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    cluster.run("postgres", "SELECT pg_reload_conf()");
    let refused = (0..10_000).find_map(|_| put(&store, "k").err()).expect("the server takes no writes");
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    assert!(get(&store, "before"), "reads go on");
    cluster.run("postgres", "ALTER SYSTEM RESET ALL");
    cluster.run("postgres", "SELECT pg_reload_conf()");
    assert!((0..10_000).any(|_| put(&store, "after").is_ok()));
}

#[test]
fn a_server_that_accepts_a_connection_and_says_nothing_is_passed_over() {
    let database = shared().database();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let dir = shared().socket_dir().display();
    let address = format!(
        "host=127.0.0.1,{dir} port={port},5432 user=strongroom dbname={database} sslmode=disable connect_timeout=2"
    );
    let store = PostgresStore::open(&PostgresOptions::parse(&address).unwrap()).unwrap();
    put(&store, "k").unwrap();
}

#[test]
fn the_kind_of_server_that_the_address_asks_for_is_taken() {
    let primary = Cluster::start();
    let database = primary.database();
    put(&primary.open(&database), "k").unwrap();
    let standby = primary.standby();
    for (attributes, on_standby) in [
        ("any", false),
        ("primary", false),
        ("read-write", false),
        ("standby", true),
        ("read-only", true),
        ("prefer-standby", true),
    ] {
        let name = attributes.replace('-', "_");
        let rest = format!("target_session_attrs={attributes} mode=read-only application_name={name}");
        let store = PostgresStore::open(&address(&[&primary, &standby], &database, &rest)).unwrap();
        assert!(get(&store, "k"));
        let found = (sessions(&primary, &name), sessions(&standby, &name));
        assert_eq!(found, if on_standby { (0, 1) } else { (1, 0) }, "{attributes}");
    }
    let rest = "target_session_attrs=prefer-standby";
    put(&PostgresStore::open(&address(&[&primary], &database, rest)).unwrap(), "no standby").unwrap();
}

#[test]
fn a_connection_is_used_no_longer_than_its_greatest_age() {
    let database = shared().database();
    for (age, connections) in [(Duration::from_secs(600), 1), (Duration::ZERO, 6)] {
        let proxy = Proxy::start(shared().socket_dir());
        let store = PostgresStore::open(&proxy.options(&database).connection_age_max(age)).unwrap();
        for number in 0..5 {
            put(&store, &format!("{number}")).unwrap();
        }
        assert_eq!(proxy.connections(), connections, "{age:?}");
    }
}

#[test]
fn a_standby_that_applies_before_the_answer_shows_every_acknowledged_write() {
    let primary = Cluster::start();
    let database = primary.database();
    put(&primary.open(&database), "before").unwrap();
    let standby = primary.standby();
    primary.run("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.run("postgres", "SELECT pg_reload_conf()");
    let is_sync = "EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
    let wait = "PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot()";
    primary.run("postgres", &format!("DO $$ BEGIN WHILE NOT {is_sync} LOOP {wait}; END LOOP; END $$"));
    let rest = "options='-c synchronous_commit=remote_apply'";
    let writer = PostgresStore::open(&address(&[&primary], &database, rest)).unwrap();
    let reader = PostgresStore::open(&address(&[&standby], &database, "mode=read-only")).unwrap();
    for number in 0..300 {
        put(&writer, &format!("{number}")).unwrap();
        assert!(get(&reader, &format!("{number}")), "{number} is not there yet");
    }
}
