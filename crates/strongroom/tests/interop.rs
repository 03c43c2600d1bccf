//! A whole vault, read a second time by a decoder that was written from `docs/FORMAT.md` and shares no code with the crate.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use futures_executor::block_on;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use strongroom::format::{EnumFormat, PatternFormat, UrlSchemes};
use strongroom::provider::{Destruction, KeyProvider, ProviderError, ProviderKey, WrapContext, Wrapped};
use strongroom::store::{
    Capabilities, Committed, KeyRange, ReadBatch, ReadSet, Scan, Store, StoreError, StoreErrorKind,
    WriteBatch,
};
use strongroom::{
    Argon2Params, Clock, DefinitionChange, DefinitionFilter, DocumentId, Environment, LengthBounds, Org,
    PageRequest, RawKey, Scope, ScopeKind, Scopes, StoredDefinition, Unlock, VarFormat, VariableDefinition,
    Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

const RAW_KEY: [u8; 32] = [7; 32];

/// Ids of which a careless key layout would take one for another.
const ACCOUNTS: [&str; 4] = ["a", "a/", "aa", "a\u{ff}"];

#[test]
fn values_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for (org, written) in rich.orgs.iter().zip(&rich.values) {
        let names: BTreeMap<&str, &str> = rows(&decoded, "definition", org)
            .map(|row| (text(row, "definition_id"), text(row, "name")))
            .collect();
        let mut found: Vec<_> = rows(&decoded, "value", org)
            .map(|row| {
                (names[text(row, "definition_id")].to_owned(), scope_of(row), text(row, "value").to_owned())
            })
            .collect();
        let mut written = written.clone();
        found.sort();
        written.sort();
        assert_eq!(found, written);

        for row in rows(&decoded, "value", org) {
            let value = block_on(org.value_by_id(&text(row, "doc_id").parse().unwrap())).unwrap().unwrap();
            let metadata = (value.revision.as_u64(), value.created_at.as_ms(), value.updated_at.as_ms());
            assert_eq!(
                metadata,
                (number(row, "revision"), number(row, "created_ms"), number(row, "updated_ms"))
            );
            let hint = rows(&decoded, "value id", org).find(|hint| hint["doc_id"] == row["doc_id"]);
            assert!(hint.is_some());
        }
    }
}

#[test]
fn definitions_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for org in &rich.orgs {
        let stored = block_on(org.definitions(&DefinitionFilter::all(), PageRequest::first(100))).unwrap();
        let written: Vec<Value> = stored.items.iter().map(|stored| definition(org, stored)).collect();
        let found: Vec<Value> = rows(&decoded, "definition", org).cloned().collect();
        assert_eq!(found, written);
        assert_eq!(number(rows(&decoded, "count", org).next().unwrap(), "definitions"), written.len() as u64);
        let mut names: Vec<_> =
            rows(&decoded, "definition name", org).map(|row| (&row["definition_id"], &row["name"])).collect();
        names.sort_by_key(|(id, _)| id.as_str());
        assert!(names.into_iter().eq(written.iter().map(|row| (&row["definition_id"], &row["name"]))));
    }
}

#[test]
fn accounts_credentials_and_records_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    let org = &rich.orgs[0];

    let mut credentials: Vec<_> = rows(&decoded, "credential", org)
        .map(|row| {
            ["linked_account", "integration", "key_name", "value"].map(|field| text(row, field).to_owned())
        })
        .collect();
    credentials.sort();
    let mut written: Vec<_> = ACCOUNTS
        .iter()
        .map(|account| [*account, "default-app", "api key/1", "second"])
        .chain([["a", "crm", "..", "crm token"]])
        .map(|row| row.map(str::to_owned))
        .collect();
    written.sort();
    assert_eq!(credentials, written);

    for account in ACCOUNTS {
        let known = block_on(org.linked_account(&account.parse().unwrap())).unwrap().unwrap();
        let row = rows(&decoded, "account", org).find(|row| row["linked_account"] == account).unwrap();
        let wanted = json!({
            "row": "account", "org": org.id().to_string(), "environment": org.environment().as_str(),
            "linked_account": account, "revision": known.revision, "id": known.id.to_string(),
            "name": known.name, "udf": known.udf, "credential_generation": known.credential_generation,
            "created_ms": known.created_at, "updated_ms": known.updated_at,
        });
        assert_eq!(*row, without_nulls(wanted));
        let app = rows(&decoded, "integration", org).find(|row| row["linked_account"] == account).unwrap();
        assert!(
            text(app, "id").parse::<DocumentId>().is_ok() && app["integration"] == "default-app"
                || account == "a"
        );
    }

    let records: Vec<_> = rows(&decoded, "record", org)
        .map(|row| ["namespace", "key_name", "value"].map(|field| text(row, field).to_owned()))
        .collect();
    assert_eq!(
        records,
        [["session", "jti-1", "user_12345"], ["session", "jti-1/", ""]].map(|row| row.map(str::to_owned))
    );
}

#[test]
fn what_a_delete_left_behind_is_told_from_what_is_there() {
    let rich = block_on(Rich::build());
    block_on(rich.cut_deletes_short());
    let decoded = rich.decoded();
    let sweeps: Vec<_> =
        decoded.iter().filter(|row| row["row"] == "job").map(|row| text(row, "sweeps")).collect();
    assert_eq!(sweeps, ["definition", "account", "integration"]);
    let absent =
        |kind: &str| decoded.iter().filter(|row| row["row"] == kind && row["absent"].is_string()).count();
    // One value of the deleted definition at org scope; one of the deleted account.
    assert_eq!(absent("value"), 2);
    // Those of the deleted account, and those of the deleted integration.
    assert_eq!(absent("credential"), 2);
    let deleting =
        |kind: &str| decoded.iter().filter(|row| row["row"] == kind && row["deleting"].is_string()).count();
    assert_eq!((deleting("account"), deleting("integration")), (1, 1));

    rich.store.commits_left.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(block_on(rich.vault.run_jobs()).unwrap(), 3);
    let decoded = rich.decoded();
    assert!(decoded.iter().all(|row| row["absent"].is_null() && row["row"] != "job"));
    let keyring = rows(&decoded, "keyring", &rich.orgs[0]).find(|row| row["linked_account"] == "aa").unwrap();
    assert_eq!(
        (keyring["deks"].as_array().unwrap().len(), keyring["tombstones"].as_array().unwrap().len()),
        (0, 1)
    );
}

#[test]
fn no_row_shows_what_is_sealed() {
    let rich = block_on(Rich::build());
    let dump = block_on(dump(&*rich.store));
    let values = rich.values.iter().flatten().map(|(_, _, value)| value.as_str());
    let others =
        ["first", "second", "crm token", "user_12345", "text \u{1f511}", "v[0-9]+", "An \u{e0}ccount"];
    for sealed in values.filter(|value| value.len() > 3).chain(others) {
        let shows = |bytes: &[u8]| bytes.windows(sealed.len()).any(|window| window == sealed.as_bytes());
        assert!(!dump.iter().any(|(key, row)| shows(key) || shows(row)), "{sealed}");
    }
}

#[test]
fn a_passphrase_slot_is_decoded() {
    let store = Arc::new(Stopping::default());
    let (unlock, params) = (Unlock::passphrase("correct horse"), Argon2Params::FLOOR);
    let vault = block_on(VaultOptions::default().argon2(params).create(Arc::clone(&store), unlock)).unwrap();

    let dump = block_on(dump(&*store));
    let slot = dump.iter().find(|(key, _)| key.starts_with(&[0, 2])).map(|(_, row)| row).unwrap();
    // Seven bytes lead to the clear fields; in them 41 to the salt: two ids of 16 bytes, a number, and the heads.
    let salt = &slot[7 + 41..7 + 41 + 16];
    let mut base = [0; 32];
    let params = Params::new(params.memory_kib(), params.iterations(), params.lanes(), Some(32)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut memory = vec![argon2::Block::new(); params.block_count()];
    argon2.hash_password_into_with_memory(b"correct horse", salt, &mut base, &mut memory).unwrap();

    let decoded = decode(&dump, ["--base", &hex::encode(base)]).unwrap();
    let row = |kind: &str| decoded.iter().find(|row| row["row"] == kind).unwrap();
    assert_eq!(text(row("header"), "store_id"), vault.store_id());
    assert_eq!(text(row("store"), "root_id"), vault.root_id().to_string());
    assert_eq!(
        [number(row("slot"), "memory_kib"), number(row("slot"), "passes"), number(row("slot"), "lanes")],
        [19 * 1024, 2, 1]
    );
    assert_eq!(row("store")["slots"][0]["slot_id"], row("slot")["slot_id"]);
}

#[test]
fn a_provider_s_slot_and_the_history_of_slots_are_decoded() {
    let store = Arc::new(Stopping::default());
    let raw_key = || Unlock::raw_key(RawKey::from_bytes(RAW_KEY));
    let vault = block_on(Vault::create(Arc::clone(&store), raw_key())).unwrap();
    let added = block_on(vault.slots().add(Unlock::provider(Arc::new(XorProvider)))).unwrap();
    let removed = block_on(vault.slots().add(raw_key())).unwrap();
    block_on(vault.slots().remove(&removed.id)).unwrap();

    let dump = block_on(dump(&*store));
    let decoded = decode(&dump, ["--raw-key", &hex::encode(RAW_KEY)]).unwrap();
    let slot = decoded.iter().find(|row| row["provider"] == 2).unwrap();
    let key = json!({ "kind": "xor", "key_id": "the key", "key_version": 7 });
    for (name, value) in key.as_object().unwrap() {
        assert_eq!(slot[name], *value);
    }
    let history = &decoded.iter().find(|row| row["row"] == "store").unwrap()["slots"];
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!((text(&history[1], "slot_id"), &history[1]["key"]), (added.id.to_string().as_str(), &key));
    assert!(history[1]["until_ms"].is_null() && history[2]["until_ms"].is_number());

    // The wrapped key leads to the root as well.
    let context = [
        &b"strongroom/v1/slot-aad"[..],
        &hex::decode(vault.store_id()).unwrap(),
        &16_u32.to_be_bytes(),
        added.id.as_bytes(),
    ];
    let aad = Sha256::digest(context.concat());
    let base: Vec<u8> =
        hex::decode(text(slot, "blob")).unwrap().iter().zip(aad).map(|(byte, aad)| byte ^ aad).collect();
    assert_eq!(decode(&dump, ["--base", &hex::encode(base)]).unwrap(), decoded);
}

/// A provider whose one key is the context itself.
#[derive(Debug)]
struct XorProvider;

impl XorProvider {
    fn mask(bytes: &[u8], context: &WrapContext) -> Vec<u8> {
        bytes.iter().zip(context.as_bytes()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

#[async_trait]
impl KeyProvider for XorProvider {
    fn kind(&self) -> &str {
        "xor"
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        Ok(Wrapped::new(ProviderKey::new("the key", 7), Self::mask(key.expose(), context)))
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        Ok(RawKey::from_slice(&Self::mask(&wrapped.blob, context)).unwrap())
    }

    async fn destroy(&self, _: &ProviderKey) -> Result<Destruction, ProviderError> {
        Ok(Destruction::NotSupported)
    }
}

#[test]
fn the_decoder_refuses_a_row_that_was_moved() {
    let rich = block_on(Rich::build());
    let mut dump = block_on(dump(&*rich.store));
    let is_value = |key: &[u8]| key.starts_with(&[1]) && key.get(31) == Some(&0x20);
    let mut values = dump.iter().enumerate().filter(|(_, (key, _))| is_value(key)).map(|(index, _)| index);
    let (one, other) = (values.next().unwrap(), values.next().unwrap());
    let moved = dump[one].1.clone();
    dump[other].1 = moved;
    let refusal = decode(&dump, ["--raw-key", &hex::encode(RAW_KEY)]).unwrap_err();
    assert!(refusal.contains("Rejected"), "{refusal}");
}

/// A vault with a row of every kind.
struct Rich {
    store: Arc<Stopping>,
    vault: Vault,
    orgs: Vec<Org>,
    /// What was written in each org: definition name, scope and value.
    values: Vec<Vec<(String, Scope, String)>>,
}

impl Rich {
    async fn build() -> Self {
        let store = Arc::new(Stopping::default());
        let options = VaultOptions::default().clock(Ticking(AtomicU64::new(1_700_000_000_000)));
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
        let sessions = orgs[0].records("session".parse().unwrap());
        sessions.put(&"jti-1".parse().unwrap(), "user_1").await.unwrap();
        sessions.put(&"jti-1".parse().unwrap(), "user_12345").await.unwrap();
        sessions.put(&"jti-1/".parse().unwrap(), "").await.unwrap();
        Self { store, vault, orgs, values }
    }

    fn decoded(&self) -> Vec<Value> {
        let dump = block_on(dump(&*self.store));
        let decoded = decode(&dump, ["--raw-key", &hex::encode(RAW_KEY)]).unwrap();
        assert_eq!(decoded.len(), dump.len());
        decoded
    }

    /// Three deletes of which the store takes the first batch alone.
    async fn cut_deletes_short(&self) {
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
    org.update_definition("RENAMED", change).await.unwrap();
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
        org.set_value(name, scope.clone(), value.as_str()).await.unwrap();
        written.push((name.to_owned(), scope, value));
    }
    // Set again: the id and the time of creation stay.
    org.set_value("INTEGER", Scope::Org, "12").await.unwrap();
    written
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
    account.app("crm".parse().unwrap()).upsert("..", "crm token").await.unwrap();
}

/// A memory store that stops to take batches when it is told to.
#[derive(Debug)]
struct Stopping {
    inner: MemoryStore,
    commits_left: AtomicUsize,
}

impl Default for Stopping {
    fn default() -> Self {
        Self { inner: MemoryStore::new(), commits_left: AtomicUsize::new(usize::MAX) }
    }
}

#[async_trait]
impl Store for Stopping {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let less = |left: usize| left.checked_sub(1);
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

/// A clock that goes on by a second at every look.
#[derive(Debug)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::SeqCst)
    }
}

/// Every row, as the store answers them.
async fn dump(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut dump = Vec::new();
    let mut rest = KeyRange::all();
    loop {
        let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(rest.clone(), 1_000)] };
        let page = store.read(&request).await.unwrap().scans.pop().unwrap();
        let rows = page.rows.into_iter().map(|(key, row)| (Vec::from(key), row.value));
        dump.extend(rows);
        match dump.last() {
            Some((last, _)) if page.more => rest = rest.after(last),
            _ => return dump,
        }
    }
}

/// What the decoder makes of the rows, or what it has to say against them.
fn decode(dump: &[(Vec<u8>, Vec<u8>)], key: [&str; 2]) -> Result<Vec<Value>, String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/store.py");
    let mut decoder = Command::new("python3")
        .args([program, key[0], key[1]])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("this test runs tests/interop/store.py, and python3 cannot be run: {error}")
        });
    let mut input = decoder.stdin.take().unwrap();
    // It reads all of them before it answers.
    for (key, value) in dump {
        writeln!(input, "{}", json!({ "key": hex::encode(key), "value": hex::encode(value) })).unwrap();
    }
    drop(input);
    let output = decoder.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let answer = String::from_utf8(output.stdout).unwrap();
    Ok(answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The decoded rows of one kind in one org.
fn rows<'a>(decoded: &'a [Value], kind: &'a str, org: &'a Org) -> impl Iterator<Item = &'a Value> {
    let (id, environment) = (org.id().to_string(), org.environment().as_str());
    decoded
        .iter()
        .filter(move |row| row["row"] == kind && row["org"] == id && row["environment"] == environment)
}

fn scope_of(row: &Value) -> Scope {
    match (row["linked_account"].as_str(), row["workflow"].as_str()) {
        (Some(account), None) => Scope::LinkedAccount(account.parse().unwrap()),
        (None, Some(workflow)) => Scope::Workflow(workflow.parse().unwrap()),
        _ => Scope::Org,
    }
}

/// A definition in the words of the decoder.
fn definition(org: &Org, stored: &StoredDefinition) -> Value {
    let written = &stored.definition;
    let mut format = json!({ "name": written.var_format.name() });
    match &written.var_format {
        VarFormat::Enum(list) => format["list"] = list.values().collect(),
        VarFormat::UrlWithScheme(list) => format["list"] = list.schemes().collect(),
        VarFormat::Pattern(pattern) => {
            format["pattern"] = pattern.pattern().into();
            format["unicode"] = pattern.is_unicode().into();
            format["must_match"] = pattern.must_match().collect();
            format["must_not_match"] = pattern.must_not_match().collect();
        }
        _ => {}
    }
    without_nulls(json!({
        "row": "definition",
        "org": org.id().to_string(),
        "environment": org.environment().as_str(),
        "definition_id": stored.id.to_string(),
        "revision": stored.revision,
        "name": written.name,
        "format": format,
        "length": written.length.map(|bounds| [bounds.min(), bounds.max()]),
        "encrypted": written.encrypted,
        "description": written.description,
        "default": written.default,
        "required": written.required,
        "scopes": written.scopes.iter().map(ScopeKind::as_str).collect::<Vec<_>>(),
        "author": written.author,
        "created_by": stored.created_by,
        "created_ms": stored.created_at,
        "updated_ms": stored.updated_at,
        "format_changes": serde_json::to_value(stored).unwrap()["format_changes"],
    }))
}

fn without_nulls(mut object: Value) -> Value {
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

fn text<'v>(row: &'v Value, field: &str) -> &'v str {
    row[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", row["row"]))
}

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{} has no {field}", row["row"]))
}
