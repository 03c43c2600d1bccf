//! Why a command failed: the exit code, a sentence, and the next step.

mod deed;
mod engine;
mod grammar;
pub(crate) mod repeatable;

use std::fmt;
use std::io;

pub(crate) use deed::Deed;
pub(crate) use engine::{step_of_app, word};
use strongroom::{DefinitionName, DefinitionRef, Error, Scope};
use strongroom_http::control::{Reason, next_of_whole};

/// A failure as the user sees it. It never holds a value.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// What to do next.
    pub(crate) next: Option<String>,
    /// What else, each with a line of its own.
    pub(crate) steps: Vec<String>,
    /// Why, if a server refused it.
    pub(crate) reason: Option<Reason>,
    /// What a person has to agree to before the command begins again.
    pub(crate) question: Option<Box<Deed>>,
}

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Other,
    Usage,
    NotFound,
    Invalid,
    Key,
    Store,
    /// The code of a shell for a command that it cannot run.
    NotExecutable,
    /// The code of a shell for a command that it does not find.
    NoCommand,
    /// The code of a shell for a command that wrote to a pipe without a reader.
    ReaderGone,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Invalid => 4,
            Self::Key => 5,
            Self::Store => 6,
            Self::NotExecutable => 126,
            Self::NoCommand => 127,
            Self::ReaderGone => 141,
        }
    }

    /// The name of the code in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Other | Self::ReaderGone => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Key => "key",
            Self::Store => "store",
            Self::NotExecutable | Self::NoCommand => "command",
        }
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None, steps: Vec::new(), reason: None, question: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message)
    }

    pub(crate) fn undefined(name: &DefinitionName) -> Self {
        Error::DefinitionNotFound(DefinitionRef::Name(name.to_string().into())).into()
    }

    pub(crate) fn no_value(name: &DefinitionName, scope: &Scope) -> Self {
        Self::not_found(format!("{name} has no value at {scope}"))
            .next("`strongroom explain NAME` shows where it has one")
    }

    /// A command or option for which the server has no call.
    pub(crate) fn not_on_server(reason: &str) -> Self {
        Self::usage(format!("{reason}, so this does not work with --url"))
            .next("run it where the store is, with --store in place of --url or STRONGROOM_URL")
    }

    /// What a server said, without that it was one.
    pub(crate) fn said(&self) -> &str {
        let of_server = self.message.strip_prefix("the server returned ");
        of_server.and_then(|rest| rest.split_once(": ")).map_or(&self.message, |(_, said)| said)
    }

    /// Whether a server refused it for this reason.
    pub(crate) fn is(&self, reason: Reason) -> bool {
        self.reason == Some(reason)
    }

    /// Whether a server refused it for a right that the key lacks, or has only for other names or accounts.
    pub(crate) fn is_of_right(&self) -> bool {
        self.is(Reason::LacksRight) || self.is(Reason::RightElsewhere)
    }

    /// The next step if a server could not read something.
    pub(crate) fn if_damaged(self, step: &str) -> Self {
        if self.is(Reason::Damaged) { self.next(step) } else { self }
    }

    /// Puts the name that was meant, if it is known, before the next step.
    pub(crate) fn meant(self, name: Option<&str>) -> Self {
        let Some(name) = name else { return self };
        let step = match &self.next {
            Some(next) => format!("did you mean {name}? {next}"),
            None => format!("did you mean {name}?"),
        };
        self.next(step)
    }

    /// The next step. What was typed wrongly always has one, and no command has one of its own for a row that may be
    /// whole.
    pub(crate) fn step(&self) -> Option<&str> {
        if let Some(step) = next_of_whole(&self.message) {
            return Some(step);
        }
        let by_default = match self.exit {
            Exit::Usage => Some("--help after the command says how it is written"),
            Exit::Invalid => Some("change what the message names, then run the command again"),
            _ => None,
        };
        self.next.as_deref().or(by_default)
    }

    /// All next steps, the first one first.
    pub(crate) fn all_steps(&self) -> impl Iterator<Item = &str> {
        self.step().into_iter().chain(self.steps.iter().map(String::as_str))
    }

    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Standard output could not be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::ReaderGone, "the reader of the output has gone");
        }
        Self::new(Exit::Other, format!("the output could not be written: {error}")).next(
            "give it another place to write to; a change is made already, and an API key that nobody saw is revoked by \
             its id in `strongroom api-key list`",
        )
    }
}
