//! What a `.env` file holds: entries, and notes on lines that left none.

use std::fmt;

use zeroize::Zeroizing;

/// What a `.env` file says. Each name stands once in `entries`; every other line that named something left a note.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct EnvFile {
    /// The entries, in the order of their lines.
    pub entries: Vec<Entry>,
    /// Lines that left no entry, in their order.
    pub notes: Vec<Note>,
}

/// A name and its value. The value is a secret: `Debug` leaves it out, and its memory is wiped when it goes.
pub struct Entry {
    name: String,
    value: Zeroizing<String>,
    line: usize,
}

impl Entry {
    pub(crate) fn new(name: &str, value: Zeroizing<String>, line: usize) -> Self {
        Self { name: name.to_owned(), value, line }
    }

    /// The name: ASCII letters, digits, `_`, `.` and `-`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value in the clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The line the entry starts on; the first is 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The name and the value in the clear. From here on wiping is the caller's.
    #[must_use]
    pub fn into_parts(mut self) -> (String, String) {
        (self.name, std::mem::take(&mut *self.value))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("value", &"[REDACTED]")
            .field("line", &self.line)
            .finish()
    }
}

/// A line whose text did not all become an entry, or that others read otherwise. `Display` is a sentence without any
/// text of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The line; the first is 1.
    pub line: usize,
    /// What was left out, or is read otherwise.
    pub kind: NoteKind,
}

/// What of a line was left out, or is read otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteKind {
    /// The name is assigned again further down; the last one counts.
    Overridden {
        /// The line that counts.
        by_line: usize,
    },
    /// A name without a value, such as `NAME` or `export NAME`.
    NoValue,
    /// A comment behind a value without quotes, which could have been meant as part of it: `pass #1`.
    Comment,
    /// A `$NAME`, `${NAME}`, `$(command)` or backtick that stays as it is, where others replace it.
    Reference,
    /// Quotes, backslashes or several words that stay as they are, where a shell reads them otherwise: `'p'q`, `a\ b`.
    ShellSyntax,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            NoteKind::Overridden { by_line } => write!(f, "line {}: overridden on line {by_line}", self.line),
            NoteKind::NoValue => write!(f, "line {}: a name without a value", self.line),
            NoteKind::Comment => {
                write!(
                    f,
                    "line {}: ` #` begins a comment; a value that has it is written in quotes",
                    self.line
                )
            }
            NoteKind::Reference => {
                write!(f, "line {}: `$` and backticks are kept as they are, not replaced", self.line)
            }
            NoteKind::ShellSyntax => {
                let what = "a shell reads the quotes, backslashes or further words of the value otherwise";
                write!(f, "line {}: {what}: check it", self.line)
            }
        }
    }
}

/// Whether `text` can be the name of an entry: one or more ASCII letters, digits, `_`, `.` and `-`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_char)
}

pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let entry = Entry::new("API_SECRET", Zeroizing::new("hunter2".to_owned()), 1);
        let file = EnvFile { entries: vec![entry], notes: Vec::new() };
        let shown = format!("{file:?}");
        assert!(shown.contains("API_SECRET") && shown.contains("[REDACTED]") && !shown.contains("hunter2"));
    }

    #[test]
    fn note_says_what_became_of_the_line() {
        let note = Note { line: 2, kind: NoteKind::Overridden { by_line: 5 } };
        assert_eq!(note.to_string(), "line 2: overridden on line 5");
    }
}
