//! SQLCipher, and SQLite with a column sealed by AES-256-GCM-SIV.
//!
//! Both are one library, SQLCipher's build of SQLite, with and without a key. One prepared statement by the primary key;
//! a file in WAL mode with a page cache that holds all of it. SQLCipher's page cache is plaintext.

use std::collections::BTreeMap;
use std::hint::black_box;

use rusqlite::{Connection, params};
use strongroom_benches::Run;
use strongroom_benches::population::{Place, Population, Request, VALUE};
use strongroom_benches::raw::Cipher;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::table::fresh_value;

/// A population in one table.
pub struct SqlTable {
    connection: Connection,
    /// Seals the column, where SQLCipher does not seal the file.
    cipher: Option<Cipher>,
    _directory: TempDir,
}

impl SqlTable {
    pub fn ciphered(population: Population) -> Self {
        Self::fill(population, None)
    }

    pub fn with_sealed_column(population: Population) -> Self {
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

    /// One definition after another.
    pub fn resolves(self, requests: Vec<Request>) -> Run {
        let mut next = 0;
        Run::cpu(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                black_box(requests.get(next).and_then(|request| self.resolve(request)));
            }
        })
    }

    /// All that one run after another sees.
    pub fn resolves_all(self, requests: Vec<Request>) -> Run {
        let mut next = 0;
        Run::cpu(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                black_box(requests.get(next).map(|request| self.resolve_all(request).len()));
            }
        })
    }

    /// Updates one value, durably.
    pub fn set(&self, number: usize) {
        let value = fresh_value().into_bytes();
        let value = match &self.cipher {
            Some(cipher) => cipher.seal(b"", &value),
            None => value,
        };
        let upsert = "INSERT INTO scoped_values VALUES (?1, ?2, ?3, ?4)
                      ON CONFLICT (org, scope, definition) DO UPDATE SET value = excluded.value";
        let mut upsert = self.connection.prepare_cached(upsert).expect("a valid statement");
        let row =
            params![org_text(0), scope_text(Place::Account(number % 16)), (20 + number / 16) as i64, value];
        upsert.execute(row).expect("the disk has room");
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
