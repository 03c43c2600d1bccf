//! The terminal around a prompt. It shows nothing that is typed before the prompt hides it. Text pasted beyond the line
//! is discarded, since the shell would take it for commands and keep it in its history.

use std::fs::File;
use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

/// Runs a prompt on a terminal that also hides input typed before the prompt has hidden it: a program answers at once.
pub(crate) fn hidden<T>(prompt: impl FnOnce() -> T) -> T {
    let Ok(tty) = File::open("/dev/tty") else { return prompt() };
    let Ok(before) = tcgetattr(&tty) else { return prompt() };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = tcsetattr(&tty, OptionalActions::Now, &silent);
    let typed = prompt();
    let _ = tcsetattr(&tty, OptionalActions::Now, &before);
    typed
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
