//! What the caches hold never shows in an answer, only in the number of reads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store, StoreErrorKind};
use strongroom::{
    DefinitionChange, DefinitionFilter, DefinitionId, Error, NewValue, Org, PageRequest, Scope, ScopePath,
    VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};

use crate::rig::{account, furnished, load, of_account, of_workflow, open, org, text, unlock, verbs, view};

#[test]
fn a_cache_of_one_entry_answers_as_a_large_one_does() {
    let base = furnished();
    for entries in [0, 1, 2] {
        for verb in verbs() {
            let large = open(Faulty::new(load(&base)).reopen());
            let options = VaultOptions::default().cache_entries_max(entries);
            let tiny = block_on(options.open(crate::rig::Hooked::new(load(&base)), unlock())).unwrap();
            assert_eq!(view(&org(&tiny)), view(&org(&large)));
            let (one, other) = (block_on(verb.run(org(&tiny))), block_on(verb.run(org(&large))));
            assert_eq!(one.unwrap(), other.unwrap(), "{}", verb.name);
            assert_eq!(view(&org(&tiny)), view(&org(&large)), "{}", verb.name);
        }
    }
}

/// What a verb costs: reads and commits of the store.
type Cost = (usize, usize);

/// A verb under a name, to be counted.
type Counted = (&'static str, fn(&Org, DefinitionId) -> Result<(), Error>, Cost);

fn run() -> ScopePath {
    ScopePath::org().linked_account(account("a")).workflow("w".parse().unwrap())
}

fn cost(org: &Org, id: DefinitionId, store: &Faulty<crate::rig::Hooked>, verb: &Counted) -> Cost {
    let before = (store.reads_len(), store.commits_len());
    verb.1(org, id).unwrap_or_else(|error| panic!("{}: {error}", verb.0));
    (store.reads_len() - before.0, store.commits_len() - before.1)
}

/// Each verb on a vault that has just been opened.
const COLD: &[Counted] = &[
    ("definition by id", |org, id| block_on(org.definition(id)).map(drop), (1, 0)),
    ("definition by name", |org, _| block_on(org.definition("V")).map(drop), (2, 0)),
    ("resolve by id", |org, id| block_on(org.resolve(id, &run())).map(drop), (1, 0)),
    ("resolve by name", |org, _| block_on(org.resolve("V", &run())).map(drop), (2, 0)),
    ("explain by id", |org, id| block_on(org.explain(id, &run())).map(drop), (1, 0)),
    ("resolve_all", |org, _| block_on(org.resolve_all(&run())).map(drop), (1, 0)),
    ("value by id", |org, id| block_on(org.value(id, &of_account("a"))).map(drop), (1, 0)),
    ("set_value by id", |org, id| block_on(org.set_value(id, Scope::Org, "v")).map(drop), (1, 1)),
    ("set_value by name", |org, _| block_on(org.set_value("V", Scope::Org, "v")).map(drop), (2, 1)),
    // A second read for its former versions.
    ("delete_value by id", |org, id| block_on(org.delete_value(id, Scope::Org)).map(drop), (2, 1)),
    ("define", |org, _| block_on(org.define(text("NEW"))).map(drop), (1, 1)),
    ("credential", |org, _| block_on(org.account(account("a")).credential("k")).map(drop), (1, 0)),
    (
        "upsert_credential",
        |org, _| block_on(org.account(account("a")).upsert_credential("k", "c")).map(drop),
        (1, 1),
    ),
    ("linked_account", |org, _| block_on(org.linked_account(&account("a"))).map(drop), (1, 0)),
];

/// Each verb on a vault that has seen everything.
const WARM: &[Counted] = &[
    ("definition by name", |org, _| block_on(org.definition("V")).map(drop), (0, 0)),
    (
        "definitions",
        |org, _| block_on(org.definitions(&DefinitionFilter::all(), PageRequest::default())).map(drop),
        (1, 0),
    ),
    ("resolve by name", |org, _| block_on(org.resolve("V", &run())).map(drop), (1, 0)),
    ("explain by name", |org, _| block_on(org.explain("V", &run())).map(drop), (1, 0)),
    ("resolve_all", |org, _| block_on(org.resolve_all(&run())).map(drop), (1, 0)),
    ("value by name", |org, _| block_on(org.value("V", &of_account("a"))).map(drop), (1, 0)),
    ("values", |org, _| block_on(org.values(&of_account("a"), PageRequest::default())).map(drop), (1, 0)),
    ("validate", |org, _| block_on(org.validate("V", Scope::Org, "v")).map(drop), (0, 0)),
    ("set_value by name", |org, _| block_on(org.set_value("V", Scope::Org, "v")).map(drop), (1, 1)),
    (
        "set_value first of an account",
        |org, _| block_on(org.set_value("V", of_account("new"), "v")).map(drop),
        (1, 1),
    ),
    (
        "set_values",
        |org, _| {
            let scopes = [Scope::Org, of_account("a"), of_account("b"), of_workflow("w")];
            block_on(org.set_values(&scopes.map(|scope| NewValue::new("V", scope, "v")))).map(drop)
        },
        (1, 1),
    ),
    // A second read for its former versions.
    ("delete_value", |org, _| block_on(org.delete_value("V", &of_workflow("w"))).map(drop), (2, 1)),
    ("define", |org, _| block_on(org.define(text("NEW"))).map(drop), (1, 1)),
    ("credential", |org, _| block_on(org.account(account("a")).credential("k")).map(drop), (1, 0)),
    (
        "credentials",
        |org, _| block_on(org.account(account("a")).credentials(PageRequest::default())).map(drop),
        (2, 0),
    ),
    (
        "upsert_credential",
        |org, _| block_on(org.account(account("a")).upsert_credential("k", "c")).map(drop),
        (1, 1),
    ),
    (
        // Likewise.
        "delete_credential",
        |org, _| block_on(org.account(account("a")).delete_credential("k")).map(drop),
        (2, 1),
    ),
    (
        "create_account",
        |org, _| {
            let creation =
                org.create_account(account("c")).with_credential("k", "c").with_credential("l", "c");
            block_on(creation.into_future()).map(drop)
        },
        (1, 1),
    ),
    ("record", |org, _| block_on(org.records("visitor".parse()?).get(&"r".parse()?)).map(drop), (1, 0)),
    (
        "put_record",
        |org, _| block_on(org.records("visitor".parse()?).put(&"r".parse()?, "x")).map(drop),
        (1, 1),
    ),
    (
        "rename",
        |org, id| block_on(org.update_definition(id, DefinitionChange::new().name("V2"))).map(drop),
        // The former name's row says whether it still leads here, and all definitions whether one bears the new name.
        (3, 1),
    ),
];

#[test]
fn a_cold_verb_reads_its_definition_and_keys_together_with_its_rows() {
    let base = furnished();
    let id = block_on(org(&open(load(&base))).definition("V")).unwrap().unwrap().id;
    for verb in COLD {
        let store = Faulty::new(crate::rig::Hooked::new(load(&base)));
        let vault = open(store.clone());
        assert_eq!(cost(&org(&vault), id, &store, verb), verb.2, "cold {}", verb.0);
    }
}

#[test]
fn a_warm_verb_reads_its_own_rows_alone() {
    let base = furnished();
    let id = block_on(org(&open(load(&base))).definition("V")).unwrap().unwrap().id;
    for verb in WARM {
        let store = Faulty::new(crate::rig::Hooked::new(load(&base)));
        let vault = open(store.clone());
        view(&org(&vault));
        // With its first new row an engine counts how much the org stores.
        block_on(org(&vault).set_value("V", of_workflow("first"), "v")).unwrap();
        assert_eq!(cost(&org(&vault), id, &store, verb), verb.2, "warm {}", verb.0);
    }
}

#[test]
fn a_shared_store_costs_no_read_more() {
    let base = furnished();
    let id = block_on(org(&open(load(&base))).definition("V")).unwrap().unwrap().id;
    for verb in COLD {
        let rows = load(&base);
        let store = Faulty::new(Arc::clone(&rows));
        let vault = open(store.clone());
        assert!(store.capabilities().shared);
        let before = (store.reads_len(), store.commits_len());
        verb.1(&org(&vault), id).unwrap();
        let cost = (store.reads_len() - before.0, store.commits_len() - before.1);
        assert_eq!(cost, verb.2, "shared {}", verb.0);
    }
}

#[test]
fn a_write_keeps_the_caches_warm() {
    let base = furnished();
    let store = Faulty::new(crate::rig::Hooked::new(load(&base)));
    let vault = open(store.clone());
    let org = org(&vault);
    view(&org);
    block_on(async {
        org.set_value("V", Scope::Org, "v").await?;
        org.delete_value("V", &of_workflow("w")).await?;
        org.account(account("a")).upsert_credential("k", "c").await?;
        let before = store.reads_len();
        org.resolve("V", &run()).await?;
        org.resolve_all(&run()).await?;
        assert_eq!(store.reads_len() - before, 2);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn hits_and_misses_are_counted_cache_by_cache() {
    let vault = open(crate::rig::Hooked::new(load(&furnished())));
    let org = org(&vault);
    block_on(org.resolve("V", &run())).unwrap();
    let cold = vault.cache_stats();
    let counted = |counts: strongroom::CacheCounts| (counts.hits, counts.misses, counts.entries);
    assert_eq!([cold.names, cold.definitions].map(counted), [(0, 1, 1); 2]);
    assert_eq!((counted(cold.keyrings), cold.keyring_unwraps), ((0, 2, 2), 2));

    block_on(org.resolve("V", &run())).unwrap();
    block_on(org.resolve_all(&run())).unwrap();
    block_on(org.resolve_all(&run())).unwrap();
    let warm = vault.cache_stats();
    assert_eq!([warm.names, warm.definitions].map(counted), [(1, 1, 1); 2]);
    assert_eq!(counted(warm.catalogs), (1, 1, 1));
    assert_eq!((counted(warm.keyrings), warm.keyring_unwraps), ((6, 2, 2), 2));
}

#[test]
fn the_names_that_a_set_of_values_looks_up_are_counted_each_once() {
    let store = crate::rig::base(async |org| {
        org.define(text("V")).await?;
        org.define(text("W")).await.map(drop)
    });
    let vault = open(crate::rig::Hooked::new(store));
    let counted = |names: &[&'static str]| {
        let values: Vec<_> = names.iter().map(|name| NewValue::new(*name, Scope::Org, "v")).collect();
        let before = vault.cache_stats();
        block_on(org(&vault).set_values(&values)).unwrap();
        let now = vault.cache_stats();
        let gained = |now: strongroom::CacheCounts, before: strongroom::CacheCounts| {
            (now.hits - before.hits, now.misses - before.misses)
        };
        [
            gained(now.names, before.names),
            gained(now.definitions, before.definitions),
            gained(now.keyrings, before.keyrings),
        ]
    };
    assert_eq!(counted(&["V"]), [(0, 1), (0, 1), (0, 1)]);
    assert_eq!(counted(&["V", "W"]), [(1, 1), (1, 1), (1, 0)]);
    assert_eq!(counted(&["V", "W"]), [(2, 0), (2, 0), (1, 0)]);
}

#[test]
fn a_read_that_fails_for_no_fault_of_a_cache_is_not_repeated() {
    let store = Faulty::new(crate::rig::base(async |org| org.define(text("V")).await.map(drop)));
    let org = org(&open(store.clone()));
    let id = block_on(org.definition("V")).unwrap().unwrap().id;
    let before = store.reads_len();
    let fails = Fault::Before(StoreErrorKind::Unavailable);
    let store = store.on_reads(before.., fails);
    assert!(matches!(block_on(org.value(id, Scope::Org)), Err(Error::Store(_))));
    assert_eq!(store.reads_len() - before, 1);
}
