//! Passes signals on to a command: this process still has work to do when the command has ended.

use std::io::{self, IsTerminal};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// The signals that this process receives in place of the command.
pub(crate) struct Signals([(unix::Signal, Signal); 8]);

impl Signals {
    /// From now on, none of them ends this process.
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind: SignalKind, sent: Signal| {
            let listened = signal(kind)
                .map_err(|error| Failure::new(Exit::Other, format!("signals cannot be received: {error}")));
            listened.map(|listened| (listened, sent))
        };
        Ok(Self([
            listen(SignalKind::terminate(), Signal::TERM)?,
            listen(SignalKind::interrupt(), Signal::INT)?,
            listen(SignalKind::quit(), Signal::QUIT)?,
            listen(SignalKind::hangup(), Signal::HUP)?,
            listen(SignalKind::user_defined1(), Signal::USR1)?,
            listen(SignalKind::user_defined2(), Signal::USR2)?,
            listen(SignalKind::alarm(), Signal::ALARM)?,
            listen(SignalKind::from_raw(Signal::ABORT.as_raw()), Signal::ABORT)?,
        ]))
    }

    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (listened, sent) in &mut self.0 {
                if listened.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*sent);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Keeps the commands that this process starts, which run as the same user, from reading in `/proc` its arguments and
/// environment, or its memory: both lead to the whole vault. Its memory is not dumped either. The commands themselves
/// are not affected: the mark ends with `exec`.
pub(crate) fn hide_from_commands() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(
        |error| Failure::new(Exit::Other, format!("this process cannot be hidden from its command: {error}")),
    )?;
    Ok(())
}

/// A runtime on this thread, to wait for signals.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let built = runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::Other, format!("no runtime: {error}")))
}

/// Passes on a signal that this process received.
pub(crate) fn forward(child: &Child, received: Signal) {
    // A terminal sends these to the command directly.
    if !(matches!(received, Signal::INT | Signal::QUIT) && io::stdin().is_terminal()) {
        send(child, received);
    }
}

/// To the command itself. A command that has just ended gets nothing, and its id is not reused before it is waited for.
pub(crate) fn send(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

/// Waits until a command has ended; signals to this process meanwhile are passed on to it.
pub(crate) async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            received = signals.next() => forward(child, received),
            () = tokio::time::sleep(TICK) => {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
            }
        }
    }
}

/// How often to check whether a command has ended; a person does not notice such a delay.
pub(crate) const TICK: Duration = Duration::from_millis(50);
