//! A process whose threads use a vault without end, and the check that what it left behind is whole.

use std::thread;

use futures_executor::block_on;
use strongroom::store::Durability;
use strongroom::{
    Environment, Error, FormatChange, OnMismatch, Org, RawKey, Records, Scope, Store, Unlock, VarFormat,
    VariableDefinition, Vault, VaultOptions, WrongStore,
};

use super::process::{Acks, acknowledge, stop};

/// Uses a vault until it is killed or its disk is gone, and tells each step of verbs that was answered.
pub(super) fn serve<S: Store>(store: impl Fn() -> S) {
    let vault = open_or_create(store);
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let org = org(&vault);
            threads.spawn(move || {
                if let Err(error) = block_on(steps(&org, thread)) {
                    stop(thread, &error);
                }
            });
        }
    });
}

async fn steps(org: &Org, thread: u64) -> Result<(), Error> {
    // The process before may have ended between the two changes of a format.
    define(org, &own(thread)).await?;
    let back = FormatChange::to(VarFormat::String);
    org.change_format(own(thread).as_str(), &back, OnMismatch::Refuse).await?;
    for number in last(org, thread).await? + 1.. {
        step(org, thread, number).await?;
        acknowledge(thread, number);
    }
    Ok(())
}

/// Verbs of every kind, the cascading ones among them, and at the end a note of the number of the step. Each thread has
/// a definition and an account of its own, and all share one definition, so that batches meet.
async fn step(org: &Org, thread: u64, number: u64) -> Result<(), Error> {
    let (own, account) = (own(thread), format!("user_{thread}"));
    let scope = Scope::LinkedAccount(account.parse()?);
    define(org, SHARED).await?;
    define(org, &own).await?;
    for scope in [Scope::Org, scope.clone(), workflow()?] {
        org.set_value(own.as_str(), scope, number.to_string()).await?;
    }
    org.set_value(SHARED, scope, "x".repeat(20_000)).await?;
    org.upsert_account(account.parse()?).with_credential("key", number.to_string()).await?;
    match number % 4 {
        DELETES => org.delete_definition(own.as_str()).await?,
        1 => org.delete_account(&account.parse()?).await?,
        2 => {
            let change = FormatChange::to(VarFormat::Boolean);
            org.change_format(own.as_str(), &change, OnMismatch::Grandfather).await?;
            let change = FormatChange::to(VarFormat::String);
            org.change_format(own.as_str(), &change, OnMismatch::Refuse).await?;
        }
        _ => drop(org.delete_value(own.as_str(), Scope::Org).await?),
    }
    notes(org)?.put(&own.parse()?, number.to_string()).await.map(drop)
}

async fn define(org: &Org, name: &str) -> Result<(), Error> {
    match org.define(VariableDefinition::new(name, VarFormat::String)).await {
        Ok(_) | Err(Error::DefinitionExists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The number of the last step that came to its end.
async fn last(org: &Org, thread: u64) -> Result<u64, Error> {
    let note = notes(org)?.get(&own(thread).parse()?).await?;
    Ok(note.map_or(0, |note| number(note.value.expose())))
}

/// Opens the vault, holds that every acknowledged step is there, takes note of the last one of each thread, and checks
/// every row, before and after the jobs that were cut short are finished.
pub(super) fn check<S: Store>(store: S, acknowledged: &mut Acks) {
    // One that is not there any more was lost with all that was acknowledged: it is not made again.
    let vault = block_on(options().open(store, unlock())).expect("the vault that was acknowledged opens");
    for thread in 0..THREADS {
        let known = acknowledged.get(&thread).copied().unwrap_or(0);
        let last = block_on(check_steps(&org(&vault), thread, known)).expect("the rows can be read");
        acknowledged.insert(thread, last);
    }
    let report = block_on(vault.verify()).expect("the rows can be read");
    assert!(report.is_clean() && report.unverifiable == 0, "{report}");
    block_on(vault.run_jobs()).expect("the jobs are done");
    let report = block_on(vault.verify()).expect("the rows can be read");
    assert!(report.is_clean() && (report.jobs, report.leftover) == (0, 0), "{report}");
    block_on(vault.close()).expect("the vault closes");
}

/// Holds that the last step is the acknowledged one or the next, and that its value is there. The step after it may
/// have got anywhere.
async fn check_steps(org: &Org, thread: u64, acknowledged: u64) -> Result<u64, Error> {
    let last = last(org, thread).await?;
    assert!(
        (acknowledged..=acknowledged + 1).contains(&last),
        "the vault is at step {last} of thread {thread}, but {acknowledged} was acknowledged"
    );
    let deleted = [last, last + 1].iter().any(|step| step % 4 == DELETES);
    let found = match org.value(own(thread).as_str(), workflow()?).await {
        Err(Error::DefinitionNotFound(_)) => None,
        found => found?.map(|found| number(found.value.expose())),
    };
    let expected = found.map_or(deleted, |found| found == last + 1 || found == last && last % 4 != DELETES);
    assert!(expected, "the value of an acknowledged step is gone or another: {found:?} at step {last}");
    Ok(last)
}

fn open_or_create<S: Store>(store: impl Fn() -> S) -> Vault {
    match block_on(options().open(store(), unlock())) {
        Err(Error::WrongStore(WrongStore::NoVault)) => {
            block_on(options().create(store(), unlock())).expect("the store is empty")
        }
        opened => opened.expect("the vault opens"),
    }
}

/// A store is tested for what it claims.
fn options() -> VaultOptions {
    VaultOptions::default().accept_durability(Durability::ProcessCrash)
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn org(vault: &Vault) -> Org {
    vault.org(ORG.parse().expect("an id"), Environment::test())
}

fn notes(org: &Org) -> Result<Records, Error> {
    Ok(org.records("steps".parse()?))
}

fn workflow() -> Result<Scope, Error> {
    Ok(Scope::Workflow("wf".parse()?))
}

fn own(thread: u64) -> String {
    format!("V{thread}")
}

fn number(text: &str) -> u64 {
    text.parse().expect("a note or a value is the number of a step")
}

pub(super) const NAME: &str = "vault";
const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";
const SHARED: &str = "SHARED";
const THREADS: u64 = 3;
/// The steps, counted by four, that end with the deletion of the definition.
const DELETES: u64 = 0;
