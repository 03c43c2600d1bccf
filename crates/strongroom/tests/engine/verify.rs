//! `verify`: what it counts and what it finds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    Backup, Cause, DataKeys, Environment, FormatChange, KeyState, OnMismatch, Parent, RawKey, RootRotation,
    RowName, Scope, Unlock, VarFormat, Vault, VerifyReport,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, account, empty, furnished, load, of_account, open, org, rows,
    stop_after_first_commit, text, unlock, verbs,
};

fn verify(rows: &Rows) -> VerifyReport {
    block_on(open(load(rows)).verify()).unwrap()
}

fn key_of(rows: &Rows, kind: Kind) -> Vec<u8> {
    rows.keys().find(|key| RowKey::parse(key).kind == kind).unwrap().clone()
}

#[test]
fn a_whole_store_is_clean_and_every_row_is_looked_at() {
    let rows = furnished();
    let report = verify(&rows);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.rows, rows.len() as u64);
    assert_eq!((report.unverifiable, report.leftover, report.jobs, report.grandfathered), (0, 0, 0, 0));
}

#[test]
fn every_kind_of_row_that_a_vault_in_good_order_has_is_known() {
    // A delete that was cut short, a backup of an org, both rotations under way, and then the vault moves.
    let store = load(&furnished());
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&account("a")).await));
    let vault = open(Arc::clone(&store));
    block_on(vault.backup_org(*org(&vault).id(), other_key(), Vec::new(), |_| ())).unwrap();
    let _job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let _rotation = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    block_on(vault.copy_to(&MemoryStore::new(), |_| ())).unwrap();
    let rows = rows(&store);
    assert_eq!(kinds(&rows), [1, 2, 3, 4, 5, 0x10, 0x13]);
    let report = verify(&rows);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.rows, report.unverifiable, report.jobs), (rows.len() as u64, 0, 3), "{report}");
}

#[test]
fn an_org_that_was_cut_short_on_its_way_into_a_vault_is_no_finding() {
    let (source, mut file) = (open(load(&furnished())), Vec::new());
    let id = *org(&source).id();
    block_on(source.backup_org(id, other_key(), &mut file, |_| ())).unwrap();
    let mut backup = block_on(Backup::open(Cursor::new(&file), other_key())).unwrap();
    let (whole, vault) = empty();
    let whole = Faulty::new(load(&rows(&whole)));
    drop(vault);
    block_on(backup.restore_org(id, &open(whole.clone()), |_| ())).unwrap();
    for commits in 1..whole.commits_len() {
        let cut = Fault::Before(StoreErrorKind::Unavailable);
        let store = Faulty::new(load(&rows(&empty().0))).on_commits(commits.., cut);
        assert!(block_on(backup.restore_org(id, &open(store.clone()), |_| ())).is_err());
        let rows = rows(&store.reopen());
        assert_eq!(kinds(&rows), [1, 2, 3, 0x12]);
        let report = verify(&rows);
        assert!(report.findings.iter().all(|found| found.cause != Cause::Foreign), "{report}");
    }
}

fn other_key() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([9; 32]))
}

/// Which kinds of rows of the whole store there are.
fn kinds(rows: &Rows) -> Vec<u8> {
    let mut kinds: Vec<u8> = rows.keys().filter(|key| key[0] == 0).map(|key| key[1]).collect();
    kinds.dedup();
    kinds
}

#[test]
fn an_org_is_verified_without_the_others() {
    let (store, vault) = empty();
    let other = |vault: &Vault| vault.org(crate::rig::OTHER_ORG.parse().unwrap(), Environment::test());
    for org in [org(&vault), other(&vault)] {
        block_on(org.define(text("V"))).unwrap();
    }
    let mut rows = rows(&store);
    rows.remove(&key_of(&rows, Kind::DefinitionName));
    let vault = open(load(&rows));
    let (one, other) = (block_on(org(&vault).verify()).unwrap(), block_on(other(&vault).verify()).unwrap());
    assert_eq!((one.findings_total, other.findings_total), (1, 0));
    // Keyring, epoch, count, definition and name.
    assert_eq!((one.rows, other.rows), (4, 5));
    assert_eq!(verify(&rows).findings_total, 1);
}

#[test]
fn every_key_is_listed_with_the_rows_that_it_sealed() {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await.unwrap();
        org.set_value("V", of_account("a"), "one").await.unwrap();
        org.set_value("V", of_account("b"), "two").await.unwrap();
        org.delete_value("V", &of_account("b")).await.unwrap();
    });
    let report = verify(&rows(&store));
    let uses: Vec<_> =
        report.keys.iter().map(|key| (key.linked_account.clone(), key.state, key.rows)).collect();
    // The org's own sealed the definition and the count.
    let expected = [
        (None, KeyState::Active, 2),
        (Some(account("a")), KeyState::Active, 1),
        (Some(account("b")), KeyState::Active, 0),
    ];
    assert_eq!(uses, expected);
}

#[test]
fn a_key_that_a_rotation_has_replaced_is_listed_as_one_that_only_opens() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    for _ in 0..4 {
        block_on(job.step()).unwrap();
    }
    let report = verify(&rows(&store));
    let count = |state| report.keys.iter().filter(|key| key.state == state).count();
    assert_eq!((count(KeyState::Active), count(KeyState::DecryptOnly)), (3, 3), "{report}");
}

#[test]
fn what_a_delete_left_is_left_over_and_no_finding() {
    for name in ["delete_definition", "delete_account", "delete_integration"] {
        let verb = verbs().into_iter().find(|verb| verb.name == name).unwrap();
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
        let report = verify(&rows(&store));
        assert!(report.is_clean(), "{name}: {report}");
        assert!(report.leftover > 0 && report.jobs == 1, "{name}: {report}");
        block_on(open(Arc::clone(&store)).run_jobs()).unwrap();
        let report = verify(&rows(&store));
        assert_eq!((report.findings_total, report.leftover, report.jobs), (0, 0, 0), "{name}: {report}");
    }
}

#[test]
fn what_a_delete_left_without_its_job_is_found() {
    for (name, row, cause) in [
        ("delete_definition", RowName::Value, Cause::Orphan(Parent::Definition)),
        ("delete_account", RowName::LinkedAccount, Cause::NoJob),
        ("delete_integration", RowName::Integration, Cause::NoJob),
    ] {
        let verb = verbs().into_iter().find(|verb| verb.name == name).unwrap();
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
        let mut rows = rows(&store);
        rows.remove(&key_of(&rows, Kind::Job));
        let report = verify(&rows);
        let found = report.findings.iter().any(|found| found.path.row == row && found.cause == cause);
        assert!(found, "{name}: {report}");
    }
}

#[test]
fn a_grandfathered_value_is_counted_and_no_finding() {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("PORT")).await.unwrap();
        for scope in [Scope::Org, of_account("a")] {
            org.set_value("PORT", scope, "http").await.unwrap();
        }
        org.set_value("PORT", of_account("b"), "80").await.unwrap();
        let change = FormatChange::to(VarFormat::Integer);
        org.change_format("PORT", &change, OnMismatch::Grandfather).await.unwrap();
    });
    let report = verify(&rows(&store));
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.grandfathered, 2);
}

#[test]
fn a_mark_that_says_otherwise_than_the_value_is_found() {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("PORT")).await.unwrap();
        org.set_value("PORT", Scope::Org, "http").await.unwrap();
        org.set_value("PORT", of_account("a"), "80").await.unwrap();
        let change = FormatChange::to(VarFormat::Integer);
        org.change_format("PORT", &change, OnMismatch::Grandfather).await.unwrap();
    });
    let mut rows = rows(&store);
    let marks: Vec<_> =
        rows.keys().filter(|key| RowKey::parse(key).kind == Kind::DefinitionValue).cloned().collect();
    let rows_of_marks: Vec<_> = marks.iter().map(|key| rows[key].clone()).collect();
    rows.insert(marks[0].clone(), rows_of_marks[1].clone());
    rows.insert(marks[1].clone(), rows_of_marks[0].clone());
    let causes: Vec<_> = verify(&rows).findings.into_iter().map(|found| found.cause).collect();
    assert!(matches!(causes.as_slice(), [Cause::Invalid(_), Cause::WronglyMarked]), "{causes:?}");
}

#[test]
fn a_keyring_that_is_missing_or_unreadable_is_one_finding() {
    let whole = furnished();
    for owner in [&b""[..], b"a\0"] {
        let keyring = whole
            .keys()
            .find(|key| RowKey::parse(key).kind == Kind::Keyring && RowKey::parse(key).rest == owner)
            .unwrap();
        for alter in [
            |_: &mut Rows, _: &[u8]| (),
            |rows: &mut Rows, key: &[u8]| {
                rows.get_mut(key).unwrap().pop();
            },
        ] {
            let mut rows = whole.clone();
            alter(&mut rows, keyring);
            if rows == whole {
                rows.remove(keyring);
            }
            let report = verify(&rows);
            assert_eq!(report.findings_total, 1, "{report}");
            let path = &report.findings[0].path;
            assert_eq!(path.row, RowName::Keyring);
            assert_eq!(path.linked_account, (!owner.is_empty()).then(|| account("a")));
            assert!(report.unverifiable > 1, "{report}");
        }
    }
}

#[test]
fn a_row_of_an_unknown_kind_is_found() {
    let whole = furnished();
    let tenant = &key_of(&whole, Kind::Epoch);
    let foreign = [
        b"foreign".to_vec(),
        vec![0, 9],
        b"\x01foreign\0".to_vec(),
        [&tenant[..tenant.len() - 1], &[0x77]].concat(),
        [tenant, &b"more"[..]].concat(),
    ];
    let mut rows = whole.clone();
    rows.extend(foreign.iter().map(|key| (key.clone(), Vec::new())));
    let report = verify(&rows);
    assert_eq!(report.findings_total, foreign.len() as u64, "{report}");
    assert!(report.findings.iter().all(|found| found.cause == Cause::Foreign));
    assert_eq!(report.findings.iter().filter(|found| found.path.org.is_some()).count(), 2);
}

#[test]
fn findings_are_kept_up_to_a_bound_and_counted_beyond() {
    let mut rows = furnished();
    rows.extend((0..2_500_u32).map(|number| ([&[9], &number.to_be_bytes()[..]].concat(), Vec::new())));
    let report = verify(&rows);
    assert_eq!((report.findings.len(), report.findings_total), (1_000, 2_500));
    assert!(report.to_string().contains("and 1500 more"));
}

#[test]
fn writes_in_the_middle_of_a_page_are_no_findings() {
    // Each verb is done once after each of the reads of a verification.
    let base = furnished();
    for verb in verbs() {
        for read in 0..40 {
            let inner = load(&base);
            let store = Hooked::new(Arc::clone(&inner));
            let vault = open(store.clone());
            let writer = vault.clone();
            store.once_after(Point::AfterRead, read, move || drop(block_on(verb.run(org(&writer)))));
            let report = block_on(vault.verify()).unwrap();
            assert!(report.is_clean(), "{} at read {read}: {report}", verb.name);
            if store.hooks_left() > 0 {
                break;
            }
        }
    }
}

/// Commands and calls take the name of a definition, and the address of a row has its id alone.
#[test]
fn a_finding_names_its_definition_also_if_that_is_what_cannot_be_read() {
    for kind in [Kind::Definition, Kind::Value] {
        let whole = furnished();
        let (mut rows, key) = (whole.clone(), key_of(&whole, kind));
        *rows.get_mut(&key).unwrap().last_mut().unwrap() ^= 1;
        let report = verify(&rows);
        let found = report.findings.iter().find(|found| found.path.definition_id.is_some()).unwrap();
        let vault = open(load(&whole));
        let id = found.path.definition_id.unwrap();
        let name = block_on(org(&vault).definition(id)).unwrap().unwrap().definition.name;
        assert_eq!(found.path.definition_name.as_deref(), Some(name.as_str()), "{report}");
        assert!(found.to_string().contains(&format!("of definition {name} ({id})")), "{found}");
    }
}
