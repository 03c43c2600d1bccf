//! One run: actors on engines over one store, one step at a time, in the order that the dice say.

use std::collections::VecDeque;
use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use strongroom::{Backup, Clock as _, DataKeys, Error, PageRequest, Vault, VaultOptions, WrongStore};

use super::client::{Done, attempted, look, perform};
use super::dice::Dice;
use super::disk::{Disk, Faults};
use super::history::{Effect, History};
use super::plan::{Action, Plan};
use crate::audit::{self, Moment};
use crate::common::TestClock;
use crate::rig::unlock;

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Why a run fails, as one text.
type Failure = String;

pub(crate) struct World {
    plan: Plan,
    dice: Dice,
    clock: TestClock,
    /// The store that holds the vault, and those from which it was moved.
    disk: Disk,
    former: Vec<Disk>,
    /// Where a copy goes that is not known to be complete.
    target: Option<Disk>,
    /// Targets of copies that were given up, or may have been.
    given_up: Vec<Disk>,
    engines: Vec<Option<Vault>>,
    actors: Vec<Actor>,
    history: History,
    backups: Vec<Taken>,
    now: u64,
    tokens_len: u64,
}

struct Actor {
    engine: usize,
    actions: VecDeque<Action>,
    current: Option<Current>,
}

struct Current {
    action: Action,
    token: u64,
    start: u64,
    /// It opens the engine first, and the others wait for that: who is alone on a store opens it once.
    opens: bool,
    task: Task<Answer>,
}

/// What a task of an actor ends with.
enum Answer {
    Opened(Result<Vault, Error>),
    Performed(Result<Done, Error>),
    BackedUp(Result<Vec<u8>, Error>),
    Copied(Disk, Result<(), Error>),
    Abandoned(Disk, Result<(), Error>),
}

/// A backup, and when it was made.
struct Taken {
    file: Vec<u8>,
    start: u64,
    end: u64,
}

impl World {
    /// Plays a plan to its end. Answers with a digest of all that was written.
    pub(crate) fn play(plan: &Plan) -> Result<u64, Failure> {
        let mut dice = Dice::new(plan.seed);
        let clock = TestClock::default();
        clock.set(1_700_000_000_000);
        let disk = Disk::new(dice.split(), Faults::default());
        let options = VaultOptions::default().clock(clock.clone());
        drive(&[&disk], options.create(disk.handle(true), unlock())).map_err(|error| error.to_string())?;
        disk.begin_faults(plan.faults);
        let actor = |(engine, actions): &(usize, Vec<Action>)| Actor {
            engine: *engine,
            actions: actions.iter().copied().collect(),
            current: None,
        };
        let mut world = Self {
            dice,
            clock,
            disk,
            former: Vec::new(),
            target: None,
            given_up: Vec::new(),
            engines: vec![None; plan.engines_len],
            actors: plan.actors.iter().map(actor).collect(),
            history: History::default(),
            backups: Vec::new(),
            now: 0,
            tokens_len: 0,
            plan: plan.clone(),
        };
        while world.actors.iter().any(|actor| actor.current.is_some() || !actor.actions.is_empty()) {
            world.step()?;
            if world.now > STEPS_MAX {
                return Err("the actors come to no end".to_owned());
            }
        }
        world.end()
    }

    fn step(&mut self) -> Result<(), Failure> {
        self.now += 1;
        self.clock.set(self.clock.now_ms() + self.dice.below(200) as u64);
        if self.disk.is_poisoned() {
            self.cut_power();
        }
        if self.dice.permille(400) {
            let disks_len = self.disks().count();
            let disk = self.dice.below(disks_len);
            self.disks().nth(disk).into_iter().for_each(Disk::deliver_one);
            return Ok(());
        }
        let actor = self.dice.below(self.actors.len());
        if self.actors[actor].current.is_none() {
            self.begin(actor);
        }
        let Some(current) = &mut self.actors[actor].current else { return Ok(()) };
        let polled = current.task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(answer) = polled else { return Ok(()) };
        let Some(done) = self.actors[actor].current.take() else { return Ok(()) };
        self.answered(actor, &done, answer)
    }

    fn disks(&self) -> impl Iterator<Item = &Disk> {
        self.former.iter().chain(&self.given_up).chain(&self.target).chain([&self.disk])
    }

    /// Takes the next action of an actor; first its engine is opened.
    fn begin(&mut self, actor: usize) {
        let Some(action) = self.actors[actor].actions.front().copied() else { return };
        let engine = self.actors[actor].engine;
        match action {
            Action::Crash => self.crash(engine),
            Action::CutPower => self.cut_power(),
            Action::Stall => self.clock.set(self.clock.now_ms() + LEASE_MS),
            Action::Cancel(other) => self.forget(other),
            _ => {
                let opens = self.engines[engine].is_none();
                let is_opening = |other: &Actor| {
                    other.engine == engine && other.current.as_ref().is_some_and(|current| current.opens)
                };
                if opens && self.actors.iter().any(is_opening) {
                    return;
                }
                let token = self.tokens_len;
                self.tokens_len += 1;
                let task = self.task(engine, action, token);
                if !opens {
                    self.actors[actor].actions.pop_front();
                }
                self.actors[actor].current = Some(Current { action, token, start: self.now, opens, task });
                return;
            }
        }
        self.actors[actor].actions.pop_front();
    }

    fn task(&mut self, engine: usize, action: Action, token: u64) -> Task<Answer> {
        let Some(vault) = self.engines[engine].clone() else {
            if !self.plan.is_shared() {
                self.disk.cut_power();
            }
            let handle = self.disk.handle(self.plan.is_shared());
            let options = VaultOptions::default().clock(self.clock.clone());
            return Box::pin(async move { Answer::Opened(options.open(handle, unlock()).await) });
        };
        match action {
            Action::Backup => Box::pin(async move {
                let mut file = Vec::new();
                Answer::BackedUp(vault.backup(&mut file, |_| ()).await.map(|_| file))
            }),
            Action::Copy => {
                let dice = self.dice.split();
                let target = self.target.get_or_insert_with(|| Disk::new(dice, self.plan.faults));
                let target = target.clone();
                Box::pin(async move {
                    let copied = vault.copy_to(&target.handle(true), |_| ()).await;
                    Answer::Copied(target, copied.map(|_| ()))
                })
            }
            Action::AbandonCopy => {
                // Without a copy there is nothing to give up, and any store will do.
                let target = self.target.clone().unwrap_or_else(|| self.disk.clone());
                Box::pin(async move {
                    let abandoned = vault.abandon_copy(&target.handle(true)).await;
                    Answer::Abandoned(target, abandoned)
                })
            }
            _ => Box::pin(async move { Answer::Performed(perform(action, &vault, token).await) }),
        }
    }

    fn answered(&mut self, actor: usize, done: &Current, answer: Answer) -> Result<(), Failure> {
        let engine = self.actors[actor].engine;
        match answer {
            Answer::Opened(Ok(vault)) => self.engines[engine] = Some(vault),
            Answer::Opened(Err(error)) => self.explain(done, &error)?,
            Answer::Performed(Ok(Done { effects, is_unsure, reopen })) => {
                let what = format!("{:?}", done.action);
                for effect in effects {
                    self.history.push(&what, done.start, Some(self.now), effect);
                }
                if is_unsure {
                    self.note_unsure(done);
                }
                if reopen {
                    self.close(engine);
                }
            }
            Answer::Performed(Err(error)) => self.explain(done, &error)?,
            Answer::BackedUp(Ok(file)) => {
                self.backups.push(Taken { file, start: done.start, end: self.now });
            }
            Answer::Copied(target, Ok(())) => self.move_to(&target),
            Answer::Abandoned(target, Err(Error::WrongStore(WrongStore::HoldsVault))) => {
                self.move_to(&target);
            }
            // The next copy goes elsewhere. One to here may be under way, if it had not retired the vault yet.
            Answer::Abandoned(target, Ok(())) => {
                if self.target.take_if(|known| known.is(&target)).is_some() {
                    self.given_up.push(target);
                }
            }
            Answer::BackedUp(Err(error))
            | Answer::Copied(_, Err(error))
            | Answer::Abandoned(_, Err(error)) => {
                self.explain(done, &error)?;
                self.close(engine);
            }
        }
        Ok(())
    }

    /// The next actor opens the engine again. One that is alone on its store ends first, with all that it was doing.
    fn close(&mut self, engine: usize) {
        if self.plan.is_shared() {
            self.engines[engine] = None;
        } else {
            self.crash(engine);
        }
    }

    /// An honest store damages nothing.
    fn explain(&self, done: &Current, error: &Error) -> Result<(), Failure> {
        if error.kind() == strongroom::ErrorKind::Damaged && !self.plan.is_hostile() {
            return Err(format!("{:?} at {}: {error}", done.action, self.now));
        }
        Ok(())
    }

    fn note_unsure(&mut self, done: &Current) {
        for effect in attempted(done.action, done.token) {
            self.history.push(&format!("{:?}, unsure", done.action), done.start, None, effect);
        }
    }

    /// The vault is in the target now. An engine that has the former store open may read it, as that of a while ago.
    fn move_to(&mut self, target: &Disk) {
        if self.disk.is(target) || self.former.iter().any(|former| former.is(target)) {
            return;
        }
        (0..self.actors.len()).for_each(|actor| self.forget(actor));
        drop(self.target.take_if(|known| known.is(target)));
        self.given_up.retain(|known| !known.is(target));
        self.former.push(std::mem::replace(&mut self.disk, target.clone()));
        self.engines.fill(None);
    }

    /// The actor waits no longer for what it is doing.
    fn forget(&mut self, actor: usize) {
        if let Some(done) = self.actors[actor].current.take() {
            self.note_unsure(&done);
        }
    }

    fn crash(&mut self, engine: usize) {
        for actor in 0..self.actors.len() {
            if self.actors[actor].engine == engine {
                self.forget(actor);
            }
        }
        self.engines[engine] = None;
        if !self.plan.is_shared() {
            self.disk.cut_power();
        }
    }

    fn cut_power(&mut self) {
        (0..self.plan.engines_len).for_each(|engine| self.crash(engine));
        self.disk.cut_power();
        if let Some(target) = &self.target {
            target.cut_power();
        }
    }

    /// Nothing goes wrong any more: what is left is finished, and judged.
    fn end(mut self) -> Result<u64, Failure> {
        (0..self.actors.len()).for_each(|actor| self.forget(actor));
        self.engines.fill(None);
        self.disks().for_each(Disk::calm);
        if let Some(repeated) = self.disk.repeated() {
            return Err(repeated);
        }
        if self.plan.is_hostile() {
            self.history.was_put()?;
            return Ok(self.disk.trace());
        }
        let failed = |error: Error| error.to_string();
        self.settle_copy().map_err(failed)?;
        judge(&self.disk, Moment::Midway, "before the jobs")?;
        let vault = self.open(&self.disk).map_err(failed)?;
        finish_jobs(&self.clock, &self.disk, &vault).map_err(failed)?;
        judge(&self.disk, Moment::Quiet, "after the jobs")?;
        let report = drive(&[&self.disk], vault.verify()).map_err(failed)?;
        if !report.is_clean() {
            return Err(format!("verify finds what the audit does not: {report}"));
        }
        let seen = drive(&[&self.disk], look(&vault)).map_err(failed)?;
        self.note("look", self.now + 1, self.now + 2, seen);
        for taken in std::mem::take(&mut self.backups) {
            self.restore(taken)?;
        }
        self.history.check()?;
        Ok(self.disk.trace())
    }

    /// Completes the copy that left the vault retired, or gives it up.
    fn settle_copy(&mut self) -> Result<(), Error> {
        self.given_up.extend(self.target.take());
        let vault = self.open(&self.disk)?;
        if !drive(&[&self.disk], vault.is_retired())? {
            return Ok(());
        }
        for target in std::mem::take(&mut self.given_up) {
            let disks = [&self.disk, &target];
            let goes_on = self.dice.permille(500);
            if goes_on && drive(&disks, vault.copy_to(&target.handle(true), |_| ())).is_ok() {
                self.move_to(&target);
                return Ok(());
            }
            match drive(&disks, vault.abandon_copy(&target.handle(true))) {
                Err(Error::WrongStore(WrongStore::HoldsVault)) => {
                    self.move_to(&target);
                    return Ok(());
                }
                // It is the target of another copy.
                Err(Error::WrongStore(WrongStore::Unfinished)) => {}
                answer => return answer,
            }
        }
        Ok(())
    }

    /// What a backup holds is what was there while it was made.
    fn restore(&mut self, taken: Taken) -> Result<(), Failure> {
        let failed = |error: Error| format!("a backup does not come back: {error}");
        let disk = Disk::new(self.dice.split(), Faults::default());
        let Taken { file, start, end } = taken;
        let restored = drive(&[&disk], async {
            let backup = Backup::open(Cursor::new(file), unlock()).await?;
            backup.replace_original(disk.handle(true), |_| ()).await
        });
        let vault = restored.map_err(failed)?;
        judge(&disk, Moment::Restored, "in a restored backup")?;
        let seen = drive(&[&disk], look(&vault)).map_err(failed)?;
        self.note("backup", start, end, seen);
        drop(drive(&[&disk], vault.rotate_data_keys(&DataKeys::all())).map_err(failed)?);
        finish_jobs(&self.clock, &disk, &vault).map_err(failed)?;
        judge(&disk, Moment::Quiet, "in a restored backup after its next rotation")?;
        Ok(())
    }

    fn open(&self, disk: &Disk) -> Result<Vault, Error> {
        let options = VaultOptions::default().clock(self.clock.clone());
        drive(&[disk], options.open(disk.handle(true), unlock()))
    }

    fn note(&mut self, what: &str, start: u64, end: u64, effects: Vec<Effect>) {
        for effect in effects {
            self.history.push(what, start, Some(end), effect);
        }
    }
}

/// Runs jobs until none is left, each of them long after whoever ran it before.
fn finish_jobs(clock: &TestClock, disk: &Disk, vault: &Vault) -> Result<(), Error> {
    for _ in 0..10 {
        clock.set(clock.now_ms() + LEASE_MS);
        drive(&[disk], vault.run_jobs())?;
        if drive(&[disk], vault.jobs(PageRequest::default()))?.items.is_empty() {
            break;
        }
    }
    Ok(())
}

fn judge(disk: &Disk, moment: Moment, when: &str) -> Result<(), Failure> {
    let found = audit::findings(&disk.rows(), moment);
    if found.is_empty() { Ok(()) } else { Err(format!("{when}: {}", found.join("\n  "))) }
}

/// Runs one future alone, on stores that deliver all that is sent.
fn drive<T>(disks: &[&Disk], future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..100 * STEPS_MAX {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        disks.iter().for_each(|disk| disk.deliver_one());
    }
    panic!("what runs alone comes to no end");
}

/// Longer than the lease of a job.
const LEASE_MS: u64 = 40_000;

const STEPS_MAX: u64 = 50_000;
