//! A row of the host's and a secret in one transaction of the host's: both or neither, whatever happens in between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cluster;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::task::Poll;

use strongroom::{Environment, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_postgres::{PlanParameter, Plans, PostgresStore};
use strongroom_store::{Plan, PlanError, StoreErrorKind};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, NoTls};

use self::cluster::shared;

/// A database of a host with a table of its own, and a vault in it.
struct Host {
    database: String,
    plans: Plans,
    vault: Vault,
    org: Org,
}

impl Host {
    async fn new() -> Self {
        let database = tokio::task::spawn_blocking(|| shared().database()).await.unwrap();
        let host = Self::at(database, true).await;
        let (client, _connection) = host.connect().await;
        client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, mark text NOT NULL)").await.unwrap();
        host.org.define(VariableDefinition::new("TOKEN", VarFormat::String)).await.unwrap();
        host
    }

    async fn at(database: String, is_new: bool) -> Self {
        let store = PostgresStore::connect(&shared().options(&database)).await.unwrap();
        let plans = store.plans();
        let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = if is_new { Vault::create(store, key).await } else { Vault::open(store, key).await };
        let vault = vault.unwrap();
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        Self { database, plans, vault, org }
    }

    /// A connection of the host's own, and what drives it.
    async fn connect(&self) -> (Client, JoinHandle<()>) {
        let (client, connection) =
            tokio_postgres::connect(&shared().address(&self.database), NoTls).await.unwrap();
        (client, tokio::spawn(async { drop(connection.await) }))
    }

    async fn plan_to_set(&self, user: i64, token: &str) -> Plan {
        self.org
            .plan(async |org: Org| org.set_value("TOKEN", scope(user), token.to_owned()).await)
            .await
            .unwrap()
            .0
    }

    async fn token(&self, user: i64) -> Option<String> {
        let value = self.org.value("TOKEN", scope(user)).await.unwrap();
        value.map(|value| value.value.expose().to_owned())
    }
}

fn scope(user: i64) -> Scope {
    Scope::LinkedAccount(format!("user_{user}").parse().unwrap())
}

async fn mark(client: &Client, user: i64) -> Option<String> {
    let rows = client.query("SELECT mark FROM users WHERE id = $1", &[&user]).await.unwrap();
    rows.first().map(|row| row.get(0))
}

const PUT_ROW: &str = "INSERT INTO users VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET mark = excluded.mark";
const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// A small generator of the test's own, so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn a_thousand_random_ends_leave_row_and_secret_both_or_neither_and_no_cache_wrong() {
    run(async {
        let host = Host::new().await;
        let (watcher, _connection) = host.connect().await;
        let (mut client, mut connection) = host.connect().await;
        let mut model: BTreeMap<i64, String> = BTreeMap::new();
        let (mut random, mut ends) = (Random(7), [0; 6]);
        for round in 0..1_000 {
            let (user, end) = (i64::try_from(random.below(8)).unwrap(), random.below(6));
            let level = LEVELS[usize::try_from(random.below(3)).unwrap()];
            let text = format!("t{round}");
            let plan = host.plan_to_set(user, &text).await;
            if end == 5 {
                host.org.set_value("TOKEN", scope(user), "others").await.unwrap();
            }
            let transaction = client.build_transaction().isolation_level(level).start().await.unwrap();
            transaction.execute(PUT_ROW, &[&user, &text]).await.unwrap();
            let applied = host.plans.apply(&transaction, &plan).await;
            match end {
                0 => {
                    applied.unwrap();
                    assert_eq!(host.token(user).await, model.get(&user).cloned(), "seen before the commit");
                    transaction.rollback().await.unwrap();
                }
                1 => {
                    applied.unwrap();
                    transaction.commit().await.unwrap();
                    model.insert(user, text.clone());
                }
                // The server ends the session, as in a fail-over.
                2 => {
                    applied.unwrap();
                    let pid: i32 =
                        transaction.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
                    watcher.execute("SELECT pg_terminate_backend($1, 60000)", &[&pid]).await.unwrap();
                    assert!(transaction.commit().await.is_err());
                }
                // The host ends in the middle.
                3 => {
                    applied.unwrap();
                    connection.abort();
                    drop(transaction);
                }
                // The answer to the commit is lost: the host asks once more with the same plan.
                4 => {
                    applied.unwrap();
                    let mut commit = Box::pin(transaction.commit());
                    let sent = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending()));
                    assert!(sent.await, "an answer was there at once");
                    tokio::task::yield_now().await;
                    drop(commit);
                    connection.abort();
                    (client, connection) = host.connect().await;
                    let again = client.transaction().await.unwrap();
                    again.execute(PUT_ROW, &[&user, &text]).await.unwrap();
                    match host.plans.apply(&again, &plan).await {
                        Ok(()) => again.commit().await.unwrap(),
                        Err(PlanError::Applied) => again.rollback().await.unwrap(),
                        Err(other) => panic!("{other}"),
                    }
                    model.insert(user, text.clone());
                }
                _ => {
                    assert!(matches!(applied, Err(PlanError::Moved(_))), "{applied:?}");
                    // Nothing of the plan is written, and the transaction may continue.
                    let plan = host.plan_to_set(user, &text).await;
                    drop(transaction);
                    let transaction = client.transaction().await.unwrap();
                    transaction.execute(PUT_ROW, &[&user, &text]).await.unwrap();
                    host.plans.apply(&transaction, &plan).await.unwrap();
                    transaction.commit().await.unwrap();
                    model.insert(user, text.clone());
                }
            }
            if client.is_closed() || connection.is_finished() || end == 2 || end == 3 {
                (client, connection) = host.connect().await;
            }
            ends[usize::try_from(end).unwrap()] += 1;
            // A session that was killed may hold its locks for a moment, but shows nothing.
            assert_eq!(host.token(user).await, model.get(&user).cloned(), "round {round}, end {end}");
            assert_eq!(mark(&watcher, user).await, model.get(&user).cloned(), "round {round}, end {end}");
        }
        assert!(ends.iter().all(|count| *count > 100), "{ends:?}");
        let other = Host::at(host.database.clone(), false).await;
        for user in 0..8 {
            assert_eq!(other.token(user).await, host.token(user).await);
        }
        assert!(host.vault.verify().await.unwrap().is_clean());
    });
}

#[test]
fn of_two_transactions_that_add_the_same_value_one_is_refused_at_every_level() {
    run(async {
        let host = Host::new().await;
        for (round, level) in (0..30).map(|round| (round, LEVELS[round % 3])) {
            let user = i64::try_from(round).unwrap();
            let plans = [host.plan_to_set(user, "one").await, host.plan_to_set(user, "two").await];
            let ((mut one, _a), (mut two, _b)) = (host.connect().await, host.connect().await);
            let begin = |client| Client::build_transaction(client).isolation_level(level).start();
            let (first, second) = (begin(&mut one).await.unwrap(), begin(&mut two).await.unwrap());
            // Both have their snapshot before either writes.
            second.query("SELECT FROM users", &[]).await.unwrap();
            host.plans.apply(&first, &plans[0]).await.unwrap();
            let waits = async { host.plans.apply(&second, &plans[1]).await };
            let (committed, refused) = futures_util::future::join(first.commit(), waits).await;
            committed.unwrap();
            let is_refused = match &refused {
                Err(PlanError::Moved(_)) => true,
                Err(PlanError::Store(error)) => error.kind() == StoreErrorKind::Contention,
                _ => false,
            };
            assert!(is_refused, "{refused:?}");
            second.rollback().await.unwrap();
            assert_eq!(host.token(user).await.as_deref(), Some("one"));
        }
        assert!(host.vault.verify().await.unwrap().is_clean());
    });
}

#[test]
fn each_wrong_use_has_its_own_error_and_leaves_nothing() {
    run(async {
        let (host, other) = (Host::new().await, Host::new().await);
        let (mut client, _connection) = host.connect().await;
        let plan = host.plan_to_set(1, "t").await;
        let kind = |refused: &Result<(), PlanError>| match refused {
            Err(PlanError::Store(error)) => Some(error.kind()),
            _ => None,
        };

        let transaction = client.transaction().await.unwrap();
        let foreign = host.plans.apply(&transaction, &other.plan_to_set(1, "t").await).await;
        assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
        host.plans.apply(&transaction, &plan).await.unwrap();
        let twice = host.plans.apply(&transaction, &plan).await;
        assert!(matches!(twice, Err(PlanError::Applied)), "{twice:?}");
        // What the plan wrote is seen inside.
        let rows = "SELECT count(*) FROM strongroom.strongroom_rows";
        let inside: i64 = transaction.query_one(rows, &[]).await.unwrap().get(0);
        transaction.rollback().await.unwrap();
        let outside: i64 = client.query_one(rows, &[]).await.unwrap().get(0);
        assert!(inside > outside, "{inside} rows in the transaction, {outside} without it");

        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("SELECT 1 / 0").await.unwrap_err();
        let aborted = host.plans.apply(&transaction, &plan).await;
        assert!(matches!(aborted, Err(PlanError::Aborted)), "{aborted:?}");
        transaction.rollback().await.unwrap();

        let transaction = client.build_transaction().read_only(true).start().await.unwrap();
        let read_only = host.plans.apply(&transaction, &plan).await;
        assert_eq!(kind(&read_only), Some(StoreErrorKind::Unavailable), "{read_only:?}");
        transaction.rollback().await.unwrap();

        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("SET LOCAL synchronous_commit = off").await.unwrap();
        let unsynced = host.plans.apply(&transaction, &plan).await;
        assert_eq!(kind(&unsynced), Some(StoreErrorKind::Unsupported), "{unsynced:?}");
        transaction.rollback().await.unwrap();

        host.org.rotate_keys().await.unwrap();
        host.org.account("user_1".parse().unwrap()).set_value("TOKEN", "x").await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let moved = host.plans.apply(&transaction, &plan).await;
        assert!(matches!(moved, Err(PlanError::Moved(_))), "{moved:?}");
        transaction.commit().await.unwrap();
        assert_eq!(host.token(1).await.as_deref(), Some("x"));
    });
}

#[test]
fn making_a_plan_writes_nothing_and_an_applied_one_stops_no_other_writer() {
    run(async {
        let host = Host::new().await;
        let (mut client, _connection) = host.connect().await;
        let (watcher, _other) = host.connect().await;
        let written = async || -> String {
            watcher.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap().get(0)
        };
        // The server itself writes to its log at times; what making a plan wrote would be there in every round.
        let mut rounds = 0..5;
        let plan = loop {
            let before = written().await;
            let plan = host.plan_to_set(1, "t").await;
            if written().await == before {
                break plan;
            }
            rounds.next().expect("each time that a plan was made, something was written");
        };
        let transaction = client.transaction().await.unwrap();
        host.plans.apply(&transaction, &plan).await.unwrap();
        // Another account of the same org is written meanwhile.
        host.org.set_value("TOKEN", scope(2), "t").await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(host.token(1).await.as_deref(), Some("t"));
    });
}

#[test]
fn another_driver_applies_a_plan_by_its_statement() {
    run(async {
        let host = Host::new().await;
        let (mut client, _connection) = host.connect().await;
        let (plan, late) = (host.plan_to_set(1, "t").await, host.plan_to_set(1, "late").await);
        let send = async |transaction: &tokio_postgres::Transaction<'_>, plan: &Plan| {
            let statement = host.plans.statement(plan).unwrap();
            let parameters: Vec<(&(dyn ToSql + Sync), Type)> = statement
                .parameters()
                .iter()
                .map(|parameter| match parameter {
                    PlanParameter::ByteaArray(all) => (all as _, Type::BYTEA_ARRAY),
                    PlanParameter::BigintArray(all) => (all as _, Type::INT8_ARRAY),
                    PlanParameter::Bigint(number) => (number as _, Type::INT8),
                    PlanParameter::Bytea(bytes) => (bytes as _, Type::BYTEA),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(!format!("{statement:?} {:?}", statement.parameters()).contains("user_1"));
            let rows = transaction.query_typed(statement.text(), &parameters).await.unwrap();
            let answer: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            statement.outcome(&answer)
        };
        let transaction = client.transaction().await.unwrap();
        send(&transaction, &plan).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(host.token(1).await.as_deref(), Some("t"));
        let transaction = client.transaction().await.unwrap();
        for refused in [send(&transaction, &plan).await, send(&transaction, &late).await] {
            assert!(matches!(refused, Err(PlanError::Moved(_))), "{refused:?}");
        }
        let foreign = send(&transaction, &Host::new().await.plan_to_set(1, "t").await).await;
        assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
        transaction.commit().await.unwrap();
        assert_eq!(host.token(1).await.as_deref(), Some("t"));
    });
}

#[cfg(feature = "sqlx-0_8")]
#[test]
fn a_plan_is_applied_in_a_transaction_of_sqlx() {
    use sqlx_0_8::postgres::PgConnectOptions;
    use sqlx_0_8::{Connection as _, Executor as _, PgConnection};
    run(async {
        let host = Host::new().await;
        let options =
            PgConnectOptions::new_without_pgpass().socket(shared().socket_dir()).username("strongroom");
        let options = options.database(&host.database);
        let mut client = PgConnection::connect_with(&options).await.unwrap();
        let (plan, late) = (host.plan_to_set(1, "t").await, host.plan_to_set(1, "late").await);

        let mut transaction = client.begin().await.unwrap();
        host.plans.apply_in_sqlx(&mut transaction, &plan).await.unwrap();
        assert_eq!(host.token(1).await, None, "nobody else sees it yet");
        transaction.rollback().await.unwrap();
        assert_eq!(host.token(1).await, None);

        let mut transaction = client.begin().await.unwrap();
        transaction.execute("INSERT INTO users VALUES (1, 'm')").await.unwrap();
        host.plans.apply_in_sqlx(&mut transaction, &plan).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(host.token(1).await.as_deref(), Some("t"));

        let mut transaction = client.begin().await.unwrap();
        let again = host.plans.apply_in_sqlx(&mut transaction, &plan).await;
        assert!(matches!(again, Err(PlanError::Applied)), "{again:?}");
        let moved = host.plans.apply_in_sqlx(&mut transaction, &late).await;
        assert!(matches!(moved, Err(PlanError::Moved(_))), "{moved:?}");
        let foreign = Host::new().await.plan_to_set(1, "t").await;
        let foreign = host.plans.apply_in_sqlx(&mut transaction, &foreign).await;
        assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
        // After a refusal the transaction is usable; after an error of the server it is not.
        transaction.execute("INSERT INTO users VALUES (2, 'm')").await.unwrap();
        transaction.execute("SELECT 1 / 0").await.unwrap_err();
        let aborted = host.plans.apply_in_sqlx(&mut transaction, &plan).await;
        assert!(matches!(aborted, Err(PlanError::Aborted)), "{aborted:?}");
        transaction.rollback().await.unwrap();

        client.execute("SET synchronous_commit = off").await.unwrap();
        let plan = host.plan_to_set(3, "t").await;
        let mut transaction = client.begin().await.unwrap();
        let unsure = host.plans.apply_in_sqlx(&mut transaction, &plan).await;
        let kind =
            |error: PlanError| if let PlanError::Store(error) = error { Some(error.kind()) } else { None };
        assert_eq!(unsure.map_err(kind), Err(Some(StoreErrorKind::Unsupported)));
        transaction.execute("SET TRANSACTION READ ONLY").await.unwrap();
        let refused = host.plans.apply_in_sqlx(&mut transaction, &plan).await;
        assert_eq!(refused.map_err(kind), Err(Some(StoreErrorKind::Unavailable)));
    });
}
