//! Whoever rewrites rows without a pause holds nobody up: the verb that lost to him has the next turn.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use strongroom::{Error, Org, WriteOptions};
use strongroom_memory::MemoryStore;

use crate::rig::{Stepped, account, drive, of_account, org, text, unlock};

/// An org with an account that has two apps, a credential and a value.
fn furnished() -> Org {
    furnished_on(&Stepped { inner: Arc::new(MemoryStore::new()), shared: false })
}

fn furnished_on(store: &Stepped) -> Org {
    let org = org(&drive(strongroom::Vault::create(store.clone(), unlock())).unwrap());
    drive(async {
        org.define(text("V")).await?;
        let account = org.create_account(account("a")).with_default_app().await?;
        account.add_integration(&"crm".parse()?).await?;
        account.set_value("V", "v").await?;
        account.upsert_credential("k", "c").await
    })
    .unwrap();
    org
}

/// One write, again and again.
type Rewrite = for<'o> fn(&'o Org) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 'o>>;

/// Runs `verb` while three others call `rewrite` without a pause: before each step of the verb, each of them lands a
/// write, unless it waits.
fn beside_writers<T>(
    org: &Org,
    rewrite: Rewrite,
    verb: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let landed = Rc::new(Cell::new(0));
    let mut writers: Vec<_> = (0..3)
        .map(|_| {
            let (org, landed) = (org.clone(), Rc::clone(&landed));
            Some(Box::pin(async move {
                // Until what it writes is gone.
                while rewrite(&org).await.is_ok() {
                    landed.set(landed.get() + 1);
                }
            }))
        })
        .collect();
    let mut verb = std::pin::pin!(verb);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        for slot in &mut writers {
            let before = landed.get();
            for _ in 0..STEPS_OF_A_WRITE {
                let Some(writer) = slot.as_mut().filter(|_| landed.get() == before) else { break };
                if writer.as_mut().poll(&mut context).is_ready() {
                    *slot = None;
                }
            }
        }
        if let Poll::Ready(done) = verb.as_mut().poll(&mut context) {
            assert!(landed.get() > 0, "nobody raced");
            return done;
        }
    }
}

const STEPS_OF_A_WRITE: usize = 40;

const SETS_VALUE: Rewrite =
    |org| Box::pin(async { org.set_value("V", of_account("a"), "w").await.map(drop) });
const UPSERTS_CREDENTIAL: Rewrite =
    |org| Box::pin(async { org.account(account("a")).upsert_credential("k", "d").await.map(drop) });
const RENAMES_ACCOUNT: Rewrite = |org| Box::pin(async { org.account(account("a")).update().name("A").await });

#[test]
fn whoever_sets_a_value_without_a_pause_does_not_hold_its_delete_up() {
    let org = furnished();
    let deleted = beside_writers(&org, SETS_VALUE, org.delete_value("V", of_account("a"))).unwrap();
    assert!(deleted.is_some());
}

#[test]
fn whoever_writes_credentials_without_a_pause_does_not_hold_the_delete_of_one_up() {
    let org = furnished();
    let handle = org.account(account("a"));
    assert!(beside_writers(&org, UPSERTS_CREDENTIAL, handle.delete_credential("k")).unwrap());
}

#[test]
fn whoever_writes_credentials_without_a_pause_does_not_hold_the_delete_of_an_integration_up() {
    let org = furnished();
    let handle = org.account(account("a"));
    let crm = "crm".parse().unwrap();
    beside_writers(&org, UPSERTS_CREDENTIAL, handle.delete_integration(&crm)).unwrap();
    assert!(drive(handle.integration(&crm)).unwrap().is_none());
}

#[test]
fn whoever_rewrites_an_account_without_a_pause_does_not_keep_a_session_from_being_issued() {
    let org = furnished();
    let known = drive(org.account(account("a")).info()).unwrap().unwrap();
    let sessions = org.records("session-of".parse().unwrap());
    let (key, registered) = ("s1".parse().unwrap(), WriteOptions::default().while_registered(&known));
    beside_writers(&org, RENAMES_ACCOUNT, sessions.put_with(&key, "a", registered)).unwrap();
}

#[test]
fn whoever_rewrites_an_account_without_a_pause_does_not_hold_its_delete_up() {
    let org = furnished();
    beside_writers(&org, RENAMES_ACCOUNT, org.delete_account(&account("a"))).unwrap();
    assert!(drive(org.account(account("a")).info()).unwrap().is_none());
}

#[test]
fn writers_of_another_engine_race_with_a_delete_as_equals() {
    let store = Stepped { inner: Arc::new(MemoryStore::new()), shared: true };
    let ours = furnished_on(&store);
    let theirs = org(&drive(strongroom::Vault::open(store, unlock())).unwrap());
    // They land a write before each of its steps: the worst that could happen, which nobody waits for.
    let deleted = beside_writers(&theirs, SETS_VALUE, ours.delete_value("V", of_account("a")));
    assert!(matches!(deleted, Err(Error::Contended(16))));
}
