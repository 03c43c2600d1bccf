//! Each way that a row can be wrong is a cause of its own in a report, and what is counted is counted once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    Cause, Damage, DefinitionChange, Environment, Index, Parent, RowName, Scope, ScopeKind, Scopes,
    VarFormat, VariableDefinition, VaultOptions, VerifyReport,
};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Altered, Kind, OTHER_ORG, Paged, RowKey, Rows, dek_id, empty, flip, furnished, load, of_workflow, open,
    org, rows, stop_after_first_commit, text, unlock, verbs,
};

fn verify(rows: &Rows) -> VerifyReport {
    block_on(open(load(rows)).verify()).unwrap()
}

fn keys_of(rows: &Rows, kind: Kind) -> Vec<Vec<u8>> {
    rows.keys().filter(|key| RowKey::parse(key).kind == kind).cloned().collect()
}

/// The rows of findings and their causes.
fn found(report: &VerifyReport) -> Vec<(RowName, Cause)> {
    report.findings.iter().map(|found| (found.path.row, found.cause.clone())).collect()
}

/// Where in a sealed row the id of its key begins.
fn place_of_dek_id(row: &[u8]) -> usize {
    let id = dek_id(row);
    row.windows(id.len()).position(|part| part == id).unwrap()
}

/// What the verb leaves when its process ends after the first commit.
fn cut_short(store: &Arc<MemoryStore>, name: &str) {
    let verb = verbs().into_iter().find(|verb| verb.name == name).unwrap();
    stop_after_first_commit(store, async |org| drop(verb.run(org).await));
}

#[test]
fn a_row_of_an_unknown_key_or_release_is_named_as_such_and_stays() {
    let whole = furnished();
    let key = &keys_of(&whole, Kind::Record)[0];
    for (at, cause) in [(1, "unknown_version"), (place_of_dek_id(&whole[key]), "unknown_key")] {
        let mut rows = whole.clone();
        rows.get_mut(key).unwrap()[at] ^= 0x40;
        let report = verify(&rows);
        let [found] = report.findings.as_slice() else { panic!("{report}") };
        assert_eq!((found.path.row, found.cause.as_str()), (RowName::Record, cause));
        assert!(!found.is_unreadable(), "whoever has the key or the release reads it: {report}");
    }
}

#[test]
fn a_row_of_version_0_is_damaged() {
    let whole = furnished();
    let key = &keys_of(&whole, Kind::Record)[0];
    let record = place_of_dek_id(&whole[key]);
    // Of the row, of the record in it, and of its suite.
    for at in [1, record - 2, record - 1] {
        let mut rows = whole.clone();
        rows.get_mut(key).unwrap()[at] = 0;
        let report = verify(&rows);
        let [found] = report.findings.as_slice() else { panic!("{report}") };
        assert_eq!((found.cause.as_str(), found.is_unreadable()), ("malformed", true), "byte {at}");
    }
}

#[test]
fn a_default_that_the_format_of_this_host_refuses_is_found_at_its_definition() {
    let format = || "even".parse().unwrap();
    let store = Arc::new(MemoryStore::new());
    let lenient = VaultOptions::default().custom_format(format(), |_| Ok(()));
    let vault = block_on(lenient.create(Arc::clone(&store), unlock())).unwrap();
    let definition = VariableDefinition::new("N", VarFormat::Custom(format())).default_value("1");
    block_on(org(&vault).define(definition)).unwrap();
    let strict = VaultOptions::default().custom_format(format(), |_| Err("an even number is required"));
    let report = block_on(async { strict.open(store, unlock()).await?.verify().await }).unwrap();
    let [(RowName::Definition, Cause::Invalid(_))] = &found(&report)[..] else { panic!("{report}") };
}

#[test]
fn a_value_at_a_scope_that_its_definition_does_not_allow_is_found() {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    block_on(org.set_value("V", of_workflow("w"), "v")).unwrap();
    let with_value = rows(&store);
    block_on(org.delete_value("V", of_workflow("w"))).unwrap();
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    block_on(org.update_definition("V", narrow)).unwrap();
    block_on(vault.run_jobs()).unwrap();
    let mut rows = rows(&store);
    rows.extend(with_value.into_iter().filter(|(key, _)| {
        matches!(RowKey::parse(key).kind, Kind::Value | Kind::ValueId | Kind::DefinitionValue)
    }));
    let report = verify(&rows);
    assert_eq!(found(&report), [(RowName::Value, Cause::ScopeNotAllowed(ScopeKind::Workflow))], "{report}");
}

#[test]
fn a_damaged_row_that_no_scan_shows_is_found_where_another_row_needs_it() {
    let whole = furnished();
    for (kind, row) in [(Kind::Definition, RowName::Definition), (Kind::Keyring, RowName::Keyring)] {
        let mut rows = whole.clone();
        let hidden = keys_of(&rows, kind)[0].clone();
        flip(rows.get_mut(&hidden).unwrap(), usize::MAX, 0);
        let store = Altered::of(load(&rows)).on_read(move |_, set| {
            for page in &mut set.scans {
                page.rows.retain(|(key, _)| key.as_bytes() != hidden);
            }
        });
        let report = block_on(open(store).verify()).unwrap();
        let causes = found(&report).into_iter().filter(|(name, _)| *name == row).map(|(_, cause)| cause);
        assert_eq!(causes.collect::<Vec<_>>(), [Cause::Damaged(Damage::Rejected)], "{report}");
        assert!(report.unverifiable > 0, "{report}");
    }
}

#[test]
fn a_definition_that_cannot_be_read_is_one_finding_and_leaves_its_rows_unverifiable() {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for scope in [Scope::Org, of_workflow("w")] {
        block_on(org.set_value("V", scope, "v")).unwrap();
    }
    let mut rows = rows(&store);
    let key = &keys_of(&rows, Kind::Definition)[0];
    flip(rows.get_mut(key).unwrap(), usize::MAX, 0);
    let report = verify(&rows);
    assert_eq!(found(&report), [(RowName::Definition, Cause::Damaged(Damage::Rejected))], "{report}");
    assert_eq!(report.unverifiable, 3, "its name and two values: {report}");
}

#[test]
fn a_wrong_count_is_found_once_however_many_pages_of_definitions_there_are() {
    let (store, vault) = empty();
    let define = |numbers: std::ops::Range<u32>| {
        let definitions: Vec<_> = numbers.map(|number| text(&format!("N{number}"))).collect();
        block_on(org(&vault).define_and_set(&definitions, &[])).unwrap();
    };
    define(0..1);
    let count = &keys_of(&rows(&store), Kind::Count)[0];
    let of_one = rows(&store)[count].clone();
    define(1..250);
    let mut rows = rows(&store);
    rows.insert(count.clone(), of_one);
    let report = verify(&rows);
    assert_eq!(found(&report), [(RowName::Count, Cause::WrongCount { stated: 1, found: 250 })], "{report}");
    rows.remove(count);
    let report = verify(&rows);
    assert_eq!(found(&report), [(RowName::Count, Cause::Damaged(Damage::Missing))], "{report}");
}

#[test]
fn keys_beyond_those_that_a_report_lists_are_counted() {
    let store = load(&furnished());
    let behind = open(Arc::clone(&store)).org(OTHER_ORG.parse().unwrap(), Environment::test());
    block_on(behind.define(text("V"))).unwrap();
    let mut rows = rows(&store);
    let key = &keys_of(&rows, Kind::Record)[0];
    let mut row = rows[key].clone();
    let at = place_of_dek_id(&row);
    for number in 0..4_096_u32 {
        row[at..at + 4].copy_from_slice(&number.to_be_bytes());
        let other = format!("{number:08}\0");
        rows.insert([&key[..key.len() - 1], other.as_bytes()].concat(), row.clone());
    }
    let report = verify(&rows);
    assert_eq!((report.keys.len(), report.keys_left_off), (4_096, 1), "that of the other org");
}

#[test]
fn a_slot_of_another_place_or_vault_is_found() {
    let (whole, other) = (furnished(), rows(&empty().0));
    let [own, foreign] = [&whole, &other].map(|rows| keys_of(rows, Kind::Slot)[0].clone());
    let elsewhere = [&own[..2], &[9; 16]].concat();
    for (key, row) in [(elsewhere, &whole[&own]), (foreign.clone(), &other[&foreign])] {
        let mut rows = whole.clone();
        rows.insert(key, row.clone());
        let report = verify(&rows);
        assert_eq!(found(&report), [(RowName::Slot, Cause::Damaged(Damage::Inconsistent))], "{report}");
    }
}

#[test]
fn a_header_of_another_vault_that_comes_in_its_place_is_found() {
    let (store, other) = (load(&furnished()), rows(&empty().0));
    let vault = open(Arc::clone(&store));
    let mut batch = WriteBatch::default();
    for key in keys_of(&other, Kind::Header) {
        batch.put(key.as_slice().into(), other[&key].clone());
    }
    block_on((*store).commit(Arc::new(batch))).unwrap();
    let report = block_on(vault.verify()).unwrap();
    assert!(found(&report).contains(&(RowName::Header, Cause::Damaged(Damage::Inconsistent))), "{report}");
}

#[test]
fn an_index_row_that_is_lost_is_found_once_at_its_value_or_at_what_is_left_of_it() {
    let whole = furnished();
    for (kind, index, owners) in [
        (Kind::ValueId, Index::ValueId, &[RowName::Value][..]),
        (Kind::DefinitionValue, Index::DefinitionValue, &[RowName::Value, RowName::DeletedValue]),
    ] {
        let mut met = Vec::new();
        for key in keys_of(&whole, kind) {
            let mut rows = whole.clone();
            rows.remove(&key);
            let report = verify(&rows);
            let [(row, cause)] = &found(&report)[..] else { panic!("{report}") };
            assert_eq!(cause, &Cause::NotIndexed(index));
            met.push(*row);
        }
        assert!(owners.iter().all(|owner| met.contains(owner)), "{met:?}");
        assert!(met.iter().all(|row| owners.contains(row)), "{met:?}");
    }
}

#[test]
fn an_index_row_with_a_mark_of_no_release_is_found() {
    let whole = furnished();
    for key in keys_of(&whole, Kind::DefinitionValue) {
        let mut rows = whole.clone();
        let row = rows.get_mut(&key).unwrap();
        row.truncate(5);
        row.extend([0x41, 9]);
        let report = verify(&rows);
        let malformed = (RowName::DefinitionValue, Cause::Damaged(Damage::Malformed));
        assert!(found(&report).contains(&malformed), "{report}");
    }
}

/// Without the rows of kind `lost`, each row of these kinds is found as an orphan of `parent`.
fn assert_orphaned(lost: Kind, parent: Parent, kinds: [(Kind, RowName); 3]) {
    let mut rows = furnished();
    rows.retain(|key, _| RowKey::parse(key).kind != lost);
    let report = verify(&rows);
    for (kind, row) in kinds {
        let orphan = (row, Cause::Orphan(parent));
        let orphans = found(&report).into_iter().filter(|found| *found == orphan).count();
        assert_eq!(orphans, keys_of(&rows, kind).len(), "{row:?}: {report}");
        assert!(orphans > 0);
    }
}

#[test]
fn what_is_kept_of_values_whose_definition_is_lost_is_found() {
    let kinds = [
        (Kind::Value, RowName::Value),
        (Kind::FormerValue, RowName::FormerValue),
        (Kind::DeletedValue, RowName::DeletedValue),
    ];
    assert_orphaned(Kind::Definition, Parent::Definition, kinds);
}

#[test]
fn what_is_kept_of_credentials_whose_integration_is_lost_is_found() {
    let kinds = [
        (Kind::Credential, RowName::Credential),
        (Kind::FormerCredential, RowName::FormerCredential),
        (Kind::DeletedCredential, RowName::DeletedCredential),
    ];
    assert_orphaned(Kind::Integration, Parent::Integration, kinds);
}

#[test]
fn every_row_that_a_job_has_yet_to_take_away_is_left_over() {
    for name in ["delete_definition", "delete_account", "delete_integration"] {
        let store = load(&furnished());
        cut_short(&store, name);
        let (report, before) = (verify(&rows(&store)), rows(&store));
        block_on(open(Arc::clone(&store)).run_jobs()).unwrap();
        let after = rows(&store);
        let gone = before.keys().filter(|key| RowKey::parse(key).is_data() && !after.contains_key(*key));
        assert_eq!(report.leftover, gone.count() as u64, "{name}: {report}");
    }
}

#[test]
fn what_a_change_of_format_or_scopes_has_yet_to_look_at_is_no_finding() {
    for name in ["reformat", "narrow"] {
        let store = load(&furnished());
        cut_short(&store, name);
        let report = verify(&rows(&store));
        assert!(report.is_clean() && report.jobs == 1, "{name}: {report}");
    }
}

#[test]
fn with_more_jobs_than_are_read_each_row_may_belong_to_one() {
    let store = load(&furnished());
    cut_short(&store, "delete_definition");
    cut_short(&store, "delete_account");
    let report = block_on(open(Paged::of(Arc::clone(&store), 1)).verify()).unwrap();
    assert!(report.is_clean() && report.jobs == 2, "{report}");
}

#[test]
fn a_report_says_how_many_findings_and_questions_it_does_not_list() {
    let mut report = VerifyReport::default();
    assert!(!report.to_string().contains("more"));
    (report.findings_total, report.questions_total) = (2, 3);
    let text = report.to_string();
    assert!(text.contains("and 2 more\n"), "{text}");
    assert!(text.contains("and 3 more that are gone or were replaced\n"), "{text}");
}

#[test]
fn a_cause_names_the_index_or_the_parent() {
    for (cause, named) in [
        (Cause::NotIndexed(Index::DefinitionName), "of its name"),
        (Cause::NotIndexed(Index::DefinitionValue), "of its definition"),
        (Cause::NotIndexed(Index::ValueId), "of its document id"),
        (Cause::Orphan(Parent::Definition), "variable definition"),
        (Cause::Orphan(Parent::LinkedAccount), "linked account"),
        (Cause::Orphan(Parent::Integration), "integration"),
    ] {
        assert!(cause.to_string().contains(named), "{cause}");
    }
}
