//! Nodes that are killed, paused and cut off, answers that are lost, and requests that are too large.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod cluster;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom::{Environment, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_etcd::{EtcdOptions, EtcdStore};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_store::{Expect, Key, ReadBatch, Store, StoreError, StoreErrorKind, WriteBatch};

use self::cluster::{leader, node, only, options, prefix};

/// What is done to nodes is done by one test at a time, on a cluster that is whole before and after.
fn alone() -> MutexGuard<'static, ()> {
    static NODES: Mutex<()> = Mutex::new(());
    let guard = NODES.lock().unwrap_or_else(PoisonError::into_inner);
    leader(&[1, 2, 3]);
    guard
}

fn open(options: &EtcdOptions, prefix: &str) -> EtcdStore {
    EtcdStore::open(&options.clone().prefix(prefix)).unwrap()
}

fn put(store: &EtcdStore, key: &str, value: &str) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key.as_bytes()), value.into());
    block_on(store.commit(Arc::new(batch))).map(drop)
}

fn get(store: &EtcdStore, key: &str) -> Result<Option<String>, StoreError> {
    let request = ReadBatch { gets: vec![Key::from(key.as_bytes())], scans: vec![] };
    let row = block_on(store.read(&request))?.gets.remove(0);
    Ok(row.map(|row| String::from_utf8(row.value).unwrap()))
}

#[test]
fn a_killed_leader_loses_nothing_that_was_acknowledged() {
    let _alone = alone();
    let store = open(&options(), &prefix());
    let is_over = AtomicBool::new(false);
    let acknowledged = thread::scope(|threads| {
        let write = |writer: usize| {
            let (store, is_over) = (&store, &is_over);
            move || {
                let mut last = None;
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    match put(store, &format!("{writer}"), &format!("{number}")) {
                        Ok(()) => last = Some(number),
                        Err(error) => assert!(
                            matches!(
                                error.kind(),
                                StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate
                            ),
                            "{error:?}"
                        ),
                    }
                }
                (writer, last.expect("something was written"))
            }
        };
        let writers: Vec<_> = (0..8).map(|writer| threads.spawn(write(writer))).collect();
        for round in 0..3 {
            let led = leader(&[1, 2, 3]);
            node("kill", led);
            let started = Instant::now();
            while put(&store, "next", &format!("{round}")).is_err() {}
            println!("next write {} ms after kill -9 of the leader", started.elapsed().as_millis());
            node("start", led);
        }
        leader(&[1, 2, 3]);
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<BTreeMap<_, i32>>()
    });
    for (writer, last) in acknowledged {
        // What was written last, or a later one whose answer was lost.
        let found: i32 = get(&store, &format!("{writer}")).unwrap().unwrap().parse().unwrap();
        assert!(found >= last, "writer {writer} was told {last}, and {found} is there");
    }
}

#[test]
fn a_node_that_is_cut_off_serves_nothing_stale_and_takes_no_write() {
    let _alone = alone();
    // A follower and a leader.
    for is_leader in [false, true] {
        let led = leader(&[1, 2, 3]);
        let lost = if is_leader { led } else { led % 3 + 1 };
        let others: Vec<_> = (1..=3).filter(|number| *number != lost).collect();
        let prefix = prefix();
        let cut_off = open(&only(&[lost]), &prefix);
        put(&cut_off, "k", "before").unwrap();
        node("cut", lost);
        let started = Instant::now();
        let majority = (0..10).find_map(|_| EtcdStore::open(&only(&others).prefix(&prefix)).ok());
        let majority = majority.expect("the others elect a leader");
        while put(&majority, "k", "after").is_err() {}
        println!("next write {} ms after the cut, leader: {is_leader}", started.elapsed().as_millis());
        let stale = get(&cut_off, "k");
        assert_eq!(stale.unwrap_err().kind(), StoreErrorKind::Unavailable, "leader: {is_leader}");
        let refused = put(&cut_off, "l", "v").unwrap_err().kind();
        assert!(
            matches!(refused, StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate),
            "{refused:?}"
        );
        // One that knows all nodes passes the lost one over.
        let mut order = vec![lost];
        order.extend(&others);
        let all =
            EtcdStore::open(&only(&order).prefix(&prefix).answer_timeout(Duration::from_secs(2))).unwrap();
        assert_eq!(get(&all, "k").unwrap().as_deref(), Some("after"));
        put(&all, "k", "later").unwrap();
        node("mend", lost);
        leader(&[1, 2, 3]);
        assert_eq!(get(&cut_off, "k").unwrap().as_deref(), Some("later"));
    }
}

#[test]
fn a_leader_that_was_paused_answers_with_what_was_written_meanwhile() {
    let _alone = alone();
    for round in 0..3 {
        let led = leader(&[1, 2, 3]);
        let others: Vec<_> = (1..=3).filter(|number| *number != led).collect();
        let prefix = prefix();
        let (paused, majority) = (open(&only(&[led]), &prefix), open(&only(&others), &prefix));
        put(&paused, "k", "before").unwrap();
        node("pause", led);
        while put(&majority, "k", "after").is_err() {}
        node("resume", led);
        // It takes itself for the leader still, or an error says that it does not any more.
        let found = (0..1_000).find_map(|_| get(&paused, "k").ok());
        assert_eq!(found.unwrap().as_deref(), Some("after"), "round {round}");
    }
}

/// Passes calls on to a node, and, while it is set to, no answer back.
struct Proxy {
    address: String,
    loses_answers: Arc<AtomicBool>,
}

impl Proxy {
    fn start(to: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let loses_answers = Arc::new(AtomicBool::new(false));
        let loses = Arc::clone(&loses_answers);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (loses, node) = (Arc::clone(&loses), TcpStream::connect(to).unwrap());
                let (there, back) = (client.try_clone().unwrap(), node.try_clone().unwrap());
                thread::spawn(move || pass_on(there, node, &AtomicBool::new(false)));
                thread::spawn(move || pass_on(back, client, &loses));
            }
        });
        Self { address, loses_answers }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, loses: &AtomicBool) {
    let mut bytes = [0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if loses.load(Ordering::Relaxed) || to.write_all(bytes.get(..len).unwrap()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[test]
fn a_write_whose_answer_is_lost_is_indeterminate_and_a_read_asks_the_next_node() {
    let _alone = alone();
    let proxy = Proxy::start("127.0.0.1:2379");
    let prefix = prefix();
    let store = open(&EtcdOptions::new([proxy.address.as_str(), cluster::NODES[1]]), &prefix);
    put(&store, "k", "before").unwrap();
    proxy.loses_answers.store(true, Ordering::Relaxed);
    assert_eq!(put(&store, "k", "after").unwrap_err().kind(), StoreErrorKind::Indeterminate);
    assert_eq!(get(&store, "k").unwrap().as_deref(), Some("after"));
    put(&store, "k", "to the next node").unwrap();
    assert_eq!(get(&open(&options(), &prefix), "k").unwrap().as_deref(), Some("to the next node"));
}

#[test]
fn a_vault_loses_no_write_to_lost_answers() {
    let _alone = alone();
    let proxy = Proxy::start("127.0.0.1:2379");
    let store = open(&EtcdOptions::new([proxy.address.as_str(), cluster::NODES[1]]), &prefix());
    let vault = block_on(Vault::create(store, unlock())).unwrap();
    block_on(org(&vault).define(VariableDefinition::new("V", VarFormat::String))).unwrap();
    for number in 0..20 {
        proxy.loses_answers.store(number % 2 == 0, Ordering::Relaxed);
        block_on(org(&vault).set_value("V", Scope::Org, format!("{number}"))).unwrap();
        assert_eq!(value(&vault), format!("{number}"));
    }
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

fn value(vault: &Vault) -> String {
    let value = block_on(org(vault).value("V", Scope::Org)).unwrap();
    value.unwrap().value.expose().to_owned()
}

#[test]
fn a_vault_moves_from_memory_to_etcd_and_on_to_redb() {
    let _alone = alone();
    let vault = block_on(Vault::create(MemoryStore::new(), unlock())).unwrap();
    block_on(org(&vault).define(VariableDefinition::new("V", VarFormat::String))).unwrap();
    for number in 0..300 {
        let scope = Scope::LinkedAccount(format!("user_{number}").parse().unwrap());
        block_on(org(&vault).set_value("V", scope, "x".repeat(number * 100))).unwrap();
    }
    block_on(org(&vault).set_value("V", Scope::Org, "moved")).unwrap();
    let etcd = Arc::new(open(&options(), &prefix()));
    block_on(vault.copy_to(&etcd, |_| ())).unwrap();
    let vault = block_on(Vault::open(etcd, unlock())).unwrap();
    assert!(value(&vault) == "moved" && block_on(vault.verify()).unwrap().is_clean());
    let redb = Arc::new(RedbStore::temporary().unwrap());
    block_on(vault.copy_to(&redb, |_| ())).unwrap();
    let vault = block_on(Vault::open(redb, unlock())).unwrap();
    assert!(value(&vault) == "moved" && block_on(vault.verify()).unwrap().is_clean());
}

#[test]
fn the_largest_batch_fits_the_cluster_and_a_larger_one_is_refused_before_it_is_sent() {
    let _alone = alone();
    let store = open(&options(), &"p".repeat(64));
    let full = |ops: usize, bytes: usize| {
        let mut batch = WriteBatch::default();
        for number in 0..ops {
            let key = Key::from(format!("{number:04}{}", "k".repeat(1_020)).as_bytes());
            // One by one, as etcd compares them all.
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, vec![7; bytes / ops - 1_024]);
        }
        block_on(store.commit(Arc::new(batch)))
    };
    let limits = store.capabilities();
    full(limits.batch_ops_max, limits.batch_bytes_max).unwrap();
    assert_eq!(
        full(limits.batch_ops_max, 1 << 20).unwrap_err().kind(),
        StoreErrorKind::Conflict { index: 0 }
    );
    for (ops, bytes) in [(limits.batch_ops_max + 1, 1 << 19), (100, limits.batch_bytes_max + 1_000)] {
        assert_eq!(full(ops, bytes).unwrap_err().kind(), StoreErrorKind::TooLarge, "{ops} {bytes}");
    }
}

#[test]
fn addresses_and_prefixes_that_cannot_be_are_refused_and_a_cluster_that_is_not_there_is_unavailable() {
    let refusal = |options: &EtcdOptions| EtcdStore::open(options).unwrap_err().kind();
    for addresses in [vec![], vec!["127.0.0.1:2379"]] {
        assert_eq!(refusal(&EtcdOptions::new(addresses)), StoreErrorKind::Unsupported);
    }
    // These nodes do not speak TLS.
    let over_tls =
        if cfg!(feature = "tls") { StoreErrorKind::Unavailable } else { StoreErrorKind::Unsupported };
    assert_eq!(refusal(&EtcdOptions::new(["https://127.0.0.1:2379"])), over_tls);
    for prefix in [String::new(), "p".repeat(65)] {
        assert_eq!(refusal(&options().prefix(prefix)), StoreErrorKind::Unsupported);
    }
    assert_eq!(refusal(&EtcdOptions::new(["http://127.0.0.1:1"])), StoreErrorKind::Unavailable);
}
