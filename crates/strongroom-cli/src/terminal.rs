//! The terminal around a prompt. It shows nothing that is typed before the prompt hides it. Text pasted beyond the line
//! is discarded, since the shell would take it for commands and keep it in its history.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::signals::{TICK, Taken};

/// Runs a prompt on a terminal that also hides input typed before the prompt has hidden it: a program answers at once.
/// If a signal ends this process meanwhile, the terminal is restored first.
pub(crate) fn hidden<T: Send + 'static>(prompt: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let Ok(tty) = File::open("/dev/tty") else { return Ok(prompt()) };
    let Ok(before) = tcgetattr(&tty) else { return Ok(prompt()) };
    let taken = Taken::begin(&ENDING)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = tcsetattr(&tty, OptionalActions::Now, &silent);
    let (done, typed) = mpsc::channel();
    // On its own thread, since a signal does not interrupt the read.
    thread::spawn(move || done.send(prompt()));
    let typed = loop {
        match typed.recv_timeout(TICK) {
            // The prompt reads Ctrl-C as a character and raises the signal itself.
            typed if taken.received().is_some() => break typed,
            Err(RecvTimeoutError::Timeout) => {}
            typed => break typed,
        }
    };
    let _ = tcsetattr(&tty, OptionalActions::Now, &before);
    if let Some(signal) = taken.received() {
        let _ = writeln!(io::stderr());
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    typed.map_err(io::Error::other)
}

/// Discards text pasted beyond the line. Returns whether there was any; without a terminal there is none.
pub(crate) fn discard_rest() -> bool {
    File::open("/dev/tty").is_ok_and(|tty| discard_rest_of(&tty).unwrap_or_default())
}

fn discard_rest_of(tty: &File) -> io::Result<bool> {
    let before = tcgetattr(tty)?;
    let mut by_character = before.clone();
    // Otherwise the end of the pasted text is not available before its line ends.
    by_character.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(tty, OptionalActions::Now, &by_character)?;
    let found = discard(tty);
    tcsetattr(tty, OptionalActions::Now, &before)?;
    found
}

fn discard(tty: &File) -> io::Result<bool> {
    let mut found = false;
    while poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&PAUSE))? > 0 {
        tcflush(tty, QueueSelector::IFlush)?;
        found = true;
    }
    Ok(found)
}

/// A terminal passes a long paste on in pieces; nobody types as fast.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The signals that end a command at its prompt. SIGTSTP needs no handling: the shell restores the terminal.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];
