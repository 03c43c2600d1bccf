//! The reads beside what is often done instead: SQLCipher, and SQLite with a column sealed by AES-256-GCM-SIV.
//!
//! Both are one library, SQLCipher's build of SQLite, with and without a key. One statement a read, prepared once, by
//! the primary key; a file in WAL mode with a page cache that holds all of it. SQLCipher's page cache is plaintext.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;

use rusqlite::{Connection, params};
use strongroom::Store;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::memory::{asked, resolves, resolves_all};
use crate::population::{Place, Population, Request, VALUE};
use crate::raw::Cipher;
use crate::vault::Filled;
use crate::{Run, Work};

/// Resolve of one and of 50, memory and redb, beside each of the two.
#[must_use]
pub fn works() -> Vec<Work> {
    let population = Population::of_values(100_000);
    let mut works = beside("memory", &Filled::new(MemoryStore::new(), population), [0.5, 1.2], [None, None]);
    let redb = RedbStore::temporary().expect("there is room for temporary files");
    works.extend(beside(
        "redb",
        &Filled::new(redb, population),
        [1.0 / 1.3; 2],
        [Some(1.0 / 1.3), Some(1.0)],
    ));
    // Redb's bar beside SQLCipher is about one value alone.
    works.iter_mut().filter(|work| work.name.starts_with("redb: resolve all of 50 beside SQLC")).for_each(
        |work| {
            work.bar = None;
        },
    );
    works
}

/// Reads of `filled` beside both, with the bars of one and of 50 beside SQLCipher, then beside the sealed column.
fn beside<S: Store>(
    store: &str,
    filled: &Filled<S>,
    cipher_bars: [f64; 2],
    column_bars: [Option<f64>; 2],
) -> Vec<Work> {
    let [one_bar, all_bar] = cipher_bars.map(Some);
    let kinds = [
        ("SQLCipher", Table::ciphered as fn(Population) -> Table, [one_bar, all_bar]),
        ("SQLite with a sealed column", Table::with_sealed_column, column_bars),
    ];
    let mut works = Vec::new();
    for (name, open, bars) in kinds {
        let requests = filled.population.requests();
        let floors = [Table::resolves, Table::resolves_all];
        let ours = [resolves(asked(filled, &requests)), resolves_all(asked(filled, &requests))];
        let labels = ["resolve one", "resolve all of 50"];
        for (((label, ours), floor), bar) in labels.into_iter().zip(ours).zip(floors).zip(bars) {
            let floor = floor(open(filled.population), requests.clone());
            let mut work = Work::new(format!("{store}: {label} beside {name}"), ours, name, floor);
            work.bar = bar;
            works.push(work);
        }
    }
    works
}

/// A population in one table.
struct Table {
    connection: Connection,
    /// Seals the column, where SQLCipher does not seal the file.
    cipher: Option<Cipher>,
    _directory: TempDir,
}

impl Table {
    fn ciphered(population: Population) -> Self {
        Self::fill(population, None)
    }

    fn with_sealed_column(population: Population) -> Self {
        Self::fill(population, Some(Cipher::new()))
    }

    fn fill(population: Population, cipher: Option<Cipher>) -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let connection = Connection::open(directory.path().join("values.db")).expect("a new file");
        if cipher.is_none() {
            let key = format!("x'{}'", "07".repeat(32));
            connection.pragma_update(None, "key", key).expect("a raw key");
        }
        connection.execute_batch(SCHEMA).expect("a valid schema");
        connection.execute_batch("BEGIN").expect("no transaction is open");
        for org in 0..population.orgs {
            for (place, definition) in population.values() {
                let value = match &cipher {
                    Some(cipher) => cipher.seal(b"", VALUE.as_bytes()),
                    None => VALUE.as_bytes().to_vec(),
                };
                let insert = "INSERT INTO scoped_values VALUES (?1, ?2, ?3, ?4)";
                let mut insert = connection.prepare_cached(insert).expect("a valid statement");
                let row = params![org_text(org), scope_text(place), definition as i64, value];
                insert.execute(row).expect("a new row");
            }
        }
        connection.execute_batch("COMMIT").expect("the disk has room");
        Self { connection, cipher, _directory: directory }
    }

    fn resolves(self, requests: Vec<Request>) -> Run {
        let mut next = 0;
        Run::cpu(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                black_box(requests.get(next).and_then(|request| self.resolve(request)));
            }
        })
    }

    fn resolves_all(self, requests: Vec<Request>) -> Run {
        let mut next = 0;
        Run::cpu(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                black_box(requests.get(next).map(|request| self.resolve_all(request).len()));
            }
        })
    }

    fn resolve(&self, request: &Request) -> Option<Zeroizing<Vec<u8>>> {
        let mut one = self.connection.prepare_cached(RESOLVE_ONE).expect("a valid statement");
        let [workflow, account, org] = request.places().map(scope_text);
        let wanted = params![org_text(request.org), workflow, account, org, request.definition as i64];
        let value: Vec<u8> = one.query_row(wanted, |row| row.get(0)).ok()?;
        self.open(value)
    }

    fn resolve_all(&self, request: &Request) -> Vec<Zeroizing<Vec<u8>>> {
        let mut all = self.connection.prepare_cached(RESOLVE_ALL).expect("a valid statement");
        let [workflow, account, org] = request.places().map(scope_text);
        let mut rows = all.query(params![org_text(request.org), workflow, account, org]).expect("it runs");
        // Least specific first, so that the last row of a definition wins.
        let mut winners: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        while let Some(row) = rows.next().expect("the file is whole") {
            winners.insert(row.get(0).expect("a number"), row.get(1).expect("bytes"));
        }
        winners.into_values().filter_map(|value| self.open(value)).collect()
    }

    fn open(&self, value: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        match &self.cipher {
            Some(cipher) => cipher.open(b"", &value),
            None => Some(Zeroizing::new(value)),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

fn org_text(org: usize) -> String {
    format!("6500a1b2c3d4e5f6{org:08x}")
}

/// A scope's kind before its id: the more specific a scope, the later it stands.
fn scope_text(place: Place) -> String {
    match place {
        Place::Org => "0".to_owned(),
        Place::Account(account) => format!("1user_{account}"),
        Place::Workflow(workflow) => format!("2workflow_{workflow}"),
    }
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -262144;
    CREATE TABLE scoped_values (
        org TEXT NOT NULL, scope TEXT NOT NULL, definition INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (org, scope, definition)
    ) WITHOUT ROWID;";

const RESOLVE_ONE: &str = "
    SELECT value FROM scoped_values
    WHERE org = ?1 AND scope IN (?2, ?3, ?4) AND definition = ?5 ORDER BY scope DESC LIMIT 1";

const RESOLVE_ALL: &str = "
    SELECT definition, value FROM scoped_values
    WHERE org = ?1 AND scope IN (?2, ?3, ?4) ORDER BY scope";
