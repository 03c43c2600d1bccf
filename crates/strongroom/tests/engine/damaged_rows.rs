//! A row of a value or an account that cannot be read blocks nobody: it can be deleted, and a sweep takes it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Key, Store as _};
use strongroom::{
    AuditChange, AuditFilter, CredentialFilter, DefinitionChange, DocumentId, Error, EventKind, Expected,
    FormatChange, IntegrationId, OnMismatch, Org, PageRequest, Revision, Scope, ScopePath, VarFormat,
    WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::plant;
use crate::rig::{
    Altered, Kind, Paged, RowKey, Rows, account, altered, audit, empty, load, of_account, open, org, rows,
    text,
};

/// A store with values of two accounts and the org, and the id of that of account `a`.
fn filled() -> (Rows, DocumentId) {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for scope in [Scope::Org, of_account("b")] {
        block_on(org.set_value("V", scope, "v")).unwrap();
    }
    let id = block_on(org.set_value("V", of_account("a"), "v")).unwrap().id;
    (rows(&store), id)
}

/// The same with that row altered, in each way that it can no longer be read.
fn damaged(whole: &Rows) -> Vec<Arc<MemoryStore>> {
    altered(whole, Kind::Value, b"\x01a\0")
}

#[test]
fn a_value_that_cannot_be_read_does_not_stop_a_reader_that_does_not_know_it() {
    let (whole, _) = filled();
    for store in damaged(&whole) {
        let org = org(&open(store));
        block_on(org.define(text("KNOWN").default_value("x"))).unwrap();
        let run = org.reader(ScopePath::org().linked_account(account("a")));
        assert!(matches!(block_on(run.resolve_all()), Err(Error::Damaged { .. })));
        let narrow = run.only(["KNOWN"]);
        assert_eq!(block_on(narrow.resolve_all()).unwrap().values.len(), 1);
        assert_eq!(block_on(narrow.explain_all()).unwrap().len(), 1);
    }
}

#[test]
fn a_key_of_no_row_hides_no_account_integration_credential_or_record() {
    let (store, vault) = empty();
    let org = org(&vault);
    let (page, records) = (PageRequest::default, org.records("notes".parse().unwrap()));
    let a = block_on(org.create_account(account("a")).with_default_app().into_future()).unwrap();
    let app = a.app(IntegrationId::default_app());
    block_on(app.upsert("c", "1")).unwrap();
    block_on(records.put(&"r".parse().unwrap(), "1")).unwrap();
    for kind in [Kind::Account, Kind::Integration, Kind::Credential, Kind::Record] {
        let is_it = |(key, _): &(Vec<u8>, Vec<u8>)| RowKey::parse(key).kind == kind;
        let (key, row) = rows(&store).into_iter().find(is_it).unwrap();
        block_on(plant(&store, &Key::from([&key[..], b"x"].concat()), Some(row))).unwrap();
    }
    assert_eq!(block_on(org.each_linked_account(page())).unwrap().items.len(), 1);
    assert_eq!(block_on(a.each_integration(page())).unwrap().items.len(), 1);
    assert_eq!(block_on(records.each(page())).unwrap().items.len(), 1);
    assert_eq!(block_on(records.list(page())).unwrap().items.len(), 1);
    assert_eq!(block_on(app.list(page())).unwrap().items.len(), 1);
    assert_eq!(block_on(app.get_all()).unwrap().items.len(), 1);
    let missing = CredentialFilter::missing("k".parse().unwrap());
    assert_eq!(block_on(org.credentials_where(&missing, page())).unwrap().items.len(), 1);
}

#[test]
fn a_value_that_cannot_be_read_is_not_found_by_its_id_for_another_account() {
    let (whole, id) = filled();
    for store in damaged(&whole) {
        let org = org(&open(store));
        assert!(matches!(block_on(org.value_by_id(&id)), Err(Error::Damaged { .. })));
        assert!(block_on(org.account(account("b")).value_by_id(&id)).unwrap().is_none());
    }
}

#[test]
fn a_value_that_cannot_be_read_is_deleted_by_its_address_and_by_its_id() {
    let (whole, id) = filled();
    for store in damaged(&whole).into_iter().chain(damaged(&whole)).enumerate() {
        let (index, store) = store;
        let org = org(&open(Arc::clone(&store)));
        assert!(matches!(block_on(org.set_value("V", of_account("a"), "w")), Err(Error::Damaged { .. })));
        let deleted = if index < 4 {
            block_on(org.delete_value("V", &of_account("a")))
        } else {
            block_on(org.delete_value_by_id(&id))
        };
        let deleted = deleted.unwrap().unwrap();
        assert!(deleted.damaged);
        assert_eq!((deleted.id, deleted.scope), (Some(id), of_account("a")));
        audit(&store);
        block_on(org.set_value("V", of_account("a"), "w")).unwrap();
        audit(&store);
    }
}

#[test]
fn the_id_of_a_value_that_cannot_be_read_is_found_on_whichever_page_it_stands() {
    let (whole, id) = filled();
    for store in damaged(&whole) {
        let org = org(&open(Paged::of(Arc::clone(&store), 1)));
        let deleted = block_on(org.delete_value("V", &of_account("a"))).unwrap().unwrap();
        assert_eq!(deleted.id, Some(id));
        audit(&store);
    }
}

#[test]
fn a_value_that_cannot_be_read_is_not_deleted_on_a_condition() {
    let (whole, _) = filled();
    for store in damaged(&whole) {
        let org = org(&open(Arc::clone(&store)));
        for expected in [Expected::Absent, Expected::Revision(Revision::from_u64(1))] {
            let options = WriteOptions::expecting(expected);
            let answer = block_on(org.delete_value_with("V", &of_account("a"), options));
            assert!(matches!(answer, Err(Error::Damaged { .. })), "{answer:?}");
        }
        assert_eq!(rows(&store).len(), whole.len());
    }
}

#[test]
fn a_value_of_a_later_version_is_not_deleted() {
    let (mut whole, id) = filled();
    for (key, row) in &mut whole {
        if RowKey::parse(key).kind == Kind::Value {
            row[1] = 9;
        }
    }
    let org = org(&open(load(&whole)));
    for answer in [block_on(org.delete_value("V", &of_account("a"))), block_on(org.delete_value_by_id(&id))] {
        assert!(matches!(answer, Err(Error::UnknownVersion { version: 9, .. })), "{answer:?}");
    }
}

#[test]
fn a_value_that_cannot_be_read_goes_with_its_account() {
    let (whole, _) = filled();
    for store in damaged(&whole) {
        block_on(org(&open(Arc::clone(&store))).delete_account(&account("a"))).unwrap();
        audit(&store);
        assert_eq!(rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Value).count(), 2);
    }
}

#[test]
fn a_value_that_cannot_be_read_goes_with_its_account_however_many_ids_lead_to_it() {
    let (mut whole, id) = filled();
    let is_its_id = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::ValueId && key.ends_with(id.as_bytes());
    let key = whole.keys().find(is_its_id).unwrap().clone();
    let (row, at) = (whole[&key].clone(), key.len() - id.as_bytes().len());
    for number in 0..200 {
        let mut planted = key.clone();
        planted[at] = number;
        whole.insert(planted, row.clone());
    }
    for store in damaged(&whole) {
        let narrow = Altered::of(Arc::clone(&store)).declared(|inner| inner.with_batch_max(128, 1 << 20));
        let capabilities = narrow.capabilities();
        let vault = open(narrow.on_commit(move |batch| batch.check(&capabilities)));
        block_on(org(&vault).delete_account(&account("a"))).unwrap();
        assert_eq!(rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Value).count(), 2);
    }
}

#[test]
fn a_value_that_cannot_be_read_goes_with_its_definition() {
    let (whole, _) = filled();
    for store in damaged(&whole) {
        block_on(org(&open(Arc::clone(&store))).delete_definition("V")).unwrap();
        audit(&store);
        assert_eq!(rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::ValueId).count(), 0);
    }
}

#[test]
fn a_value_that_cannot_be_read_keeps_no_other_from_being_marked_after_a_change_of_format() {
    let (whole, _) = filled();
    for store in damaged(&whole) {
        let vault = open(Arc::clone(&store));
        let org = org(&vault);
        let to_integer = FormatChange::to(VarFormat::Integer);
        let refused = block_on(org.change_format("V", &to_integer, OnMismatch::Refuse));
        assert!(refused.is_err_and(|error| matches!(error, Error::Damaged { .. })));
        let changed = block_on(org.change_format("V", &to_integer, OnMismatch::Grandfather));
        assert!(matches!(changed, Err(Error::Damaged { .. })), "{changed:?}");
        let path = ScopePath::org().linked_account(account("b"));
        let steps = block_on(org.explain("V", &path)).unwrap().steps;
        assert_eq!(steps.iter().filter(|step| step.grandfathered).count(), 2);
        assert!(matches!(block_on(vault.run_jobs()), Err(Error::Damaged { .. })));
        block_on(org.delete_value("V", &of_account("a"))).unwrap();
        assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
        audit(&store);
    }
}

#[test]
fn a_row_of_a_later_version_stays_and_stalls_no_sweep() {
    let (mut whole, _) = filled();
    for (key, row) in &mut whole {
        if RowKey::parse(key).kind == Kind::Value && RowKey::parse(key).rest.starts_with(b"\x01a\0") {
            row[1] = 9;
        }
    }
    let store = load(&whole);
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
    assert_eq!(rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Value).count(), 3);
}

#[test]
fn a_former_version_of_a_later_release_stays_and_stalls_no_sweep() {
    let (whole, _) = filled();
    let store = load(&whole);
    block_on(org(&open(Arc::clone(&store))).set_value("V", of_account("a"), "w")).unwrap();
    let mut whole = rows(&store);
    let is_former = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::FormerValue;
    let key = whole.keys().find(is_former).unwrap().clone();
    whole.get_mut(&key).unwrap()[1] = 9;
    let store = load(&whole);
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
    assert_eq!(rows(&store).get(&key), whole.get(&key));
}

#[test]
fn a_name_that_was_given_away_is_not_taken_back_by_an_older_row() {
    let (store, vault) = empty();
    let org_of = |store: &Arc<MemoryStore>| org(&open(Arc::clone(store)));
    let first = org(&vault);
    let old = block_on(first.define(text("X"))).unwrap();
    let older = rows(&store);
    block_on(first.update_definition(old, DefinitionChange::new().name("Y"))).unwrap();
    let new = block_on(first.define(text("X"))).unwrap();
    // The definition shows the name again that leads to another by now.
    let mut replayed = rows(&store);
    let is_old = |key: &&Vec<u8>| {
        RowKey::parse(key).kind == Kind::Definition && RowKey::parse(key).rest == old.as_bytes()
    };
    let key = older.keys().find(is_old).unwrap();
    replayed.insert(key.clone(), older[key].clone());

    let leads = |org: &Org| block_on(org.definition("X")).unwrap().map(|found| found.id);
    let renamed = org_of(&load(&replayed));
    block_on(renamed.update_definition(old, DefinitionChange::new().name("Z"))).unwrap();
    assert_eq!(leads(&renamed), Some(new));
    let deleted = org_of(&load(&replayed));
    block_on(deleted.delete_definition(old)).unwrap();
    assert_eq!(leads(&deleted), Some(new));
}

/// Accounts `a` and `b`, each with a value and a credential, the row of `a` damaged in each way.
fn damaged_account() -> Vec<Arc<MemoryStore>> {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(async {
        vault.change_settings(|settings| settings.audit = true).await?;
        org.define(text("V")).await?;
        for id in ["a", "b"] {
            org.create_account(account(id)).with_credential("k", "c").await?;
            org.set_value("V", of_account(id), "v").await?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    altered(&rows(&store), Kind::Account, b"a")
}

#[test]
fn an_account_that_cannot_be_read_keeps_no_other_out_of_a_list_that_says_so() {
    for store in damaged_account() {
        let org = org(&open(store));
        let strict = block_on(org.linked_accounts(PageRequest::default())).map(drop);
        assert!(matches!(strict, Err(Error::Damaged { .. })));
        let each = block_on(org.each_linked_account(PageRequest::default())).unwrap().items;
        let [(first, Err(Error::Damaged { row, .. })), (other, Ok(known))] = each.as_slice() else {
            panic!("{each:?}")
        };
        assert_eq!((first, other, &known.account_id), (&account("a"), &account("b"), &account("b")));
        assert!(row.contains("account a"), "{row}");
    }
}

#[test]
fn an_account_that_cannot_be_read_is_deleted_with_what_is_its_own() {
    for store in damaged_account() {
        let vault = open(Arc::clone(&store));
        let org = org(&vault);
        block_on(org.delete_account(&account("a"))).unwrap();
        let left = rows(&store);
        let of_a = |key: &&Vec<u8>| {
            let RowKey { kind, rest, .. } = RowKey::parse(key);
            let own = [Kind::Account, Kind::Integration, Kind::Credential];
            own.contains(&kind) && rest.starts_with(b"a")
                || kind == Kind::Value && rest.starts_with(b"\x01a\0")
        };
        assert_eq!(left.keys().filter(of_a).count(), 0);
        assert!(block_on(org.account(account("b")).credential("k")).unwrap().is_some());
        audit(&store);
        let events = block_on(org.audit(&AuditFilter::all(), PageRequest::default())).unwrap().items;
        let is_told = |change: &AuditChange| {
            change.kind == EventKind::AccountDeleted && change.linked_account == Some(account("a"))
        };
        assert!(events.iter().flat_map(|event| &event.changes).any(is_told));
        block_on(org.create_account(account("a")).into_future()).unwrap();
        assert!(block_on(org.value("V", of_account("a"))).unwrap().is_none());
        audit(&store);
    }
}

#[test]
fn an_account_that_cannot_be_read_is_not_deleted_on_a_condition() {
    for store in damaged_account() {
        let before = rows(&store);
        let org = org(&open(Arc::clone(&store)));
        let options = WriteOptions::expecting(Expected::Revision(Revision::from_u64(1)));
        let refused = block_on(org.delete_account_with(&account("a"), options));
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert_eq!(rows(&store), before);
    }
}
