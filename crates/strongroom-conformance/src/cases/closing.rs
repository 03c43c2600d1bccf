//! Rules about a store that was closed.

use strongroom::store::{ReadBatch, StoreErrorKind, WriteBatch};

use crate::Subject;
use crate::batch::{batch, gets, put};

pub(super) fn a_closed_store_refuses_every_call(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    let capabilities = store.store().capabilities();
    store.close().expect("the store closes");
    for request in [gets(["a"]), ReadBatch::default()] {
        assert_eq!(store.read_refusal(&request), StoreErrorKind::Closed);
    }
    for refused in [batch([], [put("a", "2")]), WriteBatch::default()] {
        assert_eq!(store.refusal(refused), StoreErrorKind::Closed);
    }
    assert_eq!(store.store().capabilities(), capabilities);
}

pub(super) fn a_store_can_be_closed_twice(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    store.close().expect("the store closes");
    store.close().expect("the store stays closed");
    assert_eq!(store.read_refusal(&gets(["a"])), StoreErrorKind::Closed);
}
