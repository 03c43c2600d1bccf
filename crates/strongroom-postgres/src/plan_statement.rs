//! A plan as a statement for any driver.

use std::fmt;

use strongroom_store::{Expect, Op, Plan, PlanError};

use crate::failure::{indeterminate, unsupported};
use crate::revision;
use crate::sql::{ANOTHER_VAULT, ASYNCHRONOUS, PUT, mark};

/// What applies a plan: one statement, its parameters in order, and the meaning of its answer. `docs/BACKENDS.md` of
/// the engine says what each parameter is.
///
/// Send it in a transaction of the host, and roll that back if the driver reports an error. SQLSTATE `22012` means that
/// another transaction added a row meanwhile; as after class `40`, begin again with the same plan.
pub struct PlanStatement {
    text: String,
    parameters: Vec<PlanParameter>,
    plan: Plan,
}

/// A parameter, by its type.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanParameter {
    /// `bytea[]`
    ByteaArray(Vec<Vec<u8>>),
    /// `bigint[]`
    BigintArray(Vec<i64>),
    /// `bigint`
    Bigint(i64),
    /// `bytea`
    Bytea(Vec<u8>),
}

impl PlanStatement {
    pub(crate) fn new(text: String, plan: &Plan) -> Result<Self, PlanError> {
        let batch = &**plan.batch();
        let is_written = |key: &[u8]| batch.ops.iter().any(|op| op.key().as_bytes() == key);
        let mut own: Vec<_> = batch.ops.iter().map(|op| op.key().as_bytes().to_vec()).collect();
        own.sort_unstable();
        let expected: Vec<_> = batch.expect.iter().map(|(key, _)| key.as_bytes().to_vec()).collect();
        let mut shared: Vec<_> = expected.iter().filter(|key| !is_written(key)).cloned().collect();
        shared.sort_unstable();
        let added = batch.expect.iter().filter(|(_, expect)| *expect == Expect::Absent);
        let added = added.map(|(key, _)| key.as_bytes().to_vec()).collect();
        let (mut puts, mut values, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    puts.push(key.as_bytes().to_vec());
                    values.push(value.clone());
                }
                Op::Delete(key) => deletes.push(key.as_bytes().to_vec()),
            }
        }
        let (key, header) = plan.vault();
        let (bytes, numbers) = (PlanParameter::ByteaArray, PlanParameter::BigintArray);
        let parameters = vec![
            bytes(shared),
            bytes(own),
            numbers(vec![0; expected.len()]),
            bytes(expected),
            numbers(batch.expect.iter().map(|(_, expect)| mark(*expect)).collect()),
            numbers(vec![0; puts.len()]),
            bytes(puts),
            bytes(values),
            PlanParameter::Bigint(revision::fresh()?),
            numbers(vec![0; deletes.len()]),
            bytes(deletes),
            bytes(added),
            PlanParameter::Bytea(key.as_bytes().to_vec()),
            PlanParameter::Bytea(header.to_vec()),
        ];
        Ok(Self { text, parameters, plan: plan.clone() })
    }

    /// The text, with parameters from `$1` on.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters, `$1` first.
    #[must_use]
    pub fn parameters(&self) -> &[PlanParameter] {
        &self.parameters
    }

    /// The meaning of an answer: rows of two `bigint`, all of them. If this returns an error, nothing of the plan is
    /// written, except after `Indeterminate`.
    ///
    /// # Errors
    /// [`PlanError::Moved`], also for a plan that was applied before; [`PlanError::AnotherVault`]; [`PlanError::Store`]
    /// with `Unsupported` in a session whose `synchronous_commit` is off, and with `Indeterminate` for an answer that
    /// is not whole: roll the transaction back.
    pub fn outcome(&self, answer: &[(i64, i64)]) -> Result<(), PlanError> {
        match self.failed(answer)? {
            // Without the stored rows, an applied plan looks like one that has become outdated.
            Some(failed) => Err(self.plan.moved(failed)),
            None => Ok(()),
        }
    }

    /// The expectation that failed first.
    pub(crate) fn failed(&self, answer: &[(i64, i64)]) -> Result<Option<usize>, PlanError> {
        refuse_elsewhere(answer)?;
        // The statement ends with the number of rows that it put, even if that is zero.
        if !answer.iter().any(|(batch, _)| *batch == PUT) {
            return Err(indeterminate("the server's answer was cut short").into());
        }
        let failed = answer.iter().find(|(batch, _)| *batch != PUT);
        Ok(failed.map(|(_, place)| usize::try_from(place - 1).unwrap_or_default()))
    }
}

/// Refuses answers that are not about an expectation.
pub(crate) fn refuse_elsewhere(answer: &[(i64, i64)]) -> Result<(), PlanError> {
    let is_there = |sought| answer.iter().any(|(batch, place)| *batch != PUT && *place == sought);
    if is_there(ANOTHER_VAULT) {
        return Err(PlanError::AnotherVault);
    }
    if is_there(ASYNCHRONOUS) {
        let message = "the session does not wait for its commits: set synchronous_commit on";
        return Err(unsupported(message).into());
    }
    Ok(())
}

/// Shows no bytes.
impl fmt::Debug for PlanStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanStatement").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// Shows no bytes.
impl fmt::Debug for PlanParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, len) = match self {
            Self::ByteaArray(all) => ("ByteaArray", all.len()),
            Self::BigintArray(all) => ("BigintArray", all.len()),
            Self::Bigint(_) => ("Bigint", 1),
            Self::Bytea(bytes) => ("Bytea", bytes.len()),
        };
        write!(f, "{name}({len})")
    }
}

#[cfg(test)]
mod tests {
    use strongroom_store::{Key, StoreErrorKind, WriteBatch};

    use super::*;

    #[test]
    fn an_answer_without_its_last_row_is_neither_an_applied_plan_nor_a_refused_one() {
        let mut batch = WriteBatch::default();
        batch.expect(Key::from(b"k".as_slice()), Expect::Exists);
        batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
        let header = (Key::from(b"header".as_slice()), b"h".to_vec());
        let statement = PlanStatement::new(String::new(), &Plan::new(batch, header, vec!["value"])).unwrap();
        for cut in [&[][..], &[(0, 1)]] {
            let Err(PlanError::Store(error)) = statement.outcome(cut) else { panic!("{cut:?}") };
            assert_eq!(error.kind(), StoreErrorKind::Indeterminate, "{cut:?}");
        }
        assert!(statement.outcome(&[(PUT, 1)]).is_ok());
        assert!(matches!(statement.outcome(&[(0, 1), (PUT, 0)]), Err(PlanError::Moved("value"))));
    }
}
