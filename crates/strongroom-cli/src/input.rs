//! Secrets that come in: from standard input or a hidden prompt.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Read, Write};

use strongroom::Secret;
use zeroize::Zeroizing;

use crate::args::Misplaced;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// The exact bytes of standard input, or what is typed at a hidden prompt.
pub(crate) fn value(prompt_text: &str, misplaced: &Misplaced, output: &Output) -> Result<Secret, Failure> {
    if let Some(first) = misplaced.values.first() {
        return Err(refused(first));
    }
    if can_prompt() {
        return prompt(prompt_text);
    }
    let value =
        text(read_bounded()?).ok_or_else(|| Failure::invalid("the value on standard input is not UTF-8"))?;
    if value.expose().ends_with('\n') {
        output.note("the value ends in a newline, which is kept; `printf %s` writes none");
    }
    Ok(value)
}

/// Repeats what looks like a mistyped option, and nothing that could be a value: a private key starts with dashes too.
fn refused(argument: &OsStr) -> Failure {
    let text = argument.to_str().unwrap_or_default();
    let option = text.split('=').next().unwrap_or_default();
    let is_word = |word: &str| word.len() <= 20 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if option.strip_prefix("--").is_some_and(|word| word.starts_with(char::is_alphabetic) && is_word(word)) {
        return Failure::usage(format!("there is no option {option} here")).next(
            "--help shows which there are; a value is read from standard input, never from an argument",
        );
    }
    Failure::usage("a value is read from standard input, never from an argument")
        .next("other users can see arguments, and shells keep them: change the secret if it is a real one")
}

/// Whether someone sits at a terminal and can be asked.
pub(crate) fn can_prompt() -> bool {
    io::stdin().is_terminal()
}

/// What is typed, up to the end of the line, without showing it.
pub(crate) fn prompt(text: &str) -> Result<Secret, Failure> {
    let typed = rpassword::prompt_password(text);
    typed
        .map(Secret::from)
        .map_err(|error| Failure::new(Exit::Other, format!("nothing could be asked: {error}")))
}

/// Asks on a terminal whether to go on; only `yes` or `y` says so.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().read_line(&mut answer));
    asked.map_err(|error| Failure::new(Exit::Other, format!("nothing could be asked: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Takes bytes over as text, and wipes them where they are none.
pub(crate) fn text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Secret> {
    std::str::from_utf8(&bytes).ok()?;
    String::from_utf8(std::mem::take(&mut *bytes)).ok().map(Secret::from)
}

/// One byte more than a value may have is enough to see that it is too long.
fn read_bounded() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(READ_BYTES_MAX));
    let read = io::stdin().lock().take(READ_BYTES_MAX as u64).read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(Exit::Other, format!("standard input could not be read: {error}")))?;
    if bytes.len() >= READ_BYTES_MAX {
        return Err(Failure::invalid(format!("a value must be at most {} bytes", READ_BYTES_MAX - 1)));
    }
    Ok(bytes)
}

/// One more than the engine takes, so that the buffer never moves and leaves no copy behind.
const READ_BYTES_MAX: usize = strongroom::format::VALUE_BYTES_MAX + 1;
