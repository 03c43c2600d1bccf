//! Which tables a store takes, what it makes, and what its role has to be allowed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cluster;

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{
    Environment, Error, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_postgres::{PostgresOptions, PostgresStore};
use strongroom_store::{Key, KeyRange, ReadBatch, Scan, Store, StoreError, StoreErrorKind, WriteBatch};

use self::cluster::{Cluster, shared};

/// Opens a database as a role, with more parameters of the address.
fn open(cluster: &Cluster, database: &str, role: &str, rest: &str) -> Result<PostgresStore, StoreError> {
    let dir = cluster.socket_dir().display();
    let options = PostgresOptions::parse(&format!("host={dir} user={role} dbname={database} {rest}"))?;
    PostgresStore::open(&options.connect_timeout(Duration::from_secs(60)))
}

/// A new role, which no other test uses.
fn role(cluster: &Cluster, database: &str, name: &str, attributes: &str) -> String {
    let role = format!("{name}_{database}");
    cluster.run(database, &format!("CREATE ROLE {role} LOGIN {attributes}"));
    role
}

fn put(store: &PostgresStore, key: &str, value: &str) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key.as_bytes()), value.as_bytes().to_vec());
    block_on(store.commit(Arc::new(batch))).map(drop)
}

/// All that a store holds.
fn rows(store: &PostgresStore) -> Vec<(String, String)> {
    let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1000)] };
    let set = block_on(store.read(&request)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let rows = set.scans.iter().flat_map(|page| &page.rows);
    rows.map(|(key, row)| (text(key.as_bytes()), text(&row.value))).collect()
}

fn tables(cluster: &Cluster, database: &str) -> Vec<String> {
    cluster.ask(
        database,
        "SELECT schemaname || '.' || tablename FROM pg_tables \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
    )
}

fn refusal(opened: Result<PostgresStore, StoreError>, kind: StoreErrorKind, words: &[&str]) {
    let error = opened.expect_err("it was opened");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

/// Statements that make the two tables in a schema.
fn made_by_hand(schema: &str) -> String {
    format!(
        "CREATE TABLE {schema}.strongroom_rows (k bytea PRIMARY KEY, v bytea NOT NULL, rev bigint NOT NULL); \
         CREATE TABLE {schema}.strongroom_schema (id bigint PRIMARY KEY, version bigint NOT NULL); \
         INSERT INTO {schema}.strongroom_schema VALUES (1, 1)"
    )
}

#[test]
fn a_new_store_makes_its_tables_in_a_schema_of_its_own() {
    let database = shared().database();
    let store = open(shared(), &database, "strongroom", "").unwrap();
    put(&store, "k", "v").unwrap();
    let names = ["strongroom.strongroom_rows", "strongroom.strongroom_schema"];
    assert_eq!(tables(shared(), &database), names);
    drop(store);
    assert_eq!(rows(&open(shared(), &database, "strongroom", "").unwrap()).len(), 1);
}

#[test]
fn several_vaults_are_in_one_database_by_schema_and_by_prefix() {
    let database = shared().database();
    let places = ["schema=one", "schema=two", "schema=one prefix=a_", "prefix=a_", "schema='Odd \"\u{e9}'"];
    let stores = places.map(|place| open(shared(), &database, "strongroom", place).unwrap());
    for (store, place) in stores.iter().zip(places) {
        put(store, "whose", place).unwrap();
    }
    for (store, place) in stores.iter().zip(places) {
        assert_eq!(rows(store), [("whose".to_owned(), place.to_owned())]);
    }
    assert!(tables(shared(), &database).contains(&"one.a_rows".to_owned()));
}

#[test]
fn both_forms_of_an_address_name_the_place() {
    let database = shared().database();
    let dir = shared().socket_dir().display().to_string().replace('/', "%2F");
    let address = format!("postgres://strongroom@{dir}/{database}?schema=app&prefix=vault_");
    PostgresStore::open(&PostgresOptions::parse(&address).unwrap()).unwrap();
    assert_eq!(tables(shared(), &database), ["app.vault_rows", "app.vault_schema"]);
}

#[test]
fn tables_that_another_role_made_first_are_refused() {
    for (schema, address, trap) in [
        ("strongroom", "", ""),
        ("strongroom", "", TRIGGER),
        ("strongroom", "mode=read-only", ""),
        ("public", "", TRIGGER),
        ("public", "schema=public", TRIGGER),
    ] {
        let database = shared().database();
        let vault = role(shared(), &database, "vault", "");
        let other = role(shared(), &database, "other", "");
        let planted = format!(
            "GRANT CREATE ON DATABASE {database} TO {vault}, {other}; \
             GRANT CREATE ON SCHEMA public TO {vault}, {other}; \
             SET ROLE {other}; CREATE SCHEMA IF NOT EXISTS {schema}; {}; {}; \
             GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO PUBLIC",
            made_by_hand(schema),
            trap.replace("SCHEMA", schema),
        );
        shared().run(&database, &planted);
        refusal(open(shared(), &database, &vault, address), StoreErrorKind::Unsupported, &["schema"]);
    }
}

#[test]
fn tables_that_another_role_made_first_in_a_schema_of_ours_are_refused() {
    let database = shared().database();
    let (vault, other) = (role(shared(), &database, "vault", ""), role(shared(), &database, "other", ""));
    let shared_schema = format!(
        "CREATE SCHEMA strongroom AUTHORIZATION {vault}; GRANT CREATE, USAGE ON SCHEMA strongroom TO {other}; \
         SET ROLE {other}; {}; GRANT ALL ON ALL TABLES IN SCHEMA strongroom TO PUBLIC",
        made_by_hand("strongroom")
    );
    shared().run(&database, &shared_schema);
    let opened = open(shared(), &database, &vault, "");
    refusal(opened, StoreErrorKind::Unsupported, &[&other, "strongroom_rows"]);
}

#[test]
fn a_role_that_made_the_vaults_role_its_member_is_not_trusted_for_it() {
    let database = shared().database();
    let (vault, other) = (role(shared(), &database, "vault", ""), role(shared(), &database, "other", ""));
    let planted = format!(
        "GRANT CREATE ON DATABASE {database} TO {other}; GRANT {other} TO {vault}; SET ROLE {other}; \
         CREATE SCHEMA strongroom; {}",
        made_by_hand("strongroom")
    );
    shared().run(&database, &planted);
    refusal(open(shared(), &database, &vault, ""), StoreErrorKind::Unsupported, &[&other]);
}

#[test]
fn a_table_with_something_that_runs_beside_our_statements_is_refused() {
    let additions = [
        ("a trigger", TRIGGER),
        ("a rule", "CREATE RULE r AS ON INSERT TO strongroom.strongroom_rows DO ALSO SELECT 1"),
        ("row-level security", "ALTER TABLE strongroom.strongroom_rows ENABLE ROW LEVEL SECURITY"),
        ("row-level security", "CREATE POLICY p ON strongroom.strongroom_rows USING (true)"),
        ("inheritance", "CREATE TABLE heir () INHERITS (strongroom.strongroom_rows)"),
        (
            "inheritance",
            "CREATE TABLE parent (k bytea NOT NULL); ALTER TABLE strongroom.strongroom_rows INHERIT parent",
        ),
        ("a default", "ALTER TABLE strongroom.strongroom_rows ALTER v SET DEFAULT ''"),
        ("a constraint", "ALTER TABLE strongroom.strongroom_rows ADD CHECK (length(k) > 0)"),
        ("an index over an expression", "CREATE INDEX ON strongroom.strongroom_rows (md5(v))"),
        ("a trigger", "CREATE TABLE child (id bigint REFERENCES strongroom.strongroom_schema)"),
        ("logged", "ALTER TABLE strongroom.strongroom_rows SET UNLOGGED"),
        (
            "ordinary",
            "ALTER TABLE strongroom.strongroom_rows RENAME TO hidden; \
             CREATE VIEW strongroom.strongroom_rows AS SELECT * FROM strongroom.hidden",
        ),
    ];
    for (name, statement) in additions {
        let database = shared().database();
        drop(open(shared(), &database, "strongroom", "").unwrap());
        shared().run(&database, &statement.replace("SCHEMA", "strongroom"));
        let error = open(shared(), &database, "strongroom", "").expect_err(name);
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{name}: {error}");
        assert!(error.to_string().contains(name) || name == "ordinary", "{name}: {error}");
    }
}

#[test]
fn a_table_of_another_form_is_corrupt() {
    for statement in [
        "ALTER TABLE strongroom.strongroom_rows ADD more int",
        "ALTER TABLE strongroom.strongroom_rows ALTER v DROP NOT NULL",
        "ALTER TABLE strongroom.strongroom_rows ALTER rev TYPE numeric",
        "ALTER TABLE strongroom.strongroom_rows DROP CONSTRAINT strongroom_rows_pkey",
    ] {
        let database = shared().database();
        drop(open(shared(), &database, "strongroom", "").unwrap());
        shared().run(&database, statement);
        refusal(open(shared(), &database, "strongroom", ""), StoreErrorKind::Corrupt, &[]);
    }
}

/// Every operator of the server, and every function, made again in a schema that comes first: each fails when it runs.
#[test]
fn no_statement_depends_on_the_search_path() {
    let cluster = Cluster::start();
    let database = cluster.database();
    cluster.run(&database, TRAPS);
    let traps = "SELECT count(*) FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace";
    assert!(cluster.ask(&database, traps).first().unwrap().parse::<u32>().unwrap() > 100);
    cluster.run(&database, &format!("ALTER DATABASE {database} SET search_path = trap, public, pg_catalog"));
    let sprung = std::panic::catch_unwind(|| cluster.ask(&database, "SELECT 1::bigint = 1::bigint"));
    assert!(sprung.is_err(), "the traps do not work");

    let store = open(&cluster, &database, "strongroom", "").unwrap();
    let vault = block_on(Vault::create(store, unlock())).unwrap();
    block_on(use_all(&vault)).unwrap();
    drop(vault);
    open(&cluster, &database, "strongroom", "").unwrap();
}

#[test]
fn a_vault_of_an_earlier_version_opens_where_its_tables_are() {
    // The search path led to `public`, and to the schema of the role's name where there was one.
    for schema in ["public", "$user"] {
        let database = shared().database();
        let vault = role(shared(), &database, "vault", "");
        let schema = if schema == "$user" { vault.as_str() } else { schema };
        let made = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; GRANT CREATE, USAGE ON SCHEMA {schema} TO {vault}; \
             SET ROLE {vault}; {}; INSERT INTO {schema}.strongroom_rows VALUES ('k', 'v', 7)",
            made_by_hand(schema)
        );
        shared().run(&database, &made);
        for rest in ["", "mode=read-only"] {
            assert_eq!(rows(&open(shared(), &database, &vault, rest).unwrap()).len(), 1, "{schema} {rest}");
        }
        put(&open(shared(), &database, &vault, "").unwrap(), "k2", "v").unwrap();
        assert_eq!(rows(&open(shared(), &database, &vault, &format!("schema={schema}")).unwrap()).len(), 2);
    }
}

#[test]
fn tables_on_the_search_path_that_another_role_owns_have_to_be_named() {
    let database = shared().database();
    let vault = role(shared(), &database, "vault", "");
    shared().run(&database, &format!("GRANT CREATE ON DATABASE {database} TO {vault}"));
    shared().run(&database, &made_by_hand("public"));
    shared().run(&database, &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {vault}"));
    let opened = open(shared(), &database, &vault, "");
    refusal(opened, StoreErrorKind::Unsupported, &["schema=public", "schema=strongroom"]);
    open(shared(), &database, &vault, "schema=public").unwrap();
    open(shared(), &database, &vault, "schema=strongroom").unwrap();
}

#[test]
fn a_role_that_may_not_make_the_tables_is_refused_by_what_it_lacks() {
    let database = shared().database();
    let vault = role(shared(), &database, "vault", "");
    let opened = open(shared(), &database, &vault, "");
    refusal(opened, StoreErrorKind::Unavailable, &["the schema strongroom is not there", "BACKENDS.md"]);
    open(shared(), &database, "strongroom", "").unwrap();
    let opened = open(shared(), &database, &vault, "");
    refusal(opened, StoreErrorKind::Unavailable, &["grant USAGE on the schema strongroom"]);
    shared().run(&database, &format!("GRANT USAGE ON SCHEMA strongroom TO {vault}"));
    let opened = open(shared(), &database, &vault, "");
    refusal(opened, StoreErrorKind::Unavailable, &["grant SELECT on strongroom.strongroom_rows"]);
    shared().run(&database, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA strongroom TO {vault}"));
    let opened = open(shared(), &database, &vault, "");
    let lacks = "grant INSERT, UPDATE and DELETE on strongroom.strongroom_rows";
    refusal(opened, StoreErrorKind::Unavailable, &[lacks, "mode=read-only"]);
    assert!(open(shared(), &database, &vault, "mode=read-only").is_ok());
}

#[test]
fn a_store_that_is_opened_for_reading_makes_nothing_and_refuses_every_write() {
    let database = shared().database();
    let opened = open(shared(), &database, "strongroom", "mode=read-only");
    refusal(opened, StoreErrorKind::Unavailable, &["is not there"]);
    assert!(tables(shared(), &database).is_empty());
    put(&open(shared(), &database, "strongroom", "").unwrap(), "k", "v").unwrap();
    let store = open(shared(), &database, "strongroom", "mode=read-only").unwrap();
    assert_eq!(put(&store, "k", "w").unwrap_err().kind(), StoreErrorKind::Unsupported);
    assert_eq!(rows(&store), [("k".to_owned(), "v".to_owned())]);
}

#[test]
fn a_hot_standby_is_opened_for_reading() {
    let primary = Cluster::start();
    let database = primary.database();
    let vault = block_on(Vault::create(primary.open(&database), unlock())).unwrap();
    block_on(use_all(&vault)).unwrap();
    let standby = primary.standby();
    let opened = open(&standby, &database, "strongroom", "");
    refusal(opened, StoreErrorKind::Unavailable, &["mode=read-only", "target_session_attrs"]);
    let store = open(&standby, &database, "strongroom", "mode=read-only").unwrap();
    let copy = block_on(Vault::open(store, unlock())).unwrap();
    let org = copy.org(ORG.parse().unwrap(), Environment::test());
    let read = block_on(org.resolve("TOKEN", &ScopePath::org())).unwrap().unwrap();
    assert_eq!(read.value.expose(), "s3cret");
    assert!(block_on(copy.verify()).unwrap().is_clean());
    let refused = block_on(org.set_value("TOKEN", Scope::Org, "other"));
    assert!(refused.is_err(), "a standby took a write");
}

/// Runs the statements of the page *roles* as they are written there.
#[test]
fn the_roles_of_the_documentation_have_the_rights_they_need_and_no_more() {
    let cluster = Cluster::start();
    let database = cluster.database();
    cluster.run(&database, &statements_of_the_documentation());
    cluster.run("postgres", &format!("REVOKE CREATE ON DATABASE {database} FROM PUBLIC"));
    let parameters = |role: &str| match role {
        "strongroom_app" => "owner=strongroom_owner",
        _ => "owner=strongroom_owner mode=read-only",
    };
    let as_role = |role: &str| open(&cluster, &database, role, parameters(role)).unwrap();
    let vault = block_on(Vault::create(as_role("strongroom_app"), unlock())).unwrap();
    block_on(use_all(&vault)).unwrap();
    let reader = block_on(Vault::open(as_role("strongroom_reader"), unlock())).unwrap();
    let org = reader.org(ORG.parse().unwrap(), Environment::test());
    let read = block_on(org.resolve("TOKEN", &ScopePath::org())).unwrap().unwrap();
    assert_eq!(read.value.expose(), "s3cret");

    // Without the owner's name the tables are another role's.
    refusal(
        open(&cluster, &database, "strongroom_app", ""),
        StoreErrorKind::Unsupported,
        &["strongroom_owner"],
    );
    for (role, denied) in [
        ("strongroom_reader", "DELETE FROM strongroom.strongroom_rows"),
        ("strongroom_app", "ALTER TABLE strongroom.strongroom_rows ADD more int"),
        ("strongroom_app", "CREATE TABLE strongroom.more ()"),
        ("strongroom_app", "UPDATE strongroom.strongroom_schema SET version = 2"),
        (
            "strongroom_app",
            "CREATE TRIGGER t BEFORE INSERT ON strongroom.strongroom_rows \
                            EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ),
    ] {
        let statement = format!(
            "DO $$ BEGIN SET LOCAL ROLE {role}; BEGIN {denied}; RAISE 'not denied'; \
             EXCEPTION WHEN insufficient_privilege THEN NULL; END; END $$"
        );
        cluster.run(&database, &statement);
    }
}

/// The first block of SQL on the page *roles*.
fn statements_of_the_documentation() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../strongroom/docs/BACKENDS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("## PostgreSQL: roles").expect("the page is there");
    let (_, block) = section.split_once("```sql\n").expect("it has a block of SQL");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.to_owned()
}

/// Writes and reads something of the usual kinds.
async fn use_all(vault: &Vault) -> Result<(), Error> {
    let org = vault.org(ORG.parse().unwrap(), Environment::test());
    org.define(VariableDefinition::new("TOKEN", VarFormat::String).encrypted()).await?;
    for value in ["one", "two", "s3cret"] {
        org.set_value("TOKEN", Scope::Org, value).await?;
    }
    org.create_account("user_1".parse().unwrap()).with_credential("k", "v").await?;
    org.delete_account(&"user_1".parse().unwrap()).await?;
    assert_eq!(org.resolve_all(&ScopePath::org()).await?.values.len(), 1);
    assert!(vault.verify().await?.is_clean());
    Ok(())
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";

const TRIGGER: &str = "CREATE FUNCTION SCHEMA.spy() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN RETURN NEW; END'; \
     CREATE TRIGGER spy BEFORE INSERT ON SCHEMA.strongroom_rows EXECUTE FUNCTION SCHEMA.spy()";

/// Operators of types that are compared, and functions of fixed types, all in the schema `trap`.
const TRAPS: &str = r#"
CREATE SCHEMA trap;
CREATE FUNCTION trap.unnest(bytea[]) RETURNS SETOF bytea LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
CREATE FUNCTION trap.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
CREATE FUNCTION trap.format(text, text, text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
CREATE TYPE trap.bytea AS ENUM ('trapped');
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN
        SELECT oid, oprname, oprleft::regtype::text AS l, oprright::regtype::text AS r, oprresult::regtype::text AS t
        FROM pg_operator
        WHERE oprkind = 'b' AND oprleft IN (
            'bytea'::regtype, 'bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'text'::regtype,
            'name'::regtype, 'oid'::regtype, 'boolean'::regtype, '"char"'::regtype)
        AND oprnamespace = 'pg_catalog'::regnamespace
        AND oprresult::regtype::text NOT LIKE 'any%' AND oprright::regtype::text NOT LIKE 'any%'
    LOOP
        EXECUTE format('CREATE FUNCTION trap.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS '
            '''BEGIN RAISE ''''trapped''''; END''', o.oid, o.l, o.r, o.t);
        EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.op_%s)',
            o.oprname, o.l, o.r, o.oid);
    END LOOP;
    FOR o IN
        SELECT proname, pg_get_function_identity_arguments(oid) AS arguments FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proname IN (
            'octet_length', 'set_config', 'current_setting', 'has_table_privilege', 'has_schema_privilege',
            'pg_table_is_visible', 'current_database')
    LOOP
        EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS text LANGUAGE plpgsql AS '
            '''BEGIN RAISE ''''trapped''''; END''', o.proname, o.arguments);
    END LOOP;
END $$
"#;
