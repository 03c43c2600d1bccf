//! Who comes in through a door, and what both sides see of each other.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom::{Environment, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_memory::MemoryStore;
use strongroom_socket::{DoorStore, SocketStore};
use strongroom_store::{Key, ReadBatch, Store, StoreErrorKind, WriteBatch};

fn own() -> DoorStore {
    DoorStore::new(Arc::new(MemoryStore::new()))
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

#[test]
fn each_side_sees_at_once_what_the_other_wrote() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let door = store.open_door(&socket).unwrap();
    block_on(async {
        let inside = Vault::create(store, unlock()).await.unwrap();
        let (inside_org, port) = (org(&inside), VariableDefinition::new("PORT", VarFormat::Integer));
        inside_org.define(port).await.unwrap();
        inside_org.set_value("PORT", Scope::Org, "1").await.unwrap();
        // Read here, so that what it takes to read is in the caches of the process that owns the store.
        inside_org.value("PORT", Scope::Org).await.unwrap();

        let outside = Vault::open(SocketStore::connect(&socket).unwrap(), unlock()).await.unwrap();
        let outside_org = org(&outside);
        outside_org.set_value("PORT", Scope::Org, "2").await.unwrap();
        let change = strongroom::DefinitionChange::new().name("LISTEN_PORT");
        outside_org.update_definition("PORT", change).await.unwrap();
        assert!(inside_org.definition("PORT").await.unwrap().is_none());
        let found = inside_org.value("LISTEN_PORT", Scope::Org).await.unwrap().unwrap();
        assert_eq!(found.value.expose(), "2");
        outside_org.rotate_keys().await.unwrap();
        inside_org.set_value("LISTEN_PORT", Scope::Org, "3").await.unwrap();
        assert_eq!(outside_org.value("LISTEN_PORT", Scope::Org).await.unwrap().unwrap().value.expose(), "3");
    });
    drop(door);
    assert!(!socket.exists());
}

#[test]
fn the_store_is_its_owners_alone_until_somebody_comes_in() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    assert!(!store.capabilities().shared);
    let outside = SocketStore::connect(&socket).unwrap();
    assert!(store.capabilities().shared && outside.capabilities().shared);
    drop(outside);
    assert!(store.capabilities().shared, "a cached row from before may be older than what was written");
}

#[test]
fn the_socket_is_its_owners_and_is_removed_with_the_door() {
    let place = tempfile::tempdir().unwrap();
    // Longer than the address of a socket may be.
    let deep = place.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    for directory in [place.path(), &deep] {
        let socket = directory.join("vault.sock");
        let store = own();
        let door = store.open_door(&socket).unwrap();
        assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        SocketStore::connect(&socket).unwrap();
        drop(door);
        assert_eq!(
            fs::read_dir(directory).unwrap().filter(|entry| entry.as_ref().unwrap().path() != deep).count(),
            0
        );
        assert_eq!(SocketStore::connect(&socket).unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
}

#[test]
fn what_was_left_is_replaced_and_what_was_planted_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let left = fs::symlink_metadata(&socket).unwrap().ino();
    let store = own();
    let door = store.open_door(&socket).unwrap();
    assert_ne!(fs::symlink_metadata(&socket).unwrap().ino(), left);
    drop(door);

    fs::write(place.path().join("notes"), "mine").unwrap();
    for plant in ["file", "link"] {
        match plant {
            "file" => fs::write(&socket, "mine").unwrap(),
            _ => symlink(place.path().join("notes"), &socket).unwrap(),
        }
        assert!(store.open_door(&socket).is_err(), "{plant}");
        assert!(SocketStore::connect(&socket).is_err(), "{plant}");
        fs::remove_file(&socket).unwrap();
    }
    assert_eq!(fs::read_to_string(place.path().join("notes")).unwrap(), "mine");
    // A link to the true socket is not the socket that was asked for either.
    let real = place.path().join("real.sock");
    let _door = store.open_door(&real).unwrap();
    symlink(&real, &socket).unwrap();
    assert!(SocketStore::connect(&socket).is_err());
}

#[test]
fn a_door_that_closes_ends_those_who_are_inside() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let door = store.open_door(&socket).unwrap();
    let outside = SocketStore::connect(&socket).unwrap();
    block_on(outside.read(&ReadBatch::default())).unwrap();
    drop(door);
    let refused = block_on(outside.read(&ReadBatch::default())).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
}

#[test]
fn a_connection_that_ended_with_its_door_keeps_no_call_from_the_next_door() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let door = store.open_door(&socket).unwrap();
    let outside = SocketStore::connect(&socket).unwrap();
    drop(door);
    let _door = store.open_door(&socket).unwrap();
    let mut batch = WriteBatch::default();
    batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
    block_on(outside.commit(Arc::new(batch))).unwrap();
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: vec![] };
    assert!(block_on(store.read(&request)).unwrap().gets[0].is_some());
}

#[test]
fn a_door_that_has_closed_holds_the_store_no_longer() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let inner = Arc::new(MemoryStore::new());
    // Whether a thread lets go in time would be luck.
    for _ in 0..200 {
        let store = DoorStore::new(inner.clone());
        let door = store.open_door(&socket).unwrap();
        let _outside: Vec<_> = (0..8).map(|_| SocketStore::connect(&socket).unwrap()).collect();
        drop((door, store));
        assert_eq!(Arc::strong_count(&inner), 1);
    }
}

#[test]
fn a_door_whose_socket_was_removed_closes_all_the_same() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let door = store.open_door(&socket).unwrap();
    let outside = SocketStore::connect(&socket).unwrap();
    fs::remove_file(&socket).unwrap();
    drop(door);
    assert_eq!(
        block_on(outside.read(&ReadBatch::default())).unwrap_err().kind(),
        StoreErrorKind::Unavailable
    );
}

#[test]
fn a_door_that_closes_leaves_the_socket_of_one_that_took_its_place() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let (old, new) = (own(), own());
    let before = old.open_door(&socket).unwrap();
    let _door = new.open_door(&socket).unwrap();
    drop(before);
    SocketStore::connect(&socket).unwrap();
}

/// Runs `work` on a thread of its own, and fails if it takes more than a minute.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(60)).expect("it is done within a minute")
}

fn call(stream: &UnixStream, bytes: &[u8]) {
    let mut stream = stream;
    stream.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(bytes).unwrap();
}

#[test]
fn connections_that_do_not_greet_are_ended_and_make_room() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    let silent: Vec<_> = (0..64).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let greeted = within_a_minute({
        let socket = socket.clone();
        move || SocketStore::connect(&socket).map(drop)
    });
    greeted.unwrap();
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is ended");
    }
}

#[test]
fn a_connection_that_does_not_come_to_the_end_of_its_greeting_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(&(1_u32 << 20).to_be_bytes()).unwrap();
    // Between two bytes it is never silent for long.
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    within_a_minute(move || {
        while stream.write_all(&[0]).is_ok() {
            let _ = stream.read_exact(&mut [0]);
        }
    });
}

#[test]
fn a_connection_that_greeted_may_pause() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    let greeted = SocketStore::connect(&socket).unwrap();
    let mut silent = UnixStream::connect(&socket).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It came later, so that the one before has paused for longer when it is ended.
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    block_on(greeted.read(&ReadBatch::default())).unwrap();
}

#[test]
fn a_door_that_closes_waits_five_seconds_for_who_does_not_read_his_answer() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let mut rows = WriteBatch::default();
    for row in 0_u8..64 {
        rows.put(Key::from(&[row][..]), vec![7; 64 << 10]);
    }
    block_on(store.commit(Arc::new(rows))).unwrap();
    let door = store.open_door(&socket).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    call(&stream, HELLO);
    // The welcome is read, and nothing of the answer after its first byte: more than a socket holds is on its way then.
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    stream.read_exact(&mut vec![0; u32::from_be_bytes(len) as usize]).unwrap();
    call(&stream, READ_ALL);
    stream.read_exact(&mut [0]).unwrap();
    let begun = Instant::now();
    within_a_minute(move || drop(door));
    assert!(begun.elapsed() >= Duration::from_millis(4_900), "it waits for an answer to be read");
    drop(stream);
}

fn answer(mut stream: &UnixStream) -> Vec<u8> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_connection_that_has_not_greeted_reads_nothing() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    let stream = UnixStream::connect(&socket).unwrap();
    call(&stream, HELLO_OF_ANOTHER_RELEASE);
    let refusal = answer(&stream);
    call(&stream, READ_ALL);
    assert_eq!(answer(&stream), refusal);
    assert!(!store.capabilities().shared);
}

#[test]
fn a_connection_that_has_not_greeted_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let store = own();
    let _door = store.open_door(&socket).unwrap();
    let stream = UnixStream::connect(&socket).unwrap();
    call(&stream, HELLO_OF_ANOTHER_RELEASE);
    let refusal = answer(&stream);
    call(&stream, PUT);
    assert_eq!(answer(&stream), refusal);
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: vec![] };
    assert_eq!(block_on(store.read(&request)).unwrap().gets, [None]);
}

#[test]
fn an_answer_with_fewer_rows_than_were_asked_for_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("vault.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answering = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        for said in [WELCOME, NO_ROWS] {
            answer(&stream);
            call(&stream, said);
        }
    });
    let store = SocketStore::connect(&socket).unwrap();
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: vec![] };
    assert_eq!(block_on(store.read(&request)).unwrap_err().kind(), StoreErrorKind::Unsupported);
    answering.join().unwrap();
}

/// Calls as they are sent: those of release 1 and of another one, a scan of all rows, and a put.
const HELLO: &[u8] = &[0x82, 0, 1];
const HELLO_OF_ANOTHER_RELEASE: &[u8] = &[0x82, 0, 2];
const READ_ALL: &[u8] = &[0x83, 1, 0x80, 0x81, 0x85, 0x40, 0xf6, 0x19, 0x03, 0xe8, 0xf4, 0xf4];
const PUT: &[u8] = &[0x83, 2, 0x80, 0x81, 0x82, 0x41, b'k', 0x41, b'v'];

/// Answers as they are sent: that to a greeting, with the limits of a store, and one without rows and pages.
const WELCOME: &[u8] = &[0x85, 0, 2, 0x18, 0x80, 0x1a, 0, 0x10, 0, 0, 0x1a, 0, 0x10, 0, 0];
const NO_ROWS: &[u8] = &[0x83, 0, 0x80, 0x80];
