//! A vault that holds a population, and what its verbs ask of the store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_executor::block_on;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{
    Environment, Error, LinkedAccountId, NewValue, Org, OrgId, RawKey, Scope, ScopePath, Unlock, VarFormat,
    VariableDefinition, Vault, VaultOptions, WorkflowId,
};

use crate::population::{DEFINITIONS, Place, Population, Request, VALUE};

/// A filled vault, and the store under it for the floor.
pub struct Filled<S> {
    /// The store under the vault.
    pub store: Arc<S>,
    /// What it holds.
    pub population: Population,
    /// The vault itself.
    pub vault: Vault,
    /// The handles of its orgs.
    pub orgs: Vec<Org>,
}

/// A look-up in the engine's terms.
#[derive(Debug)]
pub struct Asked {
    /// At which org.
    pub org: Org,
    /// As which run.
    pub path: ScopePath,
    /// For which definition.
    pub name: String,
}

impl<S: Store> Filled<S> {
    /// Fills a new vault, which keeps nothing of what runs see: each resolve reads the store.
    pub fn new(store: S, population: Population) -> Self {
        let store = Arc::new(store);
        let vault =
            block_on(cold().create(Direct(Arc::clone(&store)), unlock())).expect("the store is empty");
        let orgs: Vec<Org> =
            (0..population.orgs).map(|org| vault.org(org_id(org), Environment::test())).collect();
        for org in &orgs {
            block_on(fill(org, population)).expect("the values are valid");
        }
        Self { store, population, vault, orgs }
    }

    /// The same vault, opened again.
    pub fn vault(&self) -> Vault {
        block_on(cold().open(Direct(Arc::clone(&self.store)), unlock())).expect("it was made here")
    }

    /// The same vault, opened with `options`.
    pub fn reopen(&self, options: VaultOptions) -> Vec<Org> {
        let vault =
            block_on(options.open(Direct(Arc::clone(&self.store)), unlock())).expect("it was made here");
        (0..self.population.orgs).map(|org| vault.org(org_id(org), Environment::test())).collect()
    }

    /// The same vault by another store of the same rows.
    pub fn on_another(&self, store: impl Store) -> Vec<Org> {
        let vault = block_on(cold().open(store, unlock())).expect("it was made here");
        (0..self.population.orgs).map(|org| vault.org(org_id(org), Environment::test())).collect()
    }

    /// `requests` in the engine's terms, of another opening of the vault.
    pub fn asked_of(&self, orgs: &[Org], requests: &[Request]) -> Vec<Asked> {
        let asked = requests.iter().map(|request| {
            let org = orgs.get(request.org).expect("requests stay in the population").clone();
            Asked { org, ..self.ask(request) }
        });
        asked.collect()
    }

    /// `request` in the engine's terms.
    pub fn ask(&self, request: &Request) -> Asked {
        let org = self.orgs.get(request.org).expect("requests stay in the population").clone();
        let path =
            ScopePath::org().linked_account(account(request.account)).workflow(workflow(request.workflow));
        Asked { org, path, name: name(request.definition) }
    }

    /// What a verb, given a handle of the first org, reads and commits at last.
    pub fn overhear(&self, verb: impl AsyncFn(Org) -> Result<(), Error>) -> (ReadBatch, WriteBatch) {
        let mut heard = self.overhear_all(verb);
        // The floor writes again and again, whatever is there.
        heard.commit.expect.clear();
        (heard.reads.pop().unwrap_or_default(), heard.commit)
    }

    /// All that such a verb reads, and what it commits at last.
    pub fn overhear_all(&self, verb: impl AsyncFn(Org) -> Result<(), Error>) -> Heard {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let tap = Tap { inner: Direct(Arc::clone(&self.store)), heard: Arc::clone(&heard) };
        let take = || std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        block_on(async {
            let vault = Vault::open(tap, unlock()).await?;
            let org = vault.org(org_id(0), Environment::test());
            // Once to fill the caches, and once more for what a warm verb asks.
            verb(org.clone()).await?;
            take();
            verb(org).await
        })
        .expect("the verb succeeds");
        take()
    }
}

async fn fill(org: &Org, population: Population) -> Result<(), Error> {
    let mut ids = Vec::with_capacity(DEFINITIONS);
    for definition in 0..DEFINITIONS {
        ids.push(org.define(VariableDefinition::new(name(definition), VarFormat::String)).await?);
    }
    let fallback = VariableDefinition::new(DEFAULT_NAME, VarFormat::String).default_value(VALUE);
    org.define(fallback).await?;
    org.define(VariableDefinition::new(MISSING_NAME, VarFormat::String)).await?;
    let values: Vec<NewValue<'_>> = population
        .values()
        .filter_map(|(place, definition)| Some(NewValue::new(*ids.get(definition)?, scope(place), VALUE)))
        .collect();
    org.set_values(&values).await.map(drop)
}

/// The id of an org.
#[must_use]
pub fn org_id(org: usize) -> OrgId {
    format!("6500a1b2c3d4e5f6{org:08x}").parse().expect("24 digits")
}

/// The name of a definition.
#[must_use]
pub fn name(definition: usize) -> String {
    format!("VARIABLE_{definition:03}")
}

/// The id of an account.
#[must_use]
pub fn account(account: usize) -> LinkedAccountId {
    format!("user_{account:05}").parse().expect("a valid id")
}

/// The scope of a place.
#[must_use]
pub fn scope(place: Place) -> Scope {
    match place {
        Place::Org => Scope::Org,
        Place::Account(number) => Scope::LinkedAccount(account(number)),
        Place::Workflow(number) => Scope::Workflow(workflow(number)),
    }
}

fn workflow(workflow: usize) -> WorkflowId {
    format!("workflow_{workflow:05}").parse().expect("a valid id")
}

/// Options of a vault that keeps nothing of what runs see.
#[must_use]
pub fn cold() -> VaultOptions {
    VaultOptions::default().cached_runs_bytes_max(0)
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

/// The name of a definition with a default and no values.
pub const DEFAULT_NAME: &str = "WITH_DEFAULT";
/// The name of a definition that has nothing.
pub const MISSING_NAME: &str = "WITHOUT_VALUE";

/// A store that others hold too, and that says that it is not shared: the floor keeps away while the engine runs, and
/// writes no row that the engine caches.
#[derive(Debug)]
struct Direct<S>(Arc<S>);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

// Without `async`, so that no second box comes between the engine and the store.
impl<S: Store> Store for Direct<S> {
    fn read<'s, 'r, 'a>(&'s self, request: &'r ReadBatch) -> Answer<'a, ReadSet>
    where
        's: 'a,
        'r: 'a,
    {
        (*self.0).read(request)
    }

    fn commit<'s, 'a>(&'s self, batch: Arc<WriteBatch>) -> Answer<'a, Committed>
    where
        's: 'a,
    {
        (*self.0).commit(batch)
    }

    fn capabilities(&self) -> Capabilities {
        (*self.0).capabilities()
    }

    fn close<'s, 'a>(&'s self) -> Answer<'a, ()>
    where
        's: 'a,
    {
        (*self.0).close()
    }
}

/// What a verb asks of the store.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its reads, in their order.
    pub reads: Vec<ReadBatch>,
    /// Its last commit.
    pub commit: WriteBatch,
}

/// Remembers what a verb asks.
struct Tap<S> {
    inner: Direct<S>,
    heard: Arc<Mutex<Heard>>,
}

impl<S: Store> Store for Tap<S> {
    fn read<'s, 'r, 'a>(&'s self, request: &'r ReadBatch) -> Answer<'a, ReadSet>
    where
        's: 'a,
        'r: 'a,
    {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).reads.push(request.clone());
        self.inner.read(request)
    }

    fn commit<'s, 'a>(&'s self, batch: Arc<WriteBatch>) -> Answer<'a, Committed>
    where
        's: 'a,
    {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).commit = (*batch).clone();
        self.inner.commit(batch)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn close<'s, 'a>(&'s self) -> Answer<'a, ()>
    where
        's: 'a,
    {
        self.inner.close()
    }
}

impl<S> fmt::Debug for Tap<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl<S: Store> fmt::Debug for Filled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filled").field("population", &self.population).finish_non_exhaustive()
    }
}
