//! The cache of opened keyrings: a resolve that finds none of its keys there, beside one that finds them all.

use strongroom::VaultOptions;
use strongroom_memory::MemoryStore;

use crate::Work;
use crate::memory::{asked, resolves};
use crate::population::{ORG_ONLY, Population, Request};
use crate::vault::{Asked, Filled};

/// One account and then another, with room for the keyring of one.
#[must_use]
pub fn works() -> Vec<Work> {
    let filled = Filled::new(MemoryStore::new(), Population { orgs: 1 });
    let request = |account| Request { org: 0, account, workflow: 0, definition: ORG_ONLY };
    let requests = [request(0), request(1)];
    let warm = resolves(asked(&filled, &requests));
    let org = filled.reopen(VaultOptions::default().cache_entries_max(1)).pop().expect("there is an org");
    let cold =
        asked(&filled, &requests).into_iter().map(|asked| Asked { org: org.clone(), ..asked }).collect();
    vec![Work::new("memory: resolve one, keyrings cold", resolves(cold), "the same, warm", warm)]
}
