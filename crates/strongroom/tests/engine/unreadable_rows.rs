//! Rows that nobody can read and no verb of their own takes, index rows that were lost, and what is left of accounts
//! and integrations that are gone: each has a step that takes it away or mends it, and then the vault is whole.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    Cause, DataKeys, DefinitionChange, Error, Finding, IntegrationId, Limits, Org, PageRequest, RowName,
    Scope, ScopePath, Vault, VerifyReport, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::audit;
use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, account, empty, load, of_account, open, options, org, rows,
    stop_after_first_commit, text, unlock, verified,
};

/// A variable with two versions of a value of account `a`, which has a credential in its default app.
pub(crate) fn furnished() -> Arc<MemoryStore> {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(async {
        org.define(text("V")).await?;
        org.create_account(account("a")).with_credential("k", "c").await?;
        for value in ["one", "two"] {
            org.set_value("V", of_account("a"), value).await?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    store
}

pub(crate) fn put(store: &MemoryStore, key: &[u8], row: Option<&[u8]>) {
    let mut batch = WriteBatch::default();
    match row {
        Some(row) => batch.put(key.into(), row.to_vec()),
        None => batch.delete(key.into()),
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
}

/// The first row of a kind.
pub(crate) fn first(store: &MemoryStore, kind: Kind) -> Vec<u8> {
    rows(store).into_keys().find(|key| RowKey::parse(key).kind == kind).unwrap()
}

pub(crate) fn report(store: &Arc<MemoryStore>) -> (Vault, VerifyReport) {
    let vault = open(Arc::clone(store));
    let report = block_on(vault.verify()).unwrap();
    (vault, report)
}

/// Whether the vault is whole and takes writes.
pub(crate) fn is_whole(store: &Arc<MemoryStore>) {
    let (vault, report) = report(store);
    assert!(report.is_clean() && report.unverifiable == 0 && report.jobs == 0, "{report}");
    block_on(org(&vault).define(text("AFTER"))).unwrap();
}

/// What the keys of the org start with.
fn tenant_of(store: &MemoryStore) -> Vec<u8> {
    let count = first(store, Kind::Count);
    count[..count.len() - 1].to_vec()
}

/// Keys of the vault as a whole and of tenants, of rows that no other verb takes.
fn planted(store: &MemoryStore) -> Vec<Vec<u8>> {
    let tenant = &*tenant_of(store);
    let org = &tenant[1..26];
    let value = first(store, Kind::FormerValue);
    let mut version = value.clone();
    *version.last_mut().unwrap() ^= 1;
    let elsewhere = [&[1][..], org, b"elsewhere\0"].concat();
    vec![
        [tenant, b"\x40sessions\0key\0"].concat(),
        [tenant, b"\x40api-key-line\0nobody\0"].concat(),
        [tenant, b"\x40signing-key\0hs512\0"].concat(),
        [tenant, &[0x21][..], &[9; 12]].concat(),
        version,
        [&[0, 4], &tenant[1..], &[9; 12]].concat(),
        [&[0, 4], &elsewhere[1..], &[9; 12]].concat(),
        [&[0, 5][..], &[9; 12]].concat(),
        [&[0, 0x12], org].concat(),
    ]
}

#[test]
fn a_row_that_nobody_can_read_is_deleted_if_that_is_asked_for() {
    let keys = planted(&furnished());
    for key in keys {
        let store = furnished();
        put(&store, &key, Some(b"junk"));
        let (vault, found) = report(&store);
        assert_eq!(found.findings.iter().filter(|found| found.is_unreadable()).count(), 1, "{found}");
        assert_eq!(block_on(vault.sweep_stray(&found)).unwrap(), 0, "{found}");
        assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 1, "{found}");
        assert!(!rows(&*store).contains_key(&key));
        is_whole(&store);
    }
}

#[test]
fn a_row_of_a_later_version_is_neither_swept_nor_mended() {
    let store = furnished();
    let count = first(&store, Kind::Count);
    let of_tenant = |end: &[u8]| [&count[..count.len() - 1], end].concat();
    let clear = [of_tenant(&[2]), of_tenant(&[4]), of_tenant(b"\x11NAME"), vec![0, 0x10]];
    let export = [&[0, 0x13], &count[1..26], &[9; 16]].concat();
    for key in planted(&store).into_iter().chain(clear).chain([export]) {
        let store = furnished();
        put(&store, &key, Some(&[0xd7, 9, 7]));
        let (vault, found) = report(&store);
        assert!(found.findings.iter().any(|found| found.cause == Cause::UnknownVersion(9)), "{found}");
        block_on(async {
            assert_eq!(vault.sweep_stray(&found).await.unwrap(), 0, "{found}");
            assert_eq!(vault.sweep_unreadable(&found).await.unwrap(), 0, "{found}");
            assert_eq!(vault.mend(&found).await.unwrap(), 0, "{found}");
        });
        assert_eq!(rows(&*store)[&key], [0xd7, 9, 7]);
    }
}

#[test]
fn what_keeps_something_out_is_told_and_not_swept() {
    let store = furnished();
    let count = first(&store, Kind::Count);
    let record = |end: &[u8]| [&count[..count.len() - 1], b"\x40", end].concat();
    for key in [
        vec![0, 0x10],
        record(b"api-key-line\x00010101010101010101010101\0"),
        record(b"signing-key\0sessions-ended\0"),
        record(b"signing-key\0hs256\0"),
        record(b"account-session\0a\0"),
    ] {
        let store = furnished();
        put(&store, &key, Some(b"junk"));
        let (vault, found) = report(&store);
        assert_eq!(found.findings.len(), 1, "{found}");
        for swept in [block_on(vault.sweep_stray(&found)), block_on(vault.sweep_unreadable(&found))] {
            assert_eq!(swept.unwrap(), 0, "{found}");
        }
        assert!(rows(&*store).contains_key(&key));
    }
}

#[test]
fn a_damaged_note_of_a_backup_under_another_key_is_written_again() {
    let store = furnished();
    let count = first(&store, Kind::Count);
    let key = [&[0, 0x13], &count[1..26], &[9; 16]].concat();
    put(&store, &key, Some(b"junk"));
    let (vault, found) = report(&store);
    assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 0, "{found}");
    assert_eq!(block_on(vault.mend(&found)).unwrap(), 1, "{found}");
    assert!(rows(&*store).contains_key(&key));
    is_whole(&store);
}

/// Rows of every kind that verbs and jobs write, apart from those without which nothing opens.
fn of_every_kind() -> Rows {
    let store = furnished();
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    block_on(async {
        vault.change_settings(|settings| settings.audit = true).await?;
        org.create_account(account("b")).await?;
        org.records("notes".parse().unwrap()).put(&"one".parse().unwrap(), "1").await?;
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
        org.account(account("a")).upsert_credential("k", "d").await?;
        // A chain has a head once it has 32 events.
        for n in 0..40 {
            org.set_value("V", of_account("a"), n.to_string()).await?;
        }
        vault.rotate_data_keys(&DataKeys::all()).await.map(drop)
    })
    .unwrap();
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&account("b")).await));
    rows(&*store)
}

#[test]
fn a_row_that_opens_and_is_not_understood_is_of_a_later_release_and_is_not_swept() {
    let all = of_every_kind();
    let opened = audit::opened(&all);
    let mut kinds = BTreeSet::new();
    for key in all.keys() {
        let place = RowKey::parse(key);
        let opens_others = [Kind::StoreRow, Kind::Keyring, Kind::Slot].contains(&place.kind);
        if opens_others || !place.is_sealed() || !kinds.insert(place.kind) {
            continue;
        }
        let mut rows = all.clone();
        rows.insert(key.clone(), opened.with_content(&all, key, &[0x81, 0xf7]));
        let (vault, found) = report(&load(&rows));
        let of_later = found.findings.iter().filter(|found| found.cause == Cause::UnknownVersion(2));
        assert_eq!(of_later.count(), 1, "{place}: {found}");
        for swept in [block_on(vault.sweep_stray(&found)), block_on(vault.sweep_unreadable(&found))] {
            assert_eq!(swept.unwrap(), 0, "{place}: {found}");
        }
    }
    let swept = [Kind::Job, Kind::KeyJob, Kind::Record, Kind::FormerValue, Kind::FormerCredential];
    let also = [Kind::FormerDefinition, Kind::ChainHead, Kind::Event];
    assert!(swept.iter().chain(&also).all(|kind| kinds.contains(kind)), "{kinds:?}");
}

#[test]
fn a_row_that_can_be_read_by_now_stays() {
    let store = furnished();
    let key = first(&store, Kind::FormerValue);
    let row = rows(&*store)[&key].clone();
    put(&store, &key, Some(b"junk"));
    let (vault, found) = report(&store);
    put(&store, &key, Some(&row));
    assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 0);
    is_whole(&store);
}

#[test]
fn lost_index_rows_are_written_again() {
    for kind in [Kind::DefinitionName, Kind::DefinitionValue, Kind::ValueId] {
        let store = furnished();
        let key = first(&store, kind);
        put(&store, &key, None);
        let (vault, found) = report(&store);
        assert!(found.findings.iter().any(Finding::is_mendable), "{found}");
        assert_eq!(block_on(vault.mend(&found)).unwrap(), 1, "{kind:?}: {found}");
        verified(&store);
        is_whole(&store);
    }
}

#[test]
fn no_index_row_of_a_later_version_is_written_again() {
    let kinds = [Kind::DefinitionName, Kind::DefinitionValue, Kind::ValueId];
    for (kind, lost) in kinds.into_iter().flat_map(|kind| kinds.map(|lost| (kind, lost))) {
        let store = furnished();
        let [key, lost_key] = [kind, lost].map(|kind| first(&store, kind));
        put(&store, &lost_key, None);
        put(&store, &key, Some(&[0xd7, 9, 7]));
        let (vault, found) = report(&store);
        assert!(found.findings.iter().any(|found| found.cause == Cause::UnknownVersion(9)), "{found}");
        assert_eq!(block_on(vault.mend(&found)).unwrap(), u64::from(kind != lost), "{found}");
        assert_eq!(rows(&*store)[&key], [0xd7, 9, 7]);
        assert!(rows(&*store).contains_key(&lost_key));
    }
}

#[test]
fn a_wrong_mark_is_set_right() {
    let store = furnished();
    put(&store, &first(&store, Kind::DefinitionValue), Some(&[0xd7, 1, 0x11, 0xa1, 0, 0x41, 1]));
    let (vault, found) = report(&store);
    assert!(!found.is_clean());
    assert_eq!(block_on(vault.mend(&found)).unwrap(), 1, "{found}");
    is_whole(&store);
}

#[test]
fn a_damaged_epoch_or_generation_is_written_again() {
    let store = furnished();
    let count = first(&store, Kind::Count);
    for kind in [2, 4] {
        put(&store, &[&count[..count.len() - 1], &[kind]].concat(), Some(b"junk"));
    }
    let (vault, found) = report(&store);
    assert_eq!(block_on(vault.mend(&found)).unwrap(), 2, "{found}");
    is_whole(&store);
}

#[test]
fn a_lost_or_wrong_count_is_counted_again_by_whoever_makes_or_deletes_a_definition() {
    /// Does something to the row with this key.
    type Way = fn(&Arc<MemoryStore>, &[u8]);
    let ways: [Way; 3] = [
        |store, key| put(store, key, None),
        |store, key| put(store, key, Some(b"junk")),
        |store, key| {
            let other = org(&open(Arc::clone(store)));
            block_on(other.define(text("OTHER"))).unwrap();
            let two = rows(&**store)[key].clone();
            block_on(other.delete_definition("OTHER")).unwrap();
            put(store, key, Some(&two));
        },
    ];
    for way in ways {
        let store = furnished();
        way(&store, &first(&store, Kind::Count));
        let org = org(&open(Arc::clone(&store)));
        block_on(org.define(text("W"))).unwrap();
        verified(&store);
        block_on(org.delete_definition("W")).unwrap();
        verified(&store);
    }
}

#[test]
fn a_count_that_a_later_release_wrote_is_not_written_over() {
    let store = furnished();
    let key = first(&store, Kind::Count);
    let mut later = rows(&*store)[&key].clone();
    later[1] = 9;
    put(&store, &key, Some(&later));
    let org = org(&open(Arc::clone(&store)));
    let made = block_on(org.define(text("W"))).map(drop);
    for refused in [made, block_on(org.delete_definition("V"))] {
        assert!(matches!(refused, Err(Error::UnknownVersion { version: 9, .. })), "{refused:?}");
    }
    assert_eq!(rows(&*store)[&key], later);
}

#[test]
fn a_count_that_states_too_many_refuses_no_definition() {
    let (store, vault) = empty();
    block_on(async {
        org(&vault).define(text("A")).await.unwrap();
        org(&vault).define(text("B")).await.unwrap();
    });
    let key = first(&store, Kind::Count);
    let full = rows(&*store)[&key].clone();
    block_on(org(&vault).delete_definition("B")).unwrap();
    put(&store, &key, Some(&full));
    let vault =
        block_on(options().limits(Limits::default().definitions_max(2)).open(Arc::clone(&store), unlock()))
            .unwrap();
    block_on(org(&vault).define(text("C"))).unwrap();
    let refused = block_on(org(&vault).define(text("D")));
    assert!(matches!(refused, Err(Error::TooManyDefinitions(2))), "{refused:?}");
    verified(&store);
}

#[test]
fn what_is_left_of_an_account_that_is_gone_goes_with_another_delete() {
    for lost in [vec![Kind::Account], vec![Kind::Account, Kind::Keyring]] {
        let store = furnished();
        for kind in lost {
            let is_it = |key: &Vec<u8>| {
                let RowKey { kind: of, rest, .. } = RowKey::parse(key);
                of == kind && rest.starts_with(b"a")
            };
            let key = rows(&*store).into_keys().find(is_it).unwrap();
            put(&store, &key, None);
        }
        let org = org(&open(Arc::clone(&store)));
        block_on(org.delete_account(&account("a"))).unwrap();
        is_whole(&store);
        let again = block_on(org.delete_account(&account("a")));
        assert!(matches!(again, Err(Error::AccountNotFound(_))), "{again:?}");
    }
}

#[test]
fn a_delete_whose_job_is_lost_is_begun_again() {
    let app = IntegrationId::default_app();
    let store = furnished();
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&account("a")).await));
    put(&store, &first(&store, Kind::Job), None);
    block_on(org(&open(Arc::clone(&store))).delete_account(&account("a"))).unwrap();
    is_whole(&store);

    let store = furnished();
    let removed = async |org: Org| org.account(account("a")).delete_integration(&app).await;
    stop_after_first_commit(&store, async |org| drop(removed(org).await));
    put(&store, &first(&store, Kind::Job), None);
    block_on(removed(org(&open(Arc::clone(&store))))).unwrap();
    is_whole(&store);
}

#[test]
fn what_is_left_of_an_integration_that_is_gone_goes_with_another_delete() {
    let app = IntegrationId::default_app();
    for lost in [Kind::Credential, Kind::FormerCredential] {
        let store = furnished();
        let of = |store: &Arc<MemoryStore>| org(&open(Arc::clone(store))).account(account("a"));
        block_on(of(&store).upsert_credential("k", "d")).unwrap();
        put(&store, &first(&store, Kind::Integration), None);
        put(&store, &first(&store, lost), None);
        block_on(of(&store).delete_integration(&app)).unwrap();
        is_whole(&store);
        let again = block_on(of(&store).delete_integration(&app));
        assert!(matches!(again, Err(Error::IntegrationNotFound { .. })), "{again:?}");
    }
}

#[test]
fn an_integration_that_cannot_be_read_hides_no_other_and_is_deleted_by_itself() {
    let store = furnished();
    let org = org(&open(Arc::clone(&store)));
    let of = org.account(account("a"));
    block_on(of.add_integration(&"other".parse().unwrap())).unwrap();
    put(&store, &first(&store, Kind::Integration), Some(b"junk"));
    let each = block_on(of.each_integration(PageRequest::default())).unwrap().items;
    let [(first, None, Err(Error::Damaged { .. })), (other, None, Ok(_))] = each.as_slice() else {
        panic!("{each:?}")
    };
    assert_eq!((first, other.as_str()), (&IntegrationId::default_app(), "other"));
    block_on(of.delete_integration(first)).unwrap();
    assert_eq!(block_on(of.integrations(PageRequest::default())).unwrap().items.len(), 1);
    is_whole(&store);
}

#[test]
fn a_credential_that_cannot_be_read_hides_no_other_of_its_connection() {
    let store = furnished();
    let app = org(&open(Arc::clone(&store))).account(account("a")).app(IntegrationId::default_app());
    block_on(app.upsert("other", "c")).unwrap();
    let damaged = first(&store, Kind::Credential);
    put(&store, &damaged, Some(b"junk"));
    put(&store, &[&damaged, &b"\0"[..]].concat(), Some(b"no row"));
    let each = block_on(app.each(PageRequest::default())).unwrap().items;
    let [(k, Err(Error::Damaged { .. })), (other, Ok(info))] = each.as_slice() else { panic!("{each:?}") };
    assert_eq!((k.as_str(), other), ("k", &info.key_name));
    assert!(matches!(block_on(app.list(PageRequest::default())), Err(Error::Damaged { .. })));
}

#[test]
fn a_definition_that_cannot_be_read_fails_only_readers_that_know_its_name() {
    let (store, vault) = empty();
    let org_of = |store: &Arc<MemoryStore>| org(&open(Arc::clone(store)));
    let id = block_on(async {
        for name in ["KNOWN", "LOST"] {
            org(&vault).define(text(name)).await.unwrap();
            org(&vault).set_value(name, Scope::Org, "v").await.unwrap();
        }
        org(&vault).definition("LOST").await.unwrap().unwrap().id
    });
    let is_it = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Definition && key.ends_with(id.as_bytes());
    let key = rows(&*store).into_keys().find(is_it).unwrap();
    put(&store, &key, Some(b"junk"));
    let run = org_of(&store).reader(ScopePath::org());
    block_on(async {
        assert_eq!(run.only(["KNOWN"]).resolve_all().await.unwrap().values.len(), 1);
        assert_eq!(run.only(["KNOWN"]).explain_all().await.unwrap().len(), 1);
        for run in [run.only(["KNOWN", "LOST"]), run.clone()] {
            assert!(matches!(run.resolve_all().await, Err(Error::Damaged { .. })));
        }
    });
    // The damaged one may bear a name that leads nowhere.
    let is_its_name = |key: &Vec<u8>| RowKey::parse(key).rest == b"LOST";
    put(&store, &rows(&*store).into_keys().find(is_its_name).unwrap(), None);
    let run = org_of(&store).reader(ScopePath::org());
    for run in [run.only(["LOST"]), run.only(["KNOWN", "LOST"])] {
        assert!(matches!(block_on(run.resolve_all()), Err(Error::Damaged { .. })));
    }
    assert_eq!(block_on(run.only(["KNOWN"]).resolve_all()).unwrap().values.len(), 1);
}

#[test]
fn a_definition_whose_delete_lost_its_job_comes_back_without_its_values() {
    let store = furnished();
    let id = block_on(org(&open(Arc::clone(&store))).definition("V")).unwrap().unwrap().id;
    let kept = || WriteOptions::default().keep_history();
    stop_after_first_commit(&store, async |org| drop(org.delete_definition_with("V", kept()).await));
    put(&store, &first(&store, Kind::Job), None);
    let org = org(&open(Arc::clone(&store)));
    assert!(block_on(org.undelete_definition(id)).unwrap().is_some());
    assert!(block_on(org.value("V", &of_account("a"))).unwrap().is_none());
}

#[test]
fn the_job_of_a_shred_that_was_cut_short_is_not_swept() {
    let store = furnished();
    stop_after_first_commit(&store, async |org| drop(org.shred().await));
    put(&store, &first(&store, Kind::Job), Some(b"junk"));
    let (vault, found) = report(&store);
    assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 0, "{found}");
    assert_eq!(
        block_on(org(&vault).environments()).unwrap().len(),
        1,
        "what is not shredded whole is listed"
    );
    let _ = block_on(org(&vault).shred()).unwrap();
    assert!(block_on(org(&vault).environments()).unwrap().is_empty());
}

#[test]
fn junk_at_the_job_of_a_shred_is_swept_where_the_org_has_a_key() {
    let store = furnished();
    let planted = [&[0, 4], &tenant_of(&store)[1..], &[0; 12]].concat();
    put(&store, &planted, Some(b"junk"));
    let (vault, found) = report(&store);
    assert!(found.findings.len() == 1 && found.findings[0].is_unreadable(), "{found}");
    assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 1);
    is_whole(&store);
    assert_eq!(block_on(org(&vault).value("V", of_account("a"))).unwrap().unwrap().value.expose(), "two");
}

#[test]
fn junk_at_the_job_of_a_shred_stays_if_a_shred_begins_before_it_is_swept() {
    // At each read and commit of the sweep, as many as it has.
    for skip in 0.. {
        let store = furnished();
        let planted = [&[0, 4], &tenant_of(&store)[1..], &[0; 12]].concat();
        put(&store, &planted, Some(b"junk"));
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let vault = open(hooked.clone());
        let found = block_on(vault.verify()).unwrap();
        let (others, job) = (Arc::clone(&store), planted.clone());
        hooked.once_after(Point::BeforeRead, skip, move || {
            stop_after_first_commit(&others, async |org| drop(org.shred().await));
            put(&others, &job, Some(b"damaged since"));
        });
        let swept = block_on(vault.sweep_unreadable(&found)).unwrap();
        if hooked.hooks_left() > 0 {
            assert!(skip > 2, "the sweep has several reads");
            return;
        }
        let stays = rows(&*store).contains_key(&planted);
        assert_eq!((swept, stays), (0, true), "at read {skip}");
    }
}

#[test]
fn a_shred_whose_job_is_lost_before_all_keys_are_dropped_is_told_and_finished_by_another() {
    let store = furnished();
    stop_after_first_commit(&store, async |org| drop(org.shred().await));
    assert!(report(&store).1.is_clean());
    put(&store, &first(&store, Kind::Job), None);
    let (vault, found) = report(&store);
    let told = &found.findings[0];
    assert_eq!((told.path.row, &told.cause), (RowName::Keyring, &Cause::NoJob));
    assert_eq!(
        block_on(org(&vault).environments()).unwrap().len(),
        1,
        "it is listed, so that it is shredded again"
    );
    let _ = block_on(org(&vault).shred()).unwrap();
    assert!(block_on(org(&vault).environments()).unwrap().is_empty());
    is_whole(&store);
}

#[test]
fn what_is_left_of_a_named_connection_is_found_and_goes_with_its_integration() {
    let (crm, work) = ("crm".parse().unwrap(), "work".parse().unwrap());
    // Its own row is lost; or that of its credential too, so that only a former version is left.
    for lost in [&[Kind::Integration][..], &[Kind::Integration, Kind::Credential]] {
        let (store, vault) = empty();
        let account = block_on(async {
            let account = org(&vault).create_account(account("a")).await?;
            account.add_connection(&crm, &work).await?;
            let app = account.app(crm.clone()).connection(work.clone());
            app.upsert("token", "1").await?;
            app.upsert("token", "2").await?;
            account.add_connection(&"crm2".parse()?, &work).await?;
            Ok::<_, Error>(account)
        })
        .unwrap();
        assert_eq!(block_on(account.connections_left(&crm)).unwrap(), []);
        let of_crm = |key: &&Vec<u8>| {
            let key = RowKey::parse(key);
            lost.contains(&key.kind) && key.rest.starts_with(b"a\0crm\x01")
        };
        let gone: Vec<_> = rows(&*store).keys().filter(of_crm).cloned().collect();
        assert_eq!(gone.len(), lost.len());
        gone.iter().for_each(|key| put(&store, key, None));
        let account = org(&open(Arc::clone(&store))).account(self::account("a"));
        assert_eq!(block_on(account.connections_left(&crm)).unwrap(), [Some(work.clone())], "{lost:?}");
        block_on(account.delete_integration(&crm)).unwrap();
        assert_eq!(block_on(account.connections_left(&crm)).unwrap(), []);
        let again = block_on(account.delete_integration(&crm));
        assert!(matches!(again, Err(Error::IntegrationNotFound { .. })), "{again:?}");
        assert_eq!(block_on(account.integrations(PageRequest::default())).unwrap().items.len(), 1);
        is_whole(&store);
    }
}

#[test]
fn what_a_delete_has_yet_to_sweep_is_not_what_is_left_of_a_connection() {
    let (crm, work) = ("crm".parse().unwrap(), "work".parse().unwrap());
    let (store, vault) = empty();
    block_on(async {
        let account = org(&vault).create_account(account("a")).await?;
        account.add_connection(&crm, &work).await?;
        account.app(crm.clone()).connection(work.clone()).upsert("token", "1").await.map(drop)
    })
    .unwrap();
    let delete = async |org: Org| drop(org.account(account("a")).delete_connection(&crm, &work).await);
    stop_after_first_commit(&store, delete);
    let account = org(&open(Arc::clone(&store))).account(account("a"));
    assert_eq!(block_on(account.connections_left(&crm)).unwrap(), []);
}
