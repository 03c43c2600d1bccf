//! The store behind PgBouncer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bouncer;
mod cluster;

use std::sync::{Arc, OnceLock};
use std::thread;

use futures_executor::block_on;
use futures_util::future::try_join_all;
use strongroom::{
    Environment, Error, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_postgres::{PostgresStore, Prepare};
use strongroom_store::{Key, ReadBatch, Store, StoreError, StoreErrorKind, WriteBatch};

use self::bouncer::Bouncer;
use self::cluster::shared;

/// Few sessions for many connections, so that a transaction seldom meets the session of the one before.
fn in_transaction_mode() -> &'static Bouncer {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    let settings = ["default_pool_size=3", "server_idle_timeout=1", "server_round_robin=1"];
    BOUNCER.get_or_init(|| Bouncer::start(shared(), "transaction", &settings))
}

mod in_transaction_mode_with_unnamed_statements {
    use super::{in_transaction_mode, shared};

    strongroom_conformance::store_tests!(shared().database(), |database: &String| {
        strongroom_postgres::PostgresStore::open(&in_transaction_mode().options(database, "prepare=unnamed"))
    });
}

fn put_and_get(store: &PostgresStore) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
    block_on(store.commit(Arc::new(batch)))?;
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: Vec::new() };
    assert!(block_on(store.read(&request))?.gets.iter().all(Option::is_some));
    Ok(())
}

#[test]
fn a_pooler_that_keeps_no_statements_is_found_at_the_opening_and_what_to_do_is_said() {
    for settings in [&[][..], &["server_round_robin=1"], &["default_pool_size=1"]] {
        let bouncer = Bouncer::start(shared(), "transaction", settings);
        let database = shared().database();
        let refused = PostgresStore::open(&bouncer.options(&database, "")).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported, "{refused}");
        assert!(refused.to_string().contains("prepare=unnamed"), "{refused}");
        for options in [
            bouncer.options(&database, "prepare=unnamed"),
            bouncer.options(&database, "pgbouncer=true"),
            bouncer.options(&database, "").prepare(Prepare::Unnamed).connections_max(1),
        ] {
            put_and_get(&PostgresStore::open(&options).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_pooler_in_session_mode_needs_nothing() {
    let bouncer = Bouncer::start(shared(), "session", &[]);
    let database = shared().database();
    for rest in ["", "prepare=named", "prepare=unnamed"] {
        put_and_get(&PostgresStore::open(&bouncer.options(&database, rest)).unwrap()).unwrap();
    }
}

#[test]
fn no_session_behind_a_pooler_is_left_with_anything_of_ours() {
    let bouncer = Bouncer::start(shared(), "transaction", &["default_pool_size=1"]);
    let database = shared().database();
    let store = PostgresStore::open(&bouncer.options(&database, "prepare=unnamed")).unwrap();
    put_and_get(&store).unwrap();
    // Batches that are sent together set a limit on locks.
    let together = (0_u8..8).map(|n| {
        let mut batch = WriteBatch::default();
        batch.put(Key::from([n].as_slice()), b"v".to_vec());
        store.commit(Arc::new(batch))
    });
    block_on(try_join_all(together)).unwrap();
    // The one session of the pool is handed to another client.
    let found = bouncer.ask(
        &database,
        "SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || \
         current_setting('lock_timeout') || ' ' || (SELECT count(*) FROM pg_prepared_statements)",
    );
    assert_eq!(found, ["0 0 0"]);
}

#[test]
fn several_engines_write_one_vault_through_few_sessions() {
    let database = shared().database();
    let open = || {
        PostgresStore::open(&in_transaction_mode().options(&database, "prepare=unnamed connect_timeout=60"))
    };
    let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let org = |vault: &Vault| vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
    let first = block_on(Vault::create(open().unwrap(), unlock())).unwrap();
    block_on(org(&first).define(VariableDefinition::new("SHARED", VarFormat::String))).unwrap();
    thread::scope(|threads| {
        for engine in 0..4 {
            threads.spawn(move || {
                let vault = block_on(Vault::open(open().unwrap(), unlock())).unwrap();
                block_on(async {
                    let name = format!("OWN_{engine}");
                    org(&vault).define(VariableDefinition::new(&name, VarFormat::String).encrypted()).await?;
                    for round in 0..10 {
                        org(&vault).set_value(name.as_str(), Scope::Org, format!("{round}")).await?;
                        org(&vault).set_value("SHARED", Scope::Org, format!("{engine} {round}")).await?;
                        let own = org(&vault).resolve(&name, &ScopePath::org()).await?.unwrap();
                        assert_eq!(own.value.expose(), format!("{round}"));
                    }
                    Ok::<(), Error>(())
                })
                .unwrap();
            });
        }
    });
    assert_eq!(block_on(org(&first).resolve_all(&ScopePath::org())).unwrap().values.len(), 5);
    assert!(block_on(first.verify()).unwrap().is_clean());
}
