//! Writes and reads with the history of values kept, beside the same without.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use strongroom::{
    Clock, Environment, Org, PageRequest, RawKey, Scope, ScopePath, Store, Unlock, VarFormat,
    VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;

use crate::embedded::Kept;
use crate::population::VALUE;
use crate::{Run, Work};

/// An update of a value, and a warm read of one with 100 versions behind it.
#[must_use]
pub fn works() -> Vec<Work> {
    let redb = || RedbStore::temporary().expect("there is room for temporary files");
    let sled = || SledStore::temporary().expect("there is room for temporary files");
    vec![
        update("memory", MemoryStore::new),
        update("redb", redb).bar(1.25),
        update("sled", sled).bar(1.25),
        update("sqlite", Kept::sqlite).bar(1.25),
        resolve("memory", MemoryStore::new).bar(1.02),
        resolve_at("memory", 10, MemoryStore::new).bar(3.0),
        resolve_at("redb", 10, redb).bar(3.0),
        resolve_at("redb", 100, redb),
    ]
}

fn update<S: Store>(store: &str, open: impl Fn() -> S) -> Work {
    let updates = |kept| {
        let org = org(open(), kept, 1);
        Run::wall(move |n| {
            for _ in 0..n {
                block_on(org.set_value("V", Scope::Org, VALUE)).expect("the value is valid");
            }
        })
    };
    Work::new(format!("{store}: set_value, 10 versions kept"), updates(10), "none kept", updates(0))
}

fn resolve<S: Store>(store: &str, open: impl Fn() -> S) -> Work {
    let reads = |kept| {
        let (org, path) = (org(open(), kept, 101), ScopePath::org());
        Run::cpu(move |n| {
            for _ in 0..n {
                black_box(block_on(org.resolve("V", &path)).expect("it is defined").is_some());
            }
        })
    };
    Work::new(format!("{store}: resolve one, 100 versions behind it"), reads(100), "none", reads(0))
}

/// As of the moment in the middle of the versions that are kept.
fn resolve_at<S: Store>(store: &str, kept: u8, open: impl Fn() -> S) -> Work {
    let (org, path) = (org(open(), kept, usize::from(kept) + 1), ScopePath::org());
    let back = usize::from(kept) / 2;
    let versions =
        block_on(org.value_history("V", Scope::Org, PageRequest::default())).expect("it is defined");
    let at = versions.items.get(back).expect("so many are kept").written_at;
    let (then, now) = (org.clone(), org);
    let path_now = path.clone();
    let work = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(block_on(then.resolve_at("V", &path, at)).expect("it is kept").is_some());
        }
    });
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(block_on(now.resolve("V", &path_now)).expect("it is defined").is_some());
        }
    });
    Work::new(format!("{store}: resolve_at, {back} of {kept} versions back"), work, "resolve", floor)
}

/// An org with one value, set `sets` times. Nothing of what runs see is kept: each resolve reads the store.
fn org(store: impl Store, kept: u8, sets: usize) -> Org {
    let options =
        VaultOptions::default().history_versions(kept).clock(Ticking::default()).cached_runs_bytes_max(0);
    let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = block_on(options.create(store, key)).expect("the store is empty");
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().expect("24 digits"), Environment::test());
    block_on(org.define(VariableDefinition::new("V", VarFormat::String))).expect("the name is free");
    for _ in 0..sets {
        block_on(org.set_value("V", Scope::Org, VALUE)).expect("the value is valid");
    }
    org
}

/// A clock that moves by a second each time it is read.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        // Relaxed: it is the only thing that is shared.
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}
