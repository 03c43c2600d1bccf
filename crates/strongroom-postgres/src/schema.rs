//! The tables, found or created, and checked against what this crate creates.

use deadpool_postgres::Client;
use strongroom_store::{StoreError, StoreErrorKind};
use tokio_postgres::Error;
use tokio_postgres::types::Type;

use crate::catalog::{Owner, Schema, Session, Table, ask, on_search_path};
use crate::choices::Access;
use crate::failure::{code, corrupt, denied, of_setup, unavailable, unsupported};
use crate::layout::{Layout, SCHEMA, Tables, quoted};
use crate::sql::EQ;

/// Finds the tables, and creates those that are missing. Several processes may do so at once.
pub(crate) async fn prepare(
    client: &Client,
    session: &Session,
    layout: &Layout,
    access: Access,
) -> Result<Tables, StoreError> {
    if access == Access::ReadWrite {
        refuse_volatile(session)?;
        if session.is_read_only {
            return Err(unavailable(READ_ONLY_SERVER));
        }
    }
    let tables = locate(client, layout).await?;
    let place = Place { client, owner: layout.owner.as_deref(), tables, access };
    for _ in 0..STEPS_MAX {
        let Some(missing) = place.missing().await? else { return Ok(place.tables) };
        place.make(missing).await?;
    }
    Err(unavailable("the tables were taken away as often as they were made"))
}

/// The schema that the address names, or `strongroom`. If neither exists, there may be a vault of an earlier version,
/// whose tables were created wherever the search path led. Such a vault is used if this role owns it, since nobody else
/// can have created it; any other has to be named.
async fn locate(client: &Client, layout: &Layout) -> Result<Tables, StoreError> {
    let (None, None) = (&layout.schema, &layout.prefix) else {
        return Ok(layout.tables(layout.schema.as_deref().unwrap_or(SCHEMA)));
    };
    let tables = layout.tables(SCHEMA);
    if Table::look(client, &tables, &tables.rows()).await?.is_some() {
        return Ok(tables);
    }
    match on_search_path(client, &tables.rows()).await? {
        None => Ok(tables),
        Some((schema, true)) => Ok(layout.tables(&schema)),
        Some((schema, false)) => Err(refused(format!(
            "the search path leads to a table {} that another role owns: write schema={} in the address to use it, \
             or schema={SCHEMA} for a vault of its own",
            shown(&tables.rows()),
            shown(&schema),
        ))),
    }
}

/// Where the tables belong.
struct Place<'c> {
    client: &'c Client,
    /// The role that the address trusts with them.
    owner: Option<&'c str>,
    tables: Tables,
    access: Access,
}

/// Something that does not exist yet, and the statement that creates it.
struct Missing {
    what: String,
    statement: String,
}

impl Place<'_> {
    /// Checks what exists, and names the first thing that does not.
    async fn missing(&self) -> Result<Option<Missing>, StoreError> {
        let schema = &self.tables.schema;
        let Some(found) = Schema::look(self.client, schema).await? else {
            let statement = format!("CREATE SCHEMA {}", quoted(schema));
            return Ok(Some(Missing { what: format!("the schema {}", shown(schema)), statement }));
        };
        self.refuse_owner("schema", schema, &found.owner)?;
        if !found.may_use {
            return Err(lacks_right(&format!("USAGE on the schema {}", shown(schema))));
        }
        for shape in [self.rows(), self.versions()] {
            let Some(found) = Table::look(self.client, &self.tables, &shape.name).await? else {
                let what = format!("the table {}", self.shown(&shape.name));
                return Ok(Some(Missing { what, statement: self.create(&shape) }));
            };
            self.judge(&shape, &found)?;
        }
        self.version().await
    }

    fn rows(&self) -> Shape {
        Shape {
            name: self.tables.rows(),
            columns: ROW_COLUMNS,
            key: "k",
            writes: self.access == Access::ReadWrite,
        }
    }

    fn versions(&self) -> Shape {
        Shape { name: self.tables.versions(), columns: VERSION_COLUMNS, key: "id", writes: false }
    }

    fn judge(&self, shape: &Shape, found: &Table) -> Result<(), StoreError> {
        let table = self.shown(&shape.name);
        self.refuse_owner("table", &shape.name, &found.owner)?;
        if let Some(addition) = found.additions.first() {
            return Err(refused(format!(
                "the table {table} has {addition}, which this crate did not make: remove it, or name another schema"
            )));
        }
        if !found.is_ordinary {
            return Err(refused(format!(
                "{table} is not an ordinary, logged table: name another schema, or have it made by this crate"
            )));
        }
        let columns = shape.columns.iter().map(|(name, oid, _)| format!("{name} {oid} t"));
        if !columns.eq(found.columns.iter().cloned()) || found.primary_key.as_deref() != Some(shape.key) {
            return Err(corrupt("the tables are not as they were created"));
        }
        let lacks = match (found.may_read, found.may_write) {
            (false, _) => "SELECT",
            (true, false) if shape.writes => "INSERT, UPDATE and DELETE",
            _ => return Ok(()),
        };
        let hint = if found.may_read { ", or open it with mode=read-only" } else { "" };
        Err(lacks_right(&format!("{lacks} on {table}{hint}")))
    }

    fn refuse_owner(&self, kind: &str, name: &str, owner: &Owner) -> Result<(), StoreError> {
        if owner.is_trusted(self.owner) {
            return Ok(());
        }
        Err(refused(format!(
            "the {kind} {} belongs to the role {owner}, which could run code with this role's rights: write \
             owner={owner} in the address if it may, or name another schema",
            shown(name),
        )))
    }

    /// Checks the version; if there is none yet, returns it as missing.
    async fn version(&self) -> Result<Option<Missing>, StoreError> {
        let table = self.tables.qualified(&self.tables.versions());
        let statement = format!("SELECT version FROM {table} WHERE id {EQ} $1");
        let rows = ask(self.client, &statement, &[(&VERSION_ID, Type::INT8)]).await?;
        let Some(row) = rows.first() else {
            let statement = format!(
                "INSERT INTO {table} (id, version) VALUES ({VERSION_ID}, {VERSION}) ON CONFLICT (id) DO NOTHING"
            );
            let what = format!("the version in {}", self.shown(&self.tables.versions()));
            return Ok(Some(Missing { what, statement }));
        };
        match row.try_get::<_, i64>(0) {
            Ok(VERSION) => Ok(None),
            Ok(_) => Err(unsupported("the tables are of a later version of this crate: upgrade it")),
            Err(_) => Err(corrupt("the schema's version is not a number")),
        }
    }

    fn create(&self, shape: &Shape) -> String {
        let columns: Vec<_> =
            shape.columns.iter().map(|(name, _, definition)| format!("{name} {definition}")).collect();
        format!("CREATE TABLE {} ({})", self.tables.qualified(&shape.name), columns.join(", "))
    }

    async fn make(&self, missing: Missing) -> Result<(), StoreError> {
        let Missing { what, statement } = missing;
        if self.access == Access::ReadOnly {
            let message =
                format!("{what} is not there, and a store that is opened for reading makes nothing");
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        match self.client.batch_execute(&statement).await {
            Ok(()) => Ok(()),
            // Another process created the same at the same time: it is checked next.
            Err(error) if is_race(&error) => Ok(()),
            Err(error) if code(&error) == Some("42501") => {
                let hint = "have its owner make it, as BACKENDS.md shows";
                Err(denied(format!("{what} is not there, and the role may not make it: {hint}"), error))
            }
            Err(error) => Err(of_setup(error)),
        }
    }

    fn shown(&self, name: &str) -> String {
        format!("{}.{}", shown(&self.tables.schema), shown(name))
    }
}

/// How a table is created.
struct Shape {
    name: String,
    /// Each column: its name, the number of its type, and its definition.
    columns: &'static [(&'static str, u32, &'static str)],
    key: &'static str,
    /// Whether the store writes to it.
    writes: bool,
}

/// Refuses a server that acknowledges what it may lose. A setting that the server does not know does not count.
fn refuse_volatile(session: &Session) -> Result<(), StoreError> {
    if session.fsync.as_deref() == Some("off") {
        return Err(unsupported(
            "the server runs with fsync off and would lose what it acknowledged: turn it on",
        ));
    }
    if session.synchronous_commit.as_deref() == Some("off") {
        return Err(unsupported(
            "synchronous_commit is off for this role or database, and would lose what was acknowledged",
        ));
    }
    Ok(())
}

fn is_race(error: &Error) -> bool {
    code(error)
        .is_some_and(|code| matches!(code, "23505" | "42P06" | "42P07" | "XX000") || code.starts_with("40"))
}

fn lacks_right(right: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("the role lacks a right: grant {right}"))
}

fn refused(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

/// Escaped, since the creator of a thing chose its name.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

const VERSION: i64 = 1;
const VERSION_ID: i64 = 1;
/// The schema, two tables and the version, and as many that others create or remove meanwhile.
const STEPS_MAX: u32 = 12;
const READ_ONLY_SERVER: &str = "the server takes no writes, as a standby does: open the store with mode=read-only, or \
     add target_session_attrs=read-write and the other hosts to the address";
const ROW_COLUMNS: &[(&str, u32, &str)] = &[
    ("k", BYTEA, "pg_catalog.bytea PRIMARY KEY"),
    ("v", BYTEA, "pg_catalog.bytea NOT NULL"),
    ("rev", INT8, "bigint NOT NULL"),
];
const VERSION_COLUMNS: &[(&str, u32, &str)] =
    &[("id", INT8, "bigint PRIMARY KEY"), ("version", INT8, "bigint NOT NULL")];
const BYTEA: u32 = 17;
const INT8: u32 = 20;
