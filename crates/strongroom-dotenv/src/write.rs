//! From pairs to text.

use crate::InvalidName;
use crate::entry::is_name;

/// The text of a `.env` file with these names and values, one pair a statement, in their order.
///
/// [`parse`](crate::parse()) reads the same pairs back, whatever the values hold. Nothing in a value can make a shell
/// that sources the file, or a reader that substitutes, run or expand it. The text is as secret as the values.
///
/// # Errors
/// [`InvalidName`] for the first pair whose name is not [a name](is_name).
///
/// # Examples
/// ```
/// let text = strongroom_dotenv::write([("PORT", "8080"), ("GREETING", "hello $USER")])?;
/// assert_eq!(text, "PORT=8080\nGREETING='hello $USER'\n");
/// # Ok::<(), strongroom_dotenv::InvalidName>(())
/// ```
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String, InvalidName> {
    let pairs: Vec<_> = pairs.into_iter().collect();
    if let Some(index) = pairs.iter().position(|(name, _)| !is_name(name)) {
        return Err(InvalidName { index });
    }
    // Room for every character escaped, so that the buffer never moves and leaves no copy of a secret behind.
    let mut text =
        String::with_capacity(pairs.iter().map(|(name, value)| name.len() + 2 * value.len() + 4).sum());
    for (name, value) in pairs {
        text.push_str(name);
        text.push('=');
        push_value(&mut text, value);
        text.push('\n');
    }
    Ok(text)
}

/// Takes the first form that every reader understands; what differs between readers is in the crate documentation.
fn push_value(text: &mut String, value: &str) {
    // zsh expands `=name` at the start of a path.
    let is_bare = |is_itself: fn(char) -> bool| {
        value.chars().all(is_itself) && !value.starts_with('=') && !value.contains(":=")
    };
    if is_bare(is_plain) {
        text.push_str(value);
    } else if is_literal_in_single_quotes(value) {
        text.push('\'');
        text.push_str(value);
        text.push('\'');
    } else if is_bare(|c| is_plain(c) || c == '\\') && !value.ends_with('\\') {
        // Paths such as \\server\share: a backslash without quotes is itself to readers of `.env` files.
        text.push_str(value);
    } else {
        text.push('"');
        value.chars().for_each(|c| push_escaped(text, c));
        text.push('"');
    }
}

/// Characters that mean nothing to a shell or a reader, wherever they stand.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c)
}

/// Some readers unescape two backslashes, or a backslash before the closing quote.
fn is_literal_in_single_quotes(value: &str) -> bool {
    !value.contains(['\'', '\r']) && !value.contains(r"\\") && !value.ends_with('\\')
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\r' => text.push_str("\\r"),
        // A shell expands `$` and a backtick in double quotes, so they are escaped for safety.
        '"' | '\\' | '$' | '`' => text.extend(['\\', c]),
        _ => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> String {
        let text = write([("N", value)]).unwrap();
        text.strip_prefix("N=").unwrap().trim_end_matches('\n').to_owned()
    }

    #[test]
    fn value_takes_the_first_form_that_keeps_it() {
        assert_eq!(written(""), "");
        assert_eq!(written("postgres://u:p%40@host/db?"), "'postgres://u:p%40@host/db?'");
        assert_eq!(written("a b #c"), "'a b #c'");
        assert_eq!(written(r"C:\dir"), r"'C:\dir'");
        assert_eq!(written(r"\\server\share"), r"\\server\share");
        assert_eq!(written(r"C:\dir\"), r#""C:\\dir\\""#);
        assert_eq!(written("it's"), r#""it's""#);
        assert_eq!(written("two\r\nlines"), "\"two\\r\nlines\"");
    }

    #[test]
    fn value_in_double_quotes_expands_nothing() {
        assert_eq!(written("'$(id) `id` ${HOME}"), r#""'\$(id) \`id\` \${HOME}""#);
    }

    #[test]
    fn name_that_would_start_another_statement_is_refused() {
        assert_eq!(write([("A", "1"), ("B\nC", "2")]), Err(InvalidName { index: 1 }));
        assert_eq!(write([("", "1")]), Err(InvalidName { index: 0 }));
    }
}
