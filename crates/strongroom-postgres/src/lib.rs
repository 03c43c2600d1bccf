//! The PostgreSQL backend of strongroom: one store for many processes.
//!
//! One table of keys, values and revisions, in a schema that the address names. Every call is one round trip. A read is
//! one statement, or several that are sent together in a snapshot. A commit is one statement that locks rows, compares
//! them and writes only if every expectation holds. Batches that arrive while others are in progress share a statement,
//! each with its own expectations and answer. Statements are prepared once per connection.
//!
//! - **Several processes** may open the same database. The engine keeps its caches correct through the epoch row.
//! - **Durable** as the server is. A server with `fsync` or `synchronous_commit` off is refused. Whether a batch
//!   survives the loss of the server's machine depends on its replicas: set `synchronous_standby_names` if it must.
//! - **Two writers of one row**: one waits for the other, and then finds its conflict. If the server ends one of them
//!   (`40P01`, `40001`), it is tried again here, ten times with growing random pauses, and is then `Contention`.
//! - **A connection lost** while a batch is in flight is `Indeterminate`; the engine finds out whether the batch was
//!   applied.
//!
//! - **One transaction with the host's own rows**: the engine's plans are applied inside it ([`Plans`]).
//! - **The host's pool** can be used too ([`PostgresStore::from_pool`]).
//! - **Least privilege**: tables are checked before they are used, and refused if another role owns them or if
//!   something runs beside our statements. A role needs no right beyond `SELECT`, `INSERT`, `UPDATE` and `DELETE`; a
//!   role with only `SELECT` opens with `mode=read-only`, on a hot standby too. `docs/BACKENDS.md` of the engine has
//!   the statements.
//!
//! # What to know
//! - A password is never shown by an error or `Debug`; the driver keeps it in memory that is not wiped. The *server's*
//!   log may show keys and sealed values if it logs parameters (`log_parameter_max_length`).
//! - Deleting a row shreds nothing: PostgreSQL keeps old versions until `VACUUM`, and in its write-ahead log and
//!   backups for longer. To destroy a value, destroy the key it is sealed under.
//! - TLS is required of every server that is not on this machine, and a certificate is always verified with its name:
//!   [`PostgresOptions::parse`] explains each `sslmode`.
//! - Statements are prepared once per connection. With a pooler in transaction mode in between, write `prepare=unnamed`
//!   in the address: a store that finds such a pooler opens in no other way.
//! - A store has 16 connections unless [`PostgresOptions::connections_max`] says otherwise, and briefly one more; the
//!   sum over all processes must stay below the server's `max_connections`.
//!
//! # Which servers
//! PostgreSQL 15 to 18 are tested. With [`RowLocks::Exclusive`] the statements use only what CockroachDB and YugabyteDB
//! also document, and do without `FOR SHARE`; only PostgreSQL is tested. `docs/BACKENDS.md` of the engine lists each
//! construct and where it is known.

mod address;
mod backend_key;
mod call;
mod catalog;
mod choices;
mod config;
mod connections;
mod connector;
mod failure;
mod fence;
mod gathered;
mod hints;
mod layout;
mod parameter;
mod pipeline;
mod plan_statement;
mod plans;
#[cfg(feature = "sqlx-0_8")]
mod plans_sqlx;
mod pooler;
mod read;
mod readers;
mod revision;
mod schema;
mod sharing;
mod sql;
mod statement;
mod store;
mod threads;
mod tls;
mod tls_versions;
mod write;
mod writers;

pub use choices::{Prepare, RowLocks};
pub use config::PostgresOptions;
pub use hints::{Hint, PostgresHints};
pub use plan_statement::{PlanParameter, PlanStatement};
pub use plans::Plans;
pub use store::PostgresStore;
