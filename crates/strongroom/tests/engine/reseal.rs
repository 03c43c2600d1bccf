//! A backup that is restored under other keys: as a new vault, or as one org of another vault.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    Argon2Params, Backup, DefinitionChange, DefinitionFilter, Environment, Error, NotDestroyed, Org,
    PageRequest, RawKey, Scope, Settings, ShredEffect, Store, Unlock, Vault, WriteOptions,
};
use strongroom_conformance::{Fault, Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Altered, Hooked, Kind, Point, RowKey, Rows, empty, furnished, load, of_account, open, options, org, rows,
    sound, stop_after_first_commit, text, unlock, verbs, view,
};
use crate::unreadable_rows::{first, put};

fn other() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([9; 32]))
}

fn id() -> strongroom::OrgId {
    crate::rig::ORG.parse().unwrap()
}

fn whole(vault: &Vault) -> Vec<u8> {
    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();
    file
}

fn one_org(vault: &Vault) -> Vec<u8> {
    let mut file = Vec::new();
    block_on(vault.backup_org(id(), other(), &mut file, |_| ())).unwrap();
    file
}

async fn opened(file: &[u8], key: Unlock) -> Backup<Cursor<&[u8]>> {
    Backup::open(Cursor::new(file), key).await.unwrap()
}

async fn as_new(file: &[u8], key: Unlock, store: impl Store) -> Result<Vault, Error> {
    opened(file, key).await.restore_as_new(store, unlock(), |_| ()).await
}

/// Ids, revisions and times of everything that a list shows.
fn identities(org: &Org) -> Vec<String> {
    let all = || PageRequest::first(PageRequest::LIMIT_MAX);
    block_on(async {
        let mut seen = Vec::new();
        for stored in org.definitions(&DefinitionFilter::all(), all()).await.unwrap().items {
            seen.push(format!(
                "{} {:?} {:?}",
                stored.id,
                stored.revision,
                (stored.created_at, stored.updated_at)
            ));
        }
        for scope in [
            Scope::Org,
            crate::rig::of_account("a"),
            crate::rig::of_account("u"),
            crate::rig::of_workflow("w"),
        ] {
            for one in org.values(&scope, all()).await.unwrap().items {
                seen.push(format!("{} {:?} {:?}", one.id, one.revision, (one.created_at, one.updated_at)));
            }
        }
        for one in org.linked_accounts(all()).await.unwrap().items {
            seen.push(format!("{} {:?} {:?}", one.id, one.revision, (one.created_at, one.updated_at)));
            for one in
                org.account(one.account_id).app("crm".parse().unwrap()).list(all()).await.unwrap().items
            {
                seen.push(format!("{} {:?} {:?}", one.id, one.revision, (one.created_at, one.updated_at)));
            }
        }
        seen
    })
}

/// What is sealed in a store: the bytes of rows that are no index.
fn sealed(rows: &Rows) -> BTreeSet<Vec<u8>> {
    rows.values().filter(|row| row[2] < 0x10).cloned().collect()
}

#[test]
fn a_new_vault_holds_the_same_documents_under_other_keys() {
    let base = furnished();
    let vault = open(load(&base));
    for (file, key) in [(whole(&vault), unlock()), (one_org(&vault), other())] {
        let store = Arc::new(MemoryStore::new());
        let new = block_on(as_new(&file, key, Arc::clone(&store))).unwrap();
        assert_ne!(new.store_id(), vault.store_id());
        assert_ne!(new.root_id(), vault.root_id());
        assert_eq!(view(&org(&new)), view(&org(&vault)));
        assert_eq!(identities(&org(&new)), identities(&org(&vault)));
        assert!(sealed(&rows(&store)).is_disjoint(&sealed(&base)));
        sound(&store);
        block_on(org(&new).set_value("V", Scope::Org, "on")).unwrap();
        // Both are alive: the original takes writes as well.
        block_on(org(&vault).set_value("V", crate::rig::of_workflow("w2"), "on")).unwrap();
        block_on(org(&vault).delete_value("V", &crate::rig::of_workflow("w2"))).unwrap();
    }
}

#[test]
fn a_row_of_the_original_does_not_open_in_the_new_vault() {
    let base = furnished();
    let store = Arc::new(MemoryStore::new());
    block_on(as_new(&whole(&open(load(&base))), unlock(), Arc::clone(&store))).unwrap();
    let mut mixed = rows(&store);
    let value = base.iter().find(|(_, row)| row[2] == 1).unwrap();
    mixed.insert(value.0.clone(), value.1.clone());
    let report = block_on(open(load(&mixed)).verify()).unwrap();
    assert!(!report.is_clean());
}

#[test]
fn a_backup_of_one_org_opens_with_its_own_key_and_nothing_else() {
    let vault = open(load(&furnished()));
    let file = one_org(&vault);
    assert!(matches!(block_on(Backup::open(Cursor::new(&file), unlock())), Err(Error::WrongKey)));
    let backup = block_on(opened(&file, other()));
    assert_ne!(backup.store_id(), vault.store_id());
    let whole = block_on(backup.replace_original(MemoryStore::new(), |_| ()));
    assert!(matches!(whole, Err(Error::BadBackup(strongroom::BackupFault::OneOrg))));
}

#[test]
fn a_passphrase_costs_in_a_backup_of_one_org_what_it_costs_in_the_vault() {
    let cheap = || options().argon2(Argon2Params::FLOOR).argon2_ceiling(Argon2Params::FLOOR);
    let vault = block_on(cheap().open(load(&furnished()), unlock())).unwrap();
    let (mut file, passphrase) = (Vec::new(), || Unlock::passphrase("six words from a generator"));
    block_on(vault.backup_org(id(), passphrase(), &mut file, |_| ())).unwrap();
    block_on(Backup::open_with(Cursor::new(&file), passphrase(), cheap())).unwrap();
}

#[test]
fn a_backup_of_one_org_holds_no_other() {
    let (_, vault) = empty();
    for (org, environment) in [
        (crate::rig::ORG, Environment::test()),
        (crate::rig::ORG, Environment::production()),
        (crate::rig::OTHER_ORG, Environment::test()),
    ] {
        let org = vault.org(org.parse().unwrap(), environment);
        block_on(org.define(text("V"))).unwrap();
    }
    let file = one_org(&vault);
    assert!(!file.windows(24).any(|part| part == crate::rig::OTHER_ORG.as_bytes()));
    let new = block_on(as_new(&file, other(), MemoryStore::new())).unwrap();
    for environment in [Environment::test(), Environment::production()] {
        assert!(block_on(new.org(id(), environment).definition("V")).unwrap().is_some());
    }
    let missing = "00000000000000000000000f".parse().unwrap();
    let refused = block_on(vault.backup_org(missing, other(), Vec::new(), |_| ()));
    assert!(matches!(refused, Err(Error::OrgNotFound(org)) if org == missing));
}

#[test]
fn that_an_org_was_backed_up_is_noted_before_the_first_byte_leaves() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let notes = |store: &Arc<MemoryStore>| rows(store).keys().filter(|key| key[..2] == [0, 0x13]).count();
    let refused = block_on(vault.backup_org(id(), other(), &mut [0; 0][..], |_| ()));
    assert!(matches!(refused, Err(Error::BackupFile(_))));
    assert_eq!(notes(&store), 1);
    one_org(&vault);
    assert_eq!(notes(&store), 2);
    sound(&store);
}

#[test]
fn a_note_of_a_backup_that_came_with_a_restore_is_noted_all_the_same_when_the_store_takes_it_away() {
    let vault = open(load(&furnished()));
    one_org(&vault);
    let file = whole(&vault);
    let new = Arc::new(MemoryStore::new());
    block_on(as_new(&file, unlock(), Arc::clone(&new))).unwrap();
    let (into, target) = empty();
    block_on(block_on(opened(&file, unlock())).restore_org(id(), &target, |_| ())).unwrap();
    for store in [new, into] {
        let mut restored = rows(&store);
        let notes = restored.len();
        restored.retain(|key, _| RowKey::parse(key).kind != Kind::Export);
        assert_eq!(restored.len() + 1, notes);
        let receipt = block_on(org(&open(load(&restored))).shred()).unwrap();
        let because = vec![NotDestroyed::RootInUse, NotDestroyed::OrgBackup];
        assert_eq!(receipt.effect, ShredEffect::Logical { because });
    }
}

#[test]
fn a_new_vault_knows_of_backups_under_other_keys_as_soon_as_it_opens() {
    let vault = open(load(&furnished()));
    one_org(&vault);
    let file = whole(&vault);
    let left = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || MemoryStore::new(),
        async |store| drop(as_new(&file, unlock(), store).await),
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    for (stop, store) in left.into_inner() {
        let mut restored = rows(&store);
        restored.retain(|key, _| RowKey::parse(key).kind != Kind::Export);
        let opened = block_on(Vault::open(load(&restored), unlock()));
        let complete = stop == Stop::Never || stop == Stop::After(commits_len - 1);
        assert_eq!(opened.is_ok(), complete, "{stop:?}");
        if let Ok(vault) = opened {
            let receipt = block_on(org(&vault).shred()).unwrap();
            let because = vec![NotDestroyed::RootInUse, NotDestroyed::OrgBackup];
            assert_eq!(receipt.effect, ShredEffect::Logical { because }, "{stop:?}");
        }
    }
}

#[test]
fn the_notes_of_backups_of_every_org_are_sealed_again_by_a_restore() {
    let (_, vault) = empty();
    let ids: [strongroom::OrgId; 2] = [id(), crate::rig::OTHER_ORG.parse().unwrap()];
    for id in ids {
        block_on(vault.org(id, Environment::test()).define(text("V"))).unwrap();
        block_on(vault.backup_org(id, other(), Vec::new(), |_| ())).unwrap();
    }
    let new = Arc::new(MemoryStore::new());
    block_on(as_new(&whole(&vault), unlock(), Arc::clone(&new))).unwrap();
    let mut restored = rows(&new);
    restored.retain(|key, _| RowKey::parse(key).kind != Kind::Export);
    let vault = open(load(&restored));
    for id in ids {
        let receipt = block_on(vault.org(id, Environment::test()).shred()).unwrap();
        let because = vec![NotDestroyed::RootInUse, NotDestroyed::OrgBackup];
        assert_eq!(receipt.effect, ShredEffect::Logical { because });
    }
}

#[test]
fn an_org_comes_into_a_vault_that_lives() {
    let base = furnished();
    let vault = open(load(&base));
    for (file, key) in [(whole(&vault), unlock()), (one_org(&vault), other())] {
        let (store, target) = empty();
        let there = target.org(crate::rig::OTHER_ORG.parse().unwrap(), Environment::test());
        block_on(there.define(text("THERE"))).unwrap();
        // That there is nothing yet is known to this vault.
        assert_eq!(identities(&org(&target)).len(), 0);
        let mut backup = block_on(opened(&file, key));
        let summary = block_on(backup.restore_org(id(), &target, |_| ())).unwrap();
        assert!((summary.rows, summary.tenants) > (10, 0));
        assert_eq!(view(&org(&target)), view(&org(&vault)));
        assert_eq!(identities(&org(&target)), identities(&org(&vault)));
        assert!(block_on(there.definition("THERE")).unwrap().is_some());
        sound(&store);
        assert!(sealed(&rows(&store)).is_disjoint(&sealed(&base)));
        let again = block_on(backup.restore_org(id(), &target, |_| ()));
        assert!(matches!(again, Err(Error::OrgNotEmpty(_))));
        let missing = "00000000000000000000000f".parse().unwrap();
        let refused = block_on(backup.restore_org(missing, &target, |_| ()));
        assert!(matches!(refused, Err(Error::OrgNotFound(_))));
    }
}

#[test]
fn what_a_delete_left_to_be_swept_is_swept_there() {
    for verb in verbs().into_iter().filter(crate::rig::Verb::cascades) {
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
        let vault = open(Arc::clone(&store));
        let expected = view(&org(&vault));
        // A shred of the org is finished before the org is backed up by itself.
        let left_of_one = usize::from(verb.name != "shred");
        for (file, key, left) in [(whole(&vault), unlock(), 1), (one_org(&vault), other(), left_of_one)] {
            let restored = Arc::new(MemoryStore::new());
            let new = block_on(as_new(&file, key, Arc::clone(&restored))).unwrap();
            assert_eq!(view(&org(&new)), expected, "{}", verb.name);
            assert_eq!(block_on(new.run_jobs()).unwrap(), left, "{}", verb.name);
            crate::rig::verified(&restored);
            assert_eq!(view(&org(&new)), expected, "{}", verb.name);
        }
    }
}

#[test]
fn what_is_written_first_to_an_org_restored_amid_its_shred_stays() {
    let store = load(&furnished());
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    let restored = Arc::new(MemoryStore::new());
    let new = block_on(as_new(&whole(&open(store)), unlock(), Arc::clone(&restored))).unwrap();
    block_on(org(&new).define(text("V"))).unwrap();
    let written = view(&org(&new));
    assert_eq!(block_on(new.run_jobs()).unwrap(), 0);
    assert_eq!(view(&org(&new)), written);
    crate::rig::verified(&restored);
}

#[test]
fn the_job_of_a_shred_that_is_over_does_not_come_along() {
    let base = furnished();
    let store = load(&base);
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    let is_new = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Job && !base.contains_key(key);
    let job = rows(&store).into_iter().find(|(key, _)| is_new(key)).unwrap();
    let put_back: Rows = base.clone().into_iter().chain([job]).collect();
    let file = whole(&open(load(&put_back)));
    let restored = Arc::new(MemoryStore::new());
    let new = block_on(as_new(&file, unlock(), Arc::clone(&restored))).unwrap();
    assert_eq!(view(&org(&new)), view(&org(&open(load(&base)))));
    assert!(!rows(&restored).keys().any(is_new));
}

#[test]
fn a_key_of_no_row_is_told_from_an_altered_file() {
    let mut planted = furnished();
    let count = planted.keys().find(|key| RowKey::parse(key).kind == Kind::Count).unwrap();
    let key = [&count[..count.len() - 1], &[0x7f, 1][..]].concat();
    planted.insert(key, b"junk".to_vec());
    let file = whole(&open(load(&planted)));
    let error = block_on(as_new(&file, unlock(), MemoryStore::new())).unwrap_err();
    assert!(crate::rig::is_damage(&error), "{error}");
}

#[test]
fn a_write_at_any_moment_of_a_backup_of_one_org_is_in_it_or_not() {
    let base = furnished();
    let before = view(&org(&open(load(&base))));
    for verb in verbs() {
        let after = verb.view_after(&base);
        for skip in 0.. {
            let hooked = Hooked::new(load(&base));
            let vault = open(hooked.clone());
            let writer = org(&vault);
            hooked.once_after(Point::AfterRead, skip, move || drop(block_on(verb.run(writer))));
            let file = one_org(&vault);
            if hooked.hooks_left() > 0 {
                break;
            }
            let restored = Arc::new(MemoryStore::new());
            let new = block_on(as_new(&file, other(), Arc::clone(&restored))).unwrap();
            block_on(new.run_jobs()).unwrap();
            let seen = view(&org(&new));
            assert!(seen == before || seen == after, "{} at read {skip}", verb.name);
            crate::rig::verified(&restored);
        }
    }
}

#[test]
fn a_new_vault_that_is_cut_short_at_any_commit_is_finished_with_the_same_key() {
    let vault = open(load(&furnished()));
    let expected = view(&org(&vault));
    let file = whole(&vault);
    let stops = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || Altered::small(MemoryStore::new()),
        async |store| drop(as_new(&file, unlock(), store).await),
        async |stop, store| stops.borrow_mut().push((stop, store)),
    );
    assert!(commits_len > 3);
    for (stop, store) in stops.into_inner() {
        let complete = stop == Stop::Never || stop == Stop::After(commits_len - 1);
        let now = block_on(Vault::open(store.clone(), unlock()));
        assert_eq!(now.is_ok(), complete, "{stop:?}");
        if !complete {
            if stop != Stop::Before(0) {
                let wrong = block_on(opened(&file, unlock()));
                let wrong = block_on(wrong.restore_as_new(store.clone(), other(), |_| ()));
                assert!(matches!(wrong, Err(Error::WrongKey)), "{stop:?}");
            }
            block_on(as_new(&file, unlock(), store.clone())).unwrap();
        }
        assert_eq!(view(&org(&open(store.clone()))), expected, "{stop:?}");
        sound(&store);
    }
}

#[test]
fn a_new_vault_that_was_cut_short_keeps_the_settings_with_which_it_was_begun() {
    let file = one_org(&open(load(&furnished())));
    let store = Arc::new(MemoryStore::new());
    let mut audited = Settings::default();
    audited.audit = true;
    let begin = async {
        let stopped =
            Faulty::new(Arc::clone(&store)).on_commits(0..=0, Fault::After(StoreErrorKind::Poisoned));
        let backup = Backup::open_with(Cursor::new(&file), other(), options().settings(audited)).await?;
        backup.restore_as_new(stopped, unlock(), |_| ()).await
    };
    assert!(block_on(begin).is_err());
    let new = block_on(as_new(&file, other(), Arc::clone(&store))).unwrap();
    block_on(org(&new).set_value("V", Scope::Org, "after")).unwrap();
    assert!(rows(&store).keys().any(|key| RowKey::parse(key).kind == Kind::Event));
    sound(&store);
}

#[test]
fn an_org_that_is_cut_short_at_any_commit_goes_on() {
    let vault = open(load(&furnished()));
    let expected = view(&org(&vault));
    let file = one_org(&vault);
    let (target, _) = empty();
    let target = rows(&target);
    let stops = RefCell::new(Vec::new());
    let restore = async |store| {
        let target = Vault::open(store, unlock()).await?;
        opened(&file, other()).await.restore_org(id(), &target, |_| ()).await
    };
    let commits_len = crash_at_every_commit(
        async || Altered::small(crate::rig::fill(&target).await),
        async |store| drop(restore(store).await),
        async |stop, store| stops.borrow_mut().push((stop, store)),
    );
    assert!(commits_len > 3);
    for (stop, store) in stops.into_inner() {
        match block_on(restore(store.clone())) {
            Ok(_) => {}
            Err(Error::OrgNotEmpty(_)) => {
                assert!(stop == Stop::Never || stop == Stop::After(commits_len - 1), "{stop:?}");
            }
            Err(error) => panic!("{stop:?}: {error}"),
        }
        assert_eq!(view(&org(&open(store.clone()))), expected, "{stop:?}");
        assert!(!rows(&store).keys().any(|key| key[..2] == [0, 0x12]), "no note is left");
        sound(&store);
    }
}

#[test]
fn a_restore_of_an_org_leaves_no_note_whenever_the_settings_change_meanwhile() {
    let file = one_org(&open(load(&furnished())));
    for skip in 0.. {
        let (store, _) = empty();
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let (target, elsewhere) = (open(hooked.clone()), Arc::clone(&store));
        hooked.once_after(Point::BeforeCommit, skip, move || {
            block_on(open(elsewhere).change_settings(|settings| settings.generations = true)).unwrap();
        });
        let restore = || block_on(block_on(opened(&file, other())).restore_org(id(), &target, |_| ()));
        match restore() {
            Ok(_) => {}
            // Before anything was written.
            Err(Error::Contended(_)) => assert!(restore().is_ok()),
            Err(error) => panic!("at commit {skip}: {error}"),
        }
        if hooked.hooks_left() > 0 {
            break;
        }
        assert!(!rows(&store).keys().any(|key| key[..2] == [0, 0x12]), "a note is left at commit {skip}");
        sound(&store);
    }
}

#[test]
fn an_org_that_was_written_to_all_the_time_is_whole_as_a_new_vault() {
    let store = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&store));
    let vault = open(hooked.clone());
    let writing = open(store);
    for number in 0..200 {
        let writer = org(&writing);
        hooked.once(Point::AfterRead, move || {
            block_on(async {
                let name = format!("N{}", number % 7);
                if number % 3 == 2 {
                    drop(writer.delete_definition(name.as_str()).await);
                } else {
                    drop(writer.define(text(&name)).await);
                    drop(
                        writer
                            .set_value(name.as_str(), crate::rig::of_account("u"), format!("{number}"))
                            .await,
                    );
                }
            });
        });
    }
    let mut file = Vec::new();
    let summary = block_on(vault.backup_org(id(), other(), &mut file, |_| ())).unwrap();
    assert_eq!(summary.unsettled.len(), 1);
    let restored = Arc::new(MemoryStore::new());
    let new = block_on(as_new(&file, other(), Arc::clone(&restored))).unwrap();
    view(&org(&new));
    let report = block_on(new.verify()).unwrap();
    assert_eq!(report.unverifiable, 0, "{report}");
}

#[test]
fn an_org_whose_names_changed_hands_all_the_time_comes_as_a_new_vault() {
    let (store, vault) = empty();
    let names: Vec<String> = (0..600).map(|number| format!("N{number}")).collect();
    let definitions: Vec<_> = names.iter().map(|name| text(name)).collect();
    let mut made = block_on(org(&vault).define_and_set(&definitions, &[])).unwrap().definitions;
    made.sort_by_key(ToString::to_string);
    // Their rows are read in different pieces, so the file can show both under one name.
    let (first, last) = (made[0], made[599]);
    let hooked = Hooked::new(Arc::clone(&store));
    for round in 0..200 {
        let writer = org(&vault);
        hooked.once(Point::AfterRead, move || {
            let names = if round % 2 == 0 { ["ONE", "OTHER"] } else { ["OTHER", "ONE"] };
            for (id, name) in [(first, "PASSING"), (last, names[1]), (first, names[0])] {
                block_on(writer.update_definition(id, DefinitionChange::new().name(name))).unwrap();
            }
        });
    }
    let file = one_org(&open(hooked.shared()));
    let new = block_on(as_new(&file, other(), Arc::new(MemoryStore::new()))).unwrap();
    for id in made {
        assert!(block_on(org(&new).definition(id)).unwrap().is_some());
    }
    assert_eq!(block_on(new.verify()).unwrap().unverifiable, 0);
}

#[test]
fn a_value_comes_as_a_new_vault_together_with_its_deletion_if_the_file_has_both() {
    let store = crate::unreadable_rows::furnished();
    let key = first(&store, Kind::Value);
    let value = rows(&store)[&key].clone();
    let vault = open(Arc::clone(&store));
    let kept = WriteOptions::default().keep_history();
    block_on(org(&vault).delete_value_with("V", of_account("a"), kept)).unwrap();
    put(&store, &key, Some(&value));
    for (file, key) in [(whole(&vault), unlock()), (one_org(&vault), other())] {
        let restored = Arc::new(MemoryStore::new());
        block_on(as_new(&file, key, Arc::clone(&restored))).unwrap();
        let kinds: Vec<_> = rows(&restored).keys().map(|key| RowKey::parse(key).kind).collect();
        for kind in [Kind::Value, Kind::DeletedValue, Kind::DefinitionValue] {
            assert_eq!(kinds.iter().filter(|found| **found == kind).count(), 1, "{kind:?}");
        }
    }
}
