//! The whole domain against a reference model: random streams of verbs, everything compared after each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod compare;
mod domain;
mod step;
mod verb;

use std::sync::Arc;

use proptest::prelude::*;
use strongroom::store::StoreErrorKind;
use strongroom::{Error, Timestamp, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::common::{FailingStore, TestClock, is_sound, is_verified, org_of, run, unlock, vault};
use domain::Domain;
use verb::{Verb, verbs};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn any_stream_of_verbs_leaves_what_the_model_holds(verbs in verbs()) {
        run(async {
            let clock = TestClock::default();
            let options = VaultOptions::default().clock(clock.clone()).history_versions(10);
            let one = vault(MemoryStore::new(), options).await?;
            follow(std::slice::from_ref(&one), &clock, &verbs).await?;
            assert!(one.cache_stats().runs.hits > 0, "no run was kept");
            is_verified(&one).await
        });
    }

    #[test]
    fn two_engines_on_one_store_see_each_other_s_writes(verbs in verbs()) {
        run(async {
            let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
            let options = || VaultOptions::default().clock(clock.clone()).history_versions(10);
            let one = vault(Arc::clone(&store), options()).await?;
            let two = options().open(Arc::clone(&store), unlock()).await?;
            let domain = follow(&[one, two], &clock, &verbs).await?;
            let later = Vault::open(Arc::clone(&store), unlock()).await?;
            domain.is_what(&org_of(&later)).await?;
            is_verified(&later).await
        });
    }

    #[test]
    fn a_delete_that_was_cut_short_is_done_for_every_reader(verbs in verbs()) {
        run(async {
            let (clock, store) = (TestClock::default(), Arc::new(FailingStore::default()));
            let options = VaultOptions::default().clock(clock.clone()).history_versions(10);
            let vault = vault(Arc::clone(&store), options).await?;
            let org = org_of(&vault);
            let mut domain = Domain { cuts_deletes_short: true, ..Domain::default() };
            for (now, verb) in (1_000..).zip(&verbs) {
                clock.set(now);
                if verb.cascades() {
                    store.fail_after(1, StoreErrorKind::Unavailable);
                }
                domain.step(&org, verb, Timestamp::from_ms(now)).await?;
                store.recover();
                domain.is_what(&org).await?;
                is_sound(&vault).await?;
            }
            vault.run_jobs().await?;
            domain.is_what(&org).await?;
            assert_eq!(vault.run_jobs().await?, 0);
            is_verified(&vault).await
        });
    }
}

/// Does the verbs, each by the next of the engines; every engine must see what the model holds after each.
async fn follow(engines: &[Vault], clock: &TestClock, verbs: &[Verb]) -> Result<Domain, Error> {
    let orgs: Vec<_> = engines.iter().map(org_of).collect();
    let mut domain = Domain::default();
    for (number, verb) in verbs.iter().enumerate() {
        let now = 1_000 + number as u64;
        clock.set(now);
        domain.step(&orgs[number % orgs.len()], verb, Timestamp::from_ms(now)).await?;
        for org in &orgs {
            domain.is_what(org).await?;
        }
    }
    Ok(domain)
}
