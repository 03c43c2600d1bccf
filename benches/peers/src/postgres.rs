//! PostgreSQL: the store, a column sealed by the application, and pgcrypto.

use std::hint::black_box;

use strongroom::Scope;
use strongroom_benches::Run;
use strongroom_benches::memory::{asked, resolves, resolves_all};
use strongroom_benches::population::{Place, Population, Request, VALUE};
use strongroom_benches::raw::Cipher;
use strongroom_benches::vault::Filled;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::table::{Chart, Table, fresh_value, measure};

// The server of the backend's own tests.
#[path = "../../../crates/strongroom-postgres/tests/cluster/mod.rs"]
mod cluster;

pub fn tables() -> Vec<Table> {
    let server = cluster::shared();
    let population = Population::of_values(20_000);
    let requests = population.requests();
    let database = server.database();
    let filled = Filled::new(server.open(&database), population);
    server.run(&database, "VACUUM ANALYZE");
    let org = filled.orgs.first().expect("there is an org").clone();
    let set = Run::wall(move |n| {
        for _ in 0..n {
            let set = org.set_value("VARIABLE_000", Scope::Org, VALUE);
            futures_executor::block_on(set).expect("the value is valid");
        }
    });
    let reads = || asked(&filled, &requests);
    let mut lines = vec![(
        "strongroom, postgres".to_owned(),
        vec![Some(resolves(reads()).by_the_wall()), Some(resolves_all(reads()).by_the_wall()), Some(set)],
    )];
    let address = server.address(&database);
    for (name, sealing) in
        [("sealed by the application", Sealing::Application), ("pgcrypto", Sealing::Pgcrypto)]
    {
        Column::connect(&address, sealing).fill(population);
        let column = || Column::connect(&address, sealing);
        let runs = [column().one(requests.clone()), column().all(requests.clone()), column().set()];
        lines.push((name.to_owned(), runs.map(Some).into()));
    }
    vec![Table {
        title: "PostgreSQL",
        note: "20,600 values, a server of its own on this machine by a Unix socket, synced at each commit. Wall clock, \
               medians of 31 turns. Each is one prepared statement, but for a set of strongroom, which reads before it \
               writes. pgcrypto is `pgp_sym_encrypt` with AES-256 and no key stretching.",
        file: "postgres",
        chart: Chart::Nanoseconds,
        columns: ["resolve one", "resolve 50", "set"].map(str::to_owned).into(),
        lines: measure(lines, 31),
    }]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sealing {
    Application,
    Pgcrypto,
}

/// A table with a sealed column.
struct Column {
    runtime: Runtime,
    client: Client,
    cipher: Cipher,
    sealing: Sealing,
}

impl Column {
    fn connect(address: &str, sealing: Sealing) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is there");
        let client = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(address, NoTls).await.expect("the server runs");
            tokio::spawn(connection);
            client
        });
        Self { runtime, client, cipher: Cipher::new(), sealing }
    }

    fn table(&self) -> &'static str {
        match self.sealing {
            Sealing::Application => "by_application",
            Sealing::Pgcrypto => "by_pgcrypto",
        }
    }

    /// How a value is read and how parameter 4 is written.
    fn codec(&self) -> [&'static str; 2] {
        match self.sealing {
            Sealing::Application => ["value", "$4"],
            Sealing::Pgcrypto => [
                "pgp_sym_decrypt_bytea(value, 'a key of the application')",
                "pgp_sym_encrypt_bytea($4, 'a key of the application', 'cipher-algo=aes256, s2k-mode=0')",
            ],
        }
    }

    fn fill(&self, population: Population) {
        let table = self.table();
        let schema = format!(
            "CREATE EXTENSION IF NOT EXISTS pgcrypto;
             CREATE TABLE {table} (org text, scope text, definition int, value bytea,
                                   PRIMARY KEY (org, scope, definition)); BEGIN"
        );
        self.runtime.block_on(async {
            self.client.batch_execute(&schema).await.expect("pgcrypto is installed");
            let insert = self.upsert_statement().await;
            for org in 0..population.orgs {
                for (place, definition) in population.values() {
                    self.put(&insert, org, place, definition).await;
                }
            }
            self.client.batch_execute("COMMIT; ANALYZE").await.expect("the disk has room");
        });
    }

    async fn upsert_statement(&self) -> tokio_postgres::Statement {
        let (table, [_, write]) = (self.table(), self.codec());
        let upsert = format!(
            "INSERT INTO {table} VALUES ($1, $2, $3, {write})
             ON CONFLICT (org, scope, definition) DO UPDATE SET value = excluded.value"
        );
        self.client.prepare(&upsert).await.expect("a valid statement")
    }

    async fn put(&self, upsert: &tokio_postgres::Statement, org: usize, place: Place, definition: usize) {
        let value = match self.sealing {
            Sealing::Application => self.cipher.seal(b"", fresh_value().as_bytes()),
            Sealing::Pgcrypto => fresh_value().into_bytes(),
        };
        let (org, scope, definition) = (org.to_string(), scope(place), definition as i32);
        self.client.execute(upsert, &[&org, &scope, &definition, &value]).await.expect("the disk has room");
    }

    fn opened(&self, value: &[u8]) -> usize {
        match self.sealing {
            Sealing::Application => self.cipher.open(b"", value).map_or(0, |value| value.len()),
            Sealing::Pgcrypto => value.len(),
        }
    }

    fn one(self, requests: Vec<Request>) -> Run {
        let (table, [read, _]) = (self.table(), self.codec());
        let select = format!(
            "SELECT {read} FROM {table} WHERE org = $1 AND scope IN ($2, $3, $4) AND definition = $5
             ORDER BY scope DESC LIMIT 1"
        );
        let select = self.runtime.block_on(self.client.prepare(&select)).expect("a valid statement");
        let mut next = 0;
        Run::wall(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                let request = requests[next];
                let (org, [workflow, account, own]) = (request.org.to_string(), request.places().map(scope));
                let definition = request.definition as i32;
                let row = async {
                    self.client.query_one(&select, &[&org, &workflow, &account, &own, &definition]).await
                };
                let row = self.runtime.block_on(row).expect("each definition has a value");
                black_box(self.opened(row.get(0)));
            }
        })
    }

    fn all(self, requests: Vec<Request>) -> Run {
        let (table, [read, _]) = (self.table(), self.codec());
        let select = format!(
            "SELECT {read} FROM (SELECT DISTINCT ON (definition) value FROM {table}
             WHERE org = $1 AND scope IN ($2, $3, $4) ORDER BY definition, scope DESC) winners"
        );
        let select = self.runtime.block_on(self.client.prepare(&select)).expect("a valid statement");
        let mut next = 0;
        Run::wall(move |n| {
            for _ in 0..n {
                next = (next + 1) % requests.len();
                let request = requests[next];
                let (org, [workflow, account, own]) = (request.org.to_string(), request.places().map(scope));
                let rows = async { self.client.query(&select, &[&org, &workflow, &account, &own]).await };
                let rows = self.runtime.block_on(rows).expect("the server answers");
                let len: usize = rows.iter().map(|row| self.opened(row.get(0))).sum();
                assert_eq!(len, 50 * VALUE.len());
            }
        })
    }

    fn set(self) -> Run {
        let upsert = self.runtime.block_on(self.upsert_statement());
        Run::wall(move |n| {
            for _ in 0..n {
                self.runtime.block_on(self.put(&upsert, 0, Place::Org, 0));
            }
        })
    }
}

/// A scope's kind before its id: the more specific a scope, the later it sorts.
fn scope(place: Place) -> String {
    match place {
        Place::Org => "0".to_owned(),
        Place::Account(account) => format!("1user_{account}"),
        Place::Workflow(workflow) => format!("2workflow_{workflow}"),
    }
}
