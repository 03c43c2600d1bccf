//! What the server's catalog says about the session, the schema and the tables, before any of them is used.
//!
//! A trigger, a rule, a policy, a default or a check of a table runs with the rights of whoever writes to it, and its
//! owner can add one at any time. So the owner must be trusted, and additions are refused.

use std::fmt;

use deadpool_postgres::Client;
use strongroom_store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::failure::{corrupt, of_setup};
use crate::layout::Tables;
use crate::sql::{EQ, LOCK_MAX, SILENCE_MAX};

/// The settings of a session that matter to a store. `None` for a setting that the server does not know.
pub(crate) struct Session {
    pub(crate) fsync: Option<String>,
    pub(crate) synchronous_commit: Option<String>,
    pub(crate) is_read_only: bool,
    /// Whether the server waits forever for a client that is silent in the middle of a transaction.
    pub(crate) waits_for_ever: bool,
    /// Whether a statement waits forever for a lock.
    pub(crate) locks_for_ever: bool,
    pub(crate) process_id: i32,
}

impl Session {
    pub(crate) async fn look(client: &Client) -> Result<Self, StoreError> {
        let limits =
            [SILENCE_MAX, LOCK_MAX].map(|name| format!("pg_catalog.current_setting('{name}', true)"));
        let statement = format!("{SESSION}, {}", limits.join(", "));
        let rows = ask(client, &statement, &[]).await?;
        let row = rows.first().ok_or_else(|| corrupt("the server did not show its settings"))?;
        let read_only: Option<String> = column(row, 2)?;
        let (silence_max, lock_max): (Option<String>, Option<String>) = (column(row, 4)?, column(row, 5)?);
        Ok(Self {
            fsync: column(row, 0)?,
            synchronous_commit: column(row, 1)?,
            is_read_only: read_only.as_deref() == Some("on"),
            process_id: column(row, 3)?,
            waits_for_ever: silence_max.as_deref() == Some("0"),
            locks_for_ever: lock_max.as_deref() == Some("0"),
        })
    }
}

/// A role, and whether it may own what a vault uses: the role of the session, a superuser, or the database's owner.
/// According to PostgreSQL's manual, no use of schemas is safe from the latter two.
///
/// Membership does not count: any role can make another one its member.
pub(crate) struct Owner {
    name: String,
    is_trusted: bool,
}

impl Owner {
    fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { name: column(row, 0)?, is_trusted: column(row, 1)? })
    }

    pub(crate) fn is_trusted(&self, named: Option<&str>) -> bool {
        self.is_trusted || named == Some(self.name.as_str())
    }
}

/// Escaped, since the creator of a role chose its name.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_debug())
    }
}

/// A schema as it is.
pub(crate) struct Schema {
    pub(crate) owner: Owner,
    pub(crate) may_use: bool,
}

impl Schema {
    /// `None` if there is no such schema.
    pub(crate) async fn look(client: &Client, name: &str) -> Result<Option<Self>, StoreError> {
        let statement = format!(
            "SELECT r.rolname, {TRUSTED}, pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
             FROM pg_catalog.pg_namespace AS n \
             JOIN pg_catalog.pg_roles AS r ON r.oid {EQ} n.nspowner WHERE n.nspname {EQ} $1"
        );
        let rows = ask(client, &statement, &[(&name, Type::NAME)]).await?;
        let schema = |row| Ok(Self { owner: Owner::of_row(row)?, may_use: column(row, 2)? });
        rows.first().map(schema).transpose()
    }
}

/// The schema of a table that the search path leads to, and whether the role of the session owns that table.
pub(crate) async fn on_search_path(
    client: &Client,
    table: &str,
) -> Result<Option<(String, bool)>, StoreError> {
    let statement = format!(
        "SELECT n.nspname, r.rolname {EQ} CURRENT_USER FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid {EQ} c.relnamespace \
         JOIN pg_catalog.pg_roles AS r ON r.oid {EQ} c.relowner \
         WHERE c.relname {EQ} $1 AND pg_catalog.pg_table_is_visible(c.oid)"
    );
    let rows = ask(client, &statement, &[(&table, Type::NAME)]).await?;
    rows.first().map(|row| Ok((column(row, 0)?, column(row, 1)?))).transpose()
}

/// A table as it is.
pub(crate) struct Table {
    pub(crate) owner: Owner,
    /// Neither a view nor partitioned, neither unlogged nor temporary.
    pub(crate) is_ordinary: bool,
    /// What was added to it, first of all what runs when it is used.
    pub(crate) additions: Vec<&'static str>,
    /// Each column as `name type not-null`.
    pub(crate) columns: Vec<String>,
    pub(crate) primary_key: Option<String>,
    pub(crate) may_read: bool,
    pub(crate) may_write: bool,
}

impl Table {
    /// `None` if there is no such table.
    pub(crate) async fn look(
        client: &Client,
        tables: &Tables,
        name: &str,
    ) -> Result<Option<Self>, StoreError> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&tables.schema, Type::NAME), (&name, Type::NAME)];
        let rows = ask(client, &table_statement(), &parameters).await?;
        rows.first().map(Self::of_row).transpose()
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        let mut additions = Vec::new();
        for (index, (name, _)) in ADDITIONS.iter().enumerate() {
            if column(row, FIRST_ADDITION + index)? {
                additions.push(*name);
            }
        }
        Ok(Self {
            owner: Owner::of_row(row)?,
            is_ordinary: column(row, 2)?,
            columns: column(row, 3)?,
            primary_key: column(row, 4)?,
            may_read: column(row, 5)?,
            may_write: column(row, 6)?,
            additions,
        })
    }
}

fn table_statement() -> String {
    let additions: String = ADDITIONS.iter().map(|(_, condition)| format!(", {condition}")).collect();
    let additions = additions.replace('=', EQ);
    format!(
        "SELECT r.rolname, {TRUSTED}, c.relkind {EQ} 'r' AND c.relpersistence {EQ} 'p', \
         ARRAY(SELECT pg_catalog.format('%s %s %s', a.attname, a.atttypid, a.attnotnull) \
         FROM pg_catalog.pg_attribute AS a WHERE a.attrelid {EQ} c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 \
         AND NOT a.attisdropped ORDER BY a.attnum), \
         (SELECT a.attname FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a \
         ON a.attrelid {EQ} c.oid AND a.attnum {EQ} i.indkey[0] WHERE i.indrelid {EQ} c.oid \
         AND i.indisprimary AND i.indisvalid AND i.indimmediate AND i.indnatts {EQ} 1), \
         pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
         pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') \
         AND pg_catalog.has_table_privilege(c.oid, 'DELETE'){additions} \
         FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid {EQ} c.relnamespace \
         JOIN pg_catalog.pg_roles AS r ON r.oid {EQ} c.relowner \
         WHERE n.nspname {EQ} $1 AND c.relname {EQ} $2"
    )
}

/// Runs a statement that is prepared only for this one time, and in no session.
pub(crate) async fn ask(
    client: &Client,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, StoreError> {
    client.query_typed(statement, parameters).await.map_err(of_setup)
}

pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_| corrupt("the server's catalog is not one of PostgreSQL"))
}

const SESSION: &str = "SELECT pg_catalog.current_setting('fsync', true), \
     pg_catalog.current_setting('synchronous_commit', true), \
     pg_catalog.current_setting('transaction_read_only', true), pg_catalog.pg_backend_pid()";

/// A condition on the role `r`.
const TRUSTED: &str = "(r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) CURRENT_USER \
     OR r.rolname OPERATOR(pg_catalog.=) 'pg_database_owner' \
     OR EXISTS (SELECT FROM pg_catalog.pg_database AS d WHERE d.datdba OPERATOR(pg_catalog.=) r.oid \
     AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))";

const FIRST_ADDITION: usize = 7;
/// Additions that our tables must not have, each with the condition that finds it on the table `c`.
const ADDITIONS: [(&str, &str); 7] = [
    ("a trigger", "EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid)"),
    ("a rule", "EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = c.oid)"),
    (
        "row-level security",
        "(c.relrowsecurity OR c.relforcerowsecurity \
         OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid))",
    ),
    (
        "inheritance",
        "EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid OR h.inhparent = c.oid)",
    ),
    ("a default", "EXISTS (SELECT FROM pg_catalog.pg_attrdef AS f WHERE f.adrelid = c.oid)"),
    // Since PostgreSQL 18, `NOT NULL` is a constraint of the kind `n`.
    (
        "a constraint",
        "EXISTS (SELECT FROM pg_catalog.pg_constraint AS o WHERE o.conrelid = c.oid \
         AND NOT (o.contype = 'p' OR o.contype = 'n'))",
    ),
    (
        "an index over an expression",
        "EXISTS (SELECT FROM pg_catalog.pg_index AS x WHERE x.indrelid = c.oid \
         AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL))",
    ),
];
