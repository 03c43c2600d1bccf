//! The steps of the job that brings everything under a new root: how much each reads, writes and counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{DataKeys, Error, JobOutcome, RootRotation, Vault};
use strongroom_conformance::Faulty;

use crate::common::SmallStore;
use crate::rig::{Kind, RowKey, Rows, account, furnished, load, of_account, open, org, rows, unlock};

fn keep_all() -> RootRotation {
    RootRotation::new().keep(unlock())
}

#[test]
fn a_keyring_that_was_written_under_the_new_root_meanwhile_is_done_as_well() {
    let vault = open(load(&furnished()));
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    block_on(org(&vault).set_value("S", of_account("new"), "s")).unwrap();
    assert_eq!(block_on(new.job.run()).unwrap().progress.done, 4);
}

#[test]
fn rows_that_a_new_root_leaves_alone_are_not_read() {
    let reads_of = |before: &Rows| {
        let store = Faulty::new(load(before));
        let new = block_on(open(store.clone()).rotate_root(keep_all())).unwrap();
        let reads = store.reads_len();
        block_on(new.job.run()).unwrap();
        store.reads_len() - reads
    };
    let few = furnished();
    let mut many = few.clone();
    let tenant = RowKey::parse(few.keys().last().unwrap()).tenant;
    many.extend((0..200_u8).map(|number| ([&[1], &*tenant, &[0x7f, number]].concat(), b"none".to_vec())));
    assert_eq!(reads_of(&many), reads_of(&few));
}

#[test]
fn jobs_of_the_longest_rows_go_in_batches_that_every_backend_takes() {
    let store = Arc::new(SmallStore::default());
    let vault = block_on(Vault::create(Arc::clone(&store), unlock())).unwrap();
    let long = |number: u8, len: usize| format!("{number:0>len$}");
    let owner = account(&long(0, 254));
    block_on(async {
        let owner = org(&vault).create_account(owner.clone()).await?;
        let integration = long(0, 64).parse()?;
        owner.add_integration(&integration).await?;
        owner.add_connection(&integration, &long(0, 64).parse()?).await?;
        for number in 0..16 {
            let app = owner.app(integration.clone()).connection(long(0, 64).parse()?);
            app.upsert(long(number, 256).as_str(), "c").await?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    let mut damage = WriteBatch::default();
    for (key, mut row) in
        rows(&store).into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Credential)
    {
        *row.last_mut().unwrap() ^= 1;
        damage.put(key.into(), row);
    }
    block_on(store.commit(Arc::new(damage))).unwrap();
    // Each names the rows that it cannot read.
    let keys = DataKeys::of_account(*org(&vault).id(), org(&vault).environment().clone(), owner);
    for _ in 0..96 {
        let job = block_on(vault.rotate_data_keys(&keys)).unwrap();
        assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    }
    let jobs = rows(&store).into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::KeyJob);
    assert!(jobs.map(|(_, row)| row.len()).sum::<usize>() > 1 << 20, "more than one batch takes");
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    assert_eq!(block_on(new.job.run()).unwrap().outcome, JobOutcome::Finished);
}
