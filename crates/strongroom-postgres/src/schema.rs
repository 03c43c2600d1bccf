//! The tables, made and versioned by this crate.

use deadpool_postgres::Client;
use strongroom_store::StoreError;
use tokio_postgres::Error;

use crate::failure::{code, corrupt, of_setup, unsupported};

/// Makes the tables where they are missing and checks their version. Several processes may do so at once.
pub(crate) async fn prepare(client: &Client) -> Result<(), StoreError> {
    refuse_volatile(client).await?;
    for statement in TABLES {
        create(client, statement).await?;
    }
    let row = client.query_opt("SELECT version FROM strongroom_schema WHERE id = 1", &[]).await;
    let row = row.map_err(of_setup)?.ok_or_else(|| corrupt("the schema has no version"))?;
    match row.try_get::<_, i64>(0) {
        Ok(VERSION) => Ok(()),
        Ok(_) => Err(unsupported("the tables are of a later version of this crate: upgrade it")),
        Err(_) => Err(corrupt("the schema's version is not a number")),
    }
}

async fn create(client: &Client, statement: &str) -> Result<(), StoreError> {
    let mut attempt = 1;
    loop {
        match client.batch_execute(statement).await {
            Ok(()) => return Ok(()),
            // Two that create one table at the same time meet in the server's catalog.
            Err(error) if attempt < ATTEMPTS_MAX && is_race(&error) => attempt += 1,
            Err(error) => return Err(of_setup(error)),
        }
    }
}

/// Refuses a server that acknowledges what it may lose. One that does not know a setting is not judged by it.
async fn refuse_volatile(client: &Client) -> Result<(), StoreError> {
    let row = client.query_one(DURABILITY, &[]).await.map_err(of_setup)?;
    for (column, setting) in ["fsync", "synchronous_commit"].into_iter().enumerate() {
        if row.try_get::<_, Option<String>>(column).ok().flatten().as_deref() == Some("off") {
            return Err(unsupported(match setting {
                "fsync" => "the server runs with fsync off and would lose what it acknowledged: turn it on",
                _ => {
                    "synchronous_commit is off for this role or database, and would lose what was acknowledged"
                }
            }));
        }
    }
    Ok(())
}

fn is_race(error: &Error) -> bool {
    code(error).is_some_and(|code| matches!(code, "23505" | "42P07" | "XX000") || code.starts_with("40"))
}

const DURABILITY: &str = "SELECT current_setting('fsync', true), current_setting('synchronous_commit', true)";
const VERSION: i64 = 1;
const ATTEMPTS_MAX: u32 = 5;
/// Each in a transaction of its own, since some servers take only one data definition a transaction.
const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS strongroom_rows (k bytea PRIMARY KEY, v bytea NOT NULL, rev bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS strongroom_schema (id bigint PRIMARY KEY, version bigint NOT NULL)",
    "INSERT INTO strongroom_schema (id, version) VALUES (1, 1) ON CONFLICT (id) DO NOTHING",
];
