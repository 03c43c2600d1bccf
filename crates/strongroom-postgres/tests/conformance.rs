//! The PostgreSQL store keeps the rules of every store.

mod cluster;

strongroom_conformance::store_tests!(cluster::shared().database(), |database: &String| {
    strongroom_postgres::PostgresStore::open(&cluster::shared().options(database))
});
