//! No plaintext and no key leaves by another way than `expose`: not by an error, a `Debug` or a stored row.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Debug;
use std::sync::Arc;

use crate::common::{
    FailingStore, PLAIN_FORMATS, account, id, org_of, plant, rows, run, text, unlock, vault, with_org,
};
use strongroom::format::{EnumFormat, LengthBounds, PatternFormat, UrlSchemes};
use strongroom::store::StoreErrorKind;
use strongroom::{
    Argon2Params, Error, Expected, IntegrationId, NewValue, Org, PageRequest, RawKey, Scope, ScopeKind,
    ScopePath, Scopes, Secret, Unlock, VarFormat, VariableDefinition, Vault, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

/// A value that nothing else contains, and no format but `string` accepts.
const CANARY: &str = "qzx-CANARY 7";

#[test]
fn debug_shows_no_secret() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let write = || org.records(id("visitor")).write(id("k"), CANARY);
        let create = org.create_account(id("a")).with_credential("k", CANARY).with_record(write());
        assert_shows_none(&create);
        let handle = create.await?;
        let upsert = org.upsert_account(id("a")).with_credential("k", CANARY);
        assert_shows_none(&upsert);
        assert_shows_none(&upsert.await?);
        assert_shows_none(&handle.set_value("A", CANARY).await?);
        assert_shows_none(&Secret::from(CANARY));
        assert_shows_none(&Unlock::passphrase(CANARY));
        assert_shows_none(&NewValue::new("A", Scope::Org, CANARY));
        assert_shows_none(&write());
        assert_shows_none(&WriteOptions::default().with_record(write()));
        let path = ScopePath::org().linked_account(id("a"));
        assert_shows_none(&handle.value("A").await?);
        assert_shows_none(&handle.values(PageRequest::default()).await?);
        assert_shows_none(&handle.credential("k").await?);
        assert_shows_none(&org.resolve("A", &path).await?);
        assert_shows_none(&org.resolve_all(&path).await?);
        assert_shows_none(&org.records(id("visitor")).get(&id("k")).await?);
        assert_shows_none(&(
            &org,
            &handle,
            handle.app(IntegrationId::default_app()),
            org.records(id("visitor")),
        ));
        Ok(())
    });
}

#[test]
fn debug_shows_no_key() {
    let key = RawKey::from_bytes([0xAB; 32]);
    assert_eq!(key.dangerously_export().expose(), "ab".repeat(32));
    run(async {
        let vault =
            Vault::create(MemoryStore::new(), Unlock::raw_key(RawKey::from_bytes([0xAB; 32]))).await?;
        // The id is random, so it may happen to contain a piece of the key.
        let id = vault.store_id();
        let shown = format!("{vault:#?}").replace(&id, "");
        for text in [format!("{key:?}"), format!("{:?}", Unlock::raw_key(key)), shown] {
            assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
        }
        Ok(())
    });
}

#[test]
fn a_refused_value_is_not_shown() {
    with_org(async |org| {
        for (number, format) in refusing_formats().into_iter().enumerate() {
            let name = format!("V{number}");
            org.define(VariableDefinition::new(&name, format.clone())).await?;
            silent(org.set_value(&name, Scope::Org, CANARY).await);
            silent(org.set_values(&[NewValue::new(&name, Scope::Org, CANARY)]).await);
            silent(org.validate(&name, Scope::Org, CANARY).await);
            silent(org.define(VariableDefinition::new("BAD", format).default_value(CANARY)).await);
        }
        org.define(text("SHORT").length(LengthBounds::new(..=4).unwrap())).await?;
        silent(org.set_value("SHORT", Scope::Org, CANARY).await);
        Ok(())
    });
}

#[test]
fn a_refused_write_does_not_show_its_value() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.define(text("NARROW").scopes(Scopes::only(ScopeKind::Workflow))).await?;
        silent(org.set_value("NONE", Scope::Org, CANARY).await);
        silent(org.set_value("\0", Scope::Org, CANARY).await);
        silent(org.set_value("NARROW", Scope::Org, CANARY).await);
        silent(org.set_value("A", Scope::Org, CANARY.repeat(6_000)).await);
        silent(org.set_values(&[CANARY, CANARY].map(|value| NewValue::new("A", Scope::Org, value))).await);
        org.set_value("A", Scope::Org, CANARY).await?;
        let absent = || WriteOptions::expecting(Expected::Absent);
        silent(org.set_value_with("A", Scope::Org, CANARY, absent()).await);
        silent(org.delete_value_with("A", Scope::Org, absent()).await);
        silent(org.define(text("B").encrypted().default_value(CANARY)).await);
        Ok(())
    });
}

#[test]
fn a_refused_credential_or_record_is_not_shown() {
    with_org(async |org| {
        let create = || org.create_account(id("a")).with_credential("k", CANARY);
        silent(create().with_credential("k", CANARY).await);
        silent(create().with_credential("\0", CANARY).await);
        silent(create().with_credential("l", CANARY.repeat(6_000)).await);
        let handle = create().await?;
        silent(create().await);
        silent(handle.upsert_credential("", CANARY).await);
        silent(handle.upsert_credential("k", CANARY.repeat(6_000)).await);
        silent(handle.app(id("none")).upsert("k", CANARY).await);
        let sessions = org.records(id("visitor"));
        sessions.put(&id("k"), CANARY).await?;
        silent(sessions.put_with(&id("k"), CANARY, WriteOptions::expecting(Expected::Absent)).await);
        silent(sessions.put(&id("k"), CANARY.repeat(6_000)).await);
        Ok(())
    });
}

#[test]
fn a_failing_store_does_not_bring_a_value_out() {
    use StoreErrorKind::{Contention, Corrupt, Indeterminate, Poisoned, TooLarge, Unavailable, Unsupported};
    run(async {
        let store = Arc::new(FailingStore::default());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        let handle = org.create_account(id("a")).with_default_app().await?;
        for kind in [Contention, Corrupt, Indeterminate, Poisoned, TooLarge, Unavailable, Unsupported] {
            store.fail_after(0, kind);
            silent(org.set_value("A", Scope::Org, CANARY).await);
            silent(handle.upsert_credential("k", CANARY).await);
            silent(org.records(id("visitor")).put(&id("k"), CANARY).await);
            silent(org.create_account(id("b")).with_credential("k", CANARY).await);
        }
        Ok(())
    });
}

#[test]
fn a_damaged_row_does_not_bring_its_value_out() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        let handle = org.create_account(id("a")).with_default_app().await?;
        handle.set_value("A", CANARY).await?;
        handle.upsert_credential("k", CANARY).await?;
        for (key, row) in rows(&store).await? {
            for position in [0, 1, 2, row.len() / 2, row.len() - 1] {
                let mut altered = row.clone();
                altered[position] ^= 1;
                plant(&store, &key, Some(altered)).await?;
                let errors = read_everything(&store).await;
                errors.iter().for_each(assert_silent);
            }
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_refused_key_is_not_shown() {
    run(async {
        let weak = VaultOptions::default().argon2(Argon2Params::new(1, 1, 1));
        silent(weak.create(MemoryStore::new(), Unlock::passphrase(CANARY)).await);
        silent(Vault::open(MemoryStore::new(), Unlock::passphrase(CANARY)).await);
        silent(CANARY.parse::<RawKey>());
        let raw = Arc::new(MemoryStore::new());
        vault(Arc::clone(&raw), VaultOptions::default()).await?;
        silent(Vault::open(raw, Unlock::passphrase(CANARY)).await);
        let store = Arc::new(MemoryStore::new());
        let quick = VaultOptions::default().argon2(Argon2Params::FLOOR);
        quick.create(Arc::clone(&store), Unlock::passphrase("right")).await?;
        silent(Vault::open(store, Unlock::passphrase(CANARY)).await);
        Ok(())
    });
}

#[test]
fn no_stored_row_holds_a_plaintext() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A").description(CANARY).author(CANARY)).await?;
        org.define(text("B").default_value(CANARY)).await?;
        let create = org.create_account(id("a")).name(CANARY).udf(CANARY);
        let handle = create.with_credential("k", CANARY).await?;
        handle.set_value("A", CANARY).await?;
        org.set_value("A", Scope::Org, CANARY).await?;
        org.records(id("visitor")).put(&id("k"), CANARY).await?;
        let holds = |bytes: &[u8]| bytes.windows(6).any(|part| part == &CANARY.as_bytes()[4..10]);
        for (key, row) in rows(&store).await? {
            assert!(!holds(key.as_bytes()) && !holds(&row), "{key:?}");
        }
        Ok(())
    });
}

/// Every format that refuses the canary, with parameters.
fn refusing_formats() -> Vec<VarFormat> {
    let names = PLAIN_FORMATS.iter().filter(|name| **name != "string");
    let mut formats: Vec<VarFormat> = names.map(|name| name.parse().unwrap()).collect();
    formats.push(VarFormat::UrlWithScheme(UrlSchemes::new(["https"]).unwrap()));
    formats.push(VarFormat::Enum(EnumFormat::new(["a", "b"]).unwrap()));
    formats.push(VarFormat::Pattern(PatternFormat::draft("[a-z]+").vet().unwrap()));
    formats
}

/// What fails when a vault that may be damaged is opened and read.
async fn read_everything(store: &Arc<MemoryStore>) -> Vec<Error> {
    let vault = match Vault::open(Arc::clone(store), unlock()).await {
        Ok(vault) => vault,
        Err(error) => return vec![error],
    };
    let org: Org = org_of(&vault);
    let handle = org.account(id("a"));
    let path = ScopePath::org().linked_account(id("a"));
    let failed = [
        org.value("A", &account("a")).await.err(),
        org.resolve("A", &path).await.err(),
        org.resolve_all(&path).await.err(),
        org.explain("A", &path).await.err(),
        handle.values(PageRequest::default()).await.err(),
        handle.info().await.err(),
        handle.credential("k").await.err(),
        handle.credentials(PageRequest::default()).await.err(),
        handle.integrations(PageRequest::default()).await.err(),
    ];
    failed.into_iter().flatten().collect()
}

/// Asserts that the answer is an error, and that nothing of it holds a part of the canary.
fn silent<T>(answer: Result<T, Error>) {
    assert_silent(&answer.err().expect("it must be refused"));
}

fn assert_silent(error: &Error) {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let text = format!("{error} {error:?} {error:#?}");
        assert!(!shows(&text), "an error or a cause of one");
        cause = error.source();
    }
}

fn assert_shows_none(holder: &impl Debug) {
    assert!(!shows(&format!("{holder:?} {holder:#?}")), "{}", std::any::type_name_of_val(holder));
}

/// Whether a text holds a part of the canary, as text, as hexadecimal digits or as a list of bytes.
fn shows(text: &str) -> bool {
    ["qzx", "CANARY", "43414e41", "43414E41", "67, 65, 78"].iter().any(|part| text.contains(part))
}
