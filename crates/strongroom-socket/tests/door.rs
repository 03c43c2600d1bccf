//! Who comes in through a door, and what both sides see of each other.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{Environment, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_memory::MemoryStore;
use strongroom_socket::{DoorStore, SocketStore};
use strongroom_store::{ReadBatch, Store, StoreErrorKind};

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
