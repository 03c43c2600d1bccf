//! Notes of what callers were shown, waiting to be written to the audit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom::{Actor, AuditNote, Environment, Error, Org, OrgId};

/// What to do with a read that cannot be noted in the audit because too many notes are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It gets 503, so that nothing is shown without being noted or queued.
    Refuse,
    /// It is answered, and its notes are counted at `/metrics`, in `strongroom_audit_notes_lost_total`.
    Lose,
}

/// Notes of reads that wait to be written, of all callers together.
pub(crate) struct ReadNotes {
    pub(crate) when_full: WhenFull,
    notes_max: usize,
    waiting: Mutex<Waiting>,
    /// One writes at a time, so that a caller that waits for it knows that all earlier notes are written.
    writing: tokio::sync::Mutex<()>,
}

/// The actor and its org. Without the request, since one event holds the notes of many.
type Caller = (OrgId, Environment, Option<Actor>);

#[derive(Default)]
struct Waiting {
    of: HashMap<Caller, Unwritten>,
    /// How many there are, including those being written.
    len: usize,
    /// The same, for each org that has any.
    len_of: HashMap<OrgId, usize>,
    /// Whether a task will write them.
    is_scheduled: bool,
}

/// Notes of one caller.
#[derive(Default)]
struct Unwritten {
    notes: Vec<AuditNote>,
    /// Since when writing how many of them fails, from the first on. The rest have not been tried.
    failing: Vec<(u64, usize)>,
}

/// The result for the waiting notes.
pub(crate) struct Written {
    /// How many were dropped because they could not be written for a long time.
    pub(crate) lost: usize,
    pub(crate) result: Result<(), Error>,
}

impl ReadNotes {
    pub(crate) fn new(when_full: WhenFull, notes_max: usize) -> Self {
        Self { when_full, notes_max, waiting: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Takes all of these notes. Returns whether the caller must arrange for them to be written; `None` if there is no
    /// room.
    pub(crate) fn take(&self, org: &Org, notes: Vec<AuditNote>) -> Option<bool> {
        let mut waiting = self.lock();
        // No org may have more than it leaves free, so an org that floods the notes never takes the room of the others.
        let own_len = waiting.len_of.get(org.id()).copied().unwrap_or_default();
        if own_len + notes.len() > self.notes_max.saturating_sub(waiting.len) {
            return None;
        }
        waiting.len += notes.len();
        *waiting.len_of.entry(*org.id()).or_default() += notes.len();
        let actor = org.actor().map(|actor| Actor::new(actor.name().clone()));
        let caller = (*org.id(), org.environment().clone(), actor);
        waiting.of.entry(caller).or_default().notes.extend(notes);
        Some(!std::mem::replace(&mut waiting.is_scheduled, true))
    }

    /// Writes the waiting notes, each to its org as `open` now opens it. Notes that cannot be written wait again, for
    /// at most an hour.
    pub(crate) async fn write(&self, now_ms: u64, open: impl Fn(OrgId, Environment) -> Org) -> Written {
        let _writing = self.writing.lock().await;
        let callers: Vec<_> = self.lock().of.keys().cloned().collect();
        let mut all = Written { lost: 0, result: Ok(()) };
        for caller in callers {
            // They stay where they are until they are written, since this future may be dropped. New ones are added
            // after them.
            let notes =
                self.lock().of.get(&caller).map(|unwritten| unwritten.notes.clone()).unwrap_or_default();
            let (mut settled, result) = write_of(&open, &caller, &notes).await;
            let mut waiting = self.lock();
            let Some(unwritten) = waiting.of.get_mut(&caller) else { continue };
            if settled > 0 {
                // The org took events just now.
                unwritten.failing.clear();
            }
            if let Err(error) = result {
                all.result = Err(error);
                // An org that takes no events, for example because its quota is full, loses its notes, which frees
                // their room.
                let lost = unwritten.give_up(notes.len() - settled, now_ms);
                all.lost += lost;
                settled += lost;
            }
            unwritten.notes.drain(..settled);
            if unwritten.notes.is_empty() {
                waiting.of.remove(&caller);
            }
            waiting.settle(&caller.0, settled);
        }
        all
    }

    /// Whether any notes are waiting. If not, the next note schedules another task.
    pub(crate) fn is_any_left(&self) -> bool {
        let mut waiting = self.lock();
        waiting.is_scheduled = !waiting.of.is_empty();
        waiting.is_scheduled
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unwritten {
    /// Notes that writing so many fails. Returns how many of them have failed for too long.
    fn give_up(&mut self, len: usize, now_ms: u64) -> usize {
        let known: usize = self.failing.iter().map(|(_, len)| len).sum();
        if len > known {
            self.failing.push((now_ms, len - known));
        }
        let is_old = |(since, _): &&(u64, usize)| now_ms.saturating_sub(*since) > FAILING_MS_MAX;
        let old = self.failing.iter().take_while(is_old).count();
        self.failing.drain(..old).map(|(_, len)| len).sum()
    }
}

impl Waiting {
    /// Frees the room of this many notes.
    fn settle(&mut self, org: &OrgId, notes: usize) {
        self.len = self.len.saturating_sub(notes);
        if let Some(own) = self.len_of.get_mut(org) {
            *own = own.saturating_sub(notes);
            if *own == 0 {
                self.len_of.remove(org);
            }
        }
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
/// Longer than any usual outage of a store.
const FAILING_MS_MAX: u64 = 60 * 60 * 1_000;
