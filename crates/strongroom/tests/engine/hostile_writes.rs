//! A backend that alters, moves, replays and removes rows under those who write: each verb succeeds or writes nothing,
//! and nothing comes back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::Error;

use crate::rig::{
    Kind, RowKey, account, flip, furnished, is_damage, is_of_tenant, load, of_account, open, org, rows,
};
use crate::rig::{shown, stop_after_first_commit, verbs, view};

#[test]
fn a_value_id_that_leads_elsewhere_deletes_nothing_there() {
    let base = furnished();
    let ids: Vec<_> = base.keys().filter(|key| RowKey::parse(key).kind == Kind::ValueId).collect();
    for (one, other) in ids.iter().zip(ids.iter().skip(1)) {
        let mut rows_now = base.clone();
        rows_now.insert(one.to_vec(), base[*other].clone());
        let store = load(&rows_now);
        let hex: String = RowKey::parse(one).rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let deleted = block_on(org(&open(Arc::clone(&store))).delete_value_by_id(&hex.parse().unwrap()));
        assert!(deleted.unwrap().is_none());
        assert_eq!(rows(&store), rows_now);
    }
}

#[test]
fn a_value_that_was_copied_over_another_holds_up_no_sweep() {
    let base = furnished();
    let values: Vec<_> = base.keys().filter(|key| RowKey::parse(key).kind == Kind::Value).collect();
    for (one, other) in values.iter().flat_map(|one| values.iter().map(move |other| (*one, *other))) {
        let mut copied = base.clone();
        copied.insert(other.clone(), base[one].clone());
        for deleted in ["definition", "account"] {
            let vault = open(load(&copied));
            let swept = match deleted {
                "definition" => block_on(org(&vault).delete_definition("V")),
                _ => block_on(org(&vault).delete_account(&account("a"))),
            };
            assert!(swept.is_ok(), "{deleted}: {swept:?}");
            assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
        }
    }
}

#[test]
fn a_job_that_is_altered_or_moved_is_damage_and_one_that_is_missing_sweeps_nothing() {
    for deleted in ["definition", "account"] {
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| match deleted {
            "definition" => drop(org.delete_definition("V").await),
            _ => drop(org.delete_account(&account("a")).await),
        });
        let base = rows(&store);
        let seen = view(&org(&open(Arc::clone(&store))));
        let job = base.keys().find(|key| RowKey::parse(key).kind == Kind::Job).unwrap();
        for byte in 0..base[job].len() {
            let mut altered = base.clone();
            flip(altered.get_mut(job).unwrap(), byte, (byte % 8) as u8);
            let store = load(&altered);
            assert!(is_damage(&block_on(open(Arc::clone(&store)).run_jobs()).unwrap_err()));
            assert_eq!(rows(&store), altered, "nothing is written");
        }
        let mut moved = base.clone();
        let row = moved.remove(job).unwrap();
        let mut elsewhere = job.clone();
        flip(&mut elsewhere, usize::MAX, 0);
        moved.insert(elsewhere, row);
        let store = load(&moved);
        assert!(is_damage(&block_on(open(Arc::clone(&store)).run_jobs()).unwrap_err()));
        assert_eq!(rows(&store), moved);

        let mut missing = base.clone();
        missing.remove(job);
        let vault = open(load(&missing));
        assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
        assert_eq!(view(&org(&vault)), seen, "what was deleted stays so");
        let made = block_on(org(&vault).upsert_account(account("a")).into_future());
        match deleted {
            "definition" => assert!(made.is_ok()),
            _ => assert!(matches!(made, Err(ref error) if is_damage(error)), "{made:?}"),
        }
    }
}

#[test]
fn an_account_row_that_is_missing_or_replayed_brings_no_key_back() {
    let store = load(&furnished());
    let old = rows(&store);
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&account("a")).await));
    let base = rows(&store);
    let place = base.keys().find(|key| {
        let key = RowKey::parse(key);
        key.kind == Kind::Account && key.rest == b"a\0"
    });
    let place = place.unwrap();
    for row in [None, Some(old[place].clone())] {
        let mut rows_now = base.clone();
        match row {
            Some(row) => rows_now.insert(place.clone(), row),
            None => rows_now.remove(place),
        };
        let vault = open(load(&rows_now));
        let tenant = org(&vault);
        assert!(block_on(tenant.value("V", &of_account("a"))).unwrap().is_none());
        let found = block_on(tenant.account(account("a")).credential("k"));
        assert!(matches!(found, Ok(None) | Err(Error::IntegrationNotFound { .. })), "{found:?}");
        block_on(vault.run_jobs()).unwrap();
        assert!(block_on(tenant.value("V", &of_account("a"))).unwrap().is_none());
    }
}

#[test]
fn a_writer_that_meets_a_damaged_row_succeeds_or_writes_nothing() {
    let base = furnished();
    for key in base.keys().filter(|key| is_of_tenant(key) && !RowKey::parse(key).is_index()) {
        for way in ["altered", "empty", "of another row"] {
            let mut damaged = base.clone();
            let row = damaged.get_mut(key).unwrap();
            match way {
                "altered" => flip(row, usize::MAX, 0),
                "empty" => row.clear(),
                _ => *row = base.iter().rfind(|(other, _)| *other != key).unwrap().1.clone(),
            }
            for verb in verbs() {
                let store = load(&damaged);
                let answer = block_on(verb.run(org(&open(Arc::clone(&store)))));
                let what = format!("{} with {} {way}", verb.name, shown(key));
                match answer {
                    Ok(_) => {}
                    // The first batch of a cascade stands; the sweep met the damage.
                    Err(error) if is_damage(&error) && verb.cascades() => {}
                    Err(error) => {
                        let typed = is_damage(&error)
                            || matches!(
                                error,
                                Error::IntegrationNotFound { .. } | Error::DefinitionNotFound(_)
                            );
                        assert!(typed, "{what}: {error:?}");
                        assert_eq!(rows(&store), damaged, "{what}: {error:?}, and yet it wrote");
                    }
                }
            }
        }
    }
}
