//! The thread: gathers, commits, answers, and ends.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use strongroom_store::StoreError;

use crate::Readers;
use crate::failure::{guarded, poisoned};
use crate::group::{Crowd, Group};
use crate::job::Job;
use crate::writer::{Answer, Writer};

/// What the thread owns.
pub(crate) struct Thread<W: Writer> {
    pub(crate) writer: W,
    pub(crate) readers: Arc<Readers<W::View>>,
    pub(crate) crowd: Crowd,
}

impl<W: Writer> Thread<W> {
    /// Works until it is asked to close or nobody can ask any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Job<W>>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
            match job {
                Job::Commit(first) => {
                    let (group, other) = Group::gather(first, jobs, &self.crowd);
                    self.commit(group);
                    next = other;
                }
                Job::Work(work) => work(&mut self.writer, &self.readers),
                Job::Close(answer) => {
                    self.close();
                    // Nobody waits for it when the store was dropped.
                    let _ = answer.send(());
                    return;
                }
            }
        }
        self.close();
    }

    fn commit(&mut self, group: Group) {
        let start = Instant::now();
        let outcome = committed(&mut self.writer, &self.readers, &group);
        self.crowd.take_note(group.len(), start.elapsed());
        match outcome {
            Ok(answers) => group.answer(answers),
            Err(cause) => group.answer(std::iter::repeat_with(|| Err(poisoned(&cause)))),
        }
    }

    /// Takes the view from the readers, then closes the files.
    fn close(self) {
        if self.readers.poisoned().is_err() {
            // A backend may panic when it cannot tidy up; the poisoned store reported the cause already.
            let _ = guarded(|| {
                drop(self.writer);
                Ok(())
            });
            return;
        }
        self.readers.close();
        if let Err(cause) = guarded(|| self.writer.close()) {
            self.readers.poison(cause);
        }
    }
}

/// The answers of the writer, or why the store is poisoned. A poisoned store touches its files no more.
fn committed<W: Writer>(
    writer: &mut W,
    readers: &Readers<W::View>,
    group: &Group,
) -> Result<Vec<Answer>, Arc<StoreError>> {
    readers.poisoned()?;
    guarded(|| writer.commit(&group.batches(), readers)).map_err(|cause| readers.poison(cause))
}
