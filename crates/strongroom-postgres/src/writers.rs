//! Writers of one process share transactions: one statement, each batch with its own expectations and its own answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_store::{Committed, Op, StoreError, WriteBatch};

use crate::call::Server;
use crate::failure::indeterminate;
use crate::sharing::Share;
use crate::write::Together;

impl Share for Arc<WriteBatch> {
    type Answer = Committed;
    /// Two, so that a batch that arrives while a transaction is in progress need not wait for its end.
    const AT_ONCE: usize = 2;

    /// The first, and those after it that do not depend on one of the group.
    fn choose<'r>(waiting: impl Iterator<Item = &'r Self>) -> Vec<bool> {
        let mut company = Company::default();
        waiting.map(|batch| company.takes_in(batch)).collect()
    }

    async fn call(
        server: &Server,
        batches: &[&Self],
    ) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let batches: Vec<&WriteBatch> = batches.iter().map(|batch| &***batch).collect();
        server.call_while_open(&Together(&batches)).await
    }

    fn lost() -> StoreError {
        indeterminate("the store was dropped while a batch was on its way")
    }
}

/// The rows of a group.
#[derive(Default)]
struct Company<'b> {
    len: usize,
    bytes_len: usize,
    expected: BTreeSet<&'b [u8]>,
    /// Whether the row is put unconditionally: then several may put it, and any of them may come last.
    written: BTreeMap<&'b [u8], bool>,
}

impl<'b> Company<'b> {
    /// Adds a batch unless one of the group writes what it expects or expects what it writes.
    fn takes_in(&mut self, batch: &'b WriteBatch) -> bool {
        let is_full = self.len >= GROUP_LEN_MAX || self.bytes_len + batch.bytes_len() > GROUP_BYTES_MAX;
        if self.len > 0 && is_full {
            return false;
        }
        let own: BTreeSet<&[u8]> = batch.expect.iter().map(|(key, _)| key.as_bytes()).collect();
        let is_blind = |op: &Op| matches!(op, Op::Put(..)) && !own.contains(op.key().as_bytes());
        let may_write = |op: &Op| match self.written.get(op.key().as_bytes()) {
            Some(others) => *others && is_blind(op),
            None => !self.expected.contains(op.key().as_bytes()),
        };
        if own.iter().any(|key| self.written.contains_key(key)) || !batch.ops.iter().all(may_write) {
            return false;
        }
        self.written.extend(batch.ops.iter().map(|op| (op.key().as_bytes(), is_blind(op))));
        self.expected.extend(own);
        self.len += 1;
        self.bytes_len += batch.bytes_len();
        true
    }
}

const GROUP_LEN_MAX: usize = 256;
/// Small enough that the first of a group does not wait long for the others.
const GROUP_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use strongroom_store::{Expect, Key, RowRevision};

    use super::*;

    fn key(name: &str) -> Key {
        Key::from(name.as_bytes())
    }

    fn batch(expect: &[&str], puts: &[&str]) -> WriteBatch {
        let mut batch = WriteBatch::default();
        expect.iter().for_each(|name| batch.expect(key(name), Expect::Revision(RowRevision(1))));
        puts.iter().for_each(|name| batch.put(key(name), Vec::new()));
        batch
    }

    #[test]
    fn batches_go_together_unless_one_decides_about_another() {
        let first = batch(&["header", "a"], &["a", "epoch"]);
        let cases = [
            (batch(&["header", "b"], &["b", "epoch"]), true),
            (batch(&["a"], &["c"]), false),
            (batch(&["header"], &["a"]), false),
            (batch(&[], &["header"]), false),
            (batch(&["epoch"], &["d"]), false),
            (batch(&["epoch"], &["epoch"]), false),
            (batch(&[], &["epoch"]), true),
        ];
        for (other, together) in cases {
            for (one, two) in [(&first, &other), (&other, &first)] {
                let mut company = Company::default();
                assert!(company.takes_in(one));
                assert_eq!(company.takes_in(two), together, "{one:?} and {two:?}");
            }
        }
    }

    #[test]
    fn a_group_is_bounded_and_a_batch_of_any_size_goes_alone() {
        let mut large = batch(&[], &[]);
        large.put(key("large"), vec![0; GROUP_BYTES_MAX]);
        let (mut company, small) = (Company::default(), batch(&[], &["small"]));
        assert!(company.takes_in(&large) && !company.takes_in(&small));
    }
}
