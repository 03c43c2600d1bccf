//! A row of the host's and a secret in one transaction: both or neither, whatever happens in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_executor::block_on;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use strongroom::{
    Environment, Error, NewValue, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_sqlite::{Plans, SqliteStore};
use strongroom_store::{Durability, Key, Plan, PlanError, StoreErrorKind, WriteBatch};
use tempfile::TempDir;

/// A file of a host with its own table, and a vault in it.
struct Host {
    path: PathBuf,
    plans: Plans,
    org: Org,
    vault: Vault,
    connection: Connection,
}

impl Host {
    fn new() -> (TempDir, Self) {
        let directory = tempfile::tempdir().unwrap();
        let host = Self::at(&directory.path().join("app.db"));
        host.connection.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, mark TEXT)").unwrap();
        block_on(host.org.define(VariableDefinition::new("TOKEN", VarFormat::String))).unwrap();
        (directory, host)
    }

    /// Makes the vault, or opens the one that is there.
    fn at(path: &Path) -> Self {
        let store = SqliteStore::open(path).unwrap();
        let plans = store.plans();
        let key = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = match block_on(Vault::create(store, key())) {
            Ok(vault) => vault,
            Err(_) => block_on(Vault::open(SqliteStore::open(path).unwrap(), key())).unwrap(),
        };
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        Self { path: path.to_owned(), plans, org, vault, connection }
    }

    fn plan_to_set(&self, user: u32, token: &str) -> Plan {
        let set = async |org: Org| org.set_value("TOKEN", scope(user), token.to_owned()).await;
        block_on(self.org.plan(set)).unwrap().0
    }

    fn token(&self, user: u32) -> Option<String> {
        token_of(&self.org, user)
    }

    fn mark(&self, user: u32) -> Option<String> {
        mark_in(&self.connection, user)
    }
}

fn token_of(org: &Org, user: u32) -> Option<String> {
    block_on(org.value("TOKEN", scope(user))).unwrap().map(|value| value.value.expose().to_owned())
}

fn mark_in(connection: &Connection, user: u32) -> Option<String> {
    let query = "SELECT mark FROM users WHERE id = ?1";
    connection.query_row(query, [user], |row| row.get(0)).optional().unwrap()
}

fn scope(user: u32) -> Scope {
    Scope::LinkedAccount(format!("user_{user}").parse().unwrap())
}

const PUT_ROW: &str = "INSERT OR REPLACE INTO users VALUES (?1, ?2)";

#[test]
fn a_thousand_random_ends_leave_row_and_secret_both_or_neither_and_no_cache_wrong() {
    let (_directory, mut host) = Host::new();
    let mut model: BTreeMap<u32, String> = BTreeMap::new();
    let mut random = 7_u64;
    let mut ends = [0; 5];
    for round in 0..1_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (user, end) = (u32::try_from(random >> 33).unwrap() % 8, (random >> 40) % 5);
        let text = format!("t{round}");
        let mut plan = host.plan_to_set(user, &text);
        let is_moved = end == 4;
        if is_moved {
            // Another writer comes first: the secret is its own, and the host's row is written by the second try.
            block_on(host.org.set_value("TOKEN", scope(user), "others")).unwrap();
        }
        let behavior = TransactionBehavior::Immediate;
        let transaction = host.connection.transaction_with_behavior(behavior).unwrap();
        transaction.execute(PUT_ROW, (user, &text)).unwrap();
        let applied = host.plans.apply(&transaction, &plan);
        match end {
            0 => {
                applied.unwrap();
                // What the transaction wrote is seen inside it, and by nobody else.
                assert_eq!(mark_in(&transaction, user).as_deref(), Some(text.as_str()));
                assert_eq!(token_of(&host.org, user), model.get(&user).cloned());
                transaction.rollback().unwrap();
            }
            1 | 2 => {
                applied.unwrap();
                transaction.commit().unwrap();
                model.insert(user, text.clone());
                if end == 2 {
                    // The host never heard of the commit, and applies the plan once more.
                    let again = host.connection.transaction_with_behavior(behavior).unwrap();
                    assert!(matches!(host.plans.apply(&again, &plan), Err(PlanError::Applied)));
                }
            }
            3 => {
                applied.unwrap();
                // As when the process is killed: the connection goes with its transaction.
                drop(transaction);
                host.connection = Connection::open(&host.path).unwrap();
                host.connection.pragma_update(None, "synchronous", "FULL").unwrap();
            }
            _ => {
                assert!(matches!(applied, Err(PlanError::Moved(_))), "{applied:?}");
                transaction.rollback().unwrap();
                plan = host.plan_to_set(user, &text);
                let transaction = host.connection.transaction_with_behavior(behavior).unwrap();
                transaction.execute(PUT_ROW, (user, &text)).unwrap();
                host.plans.apply(&transaction, &plan).unwrap();
                transaction.commit().unwrap();
                model.insert(user, text);
            }
        }
        ends[usize::try_from(end).unwrap()] += 1;
        assert_eq!(host.token(user), model.get(&user).cloned(), "round {round}, end {end}");
        assert_eq!(host.mark(user), model.get(&user).cloned(), "round {round}, end {end}");
    }
    assert!(ends.iter().all(|count| *count > 100), "{ends:?}");
    let other = Host::at(&host.path);
    for user in 0..8 {
        assert_eq!(other.token(user), host.token(user));
    }
    assert!(block_on(host.vault.verify()).unwrap().is_clean());
}

#[test]
fn a_plan_costs_the_store_no_transaction_and_no_sync() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let store = std::sync::Arc::new(SqliteStore::open(&path).unwrap());
    let plans = store.plans();
    let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = block_on(Vault::create(std::sync::Arc::clone(&store), key)).unwrap();
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
    block_on(org.define(VariableDefinition::new("TOKEN", VarFormat::String))).unwrap();
    let commits = |connection: &Connection| -> u64 {
        connection.query_row("SELECT revision FROM strongroom_meta", [], |row| row.get(0)).unwrap()
    };
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let frames = || std::fs::metadata(path.with_extension("db-wal")).map_or(0, |file| file.len());
    let before = (commits(&connection), format!("{store:?}"), frames());
    let set = async |org: Org| {
        let many: Vec<_> = (0..50).map(|user| NewValue::new("TOKEN", scope(user), "t")).collect();
        org.set_values(&many).await
    };
    let (plan, _) = block_on(org.plan(set)).unwrap();
    assert_eq!((commits(&connection), format!("{store:?}"), frames()), before, "the plan was written");
    let transaction = connection.transaction().unwrap();
    plans.apply(&transaction, &plan).unwrap();
    transaction.commit().unwrap();
    // One batch more, in the host's one transaction; the store's own thread wrote nothing.
    assert_eq!((commits(&connection), format!("{store:?}")), (before.0 + 1, before.1));
}

#[test]
fn each_wrong_use_has_its_own_error_and_leaves_nothing() {
    let (_directory, mut host) = Host::new();
    let (_elsewhere, other) = Host::new();
    let plan = host.plan_to_set(1, "t");

    let transaction = host.connection.transaction().unwrap();
    let foreign = host.plans.apply(&transaction, &other.plan_to_set(1, "t"));
    assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
    host.plans.apply(&transaction, &plan).unwrap();
    let twice = host.plans.apply(&transaction, &plan);
    assert!(matches!(twice, Err(PlanError::Applied)), "{twice:?}");
    // SQLite rolls a transaction back by itself too; the handle knows nothing of it.
    transaction.execute_batch("ROLLBACK").unwrap();
    let over = host.plans.apply(&transaction, &plan);
    assert!(matches!(over, Err(PlanError::Aborted)), "{over:?}");
    drop(transaction);

    let unsupported = |applied: Result<(), PlanError>| match applied {
        Err(PlanError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}"),
        other => panic!("{other:?}"),
    };
    for (pragma, wrong, right) in [("synchronous", 1, 2), ("read_uncommitted", 1, 0)] {
        host.connection.pragma_update(None, pragma, wrong).unwrap();
        unsupported(host.plans.apply(&host.connection.transaction().unwrap(), &plan));
        host.connection.pragma_update(None, pragma, right).unwrap();
    }

    // A transaction that read before another wrote can no longer write.
    let transaction = host.connection.transaction().unwrap();
    assert_eq!(mark_in(&transaction, 1), None);
    block_on(host.org.set_value("TOKEN", scope(2), "t")).unwrap();
    let stale = host.plans.apply(&transaction, &plan);
    let is_contention = |error: &strongroom_store::StoreError| error.kind() == StoreErrorKind::Contention;
    assert!(matches!(&stale, Err(PlanError::Store(error)) if is_contention(error)), "{stale:?}");
    transaction.rollback().unwrap();

    block_on(host.org.set_value("TOKEN", scope(1), "before")).unwrap();
    let plan = host.plan_to_set(1, "planned");
    block_on(host.org.account("user_1".parse().unwrap()).rotate_keys()).unwrap();
    let transaction = host.connection.transaction().unwrap();
    let moved = host.plans.apply(&transaction, &plan);
    assert!(matches!(moved, Err(PlanError::Moved("keyring"))), "{moved:?}");
    transaction.rollback().unwrap();
    let plan = host.plan_to_set(1, "t");
    let transaction = host.connection.transaction().unwrap();
    host.plans.apply(&transaction, &plan).unwrap();
    transaction.commit().unwrap();
    assert_eq!(host.token(1).as_deref(), Some("t"));
}

#[test]
fn a_store_that_waits_for_no_sync_takes_no_connection_that_leaves_syncs_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let store = SqliteStore::open_with(&path, "secrets", Durability::ProcessCrash).unwrap();
    let header = (Key::from(b"header".as_slice()), b"h".to_vec());
    let (plans, plan) = (store.plans(), Plan::new(WriteBatch::default(), header, Vec::new()));
    let mut connection = Connection::open(&path).unwrap();
    let mut applied = |synchronous: &str| {
        connection.pragma_update(None, "synchronous", synchronous).unwrap();
        let transaction = connection.transaction().unwrap();
        plans.apply(&transaction, &plan)
    };
    let as_the_store = applied("NORMAL");
    // It goes as far as the row that no vault has put there.
    assert!(matches!(as_the_store, Err(PlanError::AnotherVault)), "{as_the_store:?}");
    let Err(PlanError::Store(refused)) = applied("OFF") else { panic!("a connection without syncs") };
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
}

#[test]
fn a_plan_is_for_the_main_file_of_a_connection_and_for_no_attached_or_other_one() {
    let (directory, host) = Host::new();
    let plan = host.plan_to_set(1, "t");
    let mut beside = Connection::open(directory.path().join("users.db")).unwrap();
    beside.pragma_update(None, "synchronous", "FULL").unwrap();
    for attach in [None, Some("ATTACH ?1 AS vault")] {
        if let Some(attach) = attach {
            beside.execute(attach, [host.path.to_str()]).unwrap();
        }
        let transaction = beside.transaction().unwrap();
        let refused = host.plans.apply(&transaction, &plan);
        assert!(matches!(refused, Err(PlanError::AnotherVault)), "{refused:?}");
        transaction.commit().unwrap();
    }
    assert_eq!(host.token(1), None);
}

#[test]
fn a_plan_that_fails_in_the_middle_leaves_a_transaction_that_may_go_on() {
    let (_directory, mut host) = Host::new();
    let plan = host.plan_to_set(1, "t");
    // The second put of a plan fails.
    let fail = "CREATE TRIGGER fails BEFORE INSERT ON strongroom_rows \
                WHEN (SELECT count(*) FROM users WHERE id = 99) = 1 AND (SELECT revision FROM strongroom_meta) >= 0 \
                AND length(new.k) > 40 BEGIN SELECT RAISE(ABORT, 'full'); END";
    host.connection.execute_batch(fail).unwrap();
    let rows = |connection: &Connection| -> u64 {
        connection.query_row("SELECT count(*) FROM strongroom_rows", [], |row| row.get(0)).unwrap()
    };
    let before = rows(&host.connection);
    let transaction = host.connection.transaction().unwrap();
    transaction.execute(PUT_ROW, (99, "x")).unwrap();
    let failed = host.plans.apply(&transaction, &plan);
    assert!(matches!(failed, Err(PlanError::Store(_))), "{failed:?}");
    transaction.commit().unwrap();
    assert_eq!((rows(&host.connection), host.mark(99).as_deref()), (before, Some("x")));
}

/// Not a rule: the process that the next one kills. It sets the token and the mark of users in turn to the same text.
#[test]
fn host_process() {
    let Ok(path) = std::env::var("STRONGROOM_HOST_FILE") else { return };
    let mut host = Host::at(Path::new(&path));
    for round in 0.. {
        let (user, text) = (round % 8, format!("p{}-{round}", std::process::id()));
        let plan = host.plan_to_set(user, &text);
        let transaction = host.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        transaction.execute(PUT_ROW, (user, &text)).unwrap();
        host.plans.apply(&transaction, &plan).unwrap();
        transaction.commit().unwrap();
        println!("committed {user} {text}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_host_keeps_row_and_secret_both_or_neither() {
    let (_directory, host) = Host::new();
    for kill_after in (0..20).map(|round| 1 + round * 3) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host_process", "--nocapture"])
            .env("STRONGROOM_HOST_FILE", &host.path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = committed_until(&mut child, kill_after);
        for user in 0..8 {
            assert_eq!(host.token(user), host.mark(user), "after {kill_after}");
        }
        // What was told last of each user, or what the process committed after.
        assert!(
            told.iter().all(|(user, text)| number(&host.mark(*user).unwrap()) >= number(text)),
            "{told:?}"
        );
    }
    assert!(block_on(host.vault.verify()).unwrap().is_clean());
}

fn number(text: &str) -> u32 {
    text.rsplit('-').next().unwrap().parse().unwrap()
}

/// What a process told that it committed until it was killed, which was after so many lines.
fn committed_until(child: &mut Child, lines: usize) -> BTreeMap<u32, String> {
    let mut told = BTreeMap::new();
    let output = BufReader::new(child.stdout.take().unwrap());
    for line in output.lines().map_while(Result::ok) {
        let Some((_, line)) = line.split_once("committed ") else { continue };
        let (user, text) = line.split_once(' ').unwrap();
        told.insert(user.parse().unwrap(), text.to_owned());
        if told.values().map(|text| number(text) as usize + 1).max() == Some(lines) {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    told
}

#[test]
fn an_error_of_the_verb_is_the_error_of_the_plan() {
    let (_directory, host) = Host::new();
    let set = async |org: Org| org.set_value("NONE", Scope::Org, "x").await;
    assert!(matches!(block_on(host.org.plan(set)), Err(Error::DefinitionNotFound(_))));
}
