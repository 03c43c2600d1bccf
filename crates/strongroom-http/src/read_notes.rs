//! What callers were shown, on its way to the audit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom::{Actor, AuditNote, Environment, Error, Org, OrgId};

/// What becomes of a read that cannot be noted in the audit, since too many notes wait to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It gets 503, so that nothing is shown that is not noted.
    Refuse,
    /// It is answered, and its notes are counted at `/metrics`, in `strongroom_audit_notes_lost_total`.
    Lose,
}

/// Notes of reads that wait to be written, of all callers together.
pub(crate) struct ReadNotes {
    pub(crate) when_full: WhenFull,
    notes_max: usize,
    waiting: Mutex<Waiting>,
    /// One writes at a time, so that whoever waits for it knows that everything from before is written.
    writing: tokio::sync::Mutex<()>,
}

/// On whose behalf, in which org. Without the request, since one event holds the notes of many.
type Caller = (OrgId, Environment, Option<Actor>);

#[derive(Default)]
struct Waiting {
    of: HashMap<Caller, Vec<AuditNote>>,
    /// How many there are, those that are being written included.
    len: usize,
    /// Whether a task will write them.
    is_scheduled: bool,
}

impl ReadNotes {
    pub(crate) fn new(when_full: WhenFull, notes_max: usize) -> Self {
        Self { when_full, notes_max, waiting: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Takes all of these notes. Returns whether somebody has to see to it that they are written; `None` if there is no
    /// room.
    pub(crate) fn take(&self, org: &Org, notes: Vec<AuditNote>) -> Option<bool> {
        let mut waiting = self.lock();
        if waiting.len + notes.len() > self.notes_max {
            return None;
        }
        waiting.len += notes.len();
        let actor = org.actor().map(|actor| Actor::new(actor.name().clone()));
        let caller = (*org.id(), org.environment().clone(), actor);
        waiting.of.entry(caller).or_default().extend(notes);
        Some(!std::mem::replace(&mut waiting.is_scheduled, true))
    }

    /// Writes what waits, each to its org as `open` opens it now. What cannot be written waits again.
    pub(crate) async fn write(&self, open: impl Fn(OrgId, Environment) -> Org) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        let of = std::mem::take(&mut self.lock().of);
        let mut failed = Ok(());
        for (caller, notes) in of {
            let (written, result) = write_of(&open, &caller, &notes).await;
            let mut waiting = self.lock();
            waiting.len = waiting.len.saturating_sub(written);
            if let Err(error) = result {
                let later = waiting.of.remove(&caller).unwrap_or_default();
                waiting.of.insert(caller, notes.into_iter().skip(written).chain(later).collect());
                failed = Err(error);
            }
        }
        failed
    }

    /// Whether anything waits. If not, the next note schedules another task.
    pub(crate) fn is_any_left(&self) -> bool {
        let mut waiting = self.lock();
        waiting.is_scheduled = !waiting.of.is_empty();
        waiting.is_scheduled
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the notes of one caller, and returns how many were written.
async fn write_of(
    open: impl Fn(OrgId, Environment) -> Org,
    caller: &Caller,
    notes: &[AuditNote],
) -> (usize, Result<(), Error>) {
    let (org, environment, actor) = caller;
    let mut org = open(*org, environment.clone());
    if let Some(actor) = actor {
        org = org.acting_as(actor.clone());
    }
    let mut written = 0;
    for some in notes.chunks(NOTES_AT_ONCE) {
        if let Err(error) = org.note(some).await {
            return (written, Err(error));
        }
        written += some.len();
    }
    (written, Ok(()))
}

impl fmt::Debug for ReadNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadNotes").field("len", &self.lock().len).finish_non_exhaustive()
    }
}

/// As many as the engine puts into one event.
const NOTES_AT_ONCE: usize = 50;
