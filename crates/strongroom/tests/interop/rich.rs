//! A vault with a row of every kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_executor::block_on;
use serde_json::Value;
use strongroom::format::{EnumFormat, PatternFormat, UrlSchemes};
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use strongroom::{
    Actor, Clock, Credentials, DefinitionChange, Environment, Error, LengthBounds, Org, RawKey, Refresh,
    Scope, ScopeKind, Scopes, Settings, Timestamp, Unlock, Unrefreshed, VarFormat, VariableDefinition, Vault,
    VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::decoder::{decode, dump};

/// The vault, and what it is known to hold.
pub(crate) struct Rich {
    pub(crate) store: Arc<Stopping>,
    pub(crate) vault: Vault,
    pub(crate) orgs: Vec<Org>,
    /// What was written in each org: definition name, scope and value.
    pub(crate) values: Vec<Vec<(String, Scope, String)>>,
}

impl Rich {
    pub(crate) async fn build() -> Self {
        let store = Arc::new(Stopping::default());
        let mut settings = Settings::default();
        (settings.generations, settings.audit) = (true, true);
        let clock = Ticking(AtomicU64::new(1_700_000_000_000));
        let options = VaultOptions::default().clock(clock).settings(settings).history_versions(10);
        let unlock = Unlock::raw_key(RawKey::from_bytes(RAW_KEY));
        let vault = options.create(Arc::clone(&store), unlock).await.unwrap();
        let places = [
            ("6500a1b2c3d4e5f6a7b8c9d0", Environment::test()),
            ("6500a1b2c3d4e5f6a7b8c9d0", "test\u{e9}".parse().unwrap()),
            ("000000000000000000000000", Environment::production()),
        ];
        let orgs: Vec<Org> = places
            .into_iter()
            .map(|(org, environment)| vault.org(org.parse().unwrap(), environment))
            .collect();
        let mut values = Vec::new();
        for org in &orgs {
            define(org).await;
            values.push(set_values(org).await);
        }
        add_accounts(&orgs[0]).await;
        let sessions = orgs[0].records("visitor".parse().unwrap());
        sessions.put(&"jti-1".parse().unwrap(), "user_1").await.unwrap();
        sessions.put(&"jti-1".parse().unwrap(), "user_12345").await.unwrap();
        sessions.put(&"jti-1/".parse().unwrap(), "").await.unwrap();
        Self { store, vault, orgs, values }
    }

    pub(crate) fn decoded(&self) -> Vec<Value> {
        let dump = block_on(dump(&*self.store));
        let decoded = decode(&dump, &["--raw-key", &hex::encode(RAW_KEY)]).unwrap();
        assert_eq!(decoded.len(), dump.len());
        decoded
    }

    /// Three deletes of which the store takes the first batch alone.
    pub(crate) async fn cut_deletes_short(&self) {
        let org = &self.orgs[0];
        let one_commit = || self.store.commits_left.store(1, Ordering::SeqCst);
        one_commit();
        assert!(org.delete_definition("LONG").await.is_err());
        one_commit();
        assert!(org.delete_account(&"aa".parse().unwrap()).await.is_err());
        one_commit();
        let account = org.account("a".parse().unwrap());
        assert!(account.delete_integration(&"crm".parse().unwrap()).await.is_err());
    }
}

async fn define(org: &Org) {
    let pattern = PatternFormat::draft("v[0-9]+").must_match("v1").must_not_match("v").vet().unwrap();
    let bare = PatternFormat::draft(r"\w+").unicode().vet().unwrap();
    let definitions = [
        VariableDefinition::new("PLAIN", VarFormat::String).description("text \u{1f511}").author("me"),
        VariableDefinition::new("LONG", VarFormat::String).encrypted().required(),
        VariableDefinition::new("RENAMED", VarFormat::Integer).default_value("-1"),
        VariableDefinition::new("ONE OF", VarFormat::Enum(EnumFormat::new(["b", "a"]).unwrap())),
        VariableDefinition::new("LINK", VarFormat::UrlWithScheme(UrlSchemes::new(["https", "wss"]).unwrap())),
        VariableDefinition::new("PATTERN", VarFormat::Pattern(pattern))
            .length(LengthBounds::new(2..=300).unwrap()),
        VariableDefinition::new("WORD", VarFormat::Pattern(bare)).scopes(Scopes::only(ScopeKind::Workflow)),
        VariableDefinition::new("J", VarFormat::Json)
            .scopes(Scopes::only(ScopeKind::Org).and(ScopeKind::Workflow)),
    ];
    for definition in definitions {
        org.define(definition).await.unwrap();
    }
    let change =
        DefinitionChange::new().name("INTEGER").no_default_value().author("you").description("changed");
    org.update_definition_with("RENAMED", change, noted()).await.unwrap();
    let gone = org.define(VariableDefinition::new("GONE", VarFormat::String)).await.unwrap();
    org.delete_definition_with(gone, noted().keep_history()).await.unwrap();
}

async fn set_values(org: &Org) -> Vec<(String, Scope, String)> {
    let mut values = vec![
        ("LONG", Scope::Org, "x".repeat(4_096)),
        ("INTEGER", Scope::Org, "12".to_owned()),
        ("J", Scope::Org, "{\"a\": [1, null]}".to_owned()),
        ("PLAIN", Scope::Org, String::new()),
        ("WORD", Scope::Workflow("wf 1".parse().unwrap()), "\u{e9}t\u{e9}".to_owned()),
        ("PLAIN", Scope::Workflow("a".parse().unwrap()), "of a workflow".to_owned()),
    ];
    for account in ACCOUNTS {
        values.push((
            "PLAIN",
            Scope::LinkedAccount(account.parse().unwrap()),
            format!(" of {account}\r\n\0"),
        ));
    }
    let mut written = Vec::new();
    for (name, scope, value) in values {
        org.set_value(name, &scope, value.as_str()).await.unwrap();
        written.push((name.to_owned(), scope, value));
    }
    // Set again: the id and the time of creation stay.
    org.set_value_with("INTEGER", Scope::Org, "12", noted()).await.unwrap();
    let gone = Scope::Workflow("gone".parse().unwrap());
    org.set_value("PLAIN", &gone, "of a workflow that is gone").await.unwrap();
    org.delete_value_with("PLAIN", &gone, noted().keep_history()).await.unwrap();
    written
}

/// A version about which everything is said that can be.
fn noted() -> WriteOptions {
    let actor = "user:alice".parse::<Actor>().unwrap().in_request("r1".parse().unwrap());
    WriteOptions::default().by(actor).note("wh\u{e9}n").label("b").label("a")
}

async fn add_accounts(org: &Org) {
    for account in ACCOUNTS {
        let handle = org.create_account(account.parse().unwrap()).with_default_app().await.unwrap();
        handle.upsert_credential("api key/1", "first").await.unwrap();
        handle.upsert_credential("api key/1", "second").await.unwrap();
    }
    org.upsert_account("a".parse().unwrap()).name("An \u{e0}ccount").udf("{}").await.unwrap();
    let account = org.account("a".parse().unwrap());
    account.add_integration(&"crm".parse().unwrap()).await.unwrap();
    let expiring = noted().expires_at(Timestamp::from_ms(u64::MAX));
    let crm = account.app("crm".parse().unwrap());
    crm.upsert_with("..", "crm token", expiring).await.unwrap();
    crm.upsert("gone", "crm token of before").await.unwrap();
    crm.delete_with("gone", noted().keep_history()).await.unwrap();
    account.add_connection(crm.integration(), &"work".parse().unwrap()).await.unwrap();
    let work = crm.connection("work".parse().unwrap());
    for value in ["first", "work token"] {
        work.upsert("token", value).await.unwrap();
    }
    let seen = crm.get_all().await.unwrap();
    let lost = async |_: &Credentials| Err(Unrefreshed::Unknown(Error::Locked));
    assert!(crm.refresh(seen, &Refresh::new(|_| std::future::ready(())), lost).await.is_err());
}

/// A memory store that stops to take batches when it is told to.
#[derive(Debug)]
pub(crate) struct Stopping {
    inner: MemoryStore,
    pub(crate) commits_left: AtomicUsize,
    /// How many batches are refused before, as if others were faster.
    pub(crate) conflicts_left: AtomicUsize,
}

impl Default for Stopping {
    fn default() -> Self {
        let (commits_left, conflicts_left) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Self { inner: MemoryStore::new(), commits_left, conflicts_left }
    }
}

#[async_trait]
impl Store for Stopping {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let less = |left: usize| left.checked_sub(1);
        if self.conflicts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(StoreError::new(StoreErrorKind::Contention, "the test was faster"));
        }
        if self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the test stopped the store"));
        }
        self.inner.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

/// A clock that moves on by a second at every look.
#[derive(Debug)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::SeqCst)
    }
}

pub(crate) const RAW_KEY: [u8; 32] = [7; 32];

/// Ids of which a careless key layout would take one for another.
pub(crate) const ACCOUNTS: [&str; 4] = ["a", "a/", "aa", "a\u{ff}"];
