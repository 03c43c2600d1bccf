//! The engine against the reference model of the domain: any stream of verbs of the public API.

use std::path::Path;

use futures_executor::block_on;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use strongroom::{Error, Timestamp, Vault, VaultOptions};
use strongroom_memory::MemoryStore;
use strongroom_sled::SledStore;

use crate::common::{TestClock, org_of, unlock, vault};
use crate::domain::Domain;
use crate::verb::{Verb, start, verb};

/// On a store in memory, everything that can be read is what the model holds, after each verb.
pub fn engine_memory(data: &[u8]) {
    let result = block_on(async {
        let mut story = Story::default();
        let vault = vault(MemoryStore::new(), story.options()).await?;
        for verb in start().iter().chain(&verbs(data, 40)) {
            story.goes_on(&vault, verb).await?;
            story.is_what(&vault).await?;
        }
        Ok::<_, Error>(())
    });
    result.expect("no verb fails");
}

/// On a sled store that is closed and opened where the first byte says, everything is what the model holds at the end.
pub fn engine_sled(data: &[u8]) {
    let Some((place, data)) = data.split_first() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let verbs: Vec<_> = start().into_iter().chain(verbs(data, 20)).collect();
    let (before, after) = verbs.split_at(usize::from(*place) % verbs.len());
    let result = block_on(async {
        let mut story = Story::default();
        let first = vault(store_in(dir.path())?, story.options()).await?;
        story.goes_through(&first, before).await?;
        first.close().await?;
        let second = story.options().open(store_in(dir.path())?, unlock()).await?;
        story.is_what(&second).await?;
        story.goes_through(&second, after).await?;
        second.close().await
    });
    result.expect("no verb fails");
}

fn store_in(place: &Path) -> Result<SledStore, Error> {
    SledStore::open(place).map_err(Error::from)
}

/// One verb for each two bytes.
///
/// The bytes are the seed of a generator of their own rather than its output, so that a change of two bytes changes
/// one verb: proptest halves what is left of a given output at every choice that it may come back to.
fn verbs(data: &[u8], len_max: usize) -> Vec<Verb> {
    let any_verb = verb();
    let drawn = data.chunks(2).take(len_max).filter_map(|bytes| {
        let mut seed = [0; 32];
        seed.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        any_verb.new_tree(&mut runner).ok().map(|tree| tree.current())
    });
    drawn.collect()
}

/// What the model holds, and a clock that continues by a millisecond a verb.
#[derive(Default)]
struct Story {
    domain: Domain,
    clock: TestClock,
    now: u64,
}

impl Story {
    fn options(&self) -> VaultOptions {
        VaultOptions::default().clock(self.clock.clone()).history_versions(10)
    }

    async fn goes_through(&mut self, vault: &Vault, verbs: &[Verb]) -> Result<(), Error> {
        for verb in verbs {
            self.goes_on(vault, verb).await?;
        }
        self.is_what(vault).await
    }

    async fn goes_on(&mut self, vault: &Vault, verb: &Verb) -> Result<(), Error> {
        self.now += 1;
        self.clock.set(self.now);
        self.domain.step(&org_of(vault), verb, Timestamp::from_ms(self.now)).await
    }

    async fn is_what(&self, vault: &Vault) -> Result<(), Error> {
        self.domain.is_what(&org_of(vault)).await
    }
}
