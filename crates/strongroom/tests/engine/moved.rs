//! Copies, backups and restores: what they leave in the target, what they tell, and where an earlier run was cut short.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use strongroom::store::{Store, StoreErrorKind};
use strongroom::{
    Backup, Environment, Error, FormatChange, NewValue, OnMismatch, Phase, Progress, RawKey, Scope, Unlock,
    VarFormat, Vault, WrongStore,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::SmallStore;
use crate::rig::{
    Hooked, Kind, Paged, Point, RowKey, Rows, empty, flip, furnished, load, of_account, open, org, rows,
    stop_after_first_commit, text, unlock, verified, view,
};

fn other() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([9; 32]))
}

fn file_of(vault: &Vault) -> Vec<u8> {
    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();
    file
}

fn opened(file: &[u8]) -> Backup<Cursor<&[u8]>> {
    block_on(Backup::open(Cursor::new(file), unlock())).unwrap()
}

fn replace(file: &[u8], store: Arc<dyn Store>) -> Result<Vault, Error> {
    block_on(opened(file).replace_original(store, |_| ()))
}

fn as_new(file: &[u8], store: Arc<dyn Store>, unlock: Unlock) -> Result<Vault, Error> {
    block_on(opened(file).restore_as_new(store, unlock, |_| ()))
}

/// A restore of a file into a store.
type Restore = fn(&[u8], Arc<dyn Store>) -> Result<Vault, Error>;

/// A store in which a restore came as far as its last commit.
fn cut_short(file: &[u8], restore: Restore) -> Faulty<MemoryStore> {
    let store = Faulty::new(MemoryStore::new()).on_commits(2.., Fault::Before(StoreErrorKind::Unavailable));
    assert!(restore(file, Arc::new(store.clone())).is_err());
    store.reopen()
}

#[test]
fn a_file_says_of_which_store_it_is() {
    let vault = open(load(&furnished()));
    assert_eq!(opened(&file_of(&vault)).store_id(), vault.store_id());
}

#[test]
fn a_row_that_is_not_of_the_file_is_refused_where_a_restore_goes_on() {
    let file = file_of(&open(load(&furnished())));
    let restores: [Restore; 2] = [replace, |file, store| as_new(file, store, unlock())];
    for (way, restore) in restores.into_iter().enumerate() {
        let mut left = rows(&cut_short(&file, restore));
        assert!(restore(&file, load(&left)).is_ok(), "it goes on where nothing was altered");
        let key = left.keys().find(|key| RowKey::parse(key).kind == Kind::DefinitionName).unwrap().clone();
        flip(left.get_mut(&key).unwrap(), usize::MAX, 0);
        let refused = restore(&file, load(&left)).err();
        assert!(matches!(refused, Some(Error::Damaged { .. })), "{way}: {refused:?}");
    }
}

#[test]
fn a_store_of_another_restore_is_told_from_one_that_another_key_began() {
    let vault = open(load(&furnished()));
    let (file, later) = (file_of(&vault), file_of(&vault));
    let left = cut_short(&file, |file, store| as_new(file, store, unlock()));
    let refused = as_new(&later, Arc::new(left.clone()), other()).err();
    assert!(matches!(refused, Some(Error::WrongStore(WrongStore::Unfinished))), "{refused:?}");
    let refused = as_new(&file, Arc::new(left), other()).err();
    assert!(matches!(refused, Some(Error::WrongKey)), "{refused:?}");
}

#[test]
fn a_restore_that_begins_looks_for_no_row_of_an_earlier_one() {
    let store = Faulty::new(MemoryStore::new());
    as_new(&file_of(&open(load(&furnished()))), Arc::new(store.clone()), unlock()).unwrap();
    assert!(store.reads_len() < 10, "{} reads", store.reads_len());
}

#[test]
fn a_copy_of_which_another_run_took_over_is_told_so() {
    let source = load(&furnished());
    let (one, other) = (open(Arc::clone(&source)), open(Arc::clone(&source)));
    let target = Hooked::new(Arc::default());
    let same = target.clone();
    target
        .once_after(Point::BeforeCommit, 1, move || assert!(block_on(other.copy_to(&same, |_| ())).is_ok()));
    let refused = block_on(one.copy_to(&target, |_| ()));
    assert!(matches!(refused, Err(Error::Contended(_))), "{refused:?}");
}

#[test]
fn a_row_that_is_written_again_at_any_moment_of_a_copy_arrives_as_it_was_written_last() {
    let base = furnished();
    for skip in (0..).step_by(9) {
        let source = load(&base);
        let hooked = Hooked::new(Arc::clone(&source));
        // Each row is a section of its own, so that there are more than one read covers.
        let vault = open(Paged::of(hooked.clone(), 1));
        let writer = org(&open(Arc::clone(&source)));
        hooked.once_after(Point::AfterRead, skip, move || {
            let again = block_on(async {
                writer.set_value("V", Scope::Org, "again").await?;
                writer.records("visitor".parse()?).put(&"r".parse()?, "again").await
            });
            assert!(matches!(again, Ok(_) | Err(Error::Retired)), "{again:?}");
        });
        let target = Arc::new(MemoryStore::new());
        block_on(vault.copy_to(&target, |_| ())).unwrap();
        if hooked.hooks_left() > 0 {
            break;
        }
        assert_eq!(view(&org(&open(target))), view(&org(&vault)), "read {skip}");
    }
}

#[test]
fn a_job_that_ends_at_any_moment_of_a_backup_is_in_it_or_not() {
    let begun = load(&furnished());
    stop_after_first_commit(&begun, async |org| drop(org.delete_definition("V").await));
    let begun = rows(&begun);
    let expected = view(&org(&open(load(&begun))));
    let mut jobs = Vec::new();
    for skip in 0.. {
        let source = load(&begun);
        let hooked = Hooked::new(Arc::clone(&source));
        let vault = open(hooked.clone());
        let worker = open(source);
        hooked.once_after(Point::AfterRead, skip, move || assert!(block_on(worker.run_jobs()).is_ok()));
        let file = file_of(&vault);
        if hooked.hooks_left() > 0 {
            break;
        }
        let restored = Arc::new(MemoryStore::new());
        let new = replace(&file, restored.clone()).unwrap();
        jobs.push(block_on(new.run_jobs()).unwrap());
        assert_eq!(view(&org(&new)), expected, "read {skip}");
        verified(&restored);
    }
    assert!(jobs.contains(&0), "in some it had ended: {jobs:?}");
}

#[test]
fn a_mark_at_any_moment_of_a_backup_is_no_change_of_keys() {
    let base = furnished();
    for skip in 0.. {
        let source = load(&base);
        let hooked = Hooked::new(Arc::clone(&source));
        let vault = open(hooked.clone());
        let marking = open(source);
        hooked.once_after(Point::AfterRead, skip, move || assert!(block_on(marking.mark()).is_ok()));
        opened(&file_of(&vault));
        if hooked.hooks_left() > 0 {
            break;
        }
    }
}

#[test]
fn a_key_that_is_added_at_any_moment_of_a_backup_opens_it_or_the_backup_is_to_be_made_again() {
    let base = furnished();
    let mut unopened = 0;
    for skip in 0.. {
        let source = load(&base);
        let hooked = Hooked::new(Arc::clone(&source));
        let vault = open(hooked.clone());
        let slots = open(source).slots();
        hooked.once_after(Point::AfterRead, skip, move || assert!(block_on(slots.add(other())).is_ok()));
        let mut file = Vec::new();
        let made = block_on(vault.backup(&mut file, |_| ()));
        if hooked.hooks_left() > 0 {
            break;
        }
        match made {
            Ok(_) => unopened += usize::from(block_on(Backup::open(Cursor::new(file), other())).is_err()),
            Err(error) => assert!(matches!(error, Error::Contended(_)), "{error}"),
        }
    }
    assert_eq!(unopened, 1, "only where it came after the last read");
}

#[test]
fn a_tenant_that_is_written_to_for_some_passes_is_from_one_moment_all_the_same() {
    let store = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&store));
    let (vault, writing) = (open(hooked.clone()), open(store));
    for number in 0..16 {
        let writer = org(&writing);
        hooked.once(Point::AfterRead, move || {
            block_on(writer.set_value("V", Scope::Org, format!("{number}"))).unwrap();
        });
    }
    let summary = block_on(vault.backup(&mut Vec::new(), |_| ())).unwrap();
    assert_eq!((summary.unsettled, hooked.hooks_left()), (Vec::new(), 0));
}

#[test]
fn progress_counts_the_rows_of_each_phase_through_all_tenants() {
    let vault = open(load(&furnished()));
    let production = vault.org(*org(&vault).id(), Environment::production());
    block_on(production.define(text("V"))).unwrap();
    let told = Mutex::new(Vec::<Progress>::new());
    let last = |phase| {
        let told = told.lock().unwrap();
        told.iter().rev().find(|progress| progress.phase == phase).map(|progress| progress.rows)
    };
    let mut file = Vec::new();
    let summary = block_on(vault.backup(&mut file, |progress| told.lock().unwrap().push(progress))).unwrap();
    assert_eq!(last(Phase::Rows), Some(summary.rows));
    let moved = empty().1;
    let restored = block_on(opened(&file).restore_org(*org(&vault).id(), &moved, |_| ())).unwrap();
    assert_eq!((restored.rows, restored.tenants), (summary.rows, 2));
    told.lock().unwrap().clear();
    let progress = |progress| told.lock().unwrap().push(progress);
    let summary = block_on(vault.copy_to(&MemoryStore::new(), progress)).unwrap();
    assert_eq!(last(Phase::Check), Some(summary.rows));
}

#[test]
fn a_value_that_a_change_of_format_left_is_still_one_in_a_new_vault() {
    let (_, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("PORT"))).unwrap();
    block_on(org.set_value("PORT", Scope::Org, "http")).unwrap();
    let change = FormatChange::to(VarFormat::Integer);
    block_on(org.change_format("PORT", &change, OnMismatch::Grandfather)).unwrap();
    let new = as_new(&file_of(&vault), Arc::new(MemoryStore::new()), unlock()).unwrap();
    let report = block_on(new.verify()).unwrap();
    assert!(report.is_clean() && report.grandfathered == 1, "{report}");
}

/// A vault, and how many commits at most bring it into a store of small batches.
fn move_in_small_batches(vault: &Vault, commits_max: usize) {
    let file = file_of(vault);
    let targets = [(); 3].map(|()| Faulty::new(SmallStore::default()));
    let [replaced, new, copied] = &targets;
    replace(&file, Arc::new(replaced.clone())).unwrap();
    as_new(&file, Arc::new(new.clone()), unlock()).unwrap();
    block_on(vault.copy_to(copied, |_| ())).unwrap();
    for target in targets {
        assert!(target.commits_len() <= commits_max, "{} commits", target.commits_len());
    }
}

#[test]
fn long_rows_are_moved_in_few_batches_that_the_target_takes() {
    let (_, vault) = empty();
    let long = "x".repeat(60_000);
    for number in 0..40 {
        let records = org(&vault).records("notes".parse().unwrap());
        block_on(records.put(&format!("{number:02}").parse().unwrap(), long.as_str())).unwrap();
    }
    move_in_small_batches(&vault, 10);
}

#[test]
fn rows_of_many_accounts_are_moved_in_few_batches_that_the_target_takes() {
    for more in 0..5 {
        let (_, vault) = empty();
        let definitions: Vec<_> = (0..=more).map(|number| text(&format!("V{number}"))).collect();
        let accounts: Vec<_> = (0..60).map(|number| of_account(&format!("a{number:02}"))).collect();
        let values: Vec<_> = accounts.iter().map(|scope| NewValue::new("V0", scope, "v")).collect();
        block_on(org(&vault).define_and_set(&definitions, &values)).unwrap();
        move_in_small_batches(&vault, 7);
    }
}

#[test]
fn any_number_of_notes_of_backups_comes_along_in_batches_that_the_target_takes() {
    let source = load(&furnished());
    let vault = open(Arc::clone(&source));
    block_on(vault.backup_org(*org(&vault).id(), other(), Vec::new(), |_| ())).unwrap();
    let mut base = rows(&source);
    let is_note = |key: &[u8]| RowKey::parse(key).kind == Kind::Export;
    let note = base.keys().find(|key| is_note(key)).unwrap().clone();
    let row = base[&note].clone();
    for number in 1..300_u16 {
        let mut key = note.clone();
        let at = key.len() - 2;
        key[at..].copy_from_slice(&number.to_be_bytes());
        base.insert(key, row.clone());
    }
    let notes = |rows: &Rows| rows.keys().filter(|key| is_note(key)).count();
    let expected = notes(&base);
    let target = Arc::new(SmallStore::default());
    as_new(&file_of(&open(load(&base))), target.clone(), unlock()).unwrap();
    assert!(expected >= 299 && notes(&rows(&target)) == expected);
}

#[test]
fn definitions_are_counted_anew_where_an_org_is_restored() {
    let (store, vault) = empty();
    block_on(org(&vault).define(text("A"))).unwrap();
    let of_one = rows(&store).into_iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Count).unwrap();
    block_on(org(&vault).define(text("B"))).unwrap();
    let mut wrong = rows(&store);
    wrong.extend([of_one]);
    let mut file = Vec::new();
    block_on(open(load(&wrong)).backup_org(*org(&vault).id(), unlock(), &mut file, |_| ())).unwrap();
    let (target, moved) = empty();
    block_on(opened(&file).restore_org(*org(&vault).id(), &moved, |_| ())).unwrap();
    verified(&target);
}
