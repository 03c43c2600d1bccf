//! The redb store keeps the rules of every store.

strongroom_conformance::store_tests!(tempfile::tempdir().unwrap(), |dir| {
    strongroom_redb::RedbStore::open(dir.path().join("store.redb"))
});
