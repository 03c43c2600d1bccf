//! A row of the host's and a secret in one write transaction of redb's: both or neither, whatever happens in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition, TableError, WriteTransaction};
use strongroom::{
    Environment, Error, NewValue, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_redb::{Plans, RedbTableStore};
use strongroom_store::{Plan, PlanError, StoreErrorKind};

/// The host's own table.
const USERS: TableDefinition<'_, u32, &str> = TableDefinition::new("users");

/// A database of a host with its own table, and a vault in it.
struct Host {
    database: Arc<Database>,
    plans: Plans,
    org: Org,
    vault: Vault,
}

impl Host {
    fn new() -> Self {
        Self::on(Database::builder().create_with_backend(InMemoryBackend::new()).unwrap())
    }

    /// Makes the vault, or opens the one that is there.
    fn on(database: Database) -> Self {
        Self::sharing(Arc::new(database))
    }

    fn sharing(database: Arc<Database>) -> Self {
        let open = || RedbTableStore::open(Arc::clone(&database), "secrets").unwrap();
        let store = open();
        let plans = store.plans();
        let key = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = match block_on(Vault::create(store, key())) {
            Ok(vault) => vault,
            Err(_) => block_on(Vault::open(open(), key())).unwrap(),
        };
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        match block_on(org.define(VariableDefinition::new("TOKEN", VarFormat::String))) {
            Ok(_) | Err(Error::DefinitionExists(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        Self { database, plans, org, vault }
    }

    fn begin(&self) -> WriteTransaction {
        self.database.begin_write().unwrap()
    }

    fn plan_to_set(&self, user: u32, token: &str) -> Plan {
        let set = async |org: Org| org.set_value("TOKEN", scope(user), token.to_owned()).await;
        block_on(self.org.plan(set)).unwrap().0
    }

    fn token(&self, user: u32) -> Option<String> {
        let value = block_on(self.org.value("TOKEN", scope(user))).unwrap();
        value.map(|value| value.value.expose().to_owned())
    }

    fn mark(&self, user: u32) -> Option<String> {
        match self.database.begin_read().unwrap().open_table(USERS) {
            Err(TableError::TableDoesNotExist(_)) => None,
            table => table.unwrap().get(user).unwrap().map(|mark| mark.value().to_owned()),
        }
    }
}

fn put_mark(transaction: &WriteTransaction, user: u32, mark: &str) {
    transaction.open_table(USERS).unwrap().insert(user, mark).unwrap();
}

fn scope(user: u32) -> Scope {
    Scope::LinkedAccount(format!("user_{user}").parse().unwrap())
}

#[test]
fn a_thousand_random_ends_leave_row_and_secret_both_or_neither_and_no_cache_wrong() {
    let host = Host::new();
    let mut model: BTreeMap<u32, String> = BTreeMap::new();
    let mut random = 7_u64;
    let mut ends = [0; 5];
    for round in 0..1_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (user, end) = (u32::try_from(random >> 33).unwrap() % 8, (random >> 40) % 5);
        let text = format!("t{round}");
        let plan = host.plan_to_set(user, &text);
        if end == 4 {
            // Another writer comes first: the secret is its own, and the host's row is written by the second try.
            block_on(host.org.set_value("TOKEN", scope(user), "others")).unwrap();
        }
        let mut transaction = host.begin();
        put_mark(&transaction, user, &text);
        let applied = host.plans.apply(&mut transaction, &plan);
        match end {
            0 => {
                applied.unwrap();
                // What the transaction wrote is seen inside it, and by nobody else.
                let again = host.plans.apply(&mut transaction, &plan);
                assert!(matches!(again, Err(PlanError::Applied)), "{again:?}");
                assert_eq!(host.token(user), model.get(&user).cloned());
                transaction.abort().unwrap();
            }
            1 | 2 => {
                applied.unwrap();
                transaction.commit().unwrap();
                model.insert(user, text.clone());
                if end == 2 {
                    // The host never heard of the commit, and applies the plan once more.
                    let again = host.plans.apply(&mut host.begin(), &plan);
                    assert!(matches!(again, Err(PlanError::Applied)), "{again:?}");
                }
            }
            3 => {
                applied.unwrap();
                drop(transaction);
            }
            _ => {
                assert!(matches!(applied, Err(PlanError::Moved(_))), "{applied:?}");
                transaction.abort().unwrap();
                let plan = host.plan_to_set(user, &text);
                let mut transaction = host.begin();
                put_mark(&transaction, user, &text);
                host.plans.apply(&mut transaction, &plan).unwrap();
                transaction.commit().unwrap();
                model.insert(user, text);
            }
        }
        ends[usize::try_from(end).unwrap()] += 1;
        assert_eq!(host.token(user), model.get(&user).cloned(), "round {round}, end {end}");
        assert_eq!(host.mark(user), model.get(&user).cloned(), "round {round}, end {end}");
    }
    assert!(ends.iter().all(|count| *count > 100), "{ends:?}");
    let other = Host::sharing(Arc::clone(&host.database));
    for user in 0..8 {
        assert_eq!(other.token(user), host.token(user));
    }
    assert!(block_on(host.vault.verify()).unwrap().is_clean());
}

/// Counts syncs, and how often the file grows or shrinks.
#[derive(Debug, Default)]
struct Counting(InMemoryBackend, Arc<AtomicU64>, Arc<AtomicU64>);

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[test]
fn a_plan_costs_no_transaction_and_no_sync_of_its_own() {
    let backend = Counting::default();
    let (syncs, growths) = (Arc::clone(&backend.1), Arc::clone(&backend.2));
    let host = Host::on(Database::builder().create_with_backend(backend).unwrap());
    let many: Vec<_> = (0..50).map(|user| NewValue::new("TOKEN", scope(user), "t")).collect();
    let mut compared = 0;
    for _ in 0..20 {
        let before = growths.load(Ordering::Relaxed);
        let start = syncs.load(Ordering::Relaxed);
        let set = async |org: Org| org.set_values(&many).await;
        let (plan, _) = block_on(host.org.plan(set)).unwrap();
        let planned = syncs.load(Ordering::Relaxed);
        let transaction = host.begin();
        put_mark(&transaction, 1, "alone");
        transaction.commit().unwrap();
        let alone = syncs.load(Ordering::Relaxed);
        let mut transaction = host.begin();
        put_mark(&transaction, 1, "both");
        host.plans.apply(&mut transaction, &plan).unwrap();
        transaction.commit().unwrap();
        let both = syncs.load(Ordering::Relaxed);
        // A file that grows is synced for that.
        if growths.load(Ordering::Relaxed) == before {
            assert_eq!((planned - start, alone - planned, both - alone), (0, 1, 1));
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
    assert_eq!(host.token(49).as_deref(), Some("t"));
}

#[test]
fn a_transaction_that_was_not_to_be_durable_is_when_it_holds_a_plan() {
    let backend = Counting::default();
    let count = Arc::clone(&backend.1);
    let host = Host::on(Database::builder().create_with_backend(backend).unwrap());
    let plan = host.plan_to_set(1, "t");
    let mut transaction = host.begin();
    transaction.set_durability(redb::Durability::None).unwrap();
    host.plans.apply(&mut transaction, &plan).unwrap();
    let before = count.load(Ordering::Relaxed);
    transaction.commit().unwrap();
    assert_eq!(count.load(Ordering::Relaxed) - before, 1);
}

#[test]
fn each_wrong_use_has_its_own_error_and_leaves_nothing() {
    let host = Host::new();
    let other = Host::new();
    let plan = host.plan_to_set(1, "t");

    let mut transaction = host.begin();
    let foreign = host.plans.apply(&mut transaction, &other.plan_to_set(1, "t"));
    assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
    host.plans.apply(&mut transaction, &plan).unwrap();
    let twice = host.plans.apply(&mut transaction, &plan);
    assert!(matches!(twice, Err(PlanError::Applied)), "{twice:?}");
    transaction.abort().unwrap();
    assert_eq!(host.token(1), None);

    // A database without the table: none is made.
    let elsewhere = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let mut transaction = elsewhere.begin_write().unwrap();
    let foreign = host.plans.apply(&mut transaction, &plan);
    assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");
    assert_eq!(transaction.list_tables().unwrap().count(), 0);
    transaction.abort().unwrap();

    // A table of that name which is of other types.
    let transaction = elsewhere.begin_write().unwrap();
    drop(transaction.open_table(TableDefinition::<u32, u32>::new("secrets")).unwrap());
    transaction.commit().unwrap();
    let foreign = host.plans.apply(&mut elsewhere.begin_write().unwrap(), &plan);
    assert!(matches!(foreign, Err(PlanError::AnotherVault)), "{foreign:?}");

    block_on(host.org.set_value("TOKEN", scope(1), "before")).unwrap();
    let plan = host.plan_to_set(1, "planned");
    block_on(host.org.account("user_1".parse().unwrap()).rotate_keys()).unwrap();
    let mut transaction = host.begin();
    let moved = host.plans.apply(&mut transaction, &plan);
    assert!(matches!(moved, Err(PlanError::Moved("keyring"))), "{moved:?}");
    // The transaction is still usable, and nothing of the plan is in it.
    put_mark(&transaction, 1, "on");
    transaction.commit().unwrap();
    assert_eq!((host.token(1).as_deref(), host.mark(1).as_deref()), (Some("before"), Some("on")));

    let set = async |org: Org| org.set_value("NONE", Scope::Org, "x").await;
    assert!(matches!(block_on(host.org.plan(set)), Err(Error::DefinitionNotFound(_))));
}

/// A disk that is full from some moment on.
#[derive(Debug, Default)]
struct Filling(InMemoryBackend, Arc<AtomicU64>);

impl StorageBackend for Filling {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.1.load(Ordering::Relaxed) > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[test]
fn a_host_commit_that_fails_shows_nothing_and_ends_the_writes_of_the_store() {
    let backend = Filling::default();
    let is_full = Arc::clone(&backend.1);
    let host = Host::on(Database::builder().create_with_backend(backend).unwrap());
    let plan = host.plan_to_set(1, "t");
    let mut transaction = host.begin();
    host.plans.apply(&mut transaction, &plan).unwrap();
    is_full.store(1, Ordering::Relaxed);
    transaction.commit().unwrap_err();
    // The disk has room again, but what it holds is not known: redb and the store refuse to write on.
    is_full.store(0, Ordering::Relaxed);
    assert!(host.database.begin_write().is_err());
    let failed = block_on(host.org.set_value("TOKEN", scope(2), "t")).unwrap_err();
    assert!(matches!(&failed, Error::Store(error) if error.kind() == StoreErrorKind::Poisoned), "{failed:?}");
    assert!(block_on(host.org.value("TOKEN", scope(1))).is_err());
}

/// Not a rule: the process that the next one kills. It sets the token and the mark of users in turn to the same text.
#[test]
fn host_process() {
    let Ok(path) = std::env::var("STRONGROOM_HOST_FILE") else { return };
    let host = Host::on(Database::create(path).unwrap());
    for round in 0.. {
        let (user, text) = (round % 8, format!("p{}-{round}", std::process::id()));
        let plan = host.plan_to_set(user, &text);
        let mut transaction = host.begin();
        put_mark(&transaction, user, &text);
        host.plans.apply(&mut transaction, &plan).unwrap();
        transaction.commit().unwrap();
        println!("committed {user} {text}");
        io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_host_keeps_row_and_secret_both_or_neither() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.redb");
    for kill_after in (0..20).map(|round| 1 + round * 3) {
        let told = committed_until(&mut host_process_on(&path), kill_after);
        let host = Host::on(Database::create(&path).unwrap());
        for user in 0..8 {
            assert_eq!(host.token(user), host.mark(user), "after {kill_after}");
        }
        // What was told last of each user, or what the process committed after.
        assert!(
            told.iter().all(|(user, text)| number(&host.mark(*user).unwrap()) >= number(text)),
            "{told:?}"
        );
        assert!(block_on(host.vault.verify()).unwrap().is_clean());
    }
}

fn host_process_on(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host_process", "--nocapture"])
        .env("STRONGROOM_HOST_FILE", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
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
