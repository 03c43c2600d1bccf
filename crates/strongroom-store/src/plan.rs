//! A batch that was not sent to the store, for a transaction of the host.

use std::fmt;
use std::sync::Arc;

use super::{Key, Op, StoreError, WriteBatch};

/// What a verb would write: sealed and complete, with every expectation, for one vault. The engine makes it, and a
/// backend's crate applies it in a transaction of the host, so that the host's own rows and these are committed
/// together or not at all.
///
/// It may be dropped at any time: nothing is written before the host commits. `Debug` shows only counts.
#[derive(Clone)]
pub struct Plan {
    batch: Arc<WriteBatch>,
    vault: (Key, Vec<u8>),
    subjects: Vec<&'static str>,
}

impl Plan {
    /// For engines. `vault` is a row that every store of this vault holds and no other store does. `subjects` names for
    /// people the subject of each expectation, in their order.
    #[must_use]
    pub fn new(batch: WriteBatch, vault: (Key, Vec<u8>), subjects: Vec<&'static str>) -> Self {
        Self { batch: Arc::new(batch), vault, subjects }
    }

    /// For backends: what to check and to write.
    #[must_use]
    pub fn batch(&self) -> &Arc<WriteBatch> {
        &self.batch
    }

    /// For backends: the row that identifies the vault. It may have any revision.
    #[must_use]
    pub fn vault(&self) -> (&Key, &[u8]) {
        (&self.vault.0, &self.vault.1)
    }

    /// How many rows it writes, including deletes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch.ops.len()
    }

    /// For backends: why the plan was refused, from its first failed expectation and from what the store holds at the
    /// keys that the plan writes, in their order.
    #[must_use]
    pub fn refusal<'r>(&self, failed: usize, found: impl IntoIterator<Item = Option<&'r [u8]>>) -> PlanError {
        let is_as_written = |(op, found): (&Op, Option<&[u8]>)| match op {
            Op::Put(_, value) => found == Some(value),
            Op::Delete(_) => found.is_none(),
        };
        if self.batch.ops.iter().zip(found).all(is_as_written) {
            return PlanError::Applied;
        }
        self.moved(failed)
    }

    /// For backends that do not check whether a plan was already applied: the same, from its first failed expectation
    /// only.
    #[must_use]
    pub fn moved(&self, failed: usize) -> PlanError {
        PlanError::Moved(self.subjects.get(failed).copied().unwrap_or("row"))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WriteBatch { expect, ops } = &*self.batch;
        f.debug_struct("Plan").field("expects", &expect.len()).field("writes", &ops.len()).finish()
    }
}

/// Why a plan was not applied. Nothing of it was written.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlanError {
    /// Something that the plan depends on has changed. This says what, in one word, such as `value` or `keyring`. Make
    /// the plan again and apply that.
    Moved(&'static str),
    /// The store already holds what the plan writes: it was applied before.
    Applied,
    /// It was made for another vault than the one in these tables.
    AnotherVault,
    /// An earlier statement of the transaction failed. Roll back, and apply the same plan in another transaction.
    Aborted,
    /// The backend refused or failed. After [`Contention`](super::StoreErrorKind::Contention), roll back and apply the
    /// same plan again.
    Store(StoreError),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(what) => {
                write!(f, "a row that the plan was made on has changed ({what}): make it again")
            }
            Self::Applied => f.write_str("the plan was applied before"),
            Self::AnotherVault => f.write_str("the plan is for another vault than the one in these tables"),
            Self::Aborted => {
                f.write_str("the transaction has failed: roll it back and apply the plan in another one")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for PlanError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expect;

    fn plan() -> Plan {
        let key = |name: &str| Key::from(name.as_bytes());
        let mut batch = WriteBatch::default();
        batch.expect(key("secret-key"), Expect::Exists);
        batch.put(key("secret-key"), b"secret-value".to_vec());
        batch.delete(key("other"));
        Plan::new(batch, (key("header"), b"secret-header".to_vec()), vec!["value"])
    }

    #[test]
    fn debug_shows_only_counts() {
        assert_eq!(format!("{:?}", plan()), "Plan { expects: 1, writes: 2 }");
    }

    #[test]
    fn a_store_that_shows_what_the_plan_writes_has_it_and_any_other_has_moved() {
        let refusal = |found: [Option<&[u8]>; 2]| plan().refusal(0, found);
        assert!(matches!(refusal([Some(b"secret-value"), None]), PlanError::Applied));
        for found in [[None, None], [Some(b"secret-value".as_slice()), Some(b"x")], [Some(b"x"), None]] {
            assert!(matches!(refusal(found), PlanError::Moved("value")));
        }
    }
}
