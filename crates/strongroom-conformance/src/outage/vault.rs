//! A process whose threads use a vault without end, and the check that what it left behind is whole.

use std::thread;

use futures_executor::block_on;
use strongroom::{
    Environment, Error, FormatChange, OnMismatch, Org, RawKey, Scope, Store, Unlock, VarFormat,
    VariableDefinition, Vault,
};

use super::process::{acknowledge, stop};

/// Uses a vault until it is killed or its disk is gone, and tells each verb that was answered.
pub(super) fn serve<S: Store>(store: impl Fn() -> S) {
    let vault = open(store);
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let org = vault.org(ORG.parse().expect("an id"), Environment::test());
            threads.spawn(move || {
                for round in 1.. {
                    if let Err(error) = block_on(step(&org, thread, round)) {
                        return stop(thread, &error);
                    }
                    acknowledge(thread, round);
                }
            });
        }
    });
}

/// Verbs of every kind, the cascading ones among them. Each thread has a definition and an account of its own, and all
/// share one definition, so that batches meet.
async fn step(org: &Org, thread: u64, round: u64) -> Result<(), Error> {
    let (own, account) = (format!("V{thread}"), format!("user_{thread}"));
    let scope = Scope::LinkedAccount(account.parse()?);
    for name in [SHARED, own.as_str()] {
        match org.define(VariableDefinition::new(name, VarFormat::String)).await {
            Ok(_) | Err(Error::DefinitionExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if round == 1 {
        // The process before may have ended between the two changes of a format.
        org.change_format(own.as_str(), &FormatChange::to(VarFormat::String), OnMismatch::Refuse).await?;
    }
    for scope in [Scope::Org, scope.clone(), Scope::Workflow("wf".parse()?)] {
        org.set_value(own.as_str(), scope, round.to_string()).await?;
    }
    org.set_value(SHARED, scope, "x".repeat(20_000)).await?;
    org.upsert_account(account.parse()?).with_credential("key", round.to_string()).await?;
    match round % 4 {
        0 => org.delete_definition(own.as_str()).await,
        1 => org.delete_account(&account.parse()?).await,
        2 => {
            let change = FormatChange::to(VarFormat::Boolean);
            org.change_format(own.as_str(), &change, OnMismatch::Grandfather).await?;
            let change = FormatChange::to(VarFormat::String);
            org.change_format(own.as_str(), &change, OnMismatch::Refuse).await.map(|_| ())
        }
        _ => org.delete_value(own.as_str(), Scope::Org).await.map(|_| ()),
    }
}

/// Opens the vault and checks every row, before and after the jobs that were cut short are finished.
pub(super) fn check<S: Store>(store: impl Fn() -> S) {
    let vault = open(store);
    let report = block_on(vault.verify()).expect("the rows can be read");
    assert!(report.is_clean() && report.unverifiable == 0, "{report}");
    block_on(vault.run_jobs()).expect("the jobs are done");
    let report = block_on(vault.verify()).expect("the rows can be read");
    assert!(report.is_clean() && (report.jobs, report.leftover) == (0, 0), "{report}");
    block_on(vault.close()).expect("the vault closes");
}

fn open<S: Store>(store: impl Fn() -> S) -> Vault {
    let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    match block_on(Vault::open(store(), unlock())) {
        Err(Error::NotInitialised) => block_on(Vault::create(store(), unlock())).expect("the store is empty"),
        opened => opened.expect("the vault opens"),
    }
}

pub(super) const NAME: &str = "vault";
const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";
const SHARED: &str = "SHARED";
const THREADS: u64 = 3;
