//! Signals that do not end this process at once: it passes them on to a command, or first restores a terminal.

use std::io::{self, IsTerminal};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// While it lives, its signals do not end this process; afterwards they do again. Without it an interrupt would be lost
/// for the rest of the process, since handlers, including tokio's, cannot be removed.
pub(crate) struct Taken {
    signals: &'static [i32],
}

impl Taken {
    /// `signals` must be among `ALL`, and no other `Taken` may hold one of them.
    pub(crate) fn begin(signals: &'static [i32]) -> io::Result<Self> {
        if let Err(error) = &*HANDLERS {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        RECEIVED.store(0, Ordering::SeqCst);
        switch(signals, false);
        Ok(Self { signals })
    }

    /// The last signal that was received since.
    pub(crate) fn received(&self) -> Option<i32> {
        i32::try_from(RECEIVED.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        switch(self.signals, true);
    }
}

fn switch(signals: &[i32], ends: bool) {
    for (_, switch) in ENDS.iter().filter(|(signal, _)| signals.contains(signal)) {
        switch.store(ends, Ordering::SeqCst);
    }
}

/// Registered once: each registration adds a handler.
static HANDLERS: LazyLock<io::Result<()>> = LazyLock::new(|| {
    for (signal, ends) in &*ENDS {
        flag::register_conditional_default(*signal, Arc::clone(ends))?;
        flag::register_usize(*signal, Arc::clone(&RECEIVED), usize::try_from(*signal).unwrap_or_default())?;
    }
    Ok(())
});
static ENDS: LazyLock<[(i32, Arc<AtomicBool>); 8]> =
    LazyLock::new(|| ALL.map(|signal| (signal, Arc::new(AtomicBool::new(true)))));
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The signals that end a process unless it handles them.
const ALL: [i32; 8] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGABRT];

/// The signals that this process receives in place of the command.
pub(crate) struct Signals {
    listened: [(unix::Signal, Signal); 8],
    _taken: Taken,
}

impl Signals {
    /// From now on, none of them ends this process.
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind: SignalKind, sent: Signal| {
            let listened = signal(kind)
                .map_err(|error| Failure::new(Exit::Other, format!("signals cannot be received: {error}")));
            listened.map(|listened| (listened, sent))
        };
        let taken = Taken::begin(&ALL)
            .map_err(|error| Failure::new(Exit::Other, format!("signals cannot be received: {error}")))?;
        let listened = [
            listen(SignalKind::terminate(), Signal::TERM)?,
            listen(SignalKind::interrupt(), Signal::INT)?,
            listen(SignalKind::quit(), Signal::QUIT)?,
            listen(SignalKind::hangup(), Signal::HUP)?,
            listen(SignalKind::user_defined1(), Signal::USR1)?,
            listen(SignalKind::user_defined2(), Signal::USR2)?,
            listen(SignalKind::alarm(), Signal::ALARM)?,
            listen(SignalKind::from_raw(Signal::ABORT.as_raw()), Signal::ABORT)?,
        ];
        Ok(Self { listened, _taken: taken })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (listened, sent) in &mut self.listened {
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
