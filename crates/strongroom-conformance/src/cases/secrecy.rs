//! Rules about what is shown to people.

use std::error::Error;
use std::fmt::Debug;

use strongroom::store::{KEY_BYTES_MAX, RowRevision, StoreError, VALUE_BYTES_MAX, WriteBatch};

use crate::Subject;
use crate::batch::{absent, at_revision, batch, exists, gets, put};

pub(super) fn no_error_shows_a_key_or_a_value(subject: &Subject) {
    let store = subject.fresh();
    store.put(KEY, VALUE);
    let commit =
        |refused: WriteBatch| assert_hidden(&store.try_commit(refused).expect_err("the batch is refused"));
    commit(batch([absent(KEY)], [put(KEY, VALUE)]));
    commit(batch([at_revision(KEY, RowRevision(u64::MAX))], [put(KEY, VALUE)]));
    commit(batch([exists(VALUE)], [put(KEY, VALUE)]));
    commit(batch([], [put(KEY, VALUE), put(KEY, VALUE)]));
    commit(batch([exists(KEY), exists(KEY)], [put(KEY, VALUE)]));
    commit(batch([absent(KEY)], []));
    commit(batch([], [put(KEY, VALUE.repeat(VALUE_BYTES_MAX / VALUE.len() + 1))]));
    let long_key = KEY.repeat(KEY_BYTES_MAX / KEY.len() + 1);
    commit(batch([], [put(&long_key, VALUE)]));
    assert_hidden(&store.try_read(&gets([long_key])).expect_err("the read is refused"));
    store.close().expect("the store closes");
    assert_hidden(&store.try_commit(batch([], [put(KEY, VALUE)])).expect_err("the store is closed"));
    assert_hidden(&store.try_read(&gets([KEY])).expect_err("the store is closed"));
}

fn assert_hidden(error: &StoreError) {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        assert_shows_nothing(&error.to_string());
        assert_debug_shows_nothing(&error);
        cause = error.source();
    }
}

pub(super) fn debug_shows_no_key_or_value(subject: &Subject) {
    let store = subject.fresh();
    store.put(KEY, VALUE);
    assert_eq!(store.value(KEY).as_deref(), Some(VALUE.as_bytes()));
    assert_debug_shows_nothing(&store.store());
}

fn assert_debug_shows_nothing(shown: &dyn Debug) {
    assert_shows_nothing(&format!("{shown:?}"));
    assert_shows_nothing(&format!("{shown:#?}"));
}

/// As text, as hex, or as a list of numbers; the text itself is not shown either.
fn assert_shows_nothing(shown: &str) {
    let shown = shown.to_lowercase().replace(char::is_whitespace, "");
    for secret in [KEY, VALUE] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let decimals: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
        let hexes: Vec<String> = secret.bytes().map(|byte| format!("0x{byte:02x}")).collect();
        for form in [secret.to_owned(), hex, decimals.join(","), hexes.join(",")] {
            assert!(!shown.contains(&form), "a key or a value is shown");
        }
    }
}

const KEY: &str = "hidden-key";
const VALUE: &str = "hidden-value";
