//! Settings of a vault hold for every engine, also for one that was open before, and go where the vault goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use futures_executor::block_on;
use strongroom::store::{Capabilities, Key, RowRevision, Store, StoreErrorKind};
use strongroom::{Backup, Error, RootRotation, Scope, Settings, Vault, VaultOptions};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Altered, Hooked, Kind, Point, RowKey, furnished, load, open, org, rows, sound, unlock, verbs,
};

fn keep_generations(vault: &Vault) {
    block_on(vault.change_settings(|settings| settings.generations = true)).unwrap();
}

fn keeps_generations(vault: &Vault) -> bool {
    block_on(vault.settings()).unwrap().generations
}

fn moved(store: &impl Store) -> bool {
    rows(store).keys().any(|key| RowKey::parse(key).kind == Kind::Generation)
}

#[test]
fn a_batch_that_was_planned_under_other_settings_is_planned_again() {
    let base = furnished();
    for verb in verbs().into_iter().filter(|verb| !verb.name.contains("record")) {
        let store = load(&base);
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let vault = open(hooked.clone());
        let other = Arc::clone(&store);
        hooked.once(Point::BeforeCommit, move || keep_generations(&open(other)));
        block_on(verb.run(org(&vault))).unwrap();
        assert_eq!(hooked.hooks_left(), 0);
        assert!(moved(&store), "{} left the former settings in force", verb.name);
        sound(&store);
    }
}

#[test]
fn settings_are_those_of_the_vault_and_not_of_who_opens_it() {
    let mut settings = Settings::default();
    settings.generations = true;
    let store = Arc::new(MemoryStore::new());
    let options = || VaultOptions::default().settings(settings);
    let vault = block_on(options().create(Arc::clone(&store), unlock())).unwrap();
    assert!(keeps_generations(&vault) && keeps_generations(&open(Arc::clone(&store))));
    let without = load(&furnished());
    assert!(!keeps_generations(&block_on(options().open(without, unlock())).unwrap()));
}

#[test]
fn settings_go_where_the_vault_goes() {
    let vault = open(load(&furnished()));
    keep_generations(&vault);
    let _rotation = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    assert!(keeps_generations(&vault), "after a rotation of the root");

    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();
    let backup = || block_on(Backup::open(Cursor::new(file.clone()), unlock())).unwrap();
    let stores = [(); 3].map(|()| Arc::new(MemoryStore::new()));
    let [replaced, new, copied] = &stores;
    let replaced = block_on(backup().replace_original(Arc::clone(replaced), |_| ())).unwrap();
    let new = block_on(backup().restore_as_new(Arc::clone(new), unlock(), |_| ())).unwrap();
    block_on(vault.copy_to(copied, |_| ())).unwrap();
    let copied = open(Arc::clone(copied));
    for (vault, store) in [replaced, new, copied].iter().zip(&stores) {
        assert!(keeps_generations(vault));
        block_on(org(vault).set_value("V", Scope::Org, "after")).unwrap();
        assert!(moved(store));
    }
}

#[test]
fn settings_that_are_already_as_they_should_be_are_not_written_again() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    keep_generations(&vault);
    let before = rows(&store);
    keep_generations(&vault);
    assert!(rows(&store) == before);
}

#[test]
fn two_who_change_settings_at_once_lose_no_change() {
    let store = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let vault = open(hooked.clone());
    let other = Arc::clone(&store);
    hooked.once(Point::BeforeCommit, move || keep_generations(&open(other)));
    // It changes nothing by itself, and so must not undo what the other did.
    let seen = std::cell::Cell::new(0);
    block_on(vault.change_settings(|settings| {
        seen.set(seen.get() + 1);
        settings.generations = !settings.generations;
    }))
    .unwrap();
    assert_eq!(seen.get(), 2, "decided again on what the other left");
    assert!(!keeps_generations(&vault));
}

#[test]
fn a_change_that_landed_is_no_failure_if_nothing_can_be_read_afterwards() {
    let store = Faulty::new(load(&furnished()));
    let vault = open(store.clone());
    // The next read is that of the present settings.
    let after = store.reads_len() + 1;
    drop(store.clone().on_reads(after.., Fault::Before(StoreErrorKind::Unavailable)));
    keep_generations(&vault);
    assert!(keeps_generations(&open(store.reopen())));
}

/// A header that the store shows as it was lets no batch land under settings that this engine knows to be over.
#[test]
fn a_header_that_is_put_back_hides_no_settings_from_who_reads_the_store_row() {
    type Look = fn(&Vault);
    let looks: [Look; 5] = [
        |vault| assert!(block_on(vault.settings()).unwrap().audit),
        |vault| assert!(block_on(vault.mark()).is_ok()),
        |vault| assert!(block_on(vault.slots().list()).is_ok()),
        |vault| {
            vault.lock();
            block_on(vault.unlock(unlock())).unwrap();
        },
        |vault| {
            org(vault).lock();
            block_on(org(vault).unlock(unlock())).unwrap();
        },
    ];
    for look in looks {
        let store = load(&furnished());
        let vault = open(with_fixed_header(Arc::clone(&store)));
        block_on(open(Arc::clone(&store)).change_settings(|settings| settings.audit = true)).unwrap();
        look(&vault);
        block_on(org(&vault).set_value("V", Scope::Org, "after")).unwrap();
        let is_event = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Event;
        assert_eq!(rows(&store).keys().filter(|key| is_event(key)).count(), 1);
    }
}

/// A store that shows the header at the revision at which it was first read, whatever becomes of it.
fn with_fixed_header(store: Arc<MemoryStore>) -> Altered {
    let is_header = |key: &Key| RowKey::parse(key.as_bytes()).kind == Kind::Header;
    let revision = OnceLock::<RowRevision>::new();
    let store = Altered::of(store).declared(Capabilities::with_sharing).on_read(move |request, set| {
        let headers = request.gets.iter().zip(&mut set.gets).filter(|(key, _)| is_header(key));
        for row in headers.filter_map(|(_, row)| row.as_mut()) {
            row.revision = *revision.get_or_init(|| row.revision);
        }
    });
    store.on_commit(move |batch| {
        batch.expect.retain(|(key, _)| !is_header(key));
        Ok(())
    })
}

#[test]
fn a_retired_vault_refuses_other_settings_and_a_locked_one_too() {
    let vault = open(load(&furnished()));
    vault.lock();
    let change = |vault: &Vault| block_on(vault.change_settings(|settings| settings.generations = true));
    assert!(matches!(change(&vault), Err(Error::Locked)));
    block_on(vault.unlock(unlock())).unwrap();
    block_on(vault.copy_to(&Arc::new(MemoryStore::new()), |_| ())).unwrap();
    assert!(matches!(change(&vault), Err(Error::Retired)));
}

#[test]
fn a_first_key_after_a_change_that_this_engine_made_itself_loses_no_race() {
    let store = Faulty::new(crate::rig::load(&crate::rig::furnished()));
    let vault = crate::rig::open(store.clone());
    let org = crate::rig::org(&vault);
    for account in ["new", "newer"] {
        futures_executor::block_on(vault.check_writes()).unwrap();
        let commits = store.commits_len();
        futures_executor::block_on(org.set_value("S", crate::rig::of_account(account), "s")).unwrap();
        assert_eq!(store.commits_len() - commits, 1);
    }
}
