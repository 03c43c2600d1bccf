//! A store moves from memory to sled, redb, PostgreSQL and back to redb, and every reader sees the same to the byte.
//! Rows stay the same between every two kinds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod cluster;
mod sight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_executor::block_on;
use sight::{Sight, Ticking, furnish, look, name, tenants};
use strongroom::{
    CopySummary, DataKeys, Error, PageRequest, RawKey, RootRotation, Scope, Unlock, VarFormat,
    VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;
use strongroom_store::{KeyRange, ReadBatch, Scan, Store};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn by(byte: u8) -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([byte; 32]))
}

/// A vault with two slots, something of every kind, and a rotation that has begun.
fn furnished() -> Vault {
    block_on(async {
        let vault =
            VaultOptions::default().clock(Ticking::default()).create(MemoryStore::new(), by(7)).await?;
        vault.slots().add(by(8)).await?;
        for org in tenants(&vault) {
            furnish(&org).await?;
        }
        vault.rotate_data_keys(&DataKeys::all()).await?.step().await?;
        Ok::<_, Error>(vault)
    })
    .unwrap()
}

/// What arrived at one store.
struct Arrived {
    vault: Vault,
    summary: CopySummary,
    rows: Rows,
}

/// Moves `source` to the empty store that `open` opens, closes it there and opens what arrived.
fn moved<S: Store>(source: &Vault, open: impl Fn() -> S) -> Arrived {
    block_on(async {
        let target = open();
        let summary = source.copy_to(&target, |_| ()).await?;
        target.close().await?;
        drop(target);
        let target = open();
        let rows = rows(&target).await?;
        Ok::<_, Error>(Arrived { vault: Vault::open(target, by(7)).await?, summary, rows })
    })
    .unwrap()
}

async fn rows(store: &impl Store) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    let mut rest = KeyRange::all();
    loop {
        let scans = vec![Scan::new(rest.clone(), 100)];
        let page = store.read(&ReadBatch { gets: Vec::new(), scans }).await?.scans.remove(0);
        let last = page.rows.last().map(|(key, _)| key.clone());
        rows.extend(page.rows.into_iter().map(|(key, row)| (key.into(), row.value)));
        match last {
            Some(last) if page.more => rest = rest.after(last.as_bytes()),
            _ => return Ok(rows),
        }
    }
}

fn assert_same(vault: &Vault, expected: &Sight, place: &str) {
    let seen = block_on(look(vault)).unwrap();
    assert!(seen.keys().eq(expected.keys()), "{place}: something is missing, or new");
    for (reader, answer) in expected {
        assert_eq!(seen.get(reader), Some(answer), "{place}: {reader}");
    }
}

fn assert_clean(vault: &Vault, place: &str) {
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean() && report.unverifiable == 0, "{place}: {report}");
}

/// A retired store refuses every kind of write.
fn assert_refuses_writes(vault: &Vault, place: &str) {
    let refused: [(&str, Result<(), Error>); 9] = block_on(async {
        let org = tenants(vault).remove(0);
        let account = org.account("a".parse().unwrap());
        let records = org.records("visitor".parse().unwrap());
        [
            ("set", org.set_value(&name(0), Scope::Org, "late").await.map(drop)),
            ("delete", org.delete_value(&name(0), Scope::Org).await.map(drop)),
            ("define", org.define(VariableDefinition::new("LATE", VarFormat::String)).await.map(drop)),
            ("credential", account.upsert_credential("k", "late").await.map(drop)),
            ("account", org.delete_account(account.id()).await),
            ("record", records.put(&"r".parse().unwrap(), "late").await.map(drop)),
            ("slot", vault.slots().add(by(9)).await.map(drop)),
            ("root key", vault.rotate_root(RootRotation::new().keep(by(7)).keep(by(8))).await.map(drop)),
            ("copy", vault.copy_to(&MemoryStore::new(), |_| ()).await.map(drop)),
        ]
    });
    for (verb, answer) in refused {
        assert!(matches!(answer, Err(Error::Retired)), "{place}: {verb}: {answer:?}");
    }
    assert!(block_on(vault.is_retired()).unwrap());
}

#[test]
fn a_store_that_moves_through_every_backend_resolves_to_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = cluster::shared();
    let database = cluster.database();
    let at = |file: &str| directory.path().join(file);
    let memory = furnished();
    let expected = block_on(look(&memory)).unwrap();
    assert!(expected.len() > 4 * 100, "{} answers", expected.len());

    let sled = moved(&memory, || SledStore::open(at("sled")).unwrap());
    let redb = moved(&sled.vault, || RedbStore::open(at("redb")).unwrap());
    let postgres = moved(&redb.vault, || cluster.open(&database));
    let last = moved(&postgres.vault, || RedbStore::open(at("last")).unwrap());

    let hops = [("sled", &sled), ("redb", &redb), ("postgres", &postgres), ("redb again", &last)];
    for (place, arrived) in hops {
        assert_same(&arrived.vault, &expected, place);
        assert_clean(&arrived.vault, place);
        assert_eq!(arrived.rows, sled.rows, "{place}: a row differs");
        assert_eq!(arrived.summary.digest, sled.summary.digest, "{place}");
    }
    let left =
        [("memory", &memory), ("sled", &sled.vault), ("redb", &redb.vault), ("postgres", &postgres.vault)];
    for (place, vault) in left {
        assert_refuses_writes(vault, place);
        assert_same(vault, &expected, place);
        assert_clean(vault, place);
    }
    drop((expected, hops, left));
    goes_on(last.vault, || RedbStore::open(at("last")).unwrap());
}

#[test]
fn rows_stay_the_same_between_every_two_kinds_of_store() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = cluster::shared();
    let open = |kind: &str, number: usize| -> Arc<dyn Store> {
        let path = directory.path().join(number.to_string());
        match kind {
            "memory" => Arc::new(MemoryStore::new()),
            "sled" => Arc::new(SledStore::open(path).unwrap()),
            "redb" => Arc::new(RedbStore::open(path).unwrap()),
            "sqlite" => Arc::new(SqliteStore::open(path).unwrap()),
            _ => Arc::new(cluster.open(&cluster.database())),
        }
    };
    const KINDS: [&str; 5] = ["memory", "sled", "redb", "sqlite", "postgres"];
    let mut vault = furnished();
    let mut expected = None;
    // Their number is a prime, so that each step leads through all of them and back, over pairs of its own.
    let (mut kind, mut pairs) = (0, BTreeSet::new());
    for step in 1..KINDS.len() {
        for _ in KINDS {
            let from = KINDS[kind];
            kind = (kind + step) % KINDS.len();
            let target = open(KINDS[kind], pairs.len());
            pairs.insert((from, KINDS[kind]));
            block_on(vault.copy_to(&target, |_| ())).unwrap();
            let arrived = block_on(rows(&target)).unwrap();
            assert!(arrived.len() > 100);
            assert_eq!(
                &arrived,
                expected.get_or_insert_with(|| arrived.clone()),
                "from {from} to {}",
                KINDS[kind]
            );
            vault = block_on(Vault::open(target, by(7))).unwrap();
        }
    }
    assert_eq!(pairs.len(), KINDS.len() * (KINDS.len() - 1));
    assert_clean(&vault, "the last of them");
}

/// The vault opens by its other slot too, takes writes and ends the rotation that began elsewhere.
fn goes_on<S: Store>(vault: Vault, open: impl Fn() -> S) {
    block_on(vault.close()).unwrap();
    drop(vault);
    let vault = block_on(Vault::open(open(), by(8))).unwrap();
    block_on(tenants(&vault).remove(0).set_value(&name(0), Scope::Org, "on")).unwrap();
    block_on(vault.run_jobs()).unwrap();
    assert!(block_on(vault.jobs(PageRequest::default())).unwrap().items.is_empty());
    assert_clean(&vault, "the end");
}
