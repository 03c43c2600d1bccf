//! The PostgreSQL store keeps the rules of every store, however it locks.

mod cluster;

mod with_shared_locks {
    use crate::cluster::shared;

    strongroom_conformance::store_tests!(shared().database(), |database: &String| {
        strongroom_postgres::PostgresStore::open(&shared().options(database))
    });
}

mod with_exclusive_locks {
    use strongroom_postgres::RowLocks;

    use crate::cluster::shared;

    strongroom_conformance::store_tests!(shared().database(), |database: &String| {
        strongroom_postgres::PostgresStore::open(&shared().options(database).row_locks(RowLocks::Exclusive))
    });
}
