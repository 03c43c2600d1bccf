//! What must never repeat in a long run: nonces under one key, and document ids.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{DataKeys, RootRotation, Scope, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::audit::Cbor;
use crate::rig::{Rows, account, of_account, of_workflow, org, rows, text, unlock};

/// Key id and nonce, as FORMAT.md, section 6.1, lays a record out.
type Seal = ([u8; 16], [u8; 12]);

/// The record of each sealed row.
fn records(rows: &Rows) -> impl Iterator<Item = &[u8]> {
    rows.values().filter_map(|row| {
        let entry = match row[2] {
            0x04 => 3,
            kind if kind < 0x10 => 2,
            _ => return None,
        };
        Some(Cbor::parse(&row[3..]).unwrap().at(entry).unwrap().bytes().unwrap())
    })
}

#[test]
fn no_nonce_repeats_under_a_key_and_no_id_of_a_document_is_made_twice() {
    let store = Arc::new(MemoryStore::new());
    let options = VaultOptions::default().history_versions(3);
    let vault = block_on(options.create(Arc::clone(&store), unlock())).unwrap();
    let (mut seals, mut ids): (BTreeMap<Seal, Vec<u8>>, BTreeSet<_>) = Default::default();
    let mut look = || {
        for record in records(&rows(&store)) {
            let seal = (record[2..18].try_into().unwrap(), record[18..30].try_into().unwrap());
            let known = seals.entry(seal).or_insert_with(|| record.to_vec());
            assert!(known == record, "two records are sealed with one nonce under one key");
        }
        seals.len()
    };
    let org = org(&vault);
    let a = block_on(async { org.create_account(account("a")).with_default_app().await }).unwrap();
    assert!(ids.insert(block_on(org.define(text("V"))).unwrap().to_string()));
    for round in 0..100 {
        block_on(async {
            for scope in [Scope::Org, of_account("a"), of_workflow("w")] {
                let value = format!("{round}");
                ids.insert(org.set_value("V", scope.clone(), value.as_str()).await?.id.to_string());
                if round % 10 == 9 {
                    org.delete_value("V", scope).await?;
                }
            }
            a.upsert_credential("k", "the same each time").await?;
            if round % 25 == 24 {
                vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
                vault.rotate_root(RootRotation::new().keep(unlock())).await?.job.run().await?;
            }
            Ok::<_, strongroom::Error>(())
        })
        .unwrap();
        look();
    }
    assert!(look() > 500, "the run sealed much");
    // The definition, and each value again after each of its ten deletes.
    assert_eq!(ids.len(), 1 + 3 * 10);
}
