//! The memory store keeps the rules, by itself and behind an `Arc`.

mod alone {
    strongroom_conformance::store_tests!(strongroom_memory::MemoryStore::new());
}

mod behind_an_arc {
    strongroom_conformance::store_tests!(std::sync::Arc::new(strongroom_memory::MemoryStore::new()));
}
