//! A change of format that is cut short, or meets others: every mark is right in the end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Error, Expected, FormatChange, OnMismatch, Org, PageRequest, Scope, ScopeKind, ScopePath, Scopes,
    VarFormat, Vault, WriteOptions,
};
use strongroom_conformance::{Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Play, Point, Rows, Stepped, Task, account, audit, base, explore, fill, load, of_account,
    of_workflow,
};
use crate::rig::{open, org, rows, stop_after_first_commit, text, unlock};

fn to_integer() -> FormatChange {
    FormatChange::to(VarFormat::Integer)
}

async fn to_integers(org: Org) -> Result<(), Error> {
    org.change_format("V", &to_integer(), OnMismatch::Grandfather).await.map(drop)
}

/// As many values as fill three pages of a job, every other of which is no integer.
async fn many(org: &Org) -> Result<(), Error> {
    org.define(text("V")).await?;
    for n in 0..250 {
        org.set_value("V", many_scope(n), if n % 2 == 0 { "80" } else { "http" }).await?;
    }
    Ok(())
}

fn many_scope(n: usize) -> Scope {
    of_workflow(&format!("w{n}"))
}

async fn marked(org: &Org) -> Result<Vec<Scope>, Error> {
    org.grandfathered_values("V", PageRequest::first(1_000)).await.map(|listed| listed.items)
}

#[test]
fn a_change_that_is_stopped_at_any_commit_is_finished_by_its_job() {
    let base = rows(&base(many));
    let commits_len = crash_at_every_commit(
        async || fill(&base).await,
        async |store| {
            let vault = Vault::open(store, unlock()).await.unwrap();
            drop(to_integers(org(&vault)).await);
        },
        async |stop, store| {
            let vault = Vault::open(store.clone(), unlock()).await.unwrap();
            let org = org(&vault);
            let refused = org.set_value("V", many_scope(0), "ftp").await.is_err();
            assert_eq!(refused, stop != Stop::Before(0), "the first commit is the change");
            if refused {
                vault.run_jobs().await.unwrap();
                let marked = marked(&org).await.unwrap();
                assert_eq!(marked.len(), 125);
                assert!((1..250).step_by(2).all(|n| marked.contains(&many_scope(n))));
            }
        },
    );
    assert!(commits_len >= 4, "the change, and a commit a page");
}

/// A verb that meets a change of format.
type Other = fn(Org) -> Task;

const OTHERS: [(&str, Other); 6] = [
    ("set a value that matched", |org| {
        finish(async move { set(&org, Scope::Org, &["8080", "https"]).await })
    }),
    ("set a value that did not", |org| {
        finish(async move { set(&org, of_account("a"), &["21", "ftp"]).await })
    }),
    ("add a value", |org| finish(async move { set(&org, of_workflow("new"), &["22", "ssh"]).await })),
    ("delete a value and set it", |org| {
        finish(async move {
            org.delete_value("V", of_account("a")).await?;
            set(&org, of_account("a"), &["21"]).await
        })
    }),
    ("delete the account", |org| finish(async move { org.delete_account(&account("a")).await })),
    ("change back", |org| {
        finish(async move {
            org.change_format("V", &FormatChange::to(VarFormat::String), OnMismatch::Refuse).await.map(drop)
        })
    }),
];

fn finish(verb: impl Future<Output = Result<(), Error>> + 'static) -> Task {
    Box::pin(async { verb.await.unwrap() })
}

/// Sets values, some of which may be refused.
async fn set(org: &Org, scope: Scope, values: &[&str]) -> Result<(), Error> {
    for value in values {
        match org.set_value("V", &scope, *value).await {
            Ok(_) | Err(Error::InvalidValue { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn few(org: &Org) -> Result<(), Error> {
    org.define(text("V")).await?;
    org.set_value("V", Scope::Org, "80").await?;
    org.set_value("V", of_account("a"), "http").await?;
    org.set_value("V", of_workflow("w"), "gopher").await.map(drop)
}

/// The change and `other`, by two engines on one store or by one, each order of their calls.
fn orders(base: &Rows, other: Other, shared: bool) -> usize {
    explore(2, || {
        let inner = load(base);
        let vault = |store: &Arc<MemoryStore>| {
            // Opened before the store takes its time.
            Stepped { inner: Arc::clone(store), shared }
        };
        let task = |verb: Other| -> Task {
            let store = vault(&inner);
            Box::pin(async move {
                let vault = Vault::open(store, unlock()).await.unwrap();
                verb(org(&vault)).await;
            })
        };
        let change: Other = |org| finish(to_integers(org));
        let left = Arc::clone(&inner);
        Play {
            tasks: vec![task(change), task(other)],
            after_crash: None,
            check: Box::new(move |_| audit(&left)),
        }
    })
}

#[test]
fn every_mark_is_right_whatever_a_change_meets() {
    let base = rows(&base(few));
    for (name, other) in OTHERS {
        let played = orders(&base, other, true);
        assert!(played > 50, "{name}: {played} orders");
    }
}

#[test]
fn a_conditional_write_is_held_to_the_format_that_another_engine_sets_before_it_lands() {
    let base = base(few);
    let hooked = Hooked::new(Arc::clone(&base)).shared();
    let (here, elsewhere) = (org(&open(hooked.clone())), org(&open(base)));
    let read = block_on(here.value("V", Scope::Org)).unwrap().unwrap().revision;
    hooked.once(Point::BeforeCommit, move || block_on(to_integers(elsewhere)).unwrap());
    let as_read = WriteOptions::expecting(Expected::Revision(read));
    let set = block_on(here.set_value_with("V", Scope::Org, "http", as_read));
    assert!(matches!(set, Err(Error::InvalidValue { .. })), "{set:?}");
}

#[test]
fn what_a_deleted_account_left_is_no_grandfathered_value_and_in_no_way_of_narrower_scopes() {
    let base = base(few);
    block_on(to_integers(org(&open(Arc::clone(&base))))).unwrap();
    stop_after_first_commit(&base, async |org| drop(org.delete_account(&account("a")).await));
    let vault = open(base);
    let org = org(&vault);
    block_on(async {
        assert!(!marked(&org).await?.contains(&of_account("a")));
        let trace = org.explain("V", &ScopePath::org().linked_account(account("a"))).await?;
        assert!(trace.steps.iter().all(|step| !step.grandfathered));
        let only_org = Scopes::only(ScopeKind::Org);
        let in_the_way = org.plan_scope_change("V", only_org, PageRequest::default()).await?.items;
        assert_eq!(in_the_way, [of_workflow("w")]);
        Ok::<(), Error>(())
    })
    .unwrap();
}
