//! Batches as the parameters of one statement, and the meaning of its answer for each.

use std::collections::BTreeSet;

use strongroom_store::{Committed, Op, RowRevision, StoreError, WriteBatch};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::failure::indeterminate;
use crate::parameter::Bytes;
use crate::revision;
use crate::sql::{self, PUT};
use crate::statement::Parameter;

/// Batches none of which expects what another one writes, as parameters for the server. Locked keys are sorted, so that
/// two transactions take locks of one kind in the same order.
pub(crate) struct Gathered<'b> {
    /// The revision of every row that is put: each key is put once.
    revision: i64,
    /// Locked against writers.
    shared: Vec<Bytes<'b>>,
    /// Locked against everyone.
    own: Vec<Bytes<'b>>,
    expected: Numbered<'b>,
    marks: Vec<i64>,
    puts: Numbered<'b>,
    values: Vec<Bytes<'b>>,
    deletes: Numbered<'b>,
    /// The keys of puts that require that there is no row yet.
    added: Vec<Bytes<'b>>,
    /// Where the expectations of each batch begin.
    begins: Vec<usize>,
}

/// Keys, each with the number of its batch.
#[derive(Default)]
struct Numbered<'b> {
    batches: Vec<i64>,
    keys: Vec<Bytes<'b>>,
}

impl<'b> Gathered<'b> {
    pub(crate) fn new(batches: &[&'b WriteBatch]) -> Result<Self, StoreError> {
        let written = batches.iter().flat_map(|batch| &batch.ops).map(|op| op.key().as_bytes());
        let written: BTreeSet<&[u8]> = written.collect();
        let expected = batches.iter().flat_map(|batch| &batch.expect).map(|(key, _)| key.as_bytes());
        let only_expected: BTreeSet<&[u8]> = expected.filter(|key| !written.contains(key)).collect();
        let mut gathered = Self {
            revision: revision::fresh()?,
            shared: only_expected.into_iter().map(Bytes).collect(),
            own: written.into_iter().map(Bytes).collect(),
            expected: Numbered::default(),
            marks: Vec::new(),
            puts: Numbered::default(),
            values: Vec::new(),
            deletes: Numbered::default(),
            added: Vec::new(),
            begins: Vec::new(),
        };
        for (batch, number) in batches.iter().zip(0..) {
            gathered.add(batch, number);
        }
        Ok(gathered)
    }

    fn add(&mut self, batch: &'b WriteBatch, number: i64) {
        self.begins.push(self.marks.len());
        for (key, expect) in &batch.expect {
            self.expected.push(number, key.as_bytes());
            let mark = sql::mark(*expect);
            self.marks.push(mark);
            if mark == sql::ABSENT {
                self.added.push(Bytes(key.as_bytes()));
            }
        }
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    self.puts.push(number, key.as_bytes());
                    self.values.push(Bytes(value));
                }
                Op::Delete(key) => self.deletes.push(number, key.as_bytes()),
            }
        }
    }

    /// In the order of [`Sql::apply`](crate::sql::Sql).
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 12] {
        [
            (&self.shared, Type::BYTEA_ARRAY),
            (&self.own, Type::BYTEA_ARRAY),
            (&self.expected.batches, Type::INT8_ARRAY),
            (&self.expected.keys, Type::BYTEA_ARRAY),
            (&self.marks, Type::INT8_ARRAY),
            (&self.puts.batches, Type::INT8_ARRAY),
            (&self.puts.keys, Type::BYTEA_ARRAY),
            (&self.values, Type::BYTEA_ARRAY),
            (&self.revision, Type::INT8),
            (&self.deletes.batches, Type::INT8_ARRAY),
            (&self.deletes.keys, Type::BYTEA_ARRAY),
            (&self.added, Type::BYTEA_ARRAY),
        ]
    }

    /// The result for each batch: it was applied, or this expectation of it failed.
    pub(crate) fn verdicts(
        &self,
        answer: &[(i64, i64)],
    ) -> Result<Vec<Result<Committed, usize>>, StoreError> {
        let applied = Committed { revision: RowRevision(self.revision.unsigned_abs()) };
        let mut verdicts = vec![Ok(applied); self.begins.len()];
        for (batch, place) in answer.iter().filter(|(batch, _)| *batch != PUT) {
            let batch = usize::try_from(*batch).unwrap_or(usize::MAX);
            if let (Some(verdict), Some(begin)) = (verdicts.get_mut(batch), self.begins.get(batch)) {
                // Places count from 1 over all batches.
                *verdict = Err(usize::try_from(*place).unwrap_or_default().saturating_sub(begin + 1));
            }
        }
        // The statement ends with the number of rows that it put, even if that is zero.
        let is_whole = answer.iter().any(|(batch, _)| *batch == PUT);
        if is_whole { Ok(verdicts) } else { Err(indeterminate("the server's answer was cut short")) }
    }
}

/// The answer to the statement: pairs of numbers.
pub(crate) fn answer(rows: &[Row]) -> Result<Vec<(i64, i64)>, StoreError> {
    let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let pairs: Result<_, tokio_postgres::Error> = pairs.collect();
    pairs.map_err(|_| indeterminate("the server answered something else than was asked"))
}

impl<'b> Numbered<'b> {
    fn push(&mut self, batch: i64, key: &'b [u8]) {
        self.batches.push(batch);
        self.keys.push(Bytes(key));
    }
}

#[cfg(test)]
mod tests {
    use strongroom_store::{Expect, Key};

    use super::*;

    #[test]
    fn an_expectation_that_failed_has_the_place_that_it_has_in_its_own_batch() {
        let batch = |names: [&str; 2]| {
            let mut batch = WriteBatch::default();
            names.iter().for_each(|name| batch.expect(Key::from(name.as_bytes()), Expect::Exists));
            batch
        };
        let (first, second) = (batch(["a", "b"]), batch(["c", "d"]));
        let gathered = Gathered::new(&[&first, &second]).unwrap();
        for (number, place, index) in [(0, 1, 0), (0, 2, 1), (1, 3, 0), (1, 4, 1)] {
            let verdicts = gathered.verdicts(&[(number, place), (PUT, 0)]).unwrap();
            let failed: Vec<_> = verdicts.into_iter().map(Result::err).collect();
            let expected = if number == 0 { [Some(index), None] } else { [None, Some(index)] };
            assert_eq!(failed, expected, "{place}");
        }
    }
}
