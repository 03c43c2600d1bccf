//! Hints go from each process to every other that listens on the same tables, and say where some may be missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{Environment, Moved, RawKey, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_postgres::{Hint, PostgresHints, PostgresOptions};

fn told(text: &str) -> Option<Hint> {
    Some(Hint::Told(text.to_owned()))
}

#[test]
fn what_one_process_tells_every_one_hears_that_has_the_same_tables() {
    let cluster = cluster::shared();
    let options = cluster.options(&cluster.database());
    block_on(async {
        let (mut one, mut other) = (
            PostgresHints::connect(&options).await.unwrap(),
            PostgresHints::connect(&options).await.unwrap(),
        );
        let elsewhere = [options.clone().prefix("other_"), options.clone().schema("other")];
        let [prefix, schema] = elsewhere.map(Result::unwrap);
        let elsewhere = [PostgresHints::connect(&prefix).await, PostgresHints::connect(&schema).await];
        for text in ["", "6500a1b2c3d4e5f6a7b8c9d0 t\u{e9}st", "'; DROP TABLE x; --"] {
            one.tell(text).await.unwrap();
            assert_eq!((one.next().await, other.next().await), (told(text), told(text)));
        }
        assert!(one.tell(&"x".repeat(2_001)).await.is_err());
        for mut elsewhere in elsewhere.map(Result::unwrap) {
            // What comes first is its own: it heard nothing of the others.
            elsewhere.tell("own").await.unwrap();
            assert_eq!(elsewhere.next().await, told("own"));
        }
    });
}

#[test]
fn a_process_tells_the_others_which_org_moved() {
    let cluster = cluster::shared();
    let options = cluster.options(&cluster.database());
    block_on(async {
        let store = strongroom_postgres::PostgresStore::connect(&options).await.unwrap();
        let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
        let ours = PostgresHints::connect(&options).await.unwrap();
        let mut theirs = PostgresHints::connect(&options).await.unwrap();
        let mut watch = vault.watch();
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        org.define(VariableDefinition::new("V", VarFormat::String)).await.unwrap();
        let Some(Moved::Org { org, environment }) = watch.changed().await else {
            unreachable!("one org moved")
        };
        ours.tell(&format!("{org} {environment}")).await.unwrap();
        assert_eq!(theirs.next().await, told("6500a1b2c3d4e5f6a7b8c9d0 test"));
    });
}

#[test]
fn a_connection_that_is_lost_is_told_and_made_again() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let options = cluster.options(&database);
    block_on(async {
        let (mut one, mut other) = (
            PostgresHints::connect(&options).await.unwrap(),
            PostgresHints::connect(&options).await.unwrap(),
        );
        let others = "datname = current_database() AND pid <> pg_backend_pid()";
        cluster.run(
            &database,
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"),
        );
        assert_eq!((one.next().await, other.next().await), (Some(Hint::Gap), Some(Hint::Gap)));
        let listen = format!("SELECT count(*) FROM pg_stat_activity WHERE {others} AND query LIKE 'LISTEN%'");
        let wait = "PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot()";
        cluster.run(&database, &format!("DO $$ BEGIN WHILE ({listen}) < 2 LOOP {wait}; END LOOP; END $$"));
        one.tell("again").await.unwrap();
        assert_eq!(other.next().await, told("again"));
    });
}

#[test]
fn hints_that_come_faster_than_they_are_taken_leave_a_gap_that_is_told() {
    let cluster = cluster::shared();
    let options = cluster.options(&cluster.database());
    block_on(async {
        let mut slow = PostgresHints::connect(&options).await.unwrap();
        let mut quick = PostgresHints::connect(&options).await.unwrap();
        for number in 0..2_000 {
            quick.tell(&number.to_string()).await.unwrap();
            assert_eq!(quick.next().await, told(&number.to_string()));
        }
        let mut taken = 0;
        while let Some(Hint::Told(_)) = slow.next().await {
            taken += 1;
        }
        assert!(taken < 2_000, "as many as its queue holds");
        // Hints after the gap still arrive.
        quick.tell("again").await.unwrap();
        while slow.next().await != told("again") {}
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_unavailable_to_who_listens() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("host=127.0.0.1 port={} user=u", silent.local_addr().unwrap().port());
    let options = PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_millis(100));
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(block_on(PostgresHints::connect(&options)).map(drop)));
    let connected = answer.recv_timeout(Duration::from_secs(60)).expect("it does not wait for ever");
    assert_eq!(connected.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[test]
fn a_server_that_falls_silent_leaves_a_gap_that_is_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address =
        format!("host=127.0.0.1 port={} user=u sslmode=disable", silent.local_addr().unwrap().port());
    let options = PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_secs(2));
    thread::spawn(move || {
        for mut client in silent.incoming().map_while(Result::ok) {
            // It answers the login and the first statement, which is `LISTEN`.
            for answer in [b"R\0\0\0\x08\0\0\0\0".as_slice(), b"C\0\0\0\x0bLISTEN\0"] {
                let (mut sent, ready) = ([0; 1_024], b"Z\0\0\0\x05I");
                if client.read(&mut sent).is_ok_and(|len| len > 0) {
                    client.write_all(&[answer, ready].concat()).unwrap();
                }
            }
            thread::spawn(move || while client.read(&mut [0; 1_024]).is_ok_and(|len| len > 0) {});
        }
    });
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut hints = block_on(PostgresHints::connect(&options)).unwrap();
        block_on(hints.tell("lost")).unwrap();
        sender.send(block_on(hints.next()))
    });
    assert_eq!(answer.recv_timeout(Duration::from_secs(60)).expect("it is told"), Some(Hint::Gap));
}

#[test]
fn a_process_that_takes_no_hints_tells_on_after_its_connection_was_lost() {
    let cluster = cluster::shared();
    let database = cluster.database();
    let options = cluster.options(&database);
    block_on(async {
        let teller = PostgresHints::connect(&options).await.unwrap();
        let mut listener = PostgresHints::connect(&options).await.unwrap();
        // It hears its own: more than its queue holds.
        for number in 0..1_100 {
            teller.tell(&number.to_string()).await.unwrap();
            assert_eq!(listener.next().await, told(&number.to_string()));
        }
        let others = "datname = current_database() AND pid <> pg_backend_pid()";
        cluster.run(
            &database,
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"),
        );
        assert_eq!(listener.next().await, Some(Hint::Gap));
        let listen = format!("SELECT count(*) FROM pg_stat_activity WHERE {others} AND query LIKE 'LISTEN%'");
        let wait = "PERFORM pg_sleep(0.001); PERFORM pg_stat_clear_snapshot()";
        let both = format!("DO $$ BEGIN WHILE ({listen}) < 2 LOOP {wait}; END LOOP; END $$");
        cluster.run(&database, &format!("SET statement_timeout = '60s'; {both}"));
        teller.tell("again").await.unwrap();
        assert_eq!(listener.next().await, told("again"));
    });
}
