//! Every job over no row, one, and as many as fill a page, one less, one more, and three pages of each kind; what is
//! left is counted in the store.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    DataKeys, DefinitionChange, Error, FormatChange, IntegrationId, LengthBounds, OnMismatch, Org,
    RootRotation, Scope, ScopeKind, Scopes, Vault,
};

use crate::audit::{self, opened};
use crate::rig::{
    Hooked, Kind, Paged, RowKey, Rows, account, base, dek_id, empty, load, of_account, of_workflow, open,
    org, rows, target, text, unlock,
};

const PAGE: usize = 4;
const SIZES: [usize; 6] = [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE];

/// So many rows of each kind under the definition `V`, under the account `a`, and beside them.
fn with_rows(len: usize) -> Rows {
    let (store, vault) = empty();
    block_on(furnish(&org(&vault), len)).unwrap();
    rows(&store)
}

async fn furnish(org: &Org, len: usize) -> Result<(), Error> {
    org.define(text("V")).await?;
    org.define(text("S")).await?;
    org.create_account(account("a")).with_default_app().await?;
    org.create_account(account("b")).with_credential("k", "stays").await?;
    org.set_value("S", of_account("b"), "stays").await?;
    for number in 0..len {
        org.set_value("V", of_account(&format!("u{number}")), "long enough").await?;
        org.set_value("V", of_workflow(&format!("w{number}")), "short").await?;
        let name = format!("D{number}");
        org.define(text(&name)).await?;
        org.set_value(&name, of_account("a"), "of a").await?;
        org.set_value(&name, Scope::Org, "stays").await?;
        let a = org.account(account("a"));
        a.upsert_credential(&format!("k{number}"), "of a").await?;
        let app: IntegrationId = format!("app{number}").parse()?;
        a.add_integration(&app).await?;
        a.app(app).upsert("k", "of an app of a").await?;
        org.records("notes".parse()?).put(&format!("r{number}").parse()?, "stays").await?;
    }
    Ok(())
}

/// How many rows of each kind there are.
fn count(rows: &Rows) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for key in rows.keys() {
        *counts.entry(RowKey::parse(key).kind).or_default() += 1;
    }
    counts
}

/// Runs a verb on each number of rows. What it took away, by kind, is what `gone` says.
fn on_every_size(verb: &impl AsyncFn(&Vault), gone: impl Fn(usize) -> Vec<(Kind, usize)>) {
    for len in SIZES {
        let base = with_rows(len);
        let store = load(&base);
        block_on(verb(&open(Paged::of(Hooked::new(Arc::clone(&store)), PAGE))));
        audit::quiet(&store);
        let (before, mut after) = (count(&base), count(&rows(&store)));
        for (kind, gone) in gone(len) {
            *after.entry(kind).or_default() += gone;
        }
        // A deletion may make these, and they stay.
        for kind in [Kind::Epoch, Kind::Keyring] {
            after.insert(kind, before.get(&kind).copied().unwrap_or_default());
        }
        after.retain(|_, count| *count > 0);
        let before: BTreeMap<_, _> = before.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(after, before, "{len} rows of each kind");
    }
}

#[test]
fn a_deleted_definition_leaves_none_of_its_values() {
    on_every_size(&async |vault| org(vault).delete_definition("V").await.unwrap(), |len| {
        vec![
            (Kind::Definition, 1),
            (Kind::DefinitionName, 1),
            (Kind::Value, 2 * len),
            (Kind::ValueId, 2 * len),
            (Kind::DefinitionValue, 2 * len),
        ]
    });
}

#[test]
fn a_deleted_account_leaves_none_of_its_rows() {
    on_every_size(&async |vault| org(vault).delete_account(&account("a")).await.unwrap(), |len| {
        vec![
            (Kind::Account, 1),
            (Kind::Integration, 1 + len),
            (Kind::Credential, 2 * len),
            (Kind::Value, len),
            (Kind::ValueId, len),
            (Kind::DefinitionValue, len),
        ]
    });
}

#[test]
fn a_deleted_integration_leaves_none_of_its_credentials() {
    let app = IntegrationId::default_app();
    on_every_size(
        &async |vault| org(vault).account(account("a")).delete_integration(&app).await.unwrap(),
        |len| vec![(Kind::Integration, 1), (Kind::Credential, len)],
    );
}

#[test]
fn a_shredded_org_leaves_only_keyrings_without_keys() {
    for len in SIZES {
        let store = load(&with_rows(len));
        drop(block_on(org(&open(Paged::of(Hooked::new(Arc::clone(&store)), PAGE))).shred()).unwrap());
        audit::quiet(&store);
        let left = rows(&store);
        let of_org = left.keys().map(|key| RowKey::parse(key)).filter(|key| !key.tenant.is_empty());
        assert!(of_org.clone().all(|key| matches!(key.kind, Kind::Keyring | Kind::Epoch)), "{len}");
        assert!(opened(&left).keyrings.values().all(|keyring| keyring.deks.is_empty()), "{len}");
    }
}

#[test]
fn a_rotation_leaves_no_row_and_no_keyring_under_an_old_key() {
    for len in SIZES {
        let base = with_rows(len);
        let store = load(&base);
        let vault = open(Paged::of(Hooked::new(Arc::clone(&store)), PAGE));
        block_on(async { vault.rotate_data_keys(&DataKeys::all()).await.unwrap().run().await }).unwrap();
        let root = RootRotation::new().keep(unlock());
        block_on(async { vault.rotate_root(root).await.unwrap().job.run().await }).unwrap();
        audit::quiet(&store);
        let after = rows(&store);
        let sealed = |key: &[u8]| !key.starts_with(&[0, 2]) && RowKey::parse(key).is_sealed();
        for (key, row) in base.iter().filter(|(key, _)| sealed(key)) {
            assert_ne!(dek_id(&after[key]), dek_id(row), "{len}: {}", RowKey::parse(key));
        }
    }
}

#[test]
fn a_change_of_format_marks_every_value_that_does_not_match() {
    for len in SIZES {
        let store = load(&with_rows(len));
        let vault = open(Paged::of(Hooked::new(Arc::clone(&store)), PAGE));
        let to = FormatChange::to(strongroom::VarFormat::String).length(LengthBounds::new(8..=100).unwrap());
        block_on(org(&vault).change_format("V", &to, OnMismatch::Grandfather)).unwrap();
        audit::quiet(&store);
        let rows = rows(&store);
        let marked = |(key, row): &(&Vec<u8>, &Vec<u8>)| {
            RowKey::parse(key).kind == Kind::DefinitionValue && target(row) == [1]
        };
        assert_eq!(rows.iter().filter(marked).count(), len, "those of the workflows are too short");
    }
}

#[test]
fn a_scope_is_removed_only_if_no_page_of_its_values_holds_one() {
    for len in SIZES {
        let store = load(&with_rows(len));
        let vault = open(Paged::of(Hooked::new(Arc::clone(&store)), PAGE));
        let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
        let answer = block_on(org(&vault).update_definition("V", narrow));
        assert_eq!(answer.is_ok(), len == 0, "{len}");
        audit::quiet(&store);
    }
}

#[test]
fn values_that_no_index_row_leads_to_go_with_a_purge_however_many_pages_they_are() {
    let whole = base(async |org| {
        org.define(text("V")).await?;
        for number in 0..20 {
            org.set_value("V", of_workflow(&format!("w{number}")), "v").await?;
        }
        Ok(())
    });
    let mut left = rows(&whole);
    left.retain(|key, _| RowKey::parse(key).kind != Kind::DefinitionValue);
    let store = load(&left);
    // 16 keys a page.
    let org = org(&open(Paged::of(Arc::clone(&store), 1)));
    let id = block_on(org.definition("V")).unwrap().unwrap().id;
    block_on(org.purge_definition(id)).unwrap();
    assert_eq!(rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Value).count(), 0);
}
