//! How many allocations a verb makes once its caches are warm: the engine's and the memory store's together.
//!
//! The numbers are bounds that were measured. One that falls is a gain, to be written down here; one that rises needs a
//! reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::{
    Environment, LinkedAccountId, NewValue, Org, RawKey, Scope, ScopePath, Unlock, VarFormat,
    VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_warm_resolve_makes_7_allocations() {
    let (org, run) = (org(), run());
    // Of the store: the request, the future, the answer and three rows. Of the answer: the value. Names and ids are
    // shared, and the bytes that the record is bound to are in a buffer of the thread.
    let made = allocations(|| org.resolve("TOKEN", &run));
    assert!(made <= 7, "{made}");
}

#[test]
fn a_warm_resolve_at_the_org_makes_5_allocations() {
    let (org, run) = (org(), ScopePath::org());
    let made = allocations(|| org.resolve("TOKEN", &run));
    assert!(made <= 5, "{made}");
}

#[test]
fn a_warm_resolve_of_a_default_makes_4_allocations() {
    let (org, run) = (org(), run());
    let made = allocations(|| org.resolve("REGION", &run));
    assert!(made <= 4, "{made}");
}

#[test]
fn a_warm_resolve_of_nothing_makes_3_allocations() {
    let (org, run) = (org(), run());
    assert!(allocations(|| org.resolve("NOTHING", &run)) <= 3);
}

#[test]
fn a_resolve_of_50_that_reads_makes_at_most_134_allocations() {
    let (org, run) = (org_with_50(VaultOptions::default().cached_runs_bytes_max(0)), run());
    // A row of the store and a plaintext for each value.
    let made = allocations(|| org.resolve_all(&run));
    assert!(made <= 134, "{made}");
}

#[test]
fn a_resolve_of_a_run_that_is_kept_makes_one_allocation_a_value_and_none_of_the_store() {
    let (org, run) = (org_with_50(VaultOptions::default()), run());
    finish(org.resolve_all(&run)).unwrap();
    // The plaintexts of the 52 that resolve, the list of them, and the opened parts. Names and ids are shared.
    let made = allocations(|| org.resolve_all(&run));
    assert!(made <= 52 + 2, "{made}");
}

#[test]
fn a_warm_update_of_a_value_makes_25_allocations() {
    let org = org();
    let made = allocations(|| org.set_value("TOKEN", Scope::Org, "value"));
    assert!(made <= 25, "{made}");
}

/// What one run of `verb` allocates on this thread, once another has warmed the caches.
fn allocations<F: Future>(verb: impl Fn() -> F) -> u64 {
    finish(verb());
    measure(|| drop(finish(verb()))).count_total
}

/// The answer of a future that has nothing to wait for, and so needs nothing that would be counted with it.
fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the memory store answers at once"),
    }
}

fn org() -> Org {
    org_of(VaultOptions::default())
}

fn org_of(options: VaultOptions) -> Org {
    block_on(async {
        let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = options.create(MemoryStore::new(), unlock).await?;
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
        org.define(VariableDefinition::new("TOKEN", VarFormat::String)).await?;
        org.define(VariableDefinition::new("REGION", VarFormat::String).default_value("eu")).await?;
        org.define(VariableDefinition::new("NOTHING", VarFormat::String)).await?;
        let account: LinkedAccountId = "user_12345".parse()?;
        for scope in [Scope::Org, Scope::LinkedAccount(account), Scope::Workflow("wf_1".parse()?)] {
            org.set_value("TOKEN", scope, "value").await?;
        }
        Ok::<_, strongroom::Error>(org)
    })
    .expect("the store is new")
}

fn org_with_50(options: VaultOptions) -> Org {
    let org = org_of(options);
    block_on(async {
        let names: Vec<_> = (0..50).map(|number| format!("VARIABLE_{number}")).collect();
        for name in &names {
            org.define(VariableDefinition::new(name, VarFormat::String)).await?;
        }
        let values = names.iter().map(|name| NewValue::new(name, Scope::Org, "value"));
        org.set_values(&values.collect::<Vec<_>>()).await
    })
    .expect("the values are valid");
    org
}

fn run() -> ScopePath {
    let path = ScopePath::org().linked_account("user_12345".parse().expect("a valid id"));
    path.workflow("wf_1".parse().expect("a valid id"))
}
