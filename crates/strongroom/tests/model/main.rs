//! The whole domain against a reference model: random streams of verbs, everything compared after each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod domain;
mod step;
mod verb;

use std::sync::Arc;

use proptest::prelude::*;
use strongroom::{Error, Timestamp, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

use common::{TestClock, org_of, run, unlock, vault};
use domain::Domain;
use verb::{Verb, verbs};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn any_stream_of_verbs_leaves_what_the_model_holds(verbs in verbs()) {
        run(async {
            let clock = TestClock::default();
            let options = VaultOptions::default().clock(clock.clone());
            let one = vault(MemoryStore::new(), options).await?;
            follow(&[one], &clock, &verbs).await.map(|_| ())
        });
    }

    #[test]
    fn two_engines_on_one_store_see_each_other_s_writes(verbs in verbs()) {
        run(async {
            let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
            let options = || VaultOptions::default().clock(clock.clone());
            let one = vault(Arc::clone(&store), options()).await?;
            let two = options().open(Arc::clone(&store), unlock()).await?;
            let domain = follow(&[one, two], &clock, &verbs).await?;
            let later = Vault::open(store, unlock()).await?;
            domain.is_what(&org_of(&later)).await
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
