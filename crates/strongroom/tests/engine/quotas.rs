//! Quotas: what is just within one is stored, one more is refused, and what is stored can always be read, updated and
//! deleted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Barrier};
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Key, StoreErrorKind};
use strongroom::{
    Account, Backup, Error, IntegrationId, NewValue, Org, Quota, Quotas, Scope, Usage, Vault, VaultOptions,
    WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{
    FailingStore, TestClock, account, id, org_id, org_of, rows, run, text, unlock, vault, with_org, workflow,
};
use crate::rig::{Hooked, Kind, Point, RowKey};

/// An org under quotas, with ten definitions and one account.
fn with_quotas(quotas: Quotas, test: impl AsyncFnOnce(Org, Account) -> Result<(), Error>) {
    run(async {
        let options = VaultOptions::default().quotas(quotas);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        let account = furnish(&org).await?;
        test(org, account).await
    });
}

pub(crate) async fn furnish(org: &Org) -> Result<Account, Error> {
    for index in 0..10 {
        org.define(text(&format!("V{index}"))).await?;
    }
    org.create_account(id("a")).with_default_app().await
}

pub(crate) async fn reopen(store: &Arc<MemoryStore>, quotas: Quotas) -> Result<Org, Error> {
    Ok(org_of(&VaultOptions::default().quotas(quotas).open(Arc::clone(store), unlock()).await?))
}

#[track_caller]
pub(crate) fn assert_refused<T>(answer: Result<T, Error>, expected: Quota, most: u64) {
    match answer.err() {
        Some(Error::OverQuota { quota, max }) => assert_eq!((quota, max), (expected, most)),
        other => unreachable!("{expected:?} lets one more pass, or fails with {other:?}"),
    }
}

#[test]
fn an_account_holds_its_values_and_no_more() {
    with_quotas(Quotas::default().account_values_max(2), async |org, a| {
        a.set_value("V0", "v").await?;
        a.set_value("V1", "v").await?;
        assert_refused(a.set_value("V2", "v").await, Quota::AccountValues, 2);
        a.set_value("V1", "w").await?;
        // Another account's quota is its own, and so is the org's.
        org.account(id("b")).set_value("V2", "v").await?;
        org.set_value("V2", Scope::Org, "v").await?;
        a.delete_value("V0").await?;
        a.set_value("V2", "v").await?;
        assert_refused(a.set_value("V0", "v").await, Quota::AccountValues, 2);
        // A definition that is deleted takes its values with it.
        org.delete_definition("V2").await?;
        a.set_value("V0", "v").await.map(drop)
    });
}

#[test]
fn a_batch_is_charged_to_each_account_for_its_own_rows() {
    with_quotas(Quotas::default().account_values_max(3), async |org, _| {
        let at = |name: &'static str, owner| NewValue::new(name, account(owner), "v");
        org.set_values(&[at("V0", "a"), at("V1", "a"), at("V0", "b"), at("V1", "b")]).await?;
        org.set_values(&[at("V2", "a"), at("V2", "b")]).await?;
        assert_refused(org.set_values(&[at("V0", "c"), at("V3", "b")]).await, Quota::AccountValues, 3);
        assert!(org.value("V0", account("c")).await?.is_none());
        Ok(())
    });
}

#[test]
fn an_account_holds_its_credentials_and_no_more() {
    with_quotas(Quotas::default().account_credentials_max(2), async |org, a| {
        a.upsert_credential("k0", "v").await?;
        a.add_integration(&id("crm")).await?;
        a.app(id("crm")).upsert("k1", "v").await?;
        assert_refused(a.upsert_credential("k2", "v").await, Quota::AccountCredentials, 2);
        let merged = org.upsert_account(id("a")).with_credential("k2", "v").await;
        assert_refused(merged, Quota::AccountCredentials, 2);
        a.upsert_credential("k0", "w").await?;
        a.delete_credential("k0").await?;
        a.upsert_credential("k2", "v").await?;
        // An integration takes its credentials with it.
        a.delete_integration(&id("crm")).await?;
        a.upsert_credential("k3", "v").await?;
        assert_refused(a.upsert_credential("k4", "v").await, Quota::AccountCredentials, 2);
        let three = org.create_account(id("b")).with_credential("1", "v").with_credential("2", "v");
        assert_refused(three.with_credential("3", "v").await, Quota::AccountCredentials, 2);
        assert!(org.linked_account(&id("b")).await?.is_none());
        Ok(())
    });
}

#[test]
fn an_account_holds_its_integrations_and_no_more() {
    with_quotas(Quotas::default().account_integrations_max(2), async |_, a| {
        a.add_integration(&id("crm")).await?;
        assert_refused(a.add_integration(&id("erp")).await, Quota::AccountIntegrations, 2);
        a.add_integration(&id("crm")).await?;
        a.delete_integration(&id("crm")).await?;
        a.add_integration(&id("erp")).await.map(drop)
    });
}

#[test]
fn an_account_holds_its_bytes_and_no_more() {
    with_quotas(Quotas::default().account_bytes_max(200_000), async |_, a| {
        let large = "x".repeat(60_000);
        for key in ["1", "2", "3"] {
            a.upsert_credential(key, large.as_str()).await?;
        }
        assert!(a.usage().await?.bytes <= 200_000);
        assert_refused(a.upsert_credential("4", large.as_str()).await, Quota::AccountBytes, 200_000);
        assert_refused(a.set_value("V0", large.as_str()).await, Quota::AccountBytes, 200_000);
        // One that exists is updated, but not to a long one.
        a.upsert_credential("4", "short").await?;
        assert_refused(a.upsert_credential("4", large.as_str()).await, Quota::AccountBytes, 200_000);
        a.upsert_credential("3", large.as_str()).await?;
        a.upsert_credential("3", "short").await?;
        a.upsert_credential("4", large.as_str()).await.map(drop)
    });
}

#[test]
fn an_org_holds_its_accounts_and_no_more() {
    with_quotas(Quotas::default().org_accounts_max(2), async |org, _| {
        org.create_account(id("b")).await?;
        assert_refused(org.create_account(id("c")).await, Quota::OrgAccounts, 2);
        org.upsert_account(id("b")).name("B").await?;
        // One that was never registered is deleted all the same.
        org.account(id("d")).set_value("V0", "v").await?;
        org.delete_account(&id("d")).await?;
        assert_refused(org.create_account(id("c")).await, Quota::OrgAccounts, 2);
        org.delete_account(&id("b")).await?;
        org.create_account(id("c")).await.map(drop)
    });
}

#[test]
fn an_org_holds_the_values_of_its_workflows_and_no_more() {
    with_quotas(Quotas::default().org_workflow_values_max(2), async |org, _| {
        org.set_value("V0", workflow("w1"), "v").await?;
        org.set_value("V0", workflow("w2"), "v").await?;
        assert_refused(org.set_value("V0", workflow("w3"), "v").await, Quota::OrgWorkflowValues, 2);
        org.set_value("V0", workflow("w2"), "w").await?;
        org.set_value("V0", account("a"), "v").await?;
        org.delete_value("V0", workflow("w1")).await?;
        org.set_value("V0", workflow("w3"), "v").await?;
        let _ = org.shred().await?;
        furnish(&org).await?;
        org.set_value("V0", workflow("w1"), "v").await?;
        org.set_value("V0", workflow("w2"), "v").await.map(drop)
    });
}

#[test]
fn an_org_holds_its_bytes_and_no_more_whoever_they_are_of() {
    with_quotas(Quotas::default().org_bytes_max(200_000), async |org, a| {
        let large = "x".repeat(60_000);
        org.set_value("V0", Scope::Org, large.as_str()).await?;
        a.set_value("V0", large.as_str()).await?;
        org.set_value("V0", workflow("w"), large.as_str()).await?;
        let refused = org.create_account(id("b")).with_credential("k", large.as_str()).await;
        assert_refused(refused, Quota::OrgBytes, 200_000);
        org.delete_account(a.id()).await?;
        org.create_account(id("b")).with_credential("k", large).await.map(drop)
    });
}

#[test]
fn what_is_over_a_quota_is_read_updated_and_deleted() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        let a = furnish(&org).await?;
        let large = "x".repeat(60_000);
        for index in 0..5 {
            a.set_value(format!("V{index}").as_str(), large.as_str()).await?;
            a.upsert_credential(&index.to_string(), large.as_str()).await?;
            org.set_value("V0", workflow(&index.to_string()), "v").await?;
            org.create_account(id(&format!("b{index}"))).await?;
        }
        let org = reopen(&store, every_quota(1)).await?;
        let a = org.account(id("a"));
        assert_eq!(a.value("V4").await?.unwrap().value.expose(), large);
        for index in 0..5 {
            a.set_value(format!("V{index}").as_str(), "y".repeat(60_000)).await?;
            a.set_value(format!("V{index}").as_str(), "short").await?;
            a.set_value(format!("V{index}").as_str(), "longer, but by no more than a secret may be").await?;
            a.upsert_credential(&index.to_string(), "short").await?;
        }
        assert_refused(a.set_value("V5", "v").await, Quota::AccountValues, 1);
        for index in 0..5 {
            assert!(a.delete_credential(&index.to_string()).await?);
            assert!(org.delete_value("V0", workflow(&index.to_string())).await?.is_some());
            org.delete_account(&id(&format!("b{index}"))).await?;
        }
        a.delete_integration(&IntegrationId::default_app()).await?;
        org.delete_account(a.id()).await?;
        assert_eq!(org.usage().await?, Usage::default());
        Ok(())
    });
}

#[test]
fn an_update_of_a_row_of_up_to_4_kib_is_never_refused() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let options = || VaultOptions::default().clock(TestClock::default());
        let a = furnish(&org_of(&vault(Arc::clone(&store), options()).await?)).await?;
        let is_value = |key: &Key| RowKey::parse(key.as_bytes()).kind == Kind::Value;
        let mut fits = Vec::new();
        // Around the bound: a row is longer than its value, and its plaintext may be padded.
        for len in (3_000..4_200).step_by(7) {
            a.set_value("V0", "x".repeat(len)).await?;
            let row = rows(&store).await?.into_iter().find(|(key, _)| is_value(key));
            fits.push((len, row.unwrap().1.len() <= 4 << 10));
        }
        assert!(fits[0].1 && !fits[fits.len() - 1].1);
        let strict = options().quotas(Quotas::default().account_bytes_max(1));
        let a = org_of(&strict.open(Arc::clone(&store), unlock()).await?).account(id("a"));
        for (len, fits) in fits {
            a.set_value("V0", "y").await?;
            let updated = a.set_value("V0", "y".repeat(len)).await;
            if fits {
                updated?;
            } else {
                assert_refused(updated, Quota::AccountBytes, 1);
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_over_a_quota_is_deleted_also_if_its_history_is_kept() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        let a = furnish(&org).await?;
        let large = "x".repeat(60_000);
        a.set_value("V0", large.as_str()).await?;
        a.upsert_credential("k", large.as_str()).await?;
        org.define(text("LARGE").default_value("x".repeat(4_096))).await?;
        let org = reopen(&store, every_quota(1)).await?;
        let (a, kept) = (org.account(id("a")), || WriteOptions::default().keep_history());
        assert!(org.delete_value_with("V0", account("a"), kept()).await?.is_some());
        assert!(a.app(IntegrationId::default_app()).delete_with("k", kept()).await?);
        org.delete_definition_with("LARGE", kept()).await
    });
}

fn every_quota(max: u64) -> Quotas {
    Quotas::default()
        .account_values_max(max)
        .account_credentials_max(max)
        .account_integrations_max(max)
        .account_bytes_max(max)
        .org_accounts_max(max)
        .org_workflow_values_max(max)
        .org_bytes_max(max)
}

#[test]
fn a_restore_and_a_copy_are_not_held_to_quotas() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let a = furnish(&org_of(&vault)).await?;
        a.upsert_credential("1", "v").await?;
        a.upsert_credential("2", "v").await?;
        let mut file = Vec::new();
        vault.backup(&mut file, |_| ()).await?;
        let strict = || VaultOptions::default().quotas(Quotas::default().account_credentials_max(1));
        let other = strict().create(MemoryStore::new(), unlock()).await?;
        // Counted before, as empty.
        org_of(&other).create_account(id("a")).with_credential("1", "v").await?;
        let _ = org_of(&other).shred().await?;
        let third = strict().create(MemoryStore::new(), unlock()).await?;
        let mut backup = Backup::open(std::io::Cursor::new(file), unlock()).await?;
        backup.restore_org(org_id(), &third, |_| ()).await?;
        let restored = org_of(&third).account(id("a"));
        assert_eq!(restored.usage().await?.credentials, 2);
        assert_refused(restored.upsert_credential("3", "v").await, Quota::AccountCredentials, 1);
        Ok(())
    });
}

#[test]
fn what_a_restore_brings_of_an_account_that_was_counted_counts() {
    run(async {
        let source = vault(MemoryStore::new(), VaultOptions::default()).await?;
        org_of(&source).create_account(id("a")).with_credential("1", "v").await?;
        let mut file = Vec::new();
        source.backup(&mut file, |_| ()).await?;
        let strict = VaultOptions::default().quotas(Quotas::default().account_credentials_max(1));
        let target = strict.create(MemoryStore::new(), unlock()).await?;
        let org = org_of(&target);
        // Refused, so that nothing of it is there but the count.
        let two = org.create_account(id("a")).with_credential("1", "v").with_credential("2", "v");
        assert_refused(two.await, Quota::AccountCredentials, 1);
        let mut backup = Backup::open(std::io::Cursor::new(file), unlock()).await?;
        backup.restore_org(org_id(), &target, |_| ()).await?;
        let more = org.account(id("a")).upsert_credential("2", "v").await;
        assert_refused(more, Quota::AccountCredentials, 1);
        Ok(())
    });
}

#[test]
fn usage_says_what_the_rows_hold() {
    with_org(async |org| {
        let a = furnish(&org).await?;
        a.set_value("V0", "v").await?;
        a.upsert_credential("k", "v").await?;
        org.set_value("V0", Scope::Org, "v").await?;
        org.set_value("V0", workflow("w"), "v").await?;
        org.account(id("b")).set_value("V0", "v").await?;
        let usage = org.usage().await?;
        assert_eq!((usage.accounts, usage.values, usage.workflow_values), (1, 4, 1));
        assert_eq!((usage.integrations, usage.credentials), (1, 1));
        let own = a.usage().await?;
        assert_eq!((own.accounts, own.values, own.integrations, own.credentials), (0, 1, 1, 1));
        assert!(0 < own.bytes && own.bytes < usage.bytes);
        Ok(())
    });
}

#[test]
fn writers_at_once_never_pass_a_quota_of_an_account_in_one_engine() {
    for _ in 0..20 {
        let options = VaultOptions::default().quotas(Quotas::default().account_credentials_max(10));
        let vault = block_on(vault(MemoryStore::new(), options)).unwrap();
        block_on(furnish(&org_of(&vault))).unwrap();
        flood(std::slice::from_ref(&vault), 8, 4);
        assert_eq!(block_on(org_of(&vault).account(id("a")).usage()).unwrap().credentials, 10);
    }
}

/// An org whose engine counts again before each write, and the store that lets others in.
async fn counting_always(quotas: Quotas) -> Result<(Hooked, Org, Account), Error> {
    let store = Hooked::new(Arc::default()).shared();
    let options = VaultOptions::default().quotas(quotas).clock(TestClock::default());
    let org = org_of(&vault(store.clone(), options).await?);
    let account = furnish(&org).await?;
    Ok((store, org, account))
}

#[test]
fn a_count_does_not_forget_what_is_in_flight_to_an_account() {
    for point in [Point::BeforeCommit, Point::AfterCommit] {
        run(async {
            let (store, _, a) = counting_always(Quotas::default().account_credentials_max(10)).await?;
            for index in 0..9 {
                a.upsert_credential(&index.to_string(), "v").await?;
            }
            let other = a.clone();
            store.once(point, move || {
                let late = block_on(other.upsert_credential("late", "v"));
                assert_refused(late, Quota::AccountCredentials, 10);
            });
            a.upsert_credential("9", "v").await?;
            assert_refused(a.upsert_credential("10", "v").await, Quota::AccountCredentials, 10);
            assert!(a.delete_credential("9").await?);
            a.upsert_credential("10", "v").await.map(drop)
        });
    }
}

#[test]
fn a_count_does_not_forget_what_is_in_flight_to_an_org() {
    for point in [Point::BeforeCommit, Point::AfterCommit] {
        run(async {
            let (store, org, _) = counting_always(Quotas::default().org_workflow_values_max(3)).await?;
            org.set_value("V0", workflow("w0"), "v").await?;
            org.set_value("V0", workflow("w1"), "v").await?;
            let other = org.clone();
            store.once(point, move || {
                let late = block_on(other.set_value("V0", workflow("late"), "v"));
                assert_refused(late, Quota::OrgWorkflowValues, 3);
            });
            org.set_value("V0", workflow("w2"), "v").await?;
            assert_refused(org.set_value("V0", workflow("w3"), "v").await, Quota::OrgWorkflowValues, 3);
            assert!(org.delete_value("V0", workflow("w2")).await?.is_some());
            org.set_value("V0", workflow("w3"), "v").await.map(drop)
        });
    }
}

#[test]
fn a_count_does_not_forget_what_lands_after_its_read() {
    for reads_before in 0..8 {
        run(async {
            let inner = Arc::new(MemoryStore::new());
            let made = org_of(&vault(Arc::clone(&inner), VaultOptions::default()).await?);
            furnish(&made).await?;
            let names: Vec<_> = (0..10).map(|index| format!("V{index}")).collect();
            for name in &names {
                made.set_value(name.as_str(), Scope::Org, "short").await?;
            }
            let store = Hooked::new(inner);
            let options = VaultOptions::default().quotas(Quotas::default().org_bytes_max(60_000));
            let org = org_of(&options.clock(TestClock::default()).open(store.clone(), unlock()).await?);
            let other = org.clone();
            // Updates of such rows are never refused.
            store.once_after(Point::AfterRead, reads_before, move || {
                for name in &names {
                    block_on(other.set_value(name.as_str(), Scope::Org, "x".repeat(3_500))).unwrap();
                }
            });
            org.set_value("V0", workflow("w"), "y".repeat(5_000)).await?;
            let more = org.set_value("V1", workflow("w"), "y".repeat(25_000)).await;
            if store.hooks_left() == 0 {
                assert_refused(more, Quota::OrgBytes, 60_000);
            }
            Ok(())
        });
    }
}

#[test]
fn writers_of_engines_that_share_a_store_pass_a_quota_by_less_than_is_said() {
    for _ in 0..10 {
        let store = Arc::new(MemoryStore::new());
        let quotas = Quotas::default().account_credentials_max(64);
        let made = block_on(vault(Arc::clone(&store), VaultOptions::default())).unwrap();
        block_on(furnish(&org_of(&made))).unwrap();
        let open = || VaultOptions::default().quotas(quotas).open(Arc::clone(&store), unlock());
        let vaults: Vec<Vault> = (0..4).map(|_| block_on(open()).unwrap()).collect();
        flood(&vaults, 8, 40);
        let stored = block_on(org_of(&made).account(id("a")).usage()).unwrap().credentials;
        // A sixteenth for each of the other engines, and one for each writer.
        assert!((64..=64 + 3 * 4 + 8).contains(&stored), "{stored}");
    }
}

/// So many threads, each of which adds so many credentials to one account, spread over the vaults.
fn flood(vaults: &[Vault], threads: usize, each: usize) {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (start, vault) = (&start, &vaults[thread % vaults.len()]);
            scope.spawn(move || {
                start.wait();
                let account = org_of(vault).account(id("a"));
                for number in 0..each {
                    let name = format!("{thread}-{number}");
                    // Lost sixteen races, or over the quota: either way the next one.
                    let _ = block_on(account.upsert_credential(&name, "v"));
                }
            });
        }
    });
}

#[test]
fn a_write_that_failed_takes_no_room_for_good() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let clock = TestClock::default();
        let quotas = Quotas::default().account_credentials_max(2);
        let options = VaultOptions::default().quotas(quotas).clock(clock);
        let org = org_of(&vault(Arc::clone(&store), options).await?);
        let a = furnish(&org).await?;
        a.upsert_credential("1", "v").await?;
        store.fail_after(0, StoreErrorKind::Unavailable);
        assert!(matches!(a.upsert_credential("2", "v").await, Err(Error::Store(_))));
        store.recover();
        a.upsert_credential("3", "v").await?;
        assert_refused(a.upsert_credential("4", "v").await, Quota::AccountCredentials, 2);
        Ok(())
    });
}

#[test]
fn a_write_that_the_org_has_no_room_for_takes_none_of_its_account() {
    with_quotas(Quotas::default().account_values_max(1).org_workflow_values_max(0), async |org, a| {
        let both = [account("a"), workflow("w")].map(|scope| NewValue::new("V0", scope, "v"));
        assert_refused(org.set_values(&both).await, Quota::OrgWorkflowValues, 0);
        a.set_value("V0", "v").await.map(drop)
    });
}

#[test]
fn a_refusal_looks_for_what_other_engines_deleted_once_a_second() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let options = || {
            let quotas = Quotas::default().account_credentials_max(32);
            VaultOptions::default().quotas(quotas).clock(clock.clone())
        };
        let one = org_of(&vault(Arc::clone(&store), options()).await?);
        let other = org_of(&options().open(Arc::clone(&store), unlock()).await?);
        let a = furnish(&one).await?;
        for index in 0..32 {
            a.upsert_credential(&index.to_string(), "v").await?;
        }
        let late = async || a.upsert_credential("late", "v").await;
        assert_refused(late().await, Quota::AccountCredentials, 32);
        assert!(other.account(id("a")).delete_credential("0").await?);
        clock.set(1_000);
        late().await?;
        Ok(())
    });
}

#[test]
fn a_refusal_looks_for_what_other_engines_deleted_also_after_the_clock_was_set_back() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        clock.set(10_000);
        let options = || {
            let quotas = Quotas::default().account_credentials_max(32);
            VaultOptions::default().quotas(quotas).clock(clock.clone())
        };
        let one = org_of(&vault(Arc::clone(&store), options()).await?);
        let other = org_of(&options().open(Arc::clone(&store), unlock()).await?);
        let a = furnish(&one).await?;
        for index in 0..32 {
            a.upsert_credential(&index.to_string(), "v").await?;
        }
        let late = async || a.upsert_credential("late", "v").await;
        assert_refused(late().await, Quota::AccountCredentials, 32);
        assert!(other.account(id("a")).delete_credential("0").await?);
        clock.set(5_000);
        late().await.map(drop)
    });
}

#[test]
fn former_versions_count_in_bytes_and_are_measured_again_before_anything_is_refused_for_what_is_gone() {
    run(async {
        let clock = TestClock::default();
        let quotas = Quotas::default().account_bytes_max(40_000);
        let options = VaultOptions::default().quotas(quotas).clock(clock.clone()).history_versions(3);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        let a = furnish(&org).await?;
        let large = "x".repeat(3_500);
        for _ in 0..20 {
            // An update of such a row is never refused, nor is the version that it keeps.
            a.set_value("V0", large.as_str()).await?;
            a.upsert_credential("k", large.as_str()).await?;
        }
        let usage = a.usage().await?;
        assert_eq!((usage.values, usage.credentials), (1, 1), "versions are no values");
        assert!((8 * 3_500..40_000).contains(&usage.bytes), "{usage:?}");
        // By what was added and never measured there is no room, until it is measured.
        assert_refused(a.set_value("V1", large.as_str()).await, Quota::AccountBytes, 40_000);
        clock.set(1_000);
        a.set_value("V1", large.as_str()).await?;
        clock.set(3_000);
        assert_refused(a.set_value("V2", "y".repeat(8_000)).await, Quota::AccountBytes, 40_000);
        // A plain delete takes the versions along.
        a.delete_value("V0").await?;
        clock.set(5_000);
        a.set_value("V2", "y".repeat(8_000)).await.map(drop)
    });
}

/// What makes room where the versions of one value at `scope` fill a quota in bytes, as they were measured.
fn has_room_after(scope: &Scope, deletes: impl AsyncFnOnce(&Org, &TestClock) -> Result<(), Error>) {
    run(async {
        let clock = TestClock::default();
        let quotas = Quotas::default().account_bytes_max(40_000).org_bytes_max(40_000);
        let options = VaultOptions::default().quotas(quotas).clock(clock.clone()).history_versions(3);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        furnish(&org).await?;
        for _ in 0..4 {
            org.set_value("V0", scope, "x".repeat(8_000)).await?;
        }
        clock.set(1_000);
        assert_full(&org, scope).await;
        deletes(&org, &clock).await?;
        clock.set(3_000);
        org.set_value("V1", scope, "y".repeat(20_000)).await.map(drop)
    });
}

async fn assert_full(org: &Org, scope: &Scope) {
    let refused = org.set_value("V1", scope, "y".repeat(20_000)).await;
    assert!(matches!(refused, Err(Error::OverQuota { max: 40_000, .. })), "{refused:?}");
}

#[test]
fn versions_that_go_with_their_definition_make_room() {
    for scope in [Scope::Org, account("a")] {
        has_room_after(&scope, async |org, _| org.delete_definition("V0").await);
    }
}

#[test]
fn versions_that_are_deleted_after_their_value_make_room() {
    for scope in [Scope::Org, account("a")] {
        has_room_after(&scope, async |org, clock| {
            org.delete_value_with("V0", &scope, WriteOptions::default().keep_history()).await?;
            clock.set(2_000);
            assert_full(org, &scope).await;
            assert!(org.delete_value("V0", &scope).await?.is_none());
            Ok(())
        });
    }
}

#[test]
fn a_former_version_counts_for_whose_it_is_until_the_rows_are_measured_again() {
    for (of, quota) in
        [("value", Quota::AccountBytes), ("credential", Quota::AccountBytes), ("org", Quota::OrgBytes)]
    {
        run(async {
            let quotas = match quota {
                Quota::OrgBytes => Quotas::default().org_bytes_max(40_000),
                _ => Quotas::default().account_bytes_max(40_000),
            };
            let options =
                VaultOptions::default().quotas(quotas).clock(TestClock::default()).history_versions(1);
            let org = org_of(&vault(MemoryStore::new(), options).await?);
            let (a, large) = (furnish(&org).await?, "x".repeat(3_500));
            for _ in 0..20 {
                match of {
                    "value" => drop(a.set_value("V0", large.as_str()).await?),
                    "credential" => drop(a.upsert_credential("k", large.as_str()).await?),
                    _ => drop(org.set_value("V0", Scope::Org, large.as_str()).await?),
                }
            }
            let more = match of {
                "org" => org.set_value("V1", Scope::Org, large.as_str()).await,
                _ => a.set_value("V1", large.as_str()).await,
            };
            assert_refused(more, quota, 40_000);
            Ok(())
        });
    }
}

#[test]
fn the_error_says_which_quota_what_it_allows_and_what_to_do() {
    let error = Error::OverQuota { quota: Quota::AccountCredentials, max: 1_000 };
    assert_eq!(
        error.to_string(),
        "there can be at most 1000 credentials of the linked account: delete some first, or have the operator \
         raise `account_credentials_max`"
    );
    let mut names: Vec<_> = Quota::ALL.iter().map(|quota| quota.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), 7);
}
