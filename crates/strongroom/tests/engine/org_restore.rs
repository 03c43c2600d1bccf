//! The restore of an org into a vault in use, cut short: until it is finished or deleted, nobody else gets at the org.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store, StoreErrorKind};
use strongroom::{Backup, Cause, Error, OrgId, PageRequest, RawKey, RestoreSummary, Scope, Unlock, Vault};
use strongroom_conformance::{Fault, Faulty, crash_at_every_commit};

use crate::rig::{
    Altered, Hooked, Point, empty, fill, furnished, load, open, org, rows, sound, text, unlock, view,
};

fn other() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([9; 32]))
}

fn id() -> OrgId {
    crate::rig::ORG.parse().unwrap()
}

/// A backup of the furnished org, one of many equal ones.
fn file() -> Vec<u8> {
    let (vault, mut file) = (open(load(&furnished())), Vec::new());
    block_on(vault.backup_org(id(), other(), &mut file, |_| ())).unwrap();
    file
}

async fn restore(file: &[u8], vault: &Vault) -> Result<RestoreSummary, Error> {
    Backup::open(Cursor::new(file), other()).await?.restore_org(id(), vault, |_| ()).await
}

fn is_noted(store: &impl Store) -> bool {
    rows(store).keys().any(|key| key[..2] == [0, 0x12])
}

fn is_refused<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|error| matches!(error, Error::RestoreUnfinished(org) if org == id()))
}

/// A store for each commit at which the restore can be cut short.
fn cut_short(file: &[u8]) -> Vec<Faulty<Altered>> {
    let target = rows(&empty().0);
    let stores = RefCell::new(Vec::new());
    crash_at_every_commit(
        async || Altered::small(fill(&target).await),
        async |store| {
            let vault = Vault::open(store, unlock()).await.unwrap();
            drop(restore(file, &vault).await);
        },
        async |_, store| stores.borrow_mut().push(store),
    );
    let mut stores = stores.into_inner();
    stores.retain(is_noted);
    assert!(stores.len() > 6);
    stores
}

#[test]
fn an_org_whose_restore_was_cut_short_is_refused_to_everybody() {
    for store in cut_short(&file()) {
        let vault = open(store.clone());
        let org = org(&vault);
        block_on(async {
            assert!(is_refused(org.define(text("NEW")).await));
            assert!(is_refused(org.set_value("V", Scope::Org, "x").await));
            assert!(is_refused(org.value("V", Scope::Org).await));
            assert!(is_refused(org.definition("NONE").await));
            assert!(is_refused(org.resolve_all(&strongroom::ScopePath::org()).await));
            assert!(is_refused(org.linked_accounts(PageRequest::default()).await));
            assert!(is_refused(org.environments().await));
            assert!(is_refused(org.usage().await));
            assert!(is_refused(org.shred().await));
            assert!(is_refused(vault.backup_org(id(), other(), Vec::new(), |_| ()).await));
            assert_eq!(vault.unfinished_restores().await.unwrap(), [id()]);
        });
    }
}

#[test]
fn the_other_orgs_are_served_while_a_restore_is_unfinished() {
    for store in cut_short(&file()) {
        let vault = open(store);
        let elsewhere =
            vault.org("0000000000000000000000ee".parse().unwrap(), org(&vault).environment().clone());
        block_on(elsewhere.define(text("V"))).unwrap();
        block_on(elsewhere.set_value("V", Scope::Org, "x")).unwrap();
        assert_eq!(block_on(elsewhere.value("V", Scope::Org)).unwrap().unwrap().value.expose(), "x");
    }
}

#[test]
fn only_the_same_restore_goes_on() {
    let (file, another) = (file(), file());
    let store = cut_short(&file).swap_remove(3);
    assert!(is_refused(block_on(restore(&another, &open(store.clone())))));
    block_on(restore(&file, &open(store.clone()))).unwrap();
    assert!(!is_noted(&store));
    sound(&store);
}

#[test]
fn what_a_restore_wrote_is_deleted_and_the_org_restored_from_another_file() {
    let (file, another) = (file(), file());
    let expected = view(&org(&open(load(&furnished()))));
    for store in cut_short(&file) {
        let vault = open(store.clone());
        block_on(vault.abandon_restore(&id())).unwrap();
        assert!(!rows(&store).keys().any(|key| key[0] == 1 || key[..2] == [0, 4]), "something is left");
        block_on(restore(&another, &vault)).unwrap();
        assert_eq!(view(&org(&vault)), expected);
        sound(&store);
    }
}

#[test]
fn a_restore_goes_on_wherever_its_deletion_was_cut_short() {
    let file = file();
    let expected = view(&org(&open(load(&furnished()))));
    let last = cut_short(&file).pop().unwrap();
    let before = rows(&last);
    let stores = RefCell::new(Vec::new());
    crash_at_every_commit(
        async || Altered::small(fill(&before).await),
        async |store| {
            let vault = Vault::open(store, unlock()).await.unwrap();
            drop(vault.abandon_restore(&id()).await);
        },
        async |_, store| stores.borrow_mut().push(store),
    );
    for store in stores.into_inner() {
        block_on(restore(&file, &open(store.clone()))).unwrap();
        assert_eq!(view(&org(&open(store.clone()))), expected);
        sound(&store);
    }
}

#[test]
fn a_write_that_was_faster_than_a_restore_keeps_it_out() {
    let (store, _) = empty();
    let hooked = Hooked::new(Arc::clone(&store));
    let (target, elsewhere) = (open(hooked.clone()), Arc::clone(&store));
    hooked.once(Point::BeforeCommit, move || {
        block_on(org(&open(elsewhere)).define(text("V"))).unwrap();
    });
    assert!(matches!(block_on(restore(&file(), &target)), Err(Error::OrgNotEmpty(_))));
    assert!(!is_noted(&store));
    assert!(block_on(org(&open(store)).definition("V")).unwrap().is_some());
}

#[test]
fn a_write_that_meets_the_begin_of_a_restore_does_not_land() {
    let (file, expected) = (file(), view(&org(&open(load(&furnished())))));
    let (store, _) = empty();
    let hooked = Hooked::new(Arc::clone(&store));
    let (writer, elsewhere, begun) = (open(hooked.clone()), Arc::clone(&store), file.clone());
    hooked.once(Point::BeforeCommit, move || {
        let stopped = Faulty::new(elsewhere).on_commits(0..=0, Fault::After(StoreErrorKind::Poisoned));
        assert!(block_on(restore(&begun, &open(stopped))).is_err());
    });
    assert!(is_refused(block_on(org(&writer).define(text("NEW")))));
    block_on(restore(&file, &open(Arc::clone(&store)))).unwrap();
    assert_eq!(view(&org(&open(Arc::clone(&store)))), expected);
    sound(&store);
}

#[test]
fn of_two_runs_of_a_restore_the_later_one_takes_over() {
    let (file, expected) = (file(), view(&org(&open(load(&furnished())))));
    let (store, _) = empty();
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let (first, elsewhere, again) = (open(hooked.clone()), Arc::clone(&store), file.clone());
    hooked.once_after(Point::BeforeCommit, 1, move || {
        block_on(restore(&again, &open(elsewhere))).unwrap();
    });
    assert!(matches!(block_on(restore(&file, &first)), Err(Error::Contended(_))));
    assert_eq!(view(&org(&open(Arc::clone(&store)))), expected);
    sound(&store);
}

#[test]
fn verify_names_an_unfinished_restore_and_checks_no_part_of_the_org() {
    for store in cut_short(&file()) {
        let vault = open(store);
        for report in [block_on(vault.verify()).unwrap(), block_on(org(&vault).verify()).unwrap()] {
            let causes: Vec<_> = report.findings.iter().map(|found| (found.path.org, &found.cause)).collect();
            assert_eq!(causes, [(Some(id()), &Cause::RestoreUnfinished)], "{report}");
        }
    }
}

#[test]
fn a_backup_leaves_out_an_org_whose_restore_is_unfinished() {
    let store = cut_short(&file()).pop().unwrap();
    let mut whole = Vec::new();
    let summary = block_on(open(store).backup(&mut whole, |_| ())).unwrap();
    assert_eq!((summary.tenants, summary.unfinished), (0, vec![id()]));
    let mut backup = block_on(Backup::open(Cursor::new(whole), unlock())).unwrap();
    assert!(backup.tenants().unwrap().is_empty());
}
