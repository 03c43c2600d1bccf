//! The verbs on memory: reads beside one ordered map and the bare cipher, writes beside the store's own commit.

use std::hint::black_box;

use futures_executor::block_on;
use strongroom_memory::MemoryStore;

use crate::population::{ORG_AND_ACCOUNT, ORG_ONLY, Population, Request};
use crate::raw::OrderedMap;
use crate::vault::{Asked, DEFAULT_NAME, Filled, MISSING_NAME};
use crate::{Run, Work, writes};

/// Every verb on a vault of about 10⁵ values.
#[must_use]
pub fn works() -> Vec<Work> {
    let filled = Filled::new(MemoryStore::new(), Population::of_values(100_000));
    let mut works = reads(&filled);
    works.push(writes::set_value("memory", &filled));
    works.push(writes::upsert_credential("memory", &filled));
    works
}

fn reads(filled: &Filled<MemoryStore>) -> Vec<Work> {
    let spread = filled.population.requests();
    let hot: Vec<_> = spread.iter().map(|request| Request { org: 0, ..*request }).collect();
    let at = |from, to| {
        let within =
            |request: &Request| Request { definition: from + request.definition % (to - from), ..*request };
        hot.iter().map(within).collect::<Vec<_>>()
    };
    let mut works = vec![
        resolve("resolve one, one hot org", filled, &hot, None).bar(1.5),
        resolve("resolve one, all over 100 orgs", filled, &spread, None).bar(1.5),
        resolve("resolve one, hit at the org", filled, &at(0, ORG_ONLY), None),
        resolve("resolve one, hit at the account", filled, &at(ORG_ONLY, ORG_AND_ACCOUNT), None),
        resolve("resolve one, hit at the workflow", filled, &at(ORG_AND_ACCOUNT, 50), None),
    ];
    // The floor's map has no such definition either, so that it probes three times and opens nothing.
    let nothing: Vec<_> = hot.iter().map(|request| Request { definition: 255, ..*request }).collect();
    works.push(resolve("resolve one, miss", filled, &nothing, Some(MISSING_NAME)));
    works.push(resolve("resolve one, default", filled, &nothing, Some(DEFAULT_NAME)));
    works.push(resolve_all("resolve all of 50, one hot org", filled, &hot));
    works.push(resolve_all("resolve all of 50, all over 100 orgs", filled, &spread));
    works
}

fn resolve(name: &str, filled: &Filled<MemoryStore>, requests: &[Request], definition: Option<&str>) -> Work {
    let mut asked = asked(filled, requests);
    for one in &mut asked {
        definition.inspect(|name| one.name = (*name).to_owned());
    }
    let mut map = OrderedMap::of(filled.population);
    let floor_requests = requests.to_vec();
    let mut next = 0;
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            next = (next + 1) % floor_requests.len();
            black_box(floor_requests.get(next).map(|request| map.resolve(request).is_some()));
        }
    });
    Work::new(format!("memory: {name}"), resolves(asked), "3 probes + raw open", floor)
}

fn resolve_all(name: &str, filled: &Filled<MemoryStore>, requests: &[Request]) -> Work {
    let mut map = OrderedMap::of(filled.population);
    let floor_requests = requests.to_vec();
    let mut next = 0;
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            next = (next + 1) % floor_requests.len();
            black_box(floor_requests.get(next).map(|request| map.resolve_all(request).len()));
        }
    });
    Work::new(
        format!("memory: {name}"),
        resolves_all(asked(filled, requests)),
        "3 scans + 50 raw opens",
        floor,
    )
}

/// `requests` in the engine's terms.
#[must_use]
pub fn asked<S: strongroom::Store>(filled: &Filled<S>, requests: &[Request]) -> Vec<Asked> {
    requests.iter().map(|request| filled.ask(request)).collect()
}

/// Resolves one definition after another, with every cache warm.
#[must_use]
pub fn resolves(asked: Vec<Asked>) -> Run {
    let mut next = 0;
    block_on(async {
        for Asked { org, path, name } in &asked {
            org.resolve(name, path).await.expect("it is defined");
        }
    });
    Run::cpu(move |n| {
        block_on(async {
            for _ in 0..n {
                next = (next + 1) % asked.len();
                let Some(Asked { org, path, name }) = asked.get(next) else { continue };
                black_box(org.resolve(name, path).await.expect("it is defined").is_some());
            }
        });
    })
}

/// Resolves everything that one run after another sees, with every cache warm.
#[must_use]
pub fn resolves_all(asked: Vec<Asked>) -> Run {
    let mut next = 0;
    block_on(async {
        for Asked { org, path, .. } in &asked {
            org.resolve_all(path).await.expect("every value opens");
        }
    });
    Run::cpu(move |n| {
        block_on(async {
            for _ in 0..n {
                next = (next + 1) % asked.len();
                let Some(Asked { org, path, .. }) = asked.get(next) else { continue };
                black_box(org.resolve_all(path).await.expect("every value opens").values.len());
            }
        });
    })
}

/// Resolves one definition after another, for a loop that several threads share.
pub(crate) fn resolve_hot(asked: &[Asked], n: u64) {
    block_on(async {
        for one in asked.iter().cycle().take(n as usize) {
            black_box(one.org.resolve(&one.name, &one.path).await.expect("it is defined").is_some());
        }
    });
}
