//! One YAML mapping of texts, which readers of YAML 1.1 and 1.2 read alike.

use std::fmt::Write as _;

use zeroize::Zeroizing;

/// One line for each pair, after `indent`. Everything is in double quotes: without them `NO` is a boolean, `1e3` a
/// number and `a: b` a mapping.
pub(super) fn mapping<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    indent: &str,
) -> Zeroizing<String> {
    let pairs: Vec<_> = pairs.into_iter().collect();
    if pairs.is_empty() {
        return Zeroizing::new(format!("{indent}{{}}\n"));
    }
    // Room for every character escaped, so that the buffer never moves and leaves no copy of a secret behind.
    let longest =
        pairs.iter().map(|(name, value)| (name.len() + value.len()) * ESCAPE_BYTES + indent.len() + 8);
    let mut text = Zeroizing::new(String::with_capacity(longest.sum()));
    for (name, value) in pairs {
        text.push_str(indent);
        push_quoted(&mut text, name);
        text.push_str(": ");
        push_quoted(&mut text, value);
        text.push('\n');
    }
    text
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if is_escaped(c) => push_escape(text, u32::from(c)),
            c => text.push(c),
        }
    }
    text.push('"');
}

fn push_escape(text: &mut String, code: u32) {
    // Infallible: a `String` takes everything.
    let _ = if code > 0xffff { write!(text, "\\U{code:08X}") } else { write!(text, "\\u{code:04X}") };
}

/// Characters that YAML calls not printable, and those that some of its readers take as the end of a line.
fn is_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// The longest escape takes this many bytes for each byte of the shortest character that needs one.
const ESCAPE_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_quoted_and_what_cannot_be_printed_is_escaped() {
        let text = mapping([("NO", "a: \"b\"\\\n\t# \u{1}\u{85}\u{2028}\u{1ffff}é")], "  ");
        assert_eq!(*text, "  \"NO\": \"a: \\\"b\\\"\\\\\\n\\t# \\u0001\\u0085\\u2028\\U0001FFFFé\"\n");
        assert_eq!(*mapping([], ""), "{}\n");
    }
}
