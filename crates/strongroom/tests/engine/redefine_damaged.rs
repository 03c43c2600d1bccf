//! A definition that cannot be read and has no version that can be is defined again, so that its values can be read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use strongroom::store::Key;
use strongroom::{
    DefinitionChange, DefinitionId, Error, Org, Scope, ScopeKind, Scopes, VarFormat, VariableDefinition,
    Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{account, is_verified, org_of, plant, rows, run, text, unlock, vault};

/// A store where the row of the definition V is damaged, which has two values and, if it `keeps` one, a version.
async fn damaged(keeps: bool) -> Result<(Arc<MemoryStore>, DefinitionId), Error> {
    let store = Arc::new(MemoryStore::new());
    let org = org_of(&vault(Arc::clone(&store), options()).await?);
    let id = org.define(text("V")).await?;
    if keeps {
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
    }
    for scope in [Scope::Org, account("a")] {
        org.set_value("V", scope, "word").await?;
    }
    let place = [b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0\x10", &id.as_bytes()[..]].concat();
    let is_it = |(key, _): &(Key, Vec<u8>)| key.as_bytes() == place;
    let (key, mut row) = rows(&store).await?.into_iter().find(is_it).unwrap();
    *row.last_mut().unwrap() ^= 1;
    plant(&store, &key, Some(row)).await?;
    Ok((store, id))
}

fn options() -> VaultOptions {
    VaultOptions::default().history_versions(5)
}

async fn opened(store: &Arc<MemoryStore>) -> Result<(Vault, Org), Error> {
    let vault = options().open(Arc::clone(store), unlock()).await?;
    let org = org_of(&vault);
    Ok((vault, org))
}

#[test]
fn a_lost_definition_is_defined_again_under_its_id_and_keeps_its_values() {
    run(async {
        let (store, id) = damaged(false).await?;
        let (vault, org) = opened(&store).await?;
        assert!(matches!(org.value("V", Scope::Org).await, Err(Error::Damaged { .. })));
        let redefined = org.redefine_damaged(text("V").encrypted()).await?;
        assert!(redefined.id == id && redefined.definition.encrypted);
        for scope in [Scope::Org, account("a")] {
            assert_eq!(org.value("V", scope).await?.unwrap().value.expose(), "word");
        }
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
        is_verified(&vault).await
    });
}

#[test]
fn what_can_be_read_or_restored_is_not_defined_again() {
    run(async {
        let (store, _) = damaged(true).await?;
        let (_vault, org) = opened(&store).await?;
        org.define(text("WHOLE")).await?;
        for name in ["V", "WHOLE"] {
            let refused = org.redefine_damaged(text(name)).await;
            assert!(matches!(refused, Err(Error::Unexpected { found: Some(_) })), "{name}: {refused:?}");
        }
        assert!(matches!(org.redefine_damaged(text("NEW")).await, Err(Error::DefinitionNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_lost_definition_is_defined_again_only_as_its_values_allow() {
    run(async {
        let (store, _) = damaged(false).await?;
        let (_vault, org) = opened(&store).await?;
        let before = rows(&store).await?;
        let number = org.redefine_damaged(VariableDefinition::new("V", VarFormat::Integer)).await;
        assert!(matches!(number, Err(Error::ValueMismatch { .. })), "{number:?}");
        let of_org = org.redefine_damaged(text("V").scopes(Scopes::only(ScopeKind::Org))).await;
        assert!(matches!(of_org, Err(Error::ScopeInUse { .. })), "{of_org:?}");
        assert!(rows(&store).await? == before);
        Ok(())
    });
}
