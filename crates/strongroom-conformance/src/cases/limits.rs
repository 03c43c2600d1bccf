//! Rules about sizes and about what a store says of itself.

use strongroom::store::{Durability, KEY_BYTES_MAX, Op, StoreErrorKind, VALUE_BYTES_MAX};

use crate::Subject;
use crate::batch::{absent, batch, delete, exists, put, scan_all};

pub(super) fn capabilities_stay_and_reach_the_floor(subject: &Subject) {
    let store = subject.fresh();
    let before = store.store().capabilities();
    store.put("a", "1");
    assert_eq!(store.store().capabilities(), before);
    assert!(before.batch_ops_max >= 128, "a batch takes at least 128 operations");
    assert!(before.batch_bytes_max >= 1 << 20, "a batch takes at least 1 MiB");
}

/// A store that claims to be durable must be opened by `store_tests!(place, open)`, and no other may be.
pub(super) fn the_durability_that_is_claimed_is_the_one_tested(subject: &Subject) {
    let durability = subject.fresh().store().capabilities().durability;
    assert_eq!(durability != Durability::Volatile, subject.is_durable());
}

pub(super) fn a_key_of_the_longest_length_is_kept(subject: &Subject) {
    let store = subject.fresh();
    // Two keys that only their last byte tells apart.
    let (mut one, mut other) = (vec![0xff; KEY_BYTES_MAX], vec![0xff; KEY_BYTES_MAX]);
    one.pop();
    one.push(1);
    other.pop();
    other.push(2);
    store.commit(batch([absent(&one), absent(&other)], [put(&one, "1"), put(&other, "2")]));
    assert_eq!(store.keys(scan_all()), [one.clone(), other.clone()]);
    assert_eq!(store.value(&one), Some(b"1".to_vec()));
    store.commit(batch([exists(&one), exists(&other)], [delete(&one)]));
    assert_eq!(store.keys(scan_all()), [other]);
}

pub(super) fn a_key_over_its_limit_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let key = vec![b'k'; KEY_BYTES_MAX + 1];
    assert_eq!(store.refusal(batch([], [put(&key, "1")])), StoreErrorKind::TooLarge);
    assert_eq!(store.refusal(batch([], [delete(&key)])), StoreErrorKind::TooLarge);
    assert_eq!(store.refusal(batch([exists(&key)], [put("a", "1")])), StoreErrorKind::TooLarge);
    assert!(store.rows().is_empty());
}

pub(super) fn a_value_of_the_largest_size_is_kept(subject: &Subject) {
    let store = subject.fresh();
    let value: Vec<u8> = (0..=u8::MAX).cycle().take(VALUE_BYTES_MAX).collect();
    store.put("a", &value);
    assert!(store.value("a") == Some(value), "every byte is kept");
}

pub(super) fn a_value_over_its_limit_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let value = vec![b'v'; VALUE_BYTES_MAX + 1];
    assert_eq!(store.refusal(batch([], [put("a", value)])), StoreErrorKind::TooLarge);
    assert_eq!(store.get("a"), None);
}

pub(super) fn a_batch_of_the_most_operations_is_applied(subject: &Subject) {
    let store = subject.fresh();
    let ops_max = store.store().capabilities().batch_ops_max;
    store.commit(batch(numbers(ops_max).map(absent), numbers(ops_max).map(|key| put(key, ""))));
    assert_eq!(store.walk(&scan_all().keys_only()).len(), ops_max);
    store.commit(batch(numbers(ops_max).map(exists), numbers(ops_max).map(delete)));
    assert_eq!(store.rows(), []);
}

pub(super) fn a_batch_of_too_many_operations_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let too_many = store.store().capabilities().batch_ops_max + 1;
    let puts = numbers(too_many).map(|key| put(key, ""));
    assert_eq!(store.refusal(batch([], puts)), StoreErrorKind::TooLarge);
    assert_eq!(store.rows(), []);
}

pub(super) fn a_batch_of_too_many_expectations_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let too_many = store.store().capabilities().batch_ops_max + 1;
    let refused = batch(numbers(too_many).map(exists), [put("a", "1")]);
    assert_eq!(store.refusal(refused), StoreErrorKind::TooLarge);
}

pub(super) fn a_batch_of_the_most_bytes_is_applied(subject: &Subject) {
    let store = subject.fresh();
    let full = batch([], puts_of(store.store().capabilities().batch_bytes_max));
    let bytes_len = full.bytes_len();
    store.commit(full);
    let kept = store.rows();
    assert_eq!(
        kept.iter().map(|(key, row)| key.as_bytes().len() + row.value.len()).sum::<usize>(),
        bytes_len
    );
}

pub(super) fn a_batch_of_too_many_bytes_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let refused = batch([], puts_of(store.store().capabilities().batch_bytes_max + 1));
    assert_eq!(store.refusal(refused), StoreErrorKind::TooLarge);
    assert_eq!(store.rows(), []);
}

/// Keys of four bytes.
fn numbers(len: usize) -> impl Iterator<Item = [u8; 4]> {
    (0_u32..).map(u32::to_be_bytes).take(len)
}

/// Puts whose keys and values are exactly `bytes_len` bytes in all.
fn puts_of(bytes_len: usize) -> Vec<Op> {
    let rows_len = bytes_len.div_ceil(VALUE_BYTES_MAX);
    let share = |index| bytes_len / rows_len + usize::from(index < bytes_len % rows_len);
    numbers(rows_len).enumerate().map(|(index, key)| put(key, vec![b'v'; share(index) - key.len()])).collect()
}
