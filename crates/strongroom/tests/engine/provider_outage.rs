//! The key provider is out of reach while eight threads resolve and write.
//!
//! An open vault has its root key, so no verb on values needs the provider, whether a scope's key is cached, was never
//! opened, or is made in the outage. What needs it says `Unavailable`, writes nothing and works once it is back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::TestClock;
use crate::rig::{Rows, account, of_account, org, rows, text, unlock, verified};
use futures_executor::block_on;
use strongroom::provider::ProviderErrorKind::Unavailable;
use strongroom::{
    Error, JobOutcome, Org, RootRotation, Scope, ScopePath, SlotId, Unlock, Vault, VaultOptions,
};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

/// A vault that its provider opened and a raw key opens too, and that keeps cached keys for a second.
struct Ward {
    store: Arc<MemoryStore>,
    hsm: FakeProvider,
    clock: TestClock,
    vault: Vault,
    slot: SlotId,
}

impl Ward {
    fn new() -> Self {
        let (store, hsm, clock) =
            (Arc::new(MemoryStore::new()), FakeProvider::new("hsm"), TestClock::default());
        clock.set(START_MS);
        block_on(async {
            let options = || VaultOptions::default().clock(clock.clone());
            let vault = options().create(Arc::clone(&store), by(&hsm)).await?;
            let slot = vault.slots().list().await?[0].id;
            vault.slots().add(unlock()).await?;
            org(&vault).define(text("V")).await?;
            org(&vault).set_value("V", Scope::Org, "of the org").await?;
            for thread in 0..THREADS {
                for number in 0..COLD {
                    org(&vault).set_value("V", of_account(&cold(thread, number)), "cold").await?;
                }
            }
            let options = options().cached_key_age_max(Duration::from_secs(1));
            let vault = options.open(Arc::clone(&store), by(&hsm)).await?;
            Ok::<_, Error>(Self { store, hsm, clock, vault, slot })
        })
        .unwrap()
    }

    /// Everything that needs the provider, and what it answers.
    fn asked(&self) -> Vec<(&'static str, Result<(), Error>)> {
        let slots = self.vault.slots();
        let rotation = RootRotation::new().keep(by(&self.hsm)).keep(unlock());
        block_on(async {
            vec![
                ("open", Vault::open(Arc::clone(&self.store), by(&self.hsm)).await.map(drop)),
                ("create", Vault::create(MemoryStore::new(), by(&self.hsm)).await.map(drop)),
                ("add a slot", slots.add(by(&self.hsm)).await.map(drop)),
                ("change a slot", slots.change(&self.slot, by(&self.hsm)).await.map(drop)),
                ("a new root key", self.vault.rotate_root(rotation).await.map(drop)),
            ]
        })
    }

    fn assert_all_unavailable(&self) {
        let before = self.rows_of_store();
        for (what, answer) in self.asked() {
            assert!(is_unavailable(&answer), "{what}: {answer:?}");
        }
        assert_eq!(self.rows_of_store(), before, "nothing was written");
    }

    /// The rows that no worker writes.
    fn rows_of_store(&self) -> Rows {
        rows(&self.store).into_iter().filter(|(key, _)| key[0] == 0).collect()
    }
}

fn by(hsm: &FakeProvider) -> Unlock {
    Unlock::provider(Arc::new(hsm.clone()))
}

fn is_unavailable<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Provider(error)) if error.kind() == Unavailable)
}

/// Threads that write and resolve until the load is dropped, each at accounts of its own.
struct Load<'v> {
    vault: &'v Vault,
    /// Of each thread how many rounds went through, and how many were refused by a lock.
    rounds: Mutex<[Rounds; THREADS]>,
    moved: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rounds {
    done: u64,
    locked: u64,
    failed: bool,
}

impl<'v> Load<'v> {
    /// Runs `test` under load, and answers how many rounds each thread made.
    fn on(vault: &'v Vault, test: impl FnOnce(&Self)) -> [Rounds; THREADS] {
        let load =
            Self { vault, rounds: Mutex::default(), moved: Condvar::new(), stop: AtomicBool::new(false) };
        thread::scope(|threads| {
            // Set free whatever happens: a test that panics must not leave its threads running.
            let _stop = StopOnDrop(&load.stop);
            for number in 0..THREADS {
                let load = &load;
                threads.spawn(move || load.work(number));
            }
            test(&load);
        });
        load.rounds.into_inner().unwrap()
    }

    fn work(&self, thread: usize) {
        let org = org(self.vault);
        for round in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let answer = block_on(one_round(&org, thread, round));
            let mut rounds = self.rounds.lock().unwrap();
            match &answer {
                Ok(()) => rounds[thread].done += 1,
                Err(Error::Locked) => rounds[thread].locked += 1,
                Err(_) => rounds[thread].failed = true,
            }
            self.moved.notify_all();
            drop(rounds);
            assert!(matches!(answer, Ok(()) | Err(Error::Locked)), "{answer:?}");
        }
    }

    /// Waits until each thread has made ten more rounds.
    fn goes_on(&self) {
        self.await_more(|rounds| rounds.done);
    }

    /// Waits until each thread was refused ten more times.
    fn is_locked(&self) {
        self.await_more(|rounds| rounds.locked);
    }

    fn await_more(&self, counted: impl Fn(&Rounds) -> u64) {
        let rounds = self.rounds.lock().unwrap();
        let start = *rounds;
        let is_behind = |now: &mut [Rounds; THREADS]| {
            assert!(now.iter().all(|rounds| !rounds.failed), "a verb failed");
            now.iter().zip(&start).any(|(now, start)| counted(now) < counted(start) + 10)
        };
        drop(self.moved.wait_while(rounds, is_behind).unwrap());
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes at a scope whose key is cached and reads it back, and reads at one that was not touched for long.
async fn one_round(org: &Org, thread: usize, round: usize) -> Result<(), Error> {
    let own = format!("own-{thread}");
    org.set_value("V", of_account(&own), round.to_string()).await?;
    assert_eq!(resolve(org, &own).await?, round.to_string());
    assert_eq!(resolve(org, &cold(thread, round % COLD)).await?, "cold");
    Ok(())
}

async fn resolve(org: &Org, id: &str) -> Result<String, Error> {
    let resolved = org.resolve("V", &ScopePath::org().linked_account(account(id))).await?;
    Ok(resolved.unwrap().value.expose().to_owned())
}

fn cold(thread: usize, number: usize) -> String {
    format!("cold-{thread}-{number}")
}

#[test]
fn threads_that_resolve_and_write_notice_nothing_of_an_outage() {
    let ward = Ward::new();
    let rounds = Load::on(&ward.vault, |load| {
        load.goes_on();
        ward.hsm.fail(Some(Unavailable));
        let (calls_len, unwraps) = (ward.hsm.calls_len(), ward.vault.cache_stats().keyring_unwraps);
        load.goes_on();
        // Past their time cached keys are wiped, and opened again: by the root key, which the vault has.
        for second in 1..=5 {
            ward.clock.set(START_MS + second * 1_000);
            load.goes_on();
        }
        // Scopes that had no key yet get one.
        for thread in 0..THREADS {
            let at = of_account(&format!("new-{thread}"));
            block_on(org(&ward.vault).set_value("V", at, "new")).unwrap();
        }
        assert_eq!(ward.hsm.calls_len(), calls_len, "the provider was asked for a value");
        assert!(ward.vault.cache_stats().keyring_unwraps >= unwraps + 5 * THREADS as u64);
        ward.assert_all_unavailable();
        load.goes_on();

        ward.hsm.fail(None);
        for (what, answer) in ward.asked() {
            assert!(answer.is_ok(), "{what}: {answer:?}");
        }
        block_on(ward.vault.run_jobs()).unwrap();
        load.goes_on();
    });
    let again = block_on(Vault::open(Arc::clone(&ward.store), by(&ward.hsm))).unwrap();
    for (thread, rounds) in rounds.iter().enumerate() {
        let last = block_on(resolve(&org(&again), &format!("own-{thread}"))).unwrap();
        assert_eq!((last, rounds.locked), ((rounds.done - 1).to_string(), 0));
        assert_eq!(block_on(resolve(&org(&again), &format!("new-{thread}"))).unwrap(), "new");
    }
    verified(&ward.store);
}

#[test]
fn a_locked_vault_says_so_until_its_provider_is_back_or_another_slot_opens_it() {
    let ward = Ward::new();
    Load::on(&ward.vault, |load| {
        load.goes_on();
        ward.hsm.fail(Some(Unavailable));
        ward.vault.lock();
        load.is_locked();
        assert!(is_unavailable(&block_on(ward.vault.unlock(by(&ward.hsm)))));
        load.is_locked();
        block_on(ward.vault.unlock(unlock())).unwrap();
        load.goes_on();

        let org = org(&ward.vault);
        org.lock();
        load.is_locked();
        assert!(is_unavailable(&block_on(org.unlock(by(&ward.hsm)))));
        load.is_locked();
        ward.hsm.fail(None);
        block_on(org.unlock(by(&ward.hsm))).unwrap();
        load.goes_on();
    });
    verified(&ward.store);
}

#[test]
fn a_new_root_key_reaches_every_keyring_though_the_provider_is_gone_again() {
    let ward = Ward::new();
    Load::on(&ward.vault, |load| {
        let rotation = RootRotation::new().keep(by(&ward.hsm)).keep(unlock());
        let new = block_on(ward.vault.rotate_root(rotation)).unwrap();
        load.goes_on();
        ward.hsm.fail(Some(Unavailable));
        let calls_len = ward.hsm.calls_len();
        let report = block_on(new.job.run()).unwrap();
        assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 0));
        assert_eq!(ward.hsm.calls_len(), calls_len);
        load.goes_on();
        ward.assert_all_unavailable();
        block_on(Vault::open(Arc::clone(&ward.store), unlock())).unwrap();
        ward.hsm.fail(None);
        block_on(Vault::open(Arc::clone(&ward.store), by(&ward.hsm))).unwrap();
    });
    verified(&ward.store);
}

const THREADS: usize = 8;
/// How many accounts of each thread were written before and are read in turn.
const COLD: usize = 64;
const START_MS: u64 = 10_000;
