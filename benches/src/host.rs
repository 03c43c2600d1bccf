//! What a host does with many credentials at once and with what a run sees, beside one of them or the bare scan.

use std::hint::black_box;
use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use serde::Deserialize;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store};
use strongroom::{
    AppCredentials, CredentialFilter, Error, IntegrationId, NewCredential, Org, PageRequest, Secret,
    Timestamp,
};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

use crate::memory::resolves_all;
use crate::population::{Population, Request, VALUE};
use crate::vault::{Filled, account};
use crate::{Run, Work};

/// Every line, on memory and redb.
#[must_use]
pub fn works() -> Vec<Work> {
    let memory = Filled::new(MemoryStore::new(), Population::of_values(1_000));
    let redb = || RedbStore::temporary().expect("there is room for temporary files");
    let mut works = vec![deserialize(&memory)];
    works.extend(many_credentials("redb", &Filled::new(redb(), Population::of_values(1_000))));
    works.extend(credentials_where("memory", &memory));
    works.extend(credentials_where("redb", &Filled::new(redb(), Population::of_values(1_000))));
    works
}

/// The credentials of an integration set together and read together, beside one of them.
pub(crate) fn many_credentials<S: Store>(label: &str, filled: &Filled<S>) -> Vec<Work> {
    let org = first(filled);
    block_on(org.upsert_account(account(0)).with_default_app().into_future()).expect("a valid account");
    let app = app(&org, 0);
    let keys: Vec<String> = (0..KEYS).map(|number| format!("key_{number}")).collect();
    let new: Vec<_> = keys.iter().map(|name| NewCredential::new(name.as_str(), VALUE)).collect();
    block_on(app.set_many(&new)).expect("the credentials are valid");
    let (set_app, one_app, all_app, get_app) = (app.clone(), app.clone(), app.clone(), app);
    let set_many = Run::wall(move |n| {
        for _ in 0..n {
            black_box(block_on(set_app.set_many(&new)).expect("the credentials are valid").len());
        }
    });
    let upsert = Run::wall(move |n| {
        for _ in 0..n {
            block_on(one_app.upsert("key_0", VALUE)).expect("the credential is valid");
        }
    });
    let get_all = Run::wall(move |n| {
        for _ in 0..n {
            black_box(block_on(all_app.get_all()).expect("it opens").get("key_9").is_some());
        }
    });
    let get = Run::wall(move |n| {
        for _ in 0..n {
            black_box(block_on(get_app.get("key_0")).expect("it opens").is_some());
        }
    });
    vec![
        Work::new(format!("{label}: set_many of 10 credentials"), set_many, "upsert of one", upsert).bar(2.0),
        Work::new(format!("{label}: get_all of 10 credentials"), get_all, "get of one", get).bar(2.0),
    ]
}

/// Which of 10,000 accounts lack a credential, and which expire, beside a scan of the same rows that looks at nothing.
fn credentials_where<S: Store>(label: &str, filled: &Filled<S>) -> Vec<Work> {
    let org = first(filled);
    block_on(connect(&org)).expect("the accounts are new");
    let missing = CredentialFilter::missing("access".parse().expect("a valid key name"));
    let expiring = CredentialFilter::expiring_before(Timestamp::from_ms(SOON_MS));
    let line = |what: &str, filter: CredentialFilter| {
        let heard = filled.overhear_all(async |org| all_places(&org, &filter).await.map(drop));
        let (floor, walked) = (bare_scan(Arc::clone(&filled.store), ranges(&heard.reads)), org.clone());
        assert_eq!(block_on(all_places(&org, &filter)).expect("every row opens"), ACCOUNTS / ONE_OF);
        let work = Run::cpu(move |n| {
            for _ in 0..n {
                black_box(block_on(all_places(&walked, &filter)).expect("every row opens"));
            }
        });
        let name = format!("{label}: credentials_where {what}, 10,000 accounts");
        Work::new(name, work, "a bare scan of accounts, integrations and credentials", floor).bar(1.5)
    };
    vec![line("missing", missing), line("expiring", expiring)]
}

/// Reading a run into a struct of 50 fields, beside resolving it.
fn deserialize(filled: &Filled<MemoryStore>) -> Work {
    let asked = filled.ask(&Request { org: 0, account: 3, workflow: 4, definition: 0 });
    let run = block_on(asked.org.resolve_all(&asked.path)).expect("every value opens");
    let work = Run::cpu(move |n| {
        for _ in 0..n {
            let env: Env = black_box(&run).deserialize().expect("each field has a value");
            black_box(env.variable_000.len() + env.variable_049.len());
        }
    });
    let resolve = resolves_all(vec![asked]);
    Work::new("memory: deserialize 50 values", work, "resolve all of 50", resolve).bar(0.1)
}

/// Registers the accounts: one of a hundred lacks its access token, and one of a hundred has one that expires soon.
async fn connect(org: &Org) -> Result<(), Error> {
    let numbers: Vec<usize> = (0..ACCOUNTS).collect();
    for some in numbers.chunks(500) {
        let each = some.iter().map(|number| async move {
            org.upsert_account(account(*number)).with_default_app().await?;
            let expires_ms = if number % ONE_OF == 1 { SOON_MS - 1 } else { SOON_MS + 1 };
            let name = if number % ONE_OF == 0 { "api_key" } else { "access" };
            let token = NewCredential::new(name, VALUE).expires_at(Timestamp::from_ms(expires_ms));
            app(org, *number).set_many(&[token]).await.map(drop)
        });
        join_all(each).await.into_iter().collect::<Result<(), Error>>()?;
    }
    Ok(())
}

/// Walks all pages, and counts the places.
async fn all_places(org: &Org, filter: &CredentialFilter) -> Result<usize, Error> {
    let (mut page, mut found) = (PageRequest::first(PageRequest::LIMIT_MAX), 0);
    loop {
        let listed = org.credentials_where(filter, page).await?;
        found += listed.items.len();
        let Some(next) = listed.next else { return Ok(found) };
        page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
}

/// The ranges of accounts, integrations and credentials, from the first read of them to the last.
fn ranges(reads: &[ReadBatch]) -> Vec<KeyRange> {
    let searches: Vec<&ReadBatch> = reads.iter().filter(|read| read.scans.len() == 3).collect();
    let (first, last) = (searches.first().expect("it searches"), searches.last().expect("it searches"));
    let whole = |(first, last): (&Scan, &Scan)| KeyRange {
        start: first.range.start.clone(),
        end: last.range.end.clone(),
    };
    first.scans.iter().zip(&last.scans).map(whole).collect()
}

fn bare_scan<S: Store>(store: Arc<S>, ranges: Vec<KeyRange>) -> Run {
    Run::cpu(move |n| {
        for _ in 0..n {
            for range in &ranges {
                let mut rest = range.clone();
                loop {
                    let scans = vec![Scan::new(rest.clone(), SCAN_ROWS)];
                    let read = block_on(store.read(&ReadBatch { gets: Vec::new(), scans }));
                    let page = read.expect("the store is sound").scans.pop().expect("one scan, one page");
                    let Some((last, _)) = page.rows.last().filter(|_| page.more) else { break };
                    rest = range.clone().after(last.as_bytes());
                }
            }
        }
    })
}

fn app(org: &Org, number: usize) -> AppCredentials {
    org.account(account(number)).app(IntegrationId::default_app())
}

fn first<S: Store>(filled: &Filled<S>) -> Org {
    filled.orgs.first().expect("there is an org").clone()
}

macro_rules! env {
    ($($field:ident)*) => {
        /// One field for each definition of the population.
        #[derive(Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[allow(dead_code, reason = "only two fields are looked at")]
        struct Env { $($field: Secret,)* }
    };
}

env! {
    variable_000 variable_001 variable_002 variable_003 variable_004 variable_005 variable_006 variable_007
    variable_008 variable_009 variable_010 variable_011 variable_012 variable_013 variable_014 variable_015
    variable_016 variable_017 variable_018 variable_019 variable_020 variable_021 variable_022 variable_023
    variable_024 variable_025 variable_026 variable_027 variable_028 variable_029 variable_030 variable_031
    variable_032 variable_033 variable_034 variable_035 variable_036 variable_037 variable_038 variable_039
    variable_040 variable_041 variable_042 variable_043 variable_044 variable_045 variable_046 variable_047
    variable_048 variable_049
}

const KEYS: usize = 10;
const ACCOUNTS: usize = 10_000;
const ONE_OF: usize = 100;
/// Expiries must lie in the future when they are written: this is in the year 2286.
const SOON_MS: u64 = 10_000_000_000_000;
const SCAN_ROWS: usize = 1_000;
