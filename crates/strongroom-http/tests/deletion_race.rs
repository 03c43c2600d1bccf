//! Twelve connections with the session token of an account write without a pause while its org deletes the account: the
//! delete is served, nothing of the account is left, and nothing of it comes back.
//!
//! `DELETION_ROUNDS` says how many deletions each store has to bear; `scripts/deletion-race` sets it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

#[path = "../../strongroom-postgres/tests/cluster/mod.rs"]
mod cluster;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use strongroom::store::Store;
use strongroom::{PageRequest, RawKey, Unlock, Vault};
use strongroom_http::{Limits, ServiceOptions};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use support::Fixture;
use tokio::task::JoinSet;

#[test]
fn a_deletion_is_final_on_a_store_in_memory() {
    race(MemoryStore::new());
}

#[test]
fn a_deletion_is_final_on_redb() {
    race(RedbStore::temporary().unwrap());
}

#[test]
fn a_deletion_is_final_on_postgresql() {
    let cluster = cluster::shared();
    race(cluster.open(&cluster.database()));
}

/// Deletes an account again and again. A delete is sent once.
fn race(store: impl Store) {
    let rounds = std::env::var("DELETION_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
        let limits = Limits::default().any_token_rate();
        let fixture = Arc::new(Fixture::over(vault, ServiceOptions::default().limits(limits)).await);
        let definition = fixture.define_string("PLAN").await;
        for round in 0..rounds {
            race_once(&fixture, &definition, round).await;
        }
    });
}

/// Registers the account, lets its writers and its deletion race, and looks at what is left.
async fn race_once(fixture: &Arc<Fixture>, definition: &str, round: usize) {
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    let made = account.info().await.unwrap().unwrap();
    assert!(account.values(PageRequest::default()).await.unwrap().items.is_empty(), "round {round}");
    assert!(account.credentials(PageRequest::default()).await.unwrap().items.is_empty(), "round {round}");
    let token: Arc<str> = fixture.token("a").await.into();
    let landed = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (fixture, token, landed) = (Arc::clone(fixture), Arc::clone(&token), Arc::clone(&landed));
        let definition = definition.to_owned();
        writers.spawn(async move { write(&fixture, &token, &definition, writer, &landed).await });
    }
    // In every second round the first writes have landed; in the others the writers have just begun.
    while landed.load(Ordering::SeqCst) < round % 2 * WRITERS {
        tokio::task::yield_now().await;
    }
    // A host or the command line deletes an account without its sessions.
    if round % 3 == 2 {
        let deleted = fixture.org.delete_account(account.id()).await;
        deleted.unwrap_or_else(|error| panic!("round {round}: {error}"));
        fixture.register("a").await;
    } else {
        let begun = Instant::now();
        let deleted = fixture.call("DELETE", "/linked-account/a").send().await;
        assert_eq!(deleted.status, 200, "round {round} after {:?}: {}", begun.elapsed(), deleted.body);
    }
    // Each ends once it is refused.
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    look(fixture, &made.id, &token, round).await;
    if round % 3 == 2 {
        assert_eq!(fixture.call("DELETE", "/linked-account/a").send().await.status, 200);
    }
}

async fn look(fixture: &Fixture, made: &strongroom::DocumentId, token: &str, round: usize) {
    let account = fixture.org.account("a".parse().unwrap());
    let known = account.info().await.unwrap();
    assert!(known.is_none_or(|known| known.id != *made), "round {round}: the account is back");
    assert!(account.values(PageRequest::default()).await.unwrap().items.is_empty(), "round {round}");
    if let Ok(listed) = account.credentials(PageRequest::default()).await {
        assert!(listed.items.is_empty(), "round {round}: a credential is back");
    }
    let used = fixture.call_with_token(token, "GET", "/session/active-linked-account").send().await;
    assert_eq!(used.status, 401, "round {round}");
    let report = fixture.vault.verify().await.unwrap();
    assert!(report.is_clean() && (report.jobs, report.leftover) == (0, 0), "round {round}: {report}");
}

/// Writes until the token is refused.
async fn write(fixture: &Fixture, token: &str, definition: &str, writer: usize, landed: &AtomicUsize) {
    let value = format!(r#"{{"variable_definition_id":"{definition}","value":"of a deleted account"}}"#);
    let account = r#"{"your_app":{"auth_credentials":{"k":"of a deleted account"}}}"#;
    let credential = r#"{"value":"of a deleted account"}"#;
    let path = format!("/linked-account/default-app/auth-credentials/k{writer}");
    for turn in writer.. {
        let (method, path, body) = match turn % 3 {
            0 => ("PUT", "/linked-account", account),
            1 => ("POST", "/env/values", value.as_str()),
            _ => ("PUT", path.as_str(), credential),
        };
        let answer = fixture.call_with_token(token, method, path).json(body).await;
        match answer.status.as_u16() {
            200 => landed.fetch_add(1, Ordering::SeqCst),
            401 => return,
            // The other writers were faster sixteen times.
            503 => 0,
            status => panic!("{method} {path}: {status} {}", answer.body),
        };
    }
}

const WRITERS: usize = 12;
const ROUNDS: usize = 12;
