//! Two writers, a rotator and a crash, in every order in which they can come to the store: no update is lost, and no
//! row is left under a key that is gone. In every order: with at most two switches away from a task that could go on.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    DataKeys, Environment, Error, Expected, JobOutcome, KeyJob, Org, RootRotation, Scope, Vault,
    VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Kind, ORG, Play, RowKey, Rows, Stepped, Task, account, audit, dek_id, drive, empty, explore, load,
    of_account, open, org, rows, text, unlock,
};

/// An account with a counter at 0, and a credential.
fn base() -> Rows {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("N")).await?;
        org.set_value("N", of_account("a"), "0").await?;
        org.create_account(account("a")).with_credential("k", "c").await?;
        Ok::<(), Error>(())
    })
    .unwrap();
    rows(&store)
}

/// Who takes part: one engine for all, or one each on a store that they share.
#[derive(Clone, Copy, PartialEq)]
enum Engines {
    One,
    Each,
}

/// A store in which a rotation has begun, and what opens engines on it.
struct Stage {
    store: Arc<MemoryStore>,
    clock: TestClock,
    engines: Engines,
    one: Vault,
}

impl Stage {
    fn new(rows: &Rows, engines: Engines) -> Self {
        let (store, clock) = (load(rows), TestClock::default());
        clock.set(1_000);
        let one = open_stepped(&store, &clock, engines);
        Self { store, clock, engines, one }
    }

    fn vault(&self) -> Vault {
        match self.engines {
            Engines::One => self.one.clone(),
            Engines::Each => open_stepped(&self.store, &self.clock, self.engines),
        }
    }
}

/// Opens without a scheduler: the store is pending, and asks to be polled again by nobody.
fn open_stepped(store: &Arc<MemoryStore>, clock: &TestClock, engines: Engines) -> Vault {
    let stepped = Stepped { inner: Arc::clone(store), shared: engines == Engines::Each };
    let options = VaultOptions::default().clock(clock.clone());
    drive(options.open(stepped, unlock())).unwrap()
}

/// Adds one to the counter, whatever others do meanwhile.
async fn count_up(org: Org, scope: Scope) {
    loop {
        let seen = org.value("N", &scope).await.unwrap().unwrap();
        let next = seen.value.expose().parse::<u32>().unwrap() + 1;
        let options = WriteOptions::expecting(Expected::Revision(seen.revision));
        match org.set_value_with("N", &scope, next.to_string(), options).await {
            Ok(_) => return,
            Err(Error::Unexpected { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn run_job(job: KeyJob) {
    loop {
        match job.run().await.unwrap().outcome {
            JobOutcome::Finished => return,
            JobOutcome::Held { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Every row is under a key that its keyring lists, which `open` checks, and there is one key a scope.
fn check_keys(store: &Arc<MemoryStore>, before: &Rows, order: &[usize]) {
    let after = rows(store);
    let of = |rows: &Rows| {
        let sealed = rows.iter().filter(|(key, _)| {
            let key = RowKey::parse(key);
            key.is_data() && key.scope_account().is_some()
        });
        sealed.map(|(_, row)| dek_id(row)).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(of(&after).is_disjoint(&of(before)), "{order:?}");
    assert_eq!(of(&after).len(), 1, "{order:?}");
    assert!(after.keys().all(|key| RowKey::parse(key).kind != Kind::KeyJob), "{order:?}");
}

/// Plays two writers against a rotation, with a crash of its runner if there is to be one.
fn orders(engines: Engines, crash: bool, interruptions_max: usize) -> usize {
    let before = base();
    explore(interruptions_max, || {
        let stage = Stage::new(&before, engines);
        let keys = DataKeys::of_account(ORG.parse().unwrap(), Environment::test(), account("a"));
        let job = drive(stage.vault().rotate_data_keys(&keys)).unwrap();
        let restart = {
            let (vault, clock, id) = (stage.vault(), stage.clock.clone(), *job.id());
            move || {
                clock.set(100_000);
                Box::pin(run_job(vault.key_job(id))) as Task
            }
        };
        let writer = || Box::pin(count_up(org(&stage.vault()), of_account("a"))) as Task;
        let tasks = vec![Box::pin(run_job(job)) as Task, writer(), writer()];
        let (store, before) = (Arc::clone(&stage.store), before.clone());
        Play {
            tasks,
            after_crash: crash.then(|| Box::new(restart) as Box<dyn FnOnce() -> Task>),
            check: Box::new(move |order| {
                let vault = open(Arc::clone(&store));
                let counted = block_on(org(&vault).value("N", &of_account("a"))).unwrap().unwrap();
                assert_eq!(counted.value.expose(), "2", "an update was lost: {order:?}");
                let credential = block_on(org(&vault).account(account("a")).credential("k")).unwrap();
                assert_eq!(credential.unwrap().value.expose(), "c");
                check_keys(&store, &before, order);
            }),
        }
    })
}

#[test]
fn writers_and_a_rotator_on_one_engine_lose_nothing() {
    assert!(orders(Engines::One, false, 2) > 1_000);
}

#[test]
fn writers_and_a_rotator_on_engines_of_their_own_lose_nothing() {
    assert!(orders(Engines::Each, false, 2) > 1_000);
}

#[test]
fn writers_and_a_rotator_that_is_killed_lose_nothing() {
    assert!(orders(Engines::One, true, 2) > 1_000);
    assert!(orders(Engines::Each, true, 1) > 50);
}

#[test]
fn a_rotation_and_the_deletion_of_its_account_leave_nothing_behind() {
    let before = base();
    for engines in [Engines::One, Engines::Each] {
        let played = Rc::new(Cell::new(0));
        explore(1, || {
            let stage = Stage::new(&before, engines);
            let keys = DataKeys::of_account(ORG.parse().unwrap(), Environment::test(), account("a"));
            let job = drive(stage.vault().rotate_data_keys(&keys)).unwrap();
            let (remover, writer) = (org(&stage.vault()), org(&stage.vault()));
            let remove = async move { remover.delete_account(&account("a")).await.unwrap() };
            let write = async move {
                writer.set_value("N", of_account("a"), "7").await.unwrap();
            };
            let (store, played) = (Arc::clone(&stage.store), Rc::clone(&played));
            Play {
                tasks: vec![Box::pin(run_job(job)), Box::pin(remove), Box::pin(write)],
                after_crash: None,
                check: Box::new(move |order| {
                    played.set(played.get() + 1);
                    let vault = open(Arc::clone(&store));
                    let value = block_on(org(&vault).value("N", &of_account("a"))).unwrap();
                    assert!(value.is_none_or(|value| value.value.expose() == "7"), "{order:?}");
                    assert!(block_on(org(&vault).linked_account(&account("a"))).unwrap().is_none());
                    audit(&store);
                }),
            }
        });
        assert!(played.get() > 50);
    }
}

/// A new root beside a writer that makes an account's first key: on the same engine, which continues. Every order ends
/// with both done, and one root.
#[test]
fn a_new_root_and_a_writer_lose_nothing() {
    let before = base();
    let played = Rc::new(Cell::new(0));
    explore(1, || {
        let stage = Stage::new(&before, Engines::One);
        let (vault, writer) = (stage.vault(), org(&stage.vault()));
        let old_root = vault.root_id();
        let rotate = async move {
            let new = vault.rotate_root(RootRotation::new().keep(unlock())).await.unwrap();
            run_job(new.job).await;
        };
        let write = async move {
            count_up(writer.clone(), of_account("a")).await;
            writer.set_value("N", of_account("first"), "7").await.unwrap();
        };
        let (store, played) = (Arc::clone(&stage.store), Rc::clone(&played));
        Play {
            tasks: vec![Box::pin(rotate), Box::pin(write)],
            after_crash: None,
            check: Box::new(move |order| {
                played.set(played.get() + 1);
                let vault = open(Arc::clone(&store));
                assert_ne!(vault.root_id(), old_root, "{order:?}");
                for (id, expected) in [("a", "1"), ("first", "7")] {
                    let value = block_on(org(&vault).value("N", &of_account(id))).unwrap().unwrap();
                    assert_eq!(value.value.expose(), expected, "{order:?}");
                }
                audit(&store);
            }),
        }
    });
    assert!(played.get() > 10, "{}", played.get());
}

/// A new root beside the shred of its org, whose job and keyrings it seals again meanwhile.
#[test]
fn a_new_root_and_the_shred_of_an_org_leave_nothing_behind() {
    let before = base();
    let played = Rc::new(Cell::new(0));
    explore(1, || {
        let stage = Stage::new(&before, Engines::One);
        let (vault, shredded) = (stage.vault(), org(&stage.vault()));
        let rotate = async move {
            let new = vault.rotate_root(RootRotation::new().keep(unlock())).await.unwrap();
            run_job(new.job).await;
        };
        let shred = async move {
            assert_eq!(shredded.shred().await.unwrap().keys.len(), 2);
        };
        let (store, played) = (Arc::clone(&stage.store), Rc::clone(&played));
        Play {
            tasks: vec![Box::pin(rotate), Box::pin(shred)],
            after_crash: None,
            check: Box::new(move |order| {
                played.set(played.get() + 1);
                let vault = open(Arc::clone(&store));
                assert!(block_on(org(&vault).definition("N")).unwrap().is_none(), "{order:?}");
                audit(&store);
            }),
        }
    });
    assert!(played.get() > 10, "{}", played.get());
}

/// A new root beside a sweep, whose job it seals again meanwhile.
#[test]
fn a_new_root_and_the_deletion_of_an_account_leave_nothing_behind() {
    let before = base();
    let played = Rc::new(Cell::new(0));
    explore(2, || {
        let stage = Stage::new(&before, Engines::One);
        let (vault, remover) = (stage.vault(), org(&stage.vault()));
        let rotate = async move {
            let new = vault.rotate_root(RootRotation::new().keep(unlock())).await.unwrap();
            run_job(new.job).await;
        };
        let remove =
            async move { remover.delete_account(&account("a")).await.unwrap_or_else(|e| panic!("{e:?}")) };
        let (store, played) = (Arc::clone(&stage.store), Rc::clone(&played));
        Play {
            tasks: vec![Box::pin(rotate), Box::pin(remove)],
            after_crash: None,
            check: Box::new(move |order| {
                played.set(played.get() + 1);
                let vault = open(Arc::clone(&store));
                let known = block_on(org(&vault).linked_account(&account("a"))).unwrap();
                assert!(known.is_none(), "{order:?}");
                audit(&store);
            }),
        }
    });
    assert!(played.get() > 10, "{}", played.get());
}
