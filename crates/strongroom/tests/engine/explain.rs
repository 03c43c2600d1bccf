//! `Org::explain`: the trace of a resolution, without a value. That it agrees with `resolve` in any state is held
//! in `model`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{account, id, org_of, plant, rows, run, text, vault, with_org, workflow};
use strongroom::store::Key;
use strongroom::{Error, Origin, Scope, ScopePath, VaultOptions};
use strongroom_memory::MemoryStore;

fn path() -> ScopePath {
    ScopePath::org().linked_account(id("a")).workflow(id("w"))
}

#[test]
fn a_trace_names_every_place_of_the_path_in_order() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let origins = async |path: ScopePath| {
            let trace = org.explain("A", &path).await?;
            Ok::<_, Error>(trace.steps.into_iter().map(|step| step.origin.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(origins(path()).await?, ["workflow w", "linked_account a", "org", "default"]);
        assert_eq!(origins(ScopePath::org()).await?, ["org", "default"]);
        Ok(())
    });
}

#[test]
fn a_step_says_whether_a_value_stands_there_and_which() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        let written = org.set_value("A", account("a"), "y").await?;
        let trace = org.explain("A", &path()).await?;
        let holds: Vec<_> = trace.steps.iter().map(|step| step.holds_value).collect();
        assert_eq!(holds, [false, true, false, true]);
        let found: Vec<_> = trace.steps.iter().filter_map(|step| step.found).collect();
        assert_eq!((found.len(), found[0].id, found[0].revision), (1, written.id, written.revision));
        assert_eq!(trace.winner().unwrap().origin, Origin::Scope(account("a")));
        Ok(())
    });
}

#[test]
fn a_trace_opens_no_value() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        for scope in [Scope::Org, workflow("w")] {
            let before = rows(&store).await?;
            org.set_value("A", scope, "x").await?;
            spoil_what_is_new(&store, &before).await?;
        }
        assert!(matches!(org.resolve("A", &path()).await, Err(Error::Damaged { .. })));
        let holds: Vec<_> =
            org.explain("A", &path()).await?.steps.iter().map(|step| step.holds_value).collect();
        assert_eq!(holds, [true, false, true, false]);
        Ok(())
    });
}

#[test]
fn a_step_says_why_its_value_cannot_be_read() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A").default_value("x")).await?;
        org.set_value("A", workflow("w"), "y").await?;
        let before = rows(&store).await?;
        org.set_value("A", Scope::Org, "x").await?;
        spoil_what_is_new(&store, &before).await?;
        let traces = [vec![org.explain("A", &path()).await?], org.explain_all(&path()).await?].concat();
        for trace in traces {
            let unreadable: Vec<_> = trace.steps.iter().map(|step| step.unreadable.is_some()).collect();
            assert_eq!(unreadable, [false, false, true, false]);
        }
        Ok(())
    });
}

#[test]
fn what_is_not_defined_has_no_trace() {
    with_org(async |org| {
        assert!(matches!(org.explain("NONE", &path()).await, Err(Error::DefinitionNotFound(_))));
        Ok(())
    });
}

/// Flips the last bit, which is one of the tag, of the one new row that is long enough to be a value.
async fn spoil_what_is_new(store: &MemoryStore, before: &[(Key, Vec<u8>)]) -> Result<(), Error> {
    let is_new = |key: &Key| !before.iter().any(|(known, _)| known == key);
    let after = rows(store).await?;
    let mut new = after.into_iter().filter(|(key, row)| is_new(key) && row.len() > 100);
    let (key, mut row) = new.next().unwrap();
    assert!(new.next().is_none());
    *row.last_mut().unwrap() ^= 1;
    plant(store, &key, Some(row)).await
}
