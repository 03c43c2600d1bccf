//! Secrets from standard input or a hidden prompt.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};

use strongroom::Secret;
use strongroom::format::VALUE_BYTES_MAX;
use zeroize::Zeroizing;

use crate::failure::repeatable::{self, NEVER_AN_ARGUMENT, misplaced};
use crate::failure::{Exit, Failure};
use crate::output::{Output, printable};
use crate::typo::closest;

/// Accepts a value typed as an argument, and anything that looks like an option. Parsed only so that the refusal need
/// not repeat it, as clap's own would.
#[derive(Clone, clap::Args)]
struct Misplaced {
    #[arg(hide = true, num_args = 0.., allow_hyphen_values = true, value_name = "VALUE")]
    values: Vec<OsString>,
}

/// Omits what may be a value.
impl fmt::Debug for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Misplaced({})", self.values.len())
    }
}

/// How a value comes in.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ValueArgs {
    /// Accept an empty value; on a terminal, set it without asking
    #[arg(long)]
    empty: bool,
    /// Read standard input as bytes, not text: they are stored in base64, as a variable of format `bytes` requires
    #[arg(long, conflicts_with = "empty")]
    bytes: bool,
    #[command(flatten)]
    misplaced: Misplaced,
}

impl ValueArgs {
    /// Fails if the value of `name` was typed as an argument.
    pub(crate) fn refuse_misplaced(&self, name: &str) -> Result<(), Failure> {
        match self.misplaced.values.first() {
            Some(first) => Err(refused(first)),
            None if name.contains('=') => Err(misplaced()),
            None => Ok(()),
        }
    }
}

/// The exact bytes of standard input, or the line typed at a hidden prompt.
pub(crate) fn value(name: &str, args: &ValueArgs, output: &Output) -> Result<Secret, Failure> {
    args.refuse_misplaced(name)?;
    let value = match (can_prompt(), args.empty) {
        (true, _) if args.bytes => {
            return Err(Failure::usage("--bytes reads standard input, which is a terminal").next(format!(
                "read a file for {}: add `< FILE`; at the prompt, type base64 without --bytes",
                printable(name)
            )));
        }
        (true, true) => Secret::from(""),
        (true, false) => prompt(&format!("Value of {}: ", printable(name)))?,
        (false, _) if args.bytes => Secret::from_bytes(&read_bounded(BYTES_MAX)?),
        (false, _) => from_stdin(output)?,
    };
    // A failed command before the pipe has written nothing.
    if value.is_empty() && !args.empty {
        return Err(
            Failure::usage("the value is empty").next("nothing was written; --empty sets an empty value")
        );
    }
    Ok(value)
}

fn from_stdin(output: &Output) -> Result<Secret, Failure> {
    let value = text(read_bounded(VALUE_BYTES_MAX)?).ok_or_else(|| {
        Failure::invalid("the value on standard input is not UTF-8")
            .next("nothing was written; --bytes stores bytes that are not text, in base64")
    })?;
    if value.expose().ends_with('\n') {
        output.note("the value ends with a newline, which is kept; `printf %s` adds none");
    }
    Ok(value)
}

/// Repeats only what looks like a mistyped option, never what could be a value: a private key starts with dashes too.
fn refused(argument: &OsStr) -> Failure {
    let typed = argument.to_str().unwrap_or_default();
    match repeatable::word(typed).filter(|word| word.starts_with("--")) {
        Some(option) => Failure::usage(format!("there is no option {option} here"))
            .next(format!("--help lists the options; {NEVER_AN_ARGUMENT}"))
            .meant(closest(option, OPTIONS.iter().copied())),
        None => misplaced(),
    }
}

/// Whether there is a person at a terminal to ask.
pub(crate) fn can_prompt() -> bool {
    io::stdin().is_terminal()
}

/// One typed line, which the terminal does not show.
pub(crate) fn prompt(text: &str) -> Result<Secret, Failure> {
    let text = text.to_owned();
    let ask = move || rpassword::prompt_password(text).map(Secret::from);
    #[cfg(unix)]
    let typed = crate::terminal::hidden(ask).and_then(|typed| typed);
    #[cfg(not(unix))]
    let typed = ask();
    let typed = typed.map_err(|error| unanswered(&error))?;
    #[cfg(unix)]
    if crate::terminal::discard_rest() {
        return Err(Failure::invalid("several lines were pasted, and a prompt takes one")
            .next("nothing was written; keep several lines in a file and add `< FILE`"));
    }
    Ok(typed)
}

/// Also after Ctrl-D.
fn unanswered(error: &io::Error) -> Failure {
    Failure::new(Exit::Other, format!("nothing was typed at the prompt: {error}")).next("nothing was changed")
}

/// Says what is about to happen and asks on the terminal; only `y` or `yes` agrees.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    Ok(matches!(answer(question, "Go on? [y/N] ")?.as_str(), "y" | "yes"))
}

/// Prints `said`, asks on the terminal, and returns the typed line in lower case.
pub(crate) fn answer(said: &str, question: &str) -> Result<String, Failure> {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{} {question}", printable(said))
        .and_then(|()| io::stdin().read_line(&mut answer));
    asked.map_err(|error| unanswered(&error))?;
    #[cfg(unix)]
    if crate::terminal::discard_rest() {
        return Err(Failure::invalid("several lines were pasted, and the answer is one")
            .next("nothing was changed; run the command again, and answer only its question"));
    }
    Ok(answer.trim().to_lowercase())
}

/// The bytes as text without a copy; wipes them if they are not UTF-8.
pub(crate) fn text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Secret> {
    std::str::from_utf8(&bytes).ok()?;
    String::from_utf8(std::mem::take(&mut *bytes)).ok().map(Secret::from)
}

/// Reads one byte more than a value may have, enough to see that it is too long. The buffer never moves, so it leaves
/// no copy behind.
fn read_bounded(bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    let read = io::stdin().lock().take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(Exit::Other, format!("standard input could not be read: {error}")))?;
    if bytes.len() > bytes_max {
        return Err(Failure::invalid(format!("a value must be at most {bytes_max} bytes"))
            .next("nothing was written; keep what is longer elsewhere, and set where it is"));
    }
    Ok(bytes)
}

/// Options of the commands that read a value.
const OPTIONS: &[&str] = &[
    "--account",
    "--workflow",
    "--empty",
    "--bytes",
    "--environment",
    "--org",
    "--store",
    "--url",
    "--json",
];
/// The most bytes whose base64 fits into a value.
const BYTES_MAX: usize = VALUE_BYTES_MAX / 4 * 3;
