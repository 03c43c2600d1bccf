//! The fence: whatever seals a row expects the keyring whose key it used, and whatever seals under the root expects
//! the `store` row. So nothing that was planned under a key lands after that key was retired.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_executor::block_on;
use strongroom::store::{Expect, Key, Op, WriteBatch};
use strongroom::{Backup, DataKeys, NewValue, RootRotation};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Altered, Kind, RowKey, empty, furnished, load, of_account, open, org, rows, text, unlock, verbs,
};

/// A store that looks at every batch before it is applied, and counts the rows that are sealed.
fn watched(inner: Arc<MemoryStore>) -> (Altered, Arc<AtomicUsize>) {
    let sealed_len = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sealed_len);
    let store = Altered::of(inner).on_commit(move |batch| {
        check(batch, &counted);
        Ok(())
    });
    (store, sealed_len)
}

fn check(batch: &WriteBatch, sealed_len: &AtomicUsize) {
    for op in &batch.ops {
        let Op::Put(key, _) = op else { continue };
        // Notes are in the clear.
        if matches!(key.as_bytes(), [0, 0x10..=0x1f, ..]) {
            continue;
        }
        let row = RowKey::parse(key.as_bytes());
        let fence = if row.is_data() {
            let rest = row.scope_account().map_or(Vec::new(), |id| [id.as_bytes(), &[0]].concat());
            RowKey { tenant: row.tenant.clone(), kind: Kind::Keyring, rest }.bytes()
        } else if matches!(row.kind, Kind::Keyring | Kind::Job | Kind::KeyJob | Kind::Slot) {
            vec![0, 3]
        } else {
            continue;
        };
        let fence = Key::from(fence);
        let expected = batch.expect.iter().find(|(key, _)| *key == fence).map(|(_, expect)| *expect);
        let made_here = batch.ops.iter().any(|op| *op.key() == fence);
        let holds =
            matches!(expected, Some(Expect::Revision(_))) || (expected == Some(Expect::Absent) && made_here);
        assert!(holds, "{row:?} was sealed without its fence");
        sealed_len.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_batch_that_seals_a_row_expects_the_fence_of_its_key() {
    let base = furnished();
    for verb in verbs() {
        let (store, sealed_len) = watched(load(&base));
        let vault = open(store);
        for _ in 0..2 {
            drop(block_on(verb.run(org(&vault))));
            let _job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
            block_on(vault.run_jobs()).unwrap();
            let _rotation = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
            block_on(vault.run_jobs()).unwrap();
        }
        // A shred leaves nothing that a rotation could seal.
        let least = if verb.name == "shred" { 0 } else { 30 };
        assert!(sealed_len.load(Ordering::Relaxed) > least, "{}", verb.name);
    }
}

#[test]
fn every_batch_of_an_org_that_is_restored_expects_the_fence_of_its_keys() {
    let (_, source) = empty();
    let id = *org(&source).id();
    block_on(org(&source).define(text("V"))).unwrap();
    let accounts: Vec<String> = (0..700).map(|number| format!("u{number}")).collect();
    for some in accounts.chunks(100) {
        let values: Vec<_> = some.iter().map(|id| NewValue::new("V", of_account(id), "v")).collect();
        block_on(org(&source).set_values(&values)).unwrap();
    }
    let mut file = Vec::new();
    block_on(source.backup_org(id, unlock(), &mut file, |_| ())).unwrap();
    let (store, sealed_len) = watched(load(&rows(&empty().0)));
    let mut backup = block_on(Backup::open(Cursor::new(file), unlock())).unwrap();
    block_on(backup.restore_org(id, &open(store), |_| ())).unwrap();
    assert!(sealed_len.load(Ordering::Relaxed) > 1_400);
}
