//! Why a file cannot be read, or a list of pairs not be written.

/// A line that cannot be read without a guess. It carries no text of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
#[non_exhaustive]
pub struct ParseError {
    /// The line the statement starts on; the first is 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ParseErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The line is no comment and does not assign to a name.
    #[error("expected NAME=value, with a name of ASCII letters, digits, `_`, `.` and `-`")]
    NotAnAssignment,
    /// The value starts with a quote, and where it ends is missing or ambiguous.
    #[error("the quotes of the value do not pair")]
    UnpairedQuote,
    /// Another statement follows a value in quotes, as in `A="b"; C="d"`.
    #[error("a second statement follows the value: put each on a line of its own")]
    SecondStatement,
}

/// A name that cannot stand in a `.env` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pair {index} has a name with more than ASCII letters, digits, `_`, `.` and `-`, or an empty one")]
#[non_exhaustive]
pub struct InvalidName {
    /// The place of the pair; the first is 0.
    pub index: usize,
}

/// A name or value that the reader of the file would not read back as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pair {index} has a name or a value that the reader of the file would not read back unchanged")]
#[non_exhaustive]
pub struct Unwritable {
    /// The place of the pair; the first is 0.
    pub index: usize,
}
