//! The verbs on PostgreSQL, beside the store's own reads and commits and beside the plain statement that a program would
//! send with the same driver.
//!
//! The server is one of its own, on this machine, with fsync on; `scripts/postgres` starts it, and says what to install
//! where there is none.

// The server of the backend's own tests.
#[path = "../../../crates/strongroom-postgres/tests/cluster/mod.rs"]
mod cluster;
mod plain;
mod server;

use futures_executor::block_on;
use strongroom::{Error, Org, Scope};
use strongroom_postgres::{PostgresStore, RowLocks};

use self::plain::Plain;
use crate::memory::{asked, resolves, resolves_all};
use crate::population::{Population, Request, VALUE};
use crate::vault::{Asked, Filled, account};
use crate::{Run, Work, embedded, host, writes};

/// Every verb on a vault of about 10⁵ values.
#[must_use]
pub fn works() -> Vec<Work> {
    let server = cluster::shared();
    let database = server.database();
    let filled = Filled::new(server.open(&database), Population::of_values(100_000));
    // As after an hour of service, when the server's own housekeeping has run.
    server.run(&database, "VACUUM ANALYZE");
    let mut works = reads(&filled, &database);
    works.extend(one_writer(&filled, &database));
    works.extend(many_writers(&filled, &database));
    works.extend(host::many_credentials("postgres", &filled));
    works
}

fn reads(filled: &Filled<PostgresStore>, database: &str) -> Vec<Work> {
    let request = Request { org: 0, account: 3, workflow: 4, definition: 40 };
    let Asked { path, name, .. } = filled.ask(&request);
    let (one, _) = filled.overhear(async |org| org.resolve(&name, &path).await.map(drop));
    let (all, _) = filled.overhear(async |org| org.resolve_all(&path).await.map(drop));
    let select = |read| Plain::connect(database).select(plain::keys(&filled.store, read));
    vec![
        embedded::resolve("postgres", filled, request).by_the_wall(),
        Work::new(
            "postgres: resolve one",
            resolves(asked(filled, &[request])).by_the_wall(),
            "a plain SELECT of the same rows",
            select(&one),
        ),
        embedded::resolve_all("postgres", filled, request).by_the_wall(),
        Work::new(
            "postgres: resolve all of 50",
            resolves_all(asked(filled, &[request])).by_the_wall(),
            "a plain SELECT of the same rows",
            select(&all),
        ),
    ]
}

fn one_writer(filled: &Filled<PostgresStore>, database: &str) -> Vec<Work> {
    let org = filled.orgs.first().expect("there is an org");
    let set_value = writes::set_value("postgres", filled);
    let upsert_credential = writes::upsert_credential("postgres", filled);
    let plain = || Plain::connect(database).upsert();
    let set = async |org: &Org| org.set_value("VARIABLE_000", Scope::Org, VALUE).await.map(drop);
    let credential =
        async |org: &Org| org.account(account(0)).upsert_credential("api_key", VALUE).await.map(drop);
    vec![
        set_value,
        Work::new("postgres: set_value, one writer", verb(org, set), UPSERT, plain()),
        upsert_credential,
        Work::new("postgres: upsert_credential, one writer", verb(org, credential), UPSERT, plain()),
    ]
}

fn many_writers(filled: &Filled<PostgresStore>, database: &str) -> Vec<Work> {
    let org = filled.orgs.first().expect("there is an org").clone();
    let exclusive = cluster::shared().options(database).row_locks(RowLocks::Exclusive);
    let exclusive = PostgresStore::open(&exclusive).expect("the server runs");
    let one_by_one = filled.on_another(exclusive).pop().expect("there is an org");
    let plain = plain::Writers::connect(database);
    let beside_a_batch = Work { bar: None, ..writes::many_writers("postgres", filled) };
    vec![
        beside_a_batch,
        Work::new(
            "postgres: set_value, 64 writers",
            writes::all_at_once(org.clone()),
            "64 plain upserts at once, on 64 connections",
            plain.upserts(1),
        ),
        Work::new(
            "postgres: set_value, 64 writers, 16 times each",
            writes::in_a_row(org.clone(), IN_A_ROW),
            "plain upserts on 64 connections, 16 times each",
            plain.upserts(IN_A_ROW),
        )
        .bar(AS_OFTEN_AND_A_HALF),
        // With a machine of its own, the server has nothing of what the writers' own process does.
        Work::new(
            "postgres: set_value, 64 writers, 16 times each: the server's processor time",
            writes::in_a_row(org.clone(), IN_A_ROW).by(server::time),
            "of the plain upserts",
            plain.upserts(IN_A_ROW).by(server::time),
        )
        .bar(AS_OFTEN_AND_A_HALF),
        Work::new(
            "postgres: set_value, 64 writers, row_locks=exclusive",
            writes::all_at_once(one_by_one),
            "the same, shared",
            writes::all_at_once(org),
        ),
    ]
}

fn verb(org: &Org, verb: impl AsyncFn(&Org) -> Result<(), Error> + 'static) -> Run {
    let org = org.clone();
    Run::wall(move |n| {
        for _ in 0..n {
            block_on(verb(&org)).expect("the value is valid");
        }
    })
}

const IN_A_ROW: usize = 16;

const UPSERT: &str = "a plain upsert";

/// Of the time: 1.5 times as many writes.
const AS_OFTEN_AND_A_HALF: f64 = 1.0 / 1.5;
