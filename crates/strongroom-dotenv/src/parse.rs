//! From text to entries.

use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::entry::is_name_char;
use crate::{Entry, EnvFile, Note, NoteKind, ParseError, ParseErrorKind};

/// Reads the text of a `.env` file, by the rules of the [crate documentation](crate).
///
/// # Errors
/// [`ParseErrorKind::NotAnAssignment`] for a line that is neither blank, a comment nor an assignment;
/// [`ParseErrorKind::UnpairedQuote`] for a value whose end is missing or ambiguous;
/// [`ParseErrorKind::SecondStatement`] for a quoted value in front of another statement.
///
/// # Examples
/// ```
/// let file = strongroom_dotenv::parse("export PORT=8080 # the public one\nGREETING='hello world'\n")?;
/// let [port, greeting] = file.entries.as_slice() else { unreachable!() };
/// assert_eq!((port.name(), port.expose()), ("PORT", "8080"));
/// assert_eq!((greeting.line(), greeting.expose()), (2, "hello world"));
/// # Ok::<(), strongroom_dotenv::ParseError>(())
/// ```
pub fn parse(text: &str) -> Result<EnvFile, ParseError> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    let mut assignments = Vec::new();
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let (statement, after) = statement(rest).map_err(|kind| ParseError { line, kind })?;
        match statement {
            Statement::Nothing => {}
            Statement::Name => notes.push(Note { line, kind: NoteKind::NoValue }),
            Statement::Assignment { name, value, noted } => {
                notes.extend(noted.into_iter().map(|kind| Note { line, kind }));
                assignments.push((name, value, line));
            }
        }
        line += line_breaks(rest, after);
        rest = after;
    }
    Ok(last_wins(assignments, notes))
}

type Value = Zeroizing<String>;

enum Statement<'t> {
    Nothing,
    Name,
    /// `noted` is what other readers may take otherwise.
    Assignment {
        name: &'t str,
        value: Value,
        noted: Vec<NoteKind>,
    },
}

fn last_wins(assignments: Vec<(&str, Value, usize)>, mut notes: Vec<Note>) -> EnvFile {
    let last_line: HashMap<&str, usize> = assignments.iter().map(|(name, _, line)| (*name, *line)).collect();
    let mut entries = Vec::with_capacity(last_line.len());
    for (name, value, line) in assignments {
        match last_line.get(name) {
            Some(&by_line) if by_line != line => {
                notes.push(Note { line, kind: NoteKind::Overridden { by_line } });
            }
            _ => entries.push(Entry::new(name, value, line)),
        }
    }
    notes.sort_by_key(|note| note.line);
    EnvFile { entries, notes }
}

/// The statement that `text` starts with, and the text from the next line on.
fn statement(text: &str) -> Result<(Statement<'_>, &str), ParseErrorKind> {
    let (line, after_line) = split_line(text);
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok((Statement::Nothing, after_line));
    }
    let (name, value_in_line) = split_name(line.trim_start())?;
    let Some(value_in_line) = value_in_line else {
        return Ok((Statement::Name, after_line));
    };
    // A quoted value may continue after the line, so it is read from the text.
    let (_, value_text) = text.split_at(line.len() - value_in_line.len());
    let (value, after, noted) = value(value_text)?;
    Ok((Statement::Assignment { name, value, noted }, after))
}

/// The name in front of `=`, or of `:` and white space, and what follows; the latter is missing after a bare name.
fn split_name(statement: &str) -> Result<(&str, Option<&str>), ParseErrorKind> {
    let statement = without_export(statement);
    let name_len = statement.find(|c| !is_name_char(c)).unwrap_or(statement.len());
    let (name, rest) = statement.split_at(name_len);
    if name.is_empty() {
        return Err(ParseErrorKind::NotAnAssignment);
    }
    if let Some(value) = rest.trim_start().strip_prefix('=') {
        return Ok((name, Some(value)));
    }
    if let Some(value) = rest.strip_prefix(':').filter(|value| value.starts_with(char::is_whitespace)) {
        return Ok((name, Some(value)));
    }
    if is_blank_or_comment(rest) {
        return Ok((name, None));
    }
    Err(ParseErrorKind::NotAnAssignment)
}

/// `export=1` assigns to the name `export`.
fn without_export(statement: &str) -> &str {
    let rest = statement.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace));
    rest.map(str::trim_start).filter(|rest| rest.starts_with(is_name_char)).unwrap_or(statement)
}

/// The value that `text` starts with, the text from the next line on, and what to note.
fn value(text: &str) -> Result<(Value, &str, Vec<NoteKind>), ParseErrorKind> {
    let (line, after_line) = split_line(text);
    let trimmed = line.trim_start();
    let noted =
        |kinds: &[(bool, NoteKind)]| kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind).collect();
    let Some(quote) = trimmed.chars().next().filter(|c| QUOTES.contains(c)) else {
        let bare = without_comment(line);
        let noted = noted(&[
            (bare != line, NoteKind::Comment),
            (refers(bare, false), NoteKind::Reference),
            (is_shell_syntax(bare), NoteKind::ShellSyntax),
        ]);
        return Ok((Value::new(bare.trim().to_owned()), after_line, noted));
    };
    let (_, opened) = text.split_at(line.len() - trimmed.len() + quote.len_utf8());
    if let Some((inner, after)) = quoted(opened, quote) {
        let noted = noted(&[(quote == '"' && refers(inner, true), NoteKind::Reference)]);
        return Ok((unescape(inner, quote), after, noted));
    }
    refuse_second_statement(opened, quote)?;
    Ok((unpaired(trimmed, quote)?, after_line, vec![NoteKind::ShellSyntax]))
}

/// The text in quotes that close where a value can end, and the text from the next line on; `text` starts after the
/// opening one.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let (inner, tail) = text.split_at(closing(text, quote)?);
    let (tail, after) = split_line(tail.strip_prefix(quote)?);
    // A `#` right behind the quote is no comment if the quote comes again: '{'#a': 1}'.
    let ends = is_blank_or_comment(tail) || tail.starts_with('#') && !tail.contains(quote);
    ends.then_some((inner, after))
}

/// Fails if the quotes close in front of another statement: python-dotenv drops the line, Node's dotenv takes all of
/// it for the value, and a shell reads two.
fn refuse_second_statement(text: &str, quote: char) -> Result<(), ParseErrorKind> {
    let (line, _) = split_line(text);
    let tail = closing(line, quote).and_then(|at| line.split_at(at).1.strip_prefix(quote));
    let is_statement = |tail: &str| {
        let next = tail.trim_start();
        next.starts_with([';', '&']) || next.len() < tail.len() && assigns(without_export(next))
    };
    if tail.is_some_and(is_statement) { Err(ParseErrorKind::SecondStatement) } else { Ok(()) }
}

/// Whether the text starts with `NAME=`.
fn assigns(text: &str) -> bool {
    text.trim_start_matches(is_name_char).starts_with('=') && text.starts_with(is_name_char)
}

/// Whether a shell or a reader that substitutes would replace something.
fn refers(text: &str, has_escapes: bool) -> bool {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_name = |next: &char| next.is_ascii_alphabetic() || matches!(next, '_' | '{' | '(');
        match c {
            '\\' if has_escapes => {
                chars.next();
            }
            '`' => return true,
            '$' if chars.peek().is_some_and(is_name) => return true,
            _ => {}
        }
    }
    false
}

/// Whether a shell would read a value without quotes otherwise: it ends early, or loses a backslash that is not part
/// of a path.
fn is_shell_syntax(bare: &str) -> bool {
    let bare = bare.trim();
    let is_escape = |(at, _): (usize, &str)| {
        let next = bare.split_at(at).1.chars().nth(1);
        next.is_some_and(|next| next.is_whitespace() || "'\"`$#&;()".contains(next))
    };
    bare.ends_with(';')
        || ["; ", " && "].iter().any(|end| bare.contains(end))
        || bare.split_whitespace().skip(1).any(assigns)
        || bare.match_indices('\\').any(is_escape)
}

/// A value on one line that starts with a quote and has others inside, such as `"{"a": 1}"` or `"C:\dir\"`: what
/// stands between the outer two, as written. Without an outer pair the quotes belong to the value.
fn unpaired(line: &str, quote: char) -> Result<Value, ParseErrorKind> {
    let inner = line.strip_prefix(quote).unwrap_or(line);
    let parts = inner.match_indices(quote).map(|(at, _)| inner.split_at(at));
    let outer = parts.filter(|(_, tail)| tail.strip_prefix(quote).is_some_and(is_blank_or_comment));
    let outer: Vec<&str> = outer.map(|(before, _)| before).collect();
    let first_tail = closing(inner, quote).map(|at| inner.split_at(at + quote.len_utf8()).1);
    let value = match (first_tail, outer.as_slice()) {
        (Some(_), [value]) if !value.ends_with('\\') => value,
        (None, [value]) if inner.matches(quote).count() == 1 => value,
        (Some(tail), []) if !tail.starts_with('#') => without_comment(line).trim_end(),
        _ => return Err(ParseErrorKind::UnpairedQuote),
    };
    Ok(Value::new(value.to_owned()))
}

/// Where the first quote stands that no backslash escapes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let mut closes = |c: char| {
        let found = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        found
    };
    text.char_indices().find(|&(_, c)| closes(c)).map(|(at, _)| at)
}

fn unescape(inner: &str, quote: char) -> Value {
    // No escape is shorter than what it stands for, so the buffer never moves and leaves no copy behind.
    let mut value = Value::new(String::with_capacity(inner.len()));
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('\r', Some('\n')) => {}
            ('\r', _) => value.push('\n'),
            ('\\', Some(next)) => match escape(next, quote) {
                Some(meant) => {
                    chars.next();
                    value.push(meant);
                }
                // Two backslashes that stand for themselves: the second escapes nothing.
                None if next == '\\' => {
                    chars.next();
                    value.push_str(r"\\");
                }
                None => value.push('\\'),
            },
            _ => value.push(c),
        }
    }
    value
}

/// What a backslash and `escaped` stand for, where that is not themselves.
fn escape(escaped: char, quote: char) -> Option<char> {
    match (quote, escaped) {
        ('"', 'n') => Some('\n'),
        ('"', 'r') => Some('\r'),
        ('"', 't') => Some('\t'),
        ('"', '\\' | '$' | '`') => Some(escaped),
        _ => (escaped == quote).then_some(escaped),
    }
}

fn is_blank_or_comment(text: &str) -> bool {
    let trimmed = text.trim_start();
    trimmed.is_empty() || trimmed.starts_with('#') && text.starts_with(char::is_whitespace)
}

/// `text` up to a `#` that follows white space.
fn without_comment(text: &str) -> &str {
    let mut parts = text.match_indices('#').map(|(at, _)| text.split_at(at).0);
    parts.find(|before| before.ends_with(char::is_whitespace)).unwrap_or(text)
}

/// The first line without its break, and the text after it.
fn split_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_at(text.find(['\n', '\r']).unwrap_or(text.len()));
    let after = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
    (line, after)
}

/// How many lines end in `text` before `after`, which is its end.
fn line_breaks(text: &str, after: &str) -> usize {
    let (read, _) = text.split_at(text.len() - after.len());
    read.matches(['\n', '\r']).count() - read.matches("\r\n").count()
}

const QUOTES: [char; 3] = ['\'', '"', '`'];
