//! The PostgreSQL backend of strongroom: one store for many processes.
//!
//! One table of keys, values and revisions. Every call is one round trip: a read is one statement, or several that are
//! sent together in a snapshot; a commit sends its locks, its writes and `COMMIT` together, and the server makes the
//! writes only where every expectation holds. Statements are prepared once a connection.
//!
//! - **Several processes** may open the same database. The engine keeps its caches correct through the epoch row.
//! - **Durable** as the server is: `fsync` and `synchronous_commit` must be on, as they are unless somebody turned them
//!   off, and a replica that takes over must have what was acknowledged (`synchronous_standby_names`).
//! - **Two writers of one row**: the server lets one of them win (`40001`, `40P01`). The other is tried again here, ten
//!   times with growing random pauses, and is then `Contention`.
//! - **A connection that is lost** while a batch is on its way is `Indeterminate`; the engine looks what became of it.
//!
//! # Which servers
//! Tested is PostgreSQL 15. The statements keep to what other servers that speak its protocol document as well:
//!
//! | construct | CockroachDB | YugabyteDB | Aurora DSQL |
//! |---|---|---|---|
//! | `bytea`, `bigint`, primary key, `CREATE TABLE IF NOT EXISTS` | yes | yes | yes |
//! | `REPEATABLE READ`, with errors `40001` | yes (or serializable) | yes | yes (the only level) |
//! | `SELECT … FOR UPDATE` | yes | yes | yes |
//! | `SELECT … FOR SHARE` | yes | yes | not documented |
//! | `INSERT … SELECT unnest(…) … ON CONFLICT DO UPDATE` | yes | yes | yes, `unnest` of parameters untested |
//! | window functions (`sum() OVER (ROWS …)`) | yes | yes | yes |
//!
//! There are no sequences, triggers, savepoints, foreign keys or advisory locks. None but PostgreSQL is tested here.

mod config;
mod failure;
mod parameter;
mod read;
mod schema;
mod sql;
mod store;
mod write;

pub use config::PostgresOptions;
pub use store::PostgresStore;
