//! `run --watch`: the command is restarted, or gets a signal, when something that it sees changes.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::Signal;
use strongroom::Secret;

use super::{Run, unstartable};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::seen::Seen;
use crate::signals::{Signals, TICK, forward, hide_from_commands, runtime, send};

/// How the command learns that its settings have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Notice {
    Hup,
    Int,
    Term,
    Usr1,
    Usr2,
}

impl Notice {
    fn signal(self) -> Signal {
        match self {
            Self::Hup => Signal::HUP,
            Self::Int => Signal::INT,
            Self::Term => Signal::TERM,
            Self::Usr1 => Signal::USR1,
            Self::Usr2 => Signal::USR2,
        }
    }
}

/// Reads what the command sees: `None` if it is known that nothing has changed since the last time.
pub(super) trait Look: Send + 'static {
    fn look(&mut self) -> Result<Option<Vec<Seen>>, Failure>;
}

/// Runs the command until it ends by itself or a signal ends this process, and returns its code.
pub(super) fn run(run: &Run, mut look: impl Look, output: &Output) -> Result<ExitCode, Failure> {
    let first = look.look()?.ok_or_else(|| Failure::new(Exit::Other, "the first look returned nothing"))?;
    let seen = copy_of(&first);
    let command = run.command(first)?;
    hide_from_commands()?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let mut attended =
            Attended { child: run.spawn(command)?, run, seen, next: None, deadline: None, ends: false };
        let looks = look_every(Duration::from_secs(run.every.into()), look);
        let mut is_failing = false;
        loop {
            tokio::select! {
                received = signals.next() => attended.forward(received),
                () = tokio::time::sleep(TICK) => {
                    if let Some(code) = attended.turn()? {
                        return Ok(code);
                    }
                    if let Ok(looked) = looks.try_recv() {
                        let done = looked.and_then(|seen| attended.change(seen, output));
                        if let Err(failure) = &done
                            && !is_failing
                        {
                            output.warn(&format!("the command runs on with what it had: {failure}"));
                        }
                        is_failing = done.is_err();
                    }
                }
            }
        }
    })
}

/// The command while it runs.
struct Attended<'r> {
    run: &'r Run,
    child: Child,
    /// What it sees, or was told that it would see.
    seen: Vec<Seen>,
    /// The command that replaces it once it has ended.
    next: Option<Command>,
    /// When to kill it if it has not ended by then.
    deadline: Option<Instant>,
    /// Whether this process was told to end, and only waits for the command.
    ends: bool,
}

impl Attended<'_> {
    /// Starts the next command if the last one has ended; returns a code if there is none.
    fn turn(&mut self) -> Result<Option<ExitCode>, Failure> {
        let ended = self.child.try_wait().map_err(|error| {
            Failure::new(Exit::Other, format!("the command could not be waited for: {error}"))
        })?;
        match (ended, self.next.take()) {
            (Some(_), Some(next)) if !self.ends => {
                self.child = self.run.spawn(next)?;
                self.deadline = None;
            }
            (Some(status), _) => return Ok(Some(code(status))),
            (None, next) => {
                self.next = next;
                if self.deadline.is_some_and(|end| Instant::now() >= end) {
                    self.deadline = None;
                    self.send(Signal::KILL);
                }
            }
        }
        Ok(None)
    }

    fn change(&mut self, seen: Option<Vec<Seen>>, output: &Output) -> Result<(), Failure> {
        // One that was told to end takes the time that it needs.
        let Some(seen) = seen.filter(|seen| !self.ends && !is_same(seen, &self.seen)) else { return Ok(()) };
        let copy = copy_of(&seen);
        // Before the running one is stopped: a command that cannot be run must not replace it.
        let next = self.run.command(seen)?;
        self.seen = copy;
        if let Some(notice) = self.run.signal {
            output.note("what the command sees has changed: it gets the signal");
            self.send(notice.signal());
            return Ok(());
        }
        output.note("what the command sees has changed: it starts again");
        self.next = Some(next);
        self.deadline.get_or_insert_with(|| Instant::now() + GRACE);
        self.send(Signal::TERM);
        Ok(())
    }

    fn forward(&mut self, received: Signal) {
        self.ends |= matches!(received, Signal::TERM | Signal::INT | Signal::QUIT);
        forward(&self.child, received);
    }

    fn send(&self, signal: Signal) {
        send(&self.child, signal);
    }
}

fn is_same(some: &[Seen], others: &[Seen]) -> bool {
    let is_one =
        |(one, other): (&Seen, &Seen)| one.name == other.name && one.value.expose() == other.value.expose();
    some.len() == others.len() && some.iter().zip(others).all(is_one)
}

fn copy_of(seen: &[Seen]) -> Vec<Seen> {
    let copy = |one: &Seen| Seen { name: one.name.clone(), value: Secret::from(one.value.expose()) };
    seen.iter().map(copy).collect()
}

/// Reads repeatedly on its own thread, since a store or a server may keep it waiting.
fn look_every(every: Duration, mut look: impl Look) -> Receiver<Result<Option<Vec<Seen>>, Failure>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        loop {
            thread::sleep(every);
            let looked = look.look();
            // The command has ended, and so has this process.
            if sender.send(looked).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The code that a shell returns: that of the command, or 128 plus the number of the signal that ended it.
fn code(status: ExitStatus) -> ExitCode {
    let by_signal = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(by_signal).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

impl Run {
    fn spawn(&self, mut command: Command) -> Result<Child, Failure> {
        // Only for the command: files created by a read, as when it repairs a store, stay private to their owner.
        files::restore_mask();
        let spawned = command.spawn();
        files::write_for_owner_only();
        spawned.map_err(|error| unstartable(self.program(), &error))
    }
}

/// The time for the command to end by itself.
const GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    fn see(names: &[&str]) -> Vec<Seen> {
        names.iter().map(|name| Seen { name: (*name).to_owned(), value: Secret::from("x") }).collect()
    }

    #[test]
    fn a_command_that_was_told_to_end_is_not_killed_for_a_change() {
        let Line { run } = Line::parse_from(["run", "--watch", "--", "true"]);
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut attended =
            Attended { run: &run, child, seen: see(&["A"]), next: None, deadline: None, ends: true };
        attended.change(Some(see(&["A", "B"])), &Output::new(false)).unwrap();
        assert!(attended.next.is_none() && attended.deadline.is_none());
    }

    #[test]
    fn a_command_that_starts_again_is_not_killed_at_the_deadline_of_the_one_before() {
        let Line { run } = Line::parse_from(["run", "--watch", "--", "true"]);
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (next, deadline) = (Some(Command::new("true")), Some(Instant::now() + GRACE));
        let mut attended = Attended { run: &run, child, seen: Vec::new(), next, deadline, ends: false };
        assert!(attended.turn().unwrap().is_none());
        attended.child.wait().unwrap();
        assert_eq!(attended.deadline, None);
    }

    #[test]
    fn a_change_that_was_refused_and_is_taken_back_restarts_nothing() {
        let Line { run } = Line::parse_from(["run", "--watch", "--", "true"]);
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut attended =
            Attended { run: &run, child, seen: see(&["A"]), next: None, deadline: None, ends: false };
        assert!(attended.change(Some(see(&["A", "PATH"])), &Output::new(false)).is_err());
        attended.change(Some(see(&["A"])), &Output::new(false)).unwrap();
        assert!(attended.next.is_none());
    }
}
