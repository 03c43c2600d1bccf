//! `Records::get_if_changed`: what counts as the record that was seen before.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{id, org_of, run, vault, with_org};
use crate::rig::{Kind, RowKey};
use futures_executor::block_on;
use strongroom::store::{Key, Store as _, WriteBatch};
use strongroom::{DataKeys, Error, IfChanged, Org, Records, Stamp, VaultOptions};
use strongroom_memory::MemoryStore;

#[test]
fn a_record_that_was_not_written_is_unchanged() {
    with_org(async |org| {
        let records = records(&org);
        assert!(matches!(records.get_if_changed(&id("k"), None).await?, IfChanged::Absent));
        records.put(&id("k"), "x").await?;
        let stamp = changed(&records, None, "x").await?;
        for _ in 0..2 {
            assert!(matches!(records.get_if_changed(&id("k"), Some(&stamp)).await?, IfChanged::Unchanged));
        }
        Ok(())
    });
}

#[test]
fn a_record_that_was_put_again_is_changed_even_with_the_same_value() {
    with_org(async |org| {
        let records = records(&org);
        records.put(&id("k"), "x").await?;
        let first = changed(&records, None, "x").await?;
        records.put(&id("k"), "x").await?;
        let second = changed(&records, Some(&first), "x").await?;
        assert!(records.delete(&id("k")).await?);
        assert!(matches!(records.get_if_changed(&id("k"), Some(&second)).await?, IfChanged::Absent));
        records.put(&id("k"), "x").await?;
        changed(&records, Some(&second), "x").await?;
        Ok(())
    });
}

#[test]
fn a_record_that_was_sealed_anew_is_changed() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let records = records(&org_of(&vault));
        records.put(&id("k"), "x").await?;
        let stamp = changed(&records, None, "x").await?;
        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        changed(&records, Some(&stamp), "x").await?;
        Ok(())
    });
}

#[test]
fn the_stamp_of_one_record_is_not_that_of_another() {
    with_org(async |org| {
        let records = records(&org);
        records.put(&id("k"), "x").await?;
        records.put(&id("l"), "x").await?;
        let other = records.get_if_changed(&id("l"), None).await?;
        let IfChanged::Changed(_, other) = other else { panic!("it was put") };
        changed(&records, Some(&other), "x").await?;
        Ok(())
    });
}

#[test]
fn a_record_that_the_store_moved_is_damage_and_not_unchanged() {
    let (store, vault) = crate::rig::empty();
    let records = records(&crate::rig::org(&vault));
    let put = |key| {
        block_on(records.put(&id(key), key)).unwrap();
        crate::rig::rows(&store)
    };
    let of_k = put("k");
    let of_l = put("l");
    let stamp = block_on(changed(&records, None, "k")).unwrap();
    let is_record = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Record;
    let at_k = of_k.keys().find(is_record).unwrap();
    let at_l = of_l.keys().find(|key| is_record(key) && key != &at_k).unwrap();
    let mut moved = WriteBatch::default();
    moved.put(Key::from(at_l.as_slice()), of_l[at_k].clone());
    block_on(store.commit(Arc::new(moved))).unwrap();
    let found = block_on(records.get_if_changed(&id("l"), Some(&stamp)));
    assert!(matches!(found, Err(Error::Damaged { .. })), "{found:?}");
}

/// The stamp of the record "k", which is to be told as changed and to hold `value`.
async fn changed(records: &Records, stamp: Option<&Stamp>, value: &str) -> Result<Stamp, Error> {
    match records.get_if_changed(&id("k"), stamp).await? {
        IfChanged::Changed(record, stamp) => {
            assert_eq!(record.value.expose(), value);
            Ok(stamp)
        }
        found => panic!("{found:?}"),
    }
}

fn records(org: &Org) -> Records {
    org.records(id("visitor"))
}
