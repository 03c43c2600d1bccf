//! A history, step by step against a store and the model.

use strongroom::store::{Key, Op, ReadBatch};

use crate::opened::Opened;
use crate::step::batch_of;
use crate::{Claim, Mismatch, Model, Step, Subject};

/// Takes an empty store through the steps and compares every answer, and at the end every row, with the model's.
///
/// The body of a fuzz target:
///
/// ```
/// use strongroom_conformance::{Step, Subject, replay};
/// let data = b"whatever the fuzzer chose";
/// let steps: Vec<Step> = data.chunks(16).map(Step::decode).collect();
/// replay(&Subject::volatile(strongroom_memory::MemoryStore::new), &steps)?;
/// # Ok::<(), strongroom_conformance::Mismatch>(())
/// ```
///
/// # Errors
/// The first answer that differs.
pub fn replay(subject: &Subject, steps: &[Step]) -> Result<(), Mismatch> {
    let mut store = subject.fresh();
    let mut model = Model::new(store.store().capabilities());
    for (index, step) in steps.iter().enumerate() {
        let compared = match step {
            Step::Read(request) => compare_read(&store, &model, request),
            Step::Commit { expect, ops } => compare_commit(&store, &mut model, expect, ops),
            Step::Reopen if subject.is_durable() => {
                store = store.reopen();
                Ok(())
            }
            Step::Reopen => Ok(()),
        };
        compared.map_err(|what| Mismatch { step: index, what })?;
    }
    compare_rows(&store, &model).map_err(|what| Mismatch { step: steps.len(), what })
}

fn compare_read(store: &Opened, model: &Model, request: &ReadBatch) -> Result<(), String> {
    let (found, expected) = (store.try_read(request).map_err(|error| error.kind()), model.read(request));
    if found == expected {
        return Ok(());
    }
    Err(format!("the read of {request:?} answers {found:?}, not {expected:?}"))
}

fn compare_commit(
    store: &Opened,
    model: &mut Model,
    expect: &[(Key, Claim)],
    ops: &[Op],
) -> Result<(), String> {
    let batch = batch_of(expect, ops, model);
    let found = store.try_commit(batch.clone()).map_err(|error| error.kind());
    let expected = model.judge(&batch);
    let committed = match (found, expected) {
        (Ok(committed), Ok(())) => committed,
        (Err(found), Err(expected)) if found == expected => return Ok(()),
        (found, expected) => return Err(format!("the commit answers {found:?}, not {expected:?}")),
    };
    if model.apply(&batch, committed.revision) {
        return Ok(());
    }
    Err("the commit uses a revision again".to_owned())
}

fn compare_rows(store: &Opened, model: &Model) -> Result<(), String> {
    if store.rows() == model.rows() {
        return Ok(());
    }
    Err("the rows at the end differ".to_owned())
}
