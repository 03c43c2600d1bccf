//! redb and LMDB by hand: a key of org, scope and definition, a value sealed by AES-256-GCM-SIV, and no more.

use std::hint::black_box;

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};
use redb::{ReadableDatabase as _, TableDefinition};
use strongroom_benches::Run;
use strongroom_benches::population::{DEFINITIONS, Place, Population, Request, VALUE};
use strongroom_benches::raw::Cipher;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::table::fresh_value;

/// An ordered map on disk, as far as a hand-rolled column needs one.
pub trait Map: Send + 'static {
    /// The values at these keys, in one snapshot.
    fn get(&self, keys: [&[u8]; 3]) -> [Option<Vec<u8>>; 3];

    /// The rows of ranges with these prefixes, in one snapshot: the last byte of each key and the value.
    fn scan(&self, prefixes: [&[u8]; 3], found: &mut dyn FnMut(u8, &[u8]));

    /// Puts rows, durably.
    fn put(&self, rows: &[(Vec<u8>, Vec<u8>)]);
}

/// A population, sealed by hand.
pub struct ByHand<M> {
    pub map: M,
    pub cipher: Cipher,
}

impl<M: Map> ByHand<M> {
    pub fn fill(map: M, population: Population) -> Self {
        let cipher = Cipher::new();
        for org in 0..population.orgs {
            let row =
                |(place, definition)| (key(org, place, Some(definition)), cipher.seal(b"", VALUE.as_bytes()));
            map.put(&population.values().map(row).collect::<Vec<_>>());
        }
        Self { map, cipher }
    }

    pub fn resolves(self, requests: Vec<Request>) -> Run {
        let mut next = 0;
        Run::cpu(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                black_box(requests.get(next).and_then(|request| self.resolve(request)));
            }
        })
    }

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
        let place = Place::Account(number % 16);
        let value = self.cipher.seal(b"", fresh_value().as_bytes());
        self.map.put(&[(key(0, place, Some(20 + number / 16)), value)]);
    }

    fn resolve(&self, request: &Request) -> Option<Zeroizing<Vec<u8>>> {
        let keys = request.places().map(|place| key(request.org, place, Some(request.definition)));
        let found = self.map.get(keys.each_ref().map(Vec::as_slice)).into_iter().flatten().next()?;
        self.cipher.open(b"", &found)
    }

    fn resolve_all(&self, request: &Request) -> Vec<Zeroizing<Vec<u8>>> {
        let prefixes = request.places().map(|place| key(request.org, place, None));
        let mut winners: [Option<Vec<u8>>; DEFINITIONS] = [const { None }; DEFINITIONS];
        // The most specific first: the first row of a definition wins.
        self.map.scan(prefixes.each_ref().map(Vec::as_slice), &mut |definition, value| {
            if let Some(winner @ None) = winners.get_mut(usize::from(definition)) {
                *winner = Some(value.to_vec());
            }
        });
        winners.iter().flatten().filter_map(|value| self.cipher.open(b"", value)).collect()
    }
}

fn key(org: usize, place: Place, definition: Option<usize>) -> Vec<u8> {
    let mut key = format!("6500a1b2c3d4e5f6{org:08x}\0test\0").into_bytes();
    match place {
        Place::Org => key.push(0),
        Place::Account(account) => key.extend_from_slice(format!("\x01user_{account:05}\0").as_bytes()),
        Place::Workflow(workflow) => {
            key.extend_from_slice(format!("\x02workflow_{workflow:05}\0").as_bytes())
        }
    }
    key.extend(definition.map(|definition| definition as u8));
    key
}

/// redb in a file.
pub struct Redb {
    database: redb::Database,
    _directory: TempDir,
}

impl Redb {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let database = redb::Database::create(directory.path().join("values.redb")).expect("a new file");
        Self { database, _directory: directory }
    }
}

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

impl Map for Redb {
    fn get(&self, keys: [&[u8]; 3]) -> [Option<Vec<u8>>; 3] {
        let reading = self.database.begin_read().expect("the file is open");
        let table = reading.open_table(ROWS).expect("the table is there");
        keys.map(|key| table.get(key).expect("the file is whole").map(|value| value.value().to_vec()))
    }

    fn scan(&self, prefixes: [&[u8]; 3], found: &mut dyn FnMut(u8, &[u8])) {
        let reading = self.database.begin_read().expect("the file is open");
        let table = reading.open_table(ROWS).expect("the table is there");
        for prefix in prefixes {
            for row in table.range(prefix..).expect("the file is whole") {
                let (key, value) = row.expect("the file is whole");
                let Some([definition]) = key.value().strip_prefix(prefix) else { break };
                found(*definition, value.value());
            }
        }
    }

    fn put(&self, rows: &[(Vec<u8>, Vec<u8>)]) {
        let writing = self.database.begin_write().expect("the file is open");
        {
            let mut table = writing.open_table(ROWS).expect("the table can be made");
            for (key, value) in rows {
                table.insert(key.as_slice(), value.as_slice()).expect("the disk has room");
            }
        }
        writing.commit().expect("the disk has room");
    }
}

/// LMDB in a file, synced at each commit.
pub struct Lmdb {
    env: Env,
    rows: Database<Bytes, Bytes>,
    _directory: TempDir,
}

impl Lmdb {
    #[allow(unsafe_code, reason = "LMDB maps the file, which nobody may change meanwhile")]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let mut options = EnvOpenOptions::new();
        options.map_size(4 << 30);
        // SAFETY: the directory was just made and is private to this process.
        let env = unsafe { options.open(directory.path()) }.expect("a new file");
        let mut writing = env.write_txn().expect("the file is open");
        let rows = env.create_database(&mut writing, None).expect("a new table");
        writing.commit().expect("the disk has room");
        Self { env, rows, _directory: directory }
    }
}

impl Map for Lmdb {
    fn get(&self, keys: [&[u8]; 3]) -> [Option<Vec<u8>>; 3] {
        let reading = self.env.read_txn().expect("the file is open");
        keys.map(|key| self.rows.get(&reading, key).expect("the file is whole").map(<[u8]>::to_vec))
    }

    fn scan(&self, prefixes: [&[u8]; 3], found: &mut dyn FnMut(u8, &[u8])) {
        let reading = self.env.read_txn().expect("the file is open");
        for prefix in prefixes {
            for row in self.rows.prefix_iter(&reading, prefix).expect("the file is whole") {
                let (key, value) = row.expect("the file is whole");
                if let Some([definition]) = key.strip_prefix(prefix) {
                    found(*definition, value);
                }
            }
        }
    }

    fn put(&self, rows: &[(Vec<u8>, Vec<u8>)]) {
        let mut writing = self.env.write_txn().expect("the file is open");
        for (key, value) in rows {
            self.rows.put(&mut writing, key, value).expect("the map has room");
        }
        writing.commit().expect("the disk has room");
    }
}
