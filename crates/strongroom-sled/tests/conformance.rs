//! The sled store keeps the rules of every store.

strongroom_conformance::store_tests!(tempfile::tempdir().unwrap(), |dir| {
    strongroom_sled::SledStore::open(dir.path())
});
