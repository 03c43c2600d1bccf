//! Rotation of data keys: new keys for old rows, and nothing that a reader sees changes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{
    Clock as _, DataKeys, DocumentId, Environment, Error, JobKind, JobOutcome, JobState, OnUnreadable,
    PageRequest, UnreadableCause, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{TestClock, with_small_store};
use crate::rig::{
    Hooked, Kind, ORG, Point, RowKey, Rows, account, audit, dek_id, empty, furnished, load, of_account,
    of_workflow, open, org, rows, text, unlock, view,
};

/// The keys under which the rows of a store are sealed.
fn deks(rows: &Rows) -> BTreeSet<Vec<u8>> {
    let data = rows.iter().filter(|(key, _)| RowKey::parse(key).is_data());
    data.map(|(_, row)| dek_id(row)).collect()
}

fn clock_at(ms: u64) -> TestClock {
    let clock = TestClock::default();
    clock.set(ms);
    clock
}

fn all() -> PageRequest {
    PageRequest::first(PageRequest::LIMIT_MAX)
}

#[test]
fn every_row_is_sealed_anew_and_reads_as_before() {
    let before = furnished();
    let store = load(&before);
    let vault = open(Arc::clone(&store));
    let seen = view(&org(&vault));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let report = block_on(job.run()).unwrap();

    assert_eq!(report.outcome, JobOutcome::Finished);
    let after = rows(&store);
    assert!(deks(&before).is_disjoint(&deks(&after)), "a row is under an old key");
    let data = before.keys().filter(|key| RowKey::parse(key).is_data()).count() as u64;
    assert_eq!(report.progress.done, data);
    assert_eq!(report.progress.total, Some(data));
    let scopes = deks(&before).len() as u64;
    assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (scopes, scopes));
    assert_eq!(view(&org(&vault)), seen);
    assert_eq!(view(&org(&open(Arc::clone(&store)))), seen);
    assert!(block_on(vault.jobs(all())).unwrap().items.is_empty());
    audit(&store);
}

#[test]
fn a_job_counts_the_rows_that_data_keys_seal_before_it_begins() {
    let before = furnished();
    let vault = open(load(&before));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let sealed = before.keys().filter(|key| RowKey::parse(key).is_data()).count() as u64;
    let counted =
        std::iter::repeat_with(|| block_on(job.step()).unwrap().progress.total).find(Option::is_some);
    assert_eq!(counted, Some(Some(sealed)));
    let progress = block_on(job.run()).unwrap().progress;
    assert_eq!((progress.total, progress.done), (Some(sealed), sealed));
}

#[test]
fn a_job_is_never_further_than_all_its_rows() {
    let (_, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    while block_on(job.step()).unwrap().progress.total.is_none() {}
    for account in ["a", "b", "c", "d"] {
        block_on(org.set_value("V", of_account(account), "added after the count")).unwrap();
    }
    let progress = block_on(job.run()).unwrap().progress;
    assert!(progress.total.is_some_and(|total| progress.done <= total), "{progress:?}");
}

#[test]
fn ids_revisions_and_times_stay() {
    let clock = clock_at(1_000);
    let store = load(&furnished());
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    let look = || {
        let org = org(&vault);
        block_on(async {
            let account = org.account(account("a"));
            let shown = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?}",
                org.value("V", &of_account("a")).await?,
                org.definition("V").await?,
                org.linked_accounts(all()).await?.items,
                account.integrations(all()).await?.items,
                account.credential("k").await?,
                org.records("visitor".parse()?).list(all()).await?.items,
            );
            Ok::<_, Error>(shown)
        })
        .unwrap()
    };
    let before = look();
    clock.set(9_000);
    block_on(org(&vault).rotate_keys()).unwrap();
    assert_eq!(look(), before);
}

#[test]
fn a_rotation_of_one_scope_touches_no_other() {
    let before = furnished();
    for (keys, account_id) in [
        (DataKeys::of_account(ORG.parse().unwrap(), Environment::test(), account("a")), Some("a")),
        (DataKeys::of_org_itself(ORG.parse().unwrap(), Environment::test()), None),
    ] {
        let store = load(&before);
        let vault = open(Arc::clone(&store));
        let report = block_on(block_on(vault.rotate_data_keys(&keys)).unwrap().run()).unwrap();
        assert_eq!(report.progress.keys_destroyed, 1);
        let after = rows(&store);
        for (key, row) in &before {
            let parsed = RowKey::parse(key);
            if parsed.is_data() {
                let moved = dek_id(row) != dek_id(&after[key]);
                assert_eq!(moved, parsed.scope_account().as_deref() == account_id, "{parsed:?}");
            }
        }
        assert_eq!(view(&org(&vault)), view(&org(&open(load(&before)))));
        audit(&store);
    }
}

#[test]
fn a_key_that_is_not_due_stays() {
    let clock = clock_at(0);
    let store = load(&furnished());
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    let run = |keys: DataKeys| {
        block_on(block_on(vault.rotate_data_keys(&keys)).unwrap().run()).unwrap().progress.keys_made
    };
    block_on(org(&vault).rotate_keys()).unwrap();
    clock.set(999);
    let second = Duration::from_secs(1);
    assert_eq!(run(DataKeys::all().older_than(second)), 0);
    clock.set(1_000);
    assert_eq!(run(DataKeys::all().older_than(second)), 3);
    assert_eq!(run(DataKeys::all().rows_at_least(1_000)), 0);
    assert_eq!(run(DataKeys::all().rows_at_least(5)), 2, "of the org and of account a");
    assert_eq!(run(DataKeys::all().older_than(second).rows_at_least(0)), 3);
    assert_eq!(run(DataKeys::all().rows_at_least(1)), 3, "account u has one row");
    assert_eq!(run(DataKeys::all().rows_at_least(2)), 2);
}

#[test]
fn a_key_from_before_the_clock_was_set_back_is_due_by_its_age() {
    let clock = clock_at(10_000_000);
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(load(&furnished()), unlock())).unwrap();
    block_on(org(&vault).rotate_keys()).unwrap();
    clock.set(1_000);
    let old = DataKeys::all().older_than(Duration::from_secs(1));
    let run = || block_on(block_on(vault.rotate_data_keys(&old)).unwrap().run()).unwrap().progress.keys_made;
    assert_eq!(run(), 3);
    assert_eq!(run(), 0, "they are new");
}

#[test]
fn a_row_that_does_not_open_is_told_and_keeps_the_old_key() {
    let mut damaged = furnished();
    let (key, row) = damaged.iter_mut().find(|(key, _)| RowKey::parse(key).kind == Kind::Credential).unwrap();
    let key = key.clone();
    *row.last_mut().unwrap() ^= 1;
    let store = load(&damaged);
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let report = block_on(job.run()).unwrap();

    assert_eq!(report.outcome, JobOutcome::Blocked);
    let progress = &report.progress;
    assert_eq!((progress.failed, progress.keys_kept, progress.keys_destroyed), (1, 1, 2));
    assert!(progress.unreadable[0].row.contains("the credential"), "{:?}", progress.unreadable);
    assert!(matches!(progress.unreadable[0].cause, UnreadableCause::Damaged(_)));
    let listed = block_on(vault.jobs(all())).unwrap().items.pop().unwrap();
    assert_eq!((listed.kind, listed.state), (JobKind::DataKeys, JobState::Blocked));
    assert_eq!(listed.progress.as_ref(), Some(progress));
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0, "a blocked job waits");

    // What was damaged is brought back: nothing is lost.
    let mut mended = rows(&store);
    mended.insert(key.clone(), furnished_row(&damaged, &key));
    let store = load(&mended);
    let vault = open(Arc::clone(&store));
    let job = vault.key_job(*job.id());
    assert!(block_on(job.retry(OnUnreadable::KeepKeys)).unwrap());
    let report = block_on(job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.keys_destroyed), (JobOutcome::Finished, 3));
    audit(&store);
}

#[test]
fn a_job_that_is_retried_counts_its_rows_anew_and_keeps_its_time_and_its_keys() {
    let mut damaged = furnished();
    let row = damaged.iter_mut().find(|(key, _)| RowKey::parse(key).kind == Kind::Credential).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let (clock, hooked) = (clock_at(1_000), Hooked::new(load(&damaged)));
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(hooked.clone(), unlock())).unwrap();
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    // Once the run has begun.
    hooked.once_after(Point::AfterRead, 1, move || clock.set(3_000));
    let blocked = block_on(job.run()).unwrap().progress;
    assert_eq!((blocked.worked_ms, blocked.keys_made, blocked.keys_destroyed), (2_000, 3, 2));
    block_on(job.retry(OnUnreadable::KeepKeys)).unwrap();
    let retried = block_on(job.info()).unwrap().unwrap().progress.unwrap();
    assert_eq!((retried.worked_ms, retried.keys_made, retried.keys_destroyed), (2_000, 3, 2));
    assert_eq!((retried.done, retried.failed, retried.total, retried.keys_kept), (0, 0, None, 0));
    assert_eq!(retried.unreadable, []);
}

#[test]
fn a_job_says_whose_keys_it_rotates() {
    let vault = open(load(&furnished()));
    let tenant = (ORG.parse().unwrap(), Environment::test());
    let of = |keys: DataKeys| {
        let job = block_on(vault.rotate_data_keys(&keys)).unwrap();
        let info = block_on(job.info()).unwrap().unwrap();
        (info.tenant, info.account)
    };
    assert_eq!(of(DataKeys::all()), (None, None));
    assert_eq!(of(DataKeys::of_org(tenant.0, tenant.1.clone())), (Some(tenant.clone()), None));
    let of_account = DataKeys::of_account(tenant.0, tenant.1.clone(), account("a"));
    assert_eq!(of(of_account), (Some(tenant), Some(account("a"))));
}

/// The row as it was before its last bit was flipped.
fn furnished_row(damaged: &Rows, key: &[u8]) -> Vec<u8> {
    let mut row = damaged[key].clone();
    *row.last_mut().unwrap() ^= 1;
    row
}

#[test]
fn an_old_key_that_unreadable_rows_need_is_destroyed_by_force_alone() {
    let mut damaged = furnished();
    let row = damaged.iter_mut().find(|(key, _)| RowKey::parse(key).kind == Kind::Record).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let store = load(&damaged);
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    block_on(job.retry(OnUnreadable::DestroyKeys)).unwrap();
    let report = block_on(job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 1));
    assert_eq!(report.progress.keys_destroyed, 3);
    let read = block_on(org(&vault).records("visitor".parse().unwrap()).get(&"r".parse().unwrap()));
    assert!(matches!(read, Err(Error::UnknownKey { .. })), "{read:?}");
}

#[test]
fn a_paused_job_waits_until_it_is_resumed() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    for _ in 0..4 {
        assert_eq!(block_on(job.step()).unwrap().outcome, JobOutcome::Unfinished);
    }
    assert!(block_on(job.pause()).unwrap());
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Paused);
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
    assert_eq!(block_on(job.info()).unwrap().unwrap().state, JobState::Paused);
    assert!(block_on(job.resume()).unwrap());
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    assert!(block_on(job.info()).unwrap().is_none());
    assert!(!block_on(job.pause()).unwrap());
    audit(&store);
}

#[test]
fn a_retry_is_no_resume_of_a_paused_job() {
    let vault = open(load(&furnished()));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    block_on(job.pause()).unwrap();
    block_on(job.retry(OnUnreadable::KeepKeys)).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Paused);
    block_on(job.resume()).unwrap();
    assert_eq!(block_on(job.run()).unwrap().progress.keys_made, 3);
}

/// Of the furnished rows, one that does not open.
fn with_damaged(kind: Kind) -> Rows {
    let mut damaged = furnished();
    let row = damaged.iter_mut().find(|(key, _)| RowKey::parse(key).kind == kind).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    damaged
}

#[test]
fn a_pause_leaves_a_blocked_job_blocked() {
    let vault = open(load(&with_damaged(Kind::Credential)));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    assert!(block_on(job.pause()).unwrap());
    assert_eq!(block_on(job.info()).unwrap().unwrap().state, JobState::Blocked);
    assert!(block_on(job.resume()).unwrap());
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
}

#[test]
fn a_resume_is_no_retry_of_a_blocked_job() {
    let vault = open(load(&with_damaged(Kind::Credential)));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    assert!(block_on(job.resume()).unwrap());
    assert_eq!(block_on(job.info()).unwrap().unwrap().state, JobState::Blocked);
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
}

#[test]
fn a_rotation_that_was_told_to_destroy_old_keys_does_although_a_row_does_not_open() {
    let vault = open(load(&with_damaged(Kind::Record)));
    let keys = DataKeys::all().on_unreadable(OnUnreadable::DestroyKeys);
    let report = block_on(block_on(vault.rotate_data_keys(&keys)).unwrap().run()).unwrap();
    assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 1));
    assert_eq!((report.progress.keys_destroyed, report.progress.keys_kept), (3, 0));
}

#[test]
fn a_blocked_job_is_held_by_nobody() {
    let (_, one, other) = two_engines(&with_damaged(Kind::Credential), &clock_at(1_000));
    let job = block_on(one.rotate_data_keys(&DataKeys::all())).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    block_on(job.retry(OnUnreadable::DestroyKeys)).unwrap();
    assert_eq!(block_on(job.info()).unwrap().unwrap().state, JobState::Ready);
    assert_eq!(block_on(other.key_job(*job.id()).run()).unwrap().outcome, JobOutcome::Finished);
}

#[test]
fn an_abandoned_rotation_leaves_everything_readable_and_the_next_one_clears_up() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let seen = view(&org(&vault));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    for _ in 0..4 {
        block_on(job.step()).unwrap();
    }
    assert!(block_on(job.abandon()).unwrap());
    assert_eq!(view(&org(&vault)), seen);
    let report = block_on(org(&vault).rotate_keys()).unwrap();
    // All three had a new key already.
    assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (3, 6));
    assert_eq!(view(&org(&vault)), seen);
    audit(&store);
}

/// Two engines on one store, under one clock.
fn two_engines(rows: &Rows, clock: &TestClock) -> (Arc<MemoryStore>, Vault, Vault) {
    let store = load(rows);
    let open = || {
        let options = VaultOptions::default().clock(clock.clone());
        block_on(options.open(Arc::clone(&store), unlock())).unwrap()
    };
    let (one, other) = (open(), open());
    (store, one, other)
}

#[test]
fn a_lease_keeps_others_out_until_it_runs_out() {
    let clock = clock_at(1_000);
    let (store, one, other) = two_engines(&furnished(), &clock);
    let mine = block_on(one.rotate_data_keys(&DataKeys::all())).unwrap();
    let theirs = other.key_job(*mine.id());
    block_on(mine.step()).unwrap();
    let until = match block_on(theirs.run()).unwrap().outcome {
        JobOutcome::Held { until } => until,
        other => panic!("{other:?}"),
    };
    assert_eq!(block_on(mine.info()).unwrap().unwrap().state, JobState::Running { until });
    assert_eq!(block_on(other.run_jobs()).unwrap(), 0);
    block_on(mine.step()).unwrap();
    clock.set(until.as_ms());
    assert_eq!(block_on(mine.info()).unwrap().unwrap().state, JobState::Ready);
    assert_eq!(block_on(theirs.step()).unwrap().outcome, JobOutcome::Unfinished, "it was taken over");
    assert!(matches!(block_on(mine.step()).unwrap().outcome, JobOutcome::Held { .. }));
    assert_eq!(block_on(theirs.run()).unwrap().outcome, JobOutcome::Finished);
    audit(&store);
}

#[test]
fn a_lease_from_before_the_clock_was_set_back_keeps_nobody_out() {
    let clock = clock_at(10_000_000);
    let (store, one, other) = two_engines(&furnished(), &clock);
    let mine = block_on(one.rotate_data_keys(&DataKeys::all())).unwrap();
    block_on(mine.step()).unwrap();
    clock.set(1_000);
    let theirs = other.key_job(*mine.id());
    assert_eq!(block_on(theirs.info()).unwrap().unwrap().state, JobState::Ready);
    assert_eq!(block_on(theirs.run()).unwrap().outcome, JobOutcome::Finished);
    audit(&store);
}

#[test]
fn a_runner_whose_job_was_taken_over_writes_nothing_more() {
    for skip in 0.. {
        let clock = clock_at(1_000);
        let store = load(&furnished());
        let hooked = Hooked::new(Arc::clone(&store));
        let options = || VaultOptions::default().clock(clock.clone());
        let shared = hooked.shared();
        let one = block_on(options().open(shared, unlock())).unwrap();
        let other = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
        let job = block_on(one.rotate_data_keys(&DataKeys::all())).unwrap();
        let theirs = other.key_job(*job.id());
        let seen = view(&org(&other));
        let far = clock.clone();
        hooked.once_after(Point::BeforeCommit, skip, move || {
            far.set(far.now_ms() + 60_000);
            assert_eq!(block_on(theirs.run()).unwrap().outcome, JobOutcome::Finished);
        });
        assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Finished);
        if hooked.hooks_left() > 0 {
            assert!(skip > 3, "a rotation makes more than {skip} commits");
            break;
        }
        assert_eq!(view(&org(&other)), seen);
        audit(&store);
    }
}

#[test]
fn a_rotation_that_another_overtakes_still_ends_with_one_key() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let seen = view(&org(&vault));
    let one = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let other = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let mut open_jobs = vec![one, other];
    while !open_jobs.is_empty() {
        open_jobs.retain(|job| block_on(job.step()).unwrap().outcome == JobOutcome::Unfinished);
    }
    assert_eq!(view(&org(&vault)), seen);
    assert_eq!(deks(&rows(&store)).len(), 3);
    let report = block_on(org(&vault).rotate_keys()).unwrap();
    assert_eq!(report.progress.keys_destroyed, 3, "no old key was left over");
    audit(&store);
}

#[test]
fn an_account_that_is_deleted_meanwhile_is_left_alone() {
    for skip in 0.. {
        let store = load(&furnished());
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        let other = vault.clone();
        hooked.once_after(Point::BeforeCommit, skip, move || {
            block_on(org(&other).delete_account(&account("a"))).unwrap();
        });
        assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Finished, "after {skip} commits");
        assert!(
            block_on(org(&vault).linked_account(&account("a"))).unwrap().is_none() || hooked.hooks_left() > 0
        );
        audit(&store);
        if hooked.hooks_left() > 0 {
            break;
        }
    }
}

#[test]
fn large_rows_go_in_batches_that_every_backend_takes() {
    with_small_store(async |org| {
        org.define(text("V")).await?;
        for index in 0..150 {
            let len = if index % 3 == 0 { 65_536 } else { 100 };
            org.set_value("V", of_workflow(&format!("w{index}")), "x".repeat(len)).await?;
        }
        let report = org.rotate_keys().await?;
        assert_eq!((report.outcome, report.progress.done), (JobOutcome::Finished, 152));
        for index in 0..150 {
            assert!(org.value("V", &of_workflow(&format!("w{index}"))).await?.is_some());
        }
        Ok(())
    });
}

#[test]
fn a_job_that_is_not_there_is_finished() {
    let (_, vault) = empty();
    let id: DocumentId = "000000000000000000000001".parse().unwrap();
    assert_eq!(block_on(vault.key_job(id).run()).unwrap().outcome, JobOutcome::Finished);
    assert!(block_on(vault.key_job(id).info()).unwrap().is_none());
}
