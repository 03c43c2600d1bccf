//! Writers and readers on many threads at the same time: one outcome or the other, nothing lost, nothing half.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::{
    DefinitionChange, DefinitionId, Error, Expected, Org, PageRequest, Revision, Scope, ScopeKind, ScopePath,
    Scopes, Upsert, Vault, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::rig::{Hooked, Kind, RowKey, account, audit, base, load, of_account, open, org, rows, text};

/// A vault that alone writes to its store, and the same of two vaults that share one.
fn pairs(base: &Arc<MemoryStore>) -> [(Arc<MemoryStore>, Vault, Vault); 2] {
    let alone = load(&rows(base));
    let vault = open(Hooked::new(Arc::clone(&alone)));
    let shared = load(&rows(base));
    let two = (open(Arc::clone(&shared)), open(Arc::clone(&shared)));
    [(alone, vault.clone(), vault), (shared, two.0, two.1)]
}

/// Runs an attempt until other writers let it through.
fn insist<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match attempt() {
            Err(Error::Contended(_)) => {}
            answer => return answer,
        }
    }
}

/// Runs `work` on so many threads at once, half of them on each vault, and gathers the answers.
fn all_at_once<T: Send>(one: &Vault, other: &Vault, work: impl Fn(usize, Org) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(THREADS);
    thread::scope(|threads| {
        let spawned: Vec<_> = (0..THREADS)
            .map(|index| {
                let (start, work) = (&start, &work);
                let org = org(if index % 2 == 0 { one } else { other });
                threads.spawn(move || {
                    start.wait();
                    work(index, org)
                })
            })
            .collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn first_writes_to_one_scope_share_the_key_of_the_first() {
    let base = base(async |org| {
        for index in 0..THREADS {
            org.define(text(&format!("V{index}"))).await?;
        }
        Ok(())
    });
    for (store, one, other) in pairs(&base) {
        let written = all_at_once(&one, &other, |index, org| {
            insist(|| block_on(org.set_value(&format!("V{index}"), of_account("a"), format!("v{index}"))))
        });
        assert!(written.iter().all(|written| written.as_ref().unwrap().action == Upsert::Added));
        for vault in [&one, &other, &open(Arc::clone(&store))] {
            for index in 0..THREADS {
                let found = block_on(org(vault).value(&format!("V{index}"), &of_account("a"))).unwrap();
                assert_eq!(found.unwrap().value.expose(), format!("v{index}"));
            }
        }
        let keyrings = rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Keyring).count();
        assert_eq!(keyrings, 2, "the org's and the account's");
        audit(&store);
    }
}

#[test]
fn of_those_who_define_one_name_one_wins_and_the_others_learn_its_id() {
    for (store, one, other) in pairs(&base(async |_| Ok(()))) {
        let answers = all_at_once(&one, &other, |_, org| insist(|| block_on(org.define(text("V")))));
        let id = block_on(org(&one).definition("V")).unwrap().unwrap().id;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for answer in answers {
            assert!(matches!(answer, Ok(known) | Err(Error::DefinitionExists(known)) if known == id));
        }
        audit(&store);
    }
}

/// Deletes V so often, with its history kept, and defines it again in between; returns the ids.
async fn delete_definitions(org: &Org, times: usize) -> Result<Vec<DefinitionId>, Error> {
    let mut ids = Vec::new();
    for _ in 0..times {
        let id = org.define(text("V")).await?;
        org.delete_definition_with(id, WriteOptions::default().keep_history()).await?;
        ids.push(id);
    }
    Ok(ids)
}

#[test]
fn of_those_who_bring_back_one_definition_one_wins_and_the_others_find_it() {
    for (store, one, other) in pairs(&base(async |_| Ok(()))) {
        let id = block_on(delete_definitions(&org(&one), 1)).unwrap()[0];
        let answers = all_at_once(&one, &other, |_, org| insist(|| block_on(org.undelete_definition(id))));
        let stored = block_on(org(&one).definition("V")).unwrap().unwrap();
        assert_eq!(stored.id, id);
        assert_eq!(
            answers.iter().filter(|answer| matches!(answer, Ok(Some(back)) if *back == stored)).count(),
            1
        );
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert!(matches!(answer, Err(Error::Unexpected { found }) if *found == Some(stored.revision)));
        }
        assert_eq!(answers.iter().flatten().count(), 1, "{answers:?}");
        audit(&store);
    }
}

#[test]
fn of_those_who_bring_back_definitions_of_one_name_one_wins_and_the_others_learn_its_id() {
    for (store, one, other) in pairs(&base(async |_| Ok(()))) {
        let ids = block_on(delete_definitions(&org(&one), THREADS)).unwrap();
        let answers =
            all_at_once(&one, &other, |index, org| insist(|| block_on(org.undelete_definition(ids[index]))));
        let won = block_on(org(&one).definition("V")).unwrap().unwrap().id;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for answer in answers.into_iter().filter_map(Result::err) {
            assert!(matches!(answer, Error::DefinitionExists(id) if id == won), "{answer}");
        }
        audit(&store);
    }
}

#[test]
fn of_those_who_expect_one_revision_one_wins() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    for (store, one, other) in pairs(&base) {
        let mut expected = Expected::Absent;
        for _ in 0..10 {
            let answers = all_at_once(&one, &other, |index, org| {
                let set = || {
                    let options = WriteOptions::expecting(expected);
                    org.set_value_with("V", Scope::Org, format!("v{index}"), options)
                };
                insist(|| block_on(set()))
            });
            let won: Vec<Revision> = answers.iter().flatten().map(|written| written.revision).collect();
            assert_eq!(won.len(), 1);
            let lost = answers.iter().filter(
                |answer| matches!(answer, Err(Error::Unexpected { found }) if *found == Some(won[0])),
            );
            assert_eq!(lost.count(), THREADS - 1);
            expected = Expected::Revision(won[0]);
        }
        audit(&store);
    }
}

#[test]
fn counters_lose_no_count() {
    let base = base(async |org| {
        org.define(text("N")).await?;
        org.set_value("N", Scope::Org, "0").await?;
        org.create_account(account("a")).with_default_app().await?;
        Ok(())
    });
    for (store, one, other) in pairs(&base) {
        all_at_once(&one, &other, |index, org| {
            for round in 0..ROUNDS {
                loop {
                    let seen = block_on(org.value("N", Scope::Org)).unwrap().unwrap();
                    let next = seen.value.expose().parse::<usize>().unwrap() + 1;
                    let options = WriteOptions::expecting(Expected::Revision(seen.revision));
                    match block_on(org.set_value_with("N", Scope::Org, next.to_string(), options)) {
                        Ok(_) => break,
                        Err(Error::Unexpected { .. } | Error::Contended(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                let key_name = format!("k{}", (index + round) % 3);
                let account = org.account(account("a"));
                insist(|| block_on(account.upsert_credential(&key_name, "c"))).unwrap();
            }
        });
        let counted = block_on(org(&one).value("N", Scope::Org)).unwrap().unwrap();
        assert_eq!(counted.value.expose(), (THREADS * ROUNDS).to_string());
        let known = block_on(org(&other).linked_account(&account("a"))).unwrap().unwrap();
        assert_eq!(known.credential_generation, (THREADS * ROUNDS) as u64);
        audit(&store);
    }
}

#[test]
fn a_value_that_is_set_while_its_definition_is_deleted_leaves_nothing() {
    let base = base(async |_| Ok(()));
    for (store, one, other) in pairs(&base) {
        for _ in 0..ROUNDS {
            block_on(org(&one).define(text("V"))).unwrap();
            all_at_once(&one, &other, |index, org| {
                if index == 0 {
                    insist(|| block_on(org.delete_definition("V"))).unwrap();
                    return;
                }
                let scope = [Scope::Org, of_account("a"), of_account("b")][index % 3].clone();
                let set = insist(|| block_on(org.set_value("V", &scope, "v")));
                assert!(matches!(set, Ok(_) | Err(Error::DefinitionNotFound(_))), "{set:?}");
            });
            assert!(block_on(org(&other).definition("V")).unwrap().is_none());
            audit(&store);
        }
    }
}

#[test]
fn what_is_written_while_its_account_is_deleted_is_there_as_a_whole_or_gone() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    for (store, one, other) in pairs(&base) {
        for _ in 0..ROUNDS {
            let made = org(&one);
            block_on(made.upsert_account(account("a")).with_credential("k", "c").into_future()).unwrap();
            block_on(made.set_value("V", of_account("a"), "v")).unwrap();
            all_at_once(&one, &other, |index, org| {
                let account = org.account(account("a"));
                match index {
                    0 => insist(|| block_on(org.delete_account(account.id()))).unwrap(),
                    1 | 2 => {
                        let set = insist(|| block_on(account.set_value("V", "w")));
                        assert!(set.is_ok(), "{set:?}");
                    }
                    3 => {
                        let read = block_on(account.value("V")).unwrap();
                        assert!(read.is_none_or(|found| ["v", "w"].contains(&found.value.expose())));
                        let listed = block_on(account.values(PageRequest::default())).unwrap().items;
                        assert!(listed.len() <= 1);
                    }
                    _ => {
                        let upserted = insist(|| block_on(account.upsert_credential("k2", "c")));
                        assert!(
                            matches!(upserted, Ok(_) | Err(Error::IntegrationNotFound { .. })),
                            "{upserted:?}"
                        );
                    }
                }
            });
            assert!(block_on(org(&other).linked_account(&account("a"))).unwrap().is_none());
            audit(&store);
        }
    }
}

#[test]
fn an_account_that_is_made_while_it_is_deleted_is_whole_or_gone() {
    let base = base(async |org| {
        org.create_account(account("a")).with_credential("k", "c0").await?;
        Ok(())
    });
    for (store, one, other) in pairs(&base) {
        for _ in 0..ROUNDS {
            all_at_once(&one, &other, |index, org| {
                if index % 2 == 0 {
                    let upsert = || {
                        org.upsert_account(account("a"))
                            .with_credential(format!("k{index}"), "c")
                            .into_future()
                    };
                    insist(|| block_on(upsert())).unwrap();
                } else {
                    let deleted = insist(|| block_on(org.delete_account(&account("a"))));
                    assert!(matches!(deleted, Ok(()) | Err(Error::AccountNotFound(_))), "{deleted:?}");
                }
            });
            block_on(one.run_jobs()).unwrap();
            audit(&store);
        }
    }
}

#[test]
fn no_value_stands_at_a_scope_that_was_removed() {
    for (store, one, other) in pairs(&base(async |_| Ok(()))) {
        for _ in 0..ROUNDS {
            block_on(org(&one).define(text("V"))).unwrap();
            all_at_once(&one, &other, |index, org| {
                if index == 0 {
                    let change = || DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
                    let narrowed = insist(|| block_on(org.update_definition("V", change())));
                    assert!(matches!(narrowed, Ok(_) | Err(Error::ScopeInUse { .. })), "{narrowed:?}");
                } else {
                    let set = insist(|| block_on(org.set_value("V", of_account("a"), "v")));
                    assert!(matches!(set, Ok(_) | Err(Error::ScopeNotAllowed { .. })), "{set:?}");
                }
            });
            let stored = block_on(org(&other).definition("V")).unwrap().unwrap();
            let value = block_on(org(&other).value("V", &of_account("a"))).unwrap();
            assert!(value.is_none() || stored.definition.scopes.allows(ScopeKind::LinkedAccount));
            audit(&store);
            block_on(org(&one).delete_definition("V")).unwrap();
        }
    }
}

#[test]
fn a_definition_that_is_renamed_keeps_its_values_under_one_name_at_a_time() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "v").await?;
        Ok(())
    });
    for (store, one, other) in pairs(&base) {
        let id = block_on(org(&one).definition("V")).unwrap().unwrap().id;
        all_at_once(&one, &other, |index, org| {
            for round in 0..ROUNDS {
                let name = ["V", "W"][(index + round) % 2];
                match index % 3 {
                    0 => {
                        let change = || DefinitionChange::new().name(name);
                        insist(|| block_on(org.update_definition(id, change()))).unwrap();
                    }
                    1 => {
                        let set = insist(|| block_on(org.set_value(name, Scope::Org, "v")));
                        assert!(matches!(set, Ok(_) | Err(Error::DefinitionNotFound(_))), "{set:?}");
                    }
                    _ => {
                        let by_id = block_on(org.resolve(id, &ScopePath::org())).unwrap();
                        assert_eq!(by_id.unwrap().value.expose(), "v");
                        match block_on(org.resolve(name, &ScopePath::org())) {
                            Ok(resolved) => {
                                let resolved = resolved.unwrap();
                                assert_eq!((resolved.value.expose(), &*resolved.name), ("v", name));
                            }
                            Err(error) => assert!(matches!(error, Error::DefinitionNotFound(_)), "{error}"),
                        }
                    }
                }
            }
        });
        audit(&store);
    }
}

#[test]
fn every_runner_of_one_job_comes_to_its_end() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        for index in 0..40 {
            org.set_value("V", of_account(&format!("u{index}")), "v").await?;
        }
        org.create_account(account("a")).with_credential("k", "c").await?;
        Ok(())
    });
    crate::rig::stop_after_first_commit(&base, async |org| drop(org.delete_definition("V").await));
    crate::rig::stop_after_first_commit(&base, async |org| drop(org.delete_account(&account("a")).await));
    for _ in 0..ROUNDS {
        for (store, one, other) in pairs(&base) {
            all_at_once(&one, &other, |index, _| {
                block_on(if index % 2 == 0 { one.run_jobs() } else { other.run_jobs() }).unwrap();
            });
            audit(&store);
        }
    }
}

const THREADS: usize = 6;
const ROUNDS: usize = 8;
